"""How a long computation is followed, and abandoned."""

from __future__ import annotations

from collections.abc import Callable

#: Asked between the parts of a computation; True ends it with `Stopped`.
Stop = Callable[[], bool]
#: Told how much of a computation is done, from 0 to 1.
Tell = Callable[[float], None]


class Stopped(Exception):
    """A computation was abandoned because somebody asked for it. The trainer is as it was."""


def never() -> bool:
    """The stop that is not asked for."""
    return False


def nobody(share: float) -> None:
    """Where nobody listens."""


class Progress:
    """Counts the parts of a computation; raises Stopped where `stop` says so."""

    def __init__(self, parts: float, stop: Stop, tell: Tell) -> None:
        self.parts, self.stop, self.tell = parts, stop, tell
        self.done = 0.0
        self.check()

    def check(self) -> None:
        if self.stop():
            raise Stopped("the computation was stopped before it was done")

    def advance(self, parts: float = 1.0) -> None:
        """So many more are done. Raises Stopped."""
        self.done += parts
        self.tell(min(1.0, self.done / self.parts))
        self.check()
