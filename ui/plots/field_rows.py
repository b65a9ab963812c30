"""What stands in a grid of fields: a column for each quantity, a row for each lane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PySide6.QtGui import QImage

from core.frames import Array
from ui.plots.cuts import Place
from ui.plots.dots import Dots
from ui.plots.ticks import number, power_of_ten

Kind = Literal["value", "signed", "error", "residual"]


@dataclass(slots=True)
class Column:
    """One quantity: its name, its color map, and the levels of each row; exponents of ten where logarithmic."""

    name: str
    colors: str
    levels: list[tuple[float, float]] = field(default_factory=list)
    kind: Kind = "value"
    logarithmic: bool = False

    @property
    def key(self) -> tuple[str, str, bool]:
        """What makes it another column, whatever its levels."""
        return self.name, self.kind, self.logarithmic

    def drawn(self, values: Array, low: float) -> Array:
        """What the colors are of. On a logarithmic scale all that is not above its lowest value counts as that."""
        if not self.logarithmic:
            return values
        return np.asarray(np.log10(np.maximum(values, 10.0**low)))


@dataclass(slots=True)
class Row:
    """One lane: its label, a note, the axes, and the values of each column (None where there are none).

    `others` are read under the mouse only. `nearest` says how far the nearest collocation point is from a place.
    """

    label: str
    note: str = ""
    inputs: tuple[str, ...] = ()
    axes: tuple[Array, ...] = ()
    values: list[Array | None] = field(default_factory=list)
    images: dict[int, tuple[tuple[float, float], QImage]] = field(default_factory=dict)  # with the levels they have
    others: list[tuple[str, Array]] = field(default_factory=list)
    dots: list[Dots] = field(default_factory=list)
    nearest: Callable[[Place], str] | None = None
    empty: str = "The fields appear here with the first frame."
    dotted: tuple[tuple[int, int], QImage] | None = None  # the picture of the dots, and its size


def evenly(values: Array, axes: tuple[Array, ...]) -> Array:
    """What an image of equal pixels shows of a grid, which need not be even: at each pixel the nearest point's."""
    for axis, places in enumerate(axes):
        steps = np.diff(places)
        if len(steps) > 1 and np.ptp(steps) > 1e-3 * abs(steps).max():
            middles = (places[1:] + places[:-1]) / 2
            half = (places[-1] - places[0]) / (len(places) - 1) / 2
            count = min(1024, int(np.ceil((places[-1] - places[0]) / steps.min())) + 1)
            edges = np.linspace(places[0] - half, places[-1] + half, count + 1)
            values = np.take(values, np.searchsorted(middles, (edges[1:] + edges[:-1]) / 2), axis=axis)
    return values


def end_labels(column: Column, levels: tuple[float, float]) -> tuple[str, str]:
    """What a color bar says at its lower and upper end. A logarithmic one names its floor."""
    if column.logarithmic:
        low, high = (power_of_ten(round(end)) for end in levels)
        return f"\u2264{low}", high
    return number(levels[0], 3), number(levels[1], 3)
