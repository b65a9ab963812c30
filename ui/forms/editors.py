"""The widgets that hold the text of one value. What is typed stays typed: none of them corrects a person."""

from __future__ import annotations

import math

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFontDatabase,
    QFontMetricsF,
    QKeyEvent,
    QResizeEvent,
    QTextCharFormat,
    QTextCursor,
    QWheelEvent,
)
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QPlainTextEdit, QSizePolicy, QTextEdit, QWidget

from ui.forms.schema import FieldRow
from ui.forms.text import read, write_real

LINES = 8  # a block grows to this height, then scrolls
_SERIES = (1.0, 2.0, 5.0)


class LineEditor(QLineEdit):
    """One line of text. Up and down change a number: a whole one by 1, a real one along 1, 2, 5, 10."""

    edited = Signal()

    def __init__(self, kind: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind = kind
        self.setMinimumWidth(40)
        self.textChanged.connect(self.edited)

    def raw(self) -> str:
        return self.text()

    def set_raw(self, text: str) -> None:
        self.setText(text)
        self.setCursorPosition(0)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        direction = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}.get(Qt.Key(event.key()), 0)
        if direction and self.kind in ("whole", "real"):
            self._step(direction)
            return
        super().keyPressEvent(event)

    def _step(self, direction: int) -> None:
        try:
            value = read(self.kind, self.text())
        except ValueError:
            return
        if self.kind == "whole":
            self.setText(str(value + direction))
        elif value > 0:
            self.setText(write_real(_neighbor(value, direction)))


class BlockEditor(QPlainTextEdit):
    """Text of several lines that is as high as it needs to be. A formula is one line, however it wraps."""

    edited = Signal()

    def __init__(self, *, one_line: bool, mono: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.one_line = one_line
        self.setTabChangesFocus(True)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(60)
        if mono:
            font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
            font.setPointSizeF(self.font().pointSizeF() - 0.5)
            self.setFont(font)
        self.document().setDocumentMargin(3)
        self.textChanged.connect(self._changed)
        self._fit()

    def raw(self) -> str:
        return self.toPlainText()

    def set_raw(self, text: str) -> None:
        self.setPlainText(text)

    def mark(self, position: int | None, color: QColor) -> None:
        """Underline the place where the text is wrong; None takes the mark away."""
        if position is None:
            self.setExtraSelections([])
            return
        cursor = QTextCursor(self.document())
        length = self.document().characterCount() - 1
        cursor.setPosition(min(position, max(length - 1, 0)))
        cursor.movePosition(QTextCursor.MoveOperation.EndOfWord, QTextCursor.MoveMode.KeepAnchor)
        if not cursor.hasSelection():
            cursor.movePosition(QTextCursor.MoveOperation.NextCharacter, QTextCursor.MoveMode.KeepAnchor)
        wave = QTextCharFormat()
        wave.setUnderlineStyle(QTextCharFormat.UnderlineStyle.WaveUnderline)
        wave.setUnderlineColor(color)
        wave.setForeground(color)
        selection = QTextEdit.ExtraSelection()
        selection.cursor, selection.format = cursor, wave
        self.setExtraSelections([selection])

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if self.one_line and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            event.ignore()
            return
        super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        if self.verticalScrollBar().maximum() > 0 and self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self._fit()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(160, self._height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(60, self._height())

    def _changed(self) -> None:
        self._fit()
        self.edited.emit()

    def _fit(self) -> None:
        height = self._height()
        if self.height() != height or self.minimumHeight() != height:
            self.setFixedHeight(height)

    def _height(self) -> int:
        lines = 0
        block = self.document().begin()
        while block.isValid():
            self.document().documentLayout().blockBoundingRect(block)  # breaks the lines anew where the width is new
            layout = block.layout()
            lines += max(1, layout.lineCount() if layout is not None else 1)
            block = block.next()
        full = lines > LINES
        policy = Qt.ScrollBarPolicy.ScrollBarAsNeeded if full else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        if self.verticalScrollBarPolicy() != policy:
            self.setVerticalScrollBarPolicy(policy)
        line = QFontMetricsF(self.font()).lineSpacing()
        margins = 2 * self.document().documentMargin() + 2 * self.frameWidth() + 4
        return math.ceil(min(max(lines, 1), LINES) * line + margins)


class ChoiceEditor(QComboBox):
    """One of several. The wheel scrolls the form, not the choice."""

    edited = Signal()

    def __init__(self, choices: tuple[str, ...], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.addItems(list(choices))
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(4)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.currentIndexChanged.connect(self.edited)

    def raw(self) -> str:
        return self.currentText()

    def set_raw(self, text: str) -> None:
        index = self.findText(text)
        if index >= 0:
            self.setCurrentIndex(index)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        event.ignore()


class YesNoEditor(QCheckBox):
    """True where it is checked."""

    edited = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.toggled.connect(self.edited)

    def raw(self) -> str:
        return "true" if self.isChecked() else "false"

    def set_raw(self, text: str) -> None:
        self.setChecked(text == "true")


Editor = LineEditor | BlockEditor | ChoiceEditor | YesNoEditor


def editor_for(row: FieldRow) -> Editor:
    """The widget for one kind of field."""
    if row.kind == "choice":
        return ChoiceEditor(row.choices)
    if row.kind == "yes or no":
        return YesNoEditor()
    if row.formula:
        return BlockEditor(one_line=row.kind == "text", mono=True)
    if row.kind.endswith(("by name", "by term", "by line")) or row.kind == "changes":
        return BlockEditor(one_line=False, mono=True)
    if row.kind == "text" and row.name in ("title", "look", "source"):
        return BlockEditor(one_line=True, mono=False)
    return LineEditor(row.kind)


def _neighbor(value: float, direction: int) -> float:
    """The next number above (1) or below (-1) of the form 1, 2 or 5 times a power of ten."""
    power = int(f"{value:e}".partition("e")[2])
    candidates = [float(f"{digit:g}e{exponent}") for exponent in range(power - 1, power + 2) for digit in _SERIES]
    if direction > 0:
        return min(item for item in candidates if item > value * (1 + 1e-9))
    return max(item for item in candidates if item < value * (1 - 1e-9))
