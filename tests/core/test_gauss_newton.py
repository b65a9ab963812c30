"""Levenberg-Marquardt, natural gradients, SPRING and conjugate gradients against scipy, numpy and dense solves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from torch import Tensor

from core.diagnostics.ntk import jacobian as reverse
from core.diagnostics.stopping import Stopped
from core.solvers.damped import Orthogonal, Parameters, Samples
from core.solvers.levenberg import LevenbergMarquardt
from core.solvers.loss import Loss
from core.solvers.matrix_free import GaussNewtonCG, conjugate_gradients
from core.solvers.natural import EnergyNaturalGradient, Metric, Spring
from core.solvers.solver import Advance, Memory, Solver, Watch
from core.trainer import Trainer
from studio.build import build_trainer
from tests.core.samples import experiment, same

Dense = np.ndarray[Any, np.dtype[np.float64]]
RECOVERY = {"network__slopes": "neuron", "network__recovery": "paper", "balancing__weights": {"recovery": 0.3}}
SOLVERS: list[Solver] = [
    LevenbergMarquardt(), LevenbergMarquardt(form="samples"), LevenbergMarquardt(factorization="qr"),
    EnergyNaturalGradient(), Spring(), GaussNewtonCG(iterations=30)]
each_solver = pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: f"{type(s).__name__} {getattr(s, 'form', '')}")


def trainer_of(solver: Solver | None = None, *, hidden: tuple[int, ...] = (5, 4), points: int = 30,
               precision: str = "float64", **changes: Any) -> Trainer:
    """u_xx + u_yy + u^2 = sin(3 x) with a few points that stay."""
    own = {"residuals": [{"name": "pde", "equation": "u_xx + u_yy + u^2 = sin(3*x)", "points": points}],
           "conditions": [{"name": "edges", "equation": "u = x*y", "points": 6}]}
    trainer = build_trainer(experiment(own, **{
        "network__hidden": list(hidden), "sampling__kind": "sobol", "sampling__every": 0,
        "training__precision": precision, "training__threads": 1, **changes}))
    trainer.solver = solver
    trainer.solver_memory = {} if solver is None else solver.start(trainer.theta)
    return trainer


def loss_of(trainer: Trainer) -> Loss:
    return Loss(trainer.objective, trainer.engine, trainer.coming_draws(), trainer.weights, trainer.multipliers)


def written_out(loss: Loss, theta: Tensor) -> tuple[Dense, Dense]:
    """(rho, J), by nested reverse mode and the terms' own scales; slope recovery, as its root, is the last row."""
    terms, scales, _, _ = loss.objective.row_table()
    root = (scales * loss.weights[terms]).sqrt().numpy()
    rows = loss.objective.rows(theta, loss.draws).detach()
    j = reverse(loss.objective, theta, loss.draws, torch.arange(len(rows))).numpy()
    rho, j = root * rows.numpy(), root[:, None] * j
    leaf = theta.clone().requires_grad_()
    found = loss.objective.recovery(leaf)
    if found is None:
        return rho, j
    last = (loss.weights[found[0]] * found[1]).sqrt()
    return np.append(rho, last.item()), np.vstack([j, torch.autograd.grad(last, leaf)[0].numpy()])


def made_by(solver: Solver, trainer: Trainer, memory: Memory | None = None) -> Advance:
    return solver.step(loss_of(trainer), trainer.theta, memory or solver.start(trainer.theta), 1e-3, Watch())


def close(found: Tensor, truth: Dense, tolerance: float) -> None:
    np.testing.assert_allclose(found.numpy(), truth, rtol=0, atol=tolerance * float(np.abs(truth).max()))


# ---------------------------------------------------------------------- Levenberg-Marquardt

