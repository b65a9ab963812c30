"""What the doctor says: plain, frozen data that can cross a thread's or a process's border."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a finding matters."""

    NOTE = "note"  # worth knowing; nothing is wrong
    WARNING = "warning"  # the answer is worse than it need be
    SERIOUS = "serious"  # the answer is wrong, or the run is lost


@dataclass(frozen=True, kw_only=True, slots=True)
class Remedy:
    """What one click does, while the run goes on: settings of the experiment that change, by dotted path.

    The change is journalled and can be undone. `text` is what the button says, in the imperative.
    """

    text: str
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that the doctor has found."""

    rule: str  # its identifier, such as 'starved-boundary'
    subject: str = ""  # what it is about where a rule can find several: a loss term, a layer
    severity: Severity = Severity.WARNING
    step: int  # when it was seen first
    title: str  # what is wrong, in a few words
    text: str  # in plain words: what is seen and what it means
    evidence: str  # the measured numbers
    threshold: str  # from where on the rule speaks
    source: str  # where the rule comes from
    panel: str  # the identifier of the panel that shows it
    remedies: tuple[Remedy, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """The same finding at another step has the same key."""
        return self.rule, self.subject

    def to_json(self) -> str:
        """For the journal."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Finding:
        """Raises ValueError where the text is no finding."""
        try:
            data = json.loads(text)
            remedies = tuple(Remedy(text=r["text"], changes=dict(r["changes"])) for r in data.pop("remedies"))
            return cls(**{**data, "severity": Severity(data["severity"]), "remedies": remedies})
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"this is no finding of the doctor: {error}") from None
