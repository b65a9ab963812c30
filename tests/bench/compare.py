"""Adam steps per second of PINNscope, of PyTorch as usually used, of DeepXDE and of JAX, in one run.

    make bench                                   two threads; Helmholtz at 128 and 2,048 interior points, and four more
    make bench ARGS="--threads 1 --rounds 9"     options: --threads --problems --points --rounds --steps --only --out

Helmholtz (1, 4) is solved by all: a tanh network 2-50-50-50-1, float32, Adam, 4 x 128 boundary points. Klein-Gordon,
Burgers, the cavity by its stream function (third derivatives) and Kuramoto-Sivashinsky (fourth) are solved by ours,
by nested autograd, and by DeepXDE as it is and with a compiled residual (it evaluates residuals at boundary points
too, which is its way). The engines of one size are all started and
warmed up, then take turns: a round of steps each, again and again, so that what else happens on the machine hits all
alike. Only one works at a time, all on the same cores. Prints a table, with the most memory that each engine's process
has held, and writes results/bench-speed.json.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import select
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OURS = ROOT / ".venv" / "bin" / "python"
PEERS = ROOT / ".bench-venv" / "bin" / "python"
HELMHOLTZ = "helmholtz"
#: Interior points of each problem beside the first, those of the gallery, and its condition points in words.
SIZES = {"klein-gordon": (128, "128 points on each condition"), "burgers": (1000, "100 points on each condition"),
         "cavity": (128, "4 x 128 boundary points"), "kuramoto-sivashinsky": (1000, "256 initial points")}
PATIENCE = 900.0  # seconds that an engine may take to start; compiling a fourth derivative takes minutes


@dataclass(frozen=True)
class Engine:
    """A script, its variant, and the Python that has its packages."""

    name: str
    title: str
    script: str
    variant: str
    python: Path
    only: tuple[str, ...] = ()  # the problems that it solves; all where empty


ENGINES = (
    Engine("pinnscope-eager", "PINNscope, eager", "engine_pinnscope.py", "eager", OURS),
    Engine("pinnscope-compiled", "PINNscope, compiled", "engine_pinnscope.py", "compiled", OURS),
    Engine("torch-nested", "PyTorch eager, nested autograd, fused Adam", "engine_nested.py", "", PEERS),
    Engine("deepxde", "DeepXDE on PyTorch, points fixed (its default)", "engine_deepxde.py", "fixed", PEERS),
    Engine("deepxde-redrawn", "DeepXDE on PyTorch, points redrawn", "engine_deepxde.py", "redrawn", PEERS,
           (HELMHOLTZ,)),
    Engine("deepxde-compiled", "DeepXDE on PyTorch, residual compiled", "engine_deepxde.py", "compiled", PEERS),
    Engine("jax-hessian", "JAX, whole step jitted, nested Hessian", "engine_jax.py", "hessian", PEERS, (HELMHOLTZ,)),
    Engine("jax-laplacian", "JAX, whole step jitted, forward Laplacian", "engine_jax.py", "laplacian", PEERS,
           (HELMHOLTZ,)),
    Engine("jax-scan", "JAX, 20 steps jitted, forward Laplacian", "engine_jax.py", "scan", PEERS, (HELMHOLTZ,)),
)
BASELINE = "deepxde"
OURS_FASTEST = "pinnscope-compiled"
TARGET = 4.0  # times DeepXDE, compiled or not, whichever is faster


class EngineError(Exception):
    """An engine did not start or did not answer; the text says what it said last."""


@dataclass
class Result:
    """What one engine did at one size."""

    engine: Engine
    versions: dict[str, str] = field(default_factory=dict)
    warm_up_seconds: float = 0.0
    rates: list[float] = field(default_factory=list)  # steps per second of each round
    cores: list[float] = field(default_factory=list)  # processor seconds per second of each round
    peak_mb: float = 0.0  # of resident memory, from the process's start on
    loss: float = 0.0  # of the last step: all engines should have come about equally far
    error: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.rates) if self.rates else 0.0

    def data(self) -> dict[str, Any]:
        """As it is stored."""
        if self.error:
            return {"title": self.engine.title, "error": self.error}
        return {
            "title": self.engine.title,
            "steps_per_second": {"median": self.median, "min": min(self.rates), "max": max(self.rates)},
            "rounds": self.rates,
            "cores_used": statistics.median(self.cores),
            "peak_mb": round(self.peak_mb, 1),
            "warm_up_seconds": self.warm_up_seconds,
            "loss": self.loss,
            "versions": self.versions,
        }


class Process:
    """An engine that runs and waits to be asked."""

    def __init__(self, engine: Engine, problem: str, points: int, threads: int) -> None:
        self.words = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - close() does
        command = [str(engine.python), str(HERE / engine.script), str(points), str(threads)]
        limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        self.child = subprocess.Popen(
            [*command, engine.variant or "-", problem],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.words,
            text=True,
            cwd=ROOT,
            env={**os.environ, **limits, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"},
        )

    def answer(self) -> dict[str, Any]:
        """The engine's next line. Raises EngineError where it has ended, or says nothing for too long."""
        assert self.child.stdout is not None
        if not select.select([self.child.stdout], [], [], PATIENCE)[0]:
            self.child.kill()
            raise EngineError(f"it said nothing for {PATIENCE:.0f} seconds")
        line = self.child.stdout.readline()
        if not line:
            self.child.wait()
            self.words.seek(0)
            said = self.words.read().strip().splitlines() or ["nothing"]
            raise EngineError(f"it ended with code {self.child.returncode} and said: {said[-1]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, steps: int) -> dict[str, Any]:
        """Have it make steps. Raises EngineError."""
        assert self.child.stdin is not None
        try:
            self.child.stdin.write(f"{steps}\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; the answer says how
        return self.answer()

    def close(self) -> None:
        """End it and wait for it."""
        assert self.child.stdin is not None and self.child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.close()
        try:
            self.child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()
        self.words.close()


def measure(engines: Sequence[Engine], problem: str, points: int, options: argparse.Namespace) -> list[Result]:
    """Start the engines one after the other, then let them take turns."""
    results = [Result(engine) for engine in engines]
    with contextlib.ExitStack() as stack:
        processes = []
        for result in results:
            say(f"{problem}, {points} points: starting {result.engine.title}")
            process = Process(result.engine, problem, points, options.threads)
            stack.callback(process.close)
            processes.append(process)
            with noting(result):
                hello = process.answer()
                result.warm_up_seconds, result.versions = hello["ready"], hello["versions"]
        for turn in range(options.rounds):
            say(f"{problem}, {points} points: round {turn + 1} of {options.rounds}")
            for result, process in zip(results, processes, strict=True):
                if not result.error:
                    with noting(result):
                        done = process.ask(options.steps)
                        result.rates.append(done["steps"] / done["seconds"])
                        result.cores.append(done["cpu_seconds"] / done["seconds"])
                        result.peak_mb = done.get("peak_mb", 0.0)
                        result.loss = done["loss"]
    return results


@contextlib.contextmanager
def noting(result: Result) -> Iterator[None]:
    """An engine that fails leaves a line in the table; the others go on."""
    try:
        yield
    except EngineError as error:
        result.error = str(error)


def table(results: Sequence[Result], problem: str, points: int, options: argparse.Namespace) -> str:
    """The results as text, one line for each engine."""
    base = next((r.median for r in results if r.engine.name == BASELINE and not r.error), 0.0)
    lines = [
        f"{problem}: {points} interior + {SIZES.get(problem, (0, '4 x 128 boundary points'))[1]}, "
        f"{options.threads} thread(s), "
        f"median of {options.rounds} rounds of {options.steps} steps",
        f"{'':48}{'steps/s':>9}{'min':>8}{'max':>8}{'x DeepXDE':>11}{'cores':>7}{'peak MB':>9}{'loss':>10}",
    ]
    for result in results:
        if result.error:
            lines.append(f"{result.engine.title:48}   failed: {result.error}")
            continue
        ratio = f"{result.median / base:.2f}" if base else "-"
        lines.append(
            f"{result.engine.title:48}{result.median:9.0f}{min(result.rates):8.0f}{max(result.rates):8.0f}"
            f"{ratio:>11}{statistics.median(result.cores):7.2f}{result.peak_mb:9.0f}{result.loss:10.3g}"
        )
    ratio = against_fastest(results)
    if ratio is not None:
        lines.append(f"PINNscope, compiled, makes {ratio:.2f} times the steps of the faster DeepXDE; the target is "
                     f"{TARGET:g}: {'met' if ratio >= TARGET else 'missed'}")
    return "\n".join(lines)


def against_fastest(results: Sequence[Result]) -> float | None:
    """Our steps per second over those of the fastest DeepXDE; None where one of them has none."""
    rates = {result.engine.name: result.median for result in results if not result.error}
    theirs = max((rate for name, rate in rates.items() if name.startswith(BASELINE)), default=0.0)
    return rates[OURS_FASTEST] / theirs if theirs and OURS_FASTEST in rates else None


def hold_to_cores(threads: int) -> list[int]:
    """Hold this process and all that it starts to as many physical cores as there are threads; [] where it cannot.

    The only way that binds every library alike: XLA, for one, takes as many threads as it sees processors.
    Raises ValueError where there are not enough.
    """
    if not hasattr(os, "sched_setaffinity"):
        return []
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < threads:
        raise ValueError(f"{threads} threads want {threads} processors; this process may use {len(allowed)}")
    first: dict[str, int] = {}  # the first processor of each physical core
    for cpu in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        first.setdefault(siblings.read_text() if siblings.exists() else str(cpu), cpu)
    chosen = [*first.values(), *(cpu for cpu in allowed if cpu not in first.values())][:threads]
    os.sched_setaffinity(0, chosen)
    return sorted(chosen)


def machine() -> dict[str, Any]:
    """What this was measured on."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        rows = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(row.partition(":")[2].strip() for row in rows if row.startswith("model name"))
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    return {"processor": model, "processors": os.cpu_count(), "system": platform.platform(), "load_before": load}


def say(text: str) -> None:
    """Progress, beside the result."""
    print(text, file=sys.stderr, flush=True)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2, help="threads, and processors to hold to (default 2)")
    parser.add_argument("--points", type=int, nargs="+", default=[128, 2048], help="interior points of helmholtz")
    parser.add_argument("--problems", nargs="+", choices=[HELMHOLTZ, *SIZES], default=[HELMHOLTZ, *SIZES])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each engine (default 5)")
    parser.add_argument("--steps", type=int, default=200, help="steps of a round, a multiple of 20 (default 200)")
    parser.add_argument("--only", nargs="+", choices=[engine.name for engine in ENGINES], help="only these engines")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench-speed.json", help="the file to write")
    options = parser.parse_args(arguments)
    if min(options.threads, options.rounds, options.steps, *options.points) < 1 or options.steps % 20:
        parser.error("threads, points and rounds are at least 1, steps a multiple of 20")
    return options


def main(arguments: Sequence[str]) -> int:
    """Measure, print, store; 1 where an engine failed."""
    options = parse(arguments)
    about = machine()
    try:
        pinned = hold_to_cores(options.threads)
    except ValueError as error:
        say(str(error))
        return 2
    if (about["load_before"] or 0) > 0.5:
        say(f"This machine is busy (load {about['load_before']}): the ratios may be off.")
    engines = [engine for engine in ENGINES if not options.only or engine.name in options.only]
    sizes: dict[str, dict[str, Any]] = {}
    others: dict[str, dict[str, Any]] = {}
    tables = []
    wanted = [(HELMHOLTZ, points) for points in options.points if HELMHOLTZ in options.problems]
    wanted += [(problem, SIZES[problem][0]) for problem in SIZES if problem in options.problems]
    for problem, points in wanted:
        fitting = [engine for engine in engines if not engine.only or problem in engine.only]
        results = measure(fitting, problem, points, options)
        found: dict[str, Any] = {result.engine.name: result.data() for result in results}
        if problem == HELMHOLTZ:
            sizes[str(points)] = found
        else:
            others[problem] = {"interior_points": points, "engines": found, "against_deepxde": against_fastest(results)}
        tables.append(table(results, problem, points, options))
    print("\n\n".join(tables))
    report = {
        "what": "Adam steps per second, Helmholtz (1, 4), 2-50-50-50-1, tanh, float32, 4 x 128 boundary points",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {**about, "held_to_processors": pinned},
        "options": {"threads": options.threads, "rounds": options.rounds, "steps": options.steps},
        "interior_points": sizes,
        "problems": others,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    say(f"\nwritten: {options.out}")
    whole = [*sizes.values(), *(one["engines"] for one in others.values())]
    return int(any("error" in result for found in whole for result in found.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
