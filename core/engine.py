"""One training step as a pure function of tensors, run eagerly or compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from core.objective import Objective
from core.optimizers import Adam

StepResult = tuple[Tensor, Tensor, Tensor, Tensor]


class Engine(Protocol):
    """Something that makes steps. Both engines compute the same function; they agree to rounding."""

    @property
    def name(self) -> str:
        """'eager' or 'compiled'."""
        ...

    def step(self, theta: Tensor, m: Tensor, v: Tensor, weights: Tensor, hyper: Tensor, draws: Tensor) -> StepResult:
        """(theta, m, v, raw losses [T]) after one step; the losses are those before the update."""
        ...

    def term_gradients(self, theta: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """(raw losses [T], gradients [T, P] of the raw losses), from one forward pass over the points."""
        ...


@dataclass(frozen=True)
class EagerEngine:
    """The step as torch runs it, operation by operation."""

    objective: Objective
    optimizer: Adam
    name: str = "eager"

    def step(self, theta: Tensor, m: Tensor, v: Tensor, weights: Tensor, hyper: Tensor, draws: Tensor) -> StepResult:
        with torch.enable_grad():
            leaf = theta.detach().requires_grad_()
            losses = torch.stack(self.objective.losses(leaf, draws))
            gradient = _gradient(torch.dot(losses, weights), leaf)
        return *self.optimizer.update(theta, m, v, gradient, hyper), losses.detach()

    def term_gradients(self, theta: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = theta.detach().requires_grad_()
            losses = self.objective.losses_apart(leaf, draws)
            rows = [_gradient(loss, leaf, retain_graph=True) for loss in losses]
        return torch.stack(losses).detach(), torch.stack(rows)

    def examples(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Arguments of the right shapes for `step` and `term_gradients`, to trace them with."""
        o = self.objective
        size = sum(p.size for p in o.network.parameters)
        theta = torch.zeros(size, dtype=o.dtype)
        draws = torch.full((o.points, o.dimension), 0.5, dtype=o.dtype)
        weights = torch.ones(len(o.problem.terms), dtype=o.dtype)
        hyper = torch.ones(2, dtype=o.dtype)
        return (theta, theta.clone(), theta.clone(), weights, hyper, draws), (theta.clone(), draws.clone())


def _gradient(loss: Tensor, leaf: Tensor, *, retain_graph: bool = False) -> Tensor:
    """d loss / d leaf; zero where the loss does not depend on it, such as that of heaviside(u) = 1."""
    if not loss.requires_grad:
        return torch.zeros_like(leaf)
    return torch.autograd.grad(loss, leaf, retain_graph=retain_graph)[0]