@pytest.mark.parametrize("changes", [{}, RECOVERY], ids=["squares", "recovery"])
@pytest.mark.parametrize("points", [8, 60])
@pytest.mark.parametrize("form", ["parameters", "samples"])
@pytest.mark.parametrize("factorization", ["cholesky", "qr"])
def test_one_step_is_the_dense_solve(factorization: Any, form: Any, points: int, changes: dict[str, Any]) -> None:
    trainer = trainer_of(points=points, **changes)
    loss, theta = loss_of(trainer), trainer.theta
    made = made_by(LevenbergMarquardt(0.1, form, factorization), trainer)
    rho, j = written_out(loss, theta)
    mu = 0.1 * float((j.T @ j).diagonal().max()) if made.readings["trials"] == 1 else made.readings["damping"]
    assert made.readings["damping"] == pytest.approx(mu, rel=1e-10)
    d = np.linalg.solve(j.T @ j + mu * np.eye(len(theta)), -(j.T @ rho))
    close(made.theta - theta, d, 1e-9)
    assert made.readings["step length"] == pytest.approx(np.linalg.norm(d), rel=1e-9)
    # the gain: the decrease over the linear model's, -2 g d - |J d|^2
    foreseen = -2 * (j.T @ rho) @ d - (j @ d) @ (j @ d)
    before, after = loss.value(theta)[1], loss.value(made.theta)[1]
    assert made.readings["gain ratio"] == pytest.approx((before - after) / foreseen, rel=1e-6)
    gain = min(made.readings["gain ratio"], 1.0)
    assert float(made.memory["mu"]) == pytest.approx(mu * max(1 / 3, 1 - (2 * gain - 1) ** 3), rel=1e-6)
    assert float(made.memory["nu"]) == 2
    torch.testing.assert_close(made.losses, torch.stack(loss.objective.losses(theta, loss.draws)))


