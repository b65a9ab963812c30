"""Collocation points over a map, painted as pixels of one picture: thousands cost as little as a few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtGui import QColor, QImage

from core.frames import Array

MOST = 2_000  # dots of a map, of all loss terms together
NEAR = 0.05  # of an input's range: what is farther from a held input's value is not drawn


@dataclass(frozen=True, slots=True)
class Dots:
    """The points of one loss term near a slice: [n, 2] across and upwards ([n, 1] over one input)."""

    term: str
    color: str
    places: Array
    count: int  # near the slice, of which `places` may be some


def near_slice(points: Array, names: Sequence[str], ranges: Sequence[tuple[float, float]],
               fixed: dict[str, float]) -> Array:
    """The rows of points [n, d] that lie within NEAR of the range at every held input."""
    good = np.ones(len(points), dtype=bool)
    for column, (name, (low, high)) in enumerate(zip(names, ranges, strict=True)):
        if name in fixed:
            good &= np.abs(points[:, column] - fixed[name]) <= NEAR * (high - low) * (1 + 1e-6)
    return points[good]


def thinned(counts: Sequence[int], most: int = MOST) -> list[int]:
    """How many of each so that there are `most` together, in proportion; at least one of each that has any."""
    total = sum(counts)
    return [count if total <= most else max(min(count, 1), count * most // total) for count in counts]


def nearest(place: Array, points: Array, ranges: Sequence[tuple[float, float]]) -> float:
    """Distance [1] from a place [d] to the nearest of points [n, d], each input in shares of its range."""
    span = np.array([high - low for low, high in ranges])
    return float(np.sqrt((((points - place) / span) ** 2).sum(1).min())) if len(points) else float("nan")


def dots_image(dots: Sequence[Dots], ends: Sequence[tuple[float, float]], width: int, height: int, size: int,
               halo: str) -> QImage:
    """A transparent picture of width x height pixels with a square of `size` pixels, in a thin halo, for each dot."""
    pixels = np.zeros(height * width, dtype=np.uint32)
    square = [(dx, dy) for dx in range(size) for dy in range(size)]
    around = [(dx, dy) for dx in range(-1, size + 1) for dy in range(-1, size + 1)
              if (dx in (-1, size)) is not (dy in (-1, size))]  # round corners
    (left, right), (bottom, top) = ends
    places = []
    for one in dots:
        x = np.floor((one.places[:, 0] - left) / (right - left) * width - size / 2 + 0.5).astype(np.int32)
        y = np.floor((top - one.places[:, 1]) / (top - bottom) * height - size / 2 + 0.5).astype(np.int32)
        places.append((x, y, np.uint32(QColor(one.color).rgba())))
    for shape, paint in ((around, np.uint32(QColor(halo).rgba())), (square, None)):  # no halo over another dot
        dx, dy = np.array(shape, dtype=np.int32).T
        for x, y, color in places:
            columns, rows = np.clip(x[:, None] + dx, 0, width - 1), np.clip(y[:, None] + dy, 0, height - 1)
            pixels[rows * width + columns] = color if paint is None else paint
    return QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied).copy()
