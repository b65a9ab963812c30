"""Makes the runs of a published table that are missing: each in a process of its own, the result kept after every one.

Stopped or killed, it has lost the runs that were going on and nothing else; started again it goes on from there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from studio.progress import duration
from studio.run_reader import Run, load_run
from studio.runfile import RunFileError, machine
from studio.table_runs import Job, Record, Results, digest, values_of
from studio.tables import settings

ROOT = Path(__file__).resolve().parent.parent
POLL = 0.2  # seconds between two looks at a process
PATIENCE = 3.0  # seconds that a process has to end when it is told to
PREFIX = "pinnscope-reproduce-"  # of the temporary folders
ABANDONED = 3600.0  # seconds without a word, after which such a folder is nobody's

#: Threads of the libraries below torch: one for each process, as many processes as there shall be.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

Report = Callable[[int], None]  # the step that a run has come to
#: Trains one run: reports its steps, gives up with None when the event is set. Never raises for a run that failed.
Trains = Callable[[Job, Report, threading.Event], Record | None]


# ------------------------------------------------------------------ one run


#: What nobody looks at while a table is made, and no table has a number of.
UNSEEN = ("alignment", "step_check", "slopes", "conditioning", "activations", "stiffness", "ntk", "liveness")


def command_of(job: Job, folder: Path | str) -> list[str]:
    """The arguments of `main.py` that make this run."""
    out = ["run", job.task.experiment, "--seed", str(job.seed)]
    unseen = [f"diagnostics.{kind}_every=0" for kind in UNSEEN]
    for setting in [*settings(job.task.set), "training.threads=1", *unseen]:
        out += ["--set", setting]
    return [*out, "--json", "--out", str(folder)]


def train(job: Job, report: Report, stop: threading.Event) -> Record | None:
    """One run in a process of its own, its run file in a temporary folder; None where it was told to stop."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        out, err = folder / "out", folder / "err"
        with out.open("wb") as stdout, err.open("wb") as stderr, err.open("rb") as said:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-m", "studio.leash", *command_of(job, folder)], cwd=ROOT, stdin=subprocess.PIPE,
                    stdout=stdout, stderr=stderr, start_new_session=True,
                    # What torch and the compiler leave in the folder for temporary files goes with this one.
                    env={**os.environ, **ONE_THREAD, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), name)})
            except OSError as error:
                return _failed(job, f"no process could be started: {error.strerror or error}")
            try:
                while process.poll() is None:
                    if stop.wait(POLL):
                        return None
                    if (step := _last_step(said)) is not None:
                        report(step)
            finally:
                _end(process)
        return outcome(job, process.returncode, _text(out), _text(err))


def outcome(job: Job, code: int, out: str, err: str) -> Record:
    """What a process that has ended says of its run. A NaN in a loss is a result, anything else that ends it is not."""
    run: Run | None = None
    result: dict[str, object] = {}
    with suppress(ValueError, IndexError):
        found = json.loads(out.strip().splitlines()[-1])
        result = found if isinstance(found, dict) else {}
    try:
        if isinstance(path := result.get("run_file"), str):
            run = load_run(Path(path))
    except RunFileError as error:
        return _failed(job, str(error))
    diverged = run is not None and any(event.kind == "nan" for event in run.events)
    if run is None or (code != 0 and not diverged):
        return _failed(job, str(result.get("message") or "") or _last_sentence(err) or _ended(code))
    if digest(run.experiment) != job.task.digest:
        return _failed(job, f"the experiment '{job.task.experiment}' was changed before the run began, so it is not "
                            "the one that was asked for; start again")
    values = values_of(run, job.task.wanted, diverged=diverged)
    missing = [key for key in job.task.keys if key not in values]
    if missing:
        there = ", ".join(values) or "nothing"
        return _failed(job, f"the run has no {missing[0]}; it has {there}")
    nan = next((event.text for event in run.events if event.kind == "nan"), "")
    return Record(
        experiment=job.task.experiment, set=dict(job.task.set), seed=job.seed, digest=job.task.digest,
        state="diverged" if diverged else "finished", values=values, steps=run.step, seconds=round(run.seconds, 3),
        steps_per_second=round(run.step / run.seconds, 1) if run.seconds > 0 else 0.0, message=nan, date=_now(),
        machine=dict(run.machine))


def _failed(job: Job, message: str) -> Record:
    text = message.removeprefix("error: ")
    return Record(experiment=job.task.experiment, set=dict(job.task.set), seed=job.seed, digest=job.task.digest,
                  state="failed", message=text, date=_now(), machine=machine())


def _ended(code: int) -> str:
    return f"the process ended unexpectedly ({f'signal {-code}' if code < 0 else f'exit code {code}'})"


def _last_sentence(err: str) -> str:
    """The last thing that a command complained of; the end of a traceback where it came to that."""
    lines = [line.strip() for line in err.strip().splitlines() if line.strip()]
    return next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "")


def _last_step(said: IO[bytes]) -> int | None:
    """The last step in what the process has written since."""
    found = re.findall(rb"step ([\d,]+)/", said.read())
    return int(found[-1].replace(b",", b"")) if found else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it has started: by closing its input, and by force where that does not help."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    try:
        process.wait(PATIENCE if process.poll() is None else None)
    except subprocess.TimeoutExpired:
        if os.name == "posix":
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()


