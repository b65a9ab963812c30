"""The loop that trains: steps, diagnostics at their cadence, commands between steps, everything recorded."""

from __future__ import annotations

import json
import queue
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from core.frames import Frame
from core.problem import ProblemError
from core.trainer import NotFinite, State, Trainer
from studio.alterations import described
from studio.build import build_trainer
from studio.compiling import CompileError
from studio.demands import Demands
from studio.engines import Engines
from studio.exact_check import contradictions
from studio.experiment import Experiment, ExperimentError
from studio.findings import Remedy
from studio.inbox import Command, Inbox
from studio.instruments import options_of
from studio.mailbox import Mailbox
from studio.messages import ENDED, Event, RunState
from studio.observer import Observer
from studio.pace import BREATH, Pace, Turns
from studio.records import Records
from studio.runfile import RunFileError, load_run
from studio.surgery import Surgery

TURNS = Turns()  # of all runners in this process
STATUS_EVERY = 0.05  # seconds
POLL_COMPILER_EVERY = 0.25
IDLE = (RunState.PREPARING, RunState.PAUSED)


class Runner:
    """Trains one experiment until it ends or is closed; everything happens in the thread that calls `run`."""

    def __init__(self, experiment: Experiment, path: Path | None, resume_from: Path | None,
                 commands: queue.SimpleQueue[Command], mailbox: Mailbox, *, undisturbed: bool = False) -> None:
        self.experiment, self.mailbox = experiment, mailbox
        self._inbox = Inbox(commands)
        self._path, self._resume_from = path, resume_from
        self._engines: Engines | None = None
        self._state = RunState.PREPARING
        self._watched: frozenset[str] = frozenset()
        self._single = 0  # steps still to be made before the run pauses; 0 where it goes on
        self._closing = False
        self._seconds = 0.0  # of training
        self._pace = Pace()
        self._observer = Observer(self._put, self._event, undisturbed=undisturbed, stop=self._inbox.urgent)
        self._clock, self._surgery = self._observer.clock, Surgery()
        self._records = Records(self._clock)
        self._next_status = self._next_poll = 0.0
        self._busy = ""  # what is being computed on demand
        self._demands = Demands(self._inbox, self._say_busy, self._observer.keep, self._event)

    def run(self) -> None:
        """Prepare, train, obey commands; returns after 'close'. Never raises: a failure is a state with a sentence."""
        try:
            self._prepare()
            while not self._closing:
                self._obey(wait=self._state is not RunState.RUNNING)
                if self._state is RunState.RUNNING and not self._closing:
                    self._chunk()
                    time.sleep(BREATH)
                elif self._records.unwritten and time.perf_counter() >= self._records.next_commit:
                    self._commit()  # perhaps there is room by now
        except (RunFileError, ProblemError, CompileError, ValueError) as error:
            self._event("refused", str(error))
            self._end(RunState.FAILED, str(error))
        except Exception as error:
            self._event("error", traceback.format_exc())
            self._end(RunState.FAILED, _failure(error))
        finally:
            TURNS.rest(self)
            self._finish()

    # ------------------------------------------------------------------ beginning and end

    def _prepare(self) -> None:
        if self._path is not None:
            path = self._records.create(self._path, self.experiment)
            self.mailbox.put_status(run_file=str(path))  # may be NAME-2
        mode = self.experiment.training.engine
        self.trainer = build_trainer(self.experiment)
        self._observer.begin(self.experiment, self.trainer)
        if self._resume_from is not None:
            self._go_on_from(self._resume_from)
        self._engines = Engines(self.experiment, self._event, self._status)
        if mode == "compiled":
            if not self._engines.compile_and_wait(self.trainer, self._inbox.over):
                return  # nothing is trained; the commands say how it ends
        elif mode == "auto":
            self._engines.take_cached(self.trainer)
        for sentence in contradictions(self.experiment):
            self._event("check", sentence)
        self._event("start", f"starts {'again ' if self._resume_from else ''}on the {self.trainer.engine.name} engine, "
                             f"seed {self.experiment.training.seed}, torch {torch.__version__}")
        self._look(self.trainer.iteration)
        self._status(message="")

    def _go_on_from(self, path: Path) -> None:
        run = load_run(path)
        checkpoint = run.latest_checkpoint()
        if checkpoint is None:
            raise RunFileError(f"{path} has no checkpoint to go on from")
        step, tensors, meta = checkpoint
        self.trainer.load(State({k: torch.from_numpy(v.copy()) for k, v in tensors.items()}, meta))
        self._seconds = float(meta.get("seconds", 0.0))
        past = [s for s in run.scalars if s.step <= step]
        for frame in past:
            self.mailbox.put_frame(frame)
            self._observer.remember(frame)
        seen = run.frame_steps("gradients")
        if seen:
            self._observer.keep_bins(run.frame("gradients", seen[0]))
        self._records.copy(run, step)
        self._commit()
        self._event("resumed", f"goes on from step {step} of {path.name}, whose last steps were made by the "
                               f"{meta.get('engine', 'eager')} engine", json.dumps(str(path)))

    def _finish(self) -> None:
        if self._engines is not None:
            self._engines.cancel()
        if self._state not in ENDED:
            self._checkpoint()
            self._end(RunState.STOPPED, "")
        try:
            self._records.close()
        except RunFileError as error:
            self.mailbox.put_status(message=str(error))
        else:
            if self._records.unwritten:
                self.mailbox.put_status(message="")

    def _end(self, state: RunState, message: str) -> None:
        self._state = state
        self._commit()
        self._status(message=message)

    @property
    def _step(self) -> int:
        """Steps made; 0 also while the trainer is being built."""
        trainer = getattr(self, "trainer", None)
        return trainer.iteration if trainer is not None else 0

    # ------------------------------------------------------------------ training

    def _chunk(self) -> None:
        """Train for a few milliseconds."""
        trainer, d, total = self.trainer, self.experiment.diagnostics, self.experiment.training.steps
        self._clock.run(True)
        begun = now = time.perf_counter()
        turn = TURNS.begin(self, trainer.iteration)
        try:
            while trainer.iteration < total and now - begun < turn:
                weights = trainer.weights
                rate = trainer.current_learning_rate()
                losses = trainer.step()
                step = trainer.iteration
                shown = step == 1 or step == total or self._single > 0
                if shown or step % d.scalars_every == 0 or step % d.error_every == 0:
                    self._seconds += time.perf_counter() - now
                    now = self._record(step, losses, weights.tolist(), rate)
                if step >= self._observer.next_look or step == total or self._single:
                    self._seconds += time.perf_counter() - now
                    now = self._look(step)
                if step % d.checkpoint_every == 0:
                    self._checkpoint()
                if step >= total or self._single or self._state is not RunState.RUNNING:
                    break
                self._seconds += -now + (now := time.perf_counter())
        except NotFinite as error:
            self._event("nan", str(error), json.dumps(error.term))
            self._pause(f"{error}. Lower the learning rate and go on, or stop")
            return
        if trainer.iteration >= total:
            self._observer.examine(trainer.iteration)
            self._event("finish", f"finished after {total} steps, {self._seconds:.1f} s of training")
            self._checkpoint()
            self._pace.measure(self._seconds, trainer.iteration, last=True)
            self._end(RunState.FINISHED, "")
        elif self._single > 1:
            self._single -= 1
        elif self._single:
            self._pause("one step made")
        else:
            self._housekeeping(time.perf_counter())

    def _record(self, step: int, losses: list[float], weights: list[float], rate: float) -> float:
        evaluate = step in (1, self.experiment.training.steps) or self._single > 0 or (
            step % self.experiment.diagnostics.error_every == 0 and self.experiment.training.engine != "auto")
        self._observer.measure(self.trainer, self._seconds, losses, weights, rate, evaluate=evaluate)
        return time.perf_counter()

    def _look(self, step: int) -> float:
        """Let the diagnostics look that are due, if somebody looks at them or they are recorded."""
        wanted = None if self._records.kept and not self._single else self._watched
        self._observer.look(self.trainer, self._seconds, wanted, end=step == self.experiment.training.steps,
                            single=self._single > 0)
        return time.perf_counter()

    def _put(self, frame: Frame) -> None:
        """A frame for whoever looks, and for the file."""
        self.mailbox.put_frame(frame)
        self._records.frame(frame)

    def _housekeeping(self, now: float) -> None:
        self._pace.measure(self._seconds, self.trainer.iteration)
        self._observer.from_time_to_time(self.trainer, self._seconds, self._pace.rate)
        if now >= self._next_status:
            self._status()
        if now >= self._records.next_checkpoint:
            self._checkpoint()
        elif now >= self._records.next_commit:
            self._commit()
        if now >= self._next_poll:
            assert self._engines is not None  # made before the first step
            self._engines.poll(self.trainer, self._pace.left(self.experiment.training.steps - self.trainer.iteration))
            self._next_poll = now + POLL_COMPILER_EVERY

    # ------------------------------------------------------------------ commands

    def _obey(self, *, wait: bool) -> None:
        """Apply the commands that have come; while nothing trains, wait for one."""
        if wait:
            TURNS.rest(self)
            self._clock.run(False)
        for kind, value in self._inbox.take(wait=wait):
            self._apply(kind, value)

    def _apply(self, kind: str, value: object) -> None:
        step = self.trainer.iteration
        match kind:
            case "close":
                self._closing = True
            case "watch":
                self._watched = self._observer.watch(value)
            case "demand":
                self._demands.serve(*options_of(value), self.trainer)
            case "view":
                self._view(*options_of(value))
            case _ if self._state in ENDED:
                return
            case "resume" if self._state in IDLE or self._single:
                self._state, self._single = RunState.RUNNING, 0
                if step:
                    self._event("resume", f"goes on at step {step}")
                self._status(message="")
            case "pause" if self._state is RunState.RUNNING:
                self._pause("")
            case "step" if self._state in IDLE or self._single:
                self._state = RunState.RUNNING
                self._single += 1
            case "stop":
                self._event("stop", f"stopped at step {step}")
                self._checkpoint()
                kept = "; the run is kept" if self._records.kept else ""
                self._end(RunState.STOPPED, f"stopped at step {step}{kept}")
            case "weight":
                assert isinstance(value, tuple)
                term, weight = value
                self.trainer.set_weight(term, weight)
                self._event("weight", f"weight of {term} set to {weight:g}", json.dumps([term, weight]))
            case "balancing":
                self.trainer.set_balancing(str(value))
                self._event("balancing", f"balancing set to {value}", json.dumps(value))
            case "change":
                assert isinstance(value, Remedy)
                self._alter(value)
            case "undo":
                self._undo()
            case "learning_rate":
                self.trainer.set_learning_rate(float(value))  # type: ignore[arg-type]
                self._event("learning_rate", f"learning rate set to {value:g}", json.dumps(value))
        if kind in ("weight", "balancing", "learning_rate"):
            self._status()

    def _view(self, kind: str, options: Mapping[str, Any]) -> None:
        """What a diagnostic looks at from now on; it looks at once."""
        try:
            if kind != "fields":
                raise ValueError(f"what is looked at can be chosen of fields, not of '{kind}'")
            self._observer.fields.view(**options)
            self._observer.keep(self._observer.fields.observe(self.trainer))
        except (ProblemError, ValueError, TypeError) as error:
            self._event("view", str(error))
        self._status()

    # ------------------------------------------------------------------ changes while it trains

    def _alter(self, remedy: Remedy) -> None:
        """Go on with other settings; the journal has them, and `_undo` takes them back."""
        try:
            experiment, trainer, fresh = self._surgery.apply(remedy, self.experiment, self.trainer)
        except (ExperimentError, ProblemError, ValueError) as error:
            self._event("change-refused", f"this cannot be changed now: {error}")
            return
        anew = f"; new parameters: {', '.join(fresh[:4])}{' ...' if len(fresh) > 4 else ''}" if fresh else ""
        self._event("change", f"{described(remedy)}{anew}",
                    json.dumps({"text": remedy.text, "changes": dict(remedy.changes)}))
        self._go_on_with(experiment, trainer)

    def _undo(self) -> None:
        """Take the last change back."""
        try:
            experiment, trainer, undone = self._surgery.undo(self.experiment, self.trainer)
        except ValueError as error:
            self._event("change-refused", str(error))
            return
        self._event("undo", f"undone: {undone.text or ', '.join(undone.changes)}", json.dumps(dict(undone.changes)))
        self._go_on_with(experiment, trainer)

    def _go_on_with(self, experiment: Experiment, trainer: Trainer) -> None:
        if self._engines is not None:
            self._engines.cancel()
        self.experiment, self.trainer = experiment, trainer
        self._engines = Engines(experiment, self._event, self._status)
        if experiment.training.engine != "eager":
            self._engines.take_cached(trainer)
        self._observer.begin(experiment, trainer)
        self._checkpoint()
        self._look(trainer.iteration)
        self._status()

    def _pause(self, message: str) -> None:
        self._state, self._single = RunState.PAUSED, 0
        self._event("pause", f"paused at step {self.trainer.iteration}")
        self._checkpoint()
        self._status(message=message)

    # ------------------------------------------------------------------ records

    def _event(self, kind: str, text: str, value: str = "") -> None:
        event = Event(step=self._step, kind=kind, text=text, value=value)
        self.mailbox.put_event(event)
        self._observer.event(event)
        self._records.event(event)

    def _checkpoint(self) -> None:
        if getattr(self, "trainer", None) is not None:
            self._records.checkpoint(self.trainer, self._seconds)
            self._commit()

    def _commit(self) -> None:
        """Write what waits. A disk that is full pauses the run; nothing is lost, the next commit tries again."""
        records = self._records
        try:
            thinned = records.commit(str(self._state), self._step, self._seconds, self.experiment.diagnostics.keep_mb)
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
            changes |= {
                "step": trainer.iteration, "total_steps": self.experiment.training.steps,
                "steps_per_second": self._pace.rate,
                "seconds_left": self._pace.left(self.experiment.training.steps - trainer.iteration),
                "relative_l2": seen.relative_l2, "losses": seen.losses, "readings": dict(seen.readings),
                "weights": dict(zip(trainer.terms, trainer.weights.tolist(), strict=True)),
                "learning_rate": trainer.current_learning_rate(), "balancing": trainer.balancing.rule,
                "engine": trainer.engine.name,
            }
        changes |= {} if message is None else {"message": self._records.unwritten or message}
        self.mailbox.put_status(**changes)


def _failure(error: Exception) -> str:
    exhausted = isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)  # torch's own words
    return "the memory is exhausted; a smaller network or fewer points would fit" if exhausted else (
        f"the training failed: {error}")
