"""A problem: domain, fields, equations as text, conditions, and the solution where it is known.

Parsing and checking only, no torch: a form can validate what a person types without loading it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from core.expression import (
    RESERVED,
    Binary,
    ExpressionError,
    Name,
    Node,
    constant_value,
    derivatives,
    names,
    parse,
    parse_sides,
    substitute,
    with_known_values,
)
from core.latex import to_latex

IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
MAX_ORDER = 4


class ProblemError(Exception):
    """A problem that makes no sense. `path` is the place, such as 'residuals.0.equation'; str() is a sentence."""

    def __init__(self, message: str, path: str = "") -> None:
        self.path = path
        super().__init__(message)

    def __reduce__(self) -> tuple[type[ProblemError], tuple[str, str]]:
        return type(self), (str(self), self.path)


@dataclass(frozen=True)
class Residual:
    """An equation that holds inside the domain; zero where it holds."""

    name: str
    equation: str
    term: str = "residual"
    points: int = 128


@dataclass(frozen=True)
class Condition:
    """An equation that holds on one face of the domain, or on all of them."""

    name: str
    on: str
    equation: str
    term: str = "boundary"
    points: int = 128


@dataclass(frozen=True)
class Face:
    """The part of the boundary where input number `axis` has the value `at`."""

    axis: int
    at: float


@dataclass(frozen=True)
class Statement:
    """A parsed equation: the loss term it belongs to, the points it is sampled on, and the expression that is zero.

    `faces` is empty for an equation of the interior. In `expression` all definitions, constants that are
    definitions and exact solutions are already written out.
    """

    name: str
    term: str
    points: int
    expression: Node
    faces: tuple[Face, ...] = ()


@dataclass(frozen=True)
class Problem:
    """A boundary or initial value problem on a box. Raises ProblemError with the place when it makes no sense."""

    name: str
    fields: tuple[str, ...]
    domain: Mapping[str, tuple[float, float]]
    residuals: tuple[Residual, ...]
    conditions: tuple[Condition, ...] = ()
    constants: Mapping[str, float] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=dict)
    exact: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""

    def __post_init__(self) -> None:
        self._check_names()
        for position, name in enumerate(self.fields):
            if not any(name in _fields_of(s.expression) for s in self.statements if not s.faces):
                raise ProblemError(f"the field '{name}' appears in no equation", f"fields.{position}")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the independent variables, in the order of the network's inputs."""
        return tuple(self.domain)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the loss terms, in the order of first appearance; residuals come first."""
        return tuple(dict.fromkeys([r.term for r in self.residuals] + [c.term for c in self.conditions]))

    @property
    def residual_terms(self) -> frozenset[str]:
        """The loss terms that hold residuals; annealing measures the others against these."""
        return frozenset(r.term for r in self.residuals)

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """Every equation and condition, parsed, with definitions written out."""
        out = []
        for i, r in enumerate(self.residuals):
            out.append(Statement(r.name, r.term, r.points, self._equation(r.equation, f"residuals.{i}.equation")))
        for i, c in enumerate(self.conditions):
            expression = self._equation(c.equation, f"conditions.{i}.equation")
            out.append(Statement(c.name, c.term, c.points, expression, self._faces(c.on, f"conditions.{i}.on")))
        return tuple(out)

    @cached_property
    def solution(self) -> dict[str, Node]:
        """The exact solution of each field for which one is given."""
        out = {}
        for name, text in self.exact.items():
            if name not in self.fields:
                raise ProblemError(f"an exact solution is given for '{name}', which is no field", f"exact.{name}")
            out[name] = substitute(self._parse(text, f"exact.{name}", fields=(), extra=self._resolved), self._resolved)
        return out

    def latex(self) -> list[tuple[str, str]]:
        """(label, LaTeX) of every equation, definition, condition and exact solution, as they were typed."""
        rows = [(r.name, self._typeset(r.equation)) for r in self.residuals]
        rows += [(key, f"{to_latex(Name(key, 0))} = {self._typeset(text, zero=False)}")
                 for key, text in self.definitions.items()]
        for c in self.conditions:
            at = self._typeset(c.on, zero=False) if c.on != "boundary" else ""
            place = rf"\text{{ at }} {at}" if at else r"\text{ on the boundary}"
            rows.append((c.name, self._typeset(c.equation) + place))
        rows += [("exact", f"{to_latex(Name(f'{key}_exact', 0))} = {self._typeset(text, zero=False)}")
                 for key, text in self.exact.items()]
        return rows

    # ------------------------------------------------------------------ parsing

    @cached_property
    def _resolved(self) -> dict[str, Node]:
        """Definitions as expressions of inputs, fields and constants alone. A cycle is an error."""
        parsed = {key: self._parse(text, f"definitions.{key}", extra=self.definitions)
                  for key, text in self.definitions.items()}
        done: dict[str, Node] = {}

        def resolve(key: str, chain: tuple[str, ...]) -> Node:
            if key in chain:
                circle = " -> ".join((*chain, key))
                raise ProblemError(f"the definitions go in a circle: {circle}", f"definitions.{key}")
            if key not in done:
                inner = {name: resolve(name, (*chain, key)) for name in names(parsed[key]) & parsed.keys()}
                done[key] = substitute(parsed[key], inner)
            return done[key]

        for key in parsed:
            resolve(key, ())
        return done

    def _equation(self, text: str, path: str) -> Node:
        exact = {f"{key}_exact": node for key, node in self.solution.items()}
        node = self._parse(text, path, extra={**self._resolved, **exact})
        node = substitute(node, {**self._resolved, **exact})
        try:
            with_known_values(node, self.constants)
        except ExpressionError as error:
            raise ProblemError(f"with the constants given, {error.message} in this equation", path) from error
        if not _fields_of(node) & set(self.fields):
            raise ProblemError(f"this equation contains none of the fields ({', '.join(self.fields)})", path)
        return node

    def _parse(self, text: str, path: str, *, fields: tuple[str, ...] | None = None,
               extra: Mapping[str, object] | None = None) -> Node:
        known = (*self.constants, *(extra or {}))
        try:
            return parse(text, inputs=self.inputs, fields=self.fields if fields is None else fields, names=known,
                         max_order=MAX_ORDER)
        except ExpressionError as error:
            raise ProblemError(str(error), path) from error

    def _faces(self, on: str, path: str) -> tuple[Face, ...]:
        if on.strip() == "boundary":
            return tuple(Face(axis, at) for axis, bounds in enumerate(self.domain.values()) for at in bounds)
        try:
            node = parse(on, inputs=self.inputs, fields=(), names=self.constants)
        except ExpressionError as error:
            raise ProblemError(f"{error}; a place is 'boundary' or a face such as '{self.inputs[0]} = "
                               f"{self.domain[self.inputs[0]][0]:g}'", path) from error
        if isinstance(node, Binary) and node.operator == "-" and isinstance(node.left, Name) and "=" in on:
            at = constant_value(node.right, self.constants)
            if node.left.name in self.inputs and at is not None:
                low, high = self.domain[node.left.name]
                for bound in (low, high):
                    if math.isclose(at, bound, rel_tol=1e-12, abs_tol=1e-12 * (high - low)):
                        return (Face(self.inputs.index(node.left.name), bound),)
                raise ProblemError(f"'{on}' is no face of the domain: {node.left.name} runs from {low:g} to {high:g}",
                                   path)
        raise ProblemError(f"'{on}' is no place; write 'boundary' or a face such as '{self.inputs[0]} = "
                           f"{self.domain[self.inputs[0]][0]:g}'", path)

    def _typeset(self, text: str, *, zero: bool = True) -> str:
        """LaTeX of a text as it was typed: 'a = b' keeps its sides, a lone expression gets '= 0'."""
        known = (*self.constants, *self.definitions, *(f"{key}_exact" for key in self.exact))
        left, right = parse_sides(text, inputs=self.inputs, fields=self.fields, names=known)
        if right is not None:
            return f"{to_latex(left)} = {to_latex(right)}"
        return f"{to_latex(left)} = 0" if zero else to_latex(left)

    # ------------------------------------------------------------------ checks

    def _check_names(self) -> None:
        seen: dict[str, str] = {}
        groups = {"domain": self.inputs, "fields": self.fields, "constants": self.constants,
                  "definitions": self.definitions}
        for group, members in groups.items():
            for name in members:
                path = f"{group}.{name}" if isinstance(members, Mapping) or group == "domain" else group
                if not IDENTIFIER.match(name):
                    raise ProblemError(f"'{name}' is no name; a name is a letter, then letters, digits or _", path)
                if name in RESERVED:
                    raise ProblemError(f"'{name}' has a fixed meaning and cannot be a name here", path)
                if name in seen:
                    raise ProblemError(f"'{name}' is in {seen[name]} already", path)
                seen[name] = group
        if not self.fields:
            raise ProblemError("there is no field to solve for", "fields")
        if not self.domain:
            raise ProblemError("there is no input; the domain needs at least one", "domain")
        if not self.residuals:
            raise ProblemError("there is no equation; at least one is needed", "residuals")
        for position, residual in enumerate(self.residuals):
            if residual.name in (other.name for other in self.residuals[:position]):
                raise ProblemError(f"there is an equation '{residual.name}' already; a panel could not tell them apart",
                                   f"residuals.{position}.name")
        for name, (low, high) in self.domain.items():
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ProblemError(f"{name} runs from {low:g} to {high:g}; the lower bound must be below the upper",
                                   f"domain.{name}")


def _fields_of(node: Node) -> set[str]:
    return {name for name, _ in derivatives(node)} | set(names(node))
