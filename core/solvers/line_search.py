"""How far to go along a direction: the strong Wolfe conditions, or the lowest of a few halved steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

#: The approximate Wolfe condition's delta (Hager & Zhang 2005 take 0.1).
DELTA = 0.1
#: A longer step is at least and at most so many times the last increase beyond it, as in Moré & Thuente's dcsrch.
LONGER = (1.1, 4.0)
#: A shorter step keeps this share of the interval from both of its ends.
MARGIN = 0.1
#: Where an interval has not shrunk to this share in two steps, it is halved, as in Moré & Thuente's dcsrch.
SHRINK = 0.66
#: An interval shorter than this share of the step has nothing in it.
NARROW = 1e-14
#: Why a search fails where numbers have no more digits.
PRECISION = "even the shortest step that changes a parameter does not lower the loss: the limit of precision is reached"
#: The same where the step is too long because the loss is not finite there.
EDGE = "every longer step leads to where the loss is not finite"


@dataclass(frozen=True)
class Trial:
    """The loss at a step along a direction. slope: its derivative by the step length."""

    step: float
    value: float
    slope: float
    theta: Tensor  # [P]
    losses: Tensor  # raw losses [T]
    gradient: Tensor  # [P]


#: The loss at a step length. Infinite or NaN values are allowed: such a step is too long.
At = Callable[[float], Trial]


@dataclass(frozen=True)
class Found:
    """The step that was found; where none was, the lowest that was seen, which may be the origin, and why."""

    trial: Trial
    evaluations: int
    why: str = ""


def strong_wolfe(at: At, origin: Trial, first: float = 1.0, *, c1: float = 1e-4, c2: float = 0.9, limit: int = 25,
                 noise: float = 0.0, shortest: float = 0.0) -> Found:
    """A step with value <= value(0) + c1 step slope(0) and |slope| <= c2 |slope(0)|.

    Nocedal & Wright 2006, Algorithms 3.5 and 3.6, with cubic interpolation (3.59). Differences of the value up to
    `noise` say nothing: there the sign of the slope decides which way to go, and a step is taken where (2 delta - 1)
    slope(0) >= slope >= c2 slope(0), the approximate Wolfe condition of Hager & Zhang 2005: for a parabola it
    is the first condition, and the slope is exact where the difference of two values has no digit left.
    first: the step tried first. limit: of evaluations. shortest: a step by which no parameter changes.
    """
    if not (math.isfinite(origin.value) and math.isfinite(origin.slope)):
        return Found(origin, 0, "the loss or its slope is not finite where the line search begins")
    if origin.slope >= 0:
        return Found(origin, 0, "the direction is not one of descent: the loss does not fall along it")
    return _Search(at, origin, c1, c2, limit, noise, shortest, origin).bracket(first)


@dataclass
class _Search:
    at: At
    origin: Trial
    c1: float
    c2: float
    limit: int
    noise: float
    shortest: float
    best: Trial
    evaluations: int = 0
    spans: list[float] = field(default_factory=list)  # lengths of the intervals so far

    # ------------------------------------------------------------------ the two algorithms

    def bracket(self, step: float) -> Found:
        """Longer steps until an interval surely holds a good one (Algorithm 3.5)."""
        lo = self.origin
        while self.evaluations < self.limit:
            trial = self.evaluate(step)
            if self.good(trial):
                return Found(trial, self.evaluations)
            if self.high(trial, lo):
                return self.zoom(lo, trial)
            if trial.slope >= 0:
                return self.zoom(trial, lo)
            guess, beyond = cubic(lo, trial), trial.step - lo.step
            low, top = (trial.step + share * beyond for share in LONGER)
            lo, step = trial, top if guess is None or guess <= trial.step else min(max(guess, low), top)
        return self.spent()

    def zoom(self, lo: Trial, hi: Trial) -> Found:
        """Smaller intervals, of which `lo` is the lower end and falls into it (Algorithm 3.6)."""
        while self.evaluations < self.limit:
            span = hi.step - lo.step
            if abs(span) <= max(self.shortest, NARROW * max(lo.step, hi.step)):
                return Found(self.best, self.evaluations, PRECISION if _finite(hi) else EDGE)
            trial = self.evaluate(self.between(lo, hi))
            if self.good(trial):
                return Found(trial, self.evaluations)
            if self.high(trial, lo):
                hi = trial
            else:
                if trial.slope * span >= 0:
                    hi = lo
                lo = trial
        return self.spent() if _finite(hi) else Found(self.best, self.evaluations, EDGE)

    # ------------------------------------------------------------------ parts

    def evaluate(self, step: float) -> Trial:
        trial = self.at(step)
        self.evaluations += 1
        if trial.value < self.best.value and math.isfinite(trial.slope):
            self.best = trial
        return trial

    def good(self, trial: Trial) -> bool:
        """Whether the strong Wolfe conditions hold, or near the limit of the precision the approximate one."""
        start = self.origin
        if trial.value <= start.value + self.c1 * trial.step * start.slope:
            return abs(trial.slope) <= -self.c2 * start.slope
        near = self.noise > 0 and abs(trial.value - start.value) <= self.noise
        return near and self.c2 * start.slope <= trial.slope <= (2 * DELTA - 1) * start.slope

    def high(self, trial: Trial, lo: Trial) -> bool:
        """Whether the step is too long: too high for what it promises, or not below the lower end."""
        if not _finite(trial):
            return True
        line = self.origin.value + self.c1 * trial.step * self.origin.slope
        rise = max(trial.value - line, trial.value - lo.value)
        return rise > self.noise or (rise > 0 and self.noise == 0)

    def between(self, lo: Trial, hi: Trial) -> float:
        """A step within the interval, away from its ends."""
        span = hi.step - lo.step
        if not _finite(hi):
            return lo.step + MARGIN * span  # nothing is known but that it is too long
        self.spans.append(abs(span))
        if len(self.spans) > 2 and self.spans[-1] > SHRINK * self.spans[-3]:
            self.spans.clear()
            return lo.step + span / 2
        guess = secant(lo, hi) if abs(hi.value - lo.value) <= self.noise else cubic(lo, hi)
        if guess is None:
            return lo.step + span / 2
        share = (guess - lo.step) / span
        return lo.step + min(max(share, MARGIN), 1 - MARGIN) * span

    def spent(self) -> Found:
        return Found(self.best, self.evaluations, f"after {self.evaluations} evaluations no step was good enough")


def _finite(trial: Trial) -> bool:
    return math.isfinite(trial.value) and math.isfinite(trial.slope)


def cubic(a: Trial, b: Trial) -> float | None:
    """Where the cubic with both values and both slopes has its minimum (Nocedal & Wright 2006, 3.59); None: nowhere."""
    span = b.step - a.step
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.step - b.step)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return None
    d2 = math.copysign(math.sqrt(square), span)
    below = b.slope - a.slope + 2 * d2
    return b.step - span * (b.slope + d2 - d1) / below if below else None


def secant(a: Trial, b: Trial) -> float | None:
    """Where the line through both slopes is zero; None where it is nowhere."""
    rise = b.slope - a.slope
    return a.step - a.slope * (b.step - a.step) / rise if rise else None


@dataclass(frozen=True)
class Shrunk:
    """The lowest of the steps that were tried; step 0 and the value at the origin where none is below it."""

    step: float
    value: float
    evaluations: int


def shrink(value: Callable[[float], float], origin: float, *, first: float = 1.0, factor: float = 0.5,
           limit: int = 20) -> Shrunk:
    """Try the steps first, first * factor, ... by their values alone, until a shorter one is no longer lower.

    value: the loss at a step; infinite or NaN where the step is too long. origin: the loss at step 0.
    """
    best, step = Shrunk(0.0, origin, 0), first
    for tried in range(1, limit + 1):
        now = value(step)
        if now < best.value:
            best = Shrunk(step, now, tried)
        elif best.step:
            return Shrunk(best.step, best.value, tried)
        step *= factor
    return Shrunk(best.step, best.value, limit)
