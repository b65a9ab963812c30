"""The page of published tables: what it shows, what it starts and stops, and that nothing is left behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, QProcess, Qt
from PySide6.QtGui import QContextMenuEvent, QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QMenu, QSpinBox
from pytestqt.qtbot import QtBot

from studio.experiment import Experiment
from studio.table_runs import Results, plan_of, result_path
from studio.verdicts import markdown, measure, write
from tests.studio.table_samples import (
    MATRIX_TOML,
    TOML,
    diverged,
    failed,
    forget,
    record,
    small_gallery,
    write_table,
)
from tests.ui.fake_studio import Studio, opened_studio
from ui import dialogs, reproduce
from ui.reproduce import TablesPage, show_tables
from ui.reproduce_table import details, face
from ui.theme import DARK, LIGHT

ROOT = Path(__file__).resolve().parents[2]

#: A process that makes a table of the small gallery with a runner that trains nothing.
MAKES = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
import pytest
from tests.studio.table_samples import FakeRuns, small_gallery
small_gallery(pytest.MonkeyPatch(), Path({tables!r}))
from studio import reproduce_command
from studio.cli import _parser
sys.exit(reproduce_command.reproduce(_parser().parse_args(["reproduce", *sys.argv[1:]]), FakeRuns()))
"""

#: One that goes on until its input is closed, and tells of one run at 45 %.
WAITS = """
import json, sys
print(json.dumps({{"event": "progress", "done": 1, "runs": 4, "words": "1 of 4 runs, 2:00 left",
                   "running": [{{"digest": {mark!r}, "seed": 0, "step": 45, "steps": 100}}]}}), flush=True)
sys.stdin.read()
sys.exit(130)
"""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    folder = tmp_path / "tables"
    folder.mkdir()
    small_gallery(monkeypatch, folder)
    (folder / "matrix.toml").write_text(MATRIX_TOML, encoding="utf-8")
    write_table(folder)
    monkeypatch.setattr(reproduce, "RESULTS", tmp_path / "results")
    yield
    forget()


def settled(qtbot: QtBot, page: TablesPage) -> None:
    """Wait until everything that the page looks for is found."""
    qtbot.waitUntil(lambda: not page._reading.busy and not page._counting.busy, timeout=10_000)


@pytest.fixture
def page(qtbot: QtBot, tmp_path: Path) -> Iterator[TablesPage]:
    made = TablesPage(None, tmp_path / "results")
    qtbot.addWidget(made)
    made.restyle(LIGHT)
    made.show()
    settled(qtbot, made)
    yield made
    made.finish()
    qtbot.waitUntil(lambda: not made.maker.busy, timeout=10_000)
    settled(qtbot, made)


def choose(qtbot: QtBot, page: TablesPage, name: str) -> None:
    for row in range(page.list.count()):
        if page.list.item(row).data(Qt.ItemDataRole.UserRole) == name:
            page.list.setCurrentRow(row)
    settled(qtbot, page)


def keep(tmp_path: Path, name: str, *makers: Any, fast: bool = False) -> None:
    """Results as if every task had been made, by `makers` in turn."""
    plan = plan_of(name, fast=fast)
    results = Results(result_path(name, fast=fast, folder=tmp_path / "results"))
    for job, maker in zip(plan.jobs(plan.table.cells, 1), makers, strict=False):
        results.add(maker(job))
    write(plan, results)


def said(page: TablesPage, row: int, column: int) -> str:
    item = page.grid.item(row, column)
    return "" if item is None else str(item.data(Qt.ItemDataRole.AccessibleTextRole))


# -- looking ---------------------------------------------------------------------------------------------------


def test_tables_are_listed_with_what_is_done_and_the_first_is_shown(page: TablesPage) -> None:
    assert [page.list.item(row).text() for row in range(page.list.count())] == [
        "Rows and columns\n0 of 3 cells done", "A small table\n0 of 2 cells done"]
    assert page.sheet.title.text() == "Rows and columns"
    assert "Nobody 1900, Table 2" in page.sheet.source.text()
    assert page.sheet.rule.text().startswith("Within the spread")
    assert page.sheet.seeds.value() == 3
    assert not page.sheet.fast.isEnabled() and page.sheet.fast.toolTip() == "This table has no shortened version."


