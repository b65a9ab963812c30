"""Time travel: the panels as they were at an earlier step, from the frames that the run files keep."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from core.frames import Frame
from studio.messages import ENDED
from studio.runfile import Run, RunFileError, load_run
from ui.background import Background
from ui.governor import in_sight
from ui.panels.panel import Lane
from ui.replay import KINDS, Replay
from ui.run_control import ALWAYS

if TYPE_CHECKING:
    from ui.main_window import MainWindow

LOOK_EVERY = 1000  # ms between two looks at what has been recorded since
KEPT = 96  # decoded frames of a lane that are kept
PLAYED = 8.0  # recorded steps per second of playing at speed 1
PLAY_EVERY = 33  # ms

Steps = Mapping[str, Sequence[int]]


class Recording:
    """The frames of one lane's run file, also while it is written: the file is the truth, in a thread or not."""

    def __init__(self, path: Path, run: Run | None = None) -> None:
        self.path = path
        self.run = run
        self.steps: Steps = {}
        self._frames: OrderedDict[tuple[str, int], Frame] = OrderedDict()

    def look(self) -> tuple[Run, Steps]:
        """Which steps have frames now, by kind. Slow the first time; for any thread. Raises RunFileError."""
        run = self.run if self.run is not None else load_run(self.path)
        found = {kind: run.frame_steps(kind) for kind in KINDS}
        return run, {kind: steps for kind, steps in found.items() if steps}

    def has_seen(self, seen: tuple[Run, Steps]) -> None:
        """What `look` has found, on the thread that reads frames."""
        self.run, self.steps = seen

    def frames(self, step: float, kinds: Iterable[str]) -> dict[str, Frame]:
        """Of each of the kinds the frame of the last step at or before this one, where there is any.

        Raises RunFileError for one that cannot be read.
        """
        found: dict[str, Frame] = {}
        for kind in kinds:
            steps = self.steps.get(kind, ())
            place = bisect_right(steps, step) - 1
            if place >= 0:
                found[kind] = self._frame(kind, steps[place])
        return found

    def forget(self) -> None:
        """Drop the decoded frames."""
        self._frames.clear()

    def _frame(self, kind: str, step: int) -> Frame:
        key = (kind, step)
        if key in self._frames:
            self._frames.move_to_end(key)
            return self._frames[key]
        assert self.run is not None  # there are steps only once it was read
        frame = self._frames[key] = self.run.frame(kind, step)
        if len(self._frames) > KEPT:
            self._frames.popitem(last=False)
        return frame


def nearest(steps: Sequence[int], step: float) -> int:
    """The one of increasing steps that is nearest to `step`."""
    place = bisect_left(steps, step)
    around = steps[max(place - 1, 0): place + 1] or steps[-1:]
    return min(around, key=lambda one: abs(one - step))


