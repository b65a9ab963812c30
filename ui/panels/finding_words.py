"""How findings, remedies and changes are put into words. No Qt here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studio.findings import Finding, Remedy, Severity
from studio.messages import RunState
from ui.panels.findings_seen import APPLIED, ASKED, REFUSED, UNDONE, Case, Change, LaneFindings, remedy_key
from ui.panels.panel import Lane

BEFORE = "The doctor looks at the run about once a second while it trains."
UNDO_TIP = "It is made between two steps, while the run goes on, stands in the journal, and can be undone."
OVER = "This run is over"


@dataclass(frozen=True, slots=True)
class RemedyLook:
    """A remedy's button: what it says, its tip, and what became of it."""

    remedy: Remedy
    words: str
    tip: str
    enabled: bool
    refusal: str = ""
    applied: bool = False


@dataclass(frozen=True, slots=True)
class CardLook:
    """All that a card shows; another one is drawn only where this is another."""

    finding: Finding
    lane: str  # '' where there is only one
    when: str  # 'since step 400'
    gone: bool
    faded: bool
    remedies: tuple[RemedyLook, ...]
    panel: str  # the title of the panel that shows it; '' for none

    @property
    def treated(self) -> bool:
        """One of its remedies was applied."""
        return any(one.applied for one in self.remedies)


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def capital(text: str) -> str:
    """With a capital letter."""
    return text[:1].upper() + text[1:]


def headline(lanes: Sequence[LaneFindings], at: float | None = None) -> str:
    """The one sentence above all cards; `at`: the step that the window has gone back to."""
    came = [one for one in lanes if one.recorded is not None]
    if all(one.state in (RunState.READY, RunState.PREPARING) or not (one.over or one.step) for one in came):
        return BEFORE
    failed = " ".join(dict.fromkeys(sentence(one.failed) for one in came if one.failed))
    found = [case.finding for one in came for case in one.now.values()]
    if found:
        serious = sum(finding.severity is Severity.SERIOUS for finding in found)
        journal = " in the journal" if all(one.recorded for one in came) else ""
        said = f"{_findings(len(found))}{journal}, {serious or 'none'} serious."
    else:
        said = "" if failed else _nothing(came)
    if at is not None:
        then = sum(case.finding.step <= at and (case.gone is None or at < case.gone) for one in came
                   for case in (*one.now.values(), *one.earlier))
        said += f" At the step that is shown: {_findings(then) if then else 'none'}."
    return f"{said} {failed}".strip()


def _findings(count: int) -> str:
    return "1 finding" if count == 1 else f"{count} findings"


def _nothing(came: Sequence[LaneFindings]) -> str:
    """That nothing is found, and how much was looked at."""
    earlier = any(one.earlier for one in came)
    if all(one.recorded for one in came):
        steps = " / ".join(f"{one.step:,}" for one in came)
        return f"The journal of this run has no {'other ' if earlier else ''}finding ({steps} steps)."
    under = " under these settings" if any(one.anew for one in came) else ""
    looked = f"(looked at {' / '.join(f'{one.looked:,}' for one in came)} steps{under})"
    if any(one.state is RunState.FAILED for one in came):
        return f"The run has failed; the doctor found nothing before {looked}."
    if all(one.over for one in came):
        return f"The doctor {'finds nothing wrong at the end' if earlier else 'found nothing wrong'} {looked}."
    return f"Nothing is wrong {'now' if earlier else 'so far'} {looked}."


def changed(changes: Sequence[Change]) -> str:
    """'Changed: Anneal the weights (step 3,210)'."""
    return "Changed: " + "; ".join(one.words if one.step is None else f"{one.words} (step {one.step:,})"
                                   for one in changes)


def value(thing: object) -> str:
    """A setting's value as one writes it."""
    if isinstance(thing, bool):
        return "true" if thing else "false"
    if isinstance(thing, float):
        return f"{thing:.6g}"
    if isinstance(thing, Mapping):
        return ", ".join(f"{key} {value(one)}" for key, one in thing.items()) or "none"
    if isinstance(thing, (tuple, list)):
        return ", ".join(value(one) for one in thing) or "none"
    return "none" if thing is None else str(thing) or "none"


