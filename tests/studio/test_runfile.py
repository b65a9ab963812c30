"""The run file: what was committed is there, whatever happens; what is no run file is told in a sentence."""

from __future__ import annotations

import errno
import json
import math
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio import runfile
from studio.experiment import Experiment
from studio.messages import Event
from studio.runfile import RunFile, RunFileError, default_runs_folder, free_path, load_run, writable_folder
from tests.studio.samples import POISSON, equal, fields_frame, gradients_frame, same, scalars

ROOT = Path(__file__).resolve().parents[2]

@pytest.fixture
def experiment() -> Experiment:
    return Experiment.from_toml(POISSON)


@pytest.fixture
def writer(tmp_path: Path, experiment: Experiment) -> Iterator[RunFile]:
    file = RunFile.create(tmp_path / "run.pinnrun", experiment)
    yield file
    file.close()


# ------------------------------------------------------------------ writing and reading


def test_everything_comes_back(writer: RunFile, experiment: Experiment) -> None:
    events = [Event(step=0, kind="start", text="started"), Event(step=4, kind="weight", text="ü", value="[1, 2]")]
    points = [scalars(0), scalars(10, math.nan), scalars(20, math.inf)]
    for event in events:
        writer.add_event(event)
    writer.add_scalars(points)
    for step in (30, 10):
        writer.add_frame(fields_frame(step, step))
    writer.add_frame(gradients_frame(10))
    writer.set_state("finished", 20, 1.5)
    writer.close()
    assert [p.name for p in writer.path.parent.iterdir()] == ["run.pinnrun"]  # one file

    run = load_run(writer.path)
    assert run.experiment == experiment
    assert (run.state, run.step, run.seconds, run.closed) == ("finished", 20, 1.5, True)
    assert run.events == tuple(events)
    assert len(run.event_times) == 2
    assert [equal(a, b) for a, b in zip(points, run.scalars, strict=True)] == [True] * 3
    assert run.frame_steps("fields") == (10, 30)
    assert run.frame_steps("nothing") == ()
    assert equal(run.frame("fields", 30), fields_frame(30, 30))
    assert [frame.step for frame in run.frames("fields")] == [10, 30]
    assert equal(run.frame("gradients", 10), gradients_frame(10))
    assert run.machine["PINNscope"]
    assert run.machine["torch"]
    with pytest.raises(RunFileError, match="no frame 'fields' of step 7"):
        run.frame("fields", 7)


def test_it_says_what_it_is_to_other_programs(writer: RunFile) -> None:
    writer.close()
    with closing(sqlite3.connect(writer.path)) as database:
        assert database.execute("PRAGMA application_id").fetchone() == (int.from_bytes(b"PNNS", "big"),)
        assert database.execute("PRAGMA user_version").fetchone() == (3,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_numbers_are_plain_json_also_where_they_are_not_finite(writer: RunFile) -> None:
    writer.add_scalars([scalars(1, math.nan)])
    writer.commit()
    with closing(sqlite3.connect(writer.path)) as database:
        (text,) = database.execute("SELECT losses FROM scalars").fetchone()
    assert json.loads(text, parse_constant=pytest.fail) == {"residual": "nan", "boundary": 0.1}


def test_the_newest_two_checkpoints_are_kept_bit_for_bit(writer: RunFile) -> None:
    assert load_run(writer.path).latest_checkpoint() is None
    generator = np.random.default_rng(0).integers(0, 256, 5056, dtype=np.uint8)
    for step in (100, 200, 300):
        tensors = {"flat": np.arange(5.0) / step, "scalar": np.asarray(step, np.int64), "generator": generator,
                   "view": np.arange(6, dtype=np.float32).reshape(2, 3).T}
        writer.save_checkpoint(step, tensors, {"step": step, "rule": "fixed", "nan": math.nan, "list": [1, 2.5]})
        writer.commit()
    loaded = load_run(writer.path).latest_checkpoint()
    assert loaded is not None
    step, arrays, meta = loaded
    assert step == 300
    assert same({k: arrays[k] for k in tensors}, tensors)
    assert math.isnan(meta.pop("nan"))
    assert meta == {"step": 300, "rule": "fixed", "list": [1, 2.5]}
    with closing(sqlite3.connect(writer.path)) as database:
        assert database.execute("SELECT step FROM checkpoints ORDER BY id").fetchall() == [(200,), (300,)]
        database.execute("UPDATE checkpoints SET tensors = x'00' WHERE step = 300")
        database.commit()
    found = load_run(writer.path).latest_checkpoint()
    assert found is not None and found[0] == 200  # that is what the second one is for


def test_three_checkpoints_in_one_commit_leave_two(writer: RunFile) -> None:
    for step in (1, 2, 3):
        writer.save_checkpoint(step, {"a": np.zeros(step)}, {})
    writer.commit()
    with closing(sqlite3.connect(writer.path)) as database:
        assert database.execute("SELECT step FROM checkpoints ORDER BY id").fetchall() == [(2,), (3,)]


def test_a_checkpoint_that_json_cannot_hold_is_refused(writer: RunFile) -> None:
    with pytest.raises(RunFileError, match="checkpoint of step 5 cannot be kept"):
        writer.save_checkpoint(5, {}, {"x": object()})


def test_nothing_is_ever_overwritten(tmp_path: Path, experiment: Experiment) -> None:
    path = tmp_path / "a.pinnrun"
    path.write_text("somebody's")
    files = [RunFile.create(path, experiment) for _ in range(2)]
    assert [file.path.name for file in files] == ["a-2.pinnrun", "a-3.pinnrun"]
    for file in files:
        file.close()
    assert path.read_text() == "somebody's"


def test_the_name_says_experiment_label_time_and_seed(tmp_path: Path, experiment: Experiment,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        @staticmethod
        def now() -> Any:
            return __import__("datetime").datetime(2026, 11, 22, 12, 30, 5)

    monkeypatch.setattr(runfile, "datetime", Clock)
    experiment = experiment.model_copy(update={"label": "plain (one)"})
    path = free_path(tmp_path, experiment)
    assert path.name == "poisson-plain-one-2026-11-22_123005-seed0.pinnrun"
    path.touch()
    assert free_path(tmp_path, experiment).name == "poisson-plain-one-2026-11-22_123005-seed0-2.pinnrun"


def test_the_default_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runfile.platformdirs, "user_data_path", lambda name, **_: tmp_path / name)
    assert default_runs_folder() == tmp_path / "PINNscope" / "runs"
    assert list(default_runs_folder().iterdir()) == []


# ------------------------------------------------------------------ what goes wrong while writing

def test_a_full_disk_loses_nothing_and_says_what_helps(writer: RunFile, experiment: Experiment) -> None:
    writer.add_scalars([scalars(10)])
    writer.save_checkpoint(10, {"a": np.ones(3)}, {})
    writer.commit()
    database = writer._database
    assert database is not None
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages + 3}")
    writer.add_scalars([scalars(20)])
    writer.save_checkpoint(20, {"a": np.random.default_rng(0).random(100_000)}, {})
    writer.set_state("running", 20, 2.0)
    for _ in range(2):  # it goes on saying so
        with pytest.raises(RunFileError) as told:
            writer.commit()
    text = str(told.value)
    assert str(writer.path) in text
    assert "the disk is full; free some space" in text
    assert "Everything up to step 10 is kept" in text
    run = load_run(writer.path)  # all of the last commit, nothing of the failed one
    assert [s.step for s in run.scalars] == [10]
    assert run.state == "ready"
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None and checkpoint[0] == 10

    database.execute("PRAGMA max_page_count = 1000000")  # room was made
    writer.add_scalars([scalars(30)])
    writer.close()
    run = load_run(writer.path)
    assert [s.step for s in run.scalars] == [10, 20, 30]
    assert run.state == "running"
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None and checkpoint[0] == 20


