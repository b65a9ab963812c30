"""Losses once more, literally: plain torch from the definitions, derivatives by nested reverse-mode autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from core.objective import Objective
from tests.core.plain import Plain, named

FieldsAt = Callable[[Tensor], Tensor]  # points [N, d] in physical units -> fields [N, F]


class At:
    """Fields at points x [N, d], and their derivatives, with the graph kept: at('u'), at('u', 'xy'), at['x']."""

    def __init__(self, fields: FieldsAt, x: Tensor, inputs: Sequence[str] = ("x", "y"),
                 names: Sequence[str] = ("u",)) -> None:
        self.inputs, self.names = list(inputs), list(names)
        self.x = x.detach().clone().requires_grad_()
        self.values = fields(self.x)
        self._found: dict[tuple[str, str], Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        return self.x[:, self.inputs.index(name)]

    def __call__(self, name: str, by: str = "") -> Tensor:
        if (name, by) not in self._found:
            self._found[name, by] = self._derivative(name, by) if by else self.values[:, self.names.index(name)]
        return self._found[name, by]

    def _derivative(self, name: str, by: str) -> Tensor:
        below = self(name, by[:-1])
        if not below.requires_grad:
            return torch.zeros_like(below)
        gradient = torch.autograd.grad(below.sum(), self.x, create_graph=True, allow_unused=True)[0]
        return torch.zeros_like(below) if gradient is None else gradient[:, self.inputs.index(by[-1])]


def network_of(objective: Objective, theta: Tensor, number: int = 0, normalize: str = "z-score") -> FieldsAt:
    """The raw output of a sub-domain's network, normalized over its own box."""
    region = objective.regions[number]
    low, high = (torch.tensor(side, dtype=torch.float64) for side in (region.box.low, region.box.high))
    scale = {"z-score": 12**0.5 / (high - low), "unit": 2 / (high - low), "none": torch.ones_like(low)}[normalize]
    center = torch.zeros_like(low) if normalize == "none" else (low + high) / 2
    periods = {objective.problem.inputs.index(name): float(b - a)
               for name, (a, b) in objective.problem.domain.items() if name in objective.problem.periodic}
    plain = Plain(region.network.architecture, named(region.network, theta[region.theta]), scale,  # type: ignore[attr-defined]
                  periods)
    return lambda x: plain(x - center)


def agree(mine: Tensor | Sequence[Tensor], truth: Tensor | Sequence[Tensor], tolerance: float = 1e-10) -> None:
    """Agreement relative to the largest value."""
    a, b = (t.detach() if isinstance(t, Tensor) else torch.stack(list(t)).detach() for t in (mine, truth))
    assert a.shape == b.shape and torch.isfinite(b).all()
    assert (a - b).abs().max() <= tolerance * max(1e-3, float(b.abs().max())), f"{a} is not {b}"
