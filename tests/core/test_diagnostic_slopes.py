"""Slopes, gains and the share of slope recovery against the parameters themselves and nested autograd."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from core.diagnostics.slopes import SlopesDiagnostic
from core.trainer import Trainer
from studio.build import build_trainer
from tests.core.literal import At, network_of
from tests.core.samples import experiment, residual, same


def trained(network: dict[str, Any], problem: dict[str, Any] | None = None, **changes: Any) -> Trainer:
    t = build_trainer(experiment(problem, network={"hidden": [4, 5], **network}, **changes))
    noise = torch.randn(t.theta.shape, generator=torch.Generator().manual_seed(3), dtype=t.theta.dtype)
    t.theta = t.theta + 0.05 * noise
    t.step()
    return t


def named(t: Trainer) -> dict[str, np.ndarray]:
    return {p.name: t.theta[p.slice].view(p.shape).numpy() for p in t.objective.parameters}


def test_slopes_and_gains_of_every_neuron() -> None:
    t = trained({"slopes": "neuron", "slope_scale": 3.0, "slope_on_output": True})
    frame, p = SlopesDiagnostic().observe(t), named(t)
    assert frame is not None
    assert list(frame.slopes) == ["hidden 1", "hidden 2", "output"] and list(frame.gains) == ["hidden 1", "hidden 2"]
    np.testing.assert_allclose(frame.slopes["output"], 3 * p["output slope"], rtol=1e-15)
    for name in frame.gains:
        for j in range(len(frame.gains[name])):
            incoming = [*p[f"{name} W"][:, j], p[f"{name} b"][j]]
            assert frame.gains[name][j] == pytest.approx(3 * p[f"{name} slope"][j] * math.hypot(*incoming), rel=1e-14)
    assert frame.learned == {} and math.isnan(frame.recovery) and math.isnan(frame.recovery_share)
    assert not frame.slopes["hidden 1"].flags.writeable


def test_gains_do_not_see_what_scaling_moves() -> None:
    """(a, w, b) -> (c a, w / c, b / c) is the same network."""
    t = trained({"slopes": "layer", "slope_scale": 2.0})
    before = SlopesDiagnostic().observe(t)
    places = {p.name: p.slice for p in t.objective.parameters}
    theta = t.theta.clone()
    theta[places["hidden 1 slope"]] *= 4
    theta[places["hidden 1 W"]] /= 4
    theta[places["hidden 1 b"]] /= 4
    t.theta = theta
    after = SlopesDiagnostic().observe(t)
    assert before is not None and after is not None
    np.testing.assert_allclose(after.gains["hidden 1"], before.gains["hidden 1"], rtol=1e-14)
    np.testing.assert_allclose(after.slopes["hidden 1"], 4 * before.slopes["hidden 1"], rtol=1e-14)


@pytest.mark.parametrize("kind", ["global", "layer", "neuron"])
@pytest.mark.parametrize("form", ["paper", "code"])
def test_the_share_of_recovery(kind: str, form: str) -> None:
    """Against the loss written out by nested autograd, and S(a) by the formulas of section 2b."""
    t = trained({"slopes": kind, "slope_scale": 2.0, "recovery": form},
                balancing={"weights": {"recovery": 0.3, "boundary": 4.0}})
    frame = SlopesDiagnostic().observe(t)
    assert frame is not None and t.draws is not None
    o, leaf = t.objective, t.theta.clone().requires_grad_()
    x = o.places.physical(t.draws)
    at = At(network_of(o, leaf), x)
    inside, edges = ((at("u", "xx") + at("u", "yy") - 1)[:7], at("u")[7:].view(4, 3))
    loss = inside.square().mean() + 4 * edges.square().mean(1).sum()
    slopes = [leaf[p.slice] for p in o.parameters if p.name.endswith("slope")]
    terms = torch.stack([torch.exp(s.mean()) for s in slopes])
    s_of_a = torch.exp(-slopes[0][0]) if kind == "global" else 1 / (terms.sum() if form == "code" else terms.mean())
    assert frame.recovery == pytest.approx(float(s_of_a.detach()), rel=1e-14)
    sizes = []
    for value in (0.3 * s_of_a, loss):
        gradient = torch.autograd.grad(value, leaf, retain_graph=True)[0]
        sizes.append(float(torch.cat([gradient[p.slice] for p in o.parameters if p.name.endswith("slope")]).norm()))
    assert frame.recovery_share == pytest.approx(sizes[0] / sizes[1], rel=1e-9)


def test_learned_activations() -> None:
    t = trained({"raf": "learnable", "raf_basis": ["sin", "gaussian"]})
    frame, p = SlopesDiagnostic().observe(t), named(t)
    assert frame is not None and frame.slopes == {}
    assert set(frame.learned) == {f"hidden {k} RAF {name}" for k in (1, 2) for name in
                                  ("sin", "sin frequency", "gaussian", "gaussian log width")}
    for name, values in frame.learned.items():
        assert (values == p[name]).all() and not values.flags.writeable
    assert frame.gains["hidden 2"][3] == pytest.approx(math.hypot(*p["hidden 2 W"][:, 3], p["hidden 2 b"][3]))
    rowdy = SlopesDiagnostic().observe(trained({"raf": "rowdy", "rowdy_terms": 2}))
    assert rowdy is not None and rowdy.learned["hidden 1 rowdy amplitudes"].shape == (2,)


def test_where_there_is_nothing_of_the_kind() -> None:
    assert SlopesDiagnostic().observe(trained({})) is None
    assert SlopesDiagnostic().observe(trained({"raf": "assigned"})) is None


def test_encoders_have_slopes_and_sub_domains_numbers() -> None:
    gated = SlopesDiagnostic().observe(trained({"kind": "gated", "hidden": [4, 4], "slopes": "global"}))
    assert gated is not None and list(gated.slopes) == [""]
    assert list(gated.gains) == ["encoder U", "encoder V", "hidden 1", "hidden 2"]
    t = trained({"slopes": "layer", "recovery": "paper"}, {"residuals": residual("u_xx + u_yy = 1")},
                decomposition={"splits": {"x": [0.5]}, "flux": {"x": "u_x"}, "interface_points": 4})
    cut = SlopesDiagnostic().observe(t)
    assert cut is not None and list(cut.slopes) == ["1: hidden 1", "1: hidden 2", "2: hidden 1", "2: hidden 2"]
    assert cut.recovery == pytest.approx(sum(value for name, value in t.readings().items() if name.endswith("S(a)")))
    assert 0 < cut.recovery_share < math.inf
    assert {f"{name}" for name in t.readings()} >= {"1: slope hidden 1", "2: slope hidden 2"}


def test_looking_changes_nothing() -> None:
    looked, left = (trained({"slopes": "layer", "recovery": "paper"}) for _ in range(2))
    SlopesDiagnostic().observe(looked)
    assert same(looked, left)
