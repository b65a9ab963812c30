"""Where collocation points come from: draws in [0, 1]^c, which the objective maps to its domain.

Everything that decides the next draws is in the last ones and in the generator: a run resumed from both goes on the
same bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import get_args

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from core.choices import SamplingKind

#: |residual| [M] at the points of draws [M, c] inside the domain.
Residual = Callable[[Tensor], Tensor]

ADAPTIVE = ("rad", "rar-d", "r3")


@dataclass(frozen=True)
class Group:
    """Rows [start, stop) of the draws that are spread together over the same set: the interior, or one face."""

    start: int
    stop: int
    axes: tuple[int, ...]  # the columns in which the points are free to move; the others' draws have no effect
    columns: int  # c, the width of the draws, the same for all groups
    interior: bool  # whether the points follow the residual, where the kind does
    name: str = ""  # for messages


@dataclass(frozen=True)
class Sampling:
    """How points are drawn, and how often anew: at step 0 and then every `every` steps; 0 for never again.

    uniform: independent and uniform, as in Wang, Teng & Perdikaris 2021 (who redraw at every step).
    latin-hypercube: along each axis one point in each of n equal slices (McKay, Beckman & Conover 1979).
    sobol, halton: low-discrepancy sequences, scrambled anew by the generator at every draw (Sobol' by a random
        linear matrix and digital shift, Halton by random permutations of the digits).
    grid: m^k points on a group's k free axes, the ends included. Not random.

    Adaptive; the interior follows |residual|, other groups are redrawn uniformly at the same steps; the first draws
    are uniform:
    rad: Wu, Zhu, Tan, Kartha & Lu, Comput. Methods Appl. Mech. Eng. 403 (2023): all points are chosen anew among
        `candidates` uniform ones, without repetition, with p ~ |r|^exponent / mean |r|^exponent + offset.
    rar-d: a variant of the same paper's RAR-D, whose points grow in number, for a fixed number: the `share` of points
        with the smallest residual is replaced by points chosen as in rad with the paper's exponent 2 and offset 0.
    r3: Daw, Bu, Wang, Perdikaris & Karpatne, ICML 2023: points whose residual exceeds the mean are retained, the
        others are drawn anew uniformly.
    """

    kind: str = "uniform"
    every: int = 1
    candidates: int = 2000
    exponent: float = 1.0
    offset: float = 1.0
    share: float = 0.1

    def __post_init__(self) -> None:
        kinds = get_args(SamplingKind)
        if self.kind not in kinds:
            raise ValueError(f"there is no sampling '{self.kind}'; there are {', '.join(kinds)}")
        if self.every < 0:
            raise ValueError(f"points are drawn anew every so many steps, or 0 for never; {self.every} is negative")
        for name, value in (("exponent", self.exponent), ("offset", self.offset)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"the sampling's {name} is zero or positive, {value:g} is not")
        if not 0 < self.share <= 1:
            raise ValueError(f"the share of points that rar-d replaces is above 0 and at most 1, {self.share:g} is not")


class Sampler:
    """Draws the points of all groups. Holds no state between draws.

    The groups follow each other without gaps from row 0. Raises ValueError with a sentence where they do not, where a
    grid does not come out even, or where there are fewer candidates than points.
    """

    def __init__(self, spec: Sampling, groups: Sequence[Group], dtype: torch.dtype) -> None:
        self.spec, self.groups, self.dtype = spec, tuple(groups), dtype
        self.points = self.groups[-1].stop
        self.columns = self.groups[0].columns
        row = 0
        for group in self.groups:
            if group.start != row or group.stop <= row or group.columns != self.columns:
                raise ValueError(f"the groups of points must follow each other with {self.columns} columns each; "
                                 f"{_label(group)} with {group.columns} columns does not go on from row {row}")
            row = group.stop
            if spec.kind == "grid":
                _side(group)
            size = group.stop - group.start
            if spec.kind in ("rad", "rar-d") and group.interior and spec.candidates < size:
                raise ValueError(f"{spec.kind} chooses {size} points of {_label(group)} among {spec.candidates} "
                                 f"candidates; give at least {size} candidates")

    @property
    def adaptive(self) -> bool:
        """Whether `draw` needs the residual after the first time."""
        return self.spec.kind in ADAPTIVE

    def due(self, iteration: int) -> bool:
        """Whether the step of this iteration (from 0) wants new draws."""
        return iteration == 0 or (self.spec.every > 0 and iteration % self.spec.every == 0)

    def draw(self, generator: torch.Generator, previous: Tensor | None = None,
             residual: Residual | None = None) -> Tensor:
        """New draws [N, c] in [0, 1]; 1 itself only on grids and by rounding.

        previous: the draws before, None for the first ones. residual: |r| of draws inside the domain, used by adaptive
        kinds only; ValueError where they have none. Values that are not finite count as zero.
        """
        kind = self.spec.kind
        draws = torch.rand(self.points, self.columns, generator=generator, dtype=self.dtype)
        if kind == "uniform" or (self.adaptive and previous is None):
            return draws
        for group in self.groups:
            rows = slice(group.start, group.stop)
            if not self.adaptive:
                axes = list(group.axes)
                if axes:
                    design = _DESIGNS[kind](group, generator)
                    draws[rows, axes] = design.to(self.dtype)
            elif group.interior:
                if residual is None:
                    raise ValueError(f"{kind} follows the residual, which was not given")
                assert previous is not None
                draws[rows] = self._adapted(previous[rows], draws[rows], residual, generator)
        return draws

    def _adapted(self, previous: Tensor, uniform: Tensor, residual: Residual, generator: torch.Generator) -> Tensor:
        """New draws [n, c] of one interior group from those before and from as many uniform ones."""
        if self.spec.kind == "r3":
            size = _sizes(residual(previous))
            return torch.where((size > size.mean()).unsqueeze(1), previous, uniform)
        n = len(previous)
        candidates = torch.rand(self.spec.candidates, self.columns, generator=generator, dtype=self.dtype)
        size = _sizes(residual(candidates))
        if self.spec.kind == "rad":
            return candidates[_choose(size, n, self.spec.exponent, self.spec.offset, generator)]
        easiest = torch.argsort(_sizes(residual(previous)), stable=True)[:max(1, round(self.spec.share * n))]
        new = previous.clone()
        new[easiest] = candidates[_choose(size, len(easiest), 2.0, 0.0, generator)]
        return new


def _sizes(residual: Tensor) -> Tensor:
    """|r| in float64, zero where it is not finite."""
    return residual.detach().double().abs().nan_to_num(nan=0.0, posinf=0.0)


def _choose(size: Tensor, n: int, exponent: float, offset: float, generator: torch.Generator) -> Tensor:
    """n different indices into size [M], drawn with p ~ size^exponent / mean + offset."""
    power = size ** exponent
    mean = power.mean()
    density = power / torch.where(mean > 0, mean, torch.ones_like(mean)) + offset
    # every candidate must stay possible, for there may be fewer than n with a residual
    return torch.multinomial(density + 1e-12, n, replacement=False, generator=generator)


# ---------------------------------------------------------------------- designs: (group, generator) -> [n, k], float64

def _latin_hypercube(group: Group, generator: torch.Generator) -> Tensor:
    n, k = group.stop - group.start, len(group.axes)
    slices = torch.stack([torch.randperm(n, generator=generator) for _ in range(k)], 1)
    return (slices + torch.rand(n, k, generator=generator, dtype=torch.float64)) / n


def _sobol(group: Group, generator: torch.Generator) -> Tensor:
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    return SobolEngine(len(group.axes), scramble=True, seed=seed).draw(group.stop - group.start, dtype=torch.float64)


def _halton(group: Group, generator: torch.Generator) -> Tensor:
    n = group.stop - group.start
    primes = islice((p for p in count(2) if all(p % q for q in range(2, math.isqrt(p) + 1))), len(group.axes))
    return torch.stack([_radical_inverse(n, base, generator) for base in primes], 1)


def _radical_inverse(n: int, base: int, generator: torch.Generator) -> Tensor:
    """The first n points of one axis of Halton's sequence, [n]; each digit's values are permuted at random."""
    rest = torch.arange(n)
    value = torch.zeros(n, dtype=torch.float64)
    place = 1.0 / base
    while bool(rest.any()):
        value += torch.randperm(base, generator=generator)[rest % base] * place
        rest = rest // base
        place /= base
    # all further digits are zero in every point: permuted at random they are one uniform number
    return value + torch.rand((), generator=generator, dtype=torch.float64) * place * base


def _grid(group: Group, generator: torch.Generator) -> Tensor:
    side = torch.linspace(0, 1, _side(group), dtype=torch.float64)
    if len(side) == 1:
        side = torch.full((1,), 0.5, dtype=torch.float64)
    return torch.cartesian_prod(*[side] * len(group.axes)).reshape(-1, len(group.axes))


def _side(group: Group) -> int:
    """Points along each free axis of a grid. Raises ValueError where the group's number is no such power."""
    n, k = group.stop - group.start, len(group.axes)
    if k == 0:
        return 1
    m: int = round(n ** (1 / k))
    if m**k != n:
        low = next(low for low in count(m, -1) if low**k < n)
        raise ValueError(f"a grid on {k} axes has m^{k} points, and {n} of {_label(group)} is no such number; "
                         f"{low**k} or {(low + 1)**k} would be")
    return m


def _label(group: Group) -> str:
    return group.name or f"rows {group.start} to {group.stop - 1}"


_DESIGNS: dict[str, Callable[[Group, torch.Generator], Tensor]] = {
    "latin-hypercube": _latin_hypercube, "sobol": _sobol, "halton": _halton, "grid": _grid}
