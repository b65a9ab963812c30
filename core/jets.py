"""A function's value and its partial derivatives carried forward through a network together (Taylor mode).

A jet holds, for a batch of points, the value of every unit and those of its derivatives that somebody asked for:
first derivatives, second-order operators (a single u_xy, or a whole Laplacian as one collapsed channel), and
derivatives of third and fourth order. Exact: the chain rule is Faa di Bruno's, the product rule Leibniz's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import torch
from torch import Tensor

Index = tuple[int, ...]  # the inputs that are differentiated by, sorted: (0, 0, 1) is d^3 / dx0^2 dx1


@dataclass(frozen=True)
class Operator:
    """A second-order operator with constant coefficients, sum of c_ij d^2 / dx_i dx_j, i <= j: one channel."""

    entries: tuple[tuple[tuple[int, int], float], ...]

    @classmethod
    def single(cls, index: Index) -> Operator:
        """The one derivative d^2 / dx_i dx_j."""
        return cls((((index[0], index[1]), 1.0),))


@dataclass(frozen=True)
class DerivativeSet:
    """Which derivatives a jet carries. Build it with `derivative_set`, which adds what the wanted ones need."""

    first: tuple[int, ...] = ()
    operators: tuple[Operator, ...] = ()
    higher: tuple[Index, ...] = ()  # orders three and four, ascending

    @property
    def order(self) -> int:
        """The highest order."""
        return len(self.higher[-1]) if self.higher else 2 if self.operators else 1 if self.first else 0


def derivative_set(indices: Iterable[Index], operators: Iterable[Operator] = ()) -> DerivativeSet:
    """The smallest set that holds the wanted derivatives and all that they are computed from.

    Raises ValueError for an order above four.
    """
    wanted = set(indices)
    if any(len(index) > 4 for index in wanted):
        raise ValueError("derivatives are carried up to fourth order")
    kept = list(dict.fromkeys(operators))
    for index in tuple(wanted):
        wanted.update(sub for size in range(1, len(index)) for sub in combinations(index, size))
    kept += [Operator.single(i) for i in sorted(wanted) if len(i) == 2 and Operator.single(i) not in kept]
    first = {i[0] for i in wanted if len(i) == 1} | {i for op in kept for pair, _ in op.entries for i in pair}
    higher = sorted((i for i in wanted if len(i) > 2), key=lambda i: (len(i), i))
    return DerivativeSet(tuple(sorted(first)), tuple(kept), tuple(higher))


@dataclass
class Jet:
    """One layer's units at a batch of points.

    value: [N, width]. The derivatives are of the first n <= N points: first [d, n, width] in the order of
    `derivatives.first` (or [d, 1, width] where they are the same at every point), operators and higher a list of
    [n, width] each, None where a derivative is zero everywhere.
    """

    derivatives: DerivativeSet
    value: Tensor
    first: Tensor | None
    operators: list[Tensor | None]
    higher: list[Tensor | None]
    n: int

    def get(self, index: Index) -> Tensor | None:
        """A derivative by its index; None where it is zero everywhere."""
        if not index:
            return self.value[: self.n]
        if len(index) == 1:
            return None if self.first is None else self.first[self.derivatives.first.index(index[0])]
        if len(index) == 2:
            return self.operators[self.derivatives.operators.index(Operator.single(index))]
        return self.higher[self.derivatives.higher.index(index)]


@dataclass(frozen=True)
class AffineRecord:
    """A product that a pass made: channels [rows, in] @ weight, plus the bias; `product` [rows, out] is in the graph.

    counts: rows of each channel, the value's first; those of first derivatives are one channel, input after input.
    """

    channels: Tensor
    counts: tuple[int, ...]
    product: Tensor
    n: int


#: What is written down of the passes made in this context, for whoever needs the derivative of every row apart.
_TAPE: ContextVar[list[object] | None] = ContextVar("tape", default=None)


@contextmanager
def recording() -> Iterator[list[object]]:
    """Write down every affine map with trained weights, and what else calls `record`, in the order of evaluation.

    First derivatives are then held for every point even where they are the same at all, so that each point's adjoint
    can be told from the others'.
    """
    tape: list[object] = []
    token = _TAPE.set(tape)
    try:
        yield tape
    finally:
        _TAPE.reset(token)


def record(entry: object) -> None:
    """Add to the tape, where there is one."""
    tape = _TAPE.get()
    if tape is not None:
        tape.append(entry)


def is_recording() -> bool:
    return _TAPE.get() is not None


def input_jet(weight: Tensor, bias: Tensor, x: Tensor, scale: Tensor, n: int, derivatives: DerivativeSet) -> Jet:
    """The jet of z = x @ weight + bias with respect to X, where x = (X - mean) / std and scale = 1 / std.

    weight [d, width], bias [width], x [N, d], scale [d, 1]. First derivatives are constant, higher ones zero.
    """
    if is_recording():
        return linear(_inputs(x, scale, n, derivatives), weight, bias)
    first = None
    if derivatives.first:
        slopes = weight * scale
        every = len(derivatives.first) == slopes.shape[0]
        # not indexed by the list, which would be copied to the device at every step
        wanted = slopes if every else torch.stack([slopes[k] for k in derivatives.first])
        first = wanted.unsqueeze(1)
    return Jet(derivatives, torch.addmm(bias, x, weight), first, [None] * len(derivatives.operators),
               [None] * len(derivatives.higher), n)


def _inputs(x: Tensor, scale: Tensor, n: int, derivatives: DerivativeSet) -> Jet:
    """The jet of the normalized inputs themselves, first derivatives at every point."""
    first = None
    if derivatives.first:
        own = torch.diag(scale.squeeze(1))[list(derivatives.first)]
        first = own.unsqueeze(1).expand(-1, n, -1)
    return Jet(derivatives, x, first, [None] * len(derivatives.operators), [None] * len(derivatives.higher), n)


def linear(jet: Jet, weight: Tensor, bias: Tensor) -> Jet:
    """weight applied to every channel in one product, bias to the value. weight [in, out], bias [out]."""
    n, width, out = jet.n, weight.shape[0], weight.shape[1]
    if jet.derivatives.order == 0:
        value = torch.addmm(bias, jet.value, weight)
        if weight.requires_grad:
            record(AffineRecord(jet.value, (len(value),), value, n))
        return Jet(jet.derivatives, value, None, [], [], n)
    channels = [jet.value]
    if jet.first is not None:
        channels.append(jet.first.reshape(-1, width))
    channels += [c for c in (*jet.operators, *jet.higher) if c is not None]
    stacked = torch.cat(channels)
    product = stacked @ weight
    counts = [c.shape[0] for c in channels]
    if weight.requires_grad:
        record(AffineRecord(stacked, tuple(counts), product, n))
    rows = iter(torch.split(product, counts))
    value = next(rows) + bias
    first = next(rows).view(len(jet.derivatives.first), -1, out) if jet.first is not None else None
    operators = [None if c is None else next(rows) for c in jet.operators]
    return Jet(jet.derivatives, value, first, operators, [None if c is None else next(rows) for c in jet.higher], n)


def compose(f: tuple[Tensor, ...], jet: Jet) -> Jet:
    """The jet of f(z): f = (f(z) on all rows, f'(z), f''(z), ... on the first n rows)."""
    d = jet.derivatives
    first = None if jet.first is None else f[1] * jet.first
    operators: list[Tensor | None] = []
    for operator, z in zip(d.operators, jet.operators, strict=True):
        quadratic = _quadratic(operator, jet)
        if z is None:
            operators.append(f[2] * quadratic)
        else:
            operators.append(torch.addcmul(f[2] * quadratic, f[1], z))
    higher: list[Tensor | None] = []
    for index in d.higher:
        terms = []
        for factor, blocks in partitions(index):
            parts = [jet.get(block) for block in blocks]
            product = _product(parts, factor)
            if product is not None:
                terms.append(f[len(blocks)] * product)
        higher.append(_sum(terms))
    return Jet(d, f[0], first, operators, higher, jet.n)


def multiply_add(a: Jet, b: Jet, c: Jet) -> Jet:
    """The jet of a * b + c, unit by unit (Leibniz). All three have the same derivatives and points."""
    d, n = a.derivatives, a.n
    value = torch.addcmul(c.value, a.value, b.value)
    first = None
    if a.first is not None and b.first is not None and c.first is not None:
        first = c.first + a.first * b.value[:n] + a.value[:n] * b.first
    operators: list[Tensor | None] = []
    for k, operator in enumerate(d.operators):
        terms = [c.operators[k], _product([a.operators[k], b.value[:n]], 1), _product([a.value[:n], b.operators[k]], 1),
                 _polar(operator, a, b)]
        operators.append(_sum(t for t in terms if t is not None))
    higher: list[Tensor | None] = []
    for k, index in enumerate(d.higher):
        terms = [c.higher[k]]
        terms += [_product([a.get(left), b.get(right)], factor) for factor, left, right in splittings(index)]
        higher.append(_sum(t for t in terms if t is not None))
    return Jet(d, value, first, operators, higher, n)


def subtract(a: Jet, b: Jet) -> Jet:
    """The jet of a - b."""
    def minus(x: Tensor | None, y: Tensor | None) -> Tensor | None:
        return None if x is None or y is None else x - y

    return Jet(a.derivatives, a.value - b.value, minus(a.first, b.first),
               [minus(x, y) for x, y in zip(a.operators, b.operators, strict=True)],
               [minus(x, y) for x, y in zip(a.higher, b.higher, strict=True)], a.n)


# ---------------------------------------------------------------------- combinatorics

@cache
def partitions(index: Index) -> tuple[tuple[int, tuple[Index, ...]], ...]:
    """Faa di Bruno: how often each set of blocks occurs among the partitions of an index. Blocks are sorted indices."""
    counts: Counter[tuple[Index, ...]] = Counter()
    for blocks in _set_partitions(list(range(len(index)))):
        counts[tuple(sorted(tuple(index[i] for i in block) for block in blocks))] += 1
    return tuple((count, blocks) for blocks, count in counts.items())


@cache
def splittings(index: Index) -> tuple[tuple[int, Index, Index], ...]:
    """Leibniz: how often each (derivative of a, derivative of b) occurs in the derivative of a * b."""
    counts: Counter[tuple[Index, Index]] = Counter()
    places = range(len(index))
    for size in range(len(index) + 1):
        for chosen in combinations(places, size):
            left = tuple(index[i] for i in chosen)
            counts[left, tuple(index[i] for i in places if i not in chosen)] += 1
    return tuple((count, left, right) for (left, right), count in counts.items())


def _set_partitions(items: list[int]) -> Iterator[list[list[int]]]:
    if not items:
        yield []
        return
    head, rest = items[0], items[1:]
    for blocks in _set_partitions(rest):
        yield [[head], *blocks]
        for k in range(len(blocks)):
            yield [*blocks[:k], [head, *blocks[k]], *blocks[k + 1:]]


# ---------------------------------------------------------------------- products that know of zeros

def _quadratic(operator: Operator, jet: Jet) -> Tensor:
    """sum of c_ij z_i z_j for the first derivatives z_i."""
    assert jet.first is not None
    first = jet.derivatives.first
    if operator.entries == tuple(((i, i), 1.0) for i in first):
        return (jet.first * jet.first).sum(0)
    total = None
    for (i, j), c in operator.entries:
        term = jet.first[first.index(i)] * jet.first[first.index(j)]
        term = term if c == 1 else c * term
        total = term if total is None else total + term
    assert total is not None
    return total


def _polar(operator: Operator, a: Jet, b: Jet) -> Tensor:
    """sum of c_ij (a_i b_j + a_j b_i): the mixed part of the operator applied to a product."""
    assert a.first is not None and b.first is not None
    first = a.derivatives.first
    if operator.entries == tuple(((i, i), 1.0) for i in first):
        return 2 * (a.first * b.first).sum(0)
    total = None
    for (i, j), c in operator.entries:
        p, q = first.index(i), first.index(j)
        term = 2 * c * a.first[p] * b.first[p] if i == j else c * (a.first[p] * b.first[q] + a.first[q] * b.first[p])
        total = term if total is None else total + term
    assert total is not None
    return total


def _product(parts: list[Tensor | None], factor: int) -> Tensor | None:
    """factor times the product, None where a part is zero everywhere."""
    product: Tensor | None = None
    for part in parts:
        if part is None:
            return None
        product = part if product is None else product * part
    return product if factor == 1 or product is None else factor * product


def _sum(terms: Iterable[Tensor]) -> Tensor | None:
    total = None
    for term in terms:
        total = term if total is None else total + term
    return total
