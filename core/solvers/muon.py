"""Muon: momentum whose matrices are made orthogonal before each step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from core.optimizers import Adam, clipped
from core.solvers.loss import Loss
from core.solvers.matrices import Matrix, join, packing
from core.solvers.solver import Advance, Memory, Watch

#: The quintic of Jordan et al. 2024, steepest at zero: singular values end between about 0.7 and 1.2, not at 1.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
SMALLEST_NORM = 1e-7  # as in torch.optim.Muon; matrices with a smaller norm make a smaller step


@dataclass(frozen=True)
class Muon:
    """Muon (Jordan et al. 2024, 'Muon: an optimizer for hidden layers in neural networks'), as torch.optim.Muon.

    The momentum of each matrix becomes, by Newton-Schulz iterations, a matrix with the same singular vectors and
    singular values near 1, and is subtracted, times the learning rate and a factor of the shape. In the precision of
    the parameters; torch's is in bfloat16, so the two agree to its three digits.

    matrices: those for Muon, as `core.solvers.matrices.hidden_matrices_of` has them; it is meant for the hidden ones.
    Every other parameter is AdamW's, with the same learning rate and weight decay: beta1, beta2, epsilon.
    adjust: the factor. 'match_rms_adamw': 0.2 sqrt(max(inputs, neurons)), with which a step is about as large as one
    of AdamW, so that one learning rate fits both (Liu et al. 2025, arXiv 2502.16982, section 2.2); 'original':
    sqrt(max(1, neurons / inputs)), for learning rates such as 0.02. weight_decay: decoupled, before the step.
    steps: Newton-Schulz iterations. clip: of the whole gradient, as in Adam. There is no line search: a step may make
    the loss larger. Where the gradient is not finite the step gives NaN, as Adam does.
    """

    matrices: tuple[Matrix, ...]
    momentum: float = 0.95
    nesterov: bool = True
    steps: int = 5
    weight_decay: float = 0.0
    adjust: Literal["match_rms_adamw", "original"] = "match_rms_adamw"
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    clip: float = 0.0

    needs: Literal["gradient", "rows"] = "gradient"
    lasting: ClassVar[bool] = True

    def start(self, theta: Tensor) -> Memory:
        """steps made so far; the matrices' momentum, packed; m, v of AdamW's parameters."""
        plan = packing(self.matrices, len(theta))
        rest = theta.new_zeros(plan.sizes[-1])
        return {"steps": torch.tensor(0), "momentum": theta.new_zeros(len(theta) - len(rest)),
                "m": rest, "v": rest.clone()}

    def step(self, loss: Loss, theta: Tensor, memory: Memory, learning_rate: float, watch: Watch) -> Advance:
        losses, _, gradient = loss.gradient(theta)
        norm = float(torch.linalg.vector_norm(gradient))
        readings = {"gradient norm": norm}
        if not math.isfinite(norm):
            return Advance(torch.full_like(theta, torch.nan), memory, losses, readings)
        plan = packing(self.matrices, len(theta))
        packed = plan.pack(clipped(gradient, self.clip))
        g, g_rest = packed.tensor_split([len(memory["momentum"])])
        momentum = torch.lerp(memory["momentum"], g, 1 - self.momentum)
        update = torch.lerp(g, momentum, self.momentum) if self.nesterov else momentum
        places, rest = plan.split(plan.pack(theta))
        keep = 1 - learning_rate * self.weight_decay
        moved = []
        for place, batch in zip(places, plan.split(join([update], g_rest))[0], strict=True):
            rate = learning_rate * self._factor(*place.shape[1:])
            moved.append(torch.add(place * keep, orthogonal(batch, self.steps), alpha=-rate))
        adam = Adam(self.beta1, self.beta2, self.epsilon, self.weight_decay, decoupled=True)
        count = int(memory["steps"])
        hyper = torch.tensor(adam.hyper(learning_rate, count), dtype=theta.dtype, device=theta.device)
        rest, m, v = adam.update(rest, memory["m"], memory["v"], g_rest, hyper)
        new = {"steps": torch.tensor(count + 1), "momentum": momentum, "m": m, "v": v}
        return Advance(plan.unpack(join(moved, rest)), new, losses, readings)

    def _factor(self, inputs: int, neurons: int) -> float:
        if self.adjust == "original":
            return math.sqrt(max(1.0, neurons / inputs))
        return 0.2 * math.sqrt(max(inputs, neurons))


def orthogonal(batch: Tensor, steps: int = 5) -> Tensor:
    """About U V^T of each matrix U S V^T [count, rows, columns], by `steps` Newton-Schulz iterations."""
    a, b, c = COEFFICIENTS
    tall = batch.shape[1] > batch.shape[2]
    x = batch.mT if tall else batch
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp_min(SMALLEST_NORM)
    for _ in range(steps):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
