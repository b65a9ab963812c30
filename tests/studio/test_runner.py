"""What can go wrong while a run is prepared, steered, written and gone on with; in the thread of the test."""

from __future__ import annotations

import json
import queue
import threading
from pathlib import Path

import numpy as np
import pytest

from core.frames import FieldsFrame, GradientsFrame
from core.trainer import Trainer
from studio import course, engines, records, remote
from studio.compiling import CompileError
from studio.experiment import Experiment
from studio.mailbox import MOST_SCALARS, Mailbox
from studio.messages import RunState, Status, Update
from studio.pace import Pace
from studio.runfile import Run, RunFile, RunFileError, load_run
from studio.runner import Runner
from tests.studio.samples import POISSON, scalars

FULL = "the run file x cannot be written: the disk is full."
DIAGNOSTICS = {"diagnostics.scalars_every": 1, "diagnostics.gradients_every": 5, "diagnostics.fields_every": 5}


def small(**changes: object) -> Experiment:
    lane = Experiment.from_toml(POISSON).lanes()[0]
    base: dict[str, object] = {"training.steps": 20, "training.engine": "eager", **DIAGNOSTICS}
    return lane.with_changes({**base, **{k.replace("__", "."): v for k, v in changes.items()}})


class Desk:
    """A runner with its queue and mailbox. `play` runs it to its end with the commands given beforehand."""

    def __init__(self, experiment: Experiment, path: Path | None = None, resume_from: Path | None = None) -> None:
        self.commands: queue.SimpleQueue[tuple[str, object]] = queue.SimpleQueue()
        self.mailbox = Mailbox(Status(state=RunState.READY, step=0, total_steps=experiment.training.steps))
        self.runner = Runner(experiment, path, resume_from, self.commands, self.mailbox)

    def play(self, *commands: str | tuple[str, object]) -> Update:
        for command in commands:
            self.commands.put((command, None) if isinstance(command, str) else command)
        self.runner.run()
        return self.mailbox.take()


def finished(folder: Path, name: str, experiment: Experiment, resume_from: Path | None = None) -> Run:
    """A run that has made all of its steps."""
    desk = Desk(experiment, folder / name, resume_from)
    thread = threading.Thread(target=desk.play, args=("resume",))
    thread.start()
    while desk.mailbox.status.state is not RunState.FINISHED and thread.is_alive():
        thread.join(0.01)
    desk.commands.put(("close", None))
    thread.join()
    assert desk.mailbox.status.state is RunState.FINISHED, desk.mailbox.status
    return load_run(folder / name)


def kinds(update: Update) -> list[str]:
    return [event.kind for event in update.events]


# ------------------------------------------------------------------ commands

def test_single_steps_add_up_and_do_not_outlast_a_pause() -> None:
    update = Desk(small()).play("step", "step", "step", "close")
    assert update.status.step == 0, "'close' came before the first of them was made"
    desk = Desk(small())
    desk.runner._prepare()
    for command in ("step", "step", "pause", "resume"):
        desk.runner._apply(command, None)
    desk.runner._chunk()
    assert desk.runner._state is not RunState.PAUSED, "after a pause, 'resume' does not mean one step"


def test_a_nan_in_a_single_step_does_not_make_the_next_start_a_single_step() -> None:
    desk = Desk(small())
    desk.runner._prepare()
    desk.runner._apply("step", None)
    good = desk.runner.trainer.theta
    desk.runner.trainer.theta = good * float("nan")
    desk.runner._chunk()
    assert desk.mailbox.take().status.message.startswith("the loss term 'residual' became nan")
    desk.runner.trainer.theta = good
    desk.runner._apply("resume", None)
    desk.runner._chunk()
    assert desk.runner._state is not RunState.PAUSED


def test_one_step_is_made_however_far_another_run_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(small())
    desk.runner._prepare()
    monkeypatch.setattr("studio.runner.TURNS.begin", lambda run, step: 0.0)
    desk.runner._apply("step", None)
    desk.runner._chunk()
    assert desk.runner.trainer.iteration == 1 and desk.mailbox.take().status.message == "one step made"


def test_what_was_trained_before_a_failure_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer.step

    def fails(trainer: Trainer) -> list[float]:
        if trainer.iteration == 7:
            raise RuntimeError("out of order")
        return step(trainer)

    monkeypatch.setattr(Trainer, "step", fails)
    update = Desk(small(), tmp_path / "a.pinnrun").play("resume")
    kept = load_run(tmp_path / "a.pinnrun").latest_checkpoint()
    assert update.status.state is RunState.FAILED and kept is not None and kept[0] == 7


