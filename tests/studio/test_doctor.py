"""How the doctor looks: hysteresis, what it keeps, what it costs, and what it offers."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from core.frames import Frame
from studio import gallery
from studio.doctor import APPEARS, GOES, Doctor, examine
from studio.findings import Finding, Remedy, Severity
from studio.messages import Event
from studio.rules import RULES, Rule, Sighting
from studio.rules.seen import LOOKS, MOST, Seen
from studio.run_reader import load_run
from studio.runfile import RunFile
from tests.studio.doctor_samples import MAKERS, T, activations, course, experiment, fields, gradients, scalars

DEAD = {"activations": lambda step: activations(step, dead=0.7)}


@pytest.fixture
def toggled(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[bool]], list[bool]]:
    """Given whether a rule speaks at every look, whether the doctor then shows it."""
    now = [False]

    def speaks(seen: Seen) -> list[Sighting]:
        return [Sighting(title="made", text="Made.", evidence="1")] if now[0] else []

    monkeypatch.setattr("studio.doctor.RULES", {"made": Rule("made", "losses", "made", "made", speaks, False)})

    def course(said: list[bool]) -> list[bool]:
        doctor, shown = Doctor(experiment()), []
        for step, now[0] in enumerate(said, start=1):
            doctor.see(scalars(step))
            shown.append(bool(doctor.findings(step)))
            assert bool(doctor.findings(step)) == shown[-1], "a look without news changes nothing"
        return shown

    return course


def test_a_finding_needs_several_looks_to_appear_and_to_go(toggled: Callable[[list[bool]], list[bool]]) -> None:
    yes, no = [True], [False]
    assert toggled(yes * (APPEARS + 1)) == no * (APPEARS - 1) + yes * 2
    assert toggled((yes * (APPEARS - 1) + no) * 4) == no * 4 * APPEARS, "never long enough"
    said = yes * APPEARS + (no * (GOES - 1) + yes) * 3 + no * (GOES + 1)
    shown = toggled(said)[APPEARS - 1:]
    assert shown == yes * (1 + 3 * GOES + GOES - 1) + no * 2, "it stays until it is silent for good"


def looks(doctor: Doctor, step: int, count: int, dead: float) -> None:
    """Frames and looks, each at frames of its own."""
    for now in range(step, step + 100 * count, 100):
        doctor.see(scalars(now))
        doctor.see(activations(now, dead=dead))
        doctor.findings(now)


def test_looks_without_news_do_not_count() -> None:
    doctor = Doctor(experiment())
    looks(doctor, 100, 3, dead=0.7)
    for _ in range(20):
        assert doctor.findings(300) == (), "the same frames seen again prove nothing"


def test_what_is_certain_appears_at_once() -> None:
    doctor = Doctor(experiment())
    doctor.event(Event(step=7, kind="nan", text="the loss term 'residual' became nan at step 7"))
    finding, = doctor.findings(7)
    assert (finding.rule, finding.step, finding.severity) == ("not-finite", 7, Severity.SERIOUS)


def test_a_finding_keeps_the_step_at_which_it_appeared_and_its_numbers_stay_new() -> None:
    doctor = Doctor(experiment())
    looks(doctor, 100, 6, dead=0.7)
    before, = doctor.findings(600)
    looks(doctor, 700, 4, dead=0.9)
    after, = doctor.findings(1000)
    assert before.step == after.step == 500
    assert before.evidence != after.evidence


@pytest.mark.parametrize("count", [1, 60])
def test_where_no_term_has_a_weight_there_is_a_whole_loss_of_zero(count: int) -> None:
    """A person may set all weights to zero while it trains; rules index by step what they are given."""
    doctor = Doctor(experiment())
    for step in range(0, 50 * count, 50):
        doctor.see(replace(scalars(step), weights=dict.fromkeys(T, 0.0)))
        doctor.findings(step)
    assert doctor.seen.whole().tolist() == [0.0] * count
    assert not doctor.seen.recent(doctor.seen.whole(), 0.5).any()
    assert Seen(experiment()).whole().tolist() == []


def test_the_gravest_come_first() -> None:
    found = course(experiment(network__activation="relu"), gradients=lambda s: gradients(s, zero=("residual",)),
                   activations=lambda s: activations(s, dead=0.7))
    assert [f.severity for f in found] == [Severity.SERIOUS, Severity.NOTE]


def test_another_setting_begins_a_new_history() -> None:
    doctor = Doctor(experiment())
    looks(doctor, 100, 6, dead=0.7)
    doctor.event(Event(step=600, kind="check", text="The exact solution DOES NOT satisfy 'start': 1."))
    doctor.change(experiment(network__activation="silu"))
    assert [f.rule for f in doctor.findings(600)] == ["inconsistent-condition"], "what was checked stays true"
    assert doctor.experiment.network.activation == "silu"
    looks(doctor, 700, 3, dead=0.7)
    assert [f.rule for f in doctor.findings(900)] == ["inconsistent-condition"], "it counts from the beginning again"


def test_the_journal_keeps_the_experiment_up_to_date() -> None:
    doctor = Doctor(experiment())
    doctor.event(Event(step=5, kind="balancing", text="", value='"ntk"'))
    doctor.event(Event(step=6, kind="learning_rate", text="", value="0.0005"))
    assert doctor.experiment.balancing.rule == "ntk"
    assert doctor.experiment.optimizer.learning_rate == 0.0005


def test_only_what_can_be_done_is_offered() -> None:
    """A remedy that the experiment cannot have, or that changes nothing, is no remedy."""
    found = course(experiment(network__activation="tanh"), **DEAD)
    assert [dict(r.changes) for f in found for r in f.remedies] == [{"network.activation": "silu"}]


def test_findings_survive_json() -> None:
    for finding in course(**DEAD):
        assert Finding.from_json(finding.to_json()) == finding


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"rule": "x"}'])
def test_other_texts_are_no_finding(text: str) -> None:
    with pytest.raises(ValueError):
        Finding.from_json(text)


# ------------------------------------------------------------------ cost


def test_what_is_kept_is_bounded() -> None:
    doctor = Doctor(experiment())
    for step in range(1, 12_001):
        doctor.see(scalars(step))
        if step % 20 == 0:
            for kind, make in MAKERS.items():
                if kind != "scalars":
                    doctor.see(make(step))
            doctor.event(Event(step=step, kind="pause", text="paused"))
    seen = doctor.seen
    assert len(seen.scalars) <= MOST and len(seen.pictures) == len(seen.pulls) == LOOKS
    assert _size(seen) < 3_000_000
    steps = [f.step for f in seen.scalars]
    assert steps == sorted(steps) and steps[-1] == 12_000 and steps[0] == 1, "thinned, but from first to last"
    assert np.diff(steps[-400:]).max() == 1, "the newest are all there"


def _size(value: object, known: set[int] | None = None) -> int:
    """Bytes of an object and of what it holds."""
    known = set() if known is None else known
    if id(value) in known or isinstance(value, type):
        return 0
    known.add(id(value))
    size = value.nbytes if isinstance(value, np.ndarray) else sys.getsizeof(value)
    parts: Any = ()
    if isinstance(value, dict):
        parts = [*value, *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)) or type(value).__name__ == "deque":
        parts = value
    elif hasattr(value, "__dict__"):
        parts = value.__dict__.values()
    elif hasattr(type(value), "__slots__"):
        parts = [getattr(value, name, None) for name in type(value).__slots__]
    return size + sum(_size(part, known) for part in parts)


def test_a_picture_is_summed_up_when_it_comes() -> None:
    doctor = Doctor(experiment())
    frame = fields(100)
    doctor.see(frame)
    assert _size(doctor.seen.pictures) < 10_000 < _size(frame.prediction), "no array of it is kept"


def test_looking_is_cheap() -> None:
    """Measured in the thread's own time, so that others on the machine do not count."""
    doctor = Doctor(experiment())
    times = []
    for step in range(1, 2_001):
        doctor.see(scalars(step))
        if step % 50 == 0:
            for kind, make in MAKERS.items():
                if kind != "scalars":
                    doctor.see(make(step))
            begun = time.thread_time()
            doctor.findings(step)
            times.append(time.thread_time() - begun)
    assert median(times) < 5e-3


