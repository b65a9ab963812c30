"""The weighted loss of one step as a function of the parameters alone: points and weights are held."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from core.objective import Objective
from core.solvers.jacobian import pieces, why_not
from core.solvers.products import Products, products


class Gradient(Protocol):
    """What an engine computes for a solver."""

    def gradient(self, theta: Tensor, draws: Tensor, weights: Tensor, lam: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(raw losses [T], gradient [P] of the weighted total, the points' multipliers after it)."""
        ...


@dataclass(frozen=True)
class Loss:
    """L(theta) = sum of weights times raw losses = |rho(theta)|^2 + extra(theta).

    rho [R] are the residuals, each times the root of its weight and of its 1/N; extra is slope recovery, which is no
    sum of squares. draws [N, c], weights [T], lam as the engine has it. Gradients are those of L: 2 J^T rho + that of
    extra. Raises ValueError with a sentence where rows are asked of a loss that has none.
    """

    objective: Objective
    engine: Gradient
    draws: Tensor
    weights: Tensor
    lam: Tensor

    # ------------------------------------------------------------------ values and gradients

    def value(self, theta: Tensor) -> tuple[Tensor, float]:
        """(raw losses [T], L), without a gradient; infinity where L is not finite."""
        with torch.no_grad():
            losses = torch.stack(self.objective.losses(theta, self.draws))
        return losses, _finite(float(torch.dot(losses, self.weights)))

    def gradient(self, theta: Tensor) -> tuple[Tensor, float, Tensor]:
        """(raw losses [T], L, its gradient [P])."""
        losses, gradient, _ = self.engine.gradient(theta, self.draws, self.weights, self.lam)
        return losses, _finite(float(torch.dot(losses, self.weights))), gradient

    # ------------------------------------------------------------------ rows

    def scales(self) -> Tensor:
        """What a residual is multiplied by [R]: the root of its term's weight times its 1/N."""
        reason = why_not(self.objective)
        if reason:
            raise ValueError(f"Gauss-Newton methods need a loss that is a sum of squares at single points: {reason}")
        terms, scales, _, _ = self.objective.row_table()
        return (scales * self.weights.index_select(0, terms)).sqrt()

    def rows(self, theta: Tensor) -> Tensor:
        """rho [R]."""
        with torch.no_grad():
            return self.scales() * self.objective.rows(theta, self.draws)

    def jacobian(self, theta: Tensor, each: Callable[[float], None] = lambda share: None) -> tuple[Tensor, Tensor]:
        """(rho [R], its Jacobian [R, P]). each: told the share of the rows that are done."""
        scales = self.scales()
        values, j, done = theta.new_zeros(len(scales)), theta.new_zeros(len(scales), len(theta)), 0
        for piece in pieces(self.objective, theta, self.draws):
            values[piece.numbers], j[piece.numbers] = piece.values, piece.j
            done += len(piece.numbers)
            each(done / len(scales))
        return scales * values, j.mul_(scales.unsqueeze(1))

    def normal(self, theta: Tensor, each: Callable[[float], None] = lambda share: None) -> tuple[Tensor, Tensor]:
        """(J^T J [P, P], J^T rho [P]) of rho's Jacobian, which is never held as a whole.

        Only the lower triangle of J^T J is filled. each: told the share of the rows that are done.
        """
        scales, size = self.scales(), len(theta)
        matrix, vector, done = theta.new_zeros(size, size), theta.new_zeros(size), 0
        for piece in pieces(self.objective, theta, self.draws):
            own = scales[piece.numbers]
            j = piece.j.mul_(own.unsqueeze(1))
            add_lower(matrix, j)
            vector.addmv_(j.T, own * piece.values)
            done += len(own)
            each(done / len(scales))
        return matrix, vector

    def diagonal(self, theta: Tensor, each: Callable[[float], None] = lambda share: None) -> Tensor:
        """The diagonal [P] of J^T J, from pieces of J."""
        scales, out, done = self.scales(), torch.zeros_like(theta), 0
        for piece in pieces(self.objective, theta, self.draws):
            own = scales[piece.numbers]
            out.addmv_(piece.j.square_().T, own.square())
            done += len(own)
            each(done / len(scales))
        return out

    def products(self, theta: Tensor, limit: int = 0) -> Products:
        """J by products only, at most `limit` points at a time; by default as many as take 512 MB."""
        return products(self.objective, theta, self.draws, self.scales(), limit)

    def extra(self, theta: Tensor) -> Tensor:
        """The gradient [P] of what is no sum of squares: slope recovery with its weight; zero without."""
        leaf = theta.detach().requires_grad_()
        with torch.enable_grad():
            found = self.objective.recovery(leaf)
            if found is None:
                return torch.zeros_like(theta)
            place, value = found
            return self.weights[place] * torch.autograd.grad(value, leaf)[0]


#: Columns of the smallest block in `add_lower`: wide enough for fast products, narrow enough to spare what is above
#: the diagonal.
BLOCK = 256


def add_lower(matrix: Tensor, j: Tensor) -> None:
    """Add J^T J to the lower triangle of a matrix [P, P], in place; above the diagonal only within the blocks on it.

    Halves again and again: what is below the diagonal is then a few large products, the fastest there are.
    """
    size = matrix.shape[0]
    if size <= BLOCK:
        matrix.addmm_(j.T, j)
        return
    half = size // 2
    add_lower(matrix[:half, :half], j[:, :half])
    add_lower(matrix[half:, half:], j[:, half:])
    matrix[half:, :half].addmm_(j[:, half:].T, j[:, :half])


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.inf
