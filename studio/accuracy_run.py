"""Trains one run of the accuracy measurement, in a process of its own, and says on stdout what it measures.

    python -m studio.accuracy_run '{"problem": "helmholtz", "method": "ours", "seed": 0, "limit": 60, "threads": 1}'

Each line of its output is JSON: {"seconds", "error", "step"} for an error that was measured, {"note", "seconds"} for a
change of engine or phase, and the last one how it ended. The clock is the wall's. It begins before the loss is built,
runs through compiling and changes of phase, and stands still only while an error is measured.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from core.device import wait_for
from core.diagnostics.fields import FieldsDiagnostic
from core.diagnostics.stopping import Stopped
from core.problem import ProblemError
from core.solvers.solver import Watch
from core.trainer import NotFinite, Trainer
from studio.accuracy_data import AccuracyError, Problem, load
from studio.build import build_fields, build_trainer
from studio.compiling import ready
from studio.course import Course
from studio.engines import Engines
from studio.experiment import Experiment, ExperimentError
from studio.leash import end_with_input
from studio.peak import peak_mb

GROWTH = 1.12  # between the times of two errors: twenty for each factor of ten
FIRST = 0.05  # seconds of training before the first error
POLL_COMPILER_EVERY = 0.25
INTERIOR = " (interior)"  # ends the title of an error that leaves out what is near the boundary

Say = Callable[[dict[str, Any]], None]
State = Literal["finished", "stopped", "diverged"]


class Stopwatch:
    """Wall-clock seconds since it was made, without those in which it was held."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._begun = now()
        self.away = 0.0  # seconds in which it was held

    @property
    def seconds(self) -> float:
        return self._now() - self._begun - self.away

    @contextmanager
    def held(self) -> Iterator[None]:
        begun = self._now()
        try:
            yield
        finally:
            self.away += self._now() - begun


class Measuring:
    """One run: trained phase by phase as the window would, its error measured at times even in the logarithm.

    title: the error that counts. limit: seconds after which it is ended.
    """

    def __init__(self, experiment: Experiment, title: str, limit: float, say: Say,
                 now: Callable[[], float] = time.perf_counter) -> None:
        self.experiment, self.title, self.limit = experiment, title, limit
        self._say = say
        self.clock = Stopwatch(now)
        self.errors: dict[str, float] = {}
        self._next = FIRST
        self._fields: FieldsDiagnostic | None = None
        self._next_poll = 0.0
        self._phase_began = 0.0

    def run(self) -> tuple[State, str, Trainer]:
        """(how it ended, a sentence or '', the trainer at its end).

        Raises ProblemError, ExperimentError, ValueError and AccuracyError.
        """
        course = Course(self.experiment, self._note)
        trainer = self._taken(course, course.begin())
        engines = self._engines(course, trainer)
        state: State = "finished"
        message = ""
        try:
            while True:
                trainer.step()
                now = self.clock.seconds
                if now >= self._next:
                    self._measure(trainer)
                if now >= self.limit:
                    state = "stopped"
                    break
                if now >= self._next_poll:
                    self._next_poll = now + POLL_COMPILER_EVERY
                    engines.poll(trainer, self._left(course, trainer.iteration, now))
                if course.over(trainer.iteration, now, trainer.done):
                    self._measure(trainer)
                    if course.last:
                        break
                    engines.cancel()
                    place, trainer, why = course.advance(trainer, now)
                    course.enter(place, trainer, why)
                    self._phase_began = now
                    trainer = self._taken(course, trainer)
                    engines = self._engines(course, trainer)
        except Stopped:
            state = "stopped"
        except NotFinite as error:
            state, message = "diverged", str(error)
        finally:
            engines.cancel()
        if state != "diverged":
            self._measure(trainer)
        return state, message, trainer

    def _taken(self, course: Course, trainer: Trainer) -> Trainer:
        """A trainer that begins: followed by the clock, and with its own errors."""
        trainer.watch = Watch(stop=lambda: self.clock.seconds >= self.limit)
        with self.clock.held():
            self._fields = build_fields(course.watched, trainer)
        return trainer

    def _engines(self, course: Course, trainer: Trainer) -> Engines:
        engines = Engines(course.now, self._note, lambda text: None)
        if course.experiment.training.engine == "compiled":
            engines.compile_and_wait(trainer, lambda: self.clock.seconds >= self.limit)
        elif course.experiment.training.engine == "auto":
            engines.take_cached(trainer)
        return engines

    def _left(self, course: Course, step: int, now: float) -> float:
        """Seconds that this phase has left, by its pace so far."""
        made = step - course.place.began
        rest = (course.end - step) * (now - self._phase_began) / max(1, made)
        return min(rest, self.limit - now)

    def _measure(self, trainer: Trainer) -> None:
        wait_for(trainer.objective.device)
        seconds = self.clock.seconds
        with self.clock.held():
            assert self._fields is not None
            with np.errstate(all="ignore"):
                self.errors = self._fields.relative_l2(trainer)
            if self.title not in self.errors:
                there = ", ".join(self.errors) or "none"
                raise AccuracyError(f"there is no error of '{self.title}'; there are {there}")
            error = self.errors[self.title]
            self._say({"seconds": seconds, "error": error if math.isfinite(error) else None,
                       "step": trainer.iteration})
        self._next = max(seconds * GROWTH, seconds + FIRST)

    def _note(self, kind: str, text: str, value: str = "") -> None:
        self._say({"note": text, "seconds": self.clock.seconds})


