"""Tells that the doctor has found something: calmly, one banner at most, and each finding once.

And does what the doctor's panel asks of the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from studio.experiment import ExperimentError
from studio.findings import Finding, Remedy, Severity
from studio.messages import Event
from ui.banner import WARNING, Notice
from ui.panels.doctor import DoctorPanel
from ui.panels.panel import Lane
from ui.panels.timing import TimingPanel

if TYPE_CHECKING:
    from ui.main_window import MainWindow

KEY = "finding"
DOCTOR = "doctor"  # the panel that has them all
_RANK = (Severity.NOTE, Severity.WARNING, Severity.SERIOUS)

Key = tuple[int, tuple[str, str]]  # lane, and which finding


class Findings(QObject):
    """Listens to the runs of one window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._told: dict[Key, Finding] = {}  # that are true now, by when they were told first
        window.control.happened.connect(self._happened)
        window.control.found.connect(self._found)
        for panel in window.panels:
            if isinstance(panel, DoctorPanel):
                panel.wanted_panel.connect(self._show)
                panel.into_form.connect(self._into_form)
            elif isinstance(panel, TimingPanel):
                window.governor.measured.connect(panel.set_drawing_share)

    def begin(self, lanes: Sequence[Lane]) -> None:
        """Another run: nothing is found in it yet."""
        self._told = {}
        self._window.banner.take_back(KEY)

    def _happened(self, lane: int, event: Event) -> None:
        if event.kind != "finding":
            return
        try:
            finding = Finding.from_json(event.value)
        except ValueError:
            return  # of another version; it stands in the journal and on the timeline
        if finding.severity is Severity.NOTE or (lane, finding.key) in self._told:
            return
        self._told[lane, finding.key] = finding
        self._say()

    def _found(self, lane: int, findings: Sequence[Finding]) -> None:
        """What is no longer true is not said any more."""
        now = {finding.key for finding in findings}
        gone = [key for key in self._told if key[0] == lane and key[1] not in now]
        for key in gone:
            del self._told[key]
        if gone and self._window.banner.has(KEY):
            self._say()

    def _say(self) -> None:
        if not self._told:
            self._window.banner.take_back(KEY)
            return
        key = max(self._told, key=lambda one: _RANK.index(self._told[one].severity))
        finding, lanes = self._told[key], self._window.control.lanes
        label = f"{lanes[key[0]].label}: " if len(lanes) > 1 else ""
        text = f"{label}{_sentence(finding.title)} {_sentence(finding.text)}"
        if more := len(self._told) - 1:
            text += f" ({more} more {'finding' if more == 1 else 'findings'}.)"
        docks = self._window.docks
        shown = next((one for one in (DOCTOR, finding.panel) if one in docks.docks), "")
        name = "doctor" if shown == DOCTOR else docks.docks[shown].windowTitle().lower() if shown else ""
        actions = ((f"Show the {name}", lambda: self._show(shown)),) if shown else ()
        self._window.banner.say(Notice(KEY, WARNING, text, actions))

    def _show(self, key: str) -> None:
        self._window.docks.show_panel(key)

    def _into_form(self, remedy: Remedy) -> None:
        """The settings of a remedy for the next run, where this one is over."""
        try:
            self._window.form.change(remedy.changes)
        except ExperimentError as error:
            self._window.banner.say(Notice(KEY, WARNING, f"The form cannot take this remedy: {error}."))
        else:
            self._window.runbar.say("The remedy's settings are in the form; Start makes a run with them")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
