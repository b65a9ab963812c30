"""Curves that grow for a whole run, and what of them is drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

POINTS = 2000  # at most about so many are drawn of one curve
_BLOCK = 64
_DIRECT = 200_000  # so many are thinned in one go; beyond, the blocks are thinned


def thin(steps: Floats, values: Floats, points: int = POINTS) -> tuple[Floats, Floats]:
    """At most about `points` of a curve: of each stretch its lowest and its highest, so that no peak is lost.

    NaN in a stretch with other values is passed over; a stretch of NaN stays one, so that the gap is seen.
    """
    count = len(values)
    if count <= points:
        return steps, values
    size = -(-count // max(1, points // 2))
    whole = count // size * size
    block = values[:whole].reshape(-1, size)
    missing = np.isnan(block)
    low = np.where(missing, np.inf, block).argmin(axis=1)
    high = np.where(missing, -np.inf, block).argmax(axis=1)
    start = np.arange(len(block)) * size
    pick = np.stack([start + np.minimum(low, high), start + np.maximum(low, high)], axis=1).ravel()
    if whole < count:
        rest = values[whole:]
        if not np.isnan(rest).all():
            ends = sorted((whole + int(np.nanargmin(rest)), whole + int(np.nanargmax(rest))))
            pick = np.concatenate([pick, ends])
        pick = np.append(pick, count - 1)
    return steps[pick], values[pick]


def smooth(steps: Floats, values: Floats, bins: int, *, logarithmic: bool) -> tuple[Floats, Floats]:
    """Means over at most `bins` stretches of equal length: geometric where `logarithmic`. NaN is left out."""
    count = len(values)
    size = -(-count // max(1, bins))
    if size <= 1:
        return steps, values
    start = np.arange(0, count, size)
    with np.errstate(divide="ignore", invalid="ignore"):
        work = np.log10(values) if logarithmic else values
        good = np.isfinite(work)
        total = np.add.reduceat(np.where(good, work, 0.0), start)
        number = np.add.reduceat(good.astype(np.float64), start)
        mean = np.where(number > 0, total / number, np.nan)
    lengths = np.diff(np.append(start, count))
    middle = np.add.reduceat(steps, start) / lengths
    return middle, np.asarray(10.0**mean if logarithmic else mean, dtype=np.float64)


class Series:
    """A curve over training steps: everything is kept, a part is drawn."""

    def __init__(self) -> None:
        self._data = np.empty((2, 256))
        self._count = 0
        self._coarse = np.empty((2, 64))
        self._coarse_count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def steps(self) -> Floats:
        """All steps, increasing. A view."""
        return self._data[0, : self._count]

    @property
    def values(self) -> Floats:
        """The value at each step. A view."""
        return self._data[1, : self._count]

    @property
    def last(self) -> float:
        """The newest value; NaN where there is none."""
        return float(self._data[1, self._count - 1]) if self._count else float("nan")

    def append(self, step: float, value: float) -> None:
        """One more point. A step that is not beyond the last one cuts the curve back to before it first."""
        if self._count and step <= self._data[0, self._count - 1]:
            self._cut(int(np.searchsorted(self.steps, step)))
        if self._count == self._data.shape[1]:
            self._data = np.concatenate([self._data, np.empty_like(self._data)], axis=1)
        self._data[:, self._count] = step, value
        self._count += 1
        if self._count % _BLOCK == 0:
            self._add_block()

    def visible(self, low: float, high: float) -> tuple[Floats, Floats]:
        """The points with low <= step <= high and one neighbor on each side; of a very long stretch its extremes."""
        first = max(0, int(np.searchsorted(self.steps, low)) - 1)
        last = min(self._count, int(np.searchsorted(self.steps, high, side="right")) + 1)
        if last - first <= _DIRECT:
            return self.steps[first:last], self.values[first:last]
        a, b = first // _BLOCK * 2, min(last // _BLOCK * 2, self._coarse_count)
        tail = slice(max(first, b // 2 * _BLOCK), last)
        return (
            np.concatenate([self._coarse[0, a:b], self._data[0, tail]]),
            np.concatenate([self._coarse[1, a:b], self._data[1, tail]]),
        )

    def at(self, step: float) -> tuple[float, float]:
        """The point nearest to `step`; NaN where the curve is empty."""
        if not self._count:
            return float("nan"), float("nan")
        right = min(int(np.searchsorted(self.steps, step)), self._count - 1)
        left = max(0, right - 1)
        nearest = left if step - self._data[0, left] < self._data[0, right] - step else right
        return float(self._data[0, nearest]), float(self._data[1, nearest])

    def before(self, step: float) -> float | None:
        """The value at `step`, or the last one before it; None where there is none yet."""
        place = int(np.searchsorted(self.steps, step, side="right")) - 1
        return float(self._data[1, place]) if place >= 0 else None

    def _add_block(self) -> None:
        part = slice(self._count - _BLOCK, self._count)
        steps, values = thin(self._data[0, part], self._data[1, part], 2)
        if self._coarse_count + 2 > self._coarse.shape[1]:
            self._coarse = np.concatenate([self._coarse, np.empty_like(self._coarse)], axis=1)
        self._coarse[0, self._coarse_count : self._coarse_count + 2] = steps[:2]
        self._coarse[1, self._coarse_count : self._coarse_count + 2] = values[:2]
        self._coarse_count += 2

    def _cut(self, count: int) -> None:
        self._count = count
        self._coarse_count = count // _BLOCK * 2
