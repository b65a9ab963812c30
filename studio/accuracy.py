"""`python main.py reproduce accuracy`: how soon each problem is solved how well, beside M4 and DeepXDE.

Every run is trained in a process of its own, one at a time, and kept as soon as it has ended: stopped or killed, the
command has lost the run that was going on and nothing else, and the same command goes on from there. What was measured
of a recipe that has changed since is measured again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import queue
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from studio.accuracy_data import (
    BENCH,
    METHODS,
    ROOT,
    TITLES,
    AccuracyError,
    Problem,
    Record,
    add,
    load,
    mark,
    median_time,
    names,
    read,
    result_path,
    source,
)
from studio.headless import DONE, FAILED, INTERRUPTED, PROG
from studio.progress import duration
from studio.runfile import machine
from studio.table_runs import RESULTS

PEERS = ROOT / ".bench-venv" / "bin" / "python"
FAST_MINUTES = 0.1
POLL = 0.2  # seconds
PATIENCE = 5.0  # seconds that a process has to end when it is told to
LATE = 120.0  # seconds after its limit at which a run that does not end is ended

Trains = Callable[["Job", "Options"], Record]


@dataclass(frozen=True)
class Job:
    """One run that is wanted. limit: seconds of training."""

    problem: Problem
    method: str
    seed: int
    limit: float

    @property
    def title(self) -> str:
        return f"{self.problem.name}, {self.method}, seed {self.seed}"


@dataclass(frozen=True)
class Options:
    """What holds for all runs."""

    threads: int = 1
    warm: bool = False
    tell: Callable[[str], None] = lambda text: None


# ------------------------------------------------------------------ one run


def train(job: Job, options: Options) -> Record:
    """One run in a process of its own; a failure is a record with a sentence. Raises KeyboardInterrupt."""
    with tempfile.TemporaryDirectory(prefix="pinnscope-accuracy-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            command = command_of(job, options, folder)
        except AccuracyError as error:
            return _record(job, options, {"state": "failed", "message": str(error)}, [], [])
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(options.threads))
        cold = {} if options.warm else {"PINNSCOPE_CACHE": name}  # every run compiles for itself, and pays for it
        environment = {**os.environ, **threads, **cold, "CUDA_VISIBLE_DEVICES": "",
                       **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), name)}
        with (folder / "err").open("w+", encoding="utf-8", errors="replace") as err:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=err, text=True, start_new_session=True)
            try:
                pairs, journal, end = _listen(process, job, options)
            finally:
                _end(process)
            if not end:
                err.seek(0)
                said = err.read().strip().splitlines() or ["nothing"]
                end = {"state": "failed", "message": f"the process ended with code {process.returncode} and said: "
                                                     f"{said[-1]}"}
    return _record(job, options, _kept(job, end, pairs), pairs, journal)


def command_of(job: Job, options: Options, folder: Path) -> list[str]:
    """The process that makes a run. Raises AccuracyError where a rival is not there."""
    given = {"problem": job.problem.name, "method": job.method, "seed": job.seed, "limit": job.limit,
             "threads": options.threads}
    if job.method in ("ours", "m4"):
        return [sys.executable, "-m", "studio.accuracy_run", json.dumps(given)]
    if not PEERS.exists():
        raise AccuracyError("DeepXDE is not installed; 'python3 tools/bootstrap.py bench' installs it into .bench-venv")
    from core.problem import ProblemError
    from studio.accuracy_run import write_grid  # loads torch

    try:
        write_grid(job.problem, folder / "grid.npz")
    except (ProblemError, ValueError) as error:
        raise AccuracyError(f"the error of {job.problem.name} cannot be measured: {error}") from None
    constants = dict(job.problem.ours.problem.constants)
    given |= {"grid": str(folder / "grid.npz"), "constants": constants}
    return [str(PEERS), str(BENCH / "accuracy_deepxde.py"), json.dumps(given)]


def _listen(process: subprocess.Popen[str], job: Job,
            options: Options) -> tuple[list[tuple[float, float]], list[str], dict[str, Any]]:
    """(pairs, journal, the last line) of what a process says; the last is empty where it never came."""
    pairs: list[tuple[float, float]] = []
    journal: list[str] = []
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stdout is not None
    out = process.stdout

    def pump() -> None:
        with out:
            for line in out:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=pump, daemon=True, name="accuracy").start()
    quiet, end = 0.0, {}
    while (line := _next(lines)) is not None:
        if line == "":  # nothing new
            quiet += POLL
            if quiet > job.limit + LATE:
                return pairs, journal, {"state": "failed", "message": "it did not end in time, and was ended"}
            continue
        quiet = 0.0
        try:
            said = json.loads(line)
        except ValueError:
            continue  # what a library prints
        if "error" in said:
            pairs.append((said["seconds"], math.nan if said["error"] is None else said["error"]))
            options.tell(f"{job.title}: {duration(said['seconds'])} of {duration(job.limit)}, "
                         f"relative L2 {pairs[-1][1]:.2e}, step {said['step']:,}")
        elif "note" in said:
            journal.append(f"{said['seconds']:.1f} s: {said['note']}")
        elif "state" in said:
            end = said
    return pairs, journal, end


def _kept(job: Job, end: dict[str, Any], pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """The last line; of a rival that failed on its way, or was ended in a long step, what it had by then counts."""
    if end["state"] != "failed" or not pairs or job.method in ("ours", "m4"):
        return end
    return end | {"state": "stopped", "clock": pairs[-1][0]}


def _next(lines: queue.SimpleQueue[str | None]) -> str | None:
    """The next line; '' where none has come for a moment, None after the last one."""
    try:
        return lines.get(timeout=POLL)
    except queue.Empty:
        return ""


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and what it has started: by closing its input, and by force where that does not help."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()


def _record(job: Job, options: Options, end: dict[str, Any], pairs: list[tuple[float, float]],
            journal: list[str]) -> Record:
    errors = {name: math.nan if value is None else value for name, value in end.get("errors", {}).items()}
    return Record(
        problem=job.problem.name, method=job.method, seed=job.seed, digest=mark(job.problem, job.method, job.limit),
        state=end["state"], limit=job.limit, threads=options.threads, pairs=pairs, errors=errors,
        steps=end.get("steps", 0), seconds=round(end.get("clock", 0.0), 3),
        evaluation=round(end.get("evaluation", 0.0), 3), peak_mb=round(end.get("peak_mb", 0.0), 1),
        message=end.get("message", ""), journal=journal, warm=bool(end.get("warm", False)), source=source(),
        versions=end.get("versions", {}), machine=machine(),
        date=datetime.now(UTC).isoformat(timespec="seconds"))


# ------------------------------------------------------------------ what is wanted


def jobs(problems: Sequence[str], methods: Sequence[str], seeds: Sequence[int], minutes: float | None) -> list[Job]:
    """Every run that is wanted, all of the first seed before the next. Raises AccuracyError."""
    found = [load(name) for name in problems]
    return [Job(problem, method, seed, 60 * (minutes or problem.measure.minutes))
            for seed in seeds for problem in found for method in methods]


def missing(wanted: Sequence[Job], records: dict[tuple[str, str, int], Record], threads: int,
            core: str = "") -> list[Job]:
    """Those that no record covers. core: the source of `core` that must have made ours; any where empty."""
    out = []
    for job in wanted:
        record = records.get((job.problem.name, job.method, job.seed))
        own = core if job.method in ("ours", "m4") else ""
        if record is None or not record.covers(mark(job.problem, job.method, job.limit), job.limit, threads, own):
            out.append(job)
    return out


# ------------------------------------------------------------------ the table


def table(problem: Problem, records: Sequence[Record]) -> str:
    """Targets and published numbers beside what was measured, as Markdown."""
    m = problem.measure
    heads = [f"to {t.error:.2g}" + (f" (target: {_time(t.seconds)})" if t.seconds else " (target)") for t in m.targets]
    rows = [["", "seeds", "relative L2 at the end: median (lowest to highest)", "after", *heads]]
    for method in METHODS:
        own = [r for r in records if r.method == method and r.problem == problem.name and r.state != "failed"]
        if not own:
            continue
        last = [r.last for r in own if math.isfinite(r.last)]
        broken = sum(r.state == "diverged" for r in own)
        cell = f"{statistics.median(last):.2e} ({min(last):.2e} to {max(last):.2e})" if last else "–"
        cells = []
        for target in m.targets:
            seconds, reached, count = median_time(own, target.error)
            text = f"{_time(seconds)} ({reached} of {count})" if reached else "not reached"
            met = math.isfinite(seconds) and (not target.seconds or seconds <= target.seconds)
            cells.append(f"{text}{', met' if met else ', missed'}" if method == "ours" else text)
        rows.append([TITLES[method], f"{len(own)}" + f", {broken} diverged" * bool(broken), cell,
                     _time(statistics.median(r.seconds for r in own)), *cells])
    for one in m.published:
        times = [_time(one.seconds) if one.error <= t.error and one.seconds else "published" if one.error <= t.error
                 else "–" for t in m.targets]
        rows.append([f"{one.method} ({one.source})", "", f"{one.error:.2e}", _time(one.seconds) if one.seconds else "",
                     *times])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join([f"## {m.title}: error of {m.quantity}", "", *lines])


def _time(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "not in most"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s" if seconds < 60 else f"{duration(seconds)} min"


# ------------------------------------------------------------------ the command


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise AccuracyError(f"{message}; '{self.prog} --help' shows how")


def _parser() -> _Parser:
    parser = _Parser(prog=f"{PROG} reproduce accuracy", description=(__doc__ or "").partition("\n")[0].split(": ")[1],
                     allow_abbrev=False)
    parser.add_argument("--problem", action="append", metavar="NAME", help="only this one; can be given several times: "
                        + ", ".join(names()))
    parser.add_argument("--method", action="append", choices=METHODS, help="only this one; can be given several times")
    parser.add_argument("--seeds", type=_seeds, default=[0, 1, 2], metavar="0,1,2", help="the seeds, with commas")
    parser.add_argument("--minutes", type=float, metavar="M", help="of training of each run (default: the problem's)")
    parser.add_argument("--fast", action="store_true", help=f"seed 0, {60 * FAST_MINUTES:g} s each, in a file of its "
                        "own: shows that everything works, and measures nothing")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of every run (default: 1)")
    parser.add_argument("--warm", action="store_true", help="take compiled steps that are there; without it every run "
                        "compiles for itself, which counts")
    parser.add_argument("--renew", action="store_true", help="measure again what another version of core has made")
    parser.add_argument("--show", action="store_true", help="only the table and the figures of what is there")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="folder of the result file")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="folder of the figures (default: docs; with --fast "
                        "or --out none are drawn)")
    return parser


def _seeds(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of seeds such as 0,1,2") from None
    if min(found) < 0:
        raise argparse.ArgumentTypeError("a seed is zero or positive")
    return list(dict.fromkeys(found))


def main(arguments: Sequence[str], run: Trains = train) -> int:
    """Measure what is missing, print the tables, draw the figures; the exit code. Raises AccuracyError."""
    given = _parser().parse_args(arguments)
    if (given.minutes is not None and not given.minutes > 0) or given.threads < 1:
        raise AccuracyError("--minutes and --threads are positive")
    minutes = given.minutes or (FAST_MINUTES if given.fast else None)
    seeds = [0] if given.fast else given.seeds
    problems = given.problem or names()
    path = result_path(given.out, fast=given.fast)
    wanted = jobs(problems, given.method or METHODS, seeds, minutes)
    todo = [] if given.show else missing(wanted, read(path), given.threads, source() if given.renew else "")
    live = sys.stderr.isatty()

    def tell(text: str) -> None:
        if live:
            print("\r\033[K" + text[:110], end="", file=sys.stderr, flush=True)

    failed = 0
    options = Options(given.threads, given.warm, tell)
    if not given.show:
        longest = duration(sum(job.limit for job in todo))
        print(f"{len(todo)} of {len(wanted)} runs are to be made, {longest} of training at most", file=sys.stderr)
    for number, job in enumerate(todo, start=1):
        try:
            record = run(job, options)
        except KeyboardInterrupt:
            print(f"\nstopped at {job.title}; the same command goes on from there, see {path}", file=sys.stderr)
            return INTERRUPTED
        failed += record.state == "failed"
        if record.state != "failed" or record.key not in read(path):  # an older measurement is worth more than none
            add(path, record)
        what = record.message if record.state == "failed" else f"{record.last:.2e} after {duration(record.seconds)}"
        print(f"{chr(13) + chr(27) + '[K' if live else ''}{number} of {len(todo)}  {job.title}: {record.state}, {what}",
              file=sys.stderr)
    records = list(read(path).values())
    for name in problems:
        print(table(load(name), records) + "\n")
    folder = given.figures or (None if given.fast or given.out != RESULTS else ROOT / "docs")
    if folder is not None and records:
        draw(path, folder, problems)
    print(f"kept in {path}", file=sys.stderr)
    return FAILED if failed else DONE


def draw(path: Path, folder: Path, problems: Sequence[str]) -> None:
    """One figure for each problem, by the window's drawing code in a process of its own; says where it cannot."""
    done = subprocess.run([sys.executable, "-m", "ui.accuracy", str(path.absolute()), "--to", str(folder.absolute()),
                           *problems], cwd=ROOT, capture_output=True, text=True, check=False)
    last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
    said = done.stdout if done.returncode == 0 else f"the figures were not drawn: {last}"
    print(said.strip(), file=sys.stderr)
