"""What makes a problem senseless, found before anything is built. Each check raises ProblemError with the place."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from core.choices import RECOVERY
from core.expression import RESERVED, Node, derivatives, names
from core.statements import AVERAGE, FLUX, ProblemError

if TYPE_CHECKING:
    from core.problem import Problem

RESERVED_TERMS = (RECOVERY, FLUX, AVERAGE, "total", "all", "preconditioned")  # the last three name rows of frames
THINNEST = 1e-9  # the smallest ratio of a range to its bounds
MOST_PARTS = 256  # sub-domains
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


def check_names(p: Problem) -> None:
    """Every name is one, has no fixed meaning, and means one thing."""
    seen: dict[str, str] = {}
    groups: dict[str, Mapping[str, object] | tuple[str, ...]] = {
        "domain": p.inputs, "fields": p.fields, "constants": p.constants, "unknowns": p.unknowns,
        "definitions": p.definitions, "averages": p.averages, "readings": p.readings, "quantities": p.quantities,
    }
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
    if not p.fields:
        raise ProblemError("there is no field to solve for", "fields")
    if not p.domain:
        raise ProblemError("there is no input; the domain needs at least one", "domain")
    if not p.residuals and not p.observations:
        raise ProblemError("there is no equation; at least one is needed, or an observation", "residuals")
    for group, noun, rows in (("residuals", "an equation", [r.name for r in p.residuals]),
                              ("observations", "an observation", [o.name for o in p.observations])):
        for position, name in enumerate(rows):
            if name in rows[:position]:
                raise ProblemError(f"there is {noun} '{name}' already; a panel could not tell them apart",
                                   f"{group}.{position}.name")
    for name in p.truth:
        if name not in p.unknowns and name not in p.readings:
            raise ProblemError(f"a true value is given for '{name}', which is no unknown and no reading",
                               f"truth.{name}")
    _check_columns(p, seen)
    for key in p.exact:
        if f"{key}_exact" in seen:
            raise ProblemError(f"'{key}_exact' is how equations call the exact solution, and also in "
                               f"{seen[f'{key}_exact']}", f"exact.{key}")
    for group, terms in (("residuals", [r.term for r in p.residuals]), ("conditions", [c.term for c in p.conditions]),
                         ("observations", [o.term for o in p.observations])):
        for position, term in enumerate(terms):
            if term in RESERVED_TERMS:
                raise ProblemError(f"'{term}' is the name of a loss term that the program makes itself; take another",
                                   f"{group}.{position}.term")


def _check_columns(p: Problem, seen: Mapping[str, str]) -> None:
    """An observation has a file, and each name that its equation gives a column means that column alone."""
    for position, o in enumerate(p.observations):
        if not o.file and not p.reference:
            raise ProblemError("this observation has no file, and the problem has no reference",
                               f"observations.{position}.file")
        for number, column in enumerate(o.columns):
            path = f"observations.{position}.columns.{number}"
            if not IDENTIFIER.match(column):
                raise ProblemError(f"'{column}' is no name; a name is a letter, then letters, digits or _", path)
            if column in p.domain:
                raise ProblemError(f"'{column}' is an input; equations use it by its name", path)
            if column in (*p.fields, *p.quantities, *o.columns[:number]):
                raise ProblemError(f"'{column}' is a column already; those of fields and quantities need not be named",
                                   path)
        for column in (*p.fields, *p.quantities, *o.columns):
            if f"{column}_data" in seen:
                raise ProblemError(f"'{column}_data' is the name of this observation's column, and also in "
                                   f"{seen[f'{column}_data']}", f"observations.{position}")


def check_domain(p: Problem) -> None:
    """The bounds are bounds, a ball is round, a periodic input is an input without conditions across it."""
    for name, (low, high) in p.domain.items():
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ProblemError(f"{name} runs from {low:g} to {high:g}; the lower bound must be below the upper",
                               f"domain.{name}")
        span = high - low
        if not (math.isfinite(span) and span > THINNEST * max(abs(low), abs(high))):
            raise ProblemError(f"{name} runs from {low:g} to {high:g}; numbers between these bounds cannot be told "
                               f"apart, measure it from another origin or in another unit", f"domain.{name}")
    if p.shape == "ball":
        spans = [high - low for low, high in p.domain.values()]
        if max(spans) - min(spans) > THINNEST * max(spans):
            raise ProblemError("a ball has the same diameter along every input; these ranges differ", "domain")
        if p.periodic:
            raise ProblemError("a ball cannot be periodic; take shape = 'box'", "periodic")
    elif p.shape != "box":
        raise ProblemError(f"there is no shape '{p.shape}'; the shapes are box and ball", "shape")
    for position, name in enumerate(p.periodic):
        if name not in p.domain:
            raise ProblemError(f"'{name}' is to be periodic, but is no input; the inputs are {', '.join(p.inputs)}",
                               f"periodic.{position}")
        if name in p.periodic[:position]:
            raise ProblemError(f"'{name}' is named twice", f"periodic.{position}")
    for group, noun, values in (("unknowns", "start", p.unknowns), ("truth", "true", p.truth)):
        for name, value in values.items():
            if not math.isfinite(value):
                raise ProblemError(f"{value} is no {noun} value", f"{group}.{name}")


def check_use(p: Problem) -> None:
    """Everything parses, and every field and unknown has an equation that it appears in."""
    inside = _named([s.expression for s in p.statements if not s.faces])
    averages, cut = p.average_nodes, p.decomposition.splits if p.decomposition else {}
    flux = {axis: node for axis, node in p.flux_nodes.items() if cut.get(p.inputs[axis])}
    inside |= _named([node for name, node in averages.items() if name in inside]) | _named(flux.values())
    everywhere = inside | _named([s.expression for s in p.statements if s.faces])
    read = _named(p.reading_nodes.values())
    _ = p.quantity_nodes, p.hard_nodes  # parsed now, so that a mistake is told now
    for position, name in enumerate(p.fields):
        if name not in inside:
            raise ProblemError(f"the field '{name}' appears in no equation", f"fields.{position}")
    for name in p.unknowns:
        if name not in everywhere:
            raise ProblemError(f"the unknown '{name}' appears in no equation, so nothing can be learned of it",
                               f"unknowns.{name}")
    for name in averages:
        if name not in inside | read:
            raise ProblemError(f"the average '{name}' is used by no equation and no reading", f"averages.{name}")
    for position, (condition, statement) in enumerate(
            zip(p.conditions, p.statements[len(p.residuals):], strict=False)):
        for face in statement.faces:
            if face.axis >= 0 and p.inputs[face.axis] in p.periodic:
                raise ProblemError(f"'{condition.name}' holds where {p.inputs[face.axis]} = {face.at:g}, but the "
                                   f"problem is periodic in {p.inputs[face.axis]} and has no boundary there",
                                   f"conditions.{position}.on")


def _named(nodes: Iterable[Node]) -> set[str]:
    """The names in expressions, by themselves or differentiated."""
    return {name for node in nodes for name in (*names(node), *(field for field, _ in derivatives(node)))}


def check_decomposition(p: Problem) -> None:
    """The cuts lie inside, there is a flux across each, and lists have an entry for each sub-domain."""
    d = p.decomposition
    if d is None:
        return
    if p.shape != "box" or p.periodic or p.hard or p.averages:
        raise ProblemError("sub-domains are for a box without periodic inputs, hard constraints and averages",
                           "decomposition.splits")
    if not any(d.splits.values()):
        raise ProblemError("there is no cut; without sub-domains leave 'decomposition' away", "decomposition.splits")
    for name, cuts in d.splits.items():
        path = f"decomposition.splits.{name}"
        if name not in p.domain:
            raise ProblemError(f"'{name}' is no input; the inputs are {', '.join(p.inputs)}", path)
        low, high = p.domain[name]
        if list(cuts) != sorted(set(cuts)) or not all(low < cut < high for cut in cuts):
            raise ProblemError(f"the cuts must increase and lie between {low:g} and {high:g}", path)
        if cuts and name not in d.flux:
            raise ProblemError(f"the domain is cut across {name}, so a flux across it is needed",
                               "decomposition.flux")
    for name in d.flux:
        if name not in p.domain:
            raise ProblemError(f"'{name}' is no input; the inputs are {', '.join(p.inputs)}",
                               f"decomposition.flux.{name}")
    for position, r in enumerate(p.residuals):
        if r.measure == "mean":
            raise ProblemError("the mean over a domain is not the sum of those over its sub-domains",
                               f"residuals.{position}.measure")
    count = math.prod(len(cuts) + 1 for cuts in d.splits.values())
    if count > MOST_PARTS:
        raise ProblemError(f"these cuts make {count} sub-domains with a network each; at most {MOST_PARTS} are "
                           f"possible", "decomposition.splits")
    for key, entries in (("hidden", d.hidden), ("points", d.points), ("starts", d.starts)):
        if entries and len(entries) != count:
            raise ProblemError(f"there are {count} sub-domains; give an entry for each, not {len(entries)}",
                               f"decomposition.{key}")
    for position, widths in enumerate(d.hidden):
        if not widths or min(widths) < 1:
            raise ProblemError("a network has one hidden layer or more, each of width 1 or more",
                               f"decomposition.hidden.{position}")
    for position, points in enumerate(d.points):
        if points < 1:
            raise ProblemError(f"a sub-domain has one point or more, not {points}", f"decomposition.points.{position}")
    for position, name in enumerate(d.local):
        if name not in p.unknowns:
            raise ProblemError(f"'{name}' is no unknown", f"decomposition.local.{position}")
        if name in d.local[:position]:
            raise ProblemError(f"'{name}' is named twice", f"decomposition.local.{position}")
    if d.starts and not d.local:
        raise ProblemError("these start values belong to local unknowns, of which there are none",
                           "decomposition.starts")
