"""A window with sessions that do what they are told at once, and with scripted answers to its questions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from pytestqt.qtbot import QtBot

from studio.experiment import Experiment, ExperimentError
from studio.findings import Remedy
from studio.messages import ENDED, Event, RunState, Status, Update
from studio.phases import PhaseSpec
from ui import dialogs
from ui.main_window import MainWindow
from ui.settings import SettingsFile


class FakeSession:
    """Does what it is told at once, and remembers it."""

    def __init__(self, experiment: Experiment, resume_from: Path | None = None) -> None:
        self.experiment, self.resume_from = experiment, resume_from
        self.run_file: Path | None = None
        self.calls: list[str] = []
        self.events: list[Event] = []
        self.closed_in = ""
        self.slow = 0.0
        self.status = Status(state=RunState.READY, step=0, total_steps=experiment.total_steps)

    def put(self, state: RunState, message: str = "") -> None:
        self.status = replace(self.status, state=state, message=message)

    def start(self) -> None:
        self.calls.append("start")
        self.put(RunState.RUNNING)

    def pause(self) -> None:
        self.calls.append("pause")
        self.put(RunState.PAUSED)

    def resume(self) -> None:
        self.calls.append("resume")
        self.put(RunState.RUNNING)

    def step_once(self) -> None:
        self.calls.append("step")
        self.status = replace(self.status, state=RunState.PAUSED, step=self.status.step + 1)

    def stop(self) -> None:
        self.calls.append("stop")
        if self.status.state not in ENDED:
            self.put(RunState.STOPPED)

    def set_weight(self, term: str, value: float) -> None:
        if value < 0:
            raise ValueError(f"the weight of '{term}' must not be negative")
        self.calls.append(f"weight {term} {value:g}")

    def set_balancing(self, rule: str) -> None:
        self.calls.append(f"balancing {rule}")

    def set_learning_rate(self, value: float) -> None:
        self.calls.append(f"rate {value:g}")

    def demand(self, kind: str, options: Mapping[str, object]) -> None:
        if kind == "nonsense":
            raise ValueError(f"there is nothing called '{kind}' to compute")
        self.calls.append(f"demand {kind} {dict(options)}")

    def view(self, kind: str, options: Mapping[str, object]) -> None:
        self.calls.append(f"view {kind} {dict(options)}")

    def change(self, remedy: Remedy) -> None:
        self.calls.append(f"change {remedy.text}")

    def undo(self) -> None:
        self.calls.append("undo")

    def next_phase(self) -> None:
        self.calls.append("next phase")

    def switch(self, phase: PhaseSpec) -> None:
        if phase.optimizer.kind == "spring":
            raise ExperimentError([("phases.0.optimizer.kind", "spring cannot work on a mean"),
                                   ("phases.0", "nor can this phase")])
        if phase.optimizer.kind == "muon":
            raise ValueError("the run is being closed")
        self.calls.append(f"switch {phase.optimizer.kind} {phase.steps} {phase.precision} {phase.points}")

    def watch(self, kinds: Iterable[str]) -> None:
        self.calls.append("watch " + ",".join(sorted(kinds)))

    def take(self) -> Update:
        events, self.events = self.events, []
        return Update(status=self.status, events=tuple(events))

    def close(self, timeout: float = 10.0) -> bool:
        time.sleep(self.slow)
        self.closed_in = threading.current_thread().name
        return True


class Studio:
    """A window with fake sessions and scripted answers."""

    def __init__(self, folder: Path) -> None:
        self.sessions: list[FakeSession] = []
        self.questions: list[str] = []
        self.answer = ""
        self.store = SettingsFile(folder / "settings.json")
        self.windows: list[MainWindow] = []
        self.open()

    @property
    def window(self) -> MainWindow:
        return self.windows[0]

    def open(self) -> MainWindow:
        window = MainWindow(self.store, self.make)
        window.load_default()
        self.windows.append(window)
        return window

    def make(self, experiment: Experiment, resume_from: Path | None = None) -> FakeSession:
        self.sessions.append(FakeSession(experiment, resume_from))
        return self.sessions[-1]

    def ask(self, parent: object, title: str, text: str, answers: list[tuple[str, str]], *, safe: str) -> str:
        self.questions.append(text)
        return self.answer if self.answer in [key for key, _ in answers] else safe

    def tick(self) -> None:
        self.window.governor.tick()

    def run(self) -> None:
        self.window.run.toggle()
        self.tick()

    def why_not(self, key: str) -> str:
        action = self.window.actions_by_id[key]
        return "" if action.isEnabled() else action.toolTip().split("\n")[-1]

    @property
    def said(self) -> str:
        notice = self.window.banner.notice
        return "" if notice is None else notice.text

    def press(self, label: str) -> None:
        notice = self.window.banner.notice
        assert notice is not None
        next(button for button in self.window.banner._buttons if button.text() == label).click()


def opened_studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """A studio whose windows are closed and deleted at the end."""
    made = Studio(tmp_path)
    monkeypatch.setattr(dialogs, "ask", made.ask)
    yield made
    made.answer = "stop"
    for window in made.windows:
        discard(window, qtbot)
    made.windows.clear()


def wait(qtbot: QtBot, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=5000)


def discard(window: MainWindow, qtbot: QtBot) -> None:
    """Close a window, wait until its sessions are gone, and delete it."""
    for _ in range(2):  # the second one where the window was never shown
        window.close()
        wait(qtbot, lambda: not window.isVisible() and not window.control.closing)
        qtbot.wait(10)
    assert not window.governor.active
    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
