"""Which arrangement of the panels the window has: one by purpose, one of one's own, or what a chapter wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QInputDialog, QMenu

from studio import gallery
from ui.layouts import BY_ID, LAYOUTS, wanted_by

if TYPE_CHECKING:
    from ui.main_window import MainWindow

LONGEST = 40  # letters of a name


class LayoutChoice(QObject):
    """The layouts of one window, and their menu."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.own = ""  # the name of the layout of one's own that is shown; '' for a built-in one
        self._menu: QMenu | None = None
        self._group = QActionGroup(self)
        window.docks.arranged.connect(self._has_arranged)

    # -- the menu ----------------------------------------------------------------------------------------------

    def fill(self, menu: QMenu) -> None:
        """The built-in layouts with Alt+1, Alt+2 ..., then those of one's own, then what can be done with them."""
        self._menu = menu
        menu.setToolTipsVisible(True)
        for action in menu.actions():
            menu.removeAction(action)
        for action in self._group.actions():
            self._group.removeAction(action)
            action.setShortcut(QKeySequence())
            action.deleteLater()  # not at once: it may be the one that was just triggered
        docks, own = self._window.docks, self._window.settings.layouts
        for number, layout in enumerate(LAYOUTS, 1):
            action = self._add(menu, layout.title, layout.tip, number, not self.own and docks.layout_id == layout.id)
            action.triggered.connect(lambda _=False, key=layout.id: self.choose(key))
        if own:
            menu.addSeparator()
        for number, name in enumerate(own, len(LAYOUTS) + 1):
            action = self._add(menu, name.replace("&", "&&"), "A layout of your own.", number, self.own == name)
            action.triggered.connect(lambda _=False, key=name: self.choose_own(key))
        menu.addSeparator()
        for key in ("layout.save", "layout.rename", "layout.delete"):
            menu.addAction(self._window.actions_by_id[key])

    def _add(self, menu: QMenu, text: str, tip: str, number: int, checked: bool) -> QAction:
        action = QAction(text, menu)
        action.setToolTip(tip)
        action.setCheckable(True)
        action.setChecked(checked)
        if number < 10:
            action.setShortcut(QKeySequence(f"Alt+{number}"))
        self._group.addAction(action)
        menu.addAction(action)
        return action

    def _show_choice(self) -> None:
        if self._menu is not None:
            self.fill(self._menu)
        self._window.actions_by_id.refresh()

    # -- choosing ----------------------------------------------------------------------------------------------

    def choose(self, key: str) -> None:
        """A built-in layout, by a person."""
        self.own = ""
        self._window.docks.apply(BY_ID[key])
        self._has_chosen()

    def choose_own(self, name: str) -> None:
        """A layout of one's own."""
        saved = self._window.settings.layouts.get(name)
        if saved is None or not self._window.docks.put_back(saved):
            self._window.runbar.say(f"The layout '{name}' cannot be put back.")
            return
        self.own = name
        self._has_chosen()

    def reset(self) -> None:
        """The present layout as it was when it was chosen."""
        if self.own:
            self.choose_own(self.own)
        else:
            self._window.docks.reset()

    def _has_chosen(self) -> None:
        self._window.settings.layout_chosen = True
        self._window.save_settings()
        self._window.travel.refresh()
        self._show_choice()

    def _has_arranged(self) -> None:
        """A person who has moved a panel keeps it where it is, whatever an experiment wants."""
        self._window.settings.layout_chosen = True

    def for_experiment(self, key: str) -> None:
        """The layout that an experiment of the gallery wants, unless a person has chosen one."""
        if self._window.settings.layout_chosen:
            return
        wanted = wanted_by(gallery.entry(key) if key in gallery.names() else None)
        if wanted != self._window.docks.layout_id:
            self._window.docks.apply(BY_ID[wanted])
            self._show_choice()

    # -- of one's own ------------------------------------------------------------------------------------------

    def why_not_own(self) -> str:
        return "" if self.own else "This is no layout of your own; save it under a name first."

    def ask_and_save(self) -> None:
        name = self._ask("Save layout", self.own)
        if name:
            self.save(name)

    def save(self, name: str) -> None:
        """Keep the present arrangement; one of the same name is replaced."""
        settings = self._window.settings
        settings.layouts = {**settings.layouts, name: self._window.docks.saved()}
        self.own = name
        self._has_chosen()

    def ask_and_rename(self) -> None:
        name = self._ask("Rename layout", self.own)
        if name:
            self.rename(name)

    def rename(self, name: str) -> None:
        """Another name for the layout that is shown; it keeps its place in the menu."""
        settings = self._window.settings
        if not self.own or name == self.own:
            return
        old = self.own
        settings.layouts = {name if key == old else key: saved for key, saved in settings.layouts.items()
                            if key != name or key == old}
        self.own = name
        self._has_chosen()

    def delete(self) -> None:
        """Forget the layout that is shown; the panels stay where they are."""
        settings = self._window.settings
        settings.layouts = {key: saved for key, saved in settings.layouts.items() if key != self.own}
        self.own = ""
        self._has_chosen()

    def _ask(self, title: str, name: str) -> str:
        """A name; '' where the person thought better of it, or it is one of the built-in names (which is told)."""
        text, ok = QInputDialog.getText(self._window, title, "Name of the layout:", text=name)
        wanted = " ".join(text.split())[:LONGEST]
        if ok and wanted in {layout.title for layout in LAYOUTS}:
            self._window.runbar.say(f"'{wanted}' is a built-in layout; give yours another name.")
            return ""
        return wanted if ok else ""
