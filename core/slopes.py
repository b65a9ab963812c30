"""Adaptive slopes and slope recovery (Jagtap, Kawaguchi & Karniadakis, Proc. R. Soc. A 476: 20200334, 2020).

A hidden layer computes phi(n a (W x + b)) with a fixed scale n >= 1 and trainable slopes a, started at n a = 1, so
that the network starts as the one with the fixed activation. One slope for the network is GAAF, one for each layer
L-LAAF, one for each neuron N-LAAF. Slopes multiply the affine map, weights and bias: exact for every derivative that
a jet carries, and nearly free.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.initial import constant
from core.parameters import Layout, Parameter


class Slopes:
    """The slopes of some layers of a network.

    kind: 'global', 'layer' or 'neuron'; scale: n; recovery: 'none', 'paper' or 'code'; layers: (name, width) of every
    layer that has a slope. In a gated network each encoder is a layer of its own.
    """

    def __init__(self, kind: str, scale: float, recovery: str, layers: Sequence[tuple[str, int]],
                 layout: Layout) -> None:
        self.kind, self.scale, self.form = kind, scale, recovery
        rows = [("", 1)] if kind == "global" else [(name, width if kind == "neuron" else 1) for name, width in layers]
        self.names = tuple(name for name, _ in rows)
        self.widths = [width for _, width in rows]
        self.layers = len(layers)
        self.parameters: list[Parameter] = []
        for name, width in rows:
            self.parameters.append(layout.add(f"{name} slope".strip(), (width,), constant((width,), 1 / scale),
                                              joined=bool(self.parameters)))

    def factors(self, raw: Tensor) -> list[Tensor]:
        """n a of each layer that has a slope, [1] or [width], from all slopes a in one vector."""
        effective = raw if self.scale == 1 else raw * self.scale
        if self.kind == "global":
            return [effective] * self.layers
        return list(torch.split(effective, self.widths))

    def recovery(self, theta: Tensor) -> Tensor:
        """The slope recovery term S(a), a scalar, section 2b of the paper; theta [P].

        paper: 1 / mean over the layers k of exp(mean of a^k); the mean is the paper's sum / (D - 1), D - 1 being the
        number of layers that have a slope. For one slope in the whole network exp(-a), which is what the released
        code computes; the paper prints no formula for it.
        code: 1 / sum over k of exp(mean of a^k), as the released function fit has it, without the D - 1.
        Both have a in the exponential, not n a.
        """
        raw = self._raw(theta)
        if self.kind == "global":
            return torch.exp(-raw).squeeze(0)
        if self.kind == "neuron":
            raw = torch.stack([part.mean() for part in torch.split(raw, self.widths)])
        e = torch.exp(raw)
        return 1 / (e.sum() if self.form == "code" else e.mean())

    def effective(self, theta: Tensor) -> list[tuple[str, Tensor]]:
        """(name of the layer, n a); the name is empty for a slope that the whole network shares."""
        parts = torch.split(self._raw(theta) * self.scale, self.widths)
        return list(zip(self.names, parts, strict=True))

    def readings(self, theta: Tensor) -> dict[str, float]:
        """Mean n a of every layer as 'slope hidden 1' ('slope' where all share one), and S(a) where it is in use."""
        theta = theta.detach()
        out = {f"slope {name}".strip(): float(factor.mean()) for name, factor in self.effective(theta)}
        if self.form != "none":
            out["S(a)"] = float(self.recovery(theta))
        return out

    def _raw(self, theta: Tensor) -> Tensor:
        return theta[self.parameters[0].offset: self.parameters[-1].slice.stop]
