"""The weighted loss of one step as a function of the parameters alone: points and weights are held."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from core.diagnostics.stopping import nobody
from core.objective import Objective
from core.solvers.jacobian import pieces, why_not
from core.solvers.products import Products, products, with_row

#: Told the share of a part of a step that is done, from 0 to 1; raises Stopped where the step is to be abandoned.
Each = Callable[[float], None]


class Gradient(Protocol):
    """What an engine computes for a solver."""

    def gradient(self, theta: Tensor, draws: Tensor, weights: Tensor, lam: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(raw losses [T], gradient [P] of the weighted total, the points' multipliers after it)."""
        ...


@dataclass(frozen=True)
class Loss:
    """L(theta) = sum of weights times raw losses = |rho(theta)|^2.

    rho [R] are the residuals, each times the root of its weight and of its 1/N. Slope recovery S(a) > 0 is one more,
    the last, rho = sqrt(w S(a)): left to the gradient alone, it would be outside of what J^T J measures, and a method
    that divides by J^T J would take it for nothing or for far too much. draws [N, c], weights [T], lam as the engine
    has it. Gradients are those of L, 2 J^T rho. Raises ValueError with a sentence where rows are asked of a loss that
    has none.
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
        """What the residuals at points are multiplied by: the root of the term's weight times its 1/N."""
        reason = why_not(self.objective)
        if reason:
            raise ValueError(f"Gauss-Newton methods need a loss that is a sum of squares at single points: {reason}")
        terms, scales, _, _ = self.objective.row_table()
        return (scales * self.weights.index_select(0, terms)).sqrt()

    def rows(self, theta: Tensor) -> Tensor:
        """rho [R]."""
        with torch.no_grad():
            at_points = self.scales() * self.objective.rows(theta, self.draws)
        last = self.recovery(theta)
        return at_points if last is None else torch.cat([at_points, last[0].reshape(1)])

    def jacobian(self, theta: Tensor, each: Each = nobody) -> tuple[Tensor, Tensor]:
        """(rho [R], its Jacobian [R, P]). each: told the share of the rows that are done."""
        scales = self.scales()
        last = self.recovery(theta)
        rows, done = len(scales) + (last is not None), 0
        values, j = theta.new_zeros(rows), theta.new_zeros(rows, len(theta))
        for piece in pieces(self.objective, theta, self.draws):
            own = scales[piece.numbers]
            values[piece.numbers], j[piece.numbers] = own * piece.values, piece.j.mul_(own.unsqueeze(1))
            done += len(own)
            each(done / len(scales))
        if last is not None:
            values[-1], j[-1] = last
        return values, j

    def normal(self, theta: Tensor, each: Each = nobody) -> tuple[Tensor, Tensor]:
        """(J^T J [P, P], J^T rho [P]) of rho's Jacobian, which is never held as a whole.

        Only the lower triangle of J^T J is filled. each: told the share of the rows that are done.
        """
        scales, size = self.scales(), len(theta)
        matrix, vector, done = theta.new_zeros(size, size), theta.new_zeros(size), 0
        for piece in pieces(self.objective, theta, self.draws):
            own = scales[piece.numbers]
            j = piece.j.mul_(own.unsqueeze(1))
            add_lower(matrix, j, within(each, done / len(scales), (done + len(own)) / len(scales)))
            vector.addmv_(j.T, own * piece.values)
            done += len(own)
            each(done / len(scales))
        last = self.recovery(theta)
        if last is not None:
            add_lower(matrix, last[1].unsqueeze(0))
            vector += last[0] * last[1]
        return matrix, vector

    def diagonal(self, theta: Tensor, each: Each = nobody) -> Tensor:
        """The diagonal [P] of J^T J, from pieces of J."""
        scales, out, done = self.scales(), torch.zeros_like(theta), 0
        for piece in pieces(self.objective, theta, self.draws):
            own = scales[piece.numbers]
            out.addmv_(piece.j.square_().T, own.square())
            done += len(own)
            each(done / len(scales))
        last = self.recovery(theta)
        return out if last is None else out + last[1].square()

    def products(self, theta: Tensor, limit: int = 0) -> Products:
        """J by products only, at most `limit` points at a time; by default as many as take 512 MB."""
        at_points, last = products(self.objective, theta, self.draws, self.scales(), limit), self.recovery(theta)
        return at_points if last is None else with_row(at_points, *last)

    def recovery(self, theta: Tensor) -> tuple[Tensor, Tensor] | None:
        """(rho, its gradient [P]) of slope recovery; None without."""
        leaf = theta.detach().requires_grad_()
        with torch.enable_grad():
            found = self.objective.recovery(leaf)
            if found is None:
                return None
            place, value = found
            rho = (self.weights[place] * value).sqrt()  # a weight of 0 leaves a row of zeros
            slope = self.weights[place].sqrt() / (2 * value.sqrt()) * torch.autograd.grad(value, leaf)[0]
        return rho.detach(), slope.detach()


#: Columns of the smallest block in `add_lower`: wide enough for fast products, narrow enough to spare what is above
#: the diagonal.
BLOCK = 256
#: Multiplications of one product in `add_lower`: about half a second of two cores. Nobody is asked within a product.
PART = 3_000_000_000


def add_lower(matrix: Tensor, j: Tensor, each: Each = nobody, *, scale: float = 1.0) -> None:
    """Add scale J^T J to the lower triangle of a matrix [P, P], in place; above the diagonal only within the blocks on
    it. each: told after every product.

    Halves again and again: what is below the diagonal is then a few large products, the fastest there are.
    """
    products = list(_products(slice(0, matrix.shape[0]), j.shape[0]))
    done, whole = 0, sum(_area(rows, columns) for rows, columns in products)
    for rows, columns in products:
        matrix[rows, columns].addmm_(j[:, rows].T, j[:, columns], alpha=scale)
        done += _area(rows, columns)
        each(done / whole)


def within(each: Each, begin: float, end: float) -> Each:
    """Told the share of a part, from one share of the whole to another, `each` hears that of the whole."""
    return lambda share: each(begin + (end - begin) * share)


def _products(place: slice, inner: int) -> Iterator[tuple[slice, slice]]:
    """(rows, columns) of the products that fill a lower triangle; inner: length of their sums."""
    if place.stop - place.start <= BLOCK:
        yield place, place
        return
    first, second = _halves(place)
    yield from _products(first, inner)
    yield from _products(second, inner)
    yield from _divided(second, first, inner)


def _divided(rows: slice, columns: slice, inner: int) -> Iterator[tuple[slice, slice]]:
    """A block in parts of at most `PART` multiplications, near to squares, which are read least often."""
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if height * width * inner <= PART or max(height, width) <= BLOCK:
        yield rows, columns
    elif height >= width:
        for half in _halves(rows):
            yield from _divided(half, columns, inner)
    else:
        for half in _halves(columns):
            yield from _divided(rows, half, inner)


def _halves(place: slice) -> tuple[slice, slice]:
    middle = place.start + (place.stop - place.start) // 2
    return slice(place.start, middle), slice(middle, place.stop)


def _area(rows: slice, columns: slice) -> int:
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.inf
