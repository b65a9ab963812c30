"""All panels as cards with a picture, to show and hide them."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QEnterEvent,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QTextLayout,
    QTextOption,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QDialog,
    QFrame,
    QGridLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from ui.docks import Docks
from ui.panel_icons import SIZE, panel_picture
from ui.panels.panel import Panel
from ui.theme import LIGHT, Theme, font, mix

CARD = QSize(320, 98)
COLUMNS = 3
GAP = 8


class Card(QAbstractButton):
    """One panel: its picture, its title, what it shows, and whether it is shown."""

    def __init__(self, panel: Panel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.key, self.tip, self.theme = panel.id, panel.tip, LIGHT
        self.setText(panel.title)
        self.setCheckable(True)
        self.setToolTip(panel.tip)
        self.setAccessibleName(panel.title)
        self.setAccessibleDescription(panel.tip)
        self.setFixedSize(CARD)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._picture = panel_picture(self.key, self.theme)

    def matches(self, words: str) -> bool:
        """Whether every word is somewhere in title or tip, whatever the case of letters."""
        text = f"{self.text()} {self.tip} {self.key}".lower()
        return all(word in text for word in words.lower().split())

    def restyle(self, theme: Theme) -> None:
        self.theme = theme
        self._picture = panel_picture(self.key, theme, self.devicePixelRatioF())
        self.update()

    def enterEvent(self, event: QEnterEvent) -> None:  # noqa: N802 - Qt's name
        self.update()

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        theme, shown = self.theme, self.isChecked()
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            edge = theme.text if self.hasFocus() else theme.accent if shown else theme.border
            ground = mix(theme.accent, theme.surface, 0.10) if shown else theme.surface
            painter.setPen(QPen(QColor(edge), 1.6 if shown or self.hasFocus() else 1.0))
            painter.setBrush(QColor(theme.hover if self.underMouse() and not shown else ground))
            painter.drawRoundedRect(QRectF(1, 1, self.width() - 2, self.height() - 2), 6, 6)
            painter.drawImage(QPointF(12, (self.height() - SIZE.height()) / 2), self._picture)
            left = 12 + SIZE.width() + 12
            painter.setFont(font(bold=True))
            painter.setPen(QColor(theme.text))
            painter.drawText(QRectF(left, 9, self.width() - left - 32, 18), Qt.AlignmentFlag.AlignVCenter, self.text())
            self._write(painter, QRectF(left, 29, self.width() - left - 12, self.height() - 36))
            self._mark(painter, QPointF(self.width() - 20, 18), shown)
        finally:
            painter.end()

    def _write(self, painter: QPainter, box: QRectF) -> None:
        """The tip in small letters, as many lines as there is room for; the last one ends in an ellipsis."""
        small = font(8.5)
        layout = QTextLayout(self.tip, small)
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WordWrap)
        layout.setTextOption(option)
        painter.setFont(small)
        painter.setPen(QColor(self.theme.muted))
        metrics = painter.fontMetrics()
        layout.beginLayout()
        y = box.top()
        while (line := layout.createLine()).isValid():
            line.setLineWidth(box.width())
            last = y + 2 * metrics.lineSpacing() > box.bottom()
            rest = self.tip[line.textStart():]
            text = rest if last else self.tip[line.textStart(): line.textStart() + line.textLength()]
            painter.drawText(QPointF(box.left(), y + metrics.ascent()),
                             metrics.elidedText(text.strip(), Qt.TextElideMode.ElideRight, int(box.width())))
            y += metrics.lineSpacing()
            if last:
                break
        layout.endLayout()

    def _mark(self, painter: QPainter, at: QPointF, shown: bool) -> None:
        theme = self.theme
        painter.setPen(QPen(QColor(theme.accent if shown else theme.muted), 1.2))
        painter.setBrush(QColor(theme.accent if shown else theme.surface))
        painter.drawRoundedRect(QRectF(at.x() - 7, at.y() - 7, 14, 14), 3, 3)
        if shown:
            painter.setPen(QPen(QColor(theme.on_accent), 2))
            painter.drawPolyline([QPointF(at.x() - 3.5, at.y()), QPointF(at.x() - 1, at.y() + 3),
                                  QPointF(at.x() + 4, at.y() - 3.5)])


class PanelPicker(QDialog):
    """A window of its own, which stops nothing: a click shows or hides a panel at once."""

    chosen = Signal(str, bool)  # the panel, and whether it is to be shown

    def __init__(self, parent: QWidget, docks: Docks, theme: Theme) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Panels")
        self._docks = docks
        self.search = QLineEdit(self)
        self.search.setPlaceholderText("Search the panels")
        self.search.setAccessibleName("Search the panels")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._arrange)
        self.nothing = QLabel("No panel says this of itself.", self)
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.nothing.hide()
        inside = QWidget()
        self._grid = QGridLayout(inside)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GAP)
        self.cards = [Card(panel, inside) for panel in docks.panels]
        for card in self.cards:
            card.clicked.connect(lambda on, key=card.key: self.chosen.emit(key, on))
        scroll = QScrollArea(self)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.setSpacing(GAP)
        layout.addWidget(self.search)
        layout.addWidget(self.nothing)
        layout.addWidget(scroll, 1)
        rows = -(-len(self.cards) // COLUMNS)
        room = parent.screen().availableSize()
        wide = COLUMNS * (CARD.width() + GAP) + 42
        self.resize(min(wide, room.width() - 40), min(rows * (CARD.height() + GAP) + 70, room.height() - 80))
        docks.visibility_changed.connect(self.refresh, Qt.ConnectionType.QueuedConnection)
        self._columns = 0
        self.restyle(theme)
        self._arrange()
        self.refresh()

    def refresh(self) -> None:
        """Which panels are shown now."""
        for card in self.cards:
            card.setChecked(self._docks.is_shown(card.key))

    def restyle(self, theme: Theme) -> None:
        for card in self.cards:
            card.restyle(theme)

    def _arrange(self) -> None:
        """The cards that the search finds, in as many columns as there is room for."""
        found = [card for card in self.cards if card.matches(self.search.text())]
        self._columns = max(1, (self.width() - 30) // (CARD.width() + GAP))
        for card in self.cards:
            self._grid.removeWidget(card)
            card.setVisible(card in found)
        for place, card in enumerate(found):
            self._grid.addWidget(card, place // self._columns, place % self._columns)
        for row in range(len(self.cards) + 1):
            self._grid.setRowStretch(row, 1 if row == -(-len(found) // self._columns) else 0)
        for column in range(COLUMNS + 1):
            self._grid.setColumnStretch(column, 1 if column == self._columns else 0)
        self.nothing.setVisible(not found)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        if max(1, (self.width() - 30) // (CARD.width() + GAP)) != self._columns:
            self._arrange()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Return in the search line toggles the one panel that is found."""
        found = [card for card in self.cards if not card.isHidden()]
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if len(found) == 1:
                found[0].click()
            return
        super().keyPressEvent(event)
