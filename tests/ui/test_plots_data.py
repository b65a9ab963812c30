"""What of the data is drawn: thinned curves, densities, scales, colors. No window here but for images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.plots.density import outline
from ui.plots.fields import finite_ends
from ui.plots.history import Series, smooth, thin
from ui.plots.levels import SlowLimit, SlowRange, step_limit
from ui.plots.maps import field_image, lookup


def test_thinning_keeps_every_peak() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=100_003)
    values[[5, 70_000, 100_002]] = 1e6, -1e6, 2e6
    steps = np.arange(len(values), dtype=float)
    x, y = thin(steps, values, 2000)
    assert len(x) <= 2100 and np.all(np.diff(x) >= 0)
    assert {1e6, -1e6, 2e6} <= set(y.tolist())
    assert np.array_equal(values[x.astype(int)], y)


def test_thinning_leaves_a_gap_of_nan_and_passes_over_a_single_one() -> None:
    values = np.ones(10_000)
    values[3000:5000] = np.nan
    values[7000] = np.nan
    x, y = thin(np.arange(10_000.0), values, 200)
    assert np.isnan(y[(x > 3200) & (x < 4800)]).all()
    assert not np.isnan(y[(x > 6000) & (x < 9000)]).any()


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=500), st.integers(1, 50))
def test_smoothing_is_the_geometric_mean(values: list[float], bins: int) -> None:
    steps = np.arange(len(values), dtype=float)
    x, y = smooth(steps, np.array(values), bins, logarithmic=True)
    assert len(x) <= bins or len(x) == len(values)
    size = -(-len(values) // bins)
    assert y[0] == pytest.approx(np.exp(np.log(values[:size]).mean()), rel=1e-6)
    assert min(values) * (1 - 1e-9) <= y.min() and y.max() <= max(values) * (1 + 1e-9)


def test_a_series_keeps_everything_and_cuts_back() -> None:
    series = Series()
    for step in range(1000):
        series.append(step * 10, step)
    assert len(series) == 1000 and series.last == 999
    assert series.at(501) == (500.0, 50.0) and series.at(1e9) == (9990.0, 999.0)
    steps, _ = series.visible(1000, 2000)
    assert steps[0] == 990 and steps[-1] == 2010
    series.append(5000, -1)
    assert len(series) == 501 and series.last == -1
    assert np.isnan(Series().at(3)[1]) and np.isnan(Series().last)


def test_a_very_long_series_shows_its_extremes() -> None:
    series = Series()
    rng = np.random.default_rng(1)
    values = rng.normal(size=300_000)
    values[123_456] = 99.0
    for step, value in enumerate(values.tolist()):
        series.append(step, value)
    steps, shown = series.visible(-1, 1e9)
    assert len(shown) < 20_000 and shown.max() == 99.0 and shown.min() == values.min()
    assert np.all(np.diff(steps) >= 0) and steps[-1] == 299_999


def symlog_edges(threshold: float = 1e-6, decades: float = 9.0, bins: int = 240) -> np.ndarray:
    at = np.linspace(-decades, decades, bins + 1)
    return np.sign(at) * threshold * (10 ** np.abs(at) - 1)


@given(st.integers(0, 10_000), st.floats(1e-4, 10), st.integers(1, 5000))
def test_a_density_integrates_to_one(seed: int, scale: float, count: int) -> None:
    edges = symlog_edges()
    values = np.random.default_rng(seed).laplace(size=count) * scale
    counts = np.histogram(values, edges)[0]
    steps, density = outline(edges, counts)
    assert np.all(np.diff(steps) > 0) and np.all(density >= 0)
    assert float((density * np.diff(steps)).sum()) == pytest.approx(1.0)
    assert len(density) <= 110


def test_a_density_is_the_laplace_density_without_holes() -> None:
    edges = symlog_edges()
    values = np.random.default_rng(0).laplace(size=200_000)
    steps, density = outline(edges, np.histogram(values, edges)[0])
    middle = np.searchsorted(steps, 0.3) - 1
    assert density[middle] == pytest.approx(0.5 * np.exp(-0.3), rel=0.15)
    assert np.all(density > 0)


def test_a_spike_stays_as_narrow_as_its_bin() -> None:
    edges = symlog_edges()
    rng = np.random.default_rng(0)
    values = np.concatenate([np.full(900, 1e-9), rng.normal(size=100)])
    steps, density = outline(edges, np.histogram(values, edges)[0])
    top = int(density.argmax())
    zero = np.searchsorted(edges, 1e-9) - 1
    assert (steps[top], steps[top + 1]) == (edges[zero], edges[zero + 1])
    assert density[top] * (steps[top + 1] - steps[top]) >= 0.9
    assert len(outline(edges, np.zeros(240))[0]) == 0


def test_a_range_widens_at_once_and_narrows_late() -> None:
    scale = SlowRange(0.5, patience=3)
    assert scale.update(0.1, 0.9) and (scale.low, scale.high) == (0.0, 1.0)
    assert not scale.update(0.2, 0.8)
    assert scale.update(-3.2, 0.8) and scale.low == -3.5
    assert [scale.update(0.1, 0.4) for _ in range(3)] == [False, False, True]
    assert (scale.low, scale.high) == (0.0, 0.5)
    assert not scale.update(float("nan"), float("inf"))


def test_a_limit_is_round_and_slow() -> None:
    limit = SlowLimit(patience=2)
    assert limit.update(0.0) and limit.value == 1.0
    assert limit.update(2.7) and limit.value == 3.0
    assert not limit.update(2.0)
    assert [limit.update(0.1), limit.update(0.1)] == [False, True] and limit.value == pytest.approx(0.1)


@given(st.floats(1e-30, 1e30))
def test_round_limits_hold_the_data(value: float) -> None:
    assert value * (1 - 1e-8) <= SlowLimit.round_up(value) <= 2.01 * value


@given(st.integers(0, 10**7), st.integers(1, 10**7))
def test_the_step_axis_holds_the_run(step: int, total: int) -> None:
    limit = step_limit(step, total)
    assert limit >= step and (limit <= max(total, 100) or step > total)


def test_an_asymmetric_field_stands_upright() -> None:
    """u = x on [0, 3] x [0, 1]: bright on the right, the same from bottom to top; then u = y: bright on top."""
    x = np.linspace(0, 3, 30)[:, None] * np.ones((1, 10))
    image = field_image(x, 0, 3, "viridis")
    assert (image.width(), image.height()) == (30, 10)
    colors = lookup("viridis")
    assert image.pixel(29, 4) == colors[255] and image.pixel(0, 9) == colors[0]
    y = np.ones((30, 1)) * np.linspace(0, 1, 10)[None]
    image = field_image(y, 0, 1, "viridis")
    assert image.pixel(3, 0) == colors[255] and image.pixel(3, 9) == colors[0]


def test_missing_constant_and_outlying_values_have_colors() -> None:
    field = np.zeros((4, 4))
    field[0, 0], field[3, 3], field[1, 0] = np.nan, 1e9, -1e9
    image = field_image(field, -1, 1, "CET-D1")
    colors = lookup("CET-D1")
    assert image.pixel(0, 3) == 0, "nothing is drawn where there is no number"
    assert (
        image.pixel(3, 0) == colors[255]
        and image.pixel(1, 3) == colors[0]
        and image.pixel(2, 2) == colors[127]
    )
    assert finite_ends([field, None]) == (-1e9, 1e9)
    assert np.isnan(finite_ends([np.full(3, np.nan)])[0])
