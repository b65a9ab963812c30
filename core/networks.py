"""Networks as pure functions of one flat parameter vector, evaluated on jets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from core.activations import ACTIVATIONS
from core.jets import DerivativeSet, Jet, compose, input_jet, linear, multiply_add, subtract


@dataclass(frozen=True)
class Parameter:
    """A named slice of the flat parameter vector. `initial` draws its start values from a generator."""

    name: str
    shape: tuple[int, ...]
    offset: int
    initial: Callable[[torch.Generator], Tensor]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def slice(self) -> slice:
        """Its place in the flat vector."""
        return slice(self.offset, self.offset + self.size)


def glorot_normal(rows: int, columns: int) -> Callable[[torch.Generator], Tensor]:
    """Untruncated N(0, 2 / (rows + columns)), as the code of Wang et al. 2021 draws it; float64 [rows, columns]."""
    return lambda generator: torch.randn(rows, columns, generator=generator, dtype=torch.float64) * math.sqrt(
        2 / (rows + columns))


def zeros(width: int) -> Callable[[torch.Generator], Tensor]:
    """A bias that starts at zero."""
    return lambda generator: torch.zeros(width, dtype=torch.float64)


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


class _Layout:
    """Collects parameters one after the other into a flat vector."""

    def __init__(self) -> None:
        self.parameters: list[Parameter] = []
        self.size = 0

    def add(self, name: str, shape: tuple[int, ...], initial: Callable[[torch.Generator], Tensor]) -> Parameter:
        parameter = Parameter(name, shape, self.size, initial)
        self.parameters.append(parameter)
        self.size += parameter.size
        return parameter


class MLP:
    """A fully connected network: the plain architecture of M1 and M2 (Wang et al. 2021, section 2).

    Weights Glorot normal, biases zero, linear output.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, activation: str) -> None:
        self.activation = ACTIVATIONS[activation]
        layout = _Layout()
        self.kernels = self._layers(layout, inputs, hidden, outputs)
        self.parameters = tuple(layout.parameters)

    def _layers(self, layout: _Layout, inputs: int, hidden: Sequence[int], outputs: int) -> tuple[Parameter, ...]:
        widths = [inputs, *hidden, outputs]
        kernels = []
        for k, (rows, columns) in enumerate(zip(widths[:-1], widths[1:], strict=True), start=1):
            name = "output" if k == len(widths) - 1 else f"hidden {k}"
            kernels.append(layout.add(f"{name} W", (rows, columns), glorot_normal(rows, columns)))
            layout.add(f"{name} b", (columns,), zeros(columns))
        return tuple(kernels)

    def forward(self, theta: Tensor, x: Tensor, scale: Tensor, n: int, derivatives: DerivativeSet,
                outputs: DerivativeSet) -> Jet:
        p = unflatten(theta, self.parameters)
        jet = input_jet(p[0], p[1], x, scale, n, derivatives)
        for weight, bias in zip(p[2:-2:2], p[3:-2:2], strict=True):
            jet = linear(self._activate(jet), weight, bias)
        return linear(restrict(self._activate(jet), outputs), p[-2], p[-1])

    def _activate(self, jet: Jet) -> Jet:
        return compose(self.activation(jet.value, jet.n, jet.derivatives.order), jet)


class GatedMLP(MLP):
    """The 'improved architecture' of M3 and M4 (Wang et al. 2021, eqs. 2.33-2.38), as the released code has it.

    Two encoders U and V of the input are mixed by every hidden layer: Z = phi(H W + b), H <- Z * U + (1 - Z) * V,
    from H = X on: D hidden layers give D gates, without an ungated first layer. All hidden widths must be equal.
    The encoders' biases start random, N(0, 2 / (1 + width)), the others at zero. The paper's text has U and V the
    other way round, which is the same network relabelled.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, activation: str) -> None:
        if len(set(hidden)) != 1:
            raise ValueError(f"the gated network mixes its encoders into every layer, so all hidden widths must be "
                             f"equal; {', '.join(map(str, hidden))} are not")
        self.activation = ACTIVATIONS[activation]
        layout = _Layout()
        width = hidden[0]
        for encoder in ("encoder U", "encoder V"):
            layout.add(f"{encoder} W", (inputs, width), glorot_normal(inputs, width))
            layout.add(f"{encoder} b", (width,), lambda g: glorot_normal(1, width)(g).squeeze(0))
        self.kernels = self._layers(layout, inputs, hidden, outputs)
        self.parameters = tuple(layout.parameters)

    def forward(self, theta: Tensor, x: Tensor, scale: Tensor, n: int, derivatives: DerivativeSet,
                outputs: DerivativeSet) -> Jet:
        p = unflatten(theta, self.parameters)
        u = self._activate(input_jet(p[0], p[1], x, scale, n, derivatives))
        v = self._activate(input_jet(p[2], p[3], x, scale, n, derivatives))
        difference = subtract(u, v)
        jet = input_jet(p[4], p[5], x, scale, n, derivatives)
        for weight, bias in zip(p[6:-2:2], p[7:-2:2], strict=True):
            jet = linear(multiply_add(self._activate(jet), difference, v), weight, bias)
        return linear(restrict(multiply_add(self._activate(jet), difference, v), outputs), p[-2], p[-1])


def unflatten(theta: Tensor, parameters: Sequence[Parameter]) -> list[Tensor]:
    """The named tensors as views of the flat vector [P]."""
    pieces = torch.split(theta, [p.size for p in parameters])
    return [piece.view(p.shape) if len(p.shape) > 1 else piece for piece, p in zip(pieces, parameters, strict=True)]


def initial_parameters(network: Network, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Start values [P]. Drawn in float64 whatever the precision, so that float32 and float64 start alike."""
    return torch.cat([p.initial(generator).reshape(-1) for p in network.parameters]).to(dtype)


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


def build_network(kind: str, inputs: int, hidden: Sequence[int], outputs: int, activation: str) -> Network:
    """'mlp' or 'gated'. Raises ValueError with a sentence for a network that cannot be."""
    if kind == "mlp":
        return MLP(inputs, hidden, outputs, activation)
    if kind == "gated":
        return GatedMLP(inputs, hidden, outputs, activation)
    raise ValueError(f"there is no network of kind '{kind}'; the kinds are mlp, gated")
