"""The lid-driven cavity at Re = 100 and 1000 with its discontinuous lid, by a spectral method without the corners.

    (psi_y d/dx - psi_x d/dy) lap psi = lap lap psi / Re,   u = psi_y,  v = -psi_x   on (0, 1)^2
    psi = 0 on the boundary;  u = 1 on the lid y = 1, no slip elsewhere

The velocity jumps in the two corners at the lid, which ruins any smooth discretisation. As Botella and Peyret do
(Computers & Fluids 27, 1998), the leading terms of the solution around those corners are taken out and only the rest
is discretised. With polar coordinates about a corner (theta from the lid, down into the cavity)

    psi = sum_n (+-Re)^n r^(n + 1) F_n(theta)       (+ left corner, - right corner)
    G_n = F_n'' + (n + 1)^2 F_n                      so that lap psi = sum_n (+-Re)^n r^(n - 1) G_n
    G_n'' + (n - 1)^2 G_n = sum_(i + j = n - 1) (i + 1) F_i G_j' - (j - 1) F_i' G_j
    F_n = F_n' = 0 on both walls, but F_0' = -1 on the lid

The rest is a polynomial: one that carries what the corner terms leave on the boundary, plus one that is zero there
with its normal derivative and is found by collocation and Newton's method. The check of another kind is
cavity_differences.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.polynomial import chebyshev as cheb

from tools.references.store import Array, save

REYNOLDS = 100.0
TERMS = 3  # n = 0, 1, 2 at each corner
DEGREES = (24, 32, 40, 48, 56)  # of the polynomial in each direction; the last one is stored
FASTER = 1000.0
FASTER_DEGREES = (40, 48, 56, 64, 72)
STEPS = (100.0, 400.0, 1000.0)  # Reynolds numbers by which Newton's method comes to a large one
POINTS = 101

#: Botella and Peyret 1998: min u(1/2, y), max v(x, 1/2), min v(x, 1/2); their lid moves the other way.
PUBLISHED = (-0.2140424, 0.1795728, -0.2538030)
FASTER_PUBLISHED = (-0.3885698, 0.3769447, -0.5270771)


def angular(term: Chebyshev, n: int) -> Chebyshev:
    """G_n of F_n."""
    return term.deriv(2) + (n + 1) ** 2 * term


def corner_terms() -> list[Chebyshev]:
    """F_0 .. F_(TERMS - 1) over theta in [0, pi/2]."""
    right = np.pi / 2
    points = right * (1 - np.cos(np.pi * (np.arange(40) + 0.5) / 40)) / 2
    basis = [Chebyshev.basis(k, domain=[0, right]) for k in range(22)]
    edges = np.array([[b(0.0), b(right), b.deriv()(0.0), b.deriv()(right)] for b in basis]).T
    terms: list[Chebyshev] = []
    for n in range(TERMS):
        matrix = np.array([angular(angular(b, n), n - 2)(points) for b in basis]).T  # G'' + (n - 1)^2 G
        source = np.zeros(len(points))
        for i, f in enumerate(terms):
            j = n - 1 - i
            g = angular(terms[j], j)
            source += (i + 1) * f(points) * g.deriv()(points) - (j - 1) * f.deriv()(points) * g(points)
        values = np.array([0.0, 0.0, -1.0 if n == 0 else 0.0, 0.0])
        weight = np.abs(matrix).max()  # rows of one size, so that the conditions hold to rounding too
        coefficients = np.linalg.lstsq(np.vstack([matrix, weight * edges]),
                                       np.concatenate([source, weight * values]), rcond=None)[0]
        terms.append(Chebyshev(coefficients, domain=[0, right]))
    return terms


@dataclass
class Flow:
    """What the equation needs of psi, each an array [x, y] over a tensor grid."""

    psi: Array
    psi_x: Array
    psi_y: Array
    lap_x: Array  # of the Laplacian of psi
    lap_y: Array
    bilap: Array

    def __add__(self, other: Flow) -> Flow:
        return Flow(*(getattr(self, name) + getattr(other, name) for name in Flow.__dataclass_fields__))

    def residual(self, reynolds: float) -> Array:
        return self.bilap - reynolds * (self.psi_y * self.lap_x - self.psi_x * self.lap_y)


def singular(terms: list[Chebyshev], reynolds: float, x: Array, y: Array) -> Flow:
    """The terms of both corners on the tensor grid of x and y; y may come close to 1 but not be it."""
    mesh_x, mesh_y = np.meshgrid(x, y, indexing="ij")
    total = Flow(*(np.zeros(mesh_x.shape) for _ in range(6)))
    for side in (1.0, -1.0):  # the right corner is the mirror image of a left one with the lid moving backwards
        along, depth = (mesh_x if side > 0 else 1 - mesh_x), 1 - mesh_y
        r, theta = np.hypot(along, depth), np.arctan2(depth, along)
        for n, term in enumerate(terms):
            size, lap = (side * reynolds) ** n, angular(term, n)
            psi_a, psi_b = gradient(term, n + 1, r, theta)
            lap_a, lap_b = gradient(lap, n - 1, r, theta)
            total += Flow(size * r ** (n + 1) * term(theta), size * side * psi_a, -size * psi_b,
                          size * side * lap_a, -size * lap_b, size * r ** (n - 3.0) * angular(lap, n - 2)(theta))
    return total


def gradient(term: Chebyshev, power: int, r: Array, theta: Array) -> tuple[Array, Array]:
    """d/da and d/db of r^power term(theta), with a = r cos(theta) and b = r sin(theta)."""
    radial, turned, size = power * term(theta), term.deriv()(theta), r ** (power - 1.0)
    return (size * (np.cos(theta) * radial - np.sin(theta) * turned),
            size * (np.sin(theta) * radial + np.cos(theta) * turned))


def derivatives(points: Array, degree: int) -> list[Array]:
    """Matrices [points, degree + 1] from Chebyshev coefficients over [0, 1] to the derivatives 0 to 4."""
    columns = np.eye(degree + 1)
    return [2.0**k * cheb.chebvander(2 * points - 1, degree - k) @ cheb.chebder(columns, k) for k in range(5)]


def smooth(coefficients: Array, dx: list[Array], dy: list[Array]) -> Flow:
    """The polynomial of Chebyshev coefficients [degree + 1, degree + 1] where dx and dy lead."""
    def d(i: int, j: int) -> Array:
        return np.asarray(dx[i] @ coefficients @ dy[j].T)

    return Flow(d(0, 0), d(1, 0), d(0, 1), d(3, 0) + d(1, 2), d(2, 1) + d(0, 3), d(4, 0) + 2 * d(2, 2) + d(0, 4))


@dataclass
class Cavity:
    """psi = corner terms + polynomial."""

    terms: list[Chebyshev]
    coefficients: Array
    reynolds: float = REYNOLDS

    def flow(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """psi, u and v on the tensor grid of x and y; exact on the boundary, and u = 1 in the corners of the lid."""
        degree = len(self.coefficients) - 1
        f = (singular(self.terms, self.reynolds, x, np.minimum(y, 1 - 1e-15))
             + smooth(self.coefficients, derivatives(x, degree), derivatives(y, degree)))
        lid = np.broadcast_to(y == 1, f.psi.shape)
        wall = lid | ((x == 0) | (x == 1))[:, None] | (y == 0)
        return np.where(wall, 0.0, f.psi), np.where(wall, 1.0 * lid, f.psi_y), np.where(wall, 0.0, -f.psi_x)


def solve(degree: int, reynolds: float = REYNOLDS) -> Cavity:
    """Newton's method with a dense matrix of (degree - 3)^2 unknowns, through smaller Reynolds numbers to a large one.

    Raises ArithmeticError where it does not converge in 20 steps.
    """
    terms, size = corner_terms(), degree - 3
    points = (1 - np.cos(np.pi * np.arange(1, size + 1) / (size + 1))) / 2
    basis = np.zeros((degree + 1, size))  # Shen's polynomials, zero with their first derivative at both ends
    for k in range(size):
        basis[[k, k + 2, k + 4], k] = np.array([1, -2 * (k + 2) / (k + 3), (k + 1) / (k + 3)]) / (k + 1) ** 2
    d = derivatives(points, degree)
    psi: Array | None = None
    for now in [*(step for step in STEPS if step < reynolds), reynolds]:
        coefficients, corners = boundary_part(terms, now, degree), singular(terms, now, points, points)
        if psi is not None:  # begin with the psi of the slower flow
            weights = d[0] @ basis
            rest = np.linalg.solve(weights, psi - (corners + smooth(coefficients, d, d)).psi)
            coefficients = coefficients + basis @ np.linalg.solve(weights, rest.T).T @ basis.T
        for _ in range(20):
            flow = corners + smooth(coefficients, d, d)
            step = np.linalg.solve(jacobian(flow, now, [m @ basis for m in d]), -flow.residual(now).reshape(-1))
            change = basis @ step.reshape(size, size) @ basis.T
            coefficients = coefficients + change
            if np.abs(d[0] @ change @ d[0].T).max() < 1e-9:  # the next one would be its square
                break
        else:
            raise ArithmeticError(f"Newton's method does not converge at degree {degree} and Re = {now:g}")
        psi = (corners + smooth(coefficients, d, d)).psi
    return Cavity(terms, coefficients, reynolds)


def boundary_part(terms: list[Chebyshev], reynolds: float, degree: int) -> Array:
    """Coefficients of a polynomial with the boundary values and normal derivatives that the corner terms lack."""
    nodes, ends = (1 - np.cos(np.pi * np.arange(degree + 1) / degree)) / 2, np.array([0.0, 1.0])
    to_coefficients = np.linalg.inv(cheb.chebvander(2 * nodes - 1, degree)).T
    # The terms of a corner meet the conditions on both of its own walls; on the others they are smooth.
    sides = singular(terms, reynolds, ends, np.minimum(nodes, 1 - 1e-15))
    floor = singular(terms, reynolds, nodes, ends[:1])
    lid = np.full(degree + 1, -1.0)  # the terms of each corner move the whole lid with speed 1: once too often
    on_x = np.vstack([-sides.psi, -sides.psi_x]) @ to_coefficients
    on_y = np.vstack([-floor.psi[:, 0], 0 * lid, -floor.psi_y[:, 0], lid]) @ to_coefficients
    conditions = np.vstack(derivatives(ends, degree)[:2])  # value and slope at both ends
    cubic = np.zeros((degree + 1, 4))
    cubic[:4] = np.linalg.inv(conditions[:, :4])
    first = cubic @ on_x
    return np.asarray(first + (on_y - conditions @ first.T).T @ cubic.T)


def jacobian(flow: Flow, reynolds: float, d: list[Array]) -> Array:
    """The derivative of the residual by the weights of the basis whose derivatives are d."""
    factors: dict[tuple[int, int], float | Array] = {
        (4, 0): 1.0, (2, 2): 2.0, (0, 4): 1.0,
        (0, 1): -reynolds * flow.lap_x, (1, 0): reynolds * flow.lap_y,
        (3, 0): -reynolds * flow.psi_y, (1, 2): -reynolds * flow.psi_y,
        (2, 1): reynolds * flow.psi_x, (0, 3): reynolds * flow.psi_x,
    }
    total = np.zeros([len(d[0])] * 4)
    for (i, j), factor in factors.items():
        total += np.einsum("ac,bd->abcd", d[i], d[j]) * np.asarray(factor)[..., None, None]
    return total.reshape(len(d[0]) ** 2, -1)


def extremes(cavity: Cavity) -> list[float]:
    """min psi, then min u(1/2, y), max v(x, 1/2) and min v(x, 1/2)."""
    half = np.array([0.5])
    x, y = np.linspace(0.4, 0.8, 41), np.linspace(0.5, 0.9, 41)
    for _ in range(8):
        psi = cavity.flow(x, y)[0]
        i, j = np.unravel_index(np.argmin(psi), psi.shape)
        x, y = (p[k] + np.linspace(-1, 1, 41) * (p[1] - p[0]) for p, k in ((x, i), (y, j)))
    return [float(psi.min()), lowest(lambda p: cavity.flow(half, p)[1][0]),
            -lowest(lambda p: -cavity.flow(p, half)[2][:, 0]), lowest(lambda p: cavity.flow(p, half)[2][:, 0])]


def lowest(profile: Callable[[Array], Array]) -> float:
    """The least value of a profile over (0, 1), by zooming in."""
    points = np.linspace(0.02, 0.98, 97)
    for _ in range(8):
        values = profile(points)
        points = points[int(np.argmin(values))] + np.linspace(-1, 1, 41) * (points[1] - points[0])
    return float(values.min())


def main() -> None:
    store("cavity-re100", REYNOLDS, DEGREES, PUBLISHED)
    store("cavity-re1000", FASTER, FASTER_DEGREES, FASTER_PUBLISHED)


def store(name: str, reynolds: float, degrees: tuple[int, ...], published: tuple[float, ...]) -> None:
    """Solve at every degree, print how they converge, and keep the last."""
    grid = np.linspace(0, 1, POINTS)
    solutions = [solve(degree, reynolds) for degree in degrees]
    flows = [solution.flow(grid, grid) for solution in solutions]
    print(f"Re = {reynolds:g}")
    print("degree   min psi        min u(.5,y)    max v(x,.5)    min v(x,.5)    largest change of u, v on the grid")
    for k, (degree, solution) in enumerate(zip(degrees, solutions, strict=True)):
        changes = [np.abs(a - b).max() for a, b in zip(flows[k][1:], flows[k - 1][1:], strict=True)] if k else []
        print(f"{degree:4d}    " + "".join(f" {value:+.9f}  " for value in extremes(solution))
              + (f"   {max(changes):.1e}" if changes else ""))
    print("Botella and Peyret 1998 " + "".join(f" {value:+.7f}    " for value in published))
    psi, u, v = flows[-1]
    save(name, x=grid, y=grid, psi=psi, u=u, v=v, speed=np.hypot(u, v))


if __name__ == "__main__":
    main()
