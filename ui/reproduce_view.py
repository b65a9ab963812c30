"""What the page of published tables shows of one table: its words, what can be set, progress, and the grid."""

from __future__ import annotations

import os

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from studio.tables import Table
from studio.verdicts import rules, shortened
from ui.reproduce_table import Grid
from ui.theme import LIGHT, Theme, mix


class Sheet(QWidget):
    """Widgets and how they look; what they do is the page's."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme: Theme = LIGHT
        self._level = "accent"
        self.title, self.source, self.message, self.rule, self.words = (QLabel() for _ in range(5))
        for text in (self.title, self.source, self.message, self.rule):
            text.setWordWrap(True)
            text.setTextFormat(Qt.TextFormat.PlainText)
            text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.title.setObjectName("tableTitle")
        self.message.setObjectName("tableMessage")
        self.message.hide()
        cores = os.cpu_count() or 1
        self.seeds = _spin(1, 1000, "Seeds", "Runs of every cell; runs that are there already are not made again.")
        self.jobs = _spin(1, max(1, cores), "Runs at a time", "Runs at a time, each on one core.")
        self.jobs.setValue(max(1, cores - 1))
        self.fast = QCheckBox("Shortened version")
        self.start = QPushButton("Start")
        self.start.setObjectName("makeTable")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        self.progress.setAccessibleName("Progress of the table")
        self.grid = Grid()
        self.opening = QPushButton("Open experiment")
        self.opening.setToolTip("Put the experiment of the chosen cell into the form of the main window.")
        self.copying = QPushButton("Copy as Markdown")
        self.copying.setToolTip("Copy the whole table, with sources and rules, as Markdown.")
        self._arrange()

    def _arrange(self) -> None:
        row = QHBoxLayout()
        for name, spin in (("Seeds", self.seeds), ("Runs at a time", self.jobs)):
            row.addWidget(QLabel(name))
            row.addWidget(spin)
            row.addSpacing(10)
        row.addWidget(self.fast)
        row.addSpacing(10)
        row.addWidget(self.words, 1)
        row.addWidget(self.start)
        foot = QHBoxLayout()
        foot.addWidget(self.rule, 1)
        foot.addWidget(self.opening, 0, Qt.AlignmentFlag.AlignBottom)
        foot.addWidget(self.copying, 0, Qt.AlignmentFlag.AlignBottom)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 12, 14, 12)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(self.source)
        column.addLayout(row)
        column.addWidget(self.progress)
        column.addWidget(self.message)
        column.addWidget(self.grid, 1)
        column.addLayout(foot)

    def show_words(self, table: Table, *, fast: bool) -> None:
        """Title, source and rules of a table, and what a shortened version says of itself."""
        self.fast.setEnabled(table.fast is not None)
        self.fast.setToolTip(table.fast.note if table.fast is not None else "This table has no shortened version.")
        self.title.setText(table.title)
        more = [table.note] if table.note else []
        more += [f"On a larger machine: {table.larger.note}"] if table.larger is not None else []
        self.source.setText("\n".join([table.source, *more]))
        self.rule.setText("" if fast else rules(table))
        if fast:
            self.say(shortened(table), "warning")
        elif self._level == "warning":
            self.say("")

    def show_none(self, name: str, sentence: str) -> None:
        """A table that cannot be shown."""
        self.title.setText(name)
        self.source.setText("")
        self.rule.setText("")
        self.grid.setRowCount(0)
        self.say(sentence, "danger")

    def say(self, text: str, level: str = "accent") -> None:
        """A message above the table; '' takes it away. `level` is a color of the theme."""
        self._level = level if text else "accent"
        self.message.setText(text)
        self.message.setVisible(bool(text))
        color = getattr(self.theme, self._level)
        self.message.setStyleSheet(
            f"#tableMessage {{ background: {mix(color, self.theme.surface, 0.13)}; color: {self.theme.text};"
            f" border-left: 4px solid {color}; padding: 5px 8px; }}")

    def restyle(self, theme: Theme) -> None:
        self.theme = theme
        self.setStyleSheet(f"""
#tableTitle {{ font-size: 13pt; font-weight: 600; }}
QProgressBar {{ background: {theme.border}; border: 0; border-radius: 3px; }}
QProgressBar::chunk {{ background: {theme.accent}; border-radius: 3px; }}
#makeTable {{ background: {theme.accent}; color: {theme.on_accent}; border: 0; border-radius: 5px;
             padding: 6px 22px; font-weight: 600; }}
#makeTable:disabled {{ background: {theme.border}; color: {theme.muted}; }}
#makeTable:focus {{ border: 2px solid {theme.text}; }}
""")
        for text in (self.source, self.rule, self.words):
            palette = text.palette()
            palette.setColor(QPalette.ColorRole.WindowText, QColor(theme.muted))
            text.setPalette(palette)
        self.say(self.message.text(), self._level)
        self.grid.restyle(theme)


def _spin(low: int, high: int, name: str, tip: str) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(low, high)
    spin.setAccessibleName(name)
    spin.setToolTip(tip)
    return spin
