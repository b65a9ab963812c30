"""What makes a problem senseless, found before anything is built. Each check raises ProblemError with the place."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.expression import RESERVED, derivatives, names
from core.statements import ProblemError

if TYPE_CHECKING:
    from core.problem import Problem

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


def check_domain(p: Problem) -> None:
    """The bounds are bounds, a ball is round, a periodic input is an input without conditions across it."""
    for name, (low, high) in p.domain.items():
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ProblemError(f"{name} runs from {low:g} to {high:g}; the lower bound must be below the upper",
                               f"domain.{name}")
    if p.shape == "ball":
        spans = {round(high - low, 12) for low, high in p.domain.values()}
        if len(spans) > 1:
            raise ProblemError("a ball has the same diameter along every input; these ranges differ", "domain")
        if p.periodic:
            raise ProblemError("a ball cannot be periodic; take shape = 'box'", "periodic")
    elif p.shape != "box":
        raise ProblemError(f"there is no shape '{p.shape}'; the shapes are box and ball", "shape")
    for position, name in enumerate(p.periodic):
        if name not in p.domain:
            raise ProblemError(f"'{name}' is to be periodic, but is no input; the inputs are {', '.join(p.inputs)}",
                               f"periodic.{position}")
    for name, value in {**p.unknowns, **p.truth}.items():
        if not math.isfinite(value):
            raise ProblemError(f"{value} is no start value", f"unknowns.{name}")


def check_use(p: Problem) -> None:
    """Everything parses, and every field and unknown has an equation that it appears in."""
    used: set[str] = set()
    for nodes in ([s.expression for s in p.statements if not s.faces], p.average_nodes.values(),
                  p.flux_nodes.values()):
        for node in nodes:
            used |= {name for name, _ in derivatives(node)} | set(names(node))
    for node in p.reading_nodes.values():
        used |= names(node)
    _ = p.quantity_nodes, p.hard_nodes  # parsed now, so that a mistake is told now
    for position, name in enumerate(p.fields):
        if name not in used:
            raise ProblemError(f"the field '{name}' appears in no equation", f"fields.{position}")
    for name in p.unknowns:
        if name not in used:
            raise ProblemError(f"the unknown '{name}' appears in no equation, so nothing can be learned of it",
                               f"unknowns.{name}")
    for name in p.averages:
        if name not in used:
            raise ProblemError(f"the average '{name}' is used by no equation and no reading", f"averages.{name}")
    for position, (condition, statement) in enumerate(
            zip(p.conditions, p.statements[len(p.residuals):], strict=False)):
        for face in statement.faces:
            if face.axis >= 0 and p.inputs[face.axis] in p.periodic:
                raise ProblemError(f"'{condition.name}' holds where {p.inputs[face.axis]} = {face.at:g}, but the "
                                   f"problem is periodic in {p.inputs[face.axis]} and has no boundary there",
                                   f"conditions.{position}.on")


def check_decomposition(p: Problem) -> None:
    """The cuts lie inside, there is a flux across each, and lists have an entry for each sub-domain."""
    d = p.decomposition
    if d is None:
        return
    if p.shape != "box" or p.periodic or p.hard or p.averages:
        raise ProblemError("sub-domains are for a box without periodic inputs, hard constraints and averages",
                           "decomposition.splits")
    if not d.splits:
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
            raise ProblemError(f"'{name}' is no input; the inputs are {', '.join(p.inputs)}", "decomposition.flux")
    count = math.prod(len(cuts) + 1 for cuts in d.splits.values())
    for key, entries in (("hidden", d.hidden), ("points", d.points), ("starts", d.starts)):
        if entries and len(entries) != count:
            raise ProblemError(f"there are {count} sub-domains, but {len(entries)} entries here",
                               f"decomposition.{key}")
    for position, name in enumerate(d.local):
        if name not in p.unknowns:
            raise ProblemError(f"'{name}' is no unknown", f"decomposition.local.{position}")
