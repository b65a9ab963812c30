"""A straight line through a map, and the values along it. No Qt here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.frames import Array
from ui.plots.ticks import number

SAMPLES = 201  # points along a cut at any angle

Place = tuple[float, float]  # across, upwards, in the inputs' units


@dataclass(frozen=True, slots=True)
class Cut:
    """'up': at a value of the input across; 'level': at a value of the input upwards; 'free': from place to place."""

    kind: Literal["up", "level", "free"]
    at: float = 0.0
    start: Place = (0.0, 0.0)
    end: Place = (0.0, 0.0)

    def ends(self, across: Place, upwards: Place) -> tuple[Place, Place]:
        """The two ends of the line on a map of these ranges."""
        if self.kind == "up":
            return (self.at, upwards[0]), (self.at, upwards[1])
        if self.kind == "level":
            return (across[0], self.at), (across[1], self.at)
        return self.start, self.end


@dataclass(frozen=True, slots=True)
class Section:
    """A cut on a grid: the coordinate along it [n], its name, where the cut is, and the values along it.

    `take` makes of an array [across, upwards] the values [n]: the grid's own along an axis, linear between the grid's
    points at any other angle. `cut` lies on the grid: what is drawn on the map is what the values are of.
    """

    cut: Cut
    coordinate: Array
    name: str
    where: str
    take: Callable[[Array], Array]


def section(cut: Cut, inputs: Sequence[str], axes: Sequence[Array]) -> Section:
    """Where a cut runs over the grid of `axes`, across first."""
    if cut.kind != "free":
        held = 0 if cut.kind == "up" else 1
        index = int(np.abs(axes[held] - cut.at).argmin())
        value = float(axes[held][index])

        def along(values: Array) -> Array:
            return np.asarray(values[index] if held == 0 else values[:, index])

        return Section(Cut(cut.kind, value), axes[1 - held], inputs[1 - held], f"{inputs[held]} = {number(value)}",
                       along)
    share = np.linspace(0, 1, SAMPLES)
    ways = [start + share * (end - start) for start, end in zip(cut.start, cut.end, strict=True)]
    where = " to ".join(f"({number(a, 3)}, {number(b, 3)})" for a, b in (cut.start, cut.end))
    if "t" not in inputs:
        length = float(np.hypot(*(way[-1] - way[0] for way in ways)))
        return Section(cut, share * length, "distance", where, _between(axes, ways))
    axis = int(abs(cut.end[0] - cut.start[0]) < 1e-9 * abs(axes[0][-1] - axes[0][0]))  # time and places have no length
    order = slice(None) if ways[axis][-1] >= ways[axis][0] else slice(None, None, -1)
    return Section(cut, ways[axis][order], inputs[axis], where, _between(axes, [way[order] for way in ways]))


def _between(axes: Sequence[Array], places: Sequence[Array]) -> Callable[[Array], Array]:
    """Linear interpolation in both inputs; NaN where a neighbour is."""
    low, weight = [], []
    for axis, values in zip(axes, places, strict=True):
        position = np.interp(values, axis, np.arange(len(axis)))
        left = np.clip(np.floor(position).astype(np.intp), 0, max(len(axis) - 2, 0))
        low.append(left)
        weight.append(position - left)
    (i, j), (a, b) = low, weight
    right, above = (np.minimum(k + 1, len(axis) - 1) for k, axis in zip(low, axes, strict=True))

    def take(values: Array) -> Array:
        v = np.asarray(values, dtype=np.float64)
        corners = ((1 - a) * (1 - b), v[i, j]), (a * (1 - b), v[right, j]), ((1 - a) * b, v[i, above]), (
            a * b, v[right, above])
        return np.asarray(sum(np.where(w == 0, 0.0, w * corner) for w, corner in corners))

    return take
