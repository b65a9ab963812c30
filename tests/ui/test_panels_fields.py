"""Fields over one input and over two: what stands where, what is left blank, what is not shown at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from core.frames import FieldsFrame
from studio.messages import RunState, Update
from tests.ui import samples
from tests.ui.test_panels import draw, picture, shown
from ui.panels.fields import ALL, FieldsPanel
from ui.panels.panel import Lane
from ui.panels.profiles import Snapshots, round_step
from ui.plots.profiles import error_range
from ui.theme import LIGHT

X = np.linspace(0, 1, 101)


def make(qtbot: QtBot, lanes: list[Lane], size: tuple[int, int] = (800, 460)) -> FieldsPanel:
    return shown(qtbot, FieldsPanel(), lanes, size)


def curve_frame(step: int = 1, **changes: Any) -> FieldsFrame:
    u = np.sin(4 * X)
    values: dict[str, Any] = {
        "prediction": {"u": u + 1 / (1 + step)}, "exact": {"u": u}, "error": {"u": np.full(101, 1 / (1 + step))},
        "residuals": {"Helmholtz": np.cos(X)},
    }
    return FieldsFrame(step=step, inputs=("x",), axes=(X,), fixed={}, **(values | changes))


def give(panel: FieldsPanel, *frames: FieldsFrame, at: int = 0, state: RunState = RunState.PAUSED) -> None:
    for frame in frames:
        panel.receive(at, Update(status=samples.status(state), frames={"fields": frame}))
    draw(panel)


def names(panel: FieldsPanel) -> list[str]:
    return [column.name for column in panel.grid.columns]


# -- one input -------------------------------------------------------------------------------------------------


def test_values_error_and_residual_stand_below_each_other(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.flat())
    give(panel, curve_frame())
    assert panel.profiles.isVisible() and not panel.grid.isVisible()
    (profile,), (places,) = panel.profiles.profiles, panel.profiles.places
    assert [box.title for box in profile.boxes] == ["u", "|error|", "residual Helmholtz"]
    assert len({place.left() for place in places}) == 1 and places[0].bottom() < places[1].top()
    assert profile.boxes[1].logarithmic and profile.boxes[1].low < np.log10(0.5) < profile.boxes[1].high
    assert profile.boxes[2].low == -profile.boxes[2].high
    pixels = picture(panel)
    for color in (LIGHT.accent, LIGHT.text):
        assert (pixels == int(QColor(color).rgb() & 0xFFFFFF)).sum() > 50, color
    assert len(panel.table()[1]) == 101 and "absolute error u" in panel.table()[0]


def test_earlier_states_stay_faint_and_are_named_by_their_steps(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.flat())
    give(panel, *(curve_frame(step) for step in range(250, 15_001, 250)))
    lines = panel.profiles.profiles[0].boxes[0].lines
    assert [line.name for line in lines] == ["prediction", "exact", "step 10,000", "step 5,000", "step 2,000"]
    assert lines[2].values == pytest.approx(np.sin(4 * X) + 1 / 10_001)
    errors = [line.name for line in panel.profiles.profiles[0].boxes[1].lines]
    assert errors == ["prediction", "step 10,000", "step 5,000", "step 2,000"]


def test_earlier_states_are_those_at_round_steps() -> None:
    assert [round_step(step) for step in (1, 4, 5, 19, 20, 999, 15_000)] == [1, 2, 5, 10, 20, 500, 10_000]
    kept = Snapshots()
    for step in (0, 300, 600, 900, 1200, 2100, 2400):
        kept.add(curve_frame(step))
    assert [frame.step for frame in kept.before(2400)] == [2100, 1200, 600]
    assert [frame.step for frame in kept.before(2100)] == [1200, 600, 300]


def test_a_field_without_a_solution_has_no_error(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.flat(exact={}))
    assert [box.title for box in panel.profiles.profiles[0].boxes] == ["u", "residual Helmholtz"]
    give(panel, curve_frame(exact={}, error={}))
    assert [box.title for box in panel.profiles.profiles[0].boxes] == ["u", "residual Helmholtz"]
    panel.begin(samples.flat(residuals=()))
    give(panel, curve_frame(residuals={}))
    assert [box.title for box in panel.profiles.profiles[0].boxes] == ["u", "|error|"]


def test_several_fields_share_a_box_or_are_chosen(qtbot: QtBot) -> None:
    parts = {"prediction": {"r": X, "p": X**2, "sum": X + X**2}, "exact": {"r": X, "p": X}, "error": {"r": 0 * X + 0.1}}
    lanes = samples.flat(fields=("r", "p"), quantities={"sum": "r + p"}, exact={"r": "x", "p": "x"})
    panel = make(qtbot, lanes)
    give(panel, curve_frame(**parts))
    assert [panel.field_box.itemText(i) for i in range(panel.field_box.count())] == [ALL, "r", "p", "sum"]
    lines = panel.profiles.profiles[0].boxes[0].lines
    assert [line.name for line in lines] == ["r", "p", "exact", "exact p"]
    assert lines[0].color != lines[1].color
    panel.field_box.setCurrentText("sum")
    panel.field_box.activated.emit(3)
    (profile,) = panel.profiles.profiles
    assert [box.title for box in profile.boxes] == ["sum", "residual Helmholtz"]


def test_lanes_stand_side_by_side_on_the_same_axes(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.flat(2))
    give(panel, curve_frame(1))
    give(panel, curve_frame(99), at=1)
    left, right = panel.profiles.profiles
    assert (left.label, right.label) == ("M1", "M2")
    assert [(box.low, box.high) for box in left.boxes] == [(box.low, box.high) for box in right.boxes]
    panel.same.setChecked(False)
    left, right = panel.profiles.profiles
    assert left.boxes[1].high > right.boxes[1].high
    panel.resize(400, 300)
    draw(panel)
    assert [profile.label for profile in panel.profiles.profiles] == ["M1"], "where there is no room for both"


def test_the_mouse_reads_every_curve(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.flat())
    give(panel, curve_frame())
    place = panel.profiles.places[0][1]
    text = panel.profiles.text_at(QPointF(place.left() + place.width() / 2, place.center().y()))
    assert "x = 0.5" in text and "u: prediction" in text and "u: exact" in text and "residual Helmholtz" in text
    assert panel.profiles.text_at(QPointF(1, 1)) == ""


def test_zero_and_nan_have_no_place_on_a_logarithmic_axis(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.flat())
    zero = {"error": {"u": 0 * X}, "prediction": {"u": X * np.nan}, "residuals": {"Helmholtz": np.full(101, np.inf)}}
    give(panel, curve_frame(**zero))
    assert np.isnan(error_range([0 * X, X * np.nan])[0]) and np.isnan(error_range([])[1])
    assert error_range([np.array([1e-3, 1.0, 100.0])])[1] == 2


# -- two inputs ------------------------------------------------------------------------------------------------


def map_frame(inputs: tuple[str, str], u: np.ndarray, **changes: Any) -> FieldsFrame:
    axes = tuple(np.linspace(0, 1, size) for size in u.shape)
    values: dict[str, Any] = {"prediction": {"u": u}, "exact": {}, "error": {}, "residuals": {"Helmholtz": u},
                              "fixed": {}, "step": 1}
    return FieldsFrame(inputs=inputs, axes=axes, **(values | changes))


def lanes_over(*inputs: str, **problem: Any) -> list[Lane]:
    (lane,) = samples.lanes(1)
    vars(lane.experiment.problem).update({"domain": dict.fromkeys(inputs, (0.0, 1.0)), **problem})
    return [lane]


@pytest.mark.parametrize("inputs", [("t", "x"), ("x", "t")])
def test_time_runs_across(qtbot: QtBot, inputs: tuple[str, str]) -> None:
    """u = t on [0, 1]: dark on the left, bright on the right, whatever the order of the inputs."""
    panel = make(qtbot, lanes_over(*inputs))
    t = np.linspace(0, 1, 9)
    give(panel, map_frame(inputs, np.tile(t, (5, 1)).T if inputs[0] == "t" else np.tile(t, (5, 1))))
    assert list(panel.grid.domain) == ["t", "x"] and panel.grid.rows[0].inputs == ("t", "x")
    values = panel.grid.rows[0].values[0]
    assert values is not None and values.shape == (9, 5) and values[0, 0] == 0 and values[-1, 0] == 1
    box = panel.grid.boxes[0][0]
    text = panel.grid.text_at(QPointF(box.left() + 0.99 * box.width(), box.center().y()))
    assert "t = 1, x = 0.5" in text
    assert len(panel.table()[1]) == 45 and panel.table()[0][2:4] == list(inputs)


def test_only_what_is_known_has_a_map(qtbot: QtBot) -> None:
    panel = make(qtbot, lanes_over("x", "y", exact={}, fields=("p",), quantities={"u": "p_x"}))
    assert names(panel) == ["prediction p", "residual"]
    both = {"prediction": {"p": np.ones((5, 5)), "u": np.ones((5, 5))}, "exact": {"u": np.ones((5, 5))},
            "error": {"u": np.zeros((5, 5))}}
    give(panel, map_frame(("x", "y"), np.ones((5, 5)), **both))
    assert panel.field_box.currentText() == "u", "the field that can be compared comes first"
    assert names(panel) == ["prediction u", "exact u", "absolute error", "residual"]
    panel.field_box.setCurrentText("p")
    panel.field_box.activated.emit(0)
    assert names(panel) == ["prediction p", "residual"] and len(panel.grid.boxes[0]) == 2
    panel.begin(lanes_over("x", "y", exact={}, residuals=()))
    assert names(panel) == ["prediction u"]


def test_outside_of_a_ball_nothing_is_drawn(qtbot: QtBot) -> None:
    panel = make(qtbot, lanes_over("x", "y", exact={}))
    x = np.linspace(-1, 1, 41)
    u = np.where(x[:, None] ** 2 + x[None] ** 2 > 1, np.nan, 1.0)
    give(panel, map_frame(("x", "y"), u))
    box, pixels = panel.grid.boxes[0][0], picture(panel)
    ground = int(QColor(LIGHT.plot).rgb() & 0xFFFFFF)
    assert pixels[int(box.top()) + 4, int(box.left()) + 4] == ground
    assert pixels[int(box.center().y()), int(box.center().x())] != ground
    assert panel.grid.text_at(QPointF(box.left() + 2, box.top() + 2)) == ""


def test_a_field_that_is_no_number_anywhere_says_so(qtbot: QtBot) -> None:
    panel = make(qtbot, lanes_over("x", "y", exact={}))
    give(panel, map_frame(("x", "y"), np.full((5, 5), np.nan)))
    danger = int(QColor(LIGHT.danger).rgb() & 0xFFFFFF)
    assert (picture(panel) == danger).any()


def test_places_in_space_keep_their_shape_and_further_inputs_are_named(qtbot: QtBot) -> None:
    panel = make(qtbot, lanes_over("x1", "x2", "x3", "x4", "x5", "x6"))
    assert panel.grid.note == "at x3, ..., x6 = 0.5", "before the first frame"
    give(panel, map_frame(("x1", "x2"), np.ones((5, 5)), fixed=dict.fromkeys(("x3", "x4", "x5", "x6"), 0.5)))
    box = panel.grid.boxes[0][0]
    assert abs(box.width() - box.height()) <= 1 and panel.grid.note == "at x3, ..., x6 = 0.5"
    panel.begin(lanes_over("x", "y", "z"))
    assert panel.grid.note == "at z = 0.5"


@pytest.mark.parametrize("size", [(900, 330), (420, 420), (300, 600)])
def test_maps_stay_inside_and_apart(qtbot: QtBot, size: tuple[int, int]) -> None:
    panel = make(qtbot, samples.lanes(1), size)
    give(panel, samples.fields_frame(0))
    boxes = panel.grid.boxes[0]
    assert len(boxes) == 4
    for place, box in enumerate(boxes):
        assert panel.grid.rect().toRectF().contains(box)
        assert not any(box.intersects(other) for other in boxes[place + 1:])
    rows = len({box.top() for box in boxes})
    assert rows == (1 if size[0] > 2 * size[1] else 2)
