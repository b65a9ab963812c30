"""The loss landscape: what lies where, in what colors, and what is asked for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QImage
from PySide6.QtTest import QSignalSpy
from pytestqt.qtbot import QtBot

from core.frames import LandscapeFrame, frozen
from studio.messages import RunState, Update
from tests.ui import samples
from tests.ui.test_panels import draw, shown
from ui.panels.landscape import EMPTY, LandscapePanel
from ui.panels.panel import Lane
from ui.plots.contours import contour
from ui.plots.maps import lookup
from ui.theme import DARK, LIGHT


def make(qtbot: QtBot, lanes: list[Lane] | None = None, size: tuple[int, int] = (800, 460)) -> LandscapePanel:
    return shown(qtbot, LandscapePanel(), samples.lanes(1) if lanes is None else lanes, size)


def give(panel: LandscapePanel, *frames: LandscapeFrame, at: int = 0) -> None:
    for frame in frames:
        panel.receive(at, Update(status=samples.status(RunState.PAUSED), frames={"landscape": frame}))
    draw(panel)


# -- contour lines ---------------------------------------------------------------------------------------------


def test_the_contour_of_a_plane_is_straight() -> None:
    x, y = np.meshgrid(np.arange(6.0), np.arange(4.0), indexing="ij")
    lines = contour(x + 0 * y, 2.25)
    assert lines.shape == (3, 2, 2) and lines[..., 0] == pytest.approx(2.25)
    assert sorted(lines[..., 1].ravel().tolist()) == [0, 1, 1, 2, 2, 3]
    slanted = contour(x + 2 * y, 4.5)
    assert slanted[..., 0] + 2 * slanted[..., 1] == pytest.approx(4.5)


def test_the_contour_of_a_cone_is_a_closed_circle() -> None:
    axis = np.linspace(-2, 2, 81)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    lines = contour(np.hypot(x, y), 1.3127) * 0.05 - 2
    assert np.hypot(lines[..., 0], lines[..., 1]) == pytest.approx(1.3127, abs=2e-3)
    ends = np.round(lines.reshape(-1, 2), 9)
    assert (np.unique(ends, axis=0, return_counts=True)[1] == 2).all(), "every end meets another one"
    assert np.linalg.norm(lines[:, 0] - lines[:, 1], axis=1).sum() == pytest.approx(2.6254 * np.pi, rel=1e-3)


def test_saddles_and_gaps() -> None:
    saddle = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert len(contour(saddle, 0.4)) == len(contour(saddle, 0.6)) == 2
    for above in (saddle, 1 - saddle):  # below the mean the two high corners are joined, above it each is cut off
        joined, cut = (contour(above, level).mean(1) for level in (0.4, 0.6))
        corners = np.argwhere(above == 0), np.argwhere(above == 1)
        for middles, wanted in zip((joined, cut), corners, strict=True):
            nearest = np.abs(middles[:, None] - np.array([[0, 0], [0, 1], [1, 0], [1, 1]])).sum(2).argmin(1)
            assert sorted(nearest.tolist()) == sorted((2 * wanted[:, 0] + wanted[:, 1]).tolist())
    hole = np.add.outer(np.arange(5.0), np.zeros(5))
    hole[2, 2] = math.nan
    assert len(contour(hole, 1.5)) == 2, "the two cells beside the gap have no line"
    assert contour(np.full((3, 3), math.nan), 1.0).shape == contour(np.ones((1, 4)), 1.0).shape == (0, 2, 2)


# -- the panel -------------------------------------------------------------------------------------------------


def test_the_directions_are_asked_for(qtbot: QtBot) -> None:
    panel = make(qtbot)
    asked = QSignalSpy(panel.command)
    panel.receive(0, Update(status=samples.status(RunState.PAUSED)))
    for choice in panel.demand.button.menu().actions():
        choice.trigger()
    assert [asked.at(i)[2] for i in range(asked.count())] == [
        ("landscape", {"directions": "gradient-random"}), ("landscape", {"directions": "hessian"})]
    panel.receive(0, Update(status=samples.status(RunState.PAUSED, busy="landscape: row 3 of 31")))
    panel.demand.stop.click()
    assert tuple(asked.at(2)) == (0, "demand", ("stop", {}))


def pixel(panel: LandscapePanel, a: float, b: float) -> int:
    """The color of the map at (a, b), which reach from -0.5 to 0.5."""
    box = panel.maps.boxes[0]
    image = panel.maps.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    reach = 0.525  # to the pixels' edges, 21 points
    x, y = box.center().x() + a / reach * box.width() / 2, box.center().y() - b / reach * box.height() / 2
    return image.pixel(round(x), round(y)) & 0xFFFFFF


def test_a_is_across_and_b_upwards(qtbot: QtBot) -> None:
    panel = make(qtbot)
    frame = samples.landscape_frame(0)
    a, b = np.meshgrid(*frame.axes, indexing="ij")
    give(panel, replace(frame, losses={"total": frozen(10.0 ** (4.01 * (a > 0.3) + 2 * (b > 0.3)))}))
    box = panel.maps.boxes[0]
    left, right, top, both = (pixel(panel, *at) for at in ((-0.4, -0.4), (0.42, -0.4), (-0.4, 0.42), (0.42, 0.42)))
    colors = [int(color) & 0xFFFFFF for color in lookup(LIGHT.sequential)[[0, 85, 170, 255]]]
    assert left == colors[0] and both == colors[3]
    for found, wanted in ((top, colors[1]), (right, colors[2])):
        assert abs((found >> 8 & 0xFF) - (wanted >> 8 & 0xFF)) < 6, "a third and two thirds of the way"
    text = panel.maps.text_at(QPointF(box.right() - 2, box.bottom() - 2))
    assert "a = 0.5, b = \u22120.5" in text and "1.023e4" in text


def test_terms_are_chosen_and_levels_are_those_of_both_lanes(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.lanes(2))
    assert [plane.empty for plane in panel.maps.planes] == [EMPTY, EMPTY]
    one, two = samples.landscape_frame(0), samples.landscape_frame(1)
    give(panel, one)
    give(panel, two, at=1)
    assert [panel.term_box.itemText(i) for i in range(3)] == ["total", "residual", "boundary"]
    both = np.concatenate([one.losses["total"], two.losses["total"]])
    assert (panel.maps.low, panel.maps.high) == pytest.approx((np.log10(both.min()), np.log10(both.max())))
    panel.term_box.setCurrentText("boundary")
    panel.term_box.activated.emit(2)
    assert panel.maps.planes[0].exponents == pytest.approx(np.log10(one.losses["boundary"]))
    assert panel.maps.quantity == "loss boundary, before its weight"
    columns, rows = panel.table()
    assert columns[4:] == ["residual", "boundary", "total"] and len(rows) == 2 * 21 * 21
    assert rows[1][2:4] == [-0.5, pytest.approx(-0.45)] and rows[1][4] == one.losses["residual"][0, 1]


def test_zero_infinite_constant_and_missing_losses(qtbot: QtBot) -> None:
    panel = make(qtbot, samples.lanes(2))
    frame = samples.landscape_frame(0)
    holes = np.array(frame.losses["total"])
    holes[:3], holes[3, 0], holes[4, 4] = math.inf, math.nan, 0.0
    give(panel, replace(frame, losses={"total": frozen(holes)}))
    exponents = panel.maps.planes[0].exponents
    assert exponents is not None and np.isnan(exponents).sum() == 65 and math.isfinite(panel.maps.high)
    give(panel, replace(frame, step=2000, losses={"total": frozen(np.ones((21, 21)))}))
    assert (panel.maps.low, panel.maps.high) == (-0.5, 0.5)
    give(panel, replace(frame, step=3000, losses={"total": frozen(np.full((21, 21), math.nan))}))
    give(panel, replace(frame, step=3000, losses={"other": frozen(np.ones((21, 21)))}), at=1)
    assert "no term" in panel.maps.planes[1].empty
    panel.restyle(DARK)
    panel.maps.grab()


def test_going_back_shows_the_plane_of_that_step(qtbot: QtBot) -> None:
    panel = make(qtbot)
    first, second = samples.landscape_frame(0, 1000), samples.landscape_frame(1, 2000)
    give(panel, first, second)
    panel.travel({0: {"landscape": first}}, 1200.0)
    draw(panel)
    assert panel.maps.planes[0].note == "step 1,000"
    panel.travel({0: {}}, 10.0)
    draw(panel)
    assert panel.maps.planes[0].exponents is None
    panel.travel(None, None)
    draw(panel)
    assert panel.maps.planes[0].note == "step 2,000"
