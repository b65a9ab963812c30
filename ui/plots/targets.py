"""Curves, and behind each a dotted one of what it is drawn towards."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPen
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ui.plots.canvas import rows_html
from ui.plots.curves import Curve, CurveView
from ui.plots.legend import Entry
from ui.plots.ticks import number
from ui.theme import mix

SUFFIX = " target"
DOTS = ([1.0, 3.0], [4.0, 3.0, 1.0, 3.0])  # by lane


def target_of(name: str) -> str:
    """The name of the curve of a curve's target."""
    return name + SUFFIX


class TargetCurves(CurveView):
    """A CurveView in which 'NAME target' is thin and dotted, and all of them have one place in the legend."""

    def in_order(self) -> list[Curve]:
        return [curve for curve in super().in_order() if not curve.name.endswith(SUFFIX)]

    def targets(self) -> list[Curve]:
        """The curves of the targets, in the order of what they are the targets of."""
        every = (self.curves.get((curve.lane, target_of(curve.name))) for curve in self.in_order())
        return [curve for curve in every if curve is not None]

    def dress(self) -> None:
        super().dress()
        for curve in self.targets():
            pen = QPen(QColor(mix(self.color(curve.name), self.theme.plot, 0.55)), 1)
            pen.setCosmetic(True)
            pen.setDashPattern(DOTS[curve.lane % len(DOTS)])
            curve.line.opts["antialias"] = not self.running
            curve.line.setPen(pen)
            curve.line.setZValue(-1)

    def _show_values(self) -> None:
        entries = self.legend.entries
        if self.targets() and (not entries or entries[-1].name != SUFFIX.strip()):
            self.legend.set_entries([*entries, Entry(SUFFIX.strip(), self.theme.muted, Qt.PenStyle.DotLine)])
        values = [number(curve.series.last) if len(curve.series) else "" for curve in self.in_order()]
        values += [number(mark.value) for mark in self.marks]
        self.legend.set_values([*values, ""] if self.targets() else values)

    def read(self, step: float) -> str:
        """The values nearest to a step, each with its target."""
        rows, at = [], float("nan")
        for curve, entry in zip(self.in_order(), self.legend.entries, strict=False):
            where, value = curve.series.at(step)
            if where != where:
                continue
            at, text = where, number(value, 4)
            target = self.curves.get((curve.lane, target_of(curve.name)))
            if target is not None and len(target.series):
                text += f"&nbsp;&nbsp;(target {number(target.series.at(step)[1], 4)})"
            rows.append((entry.color, entry.name, text))
        return rows_html(f"step {at:,.0f}", rows) if rows else ""


def put_in_place(old: CurveView, new: CurveView, parent: QWidget, color: Callable[[str], str]) -> None:
    """Let a view stand where another one stood, which goes."""
    layout = parent.layout()
    assert isinstance(layout, QVBoxLayout)
    new.color = color
    layout.replaceWidget(old, new)
    old.hide()
    old.deleteLater()
