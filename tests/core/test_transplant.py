"""Settings that change while a run goes on leave the network's function as it is, to rounding."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from core.trainer import Trainer
from core.transplant import transplant
from studio.build import build_trainer
from tests.core.samples import draws_of, experiment, same

SLOPES = {"none": {}, "layer": {"network.slopes": "layer", "network.slope_scale": 5.0},
          "neuron": {"network.slopes": "neuron", "network.slope_scale": 2.0},
          "global": {"network.slopes": "global"},
          "recovered": {"network.slopes": "layer", "network.slope_scale": 10.0, "network.recovery": "paper"}}


def trained(changes: dict[str, Any], steps: int = 12) -> Trainer:
    trainer = build_trainer(experiment().with_changes(changes))
    for _ in range(steps):
        trainer.step()
    return trainer


def losses(trainer: Trainer) -> dict[str, float]:
    o = trainer.objective
    values = o.losses(trainer.theta, draws_of(o))
    return {term: float(value) for term, value in zip(trainer.terms, values, strict=True) if term != "recovery"}


@pytest.mark.parametrize("kind", ["mlp", "gated"])
@pytest.mark.parametrize("before", SLOPES)
@pytest.mark.parametrize("after", SLOPES)
def test_slopes_come_and_go_without_a_change_of_the_function(before: str, after: str, kind: str) -> None:
    base = {"network.kind": kind, "optimizer.learning_rate": 1e-2}
    old = trained({**base, **SLOPES[before]})
    new = build_trainer(experiment().with_changes({**base, **SLOPES[after]}))
    transplant(old, new)
    assert new.iteration == 12
    assert losses(new) == pytest.approx(losses(old), rel=1e-11)
    new.step()


def test_the_same_settings_go_on_bit_for_bit() -> None:
    old, new = trained({}), build_trainer(experiment())
    assert transplant(old, new) == ()
    for _ in range(5):
        old.step()
        new.step()
    assert same(old, new)


def test_precision_rule_direction_and_sampling_change() -> None:
    old = trained({"balancing.rule": "annealing-siam", "balancing.interval": 2})
    for changes in ({"training.precision": "float32"}, {"balancing.rule": "relobralo"}, {"sampling.kind": "sobol"},
                    {"balancing.direction": "config"}, {"sampling.every": 0}, {"optimizer.clip": 1.0}):
        new = build_trainer(experiment().with_changes(changes))
        assert transplant(old, new) == ()
        torch.testing.assert_close(new.theta.double(), old.theta)
        torch.testing.assert_close(new.weights.double(), old.weights, rtol=1e-6, atol=0)
        assert new.balancing.rule == changes.get("balancing.rule", "fixed")
        new.step()


def test_what_cannot_go_on_starts_anew_and_is_named() -> None:
    old, new = trained({}), build_trainer(experiment(network__fourier_features=4))
    assert transplant(old, new) == ("hidden 1 W",)
    places = {p.name: p.slice for p in new.objective.parameters}
    theirs = {p.name: p.slice for p in old.objective.parameters}
    assert torch.equal(new.theta[places["hidden 2 W"]], old.theta[theirs["hidden 2 W"]])
    new.step()


def test_a_clipped_gradient_is_no_longer_than_asked() -> None:
    from core.optimizers import clipped

    g = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert torch.equal(clipped(g, 0.0), g) and torch.equal(clipped(g, 10.0), g)
    torch.testing.assert_close(clipped(g, 1.0), g / 5)
    assert torch.equal(clipped(torch.zeros(2), 1.0), torch.zeros(2))


def test_a_phase_keeps_what_was_learned_and_begins_its_optimizer_anew() -> None:
    old = trained({"optimizer.decay_steps": 10})
    new = build_trainer(experiment(**{"optimizer.decay_steps": 10}))
    transplant(old, new, anew=True)
    assert torch.equal(old.theta, new.theta) and not new.m.any() and not new.v.any()
    assert new.begun == new.iteration == old.iteration == 12
    assert new.current_learning_rate() == new.learning_rate, "its decay counts from here"
    kept = build_trainer(experiment(**{"optimizer.decay_steps": 10}))
    transplant(old, kept)
    assert torch.equal(old.m, kept.m) and kept.begun == 0


def test_a_solver_goes_on_where_loss_and_parameters_are_the_same_and_begins_anew_elsewhere() -> None:
    fixed = {"optimizer.kind": "lbfgs", "sampling.every": 0, "training.precision": "float64"}
    old = trained(fixed, steps=3)
    same_one = build_trainer(experiment(**fixed))
    transplant(old, same_one)
    assert all(torch.equal(t, same_one.solver_memory[name]) for name, t in old.solver_memory.items())
    for changes, more in (({}, {"anew": True}), ({"training.precision": "float32"}, {}),
                          ({"optimizer.kind": "ssbroyden"}, {}), ({"optimizer.history": 7}, {}),
                          ({"network.activation": "sin"}, {}), ({"network.normalize": "none"}, {})):
        new = build_trainer(experiment(**{**fixed, **changes}))
        fresh = new.solver_memory
        transplant(old, new, **more)
        assert new.solver_memory.keys() == fresh.keys(), changes
        assert all(torch.equal(t, new.solver_memory[name]) for name, t in fresh.items()), changes
        new.step()
