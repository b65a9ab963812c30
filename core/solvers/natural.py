"""Natural gradients in the metric of the residuals: energy natural gradient descent, and SPRING."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from core.solvers.damped import SET_UP, Form, asked, damped, follow, rows_and_kernel, samples_fit_better
from core.solvers.levenberg import SHORT
from core.solvers.loss import Loss, add_lower
from core.solvers.solver import NOT_FINITE, WALL, Advance, Memory, Watch, nowhere

#: The step lengths that are tried are 1, 1/2, 1/4, ... down to 2^-HALVINGS.
HALVINGS = 30
#: Lengths in a row that are no better than the best one, after which no shorter one is tried.
PATIENCE = 4
#: Step lengths from which a cut-off is not doubted, and the largest cut-off that is tried.
TRUSTED, LARGEST_CUTOFF = 0.125, 1e-2
ROUNDED = ("no step length from 1 to 2^-{} decreases the loss: it has reached the rounding of its arithmetic, or the "
           "solution is one for these points")


@dataclass(frozen=True)
class EnergyNaturalGradient:
    """theta - eta G^+ grad L / 2, G = J^T J: energy natural gradient descent (Müller & Zeinhofer, ICML 2023).

    G is the Gram matrix of the energy inner product of the weighted residuals, so for linear equations it is the
    loss's own Hessian in function space, pulled back. Its pseudo-inverse leaves out eigenvalues below `cutoff` times
    the largest one: the rounding of J^T J. eta is searched on the paper's logarithmic grid. Where only an eta below 1/8
    decreases the loss, G is not trusted so far, and cut-offs 100, 10,000, ... times as large are tried too, which cost
    no further decomposition; the best point is taken. form as in `LevenbergMarquardt`. Uses no learning rate and
    remembers nothing.
    """

    cutoff: float = 1e-11
    form: Form = "auto"

    needs: Literal["gradient", "rows"] = "rows"

    def __post_init__(self) -> None:
        if not 0 <= self.cutoff < 1:
            raise ValueError(f"the cut-off of the pseudo-inverse is from 0 to below 1, {self.cutoff:g} is not")

    def start(self, theta: Tensor) -> Memory:
        return {}

    def step(self, loss: Loss, theta: Tensor, memory: Memory, learning_rate: float, watch: Watch) -> Advance:
        asked(watch)
        losses, now = loss.value(theta)
        if not math.isfinite(now):
            return nowhere(theta, memory, losses)
        metric = Metric.of(loss, theta, watch, self.form)
        if metric is None:
            return Advance(theta, memory, losses, done=NOT_FINITE)
        cutoff = max(self.cutoff, torch.finfo(theta.dtype).eps)
        best: Found | None = None
        readings: dict[str, float] = {}
        while True:
            d, rank = metric.direction(cutoff)
            found = search(loss, theta, d, now if best is None else best.value, watch)
            if found is not None:
                best = found
                readings = {"step size": found.length, "step length": found.length * float(d.norm()),
                            "rank": float(rank), "cut-off": cutoff}
                if found.length >= TRUSTED:
                    break
            cutoff *= 100
            if cutoff >= LARGEST_CUTOFF:
                break
        if best is None:
            return Advance(theta, memory, losses, done=_stuck(loss, theta, d))
        return Advance(best.theta, memory, losses, readings, done=_done(readings["step length"], theta))


@dataclass(frozen=True)
class Metric:
    """G at one place by its eigenvectors, or by those of K = J J^T [R, R] where that is smaller."""

    values: Tensor  # eigenvalues [n], ascending
    vectors: Tensor  # [n, n]
    right: Tensor  # J^T rho [P], or rho [R]
    j: Tensor | None

    @classmethod
    def of(cls, loss: Loss, theta: Tensor, watch: Watch, form: Form = "auto") -> Metric | None:
        """At theta [P]; None where a derivative is not finite. Raises Stopped, and ValueError for a loss without rows.
        """
        then = "eigenvalues"  # which cannot be stopped
        j: Tensor | None = None
        if samples_fit_better(form, len(loss.scales()), len(theta)):
            right, j, each = rows_and_kernel(loss, theta, watch, 0.2, then)
            matrix = j.new_zeros(len(j), len(j))
            add_lower(matrix, j.T, each)
        else:
            matrix, right = loss.normal(theta, follow(watch, "Jacobian", 0.0, 0.2, then))
        if not bool(torch.isfinite(matrix.diagonal()).all() and torch.isfinite(right).all()):
            return None
        values, vectors = torch.linalg.eigh(matrix, UPLO="L")
        return cls(values, vectors, right, j)

    def direction(self, cutoff: float) -> tuple[Tensor, int]:
        """(-G^+ grad L / 2 [P], how many eigenvalues are above the cut-off)."""
        kept = self.values > cutoff * self.values[-1]
        inverse, vectors = 1 / self.values[kept], self.vectors[:, kept]
        dual = inverse * (vectors.T @ self.right)
        if self.j is None:
            return -(vectors @ dual), len(inverse)
        return -(self.j.T @ (vectors @ dual)), len(inverse)  # G^+ J^T = J^T K^+


@dataclass(frozen=True)
class Spring:
    """SPRING (Goldshlager, Abrahamsen & Lin, J. Comput. Phys. 2024): the natural gradient with momentum.

    phi = m phi' + J^T (J J^T + lambda I)^-1 (rho - J m phi'), the minimum of |J phi - rho|^2 + lambda |phi - m phi'|^2,
    where phi' is the last step's phi; theta - eta phi. In sample space, or in that of the parameters where that is
    smaller. In the place of a learning rate eta is searched from 1 downwards; where no eta decreases the loss, the
    momentum is dropped. damping: lambda, of the loss's own residuals, with their weights and 1/N.
    """

    damping: float = 1e-3
    momentum: float = 0.9

    needs: Literal["gradient", "rows"] = "rows"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.damping) and self.damping > 0):
            raise ValueError(f"the damping of SPRING is positive, {self.damping:g} is not")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"the momentum of SPRING is from 0 to below 1, {self.momentum:g} is not")

    def start(self, theta: Tensor) -> Memory:
        return {"phi": torch.zeros_like(theta)}

    def step(self, loss: Loss, theta: Tensor, memory: Memory, learning_rate: float, watch: Watch) -> Advance:
        asked(watch)
        losses, now = loss.value(theta)
        if not math.isfinite(now):
            return nowhere(theta, memory, losses)
        problem = damped(loss, theta, watch)
        if not math.isfinite(float(problem.gradient.norm())):
            return Advance(theta, memory, losses, done=NOT_FINITE)
        centre = -self.momentum * memory["phi"]
        note = ""
        for toward in ((centre, None) if bool(centre.any()) else (None,)):
            d, damping = None, self.damping
            while d is None and math.isfinite(damping):
                asked(watch)
                d = problem.solve(damping, toward, each=follow(watch, f"damping {damping:.1e}", SET_UP, SET_UP))
                damping = damping if d is not None else damping * 10  # rounding left no solution
            best = None if d is None else search(loss, theta, d, now, watch)
            if d is not None and best is not None:
                return Advance(best.theta, {"phi": -d}, losses, {
                    "damping": damping, "step size": best.length, "step length": best.length * float(d.norm()),
                    "trials": float(best.trials)}, note=note, done=_done(best.length * float(d.norm()), theta))
            note = "no step length along the momentum decreases the loss: the momentum was dropped"
        return Advance(theta, memory, losses, {"damping": damping}, done=_stuck(loss, theta, d))


def _stuck(loss: Loss, theta: Tensor, d: Tensor | None) -> str:
    """Why no length along d [P] is better."""
    if d is not None and not math.isfinite(loss.value(torch.add(theta, d, alpha=0.5**HALVINGS))[1]):
        return WALL
    return ROUNDED.format(HALVINGS)


def _done(length: float, theta: Tensor) -> str:
    return SHORT if length <= torch.finfo(theta.dtype).eps * float(theta.norm()) else ""


@dataclass(frozen=True)
class Found:
    """The best of the step lengths that were tried."""

    theta: Tensor
    value: float
    length: float
    trials: int


def search(loss: Loss, theta: Tensor, d: Tensor, now: float, watch: Watch) -> Found | None:
    """The best of the lengths 1, 1/2, 1/4, ... along d [P]; None where none decreases the loss from `now`.

    Ends early where `PATIENCE` lengths in a row are no better than one that decreases it: the shorter ones then only
    lead back to theta.
    """
    best: Found | None = None
    least, worse = now, 0
    for k in range(HALVINGS + 1):
        asked(watch)
        watch.tell(0.8 + 0.2 * k / HALVINGS, "step length")
        there = torch.add(theta, d, alpha=0.5**k)
        value = loss.value(there)[1]
        if value < least:
            best, least, worse = Found(there, value, 0.5**k, k + 1), value, 0
        elif best is not None:
            worse += 1
            if worse == PATIENCE:
                return replace(best, trials=k + 1)
    return None if best is None else replace(best, trials=HALVINGS + 1)
