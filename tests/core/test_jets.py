"""Jets against nested reverse-mode autograd in float64: an independent way to the same derivatives."""

from __future__ import annotations

from itertools import combinations_with_replacement

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.activations import ACTIVATIONS
from core.architecture import Architecture
from core.jets import DerivativeSet, Index, Operator, derivative_set, partitions, splittings
from core.networks import Network, build_network, initial_parameters

N, EXTRA = 5, 3  # points with derivatives, points with values only


def nested(network: Network, theta: torch.Tensor, x: torch.Tensor, scale: torch.Tensor, index: Index,
           field: int) -> torch.Tensor:
    """d^k u_field / dx_index at every point, by differentiating the value again and again."""
    x = x.clone().requires_grad_()
    value = network.forward(theta, x * scale, scale.unsqueeze(1), len(x), DerivativeSet(), DerivativeSet()).value
    out = value[:, field]
    for i in index:
        if not out.requires_grad:
            return torch.zeros(len(x), dtype=x.dtype)
        gradient = torch.autograd.grad(out.sum(), x, create_graph=True, allow_unused=True)[0]
        out = torch.zeros(len(x), dtype=x.dtype) if gradient is None else gradient[:, i]
    return out.detach()


def close(mine: torch.Tensor | None, truth: torch.Tensor) -> None:
    """Agreement to 1e-10 of the largest value."""
    got = torch.zeros_like(truth) if mine is None else mine.expand_as(truth)
    assert (got - truth).abs().max() <= 1e-10 * max(1.0, float(truth.abs().max()))


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, str, int, tuple[int, ...], int, set[Index], int]:
    inputs = draw(st.integers(1, 3))
    depth = draw(st.integers(1, 3))
    kind = draw(st.sampled_from(["mlp", "gated"]))
    width = draw(st.integers(1, 6))
    hidden = (width,) * depth if kind == "gated" else tuple(draw(st.integers(1, 6)) for _ in range(depth))
    pure = [(i,) * order for i in range(inputs) for order in range(1, 5)]
    mixed = [index for order in (2, 3, 4) for index in combinations_with_replacement(range(inputs), order)]
    indices = draw(st.sets(st.sampled_from(pure + mixed), min_size=1, max_size=5))
    return (kind, draw(st.sampled_from(sorted(ACTIVATIONS))), inputs, hidden, draw(st.integers(1, 2)), indices,
            draw(st.integers(0, 2**31)))


@settings(max_examples=120, deadline=None)
@given(cases())
def test_every_derivative_agrees_with_nested_autograd(case: tuple[str, str, int, tuple[int, ...], int, set[Index], int]
                                                      ) -> None:
    kind, activation, inputs, hidden, fields, indices, seed = case
    if activation == "relu":  # its second derivative is zero almost everywhere
        indices = {index for index in indices if len(index) < 2} or {(0,)}
    if activation == "relu3":  # three times differentiable almost everywhere; the fourth derivative is zero there
        indices = {index for index in indices if len(index) < 4} or {(0, 0)}
    generator = torch.Generator().manual_seed(seed)
    network = build_network(Architecture(kind, hidden, activation), inputs, fields)
    theta = initial_parameters(network, generator, torch.float64)
    theta = theta + 0.1 * torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    x = torch.randn(N + EXTRA, inputs, generator=generator, dtype=torch.float64)
    scale = 0.5 + torch.rand(inputs, generator=generator, dtype=torch.float64)
    carried = derivative_set(indices)
    outputs = DerivativeSet(
        tuple(sorted({i[0] for i in indices if len(i) == 1})),
        tuple(Operator.single(i) for i in sorted(indices) if len(i) == 2),
        tuple(i for i in carried.higher if i in indices),
    )
    jet = network.forward(theta, x * scale, scale.unsqueeze(1), N, carried, outputs)
    for field in range(fields):
        close(jet.value[:, field], nested(network, theta, x, scale, (), field))
        for index in indices:
            channel = jet.get(index)
            close(None if channel is None else channel[:, field], nested(network, theta, x, scale, index, field)[:N])


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["mlp", "gated"]), st.sampled_from(sorted(ACTIVATIONS)), st.integers(1, 4),
       st.booleans(), st.integers(0, 2**31))
