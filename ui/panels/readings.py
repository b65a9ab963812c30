"""Learned numbers: what is learned beside the networks' weights, from step to step."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from studio.messages import Update
from ui.panels.optimizer import PREFIX
from ui.panels.panel import Lane, Panel, steps_of
from ui.panels.parts import part_of
from ui.plots.curves import CurveView, table_of
from ui.plots.history import Series
from ui.theme import Theme

SMALLEST = 74  # pixels that a plot without its legend is high at least
AXIS = 54  # pixels left of every plot
_LOCAL = re.compile(r"(.+) (\d+)\Z")  # 'nu 3' is the unknown nu of sub-domain 3

UNKNOWNS, SLOPES, RECOVERY, AVERAGES, OTHERS = "unknowns", "slopes", "recovery", "averages", "others"


@dataclass(frozen=True)
class Kind:
    """A plot of the panel: what stands before its curves' names, and at its axis."""

    heading: str
    quantity: str


#: The plots from top to bottom.
KINDS: Mapping[str, Kind] = {
    UNKNOWNS: Kind("", "value"),
    SLOPES: Kind("slope", "n\u00b7a"),
    RECOVERY: Kind("recovery", "S(a)"),
    AVERAGES: Kind("mean", "mean"),
    OTHERS: Kind("", "value"),
}
EMPTY = ("Here the unknowns of an inverse problem, the averages of an eigenvalue problem and the slopes of adaptive "
         "activations are drawn while they are learned. This experiment has none of them.")
LATER = "The slopes appear here with the first step."


