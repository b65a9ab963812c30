"""The journal of the run that is shown: everything that has happened to it, with every reason in full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRect, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFontMetrics,
    QGuiApplication,
    QKeySequence,
    QResizeEvent,
    QShortcut,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from studio.messages import Update
from ui.panels.panel import Lane
from ui.theme import LIGHT, Theme
from ui.timeline_marks import OTHER, STYLES

if TYPE_CHECKING:
    from ui.main_window import MainWindow

STEP, LANE, KIND, TEXT = range(4)
HEADS = ("Step", "Lane", "What", "In words")
PAD = 6  # pixels left and right of a text
EMPTY = "Nothing has happened yet: what a run does is written down here as it goes on."

#: Kinds of events in words, where the kind itself is none.
WORDS: Mapping[str, str] = MappingProxyType({
    "resume": "goes on", "resumed": "from a file", "finish": "finished", "done": "ended by itself",
    "phase-end": "phase over", "learning_rate": "learning rate", "change-refused": "change refused",
    "nan": "not finite", "undo": "undone",
    "check": "exact solution", "resampled": "points", "thinned": "frames", "demand": "asked for", "view": "view",
})

_Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of one lane."""

    step: int
    lane: str  # '' where there is one only
    kind: str
    text: str

    @property
    def words(self) -> str:
        return WORDS.get(self.kind, self.kind.replace("_", " ").replace("-", " "))

    def cells(self) -> tuple[str, str, str, str]:
        return f"{self.step:,}", self.lane, self.words, self.text

    def has(self, words: Sequence[str]) -> bool:
        """Whether every word is somewhere in it."""
        whole = "\n".join(self.cells()).casefold()
        return all(word in whole for word in words)


def text_of(entries: Iterable[Entry]) -> str:
    """A line for each, its cells between tabs; an indented line for each further line of a text."""
    return "".join("\t".join(cell.replace("\n", "\n\t") for cell in entry.cells() if cell) + "\n" for entry in entries)


