"""The neural tangent kernel: its spectrum now, and its condition, scale, rank and traces over the steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QWidget

from core.frames import NtkFrame
from studio.messages import Update
from ui.panels.panel import Explanation, Lane, Panel, steps_of
from ui.panels.rows import Rows
from ui.plots.canvas import rows_html
from ui.plots.charts import Chart, Charts, Trace
from ui.plots.curves import CurveView
from ui.plots.levels import SlowRange
from ui.plots.marks import OpenMarks, Point
from ui.plots.scales import Scale
from ui.plots.ticks import number
from ui.theme import Theme, lane_style, mix

KAPPA, LARGEST, RANK, TRACE = "condition", "largest eigenvalue", "effective rank", "trace"
#: What the box chooses, with the name of the axis.
QUANTITIES = {
    KAPPA: "condition number \u03ba",
    LARGEST: "\u03bb max",
    RANK: "effective rank",
    TRACE: "trace / rows",
}
MOST = 40.0  # decades of eigenvalues that are drawn; what is below is rounding of rounding
ACTIVATIONS = " (activations)"  # behind a term's name: the part of its trace
COLUMNS = ("\u03bb max", "\u03ba", "eff. rank")
EMPTY = "The tangent kernel appears here with its first frame."
NEVER = ("The tangent kernel is not computed for sub-domains: each network has a kernel of its own. Without 'splits' "
         "in the decomposition it appears here.")


class NtkPanel(Panel):
    """Left the eigenvalues of K by term and of the whole, right one number of them over the steps."""

    id = "ntk"
    title = "Tangent kernel"
    tip = (
        "The neural tangent kernel K = J J\u1d40 on a few fixed points: its eigenvalues are the rates at which parts "
        "of the residuals are learned, so where many decades lie between them some parts are never learned."
    )
    explanation = Explanation(
        sentences=(
            "K is computed in float64 on a few fixed points of each loss term, the same at all steps and for both "
            "runs, because the condition number grows without bound as points are added: only values on the same "
            "points can be compared.",
            "Left: its eigenvalues, descending, by term and of the whole; right: over the steps the condition number, "
            "the largest eigenvalue, the effective rank (how many eigenvalues share the sum), or the mean of the "
            "diagonal, whose fainter curve is the part of slopes and learned activations.",
            "Healthy: a spectrum that falls slowly, an effective rank near the number of points, terms whose traces "
            "are of one size.",
            "Ill: one term's trace is many decades above another's, so that the other is starved, or the spectrum "
            "falls off a cliff; a small condition number with a huge largest eigenvalue helps little, it only asks for "
            "smaller steps.",
            "An open circle or '\u2265' means that the smallest eigenvalue is lost in rounding and the condition "
            "number is at least so large: never compare two of these; what helps are other activations, Fourier "
            "features, and weights from the traces.",
        ),
        formulas=(
            r"K = J J^{\top}, \quad J_{ij} = \frac{\partial r_i}{\partial \theta_j}, \quad "
            r"K = K_{\mathrm{weights}} + K_{\mathrm{activations}}",
            r"\kappa = \frac{\lambda_{\max}}{\lambda_{\min}}",
            r"r_{\mathrm{eff}} = \exp\left(-\sum_i p_i \ln p_i\right), \quad p_i = \frac{\lambda_i}{\sum_j \lambda_j}",
        ),
        source="Wang, Yu & Perdikaris 2022, J. Comput. Phys. 449; effective rank: Roy & Vetterli 2007",
    )
    kinds = frozenset({"ntk"})
    over_time = frozenset({"ntk"})
    area = "bottom"
    interval = 0.5

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = Rows()
        self._stale = True
        self._seen: dict[int, int] = {}  # newest step of each lane that is drawn
        self._floored: list[tuple[float, float, str]] = []  # step, condition and kernel of what is only a bound
        self._decades = SlowRange(0.5)  # of the eigenvalues
        self.charts = Charts()
        self.view = CurveView(self.figure, quantity=QUANTITIES[KAPPA])
        self.view.color = self.color
        self.view.plot.reader = self.read
        self.view.plot.pointed.connect(self.pointed)
        self.marks = OpenMarks(self.view.plot)
        self.sides = QBoxLayout(QBoxLayout.Direction.LeftToRight, self.figure)
        self.sides.setContentsMargins(0, 0, 0, 0)
        self.sides.setSpacing(2)
        self.sides.addWidget(self.charts, 9)
        self.sides.addWidget(self.view, 11)
        self.quantity_box = self.chooser("What is drawn over the steps.", letters=8)
        self.quantity_box.addItems(list(QUANTITIES))
        self.quantity_box.show()
        self.quantity_box.activated.connect(lambda _: self._changed())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        tall = self.height() > 1.1 * self.width() and self.height() > 400
        wanted = QBoxLayout.Direction.TopToBottom if tall else QBoxLayout.Direction.LeftToRight
        if self.sides.direction() is not wanted:
            self.sides.setDirection(wanted)

    def _changed(self) -> None:
        self.view.plot.set_names("step", QUANTITIES[self.quantity_box.currentText()])
        self._stale = True
        self.draw()

    # -- names -------------------------------------------------------------------------------------

    def color(self, name: str) -> str:
        """A term's own color; fainter for what the activations make of it; the text's for the whole."""
        if name.endswith(ACTIVATIONS):
            return mix(self._rows.color(self.theme, name.removesuffix(ACTIVATIONS)), self.theme.plot, 0.5)
        return self._rows.color(self.theme, name)

    def values(self, frame: NtkFrame) -> dict[str, float]:
        """What is drawn of a frame over the steps, by the curve's name."""
        match self.quantity_box.currentText():
            case "condition":
                return dict(frame.kappa)
            case "largest eigenvalue":
                return {name: float(values[0]) if len(values) else math.nan
                        for name, values in frame.eigenvalues.items()}
            case "effective rank":
                return dict(frame.effective_rank)
        out = dict(zip(frame.terms, frame.trace.tolist(), strict=True))
        if bool((frame.trace_activations > 0).any()):
            parts = frame.trace_activations.tolist()
            out |= {term + ACTIVATIONS: part for term, part in zip(frame.terms, parts, strict=True)}
        return out

    # -- data --------------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._rows.begin(lanes)
        self._decades.clear()
        self._build()
        self._draw_spectra()

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        new = [frame for frame in update.past if isinstance(frame, NtkFrame)]
        if new and new[0].step <= self._seen.get(lane, -1):
            self._stale = True  # a run that was read anew

    def _build(self) -> None:
        """Empty curves; those of all kept frames come with the next drawing."""
        self._stale, self._seen, self._floored = False, {}, []
        self.view.begin({lane.index: lane.label for lane in self.lanes}, {}, (), steps_of(self.lanes))
        self.view.set_note(self._why() if self.lanes else "")
        self.marks.set_points(())

    def _why(self) -> str:
        """Why there is nothing yet, or never."""
        split = [lane for lane in self.lanes if getattr(lane.experiment.decomposition, "splits", None)]
        return NEVER if self.lanes and len(split) == len(self.lanes) else EMPTY

    def draw(self) -> None:
        super().draw()
        if self._stale:
            self._build()
        for lane in self.lanes:
            for frame in self.kept(lane.index, NtkFrame, self._seen.get(lane.index, -1)):
                self._seen[lane.index] = frame.step
                self._rows.see(frame.terms)
                self.view.append(lane.index, frame.step, self.values(frame))
                self._floored += [(float(frame.step), kappa, name) for name, kappa in frame.kappa.items()
                                  if frame.floored.get(name)]
        self.marks.set_points(self._points())
        self.pending = self.view.draw()
        self._draw_spectra()

    def _points(self) -> list[Point]:
        """The condition numbers that are only bounds."""
        if self.quantity_box.currentText() != KAPPA:
            return []
        return [(step, kappa, self.color(name)) for step, kappa, name in self._floored]

    def _draw_spectra(self) -> None:
        """The eigenvalues of all lanes on the same axes."""
        chart = Chart(empty=self._why() if self.lanes else "")
        steps, low, high, most, floored = [], math.inf, 0.0, 1, False
        for lane in self.lanes:
            frame = self.frame(lane.index, "ntk")
            if not isinstance(frame, NtkFrame):
                continue
            steps.append(f"step {frame.step:,}")
            for name, found in frame.eigenvalues.items():
                values = np.asarray(found, np.float64)
                good = values[np.isfinite(values) & (values > 0)]
                if len(good):
                    low, high = min(low, float(good.min())), max(high, float(good.max()))
                most, bound = max(most, len(values)), bool(frame.floored.get(name))
                floored |= bound
                lost = len(values) * float(np.finfo(np.float64).eps)
                chart.traces.append(Trace(
                    f"{lane.label} {name}".strip() if len(self.lanes) > 1 else name,
                    np.arange(1, len(values) + 1, dtype=np.float64), values, self._rows.color(self.theme, name),
                    lane_style(lane.index), dots=True,
                    open=values < lost**2 * values[0] if bound and len(values) else None,
                    numbers=(number(float(values[0])) if len(values) else "",
                             "\u2265 " * bound + number(frame.kappa[name], 2), number(frame.effective_rank[name])),
                ))
        if chart.traces:
            chart.note = ", ".join(dict.fromkeys(steps)) + "; \u2265, open: at the numerical floor" * floored
        if high > 0:
            self._decades.update(max(math.log10(low), math.log10(high) - MOST) - 0.2, math.log10(high) + 0.2)
        scale = Scale("log", 10.0**self._decades.low, 10.0**self._decades.high) if high > 0 else Scale("log", 1e-3, 1e3)
        self.charts.set_charts([chart], Scale("linear", 0.0, most + 1.0), scale, COLUMNS,
                               ("index, descending", "index"), ("eigenvalue of K",))

    # -- words -------------------------------------------------------------------------------------

    def read(self, step: float) -> str:
        """Condition, largest eigenvalue and effective rank of the nearest frame of each lane, or its traces."""
        rows, at = [], math.nan
        for lane in self.lanes:
            kept = self.kept(lane.index, NtkFrame)
            if not kept:
                continue
            frame = min(kept, key=lambda one: abs(one.step - step))
            at = frame.step
            label = f"{lane.label} " if len(self.lanes) > 1 else ""
            if self.quantity_box.currentText() == TRACE:
                rows += [(self.color(name), label + name, number(value, 4))
                         for name, value in self.values(frame).items()]
                continue
            for name, values in frame.eigenvalues.items():
                bound = bool(frame.floored.get(name))
                sign = "\u2265 " if bound else ""
                rows.append((self.color(name), label + name,
                             f"\u03ba {sign}{number(frame.kappa[name])}, \u03bb max "
                             f"{number(float(values[0]) if len(values) else math.nan)}, rank "
                             f"{number(frame.effective_rank[name])}" + " (at the numerical floor)" * bound))
        return rows_html(f"step {at:,.0f}", rows) if rows else ""

    # -- looks and numbers -------------------------------------------------------------------------

    def set_now(self, step: float | None) -> None:
        self.view.set_now(step)

    def set_cursor(self, step: float | None) -> None:
        self.view.plot.set_cursor(step)

    def set_quality(self, *, fine: bool) -> None:
        self.view.running = not fine
        self.view.dress()
        self.charts.fine = fine
        self.charts.update()

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self.view.restyle(theme)
        self.charts.restyle(theme)
        self.marks.restyle()
        self.marks.set_points(self._points())
        self._draw_spectra()

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """All numbers of all frames, one row for each lane, step and kernel; the drawn curves are among them."""
        columns = ["lane", "step", "kernel", "largest eigenvalue", "condition", "at the numerical floor",
                   "effective rank", "trace / rows", "of it activations"]
        rows: list[list[float | str]] = []
        for lane in self.lanes:
            for frame in self.kept(lane.index, NtkFrame):
                traces = dict(zip(frame.terms, zip(frame.trace.tolist(), frame.trace_activations.tolist(),
                                                   strict=True), strict=True))
                for name, values in frame.eigenvalues.items():
                    trace: tuple[float | str, float | str] = traces.get(name, ("", ""))
                    rows.append([lane.label, frame.step, name, float(values[0]) if len(values) else "",
                                 frame.kappa[name], "yes" if frame.floored.get(name) else "no",
                                 frame.effective_rank[name], *trace])
        return columns, rows
