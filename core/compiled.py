"""The step as native code: traced to one graph, forward, derivatives, backward and Adam together.

The graph is compiled ahead of time (AOTInductor) into a package on disk. That can be done in another process while
the eager engine trains; loading the package takes milliseconds, and running it needs no tracing, no guards and no
particular thread.
"""

from __future__ import annotations

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

from core.engine import EagerEngine, StepResult
from core.tiles import Cut, Tile, tiles_of

STEP, GRADIENT, GRADIENTS = "step.pt2", "gradient.pt2", "gradients.pt2"
TILES, TILE = "tiles.json", "tile-{}.pt2"  # where the points are cut: how, and the function of each cut block

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

    With sub-domains only the step: the gradients of every term through a dozen networks would take minutes more, and
    are wanted once in hundreds of steps. Raises ValueError where the points are evaluated in portions, or not on the
    CPU.
    """
    if engine.portions or engine.objective.device.type != "cpu":
        raise ValueError("only a step that takes all its points at once, on the CPU, is compiled")
    step, gradient, gradients = engine.examples()
    cut = Cut(engine, tiles_of(engine, torch.get_num_threads()))
    for number in range(len(cut.tiles)):
        _compile(cut.tile(number), cut.example(number), folder / TILE.format(number))
    if cut.tiles:
        (folder / TILES).write_text(json.dumps([asdict(tile) for tile in cut.tiles]))
        gradient, step = (*gradient, *cut.sums()), (*step, *cut.sums())
    whole = cut if cut.tiles else engine
    if solver:
        _compile(whole.gradient, gradient, folder / GRADIENT)
    else:
        _compile(whole.step, step, folder / STEP)
    if len(engine.objective.regions) == 1:
        _compile(engine.term_gradients, gradients, folder / GRADIENTS)


def _compile(function: Callable[..., Any], arguments: tuple[Tensor, ...], path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations while it traces; nothing a person can act on
        graph = make_fx(lambda *tensors: function(*tensors))(*arguments)  # a bound method confuses the tracer
        program = torch.export.export(graph, arguments)
        torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=OPTIONS)


@dataclass(frozen=True)
class CompiledEngine:
    """The packages that `compile_packages` made, loaded; what is not among them, `eager` does."""

    run_step: Callable[[list[Tensor]], list[Tensor]] | None
    run_gradient: Callable[[list[Tensor]], list[Tensor]] | None
    run_gradients: Callable[[list[Tensor]], list[Tensor]] | None
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
    """Load what `compile_packages` wrote of this eager engine. Raises OSError or RuntimeError where it is missing or
    damaged."""
    def runner(name: str) -> Callable[[list[Tensor]], list[Tensor]]:
        # what torch._inductor.aoti_load_package makes in the end, without the seconds that importing that takes
        loader = torch._C._aoti.AOTIModelPackageLoader(str(folder / name), "model", False, 1, -1)
        run: Callable[[list[Tensor]], list[Tensor]] = loader.run
        return run

    found = {name for name in (STEP, GRADIENT, GRADIENTS) if (folder / name).is_file()}
    if not found & {STEP, GRADIENT} or (GRADIENTS not in found and len(eager.objective.regions) == 1):
        raise OSError(f"{folder} is not complete")
    step, gradient, gradients = (runner(name) if name in found else None for name in (STEP, GRADIENT, GRADIENTS))
    if (folder / TILES).is_file():
        try:
            cut = Cut(eager, [Tile(**tile) for tile in json.loads((folder / TILES).read_text())])
        except (ValueError, TypeError) as error:
            raise OSError(f"{TILES} is damaged") from error
        parts = [runner(TILE.format(number)) for number in range(len(cut.tiles))]
        step = step and cut.joined(parts, step, theta=0, draws=5, weights=3)
        gradient = gradient and cut.joined(parts, gradient, theta=0, draws=1, weights=2)
    return CompiledEngine(step, gradient, gradients, eager)
