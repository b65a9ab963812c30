"""The conditioning matrix G against itself written out and against a step; the theorem's margin by closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.diagnostics.conditioning import (
    ConditioningDiagnostic,
    blocks_of,
    conditioning_of,
    recovery_gradient,
)
from core.layers import layers_of
from core.networks import MLP
from core.trainer import Trainer
from studio.build import build_trainer
from tests.core.samples import experiment, residual, same

NETWORKS: list[dict[str, Any]] = [
    {"slopes": "global", "slope_scale": 5.0, "recovery": "paper"},
    {"slopes": "global", "slope_on_output": True},
    {"slopes": "layer", "slope_scale": 10.0, "recovery": "code"},
    {"slopes": "layer", "slope_on_output": True, "recovery": "paper"},
    {"slopes": "neuron", "slope_scale": 2.0, "recovery": "paper"},
    {"slopes": "neuron", "kind": "gated", "recovery": "code"},
    {"slopes": "layer", "kind": "residual", "slope_scale": 3.0, "recovery": "paper"},
    {"slopes": "layer", "raf": "assigned", "hidden": [8, 8]},
]


def trained(network: dict[str, Any], steps: int = 3, problem: dict[str, Any] | None = None, rate: float = 1e-4,
            **changes: Any) -> Trainer:
    """A small network, shaken so that slopes and biases are all different, after some steps of gradient descent."""
    t = build_trainer(experiment(problem, network={"hidden": [4, 4], **network},
                                 optimizer={"kind": "gd", "learning_rate": rate}, **changes))
    noise = torch.randn(t.theta.shape, generator=torch.Generator().manual_seed(3), dtype=t.theta.dtype)
    t.theta = t.theta + 0.1 * noise
    for _ in range(steps):
        t.step()
    assert torch.isfinite(t.theta).all()
    return t


def mlp(t: Trainer) -> MLP:
    assert isinstance(t.objective.network, MLP)
    return t.objective.network


def dense(t: Trainer, eta: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(G, effective weights s W, their gradient g) with A written out as a matrix.

    g not by division: it is the gradient at the network whose weights are s W and whose n a are 1.
    """
    network, n = mlp(t), mlp(t).architecture.slope_scale
    named = {p.name: p.slice for p in network.parameters}
    affine = [name for name in named if name.endswith((" W", " b"))]
    entries = np.concatenate([np.arange(named[name].start, named[name].stop) for name in affine])
    slopes = [p for p in network.parameters if p.name.endswith("slope")]
    columns = np.concatenate([np.arange(p.slice.start, p.slice.stop) for p in slopes])
    a_matrix = np.zeros((len(entries), len(columns)))
    row = 0
    for name in affine:
        layer, size = name[:-2], named[name].stop - named[name].start
        own = named.get("slope") or named.get(f"{layer} slope")
        if layer == "output" and not network.architecture.slope_on_output:
            own = None
        if own is not None:
            width = own.stop - own.start
            for k in range(size):  # row-major: the neuron runs fastest
                a_matrix[row + k, list(columns).index(own.start + k % width)] = 1
        row += size
    theta = t.theta.numpy()
    w, a = theta[entries], theta[columns]
    s = n * a_matrix @ a + (a_matrix.sum(1) == 0)
    equivalent = theta.copy()
    equivalent[entries], equivalent[columns] = s * w, 1 / n
    draws = t.draws
    assert draws is not None
    _, gradients = t.engine.term_gradients(torch.from_numpy(equivalent), draws)
    weights = t.weights * torch.tensor([term != "recovery" for term in t.terms])
    g = (weights @ gradients).numpy()[entries]
    g_matrix = (np.diag(s**2) + n**2 * np.diag(w) @ a_matrix @ a_matrix.T @ np.diag(w)
                - eta * n**2 * np.diag(s * (a_matrix @ a_matrix.T @ (w * g))))
    return g_matrix, s * w, g


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: "-".join(map(str, n.values())))
def test_closed_forms_are_those_of_the_matrix_written_out(network: dict[str, Any]) -> None:
    t = trained(network)
    frame = ConditioningDiagnostic().observe(t)
    assert frame is not None
    plain = np.linalg.eigvalsh(dense(t, 0.0)[0])
    assert frame.kappa == pytest.approx(plain[-1] / plain[0], rel=max(1e-11, 1e-15 * frame.kappa))
    assert frame.high.max() == pytest.approx(plain[-1] if plain[-1] > 1 + 1e-9 else frame.high.max(), rel=1e-11)
    for value in (*frame.low, *frame.high):
        assert np.abs(plain - value).min() < 1e-11 * plain[-1]  # each is an eigenvalue
    matrix, _, g = dense(t, t.current_learning_rate())
    product = matrix @ g
    assert frame.multiplier == pytest.approx(g @ product / (g @ g), rel=1e-10)
    cosine = g @ product / np.linalg.norm(g) / np.linalg.norm(product)
    assert frame.angle == pytest.approx(math.degrees(math.acos(cosine)), rel=1e-8)
    assert frame.smallest == pytest.approx(np.linalg.eigvalsh(matrix)[0], rel=1e-9)
    assert np.abs(frame.identity).max() < 1e-14


