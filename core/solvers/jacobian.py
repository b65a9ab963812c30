"""The Jacobian of all residuals by the parameters, layer by layer.

A residual depends on the network at its own point only. So one backward pass of the sum of all residuals gives every
point's adjoint at the output of every affine map, and the point's derivative by the map's weights is the sum over the
jet's channels of input times adjoint: one batched product for each layer, not one backward pass for each point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.jets import AffineRecord, recording
from core.layers import layers_of, slope_scale
from core.networks import MLP
from core.objective import Objective
from core.passes import Block, Pass, cut
from core.raf import ActivationRecord, Learnable

#: Numbers of a piece of the Jacobian at a time: 64 MB in float64.
PIECE = 8_000_000
#: Fewest points of a piece, below which a pass costs more than what is in it.
FEWEST = 8


@dataclass(frozen=True)
class Piece:
    """Some rows of the Jacobian. numbers [m] of the rows in `Objective.rows`, values [m], j [m, P]."""

    numbers: Tensor
    values: Tensor
    j: Tensor


def why_not(objective: Objective) -> str:
    """A sentence where a loss is no weighted sum of squares of residuals at points of their own; '' where it is one."""
    if len(objective.regions) > 1:
        return "the loss of sub-domains has terms that join two networks, which are no rows of one Jacobian"
    for block in objective.blocks:
        if block.equations.averages:
            return "the equations hold averages over all points, so no residual belongs to one point"
        if not all(block.square):
            name = objective.terms[block.terms[block.square.index(False)]]
            return f"the loss term '{name}' is the mean of an expression, not of its square"
    return ""


def pieces(objective: Objective, theta: Tensor, draws: Tensor, limit: int = 0) -> Iterator[Piece]:
    """The Jacobian [R, P] in pieces of at most `limit` points, by default so that a piece takes 64 MB.

    theta [P], draws [N, c]. Raises ValueError with a sentence for a loss that has no such rows.
    """
    reason = why_not(objective)
    if reason:
        raise ValueError(f"this loss is not a sum of squares at single points: {reason}")
    each = max(len(block.terms) for block in objective.blocks)  # rows of a point
    limit = limit or max(FEWEST // each, PIECE // (each * len(theta)), 1)
    first = first_rows(objective)
    x = objective.places.physical(draws)
    for p in cut(objective.passes, limit):
        yield _piece(objective, theta, x, p, first)


def jacobian(objective: Objective, theta: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """(residuals [R], their Jacobian [R, P]), in the order of `Objective.rows`. Raises ValueError as `pieces`."""
    rows = len(objective.row_table()[0])
    values, j = theta.new_zeros(rows), theta.new_zeros(rows, len(theta))
    for piece in pieces(objective, theta, draws):
        values[piece.numbers], j[piece.numbers] = piece.values, piece.j
    return values, j


def first_rows(objective: Objective) -> list[tuple[int, int, int]]:
    """(start, stop, number of the first row) of every block's points."""
    out, row = [], 0
    for block in objective.blocks:
        out.append((block.start, block.stop, row))
        row += (block.stop - block.start) * len(block.terms)
    return out


def _piece(objective: Objective, theta: Tensor, x: Tensor, p: Pass, first: Sequence[tuple[int, int, int]]) -> Piece:
    leaf = theta.detach().requires_grad_()
    unknowns = objective.regions[0].unknowns
    with torch.enable_grad(), recording() as tape:
        jets = objective.jets_of(p, leaf, x)
        # an unknown is held once for every point, so that each has its own derivative by it
        apart = {name: theta[place].detach().expand(p.stop - p.start).clone().requires_grad_()
                 for name, place in unknowns.items()}
        found = []
        for block, jet in jets:
            rows = slice(block.start - p.start, block.stop - p.start)
            known = {name: column[rows] for name, column in apart.items()} | dict(block.data)
            found.append((block, block.equations.residuals(jet, x[block.start: block.stop], known)))
    records = [entry for entry in tape if isinstance(entry, (AffineRecord, ActivationRecord))]
    nodes = [node for entry in records for node in _nodes(entry)] + list(apart.values())
    numbers, values, parts = [], [], []
    count = max(len(own) for _, own in found)
    for k in range(count):
        own = [(block, residuals[k]) for block, residuals in found if k < len(residuals)]
        j = _rows(objective, leaf, p, records, nodes, torch.cat([r for _, r in own]).sum(), last=k == count - 1)
        for block, residual in own:
            begin = _number(block, k, first)
            numbers.append(torch.arange(begin, begin + block.stop - block.start, device=leaf.device))
            values.append(residual.detach())
            parts.append(j[block.start - p.start: block.stop - p.start])
    one = len(parts) == 1 and len(parts[0]) == p.stop - p.start
    return Piece(torch.cat(numbers), torch.cat(values), parts[0] if one else torch.cat(parts))


def rows_in(objective: Objective, theta: Tensor, x: Tensor, portion: Sequence[Pass]) -> tuple[Tensor, Tensor]:
    """(numbers [m] in `Objective.rows`, residuals [m]) of some of the points; x [N, d] all points of the step."""
    first, unknowns = first_rows(objective), objective.regions[0].unknowns
    known = {name: theta[place] for name, place in unknowns.items()}
    numbers, values = [], []
    for p in portion:
        for block, jet in objective.jets_of(p, theta, x):
            found = block.equations.residuals(jet, x[block.start: block.stop], known | dict(block.data))
            for k, residual in enumerate(found):
                begin = _number(block, k, first)
                numbers.append(torch.arange(begin, begin + block.stop - block.start, device=theta.device))
                values.append(residual)
    return torch.cat(numbers), torch.cat(values)


