"""Experiments as data: the round trip through TOML, and a sentence with its place for what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from core.activations import ACTIVATIONS
from core.balancing import Balancing
from core.choices import RULES, Activation
from core.problem import Problem
from studio import experiment as experiment_module
from studio.build import build_fields, build_trainer
from studio.exact_check import check_exact
from studio.experiment import Experiment, ExperimentError, load_experiment
from studio.gallery import DEFAULT, describe, load, merge, names
from tests.studio.samples import POISSON


@pytest.mark.parametrize("name", names())
def test_every_gallery_experiment_builds_and_survives_toml(name: str) -> None:
    e = load(name)
    assert Experiment.from_toml(e.to_toml()) == e
    assert e.title == describe(name)
    assert e.look.endswith(".")
    for lane in e.lanes():
        assert isinstance(lane.problem.build(), Problem)
        build_trainer(lane).step()


@pytest.mark.parametrize("name", sorted({*names()} - {"ill-inconsistent-condition"}))  # which shows what is wrong then
def test_exact_solutions_satisfy_their_equations(name: str) -> None:
    for sentence in check_exact(load(name)):
        assert "DOES NOT" not in sentence


def test_a_wrong_exact_solution_is_noticed() -> None:
    rows = check_exact(load("helmholtz-m1").with_changes({"problem.exact": {"u": "sin(a1*pi*x)*sin(3*pi*y)"}}))
    assert "DOES NOT satisfy 'Helmholtz'" in rows[0]
    assert "satisfies 'edges'" in rows[1], "the condition is written with the exact solution, so it holds all the same"
    rows = check_exact(load("helmholtz-m1").with_changes({"problem.exact": {}, "problem.conditions": []}))
    assert "nothing can be checked" in rows[0]


def test_the_default_compares_fixed_with_annealed_weights() -> None:
    m1, m2 = load(DEFAULT).lanes()
    assert (m1.label, m1.balancing.rule) == ("M1", "fixed")
    assert (m2.label, m2.balancing.rule) == ("M2", "annealing-siam")
    assert m1.compare == m2.compare == ()


@pytest.mark.parametrize(("change", "path", "sentence"), [
    ({"network.hidden": [0]}, "network.hidden", "width 0"),
    ({"network.raf": "assigned", "network.raf_blocks": [1, 2]}, "network.raf_blocks", "do not share the 50 neurons"),
    ({"network.recovery": "paper"}, "network.recovery", "this network has none"),
    ({"network.hidden": []}, "network.hidden", "there is nothing here; at least 1 is needed"),
    ({"network.hidden": "fifty"}, "network.hidden", "'fifty' is not a list"),
    ({"network": 3}, "network", "3 is not a table"),
    ({"training.steps": 1.5}, "training.steps", "1.5 is not a whole number"),
    ({"problem.name": ""}, "problem.name", "this is empty"),
    ({"name": "a b"}, "name", "is no name; a name is letters"),
    ({"network.kind": "gated", "network.hidden": [8, 9]}, "network.hidden", "all hidden widths must be equal"),
    ({"network.width": 5}, "network.width", "not known"),
    ({"optimizer.learning_rate": -1}, "optimizer.learning_rate", "more than 0"),
    ({"optimizer.learning_rate": float("nan")}, "optimizer.learning_rate", "not a finite number"),
    ({"training.steps": 0}, "training.steps", "at least 1"),
    ({"training.seed": -3}, "training.seed", "at least 0"),
    ({"training.seed": 2**40}, "training.seed",
     "1,099,511,627,776 is not possible; it must be at most 2,147,483,647"),
    ({"phases": [{"seconds": -1.0}]}, "phases.0.seconds", "-1 is not possible; it must be at least 0"),
    ({"phases": [{"seconds": 1e10}]}, "phases.0.seconds",
     "10,000,000,000 is not possible; it must be at most 1,000,000,000"),
    ({"optimizer.clip": 1e99}, "optimizer.clip", "1e99 is not possible; it must be at most 1,000,000,000,000"),
    ({"optimizer.beta1": -0.25}, "optimizer.beta1", "-0.25 is not possible; it must be at least 0"),
    ({"balancing.rule": "anneal"}, "balancing.rule", "is not one of"),
    ({"balancing.weights": {"edge": 2.0}}, "balancing.weights", "no loss term 'edge'"),
    ({"balancing.weights": {"boundary": -2.0}}, "balancing.weights", "zero or positive"),
    ({"balancing.weights": {"residual": 0.0, "boundary": 0.0}}, "balancing.weights",
     "every loss term (residual, boundary) has weight 0, so nothing would be learned"),
    ({"name": "../x"}, "name", ""),
    ({"problem.definitions": {"q": "sinn(x)"}}, "problem.definitions.q", "did you mean 'sin'"),
    ({"problem.fields": ["u", "v"]}, "problem.fields.1", "'v' appears in no equation"),
    ({"name.x": 1}, "name.x", "not a table"),
    ({"compare": [{"label": "M2", "set": {"balancing.rule": "nonsense"}}]}, "compare.0",
     "balancing.rule: 'nonsense' is not one of"),
])
def test_what_is_wrong_gets_its_place_and_a_sentence(change: dict[str, object], path: str, sentence: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        load("helmholtz-m1").with_changes(change)
    assert caught.value.problems[0][0] == path
    assert sentence in caught.value.problems[0][1]


@pytest.mark.parametrize("on", ["x = -1 and x = 1", "x = -1, x = 1", "x=-1,x=1", "x = -1, 1", "x = -1 or 1",
                                "x = -1; y = -1", "x = -1 & y = -1", "x = y = 1", "x = \N{PLUS-MINUS SIGN}1"])
def test_a_condition_lies_on_one_face(on: str) -> None:
    condition = {"name": "edges", "on": on, "equation": "u = u_exact"}
    with pytest.raises(ExperimentError) as caught:
        load("helmholtz-m1").with_changes({"problem.conditions": [condition]})
    assert caught.value.problems == [(
        "problem.conditions.0.on", f"'{on}' is more than one face; a condition lies on one, or with 'boundary' on all "
                                   "of them, and another face is another condition")]


@pytest.mark.parametrize(("on", "sentence"), [
    ("x = 0,5", "a decimal point is written '.'"), ("x == -1", "a second '='"), ("-1 <= x <= 1", "unexpected '<'"),
    ("x = 0", "is no face of the domain")])
def test_what_else_is_wrong_with_a_face_is_told_as_such(on: str, sentence: str) -> None:
    condition = {"name": "edges", "on": on, "equation": "u = u_exact"}
    with pytest.raises(ExperimentError, match=sentence):
        load("helmholtz-m1").with_changes({"problem.conditions": [condition]})


def test_one_weight_above_zero_is_enough() -> None:
    assert load("helmholtz-m1").with_changes({"balancing.weights": {"residual": 0.0}})
    slopes = {"network.slopes": "layer", "network.recovery": "paper"}
    with pytest.raises(ExperimentError, match="nothing would be learned"):  # slopes alone solve no problem
        load("helmholtz-m1").with_changes({**slopes, "balancing.weights": {"residual": 0.0, "boundary": 0.0}})


def test_what_only_follows_from_another_fault_is_not_said() -> None:
    residual = {"name": "e", "equation": "u_xx + u_yy", "points": -1}
    with pytest.raises(ExperimentError) as caught:
        load("helmholtz-m1").with_changes({"problem.residuals": [residual]})
    assert [path for path, _ in caught.value.problems] == ["problem.residuals.0.points"]


def test_several_faults_are_all_named() -> None:
    with pytest.raises(ExperimentError) as caught:
        load("helmholtz-m1").with_changes({"network.hidden": [0], "training.steps": -1})
    assert [p for p, _ in caught.value.problems] == ["network.hidden", "training.steps"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="no file"):
        load_experiment(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("name = \n")
    with pytest.raises(ExperimentError, match=r"broken\.toml: this is not TOML"):
        load_experiment(tmp_path / "broken.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExperimentError, match="not UTF-8"):
        load_experiment(tmp_path / "binary.toml")
    with pytest.raises(ExperimentError, match="cannot be read"):
        load_experiment(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_may_be_written_by_powershell_or_with_a_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(POISSON, encoding=encoding)
    assert load_experiment(path) == Experiment.from_toml(POISSON)


def test_an_unknown_gallery_name_gets_a_suggestion() -> None:
    with pytest.raises(ExperimentError, match="did you mean 'helmholtz-m1'"):
        load("helmholz-m1")


def test_merging_tables() -> None:
    assert merge({"a": {"b": 1, "c": [1, 2]}, "d": 3}, {"a": {"c": [4]}, "e": 5}) == {
        "a": {"b": 1, "c": [4]}, "d": 3, "e": 5}
    assert merge({"a": {"b": 1}, "d": 3}, {"a": {}}) == {"a": {}, "d": 3}, "an empty table replaces"


def write_experiment(folder: Path, reference: str) -> Path:
    """An experiment's file that names a reference solution."""
    path = folder / "mine.toml"
    path.write_text(f"""
name = "mine"
[problem]
name = "line"
fields = ["u"]
domain = {{ x = [0.0, 1.0] }}
residuals = [{{ name = "line", equation = "u_xx" }}]
reference = "{reference}"
""", encoding="utf-8")
    return path


