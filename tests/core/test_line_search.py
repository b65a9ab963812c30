"""The line search: the Wolfe conditions checked as they are written, against scipy's, and at the limit of precision."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import line_search

from core.solvers.line_search import DELTA, Trial, cubic, secant, shrink, strong_wolfe

Curve = Callable[[float], tuple[float, float]]
NOTHING = torch.zeros(0)
C1, C2 = 1e-4, 0.9


def trial(step: float, value: float, slope: float) -> Trial:
    return Trial(step, value, slope, NOTHING, NOTHING, NOTHING)


def along(curve: Curve, asked: list[float] | None = None) -> Callable[[float], Trial]:
    def at(step: float) -> Trial:
        if asked is not None:
            asked.append(step)
        return trial(step, *curve(step))
    return at


def wolfe(curve: Curve, found: Trial, c1: float = C1, c2: float = C2) -> bool:
    value, slope = curve(0.0)
    now, there = curve(found.step)
    return found.step > 0 and now <= value + c1 * found.step * slope and abs(there) <= c2 * abs(slope)


def quartic(step: float) -> tuple[float, float]:
    return (step - 3) ** 4 - 2 * (step - 3) ** 2, 4 * (step - 3) ** 3 - 4 * (step - 3)


def waves(step: float) -> tuple[float, float]:
    """Many local minima on the way down."""
    return -step + 0.9 * math.sin(7 * step) / 7 + 0.2 * step**2, -1 + 0.9 * math.cos(7 * step) + 0.4 * step


def flat(step: float) -> tuple[float, float]:
    """A single minimum, and flat beyond it (a test function of Moré & Thuente 1994)."""
    return -step / (step**2 + 2), (step**2 - 2) / (step**2 + 2) ** 2


def narrow(step: float) -> tuple[float, float]:
    """Nearly flat where it begins (a test function of Moré & Thuente 1994)."""
    return (step + 0.004) ** 5 - 2 * (step + 0.004) ** 4, 5 * (step + 0.004) ** 4 - 8 * (step + 0.004) ** 3


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("curve", [quartic, waves, flat, narrow])
@pytest.mark.parametrize("c2", [0.9, 0.1])
def test_the_conditions_hold(curve: Curve, first: float, c2: float) -> None:
    asked: list[float] = []
    found = strong_wolfe(along(curve, asked), trial(0.0, *curve(0.0)), first, c2=c2)
    assert found.why == ""
    assert wolfe(curve, found.trial, c2=c2)
    assert found.evaluations == len(asked) <= 25
    assert asked[0] == first


def bowl(step: float) -> tuple[float, float]:
    return math.exp(step - 2) - step, math.exp(step - 2) - 1


@pytest.mark.parametrize("curve", [bowl, flat])
def test_scipy_finds_a_step_under_the_same_conditions(curve: Curve) -> None:
    mine = strong_wolfe(along(curve), trial(0.0, *curve(0.0)), c2=0.1).trial
    theirs = line_search(lambda x: curve(float(x[0]))[0], lambda x: np.array([curve(float(x[0]))[1]]),
                         np.zeros(1), np.ones(1), c2=0.1)[0]
    assert theirs is not None
    assert curve(mine.step)[0] == pytest.approx(curve(theirs)[0], abs=0.05)


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-4, 1e4), st.floats(-50, 50), st.floats(1e-3, 1e3), st.floats(1e-3, 1e2))
def test_a_parabola(curvature: float, height: float, minimum: float, first: float) -> None:
    """Whatever its scale, and however far the first step is from its minimum."""
    def curve(step: float) -> tuple[float, float]:
        return height + curvature * (step - minimum) ** 2, 2 * curvature * (step - minimum)
    origin = trial(0.0, *curve(0.0))
    found = strong_wolfe(along(curve), origin, first, noise=1e-12 * abs(origin.value))
    assert found.why == ""
    if found.trial.value <= origin.value + C1 * found.trial.step * origin.slope:
        assert wolfe(curve, found.trial)
    else:  # the parabola is not seen on top of its height
        assert C2 * origin.slope <= found.trial.slope <= (2 * DELTA - 1) * origin.slope


def test_interpolation_is_exact() -> None:
    """A cubic's minimum from its ends' values and slopes; a parabola's from two slopes."""
    def curve(step: float) -> Trial:
        return trial(step, step**3 - 3 * step**2 - 9 * step + 4, 3 * step**2 - 6 * step - 9)
    for a, b in [(0.0, 5.0), (5.0, 0.0), (2.5, 7.0), (0.0, 0.5)]:
        assert cubic(curve(a), curve(b)) == pytest.approx(3.0)
    assert secant(trial(1.0, 0.0, -4.0), trial(2.0, 0.0, -2.0)) == pytest.approx(3.0)
    assert cubic(trial(0.0, 0.0, -1.0), trial(1.0, -2.0, -4.0)) is None  # -step^3 - step has no minimum
    assert secant(trial(0.0, 0.0, -1.0), trial(1.0, 0.0, -1.0)) is None


