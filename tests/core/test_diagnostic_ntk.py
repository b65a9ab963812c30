"""The kernel against J J^T of torch.func, of residuals written out by nested autograd."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.diagnostics.ntk import NtkDiagnostic
from core.frames import NtkFrame
from core.objective import Objective
from core.trainer import Trainer
from studio.build import build_trainer
from tests.core.literal import At, network_of
from tests.core.samples import experiment, grid_file, residual, same

NETWORKS: list[dict[str, Any]] = [
    {},
    {"kind": "gated", "slopes": "neuron", "slope_scale": 2.0, "recovery": "paper"},
    {"kind": "residual", "slopes": "global"},
    {"raf": "learnable", "raf_basis": ["x", "sin", "gaussian"]},
    {"raf": "rowdy", "rowdy_terms": 2},
    {"raf": "assigned", "raf_basis": ["x2", "sin", "gaussian"]},
]
PROBLEM: dict[str, Any] = {
    "residuals": residual("nu*u_xx + u_yy = u**2", points=50), "unknowns": {"nu": 0.8},
    "hard": {"u": "(1 + x)*u + y"},
    "conditions": [{"name": "edges", "equation": "u", "points": 30},
                   {"name": "slope", "on": "x = 0", "equation": "u_x = nu", "term": "slope", "points": 40}],
}


def trained(network: dict[str, Any], problem: dict[str, Any] | None = None, precision: str = "float64",
            **changes: Any) -> Trainer:
    t = build_trainer(experiment(problem, network={"hidden": [5, 5], **network},
                                 training={"precision": precision, "steps": 9}, **changes))
    noise = torch.randn(t.theta.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    t.theta = t.theta + (0.1 * noise).to(t.theta.dtype)
    t.step()
    return t


def observed(t: Trainer, d: NtkDiagnostic | None = None) -> NtkFrame:
    frame = (d or NtkDiagnostic()).observe(t)
    assert frame is not None
    return frame


def places(t: Trainer, points: int = 16) -> tuple[Objective, Tensor]:
    """The diagnostic's points [N, d], in the order of the blocks."""
    d = NtkDiagnostic(points)
    d.observe(t)
    assert d._twin is not None
    return d._twin, d._twin.places.physical(d._draws)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: "-".join(map(str, n.values())) or "plain")
def test_eigenvalues_are_those_of_the_dense_kernel(network: dict[str, Any]) -> None:
    """A hard constraint, an unknown, conditions on all faces and on one with a derivative."""
    t = trained(network, PROBLEM)
    frame = observed(t)
    assert frame.terms == ("residual", "boundary", "slope") and frame.points.tolist() == [16, 16, 16]
    twin, x = places(t)
    slope = next(b for b in twin.blocks if not b.interior and b.stop - b.start == 16 and b.equations.carried.order)
    edges = next(b for b in twin.blocks if not b.interior and b is not slope)

    def rows(theta: Tensor) -> Tensor:
        nu, raw = theta[-1], network_of(t.objective, theta)
        at = At(lambda p: (1 + p[:, :1]) * raw(p) + p[:, 1:], x)
        inside = nu * at("u", "xx") + at("u", "yy") - at("u") ** 2
        return torch.cat((inside[:16], at("u")[edges.start: edges.stop],
                          (at("u", "x") - nu)[slope.start: slope.stop]))

    leaf = t.theta.double().requires_grad_()
    values = rows(leaf)
    j = torch.stack([torch.autograd.grad(v, leaf, retain_graph=True)[0] for v in values])
    parts = {"residual": j[:16], "boundary": j[16:32], "slope": j[32:], "all": j}
    own = torch.zeros(len(leaf), dtype=torch.bool)
    for p in t.objective.parameters:
        own[p.slice] = "slope" in p.name or "RAF" in p.name or "rowdy" in p.name
    assert bool(own.any()) == ("slopes" in network or network.get("raf") in ("learnable", "rowdy"))
    for k, (name, part) in enumerate(parts.items()):
        kernel = part @ part.T
        truth = torch.linalg.eigvalsh(kernel).flip(0).numpy()
        np.testing.assert_allclose(frame.eigenvalues[name], truth, rtol=1e-7, atol=1e-12 * truth[0])
        share = np.maximum(truth, 0) / truth.clip(0).sum()
        rank = math.exp(-sum(s * math.log(s) for s in share if s > 0))
        assert frame.effective_rank[name] == pytest.approx(rank, rel=1e-6)
        assert not frame.floored[name]
        assert frame.kappa[name] == pytest.approx(frame.eigenvalues[name][0] / frame.eigenvalues[name][-1])
        if name != "all":
            assert frame.trace[k] == pytest.approx(float(kernel.diagonal().mean()), rel=1e-9)
            assert frame.trace_activations[k] == pytest.approx(float(part[:, own].square().sum(1).mean()), rel=1e-9)