def test_a_rejected_damping_rises_by_two_four_eight() -> None:
    trainer = trainer_of(balancing__weights={"boundary": 1e6})
    solver = LevenbergMarquardt()
    start = {"mu": torch.tensor(1e-9).double(), "nu": torch.tensor(2.0).double()}  # far too small
    made = made_by(solver, trainer, start)
    trials = int(made.readings["trials"])
    assert 1 < trials <= 11 and not made.done
    assert made.readings["damping"] == pytest.approx(1e-9 * 2 ** (trials * (trials - 1) // 2))
    loss = loss_of(trainer)
    before = loss.value(trainer.theta)[1]
    assert loss.value(made.theta)[1] < before
    rho, j = written_out(loss, trainer.theta)
    mu = made.readings["damping"] / 2 ** (trials - 1)  # the one before, by a dense solve, was indeed worse
    d = np.linalg.solve(j.T @ j + mu * np.eye(len(trainer.theta)), -(j.T @ rho))
    assert loss.value(trainer.theta + torch.from_numpy(d))[1] >= before


@pytest.mark.parametrize("solver", [LevenbergMarquardt(), LevenbergMarquardt(factorization="qr")])
def test_it_ends_in_scipy_s_minimum(solver: Solver) -> None:
    trainer = trainer_of(solver, hidden=(2,), training__seed=3)  # 9 parameters, 54 residuals
    for _ in range(50):
        trainer.step()
    generator = torch.Generator().manual_seed(0)  # a start in the minimum's basin: from afar there are many minima
    trainer.theta = trainer.theta + 0.02 * torch.randn(9, generator=generator, dtype=torch.float64)
    trainer.solver_memory, loss = solver.start(trainer.theta), loss_of(trainer)
    start = loss.value(trainer.theta)[1]

    def rows(theta: Dense) -> Dense:
        return np.asarray(loss.rows(torch.from_numpy(theta)).numpy())

    theirs = least_squares(rows, trainer.theta.numpy(), jac=lambda t: loss.jacobian(torch.from_numpy(t))[1].numpy(),
                           method="lm", ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=4000)
    for _ in range(400):
        trainer.step()
        if trainer.done:
            break
    mine = loss.value(trainer.theta)[1]
    assert trainer.done and mine > 0.01, "a minimum of zero would be a weak test"
    assert start > 1.01 * mine and mine == pytest.approx(2 * theirs.cost, rel=1e-9)
    np.testing.assert_allclose(rows(trainer.theta.numpy()), rows(theirs.x), atol=1e-5 * np.abs(rows(theirs.x)).max())


@pytest.mark.parametrize("rows, parameters", [(9, 20), (20, 9), (7, 7)])
def test_all_forms_solve_the_same_least_squares(rows: int, parameters: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    j = torch.randn(rows, parameters, generator=generator, dtype=torch.float64)
    rho = torch.randn(rows, generator=generator, dtype=torch.float64)
    centre = torch.randn(parameters, generator=generator, dtype=torch.float64)
    for mu in (1e-4, 1e-1, 10.0):
        a = (j.T @ j + mu * torch.eye(parameters, dtype=torch.float64)).numpy()
        truth = np.linalg.solve(a, -(j.T @ rho).numpy())
        by_parameters, by_samples = Parameters.of(j.T @ j, j.T @ rho), Samples.of(rho, j)
        found = [by_parameters, by_samples, Orthogonal.of(rho, j, True), Orthogonal.of(rho, j, False)]
        for problem in found:
            d = problem.solve(mu)
            assert d is not None
            close(d, truth, 1e-9)
            model = float(rho.square().sum() - (rho + j @ d).square().sum())
            assert problem.foreseen(d, mu) == pytest.approx(model, rel=1e-7)
            assert problem.largest == pytest.approx(float((j.T @ j).diagonal().max()))
            assert problem.trace == pytest.approx(float((j.T @ j).diagonal().sum()))
            torch.testing.assert_close(problem.gradient, j.T @ rho)
        moved = np.linalg.solve(a, (-(j.T @ rho) + mu * centre).numpy())
        for towards in (by_parameters.solve(mu, centre), by_samples.solve(mu, centre)):
            assert towards is not None
            close(towards, moved, 1e-9)


def test_qr_keeps_the_digits_that_the_square_of_the_condition_loses() -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.linalg.qr(torch.randn(30, 6, generator=generator, dtype=torch.float64))[0]
    w = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))[0]
    s = torch.logspace(0, -7, 6, dtype=torch.float64)
    j, mu = q * s @ w.T, 1e-16
    rho = q @ torch.ones(6, dtype=torch.float64)
    truth = -(w * (s / (s**2 + mu))) @ torch.ones(6, dtype=torch.float64)
    by_qr = Orthogonal.of(rho, j, False).solve(mu)
    by_cholesky = Parameters.of(j.T @ j, j.T @ rho).solve(mu)
    assert by_qr is not None
    error = float((by_qr - truth).norm() / truth.norm())
    assert error < 1e-7
    assert by_cholesky is None or float((by_cholesky - truth).norm() / truth.norm()) > 100 * error


# ---------------------------------------------------------------------- natural gradients

@pytest.mark.parametrize("changes", [{}, RECOVERY], ids=["squares", "recovery"])
@pytest.mark.parametrize("form", ["parameters", "samples"])
def test_the_energy_natural_gradient_is_numpy_s_pseudo_inverse(form: Any, changes: dict[str, Any]) -> None:
    trainer = trainer_of(points=8, **changes)
    loss, theta = loss_of(trainer), trainer.theta
    rho, j = written_out(loss, theta)
    values = np.linalg.eigvalsh(j.T @ j)
    share = np.sort(values[values > 1e-9 * values[-1]] / values[-1])
    gap = int(np.argmax(share[1:10] / share[:9]))  # a cut-off far from eigenvalues, else the two keep different ones
    cutoff = float(np.sqrt(share[gap] * share[gap + 1]))
    assert share[gap + 1] > 1.5 * share[gap]
    truth = -np.linalg.pinv(j.T @ j, rcond=cutoff, hermitian=True) @ (j.T @ rho)
    d, rank = Metric.of(loss, theta, Watch(), form).direction(cutoff)
    assert rank == int((values > cutoff * values[-1]).sum())
    close(d, truth, 1e-5)
    made = made_by(EnergyNaturalGradient(form=form), trainer)
    length, before = made.readings["step size"], loss.value(theta)[1]
    own = Metric.of(loss, theta, Watch(), form).direction(made.readings["cut-off"])[0]
    torch.testing.assert_close(made.theta, theta + length * own, rtol=1e-7, atol=1e-9)
    grid = [loss.value(theta + 0.5**k * own)[1] for k in range(31)]  # the paper's line search in full
    assert min(grid) < before and loss.value(made.theta)[1] == pytest.approx(min(grid), rel=1e-6)


def test_spring_minimises_what_defines_it() -> None:
    trainer = trainer_of(points=8)
    solver, loss, theta = Spring(0.05, 0.8), loss_of(trainer), trainer.theta
    made = made_by(solver, trainer)
    previous = made.memory["phi"].numpy()
    rho, j = written_out(loss, theta)
    first = j.T @ np.linalg.solve(j @ j.T + 0.05 * np.eye(len(j)), rho)
    np.testing.assert_allclose(previous, first, atol=1e-9 * np.abs(first).max())
    torch.testing.assert_close(made.theta, theta - made.readings["step size"] * made.memory["phi"])
    for points in (8, 60):  # sample space, then that of the parameters
        other = trainer_of(points=points)
        at, loss = made.theta, loss_of(other)
        again = solver.step(loss, at, made.memory, 1.0, Watch())
        rho, j = written_out(loss, at)
        assert not again.note
        # argmin |J phi - rho|^2 + lambda |phi - m phi'|^2, as one stacked least squares
        stacked = np.concatenate([j, np.sqrt(0.05) * np.eye(len(at))])
        truth = np.linalg.lstsq(stacked, np.concatenate([rho, np.sqrt(0.05) * 0.8 * previous]), rcond=None)[0]
        close(again.memory["phi"], truth, 1e-8)
        torch.testing.assert_close(again.theta, at - again.readings["step size"] * again.memory["phi"])


def test_momentum_that_leads_upwards_is_dropped() -> None:
    trainer = trainer_of(points=8)
    phi = -1e4 * torch.from_numpy(written_out(loss_of(trainer), trainer.theta)[1].T.sum(1))  # anywhere, and far
    solver = Spring(1e3, 0.99)
    rho, j = written_out(loss_of(trainer), trainer.theta)
    if float(phi @ torch.from_numpy(j.T @ rho)) > 0:
        phi = -phi  # uphill
    made = made_by(solver, trainer, {"phi": phi})
    assert "the momentum was dropped" in made.note and not made.done
    close(made.memory["phi"], j.T @ np.linalg.solve(j @ j.T + 1e3 * np.eye(len(j)), rho), 1e-9)


# ---------------------------------------------------------------------- conjugate gradients

@pytest.mark.parametrize("changes", [{}, RECOVERY], ids=["squares", "recovery"])
def test_many_iterations_are_the_dense_solve(changes: dict[str, Any]) -> None:
    trainer = trainer_of(**changes)
    loss, theta = loss_of(trainer), trainer.theta
    made = made_by(GaussNewtonCG(0.1, 2000, 1e-13), trainer)
    rho, j = written_out(loss, theta)
    d = np.linalg.solve(j.T @ j + made.readings["damping"] * np.eye(len(theta)), -(j.T @ rho))
    close(made.theta - theta, d, 1e-8)


def test_the_gain_of_a_rough_solution_is_that_of_the_linear_model() -> None:
    trainer = trainer_of()
    loss, theta = loss_of(trainer), trainer.theta
    made = made_by(GaussNewtonCG(0.01, 2), trainer)
    rho, j = written_out(loss, theta)
    d = (made.theta - theta).numpy()
    model = rho @ rho - (rho + j @ d) @ (rho + j @ d)
    decrease = loss.value(theta)[1] - loss.value(made.theta)[1]
    assert made.readings["gain ratio"] == pytest.approx(decrease / model, rel=1e-6)


def test_conjugate_gradients_end_where_they_should() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(40, 40, generator=generator, dtype=torch.float64)
    a = a @ a.T + torch.diag(torch.logspace(0, 5, 40, dtype=torch.float64))
    b = torch.randn(40, generator=generator, dtype=torch.float64)
    calls: list[int] = []

    def product(v: Tensor) -> Tensor:
        calls.append(1)
        return a @ v

    truth = torch.linalg.solve(a, b)
    x = conjugate_gradients(product, b, a.diagonal(), 1000, 1e-14)
    torch.testing.assert_close(x, truth, rtol=1e-6, atol=1e-8)
    preconditioned, _ = len(calls), calls.clear()
    conjugate_gradients(product, b, torch.ones(40, dtype=torch.float64), 1000, 1e-14)
    assert preconditioned < len(calls) < 1000  # the diagonal is worth its while
    calls.clear()
    models = [float(y @ a @ y / 2 - b @ y) for y in (conjugate_gradients(product, b, a.diagonal(), k, 0.0)
                                                     for k in range(60))]
    early = conjugate_gradients(product, b, a.diagonal(), 1000, 0.05)
    first = next(k for k in range(10, 60) if models[k] - models[k - 10] >= 0.05 * models[k])
    assert float(early @ a @ early / 2 - b @ early) == pytest.approx(models[first], rel=1e-9)
    calls.clear()
    rough = conjugate_gradients(product, b, a.diagonal(), 3, 0.0)
    assert len(calls) == 3 and float((a @ rough - b).norm()) > 1e-6
    assert not conjugate_gradients(product, torch.zeros_like(b), a.diagonal(), 5, 0.1).any()


# ---------------------------------------------------------------------- as solvers of a trainer

@each_solver
def test_the_loss_never_rises_and_is_resumed_bit_for_bit(solver: Solver) -> None:
    changes: dict[str, Any] = {"points": 12, "network__slopes": "layer", "network__recovery": "paper"}
    through, first = trainer_of(solver, **changes), trainer_of(solver, **changes)
    before = np.inf
    for _ in range(5):
        now = float(np.dot(through.step(), through.weights.numpy()))
        assert now < before
        before = now
        assert through.solver_readings["step length"] > 0
    for _ in range(2):
        first.step()
    second = trainer_of(solver, **changes, training__seed=9)
    second.load(first.state())
    for _ in range(3):
        second.step()
    assert same(through, second)


@each_solver
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_step_that_is_stopped_changes_nothing(solver: Solver, after: int) -> None:
    through, stopped = trainer_of(solver), trainer_of(solver)
    asked: list[str] = []
    shares: list[tuple[float, str]] = []
    for trainer in (through, stopped):
        trainer.step()
    state = stopped.state()
    stopped.watch = Watch(lambda: len(asked) >= after or asked.append("") is not None,
                          lambda share, what: shares.append((share, what)))
    with pytest.raises(Stopped):
        stopped.step()
    later = stopped.state()
    assert later.numbers == state.numbers
    assert all(torch.equal(tensor, later.tensors[name]) for name, tensor in state.tensors.items())
    stopped.watch = Watch(tell=lambda share, what: shares.append((share, what)))
    through.step()
    stopped.step()
    assert same(through, stopped)
    assert shares and all(0 <= share <= 1 for share, _ in shares) and len({what for _, what in shares}) > 1


@each_solver
def test_losses_without_rows_are_refused(solver: Solver) -> None:
    cut = build_trainer(experiment(decomposition={"splits": {"x": [0.4]}, "flux": {"x": "u_x"}}))
    for trainer in (cut, build_trainer(experiment({"averages": {"m": "u"}, "residuals": [
            {"name": "pde", "equation": "u_xx - m", "points": 7}]}))):
        with pytest.raises(ValueError, match="Gauss-Newton methods need a loss that is a sum of squares"):
            made_by(solver, trainer)


@each_solver
def test_at_the_rounding_it_says_so(solver: Solver) -> None:
    """A linear network with a solution that it has exactly."""
    problem = {"domain": {"x": [0.0, 1.0]}, "residuals": [{"name": "pde", "equation": "u_x = 0", "points": 4}],
               "conditions": [{"name": "ends", "equation": "u = 1", "points": 1}]}
    trainer = build_trainer(experiment(problem, network__hidden=[3], sampling__every=0))
    trainer.solver, trainer.solver_memory = solver, solver.start(trainer.theta)
    for _ in range(500):
        losses = trainer.step()
        if trainer.done:
            break
    assert sum(losses) < 1e-24
    assert "rounding" in trainer.done
    theta = trainer.theta
    trainer.step()
    torch.testing.assert_close(trainer.theta, theta, rtol=0, atol=1e-12)


@each_solver
def test_a_loss_that_is_not_finite_is_left_to_the_trainer(solver: Solver) -> None:
    trainer = trainer_of()
    theta = torch.full_like(trainer.theta, torch.inf)
    made = solver.step(loss_of(trainer), theta, solver.start(theta), 1.0, Watch())
    assert not bool(torch.isfinite(made.losses).all()) and torch.equal(made.theta, theta)


@each_solver
def test_single_precision(solver: Solver) -> None:
    trainer = trainer_of(solver, precision="float32")
    losses = [sum(trainer.step()) for _ in range(6)]
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]
    assert trainer.theta.dtype == torch.float32


@pytest.mark.parametrize("make, sentence", [
    (lambda: LevenbergMarquardt(0.0), "damping of Levenberg-Marquardt is positive, 0 is not"),
    (lambda: Spring(-1.0), "damping of SPRING is positive, -1 is not"),
    (lambda: Spring(momentum=1.0), "momentum of SPRING is from 0 to below 1, 1 is not"),
    (lambda: EnergyNaturalGradient(cutoff=1.0), "cut-off of the pseudo-inverse is from 0 to below 1, 1 is not"),
    (lambda: GaussNewtonCG(float("nan")), "damping of gauss-newton-cg is positive, nan is not"),
    (lambda: GaussNewtonCG(iterations=0), "at least one iteration, 0 is none"),
    (lambda: GaussNewtonCG(tolerance=1.0), "tolerance of conjugate gradients is from 0 to below 1, 1 is not")])
def test_wrong_numbers_are_refused(make: Callable[[], Solver], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()
