"""The panels in docks: arrangements by purpose, those of one's own, one panel that fills the room, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

from PySide6.QtCore import QByteArray, QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QCursor, QKeySequence
from PySide6.QtWidgets import QApplication, QDockWidget, QLabel, QMainWindow, QWidget

from ui.governor import in_sight
from ui.layouts import BY_ID, DEFAULT, Column, Layout
from ui.letters import enlarge
from ui.panels.panel import Lane, Panel
from ui.settings import SavedLayout, Settings, pack, unpack

FORM = "form"
VERSION = 1
QWIDGETSIZE_MAX = (1 << 24) - 1  # Qt's word for no limit, which PySide does not have
ANEW = 150  # ms that a window has kept its size before panels are arranged for it

#: Without animations of any length: when one is deleted Qt shows a tab bar that the next arrangement may have deleted
#: meanwhile, and the program crashes (Qt 6.10). `QMainWindow.setAnimated(False)` alone leaves those of no length.
STILL = "QDockWidget, QTabBar, QToolBar { widget-animation-duration: 0; }"

_H, _V = Qt.Orientation.Horizontal, Qt.Orientation.Vertical


class Docks(QObject):
    """Owns the docks of one window."""

    visibility_changed = Signal()
    arranged = Signal()  # a person has moved, shown or hidden a panel

    def __init__(self, window: QMainWindow, form: QWidget, panels: Sequence[Panel]) -> None:
        super().__init__(window)
        self._window = window
        window.setStyleSheet(STILL)
        self.panels = list(panels)
        self.layout_id = DEFAULT  # the built-in arrangement that the docks were put into last
        self.letters = 1.0
        self._brought = ""  # the panel that an experiment has brought to the front
        self._zoomed: tuple[str, QByteArray] | None = None  # the panel that fills the room, and what was before
        self._arranging = 0
        self._size = window.size()  # of the window when it was arranged last
        self._form_width = 0  # which it keeps when the window becomes another size; 0: not known
        self._columns: tuple[Column, ...] = ()  # of the arrangement
        self._by_hand = True  # whether a person has changed the arrangement
        self._anew = QTimer(self)  # runs while the window is being resized
        self._anew.setSingleShot(True)
        self._anew.setInterval(ANEW)
        self._anew.timeout.connect(self._arrange_anew)
        self.arranged.connect(self._is_by_hand)
        self.docks: dict[str, QDockWidget] = {FORM: self._dock(FORM, "Experiment", form, None)}
        for panel in self.panels:
            self.docks[panel.id] = self._dock(panel.id, panel.title, panel, panel.header)
            panel.enlarged.connect(lambda key=panel.id: self.zoom(key))
        for watched in (window, *self.docks.values()):
            watched.installEventFilter(self)

    def _dock(self, key: str, title: str, widget: QWidget, head: QWidget | None) -> QDockWidget:
        dock = QDockWidget(title, self._window)
        dock.setObjectName(f"dock.{key}")
        dock.setAccessibleName(title)
        if head is None:
            head = QLabel(title)
            head.setObjectName("panelTitle")
            head.setContentsMargins(10, 6, 6, 4)
        # The head of the panel is the title of its dock: it can be dragged, and a double click lets it float.
        dock.setTitleBarWidget(head)
        dock.setWidget(widget)
        dock.visibilityChanged.connect(self.visibility_changed)
        dock.dockLocationChanged.connect(self._moved)
        dock.topLevelChanged.connect(self._moved)
        return dock

    def actions(self, add: Callable[[QAction], None]) -> None:
        """The switches that show and hide each dock, with Ctrl+0, Ctrl+1, ... as shortcuts."""
        for number, (key, dock) in enumerate(self.docks.items()):
            action = dock.toggleViewAction()
            if number < 10:
                action.setShortcut(QKeySequence(f"Ctrl+{number}"))
            title = dock.windowTitle()
            action.setToolTip(f"Show or hide the {'form' if key == FORM else title[:1].lower() + title[1:]}.")
            action.triggered.connect(self._moved)
            add(action)

    def _moved(self, *_: object) -> None:
        if not self._arranging:
            self.arranged.emit()

    @contextmanager
    def _by_program(self) -> Iterator[None]:
        """What moves meanwhile is not moved by a person."""
        self._arranging += 1
        try:
            yield
        finally:
            self._arranging -= 1

    # -- another size ------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Qt shares out room that a window gains, or gains back, as it likes: the form keeps its width."""
        if event.type() is QEvent.Type.Resize and not self._arranging:
            if watched is self._window:
                self._resized()
            elif self._window.size() == self._size and not self._anew.isActive():  # else it comes from the window's
                if watched is self.docks[FORM] and not self.docks[FORM].isFloating():
                    self._form_width = self.docks[FORM].width()
                if QApplication.mouseButtons() & Qt.MouseButton.LeftButton:
                    self._is_by_hand()  # a splitter was dragged
        return False

    def _resized(self) -> None:
        """The layout has shared out the room already: hold it to the form's width until the size stays the same."""
        before, self._size = self._size, self._window.size()
        self._anew.start()
        form = self.docks[FORM]
        if self._form_width and before.width() != self._size.width() and not form.isFloating():
            form.setMinimumWidth(min(self._form_width, self._size.width() // 4))  # a small window stays possible
            form.setMaximumWidth(self._form_width)

    def _release(self) -> None:
        self._anew.stop()
        self.docks[FORM].setMinimumWidth(0)
        self.docks[FORM].setMaximumWidth(QWIDGETSIZE_MAX)

    def _is_by_hand(self) -> None:
        self._by_hand = True

    def _arrange_anew(self) -> None:
        """What was arranged for a smaller or a larger window, as it is for this one."""
        self._release()
        layout, size = BY_ID[self.layout_id], self._window.size()
        if not self._by_hand and self._zoomed is None and layout.columns(size.width(), size.height()) != self._columns:
            self.reset()

    # -- built-in arrangements ---------------------------------------------------------------------------------

    def reset(self) -> None:
        """The present built-in arrangement as it was at first, for the size that the window has."""
        self.apply(BY_ID[self.layout_id])

    def apply(self, layout: Layout) -> None:
        """Put the docks into an arrangement, for the size that the window has."""
        with self._by_program():
            self._apply(layout)
        self._by_hand = False
        self.set_letters(layout.letters)
        self.visibility_changed.emit()

    def _apply(self, layout: Layout) -> None:
        window, size = self._window, self._window.size()
        self._release()
        self._zoomed, self._brought, self.layout_id = None, "", layout.id
        self._columns = columns = layout.columns(size.width(), size.height())
        for dock in self.docks.values():
            dock.setFloating(False)
            window.removeDockWidget(dock)
        form = self.docks[FORM]
        window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, form)
        form.setVisible(layout.form)
        heads = self._place(columns)
        form_width = 0 if not layout.form else 350 if columns is layout.wide else 320
        left = max(size.width() - form_width, 400)
        whole = sum(share for _, share in heads)  # less than 100 where none of a column's panels exists
        widths = [left * share // whole for _, share in heads]
        docks = [dock for dock, _ in heads]
        if layout.form:
            docks, widths = [form, *docks], [form_width, *widths]
            self._form_width = form_width
        window.resizeDocks(docks, widths, _H)

    def _place(self, columns: Sequence[Column]) -> list[tuple[QDockWidget, int]]:
        """Lay out the columns; the first dock of each, and its share of the width."""
        window = self._window
        known = {key for column in columns for keys, _ in column.places for key in keys}
        grid = [[([self.docks[key] for key in keys if key in self.docks], share) for keys, share in column.places]
                for column in columns]
        grid = [[place for place in places if place[0]] for places in grid]
        heads: list[tuple[QDockWidget, int]] = []
        last_place: QDockWidget | None = None
        # All columns first, then what is below each other in them: a split halves the place that it finds.
        for column, places in zip(columns, grid, strict=True):
            if places:
                head = places[0][0][0]
                if heads:
                    window.splitDockWidget(heads[-1][0], head, _H)
                else:
                    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, head)
                heads.append((head, column.share))
        for places in grid:
            above: QDockWidget | None = None
            for docks, _ in places:
                if above is not None:
                    window.splitDockWidget(above, docks[0], _V)
                above = last_place = docks[0]
        # Tabs come last, because a split of tabs gives one more tab.
        for docks in (docks for places in grid for docks, _ in places):
            for before, dock in pairwise(docks):
                window.tabifyDockWidget(before, dock)
            for dock in docks:
                dock.show()
            docks[0].raise_()
        height = max(window.height() - 190, 300)
        for places in grid:
            whole = sum(share for _, share in places)  # less than 100 where a panel does not exist
            window.resizeDocks([docks[0] for docks, _ in places],
                               [height * share // whole for _, share in places], _V)
        # A panel that this arrangement does not know waits behind the last place until somebody shows it.
        self._put_behind([key for key in self.docks if key != FORM and key not in known], last_place)
        return heads

    def _put_behind(self, keys: Sequence[str], place: QDockWidget | None) -> None:
        for key in keys:
            dock = self.docks[key]
            if place is None:
                self._window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
            else:
                self._window.tabifyDockWidget(place, dock)
            dock.hide()

    def set_letters(self, factor: float) -> None:
        """Letters in all panels this many times as large as usual. Again after a change of theme."""
        if factor != 1.0 or self.letters != 1.0:
            for panel in self.panels:
                enlarge(panel, factor)
        self.letters = factor

    def bring_forward(self, lanes: Sequence[Lane]) -> None:
        """To the front of its tabs with the panel that these lanes need; back with one that the last ones needed."""
        wanted = next((panel.id for panel in self.panels if panel.wanted(lanes)), "")
        if wanted == self._brought:
            return
        for key in (self._brought, wanted):
            if key and not self.docks[key].isHidden() and not self.docks[key].isFloating():
                beside = self._window.tabifiedDockWidgets(self.docks[key])
                if key == wanted and beside:
                    self.docks[key].raise_()
                elif beside:
                    beside[0].raise_()
        self._brought = wanted

    # -- one panel ---------------------------------------------------------------------------------------------

    def is_shown(self, key: str) -> bool:
        """Whether a panel has a place, be it behind another tab."""
        return key in self.docks and not self.docks[key].isHidden()

    def show_panel(self, key: str) -> bool:
        """Show a panel and bring it to the front. False where there is none of this name."""
        if key not in self.docks:
            return False
        if self._zoomed is not None and self._zoomed[0] != key:
            self.unzoom()
        dock = self.docks[key]
        if dock.isHidden():
            dock.show()
            self._moved()
        dock.raise_()
        return True

    def hide_panel(self, key: str) -> None:
        self.unzoom()
        if self.is_shown(key):
            self.docks[key].hide()
            self._moved()

    @property
    def zoomed(self) -> str:
        """The panel that fills the room; '' for none."""
        return self._zoomed[0] if self._zoomed is not None else ""

    def zoom(self, key: str) -> None:
        """Fill the room of all panels with one; again: give it back."""
        if self._zoomed is not None:
            self.unzoom()
            return
        if not self.is_shown(key) or key == FORM or self.docks[key].isFloating():
            return
        with self._by_program():
            self._zoomed = key, self._window.saveState(VERSION)
            for other, dock in self.docks.items():
                if other not in (key, FORM) and not dock.isFloating():
                    dock.hide()
            self.docks[key].raise_()
        self.visibility_changed.emit()

    def unzoom(self) -> bool:
        """All panels again, as they were. Whether one filled the room."""
        if self._zoomed is None:
            return False
        with self._by_program():
            (_, state), self._zoomed = self._zoomed, None
            self._window.restoreState(state, VERSION)
        self.visibility_changed.emit()
        return True

    def panel_in_hand(self) -> str:
        """The panel that the mouse is over, or that has the focus; '' for none."""
        for widget in (QApplication.widgetAt(QCursor.pos()), QApplication.focusWidget()):
            while widget is not None:
                found = next((key for key, dock in self.docks.items() if dock is widget and key != FORM), "")
                if found:
                    return found
                widget = widget.parentWidget()
        return ""

    def zoom_in_hand(self) -> None:
        """Zoom the panel under the mouse or with the focus; where one fills the room, all panels again."""
        if not self.unzoom() and (key := self.panel_in_hand()):
            self.zoom(key)

    # -- remembered --------------------------------------------------------------------------------------------

    def save(self, settings: Settings) -> None:
        self.unzoom()
        settings.geometry = pack(bytes(self._window.saveGeometry().data()))
        saved = self.saved()
        settings.layout, settings.layout_of, settings.layout_id = saved.state, saved.of, saved.base

    def restore(self, settings: Settings) -> bool:
        """The arrangement of the last time. False where there is none that can be restored."""
        if not settings.layout:
            return False
        return self.put_back(SavedLayout(state=settings.layout, of=settings.layout_of, base=settings.layout_id))

    def saved(self) -> SavedLayout:
        """The present arrangement, to be put back later."""
        self.unzoom()
        state = pack(bytes(self._window.saveState(VERSION).data()))
        return SavedLayout(state=state, of=",".join(self.docks), base=self.layout_id)

    def put_back(self, saved: SavedLayout) -> bool:
        """An arrangement that was saved. Panels that have been added since stay hidden until they are shown."""
        base = BY_ID.get(saved.base, BY_ID[DEFAULT])
        self._by_hand, self._form_width = True, 0
        with self._by_program():
            self._apply(base)  # where what it does not know has a place
            done = self._window.restoreState(QByteArray(unpack(saved.state)), VERSION)
            known = saved.of.split(",")
            added = [key for key in self.docks if key not in known]
            shown = [dock for key, dock in self.docks.items() if key in known and key != FORM and not dock.isHidden()
                     and not dock.isFloating()]
            if done and added:
                place = max(shown, key=lambda dock: dock.width() * dock.height(), default=None)
                self._put_behind(added, place)
                if place is not None:
                    place.raise_()
        self.set_letters(base.letters)
        self.visibility_changed.emit()
        return done

    def visible_kinds(self) -> set[str]:
        """The kinds of frames that the panels in sight draw."""
        return {kind for panel in self.panels if in_sight(panel) for kind in panel.kinds}
