"""Pre-activations, curves, saturation and death against networks computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.diagnostics.activations import ActivationsDiagnostic, points_of, pre_activations, reach
from core.frames import ActivationsFrame
from core.trainer import Trainer
from studio.build import build_trainer
from tests.core.plain import Plain, named
from tests.core.samples import experiment, grid_file, residual, same

NETWORKS: list[dict[str, Any]] = [
    {},
    {"kind": "gated", "hidden": [6, 6], "slopes": "neuron", "slope_scale": 2.0},
    {"kind": "residual", "hidden": [6, 6], "slopes": "layer", "slope_scale": 5.0},
    {"slopes": "global", "slope_on_output": True},
    {"raf": "learnable", "raf_basis": ["x", "sin", "gaussian"]},
    {"raf": "assigned", "raf_basis": ["x", "x2", "sin"]},
    {"raf": "rowdy", "rowdy_terms": 2, "slope_scale": 2.0},
    {"raf": "assigned", "raf_basis": ["x", "sin"], "slopes": "neuron"},
]


def trained(network: dict[str, Any], steps: int = 2, problem: dict[str, Any] | None = None, shake: float = 0.3,
            **changes: Any) -> Trainer:
    t = build_trainer(experiment(problem, network={"hidden": [6, 7], **network}, **changes))
    noise = torch.randn(t.theta.shape, generator=torch.Generator().manual_seed(3), dtype=t.theta.dtype)
    t.theta = t.theta + shake * noise
    for _ in range(steps):
        t.step()
    return t


def observed(t: Trainer) -> ActivationsFrame:
    frame = ActivationsDiagnostic().observe(t)
    assert frame is not None
    return frame


class Watched(Plain):
    """The plain network, noting W h + b and phi of every layer."""

    def __call__(self, x: Tensor) -> Tensor:
        self.seen: dict[str, tuple[Tensor, Tensor]] = {}
        return super().__call__(x)

    def phi(self, layer: str, h: Tensor) -> Tensor:
        out = super().phi(layer, h)
        self.seen[layer] = (h @ self.p[f"{layer} W"] + self.p[f"{layer} b"], out)
        return out


def by_hand(t: Trainer) -> dict[str, tuple[Tensor, Tensor]]:
    o, region = t.objective, t.objective.regions[0]
    assert t.draws is not None
    x = o.places.physical(t.draws)[:7]
    plain = Watched(region.network.architecture, named(region.network, t.theta), region.scale)  # type: ignore[attr-defined]
    plain(x - region.center)
    return plain.seen


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: "-".join(map(str, n.values())) or "plain")
def test_pre_activations_are_those_of_the_network_computed_plainly(network: dict[str, Any]) -> None:
    t = trained(network)
    o = t.objective
    assert t.draws is not None
    rows = points_of(o, 0)
    assert rows.tolist() == list(range(7))
    seen = pre_activations(o.regions[0], t.theta, o.places.physical(t.draws)[rows])
    truth = by_hand(t)
    assert {s.name for s in seen} == set(truth)
    for s in seen:
        z, output = truth[s.name]
        torch.testing.assert_close(s.z, z, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(s.output, output, rtol=1e-12, atol=1e-13)
    frame = observed(t)
    assert frame.layers == tuple(s.name for s in seen)
    for k, name in enumerate(frame.layers):
        z, output = (part.numpy() for part in truth[name])
        edge = frame.edges[k, -1]
        assert (frame.counts[k] == np.histogram(np.clip(z, -edge, edge), frame.edges[k])[0]).all()
        assert frame.counts[k].sum() == z.size
        assert frame.spread[k] == pytest.approx(output.std(0).mean(), rel=1e-11)
        assert np.abs(np.quantile(z, (0.005, 0.995))).max() < edge


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: "-".join(map(str, n.values())) or "plain")
def test_curves_are_the_activation_of_every_neuron(network: dict[str, Any]) -> None:
    """phi is asked for with weights that hand a number through: W = 0, b = z."""
    t = trained(network)
    frame = observed(t)
    region = t.objective.regions[0]
    start = t.objective.initial(torch.Generator().manual_seed(0))  # the experiment's seed
    for which, theta in (("now", t.theta), ("start", start)):
        p = named(region.network, theta)
        for k, layer in enumerate(frame.layers):
            z = torch.from_numpy(frame.z[k].copy())
            inputs, width = p[f"{layer} W"].shape
            own = {**p, f"{layer} W": torch.ones(1, width, dtype=z.dtype),
                   f"{layer} b": torch.zeros(width, dtype=z.dtype)}
            plain = Plain(region.network.architecture, own, region.scale)  # type: ignore[attr-defined]
            leaf = z.unsqueeze(1).requires_grad_()
            values = plain.phi(layer, leaf)
            assert values.shape == (81, width) and inputs > 1
            shown = values.detach().numpy()
            if which == "start":
                np.testing.assert_allclose(frame.fixed[k], shown.mean(1), rtol=1e-11, atol=1e-13)
                continue
            np.testing.assert_allclose(frame.curve[k], shown.mean(1), rtol=1e-11, atol=1e-13)
            np.testing.assert_allclose(frame.low[k], np.quantile(shown, 0.1, axis=1), rtol=1e-11, atol=1e-13)
            np.testing.assert_allclose(frame.high[k], np.quantile(shown, 0.9, axis=1), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: "-".join(map(str, n.values())) or "plain")
def test_saturation_is_counted(network: dict[str, Any]) -> None:
    """Slopes by finite differences of each neuron's activation; weights large enough that some neurons saturate."""
    t = trained(network, shake=1.5, steps=1)
    frame, truth = observed(t), by_hand(t)
    region = t.objective.regions[0]
    p = named(region.network, t.theta)
    for k, layer in enumerate(frame.layers):
        own = {**p, f"{layer} W": torch.ones(1, 1, dtype=torch.float64),
               f"{layer} b": torch.zeros(1, dtype=torch.float64)}
        plain = Plain(region.network.architecture, own, region.scale)  # type: ignore[attr-defined]
        width, h = p[f"{layer} W"].shape[1], 1e-6

        def derivative(z: Tensor, plain: Plain = plain, layer: str = layer, width: int = width, h: float = h) -> Tensor:
            def value(v: Tensor) -> Tensor:
                return Through(plain, v).phi(layer, v)
            return (value(z + h) - value(z - h)) / (2 * h)

        z, _ = truth[layer]
        steepest = derivative(torch.from_numpy(frame.z[k].copy()).unsqueeze(1).expand(-1, width)).abs().amax(0)
        ratio = derivative(z).abs() / steepest
        assert (ratio - 0.05).abs().min() > 1e-6  # finite differences decide each of them
        assert frame.saturated[k] == pytest.approx(float((ratio < 0.05).double().mean()), abs=1e-12)


