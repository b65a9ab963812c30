"""For each loss term a bar of what a step did to it, and points for what was predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from ui.plots.canvas import Align, Canvas, rows_html, whole
from ui.plots.ticks import number, symlog, symlog_ticks
from ui.theme import font, mix

ROW = 20.0  # pixels that a bar with its points is high at least
WIDEST_NAME = 110.0
ROUNDING = 1e-7  # of the loss: less than this is rounding in single precision


@dataclass(slots=True)
class Change:
    """What a step did to one term in one lane, relative to the loss before it."""

    term: str
    color: str
    lane: str
    first: float = math.nan
    both: float = math.nan  # with the second order
    actual: float = math.nan

    @property
    def word(self) -> str:
        """'hurt', 'helped', 'same' (less than rounding); '' where it is not known."""
        if math.isnan(self.actual):
            return ""
        if abs(self.actual) < ROUNDING:
            return "same"
        return "hurt" if self.actual > 0 else "helped"


@dataclass(slots=True)
class _Placed:
    change: Change
    box: QRectF = field(default_factory=QRectF)


class StepBars(Canvas):
    """Rows of terms, in each one bar for every lane, on a shared symlog axis. Left of zero is better."""

    def __init__(self) -> None:
        super().__init__()
        self.threshold, self.limit = 1e-5, 1.0
        self.note = "Appears here with the first frame."
        self.headline = ""
        self._placed: list[_Placed] = []
        self.setMinimumSize(150, 90)

    def set_changes(self, changes: Sequence[Change], headline: str) -> None:
        """The bars as they are now; bars of one term stand together."""
        same = ([(c.term, c.lane, c.color) for c in changes]
                == [(p.change.term, p.change.lane, p.change.color) for p in self._placed])
        self.headline = headline
        if same:
            for placed, change in zip(self._placed, changes, strict=True):
                placed.change = change
            self.update()
        else:
            self._placed = [_Placed(change) for change in changes]
            self.renew()

    def set_scales(self, threshold: float, limit: float) -> None:
        """Linear within +-threshold, out to +-limit."""
        if (threshold, limit) != (self.threshold, self.limit):
            self.threshold, self.limit = threshold, limit
            self.renew()

    @property
    def changes(self) -> list[Change]:
        return [placed.change for placed in self._placed]

    def arrange(self) -> None:
        line = self.metrics().height()
        terms = list(dict.fromkeys(p.change.term for p in self._placed))
        several = len({p.change.lane for p in self._placed}) > 1
        names = [self.text_width(t) + 14 for t in terms]
        self.left = 8 + min(max(names, default=0.0), WIDEST_NAME, 0.34 * self.width())
        if several:
            self.left += 4 + max(self.text_width(p.change.lane) for p in self._placed)
        self.right = 10 + self.text_width("helped") * 1.1
        self.top = 2 * line + 8
        self.bottom = 2 * line + 8
        gap = 6.0
        count = max(1, len(self._placed))
        self.setMinimumHeight(round(self.top + self.bottom + ROW * count + gap * len(terms)))
        room = self.height() - self.top - self.bottom - gap * len(terms)
        height = min(max(ROW, room / count), 46.0)
        y, before = self.top, None
        for placed in self._placed:
            if before is not None and placed.change.term != before:
                y += gap
            before = placed.change.term
            placed.box = whole(self.left, y, max(20.0, self.width() - self.left - self.right), height - 2)
            y += height
        self._end = y

    def _x(self, value: float) -> float:
        box = self._placed[0].box
        at = float(symlog(value, self.threshold)) / float(symlog(self.limit, self.threshold))
        return float(box.center().x() + max(-1.0, min(1.0, at)) * box.width() / 2)

    def paint_still(self, painter: QPainter) -> None:
        if not self._placed:
            return
        theme, line = self.theme, self.metrics().height()
        first = self._placed[0].box
        area = QRectF(first.left(), self.top - 2, first.width(), self._end - self.top + 2)
        painter.fillRect(area, QColor(theme.plot))
        labelled, bare = symlog_ticks(self.limit, self.threshold, area.width(), self.text_width)
        painter.setPen(QPen(QColor(theme.grid), 1))
        for value, _ in labelled:
            x = round(self._x(value)) + 0.5
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        painter.setPen(QPen(QColor(theme.muted), 1))
        zero = round(self._x(0.0)) + 0.5
        painter.drawLine(QPointF(zero, area.top()), QPointF(zero, area.bottom()))
        self.frame(painter, area)
        self.ticks_below(painter, area, [(self._x(value), "") for value in bare], labels=False)
        self.ticks_below(painter, area, [(self._x(value), text) for value, text in labelled])
        threshold = number(self.threshold)
        captions = (f"change / loss before the step (linear within \u00b1{threshold}, log beyond)",
                    f"change / loss before (linear in \u00b1{threshold})", "change / loss before", "change / loss")
        row = QRectF(0, area.bottom() + line + 5, self.width(), line)
        self.write_first(painter, row, captions, Align.AlignHCenter | Align.AlignVCenter, theme.muted)
        self._legend(painter, QRectF(8, line + 4, self.width() - 12, line))
        before = None
        several = len({p.change.lane for p in self._placed}) > 1
        for placed in self._placed:
            change, box = placed.change, placed.box
            label = QRectF(4, box.top(), self.left - 10, box.height())
            if several:
                self.write(painter, label, change.lane, Align.AlignRight | Align.AlignVCenter, theme.muted)
                label.setRight(label.right() - self.text_width(change.lane) - 6)
            if change.term != before:
                painter.fillRect(QRectF(4, box.center().y() - 4, 8, 8), QColor(change.color))
                label.setLeft(16)
                self.write(painter, label, change.term, Align.AlignLeft | Align.AlignVCenter, theme.text)
            before = change.term

    def _legend(self, painter: QPainter, row: QRectF) -> None:
        """Which sign is what, as many as fit."""
        x = row.left()
        for kind, text in (("bar", "actual"), ("ring", "1st order"), ("diamond", "1st + 2nd")):
            width = 16 + self.text_width(text)
            if x + width > row.right():
                return
            at = QPointF(x + 6, row.center().y())
            if kind == "bar":
                painter.fillRect(QRectF(x, row.center().y() - 4, 12, 8), QColor(mix(self.theme.muted,
                                                                                    self.theme.plot, 0.6)))
            else:
                self._sign(painter, at, kind, self.theme.muted)
            self.write(painter, QRectF(x + 16, row.top(), width, row.height()), text,
                       Align.AlignLeft | Align.AlignVCenter, self.theme.muted)
            x += width + 12

    @staticmethod
    def _sign(painter: QPainter, at: QPointF, kind: str, color: str) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(color), 1.5))
        if kind == "ring":
            painter.drawEllipse(at, 3.5, 3.5)
        else:
            r = 4.5
            painter.drawPolygon(QPolygonF([at + QPointF(0, -r), at + QPointF(r, 0), at + QPointF(0, r),
                                           at + QPointF(-r, 0)]))

    def paint_live(self, painter: QPainter) -> None:
        if not self._placed:
            self.write_empty(painter, QRectF(self.rect()), self.note)
            return
        theme, line = self.theme, self.metrics().height()
        self.write(painter, QRectF(8, 2, self.width() - 12, line), self.headline,
                   Align.AlignLeft | Align.AlignVCenter, theme.muted)
        colors = {"hurt": theme.danger, "helped": theme.good}
        for placed in self._placed:
            change, box = placed.change, placed.box
            middle = box.center().y()
            if math.isfinite(change.actual):
                zero, end = self._x(0.0), self._x(change.actual)
                height = min(14.0, box.height() * 0.55)
                painter.fillRect(QRectF(min(zero, end), middle - height / 2, max(1.0, abs(end - zero)), height),
                                 QColor(mix(change.color, theme.plot, 0.75)))
            for kind, value in (("ring", change.first), ("diamond", change.both)):
                if math.isfinite(value):
                    self._sign(painter, QPointF(self._x(value), middle), kind, theme.text)
            word = QRectF(box.right() + 5, box.top(), self.right, box.height())
            text = change.word or "no number"
            self.write(painter, word, text, Align.AlignLeft | Align.AlignVCenter, colors.get(text, theme.muted),
                       font(8, bold=True) if text in colors else None)

    def text_at(self, place: QPointF) -> str:
        for placed in self._placed:
            box, change = placed.box, placed.change
            if box.top() <= place.y() <= box.bottom():
                head = f"{change.lane} {change.term} {change.word}".strip()
                return rows_html(head, [("", "actual", number(change.actual, 4)),
                                        ("", "1st order", number(change.first, 4)),
                                        ("", "1st + 2nd order", number(change.both, 4))])
        return ""
