"""Maps of the loss on a plane: an image of its logarithm, contour lines, the present point, one color bar for all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPen

from core.frames import Array
from ui.plots.canvas import Align, Canvas, rows_html, whole
from ui.plots.charts import write_wrapped
from ui.plots.contours import contour
from ui.plots.maps import bar_image, field_image
from ui.plots.ticks import linear_ticks, log_ticks, nice_step, number
from ui.theme import font

BAR = 10.0
LINES = 10  # contour lines at most, about


@dataclass(slots=True)
class Plane:
    """One lane: what its axes are, the loss that is drawn, and all others for the readout."""

    label: str = ""
    note: str = ""
    empty: str = ""
    directions: tuple[str, str] = ("", "")
    axes: tuple[Array, Array] | None = None
    exponents: Array | None = None  # [A, B] log10 of the loss; NaN where it has none
    losses: Mapping[str, Array] = field(default_factory=dict)
    colors: Mapping[str, str] = field(default_factory=dict)
    image: QImage | None = None
    lines: Array | None = None  # [n, 2, 2] of the contours, in shares of the map from its lower left corner


class PlaneMaps(Canvas):
    """Paints the planes side by side in the same colors, from `low` to `high` in exponents of ten."""

    def __init__(self) -> None:
        super().__init__()
        self.planes: list[Plane] = []
        self.low, self.high = -1.0, 1.0
        self.quantity = "loss"
        self.boxes: list[QRectF] = []
        self.setMinimumSize(220, 130)

    def set_planes(self, planes: Sequence[Plane], low: float, high: float, quantity: str) -> None:
        """New maps, and the levels of their colors: exponents of ten, low < high."""
        self.planes, self.low, self.high, self.quantity = list(planes), low, high, quantity
        self.renew()

    @property
    def spacing(self) -> float:
        """Decades between two contour lines."""
        return nice_step(self.high - self.low, LINES)

    # -- where everything stands -------------------------------------------------------------------

    def arrange(self) -> None:
        line = self.metrics().height()
        self.side = line + 6 + self.text_width("\u22120.5") + 8
        self.head = 1.5 * line + 4
        self.bottom = 3 * line + 8
        self.right = BAR + 12 + max((self.text_width(text) for _, text in self._bar_ticks(60.0)), default=20.0)
        count = max(1, len(self.planes))
        slot = (self.width() - self.right - 10) / count
        size = max(20.0, min(slot - self.side - 6, self.height() - self.head - self.bottom))
        left = max(0.0, (self.width() - self.right - 10 - count * (self.side + size + 6)) / 2)
        top = self.head + max(0.0, (self.height() - self.head - self.bottom - size) / 2)
        self.boxes = [whole(left + i * (self.side + size + 6) + self.side, top, size, size) for i in range(count)]

    def _bar_ticks(self, height: float) -> list[tuple[float, str]]:
        return log_ticks(self.low, self.high, max(2.0, height / 30))[0]

    # -- painting ----------------------------------------------------------------------------------

    def paint_still(self, painter: QPainter) -> None:
        theme, line = self.theme, self.metrics().height()
        middle = Align.AlignHCenter | Align.AlignVCenter
        for index, (plane, box) in enumerate(zip(self.planes, self.boxes, strict=False)):
            row = QRectF(box.left() - self.side + 8, box.top() - self.head + 2, box.width() + self.side, 1.4 * line)
            bold, left = font(9, bold=True), Align.AlignLeft | Align.AlignVCenter
            self.write(painter, row, plane.label, left, theme.text, bold)
            used = QFontMetricsF(bold).horizontalAdvance(plane.label) + 10 if plane.label else 0
            self.write(painter, row.adjusted(used, 0, 0, 0), plane.note, left, theme.muted)
            painter.fillRect(box, QColor(theme.plot))
            if plane.axes is None or plane.exponents is None:
                write_wrapped(painter, box, plane.empty, self.small, theme)
                self.frame(painter, box)
                continue
            self._map(painter, plane, box)
            (a0, a1), (b0, b1) = (_ends(axis) for axis in plane.axes)
            self.ticks_below(painter, box, [
                (box.left() + (v - a0) / (a1 - a0) * box.width(), t)
                for v, t in linear_ticks(a0, a1, max(2.0, box.width() / 46))])
            self.ticks_left(painter, box, [
                (box.bottom() - (v - b0) / (b1 - b0) * box.height(), t)
                for v, t in linear_ticks(b0, b1, max(2.0, box.height() / 30))])
            foot = QRectF(box.left() - self.side + 4, box.bottom() + line + 4, box.width() + self.side, line)
            first, second = plane.directions
            self.write_first(painter, foot, (f"a along {_words(first)}, of |\u03b8|", f"a: {first}, of |\u03b8|",
                                             "a, of |\u03b8|"), middle, theme.muted)
            up = QRectF(box.left() - self.side + 1, box.top() - 8, line, box.height() + 16)
            self.write_up(painter, up, next((text for text in (f"b along {_words(second)}, of |\u03b8|",
                                                               f"b: {second}, of |\u03b8|", "b, of |\u03b8|")
                                             if self.text_width(text) <= up.height()), ""), theme.muted)
            self.frame(painter, box)
            if index == len(self.boxes) - 1 or all(p.exponents is None for p in self.planes[index + 1:]):
                self._bar(painter, self.boxes[-1])
        if any(plane.exponents is not None for plane in self.planes):
            self._foot(painter)

    def _map(self, painter: QPainter, plane: Plane, box: QRectF) -> None:
        assert plane.exponents is not None
        if plane.image is None:
            plane.image = field_image(plane.exponents, self.low, self.high, self.theme.sequential)
        if plane.lines is None:
            plane.lines = self._contours(plane.exponents)
        painter.drawImage(box.adjusted(0.5, 0.5, -0.5, -0.5), plane.image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setPen(QPen(QColor("#ffffff"), 1))
        x = box.left() + plane.lines[..., 0] * box.width()
        y = box.bottom() - plane.lines[..., 1] * box.height()
        painter.drawLines([QLineF(*ends) for ends in np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1).tolist()])
        self._present(painter, plane, box)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        if not np.isfinite(plane.exponents).any():
            self.write(painter, box, "not a number", Align.AlignCenter, self.theme.danger)

    def _present(self, painter: QPainter, plane: Plane, box: QRectF) -> None:
        """A ring where the parameters are now, black on white, to be seen on every color."""
        assert plane.axes is not None
        (a0, a1), (b0, b1) = (_ends(axis) for axis in plane.axes)
        at = QPointF(box.left() - a0 / (a1 - a0) * box.width(), box.bottom() + b0 / (b1 - b0) * box.height())
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for color, width in (("#ffffff", 4.0), ("#000000", 1.6)):
            painter.setPen(QPen(QColor(color), width))
            painter.drawEllipse(at, 5.5, 5.5)
            painter.drawPoint(at)

    def _contours(self, exponents: Array) -> Array:
        """All lines at multiples of the spacing, in shares of the map, whose pixels' centers are the grid's points."""
        step = self.spacing
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        pieces = [contour(exponents, k * step) for k in range(first, last + 1)]
        lines = np.concatenate(pieces) if pieces else np.empty((0, 2, 2))
        return np.asarray((lines + 0.5) / np.array(exponents.shape))

    def _bar(self, painter: QPainter, box: QRectF) -> None:
        line = self.metrics().height()
        bar = whole(box.right() + 8, box.top(), BAR, box.height())
        painter.drawImage(bar, bar_image(self.theme.sequential))
        self.frame(painter, bar)
        for at, text in self._bar_ticks(box.height()):
            y = bar.bottom() - (at - self.low) / (self.high - self.low) * bar.height()
            painter.setPen(QPen(QColor(self.theme.muted), 1))
            painter.drawLine(QPointF(bar.right(), y), QPointF(bar.right() + 3, y))
            self.write(painter, QRectF(bar.right() + 5, y - line / 2, self.right, line), text,
                       Align.AlignLeft | Align.AlignVCenter, self.theme.muted)

    def _foot(self, painter: QPainter) -> None:
        line = self.metrics().height()
        levels = f"{number(10.0**self.low)} to {number(10.0**self.high)}"
        between = f"{10.0**self.spacing:.3g}"
        blank = any(p.exponents is not None and not np.isfinite(p.exponents).all() for p in self.planes)
        tail = "; blank: zero or not finite" if blank else ""
        texts = (f"{self.quantity}, log10, colors from {levels}; a line for each factor of {between}; ring: now{tail}",
                 f"{self.quantity}, {levels}; lines: \u00d7{between}; ring: now{tail}",
                 f"{self.quantity}, {levels}; lines: \u00d7{between}", f"{levels}; lines: \u00d7{between}", levels)
        row = QRectF(6, self.height() - line - 3, self.width() - 12, line)
        self.write_first(painter, row, texts, Align.AlignHCenter | Align.AlignVCenter, self.theme.muted)

    # -- the mouse ---------------------------------------------------------------------------------

    def text_at(self, place: QPointF) -> str:
        for plane, box in zip(self.planes, self.boxes, strict=False):
            if plane.axes is not None and box.contains(place):
                shares = (place.x() - box.left()) / box.width(), (box.bottom() - place.y()) / box.height()
                i, j = (min(len(axis) - 1, int(share * len(axis)))
                        for axis, share in zip(plane.axes, shares, strict=True))
                head = f"{plane.label} a = {number(float(plane.axes[0][i]))}, b = {number(float(plane.axes[1][j]))}"
                rows = [(plane.colors.get(name, ""), name, number(float(values[i, j]), 4))
                        for name, values in plane.losses.items()]
                return rows_html(head.strip(), rows)
        return ""


def _words(direction: str) -> str:
    """What a direction is, as it is said of an axis."""
    return {"gradient": "the gradient", "random": "a random direction"}.get(direction, direction)


def _ends(axis: Array) -> tuple[float, float]:
    """From edge to edge of the pixels, whose centers are the grid's points."""
    low, high = float(axis[0]), float(axis[-1])
    half = (high - low) / max(1, len(axis) - 1) / 2 or 0.5
    return low - half, high + half
