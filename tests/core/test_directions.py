"""Directions by the properties that define them, on gradients of very unequal size that disagree."""

from __future__ import annotations

import math
from itertools import combinations
from typing import get_args

import numpy as np
import pytest
import torch

from core.choices import Direction
from core.directions import DIRECTIONS

CAREFUL = ["config", "pcgrad", "dual-cone"]


def direction(name: str, gradients: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return DIRECTIONS[name](gradients, torch.Generator().manual_seed(seed))


def conflicting(terms: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Gradients [T, 30] that share a negative direction with each other; norms from 1 to 1e-4."""
    generator = torch.Generator().manual_seed(seed)
    g = torch.randn(terms, 30, generator=generator, dtype=torch.float64)
    g -= 0.8 * g.mean(0)
    return (g * torch.logspace(0, -4, terms, dtype=torch.float64).unsqueeze(1)).to(dtype)


def cosines(gradients: torch.Tensor, d: torch.Tensor) -> np.ndarray:
    g, v = gradients.double().numpy(), d.double().numpy()
    return g @ v / np.linalg.norm(g, axis=1) / np.linalg.norm(v)


def test_every_direction_that_can_be_chosen_is_there() -> None:
    assert set(DIRECTIONS) == set(get_args(Direction))


# ---------------------------------------------------------------------- what all have in common

@pytest.mark.parametrize("name", DIRECTIONS)
def test_one_term_keeps_its_gradient(name: str) -> None:
    g = conflicting(1, 0)
    torch.testing.assert_close(direction(name, g), g[0])


@pytest.mark.parametrize("name", DIRECTIONS)
def test_terms_that_agree_give_the_sum(name: str) -> None:
    g = torch.tensor([3.0, 0.001, 40.0]).double().outer(torch.tensor([1.0, -2.0, 0.5, 0.0]).double())
    torch.testing.assert_close(direction(name, g), g.sum(0))


@pytest.mark.parametrize("name", DIRECTIONS)
def test_a_gradient_of_zero_has_no_say(name: str) -> None:
    g = conflicting(3, 5)
    padded = torch.stack([g[0], torch.zeros(30).double(), g[1], g[2]])
    assert torch.equal(direction(name, torch.zeros(2, 5)), torch.zeros(5))
    if name != "pcgrad":  # whose random orders differ
        torch.testing.assert_close(direction(name, padded), direction(name, g))
    torch.testing.assert_close(direction(name, padded[:2]), g[0])


@pytest.mark.parametrize("name", DIRECTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opposite_gradients_cancel(name: str, dtype: torch.dtype) -> None:
    g = conflicting(1, 2, dtype)
    both = torch.cat((g, -3 * g))
    expected = both.sum(0) if name == "sum" else torch.zeros(30, dtype=dtype)
    torch.testing.assert_close(direction(name, both), expected)


@pytest.mark.parametrize("name", DIRECTIONS)
def test_gradients_that_are_not_finite_reach_the_trainer(name: str) -> None:
    g = conflicting(3, 0)
    g[1, 4] = math.nan
    assert not torch.isfinite(direction(name, g)).all()


@pytest.mark.parametrize("name", DIRECTIONS)
def test_the_gradients_are_left_as_they_are_and_the_dtype_kept(name: str) -> None:
    g = conflicting(4, 1, torch.float32)
    before = g.clone()
    assert direction(name, g).dtype == torch.float32
    assert torch.equal(g, before)


@pytest.mark.parametrize("name", ["config", "dual-cone"])
@pytest.mark.parametrize("terms", [2, 3, 6])
def test_the_length_is_the_projection_of_the_sum(name: str, terms: int) -> None:
    g = conflicting(terms, terms)
    d = direction(name, g).numpy()
    unit = d / np.linalg.norm(d)
    assert np.linalg.norm(d) == pytest.approx(float(g.numpy().sum(0) @ unit), rel=1e-9)


# ---------------------------------------------------------------------- ConFIG

@pytest.mark.parametrize("terms", [2, 3, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_config_has_the_same_positive_cosine_with_all(terms: int, dtype: torch.dtype) -> None:
    g = conflicting(terms, terms, dtype)
    cos = cosines(g, direction("config", g))
    assert cos[0] > 0
    np.testing.assert_allclose(cos, cos[0], rtol=1e-4 if dtype == torch.float32 else 1e-9)


def test_config_lies_in_the_span_of_the_gradients_only() -> None:
    """Among all vectors with equal cosines it is the one of largest cosine: nothing orthogonal is mixed in."""
    g = conflicting(3, 4)
    d = direction("config", g).numpy()
    coefficients = np.linalg.lstsq(g.numpy().T, d, rcond=None)[0]
    np.testing.assert_allclose(coefficients @ g.numpy(), d, atol=1e-12)


def test_config_of_two_is_the_bisector() -> None:
    g = torch.tensor([[2.0, 0.0, 0.0], [-0.3, 0.4, 0.0]], dtype=torch.float64)
    bisector = np.array([1.0 - 0.6, 0.8, 0.0])
    bisector /= np.linalg.norm(bisector)
    expected = bisector * (g.numpy().sum(0) @ bisector)
    np.testing.assert_allclose(direction("config", g).numpy(), expected, rtol=1e-12, atol=1e-15)


def test_config_with_a_repeated_gradient() -> None:
    """Linearly dependent, so the Gram matrix is singular, and yet equal cosines exist."""
    g = conflicting(2, 9)
    cos = cosines(g, direction("config", torch.cat((g, 5 * g[:1]))))
    assert cos[0] > 0
    np.testing.assert_allclose(cos, cos[0], rtol=1e-9)


# ---------------------------------------------------------------------- PCGrad

def test_pcgrad_without_conflict_is_the_sum() -> None:
    g = torch.rand(5, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(direction("pcgrad", g), g.sum(0))


def test_pcgrad_of_two_takes_off_what_opposes() -> None:
    a, b = np.array([2.0, 0.5, 0.0]), np.array([-0.3, 0.4, 0.1])
    assert a @ b < 0
    expected = a - (a @ b) / (b @ b) * b + b - (a @ b) / (a @ a) * a
    np.testing.assert_allclose(direction("pcgrad", torch.tensor(np.stack((a, b)))).numpy(), expected, rtol=1e-12)


def test_pcgrad_is_one_of_the_paper_s_orders_and_the_generator_chooses() -> None:
    """Three terms: each passes the two others in one of two orders, so there are eight possible results."""
    g = conflicting(3, 5)
    rows = g.numpy()
    assert ((rows @ rows.T)[~np.eye(3, dtype=bool)] < 0).all()

    def passed(i: int, order: tuple[int, int]) -> np.ndarray:
        left = rows[i].copy()
        for j in order:
            left -= min(0.0, left @ rows[j]) / (rows[j] @ rows[j]) * rows[j]
        return left

    choices = [[passed(i, (j, k)), passed(i, (k, j))] for i, j, k in ((0, 1, 2), (1, 0, 2), (2, 0, 1))]
    possible = np.array([a + b + c for a in choices[0] for b in choices[1] for c in choices[2]])
    found = set()
    for seed in range(40):
        d = direction("pcgrad", g, seed).numpy()
        near = np.linalg.norm(possible - d, axis=1)
        assert near.min() < 1e-12
        found.add(int(near.argmin()))
        assert torch.equal(direction("pcgrad", g, seed), torch.tensor(d))
    assert len(found) > 3


# ---------------------------------------------------------------------- dual cone

@pytest.mark.parametrize("terms", [2, 3, 6, 20])
def test_dual_cone_hurts_no_term(terms: int) -> None:
    outside = 0
    for seed in range(20):
        g = conflicting(terms, seed)
        d = direction("dual-cone", g)
        assert float(d.norm()) > 0
        assert cosines(g, d).min() > -1e-10
        unit = g / g.norm(dim=1, keepdim=True)
        outside += int((unit @ unit.sum(0)).min() < 0)
    assert (outside > 5) == (terms > 2), "with three or more the plain centre would have hurt one"


def test_dual_cone_of_two_is_the_centre() -> None:
    g = conflicting(2, 3)
    a, b = g.numpy()
    centre = a / np.linalg.norm(a) + b / np.linalg.norm(b)
    expected = ((a + b) @ centre) / (centre @ centre) * centre
    np.testing.assert_allclose(direction("dual-cone", g).numpy(), expected, rtol=1e-10)


def test_dual_cone_goes_to_the_nearest_point_where_the_centre_is_outside() -> None:
    """Two that agree against one: 1, 1 and about -1. The nearest direction is orthogonal to the one in the way."""
    g = torch.tensor([[1.0, 0.1], [1.0, 0.1], [-1.0, 0.2]], dtype=torch.float64)
    unit = g.numpy() / np.linalg.norm(g.numpy(), axis=1, keepdims=True)
    centre = unit.sum(0)
    assert centre @ unit[2] < 0
    nearest = centre - (centre @ unit[2]) * unit[2]
    assert (unit @ nearest > -1e-12).all()
    d = direction("dual-cone", g).numpy()
    np.testing.assert_allclose(d / np.linalg.norm(d), nearest / np.linalg.norm(nearest), rtol=1e-9)


def test_dual_cone_finds_the_nearest_point_among_all_faces_of_the_cone() -> None:
    """Against every face tried in turn. With the last four seeds terms not only enter the active set but leave it."""
    for seed in (*range(8), 39, 118, 128, 199):
        g = torch.randn(6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        g -= 0.8 * g.mean(0)
        unit = g.numpy() / np.linalg.norm(g.numpy(), axis=1, keepdims=True)
        centre = unit.sum(0)
        nearest, least = centre, np.inf
        for face in (list(f) for n in range(7) for f in combinations(range(6), n)):
            point = centre - unit[face].T @ np.linalg.lstsq(unit[face].T, centre, rcond=None)[0]
            if (unit @ point).min() > -1e-9 and np.linalg.norm(point - centre) < least:
                nearest, least = point, float(np.linalg.norm(point - centre))
        d = direction("dual-cone", g).numpy()
        np.testing.assert_allclose(d / np.linalg.norm(d), nearest / np.linalg.norm(nearest), atol=1e-8)


def test_dual_cone_is_zero_where_no_direction_serves_all() -> None:
    """Three gradients whose positive combination is zero span the plane: their dual cone is the origin."""
    g = torch.tensor([[1.0, 0.0], [-2.0, 5.0], [-2.0, -1.0]], dtype=torch.float64)
    assert torch.equal(direction("dual-cone", g), torch.zeros(2).double())