def test_near_the_limit_of_precision_the_slope_decides() -> None:
    """1 + (step - 1e-9)^2 is 1 in every digit about its minimum: only the approximate condition can hold there."""
    def curve(step: float) -> tuple[float, float]:
        wrong = 1e-15 if step else 0.0  # as an evaluation's rounding would have it
        return 1 + wrong + (step - 1e-9) ** 2, 2 * (step - 1e-9)
    origin = trial(0.0, *curve(0.0))
    without = strong_wolfe(along(curve), origin, 1e-7)
    assert without.why and without.trial is origin
    found = strong_wolfe(along(curve), origin, 1e-7, noise=1e-14)
    assert found.why == ""
    assert C2 * origin.slope <= found.trial.slope <= (2 * DELTA - 1) * origin.slope
    assert not wolfe(curve, found.trial)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_step_at_which_the_loss_is_not_finite_is_too_long(bad: float) -> None:
    def curve(step: float) -> tuple[float, float]:
        return ((step - 1) ** 2, 2 * (step - 1)) if step < 1.5 else (bad, bad)
    found = strong_wolfe(along(curve), trial(0.0, *curve(0.0)), 1000.0)
    assert found.why == ""
    assert wolfe(curve, found.trial)


def test_why_it_fails() -> None:
    up = trial(0.0, 1.0, 0.5)
    refused = strong_wolfe(along(lambda step: (1 + step, 1.0)), up)
    assert "not one of descent" in refused.why and refused.trial is up and refused.evaluations == 0
    assert "not finite" in strong_wolfe(along(quartic), trial(0.0, math.inf, -1.0)).why
    assert "not finite" in strong_wolfe(along(quartic), trial(0.0, 1.0, math.nan)).why
    endless = strong_wolfe(along(lambda step: (-step, -1.0)), trial(0.0, 0.0, -1.0), limit=7)
    assert "after 7 evaluations" in endless.why and endless.evaluations == 7
    assert endless.trial.step > 1, "the lowest that was seen is kept"
    # a slope that is not the value's derivative: nothing is lower however short the step
    wrong = strong_wolfe(along(lambda step: (1 + step, -1.0)), trial(0.0, 1.0, -1.0), shortest=1e-3, limit=100)
    assert "limit of precision" in wrong.why
    assert wrong.trial.step == 0


def test_shrink_takes_the_lowest_of_the_halved_steps() -> None:
    asked: list[float] = []

    def value(step: float) -> float:
        asked.append(step)
        return (step - 0.2) ** 2 if step < 0.9 else math.nan
    found = shrink(value, 0.04)
    assert asked == [1.0, 0.5, 0.25, 0.125]
    assert (found.step, found.evaluations) == (0.25, 4)
    assert found.value == pytest.approx(0.0025)


def test_shrink_where_nothing_is_lower() -> None:
    found = shrink(lambda step: 1 + step, 1.0, limit=6)
    assert (found.step, found.value, found.evaluations) == (0.0, 1.0, 6)
    lowest_last = shrink(lambda step: -1 / step, 0.0, limit=4, factor=0.1, first=10.0)
    assert lowest_last.step == pytest.approx(0.01) and lowest_last.evaluations == 4
