"""Activations with their derivatives up to fourth order, as a jet needs them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

#: (pre-activation, rows with derivatives, highest order) -> (f on all rows, f', f'', ... on the first rows)
ActivationJet = Callable[[Tensor, int, int], tuple[Tensor, ...]]


def _polynomials(f: Tensor, n: int, order: int, rules: tuple[Callable[[Tensor], Tensor], ...]) -> tuple[Tensor, ...]:
    """Derivatives that are polynomials of f itself, evaluated only up to `order`."""
    rows = f[:n]
    return (f, *(rule(rows) for rule in rules[:order]))


def tanh(z: Tensor, n: int, order: int) -> tuple[Tensor, ...]:
    """tanh. With a = tanh z: a' = 1 - a^2, and every higher derivative is a' times a polynomial of a."""
    a = torch.tanh(z)
    if order == 0:
        return (a,)
    rows = a[:n]
    s = 1 - rows * rows
    out = [a, s]
    if order >= 2:
        out.append(-2 * rows * s)
    if order >= 3:
        out.append(s * (4 - 6 * s))
    if order >= 4:
        out.append(rows * s * (24 * s - 8))
    return tuple(out)


def sin(z: Tensor, n: int, order: int) -> tuple[Tensor, ...]:
    """sin, whose derivatives go round in a circle of four."""
    f = torch.sin(z)
    if order == 0:
        return (f,)
    rows, c = f[:n], torch.cos(z[:n])
    return (f, *(c, -rows, -c, rows)[:order])


def cos(z: Tensor, n: int, order: int) -> tuple[Tensor, ...]:
    """cos."""
    f = torch.cos(z)
    if order == 0:
        return (f,)
    rows, s = f[:n], torch.sin(z[:n])
    return (f, *(-s, -rows, s, rows)[:order])


def siren(z: Tensor, n: int, order: int) -> tuple[Tensor, ...]:
    """sin(30 z), the periodic activation of Sitzmann et al. 2020; weights should start as `siren` in core.initial."""
    f = torch.sin(30 * z)
    if order == 0:
        return (f,)
    rows = f[:n]
    out = [f, 30 * torch.cos(30 * z[:n])]
    if order >= 2:
        out.append(-900 * rows)
    if order >= 3:
        out.append(-900 * out[1])
    if order >= 4:
        out.append(810_000 * rows)
    return tuple(out)


def sigmoid(z: Tensor, n: int, order: int) -> tuple[Tensor, ...]:
    """1 / (1 + exp(-z))."""
    return _polynomials(torch.sigmoid(z), n, order, (
        lambda s: s * (1 - s),
        lambda s: s * (1 - s) * (1 - 2 * s),
        lambda s: s * (1 - s) * (1 - 6 * s * (1 - s)),
        lambda s: s * (1 - s) * (1 - 2 * s) * (1 - 12 * s * (1 - s)),
    ))


def softplus(z: Tensor, n: int, order: int) -> tuple[Tensor, ...]:
    """log(1 + exp z); its derivative is the sigmoid. torch's softplus turns linear above 20, logaddexp is exact."""
    f = torch.logaddexp(z, torch.zeros_like(z))
    return (f,) if order == 0 else (f, *sigmoid(z[:n], n, order - 1))


def silu(z: Tensor, n: int, order: int) -> tuple[Tensor, ...]:
    """z sigmoid(z). By Leibniz f^(k) = z s^(k) + k s^(k-1)."""
    s = sigmoid(z, n, order)
    rows = z[:n]
    lower = (s[0][:n], *s[1:])
    return (z * s[0], *(rows * lower[k] + k * lower[k - 1] for k in range(1, order + 1)))


def gelu(z: Tensor, n: int, order: int) -> tuple[Tensor, ...]:
    """z Phi(z) with the normal distribution function Phi (the exact form, not the tanh approximation)."""
    big_phi = 0.5 * (1 + torch.erf(z * math.sqrt(0.5)))
    f = z * big_phi
    if order == 0:
        return (f,)
    x = z[:n]
    phi = torch.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    out = [f, big_phi[:n] + x * phi]
    if order >= 2:
        out.append(phi * (2 - x * x))
    if order >= 3:
        out.append(phi * x * (x * x - 4))
    if order >= 4:
        out.append(phi * (x * x * (7 - x * x) - 4))
    return tuple(out)


def relu(z: Tensor, n: int, order: int) -> tuple[Tensor, ...]:
    """max(z, 0): the first derivative jumps at 0, all higher ones are 0 elsewhere."""
    f = torch.relu(z)
    if order == 0:
        return (f,)
    step = (z[:n] > 0).to(z.dtype)
    return (f, step, *(torch.zeros_like(step) for _ in range(order - 1)))


def relu3(z: Tensor, n: int, order: int) -> tuple[Tensor, ...]:
    """max(z, 0)^3: twice continuously differentiable; the third derivative jumps at 0, the fourth is 0 elsewhere."""
    r = torch.relu(z)
    f = r * r * r
    if order == 0:
        return (f,)
    rows = r[:n]
    out = [f, 3 * rows * rows]
    if order >= 2:
        out.append(6 * rows)
    if order >= 3:
        out.append(6 * (z[:n] > 0).to(z.dtype))
    if order >= 4:
        out.append(torch.zeros_like(rows))
    return tuple(out)


ACTIVATIONS: dict[str, ActivationJet] = {
    "tanh": tanh, "sin": sin, "siren": siren, "gelu": gelu, "silu": silu, "softplus": softplus, "sigmoid": sigmoid,
    "relu": relu, "relu3": relu3,
}
