"""The spectrum of the Hessians, computed when a person asks for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QToolButton, QVBoxLayout, QWidget

from core.frames import Array, SpectrumFrame
from studio.messages import Update
from ui.panels.demand import DemandBar
from ui.panels.panel import Explanation, Lane, Panel
from ui.panels.rows import TOTAL, Rows
from ui.plots.charts import Chart, Charts, Trace
from ui.plots.scales import Scale
from ui.plots.ticks import number
from ui.theme import Theme, mix

#: Share of a spectrum's largest |eigenvalue| below which what is left is rounding of the products, by precision.
ROUNDING = {"float32": 1e-6, "float64": 1e-14}
#: The same for a quadrature, whose 80 steps tell the eigenvalues about zero no closer than that from each other.
RESOLUTION = 1e-3
DECADES, COARSE = 5, 3  # shown on either side of zero beyond the linear part: of all eigenvalues, of a quadrature
BINS = 90
FLOOR = 0.1  # eigenvalues in a bin; the density is not drawn below
KEPT = 8  # spectra of each run that are remembered for comparison
ASCENDING, DENSITY = "ascending", "density"
COLUMNS = ("largest", "smallest", "negative", "condition")
EMPTY = "Nothing is computed yet. Press Compute: it takes seconds to minutes, and the training waits for it."


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is said of one spectrum. Eigenvalues within +-floor of zero count as zero."""

    largest: float
    smallest: float
    negative: float  # share of the eigenvalues below -floor
    condition: float  # largest over smallest positive one above the floor; NaN where none is positive
    lower_bound: bool  # some are lost below the floor: the condition is at least this


def numbers_of(values: Array, weights: Array, rounding: float) -> Numbers:
    """The numbers of eigenvalues (ascending) with weights of sum 1. NaN where one is not finite or there are none.

    rounding: the floor as a share of the largest |eigenvalue|.
    """
    if not len(values) or not np.isfinite(values).all():
        return Numbers(math.nan, math.nan, math.nan, math.nan, False)
    floor = rounding * float(np.abs(values).max())
    above = values[values > floor]
    condition = float(above[-1] / above[0]) if len(above) else math.nan
    hidden = bool((np.abs(values) <= floor).any())
    return Numbers(float(values[-1]), float(values[0]), float(weights[values < -floor].sum()), condition, hidden)


def _said(found: Numbers, *, full: bool) -> tuple[str, str, str, str]:
    """A row of the table. The condition is not told from a quadrature: it does not see the smallest eigenvalues."""
    if math.isnan(found.largest):
        return "not finite", "", "", ""
    condition = ("\u2265 " if found.lower_bound else "") + number(found.condition)
    if not (full and math.isfinite(found.condition)):
        condition = "none positive" if full else "not known"
    return number(found.largest), number(found.smallest), f"{100 * found.negative:.3g} %", condition


