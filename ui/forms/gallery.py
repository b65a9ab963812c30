"""The list of experiments to begin with: the gallery by chapters, and files that were opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QLineEdit, QListWidget, QListWidgetItem, QToolButton, QWidget

from studio.gallery import Entry

_KEY = Qt.ItemDataRole.UserRole
_TITLE = Qt.ItemDataRole.UserRole + 1
ENTRY = Qt.ItemDataRole.UserRole + 2
ROWS = 6  # more than this many scroll
OPENED = "Opened"  # the chapter of files


class GalleryList(QListWidget):
    """One line for each experiment under its chapter. `chosen` asks; the window answers with `show_current`."""

    chosen = Signal(str)
    keeps_current = True  # in sight, whatever is searched for

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Experiments")
        self.setAccessibleDescription("Choose an experiment to put into the form below.")
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # what tells the experiments of a paper apart stands at the end of their titles
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self._current = ""
        self._words = ""
        self.currentItemChanged.connect(self._changed)

    def fill(self, chapters: Mapping[str, Sequence[Entry]]) -> None:
        """The experiments by chapter, in their order."""
        self.blockSignals(True)
        self.clear()
        for chapter, entries in chapters.items():
            self._add_head(chapter)
            for entry in entries:
                self._add(entry.name, entry.title, entry)
        self.blockSignals(False)
        self._fit()

    def add_file(self, key: str, title: str) -> None:
        """An experiment that came from a file; again for the same key changes its title only."""
        item = self._item(key)
        if item is None:
            self.blockSignals(True)
            self._add_opened(key, title)
            self.blockSignals(False)
        else:
            item.setData(_TITLE, title)
        self._fit()

    def show_current(self, key: str) -> None:
        """Select without asking."""
        self._current = key
        self.blockSignals(True)
        if self._item(key) is None:  # a list without a current line takes the first one when it gets the focus
            self._add_opened(key, key)
        item = self._item(key)
        if item is not None:
            item.setHidden(False)
            self.setCurrentItem(item)
            self.scrollToItem(item)
        self.blockSignals(False)

    def search(self, words: str) -> int:
        """Show the experiments that say all these words of themselves; how many they are."""
        self._words = words
        found = 0
        head: QListWidgetItem | None = None
        for item in self._items():
            if item.data(_KEY) is None:
                head = item
                head.setHidden(bool(words))
                continue
            matches = self._matches(item)
            found += matches
            item.setHidden(not matches and not (self.keeps_current and item.data(_KEY) == self._current))
            if matches and head is not None:
                head.setHidden(False)
        return found

    def mark(self, key: str, changed: bool) -> None:
        """Mark the experiment as changed in the form."""
        item = self._item(key)
        if item is not None:
            title = item.data(_TITLE)
            item.setText(f"{title}  (changed)" if changed else title)

    def keys(self) -> list[str]:
        """Of every experiment, whether it is in sight or not."""
        return [item.data(_KEY) for item in self._items() if item.data(_KEY) is not None]

    def in_sight(self) -> list[str]:
        """The keys of the experiments that a search has left."""
        return [item.data(_KEY) for item in self._items() if item.data(_KEY) is not None and not item.isHidden()]

    def chapters(self) -> list[str]:
        """The heads that are in sight."""
        return [item.text() for item in self._items() if item.data(_KEY) is None and not item.isHidden()]

    def entry(self, key: str) -> Entry | None:
        """What the experiment says of itself; None for a file."""
        item = self._item(key)
        return item.data(ENTRY) if item is not None else None

    def current_key(self) -> str:
        """The key of the line that is selected; '' for none."""
        item = self.currentItem()
        return (item.data(_KEY) or "") if item is not None else ""

    def select(self, key: str) -> None:
        """Select a line as a person does."""
        item = self._item(key)
        if item is not None:
            self.setCurrentItem(item)

    def select_first(self) -> None:
        """Select the first line that the search has found, unless the present one is among them."""
        keys = [item.data(_KEY) for item in self._items() if item.data(_KEY) is not None and self._matches(item)]
        if keys and self.current_key() not in keys:
            self.select(keys[0])

    # -- lines -------------------------------------------------------------------------------------------------

    def _items(self) -> list[QListWidgetItem]:
        return [self.item(row) for row in range(self.count())]

    def _add_head(self, chapter: str) -> QListWidgetItem:
        head = QListWidgetItem(chapter)
        head.setFlags(Qt.ItemFlag.NoItemFlags)
        bold = head.font()
        bold.setBold(True)
        bold.setPointSizeF(self.font().pointSizeF() - 1)
        head.setFont(bold)
        head.setSizeHint(QSize(0, self.fontMetrics().height() + 9))
        self.addItem(head)
        return head

    def _add_opened(self, key: str, title: str) -> None:
        if not any(item.text() == OPENED and item.data(_KEY) is None for item in self._items()):
            self._add_head(OPENED)
        self._add(key, title)

    def _add(self, key: str, title: str, entry: Entry | None = None) -> None:
        item = QListWidgetItem(title)
        item.setData(_KEY, key)
        item.setData(_TITLE, title)
        item.setData(ENTRY, entry)
        item.setToolTip(f"<qt><b>{key}</b><br>{title}</qt>")
        item.setSizeHint(self.line_size())
        self.addItem(item)

    def line_size(self) -> QSize:
        """The size of an experiment's line."""
        return QSize(0, self.fontMetrics().height() + 9)

    def _matches(self, item: QListWidgetItem) -> bool:
        entry = item.data(ENTRY)
        if entry is not None:
            return bool(entry.matches(self._words))
        text = f"{item.data(_KEY)} {item.data(_TITLE)}".lower()
        return all(word in text for word in self._words.lower().split())

    def _item(self, key: str) -> QListWidgetItem | None:
        return next((item for item in self._items() if item.data(_KEY) == key), None)

    def _changed(self, item: QListWidgetItem | None) -> None:
        if item is None or item.data(_KEY) == self._current:
            return
        wanted, before = item.data(_KEY), self._current
        if wanted is not None:
            self.chosen.emit(wanted)
        if self._current == before:  # refused, or a chapter's head
            self.show_current(before)

    def _fit(self) -> None:
        rows = min(max(self.count(), 1), ROWS)
        self.setFixedHeight(rows * (self.fontMetrics().height() + 9) + 2 * self.frameWidth() + 2)


class SearchLine(QLineEdit):
    """Words that a list is searched for. Down goes to the list, Escape shows everything again."""

    def __init__(self, shown: GalleryList, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._list = shown
        self.setPlaceholderText("Search the gallery")
        self.setClearButtonEnabled(True)
        self.setAccessibleName("Search the gallery")
        for button in self.findChildren(QToolButton):
            button.setAccessibleName("Clear the search")
        self.setToolTip("Words from an experiment's title, paper, chapter, or what it shows.")
        self.textChanged.connect(shown.search)
        self.returnPressed.connect(shown.select_first)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if event.key() == Qt.Key.Key_Down:
            self._list.setFocus()
        elif event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        else:
            super().keyPressEvent(event)
