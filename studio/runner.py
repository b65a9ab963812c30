"""The loop that trains: steps, diagnostics at their cadence, commands between steps, everything recorded."""

from __future__ import annotations

import json
import queue
import time
import traceback
from collections import deque
from pathlib import Path

import torch

from core.diagnostics.gradients import GradientsDiagnostic, SymlogGrid
from core.frames import Frame, ScalarsFrame
from core.problem import ProblemError
from core.trainer import NotFinite, State
from studio.build import build_fields, build_trainer
from studio.compiling import CompileError
from studio.engines import Engines
from studio.exact_check import contradictions
from studio.experiment import Experiment
from studio.mailbox import Mailbox
from studio.messages import ENDED, Event, RunState
from studio.pace import BREATH, Pace, Turns
from studio.runfile import RunFile, RunFileError, load_run

TURNS = Turns()  # of all runners in this process
STATUS_EVERY = 0.05  # seconds
COMMIT_EVERY = 1.0
CHECKPOINT_EVERY = 10.0  # at the latest; what a killed program loses
POLL_COMPILER_EVERY = 0.25
IDLE = (RunState.PREPARING, RunState.PAUSED)
EXHAUSTED = "the memory is exhausted; a smaller network or fewer points would fit"


class Runner:
    """Trains one experiment until it ends or is closed. Everything happens in the thread that calls `run`."""

    def __init__(self, experiment: Experiment, path: Path | None, resume_from: Path | None,
                 commands: queue.SimpleQueue[tuple[str, object]], mailbox: Mailbox) -> None:
        self.experiment, self.commands, self.mailbox = experiment, commands, mailbox
        self._path, self._resume_from = path, resume_from
        self._file: RunFile | None = None
        self._engines: Engines | None = None
        self._state = RunState.PREPARING
        self._watched: frozenset[str] = frozenset()
        self._early: deque[tuple[str, object]] = deque()  # commands that came while preparing, in their order
        self._single = 0  # steps still to be made before the run pauses; 0 where it goes on
        self._closing = False
        self._unwritten = ""  # why the last commit failed; '' where everything is in the file
        self._seconds = 0.0  # of training
        self._relative_l2, self._readings, self._losses = _nothing(), _nothing(), _nothing()  # last known
        self._pace = Pace()
        self._next_status = self._next_commit = self._next_checkpoint = self._next_poll = 0.0

    def run(self) -> None:
        """Prepare, train, obey commands; returns after 'close'. Never raises: a failure is a state with a sentence."""
        try:
            self._prepare()
            while not self._closing:
                self._obey(wait=self._state is not RunState.RUNNING)
                if self._state is RunState.RUNNING and not self._closing:
                    self._chunk()
                    time.sleep(BREATH)
                elif self._unwritten and time.perf_counter() >= self._next_commit:
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
            self._file = RunFile.create(self._path, self.experiment)
            self.mailbox.put_status(run_file=str(self._file.path))  # may be NAME-2
        mode = self.experiment.training.engine
        self.trainer = build_trainer(self.experiment)
        self.gradients = GradientsDiagnostic()
        self.fields = build_fields(self.experiment, self.trainer)
        if self._resume_from is not None:
            self._go_on_from(self._resume_from)
        self._engines = Engines(self.experiment, self._event, self._status)
        if mode == "compiled":
            if not self._engines.compile_and_wait(self.trainer, self._abandoned):
                return  # nothing is trained; the commands say how it ends
        elif mode == "auto":
            self._engines.take_cached(self.trainer)
        for sentence in contradictions(self.experiment):
            self._event("check", sentence)
        self._event("start", f"starts {'again ' if self._resume_from else ''}on the {self.trainer.engine.name} engine, "
                             f"seed {self.experiment.training.seed}, torch {torch.__version__}")
        self._observe(self.trainer.iteration)
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
            self._losses = dict(frame.losses)
            self._relative_l2 = dict(frame.relative_l2) or self._relative_l2
            self._readings |= frame.readings
        seen = run.frame_steps("gradients")
        if seen:  # histograms of one run share their bins, also after it was stopped
            self.gradients.grid = SymlogGrid.of(run.frame("gradients", seen[0]))
        if self._file is not None:
            self._file.copy_records(run, step)
            self._commit()
        self._event("resumed", f"goes on from step {step} of {path.name}, whose last steps were made by the "
                               f"{meta.get('engine', 'eager')} engine", json.dumps(str(path)))

    def _finish(self) -> None:
        if self._engines is not None:
            self._engines.cancel()
        if self._state not in ENDED:
            self._checkpoint()
            self._end(RunState.STOPPED, "")
        if self._file is not None:
            try:
                self._file.close()
            except RunFileError as error:
                self.mailbox.put_status(message=str(error))
            else:
                if self._unwritten:
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
        trainer, d = self.trainer, self.experiment.diagnostics
        total = self.experiment.training.steps
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
                if step % d.gradients_every == 0 or step % d.fields_every == 0 or step == total or self._single:
                    self._seconds += time.perf_counter() - now
                    now = self._observe(step)
                if step % d.checkpoint_every == 0:
                    self._checkpoint()
                if step >= total or self._single or self._state is not RunState.RUNNING:
                    break
                self._seconds += -now + (now := time.perf_counter())
        except NotFinite as error:
            self._pause_on_nan(error)
            return
        if trainer.iteration >= total:
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
        trainer, d = self.trainer, self.experiment.diagnostics
        self._losses = dict(zip(trainer.terms, losses, strict=True))
        errors: dict[str, float] = {}
        if step % d.error_every == 0 or step in (1, self.experiment.training.steps) or self._single:
            errors = self._relative_l2 = self.fields.relative_l2(trainer)
            self._readings |= self.fields.readings(trainer)
        self._readings |= trainer.readings()
        frame = ScalarsFrame(step=step, seconds=self._seconds, losses=self._losses,
                             weights=dict(zip(trainer.terms, weights, strict=True)), learning_rate=rate,
                             relative_l2=errors, readings=dict(self._readings))
        self.mailbox.put_frame(frame)
        if self._file is not None:
            self._file.add_scalars([frame])
        return time.perf_counter()

    def _observe(self, step: int) -> float:
        """Frames that are due, if somebody looks or they are recorded."""
        d, total = self.experiment.diagnostics, self.experiment.training.steps
        for kind, every, diagnostic in (("gradients", d.gradients_every, self.gradients),
                                        ("fields", d.fields_every, self.fields)):
            wanted = self._file is not None or kind in self._watched
            if wanted and (step % every == 0 or step == total or self._single):
                frame: Frame = diagnostic.observe(self.trainer)
                self.mailbox.put_frame(frame)
                if self._file is not None:
                    self._file.add_frame(frame)
        return time.perf_counter()

    def _housekeeping(self, now: float) -> None:
        self._pace.measure(self._seconds, self.trainer.iteration)
        if now >= self._next_status:
            self._status()
        if now >= self._next_checkpoint:
            self._checkpoint()
        elif now >= self._next_commit:
            self._commit()
        if now >= self._next_poll:
            assert self._engines is not None  # made before the first step
            self._engines.poll(self.trainer, self._pace.left(self.experiment.training.steps - self.trainer.iteration))
            self._next_poll = now + POLL_COMPILER_EVERY

    def _pause_on_nan(self, error: NotFinite) -> None:
        self._event("nan", str(error), json.dumps(error.term))
        self._pause(f"{error}. Lower the learning rate and go on, or stop")

    # ------------------------------------------------------------------ commands

    def _abandoned(self) -> bool:
        """Whether 'stop' or 'close' came while preparing. Every command is kept for later."""
        while True:
            try:
                self._early.append(self.commands.get_nowait())
            except queue.Empty:
                return any(kind in ("stop", "close") for kind, _ in self._early)

    def _obey(self, *, wait: bool) -> None:
        """Apply the commands that have come; while nothing trains, wait for one."""
        if wait:
            TURNS.rest(self)
            wait = not self._early
        while self._early:
            self._apply(*self._early.popleft())
        try:
            kind, value = self.commands.get(timeout=0.1) if wait else self.commands.get_nowait()
            while True:
                self._apply(kind, value)
                kind, value = self.commands.get_nowait()
        except queue.Empty:
            return

    def _apply(self, kind: str, value: object) -> None:
        step = self.trainer.iteration
        match kind:
            case "close":
                self._closing = True
            case "watch":
                self._watched = frozenset(value)  # type: ignore[call-overload]
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
                kept = "; the run is kept" if self._file is not None else ""
                self._end(RunState.STOPPED, f"stopped at step {step}{kept}")
            case "weight":
                assert isinstance(value, tuple)
                term, weight = value
                self.trainer.set_weight(term, weight)
                self._event("weight", f"weight of {term} set to {weight:g}", json.dumps([term, weight]))
            case "balancing":
                self.trainer.set_balancing(str(value))
                self._event("balancing", f"balancing set to {value}", json.dumps(value))
            case "learning_rate":
                self.trainer.set_learning_rate(float(value))  # type: ignore[arg-type]
                self._event("learning_rate", f"learning rate set to {value:g}", json.dumps(value))
        if kind in ("weight", "balancing", "learning_rate"):
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
        if self._file is not None:
            self._file.add_event(event)

    def _checkpoint(self) -> None:
        if self._file is None or getattr(self, "trainer", None) is None:
            return
        self._next_checkpoint = time.perf_counter() + CHECKPOINT_EVERY
        state = self.trainer.state()
        tensors = {name: tensor.numpy() for name, tensor in state.tensors.items()}
        self._file.save_checkpoint(self.trainer.iteration, tensors, {**state.numbers, "seconds": self._seconds})
        self._commit()

    def _commit(self) -> None:
        """Write what waits. A disk that is full pauses the run; nothing is lost, the next commit tries again."""
        if self._file is None:
            return
        self._next_commit = time.perf_counter() + COMMIT_EVERY
        self._file.set_state(str(self._state), self._step, self._seconds)
        try:
            self._file.commit()
        except RunFileError as error:
            running, news = self._state is RunState.RUNNING, not self._unwritten
            if running:
                self._state, self._single = RunState.PAUSED, 0
            self._unwritten = str(error)
            if running or news:
                self._event("disk", str(error))
            self._status(message="")
        else:
            if self._unwritten:
                self._unwritten = ""
                self._status(message="")

    def _status(self, message: str | None = None) -> None:
        self._next_status = time.perf_counter() + STATUS_EVERY
        trainer = getattr(self, "trainer", None)
        changes: dict[str, object] = {"state": self._state, "seconds": self._seconds}
        if trainer is not None:
            changes |= {
                "step": trainer.iteration, "steps_per_second": self._pace.rate,
                "seconds_left": self._pace.left(self.experiment.training.steps - trainer.iteration),
                "relative_l2": self._relative_l2, "losses": self._losses, "readings": dict(self._readings),
                "weights": dict(zip(trainer.terms, trainer.weights.tolist(), strict=True)),
                "learning_rate": trainer.current_learning_rate(), "balancing": trainer.balancing.rule,
                "engine": trainer.engine.name,
            }
        changes |= {} if message is None else {"message": self._unwritten or message}
        self.mailbox.put_status(**changes)


def _nothing() -> dict[str, float]:
    return {}


def _failure(error: Exception) -> str:
    exhausted = isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)  # torch's own words
    return EXHAUSTED if exhausted else f"the training failed: {error}"
