"""A slice that is chosen before there is a run."""

from __future__ import annotations

from typing import Any

from pytestqt.qtbot import QtBot

from studio.messages import RunState, Update
from tests.ui import samples
from tests.ui.test_field_cuts import sliced
from tests.ui.test_panels_fields import give, lanes_over, make


def test_a_slice_that_is_chosen_before_the_start_is_asked_for_when_the_run_begins(qtbot: QtBot) -> None:
    over = lanes_over("t", "x", "y", exact={})
    panel = make(qtbot, over, (700, 400))
    asked: list[Any] = []
    panel.command.connect(lambda lane, kind, value: asked.append((lane, kind, value)))
    bar = panel.slices
    bar.held["y"].slider.setValue(50)
    assert asked == [] and not bar.waiting and "when it begins" in bar.sentence.text()
    panel.begin(over)  # as at every start
    assert bar.held["y"].value == 0.25 and "when it begins" in bar.sentence.text()
    panel.receive(0, Update(status=samples.status()))
    assert asked == [(-1, "view", ("fields", {"axes": ("t", "x"), "fixed": {"y": 0.25}}))] and bar.waiting
    give(panel, sliced(("t", "x"), {"y": 0.5}))
    assert bar.held["y"].value == 0.25, "the first picture may have been made before the run heard of it"
    give(panel, sliced(("t", "x"), {"y": 0.25}))
    assert not bar.waiting and bar.sentence.isHidden() and len(asked) == 1


def test_a_run_that_is_shown_as_it_was_recorded_is_asked_for_no_slice(qtbot: QtBot) -> None:
    panel = make(qtbot, lanes_over("t", "x", "y", exact={}), (700, 400))
    asked: list[Any] = []
    panel.command.connect(lambda lane, kind, value: asked.append((lane, kind, value)))
    panel.slices.held["y"].slider.setValue(50)
    panel.receive(0, Update(status=samples.status(RunState.FINISHED)))
    assert asked == [] and panel.slices.held["y"].value == 0.5 and panel.slices.sentence.isHidden()