@pytest.mark.parametrize("absolute", [False, True])
def test_a_reference_lies_beside_the_experiment_s_file(absolute: bool, tmp_path: Path) -> None:
    x = np.linspace(0, 1, 7)
    np.savez(tmp_path / "mine.npz", x=x, u=2 * x)
    experiment = load_experiment(write_experiment(tmp_path, str(tmp_path / "mine.npz") if absolute else "mine.npz"))
    assert Experiment.from_toml(experiment.to_toml()) == experiment, "a run file finds it too"
    trainer = build_trainer(experiment)
    frame = build_fields(experiment, trainer).observe(trainer)
    assert np.array_equal(frame.exact["u"], 2 * x)


def test_a_reference_of_the_program_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "known.npz").write_bytes(b"")
    monkeypatch.setattr(experiment_module, "REFERENCES", tmp_path / "ours")
    assert load_experiment(write_experiment(tmp_path, "known.npz")).problem.reference == "known.npz"


def test_a_reference_that_is_nowhere_is_an_error_at_its_place(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"there is no file .*none\.npz") as caught:
        load_experiment(write_experiment(tmp_path, "none.npz"))
    assert caught.value.problems[0][0] == "problem.reference"


def test_the_choices_are_those_that_are_computed() -> None:
    assert get_args(Activation) == tuple(ACTIVATIONS)
    for rule in RULES:
        assert Balancing(rule).rule == rule


def test_two_equations_of_one_name_are_refused() -> None:
    with pytest.raises(ExperimentError, match="an equation 'a' already") as caught:
        load("helmholtz-m1").with_changes({"problem.residuals": [{"name": "a", "equation": "u_xx"}] * 2})
    assert caught.value.problems[0][0] == "problem.residuals.1.name"
