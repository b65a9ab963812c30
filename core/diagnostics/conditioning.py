"""The implicit conditioning matrix G of adaptive slopes (Jagtap et al. 2020, section 3), without ever forming it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from core.choices import RECOVERY
from core.diagnostics.constant import ConstantBound
from core.frames import Array, ConditioningFrame, frozen
from core.layers import Layer, layers_of, slope_scale
from core.networks import MLP
from core.trainer import Trainer


@dataclass(frozen=True)
class Block:
    """One slope: its entry in the network's parameters, and those [d] of the weights and biases that it multiplies."""

    name: str
    slope: int
    entries: Array


@dataclass(frozen=True)
class Conditioning:
    """G at one step. With W all weights and biases [d], s = n A a the slope of each (1 without), g = dJ/d(s W):

        G = diag(s^2) + n^2 diag(W) A A^T diag(W) - eta n^2 diag(s) diag(A A^T (W g)),

    which is eq. (3.4) with a scale n and layers without slope: a step of gradient descent without recovery changes
    the effective weights s W by -eta G g, exactly. A A^T v is the sum of v over each slope's own entries. Each block of
    G is a multiple of the identity plus a matrix of rank one, so its eigenvalues are known.
    """

    weights: Array  # W [d]
    s: Array  # [d]
    g: Array  # [d]
    places: list[Array]  # of each slope's entries in the three
    scale: float  # n
    eta: float
    plain: bool  # whether there are entries without slope, whose block is the identity

    def low(self) -> Array:
        """Smallest eigenvalue of each block without the step size's term, s_j^2."""
        return np.array([self.s[k[0]] ** 2 for k in self.places])

    def high(self) -> Array:
        """Largest one, s_j^2 + n^2 |W_j|^2."""
        return np.array([self.s[k[0]] ** 2 + self.scale**2 * (self.weights[k] ** 2).sum() for k in self.places])

    def kappa(self) -> float:
        """Condition number without the step size's term."""
        one = [1.0] if self.plain else []
        low, high = np.min([*self.low(), *one]), np.max([*self.high(), *one])
        return float(high / low) if low != 0 else math.inf

    def shared(self, v: Array) -> Array:
        """A A^T v [d]: for each entry the sum over those with the same slope; zero without slope."""
        out = np.zeros_like(v)
        for k in self.places:
            out[k] = v[k].sum()
        return out

    def product(self) -> Array:
        """G g [d]."""
        pull = self.shared(self.weights * self.g)
        n2 = self.scale**2
        out: Array = self.s**2 * self.g + n2 * self.weights * pull - self.eta * n2 * self.s * pull * self.g
        return out

    def smallest(self) -> float:
        """Smallest s^2 - eta n^2 s (A A^T W g): the eigenvalue of G across W in the block where it is least."""
        pull = self.shared(self.weights * self.g)
        return float((self.s**2 - self.eta * self.scale**2 * self.s * pull).min())


class ConditioningDiagnostic:
    """kappa(G), what G does to the gradient, whether the slopes obey their identity, and the theorem's margin.

    J is the weighted loss on the points of the last step, each point alike; its gradient is taken without slope
    recovery, as in section 3 of the paper, and by the network's weights only, unknowns left out. The loss and the bound
    of assumption (A0) are on the same points. The bound is NaN where a network without slopes is no constant (residual
    networks) and where the loss weighs its points.
    """

    kind = "conditioning"

    def __init__(self) -> None:
        self._held_since = -1
        self._bound: ConstantBound | None = None

    def observe(self, trainer: Trainer) -> ConditioningFrame | None:
        """None without slopes, and for sub-domains."""
        with np.errstate(all="ignore"):  # a slope of zero hides g; what overflows is shown as such
            return self._observe(trainer)

    def _observe(self, trainer: Trainer) -> ConditioningFrame | None:
        network = trainer.objective.network
        if len(trainer.objective.regions) > 1 or not isinstance(network, MLP) or network.architecture.slopes == "none":
            return None
        layers, blocks = layers_of(network), blocks_of(network)
        losses, gradients = trainer.term_gradients()
        theta = trainer.theta.detach().double().numpy()
        weights = trainer.weights.double().numpy()
        weighted = weights[:, None] * gradients.double().numpy()
        own = np.array([term == RECOVERY for term in trainer.terms])
        gradient, recovery = weighted[~own].sum(0), weighted[own].sum(0)
        matrix = conditioning_of(layers, blocks, theta, gradient, slope_scale(network),
                                 trainer.current_learning_rate())
        multiplier, angle = _effect(matrix.g, matrix.product())
        loss = float(weights @ losses.double().numpy())
        bound = self._least(trainer)
        if self._held_since < 0 and loss < bound:
            self._held_since = trainer.iteration
        return ConditioningFrame(
            step=trainer.iteration, blocks=tuple(block.name for block in blocks), kappa=matrix.kappa(),
            low=frozen(matrix.low()), high=frozen(matrix.high()), multiplier=multiplier, angle=angle,
            smallest=matrix.smallest(), loss=loss, bound=bound, held_since=self._held_since,
            identity=frozen(_identity(trainer, blocks, theta, gradient + recovery)))

    def _least(self, trainer: Trainer) -> float:
        o, network = trainer.objective, trainer.objective.network
        assert isinstance(network, MLP)
        if trainer.point_weights.kind != "equal" or network.architecture.kind == "residual":
            return math.nan
        if self._bound is None:
            self._bound = ConstantBound(o)
        draws = trainer.draws
        least = self._bound.least(trainer, trainer.coming_draws() if draws is None else draws)
        if not network.has_recovery:
            return least
        zero = trainer.theta.detach().double()
        for layer in layers_of(network):
            if layer.slope is not None:
                zero = zero.index_fill(0, torch.arange(layer.slope.start, layer.slope.stop), 0.0)
        weight = float(trainer.weights[trainer.terms.index(RECOVERY)])
        return least + weight * float(network.recovery(zero))


