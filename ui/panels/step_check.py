"""What the step just made did to each loss term, against what its Taylor expansion promised."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QWidget

from core.frames import StepCheckFrame
from ui.panels.panel import Explanation, Lane, loss_terms, steps_of
from ui.panels.stack import Stack, StackPanel
from ui.plots.curves import CurveView
from ui.plots.levels import SlowRange
from ui.plots.signed import SignedCurves, fit_legend
from ui.plots.stepbars import ROUNDING, Change, StepBars
from ui.theme import Theme

TOTAL = "total"  # weighted
CHANGES, ERRORS = "changes", "errors"
LATER = "Appears here with the first frame."
DECADES = 4.0  # that the symlog axes show on each side


def changes_of(frame: StepCheckFrame) -> dict[str, tuple[float, float, float]]:
    """First order, first and second, and actual change of every term and of the weighted total, over the loss before.

    NaN where a loss was zero or is not a number.
    """
    with np.errstate(all="ignore"):
        weights = np.where(np.asarray(frame.weights) > 0, frame.weights, 0.0)
        rows = np.stack([frame.first, np.add(frame.first, frame.second), frame.actual])
        relative = rows / np.where(np.asarray(frame.before) > 0, frame.before, np.nan)
        whole = (rows * weights).sum(axis=1) / (weights @ np.asarray(frame.before, dtype=np.float64))
    out = {term: (float(a), float(b), float(c)) for term, (a, b, c) in zip(frame.terms, relative.T, strict=True)}
    out[TOTAL] = (float(whole[0]), float(whole[1]), float(whole[2]))
    return out


def miss(both: float, actual: float) -> float:
    """|predicted - actual| / |actual|; NaN where the change is no more than rounding."""
    return abs(both - actual) / abs(actual) if abs(actual) >= ROUNDING else math.nan


class StepCheckPanel(StackPanel):
    """Left the last step term by term; right the changes and the prediction's error over the run."""

    id = "step_check"
    title = "What the last step did"
    tip = (
        "How much the last step raised or lowered each loss term, and what first and second order had predicted: a "
        "step may help the total and hurt a term."
    )
    explanation = Explanation(
        sentences=(
            "For every loss term on the step's own points: a bar for its change relative to its value before the step, "
            "a ring for the first-order prediction and a diamond for first and second order.",
            "Left of zero the step helped, right of zero it hurt; below, the changes over the run, and how far the "
            "second-order prediction was off, relative to the change itself.",
            "Healthy is a total that is helped by a little, diamonds on the ends of their bars, and an error well "
            "below 1.",
            "A ring on the left with its bar on the right is a step beyond what the curvature allows; a term that is "
            "hurt step after step pays for the others.",
            "Lower the learning rate in the first case, and in the second give the term more weight or choose a "
            "direction rule without conflicts.",
        ),
        formulas=(
            r"\Delta L_i \approx \nabla L_i \cdot d + \frac{1}{2} d^T H_i d, \quad d = \theta^+ - \theta",
            r"d = -\eta \nabla L: \quad \Delta L_i \approx -\eta \nabla L_i \cdot \nabla L "
            r"+ \frac{\eta^2}{2} \nabla L^T H_i \nabla L",
        ),
        source="Wang, Teng & Perdikaris 2021, SIAM J. Sci. Comput. 43(5), eqs. 2.20-2.22, in the form that is exact "
               "for each term",
    )
    kinds = frozenset({"step_check"})
    over_time = frozenset({"step_check"})
    area = "bottom"
    interval = 0.3

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._order: list[str] = []
        self._shown: list[str] = []
        self._seen: dict[int, StepCheckFrame | None] = {}
        self._scale = SlowRange(0.5)
        self._curve_scale = SlowRange(1.0)
        self._largest = 0.0
        self.bars = StepBars()
        scroll = QScrollArea(self.figure)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(self.bars)
        self.actual = SignedCurves(self.figure, quantity="actual change / loss")
        self.misses = CurveView(self.figure, quantity="|predicted \u2212 actual| / |actual|")
        self.stack = Stack(self.figure, self.chooser("What is drawn over the steps.", letters=8))
        for name, view in ((CHANGES, self.actual), (ERRORS, self.misses)):
            view.color = self._color
            self.stack.add(name, view)
        self.stack.pointed.connect(self.pointed)
        self.stack.offer((CHANGES, ERRORS), "")
        layout = QHBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(scroll, 1)
        layout.addWidget(self.stack, 1)

    # -- data --------------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._order = list(loss_terms(lanes)[0])
        self._scale.clear()
        self._begin_curves()
        self._draw_bars()

    def _begin_curves(self) -> None:
        self._seen, self._largest = {}, 0.0
        self._curve_scale.clear()
        labels = {lane.index: lane.label for lane in self.lanes}
        for view in (self.actual, self.misses):
            view.begin(labels, {}, (), steps_of(self.lanes))
            view.set_note(LATER if self.lanes else "")
            view.set_now(self.at)
        if self.lanes:
            self.misses.set_marks([("100 % off", 1.0, "")])

    def draw(self) -> None:
        super().draw()
        for lane in self.lanes:
            frames = self.kept(lane.index, StepCheckFrame)
            self._order += [t for f in frames[-1:] for t in f.terms if t not in self._order]
            self._append(lane.index, frames)
        self._draw_bars()
        if self._largest > 0 and self._curve_scale.update(math.log10(self._largest), math.log10(self._largest)):
            self.actual.set_threshold(10.0 ** (self._curve_scale.high - DECADES))
        waits = self.stack.draw()
        moved = [fit_legend(view) for view in (self.actual, self.misses)]
        shown = self.stack.shown()
        self.stack.arrange()
        self.pending = waits or any(moved) or shown != self._shown  # there is other room now
        self._shown = shown

    def _append(self, lane: int, frames: Sequence[StepCheckFrame]) -> None:
        seen = self._seen.get(lane)
        if seen is not None and (not frames or frames[-1].step < seen.step):  # a run that was read anew
            self._begin_curves()
            seen = None
        for frame in frames:
            if seen is not None and frame.step <= seen.step:
                continue
            changes = changes_of(frame)
            good = [abs(c) for _, _, c in changes.values() if math.isfinite(c)]
            self._largest = max([self._largest, *good])
            self.actual.append(lane, frame.step, {name: c for name, (_, _, c) in changes.items()})
            self.misses.append(lane, frame.step, {name: miss(b, c) for name, (_, b, c) in changes.items()})
        self._seen[lane] = frames[-1] if frames else None

    def _draw_bars(self) -> None:
        found = []
        for lane in self.lanes:
            frame = self.frame(lane.index, "step_check")
            if isinstance(frame, StepCheckFrame):
                found.append((lane.label, frame, changes_of(frame)))
        several = len(self.lanes) > 1
        rows = []
        for name in [*self._order, TOTAL]:
            for label, _, changes in found:
                if name in changes:
                    rows.append(Change(name, self._color(name), label if several else "", *changes[name]))
        sizes = [abs(v) for row in rows for v in (row.first, row.both, row.actual) if math.isfinite(v) and v]
        if sizes:
            top = math.log10(max(sizes))
            self._scale.update(top, top)
            self.bars.set_scales(max(10.0 ** (self._scale.high - DECADES), 1e-12), 10.0**self._scale.high)
        self.bars.note = LATER if self.at is None else "No frame of this step."
        steps = dict.fromkeys(f"{frame.step:,}" for _, frame, _ in found)
        self.bars.set_changes(rows, f"the step to {' / '.join(steps)}" if steps else "")

    # -- looks, steps and numbers ------------------------------------------------------------------

    def _color(self, name: str) -> str:
        return self.theme.term(self._order.index(name)) if name in self._order else self.theme.text

    def set_quality(self, *, fine: bool) -> None:
        super().set_quality(fine=fine)
        self.bars.fine = fine
        self.bars.update()

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self.bars.restyle(theme)
        self._draw_bars()

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """One row for each lane, step and term: what was predicted and what happened, over the loss before."""
        rows: list[list[float | str]] = []
        for lane in self.lanes:
            for frame in self.past(lane.index, "step_check"):
                if isinstance(frame, StepCheckFrame):
                    rows += [[lane.label, frame.step, name, a, b, c] for name, (a, b, c) in
                             changes_of(frame).items()]
        return ["lane", "step", "term", "first order", "first and second order", "actual"], rows