# ------------------------------------------------------------------ a recorded run, the gallery


def test_a_recorded_run_is_examined_like_a_living_one(tmp_path: Path) -> None:
    path = tmp_path / "bar.pinn"
    file = RunFile.create(path, experiment())
    rows: list[Frame] = []
    for step in range(10, 1001, 10):
        file.add_scalars([scalars(step)])
        if step % 100 == 0:
            rows += [activations(step, dead=0.7), fields(step)]
    for frame in rows:
        file.add_frame(frame)
    file.add_event(Event(step=0, kind="check", text="The exact solution DOES NOT satisfy 'walls': 1.0e+00."))
    file.set_state("finished", 1000, 1.0)
    file.close()
    found = examine(load_run(file.path))
    assert [f.rule for f in found] == ["inconsistent-condition", "dead-layer"]


def test_a_recorded_run_is_examined_phase_by_phase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen_at: dict[int, tuple[str, int]] = {}

    def watches(seen: Seen) -> list[Sighting]:
        seen_at[seen.step] = (seen.experiment.optimizer.kind, seen.total)
        return []

    monkeypatch.setattr("studio.doctor.RULES", {"made": Rule("made", "losses", "made", "made", watches, False)})
    whole = experiment(training__steps=100, phases=[{"steps": 50, "optimizer": {"kind": "auto"}}])
    file = RunFile.create(tmp_path / "bar.pinn", whole)
    for step in (100, 150):
        file.add_scalars([scalars(step)])
        file.add_frame(fields(step))
    value = json.dumps({"phase": 2, "phases": 2, "kind": "lbfgs", "step": 100, "why": "it fits"})
    file.add_event(Event(step=101, kind="phase", text="phase 2 of 2", value=value))
    file.add_event(Event(step=120, kind="phase", text="damaged", value="{}"))
    file.set_state("finished", 150, 1.0)
    file.close()
    examine(load_run(file.path))
    assert seen_at == {100: ("adam", 100), 150: ("lbfgs", 150)}


