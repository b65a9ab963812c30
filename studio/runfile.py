"""A run is one SQLite file: experiment, journal, scalars, frames, checkpoints.

While it is written it is in WAL mode, so that a program killed in mid-write leaves everything that was
committed. When it is closed it is one file. Reading never changes it.
"""

from __future__ import annotations

import errno
import json
import math
import os
import platform
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import safetensors.numpy
from safetensors import SafetensorError

from core.frames import Array, Frame, ScalarsFrame
from studio import __version__
from studio.experiment import Experiment
from studio.frame_codec import FrameCodecError, encode
from studio.messages import Event
from studio.run_layout import APPLICATION_ID, SCHEMA, SUFFIX, VERSION, Row, RunFileError, code, sentences
from studio.run_reader import Run, load_run

__all__ = [
    "SUFFIX",
    "Run",
    "RunFile",
    "RunFileError",
    "default_runs_folder",
    "free_path",
    "load_run",
    "machine",
    "writable_folder",
]


NEWEST = 8  # frames of a kind that are never thinned


def default_runs_folder() -> Path:
    """Where runs go unless a person says otherwise; made where it is missing. Raises RunFileError."""
    return writable_folder(platformdirs.user_data_path("PINNscope", appauthor=False) / "runs")


def writable_folder(folder: Path) -> Path:
    """`folder`, made where it is missing and proved to be writable. Raises RunFileError."""
    with sentences(folder, "the folder {} cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
    with (
        sentences(folder, "nothing can be written into the folder {}"),
        tempfile.TemporaryFile(dir=folder) as probe,
    ):
        probe.write(b"PINNscope")
    return folder


def free_path(folder: Path, experiment: Experiment) -> Path:
    """A path in `folder` that is free: NAME-LABEL-DATE_TIME-seedN.pinnrun, with -2, -3 ... where need be.

    Raises RunFileError.
    """
    label = re.sub(r"[^A-Za-z0-9._]+", "-", experiment.label).strip("-.")
    name = experiment.name[:80]
    if label and not name.lower().endswith(label.lower()):
        name = f"{name}-{label[:40]}"
    stamp = datetime.now().strftime("%Y-%m-%d_%H%M%S")
    paths = _names(folder / f"{name}-{stamp}-seed{experiment.training.seed}{SUFFIX}")
    with sentences(folder, "the folder {} cannot be read"):
        return next(path for path in paths if not path.exists())


def _names(path: Path) -> Iterator[Path]:
    yield path
    number = 2
    while True:
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1


class RunFile:
    """A run that is being written. For one thread at a time.

    What is added waits in memory until `commit` writes it in one transaction. Where that fails (a full disk),
    it goes on waiting: the next commit writes it too, so that nothing is lost once there is room.
    """

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = database
        self._waiting: list[tuple[str, Row]] = []
        self._checkpoints: list[Row] = []
        self._status: Row | None = None
        self._step = 0
        self._kept_step: int | None = None
        self._frame_bytes = 0  # of all frames in the file or waiting, as far as this object has written them

    @classmethod
    def create(cls, path: Path, experiment: Experiment) -> RunFile:
        """A new run file. Never overwrites: where `path` is taken it is NAME-2 and so on; `.path` says which.

        Raises RunFileError, and then leaves no file behind.
        """
        what = "the run file {} cannot be made"
        with sentences(path, what):
            path.parent.mkdir(parents=True, exist_ok=True)
            path = _claim(path)
        database = None
        try:
            with sentences(path, what):
                database = sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False)
                database.executescript(
                    f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; BEGIN; {SCHEMA}"
                )
                about = {
                    "experiment": experiment.to_toml(),
                    "created": _now(),
                    "machine": json.dumps(machine()),
                }
                database.executemany("INSERT INTO about VALUES (?, ?)", about.items())
                database.execute("INSERT INTO status VALUES (1, 'ready', 0, 0.0)")
                database.execute("COMMIT")
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            if database is not None:
                database.close()
            with suppress(OSError):
                path.unlink()
            raise
        return cls(path, database)

    def add_scalars(self, frames: Sequence[ScalarsFrame]) -> None:
        for f in frames:
            numbers = [_numbers(n) for n in (f.losses, f.weights, f.relative_l2, f.readings, f.targets)]
            self._add(
                "INSERT INTO scalars (step, seconds, learning_rate, losses, weights, relative_l2, readings, targets) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (int(f.step), float(f.seconds), float(f.learning_rate), *numbers),
            )

    def add_frame(self, frame: Frame) -> None:
        """Raises RunFileError for a frame of a kind that cannot be written."""
        if isinstance(frame, ScalarsFrame):
            return self.add_scalars([frame])
        try:
            data = encode(frame)
        except FrameCodecError as error:
            raise RunFileError(f"a frame cannot be kept in {self.path}: {error}") from None
        self._add_encoded(frame.kind, int(frame.step), data)
        return None

    def _add_encoded(self, kind: str, step: int, data: bytes) -> None:
        self._frame_bytes += len(data)
        self._add("INSERT INTO frames (kind, step, data) VALUES (?, ?, ?)", (kind, step, data))

    def add_event(self, event: Event, time: str = "") -> None:
        """`time` is UTC in ISO 8601; now where it is not given."""
        self._add(
            "INSERT INTO journal (step, time, kind, text, value) VALUES (?, ?, ?, ?, ?)",
            (int(event.step), time or _now(), event.kind, event.text, event.value),
        )

    def copy_records(self, run: Run, until: int) -> None:
        """Scalars, frames and journal of another run up to step `until`, as they are there, times included."""
        self.add_scalars([frame for frame in run.scalars if frame.step <= until])
        for kind, step, data in run.encoded_frames(until):
            self._add_encoded(kind, step, data)
        for event, time in zip(run.events, run.event_times, strict=True):
            if event.step <= until:
                self.add_event(event, time)

    def save_checkpoint(self, step: int, tensors: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
        """The whole state of the trainer: arrays as safetensors, `meta` as JSON. The newest two are kept."""
        try:
            data = safetensors.numpy.save({name: np.asarray(a, order="C") for name, a in tensors.items()})
            row = (int(step), json.dumps(dict(meta)), data)
        except (SafetensorError, TypeError, ValueError, KeyError) as error:
            raise RunFileError(
                f"the checkpoint of step {step} cannot be kept in {self.path}: {error}"
            ) from None
        self._checkpoints = [*self._checkpoints, row][-2:]
        self._step = max(self._step, int(step))

    def set_state(self, state: str, step: int, seconds: float) -> None:
        self._status = (str(state), int(step), float(seconds))
        self._step = max(self._step, int(step))

    def commit(self) -> None:
        """Write what waits, all or nothing. Raises RunFileError; what waits then goes on waiting."""
        if self._database is None or not (self._waiting or self._checkpoints or self._status):
            return
        with sentences(self.path, "the run file {} cannot be written", self._kept):
            if not self.path.exists():
                raise FileNotFoundError(errno.ENOENT, "it was moved or deleted while the run went on")
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._write(self._database)
                self._database.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise
        self._waiting.clear()
        self._checkpoints.clear()
        self._status = None
        self._kept_step = self._step

    def thin(self, budget: float) -> str:
        """Remove frames where those in the file take more than `budget` bytes; a sentence that says which, or ''.

        Of the kind that takes most, every second frame goes, but for the first and the newest ones; so what is left
        stays evenly spread, and early and late steps are kept alike. Raises RunFileError.
        """
        if self._database is None or self._frame_bytes <= budget:
            return ""
        with sentences(self.path, "the run file {} cannot be thinned", self._kept):
            sizes = {kind: (size, count) for kind, size, count in self._database.execute(
                "SELECT kind, sum(length(data)), count(*) FROM frames GROUP BY kind")}
            self._frame_bytes = sum(size for size, _ in sizes.values())
            said = []
            while self._frame_bytes > budget:
                kind, (size, count) = max(sizes.items(), key=lambda item: item[1][0])
                rows = self._database.execute(
                    "SELECT id, step, length(data) FROM frames WHERE kind = ? ORDER BY step, id", (kind,)).fetchall()
                gone = rows[1: -NEWEST: 2]
                if not gone:
                    break  # a budget for less than the newest frames is no budget
                self._database.executemany("DELETE FROM frames WHERE id = ?", [(row[0],) for row in gone])
                freed = sum(row[2] for row in gone)
                self._frame_bytes -= freed
                sizes[kind] = (size - freed, count - len(gone))
                said.append(f"{kind}: {len(rows)} to {len(rows) - len(gone)}")
        return (f"old frames were thinned evenly, to keep them within {budget / 1e6:g} MB ({'; '.join(said)})"
                if said else "")

    def close(self) -> None:
        """Commit, and make it one file. The file is closed even where RunFileError is raised."""
        if self._database is None:
            return
        try:
            self.commit()
            with sentences(self.path, "the run file {} cannot be completed", self._kept):
                self._merge(self._database)
        finally:
            database, self._database = self._database, None
            with suppress(sqlite3.Error):
                database.close()

    @staticmethod
    def _merge(database: sqlite3.Connection) -> None:
        """The WAL into the file. While somebody reads, that has to wait; a reader sees it all the same."""
        try:
            database.execute("PRAGMA busy_timeout = 100")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            if code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise

    def _add(self, statement: str, row: Row) -> None:
        self._waiting.append((statement, row))
        self._step = max(self._step, row[1] if isinstance(row[1], int) else row[0])

    def _write(self, database: sqlite3.Connection) -> None:
        for statement, row in self._waiting:
            database.execute(statement, row)
        if self._checkpoints:  # delete first: the new ones use the old ones' pages
            database.execute(
                "DELETE FROM checkpoints WHERE id NOT IN (SELECT id FROM checkpoints ORDER BY id DESC "
                "LIMIT ?)",
                (2 - len(self._checkpoints),),
            )
            database.executemany(
                "INSERT INTO checkpoints (step, meta, tensors) VALUES (?, ?, ?)", self._checkpoints
            )
        if self._status is not None:
            database.execute("UPDATE status SET state = ?, step = ?, seconds = ?", self._status)

    def _kept(self) -> str:
        if self._kept_step is None:
            return " Only the experiment is kept in it so far."
        return f" Everything up to step {self._kept_step:,} is kept in it."


def machine() -> dict[str, str]:
    """The versions and the machine that a run was made with; nothing that names a person or a host."""
    found = {
        "PINNscope": __version__,
        "Python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": str(os.cpu_count() or ""),
    }
    for package in ("torch", "numpy"):
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _claim(path: Path) -> Path:
    """Make the first free one of path, path-2 ... as an empty file that is ours."""
    for name in _names(path):
        with suppress(FileExistsError):
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644))
            return name
    raise AssertionError("unreachable: the names do not end")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _numbers(values: Mapping[str, float]) -> str:
    """Compact JSON; NaN and infinity as text, which JSON itself does not have."""
    plain = {name: float(value) for name, value in values.items()}
    return json.dumps({n: v if math.isfinite(v) else str(v) for n, v in plain.items()}, separators=(",", ":"))
