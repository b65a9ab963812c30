"""Start values of weights and biases. All are drawn in float64, whatever the precision of the training."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from core.parameters import Draw

SIREN_FREQUENCY = 30.0  # of sin(30 z): what the weights of the later layers are divided by


def weight(scheme: str, rows: int, columns: int, *, scale: float = 0.1, first: bool = False) -> Draw:
    """Start values of a weight matrix [rows = inputs, columns = outputs].

    glorot-normal: N(0, 2 / (rows + columns)), untruncated, as the code of Wang et al. 2021 draws it.
    glorot-uniform: U(+-sqrt(6 / (rows + columns))) (Glorot & Bengio 2010, eq. 16).
    he-normal: N(0, 2 / rows) (He et al. 2015, eq. 10).
    normal: N(0, scale^2), as in the function fit of Jagtap et al. 2020.
    torch: U(+-1 / sqrt(rows)), the default of torch.nn.Linear, which the PDE scripts of Liang et al. 2021 use.
    siren: U(+-1 / rows) in the `first` layer, U(+-sqrt(6 / rows) / 30) in all later ones, the output included
        (Sitzmann et al. 2020, section 3.2); meant for activations of frequency 30.
    """
    shape = (rows, columns)
    match scheme:
        case "glorot-normal":
            return normal(shape, 0.0, math.sqrt(2 / (rows + columns)))
        case "glorot-uniform":
            return symmetric(shape, math.sqrt(6 / (rows + columns)))
        case "he-normal":
            return normal(shape, 0.0, math.sqrt(2 / rows))
        case "normal":
            return normal(shape, 0.0, scale)
        case "torch":
            return symmetric(shape, 1 / math.sqrt(rows))
        case "siren":
            return symmetric(shape, 1 / rows if first else math.sqrt(6 / rows) / SIREN_FREQUENCY)
    raise ValueError(f"there is no initialisation '{scheme}'")


def bias(scheme: str, rows: int, columns: int, *, scale: float = 0.1) -> Draw:
    """Start values of a bias [columns]; rows is the layer's number of inputs.

    Zero, but N(0, scale^2) for 'normal' and U(+-1 / sqrt(rows)) for 'torch' and 'siren' (whose code leaves the biases
    at that default).
    """
    match scheme:
        case "normal":
            return normal((columns,), 0.0, scale)
        case "torch" | "siren":
            return symmetric((columns,), 1 / math.sqrt(rows))
    return constant((columns,), 0.0)


def encoder_bias(scheme: str, rows: int, columns: int, *, scale: float = 0.1) -> Draw:
    """Start values of a gated network's encoder bias [columns].

    Random where other biases are zero: N(0, 2 / (1 + columns)) in the released code of Wang et al. 2021.
    """
    if scheme in ("normal", "torch", "siren"):
        return bias(scheme, rows, columns, scale=scale)
    draw = weight("glorot-uniform" if scheme == "glorot-uniform" else "glorot-normal", 1, columns)
    return lambda generator: draw(generator).squeeze(0)


# ---------------------------------------------------------------------- draws

def normal(shape: tuple[int, ...], mean: float, deviation: float) -> Draw:
    """N(mean, deviation^2)."""
    def draw(generator: torch.Generator) -> Tensor:
        values = torch.randn(*shape, generator=generator, dtype=torch.float64) * deviation
        return values + mean if mean else values

    return draw


def uniform(shape: tuple[int, ...], low: float, high: float) -> Draw:
    """U(low, high)."""
    return lambda generator: low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)


def symmetric(shape: tuple[int, ...], bound: float) -> Draw:
    """U(-bound, bound)."""
    return uniform(shape, -bound, bound)


def constant(shape: tuple[int, ...], value: float) -> Draw:
    """The same value everywhere; nothing is drawn."""
    return lambda generator: torch.full(shape, value, dtype=torch.float64)
