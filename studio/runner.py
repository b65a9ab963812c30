"""The loop that trains: steps, diagnostics at their cadence, commands between steps, everything recorded."""

from __future__ import annotations

import json
import math
import queue
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from core.choices import RATED
from core.diagnostics.stopping import Stopped
from core.problem import ProblemError
from core.solvers.solver import Watch
from core.trainer import NotFinite, State, Trainer
from studio.compiling import CompileError
from studio.course import Course
from studio.demands import Demands
from studio.engines import Engines
from studio.exact_check import contradictions
from studio.experiment import Experiment, ExperimentError
from studio.findings import Remedy
from studio.going_on import go_on, place_of
from studio.inbox import Command, Inbox
from studio.instruments import options_of
from studio.mailbox import Mailbox
from studio.messages import ENDED, RunState
from studio.pace import BREATH, Pace, Turns
from studio.phases import PhaseSpec, Place
from studio.runfile import Run, RunFileError, load_run
from studio.telling import Telling

TURNS = Turns()  # of all runners in this process
POLL_COMPILER_EVERY = 0.25  # seconds
NOTE_EVERY = 1.0  # between two notes of an optimizer
SLOW = 0.1  # a step that takes longer is recorded whatever the cadence
OTHERWISE = "Take other points, other weights or another method, or undo what was changed"
IDLE = (RunState.PREPARING, RunState.PAUSED)


