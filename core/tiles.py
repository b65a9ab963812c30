"""A compiled step in tiles: points of an equation, some hundred at a time, so that what the layers pass on stays near
the processor.

A step of all points at once writes every layer's channels to memory and reads them again on the way back. Korteweg-de
Vries with 5,000 points, three layers of 36 and the five channels of a third derivative in float64 takes 20.5 ms at
once, 15.7 in tiles of 625, 15.0 of 250 and 15.7 of 125 (tests/bench/tiles.py; AMD EPYC, 1 MB of second-level cache for
each core, one thread, nothing beside it). float32, with half as much to write, gains less.
All tiles of an equation have the same number of points, so one compiled function serves them all; what is left goes
together in another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from core.engine import EagerEngine
from core.layers import layers_of
from core.passes import Block, alone, merged

#: Bytes of one layer's channels in a tile, for each thread.
NEAR = 360_000
#: A tile may have up to `MOST` times as many points, and down to `LEAST` times, if none are left over then.
MOST, LEAST = 1.3, 0.4
#: Blocks of points that are cut, at most: each is compiled for itself.
CUT = 3

Run = Callable[[list[Tensor]], list[Tensor]]


@dataclass(frozen=True)
class Tile:
    """`count` times `rows` points of a block, from the row `start` of a step's points on."""

    start: int
    rows: int
    count: int

    @property
    def stop(self) -> int:
        return self.start + self.rows * self.count


def tiles_of(engine: EagerEngine, threads: int) -> tuple[Tile, ...]:
    """How a step of this engine is cut; none where its points fit as they are, or belong together."""
    o = engine.objective
    if len(o.regions) > 1 or engine.portions or engine.points.kind != "equal":
        return ()
    width = max(layer.neurons for layer in layers_of(o.network))
    out = []
    for block in o.blocks:
        carried = block.equations.carried
        channels = 1 + len(carried.first) + len(carried.operators) + len(carried.higher)
        rows = _rows(block.stop - block.start, threads * NEAR // (channels * width * o.dtype.itemsize))
        # only points of the interior are all drawn in one way; those of a condition may lie on several faces
        if rows and carried.order and block.interior and not block.data and not block.equations.averages:
            out.append(Tile(block.start, rows, (block.stop - block.start) // rows))
    return tuple(out) if len(out) <= CUT else ()


def _rows(size: int, limit: int) -> int:
    """Points of a tile: a divisor of `size` where there is one near `limit`; 0 where all go together."""
    if limit < 8 or size <= MOST * limit:
        return 0
    equal = [rows for rows in range(max(8, int(LEAST * limit)), int(MOST * limit) + 1) if size % rows == 0]
    return max(equal, default=limit // 8 * 8)


class Cut:
    """The parts of a step that are compiled, as functions of tensors, and how they make the step.

    A tile gives (what it adds to the raw losses [T], the gradient [P] of its weighted sum); what is left takes both
    sums, adds its own, and ends the step or the gradient as `EagerEngine` does.
    """

    def __init__(self, engine: EagerEngine, tiles: Sequence[Tile]) -> None:
        self.engine, self.tiles = engine, tuple(tiles)
        self._blocks = {block.start: block for block in engine.objective.blocks}
        self._left = merged(self._rest())

    def tile(self, number: int) -> Callable[..., Any]:
        """(theta, draws [rows, c], weights) -> (losses [T], gradient [P]) of one tile."""
        own = self.tiles[number]
        block = replace(self._blocks[own.start], start=0, stop=own.rows)
        o = self.engine.objective

        def function(theta: Tensor, draws: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
            losses, rows = self.engine.part(theta, o.places.physical_of(own.start, draws), [alone(block)], weights)
            return losses, rows[0]

        return function

    def gradient(self, theta: Tensor, draws: Tensor, weights: Tensor, lam: Tensor, losses: Tensor,
                 gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What `EagerEngine.gradient` gives; losses [T], gradient [P]: of all tiles."""
        x = self.engine.objective.places.physical(draws)
        more, rows = self.engine.part(theta, x, self._left, weights, last=True)
        return losses + more, gradient + rows[0], lam.clone()

    def step(self, theta: Tensor, m: Tensor, v: Tensor, weights: Tensor, hyper: Tensor, draws: Tensor, lam: Tensor,
             losses: Tensor, gradient: Tensor) -> tuple[Tensor, ...]:
        """What `EagerEngine.step` gives."""
        losses, gradient, lam = self.gradient(theta, draws, weights, lam, losses, gradient)
        return *self.engine.optimizer.update(theta, m, v, gradient, hyper), losses, lam

    def example(self, number: int) -> tuple[Tensor, ...]:
        """Arguments of the right shapes for a tile."""
        o = self.engine.objective
        theta = torch.zeros(o.size, dtype=o.dtype)
        return theta, theta.new_full((self.tiles[number].rows, o.columns), 0.5), theta.new_ones(len(o.terms))

    def sums(self) -> tuple[Tensor, Tensor]:
        """(losses [T], gradient [P]) of the right shapes."""
        o = self.engine.objective
        return torch.zeros(len(o.terms), dtype=o.dtype), torch.zeros(o.size, dtype=o.dtype)

    def joined(self, parts: Sequence[Run], last: Run, theta: int, draws: int, weights: int) -> Run:
        """The whole as one function; theta, draws, weights: which of its arguments they are."""
        def run(given: list[Tensor]) -> list[Tensor]:
            sums: list[Tensor] = []
            for tile, part in zip(self.tiles, parts, strict=True):
                for start in range(tile.start, tile.stop, tile.rows):
                    found = part([given[theta], given[draws][start: start + tile.rows], given[weights]])
                    sums = [a.add_(b) for a, b in zip(sums, found, strict=True)] if sums else found
            return last([*given, *sums])

        return run

    def _rest(self) -> list[Block]:
        """The blocks without what the tiles have of them."""
        stops = {tile.start: tile.stop for tile in self.tiles}
        out = []
        for block in self.engine.objective.blocks:
            start = stops.get(block.start, block.start)
            if start < block.stop:
                out.append(block if start == block.start else block.part(start, block.stop))
        return out
