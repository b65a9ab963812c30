"""How the loss terms are weighted against each other: one table of rules, each named by its paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.choices import RULES


@dataclass(frozen=True)
class Seen:
    """What a rule may look at after a step. T loss terms, P parameters; all gradients and losses are of raw terms."""

    weights: Tensor  # [T]
    kernels: Sequence[slice]  # the weight matrices' slices of the flat parameters
    residual: Sequence[bool]  # [T]: whether a term is a residual of an equation
    fixed: Sequence[bool]  # [T]: terms that no rule touches, such as slope recovery
    memory: Tensor  # what `start` or the last update returned
    generator: torch.Generator  # of the run; only relobralo draws from it
    losses: Tensor | None = None  # [T], those of the step just made
    gradients: Tensor | None = None  # [T, P]
    traces: Tensor | None = None  # [T], of each term's block of the neural tangent kernel


@dataclass(frozen=True)
class Balancing:
    """A rule by name, with its parameters.

    Wang, Teng & Perdikaris, SIAM J. Sci. Comput. 43 (2021), learning-rate annealing; a residual's weight is kept:
    annealing-siam: Algorithm 2.1 as the released code computes it, which made the published tables.
        lambda_hat = max |dL_r / dW| / mean |d(lambda L_i) / dW|, the maximum over all weight matrices, the mean as the
        plain average of the matrices' own means. At rest lambda = sqrt(max / mean).
    annealing-arxiv: arXiv 2001.04536 Algorithm 1, the mean of the unweighted gradient over all parameters. At rest
        lambda = max / mean.
    annealing-cavity: the released cavity code, the ratio max / mean of the weighted gradients matrix by matrix, then
        the largest of these.

    All terms, residuals too:
    gradient-norm: lambda_hat_i = sum_j |g_j| / |g_i| (Wang, Sankaran, Wang & Perdikaris, arXiv 2308.08468).
        jaxpi's code has the mean over j in place of the sum: the same weights but for one common factor, T.
    ntk: lambda_hat_i = Tr(K) / Tr(K_ii) (Wang, Yu & Perdikaris, J. Comput. Phys. 449, 2022, Algorithm 1; there
        without an average, rate = 1). Given each block's mean diagonal in place of its trace it is jaxpi's version,
        which is the same where all terms have equally many points.
    inverse-dirichlet: lambda_hat_i = max_k std(g_k) / std(g_i), over all parameters (Maddu, Sturm, Mueller &
        Sbalzarini, Mach. Learn.: Sci. Technol. 3, 2022).
    relobralo: relative losses with random lookback (Bischof & Kraus, arXiv 2110.09813). With
        b(t') = m softmax_i(L_i(t) / (temperature L_i(t'))) over the m terms that take part,
        lambda(t) = (1 - rate) [r lambda(t-1) + (1-r) b(0)] + rate b(t-1), r = 1 with probability rho, else 0.
        t counts updates, so the paper's `interval` is 1; its alpha = 1 - rate is 0.999. Costs no gradient.

    All but relobralo: lambda <- (1 - rate) lambda + rate lambda_hat. Nothing touches a weight of zero, which somebody
    has set to switch a term off, nor a fixed term; the rules that weight all terms count neither among them. A target
    that is not finite and positive leaves its weight alone. `floor` is the smallest denominator (the papers have none).
    """

    rule: str = "fixed"
    interval: int = 10
    rate: float = 0.1
    floor: float = 1e-12
    temperature: float = 0.1
    rho: float = 0.9999

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"there is no balancing rule '{self.rule}'; the rules are {', '.join(RULES)}")
        if self.interval < 1:
            raise ValueError(f"weights are updated every 1 or more steps, not every {self.interval}")
        for name, value in (("rate", self.rate), ("rho", self.rho)):
            if not 0 <= value <= 1:
                raise ValueError(f"the balancing's {name} is between 0 and 1, {value:g} is not")
        if not self.temperature > 0:
            raise ValueError(f"the balancing's temperature is positive, {self.temperature:g} is not")

    @property
    def needs(self) -> frozenset[str]:
        """What `update` must be given of 'gradients', 'losses' and 'traces'."""
        if self.rule == "fixed":
            return frozenset()
        return frozenset({_NEEDS.get(self.rule, "gradients")})

    def due(self, iteration: int) -> bool:
        """Whether the weights are updated after the step of this iteration (from 0)."""
        return self.rule != "fixed" and iteration % self.interval == 0

    def start(self, terms: int, dtype: torch.dtype) -> Tensor:
        """The memory before the first update, part of a checkpoint: [3, T] for relobralo, else empty."""
        return torch.zeros((3, terms) if self.rule == "relobralo" else 0, dtype=dtype)

    def update(self, seen: Seen) -> tuple[Tensor, Tensor, Tensor]:
        """(new weights [T], instantaneous targets [T], memory for the next update). Changes nothing in place.

        Raises ValueError where something that the rule `needs` is missing.
        """
        if self.rule == "fixed":
            return seen.weights, seen.weights, seen.memory
        missing = [name for name in sorted(self.needs) if getattr(seen, name) is None]
        if missing:
            raise ValueError(f"the rule '{self.rule}' needs the {missing[0]} of the loss terms, they were not given")
        weights = seen.weights
        off = _mask(seen.fixed, weights) | (weights == 0)
        if self.rule == "relobralo":
            return self._relobralo(seen, off)
        if self.rule in _ANNEALING:
            target = _ANNEALING[self.rule](seen, self.floor)
            off = off | _mask(seen.residual, weights)
        else:
            size = _SIZES[self.rule](seen)
            active = torch.where(off, torch.zeros_like(size), size)
            top = active.amax() if self.rule == "inverse-dirichlet" else active.sum()
            target = top / size.clamp_min(self.floor)
        target = torch.where(off | ~_usable(target), weights, target)
        return torch.lerp(weights, target, self.rate), target, seen.memory

    def _relobralo(self, seen: Seen, off: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        losses = seen.losses
        assert losses is not None
        first, last, known = seen.memory
        first = torch.where(known > 0, first, losses)
        last = torch.where(known > 0, last, losses)
        now, begin = self._relative(losses, last, off), self._relative(losses, first, off)
        lookback = bool(torch.rand((), generator=seen.generator, dtype=torch.float64) >= self.rho)
        new = torch.lerp(begin if lookback else seen.weights, now, self.rate)
        fine = torch.isfinite(losses)
        memory = torch.stack((torch.where(fine, first, seen.memory[0]), torch.where(fine, losses, seen.memory[1]),
                              torch.where(fine, torch.ones_like(known), known)))
        keep = off | ~_usable(new)
        return torch.where(keep, seen.weights, new), torch.where(keep, seen.weights, now), memory

    def _relative(self, losses: Tensor, before: Tensor, off: Tensor) -> Tensor:
        """m softmax(L / (temperature L')) [T] over the m terms that take part; zero for the others."""
        tiny = torch.finfo(losses.dtype).tiny  # not `floor`: losses, unlike gradients, may well be that small
        before = torch.where(before.abs() < tiny, torch.full_like(before, tiny), before)
        ratio = (losses / before / self.temperature).masked_fill(off, -torch.inf)
        return torch.softmax(ratio, 0) * (~off).sum()


def _mask(flags: Sequence[bool], like: Tensor) -> Tensor:
    return torch.tensor(list(flags), dtype=torch.bool, device=like.device)


def _usable(target: Tensor) -> Tensor:
    """A bad gradient must not spoil a weight, and a target of zero must not switch a term off for good."""
    return torch.isfinite(target) & (target > 0)


def _given(tensor: Tensor | None) -> Tensor:
    assert tensor is not None  # update has checked
    return tensor


def _reference(seen: Seen) -> tuple[Tensor, Tensor]:
    """|dL_r / dtheta| [P] of all residuals together, |dL_i / dtheta| [T, P]."""
    gradients = _given(seen.gradients)
    return gradients[_mask(seen.residual, gradients)].sum(0).abs(), gradients.abs()


def _means(seen: Seen, others: Tensor) -> Tensor:
    """Mean of each weighted term's gradient over each weight matrix, [T, L]."""
    return torch.stack([others[:, k].mean(1) for k in seen.kernels], 1) * seen.weights.unsqueeze(1)


def _siam(seen: Seen, floor: float) -> Tensor:
    reference, others = _reference(seen)
    tops = torch.stack([reference[k].max() for k in seen.kernels])
    return tops.max() / _means(seen, others).mean(1).clamp_min(floor)


def _arxiv(seen: Seen, floor: float) -> Tensor:
    reference, others = _reference(seen)
    return reference.max() / others.mean(1).clamp_min(floor)


def _cavity(seen: Seen, floor: float) -> Tensor:
    reference, others = _reference(seen)
    tops = torch.stack([reference[k].max() for k in seen.kernels])  # [L]
    return (tops / _means(seen, others).clamp_min(floor)).amax(1)


#: (what was seen, floor) -> targets [T]
_ANNEALING: Mapping[str, Callable[[Seen, float], Tensor]] = {
    "annealing-siam": _siam, "annealing-arxiv": _arxiv, "annealing-cavity": _cavity}

#: what was seen -> the size [T] that the rule makes equal over the terms
_SIZES: Mapping[str, Callable[[Seen], Tensor]] = {
    "gradient-norm": lambda seen: torch.linalg.vector_norm(_given(seen.gradients), dim=1),
    "inverse-dirichlet": lambda seen: _given(seen.gradients).std(1),
    "ntk": lambda seen: _given(seen.traces)}

_NEEDS = {"ntk": "traces", "relobralo": "losses"}
