"""What the panels of curves over steps have in common."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QToolButton, QVBoxLayout, QWidget

from core.frames import ScalarsFrame
from studio.messages import Update
from ui.panels.panel import Lane, Panel
from ui.plots.canvas import rows_html
from ui.plots.history import POINTS, Series, smooth, thin
from ui.plots.legend import Entry, Legend
from ui.plots.levels import SlowRange, step_limit
from ui.plots.plot import Plot
from ui.plots.ticks import number
from ui.theme import Theme, lane_style, mix

RANGE_EVERY = 0.25  # seconds between two changes of a range, at least
BINS = 120  # stretches of a smoothed curve


@dataclass(slots=True)
class Curve:
    """One quantity of one lane: all its points, and the lines that show it."""

    lane: int
    name: str
    series: Series
    line: pg.PlotCurveItem
    raw: pg.PlotCurveItem | None = None  # behind a smoothed line


class CurvePanel(Panel):
    """Curves by name and lane: a color for each name, solid for lane 0 and dashed for lane 1."""

    kinds = frozenset({"scalars"})
    area = "bottom"
    interval = 0.1
    logarithmic: ClassVar[bool] = True
    smoothing: ClassVar[bool] = False
    quantity: ClassVar[str] = ""  # the name of the y axis
    grain: ClassVar[float] = 0.5  # the y range moves in steps of so many decades

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.curves: dict[tuple[int, str], Curve] = {}
        self.names_drawn: list[str] = []
        self.smoothed = self.smoothing
        self._fresh: set[int] = set()
        self._all_stale = True
        self._y_scale = SlowRange(self.grain)
        self._last_step = 0.0
        self._total_steps = 0.0
        self._range_at = -math.inf
        self._missing: list[tuple[int, str]] = []
        self.legend = Legend(self.figure)
        self.plot = Plot(self.figure, logarithmic=self.logarithmic)
        self.plot.reader = self.read
        self.plot.zoomed.connect(self.draw_all)
        self.plot.setToolTip("Wheel or drag to look closer; double-click to see everything.")
        self.plot.set_names("step", self.quantity)
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 2, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.legend)
        layout.addWidget(self.plot, 1)
        if self.smoothing:
            button = QToolButton(self.header)
            button.setText("smooth")
            button.setCheckable(True)
            button.setChecked(True)
            button.setToolTip(
                "Bold: the geometric mean over stretches of the run. Faint behind it: every value as it was."
            )
            button.toggled.connect(self.set_smoothed)
            self.tools.addWidget(button)
            self.smooth_button = button

    # -- for the kinds of curves -------------------------------------------------------------------

    def names(self, lanes: Sequence[Lane]) -> Sequence[str]:
        """The curves that are known before the run."""
        raise NotImplementedError

    def numbers(self, frame: ScalarsFrame) -> Mapping[str, float]:
        """The values of a frame by name."""
        raise NotImplementedError

    def color(self, name: str) -> str:
        """The color of a curve."""
        return self.theme.term(self.names_drawn.index(name))

    # -- data --------------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self.plot.clear_lines()
        self.curves, self.names_drawn, self._missing = {}, [], []
        self._fresh, self._all_stale = set(), True
        self._last_step = 0.0
        self._total_steps = float(max((lane.experiment.training.steps for lane in lanes), default=0))
        self._y_scale.clear()
        self._range_at = -math.inf
        for name in self.names(lanes):
            for lane in lanes:
                self._add(lane.index, name)
        self._dress()
        self.plot.set_range(
            0, step_limit(0, self._total_steps), *((-3.0, 3.0) if self.logarithmic else (0.0, 1.0))
        )

    def _add(self, lane: int, name: str) -> Curve:
        if name not in self.names_drawn:
            self.names_drawn.append(name)
        raw = self.plot.line(z=-1) if self.smoothing else None
        curve = Curve(lane, name, Series(), self.plot.line(z=2 if lane else 1), raw)
        self.curves[lane, name] = curve
        return curve

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        if not update.scalars:
            return
        self._fresh.add(lane)
        for frame in update.scalars:
            for name, value in self.numbers(frame).items():
                curve = self.curves.get((lane, name))
                if curve is None:
                    curve = self._add(lane, name)
                    self._missing.append((lane, name))
                curve.series.append(frame.step, value)
            self._last_step = frame.step

    def draw(self) -> None:
        super().draw()
        if self._missing:  # a name that the experiment did not announce
            self._missing = []
            self._dress()
        self._fit()
        low, high = self.plot.visible_steps()
        points = int(min(POINTS, max(200, 2 * self.plot.width())))
        for curve in self.curves.values():
            if self._all_stale or curve.lane in self._fresh or self.plot.held:
                steps, values = curve.series.visible(low, high)
                if curve.raw is None or not self.smoothed:
                    self.plot.set_line(curve.line, *thin(steps, values, points))
                else:
                    self.plot.set_line(curve.raw, *thin(steps, values, points))
                    self.plot.set_line(curve.line, *smooth(steps, values, BINS, logarithmic=self.logarithmic))
        self._fresh, self._all_stale = set(), False
        self.legend.set_values(
            [number(curve.series.last) if len(curve.series) else "" for curve in self._in_order()]
        )

    def draw_all(self) -> None:
        """Everything again, because the range was changed by hand."""
        self._all_stale = True
        self._range_at = -math.inf
        self.draw()

    def _fit(self) -> None:
        """Set the ranges, at most four times a second while it runs."""
        if self.plot.held:
            return
        now = time.monotonic()
        if self.running and now - self._range_at < RANGE_EVERY:
            self.pending = bool(self._fresh)
            return
        self._range_at = now
        last = max((float(c.series.steps[-1]) for c in self.curves.values() if len(c.series)), default=0.0)
        ends = [self._ends(curve) for curve in self.curves.values() if len(curve.series)]
        low = min((a for a, _ in ends if math.isfinite(a)), default=math.nan)
        high = max((b for _, b in ends if math.isfinite(b)), default=math.nan)
        margin = 0.08 if self.logarithmic else 0.02 * (high - low)  # a curve on the frame would not be seen
        self._y_scale.update(low - margin, high + margin)
        if math.isfinite(self._y_scale.low):
            self.plot.set_range(
                0.0, step_limit(last, self._total_steps), self._y_scale.low, self._y_scale.high
            )

    def _ends(self, curve: Curve) -> tuple[float, float]:
        _, values = thin(*curve.series.visible(-math.inf, math.inf), 400)
        scaled = self.plot.scaled(values)
        good = scaled[np.isfinite(scaled)]
        return (float(good.min()), float(good.max())) if len(good) else (math.nan, math.nan)

    # -- looks -------------------------------------------------------------------------------------

    def set_smoothed(self, smoothed: bool) -> None:
        """Show means in front of the values, or the values alone."""
        self.smoothed = smoothed
        for curve in self.curves.values():
            if curve.raw is not None:
                curve.raw.setData([], [])
        self._dress()
        self.draw_all()

    def set_quality(self, *, fine: bool) -> None:
        self._dress()

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self.plot.restyle(theme)
        self.legend.restyle(theme)
        self._dress()

    def _in_order(self) -> list[Curve]:
        return [
            self.curves[lane.index, name]
            for name in self.names_drawn
            for lane in self.lanes
            if (lane.index, name) in self.curves
        ]

    def _dress(self) -> None:
        fine = not self.running
        for curve in self.curves.values():
            color = self.color(curve.name)
            self.plot.dress(curve.line, color, 2 if fine else 1, lane_style(curve.lane), fine=fine)
            if curve.raw is not None:
                self.plot.dress(curve.raw, mix(color, self.theme.plot, 0.3), 1, lane_style(0), fine=False)
        labels = {lane.index: lane.label if len(self.lanes) > 1 else "" for lane in self.lanes}
        self.legend.set_entries(
            [
                Entry(
                    f"{labels.get(curve.lane, '')} {curve.name}".strip(),
                    self.color(curve.name),
                    lane_style(curve.lane),
                )
                for curve in self._in_order()
            ]
        )
        self.legend.set_values([number(c.series.last) if len(c.series) else "" for c in self._in_order()])

    # -- numbers -----------------------------------------------------------------------------------

    def read(self, step: float) -> str:
        """The values nearest to a step, as rich text."""
        rows, at = [], math.nan
        for curve, entry in zip(self._in_order(), self.legend.entries, strict=False):
            where, value = curve.series.at(step)
            if not math.isnan(where):
                at = where
                rows.append((entry.color, entry.name, number(value, 4)))
        return rows_html(f"step {at:,.0f}", rows) if rows else ""

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """All values, one row for each step; empty where a curve has none at a step."""
        curves = self._in_order()
        labels = {lane.index: lane.label for lane in self.lanes}
        steps = sorted({float(step) for curve in curves for step in curve.series.steps})
        columns = []
        for curve in curves:
            have = dict(zip(curve.series.steps.tolist(), curve.series.values.tolist(), strict=True))
            columns.append([have.get(step, "") for step in steps])
        names = [f"{labels.get(c.lane, '')} {c.name}".strip() for c in curves]
        return ["step", *names], [[int(step), *values] for step, *values in zip(steps, *columns, strict=True)]