class Travel(QObject):
    """Where the window is in time: at the newest step, or at an earlier one that was recorded."""

    moved = Signal()  # to another step, or to live
    seen = Signal()  # what is recorded has changed, or why nothing is

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.at: int | None = None  # None: live
        self.problem = ""  # why there is nothing to go back to, as a sentence; '' for no reason
        self.recordings: dict[int, Recording] = {}
        self.playing = False
        self.speed = 1.0
        self._kinds: frozenset[str] = frozenset()  # that are drawn at `at`
        self._wish: float | None = None
        self._begun, self._from = 0.0, 0
        self._reading: Background[dict[int, tuple[Run, Steps]]] = Background("reading the recorded steps", self)
        self._again = QTimer(self)
        self._again.setInterval(LOOK_EVERY)
        self._again.timeout.connect(self.look)
        self._soon = QTimer(self)  # several moves of the handle before the next picture are one
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._go_where_wished)
        self._play = QTimer(self)
        self._play.setInterval(PLAY_EVERY)
        self._play.timeout.connect(self._play_on)
        window.control.changed.connect(self._state_changed)

    # -- which runs --------------------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        """Another run: its panels are empty and show what is newest."""
        self.pause()
        self.at, self.problem, self.recordings = None, "", {}
        self.moved.emit()
        self.seen.emit()

    def open(self, runs: Sequence[Replay]) -> None:
        """Kept runs, one for each lane."""
        self.recordings = {lane: Recording(run.path, run.run) for lane, run in enumerate(runs)}
        self.look()

    def stop(self) -> None:
        """The window is about to close."""
        self.pause()
        self._again.stop()
        self._soon.stop()
        self._reading.wait(2.0)

    def _state_changed(self) -> None:
        if self._window.control.sessions and not self._again.isActive():
            self._again.start()

    def look(self) -> None:
        """See in the background what the files have by now."""
        if self._reading.busy:
            return
        self._find_files()
        recordings = dict(self.recordings)
        if recordings:
            self._reading.start(lambda: {lane: one.look() for lane, one in recordings.items()},
                                lambda found: self._has_seen(recordings, found), self._cannot_see)
        if not self._grows():
            self._again.stop()  # this was the last look: what is over does not grow

    def _grows(self) -> bool:
        control = self._window.control
        return any(status.state not in ENDED for status in control.statuses.values())

    def _find_files(self) -> None:
        control = self._window.control
        for lane, session in enumerate(control.sessions):
            status = control.statuses.get(lane)
            if status is None or not status.step:
                continue  # the file is made while the run is prepared
            path = session.run_file
            if path is None:
                self._say("This run is not recorded, so there is no way back to its earlier steps.")
            elif lane not in self.recordings or self.recordings[lane].path != path:
                self.recordings[lane] = Recording(path)

    def _has_seen(self, asked: Mapping[int, Recording], found: Mapping[int, tuple[Run, Steps]]) -> None:
        before = self.steps()
        for lane, seen in found.items():
            if self.recordings.get(lane) is asked[lane]:  # not of a run that was left meanwhile
                asked[lane].has_seen(seen)
        if self.problem:
            self._say("")
        if self.steps() != before:
            self.seen.emit()

    def _cannot_see(self, error: Exception) -> None:
        self._say(f"The recorded steps cannot be read: {error}")

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self.seen.emit()

    # -- which steps -------------------------------------------------------------------------------------------

    def steps(self) -> list[int]:
        """The recorded steps of all lanes, of the kinds that panels in sight draw; of all kinds where there is none."""
        wanted = self._window.docks.visible_kinds() - ALWAYS
        return self._steps_of(wanted) or self._steps_of(frozenset(KINDS))

    def why_not(self) -> str:
        """Why one cannot go back; '' where one can."""
        if any(one.steps for one in self.recordings.values()):
            return ""
        return self.problem or "No step is recorded yet."

    def _steps_of(self, kinds: Iterable[str]) -> list[int]:
        return sorted({step for one in self.recordings.values() for kind in kinds for step in one.steps.get(kind, ())})

    # -- where to ----------------------------------------------------------------------------------------------

    def wish(self, step: float) -> None:
        """As `go`, but once for all the moves that a hand makes before the next picture."""
        self.pause()
        self._wish = step
        self._soon.start()

    def _go_where_wished(self) -> None:
        if self._wish is not None:
            self.go(self._wish)
            self._wish = None

    def go(self, step: float) -> None:
        """To the recorded step that is nearest. Nothing where nothing is recorded."""
        steps = self.steps()
        if steps and (at := nearest(steps, step)) != self.at:
            self.at = at
            self._show()

    def go_by(self, places: int) -> None:
        """To an earlier (negative) or later recorded step; from the newest on to live."""
        self.pause()
        steps = self.steps()
        if not steps:
            return
        if self.at is None:
            place = len(steps) - 1 + (places + 1 if places < 0 else 0)
            if places < 0 and steps[-1] >= self._window.timeline.newest:
                place -= 1  # the newest one is in sight already
        elif places < 0:
            place = bisect_left(steps, self.at) + places
        else:
            place = bisect_right(steps, self.at) - 1 + places
            if place >= len(steps):
                self.live()
                return
        if places < 0 or self.at is not None:
            self.go(steps[max(0, min(place, len(steps) - 1))])

    def live(self) -> None:
        """Back to what is newest."""
        self.pause()
        if self.at is not None:
            self.at = None
            self._show()

    def refresh(self) -> None:
        """Other panels have come into sight; they need frames of their own kinds."""
        if self.at is not None and not self._window.docks.visible_kinds() <= self._kinds:
            self._show()

    def _show(self) -> None:
        """All panels at this step; those in sight draw at once, whatever the budget: a person has asked for it."""
        window, at = self._window, self.at
        self._kinds = frozenset(window.docks.visible_kinds())
        frames: dict[int, dict[str, Frame]] | None = None
        if at is not None:
            frames = {}
            for lane, recording in self.recordings.items():
                try:
                    frames[lane] = recording.frames(at, self._kinds - ALWAYS)
                except RunFileError as error:
                    window.runbar.say(str(error))
        for panel in window.panels:
            panel.travel(frames, None if at is None else float(at))
        for panel in window.panels:
            if in_sight(panel):
                panel.draw()
        window.governor.excuse()
        self.moved.emit()

    # -- playing -----------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Run through the recorded steps, from here or, from the end, from the first one; pause while it plays."""
        steps = self.steps()
        if self.playing or not steps:
            self.pause()
            return
        at_end = self.at is None or self.at >= steps[-1]
        self.go(steps[0] if at_end else self.at or 0)
        self.playing = True
        self._start_clock()
        self._play.start()
        self.moved.emit()

    def set_speed(self, speed: float) -> None:
        self.speed = speed
        if self.playing:
            self._start_clock()

    def pause(self) -> None:
        """Playing ends where it is."""
        self._play.stop()
        if self.playing:
            self.playing = False
            self.moved.emit()

    def _start_clock(self) -> None:
        self._begun = time.monotonic()
        self._from = bisect_left(self.steps(), self.at or 0)

    def _play_on(self) -> None:
        """To where the clock is: what takes long to draw leaves steps out, and none makes it late."""
        steps = self.steps()
        place = self._from + int((time.monotonic() - self._begun) * PLAYED * self.speed)
        if place >= len(steps):
            self.live()
        else:
            self.go(steps[place])
