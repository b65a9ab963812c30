"""Curves over steps of numbers that may be negative: on a linear or a symmetric-logarithmic axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ui.plots.curves import Curve, CurveView
from ui.plots.history import Series
from ui.plots.levels import step_limit
from ui.plots.plot import Axis, Plot
from ui.plots.ticks import Floats, Ticks, linear_ticks, number, symlog, symlog_inverse, symlog_ticks


class SignedPlot(Plot):
    """A plot whose upright axis is linear within +-`threshold` and logarithmic beyond; linear where it is 0."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self.threshold = 0.0
        super().__init__(parent, logarithmic=False)
        self.getPlotItem().setAxisItems({"left": Axis("left", self._ticks, 22.0)})

    def scaled(self, values: Floats) -> Floats:
        out = super().scaled(values)
        return symlog(out, self.threshold) if self.threshold > 0 else out

    def _ticks(self, low: float, high: float, count: float) -> tuple[Ticks, list[float]]:
        if not self.threshold > 0:
            return linear_ticks(low, high, count), []
        limit = float(symlog_inverse(max(abs(low), abs(high)), self.threshold))
        length = 2 * max(abs(low), abs(high)) / (high - low) * count  # in labels
        values, bare = symlog_ticks(limit, self.threshold, length, lambda _: 0.75)
        places = [(float(symlog(value, self.threshold)), text) for value, text in values]
        if sum(low <= at <= high for at, _ in places) < 2:  # between two decades
            shown = linear_ticks(low, high, min(count, 4))
            return [(at, number(float(symlog_inverse(at, self.threshold)), 2)) for at, _ in shown], []
        return places, [float(symlog(value, self.threshold)) for value in bare]


class SignedCurves(CurveView):
    """A CurveView on a SignedPlot."""

    plot: SignedPlot

    def __init__(self, parent: QWidget | None = None, *, quantity: str = "", threshold: float = 0.0) -> None:
        super().__init__(parent, logarithmic=False, quantity=quantity)
        self._least: tuple[float, float] | None = None
        self.legend.WIDEST = "\u22128.88e\u22128"  # with room for a sign
        old, layout = self.plot, self.layout()
        assert isinstance(layout, QVBoxLayout)
        self.plot = SignedPlot(self)
        self.plot.threshold = threshold
        self.plot.reader = self.read
        self.plot.zoomed.connect(self.draw_all)
        self.plot.setToolTip(old.toolTip())
        self.plot.set_names("step", quantity)
        self.note.setParent(self.plot)
        inside = QVBoxLayout(self.plot)
        inside.setContentsMargins(66, 6, 26, 26)
        inside.addWidget(self.note)
        layout.replaceWidget(old, self.plot)
        layout.setStretch(layout.indexOf(self.plot), 1)
        old.hide()
        old.deleteLater()

    def begin(self, labels: Mapping[int, str], names: Mapping[int, Sequence[str]], order: Sequence[str],
              steps: float) -> None:
        super().begin(labels, names, order, steps)
        if self._least is not None:
            low, high = self.plot.scaled(np.array(self._least)).tolist()
            self.plot.set_range(0, step_limit(0, steps), low, high)

    def set_threshold(self, threshold: float) -> None:
        """Linear within +-threshold, logarithmic beyond; linear everywhere at 0."""
        if threshold != self.plot.threshold:
            self.plot.threshold = threshold
            self._y_scale.clear()
            self.plot.getPlotItem().getAxis("left").picture = None
            self.draw_all()

    def at_least(self, low: float, high: float) -> None:
        """Always show these values, and more only where the curves need it."""
        self._least = low, high

    def _ends(self, series: Series) -> tuple[float, float]:
        low, high = super()._ends(series)
        if self._least is None:
            return low, high
        least = self.plot.scaled(np.array(self._least)).tolist()
        return (min(least[0], low), max(least[1], high)) if low == low else (least[0], least[1])


def fit_legend(view: CurveView) -> bool:
    """Leave the legend away where it would take the room of the curves; the mouse still names them. True: changed."""
    if view.isHidden():
        return False
    if view.legend.isHidden():  # what it needs in the width of now
        view.legend.resize(view.width(), view.legend.height())
        view.legend.set_heading(view.legend.heading)
    wanted = view.height() >= 2.6 * view.legend.minimumHeight()
    if view.legend.isHidden() is not wanted:
        return False
    view.legend.setVisible(wanted)
    return True


def list_of(curves: Sequence[Curve], labels: Mapping[int, str], quantity: str) -> tuple[list[str],
                                                                                       list[list[float | str]]]:
    """All values of curves for a table, one row for each lane, step and curve."""
    rows: list[list[float | str]] = [
        [labels.get(curve.lane, ""), float(step), curve.name, float(value)]
        for curve in curves for step, value in zip(curve.series.steps, curve.series.values, strict=True)]
    return ["lane", "step", "curve", quantity], rows
