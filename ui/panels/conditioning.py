"""What adaptive slopes do to gradient descent: the implicit conditioning matrix G, and the theorem's margin."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QVBoxLayout, QWidget

from core.frames import ConditioningFrame
from studio.messages import Update
from ui.panels.panel import Explanation, Lane, steps_of
from ui.panels.stack import Stack, StackPanel
from ui.plots.curves import CurveView, table_of
from ui.plots.ticks import number
from ui.theme import Theme

KAPPA, MULTIPLIER = "\u03ba(G)", "multiplier g\u1d40Gg / g\u1d40g"
ANGLE, LOSS, BOUND = "angle of Gg to g, \u00b0", "loss J", "bound"
SMALLEST, IDENTITY = "smallest entry", "largest residual"
#: The plots from top to bottom: name, curves, logarithmic, what stands at the axis.
PLOTS: tuple[tuple[str, tuple[str, ...], bool, str], ...] = (
    ("conditioning", (KAPPA, MULTIPLIER), True, "\u03ba, multiplier"),
    ("Theorem 3.1", (LOSS, BOUND), True, "J, bound"),
    ("angle", (ANGLE,), False, "degrees"),
    ("stability", (SMALLEST,), False, "diagonal of G"),
    ("identity", (IDENTITY,), True, "relative residual"),
)
LATER = "Appears here with the first frame."
NO_SLOPES = ("Without adaptive slopes G is the identity: the gradient is followed as it is. With slopes (global, "
             "layer or neuron) what they do to it is drawn here.")
PARTS = "G is computed for a single network; this experiment has one in each sub-domain."
ROUNDING = 1e-6  # relative residual of the identity that float32 may leave


class ConditioningPanel(StackPanel):
    """kappa(G) and multiplier, Theorem 3.1's margin, the angle, the smallest diagonal entry, the identity."""

    id = "conditioning"
    title = "Implicit conditioning"
    tip = ("Training slopes with the weights is gradient descent through a matrix G that nobody wrote: how it "
           "stretches and turns the gradient, whether it is stable, and whether Theorem 3.1 applies yet.")
    explanation = Explanation(
        sentences=(
            "A step of gradient descent on weights and slopes moves the effective weights n a W by \u2212\u03b7 G g: "
            "\u03ba(G) says how unevenly G stretches, the multiplier by how much the learning rate is larger in "
            "effect, and the angle how far the step is turned away from the gradient g.",
            "At an angle of 0\u00b0 slopes are no more than another learning rate; at large angles they choose other "
            "directions.",
            "Theorem 3.1 says that gradient descent does not stay in a sub-optimal point once J is below the bound, "
            "the loss of the best constant network plus S(0): the line at which it first holds is marked.",
            "Ill is a smallest diagonal entry of G below 0: the step is too large for the slopes and goes uphill; a "
            "smaller n or learning rate mends it.",
            "The identity residual is the program's own check (Appendix A of the paper), zero but for rounding; with "
            "Adam the angle is that of the gradient and not of Adam's step.",
        ),
        formulas=(r"G = \mathrm{diag}(s^2) + n^2\,\mathrm{diag}(W) A A^T \mathrm{diag}(W) - \eta\,n^2\,"
                  r"\mathrm{diag}\left(s \circ A A^T (W \circ g)\right)",
                  r"\kappa = \frac{\max_j \left(s_j^2 + n^2 \left\| W_j \right\|^2\right)}{\min_j s_j^2},\quad "
                  r"\mathrm{multiplier} = \frac{g^T G g}{g^T g}",
                  r"J(\theta) < \min_c J_c + W_a S(0)"),
        source="Jagtap, Kawaguchi & Karniadakis 2020, Proc. R. Soc. A 476, Theorem 3.1, eqs. (3.2)-(3.4), Appendix A",
    )
    kinds = frozenset({"conditioning"})
    over_time = frozenset({"conditioning"})
    area = "bottom"
    interval = 0.3

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.stack = Stack(self.figure, self.chooser("What of the conditioning is shown.", letters=9))
        self.stack.pointed.connect(self.pointed)
        self.views: dict[str, CurveView] = {}
        for name, _, logarithmic, quantity in PLOTS:
            view = CurveView(self.stack, logarithmic=logarithmic, quantity=quantity)
            view.begin({}, {}, (), 0.0)
            self.views[name] = view
            self.stack.add(name, view)
        self.held: dict[int, pg.InfiniteLine] = {}  # by lane
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)

    def wanted(self, lanes: Sequence[Lane]) -> bool:
        """Where one network has slopes."""
        return any(lane.experiment.network.slopes != "none" and not lane.experiment.decomposition.splits
                   for lane in lanes)

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        labels = {lane.index: lane.label for lane in lanes}
        for line in self.held.values():
            self.views["Theorem 3.1"].plot.getPlotItem().removeItem(line)
        self.held = {}
        for name, view in self.views.items():
            view.begin(labels, {}, (), steps_of(lanes))
            if name == "stability":
                view.set_marks([("unstable below", 0.0, "")])
        self.stack.say([])
        slopes = any(lane.experiment.network.slopes != "none" for lane in lanes)
        self.stack.offer([], LATER if self.wanted(lanes) or not lanes else PARTS if slopes else NO_SLOPES)

    # -- data --------------------------------------------------------------------------------------

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        for frame in update.past:
            if isinstance(frame, ConditioningFrame):
                numbers = numbers_of(frame)
                for name, curves, _, _ in PLOTS:
                    own = {curve: numbers[curve] for curve in curves if curve in numbers}
                    if own:
                        self.views[name].append(lane, frame.step, own)

    def draw(self) -> None:
        super().draw()
        self.stack.say(self.sentences())
        self._mark()
        self.stack.offer([name for name, view in self.views.items() if view.curves], self.stack.empty.text())
        self.pending = self.stack.draw()

    def _mark(self) -> None:
        """The step at which the theorem's condition first held."""
        for lane in self.lanes:
            since = self._held_since(lane.index)
            line = self.held.get(lane.index)
            if since < 0:
                if line is not None:
                    line.setVisible(False)
                continue
            if line is None:
                line = pg.InfiniteLine(angle=90, movable=False)
                self.views["Theorem 3.1"].plot.getPlotItem().addItem(line, ignoreBounds=True)
                self.held[lane.index] = line
                self._dress(lane.index)
            if line.value() != since:
                line.setPos(since)
            line.setVisible(True)

    def _held_since(self, lane: int) -> int:
        past = self.past(lane, "conditioning")
        newest = past[-1] if past else None
        return newest.held_since if isinstance(newest, ConditioningFrame) else -1

    def _dress(self, lane: int) -> None:
        pen = pg.mkPen(self.theme.good, width=1)
        if lane:
            pen.setDashPattern([7.0, 4.0])
        self.held[lane].setPen(pen)

    # -- words -------------------------------------------------------------------------------------

    def sentences(self) -> list[str]:
        """What is to be said, the most important first, as rich text."""
        found = {lane.index: self.frame(lane.index, "conditioning") for lane in self.lanes}
        frames = {lane: frame for lane, frame in found.items() if isinstance(frame, ConditioningFrame)}
        out: list[str] = []
        for words in (self._stability, self._theorem, self._uneven, self._identity):
            for lane in self.lanes:
                frame = frames.get(lane.index)
                text = words(frame) if frame is not None else ""
                if text:
                    out.append(f"{lane.label}: {text}" if len(self.lanes) > 1 else text)
        adam = [lane.label for lane in self.lanes if lane.experiment.optimizer.kind != "gd"]
        if frames and adam:
            who = f"{' and '.join(adam)}: t" if 0 < len(adam) < len(self.lanes) else "T"
            out.append(f"{who}raining is with Adam, whose steps G does not describe: angle and multiplier are those of "
                       "the gradient, not of Adam's step.")
        return out

    def _stability(self, frame: ConditioningFrame) -> str:
        if not frame.smallest < 0:
            return ""
        return (f"<b style='color:{self.theme.danger}'>\u25b2 G is not positive</b>: its smallest diagonal entry is "
                f"{number(frame.smallest)}; steps of gradient descent go uphill there.")

    def _theorem(self, frame: ConditioningFrame) -> str:
        if not math.isfinite(frame.bound):
            return "The bound of Theorem 3.1 is not known for this loss or network."
        margin = frame.bound - frame.loss
        now = (f"J = {number(frame.loss)} is {number(abs(margin))} {'below' if margin > 0 else 'above'} the bound "
               f"{number(frame.bound)}")
        if frame.held_since < 0:
            return f"The condition of Theorem 3.1 <b>does not hold yet</b>: {now}."
        since = f"first held at <b>step {frame.held_since:,}</b>"
        if margin > 0:
            return f"<span style='color:{self.theme.good}'>\u2713</span> The condition of Theorem 3.1 {since}; {now}."
        return (f"<span style='color:{self.theme.warning}'>\u25b2</span> The condition of Theorem 3.1 {since}, but not "
                f"now: {now}.")

    def _uneven(self, frame: ConditioningFrame) -> str:
        if not len(frame.blocks):
            return ""
        low, high = int(np.argmin(frame.low)), int(np.argmax(frame.high))
        return (f"G stretches most in {frame.blocks[high]} ({number(float(frame.high[high]))}) and least in "
                f"{frame.blocks[low]} ({number(float(frame.low[low]))}).")

    def _identity(self, frame: ConditioningFrame) -> str:
        worst = _largest(frame)
        if not worst > ROUNDING:
            return f"Identity of Appendix A: largest residual {number(worst, 2)}, rounding." if worst == worst else ""
        where = frame.blocks[int(np.nanargmax(np.abs(frame.identity)))]
        return (f"<b style='color:{self.theme.warning}'>\u25b2 The identity of Appendix A is off</b> by "
                f"{number(worst)} in {where}: more than rounding.")

    # -- looks and numbers -------------------------------------------------------------------------

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        for lane in self.held:
            self._dress(lane)
        self.stack.say(self.sentences())

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """All numbers of the plots in sight, one row for each step."""
        curves = [curve for name in self.stack.shown() for curve in self.views[name].in_order()]
        return table_of(curves, {lane.index: lane.label for lane in self.lanes})


def _largest(frame: ConditioningFrame) -> float:
    """The largest |residual| of the identity; NaN where there is none."""
    good = np.abs(frame.identity[np.isfinite(frame.identity)])
    return float(good.max()) if len(good) else math.nan


def numbers_of(frame: ConditioningFrame) -> dict[str, float]:
    """What is drawn of a frame, by curve. The bound where it is known."""
    out = {KAPPA: frame.kappa, MULTIPLIER: frame.multiplier, LOSS: frame.loss, ANGLE: frame.angle,
           SMALLEST: frame.smallest, IDENTITY: _largest(frame)}
    return out | ({BOUND: frame.bound} if math.isfinite(frame.bound) else {})
