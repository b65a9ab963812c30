"""From an experiment to its trainer; and whatever somebody may think of: a sentence at its place, or it works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.architecture import Architecture
from core.optimizers import Adam, Decay, GradientDescent
from core.pointwise import PointWeights
from core.problem import ProblemError
from studio import build
from studio.build import build_fields, build_objective, build_trainer, check_files
from studio.exact_check import check_exact
from studio.experiment import Experiment, ExperimentError, load_experiment
from studio.gallery import load
from tests.core.samples import experiment, grid_file, residual


def test_every_setting_arrives() -> None:
    e = experiment(
        {"domain": {"x": [0.0, 1.0], "t": [0.0, 1.0]}, "residuals": residual("u_t")},
        optimizer={"kind": "gd", "learning_rate": 0.2, "weight_decay": 0.3, "decay": "cosine", "decay_rate": 0.5,
                   "decay_steps": 7},
        balancing={"rule": "relobralo", "interval": 3, "rate": 0.4, "floor": 1e-3, "temperature": 0.7, "memory": 0.6,
                   "points": "causal", "points_rate": 0.05, "points_decay": 0.8, "chunks": 5, "epsilon": 0.3,
                   "weights": {"boundary": 4.0}},
        sampling={"kind": "rad", "every": 9, "candidates": 77, "exponent": 2.0, "offset": 0.5},
        training={"steps": 123, "seed": 5, "precision": "float32"})
    trainer = build_trainer(e)
    assert trainer.optimizer == GradientDescent(0.3)
    assert trainer.decay == Decay(0.5, 7, "cosine", 123) and trainer.learning_rate == 0.2
    b = trainer.balancing
    assert (b.rule, b.interval, b.rate, b.floor, b.temperature, b.rho) == ("relobralo", 3, 0.4, 1e-3, 0.7, 0.6)
    assert trainer.point_weights == PointWeights("causal", 0.05, 0.8, 5, 0.3)
    s = trainer.sampler.spec
    assert (s.kind, s.every, s.candidates, s.exponent, s.offset) == ("rad", 9, 77, 2.0, 0.5)
    assert trainer.weights.tolist() == [1, 4] and trainer.theta.dtype == torch.float32
    assert trainer.generator.initial_seed() == 5
    o = build_trainer(experiment(optimizer={"beta1": 0.5, "beta2": 0.6, "epsilon": 1e-4, "weight_decay": 0.1}))
    assert o.optimizer == Adam(0.5, 0.6, 1e-4, 0.1) and o.direction == "sum"
    assert build_trainer(experiment(balancing__direction="pcgrad")).direction == "pcgrad"


def test_networks_of_sub_domains() -> None:
    e = experiment(network={"hidden": [7], "activation": "sin", "slopes": "layer", "slope_scale": 2.0},
                   decomposition={"splits": {"x": [0.5]}, "flux": {"x": "u_x"}, "hidden": [[4, 5], [3]]})
    networks = build_objective(e).networks
    expected = [Architecture(hidden=h, activation="sin", slopes="layer", slope_scale=2.0) for h in ((4, 5), (3,))]
    assert [n.architecture for n in networks] == expected  # type: ignore[attr-defined]
    alike = build_objective(e.with_changes({"decomposition.hidden": []})).networks
    assert [n.architecture.hidden for n in alike] == [(7,), (7,)]  # type: ignore[attr-defined]
    theta = build_trainer(e.with_changes({"decomposition.hidden": []})).theta
    assert not torch.equal(theta[: len(theta) // 2], theta[len(theta) // 2:]), "each starts with its own weights"


def test_a_period_is_the_domain_s_length_in_its_own_units() -> None:
    e = experiment({"domain": {"x": [0.0, 5.0], "y": [0.0, 1.0]}, "periodic": ["x"], "conditions": []})
    trainer = build_trainer(e)
    x = torch.tensor([[0.0, 0.3], [5.0, 0.3], [1.0, 0.3]], dtype=torch.float64)
    values = trainer.objective.values(trainer.theta, x, trainer.objective.blocks[0].equations, fields=True)[0]
    assert float(values[0]) == pytest.approx(float(values[1]), abs=1e-12)
    assert abs(float(values[0] - values[2])) > 1e-3


def test_an_unknown_may_have_the_name_of_a_network_s_number() -> None:
    trainer = build_trainer(experiment({"unknowns": {"slope": 3.0}, "residuals": residual("u_x = slope")},
                                       network={"hidden": [4], "slopes": "global", "recovery": "paper"}))
    assert trainer.readings() == pytest.approx({"slope": 3.0, "network slope": 1.0, "S(a)": np.exp(-1)})


# ---------------------------------------------------------------------- files of observations

def observing(**more: Any) -> dict[str, Any]:
    return {"observations": [{"name": "o", "equation": "u = u_data", **more}]}


def test_observations_are_found_beside_the_experiment_or_among_the_program_s(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ours").mkdir()
    grid_file(tmp_path / "ours" / "shipped.npz", u=np.full((5, 4), 2.0))
    grid_file(tmp_path / "mine.npz", u=np.full((5, 4), 3.0))
    monkeypatch.setattr(build, "REFERENCES", tmp_path / "ours")
    monkeypatch.setattr("studio.experiment.REFERENCES", tmp_path / "ours")
    for file, value in (("shipped.npz", 2.0), ("mine.npz", 3.0)):
        (tmp_path / "e.toml").write_text(experiment(observing(file=file)).to_toml(), encoding="utf-8")
        block = next(b for b in build_objective(load_experiment(tmp_path / "e.toml")).blocks if b.data)
        assert (block.data["u_data"] == value).all()
    with pytest.raises(ExperimentError, match=r"problem\.observations\.0\.file: there is no file"):
        (tmp_path / "e.toml").write_text(experiment(observing(file="none.npz")).to_toml(), encoding="utf-8")
        load_experiment(tmp_path / "e.toml")


def test_an_observation_takes_the_reference_where_it_names_no_file(tmp_path: Path) -> None:
    e = experiment({**observing(points=3), "reference": grid_file(tmp_path / "r.npz")})
    block = next(b for b in build_objective(e).blocks if b.data)
    assert block.stop - block.start == 3
    assert len(build_fields(e, build_trainer(e)).slice.axes[0]) == 5


@pytest.mark.parametrize(("more", "path", "sentence"), [
    ({"file": "none.npz"}, "observations.0.file", "there is no file"),
    ({"equation": "u = w_data", "columns": ["w"]}, "observations.0.equation", "the equation uses w_data, but"),
    ({"points": 21}, "observations.0.points", "holds 20 points; 21 are too many"),
])
def test_what_only_the_file_can_tell(more: dict[str, Any], path: str, sentence: str, tmp_path: Path) -> None:
    e = experiment(observing(**{"file": grid_file(tmp_path / "d.npz"), **more}))
    with pytest.raises(ProblemError) as caught:
        build_objective(e)
    assert caught.value.path == path and sentence in str(caught.value)


def test_a_column_that_is_not_used_need_not_be_there(tmp_path: Path) -> None:
    constant = experiment({**observing(file=grid_file(tmp_path / "d.npz"), equation="u = c_data*u_data"),
                           "constants": {"c_data": 2.0}, "quantities": {"s": "u_x"}})
    build_trainer(constant).step()


# ---------------------------------------------------------------------- what does not go together

@pytest.mark.parametrize(("problem", "changes", "sentence"), [
    ({}, {"sampling__kind": "grid"}, "a grid on 2 axes has m^2 points, and 7 of the interior is no such number"),
    ({}, {"sampling__kind": "rad", "sampling__candidates": 4}, "give at least 7 candidates"),
    ({"shape": "ball"}, {"sampling__kind": "grid"}, "a grid fits a box"),
    ({"averages": {"m": "u"}, "residuals": residual("u_xx - m")}, {"sampling__kind": "r3"},
     "an average over them is not the average over the domain"),
    ({"residuals": residual("u_x**2", measure="mean")}, {"sampling__kind": "rad"}, "an average over them is not the"),
])
def test_what_cannot_be_trained_is_told_before(problem: dict[str, Any], changes: dict[str, Any],
                                               sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        build_trainer(experiment(problem, **changes))
    assert sentence in str(caught.value)


SUB = {"splits": {"x": [0.5]}, "flux": {"x": "u_x"}}


@pytest.mark.parametrize(("problem", "changes", "path"), [
    ({"hard": {"u": "x*u_x"}}, {}, "problem.hard.u"),
    ({"averages": {"m": "u"}, "residuals": residual("u - m"), "conditions": [
        {"name": "c", "equation": "u = m"}]}, {}, "problem.conditions.0.equation"),
    ({"unknowns": {"u_data": 1.0}, **observing(file="d.npz", equation="u = u_data")}, {}, "problem.observations.0"),
    (observing(), {}, "problem.observations.0.file"),
    ({"residuals": []}, {}, "problem.residuals"),
    ({"unknowns": {"a": 1.0}}, {}, "problem.unknowns.a"),
    ({"truth": {"a": 1.0}}, {}, "problem.truth.a"),
    ({"exact": {"u": "u"}}, {}, "problem.exact.u"),
    ({"periodic": ["x"], "conditions": []}, {"decomposition": SUB}, "decomposition.splits"),
    ({"shape": "ball", "conditions": [{"name": "c", "on": "x = 0", "equation": "u"}]}, {}, "problem.conditions.0.on"),
    ({"shape": "cube"}, {}, "problem.shape"),
    ({}, {"decomposition": {"splits": {"z": [0.5]}, "flux": {"z": "u"}}}, "decomposition.splits.z"),
    ({}, {"decomposition": {**SUB, "flux": {"x": "u_x", "z": "u"}}}, "decomposition.flux.z"),
    ({}, {"decomposition": {**SUB, "points": [0, 3]}}, "decomposition.points.0"),
    ({}, {"decomposition": {**SUB, "points": [-1, 3]}}, "decomposition.points.0"),
    ({}, {"decomposition": {"splits": {"x": []}}}, "decomposition.splits"),
    ({"domain": {"x": [0.0, 1e-310], "y": [0.0, float("inf")]}}, {}, "problem.domain.y.1"),
    ({"unknowns": {"a": float("nan")}}, {}, "problem.unknowns.a"),
])
def test_a_mistake_is_told_at_its_place(problem: dict[str, Any], changes: dict[str, Any], path: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        experiment(problem, **changes)
    assert caught.value.problems[0][0] == path and len(caught.value.problems[0][1]) > 20


def used(e: Experiment) -> None:
    """All that happens to an experiment: written, read, trained, looked at."""
    assert Experiment.from_toml(e.to_toml()) == e
    e.build_problem().latex()
    trainer = build_trainer(e)
    for _ in range(2):
        losses = trainer.step()
    assert len(losses) == len(trainer.terms) == len(e.terms) and np.isfinite(losses).all()
    trainer.term_gradients()
    fields = build_fields(e, trainer)
    frame = fields.observe(trainer)
    assert set(e.problem.fields) <= set(frame.prediction)
    assert all(value >= 0 for value in fields.relative_l2(trainer).values())
    fields.readings(trainer)
    trainer.readings()
    check_exact(e, points=5)


LINE = {"domain": {"x": [0.0, 1.0]}, "residuals": residual("u_xx = 1")}
WORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "one input": (LINE, {}),
    "one input, all points alike on its faces": (LINE, {"sampling__kind": "sobol", "balancing__rule": "ntk"}),
    "one input, hard": ({**LINE, "hard": {"u": "x*(1 - x)*u"}, "conditions": []}, {}),
    "one input, a ball": ({**LINE, "shape": "ball", "exact": {"u": "x*(x - 1)/2"}}, {}),
    "one input, sub-domains": (LINE, {"decomposition": {"splits": {"x": [0.2, 0.5]}, "flux": {"x": "u_x"}}}),
    "a constant solution": ({"exact": {"u": "2"}, "residuals": residual("u_xx"), "homogeneous": True}, {}),
    "a solution of zero": ({"exact": {"u": "0"}}, {}),
    "no conditions": ({"conditions": []}, {"balancing__rule": "annealing-siam"}),
    "a constraint and a condition on one edge": ({"hard": {"u": "x*u"}}, {"balancing__rule": "gradient-norm"}),
    "a network without a say": ({"hard": {"u": "0*u + x"}}, {}),
    "a weight of zero": ({}, {"balancing": {"weights": {"boundary": 0.0}, "rule": "ntk"}}),
    "a ball and a gradient": ({"shape": "ball", "conditions": [{"name": "c", "equation": "x*u_x + y*u_y = u"}]}, {}),
    "a ball far away": ({"shape": "ball", "domain": {"x": [99.0, 100.0], "y": [-5.0, -4.0]}}, {"sampling__kind": "r3"}),
    "ten inputs": ({"domain": {f"x{k}": [0.0, 1.0] for k in range(1, 11)}, "shape": "ball",
                    "residuals": residual(" + ".join(f"u_x{k}x{k}" for k in range(1, 11))), "exact": {"u": "x1"},
                    "conditions": [{"name": "c", "equation": "u = x1"}]}, {}),
    "periodic in everything": ({"periodic": ["x", "y"], "conditions": []}, {"sampling__kind": "halton"}),
    "an average that nothing but a reading uses": ({"averages": {"m": "u**2"}, "readings": {"r": "1/m"}}, {}),
    "an equation of averages alone": ({"averages": {"m": "u**2"}, "residuals": residual("m = 1")}, {}),
    "fourth order on the boundary": ({"conditions": [{"name": "c", "equation": "u_xxxx = u_y"}]}, {}),
    "a residual of values only": ({"residuals": residual("u**2 - x")}, {"balancing__direction": "config"}),
    "a condition with blanks": ({"conditions": [{"name": "c", "on": " boundary", "equation": "u"}]}, {}),
    "sub-domains and fluxes of several orders": ({}, {"decomposition": {
        "splits": {"x": [0.3], "y": [0.5]}, "flux": {"x": "u", "y": "u_yy"}}, "balancing__rule": "inverse-dirichlet"}),
    "a flux that nothing needs": ({}, {"decomposition": {**SUB, "flux": {"x": "u_x", "y": "u_y"}}}),
}


@pytest.mark.parametrize("case", WORKS)
def test_unusual_things_that_work(case: str) -> None:
    problem, changes = WORKS[case]
    used(experiment(problem, diagnostics__grid=4, network__hidden=[4], **changes))


@pytest.mark.parametrize("rule", ["fixed", "annealing-siam", "gradient-norm", "ntk", "relobralo", "inverse-dirichlet"])
@pytest.mark.parametrize("kind", ["uniform", "sobol", "grid", "rad", "r3"])
def test_only_observations(rule: str, kind: str, tmp_path: Path) -> None:
    used(experiment({"residuals": [], "conditions": [], **observing(file=grid_file(tmp_path / "d.npz"))},
                    balancing__rule=rule, sampling__kind=kind, diagnostics__grid=4))


def test_sub_domains_of_which_one_observes_nothing(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=[0.1, 0.5], y=[0.1, 0.1], u=[1.0, 2.0])
    used(experiment(observing(file=str(tmp_path / "d.npz")), decomposition={**SUB, "interface_points": 1},
                    diagnostics__grid=4))


def test_files_are_checked_before_anything_is_trained(tmp_path: Path) -> None:
    """What a run would refuse, `main.py check` refuses with the same sentence."""
    axis = np.linspace(-1, 1, 5)
    np.savez(tmp_path / "bad.npz", x=axis, y=axis, u=np.full((5, 4), 1.0))
    e = load("helmholtz-m1").with_changes({"problem.exact": {}, "problem.conditions": [],
                                           "problem.reference": str(tmp_path / "bad.npz")})
    with pytest.raises(ProblemError, match=r"'u' has shape \(5, 4\), the axes x, y ask for \(5, 5\)"):
        check_files(e)
