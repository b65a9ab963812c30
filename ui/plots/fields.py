"""A grid of fields over two inputs: for each lane a map of every quantity with its color bar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPen

from core.frames import Array
from ui.plots.canvas import Align, rows_html, whole
from ui.plots.cut_maps import CutMaps
from ui.plots.cuts import Place
from ui.plots.dots import dots_image
from ui.plots.field_rows import Column, Row, end_labels, evenly
from ui.plots.maps import bar_image, field_image
from ui.plots.ticks import linear_ticks, log_ticks, number
from ui.theme import font

BAR = 9.0  # width of a color bar
GAP = 12.0  # between two rows of maps
WORTH = 1.15  # times larger: from here on a second row of maps is worth it
APART = 44.0  # pixels at most between a color bar's numbers and the next map
WIDE = 200.0  # pixels of a map from which on its dots are larger


class FieldGrid(CutMaps):
    """Paints rows of maps; those of a single lane stand in two rows where that makes them larger."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[Column] = []
        self.aspect = 0.0  # width over height of a map; 0 where the room decides
        self.note = ""  # what holds for all maps
        self.legend: list[tuple[str, str]] = []  # (color, words) of the dots
        self.across = 1  # maps beside each other
        self.edge = 0.0  # where the lane's label stands
        self.setMinimumSize(260, 120)

    def set_layout(self, columns: Sequence[Column], rows: Sequence[Row], domain: Mapping[str, tuple[float, float]],
                   aspect: float = 0.0, note: str = "") -> None:
        """New columns and rows."""
        self.columns, self.rows, self.domain = list(columns), list(rows), domain
        self.aspect, self.note = aspect, note
        self.renew()

    def set_note(self, note: str) -> None:
        """Another note below the maps."""
        if note != self.note:
            room, self.note = bool(self.note), note
            if room == bool(note):
                self.update()
            else:
                self.renew()

    def set_legend(self, legend: Sequence[tuple[str, str]]) -> None:
        """Name the dots below the maps."""
        if list(legend) != self.legend:
            room, self.legend = bool(self.legend), list(legend)
            if room == bool(self.legend):
                self.update()
            else:
                self.renew()

    def set_row(self, index: int, row: Row) -> None:
        """The newest fields of a row."""
        old, self.rows[index] = self.rows[index], row
        pairs = enumerate(zip(row.values, old.values, strict=False))
        row.images = {j: old.images[j] for j, (new, had) in pairs  # an exact solution stays as it is
                      if j in old.images and new is not None and had is not None and np.array_equal(new, had)}
        if (old.inputs, [a.shape for a in old.axes]) != (row.inputs, [a.shape for a in row.axes]):
            self.renew()
        else:
            self.update()

    def room_for(self, rows: int, height: float) -> bool:
        """Whether so many rows are large enough to be read in that many pixels."""
        return rows * 92 + self.metrics().height() * 3 <= max(height, 1)

    # -- where everything stands -------------------------------------------------------------------

    def arrange(self) -> None:
        line = self.metrics().height()
        self.side = 2 * line + 8  # the lane's label and the axis' name, upright
        self.head = 1.6 * line + 4
        self.bottom = 2 * line + 8 + (line + 2 if self.note else 0) + (line + 2 if self.legend else 0)
        self.labels = self.text_width("\u22120.75") + 8
        count, columns = max(1, len(self.rows)), max(1, len(self.columns))
        self.across, half = columns, -(-columns // 2)
        room = self.width(), self.height()
        if count == 1 and _worth(*self._size(half, 1, *room)) > WORTH * _worth(*self._size(columns, 1, *room)):
            self.across = half
        width, height = self._size(self.across, count, *room)
        deep = -(-columns // self.across)
        left = self.side + self.labels - 6
        free = self.width() - left - 8
        slot = min(free / self.across, width + self._right() + APART)
        left += (free - slot * self.across) / 2
        self.edge = left - self.labels + 6 - self.side
        gap = self.head if deep > 1 else GAP
        used = self.head + count * deep * (height + gap) - gap + self.bottom
        top = self.head + max(0.0, self.height() - used) / 2
        self.boxes = [
            [
                whole(left + 4 + j % self.across * slot, top + (i * deep + j // self.across) * (height + gap),
                      width, height)
                for j in range(columns)
            ]
            for i in range(count)
        ]

    def worth(self, width: float, height: float) -> float:
        """How much could be seen in a room of that size: about the pixels of a map."""
        count, columns = max(1, len(self.rows)), max(1, len(self.columns))
        ways = (columns, -(-columns // 2)) if count == 1 else (columns,)
        return max(_worth(*self._size(across, count, width, height)) for across in ways)

    def _size(self, across: int, count: int, room: float, high: float) -> tuple[float, float]:
        """Width and height of a map where so many stand beside each other in a room of room x high pixels."""
        deep = -(-max(1, len(self.columns)) // across) * count
        gap = self.head if deep > count else GAP
        height = (high - self.head - self.bottom - (deep - 1) * gap) / deep
        slot = (room - self.side - self.labels - 2) / across
        width = slot - self._right() - 4
        width, height = max(12.0, width), max(12.0, height)
        if self.aspect:
            return min(width, height * self.aspect), min(height, width / self.aspect)
        return min(width, 1.7 * height), height

    def _right(self) -> float:
        """Room for the color bar and its numbers."""
        ends = [text for c in self.columns for levels in c.levels for text in end_labels(c, levels)]
        return BAR + 11 + max(self.text_width(text) for text in (*ends, "\u22120.075"))

    # -- painting ----------------------------------------------------------------------------------

    def paint_still(self, painter: QPainter) -> None:
        theme, line = self.theme, self.metrics().height()
        names = tuple(self.domain)[:2]
        wrapped = self.across < len(self.columns)
        for i, (row, boxes) in enumerate(zip(self.rows, self.boxes, strict=False)):
            inputs = row.inputs or names
            for j, (column, box) in enumerate(zip(self.columns, boxes, strict=False)):
                painter.fillRect(box, QColor(theme.plot))
                if i == 0 or wrapped:
                    head = QRectF(box.left(), box.top() - self.head + 2, box.width() + BAR + 30, 1.5 * line)
                    bold = font(9, bold=True)
                    self.write(painter, head, column.name, Align.AlignLeft | Align.AlignVCenter, theme.text, bold)
                low, high = self._ends(row, 0)
                lowest = i == len(self.rows) - 1 and j + self.across >= len(self.columns)
                across = [
                    (float(box.left() + (value - low) / (high - low) * box.width()), text)
                    for value, text in linear_ticks(low, high, max(2.0, box.width() / 46))
                ]
                across = [(x, t) for x, t in across if abs(x - box.center().x()) <= box.width() / 2 + 1]
                if sum(self.text_width(text) + 6 for _, text in across) > box.width() + 16 and len(across) > 2:
                    across = [across[0], across[-1]] if box.width() > 36 else across[:1]
                self.ticks_below(painter, box, across, labels=lowest)
                if lowest and inputs:
                    below = QRectF(box.left(), box.bottom() + line + 4, box.width(), line)
                    self.write(painter, below, inputs[0], Align.AlignHCenter | Align.AlignVCenter, theme.muted)
                levels = column.levels[i] if i < len(column.levels) else (0.0, 1.0)
                first = j % self.across == 0
                self._ticks_up(painter, box, self._ends(row, 1), labels=first)
                if first and len(inputs) > 1:
                    self.write_up(painter, QRectF(self.edge + line + 4, box.top(), line, box.height()), inputs[1],
                                  theme.muted)
                if row.values:
                    self._bar(painter, box, column, levels)
                self.frame(painter, box)

    def _row_label(self, painter: QPainter, row: Row, boxes: list[QRectF]) -> None:
        line, box = self.metrics().height(), boxes[0].united(boxes[-1])
        painter.save()
        painter.translate(self.edge + 2 + line / 2, box.center().y())
        painter.rotate(-90)
        area = QRectF(-box.height() / 2, -line / 2, box.height(), line)
        bold = font(9, bold=True)
        used = QFontMetricsF(bold).horizontalAdvance(row.label)
        note = row.note if used + 12 + self.text_width(row.note) <= area.width() else ""
        both = used + (8 + self.text_width(note) if note else 0)
        start = area.left() + max(0.0, area.width() - both) / 2
        left = Align.AlignLeft | Align.AlignVCenter
        width = min(used + 2, area.width())
        self.write(painter, QRectF(start, area.top(), width, line), row.label, left, self.theme.text, bold)
        self.write(painter, QRectF(start + used + 8, area.top(), both, line), note, left, self.theme.muted)
        painter.restore()

    def _ticks_up(self, painter: QPainter, box: QRectF, ends: tuple[float, float], *, labels: bool) -> None:
        low, high = ends
        if not high > low:
            return
        places = [
            (float(box.bottom() - (value - low) / (high - low) * box.height()), text)
            for value, text in linear_ticks(low, high, max(2.0, box.height() / 30))
        ]
        inside = [p for p in places if box.top() - 1 <= p[0] <= box.bottom() + 1]
        self.ticks_left(painter, box, inside, labels=labels)

    def _bar(self, painter: QPainter, box: QRectF, column: Column, levels: tuple[float, float]) -> None:
        bar = whole(box.right() + 4, box.top(), BAR, box.height())
        painter.drawImage(bar, bar_image(column.colors))
        self.frame(painter, bar)
        low, high = levels
        line = self.metrics().height()
        count = max(1.0, box.height() / 34)
        ticks = log_ticks(low, high, count)[0] if column.logarithmic else linear_ticks(low, high, count)
        inner = [
            (v, t) for v, t in ticks if min(v - low, high - v) / (high - low) * box.height() > 1.3 * line
        ]
        if box.height() < 7 * line and not column.logarithmic:
            inner = [((low + high) / 2, number((low + high) / 2, 3))]
        first, last = end_labels(column, levels)
        for value, text in [(low, first), *inner, (high, last)]:
            y = bar.bottom() - (value - low) / (high - low) * bar.height()
            y_text = min(max(y, bar.top() + line / 2 - 2), bar.bottom() - line / 2 + 2)
            painter.setPen(QPen(QColor(self.theme.muted), 1))
            painter.drawLine(QPointF(bar.right(), y), QPointF(bar.right() + 3, y))
            self.write(
                painter,
                QRectF(bar.right() + 5, y_text - line / 2, self.labels + 16, line),
                text,
                Align.AlignLeft | Align.AlignVCenter,
                self.theme.muted,
            )

    def paint_live(self, painter: QPainter) -> None:
        for i, (row, boxes) in enumerate(zip(self.rows, self.boxes, strict=False)):
            self._row_label(painter, row, boxes)
            if not row.values:
                area = boxes[-self.across].united(boxes[-1]) if self.across < len(boxes) else boxes[0].united(boxes[-1])
                self.write_empty(painter, area, row.empty)
                continue
            for j, (column, box) in enumerate(zip(self.columns, boxes, strict=False)):
                values = row.values[j] if j < len(row.values) else None
                if values is None:
                    self.write(painter, box, "not known", Align.AlignCenter, self.theme.muted)
                    continue
                inside = box.adjusted(0.5, 0.5, -0.5, -0.5)
                levels = column.levels[i]
                if j not in row.images or row.images[j][0] != levels:
                    shown = evenly(column.drawn(values, levels[0]), row.axes)
                    row.images[j] = levels, field_image(shown, *levels, column.colors)
                painter.drawImage(inside, row.images[j][1])
                if not np.isfinite(values).any():
                    self.write(painter, box, "not a number", Align.AlignCenter, self.theme.danger)
                if row.dots:
                    painter.drawImage(inside, self._dots(row, inside))
                if self.cut is not None:
                    self._paint_cut(painter, row, box)
        if self.note:
            line = self.metrics().height()
            lift = line + 2 if self.legend else 0
            foot = QRectF(self.side, self.height() - line - 4 - lift, self.width() - self.side - 8, line)
            self.write(painter, foot, self.note, Align.AlignLeft | Align.AlignVCenter, self.theme.muted)
        if self.legend:
            self._paint_legend(painter)

    def _dots(self, row: Row, inside: QRectF) -> QImage:
        """The dots of a row, painted once for each new frame and size."""
        ratio = self.devicePixelRatioF()
        size = max(1, round(inside.width() * ratio)), max(1, round(inside.height() * ratio))
        if row.dotted is None or row.dotted[0] != size:
            edge = max(2, round((3 if min(inside.width(), inside.height()) >= WIDE else 2) * ratio))
            halo = self.theme.surface
            row.dotted = size, dots_image(row.dots, (self._ends(row, 0), self._ends(row, 1)), *size, edge, halo)
        return row.dotted[1]

    def _paint_legend(self, painter: QPainter) -> None:
        line = self.metrics().height()
        x, y, right = self.side, self.height() - line - 4, self.width() - 8.0
        for color, text in self.legend:
            width = self.text_width(text) + 1
            if color:
                painter.fillRect(QRectF(x, round(y + line / 2) - 3, 6, 6), QColor(color))
                x += 10
            if x + width > right:
                self.write(painter, QRectF(x, y, max(0.0, right - x), line), text, Align.AlignLeft, self.theme.muted)
                break
            self.write(painter, QRectF(x, y, width, line), text, Align.AlignLeft, self.theme.muted)
            x += width + 10

    # -- the mouse ---------------------------------------------------------------------------------

    def text_at(self, place: QPointF) -> str:
        hit = self._hit(place)
        return self._text(hit[0], hit[2]) if hit else ""

    def _text(self, row: Row, at: Place) -> str:
        """All quantities at the grid's point nearest to a place, what is drawn first; as many as there is room for."""
        index = tuple(int(np.abs(axis - value).argmin()) for axis, value in zip(row.axes, at, strict=True))
        here = tuple(float(axis[i]) for axis, i in zip(row.axes, index, strict=True))
        where = ", ".join(f"{name} = {number(value)}" for name, value in zip(row.inputs, here, strict=True))
        drawn = [(column.name, float(values[index]))
                 for column, values in zip(self.columns, row.values, strict=False) if values is not None]
        if all(math.isnan(value) for _, value in drawn):
            return ""  # outside the domain
        rows = [("", name, number(value, 4)) for name, value in drawn]
        rows += [("", name, number(float(values[index]), 4)) for name, values in row.others]
        fit = max(len(drawn), int(self.height() / self.metrics().height() / 1.15) - 4)
        if len(rows) > fit:
            rows = [*rows[:fit], ("", f"and {len(rows) - fit} more in the table", "")]
        if row.nearest is not None:
            rows.append(("", "nearest point", row.nearest((here[0], here[1]))))
        return rows_html(" ".join(part for part in (row.label, where) if part), rows)


def _worth(width: float, height: float) -> float:
    """Pixels of a map; what makes it longer than 1.7 times its width does not help to see."""
    return min(width, 1.7 * height) * min(height, 1.7 * width)


def finite_ends(arrays: Sequence[Array | None]) -> tuple[float, float]:
    """Least and greatest finite value of several arrays; NaN, NaN where there is none."""
    low, high = math.inf, -math.inf
    for array in arrays:
        if array is None or not array.size:
            continue
        a, b = float(np.min(array)), float(np.max(array))
        if not (math.isfinite(a) and math.isfinite(b)):
            good = array[np.isfinite(array)]
            if not good.size:
                continue
            a, b = float(good.min()), float(good.max())
        low, high = min(low, a), max(high, b)
    return (low, high) if low <= high else (math.nan, math.nan)