def test_results_that_are_there_are_shown_with_word_and_color(page: TablesPage, qtbot: QtBot, tmp_path: Path) -> None:
    assert said(page, 0, 0) == "plain / M1: ours –, published 1.00e-01 ± 1.0e-02, not run yet"
    assert page.grid.item(1, 0) is None, "no cell stands there"
    keep(tmp_path, "matrix", record, lambda job: record(job, 0.5), lambda job: record(job, 0.5))
    page.reload()
    settled(qtbot, page)
    assert said(page, 0, 0) == "plain / M1: ours 1.00e-01 (1), published 1.00e-01 ± 1.0e-02, within the spread"
    assert said(page, 0, 1).endswith("NOT reproduced")
    assert said(page, 1, 1) == "wide / M2: ours 5.00e-01 (1), published not found, no published value (not found)"
    shown = page.shown
    assert shown is not None
    faces = [face(shown.measured[name], None) for name in ("plain / M1", "plain / M2", "wide / M2")]
    assert [one.color for one in faces] == ["good", "danger", "muted"]
    assert page.list.item(0).text().endswith("0 of 3 cells done"), "one seed of three"


def test_a_list_has_its_parts_side_by_side(page: TablesPage, qtbot: QtBot, tmp_path: Path) -> None:
    keep(tmp_path, "small", diverged, failed)
    choose(qtbot, page, "small")
    rows = [[page.grid.item(row, column).text() for column in range(4)] for row in range(2)]  # type: ignore[union-attr]
    assert rows == [["1 of 1 diverged", "1.00e-01", "40,000", "NOT reproduced"],
                    ["1 failed", "1.00e-01", "40,000", "failed"]]
    tip = page.grid.item(1, 0).toolTip()  # type: ignore[union-attr]
    assert "seed 0 failed: the abacus is broken" in tip
    assert "poisson network.hidden=[16, 16]" in tip


def test_the_details_of_a_cell(page: TablesPage, qtbot: QtBot, tmp_path: Path) -> None:
    keep(tmp_path, "matrix", record)
    page.reload()
    settled(qtbot, page)
    assert page.shown is not None
    assert details(page.shown.measured["plain / M1"]).splitlines() == [
        "plain / M1", "poisson", "relative_l2.u at step 40,000", "published: 1.00e-01 ± 1.0e-02",
        "another source: 2.00e-01", "within: 9.00e-02 to 2.00e-01", "seed 0: 1.00e-01", "2 s for a run", "a note",
        "within the spread"]


def test_a_shortened_version_says_that_it_is_one(page: TablesPage, qtbot: QtBot, tmp_path: Path) -> None:
    keep(tmp_path, "small", record, record, fast=True)
    choose(qtbot, page, "small")
    assert page.sheet.seeds.value() == 2 and said(page, 0, 3) == "not run yet"
    page.sheet.fast.setChecked(True)
    settled(qtbot, page)
    assert page.sheet.seeds.value() == 1 and said(page, 0, 3) == "shortened, not comparable"
    assert "NOT comparable" in page.sheet.message.text() and page.sheet.message.isVisible()
    page.sheet.fast.setChecked(False)
    settled(qtbot, page)
    assert not page.sheet.message.isVisible()


