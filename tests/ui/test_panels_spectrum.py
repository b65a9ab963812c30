"""The Hessian's spectrum: the button, the numbers, what is drawn where."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QAction
from PySide6.QtTest import QSignalSpy
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from core.frames import SpectrumFrame, frozen
from studio.messages import RunState, Status, Update
from tests.ui import samples
from tests.ui.test_panels import draw, shown
from ui.panels.demand import DemandBar
from ui.panels.panel import Lane
from ui.panels.spectrum import DENSITY, EMPTY, SpectrumPanel, numbers_of
from ui.plots.charts import DRAWN, few
from ui.theme import LIGHT, mix


def make(qtbot: QtBot, lanes: list[Lane] | None = None, size: tuple[int, int] = (800, 460)) -> SpectrumPanel:
    return shown(qtbot, SpectrumPanel(), samples.lanes(1) if lanes is None else lanes, size)


def give(panel: SpectrumPanel, *frames: SpectrumFrame, at: int = 0) -> None:
    for frame in frames:
        panel.receive(at, Update(status=samples.status(RunState.PAUSED), frames={"spectrum": frame}))
    draw(panel)


def action(menu: QMenu, text: str) -> QAction:
    return next(one for one in menu.actions() if one.text() == text)


# -- the button ------------------------------------------------------------------------------------------------


def test_compute_asks_the_lanes_that_were_chosen_and_stop_those_that_are_busy(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.lanes(2))
    asked = QSignalSpy(panel.command)
    assert not panel.demand.button.isEnabled() and "press Start" in panel.demand.button.toolTip()
    for lane in (0, 1):
        panel.receive(lane, Update(status=samples.status(RunState.RUNNING)))
    assert panel.demand.button.isEnabled() and panel.demand.box.isVisible()
    panel.demand.button.click()
    assert [tuple(asked.at(i)) for i in range(asked.count())] == [
        (0, "demand", ("spectrum", {})), (1, "demand", ("spectrum", {}))]
    panel.demand.box.setCurrentText("M2")
    panel.demand.button.click()
    assert tuple(asked.at(2)) == (1, "demand", ("spectrum", {}))
    panel.receive(1, Update(status=samples.status(RunState.RUNNING, busy="spectrum: 40 % of the products")))
    assert panel.demand.stop.isVisible() and not panel.demand.button.isVisible()
    assert panel.demand.words.toolTip() == "spectrum: 40 % of the products"
    panel.demand.stop.click()
    assert tuple(asked.at(3)) == (1, "demand", ("stop", {}))
    panel.demand.box.setCurrentText("M1")
    assert panel.demand.button.isVisible() and not panel.demand.stop.isVisible()
    panel.demand.box.setCurrentText("both")
    panel.demand.stop.click()
    assert asked.count() == 5 and asked.at(4)[0] == 1, "the first lane has nothing to stop"
    panel.receive(1, Update(status=samples.status(RunState.RUNNING)))
    assert panel.demand.button.isVisible() and not panel.demand.words.isVisible()


# -- numbers ---------------------------------------------------------------------------------------------------


def test_the_numbers_of_a_spectrum() -> None:
    values = np.array([-4.0, -1e-9, 0.0, 1e-9, 0.5, 100.0])
    found = numbers_of(values, np.full(6, 1 / 6), 1e-6)
    assert (found.largest, found.smallest) == (100.0, -4.0)
    assert found.negative == pytest.approx(1 / 6), "what is within rounding of zero is not negative"
    assert found.condition == pytest.approx(200) and found.lower_bound
    whole = numbers_of(np.array([1.0, 2.0, 8.0]), np.full(3, 1 / 3), 1e-6)
    assert (whole.negative, whole.condition, whole.lower_bound) == (0, 8, False)
    assert math.isnan(numbers_of(np.array([-2.0, -1.0]), np.full(2, 0.5), 1e-6).condition)
    assert math.isnan(numbers_of(np.array([math.nan, 1.0]), np.full(2, 0.5), 1e-6).largest)
    assert math.isnan(numbers_of(np.empty(0), np.empty(0), 1e-6).largest)


def test_eigenvalues_stand_ascending_and_the_table_has_all(qtbot: QtBot) -> None:
    panel = make(qtbot)
    assert panel.charts.charts[0].empty == EMPTY
    frame = samples.spectrum_frame(0)
    give(panel, frame)
    (chart,) = panel.charts.charts
    assert [trace.name for trace in chart.traces] == ["residual", "boundary", "total"]
    assert np.array_equal(chart.traces[0].y, frame.eigenvalues["residual"]) and chart.traces[0].x[-1] == 500
    assert panel.charts.over_y.kind == "symlog" and panel.charts.over_y.threshold == pytest.approx(1.0)
    assert "linear within \u00b11," in panel.charts.upwards[0]
    assert chart.traces[2].numbers[0] == "1.02e4" and chart.traces[2].numbers[3].startswith("\u2265 ")
    columns, rows = panel.table()
    assert columns[4] == "eigenvalue" and len(rows) == 1500 and rows[0][4] == frame.eigenvalues["residual"][0]


def test_the_spectrum_before_stays_faint(qtbot: QtBot) -> None:
    panel = make(qtbot)
    first, second = samples.spectrum_frame(0, 1000), samples.spectrum_frame(0, 3000)
    give(panel, first, second)
    faint = [trace for trace in panel.charts.charts[0].traces if trace.faint]
    assert [trace.name for trace in faint] == ["residual", "boundary", "total"]
    assert np.array_equal(faint[2].y, first.eigenvalues["total"])
    assert faint[0].color == mix(LIGHT.term(0), LIGHT.plot, 0.35)
    assert "faint: 1,000" in panel.charts.charts[0].note
    panel.travel({0: {"spectrum": first}}, 1500.0)
    draw(panel)
    assert not any(trace.faint for trace in panel.charts.charts[0].traces)
    assert "step 1,000" in panel.charts.charts[0].note


def test_a_quadrature_is_a_density_and_tells_no_condition(qtbot: QtBot) -> None:
    panel = make(qtbot)
    give(panel, samples.spectrum_frame(0, full=False))
    assert panel.shown_as() == DENSITY
    trace = panel.charts.charts[0].traces[0]
    assert trace.stepped and trace.numbers[3] == "not known" and "estimated" in panel.charts.charts[0].note
    counts = trace.y[trace.y > 0.05]
    assert counts.sum() == pytest.approx(20_000, rel=1e-3), "all 20,000 parameters lie in some bin"
    action(panel.show_button.menu(), "in ascending order").trigger()
    steps = panel.charts.charts[0].traces[0].x
    assert not panel.charts.charts[0].traces[0].stepped and 0 < steps[0] < steps[-1] < 20_000


def test_rows_can_be_left_out(qtbot: QtBot) -> None:
    panel = make(qtbot)
    give(panel, samples.spectrum_frame(0))
    action(panel.show_button.menu(), "residual").trigger()
    assert [trace.name for trace in panel.charts.charts[0].traces] == ["boundary", "total"]
    assert {row[2] for row in panel.table()[1]} == {"boundary", "total"}
    action(panel.show_button.menu(), "residual").trigger()
    assert len(panel.charts.charts[0].traces) == 3


def test_lanes_share_their_axes_and_every_number_can_be_hovered(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.lanes(2))
    give(panel, samples.spectrum_frame(0))
    first, second = panel.charts.boxes
    assert panel.charts.charts[1].empty == EMPTY and first.width() == second.width()
    give(panel, samples.spectrum_frame(1, 2000, 700), at=1)
    assert panel.charts.over_x.high == 700
    text = panel.charts.text_at(QPointF(first.right() - 1, first.center().y()))
    assert "M1" in text and "residual" in text and "1.01e4" in text
    assert panel.charts.text_at(QPointF(1, 1)) == ""


def test_what_is_not_finite_is_said(qtbot: QtBot) -> None:
    panel = make(qtbot)
    frame = samples.spectrum_frame(0)
    bad = replace(frame, eigenvalues={"total": frozen(np.full(500, math.nan)), "residual": frozen(np.zeros(500))})
    give(panel, bad)
    numbers = {trace.name: trace.numbers for trace in panel.charts.charts[0].traces}
    assert numbers["total"][0] == "not finite" and numbers["residual"] == ("0", "0", "0 %", "none positive")
    panel.set_kind(DENSITY)
    draw(panel)


def test_a_long_curve_keeps_its_ends() -> None:
    assert np.array_equal(few(10), np.arange(10))
    places = few(12_000)
    assert len(places) <= DRAWN and (np.diff(places) > 0).all()
    assert np.array_equal(places[:60], np.arange(60)) and np.array_equal(places[-60:], np.arange(11_940, 12_000))


def test_a_run_that_was_read_from_its_file_has_no_network_to_ask(qtbot: QtBot) -> None:
    bar = DemandBar("All eigenvalues.")
    qtbot.addWidget(bar)
    bar.begin(samples.lanes(1))
    bar.set_status(0, Status(state=RunState.FINISHED, step=10, total_steps=10))
    assert not bar.button.isEnabled() and "read from its file" in bar.button.toolTip()
    bar.begin(samples.lanes(1))
    for state in (RunState.RUNNING, RunState.FINISHED):  # a run of this window, which has ended
        bar.set_status(0, Status(state=state, step=10, total_steps=10))
        assert bar.button.isEnabled()
