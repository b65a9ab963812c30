"""Phases while a run goes on: the status bar, the next phase, another optimizer, and the marks of the timeline."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor, QImage, QPainter
from pytestqt.qtbot import QtBot

from studio import gallery
from studio.messages import Event, RunState, Status, Update
from studio.phases import PhaseSpec
from tests.ui import samples
from tests.ui.fake_studio import Studio, opened_studio
from ui import statusbar
from ui.panels.panel import Lane
from ui.statusbar import RunBar
from ui.switch_dialog import SwitchDialog
from ui.timeline import Timeline
from ui.timeline_marks import STYLES, draw_shape, mark_of

SECOND = {"phase": 2, "phases": 3, "phase_name": "levenberg-marquardt", "phase_step": 12, "phase_steps": 300}


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    yield from opened_studio(qtbot, tmp_path, monkeypatch)


def bar_with(qtbot: QtBot, width: int, **more: object) -> RunBar:
    bar = RunBar()
    qtbot.addWidget(bar)
    bar.begin(samples.lanes(1))
    bar.setFixedWidth(width)
    bar.show()
    bar.receive(0, Update(status=Status(state=RunState.RUNNING, step=312, total_steps=900, seconds_left=61.0,
                                        **{**SECOND, **more})))  # type: ignore[arg-type]
    bar.set_state(RunState.RUNNING)
    return bar


# -- the status bar ----------------------------------------------------------------------------------------------


def test_the_phase_is_told_with_its_own_steps_and_the_time_left(qtbot: QtBot) -> None:
    bar = bar_with(qtbot, 1580)
    assert bar.steps.text() == "phase 2 of 3: levenberg-marquardt, step 12 of 300"
    assert bar.progress.value() == 40 and bar.left.text() == "1:01 left"
    assert "Step 312 of 900 of the whole run" in bar.steps.toolTip()
    bar.setFixedWidth(1200)
    assert bar.steps.text() == "phase 2/3: levenberg-marquardt, 12/300"


def test_the_time_left_is_that_of_the_phase_where_that_of_those_to_come_is_not_known(qtbot: QtBot) -> None:
    bar = bar_with(qtbot, 1580)
    status = bar._statuses[0]
    bar.receive(0, Update(status=replace(status, seconds_left=None, phase_seconds_left=61.0)))
    bar.draw()
    assert bar.left.text() == "1:01 left of phase" and "not known" in bar.left.toolTip()
    bar.receive(0, Update(status=replace(status, seconds_left=None, phase_seconds_left=None)))
    bar.draw()
    assert bar.left.text() == ""


def test_a_run_of_one_phase_is_told_as_ever(qtbot: QtBot) -> None:
    bar = bar_with(qtbot, 1580, phase=1, phases=1)
    assert bar.steps.text() == "312 of 900 steps" and bar.progress.value() == round(1000 * 312 / 900)


def test_what_a_long_step_does_is_told_when_it_has_taken_long(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    bar = bar_with(qtbot, 1580, doing="solving the linear system: 40%")
    assert bar.message.text() == ""
    later = time.monotonic() + statusbar.LONG + 0.1
    monkeypatch.setattr(statusbar.time, "monotonic", lambda: later)
    bar.draw()
    assert bar.message.text() == "Solving the linear system: 40%"
    status = bar._statuses[0]
    bar.receive(0, Update(status=replace(status, step=313)))
    bar.draw()
    assert bar.message.text() == "", "the next step has begun just now"


def test_what_was_asked_for_is_told_until_it_has_happened(qtbot: QtBot) -> None:
    bar = bar_with(qtbot, 1580)
    bar.wait_for("Pausing ...")
    bar.set_state(RunState.RUNNING)
    bar.draw()
    assert bar.state.text() == "Pausing ..."
    bar.set_state(RunState.PAUSED)
    assert bar.state.text() == "Paused"


def test_a_pause_that_takes_long_is_seen(studio: Studio) -> None:
    studio.run()
    state = studio.window.runbar.state
    studio.window.control.pause = lambda: None  # type: ignore[method-assign]
    studio.window.run.toggle()
    assert state.text() == "Pausing ..."
    studio.window.control.stop = lambda: None  # type: ignore[method-assign]
    studio.window.actions_by_id["run.stop"].trigger()
    assert state.text() == "Stopping ..."


def test_a_change_that_was_asked_for_is_told_until_it_is_made_or_refused(studio: Studio) -> None:
    studio.run()
    text, first, second = studio.window.runbar.state.text, *studio.sessions
    for session in studio.sessions:
        session.status = replace(session.status, phase=1, phases=3, changes=("soap",))
    studio.tick()
    studio.window.actions_by_id["run.next-phase"].trigger()
    assert text() == "Next phase ..."
    first.status = replace(first.status, phase=2)
    studio.tick()
    studio.window.runbar.draw()
    assert text() == "Next phase ...", "the other lane is still in its step"
    second.status = replace(second.status, phase=2)
    studio.tick()
    studio.window.runbar.draw()
    assert text() == "Running"
    studio.window.actions_by_id["run.undo"].trigger()
    assert text() == "Undoing ..."
    first.events.append(Event(step=9, kind="undo", text="undone: soap", value="{}"))
    second.events.append(Event(step=9, kind="change-refused", text="there is no change that could be undone"))
    studio.tick()
    studio.window.runbar.draw()
    assert text() == "Running"
    assert studio.window.run.switch(PhaseSpec()) == [] and text() == "Switching ..."
    for session in studio.sessions:
        session.events.append(Event(step=9, kind="phase", text="phase 3 of 4: ssbroyden"))
    studio.tick()
    studio.window.runbar.draw()
    assert text() == "Running"
    assert studio.window.run.switch(PhaseSpec(optimizer={"kind": "muon"})) and text() == "Running", "it was refused"


def test_a_phase_that_ends_by_its_seconds_fills_its_bar(qtbot: QtBot) -> None:
    bar = bar_with(qtbot, 1580, phase=1)
    bar.begin([Lane(0, "M1", gallery.load("quick").lanes()[0])])
    limited = Event(step=300, kind="change", text="", value='{"changes": {"phases": [{"seconds": 10.0}, {}]}}')
    status = Status(state=RunState.RUNNING, step=307, total_steps=5300, phases=3, phase=2, phase_name="lbfgs",
                    phase_step=7, phase_steps=5000, steps_per_second=1.0, phase_seconds_left=2.5)
    bar.receive(0, Update(status=status, events=(limited,)))
    bar.draw()
    assert bar.progress.value() == 750, "7.5 of 10 s"
    bar.receive(0, Update(status=replace(status, phase_step=4999, phase_seconds_left=1.0)))
    bar.draw()
    assert bar.progress.value() == 1000, "a step that is left at a step per second: what is left is that of the steps"
    bar.receive(0, Update(status=replace(status, state=RunState.FINISHED, step=307, total_steps=307)))
    bar.draw()
    assert bar.progress.value() == 1000 and bar.steps.text() == "307 steps in 3 phases"


# -- the timeline ------------------------------------------------------------------------------------------------


def test_a_phase_is_a_flag_on_the_timeline_with_its_sentence(qtbot: QtBot) -> None:
    event = Event(step=300, kind="phase", text="phase 2 of 2: levenberg-marquardt in float64 on 500 fixed points")
    mark = mark_of(event, "")
    assert mark_of(replace(event, step=0), "") is None, "the first phase is the start"
    assert mark is not None and (mark.shape, mark.color) == ("flag", "accent") and mark.text == event.text
    timeline = Timeline()
    qtbot.addWidget(timeline)
    timeline.begin(samples.lanes(1))
    assert timeline.track.total == 40_000
    timeline.receive(0, Update(status=replace(samples.status(step=300), total_steps=320), events=(event,)))
    assert [mark.step for mark in timeline.track.marks] == [300]
    assert timeline.track.total == 320, "a phase that ended early makes the run shorter"


@pytest.mark.parametrize("shape", sorted({style[0] for style in STYLES.values()}))
def test_every_mark_is_drawn(shape: str, qtbot: QtBot) -> None:
    image = QImage(20, 20, QImage.Format.Format_RGB32)
    image.fill(QColor("white"))
    painter = QPainter(image)
    draw_shape(painter, shape, QPointF(10, 10), QColor("black"), QColor("white"))
    painter.end()
    dark = [(x, y) for x in range(20) for y in range(20) if QColor(image.pixel(x, y)).lightness() < 128]
    assert len(dark) > 8 and all(3 <= x <= 16 and 3 <= y <= 16 for x, y in dark)


# -- the next phase ----------------------------------------------------------------------------------------------


def test_the_next_phase_can_be_begun_where_there_is_one(studio: Studio) -> None:
    assert studio.why_not("run.next-phase") == "Nothing is running."
    studio.run()
    assert studio.why_not("run.next-phase") == "No phase comes after this one."
    first, second = studio.sessions
    first.status = replace(first.status, **{**SECOND, "phase": 1})
    studio.tick()
    assert studio.why_not("run.next-phase") == ""
    studio.window.actions_by_id["run.next-phase"].trigger()
    assert "next phase" in first.calls and "next phase" not in second.calls
    first.status = replace(first.status, **{**SECOND, "phase": 3})
    studio.tick()
    assert studio.why_not("run.next-phase") == "No phase comes after this one."


# -- another optimizer -------------------------------------------------------------------------------------------


def asked(studio: Studio) -> SwitchDialog:
    studio.window.show()
    dialog = studio.window.show_switch()
    assert isinstance(dialog, SwitchDialog)
    return dialog


def kind_in(dialog: SwitchDialog, **texts: str) -> None:
    for name, text in texts.items():
        dialog.settings.by_name[name.replace("__", ".")].set_raw(text)


def test_another_optimizer_is_taken_by_the_run_that_goes_on(studio: Studio, qtbot: QtBot) -> None:
    assert studio.why_not("run.switch") == "Nothing is running."
    studio.run()
    assert studio.why_not("run.switch") == ""
    dialog = asked(studio)
    assert "best second-order method" in dialog.settings.words.text()
    kind_in(dialog, optimizer__kind="levenberg-marquardt", steps="50", points="500", precision="float32")
    assert not dialog.settings.by_name["optimizer.damping"].isHidden()
    dialog.switch_button.click()
    assert all("switch levenberg-marquardt 50 float32 500" in session.calls for session in studio.sessions)
    assert not dialog.isVisible()
    for session in studio.sessions:
        session.status = replace(session.status, changes=("levenberg-marquardt",))
    studio.tick()
    studio.window.actions_by_id["run.undo"].trigger()
    assert all("undo" in session.calls for session in studio.sessions)


def test_what_is_wrong_is_told_at_its_field_before_the_run_hears_of_it(studio: Studio) -> None:
    studio.run()
    dialog = asked(studio)
    kind_in(dialog, steps="many")
    assert "no whole number" in dialog.settings.by_name["steps"].problem and not dialog.switch_button.isEnabled()
    kind_in(dialog, steps="0")
    assert "at least 1" in dialog.settings.by_name["steps"].problem
    kind_in(dialog, steps="5", optimizer__kind="spring", optimizer__momentum="1")
    assert "less than 1" in dialog.settings.by_name["optimizer.momentum"].problem
    kind_in(dialog, optimizer__momentum="0.9")
    assert dialog.switch_button.isEnabled() and dialog.message.isHidden()
    assert not any(call.startswith("switch") for call in studio.sessions[0].calls)
    dialog.reject()


def test_a_run_that_refuses_says_why_and_the_window_stays(studio: Studio) -> None:
    studio.run()
    dialog = asked(studio)
    kind_in(dialog, optimizer__kind="spring")
    dialog.switch_button.click()
    assert dialog.settings.by_name["optimizer.kind"].problem == "Spring cannot work on a mean."
    assert dialog.message.text() == "nor can this phase" and dialog.isVisible()
    kind_in(dialog, optimizer__kind="muon")
    assert dialog.settings.by_name["optimizer.kind"].problem == "" and dialog.message.isHidden()
    dialog.switch_button.click()
    assert dialog.message.text() == "the run is being closed"
    dialog.reject()


def test_a_run_that_has_ended_meanwhile_refuses(studio: Studio) -> None:
    studio.run()
    dialog = asked(studio)
    for session in studio.sessions:
        session.put(RunState.FINISHED)
    studio.tick()
    dialog.switch_button.click()
    assert "no run to steer" in dialog.message.text()
    dialog.reject()
