"""Adaptive slopes and their recovery against the closed forms of Jagtap et al. 2020."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from core.architecture import Architecture
from core.jets import DerivativeSet, Operator, derivative_set
from core.networks import Network, build_network, initial_parameters
from tests.core.plain import named, start

SLOPES = ("global", "layer", "neuron")
NONE = DerivativeSet()


def built(slopes: str, hidden: tuple[int, ...] = (4, 6, 5), **options: Any) -> tuple[Network, torch.Tensor]:
    network, theta, _ = start(Architecture(hidden=hidden, slopes=slopes, **options), 2, 1, seed=3)
    return network, theta


def at_start(network: Network) -> torch.Tensor:
    return initial_parameters(network, torch.Generator().manual_seed(0), torch.float64)


def test_how_many_slopes_there_are() -> None:
    """Section 2: one, D - 1, and as many as hidden neurons; 961 / 901 for the paper's 1-20-20-20-1."""
    def slopes(kind: str, architecture: str = "mlp", output: bool = False) -> list[tuple[str, int]]:
        network = build_network(Architecture(architecture, (20, 20, 20), slopes=kind, slope_on_output=output), 1, 1)
        return [(p.name, p.size) for p in network.parameters if "slope" in p.name]

    assert slopes("none") == []
    assert slopes("global") == slopes("global", output=True) == [("slope", 1)]
    assert slopes("layer") == [(f"hidden {k} slope", 1) for k in (1, 2, 3)]
    assert slopes("neuron") == [(f"hidden {k} slope", 20) for k in (1, 2, 3)]
    assert slopes("neuron", output=True)[-1] == ("output slope", 1)
    assert slopes("layer", "gated")[:2] == [("encoder U slope", 1), ("encoder V slope", 1)]
    total = sum(p.size for p in build_network(Architecture(hidden=(20,) * 3, slopes="neuron"), 1, 1).parameters)
    assert total == 961


