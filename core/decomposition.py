"""Sub-domains: their boxes, their interfaces, and what of a problem falls into each. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from core.problem import Problem
from core.statements import Face, Statement


@dataclass(frozen=True)
class Box:
    """One sub-domain. low and high: its bounds along every input."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def holds(self, point: Sequence[float]) -> bool:
        """Whether a point lies in it, its faces included."""
        return all(a <= x <= b for a, x, b in zip(self.low, point, self.high, strict=True))


@dataclass(frozen=True)
class Interface:
    """The common face of sub-domains number `before` and `after`, where input number `axis` has the value `at`."""

    before: int
    after: int
    axis: int
    at: float


def whole(problem: Problem) -> Box:
    """The domain as one box, whether it is cut or not."""
    low, high = zip(*problem.domain.values(), strict=True)
    return Box(tuple(low), tuple(high))


def boxes(problem: Problem) -> tuple[Box, ...]:
    """The sub-domains, the first input running fastest; the whole domain where nothing is cut."""
    cuts = problem.decomposition.splits if problem.decomposition else {}
    edges = [(low, *cuts.get(name, ()), high) for name, (low, high) in problem.domain.items()]
    pieces = [list(zip(e[:-1], e[1:], strict=True)) for e in edges]
    out = []
    for chosen in product(*reversed(pieces)):
        ranges = chosen[::-1]
        out.append(Box(tuple(r[0] for r in ranges), tuple(r[1] for r in ranges)))
    return tuple(out)


def interfaces(parts: Sequence[Box]) -> tuple[Interface, ...]:
    """Every pair of sub-domains that share a face."""
    out = []
    for i, a in enumerate(parts):
        for j, b in enumerate(parts):
            touching = [k for k in range(len(a.low)) if a.high[k] == b.low[k]]
            others = [k for k in range(len(a.low)) if (a.low[k], a.high[k]) == (b.low[k], b.high[k])]
            if len(touching) == 1 and len(others) == len(a.low) - 1:
                out.append(Interface(i, j, touching[0], a.high[touching[0]]))
    return tuple(out)


def statements_in(problem: Problem, parts: Sequence[Box], number: int) -> list[Statement]:
    """The problem's statements as they concern one sub-domain.

    A condition keeps the faces that the sub-domain has a part of, with its share of the points, rounded.
    """
    d = problem.decomposition
    if d is None:
        return list(problem.statements)
    part, out = parts[number], []
    bounds = list(problem.domain.values())
    for s in problem.statements:
        if s.interior:
            out.append(replace(s, points=d.points[number]) if d.points else s)
            continue
        if s.observation:
            out.append(s)  # the objective picks the points that lie here
            continue
        for face in s.faces:
            if face.at not in (part.low[face.axis], part.high[face.axis]):
                continue
            share = 1.0
            for k, (low, high) in enumerate(bounds):
                if k != face.axis:
                    share *= (part.high[k] - part.low[k]) / (high - low)
            out.append(replace(s, faces=(Face(face.axis, face.at),), points=max(1, round(s.points * share))))
    return out
