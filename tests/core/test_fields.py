"""What is drawn and measured of balls, quantities, eigenfunctions and references, against numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.diagnostics.fields import FieldsDiagnostic
from core.problem import ProblemError
from core.trainer import Trainer
from studio.build import build_fields, build_trainer
from tests.core.literal import At, network_of
from tests.core.samples import experiment, residual, shaken


def made(problem: dict[str, Any], **changes: Any) -> tuple[FieldsDiagnostic, Trainer]:
    e = experiment(problem, **changes)
    trainer = build_trainer(e)
    trainer.theta = shaken(trainer.objective)
    return build_fields(e, trainer), trainer


DISC = {"shape": "ball", "domain": {"x": [-1.0, 1.0], "y": [-1.0, 1.0]}}


def test_outside_a_ball_there_is_nothing() -> None:
    """The exact solution has no value there, which must not reach what is measured inside."""
    fields, trainer = made({**DISC, "exact": {"u": "sqrt(1 - x**2 - y**2)"}, "homogeneous": True})
    frame = fields.observe(trainer)
    x, y = np.meshgrid(*frame.axes, indexing="ij")
    outside = x**2 + y**2 > 1 + 1e-12
    assert 0 < outside.sum() < outside.size
    for array in (frame.prediction["u"], frame.exact["u"], frame.error["u"], frame.residuals["pde"]):
        assert np.isnan(array[outside]).all()
    for array in (frame.prediction["u"], frame.exact["u"], frame.error["u"]):
        assert np.isfinite(array[~outside]).all()
    own, truth = frame.prediction["u"][~outside], frame.exact["u"][~outside]
    assert np.dot(own, own - truth) == pytest.approx(0, abs=1e-9 * np.dot(truth, truth)), "scaled best inside the ball"
    assert 0 < fields.relative_l2(trainer)["u"] <= 1


def test_the_error_in_a_ball_is_an_integral_over_it() -> None:
    """u = 0 against the radius: the relative error is 1; the mean of r^2 over the disc is 1/2."""
    fields, trainer = made({**DISC, "exact": {"u": "sqrt(x**2 + y**2)"}, "averages": {"m": "u**2"},
                            "residuals": residual("u - m"), "hard": {"u": "0*u + sqrt(x**2 + y**2 + 1e-300)"}})
    assert fields.relative_l2(trainer)["u"] < 1e-12
    assert fields.readings(trainer)["m"] == pytest.approx(0.5, rel=0.02)


def test_errors_of_eigenfunctions_are_measured_after_the_best_scaling() -> None:
    fields, trainer = made({"homogeneous": True, "exact": {"u": "x*(1 - y)"}, "quantities": {"s": "-3*u_x"}})
    found = fields.relative_l2(trainer)["u"]
    x, y = (a.reshape(-1) for a in np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 9), indexing="ij"))
    own = network_of(trainer.objective, trainer.theta)(torch.from_numpy(np.stack([x, y], 1)))[:, 0].detach().numpy()
    truth = x * (1 - y)
    best = min(np.linalg.norm(c * own - truth) for c in np.linspace(-50, 50, 200_001)) / np.linalg.norm(truth)
    assert found == pytest.approx(best, rel=1e-5)
    trainer.theta = torch.cat([shaken(trainer.objective)[:-7], -7 * shaken(trainer.objective)[-7:]])
    assert fields.relative_l2(trainer)["u"] == pytest.approx(found, rel=1e-9)


def test_quantities_are_shown_and_compared_like_fields(tmp_path: Path) -> None:
    x, y = np.linspace(0, 1, 5), np.linspace(0, 1, 4)
    np.savez(tmp_path / "r.npz", x=x, y=y, speed=np.add.outer(x, y) + 1)
    fields, trainer = made({"quantities": {"speed": "sqrt(u_x**2 + u_y**2)", "v": "a*u_xx"}, "unknowns": {"a": 2.0},
                            "residuals": residual("u_xx = a"), "exact": {"v": "x"},
                            "reference": str(tmp_path / "r.npz")})
    mesh = torch.from_numpy(np.stack([m.reshape(-1) for m in np.meshgrid(x, y, indexing="ij")], 1))
    at = At(network_of(trainer.objective, trainer.theta), mesh)
    speed = (at("u", "x") ** 2 + at("u", "y") ** 2).sqrt().detach().numpy()
    v = (trainer.theta[-1] * at("u", "xx")).detach().numpy()
    frame = fields.observe(trainer)
    assert list(frame.prediction) == ["u", "speed", "v"] and list(frame.exact) == ["speed", "v"]
    np.testing.assert_allclose(frame.prediction["speed"].reshape(-1), speed, rtol=1e-9)
    np.testing.assert_allclose(frame.prediction["v"].reshape(-1), v, rtol=1e-9)
    truth = (np.add.outer(x, y) + 1).reshape(-1)
    errors = fields.relative_l2(trainer)
    assert errors["speed"] == pytest.approx(np.linalg.norm(speed - truth) / np.linalg.norm(truth), rel=1e-9)
    flat = np.repeat(x, 4)
    assert errors["v"] == pytest.approx(np.linalg.norm(v - flat) / np.linalg.norm(flat), rel=1e-9)
    assert set(errors) == {"speed", "v"}


def test_quantities_of_sub_domains_have_each_its_own_unknown() -> None:
    fields, trainer = made(
        {"unknowns": {"nu": 1.0}, "residuals": residual("nu*u_xx = 1"), "quantities": {"q": "nu + 0*u"}},
        decomposition={"splits": {"x": [0.5]}, "flux": {"x": "nu*u_x"}, "local": ["nu"], "starts": [3.0, 5.0]})
    trainer.theta = trainer.objective.initial(torch.Generator().manual_seed(0))
    picture = fields.observe(trainer).prediction["q"]
    assert (picture[:5] == 3).all() and (picture[5:] == 5).all(), "on the cut the one before it"


def test_the_interior_has_an_error_of_its_own() -> None:
    fields, trainer = made({"exact": {"u": "x + y"}, "domain": {"x": [0.0, 2.0], "y": [0.0, 1.0]}},
                           diagnostics__interior_margin=0.2, diagnostics__grid=21)
    frame = fields.observe(trainer)
    x, y = np.meshgrid(*frame.axes, indexing="ij")
    inside = (x > 0.4) & (x < 1.6) & (y > 0.2) & (y < 0.8)
    gap = frame.prediction["u"] - (x + y)
    assert fields.relative_l2(trainer) == pytest.approx({
        "u": np.linalg.norm(gap) / np.linalg.norm(x + y),
        "u (interior)": np.linalg.norm(gap[inside]) / np.linalg.norm((x + y)[inside])}, rel=1e-9)


def test_a_solution_of_zero_has_no_relative_error() -> None:
    fields, trainer = made({"exact": {"u": "0"}, "homogeneous": True})
    assert fields.relative_l2(trainer) == {}
    assert (fields.observe(trainer).exact["u"] == 0).all()
    fields, trainer = made({"exact": {"u": "2"}})
    own = fields.observe(trainer).prediction["u"]
    assert fields.relative_l2(trainer)["u"] == pytest.approx(np.linalg.norm(own - 2) / 18)


@pytest.mark.parametrize("homogeneous", [False, True])
def test_points_where_nothing_has_a_value_are_left_out(homogeneous: bool) -> None:
    """1/x has none at 0, nor has u/x, whatever u is: drawn as it is, measured elsewhere."""
    fields, trainer = made({"homogeneous": homogeneous, "quantities": {"s": "u/x"}, "exact": {"s": "1/x"},
                            "hard": {"u": "0*u + 3"}})
    assert fields.relative_l2(trainer)["s"] == pytest.approx(0 if homogeneous else 2, abs=1e-12)
    frame = fields.observe(trainer)
    assert np.isinf(frame.exact["s"][0]).all() and np.isfinite(frame.error["s"][1:]).all()


def test_more_than_two_inputs_are_measured_everywhere() -> None:
    """The error of 0 against u = z is 1, though z is constant on the slice that is drawn."""
    names = dict.fromkeys("xyz", [0.0, 1.0])
    fields, trainer = made({"domain": names, "exact": {"u": "z"}, "residuals": residual("u_xx"), "hard": {"u": "0*u"}})
    assert fields.relative_l2(trainer)["u"] == pytest.approx(1)
    frame = fields.observe(trainer)
    assert (frame.exact["u"] == 0.5).all() and dict(frame.fixed) == {"z": 0.5}


def test_a_ball_is_not_compared_with_a_reference(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", x=np.linspace(-1, 1, 3), y=np.linspace(-1, 1, 3), u=np.zeros((3, 3)))
    with pytest.raises(ProblemError, match="a reference is read for a box; a ball is compared with an exact solution"):
        made({**DISC, "reference": str(tmp_path / "r.npz")})
