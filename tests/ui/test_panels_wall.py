"""The gradient wall and the fields: numbers, words, scales, the mouse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from core.frames import FieldsFrame, GradientsFrame
from studio.messages import RunState, Update
from tests.ui import samples
from tests.ui.test_panels import draw, feed, make, picture
from ui.panels.equation import EquationPanel
from ui.panels.fields import FieldsPanel
from ui.panels.gradients import GradientWallPanel
from ui.theme import LIGHT


def test_the_ratio_is_that_of_the_mean_magnitudes(qtbot: QtBot) -> None:
    panel = make(GradientWallPanel, qtbot)
    frame = samples.gradients_frame(1)
    ratio = panel.ratios(frame)["boundary"]
    assert ratio == pytest.approx(frame.mean_abs[0] / (96.0 * frame.mean_abs[1]))
    panel.set_weighted(False)
    assert panel.ratios(frame)["boundary"] == pytest.approx(frame.mean_abs[0] / frame.mean_abs[1])


def test_the_sentence_says_how_much_narrower(qtbot: QtBot) -> None:
    panel = make(GradientWallPanel, qtbot)
    assert panel.finding() == "" and "spike at zero" in panel.sentence.text()
    feed(panel)
    text = panel.finding()
    assert "boundary gradients" in text and text.endswith("than the residual's")
    assert "M1" in text and "\u00d7 narrower" in text and LIGHT.danger in text and LIGHT.good in text
    panel.set_weighted(False)
    assert panel.finding().count("narrower") == 2


def test_before_the_first_frame_no_axis_crosses_the_sentence(qtbot: QtBot) -> None:
    panel = make(GradientWallPanel, qtbot, size=(1000, 500))
    grid = int(QColor(LIGHT.grid).rgb() & 0xFFFFFF)
    assert (picture(panel) == grid).sum() < 100
    feed(panel)
    assert (picture(panel) == grid).sum() > 1000


def test_a_starved_term_is_a_spike_and_a_fed_one_is_not(qtbot: QtBot) -> None:
    """What is seen: in M1's cells the boundary's color is narrow and high, in M2's as wide as the residual's."""
    panel = make(GradientWallPanel, qtbot, size=(1200, 700))
    feed(panel)
    colors, wall = picture(panel), panel.wall
    top = wall.mapTo(panel.figure, wall.rect().topLeft()).y()
    orange = [int(QColor(color).rgb() & 0xFFFFFF) for color in (LIGHT.tint(1), LIGHT.term(1))]

    def extent(lane: int, layer: int) -> tuple[int, int]:
        box = wall.boxes[lane][layer]
        part = colors[int(box.top()) + top : int(box.bottom()) + top, int(box.left()) : int(box.right())]
        rows, columns = np.nonzero(np.isin(part, orange))
        return int(np.ptp(columns)), int(np.ptp(rows))

    for layer in range(4):
        (narrow, high), (wide, low) = extent(0, layer), extent(1, layer)
        assert 0 < narrow < 0.1 * wide and high > 1.15 * low


def test_both_lanes_have_the_same_axes_and_boxes(qtbot: QtBot) -> None:
    panel = make(GradientWallPanel, qtbot, size=(1000, 500))
    feed(panel)
    wall = panel.wall
    assert [len(boxes) for boxes in wall.boxes] == [4, 4]
    assert {(b.width(), b.height()) for boxes in wall.boxes for b in boxes} == {
        (wall.boxes[0][0].width(), wall.boxes[0][0].height())
    }
    assert wall.limit >= max(samples.gradients_frame(0, 1990).max_abs.max() * 0.9, 1)
    assert [half.headline for half in wall.halves] == [
        "M1 \u00b7 fixed weights",
        "M2 \u00b7 annealed weights (SIAM)",
    ]


def test_the_mouse_reads_a_cell(qtbot: QtBot) -> None:
    panel = make(GradientWallPanel, qtbot)
    feed(panel)
    centre = panel.wall.boxes[0][1].center()
    text = panel.wall.text_at(centre)
    assert "layer 2" in text and "M1" in text and "residual" in text and "boundary" in text
    assert panel.wall.text_at(QPointF(1, 1)) == ""


def test_zero_gradients_nan_and_new_terms_are_drawn(qtbot: QtBot) -> None:
    panel = make(GradientWallPanel, qtbot)
    frame = samples.gradients_frame(0)
    zero = replace(
        frame,
        terms=("residual", "data"),
        counts=np.zeros_like(frame.counts),
        norm=frame.norm * np.nan,
        weighted_counts=np.zeros_like(frame.counts),
        mean_abs=np.zeros_like(frame.mean_abs),
        max_abs=frame.max_abs * np.nan,
    )
    panel.receive(0, Update(status=samples.status(), frames={"gradients": zero}))
    draw(panel)
    assert panel.wall.terms == ("residual", "boundary", "data")
    feed(panel)
    assert panel.table()[1]


@pytest.mark.parametrize("layers", [1, 3, 9, 24])
def test_any_number_of_layers_has_its_cells(layers: int, qtbot: QtBot) -> None:
    panel = make(GradientWallPanel, qtbot)
    frame = samples.gradients_frame(0)
    pick = [i % 4 for i in range(layers)]
    many = replace(
        frame,
        layers=tuple(f"layer {i + 1}" for i in range(layers)),
        counts=frame.counts[:, pick],
        weighted_counts=frame.weighted_counts[:, pick],
        max_abs=frame.max_abs[:, pick],
        mean_abs=frame.mean_abs[:, pick],
        norm=frame.norm[:, pick],
        zero_share=frame.zero_share[:, pick],
        quantiles=frame.quantiles[:, pick],
    )
    panel.receive(0, Update(status=samples.status(), frames={"gradients": many}))
    draw(panel)
    boxes = panel.wall.boxes[0]
    assert len(boxes) == layers
    for i, a in enumerate(boxes):
        assert a.width() > 20 and a.height() > 12
        assert not any(a.intersects(b) for b in boxes[i + 1 :])


def many_layers(names: tuple[str, ...], terms: tuple[str, ...] = samples.TERMS) -> GradientsFrame:
    """A frame with these layers and terms."""
    frame = samples.gradients_frame(0)
    layers, rows = [i % 4 for i in range(len(names))], [i % 2 for i in range(len(terms))]
    tables = ("counts", "weighted_counts", "max_abs", "mean_abs", "norm", "zero_share", "quantiles")
    return replace(frame, layers=names, terms=terms, weights=frame.weights[rows],
                   **{name: getattr(frame, name)[rows][:, layers] for name in tables})


def test_of_many_sub_domains_one_layer_of_all_or_all_of_one_is_shown(qtbot: QtBot) -> None:
    panel = make(GradientWallPanel, qtbot, 1)
    names = tuple(f"{part}: {layer}" for part in range(1, 13) for layer in ("hidden 1", "hidden 2", "output"))
    panel.receive(0, Update(status=samples.status(), frames={"gradients": many_layers(names)}))
    draw(panel)
    box = panel.layer_box
    offered = [box.itemText(i) for i in range(4)]
    assert offered == ["output of all", "hidden 1 of all", "hidden 2 of all", "sub-domain 1"]
    assert box.isVisible() and box.count() == 15
    assert [cell.layer for cell in panel.wall.halves[0].cells] == [f"{part}: output" for part in range(1, 13)]
    assert min(cell.height() for cell in panel.wall.boxes[0]) >= 40
    box.setCurrentText("sub-domain 7")
    box.activated.emit(box.currentIndex())
    assert [cell.layer for cell in panel.wall.halves[0].cells] == ["7: hidden 1", "7: hidden 2", "7: output"]
    panel.begin(samples.lanes(1))
    feed(panel)
    assert not box.isVisible() and len(panel.wall.halves[0].cells) == 4


def test_many_terms_are_outlines_in_their_colors_and_can_be_left_out(qtbot: QtBot) -> None:
    terms = ("residual", "boundary", "initial", "data", "interface flux", "interface average", "recovery", "late")
    lane = samples.lanes(1)[0]
    lane.experiment.terms = terms[:7]
    panel = make(GradientWallPanel, qtbot, 1)
    panel.begin([lane])
    panel.receive(0, Update(status=samples.status(), frames={"gradients": many_layers(samples.LAYERS, terms)}))
    draw(panel)
    assert panel.wall.terms == (*terms[:6], "late"), "recovery pulls at no weight matrix"
    assert panel.wall.colors == (0, 1, 2, 3, 4, 5, 7), "a term keeps its color"
    filled = int(QColor(LIGHT.tint(1)).rgb() & 0xFFFFFF)
    assert (picture(panel) == filled).sum() < 200, "areas of seven terms would hide each other"
    assert panel.finding().count("gradients:") == 3 and "recovery" not in panel.finding()
    for action in panel.terms_button.menu().actions()[2:]:
        action.trigger()
    assert panel.terms_button.isVisible() and panel.wall.terms == ("residual", "boundary")
    assert (picture(panel) == filled).sum() > 200
    assert len(panel.wall.halves[0].cells[0].density) == 2


def test_a_legend_of_many_terms_has_several_rows(qtbot: QtBot) -> None:
    panel = make(GradientWallPanel, qtbot, 1, size=(420, 500))
    panel.wall.set_terms([f"a loss term number {k}" for k in range(8)], list(range(8)))
    assert len({place.y() for place in panel.wall.places}) > 2
    assert all(place.x() < panel.wall.width() - 100 for place in panel.wall.places)
    assert panel.wall.top > max(place.y() for place in panel.wall.places)


def test_a_term_that_does_not_reach_a_layer_is_not_called_narrow(qtbot: QtBot) -> None:
    panel = make(GradientWallPanel, qtbot, 1)
    frame = samples.gradients_frame(0)
    mean = np.array(frame.mean_abs)
    mean[1, :2] = 0.0
    ratios = panel.ratios(replace(frame, mean_abs=mean))["boundary"]
    assert np.isnan(ratios[:2]).all() and np.isfinite(ratios[2:]).all()
    panel.receive(0, Update(status=samples.status(), frames={"gradients": replace(frame, mean_abs=mean)}))
    draw(panel)
    assert [np.isnan(cell.ratio) for cell in panel.wall.halves[0].cells] == [True, True, False, False]


# -- fields ----------------------------------------------------------------------------------------


def test_levels_are_shared_symmetric_and_from_zero(qtbot: QtBot) -> None:
    panel = make(FieldsPanel, qtbot, size=(900, 500))
    feed(panel)
    prediction, exact, error, residual = (column.levels for column in panel.grid.columns)
    assert prediction == exact and prediction[0] == prediction[1]
    assert error[0][0] == 0 and error[0] == error[1]
    assert residual[0][0] == -residual[0][1]
    for lane in (0, 1):
        frame = samples.fields_frame(lane, 1990)
        assert (
            prediction[0][0] <= frame.prediction["u"].min()
            and frame.prediction["u"].max() <= prediction[0][1]
        )
        assert frame.error["u"].max() <= error[0][1]
    panel.same.setChecked(False)
    error = panel.grid.columns[2].levels
    assert error[1][1] < 0.2 * error[0][1]


def test_the_levels_hold_still(qtbot: QtBot) -> None:
    panel = make(FieldsPanel, qtbot)
    seen = set()
    for step in range(1000, 3000, 200):
        feed(panel, step=step)
        seen.add(str([column.levels for column in panel.grid.columns]))
    assert len(seen) <= 2


def test_a_run_that_stands_still_has_the_levels_of_its_last_frame(qtbot: QtBot) -> None:
    panel, fresh = make(FieldsPanel, qtbot, 1), make(FieldsPanel, qtbot, 1)
    last = samples.fields_frame(0, 1000)
    wild = replace(last, step=900, prediction={name: 9 * u for name, u in last.prediction.items()})
    for frame, state in ((wild, RunState.RUNNING), (last, RunState.RUNNING), (last, RunState.FINISHED)):
        panel.receive(0, Update(status=samples.status(state), frames={"fields": frame}))
        draw(panel)
    fresh.receive(0, Update(status=samples.status(RunState.FINISHED), frames={"fields": last}))
    draw(fresh)
    assert [one.levels for one in panel.grid.columns] == [one.levels for one in fresh.grid.columns]


def test_the_mouse_reads_the_value_at_the_point(qtbot: QtBot) -> None:
    """u = x + 10 y on [0, 1] x [0, 2]: asymmetric, so that a transposed or turned field is found out."""
    panel = make(FieldsPanel, qtbot, 1, size=(900, 400))
    x, y = np.linspace(0, 1, 11), np.linspace(0, 2, 5)
    u = x[:, None] + 10 * y[None]
    frame = FieldsFrame(
        step=1,
        inputs=("x", "y"),
        axes=(x, y),
        prediction={"u": u},
        exact={},
        error={},
        residuals={"Helmholtz": u * 0},
        fixed={},
    )
    panel.receive(0, Update(status=samples.status(), frames={"fields": frame}))
    draw(panel)
    box = panel.grid.boxes[0][0]
    text = panel.grid.text_at(QPointF(box.left() + 0.97 * box.width(), box.bottom() - 0.03 * box.height()))
    assert "x = 1, y = 0" in text and "prediction u" in text and ">1<" in text
    text = panel.grid.text_at(QPointF(box.left() + 0.03 * box.width(), box.top() + 0.03 * box.height()))
    assert "x = 0, y = 2" in text and ">20<" in text
    assert [column.name for column in panel.grid.columns] == ["prediction u", "residual"]
    assert panel.grid.columns[1].levels[0] == (-1.0, 1.0)


def test_little_room_shows_one_lane_and_the_chooser_the_other(qtbot: QtBot) -> None:
    panel = make(FieldsPanel, qtbot, size=(500, 190))
    feed(panel)
    assert [row.label for row in panel.grid.rows] == ["M1"]
    assert panel.lane_box.currentText() == "M1 …"
    panel.lane_box.setCurrentIndex(2)
    panel.lane_box.activated.emit(2)
    assert [row.label for row in panel.grid.rows] == ["M2"] and panel.grid.rows[0].values
    panel.lane_box.setCurrentIndex(0)
    panel.resize(700, 500)
    draw(panel)
    assert [row.label for row in panel.grid.rows] == ["M1", "M2"]
    assert panel.lane_box.currentText() == "M1 and M2"


def test_the_equation_is_typeset_in_the_color_of_the_text(qtbot: QtBot) -> None:
    panel = make(EquationPanel, qtbot, size=(500, 500))
    draw(panel)
    formulas = [block for block in panel.sheet.blocks if block.latex]
    assert len(formulas) == 4 and all(block.drawing is not None for block in formulas)
    texts = [block.text for block in panel.sheet.blocks]
    assert any("Helmholtz equation" in t for t in texts) and any(t.startswith("Source: Wang") for t in texts)
    assert any("spike at zero" in t for t in texts)
    assert panel.table()[1][0] == ["residual", samples.EQUATIONS[0][1]]


def test_what_cannot_be_typeset_is_shown_as_it_is(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "EQUATIONS", [("bad", r"\frac{")])
    panel = make(EquationPanel, qtbot)
    draw(panel)
    assert not panel.pending and panel.sheet.blocks[1].drawing is None
