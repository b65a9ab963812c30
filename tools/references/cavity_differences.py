"""The cavity of cavity.py once more, by a method that shares nothing with it: second-order finite differences.

Stream function and vorticity w = -lap psi on an N x N grid, central differences everywhere,

    psi_y w_x - psi_x w_y = lap w / Re,   w = -3 psi_1 / h^2 - w_1 / 2 - 3 U / h  on a wall of speed U  (Woods)

with psi_1, w_1 one point inside. Newton's method, each step by elimination of one grid column after the other. Writes
no file: it prints the convergence and how far the solution stored as reference is from the extrapolated one.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from tools.references.cavity import DEGREES, PUBLISHED, REYNOLDS
from tools.references.cavity import extremes as extremes_of
from tools.references.cavity import solve as solve_cavity
from tools.references.store import Array

GRIDS = (64, 128, 256)  # `python -m tools.references.cavity_differences 512` adds one: minutes, 5 GB


def closed(psi: Array, w: Array) -> tuple[Array, Array]:
    """psi and w [N + 1, N + 1] on the whole grid from the inner points; corners, which nothing asks for, stay zero."""
    h = 1 / (len(psi) + 1)
    whole, vorticity = np.pad(psi, 1), np.pad(w, 1)
    for speed, edge, p, q in ((0, np.s_[0, 1:-1], psi[0], w[0]), (0, np.s_[-1, 1:-1], psi[-1], w[-1]),
                              (0, np.s_[1:-1, 0], psi[:, 0], w[:, 0]), (1, np.s_[1:-1, -1], psi[:, -1], w[:, -1])):
        vorticity[edge] = -3 * p / h**2 - q / 2 - 3 * speed / h
    return whole, vorticity


def slopes(a: Array) -> tuple[Array, Array, Array]:
    """d/dx, d/dy and the Laplacian at the inner points of a square grid over [0, 1]^2."""
    h = 1 / (len(a) - 1)
    east, west, north, south = a[2:, 1:-1], a[:-2, 1:-1], a[1:-1, 2:], a[1:-1, :-2]
    return (east - west) / (2 * h), (north - south) / (2 * h), (east + west + north + south - 4 * a[1:-1, 1:-1]) / h**2


def newton_step(psi: Array, w: Array) -> tuple[Array, Array]:
    """One step: a block tridiagonal system, a block for the 2 (N - 1) unknowns of each column of constant x."""
    count = len(psi)
    h = 1 / (count + 1)
    whole, vorticity = closed(psi, w)
    (px, py, lap_psi), (wx, wy, lap_w) = slopes(whole), slopes(vorticity)
    residual = np.concatenate([lap_psi + w, lap_w / REYNOLDS - py * wx + px * wy], 1)
    up = np.eye(count, k=1)  # the value at the next y
    second, first = (up + up.T - 2 * np.eye(count)) / h**2, (up - up.T) / (2 * h)
    one = np.eye(count)
    forward: list[Array] = []
    answers: list[Array] = []
    for k in range(count):
        # d(w on floor and lid) = -3 / h^2 dpsi - 1/2 dw of their neighbours; those enter the first and last row
        to_w = second / REYNOLDS + px[k][:, None] * first - 2 / (REYNOLDS * h**2) * one
        of_psi = -wx[k][:, None] * first
        for row, sign in ((0, -1), (-1, 1)):
            wall = 1 / (REYNOLDS * h**2) + sign * px[k, row] / (2 * h)
            to_w[row, row] -= wall / 2
            of_psi[row, row] -= 3 * wall / h**2
        west = [np.diag(1 / (REYNOLDS * h**2) + py[k] / (2 * h)), np.diag(-wy[k] / (2 * h))]
        east = [np.diag(1 / (REYNOLDS * h**2) - py[k] / (2 * h)), np.diag(wy[k] / (2 * h))]
        for at, side in ((0, west), (count - 1, east)):
            if k == at:  # the neighbour is a wall
                to_w -= side[0] / 2
                of_psi -= 3 * side[0] / h**2
        block = np.block([[second - 2 * one / h**2, one], [of_psi, to_w]])
        before = np.block([[one / h**2, 0 * one], [west[1], west[0]]])
        after = np.block([[one / h**2, 0 * one], [east[1], east[0]]])
        right = -residual[k]
        if k:
            block -= before @ forward[-1]
            right = right - before @ answers[-1]
        solved = np.linalg.solve(block, np.column_stack([after, right]))
        forward.append(solved[:, :-1])
        answers.append(solved[:, -1])
    for k in reversed(range(count - 1)):
        answers[k] -= forward[k] @ answers[k + 1]
    step = np.array(answers)
    return step[:, :count], step[:, count:]


def solve(n: int, start: tuple[Array, Array] | None = None) -> tuple[Array, Array]:
    """psi and w at the (n - 1)^2 inner points. Raises ArithmeticError where Newton's method does not converge."""
    psi, w = start if start is not None else (np.zeros((n - 1, n - 1)), np.zeros((n - 1, n - 1)))
    for _ in range(15):
        dpsi, dw = newton_step(psi, w)
        psi, w = psi + dpsi, w + dw
        if np.abs(dpsi).max() < 1e-9:
            return psi, w
    raise ArithmeticError(f"Newton's method does not converge on a grid of {n}")


