"""Exact periodicity and random Fourier features: jets against nested autograd, and what periodic means."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core.architecture import Architecture
from core.features import Features
from core.jets import Jet, derivative_set
from core.networks import Network, build_network, initial_parameters
from tests.core.plain import agrees, close, start


@pytest.mark.parametrize("kind", ["mlp", "gated", "residual"])
@pytest.mark.parametrize("fourier", [0, 3])
@pytest.mark.parametrize("periods", [{}, {1: 2.5}, {0: 1.5, 1: 3.0}])
def test_networks_on_features(kind: str, fourier: int, periods: dict[int, float]) -> None:
    if fourier or periods:
        agrees(Architecture(kind, (6, 6), fourier_features=fourier, fourier_sigma=1.3), 2, periods=periods)


def test_more_harmonics_and_more_inputs() -> None:
    agrees(Architecture(hidden=(5, 5), harmonics=3), 2, 2, periods={0: 4.0})
    agrees(Architecture(hidden=(5,), harmonics=2, fourier_features=2, slopes="layer"), 3, highest=3, periods={2: 1.0})
    agrees(Architecture(hidden=(5,), raf="learnable"), 1, periods={0: 1.0})


def jet_at(network: Network, theta: Tensor, physical: Tensor) -> Jet:
    scale = torch.tensor([0.7, 1.9], dtype=torch.float64)
    carried = derivative_set([(0, 0, 0, 0), (0, 1, 1), (0, 0, 1)])
    return network.forward(theta, physical * scale, scale.unsqueeze(1), len(physical), carried, carried)


def test_periodic_means_the_value_and_every_derivative() -> None:
    period = 2.3
    network, theta, generator = start(Architecture(hidden=(8, 8), harmonics=2), 2, 1, periods={0: period})
    x = torch.randn(7, 2, generator=generator, dtype=torch.float64)
    moved = x + torch.tensor([period, 0.0], dtype=torch.float64)
    here, there = (jet_at(network, theta, points) for points in (x, moved))
    close(here.value, there.value)
    for index in ((0,), (1,), (0, 0), (0, 1), (0, 0, 0), (0, 1, 1), (0, 0, 0, 0)):
        a, b = here.get(index), there.get(index)
        assert a is not None and b is not None and a.abs().max() > 0
        close(a, b)
    elsewhere = jet_at(network, theta, x + torch.tensor([0.0, period], dtype=torch.float64))
    assert (elsewhere.value - here.value).abs().max() > 1e-3  # the other input is not periodic


def test_random_frequencies_are_constants_of_the_network() -> None:
    def network(**options: int) -> Network:
        return build_network(Architecture(hidden=(8,), fourier_features=4, **options), 2, 1)  # type: ignore[arg-type]

    assert sum(p.size for p in network().parameters) == 8 * 8 + 8 + 8 + 1
    theta = initial_parameters(network(), torch.Generator().manual_seed(1), torch.float64)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    state = torch.get_rng_state()
    a, b, c = (jet_at(n, theta, x).value for n in (network(), network(), network(feature_seed=1)))
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), state)  # torch's global generator is left alone


def test_frequencies_have_the_deviation_that_was_asked_for() -> None:
    features = Features(3, {}, fourier=4000, sigma=5.0)
    assert features.frequencies is not None and tuple(features.frequencies.shape) == (3, 4000)
    assert float(features.frequencies.std()) == pytest.approx(5.0, rel=0.03)
    assert features.width == 8000
    assert Features(3, {1: 2.0, 2: 1.0}, harmonics=2).width == 1 + 2 * 4


def test_features_work_in_either_precision() -> None:
    network = build_network(Architecture(hidden=(6,), fourier_features=3), 2, 1, {1: 2.0})
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = {}
    for dtype in (torch.float32, torch.float64):
        theta = initial_parameters(network, torch.Generator().manual_seed(1), dtype)
        carried = derivative_set([(0, 1)])
        jet = network.forward(theta, x.to(dtype), torch.ones(2, 1, dtype=dtype), 4, carried, carried)
        channel = jet.get((0, 1))
        assert channel is not None and channel.dtype == jet.value.dtype == dtype
        values[dtype] = channel.double()
    torch.testing.assert_close(values[torch.float32], values[torch.float64], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("periods", "sentence"), [({2: 1.0}, "input number 2"), ({0: 0.0}, "more than 0"),
                                                   ({1: float("inf")}, "more than 0")])
def test_a_period_that_cannot_be(periods: dict[int, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build_network(Architecture(), 2, 1, periods)
