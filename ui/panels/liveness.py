"""Is everything moving? One row for every group of numbers that training should change."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from core.frames import LivenessFrame
from ui.panels.panel import Explanation, Lane, Panel
from ui.plots.sentence import Sentence
from ui.plots.table import Column, Item, Table
from ui.plots.ticks import number
from ui.theme import Theme

#: By state: a sign, the color's name in the theme, and what it means. The gravest first.
STATES: dict[str, tuple[str, str, str]] = {
    "not finite": ("\u2715", "danger", "it holds NaN or infinity, and everything that uses it is lost"),
    "not trained": ("\u2715", "danger", "it has a gradient, yet the steps leave it exactly as it is"),
    "no gradient": ("\u25cb", "danger", "its gradient is exactly zero: nothing in the loss depends on it"),
    "out of range": ("\u25b2", "warning", "it has grown beyond anything a healthy run has"),
    "still": ("\u2013", "warning", "it changes by less than one part in ten million from one look to the next"),
    "moves": ("\u2713", "good", "steps change it"),
}
COLUMNS = (
    Column("group", "A weight matrix, a bias, slopes, an unknown, or the weight of a loss term that a rule balances.",
           numeric=False),
    Column("state", "What became of it since the last look.", numeric=False),
    Column("values", "How many numbers it holds."),
    Column("rms", "Root mean square of its values."),
    Column("moved", "Norm of the change since the last look, over the norm of the values."),
    Column("since start", "Norm of the change since the first look, over the norm of the values."),
    Column("gradient", "Norm of the gradient of the weighted loss; empty for what has none, as a loss term's weight."),
)
LATER = "Appears here with the first frame."
SAID = 3  # groups at most that a sentence names


class LivenessPanel(Panel):
    """A table of all groups, those in trouble on top, and one sentence that says it."""

    id = "liveness"
    title = "Is everything moving?"
    tip = ("Every group of numbers that training should change, and whether it does: a slope or a loss weight that "
           "never trains raises no error anywhere, it only makes the result worse.")
    explanation = Explanation(
        sentences=(
            "One row for every weight matrix, bias, slope, unknown and balanced loss weight: how large it is, how far "
            "it has moved since the last look and since the start, and its gradient.",
            "Moved is relative: 1e-3 is a change of a thousandth of the values' norm; rows in trouble stand on top.",
            "Healthy is that all groups move, each by 1e-5 to 1e-2 from look to look, less when the learning rate "
            "decays.",
            "Ill is 'not trained' (a gradient, but no change: the optimizer does not have it), 'no gradient' (no loss "
            "term depends on it), 'still', 'out of range' and 'not finite'.",
            "For what is not trained or has no gradient look at how the network and the loss are put together; for "
            "what is out of range or not finite lower the learning rate or the scale n of the slopes.",
        ),
        formulas=(r"\mathrm{moved} = \frac{\left\| \theta_{k} - \theta_{k-1} \right\|}{\left\| \theta_{k} \right\|}",
                  r"\mathrm{rms} = \sqrt{\frac{1}{P} \sum_{i=1}^{P} \theta_i^2}"),
        source="No paper: silent non-training is the commonest fault of published implementations, such as lists of "
               "adaptive slopes that are not registered as parameters (Jagtap et al. 2020 define what should train).",
    )
    kinds = frozenset({"liveness"})
    area = "right"
    interval = 0.5

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sentence = Sentence(self.figure)
        self.grid = Table(COLUMNS, self.figure, name="Groups of learned numbers")
        self.grid.sortByColumn(1, Qt.SortOrder.AscendingOrder)
        self.grid.hide()
        self.empty = QLabel(LATER, self.figure)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.sentence)
        layout.addWidget(self.grid, 1)
        layout.addWidget(self.empty, 1)
        self.lane_box = self.chooser("The run whose groups are shown.", letters=6)
        self.lane_box.activated.connect(self._lane_chosen)

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        with QSignalBlocker(self.lane_box):
            self.lane_box.clear()
            self.lane_box.addItems([lane.label or str(lane.index + 1) for lane in lanes])
        self.lane_box.setVisible(len(lanes) > 1)
        self._show(None)

    @property
    def lane(self) -> int:
        """The lane that is shown."""
        place = max(0, self.lane_box.currentIndex())
        return self.lanes[place].index if place < len(self.lanes) else 0

    def _lane_chosen(self) -> None:
        self.draw()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self.pending = True  # there is room for more or fewer sentences

    def draw(self) -> None:
        super().draw()
        frame = self.frame(self.lane, "liveness")
        self._show(frame if isinstance(frame, LivenessFrame) else None)

    def _show(self, frame: LivenessFrame | None) -> None:
        self.grid.setVisible(frame is not None)
        self.empty.setVisible(frame is None)
        if frame is None:
            self.sentence.set_text("")
            self.grid.set_rows([])
            return
        self.sentence.set_text(self.finding(max(1, self.figure.height() // 130)))
        self.sentence.setToolTip(self.finding())
        self.grid.set_rows(self._rows(frame))

    def _rows(self, frame: LivenessFrame) -> list[list[Item]]:
        rows = []
        gravity = list(STATES)
        for place, name in enumerate(frame.names):
            state = frame.state[place]
            sign, color, meaning = STATES.get(state, ("?", "warning", "an unknown state"))
            grave = gravity.index(state) if state in gravity else 0
            numbers = [float(column[place]) for column in (frame.size, frame.moved, frame.since_start, frame.gradient)]
            rows.append([
                Item(name, name, tip=f"{name}: {meaning}."),
                # sorted by gravity, and as the network has them within
                Item(f"{sign} {state}", 1e6 * grave + place, str(getattr(self.theme, color)), f"{meaning}."),
                Item(f"{int(frame.sizes[place]):,}", float(frame.sizes[place])),
                *(Item(_text(value, state), value) for value in numbers),
            ])
        return rows

    # -- words -------------------------------------------------------------------------------------

    def finding(self, most: int = len(STATES)) -> str:
        """At most so many sentences on the lane that is shown, as rich text; '' without a frame."""
        frame = self.frame(self.lane, "liveness")
        if not isinstance(frame, LivenessFrame):
            return ""
        ill = [(state, [name for name, own in zip(frame.names, frame.state, strict=True) if own == state])
               for state in STATES if state != "moves"]
        ill = [(state, names) for state, names in ill if names]
        if not ill:
            count = len(frame.names)
            words = "The one group moves." if count == 1 else f"All {count} groups move."
            return f"<span style='color:{self.theme.good}'><b>\u2713</b></span> {words}"
        rest = sum(len(names) for _, names in ill[most:])
        more = f" {rest} more {'group is' if rest == 1 else 'groups are'} in trouble." if rest else ""
        return " ".join(self._sentence(state, names) for state, names in ill[:most]) + more

    def _sentence(self, state: str, names: list[str]) -> str:
        sign, color, meaning = STATES[state]
        who = html.escape(", ".join(names[:SAID]))
        more = f" and {len(names) - SAID} more" if len(names) > SAID else ""
        verb = {"no gradient": "has" if len(names) == 1 else "have"}.get(state, "is" if len(names) == 1 else "are")
        if len(names) > 1:
            meaning = (meaning.replace("it has", "they have").replace("it holds", "they hold")
                       .replace("it changes", "they change").replace("leave it exactly as it is",
                                                                     "leave them exactly as they are")
                       .replace("its gradient is", "their gradients are").replace("depends on it", "depends on them")
                       .replace("that uses it", "that uses them"))
        tint = getattr(self.theme, color)
        return (f"<span style='color:{tint}'><b>{sign}</b></span> <b>{who}</b>{more} {verb} "
                f"<b style='color:{tint}'>{state}</b>: {meaning}.")

    # -- looks and numbers -------------------------------------------------------------------------

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self.grid.restyle(theme)
        self.sentence.restyle(theme)
        self.empty.setStyleSheet(f"color: {theme.muted};")
        self.draw()

    def save_png(self, path: Path | str, width: int = 0, height: int = 0) -> None:
        with self._unrolled():
            super().save_png(path, width, height)

    def save_svg(self, path: Path | str) -> None:
        with self._unrolled():
            super().save_svg(path)

    @contextmanager
    def _unrolled(self) -> Iterator[None]:
        """With every row and column in sight, also those that have to be scrolled to."""
        self._before_saving()
        before = self.figure.size()
        if not self.grid.isHidden():
            rows = self.grid.verticalHeader().length() + self.grid.horizontalHeader().height() + 8
            width = max(before.width(), self.grid.horizontalHeader().length() + 8)
            self.figure.resize(width, max(before.height(), self.sentence.height() + rows))
        try:
            yield
        finally:
            self.figure.resize(before)

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """The rows in the order on the screen."""
        frame = self.frame(self.lane, "liveness")
        columns = ["group", "state", "values", "rms", "moved since last look", "moved since start", "gradient norm"]
        if not isinstance(frame, LivenessFrame):
            return columns, []
        states = dict(zip(frame.names, frame.state, strict=True))
        return columns, [[row[0], states.get(str(row[0]), ""), *row[2:]] for row in self.grid.values()]


def _text(value: float, state: str) -> str:
    if value != value and state != "not finite":
        return "\u2013"  # there is nothing to compare with, or it has none
    return number(value)
