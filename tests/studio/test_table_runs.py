"""The runs behind a table: which belong to it, what is read of them, and the file that keeps them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from core.frames import ScalarsFrame
from studio.experiment import Experiment
from studio.table_runs import (
    RESULTS,
    Job,
    Need,
    ResultError,
    Results,
    Wanted,
    _value,
    digest,
    plan_of,
    result_path,
)
from studio.verdicts import done_cells, measure, measured_text, write
from tests.studio.samples import POISSON
from tests.studio.table_samples import (
    FakeRuns,
    cell,
    data,
    diverged,
    failed,
    forget,
    make,
    plan_for,
    record,
    small_gallery,
)

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.usefixtures("small_tables")


# ------------------------------------------------------------------ digests


def test_the_digest_is_of_what_decides_the_numbers() -> None:
    base = Experiment.from_toml(POISSON).lanes()[0]
    same = base.with_changes({
        "title": "Other words", "name": "other", "label": "other", "training.seed": 3, "training.threads": 2,
        "training.engine": "eager", "diagnostics.error_every": 50, "problem.name": "Another name"})
    assert digest(same) == digest(base)
    assert digest(base.with_changes({"optimizer.beta1": 0.9, "problem.definitions": {}})) == digest(base)  # defaults
    assert digest(Experiment.from_toml(base.to_toml())) == digest(base)
    others = [{"training.steps": 7}, {"network.hidden": [8, 9]}, {"problem.constants.k": 3.0}, {"diagnostics.grid": 30},
              {"training.precision": "float64"}, {"balancing.rule": "annealing-siam"}, {"optimizer.beta1": 0.8}]
    assert len({digest(base), *(digest(base.with_changes(change)) for change in others)}) == len(others) + 1


def test_a_reference_counts_by_its_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio import table_runs

    monkeypatch.setattr(table_runs, "REFERENCES", tmp_path)
    base = Experiment.from_toml(POISSON).lanes()[0].with_changes({"problem.exact": {}, "problem.conditions": [
        {"name": "wall", "equation": "u = 0"}], "problem.reference": "a.npz"})
    (tmp_path / "a.npz").write_bytes(b"one")
    first = digest(base)
    (tmp_path / "a.npz").write_bytes(b"two")
    assert digest(base) != first
    (tmp_path / "b.npz").write_bytes(b"one")
    assert digest(base.with_changes({"problem.reference": "b.npz"})) == first


def test_runs_made_before_there_was_this_command_still_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 runs of Helmholtz with 3 layers of 50, 10 seeds; fails where the gallery or the digest makes them stale."""
    monkeypatch.undo()
    forget()
    plan = plan_of("helmholtz")
    measured = measure(plan, Results.read(result_path("helmholtz")))
    means = {column: measured[f"50 x 3 / {column}"] for column in plan.table.columns}
    assert min(one.n for one in means.values()) >= 10
    if all(one.n == 10 for one in means.values()):
        assert [measured_text(one) for one in means.values()] == [
            "1.90e-01 ± 3.6e-02 (10)", "2.42e-02 ± 1.1e-02 (10)", "2.50e-02 ± 5.8e-03 (10)", "5.83e-03 ± 1.2e-03 (10)"]


# ------------------------------------------------------------------ what is read


def frames(*values: float, name: str = "u") -> list[ScalarsFrame]:
    return [ScalarsFrame(step=10 * index, seconds=0.0, losses={}, weights={}, learning_rate=1e-3, relative_l2={},
                         readings={name: value, "nu 1": value, "nu 2": -2 * value})
            for index, value in enumerate(values)]


@pytest.mark.parametrize(("wanted", "value"), [
    (Wanted("readings.a"), 0.5), (Wanted("readings.a", at=10), 2.0), (Wanted("readings.a", at=15), None),
    (Wanted("readings.b"), None), (Wanted("error.a"), 0.75), (Wanted("error.a", at=10), 0.0),
    (Wanted("readings.nu *"), -1.0), (Wanted("readings.a", below=3.0), 0.0), (Wanted("readings.a", below=1.5), 20.0),
    (Wanted("readings.nu *", below=1.5), 30.0), (Wanted("relative_l2.u"), None)])
def test_what_is_read_of_a_run(wanted: Wanted, value: float | None) -> None:
    assert _value(frames(1.0, 2.0, -1.0, 0.5, name="a"), wanted, {"a": 2.0}) == value


def test_what_is_never_below_is_nan() -> None:
    never = _value(frames(1.0, 0.1, 1.0, name="a"), Wanted("readings.a", below=0.5), {})
    assert never is not None and math.isnan(never)
    assert Wanted("readings.a", below=0.5).key == "readings.a below 0.5"


