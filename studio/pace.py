"""How fast a run is, smoothed."""

from __future__ import annotations

WINDOW = 0.5  # seconds of training that one measurement spans


class Pace:
    """Steps per second of training time, a moving average of spans of half a second."""

    def __init__(self) -> None:
        self.rate = 0.0  # steps per second; 0 until it is known
        self._mark: tuple[float, int] | None = None

    def measure(self, seconds: float, step: int, *, last: bool = False) -> None:
        """`seconds` of training so far, `step` steps so far. `last`: measure also a shorter span."""
        if self._mark is None:
            self._mark = seconds, step
            return
        then, first = self._mark
        if seconds - then >= WINDOW or (last and seconds > then):
            fresh = (step - first) / (seconds - then)
            self.rate = 0.6 * self.rate + 0.4 * fresh if self.rate else fresh
            self._mark = seconds, step

    def left(self, steps: int) -> float | None:
        """Seconds that so many steps will take; None while the rate is not known."""
        return steps / self.rate if self.rate else None
