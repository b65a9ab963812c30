"""A compiled step in tiles: points of an equation, some hundred at a time, so that what the layers pass on stays near
the processor, and so that several threads compute tiles at the same time.

A step of all points at once writes every layer's channels to memory and reads them again on the way back. Korteweg-de
Vries with 5,000 points, three layers of 36 and the five channels of a third derivative in float64 takes 20.5 ms at
once, 15.7 in tiles of 625, 15.0 of 250 and 15.7 of 125 (tests/bench/tiles.py; AMD EPYC, 1 MB of second-level cache for
each core, one thread, nothing beside it). float32, with half as much to write, gains less.
Two threads that share every operation are hardly faster than one, since products of so narrow matrices are too small to
be shared; two threads with a tile each are nearly twice as fast.
All tiles of an equation have the same number of points, so one compiled function serves them all; what is left goes
together in another one. What all of them found is added up in a fixed order, whoever computed it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from core.engine import EagerEngine
from core.layers import layers_of
from core.objective import MANY
from core.passes import Block, alone, merged

#: Bytes of one layer's channels in a tile, for each thread.
NEAR = 360_000
#: A tile may have up to `MOST` times as many points, and down to `LEAST` times, if none are left over then.
MOST, LEAST = 1.3, 0.4
SHARE = 0.4
#: Bytes of gradients that may wait to be added up, and how many of them at least and at most.
WAITING, FEWEST, TOGETHER = 64_000_000, 8, 256
#: Parameters of so many times the bytes that are near are read and written by a tile for longer than its points.
LARGE = 4
#: Blocks of points that are cut, at most: each is compiled for itself.
CUT = 3

Run = Callable[[list[Tensor]], list[Tensor]]
Made = Callable[[Sequence[Callable[[], list[Tensor]]]], list[list[Tensor]]]


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
    """How a step of this engine is cut; none where its points fit as they are, or belong together.

    Of an engine that evaluates its points in portions none, unless what is left is no more than it takes at once.
    """
    o = engine.objective
    if len(o.regions) > 1 or engine.points.kind != "equal" or o.size * o.dtype.itemsize > LARGE * NEAR:
        return ()
    width = max(layer.neurons for layer in layers_of(o.network))
    work = {block.start: (block.stop - block.start) * _channels(block) for block in o.blocks}
    out = []
    for block in o.blocks:
        near = NEAR // (_channels(block) * width * o.dtype.itemsize)
        # what is left is one thread's: where it is more than a thread's share, the others would wait for it
        shared = threads if sum(work.values()) - work[block.start] <= sum(work.values()) / threads else 1
        rows = _rows(block.stop - block.start, near, shared, engine.limit)
        # only points of the interior are all drawn in one way; those of a condition may lie on several faces
        e = block.equations
        if rows and e.carried.order and block.interior and not block.data and not e.averages:
            out.append(Tile(block.start, rows, (block.stop - block.start) // rows))
    left = o.points - sum(tile.stop - tile.start for tile in out)
    return tuple(out) if len(out) <= CUT and left <= engine.limit else ()


def _channels(block: Block) -> int:
    """What a layer carries of a point: the value and its derivatives."""
    carried = block.equations.carried
    return 1 + len(carried.first) + len(carried.operators) + len(carried.higher)


def _rows(size: int, near: int, threads: int = 1, limit: int = MANY) -> int:
    """Points of a tile, at most `limit`; 0 where all go together.

    Of several threads each gets two tiles or more, so that none waits long for the others, if these still have
    SHARE * near points, below which they are not worth the waking of a thread. Then a divisor of `size` near what is
    wished, so that none are left over, if possible one that makes as many tiles for each thread.
    """
    wished = near if threads == 1 else min(near, max(size // (2 * threads), int(SHARE * near), 8))
    most = min(int(MOST * wished), limit)
    if near < 8 or size <= most:
        return 0
    wished = min(wished, limit)
    equal = [rows for rows in range(max(8, int(LEAST * wished)), most + 1) if size % rows == 0]
    fair = [rows for rows in equal if size // rows % threads == 0]
    return max(fair or equal, default=wished // 8 * 8)


def refused(engine: EagerEngine) -> str:
    """Why the step of an engine is not compiled, with torch's present thread count; '' where it is."""
    if engine.objective.device.type != "cpu":
        return "only steps on the CPU are compiled"
    if engine.portions and not tiles_of(engine, torch.get_num_threads()):
        return (f"{engine.objective.points} points are evaluated in portions, and such a step is compiled only where "
                f"all but one portion are tiles: points in the interior of one domain, some hundred at a time")
    return ""


