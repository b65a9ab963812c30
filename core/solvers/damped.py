"""Damped linear least squares, the step of every Gauss-Newton method: one set-up, then a solution for each damping.

All find d = argmin |rho + J d|^2 + e^T d + mu |d|^2, that is (J^T J + mu I) d = -(J^T rho + e / 2), where e is the
gradient of what is no sum of squares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from core.diagnostics.stopping import Stopped
from core.solvers.loss import Loss, add_lower
from core.solvers.solver import Watch

Form = Literal["auto", "parameters", "samples"]


class Damped(Protocol):
    """The least squares at one place."""

    @property
    def gradient(self) -> Tensor:
        """J^T rho + e / 2 [P]: half the gradient of the loss."""
        ...

    @property
    def largest(self) -> float:
        """The largest diagonal element of J^T J."""
        ...

    @property
    def trace(self) -> float:
        """Of J^T J."""
        ...

    def solve(self, damping: float) -> Tensor | None:
        """d [P]; None where rounding leaves no solution at this damping."""
        ...

    def foreseen(self, d: Tensor, damping: float) -> float:
        """By how much |rho + J d|^2 + e^T d is below its value at zero, where d is what `solve` gave for a damping."""
        ...


class _Solved:
    """What is foreseen of a d that solves (J^T J + mu I) d = -g: -2 g^T d - |J d|^2 = mu |d|^2 - g^T d."""

    gradient: Tensor

    def foreseen(self, d: Tensor, damping: float) -> float:
        return damping * float(d.square().sum()) - float(self.gradient.dot(d))


def asked(watch: Watch) -> None:
    """Raises Stopped where the step is to be abandoned."""
    if watch.stop():
        raise Stopped("the step was stopped before it was done")


def follow(watch: Watch, what: str, begin: float = 0.0, end: float = 1.0) -> Callable[[float], None]:
    """Tells the watch of a part of the step, from one share to another, and asks it whether to go on."""
    def each(share: float) -> None:
        asked(watch)
        watch.tell(begin + (end - begin) * share, what)

    return each


def samples_fit_better(form: Form, rows: int, parameters: int) -> bool:
    """Whether to work with J J^T [R, R] in the place of J^T J [P, P]."""
    return form == "samples" or (form == "auto" and rows < parameters)


def damped(loss: Loss, theta: Tensor, watch: Watch, form: Form = "auto") -> Parameters | Samples:
    """The least squares of the loss at theta [P]. Raises Stopped, and ValueError for a loss that has no rows."""
    samples, extra = samples_fit_better(form, len(loss.scales()), len(theta)), loss.extra(theta)
    each = follow(watch, "Jacobian", 0.0, 0.6)
    if samples:
        values, j = loss.jacobian(theta, each)
        return Samples.of(values, j, extra)
    matrix, vector = loss.normal(theta, each)
    return Parameters.of(matrix, vector + extra / 2)


def orthogonal(loss: Loss, theta: Tensor, watch: Watch, form: Form = "auto") -> Orthogonal:
    """The same by QR."""
    samples = samples_fit_better(form, len(loss.scales()), len(theta))
    values, j = loss.jacobian(theta, follow(watch, "Jacobian", 0.0, 0.4))
    return Orthogonal.of(values, j, loss.extra(theta), samples)


@dataclass(frozen=True)
class Parameters(_Solved):
    """By Cholesky's factors of J^T J + mu I [P, P], of whose triangle only the lower one is used."""

    matrix: Tensor
    diagonal: Tensor
    gradient: Tensor
    largest: float
    trace: float

    @classmethod
    def of(cls, matrix: Tensor, gradient: Tensor) -> Parameters:
        diagonal = matrix.diagonal().clone()
        return cls(matrix, diagonal, gradient, float(diagonal.max()), float(diagonal.sum()))

    def solve(self, damping: float, toward: Tensor | None = None) -> Tensor | None:
        """d [P]. toward [P]: damped is |d - toward|^2 in the place of |d|^2."""
        right = -self.gradient if toward is None else torch.add(-self.gradient, toward, alpha=damping)
        return _cholesky(self.matrix, self.diagonal, damping, right)


