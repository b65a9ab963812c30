"""Every network once more, in plain torch from the papers' formulas; derivatives by nested reverse-mode autograd."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations_with_replacement
from types import MappingProxyType

import torch
from torch import Tensor

from core.architecture import Architecture
from core.jets import DerivativeSet, Index, Operator, derivative_set
from core.networks import Network, build_network, initial_parameters

NO_PERIODS: Mapping[int, float] = MappingProxyType({})

BASE: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh, "sin": torch.sin, "siren": lambda z: torch.sin(30 * z), "gelu": torch.nn.functional.gelu,
    "silu": torch.nn.functional.silu, "softplus": lambda z: torch.log1p(torch.exp(z)), "sigmoid": torch.sigmoid,
    "relu": lambda z: z.clamp(min=0), "relu3": lambda z: z.clamp(min=0) ** 3,
    "cos": torch.cos, "x": lambda z: z, "x2": lambda z: z**2,
}


class Plain:
    """u(X - center) of an architecture whose parameters are given by name."""

    def __init__(self, architecture: Architecture, parameters: Mapping[str, Tensor], scale: Tensor,
                 periods: Mapping[int, float] = NO_PERIODS, frequencies: Tensor | None = None) -> None:
        self.a, self.p, self.scale, self.periods, self.b = architecture, parameters, scale, periods, frequencies

    def slope(self, layer: str) -> Tensor | float:
        if self.a.slopes == "none" or (layer == "output" and not self.a.slope_on_output):
            return 1.0
        return self.a.slope_scale * self.p["slope" if self.a.slopes == "global" else f"{layer} slope"]

    def affine(self, layer: str, h: Tensor) -> Tensor:
        return self.slope(layer) * (h @ self.p[f"{layer} W"] + self.p[f"{layer} b"])

    def phi(self, layer: str, h: Tensor) -> Tensor:
        z, a, p = self.affine(layer, h), self.a, self.p
        if a.raf == "assigned":
            columns, parts = 0, []
            for name, width in zip(a.raf_basis, a.block_widths(z.shape[1]), strict=True):
                part = z[:, columns: columns + width]
                parts.append(torch.exp(-part**2 / (2 * a.raf_width**2)) if name == "gaussian" else BASE[name](part))
                columns += width
            return torch.cat(parts, 1)
        if a.raf == "learnable":
            total = torch.zeros_like(z)
            for name in a.raf_basis:
                own = f"{layer} RAF {name}"
                if name == "gaussian":
                    f = torch.exp(-z**2 / (2 * torch.exp(p[f"{own} log width"]) ** 2))
                elif name == "sin":
                    f = torch.sin(p[f"{own} frequency"] * z)
                else:
                    f = BASE[name](z if name in ("x", "x2") else p[f"{own} scale"] * z)
                total = total + p[own] * f
            return total
        f = BASE[a.activation](z)
        if a.raf == "rowdy":
            for k in range(2, a.rowdy_terms + 2):
                alpha = p[f"{layer} rowdy amplitudes"][k - 2]
                omega = p[f"{layer} rowdy frequencies"][k - 2]
                f = f + alpha * a.slope_scale * torch.sin((k - 1) * a.slope_scale * omega * z)
        return f

    def features(self, x: Tensor) -> Tensor:
        """x: physical, measured from the domain's centre."""
        out = []
        for axis in range(x.shape[1]):
            if axis not in self.periods:
                out.append(x[:, axis] * self.scale[axis])
        for function in (torch.cos, torch.sin):
            for axis in sorted(self.periods):
                for m in range(1, self.a.harmonics + 1):
                    out.append(function(2 * torch.pi * m * x[:, axis] / self.periods[axis]))
        h = torch.stack(out, 1)
        return h if self.b is None else torch.cat([torch.cos(h @ self.b), torch.sin(h @ self.b)], 1)

    def __call__(self, x: Tensor) -> Tensor:
        entrance = self.features(x)
        h = entrance
        if self.a.kind == "residual":
            y = torch.cat([h, torch.zeros(len(h), self.a.hidden[0] - h.shape[1], dtype=h.dtype)], 1)
            for k in range(1, len(self.a.hidden), 2):
                y = self.phi(f"hidden {k + 1}", self.phi(f"hidden {k}", h)) + y
                h = y
            return self.affine("output", y)
        for k in range(1, len(self.a.hidden) + 1):
            z = self.phi(f"hidden {k}", h)
            h = z
            if self.a.kind == "gated":
                h = z * self.phi("encoder U", entrance) + (1 - z) * self.phi("encoder V", entrance)
        return self.affine("output", h)


