"""From the form to a run and back: what Start, Pause, One step, Stop and Reset do, and when they cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from studio.messages import ENDED, RunState
from studio.phases import PhaseSpec
from ui import dialogs
from ui.background import Background
from ui.banner import DANGER, WARNING, Notice
from ui.going_on import to_go_on
from ui.governor import Drawable
from ui.panels.panel import Lane
from ui.replay import Replay
from ui.run_control import lanes_of

if TYPE_CHECKING:
    from ui.main_window import MainWindow

BUSY_AFTER = 250  # ms of closing before a window says so


class Conductor(QObject):
    """Leads the run of one window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._control = window.control
        self._shown: tuple[Lane, ...] = ()
        self._kept: tuple[Replay, ...] = ()  # the kept runs in the panels, which nothing has been trained of
        self._form: tuple[Lane, ...] = ()  # what the form said when a kept run was gone on with
        self._asked: tuple[Path, ...] = ()  # the runs that are being read, to be gone on with
        self._reading: Background[list[Replay]] = Background("reading a run to go on with", self)
        self._then: Callable[[], None] | None = None  # what waits for the sessions to be closed
        self._busy: dialogs.BusyDialog | None = None
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(BUSY_AFTER)
        self._patience.timeout.connect(self._say_busy)
        self._control.closed.connect(self._sessions_closed)

    # -- panels ------------------------------------------------------------------------------------------------

    def experiment_opened(self) -> None:
        """Another experiment is in the form: show its empty plots."""
        self._shown, self._kept, self._asked = (), (), ()
        self.show_lanes()

    def show_lanes(self) -> None:
        """Prepare panels for what the form says, where that is another thing than they show."""
        if self._window.form.experiment is None or self._control.sessions:
            return
        lanes = lanes_of(self._window.form.experiment)
        if lanes == self._shown:
            return
        self._shown, self._kept, self._form = lanes, (), ()
        self._control.prepare(lanes)
        self._begin_panels(lanes)

    def _begin_panels(self, lanes: tuple[Lane, ...]) -> None:
        window = self._window
        for panel in window.panels:
            panel.begin(lanes)
        window.runbar.begin(lanes)
        window.timeline.begin(lanes)
        window.journal.begin(lanes)
        window.travel.begin(lanes)
        window.findings.begin(lanes)
        window.governor.start()

    def show_replay(self, run: Replay) -> None:
        """A kept run in the panels."""
        self.show_replays([run])

    def show_replays(self, runs: Sequence[Replay]) -> None:
        """Kept runs in the panels, each in a lane of its own, named as the first one's experiment names its lanes."""
        # The form has this very experiment now; as long as it stays so, the panels are not emptied.
        self._shown = lanes_of(self._window.form.experiment or runs[0].experiment)
        self._begin_panels(self._shown[:len(runs)])
        self._kept = tuple(runs)
        self._show_updates(runs)
        self._window.travel.open(runs)
        self._window.refresh()

    def _show_updates(self, runs: Sequence[Replay]) -> None:
        """What was recorded of each lane, in everything that draws."""
        window = self._window
        drawn: list[Drawable] = [*window.panels, window.runbar, window.timeline, window.journal]
        for lane, run in enumerate(runs):
            for part in drawn:
                part.receive(lane, run.update)
        window.journal.order()

    # -- run ---------------------------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Start, pause, go on, or begin anew: what the first button says."""
        if self.why_not_toggle():
            return
        state = self._control.state
        if state in (RunState.RUNNING, RunState.PREPARING):
            self._control.pause()
            self._window.runbar.wait_for("Pausing ...")
        elif state is RunState.PAUSED:
            self._control.start()
        elif state in ENDED:
            self.release(self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        self._asked = ()  # what is being read is not gone on with any more
        self._prepare_run()
        self._control.start()
        self._window.reports.started()

    def _prepare_run(self) -> None:
        self._window.form.check()
        self._shown = ()
        self.show_lanes()
        self.watch()

    def stop(self) -> None:
        if not self.why_not_stop():
            self._control.stop()
            self._window.runbar.wait_for("Stopping ...")

    def step_once(self) -> None:
        if not self.why_not_step():
            if self._control.state is RunState.READY:
                self._prepare_run()
            self._control.step_once()

    def next_phase(self) -> None:
        self._wait_for("Next phase ...", self._control.next_phase())

    def undo(self) -> None:
        """Take back the last change that was made to the run while it trains."""
        self._control.steer(-1, "undo", None)
        self._wait_for("Undoing ...", self._control.going())

    def switch(self, phase: PhaseSpec) -> list[tuple[str, str]]:
        """Go on with another optimizer; why not, where that cannot be: (path within the phase or '', sentence)."""
        refused = self._control.switch(phase)
        if not refused:
            self._wait_for("Switching ...", self._control.going())
        return refused

    def _wait_for(self, word: str, lanes: Sequence[int]) -> None:
        """A step may take long, and what was asked for comes after it."""
        if lanes:
            self._window.runbar.wait_for(word, lanes)

    # -- going on with a run that is over ----------------------------------------------------------------------

    def go_on(self) -> None:
        """Go on with the run that is shown from its last checkpoint, in its phase and with its changes."""
        if not self.why_not_go_on():
            paths = tuple(run.path for run in self._kept) or tuple(self._control.run_files())
            self.release(lambda: self._read(paths))

    def _read(self, paths: tuple[Path, ...]) -> None:
        self._asked = paths
        self._window.runbar.say(f"Reading {', '.join(path.name for path in paths)} ...")
        self._reading.start(lambda: [to_go_on(path) for path in paths], lambda runs: self._go_on_with(paths, runs),
                            lambda error: self._cannot_go_on(paths, error))
        self._window.refresh()

    def _go_on_with(self, paths: tuple[Path, ...], runs: Sequence[Replay]) -> None:
        if self._asked != paths or self._control.sessions:
            return  # the person has done something else meanwhile
        window, form, named = self._window, self._window.form.experiment, lanes_of(runs[0].experiment)[0].label
        labels = [lane.label for lane in self._control.lanes]  # as they were, where two runs are beside each other
        lanes = tuple(Lane(index, labels[index] if len(runs) > 1 else named, run.experiment)
                      for index, run in enumerate(runs))
        window.runbar.say("")
        self._shown, self._kept, self._asked, self._form = (), (), (), lanes_of(form) if form is not None else ()
        self.watch()
        self._control.prepare(lanes, paths)
        self._begin_panels(lanes)
        self._show_updates(runs)
        self._control.start()
        window.reports.started()

    def _cannot_go_on(self, paths: tuple[Path, ...], error: Exception) -> None:
        if self._asked == paths:
            self._asked = ()
            self._window.runbar.say("")
            self._window.banner.say(Notice("open", DANGER, f"This run cannot be gone on with. {error}"))
        self._window.refresh()

    def why_not_go_on(self) -> str:
        """Why the run that is shown cannot be gone on with, as far as that is known without reading its file."""
        if self._control.closing:
            return "The last run is being closed."
        if self._reading.busy:
            return "The run is being read."
        if self._control.unfinished:
            return "A run is going on."
        statuses = [run.update.status for run in self._kept] or [*self._control.statuses.values()]
        if not statuses or any(status.state not in ENDED for status in statuses):
            return "Open a run first, or stop one."
        if any(status.state is RunState.FINISHED for status in statuses):
            return "The run has finished."
        if not all(status.step for status in statuses):
            return "No step was made; Start trains it."
        kept = bool(self._kept) or len(self._control.run_files()) == len(statuses)
        return "" if kept else "This run is in no file."

    def wait(self, timeout: float) -> bool:
        return self._reading.wait(timeout)

    def reset(self) -> None:
        """Back to the start; a run that is going is stopped and kept, if the person says so."""
        if self.leave_run("go back to the start"):
            self._shown = ()
            self._window.reports.welcome()

    def leave_run(self, what: str) -> bool:
        """Make room for another experiment. Asks where a run is going; False where the person stays with it."""
        if self._control.unfinished:
            answer = dialogs.ask(
                self._window, "A run is going on",
                f"The run is at {self.steps()}. To {what}, it has to stop. It is kept in its run file.",
                (("stop", "Stop and keep the run"), ("stay", "Go on with it")), safe="stay")
            if answer != "stop":
                return False
        self.release(self.form_changed)
        return True

    def form_changed(self) -> None:
        """While nothing runs, the panels show what the form says."""
        if self._control.state is RunState.READY and not self._control.closing:
            self.show_lanes()
        self._window.refresh()

    def release(self, then: Callable[[], None]) -> None:
        self._then = then
        if not self._control.closing:
            self._control.release()
        if self._control.closing:
            self._patience.start()

    def _say_busy(self) -> None:
        if self._control.closing and self._busy is None:
            self._busy = dialogs.BusyDialog(self._window, "Stopping, and keeping the run ...")
            self._busy.show()

    def _sessions_closed(self, clean: bool) -> None:
        self._patience.stop()
        if self._busy is not None:
            self._busy.hide()
            self._busy.deleteLater()
            self._busy = None
        if not clean:
            self._window.banner.say(Notice(
                "wedged", WARNING, "A run did not end in time; it goes on in the background until the program ends. "
                "Its file is kept up to the last checkpoint."))
        then, self._then = self._then, None
        if then is not None:
            then()

    def steps(self) -> str:
        step = max((status.step for status in self._control.statuses.values()), default=0)
        total = max((status.total_steps for status in self._control.statuses.values()), default=0)
        return f"step {step:,} of {total:,}"

    def watch(self) -> None:
        self._control.watch(self._window.docks.visible_kinds())

    # -- what can be done --------------------------------------------------------------------------------------

    def why_not_run(self) -> str:
        if self._control.closing:
            return "The last run is being closed."
        if self._window.form.problems:
            count = len(self._window.form.problems)
            return (f"{count} fields of the form cannot be used as they are." if count > 1
                    else "One field of the form cannot be used as it is.")
        return "" if self._window.form.experiment is not None else "Choose an experiment first."

    def why_not_toggle(self) -> str:
        going = self._control.state in (RunState.RUNNING, RunState.PREPARING, RunState.PAUSED)
        return "" if going and not self._control.closing else self.why_not_run()

    def why_not_step(self) -> str:
        state = self._control.state
        if state is RunState.PAUSED:
            return ""
        if state is RunState.READY:
            return self.why_not_run()
        return "The run has ended; Reset first." if state in ENDED else "Pause first."

    def why_not_stop(self) -> str:
        return "" if self._control.unfinished else "Nothing is running."

    def why_not_undo(self) -> str:
        statuses = self._control.statuses.values()
        if statuses and all(status.state in ENDED for status in statuses):
            return "The run has ended."
        if not statuses:
            return "This run is shown as it was recorded. Go on with it first." if self._kept else "Nothing is running."
        if any(status.changes and status.state not in ENDED for status in statuses):
            return ""
        return ("Nothing was changed since this run was gone on with; what was changed before stays."
                if self._control.resumed else "Nothing was changed while this run trains.")

    def why_not_next_phase(self) -> str:
        if not self._control.unfinished:
            return "Nothing is running."
        return "" if self._control.may_go_on() else "No phase comes after this one."

    def why_not_switch(self) -> str:
        going = self._control.state in (RunState.RUNNING, RunState.PAUSED)
        return "" if going and self._control.unfinished else "Nothing is running."

    def why_not_reset(self) -> str:
        if self._control.closing:
            return "The last run is being closed."
        return "" if self._control.sessions else "Nothing has been started."

    def why_not_save(self) -> str:
        return self.why_not_run() if self._window.form.experiment is None else ""

    def why_not_open_run(self) -> str:
        return "The last run is being closed." if self._control.closing else ""

    def form_differs(self) -> bool:
        """Whether the form says another thing than what runs."""
        experiment = self._window.form.experiment
        begun = self._form or self._control.lanes
        return bool(self._control.sessions) and experiment is not None and lanes_of(experiment) != begun
