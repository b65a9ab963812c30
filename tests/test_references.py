"""The stored reference solutions: their format, and that each is what it says, shown by another way than its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tools.references import __main__ as everything
from tools.references import burgers, cavity, cavity_differences, circles, poisson_inverse, signals, store
from tools.references.etdrk4 import Spectrum
from tools.references.orbits import invariant
from tools.references.store import Array

HALF = 1 / np.sqrt(2)
ALPHAS = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95]
Shape = tuple[dict[str, tuple[float, float, int]], list[str]]  # low, high and count of each input; fields
EVOLUTION: Shape = ({"t": (0, 1, 101), "x": (-1, 1, 257)}, ["u"])
GRIDS: dict[str, Shape] = {
    **{f"cavity-re{re}": ({"x": (0, 1, 101), "y": (0, 1, 101)}, ["psi", "u", "v", "speed"]) for re in (100, 1000)},
    "burgers": EVOLUTION, "allen-cahn": EVOLUTION, "kdv": EVOLUTION, "kuramoto-sivashinsky": EVOLUTION,
    "lorenz": ({"t": (0, 3, 301)}, ["x", "y", "z"]),
    "lotka-volterra": ({"t": (0, 10, 401)}, ["r", "p"]),
    **{f"poisson-inverse-{a:.2f}": ({"x": (-HALF, HALF, 41), "y": (-HALF, HALF, 41)}, ["u"]) for a in ALPHAS},
    "image-rings": ({"x": (-1, 1, 64), "y": (-1, 1, 64)}, ["v"]),
    "tone": ({"t": (-100, 100, 2000)}, ["v"]),
}
FAMILY = [*(f"u{k}" for k in range(1, 17)), "alpha", "c0", "c1", "c2"]  # what they mean: test_references_family
SCATTERED = {
    "circles": (1000, ["x", "y", "label"]),
    "oblique": (300, ["x", "y", "u"]),
    **{f"poisson-family-{noise}{part}": (rows, FAMILY)
       for noise in ("", "noise-") for part, rows in (("train", 500), ("test", 50))},
}


@cache
def load(name: str) -> dict[str, Array]:
    with np.load(store.FOLDER / f"{name}.npz", allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def derivative(a: Array, step: float, axis: int = 0) -> Array:
    """First derivative by central differences of eighth order; four values fewer at each end of that axis."""
    a = np.moveaxis(a, axis, 0)
    n = len(a) - 8
    total = sum(w * (a[4 + k:4 + k + n] - a[4 - k:4 - k + n])
                for k, w in zip((1, 2, 3, 4), (4 / 5, -1 / 5, 4 / 105, -1 / 280), strict=True))
    return np.moveaxis(np.asarray(total) / step, 0, axis)


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_has_its_axes_and_fields(name: str) -> None:
    inputs, fields = GRIDS[name]
    data = load(name)
    assert list(data) == [*inputs, *fields]
    assert all(array.dtype == np.float64 and np.isfinite(array).all() for array in data.values())
    for key, (low, high, count) in inputs.items():
        assert np.allclose(data[key], np.linspace(low, high, count), rtol=0, atol=1e-14)
    shape = tuple(count for _, _, count in inputs.values())
    assert all(data[field].shape == shape for field in fields)


@pytest.mark.parametrize("name", SCATTERED)
def test_scattered_points_have_columns_of_one_length(name: str) -> None:
    rows, columns = SCATTERED[name]
    data = load(name)
    assert list(data) == columns
    assert all(array.shape == (rows,) and np.isfinite(array).all() for array in data.values())


def test_every_file_is_small_known_and_described() -> None:
    files = {path.stem: path for path in store.FOLDER.glob("*.npz")}
    assert set(files) == set(GRIDS) | set(SCATTERED)
    assert {name for name, path in files.items() if path.stat().st_size > store.LARGEST} == set()
    readme = (store.FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in files if f"`{name.split('-0.')[0]}" not in readme] == []


def test_what_is_not_finite_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match="wrong: 'u' has values that are NaN or infinite"):
        store.save("wrong", x=np.zeros(2), u=np.array([0, np.nan]))
    with pytest.raises(ValueError, match="more than the 400000 a reference may have"):
        store.save("large", x=np.random.Generator(np.random.PCG64(0)).uniform(size=60_000))


def test_a_script_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert everything.main(["cavty"]) == 2
    assert "there is no script cavty; there are cavity, " in capsys.readouterr().err
    assert all((Path(everything.__file__).parent / f"{name}.py").exists() for name in everything.SCRIPTS)


# ---- cavity


@pytest.mark.parametrize(("name", "published", "within"), [
    ("cavity-re100", (-0.2140424, 0.1795728, -0.2538030), 2e-7),
    ("cavity-re1000", (-0.3885698, 0.3769447, -0.5270771), 2e-5)])
def test_cavity_agrees_with_botella_and_peyret(name: str, published: tuple[float, ...], within: float) -> None:
    """Their 1998 values, seven digits, from a polynomial through the stored points about each extreme."""
    data = load(name)
    middle = 50
    found = [extreme(data["y"], data["u"][middle], -1), extreme(data["x"], data["v"][:, middle], 1),
             extreme(data["x"], data["v"][:, middle], -1)]
    assert np.allclose(found, published, rtol=0, atol=within)


def extreme(x: Array, values: Array, sign: int) -> float:
    k = int(np.argmax(sign * values))
    near = slice(k - 4, k + 5)
    line = np.polynomial.Polynomial.fit(x[near], values[near], 8)
    return float(sign * (sign * line(np.linspace(x[k - 1], x[k + 1], 2001))).max())


@pytest.mark.parametrize(("reynolds", "within"), [(100, 1e-7), (1000, 1e-4)])
def test_cavity_carries_its_vorticity(reynolds: int, within: float) -> None:
    """int w (u . grad f + lap f / Re) = 0 for f that is smooth and zero outside a box: w = v_x - u_y.

    The equation's own residual would ask for fourth derivatives, in which the corners' rest is still seen.
    """
    data, h, inside = load(f"cavity-re{reynolds}"), 0.01, np.s_[4:-4]
    u, v = data["u"][inside, inside], data["v"][inside, inside]
    assert np.abs(derivative(data["psi"], h, 1)[inside] - u)[10:-10, 10:-10].max() < within
    assert np.abs(derivative(data["psi"], h, 0)[:, inside] + v)[10:-10, 10:-10].max() < within
    w = derivative(data["v"], h, 0)[:, inside] - derivative(data["u"], h, 1)[inside]
    for left, low in ((0.05, 0.05), (0.3, 0.2), (0.05, 0.45), (0.5, 0.45), (0.3, 0.5)):
        bump = np.polynomial.Polynomial([0, 1, -1]) ** 6
        x, y = (data["x"][inside] - left) / 0.45, (data["y"][inside] - low) / 0.45
        fx, fy = ([np.where((s > 0) & (s < 1), bump.deriv(k)(s), 0) / 0.45**k for k in range(3)] for s in (x, y))
        carried = w * (u * np.outer(fx[1], fy[0]) + v * np.outer(fx[0], fy[1]))
        diffused = w * (np.outer(fx[2], fy[0]) + np.outer(fx[0], fy[2])) / reynolds
        assert abs((carried + diffused).sum()) < 1e-6 * np.abs(carried).sum()


@pytest.mark.parametrize("name", ["cavity-re100", "cavity-re1000"])
def test_cavity_keeps_its_walls(name: str) -> None:
    data = load(name)
    assert (data["u"][:, -1] == 1).all()
    for wall in (np.s_[0, :-1], np.s_[-1, :-1], np.s_[:, 0]):
        assert not data["speed"][wall].any()
    assert not any(data["psi"][edge].any() for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]))
    assert np.array_equal(data["speed"], np.hypot(data["u"], data["v"]))


def test_cavity_agrees_with_finite_differences() -> None:
    psi, _ = cavity_differences.solve(16)
    finer, _ = cavity_differences.solve(32)
    best = cavity_differences.extrapolated(psi, finer[1::2, 1::2])
    data = load("cavity-re100")
    points = np.arange(1, 16) / 16
    row = np.array([np.interp(points, data["x"], column) for column in data["psi"].T])
    known = np.array([np.interp(points, data["y"], line) for line in row.T])
    assert np.abs(finer[1::2, 1::2] - known).max() < 0.04 * np.abs(known).max()
    assert np.abs(best - known).max() < 0.01 * np.abs(known).max()


def test_cavity_is_what_its_script_gives() -> None:
    data = load("cavity-re100")
    points = data["x"][::10]
    psi, u, v = cavity.solve(20).flow(points, points)
    assert np.abs(psi - data["psi"][::10, ::10]).max() < 1e-4
    assert max(np.abs(u - data["u"][::10, ::10]).max(), np.abs(v - data["v"][::10, ::10]).max()) < 1e-2


# ---- equations in time


def leads_on(u: Array, symbol: Callable[[Array], Spectrum], factor: float, steps: int) -> Array:
    """Each row u(t_i) taken to t_(i + 1) = t_i + 0.01 under u_t = L u - factor u u_x, by integrating factor and RK4."""
    k = np.pi * np.arange(u.shape[1] // 2 + 1)
    h = 0.01 / steps
    half = np.exp(h / 2 * symbol(k))
    keep = k <= k[-1] * 2 / 3

    def slope(v: Spectrum) -> Spectrum:
        return np.where(keep, -0.5j * factor * k * np.fft.rfft(np.fft.irfft(v) ** 2), 0)

    v = np.fft.rfft(u)
    for _ in range(steps):
        k1 = slope(v)
        k2 = slope(half * (v + h / 2 * k1))
        k3 = slope(half * v + h / 2 * k2)
        k4 = slope(half**2 * v + h * half * k3)
        v = half**2 * v + h / 6 * (half**2 * k1 + 2 * half * (k2 + k3) + k4)
    return np.fft.irfft(v)


@pytest.mark.parametrize(("name", "symbol", "factor", "rows"), [
    ("kdv", lambda k: 0.022**2 * 1j * k**3, 1.0, 100),
    ("kuramoto-sivashinsky", lambda k: 0.5 * k**2 - 0.005 * k**4, 5.0, 100),
    ("burgers", lambda k: -0.01 / np.pi * k**2, 1.0, 25),  # 256 points do not hold the front that comes later
])
def test_each_row_leads_to_the_next(name: str, symbol: Callable[[Array], Spectrum], factor: float, rows: int) -> None:
    u = load(name)["u"][:, :-1]
    ahead = leads_on(u[:rows], symbol, factor, 100)
    assert np.abs(ahead - u[1:rows + 1]).max() < 2e-6 * np.abs(u).max()


@pytest.mark.parametrize(("name", "start"), [
    ("burgers", lambda x: -np.sin(np.pi * x)), ("allen-cahn", lambda x: x**2 * np.cos(np.pi * x)),
    ("kdv", lambda x: np.cos(np.pi * x)), ("kuramoto-sivashinsky", lambda x: -np.sin(np.pi * x)),
])
def test_the_first_row_is_the_start_and_the_ends_are_the_same(name: str, start: Callable[[Array], Array]) -> None:
    data = load(name)
    assert np.abs(data["u"][0] - start(data["x"])).max() < 1e-15
    assert np.array_equal(data["u"][:, 0], data["u"][:, -1])


def test_burgers_agrees_with_gauss_hermite_quadrature() -> None:
    data = load("burgers")
    z, weight = np.polynomial.hermite.hermgauss(180)
    viscosity = 0.01 / np.pi
    for row in (30, 60, 100):
        y = data["x"][1:-1, None] - z * 2 * np.sqrt(viscosity * data["t"][row])
        part = weight * np.exp(-(np.cos(np.pi * y) + 1) / (2 * np.pi * viscosity))
        u = -(part * np.sin(np.pi * y)).sum(1) / part.sum(1)
        assert np.abs(u - data["u"][row, 1:-1]).max() < 1e-9
    assert not data["u"][:, [0, 128, 256]].any()


def test_burgers_has_the_published_slope() -> None:
    assert burgers.slope_at_origin(1.6037 / np.pi) == pytest.approx(-152.00516, abs=1e-5)


def test_kdv_keeps_mass_momentum_and_energy() -> None:
    u = load("kdv")["u"][:, :-1]
    k = np.pi * np.arange(129)
    slope = np.fft.irfft(1j * k * np.fft.rfft(u) * (k < k[-1]))
    for density in (u, u**2, u**3 / 6 - 0.022**2 * slope**2 / 2):
        assert np.ptp(density.mean(1)) < 1e-6


def test_allen_cahn_agrees_with_splitting() -> None:
    """Diffusion and reaction in turn, each exactly (Strang); 1024 points, 1000 steps."""
    data = load("allen-cahn")
    h, x = 1e-3, -1 + 2 * np.arange(1024) / 1024
    diffusion = np.exp(-1e-4 * h / 2 * (np.pi * np.arange(513)) ** 2)
    u = x**2 * np.cos(np.pi * x)
    for step in range(1, 1001):
        u = np.fft.irfft(diffusion * np.fft.rfft(u))
        u = u / np.sqrt(u**2 + (1 - u**2) * np.exp(-10 * h))
        u = np.fft.irfft(diffusion * np.fft.rfft(u))
        if step in (100, 300, 500, 1000):  # early on the kink at the ends, sampled, is what the splitting lacks
            bound = {100: 1e-4, 300: 1e-5}.get(step, 1e-6)
            assert np.abs(u[::4] - data["u"][step // 10, :-1]).max() < bound


def test_orbits_satisfy_their_equations() -> None:
    data = load("lorenz")
    x, y, z = (data[key] for key in "xyz")
    assert (x[0], y[0], z[0]) == (-8, 7, 27)
    for s, right in ((x, 10 * (y - x)), (y, x * (15 - z) - y), (z, x * y - 8 / 3 * z)):
        assert np.abs(derivative(s, 0.01) - right[4:-4]).max() < 1e-6 * np.abs(right).max()
    data = load("lotka-volterra")
    r, p = data["r"], data["p"]
    assert (r[0], p[0]) == (0.9, 0.9)
    assert np.ptp(invariant(r, p)) < 1e-13
    for s, right in ((r, 2 / 3 * r - 4 / 3 * r * p), (p, r * p - p)):
        assert np.abs(derivative(s, 0.025) - right[4:-4]).max() < 1e-9


# ---- the inverse Poisson problem, and data to fit


@pytest.mark.parametrize("alpha", ALPHAS)
def test_poisson_agrees_with_finite_differences(alpha: float) -> None:
    known = load(f"poisson-inverse-{alpha:.2f}")["u"]
    coarse, fine = (poisson_by_differences(alpha, n)[::n // 40, ::n // 40] for n in (40, 80))
    assert np.abs(fine - known).max() < 1e-3
    missed = np.abs(fine + (fine - coarse) / 3 - known)
    assert missed.max() < 2e-5 and missed[4:-4, 4:-4].max() < 2e-6  # in the corners u is like r^2 log r


def poisson_by_differences(alpha: float, n: int) -> Array:
    """Second order, fluxes between the points; eigenvectors in y, then one tridiagonal system for each of them."""
    x = np.linspace(-HALF, HALF, n + 1)
    h = x[1] - x[0]
    u = np.cos(np.pi * x)[:, None] * np.cos(np.pi * x)
    right = -h**2 * (x[1:-1, None] + x[1:-1])
    between, at = 1 + alpha * (x[1:] + x[:-1]) / 2, 1 + alpha * x[1:-1]
    right[0] -= between[0] * u[0, 1:-1]
    right[-1] -= between[-1] * u[-1, 1:-1]
    right[:, 0] -= at * u[1:-1, 0]
    right[:, -1] -= at * u[1:-1, -1]
    in_x = np.diag(-between[:-1] - between[1:]) + np.diag(between[1:-1], 1) + np.diag(between[1:-1], -1)
    values, vectors = np.linalg.eigh(np.diag(np.ones(n - 2), 1) + np.diag(np.ones(n - 2), -1) - 2 * np.eye(n - 1))
    turned = right @ vectors
    solved = [np.linalg.solve(in_x + value * np.diag(at), column)
              for value, column in zip(values, turned.T, strict=True)]
    u[1:-1, 1:-1] = np.array(solved).T @ vectors.T
    return u


def test_poisson_is_what_its_script_gives() -> None:
    data = load("poisson-inverse-0.95")
    assert np.abs(poisson_inverse.solve(0.95, 32, data["x"]) - data["u"]).max() < 2e-6


def test_circles_are_those_of_scikit_learn() -> None:
    """The first rows as its version 1.9.1 prints them; all 1000 were compared once and are the same."""
    data = load("circles")
    assert np.allclose(data["x"][:2], [0.7016364, -0.13136975], rtol=0, atol=1e-8)
    assert np.allclose(data["y"][:2], [-0.05590685, -0.67196877], rtol=0, atol=1e-8)
    assert data["label"][:6].tolist() == [1, 1, -1, 1, 1, 1]
    assert data["label"].sum() == 0
    radius = np.where(data["label"] > 0, 0.7, 1.0)
    assert np.abs(np.hypot(data["x"], data["y"]) - radius).max() < 0.05
    assert all(np.array_equal(a, b) for a, b in zip(circles.circles(), data.values(), strict=True))


def test_the_tone_has_its_pitch_and_the_picture_its_parts() -> None:
    tone = load("tone")["v"]
    assert np.abs(tone).max() == 1
    alike = [float(tone[lag:] @ tone[:-lag]) for lag in range(20, 60)]
    assert 20 + int(np.argmax(alike)) in (36, 37)  # 8000 / 36.5 = 219 Hz
    data = load("image-rings")
    grey = data["v"]
    assert grey.min() >= -1 and grey.max() <= 1
    assert grey[np.ix_(np.abs(data["x"] + 0.5) < 0.2, np.abs(data["y"] + 0.5) < 0.2)] == pytest.approx(1.0)
    assert np.array_equal(grey, signals.picture(*np.meshgrid(data["x"], data["y"], indexing="ij")))
    assert np.array_equal(tone, signals.plucked())
