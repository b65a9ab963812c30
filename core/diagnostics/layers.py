"""Where the parts of a network are in its flat parameters, and points that are the same whenever one looks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from core.networks import MLP, Network
from core.objective import Objective
from core.sampling import Group, Sampler, Sampling
from core.trainer import Trainer


@dataclass(frozen=True)
class Layer:
    """An affine map of a network: W [inputs, neurons] and b [neurons], which follow each other in the parameters."""

    name: str  # 'encoder U', 'hidden 1', 'output'
    inputs: int
    neurons: int
    affine: slice  # W and b in the network's parameters, [(inputs + 1) * neurons]
    slope: slice | None  # the raw slopes a, one or one for each neuron; None without. Shared ones: the same slice


def layers_of(network: Network) -> list[Layer]:
    """Every layer in the order of evaluation, encoders first, the output last; none of a network without layers."""
    if not isinstance(network, MLP):
        return []
    places = {p.name: p for p in network.parameters}
    out = []
    for name in [p.name.removesuffix(" W") for p in network.parameters if p.name.endswith(" W")]:
        weight, bias = places[f"{name} W"], places[f"{name} b"]
        slope = places.get(f"{name} slope")
        if network.architecture.slopes == "global" and (name != "output" or network.architecture.slope_on_output):
            slope = places["slope"]
        inputs, neurons = weight.shape
        out.append(Layer(name, inputs, neurons, slice(weight.offset, bias.slice.stop),
                         None if slope is None else slope.slice))
    return out


def slope_scale(network: Network) -> float:
    """The fixed scale n of the slopes; 1 without."""
    if isinstance(network, MLP) and network.architecture.slopes != "none":
        return network.architecture.slope_scale
    return 1.0


def prefix_of(objective: Objective, region: int) -> str:
    """What names of this sub-domain begin with, such as '3: '; nothing where there is only one."""
    return f"{region + 1}: " if len(objective.regions) > 1 else ""


def fixed_draws(objective: Objective, seed: int = 0) -> Tensor:
    """Low-discrepancy draws [N, c] for all points of an objective, the same for the same seed: scrambled Sobol'."""
    groups = [Group(p.start, p.stop, p.free, objective.columns, p.interior, p.name) for p in objective.places.patches]
    sampler = Sampler(Sampling("sobol"), groups, objective.dtype)
    return sampler.draw(torch.Generator().manual_seed(seed))


def start_of(trainer: Trainer) -> Tensor:
    """The parameters [P] that this run started from: drawn once more from its seed."""
    return trainer.objective.initial(torch.Generator().manual_seed(trainer.generator.initial_seed()))
