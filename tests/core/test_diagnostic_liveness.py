"""What is called dead must be, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.diagnostics.activations import ActivationsDiagnostic
from core.diagnostics.conditioning import ConditioningDiagnostic
from core.diagnostics.liveness import LivenessDiagnostic
from core.diagnostics.ntk import NtkDiagnostic
from core.diagnostics.slopes import SlopesDiagnostic
from core.frames import LivenessFrame
from core.optimizers import Adam
from core.trainer import Trainer
from studio.build import build_trainer
from tests.core.samples import experiment, residual, same


def trainer(network: dict[str, Any] | None = None, problem: dict[str, Any] | None = None, **changes: Any) -> Trainer:
    return build_trainer(experiment(problem, network={"hidden": [4, 4], **(network or {})}, **changes))


def steps(t: Trainer, count: int) -> None:
    for _ in range(count):
        t.step()


def states(frame: LivenessFrame) -> dict[str, str]:
    return dict(zip(frame.names, frame.state, strict=True))


def watch(t: Trainer, count: int = 5) -> LivenessFrame:
    d = LivenessDiagnostic()
    d.observe(t)
    steps(t, count)
    return d.observe(t)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("network", [{}, {"kind": "gated", "slopes": "neuron", "slope_scale": 3.0, "recovery": "paper"},
                                     {"raf": "learnable"}, {"raf": "rowdy"}], ids=str)
def test_in_a_healthy_run_all_moves(network: dict[str, Any], precision: str) -> None:
    t = trainer(network, {"residuals": residual("nu*u_xx + u_yy = 1"), "unknowns": {"nu": 0.7}},
                balancing={"rule": "annealing-siam", "interval": 2}, training={"precision": precision, "steps": 9})
    if network.get("raf") == "rowdy":  # its frequencies multiply amplitudes of zero: at first they have no gradient
        dead = {name for name, state in states(LivenessDiagnostic().observe(t)).items() if state != "moves"}
        assert dead == {"hidden 1 rowdy frequencies", "hidden 2 rowdy frequencies"}
        t.step()
    d = LivenessDiagnostic()
    for count in (0, 1, 6):
        steps(t, count)
        frame = d.observe(t)
        assert set(frame.state) == {"moves"}, states(frame)
    assert frame.names == (*(p.name for p in t.objective.parameters), "weight of boundary")
    assert frame.names[-2] == "nu" and frame.sizes.tolist() == [*(p.size for p in t.objective.parameters), 1]


def test_the_numbers_of_a_frame() -> None:
    t = trainer({"slopes": "layer"}, balancing={"rule": "gradient-norm", "interval": 1})
    d = LivenessDiagnostic()
    start, first = t.theta, d.observe(t)
    assert np.isnan(first.moved).all() and (first.since_start == 0).all()
    steps(t, 2)
    second, weights = t.theta, t.weights
    d.observe(t)
    steps(t, 3)
    frame = d.observe(t)
    losses, gradients = t.term_gradients()
    total = sum(float(w) * g for w, g in zip(t.weights, gradients, strict=True))
    assert isinstance(total, Tensor)
    for k, p in enumerate(t.objective.parameters):
        now = t.theta[p.slice]
        assert frame.size[k] == pytest.approx(float(now.square().mean().sqrt()), rel=1e-13)
        assert frame.moved[k] == pytest.approx(float((now - second[p.slice]).norm() / now.norm()), rel=1e-12)
        assert frame.since_start[k] == pytest.approx(float((now - start[p.slice]).norm() / now.norm()), rel=1e-12)
        assert frame.gradient[k] == pytest.approx(float(total[p.slice].norm()), rel=1e-12)
    assert frame.names[-2:] == ("weight of residual", "weight of boundary")
    assert frame.moved[-1] == pytest.approx(abs(float(t.weights[1] - weights[1])) / float(t.weights[1]), rel=1e-12)
    assert frame.size[-2] == pytest.approx(float(t.weights[0])) and np.isnan(frame.gradient[-2:]).all()


@dataclass(frozen=True)
class Forgetful(Adam):
    """An optimizer that some parameters were never given to, as in the libraries' list of slopes."""

    left_out: Sequence[slice] = ()

    def update(self, theta: Tensor, m: Tensor, v: Tensor, gradient: Tensor,
               hyper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        new, m, v = super().update(theta, m, v, gradient, hyper)
        new = new.clone()
        for place in self.left_out:
            new[place] = theta[place]
        return new, m, v


def test_what_is_not_trained_is_found() -> None:
    t = trainer({"slopes": "layer", "slope_scale": 5.0}, {"residuals": residual("nu*u_xx + u_yy = 1"),
                                                          "unknowns": {"nu": 0.7}})
    forgotten = ("hidden 1 slope", "hidden 2 slope", "hidden 2 b", "nu")
    places = [p.slice for p in t.objective.parameters if p.name in forgotten]
    t.optimizer = Forgetful(left_out=places)
    t.engine.optimizer = t.optimizer  # type: ignore[attr-defined]
    frame = watch(t)
    assert {name for name, state in states(frame).items() if state == "not trained"} == set(forgotten)
    assert {state for name, state in states(frame).items() if name not in forgotten} == {"moves"}


def test_a_layer_behind_dead_neurons_has_no_gradient() -> None:
    t = trainer({"activation": "relu"}, {"residuals": residual("u_x = 1"), "conditions": [
        {"name": "edges", "equation": "u = 1"}]})
    theta = t.theta.clone()
    place = next(p.slice for p in t.objective.parameters if p.name == "hidden 2 b")
    theta[place] = -100.0
    t.theta = theta
    found = states(watch(t))
    assert {name for name, state in found.items() if state == "no gradient"} == {
        "hidden 1 W", "hidden 1 b", "hidden 2 W", "hidden 2 b", "output W"}
    assert found["output b"] == "moves"


def test_a_constant_that_only_derivatives_see() -> None:
    found = states(watch(trainer({}, {"residuals": residual("u_x = 1"), "conditions": []})))
    assert found.pop("output b") == "no gradient" and set(found.values()) == {"moves"}


def test_biases_that_start_at_zero() -> None:
    t = trainer()
    d = LivenessDiagnostic()
    first = d.observe(t)
    zero = [k for k, name in enumerate(first.names) if name.endswith(" b")]
    assert (first.size[zero] == 0).all() and set(first.state) == {"moves"}
    t.step()
    frame = d.observe(t)
    np.testing.assert_allclose(frame.moved[zero], 1.0)
    assert np.isfinite(frame.moved).all() and np.isfinite(frame.since_start).all()


def test_a_learning_rate_that_is_lost_in_rounding_is_no_fault_of_the_parameters() -> None:
    """Nothing moves, but nobody forgot to train it."""
    t = trainer({"initial": "torch"}, training={"precision": "float32", "steps": 9})
    steps(t, 3)
    t.set_learning_rate(1e-20)
    assert set(watch(t).state) == {"still"}


def test_little_movement_is_still() -> None:
    t = trainer(optimizer={"kind": "gd", "learning_rate": 1e-12})
    steps(t, 2)
    frame = watch(t, 1)
    assert set(frame.state) == {"moves"} or (frame.moved[[s == "still" for s in frame.state]] < 1e-7).all()
    weights = [state for name, state in states(frame).items() if name.endswith(" W")]
    assert set(weights) == {"still"}


def test_out_of_range() -> None:
    t = trainer({"slopes": "layer", "slope_scale": 10.0},
                {"residuals": residual("nu*u_xx + u_yy = k"), "unknowns": {"nu": 0.5, "k": 4000.0}})
    for name, value, wrong in (("hidden 1 slope", 9.9, False), ("hidden 2 slope", -10.5, True),
                               ("hidden 1 W", 1.1e3, True), ("hidden 2 W", 0.9e3, False), ("nu", 5.1e3, True)):
        d, u = LivenessDiagnostic(), trainer({"slopes": "layer", "slope_scale": 10.0}, {
            "residuals": residual("nu*u_xx + u_yy = k"), "unknowns": {"nu": 0.5, "k": 4000.0}})
        place = next(p.slice for p in u.objective.parameters if p.name == name)
        u.theta = u.theta.index_fill(0, torch.arange(place.start, place.stop), value)
        found = states(d.observe(u))
        assert (found[name] == "out of range") == wrong, (name, found[name])
        assert found["k"] != "out of range"  # it started large
    assert set(states(LivenessDiagnostic().observe(t)).values()) == {"moves"}


def test_what_is_not_finite() -> None:
    t = trainer()
    place = next(p.slice for p in t.objective.parameters if p.name == "output b")
    theta = t.theta.clone()
    theta[place] = math.inf
    t.theta = theta
    frame = LivenessDiagnostic().observe(t)
    assert states(frame)["output b"] == "not finite"


@pytest.mark.parametrize("network", [{"slopes": "neuron", "recovery": "paper"}, {"slopes": "layer", "raf": "assigned"},
                                     {"raf": "learnable"}, {"activation": "relu", "slopes": "global"}], ids=str)
@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e200])
def test_no_look_ends_in_an_error(network: dict[str, Any], bad: float) -> None:
    """Warnings are errors here."""
    t = trainer(network)
    t.theta = t.theta.index_fill(0, torch.arange(0, len(t.theta), 3), bad)
    assert SlopesDiagnostic().observe(t) is not None
    assert ActivationsDiagnostic().observe(t) is not None
    assert NtkDiagnostic(4).observe(t) is not None
    assert set(LivenessDiagnostic().observe(t).state) <= {"not finite", "out of range", "no gradient"}
    conditioning = ConditioningDiagnostic().observe(t)
    assert (conditioning is None) == ("slopes" not in network)
    assert conditioning is None or not math.isfinite(conditioning.kappa)


