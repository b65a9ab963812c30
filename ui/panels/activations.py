"""Activations: what each layer's nonlinearity is now, over the pre-activations that arrive at it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from core.frames import ActivationsFrame
from ui.panels.panel import Explanation, Lane, Panel
from ui.panels.parts import LayerBox
from ui.plots.activation_cells import ActivationCell, ActivationCells
from ui.plots.cell_grid import Scale
from ui.plots.levels import SlowLimit, SlowRange
from ui.plots.ticks import nice_step, number
from ui.theme import Theme

SATURATED, DEAD, SPREAD = 0.5, 0.2, 1e-3  # ill above, above, below
LATER = "The activations appear here with the first frame."
NONE = "There is no frame of the activations at or before this step."


class _Axes:
    """The axes of one layer, slow to change."""

    def __init__(self) -> None:
        self.across, self.curve = SlowRange(1.0), SlowRange(0.1)
        self.density = SlowLimit()

    def update(self, cells: Sequence[ActivationCell]) -> tuple[Scale, Scale, Scale]:
        """Take in what is to be drawn; the scales across, of the density, and of the activation."""
        ends = np.concatenate([c.edges[[0, -1]] for c in cells])
        if np.isfinite(ends).all() and ends.max() > ends.min():
            self.across.grain = nice_step(float(ends.max() - ends.min()), 20)
            self.across.update(float(ends.min()), float(ends.max()))
        self.density.update(max((float(c.density.max(initial=0.0)) for c in cells), default=math.nan))
        curves = np.concatenate([part for c in cells for part in (c.curve, c.low, c.high, c.fixed)])
        curves = curves[np.isfinite(curves)]
        if len(curves):
            span = float(curves.max() - curves.min()) or max(1e-6, abs(float(curves.max())))
            self.curve.grain = nice_step(span, 20)
            self.curve.update(float(curves.min()) - 0.04 * span, float(curves.max()) + 0.04 * span)
        across = Scale(self.across.low, self.across.high) if math.isfinite(self.across.low) else Scale(-1.0, 1.0)
        curve = Scale(self.curve.low, self.curve.high) if math.isfinite(self.curve.low) else Scale(-1.0, 1.0)
        return across, Scale(0.0, 1.06 * self.density.value), curve


class ActivationsPanel(Panel):
    """A cell for each layer; two lanes stand side by side on identical axes."""

    id = "activations"
    title = "Activations"
    tip = ("Each layer's activation as it is now, over the density of the pre-activations that arrive at it: where "
           "they lie on its flat ends the layer is saturated and passes no gradient on.")
    explanation = Explanation(
        sentences=(
            "In each cell the grey outline is the density of a layer's pre-activations W x + b at collocation points, "
            "and the curve is the activation that they meet, slopes and learned parts included; dashed: as it "
            "started.",
            "Thin lines are 10 % and 90 % of the neurons where these have slopes or functions of their own; under the "
            "title stand the saturated share (|derivative| below 5 % of its largest), the neurons that are dead (the "
            "same output at all points), and the spread of the outputs.",
            "Healthy is an outline that covers the bend of the curve and not only its middle or its ends.",
            "Ill is more than half saturated: the gradient does not get through; more than a fifth dead; or a spread "
            "below 0.001: the layer is a constant.",
            "Scale the inputs, start with smaller weights, use adaptive slopes with a smaller n, or an activation "
            "that does not saturate.",
        ),
        formulas=(r"z = W x + b,\quad y = \sigma(n\,a\,z)",
                  r"\sigma_i(z) = \sum_{p=1}^{P} \alpha_{p,i}\,\gamma_p\left(\beta_{p,i}\,z\right)"),
        source="Jagtap, Kawaguchi & Karniadakis 2020, section 2 (slopes); Liang, Lyu, Wang & Yang 2021, Reproducing "
               "activation function for deep learning (the sum); Glorot & Bengio 2010 (saturation)",
    )
    kinds = frozenset({"activations"})
    area = "center"
    interval = 0.5

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._axes: dict[str, _Axes] = {}
        self.cells = ActivationCells()
        self.cells.set_empty(LATER)
        scroll = QScrollArea(self.figure)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(self.cells)
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll)
        self.layer_box = LayerBox(self.header)
        self.layer_box.activated.connect(self._redo)
        self.tools.addWidget(self.layer_box)

    def wanted(self, lanes: Sequence[Lane]) -> bool:
        """Where activations are learned."""
        return any(lane.experiment.network.raf not in ("none", "assigned") for lane in lanes)

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._axes = {}
        self.layer_box.offer(())
        self.cells.cells = {}
        self._group([() for _ in lanes])

    def _redo(self) -> None:
        self.draw()

    def _group(self, cells: Sequence[Sequence[ActivationCell]]) -> None:
        names = [lane.label for lane in self.lanes] if len(self.lanes) > 1 else [""] * len(self.lanes)
        self.cells.set_groups(names or [""], [len(own) for own in cells] or [0])

    # -- drawing -----------------------------------------------------------------------------------

    def _frames(self) -> dict[int, ActivationsFrame]:
        """By the place of the lane."""
        found = {place: self.frame(lane.index, "activations") for place, lane in enumerate(self.lanes)}
        return {place: frame for place, frame in found.items() if isinstance(frame, ActivationsFrame)}

    def draw(self) -> None:
        super().draw()
        frames = self._frames()
        self.cells.set_empty(LATER if self.at is None else NONE)
        self.layer_box.offer(list(dict.fromkeys(name for frame in frames.values() for name in frame.layers)))
        drawn = [cells_of(frames[place], self.layer_box.shown(frames[place].layers)) if place in frames else []
                 for place in range(len(self.lanes))]
        together: dict[str, list[ActivationCell]] = {}
        for cells in drawn:
            for cell in cells:
                together.setdefault(cell.layer, []).append(cell)
        for place, cells in enumerate(drawn):
            self.cells.set_cells(place, cells)
        self.cells.set_axes({layer: self._axes.setdefault(layer, _Axes()).update(cells)
                             for layer, cells in together.items()})
        self._group(drawn)
        self.cells.dress()

    # -- looks and numbers -------------------------------------------------------------------------

    def set_quality(self, *, fine: bool) -> None:
        self.cells.fine = fine
        self.cells.update()

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self.cells.restyle(theme)
        self.cells.dress()

    def picture(self) -> QWidget:
        """All cells, also those that have to be scrolled to."""
        return self.cells

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """A row for each point of each curve, and one for each bin of each histogram."""
        columns = ["run", "step", "layer", "what", "z", "to", "density", "activation", "10 %", "90 %", "at the start",
                   "saturated", "dead", "spread"]
        rows: list[list[float | str]] = []
        for place, frame in self._frames().items():
            for layer in self.layer_box.shown(frame.layers):
                head: list[float | str] = [self.lanes[place].label, frame.step, frame.layers[layer]]
                ill: list[float | str] = [float(v[layer]) for v in (frame.saturated, frame.dead, frame.spread)]
                edges, density = frame.edges[layer], density_of(frame.edges[layer], frame.counts[layer])
                rows += [[*head, "pre-activations", a, b, d, "", "", "", "", *ill] for a, b, d in
                         zip(edges[:-1].tolist(), edges[1:].tolist(), density.tolist(), strict=True)]
                curves = np.stack([frame.z[layer], frame.curve[layer], frame.low[layer], frame.high[layer],
                                   frame.fixed[layer]], axis=1).tolist()
                rows += [[*head, "activation", z, "", "", *values, *ill] for z, *values in curves]
        return columns, rows


def density_of(edges: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The density of a histogram, with integral 1; zero where there are no counts."""
    widths, total = np.diff(np.asarray(edges, dtype=np.float64)), float(np.sum(counts))
    with np.errstate(divide="ignore", invalid="ignore"):
        out = np.asarray(counts, dtype=np.float64) / (total * widths) if total > 0 else np.zeros(len(counts))
    return np.where(np.isfinite(out), out, 0.0)


def cells_of(frame: ActivationsFrame, places: Sequence[int]) -> list[ActivationCell]:
    """The cells of these layers."""
    out = []
    for i in places:
        saturated, dead, spread = (float(v[i]) for v in (frame.saturated, frame.dead, frame.spread))
        words = ((f"saturated {_percent(saturated)}", not saturated <= SATURATED),
                 (f"dead {_percent(dead)}", not dead <= DEAD),
                 (f"spread {number(spread, 2)}", not spread >= SPREAD))
        z, curve, low, high, fixed = (np.asarray(v[i], dtype=np.float64) for v in
                                      (frame.z, frame.curve, frame.low, frame.high, frame.fixed))
        edges = np.asarray(frame.edges[i], dtype=np.float64)
        out.append(ActivationCell(frame.layers[i], edges, density_of(edges, frame.counts[i]), z, curve, low, high,
                                  fixed, words))
    return out


def _percent(share: float) -> str:
    if not math.isfinite(share):
        return "NaN"
    return f"{100 * share:.0f} %" if share == 0 or share >= 0.01 else "< 1 %"
