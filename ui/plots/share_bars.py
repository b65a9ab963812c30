"""Stacked horizontal bars of shares, painted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QWidget

from ui.plots.canvas import Align, Canvas, rows_html
from ui.theme import font, mix


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar: what it is, its share of the whole bar from 0 to 1, what the mouse reads, its color."""

    name: str
    share: float
    note: str
    color: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what it is of, its pieces, and what stands right of it."""

    label: str
    parts: tuple[Part, ...]
    note: str = ""


class ShareBars(Canvas):
    """Groups of bars below each other, each bar from 0 to 100 % of what its label says."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.groups: list[tuple[str, list[Bar]]] = []
        self.boxes: list[tuple[Bar, QRectF]] = []
        self.headings: list[tuple[str, QRectF]] = []

    def set_groups(self, groups: Sequence[tuple[str, list[Bar]]]) -> None:
        """Headings ('' for none) and the bars below them."""
        if list(groups) == self.groups:
            return
        shape = [(head, [bar.label for bar in bars]) for head, bars in groups]
        same = shape == [(head, [bar.label for bar in bars]) for head, bars in self.groups]
        self.groups = list(groups)
        self.arrange()
        if not same:
            self.updateGeometry()
        self.update()

    def height_wanted(self) -> int:
        """Pixels that all bars need."""
        line = self.metrics().height()
        bars = sum(len(own) for _, own in self.groups)
        heads = sum(1 for head, _ in self.groups if head)
        return round(8 + bars * (2.35 * line + 4) + heads * 1.6 * line)

    def arrange(self) -> None:
        line = self.metrics().height()
        labels = [bar.label for _, bars in self.groups for bar in bars]
        notes = [bar.note for _, bars in self.groups for bar in bars]
        left = 14 + max((self.text_width(text) for text in labels), default=0.0)
        right = 14 + max((self.text_width(text) for text in notes), default=0.0)
        y, self.boxes, self.headings = 4.0, [], []
        for head, bars in self.groups:
            if head:
                self.headings.append((head, QRectF(8, y, self.width() - 16, 1.5 * line)))
                y += 1.6 * line
            for bar in bars:
                box = QRectF(left, y, max(20.0, self.width() - left - right), 1.15 * line)
                self.boxes.append((bar, box))
                y += 2.35 * line + 4
        self.setMinimumHeight(self.height_wanted() if self.groups else 40)

    def paint_live(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        line = self.metrics().height()
        for text, row in self.headings:
            self.write(painter, row, text, Align.AlignVCenter, self.theme.text, font(10, bold=True))
        for bar, box in self.boxes:
            row = QRectF(8, box.top(), box.left() - 12, box.height())
            self.write(painter, row, bar.label, Align.AlignLeft | Align.AlignVCenter, self.theme.muted)
            painter.fillRect(box, QColor(mix(self.theme.border, self.theme.surface, 0.5)))
            x = box.left()  # where the next name begins
            for part, piece in self._pieces(bar, box):
                painter.fillRect(piece, QColor(part.color))
                text = f"{part.name} {percent(part.share)}"
                width = 10 + self.text_width(text) + 4
                if part.share > 0 and x + width <= box.right() + 1:
                    painter.fillRect(QRectF(x, box.bottom() + 2 + line * 0.3, 7, line * 0.45), QColor(part.color))
                    self.write(painter, QRectF(x + 10, box.bottom() + 2, width, line), text, Align.AlignVCenter,
                               self.theme.text)
                    x += width + 10
            painter.setPen(QPen(QColor(self.theme.border), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(box)
            note = QRectF(box.right() + 6, box.top(), self.width() - box.right() - 8, box.height())
            self.write(painter, note, bar.note, Align.AlignLeft | Align.AlignVCenter, self.theme.muted)

    @staticmethod
    def _pieces(bar: Bar, box: QRectF) -> list[tuple[Part, QRectF]]:
        x, out = box.left(), []
        for part in bar.parts:
            width = max(0.0, min(part.share * box.width(), box.right() - x))
            out.append((part, QRectF(x, box.top(), width, box.height())))
            x += width
        return out

    def text_at(self, place: QPointF) -> str:
        for bar, box in self.boxes:
            if not box.adjusted(0, 0, 0, 1.2 * self.metrics().height()).contains(place):
                continue
            over = [part for part, piece in self._pieces(bar, box) if piece.adjusted(0, -2, 1, 2).contains(place)]
            return rows_html(bar.label, [(part.color, f"<b>{part.name}</b>" if part in over else part.name,
                                          f"{percent(part.share)}&nbsp; {part.note}") for part in bar.parts])
        return ""


def percent(share: float) -> str:
    """A share in words: '4.1 %', '< 0.1 %', '85 %'."""
    if share != share:
        return "NaN"
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"
