"""Stiffness: the largest curvature of the loss over the steps, beside what the learning rate can bear."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QLabel, QToolButton, QVBoxLayout, QWidget

from core.frames import StiffnessFrame
from studio.messages import Update
from ui.panels.panel import Explanation, Lane, Panel, steps_of
from ui.panels.rows import PRECONDITIONED, TOTAL, Rows
from ui.plots.canvas import rows_html
from ui.plots.curves import CurveView, table_of
from ui.plots.marks import OpenMarks, Point
from ui.plots.ticks import number
from ui.theme import Theme

SMALL = 320  # pixels of height below which little is said
CROWDED = 7  # curves whose names leave a small panel no room for the plot
ROUGH = 0.1  # relative residual of an eigenvalue from which on it is drawn open
BOUND = "2 / rate"
NAMES = {TOTAL: "total", PRECONDITIONED: "Adam's operator"}
EMPTY = "The largest eigenvalues appear here with the first frame of stiffness."


class StiffnessPanel(Panel):
    """sigma_max of the total, of every term and of Adam's preconditioned operator, with the bounds of stability."""

    id = "stiffness"
    title = "Stiffness"
    tip = (
        "The largest eigenvalue of the loss's Hessian over the steps, and the line 2 / learning rate: a loss that is "
        "stiffer than that throws plain gradient descent out of its valley."
    )
    explanation = Explanation(
        sentences=(
            "Each curve is sigma_max, the largest eigenvalue of a Hessian over all parameters, by Lanczos: of the "
            "weighted total, of every loss term, and of the operator that Adam sees after it has divided by its "
            "second moments.",
            "The line 2/rate is where gradient descent with the present learning rate ceases to be stable; it rises "
            "as the rate decays, and with momentum Adam's own bound lies higher, at 2(1 + beta1)/((1 - beta1) rate).",
            "Healthy: the total, or with Adam its own operator, stays below its line, or settles just at it.",
            "Ill: one term, mostly the residual, is many decades stiffer than the others and lies above the line; its "
            "loss then oscillates while the other terms hardly move.",
            "Lower the rate or let it decay faster, take an architecture that is less stiff, or balance the terms; "
            "an open circle is a value whose eigenvector was not found to 10 %, so do not lean on it.",
        ),
        formulas=(
            r"\eta < \frac{2}{\sigma_{\max}(\nabla^2_\theta \mathcal{L})}",
            r"\sigma_{\max}\left(D^{-1/2} H D^{-1/2}\right) < \frac{2 (1 + \beta_1)}{(1 - \beta_1)\, \eta}, "
            r"\quad D = \sqrt{\hat{v}} + \epsilon",
        ),
        source="Wang, Teng & Perdikaris 2021, section 2.3 and Figs. 4 and 10 (SIAM); Adam: Cohen et al. 2022, "
               "arXiv 2207.14484",
    )
    kinds = frozenset({"stiffness"})
    over_time = frozenset({"stiffness"})
    area = "bottom"
    interval = 0.5

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.weighted = True
        self._rows = Rows()
        self._stale = True  # the curves are to be built anew
        self._seen: dict[int, int] = {}  # newest step of each lane that is drawn
        self._rough: list[tuple[float, float, str]] = []  # step, value and row of what is not known to ROUGH
        self.sentence = QLabel(self.figure)
        self.sentence.setTextFormat(Qt.TextFormat.RichText)
        self.sentence.setWordWrap(True)
        self.sentence.setContentsMargins(10, 4, 10, 2)
        self.sentence.hide()
        self.view = CurveView(self.figure, quantity="largest eigenvalue")
        self.view.color = self.color
        self.view.short = self.short
        self.view.plot.reader = self.read
        self.view.plot.pointed.connect(self.pointed)
        self.marks = OpenMarks(self.view.plot)
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.sentence)
        layout.addWidget(self.view, 1)
        self._switch()

    def _switch(self) -> None:
        group = QButtonGroup(self)
        for text, tip in (
            ("raw", "The Hessian of each term by itself."),
            ("weighted", "The Hessian of each term times its weight at that step: what it adds to the total."),
        ):
            button = QToolButton(self.header)
            button.setText(text)
            button.setToolTip(tip)
            button.setCheckable(True)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setChecked((text == "weighted") == self.weighted)
            group.addButton(button)
            self.tools.addWidget(button)
        group.setExclusive(True)
        group.buttonClicked.connect(lambda button: self.set_weighted(button.text() == "weighted"))
        self.switch = group

    def set_weighted(self, weighted: bool) -> None:
        """Draw the terms times their weights, or as they are."""
        self.weighted = weighted
        for button in self.switch.buttons():
            button.setChecked((button.text() == "weighted") == weighted)
        self._stale = True
        self.draw()

    # -- names -------------------------------------------------------------------------------------

    def short(self, name: str) -> str:
        """What the legend calls a curve."""
        return NAMES.get(name, name)

    def color(self, name: str) -> str:
        """2 / rate muted, for it is no eigenvalue; Adam's bound in the color of its operator."""
        if name == BOUND:
            return self.theme.muted
        return self._rows.color(self.theme, PRECONDITIONED if name.endswith("/ rate") else name)

    def _adams(self, lane: int) -> float:
        """2 (1 + beta1) / (1 - beta1), which Adam's bound is over the learning rate."""
        optimizer = next((one.experiment.optimizer for one in self.lanes if one.index == lane), None)
        beta = float(getattr(optimizer, "beta1", 0.9))
        return 2 * (1 + beta) / (1 - beta)

    def values(self, lane: int, frame: StiffnessFrame) -> dict[str, float]:
        """What is drawn of a frame, by the curve's name."""
        out = {row: float(sigma) * factor
               for row, sigma, factor in zip(frame.rows, frame.largest, self._factors(frame), strict=True)}
        if frame.learning_rate > 0:
            out[BOUND] = 2 / frame.learning_rate
            if PRECONDITIONED in frame.rows:
                share = self._adams(lane)
                out[f"{number(share)} / rate"] = share / frame.learning_rate
        return out

    def _factors(self, frame: StiffnessFrame) -> list[float]:
        terms = iter(frame.weights.tolist())
        weights = [1.0 if row in (TOTAL, PRECONDITIONED) else float(next(terms, 1.0)) for row in frame.rows]
        return weights if self.weighted else [1.0] * len(weights)

    # -- data --------------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._rows.begin(lanes)
        self._stale = True
        self._build()
        self._say()

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        new = [frame for frame in update.past if isinstance(frame, StiffnessFrame)]
        if new and new[0].step <= self._seen.get(lane, -1):
            self._stale = True  # a run that was read anew

    def _build(self) -> None:
        """Empty curves; those of all kept frames come with the next drawing."""
        self._stale, self._seen, self._rough = False, {}, []
        self.view.begin({lane.index: lane.label for lane in self.lanes}, {}, (), steps_of(self.lanes))
        self.view.set_note(EMPTY if self.lanes else "")
        self.marks.set_points(())

    def draw(self) -> None:
        super().draw()
        if self._stale:
            self._build()
        for lane in self.lanes:
            for frame in self.kept(lane.index, StiffnessFrame, self._seen.get(lane.index, -1)):
                self._seen[lane.index] = frame.step
                self._rows.see(frame.rows)
                self.view.append(lane.index, frame.step, self.values(lane.index, frame))
                self._rough += self._open(frame)
        self.marks.set_points(self._points())
        self.pending = self.view.draw()
        self._say()

    def _open(self, frame: StiffnessFrame) -> list[tuple[float, float, str]]:
        """The values of a frame that are not known to ROUGH."""
        return [(float(frame.step), float(sigma) * factor, row)
                for row, sigma, accuracy, factor in zip(frame.rows, frame.largest, frame.accuracy,
                                                        self._factors(frame), strict=True) if accuracy > ROUGH]

    def _points(self) -> list[Point]:
        return [(step, value, self.color(row)) for step, value, row in self._rough]

    # -- words -------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self._say()  # a small panel has fewer words, also where nothing new is drawn

    def _say(self) -> None:
        lines, small = [], self.figure.height() < SMALL
        for lane in self.lanes:
            frame = self.frame(lane.index, "stiffness")
            if isinstance(frame, StiffnessFrame):
                label = f"<b>{html.escape(lane.label)}:</b> " if len(self.lanes) > 1 and lane.label else ""
                lines.append(f"<div>{label}{self.words(lane, frame, short=small)}</div>")
        several = len(self.view.legend.entries)
        self.view.legend.setVisible(not (small and several > CROWDED))  # the readout has the same names and colors
        text = "".join(lines)
        if text != self.sentence.text():
            self.sentence.setText(text)
        self.sentence.setVisible(bool(text))

    def words(self, lane: Lane, frame: StiffnessFrame, *, short: bool = False) -> str:
        """What a frame says of the stability, as rich text; short: in half a line."""
        at = {row: index for index, row in enumerate(frame.rows)}
        sigma = float(frame.largest[at[TOTAL]]) if TOTAL in at else math.nan
        bound = 2 / frame.learning_rate if frame.learning_rate > 0 else math.inf
        if not math.isfinite(sigma):
            return "The largest eigenvalue is not a finite number, so nothing can be said of the stability."
        plain = getattr(lane.experiment.optimizer, "kind", "adam") == "gd"
        verb = "is" if plain else "would be"
        stable = self._verdict(sigma < bound, "stable", "unstable")
        if short:
            tail = ""
            if PRECONDITIONED in at and frame.learning_rate > 0:
                own = float(frame.largest[at[PRECONDITIONED]])
                sign = "&lt;" if own < self._adams(lane.index) / frame.learning_rate else "&gt;"
                tail = (f"; Adam {self._value(frame, at[PRECONDITIONED])} {sign} "
                        f"{number(self._adams(lane.index))}/rate")
            sign = "&lt;" if sigma < bound else "&gt;"
            return f"{stable}: \u03c3<sub>max</sub> = {self._value(frame, at[TOTAL])} {sign} 2/rate{tail}"
        out = (f"Gradient descent with this rate {verb} {stable}: \u03c3<sub>max</sub> = "
               f"{self._value(frame, at[TOTAL])}, 2/rate = {number(bound)}.")
        if PRECONDITIONED in at:
            own, share = float(frame.largest[at[PRECONDITIONED]]), self._adams(lane.index)
            limit = share / frame.learning_rate if frame.learning_rate > 0 else math.inf
            if math.isfinite(own):
                side = self._verdict(own < limit, "below", "above")
                out += (f" Adam's preconditioned operator: \u03c3<sub>max</sub> = "
                        f"{self._value(frame, at[PRECONDITIONED])}, {side} its bound {number(share)}/rate = "
                        f"{number(limit)} ({'below' if own < bound else 'above'} 2/rate).")
        return out

    def _verdict(self, good: bool, yes: str, no: str) -> str:
        return f"<b style='color:{self.theme.good if good else self.theme.danger}'>{yes if good else no}</b>"

    def _value(self, frame: StiffnessFrame, row: int) -> str:
        rough = " (rough)" if float(frame.accuracy[row]) > ROUGH else ""
        return number(float(frame.largest[row])) + rough

    def read(self, step: float) -> str:
        """Everything that the nearest frame of each lane says, as rich text."""
        rows, at = [], math.nan
        for lane in self.lanes:
            kept = self.kept(lane.index, StiffnessFrame)
            if not kept:
                continue
            frame = min(kept, key=lambda one: abs(one.step - step))
            at = frame.step
            label = f"{lane.label} " if len(self.lanes) > 1 else ""
            values = self.values(lane.index, frame)
            for index, row in enumerate(frame.rows):
                lowest, accuracy = float(frame.lowest[index]), float(frame.accuracy[index])
                text = f"{number(values[row], 4)}, lowest {number(lowest * self._factors(frame)[index])}"
                text += f", to {100 * accuracy:.2g} %" if math.isfinite(accuracy) else ""
                rows.append((self.color(row), f"{label}{self.short(row)}", text + " (rough)" * (accuracy > ROUGH)))
            rows += [(self.color(name), f"{label}{name}", number(values[name], 4))
                     for name in values if name.endswith("/ rate")]
        return rows_html(f"step {at:,.0f}", rows) if rows else ""

    # -- looks and numbers -------------------------------------------------------------------------

    def set_now(self, step: float | None) -> None:
        self.view.set_now(step)

    def set_cursor(self, step: float | None) -> None:
        self.view.plot.set_cursor(step)

    def set_quality(self, *, fine: bool) -> None:
        self.view.running = not fine
        self.view.dress()

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self.view.restyle(theme)
        self.marks.restyle()
        self.marks.set_points(self._points())
        self._say()

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """All values that are drawn, one row for each step."""
        return table_of(self.view.in_order(), {lane.index: lane.label for lane in self.lanes})
