"""Where points lie: rows of random draws mapped into the domain, onto its faces, into a ball, or fixed by a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.decomposition import Box
from core.problem import Problem
from core.statements import Face


@dataclass(frozen=True)
class Data:
    """The points of an observation and the values there. points [n, d] float64 in physical units, columns [n]."""

    points: Tensor
    columns: Mapping[str, Tensor]

    def at(self, rows: Tensor) -> Data:
        """Some of them; rows: indices, or a bool for each point."""
        return Data(self.points[rows], {name: column[rows] for name, column in self.columns.items()})


@dataclass(frozen=True)
class Patch:
    """Rows [start, stop) that are drawn on one piece: inside, on a face, in a ball, on its sphere, or not at all.

    free: the columns of the draws that decide where in the piece a point lies.
    """

    start: int
    stop: int
    free: tuple[int, ...]
    interior: bool
    name: str = ""  # for messages


class Places:
    """Collects the rows of a step's points; `physical` maps draws to points, a pure function of tensors.

    A ball's points take d columns for the direction, by the normal distribution's quantiles, and one for the radius.
    device: where the draws and the points are; rows are collected on the CPU and moved there by `close`.
    """

    def __init__(self, problem: Problem, dtype: torch.dtype, device: torch.device | str = "cpu") -> None:
        bounds = torch.tensor(list(problem.domain.values()), dtype=torch.float64)
        self.d, self.dtype, self.device = len(bounds), dtype, device
        self.ball = problem.shape == "ball"
        self.columns = self.d + 1 if self.ball else self.d
        self.rows = 0
        self.patches: list[Patch] = []
        self._low: list[Tensor] = []
        self._span: list[Tensor] = []
        self._source: list[Tensor] = []
        self._copies = False
        self._round: list[tuple[int, int, bool]] = []  # rows of the ball, and whether they lie on its sphere
        self._center, self._radius = bounds.mean(1), float(bounds[0, 1] - bounds[0, 0]) / 2

    def add(self, box: Box, faces: Sequence[Face], points: int) -> tuple[int, int]:
        """Rows inside a box (or the ball), or on faces of it, `points` on each. Returns (start, stop)."""
        begin = self.rows
        if self.ball:
            on_sphere = bool(faces)
            self._append(self._center, torch.full_like(self._center, self._radius), points,
                         tuple(range(self.d)) if on_sphere else tuple(range(self.d + 1)), not on_sphere)
            self._round.append((begin, self.rows, on_sphere))
            return begin, self.rows
        low = torch.tensor(box.low, dtype=torch.float64)
        span = torch.tensor(box.high, dtype=torch.float64) - low
        for face in faces or (None,):
            lo, sp = low.clone(), span.clone()
            if face is not None:
                lo[face.axis], sp[face.axis] = face.at, 0.0
            free = tuple(k for k in range(self.d) if face is None or k != face.axis)
            self._append(lo, sp, points, free, face is None)
        return begin, self.rows

    def add_face(self, box: Box, axis: int, at: float, points: int, same_as: int | None) -> tuple[int, int]:
        """Rows on an inner face; `same_as`: the first row of those whose points these share."""
        begin = self.rows
        start, stop = self.add(box, (Face(axis, at),), points)
        if same_as is not None:
            self._source[-1] = torch.arange(same_as, same_as + points)
            self._copies = True
            self.patches[-1] = Patch(begin, stop, (), False)
        return start, stop

    def add_points(self, points: Tensor) -> tuple[int, int]:
        """Rows that stay where they are."""
        begin = self.rows
        self._append(points, torch.zeros_like(points), len(points), (), False)
        return begin, self.rows

    def close(self) -> None:
        """All rows are there."""
        self.low, self.span = (torch.cat(rows).to(self.device, self.dtype) for rows in (self._low, self._span))
        self.source = torch.cat(self._source).to(self.device)
        self._middle = self._center.to(self.device, self.dtype)

    def physical(self, draws: Tensor) -> Tensor:
        """Points [N, d] in physical units from draws [N, c] in [0, 1]."""
        if self._copies:
            draws = draws.index_select(0, self.source)
        if not self.ball:
            return torch.addcmul(self.low, draws, self.span)
        pieces, row = [], 0
        for start, stop, on_sphere in (*self._round, (self.rows, self.rows, False)):
            if start > row:
                pieces.append(torch.addcmul(self.low[row:start], draws[row:start, : self.d], self.span[row:start]))
            if stop > start:
                pieces.append(self._in_ball(draws[start:stop], on_sphere))
            row = stop
        return torch.cat(pieces)

    def part_of(self, start: int, stop: int) -> Callable[[Tensor], Tensor]:
        """A function as `physical`, of the step's draws [N, c], that gives the rows [start, stop) only."""
        if self._copies or self.ball:
            return lambda draws: self.physical(draws)[start:stop]
        low, span = self.low[start:stop].clone(), self.span[start:stop].clone()
        return lambda draws: torch.addcmul(low, draws[start:stop], span)

    def physical_of(self, start: int, draws: Tensor) -> Tensor:
        """Points [M, d] drawn like the row `start` is."""
        if self.ball:
            return self._in_ball(draws, False)
        return torch.addcmul(self.low[start], draws, self.span[start])

    def _in_ball(self, draws: Tensor, on_sphere: bool) -> Tensor:
        # quantiles of the normal distribution: a direction without preference; kept from 0 and 1, where they diverge
        tiny = 1e-6 if self.dtype == torch.float32 else 1e-12
        normal = torch.erfinv((2 * draws[:, : self.d] - 1).clamp(-1 + tiny, 1 - tiny)) * math.sqrt(2)
        direction = normal / torch.linalg.vector_norm(normal, dim=1, keepdim=True).clamp_min(tiny)
        if on_sphere:
            return torch.add(self._middle, direction, alpha=self._radius)
        return torch.addcmul(self._middle, draws[:, self.d:] ** (1 / self.d), direction, value=self._radius)

    def _append(self, low: Tensor, span: Tensor, points: int, free: tuple[int, ...], interior: bool) -> None:
        start = self.rows
        self._low.append(low.expand(points, -1))
        self._span.append(span.expand(points, -1))
        self._source.append(torch.arange(start, start + points))
        self.rows += points
        self.patches.append(Patch(start, self.rows, free, interior, "the interior" if interior else "the boundary"))