def experiment_of(problem: Problem, method: str, seed: int, threads: int) -> Experiment:
    """What is trained."""
    return problem.experiment(method).with_changes({"training.seed": seed, "training.threads": threads, "compare": []})


def write_grid(problem: Problem, path: Path) -> None:
    """Where the error that counts is measured, and the truth there, for a rival: .npz of points [N, d], truth [N].

    Raises ProblemError and AccuracyError.
    """
    experiment = problem.ours.in_phase(0)
    fields = build_fields(experiment, build_trainer(experiment))
    title = problem.measure.quantity
    name = title.removesuffix(INTERIOR)
    if name not in fields.truth or (name != title and fields.inside is None):
        raise AccuracyError(f"there is no error of '{title}'; the truth is known of {', '.join(fields.truth)}")
    truth = fields.truth[name].reshape(-1)
    rows = np.isfinite(truth)
    if name != title:
        assert fields.inside is not None
        rows &= fields.inside
    np.savez(path, points=fields.measured.numpy()[rows], truth=truth[rows])


def main(arguments: list[str]) -> int:
    """Train what the argument says. 0, or 1 where it could not be trained; the last line says why."""
    given = json.loads(arguments[0])
    end_with_input()

    def say(line: dict[str, Any]) -> None:
        print(json.dumps(line), flush=True)

    try:
        problem = load(given["problem"])
        experiment = experiment_of(problem, given["method"], given["seed"], given["threads"])
        phases = [experiment.in_phase(k) for k in range(len(experiment.phases) + 1)]
        warm = experiment.training.device == "cpu" and any(map(ready, phases))
        run = Measuring(experiment, problem.measure.quantity, given["limit"], say)
        state, message, trainer = run.run()
    except (ProblemError, ExperimentError, AccuracyError, ValueError, RuntimeError, MemoryError) as error:
        say({"state": "failed", "message": str(error) or type(error).__name__})
        return 1
    except KeyboardInterrupt:
        return 130
    say({"state": state, "message": message, "steps": trainer.iteration, "clock": run.clock.seconds,
         "evaluation": run.clock.away, "errors": {k: v if math.isfinite(v) else None for k, v in run.errors.items()},
         "peak_mb": peak_mb(), "warm": warm, "versions": {"torch": torch.__version__}})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
