"""A problem: domain, fields, equations as text, conditions, observations, and the solution where it is known.

Parsing and checking only, no torch: a form can validate what a person types without loading it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from core._problem_checks import check_decomposition, check_domain, check_names, check_use
from core.expression import (
    Binary,
    ExpressionError,
    Name,
    Node,
    Number,
    constant_value,
    derivatives,
    names,
    parse,
    parse_sides,
    substitute,
    walk,
    with_known_values,
)
from core.latex import to_latex
from core.statements import (
    AVERAGE,
    FLUX,
    Condition,
    Decomposition,
    Face,
    Observation,
    ProblemError,
    Residual,
    Statement,
)

__all__ = ["AVERAGE", "FLUX", "Condition", "Decomposition", "Face", "Observation", "Problem", "ProblemError",
           "Residual", "Statement"]

MAX_ORDER = 4


@dataclass(frozen=True)
class Problem:
    """A boundary or initial value problem on a box or a ball. Raises ProblemError with the place if it makes no sense.

    unknowns: numbers that are learned with the network, with their start values; truth: what they should become.
    averages: expressions whose mean over the equations' points the equations may use by name, such as the two of a
    Rayleigh quotient. readings: expressions of averages and unknowns that are looked at. quantities: expressions of
    the fields that are looked at and compared like fields.
    hard: for each field an expression in which the field's name stands for the network's raw output, such as
    x*(1 - x)*u. periodic: inputs in which the fields have the domain's length as their period. homogeneous: the
    solution is known up to a factor.
    """

    name: str
    fields: tuple[str, ...]
    domain: Mapping[str, tuple[float, float]]
    residuals: tuple[Residual, ...] = ()
    conditions: tuple[Condition, ...] = ()
    constants: Mapping[str, float] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=dict)
    exact: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""
    shape: str = "box"
    observations: tuple[Observation, ...] = ()
    unknowns: Mapping[str, float] = field(default_factory=dict)
    truth: Mapping[str, float] = field(default_factory=dict)
    averages: Mapping[str, str] = field(default_factory=dict)
    readings: Mapping[str, str] = field(default_factory=dict)
    quantities: Mapping[str, str] = field(default_factory=dict)
    hard: Mapping[str, str] = field(default_factory=dict)
    periodic: tuple[str, ...] = ()
    homogeneous: bool = False
    decomposition: Decomposition | None = None

    def __post_init__(self) -> None:
        check_names(self)
        check_domain(self)
        check_decomposition(self)
        check_use(self)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the independent variables, in the order of the network's inputs."""
        return tuple(self.domain)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the loss terms, in the order of first appearance; residuals come first."""
        own = [r.term for r in self.residuals] + [c.term for c in self.conditions] + [o.term for o in self.observations]
        return tuple(dict.fromkeys([*own, *((FLUX, AVERAGE) if self.decomposition else ())]))

    @property
    def residual_terms(self) -> frozenset[str]:
        """The loss terms that hold residuals; annealing measures the others against these."""
        return frozenset(r.term for r in self.residuals)

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """Every equation, condition and observation, parsed, with definitions written out."""
        out = []
        for i, r in enumerate(self.residuals):
            node = self._equation(r.equation, f"residuals.{i}.equation", averages=True)
            out.append(Statement(r.name, r.term, r.points, node, measure=r.measure))
        for i, c in enumerate(self.conditions):
            node = self._equation(c.equation, f"conditions.{i}.equation")
            out.append(Statement(c.name, c.term, c.points, node, self._faces(c.on, f"conditions.{i}.on")))
        for i, o in enumerate(self.observations):
            node = self._equation(o.equation, f"observations.{i}.equation", extra=dict.fromkeys(self.columns(o)))
            out.append(Statement(o.name, o.term, o.points, node, measure=o.measure, observation=o.name))
        return tuple(out)

    def expression_of(self, observation: Observation) -> Node:
        """The expression of an observation."""
        return next(s.expression for s in self.statements if s.observation == observation.name)

    def columns(self, observation: Observation) -> tuple[str, ...]:
        """The names by which an observation's equation uses the columns of its file."""
        return tuple(f"{name}_data" for name in (*self.fields, *self.quantities, *observation.columns))

    @cached_property
    def solution(self) -> dict[str, Node]:
        """The exact solution of each field or quantity for which one is given."""
        out = {}
        for name, text in self.exact.items():
            if name not in self.fields and name not in self.quantities:
                raise ProblemError(f"an exact solution is given for '{name}', which is no field and no quantity",
                                   f"exact.{name}")
            path = f"exact.{name}"
            node = substitute(self._parse(text, path, fields=(), extra=self._resolved), self._resolved)
            if own := fields_of(node) & {*self.fields, *self.unknowns, *self.averages}:
                raise ProblemError(f"an exact solution is an expression of inputs and constants; '{min(own)}' is "
                                   f"neither", path)
            self._check_values(node, path, "exact solution")
            out[name] = node
        return out

    @cached_property
    def average_nodes(self) -> dict[str, Node]:
        """The expressions of the averages, definitions written out."""
        return {key: self._equation(text, f"averages.{key}", noun="average") for key, text in self.averages.items()}

    @cached_property
    def reading_nodes(self) -> dict[str, Node]:
        """The expressions of the readings."""
        out = {}
        for key, text in self.readings.items():
            path = f"readings.{key}"
            node = self._parse(text, path, fields=(), extra=self.averages)
            if used := names(node) & set(self.inputs):
                raise ProblemError(f"a reading is one number; it cannot depend on the input '{min(used)}'", path)
            if self.decomposition and (used := names(node) & set(self.decomposition.local)):
                raise ProblemError(f"a reading is one number, but every sub-domain has its own '{min(used)}'", path)
            self._check_values(node, path, "reading")
            out[key] = node
        return out

    @cached_property
    def quantity_nodes(self) -> dict[str, Node]:
        """The expressions of the quantities, definitions written out."""
        return {key: self._equation(text, f"quantities.{key}", noun="quantity")
                for key, text in self.quantities.items()}

    @cached_property
    def hard_nodes(self) -> dict[str, Node]:
        """For each field with a hard constraint, its expression of the inputs and the fields' raw outputs."""
        out = {}
        for key, text in self.hard.items():
            path = f"hard.{key}"
            if key not in self.fields:
                raise ProblemError(f"a hard constraint is given for '{key}', which is no field", path)
            node = self._equation(text, path, noun="constraint")
            if derivatives(node):
                raise ProblemError("a hard constraint is made of inputs and the network's output, without derivatives",
                                   path)
            if used := names(node) & set(self.unknowns):
                raise ProblemError(f"the unknown '{min(used)}' cannot be part of a hard constraint", path)
            out[key] = node
        return out

    @cached_property
    def flux_nodes(self) -> dict[int, Node]:
        """The flux across an interface, by the number of the input that is cut."""
        if self.decomposition is None:
            return {}
        return {self.inputs.index(key): self._equation(text, f"decomposition.flux.{key}", noun="flux")
                for key, text in self.decomposition.flux.items()}

    def field_node(self, name: str) -> Node:
        """The expression that is a field itself."""
        return Name(name, 0)

    def latex(self) -> list[tuple[str, str]]:
        """(label, LaTeX) of every equation, definition, condition and exact solution, as they were typed."""
        def row(group: Mapping[str, str]) -> list[tuple[str, str]]:
            return [(key, f"{to_latex(Name(key, 0))} = {self._typeset(text, zero=False)}")
                    for key, text in group.items()]

        rows = [(r.name, self._typeset(r.equation, zero=r.measure == "square")) for r in self.residuals]
        rows += row(self.definitions)
        rows += [(key, rf"{to_latex(Name(key, 0))} = \langle {self._typeset(text, zero=False)} \rangle")
                 for key, text in self.averages.items()]
        for c in self.conditions:
            at = self._typeset(c.on, zero=False) if c.on.strip() != "boundary" else ""
            place = rf"\text{{ at }} {at}" if at else r"\text{ on the boundary}"
            rows.append((c.name, self._typeset(c.equation) + place))
        rows += [(o.name, self._typeset(o.equation, zero=o.measure == "square")) for o in self.observations]
        rows += [(f"hard {key}", rf"{to_latex(Name(key, 0))} \leftarrow {self._typeset(text, zero=False)}")
                 for key, text in self.hard.items()]
        rows += row(self.readings) + row(self.quantities)
        rows += [("exact", f"{to_latex(Name(f'{key}_exact', 0))} = {self._typeset(text, zero=False)}")
                 for key, text in self.exact.items()]
        return rows

    # ------------------------------------------------------------------ parsing

    @cached_property
    def _resolved(self) -> dict[str, Node]:
        """Definitions as expressions of inputs, fields and constants alone. A cycle is an error."""
        parsed = {key: self._parse(text, f"definitions.{key}", extra={**self.definitions, **self.averages})
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

    def _equation(self, text: str, path: str, *, extra: Mapping[str, object] | None = None, averages: bool = False,
                  noun: str = "equation") -> Node:
        """An expression with definitions and exact solutions written out; `averages`: whether it may use them."""
        exact = {f"{key}_exact": node for key, node in self.solution.items()}
        node = self._parse(text, path, extra={**self._resolved, **exact, **self.averages, **(extra or {})})
        node = substitute(node, {**self._resolved, **exact})
        self._check_values(node, path, noun)
        if not averages and (used := names(node) & self.averages.keys()):
            raise ProblemError(f"'{min(used)}' is an average over the equations' points; only the equations of the "
                               f"interior and readings may use it", path)
        if not fields_of(node) & {*self.fields, *self.averages}:
            raise ProblemError(f"this {noun} contains none of the fields ({', '.join(self.fields)})", path)
        return node

    def _check_values(self, node: Node, path: str, noun: str) -> None:
        """Everything made of numbers and constants alone has a value, and nothing is divided by such a zero."""
        try:
            known = with_known_values(node, self.constants)
        except ExpressionError as error:
            raise ProblemError(f"with the constants given, {error.message} in this {noun}", path) from error
        if any(isinstance(part, Binary) and part.operator == "/" and part.right == Number(0.0) for part in walk(known)):
            raise ProblemError(f"with the constants given, there is a division by zero in this {noun}", path)

    def _parse(self, text: str, path: str, *, fields: tuple[str, ...] | None = None,
               extra: Mapping[str, object] | None = None) -> Node:
        known = (*self.constants, *self.unknowns, *(extra or {}))
        try:
            return parse(text, inputs=self.inputs, fields=self.fields if fields is None else fields, names=known,
                         max_order=MAX_ORDER)
        except ExpressionError as error:
            raise ProblemError(str(error), path) from error

    def _faces(self, on: str, path: str) -> tuple[Face, ...]:
        if on.strip() == "boundary":
            if self.shape == "ball":
                low, high = next(iter(self.domain.values()))
                return (Face(-1, (high - low) / 2),)
            return tuple(Face(axis, at) for axis, bounds in enumerate(self.domain.values()) for at in bounds)
        if self.shape == "ball":
            raise ProblemError(f"'{on}' is no place of a ball; write 'boundary', its sphere", path)
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
        columns = (f"{name}_data" for o in self.observations for name in (*self.fields, *self.quantities, *o.columns))
        known = (*self.constants, *self.unknowns, *self.averages, *self.definitions,
                 *(f"{key}_exact" for key in self.exact), *columns)
        left, right = parse_sides(text, inputs=self.inputs, fields=self.fields, names=known)
        if right is not None:
            return f"{to_latex(left)} = {to_latex(right)}"
        return f"{to_latex(left)} = 0" if zero else to_latex(left)


def fields_of(node: Node) -> set[str]:
    """The names that occur in an expression, by themselves or differentiated."""
    return {name for name, _ in derivatives(node)} | set(names(node))
