"""How a phase has ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from studio.findings import Remedy, Severity
from studio.messages import Event
from studio.rules.balance import good
from studio.rules.problem import DOUBLE
from studio.rules.rule import Sighting, rule
from studio.rules.seen import Seen

MORE = 2  # times as many points
FEWER_DIGITS = ("In float32 the loss is known to about seven digits, and the method ends where differences are smaller "
                "than that. In float64, which has sixteen, the same goes on from here.")
OTHERWISE = ("On this loss it finds no way down any more. What changes the loss may lead further: points drawn anew, "
             "and more of them, where the equation holds at the training points only; other weights of the terms, "
             "where one of them is left behind; another network, wider or with Fourier features, where all are.")


@dataclass(frozen=True)
class End:
    """What an event 'done' says: the phase, counted from 1, of how many, its method and arithmetic."""

    phase: int
    phases: int
    kind: str
    precision: str

    @classmethod
    def of(cls, event: Event) -> End | None:
        """None where the journal is damaged."""
        try:
            value = json.loads(event.value)
            return cls(int(value["phase"]), int(value["phases"]), str(value["kind"]), str(value["precision"]))
        except (ValueError, KeyError, TypeError):
            return None


@rule("ended-by-itself", panel="losses", certain=True,
      source="Nocedal & Wright 2006, chapters 3 and 6 (line search); Urban et al. 2025 (float64)",
      threshold="a second-order method has said that it can go no further before its steps were made: its line search "
                "has failed along the gradient too, or its loss no longer falls by more than rounding")
def ended_by_itself(seen: Seen) -> Iterator[Sighting]:
    ends = [(event, end) for event in seen.events if event.kind == "done" and (end := End.of(event)) is not None]
    if not ends:
        return
    event, end = ends[-1]
    followed = end.phase < end.phases
    coarse = end.precision == "float32"
    yield Sighting(
        severity=Severity.NOTE if followed or good(seen) else Severity.WARNING,
        title=f"{end.kind} has ended by itself",
        text=(FEWER_DIGITS if coarse else OTHERWISE) + (" The next phase has taken over." if followed else ""),
        evidence=event.text, remedies=_in_the_present_phase(seen) if followed else _in_the_next_run(seen, end, coarse))


def _in_the_present_phase(seen: Seen) -> tuple[Remedy, ...]:
    return (DOUBLE,) if seen.experiment.training.precision == "float32" else ()


def _in_the_next_run(seen: Seen, end: End, coarse: bool) -> tuple[Remedy, ...]:
    """The run is over: its remedies go into the form, which has the experiment as a whole."""
    if coarse:
        path = "training.precision" if end.phase == 1 else f"phases.{end.phase - 2}.precision"
        return (Remedy(text=f"Let {end.kind} work in float64", changes={path: "float64"}),)
    e = seen.experiment
    points = MORE * max((r.points for r in e.problem.residuals), default=0)
    rows = [phase.model_dump(mode="json") for phase in e.phases]
    again = rows[-1] if rows else {"optimizer": e.optimizer.model_dump(mode="json"), "steps": seen.total,
                                   "precision": "as before"}
    return (Remedy(text=f"Then {end.kind} once more, on {points:,} points that are drawn anew",
                   changes={"phases": [*rows, {**again, "points": points}]}),) if points else ()
