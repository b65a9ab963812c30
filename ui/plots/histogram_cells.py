"""Histograms of a few numbers, a cell for each layer, all on the same axes; lanes lie over each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QWidget

from ui.plots.canvas import rows_html
from ui.plots.cell_grid import CellGrid, Scale, steps_outline
from ui.plots.levels import SlowLimit, SlowRange
from ui.plots.ticks import Floats, nice_step, number
from ui.theme import lane_style

BINS = 40


def bins(scale: SlowRange) -> Floats:
    """The edges of the bins over a range."""
    return np.linspace(scale.low, scale.high, BINS + 1)


def widen(scale: SlowRange, values: Sequence[Floats], mark: float) -> bool:
    """Let a range take in all these values, and a mark where that is a number; True where it has changed."""
    good = [v[np.isfinite(v)] for v in values]
    ends = [end for v in good if len(v) for end in (float(v.min()), float(v.max()))]
    if not ends:
        return False
    if math.isfinite(mark):
        ends.append(mark)
    low, high = min(ends), max(ends)
    span = high - low if high > low else max(abs(high), 1e-6)
    scale.grain = nice_step(span, 12)
    return scale.update(low - 1e-9 * span, high + 1e-9 * span)


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of one layer, by lane."""

    title: str
    color: str
    values: dict[int, Floats]


class HistogramCells(CellGrid):
    """How many neurons have which value. `mark`: a dashed line, such as where they started."""

    LEAST = (140.0, 104.0)
    LINES = 2

    def __init__(self, parent: QWidget | None, *, quantity: str, mark: float = math.nan) -> None:
        super().__init__(parent)
        self.quantity = quantity
        self.names = (f"neurons over {quantity}", "")
        self.mark = mark
        self.labels: dict[int, str] = {}
        self.cells: list[Numbers] = []
        self.counts_of: list[dict[int, Floats]] = []
        self._across = SlowRange(0.1)
        self._top = SlowLimit()

    def begin(self, labels: dict[int, str]) -> None:
        """Forget everything; the lanes' labels."""
        self.labels, self.cells, self.counts_of = labels, [], []
        self._across.clear()
        self._top.clear()
        self.set_groups([""], [0])
        self.renew()

    def set_cells(self, cells: list[Numbers]) -> None:
        """The newest numbers."""
        changed = widen(self._across, [v for cell in cells for v in cell.values.values()], self.mark)
        self.cells = cells
        edges = bins(self._across) if math.isfinite(self._across.low) else np.linspace(0, 1, BINS + 1)
        self.counts_of = [{lane: np.histogram(values[np.isfinite(values)], edges)[0].astype(np.float64)
                           for lane, values in cell.values.items()} for cell in cells]
        tops = [float(counts.max(initial=0)) for own in self.counts_of for counts in own.values()]
        changed |= self._top.update(max(tops, default=math.nan))
        self.set_groups([""], [len(cells)])
        if changed:
            self.renew()
        else:
            self.update()

    # -- the grid ----------------------------------------------------------------------------------

    def scales(self, group: int, cell: int) -> tuple[Scale, Scale, Scale | None]:
        if not math.isfinite(self._across.low):
            return Scale(), Scale(), None
        return Scale(self._across.low, self._across.high), Scale(0.0, 1.05 * self._top.value), None

    def title(self, group: int, cell: int) -> list[list[tuple[str, str, bool]]]:
        own = self.cells[cell]
        words = []
        for lane, values in own.values.items():
            good = values[np.isfinite(values)]
            label = f"{self.labels.get(lane, '')} " if len(self.labels) > 1 else ""
            lost = len(values) - len(good)
            text = f"{label}mean {number(float(good.mean()))}" if len(good) else f"{label}no finite value"
            words.append((text + (f", {lost} not finite" if lost and len(good) else ""),
                          self.theme.danger if lost else self.theme.muted, bool(lost)))
        return [[(own.title, self.theme.text, True)], words]

    def paint_cell(self, painter: QPainter, group: int, cell: int, box: QRectF) -> None:
        across, left, _ = self.scales(group, cell)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        if across.low <= self.mark <= across.high:
            pen = QPen(QColor(self.theme.text), 1)
            pen.setDashPattern([4.0, 4.0])
            painter.setPen(pen)
            x = round(float(across.place(self.mark, box.left(), box.width()))) + 0.5
            painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))
        edges = np.linspace(across.low, across.high, BINS + 1)
        for lane, counts in self.counts_of[cell].items():
            pen = QPen(QColor(self.cells[cell].color), 2 if self.fine else 1)
            if lane_style(lane) is Qt.PenStyle.DashLine:
                pen.setDashPattern([3.0, 2.0])
            painter.setPen(pen)
            painter.drawPolyline(steps_outline(box, across, left, edges, counts))

    def text_at(self, place: QPointF) -> str:
        found = self.at(place)
        if found is None or found[1] >= len(self.cells):
            return ""
        _, cell, box = found
        across = self.scales(0, cell)[0]
        edges = np.linspace(across.low, across.high, BINS + 1)
        bin_ = min(BINS - 1, max(0, int((place.x() - box.left()) / box.width() * BINS)))
        rows = [("", self.quantity, f"{number(float(edges[bin_]))} to {number(float(edges[bin_ + 1]))}")]
        for lane, counts in self.counts_of[cell].items():
            values = self.cells[cell].values[lane]
            good, label = values[np.isfinite(values)], self.labels.get(lane, "") if len(self.labels) > 1 else ""
            rows.append((self.cells[cell].color, f"{label} neurons here".strip(),
                         f"{int(counts[bin_])} of {len(values)}"))
            if len(good):
                rows.append(("", f"{label} mean (min \u2026 max)".strip(),
                             f"{number(float(good.mean()))} ({number(float(good.min()))} \u2026 "
                             f"{number(float(good.max()))})"))
        return rows_html(self.cells[cell].title, rows)
