"""The wall's words and its way back in time; gradients over time: numbers, maps, ridge lines, the strip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from pytestqt.qtbot import QtBot

from core.frames import Frame, GradientsFrame, frozen
from studio.messages import RunState, Update
from tests.ui import samples
from tests.ui.test_panels import draw, make, picture
from ui.panels.gradient_history import GradientHistoryPanel
from ui.panels.gradient_numbers import (
    BIGGEST,
    MEAN,
    NORM,
    QUANTILES,
    RATIO,
    ZEROS,
    Snapshots,
    of_terms,
    quantiles,
    ratios,
)
from ui.panels.gradients import GradientWallPanel
from ui.panels.panel import Panel
from ui.theme import LIGHT

STEPS = (0, 100, 200, 400, 800, 1600)


def give(panel: Panel, lane: int, frames: Sequence[Frame], state: RunState = RunState.RUNNING) -> None:
    newest = {frames[-1].kind: frames[-1]} if frames else {}
    panel.receive(lane, Update(status=samples.status(state), frames=newest, past=tuple(frames)))


def history(lane: int = 0, steps: Sequence[int] = STEPS) -> list[GradientsFrame]:
    return [samples.gradients_frame(lane, step) for step in steps]


def exact_frame(**changes: Any) -> GradientsFrame:
    """Two terms, two layers of 2 and 6 entries whose numbers can be counted by hand."""
    grid = np.array([-10.0, -1.0, 0.0, 1.0, 10.0])
    counts = np.array([[[0, 1, 1, 0], [1, 2, 2, 1]], [[0, 2, 0, 0], [0, 0, 6, 0]]], np.uint32)
    values: dict[str, Any] = {
        "step": 10, "terms": ("residual", "boundary"), "layers": ("a", "b"), "edges": grid, "linear_threshold": 1.0,
        "counts": counts, "weighted_counts": counts[:, :, ::-1], "weights": np.array([1.0, 4.0]),
        "max_abs": np.array([[0.5, 8.0], [0.25, 0.5]]), "mean_abs": np.array([[0.5, 3.0], [0.2, 0.4]]),
        "norm": np.array([[3.0, 4.0], [0.6, 0.8]]), "zero_share": np.array([[0.5, 0.0], [0.0, 1.0]]),
        "quantile_levels": (0.05, 0.5, 0.95), "quantiles": np.arange(12.0).reshape(2, 2, 3),
    }
    return GradientsFrame(**(values | changes))


# -- the wall --------------------------------------------------------------------------------------


def test_a_term_that_is_many_times_wider_is_said_to_dominate_and_is_not_green(qtbot: QtBot) -> None:
    panel = make(GradientWallPanel, qtbot, 1)
    frame = samples.gradients_frame(0)
    wide = replace(frame, mean_abs=np.array(frame.mean_abs) * np.array([[1.0], [41 * 500.0]]))
    give(panel, 0, [wide])
    draw(panel)
    assert "wider (it dominates)" in panel.finding() and LIGHT.danger in panel.finding()
    assert LIGHT.good not in panel.finding() and "starved" not in panel.finding()
    assert panel.wall.verdict(1 / 41) == panel.wall.verdict(41) == LIGHT.danger
    assert panel.wall.verdict(1.0) == panel.wall.verdict(0.5) == LIGHT.good
    assert all(cell.ratio < 1 / 20 for cell in panel.wall.halves[0].cells)


def test_the_wall_goes_back_in_time_and_forth_again(qtbot: QtBot) -> None:
    panel = make(GradientWallPanel, qtbot, 1)
    old, new = samples.gradients_frame(0, 100), samples.gradients_frame(0, 5000)
    give(panel, 0, [new])
    draw(panel)
    panel.travel({0: {"gradients": old}}, 100)
    draw(panel)
    assert panel.wall.halves[0].notes[-1] == "step 100"
    give(panel, 0, [replace(new, step=6000)])
    draw(panel)
    assert panel.wall.halves[0].notes[-1] == "step 100", "a run that goes on does not change what is looked at"
    panel.travel({0: {}}, 3)
    draw(panel)
    assert panel.wall.halves[0].cells == []
    panel.travel(None, None)
    draw(panel)
    assert panel.wall.halves[0].notes[-1] == "step 6,000"


# -- gradients over time ---------------------------------------------------------------------------


def test_statistics_are_those_of_the_layers_together() -> None:
    frame, both = exact_frame(), ("a", "b")
    assert of_terms(frame, BIGGEST, both, weighted=False) == {"residual": 8.0, "boundary": 0.5}
    assert of_terms(frame, BIGGEST, ("a",), weighted=True) == {"residual": 0.5, "boundary": 1.0}
    mean = of_terms(frame, MEAN, both, weighted=True)
    assert mean["residual"] == pytest.approx((2 * 0.5 + 6 * 3.0) / 8)
    assert mean["boundary"] == pytest.approx(4 * (2 * 0.2 + 6 * 0.4) / 8)
    assert of_terms(frame, NORM, both, weighted=False) == pytest.approx({"residual": 5.0, "boundary": 1.0})
    assert of_terms(frame, ZEROS, both, weighted=True) == pytest.approx({"residual": 12.5, "boundary": 75.0})
    assert of_terms(frame, MEAN, ("elsewhere",), weighted=False) == {}


def test_the_ratio_is_the_target_of_both_papers() -> None:
    frame = exact_frame()
    assert ratios(frame, {"residual"}, weighted=False) == pytest.approx({"boundary": 8.0 / 0.3})
    assert ratios(frame, {"residual"}, weighted=True) == pytest.approx({"boundary": 8.0 / (4 * 0.3)})
    assert ratios(frame, set(), weighted=True) == {}
    nothing = replace(frame, mean_abs=np.zeros((2, 2)))
    assert math.isnan(ratios(nothing, {"residual"}, weighted=False)["boundary"])


def test_quantiles_are_the_frames_own_or_those_of_the_histograms_together() -> None:
    frame = exact_frame()
    assert quantiles(frame, "boundary", ("a",), weighted=True) == {"5 %": 24.0, "median": 28.0, "95 %": 32.0}
    found = quantiles(frame, "residual", ("a", "b"), weighted=False)  # 1, 3, 3, 1 entries in the four bins
    assert found["median"] == pytest.approx(0.0) and found["5 %"] == pytest.approx(-found["95 %"])
    assert found["5 %"] == pytest.approx(-10 + 9 * 0.4)
    assert quantiles(frame, "elsewhere", ("a",), weighted=True) == {}


def test_snapshots_grow_and_begin_anew_with_another_run() -> None:
    frames = history()
    store = Snapshots("boundary", "layer 2", weighted=False)
    store.take(frames[:3])
    first = store.cell("t", None)
    store.take(frames)
    cell = store.cell("t", None)
    assert cell.counts.base is first.counts.base and cell.steps.tolist() == list(STEPS)
    assert np.array_equal(cell.counts, np.stack([frame.counts[1, 1] for frame in frames]))
    assert store.together == pytest.approx(cell.counts.sum(axis=0))
    thinned = [frames[0], *frames[2:]]
    store.take(thinned)
    assert store.cell("t", None).steps.tolist() == [frame.step for frame in thinned]
    other = replace(frames[-1], step=3200, layers=("layer 9", *samples.LAYERS[1:]))
    lost = Snapshots("boundary", "layer 1", weighted=True)
    lost.take([*frames, other])
    assert lost.cell("t", None).steps.tolist() == list(STEPS), "a layer that has gone keeps its past"


@pytest.mark.parametrize("view", [0, 1])
def test_one_map_for_each_layer_and_lane_on_one_axis(view: int, qtbot: QtBot) -> None:
    panel = make(GradientHistoryPanel, qtbot, size=(1000, 640))
    panel.view_box.setCurrentIndex(view)
    for lane in (0, 1):
        give(panel, lane, history(lane))
    draw(panel)
    shown = (panel.map, panel.ridge)[view]
    titles = [cell.title for cell in shown.cells]
    assert titles[:3] == ["M1 \u00b7 layer 1", "M2 \u00b7 layer 1", "M1 \u00b7 layer 2"] and len(titles) == 8
    assert shown.axis.kind == "symlog" and -shown.axis.low == shown.axis.high > shown.axis.threshold > 0
    lefts = [box.left() for box in shown.boxes]
    assert lefts[0] != lefts[1] and len(set(lefts)) % 2 == 0, "the lanes stand beside each other"
    assert "weight \u00d7 gradient of residual" in shown.axis.name
    before = shown.axis.high
    panel.term_box.setCurrentText("boundary")
    panel.term_box.activated.emit(1)
    assert "boundary" in shown.axis.name and shown.cells[0].color == LIGHT.term(1)
    assert shown.axis.high <= before
    panel.layer_box.setCurrentText("layer 3")
    panel.layer_box.activated.emit(3)
    assert [cell.title for cell in shown.cells] == ["M1 \u00b7 layer 3", "M2 \u00b7 layer 3"]
    panel.weighted_button.click()
    assert shown.axis.name == "gradient of boundary"
    assert shown.cells[1].counts[2] == pytest.approx(samples.gradients_frame(1, 200).counts[1, 2])


@pytest.mark.parametrize("statistic", [MEAN, BIGGEST, NORM, ZEROS, QUANTILES, RATIO])
def test_the_strip_follows_every_statistic(statistic: str, qtbot: QtBot) -> None:
    panel = make(GradientHistoryPanel, qtbot, size=(900, 600))
    for lane in (0, 1):
        give(panel, lane, history(lane)[:4])
    panel.statistic_box.setCurrentText(statistic)
    panel.statistic_box.activated.emit(1)
    for lane in (0, 1):
        give(panel, lane, history(lane)[4:])
    draw(panel)
    rows = panel.table()[1]
    assert [row[1] for row in rows[:len(STEPS)]] == list(STEPS)
    assert len(rows) == len(STEPS) * {QUANTILES: 10, RATIO: 2}.get(statistic, 4)
    expected = panel.numbers(samples.gradients_frame(1, 800), samples.LAYERS)
    found = {str(row[2]): row[3] for row in rows if row[:2] == ["M2", 800.0]}
    assert found == pytest.approx(expected)


def test_a_small_panel_keeps_its_maps_and_shows_the_strip_when_it_is_asked(qtbot: QtBot) -> None:
    panel = make(GradientHistoryPanel, qtbot, 1, size=(420, 260))
    give(panel, 0, history())
    draw(panel)
    assert panel.strip.isHidden() and panel.table()[0][0] == "cell"
    panel.statistic_box.activated.emit(0)
    assert not panel.strip.isHidden()
    panel.resize(420, 700)
    draw(panel)
    assert panel.table()[0][:2] == ["lane", "step"]


def test_many_sub_domains_a_changed_network_and_nan_are_drawn(qtbot: QtBot) -> None:
    panel = make(GradientHistoryPanel, qtbot, 1)
    frame = samples.gradients_frame(0)
    names = tuple(f"{part}: {layer}" for part in range(1, 13) for layer in ("hidden 1", "hidden 2", "output"))
    pick = [i % 4 for i in range(len(names))]
    tables = ("counts", "weighted_counts", "max_abs", "mean_abs", "norm", "zero_share", "quantiles")
    many = replace(frame, step=2000, layers=names, terms=("residual", "late"),
                   **{name: np.asarray(getattr(frame, name))[:, pick] for name in tables})
    bad = replace(many, step=3000, mean_abs=many.mean_abs * np.nan, norm=many.norm * np.inf,
                  counts=np.zeros_like(many.counts), weighted_counts=np.zeros_like(many.counts))
    give(panel, 0, [frame, many, bad])
    draw(panel)
    assert panel.part_box.isVisible() and not panel.layer_box.isVisible()
    assert [cell.title for cell in panel.map.cells] == [f"{part}: output" for part in range(1, 13)]
    assert panel.term_box.findText("late") > 0
    panel.statistic_box.setCurrentText(QUANTILES)
    panel.statistic_box.activated.emit(5)
    draw(panel)
    panel.begin(samples.lanes(1))
    give(panel, 0, history())
    draw(panel)
    assert len(panel.map.cells) == 4 and panel.layer_box.isVisible()


def test_steps_are_marked_and_told(qtbot: QtBot) -> None:
    panel = make(GradientHistoryPanel, qtbot, 1, size=(900, 600))
    give(panel, 0, history())
    draw(panel)
    before = picture(panel)
    panel.travel({0: {"gradients": samples.gradients_frame(0, 400)}}, 400)
    draw(panel)
    assert (picture(panel) != before).sum() > 200
    told: list[object] = []
    panel.pointed.connect(told.append)
    box = panel.map.boxes[0]
    panel.map.pointed.emit(panel.map.step_at(QPointF(box.center())))
    assert told and told[-1] == pytest.approx(panel.map.right_step / 2, rel=0.02)


def test_frames_are_not_changed_by_being_drawn(qtbot: QtBot) -> None:
    panel = make(GradientHistoryPanel, qtbot, 1)
    frame = samples.gradients_frame(0)
    kept = frozen(frame.counts)
    give(panel, 0, [frame, replace(frame, step=2000)])
    draw(panel)
    assert np.array_equal(frame.counts, kept)