def test_the_same_step_again_is_no_standstill() -> None:
    t = trainer(balancing={"rule": "gradient-norm", "interval": 1})
    d = LivenessDiagnostic()
    d.observe(t)
    steps(t, 3)
    first, again = d.observe(t), d.observe(t)
    assert first.state == again.state and (first.moved == again.moved)[~np.isnan(first.moved)].all()
    before = t.state()
    steps(t, 2)
    d.observe(t)
    t.load(before)  # gone back: nothing to compare with
    assert np.isnan(d.observe(t).moved).all()


# ---------------------------------------------------------------------- the weights of the loss terms

CONDITIONS = [{"name": "edges", "equation": "u", "points": 3},
              {"name": "left", "on": "x = 0", "equation": "u_x", "term": "flux", "points": 3}]


def weights_of(frame: LivenessFrame) -> dict[str, str]:
    return {name: state for name, state in states(frame).items() if name.startswith("weight of ")}


def test_which_weights_a_rule_should_move() -> None:
    def names(rule: str, weights: dict[str, float] | None = None) -> set[str]:
        t = trainer({"slopes": "layer", "recovery": "paper"}, {"conditions": CONDITIONS},
                    balancing={"rule": rule, "interval": 1, "weights": weights or {}})
        return set(weights_of(LivenessDiagnostic().observe(t)))

    assert names("fixed") == set()
    assert names("annealing-siam") == {"weight of boundary", "weight of flux"}
    assert names("annealing-arxiv", {"flux": 0.0}) == {"weight of boundary"}
    assert names("ntk") == names("relobralo") == {"weight of residual", "weight of boundary", "weight of flux"}
    assert names("gradient-norm", {"flux": 0.0, "boundary": 0.0}) == set()  # one alone is measured against itself


