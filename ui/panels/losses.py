"""Losses over steps, and the error against the exact solution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtWidgets import QWidget

from core.frames import ScalarsFrame
from studio.messages import Update
from ui.panels.curves import CurvePanel
from ui.panels.panel import Explanation, Lane, loss_terms, steps_of
from ui.plots.history import Series

RAW, WEIGHTED, TOTAL = "raw", "weighted", "total"
QUANTITIES = {RAW: "loss, before its weight", WEIGHTED: "weight \u00d7 loss", TOTAL: "total loss, weighted"}


def losses_as(mode: str, frame: ScalarsFrame) -> dict[str, float]:
    """The losses of a frame before their weights, times their weights, or the sum of that; a weight not said is 1."""
    if mode == RAW:
        return dict(frame.losses)
    weighted = {term: loss * frame.weights.get(term, 1.0) for term, loss in frame.losses.items()}
    return weighted if mode == WEIGHTED else {TOTAL: sum(weighted.values())} if weighted else {}


class LossesPanel(CurvePanel):
    """The mean square of every loss term, before its weight or times it, or their weighted sum."""

    id = "losses"
    title = "Losses"
    tip = (
        "The mean square of each loss term before its weight, on a logarithmic axis; a falling total hides a term that "
        "does not fall."
    )
    explanation = Explanation(
        sentences=(
            "The mean square of each loss term at the points of its step, on a logarithmic axis: raw as the problem "
            "defines it, weighted as training minimises it, or the weighted total alone.",
            "Bold is the geometric mean over stretches of the run, faint behind it every value.",
            "Healthy are raw losses that fall together; only raw losses can be compared between runs of different "
            "weights.",
            "Ill is a term that stays up while the others fall, a plateau from the first step on, or jumps that grow: "
            "the step is too large.",
            "A flat boundary or initial term needs weight (try annealing), a flat residual more points or another "
            "network, growing jumps a lower learning rate.",
        ),
        formulas=(r"L(\theta) = \sum_i \lambda_i L_i(\theta), \quad "
                  r"L_i(\theta) = \frac{1}{N_i} \sum_{k=1}^{N_i} | r_i(x_k; \theta) |^2",),
        source="Raissi, Perdikaris & Karniadakis 2019, J. Comput. Phys. 378, section 3.1; Wang, Teng & Perdikaris "
               "2021, SIAM J. Sci. Comput. 43(5), section 2",
    )
    smoothing = True
    quantity = QUANTITIES[RAW]

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.mode = RAW
        self._kept: dict[str, dict[tuple[int, str], Series]] = {mode: {} for mode in QUANTITIES}
        self.mode_box = self.chooser("Losses before their weights, times their weights, or the weighted total.",
                                     letters=6)
        self.mode_box.addItems(list(QUANTITIES))
        self.mode_box.textActivated.connect(self.set_mode)
        self.mode_box.show()

    def begin(self, lanes: Sequence[Lane]) -> None:
        for kept in self._kept.values():
            kept.clear()
        super().begin(lanes)
        self._take_over()

    def set_mode(self, mode: str) -> None:
        """Draw 'raw', 'weighted' or 'total'. Raises ValueError for anything else."""
        if mode not in QUANTITIES:
            raise ValueError(f"Losses are drawn {', '.join(QUANTITIES)}, not {mode!r}.")
        self.mode = mode
        self.mode_box.setCurrentText(mode)
        self.plot.set_names("step", QUANTITIES[mode])
        kept = self._kept[mode]
        order = list(dict.fromkeys([*self.names(self.lanes), *(name for _, name in kept)]))
        own = {lane.index: [*self.names([lane]), *(name for index, name in kept if index == lane.index)]
               for lane in self.lanes}
        self.view.begin({lane.index: lane.label for lane in self.lanes}, own, order, steps_of(self.lanes))
        self._take_over()
        self.view.set_now(self.at)
        self.draw()

    def _take_over(self) -> None:
        """The view's curves have the points that are kept here."""
        kept = self._kept[self.mode]
        for key, curve in self.curves.items():
            curve.series = kept.setdefault(key, curve.series)

    def names(self, lanes: Sequence[Lane]) -> Sequence[str]:
        return (TOTAL,) if self.mode == TOTAL and lanes else loss_terms(lanes)[0]

    def numbers(self, frame: ScalarsFrame) -> Mapping[str, float]:
        return losses_as(self.mode, frame)

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)  # into the curves of the mode that is drawn
        if len(self.curves) > len(self._kept[self.mode]):  # of a term that nobody had announced
            self._take_over()
        for frame in update.scalars:
            for mode in QUANTITIES:
                if mode != self.mode:
                    for name, value in losses_as(mode, frame).items():
                        self._kept[mode].setdefault((lane, name), Series()).append(frame.step, value)

    def color(self, name: str) -> str:
        """The total is no term: it has the color of the text."""
        return self.theme.text if self.mode == TOTAL else super().color(name)


class ErrorPanel(CurvePanel):
    """The relative L2 error of every field and quantity whose solution is known."""

    id = "error"
    title = "Relative L2 error"
    tip = (
        "The distance from the exact or reference solution, ||prediction - exact|| / ||exact||, on a grid that "
        "training does not see: 1 is as wrong as zero everywhere, 0.01 is one percent."
    )
    explanation = Explanation(
        sentences=(
            "The distance of each field from the exact or reference solution, relative to the solution's own size, on "
            "a fixed grid that training does not see.",
            "1 is as wrong as zero everywhere, 0.01 is one percent; the published tables of this field state this "
            "number.",
            "Healthy is an error that falls with the losses, step for step.",
            "Ill is an error that stays while the losses fall: the network solves the equation with another boundary "
            "or initial condition than yours, or does as it likes between the points.",
            "Then look at the losses one by one and at the gradients, give the starved term weight, or draw new "
            "points.",
        ),
        formulas=(r"\frac{\| u_\theta - u \|_2}{\| u \|_2} = \sqrt{ "
                  r"\frac{\sum_k (u_\theta(x_k) - u(x_k))^2}{\sum_k u(x_k)^2} }",),
        source="as in the tables of Wang, Teng & Perdikaris 2021, SIAM J. Sci. Comput. 43(5)",
    )
    quantity = "relative L2 error"

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        known = any(lane.experiment.problem.exact or lane.experiment.problem.reference for lane in lanes)
        self.view.set_note("" if known or not lanes else "No exact or reference solution is given, so there is no "
                                                         "error to show.")

    def names(self, lanes: Sequence[Lane]) -> Sequence[str]:
        """Where the solution is a formula. What a reference file holds is seen when the first errors come."""
        return tuple(dict.fromkeys(name for lane in lanes for name in lane.experiment.problem.exact))

    def numbers(self, frame: ScalarsFrame) -> Mapping[str, float]:
        return frame.relative_l2

    def color(self, name: str) -> str:
        """A field is no loss term: a single one is drawn in the text's color, several in colors of their own."""
        names = self.view.names_drawn
        return self.theme.text if len(names) == 1 else self.theme.field(names.index(name))
