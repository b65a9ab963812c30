"""The family of inverse Poisson fields: what its columns mean, by finite differences and the equation as it stands."""

from __future__ import annotations

import numpy as np
import pytest

from tests.test_references import FAMILY, HALF, load, poisson_by_differences
from tools.references import poisson_family as family
from tools.references.store import Array

SENSORS = [name for name in FAMILY if name.startswith("u")]


def sensors(name: str) -> Array:
    """[fields, 16]."""
    return np.stack([load(name)[key] for key in SENSORS], 1)


@pytest.mark.parametrize("name", ["poisson-family-train", "poisson-family-test"])
def test_the_inputs_are_the_field_inside(name: str) -> None:
    row = 17
    alpha = float(load(name)["alpha"][row])
    coarse, fine = (poisson_by_differences(alpha, n)[::n // 5, ::n // 5][1:-1, 1:-1] for n in (40, 80))
    assert np.abs((fine + (fine - coarse) / 3).reshape(-1) - sensors(name)[row]).max() < 5e-6


def test_the_residual_is_that_of_the_equation() -> None:
    """A field that is no solution but has its boundary values: F by differentiation on paper, no parts."""
    at = np.linspace(-HALF, HALF, 41)
    bump = np.outer(at**2 - 0.5, at**2 - 0.5)
    u = np.outer(np.cos(np.pi * at), np.cos(np.pi * at)) + bump
    c0, c1, c2 = family.residual(u[None])
    g, gw = (part * HALF for part in np.polynomial.legendre.leggauss(50))
    x, y = np.meshgrid(g, g, indexing="ij")
    cos_x, cos_y = np.cos(np.pi * x), np.cos(np.pi * y)
    slope = -np.pi * np.sin(np.pi * x) * cos_y + 2 * x * (y**2 - 0.5)
    laplacian = -2 * np.pi**2 * cos_x * cos_y + 2 * (x**2 + y**2 - 1)
    for alpha in (0.0, 0.3, 0.95):
        f = (1 + alpha * x) * laplacian + alpha * slope + x + y
        seen = 0.0
        for i in range(1, 4):
            for j in range(1, 4):
                wave = np.sin(i * np.pi * (x / HALF + 1) / 2) * np.sin(j * np.pi * (y / HALF + 1) / 2) / HALF
                seen += float((np.outer(gw, gw) * f * wave).sum()) ** 2
        assert (c0 + 2 * c1 * alpha + c2 * alpha**2)[0] == pytest.approx(seen / (2 * HALF) ** 2, rel=2e-4)


def test_the_residual_is_least_at_the_true_alpha() -> None:
    for part in ("train", "test"):
        data = load(f"poisson-family-{part}")
        assert np.abs(-data["c1"] / data["c2"] - data["alpha"]).max() < 1e-4
        least = data["c0"] - data["c1"] ** 2 / data["c2"]
        assert (least > 0).all() and (least < 1e-6 * data["c2"]).all()


def test_fields_are_random_apart_and_noisy_as_said() -> None:
    train, test = (load(f"poisson-family-{part}")["alpha"] for part in ("train", "test"))
    assert len({*train, *test}) == 550
    assert min(train.min(), test.min()) >= 0.05 and max(train.max(), test.max()) <= 0.95
    assert train.mean() == pytest.approx(0.5, abs=0.03) and train.std() == pytest.approx(0.9 / np.sqrt(12), abs=0.02)
    for part in ("train", "test"):
        assert np.array_equal(load(f"poisson-family-noise-{part}")["alpha"], load(f"poisson-family-{part}")["alpha"])
        noise = sensors(f"poisson-family-noise-{part}") - sensors(f"poisson-family-{part}")
        assert noise.std() == pytest.approx(0.025 * 0.362, rel=0.05)  # the fields' root mean square is 0.359 to 0.367
        assert abs(noise.mean()) < 1e-3
