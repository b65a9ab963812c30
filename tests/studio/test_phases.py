"""Phases as data: what an experiment is in each of them, what cannot be, and where a run stands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.choices import FIRST_ORDER, GAUSS_NEWTON, SECOND_ORDER
from studio.alterations import in_effect, placed, with_phase
from studio.experiment import Experiment, ExperimentError, override
from studio.findings import Remedy
from studio.messages import Event
from studio.phases import PhaseSpec, Place, kind_of, steps_of
from studio.specs import OptimizerSpec, SamplingSpec
from studio.table_runs import digest
from tests.studio.samples import POISSON

PLAIN = Experiment.from_toml(POISSON).lanes()[0].with_changes({"training.steps": 20})


def with_phases(*phases: dict[str, Any], **changes: object) -> Experiment:
    rows = {"phases": [dict(phase) for phase in phases]}
    return PLAIN.with_changes({**rows, **{k.replace("__", "."): v for k, v in changes.items()}})


def problems(**changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(ExperimentError) as error:
        PLAIN.with_changes({k.replace("__", "."): v for k, v in changes.items()})
    return error.value.problems


def test_an_experiment_without_phases_is_what_it_was() -> None:
    assert PLAIN.phases == () and PLAIN.total_steps == 20 and PLAIN.in_phase(0) == PLAIN
    assert digest(PLAIN) == digest(PLAIN.with_changes({"phases": []}))
    assert Experiment.from_toml(PLAIN.to_toml()) == PLAIN


def test_a_phase_that_says_nothing_is_the_best_method_in_float64_on_points_that_stay() -> None:
    now = with_phases({}).in_phase(1)
    assert now.optimizer.kind == "auto" and now.training.precision == "float64" and now.training.steps == 5000
    assert (now.sampling.kind, now.sampling.every) == ("sobol", 0)
    assert now.balancing.rule == "fixed" and now.phases == () and now.compare == ()
    assert type(now.optimizer) is OptimizerSpec and type(now.sampling) is SamplingSpec
    assert with_phases({"optimizer": {"damping": 1.0}}).in_phase(1).optimizer.kind == "auto"


def test_what_a_phase_does_not_say_goes_on_from_the_one_before() -> None:
    whole = with_phases(
        {"points": 64, "condition_points": 8, "precision": "float32", "weights": {"boundary": 100.0}},
        {"precision": "as before", "balancing": "as before", "weights": {"residual": 2.0}},
        balancing__rule="annealing-siam", balancing__points="causal", problem__domain={"t": [-1.0, 1.0]},
        problem__residuals=[{"name": "ode", "equation": "u_tt + k", "points": 16}],
        problem__exact={"u": "k*(1 - t**2)/2"})
    one, two = whole.in_phase(1), whole.in_phase(2)
    for now in (one, two):
        assert [r.points for r in now.problem.residuals] == [64]
        assert [c.points for c in now.problem.conditions] == [8]
        assert now.training.precision == "float32" and now.balancing.points == "equal"
    assert one.balancing.rule == "fixed", "the weights are held"
    assert two.balancing.rule == "fixed", "as before is as in the phase before, where they were held"
    assert two.balancing.weights == {"boundary": 100.0, "residual": 2.0}
    assert whole.in_phase(0).balancing.points == "causal"
    kept = with_phases({"optimizer": {"kind": "adam"}, "balancing": "as before"}, balancing__rule="annealing-siam",
                       balancing__direction="config").in_phase(1)
    assert kept.balancing.rule == "annealing-siam" and kept.balancing.direction == "config"
    with pytest.raises(IndexError, match="there is no phase 4; there are 3"):
        whole.in_phase(3)


def test_points_that_stay_after_some_that_were_drawn_anew_are_enough() -> None:
    def counts(phase: dict[str, Any], number: int = 1, **changes: Any) -> tuple[list[int], list[int]]:
        now = with_phases(*[phase] * number, **changes).in_phase(number).problem
        return [r.points for r in now.residuals], [c.points for c in now.conditions]

    plane = {"problem__domain": {"x": [-1.0, 1.0], "t": [0.0, 1.0]}, "sampling__every": 1,
             "problem__residuals": [{"name": "a", "equation": "u_xx + k", "points": 16},
                                    {"name": "b", "equation": "u_t", "points": 9_000}],
             "problem__conditions": [{"name": "c", "on": "boundary", "equation": "u = 0", "points": 3}],
             "problem__exact": {}}
    assert counts({}, **plane) == ([2_000, 9_000], [200])
    assert counts({}, 2, **plane) == ([2_000, 9_000], [200]), "and as many in the phase after it"
    assert counts({"sampling": {"every": 1}}, **plane) == ([16, 9_000], [3]), "drawn anew again and again"
    assert counts({}, **{**plane, "sampling__every": 0}) == ([16, 9_000], [3]), "they stayed before, and were meant"
    assert counts({"points": 64, "condition_points": 5}, **plane) == ([64, 64], [5]), "what is said holds"
    line = with_phases({}, problem__residuals=[{"name": "ode", "equation": "u_xx + k", "points": 16}]).in_phase(1)
    assert [c.points for c in line.problem.conditions] == [c.points for c in PLAIN.problem.conditions], (
        "an end of an interval is one point")


def test_all_phases_count() -> None:
    whole = with_phases({"steps": 5}, {"steps": 7, "optimizer": {"kind": "lbfgs"}})
    assert whole.total_steps == 32
    assert [steps_of(whole, k) for k in range(3)] == [20, 5, 7]
    assert [kind_of(whole, k) for k in range(3)] == ["adam", "auto", "lbfgs"]
    assert Place(1, 13).end(whole) == 18 and Place(1, 13).total(whole) == 25, "the first phase ended early"
    assert Place().total(whole) == 32 and Place(2, 25).total(whole) == 32


@given(st.builds(Place, st.integers(0, 12), st.integers(0, 10**9), st.floats(0, 1e9), st.sampled_from(
    ("", *SECOND_ORDER))))
def test_a_place_survives_a_checkpoint(place: Place) -> None:
    assert Place.from_meta({"iteration": 1, **place.to_meta()}) == place


def test_a_checkpoint_without_phases_is_one_of_the_first_and_a_damaged_one_is_refused() -> None:
    assert Place.from_meta({}) == Place() and Place().to_meta() == {}
    for damaged in ([1, 2], [-1, 0, 0.0, ""], "first", None):
        with pytest.raises(ValueError, match="does not say in which phase"):
            Place.from_meta({"place": damaged})


def test_constants_of_a_phase_are_its_own_only() -> None:
    whole = with_phases({"constants": {"k": 0.5}}, {})
    own = PLAIN.problem.constants
    assert "k" in own and own["k"] != 0.5
    assert [whole.in_phase(k).problem.constants["k"] for k in range(3)] == [own["k"], 0.5, own["k"]]
    assert whole.in_phase(1).problem.constants.keys() == own.keys()
    assert Experiment.from_toml(whole.to_toml()) == whole and digest(whole) != digest(with_phases({}, {}))
    assert problems(phases=[{}, {"constants": {"Re": 100.0}}]) == [
        ("phases.1.constants", f"the problem has no constant 'Re'; it has {', '.join(own)}")]
    assert problems(phases=[{"constants": {"k": "much"}}])[0][0].startswith("phases.0.constants")


def test_the_file_has_them_and_the_digest_too() -> None:
    whole = with_phases({"optimizer": {"kind": "levenberg-marquardt"}, "points": 100}, {})
    assert Experiment.from_toml(whole.to_toml()) == whole
    marks = {digest(e) for e in (PLAIN, with_phases({}), with_phases({}, {}), with_phases({"points": 3}), whole)}
    assert len(marks) == 5


def test_wrong_phases_are_told_with_their_place() -> None:
    assert problems(phases=[{}, {"weights": {"wall": 1.0}}]) == [
        ("phases.1.weights", "there is no loss term 'wall'; the terms are residual, boundary")]
    assert problems(phases=[{"weights": {"boundary": -1.0}}])[0][0] == "phases.0.weights"
    nothing = "every loss term (residual, boundary) has weight 0, so nothing would be learned"
    for changes, place in (({"phases": [{}, {"weights": {"residual": 0.0, "boundary": 0.0}}]}, "phases.1.weights"),
                           ({"balancing__weights": {"boundary": 0.0}, "phases": [{}, {"weights": {"residual": 0.0}}]},
                            "phases.1.weights"),  # laid over those of before
                           ({"phases": [{"weights": {"boundary": 0.0}}, {"weights": {"residual": 0.0}}]},
                            "phases.1.weights")):
        (path, sentence), = problems(**changes)
        assert path == place and nothing in sentence
    assert with_phases({"weights": {"boundary": 0.0}}, {"weights": {"residual": 0.0, "boundary": 1.0}})
    assert problems(phases=[{"optimizer": {"kind": "newton"}}])[0][0] == "phases.0.optimizer.kind"
    assert problems(phases=[{"steps": 0}]) == [("phases.0.steps", "0 is not possible; it must be at least 1")]
    assert problems(phases=[{}] * 13) == [("phases", "these are 13; at most 12 are possible")]
    assert problems(balancing__points="self-adaptive", sampling__every=0, phases=[
        {"optimizer": {"kind": "adam"}, "sampling": {"every": 5}}])[0][0] == "phases.0.sampling.every"


@pytest.mark.parametrize("kind", [k for k in ("soap", *SECOND_ORDER) if k not in FIRST_ORDER])
def test_a_method_of_the_whole_loss_wants_a_sum_over_equal_points(kind: str) -> None:
    assert problems(optimizer__kind=kind, balancing__direction="config")[0][0] == "balancing.direction"
    assert problems(optimizer__kind=kind, balancing__points="residual-attention", sampling__every=0)[0] == (
        "balancing.points", f"{kind} works on the loss as a whole, whose points are equal; take adam, or "
                            "balancing.points = 'equal'")
    assert PLAIN.with_changes({"optimizer.kind": kind}).optimizer.kind == kind


def test_kinds_are_of_one_order_or_the_other() -> None:
    assert not {*FIRST_ORDER} & {*SECOND_ORDER} and {*GAUSS_NEWTON} < {*SECOND_ORDER}


# ------------------------------------------------------------------ changes while it trains

def test_paths_lead_into_rows() -> None:
    data = {"rows": [{"a": 1}, {"a": 2}], "numbers": [1, 2]}
    assert override(data, {"rows.1.a": 3, "numbers.0": 5}) == {"rows": [{"a": 1}, {"a": 3}], "numbers": [5, 2]}
    assert data == {"rows": [{"a": 1}, {"a": 2}], "numbers": [1, 2]}
    for path, words in (("rows.2.a", "there is no row '2'; the rows are 0 to 1"), ("rows.x", "there is no row 'x'"),
                        ("numbers.0.a", "'0' is not a table")):
        with pytest.raises(ExperimentError, match=words):
            override(data, {path: 0})
    with pytest.raises(ExperimentError, match="there are none"):
        override({"rows": []}, {"rows.0": 0})


def test_a_change_is_made_to_the_phase_that_the_run_is_in() -> None:
    changes = {"optimizer.clip": 1.0, "sampling.every": 5, "training.steps": 500, "training.precision": "float32",
               "balancing.weights.boundary": 3.0, "balancing.rule": "ntk", "network.slopes": "layer"}
    remedy = Remedy(text="Mend it", changes=changes)
    assert placed(remedy, Place()) is remedy
    whole = with_phases({}, {}, {})
    found = placed(remedy, Place(2, 320))
    assert found.changes == {
        "phases.1.optimizer.clip": 1.0, "phases.1.sampling.every": 5, "phases.1.steps": 180,
        "phases.1.precision": "float32", "phases.1.weights.boundary": 3.0, "balancing.rule": "ntk",
        "phases.0.balancing": "as before", "phases.1.balancing": "as before", "network.slopes": "layer"}
    now = whole.with_changes(found.changes).in_phase(2)
    assert now.optimizer.clip == 1.0 and now.balancing.rule == "ntk" and now.training.precision == "float32"
    assert now.balancing.weights == {"boundary": 3.0} and now.training.steps == 180 and now.sampling.every == 5


def test_a_phase_is_put_after_the_present_one_and_taken_back() -> None:
    whole = with_phases({"steps": 1}, {"steps": 2})
    remedy = with_phase(whole, Place(1, 20), PhaseSpec.model_validate({"steps": 9}))
    assert [p.steps for p in whole.with_changes(remedy.changes).phases] == [1, 9, 2]
    change = Event(step=21, kind="change", text="", value=json.dumps({"changes": dict(remedy.changes)}))
    assert [p.steps for p in in_effect(whole, [change]).phases] == [1, 9, 2]
    assert in_effect(whole, [change, Event(step=22, kind="undo", text="")]) == whole
