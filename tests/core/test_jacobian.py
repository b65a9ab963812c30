"""The layer-wise Jacobian against batched reverse mode, of the gallery's problems and of every kind of network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.diagnostics.layers import fixed_draws
from core.diagnostics.ntk import jacobian as reverse
from core.objective import Objective
from core.solvers.jacobian import jacobian, pieces, why_not
from core.solvers.loss import Loss, add_lower
from studio import gallery
from studio.build import build_objective, build_trainer
from tests.core.samples import draws_of, experiment, grid_file, residual, shaken

#: One of each kind of problem: hard constraints, systems, unknowns, observations, third and fourth derivatives, ...
PROBLEMS = ("allen-cahn", "cavity-psi-m4", "cavity-vp-m1", "heat", "helmholtz-m4", "kdv",
            "klein-gordon-m4", "kovasznay", "kuramoto-sivashinsky", "laaf-function-nlaaf", "lorenz",
            "method-fourier", "method-hard")

FIRST = {"residuals": residual("u_x*u = 1", points=6)}
THIRD = {"residuals": residual("u_xxx + u*u_xy = y", points=6)}
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {},
    "gated": {"network__kind": "gated"},
    "residual": {"network__kind": "residual"},
    **{f"slopes {kind}": {"network__slopes": kind, "network__slope_scale": 2.5}
       for kind in ("global", "layer", "neuron")},
    "slopes on the output": {"network__slopes": "neuron", "network__slope_on_output": True},
    "slopes, recovery": {"network__slopes": "layer", "network__recovery": "paper"},
    "global slope of a gated one": {"network__kind": "gated", "network__slopes": "global"},
    "learnable RAF": {"network__raf": "learnable"},
    "assigned RAF": {"network__raf": "assigned"},
    "rowdy": {"network__raf": "rowdy", "network__slope_scale": 2.0},
    "gated and rowdy": {"network__kind": "gated", "network__raf": "rowdy"},
    "Fourier features": {"network__fourier_features": 3},
    "one neuron": {"network__hidden": [1, 1], "network__slopes": "neuron"},
    "no normalization": {"network__normalize": "none"},
}


def agrees(objective: Objective, theta: Tensor, draws: Tensor, limit: int = 0) -> None:
    """Pieces, put together, are what reverse mode gives for all rows at once."""
    rows = objective.rows(theta, draws).detach()
    truth = reverse(objective, theta, draws, torch.arange(len(rows)))
    values, j = torch.full_like(rows, torch.nan), torch.full_like(truth, torch.nan)
    for piece in pieces(objective, theta, draws, limit):
        assert not limit or len(piece.numbers) <= limit * max(len(b.terms) for b in objective.blocks)
        assert bool(values[piece.numbers].isnan().all()), "a row is in two pieces"
        values[piece.numbers], j[piece.numbers] = piece.values, piece.j
    torch.testing.assert_close(values, rows, rtol=1e-12, atol=1e-12 * float(rows.abs().max()))
    torch.testing.assert_close(j, truth, rtol=1e-11, atol=1e-12 * float(truth.abs().max()))


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_gallery(name: str) -> None:
    lane = gallery.load(name).with_changes({"training.precision": "float64"}).lanes()[0]
    objective = build_objective(lane).twin(torch.float64, 5)
    assert not why_not(objective)
    agrees(objective, shaken(objective), fixed_draws(objective))


@pytest.mark.parametrize("problem", [None, FIRST, THIRD], ids=["second", "first", "third"])
@pytest.mark.parametrize("case", NETWORKS)
def test_networks(case: str, problem: dict[str, Any] | None) -> None:
    objective = build_objective(experiment(problem, **{"network__hidden": [4, 4], **NETWORKS[case]}))
    agrees(objective, shaken(objective), draws_of(objective))


def mixed(tmp_path: Path) -> Objective:
    """Two fields, an unknown in equations and conditions, observations with data of each point, a hard constraint."""
    return build_objective(experiment({
        "fields": ["u", "v"], "unknowns": {"k": 0.7}, "hard": {"v": "x*v + 1"},
        "residuals": [{"name": "one", "equation": "u_xx + k*u*v_y = 0", "points": 9},
                      {"name": "two", "equation": "k^2*v_yy - u = x", "points": 9},
                      {"name": "first", "equation": "u_x + v_y", "points": 4}],
        "conditions": [{"name": "edges", "equation": "u = k*x", "points": 3},
                       {"name": "flux", "term": "flux", "on": "x = 1", "equation": "u_x - u", "points": 4}],
        "observations": [{"name": "seen", "equation": "k*u = u_data", "file": grid_file(tmp_path / "d.npz")}],
    }, network__hidden=[5, 4], network__slopes="layer"))


@pytest.mark.parametrize("limit", [0, 1, 3, 10])
def test_unknowns_observations_hard_constraints_and_pieces(tmp_path: Path, limit: int) -> None:
    objective = mixed(tmp_path)
    agrees(objective, shaken(objective), draws_of(objective), limit)


def test_a_residual_without_the_network_has_no_derivative() -> None:
    flat = {"name": "flat", "equation": "0*u + x", "points": 5}
    objective = build_objective(experiment({"residuals": [*residual("u_xx + u_yy", points=5), flat]}))
    agrees(objective, shaken(objective), draws_of(objective))


def test_it_is_the_one_by_autograd_s_functional_jacobian() -> None:
    objective = build_objective(experiment(network__kind="gated", network__hidden=[3, 3]))
    theta, draws = shaken(objective), draws_of(objective)
    truth = torch.autograd.functional.jacobian(lambda t: objective.rows(t, draws), theta)
    values, j = jacobian(objective, theta, draws)
    torch.testing.assert_close(j, truth, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(values, objective.rows(theta, draws), rtol=1e-13, atol=1e-13)


# ---------------------------------------------------------------------- the loss as a sum of squares

def loss_of(tmp_path: Path, **changes: Any) -> tuple[Loss, Tensor]:
    trainer = build_trainer(experiment(balancing__weights={"residual": 2.0, "boundary": 50.0}, **changes))
    loss = Loss(trainer.objective, trainer.engine, trainer.coming_draws(), trainer.weights, trainer.multipliers)
    return loss, shaken(trainer.objective)


@pytest.mark.parametrize("changes", [{}, {"network__slopes": "neuron", "network__recovery": "paper"}])
def test_rows_make_the_loss_and_its_gradient(tmp_path: Path, changes: dict[str, Any]) -> None:
    loss, theta = loss_of(tmp_path, **changes)
    rho, j = loss.jacobian(theta)
    assert float(rho.square().sum()) == pytest.approx(loss.value(theta)[1], rel=1e-12)
    torch.testing.assert_close(loss.rows(theta), rho, rtol=1e-12, atol=1e-12)
    _, value, gradient = loss.gradient(theta)
    assert value == pytest.approx(loss.value(theta)[1], rel=1e-12)
    torch.testing.assert_close(2 * j.T @ rho, gradient, rtol=1e-9, atol=1e-9)
    assert len(rho) == len(loss.scales()) + bool(changes), "slope recovery is the last row"
    matrix, vector = loss.normal(theta)
    torch.testing.assert_close(matrix.tril(), (j.T @ j).tril(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(vector, j.T @ rho, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(loss.diagonal(theta), (j.T @ j).diagonal(), rtol=1e-10, atol=1e-10)
    products, v, u = loss.products(theta), torch.sin(torch.arange(len(theta)).double()), torch.cos(rho)
    for found, truth in ((products.values, rho), (products.j(v), j @ v), (products.jt(u), j.T @ u),
                         (products.jtj(v), j.T @ (j @ v))):
        torch.testing.assert_close(found, truth, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("limit", [0, 4])
def test_products(tmp_path: Path, limit: int) -> None:
    objective = mixed(tmp_path)
    theta, draws = shaken(objective), draws_of(objective)
    weights = torch.linspace(0.5, 3, len(objective.terms)).double()
    loss = Loss(objective, None, draws, weights, torch.zeros(0))  # type: ignore[arg-type]
    rho, j = loss.jacobian(theta)
    products, generator = loss.products(theta, limit), torch.Generator().manual_seed(0)
    torch.testing.assert_close(products.values, rho, rtol=1e-12, atol=1e-12)
    for _ in range(2):  # a held pass serves again
        v = torch.randn(len(theta), generator=generator, dtype=torch.float64)
        u = torch.randn(len(rho), generator=generator, dtype=torch.float64)
        for found, truth in ((products.j(v), j @ v), (products.jt(u), j.T @ u), (products.jtj(v), j.T @ (j @ v))):
            torch.testing.assert_close(found, truth, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [1, 256, 257, 700])
def test_the_lower_triangle(size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    j = torch.randn(30, size, generator=generator, dtype=torch.float64)
    start = torch.randn(size, size, generator=generator, dtype=torch.float64)
    found = start.clone()
    add_lower(found, j)
    torch.testing.assert_close(found.tril(), (start + j.T @ j).tril(), rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------------- what has none

def test_losses_without_rows_say_why() -> None:
    cases: dict[str, Any] = {
        "join two networks": experiment(decomposition={"splits": {"x": [0.4]}, "flux": {"x": "u_x"}}),
        "averages over all points": experiment({"averages": {"m": "u"}, "residuals": residual("u_xx - m")}),
        "'residual' is the mean of an expression": experiment(
            {"residuals": residual("u_x^2 + u_y^2 - u", measure="mean")}),
    }
    for sentence, case in cases.items():
        objective = build_objective(case)
        assert sentence in why_not(objective)
        theta, draws = shaken(objective), draws_of(objective)
        with pytest.raises(ValueError, match=sentence):
            next(pieces(objective, theta, draws))
        loss = Loss(objective, None, draws, torch.ones(9), torch.zeros(0))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=f"Gauss-Newton methods need .* {sentence}"):
            loss.scales()


def test_weights_of_zero_are_rows_of_zero(tmp_path: Path) -> None:
    loss, theta = loss_of(tmp_path)
    loss = replace(loss, weights=loss.weights * torch.tensor([1.0, 0.0], dtype=torch.float64))
    rho, j = loss.jacobian(theta)
    term = loss.objective.row_table()[0]
    assert not rho[term == 1].any() and not j[term == 1].any() and bool(rho[term == 0].all())
