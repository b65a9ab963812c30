"""The ridge line: snapshots of a distribution stacked behind each other, the oldest at the back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pyqtgraph.functions import arrayToQPolygonF
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPen, QPolygonF

from core.frames import Array
from ui.plots.canvas import Align, Canvas, rows_html
from ui.plots.density import outline
from ui.plots.levels import SlowRange
from ui.plots.overtime import MapCell, ValueAxis, evenly, grid
from ui.plots.ticks import Floats, number, step_ticks
from ui.theme import mix

__all__ = ["MapCell", "Ridge"]

SNAPSHOTS = 24  # of a cell, at most
CLOSEST = 6.5  # pixels between two base lines, at least
LOWEST = 110.0  # pixels that a cell is high at least
OVERLAP = 3.5  # a ridge reaches over so many of the ones behind it
FLOOR = 1e-12  # of a density, before the axis sets its own


class Ridge(Canvas):
    """A grid of ridge lines on identical axes: values across, the steps upwards with the oldest on top.

    Each outline is the logarithm of a density; their base lines are equally far apart, whatever the steps between them.
    Use it as a HeatMap: the same cells, the same axis, a resizable QScrollArea around it.
    """

    pointed = Signal(object)  # the step of the snapshot under the mouse; None for none

    def __init__(self) -> None:
        super().__init__()
        self.axis = ValueAxis()
        self.note = "Appears here with the first frame."
        self.group = 1
        self.boxes: list[QRectF] = []
        self._cells: list[MapCell] = []
        self._chosen: list[list[int]] = []
        self._outlines: list[dict[float, tuple[Floats, Floats]]] = []
        self._known: dict[tuple[str, float], tuple[Array, Array, Floats, Floats]] = {}
        self._now: float | None = None
        self._cursor: float | None = None
        self._heights = SlowRange(0.5)
        self.setMinimumSize(220, 150)

    # -- what the panel sets -----------------------------------------------------------------------

    def begin(self, total: float = 0.0) -> None:
        """Forget everything."""
        self._cells, self._chosen, self._outlines, self._now, self._cursor = [], [], [], None, None
        self._known = {}
        self._heights.clear()
        self.renew()

    def set_axis(self, kind: str, threshold: float, low: float, high: float, name: str) -> None:
        """The axis of the values ('linear', 'log', 'symlog'). Raises ValueError for one that cannot be."""
        axis = ValueAxis(kind, threshold, low, high, name)
        if axis != self.axis:
            self.axis = axis
            self._heights.clear()
            self.renew()

    def set_cells(self, cells: Sequence[MapCell], group: int = 1) -> None:
        """The cells as they are now; `group` as in HeatMap."""
        same = [c.title for c in cells] == [c.title for c in self._cells] and group == self.group
        self._cells, self.group = list(cells), max(1, group)
        if not same:
            self._still = None
            self.arrange()
        self._choose()
        heights = [e for shapes in self._outlines for _, e in shapes.values() if len(e)]
        low = min((float(e.min()) for e in heights), default=math.nan)
        high = max((float(e.max()) for e in heights), default=math.nan)
        if self._heights.update(low - 0.1, high + 0.1) or not same:
            self.renew()
        else:
            self._still = None
            self.update()

    def _choose(self) -> None:
        """The snapshots that there is room for, and their outlines; those known already are not worked out again."""
        self._chosen, self._outlines, known = [], [], {}
        for cell, box in zip(self._cells, self.boxes, strict=True):
            room = int(min(SNAPSHOTS, max(5, (box.height() - 4) / CLOSEST - OVERLAP)))
            chosen, shapes = evenly(cell.steps, room), {}
            for index in chosen:
                key, edges, counts = (cell.title, float(cell.steps[index])), cell.edges_at(index), cell.counts[index]
                found = self._known.get(key)
                if found is None or not (np.array_equal(found[1], counts) and np.array_equal(found[0], edges)):
                    steps, density = outline(edges, counts)
                    found = (edges, counts.copy(), steps, np.log10(np.maximum(density, FLOOR)))
                known[key] = found
                shapes[key[1]] = found[2:]
            self._chosen.append(chosen)
            self._outlines.append(shapes)
        self._known = known

    def set_now(self, step: float | None) -> None:
        """Mark the snapshot nearest to the step that the window has gone back to."""
        if step != self._now:
            self._now = step
            self.update()

    def set_cursor(self, step: float | None) -> None:
        """Mark the snapshot nearest to the step under the mouse."""
        if step != self._cursor:
            self._cursor = step
            self.update()

    @property
    def cells(self) -> list[MapCell]:
        return self._cells

    # -- where everything stands -------------------------------------------------------------------

    def arrange(self) -> None:
        line = self.metrics().height()
        steps = [self._step(float(step)) for cell in self._cells for step in cell.steps[-1:]]
        self.left = 16 + line + max([self.text_width(text) for text in steps] or [12.0])
        self.bottom = 3 * line + 12
        area = QRectF(self.left, 3, self.width() - self.left - 12, self.height() - 3 - self.bottom)
        self.boxes, rows = grid(area, len(self._cells) or 1, group=self.group, above=line + 2, lowest=LOWEST,
                                shape=1.3)
        self.boxes = self.boxes if self._cells else []
        self.setMinimumHeight(round(3 + self.bottom + rows * (LOWEST + line + 2) + (rows - 1) * 8))
        self._choose()

    @staticmethod
    def _step(step: float) -> str:
        ticks = step_ticks(step, step + 1, 1) if step >= 1e4 and step % 100 == 0 else []
        return ticks[0][1] if ticks else f"{step:,.0f}"

    def _base(self, box: QRectF, place: int, count: int) -> tuple[float, float]:
        """The base line of a snapshot (0: the oldest), and how high a ridge may be, in pixels."""
        gap = box.height() / (max(1, count) - 1 + OVERLAP)
        return box.bottom() - 2 - (count - 1 - place) * gap, gap * OVERLAP - 4

    def _x(self, box: QRectF, value: Floats) -> Floats:
        low, high = self.axis.ends
        return np.asarray(box.left() + (self.axis.at(value) - low) / (high - low) * box.width())

    def _shape(self, box: QRectF, base: float, height: float, edges: Floats, exponent: Floats) -> QPolygonF:
        x = np.clip(self._x(box, edges), box.left(), box.right())
        share = (exponent - self._heights.low) / (self._heights.high - self._heights.low)
        xs, ys = np.repeat(x, 2), np.empty(2 * len(x))
        ys[0] = ys[-1] = base
        ys[1:-1] = np.repeat(base - np.clip(share, 0, 1) * height, 2)
        shape: QPolygonF = arrayToQPolygonF(xs, ys)
        return shape

    # -- painting ----------------------------------------------------------------------------------

    def paint_still(self, painter: QPainter) -> None:
        if not self._cells:
            return
        line, theme = self.metrics().height(), self.theme
        lowest = max(box.bottom() for box in self.boxes)
        for box, cell, chosen, shapes in zip(self.boxes, self._cells, self._chosen, self._outlines, strict=True):
            painter.fillRect(box, QColor(theme.plot))
            title = QRectF(box.left(), box.top() - line - 2, box.width(), line + 1)
            if cell.color:
                painter.fillRect(QRectF(title.left(), title.top() + line * 0.25, 8, line * 0.55), QColor(cell.color))
                title.setLeft(title.left() + 12)
            self.write(painter, title, cell.title, Align.AlignLeft | Align.AlignVCenter, theme.text)
            places, _ = self.axis.places(box.width(), self.text_width)
            low, high = self.axis.ends
            across = [(box.left() + (at - low) / (high - low) * box.width(), text) for at, text in places]
            painter.setPen(QPen(QColor(theme.grid), 1))
            for x, _ in across:
                painter.drawLine(QPointF(round(x) + 0.5, box.top()), QPointF(round(x) + 0.5, box.bottom()))
            self._ridges(painter, box, cell, chosen, shapes)
            self.frame(painter, box)
            if not any(b.left() == box.left() and b.top() > box.top() for b in self.boxes):
                beside = any(b.left() > box.right() for b in self.boxes)
                self.ticks_below(painter, box, [(x, text) for x, text in across if not beside
                                                or x + self.text_width(text) / 2 < box.right() + 3])
            if box.left() == self.boxes[0].left():
                self._steps(painter, box, cell, chosen)
        left = self.boxes[0].left()
        right = max(box.right() for box in self.boxes)
        row = QRectF(left, lowest + line + 4, right - left, line)
        self.write_first(painter, row, self.axis.caption(), Align.AlignHCenter | Align.AlignVCenter, theme.muted)
        row.translate(0, line + 1)
        floor, top = (number(10.0**v, 2) for v in (self._heights.low, self._heights.high))
        count = max((len(chosen) for chosen in self._chosen), default=0)
        texts = (f"height of a ridge: log density, {floor} at its base to {top}; {count} snapshots",
                 f"height: log density, {floor} to {top}", "height: log density")
        self.write_first(painter, row, texts, Align.AlignHCenter | Align.AlignVCenter, theme.muted)
        self.write_up(painter, QRectF(2, self.boxes[0].top(), line, self.boxes[0].height()), "step (oldest behind)",
                      theme.muted)

    def _ridges(self, painter: QPainter, box: QRectF, cell: MapCell, chosen: list[int],
                shapes: dict[float, tuple[Floats, Floats]]) -> None:
        """All outlines from the back to the front, each on the plot's ground so that it hides what is behind."""
        color = cell.color or self.theme.text
        painter.setBrush(QColor(self.theme.plot))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, self.fine)
        for place, index in enumerate(chosen):
            edges, exponent = shapes[float(cell.steps[index])]
            base, height = self._base(box, place, len(chosen))
            age = (place + 1) / len(chosen)
            painter.setPen(QPen(QColor(mix(color, self.theme.plot, 0.35 + 0.65 * age)), 1))
            if len(exponent):
                painter.drawPolygon(self._shape(box, base, height, edges, exponent))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _steps(self, painter: QPainter, box: QRectF, cell: MapCell, chosen: list[int]) -> None:
        """The steps at the base lines, as many as there is room for; the newest always."""
        line, last, out = self.metrics().height(), math.inf, []
        for place in reversed(range(len(chosen))):
            base, _ = self._base(box, place, len(chosen))
            if last - base > 1.15 * line:
                out.append((base, self._step(float(cell.steps[chosen[place]]))))
                last = base
        self.ticks_left(painter, box, out)

    def paint_live(self, painter: QPainter) -> None:
        if not self._cells:
            self.write_empty(painter, QRectF(self.rect()), self.note)
            return
        for box, cell, chosen, shapes in zip(self.boxes, self._cells, self._chosen, self._outlines, strict=True):
            if not chosen:
                self.write_empty(painter, box, "no frame yet")
            for step, color in ((self._cursor, self.theme.muted), (self._now, self.theme.accent)):
                if step is None or not chosen:
                    continue
                place = self._nearest(cell, chosen, step)
                edges, exponent = shapes[float(cell.steps[chosen[place]])]
                base, height = self._base(box, place, len(chosen))
                painter.setPen(QPen(QColor(color), 2))
                if len(exponent):
                    painter.drawPolyline(self._shape(box, base, height, edges, exponent))

    @staticmethod
    def _nearest(cell: MapCell, chosen: list[int], step: float) -> int:
        return int(np.argmin(np.abs(np.asarray(cell.steps, dtype=np.float64)[chosen] - step)))

    # -- the mouse ---------------------------------------------------------------------------------

    def _under(self, place: QPointF) -> tuple[int, int] | None:
        """The cell and the snapshot whose base line is the next one below a point."""
        for index, (box, chosen) in enumerate(zip(self.boxes, self._chosen, strict=False)):
            if box.contains(place) and chosen:
                bases = [self._base(box, k, len(chosen))[0] for k in range(len(chosen))]
                return index, min(len(bases) - 1, int(np.searchsorted(bases, place.y())))
        return None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        found = self._under(event.position())
        step = None if found is None else float(self._cells[found[0]].steps[self._chosen[found[0]][found[1]]])
        self.set_cursor(step)
        self.pointed.emit(step)
        super().mouseMoveEvent(event)

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        super().leaveEvent(event)
        self.set_cursor(None)
        self.pointed.emit(None)

    def text_at(self, place: QPointF) -> str:
        found = self._under(place)
        if found is None:
            return ""
        cell, box = self._cells[found[0]], self.boxes[found[0]]
        step = float(cell.steps[self._chosen[found[0]][found[1]]])
        edges, exponent = self._outlines[found[0]][step]
        low, high = self.axis.ends
        value = float(self.axis.inverse(low + (place.x() - box.left()) / box.width() * (high - low)))
        at = int(np.searchsorted(edges, value, side="right")) - 1
        density = float(10.0 ** exponent[at]) if 0 <= at < len(exponent) else 0.0
        return rows_html(cell.title, [("", "step", f"{step:,.0f}"), ("", self.axis.name or "value", number(value)),
                                      ("", "density", number(density))])
