"""A run that is stopped and resumed is the run that was never stopped, bit for bit, whatever it remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.choices import RULES
from core.directions import DIRECTIONS
from core.trainer import Trainer
from studio.build import build_trainer
from tests.core.samples import experiment, grid_file, residual, same

STEPS = 13


def heat(**changes: Any) -> Any:
    return experiment(
        {"domain": {"x": [0.0, 1.0], "t": [0.0, 1.0]}, "residuals": residual("u_t = u_xx", points=9),
         "conditions": [{"name": "start", "on": "t = 0", "equation": "u = sin(pi*x)", "term": "start", "points": 4},
                        {"name": "left", "on": "x = 0", "equation": "u", "points": 4}]},
        **{"network__hidden": [5], "training__precision": "float32", "sampling__candidates": 20, **changes})


CASES: dict[str, dict[str, Any]] = {
    **{f"{kind} points, every {every}": {"sampling__kind": kind, "sampling__every": every}
       for kind in ("uniform", "latin-hypercube", "sobol", "halton", "grid", "rad", "rar-d", "r3")
       for every in (0, 1, 4)},
    **{f"{points} weights": {"balancing__points": points, "sampling__every": 0}
       for points in ("self-adaptive", "residual-attention", "causal")},
    "causal weights, new points": {"balancing__points": "causal", "balancing__epsilon": 1e-6},
    **{rule: {"balancing__rule": rule, "balancing__interval": 3} for rule in RULES},
    "relobralo that looks back": {"balancing__rule": "relobralo", "balancing__interval": 1, "balancing__memory": 0.5},
    **{name: {"balancing__direction": name} for name in DIRECTIONS},
    "pcgrad and r3": {"balancing__direction": "pcgrad", "sampling__kind": "r3"},
    "gradient descent": {"optimizer__kind": "gd", "optimizer__decay": "cosine"},
    "slopes": {"network__slopes": "neuron", "network__recovery": "code", "optimizer__decay": "staircase"},
}


def looked_at(trainer: Trainer) -> None:
    """What a window does between steps; it must not change the numbers."""
    trainer.term_gradients()
    trainer.readings()
    trainer.state()


@pytest.mark.parametrize("stop", [1, 6])
@pytest.mark.parametrize("case", CASES)
def test_stopping_and_resuming(case: str, stop: int) -> None:
    through, first = build_trainer(heat(**CASES[case])), build_trainer(heat(**CASES[case]))
    for _ in range(stop):
        first.step()
        looked_at(first)
    second = build_trainer(heat(**CASES[case], training__seed=99))
    looked_at(second)
    second.load(first.state())
    looked_at(second)
    for _ in range(STEPS):
        through.step()
    for _ in range(STEPS - stop):
        second.step()
    assert same(through, second)
    assert second.draws is not None and through.draws is not None and torch.equal(second.draws, through.draws)


@pytest.mark.parametrize("kind", ["unknowns", "sub-domains", "averages", "ball"])
def test_stopping_and_resuming_other_problems(kind: str, tmp_path: Path) -> None:
    observed = [{"name": "o", "equation": "u = a*u_data", "file": grid_file(tmp_path / "d.npz"), "noise": 0.1}]
    changes: dict[str, dict[str, Any]] = {
        "unknowns": {"problem": {"unknowns": {"a": 1.0}, "observations": observed}, "sampling__kind": "r3"},
        "sub-domains": {
            "problem": {"unknowns": {"a": 1.0}, "observations": observed}, "balancing__rule": "gradient-norm",
            "sampling__kind": "sobol", "decomposition": {"splits": {"x": [0.4]}, "flux": {"x": "u_x"}, "local": ["a"]}},
        "averages": {"problem": {"averages": {"m": "u"}, "residuals": residual("u_xx - m")},
                     "sampling__kind": "halton"},
        "ball": {"problem": {"shape": "ball"}, "sampling__kind": "rad"},
    }
    through, first = (build_trainer(experiment(**changes[kind])) for _ in range(2))
    for _ in range(5):
        first.step()
    second = build_trainer(experiment(**changes[kind], training__seed=7))
    second.load(first.state())
    for _ in range(12):
        through.step()
    for _ in range(7):
        second.step()
    assert same(through, second)


def test_a_state_without_what_is_newer_still_loads() -> None:
    """Runs of the first version have neither points, multipliers nor a memory."""
    first = build_trainer(heat())
    for _ in range(3):
        first.step()
    state = first.state()
    old = type(state)({k: v for k, v in state.tensors.items() if k not in ("memory", "multipliers", "points")},
                      state.numbers)
    second = build_trainer(heat(training__seed=4))
    second.load(old)
    for trainer in (first, second):
        trainer.step()
    assert same(first, second)


def test_a_state_of_other_points_is_refused() -> None:
    first = build_trainer(heat(sampling__every=0))
    first.step()
    other = build_trainer(heat(sampling__every=0).with_changes({"problem.residuals": residual("u_t = u_xx", points=8)}))
    with pytest.raises(ValueError, match="this state has points of shape"):
        other.load(first.state())


def test_a_bad_step_gives_back_points_and_multipliers() -> None:
    trainer = build_trainer(heat(balancing__points="self-adaptive", sampling__every=0))
    for _ in range(3):
        trainer.step()
    multipliers, points, theta = trainer.multipliers, trainer.points, trainer.theta
    trainer.step()
    trainer.theta = torch.full_like(theta, torch.nan)
    with pytest.raises(ArithmeticError):
        trainer.step()
    assert all(torch.equal(a, b) for a, b in (
        (trainer.multipliers, multipliers), (trainer.points, points), (trainer.theta, theta)))


# ---------------------------------------------------------------------- when points are drawn

@pytest.mark.parametrize(("every", "expected"), [(0, [1] * 8), (1, list(range(1, 9))), (3, [1, 1, 1, 2, 2, 2, 3, 3])])
def test_points_stay_as_long_as_they_should(every: int, expected: list[int]) -> None:
    trainer = build_trainer(heat(sampling__every=every))
    seen: list[Tensor] = []
    numbers = []
    for _ in range(8):
        trainer.step()
        assert trainer.draws is not None
        if not seen or not torch.equal(seen[-1], trainer.draws):
            seen.append(trainer.draws)
        numbers.append(len(seen))
    assert numbers == expected


def test_r3_keeps_the_points_with_a_large_residual_of_the_present_network() -> None:
    trainer = build_trainer(heat(sampling__kind="r3"))
    trainer.step()
    before = trainer.draws
    assert before is not None
    size = trainer.objective.residual_size(trainer.theta, before[:9])
    trainer.step()
    assert trainer.draws is not None
    kept = (trainer.draws[:9] == before[:9]).all(1)
    assert torch.equal(kept, size > size.mean())
    assert not (trainer.draws[9:] == before[9:]).all(1).any(), "points on the boundary are drawn anew"


# ---------------------------------------------------------------------- directions

@pytest.mark.parametrize("name", ["config", "dual-cone", "pcgrad"])
def test_a_step_along_a_direction_that_hurts_no_term(name: str) -> None:
    """Gradient descent goes along the direction of the weighted gradients of the terms; no cosine is negative."""
    trainer = build_trainer(heat(
        balancing={"direction": name, "weights": {"start": 30.0}}, training__precision="float64",
        optimizer={"kind": "gd", "learning_rate": 1e-3, "decay_rate": 1.0}))
    before = trainer.theta
    losses = trainer.step()
    assert trainer.draws is not None
    leaf = before.clone().requires_grad_()
    own = trainer.objective.losses(leaf, trainer.draws)
    assert losses == pytest.approx([loss.item() for loss in own], rel=1e-12)
    weighted = torch.stack([w * torch.autograd.grad(loss, leaf, retain_graph=True)[0]
                            for w, loss in zip([1.0, 30.0, 1.0], own, strict=True)])
    direction = (before - trainer.theta) / 1e-3
    cosines = weighted @ direction / (weighted.norm(dim=1) * direction.norm())
    assert direction.norm() > 0
    if name == "config":
        torch.testing.assert_close(cosines, cosines[:1].expand(3), rtol=1e-6, atol=1e-8)
    assert cosines.min() > (-1e-9 if name != "pcgrad" else -1)
    rank = torch.linalg.matrix_rank(torch.cat([weighted, direction.unsqueeze(0)]), rtol=1e-9)
    assert rank == 3, "in the span of the terms' gradients"
