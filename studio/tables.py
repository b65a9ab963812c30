"""Tables of published results: resources/tables/NAME.toml, read, checked against the gallery, mistakes in sentences.

A cell says which experiment of the gallery is trained, with which changes, which number of the run is meant, and what
was published. What a cell means as an experiment is `resolve`; what is measured of it is in studio.reproduce.
"""

from __future__ import annotations

import fnmatch
import json
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator

from core.problem import ProblemError
from studio import gallery
from studio.experiment import Experiment, ExperimentError, explain
from studio.overrides import did_you_mean, with_settings
from studio.specs import Model, tip

FOLDER = Path(__file__).resolve().parent.parent / "resources" / "tables"

#: What a cell can show, by the first word of its quantity, and what the rest of the quantity names.
QUANTITIES = {
    "relative_l2": "a field: relative_l2.u",
    "error": "an unknown, relative to its true value: error.alpha",
    "unknown": "the same over all `runs` of a cell, in the L2 norm: unknown.alpha",
    "readings": "a reading, or with * the largest of several: readings.alpha, readings.nu*",
    "losses": "a loss term: losses.data",
}


class TableError(ValueError):
    """A table that cannot be used. `problems` is a list of (dotted path, sentence)."""

    def __init__(self, problems: list[tuple[str, str]], where: str = "") -> None:
        self.problems = problems
        head = f"{where}: " if where else ""
        super().__init__(head + "; ".join(f"{path}: {text}" if path else text for path, text in problems))


class Cell(Model):
    row: str = tip("Name of the row.", min_length=1)
    column: str = tip("Name of the column; '' in a table that is a list.", "")
    experiment: str = tip("The experiment of the gallery that is trained.", min_length=1)
    set: dict[str, Any] = tip("What is changed in it, by dotted path.", default_factory=dict)
    runs: tuple[dict[str, Any], ...] = tip("What is changed in each of several runs that make one number together.", ())
    quantity: str = tip("The number that is meant; the table's where it is not given.", "")
    published: float | None = tip("The published value.", None)
    spread: float | None = tip("The published standard deviation.", None, ge=0)
    more: dict[str, float] = tip("The same value in other sources, by source.", default_factory=dict)
    found: bool = tip("false: a published value was looked for and not found.", True)
    at: int | None = tip("Step at which it is read; the last one where not given.", None, ge=1, unit="steps")
    below: float | None = tip("The number is not the quantity, but the first step from which on its absolute value "
                              "stays below this.", None, gt=0)
    note: str = tip("What there is to know about this cell.", "")
    ours: bool = tip("true: by nature there is no published value.", False)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = self.published is not None
        if self.ours and not self.found:
            raise ValueError("`ours` says that there can be no published value, `found = false` that one was looked "
                             "for; only one of them holds")
        if given and (self.ours or not self.found):
            word = "ours = true" if self.ours else "found = false"
            raise ValueError(f"it has a published value, so `{word}` cannot hold")
        if not given and self.found and not self.ours:
            raise ValueError("it has no published value: give `published`, or say `found = false` where it was looked "
                             "for and not found, or `ours = true` where there can be none")
        if not given and (self.spread is not None or self.more):
            raise ValueError(f"`{'more' if self.more else 'spread'}` goes with a published value, and there is none")
        if self.below is not None and self.at is not None:
            raise ValueError("`below` asks for a step and `at` gives one; only one of them makes sense")
        head, _, name = self.quantity.partition(".")
        if head not in QUANTITIES or not name:
            raise ValueError(f"'{self.quantity}' is no quantity; a quantity names {', or '.join(QUANTITIES.values())}")
        if self.runs and head != "unknown":
            raise ValueError(f"`runs` makes one number of several runs, which is unknown.NAME and not {self.quantity}")
        if head == "unknown" and self.below is not None:
            raise ValueError("`below` is for a number of one run, not for unknown.NAME")
        return self

    @property
    def variations(self) -> tuple[dict[str, Any], ...]:
        """What is changed in each run; one without changes where the cell has one run."""
        return self.runs or ({},)

    @property
    def name(self) -> str:
        """Row and column in one, for messages."""
        return " / ".join(part for part in (self.row, self.column) if part)


class Fast(Model):
    set: dict[str, Any] = tip("What is changed in every experiment of the shortened version.", min_length=1)
    seeds: int = tip("Seeds of the shortened version, where nobody says how many.", 1, ge=1)
    note: str = tip("What is short about it.", "")


class Larger(Model):
    note: str = tip("How the whole table is run on a larger machine.", min_length=1)


