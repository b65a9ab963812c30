"""Fields over one input as curves: for each lane boxes with a common axis, such as values, error and residual."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from pyqtgraph.functions import arrayToQPolygonF
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen

from core.frames import Array
from ui.plots.canvas import Align, Canvas, rows_html, whole
from ui.plots.ticks import Floats, Ticks, linear_ticks, log_ticks, number
from ui.theme import font

T = TypeVar("T", float, Floats)
STACKED = 54.0  # pixels that a box is high at least where boxes stand below each other


@dataclass(slots=True)
class Line:
    """A curve of a box. A faint one is an earlier state of another."""

    name: str
    values: Array
    color: str
    thin: bool = False
    front: bool = False  # drawn over the others
    style: Qt.PenStyle = Qt.PenStyle.SolidLine


@dataclass(slots=True)
class Box:
    """What it shows, its curves, and its axis: values or, where logarithmic, exponents of ten."""

    title: str
    lines: list[Line] = field(default_factory=list)
    low: float = -1.0
    high: float = 1.0
    logarithmic: bool = False
    share: float = 1.0  # of the height
    legend: bool = False  # whether it names its curves


@dataclass(slots=True)
class Profile:
    """One lane: its label and note, the input and its grid, and the boxes. `where` is said where the mouse is."""

    label: str
    note: str = ""
    input: str = ""
    ends: tuple[float, float] = (0.0, 1.0)
    grid: Array | None = None
    boxes: list[Box] = field(default_factory=list)
    where: str = ""
    foot: str = ""  # name of the axis where that changes often
    rug: list[tuple[str, Array]] = field(default_factory=list)  # (color, places) of collocation points
    empty: str = "The fields appear here with the first frame."

    def notes(self) -> list[str]:
        """What is said above the first box, the longest first."""
        return [f"{self.note}, {self.where}", self.note] if self.note and self.where else [self.note]


class Profiles(Canvas):
    """Paints the lanes side by side. The boxes of a lane stand below each other, or in a row where it is flat."""

    def __init__(self) -> None:
        super().__init__()
        self.profiles: list[Profile] = []
        self.places: list[list[QRectF]] = []
        self.stacked = True
        self.setMinimumSize(150, 110)

    def set_profiles(self, profiles: Sequence[Profile]) -> None:
        """The newest curves; the axes are painted anew only where they have changed."""
        old, self.profiles = self.profiles, list(profiles)
        if _shape(old) != _shape(self.profiles):
            self.renew()
        else:
            self.update()

    # -- where everything stands -------------------------------------------------------------------

    def arrange(self) -> None:
        line = self.metrics().height()
        self.head, self.bottom = 1.5 * line, 2 * line + 6
        self.left = 14 + self.text_width("\u22120.0005")
        several = len(self.profiles) > 1
        count = max(1, len(self.profiles))
        width = (self.width() - 6) / count
        top = 4 + (1.5 * line if several else 0.0)
        self.places = []
        for index, profile in enumerate(self.profiles):
            boxes, x = max(1, len(profile.boxes)), index * width
            shares = [box.share for box in profile.boxes] or [1.0]
            room = self.height() - top - self.bottom - boxes * self.head
            unit = room / sum(shares)
            self.stacked = unit * min(shares) >= STACKED or width < 2.4 * self.height()
            if self.stacked:
                places, y = [], top
                for share in shares:
                    y += self.head
                    places.append(whole(x + self.left, y, width - self.left - 12, max(12.0, unit * share)))
                    y += unit * share
            else:
                slot = width / boxes
                places = [whole(x + j * slot + self.left, top + self.head, slot - self.left - 12,
                                max(12.0, self.height() - top - self.head - self.bottom)) for j in range(boxes)]
            self.places.append(places)

    # -- painting ----------------------------------------------------------------------------------

    def paint_still(self, painter: QPainter) -> None:
        line, theme = self.metrics().height(), self.theme
        for profile, places in zip(self.profiles, self.places, strict=True):
            if len(self.profiles) > 1:
                row = QRectF(places[0].left(), 3, places[0].width(), 1.5 * line)
                self.write(painter, row, profile.label, Align.AlignLeft | Align.AlignVCenter, theme.text,
                           font(9.5, bold=True))
            for place, box in zip(places, profile.boxes or [Box("")], strict=True):
                painter.fillRect(place, QColor(theme.plot))
                across = linear_ticks(*profile.ends, max(2.0, place.width() / 60))
                below = [(self._x(profile, place, value), text) for value, text in across]
                up, bare = self._ticks(box, place.height())
                heights = [(self._y(box, place, value), text) for value, text in up]
                painter.setPen(QPen(QColor(theme.grid), 1))
                for x, _ in below:
                    painter.drawLine(QPointF(round(x) + 0.5, place.top()), QPointF(round(x) + 0.5, place.bottom()))
                for y, _ in heights:
                    painter.drawLine(QPointF(place.left(), round(y) + 0.5), QPointF(place.right(), round(y) + 0.5))
                lowest = place is places[-1] or not self.stacked
                self.ticks_below(painter, place, below, labels=lowest)
                self.ticks_left(painter, place, heights)
                self.ticks_left(painter, place, [(self._y(box, place, value), "") for value in bare], labels=False)
                if lowest and not profile.foot:
                    self._name_axis(painter, place, profile.input)
                self.frame(painter, place)

    def _name_axis(self, painter: QPainter, place: QRectF, name: str) -> None:
        line = self.metrics().height()
        foot = QRectF(place.left() - 12, place.bottom() + line + 3, place.width() + 24, line)
        self.write(painter, foot, name, Align.AlignHCenter | Align.AlignVCenter, self.theme.muted)

    def _ticks(self, box: Box, height: float) -> tuple[Ticks, list[float]]:
        count = max(2.0, height / 26)
        if box.logarithmic:
            return log_ticks(box.low, box.high, count)
        ticks = linear_ticks(box.low, box.high, count)
        return (ticks if len(ticks) > 1 else linear_ticks(box.low, box.high, 2 * count)), []

    @staticmethod
    def _x(profile: Profile, place: QRectF, value: T) -> T:
        low, high = profile.ends
        return place.left() + (value - low) / (high - low) * place.width()

    @staticmethod
    def _y(box: Box, place: QRectF, value: T) -> T:
        return place.bottom() - (value - box.low) / (box.high - box.low) * place.height()

    def paint_live(self, painter: QPainter) -> None:
        for profile, places in zip(self.profiles, self.places, strict=True):
            for place, box in zip(places, profile.boxes, strict=False):
                self._legend(painter, place, box, profile.notes() if place is places[0] else [])
                for curve in sorted(box.lines, key=lambda curve: curve.front):
                    self._curve(painter, profile, place, box, curve)
                if profile.foot and (not self.stacked or place is places[-1]):
                    self._name_axis(painter, place, profile.foot)
            if places and profile.rug:
                self._rug(painter, profile, places[0])
            if profile.grid is None and places:
                self.write_empty(painter, places[0].united(places[-1]), profile.empty)

    def _rug(self, painter: QPainter, profile: Profile, place: QRectF) -> None:
        """Collocation points as short strokes at the foot of a box, a loss term above the other."""
        for row, (color, places) in enumerate(profile.rug):
            x = np.unique(np.round(self._x(profile, place, np.asarray(places, np.float64))))
            x = x[(x >= place.left()) & (x <= place.right())]
            painter.setPen(QPen(QColor(color), 1))
            y = round(place.bottom() - 1 - 5 * row)
            painter.drawLines([QLineF(value + 0.5, y, value + 0.5, y - 4) for value in x.tolist()])

    def _legend(self, painter: QPainter, place: QRectF, box: Box, notes: Sequence[str]) -> None:
        """Title and names of the curves above a box, as many as there is room for."""
        row = QRectF(place.left(), place.top() - self.head, place.width(), self.head)
        bold, align = font(8.5, bold=True), Align.AlignLeft | Align.AlignVCenter
        used = QFontMetricsF(bold).horizontalAdvance(box.title) + 12
        self.write(painter, row, box.title, align, self.theme.text, bold)
        named = [curve for curve in box.lines if not curve.name.startswith("exact ")]  # one 'exact' is enough
        if sum(not curve.thin for curve in named) > 1:
            named.sort(key=lambda curve: not (curve.thin and curve.front))  # what is true before all that was learned
        for curve in named if box.legend else ():
            width = 22 + self.text_width(curve.name) + 12
            if used + width > row.width():
                break
            x, y = row.left() + used, round(row.center().y()) + 0.5
            painter.setPen(QPen(QColor(curve.color), 1 if curve.thin else 2, curve.style))
            painter.drawLine(QPointF(x, y), QPointF(x + 16, y))
            self.write(painter, QRectF(x + 21, row.top(), width, row.height()), curve.name, align, self.theme.muted)
            used += width
        room = row.adjusted(used, 0, 0, 0)
        if notes:
            self.write_first(painter, room, notes, Align.AlignRight | Align.AlignVCenter, self.theme.muted)

    def _curve(self, painter: QPainter, profile: Profile, place: QRectF, box: Box, curve: Line) -> None:
        if profile.grid is None:
            return
        x = self._x(profile, place, np.asarray(profile.grid, dtype=np.float64))
        y = self._y(box, place, _scaled(box, curve.values))
        painter.save()
        painter.setClipRect(place)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(curve.color), 1 if curve.thin or not self.fine else 2, curve.style))
        good = np.isfinite(y)
        y = np.clip(y, place.top() - 1e4, place.bottom() + 1e4)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):  # a gap where there is no number
            if stop - start > 1:
                painter.drawPolyline(arrayToQPolygonF(x[start:stop], y[start:stop]))
        painter.restore()

    # -- the mouse ---------------------------------------------------------------------------------

    def text_at(self, place: QPointF) -> str:
        for profile, places in zip(self.profiles, self.places, strict=True):
            if profile.grid is None:
                continue
            for rect in places:
                if rect.contains(place):
                    low, high = profile.ends
                    value = low + (place.x() - rect.left()) / rect.width() * (high - low)
                    at = int(np.abs(profile.grid - value).argmin())
                    rows = [(curve.color, f"{box.title}: {curve.name}" if len(box.lines) > 1 else box.title,
                             number(float(curve.values[at]), 4)) for box in profile.boxes for curve in box.lines]
                    head = f"{profile.label} {profile.input} = {number(float(profile.grid[at]), 4)}".strip()
                    head += f", {profile.where}" if profile.where else ""
                    return rows_html(head, rows)
        return ""


def _scaled(box: Box, values: Array) -> Floats:
    out = np.asarray(values, dtype=np.float64)
    if box.logarithmic:
        with np.errstate(divide="ignore", invalid="ignore"):
            out = np.log10(out)
    return out


def _shape(profiles: Sequence[Profile]) -> list[object]:
    """What the axes depend on."""
    return [(p.label, p.input, bool(p.foot), p.ends, [(b.low, b.high, b.logarithmic, b.share) for b in p.boxes])
            for p in profiles]


def error_range(arrays: Sequence[Array]) -> tuple[float, float]:
    """Exponents between which almost all positive values lie: from the smallest hundredth on; NaN, NaN for none."""
    values = np.concatenate([np.asarray(a, dtype=np.float64).ravel() for a in arrays]) if arrays else np.empty(0)
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        return math.nan, math.nan
    return float(np.log10(np.quantile(values, 0.01))), float(np.log10(values.max()))
