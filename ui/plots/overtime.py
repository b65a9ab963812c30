"""What the pictures of distributions over time have in common: a cell's data, the axis of its values, the grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from PySide6.QtCore import QRectF

from core.frames import Array
from ui.plots.canvas import whole
from ui.plots.ticks import (
    Floats,
    Ticks,
    linear_ticks,
    log_ticks,
    nice_step,
    number,
    power_of_ten,
    symlog,
    symlog_inverse,
    symlog_ticks,
)

KINDS = ("linear", "log", "symlog")
GAP = 8.0  # pixels between cells
TINY = 1e-300  # what zero is on a logarithmic axis


@dataclass(slots=True)
class MapCell:
    """The distribution of some numbers at each step at which it was seen.

    `steps` [S] increasing, `edges` [B + 1] increasing (or [S, B + 1] where the grid changed), `counts` [S, B].
    """

    title: str
    color: str | None  # of the chip before the title, '#rrggbb'
    steps: Array
    edges: Array
    counts: Array

    def edges_at(self, index: int) -> Array:
        """[B + 1] the grid of one snapshot."""
        return np.asarray(self.edges[index] if self.edges.ndim == 2 else self.edges)

    def nearest(self, step: float) -> int:
        """The snapshot that holds at `step`: the last one that is not later; the first before all of them."""
        return max(0, int(np.searchsorted(self.steps, step, side="right")) - 1)


@dataclass(frozen=True, slots=True)
class ValueAxis:
    """An axis of values from `low` to `high`: 'linear', 'log' or 'symlog' (sign(v) log10(1 + |v| / threshold)).

    One unit along the axis is one of the value's units, one decade, or one decade of the symmetric logarithm.
    """

    kind: str = "linear"
    threshold: float = 1.0
    low: float = -1.0
    high: float = 1.0
    name: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"A value axis is one of {', '.join(KINDS)}, not {self.kind!r}.")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"A value axis goes from a lower to a higher number, not from {self.low} to {self.high}.")
        if self.kind == "log" and self.low <= 0:
            raise ValueError(f"A logarithmic axis begins above 0, not at {self.low}.")
        if self.kind == "symlog" and not self.threshold > 0:
            raise ValueError(f"The threshold of a symlog axis is positive, not {self.threshold}.")

    def at(self, value: ArrayLike) -> Floats:
        """Where values stand along the axis, in its units."""
        array = np.asarray(value, dtype=np.float64)
        if self.kind == "log":
            return np.asarray(np.log10(np.maximum(array, TINY)))
        return symlog(array, self.threshold) if self.kind == "symlog" else array

    def inverse(self, at: ArrayLike) -> Floats:
        """The values that stand there."""
        array = np.asarray(at, dtype=np.float64)
        if self.kind == "log":
            return np.asarray(10.0**array)
        return symlog_inverse(array, self.threshold) if self.kind == "symlog" else array

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest place along the axis."""
        return float(self.at(self.low)), float(self.at(self.high))

    @property
    def unit(self) -> str:
        """What densities are stated per."""
        return "unit" if self.kind == "linear" else "decade"

    def places(self, length: float, size: Callable[[str], float]) -> tuple[Ticks, list[float]]:
        """Ticks (place along the axis, label) and bare places on `length` pixels; `size` of a label along the axis."""
        a, b = self.ends
        if self.kind == "symlog":
            limit = max(abs(self.low), abs(self.high))
            if self.high <= 0 or self.low >= 0:
                return self._one_side(length, size), []
            room = length * 2 * float(self.at(limit)) / (b - a)
            labelled, bare = symlog_ticks(limit, self.threshold, room, size)
            inside = [(float(self.at(v)), text) for v, text in labelled if self.low <= v <= self.high]
            return inside, [float(self.at(v)) for v in bare if self.low <= v <= self.high]
        widest = max(size(text) for text in ("0.001", number(self.low), number(self.high)))
        if self.kind == "log":
            return log_ticks(a, b, max(1.0, length / (1.6 * widest)))
        return linear_ticks(a, b, max(1.0, length / (1.8 * widest))), []

    def _one_side(self, length: float, size: Callable[[str], float]) -> Ticks:
        """Ticks of a symlog axis that does not cross zero: zero and the decades that are far enough apart."""
        a, b = self.ends
        sign = -1.0 if self.high <= 0 else 1.0
        inner, outer = sorted((abs(self.low), abs(self.high)))
        first = math.floor(math.log10(max(inner, self.threshold)))
        out: Ticks = [(0.0, "0")] if inner == 0 else []
        apart = 1.4 * size("\u2212" + power_of_ten(-8)) * (b - a) / length
        for decade in range(math.floor(math.log10(outer) + 1e-9), first - 1, -1):
            at = float(self.at(sign * 10.0**decade))
            if a <= at <= b and all(abs(at - other) >= apart for other, _ in out):
                out.append((at, ("\u2212" if sign < 0 else "") + power_of_ten(decade)))
        return sorted(out)

    def caption(self) -> tuple[str, ...]:
        """What the axis is, the longest first."""
        if self.kind == "linear" or not self.name:
            return (self.name,)
        how = "logarithmic" if self.kind == "log" else f"linear within \u00b1{number(self.threshold)}, log beyond"
        return (f"{self.name} ({how})", self.name)


