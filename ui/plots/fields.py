"""A grid of fields: a row for each lane, a column for each quantity with its color bar; curves in one dimension."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pyqtgraph.functions import arrayToQPolygonF
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPen

from core.frames import Array
from ui.plots.canvas import Align, Canvas, rows_html, whole
from ui.plots.maps import bar_image, field_image
from ui.plots.ticks import linear_ticks, number
from ui.theme import font

BAR = 9.0  # width of a color bar


@dataclass(slots=True)
class Column:
    """One quantity: its name, its color map, and the levels of each row."""

    name: str
    colors: str
    levels: list[tuple[float, float]] = field(default_factory=list)


@dataclass(slots=True)
class Row:
    """One lane: its label, a note, the axes, and the values of each column (None where there are none)."""

    label: str
    note: str = ""
    inputs: tuple[str, ...] = ()
    axes: tuple[Array, ...] = ()
    values: list[Array | None] = field(default_factory=list)
    images: dict[int, QImage] = field(default_factory=dict)


class FieldGrid(Canvas):
    """Paints rows of fields."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[Column] = []
        self.rows: list[Row] = []
        self.domain: Mapping[str, tuple[float, float]] = {}
        self.boxes: list[list[QRectF]] = []
        self.setMinimumSize(260, 120)

    def set_layout(
        self, columns: Sequence[Column], rows: Sequence[Row], domain: Mapping[str, tuple[float, float]]
    ) -> None:
        """New columns and rows."""
        self.columns, self.rows, self.domain = list(columns), list(rows), domain
        self.renew()

    def set_row(self, index: int, row: Row, levels: Sequence[tuple[float, float]] | None = None) -> None:
        """The newest fields of a row."""
        old, row.images = self.rows[index], {}
        self.rows[index] = row
        if (old.inputs, [a.shape for a in old.axes]) != (row.inputs, [a.shape for a in row.axes]):
            self.renew()
        else:
            self.update()

    def room_for(self, rows: int) -> bool:
        """Whether so many rows are large enough to be read."""
        return rows * 92 + self.metrics().height() * 3 <= max(self.height(), 1)

    # -- where everything stands -------------------------------------------------------------------

    def arrange(self) -> None:
        line = self.metrics().height()
        self.flat = any(len(row.inputs) == 1 for row in self.rows)
        self.side = 2 * line + 4  # the lane's label and the axis' name, upright
        self.top, self.bottom = 1.6 * line + 4, 2 * line + 8
        self.labels = self.text_width("\u22120.75") + 8
        count, columns = max(1, len(self.rows)), max(1, len(self.columns))
        left = self.side + (0 if self.flat else self.labels - 6)
        height = (self.height() - self.top - self.bottom - (count - 1) * 12) / count
        slot = (self.width() - left - 8) / columns
        right = 8.0 if self.flat else BAR + 9 + self.text_width("\u22128.8e\u22128")
        before = self.labels + 4 if self.flat else 4.0
        width = slot - right - before
        if not self.flat and self.rows:
            width = min(width, 1.7 * max(height, 1.0))
        self.boxes = [
            [
                whole(
                    left + before + j * slot,
                    self.top + i * (height + 12),
                    max(12.0, width),
                    max(12.0, height),
                )
                for j in range(columns)
            ]
            for i in range(count)
        ]

    def _extent(self, row: Row, axis: int) -> tuple[float, float]:
        """From edge to edge of the pixels, whose centers are the grid's points."""
        if len(row.axes) > axis and len(row.axes[axis]) > 1:
            values = row.axes[axis]
            half = (
                0.0 if len(row.axes) == 1 else (float(values[-1]) - float(values[0])) / (len(values) - 1) / 2
            )
            return float(values[0]) - half, float(values[-1]) + half
        names = list(self.domain)
        return self.domain[names[axis]] if axis < len(names) else (0.0, 1.0)

    # -- painting ----------------------------------------------------------------------------------

    def paint_still(self, painter: QPainter) -> None:
        theme, line = self.theme, self.metrics().height()
        names = list(self.domain)
        for i, (row, boxes) in enumerate(zip(self.rows, self.boxes, strict=False)):
            inputs = row.inputs or tuple(names[:2])
            last = i == len(self.rows) - 1
            for j, (column, box) in enumerate(zip(self.columns, boxes, strict=False)):
                painter.fillRect(box, QColor(theme.plot))
                if i == 0:
                    head = QRectF(box.left(), 2, box.width() + (0 if self.flat else BAR + 30), 1.5 * line)
                    self.write(
                        painter,
                        head,
                        column.name,
                        Align.AlignLeft | Align.AlignVCenter,
                        theme.text,
                        font(9, bold=True),
                    )
                low, high = self._extent(row, 0)
                across = [
                    (float(box.left() + (value - low) / (high - low) * box.width()), text)
                    for value, text in linear_ticks(low, high, max(2.0, box.width() / 46))
                ]
                across = [(x, t) for x, t in across if abs(x - box.center().x()) <= box.width() / 2 + 1]
                self.ticks_below(painter, box, across, labels=last)
                if last and inputs:
                    self.write(
                        painter,
                        QRectF(box.left(), box.bottom() + line + 4, box.width(), line),
                        inputs[0],
                        Align.AlignHCenter | Align.AlignVCenter,
                        theme.muted,
                    )
                levels = column.levels[i] if i < len(column.levels) else (0.0, 1.0)
                if self.flat:
                    self._ticks_up(painter, box, levels, labels=True)
                else:
                    self._ticks_up(painter, box, self._extent(row, 1), labels=j == 0)
                    if row.values:
                        self._bar(painter, box, column, levels)
                self.frame(painter, box)
            if not self.flat and len(inputs) > 1:
                self.write_up(
                    painter, QRectF(line, boxes[0].top(), line, boxes[0].height()), inputs[1], theme.muted
                )

    def _row_label(self, painter: QPainter, row: Row, boxes: list[QRectF]) -> None:
        line, box = self.metrics().height(), boxes[0]
        painter.save()
        painter.translate(2 + line / 2, box.center().y())
        painter.rotate(-90)
        area = QRectF(-box.height() / 2, -line / 2, box.height(), line)
        bold = font(9, bold=True)
        used = QFontMetricsF(bold).horizontalAdvance(row.label)
        note = row.note if used + 12 + self.text_width(row.note) <= area.width() else ""
        both = used + (8 + self.text_width(note) if note else 0)
        start = area.left() + (area.width() - both) / 2
        left = Align.AlignLeft | Align.AlignVCenter
        self.write(painter, QRectF(start, area.top(), used + 2, line), row.label, left, self.theme.text, bold)
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
        self.ticks_left(
            painter, box, [p for p in places if box.top() - 1 <= p[0] <= box.bottom() + 1], labels=labels
        )

    def _bar(self, painter: QPainter, box: QRectF, column: Column, levels: tuple[float, float]) -> None:
        bar = whole(box.right() + 4, box.top(), BAR, box.height())
        painter.drawImage(bar, bar_image(column.colors))
        self.frame(painter, bar)
        low, high = levels
        line = self.metrics().height()
        ticks = linear_ticks(low, high, max(1.0, box.height() / 34))
        inner = [
            (v, t) for v, t in ticks if min(v - low, high - v) / (high - low) * box.height() > 1.3 * line
        ]
        if box.height() < 7 * line:
            inner = [((low + high) / 2, number((low + high) / 2, 3))]
        for value, text in [(low, number(low, 3)), *inner, (high, number(high, 3))]:
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
                area = boxes[0].united(boxes[-1])
                self.write_empty(painter, area, "The fields appear here with the first frame.")
                continue
            for j, (column, box) in enumerate(zip(self.columns, boxes, strict=False)):
                values = row.values[j] if j < len(row.values) else None
                if values is None:
                    self.write(painter, box, "not known", Align.AlignCenter, self.theme.muted)
                elif self.flat:
                    self._curve(painter, box, row, j, column.levels[i])
                else:
                    if j not in row.images:
                        row.images[j] = field_image(values, *column.levels[i], column.colors)
                    painter.drawImage(box.adjusted(0.5, 0.5, -0.5, -0.5), row.images[j])

    def _curve(
        self, painter: QPainter, box: QRectF, row: Row, column: int, levels: tuple[float, float]
    ) -> None:
        """In one dimension the exact solution stands behind the prediction, in the same box."""
        low, high = self._extent(row, 0)
        painter.save()
        painter.setClipRect(box)
        shown: list[tuple[Array, str, Qt.PenStyle]] = []
        if (
            self.columns[column].name.startswith("prediction")
            and len(row.values) > 1
            and row.values[1] is not None
        ):
            shown.append((row.values[1], self.theme.muted, Qt.PenStyle.DashLine))
        values = row.values[column]
        assert values is not None
        shown.append((values, self.theme.accent, Qt.PenStyle.SolidLine))
        for curve, color, style in shown:
            x = box.left() + (row.axes[0] - low) / (high - low) * box.width()
            y = box.bottom() - (curve - levels[0]) / (levels[1] - levels[0]) * box.height()
            good = np.isfinite(y)
            if good.sum() < 2:
                continue
            painter.setPen(QPen(QColor(color), 2 if self.fine else 1, style))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolyline(
                arrayToQPolygonF(np.asarray(x[good], dtype=np.float64), y[good].astype(np.float64))
            )
        painter.restore()

    # -- the mouse ---------------------------------------------------------------------------------

    def text_at(self, place: QPointF) -> str:
        for row, boxes in zip(self.rows, self.boxes, strict=False):
            for box in boxes:
                if box.contains(place) and row.values:
                    return self._text(row, box, place)
        return ""

    def _text(self, row: Row, box: QRectF, place: QPointF) -> str:
        """All quantities at the grid's point nearest to a place in one of the row's boxes."""
        shares = (place.x() - box.left()) / box.width(), (box.bottom() - place.y()) / box.height()
        index = []
        for axis, share in zip(range(len(row.axes)), shares, strict=False):
            low, high = self._extent(row, axis)
            index.append(int(np.abs(row.axes[axis] - (low + share * (high - low))).argmin()))
        where = ", ".join(
            f"{name} = {number(float(values[at]))}"
            for name, values, at in zip(row.inputs, row.axes, index, strict=True)
        )
        rows = [
            ("", column.name, number(float(values[tuple(index)]), 4))
            for column, values in zip(self.columns, row.values, strict=False)
            if values is not None
        ]
        return rows_html(" ".join(part for part in (row.label, where) if part), rows)


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