@dataclass(frozen=True)
class Samples(_Solved):
    """In sample space, d = -J^T (J J^T + mu I)^-1 (rho - J e / (2 mu)) - e / (2 mu), by Woodbury's identity: R numbers
    in the place of P (Jnini et al. 2604.05230, Goldshlager et al. 2024)."""

    j: Tensor  # [R, P]
    values: Tensor  # [R]
    kernel: Tensor  # [R, R], lower triangle
    diagonal: Tensor
    gradient: Tensor
    largest: float
    trace: float
    half: Tensor | None  # e / 2 [P], None where it is zero
    image: Tensor | None  # J e / 2 [R]

    @classmethod
    def of(cls, values: Tensor, j: Tensor, extra: Tensor) -> Samples:
        half = extra / 2 if bool(extra.any()) else None
        kernel = j.new_zeros(len(j), len(j))
        add_lower(kernel, j.T)
        gradient = j.T @ values
        diagonal = kernel.diagonal().clone()
        return cls(j, values, kernel, diagonal, gradient if half is None else gradient + half,
                   float(_columns(j).max()), float(diagonal.sum()), half, None if half is None else j @ half)

    def solve(self, damping: float, toward: Tensor | None = None) -> Tensor | None:
        """d [P]. toward [P]: damped is |d - toward|^2 in the place of |d|^2."""
        right = self.values if self.image is None else self.values - self.image / damping
        right = right if toward is None else right + self.j @ toward
        dual = _cholesky(self.kernel, self.diagonal, damping, right)
        if dual is None:
            return None
        step = -(self.j.T @ dual)
        step = step if toward is None else step + toward
        return step if self.half is None else step - self.half / damping


@dataclass(frozen=True)
class Orthogonal(_Solved):
    """By QR of the stacked [J; sqrt(mu) I]: J^T J, whose condition is the square of J's, is never formed."""

    factor: Tensor  # [m, n]: of J, or of J within the span of its rows
    right: Tensor  # [m]: rho, turned alike
    gradient: Tensor
    largest: float
    trace: float
    basis: Tensor | None  # [P, R]: of the span of the rows, where there are fewer rows than parameters
    half: Tensor | None

    @classmethod
    def of(cls, values: Tensor, j: Tensor, extra: Tensor, samples: bool) -> Orthogonal:
        half = extra / 2 if bool(extra.any()) else None
        gradient = j.T @ values if half is None else j.T @ values + half
        squares = _columns(j)
        basis, right, factor = None, values, j
        if samples and len(j) < j.shape[1]:
            basis, triangle = torch.linalg.qr(j.T)
            factor = triangle.T
        elif len(j) > j.shape[1]:
            both = torch.linalg.qr(torch.cat([j, values.unsqueeze(1)], 1), mode="r")[1]
            factor, right = both[:, :-1], both[:, -1]
        return cls(factor, right, gradient, float(squares.max()), float(squares.sum()), basis, half)

    def solve(self, damping: float) -> Tensor | None:
        size, root = self.factor.shape[1], damping**0.5
        below = root * torch.eye(size, dtype=self.factor.dtype, device=self.factor.device)
        stacked = torch.cat([torch.cat([self.factor, below]),
                             torch.cat([self.right, self.right.new_zeros(size)]).unsqueeze(1)], 1)
        both = torch.linalg.qr(stacked, mode="r")[1]
        triangle, turned = both[:size, :size], both[:size, size:]
        if not bool((triangle.diagonal() != 0).all()):
            return None
        half = self.half
        inside = half if half is None or self.basis is None else self.basis.T @ half
        if inside is not None:
            turned = turned + torch.linalg.solve_triangular(triangle.T, inside.unsqueeze(1), upper=False)
        step = -torch.linalg.solve_triangular(triangle, turned, upper=True).squeeze(1)
        if self.basis is not None:
            step = self.basis @ step
            if half is not None and inside is not None:
                step = step - (half - self.basis @ inside) / damping
        return step if bool(torch.isfinite(step).all()) else None


def _columns(j: Tensor) -> Tensor:
    """The diagonal of J^T J [P]."""
    norms: Tensor = torch.linalg.vector_norm(j, dim=0)
    return norms.square()


def _cholesky(matrix: Tensor, diagonal: Tensor, damping: float, right: Tensor) -> Tensor | None:
    """(matrix + damping I)^-1 right; the diagonal of the matrix, whose own values are `diagonal`, is written over."""
    torch.add(diagonal, damping, out=matrix.diagonal())
    factor, info = torch.linalg.cholesky_ex(matrix)
    if int(info):
        return None
    found = torch.cholesky_solve(right.unsqueeze(1), factor).squeeze(1)
    return found if bool(torch.isfinite(found).all()) else None