def test_a_table_or_a_result_that_cannot_be_used_is_a_sentence(page: TablesPage, qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir(exist_ok=True)
    result_path("matrix", folder=tmp_path / "results").write_text("{")
    write_table(tmp_path / "tables", TOML.replace('"poisson"', '"poisso"'))
    choose(qtbot, page, "small")
    assert "there is no experiment 'poisso' in the gallery" in page.sheet.message.text()
    assert page.grid.rowCount() == 0 and not page.sheet.start.isEnabled() and not page.sheet.copying.isEnabled()
    assert [page.list.item(row).text() for row in range(2)] == [
        "matrix\nits results cannot be read", "small\ncannot be used"]
    choose(qtbot, page, "matrix")
    assert "this is not JSON" in page.sheet.message.text()


def test_it_is_copied_as_markdown(page: TablesPage, qtbot: QtBot, tmp_path: Path) -> None:
    page.sheet.copying.click()
    plan = plan_of("matrix")
    assert QGuiApplication.clipboard().text() == markdown(plan, measure(plan, Results(Path("nowhere"))))


# -- making ----------------------------------------------------------------------------------------------------


def test_start_makes_what_is_missing_and_shows_it_come(page: TablesPage, qtbot: QtBot, tmp_path: Path) -> None:
    code = MAKES.format(root=str(ROOT), tables=str(tmp_path / "tables"))
    page.maker.command = (sys.executable, "-c", code)
    lines: list[dict[str, Any]] = []
    page.maker.told.connect(lines.append)
    page.sheet.seeds.setValue(1)
    page.sheet.start.click()
    assert page.maker.busy and page.sheet.start.text() == "Stop"
    assert not page.sheet.seeds.isEnabled() and page.sheet.progress.isVisible()
    qtbot.waitUntil(lambda: not page.maker.busy, timeout=20_000)
    settled(qtbot, page)
    assert [line["event"] for line in lines if line["event"] != "progress"] == ["start", "run", "run", "run", "end"]
    assert said(page, 0, 0).endswith("within the spread")
    assert page.sheet.start.text() == "Start" and page.sheet.seeds.isEnabled() and not page.sheet.progress.isVisible()
    kept = json.loads(result_path("matrix", folder=tmp_path / "results").read_text(encoding="utf-8"))
    assert len(kept["runs"]) == 3


def begin(qtbot: QtBot, page: TablesPage) -> None:
    """A process that goes on until it is told to stop."""
    mark = plan_of("matrix").of["plain / M2"].marks[0]
    page.maker.command = (sys.executable, "-c", WAITS.format(mark=mark))
    page.toggle()
    qtbot.waitUntil(lambda: page.sheet.words.text().startswith("1 of 4"), timeout=10_000)


def test_a_run_that_goes_on_is_seen_and_stop_ends_it(page: TablesPage, qtbot: QtBot) -> None:
    begin(qtbot, page)
    assert said(page, 0, 1).endswith("running, 45 %")
    assert said(page, 0, 0).endswith("not run yet")
    assert page.sheet.progress.value() == 1450 and page.sheet.progress.maximum() == 4000
    choose(qtbot, page, "small")
    assert said(page, 0, 3) == "not run yet", "another table can be looked at meanwhile"
    choose(qtbot, page, "matrix")
    assert page.sheet.start.toolTip().startswith("End the runs of 'matrix'")
    page.sheet.start.click()
    assert page.sheet.start.text() == "Stopping ..." and not page.sheet.start.isEnabled()
    qtbot.waitUntil(lambda: not page.maker.busy, timeout=10_000)
    settled(qtbot, page)
    assert page.sheet.message.text() == "Stopped. The finished runs of 'matrix' are kept; Start goes on from there."
    assert said(page, 0, 1).endswith("not run yet") and page.sheet.start.isEnabled()


def test_what_the_process_is_asked_for(page: TablesPage, qtbot: QtBot, tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(page.maker, "start", lambda arguments: asked.append(list(arguments)))
    page.sheet.jobs.setValue(1)
    page.make()
    page.make(["plain / M1", "a [b] *"])
    choose(qtbot, page, "small")
    page.sheet.fast.setChecked(True)
    settled(qtbot, page)
    page.make()
    common = ["--jobs", "1", "--out", str(tmp_path / "results")]
    assert asked == [["matrix", "--seeds", "3", *common],
                     ["matrix", "--seeds", "3", *common, "--only", "plain / M1", "--only", "a [[]b] [*]"],
                     ["small", "--seeds", "1", *common, "--fast"]]


@pytest.mark.parametrize(("command", "words"), [
    ((sys.executable, "-c", "import sys; sys.exit('error: the disk is full')"), "'matrix' could not be made: "),
    ((sys.executable, "-c", "import sys; print('error: no folder', file=sys.stderr); sys.exit(2)"), "no folder"),
    (("/no/such/program",), "The process could not be started"),
    ((sys.executable, "-c", "import os; os.abort()"), "The process ended unexpectedly.")])
def test_a_process_that_fails_says_why(command: tuple[str, ...], words: str, page: TablesPage, qtbot: QtBot) -> None:
    page.maker.command = command
    with qtbot.waitSignal(page.maker.ended, timeout=10_000) as ended:
        page.sheet.start.click()
    settled(qtbot, page)
    if ended.args[0] not in (0, 1):
        assert words in page.sheet.message.text()
    assert page.sheet.start.text() == "Start" and page.sheet.start.isEnabled()


def test_a_run_that_failed_is_told(page: TablesPage) -> None:
    page._told({"event": "run", "done": 0, "runs": 2, "words": "0 of 2 runs", "running": [], "state": "failed",
                "message": "the abacus is broken"})
    assert page.sheet.message.text() == "A run failed: the abacus is broken. Start tries it again."


# -- the end ---------------------------------------------------------------------------------------------------


def test_closing_in_mid_run_asks_and_stops(page: TablesPage, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(qtbot, page)
    answers, questions = ["stay", "stop"], []

    def ask(parent: object, title: str, text: str, choices: object, *, safe: str) -> str:
        questions.append(text)
        return answers.pop(0)

    monkeypatch.setattr(dialogs, "ask", ask)
    page.reject()  # Escape
    assert page.isVisible() and page.maker.busy
    assert questions[0].startswith("1 of 4 runs, 2:00 left. Closing ends the runs")
    page.close()
    assert not page.isVisible() and page.maker.stopping
    qtbot.waitUntil(lambda: not page.maker.busy, timeout=10_000)
    page.show()
    page.close()  # nothing to ask now
    assert len(questions) == 2


def test_the_program_ends_and_the_process_with_it(page: TablesPage, qtbot: QtBot) -> None:
    begin(qtbot, page)
    page.finish()
    assert page.maker._process.state() is QProcess.ProcessState.NotRunning
    assert page.maker._process.exitCode() == 130


# -- in the window ---------------------------------------------------------------------------------------------


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    yield from opened_studio(qtbot, tmp_path, monkeypatch)


def test_the_window_opens_it_once_and_it_follows_the_theme(studio: Studio, qtbot: QtBot) -> None:
    window = studio.window
    window.show()
    window.set_theme(LIGHT)
    window.actions_by_id["run.tables"].trigger()
    page = window.findChild(TablesPage)
    assert page is not None and page.isVisible() and not page.isModal() and page.theme is LIGHT
    settled(qtbot, page)
    light = page.grab().toImage().pixelColor(page.width() - 5, 5).lightness()
    window.set_theme(DARK)
    assert page.theme is DARK and page.grid.theme is DARK
    assert page.grab().toImage().pixelColor(page.width() - 5, 5).lightness() < 60 < 200 < light
    page.close()
    assert show_tables(window) is page and page.isVisible()
    settled(qtbot, page)
    page.close()


def test_a_cells_experiment_is_opened_in_the_window(studio: Studio, qtbot: QtBot) -> None:
    window = studio.window
    window.show()
    page = show_tables(window)
    settled(qtbot, page)
    assert not page.sheet.opening.isEnabled()
    page.grid.setCurrentCell(0, 1)
    page.sheet.opening.click()
    key = "Rows and columns: plain / M2"
    assert window.documents.current == key and window.gallery.keys().count(key) == 1
    assert window.form.experiment is not None and window.form.experiment.network.hidden == (9, 9)
    assert not window.form.is_changed()
    page.open_cell("plain / M1")  # nothing is changed in it, so it is the gallery's own
    assert window.documents.current == "poisson"
    window.documents.choose(key)
    assert window.documents.current == key
    page.open_cell("nonsense")
    assert window.documents.current == key
    page.close()


def test_cells_have_a_menu(page: TablesPage, qtbot: QtBot) -> None:
    opened: list[tuple[Experiment, str]] = []
    wanted: list[list[str]] = []
    page.open_experiment.connect(lambda experiment, words: opened.append((experiment, words)))
    page.grid.wanted.disconnect()
    page.grid.wanted.connect(wanted.append)
    page.grid.selectAll()
    page.grid.contextMenuEvent(QContextMenuEvent(QContextMenuEvent.Reason.Mouse, QPoint(5, 5), QPoint(5, 5)))
    menu = page.grid.findChild(QMenu)
    assert menu is not None
    opening, making = menu.actions()
    assert (opening.text(), making.text()) == ("Open experiment", "Make only these 3 cells")
    opening.trigger()
    making.trigger()
    menu.close()
    assert [words for _, words in opened] == ["Rows and columns: plain / M1"]
    assert wanted == [["plain / M1", "plain / M2", "wide / M2"]]


def test_every_control_has_a_name(page: TablesPage) -> None:
    for widget in page.findChildren(QAbstractButton):
        assert widget.text() or widget.accessibleName() or type(widget.parent()).__name__ == "Grid"
    assert all(spin.accessibleName() for spin in page.findChildren(QSpinBox))


@pytest.mark.parametrize("size", [(1280, 720), (1600, 1000)])
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_it_fits_and_is_painted_in_both_themes(size: tuple[int, int], theme: Any, page: TablesPage, qtbot: QtBot,
                                               tmp_path: Path) -> None:
    keep(tmp_path, "matrix", record, lambda job: record(job, 0.5), failed)
    page.restyle(theme)
    page.resize(*size)
    page.reload()
    settled(qtbot, page)
    assert (page.width(), page.height()) == size
    picture = page.grab().toImage()
    place = page.grid.visualItemRect(page.grid.item(0, 1)).topLeft()  # the bar of a cell that is not reproduced
    point = page.grid.viewport().mapTo(page, place)
    assert picture.pixelColor(point.x() + 1, point.y() + 3).name() == theme.danger
