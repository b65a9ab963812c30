"""The step as native code: traced to one graph, forward, derivatives, backward and Adam together.

The graph is compiled ahead of time (AOTInductor) into a library on disk. That can be done in another process while
the eager engine trains; loading it takes milliseconds, and running it needs no tracing, no guards, no particular
thread, and not the interpreter's lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from core.crew import Crew, with_threads
from core.engine import EagerEngine, StepResult
from core.native import Native, library_of
from core.tiles import Cut, Run, Tile, refused, tiles_of

#: The libraries of a package. Of a step in tiles there is a part for each cut block and one for what is left; the step
#: is then what the optimizer does with their sums, and the gradient needs nothing else.
STEP, GRADIENT, GRADIENTS, PART = "step.so", "gradient.so", "gradients.so", "part-{}.so"
#: Written last: whether it is for a solver, how the points are cut, and the digest of every library.
MANIFEST = "package.json"

#: What was measured to pay: tanh from the vectorized exp (a sixth faster step at 128 points; absolute error of one
#: rounding), products and sums in one instruction. Results still agree with the eager engine to rounding.
OPTIONS = {"cpp.use_decompose_tanh": True, "cpp.enable_floating_point_contract_flag": "fast"}


def compiler() -> str | None:
    """The C++ compiler that torch will use, None where there is none.

    Looked up as torch._inductor does, without loading that: it takes seconds, and this is asked in mid-training.
    """
    usual = {"win32": "cl", "darwin": "clang++"}.get(sys.platform, "g++")
    return shutil.which(os.environ.get("CXX") or usual)


def compile_packages(engine: EagerEngine, folder: Path, *, solver: bool = False) -> None:
    """Compile the functions of an engine into `folder`. Takes tens of seconds; uses torch's present thread count.

    solver: for an optimizer that asks for gradients, in place of the step.

    The gradients of every term are left out where they are seldom asked for: beside a solver, whose weights usually
    stay; with sub-domains, where a dozen networks would take minutes; with portions. Raises ValueError with what
    `refused` says.
    """
    if why := refused(engine):
        raise ValueError(why)
    step, gradient, gradients = engine.examples()
    cut = Cut(engine, tiles_of(engine, torch.get_num_threads()))
    if cut.tiles:
        with with_threads(1):  # several of them run at the same time instead
            for number in range(cut.parts):
                _compile(cut.part(number), cut.example(number), folder / PART.format(number))
        if not solver:
            theta, m, v, _, hyper, _, _ = step
            _compile(engine.optimizer.update, (theta, m, v, theta.clone(), hyper), folder / STEP)
    elif solver:
        _compile(engine.gradient, gradient, folder / GRADIENT)
    else:
        _compile(engine.step, step, folder / STEP)
    if _gives_terms(engine, solver):
        _compile(engine.term_gradients, gradients, folder / GRADIENTS)
    files = {path.name: _digest(path) for path in sorted(folder.iterdir())}
    (folder / MANIFEST).write_text(json.dumps({"solver": solver, "tiles": [asdict(tile) for tile in cut.tiles],
                                               "files": files}))


def _gives_terms(engine: EagerEngine, solver: bool) -> bool:
    """Whether the gradients of every term are compiled too."""
    return len(engine.objective.regions) == 1 and not engine.portions and not solver


def _compile(function: Callable[..., Any], arguments: tuple[Tensor, ...], path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations while it traces; nothing a person can act on
        graph = make_fx(lambda *tensors: function(*tensors))(*arguments)  # a bound method confuses the tracer
        program = torch.export.export(graph, arguments)
        package = path.with_suffix(".pt2")
        torch._inductor.aoti_compile_and_package(program, package_path=str(package), inductor_configs=OPTIONS)
    library_of(package, path)
    package.unlink()


@dataclass(frozen=True)
class CompiledEngine:
    """The packages that `compile_packages` made, loaded; what is not among them, `eager` does."""

    run_step: Run | None
    run_gradient: Run | None
    run_gradients: Run | None
    eager: EagerEngine
    name: str = "compiled"

    def step(self, theta: Tensor, m: Tensor, v: Tensor, weights: Tensor, hyper: Tensor, draws: Tensor,
             lam: Tensor) -> StepResult:
        if self.run_step is None:
            return self.eager.step(theta, m, v, weights, hyper, draws, lam)
        theta, m, v, losses, lam = self.run_step([theta, m, v, weights, hyper, draws, lam])
        return theta, m, v, losses, lam

    def gradient(self, theta: Tensor, draws: Tensor, weights: Tensor, lam: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.run_gradient is None:
            return self.eager.gradient(theta, draws, weights, lam)
        losses, gradient, lam = self.run_gradient([theta, draws, weights, lam])
        return losses, gradient, lam

    def term_gradients(self, theta: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        if self.run_gradients is None:
            return self.eager.term_gradients(theta, draws)
        losses, gradients = self.run_gradients([theta, draws])
        return losses, gradients


def load_packages(folder: Path, eager: EagerEngine) -> CompiledEngine:
    """Load what `compile_packages` wrote of this eager engine, with torch's present thread count. Raises OSError where
    it is missing or damaged; then nothing of it was loaded."""
    solver, tiles, names = _checked(folder)
    cut, crew = Cut(eager, tiles), Crew(torch.get_num_threads())
    parts = [PART.format(number) for number in range(cut.parts)] if tiles else []
    last = [] if solver and tiles else [GRADIENT if solver else STEP]
    if names != {*parts, *last, *([GRADIENTS] if _gives_terms(eager, solver) else [])}:
        raise OSError(f"{folder} is of another step")
    run_last = Native(folder / last[0]) if last else None
    run_terms = Native(folder / GRADIENTS) if _gives_terms(eager, solver) else None
    if not tiles:
        return CompiledEngine(None if solver else run_last, run_last if solver else None, run_terms, eager)
    run_parts = [Native(folder / name, crew.threads) for name in parts]
    if run_last is None:
        return CompiledEngine(None, lambda given: cut.gradient(run_parts, crew.results, given), run_terms, eager)
    return CompiledEngine(lambda given: cut.step(run_parts, crew.results, run_last, given), None, run_terms, eager)


def _checked(folder: Path) -> tuple[bool, list[Tile], set[str]]:
    """(whether it is for a solver, the tiles, the names of the libraries) of a package that is as it was written: a
    library that was cut short would end the program. Raises OSError."""
    try:
        about = json.loads((folder / MANIFEST).read_text())
        solver, files = bool(about["solver"]), dict(about["files"])
        tiles = [Tile(int(tile["start"]), int(tile["rows"]), int(tile["count"])) for tile in about["tiles"]]
    except (ValueError, TypeError, KeyError) as error:
        raise OSError(f"{MANIFEST} is damaged") from error
    for name, digest in files.items():
        if _digest(folder / name) != digest:
            raise OSError(f"{name} is damaged")
    return solver, tiles, set(files)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
