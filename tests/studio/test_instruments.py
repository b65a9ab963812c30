"""When diagnostics look, and what they may cost."""

from __future__ import annotations

from typing import Any

import pytest

from core.frames import Frame
from core.trainer import Trainer
from studio.build import build_fields, build_trainer
from studio.instruments import PUNCTUAL, Instruments
from tests.studio.test_session import small


class Slow:
    """A diagnostic that takes as long as it is told."""

    def __init__(self, kind: str, seconds: float, clock: list[float]) -> None:
        self.kind, self.seconds, self.clock = kind, seconds, clock

    def observe(self, trainer: Trainer) -> Frame | None:
        self.clock[0] += self.seconds
        return object()  # type: ignore[return-value]


class Stub:
    """A trainer that has only come to a step."""

    iteration = 0


def made(monkeypatch: pytest.MonkeyPatch, costs: dict[str, float], **changes: Any) -> tuple[Instruments, list[float]]:
    clock = [0.0]
    monkeypatch.setattr("studio.instruments.time.perf_counter", lambda: clock[0])
    experiment = small(**changes)
    instruments = Instruments(experiment, build_fields(experiment, build_trainer(experiment)))
    for kind in instruments.diagnostics:
        instruments.diagnostics[kind] = Slow(kind, costs.get(kind, 0.001), clock)
    return instruments, clock


def played(instruments: Instruments, steps: int, step_seconds: float) -> dict[str, list[int]]:
    seen: dict[str, list[int]] = {kind: [] for kind in instruments.diagnostics}
    trainer: Any = Stub()
    wanted = set(instruments.diagnostics)
    next_look = 0
    for step in range(steps + 1):
        trainer.iteration = step
        if step >= next_look:
            for kind in instruments.due(step, step * step_seconds, wanted, everything=step == steps):
                instruments.observe(kind, trainer)
                seen[kind].append(step)
            next_look = instruments.next_look(step, wanted)
    return seen


def test_cheap_ones_look_at_their_cadence(monkeypatch: pytest.MonkeyPatch) -> None:
    instruments, _ = made(monkeypatch, {})
    seen = played(instruments, 4000, 0.01)
    assert seen["gradients"] == list(range(0, 4001, 50))
    assert seen["fields"] == list(range(0, 4001, 100))
    for kind in ("slopes", "alignment", "stiffness"):
        every = instruments.every[kind]
        assert seen[kind] == [*range(0, 4000, every), 4000]


def test_dear_ones_wait_until_they_are_earned_and_none_starves(monkeypatch: pytest.MonkeyPatch) -> None:
    instruments, clock = made(monkeypatch, {"stiffness": 0.4, "ntk": 0.3, "activations": 0.05},
                              diagnostics__stiffness_every=10, diagnostics__ntk_every=10)
    seen = played(instruments, 20_000, 0.005)  # 100 seconds of training
    assert clock[0] < 0.08 * 100 * 1.15 + 2.0
    assert all(len(steps) >= 5 for steps in seen.values()), {k: len(v) for k, v in seen.items()}
    assert seen["gradients"] == list(range(0, 20_001, 50))


def test_punctual_ones_that_use_the_whole_share_leave_something(monkeypatch: pytest.MonkeyPatch) -> None:
    instruments, _ = made(monkeypatch, {"gradients": 0.05, "fields": 0.05})
    seen = played(instruments, 10_000, 0.005)
    assert all(len(steps) >= 3 for steps in seen.values()), {k: len(v) for k, v in seen.items()}
    assert PUNCTUAL == ("gradients", "fields")


def test_never_is_never(monkeypatch: pytest.MonkeyPatch) -> None:
    instruments, _ = made(monkeypatch, {}, diagnostics__ntk_every=0)
    assert played(instruments, 3000, 0.01)["ntk"] == []
