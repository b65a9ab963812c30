"""Gauss-Newton methods where something is out of the ordinary: derivatives that are not finite, many equations."""

from __future__ import annotations

import torch

from core.solvers.jacobian import PIECE, pieces
from core.solvers.natural import EnergyNaturalGradient
from core.solvers.solver import Solver
from studio.build import build_trainer
from tests.core.samples import experiment
from tests.core.test_gauss_newton import each_solver, made_by, trainer_of


@each_solver
def test_a_derivative_that_is_not_finite_is_said(solver: Solver) -> None:
    """sqrt((u - u)^2) is zero, and its derivative 0 / 0."""
    own = {"residuals": [{"name": "pde", "equation": "sqrt((u-u)^2) + u_xx + u_yy = 1", "points": 9}]}
    trainer = build_trainer(experiment(own, sampling__every=0, training__threads=1))
    made = made_by(solver, trainer)
    assert torch.equal(made.theta, trainer.theta) and bool(torch.isfinite(made.losses).all())
    assert "not finite" in made.done


def test_a_large_cut_off_is_tried_once() -> None:
    trainer = trainer_of()
    made = made_by(EnergyNaturalGradient(cutoff=0.05), trainer)
    assert made.readings["cut-off"] == 0.05 and not torch.equal(made.theta, trainer.theta)


def test_several_equations_take_no_more_memory_than_one() -> None:
    """A piece of the Jacobian has the rows of all equations of its points."""
    three = [{"name": f"pde {k}", "equation": f"u_xx + {k}*u_yy = 1", "term": "pde", "points": 400} for k in (1, 2, 3)]
    trainer = build_trainer(experiment({"residuals": three}, network__hidden=[90, 90], sampling__every=0))
    found = list(pieces(trainer.objective, trainer.theta, trainer.coming_draws()))
    assert len(found) > 1 and max(piece.j.numel() for piece in found) <= PIECE
