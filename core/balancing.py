"""How the loss terms are weighted against each other (Wang, Teng & Perdikaris 2021, section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.choices import RULES


@dataclass(frozen=True)
class Balancing:
    """A rule by name, with its moving average.

    annealing-siam: the SIAM paper's Algorithm 2.1 as the released code computes it, which made the published tables.
        lambda_hat = max |dL_r / dW| / mean |d(lambda L_i) / dW|, the maximum over all weight matrices, the mean as the
        plain average of the matrices' own means. At rest lambda = sqrt(max / mean).
    annealing-arxiv: arXiv 2001.04536 Algorithm 1, the mean of the unweighted gradient over all parameters. At rest
        lambda = max / mean.
    annealing-cavity: the released cavity code, the ratio max / mean of the weighted gradients matrix by matrix, then
        the largest of these.
    All: lambda <- (1 - rate) lambda + rate lambda_hat; the residual's weight stays as it is, and so does a weight of
    zero, which somebody has set to switch a term off. `floor` is the smallest denominator (the paper's code has none).
    """

    rule: str = "fixed"
    interval: int = 10
    rate: float = 0.1
    floor: float = 1e-12

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"there is no balancing rule '{self.rule}'; the rules are {', '.join(RULES)}")

    def due(self, iteration: int) -> bool:
        """Whether the weights are updated after the step of this iteration (from 0)."""
        return self.rule != "fixed" and iteration % self.interval == 0

    def update(self, weights: Tensor, gradients: Tensor, kernels: Sequence[slice],
               residual: Sequence[bool]) -> tuple[Tensor, Tensor]:
        """(new weights [T], instantaneous targets [T]).

        weights [T]; gradients [T, P] of the raw terms with respect to the flat parameters; kernels: the slices of
        the weight matrices; residual: for each term whether it is a residual, whose weight is kept.
        """
        reference = gradients[[k for k, r in enumerate(residual) if r]].sum(0).abs()
        others = gradients.abs()
        tops = torch.stack([reference[k].max() for k in kernels])  # [L]
        if self.rule == "annealing-arxiv":
            target = reference.max() / others.mean(1).clamp_min(self.floor)
        else:
            means = torch.stack([others[:, k].mean(1) for k in kernels], 1) * weights.unsqueeze(1)  # [T, L]
            if self.rule == "annealing-siam":
                target = tops.max() / means.mean(1).clamp_min(self.floor)
            elif self.rule == "annealing-cavity":
                target = (tops / means.clamp_min(self.floor)).amax(1)
            else:
                target = weights
        bad = ~torch.isfinite(target)  # a bad gradient must not spoil the weights
        keep = torch.tensor(list(residual)) | bad | (weights == 0)
        target = torch.where(keep, weights, target)
        return torch.lerp(weights, target, self.rate), target
