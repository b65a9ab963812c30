"""The residuals' Jacobian as products with vectors: for networks whose J^T J would not fit into the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.layers import layers_of
from core.objective import Objective
from core.passes import Pass
from core.solvers.jacobian import rows_in

#: Bytes that the passes of the points that are held together may take.
HELD = 512_000_000
#: Numbers that a pass and what is differentiated of it keep for each neuron, channel and point. Measured: 13 for second
#: derivatives, 15 in a gated network, 21 for third ones, 35 for fourth ones.
KEPT = 36


@dataclass(frozen=True)
class Products:
    """J at one place, as products only. values [R] are the weighted residuals."""

    values: Tensor
    j: Callable[[Tensor], Tensor]  # [P] -> J v [R]
    jt: Callable[[Tensor], Tensor]  # [R] -> J^T u [P]
    jtj: Callable[[Tensor], Tensor]  # [P] -> J^T J v [P], in one go over the points


def at_once(objective: Objective) -> int:
    """Points whose passes take HELD bytes."""
    neurons = sum(layer.neurons for layer in layers_of(objective.networks[0])) or 1
    channels = max(1 + len(p.carried.first) + len(p.carried.operators) + len(p.carried.higher)
                   for p in objective.passes)
    size = torch.finfo(objective.dtype).bits // 8
    return max(256, HELD // (KEPT * neurons * channels * size))


def products(objective: Objective, theta: Tensor, draws: Tensor, scales: Tensor, limit: int = 0) -> Products:
    """The products at theta [P]; scales [R] times the residuals. Memory of `limit` points, by default of HELD bytes.

    The pass is held for all products where all points fit at once, and made anew for each product where not.
    """
    x = objective.places.physical(draws)
    portions = objective.portions(limit or at_once(objective))
    held = [_Part(objective, theta, x, portions[0], scales)] if len(portions) == 1 else []

    def each() -> Iterator[_Part]:
        yield from held or (_Part(objective, theta, x, portion, scales) for portion in portions)

    def j(v: Tensor) -> Tensor:
        out = torch.zeros_like(scales)
        for part in each():
            out[part.numbers] = part.j(v)
        return out

    def jt(u: Tensor) -> Tensor:
        out = torch.zeros_like(theta)
        for part in each():
            out += part.jt(u[part.numbers])
        return out

    def jtj(v: Tensor) -> Tensor:
        out = torch.zeros_like(theta)
        for part in each():
            out += part.jt(part.j(v))
        return out

    values = torch.zeros_like(scales)
    for part in each():
        values[part.numbers] = part.values
    return Products(values, j, jt, jtj)


def with_row(products: Products, value: Tensor, slope: Tensor) -> Products:
    """One more residual, the last, with its gradient [P]."""
    return Products(
        torch.cat([products.values, value.reshape(1)]),
        lambda v: torch.cat([products.j(v), slope.dot(v).reshape(1)]),
        lambda u: products.jt(u[:-1]) + u[-1] * slope,
        lambda v: products.jtj(v) + slope.dot(v) * slope)


class _Part:
    """J of some of the points. J^T seed is linear in the seed, so its derivative by the seed is J."""

    def __init__(self, objective: Objective, theta: Tensor, x: Tensor, portion: Sequence[Pass],
                 scales: Tensor) -> None:
        with torch.enable_grad():
            self._leaf = theta.detach().requires_grad_()
            self.numbers, rows = rows_in(objective, self._leaf, x, portion)
            self._rows = scales[self.numbers] * rows
            self._seed = torch.zeros_like(self._rows).requires_grad_()
            self._depends = self._rows.requires_grad
            self._pulled: Tensor | None = None
        self.values = self._rows.detach()

    def j(self, v: Tensor) -> Tensor:
        if not self._depends:
            return torch.zeros_like(self.values)
        if self._pulled is None:
            with torch.enable_grad():
                self._pulled = torch.autograd.grad(self._rows, self._leaf, self._seed, create_graph=True)[0]
        return torch.autograd.grad(self._pulled, self._seed, v, retain_graph=True)[0]

    def jt(self, u: Tensor) -> Tensor:
        if not self._depends:
            return torch.zeros_like(self._leaf)
        return torch.autograd.grad(self._rows, self._leaf, u, retain_graph=True)[0]
