"""What a runner tells: its status, the journal, frames, and what goes into the file."""

from __future__ import annotations

import time

from core.diagnostics.stopping import Stop
from core.frames import Frame
from core.trainer import Trainer
from studio.course import Course
from studio.experiment import Experiment
from studio.mailbox import Mailbox
from studio.messages import Event, RunState
from studio.observer import Observer
from studio.pace import Pace
from studio.records import Records
from studio.runfile import RunFileError
from studio.surgery import Surgery

STATUS_EVERY = 0.05  # seconds


class Telling:
    """A run and everybody who hears of it. stop: whether somebody waits for it to pause or to end."""

    trainer: Trainer

    def __init__(self, experiment: Experiment, mailbox: Mailbox, stop: Stop, *, undisturbed: bool) -> None:
        self.mailbox = mailbox
        self._state = RunState.PREPARING
        self._seconds = 0.0  # of training
        self._single = 0  # steps still to be made before the run pauses; 0 where it goes on
        self._pace = Pace()
        self._course = Course(experiment, self._event)
        self._surgery = Surgery(self._event)
        self._observer = Observer(self._put, self._event, undisturbed=undisturbed, stop=stop)
        self._records = Records(self._observer.clock)
        self._next_status = self._next_doing = 0.0
        self._busy = ""  # what is being computed on demand

    @property
    def _step(self) -> int:
        """Steps made; 0 also while the trainer is being built."""
        trainer = getattr(self, "trainer", None)
        return trainer.iteration if trainer is not None else 0

    def _put(self, frame: Frame) -> None:
        """A frame for whoever looks, and for the file."""
        self.mailbox.put_frame(frame)
        self._records.frame(frame)

    def _event(self, kind: str, text: str, value: str = "") -> None:
        event = Event(step=self._step, kind=kind, text=text, value=value)
        self.mailbox.put_event(event)
        self._observer.event(event)
        self._records.event(event)

    def _checkpoint(self) -> None:
        if getattr(self, "trainer", None) is not None:
            self._records.checkpoint(self.trainer, self._seconds, self._course.place)
            self._commit()

    def _commit(self) -> None:
        """Write what waits. A disk that is full pauses the run; nothing is lost, the next commit tries again."""
        records = self._records
        try:
            megabytes = self._course.experiment.diagnostics.keep_mb
            thinned = records.commit(str(self._state), self._step, self._seconds, megabytes)
            if thinned:
                self._event("thinned", thinned)
        except RunFileError as error:
            running, news = self._state is RunState.RUNNING, not records.unwritten
            if running:
                self._state, self._single = RunState.PAUSED, 0
            records.unwritten = str(error)
            if running or news:
                self._event("disk", str(error))
            self._status(message="")
        else:
            if records.unwritten:
                records.unwritten = ""
                self._status(message="")

    def _doing(self, share: float, what: str) -> None:
        """How far a long step is, and which part of it is being made; just the step where that has no name."""
        if time.perf_counter() >= self._next_doing:
            self._next_doing = time.perf_counter() + STATUS_EVERY
            self.mailbox.put_status(doing=f"{what.strip() or 'step'}: {share:.0%}")

    def _say_busy(self, words: str) -> None:
        self._busy = words
        self._status()

    def _status(self, message: str | None = None) -> None:
        self._next_status = time.perf_counter() + STATUS_EVERY
        trainer = getattr(self, "trainer", None)
        seen = self._observer
        changes: dict[str, object] = {
            "state": self._state, "seconds": self._seconds, "findings": seen.findings, "busy": self._busy,
            "changes": self._surgery.words}
        if trainer is not None:
            of_phase, left = self._course.left(trainer.iteration, self._seconds, self._pace.rate)
            changes |= {
                "step": trainer.iteration, **self._course.standing(trainer.iteration), "doing": "",
                "steps_per_second": self._pace.rate, "seconds_left": left, "phase_seconds_left": of_phase,
                "relative_l2": seen.relative_l2, "losses": seen.losses, "readings": dict(seen.readings),
                "weights": dict(zip(trainer.terms, trainer.weights.tolist(), strict=True)),
                "learning_rate": trainer.current_learning_rate(), "balancing": trainer.balancing.rule,
                "engine": trainer.engine.name,
            }
        changes |= {} if message is None else {"message": self._records.unwritten or message}
        self.mailbox.put_status(**changes)