class SpectrumPanel(Panel):
    """All eigenvalues of the total and of each term, or their density; two lanes side by side on the same axes."""

    id = "spectrum"
    title = "Hessian spectrum"
    tip = (
        "All eigenvalues of the Hessian of the loss and of each of its terms: many decades between the largest and "
        "the rest are what makes training stiff. Computed when you press the button."
    )
    explanation = Explanation(
        sentences=(
            "The eigenvalues of each Hessian over all parameters, in ascending order, on an axis that is linear about "
            "zero and logarithmic beyond the threshold that it states; or how many lie where.",
            "For large networks it is an estimate by stochastic Lanczos quadrature: its extremes and the density are "
            "good, but it does not see how small the smallest are, so it tells no condition number.",
            "Healthy: the terms' spectra reach about the same height, and few eigenvalues are negative.",
            "Ill: the residual's reach many decades above the conditions', so a rate that is safe for it is far too "
            "small for them; many negative ones mean that the network is still at a saddle.",
            "Compare after a change of weights, architecture or rate: the spectrum before stays faint behind the new "
            "one, and a smaller largest eigenvalue allows a larger rate.",
        ),
        formulas=(
            r"\nabla^2_\theta \mathcal{L} = \sum_i w_i \nabla^2_\theta \mathcal{L}_i",
            r"\mathrm{symlog}(\mu) = \mathrm{sign}(\mu)\, \log_{10}\left(1 + \frac{|\mu|}{\mu_0}\right)",
        ),
        source="Wang, Teng & Perdikaris 2021, Fig. 5 (SIAM), Fig. 4a (arXiv); quadrature: Ghorbani, Krishnan & Xiao "
               "2019",
    )
    kinds = frozenset({"spectrum"})
    area = "bottom"
    interval = 0.5

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = Rows()
        self._hidden: set[str] = set()  # by a person
        self._offered: list[str] = []
        self._known: dict[int, dict[int, SpectrumFrame]] = {}  # by lane and step
        self.charts = Charts()
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.charts)
        self.kind = ""  # of picture, by a person
        self.show_button = QToolButton(self.header)
        self.show_button.setText("show")
        self.show_button.setToolTip("Choose the kind of picture, and the Hessians that are drawn.")
        self.show_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.show_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.show_button.setMenu(QMenu(self.show_button))
        self.show_button.menu().triggered.connect(self._toggled)
        self.show_button.hide()
        self.tools.addWidget(self.show_button)
        self.demand = DemandBar("Compute all eigenvalues of the total and of each term, once, at the present step.",
                                self.header)
        self.demand.asked.connect(lambda lane, wanted: self.command.emit(lane, "demand", ("spectrum", wanted)))
        self.demand.stopped.connect(lambda lane: self.command.emit(lane, "demand", ("stop", {})))
        self.tools.addWidget(self.demand)

    # -- what is shown -----------------------------------------------------------------------------

    def shown_as(self) -> str:
        """ASCENDING or DENSITY: what was chosen, else what suits the spectra that there are."""
        frames = self.shown()
        return self.kind or (ASCENDING if all(frame.full for frame in frames.values()) else DENSITY)

    def set_kind(self, kind: str) -> None:
        """Draw eigenvalues in ascending order, or their density."""
        self.kind = kind
        self.draw()

    def _offer(self, names: list[str]) -> None:
        """The list of the button, anew where there is something else to choose from."""
        wanted = [self.shown_as(), *names]
        if wanted == self._offered:
            return
        self._offered = wanted
        menu = self.show_button.menu()
        menu.clear()
        for kind in (ASCENDING, DENSITY):
            action = menu.addAction({ASCENDING: "in ascending order", DENSITY: "how many lie where"}[kind])
            action.setData(kind)
            action.setCheckable(True)
            action.setChecked(kind == wanted[0])
        menu.addSeparator()
        for name in names:
            action = menu.addAction(name)
            action.setCheckable(True)
            action.setChecked(name not in self._hidden)
        self.show_button.setVisible(bool(names))

    def _toggled(self, action: QAction) -> None:
        if action.data():
            action.setChecked(True)
            self._offered = []
            self.set_kind(str(action.data()))
        else:
            (self._hidden.discard if action.isChecked() else self._hidden.add)(action.text())
            self.draw()

    # -- data --------------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._rows.begin(lanes)
        self._known = {lane.index: {} for lane in lanes}
        self.kind = ""
        self._offer([])
        self.demand.begin(lanes)
        self.draw()
        self.pending = True

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        self.demand.set_status(lane, update.status)
        frame = update.frames.get("spectrum")
        if isinstance(frame, SpectrumFrame) and lane in self._known:
            kept = self._known[lane]
            kept[frame.step] = frame
            for step in sorted(kept)[:-KEPT]:
                del kept[step]

    def shown(self) -> dict[int, SpectrumFrame]:
        """The spectrum of each lane that is drawn."""
        found = {lane.index: self.frame(lane.index, "spectrum") for lane in self.lanes}
        return {index: frame for index, frame in found.items() if isinstance(frame, SpectrumFrame)}

    def before(self, lane: int, step: int) -> SpectrumFrame | None:
        """The spectrum of the nearest earlier step that was computed; None where there is none."""
        earlier = [known for known in self._known.get(lane, {}) if known < step]
        return self._known[lane][max(earlier)] if earlier else None

    @staticmethod
    def _rounding(lane: Lane, frame: SpectrumFrame) -> float:
        """Below which share of the largest |eigenvalue| one counts as zero."""
        if not frame.full:
            return RESOLUTION
        training = getattr(lane.experiment, "training", None)
        return ROUNDING.get(getattr(training, "precision", "float32"), ROUNDING["float32"])

    # -- drawing -----------------------------------------------------------------------------------

    def draw(self) -> None:
        super().draw()
        frames = self.shown()
        names = list(dict.fromkeys(name for frame in frames.values() for name in frame.eigenvalues))
        self._rows.see(names)
        names.sort(key=lambda name: name == TOTAL)  # the total last: it lies over its greatest term
        self._offer(names)
        drawn = [name for name in names if name not in self._hidden]
        dense = self.shown_as() == DENSITY
        eigenvalues = self._scale(frames, drawn)
        charts = [self._chart(lane, frames.get(lane.index), drawn, eigenvalues, dense) for lane in self.lanes]
        stated = f"linear within \u00b1{number(eigenvalues.threshold)}"
        if dense:
            most = max((float(np.nanmax(t.y)) for chart in charts for t in chart.traces if len(t.y)), default=1.0)
            counts = Scale("log", FLOOR, max(10.0, 2 * most))
            self.charts.set_charts(charts, eigenvalues, counts, COLUMNS,
                                   (f"eigenvalue ({stated}, logarithmic beyond)", f"eigenvalue ({stated})",
                                    "eigenvalue"),
                                   (f"eigenvalues in a bin, from {FLOOR:g} on", "eigenvalues in a bin", "in a bin"))
        else:
            size = max((frame.parameters for frame in frames.values()), default=1)
            self.charts.set_charts(charts, Scale("linear", 0.0, float(max(size, 2))), eigenvalues, COLUMNS,
                                   ("index, ascending", "index"),
                                   (f"eigenvalue ({stated}, logarithmic beyond)", f"eigenvalue ({stated})",
                                    "eigenvalue"))

    def _scale(self, frames: dict[int, SpectrumFrame], drawn: list[str]) -> Scale:
        """The symmetric-logarithmic scale of the eigenvalues of all lanes, also of those before."""
        both = [*frames.values(), *(old for lane, frame in frames.items() if (old := self.before(lane, frame.step)))]
        parts = [frame.eigenvalues[name] for frame in both for name in drawn if name in frame.eigenvalues]
        values = np.concatenate([np.asarray(part, np.float64) for part in parts]) if parts else np.empty(0)
        values = values[np.isfinite(values)]
        biggest = float(np.abs(values).max()) if len(values) else 0.0
        if biggest == 0:
            return Scale("symlog", -1.0, 1.0, 0.1)
        decades = DECADES if all(frame.full for frame in frames.values()) else COARSE
        threshold = 10.0 ** (math.ceil(math.log10(biggest)) - decades)
        low, high = float(values.min()), float(values.max())
        return Scale("symlog", min(1.6 * low, -threshold), max(1.6 * high, threshold), threshold)

    def _chart(self, lane: Lane, frame: SpectrumFrame | None, drawn: list[str], scale: Scale, dense: bool) -> Chart:
        label = lane.label if len(self.lanes) > 1 else ""
        if frame is None:
            return Chart(label, empty=EMPTY)
        old = self.before(lane.index, frame.step)
        note = f"step {frame.step:,}" + (f" (faint: {old.step:,})" if old else "")
        note += f", {frame.parameters:,} parameters" + ("" if frame.full else ", estimated")
        note += f"; zero: within {number(self._rounding(lane, frame))} of the largest"
        chart = Chart(label, note, "Its eigenvalues are not finite numbers, or none is chosen.")
        for name in drawn:
            for one, faint in ((old, True), (frame, False)):
                if one is None or name not in one.eigenvalues:
                    continue
                values = np.asarray(one.eigenvalues[name], np.float64)
                weights = np.asarray(one.weights[name], np.float64)
                color = self._rows.color(self.theme, name)
                x, y = self._points(values, weights, one, scale, dense)
                chart.traces.append(Trace(
                    name, x, y, mix(color, self.theme.plot, 0.35) if faint else color, faint=faint,
                    numbers=() if faint else _said(numbers_of(values, weights, self._rounding(lane, one)),
                                                   full=one.full),
                ))
        return chart

    @staticmethod
    def _points(values: Array, weights: Array, frame: SpectrumFrame, scale: Scale, dense: bool) -> tuple[Array, Array]:
        """x and y of a spectrum: places and eigenvalues, or bins and how many lie in them."""
        good = np.isfinite(values)
        values, weights = values[good], weights[good]
        if dense:
            edges = scale.edges(BINS)
            counts = np.histogram(values, edges, weights=weights)[0] * frame.parameters
            return edges, np.maximum(counts, FLOOR * 0.5)
        if frame.full:
            return np.arange(1, len(values) + 1, dtype=np.float64), values
        return frame.parameters * (np.cumsum(weights) - weights / 2), values  # the middle of each node's share

    # -- looks and numbers -------------------------------------------------------------------------

    def set_quality(self, *, fine: bool) -> None:
        self.charts.fine = fine
        self.charts.update()

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self.charts.restyle(theme)
        self.demand.restyle(theme)
        self.draw()

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """Every eigenvalue, or node of the quadrature, with its weight."""
        rows: list[list[float | str]] = []
        frames = self.shown()
        for lane in self.lanes:
            frame = frames.get(lane.index)
            for name in frame.eigenvalues if frame else ():
                if frame and name not in self._hidden:
                    rows += [[lane.label, frame.step, name, index + 1, float(value), float(weight)]
                             for index, (value, weight) in enumerate(zip(frame.eigenvalues[name], frame.weights[name],
                                                                         strict=True))]
        return ["lane", "step", "row", "index", "eigenvalue", "weight"], rows
