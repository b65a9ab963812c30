"""Alignment against closed forms, and against the gradients of the steps that were made."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.diagnostics.alignment import AlignmentDiagnostic
from core.trainer import Trainer
from tests.core.curvature import trained


class Prescribed:
    """An engine whose gradients are given."""

    name = "prescribed"

    def __init__(self, rows: list[list[float]], size: int) -> None:
        self.rows = torch.zeros(len(rows), size, dtype=torch.float64)
        self.rows[:, : len(rows[0])] = torch.tensor(rows, dtype=torch.float64)

    def step(self, *tensors: Tensor) -> Any:
        raise AssertionError("looking makes no step")

    def term_gradients(self, theta: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones(len(self.rows), dtype=torch.float64), self.rows


def prescribed(*rows: list[float]) -> Trainer:
    trainer = trained(0)
    trainer.engine = Prescribed(list(rows), trainer.objective.size)
    return trainer


@pytest.mark.parametrize("rows, within", [
    (([1.0, 0, 0], [0, 5.0, 0], [0, 0, -0.1]), 2 / 3 - 1),  # orthogonal: 2/n - 1
    (([2.0, 1, 0], [4.0, 2, 0], [0.2, 0.1, 0]), 1.0),  # the same direction
    (([1.0, 0, 0], [-1 / 2, math.sqrt(3) / 2, 0], [-7.0, -7 * math.sqrt(3), 0]), -1.0),  # they cancel
    (([3.0, 0, 0], [1.0, 1.0, 0], [0, 0, 0]), math.sqrt(0.5)),  # of two it is the cosine
    (([1.0, 0, 0], [0, 0, 0], [0, 0, 0]), math.nan),
    (([1.0, 0, 0], [math.nan, 0, 0], [0, 1.0, 0]), math.nan),
])
def test_the_score_of_known_gradients(rows: tuple[list[float], ...], within: float) -> None:
    frame = AlignmentDiagnostic().observe(prescribed(*rows))
    assert frame.within == pytest.approx(within, nan_ok=True)
    assert math.isnan(frame.between)  # no step was made


def test_cosines_and_who_takes_part() -> None:
    trainer = prescribed([3.0, 0, 0], [1.0, 1.0, 0], [0, 0, 0])
    frame = AlignmentDiagnostic().observe(trainer)
    assert frame.terms == trainer.terms == ("residual", "boundary", "slope")
    np.testing.assert_allclose(frame.norms, [3, math.sqrt(2), 0])
    half = math.sqrt(0.5)
    np.testing.assert_allclose(frame.cosines, [[1, half, math.nan], [half, 1, math.nan], [math.nan] * 3])
    trainer.set_weight("boundary", 0.0)
    assert math.isnan(AlignmentDiagnostic().observe(trainer).within)  # one is left
    trainer = prescribed([1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0])
    trainer.set_weight("boundary", 0.0)
    assert AlignmentDiagnostic().observe(trainer).within == pytest.approx(0.0)


@pytest.mark.parametrize("changes", [
    {}, {"sampling__every": 2}, {"sampling__every": 0}, {"sampling__kind": "rad", "sampling__candidates": 40},
    {"sampling__kind": "r3"}, {"balancing__rule": "annealing-siam", "balancing__interval": 1},
    {"balancing__points": "self-adaptive", "sampling__every": 0}])
def test_between_is_the_cosine_of_the_gradients_of_two_steps(changes: dict[str, Any]) -> None:
    trainer = trained(0, **changes)
    theirs = []  # the weighted gradient that each step started from
    told = []
    for _ in range(4):
        theta, weights = trainer.theta, trainer.weights
        trainer.step()
        leaf = theta.clone().requires_grad_()
        total = sum(w * x for w, x in zip(weights, trainer.objective.losses(leaf, trainer.points), strict=True))
        theirs.append(torch.autograd.grad(total, leaf)[0])  # type: ignore[arg-type]
        told.append(AlignmentDiagnostic().observe(trainer).between)
    cosines = [float(torch.nn.functional.cosine_similarity(a, b, dim=0))
               for a, b in zip(theirs[:-1], theirs[1:], strict=True)]
    np.testing.assert_allclose(told[:-1], cosines, rtol=1e-9)


def test_real_gradients_of_two_terms() -> None:
    trainer = trained(3)
    frame = AlignmentDiagnostic().observe(trainer)
    leaf = trainer.theta.clone().requires_grad_()
    rows = [torch.autograd.grad(x, leaf, retain_graph=True)[0] for x in trainer.objective.losses(leaf, trainer.points)]
    for a, x in enumerate(rows):
        for b, y in enumerate(rows):
            assert frame.cosines[a, b] == pytest.approx(float(torch.nn.functional.cosine_similarity(x, y, dim=0)))
    mean = sum(x / x.norm() for x in rows) / 3
    assert frame.within == pytest.approx(float(2 * mean @ mean - 1))  # type: ignore[union-attr, operator, arg-type]
    for array in (frame.cosines, frame.norms, frame.weights):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
