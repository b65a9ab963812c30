"""Curves with a band: the mean of many values, and thin lines at their smallest and largest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from core.frames import Array
from ui.plots.canvas import rows_html
from ui.plots.curves import Curve, CurveView
from ui.plots.history import Series
from ui.plots.ticks import number
from ui.theme import lane_style, mix

EDGES = ("min", "max")


@dataclass(slots=True)
class Band:
    """Many values over steps: their mean, and their extremes where there are several."""

    middle: Series = field(default_factory=Series)
    edges: tuple[Series, Series] = field(default_factory=lambda: (Series(), Series()))

    def append(self, step: float, values: Array) -> None:
        """The values of one step. A NaN among them is a NaN in the mean: a gap in the curve."""
        values = np.asarray(values, dtype=np.float64).ravel()
        if not len(values):
            return
        with np.errstate(all="ignore"):
            self.middle.append(step, float(values.mean()))
            if len(values) > 1:
                self.edges[0].append(step, float(values.min()))
                self.edges[1].append(step, float(values.max()))


class BandView(CurveView):
    """Curves whose points are kept by somebody else, so that a choice among many costs nothing."""

    def begin(self, labels: Mapping[int, str], names: Mapping[int, Sequence[str]], order: Sequence[str],
              steps: float) -> None:
        self.bounds: dict[tuple[int, str], tuple[Curve, Curve]] = {}
        super().begin(labels, names, order, steps)

    def attach(self, lane: int, name: str, band: Band) -> None:
        """Draw a band that grows."""
        curve = self._add(lane, name)
        curve.series = band.middle
        low, high = (Curve(lane, name, series, self.plot.line(z=-1)) for series in band.edges)
        self.bounds[lane, name] = (low, high)
        for edge, bound in zip(EDGES, (low, high), strict=True):
            self.curves[lane, f"{name}\0{edge}"] = bound  # its range counts; it has no place of its own in the legend
        self._missing = True
        self.touch(lane)

    def touch(self, lane: int) -> None:
        """There are new points in a lane's bands."""
        self._fresh.add(lane)
        if self.note.text():
            self.set_note("")

    def dress(self) -> None:
        super().dress()
        for bounds in self.bounds.values():
            for bound in bounds:
                color = mix(self.color(bound.name), self.theme.plot, 0.5)
                self.plot.dress(bound.line, color, 1, lane_style(bound.lane), fine=not self.running)

    def read(self, step: float) -> str:
        """The values nearest to a step, each with the range that it is the mean of."""
        rows, at = [], float("nan")
        for curve, entry in zip(self.in_order(), self.legend.entries, strict=False):
            where, value = curve.series.at(step)
            if where != where:
                continue
            at, text = where, number(value, 4)
            bounds = self.bounds.get((curve.lane, curve.name))
            if bounds and len(bounds[0].series):
                low, high = (number(bound.series.at(step)[1], 4) for bound in bounds)
                text += f"&nbsp;&nbsp;({low} \u2026 {high})"
            rows.append((entry.color, entry.name, text))
        rows += [("", mark.text, number(mark.value, 4)) for mark in self.marks if rows]
        return rows_html(f"step {at:,.0f}", rows) if rows else ""

    def columns(self, prefix: str = "") -> list[Curve]:
        """What is drawn, for a table: means, and the extremes beside them."""
        out: list[Curve] = []
        for curve in self.in_order():
            bounds = self.bounds.get((curve.lane, curve.name), ())
            several = [bound for bound in bounds if len(bound.series)]
            out.append(replace(curve, name=f"{prefix}{curve.name}{' mean' if several else ''}"))
            out += [replace(bound, name=f"{prefix}{curve.name} {edge}")
                    for edge, bound in zip(EDGES, several, strict=False)]
        return out