def test_closing_on_a_full_disk_tells_and_still_closes(writer: RunFile) -> None:
    writer.add_scalars([scalars(10)])
    writer.commit()
    assert writer._database is not None
    writer._database.execute("PRAGMA max_page_count = 1")
    writer.save_checkpoint(20, {"a": np.ones(100_000)}, {})
    with pytest.raises(RunFileError, match="the disk is full"):
        writer.close()
    writer.close()  # again is nothing
    assert [s.step for s in load_run(writer.path).scalars] == [10]


def test_a_full_disk_from_the_first_byte(tmp_path: Path, experiment: Experiment,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(RunFileError, match="the disk is full"):
        RunFile.create(tmp_path / "a.pinnrun", experiment)
    monkeypatch.undo()
    monkeypatch.setattr(sqlite3, "connect", full)
    with pytest.raises(RunFileError, match="the disk is full"):
        RunFile.create(tmp_path / "a.pinnrun", experiment)
    assert list(tmp_path.iterdir()) == []  # no empty file is left behind


@pytest.mark.parametrize("what", [writable_folder, lambda folder: RunFile.create(
    folder / "a.pinnrun", Experiment.from_toml(POISSON))])
def test_a_folder_that_cannot_be(tmp_path: Path, what: Any) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RunFileError, match="a part of this path is a file"):
            what(folder)


def test_a_read_only_folder(tmp_path: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    monkeypatch.setattr(os, "open", refused)
    for what in (lambda: writable_folder(tmp_path), lambda: RunFile.create(tmp_path / "a.pinnrun", experiment)):
        with pytest.raises(RunFileError, match=rf"{tmp_path}.*read-only\); choose another folder"):
            what()


def test_a_run_file_that_is_taken_away_is_told(writer: RunFile) -> None:
    kept = writer.path.rename(writer.path.with_name("moved"))
    writer.add_scalars([scalars(1)])
    with pytest.raises(RunFileError, match="moved or deleted"):
        writer.commit()
    kept.rename(writer.path)
    writer.commit()
    assert len(load_run(writer.path).scalars) == 1


def test_a_locked_file_is_told_and_written_later(writer: RunFile, monkeypatch: pytest.MonkeyPatch) -> None:
    assert writer._database is not None
    writer._database.execute("PRAGMA busy_timeout = 10")
    writer.add_scalars([scalars(1)])
    with closing(sqlite3.connect(writer.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RunFileError, match="locked by another program"):
            writer.commit()
    writer.commit()
    assert len(load_run(writer.path).scalars) == 1


def test_it_can_be_read_while_it_is_written_and_closed_while_it_is_read(writer: RunFile) -> None:
    for step in (1, 2):
        writer.add_frame(fields_frame(step))
    writer.commit()
    run = load_run(writer.path)
    assert not run.closed
    frames = run.frames("fields")
    assert next(frames).step == 1
    writer.add_frame(fields_frame(3))
    writer.close()
    assert [frame.step for frame in frames] == [2]  # as it was when the reading began
    assert load_run(writer.path).frame_steps("fields") == (1, 2, 3)
