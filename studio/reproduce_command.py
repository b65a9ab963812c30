"""`python main.py reproduce`: lists the published tables, or makes one, with progress and the table at the end."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from studio import tables
from studio.headless import BAD_INPUT, DONE, FAILED, INTERRUPTED, PROG
from studio.leash import end_with_input
from studio.progress import duration
from studio.reproduce import Progress, Reproduction, Trains, sweep, train
from studio.runfile import writable_folder
from studio.table_runs import RESULTS, Job, Plan, Record, ResultError, Results, plan_of, result_path
from studio.tables import TableError
from studio.verdicts import done_cells, head_of, markdown, measure, shortened, write

MOST_AT_ONCE = 8  # processes, where nobody says how many
EVERY = 60.0  # seconds between two lines of progress where there is no terminal
LINES_EVERY = 1.0  # seconds between two lines of progress for a program


def add_parser(commands: Any, whole: Callable[[str], int]) -> None:
    """The arguments, beside those of the other commands. `whole` reads a whole number."""
    parser = commands.add_parser("reproduce", help="list the published tables, or make one and compare")
    parser.add_argument("table", nargs="?", metavar="TABLE", help="the table to make; without it, the list of them")
    parser.add_argument("--seeds", type=whole, metavar="N", help="runs of every cell, with seeds 0 to N-1")
    parser.add_argument("--fast", action="store_true", help="a shortened version, whose numbers are not comparable")
    parser.add_argument("--jobs", type=whole, metavar="N", help="runs at a time, each on one core (default: all cores, "
                                                                f"at most {MOST_AT_ONCE})")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only the cells of this row, "
                        "column or experiment, such as M2 or 'M*'; can be given several times")
    parser.add_argument("--out", metavar="DIR", help="folder of the result file (default: results)")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="the result as JSON in the last line, not as a table")
    shape.add_argument("--json-lines", action="store_true", help="for a program: progress as lines of JSON; ends when "
                                                                 "its input is closed")


def reproduce(arguments: argparse.Namespace, run: Trains = train) -> int:
    """What was asked for; the exit code. Raises TableError, ResultError and RunFileError for what cannot be."""
    folder = Path(arguments.out).expanduser() if arguments.out else RESULTS
    if arguments.table is None:
        return _list(folder)
    table = tables.load(arguments.table)
    for name in ("seeds", "jobs"):
        if (given := getattr(arguments, name)) is not None and given < 1:
            raise TableError([("", f"--{name} {given} is not possible; it must be at least 1")])
    if arguments.fast and table.fast is None:
        raise TableError([("", f"the table '{table.name}' has no shortened version; without --fast it is made as "
                               "published")])
    plan = plan_of(table.name, fast=arguments.fast)
    cells = table.chosen(arguments.only)
    path = result_path(table.name, fast=plan.fast, folder=writable_folder(folder))
    results = Results.read(path)
    seeds = arguments.seeds if arguments.seeds is not None else table.default_seeds(fast=plan.fast)
    teller = (_Lines(sys.stdout, path) if arguments.json_lines else _Words(sys.stderr))
    work = Reproduction(
        plan.jobs(cells, seeds), results, save=lambda: write(plan, results), run=run,
        at_once=arguments.jobs or min(os.cpu_count() or 1, MOST_AT_ONCE), tell=teller.tell, show=teller.show)
    if plan.fast:
        print(shortened(table), file=sys.stderr)
    sweep()
    teller.begin(work.progress())
    if arguments.json_lines:
        end_with_input()
    try:
        with _killed_is_interrupted():
            failed = work.run()
    except KeyboardInterrupt:
        teller.end(work.progress())
        print(f"stopped with {work.progress().done} of {work.progress().runs} runs done; the same command goes on from "
              f"there, see {path}", file=sys.stderr)
        return INTERRUPTED
    teller.end(work.progress())
    if path.exists():  # the cells at its head may be of an older table
        write(plan, results)
    if arguments.json:
        print(json.dumps(head_of(plan, results), allow_nan=False))
    elif not arguments.json_lines:
        print(markdown(plan, measure(plan, results), cells))
        _after(plan, path, failed)
    return FAILED if failed else DONE


def _after(plan: Plan, path: Path, failed: int) -> None:
    if plan.table.larger is not None:
        print(f"\nOn a larger machine: {plan.table.larger.note}")
    print(f"\nkept in {path}" if path.exists() else "", file=sys.stderr)
    if failed:
        print(f"{failed} runs failed; the same command tries them again", file=sys.stderr)


def _list(folder: Path) -> int:
    """One line for each table; a table or a result that cannot be used says so on stderr."""
    rows: list[tuple[str, ...]] = []
    wrong = False
    for name in tables.names():
        try:
            table = tables.load(name)
            counts = []
            for fast in (False, True) if table.fast is not None else (False,):
                plan = plan_of(name, fast=fast)
                done = done_cells(plan, Results.read(result_path(name, fast=fast, folder=folder)))
                counts.append(f"{done} of {len(table.cells)} cells {'shortened' if fast else 'done'}")
            rows.append((name, table.title, ", ".join(counts)))
        except (TableError, ResultError) as error:
            print(f"error: {error}", file=sys.stderr)
            wrong = True
    widths = [max((len(row[index]) for row in rows), default=0) for index in (0, 1)]
    for name, title, count in rows:
        print(f"{name:{widths[0]}}  {title:{widths[1]}}  {count}")
    if rows:
        print(f"\n'{PROG} reproduce {rows[0][0]}' makes what is missing of one, and shows it", file=sys.stderr)
    return BAD_INPUT if wrong else DONE


@contextmanager
def _killed_is_interrupted() -> Iterator[None]:
    """A request to end, or a terminal that is closed, is as Ctrl-C: no process is left behind."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), interrupt) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


