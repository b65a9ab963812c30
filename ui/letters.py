"""Larger letters in a panel, for a projector."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel, QWidget

from ui.panels.panel import Panel
from ui.plots.canvas import SMALL, Canvas
from ui.plots.plot import Plot
from ui.theme import POINTS, font


def enlarge(panel: Panel, factor: float) -> None:
    """All letters of a panel `factor` times as large as usual: its plots', its words' and its header's."""
    for part in (panel, panel.header):
        part.setFont(font(POINTS * factor))
    for title in panel.header.findChildren(QLabel, "panelTitle"):
        title.setFont(font(POINTS * factor, bold=True))
    for widget in [panel, *panel.findChildren(QWidget)]:
        if isinstance(widget, Canvas):
            widget.small = font(SMALL * factor)
            widget.renew()
        elif isinstance(widget, Plot):
            for side in ("left", "bottom"):
                widget.getPlotItem().getAxis(side).setStyle(tickFont=font(SMALL * factor))
