"""Frames against numpy's own histogram, norms and the closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.diagnostics.fields import FieldsDiagnostic, read_reference
from core.diagnostics.gradients import GradientsDiagnostic, SymlogGrid, grid_for
from core.problem import Problem, ProblemError, Residual
from core.trainer import Trainer
from studio.build import build_fields, build_trainer
from studio.gallery import load


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    t = build_trainer(load("helmholtz-m2"))
    for _ in range(25):
        t.step()
    return t


def test_symlog_bins_agree_with_numpy(trainer: Trainer) -> None:
    values = np.random.default_rng(0).standard_cauchy(10_000)
    grid = SymlogGrid(1e-3, 9.0)
    assert (grid.counts(values) == np.histogram(values, grid.edges)[0]).all()
    assert (np.diff(grid.edges) > 0).all()
    np.testing.assert_allclose(grid.edges, -grid.edges[::-1])
    outside = np.array([1e12, -1e12, 0.0, np.nan, np.inf])
    counts = SymlogGrid(1e-3, 9.0).counts(outside)
    assert (counts[0], counts[-1], counts.sum()) == (1, 1, 3)


def test_the_grid_fits_what_it_is_made_for() -> None:
    grid = grid_for(np.array([0.3, -42.0]))
    assert grid.edges[-1] == pytest.approx(1e4, rel=1e-2)
    assert grid_for(np.zeros(4)).edges[-1] > 0
    assert grid_for(np.array([np.nan])).threshold > 0


def test_gradient_frames(trainer: Trainer) -> None:
    frame = GradientsDiagnostic().observe(trainer)
    _, rows = trainer.term_gradients()
    assert frame.terms == ("residual", "boundary")
    assert frame.layers == ("hidden 1", "hidden 2", "hidden 3", "output")
    for t in range(2):
        for k, kernel in enumerate(trainer.kernels):
            g = rows[t, kernel].double().numpy()
            assert frame.counts[t, k].sum() == frame.weighted_counts[t, k].sum() == g.size
            assert frame.max_abs[t, k] == pytest.approx(np.abs(g).max())
            assert frame.norm[t, k] == pytest.approx(np.linalg.norm(g))
            assert frame.quantiles[t, k, 3] == pytest.approx(np.median(g))
            weighted = np.histogram(g * float(trainer.weights[t]), frame.edges)[0]
            assert (frame.weighted_counts[t, k] == weighted).all()
    assert [k.stop - k.start for k in trainer.kernels] == [100, 2500, 2500, 50]
    with pytest.raises(ValueError, match="read-only"):
        frame.counts[0, 0, 0] = 1


def test_field_frames_are_not_transposed(trainer: Trainer) -> None:
    fields = build_fields(load("helmholtz-m2"), trainer)
    frame = fields.observe(trainer)
    x, y = frame.axes
    truth = np.sin(np.pi * x)[:, None] * np.sin(4 * np.pi * y)[None, :]
    np.testing.assert_allclose(frame.exact["u"], truth, atol=1e-12)
    assert (x[0], x[-1], len(x)) == (-1, 1, 100)
    point = torch.tensor([[x[30], y[7]]], dtype=torch.float64)

    def u(p: torch.Tensor) -> torch.Tensor:
        w = [trainer.theta[q.slice].double().view(q.shape) for q in trainer.objective.network.parameters]
        h = p * 12**0.5 / 2
        for k in range(0, len(w) - 2, 2):
            h = torch.tanh(h @ w[k] + w[k + 1])
        return (h @ w[-2] + w[-1])[0, 0]

    assert frame.prediction["u"][30, 7] == pytest.approx(float(u(point)), rel=1e-4)
    hessian = torch.autograd.functional.hessian(u, point)[0, :, 0, :]
    residual = float(hessian[0, 0] + hessian[1, 1] + u(point)) - (1 - 17 * np.pi**2) * frame.exact["u"][30, 7]
    assert frame.residuals["Helmholtz"][30, 7] == pytest.approx(residual, rel=1e-3)
    assert fields.relative_l2(trainer)["u"] == pytest.approx(
        np.linalg.norm(frame.prediction["u"] - frame.exact["u"]) / np.linalg.norm(frame.exact["u"]))


def test_fields_in_one_and_three_dimensions() -> None:
    for inputs, shape in ((1, (9,)), (3, (9, 9))):
        names = "xyz"[:inputs]
        e = load("helmholtz-m1").with_changes({
            "problem": {"name": "p", "fields": ["u"], "domain": dict.fromkeys(names, [0.0, 2.0]),
                        "residuals": [{"name": "pde", "equation": " + ".join(f"u_{n}{n}" for n in names)}],
                        "exact": {"u": "x"}},
            "diagnostics.grid": 9})
        t = build_trainer(e)
        frame = build_fields(e, t).observe(t)
        assert frame.prediction["u"].shape == frame.residuals["pde"].shape == shape
        assert dict(frame.fixed) == ({"z": 1.0} if inputs == 3 else {})


PROBLEM = Problem("p", ("u",), {"t": (0.0, 1.0), "x": (0.0, 2.0)}, (Residual("r", "u_t - u_xx"),))


def test_a_reference_is_read_and_is_the_grid(tmp_path: Path) -> None:
    t, x = np.linspace(0, 1, 4), np.linspace(0, 2, 5)
    np.savez(tmp_path / "r.npz", t=t, x=x, u=np.add.outer(t, x))
    axes, known = read_reference(tmp_path / "r.npz", PROBLEM)
    assert known["u"].shape == (4, 5) == (len(axes[0]), len(axes[1]))
    trainer = build_trainer(load("helmholtz-m1"))
    assert FieldsDiagnostic(trainer.objective, 10).shape == (10, 10)


@pytest.mark.parametrize(("arrays", "sentence"), [
    ({"t": np.arange(4.0), "u": np.zeros((4, 5))}, "'x' must be an increasing"),
    ({"t": np.arange(4.0), "x": np.arange(5.0)}, "none of the fields"),
    ({"t": np.arange(4.0), "x": np.arange(5.0), "u": np.zeros((5, 4))}, "has shape"),
    ({"t": np.arange(4.0), "x": np.arange(5.0), "u": np.full((4, 5), np.nan)}, "NaN"),
])
def test_a_bad_reference_gets_a_sentence(tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str) -> None:
    np.savez(tmp_path / "r.npz", **arrays)
    with pytest.raises(ProblemError, match=sentence):
        read_reference(tmp_path / "r.npz", PROBLEM)


def test_a_missing_or_foreign_reference_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="no reference file"):
        read_reference(tmp_path / "none.npz", PROBLEM)
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(ProblemError, match="no readable"):
        read_reference(tmp_path / "text.npz", PROBLEM)


def test_archives_that_are_something_else_get_a_sentence(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.arange(3.0))
    np.savez_compressed(tmp_path / "whole.npz", t=np.arange(4.0), x=np.arange(5.0), u=np.zeros((4, 5)))
    whole = (tmp_path / "whole.npz").read_bytes()
    for content in ((tmp_path / "array.npy").read_bytes(), whole[: len(whole) // 2], b""):
        (tmp_path / "r.npz").write_bytes(content)
        with pytest.raises(ProblemError, match=r"r\.npz is no readable \.npz file"):
            read_reference(tmp_path / "r.npz", PROBLEM)


def test_a_field_that_is_zero_has_no_relative_error() -> None:
    e = load("helmholtz-m1").with_changes({"problem.exact": {"u": "0*x"}, "diagnostics.grid": 5})
    t = build_trainer(e)
    assert build_fields(e, t).relative_l2(t) == {}


def test_the_grid_of_a_frame_is_the_one_that_made_it(trainer: Trainer) -> None:
    diagnostic = GradientsDiagnostic(SymlogGrid(3e-5, 9.0, 100))
    assert SymlogGrid.of(diagnostic.observe(trainer)) == diagnostic.grid
    with pytest.raises(ValueError, match="no histograms"):
        SymlogGrid.of(build_fields(load("helmholtz-m2"), trainer).observe(trainer))
