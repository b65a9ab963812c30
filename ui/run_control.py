"""The sessions behind the window's lanes: one set of commands for all of them, one state, and a closing that never
makes the window wait."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtCore import QObject, Signal

from studio.alterations import check_switch
from studio.experiment import Experiment, ExperimentError
from studio.findings import Remedy
from studio.messages import ENDED, RunState, Status, Update
from studio.phases import PhaseSpec
from ui.background import Background
from ui.panels.panel import Lane

NOT_STEERED = "There is no run to steer yet. Press Start first, or set the value in the form."
NOT_COMPUTED = ("Nothing can be computed here: no network is in training, and a run that was opened from its file is "
                "shown as it was recorded. Press Start first.")
CLOSING_TIMEOUT = 10.0  # seconds that a session gets to write its checkpoint

_PHASE = re.compile(r"phases\.\d+\.?")  # heads the paths of a phase's own settings

#: Kinds that come with every update, whoever looks.
ALWAYS = frozenset({"scalars", "status"})

#: Sessions that did not end in time; kept, because what a running thread uses must not be collected.
wedged: list[SessionLike] = []

#: The lane that decides what the window as a whole is doing, the most active first.
_RANK = (RunState.RUNNING, RunState.PREPARING, RunState.PAUSED, RunState.READY, RunState.FAILED, RunState.STOPPED,
         RunState.FINISHED)


class SessionLike(Protocol):
    """The part of studio's Session that the window uses."""

    @property
    def run_file(self) -> Path | None: ...
    def start(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def step_once(self) -> None: ...
    def stop(self) -> None: ...
    def set_weight(self, term: str, value: float) -> None: ...
    def set_balancing(self, rule: str) -> None: ...
    def set_learning_rate(self, value: float) -> None: ...
    def demand(self, kind: str, options: Mapping[str, Any]) -> None: ...
    def view(self, kind: str, options: Mapping[str, Any]) -> None: ...
    def change(self, remedy: Remedy) -> None: ...
    def undo(self) -> None: ...
    def next_phase(self) -> None: ...
    def switch(self, phase: PhaseSpec) -> None: ...
    def watch(self, kinds: Iterable[str]) -> None: ...
    def take(self) -> Update: ...
    def close(self, timeout: float = 10.0) -> bool: ...


def lanes_of(experiment: Experiment) -> tuple[Lane, ...]:
    """The experiment and its variants, each with the name that panels show."""
    experiments = experiment.lanes()
    fallback = [experiment.name] if len(experiments) == 1 else [f"{experiment.name} {i + 1}" for i in
                                                                range(len(experiments))]
    return tuple(Lane(index, one.label or fallback[index], one) for index, one in enumerate(experiments))


class RunControl(QObject):
    """Starts, steers and closes the sessions of all lanes."""

    changed = Signal()  # the state, or what can be done in it
    happened = Signal(int, object)  # lane, Event
    found = Signal(int, object)  # lane, tuple of the doctor's findings: they are others than before
    refused = Signal(str)  # a command that made no sense, as a sentence
    closed = Signal(bool)  # the sessions are gone; False: one did not end in time

    def __init__(self, make: Callable[..., SessionLike], parent: QObject | None = None) -> None:
        """make: a session for an experiment; of a run that is gone on with also `resume_from`, its file."""
        super().__init__(parent)
        self._make = make
        self.resumed: tuple[Path, ...] = ()  # the runs that are gone on with, one for each lane; none for new ones
        self.lanes: tuple[Lane, ...] = ()
        self.sessions: list[SessionLike] = []
        self.statuses: dict[int, Status] = {}
        self._kinds: frozenset[str] = frozenset()
        self._rates: dict[int, float] = {}  # the learning rate that each lane's decay starts from
        self._closing: Background[bool] = Background("closing", self)

    # -- state -------------------------------------------------------------------------------------------------

    @property
    def state(self) -> RunState:
        """What the window as a whole is doing: the state of its most active lane."""
        if not self.sessions:
            return RunState.READY
        states = {status.state for status in self.statuses.values()}
        return next(state for state in _RANK if state in states)

    @property
    def closing(self) -> bool:
        return self._closing.busy

    @property
    def unfinished(self) -> bool:
        """A run has begun and could go on."""
        return any(self.statuses[lane].state not in ENDED | {RunState.READY} for lane in range(len(self.sessions)))

    def run_files(self) -> list[Path]:
        return [session.run_file for session in self.sessions if session.run_file is not None]

    # -- commands ----------------------------------------------------------------------------------------------

    def prepare(self, lanes: tuple[Lane, ...], resumed: tuple[Path, ...] = ()) -> None:
        """The lanes of the next run, or of kept ones that are gone on with. Sessions must have been released."""
        if self.sessions:
            raise RuntimeError("release the sessions before preparing another run")
        self.lanes, self.resumed = lanes, resumed
        self.statuses = {}
        self._rates = {}
        self.changed.emit()

    def start(self) -> None:
        """Start, or go on after a pause; nothing where a run is going or has ended."""
        if self.closing or not self._open_sessions():
            return
        for lane, session in enumerate(self.sessions):
            match self.statuses[lane].state:
                case RunState.READY:
                    self._note(lane, RunState.PREPARING)
                    session.start()
                case RunState.PAUSED:
                    session.resume()
        self.changed.emit()

    def pause(self) -> None:
        self._each(lambda session: session.pause(), {RunState.RUNNING, RunState.PREPARING})

    def step_once(self) -> None:
        """One step in every lane that stands still, then pause."""
        if not self.closing and self._open_sessions():
            for lane, session in enumerate(self.sessions):
                if self.statuses[lane].state is RunState.READY:
                    self._note(lane, RunState.PREPARING)
                    session.step_once()
                elif self.statuses[lane].state is RunState.PAUSED:
                    session.step_once()
            self.changed.emit()

    def stop(self) -> None:
        self._each(lambda session: session.stop(), {RunState.RUNNING, RunState.PREPARING, RunState.PAUSED})

    def steer(self, lane: int, kind: str, value: object) -> None:
        """A command of a panel to the sessions, in the words of `Panel.command`; lane -1 is all of them."""
        if not self.sessions:
            self.refused.emit(NOT_COMPUTED if kind in ("demand", "view") else NOT_STEERED)
            return
        for index, session in enumerate(self.sessions):
            if lane in (-1, index) and self.statuses[index].state not in ENDED:
                try:
                    _apply(session, kind, value)
                    if kind == "learning_rate" and isinstance(value, (int, float)):
                        self._rates[index] = float(value)
                except ValueError as error:
                    self.refused.emit(str(error))
                    return

    def may_go_on(self) -> bool:
        """Whether some lane has a phase after the one that it is in."""
        return any(status.state in (RunState.RUNNING, RunState.PAUSED) and status.phase < status.phases
                   for status in self.statuses.values())

    def going(self) -> list[int]:
        """The lanes that have not ended."""
        return [lane for lane in range(len(self.sessions)) if self.statuses[lane].state not in ENDED]

    def next_phase(self) -> list[int]:
        """End the present phase of every lane that has a next one; these lanes."""
        told = [lane for lane in self.going() if self.statuses[lane].phase < self.statuses[lane].phases]
        for lane in told:
            self.sessions[lane].next_phase()
        return told

    def switch(self, phase: PhaseSpec) -> list[tuple[str, str]]:
        """Go on with another optimizer in every lane. Where one refuses: (path within the phase or '', sentence)."""
        going = self.going()
        if not going:
            return [("", NOT_STEERED)]
        try:
            for lane in going:  # all of them before any is told: no lane goes on without the other
                check_switch(self.lanes[lane].experiment, phase)
            for lane in going:
                self.sessions[lane].switch(phase)
        except ExperimentError as error:
            return [(_PHASE.sub("", path), text) for path, text in error.problems]
        except ValueError as error:
            return [("", str(error))]
        return []

    def kind_of(self, lane: int) -> str:
        """The optimizer that makes a lane's steps now, as its kind is called."""
        return self.statuses[lane].phase_name or self.lanes[lane].experiment.optimizer.kind

    def recover(self, lane: int) -> None:
        """After a NaN: go on from the last good state with half the learning rate."""
        if lane < len(self.sessions) and self.statuses[lane].state is RunState.PAUSED:
            self.steer(lane, "learning_rate", self._rates.get(lane, self._planned_rate(lane)) / 2)
            self.sessions[lane].resume()

    def undo_and_go_on(self, lane: int) -> None:
        """After a NaN: go on without the change that led there."""
        if lane < len(self.sessions) and self.statuses[lane].state is RunState.PAUSED:
            self.steer(lane, "undo", None)
            self.sessions[lane].resume()

    def go_on_with_next_phase(self, lane: int) -> None:
        """After a NaN: leave the phase that cannot go on."""
        if lane < len(self.sessions) and self.statuses[lane].state is RunState.PAUSED:
            self.sessions[lane].next_phase()
            self.sessions[lane].resume()

    def _planned_rate(self, lane: int) -> float:
        """The learning rate that the decay of the present phase starts from; of a phase that was put in, the newest."""
        status, experiment = self.statuses[lane], self.lanes[lane].experiment
        if status.phase == 1:
            return experiment.optimizer.learning_rate
        known = not status.changes and status.phase - 2 < len(experiment.phases)
        return experiment.phases[status.phase - 2].optimizer.learning_rate if known else status.learning_rate

    def stop_lane(self, lane: int) -> None:
        if lane < len(self.sessions) and self.statuses[lane].state not in ENDED:
            self.sessions[lane].stop()

    def watch(self, kinds: Iterable[str]) -> None:
        """The kinds of frames that somebody looks at now."""
        wanted = frozenset(kinds) - ALWAYS
        if wanted != self._kinds:
            self._kinds = wanted
            for session in self.sessions:
                session.watch(wanted)

    # -- what comes back ---------------------------------------------------------------------------------------

    def take(self) -> list[tuple[int, Update]]:
        """Everything new, by lane. Called by the governor; tells of changes of state and of events."""
        updates: list[tuple[int, Update]] = []
        found: list[tuple[int, object]] = []
        moved = False
        for lane, session in enumerate(self.sessions):
            update = session.take()
            before = self.statuses.get(lane)
            begun = before is not None and before.state is RunState.PREPARING
            if begun and update.status.state is RunState.READY:
                continue  # the thread has not come round to its start yet
            self.statuses[lane] = update.status
            if before is not None and before.phase != update.status.phase:
                self._rates.pop(lane, None)  # it was another phase's
            if before is None or _shape(before) != _shape(update.status):
                moved = True
            if update.status.findings != (before.findings if before is not None else ()):
                found.append((lane, update.status.findings))
            if update.scalars or update.frames or update.events or before != update.status:
                updates.append((lane, update))
        for lane, update in updates:
            for event in update.events:
                self.happened.emit(lane, event)
        for lane, findings in found:
            self.found.emit(lane, findings)
        if moved:
            self.changed.emit()
        return updates

    # -- closing -----------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Close all sessions in the background; `closed` follows, at once where there is nothing to close."""
        if self.closing:
            return
        sessions, self.sessions, self.statuses = self.sessions, [], {}
        if not sessions:
            self.closed.emit(True)
            return
        self._closing.start(lambda: _close_all(sessions, CLOSING_TIMEOUT), self._has_closed)
        self.changed.emit()

    def close_now(self, timeout: float = CLOSING_TIMEOUT) -> bool:
        """Close everything and wait: only for a process that is about to end."""
        sessions, self.sessions, self.statuses = self.sessions, [], {}
        return _close_all(sessions, timeout) and self._closing.wait(timeout)

    def _has_closed(self, clean: bool) -> None:
        self.changed.emit()
        self.closed.emit(clean)

    # -- small things ------------------------------------------------------------------------------------------

    def _open_sessions(self) -> bool:
        """One session for each lane, where there are none. False, with a sentence, where that fails."""
        if self.sessions or not self.lanes:
            return bool(self.sessions)
        try:
            if self.resumed:
                self.sessions = [self._make(lane.experiment, resume_from=path)
                                 for lane, path in zip(self.lanes, self.resumed, strict=True)]
            else:
                self.sessions = [self._make(lane.experiment) for lane in self.lanes]
        except (OSError, ValueError) as error:
            self.refused.emit(f"The run cannot start: {error}")
            return False
        for lane, session in enumerate(self.sessions):
            session.watch(self._kinds)
            self._note(lane, RunState.READY)
        return True

    def _note(self, lane: int, state: RunState) -> None:
        steps = self.lanes[lane].experiment.total_steps
        self.statuses[lane] = Status(state=state, step=0, total_steps=steps)

    def _each(self, command: Callable[[SessionLike], None], states: set[RunState]) -> None:
        for lane, session in enumerate(self.sessions):
            if self.statuses[lane].state in states:
                command(session)


def _shape(status: Status) -> tuple[object, ...]:
    """What decides what can be done."""
    return status.state, status.changes, status.phase, status.phases


def _close_all(sessions: list[SessionLike], timeout: float) -> bool:
    """Stop and close all of them. True when none is left behind."""
    for session in sessions:
        session.stop()  # all of them first, so that they end side by side
    clean = True
    for session in sessions:
        if not session.close(timeout):
            clean = False
            wedged.append(session)
    return clean


def _apply(session: SessionLike, kind: str, value: object) -> None:
    match kind, value:
        case "weight", (term, int() | float() as number):
            session.set_weight(str(term), number)
        case "balancing", _:
            session.set_balancing(str(value))
        case "learning_rate", int() | float():
            session.set_learning_rate(float(value))
        case "demand", (str(what), Mapping() as options):
            session.demand(what, options)
        case "view", (str(what), Mapping() as options):
            session.view(what, options)
        case "change", Remedy():
            session.change(value)
        case "undo", None:
            session.undo()
        case _:
            raise ValueError(f"'{kind}' with {value!r} is nothing that a run can be told")
