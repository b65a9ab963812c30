"""The rows of maps of fields: what of a frame stands in which column, what the mouse reads, and the dots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from core.frames import Array, FieldsFrame
from ui.panels.panel import Lane
from ui.panels.profiles import held_words, predicted, turned, upright
from ui.plots.dots import Dots, near_slice, nearest, thinned
from ui.plots.field_rows import Column, Kind, Row
from ui.plots.ticks import number
from ui.theme import Theme

Domain = Mapping[str, tuple[float, float]]


def slice_of(domain: Domain, frame: FieldsFrame | None) -> tuple[dict[str, tuple[float, float]], str]:
    """The two inputs of a frame's maps with their ranges, across first; and where the others are held, in words.

    Before the first frame those that a run begins with: the first two, the others in the middle.
    """
    names = frame.inputs if frame is not None and len(frame.inputs) == 2 else tuple(domain)[:2]
    held = frame.fixed if frame is not None else {name: sum(ends) / 2 for name, ends in list(domain.items())[2:]}
    return {name: domain[name] for name in (names[::-1] if turned(names) else names)}, held_words(held)


def aspect_of(across: Domain) -> float:
    """Width over height of a map: places in space keep their shape, within reason; 0 over time."""
    if len(across) != 2 or "t" in across:
        return 0.0
    (a, b), (c, d) = across.values()
    return min(max((b - a) / (d - c), 0.6), 1.9)


def field_columns(name: str, known: str, equation: str | None, theme: Theme, *, signed: bool,
                  log: bool) -> list[Column]:
    """A column for what is known: no solution (known is ''), no error; no equation (None), no residual."""
    kind: Kind = "signed" if signed else "value"
    colors = theme.diverging if signed else theme.sequential
    columns = [Column(f"prediction {name}".strip(), colors, kind=kind)]
    if known:
        columns += [Column(f"{known} {name}", colors, kind=kind),
                    Column("absolute error", theme.error, kind="error", logarithmic=log)]
    if equation is not None:
        columns.append(Column(f"residual {equation}".strip(), theme.diverging, kind="residual"))
    return columns


def field_row(lane: Lane, frame: FieldsFrame, columns: Sequence[Column], name: str, equation: str,
              dots: list[Dots], *, show_nearest: bool) -> Row:
    """A frame over two inputs, time across. name: field, quantity or derivative; equation: whose residual is drawn."""
    groups: dict[str, Array | None] = {"error": frame.error.get(name), "residual": frame.residuals.get(equation)}
    values: list[Array | None] = []
    for place, column in enumerate(columns):
        if column.kind in groups:
            values.append(upright(frame, groups[column.kind]))
        else:
            values.append(upright(frame, predicted(frame, name) if place == 0 else frame.exact.get(name)))
    order = slice(None, None, -1) if turned(frame.inputs) else slice(None)
    row = Row(lane.label, f"step {frame.step:,}", frame.inputs[order], frame.axes[order], values, dots=dots)
    row.others = list(_others(frame, name, equation))
    if show_nearest:
        points = frame.points
        row.nearest = lambda at: nearest_words(points, lane.experiment.problem.domain,
                                               {**frame.fixed, **dict(zip(row.inputs, at, strict=True))})
    return row


def _others(frame: FieldsFrame, name: str, equation: str) -> Iterator[tuple[str, Array]]:
    """What is not drawn, upright: the other fields with their errors, residuals, derivatives."""
    groups = (("prediction", frame.prediction), ("exact", frame.exact), ("absolute error", frame.error))
    for field in frame.prediction:
        if field != name:
            for word, group in groups:
                if field in group and word != "exact":
                    yield f"{word} {field}", _known(frame, group[field])
    for other, values in frame.residuals.items():
        if other != equation:
            yield f"residual {other}", _known(frame, values)
    for derivative, values in frame.derivatives.items():
        if derivative != name:
            yield derivative, _known(frame, values)


def _known(frame: FieldsFrame, values: Array) -> Array:
    found = upright(frame, values)
    assert found is not None
    return found


def dots_of(frame: FieldsFrame, domain: Domain, terms: Sequence[str], theme: Theme) -> list[Dots]:
    """The points of the last step near a frame's slice, by loss term, in the terms' colors; time across, as the maps.

    Terms of a frame that are in no lane's list stand last.
    """
    names = list(domain)
    inputs = frame.inputs[::-1] if turned(frame.inputs) else frame.inputs
    columns = [names.index(name) for name in inputs]
    order = [*terms, *(term for term in frame.points if term not in terms)]
    near = {term: near_slice(np.asarray(frame.points[term]), names, list(domain.values()), dict(frame.fixed))
            for term in order if term in frame.points}
    counts = thinned([len(points) for points in near.values()])
    out = []
    for (term, points), count in zip(near.items(), counts, strict=True):
        if len(points):
            kept = points[np.arange(count) * len(points) // max(count, 1)]
            out.append(Dots(term, theme.term(order.index(term)), kept[:, columns], len(points)))
    return out


def dots_legend(dots: Sequence[Dots], frame: FieldsFrame, whose: str) -> list[tuple[str, str]]:
    """What is said of the dots: how many there are of each term, and how many of them are drawn. (color, words)."""
    near = f" near {', '.join(frame.fixed)}" if 0 < len(frame.fixed) <= 3 else " near the slice" if frame.fixed else ""
    of = f" of {whose}" if whose else ""
    if not frame.points:
        return [("", f"points{of}: none are drawn before the first step")]
    if not dots:
        return [("", f"points{of}: none{near}, of {sum(map(len, frame.points.values())):,} of step {frame.step:,}")]
    drawn, total = sum(len(one.places) for one in dots), sum(one.count for one in dots)
    some = f", {drawn:,} of them drawn" if drawn < total else ""
    return [("", f"points{of}{near}{some}:"), *((one.color, f"{one.term} {one.count:,}") for one in dots)]


def nearest_words(points: Mapping[str, Array], domain: Domain, place: Mapping[str, float]) -> str:
    """How far the nearest collocation point of a step is from a place in the domain, and whose it is."""
    at = np.array([place[name] for name in domain])
    found = [(nearest(at, np.asarray(rows), list(domain.values())), term) for term, rows in points.items() if len(rows)]
    if not found:
        return "none"
    distance, term = min(found)
    return f"{term}, {number(100 * distance, 2)} % of the range away"
