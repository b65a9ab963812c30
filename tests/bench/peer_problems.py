"""The benchmarks' problems for whoever takes nested derivatives: residuals written once, for any engine.

A residual gets the coordinates [N, 1] by name and a function that gives a derivative [N, 1] by its name: d("u_xxy").
Standard library and torch only: the peers' environment has nothing of the program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

Derivatives = Callable[[str], torch.Tensor]
Residual = Callable[[Mapping[str, torch.Tensor], Derivatives], list[torch.Tensor]]


@dataclass(frozen=True)
class Condition:
    """What is zero on a face. derivatives: whether it needs any."""

    residual: Callable[[Mapping[str, torch.Tensor], Derivatives], torch.Tensor]
    derivatives: bool = False


@dataclass(frozen=True)
class Peer:
    """A problem. inputs: the columns of its points; time: whether the last of them is the time."""

    inputs: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    fields: tuple[str, ...]
    residual: Residual
    time: bool = True
    periodic: bool = False  # in x, by features of the network
    experiment: str = ""  # of the gallery: what the speed benchmark trains of ours
    hidden: tuple[int, ...] = ()  # of the speed benchmark
    faces: int = 0  # points in each step on each face, or of each condition, of the speed benchmark
    conditions: tuple[tuple[int, float, Condition], ...] = ()  # (input, value, what holds there)


def _helmholtz(c: Mapping[str, torch.Tensor], d: Derivatives) -> list[torch.Tensor]:
    a, b = math.pi, 4 * math.pi
    source = (1 - a**2 - b**2) * torch.sin(a * c["x"]) * torch.sin(b * c["y"])
    return [d("u_xx") + d("u_yy") + d("u") - source]


def klein_gordon(c: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The exact solution."""
    return c["x"] * torch.cos(5 * math.pi * c["t"]) + (c["x"] * c["t"]) ** 3


def _klein_gordon(c: Mapping[str, torch.Tensor], d: Derivatives) -> list[torch.Tensor]:
    t, x, pi = c["t"], c["x"], math.pi
    f = (-25 * pi**2 * x * torch.cos(5 * pi * t) + 6 * t * x**3 - 6 * x * t**3 + klein_gordon(c) ** 3)
    return [d("u_tt") - d("u_xx") + d("u") ** 3 - f]


def _burgers(c: Mapping[str, torch.Tensor], d: Derivatives) -> list[torch.Tensor]:
    return [d("u_t") + d("u") * d("u_x") - 0.01 / math.pi * d("u_xx")]


def _allen_cahn(c: Mapping[str, torch.Tensor], d: Derivatives) -> list[torch.Tensor]:
    return [d("u_t") - 1e-4 * d("u_xx") + 5 * d("u") ** 3 - 5 * d("u")]


def _kdv(c: Mapping[str, torch.Tensor], d: Derivatives) -> list[torch.Tensor]:
    return [d("u_t") + d("u") * d("u_x") + 0.022**2 * d("u_xxx")]


def _kuramoto_sivashinsky(c: Mapping[str, torch.Tensor], d: Derivatives) -> list[torch.Tensor]:
    return [d("u_t") + 5 * d("u") * d("u_x") + 0.5 * d("u_xx") + 0.005 * d("u_xxxx")]


def cavity_psi(reynolds: float) -> Residual:
    """Stream function and pressure."""

    def residual(c: Mapping[str, torch.Tensor], d: Derivatives) -> list[torch.Tensor]:
        return [d("s_y") * d("s_xy") - d("s_x") * d("s_yy") + d("p_x") - (d("s_xxy") + d("s_yyy")) / reynolds,
                d("s_x") * d("s_xy") - d("s_y") * d("s_xx") + d("p_y") + (d("s_xxx") + d("s_xyy")) / reynolds]

    return residual


def cavity(reynolds: float) -> Residual:
    """Velocities and pressure."""

    def residual(c: Mapping[str, torch.Tensor], d: Derivatives) -> list[torch.Tensor]:
        u, v = d("u"), d("v")
        return [u * d("u_x") + v * d("u_y") + d("p_x") - (d("u_xx") + d("u_yy")) / reynolds,
                u * d("v_x") + v * d("v_y") + d("p_y") - (d("v_xx") + d("v_yy")) / reynolds,
                d("u_x") + d("v_y")]

    return residual