def _number(block: Block, k: int, first: Sequence[tuple[int, int, int]]) -> int:
    """The number of the first row of a block's k-th expression; the block may be a part of one of the objective's."""
    start, stop, row = next(f for f in first if f[0] <= block.start < f[1])
    return row + k * (stop - start) + block.start - start


def _nodes(entry: AffineRecord | ActivationRecord) -> list[Tensor]:
    if isinstance(entry, AffineRecord):
        return [entry.product]
    return [part for part in entry.parts if part.requires_grad]


def _rows(objective: Objective, leaf: Tensor, p: Pass, records: Sequence[AffineRecord | ActivationRecord],
          nodes: Sequence[Tensor], total: Tensor, *, last: bool) -> Tensor:
    """d(residual) / d(theta) of every point of the pass, [points, P], from the sum of the residuals."""
    points = p.stop - p.start
    j = leaf.new_zeros(points, len(leaf))
    if not total.requires_grad:
        return j
    with torch.no_grad():
        adjoints: Iterator[Tensor | None] = iter(
            torch.autograd.grad(total, nodes, retain_graph=not last, allow_unused=True))
        network = objective.networks[0]
        layers = iter(layers_of(network))
        place = network.activation_offset if isinstance(network, MLP) else 0
        for entry in records:
            if isinstance(entry, AffineRecord):
                layer, adjoint = next(layers), next(adjoints)
                if adjoint is None:
                    continue
                effective = _affine(entry, adjoint)
                if layer.slope is None:
                    j[:, layer.affine] = effective
                else:
                    raw, slope = leaf[layer.affine], leaf[layer.slope]
                    by_neuron = (points, layer.inputs + 1, layer.neurons)
                    scale = slope_scale(network)
                    j[:, layer.affine] = (effective.view(by_neuron) * (scale * slope)).flatten(1)
                    own = scale * (effective * raw).view(by_neuron).sum(1)
                    j[:, layer.slope] += own if len(slope) > 1 or layer.neurons == 1 else own.sum(1, keepdim=True)
            else:
                size = len(entry.own)
                j[:, place: place + size] = _activation(entry, [next(adjoints) if part.requires_grad else None
                                                                for part in entry.parts])
                place += size
        for column, adjoint in zip(objective.regions[0].unknowns.values(), adjoints, strict=True):
            if adjoint is not None:
                j[:, column] = adjoint
    return j


def _affine(entry: AffineRecord, adjoint: Tensor) -> Tensor:
    """d(residual) / d(W, b) [N, (in + 1) * out]: the channels' inputs times their adjoints."""
    n, points = entry.n, entry.counts[0]
    inputs, adjoints = entry.channels.detach(), adjoint
    out = adjoint.new_empty(points, inputs.shape[1] + 1, adjoint.shape[1])
    value = adjoints[:points]
    if len(entry.counts) == 1:
        torch.mul(inputs[:points].unsqueeze(2), value.unsqueeze(1), out=out[:, :-1])
    else:
        left = torch.cat([inputs[:n], inputs[points:]]).view(-1, n, inputs.shape[1])
        right = torch.cat([value[:n], adjoints[points:]]).view(-1, n, adjoint.shape[1])
        out[:n, :-1] = torch.bmm(left.permute(1, 2, 0), right.permute(1, 0, 2))
        if n < points:
            out[n:, :-1] = inputs[n:points].unsqueeze(2) * value[n:].unsqueeze(1)
    out[:, -1] = value
    return out.flatten(1)


def _activation(entry: ActivationRecord, adjoints: Sequence[Tensor | None]) -> Tensor:
    """d(residual) / d(the activation's parameters) [N, own], one forward derivative for each kind of parameter.

    By a backward pass that is linear in its seeds, whose derivative by them is the forward one: forward mode itself
    loads torch's compiler, with a warning.
    """
    z = entry.z.detach()
    points, width = z.shape
    by_neuron = isinstance(entry.function, Learnable)  # each neuron's parameters act on that neuron only
    with torch.enable_grad():
        own = entry.own.detach().requires_grad_()
        parts = [(part, adjoint) for part, adjoint in zip(entry.function(z, entry.n, entry.order, own), adjoints,
                                                          strict=True) if adjoint is not None and part.requires_grad]
        out = z.new_zeros(points, len(own))
        if not parts:
            return out
        seeds = [torch.zeros_like(part).requires_grad_() for part, _ in parts]
        pulled = torch.autograd.grad([part for part, _ in parts], own, seeds, create_graph=True)[0]
    for k in range(len(own) // width if by_neuron else len(own)):
        tangent = torch.zeros_like(own)
        columns = slice(k * width, (k + 1) * width) if by_neuron else slice(k, k + 1)
        tangent[columns] = 1
        changes = torch.autograd.grad(pulled, seeds, tangent, retain_graph=True, allow_unused=True)
        for (_, adjoint), change in zip(parts, changes, strict=True):
            if change is not None:
                product = adjoint * change
                out[: len(product), columns] += product if by_neuron else product.sum(1, keepdim=True)
    return out
