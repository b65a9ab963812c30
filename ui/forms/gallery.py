"""The list of experiments to begin with: the gallery, and files that were opened."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem, QWidget

_KEY = Qt.ItemDataRole.UserRole
_TITLE = Qt.ItemDataRole.UserRole + 1
ROWS = 6  # more than this many scroll


class GalleryList(QListWidget):
    """One line for each experiment. `chosen` asks; the window answers with `show_current`."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Experiments")
        self.setAccessibleDescription("Choose an experiment to put into the form below.")
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setUniformItemSizes(True)
        self._current = ""
        self.currentItemChanged.connect(self._changed)

    def fill(self, entries: Sequence[tuple[str, str]]) -> None:
        """Pairs of key and title."""
        self.blockSignals(True)
        self.clear()
        for key, title in entries:
            self._add(key, title)
        self.blockSignals(False)
        self._fit()

    def add_file(self, key: str, title: str) -> None:
        """An experiment that came from a file; again for the same key changes its title only."""
        item = self._item(key)
        if item is None:
            self.blockSignals(True)
            self._add(key, title)
            self.blockSignals(False)
        else:
            item.setData(_TITLE, title)
        self._fit()

    def show_current(self, key: str) -> None:
        """Select without asking."""
        self._current = key
        self.blockSignals(True)
        if self._item(key) is None:  # a list without a current line takes the first one when it gets the focus
            self._add(key, key)
        item = self._item(key)
        if item is not None:
            self.setCurrentItem(item)
            self.scrollToItem(item)
        self.blockSignals(False)

    def mark(self, key: str, changed: bool) -> None:
        """Mark the experiment as changed in the form."""
        item = self._item(key)
        if item is not None:
            title = item.data(_TITLE)
            item.setText(f"{title}  (changed)" if changed else title)

    def keys(self) -> list[str]:
        return [self.item(row).data(_KEY) for row in range(self.count())]

    def _add(self, key: str, title: str) -> None:
        item = QListWidgetItem(title)
        item.setData(_KEY, key)
        item.setData(_TITLE, title)
        item.setToolTip(f"<qt><b>{key}</b><br>{title}</qt>")
        item.setSizeHint(QSize(0, self.fontMetrics().height() + 9))
        self.addItem(item)

    def _item(self, key: str) -> QListWidgetItem | None:
        return next((self.item(row) for row in range(self.count()) if self.item(row).data(_KEY) == key), None)

    def _changed(self, item: QListWidgetItem | None) -> None:
        if item is None or item.data(_KEY) == self._current:
            return
        wanted, before = item.data(_KEY), self._current
        self.chosen.emit(wanted)
        if self._current == before:  # refused
            self.show_current(before)

    def _fit(self) -> None:
        rows = min(max(self.count(), 1), ROWS)
        self.setFixedHeight(rows * (self.fontMetrics().height() + 9) + 2 * self.frameWidth() + 2)
