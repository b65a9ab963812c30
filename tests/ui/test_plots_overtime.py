"""Distributions over time: densities, means over steps, axes, the map and the ridge line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPointF, QRectF
from pytestqt.qtbot import QtBot

from tests.ui import samples
from ui.plots.heatmap import HeatMap
from ui.plots.maps import lookup
from ui.plots.overtime import MapCell, ValueAxis, evenly, grid, over_steps, share_matrix
from ui.plots.ridge import SNAPSHOTS, Ridge
from ui.theme import DARK, LIGHT

AXES = [ValueAxis("linear", 0, -2, 3), ValueAxis("log", 0, 1e-3, 10), ValueAxis("symlog", 1e-2, -1, 10),
        ValueAxis("symlog", 1e-2, 0, 10), ValueAxis("symlog", 1e-2, -10, 0)]


@pytest.mark.parametrize("axis", AXES, ids=lambda a: f"{a.kind} {a.low}")
def test_an_axis_goes_there_and_back_and_its_ticks_are_at_their_values(axis: ValueAxis) -> None:
    values = axis.inverse(np.linspace(*axis.ends, 9))
    assert axis.at(values) == pytest.approx(np.linspace(*axis.ends, 9))
    assert values[0] == pytest.approx(axis.low, abs=1e-12) and values[-1] == pytest.approx(axis.high)
    labelled, bare = axis.places(300, lambda text: 7.0 * len(text))
    assert len(labelled) >= 2 and all(axis.ends[0] - 1e-9 <= at <= axis.ends[1] + 1e-9 for at, _ in labelled)
    powers = {"\u207b\u00b9": -1, "\u207b\u00b2": -2, "\u207b\u00b3": -3}
    for at, text in labelled:
        sign, plain = (-1, text[1:]) if text.startswith("\u2212") else (1, text)
        value = 10.0 ** powers[plain[2:]] if plain[2:] in powers else float(plain)
        assert float(axis.inverse(at)) == pytest.approx(sign * value, abs=1e-9)


@pytest.mark.parametrize("wrong", [("cubic", 1, 0, 1), ("linear", 1, 1, 1), ("log", 1, 0, 1), ("symlog", 0, -1, 1),
                                   ("linear", 1, float("nan"), 1)])
def test_an_axis_that_cannot_be_is_refused(wrong: tuple[str, float, float, float]) -> None:
    with pytest.raises(ValueError, match="axis"):
        ValueAxis(*wrong)


@given(st.lists(st.integers(0, 50), min_size=20, max_size=20), st.integers(3, 40))
def test_shares_are_kept_whatever_the_rows(counts: list[int], rows: int) -> None:
    """Against points drawn densely and evenly within each bin along the axis, and counted in the rows."""
    axis = ValueAxis("symlog", 0.1, -5, 5)
    edges = axis.inverse(np.linspace(*axis.ends, 21))
    edges = edges + np.linspace(0, 1e-4, 21)  # no common divisor with the rows
    edges[-1] = axis.high
    got = np.array(counts) @ share_matrix(edges, axis, rows)
    assert got.sum() == pytest.approx(sum(counts), rel=1e-3, abs=1e-3)
    fine = 400
    places = axis.at(edges)
    points = (places[:-1, None] + (np.arange(fine) + 0.5) / fine * np.diff(places)[:, None]).ravel()
    truth = np.histogram(points, np.linspace(*axis.ends, rows + 1), weights=np.repeat(counts, fine) / fine)[0]
    assert got == pytest.approx(truth, abs=0.02 * max(1, max(counts)))


def test_beyond_the_axis_is_in_no_row() -> None:
    matrix = share_matrix(np.array([-10.0, 0.0, 1.0, 9.0]), ValueAxis("linear", 0, 0, 5), 5)
    assert matrix[0].sum() == 0 and matrix[1].tolist() == [1, 0, 0, 0, 0] and matrix[2].sum() == pytest.approx(0.5)


def test_means_over_steps_against_one_step_at_a_time() -> None:
    rng = np.random.default_rng(3)
    steps = np.array([0.0, 1, 2, 5, 9, 10, 40])
    density = rng.random((7, 3))
    got = over_steps(steps, 50, density, 0, 60, 12)
    each = np.array([density[np.searchsorted(steps, s, side="right") - 1] for s in range(50)])  # steps 0 ... 49
    truth = each.reshape(10, 5, 3).mean(axis=1)
    assert got[:10] == pytest.approx(truth) and np.isnan(got[10:]).all()
    late = over_steps(np.array([20.0]), 30, np.ones((1, 2)), 0, 60, 6)
    assert np.isnan(late[[0, 1, 3, 4, 5]]).all() and late[2] == pytest.approx(1)


def test_snapshots_are_chosen_evenly_along_the_steps() -> None:
    assert evenly([1, 2, 3], 24) == [0, 1, 2]
    steps = np.concatenate([np.arange(1000), [2000, 3000]])
    chosen = evenly(steps, 4)
    assert steps[chosen].tolist() == [0, 2000, 3000]
    for last in range(30, 400, 7):
        some = evenly(np.arange(last), 24)
        assert 10 <= len(some) <= 24 and some[0] == 0 and some[-1] == last - 1
        assert np.ptp(np.diff(some)[:-1]) == 0


@pytest.mark.parametrize("count", [1, 2, 5, 8, 60])
@pytest.mark.parametrize("group", [1, 2])
def test_cells_do_not_touch_and_keep_their_height(count: int, group: int) -> None:
    boxes, rows = grid(QRectF(50, 0, 500, 300), count, group=group, above=15)
    assert len(boxes) == count and all(box.height() >= 60 for box in boxes)
    assert all(not a.intersects(b) for i, a in enumerate(boxes) for b in boxes[i + 1:])
    columns = -(-count // rows)
    assert columns % min(group, count) == 0


def cell(steps: list[int], title: str = "a") -> MapCell:
    """All entries in one of four bins, a bin higher with every snapshot."""
    counts = np.zeros((len(steps), 4), np.uint32)
    counts[np.arange(len(steps)), np.arange(len(steps)) % 4] = 10
    return MapCell(title, LIGHT.term(0), np.array(steps, dtype=float), np.array([0.0, 1, 2, 3, 4]), counts)


def shown(qtbot: QtBot, kind: type[HeatMap] | type[Ridge], *cells: MapCell) -> HeatMap | Ridge:
    view = kind()
    qtbot.addWidget(view)
    view.restyle(LIGHT)
    view.resize(500, 300)
    view.begin(100)
    view.set_axis("linear", 0.0, 0.0, 4.0, "value")
    view.set_cells(cells)
    view.show()
    return view


def test_a_map_has_its_color_where_the_entries_are_and_the_ground_elsewhere(qtbot: QtBot) -> None:
    """Asymmetric in both directions, so that a turned picture is found out."""
    view = shown(qtbot, HeatMap, cell([0, 25, 50, 75]))
    assert isinstance(view, HeatMap) and view.right_step == 80, "as in a CurveView: a little beyond the last step"
    view.set_steps(0, 100)
    seen, box = view.grab().toImage(), view.boxes[0]
    low, high = view.levels
    assert low < 0 <= high, "all entries in a bin of width 1 are a density of 1"
    expected = int(lookup(LIGHT.error)[int((0 - low) / (high - low) * 255.999)]) & 0xFFFFFF
    for quarter in range(4):
        for row in range(4):
            x = box.left() + (quarter + 0.5) / 4 * box.width()
            y = box.bottom() - (row + 0.5) / 4 * box.height()
            color = seen.pixel(int(x), int(y)) & 0xFFFFFF
            ground = color == int(LIGHT.plot[1:], 16)
            assert ground is (row != quarter) and (ground or color == expected)
    text = view.text_at(QPointF(box.left() + 0.6 * box.width(), box.bottom() - 0.6 * box.height()))
    assert "step" in text and ">50<" in text and "2." in text
    assert view.text_at(QPointF(1, 1)) == "" and view.step_at(QPointF(1, 1)) is None
    assert view.step_at(QPointF(box.left() + 0.6 * box.width(), box.center().y())) == pytest.approx(60, abs=0.5)


def test_a_new_snapshot_is_added_without_working_out_the_others(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    view = shown(qtbot, HeatMap, cell([0, 25]), cell([0, 25], "b"))
    assert isinstance(view, HeatMap)
    asked: list[int] = []
    true = view._densities
    monkeypatch.setattr(view, "_densities", lambda c, first, rows: asked.append(first) or true(c, first, rows))
    view.set_cells([cell([0, 25, 50]), cell([0, 25], "b")])
    assert asked == [2]
    other = cell([0, 25, 50])
    other.counts = other.counts[:, ::-1].copy()
    view.set_cells([other, cell([0, 25], "b")])
    assert asked == [2, 0], "other numbers at the same steps are worked out"
    assert view._drawn[0].density == pytest.approx(true(other, 0, view._drawn[0].density.shape[1]))


@pytest.mark.parametrize("kind", [HeatMap, Ridge])
def test_grids_that_change_empty_cells_and_marks_are_drawn(kind: type[HeatMap] | type[Ridge], qtbot: QtBot) -> None:
    moving = cell([0, 10, 20])
    moving.edges = np.stack([moving.edges, 2 * moving.edges, moving.edges - 1])
    empty = MapCell("none", None, np.empty(0), np.array([-1.0, 1.0]), np.empty((0, 1)))
    zero = cell([0, 5], "zero")
    zero.counts = np.zeros_like(zero.counts)
    view = shown(qtbot, kind, moving, empty, zero)
    before = view.grab().toImage()
    view.set_now(20)
    view.set_cursor(10)
    assert view.grab().toImage() != before
    view.set_now(None)
    view.set_cursor(None)
    assert view.grab().toImage() == before
    view.restyle(DARK)
    assert view.grab().toImage() != before
    view.set_cells([])
    view.grab()
    assert view.boxes == [] and view.text_at(QPointF(100, 100)) == ""


def test_a_ridge_line_has_at_most_so_many_snapshots_with_the_oldest_on_top(qtbot: QtBot) -> None:
    frames = [samples.gradients_frame(0, step) for step in range(0, 4000, 100)]
    one = MapCell("layer 2", LIGHT.term(0), np.array([f.step for f in frames], dtype=float), frames[0].edges,
                  np.stack([f.counts[0, 1] for f in frames]))
    view = shown(qtbot, Ridge, one)
    assert isinstance(view, Ridge)
    count = len(view._chosen[0])
    assert 10 < count <= SNAPSHOTS
    told: list[object] = []
    view.pointed.connect(told.append)
    box = view.boxes[0]
    high, low = (view._under(QPointF(box.center().x(), y)) for y in (box.top() + 2, box.bottom() - 3))
    assert high is not None and low is not None and high[1] == 0 and low[1] == count - 1
    assert ">0<" in view.text_at(QPointF(box.center().x(), box.top() + 2))
