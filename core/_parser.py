"""From the text of an equation to its tree: tokens, then operator precedence parsing (Pratt 1973)."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from core._nodes import Binary, Call, ExpressionError, Negate, Node, Number
from core._scope import FUNCTIONS, Scope

MAX_LENGTH = 10_000  # characters
MAX_DEPTH = 100  # brackets, functions, signs and powers inside each other

SUM, PRODUCT, SIGN, POWER = 10, 20, 30, 40
STRENGTH = {"+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "^": POWER}

TOKEN = re.compile(r"""
    (?P<space> \s+ )
  | (?P<number> [0-9.]+ (?: [eE] [+-]? [0-9] [0-9.]* )? )  # wider than NUMBER, to name a wrong one whole
  | (?P<name> [A-Za-z] [A-Za-z0-9_]* )
  | (?P<sign> \*\* | [-+*/^()=] )
""", re.VERBOSE)
NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

SUBSTITUTES = {
    "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{MULTIPLICATION SIGN}": "*", "\N{MIDDLE DOT}": "*",
    "\N{DOT OPERATOR}": "*", "\N{DIVISION SIGN}": "/", "\N{SUPERSCRIPT TWO}": "**2",
    "\N{SUPERSCRIPT THREE}": "**3", "\N{SQUARE ROOT}": "sqrt(...)", "|": "abs(...)",
    "[": "(", "]": ")", "{": "(", "}": ")",
}
PRIMES = "'`\N{RIGHT SINGLE QUOTATION MARK}\N{ACUTE ACCENT}\N{PRIME}\N{DOUBLE PRIME}\N{TRIPLE PRIME}"
DIFFERENTIALS = "\N{PARTIAL DIFFERENTIAL}\N{NABLA}\N{INCREMENT}"


@dataclass(frozen=True)
class Token:
    kind: str  # 'number', 'name', 'sign' or 'end'
    text: str
    position: int


def tokens(text: str, derivative: str = "") -> Iterator[Token]:
    """The tokens of `text`, the last of kind 'end'. Raises ExpressionError where no token begins.

    derivative: the hint for signs by which derivatives are written elsewhere.
    """
    position = 0
    while position < len(text):
        found = TOKEN.match(text, position)
        if found is None:
            raise _bad_character(text, position, derivative)
        kind = str(found.lastgroup)
        if kind != "space":
            yield Token(kind, "^" if found[0] == "**" else found[0], position)
        position = found.end()
    yield Token("end", "", len(text))


def _bad_character(text: str, position: int, derivative: str) -> ExpressionError:
    character = text[position]
    if character in DIFFERENTIALS or _of_derivative(text[:position], character) and derivative:
        hint = derivative or "there are no derivatives here"
    elif character in SUBSTITUTES:
        hint = f"write '{SUBSTITUTES[character]}'"
    elif character == ",":
        hint = "a decimal point is written '.', and a function takes one argument"
    elif character in "<>!":
        hint = "an equation has '=' or no sign of comparison"
    elif (name := unicodedata.name(character, "")).startswith("GREEK "):
        hint = f"write its name: {_greek(name)}"
    else:
        hint = "names are made of English letters, digits and '_', and begin with a letter"
    shown = f"'{character}'" if character.isprintable() else f"character U+{ord(character):04X}"
    shown = '"\'"' if character == "'" else shown
    return ExpressionError(f"unexpected {shown}", position, text, hint)


def _of_derivative(before: str, character: str) -> bool:
    """Whether a sign makes a derivative elsewhere: the first prime of u'', and the bracket of TeX's u_{xx}."""
    if character in PRIMES:
        return before[-1:].isalnum() or before.endswith(("_", ")"))
    return character == "{" and before.endswith("_")


def _greek(unicode_name: str) -> str:
    """'lambda' for 'GREEK SMALL LETTER LAMDA', 'Omega' for 'GREEK CAPITAL LETTER OMEGA'."""
    name = unicode_name.split("LETTER ")[-1].split(" ")[0].replace("LAMDA", "LAMBDA")
    return name.capitalize() if "CAPITAL" in unicode_name else name.lower()


