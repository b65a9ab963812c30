"""Conflict of the terms, what a step did, targets of weights, ways to draw losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from core.frames import Frame
from studio.messages import RunState, Update
from tests.ui import samples
from tests.ui.test_panels import draw, feed, make, picture
from ui.panels.alignment import BETWEEN, EVERY_PAIR, SHARE, WITH, WITHIN, AlignmentPanel, in_conflict
from ui.panels.losses import LossesPanel
from ui.panels.panel import Panel
from ui.panels.step_check import TOTAL, StepCheckPanel, changes_of, miss
from ui.panels.weights import WeightsPanel
from ui.theme import DARK, LIGHT

STEPS = (0, 100, 200, 400, 800, 1600)


def give(panel: Panel, lane: int, frames: Sequence[Frame], state: RunState = RunState.RUNNING) -> None:
    newest = {frames[-1].kind: frames[-1]} if frames else {}
    panel.receive(lane, Update(status=samples.status(state), frames=newest, past=tuple(frames)))


# -- conflict --------------------------------------------------------------------------------------


def test_cosines_scores_and_the_share_of_conflicts(qtbot: QtBot) -> None:
    panel = make(AlignmentPanel, qtbot, 1, size=(900, 500))
    frames = [samples.alignment_frame(0, step, cosines=np.array([[1.0, c], [c, 1.0]]), within=c, between=0.5)
              for step, c in ((0, 0.3), (10, -0.2), (20, -0.4), (30, 0.1))]
    give(panel, 0, frames)
    draw(panel)
    last = {row[2]: row[3] for row in panel.table()[1] if row[1] == 30}
    assert last["residual \u00b7 boundary"] == 0.1 and last[WITHIN] == 0.1
    assert last[BETWEEN] == 0.5 and last[SHARE] == panel.conflicts(0) == 0.5
    (_, _), (low, high) = panel.pairs.plot.getViewBox().viewRange()
    assert low <= -1 and high >= 1, "the axis is that of a cosine"
    assert panel.matrix.tables[0].values[0, 1] == 0.1
    assert "0.1" in panel.matrix.text_at(panel.matrix.boxes[0][0][1].center())
    panel.travel({0: {"alignment": frames[1]}}, 10)
    draw(panel)
    assert panel.matrix.tables[0].values[0, 1] == -0.2


def test_only_terms_that_take_part_are_in_conflict() -> None:
    cosines = np.array([[1.0, 0.2, -0.9], [0.2, 1.0, 0.1], [-0.9, 0.1, 1.0]])
    frame = samples.alignment_frame(0, 0, ("r", "b", "i"), cosines=cosines, weights=np.ones(3))
    assert in_conflict(frame)
    assert not in_conflict(replace(frame, weights=np.array([1.0, 1.0, 0.0])))
    assert not in_conflict(replace(frame, cosines=cosines * np.nan))


def test_the_colors_of_the_matrix_are_fixed_and_its_numbers_can_be_read(qtbot: QtBot) -> None:
    panel = make(AlignmentPanel, qtbot, 1, size=(900, 500))
    frame = samples.alignment_frame(0, 0, cosines=np.array([[1.0, -1.0], [-1.0, math.nan]]))
    give(panel, 0, [frame])
    draw(panel)
    seen = panel.matrix.grab().toImage()
    corners = [seen.pixelColor(int(box.left()) + 4, int(box.top()) + 4)
               for box in (panel.matrix.boxes[0][0][0], panel.matrix.boxes[0][0][1], panel.matrix.boxes[0][1][1])]
    assert corners[0].red() > 150 > corners[0].blue(), "one: the warm end"
    assert corners[1].blue() > 150 > corners[1].red(), "minus one: the cold end"
    assert corners[2].name() == LIGHT.plot


def test_with_many_terms_the_pairs_of_one_are_drawn(qtbot: QtBot) -> None:
    terms = ("residual", "boundary", "initial", "data", "interface")
    lane = samples.lanes(1)[0]
    lane.experiment.terms = terms
    panel = make(AlignmentPanel, qtbot, 1, size=(900, 500))
    panel.begin([lane])
    give(panel, 0, [samples.alignment_frame(0, step, terms) for step in STEPS])
    draw(panel)
    assert panel.pair_box.isVisible() and panel.pair_box.currentText() == f"{WITH}residual"
    assert len(panel.pairs.in_order()) == 4
    assert [entry.name for entry in panel.pairs.legend.entries] == list(terms[1:])
    assert panel.pairs.legend.entries[1].color == LIGHT.term(2)
    panel.pair_box.setCurrentText(EVERY_PAIR)
    panel.pair_box.activated.emit(0)
    assert len(panel.pairs.in_order()) == 10


def test_one_term_has_nobody_to_be_in_conflict_with(qtbot: QtBot) -> None:
    lane = samples.lanes(1)[0]
    lane.experiment.terms = ("residual",)
    panel = make(AlignmentPanel, qtbot, 1, size=(900, 500))
    panel.begin([lane])
    draw(panel)
    assert panel.stack.empty.isVisible() and "one loss term" in panel.stack.empty.text()


# -- what the step did -----------------------------------------------------------------------------


def test_changes_are_relative_to_the_loss_before_and_the_total_is_weighted() -> None:
    frame = samples.step_check_frame(0, weights=np.array([1.0, 10.0]), before=np.array([2.0, 0.1]),
                                     first=np.array([-0.2, 0.01]), second=np.array([0.1, 0.0]),
                                     actual=np.array([-0.08, 0.02]))
    changes = changes_of(frame)
    assert changes["residual"] == pytest.approx((-0.1, -0.05, -0.04))
    assert changes["boundary"] == pytest.approx((0.1, 0.1, 0.2))
    assert changes[TOTAL] == pytest.approx((-0.1 / 3, 0.0, 0.12 / 3), abs=1e-15)
    nothing = changes_of(replace(frame, before=np.array([2.0, 0.0])))
    assert math.isnan(nothing["boundary"][2]) and math.isfinite(nothing["residual"][2])
    assert miss(0.1, 0.2) == pytest.approx(0.5) and math.isnan(miss(1e-9, 1e-9))


def test_each_term_is_said_to_be_hurt_or_helped(qtbot: QtBot) -> None:
    panel = make(StepCheckPanel, qtbot, 1, size=(900, 480))
    give(panel, 0, [samples.step_check_frame(0, step) for step in STEPS])
    draw(panel)
    words = {change.term: change.word for change in panel.bars.changes}
    assert words == {"residual": "helped", "boundary": "hurt", TOTAL: "helped"}
    still = replace(samples.step_check_frame(0, 2000), actual=np.array([1e-12, math.nan]))
    give(panel, 0, [still])
    draw(panel)
    assert [change.word for change in panel.bars.changes] == ["same", "", ""]
    columns, rows = panel.table()
    assert columns[-1] == "actual" and len(rows) == 3 * (len(STEPS) + 1)
    panel.travel({0: {"step_check": samples.step_check_frame(0, 800)}}, 800)
    draw(panel)
    assert panel.bars.headline == "the step to 800" and panel.bars.changes[1].word == "hurt"


def test_bars_end_where_their_values_are(qtbot: QtBot) -> None:
    panel = make(StepCheckPanel, qtbot, 1, size=(900, 480))
    give(panel, 0, [samples.step_check_frame(0, 100)])
    draw(panel)
    bars = panel.bars
    seen = picture(panel)
    place = bars.mapTo(panel.figure, bars.rect().topLeft())
    for change, sign in ((bars.changes[0], -1), (bars.changes[1], 1)):
        box = next(p.box for p in bars._placed if p.change is change)
        zero, end = bars._x(0.0), bars._x(change.actual)
        row = seen[int(box.center().y()) + place.y() - 6]
        inside = row[round((zero + end) / 2) + place.x()]
        assert (end - zero) * sign > 20 and inside != row[round(zero - sign * 12) + place.x()]
        text = bars.text_at(box.center())
        assert change.term in text and "1st + 2nd order" in text


def test_two_lanes_share_the_axis_of_the_bars(qtbot: QtBot) -> None:
    panel = make(StepCheckPanel, qtbot, 2, size=(900, 480))
    for lane in (0, 1):
        give(panel, lane, [samples.step_check_frame(lane, step) for step in STEPS])
    draw(panel)
    assert [(c.term, c.lane) for c in panel.bars.changes][:3] == [("residual", "M1"), ("residual", "M2"),
                                                                 ("boundary", "M1")]
    assert panel.bars.limit >= max(abs(c.first) for c in panel.bars.changes)


# -- weights and losses ----------------------------------------------------------------------------


def test_targets_are_thin_in_the_color_of_their_term_and_in_one_entry_of_the_legend(qtbot: QtBot) -> None:
    panel = make(WeightsPanel, qtbot, size=(700, 420))
    for lane in (0, 1):
        scalars = [replace(s, targets={"boundary": 2 * s.weights["boundary"]} if lane else {})
                   for s in samples.scalars(lane, 200)]
        panel.receive(lane, Update(status=samples.status(), scalars=tuple(scalars)))
    draw(panel)
    names = [entry.name for entry in panel.legend.entries]
    assert names == ["M1 residual", "M2 residual", "M1 boundary", "M2 boundary", "target"]
    target = panel.curves[1, "boundary target"]
    assert target.line.opts["pen"].width() == 1 and target.line.opts["pen"].dashPattern()
    assert panel.color("boundary target") == panel.color("boundary") == LIGHT.term(1)
    weight = panel.curves[1, "boundary"].series
    assert target.series.values == pytest.approx(2 * weight.values)
    assert f"(target {2 * weight.at(500)[1]:.4g}" in panel.read(500)
    assert panel.table()[0][-1] == "M2 boundary target"
    panel.restyle(DARK)
    draw(panel)
    assert [entry.name for entry in panel.legend.entries].count("target") == 1
    panel.begin(samples.lanes(1))
    feed(panel)
    assert "target" not in [entry.name for entry in panel.legend.entries]


def test_losses_are_raw_weighted_or_their_weighted_sum(qtbot: QtBot) -> None:
    panel = make(LossesPanel, qtbot, 2)
    given = {lane: samples.scalars(lane, 60) for lane in (0, 1)}
    for lane in (0, 1):
        panel.receive(lane, Update(status=samples.status(), scalars=given[lane][:40]))
    draw(panel)
    panel.set_mode("weighted")
    for lane in (0, 1):  # the run goes on while another way is drawn
        panel.receive(lane, Update(status=samples.status(), scalars=given[lane][40:]))
    draw(panel)
    wanted = [s.losses["boundary"] * s.weights["boundary"] for s in given[1]]
    assert panel.curves[1, "boundary"].series.values == pytest.approx(wanted)
    assert "weight" in panel.plot.getPlotItem().getAxis("left").labelText
    panel.set_mode("total")
    assert [curve.name for curve in panel.view.in_order()] == ["total", "total"]
    totals = [sum(s.losses[t] * s.weights[t] for t in s.losses) for s in given[0]]
    assert panel.curves[0, "total"].series.values == pytest.approx(totals)
    assert panel.color("total") == LIGHT.text
    panel.set_mode("raw")
    assert panel.curves[1, "boundary"].series.values == pytest.approx([s.losses["boundary"] for s in given[1]])
    assert len(panel.curves[0, "residual"].line.getData()[0]) > 0
    with pytest.raises(ValueError, match="raw, weighted, total"):
        panel.set_mode("log")


def test_a_term_that_nobody_announced_is_kept_in_every_way_of_drawing(qtbot: QtBot) -> None:
    panel = make(LossesPanel, qtbot, 1)
    first = samples.scalars(0, 1)[0]
    more = replace(first, step=10, losses={**first.losses, "late": 3.0}, weights={**first.weights, "late": 2.0})
    panel.receive(0, Update(status=samples.status(), scalars=(first, more)))
    draw(panel)
    panel.set_mode("weighted")
    assert panel.curves[0, "late"].series.last == 6.0
    panel.set_mode("raw")
    panel.receive(0, Update(status=samples.status(), scalars=(replace(more, step=20),)))
    draw(panel)
    assert panel.curves[0, "late"].series.values.tolist() == [3.0, 3.0]
    QApplication.processEvents()
