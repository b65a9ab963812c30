"""What was measured beside what was published: mean and spread of a cell, the verdict, the table as Markdown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from studio.table_runs import Need, Plan, Record, Results
from studio.tables import Cell, Table

BETTER, WITHIN, NOT_REPRODUCED = "better", "within the spread", "NOT reproduced"
NOT_FOUND, OURS, NOT_RUN, FAILED = "no published value (not found)", "ours", "not run yet", "failed"
SHORT = "shortened, not comparable"

FACTOR = 1.5  # how far from a published value without spread another one may be

SPREAD_RULE = "within the spread: our mean lies between the published mean minus and plus its standard deviation"
FACTOR_RULE = (f"within the spread, where none is published: our mean lies between the published value / {FACTOR:g} "
               f"and × {FACTOR:g}")
SOURCES_RULE = "a value in another source widens the range up to itself"
BETTER_RULE = "better: below that range"
DIVERGED_RULE = "a cell of which a run diverged is not reproduced; mean and spread are those of the other runs"
SHORTENED = "Shortened version: its numbers are NOT comparable with the published ones."


@dataclass(frozen=True)
class Measured:
    """A cell with what was measured of it."""

    cell: Cell
    values: dict[int, float]  # by seed; NaN where the run diverged
    failed: dict[int, str]  # by seed: why
    steps: int  # of a run
    seconds: float  # of a run, on average
    low: float | None  # the range that counts as 'within'; None where nothing is published
    high: float | None
    verdict: str

    @property
    def finite(self) -> list[float]:
        return [value for value in self.values.values() if math.isfinite(value)]

    @property
    def n(self) -> int:
        return len(self.finite)

    @property
    def diverged(self) -> int:
        return len(self.values) - self.n

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.finite) if self.finite else None

    @property
    def spread(self) -> float | None:
        """Sample standard deviation; None for a single run."""
        return statistics.stdev(self.finite) if self.n > 1 else None


def measure(plan: Plan, results: Results) -> dict[str, Measured]:
    """Every cell of the table by its name."""
    by_digest: dict[str, dict[int, Record]] = {}
    for record in results.records.values():
        by_digest.setdefault(record.digest, {})[record.seed] = record
    out: dict[str, Measured] = {}
    for cell in plan.table.cells:
        need = plan.of[cell.name]
        found = _measure(cell, need, plan.tasks[need.marks[0]].steps, [by_digest.get(mark, {}) for mark in need.marks])
        comparable = not plan.fast or found.verdict in (NOT_FOUND, OURS, NOT_RUN, FAILED)
        out[cell.name] = found if comparable else replace(found, verdict=SHORT)
    return out


def _measure(cell: Cell, need: Need, steps: int, records: Sequence[Mapping[int, Record]]) -> Measured:
    """`records` has those of each run of the cell by seed."""
    key = need.wanted.key
    values: dict[int, float] = {}
    failed: dict[int, str] = {}
    seconds: list[float] = []
    for seed in sorted(set().union(*records)):
        found = [of_run[seed] for of_run in records if seed in of_run]
        broken = next((record for record in found if record.state == "failed"), None)
        if broken is not None:
            failed[seed] = broken.message
        elif len(found) == len(records) and all(record.has((key,)) for record in found):
            values[seed] = need.value([record.values.get(key, math.nan) for record in found])
            seconds += [record.seconds for record in found]
    low, high = published_range(cell)
    return Measured(cell, values, failed, need.wanted.at or steps, statistics.fmean(seconds) if seconds else 0.0,
                    low, high, verdict(cell, list(values.values()), bool(failed)))


def published_range(cell: Cell) -> tuple[float | None, float | None]:
    """From where to where a mean counts as reproduced; None where nothing is published."""
    value = cell.published
    if value is None:
        return None, None
    around = (value / FACTOR, value * FACTOR) if cell.spread is None else (value - cell.spread, value + cell.spread)
    every = [*around, *cell.more.values()]
    return min(every), max(every)


def verdict(cell: Cell, values: Sequence[float], failed: bool = False) -> str:
    """One of the words above for the values that were measured, NaN where a run diverged."""
    if not values:
        return FAILED if failed else NOT_RUN
    if cell.ours or not cell.found:
        return OURS if cell.ours else NOT_FOUND
    low, high = published_range(cell)
    assert low is not None and high is not None  # it is found, so it is published
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < len(values):
        return NOT_REPRODUCED
    mean = statistics.fmean(finite)
    rounding = 1e-9 * max(abs(low), abs(high))  # the end of the range belongs to it
    if low - rounding <= mean <= high + rounding:
        return WITHIN
    # A reading is no error: below its published value it is not better, unless the number is a count of steps.
    smaller_is_better = not cell.quantity.startswith("readings.") or cell.below is not None
    return BETTER if mean < low and smaller_is_better else NOT_REPRODUCED


def done_cells(plan: Plan, results: Results) -> int:
    """How many cells have all runs of the table's own number of seeds."""
    seeds = range(plan.table.default_seeds(fast=plan.fast))
    done = 0
    for need in plan.of.values():
        records = [results.records.get((mark, seed)) for seed in seeds for mark in need.marks]
        done += all(record is not None and record.has((need.wanted.key,)) for record in records)
    return done


