"""What was learned goes on in a trainer with other settings: another precision, slopes that were not there before."""

from __future__ import annotations

import torch
from torch import Tensor

from core.layers import Layer, layers_of, slope_scale
from core.networks import MLP
from core.objective import MANY
from core.passes import Region
from core.trainer import State, Trainer

ENTRANCE = ("encoder U ", "encoder V ", "hidden 1 ")  # begin the names of parameters of layers that see the inputs


def transplant(old: Trainer, new: Trainer, *, anew: bool = False) -> tuple[str, ...]:
    """Put what `old` has learned into `new`, which was just built; the names of the parameters that start anew.

    Another optimizer begins with moments of zero, and its decay from here; `anew`: the same one does too. One with
    other settings goes on where its memory is of gradients alone (Adam, SOAP, Muon). Parameters of the same name and
    shape are taken over with their moments. Slopes that come or go leave the network's function as it is: those that
    come start at n a = 1, the values of those that go are multiplied into the weights they belong to. Weights of the
    loss terms, the iteration and the generator go on; points are drawn anew unless they are of the same number and
    drawn in the same way. The learning rate is that of `new`. Where the inputs are normalized in another way, the
    moments of the layers that see them start anew.
    """
    was, now = _tensors(old), new.theta.double()
    moments = {"m": torch.zeros_like(now), "v": torch.zeros_like(now)}
    fresh = []
    rescaled = any(not torch.allclose(a.scale.double(), b.scale.double(), rtol=1e-6, atol=0.0) for a, b in
                   zip(old.objective.regions, new.objective.regions, strict=False))  # not by rounding alone
    theirs = {p.name: p for p in old.objective.parameters}
    for p in new.objective.parameters:
        source = theirs.get(p.name)
        if source is None or source.shape != p.shape:
            fresh.append(p.name)
            continue
        now[p.slice] = was["theta"][source.slice]
        if rescaled and p.name.rpartition(": ")[2].startswith(ENTRANCE):
            continue  # moments of another scale of the inputs would hold the layer still
        for key, tensor in moments.items():
            tensor[p.slice] = was[key][source.slice]
    if len(old.objective.regions) == len(new.objective.regions):
        for before, after in zip(old.objective.regions, new.objective.regions, strict=True):
            _carry_slopes(was["theta"], before, now, after)
    state = old.state()
    tensors, numbers = dict(state.tensors), dict(state.numbers)
    dtype = new.objective.dtype
    tensors |= {"theta": now.to(dtype), **{key: tensor.to(dtype) for key, tensor in moments.items()}}
    for key in ("weights", "targets"):
        own = dict(zip(old.terms, getattr(old, key).tolist(), strict=True))
        fallback = getattr(new, key).tolist()
        tensors[key] = torch.tensor([own.get(t, f) for t, f in zip(new.terms, fallback, strict=True)], dtype=dtype)
    same_rule = old.balancing == new.balancing and old.terms == new.terms
    tensors["memory"] = old.memory.to(dtype) if same_rule else new.memory
    keeps = old.point_weights == new.point_weights and old.multipliers.shape == new.multipliers.shape
    tensors["multipliers"] = old.multipliers.to(dtype) if keeps else new.multipliers
    tensors["points"] = old.points.to(dtype) if _same_points(old, new) else torch.zeros(0, dtype=dtype)
    lasting = not (anew or rescaled) and _lasting(old, new, fresh)
    if lasting:
        tensors |= {key: tensor.to(dtype) for key, tensor in tensors.items()
                    if key.startswith("solver.") and tensor.is_floating_point()}
    elif anew or not _same_function(old, new, fresh):
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith("solver.")}
    if anew or type(old.optimizer) is not type(new.optimizer) or (old.solver != new.solver and not lasting):
        tensors |= {"m": torch.zeros_like(new.m), "v": torch.zeros_like(new.v)}
        numbers["begun"] = old.iteration  # another optimizer begins here
    numbers |= {"rule": new.balancing.rule, "learning_rate": new.learning_rate}
    new.load(State(tensors, numbers))
    return tuple(fresh)


def _tensors(trainer: Trainer) -> dict[str, Tensor]:
    state = trainer.state()  # of the last good step
    return {key: state.tensors[key].double() for key in ("theta", "m", "v")}


def same_parameters(old: Trainer, new: Trainer) -> bool:
    """Whether both train parameters of the same names and shapes, in the same order."""
    a, b = ([(p.name, p.shape) for p in trainer.objective.parameters] for trainer in (old, new))
    return a == b


def _lasting(old: Trainer, new: Trainer, fresh: list[str]) -> bool:
    """Whether the method is the same one, but for its settings, and its memory is of gradients of these parameters."""
    return (old.solver is not None and type(old.solver) is type(new.solver) and getattr(new.solver, "lasting", False)
            and not fresh and same_parameters(old, new))


def _same_function(old: Trainer, new: Trainer, fresh: list[str]) -> bool:
    """Whether a solver's memory of the loss's curvature holds for the new one: same loss, same parameters.

    Another activation or constant shows only in the losses, which are compared where that takes little.
    """
    a, b = old.objective, new.objective
    alike = (old.solver is not None and old.solver == new.solver and not fresh and a.dtype == b.dtype
            and same_parameters(old, new) and a.terms == b.terms and _same_points(old, new))
    if not alike or old.draws is None or len(old.draws) > MANY:
        return False
    theta = old.state().tensors["theta"].to(a.device)
    with torch.no_grad():
        was, now = (torch.stack(o.losses(theta, old.draws)) for o in (a, b))
    return torch.equal(was, now)


def _same_points(old: Trainer, new: Trainer) -> bool:
    a, b = old.objective, new.objective
    return (old.sampler.spec == new.sampler.spec and old.sampler.groups == new.sampler.groups
            and (a.points, a.columns) == (b.points, b.columns))


def _carry_slopes(was: Tensor, before: Region, now: Tensor, after: Region) -> None:
    """Make the new network's effective weights, slope times W and b, those of the old one. In place on `now`."""
    own, other = was[before.theta], {layer.name: layer for layer in layers_of(before.network)}
    mine = now[after.theta]  # a view
    scales = slope_scale(before.network), slope_scale(after.network)
    for layer in layers_of(after.network):
        source = other.get(layer.name)
        if source is None or (source.inputs, source.neurons) != (layer.inputs, layer.neurons):
            continue
        had, has = _effective(own, source, scales[0]), _effective(mine, layer, scales[1])
        if layer.slope is not None and source.slope is not None and _kind(before) == _kind(after):
            mine[layer.slope] = own[source.slope] * (scales[0] / scales[1])  # the same slopes, perhaps another n
        else:
            factor = had / has
            shape = (layer.inputs + 1, layer.neurons)
            mine[layer.affine] = (own[source.affine].view(shape) * factor).reshape(-1)


def _kind(region: Region) -> str:
    return region.network.architecture.slopes if isinstance(region.network, MLP) else "none"


def _effective(theta: Tensor, layer: Layer, scale: float) -> Tensor:
    """n a, [1] or [neurons]; 1 where there is no slope."""
    return torch.ones(1, dtype=theta.dtype) if layer.slope is None else theta[layer.slope] * scale
