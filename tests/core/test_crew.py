"""Threads that compute together: whose results come where, what an error does, who is asked."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from torch import Tensor

from core.crew import Crew, set_threads


def number(k: int) -> list[Tensor]:
    return [torch.tensor(k)]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("calls", [0, 1, 2, 50])
def test_results_come_in_the_order_of_the_calls(threads: int, calls: int) -> None:
    def later(k: int) -> list[Tensor]:
        time.sleep(0.002 * (k % 3))
        return number(k)

    found = Crew(threads).results([lambda k=k: later(k) for k in range(calls)])  # type: ignore[misc]
    assert [int(tensors[0]) for tensors in found] == list(range(calls))


def test_all_threads_compute_at_the_same_time_and_none_divides_its_work_again() -> None:
    together = threading.Barrier(3, timeout=10)
    seen = []

    def call() -> list[Tensor]:
        together.wait()  # passes only where three wait at the same time
        seen.append((threading.get_ident(), torch.get_num_threads()))
        return number(0)

    before = torch.get_num_threads()
    crew = Crew(3)
    torch.set_num_threads(2)
    try:
        for _ in range(3):
            crew.results([call, call, call])
        assert torch.get_num_threads() == 2, "the caller's own count is as before"
    finally:
        torch.set_num_threads(before)
    assert {count for _, count in seen} == {1}
    assert len({thread for thread, _ in seen}) == 3, "the same threads each time"


@pytest.mark.parametrize("place", [0, 1, 7])
def test_an_error_of_any_call_is_the_callers(place: int) -> None:
    def broken() -> list[Tensor]:
        raise RuntimeError("the compiled code failed")

    calls = [lambda: number(1)] * 8
    calls[place] = broken
    crew = Crew(2)
    with pytest.raises(RuntimeError, match="compiled code failed"):
        crew.results(calls)
    assert len(crew.results([lambda: number(1)] * 8)) == 8, "it serves again"


def test_after_an_error_what_nobody_has_begun_is_not_made() -> None:
    made = []

    def call(k: int) -> list[Tensor]:
        time.sleep(0.01)
        made.append(k)
        if k == 3:
            raise ValueError("the fourth")
        return number(k)

    with pytest.raises(ValueError, match="the fourth"):
        Crew(2).results([lambda k=k: call(k) for k in range(200)])  # type: ignore[misc]
    assert len(made) < 10
    time.sleep(0.05)
    assert len(made) < 10, "and nobody goes on behind the caller's back"


def test_a_lone_call_has_one_thread_of_torch_s_too() -> None:
    before, seen = torch.get_num_threads(), []
    crew = Crew(2)
    set_threads(2)
    try:
        crew.results([lambda: [torch.tensor(seen.append(torch.get_num_threads()) or 0)]])  # type: ignore[func-returns-value]
    finally:
        set_threads(before)
    assert seen == [1]


def test_a_program_that_ends_takes_on_no_work_but_ends_what_it_has() -> None:
    crew = Crew(2)
    assert crew._others is not None
    crew._others.shutdown()
    assert [int(t[0]) for t in crew.results([lambda k=k: number(k) for k in range(5)])] == [0, 1, 2, 3, 4]  # type: ignore[misc]


def test_its_threads_end_with_it() -> None:
    def ours() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("crew")}

    before = ours()
    crew = Crew(2)
    crew.results([lambda: number(1)] * 8)
    mine = ours() - before
    assert len(mine) == 1
    del crew
    for thread in mine:
        thread.join(5)
        assert not thread.is_alive()


def test_a_threads_count_is_its_own_from_the_first() -> None:
    """A thread that asks torch for the first time would take what another one has set last."""
    before, seen = torch.get_num_threads(), []

    def work(others: threading.Event, wait: threading.Event) -> None:
        set_threads(3)
        others.set()
        wait.wait(5)
        seen.append(torch.get_num_threads())

    others, wait = threading.Event(), threading.Event()
    worker = threading.Thread(target=work, args=(others, wait))
    worker.start()
    others.wait(5)
    torch.set_num_threads(1)
    wait.set()
    worker.join()
    torch.set_num_threads(before)
    assert seen == [3]


def test_where_a_thread_cannot_be_had_those_that_are_there_do_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    crew = Crew(4)
    assert crew._others is not None
    real, given = crew._others.submit, []

    def submit(work: object) -> object:
        if given:
            raise RuntimeError("can't start new thread")
        given.append(real(work))  # type: ignore[arg-type]
        return given[0]

    monkeypatch.setattr(crew._others, "submit", submit)

    def slow(k: int) -> list[Tensor]:
        time.sleep(0.02)
        return number(k)

    for _ in range(5):
        given.clear()
        found = crew.results([lambda k=k: slow(k) for k in range(6)])  # type: ignore[misc]
        assert [int(tensors[0]) for tensors in found] == list(range(6))
        assert given[0].done()  # type: ignore[attr-defined]
