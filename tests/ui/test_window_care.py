"""The window in trouble and at the end: a person is told, nothing is lost, nothing is left behind."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from studio import gallery
from studio.messages import Event, RunState
from tests.ui.fake_studio import Studio, opened_studio, wait
from ui.app import fit_to_screen, leave_behind
from ui.settings import pack


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    yield from opened_studio(qtbot, tmp_path, monkeypatch)


# -- trouble ---------------------------------------------------------------------------------------------------


def test_a_nan_names_the_term_and_offers_half_the_learning_rate(studio: Studio) -> None:
    studio.run()
    session = studio.sessions[1]
    session.put(RunState.PAUSED)
    session.events.append(Event(step=17, kind="nan", text="the loss term 'boundary' became NaN"))
    studio.tick()
    assert "M2" in studio.said and "'boundary'" in studio.said and "step 17" in studio.said
    studio.press("Go on with half the learning rate")
    assert session.calls[-2:] == [f"rate {gallery.load('quick').optimizer.learning_rate / 2:g}", "resume"]
    studio.tick()
    session.put(RunState.PAUSED)
    session.events.append(Event(step=30, kind="nan", text="the loss term 'residual' became NaN"))
    studio.tick()
    studio.press("Go on with half the learning rate")
    assert f"rate {gallery.load('quick').optimizer.learning_rate / 4:g}" in session.calls, "half again, of the half"
    studio.tick()
    session.put(RunState.PAUSED)
    session.events.append(Event(step=31, kind="nan", text="the loss term 'residual' became NaN"))
    studio.tick()
    studio.press("Stop")
    assert session.calls[-1] == "stop" and studio.sessions[0].status.state is RunState.RUNNING


def test_a_message_is_drawn_inside_its_strip(studio: Studio, qtbot: QtBot) -> None:
    studio.window.show()
    banner = studio.window.banner
    wait(qtbot, banner.isVisible)
    for part in (banner.icon, banner.text, banner.close_button):
        assert banner.rect().contains(part.geometry()), f"{part} at {part.geometry()} is not in {banner.rect()}"


def test_what_failed_is_not_said_of_the_next_run(studio: Studio, qtbot: QtBot) -> None:
    studio.run()
    studio.sessions[0].put(RunState.FAILED, "the training process ended unexpectedly")
    studio.sessions[1].put(RunState.STOPPED)
    studio.tick()
    assert "has failed" in studio.said
    studio.run()
    wait(qtbot, lambda: len(studio.sessions) == 4)
    assert "has failed" not in studio.said


def test_a_first_window_is_not_larger_than_its_screen(studio: Studio) -> None:
    room = studio.window.screen().availableSize()
    assert studio.window.height() > room.height(), "the offscreen platform has a small screen"
    fit_to_screen(studio.window)
    assert studio.window.height() < room.height() and studio.window.width() <= max(
        room.width(), studio.window.minimumSizeHint().width())
    studio.window.settings.geometry = pack(b"as it was the last time")
    studio.window.resize(1600, 1000)
    fit_to_screen(studio.window)
    assert studio.window.height() == 1000, "a place that is remembered is not touched"


def test_a_failure_is_a_sentence_with_details(studio: Studio) -> None:
    studio.run()
    session = studio.sessions[0]
    session.events.append(Event(step=3, kind="error", text="Traceback ..."))
    session.put(RunState.FAILED, "the training failed: out of luck")
    studio.tick()
    notice = studio.window.banner.notice
    assert notice is not None and notice.details == "Traceback ..."
    assert studio.said == "M1 has failed: the training failed: out of luck."


def test_an_experiment_that_cannot_be_opened_is_told_and_changes_nothing(studio: Studio, tmp_path: Path) -> None:
    for name, text in (("broken.toml", "name = "), ("unknown.toml", "color = 1"), ("binary.toml", "\x00")):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        studio.window.documents.open(path)
        assert name in studio.said
        studio.window.banner.dismiss()
    studio.window.documents.open(tmp_path / "missing.toml")
    assert "no file" in studio.said
    assert studio.window.documents.current == "quick"


def test_a_run_file_that_is_none_is_told(studio: Studio, tmp_path: Path, qtbot: QtBot) -> None:
    path = tmp_path / "no.pinnrun"
    path.write_text("nothing", encoding="utf-8")
    studio.window.documents.open(path)
    wait(qtbot, lambda: "no.pinnrun cannot be shown" in studio.said)


def test_a_folder_that_cannot_be_written_is_told_and_the_form_stays(studio: Studio, tmp_path: Path) -> None:
    studio.window.form.field("training.steps").set_raw("77")
    studio.window.form.check()
    assert studio.window.documents.save(tmp_path / "nowhere" / "x.toml") is False
    assert "could not be written" in studio.said
    assert studio.window.form.field("training.steps").raw() == "77"


def test_an_error_of_the_program_itself_is_shown(studio: Studio) -> None:
    try:
        raise ZeroDivisionError("a test")
    except ZeroDivisionError as error:
        studio.window.reports.exception(type(error), error, error.__traceback__)
    notice = studio.window.banner.notice
    assert notice is not None and "ZeroDivisionError" in notice.details and "a test" in notice.text


# -- documents -------------------------------------------------------------------------------------------------


def test_saved_and_opened_again_it_is_the_same(studio: Studio, tmp_path: Path) -> None:
    window = studio.window
    window.form.field("optimizer.learning_rate").set_raw("2e-3")
    window.form.check()
    assert window.documents.save(tmp_path / "mine.toml") and not window.form.is_changed()
    saved = window.form.experiment
    window.documents.choose("helmholtz-m3")
    window.documents.open(tmp_path / "mine.toml")
    assert window.form.experiment == saved
    assert window.settings.recent[0] == str(tmp_path / "mine.toml")
    assert list(tmp_path.glob("*.part")) == list(tmp_path.glob(".*.part")) == []


def test_what_was_typed_survives_a_visit_elsewhere_and_the_end_of_the_program(studio: Studio, qtbot: QtBot) -> None:
    window = studio.window
    window.form.field("training.steps").set_raw("forty")
    window.documents.choose("helmholtz-m3")
    window.documents.choose("quick")
    assert window.form.field("training.steps").raw() == "forty" and "changes that you made" in studio.said
    window.show()
    window.close()
    wait(qtbot, lambda: not window.isVisible())
    again = studio.open()
    assert again.form.field("training.steps").raw() == "forty"
    again.documents.set_back()
    assert again.form.experiment == gallery.load("quick")


def test_another_experiment_during_a_run_asks_first(studio: Studio, qtbot: QtBot) -> None:
    studio.run()
    key = studio.window.gallery.keys()[2]
    studio.window.gallery.select(key)
    assert len(studio.questions) == 1 and studio.window.documents.current == "quick"
    assert studio.window.gallery.current_key() == "quick" and studio.window.control.unfinished
    studio.answer = "stop"
    studio.window.gallery.select(key)
    wait(qtbot, lambda: not studio.window.control.closing)
    assert studio.window.documents.current == key
    assert all(session.closed_in == "closing" for session in studio.sessions), "closed off the GUI thread"
    assert studio.window.control.lanes[0].experiment == gallery.load(key).lanes()[0]


def test_start_again_after_the_end_makes_a_new_run(studio: Studio, qtbot: QtBot) -> None:
    studio.run()
    for session in studio.sessions:
        session.put(RunState.FINISHED)
    studio.tick()
    studio.run()
    wait(qtbot, lambda: len(studio.sessions) == 4)
    assert studio.questions == []
    assert [call for call in studio.sessions[2].calls if not call.startswith("watch")] == ["start"]


# -- closing ---------------------------------------------------------------------------------------------------


def test_closing_in_mid_run_asks_and_cancel_keeps_everything(studio: Studio) -> None:
    studio.window.show()
    studio.run()
    assert studio.window.close() is False
    assert len(studio.questions) == 1 and studio.window.isVisible()
    assert studio.window.control.state is RunState.RUNNING and studio.window.governor.active


def test_closing_in_mid_run_keeps_the_run_and_leaves_nothing(studio: Studio, qtbot: QtBot) -> None:
    studio.window.show()
    studio.run()
    for session in studio.sessions:
        session.slow = 0.3
    studio.answer = "stop"
    studio.window.close()
    assert studio.window.control.closing and studio.window.isVisible(), "the window waits for the run to be kept"
    wait(qtbot, lambda: not studio.window.isVisible())
    assert all(session.closed_in == "closing" for session in studio.sessions)
    assert not studio.window.governor.active
    assert all(thread.name != "closing" for thread in threading.enumerate())


def test_keep_running_closes_at_the_end(studio: Studio, qtbot: QtBot) -> None:
    studio.window.show()
    studio.run()
    studio.answer = "later"
    assert studio.window.close() is False and studio.window.control.unfinished
    for session in studio.sessions:
        session.put(RunState.FINISHED)
    wait(qtbot, lambda: not studio.window.isVisible())


def test_closing_without_a_run_asks_nothing(studio: Studio, qtbot: QtBot) -> None:
    studio.window.show()
    studio.window.close()
    wait(qtbot, lambda: not studio.window.isVisible())
    assert studio.questions == []


def test_a_session_that_still_computes_does_not_abort_the_process() -> None:
    """Within a long computation it does not hear of the closing; Python's own end would abort the process there."""
    code = ("import threading, time\n"
            "from ui.app import leave_behind\n"
            "threading.Thread(target=time.sleep, args=(60,), name='session', daemon=True).start()\n"
            "print('said', end='')\n"
            "leave_behind(3, wait=0.2)\n"
            "print('not reached')\n")
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "said")


def test_without_a_session_the_end_is_the_usual_one() -> None:
    leave_behind(3, wait=0.0)
