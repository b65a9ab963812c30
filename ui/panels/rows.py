"""Names and colors of what is computed for the total and for each loss term."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ui.panels.panel import Lane, loss_terms
from ui.theme import Theme

TOTAL, PRECONDITIONED = "total", "preconditioned"  # as in StiffnessFrame
WHOLE = "all"  # as in NtkFrame
_OWN = 5  # place of the color of the preconditioned operator: far from those of the first terms


class Rows:
    """The loss terms in their order, and a color for each row. A term keeps its color in every panel."""

    def __init__(self) -> None:
        self.terms: list[str] = []

    def begin(self, lanes: Sequence[Lane]) -> None:
        """The terms of these lanes."""
        self.terms = list(loss_terms(lanes)[0])

    def see(self, names: Iterable[str]) -> None:
        """Names of a frame: terms that were not announced come behind the others."""
        self.terms += [name for name in dict.fromkeys(names)
                       if name not in self.terms and name not in (TOTAL, PRECONDITIONED, WHOLE)]

    def color(self, theme: Theme, name: str) -> str:
        """The total and the whole are drawn in the text's color."""
        if name == PRECONDITIONED:
            return theme.term(_OWN)
        return theme.term(self.terms.index(name)) if name in self.terms else theme.text
