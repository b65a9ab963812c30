"""Networks against plain torch with nested autograd; start values against independent draws and published formulas."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from core.activations import ACTIVATIONS
from core.architecture import Architecture
from core.jets import DerivativeSet, Operator, derivative_set
from core.networks import build_network, initial_parameters
from tests.core.plain import Plain, agrees, close, derivative, named, start

HIDDEN = {"mlp": (5, 4), "gated": (4, 4), "residual": (4, 4, 4, 4)}


def size(architecture: Architecture, inputs: int, outputs: int, periods: dict[int, float] | None = None) -> int:
    return sum(p.size for p in build_network(architecture, inputs, outputs, periods or {}).parameters)


@pytest.mark.parametrize("kind", sorted(HIDDEN))
@pytest.mark.parametrize("activation", ["tanh", "siren", "gelu"])
def test_every_kind_of_network(kind: str, activation: str) -> None:
    agrees(Architecture(kind, HIDDEN[kind], activation), 2, 2)


@pytest.mark.parametrize("kind", sorted(HIDDEN))
@pytest.mark.parametrize("slopes", ["global", "layer", "neuron"])
@pytest.mark.parametrize("output", [False, True])
def test_slopes_in_every_kind_of_network(kind: str, slopes: str, output: bool) -> None:
    agrees(Architecture(kind, HIDDEN[kind], slopes=slopes, slope_scale=3.0, slope_on_output=output), 2, 2)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(HIDDEN)), st.sampled_from(sorted(set(ACTIVATIONS) - {"relu", "relu3"})),
       st.sampled_from(["none", "global", "layer", "neuron"]), st.sampled_from(["none", "assigned"]),
       st.sampled_from([1.0, 2.0]), st.booleans(), st.sampled_from([0, 3]), st.integers(0, 2**31))
def test_what_can_be_combined_agrees(kind: str, activation: str, slopes: str, raf: str, scale: float, periodic: bool,
                                     fourier: int, seed: int) -> None:
    hidden = (8,) * (2 if kind == "residual" else 1)
    architecture = Architecture(kind, hidden, activation, slopes=slopes, slope_scale=scale, raf=raf,
                                fourier_features=fourier)
    agrees(architecture, 2, 1, highest=3, seed=seed, periods={1: 2.5} if periodic else {}, tolerance=1e-9)


def test_relu_networks_where_they_can_be_differentiated() -> None:
    agrees(Architecture(hidden=(6, 6), activation="relu", slopes="layer"), 2, highest=1)
    agrees(Architecture("gated", (6, 6), activation="relu3"), 2, highest=3)


def test_only_what_the_equations_read_leaves_the_network() -> None:
    """And derivatives are those of the first n points."""
    for kind, hidden in HIDDEN.items():
        network, theta, generator = start(Architecture(kind, hidden), 2, 1)
        x = torch.randn(6, 2, generator=generator, dtype=torch.float64)
        scale = torch.tensor([1.5, 0.5], dtype=torch.float64)
        operator = Operator((((0, 0), 1.0), ((1, 1), -2.0)))
        jet = network.forward(theta, x * scale, scale.unsqueeze(1), 3, derivative_set([(1,)], [operator]),
                              DerivativeSet((1,), (operator,)))
        assert jet.first is not None and tuple(jet.first.shape) == (1, 3, 1)
        u = Plain(Architecture(kind, hidden), named(network, theta), scale)
        close(jet.first[0, :, 0], derivative(u, x, (1,))[:3])
        truth = derivative(u, x, (0, 0)) - 2 * derivative(u, x, (1, 1))
        assert jet.operators[0] is not None
        close(jet.operators[0][:, 0], truth[:3])


# ---------------------------------------------------------------------- start values

def test_the_default_draws_are_those_of_the_released_code() -> None:
    """Glorot normal weights one after the other, encoders first; zero biases, random ones for the encoders."""
    for kind in ("mlp", "gated"):
        network = build_network(Architecture(kind, (6, 6)), 2, 1)
        theta = initial_parameters(network, torch.Generator().manual_seed(5), torch.float64)
        g = torch.Generator().manual_seed(5)

        def glorot(rows: int, columns: int, g: torch.Generator = g) -> Tensor:
            return torch.randn(rows, columns, generator=g, dtype=torch.float64) * math.sqrt(2 / (rows + columns))

        parts = [glorot(2, 6), glorot(1, 6), glorot(2, 6), glorot(1, 6)] if kind == "gated" else []
        for rows, columns in ((2, 6), (6, 6), (6, 1)):
            parts += [glorot(rows, columns), torch.zeros(columns, dtype=torch.float64)]
        assert torch.equal(theta, torch.cat([part.reshape(-1) for part in parts]))
        assert [p.name for p in network.kernels] == ["hidden 1 W", "hidden 2 W", "output W"]


def test_float32_starts_where_float64_does() -> None:
    network = build_network(Architecture(raf="learnable", raf_start="image", initial="siren"), 2, 1)
    single, double = (initial_parameters(network, torch.Generator().manual_seed(1), dtype)
                      for dtype in (torch.float32, torch.float64))
    assert torch.equal(single, double.to(torch.float32))


@pytest.mark.parametrize("kind", sorted(HIDDEN))
def test_slopes_and_reproducing_parameters_leave_the_weights_draws_alone(kind: str) -> None:
    plain = initial_parameters(build_network(Architecture(kind, HIDDEN[kind]), 2, 1),
                               torch.Generator().manual_seed(2), torch.float64)
    for extra in ({"slopes": "neuron", "slope_scale": 2.0, "slope_on_output": True}, {"raf": "learnable"},
                  {"raf": "rowdy"}):
        network = build_network(Architecture(kind, HIDDEN[kind], **extra), 2, 1)  # type: ignore[arg-type]
        theta = initial_parameters(network, torch.Generator().manual_seed(2), torch.float64)
        assert len(theta) > len(plain) and torch.equal(theta[: len(plain)], plain)


def normal(deviation: float) -> tuple[str, float]:
    return "normal", deviation


def within(bound: float) -> tuple[str, float]:
    return "uniform", bound


@pytest.mark.parametrize(("scheme", "first", "later", "output", "bias"), [
    ("glorot-normal", normal(math.sqrt(2 / 402)), normal(math.sqrt(2 / 800)), normal(math.sqrt(2 / 410)), None),
    ("glorot-uniform", within(math.sqrt(6 / 402)), within(math.sqrt(6 / 800)), within(math.sqrt(6 / 410)), None),
    ("he-normal", normal(1.0), normal(math.sqrt(2 / 400)), normal(math.sqrt(2 / 400)), None),
    ("normal", normal(0.2), normal(0.2), normal(0.2), normal(0.2)),
    ("torch", within(math.sqrt(1 / 2)), within(0.05), within(0.05), within(0.05)),
    ("siren", within(1 / 2), within(math.sqrt(6 / 400) / 30), within(math.sqrt(6 / 400) / 30), within(0.05)),
])
def test_initialisations(scheme: str, first: tuple[str, float], later: tuple[str, float], output: tuple[str, float],
                         bias: tuple[str, float] | None) -> None:
    network = build_network(Architecture(hidden=(400, 400), initial=scheme, initial_scale=0.2), 2, 10)
    p = named(network, initial_parameters(network, torch.Generator().manual_seed(0), torch.float64))
    for name, expected in (("hidden 1 W", first), ("hidden 2 W", later), ("output W", output), ("hidden 2 b", bias)):
        values = p[name]
        if expected is None:
            assert not values.any()
            continue
        law, number = expected
        deviation = number if law == "normal" else number / math.sqrt(3)
        error = 5 / math.sqrt(values.numel())
        assert float(values.std()) == pytest.approx(deviation, rel=error)
        assert abs(float(values.mean())) < error * deviation
        assert (float(values.abs().max()) <= number) == (law == "uniform")
        if law == "uniform":
            assert float(values.abs().max()) > 0.95 * number


def test_an_encoder_s_bias_starts_as_the_other_parameters_do() -> None:
    bound = {"torch": math.sqrt(1 / 2), "siren": math.sqrt(1 / 2), "glorot-uniform": math.sqrt(6 / 401)}
    for scheme in ("glorot-normal", "glorot-uniform", "he-normal", "normal", "torch", "siren"):
        network = build_network(Architecture("gated", (400, 400), initial=scheme, initial_scale=0.2), 2, 1)
        p = named(network, initial_parameters(network, torch.Generator().manual_seed(0), torch.float64))
        deviation = bound[scheme] / math.sqrt(3) if scheme in bound else 0.2 if scheme == "normal" else (2 / 401) ** 0.5
        assert float(p["encoder V b"].std()) == pytest.approx(deviation, rel=0.15)
        assert float(p["encoder V b"].abs().max()) <= bound.get(scheme, math.inf)


# ---------------------------------------------------------------------- sizes

def test_numbers_of_parameters() -> None:
    """Of the papers: LAAF's 1-20-20-20-1, the networks of the RAF scripts, the gated network's 2 (d + 1) M more."""
    assert size(Architecture(hidden=(20, 20, 20)), 1, 1) == 901
    assert size(Architecture(hidden=(256,) * 4), 2, 1) == 198_401
    assert size(Architecture(hidden=(256,) * 4), 1, 1) == 198_145
    assert size(Architecture(hidden=(400,) * 4), 3, 3) == 484_003
    assert size(Architecture("residual", (50,) * 4), 2, 1) == 7_851
    assert size(Architecture("residual", (100,) * 4), 10, 1) == 31_501
    assert size(Architecture("gated", (50,) * 3), 2, 1) == size(Architecture(hidden=(50,) * 3), 2, 1) + 2 * 3 * 50


def test_parameters_lie_one_after_the_other() -> None:
    for kind, hidden in HIDDEN.items():
        for extra in ({"slopes": "layer"}, {"raf": "learnable"}, {"raf": "rowdy", "slope_scale": 2.0}):
            network = build_network(Architecture(kind, hidden, **extra), 2, 1)  # type: ignore[arg-type]
            end = 0
            for parameter in network.parameters:
                assert parameter.offset == end
                end = parameter.slice.stop
            assert len({p.name for p in network.parameters}) == len(network.parameters)


# ---------------------------------------------------------------------- what an engine needs

@pytest.mark.parametrize("options", [
    {"slopes": "neuron", "slope_scale": 5.0, "recovery": "paper"}, {"raf": "learnable"}, {"fourier_features": 2},
])
def test_a_step_can_be_traced(options: dict[str, Any]) -> None:
    """Forward and backward as one graph of tensor operations, which then works on other numbers."""
    network, theta, generator = start(Architecture(**{"hidden": (6,), **options}), 2, 1, periods={0: 2.0})
    operator = Operator((((0, 0), 1.0), ((1, 1), 1.0)))
    carried = derivative_set([], [operator])
    scale = torch.tensor([[1.2], [0.8]], dtype=torch.float64)

    def loss(theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        leaf = theta.detach().requires_grad_()
        jet = network.forward(leaf, x, scale, 4, carried, DerivativeSet(operators=(operator,)))
        assert jet.operators[0] is not None
        total = jet.value.square().mean() + jet.operators[0].square().mean() + network.recovery(leaf)
        return total.detach(), torch.autograd.grad(total, leaf)[0]

    x = torch.randn(2, 7, 2, generator=generator, dtype=torch.float64)
    graph = make_fx(loss)(theta, x[0])
    for mine, truth in zip(graph(theta * 1.1, x[1]), loss(theta * 1.1, x[1]), strict=True):
        torch.testing.assert_close(mine, truth)


# ---------------------------------------------------------------------- what makes no sense

@pytest.mark.parametrize(("options", "sentence"), [
    ({"kind": "gated", "hidden": (10, 20)}, "equal; 10, 20 are not"),
    ({"kind": "residual", "hidden": (10, 20)}, "equally wide"),
    ({"kind": "residual", "hidden": (10, 10, 10)}, "even in number"),
    ({"kind": "transformer"}, "no kind of network 'transformer'; there is mlp, gated, residual"),
    ({"hidden": ()}, "at least one"),
    ({"hidden": (5, 0)}, "width 1 or more"),
    ({"activation": "swish"}, "no activation 'swish'"),
    ({"initial": "zero"}, "no initialisation 'zero'"),
    ({"recovery": "paper"}, "this network has none"),
    ({"slopes": "layer", "slope_scale": 0.0}, "slope_scale must be more than 0"),
    ({"slopes": "layer", "raf": "learnable"}, "twice"),
    ({"slopes": "layer", "raf": "rowdy"}, "choose slopes or rowdy"),
    ({"raf": "rowdy", "rowdy_terms": 0}, "at least one sinusoid"),
    ({"raf": "learnable", "raf_basis": ("x", "wavelet")}, "no function 'wavelet'"),
    ({"raf": "learnable", "raf_basis": ()}, "there is no function"),
    ({"raf": "learnable", "raf_basis": ("sin", "sin")}, "twice"),
    ({"raf": "assigned", "hidden": (3,)}, "too narrow"),
    ({"raf": "assigned", "hidden": (50,), "raf_blocks": (12, 12, 12, 12)}, "whose sum is 50"),
    ({"raf": "assigned", "hidden": (50, 40), "raf_blocks": (12, 12, 16, 10)}, "whose sum is 40"),
    ({"raf_width": -1.0}, "raf_width"),
    ({"fourier_features": -1}, "0 or more"),
    ({"harmonics": 0}, "harmonic"),
])
def test_an_architecture_that_cannot_be_is_refused_with_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Architecture(**options)


def test_a_residual_network_narrower_than_its_input_is_refused() -> None:
    with pytest.raises(ValueError, match="4 is too narrow"):
        build_network(Architecture("residual", (4, 4)), 5, 1)


def test_what_an_architecture_does_not_use_is_not_checked() -> None:
    """A form keeps what was typed where a switch is off."""
    Architecture(raf_basis=("sin", "sin"), raf_blocks=(1, 2), rowdy_terms=0, slope_on_output=True)
