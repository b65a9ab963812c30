"""Painted plots in a grid of small cells: groups side by side, in each a cell for every layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pyqtgraph.functions import arrayToQPolygonF
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from ui.plots.canvas import Align, Canvas, whole
from ui.plots.legend import Entry
from ui.plots.ticks import Floats, Ticks, linear_ticks
from ui.theme import font

SHAPE = 1.8  # a cell is about so many times as wide as high


@dataclass(frozen=True, slots=True)
class Scale:
    """The range of an axis."""

    low: float = 0.0
    high: float = 1.0

    def place(self, values: Floats | float, start: float, length: float) -> Floats:
        """Pixels of values on an axis that begins at `start` and is `length` long (negative: upwards)."""
        span = self.high - self.low if self.high > self.low else 1.0
        return np.asarray(start + (np.asarray(values, dtype=np.float64) - self.low) / span * length)

    def ticks(self, start: float, length: float, count: float) -> Ticks:
        """Pixels and labels of about so many ticks."""
        places = linear_ticks(self.low, self.high, max(1.0, count)) if self.high > self.low else []
        return [(float(self.place(value, start, length)), text) for value, text in places]


class CellGrid(Canvas):
    """Where cells stand, their titles and frames; what is in them is for the kinds of grid."""

    LEAST: ClassVar[tuple[float, float]] = (150.0, 116.0)  # pixels of a cell with its axes; what does not fit scrolls
    LINES: ClassVar[int] = 1  # of text above a cell
    RIGHT: ClassVar[float] = 10.0  # pixels right of a cell
    LEFT: ClassVar[float] = 40.0

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.headlines: list[str] = [""]
        self.counts: list[int] = [0]
        self.entries: list[Entry] = []
        self.names = ("", "")  # of the axes: across, upwards
        self.boxes: list[list[QRectF]] = [[]]
        self.empty = ""
        self.setMinimumSize(160, 110)

    def set_groups(self, headlines: Sequence[str], counts: Sequence[int]) -> None:
        """So many groups with these headlines, and so many cells in each."""
        if (self.headlines, self.counts) != (list(headlines), list(counts)):
            self.headlines, self.counts = list(headlines), list(counts)
            self.renew()

    def set_entries(self, entries: list[Entry]) -> None:
        """The legend on top."""
        if entries != self.entries:
            self.entries = entries
            self.renew()

    def set_empty(self, text: str) -> None:
        """What is said while there are no cells."""
        if text != self.empty:
            self.empty = text
            self.update()

    # -- where everything stands -------------------------------------------------------------------

    def arrange(self) -> None:
        line = self.metrics().height()
        self._legend_places = self._place_legend()
        rows = 1 + max((row for row, _ in self._legend_places), default=-1)
        self.top = 4 + rows * (line + 2) + (1.4 * line if any(self.headlines) else 0.0)
        above, below = self.LINES * (line + 1) + 3, line + 6
        groups = max(1, len(self.counts))
        self.group_width = (self.width() - 8) / groups
        bottom = self.height() - 4 - (line if self.names[0] else 0)
        self.boxes, least = [], 0.0
        for index, count in enumerate(self.counts):
            area = QRectF(4 + index * self.group_width, self.top, self.group_width, max(1.0, bottom - self.top))
            columns = self._columns(count, area)
            lines = -(-count // columns) if count else 0
            least = max(least, lines * self.LEAST[1])
            w, h = area.width() / columns, area.height() / max(1, lines)
            self.boxes.append([whole(area.left() + i % columns * w + self.LEFT, area.top() + i // columns * h + above,
                                     w - self.LEFT - self.RIGHT, h - above - below) for i in range(count)])
        self.setMinimumHeight(round(self.top + least + line + 4) if least else 110)

    def _columns(self, count: int, area: QRectF) -> int:
        """So many that a cell has about its shape, and no cell stands alone in a row for nothing."""
        if not count:
            return 1
        shape = max(1.0, area.width()) / max(1.0, area.height()) / SHAPE

        def fault(columns: int) -> float:
            rows = -(-count // columns)
            return abs(math.log(shape * rows / columns)) + 0.6 * (-count % columns) / columns

        most = max(1, min(count, int(area.width() // self.LEAST[0])))
        return min(range(1, most + 1), key=fault)

    def _place_legend(self) -> list[tuple[int, float]]:
        """The row and the left end of each entry of the legend."""
        x, row, out = 10.0, 0, []
        for entry in self.entries:
            width = 24 + self.text_width(entry.name) + 16
            if x + width > self.width() and x > 10:
                x, row = 10.0, row + 1
            out.append((row, x))
            x += width
        return out

    # -- for the kinds of grid ---------------------------------------------------------------------

    def scales(self, group: int, cell: int) -> tuple[Scale, Scale, Scale | None]:
        """Across, upwards on the left, upwards on the right (None for none)."""
        raise NotImplementedError

    def right_color(self) -> str:
        """The color of the right axis's labels."""
        return self.theme.muted

    def title(self, group: int, cell: int) -> list[list[tuple[str, str, bool]]]:
        """Lines above a cell: pieces of (text, color, bold). Pieces that do not fit are left out from the right."""
        return []

    # -- painting ----------------------------------------------------------------------------------

    def paint_still(self, painter: QPainter) -> None:
        line = self.metrics().height()
        for entry, (row, x) in zip(self.entries, self._legend_places, strict=True):
            y = 4 + row * (line + 2)
            pen = QPen(QColor(entry.color), 2)
            if entry.style is Qt.PenStyle.DashLine:
                pen.setDashPattern([3.5, 2.0])
            elif entry.style is Qt.PenStyle.DotLine:
                pen.setWidth(1)
            painter.setPen(pen)
            painter.drawLine(QPointF(x, round(y + line / 2)), QPointF(x + 18, round(y + line / 2)))
            self.write(painter, QRectF(x + 23, y, self.text_width(entry.name) + 2, line), entry.name,
                       Align.AlignVCenter, self.theme.muted)
        for group, boxes in enumerate(self.boxes):
            if self.headlines[group]:
                row_box = QRectF(10 + group * self.group_width, self.top - 1.3 * line, self.group_width - 14,
                                 1.3 * line)
                self.write(painter, row_box, self.headlines[group], Align.AlignVCenter, self.theme.text,
                           font(10, bold=True))
            for cell, box in enumerate(boxes):
                self._axes(painter, group, cell, box)
        if self.names[0] and any(self.boxes):
            row_box = QRectF(8, self.height() - line - 4, self.width() - 16, line)
            self.write(painter, row_box, self.names[0], Align.AlignCenter, self.theme.muted)

    def _axes(self, painter: QPainter, group: int, cell: int, box: QRectF) -> None:
        theme, line = self.theme, self.metrics().height()
        across, left, right = self.scales(group, cell)
        painter.fillRect(box, QColor(theme.plot))
        places = across.ticks(box.left(), box.width(), box.width() / 52)
        painter.setPen(QPen(QColor(theme.grid), 1))
        for x, _ in places:
            painter.drawLine(QPointF(round(x) + 0.5, box.top()), QPointF(round(x) + 0.5, box.bottom()))
        self.frame(painter, box)
        self.ticks_below(painter, box, places)
        heights = box.height() / (2.0 * line)
        self.ticks_left(painter, box, left.ticks(box.bottom(), -box.height(), heights))
        if right is not None:
            for y, text in right.ticks(box.bottom(), -box.height(), heights):
                painter.setPen(QPen(QColor(self.right_color()), 1))
                painter.drawLine(QPointF(box.right(), y), QPointF(box.right() + 3, y))
                self.write(painter, QRectF(box.right() + 5, y - line / 2, self.RIGHT - 5, line), text,
                           Align.AlignLeft | Align.AlignVCenter, self.right_color())

    def paint_live(self, painter: QPainter) -> None:
        if not any(self.counts):
            self.write_empty(painter, QRectF(self.rect()), self.empty)
            return
        line = self.metrics().height()
        for group, boxes in enumerate(self.boxes):
            for cell, box in enumerate(boxes):
                lines = self.title(group, cell)
                for number, pieces in enumerate(lines):
                    top = box.top() - 2 - (self.LINES - number) * (line + 1)
                    self._pieces(painter, QRectF(box.left() - self.LEFT + 8, top, box.width() + self.LEFT - 8, line),
                                 pieces)
                painter.save()
                painter.setClipRect(box)
                self.paint_cell(painter, group, cell, box)
                painter.restore()

    def paint_cell(self, painter: QPainter, group: int, cell: int, box: QRectF) -> None:
        """What is in a cell; the painter is clipped to it."""
        raise NotImplementedError

    def _pieces(self, painter: QPainter, row: QRectF, pieces: list[tuple[str, str, bool]]) -> None:
        bold = font(8, bold=True)
        for number, (text, color, heavy) in enumerate(pieces):
            width = self.text_width(text) * (1.08 if heavy else 1.0) + 2
            if width > row.width() and number:
                return
            self.write(painter, QRectF(row.left(), row.top(), min(width, row.width()), row.height()), text,
                       Align.AlignVCenter, color, bold if heavy else None)
            row.setLeft(row.left() + width + 8)

    def at(self, place: QPointF) -> tuple[int, int, QRectF] | None:
        """The group, cell and box under a point."""
        for group, boxes in enumerate(self.boxes):
            for cell, box in enumerate(boxes):
                if box.contains(place):
                    return group, cell, box
        return None


