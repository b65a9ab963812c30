"""A run that is opened from its file: how it ended, where it was, and going on with it in the window."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from studio import gallery
from studio.messages import Event, RunState
from studio.runfile import RunFile, RunFileError
from tests.ui import samples
from tests.ui.fake_studio import Studio, opened_studio, wait
from ui import main_window
from ui.going_on import in_use, to_go_on

PHASES = [{"steps": 50, "optimizer": {"kind": "lbfgs"}}]
ADDED = {"text": "Switch to ssbroyden", "changes": {"phases": [*PHASES, {"steps": 5000}]}}


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    yield from opened_studio(qtbot, tmp_path, monkeypatch)


def kept(path: Path, state: str = "stopped", step: int = 647, *, close: bool = True,
         checkpoint: bool = True) -> RunFile:
    """Of a run of 1,000 steps and a phase of 50, that was switched to a third phase of 5,000 at step 300."""
    experiment = gallery.load("quick").lanes()[0].with_changes({"training.steps": 1000, "phases": PHASES})
    file = RunFile.create(path, experiment)
    file.add_event(Event(step=0, kind="start", text="starts on the eager engine, seed 0"))
    file.add_event(Event(step=300, kind="change", text="Switch to ssbroyden", value=json.dumps(ADDED)))
    file.add_event(Event(step=300, kind="phase", text="phase 3 of 3: ssbroyden"))
    file.add_scalars(samples.scalars(0, 20, 30))
    file.add_frame(samples.gradients_frame(0, 600))
    if checkpoint:
        file.save_checkpoint(step, {}, {"place": [2, 300, 4.0, "ssbroyden"]})
    file.set_state(state, step, 12.0)
    file.commit()
    if close:
        file.close()
    return file


def opened(studio: Studio, qtbot: QtBot, path: Path) -> None:
    studio.window.documents.open(path)
    wait(qtbot, lambda: path.name in studio.said)


def test_an_opened_run_is_shown_as_it_ended(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    opened(studio, qtbot, kept(tmp_path / "a.pinnrun").path)
    bar = studio.window.runbar
    bar.draw()
    assert bar.state.text() == "Stopped" and "347" in bar.steps.text() and "ssbroyden" in bar.steps.text()
    assert "Step 647 of 5,300" in bar.steps.toolTip()
    assert "stopped at step 647 of 5,300, in phase 3 of 3" in studio.said
    wait(qtbot, lambda: bool(studio.window.travel.steps()))
    assert studio.window.timeline.text().startswith("The end")
    studio.window.refresh()
    assert studio.window.timeline.text().startswith("The end")
    assert studio.why_not("run.undo") == "This run is shown as it was recorded. Go on with it first."


def test_a_finished_run_has_all_its_steps_and_no_more(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    opened(studio, qtbot, kept(tmp_path / "a.pinnrun", "finished", 338).path)
    bar = studio.window.runbar
    bar.draw()
    assert (bar.state.text(), bar.steps.text(), bar.progress.value()) == ("Finished", "338 steps in 3 phases", 1000)
    assert "finished after 338 steps" in studio.said and studio.why_not("run.go-on") == "The run has finished."
    notice = studio.window.banner.notice
    assert notice is not None and notice.actions == ()


def test_a_stopped_run_is_gone_on_with_in_its_phase(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    path = kept(tmp_path / "a.pinnrun").path
    assert studio.why_not("run.go-on") == "Open a run first, or stop one."
    opened(studio, qtbot, path)
    assert studio.why_not("run.go-on") == ""
    studio.press("Go on with this run")
    wait(qtbot, lambda: len(studio.sessions) == 1)
    studio.tick()
    session, window = studio.sessions[0], studio.window
    assert session.resume_from == path and session.calls[-1] == "start"
    assert len(session.experiment.phases) == 2, "the phase that was put in while it trained"
    assert window.control.state is RunState.RUNNING and not window.run.form_differs()
    assert [mark.step for mark in window.timeline.track.marks] == [300, 300], "what happened before is in sight"
    assert "gone on with" in studio.why_not("run.undo") and studio.why_not("run.go-on") == "A run is going on."
    window.control.stop()
    studio.tick()
    studio.run()  # which begins anew, with what the form says
    wait(qtbot, lambda: len(studio.sessions) == 2)
    assert studio.sessions[1].resume_from is None and len(studio.sessions[1].experiment.phases) == 1


def test_a_run_that_was_stopped_in_this_window_is_gone_on_with(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    studio.run()
    for lane, session in enumerate(studio.sessions):
        session.run_file = kept(tmp_path / f"{lane}.pinnrun").path
        session.status = samples.status(RunState.STOPPED, 647)
    studio.tick()
    studio.window.actions_by_id["run.go-on"].trigger()
    wait(qtbot, lambda: len(studio.sessions) == 4)
    assert [one.resume_from for one in studio.sessions[2:]] == [tmp_path / f"{lane}.pinnrun" for lane in (0, 1)]
    assert [lane.label for lane in studio.window.control.lanes] == ["M1", "M2"]


def test_another_run_that_was_begun_meanwhile_stays(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    opened(studio, qtbot, kept(tmp_path / "a.pinnrun").path)
    studio.window.run.go_on()
    studio.run()
    wait(qtbot, lambda: not studio.window.run._reading.busy)
    assert [session.resume_from for session in studio.sessions] == [None]


def test_what_cannot_be_gone_on_with_is_a_sentence(studio: Studio, qtbot: QtBot, tmp_path: Path) -> None:
    path = kept(tmp_path / "a.pinnrun").path
    opened(studio, qtbot, path)
    path.write_bytes(path.read_bytes()[:5000])
    studio.press("Go on with this run")
    wait(qtbot, lambda: "cannot be gone on with" in studio.said)
    assert "damaged" in studio.said and "a.pinnrun" in studio.said and not studio.sessions
    assert studio.why_not("run.go-on") == "", "it may be tried again"


@pytest.mark.parametrize(("more", "words"), [
    ({"step": 5300}, "has made all of its 5,300 steps"),
    ({"checkpoint": False}, "has no checkpoint"),
])
def test_why_not(more: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match=words):
        to_go_on(kept(tmp_path / "a.pinnrun", **more).path)  # type: ignore[arg-type]


def test_a_run_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    writer = kept(tmp_path / "a.pinnrun", "running", close=False)
    assert in_use(writer.path)
    with pytest.raises(RunFileError, match="being written by another window or program"):
        to_go_on(writer.path)
    writer.close()
    assert not in_use(writer.path)
    assert to_go_on(writer.path).experiment.phases[1].steps == 5000


def test_one_whose_writer_was_killed_is_not_in_use(tmp_path: Path) -> None:
    writer = kept(tmp_path / "a.pinnrun", "running", close=False)
    for tail in ("", "-wal"):
        (tmp_path / f"b.pinnrun{tail}").write_bytes((tmp_path / f"a.pinnrun{tail}").read_bytes())
    writer.close()
    run = to_go_on(tmp_path / "b.pinnrun")
    assert run.update.status.step == 647 and len(run.experiment.phases) == 2


def test_the_window_s_own_session_gets_the_file(studio: Studio, tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, object]] = []
    monkeypatch.setattr(main_window, "Session", lambda experiment, **more: made.append(more))
    studio.window._make_session(gallery.load("quick"), resume_from=tmp_path / "a.pinnrun")
    assert made[0]["resume_from"] == tmp_path / "a.pinnrun"
