"""Gauss-Newton methods where something is out of the ordinary: derivatives that are not finite, many equations."""

from __future__ import annotations

import pytest
import torch

from core.diagnostics.stopping import Stopped
from core.solvers import damped as least_squares
from core.solvers import loss as losses
from core.solvers.damped import Parameters, Samples
from core.solvers.jacobian import PIECE, pieces
from core.solvers.levenberg import LevenbergMarquardt
from core.solvers.natural import EnergyNaturalGradient
from core.solvers.solver import Solver, Watch
from studio.build import build_trainer
from tests.core.samples import experiment
from tests.core.test_gauss_newton import each_solver, loss_of, made_by, trainer_of


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


# ---------------------------------------------------------------------- long steps are followed and stopped

def spread(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_products_of_all_rows_are_divided_and_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    j = spread(900, 40)
    whole = Samples.of(j[:, 0], j)
    monkeypatch.setattr(losses, "PART", 40 * 60_000)
    told: list[float] = []
    parts = Samples.of(j[:, 0], j, told.append)
    torch.testing.assert_close(parts.kernel.tril(), whole.kernel.tril(), rtol=1e-13, atol=1e-12)
    torch.testing.assert_close(parts.kernel.tril(), (j @ j.T).tril(), rtol=1e-12, atol=1e-12)
    assert len(told) > 7 and told == sorted(told) and told[-1] == 1
    assert max(b - a for a, b in zip([0.0, *told], told, strict=False)) < 0.13, "none of them is long"


def test_they_can_be_stopped_between_any_two() -> None:
    def stop(share: float) -> None:
        if share > 0.4:
            raise Stopped("enough")

    j = spread(900, 40)
    with pytest.raises(Stopped):
        Samples.of(j[:, 0], j, stop)
    with pytest.raises(Stopped):
        trainer = trainer_of(points=600)
        loss_of(trainer).normal(trainer.theta, stop)


def test_a_large_matrix_is_factorized_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(least_squares, "STRIP", 64)
    a, right = spread(300, 300), spread(300, 1)[:, 0]
    matrix = (a @ a.T).tril()
    at_once = Parameters.of(matrix.clone(), right).solve(1e-3)
    monkeypatch.setattr(least_squares, "WHOLE", 100)
    told: list[float] = []
    in_strips = Parameters.of(matrix.clone(), right).solve(1e-3, each=told.append)
    assert at_once is not None and in_strips is not None
    torch.testing.assert_close(in_strips, at_once, rtol=1e-7, atol=1e-9)
    assert len(told) >= 4 and told == sorted(told) and 0.9 < told[-1] <= 1
    again = Parameters.of(matrix.clone(), right).solve(1e-3)
    assert again is not None and torch.equal(again, in_strips), "bit for bit"
    matrix[200, 200] = -1.0
    assert Parameters.of(matrix, right).solve(1e-3) is None

    def stop(share: float) -> None:
        raise Stopped("enough")

    with pytest.raises(Stopped):
        Parameters.of((a @ a.T).tril(), right).solve(1e-3, each=stop)


@pytest.mark.parametrize("solver, part", [
    (LevenbergMarquardt(form="samples"), "products of the Jacobian's rows"),
    (LevenbergMarquardt(factorization="qr"), "QR of the Jacobian"),
    (EnergyNaturalGradient(form="samples"), "products of the Jacobian's rows"),
    (EnergyNaturalGradient(), "eigenvalues")])
def test_what_takes_long_has_a_name_and_the_share_does_not_go_back(solver: Solver, part: str) -> None:
    trainer, told = trainer_of(points=400), list[tuple[float, str]]()
    theta = trainer.theta
    solver.step(loss_of(trainer), theta, solver.start(theta), 1.0, Watch(tell=lambda share, what: told.append(
        (share, what))))
    assert part in [what for _, what in told]
    shares = [share for share, what in told if what != "step length"]  # several cut-offs are searched
    assert shares == sorted(shares)
