"""Scales: where values stand, what the ticks say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.plots.scales import Scale


def measure(text: str) -> float:
    return 7.0 * len(text)


@given(st.floats(-1e6, -1.0), st.floats(1.0, 1e6), st.floats(1e-5, 0.5), st.floats(0, 1))
def test_a_share_of_the_axis_and_its_value_are_inverse(low: float, high: float, threshold: float, at: float) -> None:
    for scale in (Scale("symlog", low, high, threshold), Scale("linear", low, high), Scale("log", threshold, high)):
        assert float(scale.share(scale.value(at))) == pytest.approx(at, abs=1e-9)
        assert scale.share([scale.low, scale.high]) == pytest.approx([0, 1], abs=1e-12)


@given(st.floats(-1e8, 0), st.floats(1e-3, 1e8), st.integers(1, 9), st.floats(40, 900))
def test_symlog_labels_do_not_touch_and_zero_is_among_them(low: float, high: float, decades: int,
                                                           length: float) -> None:
    scale = Scale("symlog", low, high, max(abs(low), high) / 10.0**decades)
    labelled, bare = scale.ticks(length, measure)
    assert "0" in [text for _, text in labelled]
    for (a, first), (b, second) in zip(labelled, labelled[1:], strict=False):
        assert a < b
        if len(labelled) > 3:
            assert (b - a) * length >= (measure(first) + measure(second)) / 2 - 7
    assert all(-1e-9 <= share <= 1 + 1e-9 for share in [*bare, *(at for at, _ in labelled)])


def test_labels_stand_where_their_values_are() -> None:
    labelled, _ = Scale("symlog", -100, 1e4, 1.0).ticks(400, measure)
    places = {text: at for at, text in labelled}
    assert places["10\u2074"] == pytest.approx(1.0) and places["\u221210\u00b2"] == pytest.approx(0.0)
    assert places["0"] == pytest.approx(np.log10(101) / (np.log10(101) + np.log10(10_001)))
    decades = {text: at for at, text in Scale("log", 1.0, 1e4).ticks(400, measure)[0]}
    assert decades["10\u00b2"] == pytest.approx(0.5)


def test_edges_cut_the_axis_evenly() -> None:
    scale = Scale("symlog", -10, 1000, 0.1)
    edges = scale.edges(50)
    assert len(edges) == 51 and np.diff(scale.share(edges)) == pytest.approx(0.02)
    assert (edges[0], edges[-1]) == pytest.approx((-10, 1000))


def test_what_has_no_place_and_what_is_no_axis() -> None:
    assert np.isnan(Scale("log", 1, 10).share([0.0, -1.0, np.nan, np.inf])).all()
    for wrong in (("log", 0.0, 1.0), ("linear", 1.0, 1.0), ("linear", 0.0, np.inf), ("symlog", -1.0, 1.0)):
        with pytest.raises(ValueError, match="axis"):
            Scale(*wrong)  # type: ignore[arg-type]
