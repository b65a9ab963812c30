"""How the points of one loss term are weighted against each other.

R rows: one for each value that is squared in the loss, that is, for each point and equation. All functions are pure
tensor code without control flow that depends on data, so they can be compiled into a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from core.choices import PointWeighting

#: Numbers that `grouped` looks at together: 32 MB in float64.
MASKED = 4_000_000


@dataclass(frozen=True)
class PointWeights:
    """A multiplier lambda for each row, `factor(lambda)` of which multiplies the row's square in the loss.

    equal: nothing is weighted.
    self-adaptive: McClenny & Braga-Neto, J. Comput. Phys. 474 (2023), with the mask m(lambda) = lambda^2: gradient
        ascent lambda <- lambda + rate d(scale lambda^2 r^2) / dlambda, from 1. They grow without bound. (The paper
        lets Adam do the ascent.)
    residual-attention: Anagnostopoulos et al., Comput. Methods Appl. Mech. Eng. 421 (2024):
        lambda <- decay lambda + rate |r| / max |r|, from 0, the maximum within each loss term, and the loss is the
        mean of (lambda r)^2. Bounded by rate / (1 - decay). The paper updates before each loss, the first one too,
        and so must a trainer: with lambda = 0 there is no loss and no gradient.
    causal: see `causal_weights`, which are a function of the residuals alone; here only epsilon is remembered.

    A multiplier belongs to a row. Self-adaptive weights and residual attention are therefore meant for points that
    stay where they are; where points are redrawn a row's multiplier is inherited by another point.
    """

    kind: str = "equal"
    rate: float = 0.01
    decay: float = 0.999
    chunks: int = 32
    epsilon: float = 1e-2

    def __post_init__(self) -> None:
        kinds = get_args(PointWeighting)
        if self.kind not in kinds:
            raise ValueError(f"there is no weighting of points '{self.kind}'; there are {', '.join(kinds)}")
        if not self.rate > 0:
            raise ValueError(f"the rate of the points' weights is positive, {self.rate:g} is not")
        if not 0 <= self.decay < 1:
            raise ValueError(f"the decay of the points' weights is at least 0 and below 1, {self.decay:g} is not")
        if self.chunks < 1:
            raise ValueError(f"causal weights cut time into 1 or more chunks, not {self.chunks}")
        if not self.epsilon > 0:
            raise ValueError(f"the epsilon of causal weights is positive, {self.epsilon:g} is not")

    @property
    def remembers(self) -> bool:
        """Whether each row has a multiplier, which `update` changes."""
        return self.kind in ("self-adaptive", "residual-attention")

    def start(self, rows: int, dtype: torch.dtype, device: torch.device | str = "cpu") -> Tensor:
        """The state at the start, part of a checkpoint: [R]; causal: [1], epsilon; equal: empty."""
        if self.kind == "self-adaptive":
            return torch.ones(rows, dtype=dtype, device=device)
        if self.kind == "causal":
            return torch.full((1,), self.epsilon, dtype=dtype, device=device)
        return torch.zeros(rows if self.remembers else 0, dtype=dtype, device=device)

    def update(self, lam: Tensor, residuals: Tensor, terms: Tensor, count: int, scales: Tensor) -> Tensor:
        """Next multipliers [R], detached. Raises ValueError for a kind that has none.

        lam [R]; residuals [R]; terms [R] int64: the loss term of each row, below `count`; scales [R]: what multiplies
        the row's square in the loss beside lambda^2, such as the term's weight / points (self-adaptive only). A row
        whose residual is not finite keeps its multiplier.
        """
        r = residuals.detach()
        fine = torch.isfinite(r)
        size = torch.where(fine, r.abs(), torch.zeros_like(r))
        if self.kind == "self-adaptive":
            new = lam + self.rate * 2 * scales * lam * size * size
        elif self.kind == "residual-attention":
            top = torch.zeros(count, dtype=r.dtype, device=r.device).scatter_reduce(0, terms, size, "amax")
            share = size / top.clamp_min(torch.finfo(r.dtype).tiny).index_select(0, terms)
            new = self.decay * lam + self.rate * share
        else:
            raise ValueError(f"the weighting of points '{self.kind}' has no multipliers to update")
        return torch.where(fine, new, lam).detach()

    def factor(self, lam: Tensor) -> Tensor:
        """What the squares are multiplied by, [R]: the mask lambda^2. No gradient flows into lambda."""
        return lam.detach().square()


def grouped(values: Tensor, group: Tensor, count: int) -> Tensor:
    """The sum [count] of the values [N] of each group; group [N] int64 below `count`.

    As index_add, but every sum is made in the points' order: where several threads add in turn, rounding depends on
    which comes first, and torch 2.13 compiles no such addition.
    """
    numbers = torch.arange(count, device=group.device).unsqueeze(1)
    at_once = max(1, MASKED // max(1, len(values)))
    return torch.cat([torch.where(group == some, values, 0).sum(1) for some in numbers.split(at_once)])


def causal_weights(squares: Tensor, time01: Tensor, chunks: int, epsilon: float | Tensor) -> Tensor:
    """Weights [N], detached, that hold a residual back until those before it are small.

    Wang, Sankaran & Perdikaris, arXiv 2203.07404: time is cut into equal chunks, L_k is the mean of a
    chunk's squares, w_k = exp(-epsilon sum_{j<k} L_j), and each point takes its chunk's weight. (The paper's loss is
    the mean of w_k L_k over chunks, which is the mean over points of weight times square where the chunks hold equally
    many.) A chunk without points counts as zero. squares [N] are squared residuals, time01 [N] is time in [0, 1],
    epsilon a number or a tensor of one element. Their authors note a patent on the method.
    """
    squares = squares.detach()
    chunk = (time01.detach() * chunks).long().clamp(0, chunks - 1)
    means = grouped(squares, chunk, chunks) / grouped(torch.ones_like(squares), chunk, chunks).clamp_min(1)
    before = means.cumsum(0) - means
    # the difference may round below zero, and a weight above one is none
    return torch.exp(-epsilon * before.clamp_min(0)).index_select(0, chunk)


def next_epsilon(weights: Tensor, epsilon: float, largest: float = 100.0, threshold: float = 0.99) -> float:
    """The epsilon to go on with: ten times it where all `weights` [N] exceed the threshold, up to `largest`.

    From 0.01 this is the paper's sequence 0.01, 0.1, 1, 10, 100. At the last one, all weights above the threshold are
    what the paper calls converged.
    """
    larger = 10 * epsilon
    # a margin, because epsilon may have been through single precision
    done = len(weights) > 0 and bool((weights > threshold).all())
    return larger if done and larger <= 1.001 * largest else epsilon
