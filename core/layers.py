"""Where the layers of a network are in its flat parameters."""

from __future__ import annotations

from dataclasses import dataclass

from core.networks import MLP, Network


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
