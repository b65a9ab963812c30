"""The tree of an expression: its nodes, the error that points into the text, and how a tree is walked.

Nothing here recurses: a sum of thousands of terms is a tree of that depth, and definitions put into
definitions make it deeper still. Node objects may be shared between places; every walk visits a shared node
once, so that its cost is that of what is written and not of what it would be if written out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TypeAlias, TypeVar

T = TypeVar("T")

EXCERPT = 100  # characters of a long line that ExpressionError.pointer shows


class ExpressionError(ValueError):
    """What is wrong with an expression, and where.

    message: what is wrong, without the place. position: offset in `text`, from 0. text: the whole text, empty
    where it is not known (a tree keeps no text). hint: what would be right; may be empty.
    """

    def __init__(self, message: str, position: int, text: str = "", hint: str = "") -> None:
        super().__init__(message, position, text, hint)  # all of them, so that the error survives pickling
        self.message = message
        self.position = position
        self.text = text
        self.hint = hint

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.message} at character {self.position + 1}{hint}"

    @property
    def pointer(self) -> str:
        """Two lines: the line of the text (an excerpt where it is long) and a caret below the place."""
        start = self.text.rfind("\n", 0, self.position) + 1
        end = self.text.find("\n", self.position)
        line = self.text[start : end if end >= 0 else len(self.text)]
        place = self.position - start
        cut = max(0, min(place - EXCERPT // 2, len(line) - EXCERPT))
        shown = "".join(c if c.isprintable() else " " for c in line[cut : cut + EXCERPT])
        return f"{shown}\n{' ' * (place - cut)}^"


@dataclass(frozen=True)
class Number:
    """A number as written."""

    value: float
    position: int = dataclasses.field(default=0, compare=False, repr=False)

    @property
    def children(self) -> tuple[Node, ...]:
        return ()


@dataclass(frozen=True)
class Name:
    """An input, a field's own value, a constant, a definition, pi or e."""

    name: str
    position: int = dataclasses.field(default=0, compare=False, repr=False)

    @property
    def children(self) -> tuple[Node, ...]:
        return ()


@dataclass(frozen=True)
class Derivative:
    """A partial derivative of a field by `inputs`, repeated as they occur, in the problem's order."""

    field: str
    inputs: tuple[str, ...]
    position: int = dataclasses.field(default=0, compare=False, repr=False)

    @property
    def children(self) -> tuple[Node, ...]:
        return ()


class _Operation:
    """A node with children. Two are equal if they say the same, wherever in their texts they say it."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(self, Negate | Binary | Call) or not isinstance(other, Negate | Binary | Call):
            return NotImplemented
        return self is other or all(a == b for a, b in zip_longest(_prefix(self), _prefix(other)))

    def __hash__(self) -> int:
        assert isinstance(self, Negate | Binary | Call)
        return hash(tuple(_prefix(self)))


@dataclass(frozen=True, eq=False)
class Negate(_Operation):
    """-operand. The position is that of the sign."""

    operand: Node
    position: int = dataclasses.field(default=0, repr=False)

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.operand,)


@dataclass(frozen=True, eq=False)
class Binary(_Operation):
    """left operator right, the operator one of + - * / ^. The position is that of the operator."""

    operator: str
    left: Node
    right: Node
    position: int = dataclasses.field(default=0, repr=False)

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, eq=False)
class Call(_Operation):
    """function(argument). The position is that of the function's name."""

    function: str
    argument: Node
    position: int = dataclasses.field(default=0, repr=False)

    @property
    def children(self) -> tuple[Node, ...]:
        return (self.argument,)


Node: TypeAlias = Number | Name | Derivative | Negate | Binary | Call


def _prefix(root: Node) -> Iterator[object]:
    """The tree in prefix order; each entry fixes its number of children, so the sequence fixes the tree."""
    stack: list[Node] = [root]
    while stack:
        node = stack.pop()
        match node:
            case Negate():
                yield Negate
            case Binary(operator) | Call(operator):
                yield type(node), operator
            case _:
                yield node
        stack.extend(reversed(node.children))


def walk(root: Node) -> Iterator[Node]:
    """Every node, parents before children, left before right; a shared node once."""
    seen: set[int] = set()
    stack: list[Node] = [root]
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            stack.extend(reversed(node.children))


def schedule(root: Node) -> list[tuple[Node, tuple[int, ...]]]:
    """Every node after its children, each with its children's places in the list; a shared node once."""
    places: dict[int, int] = {}
    out: list[tuple[Node, tuple[int, ...]]] = []
    stack: list[Node] = [root]
    while stack:
        node = stack[-1]
        waiting = [child for child in node.children if id(child) not in places]
        if waiting:
            stack.extend(reversed(waiting))
            continue
        stack.pop()
        if id(node) not in places:
            places[id(node)] = len(out)
            out.append((node, tuple(places[id(child)] for child in node.children)))
    return out


def fold(root: Node, combine: Callable[[Node, Sequence[T]], T]) -> T:
    """Bottom up: `combine` makes a node's result from the node and the results of its children."""
    results: list[T] = []
    for node, children in schedule(root):
        results.append(combine(node, [results[i] for i in children]))
    return results[-1]


def rebuild(node: Node, children: Sequence[Node]) -> Node:
    """The node with other children; itself where they are the same objects."""
    if all(new is old for new, old in zip(children, node.children, strict=True)):
        return node
    match node:
        case Negate():
            return replace(node, operand=children[0])
        case Binary():
            return replace(node, left=children[0], right=children[1])
        case Call():
            return replace(node, argument=children[0])
    return node