def settings(remedy: Remedy, lane: Lane, seen: LaneFindings) -> list[str]:
    """What a remedy changes, a line for each setting: 'balancing.rule: fixed -> annealing-siam'."""
    lines = []
    for path, new in remedy.changes.items():
        try:
            old: object = seen.setting(lane.experiment, path)
        except KeyError:
            lines.append(f"{path}: {value(new)}")
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            default = 1.0 if path == "balancing.weights" else None  # a term that is not named weighs 1
            lines += [f"{path}.{key}: {value(old.get(key, default))} -> {value(one)}"
                      for key, one in new.items() if old.get(key, default) != one]
        else:
            lines.append(f"{path}: {value(old)} -> {value(new)}")
    return lines


def remedy_look(remedy: Remedy, case: Case, lane: Lane, seen: LaneFindings, *, form: bool) -> RemedyLook:
    """form: whether somebody takes settings into the form."""
    lines = settings(remedy, lane, seen)
    words = remedy.text or ", ".join(remedy.changes)
    answer = case.answers.get(remedy_key(remedy))
    kind = "" if answer is None else answer.kind
    if answer is not None and kind in (APPLIED, UNDONE):
        more = f"applied at step {answer.step:,}" + (f", undone at step {answer.until:,}" if kind == UNDONE else "")
        # the settings of today are not those it was applied to
        lines = [f"{path} = {value(new)}" for path, new in remedy.changes.items()]
        again = kind == UNDONE and case.gone is None and not seen.over
        tip = UNDO_TIP if again else "The settings that it has changed."
        return RemedyLook(remedy, f"{words}: {more}", "\n".join([*lines, tip]), again, applied=kind == APPLIED)
    if seen.over:
        reason = f"{OVER}; the remedy's settings can be put into the form"
        if form:
            return RemedyLook(remedy, f"Into the form: {words}",
                              "\n".join([*lines, f"{reason}, for the next run."]), enabled=True)
        return RemedyLook(remedy, words, "\n".join([*lines, f"{reason}."]), enabled=False)
    if case.gone is not None:
        return RemedyLook(remedy, words, "\n".join([*lines, "What it was for is no longer found."]), enabled=False)
    if kind == ASKED:
        return RemedyLook(remedy, f"{words}: asked for", "It is made between two steps.", enabled=False)
    refusal = answer.text if answer is not None and kind == REFUSED else ""
    return RemedyLook(remedy, words, "\n".join([*lines, UNDO_TIP]), enabled=True, refusal=refusal)


def when(case: Case, seen: LaneFindings, at: float | None) -> str:
    """From which step on, and to which."""
    first = case.finding.step
    if case.gone is not None:
        said = f"from step {first:,}, gone before step {case.gone:,}" if case.before else (
            f"from step {first:,} to {case.gone:,}")
    else:
        said = f"{'found at' if seen.recorded else 'since'} step {first:,}"
    return f"{said}, after the step that is shown" if at is not None and first > at else said


def look(case: Case, lane: Lane, seen: LaneFindings, *, several: bool, at: float | None, panel: str,
         form: bool) -> CardLook:
    """What the card of a finding shows, at the newest step or when the window has gone back to `at`."""
    first, gone = case.finding.step, case.gone is not None
    if at is None:
        faded = gone
    else:
        faded = first > at or (gone and not at < (case.gone or 0))
    return CardLook(case.finding, lane.label if several else "", when(case, seen, at), gone, faded,
                    tuple(remedy_look(one, case, lane, seen, form=form) for one in case.finding.remedies), panel)


def copied(one: CardLook) -> str:
    """A card as plain text."""
    finding = one.finding
    head = ", ".join(part for part in (finding.severity.value, one.lane, one.when) if part)
    lines = [f"{capital(finding.title)} ({head})", finding.text, f"Measured: {finding.evidence}",
             f"Threshold: {finding.threshold}", f"Source: {finding.source}"]
    for remedy in one.remedies:
        lines.append(f"Remedy: {remedy.remedy.text} ({', '.join(f'{p} = {value(v)}' for p, v in _items(remedy))})")
    return "\n".join(lines) + "\n"


def _items(one: RemedyLook) -> list[tuple[str, object]]:
    return list(one.remedy.changes.items())
