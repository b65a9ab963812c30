"""Where a worker leaves what is new and a reader takes it; the newest frame of a kind replaces an older one."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from core.frames import Frame, ScalarsFrame
from studio.messages import HISTORIES, Event, Status, Update

#: Scalars kept where nobody takes them; beyond that every second old one goes. The run file has them all.
MOST_SCALARS = 50_000
MOST_PAST = 2_000  # the same for frames that are drawn over time


class Mailbox:
    """Thread-safe, never blocks for longer than copying a few references takes."""

    def __init__(self, status: Status) -> None:
        self._lock = threading.Lock()
        self._status = status
        self._scalars: list[ScalarsFrame] = []
        self._frames: dict[str, Frame] = {}
        self._past: list[Frame] = []
        self._events: list[Event] = []

    @property
    def status(self) -> Status:
        """The newest status."""
        return self._status

    def put_status(self, **changes: Any) -> None:
        """Change some of the status."""
        with self._lock:
            self._status = replace(self._status, **changes)

    def put_frame(self, frame: Frame) -> None:
        """Scalars are all kept, and what is drawn over time; of other kinds the newest."""
        with self._lock:
            if isinstance(frame, ScalarsFrame):
                self._add_scalars(frame)
            else:
                self._frames[frame.kind] = frame
                if frame.kind in HISTORIES:
                    self._add_past(frame)

    def put_event(self, event: Event) -> None:
        """All are kept."""
        with self._lock:
            self._events.append(event)

    def put_update(self, update: Update) -> None:
        """What another mailbox collected."""
        with self._lock:
            self._status = update.status
            self._add_scalars(*update.scalars)
            self._frames.update(update.frames)
            self._add_past(*update.past)
            self._events.extend(update.events)

    def _add_scalars(self, *frames: ScalarsFrame) -> None:
        self._scalars.extend(frames)
        while len(self._scalars) > MOST_SCALARS:
            del self._scalars[: MOST_SCALARS // 2: 2]

    def _add_past(self, *frames: Frame) -> None:
        self._past.extend(frames)
        while len(self._past) > MOST_PAST:
            del self._past[: MOST_PAST // 2: 2]

    def take(self) -> Update:
        """Everything since the last take."""
        with self._lock:
            update = Update(status=self._status, scalars=tuple(self._scalars), frames=self._frames,
                            past=tuple(self._past), events=tuple(self._events))
            self._scalars, self._frames, self._past, self._events = [], {}, [], []
        return update
