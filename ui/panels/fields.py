"""Fields: what the network says, what is true, how far apart they are, and what the equation leaves over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PySide6.QtCore import QSignalBlocker
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from core.frames import FieldsFrame
from studio.messages import Update
from ui.panels.field_body import FieldBody
from ui.panels.field_levels import UNKNOWN, FieldLevels
from ui.panels.field_rows import aspect_of, dots_legend, dots_of, field_columns, field_row, slice_of
from ui.panels.field_switches import FieldSwitches, fill_box
from ui.panels.field_time import TimeBar
from ui.panels.field_words import EXPLANATION, fields_table
from ui.panels.panel import Lane, Panel, loss_terms
from ui.panels.profiles import ProfileMaker, Snapshots
from ui.panels.slices import SliceBar
from ui.plots.cuts import Cut
from ui.plots.field_rows import Column, Row
from ui.theme import Theme

ALL = "all fields"
ROOMY = (820, 400)  # pixels from which on maps over time begin with the curves of a time beside them
ANOTHER = "This run shows another slice until its next frame."


class FieldsPanel(Panel):
    """Maps over two inputs, a row for each lane in the same colors; curves over one input, lanes side by side."""

    id = "fields"
    title = "Fields"
    tip = (
        "Prediction and exact solution on one scale, the absolute error from zero, the residual on a scale symmetric "
        "about zero. Over one input they are curves, with earlier states of the prediction faint behind it. A click in "
        "a map cuts through all of them."
    )
    explanation = EXPLANATION
    kinds = frozenset({"fields"})
    area = "center"
    interval = 0.4

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._earlier: dict[int, Snapshots] = {}
        self._levels, self._maker = FieldLevels(), ProfileMaker()
        self._chosen = False  # the field, by a person
        self._met = False  # a frame has come
        self._derivatives: list[str] = []
        self._terms: tuple[str, ...] = ()
        self.slices = SliceBar(self.figure)
        self.slices.asked.connect(lambda view: self.command.emit(-1, "view", ("fields", view)))
        self.time_bar = TimeBar(self.figure)
        self.time_bar.moved.connect(lambda at: self.set_cut(Cut("up", at)))
        self.body = FieldBody(self.figure)
        self.grid, self.profiles = self.body.grid, self.body.profiles
        self.grid.cut_changed.connect(self.set_cut)
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for part in (self.slices, self.time_bar):
            layout.addWidget(part)
            part.hide()
        layout.addWidget(self.body, 1)
        self.field_box = self.chooser("The field, quantity or derivative that is shown.", letters=6)
        self.field_box.activated.connect(self._field_chosen)
        self.residual_box = self.chooser("The equation whose residual is shown.", letters=6)
        self.lane_box = self.chooser("The runs that are shown.", letters=8)
        for box in (self.field_box, self.residual_box, self.lane_box):
            box.activated.connect(self._scales_changed)
        self.switches = FieldSwitches(self)
        self.tools.addWidget(self.switches)
        self.points, self.same = self.switches.points, self.switches.same
        self.cutting, self.upright, self.log = self.switches.cutting, self.switches.upright, self.switches.log
        self.points.toggled.connect(lambda _: self.draw())
        self.cutting.toggled.connect(self._cutting_toggled)
        self.upright.toggled.connect(self._upright_toggled)
        for action in (self.log, self.same):
            action.toggled.connect(self._scales_changed)


    # -- data --------------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._chosen, self._met, self._derivatives = False, False, []
        self._terms = loss_terms(lanes)[0]  # building the problems takes a while
        self._earlier = {lane.index: Snapshots() for lane in lanes}
        problem = lanes[0].experiment.problem if lanes else None
        domain = dict(problem.domain) if problem else {}
        self.slices.begin(domain)
        self.slices.setVisible(len(domain) > 2)
        self.time_bar.hide()
        self.time_bar.set_times(np.zeros(1))
        self._offer_fields()
        # what is a mean is no residual
        fill_box(self.residual_box, [r.name for r in problem.residuals if r.measure == "square"] if problem else [])
        names = [lane.label or str(lane.index + 1) for lane in lanes]
        fill_box(self.lane_box, [" and ".join(names), *names] if len(lanes) > 1 else [])
        self.same.setVisible(len(lanes) > 1)
        with QSignalBlocker(self.upright):
            self.upright.setChecked("t" in list(domain)[:2])
        self.grid.upright = self.upright.isChecked()
        self.set_cut(None)
        self.grid.set_legend([])
        self._forget_levels()
        self._show_flat(len(domain) == 1)
        self._rebuild()

    def _offer_fields(self) -> None:
        """Fields, quantities, then the derivatives that frames have had; a choice stays."""
        problem = self.lanes[0].experiment.problem if self.lanes else None
        fields = [*problem.fields, *problem.quantities] if problem else []
        if self.flat and problem and len(problem.fields) > 1:
            fields.insert(0, ALL)
        names = [*fields, "", *self._derivatives] if self._derivatives else fields
        if names != [self.field_box.itemText(i) for i in range(self.field_box.count())]:
            fill_box(self.field_box, names, self.field_box.currentText() if self._met else "")

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        self.slices.meet(update.status)
        for event in (one for one in update.events if one.kind == "view"):
            self.slices.refused(event.text)
        frame = update.frames.get("fields")
        if isinstance(frame, FieldsFrame):
            if not self._met:
                self._met = True
                self._prefer_known(frame)
            if len(frame.inputs) == 1 and lane in self._earlier:
                self._earlier[lane].add(frame)
            if self.slices.waiting and self._travel is None and self.isVisible():
                self.draw()  # the answer to what a person does comes at once

    def _prefer_known(self, frame: FieldsFrame) -> None:
        """Begin with a field that can be compared, where the one that stands first cannot."""
        name = self.field_box.currentText()
        known = [one for one in frame.prediction if one in frame.exact]
        if name != ALL and name not in frame.exact and known and not self._chosen:
            with QSignalBlocker(self.field_box):
                self.field_box.setCurrentIndex(self.field_box.findText(known[0]))
            self._forget_levels()
            self._rebuild()

    def frames(self) -> dict[int, FieldsFrame]:
        """The frame of each lane that is drawn: those of the slice that the first of them shows."""
        found = {lane.index: self.frame(lane.index, "fields") for lane in self.lanes}
        frames = {index: frame for index, frame in found.items() if isinstance(frame, FieldsFrame)}
        first = next(iter(frames.values()), None)
        return {index: frame for index, frame in frames.items() if first and frame.inputs == first.inputs}

    def draw(self) -> None:
        super().draw()
        if not self.lanes:
            return
        frames = self.frames()
        first = next(iter(frames.values()), None)
        if first is not None:
            self._follow(first, frames)
        shown = self.shown()
        if self.flat:
            self._name_choice(shown)
            self._draw_profiles(frames)
            return
        if ([row.label for row in self.grid.rows] != [lane.label for lane in shown]
                or [column.key for column in self.grid.columns] != [column.key for column in self._columns()]
                or (first is not None and list(self.grid.domain) != list(self._slice()[0]))):
            self._rebuild()
        rows = [self._row(lane, frames) for lane in shown]
        self._set_legend(shown, frames, rows)
        self.grid.set_note(self._slice()[1])
        if self._update_levels(rows):
            self.grid.renew()
        for place, row in enumerate(rows):
            self.grid.set_row(place, row)
        self._draw_cut()

    def _follow(self, first: FieldsFrame, frames: Mapping[int, FieldsFrame]) -> None:
        """The controls and the kind of picture follow the frame that is there."""
        new = [name for frame in frames.values() for name in frame.derivatives if name not in self._derivatives]
        if new:
            self._derivatives += list(dict.fromkeys(new))
        if (len(first.inputs) == 1) is not self.flat:
            self._forget_levels()
            self._show_flat(len(first.inputs) == 1)
        self._offer_fields()
        self.slices.see(first)
        timed = not self.flat and "t" in first.inputs
        if timed:
            self.time_bar.set_times(first.axes[first.inputs.index("t")])
        if timed is self.time_bar.isHidden():
            self.time_bar.setVisible(timed)
            if timed and self.cut is None and self.body.width() >= ROOMY[0] and self.body.height() >= ROOMY[1]:
                self.set_cut(Cut("up", self.time_bar.time))

    def _draw_profiles(self, frames: Mapping[int, FieldsFrame]) -> None:
        made = self._maker.make(self.shown(), frames, self._earlier, self._names(), self.residual_box.currentText(),
                                self.theme, shared=self.same.isChecked())
        for lane, profile in zip(self.shown(), made, strict=True):
            frame = frames.get(lane.index)
            if frame is None:
                profile.empty = ANOTHER if self.frame(lane.index, "fields") else profile.empty
            elif self.points.isChecked():
                dots = dots_of(frame, lane.experiment.problem.domain, self._terms, self.theme)
                profile.rug = [(one.color, one.places[:, 0]) for one in dots]
                profile.note = ", ".join([profile.note, *(f"{one.count:,} points of {one.term}" for one in dots)])
        self.profiles.set_profiles(made)

    def _names(self) -> list[str]:
        """The fields that are shown."""
        name = self.field_box.currentText()
        return list(self.lanes[0].experiment.problem.fields) if name == ALL else [name]

    def shown(self) -> list[Lane]:
        """The lanes for which there is room, or the one that was chosen."""
        chosen = self.lane_box.currentIndex()
        if len(self.lanes) < 2:
            return list(self.lanes)
        if chosen > 0:
            return [self.lanes[chosen - 1]]
        fits = self.profiles.width() >= 560 if self.flat else self.grid.room_for(len(self.lanes), self.body.height())
        return list(self.lanes) if fits else [self.lanes[0]]

    def _name_choice(self, shown: list[Lane]) -> None:
        """The first choice says so where there is no room for what it promises."""
        if len(self.lanes) > 1 and self.lane_box.currentIndex() == 0:
            names = [lane.label or str(lane.index + 1) for lane in self.lanes]
            text = " and ".join(names) if len(shown) > 1 else f"{names[0]} \u2026"
            with QSignalBlocker(self.lane_box):
                self.lane_box.setItemText(0, text)

    def _row(self, lane: Lane, frames: Mapping[int, FieldsFrame]) -> Row:
        frame = frames.get(lane.index)
        if frame is None:
            row = Row(lane.label)
            row.empty = ANOTHER if self.frame(lane.index, "fields") else row.empty
            return row
        points = self.points.isChecked()
        dots = dots_of(frame, lane.experiment.problem.domain, self._terms, self.theme) if points else []
        return field_row(lane, frame, self.grid.columns, self.field_box.currentText(), self.residual_box.currentText(),
                         dots, show_nearest=points)

    def _set_legend(self, shown: Sequence[Lane], frames: Mapping[int, FieldsFrame], rows: Sequence[Row]) -> None:
        legend: list[tuple[str, str]] = []
        for lane, row in zip(shown, rows, strict=True):
            if self.points.isChecked() and lane.index in frames:
                legend += dots_legend(row.dots, frames[lane.index], lane.label if len(shown) > 1 else "")
        self.grid.set_legend(legend)

    def _is_known(self, name: str) -> bool:
        """Whether there is an exact or reference solution of a field; before the first frame, as far as is told."""
        frames = self.frames()
        if frames:
            return any(name in frame.exact for frame in frames.values())
        problems = [lane.experiment.problem for lane in self.lanes]
        return any(name in problem.exact or problem.reference for problem in problems)

    # -- levels ------------------------------------------------------------------------------------

    def _forget_levels(self) -> None:
        self._maker.forget()
        self._levels.forget()

    def _update_levels(self, rows: list[Row]) -> bool:
        """Widen or narrow the levels; True where any moved."""
        if not any(row.values for row in rows):
            return False
        keys = [lane.index for lane in self.shown()]
        fresh = self._levels.of(keys, rows, self.grid.columns, shared=self.same.isChecked())
        old = [column.levels for column in self.grid.columns]
        for column, levels in zip(self.grid.columns, fresh, strict=True):
            column.levels = levels
        return old != fresh

    # -- cuts --------------------------------------------------------------------------------------

    @property
    def flat(self) -> bool:
        """Whether there are curves over one input instead of maps."""
        return self.body.flat

    @property
    def cut(self) -> Cut | None:
        return self.body.cut

    def set_cut(self, cut: Cut | None) -> None:
        """Cut through the maps, or no longer. Drawn at once."""
        self.body.set_cut(cut)
        with QSignalBlocker(self.cutting):
            self.cutting.setChecked(cut is not None)
        if cut is None:
            self.time_bar.player.stop()
        self._draw_cut()

    def _draw_cut(self) -> None:
        time = self.body.draw_cut(self.shown(), self.field_box.currentText(), self.theme)
        if time is not None:
            self.time_bar.show_time(time)

    def _cutting_toggled(self, on: bool) -> None:
        if not on or self.flat:
            self.set_cut(None)
            return
        row = next((row for row in self.grid.rows if row.values), None)
        if row is None:
            self.set_cut(None)
            return
        kind, axis = ("up", row.axes[0]) if self.upright.isChecked() else ("level", row.axes[1])
        middle = float(axis[0] + axis[-1]) / 2
        timed = kind == "up" and row.inputs[0] == "t"
        self.set_cut(Cut("up" if kind == "up" else "level", self.time_bar.time if timed else middle))

    def _upright_toggled(self, on: bool) -> None:
        self.grid.upright = on
        if self.cut is not None:
            self._cutting_toggled(True)

    # -- choices -----------------------------------------------------------------------------------

    def _show_flat(self, flat: bool) -> None:
        if flat:
            self.set_cut(None)
        self.body.show_flat(flat)
        for switch in (self.cutting, self.upright, self.log):
            switch.setVisible(not flat)
        self._offer_fields()

    def _field_chosen(self) -> None:
        self._chosen = True

    def _scales_changed(self) -> None:
        self._forget_levels()
        self._rebuild()
        self.draw()

    def _columns(self) -> list[Column]:
        """The columns of maps for what was chosen."""
        name = self.field_box.currentText()
        problems = [lane.experiment.problem for lane in self.lanes]
        formula = not problems or any(name in p.exact or not p.reference for p in problems)
        known = ("exact" if formula else "reference") if self._is_known(name) else ""
        equation = None
        if self.residual_box.count():
            equation = self.residual_box.currentText() if self.residual_box.count() > 1 else ""
        return field_columns(name, known, equation, self.theme, signed=name in self._derivatives,
                             log=self.log.isChecked())

    def _slice(self) -> tuple[dict[str, tuple[float, float]], str]:
        """The inputs of the maps with their ranges, across first, and where the others are held."""
        domain = dict(self.lanes[0].experiment.problem.domain) if self.lanes else {}
        return slice_of(domain, next(iter(self.frames().values()), None))

    def _rebuild(self) -> None:
        shown = self.shown() if self.lanes else []
        self._name_choice(shown)
        columns = self._columns()
        for column in columns:
            levels = (-3.0, 0.0) if column.logarithmic else UNKNOWN.get(column.kind, (-1.0, 1.0))
            column.levels = [levels] * max(1, len(shown))
        across, held = self._slice()
        self.grid.set_layout(columns, [Row(lane.label) for lane in shown], across, aspect_of(across), held)
        self.body.turn()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self.slices.reflow()
        drawn = self.profiles.profiles if self.flat else self.grid.rows
        if self.lanes and [row.label for row in drawn] != [lane.label for lane in self.shown()]:
            self.draw()

    def set_quality(self, *, fine: bool) -> None:
        """A picture that stands still has levels of its own, not those that the run has left behind."""
        if fine:
            self._forget_levels()
        for canvas in (self.grid, self.profiles):
            canvas.fine = fine
            canvas.update()

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        for column, fresh in zip(self.grid.columns, self._columns() if self.lanes else (), strict=False):
            column.colors = fresh.colors
        for row in self.grid.rows:
            row.images, row.dotted = {}, None
        for part in (self.grid, self.profiles, self.slices, self.time_bar):
            part.restyle(theme)
        self.draw()

    def picture(self) -> QWidget:
        """Maps and curves without the sliders above them."""
        return self.body

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """One row for each lane and grid point: the inputs, then everything that is known of every field."""
        frames = self.frames()
        return fields_table([(lane.label, frames[lane.index]) for lane in self.shown() if lane.index in frames])
