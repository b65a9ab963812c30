"""Slow work off the GUI thread, with the answer on it: a plain thread and a timer that looks whether it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from PySide6.QtCore import QObject, QTimer

T = TypeVar("T")


class Background(QObject, Generic[T]):
    """One piece of work at a time. `done` gets what `work` returned, `failed` the exception it raised."""

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self._thread: threading.Thread | None = None
        self._result: T | None = None
        self._error: Exception | None = None
        self._done: Callable[[T], None] | None = None
        self._failed: Callable[[Exception], None] | None = None
        self._poll = QTimer(self)
        self._poll.setInterval(25)
        self._poll.timeout.connect(self._look)

    @property
    def busy(self) -> bool:
        return self._thread is not None

    def start(self, work: Callable[[], T], done: Callable[[T], None],
              failed: Callable[[Exception], None] | None = None) -> None:
        """Begin. Raises RuntimeError while the last piece of work is not done."""
        if self._thread is not None:
            raise RuntimeError(f"{self._name} is still at work")
        self._done, self._failed, self._error = done, failed, None
        self._thread = threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True)
        self._thread.start()
        self._poll.start()

    def wait(self, timeout: float) -> bool:
        """Wait for the work without its answer: only where the process is about to end."""
        self._poll.stop()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        ended = not self._thread.is_alive()
        self._thread = None
        return ended

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._result = work()
        except Exception as error:  # handed to the GUI thread, which tells the person
            self._error = error

    def _look(self) -> None:
        if self._thread is None or self._thread.is_alive():
            return
        self._poll.stop()
        self._thread.join()
        self._thread = None
        error, result = self._error, self._result
        self._error = self._result = None
        if error is None:
            if self._done is not None:
                self._done(result)  # type: ignore[arg-type]
        elif self._failed is not None:
            self._failed(error)
        else:
            raise error
