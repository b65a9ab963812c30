"""The benchmarks' problems in DeepXDE's own terms: geometry, conditions, derivatives by `dde.grad`.

To be imported after the backend is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import deepxde as dde
import numpy as np
import torch
from peer_problems import Derivatives, Peer, columns, klein_gordon, periodic_features

Boundary = Callable[[Any, bool], bool]


def derivatives(x: torch.Tensor, y: torch.Tensor, peer: Peer) -> Derivatives:
    """By name, from `dde.grad`, which keeps what it has computed."""
    known = {name: y[:, k:k + 1] for k, name in enumerate(peer.fields)}

    def d(name: str) -> torch.Tensor:
        if name not in known:
            field, _, along = name.partition("_")
            k, at = peer.fields.index(field), [peer.inputs.index(letter) for letter in along]
            if len(at) == 1:
                known[name] = dde.grad.jacobian(y, x, i=k, j=at[0])
            elif len(at) == 2:
                known[name] = dde.grad.hessian(y, x, component=k, i=at[0], j=at[1])
            else:
                known[name] = dde.grad.jacobian(d(f"{field}_{along[:-1]}"), x, i=0, j=at[-1])
        return known[name]

    return d


def pde(peer: Peer) -> Callable[[torch.Tensor, torch.Tensor], list[torch.Tensor]]:
    """The residuals as DeepXDE wants them."""
    return lambda x, y: peer.residual(columns(x, peer), derivatives(x, y, peer))


def geometry(peer: Peer) -> Any:
    if not peer.time:
        return dde.geometry.Rectangle(list(peer.low), list(peer.high))
    return dde.geometry.GeometryXTime(dde.geometry.Interval(peer.low[0], peer.high[0]),
                                      dde.geometry.TimeDomain(peer.low[1], peer.high[1]))


def conditions(name: str, peer: Peer, place: Any) -> list[Any]:
    """The soft conditions of a problem; `name` may end in '-hard', which leaves those that are built in."""
    def anywhere(_: Any, on: bool) -> bool:
        return bool(on)

    def zero(x: Any) -> Any:
        return np.zeros((len(x), 1))

    def exact(x: Any) -> Any:
        return klein_gordon(columns(torch.as_tensor(x), peer)).numpy()

    icbc = dde.icbc
    match name:
        case "helmholtz":
            return [icbc.DirichletBC(place, zero, anywhere)]
        case "klein-gordon":
            at_rest = icbc.OperatorBC(place, lambda x, y, _: dde.grad.jacobian(y, x, i=0, j=1),
                                      lambda x, _: bool(np.isclose(x[1], 0.0)))
            return [icbc.DirichletBC(place, exact, anywhere), icbc.IC(place, exact, anywhere), at_rest]
        case "burgers":
            return [icbc.DirichletBC(place, zero, anywhere),
                    icbc.IC(place, lambda x: -np.sin(np.pi * x[:, 0:1]), anywhere)]
        case "allen-cahn":
            return [icbc.PeriodicBC(place, 0, anywhere, derivative_order=order) for order in (0, 1)]
        case "kuramoto-sivashinsky":
            return [icbc.IC(place, lambda x: -np.sin(np.pi * x[:, 0:1]), anywhere)]
        case "cavity-velocities":
            def lid(x: Any) -> Any:
                return np.isclose(x[:, 1:2], 1.0).astype(x.dtype)

            return [icbc.DirichletBC(place, lid, anywhere, component=0),
                    icbc.DirichletBC(place, zero, anywhere, component=1)]
        case "cavity":
            def moving(x: Any, y: Any, _: Any) -> Any:
                at_lid = torch.isclose(x[:, 1:2], torch.ones_like(x[:, 1:2])).to(y.dtype)
                return dde.grad.jacobian(y, x, i=0, j=1) - at_lid

            return [icbc.OperatorBC(place, moving, anywhere),
                    icbc.OperatorBC(place, lambda x, y, _: dde.grad.jacobian(y, x, i=0, j=0), anywhere)]
    return []


def add_features(net: Any) -> None:
    """Periodicity in x by the network's features, as `apply_feature_transform` is for."""
    net.apply_feature_transform(periodic_features)
