"""The course of a run: which phase it is in, when that ends, and how the next one begins."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from core.choices import GAUSS_NEWTON
from core.engine import EagerEngine
from core.problem import ProblemError
from core.tiles import refused
from core.trainer import Trainer
from core.transplant import transplant
from studio.build import build_objective, build_trainer
from studio.engines import Tell
from studio.experiment import Experiment
from studio.methods import Method, method_of
from studio.phases import Place, at, kind_of, watched, with_part


class Course:
    """Of one run. `experiment` is the whole one, with the changes made while it trains; `place` says where it is."""

    def __init__(self, experiment: Experiment, tell: Tell, place: Place | None = None) -> None:
        """Raises ValueError where the experiment has no such phase."""
        self.experiment, self._tell = experiment, tell
        self.place = place or Place()
        self._finished: int | None = None
        if self.place.phase > len(experiment.phases):
            raise ValueError(f"the checkpoint is one of phase {self.place.phase + 1}, and the experiment has "
                             f"{len(experiment.phases) + 1}")

    # ------------------------------------------------------------------ where it is

    @property
    def now(self) -> Experiment:
        """The experiment of this phase, with the optimizer that it really has."""
        return at(self.experiment, self.place)

    @property
    def watched(self) -> Experiment:
        """The same for whoever looks at steps by their number: they end where this phase does."""
        return watched(self.experiment, self.place)

    @property
    def last(self) -> bool:
        """Whether no phase follows."""
        return self.place.phase == len(self.experiment.phases)

    @property
    def end(self) -> int:
        """The step at which this phase ends at the latest."""
        return self.place.end(self.experiment)

    @property
    def total(self) -> int:
        """The step at which the run ends at the latest; once it has, the one at which it did."""
        return self.place.total(self.experiment) if self._finished is None else self._finished

    def over(self, step: int, seconds: float, done: str) -> str:
        """Why this phase is over; '' while it is not. done: what the optimizer says of itself."""
        phase = self.experiment.phases[self.place.phase - 1] if self.place.phase else None
        if done:
            return done
        if step >= self.end:
            return f"its {self.end - self.place.began:,} steps are made"
        if phase is not None and phase.seconds and seconds - self.place.seconds >= phase.seconds:
            return f"its {phase.seconds:g} seconds are over"
        return ""

    def left(self, step: int, seconds: float, rate: float) -> tuple[float | None, float | None]:
        """(of this phase, of the run) seconds of training that are left; None where that is not known.

        step, seconds: made so far. rate: steps per second of this phase, 0 while it is not known. A phase lasts as long
        as its steps at its own pace, and no longer than its limit in seconds. The pace of a phase to come is not known,
        since its steps are another method's: it counts with its limit, and where it has none the whole is not known.
        """
        if self._finished is not None:
            return 0.0, 0.0
        here = max(0, self.end - step) / rate if rate > 0 else None
        phase = self.experiment.phases[self.place.phase - 1] if self.place.phase else None
        if phase is not None and phase.seconds:
            limit = max(0.0, phase.seconds - (seconds - self.place.seconds))
            here = limit if here is None else min(here, limit)
        later = [phase.seconds for phase in self.experiment.phases[self.place.phase:]]
        return here, None if here is None or not all(later) else here + sum(later)

    def tell_end(self, trainer: Trainer, why: str = "") -> None:
        """The journal says why this phase has ended; '' where that need not be said.

        The doctor reads 'done', that a method has ended its phase by itself. Of the last phase the end of its steps is
        that of the run, which says it.
        """
        number, phases, now = self.place.phase + 1, len(self.experiment.phases) + 1, self.now
        made, most = trainer.iteration - self.place.began, self.end - self.place.began
        if not trainer.done:
            if why and not (self.last and made >= most):
                after = f" after {made:,} of {most:,} steps" if made < most else ""
                self._tell("phase-end", f"phase {number} of {phases}, {now.optimizer.kind}, has ended{after}: {why}",
                           json.dumps({"phase": number, "phases": phases, "kind": now.optimizer.kind, "why": why}))
            return
        of = f" phase {number} of {phases}" if phases > 1 else ""
        self._tell("done", f"{now.optimizer.kind} has ended{of} by itself, after {made:,} of {most:,} steps in "
                           f"{now.training.precision}: {trainer.done}", json.dumps({
                               "phase": number, "phases": phases, "kind": now.optimizer.kind,
                               "precision": now.training.precision}))

    def finish(self, step: int) -> None:
        """The run is over at this step."""
        self._finished = step

    def standing(self, step: int) -> dict[str, Any]:
        """What the status says of it."""
        kind = self.place.kind or kind_of(self.experiment, self.place.phase)
        return {"phase": self.place.phase + 1, "phases": len(self.experiment.phases) + 1, "phase_name": kind,
                "phase_step": step - self.place.began, "phase_steps": self.end - self.place.began,
                "total_steps": self.total}

    # ------------------------------------------------------------------ trainers

    def begin(self, *, again: bool = False) -> Trainer:
        """The trainer at the beginning of the run; again: of the phase that is gone on with, which the journal knows.

        Raises ProblemError and ValueError, of later phases too: what cannot work is said before anything is trained.
        """
        check(self.experiment, self.place.phase + 1)
        trainer, self.place, why = built(self.experiment, self.place)
        if (self.experiment.phases or why) and not again:
            self.announce(trainer, why)
        return trainer

    def advance(self, trainer: Trainer, seconds: float,
                experiment: Experiment | None = None) -> tuple[Place, Trainer, str]:
        """(place, trainer, why this method) of the next phase; the course goes there with `enter`.

        seconds: of training so far. experiment: another version, which has that phase. Raises ProblemError and
        ValueError, and then everything is as it was.
        """
        experiment = experiment or self.experiment
        new, place, why = built(experiment, Place(self.place.phase + 1, trainer.iteration, seconds), fall_back=True)
        transplant(trainer, new, anew=True)
        phase = experiment.phases[place.phase - 1]
        if phase.balancing == "as before":
            new.set_balancing(trainer.balancing.rule)  # perhaps set by hand
        for term, weight in phase.weights.items():
            new.set_weight(term, weight)
        return place, new, why

    def coming(self) -> Experiment | None:
        """What the next phase trains, with the method that it will have; None where no compiled step can serve it.

        So it is too where no phase follows, and where that one cannot begin, which it says itself when it comes.
        """
        if self.last:
            return None
        number = self.place.phase + 1
        now = self.experiment.in_phase(number)
        try:
            objective = build_objective(now)
            kind = method_of(now.optimizer, objective, path=path_of(number), fall_back=True).kind
            plain = build_trainer(with_part(now, "optimizer", kind="adam"), objective=objective)  # without its memory
        except (ProblemError, ValueError):
            return None
        if kind in GAUSS_NEWTON or not isinstance(plain.engine, EagerEngine) or refused(plain.engine):
            return None
        return with_part(now, "optimizer", kind=kind)

    def enter(self, place: Place, trainer: Trainer, why: str) -> None:
        """Go on at a place that `advance` has made; the journal says so."""
        self.place = place
        self.announce(trainer, why)

    def announce(self, trainer: Trainer, why: str = "") -> None:
        """The journal says where the run is. why: this method."""
        number, phases = self.place.phase + 1, len(self.experiment.phases) + 1
        now = self.now
        every = now.sampling.every
        drawn = {0: "fixed points", 1: "points drawn at every step"}.get(every, f"points drawn every {every:,} steps")
        values = self._values() + self._dropped()
        text = (f"phase {number} of {phases}: {now.optimizer.kind} in {now.training.precision} on "
                f"{trainer.objective.points:,} {drawn}{values}{', because ' if why else ''}{why}")
        self._tell("phase", text, json.dumps({
            "phase": number, "phases": phases, "kind": now.optimizer.kind, "step": self.place.began, "why": why}))

    def _dropped(self) -> str:
        """What the phase before had and the loss as a whole has not, as a continuation of a sentence."""
        if not self.place.phase:
            return ""
        before, now = (self.experiment.in_phase(self.place.phase - k).balancing for k in (1, 0))
        points = f", all of the same weight in the place of {before.points}" if before.points != now.points else ""
        return points + (f", of the plain sum of the terms in the place of {before.direction}"
                         if before.direction != now.direction else "")

    def _values(self) -> str:
        """The constants that have another value in this phase, and what the errors are held against meanwhile."""
        problem, phase = self.experiment.problem, (None, *self.experiment.phases)[self.place.phase]
        if phase is None or not phase.constants:
            return ""
        own = ", ".join(f"{name} = {problem.constants[name]:g}" for name in phase.constants)
        return phase.values + (f" (errors are distances from the reference, {own})" if problem.reference else "")


def built(experiment: Experiment, place: Place, *, fall_back: bool = False) -> tuple[Trainer, Place, str]:
    """A trainer at a place of an experiment's course, the place with the method chosen, and why it was chosen.

    fall_back: take a method without a large matrix where there is no memory for it. Raises ProblemError and ValueError.
    """
    now = at(experiment, place)
    objective = build_objective(now)
    method = Method(place.kind) if place.kind else method_of(
        now.optimizer, objective, path=path_of(place.phase), fall_back=fall_back)
    if method.kind != now.optimizer.kind:
        place = replace(place, kind=method.kind)
    trainer = build_trainer(with_part(now, "optimizer", kind=method.kind), objective=objective)
    return trainer, place, method.why


def check(experiment: Experiment, first: int = 0) -> dict[int, str]:
    """Of the phases from `first` on those, by number, in whose method's place another one comes, and why.

    Raises ProblemError where one has an optimizer or points that cannot be.
    """
    replaced = {}
    for number in range(first, len(experiment.phases) + 1):
        now = experiment.in_phase(number)
        objective = build_objective(now)
        method = method_of(now.optimizer, objective, path=path_of(number), fall_back=number > 0)
        if now.optimizer.kind not in ("auto", method.kind):
            replaced[number] = method.why
        try:  # without the method's memory, which may be large
            build_trainer(with_part(now, "optimizer", kind="adam"), objective=objective)
        except ProblemError:
            raise
        except ValueError as error:
            raise ProblemError(str(error), f"phases.{number - 1}" if number else "") from None
    return replaced


def path_of(number: int) -> str:
    """Where the experiment says which optimizer a phase has."""
    return f"phases.{number - 1}.optimizer.kind" if number else "optimizer.kind"