def steps_outline(box: QRectF, across: Scale, upwards: Scale, edges: Floats, heights: Floats) -> QPolygonF:
    """A histogram as an open line: up from the floor, along the steps, down to the floor."""
    x = across.place(edges, box.left(), box.width())
    y = np.minimum(upwards.place(heights, box.bottom(), -box.height()), box.bottom())
    ys = np.empty(2 * len(x))
    ys[0] = ys[-1] = box.bottom()
    ys[1:-1] = np.repeat(y, 2)
    shape: QPolygonF = arrayToQPolygonF(np.repeat(x, 2), ys)
    return shape


def curve_pieces(box: QRectF, across: Scale, upwards: Scale, x: Floats, y: Floats) -> Iterator[QPolygonF]:
    """A curve in pixels, a piece for each stretch without NaN; far outside the box it is held at a little beyond it."""
    good = np.isfinite(x) & np.isfinite(y)
    cuts = np.flatnonzero(np.diff(good.astype(np.int8))) + 1
    for part in np.split(np.arange(len(x)), cuts):
        if len(part) > 1 and good[part[0]]:
            px = across.place(x[part], box.left(), box.width())
            py = np.clip(upwards.place(y[part], box.bottom(), -box.height()), box.top() - 9, box.bottom() + 9)
            yield arrayToQPolygonF(px, py)
