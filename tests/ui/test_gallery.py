"""The gallery: chapters, search, what an experiment does, and the ways to open one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from studio import gallery
from studio.gallery import Entry
from tests.ui.fake_studio import Studio, opened_studio
from ui.forms.browser import GalleryDialog
from ui.forms.gallery import OPENED, GalleryList, SearchLine
from ui.forms.preview import preview_html, summary


def entry(name: str, title: str, group: str = "One", look: str = "") -> Entry:
    return Entry(name=name, title=title, look=look, source="A paper 2020", label="", group=group)


@pytest.fixture
def shown(qtbot: QtBot) -> GalleryList:
    made = GalleryList()
    qtbot.addWidget(made)
    made.fill({"One": [entry("a", "First"), entry("b", "Second", look="a shock")],
               "Two": [entry("c", "Third", "Two")]})
    made.show_current("a")
    return made


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    yield from opened_studio(qtbot, tmp_path, monkeypatch)


# -- chapters --------------------------------------------------------------------------------------------------


def test_every_experiment_is_in_one_chapter_the_default_first() -> None:
    groups = gallery.groups()
    listed = [name for names in groups.values() for name in names]
    assert sorted(listed) == sorted(gallery.names()) and listed[0] == gallery.DEFAULT
    known = [group for group in groups if group in gallery.GROUPS]
    assert known == [group for group in gallery.GROUPS if group in groups], "in the order of the chapters"
    for name in listed:
        found = gallery.entry(name)
        assert found.name == name and found.title and name in groups[found.group]


def test_numbers_in_names_are_sorted_by_size() -> None:
    assert sorted(["c16", "c2", "c1"], key=gallery._natural) == ["c1", "c2", "c16"]


# -- the list --------------------------------------------------------------------------------------------------


def test_a_refused_choice_keeps_its_line(shown: GalleryList) -> None:
    asked: list[str] = []
    shown.chosen.connect(asked.append)
    shown.select("b")
    assert asked == ["b"] and shown.current_key() == "a"


def test_the_head_of_a_chapter_cannot_be_chosen(shown: GalleryList) -> None:
    asked: list[str] = []
    shown.chosen.connect(asked.append)
    shown.setCurrentRow(0)
    assert asked == [] and shown.current_key() == "a"
    assert not shown.item(0).flags() & Qt.ItemFlag.ItemIsEnabled


def test_search_looks_at_everything_that_is_said(shown: GalleryList) -> None:
    assert shown.search("SHOCK") == 1 and shown.in_sight() == ["a", "b"], "the current one stays"
    assert shown.chapters() == ["One"]
    assert shown.search("paper two") == 1 and shown.in_sight() == ["a", "c"]
    assert shown.search("nothing") == 0
    assert shown.search("") == 3 and shown.chapters() == ["One", "Two"]


def test_files_have_a_chapter_of_their_own(shown: GalleryList) -> None:
    shown.add_file("/tmp/x.toml", "Mine")
    shown.add_file("/tmp/x.toml", "Mine, again")
    shown.show_current("a key of something else")
    assert shown.keys() == ["a", "b", "c", "/tmp/x.toml", "a key of something else"]
    assert shown.chapters() == ["One", "Two", OPENED]
    assert shown.search("mine") == 1 and shown.entry("/tmp/x.toml") is None


def test_keys_lead_from_the_search_to_the_list(shown: GalleryList, qtbot: QtBot) -> None:
    line = SearchLine(shown)
    qtbot.addWidget(line)
    shown.chosen.connect(shown.show_current)
    qtbot.keyClicks(line, "third")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert shown.current_key() == "c"
    qtbot.keyClick(line, Qt.Key.Key_Escape)
    assert line.text() == "" and len(shown.in_sight()) == 3


# -- what an experiment does -----------------------------------------------------------------------------------


@pytest.mark.parametrize("group", gallery.groups())
def test_everything_can_be_summed_up(group: str) -> None:
    for name in gallery.groups()[group]:
        experiment = gallery.load(name)
        words = dict(summary(experiment))
        assert words["Training"].startswith(f"{experiment.training.steps:,} steps") and words["Network"]
        assert all(text.strip() for text in words.values())
        assert gallery.entry(name).title.split("&")[0] in preview_html(experiment).replace("&amp;", "&").replace(
            "&#x27;", "'")


def test_the_summary_says_what_sets_an_experiment_apart() -> None:
    words = dict(summary(gallery.load("quick")))
    assert words["Equations"] == "u_xx + u_yy + k**2*u - q" and words["Network"] == "mlp, 3 \u00d7 50, tanh"
    assert words["Compared with"] == 'M2: balancing.rule = "annealing-siam"' and "To be found" not in words
    changed = gallery.load("quick").with_changes({
        "network.slopes": "layer", "network.slope_scale": 10.0, "network.recovery": "paper",
        "balancing.direction": "config", "balancing.weights": {"boundary": 100.0}, "sampling.every": 0, "compare": []})
    words = dict(summary(changed))
    assert words["Network"] == "mlp, 3 \u00d7 50, tanh, a slope for each layer (L-LAAF), n = 10, slope recovery"
    assert words["Loss terms"] == "residual, 100 \u00d7 boundary, recovery"
    assert words["Balancing"] == "fixed weights, ConFIG" and words["Points"] == "uniform, kept"


# -- the dialog ------------------------------------------------------------------------------------------------


def test_the_dialog_searches_previews_and_opens(qtbot: QtBot) -> None:
    dialog = GalleryDialog(None, "helmholtz-m1")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    qtbot.addWidget(dialog)
    assert dialog.list.current_key() == "helmholtz-m1" and "Helmholtz" in dialog.preview.toPlainText()
    assert dialog.count.text() == f"{len(gallery.names())} experiments"
    dialog.search.setText("helmholtz m3")
    assert dialog.list.current_key() == "helmholtz-m3" and "gated" in dialog.preview.toPlainText()
    assert dialog.list.in_sight() == ["helmholtz-m3"] and " of " in dialog.count.text()
    dialog.search.setText("no such thing")
    assert not dialog.open_button.isEnabled() and "No experiment" in dialog.preview.toPlainText()
    with qtbot.assertNotEmitted(dialog.opened):
        qtbot.keyClick(dialog.search, Qt.Key.Key_Return)
    dialog.search.setText("helmholtz")
    dialog.list.select("helmholtz-m4")
    with qtbot.waitSignal(dialog.opened) as caught:
        qtbot.keyClick(dialog.search, Qt.Key.Key_Return)
    assert caught.args == ["helmholtz-m4"]


def test_the_dialog_paints_both_lines(qtbot: QtBot) -> None:
    dialog = GalleryDialog(None, "quick")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitExposed(dialog)
    assert dialog.list.sizeHintForRow(1) > 1.8 * dialog.list.fontMetrics().height()
    assert not dialog.grab().isNull()


# -- in the window ---------------------------------------------------------------------------------------------


def test_the_window_offers_chapters_in_menu_list_and_dialog(studio: Studio, qtbot: QtBot) -> None:
    window = studio.window
    window.show()
    assert window.gallery.chapters()[: len(gallery.groups())] == list(gallery.groups())
    menu = QMenu()
    qtbot.addWidget(menu)
    window.documents.fill_gallery_menu(menu)
    chapters = {inside.title(): inside for inside in menu.findChildren(QMenu)}
    assert list(chapters) == list(gallery.groups())
    actions = {action.data(): action for action in chapters["Gradient pathologies"].actions()}
    actions["helmholtz-m3"].trigger()
    assert window.documents.current == "helmholtz-m3"
    window.documents.fill_gallery_menu(menu)
    checked = [action.data() for inside in chapters.values() for action in inside.actions() if action.isChecked()]
    assert checked == ["helmholtz-m3"]
    dialog = window.documents.browse()
    assert isinstance(dialog, GalleryDialog) and dialog.list.current_key() == "helmholtz-m3"
    dialog.list.select("helmholtz-m2")
    assert window.documents.current == "helmholtz-m3", "looking opens nothing"
    dialog.open_button.click()
    assert window.documents.current == "helmholtz-m2"


def test_a_new_experiment_is_a_small_problem_whose_second_phase_is_chosen_for_the_user(studio: Studio) -> None:
    window = studio.window
    new = window.actions_by_id["file.new"]
    assert not studio.why_not("file.new")
    new.trigger()
    made = window.form.experiment
    assert window.documents.current == gallery.NEW and made is not None
    assert [made.optimizer.kind, *(phase.optimizer.kind for phase in made.phases)] == ["adam", "auto"]
    assert "Set all fields back" in studio.why_not("file.new")
    window.documents.choose(gallery.DEFAULT)
    assert not studio.why_not("file.new")
