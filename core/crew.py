"""Threads that compute at the same time what does not depend on each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import torch
from torch import Tensor


def set_threads(number: int) -> None:
    """torch's thread count of the calling thread, whatever other threads set theirs to."""
    torch.get_num_threads()  # where a thread asks for the first time, it takes what any thread has set last
    torch.set_num_threads(number)


class Crew:
    """The calling thread and `threads` - 1 others, which end when nothing refers to the crew any more.

    The calls must let the interpreter's lock go, as those of `core.native` do, or nothing is gained.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        # torch's operations within a call are not shared among threads once more
        self._others = ThreadPoolExecutor(max(1, threads - 1), "crew", partial(set_threads, 1))

    def results(self, calls: Sequence[Callable[[], list[Tensor]]]) -> list[list[Tensor]]:
        """What each call gives, in the order of the calls; whoever is free makes the next one."""
        if self.threads == 1 or len(calls) < 2:
            return [call() for call in calls]
        found: list[list[Tensor]] = [[] for _ in calls]
        numbers = count()

        def work() -> None:
            while (number := next(numbers)) < len(calls):
                found[number] = calls[number]()

        others = [self._others.submit(work) for _ in range(min(self.threads, len(calls)) - 1)]
        before = torch.get_num_threads()
        set_threads(1)
        try:
            work()
        finally:
            set_threads(before)
            # one that has not begun by now, since other programs have its core, has nothing left to do
            begun = [other for other in others if not other.cancel()]
        for other in begun:
            other.result()
        return found
