"""Curves over training steps on pyqtgraph: own ticks, ranges that we set, no logarithmic mode of its items."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPoint, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QWidget

from ui.plots.canvas import SMALL, Readout
from ui.plots.ticks import Floats, Ticks, linear_ticks, log_ticks, step_ticks
from ui.theme import LIGHT, Theme, font, load_fonts, mix

DASH = 0.008  # half the length of a lone point, as a share of the axis


class Axis(pg.AxisItem):
    """An axis whose ticks come from a function of (low, high, number of labels that fit)."""

    def __init__(
        self, side: str, ticks: Callable[[float, float, float], tuple[Ticks, list[float]]], room: float
    ) -> None:
        super().__init__(side, maxTickLength=-4)
        self._ticks = ticks
        self._room = room  # pixels that a label needs along the axis
        self._labels: dict[float, str] = {}
        self.setStyle(tickFont=font(SMALL), autoReduceTextSpace=False, hideOverlappingLabels=False)
        self.enableAutoSIPrefix(False)

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:  # noqa: N802, N803
        low, high = min(minVal, maxVal), max(minVal, maxVal)
        labelled, bare = self._ticks(low, high, max(2.0, size / self._room))
        inside = [(at, text) for at, text in labelled if low - 1e-9 <= at <= high + 1e-9]
        self._labels = dict(inside)
        return [(1.0, [at for at, _ in inside]), (0.1, bare)]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:  # noqa: N802
        return [self._labels.get(value, "") for value in values]


def _steps(low: float, high: float, count: float) -> tuple[Ticks, list[float]]:
    return step_ticks(low, high, count), []


def _linear(low: float, high: float, count: float) -> tuple[Ticks, list[float]]:
    return linear_ticks(low, high, count), []


class Plot(pg.PlotWidget):
    """A plot over steps. `logarithmic`: y is log10 of the values, taken here, and the axis says the values.

    The range is set with `set_range`; a person who zooms or pans keeps what they chose until a double click.
    """

    zoomed = Signal()  # a person has changed the range, or given it back
    pointed = Signal(object)  # the step under the mouse; None where it is elsewhere

    def __init__(self, parent: QWidget | None = None, *, logarithmic: bool = True) -> None:
        axes = {
            "bottom": Axis("bottom", _steps, 64.0),
            "left": Axis("left", log_ticks if logarithmic else _linear, 22.0),
        }
        super().__init__(parent, axisItems=axes)
        self.theme: Theme = LIGHT
        self.logarithmic = logarithmic
        self.held = False  # by a person
        self._lines: list[pg.PlotCurveItem] = []
        self._has_steps = True
        self._left = 0
        self._range = (math.nan,) * 4
        item = self.getPlotItem()
        item.hideButtons()
        item.setMenuEnabled(False)
        item.setContentsMargins(2, 6, 20, 2)
        box = item.getViewBox()
        box.disableAutoRange()
        box.setDefaultPadding(0.0)
        box.sigRangeChangedManually.connect(self._held_by_hand)
        item.showGrid(x=False, y=False)
        self.cursor = self._upright()  # where the mouse is, here or in another panel
        self.now = self._upright()  # the step that the window has gone back to
        self.borders: list[pg.InfiniteLine] = []  # where a phase of the run begins
        self.readout = Readout(self)
        self.reader: Callable[[float], str] = lambda step: ""
        self.setMouseTracking(True)
        self.setFrameShape(self.Shape.NoFrame)
        self.setMinimumSize(60, 44)

    def set_names(self, across: str, upwards: str) -> None:
        """Names of the axes; a small plot leaves them out."""
        self._names = {"bottom": across, "left": upwards}
        self._name_axes()

    def show_steps(self, shown: bool) -> None:
        """Whether the axis of the steps has its labels; where plots share it the lowest one does."""
        if self._has_steps is not shown:
            self._has_steps = shown
            self._name_axes()

    def set_left(self, width: int) -> None:
        """A fixed width for the left axis, so that plots below each other begin at the same place."""
        self._left = width
        self._name_axes()

    def _name_axes(self) -> None:
        room = {"bottom": self._has_steps and self.height() >= 190, "left": self.height() >= 150}
        for side, name in self._names.items():
            axis = self.getPlotItem().getAxis(side)
            if room[side]:
                axis.setLabel(name, **{"color": self.theme.muted, "font-size": f"{SMALL}pt",
                                       "font-family": load_fonts()})
            axis.showLabel(room[side])
        self.getPlotItem().getAxis("left").setWidth(self._left or (58 if room["left"] else 42))
        bottom = self.getPlotItem().getAxis("bottom")
        bottom.setStyle(showValues=self._has_steps)
        bottom.setHeight(34 if room["bottom"] else 21 if self._has_steps else 6)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        if hasattr(self, "_names"):
            self._name_axes()

    def _upright(self) -> pg.InfiniteLine:
        line = pg.InfiniteLine(angle=90, movable=False)
        line.setVisible(False)
        self.getPlotItem().addItem(line, ignoreBounds=True)
        return line

    # -- steps that all panels share ---------------------------------------------------------------

    def set_cursor(self, step: float | None) -> None:
        """The step under the mouse, wherever it is; None for none."""
        _place(self.cursor, step)

    def set_now(self, step: float | None) -> None:
        """The step that the window shows; None while it shows the newest."""
        _place(self.now, step)

    def set_borders(self, steps: Sequence[float]) -> None:
        """Upright lines at the steps where a phase of the run begins."""
        for line in self.borders:
            self.getPlotItem().removeItem(line)
        self.borders = [self._upright() for _ in steps]
        for line, step in zip(self.borders, steps, strict=True):
            line.setZValue(-3)
            _place(line, step)
        self._dress_borders()

    def _dress_borders(self) -> None:
        for line in self.borders:
            line.setPen(pg.mkPen(mix(self.theme.accent, self.theme.plot, 0.6), width=1, dash=[2.0, 3.0]))

    # -- items -------------------------------------------------------------------------------------

    def line(self, z: float = 0.0) -> pg.PlotCurveItem:
        """A new, empty line."""
        item = pg.PlotCurveItem(antialias=False, connect="finite", skipFiniteCheck=False)
        item.setZValue(z)
        self.getPlotItem().addItem(item, ignoreBounds=True)
        self._lines.append(item)
        return item

    def clear_lines(self) -> None:
        """Remove every line."""
        for item in self._lines:
            self.getPlotItem().removeItem(item)
        self._lines = []
        self.held = False
        self._range = (math.nan,) * 4

    def set_line(self, item: pg.PlotCurveItem, steps: Floats, values: Floats) -> None:
        """New points of a line. What cannot be drawn (zero or less on a logarithmic axis, NaN) leaves a gap.

        A single point is a short dash: a line of one point would not be seen.
        """
        heights = self.scaled(values)
        if len(heights) == 1:
            left, right = self.visible_steps()
            half = DASH * (right - left)
            steps, heights = np.array([steps[0] - half, steps[0] + half]), np.repeat(heights, 2)
        item.setData(steps, heights)

    def scaled(self, values: Floats) -> Floats:
        """The values as the y axis has them; NaN where it has no place for them."""
        out = np.array(values, dtype=np.float64)
        if self.logarithmic:
            with np.errstate(divide="ignore", invalid="ignore"):
                out = np.log10(out)
        out[~np.isfinite(out)] = np.nan
        return out

    def dress(
        self, item: pg.PlotCurveItem, color: str, width: int, style: Qt.PenStyle, *, fine: bool
    ) -> None:
        """The pen of a line: opaque, cosmetic, smooth only where `fine`."""
        pen = QPen(QColor(color), width)
        pen.setCosmetic(True)
        if style is Qt.PenStyle.DashLine:
            pen.setDashPattern([7.0 / width, 4.0 / width])
        item.opts["antialias"] = fine
        item.setPen(pen)

    # -- range -------------------------------------------------------------------------------------

    def set_range(self, left: float, right: float, low: float, high: float) -> None:
        """What is shown, in steps and in units of the y axis; nothing happens where it is shown already."""
        wanted = (left, right, low, high)
        if wanted == self._range or self.held or not all(map(math.isfinite, wanted)):
            return
        self._range = wanted
        self.getViewBox().setRange(xRange=(left, right), yRange=(low, high), padding=0, disableAutoRange=True)

    def visible_steps(self) -> tuple[float, float]:
        """The steps at the left and the right end of what is shown."""
        (left, right), _ = self.getViewBox().viewRange()
        return float(left), float(right)

    def _held_by_hand(self, *_: Any) -> None:
        self.held = True
        self.zoomed.emit()

    def follow(self, other: Plot) -> None:
        """Hold the steps that a person has chosen in another plot, or let them go with it."""
        self.held = other.held
        self._range = (math.nan,) * 4
        if other.held:
            self.getViewBox().setXRange(*other.visible_steps(), padding=0)

    def release(self) -> None:
        """Show everything again."""
        self.held = False
        self._range = (math.nan,) * 4
        self.zoomed.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        self.release()

    # -- looks -------------------------------------------------------------------------------------

    def restyle(self, theme: Theme) -> None:
        """New colors for everything that is no line."""
        self.theme = theme
        self.setBackground(theme.surface)
        item = self.getPlotItem()
        item.getViewBox().setBackgroundColor(theme.plot)
        item.getViewBox().setBorder(pg.mkPen(theme.border))
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.setPen(pg.mkPen(theme.border))
            axis.setTickPen(pg.mkPen(theme.muted))
            axis.setTextPen(pg.mkPen(theme.muted))
            axis.setStyle(tickFont=font(SMALL))
        if hasattr(self, "_names"):
            self._name_axes()
        self.cursor.setPen(pg.mkPen(theme.muted))
        self.now.setPen(pg.mkPen(theme.accent, width=2))
        self._dress_borders()
        self.readout.restyle(theme)

    # -- the mouse ---------------------------------------------------------------------------------

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        super().mouseMoveEvent(event)
        place = event.position().toPoint()
        self.point_at(place)

    def point_at(self, place: QPoint) -> None:
        """Read the values above and below a point of the widget."""
        box = self.getViewBox()
        scene = self.mapToScene(place)
        text, step = "", None
        if box.sceneBoundingRect().contains(scene):
            at = float(box.mapSceneToView(scene).x())
            text = self.reader(at)
            step = at if text else None
        self.set_cursor(step)
        self.pointed.emit(step)
        self.readout.show_at(place, text)

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        super().leaveEvent(event)
        self.set_cursor(None)
        self.pointed.emit(None)
        self.readout.hide()


def _place(line: pg.InfiniteLine, step: float | None) -> None:
    if step is not None and step != line.value():
        line.setPos(step)
    if line.isVisible() is (step is None):
        line.setVisible(step is not None)
