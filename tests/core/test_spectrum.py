"""Whole spectra against dense Hessians; the quadrature's moments against their traces."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from core.diagnostics import spectrum
from core.diagnostics.hessian import Hessians
from core.diagnostics.spectrum import PROBES, SpectrumDiagnostic
from core.diagnostics.stopping import Stopped
from tests.core.curvature import CUT, INVERSE, THREE, dense, eigenvalues, trained


@pytest.mark.parametrize("problem, changes", [
    (THREE, {"balancing__weights": {"boundary": 5.0, "slope": 0.0}}),
    (THREE, {"network__slopes": "layer", "network__recovery": "paper"}),
    (CUT, {"network__hidden": [4, 4]}), (INVERSE, {"network__kind": "gated", "network__hidden": [5, 5]})])
def test_all_eigenvalues(problem: dict[str, Any], changes: dict[str, Any]) -> None:
    trainer = trained(3, problem, **changes)
    frame = SpectrumDiagnostic().observe(trainer)
    assert frame.full and frame.parameters == trainer.objective.size
    assert tuple(frame.eigenvalues) == tuple(frame.weights) == ("total", *trainer.terms)
    for row, values in frame.eigenvalues.items():
        truth = eigenvalues(dense(trainer, row))
        np.testing.assert_allclose(values, truth, rtol=1e-8, atol=1e-10 * np.abs(truth).max())
        np.testing.assert_allclose(frame.weights[row], 1 / trainer.objective.size)
        assert not values.flags.writeable


def test_some_rows_only() -> None:
    trainer = trained(3)
    every = SpectrumDiagnostic().observe(trainer).eigenvalues
    some = SpectrumDiagnostic().observe(trainer, rows=["slope", "total"]).eigenvalues
    assert tuple(some) == ("total", "slope")
    for row, values in some.items():  # the total by its own products is the sum of the terms
        np.testing.assert_allclose(values, every[row], rtol=1e-8, atol=1e-10)
    both = SpectrumDiagnostic().observe(trainer, rows=["total", "preconditioned"]).eigenvalues
    d = torch.sqrt(trainer.v / (1 - 0.999**3)) + 1e-8
    truth = eigenvalues(d.rsqrt().unsqueeze(1) * dense(trainer, "total") * d.rsqrt())
    np.testing.assert_allclose(both["preconditioned"], truth, rtol=1e-7, atol=1e-9 * np.abs(truth).max())
    np.testing.assert_allclose(both["total"], every["total"], rtol=1e-8, atol=1e-10)
    with pytest.raises(ValueError, match="no Hessian 'pde' now; there are total, residual, boundary"):
        SpectrumDiagnostic().observe(trainer, rows=["pde"])
    with pytest.raises(ValueError, match="no Hessian 'preconditioned' now"):
        SpectrumDiagnostic().observe(trained(0), rows=["preconditioned"])


def test_the_quadrature_has_the_hessian_s_moments() -> None:
    trainer = trained(3, network__hidden=[10, 10])
    frame = SpectrumDiagnostic().observe(trainer, most=10, rows=["total", "boundary"])
    size = trainer.objective.size
    assert not frame.full and size > 80
    for row, nodes in frame.eigenvalues.items():
        weights = frame.weights[row]
        assert (np.diff(nodes) >= 0).all() and (weights >= 0).all() and weights.sum() == pytest.approx(1)
        h = dense(trainer, row)
        truth = eigenvalues(h)
        slack = 1e-9 * np.abs(truth).max()
        assert truth[0] - slack <= nodes[0] and nodes[-1] <= truth[-1] + slack
        assert nodes[-1] == pytest.approx(truth[-1], rel=1e-8) and nodes[0] == pytest.approx(truth[0], rel=1e-6)
        # Hutchinson's estimate of a trace with signs has the variance 2 sum of squares off the diagonal
        for power in (1, 2):
            matrix = torch.linalg.matrix_power(h, power)
            off = matrix - torch.diag(matrix.diagonal())
            sigma = math.sqrt(2 * float(off.square().sum()) / PROBES)
            found = size * float((weights * nodes**power).sum())
            assert abs(found - float(matrix.trace())) < 4 * sigma
            assert power == 1 or sigma < 0.8 * float(matrix.trace())  # so that it says something


def test_the_quadrature_is_exact_where_the_start_is() -> None:
    """With as many steps as parameters every probe's quadrature is z^T f(H) z / P; of a diagonal H the trace itself."""
    trainer = trained(3, network__hidden=[4])
    hessians = Hessians.of(trainer)
    diagonal = torch.linspace(-1, 3, hessians.size, dtype=torch.float64)
    hessians.product = lambda row, v: diagonal * v  # type: ignore[method-assign, assignment]
    nodes, weights = spectrum._quadrature(hessians, ["total"], lambda: False, lambda share: None)["total"]
    for power in (0, 1, 2, 3):
        assert (weights * nodes**power).sum() == pytest.approx(float((diagonal**power).mean()), rel=1e-9)


@pytest.mark.parametrize("most", [12_000, 10])
def test_progress_is_told_and_a_stop_heard(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrum, "PROBES", 2)
    monkeypatch.setattr(spectrum, "STEPS", 10)
    trainer = trained(2, network__hidden=[8, 8])
    told: list[float] = []
    whole = SpectrumDiagnostic().observe(trainer, most=most, tell=told.append)
    assert told == sorted(told) and 0 < told[0] < 0.2 and told[-1] == pytest.approx(1.0)
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 5

    with pytest.raises(Stopped):
        SpectrumDiagnostic().observe(trainer, most=most, stop=stop)
    assert asked == 6
    again = SpectrumDiagnostic().observe(trainer, most=most)
    for row, values in whole.eigenvalues.items():
        np.testing.assert_array_equal(again.eigenvalues[row], values)


@pytest.mark.parametrize("most", [12_000, 10])
def test_what_is_not_finite_is_nan(most: int) -> None:
    trainer = trained(2)
    trainer.theta = torch.full_like(trainer.theta, math.inf)
    frame = SpectrumDiagnostic().observe(trainer, most=most)
    assert all(np.isnan(values).all() for values in frame.eigenvalues.values())
    assert all(w.sum() == pytest.approx(1) for w in frame.weights.values())


def test_a_constant_term_has_a_spectrum_of_zeros() -> None:
    trainer = trained(2, {"conditions": [
        {"name": "flat", "term": "flat", "equation": "heaviside(u) = 2", "points": 3}]})
    for most in (12_000, 10):
        frame = SpectrumDiagnostic().observe(trainer, most=most, rows=["flat"])
        assert (frame.eigenvalues["flat"] == 0).all()
