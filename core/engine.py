"""One training step as a pure function of tensors, run eagerly or compiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from core.objective import MANY, Objective
from core.optimizers import Optimizer
from core.passes import Block, Pass
from core.pointwise import PointWeights, causal_weights, grouped

#: (theta, m, v, raw losses [T], the points' multipliers)
StepResult = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


class Engine(Protocol):
    """Something that makes steps. Both engines compute the same function; they agree to rounding."""

    @property
    def name(self) -> str:
        """'eager' or 'compiled'."""
        ...

    def step(self, theta: Tensor, m: Tensor, v: Tensor, weights: Tensor, hyper: Tensor, draws: Tensor,
             lam: Tensor) -> StepResult:
        """(theta, m, v, raw losses [T], lam) after one step; the losses are those before the update.

        lam: the multipliers of the points as `PointWeights` has them. Of causal weights: [epsilon], and what comes
        back is [epsilon, smallest weight].
        """
        ...

    def gradient(self, theta: Tensor, draws: Tensor, weights: Tensor, lam: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(raw losses [T], gradient [P] of the weighted total, lam after it): what solvers work with."""
        ...

    def term_gradients(self, theta: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """(raw losses [T], gradients [T, P] of the raw losses), from one forward pass over the points."""
        ...


class EagerEngine:
    """The step as torch runs it, operation by operation.

    chunk: the largest number of points that are evaluated at a time, so that memory stays bounded; losses and gradient
    are the sums over all portions. 0: all at once, but where there are more than `MANY` as many as suit the device.
    Averages over points, and points with weights of their own, stay whole. Raises ValueError where a chunk is asked of
    points with weights.
    """

    name = "eager"

    def __init__(self, objective: Objective, optimizer: Optimizer, points: PointWeights | None = None,
                 chunk: int = 0) -> None:
        self.objective, self.optimizer = objective, optimizer
        self.points = points or PointWeights()
        self._pointwise = _Pointwise(objective, self.points) if self.points.kind != "equal" else None
        if chunk and self._pointwise is not None:
            raise ValueError(f"points with weights of their own ({self.points.kind}) are evaluated all together; a "
                             f"chunk of {chunk} points cannot be, so let the chunk be 0")
        self.limit = chunk or MANY
        #: the points that are evaluated one after the other; none where it is all at once
        self.portions: list[tuple[Pass, ...]] = []
        if objective.points > self.limit and self._pointwise is None:
            self.portions = objective.portions(chunk)

    def step(self, theta: Tensor, m: Tensor, v: Tensor, weights: Tensor, hyper: Tensor, draws: Tensor,
             lam: Tensor) -> StepResult:
        losses, gradient, lam = self.gradient(theta, draws, weights, lam)
        return *self.optimizer.update(theta, m, v, gradient, hyper), losses, lam

    def gradient(self, theta: Tensor, draws: Tensor, weights: Tensor, lam: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.portions:
            losses, rows = self._in_portions(theta, draws, weights)
            return losses, rows[0], lam.clone()
        with torch.enable_grad():
            leaf = theta.detach().requires_grad_()
            if self._pointwise is None:
                losses = torch.stack(self.objective.losses(leaf, draws))
                total = torch.dot(losses, weights)
                lam = lam.clone()  # a compiled step may not return its arguments
            else:
                losses, total, lam = self._pointwise.losses(leaf, draws, weights, lam)
            gradient = _gradient(total, leaf)
        return losses.detach(), gradient, lam

    def term_gradients(self, theta: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        if self.portions:
            return self._in_portions(theta, draws)
        with torch.enable_grad():
            leaf = theta.detach().requires_grad_()
            losses = self.objective.losses_apart(leaf, draws)
            rows = [_gradient(loss, leaf, retain_graph=True) for loss in losses]
        return torch.stack(losses).detach(), torch.stack(rows)

    def _in_portions(self, theta: Tensor, draws: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(raw losses [T], gradients) as `part` has them, one portion's graph at a time."""
        o = self.objective
        x = o.places.physical(draws)
        losses = theta.new_zeros(len(o.terms))
        rows = theta.new_zeros(len(o.terms) if weights is None else 1, len(theta))
        for portion in (*self.portions, None):
            part, more = self.part(theta, x, portion or (), weights, last=portion is None)
            losses, rows = losses + part, rows + more
        return losses, rows

    def part(self, theta: Tensor, x: Tensor, passes: Sequence[Pass], weights: Tensor | None = None, *,
             last: bool = False) -> tuple[Tensor, Tensor]:
        """What some passes add to (raw losses [T], gradients): that of the weighted total [1, P], or where no weights
        are given those of all raw losses [T, P].

        x [N, d]: the points that the passes' rows count from. last: with what does not come from points.
        """
        with torch.enable_grad():
            leaf = theta.detach().requires_grad_()
            losses = self.objective.losses_at(leaf, x, passes)
            extra = self.objective.recovery(leaf) if last else None
            if extra is not None:
                losses[extra[0]] = extra[1]
            stacked = torch.stack(losses)
            wanted = losses if weights is None else [torch.dot(stacked, weights)]
            rows = [_gradient(loss, leaf, retain_graph=k < len(wanted) - 1) for k, loss in enumerate(wanted)]
        return stacked.detach(), torch.stack(rows)

    def examples(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Arguments of the right shapes for `step`, `gradient` and `term_gradients`, to trace them with."""
        o = self.objective
        theta = torch.zeros(o.size, dtype=o.dtype, device=o.device)
        draws = theta.new_full((o.points, o.columns), 0.5)
        weights, hyper = theta.new_ones(len(o.terms)), theta.new_ones(3)
        step = (theta, theta.clone(), theta.clone(), weights, hyper, draws, self.multipliers())
        gradient = (theta.clone(), draws.clone(), weights.clone(), self.multipliers())
        return step, gradient, (theta.clone(), draws.clone())

    def multipliers(self) -> Tensor:
        """The points' multipliers at the start; one that nothing reads where points are equal."""
        if self._pointwise is None:
            return torch.zeros(1, dtype=self.objective.dtype, device=self.objective.device)
        return self.points.start(len(self._pointwise.terms), self.objective.dtype, self.objective.device)


@dataclass
class _Pointwise:
    """The loss with a weight for every point: rows of residuals, of which each has its own factor."""

    objective: Objective
    points: PointWeights

    def __post_init__(self) -> None:
        o = self.objective
        self.terms, self.scales, self.square, self.rows = o.row_table()
        self.all_square = all(all(block.square) for block in o.blocks)
        self.inside = _inside(o.blocks).to(o.device)
        if self.points.kind == "causal":
            if "t" not in o.problem.inputs or o.places.ball:
                raise ValueError("causal weights need an input named t, with a beginning and an end: one of a box")
            self.time = o.problem.inputs.index("t")

    def losses(self, theta: Tensor, draws: Tensor, weights: Tensor, lam: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(raw losses [T], weighted total, new multipliers)."""
        o = self.objective
        residuals = o.rows(theta, draws)
        values = torch.where(self.square, residuals * residuals, residuals)
        losses = grouped(values.detach() * self.scales, self.terms, len(o.terms))
        share = self.scales * weights.index_select(0, self.terms)
        if self.points.kind == "causal":
            inside = self.inside  # conditions hold at all times, so they neither wait nor hold others back
            time = draws[:, self.time].index_select(0, self.rows.index_select(0, inside))
            own = causal_weights(values.index_select(0, inside), time, self.points.chunks, lam[0])
            factor = torch.ones_like(values).index_copy(0, inside, own)
            lam = torch.stack((lam[0], factor.amin()))
        else:
            new = self.points.update(lam, residuals, self.terms, len(o.terms), share)
            # attention is updated before each loss, self-adaptive weights climb while the network descends
            factor = self.points.factor(new if self.points.kind == "residual-attention" else lam)
            if not self.all_square:  # an energy's points are a quadrature; other weights make another integral of it
                factor = torch.where(self.square, factor, torch.ones_like(factor))
            lam = new
        total = (values * share * factor).sum()
        extra = o.recovery(theta)
        if extra is not None:
            place, value = extra
            # no index, which would be copied to the device
            losses = torch.cat((losses[:place], value.detach().reshape(1), losses[place + 1:]))
            total = total + weights[place] * value
        return losses, total, lam


def _inside(blocks: Sequence[Block]) -> Tensor:
    """The numbers of the rows that are squares of equations inside the domain."""
    numbers, row = [], 0
    for block in blocks:
        count = block.stop - block.start
        for square in block.square:
            if block.interior and square:
                numbers.append(torch.arange(row, row + count))
            row += count
    return torch.cat(numbers) if numbers else torch.zeros(0, dtype=torch.long)


def _gradient(loss: Tensor, leaf: Tensor, *, retain_graph: bool = False) -> Tensor:
    """d loss / d leaf; zero where the loss does not depend on it, such as that of heaviside(u) = 1."""
    if not loss.requires_grad:
        return torch.zeros_like(leaf)
    return torch.autograd.grad(loss, leaf, retain_graph=retain_graph)[0]
