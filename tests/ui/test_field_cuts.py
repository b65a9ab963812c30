"""Cuts through maps, time, points and slices: what is drawn is what the grid has, where it is said to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from core.frames import FieldsFrame
from studio.messages import Event, RunState, Update
from tests.ui import samples
from tests.ui.test_panels import draw
from tests.ui.test_panels_fields import curve_frame, give, lanes_over, make, map_frame, names
from ui.panels.field_levels import FieldLevels
from ui.panels.fields import FieldsPanel
from ui.panels.panel import Lane
from ui.panels.profiles import held_words
from ui.plots.cuts import Cut, section
from ui.plots.dots import Dots, dots_image, near_slice, nearest, thinned
from ui.plots.field_rows import Column, Row, evenly

X, Y = np.linspace(0, 1, 11), np.linspace(0, 2, 5)
U = X[:, None] + 10 * Y[None]  # asymmetric, so that a turned field is found out


# -- numbers ---------------------------------------------------------------------------------------------------


def test_a_cut_along_an_axis_has_the_grids_own_values_and_lies_on_the_grid() -> None:
    up = section(Cut("up", 0.32), ("x", "y"), (X, Y))
    assert up.cut.at == pytest.approx(0.3) and (up.name, up.where) == ("y", "x = 0.3")
    assert np.array_equal(up.take(U), U[3]) and np.array_equal(up.coordinate, Y)
    level = section(Cut("level", 0.6), ("x", "y"), (X, Y))
    assert level.cut.at == 0.5 and np.array_equal(level.take(U), U[:, 1])


def test_a_cut_at_any_angle_is_linear_between_the_points() -> None:
    free = section(Cut("free", start=(0.05, 0.1), end=(0.95, 1.3)), ("x", "y"), (X, Y))
    share = np.linspace(0, 1, len(free.coordinate))
    assert free.take(U) == pytest.approx((0.05 + 0.9 * share) + 10 * (0.1 + 1.2 * share)), "exact for a linear field"
    assert free.coordinate[-1] == pytest.approx(1.5) and free.name == "distance"
    bilinear = section(Cut("free", start=(0.0, 0.0), end=(0.1, 0.5)), ("x", "y"), (X, Y))
    assert bilinear.take(X[:, None] * Y[None]) == pytest.approx(0.05 * share**2)
    holed = U.copy()
    holed[0, 0] = np.nan
    assert np.isnan(free.take(holed)[0]) and np.isfinite(free.take(holed)[-1])


def test_over_time_a_cut_at_an_angle_is_drawn_over_time() -> None:
    back = section(Cut("free", start=(0.9, 0.1), end=(0.1, 1.9)), ("t", "x"), (X, Y))
    assert back.name == "t" and (np.diff(back.coordinate) > 0).all()
    assert back.take(U)[0] == pytest.approx(0.1 + 19.0) and back.take(U)[-1] == pytest.approx(0.9 + 1.0)


def test_points_near_a_slice_are_within_a_twentieth_of_every_held_range() -> None:
    points = np.array([[0.1, 0.5, 9.0], [0.2, 0.56, 9.0], [0.3, 0.45, 9.6], [0.4, 0.45, 9.5]])
    ranges = [(0.0, 1.0), (0.0, 1.0), (0.0, 10.0)]
    found = near_slice(points, ("x", "y", "z"), ranges, {"y": 0.5, "z": 9.0})
    assert found[:, 0].tolist() == [0.1, 0.4]
    assert len(near_slice(points, ("x", "y", "z"), ranges, {})) == 4
    assert thinned([6000, 2000, 1]) == [1499, 499, 1] and thinned([3, 0]) == [3, 0]
    assert nearest(np.array([0.1, 0.5, 10.0]), points, ranges) == pytest.approx(0.1)
    assert np.isnan(nearest(np.zeros(3), np.zeros((0, 3)), ranges))


def test_a_dot_stands_where_its_point_is() -> None:
    image = dots_image([Dots("r", "#ff0000", np.array([[0.25, 1.5]]), 1)], [(0, 1), (0, 2)], 101, 201, 3, "#00ff00")
    image = image.convertToFormat(QImage.Format.Format_ARGB32)
    pixels = np.frombuffer(image.constBits(), np.uint32).reshape(201, 101)
    rows, columns = np.nonzero(pixels == 0xFFFF0000)
    assert rows.size == 9 and abs(columns.mean() - 25) <= 1 and abs(rows.mean() - 50) <= 1, "y upwards"
    assert (pixels == 0xFF00FF00).sum() == 12 and (pixels == 0).sum() == 101 * 201 - 21


def test_an_uneven_grid_is_not_distorted() -> None:
    uneven = np.array([0.0, 0.1, 0.2, 1.0])
    shown = evenly(np.arange(4.0)[:, None] * np.ones((1, 3)), (uneven, np.linspace(0, 1, 3)))
    at = np.linspace(-1 / 6, 7 / 6, len(shown) * 2 + 1)[1::2]
    assert np.array_equal(shown[:, 0], np.abs(at[:, None] - uneven[None]).argmin(1))
    assert evenly(U, (X, Y)) is U


def test_levels_are_symmetric_from_zero_or_in_whole_decades() -> None:
    error = np.full((50, 50), 3e-3)
    error[0, 0], error[1, 1] = 0.0, 0.7
    columns = [Column("u_x", "", kind="signed"), Column("error", "", kind="error", logarithmic=True),
               Column("residual", "", kind="residual"), Column("error", "", kind="error")]
    row = Row("M1", values=[np.array([-3.0, 1.0]), error, np.array([0.1, 0.2]), error])
    (signed,), (log,), (residual,), (linear,) = FieldLevels().of([0], [row], columns, shared=True)
    assert signed == (-3.0, 3.0) and residual == (-0.2, 0.2) and linear == (0.0, 0.8) and log == (-3.0, 0.0)
    assert columns[1].drawn(error, -3.0)[1, :2] == pytest.approx(np.log10([3e-3, 0.7]))
    assert columns[1].drawn(np.array([0.0, np.nan]), -3.0)[0] == -3.0, "the floor, and NaN stays away"
    assert np.isnan(columns[1].drawn(np.array([np.nan]), -3.0)[0])


def test_held_inputs_in_words() -> None:
    assert held_words({}) == "" and held_words({"t": 0.25}) == "at t = 0.25"
    assert held_words({"x1": 0.5, "x2": 0.5, "x4": 0.5, "x5": 0.5}) == "at x1, x2, x4, x5 = 0.5"
    assert held_words(dict.fromkeys(("x3", "x4", "x5", "x6"), 0.5)) == "at x3, ..., x6 = 0.5"


# -- cuts with the mouse -----------------------------------------------------------------------------------------


def plane(qtbot: QtBot, **more: Any) -> FieldsPanel:
    panel = make(qtbot, lanes_over("x", "y", exact={}), (900, 460))
    give(panel, map_frame(("x", "y"), np.add.outer(X, 10 * X), **more))
    return panel


def spot(panel: FieldsPanel, across: float, up: float, column: int = 0) -> Any:
    box = panel.grid.boxes[0][column]
    return QPointF(box.left() + across * box.width(), box.bottom() - up * box.height()).toPoint()


def test_a_click_cuts_a_drag_moves_and_a_click_on_the_cut_takes_it_away(qtbot: QtBot) -> None:
    panel = plane(qtbot)
    qtbot.mouseClick(panel.grid, Qt.MouseButton.LeftButton, pos=spot(panel, 0.5, 0.3))
    assert panel.cut is not None and panel.cut.kind == "level" and panel.cutting.isChecked()
    assert panel.grid.cut is not None and panel.grid.cut.at == pytest.approx(0.3)
    assert panel.profiles.isVisible()
    (profile,) = panel.profiles.profiles
    assert profile.foot == "x at y = 0.3" and profile.boxes[0].lines[0].values == pytest.approx(X + 3.0)
    draw(panel)
    qtbot.mouseClick(panel.grid, Qt.MouseButton.LeftButton, pos=spot(panel, 0.5, 0.8))
    assert panel.grid.cut.at == pytest.approx(0.8)
    qtbot.mouseClick(panel.grid, Qt.MouseButton.LeftButton, pos=spot(panel, 0.2, 0.8))
    assert panel.cut is None and panel.profiles.isHidden() and not panel.cutting.isChecked()
    panel.upright.setChecked(True)
    qtbot.mouseClick(panel.grid, Qt.MouseButton.LeftButton, pos=spot(panel, 0.2, 0.8, column=1))
    assert panel.cut is not None and panel.cut.kind == "up"
    assert panel.profiles.profiles[0].boxes[0].lines[0].values == pytest.approx(0.2 + 10 * X)


def test_with_shift_a_drag_draws_a_cut_at_any_angle(qtbot: QtBot) -> None:
    panel = plane(qtbot)
    grid = panel.grid
    shift = Qt.KeyboardModifier.ShiftModifier
    qtbot.mousePress(grid, Qt.MouseButton.LeftButton, shift, spot(panel, 0.1, 0.1))
    assert panel.cut is None, "a press alone draws none"
    pressed = grid._pressed
    assert pressed is not None
    grid._send(Cut("free", start=pressed[1], end=(0.9, 0.5)))
    qtbot.mouseRelease(grid, Qt.MouseButton.LeftButton, shift, spot(panel, 0.8, 0.5))
    (profile,) = panel.profiles.profiles
    assert profile.foot.startswith("distance along (")
    curve = profile.boxes[0].lines[0].values
    assert curve[-1] == pytest.approx(0.9 + 5.0) and len(curve) == 201


def test_two_lanes_stand_in_the_same_boxes_solid_and_dashed_on_the_scales_of_the_maps(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.lanes(2), (1000, 640))
    for lane in (0, 1):
        give(panel, samples.fields_frame(lane), at=lane)
    panel.set_cut(Cut("level", 0.1))
    (profile,) = panel.profiles.profiles
    values, error, residual = profile.boxes
    assert [(line.name, line.style) for line in values.lines] == [
        ("M1", Qt.PenStyle.SolidLine), ("M2", Qt.PenStyle.DashLine), ("exact", Qt.PenStyle.SolidLine)]
    assert (error.low, error.high) == panel.grid.columns[2].levels[0] and residual.low == -residual.high
    panel.log.setChecked(True)
    assert panel.profiles.profiles[0].boxes[1].logarithmic and panel.grid.columns[2].logarithmic
    draw(panel)


def test_derivatives_are_offered_signed_and_have_no_exact_solution(qtbot: QtBot) -> None:
    panel = plane(qtbot, derivatives={"u_xx": np.linspace(-2, 1, 121).reshape(11, 11)})
    assert [panel.field_box.itemText(i) for i in range(panel.field_box.count())] == ["u", "", "u_xx"]
    panel.field_box.setCurrentText("u_xx")
    panel.field_box.activated.emit(2)
    assert names(panel) == ["prediction u_xx", "residual"] and panel.grid.columns[0].levels == [(-2.0, 2.0)]
    assert "prediction u_xx" in panel.table()[0]
    give(panel, map_frame(("x", "y"), np.ones((11, 11)), step=2))
    assert panel.grid.rows[0].values[0] is None, "a frame without it says 'not known'"


def test_the_mouse_reads_what_is_not_drawn_and_the_nearest_point(qtbot: QtBot) -> None:
    points = {"residual": np.array([[0.5, 0.6], [0.9, 0.9]], np.float32), "edge": np.array([[0.5, 0.0]], np.float32)}
    panel = plane(qtbot, points=points, derivatives={"u_x": np.full((11, 11), 7.0)})
    assert "nearest" not in panel.grid.text_at(QPointF(spot(panel, 0.5, 0.5)))
    panel.points.setChecked(True)
    text = panel.grid.text_at(QPointF(spot(panel, 0.5, 0.5)))
    assert ">u_x<" in text and ">7<" in text and "residual, 10 % of the range away" in text
    assert panel.grid.legend[1:] == [(panel.theme.term(0), "residual 2"), (panel.theme.term(2), "edge 1")]
    dots = panel.grid.rows[0].dots
    assert [one.places.tolist() for one in dots][1] == [[0.5, 0.0]]
    draw(panel)
    panel.points.setChecked(False)
    assert panel.grid.legend == [] and panel.grid.rows[0].dots == []


def test_before_the_first_step_there_are_no_points_and_that_is_said(qtbot: QtBot) -> None:
    panel = plane(qtbot)
    panel.points.setChecked(True)
    assert panel.grid.legend == [("", "points: none are drawn before the first step")]
    flat = make(qtbot, samples.flat())
    give(flat, curve_frame(points={"residual": np.array([[0.5]], np.float32)}))
    flat.points.setChecked(True)
    (color, places), = flat.profiles.profiles[0].rug
    assert color == flat.theme.term(0) and places.tolist() == [0.5]
    assert "1 points of residual" in flat.profiles.profiles[0].note


def test_gone_back_in_time_the_frame_of_that_step_is_shown_and_the_newest_again(qtbot: QtBot) -> None:
    panel = plane(qtbot, step=9)
    panel.set_cut(Cut("level", 0.5))
    old = map_frame(("x", "y"), np.full((11, 11), 4.0), step=3)
    panel.travel({0: {"fields": old}}, 3)
    draw(panel)
    assert panel.grid.rows[0].note == "step 3"
    assert panel.profiles.profiles[0].boxes[0].lines[0].values == pytest.approx(np.full(11, 4.0))
    panel.travel(None, None)
    draw(panel)
    assert panel.grid.rows[0].note == "step 9"


# -- time --------------------------------------------------------------------------------------------------------


def over_time(qtbot: QtBot, size: tuple[int, int] = (700, 400)) -> FieldsPanel:
    panel = make(qtbot, lanes_over("t", "x", exact={}), size)
    give(panel, map_frame(("t", "x"), np.add.outer(X, 10 * X)))
    return panel


def test_the_slider_of_time_moves_the_curves_and_the_line_in_the_maps(qtbot: QtBot) -> None:
    panel = over_time(qtbot)
    assert panel.time_bar.isVisible() and panel.cut is None and panel.time_bar.time == 1.0
    panel.time_bar.slider.setValue(4)
    assert panel.grid.cut == Cut("up", X[4]) and panel.profiles.profiles[0].foot == "x at t = 0.4"
    assert panel.profiles.profiles[0].boxes[0].lines[0].values == pytest.approx(0.4 + 10 * X)
    panel.set_cut(Cut("up", 0.69))
    assert panel.time_bar.slider.value() == 7 and panel.time_bar.words.text() == "t = 0.7"
    panel.begin(lanes_over("x", "y", exact={}))
    give(panel, map_frame(("x", "y"), np.ones((5, 5))))
    assert panel.time_bar.isHidden() and panel.cut is None


def test_where_there_is_room_the_curves_of_the_last_time_are_there_at_once(qtbot: QtBot) -> None:
    panel = over_time(qtbot, (1100, 700))
    assert panel.cut == Cut("up", 1.0) and panel.profiles.isVisible()


def test_time_runs_to_its_end_and_stops(qtbot: QtBot) -> None:
    panel = over_time(qtbot)
    bar = panel.time_bar
    seen: list[float] = []
    bar.moved.connect(seen.append)
    bar.player.speed.setCurrentText("2\u00d7")
    bar.player.button.click()
    assert bar.player.playing and bar.time == 0.0, "from the beginning, as it stood at the end"
    qtbot.waitUntil(lambda: len(seen) > 2, timeout=3000)
    bar.player._since -= 60  # a minute later
    qtbot.waitUntil(lambda: not bar.player.playing, timeout=3000)
    assert bar.time == 1.0 and seen == sorted(seen) and not bar._timer.isActive()


# -- slices ------------------------------------------------------------------------------------------------------


def sliced(inputs: tuple[str, ...], fixed: dict[str, float], **more: Any) -> FieldsFrame:
    u = np.ones([11] * len(inputs))
    return FieldsFrame(step=1, inputs=inputs, axes=(X,) * len(inputs), prediction={"u": u}, exact={}, error={},
                       residuals={"Helmholtz": u}, fixed=fixed, **more)


def deep(qtbot: QtBot, names: tuple[str, ...] = ("t", "x", "y")) -> tuple[FieldsPanel, list[Any]]:
    panel = make(qtbot, lanes_over(*names, exact={}), (700, 400))
    asked: list[Any] = []
    panel.command.connect(lambda lane, kind, value: asked.append((lane, kind, value)))
    give(panel, sliced(names[:2], dict.fromkeys(names[2:], 0.5)))
    return panel, asked


def test_the_sliders_are_there_for_three_inputs_only_and_ask_for_the_slice(qtbot: QtBot) -> None:
    panel, asked = deep(qtbot)
    bar = panel.slices
    assert bar.isVisible() and [one.name for one in bar.held.values() if one.isVisible()] == ["y"]
    bar.held["y"].slider.setValue(50)
    assert asked == [(-1, "view", ("fields", {"axes": ("t", "x"), "fixed": {"y": 0.25}}))]
    give(panel, sliced(("t", "x"), {"y": 0.25}))
    assert not bar.waiting and panel.grid.note == "at y = 0.25"
    panel.begin(lanes_over("x", "y"))
    assert bar.isHidden()


def test_no_more_than_five_slices_a_second_are_asked_for_and_the_last_one_is(qtbot: QtBot) -> None:
    panel, asked = deep(qtbot)
    slider = panel.slices.held["y"].slider
    for value in range(100, 160):
        slider.setValue(value)
    assert len(asked) == 1
    qtbot.waitUntil(lambda: len(asked) == 2, timeout=2000)
    assert asked[-1][2][1]["fixed"] == {"y": pytest.approx(159 / 200)}
    qtbot.wait(300)
    assert len(asked) == 2


def test_the_inputs_change_places_and_one_may_stand_alone(qtbot: QtBot) -> None:
    panel, asked = deep(qtbot)
    bar = panel.slices
    bar.across.setCurrentText("x")
    bar.across.activated.emit(1)
    assert bar.axes == ("x", "t") and asked[-1][2][1]["axes"] == ("x", "t")
    bar.upwards.setCurrentText("alone")
    bar.upwards.activated.emit(0)
    assert bar.axes == ("x",) and set(bar.fixed()) == {"t", "y"} and bar.held["t"].isVisible()
    assert not panel.flat, "until the answer is there"
    give(panel, sliced(("x",), {"t": 0.5, "y": 0.5}))
    assert panel.flat and panel.profiles.profiles[0].input == "x" and panel.profiles.profiles[0].where
    assert panel.table()[0][:5] == ["lane", "step", "x", "t", "y"]
    give(panel, sliced(("x", "y"), {"t": 0.1}))
    assert not panel.flat and panel.grid.isVisible()


def test_a_number_outside_of_the_domain_gets_a_sentence_and_asks_for_nothing(qtbot: QtBot) -> None:
    panel, asked = deep(qtbot)
    field = panel.slices.held["y"].field
    for text, words in (("1.5", "y = 1.5 is outside of the domain: y runs from 0 to 1."),
                        ("a", "'a' is no number; y runs from 0 to 1."), ("nan", "is no number")):
        field.setText(text)
        field.editingFinished.emit()
        assert words in panel.slices.sentence.text() and panel.slices.sentence.isVisible() and field.property("wrong")
    assert asked == []
    field.setText("0.75")
    field.editingFinished.emit()
    assert asked[0][2][1]["fixed"] == {"y": 0.75} and panel.slices.sentence.isHidden() and not field.property("wrong")


def test_what_a_run_refuses_is_said_and_the_controls_go_back(qtbot: QtBot) -> None:
    panel, _ = deep(qtbot)
    panel.slices.held["y"].slider.setValue(0)
    assert panel.slices.waiting
    event = Event(step=1, kind="view", text="y = 0 is outside of the domain")
    panel.receive(0, Update(status=samples.status(RunState.PAUSED), events=(event,)))
    assert panel.slices.sentence.text() == "y = 0 is outside of the domain."
    assert panel.slices.held["y"].value == 0.5 and not panel.slices.waiting


def test_without_an_answer_the_controls_go_back(qtbot: QtBot) -> None:
    panel, _ = deep(qtbot)
    panel.slices.held["y"].slider.setValue(0)
    panel.slices._patience.timeout.emit()
    assert "No run has answered" in panel.slices.sentence.text() and panel.slices.held["y"].value == 0.5


def test_the_controls_follow_a_frame_that_nobody_asked_for(qtbot: QtBot) -> None:
    """Of a run that was opened from its file, or at another step."""
    panel, asked = deep(qtbot)
    give(panel, sliced(("x", "y"), {"t": 0.8}))
    assert panel.slices.axes == ("x", "y") and panel.slices.fixed() == {"t": pytest.approx(0.8)} and asked == []


def test_held_time_is_played_frame_by_frame(qtbot: QtBot) -> None:
    panel, asked = deep(qtbot)
    give(panel, sliced(("x", "y"), {"t": 0.0}))
    held = panel.slices.held["t"]
    assert held.player is not None
    held.player.button.click()
    assert len(asked) == 1, "the first picture"
    qtbot.wait(300)
    assert len(asked) == 1, "no other before its frame is there"
    while held.player.playing:
        before = len(asked)
        held.player._since -= 2.5
        give(panel, sliced(("x", "y"), asked[-1][2][1]["fixed"]))
        if held.player.playing:
            qtbot.waitUntil(lambda before=before: len(asked) > before, timeout=2000)
    times = [value[1]["fixed"]["t"] for _, _, value in asked]
    assert times[-1] == 1.0 and times == sorted(times) and 3 <= len(times) <= 5


def test_lanes_that_show_another_slice_say_so(qtbot: QtBot) -> None:
    lanes = samples.lanes(2)
    for lane in lanes:
        vars(lane.experiment.problem).update({"domain": dict.fromkeys("txy", (0.0, 1.0)), "exact": {}})
    panel = make(qtbot, [Lane(lane.index, lane.label, lane.experiment) for lane in lanes], (800, 600))
    give(panel, sliced(("t", "x"), {"y": 0.5}), at=1)
    give(panel, sliced(("x", "y"), {"t": 0.5}), at=0)
    assert panel.grid.rows[1].empty.startswith("This run shows another slice") and panel.grid.rows[0].values
