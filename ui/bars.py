"""The bars of the window: toolbar, messages, menus, and the timeline at its foot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSizePolicy, QToolBar, QToolButton, QWidget

from ui.actions import MENUS, TOOLBAR, WITH_TEXT

if TYPE_CHECKING:
    from ui.main_window import MainWindow

_PLAIN = "QToolBar { padding: 0; border: 0; spacing: 0; }"


def build_toolbar(window: MainWindow) -> None:
    """What is pressed most, and the button that opens the choice of panels."""
    bar = QToolBar("Tools", window)
    bar.setObjectName("toolbar")
    bar.setMovable(False)
    bar.toggleViewAction().setEnabled(False)
    for key in TOOLBAR:
        if key == "-":
            bar.addSeparator()
        elif key == "*space":
            space = QWidget(bar)
            space.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
            bar.addWidget(space)
        else:
            action = window.actions_by_id[key]
            bar.addAction(action)
            button = bar.widgetForAction(action)
            if isinstance(button, QToolButton):
                button.setAccessibleName(action.iconText().rstrip("."))
                if key in WITH_TEXT:
                    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    window.addToolBar(Qt.ToolBarArea.TopToolBarArea, bar)
    window.addToolBarBreak(Qt.ToolBarArea.TopToolBarArea)


def build_messages(window: MainWindow) -> None:
    """The banner, in a bar that is there only while it says something."""
    strip = _strip(window, "Messages", "messages")
    window.banner.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    place = strip.addWidget(window.banner)
    window.addToolBar(Qt.ToolBarArea.TopToolBarArea, strip)
    window.banner.shown.connect(place.setVisible)
    window.banner.shown.connect(strip.setVisible)


def build_timeline(window: MainWindow) -> None:
    """The timeline, between the panels and the status bar."""
    strip = _strip(window, "Timeline", "timeline")
    window.timeline.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    strip.addWidget(window.timeline)
    window.addToolBar(Qt.ToolBarArea.BottomToolBarArea, strip)


def _strip(window: MainWindow, title: str, name: str) -> QToolBar:
    strip = QToolBar(title, window)
    strip.setObjectName(name)
    strip.setMovable(False)
    strip.setStyleSheet(_PLAIN)
    strip.toggleViewAction().setVisible(False)
    return strip


def build_menus(window: MainWindow) -> None:
    """All menus, from the rows of actions and what the parts of the window put there."""
    for title, keys in MENUS.items():
        menu = window.menuBar().addMenu(title)
        menu.setToolTipsVisible(True)
        for key in keys:
            if key == "-":
                menu.addSeparator()
            elif key == "*panels":
                panels = menu.addMenu("Panels")
                panels.setToolTipsVisible(True)
                window.docks.actions(panels.addAction)
            elif key == "*layouts":
                window.layouts.fill(menu.addMenu("Layouts"))
            elif key == "*gallery":
                menu.aboutToShow.connect(lambda menu=menu: window.documents.fill_gallery_menu(menu))
            elif key == "*recent":
                recent = menu.addMenu("Open recent")
                recent.setToolTipsVisible(True)
                menu.aboutToShow.connect(lambda menu=recent: window.documents.fill_recent(menu))
            else:
                menu.addAction(window.actions_by_id[key])
