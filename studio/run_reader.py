"""Reading a run file without changing it, also one that is being written or whose writer was killed."""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import safetensors.numpy
from safetensors import SafetensorError

from core.frames import Array, Frame, ScalarsFrame
from studio.alterations import in_effect
from studio.experiment import Experiment, ExperimentError
from studio.frame_codec import FrameCodecError, decode
from studio.messages import Event
from studio.run_layout import APPLICATION_ID, SUFFIX, VERSION, Row, RunFileError, code, sentences


class _Source:
    """Read-only connections to a run file, or to a copy where SQLite would have to write beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._copy: Path | None = None

    def connect(self) -> sqlite3.Connection:
        if self._copy is None:
            try:
                return _open(self.path, "ro")
            except sqlite3.OperationalError as error:
                if code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                    raise
            self._copy = self._recover()
        return _open(self._copy, "rw")

    def _recover(self) -> Path:
        """A copy elsewhere, with what a killed writer left beside the file. Gone with this object."""
        folder = tempfile.mkdtemp(prefix="pinnscope-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        copy = Path(folder) / "run"
        for tail in ("", "-wal", "-journal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{self.path}{tail}", f"{copy}{tail}")
        return copy


def _open(path: Path, mode: str) -> sqlite3.Connection:
    place = path.absolute().as_posix()
    uri = f"file://{'' if place.startswith('/') else '/'}{quote(place, safe='/:')}?mode={mode}"
    database = sqlite3.connect(uri, uri=True, timeout=2.0, isolation_level=None)
    try:
        database.execute(
            "SELECT count(*) FROM sqlite_master"
        ).fetchone()  # the first read finds what is wrong
    except BaseException:
        database.close()
        raise
    return database


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as its file tells it. Frames are read when they are asked for."""

    path: Path
    experiment: Experiment
    created: str  # UTC, ISO 8601
    machine: Mapping[str, str]
    state: str  # a RunState, as last committed
    step: int
    seconds: float
    closed: bool  # False: it is being written now, or its writer was killed
    events: tuple[Event, ...]
    event_times: tuple[str, ...]  # UTC, ISO 8601, one for each event
    scalars: tuple[ScalarsFrame, ...]  # in the order in which they were written
    _source: _Source = field(repr=False, compare=False)

    @property
    def current(self) -> Experiment:
        """The experiment with the changes that were made while it trained. Raises RunFileError."""
        try:
            return in_effect(self.experiment, self.events)
        except (ValueError, KeyError, TypeError) as error:
            raise RunFileError(f"the changes in the journal of {self.path} cannot be read: {error}.") from None

    def frame_steps(self, kind: str) -> tuple[int, ...]:
        """The steps that have a frame of this kind, increasing."""
        return tuple(
            step
            for (step,) in self._rows(
                "SELECT DISTINCT step FROM frames WHERE kind = ? ORDER BY step", (kind,)
            )
        )

    def frame(self, kind: str, step: int) -> Frame:
        """Raises RunFileError where there is none, or it is damaged."""
        query = "SELECT data FROM frames WHERE kind = ? AND step = ? ORDER BY id DESC LIMIT 1"
        for (data,) in self._rows(query, (kind, step)):
            return self._decoded(data, kind, step)
        raise RunFileError(f"{self.path} has no frame '{kind}' of step {step}.")

    def frames(self, kind: str) -> Iterator[Frame]:
        """Every frame of this kind by increasing step; of several of one step the newest."""
        newest = "SELECT max(id) FROM frames WHERE kind = ? GROUP BY step"
        query = f"SELECT step, data FROM frames WHERE id IN ({newest}) ORDER BY step"
        for step, data in self._rows(query, (kind,)):
            yield self._decoded(data, kind, step)

    def encoded_frames(self, until: int) -> Iterator[tuple[str, int, bytes]]:
        """(kind, step, bytes) of every frame up to step `until`, in the order in which they were written."""
        for kind, step, data in self._rows("SELECT kind, step, data FROM frames WHERE step <= ? ORDER BY id", (until,)):
            yield str(kind), int(step), bytes(data)

    def latest_checkpoint(self) -> tuple[int, dict[str, Array], dict[str, Any]] | None:
        """(step, arrays, metadata) of the newest checkpoint that can be read; None where there is none."""
        found = False
        for step, meta, tensors in self._rows("SELECT step, meta, tensors FROM checkpoints ORDER BY id DESC"):
            found = True
            with suppress(SafetensorError, ValueError, TypeError):
                return int(step), safetensors.numpy.load(tensors), dict(json.loads(meta))
        if found:
            raise RunFileError(f"the checkpoints in {self.path} are damaged.")
        return None

    def _rows(self, query: str, values: Row = ()) -> Iterator[Row]:
        with (
            sentences(self.path, "the run file {} cannot be read"),
            closing(self._source.connect()) as database,
        ):
            yield from database.execute(query, values)

    def _decoded(self, data: Any, kind: str, step: int) -> Frame:
        try:
            return decode(bytes(data))
        except (FrameCodecError, TypeError) as error:
            raise RunFileError(
                f"the frame '{kind}' of step {step} in {self.path} cannot be read: {error}."
            ) from None


