"""The loss as a pure function of (parameters, random draws): points, residuals, one mean square for each loss term."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from core.equation import Equations, prepare
from core.jets import DerivativeSet
from core.networks import Network
from core.problem import Problem, Statement


@dataclass(frozen=True)
class Block:
    """Points that are evaluated together: rows [start, stop) of a step's points; each row belongs to one statement."""

    equations: Equations
    start: int
    stop: int
    terms: tuple[int, ...]  # for each expression, the loss term that its sum of squares goes to
    scales: tuple[float, ...]  # for each expression, 1 / (points on each face)


class Objective:
    """Everything about the loss that does not change while training.

    Each loss term is a sum of mean squares: one for each equation, and one for each face of each condition, as in
    Wang et al. 2021 (whose Helmholtz boundary loss is the sum over the four edges). Points are redrawn uniformly at
    every step from `draws` [N, d] in [0, 1).
    """

    def __init__(self, problem: Problem, network: Network, dtype: torch.dtype) -> None:
        self.problem, self.network, self.dtype = problem, network, dtype
        bounds = torch.tensor(list(problem.domain.values()), dtype=torch.float64)
        low, span = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
        # a uniform variable has standard deviation span / sqrt(12): the z-score of the paper's code, without its noise
        self.center = (low + span / 2).to(dtype)
        self.scale = (math.sqrt(12) / span).to(dtype)
        self.blocks: list[Block] = []
        rows_low, rows_span = [], []
        row = 0
        for statements, equations in self._grouped(problem.statements):
            first = statements[0]
            count = self._rows(first)
            terms = tuple(problem.terms.index(s.term) for s in statements)
            self.blocks.append(Block(equations, row, row + count, terms, (1 / first.points,) * len(statements)))
            for face in first.faces or (None,):
                lo, sp = low.clone(), span.clone()
                if face is not None:
                    lo[face.axis], sp[face.axis] = face.at, 0.0
                rows_low.append(lo.expand(first.points, -1))
                rows_span.append(sp.expand(first.points, -1))
            row += count
        self.points = row
        self.low = torch.cat(rows_low).to(dtype)
        self.span = torch.cat(rows_span).to(dtype)
        self._passes = self._merge()

    @property
    def dimension(self) -> int:
        """Number of inputs."""
        return self.low.shape[1]

    def losses(self, theta: Tensor, draws: Tensor) -> list[Tensor]:
        """Raw loss terms, T scalars, before any weight. theta [P], draws [N, d] uniform in [0, 1)."""
        return self._losses(theta, draws, self._passes)

    def losses_apart(self, theta: Tensor, draws: Tensor) -> list[Tensor]:
        """The same, every point still visited once, but each group of points in a pass of its own.

        The gradient of one term then costs a backward pass over that term's points only.
        """
        return self._losses(theta, draws, [(block,) for block in self.blocks])

    def physical(self, draws: Tensor) -> Tensor:
        """Points [N, d] in physical units from draws in [0, 1)."""
        return torch.addcmul(self.low, draws, self.span)

    def normalized(self, x: Tensor) -> Tensor:
        """Physical points as z-scores, the network's inputs."""
        return (x - self.center) * self.scale

    # ------------------------------------------------------------------

    def _losses(self, theta: Tensor, draws: Tensor, passes: list[tuple[Block, ...]]) -> list[Tensor]:
        x = self.physical(draws)
        z = self.normalized(x)
        terms: list[Tensor | None] = [None] * len(self.problem.terms)
        for blocks in passes:
            lead = blocks[0]
            start, stop = lead.start, blocks[-1].stop
            jet = self.network.forward(theta, z[start:stop], self.scale.unsqueeze(1), lead.stop - lead.start,
                                       lead.equations.carried, lead.equations.outputs)
            for block in blocks:
                own = jet
                if block is not lead:
                    value = jet.value[block.start - start: block.stop - start]
                    own = type(jet)(DerivativeSet(), value, None, [], [], block.stop - block.start)
                values = block.equations.residuals(own, x[block.start: block.stop])
                for residual, term, factor in zip(values, block.terms, block.scales, strict=True):
                    loss = (residual * residual).sum() * factor
                    previous = terms[term]
                    terms[term] = loss if previous is None else previous + loss
        return [t for t in terms if t is not None]

    def _grouped(self, statements: tuple[Statement, ...]) -> list[tuple[list[Statement], Equations]]:
        """Statements that share their points: the interior's with equal counts, a face's with equal counts."""
        groups: dict[tuple[object, int], list[Statement]] = {}
        for s in statements:
            groups.setdefault((s.faces, s.points), []).append(s)
        p = self.problem
        prepared = [(group, prepare([s.expression for s in group], p.inputs, p.fields, p.constants))
                    for group in groups.values()]
        # those that need derivatives first: groups of values only can then join the first one's pass
        return sorted(prepared, key=lambda pair: pair[1].carried.order == 0)

    def _merge(self) -> list[tuple[Block, ...]]:
        """Groups that need values only ride along with the last group that needs derivatives."""
        passes: list[tuple[Block, ...]] = []
        for block in self.blocks:
            if passes and block.equations.carried.order == 0:
                passes[-1] = (*passes[-1], block)
            else:
                passes.append((block,))
        return passes

    def _rows(self, statement: Statement) -> int:
        return statement.points * max(1, len(statement.faces))
