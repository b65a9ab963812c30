"""Networks as pure functions of one flat parameter vector, evaluated on jets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor

from core import initial
from core.activations import ACTIVATIONS, ActivationJet
from core.architecture import Architecture
from core.features import Features
from core.jets import DerivativeSet, Jet, compose, input_jet, linear, multiply_add, record, subtract
from core.parameters import Layout, Parameter
from core.raf import ActivationRecord, Assigned, nonlinearity
from core.slopes import Slopes

Enter = Callable[[Tensor, Tensor], Jet]  # (weight, bias) -> the jet of a layer that sees the inputs


class Network(Protocol):
    """What a trainer needs to know of a network."""

    parameters: tuple[Parameter, ...]
    #: the weight matrices whose gradients are compared and drawn: W of every hidden layer and of the output
    kernels: tuple[Parameter, ...]

    def forward(self, theta: Tensor, x: Tensor, scale: Tensor, n: int, derivatives: DerivativeSet,
                outputs: DerivativeSet) -> Jet:
        """The fields' jet.

        theta [P], x [N, d] normalized inputs, scale [d, 1] = d(normalized)/d(physical); derivatives, with respect to
        the physical inputs, are of the first n points. Only `outputs`, a subset, is carried through the last layer.
        """
        ...

    def hold(self, dtype: torch.dtype, device: torch.device) -> None:
        """Keep its constants in this precision on this device too, so that `forward` copies nothing there."""
        ...

    @property
    def has_recovery(self) -> bool:
        """Whether a slope recovery term belongs to the loss."""
        ...

    def recovery(self, theta: Tensor) -> Tensor:
        """The slope recovery term S(a), a scalar; 0 where the network has none."""
        ...

    def slopes(self, theta: Tensor) -> list[tuple[str, Tensor]]:
        """(layer, n a) with n a [1] or [width]; the layer is '' where all share one slope. Empty without slopes."""
        ...

    def readings(self, theta: Tensor) -> dict[str, float]:
        """Numbers of the network that are worth a curve: 'slope hidden 1', the layer's mean n a, and 'S(a)'."""
        ...


