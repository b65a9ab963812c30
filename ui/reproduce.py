"""The page of published tables: what is published beside what was measured, and what makes the rest of it.

A window of its own, which stops nothing: a table is made by a process, `main.py reproduce`, and read from its file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication, QEvent, QSize, Qt, Signal
from PySide6.QtGui import QCloseEvent, QGuiApplication, QResizeEvent
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QSplitter,
    QWidget,
)

from studio import gallery, tables
from studio.experiment import Experiment
from studio.table_runs import RESULTS, Plan, ResultError, Results, plan_of, result_path
from studio.tables import TableError
from studio.verdicts import Measured, done_cells, markdown, measure
from ui import dialogs
from ui.background import Background
from ui.reproduce_process import Maker
from ui.reproduce_view import Sheet
from ui.theme import LIGHT, Theme

if TYPE_CHECKING:
    from ui.main_window import MainWindow

SIZE = (1180, 680)
LIST_PADDING = 10  # pixels at either side of the words in the list
_NAME = Qt.ItemDataRole.UserRole


@dataclass(frozen=True)
class Loaded:
    """A table as it is now."""

    plan: Plan
    measured: Mapping[str, Measured]


def look(name: str, fast: bool, folder: Path) -> Loaded:
    """Read a table and its results; slow enough to be done in the background. Raises TableError and ResultError."""
    plan = plan_of(name, fast=fast)
    results = Results.read(result_path(name, fast=plan.fast, folder=folder))
    return Loaded(plan, measure(plan, results))


def counts(folder: Path) -> dict[str, str]:
    """What the list says of every table: its title and how much is done, or what is wrong with it."""
    return {name: _count(name, folder) for name in tables.names()}


def _count(name: str, folder: Path) -> str:
    try:
        plan = plan_of(name)
        done = done_cells(plan, Results.read(result_path(name, folder=folder)))
        return f"{plan.table.title}\n{done} of {len(plan.of)} cells done"
    except TableError:
        return f"{name}\ncannot be used"
    except ResultError:
        return f"{name}\nits results cannot be read"


class TablesPage(QDialog):
    """`open_experiment` is emitted with the experiment of a cell and the words for it."""

    open_experiment = Signal(Experiment, str)

    def __init__(self, parent: QWidget | None = None, folder: Path = RESULTS) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setObjectName("tables")
        self.setWindowTitle("Published tables")
        self.setModal(False)
        self.folder = folder
        self.theme: Theme = LIGHT
        self.shown: Loaded | None = None
        self.making: tuple[str, bool] | None = None  # name and whether shortened, of the table that is being made
        self._running: dict[str, float] = {}  # share of a run by digest
        self._again = False  # something has changed while the last look was taken
        self._reading: Background[Loaded] = Background("reading a table", self)
        self._counting: Background[dict[str, str]] = Background("counting what is done", self)
        self.maker = Maker(self)
        self.maker.told.connect(self._told)
        self.maker.ended.connect(self._ended)
        self._build()
        self.resize(*SIZE)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.finish)
        self._fill_list()

    # -- building ----------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.list = QListWidget()
        self.list.setAccessibleName("Published tables")
        self.list.setWordWrap(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.currentItemChanged.connect(self._chosen)
        self.sheet = sheet = Sheet()
        self.grid = sheet.grid
        sheet.fast.toggled.connect(self._fast_toggled)
        sheet.start.clicked.connect(self.toggle)
        sheet.opening.clicked.connect(lambda: self.open_cell(next(iter(self.grid.chosen()), "")))
        sheet.copying.clicked.connect(self.copy)
        self.grid.opened.connect(self.open_cell)
        self.grid.wanted.connect(self.make)
        self.grid.itemSelectionChanged.connect(self._refresh)
        parts = QSplitter(self)
        parts.addWidget(self.list)
        parts.addWidget(sheet)
        parts.setStretchFactor(1, 1)
        parts.setSizes([250, SIZE[0] - 250])
        parts.setChildrenCollapsible(False)
        parts.splitterMoved.connect(self._fit_list)
        whole = QHBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(parts)

    def _fill_list(self) -> None:
        for name in tables.names():
            item = QListWidgetItem(name)
            item.setData(_NAME, name)
            self.list.addItem(item)
        if self.list.count():
            self.list.setCurrentRow(0)
        self._refresh()

    # -- looking -----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The chosen table."""
        item = self.list.currentItem()
        return "" if item is None else str(item.data(_NAME))

    def reload(self) -> None:
        """Look at the chosen table and its results again, in the background."""
        if not self.name:
            return
        if self._reading.busy:
            self._again = True
            return
        self._again = False
        name, fast, folder = self.name, self.sheet.fast.isChecked(), self.folder
        self._reading.start(lambda: look(name, fast, folder), self._show, self._cannot)

    def _chosen(self) -> None:
        self.shown = None
        self.sheet.say("")
        self.reload()

    def _fast_toggled(self) -> None:
        if self.shown is not None:
            self.sheet.seeds.setValue(self.shown.plan.table.default_seeds(fast=self.sheet.fast.isChecked()))
        self.reload()

    def _show(self, loaded: Loaded) -> None:
        """What was looked for, if that is still what is wanted."""
        table = loaded.plan.table
        if self._again or table.name != self.name:
            self.reload()
            return
        new = self.shown is None or self.shown.plan.table is not table
        self.shown = loaded
        if new:
            self.sheet.seeds.setValue(table.default_seeds(fast=loaded.plan.fast))
        self.sheet.show_words(table, fast=loaded.plan.fast)
        self._fill_grid()
        self._refresh()
        self._count()

    def _count(self) -> None:
        if not self._counting.busy:
            folder = self.folder
            self._counting.start(lambda: counts(folder), self._counted)

    def _counted(self, found: Mapping[str, str]) -> None:
        for row in range(self.list.count()):
            item = self.list.item(row)
            item.setText(found.get(str(item.data(_NAME)), item.text()))
        self._fit_list()

    def _fit_list(self) -> None:
        """Every line as high as its words, which Qt estimates without the padding of the style."""
        width = self.list.viewport().width() - 2 * LIST_PADDING
        for row in range(self.list.count()):
            item = self.list.item(row)
            words = self.list.fontMetrics().boundingRect(0, 0, width, 10_000, Qt.TextFlag.TextWordWrap, item.text())
            item.setSizeHint(QSize(0, words.height() + 12))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self._fit_list()

    def _cannot(self, error: Exception) -> None:
        self.sheet.show_none(self.name, f"{error}.")
        if self._again:
            self.reload()
        self._refresh()
        self._count()

    def _fill_grid(self) -> None:
        if self.shown is None:
            return
        plan = self.shown.plan
        running: dict[str, float] = {}
        if self.making == (plan.table.name, plan.fast):
            for cell, need in plan.of.items():
                shares = [self._running[mark] for mark in need.marks if mark in self._running]
                running.update({cell: max(shares)} if shares else {})
        self.grid.show_table(plan.table, self.shown.measured, running)

    # -- making ------------------------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Start, or stop."""
        if self.maker.busy:
            self.maker.stop()
            self._refresh()
        else:
            self.make()

    def make(self, cells: Sequence[str] = ()) -> None:
        """Make what is missing of the chosen table, or of some of its cells."""
        if self.shown is None or self.maker.busy:
            return
        plan = self.shown.plan
        self.making = (plan.table.name, plan.fast)
        self._running = {}
        if not plan.fast:
            self.sheet.say("")
        arguments = [plan.table.name, "--seeds", str(self.sheet.seeds.value()), "--jobs", str(self.sheet.jobs.value()),
                     "--out", str(self.folder), *(["--fast"] if plan.fast else [])]
        for cell in cells:
            arguments += ["--only", escape(cell)]
        self.sheet.words.setText("starting ...")
        self.maker.start(arguments)
        self._refresh()

    def _told(self, line: Mapping[str, Any]) -> None:
        """A line of the process: how far it is, or that a run has ended."""
        going = {str(one["digest"]): one["step"] / max(1, one["steps"]) for one in line["running"]}
        self._running = going
        self.sheet.words.setText(str(line["words"]))
        self.sheet.progress.setMaximum(1000 * max(1, line["runs"]))
        self.sheet.progress.setValue(round(1000 * (line["done"] + sum(going.values()))))
        if line["event"] == "run":
            if line["state"] == "failed":
                self.sheet.say(f"A run failed: {line['message']}. Start tries it again.", "danger")
            self.reload()
        else:
            self._fill_grid()

    def _ended(self, code: int, complaint: str) -> None:
        stopped = self.maker.stopping
        self._running = {}
        name, self.making = self.making[0] if self.making else "", None
        if stopped:
            self.sheet.say(f"Stopped. The finished runs of '{name}' are kept; Start goes on from there.", "accent")
        elif code not in (0, 1):
            self.sheet.say(f"'{name}' could not be made: {complaint or f'exit code {code}'}", "danger")
        self.reload()
        self._refresh()

    def finish(self) -> None:
        """The program ends: end the process too."""
        self.maker.finish()
        self._reading.wait(2.0)
        self._counting.wait(2.0)

    # -- doing -------------------------------------------------------------------------------------------------

    def open_cell(self, name: str) -> None:
        """Ask the main window to open a cell's experiment, as the table trains it."""
        if self.shown is None or name not in self.shown.measured:
            return
        plan = self.shown.plan
        cell = self.shown.measured[name].cell
        words = f"{plan.table.title}: {name}{' (shortened)' if plan.fast else ''}"
        self.open_experiment.emit(tables.resolve(plan.table, cell, fast=plan.fast), words)

    def copy(self) -> None:
        if self.shown is not None:
            QGuiApplication.clipboard().setText(markdown(self.shown.plan, dict(self.shown.measured)))
            self.sheet.words.setText("copied")

    # -- looks -------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Buttons and words that depend on what goes on."""
        busy, stopping, sheet = self.maker.busy, self.maker.stopping, self.sheet
        here = self.shown is not None
        sheet.start.setText(("Stopping ..." if stopping else "Stop") if busy else "Start")
        sheet.start.setEnabled(not stopping if busy else here)
        name = self.making[0] if self.making else ""
        sheet.start.setToolTip(f"End the runs of '{name}' that are going on; finished ones are kept." if busy
                               else "Make the runs of this table that are missing.")
        for spin in (sheet.seeds, sheet.jobs):
            spin.setEnabled(not busy)
        sheet.progress.setVisible(busy)
        if not busy:
            sheet.words.setText("")
        sheet.opening.setEnabled(here and bool(self.grid.chosen()))
        sheet.copying.setEnabled(here)

    def restyle(self, theme: Theme) -> None:
        self.theme = theme
        self.setStyleSheet(f"""
#tables {{ background: {theme.window}; }}
QListWidget {{ background: {theme.surface}; border: 0; border-right: 1px solid {theme.border}; padding: 6px; }}
QListWidget::item {{ padding: 6px {LIST_PADDING - 2}px; border-radius: 4px; color: {theme.text}; }}
QListWidget::item:hover {{ background: {theme.hover}; }}
QListWidget::item:selected {{ background: {theme.accent}; color: {theme.on_accent}; }}
""")
        self.sheet.restyle(theme)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """The main window has another theme: this one follows."""
        super().changeEvent(event)
        theme = getattr(self.parent(), "theme", None)
        if event.type() is QEvent.Type.PaletteChange and isinstance(theme, Theme) and theme is not self.theme:
            self.restyle(theme)

    # -- the end -----------------------------------------------------------------------------------------------

    def reject(self) -> None:
        """Escape closes as the window's button does."""
        self.close()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """In mid-run this asks; then the process is ended, and what is finished is kept."""
        event.setAccepted(self.may_close())

    def may_close(self) -> bool:
        """Whether the page, or the window that it belongs to, may close. Ends the process where it may."""
        if self.maker.busy and not self.maker.stopping:
            answer = dialogs.ask(
                self, "A table is being made", f"{self.sheet.words.text()}. Closing ends the runs that are going "
                "on. Finished runs are kept, and Start goes on from there.",
                [("stop", "Stop and close"), ("stay", "Go on")], safe="stay")
            if answer != "stop":
                return False
            self.maker.stop()
        self.hide()  # a page that stays would keep the program running
        return True


def show_tables(window: MainWindow) -> TablesPage:
    """The page of a main window, made the first time, in front afterwards."""
    page = window.findChild(TablesPage)
    if page is None:
        page = TablesPage(window)
        page.restyle(window.theme)
        page.open_experiment.connect(lambda experiment, words: _open(window, experiment, words))
        window.before_close.append(page.may_close)
    else:
        page.reload()
    page.show()
    page.raise_()
    page.activateWindow()
    return page


def _open(window: MainWindow, experiment: Experiment, words: str) -> None:
    name = experiment.name
    if name in gallery.names() and gallery.load(name).lanes()[0] == experiment:
        window.documents.choose(name)
    else:
        window.documents.open_given(words, experiment)
    window.activateWindow()
