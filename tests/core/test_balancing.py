"""The balancing rules against their definitions written out by hand, and against their fixed points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from core.balancing import Balancing, Seen
from core.choices import RULES

KERNELS = [slice(0, 6), slice(8, 20), slice(21, 24)]  # what lies between are biases
RESIDUAL = [True, False, False]
ANNEALING = ["annealing-siam", "annealing-arxiv", "annealing-cavity"]
EQUALIZING = ["gradient-norm", "inverse-dirichlet", "ntk"]


@pytest.fixture
def gradients() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    scale = torch.tensor([[50.0], [0.2], [0.004]], dtype=torch.float64)
    return torch.randn(3, 25, generator=generator, dtype=torch.float64) * scale


def see(weights: Any, **rest: Any) -> Seen:
    weights = torch.as_tensor(weights, dtype=torch.float64)
    given: dict[str, Any] = {"kernels": KERNELS, "residual": RESIDUAL, "fixed": [False] * len(weights),
                             "memory": torch.zeros(0), "generator": torch.Generator().manual_seed(0)}
    return Seen(weights=weights, **(given | rest))


def everything(weights: Any, gradients: torch.Tensor, **rest: Any) -> Seen:
    """What any of the rules may want to see."""
    given: dict[str, Any] = {"gradients": gradients, "traces": gradients.square().sum(1),
                             "losses": torch.ones(3).double(), "memory": torch.zeros(3, 3).double()}
    return see(weights, **(given | rest))


def settle(rule: str, gradients: torch.Tensor) -> torch.Tensor:
    balancing = Balancing(rule)
    weights = torch.ones(3, dtype=torch.float64)
    for _ in range(2000):
        weights, _, _ = balancing.update(see(weights, gradients=gradients))
    return weights


def parts(gradients: torch.Tensor, row: int) -> list[np.ndarray]:
    return [np.abs(gradients[row].numpy()[k]) for k in KERNELS]


# ---------------------------------------------------------------------- annealing

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


def test_annealing_keeps_the_residual_and_averages_the_rest(gradients: torch.Tensor) -> None:
    weights = torch.tensor([1.0, 7.0, 3.0], dtype=torch.float64)
    new, target, _ = Balancing("annealing-siam", rate=0.1).update(see(weights, gradients=gradients))
    torch.testing.assert_close(new, 0.9 * weights + 0.1 * target)
    assert new[0] == 1.0, "the residual's weight is kept"


@pytest.mark.parametrize("rule", ANNEALING)
def test_without_a_residual_annealing_has_nothing_to_go_by(gradients: torch.Tensor, rule: str) -> None:
    seen = see([1.0, 7.0, 3.0], gradients=gradients, residual=[False] * 3)
    new, _, _ = Balancing(rule).update(seen)
    assert new.tolist() == [1, 7, 3]


# ---------------------------------------------------------------------- rules that make the terms alike

def test_gradient_norm_makes_all_weighted_norms_the_sum_of_the_raw_ones(gradients: torch.Tensor) -> None:
    norms = np.sqrt((gradients.numpy() ** 2).sum(1))
    np.testing.assert_allclose(settle("gradient-norm", gradients).numpy() * norms, norms.sum(), rtol=1e-9)


def test_inverse_dirichlet_brings_all_spreads_to_the_largest(gradients: torch.Tensor) -> None:
    spread = gradients.numpy().std(1)
    np.testing.assert_allclose(settle("inverse-dirichlet", gradients).numpy() * spread, spread.max(), rtol=1e-9)


def test_ntk_is_the_ratio_of_traces_of_a_kernel_computed_in_full() -> None:
    generator = torch.Generator().manual_seed(1)
    blocks = [torch.randn(n, 7, generator=generator).double() * s for n, s in ((5, 10), (3, 0.1), (4, 1))]
    traces = torch.stack([j.square().sum() for j in blocks])
    jacobian = np.concatenate([j.numpy() for j in blocks])
    kernel = jacobian @ jacobian.T
    expected = [np.trace(kernel) / np.trace(kernel[a:b, a:b]) for a, b in ((0, 5), (5, 8), (8, 12))]
    new, target, _ = Balancing("ntk", rate=1.0).update(see([1.0, 7.0, 3.0], traces=traces))
    np.testing.assert_allclose(target.numpy(), expected, rtol=1e-12)
    torch.testing.assert_close(new, target)


@pytest.mark.parametrize("rule", EQUALIZING)
def test_terms_that_do_not_take_part_are_not_counted(gradients: torch.Tensor, rule: str) -> None:
    """A term that is off and one that is fixed: the third has itself alone to be equal with."""
    seen = everything([0.0, 5.0, 2.0], gradients, fixed=[False, True, False])
    _, target, _ = Balancing(rule).update(seen)
    assert target.tolist() == pytest.approx([0.0, 5.0, 1.0])


# ---------------------------------------------------------------------- relobralo

def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


@pytest.mark.parametrize("rho", [0.0, 1.0])
def test_relobralo_follows_its_recursion(rho: float) -> None:
    """Three updates written out in numpy; with rho = 0 every one looks back to the start, with 1 none does."""
    history = np.array([[2.0, 1.0, 0.5], [1.0, 0.9, 0.5], [0.8, 0.5, 0.1]])
    rule = Balancing("relobralo", rate=0.2, temperature=0.5, rho=rho)
    memory, weights = rule.start(3, torch.float64), torch.ones(3, dtype=torch.float64)
    expected = np.ones(3)
    for t, losses in enumerate(history):
        seen = see(weights, losses=torch.tensor(losses), memory=memory)
        weights, targets, memory = rule.update(seen)
        last = 3 * softmax(losses / (0.5 * history[max(0, t - 1)]))
        begin = 3 * softmax(losses / (0.5 * history[0]))
        expected = 0.8 * (rho * expected + (1 - rho) * begin) + 0.2 * last
        np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-12)
        np.testing.assert_allclose(targets.numpy(), last, rtol=1e-12)


def test_relobralo_draws_its_lookback_from_the_generator_with_the_given_chance() -> None:
    rule = Balancing("relobralo", rate=0.0, temperature=1.0, rho=0.7)
    memory = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    seen = see([5.0, 5.0], losses=torch.tensor([1.0, 2.0]).double(), memory=memory, fixed=[False] * 2)
    kept = [bool(rule.update(seen)[0][0] == 5) for _ in range(2000)]
    assert np.mean(kept) == pytest.approx(0.7, abs=4 * math.sqrt(0.21 / 2000))
    seen.generator.manual_seed(0)
    assert [bool(rule.update(seen)[0][0] == 5) for _ in range(100)] == kept[:100]


def test_relobralo_weights_stay_as_many_as_the_terms_that_take_part() -> None:
    rule = Balancing("relobralo", rate=1.0)
    memory = torch.tensor([[1.0] * 4, [3.0, 2.0, 1.0, 5.0], [1.0] * 4], dtype=torch.float64)
    seen = see([1.0, 1.0, 0.0, 9.0], losses=torch.tensor([3.0, 1.9, 1e9, 1e9]).double(), memory=memory,
               fixed=[False, False, False, True])
    new, _, _ = rule.update(seen)
    assert float(new[:2].sum()) == pytest.approx(2)
    assert new[0] > new[1], "the term that has fallen less gets more"
    assert new[2:].tolist() == [0, 9]


def test_relobralo_forgets_a_loss_that_is_not_finite() -> None:
    rule = Balancing("relobralo", rate=0.5)
    memory = torch.tensor([[4.0, 4.0], [3.0, 2.0], [1.0, 1.0]], dtype=torch.float64)
    seen = see([1.0, 1.5], losses=torch.tensor([math.nan, 1.0]).double(), memory=memory, fixed=[False] * 2)
    new, _, after = rule.update(seen)
    assert new.tolist() == [1.0, 1.5]
    assert after.tolist() == [[4, 4], [3, 1], [1, 1]]


# ---------------------------------------------------------------------- all rules

@pytest.mark.parametrize("rule", ANNEALING + EQUALIZING)
def test_a_gradient_of_zero_gives_a_finite_weight(gradients: torch.Tensor, rule: str) -> None:
    gradients[1] = 0
    new, _, _ = Balancing(rule, floor=1e-6).update(everything([1.0] * 3, gradients))
    assert torch.isfinite(new).all()
    assert (new > 0).all()


@pytest.mark.parametrize("rule", ANNEALING + EQUALIZING)
def test_a_bad_gradient_does_not_spoil_the_weights(gradients: torch.Tensor, rule: str) -> None:
    gradients[1, 3] = math.nan
    new, _, _ = Balancing(rule).update(everything([1.0, 7.0, 3.0], gradients))
    assert float(new[1]) == 7.0
    assert torch.isfinite(new).all()


@pytest.mark.parametrize("rule", RULES)
def test_a_term_that_is_switched_off_stays_off_and_a_fixed_one_as_it_is(gradients: torch.Tensor, rule: str) -> None:
    """The weighted mean of a term that is off is zero, so annealing's ratio would give it all the weight there is."""
    new, target, _ = Balancing(rule).update(everything([1.0, 0.0, 3.0], gradients, fixed=[False, False, True]))
    assert new[1] == target[1] == 0
    assert new[2] == target[2] == 3


