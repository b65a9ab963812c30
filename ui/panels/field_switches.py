"""The switches and lists in the head of the panel of fields."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QComboBox, QWidget

from ui.panels.field_words import POINTS_TIP
from ui.panels.switches import Switches


class FieldSwitches(Switches):
    """Points, the scale of the error, the cut and its direction, and whether two runs share their scales."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.points = self.add("points", POINTS_TIP)
        self.log = self.add(
            "log error", "The absolute error on a logarithmic scale, eight decades at most; its lowest color is what "
            "the bar names and everything below.")
        self.cutting = self.add(
            "cut", "Curves along a line through the maps. A click or a drag in a map sets the line, with Shift a drag "
            "draws one at any angle; a click on the line takes it away.")
        self.upright = self.add(
            "upright", "On: a click sets an upright cut, at one value of the input across. Off: a level one.")
        self.same = self.add(
            "same scale", "On: error and residual of both runs on one scale, to compare them. Off: each on its own.",
            on=True)


def fill_box(box: QComboBox, texts: Sequence[str], shown: str = "") -> None:
    """Offer these, '' for a line between them, and show one of them; without a choice the box is hidden."""
    with QSignalBlocker(box):
        box.clear()
        for text in texts:
            if text:
                box.addItem(text)
            else:
                box.insertSeparator(box.count())
        box.setCurrentIndex(max(0, box.findText(shown) if shown else 0))
    box.setVisible(len(texts) > 1)
