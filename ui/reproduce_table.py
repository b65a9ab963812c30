"""A published table as a grid: in every cell ours, the published value, and the verdict in word and color."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QAction, QColor, QContextMenuEvent, QFont, QFontMetrics, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from studio import verdicts
from studio.tables import Table, settings
from studio.verdicts import Measured, measured_text, number, published_text
from ui.theme import LIGHT, Theme, mix

_FACE = Qt.ItemDataRole.UserRole
_NAME = Qt.ItemDataRole.UserRole + 1
PADDING = 7  # pixels around a cell's text
BAR = 4  # width of the colored bar at its left

#: Color of a verdict, as the theme calls it.
COLORS = {
    verdicts.BETTER: "good", verdicts.WITHIN: "good", verdicts.NOT_REPRODUCED: "danger", verdicts.FAILED: "danger",
    verdicts.SHORT: "warning", verdicts.OURS: "accent", verdicts.NOT_FOUND: "muted", verdicts.NOT_RUN: "muted",
}


@dataclass(frozen=True)
class Face:
    """What a cell shows."""

    ours: str
    published: str
    verdict: str
    color: str  # name of a color of the theme


def face(measured: Measured, share: float | None) -> Face:
    """`share` of a run that is going on, None where there is none."""
    ours = measured_text(measured)
    word, color = measured.verdict, COLORS[measured.verdict]
    if share is not None:
        word, color = f"running, {100 * share:.0f} %", "accent"
    return Face(ours, published_text(measured.cell), word, color)


def details(measured: Measured) -> str:
    """Everything there is to know about a cell."""
    cell = measured.cell
    lines = [cell.name, " ".join([cell.experiment, *settings(cell.set)]),
             f"{cell.quantity} at step {measured.steps:,}" if cell.below is None else
             f"first step from which on {cell.quantity} stays below {cell.below:g}",
             f"published: {published_text(cell)}"]
    lines += [f"{source}: {number(value, cell)}" for source, value in cell.more.items()]
    if measured.low is not None:
        lines.append(f"within: {number(measured.low, cell)} to {number(measured.high, cell)}")
    lines += [f"seed {seed}: {number(value, cell) if value == value else 'diverged'}"
              for seed, value in measured.values.items()]
    lines += [f"seed {seed} failed: {why}" for seed, why in measured.failed.items()]
    if measured.seconds:
        lines.append(f"{measured.seconds:,.0f} s for a run")
    return "\n".join([*lines, *([cell.note] if cell.note else []), measured.verdict])


class Grid(QTableWidget):
    """Rows and columns as published; a table without columns is a list with the parts of a cell side by side."""

    opened = Signal(str)  # a cell's name: open its experiment
    wanted = Signal(list)  # names of cells: make only these

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Published table")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.setCornerButtonEnabled(False)
        self.setTabKeyNavigation(False)
        self.theme: Theme = LIGHT
        self._table: Table | None = None
        self._delegate = _Painter(self)
        self.setItemDelegate(self._delegate)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.verticalHeader().setHighlightSections(False)
        self.itemActivated.connect(lambda item: self.opened.emit(item.data(_NAME)) if item.data(_NAME) else None)

    def show_table(self, table: Table, measured: Mapping[str, Measured], running: Mapping[str, float]) -> None:
        """Fill it; the selection stays where it is the same table."""
        if table is not self._table:
            self._table = table
            self.clear()
            heads = table.columns or ["ours: mean ± std (n)", "published", "steps", "verdict"]
            self.setColumnCount(len(heads))
            self.setRowCount(len(table.rows))
            self.setHorizontalHeaderLabels(heads)
            self.setVerticalHeaderLabels(table.rows)
        for one in measured.values():
            row = table.rows.index(one.cell.row)
            shown = face(one, running.get(one.cell.name))
            if table.columns:
                self._put(row, table.columns.index(one.cell.column), one, shown)
            else:
                for column, text in enumerate((shown.ours, shown.published, f"{one.steps:,}", shown.verdict)):
                    self._put(row, column, one, shown, text)
        self._fit()

    def chosen(self) -> list[str]:
        """Names of the selected cells, in the table's order."""
        return list(dict.fromkeys(item.data(_NAME) for item in self.selectedItems() if item.data(_NAME)))

    def restyle(self, theme: Theme) -> None:
        self.theme = theme
        self.setStyleSheet(
            f"QTableWidget {{ background: {theme.surface}; gridline-color: {theme.border};"
            f" border: 1px solid {theme.border}; }}"
            f"QTableCornerButton::section {{ background: {theme.window}; border: 0;"
            f" border-right: 1px solid {theme.border}; border-bottom: 1px solid {theme.border}; }}"
            f"QHeaderView {{ background: {theme.window}; }}"
            f"QHeaderView::section {{ background: {theme.window}; color: {theme.text}; border: 0; padding: 4px 8px;"
            f" border-right: 1px solid {theme.border}; border-bottom: 1px solid {theme.border}; font-weight: 600; }}")
        self.viewport().update()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802 - Qt's name
        names = self.chosen()
        if not names:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        opening = QAction("Open experiment", menu)
        opening.triggered.connect(lambda: self.opened.emit(names[0]))
        making = QAction("Make only this cell" if len(names) == 1 else f"Make only these {len(names)} cells", menu)
        making.triggered.connect(lambda: self.wanted.emit(names))
        menu.addActions([opening, making])
        menu.popup(event.globalPos())

    def _put(self, row: int, column: int, one: Measured, shown: Face, text: str = "") -> None:
        item = self.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            item.setData(_NAME, one.cell.name)
            self.setItem(row, column, item)
        said = text or f"{one.cell.name}: ours {shown.ours}, published {shown.published}, {shown.verdict}"
        if item.data(_FACE) != shown or item.text() != text:
            item.setData(_FACE, shown)
            item.setText(text)
            item.setToolTip(details(one))
            item.setData(Qt.ItemDataRole.AccessibleTextRole, said)

    def _fit(self) -> None:
        """Rows as high as their lines; columns share the width where there is more of it than they need."""
        lines = 3 if self._table is not None and self._table.columns else 1
        height = lines * self.fontMetrics().height() + 2 * PADDING
        self.verticalHeader().setDefaultSectionSize(height)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        needed = [self._delegate.width(self, column) for column in range(self.columnCount())]
        room = self.viewport().width()
        extra = max(0, room - sum(needed)) // max(1, len(needed))
        for column, width in enumerate(needed):
            self.setColumnWidth(column, width + extra)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self._fit()


