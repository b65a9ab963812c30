"""Another trainer in the place of the one that trains, when settings are changed while a run goes on."""

from __future__ import annotations

from core.trainer import State, Trainer
from core.transplant import transplant
from studio.alterations import Alteration, altered
from studio.build import build_trainer
from studio.experiment import Experiment
from studio.findings import Remedy


class Surgery:
    """Applies changes to a trainer and takes them back, the last one first."""

    def __init__(self) -> None:
        self._done: list[tuple[Alteration, State]] = []  # with the state before each

    @property
    def words(self) -> tuple[str, ...]:
        """What was changed and can be undone, oldest first."""
        return tuple(a.text or ", ".join(a.changes) for a, _ in self._done)

    def apply(self, remedy: Remedy, experiment: Experiment,
              trainer: Trainer) -> tuple[Experiment, Trainer, tuple[str, ...]]:
        """The experiment and the trainer to go on with, and the parameters that start anew.

        Raises ExperimentError, ProblemError and ValueError; nothing has changed then.
        """
        changed = altered(experiment, remedy)
        before = trainer.state()
        new, fresh = successor(experiment, changed, trainer)
        self._done.append((Alteration(remedy.text, dict(remedy.changes), experiment), before))
        return changed, new, fresh

    def undo(self, experiment: Experiment, trainer: Trainer) -> tuple[Experiment, Trainer, Alteration]:
        """Take the last change back; where a part of the network had started anew, its old parameters come back.

        Raises ValueError where there is none.
        """
        if not self._done:
            raise ValueError("there is no change that could be undone")
        alteration, before = self._done[-1]
        new, _ = successor(experiment, alteration.before, trainer)
        if alteration.replaces:
            now = new.state()
            new.load(State({**before.tensors, "generator": now.tensors["generator"]},
                           {**before.numbers, "iteration": trainer.iteration}))
        self._done.pop()
        return alteration.before, new, alteration


def successor(old: Experiment, experiment: Experiment, trainer: Trainer) -> tuple[Trainer, tuple[str, ...]]:
    """A trainer for `experiment` that goes on from one for `old`, and the names of the parameters that start anew.

    What was set by hand while training and is not among the changes stays so. Raises ProblemError and ValueError.
    """
    new = build_trainer(experiment)
    fresh = transplant(trainer, new)
    if experiment.optimizer.learning_rate == old.optimizer.learning_rate:
        new.set_learning_rate(trainer.learning_rate)
    if experiment.balancing.rule == old.balancing.rule:
        new.set_balancing(trainer.balancing.rule)
    for term, weight in experiment.balancing.weights.items():
        if old.balancing.weights.get(term, 1.0) != weight:
            new.set_weight(term, weight)
    return new, fresh
