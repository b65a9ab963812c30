"""Residuals on jets: from a parsed equation to the derivatives it needs and the tensor that should be zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from core.expression import (
    Binary,
    Call,
    Derivative,
    Name,
    Negate,
    Node,
    Number,
    Program,
    derivatives,
    fold,
    names,
    rebuild,
    with_known_values,
)
from core.jets import DerivativeSet, Index, Jet, Operator, derivative_set

FUNCTIONS = {
    "sin": torch.sin, "cos": torch.cos, "tan": torch.tan, "sinh": torch.sinh, "cosh": torch.cosh, "tanh": torch.tanh,
    "asin": torch.asin, "acos": torch.acos, "atan": torch.atan, "erf": torch.erf, "exp": torch.exp, "log": torch.log,
    "sqrt": torch.sqrt, "abs": torch.abs, "sign": torch.sign,
    "heaviside": lambda x: (x > 0).to(x.dtype),
}
NOTHING: Mapping[str, Tensor] = MappingProxyType({})
_LEAF = "#"  # begins the name of a collapsed operator on a field; no parsed name can begin so


@dataclass(frozen=True)
class Equations:
    """Expressions that are evaluated at the same points, with the derivatives that they need together.

    `carried` goes through the hidden layers, `outputs` is what the expressions read.
    """

    programs: tuple[Program, ...]
    carried: DerivativeSet
    outputs: DerivativeSet
    inputs: tuple[str, ...]
    fields: tuple[str, ...]
    averages: tuple[tuple[str, Program], ...] = ()

    def residuals(self, jet: Jet, x: Tensor, known: Mapping[str, Tensor] = NOTHING) -> list[Tensor]:
        """The value of each expression at the first n points of a jet: tensors [n].

        jet: of the network's output, value [N, fields]; x [N, d] the points in physical units. known: values of the
        other names, a scalar (an unknown) or [n] (a column of data).
        """
        n = jet.n
        found: dict[Node, Tensor] = {}
        means = self.means(jet, x, known) if self.averages else NOTHING

        def look(node: Name | Derivative) -> Tensor:
            if node not in found:
                found[node] = self._value(node, jet, x, n, known, means)
            return found[node]

        out = []
        for program in self.programs:
            value = program(look, FUNCTIONS)
            if not isinstance(value, Tensor):
                value = x.new_full((n,), float(value))
            out.append(value if value.ndim else value.expand(n))
        return out

    def means(self, jet: Jet, x: Tensor, known: Mapping[str, Tensor] = NOTHING) -> dict[str, Tensor]:
        """The mean of each average over the jet's points."""
        out = {}
        for name, program in self.averages:
            value = program(lambda node: self._value(node, jet, x, jet.n, known, NOTHING), FUNCTIONS)
            out[name] = value.mean() if isinstance(value, Tensor) else x.new_full((), float(value))
        return out

    def _value(self, node: Name | Derivative, jet: Jet, x: Tensor, n: int, known: Mapping[str, Tensor],
               means: Mapping[str, Tensor]) -> Tensor:
        if isinstance(node, Derivative):
            index = tuple(sorted(self.inputs.index(i) for i in node.inputs))
            return _column(jet.get(index), self.fields.index(node.field), jet, n)
        if node.name.startswith(_LEAF):
            position, field = node.name[1:].split(".", 1)
            return _column(jet.operators[int(position)], self.fields.index(field), jet, n)
        if node.name in self.fields:
            return jet.value[:n, self.fields.index(node.name)]
        if node.name in self.inputs:
            return x[:n, self.inputs.index(node.name)]
        return means[node.name] if node.name in means else known[node.name]


def _column(channel: Tensor | None, column: int, jet: Jet, n: int) -> Tensor:
    if channel is None:
        return jet.value.new_zeros(n)
    values = channel[:, column]
    return values if values.shape[0] == n else values.expand(n)


def prepare(expressions: Sequence[Node], inputs: Sequence[str], fields: Sequence[str],
            constants: Mapping[str, float], averages: Mapping[str, Node] = MappingProxyType({})) -> Equations:
    """Fold constants, find what to differentiate, and gather linear combinations of second derivatives.

    Where an equation contains second derivatives of a field only as sums with constant coefficients, such as a
    Laplacian or a wave operator, the whole sum is carried as one channel, if that makes fewer channels.
    Of the averages only those are taken that an expression uses. Raises ValueError for an order above four.
    """
    used = {name for expression in expressions for name in names(expression)} & averages.keys()
    means = {name: node for name, node in averages.items() if name in used}
    folded = [simplified(expression, constants) for expression in (*expressions, *means.values())]
    collapsed: list[Operator] = []
    try:
        rewritten = [_collapse(expression, tuple(inputs), collapsed) for expression in folded]
    except RecursionError:
        raise ValueError("an equation has several hundred terms or more, its definitions written out; split it into "
                         "several equations") from None
    singles = _second(folded, tuple(inputs))
    if len(collapsed) > len(singles):
        collapsed, rewritten = [], folded
    wanted = _indices(rewritten, tuple(inputs))
    carried = derivative_set(wanted, collapsed)
    outputs = DerivativeSet(
        tuple(sorted({i[0] for i in wanted if len(i) == 1})),
        tuple(dict.fromkeys([*collapsed, *(Operator.single(i) for i in sorted(wanted) if len(i) == 2)])),
        tuple(i for i in carried.higher if i in wanted),
    )
    programs = tuple(Program(node) for node in rewritten)
    count = len(expressions)
    return Equations(programs[:count], carried, outputs, tuple(inputs), tuple(fields),
                     tuple(zip(means, programs[count:], strict=True)))


