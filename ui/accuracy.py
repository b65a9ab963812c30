"""The figures of the accuracy and growth measurements, drawn from their result files:

    python -m ui.accuracy                                       docs/accuracy-PROBLEM.png of results/accuracy.json
    python -m ui.accuracy results/accuracy.json --to DIR helmholtz
    python -m ui.accuracy results/growth.json                   docs/growth.png
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.accuracy_data import (
    METHODS,
    TITLES,
    AccuracyError,
    Problem,
    Record,
    load,
    median_curve,
    names,
    read,
)
from studio.table_runs import RESULTS

if TYPE_CHECKING:
    from ui.loglog import Chart

DOCS = Path(__file__).resolve().parent.parent / "docs"
BAD_INPUT = 2
TARGET, PUBLISHED = 6, 7  # colors


def chart(problem: Problem, records: Sequence[Record]) -> Chart | None:
    """Every seed of every method thin, their median thick, targets and published values; None where nothing is."""
    from ui.loglog import Chart, Curve

    curves = []
    about = []
    for color, method in enumerate(METHODS):
        own = [r for r in records if (r.problem, r.method) == (problem.name, method)]
        own = [r for r in own if r.pairs and r.state != "failed"]
        if not own:
            continue
        about += own
        word = f"{TITLES[method]} ({len(own)} seed{'s' * (len(own) > 1)})"
        curves += [Curve(tuple(r.pairs), color, "" if len(own) > 1 else word, "thin" if len(own) > 1 else "line")
                   for r in own]
        if len(own) > 1:
            curves.append(Curve(tuple(median_curve(own)), color, word + ", median"))
    if not curves:
        return None
    longest = max(seconds for r in about for seconds, _ in r.pairs)
    m = problem.measure
    for t in m.targets:
        limit = f" in {t.seconds:g} s" if t.seconds else ", at any time"
        curves.append(Curve(((t.seconds or longest, t.error),), TARGET, f"target {t.error:.1e}{limit}", "target"))
    curves += [Curve(((p.seconds, p.error),), PUBLISHED, f"published: {p.method}, {p.error:.1e} in {p.seconds:g} s",
                     "square") for p in m.published if p.seconds]
    machine = about[0].machine
    threads = sorted({r.threads for r in about})
    notes = [f"published without a time: {p.method}, {p.error:.2e}" for p in m.published if not p.seconds]
    notes += ["Published times are of other machines.",
              "Thin: every seed. Thick: the median over the seeds, as long as all of them run.",
              "The clock runs from before the loss is built, through compiling; it stands while the error is measured.",
              f"{machine.get('processor', 'processor unknown')}, {' or '.join(map(str, threads))} "
              f"thread{'s' * (threads != [1])}"]
    warm = sum(r.warm for r in about)
    if warm:
        notes.append(f"{warm} of {len(about)} runs found a compiled step of an earlier one.")
    return Chart(f"{m.title}: error of {m.quantity}", "seconds of training (s)", "relative L2 error", tuple(curves),
                 tuple(notes), legend=320, size=(640, 460))


GROWTH_TITLES = {"points": "collocation points in each step", "width": "width of three layers",
                 "depth": "hidden layers of width 50", "order": "highest derivative", "terms": "loss terms"}


def growth_charts(data: dict[str, Any]) -> list[Chart]:
    """Steps per second and peak memory over each thing that grows. Raises KeyError."""
    from ui.loglog import Chart, Curve

    out = []
    for axis, title in GROWTH_TITLES.items():
        rows = [row for row in data["rows"] if row["axis"] == axis]
        if not rows:
            continue
        marks = () if axis == "points" else tuple(sorted({row["value"] for row in rows}))
        engines = list(dict.fromkeys(row["engine"] for row in rows))
        for key, name in (("steps_per_second", "steps per second (1/s)"), ("peak_mb", "peak resident memory (MB)")):
            curves = tuple(Curve(tuple((row["value"], row[key]) for row in rows if row["engine"] == engine
                                       and key in row), color, engine, "dots") for color, engine in enumerate(engines))
            out.append(Chart(title[0].upper() + title[1:], title, name, curves, legend=130, size=(430, 300),
                             marks=marks))
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Draw what the results allow. 0, or 2 where a file cannot be read or a figure not be written."""
    parser = argparse.ArgumentParser(prog="python -m ui.accuracy", description="The figures of measured accuracy.")
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS / "accuracy.json", help="the result file")
    parser.add_argument("problems", nargs="*", help="only these")
    parser.add_argument("--to", type=Path, default=DOCS, metavar="FOLDER", help="where the pictures go")
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    options = parser.parse_intermixed_args(argv)
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from ui.app import make_application
    from ui.loglog import draw
    from ui.theme import THEMES

    app = make_application()
    theme = THEMES[options.theme]
    try:
        options.to.mkdir(parents=True, exist_ok=True)
        if options.results.name.startswith("growth"):
            charts = growth_charts(json.loads(options.results.read_text(encoding="utf-8")))
            print(draw(charts, options.to / "growth.png", theme, columns=2))
        else:
            records = list(read(options.results).values())
            for name in options.problems or names():
                found = chart(load(name), records)
                if found is not None:
                    print(draw([found], options.to / f"accuracy-{name}.png", theme))
    except (AccuracyError, OSError, ValueError, KeyError) as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    app.processEvents()
    return 0


if __name__ == "__main__":
    sys.exit(main())
