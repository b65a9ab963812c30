"""A group of the form with a head that opens and closes it and counts what is changed and what is wrong in it."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QToolButton, QVBoxLayout, QWidget

from ui.icons import icon
from ui.theme import LIGHT, Theme


class Section(QWidget):
    """Title, and below it the body when open."""

    def __init__(self, title: str, *, opened: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = title
        self._theme = LIGHT
        self._changed = self._wrong = 0
        self.head = QToolButton(self)
        self.head.setObjectName("sectionHead")
        self.head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.head.setCheckable(True)
        self.head.setChecked(opened)
        self.head.setIconSize(QSize(12, 12))
        self.head.setSizePolicy(self.head.sizePolicy().Policy.Expanding, self.head.sizePolicy().Policy.Fixed)
        self.head.toggled.connect(self._toggle)
        self.body = QWidget(self)
        self.inner = QVBoxLayout(self.body)
        self.inner.setContentsMargins(8, 4, 4, 8)
        self.inner.setSpacing(5)
        self.body.setVisible(opened)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.head)
        layout.addWidget(self.body)
        self.tell(0, 0)

    @property
    def opened(self) -> bool:
        return self.head.isChecked()

    def open(self, opened: bool = True) -> None:
        self.head.setChecked(opened)

    def tell(self, changed: int, wrong: int) -> None:
        """How many fields of the section are changed, and how many are wrong."""
        self._changed, self._wrong = changed, wrong
        notes = [f"{wrong} to mend"] if wrong else []
        notes += [f"{changed} changed"] if changed else []
        self.head.setText(f" {self.title}" + (f"   {', '.join(notes)}" if notes else ""))
        self.head.setAccessibleName(f"Section {self.title}, {', '.join(notes)}" if notes else f"Section {self.title}")
        self.head.setToolTip("Close this section." if self.opened else "Open this section.")
        palette = self.head.palette()
        color = self._theme.danger if wrong else self._theme.accent if changed else self._theme.text
        palette.setColor(palette.ColorRole.ButtonText, QColor(color))
        self.head.setPalette(palette)

    def restyle(self, theme: Theme) -> None:
        self._theme = theme
        self._arrow()
        self.tell(self._changed, self._wrong)

    def _toggle(self, opened: bool) -> None:
        self.body.setVisible(opened)
        self._arrow()
        self.tell(self._changed, self._wrong)

    def _arrow(self) -> None:
        self.head.setIcon(icon("expanded" if self.opened else "collapsed", QColor(self._theme.muted)))
