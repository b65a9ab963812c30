"""How fast a run is, and how long it trains before it lets others have the interpreter."""

from __future__ import annotations

import threading
import time

ALONE = 0.004  # seconds that one run trains at a time
AMONG_OTHERS = 0.001  # the same where several runs of this process take turns
LEAD = 20  # steps that one of several runs may be ahead
WAIT = 0.001  # seconds
PATIENCE = 1.0  # seconds
BREATH = 5e-5  # seconds asleep after each turn: without it a thread that waits for the interpreter may starve

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


class Turns:
    """The runs that train in this process, kept side by side.

    What is not compiled of a step holds the interpreter, and a window that draws gives it away many times. With
    several runs it gets it back after several turns, so these are shorter then. And runs that are compared should
    stand at the same step: one that is ahead waits for the one behind. Runs that rest hold nobody up, nor does one
    that has not been heard of for a second.
    """

    def __init__(self) -> None:
        self._seen: dict[object, tuple[int, float]] = {}  # step, and when
        self._lock = threading.Lock()

    def begin(self, run: object, step: int) -> float:
        """Seconds that a run may train now; 0, after a short sleep, where it is to wait for another."""
        now = time.monotonic()
        with self._lock:
            self._seen[run] = step, now
            alive = [at for at, when in self._seen.values() if now - when < PATIENCE]
        if step - min(alive) > LEAD:
            time.sleep(WAIT)
            return 0.0
        return ALONE if len(alive) == 1 else AMONG_OTHERS

    def rest(self, run: object) -> None:
        """A run that is paused or over."""
        with self._lock:
            self._seen.pop(run, None)
