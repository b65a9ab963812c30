"""Damped linear least squares, the step of every Gauss-Newton method: one set-up, then a solution for each damping.

All find d = argmin |rho + J d|^2 + mu |d|^2, that is (J^T J + mu I) d = -J^T rho.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from core.diagnostics.stopping import Stopped, nobody
from core.solvers.loss import Each, Loss, add_lower, within
from core.solvers.solver import Watch

Form = Literal["auto", "parameters", "samples"]

#: Share of a step at which the least squares are set up.
SET_UP = 0.8
KERNEL = "products of the Jacobian's rows"
#: What a row of the Jacobian takes by itself, in products with other rows.
OWN = 200
#: Largest matrix that is factorized in one go, which nobody can stop, and the columns at a time of a larger one.
WHOLE, STRIP = 3000, 512


class Damped(Protocol):
    """The least squares at one place."""

    @property
    def gradient(self) -> Tensor:
        """J^T rho [P]: half the gradient of the loss."""
        ...

    @property
    def largest(self) -> float:
        """The largest diagonal element of J^T J."""
        ...

    @property
    def trace(self) -> float:
        """Of J^T J."""
        ...

    def solve(self, damping: float, *, each: Each = nobody) -> Tensor | None:
        """d [P]; None where rounding leaves no solution at this damping. Raises Stopped where `each` does."""
        ...

    def foreseen(self, d: Tensor, damping: float) -> float:
        """By how much |rho + J d|^2 is below its value at zero, where d is what `solve` gave for a damping."""
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


def follow(watch: Watch, what: str, begin: float = 0.0, end: float = 1.0, then: str = "") -> Each:
    """Tells the watch of a part of the step, from one share to another, and asks it whether to go on.

    then: what comes after it, which is named as soon as it begins.
    """
    def each(share: float) -> None:
        asked(watch)
        watch.tell(begin + (end - begin) * share, then if then and share >= 1 else what)

    return each


def samples_fit_better(form: Form, rows: int, parameters: int) -> bool:
    """Whether to work with J J^T [R, R] in the place of J^T J [P, P]."""
    return form == "samples" or (form == "auto" and rows < parameters)


def damped(loss: Loss, theta: Tensor, watch: Watch, form: Form = "auto") -> Parameters | Samples:
    """The least squares of the loss at theta [P]. Raises Stopped, and ValueError for a loss that has no rows."""
    if samples_fit_better(form, len(loss.scales()), len(theta)):
        return Samples.of(*rows_and_kernel(loss, theta, watch, SET_UP))
    return Parameters.of(*loss.normal(theta, follow(watch, "Jacobian", 0.0, SET_UP)))


def rows_and_kernel(loss: Loss, theta: Tensor, watch: Watch, end: float,
                    then: str = "") -> tuple[Tensor, Tensor, Each]:
    """(rho [R], J [R, P], who is told of J J^T), which together take the step to the share `end`; then: what follows.

    What they take of it is in proportion to their work.
    """
    rows = len(loss.scales())
    middle = end * OWN / (OWN + rows / 2)
    values, j = loss.jacobian(theta, follow(watch, "Jacobian", 0.0, middle, KERNEL))
    return values, j, follow(watch, KERNEL, middle, end, then)


def orthogonal(loss: Loss, theta: Tensor, watch: Watch, form: Form = "auto") -> Orthogonal:
    """The same by QR, which cannot be stopped."""
    samples = samples_fit_better(form, len(loss.scales()), len(theta))
    values, j = loss.jacobian(theta, follow(watch, "Jacobian", 0.0, 0.4, "QR of the Jacobian"))
    return Orthogonal.of(values, j, samples)


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

    def solve(self, damping: float, toward: Tensor | None = None, *, each: Each = nobody) -> Tensor | None:
        """d [P]. toward [P]: damped is |d - toward|^2 in the place of |d|^2."""
        right = -self.gradient if toward is None else torch.add(-self.gradient, toward, alpha=damping)
        return _cholesky(self.matrix, self.diagonal, damping, right, each)


@dataclass(frozen=True)
class Samples(_Solved):
    """In sample space, d = -J^T (J J^T + mu I)^-1 rho, by Woodbury's identity: R numbers in the place of P
    (Jnini et al. 2604.05230, Goldshlager et al. 2024)."""

    j: Tensor  # [R, P]
    values: Tensor  # [R]
    kernel: Tensor  # [R, R], lower triangle
    diagonal: Tensor
    gradient: Tensor
    largest: float
    trace: float

    @classmethod
    def of(cls, values: Tensor, j: Tensor, each: Each = nobody) -> Samples:
        """each: told how much of J J^T is done."""
        kernel = j.new_zeros(len(j), len(j))
        add_lower(kernel, j.T, each)
        diagonal = kernel.diagonal().clone()
        return cls(j, values, kernel, diagonal, j.T @ values, float(_columns(j).max()), float(diagonal.sum()))

    def solve(self, damping: float, toward: Tensor | None = None, *, each: Each = nobody) -> Tensor | None:
        """d [P]. toward [P]: damped is |d - toward|^2 in the place of |d|^2."""
        right = self.values if toward is None else self.values + self.j @ toward
        dual = _cholesky(self.kernel, self.diagonal, damping, right, each)
        if dual is None:
            return None
        step = -(self.j.T @ dual)
        return step if toward is None else step + toward


@dataclass(frozen=True)
class Orthogonal(_Solved):
    """By QR of the stacked [J; sqrt(mu) I]: J^T J, whose condition is the square of J's, is never formed."""

    factor: Tensor  # [m, n]: of J, or of J within the span of its rows
    right: Tensor  # [m]: rho, turned alike
    gradient: Tensor
    largest: float
    trace: float
    basis: Tensor | None  # [P, R]: of the span of the rows, where there are fewer rows than parameters

    @classmethod
    def of(cls, values: Tensor, j: Tensor, samples: bool) -> Orthogonal:
        gradient, squares = j.T @ values, _columns(j)
        basis, right, factor = None, values, j
        if samples and len(j) < j.shape[1]:
            basis, triangle = torch.linalg.qr(j.T)
            factor = triangle.T
        elif len(j) > j.shape[1]:
            both = torch.linalg.qr(torch.cat([j, values.unsqueeze(1)], 1), mode="r")[1]
            factor, right = both[:, :-1], both[:, -1]
        return cls(factor, right, gradient, float(squares.max()), float(squares.sum()), basis)

    def solve(self, damping: float, *, each: Each = nobody) -> Tensor | None:
        size, root = self.factor.shape[1], damping**0.5
        below = root * torch.eye(size, dtype=self.factor.dtype, device=self.factor.device)
        stacked = torch.cat([torch.cat([self.factor, below]),
                             torch.cat([self.right, self.right.new_zeros(size)]).unsqueeze(1)], 1)
        both = torch.linalg.qr(stacked, mode="r")[1]
        triangle, turned = both[:size, :size], both[:size, size:]
        if not bool((triangle.diagonal() != 0).all()):
            return None
        step = -torch.linalg.solve_triangular(triangle, turned, upper=True).squeeze(1)
        if self.basis is not None:
            step = self.basis @ step
        return step if bool(torch.isfinite(step).all()) else None


