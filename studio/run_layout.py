"""How a run file is laid out, and what can go wrong with one, in words."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SUFFIX = ".pinnrun"
APPLICATION_ID = int.from_bytes(b"PNNS", "big")
VERSION = 3  # 2: readings, 3: targets; of the layout below; a file with a higher one is refused

SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE status (id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT, step INTEGER, seconds REAL);
CREATE TABLE journal (id INTEGER PRIMARY KEY, step INTEGER, time TEXT, kind TEXT, text TEXT, value TEXT);
CREATE TABLE scalars (id INTEGER PRIMARY KEY, step INTEGER, seconds REAL, learning_rate REAL,
                      losses TEXT, weights TEXT, relative_l2 TEXT, readings TEXT, targets TEXT);
CREATE TABLE frames (id INTEGER PRIMARY KEY, kind TEXT, step INTEGER, data BLOB);
CREATE INDEX frames_by_step ON frames (kind, step);
CREATE TABLE checkpoints (id INTEGER PRIMARY KEY, step INTEGER, meta TEXT, tensors BLOB);
"""

Row = tuple[Any, ...]


class RunFileError(Exception):
    """A run file that cannot be written or read; str() is a sentence for the person."""


def code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _reason(error: Exception) -> str:
    if isinstance(error, sqlite3.Error):
        match code(error):
            case sqlite3.SQLITE_FULL:
                return FULL
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return "it is locked by another program; close that program, then try again"
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
                return READ_ONLY
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return f"it is damaged ({error})"
        return str(error)
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            return FULL
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return READ_ONLY
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            return "a part of this path is a file, not a folder"
        return error.strerror or str(error)
    return str(error)


FULL = "the disk is full; free some space, or choose another folder for runs"
READ_ONLY = "writing is not allowed there (read-only); choose another folder, or change its permissions"


@contextmanager
def sentences(path: Path, what: str, kept: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Turn errors of SQLite and of the system into RunFileError: `what` (with the path), why, what is kept."""
    try:
        yield
    except (sqlite3.Error, OSError, OverflowError) as error:
        raise RunFileError(f"{what.format(path)}: {_reason(error)}.{kept()}") from error