def test_a_collapsed_operator_is_the_sum_of_its_derivatives(kind: str, activation: str, inputs: int, plain: bool,
                                                           seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    network = build_network(Architecture(kind, (4, 4), activation), inputs, 1)
    theta = initial_parameters(network, generator, torch.float64)
    x = torch.randn(N, inputs, generator=generator, dtype=torch.float64)
    scale = 0.5 + torch.rand(inputs, generator=generator, dtype=torch.float64)
    pairs = [(i, i) for i in range(inputs)]
    if not plain:
        pairs = list(combinations_with_replacement(range(inputs), 2))
    coefficients = [1.0] * len(pairs) if plain else torch.randn(len(pairs), generator=generator).double().tolist()
    operator = Operator(tuple(zip(pairs, coefficients, strict=True)))
    carried = derivative_set((), [operator])
    assert len(carried.operators) == 1, "a sum of second derivatives is one channel"
    jet = network.forward(theta, x * scale, scale.unsqueeze(1), N, carried, DerivativeSet(operators=(operator,)))
    channel = jet.operators[0]
    truth = sum(c * nested(network, theta, x, scale, pair, 0) for pair, c in operator.entries)
    assert isinstance(truth, torch.Tensor)
    close(None if channel is None else channel[:, 0], truth)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_an_activation_s_derivatives_are_those_of_its_value(name: str) -> None:
    z = torch.linspace(-3, 3, 41, dtype=torch.float64).requires_grad_()  # 0 is a kink of relu3's third derivative
    z = (z + 0.01).detach().requires_grad_()
    jet = ACTIVATIONS[name](z, len(z), 4)
    out = ACTIVATIONS[name](z, len(z), 0)[0]
    for order in range(5):
        close(jet[order].detach(), out.detach())
        if order < 4:
            out = torch.autograd.grad(out.sum(), z, create_graph=True)[0] if out.requires_grad else torch.zeros_like(z)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations_survive_large_arguments(name: str) -> None:
    z = torch.tensor([-60.0, -20.0, 20.0, 60.0])
    for f in ACTIVATIONS[name](z, 4, 4):
        assert torch.isfinite(f).all()


def test_only_what_is_needed_is_carried() -> None:
    laplacian = Operator((((0, 0), 1.0), ((1, 1), 1.0)))
    carried = derivative_set((), [laplacian])
    assert (carried.first, carried.operators, carried.higher) == ((0, 1), (laplacian,), ())
    assert derivative_set([(1,)]) == DerivativeSet(first=(1,))
    third = derivative_set([(0, 0, 0)])
    assert third == DerivativeSet((0,), (Operator.single((0, 0)),), ((0, 0, 0),))
    with pytest.raises(ValueError, match="fourth order"):
        derivative_set([(0,) * 5])


def test_combinatorics_against_known_counts() -> None:
    # Bell numbers count set partitions, powers of two the subsets of a product rule
    for order, bell in ((1, 1), (2, 2), (3, 5), (4, 15)):
        assert sum(count for count, _ in partitions((0,) * order)) == bell
        assert sum(count for count, _, _ in splittings((0,) * order)) == 2**order
    assert {blocks: count for count, blocks in partitions((0, 0, 0, 0))}[((0, 0), (0, 0))] == 3


def test_a_gated_network_needs_equal_widths() -> None:
    with pytest.raises(ValueError, match="equal"):
        Architecture("gated", (10, 20))


def test_initialisation_follows_the_released_code() -> None:
    network = build_network(Architecture("gated", (400, 400)), 2, 1)
    theta = initial_parameters(network, torch.Generator().manual_seed(0), torch.float64)
    spread = {p.name: float(theta[p.slice].std()) if p.size > 1 else 0.0 for p in network.parameters}
    assert spread["encoder U b"] == pytest.approx((2 / 401) ** 0.5, rel=0.15)
    assert spread["hidden 2 W"] == pytest.approx((2 / 800) ** 0.5, rel=0.02)
    assert spread["hidden 1 b"] == spread["hidden 2 b"] == 0.0
