"""Threads that compute at the same time what does not depend on each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import partial

import torch
from torch import Tensor


def set_threads(number: int) -> None:
    """torch's thread count of the calling thread, whatever other threads set theirs to."""
    torch.get_num_threads()  # where a thread asks for the first time, it takes what any thread has set last
    torch.set_num_threads(number)


@contextmanager
def with_threads(number: int) -> Iterator[None]:
    """torch's thread count for a while."""
    before = torch.get_num_threads()
    set_threads(number)
    try:
        yield
    finally:
        set_threads(before)


class Crew:
    """The calling thread and `threads` - 1 others, which end when nothing refers to the crew any more.

    The calls must let the interpreter's lock go, as those of `core.native` do, or nothing is gained.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        # torch's operations within a call are not shared among threads once more
        self._others = ThreadPoolExecutor(threads - 1, "crew", partial(set_threads, 1)) if threads > 1 else None

    def results(self, calls: Sequence[Callable[[], list[Tensor]]]) -> list[list[Tensor]]:
        """What each call gives, in the order of the calls; whoever is free makes the next one.

        Each is made with one thread of torch's, so that its bits do not depend on how many there are. Where one raises,
        those that nobody has begun are not made.
        """
        if self._others is None:
            return [call() for call in calls]
        found: list[list[Tensor]] = [[] for _ in calls]
        numbers = iter(range(len(calls)))

        def work() -> None:
            try:
                for number in numbers:
                    found[number] = calls[number]()
            except BaseException:
                for _ in numbers:
                    pass
                raise

        others: list[Future[None]] = []
        with with_threads(1):
            with suppress(RuntimeError):  # no thread more can be had: those that are there do it all
                for _ in range(min(self.threads, len(calls)) - 1):
                    others.append(self._others.submit(work))
            try:
                work()
            finally:
                # one that has not begun by now, since other programs have its core, has nothing left to do
                begun = [other for other in others if not other.cancel()]
                wait(begun)
        for other in begun:
            other.result()
        return found
