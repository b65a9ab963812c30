"""The check-up that makes results/doctor.json and results/doctor.md, and what is in them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from studio import checkup, gallery
from studio.checkup import (
    HELD_OUT,
    ILL,
    RESULTS,
    SECOND_ORDER,
    WELL,
    Ill,
    Ward,
    main,
    merged,
    run_ill,
    run_well,
    write,
)
from studio.findings import Remedy
from studio.rules import RULES


def test_an_ill_run_is_found_and_treated() -> None:
    row = run_ill(Ill("ill-unscaled-inputs", "unscaled-inputs"), steps=150)
    assert row["found"] and row["step"] <= 30, "what is certain is found at the first look"
    assert row["changes"]["network.normalize"] == "z-score"
    assert row["error with"] != row["error without"], "two different runs"


def test_the_same_seed_gives_the_same_findings() -> None:
    rows = [run_ill(Ill("ill-lost-derivative", "lost-derivative"), steps=120) for _ in range(2)]
    for row in rows:
        row.pop("seconds")
    assert rows[0] == rows[1]


def test_treatment_goes_on_from_where_it_was() -> None:
    """Under a learning rate so small that nothing moves, the treated run is where the other one was."""
    ward = Ward(gallery.load("ill-frozen").with_changes({"training.steps": 100}))
    ward.train(60, lambda found: False)
    before = ward.fields.relative_l2(ward.trainer)["u"]
    other = ward.treated(Remedy(text="", changes={"optimizer.learning_rate": 1e-9}))
    assert other.trainer.iteration == 60
    other.train(61, lambda found: False)
    assert other.fields.relative_l2(other.trainer)["u"] == pytest.approx(before, rel=1e-4)


def test_a_healthy_run_has_a_row() -> None:
    row = run_well("heat", {"network.hidden": [8]}, 90)
    assert row["alarms"] == [] and row["changed"] == ["network.hidden"] and math.isfinite(row["error"])


def test_a_run_goes_on_in_its_next_phase_and_the_doctor_begins_anew_there() -> None:
    experiment = gallery.load("new").with_changes({
        "training.steps": 30, "network.hidden": [6], "phases": [{"steps": 20, "optimizer": {"kind": "ssbroyden"}}]})
    ward = Ward(experiment, 40)
    ward.train(20, lambda found: False)
    before = ward.trainer
    ward.train(40, lambda found: False)
    assert ward.trainer is not before and ward.trainer.solver is not None and ward.trainer.iteration == 40
    assert ward.experiment.optimizer.kind == ward.doctor.experiment.optimizer.kind == "ssbroyden"
    assert ward.doctor.seen.began >= 30, "what came before says nothing of this phase"
    ward.train(500, lambda found: False)
    assert ward.trainer.iteration == 50, "the last phase ends the run"


def test_rows_that_are_not_made_again_are_kept(tmp_path: Path) -> None:
    first: dict[str, list[dict[str, Any]]] = {
        "ill": [], "well": [{"name": n, "steps": 1, "changed": [], "error": e, "alarms": [], "notes": []}
                            for n, e in (("poisson-c", 0.5), ("heat", None))]}
    write(merged(first, tmp_path), tmp_path)
    again = merged({"ill": [], "well": [{**first["well"][0], "error": 0.25}]}, tmp_path)
    assert [(r["name"], r["error"]) for r in again["well"]] == [("heat", None), ("poisson-c", 0.25)]
    _, page = write(again, tmp_path)
    assert "| poisson-c | 1 | - | 2.50e-01 | none | none |" in page.read_text()
    assert "| heat | 1 | - | broke off |" in page.read_text()


def test_an_unknown_run_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "no-such-run"])
    assert "ill-dead" in capsys.readouterr().err


def test_what_is_examined_exists() -> None:
    assert {case.rule for case in ILL} <= set(RULES)
    assert {case.name for case in ILL} == {name for name in gallery.names() if name.startswith("ill-")}
    assert len(WELL) >= 12
    for name, changes, _ in WELL:
        gallery.load(name).lanes()[0].with_changes(changes)  # raises where it cannot be
    assert checkup.LOOKS >= 3


def test_the_published_results_are_of_these_runs() -> None:
    results = json.loads((RESULTS / "doctor.json").read_text(encoding="utf-8"))
    assert [r["name"] for r in results["ill"]] == [case.name for case in ILL]
    assert [r["name"] for r in results["well"]] == [name for name, _, _ in WELL]
    assert [r["name"] for r in results["held out"]] == [name for name, _, _ in HELD_OUT]
    assert [r["name"] for r in results["second order"]] == [name for name, _, _ in SECOND_ORDER]
    assert sum(r["found"] and r.get("better", False) for r in results["ill"]) >= 8
    assert [r["name"] for r in results["well"] if r["alarms"]] == []