def test_the_jacobian_of_torch_func() -> None:
    """The same residuals, a term by itself, by jacrev instead of a backward pass for each row."""
    t = trained({"slopes": "layer"}, {"residuals": residual("u_x = u"), "conditions": []})
    twin, x = places(t)
    shape = t.objective.regions[0]

    def value(theta: Tensor, point: Tensor) -> Tensor:
        p = {q.name: theta[q.slice].view(q.shape) for q in shape.network.parameters}
        h = (point - shape.center) * shape.scale
        for name in ("hidden 1", "hidden 2"):
            h = torch.tanh(p[f"{name} slope"] * (h @ p[f"{name} W"] + p[f"{name} b"]))
        return (h @ p["output W"] + p["output b"])[0]

    def row(theta: Tensor, point: Tensor) -> Tensor:
        return torch.func.grad(value, argnums=1)(theta, point)[0] - value(theta, point)

    j = torch.func.vmap(torch.func.grad(row), (None, 0))(t.theta, x)
    truth = torch.linalg.svdvals(j).square().numpy()
    np.testing.assert_allclose(observed(t).eigenvalues["residual"], truth, rtol=1e-8, atol=1e-15 * truth[0])
    assert len(twin.blocks) == 1


def test_a_lost_rank_is_at_the_floor() -> None:
    """u = a x + b y + c has three parameters, so of 16 residuals only three are independent."""
    t = trained({"hidden": [1], "raf": "assigned", "raf_basis": ["x"]},
                {"residuals": residual("u = 1"), "conditions": []})
    frame = observed(t)
    assert frame.floored == {"residual": True, "all": True}
    eigenvalues = frame.eigenvalues["residual"]
    assert eigenvalues[2] > 1e-4 * eigenvalues[0] > 1e20 * eigenvalues[3]
    assert 1e20 < frame.kappa["residual"] < math.inf and frame.effective_rank["residual"] < 3
    wide = observed(trained({"hidden": [30]}, {"residuals": residual("u = 1"), "conditions": []}), NtkDiagnostic(4))
    assert wide.floored == {"residual": False, "all": False} and wide.points.tolist() == [4]
    np.testing.assert_allclose(wide.kappa["all"], wide.eigenvalues["all"][0] / wide.eigenvalues["all"][-1])


def test_residuals_that_depend_on_nothing() -> None:
    """u_xx of a network of straight lines is zero: an empty kernel, not a failure."""
    t = trained({"hidden": [3], "raf": "assigned", "raf_basis": ["x"]},
                {"residuals": residual("u_xx = 1"), "conditions": []})
    frame = observed(t)
    assert (frame.eigenvalues["residual"] == 0).all() and frame.floored["residual"]
    assert math.isnan(frame.kappa["residual"]) and math.isnan(frame.effective_rank["residual"])


def test_rows_are_shared_among_equations_and_faces() -> None:
    t = trained({}, {"residuals": [*residual("u_xx = 1", points=9), {"name": "second", "equation": "u_y = u"}],
                     "conditions": [{"name": "edges", "equation": "u", "points": 30},
                                    {"name": "left", "on": "x = 0", "equation": "u_x", "points": 5}]})
    assert observed(t).points.tolist() == [16, 15]  # 8 + 8; 3 on each of five faces
    assert observed(t, NtkDiagnostic(1)).points.tolist() == [2, 5]  # one at least
    with pytest.raises(ValueError, match="at least one point"):
        NtkDiagnostic(0)


