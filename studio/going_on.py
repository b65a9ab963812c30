"""Going on from a checkpoint, with the settings it was made with or with others."""

from __future__ import annotations

from dataclasses import replace

from core.trainer import State, Trainer
from core.transplant import same_parameters, transplant
from studio.build import build_trainer
from studio.experiment import Experiment
from studio.phases import Place, at, kind_of, with_part

#: What a state is of, beside the precision; learning rate, weights and rule are set by commands.
PARTS = ("problem", "network", "decomposition", "optimizer", "balancing", "sampling")


def place_of(place: Place, before: Experiment, now: Experiment) -> Place:
    """The place of a checkpoint in an experiment that was changed: another optimizer is chosen anew."""
    same = place.phase > min(len(before.phases), len(now.phases)) or (
        kind_of(before, place.phase) == kind_of(now, place.phase))
    return place if same else replace(place, kind="")


def changed(before: Experiment, now: Experiment) -> tuple[str, ...]:
    """The tables in which two experiments of one phase differ, as far as a trainer's state depends on them."""
    alike = with_part(with_part(now, "balancing", rule=before.balancing.rule, weights=before.balancing.weights),
                      "optimizer", learning_rate=before.optimizer.learning_rate)
    parts = [part for part in PARTS if getattr(alike, part) != getattr(before, part)]
    return (*parts, *(["precision"] if now.training.precision != before.training.precision else []))


def go_on(trainer: Trainer, now: Experiment, before: Experiment, place: Place, state: State) -> tuple[str, ...]:
    """Put a state that was made by `before` at `place` into the trainer of `now`; what has changed between them.

    Where nothing has, the next steps are those of a run that never stopped. Otherwise what was learned goes on as in a
    change while a run trains: an optimizer's memory of another loss, or of another optimizer, begins anew. Raises
    ValueError where the parameters are others, or the state is damaged.
    """
    what = changed(at(before, place), now)
    if not what:
        trainer.load(state)
        return ()
    old = build_trainer(at(before, place))
    old.load(state)
    if not same_parameters(old, trainer):
        raise ValueError("this checkpoint is of another network: its parameters are not those of this experiment")
    transplant(old, trainer)
    return what
