"""What each layer's activation is now, and over which pre-activations it works."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.diagnostics.layers import fixed_draws, prefix_of, start_of
from core.frames import ActivationsFrame, Array, frozen
from core.jets import DerivativeSet, Jet
from core.layers import layers_of, slope_scale
from core.networks import MLP
from core.objective import Objective
from core.passes import Region
from core.trainer import Trainer

POINTS = 500
BINS = 60
CURVE = 81  # points of a curve
SATURATED = 0.05  # of the largest derivative
_NICE = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0)


@dataclass(frozen=True)
class Seen:
    """One layer at N points: pre-activations W x + b, without slope, and outputs, [N, width] each."""

    name: str
    z: Tensor
    output: Tensor


class ActivationsDiagnostic:
    """Pre-activations and activations of every layer at up to 500 interior points of the last step.

    Before the first step at points of a fixed low-discrepancy sequence; where nothing is drawn inside the domain, at
    all points there are, such as those of the observations. Of sub-domains each at its own. The curves lie over a
    range about zero that holds 99 % of the pre-activations, rounded up, so that it stays where it is while they change
    little. Encoders of gated networks are layers too.
    """

    kind = "activations"

    def observe(self, trainer: Trainer) -> ActivationsFrame | None:
        """None where a network is not made of layers."""
        with np.errstate(all="ignore"):  # what overflows is shown as such, it does not end the run
            return self._observe(trainer)

    def _observe(self, trainer: Trainer) -> ActivationsFrame | None:
        o = trainer.objective
        start = start_of(trainer)
        draws = trainer.draws
        x = o.places.physical(fixed_draws(o) if draws is None else draws)
        names: list[str] = []
        columns: list[tuple[Array, ...]] = []
        for number, region in enumerate(o.regions):
            network = region.network
            if not isinstance(network, MLP):
                return None
            own = trainer.theta.detach()[region.theta]
            with torch.no_grad():
                seen = pre_activations(region, own, x[points_of(o, number)])
                for k, layer in enumerate(seen):
                    names.append(prefix_of(o, number) + layer.name)
                    columns.append(_layer(network, k, layer, own, start[region.theta]))
        table = [frozen(np.stack(column)) for column in zip(*columns, strict=True)]
        edges, counts, z, curve, low, high, fixed, saturated, dead, spread = table
        return ActivationsFrame(step=trainer.iteration, layers=tuple(names), edges=edges, counts=counts, z=z,
                                curve=curve, low=low, high=high, fixed=fixed, saturated=saturated, dead=dead,
                                spread=spread)


def points_of(objective: Objective, region: int, most: int = POINTS) -> Tensor:
    """Up to `most` of the points inside a sub-domain, evenly among them; of all its points where none are inside."""
    own = [block for block in objective.blocks if block.region == region]
    chosen = [block for block in own if block.interior] or own
    rows = torch.cat([torch.arange(block.start, block.stop) for block in chosen])
    return rows if len(rows) <= most else rows[torch.linspace(0, len(rows) - 1, most).round().long()]


def pre_activations(region: Region, theta: Tensor, x: Tensor) -> list[Seen]:
    """What arrives at each activated layer of a region's network, encoders first; theta: the network's, x [N, d]."""
    network = region.network
    assert isinstance(network, MLP)
    names = [layer.name for layer in layers_of(network)[:-1]]
    factors = _factors(network, theta)
    found: dict[int, Seen] = {}

    def record(k: int, jet: Jet, own: list[Tensor]) -> Jet:
        scaled = Jet(jet.derivatives, jet.value * factors[k], None, [], [], jet.n)
        out = network._activate(k, scaled, own)
        found[k] = Seen(names[k], jet.value, out.value)
        return out

    # a copy that looks at what passes, with all slopes at 1: one that is zero would hide what it multiplies
    observer = copy.copy(network)
    observer._activate = record  # type: ignore[method-assign]
    nothing = DerivativeSet()
    observer.forward(_unsloped(network, theta), (x - region.center) * region.scale, region.scale.unsqueeze(1), len(x),
                     nothing, nothing)
    return [found[k] for k in range(len(names))]


def activation_at(network: MLP, k: int, theta: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """(f, df/dz) of every neuron of the k-th layer at pre-activations z [M, width] before its slope."""
    factor = _factors(network, theta)[k]
    own = network._unpack(theta)[1]
    first = torch.ones(1, *z.shape, dtype=z.dtype)
    jet = network._activate(k, Jet(DerivativeSet((0,)), z * factor, first * factor, [], [], len(z)), own)
    assert jet.first is not None
    return jet.value, jet.first[0]


def reach(z: Array) -> float:
    """Half the range of curves and histograms: holds 99 % of the pre-activations with a fifth to spare, rounded up."""
    finite = z[np.isfinite(z)]
    widest = 1.2 * float(np.abs(np.quantile(finite, (0.005, 0.995))).max()) if finite.size else 0.0
    if widest == 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(widest))
    return next(nice for nice in _NICE if nice * power >= widest * (1 - 1e-9)) * power


def _layer(network: MLP, k: int, seen: Seen, theta: Tensor, start: Tensor) -> tuple[Array, ...]:
    """One layer's row of each array of the frame, in its order."""
    values = seen.z.double().numpy()
    finite = values[np.isfinite(values)]
    edge = reach(values)
    edges = np.linspace(-edge, edge, BINS + 1)
    counts = np.histogram(np.clip(finite, -edge, edge), edges)[0].astype(np.uint32)
    grid = torch.linspace(-edge, edge, CURVE, dtype=torch.float64)
    columns = grid.to(theta.dtype).unsqueeze(1).expand(-1, seen.z.shape[1])
    curves, derivatives = activation_at(network, k, theta, columns)
    first = activation_at(network, k, start, columns)[0]
    steepest = derivatives.abs().amax(0)  # [width]
    slope = activation_at(network, k, theta, seen.z)[1]
    shown = curves.double().numpy()
    low, high = np.quantile(shown, (0.1, 0.9), axis=1)
    output = seen.output.double()
    dead = (seen.output == seen.output[:1]).all(0)
    return (edges, counts, grid.numpy(), shown.mean(1), low, high, first.double().numpy().mean(1),
            np.array(float((slope.abs() < SATURATED * steepest).double().mean())),
            np.array(float(dead.double().mean())), np.array(float(output.std(0, correction=0).mean())))


def _factors(network: MLP, theta: Tensor) -> Sequence[Tensor]:
    """n a of every activated layer, [1] or [width]; 1 without slope."""
    scale, one = slope_scale(network), theta.new_ones(1)
    return [one if layer.slope is None else scale * theta[layer.slope] for layer in layers_of(network)[:-1]]


def _unsloped(network: MLP, theta: Tensor) -> Tensor:
    """The parameters with every n a at 1."""
    out = theta.clone()
    for layer in layers_of(network):
        if layer.slope is not None:
            out[layer.slope] = 1 / slope_scale(network)
    return out
