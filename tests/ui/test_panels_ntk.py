"""The tangent kernel: spectra, what is drawn over the steps, what is lost in rounding."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QBoxLayout
from pytestqt.qtbot import QtBot

from core.frames import NtkFrame, frozen
from studio.messages import RunState, Update
from tests.ui import samples
from tests.ui.test_panels import draw, shown
from ui.panels.ntk import EMPTY, KAPPA, LARGEST, NEVER, RANK, TRACE, NtkPanel
from ui.panels.panel import Lane
from ui.theme import DARK, LIGHT, lane_style, mix


def make(qtbot: QtBot, lanes: list[Lane] | None = None, size: tuple[int, int] = (800, 460)) -> NtkPanel:
    return shown(qtbot, NtkPanel(), samples.lanes(1) if lanes is None else lanes, size)


def give(panel: NtkPanel, *frames: NtkFrame, at: int = 0) -> None:
    for frame in frames:
        panel.receive(at, Update(status=samples.status(RunState.PAUSED), frames={"ntk": frame}, past=(frame,)))
    draw(panel)


def choose(panel: NtkPanel, quantity: str) -> None:
    panel.quantity_box.setCurrentText(quantity)
    panel.quantity_box.activated.emit(panel.quantity_box.currentIndex())


def run(lane: int = 0, count: int = 5) -> list[NtkFrame]:
    return [samples.ntk_frame(lane, 1000 * k) for k in range(count)]


def test_condition_and_scale_are_always_both_there(qtbot: QtBot) -> None:
    panel = make(qtbot)
    assert panel.charts.charts[0].empty == panel.view.note.text() == EMPTY
    frames = run()
    give(panel, *frames)
    (chart,) = panel.charts.charts
    assert [trace.name for trace in chart.traces] == ["residual", "boundary", "all"]
    assert panel.charts.columns == ("\u03bb max", "\u03ba", "eff. rank")
    assert chart.traces[0].numbers[0] == "1e4" and chart.traces[1].numbers[1] == "\u2265 1e36"
    for quantity in (KAPPA, LARGEST, RANK):
        choose(panel, quantity)
        assert "\u03ba" in panel.read(2000) and "\u03bb max 1e4" in panel.read(2000)


def test_each_quantity_over_the_steps(qtbot: QtBot) -> None:
    panel = make(qtbot)
    frames = run()
    give(panel, *frames)
    for quantity, wanted in ((KAPPA, [f.kappa["residual"] for f in frames]),
                             (LARGEST, [f.eigenvalues["residual"][0] for f in frames]),
                             (RANK, [f.effective_rank["residual"] for f in frames]),
                             (TRACE, [f.trace[0] for f in frames])):
        choose(panel, quantity)
        assert panel.view.curves[0, "residual"].series.values == pytest.approx(wanted), quantity
    part = panel.view.curves[0, "residual (activations)"].series
    assert part.values == pytest.approx([f.trace_activations[0] for f in frames])
    assert panel.color("residual (activations)") == mix(LIGHT.term(0), LIGHT.plot, 0.5)
    assert "residual (activations)" in panel.read(1000)
    give(panel, samples.ntk_frame(0, 9000, trace_activations=frozen(np.zeros(2))))
    assert len(part) == 5 and panel.view.curves[0, "residual"].series.last > 0


def test_what_is_lost_in_rounding_is_open_and_said(qtbot: QtBot) -> None:
    panel = make(qtbot)
    give(panel, *run())
    assert {name for _, value, name in panel.marks.points} == {LIGHT.term(1), LIGHT.text}
    assert len(panel.marks.points) == 10
    text = panel.read(0)
    assert text.count("at the numerical floor") == 2 and "at the numerical floor" in panel.charts.charts[0].note
    residual, boundary, whole = panel.charts.charts[0].traces
    assert residual.open is None and boundary.open is not None and boundary.open[-1] and not boundary.open[0]
    assert whole.open is not None and whole.open.any()
    choose(panel, RANK)
    assert panel.marks.points == []
    columns, rows = panel.table()
    assert len(rows) == 15 and dict(zip(columns, rows[1], strict=True))["at the numerical floor"] == "yes"
    assert rows[2][-2:] == ["", ""] and len({len(row) for row in rows}) == 1


def test_two_lanes_share_the_axes_and_are_told_apart_by_their_lines(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.lanes(2), (900, 460))
    give(panel, *run(0))
    give(panel, *run(1), at=1)
    traces = panel.charts.charts[0].traces
    assert [trace.name for trace in traces][3:] == ["M2 residual", "M2 boundary", "M2 all"]
    assert traces[0].color == traces[3].color and traces[3].style is lane_style(1)
    box = panel.charts.boxes[0]
    assert "M2 residual" in panel.charts.text_at(QPointF(box.left() + 3, box.center().y()))


def test_sub_domains_have_none_and_are_told_so(qtbot: QtBot) -> None:
    lanes = samples.lanes(2)
    for lane in lanes:
        lane.experiment.decomposition = SimpleNamespace(splits={"x": [0.0]}, local=())
    panel = make(qtbot, lanes)
    assert panel.view.note.text() == panel.charts.charts[0].empty == NEVER
    lanes[0].experiment.decomposition = SimpleNamespace(splits={}, local=())
    panel.begin(lanes)
    assert panel.view.note.text() == EMPTY


def test_values_that_have_no_place(qtbot: QtBot) -> None:
    panel = make(qtbot)
    nothing = frozen(np.full(4, math.nan))
    give(panel, samples.ntk_frame(0, eigenvalues={"residual": nothing, "boundary": frozen(np.zeros(4)),
                                                  "all": frozen(np.empty(0))},
                                  kappa=dict.fromkeys(("residual", "boundary", "all"), math.nan),
                                  effective_rank=dict.fromkeys(("residual", "boundary", "all"), math.nan)))
    assert "NaN" in panel.read(1000) and panel.charts.over_y.low == 1e-3
    give(panel, samples.ntk_frame(0, 2000, terms=("residual", "initial"), eigenvalues={"initial": frozen(
        np.array([5.0, 1e-60]))}, kappa={"initial": 1e60}, floored={"initial": True}, effective_rank={"initial": 1.0}))
    assert panel.charts.over_y.low >= 1e-40 and panel.color("initial") == LIGHT.term(2)
    panel.restyle(DARK)
    panel.grab()


def test_the_sides_stand_below_each_other_where_it_is_tall(qtbot: QtBot) -> None:
    panel = make(qtbot, size=(420, 700))
    give(panel, *run())
    assert panel.sides.direction() is QBoxLayout.Direction.TopToBottom
    panel.resize(800, 300)
    assert panel.sides.direction() is QBoxLayout.Direction.LeftToRight


def test_going_back(qtbot: QtBot) -> None:
    panel = make(qtbot)
    frames = run()
    give(panel, *frames)
    panel.travel({0: {"ntk": frames[1]}}, 1000.0)
    draw(panel)
    assert "step 1,000" in panel.charts.charts[0].note and panel.view.plot.now.value() == 1000
    panel.travel(None, None)
    draw(panel)
    assert "step 4,000" in panel.charts.charts[0].note
    give(panel, *run(0, 2))
    assert len(panel.view.curves[0, "all"].series) == 2, "a run that was read anew"
