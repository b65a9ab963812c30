"""Losses over steps, and the error against the exact solution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.frames import ScalarsFrame
from ui.panels.curves import CurvePanel
from ui.panels.panel import Lane, loss_terms


class LossesPanel(CurvePanel):
    """The mean square of every loss term, before its weight."""

    id = "losses"
    title = "Losses"
    tip = (
        "The mean square of each loss term before its weight, on a logarithmic axis; a falling total hides a term that "
        "does not fall."
    )
    smoothing = True
    quantity = "loss, before its weight"

    def names(self, lanes: Sequence[Lane]) -> Sequence[str]:
        return loss_terms(lanes)[0]

    def numbers(self, frame: ScalarsFrame) -> Mapping[str, float]:
        return frame.losses


class ErrorPanel(CurvePanel):
    """The relative L2 error of every field and quantity whose solution is known."""

    id = "error"
    title = "Relative L2 error"
    tip = (
        "The distance from the exact or reference solution, ||prediction - exact|| / ||exact||, on a grid that "
        "training does not see: 1 is as wrong as zero everywhere, 0.01 is one percent."
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
