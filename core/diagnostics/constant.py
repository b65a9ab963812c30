"""The best constant network: the least loss of fields that a network of constants can have (Jagtap et al. 2020, (A0)).

Where all slopes become zero a network is a constant; a loss below that of every constant cannot end there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from core.initial import constant
from core.jets import DerivativeSet, Jet
from core.objective import Objective
from core.parameters import Parameter
from core.trainer import Trainer

STARTS = (0.0, 1.0, -1.0, 10.0, -10.0)  # of the fields, where the loss is no parabola
ITERATIONS = 60
FARTHEST = 1e8  # a descent that goes beyond has no minimum to find

Loss = Callable[[Tensor], Tensor]


class ConstantNetwork:
    """A network whose outputs are its parameters, whatever the inputs; every derivative is zero."""

    kernels: tuple[Parameter, ...] = ()
    has_recovery = False

    def __init__(self, fields: int) -> None:
        self.parameters: tuple[Parameter, ...] = (Parameter("constants", (fields,), 0, constant((fields,), 0.0)),)

    def forward(self, theta: Tensor, x: Tensor, scale: Tensor, n: int, derivatives: DerivativeSet,
                outputs: DerivativeSet) -> Jet:
        zero = x.new_zeros(n, len(theta))
        first = x.new_zeros(len(outputs.first), n, len(theta)) if outputs.first else None
        return Jet(outputs, theta.expand(len(x), -1), first, [zero] * len(outputs.operators),
                   [zero] * len(outputs.higher), n)

    def hold(self, dtype: torch.dtype, device: torch.device) -> None:
        pass  # it has no constants

    def recovery(self, theta: Tensor) -> Tensor:
        return theta.new_zeros(())

    def slopes(self, theta: Tensor) -> list[tuple[str, Tensor]]:
        return []

    def readings(self, theta: Tensor) -> dict[str, float]:
        return {}


class ConstantBound:
    """min over constants c, and over the unknowns, of the weighted loss without recovery. Not for sub-domains.

    The statements are the problem's own, evaluated in float64 where the network's raw outputs are c: hard constraints,
    averages and observations are part of them. Where the loss is a parabola in c, as for equations that are linear in
    the fields, the minimum is exact; else the lowest that Newton's method finds from several starts.
    """

    def __init__(self, objective: Objective) -> None:
        self._fields = len(objective.problem.fields)
        self._objective = objective.twin(torch.float64, networks=[ConstantNetwork(self._fields)])

    def least(self, trainer: Trainer, draws: Tensor) -> float:
        """The bound on the points of these draws [N, c]; NaN where the loss has no minimum over the constants."""
        o, draws = self._objective, draws.double()
        weights = torch.stack([trainer.weights[trainer.terms.index(term)] for term in o.terms]).double()
        if not bool(torch.isfinite(weights).all()):
            return float("nan")

        def loss(z: Tensor) -> Tensor:
            return torch.dot(weights, torch.stack(o.losses(z, draws)))

        unknowns = trainer.theta.detach().double()[list(trainer.objective.regions[0].unknowns.values())]
        starts = [torch.cat([torch.full((self._fields,), value, dtype=torch.float64), unknowns]) for value in STARTS]
        exact = _of_parabola(loss, starts[0])
        if exact is not None:
            return exact
        found = [value for value in (_descend(loss, start) for start in starts) if math.isfinite(value)]
        return min(found, default=float("nan"))


@dataclass(frozen=True)
class _Local:
    """A function at z with its gradient [n] and its Hessian [n, n]."""

    z: Tensor
    value: float
    gradient: Tensor
    hessian: Tensor

    @property
    def finite(self) -> bool:
        return math.isfinite(self.value) and all(bool(torch.isfinite(t).all()) for t in (self.gradient, self.hessian))

    def model(self, z: Tensor) -> float:
        """Its Taylor polynomial of second degree."""
        step = z - self.z
        return self.value + float(self.gradient @ step + step @ self.hessian @ step / 2)


def _at(loss: Loss, z: Tensor) -> _Local:
    with torch.enable_grad():
        leaf = z.detach().clone().requires_grad_()
        value = loss(leaf)
        gradient, hessian = torch.zeros_like(z), torch.zeros(len(z), len(z), dtype=z.dtype)
        if value.requires_grad:
            gradient = torch.autograd.grad(value, leaf, create_graph=True)[0]
            if gradient.requires_grad:
                hessian = torch.stack([torch.autograd.grad(g, leaf, retain_graph=True)[0] for g in gradient])
    return _Local(z, float(value.detach()), gradient.detach(), hessian.detach())


def _of_parabola(loss: Loss, start: Tensor) -> float | None:
    """The minimum of a function of second degree; NaN where it has none; None for any other function."""
    here = _at(loss, start)
    if not here.finite:
        return None
    steps = torch.arange(1, len(start) + 1, dtype=start.dtype)
    for step in (1 / steps, -0.7 * steps):
        other = _at(loss, start + step)
        size = abs(here.value) + abs(other.value) + float((here.gradient * step).abs().sum())
        if not other.finite or abs(here.model(other.z) - other.value) > 1e-10 * size or (
                bool((here.hessian - other.hessian).abs().max() > 1e-9 * here.hessian.abs().max())):
            return None
    curves, axes = torch.linalg.eigh(here.hessian)
    slopes = axes.T @ here.gradient
    top = float(curves.abs().max())
    flat = curves.abs() <= 1e-12 * top
    if bool((curves < -1e-12 * top).any()) or bool((slopes[flat].abs() > 1e-9 * here.gradient.abs().max()).any()):
        return float("nan")
    step = torch.where(flat, torch.zeros_like(slopes), -slopes / curves.masked_fill(flat, 1.0))
    return float(loss(start + axes @ step))


def _descend(loss: Loss, start: Tensor) -> float:
    """Least value from here by Newton steps with the Hessian's eigenvalues taken positive; NaN where there is none."""
    here, damping = _at(loss, start), 1e-3
    for _ in range(ITERATIONS):
        if not here.finite or float(here.z.abs().max()) > FARTHEST:
            return float("nan")
        curves, axes = torch.linalg.eigh(here.hessian)
        size = curves.abs() + damping * curves.abs().max().clamp_min(1e-300)
        step = axes @ ((axes.T @ here.gradient) / size)
        there = _at(loss, here.z - step)
        small = float(step.norm()) <= 1e-9 * (1 + float(here.z.norm()))  # of Newton's steps the next ones are nothing
        better = there.value <= here.value
        here = there if better else here
        if small:
            break
        damping = damping / 10 if better else max(10 * damping, 1e-6)
    return here.value if here.finite else float("nan")
