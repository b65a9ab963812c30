"""Maps of fields and, where a cut goes through them, its curves beside or below; over one input curves alone."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QWidget

from ui.panels.panel import Lane
from ui.panels.profiles import cut_profile
from ui.plots.cuts import Cut
from ui.plots.fields import FieldGrid
from ui.plots.profiles import Profiles
from ui.theme import Theme

SHARES = (3, 2)  # of the maps and of a cut's curves
BESIDE = 1.1  # curves stand beside the maps where that makes these no smaller than below them by more than this


class FieldBody(QWidget):
    """The grid of maps, the curves, and the cut."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.flat = False  # one input
        self.cut: Cut | None = None
        self.grid = FieldGrid()
        self.profiles = Profiles()
        self._layout = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)
        for part, share in zip((self.grid, self.profiles), SHARES, strict=True):
            self._layout.addWidget(part, share)
        self.profiles.hide()

    def show_flat(self, flat: bool) -> None:
        """Curves over one input, or maps."""
        self.flat = flat
        self.grid.setVisible(not flat)
        self.profiles.setVisible(flat or self.cut is not None)
        self.profiles.set_profiles([])

    def set_cut(self, cut: Cut | None) -> None:
        """Make room for the curves of a cut, or give it back. `draw_cut` draws them."""
        self.cut = cut
        if not self.flat and (cut is not None) is self.profiles.isHidden():
            self.profiles.setVisible(cut is not None)
            self.turn()

    def draw_cut(self, lanes: Sequence[Lane], name: str, theme: Theme) -> float | None:
        """The curves along the cut, from the rows of the grid. The time where it is one at a time, else None."""
        if self.flat:
            return None
        filled = [row for row in self.grid.rows if row.values]
        if self.cut is None or not filled or len(lanes) != len(self.grid.rows):
            self.grid.set_cut(None)
            self.profiles.set_profiles([])
            return None
        profile, snapped = cut_profile(self.cut, lanes, self.grid.rows, self.grid.columns, name, theme)
        self.grid.set_cut(snapped)
        self.profiles.set_profiles([profile])
        return snapped.at if snapped.kind == "up" and filled[0].inputs[0] == "t" else None

    def turn(self) -> None:
        """The curves of a cut stand where the maps lose least: beside them or below."""
        part = SHARES[0] / sum(SHARES)
        beside = self.grid.worth(part * self.width(), self.height())
        wide = BESIDE * beside >= self.grid.worth(self.width(), part * self.height())
        way = QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom
        if self._layout.direction() is not way:
            self._layout.setDirection(way)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self.turn()
