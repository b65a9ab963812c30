"""Settings that are changed while a run goes on, and how they are undone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from studio.experiment import Experiment, ExperimentError
from studio.findings import Remedy
from studio.messages import Event
from studio.phases import PhaseSpec, Place

#: Settings of the network under which it goes on computing the same function.
HARMLESS = frozenset({"network.slopes", "network.slope_scale", "network.slope_on_output", "network.recovery"})

#: What cannot be changed in mid-run: what the run is about, and what its records are made of.
FIXED = ("problem", "decomposition", "name", "compare", "training.seed", "training.threads", "training.engine",
         "diagnostics")


@dataclass(frozen=True)
class Alteration:
    """One change: what it is called, what it sets, and the experiment before it."""

    text: str
    changes: Mapping[str, Any]
    before: Experiment
    place: Place = Place()  # where the run was
    switch: bool = False  # whether it put a phase after that place and went there

    @property
    def replaces(self) -> bool:
        """Whether a part of the network starts anew, so that undoing it needs the parameters from before."""
        return any(path.startswith("network.") and path not in HARMLESS for path in self.changes)


def changeable(remedy: Remedy) -> None:
    """Raises ExperimentError where a remedy changes nothing, or what a run cannot change on its way."""
    for path in remedy.changes:
        if any(path == fixed or path.startswith(f"{fixed}.") for fixed in FIXED):
            raise ExperimentError([(path, "this cannot be changed while the run goes on; change it in the form and "
                                          "start again")])
    if not remedy.changes:
        raise ExperimentError([("", "there is nothing to change")])


def placed(remedy: Remedy, place: Place) -> Remedy:
    """A remedy as it is to be written into the whole experiment, so that it changes the phase that the run is in.

    Settings that a phase has of its own are set there: 'optimizer.clip' becomes 'phases.0.optimizer.clip'.
    """
    if not place.phase:
        return remedy
    phase, changes = f"phases.{place.phase - 1}", {}
    for path, value in remedy.changes.items():
        if path == "training.steps":  # counted over the whole run
            changes[f"{phase}.steps"] = max(1, value - place.began) if isinstance(value, int) else value
        elif path == "training.precision":
            changes[f"{phase}.precision"] = value
        elif path.startswith(("optimizer.", "sampling.")):
            changes[f"{phase}.{path}"] = value
        elif path.startswith("balancing.weights"):
            changes[f"{phase}.{path.removeprefix('balancing.')}"] = value
        elif path == "balancing.rule":
            changes |= {path: value, **{f"phases.{k}.balancing": "as before" for k in range(place.phase)}}
        else:
            changes[path] = value
    return Remedy(text=remedy.text, changes=changes)


def check_switch(experiment: Experiment, phase: PhaseSpec) -> None:
    """Raises ExperimentError with a sentence where a phase makes no sense in this experiment."""
    Experiment.from_data({**experiment.model_dump(), "phases": [phase.model_dump()], "compare": []})


def with_phase(experiment: Experiment, place: Place, phase: PhaseSpec) -> Remedy:
    """What puts a phase after the one that the run is in, as changes to the experiment."""
    rows = [p.model_dump(mode="json") for p in (*experiment.phases[:place.phase], phase,
                                                *experiment.phases[place.phase:])]
    return Remedy(text=f"Switch to {phase.optimizer.kind}", changes={"phases": rows})


def altered(experiment: Experiment, remedy: Remedy) -> Experiment:
    """The experiment with the remedy's settings. Raises ExperimentError with a sentence where that cannot be."""
    changeable(remedy)
    changed = experiment.with_changes(remedy.changes)
    if changed == experiment:
        raise ExperimentError([("", "the run has these settings already")])
    return changed


def in_effect(experiment: Experiment, events: Iterable[Event]) -> Experiment:
    """What a run's experiment has become by the changes in its journal, those that were undone left out.

    Raises ValueError where the journal is damaged.
    """
    stack = [experiment]
    for event in events:
        if event.kind == "change":
            changes = json.loads(event.value)["changes"]
            stack.append(stack[-1].with_changes(changes))
        elif event.kind == "undo" and len(stack) > 1:
            stack.pop()
    return stack[-1]


def described(remedy: Remedy) -> str:
    """A remedy with its settings, for the journal."""
    settings = ", ".join(f"{path} = {value}" for path, value in remedy.changes.items())
    return f"{remedy.text} ({settings})" if remedy.text else settings