def test_several_runs_are_one_number() -> None:
    assert Need(("a", "b"), Wanted("readings.a"), (3.0, 4.0)).value([3.0, 5.0]) == pytest.approx(1 / 5)
    plan = plan_for(data(cell("all", experiment="inverse", quantity="unknown.a",
                              runs=[{"problem.truth.a": 3.0}, {"problem.truth.a": 4.0}])))
    results = Results(Path("nowhere"))
    first, second = plan.jobs(plan.table.cells, 1)
    results.add(record(first, 3.0))
    assert measure(plan, results)["all"].verdict == "not run yet"
    results.add(record(second, 5.0))
    assert measure(plan, results)["all"].mean == pytest.approx(0.2)
    results.add(diverged(Job(second.task, 1)))
    results.add(record(Job(first.task, 1)))
    assert measure(plan, results)["all"].diverged == 1


# ------------------------------------------------------------------ the result file


def test_a_run_of_an_experiment_that_was_changed_is_stale_and_kept(tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.json"
    make(plan_for(), path, FakeRuns())
    small_gallery(monkeypatch, tmp_path, poisson=POISSON.replace("k = 2.0", "k = 3.0"))
    plan = plan_for()
    assert done_cells(plan, Results.read(path)) == 0
    run = FakeRuns()
    make(plan, path, run, seeds=1)
    assert len(run.asked) == 2
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert (len(kept["runs"]), len(kept["stale"])) == (2, 4)
    small_gallery(monkeypatch, tmp_path)  # changed back: the old ones count again
    write(plan_for(), Results.read(path))
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert (len(kept["runs"]), len(kept["stale"])) == (4, 2)


def test_what_another_process_has_written_meanwhile_is_kept(tmp_path: Path) -> None:
    path, plan = tmp_path / "r.json", plan_for()
    first, second, *_ = plan.jobs(plan.table.cells, 1)
    mine, theirs = Results.read(path), Results.read(path)
    mine.add(record(first))
    theirs.add(record(second, machine={"processor": "slide rule"}))
    write(plan, mine)
    write(plan, theirs)
    assert len(Results.read(path).records) == 2
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert {kept["machines"][run["machine"]]["processor"] for run in kept["runs"]} == {"abacus", "slide rule"}
    theirs.add(failed(first))  # a failure does not take the place of a result
    write(plan, theirs)
    assert Results.read(path).records[first.task.digest, 0].state == "finished"


def test_the_file_says_everything(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    make(plan_for(), path, FakeRuns())
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert list(kept) == ["table", "title", "source", "rule", "cells", "date", "machines", "runs", "stale"]
    assert kept["cells"][0] == {
        "row": "plain", "column": "100 steps", "experiment": "poisson", "set": {}, "quantity": "relative_l2.u",
        "published": 0.1, "published_spread": 0.02, "more": {"another source": 0.2}, "ours": 0.1, "spread": 0.0,
        "seeds": 2, "diverged": 0, "failed": 0, "steps": 100, "seconds": 2.0, "verdict": "within the spread",
        "values": {"0": 0.1, "1": 0.1}}
    assert kept["runs"][0]["machine"] == 0 and kept["runs"][0]["seconds"] == 2.0
    fast = plan_for(fast=True)
    make(fast, result_path("small", fast=True, folder=tmp_path), FakeRuns())
    shortened = json.loads((tmp_path / "reproduce-small-fast.json").read_text(encoding="utf-8"))
    assert shortened["shortened"] == "Shortened version: its numbers are NOT comparable with the published ones. " \
                                     "400 steps."
    assert {one["verdict"] for one in shortened["cells"]} == {"shortened, not comparable"}
    assert result_path("small") == RESULTS / "reproduce-small.json"


@pytest.mark.parametrize(("text", "words"), [
    ("{", "are damaged: this is not JSON; move the file away to begin anew"), ("[]", "are no results of `reproduce`"),
    ('{"runs": [{"machine": 0}]}', "are no results"), ('{"machines": [{}], "runs": [{"machine": 0, "seed": "x"}]}',
                                                        "are damaged: experiment: this is missing")])
def test_a_damaged_file_is_told_and_left_alone(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(ResultError, match="r.json") as caught:
        Results.read(path)
    assert words in str(caught.value)
    assert path.read_text() == text


def test_a_file_that_cannot_be_written_is_told_and_leaves_no_part(tmp_path: Path) -> None:
    (tmp_path / "r.json").mkdir()
    plan = plan_for()
    results = Results(tmp_path / "r.json")
    with pytest.raises(ResultError, match="cannot be read|cannot be written"):
        write(plan, results)
    with pytest.raises(ResultError, match="cannot be written"):
        Results.write(_Unread(tmp_path / "r.json"), plan, {})
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.json"]


class _Unread(Results):
    def refresh(self) -> None:
        """As if there was nothing."""
