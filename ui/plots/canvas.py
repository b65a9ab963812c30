"""A plot painted by hand, for many small cells: what stands still is painted once and kept.

Grids of cells repaint with every frame. A graphics scene with an item for every axis and label costs several
times what the painter needs, and these plots neither pan nor zoom.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import QLabel, QWidget

from ui.plots.ticks import Ticks
from ui.theme import LIGHT, Theme, font

Align = Qt.AlignmentFlag
SMALL = 8.0  # size in points of the letters at the axes


class Readout(QLabel):
    """The small box beside the mouse that says what is under it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setAutoFillBackground(True)
        self.setMargin(5)
        self.setFont(font(SMALL + 0.5))
        self.hide()

    def restyle(self, theme: Theme) -> None:
        self.setStyleSheet(
            f"background: {theme.surface}; color: {theme.text}; border: 1px solid {theme.border};"
        )

    def show_at(self, place: QPoint, text: str) -> None:
        """Beside `place`, on the side where there is room. An empty text hides it."""
        if not text:
            self.hide()
            return
        self.setText(text)
        self.adjustSize()
        parent = self.parentWidget()
        assert parent is not None
        area = parent.rect()
        x = place.x() + 14 if place.x() + 20 + self.width() < area.width() else place.x() - 14 - self.width()
        y = (
            place.y() + 14
            if place.y() + 20 + self.height() < area.height()
            else place.y() - 14 - self.height()
        )
        self.move(max(0, x), max(0, y))
        self.show()
        self.raise_()


def rows_html(head: str, rows: list[tuple[str, str, str]]) -> str:
    """A heading and rows of (color or '', name, value) for a readout."""
    body = "".join(
        f"<tr><td style='padding-right:10px'>{f'<span style=color:{color}>■</span> ' if color else ''}{name}</td>"
        f"<td align='right'>{value}</td></tr>"
        for color, name, value in rows
    )
    return f"<b>{head}</b><table cellspacing='0' cellpadding='0'>{body}</table>"


