"""The journal: every event of every lane with its whole text, while the run goes on and afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication, QPalette
from pytestqt.qtbot import QtBot

from studio import gallery
from studio.messages import Event, RunState
from tests.ui.fake_studio import Studio, opened_studio, wait
from tests.ui.recorded import record
from ui.headless import show_lanes
from ui.journal import EMPTY, KIND, LANE, PAD, STEP, TEXT, JournalDialog
from ui.theme import DARK, LIGHT, Theme

WHY = ("phase 2 of 2: gauss-newton-cg in float64 on 2,000 fixed points, because Levenberg-Marquardt with 1,000,000 "
       "parameters and 2,000,000 residuals needs 16 TB of memory, this machine has 20 GB free")


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    yield from opened_studio(qtbot, tmp_path, monkeypatch)


def opened(studio: Studio) -> JournalDialog:
    studio.window.show()
    studio.window.actions_by_id["run.journal"].trigger()
    dialog = studio.window.journal.dialog
    assert dialog is not None and dialog.isVisible() and not dialog.isModal()
    return dialog


def happens(studio: Studio, lane: int, *events: tuple[int, str, str]) -> None:
    studio.sessions[lane].events += [Event(step=step, kind=kind, text=text) for step, kind, text in events]
    studio.tick()
    studio.window.journal.draw()  # the governor would in its turn


def cells(dialog: JournalDialog) -> list[list[str]]:
    model = dialog.rows
    return [[model.data(model.index(row, column)) for column in (STEP, LANE, KIND, TEXT)]
            for row in range(model.rowCount())]


def test_it_has_what_happened_before_it_was_opened_and_what_comes(studio: Studio) -> None:
    studio.run()
    happens(studio, 0, (0, "start", "starts on the eager engine"))
    dialog = opened(studio)
    happens(studio, 1, (1200, "phase", WHY), (1300, "change-refused", "no"))
    assert cells(dialog) == [["0", "M1", "start", "starts on the eager engine"], ["1,200", "M2", "phase", WHY],
                             ["1,300", "M2", "change refused", "no"]]
    assert not dialog.table.isColumnHidden(LANE) and dialog.words.text().startswith("3 events.")
    assert studio.window.journal.open() is dialog, "there is one"


def test_the_next_run_has_another(studio: Studio, qtbot: QtBot) -> None:
    dialog = opened(studio)
    assert dialog.words.text() == EMPTY
    studio.run()
    happens(studio, 0, (5, "stop", "stopped at step 5"))
    for session in studio.sessions:
        session.put(RunState.STOPPED)
    studio.tick()
    assert len(cells(dialog)) == 1
    experiment = gallery.load("quick").with_changes({"compare": []})
    studio.window.run.reset()
    wait(qtbot, lambda: not studio.window.control.closing)
    assert cells(dialog) == []
    studio.window.documents.show("quick", experiment)
    assert dialog.table.isColumnHidden(LANE), "one lane needs no name"


def test_a_long_text_is_wrapped_at_every_width(studio: Studio, qtbot: QtBot) -> None:
    studio.run()
    dialog = opened(studio)
    happens(studio, 0, (1, "start", "starts"), (2, "phase", WHY))
    qtbot.wait(20)
    lines = [dialog.table.rowHeight(row) for row in (0, 1)]
    assert lines[1] > 1.7 * lines[0]
    dialog.resize(480, 400)
    qtbot.wait(20)
    assert dialog.table.rowHeight(1) > lines[1]
    height = dialog.fontMetrics().boundingRect(0, 0, dialog.table.columnWidth(TEXT) - 2 * PAD, 9999,
                                               Qt.TextFlag.TextWordWrap, WHY).height()
    assert dialog.table.rowHeight(1) >= height and not dialog.table.horizontalScrollBar().isVisible()


def test_it_follows_the_end_unless_somebody_reads_further_up(studio: Studio, qtbot: QtBot) -> None:
    studio.run()
    dialog = opened(studio)
    happens(studio, 0, *((step, "optimizer", f"note {step}") for step in range(80)))
    bar = dialog.table.verticalScrollBar()
    assert bar.maximum() > 0 and bar.value() == bar.maximum()
    happens(studio, 0, (90, "optimizer", WHY))
    assert bar.value() == bar.maximum()
    bar.setValue(3)
    happens(studio, 0, (91, "optimizer", WHY))
    assert bar.value() == 3


def test_a_filter_leaves_what_has_all_its_words(studio: Studio) -> None:
    studio.run()
    dialog = opened(studio)
    happens(studio, 0, (1, "start", "starts"), (2, "phase", WHY), (3, "undo", "undone: lbfgs"))
    dialog.filter.setText("MEMORY phase")
    assert [row[0] for row in cells(dialog)] == ["2"] and dialog.words.text().startswith("1 of 3 events")
    happens(studio, 1, (4, "phase", "phase 3 of 3: lbfgs"), (5, "phase", "for want of memory"))
    assert [row[0] for row in cells(dialog)] == ["2", "5"]
    dialog.filter.clear()
    assert len(cells(dialog)) == 5


def test_it_is_taken_along_as_text(studio: Studio, tmp_path: Path, qtbot: QtBot) -> None:
    studio.run()
    dialog = opened(studio)
    happens(studio, 0, (1000, "start", "starts"), (2000, "error", "Traceback\n  line"))
    dialog.copy_button.click()
    assert QGuiApplication.clipboard().text() == "1,000\tM1\tstart\tstarts\n2,000\tM1\terror\tTraceback\n\t  line\n"
    dialog.table.selectRow(0)
    dialog.copy()
    assert QGuiApplication.clipboard().text() == "1,000\tM1\tstart\tstarts\n"
    dialog.save(tmp_path / "journal.txt")
    assert "Traceback" in (tmp_path / "journal.txt").read_text(encoding="utf-8") and "Saved" in dialog.words.text()
    dialog.save(tmp_path / "nowhere" / "journal.txt")
    assert "could not be written" in dialog.words.text()


def test_a_click_goes_to_the_step(studio: Studio, qtbot: QtBot) -> None:
    studio.run()
    dialog = opened(studio)
    happens(studio, 0, (1, "start", "starts"), (2000, "weight", "weight of boundary set to 3"))
    place = dialog.table.visualRect(dialog.rows.index(1, TEXT)).center()
    with qtbot.waitSignal(dialog.picked) as picked:
        qtbot.mouseClick(dialog.table.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(place))
    assert picked.args == [2000] and dialog.words.text() == "No step is recorded yet."


def test_a_kept_run_has_its_journal_in_the_order_of_its_steps(studio: Studio, tmp_path: Path, qtbot: QtBot) -> None:
    files = [record(tmp_path / f"{lane}.pinnrun", range(0, 501, 100), lane).path for lane in (0, 1)]
    show_lanes(studio.window, files, gallery.load("quick"))
    dialog = opened(studio)
    steps = [entry.step for entry in dialog.rows.entries]
    wait(qtbot, lambda: bool(studio.window.travel.steps()))
    dialog.picked.emit(300)
    assert studio.window.travel.at == 300
    assert steps and steps == sorted(steps) and {entry.lane for entry in dialog.rows.entries} == {"M1", "M2"}


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_it_can_be_read_in_both_themes(studio: Studio, theme: Theme) -> None:
    studio.run()
    dialog = opened(studio)
    happens(studio, 0, (1, "error", "no"))
    studio.window.set_theme(theme)
    color = dialog.rows.data(dialog.rows.index(0, KIND), Qt.ItemDataRole.ForegroundRole)
    assert color.name() == theme.danger
    assert dialog.table.palette().color(QPalette.ColorRole.Base).name() == theme.surface
    assert dialog.table.palette().color(QPalette.ColorRole.Text).name() == theme.text
