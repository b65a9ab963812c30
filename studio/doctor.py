"""Reads frames, states in words what is wrong with a run, and offers what one click mends."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from core.choices import SECOND_ORDER
from core.frames import FRAMES, Frame, ScalarsFrame
from studio.alterations import altered, in_effect
from studio.experiment import Experiment, ExperimentError
from studio.findings import Finding, Remedy, Severity
from studio.messages import Event
from studio.phases import Place, watched
from studio.rules import RULES
from studio.rules.seen import Seen
from studio.run_reader import Run

APPEARS = 3  # looks in a row at which a rule must speak
GOES = 3  # looks in a row at which it must be silent
NOTHING = (-1, -1)  # frames and events at the last look, before the first
GRAVEST = (Severity.SERIOUS, Severity.WARNING, Severity.NOTE)

#: Events by which a person changes a setting while training, and the setting.
SETTINGS = {"balancing": "balancing.rule", "learning_rate": "optimizer.learning_rate"}


#: Events that stay true whatever is changed: what contradicts the exact solution, which phase it is, how one has ended.
LASTING = ("check", "phase", "done")

#: Settings of methods that follow the gradient; those that need a loss that stays the same do not have, or bear, them.
OF_GRADIENTS = ("optimizer.", "sampling.", "balancing.rule", "balancing.direction", "balancing.points")


@dataclass
class _Case:
    """A finding that is shown, or may be soon."""

    finding: Finding
    hits: int = 0
    misses: int = 0
    shown: bool = False


class Doctor:
    """Looks at one run. `see` is cheap, `findings` is meant for once a second; what is kept is bounded.

    A finding appears when its rule has spoken at several looks in a row, and goes when it has been silent for several.
    Only looks count at which something new had been seen. What is certain, such as a NaN, appears at once.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.seen = Seen(experiment)
        self._cases: dict[tuple[str, str], _Case] = {}
        self._looked = NOTHING
        self._offered: dict[str, bool] = {}  # changes as JSON -> whether they can be made, and change something

    @property
    def experiment(self) -> Experiment:
        """What is being trained now, with the changes that were made on the way."""
        return self.seen.experiment

    def see(self, frame: Frame) -> None:
        """Take in a frame of any kind."""
        self.seen.add(frame)

    def event(self, event: Event) -> None:
        """Take in an event of the journal. Rule and learning rate set by hand begin a new history; see `change`."""
        if event.kind in SETTINGS:
            with suppress(ValueError):
                self.change(self.experiment.with_changes({SETTINGS[event.kind]: json.loads(event.value)}))
        self.seen.events.append(event)

    def change(self, experiment: Experiment) -> None:
        """The run goes on under an experiment that was changed: what came before says nothing of it any more."""
        events = [e for e in self.seen.events if e.kind in LASTING]
        self.seen = Seen(experiment)
        self.seen.events.extend(events)
        self._cases.clear()
        self._offered.clear()
        self._looked = NOTHING

    def findings(self, step: int) -> tuple[Finding, ...]:
        """What is found now, the gravest first; of equally grave ones the oldest first."""
        seen = self.seen
        seen.step = max(seen.step, step)
        if (seen.number, len(seen.events)) != self._looked:
            self._looked = (seen.number, len(seen.events))
            self._look()
        shown = [case.finding for case in self._cases.values() if case.shown]
        return tuple(sorted(shown, key=lambda f: (GRAVEST.index(f.severity), f.step, f.rule)))

    def _look(self) -> None:
        now = {f.key: (f, rule.certain) for rule in RULES.values() for f in rule.findings(self.seen)}
        for key, (finding, certain) in now.items():
            case = self._cases.setdefault(key, _Case(finding))
            case.hits, case.misses = case.hits + 1, 0
            new = not case.shown and (certain or case.hits >= APPEARS)
            case.shown = case.shown or new
            if case.shown:
                case.finding = replace(finding, step=finding.step if new else case.finding.step,
                                       remedies=tuple(r for r in finding.remedies if self._possible(r)))
        for key in [key for key in self._cases if key not in now]:
            case = self._cases[key]
            case.misses, case.hits = case.misses + 1, 0
            if not case.shown or case.misses >= GOES:
                del self._cases[key]

    def _possible(self, remedy: Remedy) -> bool:
        """Whether the changes can be made to this experiment, and change something."""
        if self.experiment.optimizer.kind in SECOND_ORDER and any(path.startswith(OF_GRADIENTS)
                                                                 for path in remedy.changes):
            return False
        key = json.dumps(dict(remedy.changes), sort_keys=True)
        if key not in self._offered:
            try:
                self._offered[key] = bool(altered(self.experiment, remedy))
            except ExperimentError:
                self._offered[key] = False
        return self._offered[key]


def examine(run: Run) -> tuple[Finding, ...]:
    """What the doctor finds in a run that is recorded, at its last step. Frames are read one after the other."""
    doctor = Doctor(run.experiment)
    found: tuple[Finding, ...] = ()
    past: list[Event] = []
    place = Place()
    rows: dict[int, list[Frame | Event]] = {}
    for frame in run.scalars:
        rows.setdefault(frame.step, []).append(frame)
    for event in run.events:
        rows.setdefault(event.step, []).append(event)
    places = _places(run, [kind.kind for kind in FRAMES if kind is not ScalarsFrame])
    for step in sorted({*places, *rows}):
        for item in rows.get(step, ()):
            if isinstance(item, Event):
                doctor.event(item)
                past.append(item)
                if item.kind in ("change", "undo", "phase"):
                    with suppress(ValueError, KeyError, TypeError, IndexError):  # of a damaged journal
                        place = place_of(item) if item.kind == "phase" else place
                        doctor.change(watched(in_effect(run.experiment, past), place))
            else:
                doctor.see(item)
        for kind in places.get(step, ()):
            doctor.see(run.frame(kind, step))
        if step in places or step == run.step:
            found = doctor.findings(step)
    return found


def place_of(event: Event) -> Place:
    """Where a run went by an event 'phase'. Raises ValueError, KeyError and TypeError for what is none."""
    value = json.loads(event.value)
    return Place(int(value["phase"]) - 1, int(value["step"]), 0.0, str(value["kind"]))


def _places(run: Run, kinds: Iterable[str]) -> dict[int, list[str]]:
    """The kinds of frames that every step has."""
    out: dict[int, list[str]] = {}
    for kind in kinds:
        for step in run.frame_steps(kind):
            out.setdefault(step, []).append(kind)
    return out
