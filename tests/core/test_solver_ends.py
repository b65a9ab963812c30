"""Where methods end, and that what they say of it is so; what their memory survives."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from core.solvers.solver import NOT_FINITE
from core.trainer import Trainer
from core.transplant import transplant
from studio.build import build_trainer
from tests.core.samples import experiment, residual

ROWS = ("levenberg-marquardt", "energy-natural-gradient", "spring", "gauss-newton-cg")


def of(kind: str, equation: str = "u_xx + u_yy = 1", problem: dict[str, Any] | None = None, points: int = 30,
       **changes: Any) -> Trainer:
    return build_trainer(experiment({"residuals": residual(equation, points), **(problem or {})},
                                    optimizer__kind=kind, **{"sampling__every": 0, **changes}))


@pytest.mark.parametrize("kind", ROWS)
def test_a_weighted_sum_that_overflows_is_an_end_and_not_an_empty_step(kind: str) -> None:
    trainer = of(kind, "u_xx + u_yy = 1e18*sin(3*x)", training__precision="float32",
                 balancing__weights={"residual": 1e5})
    losses = trainer.step()
    assert all(torch.isfinite(torch.tensor(losses))), "each term alone is finite"
    assert trainer.done == NOT_FINITE


def test_a_damping_that_sank_far_comes_back_when_the_loss_becomes_another_function() -> None:
    """Five parameters: 120 steps without a failure bring mu far below the rounding of J^T J."""
    trainer = of("levenberg-marquardt", points=200, network__hidden=[1], sampling__every=1)
    for _ in range(120):
        trainer.step()
    trainer.set_weight("boundary", 1e4)
    before = sum(w * x for w, x in zip(trainer.weights.tolist(), trainer.step(), strict=True))
    for _ in range(15):
        after = trainer.step()
        assert not trainer.done
    assert sum(w * x for w, x in zip(trainer.weights.tolist(), after, strict=True)) < 0.5 * before


@pytest.mark.parametrize("kind", ["levenberg-marquardt", "gauss-newton-cg", "lbfgs", "ssbroyden"])
def test_a_wall_of_nan_is_not_called_rounding(kind: str) -> None:
    """sqrt(u + 3) falls towards u = -3, behind which it is not a number."""
    trainer = of(kind, "sqrt(u + 3)", {"conditions": []})
    for _ in range(400):
        trainer.step()
        if trainer.done:
            break
    assert trainer.done and "not finite" in trainer.done and "rounding" not in trainer.done


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("points, hidden", [(6, [10, 10]), (40, [6, 6])])
def test_slope_recovery_is_brought_down_with_the_residuals(kind: str, points: int, hidden: list[int]) -> None:
    """As a gradient beside J^T J the natural gradient left it at its start, S(a) = 1 / e = 0.37."""
    trainer = of(kind, "u_xx + u_yy + u^2 = sin(3*x)", points=points, network__hidden=hidden, network__slopes="neuron",
                 network__recovery="paper", sampling__kind="sobol")
    for _ in range(60):
        losses = trainer.step()
    assert not trainer.done
    assert losses[trainer.terms.index("recovery")] < 0.1 and sum(losses) < 0.12


@pytest.mark.parametrize("kind", ROWS)
def test_recovery_alone_is_a_loss_too(kind: str) -> None:
    trainer = of(kind, network__slopes="neuron", network__recovery="paper")
    for term in ("residual", "boundary"):
        trainer.set_weight(term, 0.0)
    before = trainer.step()[-1]
    for _ in range(5):
        trainer.step()
        assert not trainer.done
    assert trainer.step()[-1] < 0.8 * before


@pytest.mark.parametrize("kind", ["soap", "muon"])
@pytest.mark.parametrize("change", [{"optimizer__clip": 1e6}, {"optimizer__weight_decay": 1e-3},
                                    {"sampling__kind": "sobol"}, {"training__precision": "float32"}])
def test_memory_of_gradients_survives_other_settings(kind: str, change: dict[str, Any]) -> None:
    own = {"optimizer__decay_steps": 50}
    old = of(kind, **own)
    for _ in range(20):
        old.step()
    new = of(kind, **own, **change)
    transplant(old, new)
    assert int(new.solver_memory["steps"]) == int(old.solver_memory["steps"]) > 0
    assert new.current_learning_rate() == pytest.approx(old.current_learning_rate()), "its decay goes on"
    assert all(t.dtype == new.objective.dtype for t in new.solver_memory.values() if t.is_floating_point())
    new.step()
    fresh = of(kind, **own, network__normalize="unit")
    transplant(old, fresh)
    assert int(fresh.solver_memory["steps"]) <= 0, "gradients by inputs of another scale are others"