def _columns(j: Tensor) -> Tensor:
    """The diagonal of J^T J [P]."""
    norms: Tensor = torch.linalg.vector_norm(j, dim=0)
    return norms.square()


def _cholesky(matrix: Tensor, diagonal: Tensor, damping: float, right: Tensor, each: Each = nobody) -> Tensor | None:
    """(matrix + damping I)^-1 right; the diagonal of the matrix, whose own values are `diagonal`, is written over."""
    torch.add(diagonal, damping, out=matrix.diagonal())
    factor = _factor(matrix, each)
    if factor is None:
        return None
    found = torch.cholesky_solve(right.unsqueeze(1), factor).squeeze(1)
    return found if bool(torch.isfinite(found).all()) else None


def _factor(matrix: Tensor, each: Each) -> Tensor | None:
    """Cholesky's factor L, lower triangle, of a matrix of which only that is used; None where it is not positive.

    A large one goes strip by strip, from left to right, so that it can be followed and stopped.
    """
    size = len(matrix)
    if size <= WHOLE:
        factor, info = torch.linalg.cholesky_ex(matrix)
        return None if int(info) else factor
    factor = matrix.clone()
    for begin in range(0, size, STRIP):
        end = min(begin + STRIP, size)
        corner, info = torch.linalg.cholesky_ex(factor[begin:end, begin:end])
        if int(info):
            return None
        factor[begin:end, begin:end] = corner
        if end < size:
            below = torch.linalg.solve_triangular(corner, factor[end:, begin:end].T, upper=False)
            factor[end:, begin:end] = below.T
            done, then = (1 - ((size - at) / size) ** 3 for at in (begin, end))
            add_lower(factor[end:, end:], below, within(each, done, then), scale=-1.0)
    return factor
