"""What the doctor has said of one lane so far, and what was done about it. No Qt here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from studio.findings import Finding, Remedy
from studio.messages import ENDED, Event, RunState, Status, Update

MOST_EARLIER = 30  # findings of one lane that are gone and still listed; older ones are only counted

#: Settings that a person changes in a panel of its own; the doctor takes them for the experiment's from then on.
BY_HAND = {"balancing": "balancing.rule", "learning_rate": "optimizer.learning_rate"}

ASKED, APPLIED, UNDONE, REFUSED = "asked", "applied", "undone", "refused"

RemedyKey = tuple[str, str]


def remedy_key(remedy: Remedy) -> RemedyKey:
    """The same for the same change, also where it has crossed a process's border or a journal."""
    return remedy.text, json.dumps(dict(remedy.changes), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a remedy that was asked for."""

    kind: str  # ASKED, APPLIED, UNDONE or REFUSED
    step: int = 0  # when it was applied
    until: int = 0  # when it was undone
    text: str = ""  # why it was refused


@dataclass(slots=True)
class Case:
    """A finding from when it appeared until it went."""

    number: int  # serial, within its lane
    finding: Finding
    gone: int | None = None  # the step at which it was no longer true; None while it is
    before: bool = False  # it went at some step before `gone`: a journal does not say when
    answers: dict[RemedyKey, Answer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the journal that was not undone; `step` is None where the journal's row was not seen."""

    words: str
    step: int | None
    changes: Mapping[str, Any] = field(default_factory=dict)
    key: RemedyKey = ("", "")


class LaneFindings:
    """Of a run that trains, the status says what is found now; of one that is read from a file, the journal does."""

    def __init__(self) -> None:
        self.state = RunState.READY
        self.step = 0
        self.begun = 0  # the step from which on the doctor has looked, under the settings of now
        self.anew = False  # whether they have changed while it trains
        self.recorded: bool | None = None  # whether all of it came at once, from a run file; None: nothing came yet
        self.now: dict[tuple[str, str], Case] = {}
        self.earlier: list[Case] = []  # oldest first
        self.dropped = 0  # earlier ones that are no longer listed
        self.failed = ""  # why the doctor looks no more
        self.refused_undo = ""
        self.undoing = False
        self._words: tuple[str, ...] = ()
        self._found: tuple[Finding, ...] = ()
        self._made: list[Change] = []
        self._settings: list[tuple[bool, Mapping[str, Any]]] = []  # (can be undone, settings), oldest first
        self._asked: list[tuple[Case | None, RemedyKey]] = []  # waits for an answer; None: an undo
        self._number = 0

    @property
    def over(self) -> bool:
        """Nothing can be changed any more."""
        return self.state in ENDED

    @property
    def looked(self) -> int:
        """Steps that the doctor has looked at, under the settings of now."""
        return max(0, self.step - self.begun)

    # -- what comes --------------------------------------------------------------------------------

    def receive(self, update: Update) -> bool:
        """Take in what is new. True where more than the step has changed."""
        status = update.status
        if self.recorded is None:
            self.recorded = status.state in ENDED
        moved = status.state is not self.state
        self.state, self.step = status.state, status.step
        for event in update.events:
            moved |= self._event(event)
        moved |= self._compare(status)
        if self.over and self._asked:  # nobody is left to answer
            for case, key in self._asked:
                if case is not None:
                    case.answers.pop(key, None)
            self._asked, self.undoing, moved = [], False, True
        return moved

    def _compare(self, status: Status) -> bool:
        moved = status.changes != self._words
        self._words = status.changes
        if status.findings == self._found:
            return moved
        self._found = status.findings
        keys = {finding.key for finding in status.findings}
        if not self.recorded:
            for key in [key for key in self.now if key not in keys]:
                self._close(key, status.step)
        for finding in status.findings:
            if finding.key in self.now:
                self.now[finding.key].finding = finding
            else:
                self._open(finding)
        return True

    def _open(self, finding: Finding) -> None:
        self._number += 1
        self.now[finding.key] = Case(self._number, finding)

    def _close(self, key: tuple[str, str], step: int, *, before: bool = False) -> None:
        case = self.now.pop(key)
        case.gone, case.before = step, before
        self.earlier.append(case)
        if len(self.earlier) > MOST_EARLIER:
            del self.earlier[0]
            self.dropped += 1

    # -- the journal -------------------------------------------------------------------------------

    def _event(self, event: Event) -> bool:
        try:
            match event.kind:
                case "finding" if self.recorded:
                    finding = Finding.from_json(event.value)
                    if finding.key in self.now:
                        self._close(finding.key, event.step, before=True)
                    self._open(finding)
                case "change":
                    self._changed(event, json.loads(event.value))
                case "undo":
                    self._undone(event)
                case "change-refused":
                    self._refused(event)
                case "doctor":
                    self.failed = event.text
                case "resumed":
                    self.begun = event.step
                case kind if kind in BY_HAND:
                    self._settings.append((False, {BY_HAND[kind]: json.loads(event.value)}))
                    self.begun, self.anew = event.step, True
                case _:
                    return False
        except (ValueError, TypeError, KeyError):
            return False  # a row of another version; the journal and the timeline have it
        return True

    def _changed(self, event: Event, value: Mapping[str, Any]) -> None:
        remedy = Remedy(text=str(value["text"]), changes=dict(value["changes"]))
        key = remedy_key(remedy)
        self._made.append(Change(remedy.text or ", ".join(remedy.changes), event.step, remedy.changes, key))
        self._settings.append((True, remedy.changes))
        self._asked = [one for one in self._asked if one[1] != key]
        for case in self.now.values():
            if any(remedy_key(one) == key for one in case.finding.remedies):
                case.answers[key] = Answer(APPLIED, event.step)
        self._begin_anew(event)

    def _undone(self, event: Event) -> None:
        self._asked = [one for one in self._asked if one[0] is not None]
        self.undoing, self.refused_undo = False, ""
        if self._made:
            change = self._made.pop()
            for case in (*self.now.values(), *self.earlier):
                answer = case.answers.get(change.key)
                if answer is not None and answer.kind == APPLIED and answer.step == change.step:
                    case.answers[change.key] = Answer(UNDONE, answer.step, event.step)
        for place in range(len(self._settings) - 1, -1, -1):
            if self._settings[place][0]:
                del self._settings[place]
                break
        self._begin_anew(event)

    def _begin_anew(self, event: Event) -> None:
        """Under other settings the doctor forgets what was, and says again what is still true."""
        self.refused_undo = ""
        self.begun, self.anew = event.step, True
        if self.recorded:
            for key in list(self.now):
                self._close(key, event.step)

    def _refused(self, event: Event) -> None:
        if self._asked:  # commands are answered in their order
            case, key = self._asked.pop(0)
            if case is None:
                self.undoing, self.refused_undo = False, event.text
            else:
                case.answers[key] = Answer(REFUSED, event.step, text=event.text)

    # -- what is asked for -------------------------------------------------------------------------

    def ask(self, case: Case, remedy: Remedy) -> None:
        """A remedy was sent to the run."""
        key = remedy_key(remedy)
        case.answers[key] = Answer(ASKED)
        self._asked.append((case, key))

    def ask_undo(self) -> None:
        """An undo was sent to the run."""
        self.undoing, self.refused_undo = True, ""
        self._asked.append((None, ("", "")))

    # -- what was changed --------------------------------------------------------------------------

    def changes(self) -> tuple[Change, ...]:
        """What was changed while it trains, oldest first; of a run that is going what can be undone."""
        if self.recorded:
            return tuple(self._made)
        own = self._made[len(self._made) - len(self._words):] if len(self._made) >= len(self._words) else []
        if [one.words for one in own] == list(self._words):
            return tuple(own)
        return tuple(Change(words, None) for words in self._words)

    def setting(self, experiment: object, path: str) -> object:
        """A setting by dotted path, as it is now: of the experiment, with the changes since. KeyError for none."""
        parts = path.split(".")
        for _, settings in reversed(self._settings):
            for size in range(len(parts), 0, -1):
                if (head := ".".join(parts[:size])) in settings:
                    return _walk(settings[head], parts[size:])
        return _walk(experiment, parts)


def _walk(place: Any, parts: list[str]) -> object:
    for part in parts:
        if isinstance(place, Mapping):
            place = place[part]
        elif hasattr(place, part):
            place = getattr(place, part)
        else:
            raise KeyError(part)
    return place
