"""A kept run that is gone on with: whether it can be, and what the panels show of it before its next step."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from studio.messages import RunState
from studio.phases import Place
from studio.runfile import Run, RunFileError
from ui.replay import Replay, replay


def to_go_on(path: Path) -> Replay:
    """A run up to its newest checkpoint, with the experiment that it had there: changes are made, phases are put in.

    Raises RunFileError with a sentence where it cannot be gone on with. Slow: not on the GUI thread.
    """
    kept = replay(path)
    if not kept.run.closed and in_use(path):
        raise RunFileError(f"{path.name} is being written by another window or program; end that run first.")
    step, experiment = _steps_made(kept.run), kept.run.current
    update = replace(
        kept.update, scalars=(),  # which the session itself gives again
        status=replace(kept.update.status, state=RunState.PREPARING, step=step),
        frames={kind: frame for kind, frame in kept.update.frames.items() if frame.step <= step},
        past=tuple(frame for frame in kept.update.past if frame.step <= step),
        events=tuple(event for event in kept.update.events if event.step <= step))
    return replace(kept, experiment=experiment, update=update)


def _steps_made(run: Run) -> int:
    """The step that a run is gone on from. Raises RunFileError."""
    checkpoint, name = run.latest_checkpoint(), run.path.name
    if checkpoint is None:
        raise RunFileError(f"{name} has no checkpoint to go on from.")
    try:
        place = Place.from_meta(checkpoint[2])
    except ValueError as error:
        raise RunFileError(f"{name} cannot be gone on with: {error}.") from None
    if place.phase > len(run.current.phases):
        raise RunFileError(f"{name} cannot be gone on with: it is in phase {place.phase + 1}, which its journal does "
                           "not tell of.")
    total = place.total(run.current)
    if checkpoint[0] >= total:
        raise RunFileError(f"{name} has made all of its {total:,} steps.")
    return checkpoint[0]


def in_use(path: Path) -> bool:
    """Whether a run is being written into this file. One whose writer was killed is in use by nobody.

    Whoever writes keeps the file open, and SQLite lets nobody have it alone then.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, timeout=0.0)) as database:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return False
