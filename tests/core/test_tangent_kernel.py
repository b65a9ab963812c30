"""Traces of the tangent kernel against a dense Jacobian of literally computed residuals."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core import tangent_kernel
from core.tangent_kernel import traces
from studio.build import build_objective, build_trainer
from tests.core.literal import At, network_of
from tests.core.samples import draws_of, experiment, residual, shaken


def squares(rows: Tensor, theta: Tensor) -> Tensor:
    """|d r_j / d theta|^2 of every row, one backward pass each."""
    return torch.stack([torch.autograd.grad(row, theta, retain_graph=True)[0].square().sum() for row in rows])


def test_traces_are_those_of_the_dense_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than are differentiated at once; an unknown among the parameters; a term without rows."""
    monkeypatch.setattr(tangent_kernel, "CHUNK", 8)
    o = build_objective(experiment({
        "residuals": residual("nu*u_xx + u_yy = u**2", points=10), "unknowns": {"nu": 0.8},
        "conditions": [{"name": "edges", "equation": "u", "points": 3},
                       {"name": "slope", "on": "x = 0", "equation": "u_x = nu", "term": "slope", "points": 5}]},
        network={"hidden": [6, 6], "slopes": "layer", "recovery": "paper"}))
    theta, draws = shaken(o).requires_grad_(), draws_of(o)
    x, n = o.places.physical(draws), 10
    at = At(network_of(o, theta), x)
    nu = theta[-1]
    inside = (nu * at("u", "xx") + at("u", "yy") - at("u") ** 2)[:n]
    slope = (at("u", "x") - nu)[n: n + 5]
    assert (x[n: n + 5, 0] == 0).all()
    edges = at("u")[n + 5:]
    assert len(edges) == 12
    truth = [float(squares(part, theta).sum()) for part in (inside, edges, slope)]
    assert traces(o, theta.detach(), draws).tolist() == pytest.approx([*truth, 0.0], rel=1e-9)


def test_rows_that_share_an_average() -> None:
    """Each residual depends on all points of its equation."""
    o = build_objective(experiment({"averages": {"m": "u**2"}, "residuals": residual("u_x - m*u"), "conditions": []}))
    theta, draws = shaken(o).requires_grad_(), draws_of(o)
    at = At(network_of(o, theta), o.places.physical(draws))
    rows = at("u", "x") - at("u").square().mean() * at("u")
    assert float(traces(o, theta.detach(), draws)) == pytest.approx(float(squares(rows, theta).sum()), rel=1e-9)


def test_the_rule_that_uses_them() -> None:
    """lambda_i = Tr(K) / Tr(K_ii), of the parameters after the step, the sum over the terms with a weight."""
    trainer = build_trainer(experiment(balancing={"rule": "ntk", "rate": 1.0, "interval": 1}))
    trainer.step()
    assert trainer.draws is not None
    own = traces(trainer.objective, trainer.theta, trainer.draws)
    torch.testing.assert_close(trainer.weights, own.sum() / own)
    assert not own.requires_grad


def test_the_rule_is_refused_for_sub_domains_while_training() -> None:
    trainer = build_trainer(experiment(decomposition={"splits": {"x": [0.5]}, "flux": {"x": "u_x"}}))
    with pytest.raises(ValueError, match="the tangent kernel of sub-domains is not computed"):
        trainer.set_balancing("ntk")
    trainer.step()