def test_a_method_that_needs_a_steady_loss_is_offered_no_other_points_and_no_other_rule() -> None:
    slower = Remedy(text="", changes={"optimizer.learning_rate": 1e-4})
    others = [Remedy(text="", changes={path: value}) for path, value in (
        ("sampling.every", 7), ("balancing.rule", "annealing-siam"))]
    weights = Remedy(text="", changes={"balancing.weights": {"boundary": 7.0}})
    for kind, expected in (("adam", True), ("lbfgs", False), ("levenberg-marquardt", False)):
        doctor = Doctor(experiment(optimizer__kind=kind))
        assert [doctor._possible(r) for r in (slower, *others)] == [expected] * 3
        assert doctor._possible(weights)


ILL = [name for name in gallery.names() if name.startswith("ill-")]


def test_there_are_ten_ills_to_show() -> None:
    assert len(ILL) >= 10
    for name in ILL:
        e = gallery.load(name)
        assert e.group == "Pathologies" and e.title.startswith("Ill: ") and e.training.steps <= 4000


def test_a_rule_says_where_it_comes_from_and_what_shows_it() -> None:
    panels = {"gradients", "gradient_history", "alignment", "step_check", "weights", "losses", "error", "slopes",
              "activations", "conditioning", "liveness", "timing", "stiffness", "spectrum", "ntk", "fields", "readings"}
    for rule in RULES.values():
        assert rule.panel in panels and rule.source and rule.threshold
