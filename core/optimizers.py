"""First-order optimizers as pure functions of flat tensors, and how their learning rate falls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

#: No step is smaller: the decay ends in a learning rate of zero, by which an update cannot be divided.
SMALLEST_STEP = 1e-30


class Optimizer(Protocol):
    """What a step needs to know of an optimizer. It has no state but the tensors m and v [P]."""

    def hyper(self, learning_rate: float, iteration: int) -> tuple[float, float, float]:
        """The three numbers by which an update differs from the last. `iteration` counts from 0."""
        ...

    def update(self, theta: Tensor, m: Tensor, v: Tensor, gradient: Tensor,
               hyper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """New (theta, m, v), all [P], from the gradient [P]; `hyper` [3] as computed above."""
        ...


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015, Algorithm 1).

    The learning rate is not here: it may be changed while training, and reaches the update through `hyper`.
    weight_decay: share of the parameters added to the gradient (L2, as the released code of Liang et al. has it);
    decoupled: taken from the parameters instead, times the learning rate: AdamW (Loshchilov & Hutter 2019, Alg. 2).
    clip: the gradient's norm is cut down to this where it is larger; 0 for never.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip: float = 0.0
    decoupled: bool = False

    def hyper(self, learning_rate: float, iteration: int) -> tuple[float, float, float]:
        step_size = max(learning_rate / (1 - self.beta1 ** (iteration + 1)), SMALLEST_STEP)
        return (1 / (math.sqrt(1 - self.beta2 ** (iteration + 1)) * step_size), self.epsilon / step_size,
                1 - learning_rate * self.weight_decay)

    def update(self, theta: Tensor, m: Tensor, v: Tensor, gradient: Tensor,
               hyper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """theta - step_size * m_hat / (sqrt(v_hat) + epsilon), written with the step size inside the denominator."""
        gradient = clipped(gradient, self.clip)
        if self.weight_decay and self.decoupled:
            theta = theta * hyper[2]
        elif self.weight_decay:
            gradient = gradient + self.weight_decay * theta
        m = torch.lerp(m, gradient, 1 - self.beta1)
        v = torch.addcmul(v * self.beta2, gradient, gradient, value=1 - self.beta2)
        return torch.addcdiv(theta, m, torch.addcmul(hyper[1], torch.sqrt(v), hyper[0]), value=-1), m, v


@dataclass(frozen=True)
class GradientDescent:
    """theta - learning_rate * gradient: the setting of the theory of adaptive slopes (Jagtap et al. 2020, eq. 3.1)."""

    weight_decay: float = 0.0
    clip: float = 0.0

    def hyper(self, learning_rate: float, iteration: int) -> tuple[float, float, float]:
        return learning_rate, 0.0, 0.0

    def update(self, theta: Tensor, m: Tensor, v: Tensor, gradient: Tensor,
               hyper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gradient = clipped(gradient, self.clip)
        if self.weight_decay:
            gradient = gradient + self.weight_decay * theta
        # m and v are handed through as copies: a compiled step may not return its arguments
        return theta - hyper[0] * gradient, m.clone(), v.clone()


def clipped(gradient: Tensor, norm: float) -> Tensor:
    """The gradient [P], scaled down to this norm where it is longer; as it is where `norm` is 0."""
    if norm <= 0:
        return gradient
    length = torch.linalg.vector_norm(gradient)
    return gradient * torch.clamp(norm / (length + 1e-30), max=1.0)


@dataclass(frozen=True)
class Decay:
    """How the learning rate falls with the iteration.

    continuous: rate^(iteration / steps) (Wang et al. 2021). staircase: rate^floor(iteration / steps), torch's StepLR
    (Liang et al.). cosine: (1 + cos(pi iteration / total)) / 2, to zero at the last of `total` steps (Liang et al.).
    """

    rate: float = 0.9
    steps: int = 1000
    kind: Literal["continuous", "staircase", "cosine"] = "continuous"
    total: int = 0

    def factor(self, iteration: int) -> float:
        """What the start value is multiplied by at this iteration (from 0)."""
        if self.kind == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(iteration / max(self.total, 1), 1.0)))
        if self.kind == "staircase":
            return float(self.rate ** (iteration // self.steps))
        return float(self.rate ** (iteration / self.steps))
