"""The runs behind a published table: which are wanted, which are kept in a result file, and what counts.

A run belongs to a cell by a digest of the experiment that it trained, not by a name: cells that differ only in what is
read of a run share it, and a run of an experiment that has been changed since is stale, kept but not counted.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.frames import ScalarsFrame
from studio.experiment import REFERENCES, Experiment, explain
from studio.run_reader import Run
from studio.tables import Cell, Table, changes_of, load, resolve, step_of

#: Where results are kept that come with the program.
RESULTS = Path(__file__).resolve().parent.parent / "results"

#: What of [training] does not decide the numbers of a run; of [diagnostics] it is what ends with _every.
_NO_MATTER = ("seed", "threads", "engine", "device", "chunk")


class ResultError(Exception):
    """A result file that cannot be read or written; str() is a sentence."""


# ------------------------------------------------------------------ what is wanted


def digest(experiment: Experiment) -> str:
    """A digest of what decides the numbers of a run, its seed left out.

    Values at their defaults are left out too, so that a later version with more fields gives the same digest, and so
    are texts for people. Reference solutions and data count by their contents.
    """
    whole = experiment.model_dump(mode="json", exclude_defaults=True)
    data = {key: value for key, value in whole.items() if isinstance(value, dict) or key == "phases"}
    for key in _NO_MATTER:
        data.get("training", {}).pop(key, None)
    diagnostics = data.get("diagnostics", {})
    for key in [key for key in diagnostics if key.endswith("_every") or key in ("share", "keep_mb")]:  # how often
        del diagnostics[key]
    problem = data["problem"]
    for part in (problem, *(item for value in problem.values() if isinstance(value, list) for item in value)):
        if isinstance(part, dict):
            part.pop("name", None)
    text = json.dumps(_known_files(_filled(data)), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _filled(value: Any) -> Any:
    """Without what is empty."""
    if isinstance(value, dict):
        out = {key: _filled(item) for key, item in value.items()}
        return {key: item for key, item in out.items() if item not in ({}, [], None, "")}
    return [_filled(item) for item in value] if isinstance(value, list) else value


def _known_files(value: Any) -> Any:
    """With the digest of a file's contents in place of its path."""
    if isinstance(value, dict):
        return {key: _known_files(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_known_files(item) for item in value]
    if isinstance(value, str) and value.endswith(".npz"):
        with suppress(OSError):
            return hashlib.sha256((REFERENCES / value).read_bytes()).hexdigest()
    return value


@dataclass(frozen=True)
class Wanted:
    """One number of a run: a quantity at a step (None: the last), or the step at which it falls below something."""

    quantity: str
    at: int | None = None
    below: float | None = None

    @property
    def key(self) -> str:
        """Its name in a result file."""
        if self.below is not None:
            return f"{self.quantity} below {self.below:g}"
        return self.quantity if self.at is None else f"{self.quantity} at {self.at}"


@dataclass(frozen=True)
class Task:
    """An experiment that cells of a table need, to be trained once for every seed."""

    digest: str
    experiment: str
    set: Mapping[str, Any]
    steps: int
    wanted: tuple[Wanted, ...]
    cells: tuple[str, ...]  # names of the cells that read it

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(one.key for one in self.wanted)

    @property
    def title(self) -> str:
        """The cells in short."""
        return self.cells[0] if len(self.cells) == 1 else f"{self.cells[0]} (+{len(self.cells) - 1})"


@dataclass(frozen=True)
class Job:
    """A task with one seed."""

    task: Task
    seed: int


@dataclass(frozen=True)
class Need:
    """What a cell needs: a number of a run, or of several runs with the true value in each."""

    marks: tuple[str, ...]  # digests
    wanted: Wanted
    truths: tuple[float, ...] = ()

    def value(self, values: Sequence[float]) -> float:
        """The cell's number from those of its runs: ||learned - true|| / ||true|| where there are true values."""
        if not self.truths:
            return values[0]
        return math.dist(values, self.truths) / math.hypot(*self.truths)


class Plan:
    """What the cells of a table need: tasks, and the numbers of their runs."""

    def __init__(self, table: Table, *, fast: bool = False) -> None:
        self.table, self.fast = table, fast
        self.of: dict[str, Need] = {}  # by the cell's name
        found: dict[str, tuple[Cell, int, Experiment, list[Wanted], list[str]]] = {}
        for cell in table.cells:
            head, _, name = cell.quantity.partition(".")
            several = head == "unknown"
            marks: list[str] = []
            truths: list[float] = []
            for run in range(len(cell.variations)):
                experiment = resolve(table, cell, fast=fast, run=run)
                mark = digest(experiment)
                wanted = Wanted(f"readings.{name}" if several else cell.quantity,
                                step_of(table, cell, experiment, fast=fast), cell.below)
                marks.append(mark)
                truths += [experiment.problem.truth[name]] if several else []
                *_, numbers, cells = found.setdefault(mark, (cell, run, experiment, [], []))
                cells.append(cell.name)
                if wanted not in numbers:
                    numbers.append(wanted)
            self.of[cell.name] = Need(tuple(marks), wanted, tuple(truths))
        self.tasks = {
            mark: Task(mark, cell.experiment, changes_of(table, cell, fast=fast, run=run), experiment.total_steps,
                       tuple(numbers), tuple(dict.fromkeys(cells)))
            for mark, (cell, run, experiment, numbers, cells) in found.items()
        }

    def jobs(self, cells: Sequence[Cell], seeds: int) -> list[Job]:
        """Every run of these cells, all of seed 0 first: so the whole table fills soon, and then gets its spread."""
        marks = dict.fromkeys(mark for cell in cells for mark in self.of[cell.name].marks)
        return [Job(self.tasks[mark], seed) for seed in range(seeds) for mark in marks]


@cache
def plan_of(name: str, *, fast: bool = False) -> Plan:
    """The plan of a table that comes with the program. Raises TableError."""
    table = load(name)
    return Plan(table, fast=fast and table.fast is not None)


# ------------------------------------------------------------------ numbers of a run


def values_of(run: Run, wanted: Iterable[Wanted], *, diverged: bool = False) -> dict[str, float]:
    """The wanted numbers of a run by key, and all of its last ones. NaN for what is not finite or never came.

    A run that diverged has no last numbers: what it showed before is no result.
    """
    out: dict[str, float] = {}
    for kind in ("relative_l2", "readings", "losses"):
        last = next((frame for frame in reversed(run.scalars) if getattr(frame, kind)), None)
        if last is not None and not diverged:
            out.update({f"{kind}.{name}": value for name, value in getattr(last, kind).items()})
    truth = run.experiment.problem.truth
    for one in wanted:
        value = math.nan if diverged and one.at is None else _value(run.scalars, one, truth)
        if diverged and value is None:
            value = math.nan
        if value is not None:
            out[one.key] = value
    return {key: value if math.isfinite(value) else math.nan for key, value in out.items()}


def _value(scalars: Sequence[ScalarsFrame], wanted: Wanted, truth: Mapping[str, float]) -> float | None:
    """None where the run did not record it."""
    curve = [(frame.step, value) for frame in scalars
             if (value := _read(frame, wanted.quantity, truth)) is not None]
    if not curve:
        return None
    if wanted.below is not None:
        above = [step for step, value in curve if not abs(value) < wanted.below]
        after = [step for step, _ in curve if not above or step > above[-1]]
        return float(after[0]) if after else math.nan
    if wanted.at is None:
        return curve[-1][1]
    return next((value for step, value in reversed(curve) if step == wanted.at), None)


def _read(frame: ScalarsFrame, quantity: str, truth: Mapping[str, float]) -> float | None:
    head, _, name = quantity.partition(".")
    if head == "error":
        value = frame.readings.get(name)
        return None if value is None else abs(value - truth[name]) / abs(truth[name])
    numbers: Mapping[str, float] = getattr(frame, head)
    if "*" not in name:
        return numbers.get(name)
    fitting = [numbers[known] for known in numbers if fnmatch.fnmatchcase(known, name)]
    return max(fitting, key=lambda value: math.inf if math.isnan(value) else abs(value), default=None)


# ------------------------------------------------------------------ what is kept


class Record(BaseModel):
    """A run in a result file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    experiment: str
    set: dict[str, Any] = {}
    seed: int
    digest: str
    state: Literal["finished", "diverged", "failed"]
    values: dict[str, float] = {}  # by key; NaN (null in the file) where it is not finite
    steps: int = 0
    seconds: float = 0.0
    steps_per_second: float = 0.0
    message: str = ""  # why it failed, or what became of it
    date: str = ""  # UTC, ISO 8601
    provenance: str = ""  # where it comes from, if not from `reproduce`
    machine: dict[str, str] = Field(default_factory=dict)

    def has(self, keys: Iterable[str]) -> bool:
        """Whether it is done and has these numbers; one that diverged has all that there will ever be."""
        return self.state == "diverged" or (self.state == "finished" and set(keys) <= self.values.keys())


class Results:
    """The runs of a table that are there. What others have written into the file meanwhile is never lost."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[tuple[str, int], Record] = {}  # by digest and seed

    @classmethod
    def read(cls, path: Path) -> Results:
        """What the file has; nothing where there is none. Raises ResultError."""
        results = cls(path)
        results.refresh()
        return results

    def refresh(self) -> None:
        """Take up what the file has more by now. Raises ResultError."""
        for record in _read_file(self.path):
            self.add(record)

    def add(self, record: Record) -> None:
        """Of two of one experiment and seed the one that succeeded stays, else the newer one."""
        key = (record.digest, record.seed)
        old = self.records.get(key)
        if old is not None and old != record:
            later = record if _rank(record) >= _rank(old) else old
            both = {**(old if later is record else record).values, **later.values}
            record = later if later.state == "failed" else later.model_copy(update={"values": both})
        self.records[key] = record

    def done(self, job: Job) -> bool:
        record = self.records.get((job.task.digest, job.seed))
        return record is not None and record.has(job.task.keys)

    def write(self, plan: Plan, more: Mapping[str, Any]) -> None:
        """Write the file whole or not at all, with `more` at its head. Raises ResultError."""
        self.refresh()
        machines: list[dict[str, str]] = []
        runs: list[dict[str, Any]] = []
        stale: list[dict[str, Any]] = []
        for record in sorted(self.records.values(), key=lambda one: (one.experiment, str(one.set), one.seed)):
            if record.machine not in machines:
                machines.append(record.machine)
            row = record.model_dump(exclude_defaults=True) | {"machine": machines.index(record.machine)}
            row["values"] = {key: None if math.isnan(value) else value for key, value in record.values.items()}
            (runs if record.digest in plan.tasks else stale).append(row)
        date = datetime.now(UTC).isoformat(timespec="seconds")
        data = {**more, "date": date, "machines": machines, "runs": runs, "stale": stale}
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(_lines(data), encoding="utf-8")
            os.replace(part, self.path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise ResultError(f"the results cannot be written to {self.path}: {error.strerror or error}") from None


def result_path(table: str, *, fast: bool = False, folder: Path | None = None) -> Path:
    """The result file of a table; the shortened version has its own."""
    return (folder or RESULTS) / f"reproduce-{table}{'-fast' if fast else ''}.json"


def _lines(data: Mapping[str, Any]) -> str:
    """JSON with a line for every key, and for every item of a list: made to be compared line by line."""

    def text(value: Any) -> str:
        return json.dumps(value, allow_nan=False, ensure_ascii=False)

    def block(value: Any) -> str:
        if not isinstance(value, list) or not value:
            return text(value)
        items = ",\n".join(f"  {text(item)}" for item in value)
        return f"[\n{items}\n ]"

    rows = ",\n".join(f" {text(key)}: {block(value)}" for key, value in data.items())
    return f"{{\n{rows}\n}}\n"


def _rank(record: Record) -> tuple[bool, str]:
    return record.state != "failed", record.date


def _read_file(path: Path) -> list[Record]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ResultError(f"the results in {path} cannot be read: {reason}") from None
    except (ValueError, RecursionError):
        raise ResultError(f"the results in {path} are damaged: this is not JSON; move the file away to begin anew, or "
                          "take it back from where it came") from None
    try:
        machines = data.get("machines", [])
        return [Record.model_validate(_with_numbers(row, machines)) for part in ("runs", "stale")
                for row in data.get(part, [])]
    except ValidationError as error:
        place, text = explain(error)[0]
        raise ResultError(f"the results in {path} are damaged: {place}: {text}") from None
    except (AttributeError, TypeError, IndexError, KeyError):
        raise ResultError(f"the results in {path} are no results of `reproduce`; move the file away") from None


def _with_numbers(row: Mapping[str, Any], machines: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    values = {key: math.nan if value is None else value for key, value in row["values"].items()} \
        if "values" in row else {}
    return {**row, "values": values, "machine": dict(machines[row["machine"]])}
