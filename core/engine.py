"""One training step as a pure function of tensors, run eagerly or compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from core.objective import Objective
from core.optimizers import Optimizer
from core.pointwise import PointWeights, causal_weights

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

    def term_gradients(self, theta: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """(raw losses [T], gradients [T, P] of the raw losses), from one forward pass over the points."""
        ...


class EagerEngine:
    """The step as torch runs it, operation by operation."""

    name = "eager"

    def __init__(self, objective: Objective, optimizer: Optimizer, points: PointWeights | None = None) -> None:
        self.objective, self.optimizer = objective, optimizer
        self.points = points or PointWeights()
        self._pointwise = _Pointwise(objective, self.points) if self.points.kind != "equal" else None

    def step(self, theta: Tensor, m: Tensor, v: Tensor, weights: Tensor, hyper: Tensor, draws: Tensor,
             lam: Tensor) -> StepResult:
        with torch.enable_grad():
            leaf = theta.detach().requires_grad_()
            if self._pointwise is None:
                losses = torch.stack(self.objective.losses(leaf, draws))
                total = torch.dot(losses, weights)
                lam = lam.clone()  # a compiled step may not return its arguments
            else:
                losses, total, lam = self._pointwise.losses(leaf, draws, weights, lam)
            gradient = _gradient(total, leaf)
        return *self.optimizer.update(theta, m, v, gradient, hyper), losses.detach(), lam

    def term_gradients(self, theta: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = theta.detach().requires_grad_()
            losses = self.objective.losses_apart(leaf, draws)
            rows = [_gradient(loss, leaf, retain_graph=True) for loss in losses]
        return torch.stack(losses).detach(), torch.stack(rows)

    def examples(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Arguments of the right shapes for `step` and `term_gradients`, to trace them with."""
        o = self.objective
        theta = torch.zeros(o.size, dtype=o.dtype)
        draws = torch.full((o.points, o.columns), 0.5, dtype=o.dtype)
        weights = torch.ones(len(o.terms), dtype=o.dtype)
        hyper = torch.ones(2, dtype=o.dtype)
        step = (theta, theta.clone(), theta.clone(), weights, hyper, draws, self.multipliers())
        return step, (theta.clone(), draws.clone())

    def multipliers(self) -> Tensor:
        """The points' multipliers at the start; one that nothing reads where points are equal."""
        if self._pointwise is None:
            return torch.zeros(1, dtype=self.objective.dtype)
        return self.points.start(len(self._pointwise.terms), self.objective.dtype)


@dataclass
class _Pointwise:
    """The loss with a weight for every point: rows of residuals, of which each has its own factor."""

    objective: Objective
    points: PointWeights

    def __post_init__(self) -> None:
        o = self.objective
        self.terms, self.scales, self.square, self.rows = o.row_table()
        interior = torch.zeros(o.points, dtype=torch.bool)
        for block in o.blocks:
            interior[block.start: block.stop] = block.interior
        self.inside = (interior[self.rows] & self.square).nonzero().squeeze(1)
        self.all_square = bool(self.square.all())
        if self.points.kind == "causal":
            if "t" not in o.problem.inputs or o.places.ball:
                raise ValueError("causal weights need an input named t, with a beginning and an end: one of a box")
            self.time = o.problem.inputs.index("t")

    def losses(self, theta: Tensor, draws: Tensor, weights: Tensor, lam: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(raw losses [T], weighted total, new multipliers)."""
        o = self.objective
        residuals = o.rows(theta, draws)
        values = torch.where(self.square, residuals * residuals, residuals)
        sums = torch.zeros(len(o.terms), dtype=o.dtype)
        losses = sums.index_add(0, self.terms, values.detach() * self.scales)
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
            losses = losses.index_add(0, torch.tensor([place]), value.detach().reshape(1))
            total = total + weights[place] * value
        return losses, total, lam


def _gradient(loss: Tensor, leaf: Tensor, *, retain_graph: bool = False) -> Tensor:
    """d loss / d leaf; zero where the loss does not depend on it, such as that of heaviside(u) = 1."""
    if not loss.requires_grad:
        return torch.zeros_like(leaf)
    return torch.autograd.grad(loss, leaf, retain_graph=retain_graph)[0]
