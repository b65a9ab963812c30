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
    """The relative L2 error of every field."""

    id = "error"
    title = "Relative L2 error"
    tip = (
        "The distance from the exact or reference solution, ||prediction - exact|| / ||exact||, on a grid that "
        "training does not see: 1 is as wrong as zero everywhere, 0.01 is one percent."
    )
    quantity = "relative L2 error"

    def names(self, lanes: Sequence[Lane]) -> Sequence[str]:
        return tuple(dict.fromkeys(field for lane in lanes for field in lane.experiment.problem.fields))

    def numbers(self, frame: ScalarsFrame) -> Mapping[str, float]:
        return frame.relative_l2

    def color(self, name: str) -> str:
        """A field is no loss term: the first is drawn in the text's color, others in colors from the palette's end."""
        index = self.names_drawn.index(name)
        return self.theme.text if index == 0 else self.theme.term(len(self.theme.terms) - 1 - index)