def derivative(u: Callable[[Tensor], Tensor], x: Tensor, index: Index, field: int = 0) -> Tensor:
    """d^k u_field / dx_index at every point, by differentiating the value again and again."""
    x = x.clone().requires_grad_()
    out = u(x)[:, field]
    for i in index:
        if not out.requires_grad:
            return torch.zeros(len(x), dtype=x.dtype)
        gradient = torch.autograd.grad(out.sum(), x, create_graph=True, allow_unused=True)[0]
        out = torch.zeros(len(x), dtype=x.dtype) if gradient is None else gradient[:, i]
    return out.detach()


def named(network: Network, theta: Tensor) -> dict[str, Tensor]:
    """The parameters by name."""
    return {p.name: theta[p.slice].view(p.shape) for p in network.parameters}


def close(mine: Tensor | None, truth: Tensor, tolerance: float = 1e-10) -> None:
    """Agreement relative to the largest value."""
    got = torch.zeros_like(truth) if mine is None else mine.expand_as(truth)
    assert torch.isfinite(truth).all() and truth.shape == got.shape
    assert (got - truth).abs().max() <= tolerance * max(1.0, float(truth.abs().max()))


def start(architecture: Architecture, inputs: int, outputs: int, *, seed: int = 0, shake: float = 0.1,
          periods: Mapping[int, float] = NO_PERIODS) -> tuple[Network, Tensor, torch.Generator]:
    """A network with float64 parameters, shaken so that none is zero or one."""
    generator = torch.Generator().manual_seed(seed)
    network = build_network(architecture, inputs, outputs, periods)
    theta = initial_parameters(network, generator, torch.float64)
    return network, theta + shake * torch.randn(theta.shape, generator=generator, dtype=torch.float64), generator


def agrees(architecture: Architecture, inputs: int = 2, outputs: int = 1, *, highest: int = 4, seed: int = 0,
           shake: float = 0.1, periods: Mapping[int, float] = NO_PERIODS, tolerance: float = 1e-10) -> None:
    """Value, first, second, mixed, third, fourth derivatives and a collapsed Laplacian against nested autograd."""
    points, extra = 4, 2  # with derivatives, with values only
    network, theta, generator = start(architecture, inputs, outputs, seed=seed, shake=shake, periods=periods)
    x = torch.randn(points + extra, inputs, generator=generator, dtype=torch.float64)
    scale = 0.5 + torch.rand(inputs, generator=generator, dtype=torch.float64)
    features = getattr(network, "_features", None)
    u = Plain(architecture, named(network, theta), scale, periods, None if features is None else features.frequencies)

    orders: dict[int, list[Index]] = {1: [(i,) for i in range(inputs)]}
    orders[2] = [*combinations_with_replacement(range(inputs), 2)]
    orders[3] = [(0, 0, 0), (0, 0, inputs - 1)]
    orders[4] = [(0, 0, inputs - 1, inputs - 1), (inputs - 1,) * 4]
    wanted = {index for order, indices in orders.items() if order <= highest for index in indices}
    laplacian = Operator(tuple(((i, i), 1.0) for i in range(inputs)))
    carried = derivative_set(wanted, [laplacian] if highest > 1 else [])
    jet = network.forward(theta, x * scale, scale.unsqueeze(1), points, carried, carried)
    none = DerivativeSet()
    alone = network.forward(theta, x * scale, scale.unsqueeze(1), len(x), none, none)
    for field in range(outputs):
        truth = u(x)[:, field]
        close(jet.value[:, field], truth, tolerance)
        close(alone.value[:, field], truth, tolerance)
        for index in sorted(wanted):
            channel = jet.get(index)
            close(None if channel is None else channel[:, field], derivative(u, x, index, field)[:points], tolerance)
        if highest > 1:
            own = jet.operators[carried.operators.index(laplacian)]
            assert own is not None
            second = [derivative(u, x, (i, i), field)[:points] for i in range(inputs)]
            close(own[:, field], torch.stack(second).sum(0), tolerance)
