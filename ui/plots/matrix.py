"""Symmetric tables of numbers from -1 to 1 as colored cells with the numbers in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QPainter, QPen

from core.frames import Array
from ui.plots.canvas import Align, Canvas, rows_html, whole
from ui.plots.maps import bar_image, lookup
from ui.plots.ticks import number

BAR = 8.0  # pixels that the color bar is high
WIDEST_NAME = 96.0  # pixels


@dataclass(slots=True)
class Table:
    """A heading, what stands under it, names with colors, and [n, n] numbers; NaN where there is none."""

    heading: str
    note: str
    names: tuple[str, ...]
    colors: tuple[str, ...]
    values: Array
    empty: str = ""  # said in place of the cells


class MatrixPlot(Canvas):
    """Tables below each other; the colors go from -1 to 1, always."""

    def __init__(self, quantity: str) -> None:
        super().__init__()
        self.quantity = quantity
        self.tables: list[Table] = []
        self.boxes: list[list[list[QRectF]]] = []
        self.setMinimumSize(130, 90)

    def set_tables(self, tables: Sequence[Table]) -> None:
        """The tables as they are now."""
        same = [(t.names, t.heading) for t in tables] == [(t.names, t.heading) for t in self.tables]
        self.tables = list(tables)
        if same:
            self.update()
        else:
            self.renew()

    def arrange(self) -> None:
        line = self.metrics().height()
        count = max(1, len(self.tables))
        bottom = BAR + 2 * line + 8
        height = (self.height() - bottom - 4) / count
        self.boxes, self._areas = [], []
        for index, table in enumerate(self.tables):
            n = max(1, len(table.names))
            top = 4 + index * height
            head = (line + 3 if table.heading or table.note else 0.0) + 12
            widest = max([self.text_width(name) for name in table.names] or [0.0])
            self._left = 22 + min(widest, WIDEST_NAME, 0.34 * self.width())
            room_x, room_y = self.width() - self._left - 10, height - head - 8
            side_x = max(8.0, min(room_x / n, 84.0))
            side_y = max(8.0, min(room_y / n, side_x, 60.0))
            self.boxes.append([[whole(self._left + j * side_x, top + head + i * side_y, side_x, side_y)
                                for j in range(n)] for i in range(n)])
            self._areas.append(QRectF(6, top, self.width() - 12, height))

    def paint_still(self, painter: QPainter) -> None:
        if not self.tables:
            return
        theme, line = self.theme, self.metrics().height()
        for table, boxes, area in zip(self.tables, self.boxes, self._areas, strict=True):
            row = QRectF(area.left() + 2, area.top(), area.width(), line + 2)
            self.write(painter, row, table.heading, Align.AlignLeft | Align.AlignVCenter, theme.text)
            if table.empty:
                continue
            for i, (name, color) in enumerate(zip(table.names, table.colors, strict=True)):
                box = boxes[i][0]
                chip = QRectF(self._left - 13, box.center().y() - 4, 8, 8)
                painter.fillRect(chip, QColor(color))
                self.write(painter, QRectF(2, box.top(), self._left - 18, box.height()), name,
                           Align.AlignRight | Align.AlignVCenter, theme.muted)
                across = boxes[0][i]
                painter.fillRect(QRectF(across.center().x() - 4, across.top() - 10, 8, 7), QColor(color))
        bar = QRectF(self._left, self.height() - 2 * line - BAR - 4, max(40.0, self.width() - self._left - 18), BAR)
        image = bar_image(theme.diverging)
        painter.save()
        painter.translate(bar.right(), bar.top())
        painter.rotate(90)
        painter.drawImage(QRectF(0, 0, bar.height(), bar.width()), image)
        painter.restore()
        self.frame(painter, bar)
        self.ticks_below(painter, bar, [(bar.left(), "\u22121"), (bar.center().x(), "0"), (bar.right(), "1")])
        caption = QRectF(4, self.height() - line - 1, self.width() - 8, line)
        self.write(painter, caption, self.quantity, Align.AlignHCenter | Align.AlignVCenter, theme.muted)

    def paint_live(self, painter: QPainter) -> None:
        if not self.tables:
            self.write_empty(painter, QRectF(self.rect()), "Appears here with the first frame.")
            return
        line = self.metrics().height()
        for table, boxes, area in zip(self.tables, self.boxes, self._areas, strict=True):
            used = self.text_width(table.heading) + 14 if table.heading else 2.0
            note = QRectF(area.left() + used, area.top(), area.width() - used, line + 2)
            self.write(painter, note, table.note, Align.AlignRight | Align.AlignVCenter, self.theme.muted)
            if table.empty:
                box = area.adjusted(4, line + 6, -4, -4)
                painter.setPen(QColor(self.theme.muted))
                painter.drawText(box, Align.AlignCenter | 0x1000, table.empty)  # TextWordWrap
                continue
            for i, row in enumerate(boxes):
                for j, box in enumerate(row):
                    self._cell(painter, box, float(table.values[i, j]))

    def _cell(self, painter: QPainter, box: QRectF, value: float) -> None:
        painter.setPen(QPen(QColor(self.theme.surface), 1))
        if math.isnan(value):
            painter.setBrush(QColor(self.theme.plot))
            painter.drawRect(box)
            self.write(painter, box, "\u2013", Align.AlignCenter, self.theme.muted)
            return
        color = QColor.fromRgb(int(lookup(self.theme.diverging)[int(np.clip((value + 1) * 128, 0, 255))]))
        painter.setBrush(color)
        painter.drawRect(box)
        text = f"{value:.2f}".replace("-", "\u2212")
        if self.text_width(text) + 2 <= box.width() and self.metrics().height() <= box.height() + 2:
            light = 0.299 * color.red() + 0.587 * color.green() + 0.114 * color.blue() > 140
            self.write(painter, box, text, Align.AlignCenter, "#101418" if light else "#ffffff")

    def text_at(self, place: QPointF) -> str:
        for table, boxes in zip(self.tables, self.boxes, strict=False):
            for i, row in enumerate(boxes if not table.empty else ()):
                for j, box in enumerate(row):
                    if box.contains(place):
                        value = number(float(table.values[i, j]), 4)
                        return rows_html(f"{table.names[i]} \u00b7 {table.names[j]}",
                                         [("", table.heading or self.quantity, value)])
        return ""
