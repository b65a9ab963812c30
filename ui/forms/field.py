"""One field of the form: label, editor, the way back, and under it the message when its value is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QFontDatabase, QPalette
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from ui.forms.editors import BlockEditor, editor_for
from ui.forms.schema import FieldRow
from ui.forms.text import BeyondLimit, write
from ui.icons import icon
from ui.theme import LIGHT, Theme

LABEL_WIDTH = 112
POINTER_WIDTH = 36  # characters of a formula that fit under its field


class MessageLabel(QLabel):
    """A sentence in the color of danger, wrapped, hidden while there is nothing to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.setVisible(False)

    def say(self, text: str) -> None:
        self.setText(text)
        self.setVisible(bool(text))

    def set_color(self, color: str) -> None:
        palette = self.palette()
        for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text):  # Text: where it can be selected
            palette.setColor(role, QColor(color))
        self.setPalette(palette)


class Field(QWidget):
    """One value. `path` gives its dotted path now (a row of a table can move)."""

    edited = Signal()

    def __init__(self, row: FieldRow, path: Callable[[], str], *, stacked: bool = False,
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.row, self._path = row, path
        self._base: str | None = None
        self._position: int | None = None
        self._theme = LIGHT
        self.editor = editor_for(row)
        self.editor.setAccessibleName(f"{row.label}, {row.unit}" if row.unit else row.label)
        self.editor.setAccessibleDescription(row.description)
        self.editor.edited.connect(self._edited)
        self.label = QLabel(row.label)
        self.label.setBuddy(self.editor)
        self.back = QToolButton(self)
        self.back.setObjectName("smallButton")
        self.back.setToolTip("Set back to the value that the experiment was opened with.")
        self.back.setAccessibleName(f"Set back {row.label.lower()}")
        self.back.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.back.clicked.connect(self.set_back)
        keep = self.back.sizePolicy()
        keep.setRetainSizeWhenHidden(not stacked)
        self.back.setSizePolicy(keep)
        self.back.setFixedSize(20, 20)
        self.back.setVisible(False)
        self.message = MessageLabel(self)
        self.pointer = MessageLabel(self)
        self.pointer.setWordWrap(False)
        mono = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        mono.setPointSizeF(self.font().pointSizeF() - 1)
        self.pointer.setFont(mono)
        self._arrange(stacked)
        self.set_tip()

    def _arrange(self, stacked: bool) -> None:
        if stacked or self.row.wide:
            outer = QVBoxLayout(self)
            outer.setContentsMargins(0, 0, 0, 0)
            outer.setSpacing(1)
            head = QHBoxLayout()
            head.setContentsMargins(0, 0, 0, 0)
            head.addWidget(self.label, 1)
            head.addWidget(self.back)
            outer.addLayout(head)
            for widget in (self.editor, self.pointer, self.message):
                outer.addWidget(widget)
            if stacked:
                outer.addStretch(1)
            return
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(1)
        self.label.setFixedWidth(LABEL_WIDTH)
        self.label.setWordWrap(True)
        tall = isinstance(self.editor, BlockEditor)
        side = Qt.AlignmentFlag.AlignTop if tall else Qt.AlignmentFlag.AlignVCenter
        if tall:
            self.label.setContentsMargins(0, 4, 0, 0)
        grid.addWidget(self.label, 0, 0, side)
        grid.addWidget(self.editor, 0, 1)
        grid.addWidget(self.back, 0, 2, side)
        grid.addWidget(self.pointer, 1, 0, 1, 3)
        grid.addWidget(self.message, 2, 1, 1, 2)
        grid.setColumnStretch(1, 1)

    # -- value -------------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        return self._path()

    def raw(self) -> str:
        return self.editor.raw()

    def set_raw(self, text: str) -> None:
        self.editor.set_raw(text)

    def value(self) -> Any:
        """What the text says. Raises ValueError with a sentence."""
        try:
            return self.row.read(self.editor.raw())
        except BeyondLimit:
            if self.row.kind != "whole" or "at most" not in self.row.bounds:
                raise
            said = self.editor.raw().strip()
            raise ValueError(f"'{said}' is not possible; it must be {self.row.bounds}") from None

    def base_value(self) -> Any:
        """The value that the experiment was opened with; None for a new row of a table."""
        return None if self._base is None else self.row.read(self._base)

    def set_base(self, value: Any, *, show: bool) -> None:
        """The value to compare with and to set back to (None: there is none); `show` puts it into the editor."""
        self._base = None if value is None else write(self.row.kind, value)
        if show and self._base is not None:
            self.editor.set_raw(self._base)
        self._mark()

    def is_changed(self) -> bool:
        return self._base is not None and self.editor.raw() != self._base

    def is_default(self) -> bool:
        """Whether this is what it is where nothing is said of it."""
        return self.row.default is not None and self.editor.raw() == self.row.default

    def show_where(self, matters: bool) -> None:
        """Hide what does not matter, unless somebody has set it, it is wrong, or the cursor is in it."""
        needed = not self.is_default() or self.is_changed() or bool(self.problem) or self.editor.hasFocus()
        if self.isHidden() is (matters or needed):
            self.setVisible(matters or needed)

    def set_back(self) -> None:
        if self._base is not None:
            self.editor.set_raw(self._base)
            self.editor.setFocus()

    # -- what is wrong -----------------------------------------------------------------------------------------

    @property
    def problem(self) -> str:
        return self.message.text()

    def show_problem(self, said: str, text: str = "", position: int | None = None) -> None:
        """A sentence under the field, with `text` and a caret below `position` where one is known; '' is right."""
        if (said, position) == (self.problem, self._position) and bool(text) == bool(self.pointer.text()):
            return
        self._position = position
        self.message.say(sentence(said))
        self.pointer.say(_pointer(text, position) if position is not None else "")
        if isinstance(self.editor, BlockEditor):
            start = self.editor.raw().find(text) if text else -1
            place = None if position is None or start < 0 else start + position
            self.editor.mark(place, QColor(self._theme.danger))
        self.editor.setProperty("wrong", bool(said))
        self.editor.style().unpolish(self.editor)
        self.editor.style().polish(self.editor)
        self.set_tip()

    # -- looks -------------------------------------------------------------------------------------------------

    def restyle(self, theme: Theme) -> None:
        self._theme = theme
        self.back.setIcon(icon("undo", QColor(theme.accent)))
        self.message.set_color(theme.danger)
        self.pointer.set_color(theme.danger)
        self._mark()

    def set_tip(self) -> None:
        tip = self.row.tip(self.path)
        self.label.setToolTip(tip)
        self.editor.setToolTip(tip)

    def _edited(self) -> None:
        self._mark()
        self.edited.emit()

    def _mark(self) -> None:
        changed = self.is_changed()
        self.back.setVisible(changed)
        font = self.label.font()
        if font.bold() is not changed:
            font.setBold(changed)
            self.label.setFont(font)
        palette = self.label.palette()
        palette.setColor(QPalette.ColorRole.WindowText, QColor(self._theme.accent if changed else self._theme.text))
        self.label.setPalette(palette)


def _pointer(text: str, position: int) -> str:
    """The part of `text` around `position`, and a caret below the place."""
    start = max(0, min(position - POINTER_WIDTH // 2, len(text) - POINTER_WIDTH))
    part = text[start:start + POINTER_WIDTH].replace("\n", " ")
    return f"{part}\n{' ' * (position - start)}^"


def sentence(text: str) -> str:
    """With a capital at the head where it begins with a plain word, and a full stop."""
    if not text:
        return ""
    head = text.split(" ", 1)[0]
    text = text[:1].upper() + text[1:] if head.isalpha() and len(head) > 1 or head in ("a", "A") else text
    return text if text.endswith((".", "?", "!")) else f"{text}."
