"""The annealing rules against their definitions written out by hand, and against their fixed points."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from core.balancing import Balancing

KERNELS = [slice(0, 6), slice(8, 20), slice(21, 24)]  # what lies between are biases
RESIDUAL = [True, False, False]


@pytest.fixture
def gradients() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    scale = torch.tensor([[50.0], [0.2], [0.004]], dtype=torch.float64)
    return torch.randn(3, 25, generator=generator, dtype=torch.float64) * scale


def settle(rule: str, gradients: torch.Tensor) -> torch.Tensor:
    balancing = Balancing(rule)
    weights = torch.ones(3, dtype=torch.float64)
    for _ in range(2000):
        weights, _ = balancing.update(weights, gradients, KERNELS, RESIDUAL)
    return weights


def parts(gradients: torch.Tensor, row: int) -> list[np.ndarray]:
    return [np.abs(gradients[row].numpy()[k]) for k in KERNELS]


@pytest.mark.parametrize("row", [1, 2])
def test_siam_settles_at_the_root_of_max_over_mean(gradients: torch.Tensor, row: int) -> None:
    top = max(g.max() for g in parts(gradients, 0))
    mean = np.mean([g.mean() for g in parts(gradients, row)])
    assert float(settle("annealing-siam", gradients)[row]) == pytest.approx(math.sqrt(top / mean), rel=1e-9)


@pytest.mark.parametrize("row", [1, 2])
def test_arxiv_settles_at_max_over_mean(gradients: torch.Tensor, row: int) -> None:
    g = gradients.numpy()
    assert float(settle("annealing-arxiv", gradients)[row]) == pytest.approx(
        np.abs(g[0]).max() / np.abs(g[row]).mean(), rel=1e-9)


@pytest.mark.parametrize("row", [1, 2])
def test_cavity_takes_the_largest_ratio_of_a_layer(gradients: torch.Tensor, row: int) -> None:
    ratio = max(r.max() / g.mean() for r, g in zip(parts(gradients, 0), parts(gradients, row), strict=True))
    assert float(settle("annealing-cavity", gradients)[row]) == pytest.approx(math.sqrt(ratio), rel=1e-9)


def test_one_update_is_the_moving_average(gradients: torch.Tensor) -> None:
    weights = torch.tensor([1.0, 7.0, 3.0], dtype=torch.float64)
    new, target = Balancing("annealing-siam", rate=0.1).update(weights, gradients, KERNELS, RESIDUAL)
    torch.testing.assert_close(new, 0.9 * weights + 0.1 * target)
    assert new[0] == 1.0, "the residual's weight is kept"


def test_a_gradient_of_zero_gives_a_finite_weight(gradients: torch.Tensor) -> None:
    gradients[1] = 0
    new, _ = Balancing("annealing-siam", floor=1e-6).update(torch.ones(3).double(), gradients, KERNELS, RESIDUAL)
    assert torch.isfinite(new).all()


def test_a_bad_gradient_does_not_spoil_the_weights(gradients: torch.Tensor) -> None:
    gradients[1, 3] = math.nan
    weights = torch.tensor([1.0, 7.0, 3.0], dtype=torch.float64)
    new, _ = Balancing("annealing-siam").update(weights, gradients, KERNELS, RESIDUAL)
    assert float(new[1]) == 7.0


def test_interval_counts_from_the_first_step() -> None:
    rule = Balancing("annealing-siam", interval=10)
    assert [k for k in range(25) if rule.due(k)] == [0, 10, 20]
    assert not any(Balancing("fixed").due(k) for k in range(25))


def test_an_unknown_rule_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match="no balancing rule 'anealing'"):
        Balancing("anealing")


@pytest.mark.parametrize("rule", ["annealing-siam", "annealing-arxiv", "annealing-cavity"])
def test_a_term_that_is_switched_off_stays_off(gradients: torch.Tensor, rule: str) -> None:
    """The weighted mean of its gradient is zero, so the ratio alone would give it all the weight there is."""
    weights = torch.tensor([1.0, 0.0, 3.0], dtype=torch.float64)
    new, _ = Balancing(rule).update(weights, gradients, KERNELS, RESIDUAL)
    assert new[1] == 0
    assert new[2] != 3
