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
