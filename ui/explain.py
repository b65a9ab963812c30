"""What the '?' of a panel opens: what it shows, how to read it, its formulas typeset, and where they come from."""

from __future__ import annotations

import weakref

from PySide6.QtCore import QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QCursor, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QToolButton, QVBoxLayout, QWidget

from ui.icons import icon
from ui.panels.equation import typeset
from ui.panels.panel import Panel
from ui.theme import Theme, font

WIDTH = 420  # pixels
MARGIN = 16
TALLEST = 0.8  # of the screen; what is longer is scrolled

_open: weakref.ref[ExplanationPopup] | None = None


class Formula(QWidget):
    """One typeset formula; as text where it cannot be typeset. Made smaller where it is too wide."""

    def __init__(self, latex: str, theme: Theme, width: int) -> None:
        super().__init__()
        self.latex = latex
        self.drawing: QSvgRenderer | None = typeset(latex, theme.text)
        self.setAccessibleName(latex)
        self._color, self._ground = theme.text, theme.window
        if self.drawing is not None:
            size = self.drawing.viewBoxF().size()
            self._scale = min(1.0, (width - 24) / size.width())
            self.setFixedSize(width, round(size.height() * self._scale) + 16)
        else:
            lines = self.fontMetrics().boundingRect(0, 0, width - 24, 10_000, Qt.TextFlag.TextWrapAnywhere, latex)
            self.setFixedSize(width, lines.height() + 16)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(self._ground))
            painter.drawRoundedRect(self.rect(), 4, 4)
            if self.drawing is not None:
                size = self.drawing.viewBoxF().size() * self._scale
                self.drawing.render(painter, QRectF(12, 8, size.width(), size.height()))
            else:
                painter.setPen(QColor(self._color))
                painter.drawText(self.rect().adjusted(12, 8, -12, -8), int(Qt.TextFlag.TextWrapAnywhere), self.latex)
        finally:
            painter.end()


class ExplanationPopup(QFrame):
    """Stays until it is closed: with Escape, its cross, the same '?' again, or the '?' of another panel."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel.window(), Qt.WindowType.Tool | Qt.WindowType.FramelessWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setObjectName("explanation")
        self.setWindowTitle(panel.title)
        self.setAccessibleName(f"About {panel.title.lower()}")
        self.setFixedWidth(WIDTH)
        self.panel_id = panel.id
        theme = panel.theme
        self.setStyleSheet(f"#explanation {{ background: {theme.surface}; border: 1px solid {theme.muted};"
                           f" border-radius: 6px; }}")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(1, 8, 1, 10)
        outer.setSpacing(4)
        outer.addLayout(self._head(panel, theme))
        self.body = QWidget()
        self.body.setAutoFillBackground(False)
        self.body.setFixedWidth(WIDTH - 2)
        self._fill(panel, theme)
        self._scroll = QScrollArea(self)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.viewport().setAutoFillBackground(False)
        self._scroll.setWidget(self.body)
        self.body.setAutoFillBackground(False)
        outer.addWidget(self._scroll, 1)

    def _head(self, panel: Panel, theme: Theme) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(MARGIN, 0, 8, 0)
        title = QLabel(panel.title, self)
        title.setFont(font(12, bold=True))
        close = QToolButton(self)
        close.setIcon(icon("close", QColor(theme.muted)))
        close.setIconSize(QSize(14, 14))
        close.setToolTip("Close (Esc).")
        close.setAccessibleName("Close")
        close.clicked.connect(self.close)
        row.addWidget(title, 1)
        row.addWidget(close)
        return row

    def _fill(self, panel: Panel, theme: Theme) -> None:
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(MARGIN, 2, MARGIN, 4)
        layout.setSpacing(9)
        width = WIDTH - 2 - 2 * MARGIN
        told = panel.explanation
        for sentence in told.sentences if told is not None else (panel.tip,):
            layout.addWidget(_words(sentence, width))
        for latex in told.formulas if told is not None else ():
            layout.addWidget(Formula(latex, theme, width))
        if told is not None and told.source:
            source = _words(f"Source: {told.source}", width)
            source.setFont(font(8.5))
            source.setStyleSheet(f"color: {theme.muted};")
            source.setFixedHeight(source.heightForWidth(width))
            layout.addWidget(source)
        layout.addStretch(1)
        self.body.adjustSize()

    def place_at(self, mark: QWidget) -> None:
        """Below the question mark where there is room, always whole on the screen."""
        room = mark.screen().availableGeometry()
        height = min(self.body.height() + 50, round(TALLEST * room.height()))
        self.setFixedHeight(height)
        at = mark.mapToGlobal(QPoint(0, mark.height() + 4))
        x = min(max(room.left(), at.x() - 20), room.right() - WIDTH)
        y = at.y() if at.y() + height <= room.bottom() else max(room.top(), room.bottom() - height)
        self.move(x, y)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)


def _words(text: str, width: int) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setCursor(QCursor(Qt.CursorShape.ArrowCursor))
    label.setFixedSize(width, label.heightForWidth(width))
    return label


def shown() -> ExplanationPopup | None:
    """The explanation that is open."""
    popup = _open() if _open is not None else None
    try:
        return popup if popup is not None and popup.isVisible() else None
    except RuntimeError:  # Qt has deleted it
        return None


def close_explanation() -> bool:
    """Close the one that is open. Whether there was one."""
    popup = shown()
    return popup is not None and popup.close()


def show_explanation(panel: Panel, mark: QWidget) -> QWidget:
    """Open a panel's explanation; where it is open already it is closed."""
    global _open
    before = shown()
    if before is not None:
        before.close()
        if before.panel_id == panel.id:
            return before
    popup = ExplanationPopup(panel)
    popup.place_at(mark)
    _open = weakref.ref(popup)
    popup.show()
    popup.setFocus()
    return popup
