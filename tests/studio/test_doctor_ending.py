"""A second-order phase that ends by itself, and second order as a remedy: in real runs that are small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from core.device import on_cpu
from studio import gallery
from studio.alterations import altered
from studio.build import build_fields
from studio.checkup import Ward
from studio.course import Course
from studio.doctor import Doctor, examine
from studio.experiment import Experiment
from studio.findings import Finding, Remedy, Severity
from studio.messages import RunState
from studio.rules.remedies import then_second_order
from studio.rules.seen import Seen
from studio.runfile import Run
from tests.studio.doctor_samples import course, experiment, scalars
from tests.studio.test_course import LONG, Live, phase, phases
from tests.studio.test_doctor_rules import HITS, done
from tests.studio.test_runner import finished, small

TINY: dict[str, object] = {"network__hidden": [3], "diagnostics__gradients_every": 500,
                           "diagnostics__fields_every": 500, "diagnostics__error_every": 500}
FEW: dict[str, Any] = {"points": 16, "condition_points": 4}
ENDED = "ended-by-itself"


def found(run: Run) -> list[Finding]:
    return [f for f in examine(run) if f.rule == ENDED]


def loss(run: Run) -> float:
    return sum(run.scalars[-1].losses.values())


def test_lbfgs_ends_in_float32_and_goes_further_in_float64(tmp_path: Path) -> None:
    run = finished(tmp_path, "a.pinnrun", phases(phase("lbfgs", 3000, precision="float32", **FEW), **TINY))
    event, = (e for e in run.events if e.kind == "done")
    assert run.step < 3020 and event.step == run.step
    assert event.text.startswith(f"lbfgs has ended phase 2 of 2 by itself, after {run.step - 20:,} of 3,000 steps in "
                                 "float32: The l")
    finding, = found(run)
    assert "float64" in finding.text and finding.evidence == event.text
    told = [Finding.from_json(e.value).rule for e in run.events if e.kind == "finding"]
    assert told.count(ENDED) == 1, "it is in the journal of the run itself"
    remedy, = finding.remedies
    assert dict(remedy.changes) == {"phases.0.precision": "float64"}
    treated = finished(tmp_path, "b.pinnrun", altered(run.experiment, remedy))
    assert loss(treated) < loss(run) / 10


def test_what_ends_in_float64_is_offered_points_that_are_drawn_anew(tmp_path: Path) -> None:
    run = finished(tmp_path, "a.pinnrun", phases(
        phase("lbfgs", 20_000, points=6, condition_points=4), network__hidden=[1], diagnostics__error_every=1000))
    finding, = found(run)
    assert "other weights" in finding.text and "another network" in finding.text
    remedy, = finding.remedies
    after = altered(run.experiment, remedy)
    assert [p.points for p in after.phases] == [6, 12] and after.phases[1].optimizer == after.phases[0].optimizer
    treated = finished(tmp_path, "b.pinnrun", after)
    last = [e.text for e in treated.events if e.kind == "phase"][-1]
    assert last.startswith("phase 3 of 3: lbfgs in float64 on 20 fixed points"), "8 are the walls'"


def test_a_phase_that_has_made_its_steps_has_not_ended_by_itself(tmp_path: Path) -> None:
    run = finished(tmp_path, "a.pinnrun", phases(phase("lbfgs", 10, precision="float32", **FEW)))
    assert found(run) == [] and not any(e.kind == "done" for e in run.events)


def test_where_another_phase_follows_it_is_a_note(tmp_path: Path) -> None:
    run = finished(tmp_path, "a.pinnrun", phases(
        phase("lbfgs", 3000, precision="float32", **FEW), phase("adam", 10), **TINY))
    kinds = [e.kind for e in run.events]
    assert kinds.index("done") < len(kinds) - 1 - kinds[::-1].index("phase"), "it ends before the next one begins"
    finding, = found(run)
    assert finding.severity is Severity.NOTE and finding.text.endswith("The next phase has taken over.")
    assert finding.remedies == (), "that one works in float64 already"


@pytest.mark.parametrize(("kind", "number", "path"), [("lbfgs", 1, "training.precision"),
                                                      ("adam", 3, "phases.1.precision")])
def test_the_remedy_is_one_of_the_phase_that_has_ended(kind: str, number: int, path: str) -> None:
    doctor = Doctor(experiment(optimizer__kind=kind, phases=[
        {"optimizer": {"kind": "lbfgs"}, "precision": "float32"}] * (number - 1)))
    doctor.see(scalars(100))
    doctor.event(done(phase=number, phases=number))
    finding, = doctor.findings(100)
    assert finding.severity is Severity.WARNING
    assert [dict(r.changes) for r in finding.remedies] == [{path: "float64"}]


# ------------------------------------------------------------------ then second order

@pytest.mark.parametrize("name", ["stiff", "float32-floor"])
def test_second_order_is_offered_where_no_phase_follows(name: str) -> None:
    def offered(of: Experiment | None) -> list[Remedy]:
        finding = next(f for f in course(**{**HITS[name], "of": of}) if f.rule == name)
        return [r for r in finding.remedies if "phases" in r.changes]

    remedy, = offered(None)
    after = altered(experiment(), remedy)
    assert [(p.optimizer.kind, p.precision) for p in after.phases] == [("auto", "float64")]
    assert offered(experiment(phases=[{"optimizer": {"kind": "lbfgs"}}])) == [], "they were planned by a person"


@pytest.mark.parametrize(("name", "rule"), [("ill-stiff-residual", "stiff"), ("ill-float32-floor", "float32-floor")])
def test_second_order_mends_what_it_is_offered_for(name: str, rule: str) -> None:
    """From the step of the finding, 60 steps of the phase that the remedy adds."""
    ward = Ward(gallery.load(name).lanes()[0])
    hits: list[Finding] = []

    def look(now: tuple[Finding, ...]) -> bool:
        hits.extend(finding for finding in now if finding.rule == rule)
        return bool(hits)

    ward.train(ward.experiment.training.steps, look)
    remedy = next(r for r in hits[0].remedies if "phases" in r.changes)
    before = max(ward.fields.relative_l2(on_cpu(ward.trainer)).values())
    run = Course(altered(ward.experiment, remedy), lambda kind, text, value="": None)
    place, trainer, why = run.advance(ward.trainer, 0.0)
    run.enter(place, trainer, why)
    assert trainer.objective.dtype == torch.float64 and why
    for _ in range(60):
        trainer.step()
    assert max(build_fields(run.watched, trainer).relative_l2(on_cpu(trainer)).values()) < before / 5


def test_who_has_a_second_order_method_is_not_offered_another() -> None:
    assert then_second_order(Seen(experiment(optimizer__kind="lbfgs"))) == ()
    assert len(then_second_order(Seen(experiment(optimizer__kind="soap")))) == 1


def test_a_click_puts_a_second_order_phase_after_a_run_that_goes_on(tmp_path: Path) -> None:
    live = Live(small(**LONG), tmp_path / "a.pinnrun")
    live.until(lambda u: u.status.step > 5)
    remedy, = then_second_order(Seen(small(**LONG)))
    live.send("change", remedy)
    before = live.until(lambda u: u.status.phases == 2 and bool(u.status.losses)).status
    assert before.phase == 1 and before.phase_name == "adam"
    live.send("next_phase")
    after = live.until(lambda u: u.status.phase == 2 and u.status.phase_step >= 20).status
    assert after.phase_name == "levenberg-marquardt"
    assert sum(after.losses.values()) < 1e-3 * sum(before.losses.values())
    live.send("undo")
    live.until(lambda u: "change-refused" in live.kinds)
    assert live.events[-1].text == "the run is in phase 2, which came by the last change"
    live.send("stop")
    live.until(lambda u: u.status.state is RunState.STOPPED)
    live.close()
