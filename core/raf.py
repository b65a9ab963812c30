"""Reproducing activation functions (Liang, Lyu, Wang & Yang, arXiv 2101.04844) and their relatives.

learnable: f(z) = sum over p of alpha_p gamma_p(beta_p z), every neuron with coefficients and scales of its own; the
    form of the authors' image and audio scripts.
assigned: each layer's neurons are split into blocks, and each block has one function with nothing to train; the form
    of all their PDE scripts, which write it x + x^2 + sin + Gaussian with the plus in a circle.
rowdy: a fixed activation plus sinusoids whose amplitudes and frequencies a whole layer shares (Jagtap, Shin, Kawaguchi
    & Karniadakis 2022, Deep Kronecker neural networks); in this notation RAF with tied parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from core.activations import ACTIVATIONS, ActivationJet, cos, relu, relu3, sin, tanh
from core.architecture import Architecture
from core.initial import constant, normal, uniform
from core.parameters import Draw, Layout


class Nonlinearity(Protocol):
    """An activation with parameters of its own in every layer that it follows."""

    def add_to(self, layout: Layout, name: str, width: int) -> None:
        """Add the parameters of the layer of this name, as one group."""
        ...

    def __call__(self, z: Tensor, n: int, order: int, own: Tensor) -> tuple[Tensor, ...]:
        """f(z) on all rows, then f', f'', ... up to `order` on the first n, as in core.activations.

        z [N, width]; own: the layer's parameters as one vector.
        """
        ...


@dataclass(frozen=True)
class ActivationRecord:
    """An activation that a pass evaluated, for whoever needs the derivative of every row by its parameters."""

    function: Nonlinearity
    z: Tensor
    n: int
    order: int
    own: Tensor
    parts: tuple[Tensor, ...]  # in the graph


def identity(z: Tensor, n: int, order: int) -> tuple[Tensor, ...]:
    """z."""
    return _padded([z, torch.ones_like(z[:n])], order)


def square(z: Tensor, n: int, order: int) -> tuple[Tensor, ...]:
    """z^2."""
    rows = z[:n]
    return _padded([z * z, 2 * rows, torch.full_like(rows, 2.0)], order)


def gaussian(z: Tensor, n: int, order: int, width: float = math.sqrt(0.5)) -> tuple[Tensor, ...]:
    """exp(-z^2 / (2 width^2)); every derivative is that times a Hermite polynomial."""
    p = 1 / width**2
    t = p * (z * z)
    g = torch.exp(-0.5 * t)
    if order == 0:
        return (g,)
    rows, t = g[:n], t[:n]
    q = p * z[:n]
    out = [g, -q * rows]
    if order >= 2:
        h = p * rows
        out.append(h * (t - 1))
    if order >= 3:
        out.append(q * h * (3 - t))
    if order >= 4:
        out.append(p * h * (t * (t - 6) + 3))
    return tuple(out)


def _padded(f: list[Tensor], order: int) -> tuple[Tensor, ...]:
    """The derivatives of a polynomial: zero beyond its degree."""
    return tuple(f[: order + 1]) + tuple(torch.zeros_like(f[1]) for _ in range(len(f), order + 1))


#: The functions that are reproduced from, as jets; sin, cos, relu, relu3 and tanh as in core.activations.
BASES: dict[str, ActivationJet] = {
    "x": identity, "x2": square, "sin": sin, "cos": cos, "gaussian": gaussian, "tanh": tanh, "relu": relu,
    "relu3": relu3,
}


def nonlinearity(architecture: Architecture) -> Nonlinearity | None:
    """The activation with parameters of its own, None for a fixed one."""
    match architecture.raf:
        case "learnable":
            return Learnable(architecture.raf_basis, architecture.raf_start, architecture.raf_width)
        case "rowdy":
            return Rowdy(ACTIVATIONS[architecture.activation], architecture.rowdy_terms, architecture.slope_scale)
    return None


class Assigned:
    """One function for each block of neighbouring neurons, in the order of the basis, without any parameter."""

    def __init__(self, basis: Sequence[str], blocks: Sequence[int], gaussian_width: float) -> None:
        def narrowed(z: Tensor, n: int, order: int) -> tuple[Tensor, ...]:
            return gaussian(z, n, order, gaussian_width)

        self.functions = [narrowed if name == "gaussian" else BASES[name] for name in basis]
        self.blocks = list(blocks)

    def __call__(self, z: Tensor, n: int, order: int) -> tuple[Tensor, ...]:
        """As in core.activations; z [N, sum of the blocks]."""
        parts = [function(columns, n, order) for function, columns in
                 zip(self.functions, torch.split(z, self.blocks, 1), strict=True)]
        return tuple(torch.cat([part[k] for part in parts], 1) for k in range(order + 1))


#: Means of the coefficients at the start, 0 where there is none; the table is in Learnable.
MEANS = {"image": {"x2": 1.0, "sin": 2.0, "gaussian": 1.0}, "audio": {"sin": 2.0, "gaussian": 1.0}, "pde": {"sin": 1.0}}


class Learnable:
    """A sum of functions with a coefficient and, but for z and z^2, a scale for each neuron.

    The sine's scale is its frequency; the Gaussian is exp(-z^2 / (2 s^2)) with log s as the parameter, so that its
    width cannot pass through zero; the others' scales start at 1.

    Starts, N(mean, deviation) and U(low, high), 'image' and 'audio' as in the authors' scripts of that name:

                              image         audio         pde
        z                     N(0, 0.1)     -             N(0, 0.1)
        z^2                   N(1, 0.1)     -             N(0, 0.1)
        sin                   N(2, 0.1)     N(2, 0.1)     N(1, 0.1)
        frequency             N(30, 0.001)  N(30, 10)     1
        Gaussian              N(1, 0.1)     N(1, 0.1)     N(0, 0.1)
        its width s           U(.01, .05)   U(.01, .05)   `width`

    'pde' is ours: the authors' PDE scripts use the assigned form only. Ours too are the functions that a column does
    not name, N(0, 0.1); where the basis has no sine, its last function starts as the sine does in 'pde', N(1, 0.1),
    so that no network starts almost dead.
    """

    def __init__(self, basis: Sequence[str], start: str, width: float) -> None:
        self.basis, self.start, self.width = tuple(basis), start, width
        self.rows = sum(1 if name in ("x", "x2") else 2 for name in basis)

    def add_to(self, layout: Layout, name: str, width: int) -> None:
        first = True
        for function in self.basis:
            for suffix, draw in self._starts(function, width).items():
                layout.add(f"{name} RAF {function}{suffix}", (width,), draw, joined=not first)
                first = False

    def _starts(self, function: str, width: int) -> dict[str, Draw]:
        """Parameters of one function by the end of their names."""
        shape, published = (width,), self.start != "pde"
        mean = MEANS[self.start].get(function, 0.0)
        if "sin" not in self.basis and function == self.basis[-1]:
            mean = mean or 1.0
        out = {"": normal(shape, mean, 0.1)}
        if function == "sin":
            spread = {"image": 0.001, "audio": 10.0}.get(self.start)
            out[" frequency"] = constant(shape, 1.0) if spread is None else normal(shape, 30.0, spread)
        elif function == "gaussian":
            drawn = uniform(shape, 0.01, 0.05)
            out[" log width"] = ((lambda generator: drawn(generator).log()) if published else
                                 constant(shape, math.log(self.width)))
        elif function not in ("x", "x2"):
            out[" scale"] = constant(shape, 1.0)
        return out

    def __call__(self, z: Tensor, n: int, order: int, own: Tensor) -> tuple[Tensor, ...]:
        given = iter(own.view(self.rows, -1).unbind(0))
        out = _Sum(z, n, order)
        for name in self.basis:
            coefficient = next(given)
            if name == "x":
                out.add_linear(coefficient)
            elif name == "x2":
                out.add_square(coefficient)
            elif name == "sin":
                out.add_sine(coefficient, next(given))
            elif name == "gaussian":
                out.add_gaussian(coefficient, next(given))
            else:
                out.add(BASES[name], coefficient, next(given))
        return out.parts()


class Rowdy:
    """phi(z) + sum over k = 2 ... K of n alpha_k sin((k - 1) n omega_k z), {alpha_k, omega_k} shared by a layer.

    `terms` is the number of sinusoids, K - 1.

    The functions are the published ones: a base activation, then n sin((k - 1) n z), each with an amplitude and a
    scale that are not the single neuron's. Ours, where no text of the method was at hand: the base has neither
    (alpha_1 = omega_1 = 1); alpha starts at 0, so that the network starts as the one with the fixed activation, and
    omega at 1 / n, so that the sinusoids start with the frequencies 1 ... K - 1.
    """

    def __init__(self, base: ActivationJet, terms: int, scale: float) -> None:
        self.base, self.terms, self.scale = base, terms, scale

    def add_to(self, layout: Layout, name: str, width: int) -> None:
        layout.add(f"{name} rowdy amplitudes", (self.terms,), constant((self.terms,), 0.0))
        layout.add(f"{name} rowdy frequencies", (self.terms,), constant((self.terms,), 1 / self.scale), joined=True)

    def __call__(self, z: Tensor, n: int, order: int, own: Tensor) -> tuple[Tensor, ...]:
        out = _Sum(z, n, order, self.base(z, n, order))
        amplitudes, frequencies = (self.scale * own).view(2, -1).unbind(0)
        for k, (amplitude, frequency) in enumerate(zip(amplitudes.unbind(0), frequencies.unbind(0), strict=True), 1):
            out.add_sine(amplitude, k * frequency)
        return out.parts()


class _Sum:
    """f and its derivatives, added up function by function."""

    def __init__(self, z: Tensor, n: int, order: int, start: Sequence[Tensor] = ()) -> None:
        self.z, self.n, self.order = z, n, order
        self.rows = z if n == z.shape[0] else z[:n]
        self.sums: list[Tensor | None] = list(start) or [None] * (order + 1)

    def parts(self) -> tuple[Tensor, ...]:
        """The sums. A derivative that is the same everywhere, such as a parabola's second, is spread over the rows."""
        return tuple(torch.zeros_like(self.rows) if part is None else part if part.dim() == 2 else
                     part.expand_as(self.rows) for part in self.sums)

    def _plus(self, k: int, factor: Tensor, other: Tensor | None = None, *, value: float = 1) -> None:
        """Add value * factor * other to the k-th derivative."""
        old = self.sums[k]
        if other is None:
            new = factor if old is None else old + factor
        elif old is None:
            new = factor * other if value == 1 else value * factor * other
        else:
            new = torch.addcmul(old, factor, other, value=value)
        self.sums[k] = new

    def add_linear(self, coefficient: Tensor) -> None:
        self._plus(0, coefficient, self.z)
        if self.order:
            self._plus(1, coefficient)

    def add_square(self, coefficient: Tensor) -> None:
        product = coefficient * self.z
        self._plus(0, product, self.z)
        if self.order:
            self._plus(1, 2 * product[:self.n])
        if self.order >= 2:
            self._plus(2, 2 * coefficient)

    def add_sine(self, coefficient: Tensor, frequency: Tensor) -> None:
        u = frequency * self.z
        s = torch.sin(u)
        self._plus(0, coefficient, s)
        if not self.order:
            return
        rows, c = s[:self.n], torch.cos(u[:self.n])
        for k in range(1, self.order + 1):
            coefficient = coefficient * frequency if k % 2 else -coefficient * frequency
            self._plus(k, coefficient, c if k % 2 else rows)

    def add_gaussian(self, coefficient: Tensor, log_width: Tensor) -> None:
        p = torch.exp(-2 * log_width)  # 1 / s^2
        q = p * self.z
        t = q * self.z
        g = coefficient * torch.exp(-0.5 * t)
        self._plus(0, g)
        if not self.order:
            return
        g, q, t = g[:self.n], q[:self.n], t[:self.n]
        self._plus(1, q, g, value=-1)
        if self.order >= 2:
            h = p * g
            self._plus(2, h, t - 1)
            if self.order >= 3:
                self._plus(3, q * h, 3 - t)
            if self.order >= 4:
                self._plus(4, p * h, t * (t - 6) + 3)

    def add(self, function: ActivationJet, coefficient: Tensor, scale: Tensor) -> None:
        for k, part in enumerate(function(scale * self.z, self.n, self.order)):
            self._plus(k, coefficient, part)
            coefficient = coefficient * scale
