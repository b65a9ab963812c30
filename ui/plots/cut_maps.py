"""Maps through which a person can cut with the mouse."""

from __future__ import annotations

import math
from collections.abc import Mapping

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPen

from ui.plots.canvas import Canvas
from ui.plots.cuts import Cut, Place
from ui.plots.field_rows import Row

CLOSE = 6.0  # pixels within which the mouse is on a cut
STILL = 3.0  # pixels that the mouse may move in a click


class CutMaps(Canvas):
    """Rows of maps in boxes, and one cut through all of them.

    A click or a drag in a map sets it, upright or level; with Shift a drag draws one at any angle, and a click on the
    cut takes it away. `cut_changed` carries it, or None; it is for the one who hears it to `set_cut`.
    """

    cut_changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.domain: Mapping[str, tuple[float, float]] = {}  # of the two inputs, across first
        self.boxes: list[list[QRectF]] = []
        self.cut: Cut | None = None
        self.upright = False  # the cut that a click sets
        self._pressed: tuple[QPointF, Place, QRectF, bool] | None = None  # where, in units, its map, on the cut

    def set_cut(self, cut: Cut | None) -> None:
        """Mark a cut in all maps."""
        if cut != self.cut:
            self.cut = cut
            self.update()

    # -- places ------------------------------------------------------------------------------------

    def _ends(self, row: Row, axis: int) -> tuple[float, float]:
        """From edge to edge of the pixels, whose centers are the grid's points."""
        if len(row.axes) > axis and len(row.axes[axis]) > 1:
            values = row.axes[axis]
            half = (float(values[-1]) - float(values[0])) / (len(values) - 1) / 2
            return float(values[0]) - half, float(values[-1]) + half
        names = list(self.domain)
        return self.domain[names[axis]] if axis < len(names) else (0.0, 1.0)

    def _paint_cut(self, painter: QPainter, row: Row, box: QRectF) -> None:
        assert self.cut is not None
        start, end = (self._pixel(row, box, place) for place in self.cut.ends(self._ends(row, 0), self._ends(row, 1)))
        painter.save()
        painter.setClipRect(box)
        for color, width in ((self.theme.surface, 3), (self.theme.text, 1)):
            painter.setPen(QPen(QColor(color), width))
            painter.drawLine(start, end)
        painter.restore()

    def _pixel(self, row: Row, box: QRectF, place: Place) -> QPointF:
        (left, right), (low, high) = self._ends(row, 0), self._ends(row, 1)
        x = box.left() + (place[0] - left) / (right - left) * box.width()
        y = box.bottom() - (place[1] - low) / (high - low) * box.height()
        straight = self.cut is not None and self.cut.kind != "free"
        return QPointF(round(x - 0.5) + 0.5, round(y - 0.5) + 0.5) if straight else QPointF(x, y)

    # -- the mouse ---------------------------------------------------------------------------------

    def _hit(self, at: QPointF) -> tuple[Row, QRectF, Place] | None:
        """The row, the map and the place in the inputs' units under the mouse."""
        for row, boxes in zip(self.rows, self.boxes, strict=False):
            for box in boxes:
                if row.values and box.contains(at):
                    return row, box, self._place(row, box, at)
        return None

    def _place(self, row: Row, box: QRectF, at: QPointF) -> Place:
        """A place in the inputs' units, within the map."""
        share = (at.x() - box.left()) / box.width(), (box.bottom() - at.y()) / box.height()
        out = []
        for axis, part in enumerate(share):
            low, high = self._ends(row, axis)
            out.append(low + min(max(part, 0.0), 1.0) * (high - low))
        return out[0], out[1]

    def _on_cut(self, row: Row, box: QRectF, at: QPointF) -> bool:
        if self.cut is None:
            return False
        a, b = (self._pixel(row, box, place) for place in self.cut.ends(self._ends(row, 0), self._ends(row, 1)))
        way, length = b - a, math.hypot(b.x() - a.x(), b.y() - a.y())
        share = min(max(QPointF.dotProduct(at - a, way) / max(length, 1e-9) ** 2, 0.0), 1.0)
        off = at - a - way * share
        return math.hypot(off.x(), off.y()) <= CLOSE

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        hit = self._hit(event.position())
        if event.button() is not Qt.MouseButton.LeftButton or hit is None:
            super().mousePressEvent(event)
            return
        row, box, place = hit
        self._pressed = event.position(), place, box, self._on_cut(row, box, event.position())
        if not self._pressed[3] and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._send(self._straight(place))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        hit = self._hit(event.position())
        self.setCursor(Qt.CursorShape.CrossCursor if hit else Qt.CursorShape.ArrowCursor)
        if self._pressed is not None and event.buttons() & Qt.MouseButton.LeftButton:
            begun, start, box, _ = self._pressed
            row = next((r for r, boxes in zip(self.rows, self.boxes, strict=False) if box in boxes), None)
            moved = event.position() - begun
            if row is not None and math.hypot(moved.x(), moved.y()) > STILL:
                place = self._place(row, box, event.position())
                free = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
                self._send(Cut("free", start=start, end=place) if free else self._straight(place))
        super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        pressed, self._pressed = self._pressed, None
        if pressed is None:
            super().mouseReleaseEvent(event)
            return
        moved = event.position() - pressed[0]
        if pressed[3] and math.hypot(moved.x(), moved.y()) <= STILL:
            self.cut_changed.emit(None)

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        self.unsetCursor()
        super().leaveEvent(event)

    def _straight(self, place: Place) -> Cut:
        return Cut("up", place[0]) if self.upright else Cut("level", place[1])

    def _send(self, cut: Cut) -> None:
        if cut != self.cut:
            self.cut_changed.emit(cut)