class Rows(QAbstractTableModel):
    """The entries that the filter lets through, the newest last."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.theme = LIGHT
        self.entries: list[Entry] = []
        self._words: list[str] = []

    def show_entries(self, entries: Iterable[Entry], words: str) -> None:
        """These instead of those before, where they have all of the words."""
        self.beginResetModel()
        self._words = words.casefold().split()
        self.entries = [entry for entry in entries if entry.has(self._words)]
        self.endResetModel()

    def add(self, entries: Iterable[Entry]) -> None:
        more = [entry for entry in entries if entry.has(self._words)]
        if more:
            self.beginInsertRows(QModelIndex(), len(self.entries), len(self.entries) + len(more) - 1)
            self.entries += more
            self.endInsertRows()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: N802, B008 - Qt's
        return 0 if parent.isValid() else len(self.entries)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: N802, B008
        return 0 if parent.isValid() else len(HEADS)

    def headerData(self, section: int, orientation: Qt.Orientation,  # noqa: N802
                   role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignRight if section == STEP else Qt.AlignmentFlag.AlignLeft
        return HEADS[section] if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        entry, column = self.entries[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.cells()[column]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if column == STEP else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignTop
        if role == Qt.ItemDataRole.ForegroundRole and column != TEXT:
            token = STYLES.get(entry.kind, OTHER)[1] if column == KIND else "muted"
            return QColor(getattr(self.theme, token))
        return None


class JournalDialog(QDialog):
    """A window beside the other one: a table, a line that filters it, and its text to be taken along."""

    picked = Signal(int)  # the step of a row

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Journal")
        self.filter = QLineEdit(self)
        self.filter.setPlaceholderText("Show only what has these words")
        self.filter.setAccessibleName("Filter of the journal")
        self.filter.setClearButtonEnabled(True)
        self.rows = Rows(self)
        self.table = QTableView(self)
        self.table.setModel(self.rows)
        self.table.setAccessibleName("Journal of the run")
        self.table.setAlternatingRowColors(True)
        self.table.setShowGrid(False)
        self.table.setTabKeyNavigation(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setMinimumSectionSize(8)
        self.table.setStyleSheet(f"QTableView::item {{ padding: 0 {PAD}px; }}"
                                 f"QHeaderView::section {{ padding: 3px {PAD}px; }}")
        head = self.table.horizontalHeader()
        head.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        head.setSectionResizeMode(TEXT, QHeaderView.ResizeMode.Stretch)
        head.setSectionsClickable(False)
        head.setHighlightSections(False)
        head.sectionResized.connect(lambda column, *_: self.fit_rows() if column == TEXT else None)
        self.table.clicked.connect(self._clicked)
        self.table.activated.connect(self._clicked)
        self.rows.modelReset.connect(self.fit_rows)
        self.words = QLabel(self)
        self.words.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        self.copy_button, self.save_button = QPushButton("Copy", self), QPushButton("Save as text...", self)
        self.copy_button.setToolTip("Copy the rows that are marked; all that are shown where none is.")
        self.save_button.setToolTip("Keep all rows that are shown in a text file.")
        for button, slot in ((self.copy_button, self.copy), (self.save_button, self.ask_and_save)):
            button.setAutoDefault(False)
            button.clicked.connect(slot)
            buttons.addButton(button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), self.table, self.copy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 10, 12, 10)
        layout.setSpacing(8)
        for widget in (self.filter, self.table, self.words, buttons):
            layout.addWidget(widget)
        self.resize(860, 460)

    # -- rows --------------------------------------------------------------------------------------------------

    def fit_rows(self, first: int = 0) -> None:
        """Each row, from this one on, as high as its text needs at this width."""
        metrics, width = self.fontMetrics(), self.table.columnWidth(TEXT) - 2 * PAD - 12
        line = metrics.height() + 6
        for row, entry in enumerate(self.rows.entries[first:], first):
            height = line if _is_short(entry.text, metrics, width) else metrics.boundingRect(
                QRect(0, 0, width, 1 << 20), Qt.TextFlag.TextWordWrap, entry.text).height() + 6
            if self.table.rowHeight(row) != height:
                self.table.setRowHeight(row, height)

    def add(self, entries: Sequence[Entry], whole: int) -> None:
        """What has happened since; the newest stays in sight where it was."""
        bar = self.table.verticalScrollBar()
        at_end, first = bar.value() >= bar.maximum(), len(self.rows.entries)
        self.rows.add(entries)
        self.fit_rows(first)
        if at_end:
            self.table.scrollToBottom()
        self.tell(whole)

    def show_all(self, entries: Sequence[Entry], lanes: Sequence[str]) -> None:
        """Everything that the filter lets through, the newest in sight."""
        metrics = self.fontMetrics()
        self.rows.show_entries(entries, self.filter.text())
        self.table.setColumnHidden(LANE, not lanes)
        largest = max((entry.step for entry in entries), default=0)
        kinds = {*(entry.words for entry in entries), *WORDS.values()}
        for column, texts in ((STEP, [f"{largest:,}", "1,000,000"]), (LANE, [*lanes, HEADS[LANE]]), (KIND, kinds)):
            self.table.setColumnWidth(column, max(metrics.horizontalAdvance(text) for text in texts) + 2 * PAD + 12)
        self.fit_rows()
        self.table.scrollToBottom()
        self.tell(len(entries))

    def tell(self, whole: int) -> None:
        """How many there are, under the table."""
        shown = len(self.rows.entries)
        count = f"{whole:,} event{'s' if whole != 1 else ''}" if shown == whole else f"{shown:,} of {whole:,} events"
        self.words.setText(f"{count}. A click on one goes to its step." if whole else EMPTY)

    def _clicked(self, index: _Index) -> None:
        if QGuiApplication.keyboardModifiers() == Qt.KeyboardModifier.NoModifier:  # else rows are being marked
            self.picked.emit(self.rows.entries[index.row()].step)

    # -- out ---------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """The rows that are marked, all that are shown where none is."""
        marked = sorted(index.row() for index in self.table.selectionModel().selectedRows())
        return text_of([self.rows.entries[row] for row in marked] or self.rows.entries)

    def copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text())

    def ask_and_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save the journal", "journal.txt", "Text (*.txt)")
        if name:
            self.save(Path(name))

    def save(self, path: Path) -> None:
        """Everything that is shown; a file that cannot be written is told."""
        try:
            path.write_text(text_of(self.rows.entries), encoding="utf-8")
        except OSError as error:
            self.words.setText(f"{path} could not be written: {error.strerror or error}.")
        else:
            self.words.setText(f"Saved as {path}.")

    # -- looks -------------------------------------------------------------------------------------------------

    def restyle(self, theme: Theme) -> None:
        self.rows.theme = theme
        self.table.viewport().update()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self.fit_rows()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        super().showEvent(event)
        self.fit_rows()
        self.table.scrollToBottom()


class Journal:
    """What one window knows of its run. Fed and drawn by the governor, as a panel is, whether its window is open."""

    interval = 0.5

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self.pending = False
        self.entries: list[Entry] = []
        self._labels: dict[int, str] = {}
        self._drawn = 0  # of the entries, those that the dialog has
        self.dialog: JournalDialog | None = None

    def begin(self, lanes: Sequence[Lane]) -> None:
        """Another run: nothing has happened in it."""
        self.entries = []
        self._labels = {lane.index: lane.label for lane in lanes}
        self._show_all()

    def receive(self, lane: int, update: Update) -> None:
        """Remember what has happened. Draws nothing."""
        label = self._labels.get(lane, "") if len(self._labels) > 1 else ""
        self.entries += [Entry(event.step, label, event.kind, event.text.strip()) for event in update.events]
        self.pending = self.pending or bool(update.events)

    def order(self) -> None:
        """By step: lanes of kept runs come one after the other."""
        self.entries.sort(key=lambda entry: entry.step)
        self._show_all()

    def draw(self) -> None:
        self.pending = False
        if self.dialog is not None and self._drawn < len(self.entries):
            new, self._drawn = self.entries[self._drawn:], len(self.entries)
            self.dialog.add(new, self._drawn)

    def isVisible(self) -> bool:  # noqa: N802 - as of a widget
        return self.dialog is not None and self.dialog.isVisible()

    def open(self) -> JournalDialog:
        """Show it, beside the window, which goes on."""
        if self.dialog is None:
            self.dialog = JournalDialog(self._window)
            self.dialog.restyle(self._window.theme)
            self.dialog.filter.textChanged.connect(self._show_all)
            self.dialog.picked.connect(self._go)
        self._show_all()
        self.dialog.show()
        self.dialog.raise_()
        self.dialog.activateWindow()
        return self.dialog

    def restyle(self, theme: Theme) -> None:
        if self.dialog is not None:
            self.dialog.restyle(theme)

    def _go(self, step: int) -> None:
        """The whole window at a step; where it cannot go back, why not."""
        assert self.dialog is not None
        reason = self._window.travel.why_not()
        if reason:
            self.dialog.words.setText(reason)
        else:
            self._window.travel.go(step)

    def _show_all(self, *_: object) -> None:
        self.pending, self._drawn = False, len(self.entries)
        if self.dialog is not None:
            lanes = [*self._labels.values()] if len(self._labels) > 1 else []
            self.dialog.show_all(self.entries, lanes)


def _is_short(text: str, metrics: QFontMetrics, width: int) -> bool:
    return len(text) * metrics.averageCharWidth() < 2 * width and "\n" not in text and (
        metrics.horizontalAdvance(text) <= width)
