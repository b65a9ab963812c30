"""The governor draws what is visible and new, one at a time, and keeps to its budget, by a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from studio.messages import RunState, Status, Update
from ui.governor import TICK, Governor

NEWS = Update(status=Status(state=RunState.RUNNING, step=1, total_steps=10))


class Clock:
    """Wall time and processor time of a pretended GUI thread."""

    def __init__(self) -> None:
        self.now = 0.0
        self.burnt = 0.0


class Picture:
    """A panel that costs what the test says: some in `draw`, some in the painting after it."""

    def __init__(self, clock: Clock, interval: float, cost: float, painting: float = 0.0) -> None:
        self.clock, self.interval, self.cost, self.painting = clock, interval, cost, painting
        self.pending = False
        self.visible = True
        self.drawn: list[float] = []
        self.received: list[int] = []

    def receive(self, lane: int, update: Update) -> None:
        self.received.append(lane)
        self.pending = True

    def draw(self) -> None:
        self.pending = False
        self.drawn.append(self.clock.now)
        self.clock.burnt += self.cost

    def isVisible(self) -> bool:  # noqa: N802 - Qt's name
        return self.visible


def run(governor: Governor, clock: Clock, pictures: Iterable[Picture], seconds: float) -> None:
    """Tick for `seconds`; the painting of whatever was drawn happens between two ticks."""
    pictures = list(pictures)
    for _ in range(round(seconds * 1000 / TICK)):
        before = [len(picture.drawn) for picture in pictures]
        governor.tick()
        changed = [picture for picture, count in zip(pictures, before, strict=True) if len(picture.drawn) > count]
        assert len(changed) <= 1, "more than one panel was drawn in one tick"
        clock.burnt += sum(picture.painting for picture in changed)
        clock.now += TICK / 1000


@pytest.fixture
def clock() -> Clock:
    return Clock()


def governor_of(clock: Clock, pictures: list[Picture], news: bool = True) -> Governor:
    governor = Governor(lambda: [(0, NEWS)] if news else [], clock=lambda: clock.now, cpu=lambda: clock.burnt)
    governor.set_panels(pictures)
    return governor


def test_cheap_panels_keep_their_own_rates(qapp: object, clock: Clock) -> None:
    curves, wall, fields = Picture(clock, 0.1, 1e-4), Picture(clock, 0.2, 1e-4), Picture(clock, 0.4, 1e-4)
    governor = governor_of(clock, [curves, wall, fields])
    run(governor, clock, [curves, wall, fields], 10.0)
    assert governor.stretch == 1.0
    assert 70 <= len(curves.drawn) <= 101
    assert 35 <= len(wall.drawn) <= 51
    assert 20 <= len(fields.drawn) <= 26


def test_expensive_panels_are_stretched_into_the_budget(qapp: object, clock: Clock) -> None:
    pictures = [Picture(clock, 0.1, 0.004, 0.008), Picture(clock, 0.2, 0.01, 0.02), Picture(clock, 0.3, 0.005, 0.01)]
    governor = governor_of(clock, pictures)
    run(governor, clock, pictures, 5.0)
    clock.burnt, start = 0.0, clock.now
    run(governor, clock, pictures, 30.0)
    assert clock.burnt / (clock.now - start) <= 0.105
    assert clock.burnt / (clock.now - start) >= 0.05, "the budget is there to be used"
    assert governor.share == pytest.approx(clock.burnt / (clock.now - start), rel=0.25)
    assert all(picture.drawn for picture in pictures), "a cheap panel must not starve"


def test_a_hidden_panel_hears_everything_and_draws_nothing(qapp: object, clock: Clock) -> None:
    hidden, shown = Picture(clock, 0.1, 0.01), Picture(clock, 0.1, 0.01)
    hidden.visible = False
    governor = governor_of(clock, [hidden, shown])
    run(governor, clock, [hidden, shown], 1.0)
    assert hidden.drawn == [] and len(hidden.received) == len(shown.received) == 30
    hidden.visible = True
    run(governor, clock, [hidden, shown], 0.2)
    assert hidden.drawn, "a panel that becomes visible is drawn at once"


def test_nothing_new_means_nothing_drawn(qapp: object, clock: Clock) -> None:
    picture = Picture(clock, 0.1, 0.01)
    run(governor_of(clock, [picture], news=False), clock, [picture], 2.0)
    assert picture.drawn == []


def test_one_slow_moment_does_not_make_a_panel_slow_for_long(qapp: object, clock: Clock) -> None:
    picture = Picture(clock, 0.1, 0.002)
    governor = governor_of(clock, [picture])
    run(governor, clock, [picture], 3.0)
    clock.burnt += 2.0  # a person drags something for two seconds
    before = len(picture.drawn)
    run(governor, clock, [picture], 3.0)
    assert len(picture.drawn) - before >= 20


def test_the_timer_runs_only_between_start_and_stop(qapp: object, clock: Clock) -> None:
    governor = governor_of(clock, [])
    assert not governor.active
    governor.start()
    governor.start()
    assert governor.active
    governor.stop()
    assert not governor.active
