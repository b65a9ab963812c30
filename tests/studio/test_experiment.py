"""Experiments as data: the round trip through TOML, and a sentence with its place for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.problem import Problem
from studio.build import build_trainer, check_exact
from studio.experiment import Experiment, ExperimentError, load_experiment
from studio.gallery import DEFAULT, describe, load, merge, names


@pytest.mark.parametrize("name", names())
def test_every_gallery_experiment_builds_and_survives_toml(name: str) -> None:
    e = load(name)
    assert Experiment.from_toml(e.to_toml()) == e
    assert e.title == describe(name)
    assert e.look.endswith(".")
    for lane in e.lanes():
        assert isinstance(lane.problem.build(), Problem)
        build_trainer(lane).step()


@pytest.mark.parametrize("name", names())
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
    ({"network.hidden": []}, "network.hidden", "at least 1"),
    ({"network.width": 5}, "network.width", "not known"),
    ({"optimizer.learning_rate": -1}, "optimizer.learning_rate", "more than 0"),
    ({"optimizer.learning_rate": float("nan")}, "optimizer.learning_rate", "not a finite number"),
    ({"training.steps": 0}, "training.steps", "at least 1"),
    ({"training.seed": -3}, "training.seed", "at least 0"),
    ({"balancing.rule": "anneal"}, "balancing.rule", "is not one of"),
    ({"balancing.weights": {"edge": 2.0}}, "balancing.weights", "no loss term 'edge'"),
    ({"balancing.weights": {"boundary": -2.0}}, "balancing.weights", "zero or positive"),
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


def test_an_unknown_gallery_name_gets_a_suggestion() -> None:
    with pytest.raises(ExperimentError, match="did you mean 'helmholtz-m1'"):
        load("helmholz-m1")


def test_merging_tables() -> None:
    assert merge({"a": {"b": 1, "c": [1, 2]}, "d": 3}, {"a": {"c": [4]}, "e": 5}) == {
        "a": {"b": 1, "c": [4]}, "d": 3, "e": 5}
