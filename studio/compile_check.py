"""Compile the step of every built-in experiment, and check it: `python -m studio.compile_check [--names NAME ...]`.

Slow (half a minute to minutes for each), so no part of the tests. For each lane and phase whose step is another one:
compile_seconds  from nothing, in a process of its own, into an empty cache;
load_seconds     of a second start: from the experiment as text to the first compiled step, torch being imported;
start_seconds    the same with the start of the process and all imports;
agrees           whether the compiled functions make the eager engine's numbers to rounding.
Results go into results/compile-check.json; those of other experiments in it are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.compiled import CompiledEngine
from core.engine import EagerEngine
from core.problem import ProblemError
from core.trainer import Trainer
from studio import gallery
from studio.build import build_trainer
from studio.compiling import ROOT, Compilation, CompileError, load_engine, ready
from studio.course import Course
from studio.experiment import Experiment, load_experiment
from studio.phases import Place

OUT = ROOT / "results" / "compile-check.json"
TARGET = 2.0  # seconds in which a second start should be making compiled steps
#: How much larger than the rounding of the eager step the difference may be: the order of sums is another one.
FACTOR = 10.0
SINGLE = torch.finfo(torch.float32).eps


def check(experiment: Experiment) -> dict[str, Any]:
    """The numbers of one lane; PINNSCOPE_CACHE names an empty folder. Raises CompileError, ProblemError, ValueError."""
    begun = time.perf_counter()
    Compilation(experiment).wait()
    row: dict[str, Any] = {"compile_seconds": round(time.perf_counter() - begun, 1)}
    row |= _second_start(experiment)
    trainer = build_trainer(experiment)
    assert isinstance(trainer.engine, EagerEngine)
    differences = compare(trainer, load_engine(experiment, trainer.engine))
    return row | {"in_time": row["load_seconds"] <= TARGET, "agrees": all(d <= 1 for d in differences.values()),
                  "of_allowed": {name: float(f"{d:.2g}") for name, d in differences.items()}}


def compare(trainer: Trainer, compiled: CompiledEngine) -> dict[str, float]:
    """The largest difference between compiled and eager results, as a share of what is allowed; by result.

    Allowed is `FACTOR` times what rounding does to the eager step: the difference between the step in float32 and in
    float64, scaled to the trainer's precision. All differences are relative to the largest entry of a result.
    """
    eager = trainer.engine
    assert isinstance(eager, EagerEngine)
    arguments = _arguments(trainer)
    single, double = (EagerEngine(eager.objective.twin(d), eager.optimizer, eager.points)
                      for d in (torch.float32, torch.float64))
    theta, _, _, weights, _, draws, lam = arguments
    calls: dict[str, tuple[tuple[str, ...], Sequence[Tensor]]] = {}
    if compiled.run_step is not None:
        calls["step"] = (("theta", "m", "v", "losses", "multipliers"), arguments)
    if compiled.run_gradient is not None:
        calls["gradient"] = (("losses", "gradient", "multipliers"), (theta, draws, weights, lam))
    if compiled.run_gradients is not None:
        calls["term_gradients"] = (("losses", "gradients"), (theta, draws))
    out = {}
    for name, (results, given) in calls.items():
        mine = getattr(eager, name)(*given)
        theirs = getattr(compiled, name)(*given)
        rounded = getattr(single, name)(*(a.float() for a in given))
        exact = getattr(double, name)(*(a.double() for a in given))
        for result, a, b, low, high in zip(results, mine, theirs, rounded, exact, strict=True):
            scale = torch.finfo(a.dtype).eps / SINGLE
            allowed = FACTOR * scale * max(_relative(low, high), SINGLE)
            out[f"{name}: {result}"] = _relative(b, a) / allowed
    return out


def _arguments(trainer: Trainer) -> tuple[Tensor, ...]:
    """Of a step somewhere in a run: no moment and no bias is zero, no weight is 1, and no second moment is below the
    square of the first, as none is that both have gathered from the same gradients for long."""
    generator = torch.Generator().manual_seed(5)

    def noise(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like.dtype)

    theta = trainer.theta + 0.05 * noise(trainer.theta)
    first = 0.1 * noise(theta)
    hyper = theta.new_tensor(trainer.optimizer.hyper(trainer.learning_rate, 100))
    return (theta, first, first ** 2 + 0.1 * noise(theta) ** 2, 1 + noise(trainer.weights) ** 2, hyper,
            trainer.coming_draws(), trainer.multipliers + 0.1)


def _relative(a: Tensor, b: Tensor) -> float:
    """max |a - b| / max |b|; infinite where one of them is not finite."""
    difference = float((a.double() - b.double()).abs().max())
    size = float(b.double().abs().max())
    return difference / (size or 1.0) if difference == difference else float("inf")


def _second_start(experiment: Experiment) -> dict[str, float]:
    """A new process that finds the package in the cache and makes a step."""
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "experiment.toml"
        text.write_text(experiment.to_toml(), encoding="utf-8")
        begun = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "studio.compile_check", "--second", str(text)], cwd=ROOT,
                              capture_output=True, text=True, check=False)
        whole = time.perf_counter() - begun
    if done.returncode:
        raise CompileError(f"a second start failed: {(done.stderr.strip().splitlines() or ['no words'])[-1]}")
    return {"load_seconds": round(float(json.loads(done.stdout)), 2), "start_seconds": round(whole, 2)}


def _be_second(text: Path) -> None:
    """The process of a second start: prints the seconds."""
    begun = time.perf_counter()
    experiment = load_experiment(text)
    trainer = build_trainer(experiment)
    assert isinstance(trainer.engine, EagerEngine)
    trainer.engine = load_engine(experiment, trainer.engine)
    trainer.step()
    print(json.dumps(time.perf_counter() - begun))


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where every step compiles, agrees and is loaded in time."""
    parser = argparse.ArgumentParser(prog="python -m studio.compile_check",
                                     description="Compile the step of every built-in experiment, and check it.")
    parser.add_argument("--names", nargs="+", default=gallery.names(), metavar="NAME", help="only these experiments")
    parser.add_argument("--threads", type=int, default=0, help="of the compiled step (default: the experiment's)")
    parser.add_argument("--out", type=Path, default=OUT, help="where the results go (default: %(default)s)")
    parser.add_argument("--second", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.second is not None:
        _be_second(given.second)
        return 0
    unknown = [name for name in given.names if name not in gallery.names()]
    if unknown:
        parser.error(f"there is no built-in experiment '{unknown[0]}'")
    rows: dict[str, Any] = json.loads(given.out.read_text())["experiments"] if given.out.is_file() else {}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["PINNSCOPE_CACHE"] = cache
        for name in given.names:
            for title, experiment in _steps_of(name, given.threads):
                if ready(experiment):
                    continue  # the step of another lane, phase or experiment, which was checked
                try:
                    rows[title] = check(experiment)
                except (CompileError, ProblemError, ValueError) as error:
                    rows[title] = {"error": str(error)}
                print(f"{title}: {json.dumps(rows[title])}", flush=True)
                _write(given.out, rows)
    return int(any("error" in row or not (row["agrees"] and row["in_time"]) for row in rows.values()))


def _steps_of(name: str, threads: int) -> Iterator[tuple[str, Experiment]]:
    """(title, experiment) for each lane of a built-in experiment and each of its phases whose step is compiled."""
    for lane in gallery.load(name).lanes():
        title = name if not lane.label else f"{name}: {lane.label}"
        if threads and threads != lane.training.threads:
            lane = lane.with_changes({"training.threads": threads})
            title += f", {threads} threads"
        yield title, lane.in_phase(0)
        for number in range(len(lane.phases)):
            coming = Course(lane, lambda *_: None, Place(number)).coming()
            if coming is not None:
                yield f"{title}, phase {number + 2}, {coming.optimizer.kind}", coming


def _write(path: Path, rows: dict[str, Any]) -> None:
    whole = {"torch": torch.__version__, "machine": f"{platform.machine()}, {os.cpu_count()} cores",
             "target_seconds": TARGET, "experiments": dict(sorted(rows.items()))}
    new = path.with_suffix(".new")
    new.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    new.replace(path)


if __name__ == "__main__":
    sys.exit(main())
