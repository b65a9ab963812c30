"""Settings as they are typed behind --set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from studio.experiment import Experiment, ExperimentError
from studio.overrides import with_settings
from tests.studio.samples import POISSON

PHASES = "[[phases]]\nsteps = 3\n[[phases]]\nsteps = 4\n"


@pytest.mark.parametrize(("setting", "get", "value"), [
    ("optimizer.learning_rate=1e-4", lambda e: e.optimizer.learning_rate, 1e-4),
    ("optimizer.learning_rate=.5", lambda e: e.optimizer.learning_rate, 0.5),
    ("network.hidden=[30, 20]", lambda e: e.network.hidden, (30, 20)),
    ("network.hidden.1=20", lambda e: e.network.hidden, (8, 20)),
    ("balancing.rule=annealing-siam", lambda e: e.balancing.rule, "annealing-siam"),
    ("balancing.rule = 'annealing-siam'", lambda e: e.balancing.rule, "annealing-siam"),
    ("balancing.weights.boundary=100", lambda e: e.balancing.weights, {"boundary": 100.0}),
    ("balancing.weights={boundary=2}", lambda e: e.balancing.weights, {"boundary": 2.0}),
    ("problem.constants.k=-3", lambda e: e.problem.constants, {"k": -3.0}),
    ("problem.residuals.0.points=64", lambda e: e.problem.residuals[0].points, 64),
    ("problem.conditions.0.equation=u = k*x", lambda e: e.problem.conditions[0].equation, "u = k*x"),
    ("problem.domain.x.0=-2", lambda e: e.problem.domain["x"], (-2.0, 1.0)),
    ("phases.0.weights.boundary=100", lambda e: e.phases[0].weights, {"boundary": 100.0}),
    ("phases.1.constants.k=5", lambda e: e.phases[1].constants, {"k": 5.0}),
    ("title=12", lambda e: e.title, "12"),
    ("title=a\nseed = 3", lambda e: e.title, "a\nseed = 3"),
])
def test_settings(setting: str, get: Callable[[Experiment], Any], value: Any) -> None:
    before = Experiment.from_toml(POISSON + PHASES)
    after = with_settings(before, [setting])
    assert get(after) == value
    assert before == Experiment.from_toml(POISSON + PHASES)


def test_the_last_of_two_settings_counts_and_the_variant_has_them_too() -> None:
    after = with_settings(Experiment.from_toml(POISSON), ["training.seed=1", "training.seed=2"])
    assert [lane.training.seed for lane in after.lanes()] == [2, 2]
    with pytest.raises(ExperimentError, match="did you mean"):
        with_settings(after, ["trainin.seed=3"])


def test_a_new_name_is_one_that_the_experiment_has() -> None:
    before = Experiment.from_toml(POISSON + PHASES)
    for setting, words in (("phases.0.weights.wall=1", "no loss term 'wall'"),
                           ("phases.1.constants.eps=1", "no constant 'eps'"),
                           ("problem.constants.kk=3", "did you mean 'problem.constants.k'")):
        with pytest.raises(ExperimentError, match=words):
            with_settings(before, [setting])
    after = with_settings(before, ["problem.constants.c=3", "problem.residuals.0.equation=u_xx + k*c"])
    assert after.problem.constants == {"k": 2.0, "c": 3.0}
    typed = with_settings(before, ["phases=[{steps=7}]", "phases.0.weights.boundary=2"])
    assert typed.phases[0].weights == {"boundary": 2.0}