def test_a_large_step_makes_the_matrix_indefinite() -> None:
    """What `smallest` is for: with the step size's term G loses its definiteness, and it says so."""
    t = trained({"slopes": "layer", "slope_scale": 5.0})
    t.set_learning_rate(1e4)
    frame = ConditioningDiagnostic().observe(t)
    assert frame is not None
    lowest = np.linalg.eigvalsh(dense(t, t.current_learning_rate())[0])[0]
    assert frame.smallest == pytest.approx(lowest, rel=1e-9)
    assert frame.smallest < 0


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: "-".join(map(str, n.values())))
def test_a_step_of_gradient_descent_is_minus_eta_g_times_the_matrix(network: dict[str, Any]) -> None:
    """Eq. (3.4), exactly, where no recovery pushes the slopes."""
    t = trained(network | {"recovery": "none"}, sampling={"every": 0})
    eta = t.current_learning_rate()
    matrix, before, g = dense(t, eta)
    mine = conditioning_of(layers_of(mlp(t)), blocks_of(mlp(t)), t.theta.numpy(), weighted(t),
                           mlp(t).architecture.slope_scale, eta)
    t.step()
    after = dense(t, eta)[1]
    size = np.linalg.norm(after)
    assert np.linalg.norm(after - (before - eta * matrix @ g)) < 1e-14 * size
    assert np.linalg.norm(after - (before - eta * mine.product())) < 1e-14 * size
    assert np.linalg.norm(eta * mine.product()) > 1e-6 * size  # the step was one


def weighted(t: Trainer) -> np.ndarray:
    _, gradients = t.term_gradients()
    out: np.ndarray = (t.weights @ gradients).numpy()
    return out


def test_the_identity_finds_a_slope_that_is_not_differentiated(monkeypatch: pytest.MonkeyPatch) -> None:
    t = trained({"slopes": "layer", "recovery": "paper"})
    losses, gradients = t.term_gradients()
    slope = next(p.slice for p in mlp(t).parameters if p.name == "hidden 2 slope")
    broken = gradients.clone()
    broken[:, slope] = 0
    monkeypatch.setattr(t, "term_gradients", lambda: (losses, broken))
    frame = ConditioningDiagnostic().observe(t)
    assert frame is not None and frame.blocks == ("hidden 1", "hidden 2")
    assert abs(frame.identity[0]) < 1e-14 < 1e-3 < abs(frame.identity[1])


@pytest.mark.parametrize("network", [n for n in NETWORKS if n.get("recovery", "none") != "none"],
                         ids=lambda n: "-".join(map(str, n.values())))
def test_the_slope_of_recovery_by_hand(network: dict[str, Any]) -> None:
    t = trained(network)
    blocks = blocks_of(mlp(t))
    leaf = t.theta.clone().requires_grad_()
    truth = torch.autograd.grad(mlp(t).recovery(leaf), leaf)[0].numpy()
    places = [block.slope for block in blocks]
    np.testing.assert_allclose(recovery_gradient(mlp(t), blocks, t.theta.numpy()[places]), truth[places], rtol=1e-12)


