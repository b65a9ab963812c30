"""First-order optimizers as pure functions of flat tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

#: No step is smaller: the decay ends in a learning rate of zero, by which an update cannot be divided.
SMALLEST_STEP = 1e-30


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015, Algorithm 1) with a learning rate that decays continuously (Wang et al. 2021).

    The learning rate is not here: it may be changed while training, and reaches the update through `hyper`.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def hyper(self, learning_rate: float, iteration: int) -> tuple[float, float]:
        """The two numbers by which an update differs from the last. `iteration` counts from 0."""
        step_size = max(learning_rate / (1 - self.beta1 ** (iteration + 1)), SMALLEST_STEP)
        return 1 / (math.sqrt(1 - self.beta2 ** (iteration + 1)) * step_size), self.epsilon / step_size

    def update(self, theta: Tensor, m: Tensor, v: Tensor, gradient: Tensor,
               hyper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """New (theta, m, v), all [P], from the gradient [P]; `hyper` [2] as computed above.

        theta - step_size * m_hat / (sqrt(v_hat) + epsilon), written with the step size inside the denominator.
        """
        m = torch.lerp(m, gradient, 1 - self.beta1)
        v = torch.addcmul(v * self.beta2, gradient, gradient, value=1 - self.beta2)
        return torch.addcdiv(theta, m, torch.addcmul(hyper[1], torch.sqrt(v), hyper[0]), value=-1), m, v


@dataclass(frozen=True)
class Decay:
    """learning_rate * rate^(iteration / steps), continuous, not in stairs."""

    rate: float = 0.9
    steps: int = 1000

    def factor(self, iteration: int) -> float:
        """What the start value is multiplied by at this iteration (from 0)."""
        return float(self.rate ** (iteration / self.steps))
