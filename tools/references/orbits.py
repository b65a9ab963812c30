"""Two systems of ordinary differential equations, by the classical Runge-Kutta method with small steps.

    lorenz          x' = 10 (y - x),  y' = x (15 - z) - y,  z' = x y - 8/3 z     (x, y, z)(0) = (-8, 7, 27),  t <= 3
    lotka-volterra  r' = 2/3 r - 4/3 r p,  p' = r p - p                          (r, p)(0) = (0.9, 0.9),      t <= 10

The first is the forward problem of DeepXDE's inverse Lorenz example (Lu et al., SIAM Review 63, 2021): with 15 in the
place of 28 it comes to rest. The second keeps V = r - ln r + 4/3 p - 2/3 ln p, which shows its accuracy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tools.references.store import Array, difference, save

Slope = Callable[[Array], Array]


def lorenz(s: Array) -> Array:
    x, y, z = s
    return np.array([10 * (y - x), x * (15 - z) - y, x * y - 8 / 3 * z])


def lotka_volterra(s: Array) -> Array:
    r, p = s
    return np.array([2 / 3 * r - 4 / 3 * r * p, r * p - p])


def invariant(r: Array, p: Array) -> Array:
    """V of Lotka-Volterra, one number along the whole orbit."""
    return np.asarray(r - np.log(r) + 4 / 3 * p - 2 / 3 * np.log(p))


def solve(slope: Slope, start: tuple[float, ...], t: Array, steps: int) -> Array:
    """The state [fields, times] at equidistant times t, with that many Runge-Kutta steps between two of them."""
    h, s = (t[1] - t[0]) / steps, np.array(start)
    states = [s]
    for _ in t[1:]:
        for _ in range(steps):
            k1 = slope(s)
            k2 = slope(s + h / 2 * k1)
            k3 = slope(s + h / 2 * k2)
            k4 = slope(s + h * k3)
            s = s + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        states.append(s)
    return np.array(states).T


SYSTEMS: dict[str, tuple[Slope, tuple[float, ...], Array, str]] = {
    "lorenz": (lorenz, (-8.0, 7.0, 27.0), np.linspace(0, 3, 301), "xyz"),
    "lotka-volterra": (lotka_volterra, (0.9, 0.9), np.linspace(0, 10, 401), "rp"),
}


def main() -> None:
    for name, (slope, start, t, fields) in SYSTEMS.items():
        solutions = [solve(slope, start, t, steps) for steps in (10, 20, 40)]
        for steps, s in zip((10, 20), solutions, strict=False):
            print(f"{name}: {steps} steps between two times differ from 40 by {difference(s, solutions[-1]):.1e}")
        if name == "lotka-volterra":
            print(f"{name}: V varies by {np.ptp(invariant(*solutions[-1])):.1e}")
        save(name, t=t, **dict(zip(fields, solutions[-1], strict=True)))


if __name__ == "__main__":
    main()