@pytest.mark.parametrize("rule", ["annealing-siam", "annealing-cavity", "gradient-norm", "ntk", "inverse-dirichlet",
                                  "relobralo"])
def test_weights_that_move(rule: str) -> None:
    t = trainer({}, {"conditions": CONDITIONS}, balancing={"rule": rule, "interval": 3})
    d = LivenessDiagnostic()
    for _ in range(4):
        steps(t, 2)  # frames more often than the weights move
        assert set(weights_of(d.observe(t)).values()) == {"moves"}


def test_a_weight_that_its_rule_leaves_behind() -> None:
    """As where a captured graph replays the weight of the step it was captured at."""
    t = trainer({}, {"conditions": CONDITIONS}, balancing={"rule": "annealing-siam", "interval": 4})
    stuck = float(t.weights[t.terms.index("flux")])
    d = LivenessDiagnostic()
    d.observe(t)
    seen = []
    for _ in range(3):
        steps(t, 2)
        t.set_weight("flux", stuck)
        seen.append(weights_of(d.observe(t)))
    assert [s["weight of flux"] for s in seen] == ["moves", "still", "still"]  # judged once an interval is over
    assert {s["weight of boundary"] for s in seen} == {"moves"}
    t.set_balancing("gradient-norm")
    assert weights_of(d.observe(t))["weight of flux"] == "moves"  # another rule has not had its turn


def test_sub_domains_and_looking_changes_nothing() -> None:
    cut = {"splits": {"x": [0.5]}, "flux": {"x": "u_x"}, "interface_points": 4}
    looked, left = (trainer({"slopes": "layer", "recovery": "paper"}, decomposition=cut) for _ in range(2))
    d = LivenessDiagnostic()
    for _ in range(3):
        frame = d.observe(looked)
        assert same(looked, left)
        steps(looked, 1)
        steps(left, 1)
    assert "2: hidden 1 slope" in frame.names and set(frame.state) == {"moves"}
    assert not frame.moved.flags.writeable
