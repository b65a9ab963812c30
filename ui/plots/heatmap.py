"""Distributions over time: for each cell a map of step by value whose colors say where the entries are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPen

from core.frames import Array
from ui.plots.canvas import Align, Canvas, rows_html
from ui.plots.levels import SlowRange, step_limit
from ui.plots.maps import bar_image, field_image
from ui.plots.overtime import MapCell, ValueAxis, grid, over_steps, share_matrix
from ui.plots.ticks import Floats, Ticks, log_ticks, number, power_of_ten, step_ticks
from ui.theme import Theme

__all__ = ["HeatMap", "MapCell"]

LOWEST = 60.0  # pixels that a cell is high at least; what does not fit is scrolled to
DECADES = 4.0  # that the colors span
MOST_ROWS, MOST_COLUMNS = 100, 720  # of an image
ROW = 2.5  # pixels that a row is high: a layer of 100 weights has nothing to say of single pixels
IN_SIGHT = 170.0  # pixels at the top that are seen of a map that is scrolled: what belongs to all cells stands there
BAR = 10.0  # pixels that the color bar is wide


@dataclass(slots=True)
class _Drawn:
    """A cell, its density along the axis, and the picture that shows it."""

    cell: MapCell
    density: Floats = field(default_factory=lambda: np.empty((0, 0)))  # [S, rows], share of entries per axis unit
    image: QImage | None = None
    key: tuple[object, ...] = ()  # what the picture was made for


class HeatMap(Canvas):
    """A grid of maps on identical axes: steps across, values upwards, the color is the share of entries there.

    A snapshot holds from its step to the next one's. Several in one pixel are averaged, weighted with the steps that
    they hold. Put it into a resizable QScrollArea: its minimum height is what its cells need.
    """

    pointed = Signal(object)  # the step under the mouse; None for none

    def __init__(self) -> None:
        super().__init__()
        self.axis = ValueAxis()
        self.note = "Appears here with the first frame."  # where there are no cells
        self.group = 1
        self.boxes: list[QRectF] = []
        self.left_step, self.right_step = 0.0, 100.0
        self._drawn: list[_Drawn] = []
        self._total = 0.0
        self._held = False  # the steps are given, not found
        self._now: float | None = None
        self._cursor: float | None = None
        self._levels = SlowRange(0.5)
        self._matrices: dict[tuple[object, ...], Floats] = {}
        self.setMinimumSize(220, 120)

    # -- what the panel sets -----------------------------------------------------------------------

    def begin(self, total: float = 0.0) -> None:
        """Forget everything; a run of so many steps (0: not known)."""
        self._drawn, self._total, self._now, self._cursor = [], total, None, None
        self._held = False
        self.left_step, self.right_step = 0.0, step_limit(0, total)
        self._levels.clear()
        self._matrices.clear()
        self.renew()

    def set_axis(self, kind: str, threshold: float, low: float, high: float, name: str) -> None:
        """The axis of the values ('linear', 'log', 'symlog'). Raises ValueError for one that cannot be."""
        axis = ValueAxis(kind, threshold, low, high, name)
        if axis != self.axis:
            self.axis = axis
            self._levels.clear()
            self._matrices.clear()
            for drawn in self._drawn:
                drawn.density = np.empty((0, 0))
            self.renew()

    def set_steps(self, left: float, right: float) -> None:
        """Hold the axis of the steps, for instance at what a CurveView shows."""
        self._held = True
        if (left, right) != (self.left_step, self.right_step) and right > left:
            self.left_step, self.right_step = left, right
            self.renew()

    def set_cells(self, cells: Sequence[MapCell], group: int = 1) -> None:
        """The cells as they are now. Snapshots that were there before are not worked out again.

        Cells are compared with those before; views of one array that only grows need not be, and are cheapest.

        `group`: so many cells in a row belong together, such as the lanes; the columns are a multiple of it.
        """
        same = [c.title for c in cells] == [d.cell.title for d in self._drawn] and group == self.group
        old = {drawn.cell.title: drawn for drawn in self._drawn}
        self._drawn = [self._taken(cell, old.get(cell.title)) for cell in cells]
        self.group = max(1, group)
        last = max((float(c.steps[-1]) for c in cells if len(c.steps)), default=0.0)
        right = self.right_step if self._held else step_limit(last, self._total)
        same, self.right_step = same and right == self.right_step, right
        if not same:
            self._still = None
            self.arrange()
        top = self._work_out()
        if top > 0 and self._levels.update(math.log10(top), math.log10(top)):
            same = False
        self.update() if same else self.renew()

    def set_now(self, step: float | None) -> None:
        """Mark the step that the window has gone back to."""
        if step != self._now:
            self._now = step
            self.update()

    def set_cursor(self, step: float | None) -> None:
        """Mark the step under the mouse, here or in another panel."""
        if step != self._cursor:
            self._cursor = step
            self.update()

    @property
    def cells(self) -> list[MapCell]:
        return [drawn.cell for drawn in self._drawn]

    @property
    def levels(self) -> tuple[float, float]:
        """log10 of the lowest and the highest density that has a color of its own."""
        high = self._levels.high if math.isfinite(self._levels.high) else 0.0
        return high - DECADES, high

    # -- numbers -----------------------------------------------------------------------------------

    @staticmethod
    def _taken(cell: MapCell, old: _Drawn | None) -> _Drawn:
        """The cell, with what of its density is known already."""
        if old is None or not len(old.density):
            return _Drawn(cell)
        known, before = len(old.density), old.cell
        grows = cell.counts.base is not None and cell.counts.base is before.counts.base  # an array that is added to
        same = (known <= len(cell.steps) and before.edges.ndim == cell.edges.ndim == 1
                and (before.edges is cell.edges or np.array_equal(before.edges, cell.edges))
                and np.array_equal(before.steps[:known], cell.steps[:known])
                and (grows or np.array_equal(before.counts[:known], cell.counts[:known])))
        return _Drawn(cell, old.density, old.image, old.key) if same else _Drawn(cell)

    def _work_out(self) -> float:
        """The density of every snapshot that is new; the largest of all."""
        top = 0.0
        for drawn, box in zip(self._drawn, self.boxes, strict=True):
            rows = int(min(MOST_ROWS, max(12, round(box.height() / ROW))))
            if drawn.density.shape[1:] != (rows,):
                drawn.density = np.empty((0, rows))
            known, cell = len(drawn.density), drawn.cell
            if known < len(cell.steps):
                drawn.density = np.concatenate([drawn.density, self._densities(cell, known, rows)])
            if drawn.density.size:
                top = max(top, float(drawn.density.max()))
        return top

    def _densities(self, cell: MapCell, first: int, rows: int) -> Floats:
        """[S - first, rows] share of the entries per unit of the axis."""
        counts = np.asarray(cell.counts[first:], dtype=np.float64)
        counts = np.where(np.isfinite(counts), counts, 0.0)
        total = counts.sum(axis=1, keepdims=True)
        shares = counts / np.where(total > 0, total, 1.0)
        if cell.edges.ndim == 1:
            out = shares @ self._matrix(cell.edges, rows)
        else:
            out = np.stack([row @ self._matrix(cell.edges_at(first + i), rows) for i, row in enumerate(shares)])
        low, high = self.axis.ends
        return np.asarray(out * (rows / (high - low)))

    def _matrix(self, edges: Array, rows: int) -> Floats:
        key = (rows, len(edges), hash(np.ascontiguousarray(edges).tobytes()))
        if key not in self._matrices:
            if len(self._matrices) > 64:
                self._matrices.clear()
            self._matrices[key] = share_matrix(edges, self.axis, rows)
        return self._matrices[key]

    # -- where everything stands -------------------------------------------------------------------

    def arrange(self) -> None:
        line = self.metrics().height()
        labels = self.axis.places(self.height() / 2, lambda _: 0.8 * line)[0]
        named = line + 3 if self.axis.name else 0.0
        self.left = 10 + named + max([self.text_width(text) for _, text in labels] or [12.0])
        self.right = 24 + BAR + self.text_width("10\u207b\u2078") + line
        self.bottom = 2 * line + 8
        area = QRectF(self.left, 3, self.width() - self.left - self.right, self.height() - 3 - self.bottom)
        self.boxes, rows = grid(area, len(self._drawn) or 1, group=self.group, above=line + 2, lowest=LOWEST)
        if not self._drawn:
            self.boxes = []
        self.setMinimumHeight(round(3 + self.bottom + rows * (LOWEST + line + 2) + (rows - 1) * 8))
        if self._drawn and len(self.boxes) == len(self._drawn):
            self._work_out()

    def _x(self, box: QRectF, step: float) -> float:
        return box.left() + (step - self.left_step) / (self.right_step - self.left_step) * box.width()

    def _y(self, box: QRectF, place: float) -> float:
        low, high = self.axis.ends
        return box.bottom() - (place - low) / (high - low) * box.height()

    # -- painting ----------------------------------------------------------------------------------

    def restyle(self, theme: Theme) -> None:
        for drawn in self._drawn:
            drawn.key = ()
        super().restyle(theme)

    def paint_still(self, painter: QPainter) -> None:
        line, theme = self.metrics().height(), self.theme
        if not self._drawn:
            return
        first = self.boxes[0]
        places, bare = self.axis.places(first.height(), lambda _: 0.8 * line)
        count = max(1.5, first.width() / 56)
        for box, drawn in zip(self.boxes, self._drawn, strict=True):
            painter.fillRect(box, QColor(theme.plot))
            title = QRectF(box.left(), box.top() - line - 2, box.width(), line + 1)
            if drawn.cell.color:
                painter.fillRect(QRectF(title.left(), title.top() + line * 0.25, 8, line * 0.55),
                                 QColor(drawn.cell.color))
                title.setLeft(title.left() + 12)
            self.write(painter, title, drawn.cell.title, Align.AlignLeft | Align.AlignVCenter, theme.text)
            if box.left() == first.left():
                self.ticks_left(painter, box, [(self._y(box, at), "") for at in bare], labels=False)
                self.ticks_left(painter, box, self._inside(box, [(self._y(box, at), text) for at, text in places]))
            if not any(b.left() == box.left() and b.top() > box.top() for b in self.boxes):
                steps = step_ticks(self.left_step, self.right_step, count)
                places_below = self.fitting(box, [(self._x(box, s), text) for s, text in steps], self.boxes)
                self.ticks_below(painter, box, places_below)
        right, bottom = max(b.right() for b in self.boxes), max(b.bottom() for b in self.boxes)
        self.write(painter, QRectF(first.left(), bottom + line + 3, right - first.left(), line), "step",
                   Align.AlignHCenter | Align.AlignVCenter, theme.muted)
        if self.axis.name:
            column = QRectF(2, first.top(), line, min(bottom - first.top(), IN_SIGHT))
            texts = [t for t in self.axis.caption() if self.text_width(t) <= column.height()]
            self.write_up(painter, column, texts[0] if texts else self.axis.caption()[-1], theme.muted)
        self._bar(painter, QRectF(right + 12, first.top(), BAR, min(bottom - first.top(), IN_SIGHT)))

    def _inside(self, box: QRectF, ticks: Ticks) -> Ticks:
        """Labels that do not reach into the row above or below."""
        half = self.metrics().height() / 2
        return [(y, text) for y, text in ticks if box.top() - half - 1 <= y - half and y + half <= box.bottom() + half]

    def fitting(self, box: QRectF, ticks: Ticks, boxes: Sequence[QRectF]) -> Ticks:
        """Labels below a box that run neither into each other nor into those of the box on the right."""
        beside = any(b.left() > box.right() and b.top() == box.top() for b in boxes)
        out: Ticks = []
        for x, text in ticks:
            half = self.text_width(text) / 2
            if beside and x + half > box.right() + 1:
                text = ""
            if not out or x - half > out[-1][0] + self.text_width(out[-1][1]) / 2 + 5:
                out.append((x, text))
        return out

    def _bar(self, painter: QPainter, box: QRectF) -> None:
        low, high = self.levels
        line = self.metrics().height()
        painter.drawImage(box, bar_image(self.theme.error))
        self.frame(painter, box)
        labelled, _ = log_ticks(low, high, max(2.0, box.height() / (2 * line)))
        for at, text in labelled or [(low, power_of_ten(round(low))), (high, power_of_ten(round(high)))]:
            y = box.bottom() - (at - low) / (high - low) * box.height()
            painter.setPen(QPen(QColor(self.theme.muted), 1))
            painter.drawLine(QPointF(box.right(), y), QPointF(box.right() + 3, y))
            row = QRectF(box.right() + 5, y - line / 2, 60, line)
            self.write(painter, row, text, Align.AlignLeft | Align.AlignVCenter, self.theme.muted)
        texts = (f"share of entries per {self.axis.unit} (log); none: no color",
                 f"share of entries per {self.axis.unit} (log)", f"share per {self.axis.unit}", "share")
        column = QRectF(self.width() - line - 2, box.top(), line, box.height())
        fitting = [text for text in texts if self.text_width(text) <= column.height()]
        if fitting:
            self.write_up(painter, column, fitting[0], self.theme.muted)

    def paint_live(self, painter: QPainter) -> None:
        if not self._drawn:
            self.write_empty(painter, QRectF(self.rect()), self.note)
            return
        for box, drawn in zip(self.boxes, self._drawn, strict=True):
            self._picture(drawn, box)
            if drawn.image is not None:
                painter.drawImage(box, drawn.image)
            else:
                self.write_empty(painter, box, "no frame yet")
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            for step, color, width in ((self._cursor, self.theme.muted, 1), (self._now, self.theme.accent, 2)):
                if step is not None and self.left_step <= step <= self.right_step:
                    painter.setPen(QPen(QColor(color), width))
                    x = self._x(box, step)
                    painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))
            self.frame(painter, box)

    def _picture(self, drawn: _Drawn, box: QRectF) -> None:
        """The image of a cell, made anew where it is not of what there is now."""
        if not len(drawn.density):
            drawn.image = None
            return
        columns = int(min(MOST_COLUMNS, max(16, round(box.width()))))
        key = (len(drawn.density), float(drawn.cell.steps[-1]), drawn.density.shape[1], columns, self.left_step,
               self.right_step, self.levels, self.axis, self.theme.name)
        if key == drawn.key:
            return
        steps = np.asarray(drawn.cell.steps, dtype=np.float64)
        means = over_steps(steps, self._end(steps), drawn.density, self.left_step, self.right_step, columns)
        with np.errstate(divide="ignore", invalid="ignore"):
            exponent = np.where(means > 0, np.log10(means), np.nan)
        drawn.image, drawn.key = field_image(exponent, *self.levels, self.theme.error), key

    def _end(self, steps: Floats) -> float:
        """Until where the newest snapshot is drawn: as long as the one before it, and a few pixels at least."""
        last = float(steps[-1])
        held = last - float(steps[-2]) if len(steps) > 1 else 0.0
        return last + max(held, 0.015 * (self.right_step - self.left_step))

    # -- the mouse ---------------------------------------------------------------------------------

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        step = self.step_at(event.position())
        self.set_cursor(step)
        self.pointed.emit(step)
        super().mouseMoveEvent(event)

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        super().leaveEvent(event)
        self.set_cursor(None)
        self.pointed.emit(None)

    def step_at(self, place: QPointF) -> float | None:
        """The step under a point of the widget; None outside the cells."""
        for box in self.boxes if self._drawn else ():
            if box.contains(place):
                share = float((place.x() - box.left()) / box.width())
                return self.left_step + share * (self.right_step - self.left_step)
        return None

    def text_at(self, place: QPointF) -> str:
        step = self.step_at(place)
        if step is None:
            return ""
        drawn, box = next((d, b) for d, b in zip(self._drawn, self.boxes, strict=True) if b.contains(place))
        cell = drawn.cell
        if not len(cell.steps) or not cell.steps[0] <= step <= self._end(np.asarray(cell.steps, dtype=np.float64)):
            return ""
        index = cell.nearest(step)
        low, high = self.axis.ends
        count = drawn.density.shape[1]
        row = min(count - 1, max(0, int((box.bottom() - place.y()) / box.height() * count)))
        bounds = self.axis.inverse(np.array([low + k * (high - low) / count for k in (row, row + 1)]))
        density = float(drawn.density[index, row])
        return rows_html(cell.title, [
            ("", "step", f"{cell.steps[index]:,.0f}"),
            ("", self.axis.name or "value", f"{number(float(bounds[0]))} to {number(float(bounds[1]))}"),
            ("", "share of entries", f"{number(100 * density * (high - low) / count)} %"),
            ("", f"per {self.axis.unit}", number(density))])
