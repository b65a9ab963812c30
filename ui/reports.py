"""What the window says about a run: what to look at, what went wrong, and what can be done about it."""

from __future__ import annotations

import logging
import traceback
from types import TracebackType
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from studio.messages import Event, RunState
from ui.banner import DANGER, HINT, WARNING, Notice

if TYPE_CHECKING:
    from ui.main_window import MainWindow

log = logging.getLogger("pinnscope")

#: Events that are worth a line in the status bar.
_QUIET = frozenset({"engine", "weight", "balancing", "learning_rate", "resumed", "phase", "optimizer"})


class Reports(QObject):
    """Turns states and events into notices of one window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._failed: set[int] = set()
        self._errors: dict[int, str] = {}  # tracebacks by lane, until the state says that it failed

    def settings_problems(self) -> None:
        """What was wrong with the settings; said once."""
        problems, self._window.settings_file.problems = self._window.settings_file.problems, []
        if problems:
            self._window.banner.say(Notice("settings", WARNING, " ".join(problems)))

    # -- what to look at ---------------------------------------------------------------------------------------

    def welcome(self) -> None:
        """Before the start: how to begin, and what to look at."""
        self._forget_the_last()
        experiment = self._window.documents.experiment
        if experiment is not None:
            self._window.banner.say(Notice("look", HINT, f"Press Start (space bar). {experiment.look}".strip()))

    def started(self) -> None:
        """The run begins. What to look at stands on the gradient wall; here only where that is not in sight."""
        self._forget_the_last()
        experiment = self._window.form.experiment
        in_sight = any(panel.id == "gradients" and panel.isVisible() for panel in self._window.panels)
        if experiment is not None and experiment.look and self._window.control.sessions and not in_sight:
            self._window.banner.say(Notice("look", HINT, experiment.look))

    def _forget_the_last(self) -> None:
        """What was said of the last run is said of no other."""
        self._failed.clear()
        self._errors.clear()
        for key in ("look", "refused", "disk", "check", *self._lane_keys()):
            self._window.banner.take_back(key)

    # -- what happens ------------------------------------------------------------------------------------------

    def happened(self, lane: int, event: Event) -> None:
        label = self._window.control.lanes[lane].label
        match event.kind:
            case "nan":
                self._nan(lane, label, event)
            case "disk":
                self._window.banner.say(Notice("disk", WARNING, f"{label}: {_sentence(event.text)}"))
            case "check":
                self._window.banner.say(Notice("check", WARNING, f"{_sentence(event.text)} Is the equation or the "
                                                                 "exact solution mistyped?"))
            case "error":
                self._errors[lane] = event.text
                log.error("%s failed:\n%s", label, event.text)
            case kind if kind in _QUIET:
                self._window.runbar.say(f"{label}: {event.text}")

    def _nan(self, lane: int, label: str, event: Event) -> None:
        control = self._window.control
        self._window.banner.say(Notice(
            f"nan {lane}", DANGER,
            f"{label} is paused at step {event.step:,}: {_sentence(event.text)}",
            (("Go on with half the learning rate", lambda: control.recover(lane)),
             ("Stop", lambda: control.stop_lane(lane)))))

    def state_changed(self, state: RunState) -> None:
        """A lane that failed says why, once; a lane that goes on is no longer paused by a NaN."""
        control = self._window.control
        for lane, status in control.statuses.items():
            if status.state is RunState.FAILED and lane not in self._failed:
                self._failed.add(lane)
                reason = status.message or "the training failed"
                self._window.banner.say(Notice(
                    f"failed {lane}", DANGER, f"{control.lanes[lane].label} has failed: {_sentence(reason)}",
                    details=self._errors.get(lane, "")))
            if status.state is not RunState.PAUSED:
                self._window.banner.take_back(f"nan {lane}")

    def _lane_keys(self) -> list[str]:
        return [f"{word} {lane}" for word in ("nan", "failed") for lane in range(len(self._window.control.lanes))]

    def refused(self, sentence: str) -> None:
        self._window.banner.say(Notice("refused", WARNING, _sentence(sentence[:1].upper() + sentence[1:])))

    # -- the program's own errors ------------------------------------------------------------------------------

    def exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """An error of the program itself: nothing is lost, and the person hears of it."""
        text = "".join(traceback.format_exception(kind, error, trace))
        self._window.banner.say(Notice("exception", DANGER, f"Something in the window went wrong ({kind.__name__}: "
                                       f"{error}). A run goes on all the same.", details=text))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
