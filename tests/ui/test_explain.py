"""What a panel says about itself, and the numbers that are copied."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from studio.messages import RunState
from tests.ui import samples
from tests.ui.fake_studio import Studio, opened_studio
from ui.explain import WIDTH, ExplanationPopup, Formula, close_explanation, shown
from ui.panels import PANELS, Panel
from ui.panels.losses import LossesPanel
from ui.panels.panel import Explanation
from ui.plots.canvas import Readout
from ui.theme import DARK, LIGHT, Theme


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    yield from opened_studio(qtbot, tmp_path, monkeypatch)


class Explained(LossesPanel):
    explanation = Explanation(
        sentences=("This is shown.", "So it is read.", "Healthy & <sound>."),
        formulas=(r"\lambda = \frac{\max |\nabla L_r|}{|\nabla L_i|}", r"\frac{"),
        source="Somebody 2021, eq. 1",
    )


def make(qtbot: QtBot, kind: type[Panel], theme: Theme = LIGHT) -> Panel:
    panel = kind()
    qtbot.addWidget(panel)
    panel.restyle(theme)
    panel.resize(500, 300)
    panel.show()
    return panel


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_it_has_every_sentence_the_formulas_and_the_source(qtbot: QtBot, theme: Theme) -> None:
    popup = make(qtbot, Explained, theme).explain()
    assert isinstance(popup, ExplanationPopup) and popup.width() == WIDTH
    texts = [label.text() for label in popup.findChildren(QLabel)]
    assert texts[:1] == ["Losses"] and list(Explained.explanation.sentences) == texts[1:4]
    assert texts[-1] == "Source: Somebody 2021, eq. 1"
    formulas = popup.findChildren(Formula)
    assert [formula.drawing is not None for formula in formulas] == [True, False], "what cannot be typeset is text"
    assert not popup.grab().isNull()
    popup.close()


def test_escape_closes_and_there_is_one_at_a_time(qtbot: QtBot) -> None:
    first, second = make(qtbot, Explained), make(qtbot, LossesPanel)
    second.id = "other"  # type: ignore[misc]
    popup = first.explain()
    assert shown() is popup
    other = second.explain()
    assert shown() is other and other is not popup
    qtbot.keyClick(other, Qt.Key.Key_Escape)
    assert shown() is None and not close_explanation()
    first.explain()
    first.explain()
    assert shown() is None, "the same mark again closes it"


def test_every_panel_can_be_explained(qtbot: QtBot) -> None:
    for kind in PANELS:
        panel = make(qtbot, kind)
        popup = panel.explain()
        bad = [formula.latex for formula in popup.findChildren(Formula) if formula.drawing is None]
        assert not bad, f"{kind.id}: {bad} cannot be typeset"
        assert len(popup.findChildren(QLabel)) >= 2
        assert close_explanation()


@pytest.mark.parametrize("kind", PANELS, ids=lambda kind: kind.id)
def test_numbers_are_copied_as_a_spreadsheet_takes_them(qtbot: QtBot, kind: type[Panel], tmp_path: Path) -> None:
    panel = make(qtbot, kind)
    panel.begin(samples.lanes(2))
    for lane in (0, 1):
        panel.receive(lane, samples.update(lane, RunState.FINISHED, count=20))
    panel.copy_table()
    lines = QGuiApplication.clipboard().text().splitlines()
    panel.save_csv(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert [line.split("\t") for line in lines] == list(csv.reader(file))


def test_the_save_menu_has_it(qtbot: QtBot) -> None:
    panel = make(qtbot, LossesPanel)
    panel.begin(samples.lanes(1))
    panel.receive(0, samples.update(0, RunState.FINISHED, count=5))
    QGuiApplication.clipboard().setText("before")
    from PySide6.QtWidgets import QMenu

    action = next(one for menu in panel.header.findChildren(QMenu) for one in menu.actions() if one.data() == "copy")
    panel._save_chosen(action)
    assert QGuiApplication.clipboard().text().startswith("step\t")


def test_the_numbers_under_the_mouse_are_copied(studio: Studio, qtbot: QtBot) -> None:
    window = studio.window
    window.show()
    qtbot.waitExposed(window)
    QGuiApplication.clipboard().setText("before")
    window.actions_by_id["edit.copy"].trigger()
    assert QGuiApplication.clipboard().text() == "before" and "Point at a plot" in window.runbar.message.text()
    losses = next(panel for panel in window.panels if panel.id == "losses")
    box = losses.findChildren(Readout)[0]
    box.setText("<b>step 120</b><table><tr><td>residual</td><td>0.25</td></tr></table>")
    box.show()
    window.actions_by_id["edit.copy"].trigger()
    copied = QGuiApplication.clipboard().text()
    assert "step 120" in copied and "residual" in copied and "0.25" in copied and "<" not in copied
