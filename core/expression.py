"""Equations are text: parsed by a grammar of our own, never evaluated as code.

    node = parse("u_xx + u_yy + k**2*u - q", inputs=("x", "y"), fields=("u",), names=("k", "q"))
    derivatives(node)       # {('u', ('x', 'x')), ('u', ('y', 'y'))}
    evaluate(node, lookup, functions)

The grammar, from weak to strong: `left = right`, then + and -, then * and /, then a sign, then ** or ^ from
the right; numbers, names, functions of one argument, round brackets. No product is implied: 2*x, never 2x.
A name is what the problem declares (an input, a field, a constant, a definition), else a derivative: a
field's name, '_' and inputs one after another, such as u_xy. `pi`, `e` and the functions' names are taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from core._nodes import (
    Binary,
    Call,
    Derivative,
    ExpressionError,
    Name,
    Negate,
    Node,
    Number,
    fold,
    rebuild,
    schedule,
    walk,
)
from core._parser import MAX_DEPTH, MAX_LENGTH
from core._parser import parse_sides as _parse_sides
from core._scope import CONSTANTS, FUNCTIONS, RESERVED, Scope

__all__ = [
    "CONSTANTS", "FUNCTIONS", "MAX_DEPTH", "MAX_LENGTH", "RESERVED", "Binary", "Call", "Derivative",
    "ExpressionError", "Name", "Negate", "Node", "Number", "Program", "constant_value", "derivatives",
    "evaluate", "fold", "names", "parse", "parse_sides", "rebuild", "substitute", "walk",
    "with_known_values",
]

T = TypeVar("T")

NOTHING: Mapping[str, float] = MappingProxyType({})
MAX_INTEGER_POWER = 1024  # beyond it an exponent is passed on as the float it is


def parse(text: str, *, inputs: Sequence[str], fields: Sequence[str], names: Collection[str] = (),
          max_order: int = 4) -> Node:
    """The tree of an expression, or of an equation: `left = right` gives left - right, zero where it holds.

    inputs: names of the coordinates; they order a derivative's inputs. fields: what may be differentiated.
    names: everything else that is declared (constants, definitions, exact solutions). max_order: highest
    order of a derivative. Raises ExpressionError, and nothing else, for any wrong text.
    """
    left, right = _checked_sides(text, Scope(tuple(inputs), tuple(fields), frozenset(names), max_order))
    return left if right is None else Binary("-", left, right[1], position=right[0])


def parse_sides(text: str, *, inputs: Sequence[str], fields: Sequence[str], names: Collection[str] = (),
                max_order: int = 4) -> tuple[Node, Node | None]:
    """As `parse`, but the two sides of an equation as they are written; the right one None without an '='."""
    left, right = _checked_sides(text, Scope(tuple(inputs), tuple(fields), frozenset(names), max_order))
    return left, None if right is None else right[1]


def _checked_sides(text: str, scope: Scope) -> tuple[Node, tuple[int, Node] | None]:
    """The sides, in which every part that is made of numbers alone has a finite real value."""
    left, right = _parse_sides(text, scope)
    try:
        for side in (left,) if right is None else (left, right[1]):
            with_known_values(side, NOTHING)
    except ExpressionError as error:
        raise ExpressionError(error.message, error.position, text, error.hint) from None
    return left, right


class Program:
    """A tree made ready to be evaluated many times: what is made of numbers alone is worked out beforehand.

    Calling it is a plain loop without recursion that torch.compile can trace. Raises ExpressionError (without
    text) where a part made of numbers alone has no finite real value; a tree from `parse` has none.
    """

    def __init__(self, node: Node) -> None:
        self._steps = tuple(schedule(with_known_values(node, NOTHING)))

    def __call__(self, lookup: Callable[[Name | Derivative], T],
                 functions: Mapping[str, Callable[[T], T]]) -> T:
        """See `evaluate`."""
        values: list[Any] = []
        for node, children in self._steps:
            if isinstance(node, Binary):
                values.append(_arithmetic(node.operator, values[children[0]], values[children[1]]))
            elif isinstance(node, Number):
                values.append(node.value)
            elif isinstance(node, Negate):
                values.append(-values[children[0]])
            elif isinstance(node, Call):
                values.append(functions[node.function](values[children[0]]))
            else:
                values.append(lookup(node))
        result: T = values[-1]
        return result


def evaluate(node: Node, lookup: Callable[[Name | Derivative], T],
             functions: Mapping[str, Callable[[T], T]]) -> T:
    """The value of a tree, of whatever kind `lookup` gives: floats, arrays, tensors, symbols.

    lookup: the value of a name or a derivative; never asked for pi and e. functions: by name, on such values;
    never called with what is made of numbers alone, which is worked out as a Python float, as is the result
    where that is the whole expression. A power by a whole number gets an int exponent. An error of the
    values' own arithmetic (a ZeroDivisionError of floats) is passed on. Where the same tree is evaluated many
    times, keep a `Program` of it: most of the work here is making one.
    """
    return Program(node)(lookup, functions)


def names(node: Node) -> frozenset[str]:
    """The names that the value depends on, without pi and e; with fields whose own value is used."""
    return frozenset(part.name for part in walk(node) if isinstance(part, Name)) - CONSTANTS.keys()


def derivatives(node: Node) -> frozenset[tuple[str, tuple[str, ...]]]:
    """(field, inputs) of every derivative in the tree; a field's own value is not among them."""
    return frozenset((part.field, part.inputs) for part in walk(node) if isinstance(part, Derivative))


