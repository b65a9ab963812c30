"""Gauss-Newton by conjugate gradients: no matrix is formed, so it fits networks of any size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from core.diagnostics.stopping import nobody
from core.solvers.damped import asked, follow
from core.solvers.levenberg import descend, fresh
from core.solvers.loss import Each, Loss
from core.solvers.products import Products
from core.solvers.solver import Advance, Memory, Watch, nowhere


@dataclass(frozen=True)
class GaussNewtonCG:
    """Levenberg-Marquardt's step by preconditioned conjugate gradients (Hestenes & Stiefel 1952; Martens 2010).

    Solves (J^T J + mu I) d = -J^T rho with products only, preconditioned by the exact diagonal (Jacobi), until the last
    tenth of the iterations, and at least ten, lowered the linear model by less than `tolerance` of its whole decrease
    (Martens 2010, section 4.4, has 0.5 %), or after `iterations`. mu as in `LevenbergMarquardt`; the gain is measured
    against the linear model at the d that was reached. damping: the first mu by the largest diagonal element of J^T J.
    Memory of a few vectors [P] and a bounded number of points.
    """

    damping: float = 1e-2
    iterations: int = 200
    tolerance: float = 1e-2

    needs: Literal["gradient", "rows"] = "rows"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.damping) and self.damping > 0):
            raise ValueError(f"the damping of gauss-newton-cg is positive, {self.damping:g} is not")
        if self.iterations < 1:
            raise ValueError(f"conjugate gradients need at least one iteration, {self.iterations} is none")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"the tolerance of conjugate gradients is from 0 to below 1, {self.tolerance:g} is not")

    def start(self, theta: Tensor) -> Memory:
        return fresh()

    def step(self, loss: Loss, theta: Tensor, memory: Memory, learning_rate: float, watch: Watch) -> Advance:
        asked(watch)
        losses, now = loss.value(theta)
        if not math.isfinite(now):
            return nowhere(theta, memory, losses)
        diagonal = loss.diagonal(theta, follow(watch, "preconditioner", 0.0, 0.3))
        products = loss.products(theta)
        gradient = products.jt(products.values)
        problem = Iterative(products, diagonal, gradient, self.iterations, self.tolerance, watch)
        return descend(loss, theta, memory, watch, problem, losses, now, self.damping)


@dataclass(frozen=True)
class Iterative:
    """The damped least squares at one place by conjugate gradients."""

    products: Products
    diagonal: Tensor  # [P], of J^T J
    gradient: Tensor
    iterations: int
    tolerance: float
    watch: Watch

    @property
    def largest(self) -> float:
        return float(self.diagonal.max())

    @property
    def trace(self) -> float:
        return float(self.diagonal.sum())

    def solve(self, damping: float, *, each: Each = nobody) -> Tensor | None:
        def product(v: Tensor) -> Tensor:
            return torch.add(self.products.jtj(v), v, alpha=damping)

        each = follow(self.watch, "conjugate gradients", 0.3, 1.0)  # which are nearly all of the step
        d = conjugate_gradients(product, -self.gradient, self.diagonal + damping, self.iterations, self.tolerance, each)
        return d if bool(torch.isfinite(d).all()) else None

    def foreseen(self, d: Tensor, damping: float) -> float:
        """What the linear model loses at d, which need not be its minimum: -2 g^T d - |J d|^2."""
        return -2 * float(self.gradient.dot(d)) - float(self.products.j(d).square().sum())


def conjugate_gradients(product: Callable[[Tensor], Tensor], right: Tensor, diagonal: Tensor, iterations: int,
                        tolerance: float, each: Callable[[float], None] = lambda share: None) -> Tensor:
    """x [n] with A x = right, A symmetric and positive definite, preconditioned by a diagonal [n].

    Ends where the last tenth of the iterations, and at least ten, made less than `tolerance` of the whole decrease of
    x^T A x / 2 - b^T x, or where rounding makes A no longer positive.
    """
    x, r = torch.zeros_like(right), right.clone()
    z = r / diagonal
    p, old = z.clone(), float(r.dot(z))
    model = [0.0]
    for k in range(iterations):
        each(k / iterations)
        past = max(10, k // 10)
        if old == 0 or (k >= past and model[-1] - model[-1 - past] >= tolerance * model[-1]):
            break
        q = product(p)
        curvature = float(p.dot(q))
        if not curvature > 0:
            break
        share = old / curvature
        x.add_(p, alpha=share)
        r.sub_(q, alpha=share)
        torch.div(r, diagonal, out=z)
        new = float(r.dot(z))
        p.mul_(new / old).add_(z)
        old = new
        model.append(-float(x.dot(right + r)) / 2)
    return x
