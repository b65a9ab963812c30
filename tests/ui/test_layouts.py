"""Arrangements: by purpose, of one's own, one panel that fills the room; the cards that show and hide panels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QCursor, QImage
from PySide6.QtWidgets import QInputDialog
from pytestqt.qtbot import QtBot

from studio import gallery
from tests.ui.fake_studio import Studio, discard, opened_studio, wait
from ui.actions import ACTIONS
from ui.governor import in_sight
from ui.layouts import BY_ID, LAYOUTS, Layout, wanted_by
from ui.panel_icons import SKETCHES, panel_picture
from ui.panel_picker import PanelPicker
from ui.panels import PANELS
from ui.settings import SavedLayout
from ui.theme import DARK, LIGHT

SIZES = [(1600, 1000), (1280, 720)]
EXIST = {kind.id for kind in PANELS}


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    yield from opened_studio(qtbot, tmp_path, monkeypatch)


def shown(studio: Studio, qtbot: QtBot, size: tuple[int, int] = SIZES[0]) -> Studio:
    studio.window.resize(*size)
    studio.window.show()
    qtbot.waitExposed(studio.window)
    qtbot.wait(20)
    return studio


def with_place(studio: Studio) -> set[str]:
    return {panel.id for panel in studio.window.panels if studio.window.docks.is_shown(panel.id)}


def seen(studio: Studio) -> set[str]:
    return {panel.id for panel in studio.window.panels if in_sight(panel)}


# -- data ------------------------------------------------------------------------------------------------------


def test_layouts_are_whole() -> None:
    assert len(BY_ID) == len(LAYOUTS) and LAYOUTS[0].id == "overview"
    for layout in LAYOUTS:
        assert layout.title and layout.tip.endswith(".")
        for columns in (layout.wide, layout.narrow):
            assert sum(column.share for column in columns) == 100
            assert all(sum(share for _, share in column.places) == 100 for column in columns)
            keys = [key for column in columns for ids, _ in column.places for key in ids]
            assert len(set(keys)) == len(keys), f"{layout.id} shows a panel twice"
    chapters = [chapter for layout in LAYOUTS for chapter in layout.chapters]
    assert set(chapters) <= set(gallery.groups()) and len(set(chapters)) == len(chapters)


def test_an_experiment_wants_the_layout_of_its_chapter() -> None:
    assert wanted_by(gallery.entry("quick")) == "overview" and wanted_by(None) == "overview"
    assert wanted_by(gallery.entry("helmholtz-m1")) == "pathologies"
    assert wanted_by(gallery.entry("burgers-cpinn-laaf")) == "activations"


# -- by purpose ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_layout_fits_and_every_panel_of_it_is_large_enough(studio: Studio, qtbot: QtBot,
                                                                 size: tuple[int, int]) -> None:
    window = shown(studio, qtbot, size).window
    for layout in LAYOUTS:
        window.layouts.choose(layout.id)
        qtbot.wait(30)
        assert (window.width(), window.height()) == size, f"{layout.id} pushes the window apart"
        columns = layout.columns(*size)
        assert with_place(studio) == {key for column in columns for keys, _ in column.places for key in keys} & EXIST
        assert window.docks.is_shown("form") is layout.form
        for panel in window.panels:
            if in_sight(panel):
                assert panel.width() >= 230 and panel.height() >= 100, f"{panel.id} in {layout.id}: {panel.size()}"


def sized(studio: Studio, qtbot: QtBot, size: tuple[int, int]) -> int:
    """The width of the form when the window has had a size for a while."""
    studio.window.resize(*size)
    qtbot.waitUntil(lambda: not studio.window.docks._anew.isActive())
    qtbot.wait(20)
    return studio.window.docks.docks["form"].width()


def test_the_form_keeps_its_width_when_the_window_is_resized(studio: Studio, qtbot: QtBot) -> None:
    docks = shown(studio, qtbot).window.docks
    docks.reset()
    docks._is_by_hand()  # so that nothing is arranged anew
    qtbot.wait(20)
    at_first = docks.docks["form"].width()
    assert 300 < sized(studio, qtbot, SIZES[1]) <= at_first
    for size in (SIZES[0], (1920, 1080), SIZES[0]):
        assert abs(sized(studio, qtbot, size) - at_first) < 10, f"at {size}"
    assert docks.docks["form"].maximumWidth() > 10_000, "the splitter can be moved"
    heads = [docks.docks[key] for key in ("form", "losses", "gradients")]
    studio.window.resizeDocks(heads, [450, 400, 740], Qt.Orientation.Horizontal)
    qtbot.wait(20)
    wide = docks.docks["form"].width()
    assert wide > at_first + 50 and abs(sized(studio, qtbot, (1920, 1080)) - wide) < 10, "the width of one's own too"


def test_panels_are_arranged_for_another_size_unless_a_person_has_arranged_them(studio: Studio, qtbot: QtBot) -> None:
    shown(studio, qtbot, SIZES[1])
    studio.window.docks.reset()
    assert "fields" not in seen(studio), "it is behind a tab"
    sized(studio, qtbot, SIZES[0])
    assert {"gradients", "fields", "losses", "error"} <= seen(studio)
    sized(studio, qtbot, SIZES[1])
    assert "fields" not in seen(studio)
    studio.window.docks.hide_panel("weights")
    sized(studio, qtbot, SIZES[0])
    assert "fields" not in seen(studio) and not studio.window.docks.is_shown("weights")


def test_hidden_panels_and_tabs_behind_cost_nothing(studio: Studio, qtbot: QtBot) -> None:
    window = shown(studio, qtbot).window
    window.layouts.choose("overview")
    qtbot.wait(30)
    assert "readings" in with_place(studio) and "readings" not in seen(studio), "it is behind the weights"
    window.layouts.choose("losses")
    qtbot.wait(30)
    kinds = window.docks.visible_kinds()
    assert not {"gradients", "fields"} & kinds and "scalars" in kinds
    studio.run()
    wait(qtbot, lambda: any(call.startswith("watch") for call in studio.sessions[0].calls))
    assert not any("gradients" in call for call in studio.sessions[0].calls if call.startswith("watch"))


def test_the_chapter_chooses_until_a_person_does(studio: Studio, qtbot: QtBot) -> None:
    window = shown(studio, qtbot).window
    window.documents.choose("helmholtz-m1")
    assert window.docks.layout_id == "pathologies"
    window.documents.choose("quick")
    assert window.docks.layout_id == "overview"
    window.layouts.choose("fields")
    window.documents.choose("helmholtz-m1")
    assert window.docks.layout_id == "fields"


def test_a_panel_that_was_hidden_by_hand_stays_so(studio: Studio, qtbot: QtBot) -> None:
    window = shown(studio, qtbot).window
    window.docks.docks["fields"].toggleViewAction().trigger()
    assert window.settings.layout_chosen
    window.documents.choose("helmholtz-m1")
    assert window.docks.layout_id == "overview" and not window.docks.is_shown("fields")
    window.actions_by_id["view.reset"].trigger()
    assert window.docks.is_shown("fields")


def test_the_menu_has_keys_and_a_check(studio: Studio, qtbot: QtBot) -> None:
    window = shown(studio, qtbot).window
    actions = window.layouts._group.actions()
    assert [action.text() for action in actions] == [layout.title for layout in LAYOUTS]
    assert [action.shortcut().toString() for action in actions] == [f"Alt+{n}" for n in range(1, len(LAYOUTS) + 1)]
    taken = {row.shortcut for row in ACTIONS}
    assert not taken & {f"Alt+{n}" for n in range(10)}
    actions[1].trigger()
    assert window.docks.layout_id == "losses"
    assert [action.isChecked() for action in window.layouts._group.actions()].index(True) == 1


def test_presentation_has_larger_letters_and_others_the_usual(studio: Studio, qtbot: QtBot) -> None:
    window = shown(studio, qtbot).window
    wall = next(panel for panel in window.panels if panel.id == "gradients")
    usual = wall.wall.small.pointSizeF()  # type: ignore[attr-defined]
    window.layouts.choose("presentation")
    assert wall.wall.small.pointSizeF() > usual  # type: ignore[attr-defined]
    window.switch_theme()
    assert wall.wall.small.pointSizeF() > usual, "also in the other theme"  # type: ignore[attr-defined]
    window.layouts.choose("overview")
    assert wall.wall.small.pointSizeF() == usual  # type: ignore[attr-defined]


# -- of one's own ----------------------------------------------------------------------------------------------


def test_a_layout_of_ones_own_is_kept_renamed_and_deleted(studio: Studio, qtbot: QtBot,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    window = shown(studio, qtbot).window
    assert studio.why_not("layout.delete")
    window.docks.hide_panel("equation")
    names = iter([("Losses", True), ("", False), ("  for   Monday ", True), ("for Tuesday", True)])
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: next(names))
    window.layouts.ask_and_save()
    assert "built-in" in window.runbar.message.text() and window.settings.layouts == {}
    window.layouts.ask_and_save()
    window.layouts.ask_and_save()
    assert list(window.settings.layouts) == ["for Monday"] and window.layouts.own == "for Monday"
    before = with_place(studio)
    window.layouts.choose("stiffness")
    window.layouts.choose_own("for Monday")
    assert with_place(studio) == before and "equation" not in before
    window.layouts.ask_and_rename()
    assert list(studio.store.load().layouts) == ["for Tuesday"]
    assert "for Tuesday" in [action.text() for action in window.layouts._group.actions()]
    window.docks.hide_panel("losses")
    window.layouts.reset()
    assert window.docks.is_shown("losses"), "back to how it was saved"
    window.actions_by_id["layout.delete"].trigger()
    assert studio.store.load().layouts == {} and with_place(studio) == before


def test_a_saved_layout_is_put_back_when_panels_have_been_added_since(studio: Studio, qtbot: QtBot,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    import ui.main_window as main_window

    few = tuple(kind for kind in PANELS if kind.id in ("gradients", "losses", "error"))
    with monkeypatch.context() as patch:
        patch.setattr(main_window, "PANELS", few)
        window = studio.open()
        window.show()
        window.docks.hide_panel("error")
        saved = window.docks.saved()
        discard(window, qtbot)
        studio.windows.remove(window)
    window = shown(studio, qtbot).window
    assert window.docks.put_back(saved)
    qtbot.wait(20)
    assert with_place(studio) == {"gradients", "losses"}, "what is new waits until it is asked for"
    assert window.docks.show_panel("fields")
    qtbot.wait(30)
    fields = next(panel for panel in window.panels if panel.id == "fields")
    assert in_sight(fields) and fields.height() > 200, "and then has a place that is large enough"
    assert not window.docks.put_back(SavedLayout(state="", of=""))


# -- one panel -------------------------------------------------------------------------------------------------


def test_a_panel_fills_the_room_and_gives_it_back(studio: Studio, qtbot: QtBot) -> None:
    window = shown(studio, qtbot).window
    losses = next(panel for panel in window.panels if panel.id == "losses")
    before, size = seen(studio), losses.size()
    losses._zoom_button.click()
    qtbot.wait(30)
    assert seen(studio) == {"losses"} and window.docks.zoomed == "losses" and window.docks.is_shown("form")
    assert losses.width() > 2 * size.width() and losses.height() > 2 * size.height()
    losses._zoom_button.click()
    qtbot.wait(30)
    assert seen(studio) == before and losses.size() == size
    window.docks.zoom("losses")
    window.escape()
    assert window.docks.zoomed == ""
    window.docks.zoom("losses")
    window.docks.show_panel("fields")
    assert window.docks.zoomed == "" and window.docks.is_shown("error")
    assert not window.settings.layout_chosen, "nothing of this is a choice of a layout"


def test_the_panel_in_hand_is_that_under_the_mouse(studio: Studio, qtbot: QtBot) -> None:
    window = shown(studio, qtbot).window
    fields = next(panel for panel in window.panels if panel.id == "fields")
    QCursor.setPos(fields.mapToGlobal(QPoint(fields.width() // 2, fields.height() // 2)))
    if window.docks.panel_in_hand():  # a platform without a mouse knows nothing under it
        assert window.docks.panel_in_hand() == "fields"
        window.actions_by_id["view.zoom"].trigger()
        assert window.docks.zoomed == "fields"
        window.actions_by_id["view.zoom"].trigger()
        assert window.docks.zoomed == ""


def test_what_is_zoomed_when_the_window_closes_is_not_remembered(studio: Studio, qtbot: QtBot) -> None:
    window = shown(studio, qtbot).window
    window.docks.zoom("error")
    window.close()
    wait(qtbot, lambda: not window.isVisible())
    again = studio.open()
    again.show()
    assert again.docks.is_shown("gradients") and again.docks.zoomed == ""


# -- the cards -------------------------------------------------------------------------------------------------


def test_cards_show_hide_and_search(studio: Studio, qtbot: QtBot) -> None:
    window = shown(studio, qtbot).window
    picker = window.show_panels()
    assert isinstance(picker, PanelPicker) and window.show_panels() is picker, "one is enough"
    cards = {card.key: card for card in picker.cards}
    assert set(cards) == EXIST and {key for key, card in cards.items() if card.isChecked()} == with_place(studio)
    cards["fields"].click()
    assert not window.docks.is_shown("fields")
    cards["fields"].click()
    assert window.docks.is_shown("fields")
    window.docks.hide_panel("losses")
    wait(qtbot, lambda: not cards["losses"].isChecked())
    picker.search.setText("relative error")
    assert [key for key, card in cards.items() if not card.isHidden()] == ["error"]
    qtbot.keyClick(picker, Qt.Key.Key_Return)
    assert not window.docks.is_shown("error")
    picker.search.setText("no such thing")
    assert not picker.nothing.isHidden()
    picker.close()


def test_every_panel_has_a_picture_of_its_own(qapp: object) -> None:
    for theme in (LIGHT, DARK):
        pictures = {key: panel_picture(key, theme) for key in SKETCHES}
        data = {bytes(image.convertToFormat(QImage.Format.Format_RGB32).constBits()) for image in pictures.values()}
        assert len(data) == len(SKETCHES) and set(SKETCHES) >= EXIST
    assert not panel_picture("unknown", LIGHT).isNull()
    assert panel_picture("fields", LIGHT, 2.0).width() == 192


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.id)
def test_what_stands_in_front_is_in_sight_and_nothing_else(studio: Studio, qtbot: QtBot, layout: Layout,
                                                           size: tuple[int, int]) -> None:
    """Also a panel that an opaque child covers whole, such as the activations' scrolled grid."""
    shown(studio, qtbot, size)
    studio.window.docks.apply(layout)
    qtbot.wait(60)
    columns = layout.wide if size == SIZES[0] else layout.narrow
    front = {next(key for key in ids if key in EXIST) for column in columns for ids, _ in column.places}
    assert seen(studio) == front


def test_every_panel_that_is_brought_to_the_front_is_in_sight(studio: Studio, qtbot: QtBot) -> None:
    shown(studio, qtbot)
    for kind in PANELS:
        studio.window.docks.show_panel(kind.id)
        qtbot.wait(1)
        assert kind.id in seen(studio), kind.id
