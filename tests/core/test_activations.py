"""Activations and their derivatives against autograd on torch's own functions, and what must not overflow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.activations import ACTIVATIONS, ActivationJet, cos
from core.raf import BASES, Assigned, gaussian
from tests.core.plain import BASE, close

FUNCTIONS: dict[str, ActivationJet] = {**ACTIVATIONS, **BASES, "cos": cos}
TRUTH: dict[str, Callable[[Tensor], Tensor]] = {**BASE, "gaussian": lambda z: torch.exp(-z**2)}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_value_and_four_derivatives(name: str) -> None:
    z = (torch.linspace(-3, 3, 41, dtype=torch.float64) + 0.01).unsqueeze(1).requires_grad_()  # no kink among them
    jet = FUNCTIONS[name](z, 30, 4)
    truth = TRUTH[name](z)
    for order in range(5):
        close(jet[order].detach(), truth.detach() if order == 0 else truth.detach()[:30])
        if truth.requires_grad:
            gradient = torch.autograd.grad(truth.sum(), z, create_graph=True, allow_unused=True)[0]
            truth = torch.zeros_like(z) if gradient is None else gradient
        else:
            truth = torch.zeros_like(z)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.parametrize("order", range(5))
def test_only_what_is_asked_for_is_computed(name: str, order: int) -> None:
    z = torch.linspace(-1, 1, 12).view(6, 2)
    parts = FUNCTIONS[name](z, 4, order)
    assert [tuple(part.shape) for part in parts] == [(6, 2)] + [(4, 2)] * order
    for part, full in zip(parts, FUNCTIONS[name](z, 4, 4), strict=False):
        torch.testing.assert_close(part, full)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_large_arguments_stay_finite(name: str) -> None:
    z = torch.tensor([[-60.0], [-20.0], [20.0], [60.0]])
    assert all(torch.isfinite(part).all() for part in FUNCTIONS[name](z, 4, 4))


def test_a_gaussian_of_any_width() -> None:
    z = torch.linspace(-1, 1, 21, dtype=torch.float64).requires_grad_()
    for width in (0.05, 0.5, 3.0):
        truth = torch.exp(-z**2 / (2 * width**2))
        for part in gaussian(z, 21, 4, width):
            close(part.detach(), truth.detach())
            truth = torch.autograd.grad(truth.sum(), z, create_graph=True)[0]


def test_assigned_functions_each_see_their_own_columns() -> None:
    z = torch.randn(5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    parts = Assigned(("x", "gaussian", "relu3"), (2, 1, 4), 0.3)(z, 3, 4)
    assert [tuple(part.shape) for part in parts] == [(5, 7)] + [(3, 7)] * 4
    torch.testing.assert_close(parts[0][:, :2], z[:, :2])
    torch.testing.assert_close(parts[0][:, 2], torch.exp(-z[:, 2] ** 2 / 0.18))
    torch.testing.assert_close(parts[2][:, 3:], 6 * z[:3, 3:].clamp(min=0))
