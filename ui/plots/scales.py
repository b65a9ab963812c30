"""A scale of an axis: linear, logarithmic or symmetric-logarithmic, with its ticks. No Qt here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ui.plots.ticks import Floats, Ticks, linear_ticks, log_ticks, power_of_ten, symlog, symlog_inverse

_MINUS = "\u2212"


@dataclass(frozen=True, slots=True)
class Scale:
    """From `low` to `high`, both values. `threshold`: within +-threshold a symmetric-logarithmic scale is linear.

    Raises ValueError for ends that are no range of this kind.
    """

    kind: Literal["linear", "log", "symlog"]
    low: float
    high: float
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"an axis goes from a lower to a higher number, not from {self.low} to {self.high}")
        if self.kind == "log" and self.low <= 0:
            raise ValueError(f"a logarithmic axis begins above zero, not at {self.low}")
        if self.kind == "symlog" and not self.threshold > 0:
            raise ValueError(f"a symmetric-logarithmic axis has a threshold above zero, not {self.threshold}")

    def _forward(self, values: npt.ArrayLike) -> Floats:
        array = np.asarray(values, dtype=np.float64)
        if self.kind == "symlog":
            return symlog(array, self.threshold)
        if self.kind == "log":
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.asarray(np.where(array > 0, np.log10(array), np.nan))
        return array

    def share(self, values: npt.ArrayLike) -> Floats:
        """Where values stand: 0 at `low`, 1 at `high`; NaN where the scale has no place for them."""
        low, high = self._forward([self.low, self.high]).tolist()
        out = (self._forward(values) - low) / (high - low)
        return np.asarray(np.where(np.isfinite(out), out, np.nan))

    def value(self, share: float) -> float:
        """The value at a share of the axis."""
        low, high = self._forward([self.low, self.high]).tolist()
        at = low + share * (high - low)
        return float(symlog_inverse(at, self.threshold)) if self.kind == "symlog" else (
            float(10.0**at) if self.kind == "log" else at)

    def edges(self, count: int) -> Floats:
        """count + 1 values that cut the axis into stretches of equal length on it, increasing."""
        return np.array([self.value(index / count) for index in range(count + 1)])

    def ticks(self, length: float, measure: Callable[[str], float]) -> tuple[Ticks, list[float]]:
        """(share, label) and bare shares for an axis of so many pixels; `measure`: a label's pixels along the axis."""
        count = max(2.0, length / (2.2 * measure("1000")))
        if self.kind == "symlog":
            values, bare = self._symlog_ticks(length, measure)
        elif self.kind == "log":
            exponents, small = log_ticks(math.log10(self.low), math.log10(self.high), count)
            values, bare = [(10.0**at, text) for at, text in exponents], [10.0**at for at in small]
        else:
            values, bare = linear_ticks(self.low, self.high, count), []
        places = self.share([at for at, _ in values]).tolist() if values else []
        return ([(place, text) for place, (_, text) in zip(places, values, strict=True)],
                self.share(bare).tolist() if bare else [])

    def _symlog_ticks(self, length: float, measure: Callable[[str], float]) -> tuple[Ticks, list[float]]:
        """Zero and every, every second ... decade beyond the threshold, so that no two labels touch."""
        first = math.ceil(math.log10(self.threshold) - 1e-9)
        last = math.floor(math.log10(max(abs(self.low), abs(self.high))) + 1e-9)
        decades = [(sign * 10.0**d, d) for d in range(first, last + 1) for sign in (-1, 1)]
        inside = [(v, d) for v, d in decades if self.low <= v <= self.high]
        kept: Ticks = []
        for stride in range(1, max(2, last - first + 2)):
            wanted = [(v, ("" if v > 0 else _MINUS) + power_of_ten(d)) for v, d in inside if (last - d) % stride == 0]
            kept = [(0.0, "0")] if self.low <= 0 <= self.high else []
            zero = float(self.share(0.0)) * length
            for value, text in wanted:
                room = (measure(text) + measure("0")) / 2 + 0.3 * measure("0")
                if not kept or abs(float(self.share(value)) * length - zero) >= room:
                    kept.append((value, text))
            kept.sort()
            places = [(float(self.share(v)) * length, measure(text)) for v, text in kept]
            if all(b[0] - a[0] >= (a[1] + b[1]) / 2 + 3 for a, b in zip(places, places[1:], strict=False)):
                break
        have = {value for value, _ in kept}
        return kept, [value for value, _ in inside if value not in have]