class Runner(Telling):
    """Trains one experiment until it ends or is closed; everything happens in the thread that calls `run`."""

    def __init__(self, experiment: Experiment, path: Path | None, resume_from: Path | None,
                 commands: queue.SimpleQueue[Command], mailbox: Mailbox, *, undisturbed: bool = False) -> None:
        inbox = Inbox(commands)
        super().__init__(experiment, mailbox, inbox.urgent, undisturbed=undisturbed)
        self._inbox = inbox
        self._path, self._resume_from = path, resume_from
        self._engines: Engines | None = None
        self._watched: frozenset[str] = frozenset()
        self._closing = False
        self._clock = self._observer.clock
        self._next_poll = self._next_note = 0.0
        self._observer.show = mailbox.put_frame
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
                    continue
                if self._state is RunState.PAUSED:
                    self._poll_compiler(time.perf_counter())
                if self._records.unwritten and time.perf_counter() >= self._records.next_commit:
                    self._commit()  # perhaps there is room by now
        except (RunFileError, ProblemError, CompileError, ValueError) as error:
            self._event("refused", str(error))
            self._end(RunState.FAILED, str(error))
        except Exception as error:
            self._event("error", traceback.format_exc())
            with suppress(Exception):  # the trainer is as it was after its last step, if it was built at all
                self._checkpoint()
            self._end(RunState.FAILED, _failure(error))
        finally:
            TURNS.rest(self)
            self._finish()

    # ------------------------------------------------------------------ beginning and end

    def _prepare(self) -> None:
        course = self._course
        if self._path is not None:
            path = self._records.create(self._path, course.experiment)
            self.mailbox.put_status(run_file=str(path))  # may be NAME-2
        run = load_run(self._resume_from) if self._resume_from is not None else None
        checkpoint = run.latest_checkpoint() if run is not None else None
        if run is not None and checkpoint is not None:
            place = place_of(Place.from_meta(checkpoint[2]), run.current, course.experiment)
            self._course = course = Course(course.experiment, self._event, place)
        self._use(course.begin(again=run is not None))
        self._observer.begin(course.watched, self.trainer)
        if run is not None:
            if checkpoint is None:
                raise RunFileError(f"{run.path} has no checkpoint to go on from")
            self._go_on_from(run, *checkpoint)
        self._status()  # which phase it is: the first looks may take long
        if not self._new_engine():
            return  # nothing is trained; the commands say how it ends
        for sentence in contradictions(course.experiment):
            self._event("check", sentence)
        self._event("start", f"starts {'again ' if self._resume_from else ''}on the {self.trainer.engine.name} engine, "
                             f"seed {course.experiment.training.seed}, torch {torch.__version__}")
        self._status(message="looking at fields and gradients before the first step")
        self._look(self.trainer.iteration)
        self._status(message="")

    def _use(self, trainer: Trainer) -> None:
        self.trainer = trainer
        trainer.watch = Watch(self._inbox.urgent, self._doing)

    def _new_engine(self, *, wait: bool = True) -> bool:
        """The engine of a trainer that begins; False where the run is to end before it is compiled.

        wait: for the compiler, where the steps are to be compiled ones from the first on.
        """
        mode = self._course.experiment.training.engine
        self._engines = Engines(self._course.now, self._event, self._status, self._engines)
        if mode == "compiled" and wait:
            return self._engines.compile_and_wait(self.trainer, self._inbox.over)
        if mode != "eager":
            self._engines.take_cached(self.trainer)
        return True

    def _go_on_from(self, run: Run, step: int, tensors: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        state = State({k: torch.from_numpy(v.copy()) for k, v in tensors.items()}, meta)
        others = go_on(self.trainer, self._course.now, run.current, Place.from_meta(meta), state)
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
        anew = "; the optimizer, whose memory was too large for that file, begins anew" if meta.get("left_out") else ""
        if others:
            anew += f"; changed since: {', '.join(others)}, so that what is of another loss or method begins anew"
        self._event("resumed", f"goes on from step {step} of {run.path.name}, whose last steps were made by the "
                               f"{meta.get('engine', 'eager')} engine{anew}", json.dumps(str(run.path)))

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
        if self._engines is not None:
            self._engines.cancel()
        self._commit()
        self._status(message=message)

    # ------------------------------------------------------------------ training

    def _chunk(self) -> None:
        """Train for a few milliseconds."""
        trainer, d = self.trainer, self._course.experiment.diagnostics
        self._clock.run(True)
        begun = now = time.perf_counter()
        turn = TURNS.begin(self, trainer.iteration)
        if self._single:
            turn = math.inf  # a step that somebody asks for is made, however far the other lane is behind
        try:
            while not self._over() and now - begun < turn:
                weights = trainer.weights
                rate = trainer.current_learning_rate()
                losses = trainer.step()
                step, took = trainer.iteration, time.perf_counter() - now
                self._seconds, now = self._seconds + took, now + took
                last = bool(self._over())
                shown = step == 1 or last or self._single > 0 or took > SLOW
                if shown or step % d.scalars_every == 0 or step % d.error_every == 0:
                    now = self._record(losses, weights.tolist(), rate, took, last=last)
                if self._observer.may_look(step, self._seconds) or last or self._single:
                    now = self._look(step, end=last and self._course.last)
                if step % d.checkpoint_every == 0:
                    self._checkpoint()
                if last or self._single or self._state is not RunState.RUNNING:
                    break
                self._seconds += -now + (now := time.perf_counter())
        except NotFinite as error:
            self._event("nan", str(error), json.dumps(error.term))
            rated = self._course.now.optimizer.kind in RATED
            self._pause(f"{error}. {'Lower the learning rate and go on' if rated else OTHERWISE}, or stop")
            return
        except Stopped:  # somebody waits; the step is made anew when the run goes on
            self._seconds += time.perf_counter() - now
            return
        if self._over() and not self._go_on_after_phase():
            return
        if self._single > 1:
            self._single -= 1
        elif self._single:
            self._pause("one step made")
        else:
            self._housekeeping(time.perf_counter())

    def _over(self) -> str:
        """Why the phase is over; '' while it is not."""
        return self._course.over(self.trainer.iteration, self._seconds, self.trainer.done)

    def _go_on_after_phase(self) -> bool:
        """The next phase, or the end of the run: False then, and where the next one cannot begin."""
        step, course = self.trainer.iteration, self._course
        why = self._over()
        if not course.last:
            return self._next_phase(why)
        course.tell_end(self.trainer, why)
        self._observer.examine(step)
        early = f": {why}" if self.trainer.done or step < course.end else ""
        self._event("finish", f"finished after {step} steps, {self._seconds:.1f} s of training{early}")
        self._checkpoint()
        self._pace.measure(self._seconds, step, last=True)
        course.finish(step)
        self._end(RunState.FINISHED, "")
        return False

    def _next_phase(self, why: str) -> bool:
        """Go on with the next phase now; False where it cannot begin, which pauses the run. why: this one is over."""
        try:
            place, trainer, reason = self._course.advance(self.trainer, self._seconds)
        except (ProblemError, ValueError) as error:
            self._pause(f"the next phase cannot begin: {error}")
            return False
        self._course.tell_end(self.trainer, why)
        self._course.enter(place, trainer, reason)
        self._go_on_with(trainer, moved=True, wait=True)
        return True

    def _record(self, losses: list[float], weights: list[float], rate: float, took: float, *, last: bool) -> float:
        trainer, experiment = self.trainer, self._course.experiment
        punctual = (trainer.iteration % experiment.diagnostics.error_every == 0
                    and experiment.training.engine != "auto")
        evaluate = trainer.iteration == 1 or last or self._single > 0 or punctual or (
            took > SLOW and self._observer.error_costs < experiment.diagnostics.share * took)
        self._observer.measure(trainer, self._seconds, losses, weights, rate, evaluate=evaluate)
        if trainer.note and time.perf_counter() >= self._next_note:
            self._next_note = time.perf_counter() + NOTE_EVERY
            self._event("optimizer", trainer.note)
        return time.perf_counter()

    def _look(self, step: int, *, end: bool = False) -> float:
        """Let the diagnostics look that are due, if somebody looks at them or they are recorded."""
        wanted = None if self._records.kept and not self._single else self._watched
        self._observer.look(self.trainer, self._seconds, wanted, end=end, single=self._single > 0)
        return time.perf_counter()

    def _housekeeping(self, now: float) -> None:
        self._pace.measure(self._seconds, self.trainer.iteration)
        self._observer.from_time_to_time(self.trainer, self._seconds, self._pace.rate)
        if now >= self._next_status:
            self._status()
        if now >= self._records.next_checkpoint:
            self._checkpoint()
        elif now >= self._records.next_commit:
            self._commit()
        self._poll_compiler(now)

    def _poll_compiler(self, now: float) -> None:
        """While paused too: whoever waits for the same step wants what was compiled for this run."""
        if now < self._next_poll or self._engines is None:
            return
        left, _ = self._course.left(self.trainer.iteration, self._seconds, self._pace.rate)
        running = self._state is RunState.RUNNING and self._pace.rate
        self._engines.poll(self.trainer, left if running else None, self._course.coming)
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
                if self._watched:  # who looks at the run at rest sees the step at which it rests
                    self._observer.look_once(self.trainer, self._seconds, self._watched, kept=False)
                    self._commit()
            case "step" if self._state in IDLE or self._single:
                self._state = RunState.RUNNING
                self._single += 1
            case "stop":
                self._event("stop", f"stopped at step {step}")
                self._observer.look_once(self.trainer, self._seconds, None if self._records.kept else self._watched)
                self._checkpoint()
                kept = "; the run is kept" if self._records.kept else ""
                self._end(RunState.STOPPED, f"stopped at step {step}{kept}")
            case "weight" | "balancing" | "learning_rate":
                self._surgery.set_by_hand(kind, value, self.trainer)
                self._status()
            case "change" | "undo" | "switch":
                self._operate(kind, value)
            case "next_phase" if self._course.last:
                self._event("change-refused", "there is no phase after this one")
            case "next_phase":
                self._next_phase("the next phase was asked for")

    def _view(self, kind: str, options: Mapping[str, Any]) -> None:
        """What a diagnostic looks at from now on; it looks at once."""
        try:
            if kind != "fields":
                raise ValueError(f"what is looked at can be chosen of fields, not of '{kind}'")
            self._observer.fields.view(**options)
            self._observer.show_fields(self.trainer)
        except (ProblemError, ValueError, TypeError) as error:
            self._event("view", str(error))
        self._status()

    # ------------------------------------------------------------------ changes while it trains

    def _operate(self, kind: str, value: object) -> None:
        """Go on with other settings or another phase, or take the last change back; the journal has it."""
        place = self._course.place
        try:
            match value:
                case Remedy():
                    trainer = self._surgery.apply(value, self._course, self.trainer)
                case PhaseSpec():
                    trainer = self._surgery.switch(value, self._course, self.trainer, self._seconds)
                case _:
                    trainer = self._surgery.undo(self._course, self.trainer, self._seconds)
        except (ExperimentError, ProblemError, ValueError) as error:
            self._event("change-refused", str(error) if kind == "undo" else f"this cannot be changed now: {error}")
            return
        self._go_on_with(trainer, moved=self._course.place != place, wait=kind == "switch")

    def _go_on_with(self, trainer: Trainer, *, moved: bool, wait: bool) -> None:
        """moved: to another phase, or another method. wait: for the compiler, where the steps are to be compiled."""
        self._use(trainer)
        if moved:
            self._pace = Pace()  # of this phase, its first step included
            self._pace.measure(self._seconds, trainer.iteration)
        self._status()  # now: the first looks and the first step may take long
        self._observer.begin(self._course.watched, trainer)
        self._checkpoint()
        if self._new_engine(wait=wait):
            self._look(trainer.iteration)
        self._status(message="" if wait else None)  # perhaps that it was compiled

    def _pause(self, message: str) -> None:
        self._state, self._single = RunState.PAUSED, 0
        self._event("pause", f"paused at step {self.trainer.iteration}")
        self._checkpoint()
        self._status(message=message)


def _failure(error: Exception) -> str:
    exhausted = isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)  # torch's own words
    return "the memory is exhausted; a smaller network or fewer points would fit" if exhausted else (
        f"the training failed: {error}")
