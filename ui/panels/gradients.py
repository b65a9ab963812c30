"""The gradient wall: what every loss term asks of every layer, lane beside lane."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QButtonGroup,
    QLabel,
    QMenu,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.choices import RECOVERY
from core.frames import Frame, GradientsFrame
from studio.messages import Update
from ui.panels.gradient_words import WALL
from ui.panels.panel import Lane, Panel, loss_terms
from ui.panels.parts import LayerBox
from ui.panels.rules import balancing_words
from ui.plots.density import outline
from ui.plots.levels import SlowRange
from ui.plots.ticks import number, times
from ui.plots.wall import FAR, NEAR, Cell, Wall
from ui.theme import Theme

EMPTY = -300.0  # log10 of the density where there are no entries
SAID = 3  # terms at most that the sentence speaks of


class GradientWallPanel(Panel):
    """Layers by loss terms, raw or weighted; two lanes stand side by side on identical axes."""

    id = "gradients"
    title = "Gradient wall"
    tip = (
        "How each loss term pulls at each layer's weights: the density of the entries of its gradient. A term whose "
        "gradients pile up in a spike at zero beside a broad residual is starved: training ignores it."
    )
    explanation = WALL
    kinds = frozenset({"gradients"})
    area = "center"
    interval = 0.2

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.weighted = True
        self._rules: dict[int, str] = {}
        self._fresh: set[int] = set()
        self._order: list[str] = []  # all terms; a term's place is its color
        self._hidden: set[str] = set()  # by a person
        self._residual: frozenset[str] = frozenset()
        self._x_scale = SlowRange(0.5)
        self._y_scale = SlowRange(0.5)
        self.sentence = QLabel(self.figure)
        self.sentence.setTextFormat(Qt.TextFormat.RichText)
        self.sentence.setWordWrap(True)
        self.sentence.setContentsMargins(12, 6, 12, 2)
        self.wall = Wall()
        scroll = QScrollArea(self.figure)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(self.wall)
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.sentence)
        layout.addWidget(scroll, 1)
        self._choosers()
        self._switch()

    def _choosers(self) -> None:
        self.layer_box = LayerBox(self.header)
        self.layer_box.activated.connect(self._redo)
        self.terms_button = QToolButton(self.header)
        self.terms_button.setText("terms")
        self.terms_button.setToolTip("Choose the loss terms that are drawn.")
        self.terms_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.terms_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.terms_button.setMenu(QMenu(self.terms_button))
        self.terms_button.menu().triggered.connect(self._term_toggled)
        self.terms_button.hide()
        self.tools.addWidget(self.layer_box)
        self.tools.addWidget(self.terms_button)

    def _switch(self) -> None:
        group = QButtonGroup(self)
        for text, tip in (
            ("raw", "The gradient of the term itself: d(term)/dW."),
            ("weighted", "The gradient as training uses it, times the term's weight; what the paper draws."),
        ):
            button = QToolButton(self.header)
            button.setText(text)
            button.setToolTip(tip)
            button.setCheckable(True)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setChecked((text == "weighted") == self.weighted)
            group.addButton(button)
            self.tools.addWidget(button)
        group.setExclusive(True)
        group.buttonClicked.connect(self._switched)
        self.switch = group

    def _switched(self, button: QToolButton) -> None:
        self.set_weighted(button.text() == "weighted")

    def set_weighted(self, weighted: bool) -> None:
        """Draw weight * gradient, or the gradient itself."""
        self.weighted = weighted
        for button in self.switch.buttons():
            button.setChecked((button.text() == "weighted") == weighted)
        self._redo()

    def _redo(self) -> None:
        """Other layers, terms or gradients: draw the newest frames anew, on axes of their own."""
        self._x_scale.clear()
        self._y_scale.clear()
        self._fresh = {lane.index for lane in self.lanes}
        self.draw()

    # -- what is shown -----------------------------------------------------------------------------

    def _offer_terms(self) -> None:
        """The terms that can be drawn. Slope recovery is not among them: it does not pull at any weight matrix."""
        menu = self.terms_button.menu()
        menu.clear()
        offered = [term for term in self._order if term != RECOVERY]
        for term in offered:
            action = menu.addAction(term)
            action.setCheckable(True)
            action.setChecked(term not in self._hidden)
        self.terms_button.setVisible(len(offered) > 2)
        self._show_terms()

    def _term_toggled(self, action: QAction) -> None:
        (self._hidden.discard if action.isChecked() else self._hidden.add)(action.text())
        self._show_terms()
        self._redo()

    def drawn(self) -> list[str]:
        """The terms that are drawn."""
        return [term for term in self._order if term != RECOVERY and term not in self._hidden]

    def _show_terms(self) -> None:
        drawn = self.drawn()
        self.wall.set_terms(drawn, [self._order.index(term) for term in drawn])

    # -- data --------------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._fresh = set()
        self._rules = {lane.index: lane.experiment.balancing.rule for lane in lanes}
        terms, self._residual = loss_terms(lanes)
        self._order = list(terms)
        self._hidden = set()
        self.layer_box.offer(())
        self._x_scale.clear()
        self._y_scale.clear()
        self.wall.quantity = self._quantity()
        self.wall.against = next((term for term in terms if term in self._residual), "")
        self.wall.begin([self._headline(lane) for lane in lanes])
        self._offer_terms()
        self._say()

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        rule = update.status.balancing
        if rule and self._rules.get(lane) != rule:
            self._rules[lane] = rule
            self.pending = True
        if "gradients" in update.frames:
            self._fresh.add(lane)

    def travel(self, frames: Mapping[int, Mapping[str, Frame]] | None, at: float | None) -> None:
        super().travel(frames, at)
        self._fresh = {lane.index for lane in self.lanes}

    def _frame(self, lane: int) -> GradientsFrame | None:
        """What is drawn of a lane: the newest frame, or that of the step that the window has gone back to."""
        frame = self.frame(lane, "gradients")
        return frame if isinstance(frame, GradientsFrame) else None

    def _frames(self) -> dict[int, GradientsFrame]:
        found = ((lane.index, self._frame(lane.index)) for lane in self.lanes)
        return {index: frame for index, frame in found if frame is not None}

    def draw(self) -> None:
        super().draw()
        if not self.lanes:
            return
        frames = self._frames()
        for term in (t for lane in sorted(frames) for t in frames[lane].terms):
            if term not in self._order:
                self._order.append(term)
                self._offer_terms()
        fresh = self._fresh & {lane.index for lane in self.lanes}
        self._fresh = set()
        if frames:
            self.layer_box.offer(max((frame.layers for frame in frames.values()), key=len))
        cells = {index: self._cells(frames[index]) for index in fresh & frames.keys()}
        if self._scale(cells):
            self.wall.quantity = self._quantity()
            self.wall.renew()
        for place, lane in enumerate(self.lanes):
            self.wall.halves[place].headline = self._headline(lane)
            if lane.index in cells:
                self.wall.set_cells(place, cells[lane.index], self._notes(frames[lane.index]))
            elif lane.index in fresh:  # no frame of the step that the window has gone back to
                self.wall.set_cells(place, [], ())
        if fresh:
            self._say()

    def _cells(self, frame: GradientsFrame) -> list[Cell]:
        counts = frame.weighted_counts if self.weighted else frame.counts
        factor = frame.weights if self.weighted else np.ones(len(frame.terms))
        place = {term: index for index, term in enumerate(frame.terms)}
        ratios = self.ratios(frame)
        cells = []
        for layer in self.layer_box.shown(frame.layers):
            cell = Cell(frame.layers[layer])
            for term in self.drawn():
                at = place.get(term)
                if at is None:
                    edges, density = np.empty(0), np.empty(0)
                else:
                    edges, density = outline(frame.edges, counts[at, layer])
                cell.edges.append(edges)
                cell.density.append(np.log10(np.maximum(density, 10.0**EMPTY)))
                cell.mean.append(math.nan if at is None else float(frame.mean_abs[at, layer] * factor[at]))
                cell.biggest.append(math.nan if at is None else float(frame.max_abs[at, layer] * factor[at]))
            known = [float(r) for values in ratios.values() if 0 < (r := values[layer]) < math.inf]
            cell.ratio = max(known, key=lambda ratio: abs(math.log(ratio)), default=math.nan)
            cells.append(cell)
        return cells

    def ratios(self, frame: GradientsFrame) -> dict[str, np.ndarray]:
        """For each term that is no residual: [L] how many times narrower than the residual's its gradients are.

        The width is the mean of |g|; of several residual terms the widest counts. NaN where a term does not reach
        a layer at all: its gradient is zero there, as that of a condition in a sub-domain that it does not touch.
        """
        factor = frame.weights[:, None] if self.weighted else 1.0
        mean = np.asarray(frame.mean_abs, dtype=np.float64) * factor
        residual = [i for i, term in enumerate(frame.terms) if term in self._residual]
        if not residual:
            return {}
        widest = mean[residual].max(axis=0)
        reached = np.where((mean > 0) & (widest > 0), mean, np.nan)
        return {term: widest / reached[i] for i, term in enumerate(frame.terms)
                if i not in residual and term != RECOVERY}

    def _scale(self, cells: dict[int, list[Cell]]) -> bool:
        """Widen or narrow the axes, which all cells share; True where they moved."""
        if not cells:
            return False
        everything = [cell for some in cells.values() for cell in some]
        everything += [cell for half in self.wall.halves for cell in half.cells]
        widest = [max(good) for cell in everything if (good := [m for m in cell.mean if 0 < m < math.inf])]
        ends = [max(abs(e[0]), abs(e[-1])) for cell in everything for e in cell.edges if len(e)]
        heights = [d[d > EMPTY + 1] for cell in everything for d in cell.density if len(d)]
        if not widest or not ends or not heights:
            return False
        finest = max(frame.linear_threshold for frame in self._frames().values())
        # Linear within the usual width of the widest term: a term that is many times narrower is then the spike that
        # it is. A smaller threshold would spread it over decades that say nothing.
        inner = math.log10(max(math.exp(sum(map(math.log, widest)) / len(widest)), finest))
        outer = math.log10(max(max(ends), 10 * 10**inner))
        moved = self._x_scale.update(inner, outer)
        moved |= self._y_scale.update(
            min(float(d.min()) for d in heights) - 0.2, max(float(d.max()) for d in heights) + 0.3
        )
        if moved:
            threshold = max(10.0**self._x_scale.low, finest)
            self.wall.set_scales(threshold, 10.0**self._x_scale.high, self._y_scale.low, self._y_scale.high)
        return moved

    # -- words -------------------------------------------------------------------------------------

    def _headline(self, lane: Lane) -> str:
        rule = balancing_words(lane.experiment.balancing, self._rules.get(lane.index, ""))
        return " \u00b7 ".join(part for part in (lane.label, rule) if part)

    def _notes(self, frame: GradientsFrame) -> tuple[str, ...]:
        weights = ", ".join(
            f"{term} {number(float(w))}"
            for term, w in zip(frame.terms, frame.weights, strict=True)
            if term not in self._residual
        )
        step = f"step {frame.step:,}"
        return (f"{step} \u00b7 weight: {weights}", step) if weights else (step,)

    def _quantity(self) -> tuple[str, ...]:
        short = "weight \u00d7 gradient" if self.weighted else "gradient"
        middle = f"{short}, entries of " + ("\u03bb \u2202L/\u2202W" if self.weighted else "\u2202L/\u2202W")
        return (
            f"{middle} (linear within \u00b1{number(self.wall.threshold)}, logarithmic beyond)",
            middle,
            short,
        )

    def finding(self) -> str:
        """What the frames say of the terms that are farthest from balance, as rich text; '' before there are any."""
        typical: dict[str, dict[str, float]] = {}
        for lane in self.lanes:
            frame = self._frame(lane.index)
            for term, values in (self.ratios(frame) if frame is not None else {}).items():
                if not math.isnan(ratio := self._typical(values)):
                    typical.setdefault(term, {})[lane.label] = ratio
        farthest = sorted(typical, key=lambda term: -max(abs(math.log(r)) for r in typical[term].values()))[:SAID]
        parts = []
        for term in (term for term in typical if term in farthest):
            said = (self._words(label, ratio) for label, ratio in typical[term].items())
            parts.append(f"<b>{html.escape(term)} gradients:</b> {', '.join(said)}")
        return "; ".join(parts) + " than the residual's" * bool(parts)

    def _words(self, label: str, ratio: float) -> str:
        """'600x narrower', or '41x wider (it dominates)': too wide is as far from balance as too narrow."""
        if 1 / 1.5 < ratio < 1.5:
            text = "hardly narrower" if ratio >= 1 else "hardly wider"
        else:
            text = f"{times(ratio)} narrower" if ratio > 1 else f"{times(1 / ratio)} wider"
        fault = " (starved)" if ratio > FAR else " (it dominates)" if ratio < 1 / NEAR else ""
        return f"{label} <b style='color:{self.wall.verdict(ratio)}'>{text}{fault}</b>".strip()

    @staticmethod
    def _typical(values: np.ndarray) -> float:
        """The geometric mean over the layers, those without a finite ratio left out."""
        good = values[np.isfinite(values) & (values > 0)]
        return float(np.exp(np.log(good).mean())) if len(good) else math.nan

    def _say(self) -> None:
        look = next((lane.experiment.look for lane in self.lanes if lane.experiment.look), "")
        found = self.finding()
        if found:
            found = (
                found[0].upper() + found[1:]
                if not found.startswith("<b>")
                else f"<b>{found[3].upper()}{found[4:]}"
            )
        lines = [f"<div style='color:{self.theme.muted}; font-size:9pt'>{html.escape(look)}</div>"] if look else []
        lines += [f"<div style='font-size:12pt; margin-top:4px'>{found}.</div>"] if found else []
        self.sentence.setText("".join(lines))
        self.sentence.setVisible(bool(lines))

    # -- looks and numbers -------------------------------------------------------------------------

    def set_quality(self, *, fine: bool) -> None:
        self.wall.fine = fine
        self.wall.update()

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self.wall.restyle(theme)
        self._say()

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """One row for each lane, layer, term and step of the outline: edges and density."""
        rows: list[list[float | str]] = []
        for lane, half in zip(self.lanes, self.wall.halves, strict=False):
            frame = self._frame(lane.index)
            for cell in half.cells:
                for term, edges, density in zip(self.wall.terms, cell.edges, cell.density, strict=False):
                    rows += [
                        [
                            lane.label,
                            frame.step if frame else "",
                            cell.layer,
                            term,
                            float(a),
                            float(b),
                            float(10.0**d),
                        ]
                        for a, b, d in zip(edges[:-1], edges[1:], density, strict=True)
                    ]
        kind = "weighted gradient" if self.weighted else "gradient"
        return ["lane", "step", "layer", "term", f"{kind} from", f"{kind} to", "density"], rows
