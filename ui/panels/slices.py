"""Which slice of a domain with three or more inputs is drawn: the inputs it runs over, and the others' values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from core.frames import FieldsFrame
from studio.messages import ENDED, Status
from ui.panels.field_time import Player
from ui.panels.panel import narrow
from ui.plots.ticks import number
from ui.theme import LIGHT, Theme

PARTS = 200  # places of a slider
EVERY = 200  # milliseconds between two slices that are asked for, at least
PATIENCE = 4000  # milliseconds after which an answer is no longer waited for
CELL = 176  # pixels that a held input needs
ALONE = "alone"
TIP = ("A running, paused or just finished run computes the slice at once; of a run that was opened from its file "
       "only the recorded slices can be shown.")
EARLY = "The run computes this slice when it begins."


class NumberField(QLineEdit):
    """A number in a range. `entered` carries it; `wrong` a sentence on why it is none, '' once it is one."""

    entered = Signal(float)
    wrong = Signal(str)

    def __init__(self, name: str, low: float, high: float, parent: QWidget) -> None:
        super().__init__(parent)
        self.name, self.low, self.high = name, low, high
        self.setAccessibleName(f"Value of {name}")
        self.setToolTip(f"The value at which {name} is held, from {number(low, 4)} to {number(high, 4)}.")
        self.setFixedWidth(QFontMetrics(self.font()).horizontalAdvance("\u22120.0000") + 12)
        self.editingFinished.connect(self._check)
        self.value = low

    def show_value(self, value: float) -> None:
        """Put a number in, right by itself."""
        self.value = value
        self.setText(number(value, 4))
        self._mark("")

    def _check(self) -> None:
        text = self.text().strip().replace("\u2212", "-")
        if text == number(self.value, 4).replace("\u2212", "-"):
            self._mark("")
            return
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        ends = f"{number(self.low, 4)} to {number(self.high, 4)}"
        if math.isnan(value):
            self._mark(f"'{self.text()}' is no number; {self.name} runs from {ends}.")
        elif not self.low <= value <= self.high:
            self._mark(f"{self.name} = {number(value, 6)} is outside of the domain: {self.name} runs from {ends}.")
        else:
            self.show_value(value)
            self.entered.emit(value)

    def _mark(self, sentence: str) -> None:
        if bool(sentence) != bool(self.property("wrong")):
            self.setProperty("wrong", bool(sentence))
            self.style().unpolish(self)
            self.style().polish(self)
        self.wrong.emit(sentence)


class HeldInput(QWidget):
    """Name, slider and number of an input that is held; with 'play' where it is time. `changed` carries the value."""

    changed = Signal(float)
    wrong = Signal(str)

    def __init__(self, name: str, ends: tuple[float, float], parent: QWidget) -> None:
        super().__init__(parent)
        self.name, (self.low, self.high) = name, ends
        self.label = QLabel(name, self)
        self.slider = QSlider(Qt.Orientation.Horizontal, self)
        self.slider.setRange(0, PARTS)
        self.slider.setPageStep(PARTS // 10)
        self.slider.setMinimumWidth(40)
        self.slider.setAccessibleName(f"Slider of {name}")
        self.slider.setToolTip(f"The value at which {name} is held. {TIP}")
        self.slider.valueChanged.connect(lambda place: self._take(self.low + place / PARTS * (self.high - self.low)))
        self.field = NumberField(name, *ends, self)
        self.field.entered.connect(self._take)
        self.field.wrong.connect(self.wrong)
        self.player = Player("Run through time: each picture is computed by the run, the next one is asked for when it "
                             f"is there. {TIP}", self) if name == "t" else None
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for part in (self.player, self.label, self.slider, self.field):
            if part is not None:
                row.addWidget(part, 1 if part is self.slider else 0)

    @property
    def value(self) -> float:
        return self.field.value

    def show_value(self, value: float) -> None:
        """Put the value in without a word."""
        with QSignalBlocker(self.slider):
            self.slider.setValue(round((value - self.low) / (self.high - self.low) * PARTS))
        self.field.show_value(value)

    def _take(self, value: float) -> None:
        self.show_value(value)
        self.changed.emit(value)


class SliceBar(QWidget):
    """The boxes and sliders. `asked` carries {"axes": (...), "fixed": {...}}, five times a second at most."""

    asked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.theme: Theme = LIGHT
        self.domain: dict[str, tuple[float, float]] = {}
        self.axes: tuple[str, ...] = ()
        self.held: dict[str, HeldInput] = {}
        self._seen: tuple[tuple[str, ...], dict[str, float]] | None = None
        self._waiting: tuple[tuple[str, ...], dict[str, float]] | None = None  # what was asked for and is not there
        self._dirty = False
        self._met = False  # a run has said something, so that one can be asked
        self._early: tuple[tuple[str, ...], dict[str, float]] | None = None  # what was chosen before there was a run
        self.across, self.upwards = QComboBox(self), QComboBox(self)
        for box, which in ((self.across, "first"), (self.upwards, "second")):
            narrow(box, 4)
            box.setAccessibleName(f"The {which} input that the slice runs over")
            box.activated.connect(self._axes_chosen)
        self.across.setToolTip(f"The input that the slice runs over. {TIP}")
        self.upwards.setToolTip(f"The second input that the slice runs over; '{ALONE}' draws curves over the first. "
                                f"{TIP}")
        self._choice = QWidget(self)
        row = QHBoxLayout(self._choice)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for part in (QLabel("over", self._choice), self.across, QLabel("\u00d7", self._choice), self.upwards):
            row.addWidget(part)
        row.addStretch(1)
        self._cells = QWidget(self)
        self._grid = QGridLayout(self._cells)
        self._grid.setContentsMargins(10, 0, 10, 2)
        self._grid.setHorizontalSpacing(14)
        self._grid.setVerticalSpacing(2)
        self._area = QScrollArea(self)
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QScrollArea.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setWidget(self._cells)
        self.sentence = QLabel(self)
        self.sentence.setTextFormat(Qt.TextFormat.PlainText)
        self.sentence.setWordWrap(True)
        self.sentence.setContentsMargins(10, 0, 10, 2)
        self.sentence.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._area)
        layout.addWidget(self.sentence)
        self._throttle = QTimer(self)
        self._throttle.setSingleShot(True)
        self._throttle.setTimerType(Qt.TimerType.PreciseTimer)  # a coarse one may be early
        self._throttle.setInterval(EVERY)
        self._throttle.timeout.connect(self._due)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PATIENCE)
        self._patience.timeout.connect(self._give_up)

    # -- what there is -----------------------------------------------------------------------------

    def begin(self, domain: Mapping[str, tuple[float, float]]) -> None:
        """Another problem: the first two inputs run, the others are held in the middle, as a run begins."""
        early = self._early if dict(domain) == self.domain else None  # the panels begin anew at the start of a run
        for timer in (self._throttle, self._patience):
            timer.stop()
        self._seen = self._waiting = None
        self._dirty = False
        for one in self.held.values():
            one.hide()
            one.deleteLater()
        self.domain, self.held = dict(domain), {}
        for name, ends in self.domain.items() if len(self.domain) > 2 else ():
            one = HeldInput(name, (float(ends[0]), float(ends[1])), self._cells)
            one.show_value(sum(ends) / 2)
            one.changed.connect(lambda _: self.ask())
            one.wrong.connect(lambda text: self.say(text, wrong=True))
            if one.player is not None:
                one.player.restyle(self.theme)
                one.player.started.connect(self._play)
            self.held[name] = one
        for box, names in ((self.across, [*self.domain]), (self.upwards, [ALONE, *self.domain])):
            with QSignalBlocker(box):
                box.clear()
                box.addItems(names)
        self.say("")
        self._show_axes(tuple(self.domain)[:2])
        self._met, self._early = False, early
        if early is not None:
            self._show(*early)
            self.say(EARLY)

    def meet(self, status: Status) -> None:
        """A run has said how it stands. The first time, it is asked for the slice that was chosen before it."""
        if self._met:
            return
        self._met = True
        early, self._early = self._early, None
        if early is not None:
            self.say("")
            if status.state in ENDED:  # a run that is shown as it was recorded
                self._show(tuple(self.domain)[:2], {name: sum(ends) / 2 for name, ends in self.domain.items()})
            else:
                self.ask()

    @property
    def waiting(self) -> bool:
        """Whether a slice was asked for that is not there yet."""
        return self._waiting is not None

    def fixed(self) -> dict[str, float]:
        """Where the inputs that the slice does not run over are held."""
        return {name: one.value for name, one in self.held.items() if name not in self.axes}

    def _show_axes(self, axes: tuple[str, ...]) -> None:
        self.axes = axes
        for box, name in zip((self.across, self.upwards), (*axes, ALONE), strict=False):
            with QSignalBlocker(box):
                box.setCurrentIndex(box.findText(name))
        for name, one in self.held.items():
            if name in axes and one.player is not None:
                one.player.stop()
            one.setVisible(name not in axes)
        self.reflow()

    def reflow(self) -> None:
        """As many held inputs beside each other as there is room for; more than two or three rows are scrolled."""
        cells = [self._choice, *(one for name, one in self.held.items() if name not in self.axes)]
        need = max(CELL, *(part.minimumSizeHint().width() + self._grid.horizontalSpacing() for part in cells))
        columns = max(1, min(len(cells), (self.width() - 10) // need))
        for part in cells:
            self._grid.removeWidget(part)
        for place, part in enumerate(cells):
            self._grid.addWidget(part, place // columns, place % columns)
        for column in range(self._grid.columnCount()):
            self._grid.setColumnStretch(column, 1 if column < columns else 0)
        rows = -(-len(cells) // columns)
        line = self.across.sizeHint().height() + 2
        parent = self.parentWidget()
        room = parent.height() if parent is not None else 400
        self._area.setFixedHeight(line * max(1, min(rows, 3, int(0.3 * room / line))) + 2)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self.reflow()

    # -- asking and being answered -----------------------------------------------------------------

    def ask(self) -> None:
        """Ask for the slice that stands here; soon, where one was asked for a moment ago."""
        if not self._met:
            self._early = self.axes, self.fixed()
            self._stop_players()
            self.say(EARLY)
            return
        self._waiting = self.axes, self.fixed()
        if self._throttle.isActive():
            self._dirty = True
        else:
            self._send()

    def _send(self) -> None:
        self._dirty = False
        self._waiting = self.axes, self.fixed()
        self._throttle.start()
        self._patience.start()
        self.asked.emit({"axes": self.axes, "fixed": self.fixed()})

    def _due(self) -> None:
        if self._dirty:
            self._send()

    def see(self, frame: FieldsFrame) -> None:
        """The slice that is drawn now: the answer that was waited for, or one that the controls have to follow."""
        slice_ = frame.inputs, dict(frame.fixed)
        if self._waiting is not None:
            if not _same(slice_, self._waiting):
                return
            self._waiting = None
            self._patience.stop()
            self.say("")
            self._seen = slice_
            self._play_on()
            return
        if self._seen is None or not _same(slice_, self._seen):
            self._seen = slice_
            self._follow()

    def refused(self, sentence: str) -> None:
        """The run has said why it does not show that slice: back to the one that is drawn."""
        if self._waiting is None:
            return
        self._give_up()
        self.say(sentence.removesuffix(".") + ".", wrong=True)  # it may begin with the name of an input

    def _give_up(self) -> None:
        self._patience.stop()
        self._waiting, self._dirty = None, False
        self._stop_players()
        if self._seen is None:
            self._seen = tuple(self.domain)[:2], {name: sum(ends) / 2 for name, ends in list(self.domain.items())[2:]}
        self._follow()
        self.say("No run has answered: the slice is the one before.")

    def _stop_players(self) -> None:
        for one in self.held.values():
            if one.player is not None:
                one.player.stop()

    def _follow(self) -> None:
        assert self._seen is not None
        self._show(*self._seen)

    def _show(self, inputs: tuple[str, ...], fixed: Mapping[str, float]) -> None:
        for name, value in fixed.items():
            if name in self.held:
                self.held[name].show_value(value)
        if inputs != self.axes:
            self._show_axes(inputs)

    def say(self, text: str, *, wrong: bool = False) -> None:
        """A sentence below the sliders; '' for none."""
        if text != self.sentence.text():
            self.sentence.setText(text)
            self.sentence.setStyleSheet(f"color: {self.theme.danger if wrong else self.theme.muted};")
            self.sentence.setVisible(bool(text))

    # -- choices -----------------------------------------------------------------------------------

    def _axes_chosen(self) -> None:
        first, second = self.across.currentText(), self.upwards.currentText()
        if first == second:  # they change places
            first, second = self.axes[::-1] if len(self.axes) == 2 else (first, ALONE)
        self._show_axes((first,) if second == ALONE else (first, second))
        self.ask()

    def _play(self) -> None:
        one = self.held["t"]
        if one.value >= one.high:
            one.show_value(one.low)
        self.ask()

    def _play_on(self) -> None:
        one = self.held.get("t")
        if one is None or one.player is None or not one.player.playing:
            return
        if one.value >= one.high:
            one.player.stop()
            return
        one.show_value(min(one.value + one.player.elapsed(one.high - one.low), one.high))
        self.ask()

    def restyle(self, theme: Theme) -> None:
        self.theme = theme
        self.sentence.setStyleSheet(f"color: {theme.danger};")
        field = f"QLineEdit[wrong=\"true\"] {{ border: 1px solid {theme.danger}; }}"
        self.setStyleSheet(f"QScrollArea, QScrollArea > QWidget > QWidget {{ background: transparent; }} {field}")
        for one in self.held.values():
            if one.player is not None:
                one.player.restyle(theme)


def _same(one: tuple[Sequence[str], Mapping[str, float]], other: tuple[Sequence[str], Mapping[str, float]]) -> bool:
    """Whether two slices are the same, but for rounding."""
    return (tuple(one[0]) == tuple(other[0]) and one[1].keys() == other[1].keys()
            and all(math.isclose(value, other[1][name], rel_tol=1e-6, abs_tol=1e-12) for name, value in one[1].items()))
