"""A small schematic picture of each panel, painted in the colors of the theme."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPen

from ui.plots.maps import field_image
from ui.theme import Theme, font, mix

SIZE = QSize(96, 60)
BOX = QRectF(7, 6, 82, 46)  # where a plot stands in it

Points = Sequence[tuple[float, float]]


class Sketch:
    """A painter in the unit square: (0, 0) is the lower left corner of a box."""

    def __init__(self, painter: QPainter, theme: Theme, box: QRectF = BOX) -> None:
        self.painter, self.theme, self.box = painter, theme, box

    def at(self, x: float, y: float) -> QPointF:
        return QPointF(self.box.left() + x * self.box.width(), self.box.bottom() - y * self.box.height())

    def within(self, x: float, y: float, width: float, height: float) -> Sketch:
        """A part of the box as a sketch of its own."""
        corner = self.at(x, y + height)
        return Sketch(self.painter, self.theme,
                      QRectF(corner.x(), corner.y(), width * self.box.width(), height * self.box.height()))

    def axes(self) -> None:
        self.painter.setPen(QPen(QColor(self.theme.muted), 1))
        self.painter.drawPolyline([self.at(0, 1), self.at(0, 0), self.at(1, 0)])

    def curve(self, points: Points, color: str, *, width: float = 1.6, dashed: bool = False) -> None:
        pen = QPen(QColor(color), width)
        if dashed:
            pen.setDashPattern([3.0, 2.0])
        self.painter.setPen(pen)
        self.painter.setBrush(Qt.BrushStyle.NoBrush)
        path = QPainterPath(self.at(*points[0]))
        for point in points[1:]:
            path.lineTo(self.at(*point))
        self.painter.drawPath(path)

    def graph(self, f: Callable[[float], float], color: str, *, dashed: bool = False) -> None:
        self.curve([(i / 40, min(max(f(i / 40), 0.0), 1.0)) for i in range(41)], color, dashed=dashed)

    def bar(self, x: float, y: float, width: float, height: float, color: str) -> None:
        self.painter.fillRect(QRectF(self.at(x, y + height), self.at(x + width, y)), QColor(color))

    def dot(self, x: float, y: float, color: str, radius: float = 2.0) -> None:
        self.painter.setPen(Qt.PenStyle.NoPen)
        self.painter.setBrush(QColor(color))
        self.painter.drawEllipse(self.at(x, y), radius, radius)

    def heat(self, f: Callable[[float, float], float], name: str, nx: int = 24, ny: int = 14) -> None:
        """Cells of a map of f(x, y) in 0 ... 1, with the colors that the panels use."""
        values = np.array([[f((i + 0.5) / nx, (j + 0.5) / ny) for j in range(ny)] for i in range(nx)])
        self.painter.drawImage(self.box, field_image(values, 0.0, 1.0, name))

    def letters(self, text: str, x: float, y: float, points: float = 8.0, color: str = "") -> None:
        self.painter.setFont(font(points))
        self.painter.setPen(QColor(color or self.theme.text))
        self.painter.drawText(self.at(x, y), text)


def _spike(x: float, width: float, height: float) -> float:
    return height * math.exp(-(((x - 0.5) / width) ** 2))


def _gradients(s: Sketch) -> None:
    for place in range(4):
        cell = s.within(0.52 * (place % 2), 0.54 * (1 - place // 2), 0.46, 0.44)
        cell.axes()
        cell.graph(lambda x: _spike(x, 0.32, 0.55), s.theme.term(0))
        cell.graph(lambda x: _spike(x, 0.07, 0.95), s.theme.term(1))


def _gradient_history(s: Sketch) -> None:
    s.heat(lambda x, y: 1.1 * math.exp(-(((y - 0.5) / (0.1 + 0.3 * (1 - x) ** 2)) ** 2)), s.theme.sequential)


def _fields(s: Sketch) -> None:
    left, right = s.within(0, 0.05, 0.47, 0.9), s.within(0.53, 0.05, 0.47, 0.9)
    left.heat(lambda x, y: 0.5 + 0.5 * math.sin(math.pi * x) * math.sin(4 * math.pi * y), s.theme.sequential, 16, 16)
    right.heat(lambda x, y: (2 * x - 1) ** 4 * 0.8 + (2 * y - 1) ** 4 * 0.5, s.theme.error, 16, 16)


def _losses(s: Sketch) -> None:
    s.axes()
    s.graph(lambda x: 0.18 + 0.75 * math.exp(-4 * x) + 0.03 * math.sin(37 * x), s.theme.term(0))
    s.graph(lambda x: 0.1 + 0.45 * math.exp(-1.2 * x) + 0.02 * math.sin(29 * x), s.theme.term(1))


def _error(s: Sketch) -> None:
    s.axes()
    s.graph(lambda x: 0.12 + 0.8 * math.exp(-2.5 * x), s.theme.text)
    s.graph(lambda x: 0.45 + 0.4 * math.exp(-2 * x), s.theme.text, dashed=True)


def _weights(s: Sketch) -> None:
    s.axes()
    s.graph(lambda x: 0.9 - 0.75 * math.exp(-3 * x) + 0.03 * math.sin(31 * x), s.theme.term(1))
    s.graph(lambda x: 0.15, s.theme.term(0))


def _readings(s: Sketch) -> None:
    s.axes()
    for place, k in enumerate((1.0, 0.7, 0.45)):
        s.graph(lambda x, k=k: 0.15 + 0.75 * k * (1 - math.exp(-2 * x)), s.theme.term(place))  # type: ignore[misc]
    s.curve([(0, 0.78), (1, 0.78)], s.theme.muted, width=1.0, dashed=True)


def _equation(s: Sketch) -> None:
    s.letters("\u2202\u00b2u + k\u00b2u = q", 0.03, 0.62, 9.0)
    s.letters("u = g  on  \u2202\u03a9", 0.03, 0.2, 8.5, s.theme.muted)


def _alignment(s: Sketch) -> None:
    names = ((1.0, -0.6, 0.2), (-0.6, 1.0, -0.1), (0.2, -0.1, 1.0))
    part = s.within(0.0, 0.02, 0.5, 0.96)
    part.heat(lambda x, y: 0.5 + 0.5 * names[int(3 * (1 - y))][int(3 * x)], s.theme.diverging, 3, 3)
    right = s.within(0.58, 0.02, 0.42, 0.96)
    right.curve([(0, 0.5), (1, 0.5)], s.theme.muted, width=1.0, dashed=True)
    right.graph(lambda x: 0.2 + 0.5 * x + 0.08 * math.sin(25 * x), s.theme.term(0))


def _step_check(s: Sketch) -> None:
    s.axes()
    for place, (predicted, actual) in enumerate(((0.8, 0.65), (0.55, 0.7), (0.3, 0.12))):
        s.bar(0.1 + 0.3 * place, 0, 0.1, predicted, mix(s.theme.term(place), s.theme.surface, 0.45))
        s.bar(0.21 + 0.3 * place, 0, 0.1, actual, s.theme.term(place))


def _slopes(s: Sketch) -> None:
    s.axes()
    for place, end in enumerate((0.92, 0.7, 0.55, 0.35)):
        s.graph(lambda x, end=end: 0.15 + (end - 0.15) * (1 - math.exp(-3 * x)), s.theme.term(place))  # type: ignore[misc]


def _activations(s: Sketch) -> None:
    s.axes()
    for place in range(14):
        height = 0.5 * math.exp(-(((place - 6.5) / 3.5) ** 2))
        s.bar(0.03 + place * 0.069, 0, 0.055, height, mix(s.theme.accent, s.theme.surface, 0.35))
    s.graph(lambda x: 0.5 + 0.42 * math.tanh(4 * (x - 0.5)), s.theme.muted, dashed=True)
    s.graph(lambda x: 0.5 + 0.42 * math.tanh(11 * (x - 0.5)), s.theme.accent)


def _conditioning(s: Sketch) -> None:
    s.axes()
    for place, (low, high) in enumerate(((0.3, 0.5), (0.25, 0.65), (0.2, 0.8), (0.28, 0.95))):
        x = 0.16 + 0.23 * place
        s.curve([(x, low), (x, high)], s.theme.accent, width=2.0)
        s.dot(x, low, s.theme.accent)
        s.dot(x, high, s.theme.term(1))


def _liveness(s: Sketch) -> None:
    for place, (length, color) in enumerate(((0.9, s.theme.good), (0.62, s.theme.good), (0.08, s.theme.danger),
                                             (0.45, s.theme.good))):
        y = 0.8 - 0.25 * place
        s.dot(0.05, y + 0.07, color, 2.6)
        s.bar(0.16, y, 0.82, 0.14, s.theme.grid)
        s.bar(0.16, y, 0.82 * length, 0.14, color)


def _timing(s: Sketch) -> None:
    left = 0.0
    for place, share in enumerate((0.46, 0.24, 0.18, 0.12)):
        s.bar(left, 0.56, share - 0.015, 0.3, s.theme.term(place))
        left += share
    s.bar(0, 0.14, 0.66, 0.18, s.theme.accent)
    s.bar(0.68, 0.14, 0.32, 0.18, s.theme.border)


def _stiffness(s: Sketch) -> None:
    s.axes()
    s.curve([(0, 0.72), (1, 0.72)], s.theme.danger, width=1.0, dashed=True)
    s.graph(lambda x: 0.15 + 0.68 * (1 - math.exp(-2.4 * x)) + 0.04 * math.sin(21 * x), s.theme.text)
    s.graph(lambda x: 0.1 + 0.35 * x, s.theme.term(1))


def _spectrum(s: Sketch) -> None:
    s.axes()
    for place in range(18):
        x = (place + 0.5) / 18
        height = 0.95 * math.exp(-(((x - 0.28) / 0.08) ** 2)) + 0.14 * math.exp(-3 * abs(x - 0.5)) * (x > 0.25)
        s.bar(x - 0.022, 0, 0.044, max(height, 0.0), s.theme.accent)
    s.bar(0.93, 0, 0.02, 0.3, s.theme.term(1))


def _landscape(s: Sketch) -> None:
    s.heat(lambda x, y: 3.2 * (0.8 * (x - 0.55) + 0.55 * (y - 0.5)) ** 2 + 0.9 * (y - 0.5 - 0.3 * (x - 0.5)) ** 2,
           s.theme.sequential)
    s.dot(0.55, 0.5, s.theme.on_accent, 2.4)


def _ntk(s: Sketch) -> None:
    s.axes()
    for place, drop in enumerate((0.55, 0.8)):
        for i in range(12):
            s.dot(0.05 + i * 0.08, 0.92 - drop * (i / 11) ** 0.6, s.theme.term(place), 1.7)


def _doctor(s: Sketch) -> None:
    for place, color in enumerate((s.theme.danger, s.theme.warning, s.theme.good)):
        y = 0.72 - 0.33 * place
        s.dot(0.07, y + 0.09, color, 3.4)
        s.bar(0.19, y + 0.12, 0.6 - 0.1 * place, 0.09, s.theme.text)
        s.bar(0.19, y - 0.04, 0.78, 0.07, s.theme.border)


def _optimizer(s: Sketch) -> None:
    s.axes()
    s.curve([(0.4, 0), (0.4, 1)], s.theme.muted, width=1.0, dashed=True)
    s.curve([(0.4, 0.9), (0.5, 0.8), (0.57, 0.86), (0.68, 0.55), (0.8, 0.42), (0.88, 0.2), (1, 0.1)], s.theme.term(0))
    s.curve([(0.4, 0.25), (0.52, 0.5), (0.6, 0.4), (0.72, 0.62), (0.86, 0.66), (1, 0.68)], s.theme.term(1))


def _other(s: Sketch) -> None:
    s.axes()
    s.graph(lambda x: 0.5 + 0.35 * math.sin(7 * x), s.theme.accent)


SKETCHES: dict[str, Callable[[Sketch], None]] = {
    "gradients": _gradients, "gradient_history": _gradient_history, "fields": _fields, "losses": _losses,
    "error": _error, "weights": _weights, "readings": _readings, "equation": _equation, "alignment": _alignment,
    "step_check": _step_check, "slopes": _slopes, "activations": _activations, "conditioning": _conditioning,
    "liveness": _liveness, "timing": _timing, "stiffness": _stiffness, "spectrum": _spectrum,
    "landscape": _landscape, "ntk": _ntk, "doctor": _doctor, "optimizer": _optimizer,
}


def panel_picture(key: str, theme: Theme, ratio: float = 1.0) -> QImage:
    """The picture of a panel in `SIZE`, sharp on a screen with `ratio` pixels to a point."""
    image = QImage(SIZE * ratio, QImage.Format.Format_ARGB32_Premultiplied)
    image.setDevicePixelRatio(ratio)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    try:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(theme.border), 1))
        painter.setBrush(QColor(theme.plot))
        painter.drawRoundedRect(QRectF(0.5, 0.5, SIZE.width() - 1, SIZE.height() - 1), 4, 4)
        SKETCHES.get(key, _other)(Sketch(painter, theme))
    finally:
        painter.end()
    return image
