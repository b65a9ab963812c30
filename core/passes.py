"""How the points of a step go through the networks: blocks of points, gathered into as few passes as possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from core.decomposition import Box
from core.equation import Equations
from core.jets import DerivativeSet, Jet
from core.networks import Network


@dataclass(frozen=True)
class Region:
    """A sub-domain with its network; most problems have one. center and scale [d] normalize its points."""

    box: Box
    network: Network
    theta: slice  # of the flat parameters, the network's
    center: Tensor
    scale: Tensor
    unknowns: Mapping[str, int]  # where in the flat parameters the unknowns' values are


@dataclass(frozen=True)
class Block:
    """Points that are evaluated together: rows [start, stop) of a step's points; each row belongs to one statement."""

    region: int
    equations: Equations
    start: int
    stop: int
    terms: tuple[int, ...] = ()  # for each expression, the loss term that it goes to; none for an interface's side
    scales: tuple[float, ...] = ()  # for each expression, 1 / (points on each face)
    square: tuple[bool, ...] = ()  # for each expression, whether its square is what is averaged
    data: Mapping[str, Tensor] = field(default_factory=dict)  # columns of an observation, [stop - start] each
    interior: bool = False
    across: int = 0  # of the second side of an interface: rows from here to the same points on the first one

    def part(self, start: int, stop: int) -> Block:
        """Rows [start, stop) of it; both count as the step's points do."""
        rows = slice(start - self.start, stop - self.start)
        return replace(self, start=start, stop=stop, data={name: column[rows] for name, column in self.data.items()})


@dataclass(frozen=True)
class Pass:
    """Blocks of one region whose points go through its network together: rows [start, stop), the first n of them with
    derivatives."""

    blocks: tuple[Block, ...]
    derivatives: int  # how many of the blocks need derivatives
    carried: DerivativeSet
    outputs: DerivativeSet

    @property
    def start(self) -> int:
        return self.blocks[0].start

    @property
    def stop(self) -> int:
        return self.blocks[-1].stop

    @property
    def n(self) -> int:
        return self.blocks[self.derivatives - 1].stop - self.start if self.derivatives else self.stop - self.start


def merged(blocks: Sequence[Block]) -> list[Pass]:
    """Fewer and larger passes. Blocks that need values only ride along with the last block of their region that
    needs derivatives; sides of interfaces, whose fluxes need first derivatives at most, with the equations where
    these carry them; and blocks that need the same derivatives, or first ones only, go together."""
    passes: list[Pass] = []
    for block in blocks:
        e = block.equations
        last = passes[-1] if passes and passes[-1].blocks[0].region == block.region else None
        if last is not None and e.carried.order == 0:
            passes[-1] = Pass((*last.blocks, block), last.derivatives, last.carried, last.outputs)
        elif (last is not None and not block.terms and e.carried.order == 1 and last.derivatives == len(last.blocks)
              and set(e.carried.first) <= set(last.carried.first)):
            first = tuple(sorted({*last.outputs.first, *e.carried.first}))
            outputs = DerivativeSet(first, last.outputs.operators, last.outputs.higher)
            passes[-1] = Pass((*last.blocks, block), last.derivatives + 1, last.carried, outputs)
        elif last is not None and (together := _together(last, e)) is not None:
            passes[-1] = Pass((*last.blocks, block), last.derivatives + 1, *together)
        else:
            passes.append(alone(block))
    return passes


def cut(passes: Sequence[Pass], limit: int) -> list[Pass]:
    """The same points in passes of at most `limit` of them, so that memory stays bounded.

    Equations with averages over their points stay whole.
    """
    out: list[Pass] = []
    for p in passes:
        if p.stop - p.start <= limit or any(b.equations.averages for b in p.blocks):
            out.append(p)
            continue
        for block in p.blocks:
            for start in range(block.start, block.stop, limit):
                out.append(alone(block.part(start, min(start + limit, block.stop))))
    return out


def portions(passes: Sequence[Pass], limit: int) -> list[tuple[Pass, ...]]:
    """The same points in portions of at most `limit`, so that the loss is the sum of what each of them gives.

    The two sides of an interface, of which the difference counts, are cut alike and stay together. Equations with
    averages over their points stay whole.
    """
    blocks = {block.start: block for p in passes for block in p.blocks}
    pairs = [(blocks[b.start + b.across], b) for b in blocks.values() if b.across]
    sides = {block.start for pair in pairs for block in pair}
    rest: list[Pass] = []
    for p in passes:
        apart = any(block.start in sides for block in p.blocks)
        rest += [alone(block) for block in p.blocks if block.start not in sides] if apart else [p]
    pieces: list[tuple[Pass, ...]] = [(p,) for p in cut(rest, limit)]
    half = max(1, limit // 2)
    for first, second in pairs:
        for start in range(first.start, first.stop, half):
            stop = min(start + half, first.stop)
            pieces.append((alone(first.part(start, stop)),
                           alone(second.part(start - second.across, stop - second.across))))
    out: list[tuple[Pass, ...]] = []
    filled = limit
    for piece in pieces:  # small ones go together
        size = sum(p.stop - p.start for p in piece)
        if filled + size <= limit:
            out[-1] += piece
            filled += size
        else:
            out.append(piece)
            filled = size
    return out


def alone(block: Block) -> Pass:
    e = block.equations
    return Pass((block,), int(e.carried.order > 0), e.carried, e.outputs)


def _together(last: Pass, e: Equations) -> tuple[DerivativeSet, DerivativeSet] | None:
    """What a pass carries and puts out if another block joins; None where it should not."""
    if last.derivatives < len(last.blocks):
        return None
    if (last.carried, last.outputs) == (e.carried, e.outputs):
        return e.carried, e.outputs
    if last.carried.order == 1 and e.carried.order == 1:
        carried = tuple(sorted({*last.carried.first, *e.carried.first}))
        return DerivativeSet(carried), DerivativeSet(tuple(sorted({*last.outputs.first, *e.outputs.first})))
    return None


def rows_of(jet: Jet, start: int, stop: int) -> Jet:
    """The jet of some of the points that have derivatives."""
    def rows(channel: Tensor | None) -> Tensor | None:
        return channel if channel is None or channel.shape[-2] == 1 else channel[..., start:stop, :]

    return Jet(jet.derivatives, jet.value[start:stop], rows(jet.first), [rows(o) for o in jet.operators],
               [rows(h) for h in jet.higher], stop - start)