@pytest.mark.parametrize("kind", ["mlp", "gated", "residual"])
@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_the_start_is_the_network_with_the_fixed_activation(kind: str, slopes: str, scale: float) -> None:
    fixed = build_network(Architecture(kind, (6, 6)), 2, 1)
    adaptive = build_network(Architecture(kind, (6, 6), slopes=slopes, slope_scale=scale, slope_on_output=True), 2, 1)
    x = torch.randn(9, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    one = torch.ones(2, 1, dtype=torch.float64)
    operator = Operator((((0, 0), 1.0), ((1, 1), 1.0)))
    carried = derivative_set([], [operator])
    a, b = (network.forward(at_start(network), x, one, 5, carried, carried) for network in (fixed, adaptive))
    torch.testing.assert_close(a.value, b.value, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(a.operators[0], b.operators[0], rtol=1e-13, atol=1e-13)
    for _, factor in adaptive.slopes(at_start(adaptive)):
        torch.testing.assert_close(factor, torch.ones_like(factor))


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize(("scale", "published"), [(1, 0.36788), (2, 0.60653), (5, 0.81873), (10, 0.90484)])
def test_recovery_at_the_start_is_exp_of_minus_one_over_n(slopes: str, scale: float, published: float) -> None:
    """a = 1/n enters the exponential, not n a = 1."""
    network, _ = built(slopes, slope_scale=scale, recovery="paper")
    value = float(network.recovery(at_start(network)))
    assert value == pytest.approx(math.exp(-1 / scale), rel=1e-12)
    assert value == pytest.approx(published, abs=1e-5)


def test_the_released_function_fit_adds_where_the_paper_averages() -> None:
    """1 / (sum over four layers): 0.2262 at the start of the paper's 4 x 50 network with n = 10."""
    network, _ = built("neuron", (50,) * 4, slope_scale=10.0, recovery="code")
    assert float(network.recovery(at_start(network))) == pytest.approx(0.2262, abs=1e-4)
    for slopes, parts in (("layer", 3), ("neuron", 3), ("global", 1)):
        paper, theta = built(slopes, recovery="paper")
        code, _ = built(slopes, recovery="code")
        torch.testing.assert_close(code.recovery(theta) * parts, paper.recovery(theta))


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("form", ["paper", "code"])
def test_gradients_of_the_recovery(slopes: str, form: str) -> None:
    """dS/da^k = -S^2 exp(a^k) / (D - 1); a neuron's is its layer's, divided by the width; GAAF's is -exp(-a)."""
    network, theta = built(slopes, slope_scale=4.0, recovery=form)
    leaf = theta.clone().requires_grad_()
    value = network.recovery(leaf)
    gradient = named(network, torch.autograd.grad(value, leaf)[0])
    a, s = named(network, theta), float(value.detach())
    count = 3 if form == "paper" else 1
    for name, mine in gradient.items():
        if "slope" not in name:
            assert not mine.any()
        elif slopes == "global":
            torch.testing.assert_close(mine, -torch.exp(-a[name]), rtol=1e-12, atol=0)
        else:
            truth = -s**2 * torch.exp(a[name].mean()) / (count * a[name].numel())
            torch.testing.assert_close(mine, truth.expand_as(mine), rtol=1e-12, atol=0)
            assert (mine < 0).all()  # descent always pushes slopes up


def test_recovery_counts_the_layers_that_have_a_slope() -> None:
    """The encoders of a gated network, and the output where it has one; S(0) = 1 whatever there is."""
    for options in ({"kind": "gated"}, {"kind": "residual"}, {"slope_on_output": True}):
        architecture = Architecture(hidden=(4, 4), slopes="layer", recovery="paper", **options)  # type: ignore[arg-type]
        network = build_network(architecture, 2, 3)
        theta = at_start(network)
        assert float(network.recovery(torch.zeros_like(theta))) == 1.0
        moved = theta + torch.linspace(-1, 1, len(theta), dtype=torch.float64)
        a = torch.cat([v for k, v in named(network, moved).items() if "slope" in k])
        assert len(a) == {"gated": 4, "residual": 2}.get(str(options.get("kind")), 3)
        torch.testing.assert_close(network.recovery(moved), 1 / torch.exp(a).mean())


@pytest.mark.parametrize("slopes", ["layer", "neuron"])
def test_a_slope_can_be_moved_into_the_weights(slopes: str) -> None:
    """(a, w, b) -> (c a, w / c, b / c) is the same function, and a smaller S for c > 1: why slopes grow."""
    network, theta = built(slopes, slope_scale=2.0, recovery="paper")
    c, moved = 1.7, theta.clone()
    for p in network.parameters:
        if p.name == "hidden 2 slope":
            moved[p.slice] = theta[p.slice] * c
        elif p.name in ("hidden 2 W", "hidden 2 b"):
            moved[p.slice] = theta[p.slice] / c
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    one = torch.ones(2, 1, dtype=torch.float64)
    before, after = (network.forward(t, x, one, 0, NONE, NONE).value for t in (theta, moved))
    torch.testing.assert_close(before, after, rtol=1e-13, atol=1e-13)
    assert network.recovery(moved) < network.recovery(theta)


@pytest.mark.parametrize("slopes", ["layer", "neuron"])
def test_the_identity_of_the_proof_holds_everywhere(slopes: str) -> None:
    """a^k dJ/da^k = <Theta_k, dJ/dTheta_k> + a^k dS/da^k for J with recovery, layer by layer (Appendix A)."""
    network, theta = built(slopes, slope_scale=3.0, recovery="paper")
    x = torch.randn(7, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    one = torch.ones(2, 1, dtype=torch.float64)
    leaf = theta.clone().requires_grad_()
    recovery = network.recovery(leaf)
    loss = (network.forward(leaf, x, one, 0, NONE, NONE).value - x[:, :1]).square().mean() + recovery
    total, own = (named(network, torch.autograd.grad(f, leaf, retain_graph=True)[0]) for f in (loss, recovery))
    p = named(network, theta)
    for k in (1, 2, 3):
        left = p[f"hidden {k} slope"] * (total[f"hidden {k} slope"] - own[f"hidden {k} slope"])
        right = ((p[f"hidden {k} W"] * total[f"hidden {k} W"]).sum(0) + p[f"hidden {k} b"] * total[f"hidden {k} b"])
        torch.testing.assert_close(left, right if slopes == "neuron" else right.sum().view(1), rtol=1e-10, atol=1e-14)


def test_readings_are_mean_effective_slopes() -> None:
    network, theta = built("neuron", slope_scale=4.0, recovery="paper")
    p = named(network, theta)
    readings = network.readings(theta)
    assert set(readings) == {"slope hidden 1", "slope hidden 2", "slope hidden 3", "S(a)"}
    assert readings["slope hidden 2"] == pytest.approx(4 * float(p["hidden 2 slope"].mean()))
    assert readings["S(a)"] == pytest.approx(float(network.recovery(theta)))
    assert [(name, tuple(v.shape)) for name, v in network.slopes(theta)] == [
        ("hidden 1", (4,)), ("hidden 2", (6,)), ("hidden 3", (5,))]
    one, theta = built("global", slope_scale=4.0)
    assert set(one.readings(theta)) == {"slope"} and not one.has_recovery
    assert [name for name, _ in one.slopes(theta)] == [""]
    assert float(one.recovery(theta)) == 0
    fixed, theta = built("none")
    assert (fixed.readings(theta), fixed.slopes(theta), fixed.has_recovery) == ({}, [], False)
