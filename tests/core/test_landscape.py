"""Landscapes against losses evaluated one by one in their plane."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from core.diagnostics import landscape
from core.diagnostics.landscape import Directions, LandscapeDiagnostic
from core.diagnostics.stopping import Stopped
from tests.core.curvature import CUT, THREE, dense, trained


@pytest.mark.parametrize("directions", ["gradient-random", "hessian"])
@pytest.mark.parametrize("problem", [THREE, CUT])
def test_the_centre_is_the_present(problem: dict[str, object], directions: Directions) -> None:
    trainer = trained(3, problem, network__hidden=[5, 5], balancing__weights={"boundary": 4.0})
    frame = LandscapeDiagnostic().observe(trainer, size=5, reach=0.2, directions=directions)
    now = torch.stack(trainer.objective.losses(trainer.theta, trainer.points)).numpy()
    assert tuple(frame.losses) == (*trainer.terms, "total")
    for k, term in enumerate(trainer.terms):
        assert frame.losses[term].shape == (5, 5)
        assert frame.losses[term][2, 2] == now[k]
    total = sum(float(w) * frame.losses[t] for w, t in zip(trainer.weights, trainer.terms, strict=True))
    np.testing.assert_allclose(frame.losses["total"], total, rtol=1e-14)
    for axis in frame.axes:
        np.testing.assert_allclose(axis, [-0.2, -0.1, 0, 0.1, 0.2], atol=1e-16)
        assert axis[2] == 0


def test_the_gradient_axis() -> None:
    trainer = trained(3, balancing__weights={"boundary": 4.0})
    frame = LandscapeDiagnostic().observe(trainer, size=7, reach=0.3)
    assert frame.directions == ("gradient", "random")
    leaf = trainer.theta.clone().requires_grad_()
    loss = (trainer.weights * torch.stack(trainer.objective.losses(leaf, trainer.points))).sum()
    g = torch.autograd.grad(loss, leaf)[0]
    d = g / g.norm() * trainer.theta.norm()
    for i, a in enumerate(frame.axes[0]):
        truth = torch.stack(trainer.objective.losses(trainer.theta + float(a) * d, trainer.points)).numpy()
        np.testing.assert_allclose([frame.losses[t][i, 3] for t in trainer.terms], truth, rtol=1e-10)
    # along it the loss climbs as its gradient says
    tiny = LandscapeDiagnostic().observe(trainer, size=3, reach=1e-5)
    slope = (tiny.losses["total"][2, 1] - tiny.losses["total"][0, 1]) / 2e-5
    assert slope == pytest.approx(float(g.norm() * trainer.theta.norm()), rel=1e-6)


def test_the_random_direction_is_filter_normalised() -> None:
    trainer = trained(3)
    d = landscape._random(trainer.objective, trainer.theta, 0)
    for p in trainer.objective.parameters:
        ours, theirs = d[p.slice].view(p.shape), trainer.theta[p.slice].view(p.shape)
        if p.name.endswith(" W"):  # incoming weights of each neuron
            for neuron in range(p.shape[1]):
                assert float(ours[:, neuron].norm()) == pytest.approx(float(theirs[:, neuron].norm()))
        else:
            assert float(ours.norm()) == pytest.approx(float(theirs.norm()))
    assert float(d.norm()) == pytest.approx(float(trainer.theta.norm()))
    assert torch.equal(d, landscape._random(trainer.objective, trainer.theta, 0))
    assert abs(float(torch.nn.functional.cosine_similarity(d, landscape._random(trainer.objective, trainer.theta, 1),
                                                           dim=0))) < 0.6
    frame = LandscapeDiagnostic().observe(trainer, size=3, reach=0.5, seed=0)
    truth = torch.stack(trainer.objective.losses(trainer.theta + 0.5 * d, trainer.points)).numpy()
    np.testing.assert_allclose([frame.losses[t][1, 2] for t in trainer.terms], truth, rtol=1e-10)


def test_the_hessian_s_axes_have_its_two_largest_curvatures() -> None:
    trainer = trained(3)
    reach = 1e-4
    frame = LandscapeDiagnostic().observe(trainer, size=3, reach=reach, directions="hessian")
    assert frame.directions == ("eigenvector 1", "eigenvector 2")
    values = torch.linalg.eigvalsh(dense(trainer, "total"))
    z, scale = frame.losses["total"], float(trainer.theta.norm()) ** 2 * reach**2
    assert (z[2, 1] - 2 * z[1, 1] + z[0, 1]) / scale == pytest.approx(float(values[-1]), rel=1e-3)
    assert (z[1, 2] - 2 * z[1, 1] + z[1, 0]) / scale == pytest.approx(float(values[-2]), rel=1e-3)
    mixed = (z[2, 2] - z[2, 0] - z[0, 2] + z[0, 0]) / (4 * scale)
    assert abs(mixed) < 1e-3 * float(values[-1])  # eigenvectors
    assert z[2, 1] >= z[0, 1] and z[1, 2] >= z[1, 0]


@pytest.mark.parametrize("directions", ["gradient-random", "hessian"])
def test_what_is_not_finite_is_nan(directions: Directions) -> None:
    trainer = trained(2)
    trainer.theta = torch.full_like(trainer.theta, math.nan)
    frame = LandscapeDiagnostic().observe(trainer, size=3, directions=directions)
    assert all(np.isnan(values).all() for values in frame.losses.values())


def test_what_cannot_be_drawn_is_told() -> None:
    trainer = trained(1)
    observe = LandscapeDiagnostic().observe
    for size in (1, 30):
        with pytest.raises(ValueError, match="odd number of points"):
            observe(trainer, size=size)
    with pytest.raises(ValueError, match="positive multiple"):
        observe(trainer, reach=0.0)
    with pytest.raises(ValueError, match="no directions 'pca'; there are gradient-random, hessian"):
        observe(trainer, directions="pca")  # type: ignore[arg-type]


@pytest.mark.parametrize("directions", ["gradient-random", "hessian"])
def test_progress_is_told_and_a_stop_heard(directions: Directions) -> None:
    trainer = trained(1)
    told: list[float] = []
    LandscapeDiagnostic().observe(trainer, size=5, directions=directions, tell=told.append)
    assert told == sorted(told) and told[-1] == pytest.approx(1.0) and len(told) >= 5
    with pytest.raises(Stopped):
        LandscapeDiagnostic().observe(trainer, directions=directions, stop=lambda: len(told) > 0)
