"""The names, colors and newest values of curves, in a row above a plot that wraps where it is narrow."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui.plots.canvas import SMALL
from ui.theme import LIGHT, Theme, font


@dataclass(slots=True)
class Entry:
    """One curve: what it is called, how it is drawn, its newest value as text."""

    name: str
    color: str
    style: Qt.PenStyle = Qt.PenStyle.SolidLine
    value: str = ""


class Legend(QWidget):
    """Entries in a row. The room for a value stays the same, so that nothing jumps while it changes."""

    SAMPLE = 18.0
    WIDEST = "8.88e\u22128"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme: Theme = LIGHT
        self.entries: list[Entry] = []
        self.heading = ""
        self.shows_values = True
        self.setFont(font(SMALL))
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def set_entries(self, entries: list[Entry]) -> None:
        """New curves, in their order."""
        self.entries = entries
        self._fit()
        self.update()

    def set_heading(self, heading: str) -> None:
        """What all the curves are, in front of them; '' for nothing."""
        self.heading = heading
        self._fit()
        self.update()

    def set_values(self, values: list[str]) -> None:
        """New values, in the order of the entries."""
        if values != [entry.value for entry in self.entries]:
            for entry, value in zip(self.entries, values, strict=True):
                entry.value = value
            self.update()

    def restyle(self, theme: Theme) -> None:
        self.theme = theme
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(100, self.minimumHeight())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        self._fit()

    @staticmethod
    def _bold() -> QFont:
        return font(SMALL, bold=True)

    def _fit(self) -> None:
        places = self._places()
        height = QFontMetricsF(self.font()).height()
        rows = 1 + max((round(box.top() / (height + 3)) for box in places), default=0 if self.heading else -1)
        self.setFixedHeight(round(rows * (height + 3)) + (4 if rows else 0))

    def _places(self) -> list[QRectF]:
        metrics = QFontMetricsF(self.font())
        value = metrics.horizontalAdvance(self.WIDEST) + 4
        names = [self.SAMPLE + 5 + metrics.horizontalAdvance(entry.name) + 5 for entry in self.entries]
        left = 8.0 + (QFontMetricsF(self._bold()).horizontalAdvance(self.heading) + 14 if self.heading else 0.0)
        room = self.width() - 8.0 - left
        self.shows_values = len(names) < 2 or 2 * (max(names) + value) <= room
        # equal columns, so that the values of two lanes stand below each other
        width = max(names, default=1.0) + (value if self.shows_values else 6.0)
        columns = max(1, int(room / width))
        if len(self.entries) > columns and len(self.entries) % 2 == 0:
            columns = max(1, columns - columns % 2) if columns > 1 else 1
        columns = min(columns, max(1, len(self.entries)))
        step = metrics.height() + 3
        return [
            QRectF(left + i % columns * width, 2 + i // columns * step, width, step) for i in range(len(names))
        ]

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        if self.heading:
            painter.setFont(self._bold())
            painter.setPen(QColor(self.theme.text))
            row = QRectF(8, 2, self.width(), QFontMetricsF(self.font()).height() + 3)
            painter.drawText(row, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self.heading)
        painter.setFont(self.font())
        metrics = QFontMetricsF(self.font())
        for entry, box in zip(self.entries, self._places(), strict=True):
            pen = QPen(QColor(entry.color), 2)
            if entry.style is Qt.PenStyle.DashLine:
                pen.setDashPattern([3.5, 2.0])
            elif entry.style is Qt.PenStyle.DotLine:  # of a value, not of a curve
                pen = QPen(QColor(entry.color), 1)
                pen.setDashPattern([4.0, 3.0])
            painter.setPen(pen)
            y = round(box.center().y())
            painter.drawLine(QPointF(box.left(), y), QPointF(box.left() + self.SAMPLE, y))
            painter.setPen(QColor(self.theme.muted))
            name = box.adjusted(self.SAMPLE + 5, 0, 0, 0)
            align = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(name, align, entry.name)
            if not self.shows_values:
                continue
            painter.setPen(QColor(self.theme.text))
            painter.drawText(
                name.adjusted(metrics.horizontalAdvance(entry.name) + 5, 0, 0, 0), align, entry.value
            )
        painter.end()
