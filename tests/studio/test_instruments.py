"""When diagnostics look, and what they may cost."""

from __future__ import annotations

import math
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
    seen: dict[str, list[int]] = {kind: [] for kind in instruments.kinds}
    trainer: Any = Stub()
    wanted = set(instruments.kinds)
    next_look, next_time = 0, 0.0
    for step in range(steps + 1):
        trainer.iteration = step
        if step >= next_look or step * step_seconds >= next_time:
            for kind in instruments.due(step, step * step_seconds, wanted, everything=step == steps):
                if kind == "error":
                    instruments.charge(kind, 0.001, step)
                else:
                    instruments.observe(kind, trainer)
                seen[kind].append(step)
            next_look, next_time = instruments.next_look(step, wanted), instruments.next_time(wanted)
    return seen


def test_cheap_ones_look_at_their_cadence(monkeypatch: pytest.MonkeyPatch) -> None:
    instruments, _ = made(monkeypatch, {})
    seen = played(instruments, 4000, 0.01)
    assert seen["gradients"] == list(range(0, 4001, 50))
    assert seen["fields"] == list(range(0, 4001, 100))
    for kind in ("slopes", "alignment", "liveness"):
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
    assert set(seen["gradients"]) >= set(range(0, 10_001, 50)) and "gradients" in PUNCTUAL


def test_where_engines_may_change_all_keep_to_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = {"gradients": 0.02, "fields": 0.04, "stiffness": 0.15}
    instruments, clock = made(monkeypatch, costs, training__engine="auto")
    seen = played(instruments, 30_000, 0.001)  # 30 seconds
    assert clock[0] < 0.08 * 30 + 0.4 + 0.3
    assert all(len(steps) >= 2 for steps in seen.values()), {k: len(v) for k, v in seen.items()}
    gaps = [b - a for a, b in zip(seen["gradients"], seen["gradients"][1:], strict=False)]
    assert max(gaps) < 5000, "a dear one that saves must not hold up the others"


def test_what_is_in_sight_comes_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for sight in (frozenset[str](), frozenset({"stiffness"})):
        instruments, _ = made(monkeypatch, {"stiffness": 0.15, "fields": 0.1}, training__engine="auto",
                              diagnostics__stiffness_every=10)
        instruments.in_sight = sight
        counts.append(len(played(instruments, 30_000, 0.001)["stiffness"]))
    assert counts[1] > 1.3 * counts[0], counts


def test_never_is_never(monkeypatch: pytest.MonkeyPatch) -> None:
    instruments, _ = made(monkeypatch, {}, diagnostics__ntk_every=0)
    assert played(instruments, 3000, 0.01)["ntk"] == []


def test_what_is_in_sight_looks_once_before_it_is_earned(monkeypatch: pytest.MonkeyPatch) -> None:
    instruments, clock = made(monkeypatch, {"stiffness": 9.0, "gradients": 3.0}, training__engine="auto")
    trainer: Any = Stub()
    for kind in instruments.due(0, 0.0, set(instruments.kinds)):
        if kind != "error":
            instruments.observe(kind, trainer)
    instruments._saved = dict.fromkeys(instruments.kinds, -1.0)  # all is spent
    trainer.iteration = 5000
    assert "ntk" not in instruments.due(5000, 0.0, {"ntk", "stiffness"})
    instruments._last["ntk"] = -1
    instruments.in_sight = frozenset({"ntk"})
    assert instruments.due(5000, 0.0, {"ntk", "stiffness"}) == ["ntk"]
    instruments.observe("ntk", trainer)
    trainer.iteration = 9000
    assert instruments.due(9000, 0.0, {"ntk", "stiffness"}) == []


def test_a_look_that_is_called_off_is_no_frame_and_not_the_end_of_its_kind() -> None:
    experiment = small(diagnostics__stiffness_every=1)
    trainer = build_trainer(experiment)
    trainer.step()
    trainer.step()
    wanted = [True]
    instruments = Instruments(experiment, build_fields(experiment, trainer), stop=lambda: wanted[0])
    before = trainer.state()
    assert instruments.observe("stiffness", trainer) is None and instruments.counts["stiffness"] == 0
    assert all((a == b).all() for a, b in zip(before.tensors.values(), trainer.state().tensors.values(), strict=True))
    wanted[0] = False
    trainer.step()
    assert "stiffness" in instruments.due(3, 100.0, {"stiffness"})
    assert instruments.observe("stiffness", trainer) is not None


