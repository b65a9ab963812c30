"""What the panels of curves over steps have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from PySide6.QtWidgets import QToolButton, QVBoxLayout, QWidget

from core.frames import ScalarsFrame
from studio.messages import Update
from ui.panels.panel import Lane, Panel, steps_of
from ui.plots.curves import Curve, CurveView, table_of
from ui.plots.legend import Legend
from ui.plots.plot import Plot
from ui.theme import Theme


def borders_in(update: Update) -> set[int]:
    """The steps at which a phase of the run begins, as the journal tells them; not the first one's."""
    return {event.step for event in update.events if event.kind == "phase" and event.step > 0}


class CurvePanel(Panel):
    """Curves by name and lane: a color for each name, solid for lane 0 and dashed for lane 1."""

    kinds = frozenset({"scalars"})
    area = "bottom"
    interval = 0.1
    logarithmic: ClassVar[bool] = True
    smoothing: ClassVar[bool] = False
    quantity: ClassVar[str] = ""  # the name of the y axis
    grain: ClassVar[float] = 0.5  # the y range moves in steps of so many decades

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._borders: set[int] = set()  # the steps at which phases begin
        self.view = CurveView(self.figure, logarithmic=self.logarithmic, smoothing=self.smoothing,
                              quantity=self.quantity, grain=self.grain)
        self.view.color = self.color
        self.view.plot.pointed.connect(self.pointed)
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view)
        if self.smoothing:
            button = QToolButton(self.header)
            button.setText("smooth")
            button.setCheckable(True)
            button.setChecked(True)
            button.setToolTip(
                "Bold: the geometric mean over stretches of the run. Faint behind it: every value as it was."
            )
            button.toggled.connect(self.set_smoothed)
            self.tools.addWidget(button)
            self.smooth_button = button

    @property
    def curves(self) -> dict[tuple[int, str], Curve]:
        return self.view.curves

    @property
    def plot(self) -> Plot:
        return self.view.plot

    @property
    def legend(self) -> Legend:
        return self.view.legend

    # -- for the kinds of curves -------------------------------------------------------------------

    def names(self, lanes: Sequence[Lane]) -> Sequence[str]:
        """The curves that are known before the run."""
        raise NotImplementedError

    def numbers(self, frame: ScalarsFrame) -> Mapping[str, float]:
        """The values of a frame by name."""
        raise NotImplementedError

    def color(self, name: str) -> str:
        """The color of a curve."""
        return self.view.color_in_order(name)

    # -- data --------------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._borders = set()
        self.plot.set_borders(())
        own = {lane.index: self.names([lane]) for lane in lanes}
        self.view.begin({lane.index: lane.label for lane in lanes}, own, self.names(lanes), steps_of(lanes))

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        for frame in update.scalars:
            self.view.append(lane, frame.step, self.numbers(frame))
        if borders := borders_in(update) - self._borders:
            self._borders |= borders
            self.plot.set_borders(sorted(self._borders))

    def draw(self) -> None:
        super().draw()
        self.pending = self.view.draw()

    def set_now(self, step: float | None) -> None:
        self.view.set_now(step)

    def set_cursor(self, step: float | None) -> None:
        self.view.plot.set_cursor(step)

    # -- looks -------------------------------------------------------------------------------------

    def set_smoothed(self, smoothed: bool) -> None:
        """Show means in front of the values, or the values alone."""
        self.view.set_smoothed(smoothed)

    def set_quality(self, *, fine: bool) -> None:
        self.view.running = not fine
        self.view.dress()

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self.view.restyle(theme)

    # -- numbers -----------------------------------------------------------------------------------

    def read(self, step: float) -> str:
        """The values nearest to a step, as rich text."""
        return self.view.read(step)

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """All values, one row for each step; empty where a curve has none at a step."""
        return table_of(self.view.in_order(), {lane.index: lane.label for lane in self.lanes})
