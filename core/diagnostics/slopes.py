"""Adaptive slopes, the gain that they give each neuron, slope recovery, and learned activations."""

from __future__ import annotations

import numpy as np
import torch

from core.choices import RECOVERY
from core.diagnostics.layers import prefix_of
from core.frames import Array, SlopesFrame, frozen
from core.layers import layers_of, slope_scale
from core.objective import Objective
from core.trainer import Trainer

#: What the names of an activation's own parameters hold after the name of the layer.
LEARNED = (" RAF ", " rowdy ")


class SlopesDiagnostic:
    """n a, n a |(w, b)|, S(a) and its share of the slopes' gradient (Jagtap et al. 2020, eq. 2.3); what RAF learned.

    The gain n a |(w, b)| of a neuron does not change under (a, w, b) -> (c a, w / c, b / c), which leaves the network
    as it is: it tells what a neuron gained from what only moved between the slope and the weights.
    """

    kind = "slopes"

    def observe(self, trainer: Trainer) -> SlopesFrame | None:
        """None where the network has neither slopes nor learned activations."""
        with np.errstate(all="ignore"):  # what overflows is shown as such, it does not end the run
            return self._observe(trainer)

    def _observe(self, trainer: Trainer) -> SlopesFrame | None:
        o = trainer.objective
        theta = trainer.theta.detach().double().numpy()
        slopes: dict[str, Array] = {}
        gains: dict[str, Array] = {}
        for number, region in enumerate(o.regions):
            prefix, own = prefix_of(o, number), theta[region.theta]
            for name, factor in region.network.slopes(trainer.theta[region.theta].detach().double()):
                slopes[prefix + name] = frozen(factor.numpy())
            scale = slope_scale(region.network)
            for layer in layers_of(region.network)[:-1]:
                size = np.sqrt((own[layer.affine].reshape(layer.inputs + 1, layer.neurons) ** 2).sum(0))
                gains[prefix + layer.name] = frozen(size if layer.slope is None else scale * own[layer.slope] * size)
        learned = {p.name: frozen(theta[p.slice].reshape(p.shape)) for p in o.parameters
                   if any(part in p.name for part in LEARNED)}
        if not slopes and not learned:
            return None
        recovery, share = float("nan"), float("nan")
        value = o.recovery(trainer.theta.detach().double())
        if value is not None:
            recovery, share = float(value[1]), _share(trainer)
        return SlopesFrame(step=trainer.iteration, slopes=slopes, gains=gains, learned=learned, recovery=recovery,
                           recovery_share=share)


def slope_entries(objective: Objective) -> list[slice]:
    """Where in all parameters the slopes are, each once."""
    out = []
    for region in objective.regions:
        begin = region.theta.start
        own = {(layer.slope.start, layer.slope.stop) for layer in layers_of(region.network) if layer.slope is not None}
        out += [slice(begin + start, begin + stop) for start, stop in sorted(own)]
    return out


def _share(trainer: Trainer) -> float:
    """W_a |dS/da| / |dJ/da| over all slopes; J is the weighted loss without recovery. Infinite where dJ/da is zero."""
    _, gradients = trainer.term_gradients()
    weighted = trainer.weights.double().unsqueeze(1) * gradients.double()
    entries = torch.cat([torch.arange(s.start, s.stop) for s in slope_entries(trainer.objective)])
    own = torch.tensor([term == RECOVERY for term in trainer.terms])
    size, rest = (float(weighted[rows][:, entries].sum(0).norm()) for rows in (own, ~own))
    return size / rest if rest else float("inf") if size else float("nan")
