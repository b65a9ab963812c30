"""The gradient wall: for each lane a grid of its layers, in each cell one density for each loss term."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from pyqtgraph.functions import arrayToQPolygonF
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF

from ui.plots.canvas import Align, Canvas, rows_html, whole
from ui.plots.ticks import Floats, Ticks, log_ticks, number, symlog, symlog_inverse, symlog_ticks, times
from ui.theme import font

FAR, NEAR = 30.0, 5.0  # times narrower or wider: from here on ill, up to here good
FILLED = 4  # terms at most whose areas are filled; more would hide each other
LOWEST = 60.0  # pixels that a cell is high at least; what does not fit is scrolled to


@dataclass(slots=True)
class Cell:
    """One layer: for each term the edges of the steps [S + 1], log10 of the density [S], and its mean |g|."""

    layer: str
    edges: list[Floats] = field(default_factory=list)
    density: list[Floats] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    biggest: list[float] = field(default_factory=list)
    ratio: float = math.nan  # mean |g| of the residual over that of the other term that is farthest from it


@dataclass(slots=True)
class Half:
    """One lane: a headline and its cells."""

    headline: str
    notes: tuple[str, ...] = ()  # the longest that fits is written
    cells: list[Cell] = field(default_factory=list)


class Wall(Canvas):
    """All lanes side by side on identical axes: symlog gradient across, log density upwards."""

    def __init__(self) -> None:
        super().__init__()
        self.halves: list[Half] = []
        self.terms: tuple[str, ...] = ()
        self.colors: tuple[int, ...] = ()  # the place of each term in the palette
        self.against = ""  # the term that the others' widths are compared with
        self.quantity: tuple[str, ...] = ("gradient",)  # the longest that fits is written
        self.threshold, self.limit = 1e-3, 10.0
        self.low, self.high = -3.0, 3.0
        self.boxes: list[list[QRectF]] = []
        self.setMinimumSize(260, 150)

    # -- what the panel sets -----------------------------------------------------------------------

    def begin(self, headlines: Sequence[str]) -> None:
        """Empty halves with these headlines."""
        self.halves = [Half(text) for text in headlines]
        self.renew()

    def set_terms(self, terms: Sequence[str], colors: Sequence[int]) -> None:
        """The terms that are drawn, and the place of each in the palette. Cells of other terms are forgotten."""
        if (self.terms, self.colors) != (tuple(terms), tuple(colors)):
            self.terms, self.colors = tuple(terms), tuple(colors)
            for half in self.halves:
                half.cells = []
            self.renew()

    def set_scales(self, threshold: float, limit: float, low: float, high: float) -> None:
        """Axes: linear within +-`threshold`, out to +-`limit`; exponents `low` and `high` of the density."""
        self.threshold, self.limit, self.low, self.high = threshold, limit, low, high
        self.renew()

    def set_cells(self, lane: int, cells: list[Cell], notes: tuple[str, ...]) -> None:
        """The newest cells of a lane."""
        half = self.halves[lane]
        shape_changed = [c.layer for c in cells] != [c.layer for c in half.cells]
        half.cells, half.notes = cells, notes
        if shape_changed:
            self.renew()
        else:
            self.update()

    # -- where everything stands -------------------------------------------------------------------

    def arrange(self) -> None:
        width, height = self.width(), self.height()
        line = self.metrics().height()
        self.places, rows = self._legend_places()
        self.top = 4 + rows * (line + 3) + 5
        self.headline = 1.55 * line
        self.left = (
            12 + line + max(self.text_width(text) for _, text in self._density_ticks(80)[0] or [(0, "10")])
        )
        self.bottom = 2 * line + 10
        count = max(1, len(self.halves))
        half_width = (width - 10) / count
        self.boxes = []
        for index, half in enumerate(self.halves):
            layers = max(1, len(half.cells)) if half.cells else 4
            area = QRectF(
                6 + index * half_width + self.left,
                self.top + self.headline,
                half_width - self.left - 12,
                height - self.top - self.headline - self.bottom,
            )
            columns = self._columns(layers, area)
            rows = -(-layers // columns)
            gap = 8
            w, h = (area.width() - gap * (columns - 1)) / columns, (area.height() - gap * (rows - 1)) / rows
            self.boxes.append(
                [
                    whole(area.left() + i % columns * (w + gap), area.top() + i // columns * (h + gap), w, h)
                    for i in range(layers)
                ]
            )
        rows = max((len({box.top() for box in boxes}) for boxes in self.boxes), default=1)  # of cells
        self.setMinimumHeight(round(self.top + self.headline + self.bottom + rows * LOWEST + (rows - 1) * 8))

    def _columns(self, layers: int, area: QRectF) -> int:
        """So many that a cell is about 1.7 times as wide as high, and no cell stands alone in a row for nothing."""
        shape = max(1.0, area.width()) / max(1.0, area.height()) / 1.7

        def fault(columns: int) -> float:
            rows = -(-layers // columns)
            return abs(math.log(shape * rows / columns)) + 0.6 * (-layers % columns) / columns

        best = min(range(1, layers + 1), key=fault)
        while best > 1 and area.width() / best < 86:
            best -= 1
        return best

    def _density_ticks(self, height: float) -> tuple[Ticks, list[float]]:
        return log_ticks(self.low, self.high, height / (2.2 * self.metrics().height()))

    # -- painting ----------------------------------------------------------------------------------

    def paint_still(self, painter: QPainter) -> None:
        theme, line = self.theme, self.metrics().height()
        self._legend(painter)
        for index, boxes in enumerate(self.boxes):
            if not boxes:
                continue
            ticks, bare = symlog_ticks(self.limit, self.threshold, boxes[0].width(), self.text_width)
            lows, low_bare = self._density_ticks(boxes[0].height())
            bottom, left = max(box.bottom() for box in boxes), boxes[0].left()
            empty = not self.halves[index].cells  # a sentence stands there, which no axis may cross
            for box in () if empty else boxes:
                painter.fillRect(box, QColor(theme.plot))
                below_is_free = not any(b.left() == box.left() and b.top() > box.top() for b in boxes)
                places = [(float(self._x(box, value)), text) for value, text in ticks]
                heights = [(float(self._y(box, value)), text) for value, text in lows]
                heights = [
                    (y, text) for y, text in heights if y - line / 2 > box.top() - 2
                ]  # not into the row above
                painter.setPen(QPen(QColor(theme.grid), 1))
                for x, _ in places:
                    painter.drawLine(
                        QPointF(round(x) + 0.5, box.top()), QPointF(round(x) + 0.5, box.bottom())
                    )
                for y, _ in heights:
                    painter.drawLine(
                        QPointF(box.left(), round(y) + 0.5), QPointF(box.right(), round(y) + 0.5)
                    )
                self.frame(painter, box)
                if below_is_free:
                    self.ticks_below(
                        painter, box, [(float(self._x(box, value)), "") for value in bare], labels=False
                    )
                    self.ticks_below(painter, box, places)
                if box.left() == left:
                    self.ticks_left(
                        painter, box, [(float(self._y(box, value)), "") for value in low_bare], labels=False
                    )
                    self.ticks_left(painter, box, heights)
            if not empty:
                span = QRectF(left, bottom + line + 5, boxes[-1].right() - left, line)
                span.setRight(max(box.right() for box in boxes))
                self.write_first(
                    painter, span, self.quantity, Align.AlignHCenter | Align.AlignVCenter, theme.muted
                )
                self.write_up(
                    painter,
                    QRectF(left - self.left, boxes[0].top(), line, bottom - boxes[0].top()),
                    "density (log)",
                    theme.muted,
                )
            if index:
                middle = round(6 + index * (self.width() - 10) / len(self.boxes) - 2) + 0.5
                painter.setPen(QPen(QColor(theme.border), 1))
                painter.drawLine(QPointF(middle, self.top), QPointF(middle, self.height() - 6))

    def _legend_places(self) -> tuple[list[QPointF], int]:
        """Where each term stands in the legend, and how many rows it has."""
        line, x, row = self.metrics().height(), 12.0, 0
        places = []
        for term in self.terms:
            width = 19 + self.text_width(term) + 17
            if x + width > self.width() and x > 12:
                x, row = 12.0, row + 1
            places.append(QPointF(x, 6 + row * (line + 3)))
            x += width
        return places, row + 1

    def _legend(self, painter: QPainter) -> None:
        line, end = self.metrics().height(), 12.0
        for place, term, color in zip(self.places, self.terms, self.colors, strict=True):
            x, y = place.x(), place.y() + line / 2 - 5
            painter.fillRect(QRectF(x, y, 14, 10), QColor(self.theme.tint(color)))
            painter.setPen(QPen(QColor(self.theme.term(color)), 2))
            painter.drawLine(QPointF(x, y), QPointF(x + 14, y))
            width = self.text_width(term) + 2
            self.write(painter, QRectF(x + 19, place.y(), width, line), term, Align.AlignVCenter, self.theme.text)
            end = x + width + 36
        note = f"number: times narrower (or wider) than the {self.against}'s" if self.against and self.terms[1:] else ""
        if note and end + self.text_width(note) < self.width() - 12:
            self.write(
                painter,
                QRectF(end, self.places[-1].y(), self.width() - end - 12, line),
                note,
                Align.AlignRight | Align.AlignVCenter,
                self.theme.muted,
            )

    def paint_live(self, painter: QPainter) -> None:
        for half, boxes in zip(self.halves, self.boxes, strict=False):
            self._headline(painter, half, boxes)
            if not half.cells:
                area = boxes[0].united(boxes[-1])
                self.write_empty(painter, area, "The gradients appear here with the first frame.")
                continue
            for cell, box in zip(half.cells, boxes, strict=False):
                self._cell(painter, cell, box)

    def _headline(self, painter: QPainter, half: Half, boxes: list[QRectF]) -> None:
        line, bold = self.metrics().height(), font(11, bold=True)
        row = QRectF(
            boxes[0].left(), self.top - 2, max(b.right() for b in boxes) - boxes[0].left(), 1.4 * line
        )
        self.write(painter, row, half.headline, Align.AlignLeft | Align.AlignVCenter, self.theme.text, bold)
        used = QFontMetricsF(bold).horizontalAdvance(half.headline) + 12
        if half.notes:
            self.write_first(
                painter,
                row.adjusted(used, 0, 0, 0),
                half.notes,
                Align.AlignRight | Align.AlignVCenter,
                self.theme.muted,
            )

    def _cell(self, painter: QPainter, cell: Cell, box: QRectF) -> None:
        shapes: list[tuple[int, QPolygonF]] = []
        for index, (edges, density) in enumerate(zip(cell.edges, cell.density, strict=True)):
            if len(density):
                shapes.append((index, self._steps(box, edges, density)))
        painter.setPen(Qt.PenStyle.NoPen)
        for index, shape in shapes if len(self.terms) <= FILLED else ():
            painter.setBrush(QColor(self.theme.tint(self.colors[index])))
            painter.drawPolygon(shape)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for index, shape in shapes:
            painter.setPen(QPen(QColor(self.theme.term(self.colors[index])), 2 if self.fine else 1))
            painter.drawPolyline(shape)
        line = self.metrics().height()
        row = box.adjusted(5, 3, -5, 0)
        row.setHeight(line)
        text = times(max(cell.ratio, 1 / cell.ratio)) if 0 < cell.ratio < math.inf else ""
        wider = f"{text} wider"
        if cell.ratio < 1 / 1.5 and text:  # few letters where there is little room; the mouse says it in full
            text = wider if self.text_width(cell.layer) + self.text_width(wider) + 22 < row.width() else f"1/{text}"
        color = self.verdict(cell.ratio)
        self.write(painter, row, text, Align.AlignRight | Align.AlignTop, color, font(8, bold=True))
        row.setRight(row.right() - self.text_width(text) - 6)
        self.write(painter, row, cell.layer, Align.AlignLeft | Align.AlignTop, self.theme.muted)

    def verdict(self, ratio: float) -> str:
        """The color for 'so many times narrower'; below 1 it is wider, and dominates by as much."""
        apart = max(ratio, 1 / ratio) if ratio > 0 else math.inf
        return self.theme.danger if apart >= FAR else self.theme.good if apart <= NEAR else self.theme.warning

    def _steps(self, box: QRectF, edges: Floats, density: Floats) -> QPolygonF:
        """The outline as pixels: up from the floor, along the steps, down to the floor; clipped to the box."""
        x = np.clip(self._x(box, edges), box.left(), box.right())
        y = np.clip(self._y(box, density), box.top(), box.bottom())
        xs = np.repeat(x, 2)
        ys = np.empty(len(xs))
        ys[0] = ys[-1] = box.bottom()
        ys[1:-1] = np.repeat(y, 2)
        shape: QPolygonF = arrayToQPolygonF(xs, ys)
        return shape

    def _x(self, box: QRectF, value: ArrayLike) -> Floats:
        at = symlog(value, self.threshold) / float(symlog(self.limit, self.threshold))
        return np.asarray(box.center().x() + at * box.width() / 2)

    def _y(self, box: QRectF, exponent: ArrayLike) -> Floats:
        share = (np.asarray(exponent, dtype=np.float64) - self.low) / (self.high - self.low)
        return np.asarray(box.bottom() - share * box.height())

    # -- the mouse ---------------------------------------------------------------------------------

    def text_at(self, place: QPointF) -> str:
        for half, boxes in zip(self.halves, self.boxes, strict=False):
            for cell, box in zip(half.cells, boxes, strict=False):
                if not box.contains(place):
                    continue
                at = (
                    (place.x() - box.center().x())
                    / (box.width() / 2)
                    * float(symlog(self.limit, self.threshold))
                )
                value = float(symlog_inverse(at, self.threshold))
                rows = []
                for index, term in enumerate(self.terms[: len(cell.edges)]):
                    rows.append(
                        (
                            self.theme.term(self.colors[index]),
                            term,
                            f"density {number(self._density(cell, index, value))}, "
                            f"mean |g| {number(cell.mean[index])}, max {number(cell.biggest[index])}",
                        )
                    )
                return rows_html(f"{half.headline}, {cell.layer}, g = {number(value)}", rows)
        return ""

    def _density(self, cell: Cell, index: int, value: float) -> float:
        edges, density = cell.edges[index], cell.density[index]
        step = int(np.searchsorted(edges, value, side="right")) - 1
        return float(10.0 ** density[step]) if 0 <= step < len(density) else 0.0