@pytest.mark.parametrize("rule", RULES)
def test_an_update_changes_nothing_in_place(gradients: torch.Tensor, rule: str) -> None:
    seen = everything([1.0, 7.0, 3.0], gradients)
    before = [t.clone() for t in (seen.weights, gradients, seen.memory)]
    Balancing(rule).update(seen)
    for now, then in zip((seen.weights, gradients, seen.memory), before, strict=True):
        assert torch.equal(now, then)


def test_interval_counts_from_the_first_step() -> None:
    rule = Balancing("annealing-siam", interval=10)
    assert [k for k in range(25) if rule.due(k)] == [0, 10, 20]
    assert not any(Balancing("fixed").due(k) for k in range(25))


def test_a_rule_says_what_it_needs() -> None:
    needs = {rule: set(Balancing(rule).needs) for rule in RULES}
    assert needs.pop("fixed") == set()
    assert needs.pop("ntk") == {"traces"}
    assert needs.pop("relobralo") == {"losses"}
    assert all(value == {"gradients"} for value in needs.values())
    with pytest.raises(ValueError, match="'ntk' needs the traces"):
        Balancing("ntk").update(see([1.0] * 3))


@pytest.mark.parametrize(("wrong", "words"), [
    ({"rule": "anealing"}, "no balancing rule 'anealing'"),
    ({"interval": 0}, "every 1 or more steps"),
    ({"rate": 1.5}, "rate is between 0 and 1"),
    ({"temperature": 0.0}, "temperature is positive"),
])
def test_wrong_parameters_get_a_sentence(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Balancing(**wrong)
