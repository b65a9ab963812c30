"""L-BFGS: the inverse Hessian from the last pairs of steps and gradients' changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from core.solvers.loss import Loss
from core.solvers.quasi_newton import Pair, start, step
from core.solvers.solver import Advance, Memory, Watch


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS (Nocedal & Wright 2006, Algorithms 7.4 and 7.5) with a strong Wolfe line search.

    history: pairs kept. Each step tries the full step first; the learning rate is not used. Memory: s, y [history, P],
    the newest pair in the last row. Where the line search fails the pairs are forgotten once, with a note; where it
    fails again, `done` says why. Raises ValueError where history is not positive.
    """

    history: int = 50
    needs: Literal["gradient", "rows"] = "gradient"

    def __post_init__(self) -> None:
        if self.history < 1:
            raise ValueError(f"L-BFGS keeps at least one pair, {self.history} is too few")

    def start(self, theta: Tensor) -> Memory:
        return start(self, theta)

    def step(self, loss: Loss, theta: Tensor, memory: Memory, learning_rate: float, watch: Watch) -> Advance:
        return step(self, loss, theta, memory, watch)

    # ------------------------------------------------------------------ the inverse Hessian

    def fresh(self, theta: Tensor) -> dict[str, Tensor]:
        """No pairs."""
        nothing = theta.new_zeros(self.history, len(theta))
        return {"s": nothing, "y": nothing, "count": torch.tensor(0)}

    def direction(self, memory: Memory, gradient: Tensor) -> Tensor:
        """-H g [P] by the two loops of Algorithm 7.4, H0 = y^T s / y^T y of the newest pair (7.20)."""
        pairs = min(int(memory["count"]), self.history)
        q = gradient.clone()  # this one is nobody else's, so it may be changed
        if pairs:
            s, y = memory["s"][-pairs:], memory["y"][-pairs:]
            ys = (s * y).sum(1)
            shares: list[Tensor] = []
            for k in reversed(range(pairs)):
                shares.append(torch.dot(s[k], q) / ys[k])
                q.sub_(shares[-1] * y[k])
            q.mul_(ys[-1] / torch.dot(y[-1], y[-1]))
            for k in range(pairs):
                q.add_((shares.pop() - torch.dot(y[k], q) / ys[k]) * s[k])
        return q.neg_()

    def learnt(self, memory: Memory, pair: Pair) -> dict[str, Tensor]:
        """One more pair in the place of the oldest."""
        return {"s": torch.cat([memory["s"][1:], pair.s.unsqueeze(0)]),
                "y": torch.cat([memory["y"][1:], pair.y.unsqueeze(0)]), "count": memory["count"] + 1}