# ------------------------------------------------------------------ words


def number(value: float | None, cell: Cell) -> str:
    """A value as the table shows it: an error as 1.23e-04, a reading with four digits, a count of steps whole."""
    if value is None:
        return "–"
    if cell.below is not None:
        return f"{value:,.0f}"
    return f"{value:.4g}" if cell.quantity.startswith("readings.") else f"{value:.2e}"


def spread_text(value: float | None, cell: Cell) -> str:
    if value is None:
        return ""
    if cell.below is not None:
        return f" ± {value:,.0f}"
    return f" ± {value:.2g}" if cell.quantity.startswith("readings.") else f" ± {value:.1e}"


def published_text(cell: Cell) -> str:
    """1.94e-01 ± 3.9e-02; 'not found'; '–' where there can be none."""
    if cell.published is None:
        return "–" if cell.ours else "not found"
    return number(cell.published, cell) + spread_text(cell.spread, cell)


def measured_text(measured: Measured) -> str:
    """1.90e-01 ± 3.6e-02 (10), 1 of 3 diverged."""
    parts = []
    if measured.mean is not None:
        parts.append(f"{number(measured.mean, measured.cell)}{spread_text(measured.spread, measured.cell)} "
                     f"({measured.n})")
    if measured.diverged:
        word = "diverged" if measured.cell.below is None else "never below it"
        parts.append(f"{measured.diverged} of {len(measured.values)} {word}")
    if measured.failed:
        parts.append(f"{len(measured.failed)} failed")
    return ", ".join(parts) or "–"


def rules(table: Table, cells: Iterable[Cell] | None = None) -> str:
    """How the verdicts come about, in one line; only what the table needs."""
    published = [cell for cell in cells or table.cells if cell.published is not None]
    if not published:
        return ""
    said = []
    if any(cell.spread is not None for cell in published):
        said.append(SPREAD_RULE)
    if any(cell.spread is None for cell in published):
        said.append(FACTOR_RULE)
    if any(cell.more for cell in published):
        said.append(SOURCES_RULE)
    text = "; ".join([*said, BETTER_RULE, DIVERGED_RULE])
    return f"{text[0].upper()}{text[1:]}."


def shortened(table: Table) -> str:
    """What a shortened version says of itself."""
    note = table.fast.note if table.fast is not None else ""
    return f"{SHORTENED} {note}".strip()