def _zero(c: Mapping[str, torch.Tensor], d: Derivatives) -> torch.Tensor:
    return d("u")


def _sine(c: Mapping[str, torch.Tensor], d: Derivatives) -> torch.Tensor:
    return d("u") + torch.sin(math.pi * c["x"])


def _exact(c: Mapping[str, torch.Tensor], d: Derivatives) -> torch.Tensor:
    return d("u") - klein_gordon(c)


_ZERO, _START, _EXACT = Condition(_zero), Condition(_sine), Condition(_exact)
_REST = Condition(lambda c, d: d("u_t"), derivatives=True)
_ALONG = Condition(lambda c, d: d("s_x"), derivatives=True)
_ACROSS = Condition(lambda c, d: d("s_y"), derivatives=True)
_LID = Condition(lambda c, d: d("s_y") - 1, derivatives=True)

_SQUARE = {"inputs": ("x", "y"), "time": False}
_STRIP = {"inputs": ("x", "t"), "low": (-1.0, 0.0), "high": (1.0, 1.0), "fields": ("u",)}

PROBLEMS: dict[str, Peer] = {
    "helmholtz": Peer(low=(-1.0, -1.0), high=(1.0, 1.0), fields=("u",), residual=_helmholtz,
                      experiment="helmholtz-m1", hidden=(50, 50, 50), faces=128,
                      conditions=tuple((k, at, _ZERO) for k in (0, 1) for at in (-1.0, 1.0)), **_SQUARE),
    "klein-gordon": Peer(("x", "t"), (0.0, 0.0), (1.0, 1.0), ("u",), _klein_gordon, experiment="klein-gordon-m1",
                         hidden=(50,) * 5, faces=128,
                         conditions=((0, 0.0, _EXACT), (0, 1.0, _EXACT), (1, 0.0, _EXACT), (1, 0.0, _REST))),
    "burgers": Peer(residual=_burgers, experiment="burgers", hidden=(40,) * 4, faces=100,
                    conditions=((1, 0.0, _START), (0, -1.0, _ZERO), (0, 1.0, _ZERO)), **_STRIP),
    "allen-cahn": Peer(residual=_allen_cahn, periodic=True, **_STRIP),
    "kdv": Peer(residual=_kdv, periodic=True, **_STRIP),
    "kuramoto-sivashinsky": Peer(residual=_kuramoto_sivashinsky, periodic=True, experiment="kuramoto-sivashinsky",
                                 hidden=(64, 64, 64), faces=256, conditions=((1, 0.0, _START),), **_STRIP),
    "cavity": Peer(low=(0.0, 0.0), high=(1.0, 1.0), fields=("s", "p"), residual=cavity_psi(100.0),
                   experiment="cavity-psi-m1", hidden=(50,) * 5, faces=128,
                   conditions=tuple((k, at, one) for k, at in ((0, 0.0), (0, 1.0), (1, 0.0), (1, 1.0))
                                    for one in (_LID if (k, at) == (1, 1.0) else _ACROSS, _ALONG)), **_SQUARE),
}


def nested(x: torch.Tensor, y: torch.Tensor, peer: Peer) -> Derivatives:
    """Derivatives by reverse mode again and again, each taken once. x [N, d] that asks for gradients, y [N, fields]."""
    known: dict[str, torch.Tensor] = {name: y[:, k:k + 1] for k, name in enumerate(peer.fields)}
    gradients: dict[str, torch.Tensor] = {}

    def d(name: str) -> torch.Tensor:
        if name not in known:
            field, _, along = name.partition("_")
            before = f"{field}_{along[:-1]}" if along[:-1] else field
            if before not in gradients:
                gradients[before], = torch.autograd.grad(d(before).sum(), x, create_graph=True)
            at = peer.inputs.index(along[-1])
            known[name] = gradients[before][:, at:at + 1]
        return known[name]

    return d


def columns(x: torch.Tensor, peer: Peer) -> dict[str, torch.Tensor]:
    """The coordinates [N, 1] by name."""
    return {name: x[:, k:k + 1] for k, name in enumerate(peer.inputs)}


def periodic_features(x: torch.Tensor) -> torch.Tensor:
    """cos and sin of x with period 2, and the time: [N, 3]."""
    return torch.cat([torch.cos(math.pi * x[:, 0:1]), torch.sin(math.pi * x[:, 0:1]), x[:, 1:2]], 1)
