"""A picture of curves over two logarithmic axes, with a legend beside it: what result files become in docs.

One picture may have several charts side by side. Everything is painted at once into an image; no window is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QPolygonF

from ui.claims import written
from ui.plots.ticks import power_of_ten
from ui.theme import Theme, font, mix

SCALE = 2  # pixels of the picture for one of its layout
LEFT, TOP, BOTTOM, RIGHT = 66, 40, 50, 14
LINE = 18  # pixels of a line of the legend
LETTER, SMALL = 13, 11
LINES = ("line", "dots", "thin")
ORDER = ("thin", "square", "target", "dots", "line")  # what is painted last is in front

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """(x, y) pairs. What is not finite or not positive is left out, and the line is broken there.

    color: an index of the theme's colors. label: in the legend; '' for none. mark: 'line', 'dots' (a line with a dot at
    each point), 'thin', 'target' (a line from the left to the point, and a diamond), 'square' (hollow, at each point).
    """

    points: Points
    color: int
    label: str = ""
    mark: str = "line"
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """One chart. The axes' names have the units; notes: lines below the legend; marks: what is written along x in the
    place of powers of ten."""

    title: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    notes: tuple[str, ...] = ()
    legend: int = 300  # pixels beside the chart
    size: tuple[int, int] = (560, 400)
    marks: tuple[float, ...] = ()


def draw(charts: Sequence[Chart], path: Path, theme: Theme, columns: int = 1) -> Path:
    """Paint the charts in rows of `columns` and save them as one PNG. Raises OSError."""
    cells = [(chart.size[0] + chart.legend, chart.size[1]) for chart in charts]
    wide = max(width for width, _ in cells)
    high = max(height for _, height in cells)
    rows = math.ceil(len(charts) / columns)
    image = QImage(SCALE * wide * min(columns, len(charts)), SCALE * high * rows, QImage.Format.Format_RGB32)
    image.fill(QColor(theme.surface))
    painter = QPainter(image)
    painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
    painter.scale(SCALE, SCALE)
    try:
        for number, chart in enumerate(charts):
            painter.save()
            painter.translate((number % columns) * wide, (number // columns) * high)
            _Painted(chart, painter, theme).paint()
            painter.restore()
    finally:
        painter.end()
    return written(image, path)


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """Exponents of ten that enclose the positive finite values, with a little room; (0, 1) where there are none."""
    good = [math.log10(v) for v in values if math.isfinite(v) and v > 0]
    if not good:
        return 0.0, 1.0
    low, high = min(good), max(good)
    room = max(0.05, 0.04 * (high - low))
    return (low - room, high + room) if high - low > 0.3 else (low - 0.3, high + 0.3)


class _Painted:
    """A chart being painted at (0, 0)."""

    def __init__(self, chart: Chart, painter: QPainter, theme: Theme) -> None:
        self.chart, self.painter, self.theme = chart, painter, theme
        every = [point for curve in chart.curves for point in curve.points]
        self.x = bounds([x for x, _ in every])
        self.y = bounds([y for _, y in every])
        width, height = chart.size
        self.box = QRectF(LEFT, TOP, width - LEFT - RIGHT, height - TOP - BOTTOM)

    def paint(self) -> None:
        p, theme = self.painter, self.theme
        self._letters(LETTER, bold=True)
        p.setPen(QColor(theme.text))
        p.drawText(QRectF(12, 6, sum(self.chart.size[:1]) + self.chart.legend - 20, 28),
                   Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self.chart.title)
        self._axes()
        p.save()
        p.setClipRect(self.box)
        for curve in sorted(self.chart.curves, key=lambda curve: ORDER.index(curve.mark)):
            self._curve(curve)
        p.restore()
        p.setPen(QPen(QColor(theme.border), 1))
        p.setBrush(Qt.BrushStyle.NoBrush)
        p.drawRect(self.box)
        self._legend()

    def _at(self, x: float, y: float) -> QPointF:
        box = self.box
        across = (math.log10(x) - self.x[0]) / (self.x[1] - self.x[0])
        up = (math.log10(y) - self.y[0]) / (self.y[1] - self.y[0])
        return QPointF(box.left() + across * box.width(), box.bottom() - up * box.height())

    def _letters(self, pixels: int, *, bold: bool = False) -> None:
        letters = font(bold=bold)
        letters.setPixelSize(pixels)
        self.painter.setFont(letters)

    def _axes(self) -> None:
        p, box, theme = self.painter, self.box, self.theme
        p.fillRect(box, QColor(theme.plot))
        self._letters(SMALL)
        for (low, high), across in ((self.x, True), (self.y, False)):
            own = [(math.log10(value), f"{value:g}") for value in self.chart.marks] if across else []
            for value, text in own or decades(low, high):
                share = (value - low) / (high - low)
                if across:
                    at = box.left() + share * box.width()
                    ends = QPointF(at, box.top()), QPointF(at, box.bottom())
                    room, side = QRectF(at - 30, box.bottom() + 4, 60, 16), Qt.AlignmentFlag.AlignHCenter
                else:
                    at = box.bottom() - share * box.height()
                    ends = QPointF(box.left(), at), QPointF(box.right(), at)
                    room, side = QRectF(0, at - 9, LEFT - 6, 18), Qt.AlignmentFlag.AlignRight
                p.setPen(QPen(QColor(theme.grid if text else mix(theme.grid, theme.plot, 0.6)), 1))
                p.drawLine(*ends)
                p.setPen(QColor(theme.muted))
                p.drawText(room, side | Qt.AlignmentFlag.AlignVCenter, text)
        p.drawText(QRectF(box.left(), box.bottom() + 22, box.width(), 18), Qt.AlignmentFlag.AlignHCenter, self.chart.x)
        p.save()
        p.translate(14, box.center().y())
        p.rotate(-90)
        p.drawText(QRectF(-box.height() / 2, -9, box.height(), 18), Qt.AlignmentFlag.AlignCenter, self.chart.y)
        p.restore()

    def _pen(self, curve: Curve) -> QPen:
        color = self.theme.term(curve.color)
        if curve.mark == "thin":
            color = mix(color, self.theme.plot, 0.45)
        pen = QPen(QColor(color), {"line": 2.6, "dots": 1.8, "thin": 1.0}.get(curve.mark, 1.4))
        if curve.dashed or curve.mark == "target":
            pen.setStyle(Qt.PenStyle.DashLine)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        return pen

    def _curve(self, curve: Curve) -> None:
        p = self.painter
        p.setPen(self._pen(curve))
        p.setBrush(Qt.BrushStyle.NoBrush)
        if curve.mark in LINES:
            for run in runs(curve.points):
                corners = [self._at(x, y) for x, y in run]
                p.drawPolyline(QPolygonF(corners))
                if curve.mark == "dots" or len(corners) == 1:
                    p.setBrush(QColor(self.theme.term(curve.color)))
                    for corner in corners:
                        p.drawEllipse(corner, 2.5, 2.5)
                    p.setBrush(Qt.BrushStyle.NoBrush)
            return
        for x, y in curve.points:
            at = self._at(x, y)
            if curve.mark == "target":
                p.drawLine(QPointF(self.box.left(), at.y()), at)
            self._mark(curve, at)

    def _mark(self, curve: Curve, at: QPointF) -> None:
        p = self.painter
        p.setPen(QPen(QColor(self.theme.term(curve.color)), 1.6))
        p.setBrush(QColor(self.theme.term(curve.color)) if curve.mark == "target" else Qt.BrushStyle.NoBrush)
        if curve.mark == "target":
            p.drawPolygon(QPolygonF([at + QPointF(dx, dy) for dx, dy in ((0, -5), (5, 0), (0, 5), (-5, 0))]))
        else:
            p.drawRect(QRectF(at.x() - 4, at.y() - 4, 8, 8))

    def _legend(self) -> None:
        p = self.painter
        self._letters(SMALL)
        left, top = self.chart.size[0] + 4.0, float(TOP)
        wide = self.chart.legend - 44
        for curve in (curve for curve in self.chart.curves if curve.label):
            middle = top + LINE / 2
            if curve.mark in LINES:
                p.setPen(self._pen(curve))
                p.drawLine(QPointF(left, middle), QPointF(left + 24, middle))
            else:
                self._mark(curve, QPointF(left + 12, middle))
            p.setPen(QColor(self.theme.text))
            top += self._text(curve.label, left + 32, top, wide)
        top += 8
        p.setPen(QColor(self.theme.muted))
        for note in self.chart.notes:
            top += self._text(note, left, top, wide + 32) + 4

    def _text(self, text: str, left: float, top: float, wide: float) -> float:
        """Write a text that wraps; the height that it took."""
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
        taken = self.painter.boundingRect(QRectF(left, top + 1, wide, 400), flags, text)
        self.painter.drawText(QRectF(left, top + 1, wide, taken.height() + 2), flags, text)
        return max(LINE, taken.height() + 4)


def decades(low: float, high: float) -> list[tuple[float, str]]:
    """(exponent, label or '') of the lines between two exponents: powers of ten, others where there is room."""
    out: list[tuple[float, str]] = []
    every = max(1, math.ceil((high - low) / 9))
    for whole in range(math.floor(low), math.ceil(high) + 1):
        for digit in range(1, 10) if high - low < 1 else (1, 2, 5):
            at = whole + math.log10(digit)
            if not low <= at <= high or (digit > 1 and high - low > 5):
                continue
            if digit == 1:
                out.append((at, power_of_ten(whole) if whole % every == 0 else ""))
            else:
                out.append((at, _short(digit, whole) if high - low < 1.5 and digit < 9 else ""))
    return out


def _short(digit: int, exponent: int) -> str:
    return f"{digit * 10.0**exponent:g}" if -4 < exponent < 5 else f"{digit}·{power_of_ten(exponent)}"


def runs(points: Points) -> list[list[tuple[float, float]]]:
    """The points in pieces without a value that has no place on logarithmic axes."""
    out: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if np.isfinite(x) and np.isfinite(y) and x > 0 and y > 0:
            out[-1].append((x, y))
        elif out[-1]:
            out.append([])
    return [run for run in out if run]
