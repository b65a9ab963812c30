"""Stiffness: which curves there are, what is called unstable, what is not to be leaned on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from core.frames import StiffnessFrame, frozen
from studio.messages import RunState, Update
from tests.ui import samples
from tests.ui.test_panels import draw, picture, shown
from ui.panels.panel import Lane
from ui.panels.stiffness import BOUND, EMPTY, StiffnessPanel
from ui.theme import DARK, LIGHT


def make(qtbot: QtBot, lanes: list[Lane] | None = None, size: tuple[int, int] = (800, 460)) -> StiffnessPanel:
    return shown(qtbot, StiffnessPanel(), samples.lanes(1) if lanes is None else lanes, size)


def give(panel: StiffnessPanel, *frames: StiffnessFrame, at: int = 0, state: RunState = RunState.PAUSED) -> None:
    for frame in frames:
        panel.receive(at, Update(status=samples.status(state), frames={"stiffness": frame}, past=(frame,)))
    draw(panel)


def run(lane: int = 0, count: int = 8, **changes: Any) -> list[StiffnessFrame]:
    return [samples.stiffness_frame(lane, 500 * k, **changes) for k in range(count)]


def test_the_bound_follows_the_rate_of_each_frame(qtbot: QtBot) -> None:
    panel = make(qtbot)
    assert panel.view.note.text() == EMPTY and not panel.sentence.isVisible()
    frames = run()
    give(panel, *frames)
    names = [name for _, name in panel.view.curves]
    assert names == ["total", "residual", "boundary", "preconditioned", BOUND, "38 / rate"]
    bound = panel.view.curves[0, BOUND].series
    assert bound.values == pytest.approx([2 / frame.learning_rate for frame in frames])
    assert bound.values[-1] > 1.4 * bound.values[0], "the rate decays"
    adams = panel.view.curves[0, "38 / rate"].series.values
    assert adams == pytest.approx(19 * bound.values), "2 (1 + 0.9) / (1 - 0.9) = 38"
    assert not panel.view.note.isVisible()


def test_the_words_say_which_side_of_the_bound(qtbot: QtBot) -> None:
    panel = make(qtbot)
    give(panel, samples.stiffness_frame(0, 0))  # total 100.5 and 2 / rate 2000
    assert "would be <b style='color:#15803d'>stable" in panel.sentence.text()
    give(panel, samples.stiffness_frame(0, 2000))
    assert "unstable" in panel.sentence.text() and "(rough)" in panel.sentence.text()
    assert "below</b> its bound 38/rate" in panel.sentence.text()
    frame = samples.stiffness_frame(0, 2500, largest=frozen(np.array([math.nan, 1.0, 1.0, 1.0])))
    give(panel, frame)
    assert "not a finite number" in panel.sentence.text()


def test_plain_gradient_descent_has_no_operator_of_adam(qtbot: QtBot) -> None:
    lanes = samples.lanes(1)
    lanes[0].experiment.optimizer.kind = "gd"
    panel = make(qtbot, lanes)
    one = samples.stiffness_frame(0, 2000)
    give(panel, samples.stiffness_frame(0, 2000, rows=one.rows[:3], largest=one.largest[:3], lowest=one.lowest[:3],
                                        accuracy=one.accuracy[:3]))
    assert "with this rate is <b" in panel.sentence.text() and "Adam" not in panel.sentence.text()
    assert [name for _, name in panel.view.curves] == ["total", "residual", "boundary", BOUND]


def test_weighted_terms_are_multiplied_by_the_weights_of_their_frame(qtbot: QtBot) -> None:
    panel = make(qtbot)
    frames = [samples.stiffness_frame(1, 500 * k, weights=frozen(np.array([1.0, 10.0 + k]))) for k in range(4)]
    give(panel, *frames)
    raw = np.array([frame.largest[2] for frame in frames])
    assert panel.view.curves[0, "boundary"].series.values == pytest.approx(raw * [10, 11, 12, 13])
    panel.set_weighted(False)
    assert panel.view.curves[0, "boundary"].series.values == pytest.approx(raw)
    assert panel.view.curves[0, "total"].series.values == pytest.approx([frame.largest[0] for frame in frames])
    assert [button.isChecked() for button in panel.switch.buttons()] == [True, False]


def test_rough_values_are_open_circles_and_said_in_the_readout(qtbot: QtBot) -> None:
    panel = make(qtbot)
    frames = run()
    give(panel, *frames)
    assert [(step, value) for step, value, _ in panel.marks.points] == [
        (frame.step, frame.largest[3]) for frame in frames], "the accuracy of the last row is 0.3"
    (item,) = panel.marks.items.values()
    assert len(item.getData()[0]) == len(frames)
    text = panel.read(1010)
    assert "step 1,000" in text and text.count("(rough)") == 1 and "lowest \u2212" in text and "to 30 %" in text
    assert panel.read(0) and not make(qtbot).read(0)


def test_two_lanes_and_a_run_that_is_read_anew(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.lanes(2))
    give(panel, *run(0))
    give(panel, *run(1), at=1)
    assert panel.sentence.text().count("unstable") == 2 and "<b>M2:</b>" in panel.sentence.text()
    give(panel, *run(0, 3))
    assert len(panel.view.curves[0, "total"].series) == 3 and len(panel.view.curves[1, "total"].series) == 8
    columns, rows = panel.table()
    assert columns[0] == "step" and "M2 2 / rate" in columns and len(rows) == 8


def test_other_rows_than_before_and_values_that_have_no_place(qtbot: QtBot) -> None:
    panel = make(qtbot)
    give(panel, *run(0, 2))
    bad = samples.stiffness_frame(0, 1500, rows=("total", "residual", "initial"), largest=frozen(np.array(
        [math.inf, -3.0, 7.0])), lowest=frozen(-np.ones(3)), accuracy=frozen(np.full(3, math.nan)))
    give(panel, bad)
    assert panel.view.curves[0, "initial"].series.last == pytest.approx(7.0)
    assert panel.color("initial") == LIGHT.term(2)


def test_going_back_shows_the_words_of_that_step_and_a_line(qtbot: QtBot) -> None:
    panel = make(qtbot)
    frames = run()
    give(panel, *frames)
    assert "unstable" in panel.sentence.text()
    panel.travel({0: {"stiffness": frames[0]}}, 0.0)
    draw(panel)
    assert "unstable" not in panel.sentence.text() and panel.view.plot.now.isVisible()
    panel.set_cursor(500)
    assert panel.view.plot.cursor.value() == 500
    panel.travel(None, None)
    draw(panel)
    assert "unstable" in panel.sentence.text() and not panel.view.plot.now.isVisible()


def test_a_small_panel_says_less_and_keeps_a_plot(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.lanes(2), (420, 260))
    for lane in (0, 1):
        give(panel, *run(lane), at=lane)
    assert "&gt; 2/rate; Adam" in panel.sentence.text() and not panel.view.legend.isVisible()
    assert panel.view.plot.height() > 120


def test_a_panel_that_becomes_small_says_less_at_once(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.lanes(2), (900, 600))
    for lane in (0, 1):
        give(panel, *run(lane), at=lane)
    assert "Gradient descent" in panel.sentence.text() and panel.view.legend.isVisible()
    panel.resize(420, 260)
    assert "Gradient descent" not in panel.sentence.text() and not panel.view.legend.isVisible()
    panel.resize(900, 600)
    assert "Gradient descent" in panel.sentence.text() and panel.view.legend.isVisible()


def test_colors_are_those_of_the_theme(qtbot: QtBot) -> None:
    panel = make(qtbot)
    give(panel, *run())
    panel.restyle(DARK)
    draw(panel)
    pixels = picture(panel)
    for color in (DARK.text, DARK.terms[0], DARK.terms[1], DARK.terms[5], DARK.muted):
        assert (pixels == int(QColor(color).rgb() & 0xFFFFFF)).sum() > 20, color
