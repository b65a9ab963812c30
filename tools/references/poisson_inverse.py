"""The inverse Poisson problem's solutions, for alpha = 0.05, 0.15, ... 0.95, by Chebyshev collocation.

    div((1 + alpha x) grad u) + x + y = 0 on [-1/sqrt 2, 1/sqrt 2]^2,   u = cos(pi x) cos(pi y) on the boundary

(Jagtap, Kawaguchi and Karniadakis, Proc. R. Soc. A 476, 2020, section 4b; the problem is of Pakravan et al.,
arXiv 2001.03608). Divided by 1 + alpha x the equation is a sum of an operator in x and one in y, so that it is solved
directly by their eigenvectors. Data and equation disagree in the corners, where u is like r^2 log r: the error falls
with the fourth power of the degree, not faster.
"""

from __future__ import annotations

import numpy as np

from tools.references.store import Array, difference, save

HALF = 1 / np.sqrt(2)
ALPHAS = tuple(round(0.05 + 0.1 * k, 2) for k in range(10))
DEGREES = (24, 48, 96, 192)  # the last one is stored
POINTS = 41


def nodes(degree: int) -> Array:
    """Chebyshev points of [-HALF, HALF], increasing."""
    return np.asarray(-HALF * np.cos(np.pi * np.arange(degree + 1) / degree))


def differentiation(x: Array) -> Array:
    """The matrix that differentiates the polynomial through values at Chebyshev points."""
    weights = barycentric(len(x))
    gaps = x[:, None] - x + np.eye(len(x))
    matrix = weights / weights[:, None] / gaps
    np.fill_diagonal(matrix, 0)
    np.fill_diagonal(matrix, -matrix.sum(1))  # constants have no slope, to rounding
    return np.asarray(matrix)


def barycentric(count: int) -> Array:
    weights = np.where(np.arange(count) % 2, -1.0, 1.0)
    weights[[0, -1]] /= 2
    return weights


def interpolation(x: Array, at: Array) -> Array:
    """The matrix from values at Chebyshev points x to values `at`."""
    gaps = at[:, None] - x
    hit = gaps == 0
    rows = np.where(hit.any(1, keepdims=True), hit, barycentric(len(x)) / np.where(hit, 1, gaps))
    return np.asarray(rows / rows.sum(1, keepdims=True))


def boundary(x: Array, y: Array) -> Array:
    return np.asarray(np.cos(np.pi * x) * np.cos(np.pi * y))


def solve(alpha: float, degree: int, at: Array) -> Array:
    """u on the tensor grid of `at`."""
    x = nodes(degree)
    d = differentiation(x)
    factor = 1 + alpha * x
    in_x, in_y = (d @ (factor[:, None] * d)) / factor[:, None], d @ d
    mesh_x, mesh_y = np.meshgrid(x, x, indexing="ij")
    u = boundary(mesh_x, mesh_y)
    u[1:-1, 1:-1] = 0
    right = -(mesh_x + mesh_y) / factor[:, None] - in_x @ u - u @ in_y.T
    (a, p), (b, q) = np.linalg.eig(in_x[1:-1, 1:-1]), np.linalg.eig(in_y[1:-1, 1:-1])
    inner = np.linalg.solve(p, right[1:-1, 1:-1]) @ np.linalg.inv(q).T / (a[:, None] + b)
    u[1:-1, 1:-1] = (p @ inner @ q.T).real
    matrix = interpolation(x, at)
    return np.asarray(matrix @ u @ matrix.T)


def main() -> None:
    at = np.linspace(-HALF, HALF, POINTS)
    for alpha in ALPHAS:
        solutions = [solve(alpha, degree, at) for degree in DEGREES]
        changes = [difference(solutions[k - 1], solutions[k]) for k in range(1, len(DEGREES))]
        print(f"alpha {alpha:.2f}: degrees {DEGREES}, each changes the one before by "
              + ", ".join(f"{change:.1e}" for change in changes))
        save(f"poisson-inverse-{alpha:.2f}", x=at, y=at, u=solutions[-1])


if __name__ == "__main__":
    main()
