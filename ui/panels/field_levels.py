"""The color levels of maps of fields: they hold still, and what is to be compared shares them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.frames import Array
from ui.plots.field_rows import Column, Row
from ui.plots.fields import finite_ends
from ui.plots.levels import SlowLimit, SlowRange
from ui.plots.profiles import error_range
from ui.plots.ticks import nice_step

Levels = tuple[float, float]
ALL = -1  # the key of what all lanes share
DECADES = 8.0  # of a logarithmic error at most
SAMPLE = 2_000  # points of a map, at least, whose hundredth is the lowest color of a logarithmic error
UNKNOWN: dict[str, Levels] = {"error": (0.0, 1.0)}


class FieldLevels:
    """Prediction and exact solution always share theirs; errors begin at zero; what has a sign is symmetric."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """The next frames set all of them anew."""
        self._values = SlowRange(0.1, patience=5)
        self._signed = SlowLimit(patience=3)
        self._limits: dict[tuple[int, str], SlowLimit] = {}
        self._decades: dict[int, SlowRange] = {}

    def of(self, keys: Sequence[int], rows: Sequence[Row], columns: Sequence[Column], *,
           shared: bool) -> list[list[Levels]]:
        """For each column the levels of every row. keys: the lanes of the rows; shared: one error for all of them."""
        out = []
        for place, column in enumerate(columns):
            arrays = [row.values[place] if place < len(row.values) else None for row in rows]
            if column.kind == "value":
                every = [row.values[i] for row in rows if row.values
                         for i, other in enumerate(columns) if other.kind == "value"]
                out.append([self._value(every)] * len(rows))
            elif column.kind == "signed":
                span = _limit(self._signed, arrays)
                out.append([(-span, span)] * len(rows))
            elif shared:
                out.append([self._own(ALL, column, arrays)] * len(rows))
            else:
                out.append([self._own(key, column, [array]) for key, array in zip(keys, arrays, strict=True)])
        return out

    def _value(self, arrays: Sequence[Array | None]) -> Levels:
        low, high = finite_ends(arrays)
        if high - low < 1e-12 * max(abs(low), abs(high), 1e-300):  # a constant field
            margin = 0.5 * max(abs(low), 1e-6)
            low, high = low - margin, high + margin
        self._values.grain = nice_step(high - low, 20)
        self._values.update(low, high)
        return (self._values.low, self._values.high) if math.isfinite(self._values.low) else (-1.0, 1.0)

    def _own(self, key: int, column: Column, arrays: Sequence[Array | None]) -> Levels:
        if column.logarithmic:
            decades = self._decades.setdefault(key, SlowRange(1.0, patience=5))
            found = [array for array in arrays if array is not None]
            thin = [array.ravel()[:: max(1, array.size // SAMPLE)] for array in found]
            low = error_range(thin)[0]
            greatest = finite_ends(found)[1]
            high = math.log10(greatest) if greatest > 0 else math.nan
            decades.update(max(math.floor(low), math.ceil(high) - DECADES) if math.isfinite(low) else low, high)
            return (decades.low, decades.high) if math.isfinite(decades.low) else (-3.0, 0.0)
        limit = _limit(self._limits.setdefault((key, column.kind), SlowLimit(patience=3)), arrays)
        return (0.0, limit) if column.kind == "error" else (-limit, limit)


def _limit(limit: SlowLimit, arrays: Sequence[Array | None]) -> float:
    if any(array is not None for array in arrays):
        low, high = finite_ends(arrays)
        limit.update(max(abs(low), abs(high)))
    return 1.0 if math.isnan(limit.value) else limit.value
