"""Periodic equations u_t = L u + N(u) on [-1, 1], to rounding: Fourier in x, exponential Runge-Kutta of order 4 in t.

L has constant coefficients and is stepped exactly; the scheme is Cox and Matthews' (J. Comput. Phys. 176, 2002), its
coefficients are means over a circle in the complex plane as in Kassam and Trefethen (SIAM J. Sci. Comput. 26, 2005).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tools.references.store import Array

Spectrum = npt.NDArray[Any]  # real or complex, by the wave number

POINTS = 256  # intervals in x that are stored; both ends are, so one more point
ROWS = 101  # times that are stored, t = 0 and 1 included


@dataclass(frozen=True)
class Equation:
    """u_t = L u + N(u): the symbol of L by the wave number k, the spectrum of N by u and k, and u(0, x)."""

    symbol: Callable[[Array], Spectrum]
    nonlinear: Callable[[Array, Array], Spectrum]
    initial: Callable[[Array], Array]


def wave_numbers(modes: int) -> Array:
    """k of the spectrum rfft gives of `modes` points over the period 2."""
    return np.asarray(np.pi * np.arange(modes // 2 + 1), np.float64)


def solve(equation: Equation, modes: int, steps: int) -> Array:
    """u [ROWS, POINTS + 1] at t = 0 .. 1 and x = -1 .. 1, with that many modes and steps; steps a multiple of 100.

    The start is projected from 64 times as many points, so that a kink in it is no error of the sampling.
    """
    k = wave_numbers(modes)
    fine = 64 * modes
    spectrum = np.fft.rfft(equation.initial(grid(fine)))[: len(k)] / 64
    h, linear = 1.0 / steps, equation.symbol(k).astype(complex)
    circle = np.exp(2j * np.pi * (np.arange(64) + 0.5) / 64)
    z = h * linear[:, None] + circle
    whole, half = np.exp(h * linear), np.exp(h * linear / 2)
    q = h * ((np.exp(z / 2) - 1) / z).mean(1)
    f1 = h * ((-4 - z + np.exp(z) * (4 - 3 * z + z**2)) / z**3).mean(1)
    f2 = h * ((2 + z + np.exp(z) * (z - 2)) / z**3).mean(1)
    f3 = h * ((-4 - 3 * z - z**2 + np.exp(z) * (4 - z)) / z**3).mean(1)
    keep = np.abs(k) <= 2 / 3 * k[-1]  # the others would be aliases of products

    def nonlinear(v: Spectrum) -> Spectrum:
        return np.where(keep, equation.nonlinear(np.fft.irfft(v, modes), k), 0)

    rows = [stored(equation.initial(grid(POINTS)))]
    for step in range(1, steps + 1):
        n0 = nonlinear(spectrum)
        a = half * spectrum + q * n0
        na = nonlinear(a)
        b = half * spectrum + q * na
        nb = nonlinear(b)
        nc = nonlinear(half * a + q * (2 * nb - n0))
        spectrum = whole * spectrum + f1 * n0 + 2 * f2 * (na + nb) + f3 * nc
        if step % (steps // (ROWS - 1)) == 0:
            rows.append(stored(np.fft.irfft(spectrum, modes)[:: modes // POINTS]))
    return np.array(rows)


def grid(points: int) -> Array:
    """-1 and on, without 1."""
    return np.asarray(-1 + 2 * np.arange(points) / points)


def stored(u: Array) -> Array:
    """With the value at x = 1, that of x = -1."""
    return np.append(u, u[0])


def axes() -> tuple[Array, Array]:
    """t and x of what `solve` gives."""
    return np.linspace(0, 1, ROWS), np.linspace(-1, 1, POINTS + 1)
