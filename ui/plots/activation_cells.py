"""Activations drawn over what arrives at them: a cell for each layer, a group for each lane, on identical axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QWidget

from ui.plots.canvas import rows_html
from ui.plots.cell_grid import CellGrid, Scale, curve_pieces, steps_outline
from ui.plots.legend import Entry
from ui.plots.ticks import Floats, number
from ui.theme import mix

NOW, HISTOGRAM = 0, 6  # places of the colors
LONG = ("pre-activations: density (left)", "activation now: mean of the neurons (right)", "10 % and 90 % of them",
        "as it started")
SHORT = ("density (left)", "activation (right)", "10, 90 % of neurons", "at the start")


@dataclass(frozen=True, slots=True)
class ActivationCell:
    """One layer of one lane: the density of its pre-activations and its activation over them."""

    layer: str
    edges: Floats  # [B + 1]
    density: Floats  # [B]
    z: Floats  # [M]
    curve: Floats  # [M] the mean over the neurons, and 10 % and 90 % of them
    low: Floats
    high: Floats
    fixed: Floats  # [M] as it started
    words: tuple[tuple[str, bool], ...]  # (text, whether it is ill)


class ActivationCells(CellGrid):
    """The pre-activations' density on the left axis, the activation on the right one."""

    LEAST = (176.0, 132.0)
    LINES = 2
    LEFT = 42.0
    RIGHT = 40.0

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.cells: dict[int, Sequence[ActivationCell]] = {}
        self.axes: Mapping[str, tuple[Scale, Scale, Scale]] = {}  # by layer: across, density, activation
        self.names = ("pre-activation W x + b", "density")

    def set_axes(self, axes: Mapping[str, tuple[Scale, Scale, Scale]]) -> None:
        """The axes of each layer, the same for all lanes."""
        if axes != self.axes:
            self.axes = dict(axes)
            self.renew()

    def set_cells(self, lane: int, cells: Sequence[ActivationCell]) -> None:
        """The newest cells of a lane; call `set_groups` where their number has changed."""
        self.cells[lane] = cells
        self.update()

    def dress(self) -> None:
        """The legend in the colors of the theme."""
        now = self.theme.field(NOW)
        texts = LONG if self.width() >= 640 else SHORT
        self.set_entries([
            Entry(texts[0], self.theme.term(HISTOGRAM)),
            Entry(texts[1], now),
            Entry(texts[2], mix(now, self.theme.plot, 0.6), Qt.PenStyle.DotLine),
            Entry(texts[3], self.theme.text, Qt.PenStyle.DashLine),
        ])

    # -- the grid ----------------------------------------------------------------------------------

    def _cell(self, group: int, cell: int) -> ActivationCell | None:
        cells = self.cells.get(group, ())
        return cells[cell] if cell < len(cells) else None

    def scales(self, group: int, cell: int) -> tuple[Scale, Scale, Scale | None]:
        own = self._cell(group, cell)
        return self.axes.get(own.layer if own else "", (Scale(-1.0, 1.0), Scale(), Scale(-1.0, 1.0)))

    def right_color(self) -> str:
        return self.theme.field(NOW)

    def title(self, group: int, cell: int) -> list[list[tuple[str, str, bool]]]:
        own = self._cell(group, cell)
        if own is None:
            return []
        # what is ill stands first, so that a narrow cell leaves out what is well
        words = sorted(own.words, key=lambda word: not word[1])
        return [[(own.layer, self.theme.text, True)],
                [(text, self.theme.warning if ill else self.theme.muted, ill) for text, ill in words]]

    def paint_cell(self, painter: QPainter, group: int, cell: int, box: QRectF) -> None:
        own = self._cell(group, cell)
        if own is None:
            return
        across, left, right = self.scales(group, cell)
        assert right is not None
        now, wide = self.theme.field(NOW), self.fine or self.exporting
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(self.theme.term(HISTOGRAM)), 1))
        painter.drawPolyline(steps_outline(box, across, left, own.edges, own.density))
        dashed = QPen(QColor(self.theme.text), 1)
        dashed.setDashPattern([4.0, 4.0])
        bold, thin = QPen(QColor(now), 2), QPen(QColor(mix(now, self.theme.plot, 0.6)), 1)
        for values, pen in ((own.low, thin), (own.high, thin), (own.curve, bold), (own.fixed, dashed)):
            painter.setPen(pen)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, wide)
            for piece in curve_pieces(box, across, right, own.z, values):
                painter.drawPolyline(piece)

    # -- the mouse ---------------------------------------------------------------------------------

    def text_at(self, place: QPointF) -> str:
        found = self.at(place)
        own = self._cell(found[0], found[1]) if found else None
        if found is None or own is None:
            return ""
        across, box = self.scales(found[0], found[1])[0], found[2]
        z = across.low + (place.x() - box.left()) / box.width() * (across.high - across.low)
        bin_ = int(np.searchsorted(own.edges, z, side="right")) - 1
        density = float(own.density[bin_]) if 0 <= bin_ < len(own.density) else 0.0
        rows = [("", "pre-activation", number(z)),
                (self.theme.term(HISTOGRAM), "density of pre-activations", number(density))]
        if len(own.z) and own.z[0] <= z <= own.z[-1]:
            color = self.theme.field(NOW)
            value, low, high, fixed = (number(float(np.interp(z, own.z, c)))
                                       for c in (own.curve, own.low, own.high, own.fixed))
            rows += [(color, "activation now", value), ("", "10 % \u2026 90 % of the neurons", f"{low} \u2026 {high}"),
                     ("", "as it started", fixed)]
        rows += [(self.theme.warning if ill else "", text, "") for text, ill in own.words]
        return rows_html(own.layer, rows)