# ------------------------------------------------------------------ slow steps

SPARSE = {"diagnostics__fields_every": 1000, "diagnostics__gradients_every": 200}


def test_where_steps_are_slow_what_is_recorded_looks_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    instruments, clock = made(monkeypatch, {"fields": 0.05, "stiffness": 2.0}, training__engine="auto", **SPARSE)
    seen = played(instruments, 60, 1.0)
    for kind in ("fields", "gradients", "alignment"):
        gaps = [b - a for a, b in zip(seen[kind], seen[kind][1:], strict=False)]
        assert len(seen[kind]) > 12 and max(gaps) <= 4, (kind, seen[kind])
    assert clock[0] < 0.08 * 60 + 2.5, "the share holds all the same"


def test_of_one_engine_only_what_is_in_sight_does_and_what_is_kept_depends_on_steps_alone(
        monkeypatch: pytest.MonkeyPatch) -> None:
    instruments, _ = made(monkeypatch, {"fields": 0.05}, **SPARSE)
    assert instruments.next_time(set(instruments.kinds)) == math.inf
    seen = played(instruments, 60, 1.0)
    assert seen["fields"] == seen["gradients"] == seen["alignment"] == [0, 60]
    instruments, _ = made(monkeypatch, {"fields": 0.05}, **SPARSE)
    instruments.in_sight = frozenset({"fields", "alignment"})
    trainer: Any = Stub()
    kept, shown = [], []
    for step in range(60):
        trainer.iteration = step
        if step and step >= instruments.next_look(step - 1, {"fields"}):
            raise AssertionError("by its cadence nothing is due")
        for kind in instruments.due(step, float(step), {"fields"}):
            instruments.observe(kind, trainer)
            kept.append(step)
        for kind in instruments.glances(step, {"fields"}):
            instruments.observe(kind, trainer, kept=False)
            shown.append(step)
    assert kept == [0] and len(shown) > 12 and max(b - a for a, b in zip(shown, shown[1:], strict=False)) <= 4
    assert instruments.next_time({"fields"}) < 63
    trainer.iteration = shown[-1]
    assert list(instruments.once(shown[-1], 60.0, {"fields"}, 9.0)) == ["fields"], "what was only shown is not kept"


def test_a_glance_is_paid_before_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    instruments, clock = made(monkeypatch, {"fields": 3.0}, **SPARSE)
    instruments.in_sight = frozenset({"fields"})
    trainer: Any = Stub()
    for step in range(1, 400):
        trainer.iteration = step
        instruments.due(step, float(step), {"fields"})
        for kind in instruments.glances(step, {"fields"}):
            instruments.observe(kind, trainer, kept=False)
    assert 3 * 3.0 <= clock[0] <= 0.08 * 400 + 3.0


@pytest.mark.parametrize("engine", ["auto", "eager"])
def test_another_phase_is_looked_at_at_once(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    old, _ = made(monkeypatch, {"stiffness": 30.0}, training__engine=engine, **SPARSE)
    old.in_sight = frozenset({"fields", "stiffness"})
    played(old, 77, 0.01)
    new, _ = made(monkeypatch, {"stiffness": 30.0}, training__engine=engine, **SPARSE)
    new.continue_from(old)
    due = new.due(77, 0.77, {"fields", "gradients", "stiffness"})
    assert {"fields", "gradients"} <= set(due), "also where the phase before was looked at at the same step"
    assert "stiffness" not in due, "what took half a minute is to be earned first"
    trainer: Any = Stub()
    trainer.iteration = 77
    new.observe("fields", trainer)
    new.observe("gradients", trainer)
    assert new.due(78, 0.78, {"fields", "gradients"}) == []


def test_the_last_look_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    instruments, clock = made(monkeypatch, {"stiffness": 30.0, "fields": 0.5, "gradients": 0.9, "alignment": 0.4})
    trainer: Any = Stub()
    for kind in ("fields", "gradients", "stiffness", "alignment"):
        instruments.observe(kind, trainer)
    trainer.iteration, begun = 70, clock[0]
    looked = []
    for kind in instruments.once(70, 7.0, set(instruments.kinds), 2.0):
        instruments.observe(kind, trainer)
        looked.append(kind)
    assert looked == ["fields", "gradients", "alignment"], "neither what is dear nor what nobody knows the price of"
    assert clock[0] - begun < 2.0 and list(instruments.once(70, 7.0, set(instruments.kinds), 2.0)) == []
