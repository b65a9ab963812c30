"""Going on from a checkpoint under other settings: nothing of another loss or another method is taken for one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.experiment import Experiment
from studio.going_on import changed, place_of
from studio.phases import Place
from studio.runfile import Run
from tests.studio.test_course import phase, phases
from tests.studio.test_runner import finished, small

KINDS = ("adam", "lbfgs", "ssbroyden", "levenberg-marquardt", "spring", "gauss-newton-cg", "soap")


def of(kind: str, **changes: Any) -> Experiment:
    return small(**{"optimizer__kind": kind, "sampling__every": 0, "training__steps": 30,
                    "training__precision": "float64", **changes})


def begun(folder: Path, experiment: Experiment) -> Run:
    return finished(folder, "first.pinnrun", experiment)


def text(run: Run, kind: str) -> str:
    return next(event.text for event in reversed(run.events) if event.kind == kind)


@pytest.mark.parametrize("kind", ["lbfgs", "ssbroyden"])
def test_gradients_of_another_problem_are_not_taken_for_its_own(tmp_path: Path, kind: str) -> None:
    """The method remembers value and gradient of its last step: those were the first problem's."""
    first = begun(tmp_path, of(kind))
    other = of(kind, network__activation="sin", training__steps=60)
    again = finished(tmp_path, "second.pinnrun", other, first.path)
    before, after = first.scalars[-1], next(s for s in again.scalars if s.step > 30)
    assert sum(after.losses.values()) > 2 * sum(before.losses.values()), "of the new network, which was not trained"
    assert again.step == 60 or sum(again.scalars[-1].losses.values()) < 0.5 * sum(after.losses.values())
    assert "changed since: network" in text(again, "resumed")


@pytest.mark.parametrize("after", KINDS)
@pytest.mark.parametrize("before", ["lbfgs", "levenberg-marquardt", "soap"])
def test_every_method_goes_on_from_every_other(tmp_path: Path, before: str, after: str) -> None:
    first = begun(tmp_path, of(before))
    again = finished(tmp_path, "second.pinnrun", of(after, training__steps=40), first.path)
    assert again.step == 40
    assert ("changed since: optimizer" in text(again, "resumed")) == (before != after)
    untrained, end = sum(first.scalars[0].losses.values()), sum(again.scalars[-1].losses.values())
    assert end < 0.01 * untrained or before == "soap", "Adam's first steps are as long near a minimum as anywhere"


@pytest.mark.parametrize("history", [3, 50])
def test_another_length_of_history(tmp_path: Path, history: int) -> None:
    first = begun(tmp_path, of("lbfgs", optimizer__history=5))
    longer = of("lbfgs", optimizer__history=history, training__steps=60)
    again = finished(tmp_path, "second.pinnrun", longer, first.path)
    assert again.step == 60
    tensors = again.latest_checkpoint()
    assert tensors is not None and len(tensors[1]["solver.s"]) == history


def test_an_optimizer_that_was_chosen_is_chosen_anew_where_another_is_asked_for(tmp_path: Path) -> None:
    before = phases(phase("auto", 5), phase("adam", 5))
    place = Place(1, 20, kind="levenberg-marquardt")
    assert place_of(place, before, before) == place
    assert place_of(place, before, before.with_changes({"phases.0.optimizer.kind": "lbfgs"})) == Place(1, 20)


def test_steps_rate_and_weights_are_no_other_experiment() -> None:
    plain = of("lbfgs")
    assert changed(plain, plain.with_changes({
        "training.steps": 99, "optimizer.learning_rate": 1e-4, "balancing.weights": {"boundary": 3.0},
        "balancing.rule": "annealing-siam", "diagnostics.grid": 11, "name": "x"})) == ()
    assert changed(plain, plain.with_changes({"training.precision": "float32", "optimizer.clip": 1.0})) == (
        "optimizer", "precision")


def test_numbers_of_a_method_that_is_gone_are_not_carried_on(tmp_path: Path) -> None:
    first = begun(tmp_path, of("levenberg-marquardt"))
    again = finished(tmp_path, "second.pinnrun", of("lbfgs", training__steps=40), first.path)
    assert any("damping" in name for name in first.scalars[-1].readings)
    assert again.scalars[-1].step == 40 and not any("damping" in name for name in again.scalars[-1].readings)
