"""The gradients of one loss term over the whole run: maps or ridge lines by layer, and a strip of statistics."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QSignalBlocker, QSize, Qt
from PySide6.QtGui import QIcon, QPixmap, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.choices import RECOVERY
from core.frames import GradientsFrame
from ui.panels.gradient_numbers import (
    MEAN,
    QUANTILES,
    RATIO,
    STATISTICS,
    ZEROS,
    Snapshots,
    of_terms,
    quantiles,
    ratios,
)
from ui.panels.gradient_words import OVER_TIME
from ui.panels.panel import Lane, Panel, loss_terms, narrow, steps_of
from ui.panels.parts import LayerBox, part_of
from ui.plots.curves import CurveView
from ui.plots.heatmap import HeatMap
from ui.plots.levels import SlowRange
from ui.plots.ridge import Ridge
from ui.plots.signed import SignedCurves, list_of
from ui.theme import Theme, mix

ALL = "all layers"
MAP, RIDGE = "heat map", "ridge line"
NO_STATISTIC = "no statistics"
ROOM_FOR_BOTH = 330  # pixels of height from which the strip is shown without being asked for


class GradientHistoryPanel(Panel):
    """One map (or ridge line) for each layer of each lane, and curves of one statistic for all terms below."""

    id = "gradient_history"
    title = "Gradients over time"
    tip = (
        "The distribution of one loss term's gradient entries over the steps, layer by layer, and statistics of all "
        "terms; a band that narrows towards zero beside a residual that stays wide is a term that starves."
    )
    explanation = OVER_TIME
    kinds = frozenset({"gradients"})
    over_time = frozenset({"gradients"})
    area = "center"
    interval = 0.6

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._order: list[str] = []
        self._residual: frozenset[str] = frozenset()
        self._layers: tuple[str, ...] = ()
        self._scale = SlowRange(0.5)
        self._seen: dict[int, GradientsFrame | None] = {}
        self._stores: dict[tuple[int, str, str, bool], Snapshots] = {}
        self._asked = False  # for a statistic, by a person
        self.view_box = self.chooser("Draw maps, or ridge lines of at most 24 snapshots.", letters=7)
        self.view_box.addItems([MAP, RIDGE])
        self.view_box.show()
        self.view_box.activated.connect(self._redo)
        self.term_box, self.layer_box = QComboBox(), QComboBox()
        self.part_box = LayerBox(self)
        self.weighted_button = QToolButton()
        self.statistic_box = QComboBox()
        self._row()
        self.map, self.ridge = HeatMap(), Ridge()
        self.pictures = QStackedWidget(self.figure)
        for picture in (self.map, self.ridge):
            scroll = QScrollArea(self.pictures)
            scroll.setWidgetResizable(True)
            scroll.setFrameShape(QFrame.Shape.NoFrame)
            scroll.setWidget(picture)
            self.pictures.addWidget(scroll)
            picture.pointed.connect(self.pointed)
        self.strip = QStackedWidget(self.figure)
        self.curves = CurveView(self.strip)
        self.signed = SignedCurves(self.strip)
        for view in (self.curves, self.signed):
            view.plot.setMinimumHeight(70)
            view.plot.pointed.connect(self.pointed)
            self.strip.addWidget(view)
        self.curves.color = self._term_color
        self.signed.color = self._signed_color
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.pictures, 3)
        layout.addWidget(self.strip, 2)
        self._show_strip()

    def _row(self) -> None:
        """The choices, in a row of their own: the header of a small panel has no room for them."""
        row = QWidget(self)
        line = QHBoxLayout(row)
        line.setContentsMargins(10, 0, 6, 2)
        line.setSpacing(6)
        for box, letters, tip in (
            (self.term_box, 7, "The loss term whose gradient is drawn."),
            (self.layer_box, 7, "The layers that are drawn."),
            (self.statistic_box, 8, "The number that the strip below follows for every term; the ratio is "
             "max |gradient of the residual| / mean |gradient of the term|."),
        ):
            narrow(box, letters)
            box.setParent(row)
            box.setToolTip(tip)
            box.setAccessibleName(tip)
            box.activated.connect(self._redo)
        self.term_box.setIconSize(QSize(10, 10))
        self.statistic_box.addItems([NO_STATISTIC, *STATISTICS])
        self.statistic_box.setCurrentText(MEAN)
        self.statistic_box.activated.connect(self._statistic_asked)
        self.part_box.activated.connect(self._redo)
        self.weighted_button.setText("weighted")
        self.weighted_button.setCheckable(True)
        self.weighted_button.setChecked(True)
        self.weighted_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.weighted_button.setToolTip("Pressed: times the term's weight, as training uses it. Otherwise the "
                                        "gradient of the term itself.")
        self.weighted_button.toggled.connect(self._redo)
        for part in (self.term_box, self.layer_box, self.part_box, self.weighted_button):
            line.addWidget(part)
        line.addStretch(1)
        line.addWidget(self.statistic_box)
        outer = self.layout()
        assert isinstance(outer, QVBoxLayout)
        outer.insertWidget(1, row)

    # -- what is shown -----------------------------------------------------------------------------

    @property
    def term(self) -> str:
        """The term whose gradient is drawn."""
        return self.term_box.currentText()

    @property
    def weighted(self) -> bool:
        return self.weighted_button.isChecked()

    @property
    def statistic(self) -> str:
        return self.statistic_box.currentText()

    def _offer_terms(self) -> None:
        with QSignalBlocker(self.term_box):
            chosen = self.term
            self.term_box.clear()
            for place, term in enumerate(self._order):
                if term != RECOVERY:  # it pulls at no weight matrix
                    chip = QPixmap(10, 10)
                    chip.fill(self.theme.term(place))
                    self.term_box.addItem(QIcon(chip), term)
            self.term_box.setCurrentIndex(max(0, self.term_box.findText(chosen)))

    def _offer_layers(self, layers: tuple[str, ...]) -> None:
        if layers == self._layers:
            return
        self._layers = layers
        self.layer_box.setVisible(not any(part_of(name)[0] for name in layers))  # before the other one comes
        self.part_box.offer(layers)
        with QSignalBlocker(self.layer_box):
            chosen = self.layer_box.currentText()
            self.layer_box.clear()
            self.layer_box.addItems([ALL, *layers])
            self.layer_box.setCurrentIndex(max(0, self.layer_box.findText(chosen)))

    def shown_layers(self) -> list[str]:
        """The names of the layers that are drawn."""
        if self.layer_box.currentIndex() > 0 and self.part_box.isHidden():
            return [self.layer_box.currentText()]
        return [self._layers[place] for place in self.part_box.shown(self._layers)]

    def _statistic_asked(self) -> None:
        self._asked = True
        self._show_strip()

    def _show_strip(self) -> None:
        """The strip where a statistic is chosen, and there is room for it or a person asked for it."""
        fits = self._asked or self.figure.height() >= ROOM_FOR_BOTH
        self.strip.setVisible(self.statistic != NO_STATISTIC and fits)
        self.strip.setCurrentIndex(int(self.statistic in (ZEROS, QUANTILES)))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        hidden = self.strip.isHidden()
        self._show_strip()
        if hidden and not self.strip.isHidden() and self.lanes:
            self._begin_strip()
            self.pending = True

    def _redo(self) -> None:
        """Something else is chosen: everything anew, on axes of its own."""
        self._scale.clear()
        self._stores.clear()
        self._begin_strip()
        self.draw()

    # -- data --------------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        terms, self._residual = loss_terms(lanes)
        self._order, self._layers = list(terms), ()
        self._stores.clear()
        self._scale.clear()
        self.part_box.offer(())
        self._offer_terms()
        with QSignalBlocker(self.layer_box):
            self.layer_box.clear()
            self.layer_box.addItem(ALL)
        for picture in (self.map, self.ridge):
            picture.begin(steps_of(lanes))
            picture.set_cells([])
        self._begin_strip()

    def frames(self, lane: int) -> list[GradientsFrame]:
        """All kept frames of a lane, oldest first."""
        return self.kept(lane, GradientsFrame)

    def draw(self) -> None:
        super().draw()
        every = {lane.index: self.frames(lane.index) for lane in self.lanes}
        newest = [frames[-1] for frames in every.values() if frames]
        if not newest:
            return
        known = len(self._order)
        self._order += [t for t in dict.fromkeys(t for f in newest for t in f.terms) if t not in self._order]
        if len(self._order) > known:
            self._offer_terms()
        self._offer_layers(max((frame.layers for frame in newest), key=len))
        self._draw_pictures(every)
        if not self.strip.isHidden():
            self._draw_strip(every)

    def _draw_pictures(self, every: dict[int, list[GradientsFrame]]) -> None:
        several = len(self.lanes) > 1
        color = self.theme.term(self._order.index(self.term)) if self.term in self._order else None
        cells, stores = [], []
        for layer in self.shown_layers():
            for lane in self.lanes:
                title = f"{lane.label} \u00b7 {layer}" if several else layer
                store = self._snapshots(lane.index, layer)
                store.take(every[lane.index])
                stores.append(store)
                cells.append(store.cell(title, color))
        quantity = f"weight \u00d7 gradient of {self.term}" if self.weighted else f"gradient of {self.term}"
        picture = self.map if self.view_box.currentText() == MAP else self.ridge
        self.pictures.setCurrentIndex(0 if picture is self.map else 1)
        axis = self._axis(stores)
        if axis is not None:
            picture.set_axis("symlog", axis[0], -axis[1], axis[1], quantity)
        picture.set_cells(cells, group=len(self.lanes))

    def _snapshots(self, lane: int, layer: str) -> Snapshots:
        key = (lane, self.term, layer, self.weighted)
        if key not in self._stores:
            self._stores[key] = Snapshots(self.term, layer, weighted=self.weighted)
        return self._stores[key]

    def _axis(self, stores: Sequence[Snapshots]) -> tuple[float, float] | None:
        """Threshold and limit of the values: linear within the usual size of an entry, out to the largest."""
        extents = [store.extent() for store in stores]
        inner = [math.log10(mean) for mean, _ in extents if mean > 0]
        outer = max((top for _, top in extents if top > 0), default=0.0)
        if not inner or not outer > 0:
            return None
        low = sum(inner) / len(inner)
        self._scale.update(low, max(math.log10(outer), low + 0.5))
        return float(10.0**self._scale.low), float(10.0**self._scale.high)

    # -- the strip ---------------------------------------------------------------------------------

    def _begin_strip(self) -> None:
        self._show_strip()
        self._seen = {}
        view = self._view()
        labels = {lane.index: lane.label for lane in self.lanes}
        view.plot.set_names("step", self._quantity())
        view.begin(labels, {}, (), steps_of(self.lanes))
        view.set_now(self.at)

    def _quantity(self) -> str:
        """What the strip draws; \u03bbg where the gradients are weighted."""
        name = STATISTICS.get(self.statistic, "")
        return re.sub(r"\bg\b", "\u03bbg", name) if self.weighted else name

    def _view(self) -> CurveView:
        return self.signed if self.statistic in (ZEROS, QUANTILES) else self.curves

    def _draw_strip(self, every: dict[int, list[GradientsFrame]]) -> None:
        seen_all = all(seen is None or any(seen is f for f in every[lane]) for lane, seen in self._seen.items()
                       if lane in every)
        if not seen_all:  # a run that was read anew
            self._begin_strip()
        view, layers = self._view(), self.shown_layers()
        for lane, frames in every.items():
            seen = self._seen.get(lane)
            for frame in frames:
                if seen is None or frame.step > seen.step:
                    view.append(lane, frame.step, self.numbers(frame, layers))
            self._seen[lane] = frames[-1] if frames else None
        if self.statistic == QUANTILES:
            threshold = 10.0**self._scale.low if math.isfinite(self._scale.low) else 0.0
            self.signed.set_threshold(threshold)
            self.signed.at_least(0.0, 0.0)
        elif self.statistic == ZEROS:
            self.signed.set_threshold(0.0)
            self.signed.at_least(0.0, 1.0)
        if view.draw():
            self.pending = True

    def numbers(self, frame: GradientsFrame, layers: Sequence[str]) -> dict[str, float]:
        """The chosen statistic of every term (of its quantiles: of the chosen term), over these layers together."""
        if self.statistic == QUANTILES:
            return quantiles(frame, self.term, layers, weighted=self.weighted)
        if self.statistic == RATIO:
            return ratios(frame, self._residual, weighted=self.weighted)
        return of_terms(frame, self.statistic, layers, weighted=self.weighted)

    def _term_color(self, name: str) -> str:
        return self.theme.term(self._order.index(name)) if name in self._order else self.theme.text

    def _signed_color(self, name: str) -> str:
        if self.statistic != QUANTILES:
            return self._term_color(name)
        level = 50.0 if name == "median" else float(name.split()[0])
        return mix(self._term_color(self.term), self.theme.plot, 1.0 - 0.013 * abs(level - 50.0))

    # -- steps, looks and numbers ------------------------------------------------------------------

    def set_now(self, step: float | None) -> None:
        for part in (self.map, self.ridge, self.curves.plot, self.signed.plot):
            part.set_now(step)

    def set_cursor(self, step: float | None) -> None:
        for part in (self.map, self.ridge, self.curves.plot, self.signed.plot):
            part.set_cursor(step)

    def set_quality(self, *, fine: bool) -> None:
        for view in (self.curves, self.signed):
            view.running = not fine
            view.dress()
        for picture in (self.map, self.ridge):
            picture.fine = fine
            picture.update()

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self._offer_terms()
        for part in (self.map, self.ridge, self.curves, self.signed):
            part.restyle(theme)
        if self.lanes:
            self.pending = True

    def picture(self) -> QWidget:
        """Everything, or where the maps have to be scrolled to, all of them without the strip."""
        shown = self.map if self.pictures.currentIndex() == 0 else self.ridge
        return self.figure if shown.minimumHeight() <= self.pictures.height() else shown

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """The strip's numbers where it is shown; else one row for each cell, step and occupied bin of the maps."""
        if not self.strip.isHidden():
            labels = {lane.index: lane.label for lane in self.lanes}
            return list_of(self._view().in_order(), labels, self._quantity())
        kind = "weighted gradient" if self.weighted else "gradient"
        cells = (self.map if self.pictures.currentIndex() == 0 else self.ridge).cells
        rows: list[list[float | str]] = []
        for cell in cells:
            for index, step in enumerate(cell.steps):
                edges, counts = cell.edges_at(index), cell.counts[index]
                rows += [[cell.title, float(step), float(edges[b]), float(edges[b + 1]), float(counts[b])]
                         for b in np.flatnonzero(counts)]
        return ["cell", "step", f"{kind} from", f"{kind} to", "entries"], rows