class Cut:
    """The parts of a step that are compiled, as functions of tensors, and how they make the step.

    A part gives (what it adds to the raw losses [T], the gradient [P] of its weighted sum). There is one for the tiles
    of each block that is cut, and one for all that is left, if anything is.
    """

    def __init__(self, engine: EagerEngine, tiles: Sequence[Tile]) -> None:
        self.engine, self.tiles = engine, tuple(tiles)
        self._blocks = {block.start: block for block in engine.objective.blocks}
        o, rest = engine.objective, self._rest()
        start, stop = (rest[0].start, rest[-1].stop) if rest else (0, 0)
        # the rows that are left are counted from the first of them
        self._left = merged([replace(block, start=block.start - start, stop=block.stop - start) for block in rest])
        self._places = o.places.part_of(start, stop)
        self.leaves = bool(self._left) or o.recovery(torch.zeros(o.size, dtype=o.dtype)) is not None

    @property
    def parts(self) -> int:
        """How many functions `part` makes."""
        return len(self.tiles) + self.leaves

    def part(self, number: int) -> Callable[..., Any]:
        """(theta, draws, weights) -> (losses [T], gradient [P]).

        The tiles' come first; their draws [rows, c] are those of one tile, those of what is left all of the step.
        """
        o = self.engine.objective
        if number == len(self.tiles):
            def left(theta: Tensor, draws: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
                losses, rows = self.engine.part(theta, self._places(draws), self._left, weights, last=True)
                return losses, rows[0]

            return left
        own = self.tiles[number]
        block = replace(self._blocks[own.start], start=0, stop=own.rows)

        def function(theta: Tensor, draws: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
            losses, rows = self.engine.part(theta, o.places.physical_of(own.start, draws), [alone(block)], weights)
            return losses, rows[0]

        return function

    def example(self, number: int) -> tuple[Tensor, ...]:
        """Arguments of the right shapes for a part."""
        o = self.engine.objective
        rows = o.points if number == len(self.tiles) else self.tiles[number].rows
        theta = torch.zeros(o.size, dtype=o.dtype)
        return theta, theta.new_full((rows, o.columns), 0.5), theta.new_ones(len(o.terms))

    def gradient(self, parts: Sequence[Run], made: Made, given: Sequence[Tensor]) -> list[Tensor]:
        """What `EagerEngine.gradient` gives. parts: the functions of `part`; made: makes calls, in any order."""
        theta, draws, weights, lam = given
        losses, gradient = self._sums(parts, made, theta, draws, weights)
        return [losses, gradient, lam.clone()]

    def step(self, parts: Sequence[Run], made: Made, update: Run, given: Sequence[Tensor]) -> list[Tensor]:
        """What `EagerEngine.step` gives. update: the optimizer's, of (theta, m, v, gradient, hyper)."""
        theta, m, v, weights, hyper, draws, lam = given
        losses, gradient = self._sums(parts, made, theta, draws, weights)
        return [*update([theta, m, v, gradient, hyper]), losses, lam.clone()]

    def _sums(self, parts: Sequence[Run], made: Made, theta: Tensor, draws: Tensor,
              weights: Tensor) -> tuple[Tensor, Tensor]:
        calls = [partial(parts[-1], [theta, draws, weights])] if self.leaves else []
        for tile, part in zip(self.tiles, parts, strict=False):
            calls += [partial(part, [theta, draws[start: start + tile.rows], weights])
                      for start in range(tile.start, tile.stop, tile.rows)]
        sums: list[Tensor] = []
        together = max(FEWEST, min(TOGETHER, WAITING // (theta.numel() * theta.element_size())))
        for k in range(0, len(calls), together):
            for found in made(calls[k: k + together]):  # in this order, whoever came first: the same bits
                sums = [a.add_(b) for a, b in zip(sums, found, strict=True)] if sums else found
        return sums[0], sums[1]

    def _rest(self) -> list[Block]:
        """The blocks without what the tiles have of them."""
        stops = {tile.start: tile.stop for tile in self.tiles}
        out = []
        for block in self.engine.objective.blocks:
            start = stops.get(block.start, block.start)
            if start < block.stop:
                out.append(block if start == block.start else block.part(start, block.stop))
        return out
