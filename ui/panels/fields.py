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
from ui.panels.profiles import ProfileMaker, Snapshots, turned, upright
from ui.plots.fields import Column, FieldGrid, Row, finite_ends
from ui.plots.levels import SlowLimit, SlowRange
from ui.plots.profiles import Profiles
from ui.plots.ticks import nice_step, number
from ui.theme import Theme

ALL = "all fields"


class FieldsPanel(Panel):
    """Maps over two inputs, a row for each lane in the same colors; curves over one input, lanes side by side."""

    id = "fields"
    title = "Fields"
    tip = (
        "Prediction and exact solution on one scale, the absolute error from zero, the residual on a scale symmetric "
        "about zero. Over one input they are curves, with earlier states of the prediction faint behind it."
    )
    kinds = frozenset({"fields"})
    area = "center"
    interval = 0.4

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._frames: dict[int, FieldsFrame] = {}
        self._earlier: dict[int, Snapshots] = {}
        self._value_levels = SlowRange(0.1, patience=5)
        self._error_levels: dict[int, SlowLimit] = {}
        self._residual_levels: dict[int, SlowLimit] = {}
        self._maker = ProfileMaker()
        self._chosen = False  # the field, by a person
        self.flat = False  # one input
        self.grid = FieldGrid()
        self.profiles = Profiles()
        self.profiles.hide()
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.grid)
        layout.addWidget(self.profiles)
        self.field_box = self.chooser("The field that is shown.", letters=9)
        self.field_box.activated.connect(self._field_chosen)
        self.residual_box = self.chooser("The equation whose residual is shown.", letters=9)
        self.lane_box = self.chooser("The runs that are shown.", letters=9)
        for box in (self.field_box, self.residual_box, self.lane_box):
            box.activated.connect(self._scales_changed)
        self.same = QToolButton(self.header)
        self.same.setText("same scale")
        self.same.setCheckable(True)
        self.same.setChecked(True)
        self.same.setToolTip(
            "On: error and residual of both runs on one scale, to compare them. Off: each on its own."
        )
        self.same.toggled.connect(self._scales_changed)
        self.tools.addWidget(self.same)

    # -- data --------------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._frames, self._chosen = {}, False
        self._earlier = {lane.index: Snapshots() for lane in lanes}
        problem = lanes[0].experiment.problem if lanes else None
        self.flat = problem is not None and len(problem.domain) == 1
        self.grid.setVisible(not self.flat)
        self.profiles.setVisible(self.flat)
        fields = [*problem.fields, *problem.quantities] if problem else []
        if self.flat and problem and len(problem.fields) > 1:
            fields.insert(0, ALL)
        self._fill(self.field_box, fields)
        # what is a mean is no residual
        self._fill(self.residual_box, [r.name for r in problem.residuals if r.measure == "square"] if problem else [])
        names = [lane.label or str(lane.index + 1) for lane in lanes]
        self._fill(self.lane_box, [" and ".join(names), *names] if len(lanes) > 1 else [])
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
            if not self._frames:
                self._prefer_known(frame)
            self._frames[lane] = frame
            if self.flat and lane in self._earlier:
                self._earlier[lane].add(frame)

    def _prefer_known(self, frame: FieldsFrame) -> None:
        """Begin with a field that can be compared, where the one that stands first cannot."""
        name = self.field_box.currentText()
        known = [one for one in frame.prediction if one in frame.exact]
        if name != ALL and name not in frame.exact and known and not self._chosen:
            with QSignalBlocker(self.field_box):
                self.field_box.setCurrentIndex(self.field_box.findText(known[0]))
            self._forget_levels()
            self._rebuild()

    def draw(self) -> None:
        super().draw()
        if not self.lanes:
            return
        if self.flat:
            self._name_choice(self.shown())
            self.profiles.set_profiles(self._maker.make(
                self.shown(), self._frames, self._earlier, self._names(), self.residual_box.currentText(), self.theme,
                shared=self.same.isChecked()))
            return
        shown = self.shown()
        if ([row.label for row in self.grid.rows] != [lane.label for lane in shown]
                or [column.name for column in self.grid.columns] != [column.name for column in self._columns()]):
            self._rebuild()
        rows = [self._row(lane) for lane in shown]
        if self._update_levels(rows):
            self.grid.renew()
        for place, row in enumerate(rows):
            self.grid.set_row(place, row)

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
        fits = self.profiles.width() >= 560 if self.flat else self.grid.room_for(len(self.lanes))
        return list(self.lanes) if fits else [self.lanes[0]]

    def _name_choice(self, shown: list[Lane]) -> None:
        """The first choice says so where there is no room for what it promises."""
        if len(self.lanes) > 1 and self.lane_box.currentIndex() == 0:
            names = [lane.label or str(lane.index + 1) for lane in self.lanes]
            text = " and ".join(names) if len(shown) > 1 else f"{names[0]} (of several)"
            with QSignalBlocker(self.lane_box):
                self.lane_box.setItemText(0, text)

    def _row(self, lane: Lane) -> Row:
        frame = self._frames.get(lane.index)
        if frame is None:
            return Row(lane.label)
        name = self.field_box.currentText()
        parts = [frame.prediction.get(name)]
        if self._is_known(name):
            parts += [frame.exact.get(name), frame.error.get(name)]
        if self.residual_box.count():
            parts.append(frame.residuals.get(self.residual_box.currentText()))
        values = [upright(frame, array) for array in parts]
        order = slice(None, None, -1) if turned(frame.inputs) else slice(None)
        return Row(lane.label, f"step {frame.step:,}", frame.inputs[order], frame.axes[order], values)

    def _is_known(self, name: str) -> bool:
        """Whether there is an exact or reference solution of a field; before the first frame, as far as is told."""
        if self._frames:
            return any(name in frame.exact for frame in self._frames.values())
        problems = [lane.experiment.problem for lane in self.lanes]
        return any(name in problem.exact or problem.reference for problem in problems)

    # -- levels ------------------------------------------------------------------------------------

    def _forget_levels(self) -> None:
        keys = [lane.index for lane in self.lanes]
        self._maker.forget()
        self._value_levels = SlowRange(0.1, patience=5)
        self._error_levels = {key: SlowLimit(patience=3) for key in (-1, *keys)}
        self._residual_levels = {key: SlowLimit(patience=3) for key in (-1, *keys)}

    def _update_levels(self, rows: list[Row]) -> bool:
        """Widen or narrow the levels; True where any moved. Prediction and exact solution always share theirs."""
        filled = [row for row in rows if row.values]
        if not filled:
            return False
        shared = self.same.isChecked()
        value, count = self._value_levels, 2 if self._is_known(self.field_box.currentText()) else 1
        low, high = finite_ends([array for row in filled for array in row.values[:count]])
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

    def _levels(self, key: int, rows: list[Row], values: tuple[float, float]) -> list[tuple[float, float]]:
        """The levels of the columns for rows that share them."""
        known = [row for row in rows if row.values]
        out = [values]
        if self._is_known(self.field_box.currentText()):
            out += [values, (0.0, self._limit(self._error_levels[key], [row.values[2] for row in known]))]
        if self.residual_box.count():
            span = self._limit(self._residual_levels[key], [row.values[-1] for row in known])
            out.append((-span, span))
        return out

    @staticmethod
    def _limit(limit: SlowLimit, arrays: Sequence[Array | None]) -> float:
        if arrays:
            low, high = finite_ends(arrays)
            limit.update(max(abs(low), abs(high)))
        return 1.0 if math.isnan(limit.value) else limit.value

    # -- choices -----------------------------------------------------------------------------------

    def _field_chosen(self) -> None:
        self._chosen = True

    def _scales_changed(self) -> None:
        self._forget_levels()
        self._rebuild()
        self.draw()

    def _columns(self) -> list[Column]:
        """A column for what is known: no solution, no error; no equation, no residual."""
        name, theme = self.field_box.currentText(), self.theme
        columns = [Column(f"prediction {name}".strip(), theme.sequential)]
        if self._is_known(name):
            columns += [Column(f"{self._known_word(name)} {name}", theme.sequential),
                        Column("absolute error", theme.error)]
        if self.residual_box.count():
            equation = self.residual_box.currentText() if self.residual_box.count() > 1 else ""
            columns.append(Column(f"residual {equation}".strip(), theme.diverging))
        return columns

    def _rebuild(self) -> None:
        shown = self.shown() if self.lanes else []
        self._name_choice(shown)
        columns = self._columns()
        for column in columns:
            levels = {"absolute error": (0.0, 1.0)}.get(column.name, (-1.0, 1.0))
            column.levels = [levels] * max(1, len(shown))
        problem = self.lanes[0].experiment.problem if self.lanes else None
        domain = dict(problem.domain) if problem else {}
        names = tuple(domain)[:2]
        across = {name: domain[name] for name in (names[::-1] if turned(names) else names)}
        aspect = 0.0
        if len(across) == 2 and "t" not in across:  # places in space keep their shape, within reason
            (a, b), (c, d) = across.values()
            aspect = min(max((b - a) / (d - c), 0.6), 1.9)
        self.grid.set_layout(columns, [Row(lane.label) for lane in shown], across, aspect, _held(domain))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
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
            row.images = {}
        self.grid.restyle(theme)
        self.profiles.restyle(theme)
        if self.flat:
            self.draw()

    def _known_word(self, name: str) -> str:
        """A formula is exact, a file of numbers is a reference."""
        problems = [lane.experiment.problem for lane in self.lanes]
        return "exact" if not problems or any(name in p.exact or not p.reference for p in problems) else "reference"

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """One row for each lane and grid point: the inputs, then everything that is known of every field."""
        frames = [(lane, self._frames[lane.index]) for lane in self.shown() if lane.index in self._frames]
        inputs = frames[0][1].inputs if frames else ()
        columns: dict[str, None] = {}
        parts = []
        for lane, frame in frames:
            own = {f"{word} {name}": array for word, group in (
                ("prediction", frame.prediction), ("exact", frame.exact), ("absolute error", frame.error),
                ("residual", frame.residuals)) for name, array in group.items()}
            columns |= dict.fromkeys(own)
            parts.append((lane, frame, own))
        rows: list[list[float | str]] = []
        for lane, frame, own in parts:
            places = [a.ravel() for a in np.meshgrid(*frame.axes, indexing="ij")]
            values = [own[name].ravel().tolist() if name in own else [""] * len(places[0]) for name in columns]
            rows += [
                [lane.label, frame.step, *map(float, at), *one]
                for at, one in zip(zip(*places, strict=True), zip(*values, strict=True), strict=True)
            ]
        return ["lane", "step", *inputs, *columns], rows


def _held(domain: dict[str, tuple[float, float]]) -> str:
    """What is said of the inputs beyond the first two: they are held in the middle of their range."""
    middle = {name: number(sum(ends) / 2) for name, ends in list(domain.items())[2:]}
    if len(middle) > 3 and len(set(middle.values())) == 1:
        first, *_, last = middle
        return f"at {first}, ..., {last} = {middle[first]}"
    return f"at {', '.join(f'{name} = {value}' for name, value in middle.items())}" if middle else ""
