"""Hessians of the loss terms by Hessian-vector products, and their extreme eigenvalues by Lanczos."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.diagnostics.stopping import Stop, Stopped, never
from core.frames import Array, StiffnessFrame, frozen
from core.objective import Objective
from core.optimizers import Adam
from core.trainer import Trainer

TOTAL, PRECONDITIONED = "total", "preconditioned"
SEED = 20_010_453
#: Below this share of the largest entry so far, what is left of a Lanczos vector is rounding.
EXHAUSTED = 1e-13
#: What |H v - sigma v| / |sigma| of the largest eigenvalue ends a search early; ten times that of the lowest.
TOLERANCE = 1e-3
#: Products that are made in any case, for a warm start is nearly an eigenvector, if not of the largest eigenvalue now.
FEWEST = 6
#: How much noise a warm start carries, so that an eigenvector it has not seen can still be found.
NOISE = 0.3


class Hessians:
    """Products with the Hessians of every raw loss term and of the weighted total sum_i w_i L_i, at one theta.

    By double backward (Pearlmutter 1994), in the objective's dtype. The graph of each gradient is built when it is
    first asked for and kept for all its products. Points of one term count equally, whatever the run's point weights.
    The row 'preconditioned' is D^(-1/2) H D^(-1/2) of the total with `scale` = D^(-1/2) [P]. Weight decay is no part
    of the loss, so none of the Hessians.
    """

    def __init__(self, objective: Objective, theta: Tensor, draws: Tensor, weights: Tensor,
                 scale: Tensor | None = None) -> None:
        self.objective, self.draws, self.weights, self.scale = objective, draws, weights, scale
        self.terms = objective.terms
        self.rows = (TOTAL, *self.terms, *([PRECONDITIONED] if scale is not None else []))
        self.size = objective.size
        self.dtype = objective.dtype
        self._leaf = theta.detach().requires_grad_()
        self._apart: list[Tensor] | None = None
        self._gradients: dict[str, Tensor] = {}

    @classmethod
    def of(cls, trainer: Trainer) -> Hessians:
        """At the present theta, on the points of the last step; before the first, on those of the coming one."""
        draws = trainer.draws
        return cls(trainer.objective, trainer.theta, trainer.coming_draws() if draws is None else draws,
                   trainer.weights, preconditioner(trainer))

    @property
    def losses(self) -> Tensor:
        """The raw losses [T]."""
        return torch.stack(self._terms()).detach()

    def gradient(self, row: str) -> Tensor:
        """The gradient [P] of 'total' or of a raw term."""
        return self._gradient(row).detach()

    def product(self, row: str, v: Tensor) -> Tensor:
        """H v of a row; v [P], or many at once [k, P]. Zero for a loss that is constant or linear."""
        if row == PRECONDITIONED:
            assert self.scale is not None, "there is no preconditioner"
            return self.scale * self.product(TOTAL, self.scale * v)
        gradient = self._gradient(row)
        if not gradient.requires_grad:
            return torch.zeros_like(v)
        out = torch.autograd.grad(gradient, self._leaf, v, retain_graph=True, allow_unused=True,
                                  is_grads_batched=v.dim() > 1)[0]
        return torch.zeros_like(v) if out is None else out

    def _terms(self) -> list[Tensor]:
        if self._apart is None:
            with torch.enable_grad():
                self._apart = self.objective.losses_apart(self._leaf, self.draws)
        return self._apart

    def _gradient(self, row: str) -> Tensor:
        if row not in self._gradients:
            with torch.enable_grad():
                if row == TOTAL:  # fewer passes than the terms apart
                    loss = torch.dot(torch.stack(self.objective.losses(self._leaf, self.draws)), self.weights)
                else:
                    loss = self._terms()[self.terms.index(row)]
                self._gradients[row] = torch.zeros_like(self._leaf).detach()
                if loss.requires_grad:
                    self._gradients[row] = torch.autograd.grad(loss, self._leaf, create_graph=True)[0]
        return self._gradients[row]


def preconditioner(trainer: Trainer) -> Tensor | None:
    """D^(-1/2) [P] of Adam's D = sqrt(v_hat) + epsilon after the steps made; None before them and without Adam."""
    optimizer = trainer.optimizer
    if not isinstance(optimizer, Adam) or trainer.iteration == 0:
        return None
    d = torch.sqrt(trainer.v / (1 - optimizer.beta2**trainer.iteration)) + optimizer.epsilon
    return torch.where(d == 0, torch.zeros_like(d), d.rsqrt())  # Adam without epsilon does not move such a parameter


@dataclass(frozen=True)
class Krylov:
    """An orthonormal basis [k, P] of a Krylov space, row 0 the start, and its images [k, P]; float64."""

    basis: Tensor
    images: Tensor

    def ritz(self) -> tuple[Array, Array]:
        """Ritz values [k], ascending, and their vectors' components [k, k] in the basis, one column each.

        Of the operator projected on the basis (Rayleigh-Ritz), which is Lanczos' tridiagonal matrix but for rounding.
        """
        projected = (self.basis @ self.images.mT).numpy()
        values, components = np.linalg.eigh((projected + projected.T) / 2)
        return values, components

    def vector(self, components: Array) -> Tensor:
        """The vector [P] with these components [k]."""
        return torch.from_numpy(np.ascontiguousarray(components)) @ self.basis

    def residual(self, value: float, components: Array) -> float:
        """|A y - value y| of a unit vector: what the products that were made say, rounding included."""
        part = torch.from_numpy(np.ascontiguousarray(components))
        return float(torch.linalg.vector_norm(part @ self.images - value * (part @ self.basis)))


