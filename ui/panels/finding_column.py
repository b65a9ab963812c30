"""Words and buttons below each other, laid out by hand: a change costs what has changed and no more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from PySide6.QtCore import QEvent, QRect, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QResizeEvent, QTextDocument, QTextOption
from PySide6.QtWidgets import QPushButton, QStyle, QStyleOptionButton, QWidget

from ui.panels.finding_words import sentence
from ui.theme import Theme

PAD, GAP = 10, 6  # pixels around parts, and between them


class Prose:
    """Rich text that is wrapped to a width."""

    def __init__(self) -> None:
        self.html = self._letters = ""
        self._fitted = (0, 0)  # width and height: laying out the same words again would cost as much as at first
        self._document = QTextDocument()
        self._document.setDocumentMargin(0)
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self._document.setDefaultTextOption(option)

    def set(self, html: str, widget: QWidget) -> bool:
        """Words, in the letters of a widget; whether that is anything new."""
        letters = widget.font().key()
        if (html, letters) == (self.html, self._letters):
            return False
        self.html, self._letters = html, letters
        self._fitted = (0, 0)
        self._document.setDefaultFont(widget.font())
        self._document.setHtml(html)
        return True

    def fit(self, width: int) -> int:
        """The height in this width, in pixels; 0 without words."""
        if not self.html:
            return 0
        if self._fitted[0] != width:
            self._document.setTextWidth(max(30, width))
            self._fitted = (width, math.ceil(self._document.size().height()))
        return self._fitted[1]

    def paint(self, painter: QPainter, x: int, y: int) -> None:
        if self.html:
            painter.save()
            painter.translate(x, y)
            self._document.drawContents(painter)
            painter.restore()

    def plain(self) -> str:
        return self._document.toPlainText()


class Part(QWidget):
    """Something in the column: `fit` lays it out in a width and gives its height."""

    side = 0  # pixels that are free on its left and right, and below it
    resized = Signal()  # it needs another height

    def fit(self, width: int) -> int:
        raise NotImplementedError


class Words(Part):
    """A sentence; muted for a heading."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._prose = Prose()
        self._text = ""
        self._style = ""

    def set(self, text: str, style: str) -> None:
        """Plain text, with a style sheet's words for it."""
        if (text, style) == (self._text, self._style):
            return
        self._text, self._style = text, style
        before = self._prose.fit(self.width() - 2 * PAD)
        self.setAccessibleName(text)
        self._prose.set(f"<span style='{style}'>{escape(text)}</span>" if text else "", self)
        if self._prose.fit(self.width() - 2 * PAD) != before:
            self.resized.emit()
        self.update()

    def text(self) -> str:
        return self._text

    def fit(self, width: int) -> int:
        height = self._prose.fit(width - 2 * PAD)
        return height + GAP if height else 0

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._prose.set(self._prose.html, self)
            self.resized.emit()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        self._prose.paint(painter, PAD, GAP // 2)
        painter.end()


class WrapButton(QPushButton):
    """A button whose words are wrapped where there is not the room for one line."""

    SIDE, ABOVE = 9, 5

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.words = ""

    def set_words(self, words: str) -> None:
        if words != self.words:
            self.words = words
            self.setText(words.replace("&", "&&"))
            self.update()

    def fit(self, width: int) -> QRect:
        """The size that it needs in at most this width."""
        room = QRect(0, 0, max(30, width - 2 * self.SIDE), 100_000)
        need = self.fontMetrics().boundingRect(room, int(Qt.TextFlag.TextWordWrap), self.words)
        return QRect(0, 0, min(width, need.width() + 2 * self.SIDE + 2), need.height() + 2 * self.ABOVE)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        option = QStyleOptionButton()
        self.initStyleOption(option)
        option.text = ""
        painter = QPainter(self)
        self.style().drawControl(QStyle.ControlElement.CE_PushButton, option, painter, self)
        # what cannot be pressed is still to be read: 'applied at step 3,210'
        role = QPalette.ColorRole.ButtonText if self.isEnabled() else QPalette.ColorRole.PlaceholderText
        painter.setPen(self.palette().color(QPalette.ColorGroup.Active, role))
        box = self.rect().adjusted(self.SIDE, 0, -self.SIDE, 0)
        painter.drawText(box, int(Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignVCenter), self.words)
        painter.end()


class ChangeRow(Part):
    """What was changed while a lane trains, with a button that takes the last of it back."""

    undo = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._prose = Prose()
        self._look: tuple[object, ...] = ()
        self.button = WrapButton(self)
        self.button.clicked.connect(self.undo)

    def set(self, text: str, refusal: str, button: str, why_not: str, theme: Theme) -> None:
        """text: plain; why_not: the reason where nothing can be undone, '' where it can."""
        look = (text, refusal, button, why_not, theme)
        if look == self._look:
            return
        self._look = look
        more = f"<br><span style='color:{theme.danger}'>{escape(sentence(refusal))}</span>" if refusal else ""
        self._prose.set(f"<span style='color:{theme.text}'>{escape(text)}</span>{more}", self)
        self.setAccessibleName(self._prose.plain())
        self.button.set_words(button)
        self.button.setEnabled(not why_not)
        self.button.setToolTip(why_not or "Take the last change back, between two steps; the run goes on (Ctrl+Z).")
        self.resized.emit()
        self.update()

    def text(self) -> str:
        return self._prose.plain()

    def fit(self, width: int) -> int:
        button = self.button.fit(width - 2 * PAD)
        room = width - 2 * PAD - button.width() - GAP
        beside = room > 160
        height = self._prose.fit(room if beside else width - 2 * PAD)
        if beside:
            self.button.setGeometry(width - PAD - button.width(), GAP // 2, button.width(), button.height())
            return max(height + 4, button.height()) + GAP + 2
        self.button.setGeometry(PAD, height + GAP, button.width(), button.height())
        return height + button.height() + 2 * GAP + 2

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._prose.set(self._prose.html, self)
            self.resized.emit()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        self._prose.paint(painter, PAD, GAP // 2 + 2)
        painter.end()


class Column(QWidget):
    """Parts below each other."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[Part] = []
        self._late = False
        self.setMinimumWidth(120)

    def set_parts(self, parts: Sequence[Part]) -> None:
        """These, in this order."""
        if list(parts) != self.parts:
            self.parts = list(parts)
            self.arrange()
        elif self._late:
            self.arrange()

    def needs(self) -> None:
        """A part has another height: arrange before the next picture."""
        self._late = True

    def arrange(self) -> None:
        """Place all parts in the width that there is."""
        self._late = False
        y, width = GAP, self.width()
        for part in self.parts:
            side = part.side
            height = part.fit(width - 2 * side)
            part.setGeometry(side, y, width - 2 * side, height)
            part.setVisible(height > 0)
            y += height + (side if height else 0)
        self.setMinimumHeight(y + GAP)
        self.update()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self.arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.arrange()