class Table(Model):
    name: str = tip("Name of the table and of its file.", pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str = tip("One line that says what it is.", min_length=1)
    source: str = tip("Where it was published.", min_length=1)
    note: str = tip("What there is to know about the whole table.", "")
    quantity: str = tip("The number that cells show, where they do not say another.", "relative_l2.u")
    seeds: int = tip("Seeds of every run, where nobody says how many.", 3, ge=1, le=1000)
    fast: Fast | None = None
    larger: Larger | None = None
    cells: tuple[Cell, ...] = tip("The cells.", min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _fill_quantity(cls, data: Any) -> Any:
        """A cell that names no quantity shows the table's."""
        if not isinstance(data, dict) or not isinstance(data.get("cells"), list):
            return data
        quantity = data.get("quantity", "relative_l2.u")
        cells = [{"quantity": quantity, **cell} if isinstance(cell, dict) else cell for cell in data["cells"]]
        return {**data, "cells": cells}

    @model_validator(mode="after")
    def _places(self) -> Self:
        taken: dict[tuple[str, str], int] = {}
        for index, cell in enumerate(self.cells):
            if bool(cell.column) is not bool(self.cells[0].column):
                raise ValueError(f"cells.{index}: either every cell has a column or none; '{self.cells[0].name}' "
                                 f"{'has one' if self.cells[0].column else 'has none'}, '{cell.name}' "
                                 f"{'has one' if cell.column else 'has none'}")
            place = (cell.row, cell.column)
            if place in taken:
                raise ValueError(f"cells.{index}: '{cell.name}' is the place of cells.{taken[place]} already")
            taken[place] = index
        return self

    @property
    def rows(self) -> list[str]:
        return list(dict.fromkeys(cell.row for cell in self.cells))

    @property
    def columns(self) -> list[str]:
        """Empty where the table is a list."""
        return list(dict.fromkeys(cell.column for cell in self.cells if cell.column))

    def default_seeds(self, *, fast: bool) -> int:
        return self.fast.seeds if fast and self.fast is not None else self.seeds

    def chosen(self, patterns: Sequence[str]) -> tuple[Cell, ...]:
        """The cells whose row, column, 'row / column' or experiment is one of the patterns (with * and ?).

        All of them where there is no pattern. Raises TableError for a pattern that fits none.
        """
        if not patterns:
            return self.cells
        names = {cell: {cell.row, cell.column, cell.name, cell.experiment} for cell in map(_Same, self.cells)}
        for pattern in patterns:
            if not any(_fits(pattern, known) for known in names.values()):
                every = list(dict.fromkeys([*self.rows, *self.columns, *(cell.experiment for cell in self.cells)]))
                raise TableError([("", f"no cell of the table '{self.name}' is called '{pattern}'"
                                       f"{did_you_mean(pattern, every)}; there are {', '.join(every)}")])
        return tuple(same.cell for same, known in names.items() if any(_fits(p, known) for p in patterns))


class _Same:
    """A cell as a key: it holds a dict, so it has no hash of its own."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.row, self.column, self.name, self.experiment = cell.row, cell.column, cell.name, cell.experiment


def _fits(pattern: str, names: set[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for name in names if name)


# ------------------------------------------------------------------ reading


def names() -> list[str]:
    """Names of the tables that come with the program."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def load(name: str) -> Table:
    """A table that comes with the program, checked. Raises TableError."""
    if name not in names():
        raise TableError([("", f"there is no table '{name}'{did_you_mean(name, names())}; "
                               f"there are {', '.join(names()) or 'none'}")])
    return load_table(FOLDER / f"{name}.toml")


def load_table(path: Path) -> Table:
    """Read a table and check it against the gallery. Raises TableError with a sentence that names file and place."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TableError([("", f"there is no file {path}")]) from None
    except tomllib.TOMLDecodeError as error:
        raise TableError([("", f"this is not TOML: {error}")], str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise TableError([("", f"{path} cannot be read: {reason}")]) from None
    table = from_data(data, str(path))
    if table.name != path.stem:
        raise TableError([("name", f"'{table.name}' is not the name of the file, '{path.stem}'")], str(path))
    problems = mistakes(table)
    if problems:
        raise TableError(problems, str(path))
    return table


def from_data(data: Mapping[str, Any], where: str = "") -> Table:
    """From nested plain data, without a look at the gallery. Raises TableError."""
    try:
        return Table.model_validate(dict(data))
    except ValidationError as error:
        cells = data.get("cells")
        raise TableError([_placed(path, text, cells) for path, text in explain(error)], where) from None


def _placed(path: str, text: str, cells: Any) -> tuple[str, str]:
    """The same, with the name of the cell beside its number."""
    parts = path.split(".")
    if parts[0] == "cells" and len(parts) > 1 and parts[1].isdecimal() and isinstance(cells, list):
        cell = cells[int(parts[1])]
        if isinstance(cell, dict) and isinstance(cell.get("row"), str):
            name = " / ".join(str(cell[key]) for key in ("row", "column") if cell.get(key))
            return path, f"in '{name}', {text}"
    return path, text


# ------------------------------------------------------------------ against the gallery


def settings(changes: Mapping[str, Any]) -> list[str]:
    """Changes by dotted path as they are typed behind --set, each value as TOML."""
    return [f"{path}={_toml(value)}" for path, value in changes.items()]


def changes_of(table: Table, cell: Cell, *, fast: bool, run: int = 0) -> dict[str, Any]:
    """What is changed in the cell's experiment; with the shortened version's changes laid over where `fast`."""
    return {**cell.set, **cell.variations[run], **(table.fast.set if fast and table.fast is not None else {})}


def resolve(table: Table, cell: Cell, *, fast: bool = False, run: int = 0) -> Experiment:
    """The experiment that a cell means, without its variants. Raises ExperimentError."""
    return _resolved(cell.experiment, tuple(settings(changes_of(table, cell, fast=fast, run=run))))


@lru_cache(maxsize=4096)
def _resolved(name: str, changes: tuple[str, ...]) -> Experiment:
    return with_settings(gallery.load(name), changes).lanes()[0]


def step_of(table: Table, cell: Cell, experiment: Experiment, *, fast: bool = False) -> int | None:
    """The step at which the cell is read in `experiment`; None for the last one.

    In a shortened version it is as far into the run as in the whole one, at the nearest step that is recorded.
    """
    if cell.at is None or not fast:
        return cell.at
    whole = resolve(table, cell).total_steps
    every = _every(experiment, cell.quantity)
    last = experiment.total_steps
    step = max(1, round(cell.at * last / whole / every)) * every
    return None if step >= last else step


def mistakes(table: Table) -> list[tuple[str, str]]:
    """(dotted path, sentence) for everything in a table that the gallery does not bear out."""
    found: list[tuple[str, str]] = []
    versions = (False, True) if table.fast is not None else (False,)
    for index, cell in enumerate(table.cells):
        place = f"cells.{index}"
        if cell.experiment not in gallery.names():
            found.append((f"{place}.experiment", f"in '{cell.name}', there is no experiment '{cell.experiment}' in the "
                                                 f"gallery{did_you_mean(cell.experiment, gallery.names())}"))
            continue
        for fast, run in product(versions, range(len(cell.variations))):
            where = "fast.set" if fast else f"{place}.runs.{run}" if cell.runs else f"{place}.set"
            if "training.seed" in changes_of(table, cell, fast=fast, run=run):
                found.append((where, f"in '{cell.name}', training.seed cannot be set: every run gets its own seed"))
                break
            try:
                experiment = resolve(table, cell, fast=fast, run=run)
            except (ExperimentError, ProblemError) as error:
                found.append((where, f"in '{cell.name}', {error}"))
                break
            if not fast and (problem := _unreadable(experiment, cell)):
                found.append((f"{place}.{problem[0]}", f"in '{cell.name}', {problem[1]}"))
                break
    return found


def _unreadable(experiment: Experiment, cell: Cell) -> tuple[str, str] | None:
    """(key, sentence) where a run of `experiment` would not have the number that the cell wants."""
    head, _, name = cell.quantity.partition(".")
    problem = experiment.problem
    truth = problem.truth
    match head:
        case "relative_l2":
            known = [*problem.fields, *problem.quantities]
            name = name.removesuffix(" (interior)")
        case "error" | "unknown":
            known = list(truth)
        case "losses":
            known = list(experiment.terms)
        case _:
            known = [name]  # which readings there are is known when it runs
    if name not in known:
        what = {"relative_l2": "field", "losses": "loss term"}.get(head, "unknown with a true value")
        there = f"there is {', '.join(known)}" if known else "there is none"
        return "quantity", (f"'{experiment.name}' has no {what} '{name}'{did_you_mean(name, known)}; {there}")
    if head in ("error", "unknown") and truth[name] == 0 and not cell.runs:
        return "quantity", f"the true value of '{name}' is zero, so there is no relative error; use readings.{name}"
    if cell.at is None:
        return None
    if cell.at > experiment.total_steps:
        return "at", f"step {cell.at:,} is after the last one; '{experiment.name}' has {experiment.total_steps:,}"
    every = _every(experiment, cell.quantity)
    if cell.at % every and cell.at != experiment.total_steps:
        key = "error_every" if head == "relative_l2" else "scalars_every"
        return "at", (f"nothing is recorded at step {cell.at:,}, since diagnostics.{key} is {every}; set it to a "
                      f"divisor of {cell.at}")
    return None


def _every(experiment: Experiment, quantity: str) -> int:
    """Steps between two recorded values of a quantity."""
    diagnostics = experiment.diagnostics
    return diagnostics.error_every if quantity.startswith("relative_l2.") else diagnostics.scalars_every


def _toml(value: Any) -> str:
    """A value as TOML in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
