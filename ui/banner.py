"""Messages that do not stop a person: a strip under the toolbar, with details and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ui.icons import icon
from ui.theme import LIGHT, Theme, mix

HINT, WARNING, DANGER = "hint", "warning", "danger"
_RANK = (HINT, WARNING, DANGER)
_ICONS = {HINT: "eye", WARNING: "warning", DANGER: "warning"}


@dataclass(frozen=True)
class Notice:
    """One message. A second one with the same key takes the place of the first."""

    key: str
    level: str  # HINT, WARNING or DANGER
    text: str
    actions: tuple[tuple[str, Callable[[], None]], ...] = ()  # label and what it does; the notice goes away
    details: str = ""


class Banner(QFrame):
    """Shows the gravest of the notices, the newest of them first; hidden where there is none."""

    shown = Signal(bool)  # whether there is anything to show

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self.setAccessibleName("Message")
        self._theme = LIGHT
        self._notices: list[Notice] = []
        self._buttons: list[QPushButton] = []
        self.icon = QLabel(self)
        self.text = QLabel(self)
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        self.close_button = QToolButton(self)
        self.close_button.setObjectName("bannerClose")
        self.close_button.setToolTip("Take this message away.")
        self.close_button.setAccessibleName("Take this message away")
        self.close_button.setIconSize(QSize(14, 14))
        self.close_button.clicked.connect(self.dismiss)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(12, 5, 8, 5)
        self._row.setSpacing(10)
        self._row.setSizeConstraint(QHBoxLayout.SizeConstraint.SetNoConstraint)
        self._row.addWidget(self.icon)
        self._row.addWidget(self.text, 1)
        self._row.addWidget(self.close_button)
        self.setVisible(False)

    @property
    def notice(self) -> Notice | None:
        """The one that is shown."""
        return max(self._notices, key=lambda one: _RANK.index(one.level), default=None)

    def say(self, notice: Notice) -> None:
        self._notices = [notice, *(one for one in self._notices if one.key != notice.key)]
        self._show()

    def take_back(self, key: str) -> None:
        """The notice with this key is no longer true."""
        before = len(self._notices)
        self._notices = [one for one in self._notices if one.key != key]
        if len(self._notices) != before:
            self._show()

    def has(self, key: str) -> bool:
        return any(one.key == key for one in self._notices)

    def dismiss(self) -> None:
        if (notice := self.notice) is not None:
            self.take_back(notice.key)

    def restyle(self, theme: Theme) -> None:
        self._theme = theme
        self._show()

    def _show(self) -> None:
        for button in self._buttons:
            self._row.removeWidget(button)
            button.hide()
            button.deleteLater()
        self._buttons = []
        notice = self.notice
        if notice is None:
            self.setVisible(False)
            self.shown.emit(False)
            return
        theme = self._theme
        color = {HINT: theme.accent, WARNING: theme.warning, DANGER: theme.danger}[notice.level]
        self.setStyleSheet(
            f"#banner {{ background: {mix(color, theme.surface, 0.13)}; border: 0; border-left: 4px solid {color};"
            f" border-bottom: 1px solid {theme.border}; }} #bannerClose {{ padding: 1px; }}")
        self.icon.setPixmap(icon(_ICONS[notice.level], QColor(color)).pixmap(20, 20))
        self.close_button.setIcon(icon("close", QColor(theme.muted)))
        self.text.setText(notice.text)
        self.setAccessibleDescription(notice.text)
        actions = list(notice.actions)
        for label, action in actions:
            self._add(label, lambda _=False, act=action, key=notice.key: self._act(key, act))
        if notice.details:
            self._add("Details", lambda _=False, one=notice: show_details(self, one.text, one.details))
        self._fit()
        self.setVisible(True)
        self.shown.emit(True)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self._fit()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """A height that is set while Qt delivers the sizes of the first showing does not reach the layout."""
        super().showEvent(event)
        self._row.setGeometry(self.contentsRect())

    def _fit(self) -> None:
        """As high as the text needs at this width: a toolbar does not ask a wrapped text for its height."""
        others = sum(button.sizeHint().width() + self._row.spacing() for button in self._buttons)
        width = self.width() - others - 110
        lines = self.text.heightForWidth(max(width, 200))
        parts = [self.close_button, *self._buttons]
        height = max(lines, *(part.sizeHint().height() for part in parts), 0) + 12
        if self.height() != height or self.minimumHeight() != height:
            self.setFixedHeight(height)

    def _add(self, label: str, slot: Callable[..., object]) -> None:
        button = QPushButton(label, self)
        button.clicked.connect(slot)
        self._row.insertWidget(self._row.count() - 1, button)
        self._buttons.append(button)

    def _act(self, key: str, action: Callable[[], None]) -> None:
        self.take_back(key)
        action()


def show_details(parent: QWidget, text: str, details: str) -> QDialog:
    """A window of its own, which stops nothing, with text that can be copied."""
    dialog = QDialog(parent.window())
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle("Details")
    layout = QVBoxLayout(dialog)
    head = QLabel(text, dialog)
    head.setWordWrap(True)
    body = QPlainTextEdit(details, dialog)
    body.setReadOnly(True)
    body.setAccessibleName("Details")
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, dialog)
    buttons.rejected.connect(dialog.reject)
    for widget in (head, body, buttons):
        layout.addWidget(widget)
    dialog.resize(720, 420)
    dialog.show()
    return dialog
