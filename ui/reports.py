"""What the window says about a run: what to look at, what went wrong, and what can be done about it."""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, get_args

from PySide6.QtCore import QObject

from core.choices import RATED, OptimizerKind
from studio.experiment import ExperimentError
from studio.messages import Event, RunState
from ui.banner import DANGER, HINT, WARNING, Notice

if TYPE_CHECKING:
    from ui.main_window import MainWindow

#: The method that would do, in the words in which studio refuses one for which there is no memory.
WOULD_FIT = re.compile(rf"\b(?P<kind>{'|'.join(get_args(OptimizerKind))})"
                       r"(?:, which needs [^,;]+, would do| has no such limit)")

log = logging.getLogger("pinnscope")

#: Events that are worth a line in the status bar.
_QUIET = frozenset({"engine", "weight", "balancing", "learning_rate", "resumed", "phase", "optimizer", "change", "undo",
                    "done", "finish", "demand", "view", "diagnostic", "doctor"})
#: Of these, what comes so often that it waits until the sentence before it can have been read.
_PASSING = frozenset({"optimizer"})
#: Changes that work: what was refused before is not said any more.
_WORKS = frozenset({"change", "undo"})


class Reports(QObject):
    """Turns states and events into notices of one window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._failed: set[int] = set()
        self._unbegun: set[int] = set()  # lanes whose run was refused before its first step
        self._errors: dict[int, str] = {}  # tracebacks by lane, until the state says that it failed
        self._refusals: dict[int, str] = {}  # by lane, why the last change could not be made
        self._ends: dict[int, str] = {}  # by lane, why its last method ended by itself

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
        self._unbegun.clear()
        for told in (self._errors, self._refusals, self._ends):
            told.clear()
        for key in ("look", "refused", "disk", "check", "change", "done", *self._lane_keys()):
            self._window.banner.take_back(key)

    # -- what happens ------------------------------------------------------------------------------------------

    def happened(self, lane: int, event: Event) -> None:
        match event.kind:
            case "nan":
                self._nan(lane, event)
            case "disk":
                self._window.banner.say(Notice("disk", WARNING, self._of(lane, event.text)))
            case "check":
                self._window.banner.say(Notice("check", WARNING, f"{_sentence(event.text)} Is the equation or the "
                                                                 "exact solution mistyped?"))
            case "error":
                self._errors[lane] = event.text
                log.error("%s failed:\n%s", self._window.control.lanes[lane].label, event.text)
            case "refused" if not event.step:
                self._unbegun.add(lane)
            case "change-refused":
                self._refusals[lane] = event.text
                self._say_by_lane("change", WARNING, self._refusals)
            case kind if kind in _QUIET:
                self._window.runbar.say(self._of(lane, event.text), passing=kind in _PASSING)
        if event.kind in _WORKS and self._refusals.pop(lane, ""):
            self._say_by_lane("change", WARNING, self._refusals)  # another lane may have refused what this one did
        if event.kind == "done" and _of_last_phase(event):  # the run is over earlier than was planned
            self._ends[lane] = event.text
            self._say_by_lane("done", HINT, self._ends)

    def _nan(self, lane: int, event: Event) -> None:
        """What can be done about it: a method without a learning rate would come to the same place again."""
        control, status = self._window.control, self._window.control.statuses[lane]
        actions: list[tuple[str, Callable[[], None]]] = []
        if control.kind_of(lane) in RATED:
            actions.append(("Go on with half the learning rate", lambda: control.recover(lane)))
        else:
            if status.changes:
                actions.append(("Undo the last change and go on", lambda: control.undo_and_go_on(lane)))
            if status.phase < status.phases:
                actions.append(("Go on with the next phase", lambda: control.go_on_with_next_phase(lane)))
        actions.append(("Stop", lambda: control.stop_lane(lane)))
        self._window.banner.say(Notice(
            f"nan {lane}", DANGER, f"{self._who(lane)} is paused at step {event.step:,}: {_sentence(event.text)}",
            tuple(actions)))

    def state_changed(self, state: RunState) -> None:
        """A lane that failed says why, once; a lane that goes on is no longer paused by a NaN."""
        control = self._window.control
        for lane, status in control.statuses.items():
            if status.state is RunState.FAILED and lane not in self._failed:
                self._failed.add(lane)
                reason = status.message or "the training failed"
                begun = lane not in self._unbegun
                self._window.banner.say(Notice(
                    f"failed {lane}", DANGER,
                    f"{self._who(lane)} {'has failed' if begun else 'cannot begin'}: {_sentence(reason)}",
                    () if begun else self._instead(lane, reason), details=self._errors.get(lane, "")))
            if status.state is not RunState.PAUSED:
                self._window.banner.take_back(f"nan {lane}")

    def _instead(self, lane: int, reason: str) -> tuple[tuple[str, Callable[[], None]], ...]:
        """A button for the method that the refusal itself names, where the one of the form does not fit the memory."""
        found, experiment = WOULD_FIT.search(reason), self._window.form.experiment
        own = self._window.control.lanes[lane].experiment.optimizer.kind
        if found is None or experiment is None or experiment.optimizer.kind != own:
            return ()
        kind = found["kind"]
        return ((f"Put {kind} into the form", lambda: self._put_method(kind)),)

    def _put_method(self, kind: str) -> None:
        try:
            self._window.form.change({"optimizer.kind": kind})
        except ExperimentError as error:
            self.refused(f"the form cannot take {kind}: {error}")
        else:
            self._window.runbar.say(f"{kind} is in the form; Start makes a run with it.")

    # -- words -------------------------------------------------------------------------------------------------

    def _who(self, lane: int) -> str:
        """A lane's name where there are several: alone it has the name of its experiment, which is no subject."""
        lanes = self._window.control.lanes
        return lanes[lane].label if len(lanes) > 1 else "The run"

    def _of(self, lane: int, text: str) -> str:
        """What a lane says, as a sentence."""
        lanes = self._window.control.lanes
        return f"{lanes[lane].label}: {_sentence(text)}" if len(lanes) > 1 else _sentence(_capital(text))

    def _say_by_lane(self, key: str, level: str, told: Mapping[int, str]) -> None:
        """One notice for all lanes, which often have the same to say; none where none has."""
        lanes = self._window.control.lanes
        if not told:
            self._window.banner.take_back(key)
            return
        if len(told) == len(lanes) > 1 and len(set(told.values())) == 1:
            text = f"{' and '.join(lane.label for lane in lanes)}: {_sentence(next(iter(told.values())))}"
        else:
            text = " ".join(self._of(lane, told[lane]) for lane in sorted(told))
        self._window.banner.say(Notice(key, level, text))

    def _lane_keys(self) -> list[str]:
        return [f"{word} {lane}" for word in ("nan", "failed") for lane in range(len(self._window.control.lanes))]

    def refused(self, sentence: str) -> None:
        self._window.banner.say(Notice("refused", WARNING, _sentence(_capital(sentence))))

    # -- the program's own errors ------------------------------------------------------------------------------

    def exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """An error of the program itself: nothing is lost, and the person hears of it."""
        text = "".join(traceback.format_exception(kind, error, trace))
        self._window.banner.say(Notice("exception", DANGER, f"Something in the window went wrong ({kind.__name__}: "
                                       f"{error}). A run goes on all the same.", details=text))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _of_last_phase(event: Event) -> bool:
    """Whether no phase follows the one that an event tells of."""
    try:
        value = json.loads(event.value)
        return bool(value["phase"] == value["phases"])
    except (ValueError, KeyError, TypeError):  # of another version
        return True


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