def test_integrals_have_no_rows_and_averages_couple_them() -> None:
    energy = {"residuals": [{"name": "energy", "equation": "u_x**2", "points": 9, "measure": "mean"}],
              "conditions": []}
    assert NtkDiagnostic().observe(trained({}, energy)) is None
    both = trained({"slopes": "layer", "recovery": "paper"},
                   {**energy, "conditions": [{"name": "edges", "equation": "u"}]})
    assert observed(both).terms == ("boundary",)  # nor has slope recovery
    t = trained({}, {"averages": {"m": "u**2"}, "residuals": residual("u_x - m*u"), "conditions": []})
    _, x = places(t)

    leaf = t.theta.clone().requires_grad_()
    at = At(network_of(t.objective, leaf), x)
    rows = at("u", "x") - at("u").square().mean() * at("u")
    j = torch.stack([torch.autograd.grad(row, leaf, retain_graph=True)[0] for row in rows])
    truth = torch.linalg.svdvals(j).square().numpy()
    np.testing.assert_allclose(observed(t).eigenvalues["all"], truth, rtol=1e-7, atol=1e-14 * truth[0])


def test_observations_keep_rows_from_first_to_last(tmp_path: Path) -> None:
    file = grid_file(tmp_path / "data.npz")
    t = trained({}, {"residuals": [], "conditions": [], "observations": [
        {"name": "data", "equation": "u**2 = u_data", "file": file}]})
    assert observed(t).points.tolist() == [16]
    twin, x = places(t)
    full = t.objective.places.physical(torch.zeros(20, 2, dtype=torch.float64))
    rows = [full.tolist().index(point) for point in x.tolist()]
    assert rows[0] == 0 and rows[-1] == 19 and rows == sorted(set(rows))
    torch.testing.assert_close(twin.blocks[0].data["u_data"], x[:, 0] + 2 * x[:, 1])
    assert observed(t, NtkDiagnostic(50)).points.tolist() == [20]  # all there are


def test_single_precision_is_looked_at_in_double() -> None:
    """The kernel of a float32 run is that of the same numbers in float64."""
    t = trained({"slopes": "layer"}, PROBLEM, precision="float32")
    other = trained({"slopes": "layer"}, PROBLEM)
    other.theta = t.theta.double()
    a, b = observed(t), observed(other)
    for name in a.eigenvalues:
        largest = a.eigenvalues[name][0]
        np.testing.assert_allclose(a.eigenvalues[name], b.eigenvalues[name], rtol=1e-6, atol=1e-12 * largest)


def test_points_stay_and_depend_on_the_seed_only() -> None:
    t = trained({}, PROBLEM)
    d = NtkDiagnostic()
    first = observed(t, d)
    theta = t.theta
    for _ in range(3):
        t.step()
    t.theta = theta
    again = observed(t, d)
    assert (first.eigenvalues["all"] == again.eigenvalues["all"]).all()
    assert (observed(t).eigenvalues["all"] == again.eigenvalues["all"]).all()
    assert (observed(t, NtkDiagnostic(seed=1)).eigenvalues["all"] != again.eigenvalues["all"]).any()


def test_a_broken_network_has_no_spectrum() -> None:
    t = trained({})
    t.theta = torch.full_like(t.theta, math.nan)
    frame = observed(t)
    assert np.isnan(frame.eigenvalues["all"]).all() and math.isnan(frame.kappa["all"]) and not frame.floored["all"]


def test_sub_domains_have_none_and_looking_changes_nothing() -> None:
    cut = trained({}, decomposition={"splits": {"x": [0.5]}, "flux": {"x": "u_x"}, "interface_points": 4})
    assert NtkDiagnostic().observe(cut) is None
    looked, left = trained({"slopes": "layer"}, PROBLEM), trained({"slopes": "layer"}, PROBLEM)
    state = torch.get_rng_state()
    NtkDiagnostic().observe(looked)
    assert same(looked, left) and torch.equal(torch.get_rng_state(), state)
