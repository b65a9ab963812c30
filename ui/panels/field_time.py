"""Running through time: a button that plays, its speed, and for maps over time a slider of their own."""

from __future__ import annotations

import time

import numpy as np
from PySide6.QtCore import QSignalBlocker, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFontMetrics, QHideEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSlider, QToolButton, QWidget

from core.frames import Array
from ui.icons import icon
from ui.panels.panel import narrow
from ui.plots.ticks import number
from ui.theme import LIGHT, Theme

WHOLE = 6.0  # seconds that the whole range of time takes at speed 1
EVERY = 40  # milliseconds between two pictures
SPEEDS = (1.0, 2.0, 0.5)


class Player(QWidget):
    """'Play' and the speed. `started` and `stopped` say what was pressed; `elapsed` how far time has come since."""

    started = Signal()
    stopped = Signal()

    def __init__(self, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.playing = False
        self._theme = LIGHT
        self._since = 0.0
        self.button = QToolButton(self)
        self.button.setToolTip(tip)
        self.button.setAccessibleName("Play time")
        self.button.setIconSize(QSize(13, 13))
        self.button.clicked.connect(lambda: self.stop() if self.playing else self.start())
        self.speed = QComboBox(self)
        self.speed.setToolTip(f"How fast time runs: at 1\u00d7 the whole range takes {WHOLE:g} s, or longer where "
                              "every picture has to be computed.")
        self.speed.setAccessibleName("Speed of time")
        narrow(self.speed, 3)
        for one in SPEEDS:
            self.speed.addItem(f"{one:g}\u00d7", one)
        for part in (self.button, self.speed):
            part.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(self.button)
        row.addWidget(self.speed)
        self._dress()

    def start(self) -> None:
        """Begin to run."""
        if not self.playing:
            self.playing, self._since = True, time.perf_counter()
            self._dress()
            self.started.emit()

    def stop(self) -> None:
        """Stand still; nothing where it does."""
        if self.playing:
            self.playing = False
            self._dress()
            self.stopped.emit()

    def elapsed(self, span: float) -> float:
        """How far a time of this span has come since this was last asked."""
        now = time.perf_counter()
        passed, self._since = now - self._since, now
        return float(self.speed.currentData()) * span * passed / WHOLE

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        self.stop()
        super().hideEvent(event)

    def restyle(self, theme: Theme) -> None:
        self._theme = theme
        self._dress()

    def _dress(self) -> None:
        self.button.setIcon(icon("pause" if self.playing else "play", QColor(self._theme.text)))


class TimeBar(QWidget):
    """The time at which a map over time is cut. `moved` carries it; nothing is computed anew."""

    moved = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.times: Array = np.zeros(1)
        self.player = Player("Run through time: the curves beside the maps are those of the time that the line in the "
                             "maps marks. They are cut out of the maps, nothing is computed anew.", self)
        self.player.started.connect(self._start)
        self.player.stopped.connect(self._stop)
        self.slider = QSlider(Qt.Orientation.Horizontal, self)
        self.slider.setToolTip("The time at which the curves are drawn: every time of the maps' grid.")
        self.slider.setAccessibleName("Time")
        self.slider.setPageStep(10)
        self.slider.valueChanged.connect(self._slid)
        self.words = QLabel(self)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 0, 10, 0)
        row.setSpacing(6)
        row.addWidget(self.player)
        row.addWidget(self.slider, 1)
        row.addWidget(self.words)
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY)
        self._timer.timeout.connect(self._tick)
        self._at = 0.0
        self.setFixedHeight(self.player.sizeHint().height() + 2)

    @property
    def time(self) -> float:
        """The time of the slider, on the grid."""
        return float(self.times[min(self.slider.value(), len(self.times) - 1)])

    def set_times(self, times: Array) -> None:
        """The grid of times; the slider stays at its time as nearly as there is one, at first at the end."""
        if times is self.times or np.array_equal(times, self.times):
            return
        at = self.time if len(self.times) > 1 else float(times[-1])
        self.times = times
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, len(times) - 1)
            self.slider.setValue(int(np.abs(times - at).argmin()))
        widest = max((f"t = {number(float(value), 4)}" for value in times[:: max(1, len(times) // 40)]), key=len)
        self.words.setMinimumWidth(QFontMetrics(self.words.font()).horizontalAdvance(widest + "0"))
        self._say()

    def show_time(self, at: float) -> None:
        """The time was chosen elsewhere."""
        with QSignalBlocker(self.slider):
            self.slider.setValue(int(np.abs(self.times - at).argmin()))
        self._say()

    def _say(self) -> None:
        self.words.setText(f"t = {number(self.time, 4)}")

    def _slid(self) -> None:
        self._at = self.time
        self._say()
        self.moved.emit(self.time)

    def _start(self) -> None:
        if self.slider.value() >= self.slider.maximum():
            self.slider.setValue(0)
        self._at = self.time
        self.moved.emit(self.time)
        self._timer.start()

    def _stop(self) -> None:
        self._timer.stop()

    def _tick(self) -> None:
        first, last = float(self.times[0]), float(self.times[-1])
        at = min(self._at + self.player.elapsed(last - first), last)
        self.slider.setValue(int(np.abs(self.times - at).argmin()))
        self._at = at  # the slider stands on the grid, time goes on between
        if at >= last:
            self.player.stop()

    def restyle(self, theme: Theme) -> None:
        self.player.restyle(theme)
        self.words.setStyleSheet(f"color: {theme.muted};")
