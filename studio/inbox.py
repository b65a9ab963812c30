"""The commands of a run, in their order, also while something long is under way."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

Command = tuple[str, object]
URGENT = frozenset({"pause", "stop", "close", "next_phase", "switch", "change", "undo"})
PATIENCE = 0.1  # seconds that a run at rest waits for a command at a time


class Inbox:
    """Takes commands from a queue. What comes while a run is prepared, or computes on demand, is kept for later."""

    def __init__(self, commands: queue.SimpleQueue[Command]) -> None:
        self._commands = commands
        self._early: deque[Command] = deque()

    def take(self, *, wait: bool) -> Iterator[Command]:
        """Every command that has come; `wait`: a moment for the first one, where there is none."""
        if wait and not self._early:
            with suppress(queue.Empty):
                yield self._commands.get(timeout=PATIENCE)
        while True:
            self._collect()  # anew each time: while one is obeyed, others may come and be kept
            if not self._early:
                return
            yield self._early.popleft()

    def urgent(self) -> bool:
        """Whether somebody waits for the run to pause, to end, or to go on in another way: what is under way is of no
        use to them then, or is made anew. Every command is kept for later.
        """
        self._collect()
        return any(kind in URGENT for kind, _ in self._early)

    def over(self) -> bool:
        """Whether 'stop' or 'close' has come. Every command is kept for later."""
        self._collect()
        return any(kind in ("stop", "close") for kind, _ in self._early)

    def called_off(self) -> bool:
        """Whether what is being computed is to be given up: by 'stop' of a demand, or because the run is to end."""
        self._collect()
        for command in self._early:
            kind, value = command
            if kind == "demand" and isinstance(value, tuple) and value[0] == "stop":
                self._early.remove(command)
                return True
        return any(kind in ("stop", "close") for kind, _ in self._early)

    def _collect(self) -> None:
        while True:
            try:
                self._early.append(self._commands.get_nowait())
            except queue.Empty:
                return
