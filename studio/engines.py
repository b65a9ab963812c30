"""Which engine makes a run's steps: eager at first, the compiled one as soon as it is there and worth it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Protocol

from core.engine import EagerEngine
from core.tiles import refused
from core.trainer import Trainer
from studio.compiling import Compilation, CompileError, compiled_engine, load_engine, ready, recorded_engine
from studio.experiment import Experiment

WORTH_COMPILING = 15.0  # seconds of eager training that must be left: compiling costs a core for half a minute


class Tell(Protocol):
    """Writes an event into the journal."""

    def __call__(self, kind: str, text: str, value: str = "") -> None: ...


class Engines:
    """Gives a trainer its engine. `tell` writes events, `say` shows a sentence in the status."""

    def __init__(self, experiment: Experiment, tell: Tell, say: Callable[[str], None]) -> None:
        self.experiment, self._tell, self._say = experiment, tell, say
        self._compilation: Compilation | None = None
        self._given_up = False  # compiling; it failed once

    def take_cached(self, trainer: Trainer) -> None:
        """The compiled step where it is in the cache; on a GPU the CUDA graph of the step."""
        if by_rows(trainer):
            return
        try:
            if trainer.objective.device.type != "cpu" and isinstance(trainer.engine, EagerEngine):
                self._given_up = True  # nothing else follows
                trainer.engine = recorded_engine(trainer.engine)
            elif _stays_eager(trainer):
                return
            elif ready(self.experiment) and isinstance(trainer.engine, EagerEngine):
                trainer.engine = load_engine(self.experiment, trainer.engine)
        except CompileError as error:
            follows = "the step stays eager" if self._given_up else "it will be compiled again where that is worth it"
            self._tell("engine", f"{error}; {follows}")

    def compile_and_wait(self, trainer: Trainer, abandoned: Callable[[], bool]) -> bool:
        """Compile before the first step; False where the run was abandoned meanwhile. Raises CompileError."""
        assert isinstance(trainer.engine, EagerEngine)
        if by_rows(trainer):
            return True
        if _stays_eager(trainer):  # a GPU's step is recorded, another one refused
            trainer.engine = compiled_engine(self.experiment, trainer.engine)
            return True
        self._say("compiling the step; this takes about half a minute")
        if not ready(self.experiment):
            self._compilation = Compilation(self.experiment)
            while not self._compilation.poll():
                time.sleep(0.1)
                if abandoned():
                    return False
            self._compilation = None
        trainer.engine = load_engine(self.experiment, trainer.engine)
        return True

    def poll(self, trainer: Trainer, seconds_left: float | None) -> None:
        """Begin compiling where it is worth it, change over when it is done."""
        if self.experiment.training.engine != "auto" or not isinstance(trainer.engine, EagerEngine):
            return
        if by_rows(trainer) or _stays_eager(trainer):
            return
        try:
            if self._compilation is None:
                if seconds_left is not None and seconds_left > WORTH_COMPILING and not self._given_up:
                    self._compilation = Compilation(self.experiment)
            elif self._compilation.poll():
                self._compilation = None
                trainer.engine = load_engine(self.experiment, trainer.engine)
                self._tell("engine", f"changed over to the compiled step after step {trainer.iteration}",
                           json.dumps("compiled"))
        except CompileError as error:
            self._given_up = True
            self._compilation = None
            sentence = f"{error}; the step stays eager"
            self._tell("engine", sentence, json.dumps("eager"))
            self._say(sentence)

    def cancel(self) -> None:
        """End a compilation that is under way."""
        if self._compilation is not None:
            self._compilation.cancel()


def by_rows(trainer: Trainer) -> bool:
    """Whether the steps are made from the Jacobian of all residuals, which no compiled step computes."""
    return trainer.solver is not None and trainer.solver.needs == "rows"


def _stays_eager(trainer: Trainer) -> bool:
    """Whether a step is not compiled, such as one in portions that are no tiles."""
    return isinstance(trainer.engine, EagerEngine) and bool(refused(trainer.engine))