def test_names_of_the_blocks() -> None:
    assert [b.name for b in blocks_of(mlp(trained(NETWORKS[0])))] == ["network"]
    assert [b.name for b in blocks_of(mlp(trained(NETWORKS[3])))] == ["hidden 1", "hidden 2", "output"]
    names = [b.name for b in blocks_of(mlp(trained(NETWORKS[5])))]
    assert names[:4] == ["encoder U [1]", "encoder U [2]", "encoder U [3]", "encoder U [4]"]
    assert names[-1] == "hidden 2 [4]" and len(names) == 16


# ---------------------------------------------------------------------- the best constant network

FIT: dict[str, Any] = {"residuals": residual("u - sin(3*x)*exp(y)", points=40), "conditions": []}


def bound_of(t: Trainer) -> float:
    frame = ConditioningDiagnostic().observe(t)
    assert frame is not None
    return frame.bound


def points(t: Trainer) -> Tensor:
    assert t.draws is not None
    return t.objective.places.physical(t.draws)


def test_the_bound_of_a_regression_is_the_variance() -> None:
    t = trained({"slopes": "layer", "recovery": "paper"}, problem=FIT, balancing={"weights": {"recovery": 2.5}})
    x = points(t)
    values = torch.sin(3 * x[:, 0]) * torch.exp(x[:, 1])
    assert bound_of(t) == pytest.approx(float(values.var(correction=0)) + 2.5, rel=1e-12)  # S(0) = 1
    code = trained({"slopes": "layer", "recovery": "code"}, problem=FIT)
    x = points(code)
    values = torch.sin(3 * x[:, 0]) * torch.exp(x[:, 1])
    assert bound_of(code) == pytest.approx(float(values.var(correction=0)) + 1 / 2, rel=1e-12)  # over two layers
    assert bound_of(trained({"slopes": "layer"}, problem=FIT)) < bound_of(code)  # nothing is added without recovery


def test_the_bound_of_a_poisson_problem() -> None:
    """Constants satisfy u_xx + u_yy = 1 nowhere; the boundary's mean is the best of them, on each face alike."""
    t = trained({"slopes": "layer"}, problem={"conditions": [{"name": "edges", "equation": "u = x + y", "points": 30}]},
                balancing={"weights": {"boundary": 7.0}})
    block = next(b for b in t.objective.blocks if not b.interior)
    total = points(t)[block.start: block.stop].sum(1)
    assert len(total) == 120
    assert bound_of(t) == pytest.approx(1 + 7 * 4 * float(total.var(correction=0)), rel=1e-12)


def test_the_bound_under_a_hard_constraint() -> None:
    """u = x (1 - x) c is no constant: its own u_xx = -2 c is part of the residual; c = -1/2 solves it."""
    t = trained({"slopes": "layer"}, problem={"residuals": residual("u_xx = 1"), "conditions": [],
                                              "hard": {"u": "x*(1 - x)*u"}})
    assert bound_of(t) == pytest.approx(0.0, abs=1e-20)
    t = trained({"slopes": "layer"}, problem={"residuals": residual("u_xx = y", points=20), "conditions": [],
                                              "hard": {"u": "x*(1 - x)*u"}})
    assert bound_of(t) == pytest.approx(float(points(t)[:, 1].var(correction=0)), rel=1e-10)


def test_the_bound_is_over_the_unknowns_too() -> None:
    """u_xx = k - 3 with k unknown: the best constant has k = 3 and no residual."""
    t = trained({"slopes": "layer"}, problem={"residuals": residual("u_xx = k - 3"), "unknowns": {"k": 0.5}})
    assert bound_of(t) == pytest.approx(0.0, abs=1e-20)