class MLP:
    """A fully connected network, linear at the end: the plain architecture of M1 and M2 (Wang et al. 2021, section 2).

    As the base of the others it holds what they have in common: parameters, slopes, activation and features.
    Parameters are, in this order, weights and biases of every layer, slopes, and those of the activations.
    """

    _encoders: tuple[str, ...] = ()

    def __init__(self, architecture: Architecture, inputs: int, outputs: int, periods: Mapping[int, float]) -> None:
        a = architecture
        self.architecture = a
        self._features: Features | None = None
        if periods or a.fourier_features:
            self._features = Features(inputs, periods, harmonics=a.harmonics, fourier=a.fourier_features,
                                      sigma=a.fourier_sigma, seed=a.feature_seed)
        #: width of what the first layer sees
        self.entrance = inputs if self._features is None else self._features.width
        layout = Layout()
        self._shapes: list[tuple[int, int]] = []
        self._sloped: list[bool] = []
        encoders = [(name, self.entrance, a.hidden[0]) for name in self._encoders]
        widths = [self.entrance, *a.hidden]
        hidden = [(f"hidden {k}", rows, columns) for k, (rows, columns) in
                  enumerate(zip(widths[:-1], widths[1:], strict=True), start=1)]
        layers = [*encoders, *hidden, ("output", a.hidden[-1], outputs)]
        kernels = [self._add_layer(layout, *layer) for layer in layers]
        self.kernels = tuple(kernels[len(encoders):])
        self._slopes: Slopes | None = None
        if a.slopes != "none":
            named = [(name, columns) for (name, _, columns), sloped in zip(layers, self._sloped, strict=True) if sloped]
            self._slopes = Slopes(a.slopes, a.slope_scale, a.recovery, named, layout)
        self._own = nonlinearity(a)
        activated = [(name, columns) for name, _, columns in layers[:-1]]
        if self._own is not None:
            for name, columns in activated:
                self._own.add_to(layout, name, columns)
        self._fixed: list[ActivationJet] = [self._fixed_activation(columns) for _, columns in activated]
        self.parameters = tuple(layout.parameters)
        self._sizes = layout.sizes
        rest = sum(layout.sizes[len(self._shapes) + self._sloped.count(False) + (self._slopes is not None):])
        #: where the activations' own parameters begin
        self.activation_offset = sum(layout.sizes) - rest

    def _add_layer(self, layout: Layout, name: str, rows: int, columns: int) -> Parameter:
        a = self.architecture
        encoder, output = name in self._encoders, name == "output"
        first = encoder or name == "hidden 1"
        sloped = a.slopes != "none" and (a.slope_on_output or not output)
        weight = initial.weight(a.initial, rows, columns, scale=a.initial_scale, first=first)
        bias = (initial.encoder_bias if encoder else initial.bias)(a.initial, rows, columns, scale=a.initial_scale)
        kernel = layout.add(f"{name} W", (rows, columns), weight)
        layout.add(f"{name} b", (columns,), bias, joined=sloped)
        self._shapes.append((rows, columns))
        self._sloped.append(sloped)
        return kernel

    def _fixed_activation(self, width: int) -> ActivationJet:
        a = self.architecture
        if a.raf == "assigned":
            return Assigned(a.raf_basis, a.block_widths(width), a.raf_width)
        return ACTIVATIONS[a.activation]

    # ------------------------------------------------------------------

    def forward(self, theta: Tensor, x: Tensor, scale: Tensor, n: int, derivatives: DerivativeSet,
                outputs: DerivativeSet) -> Jet:
        maps, own = self._unpack(theta)
        jet = self._entry(x, scale, n, derivatives)(*maps[0])
        for k, (weight, bias) in enumerate(maps[1:-1]):
            jet = linear(self._activate(k, jet, own), weight, bias)
        return linear(restrict(self._activate(len(maps) - 2, jet, own), outputs), *maps[-1])

    def hold(self, dtype: torch.dtype, device: torch.device) -> None:
        if self._features is not None:
            self._features.hold(dtype, device)

    def _unpack(self, theta: Tensor) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
        """(weight, bias) of every layer, times its slope, and the parameters of each layer's activation."""
        pieces = torch.split(theta, self._sizes)
        count = len(self._shapes) + self._sloped.count(False)
        rest = list(pieces[count:])
        factors: list[Tensor] = []
        if self._slopes is not None:
            factors, rest = self._slopes.factors(rest[0]), rest[1:]
        cut, slopes = iter(pieces), iter(factors)
        maps = []
        for (rows, columns), sloped in zip(self._shapes, self._sloped, strict=True):
            if sloped:
                affine = next(cut).view(rows + 1, columns) * next(slopes)
                weight, bias = torch.split(affine, [rows, 1])
            else:
                weight, bias = next(cut).view(rows, columns), next(cut)
            maps.append((weight, bias))
        return maps, rest

    def _entry(self, x: Tensor, scale: Tensor, n: int, derivatives: DerivativeSet) -> Enter:
        """What makes the jet of a layer that sees the inputs, or their features, from its weight and bias."""
        if self._features is None:
            return lambda weight, bias: input_jet(weight, bias, x, scale, n, derivatives)
        jet = self._features(x, scale, n, derivatives)
        return lambda weight, bias: linear(jet, weight, bias)

    def _activate(self, k: int, jet: Jet, own: list[Tensor]) -> Jet:
        """The activation of the k-th layer, the encoders counted first."""
        order = jet.derivatives.order
        if self._own is not None:
            parts = self._own(jet.value, jet.n, order, own[k])
            record(ActivationRecord(self._own, jet.value, jet.n, order, own[k], parts))
            return compose(parts, jet)
        return compose(self._fixed[k](jet.value, jet.n, order), jet)

    # ------------------------------------------------------------------

    @property
    def has_recovery(self) -> bool:
        return self._slopes is not None and self._slopes.form != "none"

    def recovery(self, theta: Tensor) -> Tensor:
        if self._slopes is None or not self.has_recovery:
            return theta.new_zeros(())
        return self._slopes.recovery(theta)

    def slopes(self, theta: Tensor) -> list[tuple[str, Tensor]]:
        return [] if self._slopes is None else self._slopes.effective(theta)

    def readings(self, theta: Tensor) -> dict[str, float]:
        return {} if self._slopes is None else self._slopes.readings(theta)


