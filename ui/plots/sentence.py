"""A few words of rich text above a picture that change often: laid out anew only where their height changes."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent, QTextDocument, QTextOption
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui.theme import LIGHT, Theme, font

SIDE, ABOVE, BELOW = 12, 4, 3  # pixels around the words


class Sentence(QWidget):
    """As a label, but for the price: a label that changes has the whole panel laid out again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme: Theme = LIGHT
        self._text = ""
        self._document = QTextDocument(self)
        self._document.setDocumentMargin(0)
        self.centered = False
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(0)

    def text(self) -> str:
        """The words, as rich text."""
        return self._text

    def set_text(self, text: str, *, centered: bool = False) -> None:
        """Other words; none take no room."""
        if (text, centered) != (self._text, self.centered):
            self._text, self.centered = text, centered
            self.setAccessibleName(text)
            self._renew()

    def restyle(self, theme: Theme) -> None:
        self.theme = theme
        self._renew()

    def _renew(self) -> None:
        self._document.setDefaultFont(font())
        option = QTextOption(Qt.AlignmentFlag.AlignHCenter if self.centered else Qt.AlignmentFlag.AlignLeft)
        option.setWrapMode(QTextOption.WrapMode.WordWrap)
        self._document.setDefaultTextOption(option)
        self._document.setHtml(f"<span style='color:{self.theme.text}'>{self._text}</span>")
        self._fit()
        self.update()

    def _fit(self) -> None:
        self._document.setTextWidth(max(40, self.width() - 2 * SIDE))
        height = round(self._document.size().height()) + ABOVE + BELOW if self._text else 0
        if height != self.height():
            self.setFixedHeight(height)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(120, self.height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        self._fit()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.translate(SIDE, ABOVE)
        self._document.drawContents(painter)
        painter.end()