def _effect(g: Array, product: Array) -> tuple[float, float]:
    """(g^T G g / g^T g, degrees between G g and g); NaN where g is zero or not finite."""
    square = float(g @ g)
    if not (math.isfinite(square) and square > 0):
        return math.nan, math.nan
    multiplier = float(g @ product) / square
    across = float(np.linalg.norm(product - multiplier * g))
    return multiplier, math.degrees(math.atan2(across, multiplier * math.sqrt(square)))


def blocks_of(network: MLP) -> list[Block]:
    """Each slope in the order of the layers: 'hidden 1', or 'hidden 1 [3]' counted from 1; 'network' where shared."""
    kind, out = network.architecture.slopes, []
    for layer in layers_of(network):
        if layer.slope is None:
            continue
        grid = np.arange(layer.affine.start, layer.affine.stop).reshape(layer.inputs + 1, layer.neurons)
        first = layer.slope.start
        if kind == "neuron":
            out += [Block(f"{layer.name} [{j + 1}]", first + j, grid[:, j]) for j in range(layer.neurons)]
        else:
            out.append(Block(layer.name, first, grid.reshape(-1)))
    if kind == "global":
        out = [Block("network", out[0].slope, np.concatenate([block.entries for block in out]))]
    return out


def conditioning_of(layers: list[Layer], blocks: list[Block], theta: Array, gradient: Array, scale: float,
                    eta: float) -> Conditioning:
    """G from the parameters theta [P] of a network and the gradient [P] by them: g = dJ/dW / s."""
    entries = np.concatenate([np.arange(layer.affine.start, layer.affine.stop) for layer in layers])
    position = np.full(len(theta), -1)
    position[entries] = np.arange(len(entries))
    s = np.ones(len(entries))
    places = [position[block.entries] for block in blocks]
    for block, place in zip(blocks, places, strict=True):
        s[place] = scale * theta[block.slope]
    return Conditioning(theta[entries], s, gradient[entries] / s, places, scale, eta,
                        any(layer.slope is None for layer in layers))


def _identity(trainer: Trainer, blocks: list[Block], theta: Array, gradient: Array) -> Array:
    """a dJ/da - <W, dJ/dW> - W_a a dS/da of each block, J with recovery, over the sum of its summands' sizes.

    dJ is what training uses; dS/da is the closed form of section 2b, so that neither can hide the other's error.
    """
    network = trainer.objective.network
    assert isinstance(network, MLP)
    a = theta[[block.slope for block in blocks]]
    push = np.zeros(len(blocks))
    if network.has_recovery:
        push = float(trainer.weights[trainer.terms.index(RECOVERY)]) * a * recovery_gradient(network, blocks, a)
    parts = [theta[block.entries] * gradient[block.entries] for block in blocks]
    pull = a * gradient[[block.slope for block in blocks]]
    size = np.abs(pull) + np.abs(push) + [np.abs(part).sum() for part in parts]
    difference = pull - push - [part.sum() for part in parts]
    out: Array = np.where(size > 0, difference / size, np.where(np.isnan(size), size, 0.0))
    return out


def recovery_gradient(network: MLP, blocks: list[Block], a: Array) -> Array:
    """dS/da [B] of the recovery term that this network has, differentiated by hand."""
    architecture = network.architecture
    if architecture.slopes == "global":
        out: Array = -np.exp(-a)
        return out
    layers = [block.name.split(" [")[0] for block in blocks]
    names = list(dict.fromkeys(layers))
    member = np.array([[name == layer for layer in layers] for name in names], dtype=float)
    member /= member.sum(1, keepdims=True)  # the mean over a layer's slopes
    e = np.exp(member @ a)
    total = e.sum() if architecture.recovery == "code" else e.mean()
    share = 1.0 if architecture.recovery == "code" else 1 / len(names)
    slopes: Array = -share / total**2 * (member.T @ e)
    return slopes
