"""Adaptive slopes, the gain that they give each neuron, slope recovery, and what reproducing activations learn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from core.frames import Array, SlopesFrame
from studio.messages import Update
from ui.panels.panel import Explanation, Lane, steps_of
from ui.panels.parts import LayerBox
from ui.panels.stack import Stack, StackPanel
from ui.plots.bands import Band, BandView
from ui.plots.curves import CurveView, table_of
from ui.plots.heatmap import HeatMap, MapCell
from ui.plots.histogram_cells import HistogramCells, Numbers, bins, widen
from ui.plots.levels import SlowRange
from ui.plots.ticks import Floats
from ui.theme import Theme

SLOPES, GAIN, RECOVERY, LEARNED = "slopes", "gain", "recovery", "learned functions"
NOW = {SLOPES: "histogram", GAIN: "gain histogram"}
MAPS = {SLOPES: "map over time", GAIN: "gain map"}
NAMES = {SLOPES: "slope n\u00b7a", GAIN: "gain n\u00b7a\u00b7|(w, b)|"}
START = {SLOPES: 1.0, GAIN: math.nan}
LEARNED_BY = (" RAF ", " rowdy ")
S, SHARE = "S(a)", "its share of the slopes' gradient"
LATER = "The slopes appear here with the first frame."
NONE = ("The activations of this experiment are fixed: nothing of them is learned. With adaptive slopes (global, layer "
        "or neuron) or learnable reproducing activations they are drawn here while they learn.")


class SlopesPanel(StackPanel):
    """Curves with bands over steps, histograms now, maps over time; a box chooses among them."""

    id = "slopes"
    title = "Adaptive slopes"
    tip = ("The slopes n\u00b7a of adaptive activations by layer (1 at the start), the gain n\u00b7a\u00b7|(w, b)| "
           "that a neuron really has, and slope recovery S(a) with its share of the slopes' gradient.")
    explanation = Explanation(
        sentences=(
            "Slopes n\u00b7a multiply what enters each activation: bold the mean of a layer's neurons, thin their "
            "smallest and largest; dashed at 1 is the start.",
            "Slope and weights can trade size without changing the network, so a growing slope alone says little: the "
            "gain n\u00b7a\u00b7|(w, b)| of a neuron is what such a trade leaves as it is.",
            "Healthy are slopes that leave 1 early and then rise slowly; with recovery they never quite stop, as the "
            "theory has it.",
            "Ill are slopes that do not move (they are not trained), that rush away (the scale n is too large), that "
            "come near 0 (the layer becomes a constant), and a share of recovery far above 1.",
            "Choose a smaller n or learning rate where they rush, recovery where they sink, and less weight of "
            "recovery where it alone decides.",
        ),
        formulas=(r"\sigma\left(n\,a^k_i \left(w^k_i z^{k-1} + b^k_i\right)\right)",
                  r"S(a) = \frac{1}{\frac{1}{D-1} \sum_{k=1}^{D-1} \exp\left(\frac{1}{N_k} \sum_{i=1}^{N_k} "
                  r"a^k_i\right)}",
                  r"\mathrm{share} = \frac{W_a \left\| \nabla_a S \right\|}{\left\| \nabla_a J \right\|}"),
        source="Jagtap, Kawaguchi & Karniadakis 2020, Proc. R. Soc. A 476, section 2 and eq. (2.3); reproducing "
               "activations: Liang, Lyu, Wang & Yang 2021",
    )
    kinds = frozenset({"slopes"})
    over_time = frozenset({"slopes"})
    area = "bottom"
    interval = 0.5

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bands: dict[str, dict[tuple[int, str], Band]] = {}
        self._layers: list[str] = []  # of all quantities; a layer's place among those shown is its color
        self._rows: dict[str, dict[tuple[int, str], dict[int, Array]]] = {}  # histograms by step, for the maps
        self._new: set[int] = set()
        self._ranges = {SLOPES: SlowRange(0.1), GAIN: SlowRange(0.1)}
        self.layer_box = LayerBox(self.header)
        self.layer_box.activated.connect(self._chosen)
        self.tools.addWidget(self.layer_box)
        self.learned_box = self.chooser("The layer whose learned functions are shown.", letters=7)
        self.learned_box.activated.connect(self._chosen)
        self.stack = Stack(self.figure, self.chooser("What of the slopes is shown.", letters=11))
        self.stack.box.activated.connect(self._chosen)
        self.stack.pointed.connect(self.pointed)
        self.stack.arranged.connect(self._arranged)
        self.views = {SLOPES: BandView(self.stack, logarithmic=False, quantity=NAMES[SLOPES]),
                      GAIN: BandView(self.stack, logarithmic=False, quantity=NAMES[GAIN]),
                      LEARNED: BandView(self.stack, logarithmic=False, quantity="coefficient")}
        self.recovery = CurveView(self.stack, logarithmic=True, quantity="S(a), share")
        for name in (SLOPES, GAIN, RECOVERY, LEARNED):
            view = self.views.get(name, self.recovery)
            view.legend.set_heading(name)
            self.stack.add(name, view)
        self.histograms, self.maps = {}, {}
        for kind in (SLOPES, GAIN):
            self.histograms[kind] = HistogramCells(None, quantity=NAMES[kind], mark=START[kind])
            self.stack.add(NOW[kind], self._scrolled(self.histograms[kind]), least=190)
            self.maps[kind] = HeatMap()
            self.maps[kind].pointed.connect(self.pointed)
            self.stack.add(MAPS[kind], self._scrolled(self.maps[kind]), least=190)
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)
        for view in (*self.views.values(), self.recovery):
            view.begin({}, {}, (), 0.0)
        for name in (SLOPES, GAIN):
            self.views[name].color = self._color

    def _scrolled(self, canvas: QWidget) -> QScrollArea:
        scroll = QScrollArea(self.stack)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(canvas)
        return scroll

    def wanted(self, lanes: Sequence[Lane]) -> bool:
        """Where slopes or activations are learned."""
        return any(lane.experiment.network.slopes != "none" or lane.experiment.network.raf not in ("none", "assigned")
                   for lane in lanes)

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._bands, self._layers, self._rows, self._new = {}, [], {}, set()
        self.layer_box.offer(())
        self.learned_box.clear()
        self.learned_box.hide()
        for kind, scale in self._ranges.items():
            scale.clear()
            self.histograms[kind].begin({lane.index: lane.label for lane in lanes})
            self.maps[kind].begin(steps_of(lanes))
            self.maps[kind].set_cells([])
        self._build()
        self.stack.offer([], LATER if self.wanted(lanes) or not lanes else NONE)

    # -- data --------------------------------------------------------------------------------------

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        for frame in update.past:
            if isinstance(frame, SlopesFrame):
                self._take(lane, frame)

    def _take(self, lane: int, frame: SlopesFrame) -> None:
        self._new.add(lane)
        for kind, values in ((SLOPES, frame.slopes), (GAIN, frame.gains), (LEARNED, frame.learned)):
            for name, array in values.items():
                if kind != LEARNED and name not in self._layers:
                    self._layers.append(name)
                self._bands.setdefault(kind, {}).setdefault((lane, name), Band()).append(frame.step, array)
        if math.isfinite(frame.recovery):
            self.recovery.append(lane, frame.step, {S: frame.recovery, SHARE: frame.recovery_share})

    # -- what is shown -----------------------------------------------------------------------------

    def layers(self) -> list[str]:
        """The layers that are shown; '' is all of them, where they share one slope."""
        return [self._layers[place] for place in self.layer_box.shown(self._layers)]

    def _color(self, name: str) -> str:
        shown = self.layers()
        return self.theme.term(shown.index(name)) if name in shown and name else self.theme.text

    def _chosen(self) -> None:
        self._build()
        self.draw()

    def _build(self) -> None:
        """The curves of the layers that are shown, from everything that was kept."""
        labels = {lane.index: lane.label for lane in self.lanes}
        for view in self.views.values():
            view.begin(labels, {}, (), steps_of(self.lanes))
            view.short = lambda name: name or "all layers"
        self.views[SLOPES].set_marks([("start", 1.0, "")])
        if not self._bands:
            self.recovery.begin(labels, {}, (), steps_of(self.lanes))
        self._attach()

    def _attach(self) -> None:
        """Bands that are not drawn yet."""
        shown, learned = self.layers(), self.learned_box.currentText()
        for kind, view in self.views.items():
            for (lane, name), band in self._bands.get(kind, {}).items():
                layer, function = split(name) if kind == LEARNED else (name, name)
                if (layer == learned if kind == LEARNED else name in shown) and (lane, function) not in view.curves:
                    view.attach(lane, function, band)

    def _offer(self) -> None:
        """The choices that there are now."""
        names = dict.fromkeys(split(name)[0] for _, name in self._bands.get(LEARNED, {}))
        if list(names) != [self.learned_box.itemText(i) for i in range(self.learned_box.count())]:
            with QSignalBlocker(self.learned_box):
                self.learned_box.clear()
                self.learned_box.addItems(list(names))
        offered = [kind for kind in (SLOPES, GAIN) if self._bands.get(kind)]
        offered += [RECOVERY] if self.recovery.curves else []
        offered += [LEARNED] if names else []
        for kind in (SLOPES, GAIN):  # a single number has no histogram
            if any(len(band.edges[0]) for band in self._bands.get(kind, {}).values()):
                offered += [NOW[kind], MAPS[kind]]
        self.stack.offer(offered, self.stack.empty.text())

    def _arranged(self) -> None:
        self.learned_box.setVisible(self.learned_box.count() > 1 and LEARNED in self.stack.shown())

    # -- drawing -----------------------------------------------------------------------------------

    def draw(self) -> None:
        super().draw()
        self.layer_box.offer(self._layers)
        self._offer()
        self._attach()
        for lane in self._new:
            for view in self.views.values():
                view.touch(lane)
        self._new = set()
        self.pending = self.stack.draw()
        shown = self.stack.shown()
        for kind in (SLOPES, GAIN):
            if NOW[kind] in shown:
                self.histograms[kind].set_cells(self._numbers(kind))
            if MAPS[kind] in shown:
                self._draw_map(kind)

    def _numbers(self, kind: str) -> list[Numbers]:
        frames = {lane.index: self.frame(lane.index, "slopes") for lane in self.lanes}
        out = []
        for layer in self.layers():
            own = {lane: np.asarray(values(frame, kind)[layer], dtype=np.float64).ravel()
                   for lane, frame in frames.items() if isinstance(frame, SlopesFrame) and layer in values(frame, kind)}
            if own:
                out.append(Numbers(layer or "all layers", self._color(layer), own))
        return out

    def _draw_map(self, kind: str) -> None:
        scale, found = self._ranges[kind], self._bands.get(kind, {})
        shown = [(lane, layer) for layer in self.layers() for lane in (one.index for one in self.lanes)
                 if (lane, layer) in found and len(found[lane, layer].edges[0])]
        ends: list[Floats] = [edge.values for key in shown for edge in found[key].edges]
        if widen(scale, ends, START[kind]):
            self._rows[kind] = {}  # other bins
        if not shown or not math.isfinite(scale.low):
            return
        edges = bins(scale)
        labels = {lane.index: lane.label for lane in self.lanes} if len(self.lanes) > 1 else {}
        cells = []
        for lane, layer in shown:
            rows, kept = self._rows.setdefault(kind, {}).setdefault((lane, layer), {}), {}
            for frame in self.past(lane, "slopes"):
                if isinstance(frame, SlopesFrame) and layer in values(frame, kind):
                    row = rows.get(frame.step)
                    kept[frame.step] = counted(values(frame, kind)[layer], edges) if row is None else row
            self._rows[kind][lane, layer] = kept
            if kept:
                title = f"{labels.get(lane, '')} {layer or 'all layers'}".strip()
                cells.append(MapCell(title, self._color(layer), np.array(list(kept)), edges,
                                     np.stack(list(kept.values()))))
        self.maps[kind].set_axis("linear", 1.0, scale.low, scale.high, NAMES[kind])
        self.maps[kind].set_cells(cells, group=max(1, len(labels)))

    def set_now(self, step: float | None) -> None:
        super().set_now(step)
        for one in self.maps.values():
            one.set_now(step)

    def set_cursor(self, step: float | None) -> None:
        super().set_cursor(step)
        for one in self.maps.values():
            one.set_cursor(step)

    # -- looks and numbers -------------------------------------------------------------------------

    def set_quality(self, *, fine: bool) -> None:
        super().set_quality(fine=fine)
        for canvas in (*self.histograms.values(), *self.maps.values()):
            canvas.fine = fine

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        for canvas in (*self.histograms.values(), *self.maps.values()):
            canvas.restyle(theme)
        if self.lanes:
            self.draw()

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """A row for each step; where a histogram was chosen, a row for each neuron of each layer."""
        labels = {lane.index: lane.label for lane in self.lanes}
        shown = self.stack.shown()
        for kind in (SLOPES, GAIN):
            if shown == [NOW[kind]]:
                return ["run", "layer", "neuron", NAMES[kind]], [
                    [labels.get(lane, ""), cell.title, place + 1, value] for cell in self._numbers(kind)
                    for lane, own in cell.values.items() for place, value in enumerate(own.tolist())]
        curves = [curve for kind in (SLOPES, GAIN, LEARNED) if {kind, MAPS.get(kind)} & {*shown}
                  for curve in self.views[kind].columns(f"{kind} ")]
        return table_of([*curves, *(self.recovery.in_order() if RECOVERY in shown else [])], labels)


def values(frame: SlopesFrame, kind: str) -> Mapping[str, Array]:
    """The slopes or the gains by layer."""
    return frame.slopes if kind == SLOPES else frame.gains


def counted(numbers: Array, edges: Floats) -> Array:
    """How many of the numbers lie in each bin; those that are not finite in none."""
    numbers = np.asarray(numbers, dtype=np.float64).ravel()
    return np.histogram(numbers[np.isfinite(numbers)], edges)[0]


def split(name: str) -> tuple[str, str]:
    """('hidden 1', 'RAF sin') of 'hidden 1 RAF sin'."""
    for mark in LEARNED_BY:
        if mark in name:
            layer, _, rest = name.partition(mark)
            return layer, f"{mark.strip()} {rest}"
    return "", name