def constant_value(node: Node, constants: Mapping[str, float]) -> float | None:
    """The value of an expression of numbers and constants, None if it depends on anything else.

    Raises ExpressionError (without text) where there is no finite real value, such as 1/k with k = 0.
    """
    if derivatives(node) or not names(node) <= constants.keys():
        return None
    known = with_known_values(node, constants)
    assert isinstance(known, Number)
    return known.value


def substitute(node: Node, definitions: Mapping[str, Node]) -> Node:
    """The tree with names replaced by what they stand for, once: names inside those stay as they are."""
    def combine(part: Node, children: Sequence[Node]) -> Node:
        if isinstance(part, Name):
            return definitions.get(part.name, part)
        return rebuild(part, children)
    return fold(node, combine)


def with_known_values(node: Node, constants: Mapping[str, float]) -> Node:
    """The tree in which every part made of numbers, pi, e and constants is one Number."""
    def combine(part: Node, children: Sequence[Node]) -> Node:
        match part:
            case Number() | Derivative():
                return part
            case Name(name):
                value = CONSTANTS.get(name, constants.get(name))
                return part if value is None else Number(value, position=part.position)
        numbers = [child.value for child in children if isinstance(child, Number)]
        if len(numbers) < len(children):
            return rebuild(part, children)
        return Number(_known_value(part, numbers), position=part.position)
    return fold(node, combine)


def _known_value(node: Node, operands: Sequence[float]) -> float:
    """The value of one operation on floats. Raises ExpressionError where it is no finite real number."""
    try:
        match node:
            case Negate():
                value: Any = -operands[0]
            case Call(function):
                value = FUNCTIONS[function](operands[0])
            case Binary(operator):
                value = _arithmetic(operator, operands[0], operands[1])
    except ZeroDivisionError:
        raise ExpressionError("division by zero", node.position) from None
    except OverflowError:
        raise ExpressionError("the value is too large for a number", node.position) from None
    except ValueError:
        value = math.nan
    if isinstance(value, complex) or math.isnan(value):
        raise ExpressionError("the value is no real number", node.position)
    if math.isinf(value):
        raise ExpressionError("the value is too large for a number", node.position)
    return float(value)


def _arithmetic(operator: str, left: Any, right: Any) -> Any:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if operator == "/":
        return left / right
    if isinstance(right, float) and right.is_integer() and abs(right) <= MAX_INTEGER_POWER:
        return left ** int(right)  # a product, exact and differentiable for a negative base
    return left ** right
