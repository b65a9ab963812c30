"""Writes the README's table of accuracy from results/accuracy.json: `python -m tools.write_accuracy`.

Medians of the seeds beside the lowest and the highest; a test compares, so that no number there is typed by hand.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from studio.accuracy_data import METHODS, Measure, Record, load, median_time, names, read, result_path
from studio.progress import duration

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- accuracy table -->", "<!-- end of the accuracy table -->"
HEADS = ("problem", "relative L2 at the end: median (lowest to highest)", "seeds, time, threads", "to the targets",
         "ours after 3:00 min", "M4", "DeepXDE", "DeepXDE, best")
THEN = 180.0  # seconds: the column of what ours had by then, since most rivals were ended there


def table() -> str:
    """The table as Markdown, of all that was measured."""
    records = list(read(result_path()).values())
    rows = [HEADS, ("---",) * len(HEADS)]
    for name in names():
        measure = load(name).measure
        of = {method: [r for r in records if (r.problem, r.method) == (name, method) and r.state != "failed"]
              for method in METHODS}
        ours, *rivals = (of[method] for method in METHODS)
        rows.append((measure.title, _spread(ours), _runs(ours),
                     _targets(measure, ours), _then(ours), *map(_rival, rivals)))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _runs(records: Sequence[Record]) -> str:
    """How many, how long, and with how many threads."""
    if not records:
        return ""
    counts = sorted({r.threads for r in records})
    threads = "one thread" if counts == [1] else " and ".join(map(str, counts)) + " threads"
    return f"{len(records)}, {_clock(_seconds(records))}, {threads}"


def _seconds(records: Sequence[Record]) -> float:
    return statistics.median(r.seconds for r in records)


def _spread(records: Sequence[Record]) -> str:
    last = sorted(r.last for r in records if math.isfinite(r.last))
    if not last:
        return "diverged" if records else ""
    middle = f"{statistics.median(last):.1e}"
    return middle if len(last) == 1 else f"{middle} ({last[0]:.1e} to {last[-1]:.1e})"


def _targets(measure: Measure, records: Sequence[Record]) -> str:
    parts = []
    for target in measure.targets if records else ():
        seconds = median_time(records, target.error)[0]
        aim = f" in {_clock(target.seconds)}" if target.seconds else ""
        found = _clock(seconds) if math.isfinite(seconds) else "not reached"
        parts.append(f"{target.error:.1e}{aim}: **{found}**")
    return "; ".join(parts)


def _then(records: Sequence[Record]) -> str:
    """The median over the seeds of the error last measured after `THEN` seconds."""
    found = [next((e for s, e in reversed(r.pairs) if s <= THEN), math.inf) for r in records]
    return f"{statistics.median(found):.1e}" if found else ""


def _rival(records: Sequence[Record]) -> str:
    if not records:
        return ""
    many = f", {len(records)} seeds" if len(records) > 1 else ""
    return f"{_spread(records)} after {_clock(_seconds(records))}{many}"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{duration(whole)} min"


def page(text: str) -> str:
    """The README with the table of today. Raises ValueError where it has no place for it."""
    before, begin, rest = text.partition(BEGIN)
    inside, end, after = rest.partition(END)
    lines = inside.split("\n")
    places = [number for number, line in enumerate(lines) if line.startswith("|")]
    if not (begin and end and places):
        raise ValueError(f"there is no table between '{BEGIN}' and '{END}'")
    lines[places[0]: places[-1] + 1] = [table()]
    return before + begin + "\n".join(lines) + end + after


if __name__ == "__main__":
    README.write_text(page(README.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {README.name}")
