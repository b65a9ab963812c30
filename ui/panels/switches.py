"""Switches in a panel's head: buttons beside each other, or in one list where there is no room for them."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLayout, QMenu, QSizePolicy, QToolButton, QWidget

GAP = 2


class Switches(QWidget):
    """As wide as its buttons where the head has the room; at least as wide as the button that opens the list."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._buttons: dict[QAction, QToolButton] = {}
        self.list = QToolButton(self)
        self.list.setText("Show")
        self.list.setToolTip("What is shown besides, and how.")
        self.list.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.list.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu = QMenu(self.list)
        self._menu.setToolTipsVisible(True)
        self.list.setMenu(self._menu)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(GAP)
        self._row.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        self._row.addWidget(self.list)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)

    def add(self, text: str, tip: str, *, on: bool = False) -> QAction:
        """A switch; its `toggled`, `setChecked` and `setVisible` hold for button and list."""
        action = QAction(text, self)
        action.setToolTip(tip)
        action.setCheckable(True)
        action.setChecked(on)
        self._menu.addAction(action)
        button = QToolButton(self)
        button.setDefaultAction(action)
        button.setToolTip(tip)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._buttons[action] = button
        self._row.addWidget(button)
        action.changed.connect(self._changed)
        self._changed()
        return action

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        hints = [button.sizeHint() for action, button in self._buttons.items() if action.isVisible()]
        width = sum(hint.width() + GAP for hint in hints) - GAP
        return QSize(max(width, 0), max((hint.height() for hint in hints), default=0))

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        hint = self.sizeHint()
        return QSize(min(self.list.sizeHint().width(), hint.width()), hint.height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        self._arrange()

    def _changed(self) -> None:
        self.updateGeometry()
        self._arrange()

    def _arrange(self) -> None:
        wide = self.width() >= self.sizeHint().width()
        self.list.setHidden(wide)
        for action, button in self._buttons.items():
            button.setHidden(not (wide and action.isVisible()))
