"""Why a phase ends, which the journal says, and what a phase has left that comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.findings import Remedy
from studio.inbox import Inbox
from studio.messages import RunState
from studio.phases import PhaseSpec, Place
from studio.rules.ending import ended_by_itself
from studio.rules.seen import Seen
from studio.runfile import load_run
from studio.surgery import Surgery
from tests.studio.test_course import LONG, Endless, Live, begun, phase, phases
from tests.studio.test_course_status import Slow
from tests.studio.test_runner import Desk, finished, small


def ends(events: Any) -> list[str]:
    return [event.text for event in events if event.kind == "phase-end"]


# ------------------------------------------------------------------ the journal

def test_the_journal_says_that_the_seconds_of_a_phase_are_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.build.solver_of", lambda spec, kind, objective: Slow() if kind == "lbfgs" else None)
    run = finished(tmp_path, "a.pinnrun", phases(phase("lbfgs", 5000, seconds=0.35), phase("adam", 5),
                                                 phase("lbfgs", 4000, seconds=0.15)))
    first, second, third, last = ends(run.events)
    assert first == "phase 1 of 4, adam, has ended: its 20 steps are made"
    made = next(e.step for e in run.events if e.kind == "phase" and e.text.startswith("phase 3")) - 20
    assert second == f"phase 2 of 4, lbfgs, has ended after {made} of 5,000 steps: its 0.35 seconds are over"
    assert third == "phase 3 of 4, adam, has ended: its 5 steps are made"
    assert last.endswith("of 4,000 steps: its 0.15 seconds are over")
    assert run.events[-1].text.endswith("s of training: its 0.15 seconds are over")
    assert not any(event.kind == "done" for event in run.events)
    seen = Seen(run.experiment)
    seen.events.extend(run.events)
    assert not list(ended_by_itself(seen)), "no method has ended by itself"
    told = next(json.loads(e.value) for e in run.events if e.kind == "phase-end")
    assert told == {"phase": 1, "phases": 4, "kind": "adam", "why": "its 20 steps are made"}


def test_a_run_that_makes_all_its_steps_says_no_more_than_that(tmp_path: Path) -> None:
    run = finished(tmp_path, "a.pinnrun", small())
    assert not ends(run.events) and run.events[-1].text.endswith("s of training")


def test_the_journal_says_that_the_next_phase_was_asked_for() -> None:
    desk = Desk(phases(phase("adam", 50), **LONG))
    desk.runner._prepare()
    desk.runner._apply("resume", None)
    desk.runner._chunk()
    desk.runner._apply("next_phase", None)
    events, step = desk.mailbox.take().events, desk.runner.trainer.iteration
    assert ends(events) == [f"phase 1 of 2, adam, has ended after {step} of 1,000,000 steps: the next phase was asked "
                            "for"]
    assert [e.kind for e in events][-2:] == ["phase-end", "phase"]


# ------------------------------------------------------------------ commands for which a long step is broken off

@pytest.mark.parametrize("command", ["change", "undo"])
def test_a_long_step_is_broken_off_for_what_it_would_be_made_anew_for(
        monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setattr("studio.build.solver_of", lambda spec, kind, objective: Endless() if kind == "lbfgs" else None)
    live = Live(phases(phase("lbfgs", 5), phase("adam", 1_000_000)))
    live.until(lambda u: u.status.doing != "")
    more = Remedy(text="More steps", changes={"training.steps": 30})
    live.send(command, more if command == "change" else None)
    live.until(lambda u: ("change" if command == "change" else "change-refused") in live.kinds)
    live.close()


def test_other_commands_let_it_go_on() -> None:
    desk = Desk(small())
    inbox = Inbox(desk.commands)
    for kind in ("watch", "view", "weight", "resume"):
        desk.commands.put((kind, None))
    assert not inbox.urgent()
    desk.commands.put(("undo", None))
    assert inbox.urgent() and [kind for kind, _ in inbox.take(wait=False)][-1] == "undo"


# ------------------------------------------------------------------ a switch that is undone

def stepped(desk: Desk, steps: int) -> None:
    """So many steps more, each of a tenth of a second."""
    for _ in range(steps):
        desk.runner.trainer.step()
        desk.runner._seconds += 0.1


def test_a_phase_that_comes_back_has_its_steps_still_before_it(tmp_path: Path) -> None:
    desk = Desk(phases(phase("adam", 500, seconds=30.0), training__steps=7), tmp_path / "a.pinnrun")
    runner = desk.runner
    runner._prepare()
    stepped(desk, 7)
    runner._next_phase("it is to")
    stepped(desk, 8)
    runner._apply("switch", PhaseSpec.model_validate(phase("lbfgs", 60)))
    stepped(desk, 5)
    runner._apply("switch", PhaseSpec.model_validate(phase("adam", 40)))
    stepped(desk, 3)
    assert runner._course.place.phase == 3
    runner._apply("undo", None)
    assert runner._course.standing(23)["phase_step"] == 5, "of 60: three were another one's"
    stepped(desk, 2)
    runner._apply("undo", None)
    place, step = runner._course.place, runner.trainer.iteration
    assert (place.phase, place.began, step) == (1, 7 + 10, 25) and place.seconds == pytest.approx(0.7 + 1.0)
    said = desk.mailbox.take().status
    assert (said.phase_step, said.phase_steps, said.total_steps) == (8, 500, 517)
    assert runner._course.left(step, runner._seconds, 0.0)[0] == pytest.approx(30.0 - 0.8)
    assert runner._course.watched.training.steps == 517
    runner._finish()
    run = load_run(tmp_path / "a.pinnrun")
    assert run.current == run.experiment
    again = Desk(run.current, None, run.path)
    again.runner._prepare()
    assert again.runner._course.place == place and again.runner._course.total == 517


def test_so_does_the_first_one() -> None:
    desk = Desk(small(training__steps=500))
    desk.runner._prepare()
    stepped(desk, 8)
    desk.runner._apply("switch", PhaseSpec.model_validate(phase("lbfgs", 60)))
    stepped(desk, 5)
    desk.runner._apply("undo", None)
    course = desk.runner._course
    assert course.place == Place(0, 5, pytest.approx(0.5)) and course.total == 505  # type: ignore[arg-type]
    assert course.watched.training.steps == 505, "whoever looks knows where it ends"
    assert course.over(504, 0.0, "") == "" and course.over(505, 0.0, "") == "its 500 steps are made"


def test_a_change_before_the_switch_is_undone_as_one_of_the_same_phase() -> None:
    course, _ = begun(small(training__steps=500))
    trainer, surgery = course.begin(), Surgery(lambda kind, text, value="": None)
    trainer.step()
    theta = trainer.theta
    trainer = surgery.apply(Remedy(text="Features", changes={"network.fourier_features": 4}), course, trainer)
    trainer.step()
    moments = trainer.m
    trainer = surgery.switch(PhaseSpec.model_validate(phase("adam", 60, precision="as before")), course, trainer, 1.0)
    trainer.step()
    trainer = surgery.undo(course, trainer, 2.0)
    assert course.place == Place(0, 1, 1.0) and not torch.equal(trainer.m, moments)
    trainer = surgery.undo(course, trainer, 2.0)
    assert torch.equal(trainer.theta, theta) and trainer.m.any() and course.place == Place(0, 1, 1.0)
    assert surgery.words == ()


def test_where_the_run_has_gone_on_from_the_switched_phase_it_stays() -> None:
    desk = Desk(phases(phase("adam", 500), training__steps=7))
    desk.runner._prepare()
    stepped(desk, 5)
    desk.runner._apply("switch", PhaseSpec.model_validate(phase("lbfgs", 3)))
    stepped(desk, 3)
    desk.runner._next_phase("its 3 steps are made")
    stepped(desk, 2)
    place = desk.runner._course.place
    assert (place.phase, place.began) == (2, 8)
    desk.runner._apply("undo", None)
    assert desk.runner._course.place == Place(1, 8, place.seconds)
    assert desk.mailbox.take().status.state is RunState.PREPARING