def test_a_run_that_has_all_its_steps_makes_no_more(tmp_path: Path) -> None:
    finished(tmp_path, "whole.pinnrun", small())
    again = finished(tmp_path, "again.pinnrun", small(), tmp_path / "whole.pinnrun")
    assert again.step == 20


def slow_compilation(monkeypatch: pytest.MonkeyPatch, desk: Desk, *commands: str) -> list[str]:
    """A compilation that never ends, during which these commands come. Returns what is done to it."""
    done: list[str] = []

    class Slow:
        def __init__(self, experiment: Experiment) -> None:
            done.append("begun")

        def poll(self) -> bool:
            for command in commands:
                desk.commands.put((command, None))
            return False

        def cancel(self) -> None:
            done.append("cancelled")

    monkeypatch.setattr(engines, "ready", lambda experiment: False)
    monkeypatch.setattr(engines, "Compilation", Slow)
    return done


@pytest.mark.parametrize("command", ["stop", "close"])
def test_ending_while_compiling_makes_no_step_on_another_engine(command: str, tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(small(training__engine="compiled"), tmp_path / "a.pinnrun")
    done = slow_compilation(monkeypatch, desk, command, "close")
    update = desk.play("resume")
    assert (update.status.state, update.status.step) == (RunState.STOPPED, 0)
    assert "start" not in kinds(update)
    assert done == ["begun", "cancelled"]


def test_commands_keep_their_order_while_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(small(training__engine="compiled"))
    slow_compilation(monkeypatch, desk, "pause", "stop", "close")
    assert kinds(desk.play("resume")) == ["pause", "stop"]


def test_a_failed_compilation_stays_eager_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(experiment: Experiment) -> None:
        raise CompileError("the step could not be compiled: no room")

    monkeypatch.setattr(engines, "Compilation", fails)
    monkeypatch.setattr(engines, "ready", lambda experiment: False)
    desk = Desk(small(training__engine="auto", training__steps=100_000_000))
    desk.runner._prepare()
    assert desk.runner._engines is not None
    for _ in range(2):
        desk.runner._engines.poll(desk.runner.trainer, seconds_left=1000.0)
    update = desk.mailbox.take()
    assert update.status.message == "the step could not be compiled: no room; the step stays eager"
    assert [json.loads(e.value) for e in update.events if e.kind == "engine"] == ["eager"], "said once"


# ------------------------------------------------------------------ files

def test_a_full_disk_before_the_trainer_is_built_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: RunFile) -> None:
        raise RunFileError(FULL)

    monkeypatch.setattr(RunFile, "commit", full)
    monkeypatch.setattr(course, "build_trainer", lambda *_, **more: int("no network"))
    update = Desk(small(), tmp_path / "a.pinnrun").play("resume")
    assert update.status.state is RunState.FAILED
    assert update.status.message == FULL
    assert "no network" in next(e.text for e in update.events if e.kind == "refused")


