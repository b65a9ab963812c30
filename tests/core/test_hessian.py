"""Products and extreme eigenvalues against dense Hessians by torch.autograd.functional; the Taylor check of a step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from core.diagnostics.hessian import Hessians, StiffnessDiagnostic, lanczos, preconditioner
from core.diagnostics.step_check import StepCheckDiagnostic
from core.trainer import NotFinite, Trainer
from tests.core.curvature import CUT, INVERSE, THREE, dense, eigenvalues, trained

SETTINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (THREE, {}),
    (THREE, {"network__kind": "gated", "network__hidden": [4, 4]}),
    (THREE, {"network__slopes": "neuron", "network__slope_scale": 2.0, "network__recovery": "paper"}),
    (THREE, {"network__activation": "gelu", "network__raf": "rowdy"}),
    (CUT, {"network__hidden": [4, 4]}),
    (INVERSE, {"balancing__weights": {"boundary": 3.0}}),
]


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    return trained(6, balancing__weights={"boundary": 7.0, "slope": 0.5})


@pytest.mark.parametrize("problem, changes", SETTINGS)
def test_products_are_those_of_the_dense_hessian(problem: dict[str, Any], changes: dict[str, Any]) -> None:
    trainer = trained(3, problem, **changes)
    hessians = Hessians.of(trainer)
    assert hessians.rows == ("total", *trainer.terms, "preconditioned")
    generator = torch.Generator().manual_seed(5)
    v = torch.randn(3, trainer.objective.size, generator=generator, dtype=torch.float64)
    for row in ("total", *trainer.terms):
        truth = v @ dense(trainer, row)
        for found in (hessians.product(row, v), torch.stack([hessians.product(row, one) for one in v])):
            torch.testing.assert_close(found, truth, rtol=1e-9, atol=1e-9 * float(truth.abs().max()))


def test_preconditioned_products_have_adam_s_own_denominator(trainer: Trainer) -> None:
    # Adam written out: after t steps v_hat = v / (1 - beta2^t)
    d = [math.sqrt(v / (1 - 0.999**6)) + 1e-8 for v in trainer.v.tolist()]
    root = torch.tensor([x**-0.5 for x in d], dtype=torch.float64)
    truth = eigenvalues(root.unsqueeze(1) * dense(trainer, "total") * root)
    frame = StiffnessDiagnostic(60).observe(trainer)
    assert frame.rows[-1] == "preconditioned"
    assert frame.largest[-1] == pytest.approx(truth[-1], rel=1e-5)
    assert frame.lowest[-1] == pytest.approx(truth[0], rel=1e-3)


def test_the_ends_of_the_spectrum(trainer: Trainer) -> None:
    diagnostic = StiffnessDiagnostic(20)
    for _ in range(2):  # cold, and from the last eigenvectors
        frame = diagnostic.observe(trainer)
        assert frame.products <= 20 * len(frame.rows)
        for k, row in enumerate(("total", *trainer.terms)):
            truth = eigenvalues(dense(trainer, row))
            assert frame.largest[k] == pytest.approx(truth[-1], rel=1e-5)
            assert truth[0] * (1 + 1e-9) <= frame.lowest[k] < truth[0] * 0.9
            # within accuracy times sigma of the found value there is an eigenvalue
            assert np.abs(truth - frame.largest[k]).min() <= frame.accuracy[k] * abs(frame.largest[k]) + 1e-9
    assert frame.learning_rate == trainer.current_learning_rate()
    np.testing.assert_array_equal(frame.weights, trainer.weights.numpy())


def test_a_warm_start_takes_fewer_products_and_still_sees_a_new_largest(trainer: Trainer) -> None:
    diagnostic = StiffnessDiagnostic(40)
    cold, warm = (diagnostic.observe(trainer).products for _ in range(2))
    assert warm < cold
    other = trained(6, balancing__weights={"boundary": 0.01, "slope": 900.0})  # another Hessian altogether
    frame = diagnostic.observe(other)
    assert frame.largest[0] == pytest.approx(eigenvalues(dense(other, "total"))[-1], rel=1e-5)


def test_the_accuracy_is_that_of_the_vector(trainer: Trainer) -> None:
    h = dense(trainer, "total")
    start = torch.randn(len(h), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for steps in (2, 4, 8):
        space = lanczos(lambda v: h @ v, start, steps)
        assert space is not None
        values, components = space.ritz()
        vector = space.vector(components[:, -1])
        assert float(vector.norm()) == pytest.approx(1.0)
        true = float((h @ vector - values[-1] * vector).norm())
        assert space.residual(float(values[-1]), components[:, -1]) == pytest.approx(true, rel=1e-6)
        torch.testing.assert_close(space.basis @ space.basis.T, torch.eye(steps, dtype=torch.float64),
                                   atol=1e-13, rtol=0)


def test_lanczos_ends_where_the_space_is_exhausted() -> None:
    h = torch.diag(torch.tensor([3.0, 3.0, -1.0, 0.0], dtype=torch.float64))  # three different eigenvalues
    space = lanczos(lambda v: h @ v, torch.ones(4, dtype=torch.float64), 4)
    assert space is not None and len(space.basis) == 3
    np.testing.assert_allclose(space.ritz()[0], [-1, 0, 3], atol=1e-12)
    nothing = lanczos(lambda v: 0 * v, torch.ones(4, dtype=torch.float64), 4)
    assert nothing is not None and len(nothing.basis) == 1


def test_rows_without_adam_and_before_the_first_step() -> None:
    fresh = trained(0)
    assert StiffnessDiagnostic().observe(fresh).rows == ("total", *fresh.terms)
    descent = trained(2, optimizer__kind="gd", optimizer__learning_rate=1e-4)
    assert preconditioner(descent) is None
    assert StiffnessDiagnostic().observe(descent).rows == ("total", *descent.terms)
    # before the first step the points are those that it is going to use
    frame = StiffnessDiagnostic(40).observe(fresh)
    draws = fresh.coming_draws()
    assert frame.largest[0] == pytest.approx(eigenvalues(dense(fresh, "total", draws=draws))[-1], rel=1e-6)
    fresh.step()
    assert torch.equal(fresh.points, draws)


def test_a_constant_term_has_no_curvature() -> None:
    problem = {"residuals": [{"name": "pde", "equation": "u_xx + u_yy = 1", "points": 7}],
               "conditions": [{"name": "flat", "term": "flat", "equation": "heaviside(u) = 2", "points": 3}]}
    trainer = trained(2, problem)
    frame = StiffnessDiagnostic().observe(trainer)
    k = frame.rows.index("flat")
    assert (frame.largest[k], frame.lowest[k], frame.accuracy[k]) == (0, 0, 0)
    check = StepCheckDiagnostic().observe(trainer)
    assert check is not None and check.first[1] == check.second[1] == 0
    assert frame.largest[0] == pytest.approx(frame.largest[1], rel=1e-6)  # of the total and of what is left of it


def test_single_precision_agrees_with_double() -> None:
    single, double = trained(0, training__precision="float32"), trained(0)
    double.theta, double.points = single.theta.double(), single.coming_draws().double()
    single.points = single.coming_draws()
    a, b = (StiffnessDiagnostic(30).observe(t) for t in (single, double))
    np.testing.assert_allclose(a.largest, b.largest, rtol=1e-4)


def test_parameters_that_are_not_finite_give_nan(trainer: Trainer) -> None:
    spoilt = trained(2)
    spoilt.theta = torch.full_like(spoilt.theta, math.nan)
    frame = StiffnessDiagnostic().observe(spoilt)
    assert np.isnan(frame.largest).all() and np.isnan(frame.lowest).all() and np.isnan(frame.accuracy).all()
    check = StepCheckDiagnostic().observe(spoilt)
    assert check is not None and np.isnan(check.actual).all() and np.isfinite(check.before).all()
    with pytest.raises(ValueError, match="at least 2 products"):
        StiffnessDiagnostic(1)


# ---------------------------------------------------------------------- the step

@pytest.mark.parametrize("problem, changes", SETTINGS)
def test_the_parts_of_a_step(problem: dict[str, Any], changes: dict[str, Any]) -> None:
    trainer = trained(2, problem, **changes)
    before, weights = trainer.theta, trainer.weights
    trainer.step()
    frame = StepCheckDiagnostic().observe(trainer)
    assert frame is not None and (frame.step, frame.terms) == (3, trainer.terms)
    np.testing.assert_array_equal(frame.weights, weights.numpy())
    d = trainer.theta - before

    def losses(share: float) -> np.ndarray[Any, np.dtype[np.float64]]:
        return torch.stack(trainer.objective.losses(before + share * d, trainer.points)).detach().numpy()

    h = 1e-3  # central differences along the step
    np.testing.assert_allclose(frame.before, losses(0), rtol=1e-12)
    np.testing.assert_allclose(frame.actual, losses(1) - losses(0), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(frame.first, (losses(h) - losses(-h)) / (2 * h), rtol=1e-5, atol=1e-10)
    for k, term in enumerate(trainer.terms):
        truth = float(d @ dense(trainer, term, before) @ d) / 2
        assert frame.second[k] == pytest.approx(truth, rel=1e-9, abs=1e-15)


def test_gradient_descent_leaves_a_remainder_of_third_order() -> None:
    rest = []
    for rate in (4e-4, 2e-4, 1e-4):
        trainer = trained(1, optimizer__kind="gd", optimizer__learning_rate=rate)
        frame = StepCheckDiagnostic().observe(trainer)
        assert frame is not None
        rest.append(np.abs(frame.actual - frame.first - frame.second))
        assert (rest[-1] < np.abs(frame.second)).all()
        # -eta g_i . sum_j w_j g_j
        start = trained(0)
        _, g = start.engine.term_gradients(start.theta, trainer.points)
        np.testing.assert_allclose(frame.first, (-rate * g @ (g.T @ start.weights)).numpy(), rtol=1e-9)
    for large, small in zip(rest[:-1], rest[1:], strict=True):
        np.testing.assert_allclose(large / small, 8, rtol=0.2)


def test_there_is_no_step_to_check_at_the_start_after_loading_and_after_going_back() -> None:
    trainer = trained(0)
    assert StepCheckDiagnostic().observe(trainer) is None
    trainer.step()
    assert StepCheckDiagnostic().observe(trainer) is not None
    trainer.load(trainer.state())
    assert StepCheckDiagnostic().observe(trainer) is None
    trainer.step()
    trainer.set_weight("boundary", math.pi)  # the step's weights are those it used
    frame = StepCheckDiagnostic().observe(trainer)
    assert frame is not None and frame.weights[1] == 1.0
    wild = trained(0, optimizer__kind="gd")
    wild.set_learning_rate(1e200)
    wild.step()
    with pytest.raises(NotFinite):
        wild.step()
    assert StepCheckDiagnostic().observe(wild) is None
