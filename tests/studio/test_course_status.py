"""What the status says of a run with phases: where it is, what it does, how long it will take."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import torch

from core.solvers.solver import Advance
from studio.messages import RunState, Status, Update
from studio.phases import PhaseSpec, Place
from tests.studio.test_course import LONG, Done, Live, begun, phase, phases
from tests.studio.test_runner import small

# ------------------------------------------------------------------ how long it will take

def test_what_is_left_of_a_phase_is_its_steps_at_its_pace_and_no_more_than_its_seconds() -> None:
    course, _ = begun(phases(phase("adam", 50, seconds=10.0), phase("lbfgs", 1000, seconds=30.0)))
    assert course.left(0, 0.0, 0.0) == (None, None), "no pace is known"
    assert course.left(10, 1.0, 4.0) == (10 / 4, 10 / 4 + 10.0 + 30.0), "phases to come count with their limits"
    course.place = Place(1, 20, 100.0)
    assert course.left(30, 103.0, 4.0) == (7.0, 37.0), "40 steps would take 10 s, its limit is 7 s away"
    assert course.left(60, 103.0, 4.0) == (2.5, 32.5), "its last 10 steps come first"
    assert course.left(21, 103.0, 0.0) == (7.0, 37.0), "the limit holds without a pace"
    assert course.left(30, 110.5, 4.0) == (0.0, 30.0), "a long step may outlast it"
    course.place = Place(2, 70, 110.0)
    assert course.left(70, 110.0, 100.0) == (10.0, 10.0)
    course.finish(90)
    assert course.left(90, 111.0, 0.0) == (0.0, 0.0)


def test_the_pace_of_one_method_says_nothing_of_the_next_one() -> None:
    course, _ = begun(phases(phase("lbfgs", 100), phase("adam", 100, seconds=5.0)))
    assert course.left(0, 0.0, 100.0) == (0.2, None), "the next phase has no limit, and its own pace is not known"
    course.place = Place(1, 20, 1.0)
    assert course.left(20, 1.0, 10.0) == (10.0, 15.0)
    assert begun(small())[0].left(10, 3.0, 5.0) == (2.0, 2.0), "a run without phases"


class Slow(Done):
    """Steps of which each takes a tenth of a second, and whose parts have no name."""

    def step(self, loss: Any, theta: torch.Tensor, memory: Any, rate: float, watch: Any) -> Advance:
        watch.tell(0.5, " ")
        time.sleep(0.1)
        watch.tell(1.0, "")
        return Advance(theta, memory, loss.gradient(theta)[0])


def test_a_slow_phase_says_how_long_it_will_take_and_never_an_empty_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.build.solver_of", lambda spec, kind, objective: Slow() if kind == "lbfgs" else None)
    live = Live(phases(phase("lbfgs", 60, seconds=4.0), phase("adam", 10, seconds=9.0)))
    told: set[str] = set()

    def known(update: Update) -> bool:
        told.add(update.status.doing)
        return update.status.phase == 2 and update.status.step >= 30

    s = live.until(known).status
    live.close()
    assert s.phase_seconds_left is not None and 0 < s.phase_seconds_left <= 4.0 - 0.1 * s.phase_step
    assert s.seconds_left == pytest.approx(s.phase_seconds_left + 9.0)
    assert told - {""} and told <= {"", "step: 50%", "step: 100%"}


# ------------------------------------------------------------------ where it is

class Held(Done):
    """A first step that is not over before it is let go."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def step(self, loss: Any, theta: torch.Tensor, memory: Any, rate: float, watch: Any) -> Advance:
        self.reached.set()
        assert self.go.wait(30)
        return Advance(theta, memory, loss.gradient(theta)[0])


@pytest.mark.parametrize("command", ["next_phase", "switch"])
def test_the_status_is_that_of_the_new_phase_before_anything_of_it_is_looked_at(
        monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """The first looks of a phase and its first step may take long; meanwhile the status must not be the old one."""
    held = Held()
    monkeypatch.setattr("studio.build.solver_of", lambda spec, kind, objective: held if kind == "lbfgs" else None)
    live = Live(phases(phase("lbfgs", 7), **LONG) if command == "next_phase" else small(**LONG))
    live.until(lambda u: u.status.step > 5)
    told: list[Status] = []
    look = live.desk.runner._look

    def looking(step: int, **more: bool) -> float:
        told.append(live.desk.mailbox.status)
        return look(step, **more)

    monkeypatch.setattr(live.desk.runner, "_look", looking)
    live.send(command, PhaseSpec.model_validate(phase("lbfgs", 7)) if command == "switch" else None)
    assert held.reached.wait(30)
    now = live.desk.mailbox.status
    held.go.set()
    live.close()
    for s in (next(s for s in told if s.phase_step == 0 and s.phases == 2 and s.phase == 2), now):
        assert (s.phase, s.phases, s.phase_name, s.phase_step, s.phase_steps) == (2, 2, "lbfgs", 0, 7)
        assert s.seconds_left is None and s.state is RunState.RUNNING