def test_the_bound_of_an_equation_that_is_no_parabola() -> None:
    """mean (c^3 - c - f)^2: the least over c by a fine grid."""
    t = trained({"slopes": "layer"}, problem={"residuals": residual("u**3 - u = sin(4*x) + 2*y", points=25),
                                              "conditions": []})
    x = points(t)
    f = torch.sin(4 * x[:, 0]) + 2 * x[:, 1]
    c = torch.linspace(-3, 3, 200_001, dtype=torch.float64)
    truth = float(((c**3 - c).unsqueeze(1) - f).square().mean(1).min())
    assert bound_of(t) == pytest.approx(truth, rel=1e-8)


def test_a_kink_is_no_parabola() -> None:
    """(|c| - 1)^2 has the same second derivative everywhere but at zero, and its minimum is not where that says."""
    t = trained({"slopes": "layer"}, problem={"residuals": residual("abs(u) = 1"), "conditions": []})
    assert bound_of(t) == pytest.approx(0.0, abs=1e-12)
    # (|c - 0.3| + 1)^2 is a parabola on either side, whose lowest points are on the other
    t = trained({"slopes": "layer"}, problem={"residuals": residual("abs(u - 0.3) = -1"), "conditions": []})
    assert bound_of(t) == pytest.approx(1.0, abs=1e-6)


def test_where_the_bound_is_not_known() -> None:
    falling = {"residuals": [{"name": "pde", "equation": "u", "points": 5, "measure": "mean"}], "conditions": []}
    assert math.isnan(bound_of(trained({"slopes": "layer"}, problem=falling)))  # c may fall for ever
    assert math.isnan(bound_of(trained({"slopes": "layer", "kind": "residual"})))  # carries its inputs past all slopes
    assert math.isnan(bound_of(trained({"slopes": "layer"}, balancing={"points": "self-adaptive"},
                                       sampling={"every": 0})))


def test_the_margin_is_remembered() -> None:
    t = trained({"slopes": "layer", "recovery": "paper"}, problem=FIT, steps=0, rate=0.01)
    d = ConditioningDiagnostic()
    with_offset = t.theta.clone()
    output = next(p.slice for p in mlp(t).parameters if p.name == "output b")
    t.theta = t.theta.index_fill(0, torch.arange(output.start, output.stop), 5.0)
    frame = d.observe(t)
    assert frame is not None and frame.loss > frame.bound and frame.held_since == -1
    t.theta = with_offset
    for _ in range(200):
        t.step()
    frame = d.observe(t)
    assert frame is not None and frame.loss < frame.bound and frame.held_since == 200
    t.step()
    again = d.observe(t)
    assert again is not None and again.held_since == 200
    losses, _ = t.term_gradients()
    assert again.loss == pytest.approx(float(t.weights @ losses), rel=1e-14)


def test_there_is_nothing_to_see_without_slopes_nor_in_sub_domains() -> None:
    assert ConditioningDiagnostic().observe(trained({})) is None
    cut = trained({"slopes": "layer"}, decomposition={"splits": {"x": [0.5]}, "flux": {"x": "u_x"}})
    assert ConditioningDiagnostic().observe(cut) is None


def test_a_slope_of_zero_is_shown_as_it_is() -> None:
    """g cannot be had by division there; kappa is infinite."""
    t = trained({"slopes": "layer"})
    slope = next(p.slice for p in mlp(t).parameters if p.name == "hidden 1 slope")
    t.theta = t.theta.index_fill(0, torch.arange(slope.start, slope.stop), 0.0)
    frame = ConditioningDiagnostic().observe(t)
    assert frame is not None and frame.kappa == math.inf and frame.low[0] == 0
    assert math.isnan(frame.multiplier) and math.isnan(frame.angle)
    assert np.isfinite(frame.identity).all()


@pytest.mark.parametrize("steps", [0, 3])
def test_looking_changes_nothing(steps: int) -> None:
    looked, left = (trained({"slopes": "neuron", "recovery": "paper"}, steps=steps) for _ in range(2))
    d = ConditioningDiagnostic()
    for _ in range(2):
        d.observe(looked)
        assert same(looked, left)
        looked.step()
        left.step()
    assert same(looked, left)
