"""Fields: what the network says, what is true, how far apart they are, and what the equation leaves over."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QSignalBlocker
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QToolButton, QVBoxLayout, QWidget

from core.frames import Array, FieldsFrame
from studio.messages import Update
from ui.panels.panel import Lane, Panel
from ui.plots.fields import Column, FieldGrid, Row, finite_ends
from ui.plots.levels import SlowLimit, SlowRange
from ui.plots.ticks import nice_step
from ui.theme import Theme


class FieldsPanel(Panel):
    """Prediction, exact solution, absolute error and residual; a row for each lane, in the same colors."""

    id = "fields"
    title = "Fields"
    tip = (
        "Prediction and exact solution on one scale, the absolute error from zero, the residual on a scale symmetric "
        "about zero; the numbers at a color bar are its levels, which move slowly."
    )
    kinds = frozenset({"fields"})
    area = "center"
    interval = 0.4

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._frames: dict[int, FieldsFrame] = {}
        self._value_levels: dict[int, SlowRange] = {}
        self._error_levels: dict[int, SlowLimit] = {}
        self._residual_levels: dict[int, SlowLimit] = {}
        self.grid = FieldGrid()
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.grid)
        self.field_box = self._chooser("The field that is shown.")
        self.residual_box = self._chooser("The equation whose residual is shown.")
        self.lane_box = self._chooser("The runs that are shown.")
        self.same = QToolButton(self.header)
        self.same.setText("same scale")
        self.same.setCheckable(True)
        self.same.setChecked(True)
        self.same.setToolTip(
            "On: error and residual of both runs on one scale, to compare them. Off: each on its own."
        )
        self.same.toggled.connect(self._scales_changed)
        self.tools.addWidget(self.same)

    def _chooser(self, tip: str) -> QComboBox:
        box = QComboBox(self.header)
        box.setToolTip(tip)
        box.setAccessibleName(tip)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        box.activated.connect(self._chosen)
        box.hide()
        self.tools.addWidget(box)
        return box

    # -- data --------------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._frames = {}
        problem = lanes[0].experiment.problem if lanes else None
        self._fill(self.field_box, list(problem.fields) if problem else [])
        self._fill(self.residual_box, [r.name for r in problem.residuals] if problem else [])
        self._fill(
            self.lane_box,
            [
                " and ".join(lane.label or str(lane.index + 1) for lane in lanes),
                *(lane.label or str(lane.index + 1) for lane in lanes),
            ]
            if len(lanes) > 1
            else [],
        )
        self.same.setVisible(len(lanes) > 1)
        self._forget_levels()
        self._rebuild()

    @staticmethod
    def _fill(box: QComboBox, texts: list[str]) -> None:
        with QSignalBlocker(box):
            box.clear()
            box.addItems(texts)
        box.setVisible(len(texts) > 1)

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        frame = update.frames.get("fields")
        if isinstance(frame, FieldsFrame):
            self._frames[lane] = frame

    def draw(self) -> None:
        super().draw()
        if not self.lanes:
            return
        shown = self.shown()
        if [row.label for row in self.grid.rows] != [lane.label for lane in shown]:
            self._rebuild()
        rows = [self._row(lane) for lane in shown]
        if self._update_levels(rows):
            self.grid.renew()
        for place, row in enumerate(rows):
            self.grid.set_row(place, row)

    def shown(self) -> list[Lane]:
        """The lanes for which there is room, or the one that was chosen."""
        chosen = self.lane_box.currentIndex()
        if len(self.lanes) < 2:
            return list(self.lanes)
        if chosen > 0:
            return [self.lanes[chosen - 1]]
        return list(self.lanes) if self.grid.room_for(len(self.lanes)) else [self.lanes[0]]

    def _name_choice(self, shown: list[Lane]) -> None:
        """The first choice says so where there is no room for what it promises."""
        if len(self.lanes) > 1 and self.lane_box.currentIndex() == 0:
            names = [lane.label or str(lane.index + 1) for lane in self.lanes]
            with QSignalBlocker(self.lane_box):
                self.lane_box.setItemText(
                    0, " and ".join(names) if len(shown) > 1 else f"{names[0]} (little room)"
                )

    def _row(self, lane: Lane) -> Row:
        frame = self._frames.get(lane.index)
        if frame is None:
            return Row(lane.label)
        name, equation = self.field_box.currentText(), self.residual_box.currentText()
        values: list[Array | None] = [part.get(name) for part in (frame.prediction, frame.exact, frame.error)]
        values.append(frame.residuals.get(equation))
        return Row(lane.label, f"step {frame.step:,}", frame.inputs, frame.axes, values)

    # -- levels ------------------------------------------------------------------------------------

    def _forget_levels(self) -> None:
        keys = [lane.index for lane in self.lanes]
        self._value_levels = {-1: SlowRange(0.1, patience=5)}
        self._error_levels = {key: SlowLimit(patience=3) for key in (-1, *keys)}
        self._residual_levels = {key: SlowLimit(patience=3) for key in (-1, *keys)}

    def _update_levels(self, rows: list[Row]) -> bool:
        """Widen or narrow the levels; True where any moved. Prediction and exact solution always share theirs."""
        filled = [row for row in rows if row.values]
        if not filled:
            return False
        shared = self.same.isChecked()
        value = self._value_levels[-1]
        low, high = finite_ends([array for row in filled for array in row.values[:2]])
        if high - low < 1e-12 * max(abs(low), abs(high), 1e-300):  # a constant field
            margin = 0.5 * max(abs(low), 1e-6)
            low, high = low - margin, high + margin
        value.grain = nice_step(high - low, 20)
        value.update(low, high)
        values = (value.low, value.high) if math.isfinite(value.low) else (-1.0, 1.0)
        if shared:
            every = [self._levels(-1, filled, values)] * len(rows)
        else:
            every = [
                self._levels(lane.index, [row], values) for lane, row in zip(self.shown(), rows, strict=True)
            ]
        old = [column.levels for column in self.grid.columns]
        for place, column in enumerate(self.grid.columns):
            column.levels = [levels[place] for levels in every]
        return old != [column.levels for column in self.grid.columns]

    def _levels(
        self, key: int, rows: list[Row], values: tuple[float, float]
    ) -> tuple[tuple[float, float], ...]:
        """The levels of the four columns for rows that share them."""
        error, residual = self._error_levels[key], self._residual_levels[key]
        known = [row for row in rows if row.values]
        if known:
            error.update(self._top([row.values[2] for row in known]))
            residual.update(self._top([row.values[3] for row in known]))
        top, span = (1.0 if math.isnan(limit.value) else limit.value for limit in (error, residual))
        return values, values, (0.0, top), (-span, span)

    @staticmethod
    def _top(arrays: Sequence[Array | None]) -> float:
        low, high = finite_ends(arrays)
        return max(abs(low), abs(high))

    # -- choices -----------------------------------------------------------------------------------

    def _chosen(self) -> None:
        self._scales_changed()

    def _scales_changed(self) -> None:
        self._forget_levels()
        self._rebuild()
        self.draw()

    def _rebuild(self) -> None:
        shown = self.shown() if self.lanes else []
        self._name_choice(shown)
        name, equation = self.field_box.currentText(), self.residual_box.currentText()
        theme = self.theme
        columns = [
            Column(f"prediction {name}", theme.sequential),
            Column(f"exact {name}", theme.sequential),
            Column("absolute error", theme.error),
            Column(f"residual {equation}" if self.residual_box.count() > 1 else "residual", theme.diverging),
        ]
        for column, levels in zip(columns, ((-1.0, 1.0), (-1.0, 1.0), (0.0, 1.0), (-1.0, 1.0)), strict=True):
            column.levels = [levels] * max(1, len(shown))
        domain = dict(self.lanes[0].experiment.problem.domain) if self.lanes else {}
        self.grid.set_layout(columns, [Row(lane.label) for lane in shown], domain)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        if self.lanes and [row.label for row in self.grid.rows] != [lane.label for lane in self.shown()]:
            self.draw()

    def set_quality(self, *, fine: bool) -> None:
        """A picture that stands still has levels of its own, not those that the run has left behind."""
        if fine:
            self._forget_levels()
        self.grid.fine = fine
        self.grid.update()

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self.grid.theme = theme
        for column, colors in zip(
            self.grid.columns,
            (theme.sequential, theme.sequential, theme.error, theme.diverging),
            strict=False,
        ):
            column.colors = colors
        for row in self.grid.rows:
            row.images = {}
        self.grid.restyle(theme)

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """One row for each lane and grid point: the inputs, then the quantities."""
        shown = [(lane, self._row(lane)) for lane in self.shown()]
        inputs = next((row.inputs for _, row in shown if row.inputs), ())
        rows: list[list[float | str]] = []
        for lane, row in shown:
            if not row.values:
                continue
            frame = self._frames[lane.index]
            places = [a.ravel() for a in np.meshgrid(*row.axes, indexing="ij")]
            columns = [["" for _ in places[0]] if v is None else v.ravel().tolist() for v in row.values]
            rows += [
                [lane.label, frame.step, *map(float, at), *values]
                for at, values in zip(zip(*places, strict=True), zip(*columns, strict=True), strict=True)
            ]
        return ["lane", "step", *inputs, *(column.name for column in self.grid.columns)], rows