class Through(Plain):
    """phi of given pre-activations [N, width], slopes included."""

    def __init__(self, plain: Plain, z: Tensor) -> None:
        super().__init__(plain.a, plain.p, plain.scale)
        self.z = z

    def affine(self, layer: str, h: Tensor) -> Tensor:
        return self.slope(layer) * self.z


def test_a_saturated_network_is_seen() -> None:
    t = trained({}, shake=0.0)
    assert observed(t).saturated.max() < 0.05
    t.theta = t.theta * 60
    assert observed(t).saturated.min() > 0.5


def test_dead_neurons_are_counted() -> None:
    t = trained({"activation": "relu"}, shake=0.0, steps=1)
    bias = next(p.slice for p in t.objective.parameters if p.name == "hidden 2 b")
    theta = t.theta.clone()
    theta[bias][:3] = -50.0  # three of seven never pass anything
    t.theta = theta
    truth = by_hand(t)
    frame = observed(t)
    assert frame.layers == ("hidden 1", "hidden 2")
    for k, layer in enumerate(frame.layers):
        output = truth[layer][1].numpy()
        assert frame.dead[k] == pytest.approx(np.mean(output.max(0) == output.min(0)))
    assert frame.dead[1] >= 3 / 7


def test_a_slope_of_zero_hides_no_pre_activation() -> None:
    t = trained({"slopes": "layer"})
    place = next(p.slice for p in t.objective.parameters if p.name == "hidden 1 slope")
    t.theta = t.theta.index_fill(0, torch.arange(place.start, place.stop), 0.0)
    frame = observed(t)
    z = by_hand(t)["hidden 1"][0].numpy()
    assert (frame.counts[0] == np.histogram(z, frame.edges[0])[0]).all() and np.isfinite(frame.z).all()
    assert frame.dead[0] == 1 and frame.spread[0] == 0 and (frame.curve[0] == 0).all()


def test_the_range_holds_nearly_all_and_moves_seldom() -> None:
    assert reach(np.array([0.0])) == 1.0 and reach(np.array([np.nan])) == 1.0
    z = np.random.default_rng(0).standard_normal(100_000)
    assert reach(z) == reach(1.02 * z) == reach(0.98 * z) == 5.0
    assert reach(np.array([0.41, -0.2])) == pytest.approx(0.5) and reach(np.array([1.0])) == 1.5
    assert reach(np.array([8e3])) == pytest.approx(1e4)


def test_points_are_the_last_steps_or_fixed_ones(tmp_path: Path) -> None:
    t = trained({}, steps=0, problem={"residuals": residual("u_x = u", points=900)})
    first, again = observed(t), observed(t)
    assert first.counts.sum(1).tolist() == [500 * 6, 500 * 7]  # up to 500 points
    assert all((getattr(first, name) == getattr(again, name)).all() for name in ("counts", "curve", "edges"))
    rows = points_of(t.objective, 0)
    assert rows[0] == 0 and rows[-1] == 899 and len(set(rows.tolist())) == 500
    file = grid_file(tmp_path / "data.npz")
    fit = trained({}, problem={"residuals": [], "conditions": [], "observations": [
        {"name": "data", "equation": "u = u_data", "file": file}]})
    assert observed(fit).counts.sum(1).tolist() == [20 * 6, 20 * 7]  # nothing is drawn; all there is


def test_every_sub_domain_at_its_own_points() -> None:
    t = trained({}, decomposition={"splits": {"x": [0.5]}, "flux": {"x": "u_x"}, "interface_points": 4})
    frame = observed(t)
    assert frame.layers == ("1: hidden 1", "1: hidden 2", "2: hidden 1", "2: hidden 2")
    assert t.draws is not None
    x = t.objective.places.physical(t.draws)
    for number, side in enumerate((x[:, 0] <= 0.5, x[:, 0] >= 0.5)):
        rows = points_of(t.objective, number)
        assert len(rows) == 7 and bool(side[rows].all())


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_looking_changes_nothing(precision: str) -> None:
    looked, left = (trained({"slopes": "layer"}, training={"precision": precision, "steps": 9}) for _ in range(2))
    network = looked.objective.network
    before = dict(vars(network))
    ActivationsDiagnostic().observe(looked)
    assert same(looked, left) and dict(vars(network)) == before


def test_a_resumed_run_knows_its_start() -> None:
    t = trained({"raf": "learnable"}, shake=0.0)
    other = trained({"raf": "learnable"}, shake=0.0, training={"precision": "float64", "seed": 0, "steps": 9})
    other.load(t.state())
    assert (observed(other).fixed == observed(t).fixed).all()
