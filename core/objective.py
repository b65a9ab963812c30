"""The loss as a pure function of (parameters, random draws): points, residuals, one mean square for each loss term."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from core.choices import RECOVERY, Normalize
from core.decomposition import Box, boxes, interfaces, statements_in
from core.equation import NOTHING, Equations, prepare, simplified
from core.expression import Program
from core.jetmath import constrained
from core.jets import DerivativeSet, Jet
from core.networks import Network, initial_parameters
from core.parameters import Parameter
from core.passes import Block, Pass, Region, alone, merged, portions, rows_of
from core.places import Data, Places
from core.problem import AVERAGE, FLUX, Problem, Statement

#: Above so many points a step, and losses without a gradient, are evaluated a portion at a time.
MANY = 65_536
#: Points of a portion on the CPU: what stays in its caches was measured to be twice as fast as all at once. A GPU,
#: which wants more work at a time, takes MANY.
PORTION = 8192


class Objective:
    """Everything about the loss that does not change while training.

    Each loss term is a sum of mean squares: one for each equation, and one for each face of each condition, as in
    Wang et al. 2021 (whose Helmholtz boundary loss is the sum over the four edges). Points come from `draws` [N, c] in
    [0, 1]. The flat parameters are the networks', then the unknowns. `data`: the points of every observation.
    device: where everything is that a step needs; theta and draws are expected there.
    """

    def __init__(self, problem: Problem, networks: Network | Sequence[Network], dtype: torch.dtype, *,
                 normalize: Normalize = "z-score", data: Mapping[str, Data] | None = None,
                 device: torch.device | str = "cpu") -> None:
        self.problem, self.dtype = problem, dtype
        self.device = torch.empty(0, device=device).device  # with its number, as tensors there have it
        self._normalize, self._data = normalize, dict(data or {})
        self.networks = tuple(networks) if isinstance(networks, Sequence) else (networks,)
        self.network = self.networks[0]
        for network in self.networks:
            network.hold(dtype, self.device)
        parts = boxes(problem)
        assert len(parts) == len(self.networks), "a network for each sub-domain"
        self.regions = self._regions(parts, normalize)
        has_recovery = all(n.has_recovery for n in self.networks)
        self.terms = (*problem.terms, RECOVERY) if has_recovery else problem.terms
        self._recovery = self.terms.index(RECOVERY) if has_recovery else None
        self._hard = {name: Program(simplified(node, problem.constants)) for name, node in problem.hard_nodes.items()}
        self.places = Places(problem, dtype, self.device)
        self.blocks: list[Block] = []
        self._sides: dict[tuple[int, int], Block] = {}  # (interface, 0 before or 1 after)
        self._interfaces = interfaces(parts)
        for number in range(len(parts)):
            self._lay_out(parts, number, self._data)
        self.places.close()
        self.passes = merged(self.blocks)
        self.points = self.places.rows

    # ------------------------------------------------------------------ what others ask

    @property
    def dimension(self) -> int:
        """Number of inputs."""
        return len(self.problem.domain)

    @property
    def columns(self) -> int:
        """Random numbers for each point."""
        return self.places.columns

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(p.size for p in self.parameters)

    def initial(self, generator: torch.Generator) -> Tensor:
        """Start values [P] of the networks and the unknowns; the generator is one of the CPU on every device."""
        return initial_parameters(self, generator, self.dtype).to(self.device)

    def losses(self, theta: Tensor, draws: Tensor) -> list[Tensor]:
        """Raw loss terms, T scalars, before any weight. theta [P], draws [N, c] in [0, 1].

        Where no gradient is wanted, many points are evaluated in portions, so that memory stays bounded.
        """
        x = self.places.physical(draws)
        if torch.is_grad_enabled() or self.points <= MANY:
            return self._total(self._sums(theta, x, self.passes), theta)
        parts = [self.losses_at(theta, x, portion) for portion in self.portions()]
        return self._total([torch.stack(own).sum() for own in zip(*parts, strict=True)], theta)

    def losses_apart(self, theta: Tensor, draws: Tensor) -> list[Tensor]:
        """The same, every point still visited once, but each group of points in a pass of its own.

        The gradient of one term then costs a backward pass over that term's points only.
        """
        x = self.places.physical(draws)
        return self._total(self._sums(theta, x, [alone(block) for block in self.blocks]), theta)

    def portions(self, limit: int = 0) -> list[tuple[Pass, ...]]:
        """The points of a step, at most `limit` at a time (0: what suits the device) but for equations with averages
        over them."""
        return portions(self.passes, limit or (PORTION if self.device.type == "cpu" else MANY))

    def losses_at(self, theta: Tensor, x: Tensor, portion: Sequence[Pass]) -> list[Tensor]:
        """What a portion adds to the T raw losses; x [N, d] all points of the step. Slope recovery is not in it."""
        return [theta.new_zeros(()) if t is None else t for t in self._sums(theta, x, portion)]

    def rows(self, theta: Tensor, draws: Tensor) -> Tensor:
        """The residuals [R] of every statement at each of its points, one block after the other.

        Not for sub-domains. `row_terms`, `row_scales` and `row_square` [R] say what becomes of a row in the loss.
        """
        values = self._evaluate(theta, self.places.physical(draws), self.passes)
        return torch.cat([v for block in self.blocks for v in values[block.start]])

    def row_table(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """For every row of `rows`: its loss term (int64), its scale, whether it is squared, and its point's number."""
        columns: list[tuple[Tensor, ...]] = []
        for block in self.blocks:
            points = torch.arange(block.start, block.stop)
            for t, scale, square in zip(block.terms, block.scales, block.square, strict=True):
                columns.append((torch.full_like(points, t), torch.full_like(points, scale, dtype=self.dtype),
                                torch.full_like(points, square, dtype=torch.bool), points))
        terms, scales, squares, rows = (torch.cat(c).to(self.device) for c in zip(*columns, strict=True))
        return terms, scales, squares, rows

    def residual_size(self, theta: Tensor, draws: Tensor) -> Tensor:
        """Root of the sum of squares of all equations at points drawn inside the domain, [M]; draws [M, c].

        Not for sub-domains. For samplers that follow the residual.
        """
        inside = [block for block in self.blocks if block.interior]
        total = theta.new_zeros(len(draws))
        with torch.no_grad():
            x = self.places.physical_of(inside[0].start, draws)
            for block in inside:
                parts = [torch.stack(self.values(theta, part, block.equations), 1) for part in torch.split(x, 20_000)]
                total += torch.cat(parts).square().sum(1)
        return total.sqrt()

    def values(self, theta: Tensor, x: Tensor, equations: Equations, *, fields: bool = False,
               known: Mapping[str, Tensor] = NOTHING) -> list[Tensor]:
        """Expressions, or the fields themselves, at any points x [M, d] in physical units; [M] each.

        known: scalars that the expressions use by name beside the unknowns, such as averages over the domain.
        """
        if len(self.regions) == 1:
            return self._values_in(0, theta, x, equations, fields, known)
        home = self.region_of(x)
        out: list[Tensor] = []
        for number in range(len(self.regions)):
            rows = (home == number).nonzero().squeeze(1)
            if len(rows) == 0:
                continue
            values = self._values_in(number, theta, x[rows], equations, fields, known)
            out = out or [theta.new_zeros(len(x)) for _ in values]
            for target, value in zip(out, values, strict=True):
                target[rows] = value
        return out

    def region_of(self, x: Tensor) -> Tensor:
        """The number of the sub-domain of each point [M]; on an interface the one before it."""
        home = torch.zeros(len(x), dtype=torch.long, device=x.device)
        ends = x.new_tensor([(r.box.low, r.box.high) for r in self.regions])
        x = torch.maximum(torch.minimum(x, ends[:, 1].amax(0)), ends[:, 0].amin(0))  # rounding may leave the domain
        for number in reversed(range(len(self.regions))):
            box = self.regions[number].box
            low, high = x.new_tensor(box.low), x.new_tensor(box.high)
            home[((x >= low) & (x <= high)).all(1)] = number
        return home

    def unknowns(self, theta: Tensor) -> dict[str, float]:
        """The present values of the unknowns; those of sub-domains as 'nu 1', 'nu 2', ..."""
        return {p.name: float(theta[p.offset]) for p in self._unknowns}

    def recovery(self, theta: Tensor) -> tuple[int, Tensor] | None:
        """The number of slope recovery's loss term and its value, summed over the sub-domains; None without."""
        if self._recovery is None:
            return None
        return self._recovery, torch.stack([r.network.recovery(theta[r.theta]) for r in self.regions]).sum()

    def jet(self, region: int, theta: Tensor, x: Tensor, n: int, carried: DerivativeSet,
            outputs: DerivativeSet) -> Jet:
        """The fields' jet at points x [N, d] of a region, hard constraints included."""
        r = self.regions[region]
        z = (x - r.center) * r.scale
        own = theta if len(self.regions) == 1 and not self._unknowns else theta[r.theta]
        if not self._hard:
            return r.network.forward(own, z, r.scale.unsqueeze(1), n, carried, outputs)
        raw = r.network.forward(own, z, r.scale.unsqueeze(1), n, carried, carried)
        return constrained(raw, x, self.problem.fields, self.problem.inputs, self._hard)

    def twin(self, dtype: torch.dtype, points: int = 0, networks: Sequence[Network] | None = None) -> Objective:
        """The loss of the same problem and observations in a precision of its own; networks: others in their place.

        points: about how many rows each loss term gets in place of its own number, divided among its equations and
        the faces of its conditions, at least one each; of an observation some that are spread evenly over its rows,
        since a file's first ones may lie in a corner. Not for sub-domains; 0 for the points as they are.
        """
        problem, data = self.problem, self._data
        if points:
            pieces = Counter(s.term for s in problem.statements for _ in s.faces or (None,))
            share = {term: max(1, round(points / count)) for term, count in pieces.items()}
            problem = replace(problem,
                              residuals=tuple(replace(r, points=share[r.term]) for r in problem.residuals),
                              conditions=tuple(replace(c, points=share[c.term]) for c in problem.conditions))
            for o in problem.observations:
                count = len(data[o.name].points)
                rows = torch.linspace(0, count - 1, min(share[o.term], count), dtype=torch.float64).round().long()
                data = data | {o.name: data[o.name].at(rows)}
        return Objective(problem, networks or self.networks, dtype, normalize=self._normalize, data=data,
                         device=self.device)

    @cached_property
    def on_cpu(self) -> Objective:
        """The same loss on the CPU: this one where it is there."""
        return self if self.device.type == "cpu" else self.on("cpu")

    def on(self, device: torch.device | str) -> Objective:
        """The same loss on another device."""
        return Objective(self.problem, self.networks, self.dtype, normalize=self._normalize, data=self._data,
                         device=device)

    # ------------------------------------------------------------------ the loss

    def _sums(self, theta: Tensor, x: Tensor, passes: Sequence[Pass]) -> list[Tensor | None]:
        """What the points of some passes add to each term; None where nothing."""
        values = self._evaluate(theta, x, passes)
        terms: list[Tensor | None] = [None] * len(self.terms)

        def add(term: int, loss: Tensor) -> None:
            previous = terms[term]
            terms[term] = loss if previous is None else previous + loss

        d = self.problem.decomposition
        for block in (b for p in passes for b in p.blocks):
            if block.across and d is not None:
                before, after = values[block.start + block.across], values[block.start]
                add(self.terms.index(FLUX), (before[0] - after[0]).square().sum() / d.interface_points)
                for a, b in zip(before[1:], after[1:], strict=True):
                    # each side's distance to the average of the two, squared: twice ((a - b) / 2)^2
                    add(self.terms.index(AVERAGE), (a - b).square().sum() / (2 * d.interface_points))
            for value, term, scale, square in zip(values[block.start], block.terms, block.scales, block.square,
                                                  strict=False):
                add(term, (value * value if square else value).sum() * scale)
        return terms

    def _total(self, sums: Sequence[Tensor | None], theta: Tensor) -> list[Tensor]:
        """The T raw losses from what the points add, with slope recovery."""
        losses = [theta.new_zeros(()) if t is None else t for t in sums]
        recovery = self.recovery(theta)
        if recovery is not None:
            losses[recovery[0]] = losses[recovery[0]] + recovery[1]
        return losses

    def _evaluate(self, theta: Tensor, x: Tensor, passes: Sequence[Pass]) -> dict[int, list[Tensor]]:
        """The expressions' values by the start of their block; x [N, d] all points of a step."""
        out: dict[int, list[Tensor]] = {}
        for p in passes:
            for block, jet in self.jets_of(p, theta, x):
                known = self._known(block.region, theta, block.data)
                out[block.start] = block.equations.residuals(jet, x[block.start: block.stop], known)
        return out

    def jets_of(self, p: Pass, theta: Tensor, x: Tensor) -> list[tuple[Block, Jet]]:
        """The blocks of a pass, each with the fields' jet at its points; x [N, d] all points of a step."""
        jet = self.jet(p.blocks[0].region, theta, x[p.start: p.stop], p.n, p.carried, p.outputs)
        out = []
        for position, block in enumerate(p.blocks):
            own = jet
            if position >= p.derivatives > 0 or (p.derivatives == 0 and len(p.blocks) > 1):
                value = jet.value[block.start - p.start: block.stop - p.start]
                own = Jet(DerivativeSet(), value, None, [], [], block.stop - block.start)
            elif p.derivatives > 1:
                own = rows_of(jet, block.start - p.start, block.stop - p.start)
            out.append((block, own))
        return out

    def _known(self, region: int, theta: Tensor, data: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        unknowns = self.regions[region].unknowns
        if not unknowns and not data:
            return NOTHING
        return {name: theta[place] for name, place in unknowns.items()} | dict(data)

    def _values_in(self, region: int, theta: Tensor, x: Tensor, equations: Equations, fields: bool,
                   known: Mapping[str, Tensor]) -> list[Tensor]:
        if fields:
            jet = self.jet(region, theta, x, len(x), DerivativeSet(), DerivativeSet())
            return list(jet.value.unbind(1))
        jet = self.jet(region, theta, x, len(x), equations.carried, equations.outputs)
        return equations.residuals(jet, x, self._known(region, theta, known))

    # ------------------------------------------------------------------ building

    def _regions(self, parts: Sequence[Box], normalize: Normalize) -> tuple[Region, ...]:
        parameters: list[Parameter] = []
        slices, offset = [], 0
        for number, network in enumerate(self.networks, start=1):
            prefix = f"{number}: " if len(parts) > 1 else ""
            begin = offset
            for p in network.parameters:
                parameters.append(Parameter(prefix + p.name, p.shape, begin + p.offset, p.initial))
                offset += p.size
            slices.append(slice(begin, offset))
        d = self.problem.decomposition
        self._unknowns: list[Parameter] = []
        places: list[dict[str, int]] = [{} for _ in parts]
        for name, start in self.problem.unknowns.items():
            local = d is not None and name in d.local
            for number in range(len(parts) if local else 1):
                value = d.starts[number] if local and d is not None and d.starts else start
                title = f"{name} {number + 1}" if local else name
                self._unknowns.append(Parameter(title, (), offset, _constant(value)))
                for part in ([number] if local else range(len(parts))):
                    places[part][name] = offset
                offset += 1
        self.parameters = (*parameters, *self._unknowns)
        self.kernels = tuple(
            Parameter((f"{number}: " if len(parts) > 1 else "") + k.name, k.shape, s.start + k.offset, k.initial)
            for number, (network, s) in enumerate(zip(self.networks, slices, strict=True), start=1)
            for k in network.kernels)
        out = []
        for box, network, s, unknowns in zip(parts, self.networks, slices, places, strict=True):
            low = torch.tensor(box.low, dtype=torch.float64)
            span = torch.tensor(box.high, dtype=torch.float64) - low
            # a uniform variable has standard deviation span / sqrt(12): the z-score of the paper's code, noise-free
            factor = {"z-score": math.sqrt(12) / span, "unit": 2 / span, "none": torch.ones_like(span)}[normalize]
            center = torch.zeros_like(low) if normalize == "none" else low + span / 2
            center, factor = center.to(self.device, self.dtype), factor.to(self.device, self.dtype)
            out.append(Region(box, network, s, center, factor, unknowns))
        return tuple(out)

    def _lay_out(self, parts: Sequence[Box], number: int, data: Mapping[str, Data]) -> None:
        """The blocks of one region: those with derivatives first, so that values only can join the last one's pass."""
        p, box = self.problem, parts[number]
        groups: dict[tuple[object, ...], list[Statement]] = {}
        for s in statements_in(p, parts, number):
            groups.setdefault((s.faces, s.points, s.observation), []).append(s)
        prepared = [(group, prepare([s.expression for s in group], p.inputs, p.fields, p.constants, p.average_nodes))
                    for group in groups.values()]
        prepared.sort(key=lambda pair: pair[1].carried.order == 0)
        sides = self._side_equations(number)
        derived = sum(e.carried.order > 0 for _, e in prepared)
        for group, equations in prepared[:derived]:
            self._add(number, box, group, equations, data)
        for (interface, side), equations in sides:
            count = p.decomposition.interface_points if p.decomposition else 0
            face = self._interfaces[interface]
            other = self._sides.get((interface, 1 - side))
            start, stop = self.places.add_face(box, face.axis, face.at, count,
                                               same_as=other.start if other is not None else None)
            block = Block(number, equations, start, stop, across=other.start - start if other is not None else 0)
            self._sides[interface, side] = block
            self.blocks.append(block)
        for group, equations in prepared[derived:]:
            self._add(number, box, group, equations, data)

    def _add(self, number: int, box: Box, group: list[Statement], equations: Equations,
             data: Mapping[str, Data]) -> None:
        lead = group[0]
        columns: Mapping[str, Tensor] = {}
        if lead.observation:
            own = data[lead.observation]
            if len(self.regions) > 1:  # each point counts once, also on an interface
                own = own.at(self.region_of(own.points) == number)
            if len(own.points) == 0:
                return
            start, stop = self.places.add_points(own.points)
            columns = {f"{name}_data": column.to(self.device, self.dtype) for name, column in own.columns.items()}
            count = stop - start
        else:
            start, stop = self.places.add(box, lead.faces, lead.points)
            count = lead.points
        self.blocks.append(Block(
            number, equations, start, stop, tuple(self.terms.index(s.term) for s in group),
            (1 / count,) * len(group), tuple(s.measure == "square" for s in group), columns, lead.interior))

    def _side_equations(self, number: int) -> list[tuple[tuple[int, int], Equations]]:
        p, out = self.problem, []
        values = [p.field_node(name) for name in p.fields]
        for k, face in enumerate(self._interfaces):
            for side, region in enumerate((face.before, face.after)):
                if region == number:
                    equations = prepare([p.flux_nodes[face.axis], *values], p.inputs, p.fields, p.constants)
                    out.append(((k, side), equations))
        return out


def _constant(value: float) -> Callable[[torch.Generator], Tensor]:
    return lambda generator: torch.tensor(value, dtype=torch.float64)
