"""Arithmetic with jets, for what is built into a field as a formula: distance functions, boundary values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.activations import tanh
from core.expression import Derivative, Name, Program
from core.jets import DerivativeSet, Jet, compose, multiply_add

#: (value, highest order) -> (f, f', ...), each of the value's shape
Series = Callable[[Tensor, int], tuple[Tensor, ...]]


@dataclass(frozen=True)
class JetNumber:
    """One scalar quantity at N points with its derivatives; +, -, *, / and ** as numbers have them.

    The jet has width 1: value [N, 1].
    """

    jet: Jet

    def __add__(self, other: JetNumber | float) -> JetNumber:
        if isinstance(other, JetNumber):
            return JetNumber(_sum(self.jet, other.jet))
        return JetNumber(_with_value(self.jet, self.jet.value + other))

    __radd__ = __add__

    def __neg__(self) -> JetNumber:
        return self * -1.0

    def __sub__(self, other: JetNumber | float) -> JetNumber:
        return self + (-other)

    def __rsub__(self, other: float) -> JetNumber:
        return -self + other

    def __mul__(self, other: JetNumber | float) -> JetNumber:
        if isinstance(other, JetNumber):
            return JetNumber(multiply_add(self.jet, other.jet, zero(self.jet)))
        return JetNumber(_scaled(self.jet, other))

    __rmul__ = __mul__

    def __truediv__(self, other: JetNumber | float) -> JetNumber:
        if isinstance(other, JetNumber):
            return self * (other ** -1)
        return self * (1 / other)

    def __rtruediv__(self, other: float) -> JetNumber:
        return (self ** -1) * other

    def __pow__(self, exponent: JetNumber | float) -> JetNumber:
        if isinstance(exponent, JetNumber):
            return (self.apply(_log) * exponent).apply(_exp)
        return self.apply(lambda z, order: _power(z, exponent, order))

    def __rpow__(self, base: float) -> JetNumber:
        return (self * float(torch.log(torch.tensor(base, dtype=torch.float64)))).apply(_exp)

    def apply(self, series: Series) -> JetNumber:
        """A function of it, given with its derivatives."""
        jet = self.jet
        order = jet.derivatives.order
        value, *higher = series(jet.value, order)
        return JetNumber(compose((value, *(h[: jet.n] for h in higher)), jet))


def coordinate(x: Tensor, axis: int, n: int, derivatives: DerivativeSet) -> JetNumber:
    """An input itself. x [N, d]: its first derivative by itself is 1, all others are 0."""
    first = None
    if derivatives.first:
        # made where x is: a list would be copied there at every step
        place = derivatives.first.index(axis) if axis in derivatives.first else -1
        own = torch.arange(len(derivatives.first), device=x.device) == place
        first = own.to(x.dtype).view(-1, 1, 1)
    return JetNumber(Jet(derivatives, x[:, axis: axis + 1], first, [None] * len(derivatives.operators),
                         [None] * len(derivatives.higher), n))


def constrained(jet: Jet, x: Tensor, fields: Sequence[str], inputs: Sequence[str],
                programs: Mapping[str, Program]) -> Jet:
    """The fields' jet after hard constraints: in `programs`, a field's name is its raw output.

    jet: value [N, fields]; x [N, d] in physical units.
    """
    columns = {name: JetNumber(_column(jet, k)) for k, name in enumerate(fields)}
    seen: dict[str, JetNumber] = {}

    def look(node: Name | Derivative) -> JetNumber:
        assert isinstance(node, Name)
        if node.name in columns:
            return columns[node.name]
        if node.name not in seen:
            seen[node.name] = coordinate(x, inputs.index(node.name), jet.n, jet.derivatives)
        return seen[node.name]

    out = []
    for name in fields:
        value: JetNumber | float = programs[name](look, FUNCTIONS) if name in programs else columns[name]
        if not isinstance(value, JetNumber):  # a field that is a number everywhere
            value = columns[name] * 0.0 + value
        out.append(value.jet)
    return _joined(out)


def zero(like: Jet) -> Jet:
    """The jet of 0 with the same derivatives."""
    d = like.derivatives
    first = like.value.new_zeros((len(d.first), 1, 1)) if d.first else None
    return Jet(d, like.value.new_zeros(()), first, [None] * len(d.operators), [None] * len(d.higher), like.n)


# ---------------------------------------------------------------------- channels

def _with_value(jet: Jet, value: Tensor) -> Jet:
    return Jet(jet.derivatives, value, jet.first, jet.operators, jet.higher, jet.n)


def _channels(jet: Jet) -> list[Tensor | None]:
    return [jet.value, jet.first, *jet.operators, *jet.higher]


def _from(channels: Sequence[Tensor | None], like: Jet) -> Jet:
    d = like.derivatives
    count = len(d.operators)
    assert channels[0] is not None
    return Jet(d, channels[0], channels[1], list(channels[2: 2 + count]), list(channels[2 + count:]), like.n)


def _sum(a: Jet, b: Jet) -> Jet:
    return _from([y if x is None else x if y is None else x + y
                  for x, y in zip(_channels(a), _channels(b), strict=True)], a)


def _scaled(a: Jet, factor: float) -> Jet:
    return _from([None if x is None else x * factor for x in _channels(a)], a)


def _column(jet: Jet, k: int) -> Jet:
    return _from([None if x is None else x[..., k: k + 1] for x in _channels(jet)], jet)


def _joined(columns: Sequence[Jet]) -> Jet:
    """Jets of width 1 side by side; a channel that is zero in one of them is filled in."""
    if len(columns) == 1:
        return columns[0]
    lead = columns[0]
    out: list[Tensor | None] = []
    for parts in zip(*(_channels(c) for c in columns), strict=True):
        present = [p for p in parts if p is not None]
        if not present:
            out.append(None)
            continue
        shape = torch.broadcast_shapes(*(p.shape for p in present))
        filled = [present[0].new_zeros(shape) if p is None else p.expand(shape) for p in parts]
        out.append(torch.cat(filled, -1))
    return _from(out, lead)


# ---------------------------------------------------------------------- functions with their derivatives

def _power(z: Tensor, exponent: float, order: int) -> tuple[Tensor, ...]:
    out, factor = [], 1.0
    for k in range(order + 1):
        power = exponent - k
        whole = float(power).is_integer()
        base = torch.ones_like(z) if power == 0 else z ** int(power) if whole else z ** power
        out.append(torch.zeros_like(z) if factor == 0 else base if factor == 1 else factor * base)
        factor *= power
    return tuple(out)


def _exp(z: Tensor, order: int) -> tuple[Tensor, ...]:
    return (torch.exp(z),) * (order + 1)


def _log(z: Tensor, order: int) -> tuple[Tensor, ...]:
    return (torch.log(z), *_power(z, -1.0, order - 1)) if order else (torch.log(z),)


def _circle(parts: Sequence[Tensor], order: int) -> tuple[Tensor, ...]:
    return tuple(parts[k % 4] for k in range(order + 1))


def _sin(z: Tensor, order: int) -> tuple[Tensor, ...]:
    s, c = torch.sin(z), torch.cos(z)
    return _circle((s, c, -s, -c), order)


def _cos(z: Tensor, order: int) -> tuple[Tensor, ...]:
    s, c = torch.sin(z), torch.cos(z)
    return _circle((c, -s, -c, s), order)


def _sinh(z: Tensor, order: int) -> tuple[Tensor, ...]:
    s, c = torch.sinh(z), torch.cosh(z)
    return _circle((s, c, s, c), order)


def _cosh(z: Tensor, order: int) -> tuple[Tensor, ...]:
    s, c = torch.sinh(z), torch.cosh(z)
    return _circle((c, s, c, s), order)


def _tan(z: Tensor, order: int) -> tuple[Tensor, ...]:
    t = torch.tan(z)
    s = 1 + t * t
    return (t, s, 2 * t * s, s * (6 * s - 4), t * s * (24 * s - 8))[: order + 1]


def _atan(z: Tensor, order: int) -> tuple[Tensor, ...]:
    w = 1 / (1 + z * z)
    return (torch.atan(z), w, -2 * z * w * w, (6 * z * z - 2) * w ** 3, 24 * z * (1 - z * z) * w ** 4)[: order + 1]


def _erf(z: Tensor, order: int) -> tuple[Tensor, ...]:
    d = 2 / math.sqrt(math.pi) * torch.exp(-z * z)
    return (torch.erf(z), d, -2 * z * d, (4 * z * z - 2) * d, z * (12 - 8 * z * z) * d)[: order + 1]


def _steps(function: Callable[[Tensor], Tensor]) -> Series:
    """A function that is constant on either side of a jump: its derivatives are zero elsewhere."""
    return lambda z, order: (function(z), *(torch.zeros_like(z),) * order)


def _abs(z: Tensor, order: int) -> tuple[Tensor, ...]:
    return (torch.abs(z), torch.sign(z), *(torch.zeros_like(z),) * order)[: order + 1]


def _arc(sign: float) -> Series:
    def series(z: Tensor, order: int) -> tuple[Tensor, ...]:
        w = 1 - z * z
        higher = (w ** -0.5, z * w ** -1.5, (1 + 2 * z * z) * w ** -2.5, (9 * z + 6 * z ** 3) * w ** -3.5)
        return (torch.asin(z) if sign > 0 else torch.acos(z), *(sign * h for h in higher))[: order + 1]

    return series


SERIES: dict[str, Series] = {
    "sin": _sin, "cos": _cos, "tan": _tan, "sinh": _sinh, "cosh": _cosh, "exp": _exp, "log": _log, "abs": _abs,
    "atan": _atan, "erf": _erf, "asin": _arc(1.0), "acos": _arc(-1.0), "sign": _steps(torch.sign),
    "heaviside": _steps(lambda z: (z > 0).to(z.dtype)),
    "sqrt": lambda z, order: _power(z, 0.5, order),
    "tanh": lambda z, order: tanh(z, len(z), order),
}


def _function(series: Series) -> Callable[[JetNumber], JetNumber]:
    return lambda number: number.apply(series)


FUNCTIONS: dict[str, Callable[[JetNumber], JetNumber]] = {name: _function(s) for name, s in SERIES.items()}
