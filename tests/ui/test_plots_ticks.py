"""Ticks: where they stand, what they say, that they never overlap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.plots.ticks import (
    linear_ticks,
    log_ticks,
    nice_step,
    number,
    power_of_ten,
    step_ticks,
    symlog,
    symlog_inverse,
    symlog_ticks,
    times,
)


@pytest.mark.parametrize(("value", "text"), [
    (0, "0"), (0.0123, "0.0123"), (123.4, "123"), (1.2e-5, "1.2e\u22125"), (1.23e6, "1.23e6"), (-0.5, "\u22120.5"),
    (float("nan"), "NaN"), (float("inf"), "inf"), (1e-5, "1e\u22125"), (1234.0, "1234"),
])  # fmt: skip
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(min_value=1e-30, max_value=1e30))
def test_a_number_says_the_value(value: float) -> None:
    assert float(number(value, 4).replace("\u2212", "-")) == pytest.approx(value, rel=5e-4)


def test_ratios_and_powers() -> None:
    assert (times(612), times(3.94), times(12345)) == ("610\u00d7", "3.9\u00d7", "12,000\u00d7")
    assert times(math.inf) == "infinitely"
    assert (power_of_ten(0), power_of_ten(1), power_of_ten(-12)) == ("1", "10", "10\u207b\u00b9\u00b2")


@given(st.floats(1e-12, 1e12), st.floats(1, 20))
def test_a_nice_step_is_nice(span: float, count: float) -> None:
    step = nice_step(span, count)
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(mantissa - m) for m in (1, 2, 5, 10)) < 1e-6
    assert span / step <= count * 1.03


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.floats(2, 12))
def test_linear_ticks_are_inside_and_say_their_value(low: float, span: float, count: float) -> None:
    ticks = linear_ticks(low, low + span, count)
    assert len(ticks) <= count + 2
    texts = [text for _, text in ticks]
    if max(abs(low), abs(low + span)) / span < 1e3:
        assert len(set(texts)) == len(texts)
    for value, _ in ticks:
        assert low - 1e-6 * span <= value <= low + span * (1 + 1e-6)


def test_steps_are_counted_in_thousands() -> None:
    assert [text for _, text in step_ticks(0, 40_000, 4)] == ["0", "10k", "20k", "30k", "40k"]
    assert [text for _, text in step_ticks(0, 2_000_000, 4)] == ["0", "0.5M", "1M", "1.5M", "2M"]
    assert [text for _, text in step_ticks(0, 3, 6)] == ["0", "1", "2", "3"]


@given(st.floats(-300, 300), st.floats(0.001, 60), st.floats(1, 12))
def test_log_labels_never_overlap_and_are_true(low: float, span: float, count: float) -> None:
    if low + span > 300:
        return
    labelled, bare = log_ticks(low, low + span, count)
    places = [at for at, _ in labelled]
    assert places == sorted(places)
    assert len(places) <= max(count, 4) + 3
    assert all(b - a > 0.3 * span / max(count, 4) for a, b in zip(places, places[1:], strict=False))
    assert not set(places) & set(bare)
    texts = [text for _, text in labelled]
    assert len(set(texts)) == len(texts) or span < 0.01


def test_log_ticks_of_a_few_decades_and_of_many() -> None:
    assert [text for _, text in log_ticks(-3, 1, 8)[0]] == [power_of_ten(d) for d in (-3, -2, -1, 0, 1)]
    assert [at for at, _ in log_ticks(-100, 100, 5)[0]] == [-82, -41, 0, 41, 82]
    assert [text for _, text in log_ticks(0, math.log10(6), 3)[0]] == ["1", "2", "5"]
    assert [text for _, text in log_ticks(-1, -0.25, 5)[0]] == ["0.1", "0.2", "0.3", "0.5"]
    assert [text for _, text in log_ticks(math.log10(2.1), math.log10(2.9), 4)[0]] == [
        "2.2",
        "2.4",
        "2.6",
        "2.8",
    ]
    assert log_ticks(1, 1, 4) == ([], [])


@given(st.floats(-1e6, 1e6), st.sampled_from([1e-6, 1e-3, 1.0]))
def test_symlog_is_odd_and_inverts(value: float, threshold: float) -> None:
    at = float(symlog(value, threshold))
    assert float(symlog(-value, threshold)) == -at
    assert float(symlog_inverse(at, threshold)) == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_symlog_is_linear_within_the_threshold_and_logarithmic_beyond() -> None:
    assert float(symlog(1e-9, 1e-3)) == pytest.approx(1e-6 / math.log(10), rel=1e-3)
    assert float(symlog(10.0, 1e-3) - symlog(1.0, 1e-3)) == pytest.approx(1.0, abs=1e-3)


@given(st.integers(-9, 1), st.integers(1, 9), st.floats(60, 900))
def test_symlog_labels_are_symmetric_inside_and_apart(exponent: int, decades: int, width: float) -> None:
    threshold, limit = 10.0**exponent, 10.0 ** (exponent + decades)
    measure = lambda text: 6.0 * len(text)  # noqa: E731
    labelled, bare = symlog_ticks(limit, threshold, width, measure)
    values = np.array([value for value, _ in labelled])
    assert 0.0 in values and np.array_equal(values, -values[::-1])
    scale = width / (2 * float(symlog(limit, threshold)))
    places = [(float(symlog(value, threshold)) * scale, measure(text) / 2) for value, text in labelled]
    assert all(a + p < b - q for (a, p), (b, q) in zip(places, places[1:], strict=False))
    assert all(abs(at) + half <= width / 2 + 1e-6 for at, half in places[1:-1]) and not set(bare) & set(
        values
    )
