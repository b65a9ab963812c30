"""The process that makes a published table: `main.py reproduce TABLE --json-lines`, and what it says."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QProcess, QTimer, Signal

MAIN = Path(__file__).resolve().parent.parent / "main.py"
PATIENCE = 8000  # ms that the process has to end when it is told to; it ends its own processes first


class Maker(QObject):
    """One table at a time. `told` has a line of progress, `ended` the exit code and what was complained of."""

    told = Signal(dict)
    ended = Signal(int, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.command: tuple[str, ...] = (sys.executable, str(MAIN), "reproduce")
        self.stopping = False
        self._complaints = b""
        self._process = QProcess(self)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.readyReadStandardError.connect(self._listen)
        self._process.finished.connect(self._finished)
        self._process.errorOccurred.connect(self._failed)
        self._kill = QTimer(self)
        self._kill.setSingleShot(True)
        self._kill.setInterval(PATIENCE)
        self._kill.timeout.connect(self._process.kill)

    @property
    def busy(self) -> bool:
        return self._process.state() is not QProcess.ProcessState.NotRunning

    def start(self, arguments: Sequence[str]) -> None:
        """Begin; nothing where it is busy."""
        if self.busy:
            return
        self.stopping = False
        self._complaints = b""
        program, *rest = self.command
        self._process.start(program, [*rest, *arguments, "--json-lines"])

    def stop(self) -> None:
        """Tell it to end: its input is closed, and it ends the runs that are going on. Returns at once."""
        if self.busy and not self.stopping:
            self.stopping = True
            self._process.closeWriteChannel()
            self._kill.start()

    def finish(self) -> None:
        """The program ends: wait for the process, which must not outlive it."""
        self._kill.stop()
        if self.busy:
            self._process.closeWriteChannel()
            if not self._process.waitForFinished(PATIENCE):
                self._process.kill()  # its own processes end with it
                self._process.waitForFinished(1000)

    def _read(self) -> None:
        while self._process.canReadLine():
            try:
                line: Any = json.loads(bytes(self._process.readLine().data()))
            except ValueError:
                continue
            if isinstance(line, dict):
                self.told.emit(line)

    def _listen(self) -> None:
        self._complaints = (self._complaints + bytes(self._process.readAllStandardError().data()))[-4000:]

    def _failed(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self._kill.stop()
            self.ended.emit(-1, f"The process could not be started: {self._process.errorString()}")

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._kill.stop()
        self._read()
        self._listen()
        lines = self._complaints.decode(errors="replace").strip().splitlines()
        said = next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "")
        crashed = status is QProcess.ExitStatus.CrashExit and not self.stopping
        self.ended.emit(code, said.removeprefix("error: ") or ("The process ended unexpectedly." if crashed else ""))
