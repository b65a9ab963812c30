"""A small gallery, a table of it, and a runner that trains nothing."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio import gallery, table_runs, tables
from studio.reproduce import Report, Reproduction, Trains
from studio.table_runs import Job, Plan, Record, Results
from studio.tables import Table
from studio.verdicts import write
from tests.studio.samples import POISSON

INVERSE = """
name = "inverse"
[problem]
name = "Inverse"
fields = ["u"]
domain = { x = [-1.0, 1.0] }
unknowns = { a = 0.5 }
truth = { a = 2.0 }
residuals = [{ name = "poisson", equation = "u_xx + a", points = 16 }]
conditions = [{ name = "wall", equation = "u = 0", points = 4 }]
[network]
hidden = [8, 8]
[training]
steps = 1000
"""

#: Experiments by name, as a gallery has them.
GALLERY = {"poisson": POISSON, "inverse": INVERSE}


def small_gallery(monkeypatch: pytest.MonkeyPatch, folder: Path, **tomls: str) -> None:
    """From now on the gallery is the one above, and tables are read from `folder`; `forget` when it is over."""
    place = folder / "small-gallery"
    place.mkdir(exist_ok=True)
    for name, text in {**GALLERY, **tomls}.items():
        (place / f"{name}.toml").write_text(f'title = "The {name} problem"\n{text}', encoding="utf-8")
    monkeypatch.setattr(gallery, "FOLDER", place)
    monkeypatch.setattr(gallery, "DEFAULT", "poisson")
    monkeypatch.setattr(tables, "FOLDER", folder)
    forget()


def forget() -> None:
    """What has been read of gallery and tables is read again."""
    for remembered in (gallery._names, gallery._data, gallery.load, tables.load, tables._resolved, table_runs.plan_of):
        remembered.cache_clear()


def cell(row: str, column: str = "", **more: Any) -> dict[str, Any]:
    return {"row": row, "column": column, "experiment": "poisson", "published": 0.1, **more}


def data(*cells: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A table as its file has it."""
    return {"name": "small", "title": "A small table", "source": "Nobody 1900, Table 1", "seeds": 2,
            "cells": list(cells) or [cell("plain")], **more}


#: Two rows and two columns; 'plain' at 100 steps shares its run with 'plain' at the last.
MATRIX = data(
    cell("plain", "100 steps", at=100, spread=0.02, more={"another source": 0.2}),
    cell("plain", "end", spread=0.02),
    cell("wide", "100 steps", set={"network.hidden": [16, 16]}, at=100),
    cell("wide", "end", set={"network.hidden": [16, 16]}, note="Wider than that was not tried."),
    fast={"set": {"training.steps": 400}, "note": "400 steps."})

TOML = """
name = "small"
title = "A small table"
source = "Nobody 1900, Table 1"
seeds = 2
fast = { set = { "training.steps" = 400 }, note = "400 steps." }
[[cells]]
row = "plain"
experiment = "poisson"
published = 0.1
[[cells]]
row = "wide"
experiment = "poisson"
set = { "network.hidden" = [16, 16] }
published = 0.1
"""

MATRIX_TOML = """
name = "matrix"
title = "Rows and columns"
source = "Nobody 1900, Table 2"
[[cells]]
row = "plain"
column = "M1"
experiment = "poisson"
published = 0.1
spread = 0.01
more = { "another source" = 0.2 }
note = "a note"
[[cells]]
row = "plain"
column = "M2"
experiment = "poisson"
set = { "network.hidden" = [9, 9] }
published = 0.1
[[cells]]
row = "wide"
column = "M2"
experiment = "poisson"
set = { "network.hidden" = [16, 16] }
found = false
"""


def write_table(folder: Path, text: str = TOML) -> Path:
    path = folder / "small.toml"
    path.write_text(text, encoding="utf-8")
    forget()
    return path


def plan_for(values: dict[str, Any] = MATRIX, *, fast: bool = False) -> Plan:
    return Plan(Table.model_validate(values), fast=fast)


def record(job: Job, value: float = 0.1, **more: Any) -> Record:
    """A run of this job in which every wanted number is `value`."""
    given: dict[str, Any] = {
        "experiment": job.task.experiment, "set": dict(job.task.set), "seed": job.seed, "digest": job.task.digest,
        "state": "finished", "values": dict.fromkeys(job.task.keys, value), "steps": job.task.steps, "seconds": 2.0,
        "date": "2026-01-01T00:00:00+00:00", "machine": {"processor": "abacus"}, **more}
    return Record.model_validate(given)


def make(plan: Plan, path: Path, run: Trains, *, seeds: int = 2, **more: Any) -> Results:
    """Make the whole table with this runner; the results as the file has them."""
    results = Results.read(path)
    jobs = plan.jobs(plan.table.cells, seeds)
    Reproduction(jobs, results, save=lambda: write(plan, results), run=run, **more).run()
    return results


def failed(job: Job, message: str = "the abacus is broken") -> Record:
    return record(job, state="failed", values={}, message=message)


def diverged(job: Job) -> Record:
    return record(job, math.nan, state="diverged", message="the loss became nan")


class FakeRuns:
    """A runner: remembers what it was asked for, and gives what `make` makes of it."""

    def __init__(self, make: Callable[[Job], Record | None] = record) -> None:
        self.make = make
        self.asked: list[tuple[str, int]] = []

    def __call__(self, job: Job, report: Report, stop: threading.Event) -> Record | None:
        self.asked.append((job.task.cells[0], job.seed))
        report(job.task.steps // 2)
        return self.make(job)
