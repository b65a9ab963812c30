"""One experiment being trained in the background: commands in, updates out. Knows no torch until it runs."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from core.choices import RULES
from studio.alterations import altered, changeable, check_switch
from studio.experiment import Experiment
from studio.findings import Remedy
from studio.mailbox import Mailbox
from studio.messages import ENDED, Event, RunState, Status, Update
from studio.phases import PhaseSpec
from studio.remote import RemoteRunner
from studio.runfile import RunFileError, default_runs_folder, free_path

Command = tuple[str, object]


class Session:
    """Trains an experiment in a background thread, or in a process of its own (`isolate`).

    Every command returns at once and is applied between two steps. `take` never blocks. All methods are called from
    one thread, usually the window's.

    runs_folder: where the run file goes, the default folder where None; `record=False` keeps no file.
    resume_from: a run file whose newest checkpoint is gone on from. The run gets a file of its own, which begins
    with what the old one recorded up to there; the old one is not touched.
    """

    def __init__(self, experiment: Experiment, *, runs_folder: Path | None = None, isolate: bool = False,
                 record: bool = True, resume_from: Path | None = None) -> None:
        self.experiment = experiment
        self.isolate = isolate
        self._path: Path | None = None
        self._resume_from = resume_from
        self._runs_folder = runs_folder
        self._record = record
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._mailbox = Mailbox(Status(
            state=RunState.READY, step=0, total_steps=experiment.total_steps, phases=len(experiment.phases) + 1,
            phase_name=experiment.optimizer.kind, phase_steps=experiment.training.steps,
            learning_rate=experiment.optimizer.learning_rate, balancing=experiment.balancing.rule,
            weights={t: experiment.balancing.weights.get(t, 1.0) for t in experiment.problem.build().terms}))
        self._thread: threading.Thread | None = None

    # ------------------------------------------------------------------ commands

    def start(self) -> None:
        """Start, or go on where it was paused. Harmless when running or ended."""
        if self._thread is None:
            self._begin(("resume", None))
        else:
            self.resume()

    def pause(self) -> None:
        """Stop between two steps; a checkpoint is written."""
        self._send("pause")

    def resume(self) -> None:
        """Go on."""
        self._send("resume")

    def step_once(self) -> None:
        """Make one step, then pause. From the start or from a pause."""
        if self._thread is None:
            self._begin(("step", None))
        else:
            self._send("step")

    def stop(self) -> None:
        """End the run; its file is kept with a checkpoint."""
        if self._thread is None:
            self._mailbox.put_status(state=RunState.STOPPED)
        self._send("stop")

    def set_weight(self, term: str, value: float) -> None:
        """Set one loss term's weight. Raises ValueError with a sentence."""
        terms = tuple(self._mailbox.status.weights)  # slope recovery may have come while it trains
        if term not in terms:
            raise ValueError(f"there is no loss term '{term}'; the terms are {', '.join(terms)}")
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"a weight is zero or a positive number; {value:g} is not")
        self._send("weight", (term, float(value)))

    def set_balancing(self, rule: str) -> None:
        """Change the balancing rule. Raises ValueError with a sentence."""
        if rule not in RULES:
            raise ValueError(f"there is no balancing rule '{rule}'; the rules are {', '.join(RULES)}")
        self._send("balancing", rule)

    def set_learning_rate(self, value: float) -> None:
        """Set the learning rate that the decay starts from. Raises ValueError with a sentence."""
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"a learning rate is a positive number; {value:g} is not")
        self._send("learning_rate", float(value))

    def change(self, remedy: Remedy) -> None:
        """Go on with other settings. Raises ExperimentError with a sentence where they make no sense.

        In a later phase, settings that it has of its own, such as 'optimizer.clip', are changed there.
        What was learned is kept as far as it fits; the journal has the change, and `undo` takes it back.
        """
        changeable(remedy)
        if self._mailbox.status.phase == 1:
            altered(self.experiment, remedy)  # told at once; after other changes or phases the journal says why not
        self._send("change", remedy)

    def next_phase(self) -> None:
        """Go on with the next phase now, also where this one is not over."""
        self._send("next_phase")

    def switch(self, phase: PhaseSpec) -> None:
        """Go on with this phase now; the phases that are to follow follow it. `undo` takes it back.

        Raises ExperimentError with a sentence where it makes no sense in this experiment.
        """
        check_switch(self.experiment, phase)
        self._send("switch", phase)

    def undo(self) -> None:
        """Take the last change back."""
        self._send("undo")

    def demand(self, kind: str, options: Mapping[str, Any] | None = None) -> None:
        """Compute a frame once: 'spectrum' or 'landscape', with options. 'stop' abandons what is being computed.

        Also after the end of the run, until it is closed.
        """
        self._commands.put(("demand", (kind, dict(options or {}))))

    def view(self, kind: str, options: Mapping[str, Any]) -> None:
        """What a diagnostic looks at from now on: of 'fields' the axes and where the other inputs are held."""
        self._commands.put(("view", (kind, dict(options))))

    def watch(self, kinds: Iterable[str]) -> None:
        """Which kinds of frame somebody looks at. Without a run file, only these are computed."""
        self._send("watch", tuple(kinds))

    # ------------------------------------------------------------------ what is new

    def take(self) -> Update:
        """Everything that is new since the last take. Never blocks."""
        return self._mailbox.take()

    @property
    def run_file(self) -> Path | None:
        """Where the run is recorded; None before the start, and where nothing is recorded."""
        made = self._mailbox.status.run_file
        return Path(made) if made else self._path

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self._mailbox.status.state in ENDED

    def close(self, timeout: float = 10.0) -> bool:
        """Stop, write what is left, and wait. True when no thread and no process is left behind."""
        if self._thread is None:
            return True
        self._send("close")
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # ------------------------------------------------------------------

    def _send(self, kind: str, value: object = None) -> None:
        if not self.ended or kind == "close":
            self._commands.put((kind, value))

    def _begin(self, first: Command) -> None:
        if self.ended:
            return
        try:
            if self._record:
                self._path = free_path(self._runs_folder or default_runs_folder(), self.experiment)
        except RunFileError as error:
            self._mailbox.put_event(Event(step=0, kind="refused", text=str(error)))
            self._mailbox.put_status(state=RunState.FAILED, message=str(error))
            return
        self._mailbox.put_status(state=RunState.PREPARING, message="loading torch and building the network")
        # commands given before the start, a changed weight say, come first
        self._commands.put(first)
        arguments = (self.experiment, self._path, self._resume_from, self._commands, self._mailbox)
        if self.isolate:
            self._thread = threading.Thread(target=RemoteRunner(*arguments).run, name="session-pipe", daemon=True)
        else:
            self._thread = threading.Thread(target=_run_here, args=arguments, name="session", daemon=True)
        self._thread.start()


def _run_here(experiment: Experiment, path: Path | None, resume_from: Path | None,
              commands: queue.SimpleQueue[Command], mailbox: Mailbox) -> None:
    """The background thread: torch is loaded here, not before."""
    try:
        from studio.runner import Runner
    except Exception as error:  # a broken installation must reach the person, not only the log
        mailbox.put_status(state=RunState.FAILED, message=f"the training could not be loaded: {error}")
        return
    Runner(experiment, path, resume_from, commands, mailbox).run()
