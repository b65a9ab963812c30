"""Levenberg-Marquardt: the Gauss-Newton step, damped as little as the loss allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from core.solvers.damped import SET_UP, Damped, Form, asked, damped, follow, orthogonal
from core.solvers.loss import Loss
from core.solvers.solver import NOT_FINITE, WALL, Advance, Memory, Watch, nowhere

#: Dampings that are tried in one step before it is given up; the last one is 2^55 times the first.
TRIALS = 11
#: How much the damping may fall at a step whose gain was as foreseen.
FALL = 1 / 3
#: Why a method is done whose steps are lost in the parameters' rounding.
SHORT = "the step is shorter than the rounding of the parameters: they have converged"


@dataclass(frozen=True)
class LevenbergMarquardt:
    """theta + d, (J^T J + mu I) d = -J^T rho (Levenberg 1944, Marquardt 1963), mu by the gain ratio.

    mu follows Nielsen (1999; Madsen, Nielsen & Tingleff 2004, eq. 2.21): after a step whose decrease of the loss is
    `gain` times the linear model's, times max(1/3, 1 - (2 gain - 1)^3); at a step that increases the loss, times 2, 4,
    8, ... until one decreases it. damping: the first mu by the largest diagonal element of J^T J. form: 'parameters'
    solves with J^T J [P, P], 'samples' with J J^T [R, R], 'auto' with the smaller one. factorization: 'qr' of the
    stacked [J; sqrt(mu) I] is slower and loses half as many digits as 'cholesky'. Meant for float64.
    """

    damping: float = 1e-2
    form: Form = "auto"
    factorization: Literal["cholesky", "qr"] = "cholesky"

    needs: Literal["gradient", "rows"] = "rows"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.damping) and self.damping > 0):
            raise ValueError(f"the damping of Levenberg-Marquardt is positive, {self.damping:g} is not")

    def start(self, theta: Tensor) -> Memory:
        return fresh()

    def step(self, loss: Loss, theta: Tensor, memory: Memory, learning_rate: float, watch: Watch) -> Advance:
        asked(watch)
        losses, now = loss.value(theta)
        if not math.isfinite(now):
            return nowhere(theta, memory, losses)
        problem: Damped = (orthogonal if self.factorization == "qr" else damped)(loss, theta, watch, self.form)
        return descend(loss, theta, memory, watch, problem, losses, now, self.damping)


def fresh() -> Memory:
    """The memory of a damping that is not chosen yet (mu 0)."""
    return {"mu": torch.zeros((), dtype=torch.float64), "nu": torch.tensor(2.0, dtype=torch.float64)}


def descend(loss: Loss, theta: Tensor, memory: Memory, watch: Watch, problem: Damped, losses: Tensor, now: float,
            first: float) -> Advance:
    """Try dampings until one decreases the loss, and choose the next step's. first: the start damping, relative."""
    epsilon = torch.finfo(theta.dtype).eps
    norm = float(problem.gradient.norm())
    if not math.isfinite(norm):
        return Advance(theta, memory, losses, done=NOT_FINITE)
    if norm <= epsilon * math.sqrt(problem.trace * now):
        return Advance(theta, memory, losses, done="the gradient is zero to rounding: no direction decreases the loss")
    # below the rounding of J^T J a damping does nothing, and all trials of a later step could not bring it back
    mu = max(float(memory["mu"]) or first * problem.largest, epsilon * problem.largest)
    nu, wall = float(memory["nu"]), False
    for trial in range(1, TRIALS + 1):
        asked(watch)
        what, begin, end = f"damping {mu:.1e}", *(SET_UP + (1 - SET_UP) * k / TRIALS for k in (trial - 1, trial))
        watch.tell(begin, what)
        d = problem.solve(mu, each=follow(watch, what, begin, end))
        if d is not None:
            there = theta + d
            after = loss.value(there)[1]
            wall = wall or not math.isfinite(after)
            if after < now:
                foreseen = problem.foreseen(d, mu)
                gain = (now - after) / foreseen if foreseen > 0 else math.inf
                rest = max(FALL, 1 - (2 * min(gain, 1.0) - 1) ** 3)
                after_memory = {"mu": torch.tensor(mu * rest, dtype=torch.float64),
                                "nu": torch.tensor(2.0, dtype=torch.float64)}
                length = float(d.norm())
                watch.tell(1.0, "step")
                return Advance(there, after_memory, losses, {
                    "damping": mu, "gain ratio": gain, "step length": length, "trials": float(trial)},
                    done="" if length > epsilon * float(theta.norm()) else WALL if wall else SHORT)
        mu, nu = mu * nu, nu * 2
    why = WALL if wall else (f"it has reached the rounding of its own "
                             f"{'single' if theta.dtype == torch.float32 else 'double'} precision")
    return Advance(theta, memory, losses, {"damping": mu, "trials": float(TRIALS)},
                   done=f"none of {TRIALS} dampings up to {mu:.1e} decreases the loss: {why}")
