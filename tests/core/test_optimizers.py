"""Optimizers and decays against torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from core.optimizers import Adam, Decay, GradientDescent, Optimizer

STEPS = 60


def trajectories(mine: Optimizer, theirs: Any, decay: Decay, schedule: Any) -> tuple[Tensor, Tensor]:
    """Both from the same start towards the same target, 60 steps, the schedule of torch's own kind."""
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(20, generator=generator, dtype=torch.float64)
    target = torch.randn(20, generator=generator, dtype=torch.float64)
    leaf = theta.clone().requires_grad_()
    optimizer = theirs([leaf])
    scheduler = schedule(optimizer)
    m = v = torch.zeros(20, dtype=torch.float64)
    for k in range(STEPS):
        optimizer.zero_grad()
        ((leaf - target) ** 2).sum().backward()
        optimizer.step()
        scheduler.step()
        hyper = torch.tensor(mine.hyper(0.03 * decay.factor(k), k), dtype=torch.float64)
        theta, m, v = mine.update(theta, m, v, 2 * (theta - target), hyper)
    return theta, leaf.detach()


SCHEDULES = [
    (Decay(0.5, 20, "staircase"), lambda o: torch.optim.lr_scheduler.StepLR(o, 20, 0.5)),
    (Decay(0.9, 1), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
    (Decay(kind="cosine", total=STEPS), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS)),
]


@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
@pytest.mark.parametrize(("decay", "schedule"), SCHEDULES, ids=lambda value: getattr(value, "kind", ""))
def test_gradient_descent_and_adam_with_every_decay(decay: Decay, schedule: Any, weight_decay: float) -> None:
    mine, theirs = trajectories(GradientDescent(weight_decay), lambda p: torch.optim.SGD(
        p, lr=0.03, weight_decay=weight_decay), decay, schedule)
    torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
    mine, theirs = trajectories(Adam(weight_decay=weight_decay), lambda p: torch.optim.Adam(
        p, lr=0.03, weight_decay=weight_decay), decay, schedule)
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
@pytest.mark.parametrize(("decay", "schedule"), SCHEDULES, ids=lambda value: getattr(value, "kind", ""))
def test_decoupled_weight_decay_is_adamw(decay: Decay, schedule: Any, weight_decay: float) -> None:
    mine, theirs = trajectories(Adam(weight_decay=weight_decay, decoupled=True), lambda p: torch.optim.AdamW(
        p, lr=0.03, weight_decay=weight_decay), decay, schedule)
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)
    coupled, _ = trajectories(Adam(weight_decay=weight_decay), lambda p: torch.optim.AdamW(p), decay, schedule)
    assert torch.equal(mine, coupled) == (weight_decay == 0.0)


def test_decays_in_closed_form() -> None:
    stairs = Decay(0.5, 10, "staircase")
    assert [stairs.factor(k) for k in (0, 9, 10, 19, 20, 35)] == [1, 1, 0.5, 0.5, 0.25, 0.125]
    cosine = Decay(kind="cosine", total=100)
    assert [cosine.factor(k) for k in (0, 50, 100, 250)] == pytest.approx([1, 0.5, 0, 0], abs=1e-15)
    assert Decay(0.25, 10).factor(5) == 0.5
    assert Decay(kind="cosine", total=0).factor(0) == 1


def test_gradient_descent_has_no_memory_and_hands_on_copies() -> None:
    theta, m = torch.ones(3), torch.full((3,), 7.0)
    gradient, hyper = torch.tensor([1.0, 0.0, -2.0]), torch.tensor([0.5, 0.0, 0.0])
    new, first, second = GradientDescent().update(theta, m, m, gradient, hyper)
    assert new.tolist() == [0.5, 1.0, 2.0]
    assert torch.equal(first, m) and torch.equal(second, m)
    assert first is not m and second is not m, "a compiled step may not return its arguments"
