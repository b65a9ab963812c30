"""The step as native code: traced to one graph, forward, derivatives, backward and Adam together.

The graph is compiled ahead of time (AOTInductor) into a package on disk. That can be done in another process while
the eager engine trains; loading the package takes milliseconds, and running it needs no tracing, no guards and no
particular thread.
"""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from core.engine import EagerEngine, StepResult

STEP, GRADIENTS = "step.pt2", "gradients.pt2"

#: What was measured to pay: tanh from the vectorized exp (a sixth faster step at 128 points; absolute error of one
#: rounding), products and sums in one instruction. Results still agree with the eager engine to rounding.
OPTIONS = {"cpp.use_decompose_tanh": True, "cpp.enable_floating_point_contract_flag": "fast"}


def compiler() -> str | None:
    """The C++ compiler that torch will use, None where there is none.

    Looked up as torch._inductor does, without loading that: it takes seconds, and this is asked in mid-training.
    """
    usual = {"win32": "cl", "darwin": "clang++"}.get(sys.platform, "g++")
    return shutil.which(os.environ.get("CXX") or usual)


def compile_packages(engine: EagerEngine, folder: Path) -> None:
    """Compile both functions of an engine into `folder`. Takes tens of seconds; uses torch's present thread count.

    With sub-domains only the step: the gradients of every term through a dozen networks would take minutes more, and
    are wanted once in hundreds of steps.
    """
    step_arguments, gradient_arguments = engine.examples()
    _compile(engine.step, step_arguments, folder / STEP)
    if len(engine.objective.regions) == 1:
        _compile(engine.term_gradients, gradient_arguments, folder / GRADIENTS)


def _compile(function: Callable[..., Any], arguments: tuple[Tensor, ...], path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations while it traces; nothing a person can act on
        graph = make_fx(lambda *tensors: function(*tensors))(*arguments)  # a bound method confuses the tracer
        program = torch.export.export(graph, arguments)
        torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=OPTIONS)


@dataclass(frozen=True)
class CompiledEngine:
    """The packages that `compile_packages` made, loaded; what is not among them, `eager` does."""

    run_step: Callable[[list[Tensor]], list[Tensor]]
    run_gradients: Callable[[list[Tensor]], list[Tensor]] | None
    eager: EagerEngine
    name: str = "compiled"

    def step(self, theta: Tensor, m: Tensor, v: Tensor, weights: Tensor, hyper: Tensor, draws: Tensor,
             lam: Tensor) -> StepResult:
        theta, m, v, losses, lam = self.run_step([theta, m, v, weights, hyper, draws, lam])
        return theta, m, v, losses, lam

    def term_gradients(self, theta: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        if self.run_gradients is None:
            return self.eager.term_gradients(theta, draws)
        losses, gradients = self.run_gradients([theta, draws])
        return losses, gradients


def load_packages(folder: Path, eager: EagerEngine) -> CompiledEngine:
    """Load what `compile_packages` wrote of this eager engine. Raises OSError or RuntimeError where it is missing or
    damaged."""
    def runner(name: str) -> Callable[[list[Tensor]], list[Tensor]]:
        if not (folder / name).is_file():
            raise OSError(f"{folder / name} is missing")
        # what torch._inductor.aoti_load_package makes in the end, without the seconds that importing that takes
        loader = torch._C._aoti.AOTIModelPackageLoader(str(folder / name), "model", False, 1, -1)
        run: Callable[[list[Tensor]], list[Tensor]] = loader.run
        return run

    whole = len(eager.objective.regions) == 1
    return CompiledEngine(runner(STEP), runner(GRADIENTS) if whole else None, eager)
