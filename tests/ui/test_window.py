"""The window: what can be pressed when, what it looks like, and that it works as a whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLineEdit
from pytestqt.qtbot import QtBot

from studio import gallery
from studio.experiment import Experiment
from studio.messages import RunState
from studio.runfile import RunFileError
from studio.session import Session
from tests.ui.fake_studio import Studio, discard, opened_studio, wait
from ui import icons
from ui.actions import ACTIONS, MENUS, TOOLBAR
from ui.app import has_display, main
from ui.main_window import MainWindow
from ui.panels import PANELS
from ui.settings import SettingsFile
from ui.statusbar import duration, error_text
from ui.theme import DARK, LIGHT


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    yield from opened_studio(qtbot, tmp_path, monkeypatch)


# -- opening ---------------------------------------------------------------------------------------------------


def test_the_window_comes_up_without_torch_and_without_the_trainer() -> None:
    code = ("import sys, ui.app, ui.main_window, ui.headless\n"
            "bad = [name for name in sys.modules if name.split('.')[0] == 'torch']\n"
            "sys.exit(1 if bad else 0)")
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


def test_a_newcomer_finds_the_default_and_is_told_what_to_look_at(studio: Studio) -> None:
    assert studio.window.documents.current == gallery.DEFAULT == "quick"
    assert gallery.load("quick").look in studio.said and "Start" in studio.said
    assert studio.window.start_button.isEnabled() and studio.window.start_button.text() == "Start"
    assert [lane.label for lane in studio.window.control.lanes] == ["M1", "M2"]
    assert studio.sessions == [], "nothing is built before somebody presses Start"


def test_every_action_is_a_row_that_menus_and_toolbar_know() -> None:
    keys = {row.id for row in ACTIONS}
    assert len(keys) == len(ACTIONS)
    named = {key for menu in MENUS.values() for key in menu} | set(TOOLBAR)
    assert {key for key in named if key[0] not in "-*"} <= keys
    assert {row.icon for row in ACTIONS if row.icon} <= set(icons.names())
    shortcuts = [row.shortcut for row in ACTIONS if row.shortcut]
    assert len(set(shortcuts)) == len(shortcuts)
    wanted = {"run.toggle": "Space", "run.step": ".", "run.stop": "Ctrl+.", "run.reset": "Ctrl+R"}
    assert {row.id: row.shortcut for row in ACTIONS if row.id in wanted} == wanted


def test_every_control_has_a_name_for_those_who_cannot_see_it(studio: Studio) -> None:
    for kind in (QAbstractButton, QLineEdit, QComboBox):
        for widget in studio.window.findChildren(kind):
            if any(panel.isAncestorOf(widget) or panel.header.isAncestorOf(widget) for panel in studio.window.panels):
                continue  # the panels have tests of their own
            inner = widget.objectName().startswith("qt_") or widget.parent() is None
            parent = widget.parent()
            while parent is not None and not inner:  # the parts of Qt's own widgets
                inner = type(parent).__name__ in ("QSpinBox", "QDoubleSpinBox", "QTabBar", "QToolBar", "QMenuBar")
                parent = parent.parent()
            text = widget.text() if isinstance(widget, QAbstractButton) else ""
            assert inner or text or widget.accessibleName(), f"{widget} in {widget.parent()} has no name"


# -- running ---------------------------------------------------------------------------------------------------


def test_start_pause_resume_step_stop_in_both_lanes(studio: Studio) -> None:
    window = studio.window
    assert studio.why_not("run.stop") == "Nothing is running."
    assert studio.why_not("run.reset") == "Nothing has been started."
    studio.run()
    assert [session.experiment.balancing.rule for session in studio.sessions] == ["fixed", "annealing-siam"]
    assert window.control.state is RunState.RUNNING and window.start_button.text() == "Pause"
    assert studio.why_not("run.step") == "Pause first."
    studio.run()
    assert window.start_button.text() == "Resume" and studio.why_not("run.step") == ""
    window.run.step_once()
    studio.tick()
    studio.run()
    window.control.stop()
    studio.tick()
    for session in studio.sessions:
        assert [call for call in session.calls if not call.startswith("watch")] == ["start", "pause", "step", "resume",
                                                                                   "stop"]
    assert window.start_button.text() == "Start again" and "Reset" in studio.why_not("run.step")


def test_one_step_from_the_start(studio: Studio) -> None:
    studio.window.run.step_once()
    studio.tick()
    assert studio.window.control.state is RunState.PAUSED
    assert all("step" in session.calls and "start" not in session.calls for session in studio.sessions)


def test_pressing_everything_in_the_wrong_state_harms_nothing(studio: Studio, qtbot: QtBot) -> None:
    window = studio.window
    for press in (window.control.stop, window.control.pause, window.run.reset, window.documents.set_back):
        press()
    studio.run()
    for press in (window.control.start, window.run.step_once, window.control.start):
        press()
    assert [call for call in studio.sessions[0].calls if not call.startswith("watch")] == ["start"]
    window.control.steer(0, "weight", ("boundary", -1.0))
    assert "negative" in studio.said
    window.control.steer(7, "weight", ("boundary", 1.0))
    window.control.steer(0, "nonsense", None)
    assert "nothing that a run can be told" in studio.said


def test_start_is_off_with_a_reason_while_the_form_is_wrong(studio: Studio) -> None:
    window = studio.window
    window.form.field("network.hidden").set_raw("0")
    window.form.check()
    assert not window.start_button.isEnabled() and "form" in studio.why_not("run.toggle")
    assert "form" in window.reason.text() and not window.reason.isHidden()
    assert studio.why_not("file.save") and window.actions_by_id["edit.problem"].isEnabled()
    studio.run()
    assert studio.sessions == []
    window.documents.set_back()
    assert window.start_button.isEnabled()


def test_a_form_that_is_not_checked_yet_is_checked_at_the_start(studio: Studio) -> None:
    studio.window.form.field("training.steps").set_raw("123")
    studio.run()
    assert studio.sessions[0].experiment.training.steps == 123


def test_changes_during_a_run_wait_for_the_next(studio: Studio, qtbot: QtBot) -> None:
    studio.run()
    studio.window.form.field("training.steps").set_raw("123")
    studio.window.form.check()
    assert "this run goes on as it was started" in studio.window.reason.text()
    studio.answer = "stop"
    studio.window.run.reset()
    wait(qtbot, lambda: not studio.window.control.closing)
    studio.run()
    assert studio.sessions[-1].experiment.training.steps == 123


def test_a_live_change_reaches_the_lane_that_is_meant(studio: Studio) -> None:
    studio.window.control.steer(0, "weight", ("boundary", 1.0))
    assert "Press Start first" in studio.said
    studio.run()
    panel = studio.window.panels[0]
    panel.command.emit(1, "weight", ("boundary", 10.0))
    panel.command.emit(-1, "balancing", "annealing-arxiv")
    first, second = studio.sessions
    assert "weight boundary 10" in second.calls and "weight boundary 10" not in first.calls
    assert "balancing annealing-arxiv" in first.calls and "balancing annealing-arxiv" in second.calls


def test_what_is_to_be_computed_without_a_network_is_answered_with_a_sentence(studio: Studio) -> None:
    studio.window.control.steer(0, "demand", ("spectrum", {}))
    assert "no network is in training" in studio.said and "Press Start first" in studio.said


def test_only_what_is_in_sight_is_watched(studio: Studio, qtbot: QtBot) -> None:
    studio.window.show()
    qtbot.waitExposed(studio.window)
    studio.run()
    wait(qtbot, lambda: any("gradients" in call for call in studio.sessions[0].calls))
    studio.window.docks.docks["gradients"].hide()
    wait(qtbot, lambda: studio.sessions[0].calls[-1] in ("watch fields", "watch "))


# -- looks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1600, 1000), (1280, 720)])
def test_the_first_arrangement_fits_and_shows_the_gradient_wall_largest(studio: Studio, qtbot: QtBot,
                                                                        size: tuple[int, int]) -> None:
    window = studio.window
    window.show()
    window.resize(*size)
    qtbot.waitExposed(window)
    window.docks.reset()
    qtbot.wait(50)
    assert (window.width(), window.height()) == size, "the contents must not push the window apart"
    areas = {panel.id: panel.width() * panel.height() for panel in window.panels if not panel.visibleRegion().isEmpty()}
    assert max(areas, key=lambda key: areas[key]) == "gradients"
    assert set(areas) >= {"gradients", "losses", "weights"}


def test_the_layout_is_remembered_and_can_be_reset(studio: Studio, qtbot: QtBot) -> None:
    studio.window.show()
    studio.window.docks.docks["fields"].hide()
    studio.window.close()
    wait(qtbot, lambda: not studio.window.isVisible())
    again = studio.open()
    again.show()
    assert again.docks.docks["fields"].isHidden() and not again.docks.docks["gradients"].isHidden()
    again.docks.reset()
    assert not again.docks.docks["fields"].isHidden()


def test_light_and_dark_reach_everything_and_are_remembered(studio: Studio) -> None:
    window = studio.window
    before = window.theme
    window.switch_theme()
    assert window.theme is not before and {window.theme.name, before.name} == {"light", "dark"}
    assert all(panel.theme is window.theme for panel in window.panels)
    assert studio.store.load().theme == window.theme.name
    window.set_theme(LIGHT)
    light = window.grab().toImage().pixelColor(5, 5).lightness()
    window.set_theme(DARK)
    dark = window.grab().toImage().pixelColor(5, 5).lightness()
    assert light > 200 and dark < 60


def test_space_presses_the_button_that_has_the_focus_and_else_starts(studio: Studio, qtbot: QtBot) -> None:
    window = studio.window
    window.show()
    window.activateWindow()
    qtbot.waitExposed(window)
    window.form.table("problem.conditions").add_button.setFocus()
    if QApplication.focusWidget() is window.form.table("problem.conditions").add_button:
        window._space()
        wait(qtbot, lambda: len(window.form.table("problem.conditions").cards) == 2)
        assert studio.sessions == []
    field = window.form.field("name").editor
    field.setFocus()
    qtbot.keyClick(field, Qt.Key.Key_Space)
    assert field.raw().count(" ") == 1 and studio.sessions == [], "in a text it is a space"
    window.documents.set_back()
    window.gallery.setFocus()
    window._space()
    assert len(studio.sessions) == 2


def test_the_status_bar_says_what_goes_on(studio: Studio) -> None:
    studio.run()
    first, second = studio.sessions
    first.status = replace(first.status, step=1200, steps_per_second=412.0, relative_l2={"u": 0.123}, seconds_left=42.0)
    second.status = replace(second.status, step=1000, steps_per_second=397.4, relative_l2={"u": 1.5e-3},
                            seconds_left=61.0, engine="compiled")
    studio.tick()
    bar = studio.window.runbar
    bar.draw()
    assert bar.state.text() == "Running" and bar.left.text() == "1:01 left"
    assert bar.steps.text() == "1,000 of 10,000 steps" and bar.progress.value() == 100
    assert [cell.text() for cell in bar._lane_cells] == ["M1   412 steps/s   L2 0.123", "M2   397 steps/s   L2 1.50e-3"]
    assert bar.engine.text() == "compiled / eager"


def test_numbers_of_the_status_bar() -> None:
    assert [duration(value) for value in (0, 42.4, 125, 11_220, None)] == ["0:00", "0:42", "2:05", "3:07:00", ""]
    assert [error_text(value) for value in (2.4912, 0.0123, 1.5e-3, 3e-10)] == ["2.49", "0.0123", "1.50e-3", "3.00e-10"]


# -- the whole -------------------------------------------------------------------------------------------------


def test_a_real_run_from_start_to_a_kept_file_and_back(qtbot: QtBot, tmp_path: Path) -> None:
    def make(experiment: Experiment) -> Session:
        small = experiment.with_changes({"training.steps": 20, "training.engine": "eager", "diagnostics.grid": 20,
                                         "diagnostics.gradients_every": 10, "diagnostics.fields_every": 10})
        return Session(small, runs_folder=tmp_path)

    window = MainWindow(SettingsFile(tmp_path / "settings.json"), make)
    window.show()
    window.load_default()
    window.run.toggle()
    qtbot.waitUntil(lambda: window.control.state is RunState.FINISHED, timeout=120_000)
    assert all(status.step == 20 for status in window.control.statuses.values())
    files = window.control.run_files()
    window.documents.open(files[0])
    banner = window.banner
    qtbot.waitUntil(lambda: banner.notice is not None and "run kept in" in banner.notice.text, timeout=10_000)
    assert window.form.experiment is not None and window.form.experiment.training.steps == 20
    losses = next(panel for panel in window.panels if panel.id == "losses")
    assert losses.table()[1], "the kept run is in the panels"
    discard(window, qtbot)


def test_without_a_display_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not has_display()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert has_display()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delenv("WAYLAND_DISPLAY")
    assert has_display()


def test_the_window_refuses_what_it_does_not_understand(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--colour", "red"]) == 2
    assert "--colour" in capsys.readouterr().err


def test_without_a_display_every_panel_is_saved(qtbot: QtBot, tmp_path: Path) -> None:
    from ui.headless import run_without_display

    path = tmp_path / "small.toml"
    small = gallery.load("quick").with_changes({"training.steps": 10, "training.engine": "eager",
                                                "diagnostics.grid": 20})
    path.write_text(small.to_toml(), encoding="utf-8")
    assert run_without_display([str(path), "--out", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").glob("*.pinnrun"))) == 2
    pictures = {picture.stem for picture in (tmp_path / "out").glob("*-pictures/*.png")}
    assert pictures == {"window", *(panel.id for panel in PANELS)}


def test_without_a_display_bad_input_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ui.headless import run_without_display

    assert run_without_display(["quik"]) == 2
    assert "did you mean 'quick'" in capsys.readouterr().err
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert run_without_display(["--out", str(tmp_path / "file" / "deep")]) == 2
    with pytest.raises(RunFileError):
        from studio.runfile import writable_folder

        writable_folder(tmp_path / "file" / "deep")
