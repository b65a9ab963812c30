"""Scales that hold still: they widen at once when the data ask for it, and narrow only after a while. No Qt here."""

from __future__ import annotations

import math

from ui.plots.ticks import nice_step


class SlowRange:
    """A range in whole multiples of `grain` that does not jump with every frame."""

    def __init__(self, grain: float, patience: int = 12) -> None:
        self.grain = grain
        self.patience = patience
        self.low = math.nan
        self.high = math.nan
        self._waited = 0

    def clear(self) -> None:
        """Forget the range; the next data set it anew."""
        self.low = self.high = math.nan
        self._waited = 0

    def update(self, low: float, high: float) -> bool:
        """Take the data's extremes; True where the range has changed."""
        if not (math.isfinite(low) and math.isfinite(high)):
            return False
        low = math.floor(low / self.grain + 1e-9) * self.grain
        high = math.ceil(high / self.grain - 1e-9) * self.grain
        if high <= low:
            high = low + self.grain
        if math.isnan(self.low):
            self.low, self.high = low, high
            return True
        wide = low < self.low or high > self.high
        spare = (self.high - self.low) - (high - low) > max(self.grain, 0.25 * (self.high - self.low)) - 1e-12
        self._waited = self._waited + 1 if spare and not wide else 0
        if wide:
            self.low, self.high = min(low, self.low), max(high, self.high)
        elif self._waited >= self.patience:
            self.low, self.high, self._waited = low, high, 0
        else:
            return False
        return True


class SlowLimit:
    """An upper limit in round numbers (1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten) that does not jump."""

    ROUND = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)

    def __init__(self, patience: int = 6) -> None:
        self.patience = patience
        self.value = math.nan
        self._waited = 0

    def clear(self) -> None:
        """Forget the limit; the next data set it anew."""
        self.value = math.nan
        self._waited = 0

    def update(self, top: float) -> bool:
        """Take the data's largest value; True where the limit has changed. Zero and NaN give a limit of 1."""
        wanted = self.round_up(top) if math.isfinite(top) and top > 0 else math.nan
        if math.isnan(wanted):
            if math.isnan(self.value):
                self.value = 1.0
                return True
            return False
        if math.isnan(self.value) or wanted > self.value:
            self.value, self._waited = wanted, 0
            return True
        self._waited = self._waited + 1 if wanted < 0.6 * self.value else 0
        if self._waited >= self.patience:
            self.value, self._waited = wanted, 0
            return True
        return False

    @classmethod
    def round_up(cls, value: float) -> float:
        """The next round number that is not below `value` > 0."""
        power = 10.0 ** math.floor(math.log10(value))
        return next(m * power for m in (*cls.ROUND, 20.0) if m * power >= value * (1 - 1e-9))


def step_limit(step: float, total: float) -> float:
    """Where the step axis of a run ends: a little beyond `step`, in round numbers, and never beyond `total`."""
    if step <= 0:
        return max(1.0, min(total, 100.0)) if total > 0 else 100.0
    grain = nice_step(step, 6)
    limit = math.ceil(step * 1.02 / grain) * grain
    return min(limit, total) if total >= step else limit