# ------------------------------------------------------------------ progress


class _Words:
    """For a person: a line for every run, and one that is redrawn where it is a terminal."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._live = stream.isatty()
        self._shown = ""
        self._next = 0.0

    def begin(self, progress: Progress) -> None:
        missing = progress.runs - progress.done
        if missing:
            self._say(f"{missing} of {progress.runs} runs are to be made")
        self._next = self._clock() + EVERY

    def tell(self, job: Job, record: Record, progress: Progress) -> None:
        if record.state == "failed":
            what = f"failed: {record.message}"
        elif record.state == "diverged":
            what = f"diverged at step {record.steps:,}: {record.message}"
        else:
            values = ", ".join(f"{key} {_number(record, key)}" for key in job.task.keys)
            what = f"{values} ({record.steps:,} steps, {duration(record.seconds)})"
        self._say(f"{progress.words}  {job.task.title}, seed {job.seed}: {what}")

    def show(self, progress: Progress) -> None:
        going = [f"{job.task.title} seed {job.seed} {100 * step // max(1, job.task.steps)} %"
                 for job, step in progress.running]
        line = "  ".join([progress.words, *going])
        if self._live:
            self._draw(line[:_columns(self._stream) - 1])
        elif self._clock() >= self._next and going:
            self._say(line)
            self._next = self._clock() + EVERY

    def end(self, progress: Progress) -> None:
        self._draw("")

    def _say(self, line: str) -> None:
        self._draw("")
        self._write(line + "\n")

    def _draw(self, line: str) -> None:
        if line != self._shown:
            self._write("\r" + line.ljust(len(self._shown)) + ("" if line else "\r"))
            self._shown = line

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class _Lines:
    """For a program: every event as a line of JSON."""

    def __init__(self, stream: TextIO, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._path, self._clock = stream, path, clock
        self._next = 0.0

    def begin(self, progress: Progress) -> None:
        self._say("start", progress, file=str(self._path))

    def tell(self, job: Job, record: Record, progress: Progress) -> None:
        self._say("run", progress, digest=job.task.digest, seed=job.seed, state=record.state, message=record.message)

    def show(self, progress: Progress) -> None:
        if self._clock() >= self._next:
            self._next = self._clock() + LINES_EVERY
            self._say("progress", progress)

    def end(self, progress: Progress) -> None:
        self._say("end", progress)

    def _say(self, event: str, progress: Progress, **more: Any) -> None:
        running = [{"digest": job.task.digest, "seed": job.seed, "step": step, "steps": job.task.steps}
                   for job, step in progress.running]
        line = {"event": event, "done": progress.done, "runs": progress.runs, "words": progress.words,
                "running": running, **more}
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()


def _number(record: Record, key: str) -> str:
    value = record.values.get(key)
    return "–" if value is None else f"{value:,.0f}" if " below " in key else f"{value:.3g}"


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 80

