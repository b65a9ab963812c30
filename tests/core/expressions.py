"""Random expressions, and a printer that shares nothing with the parser that it tests."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import strategies as st

from core.expression import (
    FUNCTIONS,
    Binary,
    Call,
    Derivative,
    ExpressionError,
    Name,
    Negate,
    Node,
    Number,
    Program,
    parse,
)

INPUTS = ("x", "y", "x1", "x2")
FIELDS = ("u", "v")
NAMES = ("k", "q", "nu", "u_exact", "u_y")  # the last one also reads as a derivative


def read(text: str, *, inputs: Sequence[str] = INPUTS, fields: Sequence[str] = FIELDS,
         names: Sequence[str] = NAMES, max_order: int = 4) -> Node:
    return parse(text, inputs=inputs, fields=fields, names=names, max_order=max_order)


U, V, X, Y, K = Name("u"), Name("v"), Name("x"), Name("y"), Name("k")
U_XX, TWO, THREE = Derivative("u", ("x", "x")), Number(2.0), Number(3.0)


LEAVES = st.one_of(
    st.floats(min_value=0, allow_infinity=False, allow_nan=False).map(Number),
    st.sampled_from([*INPUTS, *FIELDS, *NAMES, "pi", "e"]).map(Name),
    st.builds(lambda field, inputs: Derivative(field, tuple(sorted(inputs, key=INPUTS.index))),
              st.sampled_from(FIELDS), st.lists(st.sampled_from(INPUTS), min_size=1, max_size=4))
    .filter(lambda node: f"{node.field}_{''.join(node.inputs)}" not in NAMES),
)
TREES = st.recursive(LEAVES, lambda inner: st.one_of(
    st.builds(Negate, inner),
    st.builds(Binary, st.sampled_from("+-*/^"), inner, inner),
    st.builds(Call, st.sampled_from(sorted(FUNCTIONS)), inner),
), max_leaves=20)


def printed(node: Node, random: Random) -> tuple[str, int]:
    """A text that means `node`, with spaces and needless brackets at random, and how it binds (1 to 5)."""
    def at_least(strength: int, part: Node) -> str:
        text, own = printed(part, random)
        return f"({space()}{text})" if own < strength or random.random() < 0.2 else text

    def space() -> str:
        return random.choice(["", "", " ", "\t", "\n "])

    match node:
        case Number(value):
            return repr(value), 5
        case Name(name):
            return name, 5
        case Derivative(field, inputs):
            shuffled = random.sample(inputs, len(inputs))
            return f"{field}_{''.join(shuffled)}", 5
        case Negate(operand):
            return f"-{space()}{at_least(3, operand)}", 3
        case Call(function, argument):
            return f"{function}{space()}({at_least(1, argument)}{space()})", 5
        case Binary(operator, left, right):
            own, first, second = {"+": (1, 1, 2), "-": (1, 1, 2), "*": (2, 2, 3), "/": (2, 2, 3),
                                  "^": (4, 5, 3)}[operator]
            sign = random.choice(["^", "**"]) if operator == "^" else operator
            return f"{at_least(first, left)}{space()}{sign}{space()}{at_least(second, right)}", own


def has_values(tree: Node) -> bool:
    """Whether no part made of numbers alone is something like 1/0, which the parser refuses."""
    try:
        Program(tree)
    except ExpressionError:
        return False
    return True
