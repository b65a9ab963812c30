"""How fast, and in what order: the pace of one run, the turns of several."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from studio.gallery import load
from studio.messages import RunState
from studio.pace import ALONE, AMONG_OTHERS, LEAD, Pace, Turns
from studio.session import Session


def test_a_pace_is_steps_over_seconds() -> None:
    pace = Pace()
    pace.measure(0.0, 0)
    assert pace.rate == 0.0, "not known yet"
    for k in range(1, 11):
        pace.measure(k * 0.25, k * 50)
    assert pace.rate == pytest.approx(200)


def test_who_is_ahead_waits_and_who_rests_holds_nobody_up() -> None:
    turns = Turns()
    assert turns.begin("a", 1000) == ALONE
    assert turns.begin("b", 0) == AMONG_OTHERS
    assert turns.begin("a", 1000) == 0
    assert turns.begin("b", 1000 - LEAD) == AMONG_OTHERS == turns.begin("a", 1000)
    turns.begin("b", 2)
    turns.rest("b")
    assert turns.begin("a", 1000) == ALONE
    turns.rest("nobody")


def test_a_run_that_is_not_heard_of_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.pace.PATIENCE", 0.05)
    turns = Turns()
    turns.begin("stuck", 0)
    assert turns.begin("a", 1000) == 0
    time.sleep(0.06)
    assert turns.begin("a", 1000) == ALONE


def test_compared_runs_stand_at_the_same_step(tmp_path: Path) -> None:
    changes = {"training.steps": 10_000_000, "training.engine": "eager"}
    lanes = [Session(lane.with_changes(changes), runs_folder=tmp_path) for lane in load("quick").lanes()]
    for lane in lanes:
        lane.start()
    try:
        deadline = time.monotonic() + 60
        while min(lane.take().status.step for lane in lanes) < 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        for lane in lanes:
            lane.pause()
        while any(lane.take().status.state is RunState.RUNNING for lane in lanes) and time.monotonic() < deadline:
            time.sleep(0.01)
        first, second = (lane.take().status for lane in lanes)
        assert min(first.step, second.step) >= 200
        assert abs(first.step - second.step) <= LEAD + 20  # and what a turn and the command take
        lanes[0].resume()  # the other one rests: this one must go on
        while lanes[0].take().status.step < first.step + 3 * LEAD and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lanes[0].take().status.step >= first.step + 3 * LEAD
    finally:
        closed = [lane.close(20) for lane in lanes]
        assert all(closed)
