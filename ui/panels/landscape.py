"""The loss on a plane through the present parameters, computed when a person asks for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QVBoxLayout, QWidget

from core.frames import LandscapeFrame
from studio.messages import Update
from ui.panels.demand import DemandBar
from ui.panels.panel import Explanation, Lane, Panel
from ui.panels.rows import TOTAL, Rows
from ui.plots.landscape import Plane, PlaneMaps
from ui.theme import Theme

#: What the list of the button offers, and what is asked for.
DIRECTIONS = (
    ("along the gradient and a random direction", {"directions": "gradient-random"}),
    ("along the two stiffest directions", {"directions": "hessian"}),
)
EMPTY = "Nothing is computed yet. Press Compute and choose the directions; the training waits for it."


class LandscapePanel(Panel):
    """A map of the logarithm of the loss, of the total or of one term; two lanes side by side in the same colors."""

    id = "landscape"
    title = "Loss landscape"
    tip = (
        "The loss on a plane through the present parameters, along its gradient and a random direction or along the "
        "two stiffest directions. Computed when you press the button."
    )
    explanation = Explanation(
        sentences=(
            "Colors are the logarithm of the loss at theta + a d1 + b d2; the ring in the middle is where training "
            "stands, a and b are parts of the length of theta.",
            "The random direction is scaled neuron by neuron to the weights, so that networks of different scales "
            "can be compared; the eigenvectors are those of the two largest eigenvalues of the Hessian.",
            "Healthy: a wide basin with round contour lines about the ring.",
            "Ill: a narrow gorge, contour lines close together across it and far apart along it: a step that is short "
            "enough for the walls gets nowhere along the floor. Compare the terms: where one has its gorge and "
            "another its slope, they are at odds.",
            "It is a cut of two dimensions among thousands, drawn from the points of one step: use it to compare "
            "settings, not to prove that there is no way down.",
        ),
        formulas=(
            r"\mathcal{L}(a, b) = \mathcal{L}(\theta + a\, d_1 + b\, d_2), \quad |d_1| = |d_2| = |\theta|",
        ),
        source="Li, Xu, Taylor, Studer & Goldstein 2018, section 4 (filter normalisation); for PINNs: Krishnapriyan "
               "et al. 2021",
    )
    kinds = frozenset({"landscape"})
    area = "bottom"
    interval = 0.5

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = Rows()
        self._planes: dict[int, tuple[LandscapeFrame, str, Plane]] = {}
        self.maps = PlaneMaps()
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.maps)
        self.term_box = self.chooser("The loss that is drawn.", letters=5)
        self.term_box.activated.connect(lambda _: self.draw())
        self.demand = DemandBar("Compute the losses on a plane, once, at the present step.", self.header, DIRECTIONS)
        self.demand.asked.connect(lambda lane, wanted: self.command.emit(lane, "demand", ("landscape", wanted)))
        self.demand.stopped.connect(lambda lane: self.command.emit(lane, "demand", ("stop", {})))
        self.tools.addWidget(self.demand)

    # -- data --------------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._rows.begin(lanes)
        self._planes = {}
        self._offer([])
        self.demand.begin(lanes)
        self.draw()
        self.pending = True

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        self.demand.set_status(lane, update.status)

    def shown(self) -> dict[int, LandscapeFrame]:
        """The plane of each lane that is drawn."""
        found = {lane.index: self.frame(lane.index, "landscape") for lane in self.lanes}
        return {index: frame for index, frame in found.items() if isinstance(frame, LandscapeFrame)}

    def _offer(self, names: list[str]) -> None:
        """The losses to choose from, the total first; a choice among the same ones stays."""
        names = sorted(names, key=lambda name: name != TOTAL)
        if names == [self.term_box.itemText(i) for i in range(self.term_box.count())]:
            return
        chosen = self.term_box.currentText()
        with QSignalBlocker(self.term_box):
            self.term_box.clear()
            self.term_box.addItems(names)
            self.term_box.setCurrentIndex(max(0, self.term_box.findText(chosen)))
        self.term_box.setVisible(len(names) > 1)

    def draw(self) -> None:
        super().draw()
        frames = self.shown()
        names = list(dict.fromkeys(name for frame in frames.values() for name in frame.losses))
        self._rows.see(names)
        self._offer(names)
        term = self.term_box.currentText()
        planes = [self._plane(lane, frames.get(lane.index), term) for lane in self.lanes]
        exponents = [plane.exponents for plane in planes if plane.exponents is not None]
        good = np.concatenate([e[np.isfinite(e)] for e in exponents]) if exponents else np.empty(0)
        low, high = (float(good.min()), float(good.max())) if len(good) else (-1.0, 1.0)
        if high - low < 0.02:  # the same everywhere
            low, high = low - 0.5, high + 0.5
        if (low, high) != (self.maps.low, self.maps.high):
            for plane in planes:
                plane.image = plane.lines = None
        quantity = "loss, weighted total" if term == TOTAL else f"loss {term}, before its weight"
        self.maps.set_planes(planes, low, high, quantity)

    def _plane(self, lane: Lane, frame: LandscapeFrame | None, term: str) -> Plane:
        label = lane.label if len(self.lanes) > 1 else ""
        if frame is None:
            return Plane(label, empty=EMPTY)
        kept = self._planes.get(lane.index)
        if kept is not None and kept[0] is frame and kept[1] == term:
            return kept[2]
        exponents = None
        if term in frame.losses:
            with np.errstate(divide="ignore", invalid="ignore"):
                exponents = np.log10(np.asarray(frame.losses[term], np.float64))
            exponents[~np.isfinite(exponents)] = np.nan
        colors = {name: self._rows.color(self.theme, name) for name in frame.losses}
        plane = Plane(label, f"step {frame.step:,}", f"This run has no term '{term}'.", frame.directions, frame.axes,
                      exponents, frame.losses, colors)
        self._planes[lane.index] = frame, term, plane
        return plane

    # -- looks and numbers -------------------------------------------------------------------------

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self._planes = {}
        self.maps.restyle(theme)
        self.demand.restyle(theme)
        self.draw()

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """One row for each point of the planes: a, b and every loss."""
        frames = self.shown()
        names = list(dict.fromkeys(name for frame in frames.values() for name in frame.losses))
        rows: list[list[float | str]] = []
        for lane in self.lanes:
            frame = frames.get(lane.index)
            if frame is None:
                continue
            for i, a in enumerate(frame.axes[0].tolist()):
                for j, b in enumerate(frame.axes[1].tolist()):
                    values = [float(frame.losses[name][i, j]) if name in frame.losses else math.nan for name in names]
                    rows.append([lane.label, frame.step, a, b, *values])
        return ["lane", "step", "a of |theta|", "b of |theta|", *names], rows
