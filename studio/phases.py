"""Phases: what follows the first optimizer of a run, each with its own budget, precision and points.

A run begins with the experiment's own optimizer for `training.steps` steps: its phase 0. Each `PhaseSpec` is a further
one. Phases are counted from 0 in code, and from 1 where a person reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import field_validator

from core.choices import FIRST_ORDER, OptimizerKind, SamplingKind
from core.problem import ProblemError
from studio.specs import Model, OptimizerSpec, SamplingSpec, positive_weights, tip

if TYPE_CHECKING:
    from studio.experiment import Experiment

MOST = 12  # phases beside the first
#: Points of every equation, and of every condition on each face, that a phase has at least whose points stay where they
#: were drawn anew before: a network learns the few points of a minibatch by heart, and is wrong between them.
ENOUGH, ENOUGH_ON_FACE = 2_000, 200


class PhaseOptimizerSpec(OptimizerSpec):
    """An optimizer that is the best one the memory allows, where nothing else is said."""

    kind: OptimizerKind = tip(
        "auto: the best method for the size of the network that the memory allows. The others are those of "
        "[optimizer].", "auto",
        source="Urban et al. 2025; Müller & Zeinhofer 2023")


class PhaseSamplingSpec(SamplingSpec):
    """Points that stay, where nothing else is said: second-order methods need a loss that stays the same function."""

    kind: SamplingKind = tip(
        "Where collocation points come from, as in [sampling]. A phase is short, so a design that fills the domain "
        "evenly serves it best.", "sobol", source="Wu et al. 2023")
    every: int = tip("Steps after which points are drawn anew; 0 for never.", 0, unit="steps", ge=0, le=100_000_000)


class PhaseSpec(Model):
    optimizer: PhaseOptimizerSpec = PhaseOptimizerSpec()
    steps: int = tip("Most steps of this phase. Quasi-Newton methods want thousands, levenberg-marquardt a few "
                     "hundred.", 5000, unit="steps", ge=1, le=100_000_000)
    seconds: float = tip("Most seconds of training of this phase; 0 for no limit. The step at which it ends then "
                         "differs from machine to machine, and so do the numbers.", 0.0, unit="s", ge=0, le=1e9)
    precision: Literal["as before", "float32", "float64"] = tip(
        "Arithmetic of network and training from here on. The accuracy of second-order methods ends where that of the "
        "arithmetic does.", "float64", source="Urban et al. 2025")
    points: int = tip("Collocation points of every equation; 0: as many as before, and at least "
                      f"{ENOUGH:,} where they were drawn anew before and stay now.", 0, ge=0, le=1_000_000)
    condition_points: int = tip("Points of every condition on each face; 0: as many as before, and at least "
                                f"{ENOUGH_ON_FACE} where they were drawn anew before and stay now.", 0, ge=0,
                                le=1_000_000)
    sampling: PhaseSamplingSpec = PhaseSamplingSpec()
    balancing: Literal["held", "as before"] = tip(
        "held: the weights stay where the phase before left them, so that the loss stays the same function. as before: "
        "the balancing rule goes on.", "held")
    weights: dict[str, float] = tip("Weights of loss terms that are set at the phase's beginning.",
                                    default_factory=dict)

    constants: dict[str, float] = tip(
        "Constants of the problem that have another value in this phase only: a smaller Reynolds number, say, from "
        "whose flow the next phase goes on (continuation). A reference from a file stays the problem's own.",
        default_factory=dict, source="Krishnapriyan et al. 2021; Wang et al. 2023")

    @property
    def values(self) -> str:
        """Its constants as a continuation of a sentence."""
        return "".join(f", {name} = {value:g}" for name, value in self.constants.items())

    @field_validator("weights")
    @classmethod
    def _weights(cls, value: dict[str, float]) -> dict[str, float]:
        return positive_weights(value)


def in_phase(experiment: Experiment, number: int) -> Experiment:
    """The experiment as it is in a phase: one without phases and variants, whose own optimizer is the phase's.

    number: 0 for what the run begins with. Raises IndexError where there is no such phase.
    """
    if not 0 <= number <= len(experiment.phases):
        raise IndexError(f"there is no phase {number + 1}; there are {len(experiment.phases) + 1}")
    now = experiment.model_copy(update={"phases": (), "compare": ()})
    for phase in experiment.phases[:number]:
        now = _changed(now, phase)
    if number and experiment.phases[number - 1].constants:
        now = with_part(now, "problem", constants={**now.problem.constants, **experiment.phases[number - 1].constants})
    return now


def _changed(before: Experiment, phase: PhaseSpec) -> Experiment:
    """The experiment of the phase before, changed to one of this phase. What is not the phase's own stays."""
    problem, balancing, training = before.problem, before.balancing, before.training
    settle = before.sampling.every != 0 and phase.sampling.every == 0
    inside, on_face = (ENOUGH, ENOUGH_ON_FACE if len(problem.domain) > 1 else 1) if settle else (1, 1)
    problem = problem.model_copy(update={
        "residuals": tuple(r.model_copy(update={"points": phase.points or max(r.points, inside)})
                           for r in problem.residuals),
        "conditions": tuple(c.model_copy(update={"points": phase.condition_points or max(c.points, on_face)})
                            for c in problem.conditions)})
    decomposition = before.decomposition
    if decomposition.points:
        decomposition = decomposition.model_copy(update={
            "points": tuple(phase.points or max(points, inside) for points in decomposition.points)})
    changes: dict[str, Any] = {"weights": {**balancing.weights, **phase.weights}}
    if phase.balancing == "held":
        changes["rule"] = "fixed"
    if phase.optimizer.kind not in FIRST_ORDER:
        changes |= {"points": "equal", "direction": "sum"}
    precision = training.precision if phase.precision == "as before" else phase.precision
    return before.model_copy(update={
        "problem": problem, "decomposition": decomposition,
        "balancing": balancing.model_copy(update=changes),
        "optimizer": OptimizerSpec(**phase.optimizer.model_dump()),
        "sampling": SamplingSpec(**phase.sampling.model_dump()),
        "training": training.model_copy(update={"steps": phase.steps, "precision": precision})})


