"""What a name in an equation means: an input, a field or its derivative, a constant, a definition."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from core._nodes import Derivative, ExpressionError, Name

MAX_NAME = 64  # characters


def _sign(value: float) -> float:
    return math.copysign(1.0, value) if value else 0.0


def _heaviside(value: float) -> float:
    return 1.0 if value > 0 else 0.0


FUNCTIONS: Mapping[str, Callable[[float], float]] = MappingProxyType({
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "sinh": math.sinh, "cosh": math.cosh,
    "tanh": math.tanh, "asin": math.asin, "acos": math.acos, "atan": math.atan, "erf": math.erf,
    "exp": math.exp, "log": math.log, "sqrt": math.sqrt, "abs": abs, "sign": _sign, "heaviside": _heaviside,
})
"""The functions that an equation may use, on Python floats. log is the natural one; heaviside(0) is 0."""

CONSTANTS: Mapping[str, float] = MappingProxyType({"pi": math.pi, "e": math.e})
RESERVED = frozenset(FUNCTIONS) | frozenset(CONSTANTS)  # no problem may give these to something of its own

SYNONYMS = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "sgn": "sign", "fabs": "abs"}


@dataclass(frozen=True)
class Scope:
    """The names that an equation may use."""

    inputs: tuple[str, ...]
    fields: tuple[str, ...]
    names: frozenset[str]
    max_order: int

    def check_reserved(self, name: str, position: int, text: str) -> None:
        """Raise ExpressionError where the problem declares a name that has a meaning of its own."""
        if name in self.names or name in self.inputs or name in self.fields:
            meaning = f"the number {CONSTANTS[name]:.4g}..." if name in CONSTANTS else "a function"
            raise ExpressionError(f"'{name}' is {meaning} and also declared in the problem", position, text,
                                  "choose another name")

    def resolve(self, name: str, position: int, text: str, called: bool) -> Name | Derivative:
        """The node of a name that is no function. `called`: a bracket follows. Raises ExpressionError."""
        if len(name) > MAX_NAME:
            raise ExpressionError(f"this name is longer than {MAX_NAME} characters", position, text)
        if name in CONSTANTS:
            self.check_reserved(name, position, text)
            return Name(name, position=position)
        if name in self.names or name in self.inputs or name in self.fields:
            return Name(name, position=position)
        readings = {(head, inputs) for head, rest in _splits(name) if head in self.fields
                    for inputs in self._sequences(rest)}
        if not readings:
            raise self._unknown(name, position, text, called)
        if len(readings) > 1:
            raise ExpressionError(f"'{name}' can be read as more than one derivative", position, text,
                                  "choose other names for the inputs or fields")
        head, inputs = readings.pop()
        if len(inputs) > self.max_order:
            hint = f"at most {self.max_order}" if self.max_order else "no derivatives are possible here"
            message = f"the order of '{name}' is {len(inputs)}, which is too high"
            raise ExpressionError(message, position, text, hint)
        return Derivative(head, inputs, position=position)

    def _sequences(self, letters: str) -> set[tuple[str, ...]]:
        """Every way to read `letters` as inputs one after another, each sorted in the inputs' order."""
        reached: list[set[tuple[int, ...]]] = [set() for _ in range(len(letters) + 1)]  # counts of each input
        reached[0].add((0,) * len(self.inputs))
        for start in range(len(letters)):
            for index, name in enumerate(self.inputs):
                if letters.startswith(name, start):
                    longer = {(*n[:index], n[index] + 1, *n[index + 1:]) for n in reached[start]}
                    reached[start + len(name)] |= longer
        return {sum(((name,) * count for name, count in zip(self.inputs, counts, strict=True)), ())
                for counts in reached[-1] if any(counts)}

    def _unknown(self, name: str, position: int, text: str, called: bool) -> ExpressionError:
        for head, rest in _splits(name):
            if head not in self.fields and self._sequences(rest):
                return ExpressionError(f"derivative of '{head}', which is no field", position, text,
                                       self._better_head(name, head, rest))
        hint = self._better_name(name, called, text[position + len(name):])
        return ExpressionError(f"unknown name '{name}'", position, text, hint)

    def _better_head(self, name: str, head: str, rest: str) -> str:
        known = self._derivative_without_underscore(name) or closest(name, self.names)
        if known is None and (field := closest(head, self.fields)) is not None:
            known = f"{field}_{rest}"
        if known is not None:
            return _did_you_mean(known)
        return _listing("field", self.fields)

    def _better_name(self, name: str, called: bool, after: str) -> str:
        if self._is_quotient(name, after) and self.derivative_hint:
            return self.derivative_hint
        known = SYNONYMS.get(name.lower())
        if known is None and called:
            known = closest(name, FUNCTIONS)
        if known is None:
            known = self._derivative_without_underscore(name) or self._closest_declared(name)
        if known is not None:
            return _did_you_mean(known)
        if any(head in self.fields for head, _ in _splits(name)):
            return f"a derivative ends in inputs; {_listing('input', self.inputs)}"
        return _listing("function", tuple(FUNCTIONS)) if called else ""

    @property
    def derivative_hint(self) -> str:
        """How derivatives are written, with the first field and input; empty where there are none."""
        if not (self.fields and self.inputs and self.max_order):
            return ""
        field, of = self.fields[0], self.inputs[0]
        return f"derivatives are written {field}_{of}" + (f", {field}_{of}{of}" if self.max_order > 1 else "")

    def _is_quotient(self, name: str, after: str) -> bool:
        """Whether `name` is a part of a derivative as in print: of du/dx, d2u/dx2, d/dx u or d^2u/dx^2."""
        field, of = ("|".join(map(re.escape, names)) for names in (self.fields, self.inputs))
        if re.fullmatch(r"d\d?", name):
            of_order = r"(?:\^|\*\*)\s*\d\s*"
            return re.match(rf"\s*(?:\(|(?:{of_order})?/\s*d\w|{of_order}[A-Za-z(])", after) is not None
        return re.fullmatch(rf"d\d?(?:{field})(?:_?d(?:{of})\d?)*|d(?:{of})\d?", name) is not None

    def _closest_declared(self, name: str) -> str | None:
        """The name that may be used and looks most like this one, or None."""
        known = closest(name, [*self.inputs, *self.fields, *sorted(self.names), *CONSTANTS, *FUNCTIONS])
        for head, rest in _splits(name):
            # of the same field the rest has to look alike too: u_t is a derivative, not a wrong u_exact
            same = known == head or known is not None and known.startswith(f"{head}_")
            if head in self.fields and same and closest(rest, [str(known)[len(head) + 1:]]) is None:
                return None
        return known

    def _derivative_without_underscore(self, name: str) -> str | None:
        """'u_xy' for 'uxy' or 'u_x_y'."""
        for field in self.fields:
            letters = name[len(field):].replace("_", "")
            if name.startswith(field) and self._sequences(letters):
                return f"{field}_{letters}"
        return None


def _splits(name: str) -> list[tuple[str, str]]:
    """(before, after) for each underscore with something on both sides, the last underscore first."""
    return [(name[:i], name[i + 1:]) for i in range(len(name) - 2, 0, -1) if name[i] == "_"]


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that looks most like `name`, upper and lower case alike, or None."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def _did_you_mean(name: str) -> str:
    return f"did you mean '{name}'?"


def _listing(kind: str, names: Sequence[str]) -> str:
    if not names:
        return f"there is no {kind} here"
    return f"the {kind} is {names[0]}" if len(names) == 1 else f"the {kind}s are {', '.join(names)}"
