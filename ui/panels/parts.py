"""Names of what belongs to a sub-domain, '3: hidden 1', and the choice of which of them are shown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QWidget

from ui.panels.panel import HeadBox

_PART = re.compile(r"(\d+): (.+)\Z")


def part_of(name: str) -> tuple[int, str]:
    """(3, 'hidden 1') of '3: hidden 1'; number 0 for what belongs to no sub-domain."""
    match = _PART.match(name)
    return (int(match[1]), match[2]) if match else (0, name)


class LayerBox(HeadBox):
    """With sub-domains: one layer of all of them, or all layers of one. Hidden without."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, 9)
        self._layers: tuple[str, ...] = ()
        self.setToolTip("The layers that are shown: one of every sub-domain, or all of one sub-domain.")
        self.setAccessibleName("The layers that are shown")
        self.hide()

    def offer(self, layers: Sequence[str]) -> None:
        """The layers that there are; a choice among the same ones stays."""
        if tuple(layers) == self._layers:
            return
        self._layers = tuple(layers)
        parts = [part_of(name) for name in layers]
        names = dict.fromkeys(name for number, name in parts if number)
        with QSignalBlocker(self):
            self.clear()
            for name in sorted(names, key=lambda name: name != "output"):
                self.addItem(f"{name} of all", name)
            for number in dict.fromkeys(number for number, _ in parts if number):
                self.addItem(f"sub-domain {number}", number)
        self.setVisible(bool(names))

    def shown(self, layers: Sequence[str]) -> list[int]:
        """The places of the layers that were chosen."""
        wanted = self.currentData()
        return [place for place, name in enumerate(layers) if wanted is None or wanted in part_of(name)
                or not part_of(name)[0]]
