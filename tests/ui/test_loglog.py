"""Pictures of curves over logarithmic axes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QColor, QImage
from pytestqt.qtbot import QtBot

from studio.accuracy_data import Record, load
from ui.accuracy import chart, growth_charts
from ui.loglog import SCALE, Chart, Curve, bounds, decades, draw, runs
from ui.theme import DARK, LIGHT


def test_lines_stand_at_powers_of_ten_and_between_where_there_is_room() -> None:
    assert decades(-0.1, 2.1)[0] == (0.0, "1") and (2.0, "10²") in decades(-0.1, 2.1)
    labels = [text for _, text in decades(-8.2, 0.2)]
    assert labels == ["10⁻⁸", "10⁻⁷", "10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "1"]
    narrow = decades(math.log10(1.9), math.log10(5.1))
    assert [text for _, text in narrow] == ["2", "3", "4", "5"]
    assert narrow[1][0] == pytest.approx(math.log10(3))


def test_what_has_no_logarithm_breaks_the_line() -> None:
    points = [(1.0, 1.0), (2.0, math.nan), (3.0, 0.0), (4.0, 2.0), (0.0, 1.0)]
    assert runs(points) == [[(1.0, 1.0)], [(4.0, 2.0)]]
    assert bounds([]) == (0.0, 1.0)
    low, high = bounds([1e-3, math.inf, -1.0, 10.0])
    assert low < -3 and high > 1


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_curve_is_where_its_numbers_are(qtbot: QtBot, tmp_path: Path, theme: type(LIGHT)) -> None:  # type: ignore[valid-type]
    one = Chart("A title", "seconds (s)", "error", (Curve(((1.0, 1e-2), (100.0, 1e-2)), 0, "flat"),))
    path = draw([one], tmp_path / "one.png", theme)
    image = QImage(str(path))
    assert image.width() == SCALE * (one.size[0] + one.legend) and image.height() == SCALE * one.size[1]
    middle = SCALE * (66 + (one.size[0] - 66 - 14) // 2)
    color = QColor(theme.term(0)).getRgb()
    rows = [y for y in range(image.height()) if image.pixelColor(middle, y).getRgb() == color]
    assert rows, "the curve is not painted"
    assert np.mean(rows) == pytest.approx(SCALE * (40 + (one.size[1] - 40 - 50) / 2), abs=3)


def test_a_picture_that_cannot_be_written_is_an_error(qtbot: QtBot, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        draw([Chart("t", "x", "y", ())], tmp_path / "nowhere" / "one.png", LIGHT)


def test_every_seed_is_thin_and_their_median_thick(qtbot: QtBot) -> None:
    records = [Record(problem="helmholtz", method="ours", seed=seed, digest="d", state="finished", limit=9.0, threads=1,
                      pairs=[(1.0, 1.0), (9.0, 1e-3 * (seed + 1))]) for seed in range(3)]
    found = chart(load("helmholtz"), records)
    assert found is not None and chart(load("kdv"), records) is None
    marks = [curve.mark for curve in found.curves]
    assert marks.count("thin") == 3 and marks.count("line") == 1 and marks.count("target") == 3
    median = next(curve for curve in found.curves if curve.mark == "line")
    assert median.points[-1] == (9.0, 2e-3) and "3 seeds" in median.label


def test_growth_has_two_charts_for_each_thing_that_grows() -> None:
    rows = [{"axis": axis, "value": value, "engine": "eager", "steps_per_second": 5.0, "peak_mb": 300.0}
            for axis in ("points", "depth") for value in (1, 2)]
    rows.append({"axis": "depth", "value": 4, "engine": "eager", "error": "it ended"})
    charts = growth_charts({"rows": rows})
    assert [one.y for one in charts] == ["steps per second (1/s)", "peak resident memory (MB)"] * 2
    assert charts[2].curves[0].points == ((1, 5.0), (2, 5.0))
    assert charts[0].marks == () and charts[2].marks == (1, 2, 4), "few sizes are written each, not their decades"
