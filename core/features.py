"""What the first layer sees instead of the inputs: exact periodicity and random Fourier features, as jets."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from core.activations import cos, sin
from core.jets import DerivativeSet, Jet, compose, input_jet, linear


class Features:
    """Constant functions of the inputs, with their derivatives by the physical inputs.

    periods: input number -> period P in physical units. Such an input becomes cos and sin of 2 pi m (X - center) / P
    for m = 1 ... harmonics, so that network and derivatives are periodic exactly (Dong & Ni 2021). One harmonic is
    enough: every continuous periodic function is a continuous function of that cosine and sine, which the layers that
    follow can learn; more favour short waves. Other inputs stay as they are, normalized.

    fourier: if more than 0, so many random frequencies: cos(B x) and sin(B x) of what is there then, B ~ N(0, sigma^2)
    (Tancik et al. 2020; Wang, Wang & Perdikaris 2021). B is a constant, drawn from `seed`.
    """

    def __init__(self, inputs: int, periods: Mapping[int, float], *, harmonics: int = 1, fourier: int = 0,
                 sigma: float = 1.0, seed: int = 0) -> None:
        for axis, period in periods.items():
            if not 0 <= axis < inputs:
                raise ValueError(f"input number {axis} cannot be periodic: there are {inputs} inputs, the first is 0")
            if not (math.isfinite(period) and period > 0):
                raise ValueError(f"a period must be more than 0; {period:g} is not")
        plain = [axis for axis in range(inputs) if axis not in periods]
        waves = [(axis, 2 * math.pi * m / periods[axis]) for axis in sorted(periods)
                 for m in range(1, harmonics + 1)]
        width = len(plain) + 2 * len(waves)
        # z = x @ (kept + waves / scale): the kept inputs, then every phase twice, for its cosine and its sine
        self._kept = torch.zeros(inputs, width, dtype=torch.float64)
        self._waves = torch.zeros(inputs, width, dtype=torch.float64)
        for column, axis in enumerate(plain):
            self._kept[axis, column] = 1.0
        for column, (axis, frequency) in enumerate(waves, start=len(plain)):
            self._waves[axis, column] = self._waves[axis, column + len(waves)] = frequency
        self._plain, self._phases = len(plain), len(waves)
        self._random: Tensor | None = None
        self.frequencies: Tensor | None = None  # B [width before, fourier]
        if fourier:
            generator = torch.Generator().manual_seed(seed)
            b = sigma * torch.randn(width, fourier, generator=generator, dtype=torch.float64)
            self.frequencies, self._random = b, torch.cat([b, b], 1)
        self._held: dict[tuple[torch.dtype, torch.device], tuple[Tensor, Tensor, Tensor | None]] = {}
        #: number of features
        self.width = 2 * fourier if fourier else width

    def hold(self, dtype: torch.dtype, device: torch.device) -> None:
        """Keep the constants in this precision on this device, so that no step copies them there."""
        self._held[dtype, device] = self._constants(dtype, device)

    def _constants(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
        b = self._random
        return (self._kept.to(device, dtype), self._waves.to(device, dtype),
                None if b is None else b.to(device, dtype))

    def __call__(self, x: Tensor, scale: Tensor, n: int, derivatives: DerivativeSet) -> Jet:
        """The features' jet, value [N, width]. Arguments as in Network.forward."""
        order = derivatives.order
        kept, waves, b = self._held.get((x.dtype, x.device)) or self._constants(x.dtype, x.device)
        columns = kept + waves / scale
        jet = input_jet(columns, columns.new_zeros(columns.shape[1]), x, scale, n, derivatives)
        if self._phases:
            jet = compose(_waves(jet.value, n, order, self._plain), jet)
        if b is None:
            return jet
        jet = linear(jet, b, b.new_zeros(b.shape[1]))
        return compose(_waves(jet.value, n, order, 0), jet)


def _waves(z: Tensor, n: int, order: int, plain: int) -> tuple[Tensor, ...]:
    """z in the first `plain` columns, cos z in the first half of the others, sin z in the second; the halves are equal.

    As an activation of core.activations: with derivatives up to `order` on the first n rows.
    """
    phase = z[:, plain: plain + (z.shape[1] - plain) // 2]
    c, s = (f(phase, n, order) for f in (cos, sin))
    kept = z[:, :plain]
    head = [kept, torch.ones_like(kept[:n]), *[torch.zeros_like(kept[:n])] * 3]
    return tuple(torch.cat([head[k], c[k], s[k]], 1) for k in range(order + 1))
