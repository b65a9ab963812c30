"""Curves over training steps by name and lane: a legend with present values, and a plot below it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from ui.plots.canvas import rows_html
from ui.plots.history import POINTS, Series, smooth, thin
from ui.plots.legend import Entry, Legend
from ui.plots.levels import SlowRange, step_limit
from ui.plots.plot import Plot
from ui.plots.ticks import nice_step, number
from ui.theme import LIGHT, Theme, lane_style, mix

RANGE_EVERY = 0.25  # seconds between two changes of a range, at least
BINS = 120  # stretches of a smoothed curve
GRAINS = 20  # a linear y range moves in steps of about this part of it


@dataclass(slots=True)
class Curve:
    """One quantity of one lane: all its points, and the lines that show it."""

    lane: int
    name: str
    series: Series
    line: pg.PlotCurveItem
    raw: pg.PlotCurveItem | None = None  # behind a smoothed line


@dataclass(slots=True)
class Mark:
    """A value that curves should come to: a dashed line across the plot, and the curve whose color it has."""

    text: str
    value: float
    curve: str  # '' for the text's color
    line: pg.InfiniteLine


class CurveView(QWidget):
    """A color for each name, solid for lane 0 and dashed for lane 1."""

    def __init__(self, parent: QWidget | None = None, *, logarithmic: bool = True, smoothing: bool = False,
                 quantity: str = "", grain: float = 0.5) -> None:
        super().__init__(parent)
        self.theme: Theme = LIGHT
        self.logarithmic, self.smoothing, self.smoothed = logarithmic, smoothing, smoothing
        self.curves: dict[tuple[int, str], Curve] = {}
        self.names_drawn: list[str] = []
        self.marks: list[Mark] = []
        self.running = False
        self.with_rests = False  # NaN is a step at which a curve has no value, and nothing that was computed
        self.from_first = False  # the steps begin with the first one that has a value, not with 0
        self.now: float | None = None  # the step that the window has gone back to
        self.color: Callable[[str], str] = self.color_in_order
        self.short: Callable[[str], str] = str  # a curve's name as the legend has it
        self._labels: dict[int, str] = {}
        self._fresh: set[int] = set()
        self._all_stale = True
        self._missing = False
        self._y_scale = SlowRange(grain)
        self._total_steps = 0.0
        self._range_at = -math.inf
        self.legend = Legend(self)
        self.plot = Plot(self, logarithmic=logarithmic)
        self.plot.reader = self.read
        self.plot.zoomed.connect(self.draw_all)
        self.plot.setToolTip("Wheel or drag to look closer; double-click to see everything.")
        self.plot.set_names("step", quantity)
        self.note = QLabel(self.plot)
        self.note.setWordWrap(True)
        self.note.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.note.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.note.hide()
        inside = QVBoxLayout(self.plot)
        inside.setContentsMargins(66, 6, 26, 26)
        inside.addWidget(self.note)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.legend)
        layout.addWidget(self.plot, 1)

    def color_in_order(self, name: str) -> str:
        """The color of a curve by the place of its name."""
        return self.theme.term(self.names_drawn.index(name))

    # -- data --------------------------------------------------------------------------------------

    def begin(self, labels: Mapping[int, str], names: Mapping[int, Sequence[str]], order: Sequence[str],
              steps: float) -> None:
        """Forget everything; curves of these names by lane, in this order, of a run of so many steps."""
        self.plot.clear_lines()
        for mark in self.marks:
            self.plot.getPlotItem().removeItem(mark.line)
        self.curves, self.names_drawn, self.marks, self._missing = {}, [], [], False
        self._fresh, self._all_stale = set(), True
        self._labels = dict(labels)
        self._total_steps = steps
        self._y_scale.clear()
        self._range_at = -math.inf
        for name in order:
            for lane in labels:
                if name in names.get(lane, ()):
                    self._add(lane, name)
        self.dress()
        self.plot.set_range(0, step_limit(0, steps), *((-3.0, 3.0) if self.logarithmic else (0.0, 1.0)))

    def set_marks(self, marks: Sequence[tuple[str, float, str]]) -> None:
        """Lines across the plot: (text, value, name of the curve whose color it has, or '')."""
        for text, value, curve in marks:
            line = pg.InfiniteLine(pos=value, angle=0, movable=False)
            line.setZValue(-2)
            self.plot.getPlotItem().addItem(line, ignoreBounds=True)
            self.marks.append(Mark(text, value, curve, line))
        self.dress()

    def set_note(self, text: str) -> None:
        """What is said in the middle of the plot until there is a curve; '' for nothing."""
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def append(self, lane: int, step: float, values: Mapping[str, float]) -> None:
        """The values of one step by name; a name that was not announced gets a curve."""
        self._fresh.add(lane)
        if values and self.note.text():
            self.set_note("")
        for name, value in values.items():
            curve = self.curves.get((lane, name))
            if curve is None:
                curve = self._add(lane, name)
                self._missing = True
            curve.series.append(step, value)

    def rest(self, lane: int, step: float, but: Container[str]) -> None:
        """A step at which the curves of a lane have no value, but for those of these names: their lines break."""
        for curve in self.curves.values():
            if curve.lane == lane and curve.name not in but and len(curve.series):
                curve.series.append(step, math.nan)
                self._fresh.add(lane)

    def _add(self, lane: int, name: str) -> Curve:
        if name not in self.names_drawn:
            self.names_drawn.append(name)
        raw = self.plot.line(z=-1) if self.smoothing else None
        curve = Curve(lane, name, Series(), self.plot.line(z=2 if lane else 1), raw)
        self.curves[lane, name] = curve
        return curve

    def in_order(self) -> list[Curve]:
        """The curves name by name, of each name lane by lane."""
        return [self.curves[lane, name] for name in self.names_drawn for lane in self._labels
                if (lane, name) in self.curves]

    # -- drawing -----------------------------------------------------------------------------------

    def draw(self) -> bool:
        """Draw what is new. True where something is left for later."""
        if self._missing:
            self.dress()
        waits = self._fit()
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
        self._show_values()
        return waits

    def draw_all(self) -> None:
        """Everything again, because the range was changed by hand."""
        self._all_stale = True
        self._range_at = -math.inf
        self.draw()

    def _fit(self) -> bool:
        """Set the ranges, at most four times a second while it runs; True where that is still to be done."""
        if self.plot.held:
            return False
        now = time.monotonic()
        if self.running and now - self._range_at < RANGE_EVERY:
            return bool(self._fresh)
        self._range_at = now
        last = max((float(c.series.steps[-1]) for c in self.curves.values() if len(c.series)), default=0.0)
        ends = [self._ends(curve.series) for curve in self.curves.values() if len(curve.series)]
        if ends:
            ends += [(value, value) for value in self.plot.scaled(np.array([m.value for m in self.marks])).tolist()]
        low = min((a for a, _ in ends if math.isfinite(a)), default=math.nan)
        high = max((b for _, b in ends if math.isfinite(b)), default=math.nan)
        margin = 0.08
        if not self.logarithmic and math.isfinite(high - low):
            span = high - low if high > low else max(abs(high), 1e-6)
            self._y_scale.grain = nice_step(span, GRAINS)
            margin = 0.04 * span  # a curve on the frame would not be seen
        self._y_scale.update(low - margin, high + margin)
        if math.isfinite(self._y_scale.low):
            first = self._first()  # the limit is rounded on what is drawn: a short phase comes late in a long run
            limit = first + step_limit(last - first, self._total_steps - first)
            self.plot.set_range(first, limit, self._y_scale.low, self._y_scale.high)
        return False

    def _first(self) -> float:
        """Where the steps begin."""
        if not self.from_first:
            return 0.0
        return min((float(c.series.steps[0]) for c in self.curves.values() if len(c.series)), default=0.0)

    def _ends(self, series: Series) -> tuple[float, float]:
        _, values = thin(*series.visible(-math.inf, math.inf), 400)
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
        self.dress()
        self.draw_all()

    def restyle(self, theme: Theme) -> None:
        self.theme = theme
        self.plot.restyle(theme)
        self.legend.restyle(theme)
        self.note.setStyleSheet(f"color: {theme.muted}; background: transparent;")
        self.dress()

    def dress(self) -> None:
        """Colors, widths and names of what there is."""
        fine = not self.running
        for curve in self.curves.values():
            color = self.color(curve.name)
            self.plot.dress(curve.line, color, 2 if fine else 1, lane_style(curve.lane), fine=fine)
            if curve.raw is not None:
                self.plot.dress(curve.raw, mix(color, self.theme.plot, 0.3), 1, lane_style(0), fine=False)
        for mark in self.marks:
            mark.line.setPen(pg.mkPen(self._mark_color(mark), width=1, dash=[4.0, 4.0]))
        several = len(self._labels) > 1
        entries = [Entry(f"{self._labels.get(curve.lane, '') if several else ''} {self.short(curve.name)}".strip(),
                         self.color(curve.name), lane_style(curve.lane)) for curve in self.in_order()]
        entries += [Entry(mark.text, self._mark_color(mark), Qt.PenStyle.DotLine) for mark in self.marks]
        self.legend.set_entries(entries)
        self._missing = False
        self._show_values()

    def _mark_color(self, mark: Mark) -> str:
        return self.color(mark.curve) if mark.curve in self.names_drawn else self.theme.text

    def set_now(self, step: float | None) -> None:
        """Mark the step that the window has gone back to; the legend has the values there. None: the newest."""
        self.now = step
        self.plot.set_now(step)
        self._show_values()

    def _show_values(self) -> None:
        if self._missing:  # a curve has come since the last drawing: the legend has no entry for it yet
            self.dress()
            return
        values = [self._value(curve.series) for curve in self.in_order()]
        self.legend.set_values([*values, *(number(mark.value) for mark in self.marks)])

    def _value(self, series: Series) -> str:
        """What the legend says of a curve: the newest value that there was at the step, never a later one."""
        if not len(series):
            return ""
        value = series.last if self.now is None else series.before(self.now)
        return "\u2013" if value is None or self._rests(value) else number(value)

    def _rests(self, value: float) -> bool:
        return self.with_rests and math.isnan(value)

    # -- numbers -----------------------------------------------------------------------------------

    def read(self, step: float) -> str:
        """The values nearest to a step, as rich text."""
        rows, at = [], math.nan
        for curve, entry in zip(self.in_order(), self.legend.entries, strict=False):
            where, value = curve.series.at(step)
            if not (math.isnan(where) or self._rests(value)):
                at = where
                rows.append((entry.color, entry.name, number(value, 4)))
        rows += [(self._mark_color(mark), mark.text, number(mark.value, 4)) for mark in self.marks if rows]
        return rows_html(f"step {at:,.0f}", rows) if rows else ""


def table_of(curves: Sequence[Curve], labels: Mapping[int, str]) -> tuple[list[str], list[list[float | str]]]:
    """All values, one row for each step; empty where a curve has none at a step."""
    steps = sorted({float(step) for curve in curves for step in curve.series.steps})
    columns = []
    for curve in curves:
        have = dict(zip(curve.series.steps.tolist(), curve.series.values.tolist(), strict=True))
        columns.append([have.get(step, "") for step in steps])
    names = [f"{labels.get(c.lane, '')} {c.name}".strip() for c in curves]
    return ["step", *names], [[int(step), *values] for step, *values in zip(steps, *columns, strict=True)]
