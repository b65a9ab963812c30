"""The phases of a run as a list of the form: what follows the first optimizer, one card for each, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from studio.phases import MOST
from ui.forms.field import Field
from ui.forms.paths import at
from ui.forms.phase_words import meaning
from ui.forms.records import Card, Records
from ui.forms.relevance import matters
from ui.forms.schema import FieldRow
from ui.icons import icon
from ui.theme import Theme

#: What everybody sets of a phase, in this order; the rest is behind 'More settings'.
FIRST = ("optimizer.kind", "steps", "optimizer.learning_rate", "optimizer.damping", "optimizer.momentum",
         "optimizer.history", "optimizer.refresh", "optimizer.cg_iterations", "points", "precision")
#: What nothing means in a number.
NOTHING = {"points": "as before, or more", "condition_points": "as before, or more", "seconds": "no limit"}

#: Of the rest, what comes first.
THEN = ("seconds", "condition_points", "sampling.kind", "sampling.every", "balancing", "weights", "constants")

FULL = f"A run has at most {MOST} phases beside the first."
ALONE = "The run ends after these steps. A second-order phase after them is what makes the error small."


class PhaseFields(QWidget):
    """The settings of one phase, those that matter under the others; under the optimizer, what it is."""

    def __init__(self, columns: Sequence[FieldRow], path: Any, parent: QWidget, *,
                 without: frozenset[str] = frozenset()) -> None:
        super().__init__(parent)
        rows = [row for row in columns if row.name not in without]
        self.by_name = {row.name: Field(row, partial(path, row.name), parent=self) for row in rows}
        self.fields = [self.by_name[name] for name in _in_order([row.name for row in rows])]
        self.words = QLabel(self)
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.words.setContentsMargins(0, 0, 0, 3)
        self.more = QPushButton(self)
        self.more.setFlat(True)
        self.more.setSizePolicy(self.more.sizePolicy().Policy.Fixed, self.more.sizePolicy().Policy.Fixed)
        self.more.setObjectName("moreButton")
        self.more.setCheckable(True)
        self.more.toggled.connect(self.show_relevant)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for field in self.fields:
            column.addWidget(field)
            if field.row.name == FIRST[0]:
                column.addWidget(self.words)
        plain = sum(field.row.name in FIRST for field in self.fields)
        column.insertWidget(plain + 1, self.more)
        self.more.setVisible(plain < len(self.fields))
        self.show_relevant()

    def show_relevant(self) -> None:
        """Show what matters; of the rest that few need only what was asked for or is set."""
        typed = {name: (field.raw(),) for name, field in self.by_name.items()}
        rare = 0
        for name, field in self.by_name.items():
            wanted = matters(name, typed)
            if name not in FIRST:
                rare += wanted
                wanted = wanted and self.more.isChecked()
            field.show_where(wanted)
            if name in NOTHING:
                nothing = typed[name][0].strip() in ("0", "0.0")
                field.label.setText(f"{field.row.label} ({NOTHING[name]})" if nothing else field.row.label)
        self.words.setText(meaning(self.by_name[FIRST[0]].raw()))
        self.more.setText("Fewer settings" if self.more.isChecked() else f"{rare} more settings ...")
        self.more.setToolTip("Hide what is as it would be anyway." if self.more.isChecked()
                             else "Time limit, points of conditions, sampling, weights, and more of this optimizer.")

    def nested(self) -> dict[str, Any]:
        """What is typed as nested data. Raises ValueError with the path and a sentence for the first that is wrong."""
        data: dict[str, Any] = {}
        for name, field in self.by_name.items():
            place, key = data, name
            if "." in name:
                part, _, key = name.partition(".")
                place = data.setdefault(part, {})
            place[key] = field.value()
        return data

    def restyle(self, theme: Theme) -> None:
        palette = self.words.palette()
        palette.setColor(QPalette.ColorRole.WindowText, QColor(theme.muted))
        self.words.setPalette(palette)
        self.more.setStyleSheet(
            f"QPushButton {{ border: 0; background: transparent; padding: 2px 0; min-width: 0; text-align: left;"
            f" color: {theme.accent}; }} QPushButton:hover, QPushButton:focus {{ text-decoration: underline; }}")
        for field in self.fields:
            field.restyle(theme)


class PhaseCard(Card):
    """One phase: its number, the buttons that move it, and its settings."""

    def __init__(self, table: Phases, columns: tuple[FieldRow, ...]) -> None:
        QFrame.__init__(self, table)
        self.setObjectName("card")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.title = QLabel(self)
        font = self.title.font()
        font.setBold(True)
        self.title.setFont(font)
        self.up = self._button(lambda: table.move_card(self, -1))
        self.down = self._button(lambda: table.move_card(self, 1))
        self.copy = self._button(lambda: table.duplicate(self))
        self.remove = self._button(lambda: table.remove(self))
        self.settings = PhaseFields(columns, partial(table.path_of, self), self)
        self.fields = self.settings.fields
        self.more = self.settings.more
        head = QHBoxLayout()
        head.setContentsMargins(0, 0, 0, 0)
        head.setSpacing(2)
        head.addWidget(self.title, 1)
        for button in (self.up, self.down, self.copy, self.remove):
            head.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(7, 4, 5, 6)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.settings)

    def _button(self, slot: Any) -> QToolButton:
        button = QToolButton(self)
        button.setObjectName("smallButton")
        button.setFixedSize(20, 20)
        button.clicked.connect(lambda _=False: slot())
        return button

    def show_relevant(self) -> None:
        self.settings.show_relevant()

    def tell_place(self, number: int, noun: str, count: int) -> None:
        # the first phase is the experiment's own optimizer
        self.title.setText(f"Phase {number + 1}")
        for button, what, possible in (
                (self.up, "Move this phase up", number > 1), (self.down, "Move this phase down", number < count),
                (self.copy, "Add a copy of this phase after it", count < MOST),
                (self.remove, "Remove this phase", True)):
            button.setToolTip(f"{what}." if possible or button is not self.copy else f"{what}. {FULL}")
            button.setAccessibleName(f"{what.replace('this phase', f'phase {number + 1}')}")
            button.setEnabled(possible)

    def restyle(self, theme: Theme) -> None:
        for button, name in ((self.up, "up"), (self.down, "down"), (self.copy, "copy"), (self.remove, "remove")):
            button.setIcon(icon(name, QColor(theme.muted)))
        self.settings.restyle(theme)


class Phases(Records):
    """The list. Its fields have the paths phases.0.steps, phases.0.optimizer.kind, ..."""

    then_button: QPushButton | None = None  # as long as the table is being built
    most = MOST

    def __init__(self, row: FieldRow, path: str, parent: QWidget | None = None) -> None:
        super().__init__(row, path, parent)
        self.first = QLabel(self)
        self.first.setWordWrap(True)
        self.first.setTextFormat(Qt.TextFormat.PlainText)
        self.alone = QLabel(ALONE, self)
        self.alone.setWordWrap(True)
        self.then_button = QPushButton(self)
        self.then_button.clicked.connect(self._add_empty)
        column = self.layout()
        assert isinstance(column, QVBoxLayout)
        column.insertWidget(1, self.first)
        column.insertWidget(2, self.alone)
        column.setSpacing(5)
        column.addWidget(self.then_button)
        self.title.setText("One after the other")
        self._refresh()

    def show_first(self, plain: Mapping[str, Field]) -> None:
        """Say what the run begins with, from the fields of the optimizer and of the training."""
        steps, kind = plain["training.steps"].raw().strip(), plain["optimizer.kind"].raw()
        count = f"{int(steps):,}" if steps.isdecimal() else steps
        self.first.setText(f"Phase 1: {kind}, {count} steps, {plain['training.precision'].raw()} (Optimizer and "
                           "Training, above)")

    # -- rows --------------------------------------------------------------------------------------------------

    def new_card(self) -> Card:
        return PhaseCard(self, self.row.columns)

    def set_base(self, rows: Sequence[Mapping[str, Any]], *, show: bool) -> None:
        names = [row.name for row in self.row.columns]
        flat = [row if names[0] in row else {name: at(row, name) for name in names} for row in rows]
        super().set_base(flat, show=show)

    def move_card(self, card: Card, by: int) -> None:
        """Let a phase and the one before (-1) or after it (1) change places."""
        place = self.cards.index(card)
        rows, other = self.raw(), place + by
        if 0 <= other < len(rows):
            opened = [one.more.isChecked() for one in self.cards]
            rows[place], rows[other] = rows[other], rows[place]
            opened[place], opened[other] = opened[other], opened[place]
            self._replace(rows)
            for one, more in zip(self.cards, opened, strict=True):
                one.more.setChecked(more)

    def duplicate(self, card: Card) -> None:
        """Add a copy of a phase after it."""
        rows, place = self.raw(), self.cards.index(card)
        rows.insert(place + 1, dict(rows[place]))
        self._replace(rows)

    def _add_empty(self) -> None:
        self._replace([*self.raw(), {row.name: row.default or "" for row in self.row.columns}])
        self.cards[-1].fields[0].editor.setFocus()

    def _refresh(self) -> None:
        super()._refresh()
        if self.then_button is not None:
            none = not self.cards
            self.alone.setVisible(none)
            self.then_button.setText("Then second order" if none else "Add a phase")
            tip = ("Add a phase: when the first optimizer is done, the best second-order method that the memory "
                   "allows goes on from there." if none else "Add a phase after the last one.")
            full = len(self.cards) >= MOST
            self.then_button.setEnabled(not full)
            self.then_button.setToolTip(FULL if full else tip)
            self.add_button.hide()

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        for label in (self.first, self.alone):
            palette = label.palette()
            palette.setColor(QPalette.ColorRole.WindowText, QColor(theme.muted))
            label.setPalette(palette)
        if self.then_button is not None:
            self.then_button.setIcon(icon("add", QColor(theme.accent)))


def _in_order(names: Sequence[str]) -> list[str]:
    """What everybody sets first; of the rest, what `THEN` has, and then as the schema has it."""
    head = [name for name in (*FIRST, *THEN) if name in names]
    return [*head, *(name for name in names if name not in head)]