class _Painter(QStyledItemDelegate):
    """Draws a face in three lines, or one of its parts in a list."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem,
              index: QModelIndex | QPersistentModelIndex) -> None:
        grid = self.parent()
        shown = index.data(_FACE)
        if not isinstance(grid, Grid) or not isinstance(shown, Face):
            super().paint(painter, option, index)
            return
        theme = grid.theme
        color = getattr(theme, shown.color)
        text = index.data(Qt.ItemDataRole.DisplayRole)
        rect = option.rect
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        last = text and index.column() == grid.columnCount() - 1
        ground = mix(color, theme.surface, 0.10) if not text or last else theme.surface
        painter.fillRect(rect, QColor(mix(theme.accent, ground, 0.25) if selected else ground))
        inner = rect.adjusted(PADDING + BAR, PADDING, -PADDING, -PADDING)
        if text:
            self._line(painter, inner, text, color if last else theme.text, bold=bool(last) or index.column() == 0)
        else:
            painter.fillRect(QRect(rect.left(), rect.top(), BAR, rect.height()), QColor(color))
            height = inner.height() // 3
            lines = ((shown.ours, theme.text if shown.ours != "–" else theme.muted, True),
                     (f"published {shown.published}", theme.muted, False), (shown.verdict, color, True))
            for line, (words, shade, bold) in enumerate(lines):
                place = QRect(inner.left(), inner.top() + line * height, inner.width(), height)
                self._line(painter, place, words, shade, bold=bold)
        painter.restore()

    def _line(self, painter: QPainter, place: QRect, text: str, color: str, *, bold: bool) -> None:
        grid = self.parent()
        assert isinstance(grid, Grid)
        font = QFont(grid.font())
        if bold:
            font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(QColor(color))
        short = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, place.width())
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, short)

    def width(self, grid: Grid, column: int) -> int:
        """As much as the widest text of a column takes."""
        font = QFont(grid.font())
        font.setWeight(QFont.Weight.DemiBold)
        measure = QFontMetrics(font)
        head = grid.horizontalHeaderItem(column)
        widest = measure.horizontalAdvance(head.text()) if head is not None else 0
        for row in range(grid.rowCount()):
            item = grid.item(row, column)
            if item is None or not isinstance(shown := item.data(_FACE), Face):
                continue
            texts: Sequence[str] = (item.text(),) if item.text() else (shown.ours, f"published {shown.published}",
                                                                       shown.verdict)
            widest = max(widest, *(measure.horizontalAdvance(text) for text in texts))
        return widest + 2 * PADDING + BAR + 4

    def sizeHint(self, option: QStyleOptionViewItem,  # noqa: N802 - Qt's name
                 index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(120, 3 * option.fontMetrics.height() + 2 * PADDING)
