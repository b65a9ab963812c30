"""Open circles on curves over steps, for values that are not what the others are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtGui import QColor

from ui.plots.plot import Plot

Point = tuple[float, float, str]  # step, value, color

SIZE = 8.0


class OpenMarks:
    """Circles filled with the plot's ground. They take part in no range: their curves do."""

    def __init__(self, plot: Plot) -> None:
        self._plot = plot
        self.points: list[Point] = []
        self.items: dict[str, pg.ScatterPlotItem] = {}  # by color: one pen for all of it is many times cheaper

    def set_points(self, points: Sequence[Point]) -> None:
        """New circles; what has no place on the axis is left out."""
        points = list(points)
        if points == self.points:
            return
        self.points = points
        self._draw()

    def restyle(self) -> None:
        """The plot's ground has another color."""
        self._draw()

    def _draw(self) -> None:
        heights = self._plot.scaled(np.array([value for _, value, _ in self.points], dtype=np.float64))
        kept: dict[str, list[tuple[float, float]]] = {color: [] for color in self.items}
        for (step, _, color), y in zip(self.points, heights.tolist(), strict=True):
            if math.isfinite(y):
                kept.setdefault(color, []).append((step, y))
        for color, places in kept.items():
            if color not in self.items:
                self.items[color] = item = pg.ScatterPlotItem(pxMode=True, size=SIZE, symbol="o")
                item.setZValue(5)
                self._plot.getPlotItem().addItem(item, ignoreBounds=True)
            self.items[color].setData(x=[x for x, _ in places], y=[y for _, y in places],
                                      pen=pg.mkPen(QColor(color), width=1.5), brush=pg.mkBrush(self._plot.theme.plot))
