"""Reproducing activations against plain torch, the published start values, counts and derivatives."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from core.architecture import Architecture
from core.choices import Basis
from core.jets import DerivativeSet
from core.networks import build_network, initial_parameters
from core.raf import BASES, Learnable, Rowdy
from tests.core.plain import agrees, close, named, start

SMOOTH = ("x", "x2", "sin", "cos", "gaussian", "tanh")
NONE = DerivativeSet()


def drawn(seed: int = 0, **options: Any) -> dict[str, Tensor]:
    network = build_network(Architecture(**{"hidden": (3000,), "raf": "learnable", **options}), 2, 1)
    return named(network, initial_parameters(network, torch.Generator().manual_seed(seed), torch.float64))


def test_every_function_of_the_basis_is_there() -> None:
    assert set(BASES) == set(get_args(Basis))


@pytest.mark.parametrize("start_values", ["pde", "image", "audio"])
def test_learnable_networks(start_values: str) -> None:
    """Frequencies of 30 and Gaussians of width 0.01 make fourth derivatives of 1e8 and more, still exact."""
    agrees(Architecture(hidden=(5, 5), raf="learnable", raf_start=start_values, initial="siren"), 2, 2, shake=0.01,
           tolerance=1e-9)


@pytest.mark.parametrize("basis", [b for size in (1, 2) for b in combinations(SMOOTH, size)] + [SMOOTH])
def test_any_subset_of_the_basis(basis: tuple[str, ...]) -> None:
    agrees(Architecture(hidden=(4,), raf="learnable", raf_basis=basis), 2)


@pytest.mark.parametrize(("basis", "highest"), [(("relu3",), 3), (("x", "relu3", "sin"), 3), (("relu", "x2"), 1)])
def test_functions_with_a_kink(basis: tuple[str, ...], highest: int) -> None:
    agrees(Architecture(hidden=(6, 6), raf="learnable", raf_basis=basis), 2, highest=highest)


@pytest.mark.parametrize("kind", ["mlp", "gated", "residual"])
@pytest.mark.parametrize("raf", ["learnable", "assigned", "rowdy"])
def test_every_kind_of_network(kind: str, raf: str) -> None:
    agrees(Architecture(kind, (9, 9), raf=raf, slope_scale=2.0), 2, highest=3)


@pytest.mark.parametrize("basis", [("x", "x2", "sin", "gaussian"), ("x2", "cos"), ("tanh",)])
def test_assigned_networks(basis: tuple[str, ...]) -> None:
    agrees(Architecture(hidden=(9, 6), raf="assigned", raf_basis=basis, raf_width=0.4), 2)
    agrees(Architecture("residual", (9, 9), raf="assigned", raf_basis=basis, slopes="layer", slope_scale=3.0), 2)


def test_gradients_by_the_activation_s_parameters() -> None:
    """df/ds = e z^2 / s^3 G, df/dd = c z cos(d z), and the basis itself for the coefficients."""
    f = Learnable(("x", "x2", "sin", "gaussian"), "pde", 0.5)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(8, 1, generator=generator, dtype=torch.float64)
    a, b, c, d, e, log_s = p = torch.randn(6, generator=generator, dtype=torch.float64)
    s = torch.exp(log_s)
    bell = torch.exp(-z**2 / (2 * s**2))
    truth = torch.cat([z, z**2, torch.sin(d * z), c * z * torch.cos(d * z), bell, e * z**2 / s**3 * bell * s], 1)
    leaf = p.clone().requires_grad_()
    value = f(z, 8, 0, leaf)[0]
    for k in range(8):
        close(torch.autograd.grad(value[k, 0], leaf, retain_graph=True)[0], truth[k])
    parts = f(z, 8, 3, p)
    close(parts[1], a + 2 * b * z + c * d * torch.cos(d * z) - e * z / s**2 * bell)
    close(parts[2], 2 * b - c * d**2 * torch.sin(d * z) + e * (z**2 / s**4 - 1 / s**2) * bell)
    close(parts[3], -c * d**3 * torch.cos(d * z) + e * (3 * z / s**4 - z**3 / s**6) * bell)


# ---------------------------------------------------------------------- sizes

@pytest.mark.parametrize(("inputs", "outputs", "width", "basis", "plain", "total"), [
    (2, 1, 256, ("x", "x2", "sin", "gaussian"), 198_401, 204_545),
    (1, 1, 256, ("sin", "gaussian"), 198_145, 202_241),
    (3, 3, 400, ("x", "x2", "sin", "gaussian"), 484_003, 493_603),
    (3, 3, 400, ("sin", "gaussian"), 484_003, 490_403),
])
def test_published_networks_have_their_number_of_parameters(inputs: int, outputs: int, width: int,
                                                            basis: tuple[str, ...], plain: int, total: int) -> None:
    def count(**options: Any) -> int:
        architecture = Architecture(hidden=(width,) * 4, raf_basis=basis, **options)
        return sum(p.size for p in build_network(architecture, inputs, outputs).parameters)

    assert (count(), count(raf="learnable"), count(raf="assigned")) == (plain, total, plain)


@pytest.mark.parametrize(("width", "given", "blocks"), [
    (50, (), (12, 12, 12, 14)), (100, (), (25, 25, 25, 25)),  # the regular and the singular script
    (50, (12, 12, 16, 10), (12, 12, 16, 10)), (100, (25, 25, 40, 10), (25, 25, 40, 10)),  # the oscillation script
])
def test_blocks_are_those_of_the_pde_scripts(width: int, given: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    architecture = Architecture("residual", (width,) * 4, raf="assigned", raf_width=0.05, raf_blocks=given)
    assert architecture.block_widths(width) == blocks
    network, theta, generator = start(architecture, 2, 1)
    x = torch.rand(3, 2, generator=generator, dtype=torch.float64)
    p, one = named(network, theta), torch.ones(2, 1, dtype=torch.float64)

    def phi(k: int, h: Tensor) -> Tensor:
        z, s, c, g = torch.split(h @ p[f"hidden {k} W"] + p[f"hidden {k} b"], list(blocks), 1)
        return torch.cat([z, s * s, torch.sin(c), torch.exp(-g * g / (2 * 0.05**2))], 1)

    y = phi(2, phi(1, x)) + torch.nn.functional.pad(x, (0, width - 2))
    y = phi(4, phi(3, y)) + y
    close(network.forward(theta, x, one, 0, NONE, NONE).value, y @ p["output W"] + p["output b"])


# ---------------------------------------------------------------------- start values

@pytest.mark.parametrize(("start_values", "expected"), [
    ("image", {"x": (0, 0.1), "x2": (1, 0.1), "sin": (2, 0.1), "sin frequency": (30, 0.001), "gaussian": (1, 0.1)}),
    ("audio", {"sin": (2, 0.1), "sin frequency": (30, 10), "gaussian": (1, 0.1)}),
    ("pde", {"x": (0, 0.1), "x2": (0, 0.1), "sin": (1, 0.1), "sin frequency": (1, 0), "gaussian": (0, 0.1),
             "gaussian log width": (math.log(0.3), 0)}),
])
def test_start_values(start_values: str, expected: dict[str, tuple[float, float]]) -> None:
    basis = tuple(name for name in ("x", "x2", "sin", "gaussian") if name in expected)
    p = drawn(raf_basis=basis, raf_start=start_values, raf_width=0.3)
    for name, (mean, deviation) in expected.items():
        values = p[f"hidden 1 RAF {name}"]
        assert float(values.mean()) == pytest.approx(mean, abs=5 * deviation / math.sqrt(len(values)) + 1e-12)
        assert float(values.std()) == pytest.approx(deviation, rel=0.1, abs=1e-12)
    if start_values != "pde":
        widths = torch.exp(p["hidden 1 RAF gaussian log width"])
        assert 0.01 <= float(widths.min()) < 0.0105 and 0.0495 < float(widths.max()) <= 0.05
        assert float(widths.mean()) == pytest.approx(0.03, abs=0.001)


def test_functions_without_a_published_start() -> None:
    for start_values in ("pde", "image", "audio"):
        p = drawn(raf_basis=("sin", "tanh", "relu3"), raf_start=start_values)
        assert (p["hidden 1 RAF tanh scale"] == 1).all() and abs(float(p["hidden 1 RAF relu3"].mean())) < 0.01
    assert abs(float(drawn(raf_basis=("x2", "sin"), raf_start="audio")["hidden 1 RAF x2"].mean())) < 0.01
    for basis in (("x", "gaussian"), ("x2", "relu3"), ("x",)):  # nothing else would start away from zero
        assert float(drawn(raf_basis=basis)[f"hidden 1 RAF {basis[-1]}"].mean()) == pytest.approx(1, abs=0.01)


def test_a_width_cannot_pass_through_zero() -> None:
    """The parameter is log s: a step of any size leaves a finite function."""
    f = Learnable(("gaussian",), "pde", 0.5)
    z = torch.linspace(-1, 1, 5).view(5, 1)
    for log_width in (-8.0, 0.0, 8.0):
        parts = f(z, 5, 2, torch.tensor([1.0, log_width]))
        assert all(torch.isfinite(part).all() for part in parts)


# ---------------------------------------------------------------------- relatives

def same_function(a: Architecture, b: Architecture, changes: dict[str, Tensor]) -> None:
    """Both networks agree once the parameters of the second are those of the first where names agree, and `changes`."""
    first, theta, generator = start(a, 2, 1)
    second = build_network(b, 2, 1)
    known = named(first, theta)
    other = torch.cat([(known[p.name] if p.name in known else changes[p.name]).reshape(-1).expand(p.size)
                       for p in second.parameters])
    x = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    one = torch.ones(2, 1, dtype=torch.float64)
    close(second.forward(other, x, one, 0, NONE, NONE).value, first.forward(theta, x, one, 0, NONE, NONE).value)


def test_assigned_is_learnable_with_one_coefficient_each() -> None:
    hidden, basis = (8,), ("x", "x2", "sin", "gaussian")
    one = torch.ones((), dtype=torch.float64)
    changes = {f"hidden 1 RAF {name}": (torch.arange(8) // 2 == k).double() for k, name in enumerate(basis)}
    changes |= {"hidden 1 RAF sin frequency": one, "hidden 1 RAF gaussian log width": math.log(0.5) * one}
    same_function(Architecture(hidden=hidden, raf="assigned"), Architecture(hidden=hidden, raf="learnable"), changes)


def test_a_slope_for_each_neuron_is_one_function_with_a_scale() -> None:
    """N-LAAF in RAF's notation: P = 1, alpha = 1, beta = n a."""
    network, theta, _ = start(Architecture(hidden=(6, 6), slopes="neuron", slope_scale=2.0), 2, 1)
    one = torch.ones((), dtype=torch.float64)
    changes = {f"{name} RAF tanh scale": factor for name, factor in network.slopes(theta)}
    changes |= {f"hidden {k} RAF tanh": one for k in (1, 2)}
    same_function(Architecture(hidden=(6, 6), slopes="neuron", slope_scale=2.0),
                  Architecture(hidden=(6, 6), raf="learnable", raf_basis=("tanh",)), changes)


def test_rowdy_starts_as_its_base_with_whole_frequencies() -> None:
    scale = 4.0
    network = build_network(Architecture(hidden=(5, 5), raf="rowdy", rowdy_terms=3, slope_scale=scale), 2, 1)
    p = named(network, initial_parameters(network, torch.Generator().manual_seed(0), torch.float64))
    assert not p["hidden 1 rowdy amplitudes"].any() and tuple(p["hidden 2 rowdy amplitudes"].shape) == (3,)
    assert torch.equal(p["hidden 1 rowdy frequencies"], torch.full((3,), 1 / scale, dtype=torch.float64))
    f = Rowdy(BASES["tanh"], 3, scale)
    z = torch.linspace(-2, 2, 9, dtype=torch.float64).view(9, 1)
    amplitudes = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    own = torch.cat([amplitudes, torch.full((3,), 1 / scale, dtype=torch.float64)])
    truth = torch.tanh(z) + sum(scale * amplitudes[k] * torch.sin((k + 1) * z) for k in range(3))
    close(f(z, 9, 0, own)[0], truth)
    agrees(Architecture(hidden=(5, 5), activation="gelu", raf="rowdy", rowdy_terms=2, slope_scale=scale), 2)
