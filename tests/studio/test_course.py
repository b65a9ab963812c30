"""A run through its phases: how they end, what the next one takes over, what is told, and going on in mid-phase."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.diagnostics.stopping import Stopped
from core.problem import ProblemError
from core.solvers import memory
from core.solvers.solver import Advance
from studio import course as courses
from studio.course import Course, built, check
from studio.experiment import Experiment
from studio.messages import RunState, Update
from studio.phases import PhaseSpec, Place
from studio.runfile import Run, load_run
from tests.studio.test_runner import Desk, finished, small

Told = list[tuple[str, str, str]]


def phases(*rows: dict[str, Any], **changes: object) -> Experiment:
    return small(phases=[dict(row) for row in rows], **changes)


def phase(kind: str, steps: int, **more: Any) -> dict[str, Any]:
    return {"optimizer": {"kind": kind}, "steps": steps, **more}


def begun(experiment: Experiment) -> tuple[Course, Told]:
    told: Told = []
    return Course(experiment, lambda kind, text, value="": told.append((kind, text, value))), told


class Live:
    """A runner in a thread of its own, whose commands come while it trains."""

    def __init__(self, experiment: Experiment, path: Path | None = None) -> None:
        self.desk = Desk(experiment, path)
        self.events: list[Any] = []
        self.thread = threading.Thread(target=self.desk.play, args=("resume",))
        self.thread.start()

    def send(self, kind: str, value: object = None) -> None:
        self.desk.commands.put((kind, value))

    def until(self, done: Callable[[Update], bool]) -> Update:
        end = time.monotonic() + 60
        while True:
            update = self.desk.mailbox.take()
            self.events += update.events
            if done(update):
                return update
            assert time.monotonic() < end and self.thread.is_alive(), (update.status, self.events)
            time.sleep(0.002)

    def close(self) -> None:
        self.send("close")
        self.thread.join(30)
        assert not self.thread.is_alive()
        self.events += self.desk.mailbox.take().events

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


# ------------------------------------------------------------------ one after the other

def test_the_next_phase_takes_over_what_was_learned_and_nothing_of_the_optimizer() -> None:
    experiment = phases(phase("adam", 5, points=32, weights={"boundary": 7.0}))
    course, told = begun(experiment)
    first = course.begin()
    for _ in range(20):
        first.step()
    first.set_weight("residual", 3.0)
    place, second, why = course.advance(first, 1.5)
    assert course.place == Place(), "nothing has changed until it is entered"
    course.enter(place, second, why)
    assert course.place == Place(1, 20, 1.5) and course.end == 25 and course.last
    assert second.theta.dtype == torch.float64 and torch.equal(second.theta, first.theta.double())
    assert not second.m.any() and not second.v.any() and second.begun == second.iteration == 20
    assert dict(zip(second.terms, second.weights.tolist(), strict=True)) == {"residual": 3.0, "boundary": 7.0}
    assert second.objective.points == 40 and second.draws is None
    assert torch.equal(second.generator.get_state(), first.generator.get_state())
    assert [kind for kind, _, _ in told] == ["phase", "phase"]
    assert told[1][1] == "phase 2 of 2: adam in float64 on 40 fixed points"
    assert json.loads(told[1][2]) == {"phase": 2, "phases": 2, "kind": "adam", "step": 20, "why": ""}
    second.step()
    points = second.draws
    second.step()
    assert points is not None and second.draws is points, "they stay"


def test_a_phase_ends_by_steps_by_seconds_or_because_its_method_is_done() -> None:
    course, _ = begun(phases(phase("adam", 5, seconds=2.0)))
    assert course.over(19, 0.0, "") == "" and course.over(20, 99.0, "") == "its 20 steps are made"
    assert course.over(3, 0.0, "the gradient is zero") == "the gradient is zero"
    course.place = Place(1, 20, 10.0)
    assert course.over(24, 11.9, "") == "" and course.over(25, 11.0, "") == "its 5 steps are made"
    assert course.over(24, 12.0, "") == "its 2 seconds are over"


def test_the_rule_that_was_chosen_by_hand_goes_on_where_it_is_to_go_on() -> None:
    for balancing, rule in (("as before", "gradient-norm"), ("held", "fixed")):
        course, _ = begun(phases(phase("adam", 5, balancing=balancing)))
        trainer = course.begin()
        trainer.step()
        trainer.set_balancing("gradient-norm")
        assert course.advance(trainer, 0.0)[1].balancing.rule == rule


def test_a_constant_goes_from_value_to_value(tmp_path: Path) -> None:
    """u = k (1 - x^2) / 2 solves u'' + k = 0: each phase must end at the solution of its own k, the last at k = 2."""
    run = finished(tmp_path, "a.pinnrun", phases(phase("levenberg-marquardt", 40, constants={"k": 0.5}),
                                                 phase("levenberg-marquardt", 40)))
    said = [e.text for e in run.events if e.kind == "phase"]
    assert ", k = 0.5" in said[1] and "k =" not in said[0] + said[2]
    errors = {s.step: s.relative_l2["u"] for s in run.scalars if "u" in s.relative_l2}
    assert errors[60] < 1e-3 and errors[100] < 1e-3, "each is held against its own exact solution"
    losses = {s.step: s.losses["residual"] for s in run.scalars}
    assert losses[60] < 1e-4 and losses[61] > 1, "the network of k = 0.5 does not solve k = 2"


def test_a_run_goes_through_its_phases(tmp_path: Path) -> None:
    run = finished(tmp_path, "a.pinnrun", phases(phase("lbfgs", 6, points=16), phase("levenberg-marquardt", 14)))
    found = [(e.step, e.text) for e in run.events if e.kind == "phase"]
    assert found == [(0, "phase 1 of 3: adam in float32 on 24 points drawn at every step"),
                     (20, "phase 2 of 3: lbfgs in float64 on 24 fixed points"),
                     (26, "phase 3 of 3: levenberg-marquardt in float64 on 24 fixed points")]
    assert run.step == 40 and [s.step for s in run.scalars] == list(range(1, 41))
    assert run.events[-1].kind == "finish" and run.events[-1].text.startswith("finished after 40 steps")
    names = {name for s in run.scalars for name in s.readings}
    assert "optimizer damping" in names
    assert not any(name.startswith("optimizer damping") for s in run.scalars[:26] for name in s.readings)
    errors = {s.step for s in run.scalars if s.relative_l2}
    assert {1, 20, 26, 40} <= errors, "at the end of every phase"
    before, after = (sum(s.losses.values()) for s in (run.scalars[19], run.scalars[-1]))
    assert after < 1e-3 * before, "what second-order methods are for"


def test_the_status_counts_all_phases() -> None:
    live = Live(phases(phase("lbfgs", 8), training__steps=10))
    update = live.until(lambda u: u.status.state is RunState.FINISHED)
    live.close()
    s = update.status
    assert (s.step, s.total_steps, s.phase, s.phases, s.phase_name) == (18, 18, 2, 2, "lbfgs")
    assert (s.phase_step, s.phase_steps, s.doing) == (8, 8, "")


class Done:
    """A method that can go no further after three steps."""

    needs = "gradient"

    def start(self, theta: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"made": torch.tensor(0)}

    def step(self, loss: Any, theta: torch.Tensor, memory: Any, rate: float, watch: Any) -> Advance:
        losses, _, gradient = loss.gradient(theta)
        made = memory["made"] + 1
        return Advance(theta - 1e-3 * gradient, {"made": made}, losses, {"made": float(made)}, note=f"made {made}",
                       done="the gradient is zero to rounding" if made == 3 else "")


def test_a_method_that_is_done_ends_its_phase_and_the_run_with_its_sentence(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.build.solver_of", lambda spec, kind, objective: Done() if kind == "lbfgs" else None)
    run = finished(tmp_path, "a.pinnrun", phases(phase("lbfgs", 50), phase("adam", 5), phase("lbfgs", 50)))
    assert [e.step for e in run.events if e.kind == "phase"] == [0, 20, 23, 28]
    assert run.step == 31 and run.state == "finished"
    assert run.events[-1].text.endswith("s of training: the gradient is zero to rounding")
    assert [e.text for e in run.events if e.kind == "optimizer"][:1] == ["made 1"]
    assert [s.readings.get("optimizer made") for s in run.scalars if s.step > 20] == [
        1, 2, 3, None, None, None, None, None, 1, 2, 3]


# ------------------------------------------------------------------ going on

@pytest.mark.parametrize("kind", ["lbfgs", "ssbroyden", "levenberg-marquardt", "soap", "adam"])
def test_going_on_in_mid_phase_gives_the_same_bits(tmp_path: Path, kind: str) -> None:
    whole = finished(tmp_path, "whole.pinnrun", phases(phase("adam", 5), phase(kind, 12)))
    changes = {"diagnostics.checkpoint_every": 31}
    cut = Live(phases(phase("adam", 5), phase(kind, 12)).with_changes(changes), tmp_path / "cut.pinnrun")
    cut.desk.runner._observer.examine = lambda step: None  # type: ignore[method-assign]
    cut.until(lambda u: u.status.state is RunState.FINISHED)
    cut.close()
    half = _only_checkpoint(tmp_path / "cut.pinnrun", 31)
    assert half is not None and half["place"][:2] == [2, 25]
    again = finished(tmp_path, "again.pinnrun", phases(phase("adam", 5), phase(kind, 12)), tmp_path / "cut.pinnrun")
    assert "goes on from step 31" in " ".join(e.text for e in again.events)
    _same(whole, again)


def _only_checkpoint(path: Path, step: int) -> dict[str, Any] | None:
    """Remove every other checkpoint, as if the program had been killed; what the one says."""
    import sqlite3
    database = sqlite3.connect(path)
    with database:
        database.execute("DELETE FROM checkpoints WHERE step != ?", (step,))
        rows = database.execute("SELECT meta FROM checkpoints").fetchall()
    database.close()
    return json.loads(rows[0][0]) if rows else None


def _same(a: Run, b: Run) -> None:
    one, two = a.latest_checkpoint(), b.latest_checkpoint()
    assert one is not None and two is not None and one[0] == two[0] and one[1].keys() == two[1].keys()
    for name, array in one[1].items():
        assert np.array_equal(array, two[1][name]), name
    assert [(s.step, s.losses) for s in a.scalars] == [(s.step, s.losses) for s in b.scalars]


def test_a_run_that_stopped_at_the_end_of_a_phase_goes_on_with_the_next(tmp_path: Path) -> None:
    finished(tmp_path, "one.pinnrun", small())
    two = finished(tmp_path, "two.pinnrun", phases(phase("lbfgs", 4)), tmp_path / "one.pinnrun")
    assert two.step == 24 and [e.step for e in two.events if e.kind == "phase"] == [20]


def test_a_method_whose_memory_is_too_large_for_the_file_begins_anew(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.records.LARGEST", 20_000)
    run = finished(tmp_path, "a.pinnrun", phases(phase("ssbroyden", 4)))
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None and not any(name.startswith("solver.") for name in checkpoint[1])
    longer = phases(phase("ssbroyden", 6))
    again = finished(tmp_path, "b.pinnrun", longer, tmp_path / "a.pinnrun")
    assert again.step == 26
    assert "whose memory was too large for that file, begins anew" in " ".join(e.text for e in again.events)


def test_a_checkpoint_of_a_phase_that_is_gone_is_refused(tmp_path: Path) -> None:
    finished(tmp_path, "a.pinnrun", phases(phase("adam", 4)))
    desk = Desk(small(), None, tmp_path / "a.pinnrun")
    update = desk.play("close")
    assert update.status.state is RunState.FAILED
    assert update.status.message == "the checkpoint is one of phase 2, and the experiment has 1"


# ------------------------------------------------------------------ live

LONG = {"training__steps": 1_000_000}


def test_on_to_the_next_phase_and_back_from_one_that_was_put_in(tmp_path: Path) -> None:
    live = Live(phases(phase("adam", 1_000_000), **LONG), tmp_path / "a.pinnrun")
    live.until(lambda u: u.status.step > 5)
    live.send("next_phase")
    status = live.until(lambda u: u.status.phase == 2).status
    assert status.total_steps == status.step - status.phase_step + 1_000_000
    live.send("next_phase")
    live.until(lambda u: "change-refused" in live.kinds)
    live.send("switch", PhaseSpec.model_validate(phase("lbfgs", 999_999)))
    status = live.until(lambda u: u.status.phase_name == "lbfgs").status
    assert (status.phase, status.phases, status.changes) == (3, 3, ("Switch to lbfgs",))
    live.send("pause")
    live.until(lambda u: u.status.state is RunState.PAUSED)
    middle = load_run(tmp_path / "a.pinnrun")
    assert [p.optimizer.kind for p in middle.current.phases] == ["adam", "lbfgs"]
    live.send("undo")
    status = live.until(lambda u: u.status.phase_name == "adam").status
    assert (status.phase, status.phases, status.changes) == (2, 2, ())
    live.send("stop")
    live.until(lambda u: u.status.state is RunState.STOPPED)
    live.close()
    run = load_run(tmp_path / "a.pinnrun")
    assert run.current == run.experiment and live.kinds.count("phase") == 4
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None and checkpoint[2]["place"][0] == 1


def test_a_change_in_a_later_phase_is_one_of_that_phase(tmp_path: Path) -> None:
    from studio.findings import Remedy
    live = Live(phases(phase("adam", 1_000_000), **LONG), tmp_path / "a.pinnrun")
    live.until(lambda u: u.status.step > 5)
    live.send("next_phase")
    live.until(lambda u: u.status.phase == 2)
    live.send("change", Remedy(text="Slower", changes={"optimizer.learning_rate": 1e-5}))
    live.until(lambda u: "change" in live.kinds and u.status.learning_rate < 2e-5)
    live.send("change", Remedy(text="No phase", changes={"phases": []}))
    live.until(lambda u: "change-refused" in live.kinds)
    assert "the run is in phase 2, which must stay" in live.events[-1].text
    live.close()
    current = load_run(tmp_path / "a.pinnrun").current
    assert current.phases[0].optimizer.learning_rate == 1e-5 and current.optimizer.learning_rate == 1e-3


class Endless(Done):
    """A step that goes on until it is abandoned."""

    def step(self, loss: Any, theta: torch.Tensor, memory: Any, rate: float, watch: Any) -> Advance:
        for part in range(1_000_000):
            watch.tell(part / 1_000_000, "solving")
            if watch.stop():
                raise Stopped("abandoned")
            time.sleep(0.001)
        raise AssertionError("nobody has stopped it")


@pytest.mark.parametrize("command", ["pause", "stop", "next_phase"])
def test_a_long_step_is_followed_and_abandoned(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setattr("studio.build.solver_of", lambda spec, kind, objective: Endless() if kind == "lbfgs" else None)
    live = Live(phases(phase("lbfgs", 5), phase("adam", 1_000_000)))
    update = live.until(lambda u: u.status.doing != "")
    assert update.status.doing.startswith("solving: ") and update.status.step == 20
    theta = live.desk.runner.trainer.theta
    live.send(command)
    wanted = {"pause": lambda u: u.status.state is RunState.PAUSED, "stop": lambda u: u.status.state is
              RunState.STOPPED, "next_phase": lambda u: u.status.step > 22}
    status = live.until(wanted[command]).status
    if command == "next_phase":
        assert status.phase == 3
    else:
        assert status.step == 20 and live.desk.runner.trainer.theta is theta
    live.close()


def test_slow_steps_are_all_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runner.SLOW", 0.0)
    run = finished(tmp_path, "a.pinnrun", small(diagnostics__scalars_every=1000, diagnostics__error_every=1000))
    assert [s.step for s in run.scalars] == list(range(1, 21))


# ------------------------------------------------------------------ which method, and whether there is memory for it

def test_auto_is_decided_with_a_reason_that_the_journal_has() -> None:
    course, told = begun(phases({"optimizer": {"kind": "auto"}, "steps": 5}, optimizer__kind="auto"))
    trainer = course.begin()
    assert course.place.kind == "levenberg-marquardt" and trainer.solver is not None
    assert ", because the loss is a sum of squares" in told[0][1] and "in float32 its accuracy" in told[0][1]
    assert course.standing(0)["phase_name"] == "levenberg-marquardt"
    assert course.now.optimizer.kind == "levenberg-marquardt" and course.experiment.optimizer.kind == "auto"


ENERGY = {"problem__residuals": [{"name": "energy", "equation": "u_x**2", "measure": "mean", "points": 16}]}


def test_what_cannot_work_on_this_loss_is_told_before_anything_is_trained() -> None:
    for kind in ("levenberg-marquardt", "energy-natural-gradient", "spring", "gauss-newton-cg"):
        experiment = phases(phase("adam", 5), phase(kind, 5), **ENERGY)
        with pytest.raises(ProblemError, match="is the mean of an expression, not of its square") as error:
            begun(experiment)[0].begin()
        assert error.value.path == "phases.1.optimizer.kind"
        with pytest.raises(ProblemError):
            check(experiment)
        with pytest.raises(ProblemError) as error:
            begun(small(optimizer__kind=kind, **ENERGY))[0].begin()
        assert error.value.path == "optimizer.kind"
    assert begun(phases(phase("auto", 5), **ENERGY))[0].begin().solver is None
    experiment = phases(phase("adam", 5, points=15, sampling={"kind": "rad", "candidates": 2}))
    with pytest.raises(ProblemError, match="give at least 15 candidates") as error:
        check(experiment)
    assert error.value.path == "phases.0"


def test_what_does_not_fit_is_refused_at_the_start_and_replaced_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def fits(kind: str, *size: object) -> bool:
        return kind in memory.WITHOUT_MATRIX.values()

    monkeypatch.setattr(memory, "fits", fits)
    monkeypatch.setattr(memory, "available", lambda device: 1_000_000)
    with pytest.raises(ProblemError, match="Levenberg-Marquardt with .* needs .* of memory, this machine has 1 MB"):
        begun(small(optimizer__kind="levenberg-marquardt"))[0].begin()
    for kind, other in (("levenberg-marquardt", "gauss-newton-cg"), ("ssbroyden", "lbfgs")):
        course, told = begun(phases(phase(kind, 5)))
        trainer = course.begin()
        trainer.step()
        course.enter(*course.advance(trainer, 0.0))
        assert course.place.kind == other
        assert f"{other} in float64" in told[-1][1] and told[-1][1].endswith(f"{other} takes its place")
        same, place, why = built(course.experiment, course.place)
        assert place == course.place and why == "" and same.solver is not None, "the same when it is gone on with"


def test_a_phase_that_cannot_begin_pauses_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(phases(phase("lbfgs", 5)))

    def refuse(*_: object, **more: object) -> object:
        raise ProblemError("there is no room", "phases.0.optimizer.kind")

    monkeypatch.setattr(courses, "build_objective", refuse)
    update = live.until(lambda u: u.status.state in (RunState.PAUSED, RunState.FINISHED, RunState.FAILED))
    if update.status.state is RunState.FAILED:  # it was quicker than the thread
        live.close()
        return
    assert update.status.message == "the next phase cannot begin: there is no room" and update.status.step == 20
    monkeypatch.undo()
    live.send("resume")
    live.until(lambda u: u.status.state is RunState.FINISHED)
    live.close()