def simplified(node: Node, constants: Mapping[str, float]) -> Node:
    """The same expression with every constant part replaced by its number, and 1*x, x/1, x+0, x-0 by x."""
    def combine(part: Node, children: Sequence[Node]) -> Node:
        match part, *children:
            case (Binary("*"), Number(1.0), x) | (Binary("*" | "/"), x, Number(1.0)):
                return x
            case (Binary("+"), Number(0.0), x) | (Binary("+" | "-"), x, Number(0.0)):
                return x
        return rebuild(part, children)

    return fold(with_known_values(node, constants), combine)


# ---------------------------------------------------------------------- collapsing second derivatives

def _collapse(node: Node, inputs: tuple[str, ...], operators: list[Operator]) -> Node:
    """Replace, in every sum, the linear combination of one field's second derivatives by one operator's leaf."""
    groups: dict[str, dict[tuple[int, int], float]] = {}
    rest: list[tuple[float, Node]] = []
    for factor, part in _terms(node, 1.0):
        if isinstance(part, Derivative) and len(part.inputs) == 2:
            i, j = sorted(inputs.index(name) for name in part.inputs)
            entries = groups.setdefault(part.field, {})
            entries[i, j] = entries.get((i, j), 0.0) + factor
        else:
            rest.append((factor, _below(part, inputs, operators)))
    if not groups:
        return _below(node, inputs, operators)
    for field, entries in groups.items():
        entries = {pair: c for pair, c in sorted(entries.items()) if c != 0}
        if not entries:
            continue
        lead = next(iter(entries.values()))
        operator = Operator(tuple((pair, c / lead) for pair, c in entries.items()))
        if operator not in operators:
            operators.append(operator)
        rest.append((lead, Name(f"{_LEAF}{operators.index(operator)}.{field}", node.position)))
    return _add(rest, node.position)


def _below(node: Node, inputs: tuple[str, ...], operators: list[Operator]) -> Node:
    match node:
        case Negate():
            return Negate(_collapse(node.operand, inputs, operators), node.position)
        case Call():
            return Call(node.function, _collapse(node.argument, inputs, operators), node.position)
        case Binary() if node.operator in "*/^":
            return Binary(node.operator, _collapse(node.left, inputs, operators),
                          _collapse(node.right, inputs, operators), node.position)
        case Binary():
            return Binary(node.operator, _below(node.left, inputs, operators), _below(node.right, inputs, operators),
                          node.position)
    return node


def _terms(node: Node, factor: float) -> Iterable[tuple[float, Node]]:
    """A sum as (constant factor, term) pairs; constants are multiplied into brackets that hold second derivatives."""
    match node:
        case Negate():
            yield from _terms(node.operand, -factor)
        case Binary(operator="+"):
            yield from _terms(node.left, factor)
            yield from _terms(node.right, factor)
        case Binary(operator="-"):
            yield from _terms(node.left, factor)
            yield from _terms(node.right, -factor)
        case Binary(operator="*", left=Number(value=c), right=inner) | Binary(operator="*", left=inner,
                                                                             right=Number(value=c)):
            yield from _terms(inner, factor * c)
        case Binary(operator="/", left=inner, right=Number(value=c)) if c != 0:
            yield from _terms(inner, factor / c)
        case _:
            yield factor, node


def _add(terms: Sequence[tuple[float, Node]], position: int) -> Node:
    if not terms:
        return Number(0.0, position)
    total: Node | None = None
    for factor, part in terms:
        size = abs(factor)
        scaled = part if size == 1 else Number(size, position) if part == Number(1.0, 0) else Binary(
            "*", Number(size, position), part, position)
        if total is None:
            total = scaled if factor > 0 else Negate(scaled, position)
        else:
            total = Binary("+" if factor > 0 else "-", total, scaled, position)
    assert total is not None
    return total


def _indices(expressions: Sequence[Node], inputs: tuple[str, ...]) -> set[Index]:
    return {tuple(sorted(inputs.index(name) for name in by))
            for expression in expressions for _, by in derivatives(expression)}


def _second(expressions: Sequence[Node], inputs: tuple[str, ...]) -> set[Index]:
    return {index for index in _indices(expressions, inputs) if len(index) == 2}
