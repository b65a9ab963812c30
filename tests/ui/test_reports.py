"""What the window says of a run: refused changes, a loss that is not finite, the end, and how long a sentence stays."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from studio import gallery
from studio.messages import Event, RunState, Status, Update
from studio.phases import PhaseSpec
from tests.ui import samples
from tests.ui.fake_studio import Studio, opened_studio, wait
from ui import statusbar
from ui.statusbar import HOLD, RunBar

REFUSED = "this cannot be changed now: levenberg-marquardt needs a loss that is a sum of squares"


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    yield from opened_studio(qtbot, tmp_path, monkeypatch)


@pytest.fixture
def alone(studio: Studio) -> Studio:
    """With one lane, which has the name of its experiment."""
    experiment = gallery.load("quick").model_copy(update={"compare": (), "label": "", "name": "new"})
    studio.window.documents.show("new", experiment)
    return studio


class Clock:
    """The time that a status bar reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.monotonic()
        monkeypatch.setattr(statusbar.time, "monotonic", lambda: self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds


def happens(studio: Studio, lane: int, kind: str, text: str, **more: Any) -> None:
    session = studio.sessions[lane]
    session.events.append(Event(step=17, kind=kind, text=text, value=json.dumps(more)))
    studio.tick()


def buttons(studio: Studio) -> list[str]:
    notice = studio.window.banner.notice
    return [] if notice is None else [label for label, _ in notice.actions]


# -- a change that is refused ----------------------------------------------------------------------------------


def test_a_refused_change_is_told_whole_until_one_works(studio: Studio) -> None:
    studio.run()
    happens(studio, 1, "change-refused", REFUSED)
    assert studio.said == f"M2: {REFUSED}."
    happens(studio, 1, "change", "switched to soap")
    assert "sum of squares" not in studio.said
    happens(studio, 1, "change-refused", "there is no change that could be undone")
    happens(studio, 1, "undo", "undone: soap")
    assert "undone" not in studio.said


def test_what_all_lanes_refuse_is_told_once(studio: Studio) -> None:
    studio.run()
    happens(studio, 0, "change-refused", REFUSED)
    happens(studio, 1, "change-refused", REFUSED)
    assert studio.said == f"M1 and M2: {REFUSED}."
    happens(studio, 1, "change-refused", "no")
    assert studio.said == f"M1: {REFUSED}. M2: no."
    happens(studio, 0, "phase", "phase 2 of 3: adam")
    assert "M1" in studio.said, "a phase that was planned is no change"
    happens(studio, 1, "change", "switched to soap")
    assert studio.said == f"M1: {REFUSED}.", "that the other lane goes on with it makes it the more worth knowing"
    happens(studio, 0, "change", "switched to soap")
    assert not studio.window.banner.has("change")


def test_a_refused_change_is_forgotten_with_its_run(alone: Studio, qtbot: QtBot) -> None:
    alone.run()
    happens(alone, 0, "change-refused", REFUSED)
    assert alone.said == f"{REFUSED[:1].upper()}{REFUSED[1:]}."
    alone.answer = "stop"
    alone.window.run.reset()
    wait(qtbot, lambda: not alone.window.control.closing)
    assert not alone.window.banner.has("change")


def test_no_lane_hears_of_a_phase_that_another_cannot_have(studio: Studio) -> None:
    points = {"sampling.every": 0, "balancing.points": "self-adaptive"}
    variant = {"label": "M2", "set": points}
    experiment = gallery.load("quick").with_changes({"compare": [variant]})
    studio.window.documents.show("quick", experiment)
    studio.run()
    drawn = PhaseSpec.model_validate({"optimizer": {"kind": "adam"}, "sampling": {"every": 5}})
    refused = studio.window.control.switch(drawn)
    assert refused and "points that stay" in refused[0][1]
    assert not any(call.startswith("switch") for session in studio.sessions for call in session.calls)
    assert studio.window.control.switch(PhaseSpec.model_validate({"optimizer": {"kind": "adam"}})) == []
    assert all(session.calls[-1].startswith("switch adam") for session in studio.sessions)


# -- a loss that is not finite ---------------------------------------------------------------------------------


def paused_by_nan(studio: Studio, **status: Any) -> None:
    session = studio.sessions[0]
    session.status = replace(session.status, state=RunState.PAUSED, **status)
    happens(studio, 0, "nan", "the loss term 'boundary' became NaN")


@pytest.mark.parametrize("kind", ["adam", "soap", "muon"])
def test_half_the_learning_rate_is_offered_to_what_has_one(alone: Studio, kind: str) -> None:
    alone.run()
    paused_by_nan(alone, phase_name=kind)
    assert buttons(alone) == ["Go on with half the learning rate", "Stop"]
    assert alone.said.startswith("The run is paused at step 17: ")


@pytest.mark.parametrize(("status", "offered"), [
    ({}, []), ({"changes": ("soap",)}, ["Undo the last change and go on"]),
    ({"phase": 1, "phases": 2}, ["Go on with the next phase"]),
    ({"changes": ("soap",), "phase": 2, "phases": 3}, ["Undo the last change and go on", "Go on with the next phase"]),
])
def test_what_has_none_can_be_left(alone: Studio, status: dict[str, Any], offered: list[str]) -> None:
    alone.run()
    paused_by_nan(alone, phase_name="levenberg-marquardt", **status)
    assert buttons(alone) == [*offered, "Stop"]


@pytest.mark.parametrize(("label", "call"), [("Undo the last change and go on", "undo"),
                                             ("Go on with the next phase", "next phase")])
def test_leaving_it_goes_on(alone: Studio, label: str, call: str) -> None:
    alone.run()
    paused_by_nan(alone, phase_name="ssbroyden", changes=("ssbroyden",), phases=2)
    alone.press(label)
    assert alone.sessions[0].calls[-2:] == [call, "resume"]


def test_half_the_rate_of_a_later_phase_is_half_of_its_own(alone: Studio) -> None:
    phases = [{"optimizer": {"kind": "soap", "learning_rate": 0.02}}]
    alone.window.documents.show("new", gallery.load("quick").with_changes({"compare": [], "phases": phases}))
    alone.run()
    alone.window.control.steer(0, "learning_rate", 1e-5)
    paused_by_nan(alone, phase_name="soap", phase=2, phases=2)
    alone.press("Go on with half the learning rate")
    assert alone.sessions[0].calls[-2:] == ["rate 0.01", "resume"]


# -- the end ---------------------------------------------------------------------------------------------------


def test_why_a_run_has_ended_by_itself_is_told(alone: Studio) -> None:
    reason = "levenberg-marquardt has ended by itself, after 1 of 15 steps in float64: the loss is zero"
    alone.run()
    happens(alone, 0, "done", reason, phase=1, phases=2)
    assert not alone.window.banner.has("done") and "after 1 of 15" in alone.window.runbar.message.text()
    alone.sessions[0].put(RunState.FINISHED)
    alone.sessions[0].events.append(Event(step=1, kind="done", text=reason, value='{"phase": 2, "phases": 2}'))
    happens(alone, 0, "finish", "finished after 1 steps, 0.1 s of training: the loss is zero")
    assert alone.said == f"L{reason[1:]}."
    alone.window.runbar.draw()
    assert "the loss is zero" in alone.window.runbar.message.text()


def test_one_lane_alone_is_the_run(alone: Studio) -> None:
    alone.run()
    alone.sessions[0].put(RunState.FAILED, "the memory is exhausted")
    alone.tick()
    assert alone.said == "The run has failed: the memory is exhausted."


def test_nothing_is_undone_when_the_run_is_over(alone: Studio) -> None:
    alone.run()
    alone.sessions[0].status = replace(alone.sessions[0].status, changes=("soap",))
    alone.tick()
    assert alone.why_not("run.undo") == ""
    alone.sessions[0].put(RunState.FINISHED)
    alone.tick()
    assert alone.why_not("run.undo") == "The run has ended."


def test_after_a_reset_nothing_is_said_of_the_last_run(alone: Studio, qtbot: QtBot) -> None:
    alone.run()
    happens(alone, 0, "phase", "phase 2 of 2: ssbroyden in float64")
    alone.sessions[0].put(RunState.FINISHED)
    alone.tick()
    assert "ssbroyden" in alone.window.runbar.message.text()
    alone.window.run.reset()
    wait(qtbot, lambda: not alone.window.control.closing)
    assert alone.window.runbar.state.text() == "Ready" and alone.window.runbar.message.text() == ""


# -- how long a sentence stays ---------------------------------------------------------------------------------


@pytest.fixture
def bar(qtbot: QtBot) -> RunBar:
    made = RunBar()
    qtbot.addWidget(made)
    made.begin(samples.lanes(1))
    made.setFixedWidth(1200)
    made.show()
    return made


def hears(bar: RunBar, **status: Any) -> str:
    bar.receive(0, Update(status=Status(state=RunState.RUNNING, step=1, total_steps=9, **status)))
    bar.set_state(RunState.RUNNING)
    return bar.message.text()


def test_a_sentence_stays_until_it_can_have_been_read(bar: RunBar, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    hears(bar, message="compiling the step")
    bar.say("Phase 2 of 2: lbfgs, because of the memory.")
    assert hears(bar) == "Phase 2 of 2: lbfgs, because of the memory."
    bar.say("The damping is 0.1.", passing=True)
    clock.wait(HOLD - 0.5)
    assert hears(bar, doing="the Jacobian: 40%") == "Phase 2 of 2: lbfgs, because of the memory."
    assert hears(bar, busy="the spectrum") == "Computing the spectrum ..."
    assert hears(bar) == "Phase 2 of 2: lbfgs, because of the memory.", "it has not been there long enough"
    clock.wait(1.0)
    assert hears(bar, doing="the Jacobian: 50%") == "The Jacobian: 50%"
    bar.say("The damping is 0.1.", passing=True)
    assert bar.message.text() == "The damping is 0.1."


def test_what_a_session_goes_on_saying_comes_back(bar: RunBar, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    hears(bar, message="the next phase cannot begin")
    bar.say("Weight of boundary set to 3.")
    assert hears(bar, message="the next phase cannot begin") == "Weight of boundary set to 3."
    assert bar._later.isActive(), "also while nothing comes"
    clock.wait(HOLD + 0.1)
    bar._later.timeout.emit()
    assert bar.message.text() == "the next phase cannot begin"


def test_what_does_not_fit_ends_in_an_ellipsis_and_the_tip_has_it_whole(bar: RunBar) -> None:
    long = "phase 2 of 2: gauss-newton-cg, because levenberg-marquardt <needs> 16 TB of memory. " * 3
    bar.say(long)
    assert bar.message.fitted().endswith("\u2026") and len(bar.message.fitted()) < len(long)
    assert bar.message.text() == long and "&lt;needs&gt; 16 TB" in bar.message.toolTip()
    assert bar.message.toolTip().startswith("<p>"), "plain text is not wrapped"


def test_a_run_that_cannot_begin_says_so_and_offers_what_would_do(alone: Studio) -> None:
    kind = "levenberg-marquardt"
    alone.window.form.change({"optimizer.kind": kind})
    alone.run()
    reason = ("Levenberg-Marquardt with 32,000,000 parameters and 3,000 residuals needs 7.2 TB of memory, this machine "
              "has 20 GB free; up to 18,000 parameters would fit, or gauss-newton-cg, which needs 4.1 GB, would do")
    alone.sessions[0].put(RunState.FAILED, reason)
    alone.sessions[0].events.append(Event(step=0, kind="refused", text=reason))
    alone.tick()
    assert alone.said == f"The run cannot begin: {reason}."
    alone.press("Put gauss-newton-cg into the form")
    experiment = alone.window.form.experiment
    assert experiment is not None and experiment.optimizer.kind == "gauss-newton-cg"


def test_a_refusal_that_names_no_other_method_has_no_button(alone: Studio) -> None:
    alone.run()
    alone.sessions[0].put(RunState.FAILED, "nothing can be written into the folder runs")
    alone.sessions[0].events.append(Event(step=0, kind="refused", text="nothing can be written into the folder runs"))
    alone.tick()
    notice = alone.window.banner.notice
    assert notice is not None and notice.actions == () and notice.text.startswith("The run cannot begin: nothing can")
