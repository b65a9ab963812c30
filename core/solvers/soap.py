"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from core.optimizers import Adam, clipped
from core.solvers.loss import Loss
from core.solvers.matrices import Matrix, Packing, join, packing
from core.solvers.solver import Advance, Memory, Watch


@dataclass(frozen=True)
class Soap:
    """SOAP (Vyas et al. 2024, arXiv 2409.11321, Algorithm 3, and its released code).

    For every weight matrix with gradient G, L is the running average of G G^T and R that of G^T G. Adam runs on
    Q_L^T G Q_R, where Q_L and Q_R are their eigenvectors, and its step is rotated back. The eigenvectors are exact at
    the first step; every `refresh` steps they are improved by one power iteration and a QR decomposition, columns in
    the order of falling eigenvalues. The first moment is then rotated into the new basis; the second keeps its values,
    reordered as the columns are. All parameters that are in no matrix are Adam's.

    As in the released code: the first step only makes the first L, R, Q_L and Q_R and leaves all parameters as they
    are; L and R are updated after each step, so a gradient is never in the basis it is projected on; beta2 is also L's
    and R's; weight decay is decoupled, and comes after the step. Unlike it, epsilon is added after the bias
    correction, so that the rest is exactly the Adam of `core.optimizers`.

    Defaults are the paper's, for language models. For PINNs, Wang et al. 2025 (arXiv 2502.00604) take beta1 0.9 and
    beta2 0.999 (in their released configurations) and refresh 2. On helmholtz-m1, 1,500 steps with 0.9 and 0.999 ended
    at a loss of about 10, with the defaults at about 2,000; experiments therefore have Adam's 0.9 and 0.999.

    matrices: as `core.solvers.matrices.matrices_of` has them. clip: as in Adam. There is no line search: a step may
    make the loss larger. Where the gradient is not finite the step gives NaN, as Adam does.
    """

    matrices: tuple[Matrix, ...]
    beta1: float = 0.95
    beta2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    refresh: int = 10
    clip: float = 0.0

    needs: Literal["gradient", "rows"] = "gradient"
    lasting: ClassVar[bool] = True

    def start(self, theta: Tensor) -> Memory:
        """steps: of Adam made so far, -1 before the first gradient. m, v [P], packed and rotated. Of each batch of
        matrices of one shape L, R and their eigenvectors, [count, rows, rows] and [count, columns, columns]."""
        memory = {"steps": torch.tensor(-1), "m": torch.zeros_like(theta), "v": torch.zeros_like(theta)}
        for number, (count, rows, columns) in enumerate(packing(self.matrices, len(theta)).shapes):
            for side, size in (("left", rows), ("right", columns)):
                memory[f"{side} {number}"] = theta.new_zeros(count, size, size)
                memory[f"{side} basis {number}"] = torch.eye(size, dtype=theta.dtype, device=theta.device).repeat(
                    count, 1, 1)
        return memory

    def step(self, loss: Loss, theta: Tensor, memory: Memory, learning_rate: float, watch: Watch) -> Advance:
        losses, _, gradient = loss.gradient(theta)
        norm = float(torch.linalg.vector_norm(gradient))
        readings = {"gradient norm": norm}
        if not math.isfinite(norm):
            return Advance(torch.full_like(theta, torch.nan), memory, losses, readings)
        plan = packing(self.matrices, len(theta))
        packed = plan.pack(clipped(gradient, self.clip))
        steps = int(memory["steps"]) + 1
        if steps == 0:
            return Advance(theta, self._begun(plan, packed, memory), losses, readings)
        batches, rest = plan.split(packed)
        rotated = [_project(g, *_bases(memory, n)) for n, g in enumerate(batches)]
        adam = Adam(self.beta1, self.beta2, self.epsilon)
        hyper = torch.tensor(adam.hyper(learning_rate, steps - 1), dtype=theta.dtype, device=theta.device)
        change, m, v = adam.update(torch.zeros_like(packed), memory["m"], memory["v"], join(rotated, rest), hyper)
        moves, other = plan.split(change)
        back = [_back(move, *_bases(memory, n)) for n, move in enumerate(moves)]
        theta = theta + plan.unpack(join(back, other))
        if self.weight_decay:
            theta = theta * (1 - learning_rate * self.weight_decay)
        new = {**memory, **_averages(batches, memory, self.beta2), "steps": torch.tensor(steps), "m": m, "v": v}
        if batches and steps % self.refresh == 0:
            new |= _refreshed(plan, new)
        return Advance(theta, new, losses, readings)

    def _begun(self, plan: Packing, packed: Tensor, memory: Memory) -> Memory:
        """The memory after the first gradient: exact eigenvectors of its L and R."""
        new = {**memory, **_averages(plan.split(packed)[0], memory, self.beta2), "steps": torch.tensor(0)}
        for number in range(len(plan.shapes)):
            for side in ("left", "right"):
                matrix = new[f"{side} {number}"]
                # in float64: where most eigenvalues are nearly zero, as here, single precision may not converge
                _, vectors = torch.linalg.eigh(matrix.to(torch.float64))
                new[f"{side} basis {number}"] = vectors.flip(-1).to(matrix.dtype)
        return new


def _bases(memory: Mapping[str, Tensor], number: int) -> tuple[Tensor, Tensor]:
    return memory[f"left basis {number}"], memory[f"right basis {number}"]


def _project(g: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Q_L^T G Q_R of each matrix of a batch [count, rows, columns]."""
    return torch.bmm(left.mT, torch.bmm(g, right))


def _back(g: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Q_L G Q_R^T, the inverse of the above."""
    return torch.bmm(left, torch.bmm(g, right.mT))


def _averages(batches: list[Tensor], memory: Memory, beta: float) -> dict[str, Tensor]:
    """L and R of every batch after its gradient."""
    new = {}
    for n, g in enumerate(batches):
        new[f"left {n}"] = torch.baddbmm(memory[f"left {n}"], g, g.mT, beta=beta, alpha=1 - beta)
        new[f"right {n}"] = torch.baddbmm(memory[f"right {n}"], g.mT, g, beta=beta, alpha=1 - beta)
    return new


def _refreshed(plan: Packing, memory: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The bases nearer to the eigenvectors of today's L and R, and the moments in them."""
    new: dict[str, Tensor] = {}
    (firsts, m_rest), (seconds, v_rest) = plan.split(memory["m"]), plan.split(memory["v"])
    m, v = [], []
    for n, (first, second) in enumerate(zip(firsts, seconds, strict=True)):
        old = _bases(memory, n)
        left, by_row = _nearer(memory[f"left {n}"], old[0])
        right, by_column = _nearer(memory[f"right {n}"], old[1])
        new |= {f"left basis {n}": left, f"right basis {n}": right}
        m.append(_project(_back(first, *old), left, right))
        v.append(second.take_along_dim(by_row.unsqueeze(2), 1).take_along_dim(by_column.unsqueeze(1), 2))
    return new | {"m": join(m, m_rest), "v": join(v, v_rest)}


def _nearer(matrix: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """(the basis after one power iteration [count, n, n], the order that its columns were put in [count, n])."""
    powered = torch.bmm(matrix, basis)
    values = (basis * powered).sum(1)  # the Rayleigh quotient of each column
    order = torch.argsort(values, dim=1, descending=True, stable=True)
    return torch.linalg.qr(powered.take_along_dim(order.unsqueeze(1), 2)).Q, order
