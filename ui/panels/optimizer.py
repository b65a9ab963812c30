"""Optimizer: what a second-order method says of its own steps, and where the phases of the run begin."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QVBoxLayout, QWidget

from core.choices import FIRST_ORDER
from studio.messages import Update
from ui.panels.curves import borders_in
from ui.panels.panel import Explanation, Lane, steps_of
from ui.panels.stack import Stack, StackPanel
from ui.plots.curves import CurveView, table_of

PREFIX = "optimizer "  # begins the names of an optimizer's own readings

DAMPING, GAIN, LENGTH, EFFORT, OTHERS = "damping", "gain ratio", "length", "effort", "others"

#: The plots from top to bottom: what stands at the axis, and whether it is logarithmic.
PLOTS: dict[str, tuple[str, bool]] = {
    DAMPING: ("damping", True), GAIN: ("actual / foreseen", False), LENGTH: ("length", True),
    EFFORT: ("for each step", False), OTHERS: ("value", False),
}
#: The plot that a reading belongs to; one that is not here is among the others.
PLOT_OF = {
    "damping": DAMPING, "gain ratio": GAIN, "step length": LENGTH, "gradient norm": LENGTH,
    "trials": EFFORT, "evaluations": EFFORT, "cg iterations": EFFORT, "iterations": EFFORT,
}

EMPTY = ("Here an optimizer's own numbers are drawn: damping, gain ratio, step length. This run has first-order steps "
         "only, which have none; add a phase in the form.")
LATER = "The optimizer's own numbers appear here when its phase has begun."


class OptimizerPanel(StackPanel):
    """A plot for each kind of number, from the first step that has one."""

    id = "optimizer"
    title = "Optimizer"
    tip = ("What the optimizer says of its own steps: damping, gain ratio, step length, and what a step costs. Upright "
           "lines: where a phase of the run begins.")
    explanation = Explanation(
        sentences=(
            "The numbers by which a second-order method steers itself, over the steps of its phase: damping and "
            "lengths on logarithmic axes, the gain ratio on a linear one.",
            "The gain ratio is how far the loss really fell, relative to what the method's own model foresaw: 1 is a "
            "model that is right, 0 a step that has gained nothing.",
            "Healthy is a gain ratio near 1 with a damping that falls: the method trusts its model more and more, and "
            "its last steps are nearly those of Gauss and Newton.",
            "Ill is a damping that climbs while steps become short: the model is wrong here, because points change "
            "under it, or the loss has come to the rounding of its precision.",
            "Then hold the points, take float64, take more points, or let the next phase begin.",
        ),
        formulas=(
            r"\left( J^T J + \mu I \right) d = -J^T r",
            r"\rho = \frac{L(\theta) - L(\theta + d)}{L(\theta) - \hat{L}(d)}, \quad "
            r"\hat{L}(d) = \frac{1}{2} \left\| r + J d \right\|^2",
        ),
        source="Mor\u00e9 1978, The Levenberg-Marquardt algorithm: implementation and theory; Nocedal & Wright 2006, "
               "Numerical Optimization, chapters 3 and 10",
    )
    kinds = frozenset({"scalars"})
    area = "bottom"
    interval = 0.2

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.stack = Stack(self.figure, self.chooser("The kind of numbers that is shown.", letters=7))
        self.views: dict[str, CurveView] = {}
        for name, (quantity, logarithmic) in PLOTS.items():
            view = CurveView(self.figure, logarithmic=logarithmic, quantity=quantity)
            view.from_first = view.with_rests = True
            self.views[name] = view
            self.stack.add(name, view)
        self.stack.pointed.connect(self.pointed)
        self.stack.offer((), EMPTY)
        self._borders: set[int] = set()
        self._breaks: dict[int, list[int]] = {}  # by lane, borders that no line has been broken at yet
        self._coming: dict[int, frozenset[str]] = {}  # by lane, the plots that the newest step has numbers for
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)

    # -- what the experiment has -------------------------------------------------------------------

    def wanted(self, lanes: Sequence[Lane]) -> bool:
        """Where an optimizer has something to say of its steps."""
        return any(lane.experiment.optimizer.kind not in FIRST_ORDER or lane.experiment.phases for lane in lanes)

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._borders, self._breaks, self._coming = set(), {}, {}
        self.stack.prefer(())
        labels = {lane.index: lane.label for lane in lanes}
        for view in self.views.values():
            view.begin(labels, {}, (), steps_of(lanes))
            view.plot.set_borders(())
        self._offer()

    def filled(self) -> list[str]:
        """The plots that have curves."""
        return [name for name, view in self.views.items() if view.curves]

    def _offer(self) -> None:
        self.stack.offer(self.filled(), LATER if self.wanted(self.lanes) else EMPTY)

    # -- data --------------------------------------------------------------------------------------

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        breaks = self._breaks[lane] = sorted({*self._breaks.get(lane, ()), *borders_in(update)})
        for frame in update.scalars:
            while breaks and breaks[0] < frame.step:  # the same number of another method is no part of the same line
                border = breaks.pop(0)
                for view in self.views.values():
                    view.rest(lane, border + 0.5, ())
            split: dict[str, dict[str, float]] = {}
            for name, value in frame.readings.items():
                if name.startswith(PREFIX):
                    own = name.removeprefix(PREFIX)
                    split.setdefault(PLOT_OF.get(own, OTHERS), {})[own] = value
            for plot, values in split.items():
                if plot == GAIN and not self.views[GAIN].marks:
                    self.views[GAIN].set_marks([("as foreseen", 1.0, "")])
                self.views[plot].append(lane, frame.step, values)
            for plot, view in self.views.items():  # no line through the steps of another method
                view.rest(lane, frame.step, split.get(plot, {}))
            self._coming[lane] = frozenset(split)
        if borders := borders_in(update) - self._borders:
            self._borders |= borders
            self.pending = True
            for view in self.views.values():
                view.plot.set_borders(sorted(self._borders))

    def draw(self) -> None:
        super().draw()
        self._offer()
        if coming := frozenset().union(*self._coming.values()):  # a first-order phase leaves what there was in sight
            self.stack.prefer(coming)
        self.pending = self.stack.draw()

    # -- looks and numbers -------------------------------------------------------------------------

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """All numbers, one row for each step."""
        labels = {lane.index: lane.label for lane in self.lanes} if len(self.lanes) > 1 else {}
        names, rows = table_of([curve for name in self.filled() for curve in self.views[name].in_order()], labels)
        known = [["" if value != value else value for value in row] for row in rows]
        return names, [row for row in known if any(value != "" for value in row[1:])]