def velocity(psi: Array) -> tuple[Array, Array]:
    """u and v at the inner points, of second order."""
    x, y, _ = slopes(np.pad(psi, 1))
    return y, -x


def extremes(psi: Array) -> Array:
    """min psi, min u(1/2, y), max v(x, 1/2), min v(x, 1/2); between the points by a parabola."""
    u, v = velocity(psi)
    middle = len(psi) // 2
    i, j = np.unravel_index(np.argmin(psi), psi.shape)
    bend = np.array([vertex(psi[i - 1:i + 2, j]), vertex(psi[i, j - 1:j + 2])]) - psi[i, j]
    return np.array([psi[i, j] + bend.sum(), peak(u[middle], -1), peak(v[:, middle], 1), peak(v[:, middle], -1)])


def peak(profile: Array, sign: int) -> float:
    k = int(np.argmax(sign * profile))
    return vertex(profile[k - 1:k + 2])


def vertex(three: Array) -> float:
    """The extreme value of the parabola through three equidistant values."""
    a, b, c = three
    return float(b - (c - a) ** 2 / (8 * (a - 2 * b + c)))


def extrapolated(coarse: Array, fine: Array) -> Array:
    """What second-order values tend to as h, then h / 2, goes to zero (Richardson)."""
    return fine + (fine - coarse) / 3


def main(grids: Sequence[int] = GRIDS) -> None:
    reference = solve_cavity(DEGREES[-1])
    points = np.arange(1, grids[0]) / grids[0]  # the inner points that all grids have
    _, u_r, v_r = reference.flow(points, points)
    x, y = np.meshgrid(points, points, indexing="ij")
    far = np.minimum(np.hypot(x, 1 - y), np.hypot(1 - x, 1 - y)) > 0.1
    rows, fields = [], []
    start = None
    for n in grids:
        psi, w = solve(n, start)
        every = np.s_[n // grids[0] - 1::n // grids[0]]
        fields.append(np.array([a[every, every] for a in (psi, *velocity(psi))]))
        rows.append(extremes(psi))
        twice = np.arange(1, 2 * n) / 2
        start = interpolate(psi, twice), interpolate(w, twice)
    names = [f"grid {n}" for n in grids]
    for k in range(1, len(grids)):
        names.append(f"{grids[k - 1]} and {grids[k]} extrapolated")
        rows.append(extrapolated(rows[k - 1], rows[k]))
        fields.append(extrapolated(fields[k - 1], fields[k]))
    print(f"{'':29s} min psi    min u(.5,y)  max v(x,.5)  min v(x,.5)   speed against the reference, relative L2,")
    print(f"{'':82s} and more than 0.1 from the corners: L2, largest")
    for name, row, (_, u, v) in zip(names, rows, fields, strict=True):
        speed, known = np.hypot(u, v), np.hypot(u_r, v_r)
        miss = speed - known
        print(f"{name:28s}" + "".join(f" {value:+.7f}  " for value in row)
              + f"  {np.linalg.norm(miss) / np.linalg.norm(known):.1e}"
              + f"  {np.linalg.norm(miss[far]) / np.linalg.norm(known[far]):.1e}  {np.abs(miss[far]).max():.1e}")
    print(f"{'reference':28s}" + "".join(f" {value:+.7f}  " for value in extremes_of(reference)))
    print(f"{'Botella and Peyret 1998':41s}" + "".join(f" {value:+.7f}  " for value in PUBLISHED))


def interpolate(a: Array, at: Array) -> Array:
    """Linear, from the inner points 1, 2, ... of a grid to the positions `at` in the same counting."""
    points = np.arange(len(a) + 2)
    rows = np.array([np.interp(at, points, row) for row in np.pad(a, 1)])
    return np.array([np.interp(at, points, column) for column in rows.T]).T


if __name__ == "__main__":
    main((*GRIDS, *map(int, sys.argv[1:])))
