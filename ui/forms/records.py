"""A table of the form: equations, conditions or observations, one card for each, with add and remove."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QAbstractButton,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ui.forms.field import Field, MessageLabel
from ui.forms.schema import FieldRow
from ui.icons import icon
from ui.theme import LIGHT, Theme

#: Short columns stand side by side in the first line of a card, with this share of its width.
_SHARES = {"name": 5, "term": 5, "points": 3}
#: Columns that few rows need; they are shown where they are set, or on request.
_RARE = frozenset({"measure", "columns", "noise", "seed"})
_NOUNS = {"residuals": "equation", "conditions": "condition", "observations": "observation", "phases": "phase"}


class Card(QFrame):
    """One row of the table."""

    def __init__(self, table: Records, columns: tuple[FieldRow, ...]) -> None:
        super().__init__(table)
        self.setObjectName("card")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.fields = [
            Field(row, partial(table.path_of, self, row.name), stacked=row.name in _SHARES, parent=self)
            for row in columns
        ]
        grid = QGridLayout(self)
        grid.setContentsMargins(7, 4, 5, 6)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        self.remove = QToolButton(self)
        self.remove.setObjectName("smallButton")
        self.remove.setFixedSize(20, 20)
        self.remove.clicked.connect(partial(table.remove, self))
        rare = [field.row.label.lower() for field in self.fields if field.row.name in _RARE]
        self.more: QAbstractButton = QToolButton(self)
        self.more.setObjectName("smallButton")
        self.more.setFixedSize(20, 20)
        self.more.setText("\u22ef")
        self.more.setCheckable(True)
        self.more.setAccessibleName(f"More: {', '.join(rare)}")
        self.more.setToolTip(f"Show or hide {', '.join(rare)}.")
        self.more.setVisible(bool(rare))
        self.more.toggled.connect(self.show_relevant)
        column, line = 0, 1
        for field in self.fields:
            if field.row.name in _SHARES:
                grid.addWidget(field, 0, column, Qt.AlignmentFlag.AlignTop)
                grid.setColumnStretch(column, _SHARES[field.row.name])
                column += 1
        buttons = QVBoxLayout()
        buttons.setSpacing(2)
        buttons.addWidget(self.remove)
        buttons.addWidget(self.more)
        buttons.addStretch(1)
        grid.addLayout(buttons, 0, column)
        # the formula comes first: it is what a person looks for
        for field in sorted((f for f in self.fields if f.row.name not in _SHARES), key=lambda f: not f.row.formula):
            grid.addWidget(field, line, 0, 1, column + 1)
            line += 1
        self.show_relevant()

    def show_relevant(self) -> None:
        """Show the rare columns that are set, wrong, or asked for."""
        for field in self.fields:
            if field.row.name in _RARE:
                field.show_where(self.more.isChecked())

    def raw(self) -> dict[str, str]:
        return {field.row.name: field.raw() for field in self.fields}

    def restyle(self, theme: Theme) -> None:
        self.remove.setIcon(icon("remove", QColor(theme.muted)))
        for field in self.fields:
            field.restyle(theme)

    def tell_place(self, number: int, noun: str, count: int) -> None:
        """Which row of how many this is, counted from 1, and what rows are called."""
        self.remove.setToolTip(f"Remove this {noun}.")
        self.remove.setAccessibleName(f"Remove {noun} {number}")


class Records(QWidget):
    """The table. Its fields have the paths PATH.0.name, PATH.0.equation, ..."""

    edited = Signal()
    rebuilt = Signal()  # rows came or went: the form has other fields now
    most: float = math.inf  # rows that there can be

    def __init__(self, row: FieldRow, path: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.row, self.path = row, path
        self.cards: list[Card] = []
        self._removed: list[tuple[int, dict[str, str]]] = []
        self._base: list[dict[str, Any]] = []
        self._theme = LIGHT
        self._noun = _NOUNS.get(row.name, "row")
        self.title = QLabel(row.label)
        self.title.setToolTip(row.tip(path))
        self.add_button = self._button(f"Add a {self._noun}." if self._noun[0] not in "aeiou"
                                       else f"Add an {self._noun}.", self._add_empty)
        self.return_button = self._button(f"Bring back the {self._noun} that was removed last.", self._bring_back)
        self.message = MessageLabel(self)
        head = QHBoxLayout()
        head.setContentsMargins(0, 0, 0, 0)
        head.setSpacing(2)
        head.addWidget(self.title, 1)
        head.addWidget(self.return_button)
        head.addWidget(self.add_button)
        self._cards = QVBoxLayout()
        self._cards.setSpacing(5)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(3)
        layout.addLayout(head)
        layout.addWidget(self.message)
        layout.addLayout(self._cards)
        self._refresh()

    def _button(self, tip: str, slot: Any) -> QToolButton:
        button = QToolButton(self)
        button.setObjectName("smallButton")
        button.setFixedSize(22, 22)
        button.setToolTip(tip)
        button.setAccessibleName(tip.rstrip("."))
        button.clicked.connect(slot)
        return button

    # -- rows --------------------------------------------------------------------------------------------------

    def fields(self) -> Iterator[Field]:
        for card in self.cards:
            yield from card.fields

    def new_card(self) -> Card:
        """An empty row."""
        return Card(self, self.row.columns)

    def path_of(self, card: Card, name: str) -> str:
        number = self.cards.index(card) if card in self.cards else len(self.cards)
        return f"{self.path}.{number}.{name}"

    def base(self) -> list[dict[str, Any]]:
        """The rows that changes are counted against."""
        return self._base

    def set_base(self, rows: Sequence[Mapping[str, Any]], *, show: bool) -> None:
        """The rows that the experiment was opened with; `show` puts them into the editors."""
        self._base = [dict(row) for row in rows]
        if show:
            self._removed.clear()
            self._resize(len(rows))
        self._rebase(show=show)

    def raw(self) -> list[dict[str, str]]:
        return [card.raw() for card in self.cards]

    def set_raw(self, rows: list[dict[str, str]]) -> None:
        self._resize(len(rows))
        for card, values in zip(self.cards, rows, strict=True):
            for field in card.fields:
                field.set_raw(values.get(field.row.name, ""))
        self._rebase(show=False)

    def is_changed(self) -> bool:
        return len(self.cards) != len(self._base) or any(field.is_changed() for field in self.fields())

    def remove(self, card: Card) -> None:
        number = self.cards.index(card)
        self._removed.append((number, card.raw()))
        rows = self.raw()
        del rows[number]
        self._replace(rows)

    def show_relevant(self) -> None:
        for card in self.cards:
            card.show_relevant()

    def restyle(self, theme: Theme) -> None:
        self._theme = theme
        self.message.set_color(theme.danger)
        self.add_button.setIcon(icon("add", QColor(theme.accent)))
        self.return_button.setIcon(icon("undo", QColor(theme.accent)))
        for card in self.cards:
            card.restyle(theme)

    def _add_empty(self) -> None:
        columns = {row.name: row.default or "" for row in self.row.columns}
        columns["name"] = f"{self._noun} {len(self.cards) + 1}"
        self._replace([*self.raw(), columns])
        formula = next((field for field in self.cards[-1].fields if field.row.formula), self.cards[-1].fields[0])
        formula.editor.setFocus()

    def _bring_back(self) -> None:
        if self._removed:
            number, values = self._removed.pop()
            rows = self.raw()
            rows.insert(number, values)
            self._replace(rows)

    def _replace(self, rows: list[dict[str, str]]) -> None:
        self.set_raw(rows)
        self.edited.emit()

    def _rebase(self, *, show: bool) -> None:
        for number, card in enumerate(self.cards):
            base = self._base[number] if number < len(self._base) else {}
            for field in card.fields:
                field.set_base(base.get(field.row.name), show=show)
        self._refresh()

    def _resize(self, count: int) -> None:
        before = len(self.cards)
        while len(self.cards) > count:
            card = self.cards.pop()
            self._cards.removeWidget(card)
            card.hide()
            card.deleteLater()
        while len(self.cards) < count:
            card = self.new_card()
            self.cards.append(card)
            self._cards.addWidget(card)
            for field in card.fields:
                field.edited.connect(self.edited)
                field.set_tip()
            card.restyle(self._theme)
        if before != count:
            self.rebuilt.emit()

    def _refresh(self) -> None:
        self.return_button.setVisible(bool(self._removed) and len(self.cards) < self.most)
        self.show_relevant()
        for number, card in enumerate(self.cards, 1):
            card.tell_place(number, self._noun, len(self.cards))