class GatedMLP(MLP):
    """The 'improved architecture' of M3 and M4 (Wang et al. 2021, eqs. 2.33-2.38), as the released code has it.

    Two encoders U and V of the input are mixed by every hidden layer: Z = phi(H W + b), H <- Z * U + (1 - Z) * V,
    from H = X on: D hidden layers give D gates, without an ungated first layer. All hidden widths must be equal.
    By default the encoders' biases start random, N(0, 2 / (1 + width)), the others at zero. The paper's text has U
    and V the other way round, which is the same network relabelled.

    Slopes, where there are any, are in the encoders too: each encoder is a layer with a slope of its own.
    """

    _encoders = ("encoder U", "encoder V")

    def forward(self, theta: Tensor, x: Tensor, scale: Tensor, n: int, derivatives: DerivativeSet,
                outputs: DerivativeSet) -> Jet:
        maps, own = self._unpack(theta)
        enter = self._entry(x, scale, n, derivatives)
        u = self._activate(0, enter(*maps[0]), own)
        v = self._activate(1, enter(*maps[1]), own)
        difference = subtract(u, v)
        jet = enter(*maps[2])
        for k, (weight, bias) in enumerate(maps[3:-1], start=2):
            jet = linear(multiply_add(self._activate(k, jet, own), difference, v), weight, bias)
        last = multiply_add(self._activate(len(maps) - 2, jet, own), difference, v)
        return linear(restrict(last, outputs), *maps[-1])


class ResidualNet(MLP):
    """Blocks of two layers with a skip: y <- phi(W' phi(W y)) + y, then linear (PDE scripts of Liang et al. 2021).

    The first block's skip is the input, or its features, filled up with zeros to the hidden width.
    """

    def __init__(self, architecture: Architecture, inputs: int, outputs: int, periods: Mapping[int, float]) -> None:
        super().__init__(architecture, inputs, outputs, periods)
        width = architecture.hidden[0]
        if self.entrance > width:
            raise ValueError(f"the residual network carries its {self.entrance} inputs, or their features, past the "
                             f"first block, so it must be at least as wide; {width} is too narrow")

    def forward(self, theta: Tensor, x: Tensor, scale: Tensor, n: int, derivatives: DerivativeSet,
                outputs: DerivativeSet) -> Jet:
        maps, own = self._unpack(theta)
        enter = self._entry(x, scale, n, derivatives)
        width = maps[0][0].shape[1]
        skip = enter(torch.eye(self.entrance, width, dtype=x.dtype, device=x.device), x.new_zeros(width))
        jet = enter(*maps[0])
        for k in range(0, len(maps) - 1, 2):
            if k:
                jet = linear(skip, *maps[k])
            jet = linear(self._activate(k, jet, own), *maps[k + 1])
            skip = add(self._activate(k + 1, jet, own), skip)
        return linear(restrict(skip, outputs), *maps[-1])


class Parametrized(Protocol):
    """A network, or an objective with all its networks and unknowns."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """In the order of the flat vector."""
        ...


def initial_parameters(owner: Parametrized, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Start values [P]. Drawn in float64 whatever the precision, so that float32 and float64 start alike."""
    return torch.cat([p.initial(generator).reshape(-1) for p in owner.parameters]).to(dtype)


def restrict(jet: Jet, wanted: DerivativeSet) -> Jet:
    """The same jet with fewer derivatives. `wanted` must be a subset of what it carries."""
    have = jet.derivatives
    if have == wanted:
        return jet
    first = None
    if wanted.first and jet.first is not None:
        rows = [have.first.index(i) for i in wanted.first]
        first = jet.first if wanted.first == have.first else torch.stack([jet.first[k] for k in rows])
    return Jet(wanted, jet.value, first, [jet.operators[have.operators.index(o)] for o in wanted.operators],
               [jet.higher[have.higher.index(i)] for i in wanted.higher], jet.n)


def add(a: Jet, b: Jet) -> Jet:
    """The jet of a + b; both have the same derivatives and points."""
    def plus(x: Tensor | None, y: Tensor | None) -> Tensor | None:
        return y if x is None else x if y is None else x + y

    return Jet(a.derivatives, a.value + b.value, plus(a.first, b.first),
               [plus(x, y) for x, y in zip(a.operators, b.operators, strict=True)],
               [plus(x, y) for x, y in zip(a.higher, b.higher, strict=True)], a.n)


def build_network(architecture: Architecture, inputs: int, outputs: int,
                  periods: Mapping[int, float] = MappingProxyType({})) -> Network:
    """The network of an architecture.

    periods: input number -> period in physical units, for the inputs in which it is to be periodic exactly.
    Raises ValueError with a sentence for a network that cannot be.
    """
    kinds = {"mlp": MLP, "gated": GatedMLP, "residual": ResidualNet}
    return kinds[architecture.kind](architecture, inputs, outputs, periods)