def parse_sides(text: str, scope: Scope) -> tuple[Node, tuple[int, Node] | None]:
    """The left side and, where there is an '=', its position and the right side. Raises ExpressionError."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the text is longer than {MAX_LENGTH:,} characters", MAX_LENGTH, text,
                              "give parts of it a name in the definitions")
    if not text.strip():
        raise ExpressionError("the text is empty, an expression is missing", 0, text)
    return _Parser(text, scope).sides()


class _Parser:
    """One pass over the tokens of one text."""

    def __init__(self, text: str, scope: Scope) -> None:
        self._text = text
        self._scope = scope
        self._tokens = list(tokens(text, scope.derivative_hint))
        self._next = 0
        self._depth = 0

    def sides(self) -> tuple[Node, tuple[int, Node] | None]:
        left = self._expression()
        right = None
        if self._token.text == "=":
            position = self._take().position
            if self._token.text == "=":
                raise self._second_equals()
            right = (position, self._expression())
        if self._token.kind != "end":
            raise self._unexpected_end_of_side()
        return left, right

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._token
        self._next += 1
        return token

    def _expression(self, floor: int = 0) -> Node:
        """An expression whose operators all bind more strongly than `floor`."""
        left = self._operand()
        while (strength := STRENGTH.get(self._token.text, 0)) > floor:
            operator = self._take()
            if strength == POWER:  # groups from the right, and its exponent may have a sign
                with self._deeper(operator):
                    right = self._expression(POWER - 1)
            else:
                right = self._expression(strength)
            left = Binary(operator.text, left, right, position=operator.position)
        return left

    def _operand(self) -> Node:
        token = self._token
        if token.kind == "number":
            return Number(self._number(self._take()), position=token.position)
        if token.kind == "name":
            return self._name(self._take())
        if token.text == "(":
            return self._brackets()
        if token.text in ("-", "+"):
            sign = self._take()
            with self._deeper(sign):
                operand = self._expression(SIGN)
            return Negate(operand, position=sign.position) if sign.text == "-" else operand
        raise self._missing_value()

    def _number(self, token: Token) -> float:
        if not NUMBER.fullmatch(token.text):
            raise self._error(f"'{token.text}' is not a number", token)
        value = float(token.text)
        if math.isinf(value):
            raise self._error("this number is too large", token)
        return value

    def _name(self, token: Token) -> Node:
        called = self._token.text == "("
        if token.text in FUNCTIONS:
            self._scope.check_reserved(token.text, token.position, self._text)
            if not called:
                raise self._error(f"function '{token.text}' has no argument", token,
                                  f"write the argument in brackets: {token.text}(...)")
            return Call(token.text, self._brackets(), position=token.position)
        node = self._scope.resolve(token.text, token.position, self._text, called)
        if called:
            raise self._error(f"'{token.text}' is not a function", token,
                              f"for a product write '{token.text}*(...)'")
        return node

    def _brackets(self) -> Node:
        opening = self._take()
        with self._deeper(opening):
            inside = self._expression()
        if self._token.text == ")":
            self._take()
            return inside
        if self._token.kind == "end":
            raise self._error("this '(' is never closed", opening)
        if self._token.text == "=":
            raise self._error("'=' stands inside brackets", self._token,
                              f"the '(' at character {opening.position + 1} is still open")
        raise self._missing_operator()

    @contextmanager
    def _deeper(self, token: Token) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"the expression is nested deeper than {MAX_DEPTH} levels", token,
                              "give parts of it a name in the definitions")
        yield
        self._depth -= 1

    def _error(self, message: str, token: Token, hint: str = "") -> ExpressionError:
        return ExpressionError(message, token.position, self._text, hint)

    def _missing_value(self) -> ExpressionError:
        if self._token.kind == "end":
            return self._error(f"a value is missing after '{self._written(self._next - 1)}'", self._token)
        return self._error(f"a value is missing before '{self._written(self._next)}'", self._token)

    def _written(self, index: int) -> str:
        """The token as the person wrote it, which may be '**' for '^'."""
        token = self._tokens[index]
        return "**" if self._text.startswith("**", token.position) else token.text

    def _unexpected_end_of_side(self) -> ExpressionError:
        if self._token.text == ")":
            return self._error("this ')' closes nothing", self._token)
        return self._second_equals() if self._token.text == "=" else self._missing_operator()

    def _second_equals(self) -> ExpressionError:
        return self._error("a second '='", self._token, "an equation has one '='")

    def _missing_operator(self) -> ExpressionError:
        before, here = self._tokens[self._next - 1].text, self._token.text
        return self._error(f"an operator is missing between '{before}' and '{here}'", self._token,
                           "for a product write '*'")
