r"""Expressions as LaTeX, for the eye: fractions, Greek letters, indices, only the brackets that are needed.

What is printed has the value of the tree, and reads as it was typed: nothing is expanded, ordered or
cancelled. Only commands that small LaTeX engines know are used (\frac, \left, \sqrt, \mathrm, ...).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Literal

from core.expression import Binary, Call, Derivative, Name, Negate, Node, Number, fold

Style = Literal["subscript", "partial"]

# How strongly a printed part holds together; a part is bracketed where its place asks for more.
SUM, SIGNED, PRODUCT, FRACTION, POWER, ATOM = range(6)

GREEK = frozenset({
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "vartheta", "iota",
    "kappa", "lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "varphi", "chi",
    "psi", "omega",
    "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
})

FUNCTION_NAMES: Mapping[str, str] = MappingProxyType({
    "sin": r"\sin", "cos": r"\cos", "tan": r"\tan", "sinh": r"\sinh", "cosh": r"\cosh", "tanh": r"\tanh",
    "asin": r"\arcsin", "acos": r"\arccos", "atan": r"\arctan",
    "log": r"\ln",  # the natural logarithm, which \log leaves open
    "erf": r"\operatorname{erf}", "sign": r"\operatorname{sign}", "heaviside": r"\operatorname{H}",
})

MAX_NESTING = 7  # ziamath 0.13 needs up to 0.4 s for it, and twice that for the next level

GROUP_BORDER = re.compile(r"[{}]|\\left(?![a-z])|\\right(?![a-z])")
ENDS_IN_WORD = re.compile(r"\\mathrm\{[A-Za-z0-9]+\}\Z")

_NO_NAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class _Part:
    """A printed part of an expression and how strongly it holds together."""

    text: str
    strength: int
    function: str = ""  # of a call: the printed name, to put a power on it
    argument: str = ""
    unsigned: str = ""  # of a signed part: what stands after the sign, as it may stand alone

    def at_least(self, strength: int) -> str:
        """The text, in brackets if it holds together less strongly than its place asks for."""
        return self.text if self.strength >= strength else _bracketed(self.text)


def to_latex(node: Node, *, names: Mapping[str, str] = _NO_NAMES, style: Style = "subscript") -> str:
    r"""LaTeX of an expression, without dollar signs.

    names: LaTeX of single names, instead of what their spelling suggests (nu is \nu, x1 is x_{1}, u_exact is
    u_{\mathrm{exact}}). style: 'subscript' prints a derivative as u_{xx}, 'partial' as a fraction.
    """
    def printed(part: Node, children: Sequence[_Part]) -> _Part:
        match part:
            case Number(value):
                return _number(value)
            case Name(name):
                return _Part(_name(name, names), ATOM)
            case Derivative():
                return _STYLES[style](part, names)
            case Negate():
                return _Part(f"-{children[0].at_least(PRODUCT)}", SIGNED, unsigned=children[0].text)
            case Call(function):
                return _call(function, children[0])
            case Binary(operator):
                return _BINARY[operator](part, *children)
    return fold(node, printed).text


def nesting(latex: str) -> int:
    """How many groups, in braces or between \\left and \\right, lie inside each other at the deepest place.

    A typesetter may take twice as long for each level; beyond MAX_NESTING show the text as it was typed.
    """
    depth = deepest = 0
    for found in GROUP_BORDER.findall(latex):
        depth += 1 if found in ("{", r"\left") else -1
        deepest = max(deepest, depth)
    return deepest


# ---------------------------------------------------------------------- numbers, names, derivatives

def _number(value: float) -> _Part:
    """The shortest decimal number that is this float; 1e-05 becomes a power of ten."""
    sign, digits = ("-", repr(-value)) if value < 0 else ("", repr(float(value)))
    mantissa, _, exponent = digits.removesuffix(".0").partition("e")
    if not exponent:
        return _Part(sign + mantissa, SIGNED, unsigned=mantissa) if sign else _Part(mantissa, ATOM)
    power = f"10^{{{int(exponent)}}}"
    text = power if mantissa == "1" else rf"{mantissa} \cdot {power}"
    if sign:
        return _Part(sign + text, SIGNED, unsigned=text)
    return _Part(text, POWER if mantissa == "1" else PRODUCT)


def _name(name: str, names: Mapping[str, str], index: str = "") -> str:
    """A name, with what is after '_' and digits at the end as its indices; `index` is added to them."""
    if name in names:
        return f"{{{names[name]}}}" + (f"_{{{index}}}" if index else "")
    head, *rest = [part for part in name.split("_") if part] or [name]
    letters, digits = _letters_and_digits(head)
    indices = [digits] if digits else []
    indices += [_index(part) for part in rest]
    indices += [index] if index else []
    return _word(letters) + (f"_{{{','.join(indices)}}}" if indices else "")


def _index(part: str) -> str:
    letters, digits = _letters_and_digits(part)
    return f"{_word(letters)}{digits}" if letters else digits


def _letters_and_digits(word: str) -> tuple[str, str]:
    """'lambda12' is 'lambda' and '12'; digits in the middle stay with the letters."""
    letters = word.rstrip("0123456789")
    return letters, word[len(letters):]


def _word(word: str) -> str:
    if word in GREEK:
        return f"\\{word}"
    return word if len(word) == 1 else rf"\mathrm{{{word}}}"


def _subscript(node: Derivative, names: Mapping[str, str]) -> _Part:
    single = [_name(name, names) for name in node.inputs]
    # Letters stand side by side; x_{1} x_{2} and \theta x need the space.
    separator = "" if all(len(name) == 1 for name in single) else " "
    return _Part(_name(node.field, names, separator.join(single)), ATOM)


def _partial(node: Derivative, names: Mapping[str, str]) -> _Part:
    above = _raised(r"\partial", len(node.inputs))
    below = " ".join(_raised(rf"\partial {_name(name, names)}", len(list(group)))
                     for name, group in groupby(node.inputs))
    return _Part(rf"\frac{{{above} {_name(node.field, names)}}}{{{below}}}", FRACTION)


def _raised(text: str, power: int) -> str:
    return text if power == 1 else f"{text}^{{{power}}}"


_STYLES: Mapping[str, Callable[[Derivative, Mapping[str, str]], _Part]] = MappingProxyType(
    {"subscript": _subscript, "partial": _partial})


# ---------------------------------------------------------------------- operations

def _bracketed(text: str) -> str:
    return rf"\left({text}\right)"


def _call(function: str, argument: _Part) -> _Part:
    if function == "exp":
        return _Part(f"e^{{{argument.text}}}", POWER)
    if function == "sqrt":
        return _Part(rf"\sqrt{{{argument.text}}}", ATOM)
    if function == "abs":
        return _Part(rf"\left|{argument.text}\right|", ATOM)
    name, inside = FUNCTION_NAMES[function], _bracketed(argument.text)
    return _Part(name + inside, POWER, function=name, argument=inside)


def _sum(node: Binary, left: _Part, right: _Part) -> _Part:
    # a + (b - c) is a + b - c, but a - (b - c) and a + (-b) keep their brackets.
    flat = node.operator == "+" and right.strength == SUM and right.text[0] != "-"
    return _Part(f"{left.text} {node.operator} {right.text if flat else right.at_least(PRODUCT)}", SUM)


def _product(node: Binary, left: _Part, right: _Part) -> _Part:
    # -a b means the same, whether the sign or the product comes first.
    first, second = left.at_least(SIGNED), right.at_least(PRODUCT)
    text = f"{first}{_between(first, second)}{second}"
    return _Part(text, SIGNED, unsigned=text[1:]) if first[0] == "-" else _Part(text, PRODUCT)


def _between(left: str, right: str) -> str:
    """A dot where two factors would read as one number or as 2 1/2, a thin space beside a word of letters."""
    if right[0].isdigit() or (left[-1].isdigit() and right.startswith(r"\frac")):
        return r" \cdot "
    return r" \, " if right.startswith((r"\mathrm", r"\operatorname")) or ENDS_IN_WORD.search(left) else " "


def _quotient(node: Binary, left: _Part, right: _Part) -> _Part:
    if left.unsigned:
        text = rf"\frac{{{left.unsigned}}}{{{right.text}}}"
        return _Part(f"-{text}", SIGNED, unsigned=text)
    return _Part(rf"\frac{{{left.text}}}{{{right.text}}}", FRACTION)


def _power(node: Binary, base: _Part, exponent: _Part) -> _Part:
    whole = isinstance(node.right, Number) and node.right.value >= 1 and node.right.value.is_integer()
    if base.function and whole:  # \sin^{2}(x); not for -1, which would read as the inverse function
        return _Part(f"{base.function}^{{{exponent.text}}}{base.argument}", POWER)
    return _Part(f"{base.at_least(ATOM)}^{{{exponent.text}}}", POWER)


_BINARY: Mapping[str, Callable[[Binary, _Part, _Part], _Part]] = MappingProxyType(
    {"+": _sum, "-": _sum, "*": _product, "/": _quotient, "^": _power})
