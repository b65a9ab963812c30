"""Back in time: the frames of a step come from the run file, every panel in sight shows them at once, live goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from studio.runfile import RunFile, RunFileError
from tests.ui import samples
from tests.ui.fake_studio import Studio, opened_studio, wait
from tests.ui.recorded import add, record
from ui.panels.panel import Panel
from ui.replay import MOST_PAST, replay, thinned
from ui.travel import KEPT, Recording, nearest

STEPS = range(0, 1001, 100)


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    yield from opened_studio(qtbot, tmp_path, monkeypatch)


def seen(path: Path) -> Recording:
    recording = Recording(path)
    recording.has_seen(recording.look())
    return recording


def running(studio: Studio, qtbot: QtBot, files: list[RunFile], step: int = 1000) -> None:
    """A run that is at `step`, with these files."""
    studio.window.show()
    qtbot.waitExposed(studio.window)
    studio.run()
    for session, file in zip(studio.sessions, files, strict=True):
        session.run_file = file.path
        session.status = replace(session.status, step=step)
    studio.tick()
    studio.window.travel.look()
    wait(qtbot, lambda: bool(studio.window.travel.steps()))


def two_files(tmp_path: Path) -> list[RunFile]:
    return [record(tmp_path / f"{lane}.pinnrun", STEPS, lane, close=False) for lane in (0, 1)]


def panel(studio: Studio, key: str) -> Panel:
    return next(one for one in studio.window.panels if one.id == key)


# -- what is recorded ------------------------------------------------------------------------------------------


def test_the_frame_is_that_of_the_last_step_at_or_before(tmp_path: Path) -> None:
    record(tmp_path / "a.pinnrun", STEPS)
    recording = seen(tmp_path / "a.pinnrun")
    assert recording.steps["gradients"] == tuple(STEPS) and recording.steps["fields"] == tuple(range(0, 1001, 200))
    frames = recording.frames(350, ["gradients", "fields", "spectrum"])
    assert {kind: frame.step for kind, frame in frames.items()} == {"gradients": 300, "fields": 200}
    truth = samples.gradients_frame(0, 300)
    assert np.array_equal(frames["gradients"].counts, truth.counts)  # type: ignore[union-attr]
    assert recording.frames(-1, ["gradients"]) == {}
    assert recording.frames(300, ["gradients"])["gradients"] is frames["gradients"], "it is kept"


def test_what_is_recorded_meanwhile_is_seen_at_the_next_look(tmp_path: Path) -> None:
    file = record(tmp_path / "a.pinnrun", STEPS, close=False)
    recording = seen(file.path)
    add(file, [1100])
    file.commit()
    recording.has_seen(recording.look())
    assert recording.steps["gradients"][-1] == 1100
    assert recording.frames(5000, ["gradients"])["gradients"].step == 1100
    file.close()
    assert recording.frames(1000, ["gradients"])["gradients"].step == 1000, "also after it was closed"


def test_only_the_last_frames_are_kept(tmp_path: Path) -> None:
    record(tmp_path / "a.pinnrun", range(KEPT + 20))
    recording = seen(tmp_path / "a.pinnrun")
    for step in range(KEPT + 20):
        recording.frames(step, ["gradients"])
    assert len(recording._frames) == KEPT
    recording.forget()
    assert recording.frames(3, ["gradients"])["gradients"].step == 3


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.pinnrun").write_text("no run", encoding="utf-8")
    with pytest.raises(RunFileError, match="a.pinnrun"):
        Recording(tmp_path / "a.pinnrun").look()


@pytest.mark.parametrize(("step", "found"), [(-5, 0), (0, 0), (49, 0), (51, 100), (100, 100), (149, 100), (999, 300)])
def test_nearest(step: float, found: int) -> None:
    assert nearest([0, 100, 200, 300], step) == found


def test_thinned_keeps_the_ends_and_is_even() -> None:
    assert thinned(range(5), 5) == [0, 1, 2, 3, 4]
    few = thinned(range(100_000), 400)
    assert len(few) == 400 and few[0] == 0 and few[-1] == 99_999
    assert set(np.diff(few).tolist()) <= {250, 251}


def test_a_replay_has_the_history_and_the_newest_of_each_kind(tmp_path: Path) -> None:
    record(tmp_path / "a.pinnrun", range(MOST_PAST + 100), fields_every=100)
    run = replay(tmp_path / "a.pinnrun")
    steps = [frame.step for frame in run.update.past]
    assert len(steps) == MOST_PAST and steps == sorted(steps) and steps[-1] == MOST_PAST + 99
    assert {frame.kind for frame in run.update.past} == {"gradients"}, "of fields only the newest is handed on"
    assert run.update.frames["fields"].step == 400 and run.update.frames["gradients"].step == MOST_PAST + 99
    assert [event.kind for event in run.update.events] == ["start", "balancing"]


# -- the window ------------------------------------------------------------------------------------------------


def test_panels_show_the_step_and_come_back(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    running(studio, qtbot, two_files(tmp_path))
    window, wall = studio.window, panel(studio, "gradients")
    for lane in (0, 1):
        wall.receive(lane, samples.update(lane, step=1000))
    wall.draw()
    window.travel.go(420)
    assert window.travel.at == 400 and wall.at == 400.0
    assert [wall.frame(lane, "gradients").step for lane in (0, 1)] == [400, 400]  # type: ignore[union-attr]
    assert not wall.pending, "it was drawn at once"
    assert "400" in window.timeline.text() and "Esc" in window.timeline.text()
    wall.receive(0, samples.update(0, step=1100))
    assert wall.frame(0, "gradients").step == 400, "what is new waits"  # type: ignore[union-attr]
    window.escape()
    assert window.travel.at is None and wall.at is None
    assert wall.frame(0, "gradients").step == 1100  # type: ignore[union-attr]


def test_steps_one_by_one_and_the_ends(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    running(studio, qtbot, two_files(tmp_path))
    travel, track = studio.window.travel, studio.window.timeline.track
    track.stepped.emit(-1)
    assert travel.at == 900, "the newest step is in sight already"
    track.stepped.emit(-1)
    assert travel.at == 800
    track.stepped.emit(1)
    assert travel.at == 900
    track.home.emit()
    assert travel.at == 0
    track.stepped.emit(-1)
    assert travel.at == 0
    travel.go(1000)
    track.stepped.emit(1)
    assert travel.at is None, "after the newest comes live"
    track.stepped.emit(1)
    assert travel.at is None


def test_many_moves_of_the_hand_are_one_picture(studio: Studio, qtbot: QtBot, tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    running(studio, qtbot, two_files(tmp_path))
    travel, shown = studio.window.travel, []
    monkeypatch.setattr(panel(studio, "losses"), "travel", lambda frames, at: shown.append(at))
    for step in (100, 200, 300, 600):
        studio.window.timeline.track.moved.emit(float(step))
    wait(qtbot, lambda: travel.at == 600)
    assert shown == [600.0]


def test_a_tab_that_comes_to_the_front_gets_its_frames(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    running(studio, qtbot, two_files(tmp_path))
    window = studio.window
    window.docks.hide_panel("fields")
    qtbot.wait(20)
    window.travel.go(500)
    fields = panel(studio, "fields")
    assert fields.frame(0, "fields") is None, "hidden panels cost nothing"
    window.docks.show_panel("fields")
    wait(qtbot, lambda: fields.frame(0, "fields") is not None)
    assert fields.frame(0, "fields").step == 400  # type: ignore[union-attr]


def test_playing_runs_to_live_and_can_be_paused(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    running(studio, qtbot, two_files(tmp_path))
    window = studio.window
    window.travel.set_speed(5.0)
    window.timeline.play_button.click()
    assert window.travel.playing and window.travel.at == 0
    wait(qtbot, lambda: (window.travel.at or 0) >= 300)
    window.timeline.play_button.click()
    held = window.travel.at
    qtbot.wait(80)
    assert not window.travel.playing and window.travel.at == held
    window.timeline.play_button.click()
    wait(qtbot, lambda: window.travel.at is None)
    assert not window.travel.playing


def test_another_run_begins_live_and_forgets(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    running(studio, qtbot, two_files(tmp_path))
    window = studio.window
    window.travel.go(300)
    studio.answer = "stop"
    window.run.reset()
    wait(qtbot, lambda: not window.control.closing)
    assert window.travel.at is None and window.travel.steps() == []
    assert window.timeline.track.recorded is None and window.timeline.track.marks == []
    assert studio.why_not("time.back") == "No step is recorded yet."


def test_a_run_without_a_file_says_so(studio: Studio, qtbot: QtBot) -> None:
    studio.run()
    for session in studio.sessions:
        session.status = replace(session.status, step=50)
    studio.tick()
    studio.window.travel.look()
    assert "not recorded" in studio.window.timeline.text()
    studio.window.travel.go(10)
    studio.window.travel.go_by(-1)
    studio.window.travel.play()
    assert studio.window.travel.at is None and not studio.window.travel.playing


def test_a_file_that_cannot_be_read_is_a_sentence(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    studio.run()
    (tmp_path / "bad.pinnrun").write_text("no run", encoding="utf-8")
    studio.sessions[0].run_file = tmp_path / "bad.pinnrun"
    studio.sessions[0].status = replace(studio.sessions[0].status, step=50)
    studio.tick()
    studio.window.travel.look()
    wait(qtbot, lambda: "cannot be read" in studio.window.timeline.text())


def test_a_kept_run_can_be_gone_through(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    record(tmp_path / "a.pinnrun", STEPS)
    studio.window.show()
    qtbot.waitExposed(studio.window)
    studio.window.documents.open(tmp_path / "a.pinnrun")
    wait(qtbot, lambda: len(studio.window.travel.steps()) == 11)
    studio.window.travel.go(130)
    assert panel(studio, "gradients").frame(0, "gradients").step == 100  # type: ignore[union-attr]
    assert "the end is at 1,000" in studio.window.timeline.text()
    assert [mark.step for mark in studio.window.timeline.track.marks] == [300]


def test_a_step_under_the_mouse_is_shown_everywhere_else(studio: Studio, qtbot: QtBot,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    studio.window.show()
    qtbot.waitExposed(studio.window)
    told: dict[str, object] = {}
    for one in studio.window.panels:
        monkeypatch.setattr(one, "set_cursor", lambda step, key=one.id: told.__setitem__(key, step))
    panel(studio, "losses").pointed.emit(120.0)
    assert told["error"] == 120.0 and "losses" not in told
    assert studio.window.timeline.track.cursor_step == 120.0
    studio.window.timeline.track.pointed.emit(None)
    assert told["error"] is None and told["losses"] is None