def grid(area: QRectF, count: int, *, group: int = 1, above: float = 0.0, lowest: float = 60.0,
         narrowest: float = 110.0, shape: float = 1.9) -> tuple[list[QRectF], int]:
    """Boxes for `count` cells in an area, and in how many rows they stand.

    `above` pixels over each box are left for its title. Cells are about `shape` times as wide as high, the columns
    are a multiple of `group` (so that lanes stand beside each other), no box is narrower than `narrowest` pixels
    unless a group is; boxes are `lowest` pixels high at least, beyond the area where need be.
    """
    count = max(1, count)
    wanted = max(1.0, area.width()) / max(1.0, area.height()) / shape
    step = min(group, count)

    def fault(columns: int) -> float:
        rows = -(-count // columns)
        return abs(math.log(wanted * rows / columns)) + 1.5 * (-count % columns) / columns

    fitting = [c for c in range(step, count + 1, step) if area.width() / c >= narrowest] or [step]
    columns = min(fitting, key=fault)
    rows = -(-count // columns)
    width = (area.width() - GAP * (columns - 1)) / columns
    height = max(lowest, (area.height() - GAP * (rows - 1)) / rows - above)
    boxes = [whole(area.left() + i % columns * (width + GAP),
                   area.top() + above + i // columns * (height + above + GAP), width, height) for i in range(count)]
    return boxes, rows


def share_matrix(edges: Array, axis: ValueAxis, rows: int) -> Floats:
    """[B, rows]: how much of each bin lies in each of `rows` equal stretches of the axis, lowest first.

    A bin is spread evenly along the axis. What lies beyond the axis is in no row.
    """
    low, high = axis.ends
    bounds = np.linspace(low, high, rows + 1)
    places = axis.at(edges)
    a, b = places[:-1, None], places[1:, None]
    overlap = np.minimum(b, bounds[None, 1:]) - np.maximum(a, bounds[None, :-1])
    return np.asarray(np.clip(overlap, 0.0, None) / np.maximum(b - a, 1e-300))


def over_steps(steps: Floats, end: float, density: Floats, left: float, right: float, columns: int) -> Floats:
    """[columns, rows] means over equal stretches of [left, right] of what holds from each step to the next, to `end`.

    `density` [S, rows]. NaN in stretches that nothing reaches.
    """
    bounds = np.linspace(left, right, columns + 1)
    times = np.append(steps, max(end, float(steps[-1])))
    total = np.concatenate([np.zeros((1, density.shape[1])), np.cumsum(density * np.diff(times)[:, None], axis=0)])
    held = np.clip(bounds, times[0], times[-1])
    index = np.clip(np.searchsorted(times, held, side="right") - 1, 0, len(steps) - 1)
    until = total[index] + density[index] * (held - times[index])[:, None]
    covered = np.diff(held)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.diff(until, axis=0) / covered
    mean[~(covered[:, 0] > 0)] = np.nan
    return np.asarray(np.where(np.abs(mean) < 1e-9, 0.0, mean))  # what rounding leaves of nothing is nothing


def evenly(steps: Sequence[float] | Array, count: int) -> list[int]:
    """The places of at most `count` of these steps, evenly chosen along them, the first and the last included.

    Those between are the first ones at round steps, so that most of them stay while a run goes on.
    """
    array = np.asarray(steps, dtype=np.float64)
    if len(array) <= count:
        return list(range(len(array)))
    grain = nice_step(float(array[-1] - array[0]), max(1, count - 2))
    wanted = np.arange(math.floor(array[0] / grain) + 1, math.ceil(array[-1] / grain)) * grain
    return sorted({0, *np.searchsorted(array, wanted).tolist(), len(array) - 1})
