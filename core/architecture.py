"""What network to build, as plain data. Imports no torch, so that a form can check it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

from core.choices import (
    Activation,
    Basis,
    Initial,
    NetworkKind,
    Recovery,
    Reproducing,
    ReproducingStart,
    Slopes,
)


@dataclass(frozen=True)
class Architecture:
    """A network's architecture. Raises ValueError with a sentence where the parts do not go together.

    kind: 'mlp'; 'gated', the improved architecture of Wang, Teng & Perdikaris 2021; 'residual', blocks of two layers
        with a skip, as in the PDE scripts of Liang et al. 2021 (RAF).
    hidden: the width of every hidden layer. slopes, slope_scale (n), slope_on_output, recovery: core.slopes; without
        slopes the scale and the output layer's slope have no effect.
    raf, raf_basis, raf_start, raf_width, raf_blocks: core.raf. Learnable and assigned ones stand in the place of
        `activation`, rowdy adds to it. raf_blocks are the widths of the assigned form's blocks, () for equal ones.
    rowdy_terms: how many sinusoids a rowdy activation adds to the activation.
    initial, initial_scale: core.initial. fourier_features, fourier_sigma, feature_seed, harmonics: core.features.
    """

    kind: str = "mlp"
    hidden: tuple[int, ...] = (50, 50, 50)
    activation: str = "tanh"
    slopes: str = "none"
    slope_scale: float = 1.0
    slope_on_output: bool = False
    recovery: str = "none"
    raf: str = "none"
    raf_basis: tuple[str, ...] = ("x", "x2", "sin", "gaussian")
    raf_start: str = "pde"
    raf_width: float = 0.5
    raf_blocks: tuple[int, ...] = ()
    rowdy_terms: int = 3
    initial: str = "glorot-normal"
    initial_scale: float = 0.1
    fourier_features: int = 0
    fourier_sigma: float = 1.0
    feature_seed: int = 0
    harmonics: int = 1

    def __post_init__(self) -> None:
        for what, value, known in (
            ("kind of network", self.kind, NetworkKind), ("activation", self.activation, Activation),
            ("kind of slopes", self.slopes, Slopes), ("slope recovery", self.recovery, Recovery),
            ("reproducing activation", self.raf, Reproducing), ("start", self.raf_start, ReproducingStart),
            ("initialisation", self.initial, Initial),
        ):
            if value not in get_args(known):
                raise ValueError(f"there is no {what} '{value}'; there is {', '.join(get_args(known))}")
        for what, number in (("slope_scale", self.slope_scale), ("raf_width", self.raf_width),
                             ("initial_scale", self.initial_scale), ("fourier_sigma", self.fourier_sigma)):
            if not (math.isfinite(number) and number > 0):
                raise ValueError(f"{what} must be more than 0; {number:g} is not")
        if self.fourier_features < 0:
            raise ValueError(f"the number of Fourier features is 0 or more; {self.fourier_features} is not")
        if self.harmonics < 1:
            raise ValueError(f"a periodic input needs at least one harmonic; {self.harmonics} is none")
        self._check_widths()
        self._check_slopes()
        self._check_raf()

    def _check_widths(self) -> None:
        widths = ", ".join(map(str, self.hidden))
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden layers are at least one, each of width 1 or more; '{widths}' are not")
        if self.kind == "gated" and len(set(self.hidden)) != 1:
            raise ValueError(f"the gated network mixes its encoders into every layer, so all hidden widths must be "
                             f"equal; {widths} are not")
        if self.kind == "residual" and (len(set(self.hidden)) != 1 or len(self.hidden) % 2):
            raise ValueError(f"the residual network adds each block of two layers to what enters it, so hidden layers "
                             f"must be equally wide and even in number; {widths} are not")

    def _check_slopes(self) -> None:
        if self.recovery != "none" and self.slopes == "none":
            raise ValueError("slope recovery is a function of the slopes, and this network has none; choose slopes, "
                             "or no recovery")
        if self.slopes != "none" and self.raf == "learnable":
            raise ValueError("a learnable reproducing activation has a trainable scale for each of its functions "
                             "already; a slope on top would be the same parameter twice")
        if self.slopes != "none" and self.raf == "rowdy":
            raise ValueError("a rowdy activation has trainable frequencies already, and the same scale n in another "
                             "role; choose slopes or rowdy")

    def _check_raf(self) -> None:
        if self.raf == "rowdy" and self.rowdy_terms < 1:
            raise ValueError(f"a rowdy activation adds at least one sinusoid; {self.rowdy_terms} is none")
        if self.raf not in ("learnable", "assigned"):
            return
        known = get_args(Basis)
        unknown = [name for name in self.raf_basis if name not in known]
        if unknown or not self.raf_basis:
            first = f"there is no function '{unknown[0]}'" if unknown else "there is no function"
            raise ValueError(f"{first} to reproduce an activation from; there is {', '.join(known)}")
        if len(set(self.raf_basis)) < len(self.raf_basis):
            raise ValueError("a function appears twice in the basis of the reproducing activation")
        if self.raf == "assigned":
            for width in set(self.hidden):
                self.block_widths(width)

    def block_widths(self, width: int) -> tuple[int, ...]:
        """How many of a layer's neurons each function of an assigned activation gets; the last takes what is left.

        Equal blocks of floor(width / P) as in the scripts of Liang et al. 2021, where raf_blocks is empty.
        Raises ValueError.
        """
        count = len(self.raf_basis)
        if self.raf_blocks:
            if len(self.raf_blocks) != count or min(self.raf_blocks) < 1 or sum(self.raf_blocks) != width:
                raise ValueError(f"the blocks {', '.join(map(str, self.raf_blocks))} do not share the {width} neurons "
                                 f"of a layer among {count} functions; give {count} widths whose sum is {width}")
            return self.raf_blocks
        if width < count:
            raise ValueError(f"a layer of width {width} is too narrow to give each of {count} functions a neuron")
        share = width // count
        return (*(share,) * (count - 1), width - share * (count - 1))
