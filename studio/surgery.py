"""Another trainer in the place of the one that trains, when settings are changed while a run goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from core.trainer import State, Trainer
from core.transplant import transplant
from studio.alterations import Alteration, altered, described, placed, with_phase
from studio.course import Course, built
from studio.engines import Tell
from studio.experiment import Experiment, ExperimentError
from studio.findings import Remedy
from studio.phases import PhaseSpec, Place, at, kind_of
from studio.records import SOLVER


class Surgery:
    """Applies changes to a trainer and takes them back, the last one first. `tell` writes into the journal."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._done: list[_Done] = []

    @property
    def words(self) -> tuple[str, ...]:
        """What was changed and can be undone, oldest first."""
        return tuple(done.alteration.text or ", ".join(done.alteration.changes) for done in self._done)

    def apply(self, remedy: Remedy, course: Course, trainer: Trainer) -> Trainer:
        """The trainer to go on with; settings that the phase has of its own are changed there.

        Raises ExperimentError, ProblemError and ValueError; nothing has changed then.
        """
        remedy = placed(remedy, course.place)
        changed = altered(course.experiment, remedy)
        if course.place.phase > len(changed.phases):
            raise ExperimentError([("phases", f"the run is in phase {course.place.phase + 1}, which must stay")])
        before = _parameters(trainer)
        new, place, fresh = successor(course, changed, _kept(course, changed, course.place), trainer)
        anew = f"; new parameters: {', '.join(fresh[:4])}{' ...' if len(fresh) > 4 else ''}" if fresh else ""
        self._note(remedy, f"{described(remedy)}{anew}", course, before)
        course.experiment, course.place = changed, place
        return new

    def switch(self, phase: PhaseSpec, course: Course, trainer: Trainer, seconds: float) -> Trainer:
        """The trainer of a phase that is put after the present one and begins now.

        Raises ExperimentError, ProblemError and ValueError; nothing has changed then.
        """
        remedy = with_phase(course.experiment, course.place, phase)
        changed = altered(course.experiment, remedy)
        before = _parameters(trainer)
        place, new, why = course.advance(trainer, seconds, changed)
        self._note(remedy, f"{remedy.text} for at most {phase.steps:,} steps", course, before, seconds, switch=True)
        course.experiment = changed
        course.enter(place, new, why)
        return new

    def undo(self, course: Course, trainer: Trainer, seconds: float) -> Trainer:
        """Take the last change back; where a part of the network had started anew, its old parameters come back.

        A phase that comes back has its steps and seconds still before it, but for those that it had made itself.
        seconds: of training so far. Raises ValueError where there is none.
        """
        if not self._done:
            raise ValueError("there is no change that could be undone")
        alteration, before = self._done[-1].alteration, self._done[-1].before
        if course.place.phase > len(alteration.before.phases) and not alteration.switch:
            raise ValueError(f"the run is in phase {course.place.phase + 1}, which came by the last change")
        place = _kept(course, alteration.before, course.place)
        if alteration.switch:
            there = course.place.phase == alteration.place.phase + 1
            place = (self._done[-1].resumed(trainer.iteration, seconds) if there
                     else replace(course.place, phase=course.place.phase - 1))
        new, place, _ = successor(course, alteration.before, place, trainer)
        if alteration.replaces:
            numbers = {**before.numbers, "iteration": trainer.iteration}
            state = State({**before.tensors, "generator": new.state().tensors["generator"]}, numbers)
            if (place.phase, place.began) == (alteration.place.phase, alteration.place.began):
                new.load(state)
            else:  # the state is that of another phase, perhaps in another precision
                then, _, _ = built(alteration.before, alteration.place)
                then.load(state)
                transplant(then, new, anew=True)
        self._done.pop()
        if alteration.switch:
            self._done = [done.moved(alteration.place, place) for done in self._done]
        self._tell("undo", f"undone: {alteration.text or ', '.join(alteration.changes)}",
                   json.dumps(dict(alteration.changes)))
        back = alteration.switch and course.place.phase != place.phase
        course.experiment, course.place = alteration.before, place
        if back:
            course.announce(new)
        return new

    def set_by_hand(self, kind: str, value: Any, trainer: Trainer) -> None:
        """A weight (term, value), the balancing rule or the learning rate from here on; no change that is undone."""
        match kind:
            case "weight":
                term, weight = value
                trainer.set_weight(term, weight)
                self._tell("weight", f"weight of {term} set to {weight:g}", json.dumps([term, weight]))
            case "balancing":
                trainer.set_balancing(str(value))
                self._tell("balancing", f"balancing set to {value}", json.dumps(value))
            case "learning_rate":
                trainer.set_learning_rate(float(value))
                self._tell("learning_rate", f"learning rate set to {value:g}", json.dumps(value))

    def _note(self, remedy: Remedy, text: str, course: Course, before: State, seconds: float = 0.0, *,
              switch: bool = False) -> None:
        alteration = Alteration(remedy.text, dict(remedy.changes), course.experiment, course.place, switch)
        self._done.append(_Done(alteration, before, seconds))
        self._tell("change", text, json.dumps({"text": remedy.text, "changes": dict(remedy.changes)}))


@dataclass(frozen=True)
class _Done:
    """A change, the state before it and, of a switch, the seconds of training before it."""

    alteration: Alteration
    before: State
    seconds: float

    def resumed(self, step: int, seconds: float) -> Place:
        """Where the run is when a switch is undone at this step: what came in between is not the phase's own."""
        place = self.alteration.place
        return replace(place, began=place.began + step - int(self.before.numbers["iteration"]),
                       seconds=place.seconds + seconds - self.seconds)

    def moved(self, old: Place, new: Place) -> _Done:
        """The same where the phase in which it was made has come back, and counts as begun later."""
        place = self.alteration.place
        if (place.phase, place.began) != (old.phase, old.began) or new.phase != old.phase:
            return self
        return replace(self, alteration=replace(self.alteration, place=replace(
            place, began=new.began, seconds=new.seconds)))


def _parameters(trainer: Trainer) -> State:
    """The state without a method's own memory, which may be large."""
    state = trainer.state()
    return State({name: t for name, t in state.tensors.items() if not name.startswith(SOLVER)}, state.numbers)


def _kept(course: Course, experiment: Experiment, place: Place) -> Place:
    """The place in another version of the experiment: an optimizer that was chosen stays while the same is asked."""
    same = kind_of(experiment, place.phase) == kind_of(course.experiment, place.phase) if (
        place.phase <= len(experiment.phases)) else False
    return place if same else replace(place, kind="")


def successor(course: Course, experiment: Experiment, place: Place,
              trainer: Trainer) -> tuple[Trainer, Place, tuple[str, ...]]:
    """A trainer for another version of the experiment, its place, and the names of the parameters that start anew.

    What was set by hand while training and is not among the changes stays so. Raises ProblemError and ValueError.
    """
    new, place, _ = built(experiment, place)
    fresh = transplant(trainer, new)
    old, now = course.now, at(experiment, place)
    if now.optimizer.learning_rate == old.optimizer.learning_rate:
        new.set_learning_rate(trainer.learning_rate)
    if now.balancing.rule == old.balancing.rule:
        new.set_balancing(trainer.balancing.rule)
    had, has = old.balancing.weights, now.balancing.weights
    for term in (term for term in new.terms if term in had or term in has):
        if had.get(term, 1.0) != has.get(term, 1.0):
            new.set_weight(term, has.get(term, 1.0))
    return new, place, fresh
