"""Whether the loss terms pull in the same direction: the cosines of now, and over the run."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from PySide6.QtWidgets import QHBoxLayout, QWidget

from core.frames import AlignmentFrame
from ui.panels.panel import Explanation, Lane, loss_terms, steps_of
from ui.panels.stack import Stack, StackPanel
from ui.plots.matrix import MatrixPlot, Table
from ui.plots.signed import SignedCurves, fit_legend, list_of
from ui.theme import Theme, mix

RECENT = 20  # frames of which the share with a negative cosine is taken
WITHIN, BETWEEN, SHARE = "within a step", "step to step", f"conflicts, last {RECENT}"
PAIRS_NAME, SCORES_NAME = "cosines", "scores"
EVERY_PAIR, WITH = "all pairs", "with "
PAIRS = 6  # at most that are all drawn at first
TITLE = "cosine of the gradients"


def in_conflict(frame: AlignmentFrame) -> bool:
    """Whether two terms that take part in the step have gradients at more than a right angle."""
    active = np.flatnonzero(np.asarray(frame.weights) > 0)
    return any(frame.cosines[i, j] < 0 for i, j in combinations(active.tolist(), 2))


class AlignmentPanel(StackPanel):
    """Left the matrix of cosines, right the pairs and the alignment scores over the steps."""

    id = "alignment"
    title = "Conflict of the terms"
    tip = (
        "The cosines between the gradients of the loss terms over all parameters: below zero, a step that lowers one "
        "term raises the other."
    )
    explanation = Explanation(
        sentences=(
            "Left, the cosine of the gradients of every two loss terms now; right, the same over the run, and the "
            f"alignment scores with the share of the last {RECENT} frames in which two terms were in conflict.",
            "1 is the same direction, 0 a right angle, -1 the opposite; the score 'within a step' is of all terms with "
            "a weight together, 'step to step' of the whole gradient of one step and the next.",
            "Healthy are cosines around or above zero and a step-to-step score near 1.",
            "Cosines that stay below zero are terms that undo each other's progress, and a step-to-step score below "
            "zero is a step that is too large for the curvature: the path zigzags.",
            "Against conflict within a step choose a direction rule (ConFIG, PCGrad, dual cone) or another balancing; "
            "against zigzags lower the learning rate or use a second-order optimizer.",
        ),
        formulas=(
            r"\mathcal{A}(g_1, \dots, g_n) = 2 \left\| \frac{1}{n} \sum_{i=1}^{n} \frac{g_i}{\|g_i\|} \right\|^2 - 1",
            r"\cos(g_i, g_j) = \frac{g_i \cdot g_j}{\|g_i\| \|g_j\|}",
        ),
        source="Wang, Bhartari, Li & Perdikaris 2025, arXiv 2502.00604, eq. 3.1",
    )
    kinds = frozenset({"alignment"})
    over_time = frozenset({"alignment"})
    area = "bottom"
    interval = 0.3

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._order: list[str] = []
        self._shown: list[str] = []
        self._seen: dict[int, AlignmentFrame | None] = {}
        self._flags: dict[int, deque[bool]] = {}
        self.pair_box = self.chooser("The pairs of terms whose cosines are drawn over the steps.", letters=5)
        self.pair_box.activated.connect(self._redo)
        self.matrix = MatrixPlot(TITLE)
        self.pairs = SignedCurves(self.figure, quantity="cosine")
        self.scores = SignedCurves(self.figure, quantity="score, share")
        self.pairs.color = self._pair_color
        self.pairs.short = self._short
        self.scores.color = self._score_color
        self.stack = Stack(self.figure, self.chooser("What is drawn over the steps.", letters=7))
        for name, view in ((PAIRS_NAME, self.pairs), (SCORES_NAME, self.scores)):
            view.at_least(-1.0, 1.0)
            self.stack.add(name, view)
        self.stack.pointed.connect(self.pointed)
        layout = QHBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.matrix, 2)
        layout.addWidget(self.stack, 3)

    # -- what is shown -----------------------------------------------------------------------------

    def _offer(self) -> None:
        """The choices of pairs; with many terms those with the first one stand first."""
        old = self.pair_box.currentText()
        terms = self._order
        choices = [EVERY_PAIR, *(WITH + term for term in terms)]
        if [self.pair_box.itemText(i) for i in range(self.pair_box.count())] != choices:
            self.pair_box.clear()
            self.pair_box.addItems(choices)
            many = len(terms) * (len(terms) - 1) // 2 > PAIRS
            self.pair_box.setCurrentIndex(max(self.pair_box.findText(old), 0) if old and not many else int(many))
        self.pair_box.setVisible(len(terms) > 2)

    def drawn(self, first: str, second: str) -> bool:
        """Whether a pair's cosine is drawn over the steps."""
        chosen = self.pair_box.currentText()
        return not chosen.startswith(WITH) or chosen[len(WITH):] in (first, second)

    def _short(self, name: str) -> str:
        """Of the pairs with one term the other one's name."""
        chosen = self.pair_box.currentText()
        if not chosen.startswith(WITH):
            return name
        return next((term for term in name.split(" \u00b7 ") if term != chosen[len(WITH):]), name)

    def _redo(self) -> None:
        self._begin_curves()
        self.draw()

    # -- data --------------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._order = list(loss_terms(lanes)[0])
        self._offer()
        self._begin_curves()
        self._draw_matrix()

    def _begin_curves(self) -> None:
        self._seen, self._flags = {}, {}
        labels = {lane.index: lane.label for lane in self.lanes}
        for view in (self.pairs, self.scores):
            view.begin(labels, {}, (), steps_of(self.lanes))
            view.set_now(self.at)
        alone = all(len(lane.experiment.terms) < 2 for lane in self.lanes)
        self.stack.offer(() if alone else (PAIRS_NAME, SCORES_NAME),
                         "This experiment has one loss term: nothing can be in conflict with it. A second term, such "
                         "as a boundary condition, would appear here." if self.lanes else "")

    def draw(self) -> None:
        super().draw()
        for lane in self.lanes:
            frames = self.kept(lane.index, AlignmentFrame)
            fresh = [t for f in frames[-1:] for t in f.terms if t not in self._order]
            if fresh:
                self._order += fresh
                self._offer()
                self.stack.offer((PAIRS_NAME, SCORES_NAME), "")
            self._append(lane.index, frames)
        self._draw_matrix()
        waits = self.stack.draw()
        moved = [fit_legend(view) for view in (self.pairs, self.scores)]
        shown = self.stack.shown()
        self.stack.arrange()
        self.pending = waits or any(moved) or shown != self._shown  # there is other room now
        self._shown = shown

    def _append(self, lane: int, frames: Sequence[AlignmentFrame]) -> None:
        seen = self._seen.get(lane)
        if seen is not None and (not frames or frames[-1].step < seen.step):  # a run that was read anew
            self._begin_curves()
            seen = None
        flags = self._flags.setdefault(lane, deque(maxlen=RECENT))
        for frame in frames:
            if seen is not None and frame.step <= seen.step:
                continue
            flags.append(in_conflict(frame))
            self.pairs.append(lane, frame.step, {
                f"{frame.terms[i]} \u00b7 {frame.terms[j]}": float(frame.cosines[i, j])
                for i, j in combinations(range(len(frame.terms)), 2)
                if self.drawn(frame.terms[i], frame.terms[j])})
            self.scores.append(lane, frame.step, {
                WITHIN: frame.within, BETWEEN: frame.between, SHARE: sum(flags) / len(flags)})
        self._seen[lane] = frames[-1] if frames else None

    def _draw_matrix(self) -> None:
        tables = []
        for lane in self.lanes:
            heading = lane.label if len(self.lanes) > 1 else ""
            frame = self.frame(lane.index, "alignment")
            if isinstance(frame, AlignmentFrame):
                colors = tuple(self.theme.term(self._order.index(t)) if t in self._order else self.theme.text
                               for t in frame.terms)
                tables.append(Table(heading, f"step {frame.step:,}", frame.terms, colors, frame.cosines))
            else:
                why = "appears here with the first frame" if self.at is None else "no frame of this step"
                tables.append(Table(heading, "", (), (), np.empty((0, 0)), why))
        self.matrix.set_tables(tables)

    # -- looks, steps and numbers ------------------------------------------------------------------

    def _pair_color(self, name: str) -> str:
        """Of a pair with the first term the other's color, of another pair a color between the two."""
        places = [self._order.index(term) for term in name.split(" \u00b7 ") if term in self._order]
        if len(places) != 2:
            return self.theme.text
        if 0 in places:
            return self.theme.term(max(places))
        return mix(self.theme.term(places[0]), self.theme.term(places[1]), 0.5)

    def _score_color(self, name: str) -> str:
        return {WITHIN: self.theme.text, BETWEEN: self.theme.accent}.get(name, self.theme.danger)

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self.matrix.restyle(theme)
        self._draw_matrix()

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """One row for each lane, step and curve: the pairs that are drawn, and the scores."""
        labels = {lane.index: lane.label for lane in self.lanes}
        return list_of([*self.pairs.in_order(), *self.scores.in_order()], labels, "cosine or score")

    def conflicts(self, lane: int) -> float:
        """The share of the recent frames of a lane in which two terms were in conflict; NaN before the first."""
        flags = self._flags.get(lane)
        return sum(flags) / len(flags) if flags else math.nan
