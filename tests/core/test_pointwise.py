"""Weights of points against autograd, recursions written out in numpy, and a causal profile in closed form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from core.pointwise import PointWeights, causal_weights, grouped, next_epsilon

R = torch.tensor([3.0, -1.0, 0.5, 0.0, -40.0, 10.0], dtype=torch.float64)
TERMS = torch.tensor([0, 0, 0, 0, 2, 2])
SCALES = torch.tensor([0.25, 0.25, 0.25, 0.25, 3.0, 3.0], dtype=torch.float64)


def test_self_adaptive_ascends_the_loss_by_its_gradient() -> None:
    rule = PointWeights("self-adaptive", rate=0.3)
    lam = torch.tensor([1.0, 2.0, 0.5, 1.0, 1.5, 1.0], dtype=torch.float64, requires_grad=True)
    loss = (SCALES * rule_mask(lam) * R**2).sum()
    (gradient,) = torch.autograd.grad(loss, lam)
    new = rule.update(lam.detach(), R, TERMS, 3, SCALES)
    torch.testing.assert_close(new, lam.detach() + 0.3 * gradient)
    torch.testing.assert_close(rule.factor(lam), rule_mask(lam).detach())
    assert rule.start(6, torch.float32).tolist() == [1.0] * 6


def rule_mask(lam: torch.Tensor) -> torch.Tensor:
    return lam**2


def test_residual_attention_is_relative_to_each_term_s_largest() -> None:
    rule = PointWeights("residual-attention", rate=0.1, decay=0.9)
    lam = rule.start(6, torch.float64)
    assert lam.tolist() == [0.0] * 6
    expected = np.zeros(6)
    for _ in range(3):
        lam = rule.update(lam, R, TERMS, 3, SCALES)
        expected = 0.9 * expected + 0.1 * np.array([1, 1 / 3, 1 / 6, 0, 1, 0.25])
        np.testing.assert_allclose(lam.numpy(), expected, rtol=1e-12)
    for _ in range(400):
        lam = rule.update(lam, R, TERMS, 3, SCALES)
    assert float(lam.max()) == pytest.approx(0.1 / (1 - 0.9)), "the bound rate / (1 - decay)"


@pytest.mark.parametrize("kind", ["self-adaptive", "residual-attention"])
def test_a_residual_that_is_not_finite_changes_its_own_row_at_most(kind: str) -> None:
    rule = PointWeights(kind)
    bad = R.clone()
    bad[4] = math.inf
    lam = torch.full((6,), 0.7, dtype=torch.float64)
    new = rule.update(lam, bad, TERMS, 3, SCALES)
    assert new[4] == 0.7
    assert torch.isfinite(new).all()
    assert new[5] != 0.7


@pytest.mark.parametrize("kind", ["self-adaptive", "residual-attention"])
def test_an_update_can_be_traced_and_carries_no_gradient(kind: str) -> None:
    rule = PointWeights(kind)

    def update(lam: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        return rule.update(lam, r, TERMS, 3, SCALES)

    lam = torch.full((6,), 0.7, dtype=torch.float64)
    graph = make_fx(update, tracing_mode="fake", _allow_non_fake_inputs=True)(lam, R)
    torch.testing.assert_close(graph(lam, -2 * R), update(lam, -2 * R))
    assert not update(lam, R.clone().requires_grad_()).requires_grad


def test_all_residuals_zero_is_no_division_by_zero() -> None:
    rule = PointWeights("residual-attention", decay=0.5)
    lam = torch.ones(6, dtype=torch.float32)
    assert rule.update(lam, torch.zeros(6), TERMS, 3, SCALES.float()).tolist() == [0.5] * 6


def test_only_those_that_remember_have_multipliers() -> None:
    assert not PointWeights("equal").remembers
    assert PointWeights("equal").start(5, torch.float32).shape == (0,)
    assert not PointWeights("causal").remembers
    assert PointWeights("causal", epsilon=0.5).start(5, torch.float64).tolist() == [0.5]
    with pytest.raises(ValueError, match="'causal' has no multipliers"):
        PointWeights("causal").update(R, R, TERMS, 3, SCALES)


@pytest.mark.parametrize(("wrong", "words"), [
    ({"kind": "casual"}, "no weighting of points 'casual'"),
    ({"rate": 0.0}, "rate of the points' weights is positive"),
    ({"decay": 1.0}, "below 1"),
    ({"chunks": 0}, "1 or more chunks"),
    ({"epsilon": -1.0}, "epsilon of causal weights is positive"),
])
def test_wrong_parameters_get_a_sentence(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PointWeights(**wrong)


# ---------------------------------------------------------------------- causal

def scattered() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    time = torch.rand(200, generator=generator, dtype=torch.float64)
    time[0], time[1] = 0.0, 1.0  # a grid holds both ends
    return torch.rand(200, generator=generator, dtype=torch.float64) ** 2, time


def test_causal_weights_by_the_formula_chunk_by_chunk() -> None:
    squares, time = scattered()
    weights = causal_weights(squares, time, 7, 2.0).numpy()
    chunk = np.minimum((time.numpy() * 7).astype(int), 6)
    means = [squares.numpy()[chunk == k].mean() for k in range(7)]
    for k in range(7):
        np.testing.assert_allclose(weights[chunk == k], math.exp(-2.0 * sum(means[:k])), rtol=1e-12)
    assert (weights[chunk == 0] == 1).all(), "nothing comes before the first"


def test_causal_weights_of_a_constant_residual_fall_as_an_exponential() -> None:
    time = (torch.arange(100, dtype=torch.float64) + 0.5) / 100
    weights = causal_weights(torch.full((100,), 0.3).double(), time, 10, 1.5)
    expected = np.exp(-1.5 * 0.3 * np.repeat(np.arange(10), 10))
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)


def test_a_chunk_without_points_holds_nothing_back() -> None:
    time = torch.tensor([0.05, 0.95], dtype=torch.float64)
    weights = causal_weights(torch.tensor([2.0, 9.0]).double(), time, 10, 0.5)
    np.testing.assert_allclose(weights.numpy(), [1.0, math.exp(-1.0)], rtol=1e-12)


def test_causal_weights_can_be_traced_with_epsilon_as_an_input_and_carry_no_gradient() -> None:
    squares, time = scattered()

    def weigh(s: torch.Tensor, t: torch.Tensor, epsilon: torch.Tensor) -> torch.Tensor:
        return causal_weights(s, t, 8, epsilon)

    graph = make_fx(weigh, tracing_mode="fake")(squares, time, torch.tensor([1.0]).double())
    for epsilon in (0.1, 30.0):
        torch.testing.assert_close(graph(2 * squares, time.flip(0), torch.tensor([epsilon]).double()),
                                   causal_weights(2 * squares, time.flip(0), 8, epsilon))
    assert not causal_weights(squares.requires_grad_(), time, 8, 1.0).requires_grad


def test_epsilon_goes_through_the_paper_s_values_and_stays_at_the_last() -> None:
    assert next_epsilon(torch.zeros(0), 1.0) == 1.0, "nothing was weighed"
    done, waiting = torch.full((5,), 0.995), torch.tensor([1.0, 0.989])
    epsilon, seen = 1e-2, []
    for _ in range(6):
        assert next_epsilon(waiting, epsilon) == epsilon
        # it is kept in the run's precision between two steps
        epsilon = float(torch.tensor(next_epsilon(done, epsilon), dtype=torch.float32))
        seen.append(epsilon)
    assert seen == pytest.approx([0.1, 1, 10, 100, 100, 100])


@pytest.mark.parametrize("masked", [1, 450, 4_000_000])
def test_sums_of_groups_whatever_is_looked_at_together(masked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.pointwise.MASKED", masked)
    values, time = scattered()
    group = (time * 6).long().clamp(0, 5) + 1  # none in the first
    truth = [float(values[group == k].sum()) for k in range(8)]
    np.testing.assert_allclose(grouped(values, group, 8).numpy(), truth, rtol=1e-12)