class Disk:
    """A disk that can be full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        commit = RunFile.commit

        def tried(file: RunFile) -> None:
            if self.full:
                raise RunFileError(FULL)
            commit(file)

        monkeypatch.setattr(RunFile, "commit", tried)
        monkeypatch.setattr(records, "COMMIT_EVERY", 0.0)


def test_a_full_disk_at_the_end_is_told_and_what_waits_is_written_later(tmp_path: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    desk = Desk(small(), tmp_path / "a.pinnrun")
    thread = threading.Thread(target=desk.play, args=(("weight", ("boundary", 2.0)),))
    thread.start()
    try:
        disk.full = True
        desk.commands.put(("resume", None))
        while desk.mailbox.status.state is not RunState.FINISHED:
            thread.join(0.01)
            if desk.mailbox.status.state is RunState.PAUSED:
                desk.commands.put(("resume", None))
        thread.join(0.3)
        assert desk.mailbox.status.message == FULL, "a run that is not in its file must not look as if it were"
        disk.full = False
        thread.join(0.5)
        assert desk.mailbox.status.message == ""
        run = load_run(tmp_path / "a.pinnrun")
        assert (run.state, run.step) == ("finished", 20)
    finally:
        disk.full = False
        desk.commands.put(("close", None))
        thread.join()


def test_stopping_does_not_claim_to_keep_what_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    desk = Desk(small(), tmp_path / "a.pinnrun")
    desk.runner._prepare()
    disk.full = True
    desk.runner._apply("pause", None)
    desk.runner._apply("stop", None)
    assert desk.mailbox.take().status.message == FULL
    unrecorded = Desk(small())
    unrecorded.runner._prepare()
    unrecorded.runner._apply("stop", None)
    assert "kept" not in unrecorded.mailbox.take().status.message
    disk.full = False
    desk.runner._finish()


def test_torch_s_words_for_exhausted_memory_become_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: object, **more: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(course, "build_trainer", greedy)
    assert "the memory is exhausted" in Desk(small()).play("resume").status.message


# ------------------------------------------------------------------ going on

def test_a_resumed_run_s_file_begins_with_all_that_the_old_one_recorded(tmp_path: Path) -> None:
    old = finished(tmp_path, "old.pinnrun", small(training__steps=10))
    new = finished(tmp_path, "new.pinnrun", small(), tmp_path / "old.pinnrun")
    assert [s.step for s in new.scalars] == list(range(1, 21))
    assert new.frame_steps("gradients") == new.frame_steps("fields") == (0, 5, 10, 15, 20)
    for mine, theirs in zip(new.events, old.events, strict=False):
        assert mine == theirs
    assert new.event_times[: len(old.events)] == old.event_times, "things happened when they happened"
    frames = [f for f in new.frames("gradients") if isinstance(f, GradientsFrame)]
    assert all(np.array_equal(frames[0].edges, frame.edges) for frame in frames), "bins are those of the run's start"
    before, after = old.frame("fields", 5), new.frame("fields", 5)
    assert isinstance(before, FieldsFrame) and isinstance(after, FieldsFrame)
    assert np.array_equal(before.prediction["u"], after.prediction["u"])


def test_the_journal_says_which_engine_made_a_state_and_which_goes_on(tmp_path: Path) -> None:
    finished(tmp_path, "old.pinnrun", small(training__steps=10))
    new = finished(tmp_path, "new.pinnrun", small(), tmp_path / "old.pinnrun")
    told = {event.kind: event for event in new.events}
    assert "goes on from step 10 of old.pinnrun, whose last steps were made by the eager engine" in told["resumed"].text
    assert json.loads(told["resumed"].value) == str(tmp_path / "old.pinnrun")
    assert "starts again on the eager engine" in told["start"].text


def test_a_checkpoint_with_something_missing_is_refused_with_a_sentence(tmp_path: Path) -> None:
    file = RunFile.create(tmp_path / "old.pinnrun", small())
    file.save_checkpoint(5, {}, {})
    file.close()
    update = Desk(small(), None, tmp_path / "old.pinnrun").play("resume")
    assert update.status.message == "this state is not complete: it has no theta"


# ------------------------------------------------------------------ around it

def test_a_process_that_cannot_be_started_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        def Pipe(self) -> None:
            raise OSError(24, "Too many open files")

    monkeypatch.setattr(remote.multiprocessing, "get_context", lambda kind: Context())
    desk = Desk(small())
    remote.RemoteRunner(small(), None, None, desk.commands, desk.mailbox).run()
    status = desk.mailbox.status
    assert status.state is RunState.FAILED
    assert status.message == "a process for the training could not be started: Too many open files"


def test_a_mailbox_that_nobody_empties_stays_small() -> None:
    mailbox = Mailbox(Status(state=RunState.RUNNING, step=0, total_steps=1))
    frames = tuple(scalars(step) for step in range(1000))
    for _ in range(120):
        mailbox.put_update(Update(status=mailbox.status, scalars=frames))
    assert len(mailbox.take().scalars) <= MOST_SCALARS


def test_the_pace_is_known_after_half_a_second_of_training() -> None:
    pace = Pace()
    pace.measure(30.0, 100)  # a run that is gone on with
    assert pace.rate == 0
    pace.measure(30.2, 120)
    assert pace.rate == 0
    pace.measure(30.5, 150)
    assert pace.rate == pytest.approx(100)
    pace.measure(30.6, 180, last=True)
    assert pace.rate == pytest.approx(0.6 * 100 + 0.4 * 300)


def test_a_run_whose_process_is_killed_has_the_step_of_its_last_commit(tmp_path: Path) -> None:
    desk = Desk(small(), tmp_path / "killed.pinnrun")
    desk.runner._prepare()
    desk.runner._apply("resume", None)
    while desk.runner.trainer.iteration < 10:
        desk.runner._chunk()
    desk.runner._commit()  # as it does every second
    run = load_run(tmp_path / "killed.pinnrun")
    assert run.step == desk.runner.trainer.iteration >= 10 and not run.closed
    assert run.state in ("running", "finished")
    desk.runner._finish()
