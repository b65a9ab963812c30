"""'What is faster here?': asks for the fastest device and shows what was measured, with a button that takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from studio.experiment import Experiment
from ui.background import Background
from ui.forms.measure import Measurement
from ui.theme import Theme

if TYPE_CHECKING:
    from studio.device_advice import Advice

ASK, STOP = "What is faster here?", "Stop"
WAIT = "Measuring steps with each device and number of threads. This takes some seconds ..."
STOPPED = "The measurement was stopped."
CHANGED = "The form has changed since this was asked."
TIP = ("Measure this experiment's steps on every device that there is here. What runs meanwhile makes the numbers "
       "smaller than they are.")

#: What the speed of the steps depends on; of the training all but what `_NO_MATTER` has.
_PARTS = {"problem", "decomposition", "network", "sampling", "balancing", "optimizer", "training"}
_NO_MATTER = {"device", "threads", "steps", "seed"}


class DeviceAdvice(QWidget):
    """Under the field of the device. `taken` carries the device and the number of threads that were taken."""

    taken = Signal(str, int)

    def __init__(self, experiment: Callable[[], Experiment | None], parent: QWidget | None = None, *,
                 make: Callable[[Experiment], Measurement] = Measurement) -> None:
        super().__init__(parent)
        self._experiment, self._make = experiment, make
        self._measurement: Measurement | None = None
        self._advice: Advice | None = None
        self._asked: Mapping[str, Any] | None = None  # what was measured, or is being; None where nothing is shown
        self._dropped = False  # what is being measured is about an experiment that is not in the form any more
        self._background: Background[Advice] = Background("device", self)
        self.ask_button = QPushButton(ASK, self)
        self.ask_button.setToolTip(TIP)
        self.ask_button.clicked.connect(self._pressed)
        self.take_button = QPushButton("Take it", self)
        self.take_button.clicked.connect(self._take)
        self.take_button.hide()
        self.words = QLabel(self)
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.words.hide()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.ask_button)
        row.addWidget(self.take_button)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 2)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.words)

    @property
    def busy(self) -> bool:
        return self._background.busy

    def ask(self) -> None:
        """Measure, off the GUI thread; nothing while that is being done."""
        if self.busy:
            return
        experiment = self._experiment()
        if experiment is None:
            self._say("Mend what is wrong in the form first: there is nothing to measure with.")
            return
        self._advice, self._dropped, self._asked = None, False, _what_matters(experiment)
        self.take_button.hide()
        self.ask_button.setText(STOP)
        self.ask_button.setToolTip("End the measurement.")
        self._say(WAIT)
        self._measurement = self._make(experiment)
        self._background.start(self._measurement.run, self._measured, self._failed)

    def _pressed(self) -> None:
        """Ask; while it is being measured, stop that."""
        if self.busy:
            self.forget()
            self.ask_button.setEnabled(False)  # until it has ended
            self._say(STOPPED)
        else:
            self.ask()

    def compare(self, experiment: Experiment | None) -> None:
        """The form says this now (None: nothing that can be measured yet): an answer about something else goes."""
        if self._asked is not None and experiment is not None and _what_matters(experiment) != self._asked:
            self.forget()
            self._say(CHANGED)

    def forget(self) -> None:
        """Another experiment is in the form: what was measured is not about it."""
        self._advice = self._asked = None
        self.take_button.hide()
        self._dropped = self.busy
        if self._measurement is not None:
            self._measurement.stop()
        self._say("")

    def stop(self) -> None:
        """The window is closing: nobody waits for a measurement."""
        if self._measurement is not None:
            self._measurement.stop()
        self._background.wait(5.0)

    def _ended(self) -> None:
        self._measurement = None
        self.ask_button.setEnabled(True)
        self.ask_button.setText(ASK)
        self.ask_button.setToolTip(TIP)

    def _measured(self, advice: Advice) -> None:
        self._ended()
        if self._dropped:
            return
        self._advice = advice
        self._say(advice.sentence)
        threads = f", {advice.threads} thread{'s' if advice.threads != 1 else ''}" if advice.device == "cpu" else ""
        self.take_button.setText(f"Take {advice.device}{threads}")
        self.take_button.setToolTip("Put this into the fields of the device and of the threads.")
        experiment = self._experiment()
        same = experiment is not None and (experiment.training.device == advice.device
                                           and (not threads or experiment.training.threads == advice.threads))
        self.take_button.setVisible(not same)

    def _failed(self, error: Exception) -> None:
        self._ended()
        if self._dropped:
            return
        text = str(error)
        self._say(f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}")

    def _take(self) -> None:
        if self._advice is not None:
            self.taken.emit(self._advice.device, self._advice.threads)
            self.take_button.hide()

    def _say(self, text: str) -> None:
        self.words.setText(text)
        self.words.setVisible(bool(text))

    def restyle(self, theme: Theme) -> None:
        palette = self.words.palette()
        for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text):  # Text: where it can be selected
            palette.setColor(role, QColor(theme.muted))
        self.words.setPalette(palette)


def _what_matters(experiment: Experiment) -> Mapping[str, Any]:
    """The part of an experiment that the speed of its steps depends on."""
    data = experiment.model_dump(include=_PARTS)
    data["training"] = {name: value for name, value in data["training"].items() if name not in _NO_MATTER}
    return data