def markdown(plan: Plan, measured: dict[str, Measured], cells: Sequence[Cell] | None = None) -> str:
    """The cells as Markdown, with title, source, rule and notes. Lines up in a terminal too."""
    table = plan.table
    chosen = list(cells if cells is not None else table.cells)
    shown = [measured[cell.name] for cell in chosen]
    body = _matrix(table, shown) if table.columns else _list(shown)
    steps = sorted({one.steps for one in shown})
    every = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"
    head = [f"**{table.title}** ({table.name}{', shortened' if plan.fast else ''})"]
    if plan.fast:
        head.append(f"**{shortened(table)}**")
    quantities = sorted({one.cell.quantity for one in shown})
    text = [*head, f"Published: {table.source}. Shown: {', '.join(quantities)} after {every} steps; "
                   "ours is mean ± standard deviation (number of seeds)."]
    below = ["" if plan.fast else rules(table, chosen), table.note]
    below += [f"{one.cell.name}: {one.cell.note}" for one in shown if one.cell.note]
    more: dict[str, list[str]] = {}
    for one in shown:
        for source, value in one.cell.more.items():
            more.setdefault(source, []).append(f"{one.cell.name} {number(value, one.cell)}")
    below += [f"{source}: {', '.join(values)}." for source, values in more.items()]
    below += [f"{one.cell.name}, seed {seed}: {why}" for one in shown for seed, why in one.failed.items()]
    return "\n\n".join([*text, _lines(body), *(line for line in below if line)])


def _matrix(table: Table, shown: Sequence[Measured]) -> list[list[str]]:
    by_place = {(one.cell.row, one.cell.column): one for one in shown}
    columns = [column for column in table.columns if any(place[1] == column for place in by_place)]
    several = len({one.steps for one in shown}) > 1
    lines = [["", "", *columns]]
    for row in table.rows:
        cells = [by_place.get((row, column)) for column in columns]
        if not any(cells):
            continue
        lines.append([row, "published", *(published_text(one.cell) if one else "" for one in cells)])
        lines.append(["", "ours", *(measured_text(one) if one else "" for one in cells)])
        if several:
            lines.append(["", "steps", *(f"{one.steps:,}" if one else "" for one in cells)])
        lines.append(["", "verdict", *(_loud(one.verdict) if one else "" for one in cells)])
    return lines


def _list(shown: Sequence[Measured]) -> list[list[str]]:
    lines = [["", "published", "ours", "steps", "verdict"]]
    lines += [[one.cell.row, published_text(one.cell), measured_text(one), f"{one.steps:,}", _loud(one.verdict)]
              for one in shown]
    return lines


def _loud(word: str) -> str:
    return f"**{word}**" if word in (NOT_REPRODUCED, FAILED) else word


def _lines(rows: Sequence[Sequence[str]]) -> str:
    clean = [[text.replace("|", "\\|") for text in row] for row in rows]
    widths = [max(3, *(len(row[index]) for row in clean)) for index in range(len(clean[0]))]
    clean.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(text.ljust(width) for text, width in zip(row, widths, strict=True))} |"
                     for row in clean)


# ------------------------------------------------------------------ the result file


def head_of(plan: Plan, results: Results) -> dict[str, Any]:
    """What stands at the head of a result file: what it is, and every cell as it is now."""
    table = plan.table
    head: dict[str, Any] = {"table": table.name, "title": table.title, "source": table.source}
    if plan.fast:
        head["shortened"] = shortened(table)
    elif (rule := rules(table)) != "":
        head["rule"] = rule
    head["cells"] = [_row(one) for one in measure(plan, results).values()]
    return head


def _row(one: Measured) -> dict[str, Any]:
    cell = one.cell
    row: dict[str, Any] = {"row": cell.row, "column": cell.column, "experiment": cell.experiment, "set": cell.set,
                           "quantity": cell.quantity, "below": cell.below, "published": cell.published,
                           "published_spread": cell.spread, "more": cell.more, "ours": one.mean, "spread": one.spread,
                           "seeds": one.n, "diverged": one.diverged, "failed": len(one.failed), "steps": one.steps,
                           "seconds": round(one.seconds, 1), "verdict": one.verdict}
    row["values"] = {str(seed): value if math.isfinite(value) else None for seed, value in one.values.items()}
    always = ("set", "ours", "published")
    return {key: value for key, value in row.items() if value not in (None, {}, "") or key in always}


def write(plan: Plan, results: Results) -> None:
    """Write the result file with its head as it is now. Raises ResultError."""
    results.refresh()
    results.write(plan, head_of(plan, results))