def check_optimizers(experiment: Experiment) -> None:
    """What the optimizers ask of the other settings. Raises ProblemError with the place."""
    balancing, terms = experiment.balancing, experiment.terms
    if experiment.optimizer.kind not in FIRST_ORDER:
        kind = experiment.optimizer.kind
        if balancing.points != "equal":
            raise ProblemError(f"{kind} works on the loss as a whole, whose points are equal; take adam, or "
                               "balancing.points = 'equal'", "balancing.points")
        if balancing.direction != "sum":
            raise ProblemError(f"{kind} works on the sum of the terms; take adam, or balancing.direction = 'sum'",
                               "balancing.direction")
    for number, phase in enumerate(experiment.phases):
        unknown = [term for term in phase.weights if term not in terms]
        if unknown:
            raise ProblemError(f"there is no loss term '{unknown[0]}'; the terms are {', '.join(terms)}",
                               f"phases.{number}.weights")
        unknown = [name for name in phase.constants if name not in experiment.problem.constants]
        if unknown:
            known = ", ".join(experiment.problem.constants) or "none"
            raise ProblemError(f"the problem has no constant '{unknown[0]}'; it has {known}",
                               f"phases.{number}.constants")
        if experiment.decomposition.splits and phase.sampling.kind in ("rad", "rar-d", "r3"):
            raise ProblemError("points of sub-domains cannot follow the residual; take another sampling",
                               f"phases.{number}.sampling.kind")
        now = in_phase(experiment, number + 1)
        if now.balancing.points in ("self-adaptive", "residual-attention") and phase.sampling.every != 0:
            raise ProblemError(f"{now.balancing.points} weights belong to points that stay: set sampling.every = 0",
                               f"phases.{number}.sampling.every")


@dataclass(frozen=True)
class Place:
    """Where a run is in its course: the phase, and the step and the seconds of training at which it began."""

    phase: int = 0
    began: int = 0
    seconds: float = 0.0
    kind: str = ""  # the optimizer that 'auto' has become, or one that needs less memory; '' for the phase's own

    def end(self, experiment: Experiment) -> int:
        """The step at which this phase ends at the latest."""
        return self.began + steps_of(experiment, self.phase)

    def total(self, experiment: Experiment) -> int:
        """The step at which the whole run ends at the latest."""
        return self.end(experiment) + sum(phase.steps for phase in experiment.phases[self.phase:])

    def to_meta(self) -> dict[str, Any]:
        """For a checkpoint. Of a run without phases nothing is written but its optimizer, where it was chosen."""
        return {"place": [self.phase, self.began, self.seconds, self.kind]} if self != Place() else {}

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> Place:
        """Of a checkpoint; the beginning where it says nothing. Raises ValueError where it is damaged."""
        match meta.get("place", [0, 0, 0.0, ""]):
            case [int(phase), int(began), float(seconds), str(kind)] if phase >= 0 and began >= 0:
                return cls(phase, began, seconds, kind)
        raise ValueError(f"the checkpoint does not say in which phase it was made: {meta['place']!r}")


def at(experiment: Experiment, place: Place) -> Experiment:
    """The experiment at a place of its course, with the optimizer that was chosen there. Raises IndexError."""
    now = in_phase(experiment, place.phase)
    return with_part(now, "optimizer", kind=place.kind) if place.kind else now


def watched(experiment: Experiment, place: Place) -> Experiment:
    """The same for whoever looks at steps by their number in the run: they end where the phase does.

    The phases of the whole run stay in it, so that the doctor knows what follows.
    """
    now = at(experiment, place).model_copy(update={"phases": experiment.phases})
    return with_part(now, "training", steps=place.end(experiment)) if place.phase or place.began else now


def with_part(experiment: Experiment, part: str, **changes: Any) -> Experiment:
    """The experiment with changes to one of its tables, which are not checked."""
    return experiment.model_copy(update={part: getattr(experiment, part).model_copy(update=changes)})


def steps_of(experiment: Experiment, number: int) -> int:
    """Most steps of a phase, 0 being what the run begins with."""
    return experiment.training.steps if number == 0 else experiment.phases[number - 1].steps


def kind_of(experiment: Experiment, number: int) -> str:
    """The optimizer of a phase as the experiment names it."""
    return experiment.optimizer.kind if number == 0 else experiment.phases[number - 1].optimizer.kind
