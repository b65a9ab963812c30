"""What a rule of the doctor is: a pure function of what was seen, with its words, threshold and source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from studio.findings import Finding, Remedy, Severity
from studio.rules.seen import Seen


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """One hit of a rule, at one look."""

    title: str
    text: str
    evidence: str  # the measured numbers
    subject: str = ""
    severity: Severity = Severity.WARNING
    remedies: tuple[Remedy, ...] = ()


WAITS = (" A second-order phase follows. What slows a method that follows the gradient is often no obstacle to it, so "
         "this is a note until then.")
Look = Callable[[Seen], Iterable[Sighting]]


@dataclass(frozen=True)
class Rule:
    """A rule with what is the same at every hit."""

    name: str
    panel: str
    threshold: str
    source: str
    look: Look
    certain: bool  # a fact that one look is enough for, such as a NaN
    pace: bool = False  # what slows a method that follows the gradient, and is often no obstacle to one of second order

    def findings(self, seen: Seen) -> list[Finding]:
        """What this rule says of what was seen. A matter of pace is a note while a second-order phase is to come."""
        waits = self.pace and seen.second_order_follows
        return [Finding(rule=self.name, subject=s.subject, severity=Severity.NOTE if waits else s.severity,
                        step=seen.step, title=s.title, text=s.text + (WAITS if waits else ""), evidence=s.evidence,
                        threshold=self.threshold, source=self.source, panel=self.panel, remedies=s.remedies)
                for s in self.look(seen)]


RULES: dict[str, Rule] = {}  # by name; filled by the modules of this package


def rule(name: str, *, panel: str, threshold: str, source: str, certain: bool = False,
         pace: bool = False) -> Callable[[Look], Look]:
    """Enters a function into RULES. Raises ValueError where the name is taken."""

    def enter(look: Look) -> Look:
        if name in RULES:
            raise ValueError(f"there are two rules '{name}'; a rule's name says which it is")
        RULES[name] = Rule(name, panel, threshold, source, look, certain, pace)
        return look

    return enter
