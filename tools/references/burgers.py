"""Burgers' equation u_t + u u_x = (0.01 / pi) u_xx, u(0, x) = -sin(pi x), u(t, +-1) = 0, by the Cole-Hopf formula.

    u(t, x) = -int sin(pi y) f(y) e^(-z^2) dz / int f(y) e^(-z^2) dz,   y = x - 2 sqrt(nu t) z,
    f(y) = exp(-cos(pi y) / (2 pi nu))

(Basdevant et al., Computers & Fluids 14, 1986). The integrands are entire and fall off like a Gaussian, so that the
trapezoidal rule is as exact as rounding; its step is halved to show it. Checked against a spectral solution, and
against the published largest slope, -152.00516 at x = 0 and t = 1.6037 / pi.
"""

from __future__ import annotations

import numpy as np

from tools.references.etdrk4 import Equation, axes, solve
from tools.references.evolution import transport
from tools.references.store import Array, difference, save

VISCOSITY = 0.01 / np.pi
REACH = 12.0  # of z; beyond it the Gaussian is e^-144, and f varies by e^100 at most
NODES = 1200


def cole_hopf(t: float, x: Array, nodes: int = NODES) -> Array:
    """u at one time t >= 0 and at points x [n] of [-1, 1]."""
    z = np.linspace(-REACH, REACH, nodes + 1)
    y = x[:, None] - 2 * np.sqrt(VISCOSITY * t) * z
    exponent = -z**2 - np.cos(np.pi * y) / (2 * np.pi * VISCOSITY)
    weight = np.exp(exponent - exponent.max(1, keepdims=True))
    return np.asarray(-(np.sin(np.pi * y) * weight).sum(1) / weight.sum(1))


def slope_at_origin(t: float) -> float:
    """u_x(t, 0) by central differences of sixth order."""
    h = 1e-4
    u = cole_hopf(t, np.array([h, 2 * h, 3 * h]))  # u is odd in x
    return float((45 * u[0] - 9 * u[1] + u[2]) / (30 * h))


def main() -> None:
    t, x = axes()
    u = np.array([cole_hopf(float(time), x) for time in t])
    u[:, [0, len(x) // 2, -1]] = 0.0  # odd about 0 and about +-1
    coarse = np.array([cole_hopf(float(time), x, NODES // 2) for time in t])
    print(f"half the nodes differ by {difference(coarse, u):.1e}")
    equation = Equation(lambda k: -VISCOSITY * k**2, transport, lambda x: -np.sin(np.pi * x))
    for modes, steps in ((1024, 5000), (2048, 10000)):
        print(f"spectral, {modes} modes, {steps} steps: differs by {difference(solve(equation, modes, steps), u):.1e}")
    print(f"slope at the origin at t = 1.6037 / pi: {slope_at_origin(1.6037 / np.pi):.5f}, published -152.00516")
    save("burgers", t=t, x=x, u=u)


if __name__ == "__main__":
    main()