class ReadingsPanel(Panel):
    """A plot for each kind of number, with the true values where they are known."""

    id = "readings"
    title = "Learned numbers"
    tip = (
        "Numbers that are learned beside the networks' weights: unknowns of the equations with their true values "
        "dashed, slopes n\u00b7a of adaptive activations (1 at the start), slope recovery S(a), and averages."
    )
    kinds = frozenset({"scalars"})
    area = "bottom"
    interval = 0.1

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kept: dict[tuple[int, str], Series] = {}  # the slopes of sub-domains, of which some are drawn
        self._parts: list[int] = []
        self._kind: dict[str, str] = {}  # by name, as far as it was asked for
        self.views = {kind: CurveView(self.figure, logarithmic=False, quantity=words.quantity)
                      for kind, words in KINDS.items()}
        self.empty = QLabel(EMPTY, self.figure)
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setContentsMargins(30, 12, 30, 12)
        column = QVBoxLayout(self.figure)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for kind, view in self.views.items():
            view.legend.set_heading(KINDS[kind].heading)
            view.plot.set_left(AXIS)
            view.plot.zoomed.connect(lambda kind=kind: self._zoomed(kind))
            view.plot.pointed.connect(self.pointed)
            column.addWidget(view, 1)
        column.addWidget(self.empty, 1)
        self.part_box = self.chooser("The sub-domain whose slopes are shown, or the mean of each.", letters=7)
        self.part_box.activated.connect(self._part_chosen)
        self.kind_box = self.chooser("The kind of numbers that is shown.", letters=7)
        self.kind_box.activated.connect(self._kind_chosen)
        self._arrange()

    # -- what the experiment has -------------------------------------------------------------------

    def wanted(self, lanes: Sequence[Lane]) -> bool:
        """Where there is something to see: unknowns, readings, averages or slopes."""
        return any(lane.experiment.problem.unknowns or lane.experiment.problem.readings
                   or lane.experiment.problem.averages or lane.experiment.network.slopes != "none" for lane in lanes)

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._kept, self._parts, self._kind = {}, [], {}
        for box in (self.part_box, self.kind_box):
            box.clear()
            box.hide()
        labels = {lane.index: lane.label for lane in lanes}
        for kind, view in self.views.items():
            own = {lane.index: self.names(kind, [lane]) for lane in lanes}
            view.begin(labels, own, self.names(kind, lanes), steps_of(lanes))
        self._head_unknowns()
        self.views[UNKNOWNS].set_marks(self._truths())
        self.empty.setText(LATER if self.wanted(lanes) else EMPTY)
        self._arrange()

    @staticmethod
    def names(kind: str, lanes: Sequence[Lane]) -> list[str]:
        """What is known before the run: unknowns, readings and averages by name. Slopes come with the first frame."""
        out: list[str] = []
        for lane in lanes:
            problem, cut = lane.experiment.problem, lane.experiment.decomposition
            if kind == AVERAGES:
                out += problem.averages
            elif kind == UNKNOWNS:
                count = math.prod(len(cuts) + 1 for cuts in cut.splits.values())
                for name in problem.unknowns:
                    local = bool(cut.splits) and name in cut.local
                    out += [f"{name} {number + 1}" for number in range(count)] if local else [name]
                out += problem.readings
        return list(dict.fromkeys(out))

    def _head_unknowns(self) -> None:
        """Where all unknowns are those of one name in many sub-domains, the name stands once before the numbers."""
        view = self.views[UNKNOWNS]
        matches = [_LOCAL.match(name) for name in view.names_drawn]
        heads = {match[1] if match else "" for match in matches}
        head = heads.pop() if len(heads) == 1 else ""
        view.legend.set_heading(head)
        view.short = (lambda name: name.removeprefix(f"{head} ")) if head else str
        view.dress()

    def _truths(self) -> list[tuple[str, float, str]]:
        truths: dict[str, float] = {}
        for lane in self.lanes:
            truths |= lane.experiment.problem.truth
        return [(f"true {name}", value, name) for name, value in truths.items()]

    def kind_of(self, name: str) -> str:
        """The plot that a number belongs to."""
        if name not in self._kind:
            self._kind[name] = self._find_kind(part_of(name)[1])
        return self._kind[name]

    def _find_kind(self, name: str) -> str:
        if name == "S(a)":
            return RECOVERY
        if name == "slope" or name.startswith("slope "):
            return SLOPES
        local = _LOCAL.match(name)
        for lane in self.lanes:
            problem = lane.experiment.problem
            if name in problem.averages:
                return AVERAGES
            if {name, local[1] if local else name} & {*problem.unknowns, *problem.readings}:
                return UNKNOWNS
        return OTHERS

    # -- data --------------------------------------------------------------------------------------

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        for frame in update.scalars:
            split: dict[str, dict[str, float]] = {}
            slopes: dict[str, float] = {}
            for name, value in frame.readings.items():
                if name.startswith(PREFIX):
                    continue  # those have a panel of their own
                kind = self.kind_of(name)
                if kind == SLOPES and part_of(name)[0]:
                    slopes[name] = value
                    self._kept.setdefault((lane, name), Series()).append(frame.step, value)
                else:
                    split.setdefault(kind, {})[_shown(name)] = value
            if slopes:
                self._offer_parts(slopes)
                split[SLOPES] = self._chosen_slopes(slopes)
            for kind, values in split.items():
                self.views[kind].append(lane, frame.step, values)

    def draw(self) -> None:
        super().draw()
        self._arrange()
        for kind in self.shown():
            self.pending |= self.views[kind].draw()

    def set_now(self, step: float | None) -> None:
        for view in self.views.values():
            view.set_now(step)

    def set_cursor(self, step: float | None) -> None:
        for view in self.views.values():
            view.plot.set_cursor(step)

    # -- sub-domains -------------------------------------------------------------------------------

    def _offer_parts(self, slopes: Mapping[str, float]) -> None:
        parts = list(dict.fromkeys(part_of(name)[0] for name in slopes))
        if parts == self._parts:
            return
        self._parts = parts
        with QSignalBlocker(self.part_box):
            self.part_box.clear()
            self.part_box.addItem("mean of each sub-domain")
            self.part_box.addItems([f"sub-domain {number}" for number in parts])

    def _chosen_slopes(self, slopes: Mapping[str, float]) -> dict[str, float]:
        """The mean slope of each sub-domain, or the slopes of the one that was chosen."""
        chosen = self.part_box.currentIndex()
        if chosen > 0:
            wanted = self._parts[chosen - 1]
            return {_shown(part_of(name)[1]): value for name, value in slopes.items() if part_of(name)[0] == wanted}
        groups: dict[int, list[float]] = {}
        for name, value in slopes.items():
            groups.setdefault(part_of(name)[0], []).append(value)
        return {str(number): sum(values) / len(values) for number, values in groups.items()}

    def _part_chosen(self) -> None:
        """Other slopes: their curves are made anew from everything that was kept."""
        view = self.views[SLOPES]
        view.begin({lane.index: lane.label for lane in self.lanes}, {}, (), steps_of(self.lanes))
        for lane in self.lanes:
            own = {name: series for (index, name), series in self._kept.items() if index == lane.index}
            for place, step in enumerate(next(iter(own.values())).steps.tolist() if own else ()):
                values = {name: float(series.values[place]) for name, series in own.items() if len(series) > place}
                view.append(lane.index, step, self._chosen_slopes(values))
        view.draw_all()

    # -- what is in sight --------------------------------------------------------------------------

    def filled(self) -> list[str]:
        """The kinds that have curves."""
        return [kind for kind, view in self.views.items() if view.curves]

    def shown(self) -> list[str]:
        """The kind that was chosen, or as many as there is room for, the most important first."""
        filled, chosen = self.filled(), self.kind_box.currentIndex()
        if chosen > 0 and self.kind_box.itemText(chosen) in filled:
            return [self.kind_box.itemText(chosen)]
        out: list[str] = []
        room = self.figure.height() - 34
        for kind in filled:
            room -= self.views[kind].legend.height() + SMALLEST
            if out and room < 0:
                break
            out.append(kind)
        return out

    def _arrange(self) -> None:
        """Show the plots; the lowest of them has the steps."""
        filled = self.filled()
        if len(filled) > 1 and self.kind_box.count() != len(filled) + 1:
            chosen = self.kind_box.currentText()
            with QSignalBlocker(self.kind_box):
                self.kind_box.clear()
                self.kind_box.addItems(["everything", *filled])
                self.kind_box.setCurrentIndex(max(0, self.kind_box.findText(chosen)))
        shown = self.shown()
        if self.kind_box.count():
            whole = len(shown) == len(filled) or self.kind_box.currentIndex() > 0
            with QSignalBlocker(self.kind_box):
                self.kind_box.setItemText(0, "everything" if whole else f"{', '.join(shown)} \u2026")
        self.kind_box.setVisible(len(filled) > 1)
        self.part_box.setVisible(bool(self._parts) and SLOPES in shown)
        for kind, view in self.views.items():
            if view.isHidden() is (kind in shown):
                view.setVisible(kind in shown)
                view.draw_all()
            view.plot.show_steps(bool(shown) and kind == shown[-1])
        if self.empty.isHidden() is not bool(filled):
            self.empty.setVisible(not filled)

    def _kind_chosen(self) -> None:
        self._arrange()
        self.draw()

    def _zoomed(self, kind: str) -> None:
        """The plots share their steps: what is chosen in one holds in all."""
        source = self.views[kind].plot
        for view in self.views.values():
            if view.plot is not source:
                view.plot.follow(source)
                view.draw_all()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self._arrange()

    # -- looks and numbers -------------------------------------------------------------------------

    def set_quality(self, *, fine: bool) -> None:
        for view in self.views.values():
            view.running = not fine
            view.dress()

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        for view in self.views.values():
            view.restyle(theme)
        self.empty.setStyleSheet(f"color: {theme.muted};")

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """All numbers, one row for each step."""
        labels = {lane.index: lane.label for lane in self.lanes}
        prefixed = {SLOPES: "slope ", RECOVERY: "recovery "}
        columns: list[str] = []
        curves = []
        for kind in self.filled():
            own = self.views[kind].in_order()
            curves += own
            columns += [f"{labels.get(c.lane, '')} {prefixed.get(kind, '')}{c.name}".strip() for c in own]
        return ["step", *columns], table_of(curves, labels)[1]


def _shown(name: str) -> str:
    """The name in its plot, whose heading says what kind of number it is."""
    number, base = part_of(name)
    if base == "S(a)":
        return str(number) if number else base
    if base == "slope":
        return "all layers"
    return base.removeprefix("slope ")