def load_run(path: Path) -> Run:
    """Read a run file without changing it. Raises RunFileError with a sentence that names the file."""
    path = Path(path)
    closed = _check_header(path)
    source = _Source(path)
    with sentences(path, "the run file {} cannot be read"), closing(source.connect()) as database:
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise RunFileError(f"{path} is no run file of PINNscope: it is a SQLite file of another program.")
        if version > VERSION:
            raise RunFileError(
                f"{path} was made by a newer version of PINNscope (its layout is {version}, this program "
                f"reads up to {VERSION}); open it with that one."
            )
        try:
            return _read(path, source, database, closed)
        except ExperimentError as error:
            raise RunFileError(f"the experiment in {path} cannot be read: {error}.") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RunFileError(f"the run file {path} is damaged: {error}.") from None


def _check_header(path: Path) -> bool:
    """Whether the file was closed (is not in WAL mode). Raises RunFileError for what is no SQLite file."""
    if path.is_dir():
        raise RunFileError(f"{path} is a folder, not a run file; name a file that ends with {SUFFIX}.")
    with sentences(path, "the run file {} cannot be read"):
        try:
            with path.open("rb") as file:
                header = file.read(100)
                size = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            raise RunFileError(f"there is no file {path}.") from None
        except PermissionError:
            raise RunFileError(f"you are not allowed to read {path}.") from None
    if not header:
        raise RunFileError(f"{path} is no run file of PINNscope: it is empty.")
    if not header.startswith(b"SQLite format 3\0"):
        raise RunFileError(
            f"{path} is no run file of PINNscope; a run file is made by a run and ends with {SUFFIX}."
        )
    if len(header) < 100:
        raise RunFileError(f"the run file {path} is damaged: it ends after {len(header)} bytes.")
    closed = header[18] == 1
    page = int.from_bytes(header[16:18], "big") or 1
    announced = (65536 if page == 1 else page) * int.from_bytes(header[28:32], "big")
    if size < announced and not _beside(path, "-wal"):  # with a WAL, the missing pages are in that
        raise RunFileError(
            f"the run file {path} is damaged: it has {size:,} of {announced:,} bytes; copy it again from "
            "where it came."
        )
    return closed


def _beside(path: Path, tail: str) -> bool:
    """Whether there is something in the file that SQLite keeps beside this one."""
    try:
        return os.path.getsize(f"{path}{tail}") > 0
    except OSError:
        return False


def _read(path: Path, source: _Source, database: sqlite3.Connection, closed: bool) -> Run:
    about = dict(database.execute("SELECT key, value FROM about"))
    state, step, seconds = database.execute("SELECT state, step, seconds FROM status").fetchone()
    journal = database.execute("SELECT time, step, kind, text, value FROM journal ORDER BY id").fetchall()
    columns = "step, seconds, learning_rate, losses, weights, relative_l2"
    version = database.execute("PRAGMA user_version").fetchone()[0]
    columns += ", readings" if version >= 2 else ", '{}'"  # version 1 had none
    columns += ", targets" if version >= 3 else ", '{}'"
    scalars = database.execute(f"SELECT {columns} FROM scalars ORDER BY id")
    return Run(
        path=path,
        experiment=Experiment.from_toml(about["experiment"]),
        created=about["created"],
        machine=json.loads(about["machine"]),
        state=state,
        step=step,
        seconds=seconds,
        closed=closed,
        events=tuple(Event(step=row[1], kind=row[2], text=row[3], value=row[4]) for row in journal),
        event_times=tuple(row[0] for row in journal),
        scalars=tuple(_scalars(row) for row in scalars),
        _source=source,
    )


def _scalars(row: Row) -> ScalarsFrame:
    step, seconds, rate, *numbers = row
    losses, weights, relative_l2, readings, targets = (
        {name: float(v) for name, v in json.loads(text).items()} for text in numbers
    )
    # SQLite keeps a NaN as NULL.
    return ScalarsFrame(
        step=step,
        seconds=math.nan if seconds is None else seconds,
        losses=losses,
        weights=weights,
        learning_rate=math.nan if rate is None else rate,
        relative_l2=relative_l2,
        readings=readings,
        targets=targets,
    )
