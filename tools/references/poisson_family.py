"""A family of inverse Poisson fields, from which a network learns to tell alpha: 500 to train on, 50 others to test.

    div((1 + alpha x) grad u) + x + y = 0 on [-1/sqrt 2, 1/sqrt 2]^2,   u = cos(pi x) cos(pi y) on the boundary

Jagtap, Kawaguchi and Karniadakis, Proc. R. Soc. A 476, 2020, section 4b: alpha at random in [0.05, 0.95], 500 solutions
and 50 independent ones, without and with 2.5 % of normal noise. How a field is sampled, how many points hold the
equation and what the noise is relative to are not in the paper; what follows is ours.

u1 ... u16   the field at 4 x 4 points inside, HALF times -3/5, -1/5, 1/5, 3/5 along each input, y running fastest
alpha        what the field was made with
c0, c1, c2   the mean over the domain of the squared residual is c0 + 2 c1 alpha + c2 alpha^2, for this field and any
             alpha; of the residual only the part in the sine waves phi of wave numbers 1 ... 3 is taken

For a known field the equation is linear in alpha. Its part in phi, which is zero on the boundary, is A + alpha B; by
parts, twice, no derivative of the field is left and its noise is not differentiated:

    A = integral of u lap phi + (x + y) phi  -  boundary integral of   u_b dphi/dn
    B = integral of u div(x grad phi)        -  boundary integral of x u_b dphi/dn

with u from a grid of 41 x 41 points by Simpson's rule, and u_b, which is known, by Gauss's. Waves beyond 3 would bring
more noise than knowledge of alpha. The noise is 2.5 % of each field's root mean square, at every point of its grid;
u1 ... u16 are points of that grid.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tools.references.poisson_inverse import HALF, POINTS, boundary, solve
from tools.references.store import Array, difference, save

DEGREE, CHECK = 48, 96
COUNTS = {"train": 500, "test": 50}
LOWEST, HIGHEST, SEED = 0.05, 0.95, 20_200_334
NOISE = 0.025
SENSORS = np.arange(8, POINTS - 1, 8)  # along each input
WAVES = 3
GAUSS = 40
SIDE = 2 * HALF


def wave(k: int, x: Array, order: int = 0) -> Array:
    """The k-th sine of [-HALF, HALF] that is zero at both ends, of norm 1, or its first or second derivative."""
    rate = k * np.pi / SIDE
    angle = rate * (x + HALF)
    values = (np.sin(angle), rate * np.cos(angle), -rate**2 * np.sin(angle))[order]
    return np.asarray(np.sqrt(2 / SIDE) * values)


@cache
def weak() -> tuple[Array, Array, Array, Array]:
    """A = a + P : u and B = b + Q : u for each of the waves; P, Q [waves, POINTS, POINTS] with Simpson's weights."""
    x = np.linspace(-HALF, HALF, POINTS)
    simpson = np.ones(POINTS)
    simpson[1:-1:2], simpson[2:-1:2] = 4, 2
    weights = np.outer(simpson, simpson) * ((x[1] - x[0]) / 3) ** 2
    g, gw = (part * HALF for part in np.polynomial.legendre.leggauss(GAUSS))
    ends = np.array([-HALF, HALF])
    p, q, a, b = [], [], [], []
    for i in range(1, WAVES + 1):
        for j in range(1, WAVES + 1):
            laplacian = np.outer(wave(i, x, 2), wave(j, x)) + np.outer(wave(i, x), wave(j, x, 2))
            p.append(weights * laplacian)
            q.append(weights * (x[:, None] * laplacian + np.outer(wave(i, x, 1), wave(j, x))))
            source = ((g[:, None] + g) * np.outer(gw * wave(i, g), gw * wave(j, g))).sum()
            # outward derivatives at the low and the high end, times the wave along the edge
            in_x, in_y = np.array([-1, 1]) * wave(i, ends, 1), np.array([-1, 1]) * wave(j, ends, 1)
            across_x = in_x * (boundary(ends[:, None], g) * wave(j, g) * gw).sum(1)
            on_y = boundary(g, ends[:, None]) * wave(i, g) * gw
            a.append(source - across_x.sum() - (in_y * on_y.sum(1)).sum())
            b.append(-(ends * across_x).sum() - (in_y * (g * on_y).sum(1)).sum())
    return np.array(a), np.array(b), np.array(p), np.array(q)


def residual(fields: Array) -> tuple[Array, Array, Array]:
    """c0, c1, c2 [n] of fields [n, POINTS, POINTS]."""
    a, b, p, q = weak()
    first, second = a + np.einsum("nxy,kxy->nk", fields, p), b + np.einsum("nxy,kxy->nk", fields, q)
    return tuple((left * right).sum(1) / SIDE**2
                 for left, right in ((first, first), (first, second), (second, second)))


def columns(alphas: Array, fields: Array) -> dict[str, Array]:
    """What is stored of fields [n, POINTS, POINTS]."""
    seen = fields[:, SENSORS[:, None], SENSORS].reshape(len(fields), -1)
    c0, c1, c2 = residual(fields)
    return {**{f"u{k + 1}": seen[:, k] for k in range(seen.shape[1])}, "alpha": alphas, "c0": c0, "c1": c1, "c2": c2}


def noisy(fields: Array, generator: np.random.Generator) -> Array:
    """The fields with normal noise relative to each one's root mean square."""
    size = NOISE * np.sqrt((fields**2).mean((1, 2), keepdims=True))
    return np.asarray(fields + size * generator.normal(size=fields.shape))


def main() -> None:
    at = np.linspace(-HALF, HALF, POINTS)
    generator = np.random.Generator(np.random.PCG64(SEED))
    change = max(difference(solve(alpha, DEGREE, at), solve(alpha, CHECK, at)) for alpha in (LOWEST, HIGHEST))
    print(f"degree {DEGREE} against {CHECK}: {change:.1e}")
    for part, count in COUNTS.items():
        alphas = generator.uniform(LOWEST, HIGHEST, count)
        fields = np.array([solve(float(alpha), DEGREE, at) for alpha in alphas])
        for name, own in ((part, fields), (f"noise-{part}", noisy(fields, generator))):
            data = columns(alphas, own)
            missed = -data["c1"] / data["c2"] - alphas
            inputs = np.array([data[f"u{k + 1}"] for k in range(len(SENSORS) ** 2)])
            print(f"{name}: alpha of the least residual off by {np.sqrt((missed**2).mean()):.1e} (root mean square); "
                  f"u from {inputs.min():.3f} to {inputs.max():.3f}")
            save(f"poisson-family-{name}", **data)


if __name__ == "__main__":
    main()