def sweep() -> None:
    """Remove what reproductions that were killed have left in the folder for temporary files."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            last = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
            if time.time() - last > ABANDONED:
                shutil.rmtree(folder, ignore_errors=True)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


# ------------------------------------------------------------------ all of them


@dataclass(frozen=True)
class Progress:
    """How far a reproduction is."""

    done: int  # runs, those that were there before too
    runs: int
    running: tuple[tuple[Job, int], ...]  # with the step that each has come to
    seconds_left: float | None  # None where nothing is known yet

    @property
    def words(self) -> str:
        """12 of 108 runs, 1:20:00 left."""
        left = "" if self.seconds_left is None or self.done >= self.runs else f", {duration(self.seconds_left)} left"
        return f"{self.done} of {self.runs} runs{left}"


class Reproduction:
    """The runs of a table, `at_once` of them at a time.

    `save` is called in this thread after every run, `tell` with every run that ended, `show` about every `POLL`
    seconds. What `run` does is somebody else's: a test gives one that trains nothing.
    """

    def __init__(self, jobs: Sequence[Job], results: Results, *, save: Callable[[], None], run: Trains = train,
                 at_once: int = 1, tell: Callable[[Job, Record, Progress], None] = lambda *_: None,
                 show: Callable[[Progress], None] = lambda _: None) -> None:
        self._jobs, self._results = list(jobs), results
        self._save, self._run, self._tell, self._show = save, run, tell, show
        self._at_once = max(1, at_once)
        self._stop = threading.Event()
        self._waiting: deque[Job] = deque(job for job in self._jobs if not results.done(job))
        self._running: dict[Future[Record | None], Job] = {}
        self._steps: dict[tuple[str, int], tuple[int, float]] = {}  # step and when, by digest and seed
        self._begun: dict[tuple[str, int], float] = {}
        self.failed = 0

    @property
    def missing(self) -> int:
        """Runs that are not done."""
        return sum(not self._results.done(job) for job in self._jobs)

    def run(self) -> int:
        """Make what is missing; how many runs failed. On KeyboardInterrupt every process is ended, then it goes on."""
        pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="reproduce")
        try:
            while self._waiting or self._running:
                self._fill(pool)
                self._show(self.progress())
                ended, _ = wait(self._running, POLL, FIRST_COMPLETED)
                self._take(ended)
        finally:
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            self._take([future for future in self._running if not future.cancelled()])
        self._show(self.progress())
        return self.failed

    def _fill(self, pool: ThreadPoolExecutor) -> None:
        while self._waiting and len(self._running) < self._at_once:
            job = self._waiting.popleft()
            if self._results.done(job):  # by another process meanwhile, or by a job with the same digest
                continue
            key = (job.task.digest, job.seed)
            self._begun[key] = time.monotonic()
            future = pool.submit(self._guarded, job)
            self._running[future] = job

    def _guarded(self, job: Job) -> Record | None:
        key = (job.task.digest, job.seed)

        def report(step: int) -> None:
            self._steps[key] = (step, time.monotonic())

        try:
            return self._run(job, report, self._stop)
        except Exception as error:  # one run must not end the others
            return _failed(job, f"{type(error).__name__}: {error}")

    def _take(self, ended: Sequence[Future[Record | None]] | set[Future[Record | None]]) -> None:
        for future in list(ended):
            job = self._running.pop(future)
            record = future.result()
            if record is None:
                continue
            self.failed += record.state == "failed"
            self._results.add(record)
            self._save()
            self._tell(job, record, self.progress())

    # -- how far -----------------------------------------------------------------------------------------------

    def progress(self) -> Progress:
        running = tuple((job, self._steps.get((job.task.digest, job.seed), (0, 0.0))[0])
                        for job in self._running.values())
        return Progress(len(self._jobs) - self.missing, len(self._jobs), running, self._left())

    def _left(self) -> float | None:
        """Seconds that are left, from what a step took in other seeds, in this run, or on average."""
        known = self._paces()
        if not known:
            return None
        average = sum(known.values()) / len(known)
        waiting = [job for job in self._waiting if not self._results.done(job)]
        rest = [job.task.steps * known.get(job.task.digest, average) for job in waiting]
        going = [max(0, job.task.steps - self._steps.get((job.task.digest, job.seed), (0, 0.0))[0])
                 * known.get(job.task.digest, average) for job in self._running.values()]
        return max([sum(rest + going) / self._at_once, *going, 0.0])

    def _paces(self) -> dict[str, float]:
        """Seconds for a step by digest."""
        known: dict[str, float] = {}
        for record in self._results.records.values():
            if record.state == "finished" and record.steps > 0:
                known[record.digest] = record.seconds / record.steps
        for job in self._running.values():
            key = (job.task.digest, job.seed)
            step, when = self._steps.get(key, (0, 0.0))
            if step > job.task.steps / 20:  # before that, it is the start that took the time
                known[job.task.digest] = (when - self._begun[key]) / step
        return known
