"""Allen-Cahn, Korteweg-de Vries and Kuramoto-Sivashinsky: periodic in x on [-1, 1], t from 0 to 1.

    allen-cahn              u_t - 1e-4 u_xx + 5 u^3 - 5 u = 0                   u(0, x) = x^2 cos(pi x)
    kdv                     u_t + u u_x + 0.022^2 u_xxx = 0                     u(0, x) = cos(pi x)
    kuramoto-sivashinsky    u_t + 5 u u_x + 0.5 u_xx + 0.005 u_xxxx = 0         u(0, x) = -sin(pi x)

The first is of Raissi, Perdikaris and Karniadakis (J. Comput. Phys. 378, 2019), the second the experiment of Zabusky
and Kruskal (Phys. Rev. Lett. 15, 1965), the third the regular case of Wang, Sankaran and Perdikaris
(arXiv 2203.07404). Solved by etdrk4.py; the error is what twice the modes and twice the steps change.
"""

from __future__ import annotations

import numpy as np

from tools.references.etdrk4 import Equation, Spectrum, axes, solve
from tools.references.store import Array, difference, save


def transport(u: Array, k: Array) -> Spectrum:
    """The spectrum of -u u_x."""
    return -0.5j * k * np.fft.rfft(u**2)


EQUATIONS = {
    "allen-cahn": Equation(lambda k: 5 - 1e-4 * k**2, lambda u, k: -5 * np.fft.rfft(u**3),
                           lambda x: x**2 * np.cos(np.pi * x)),
    "kdv": Equation(lambda k: 0.022**2 * 1j * k**3, transport, lambda x: np.cos(np.pi * x)),
    "kuramoto-sivashinsky": Equation(lambda k: 0.5 * k**2 - 0.005 * k**4, lambda u, k: 5 * transport(u, k),
                                     lambda x: -np.sin(np.pi * x)),
}
RESOLUTIONS = {  # modes and steps, each twice the one before; the last is stored
    "allen-cahn": ((1024, 1000), (2048, 2000), (4096, 4000)),
    "kdv": ((256, 5000), (512, 10000), (1024, 20000)),
    "kuramoto-sivashinsky": ((256, 5000), (512, 10000), (1024, 20000)),
}


def main() -> None:
    t, x = axes()
    for name, equation in EQUATIONS.items():
        solutions = [solve(equation, modes, steps) for modes, steps in RESOLUTIONS[name]]
        for (modes, steps), u in zip(RESOLUTIONS[name], solutions, strict=True):
            change = difference(u, solutions[-1])
            print(f"{name}: {modes:5d} modes, {steps:6d} steps: differs from the last by {change:.1e}")
        save(name, t=t, x=x, u=solutions[-1])


if __name__ == "__main__":
    main()
