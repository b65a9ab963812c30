"""Which engine makes a run's steps: eager at first, the compiled one as soon as it is there and worth it.

Towards its end a phase also compiles the step of the next one, which then begins with it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from core.engine import EagerEngine
from core.tiles import refused
from core.trainer import Trainer
from studio.compiling import (
    Compilation,
    CompileError,
    compiled_engine,
    load_engine,
    package_folder,
    ready,
    recorded_engine,
)
from studio.experiment import Experiment

WORTH_COMPILING = 15.0  # seconds of eager training that must be left: compiling costs a core for half a minute
#: The same where another phase follows, whose step can be compiled meanwhile, and is longer in use.
WORTH_BEFORE_ANOTHER = 90.0
AHEAD = 240.0  # seconds before a phase ends from which the step of the next one is compiled


class Tell(Protocol):
    """Writes an event into the journal."""

    def __call__(self, kind: str, text: str, value: str = "") -> None: ...


class Engines:
    """Gives a trainer its engine. `tell` writes events, `say` shows a sentence in the status."""

    def __init__(self, experiment: Experiment, tell: Tell, say: Callable[[str], None],
                 before: Engines | None = None) -> None:
        """before: the engines of the phase before, which may be compiling what this one needs; they end here."""
        self.experiment, self._tell, self._say = experiment, tell, say
        self._compilation: Compilation | None = None
        self._given_up = False  # compiling; it failed once
        self._coming: Experiment | None = None  # what the next phase trains, where that can be compiled
        self._asked = False  # for that
        self._ahead: Compilation | None = None  # of that
        if before is not None:
            self._take_over(before)

    def _take_over(self, before: Engines) -> None:
        """What was being compiled there and serves here goes on, the rest ends."""
        folder = package_folder(self.experiment)
        if before._ahead is not None and before._ahead.folder == folder:
            self._compilation, before._ahead = before._ahead, None
        elif before._compilation is not None and before._compilation.folder == folder:
            self._compilation, before._compilation = before._compilation, None
        before.cancel()

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
        eager = trainer.engine
        assert isinstance(eager, EagerEngine)
        if by_rows(trainer):
            return True
        if _stays_eager(trainer):  # a GPU's step is recorded, another one refused
            trainer.engine = compiled_engine(self.experiment, eager)
            return True
        self._say("compiling the step; this takes about half a minute")
        with suppress(CompileError):  # a damaged package is gone now
            if ready(self.experiment):
                trainer.engine = load_engine(self.experiment, eager)
                return True
        self._compilation = self._compilation or Compilation(self.experiment)
        while not self._compilation.poll():
            time.sleep(0.1)
            if abandoned():
                return False
        self._compilation = None
        trainer.engine = load_engine(self.experiment, eager)
        return True

    def poll(self, trainer: Trainer, seconds_left: float | None,
             coming: Callable[[], Experiment | None] = lambda: None) -> None:
        """Begin compiling where it is worth it, change over when it is done; then compile what the next phase needs.

        seconds_left: of this phase, None while that is not known. coming: what the next phase trains, None where that
        is not compiled; asked once.
        """
        mode = self.experiment.training.engine
        if mode == "eager" or trainer.objective.device.type != "cpu":
            return
        if not self._asked and seconds_left is not None and seconds_left < AHEAD:
            self._asked = True
            self._coming = coming()
        self._change_over(trainer, seconds_left)
        if self._compilation is None:
            self._prepare_next()

    def _change_over(self, trainer: Trainer, seconds_left: float | None) -> None:
        """To this phase's compiled step."""
        if not isinstance(trainer.engine, EagerEngine) or by_rows(trainer) or _stays_eager(trainer):
            if self._compilation is not None:  # taken over, and not needed
                self._compilation.cancel()
                self._compilation = None
            return
        worth = WORTH_COMPILING if self._coming is None else WORTH_BEFORE_ANOTHER
        wanted = self.experiment.training.engine == "compiled" or (seconds_left is not None and seconds_left > worth)
        try:
            if self._compilation is None:
                if wanted and not self._given_up:
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

    def _prepare_next(self) -> None:
        """Compile the step of the next phase. Where that fails the phase will say so itself."""
        if self._coming is None:
            return
        try:
            if self._ahead is None and not ready(self._coming):
                self._ahead = Compilation(self._coming)
            if self._ahead is None or self._ahead.poll():
                self._ahead = self._coming = None
        except CompileError:
            self._ahead = self._coming = None

    def cancel(self) -> None:
        """End the compilations that are under way."""
        for compilation in (self._compilation, self._ahead):
            if compilation is not None:
                compilation.cancel()
        self._compilation = self._ahead = None


def by_rows(trainer: Trainer) -> bool:
    """Whether the steps are made from the Jacobian of all residuals, which no compiled step computes."""
    return trainer.solver is not None and trainer.solver.needs == "rows"


def _stays_eager(trainer: Trainer) -> bool:
    """Whether a step is not compiled, such as one in portions that are no tiles."""
    return isinstance(trainer.engine, EagerEngine) and bool(refused(trainer.engine))
