"""What the quasi-Newton methods have in common: a step along -H g, a restart where it fails, the reason to stop.

Gradients of one step are of one function: where the points, the weights or the parameters are not those that the last
step ended with, the gradient is computed anew, and only the curvature that was learnt is kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from core.diagnostics.stopping import Stopped
from core.solvers.line_search import EDGE, PRECISION, Found, Trial, strong_wolfe
from core.solvers.loss import Loss
from core.solvers.solver import NOT_FINITE, Advance, Memory, Watch

#: Evaluations of a line search, at most.
LIMIT = 25
#: Differences of the loss below this power of the rounding unit, relative to it, are taken to say nothing: a residual
#: is itself a difference of larger numbers, so the loss is known less well than its own last digit.
NOISE = 0.75
#: The method has come to its end where in so many steps the loss has not fallen by more than rounding.
PATIENCE = 20
#: What the function was at which `gradient` in the memory was computed: the parameters, points, weights, multipliers.
_WHERE = ("theta", "points", "weights", "multipliers")


@dataclass(frozen=True)
class Pair:
    """What a step has shown of the curvature: s, y [P] of one function, the gradients at both ends, its length.

    g, after: [P], y = after - g. direction: [P], -H g.
    """

    s: Tensor
    y: Tensor
    g: Tensor
    after: Tensor
    direction: Tensor
    step: float
    ys: float  # y^T s > 0


class Curvature(Protocol):
    """How an inverse Hessian is kept in tensors of the memory; all are replaced, never changed in place."""

    def fresh(self, theta: Tensor) -> dict[str, Tensor]:
        """The tensors of an identity; 'count', int64, is the number of pairs learnt."""
        ...

    def direction(self, memory: Memory, gradient: Tensor) -> Tensor:
        """-H g [P]; -g while count is 0."""
        ...

    def learnt(self, memory: Memory, pair: Pair) -> dict[str, Tensor]:
        """The tensors after one more pair."""
        ...


def start(curvature: Curvature, theta: Tensor) -> Memory:
    """The memory before the first step; no function is known yet."""
    nothing = theta.new_zeros(0)
    known = dict.fromkeys(_WHERE, nothing) | {"losses": nothing, "gradient": torch.zeros_like(theta)}
    return {**known, **curvature.fresh(theta), "value": _number(math.inf), "best": _number(math.inf),
            "stalled": torch.tensor(0)}


def step(curvature: Curvature, loss: Loss, theta: Tensor, memory: Memory, watch: Watch) -> Advance:
    """One step by a line search along -H g. Raises Stopped."""
    where = dict(zip(_WHERE, (theta, loss.draws, loss.weights, loss.lam), strict=True))
    kept = {name: memory[name] for name in curvature.fresh(theta[:0])}
    asked = _Asked(loss, watch)
    if all(torch.equal(memory[name], tensor) for name, tensor in where.items()):
        value, losses, gradient = float(memory["value"]), memory["losses"], memory["gradient"]
        best, stalled = float(memory["best"]), int(memory["stalled"])
    else:
        losses, value, gradient = asked.gradient(theta)
        best, stalled = value, 0
    norm = float(torch.linalg.vector_norm(gradient))
    readings = {"step length": 0.0, "evaluations": 0.0, "gradient norm": norm}

    def ended(why: str, note: str = "") -> Advance:
        known = {"losses": losses, "gradient": gradient, "value": _number(value), "best": _number(best),
                 "stalled": torch.tensor(stalled)}
        return Advance(theta, {**where, **kept, **known}, losses, readings | {"evaluations": float(asked.count)},
                       note, why)

    if not math.isfinite(value) or not math.isfinite(norm):
        return ended(NOT_FINITE)
    if norm == 0:
        return ended("The gradient is zero: this is a stationary point of the loss.")
    origin, note = Trial(0.0, value, math.nan, theta, losses, gradient), ""
    direction = curvature.direction(kept, gradient)
    found = _search(asked, origin, direction, int(kept["count"]) == 0)
    if found.trial.value >= value and found.why and int(kept["count"]):
        note = f"restarted from steepest descent, since {found.why}"
        kept = curvature.fresh(theta)
        direction = -gradient
        found = _search(asked, origin, direction, True)
    trial = found.trial
    if found.why and trial.value >= value:
        return ended(_reason(found.why, theta.dtype, value, norm), note)
    pair = _pair(trial, origin, direction)
    if pair is not None:
        kept = curvature.learnt(kept, pair)
    unit = torch.finfo(theta.dtype).eps
    fallen = trial.value < best - 10 * unit * abs(best)
    best, stalled = (trial.value, 0) if fallen else (best, stalled + 1)
    after = {**where, "theta": trial.theta, **kept, "losses": trial.losses, "gradient": trial.gradient,
             "value": _number(trial.value), "best": _number(best), "stalled": torch.tensor(stalled)}
    done = ""
    if stalled >= PATIENCE:
        done = f"The loss has not fallen below {best:.3g} in {stalled} steps. {_limit(theta.dtype)}"
    readings |= {"step length": trial.step, "evaluations": float(asked.count)}
    return Advance(trial.theta, after, losses, readings, note, done)


@dataclass
class _Asked:
    """The loss, with the evaluations counted and the watch asked before each."""

    loss: Loss
    watch: Watch
    count: int = 0

    def gradient(self, theta: Tensor) -> tuple[Tensor, float, Tensor]:
        if self.watch.stop():
            raise Stopped("the step was stopped before it was done")
        found = self.loss.gradient(theta)
        self.count += 1
        self.watch.tell(min(1.0, self.count / (2 * LIMIT)), "line search")
        return found


def _search(asked: _Asked, origin: Trial, direction: Tensor, steepest: bool) -> Found:
    theta, exact = origin.theta, direction.double()

    def at(length: float) -> Trial:
        place = theta + length * direction
        losses, value, gradient = asked.gradient(place)
        return Trial(length, value, float(torch.dot(gradient.double(), exact)), place, losses, gradient)

    slope = float(torch.dot(origin.gradient.double(), exact))
    size, unit = float(torch.linalg.vector_norm(direction)), torch.finfo(theta.dtype).eps
    first = min(1.0, 1 / size) if steepest and size else 1.0
    shortest = unit * float(torch.linalg.vector_norm(theta)) / size if math.isfinite(size) and size else 0.0
    return strong_wolfe(at, replace(origin, slope=slope), first, limit=LIMIT, noise=unit ** NOISE * abs(origin.value),
                        shortest=shortest)


def _pair(trial: Trial, origin: Trial, direction: Tensor) -> Pair | None:
    """None where the curvature along the step is not positive beyond rounding."""
    s, y = trial.theta - origin.theta, trial.gradient - origin.gradient
    ys = float(torch.dot(y, s))
    unit = torch.finfo(s.dtype).eps
    least = unit * float(torch.linalg.vector_norm(y)) * float(torch.linalg.vector_norm(s))
    return Pair(s, y, origin.gradient, trial.gradient, direction, trial.step, ys) if ys > least else None


def _reason(why: str, dtype: torch.dtype, value: float, norm: float) -> str:
    """Why even steepest descent has found no lower loss."""
    limit = f" {_limit(dtype)}" if why == PRECISION or (dtype != torch.float64 and why != EDGE) else ""
    return (f"The line search along the gradient found no loss below {value:.3g}, where the gradient's norm is "
            f"{norm:.3g}: {why}.{limit}")


def _limit(dtype: torch.dtype) -> str:
    if dtype == torch.float64:
        return "This is as far as float64 goes; other points, other weights or another network may go further."
    return f"This is about as far as {str(dtype).removeprefix('torch.')} goes: float64 goes further."


def _number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)