def lanczos(product: Callable[[Tensor], Tensor], start: Tensor, steps: int,
            each: Callable[[], None] | None = None,
            enough: Callable[[Krylov], bool] | None = None) -> Krylov | None:
    """At most `steps` products of a symmetric operator with float64 vectors [P]; None where one is not finite.

    Lanczos with full reorthogonalisation, twice (Parlett, The Symmetric Eigenvalue Problem, section 6.9). Ends early
    where the space is exhausted, or where `enough` says so of what there is. each: called after every product.
    """
    steps = min(steps, len(start))
    basis = torch.zeros(steps, len(start), dtype=torch.float64)
    images = torch.zeros_like(basis)
    q, largest = start / torch.linalg.vector_norm(start), 0.0
    for k in range(steps):
        basis[k] = q
        images[k] = w = product(q)
        if each is not None:
            each()
        size = float(torch.linalg.vector_norm(w))
        if not math.isfinite(size):
            return None
        largest = max(largest, size)
        known = basis[: k + 1]
        if enough is not None and enough(Krylov(known, images[: k + 1])):
            return Krylov(known, images[: k + 1])
        for _ in range(2):
            w = w - (known @ w) @ known
        rest = float(torch.linalg.vector_norm(w))
        if rest <= EXHAUSTED * largest:
            return Krylov(known, images[: k + 1])
        q = w / rest
    return Krylov(basis, images)


@dataclass(frozen=True)
class Extremes:
    """The ends of a spectrum as a few products show them."""

    largest: float
    lowest: float
    accuracy: float  # |H v - sigma v| / |sigma| of the largest
    vectors: Sequence[Tensor]  # unit vectors [P] float64: of the largest and of the lowest


def extremes(hessians: Hessians, row: str, products: int, warm: Sequence[Tensor], generator: torch.Generator,
             each: Callable[[], None] | None = None) -> Extremes | None:
    """The largest and the lowest eigenvalue of a row, by Lanczos from the sum of `warm` vectors and noise.

    None where a product is not finite. Fewer products where both ends are settled, one where the Hessian is zero.
    """
    start = torch.randn(hessians.size, generator=generator, dtype=torch.float64)
    if warm:
        start = torch.stack(list(warm)).sum(0) + NOISE * start / torch.linalg.vector_norm(start)
    space = lanczos(operator(hessians, row), start, products, each, _settled)
    if space is None:
        return None
    values, components = space.ritz()
    high, low = float(values[-1]), float(values[0])
    residual = space.residual(high, components[:, -1])
    accuracy = residual / abs(high) if high else (0.0 if residual == 0 else math.inf)
    return Extremes(high, low, accuracy, (space.vector(components[:, -1]), space.vector(components[:, 0])))


def _settled(space: Krylov) -> bool:
    """Whether both ends are known well enough: an eigenvalue's error is of second order in its residual."""
    if len(space.basis) < FEWEST:
        return False
    values, components = space.ritz()
    return all(space.residual(float(values[k]), components[:, k]) <= tolerance * abs(float(values[k]))
               for k, tolerance in ((-1, TOLERANCE), (0, 10 * TOLERANCE)))


def operator(hessians: Hessians, row: str) -> Callable[[Tensor], Tensor]:
    """Products of one row with float64 vectors [P]; the product itself in the objective's dtype."""
    return lambda v: hessians.product(row, v.to(hessians.dtype)).double()


class StiffnessDiagnostic:
    """Observes the extreme eigenvalues of a trainer's Hessians on the points of its last step.

    products: Hessian-vector products for each row, at most. Each look starts from the eigenvectors of the last one.
    Source: Wang, Teng & Perdikaris 2021, section 2.3, who have the weight matrices only; here all parameters count, as
    all are trained. Raises ValueError for fewer than 2 products. stop: asked after every product, since a look at a
    large problem takes seconds; where it says True, `observe` raises Stopped.
    """

    kind = "stiffness"

    def __init__(self, products: int = 20, stop: Stop = never) -> None:
        if products < 2:
            raise ValueError(f"the ends of a spectrum take at least 2 products with the Hessian, {products} is not "
                             f"enough")
        self.products, self.stop = products, stop
        self._warm: dict[str, Sequence[Tensor]] = {}

    def observe(self, trainer: Trainer) -> StiffnessFrame:
        hessians = Hessians.of(trainer)
        generator = torch.Generator().manual_seed(SEED)
        made = 0

        def count() -> None:
            nonlocal made
            made += 1
            if self.stop():
                raise Stopped("the look at the Hessians was stopped before it was done")

        table = []
        for row in hessians.rows:
            found = extremes(hessians, row, self.products, self._warm.get(row, ()), generator, count)
            if found is None:
                self._warm.pop(row, None)
                table.append((math.nan, math.nan, math.nan))
            else:
                self._warm[row] = found.vectors
                table.append((found.largest, found.lowest, found.accuracy))
        largest, lowest, accuracy = np.array(table).T
        return StiffnessFrame(
            step=trainer.iteration, rows=hessians.rows, largest=frozen(largest), lowest=frozen(lowest),
            accuracy=frozen(accuracy), weights=frozen(trainer.weights.double().numpy()),
            learning_rate=trainer.current_learning_rate(), products=made,
        )