class Canvas(QWidget):
    """Base of the painted plots: a layer that stands still, a layer that lives, and a readout under the mouse."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme: Theme = LIGHT
        self.fine = True
        self.exporting = False  # into a drawing: no pixels in between
        self._still: QPixmap | None = None
        self.small = font(SMALL)
        self.readout = Readout(self)
        self.setMouseTracking(True)

    # -- for the kinds of canvas -------------------------------------------------------------------

    def arrange(self) -> None:
        """Work out where everything stands, from the widget's size."""

    def paint_still(self, painter: QPainter) -> None:
        """What changes only with the size, the colors and the scales."""

    def paint_live(self, painter: QPainter) -> None:
        """What changes with every frame."""

    def text_at(self, place: QPointF) -> str:
        """What is under the mouse, as rich text; '' for nothing."""
        return ""

    # -- Qt ----------------------------------------------------------------------------------------

    def renew(self) -> None:
        """Size, colors or scales have changed: arrange and paint everything again."""
        self._still = None
        self.arrange()
        self.update()

    def restyle(self, theme: Theme) -> None:
        self.theme = theme
        self.readout.restyle(theme)
        self.renew()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        self.renew()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        still = None if self.exporting else self._still_layer()
        painter = QPainter(self)
        try:  # a painter that an error leaves open takes the whole application down
            painter.setFont(self.small)
            if still is None:
                painter.fillRect(self.rect(), QColor(self.theme.surface))
                self.paint_still(painter)
            else:
                painter.drawPixmap(0, 0, still)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, self.fine or self.exporting)
            self.paint_live(painter)
        finally:
            painter.end()

    def _still_layer(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        if self._still is None or self._still.devicePixelRatio() != ratio:
            layer = QPixmap(self.size() * ratio)
            layer.setDevicePixelRatio(ratio)
            layer.fill(QColor(self.theme.surface))
            painter = QPainter(layer)
            try:
                painter.setFont(self.small)
                self.paint_still(painter)
            finally:
                painter.end()
            self._still = layer
        return self._still

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        self.readout.show_at(event.position().toPoint(), self.text_at(event.position()))

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        self.readout.hide()

    # -- letters and axes --------------------------------------------------------------------------

    def metrics(self) -> QFontMetricsF:
        return QFontMetricsF(self.small)

    def text_width(self, text: str) -> float:
        """Width in pixels of a text in the small letters."""
        return self.metrics().horizontalAdvance(text)

    def write(
        self, painter: QPainter, box: QRectF, text: str, align: Align, color: str, fount: QFont | None = None
    ) -> None:
        """One line of text in a box; what does not fit ends in an ellipsis."""
        used = fount or self.small
        painter.setFont(used)
        painter.setPen(QColor(color))
        fitted = QFontMetricsF(used).elidedText(text, Qt.TextElideMode.ElideRight, box.width() + 0.5)
        painter.drawText(box, align | Qt.TextFlag.TextSingleLine, fitted)

    def write_empty(self, painter: QPainter, area: QRectF, text: str) -> None:
        """Why there is nothing yet, in the middle of an area, on a ground of its own."""
        box = QRectF(0, 0, self.text_width(text) + 16, self.metrics().height() + 6)
        box.moveCenter(area.center())
        painter.fillRect(box, QColor(self.theme.surface))
        self.write(painter, box, text, Align.AlignCenter, self.theme.muted)

    def write_first(
        self, painter: QPainter, box: QRectF, texts: Sequence[str], align: Align, color: str
    ) -> None:
        """The first of these texts that fits into the box; nothing where none does."""
        for text in texts:
            if self.text_width(text) <= box.width():
                self.write(painter, box, text, align, color)
                return

    def write_up(self, painter: QPainter, box: QRectF, text: str, color: str) -> None:
        """One line of text that reads upwards, centered in a box."""
        painter.save()
        painter.translate(box.center())
        painter.rotate(-90)
        self.write(
            painter,
            QRectF(-box.height() / 2, -box.width() / 2, box.height(), box.width()),
            text,
            Align.AlignCenter,
            color,
        )
        painter.restore()

    def ticks_below(self, painter: QPainter, box: QRectF, places: Ticks, *, labels: bool = True) -> None:
        """Tick marks and labels under a box; `places` are (pixel, label)."""
        height = self.metrics().height()
        for x, text in places:
            painter.setPen(QPen(QColor(self.theme.muted), 1))
            painter.drawLine(QPointF(x, box.bottom()), QPointF(x, box.bottom() + 3))
            if labels:
                half = self.text_width(text) / 2 + 1
                self.write(
                    painter,
                    QRectF(x - half, box.bottom() + 4, 2 * half, height),
                    text,
                    Align.AlignHCenter | Align.AlignTop,
                    self.theme.muted,
                )

    def ticks_left(self, painter: QPainter, box: QRectF, places: Ticks, *, labels: bool = True) -> None:
        """Tick marks and labels on the left of a box; `places` are (pixel, label)."""
        height = self.metrics().height()
        for y, text in places:
            painter.setPen(QPen(QColor(self.theme.muted), 1))
            painter.drawLine(QPointF(box.left() - 3, y), QPointF(box.left(), y))
            if labels:
                width = self.text_width(text) + 1
                self.write(
                    painter,
                    QRectF(box.left() - 5 - width, y - height / 2, width, height),
                    text,
                    Align.AlignRight | Align.AlignVCenter,
                    self.theme.muted,
                )

    def frame(self, painter: QPainter, box: QRectF) -> None:
        """The border of a plot, on whole pixels."""
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(self.theme.border), 1))
        painter.drawRect(box)


def whole(x: float, y: float, width: float, height: float) -> QRectF:
    """A box on whole pixels, so that its border is one sharp line."""
    return QRectF(round(x) + 0.5, round(y) + 0.5, max(1, round(width)), max(1, round(height)))
