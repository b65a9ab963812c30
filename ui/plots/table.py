"""A table of words and numbers: sortable, and copied with Ctrl+C."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSortFilterProxyModel, Qt
from PySide6.QtGui import QColor, QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QHeaderView, QTableView, QWidget

from ui.theme import Theme, font

Role = Qt.ItemDataRole
ARROWS = (" \u25b4", " \u25be")
Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, what it is in one sentence, and whether it holds numbers."""

    name: str
    tip: str
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Item:
    """What a cell says, and what it is sorted by; `color` '' for the text's."""

    text: str
    value: float | str
    color: str = ""
    tip: str = ""


class TableModel(QAbstractTableModel):
    """Rows of items under fixed columns."""

    def __init__(self, columns: Sequence[Column], parent: QWidget) -> None:
        super().__init__(parent)
        self.columns = list(columns)
        self.rows: list[list[Item]] = []
        self.sorted = (-1, Qt.SortOrder.AscendingOrder)  # the column, and how
        self._bold = font(9, bold=True)

    def set_rows(self, rows: list[list[Item]]) -> None:
        """New rows. As many as before: the same ones with new values, so that a selection stays."""
        if len(rows) != len(self.rows):
            self.beginResetModel()
            self.rows = rows
            self.endResetModel()
        elif rows != self.rows:
            self.rows = rows
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(self.columns) - 1))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: N802, B008 - Qt's name and default
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: N802, B008
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: Index, role: int = Role.DisplayRole) -> object:
        if not index.isValid():
            return None
        item, column = self.rows[index.row()][index.column()], self.columns[index.column()]
        if role == Role.DisplayRole:
            return item.text
        if role == Role.UserRole:
            return item.value
        if role == Role.ForegroundRole and item.color:
            return QColor(item.color)
        if role == Role.FontRole and item.color:
            return self._bold
        if role == Role.ToolTipRole and item.tip:
            return item.tip
        if role == Role.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if column.numeric else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(self, section: int, orientation: Qt.Orientation,  # noqa: N802
                   role: int = Role.DisplayRole) -> object:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Role.DisplayRole:
            column, order = self.sorted
            arrow = ARROWS[order is Qt.SortOrder.DescendingOrder] if section == column else ""
            return self.columns[section].name + arrow
        if role == Role.ToolTipRole:
            return self.columns[section].tip
        if role == Role.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if self.columns[section].numeric else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None


class _ByValue(QSortFilterProxyModel):
    """Numbers as numbers, NaN last; words as words."""

    def lessThan(self, left: Index, right: Index) -> bool:  # noqa: N802 - Qt's name
        a, b = left.data(Role.UserRole), right.data(Role.UserRole)
        if isinstance(a, str) or isinstance(b, str):
            return str(a) < str(b)
        if math.isnan(a) or math.isnan(b):
            down = self.sortOrder() is Qt.SortOrder.DescendingOrder
            return math.isnan(a) and not math.isnan(b) if down else math.isnan(b) and not math.isnan(a)
        return bool(a < b)


class Table(QTableView):
    """Columns as wide as they need to be, the first takes what is left; a click on a column's name sorts by it."""

    def __init__(self, columns: Sequence[Column], parent: QWidget, *, name: str) -> None:
        super().__init__(parent)
        self.source = TableModel(columns, self)
        self.order = _ByValue(self)
        self.order.setSourceModel(self.source)
        self.setModel(self.order)
        self.setAccessibleName(name)
        self.setToolTip("Click a column's name to sort by it; Ctrl+C copies the rows that are selected.")
        header = self.horizontalHeader()
        header.sortIndicatorChanged.connect(self._sorted)
        for corner in self.findChildren(QAbstractButton):
            corner.setAccessibleName("All rows")
            corner.setToolTip("Select all rows.")
        self.setSortingEnabled(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setFrameShape(QTableView.Shape.NoFrame)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setFont(font(9))
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(round(self.fontMetrics().height() * 1.45))
        self.verticalHeader().setMinimumSectionSize(10)
        header.setFont(font(8.5))
        header.setHighlightSections(False)
        header.setMinimumSectionSize(30)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)

    def _sorted(self, column: int, order: Qt.SortOrder) -> None:
        self.source.sorted = (column, order)
        self.source.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(self.source.columns) - 1)

    def set_rows(self, rows: list[list[Item]]) -> None:
        """New rows; columns grow with what is in them."""
        fresh = len(rows) != len(self.source.rows)
        self.source.set_rows(rows)
        if fresh:
            self.fit()

    def fit(self) -> None:
        """As wide as the names and what is below them."""
        metrics = self.fontMetrics()
        for place, column in enumerate(self.source.columns):
            texts = [row[place].text for row in self.source.rows]
            widest = max((metrics.horizontalAdvance(text) for text in texts), default=0)
            if column.numeric:
                widest = max(widest, metrics.horizontalAdvance("\u22128.88e\u221288"))
            named = metrics.horizontalAdvance(column.name) + 22  # with the arrow of the order
            self.setColumnWidth(place, max(round(widest * 1.08) + 16, named))

    def shown(self) -> list[list[str]]:
        """The texts, row by row in the order on the screen."""
        return [[self.order.index(r, c).data() for c in range(self.order.columnCount())]
                for r in range(self.order.rowCount())]

    def values(self) -> list[list[float | str]]:
        """What is sorted by, row by row in the order on the screen."""
        return [[self.order.index(r, c).data(Role.UserRole) for c in range(self.order.columnCount())]
                for r in range(self.order.rowCount())]

    def copy(self) -> None:
        """The selected rows, or all where none is, to the clipboard: columns parted by tabs, their names first."""
        chosen = sorted(index.row() for index in self.selectionModel().selectedRows())
        rows = self.shown()
        lines = ["\t".join(column.name for column in self.source.columns)]
        lines += ["\t".join(rows[r]) for r in (chosen or range(len(rows)))]
        QGuiApplication.clipboard().setText("\n".join(lines) + "\n")

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        else:
            super().keyPressEvent(event)

    def restyle(self, theme: Theme) -> None:
        self.setStyleSheet(
            f"QTableView {{ background: {theme.surface}; color: {theme.text}; selection-background-color: "
            f"{theme.hover}; selection-color: {theme.text}; }}"
            f"QHeaderView {{ background: {theme.surface}; border: 0; }} QHeaderView::section {{ "
            f"background: {theme.surface}; color: {theme.muted}; border: 0; border-bottom: 1px solid "
            f"{theme.border}; padding: 3px 6px; }}"
            "QHeaderView::up-arrow, QHeaderView::down-arrow { image: none; width: 0; }"  # it would lie on the name
            f"QTableView::item {{ padding: 0 6px; }}")
