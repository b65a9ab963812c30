"""The panels in docks: the arrangement at the start, the remembered one, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from PySide6.QtCore import QByteArray, QObject, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QDockWidget, QLabel, QMainWindow, QWidget

from ui.panels.panel import Lane, Panel
from ui.settings import Settings, pack, unpack

FORM = "form"
VERSION = 1
ROOMY = (1500, 900)  # from this size on everything is in sight; below, panels share tabs

_H, _V = Qt.Orientation.Horizontal, Qt.Orientation.Vertical


@dataclass(frozen=True)
class Column:
    """Panels one above the other; those that share a place are tabs of it. `share` is of the width."""

    share: int
    places: tuple[tuple[tuple[str, ...], int], ...]  # (panel ids, share of the height)


#: The curves in a column, the gradient wall large beside them, the fields below it.
WIDE = (
    Column(35, ((("equation",), 20), (("losses",), 28), (("error",), 24), (("weights", "readings"), 28))),
    Column(65, ((("gradients",), 58), (("fields",), 42))),
)
NARROW = (
    Column(36, ((("losses", "error", "equation"), 50), (("weights", "readings"), 50))),
    Column(64, ((("gradients", "fields"), 100),)),
)


class Docks(QObject):
    """Owns the docks of one window."""

    visibility_changed = Signal()

    def __init__(self, window: QMainWindow, form: QWidget, panels: Sequence[Panel]) -> None:
        super().__init__(window)
        self._window = window
        self.panels = list(panels)
        self._brought = ""  # the panel that an experiment has brought to the front
        self.docks: dict[str, QDockWidget] = {FORM: self._dock(FORM, "Experiment", form, None)}
        for panel in self.panels:
            self.docks[panel.id] = self._dock(panel.id, panel.title, panel, panel.header)

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
        return dock

    def actions(self, add: Callable[[QAction], None]) -> None:
        """The switches that show and hide each dock, with Ctrl+0, Ctrl+1, ... as shortcuts."""
        for number, (key, dock) in enumerate(self.docks.items()):
            action = dock.toggleViewAction()
            if number < 10:
                action.setShortcut(QKeySequence(f"Ctrl+{number}"))
            title = dock.windowTitle()
            action.setToolTip(f"Show or hide the {'form' if key == FORM else title[:1].lower() + title[1:]}.")
            add(action)

    def reset(self) -> None:
        """The arrangement of the start, for the size that the window has."""
        window = self._window
        size = window.size()
        columns = WIDE if size.width() >= ROOMY[0] and size.height() >= ROOMY[1] else NARROW
        for dock in self.docks.values():
            dock.setFloating(False)
            window.removeDockWidget(dock)
        form = self.docks[FORM]
        window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, form)
        form.show()
        heads = self._place(columns)
        form_width = 350 if columns is WIDE else 320
        left = max(size.width() - form_width, 400)
        docks = [form, *(dock for dock, _ in heads)]
        window.resizeDocks(docks, [form_width, *(left * share // 100 for _, share in heads)], _H)
        self.visibility_changed.emit()

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
        height = max(window.height() - 150, 300)
        for places in grid:
            window.resizeDocks([docks[0] for docks, _ in places], [height * share // 100 for _, share in places], _V)
        # a panel that no arrangement knows becomes a tab beside the last place
        for key, dock in self.docks.items():
            if key != FORM and key not in known:
                if last_place is None:
                    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
                else:
                    window.tabifyDockWidget(last_place, dock)
                dock.show()
                if last_place is not None:
                    last_place.raise_()
        return heads

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

    # -- remembered --------------------------------------------------------------------------------------------

    def save(self, settings: Settings) -> None:
        settings.geometry = pack(bytes(self._window.saveGeometry().data()))
        settings.layout = pack(bytes(self._window.saveState(VERSION).data()))
        settings.layout_of = self._names()

    def restore(self, settings: Settings) -> bool:
        """The arrangement of the last time. False where there is none that fits these panels."""
        if not settings.layout or settings.layout_of != self._names():
            return False
        return bool(self._window.restoreState(QByteArray(unpack(settings.layout)), VERSION))

    def _names(self) -> str:
        return ",".join(self.docks)

    def visible_kinds(self) -> set[str]:
        """The kinds of frames that the panels in sight draw."""
        return {kind for panel in self.panels if panel.isVisible() for kind in panel.kinds}
