"""The loop that trains: steps, diagnostics at their cadence, commands between steps, everything recorded."""

from __future__ import annotations

import json
import queue
import time
import traceback
from pathlib import Path

import torch

from core.diagnostics.gradients import GradientsDiagnostic
from core.engine import EagerEngine
from core.frames import Frame, ScalarsFrame
from core.problem import ProblemError
from core.trainer import NotFinite, State
from studio.build import build_fields, build_trainer
from studio.compiling import Compilation, CompileError, load_engine, ready
from studio.experiment import Experiment
from studio.mailbox import Mailbox
from studio.messages import ENDED, Event, RunState
from studio.runfile import RunFile, RunFileError, load_run

CHUNK = 0.004  # seconds of training between two looks at the commands
BREATH = 5e-5  # seconds asleep after each chunk: without it a thread that waits for the interpreter may starve
STATUS_EVERY = 0.05  # seconds
COMMIT_EVERY = 1.0
POLL_COMPILER_EVERY = 0.25
IDLE = (RunState.PREPARING, RunState.PAUSED)
#: Compiling costs a core for half a minute; it is begun where at least this much eager training is left.
WORTH_COMPILING = 15.0


class Runner:
    """Trains one experiment until it ends or is closed. Everything happens in the thread that calls `run`."""

    def __init__(self, experiment: Experiment, path: Path | None, resume_from: Path | None,
                 commands: queue.SimpleQueue[tuple[str, object]], mailbox: Mailbox) -> None:
        self.experiment, self.commands, self.mailbox = experiment, commands, mailbox
        self._path, self._resume_from = path, resume_from
        self._file: RunFile | None = None
        self._compilation: Compilation | None = None
        self._state = RunState.PREPARING
        self._watched: frozenset[str] = frozenset()
        self._once = self._closing = False
        self._seconds = 0.0  # of training
        self._relative_l2: dict[str, float] = {}
        self._losses: dict[str, float] = {}
        self._rate_mark = (0.0, 0)
        self._rate = 0.0

    def run(self) -> None:
        """Prepare, train, obey commands; returns after 'close'. Never raises: a failure is a state with a sentence."""
        try:
            self._prepare()
            while not self._closing:
                self._obey(wait=self._state is not RunState.RUNNING)
                if self._state is RunState.RUNNING:
                    self._chunk()
                    time.sleep(BREATH)
        except (RunFileError, ProblemError, CompileError, ValueError) as error:
            self._event("refused", str(error))
            self._end(RunState.FAILED, str(error))
        except MemoryError:
            self._end(RunState.FAILED, "the memory is exhausted; a smaller network or fewer points would fit")
        except Exception as error:
            self._event("error", traceback.format_exc())
            self._end(RunState.FAILED, f"the training failed: {error}")
        finally:
            self._finish()

    # ------------------------------------------------------------------ beginning and end

    def _prepare(self) -> None:
        if self._path is not None:
            self._file = RunFile.create(self._path, self.experiment)
            self.mailbox.put_status(run_file=str(self._file.path))  # may be NAME-2
        mode = self.experiment.training.engine
        self.trainer = build_trainer(self.experiment)
        self._eager = self.trainer.engine
        self.gradients = GradientsDiagnostic()
        self.fields = build_fields(self.experiment, self.trainer)
        if self._resume_from is not None:
            self._go_on_from(self._resume_from)
        if mode == "compiled":
            self._status(message="compiling the step; this takes about half a minute")
            self._compile_and_wait()
        elif mode == "auto":
            self._try_cached()
        verb = "starts again" if self._resume_from else "starts"
        self._event("start", f"{verb} on the {self.trainer.engine.name} engine, seed {self.experiment.training.seed}, "
                             f"torch {torch.__version__}")
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
        if self._file is not None:
            self._file.add_scalars(past)
            for event in run.events:
                if event.step <= step:
                    self._file.add_event(event)
        self._event("resumed", f"goes on from step {step} of {path.name}", str(path))

    def _finish(self) -> None:
        if self._compilation is not None:
            self._compilation.cancel()
        if self._state not in ENDED:
            self._checkpoint()
            self._end(RunState.STOPPED, "")
        if self._file is not None:
            try:
                self._file.close()
            except RunFileError as error:
                self.mailbox.put_status(message=str(error))

    def _end(self, state: RunState, message: str) -> None:
        self._state = state
        if self._file is not None:
            trainer = getattr(self, "trainer", None)
            self._file.set_state(str(state), trainer.iteration if trainer else 0, self._seconds)
            self._commit()
        self._status(message=message)

    # ------------------------------------------------------------------ training

    def _chunk(self) -> None:
        """Train for a few milliseconds."""
        trainer, d = self.trainer, self.experiment.diagnostics
        total = self.experiment.training.steps
        begun = time.perf_counter()
        now = begun
        try:
            while now - begun < CHUNK:
                weights = trainer.weights
                rate = trainer.current_learning_rate()
                losses = trainer.step()
                step = trainer.iteration
                if step % d.scalars_every == 0 or step % d.error_every == 0 or step == 1 or step == total or self._once:
                    self._seconds += time.perf_counter() - now
                    now = self._record(step, losses, weights.tolist(), rate)
                if step % d.gradients_every == 0 or step % d.fields_every == 0 or step == total or self._once:
                    self._seconds += time.perf_counter() - now
                    now = self._observe(step)
                if step % d.checkpoint_every == 0:
                    self._checkpoint()
                if step >= total or self._once:
                    break
                self._seconds += -now + (now := time.perf_counter())
        except NotFinite as error:
            self._pause_on_nan(error)
            return
        if trainer.iteration >= total:
            self._event("finish", f"finished after {total} steps, {self._seconds:.1f} s of training")
            self._checkpoint()
            self._measure_rate(now, force=True)
            self._end(RunState.FINISHED, "")
        elif self._once:
            self._once = False
            self._pause("one step made")
        else:
            self._housekeeping(time.perf_counter())

    def _record(self, step: int, losses: list[float], weights: list[float], rate: float) -> float:
        trainer, d = self.trainer, self.experiment.diagnostics
        self._losses = dict(zip(trainer.terms, losses, strict=True))
        errors: dict[str, float] = {}
        if step % d.error_every == 0 or step == self.experiment.training.steps or self._once:
            errors = self._relative_l2 = self.fields.relative_l2(trainer)
        frame = ScalarsFrame(step=step, seconds=self._seconds, losses=self._losses,
                             weights=dict(zip(trainer.terms, weights, strict=True)), learning_rate=rate,
                             relative_l2=errors)
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
            if wanted and (step % every == 0 or step == total or self._once):
                frame: Frame = diagnostic.observe(self.trainer)
                self.mailbox.put_frame(frame)
                if self._file is not None:
                    self._file.add_frame(frame)
        return time.perf_counter()

    def _housekeeping(self, now: float) -> None:
        self._measure_rate(now)
        if now >= self._next_status:
            self._status()
        if now >= self._next_commit:
            self._commit()
            self._next_commit = now + COMMIT_EVERY
        if now >= self._next_poll:
            self._poll_compiler()
            self._next_poll = now + POLL_COMPILER_EVERY

    _next_status = _next_commit = _next_poll = 0.0

    def _measure_rate(self, now: float, *, force: bool = False) -> None:
        then, step = self._rate_mark
        if step > self.trainer.iteration or then == 0.0:
            self._rate_mark = (self._seconds, self.trainer.iteration)
        elif self._seconds - then >= 0.5 or (force and self._seconds > then):
            fresh = (self.trainer.iteration - step) / (self._seconds - then)
            self._rate = fresh if self._rate == 0 else 0.6 * self._rate + 0.4 * fresh
            self._rate_mark = (self._seconds, self.trainer.iteration)

    def _pause_on_nan(self, error: NotFinite) -> None:
        self._event("nan", str(error), json.dumps(error.term))
        self._pause(f"{error}. Lower the learning rate and go on, or stop")

    # ------------------------------------------------------------------ compiling

    def _try_cached(self) -> None:
        try:
            if ready(self.experiment):
                self.trainer.engine = load_engine(self.experiment)
        except CompileError as error:
            self._event("engine", str(error))

    def _compile_and_wait(self) -> None:
        """Compile before the first step, obeying 'stop' and 'close' meanwhile."""
        if not ready(self.experiment):
            self._compilation = Compilation(self.experiment)
            while not self._compilation.poll():
                time.sleep(0.1)
                if self._abandoned():
                    self._compilation.cancel()
                    self._compilation = None
                    return
            self._compilation = None
        self.trainer.engine = load_engine(self.experiment)

    def _abandoned(self) -> bool:
        """Whether 'stop' or 'close' came while preparing; other commands go back into the queue."""
        kept = []
        while True:
            try:
                kept.append(self.commands.get_nowait())
            except queue.Empty:
                break
        for command in kept:
            self.commands.put(command)
        return any(kind in ("stop", "close") for kind, _ in kept)

    def _poll_compiler(self) -> None:
        """Begin compiling where it is worth it, change over when it is done."""
        if self.experiment.training.engine != "auto" or not isinstance(self.trainer.engine, EagerEngine):
            return
        try:
            if self._compilation is None:
                left = self.experiment.training.steps - self.trainer.iteration
                if self._rate and left / self._rate > WORTH_COMPILING and not self._given_up:
                    self._compilation = Compilation(self.experiment)
            elif self._compilation.poll():
                self._compilation = None
                self.trainer.engine = load_engine(self.experiment)
                self._event("engine", f"changed over to the compiled step after step {self.trainer.iteration}",
                            json.dumps("compiled"))
        except CompileError as error:
            self._given_up = True
            self._compilation = None
            self._event("engine", str(error), json.dumps("eager"))
            self._status(message=str(error))

    _given_up = False

    # ------------------------------------------------------------------ commands

    def _obey(self, *, wait: bool) -> None:
        """Apply the commands that have come; while nothing trains, wait for one."""
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
            case "resume" if self._state in IDLE:
                self._state = RunState.RUNNING
                if step:
                    self._event("resume", f"goes on at step {step}")
                self._status(message="")
            case "pause" if self._state is RunState.RUNNING:
                self._pause("")
            case "step" if self._state in IDLE:
                self._once = True
                self._state = RunState.RUNNING
            case "stop":
                self._event("stop", f"stopped at step {step}")
                self._checkpoint()
                self._end(RunState.STOPPED, f"stopped at step {step}; the run is kept")
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
        self._state = RunState.PAUSED
        self._event("pause", f"paused at step {self.trainer.iteration}")
        self._checkpoint()
        self._status(message=message)

    # ------------------------------------------------------------------ records

    def _event(self, kind: str, text: str, value: str = "") -> None:
        trainer = getattr(self, "trainer", None)
        event = Event(step=trainer.iteration if trainer else 0, kind=kind, text=text, value=value)
        self.mailbox.put_event(event)
        if self._file is not None:
            self._file.add_event(event)

    def _checkpoint(self) -> None:
        if self._file is None or getattr(self, "trainer", None) is None:
            return
        state = self.trainer.state()
        tensors = {name: tensor.numpy() for name, tensor in state.tensors.items()}
        self._file.save_checkpoint(self.trainer.iteration, tensors, {**state.numbers, "seconds": self._seconds})
        self._file.set_state(str(self._state), self.trainer.iteration, self._seconds)
        self._commit()

    def _commit(self) -> None:
        """Write what waits. A disk that is full pauses the run; nothing is lost, the next commit tries again."""
        if self._file is None:
            return
        try:
            self._file.commit()
        except RunFileError as error:
            was_running = self._state is RunState.RUNNING
            if was_running:
                self._state = RunState.PAUSED
            self.mailbox.put_event(Event(step=self.trainer.iteration, kind="disk", text=str(error)))
            self._status(message=str(error))

    def _status(self, message: str | None = None) -> None:
        self._next_status = time.perf_counter() + STATUS_EVERY
        trainer = getattr(self, "trainer", None)
        changes: dict[str, object] = {"state": self._state, "seconds": self._seconds}
        if trainer is not None:
            left = self.experiment.training.steps - trainer.iteration
            changes |= {
                "step": trainer.iteration, "steps_per_second": self._rate,
                "seconds_left": left / self._rate if self._rate else None,
                "relative_l2": self._relative_l2, "losses": self._losses,
                "weights": dict(zip(trainer.terms, trainer.weights.tolist(), strict=True)),
                "learning_rate": trainer.current_learning_rate(), "balancing": trainer.balancing.rule,
                "engine": trainer.engine.name,
            }
        if message is not None:
            changes["message"] = message
        self.mailbox.put_status(**changes)
