"""A reference of single points: the error is measured at them, for any number of inputs; panels still get a grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.diagnostics.fields import FieldsDiagnostic
from core.frames import Array
from core.problem import Problem, ProblemError, Residual
from core.reference import read_scattered
from core.trainer import Trainer
from studio.build import build_fields, build_trainer
from tests.core.literal import network_of
from tests.core.samples import experiment, shaken

NAMES = ("a", "b", "c", "d")
ROWS = 7


def points(inputs: int) -> Array:
    return np.random.Generator(np.random.PCG64(5)).uniform(0, 1, (ROWS, inputs))


def saved(path: Path, inputs: int, **changes: Any) -> str:
    """A file of ROWS points with u, the sum of the inputs, and a column w; changes: None leaves an array out."""
    x = points(inputs)
    arrays = {**dict(zip(NAMES, x.T, strict=False)), "u": x.sum(1), "w": x[:, 0], **changes}
    np.savez(path / "r.npz", **{key: value for key, value in arrays.items() if value is not None})
    return str(path / "r.npz")


def problem(inputs: int) -> Problem:
    return Problem("p", ("u",), dict.fromkeys(NAMES[:inputs], (0.0, 1.0)), (Residual("r", "u_a - u"),),
                   quantities={"s": "2*u"})


def made(path: Path, inputs: int, **problem_changes: Any) -> tuple[FieldsDiagnostic, Trainer]:
    e = experiment({"domain": {name: [0.0, 1.0] for name in NAMES[:inputs]}, "residuals": [], "conditions": [],
                    "reference": saved(path, inputs), "quantities": {"s": "2*u"},
                    "observations": [{"name": "seen", "equation": "u = w_data", "columns": ["w"]}], **problem_changes})
    trainer = build_trainer(e)
    trainer.theta = shaken(trainer.objective)
    return build_fields(e, trainer), trainer


@pytest.mark.parametrize("inputs", [1, 2, 4])
def test_single_points_are_told_from_a_grid(tmp_path: Path, inputs: int) -> None:
    found = read_scattered(Path(saved(tmp_path, inputs, s=np.arange(7.0))), problem(inputs))
    assert found is not None
    np.testing.assert_array_equal(found[0], points(inputs))
    assert set(found[1]) == {"u", "s"}, "what is no field and no quantity is not compared"
    np.testing.assert_array_equal(found[1]["u"], points(inputs).sum(1))


def test_a_grid_is_no_single_points(tmp_path: Path) -> None:
    path = Path(saved(tmp_path, 2, a=np.linspace(0, 1, 7), b=np.linspace(0, 1, 3), u=np.zeros((7, 3)), w=None))
    assert read_scattered(path, problem(2)) is None


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"u": None}, "none of the fields u, s"),
    ({"s": np.zeros((7, 1)), "w": None}, "'a' must be an increasing 1-D array"),
    ({"u": np.zeros(6)}, r"'u' has shape \(6,\), the 7 points ask for \(7,\)"),
    ({"u": np.full(7, np.nan)}, "'u' has values that are NaN or infinite"),
    ({"d": np.full(7, 1.5)}, "points reach from d = 1.5 to 1.5, outside the domain"),
    ({"d": np.zeros(6)}, "'a' must be an increasing 1-D array"),
    ({"d": None}, "'d' must be .* it is missing"),
])
def test_mistakes_get_a_sentence(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ProblemError, match=sentence):
        read_scattered(Path(saved(tmp_path, 4, **changes)), problem(4))


@pytest.mark.parametrize("inputs", [1, 2, 4])
def test_the_error_is_that_at_the_points(tmp_path: Path, inputs: int) -> None:
    fields, trainer = made(tmp_path, inputs)
    x = points(inputs)
    own = network_of(trainer.objective, trainer.theta)(torch.from_numpy(x))[:, 0].detach().numpy()
    truth = x.sum(1)
    assert fields.relative_l2(trainer) == {
        "u": pytest.approx(np.linalg.norm(own - truth) / np.linalg.norm(truth), rel=1e-10)}


@pytest.mark.parametrize("inputs", [1, 2, 4])
def test_panels_get_a_grid_through_the_middle(tmp_path: Path, inputs: int) -> None:
    """The first two inputs, the others at the middle of their range; nothing is known there, so nothing is compared."""
    fields, trainer = made(tmp_path, inputs)
    frame = fields.observe(trainer)
    shape = (9,) * min(inputs, 2)
    assert frame.inputs == NAMES[:2][:inputs] and dict(frame.fixed) == dict.fromkeys(NAMES[2:inputs], 0.5)
    assert frame.prediction["u"].shape == frame.prediction["s"].shape == shape
    assert not frame.exact and not frame.error and not frame.residuals
    mesh = np.meshgrid(*(np.linspace(0, 1, 9),) * len(shape), indexing="ij")
    x = np.stack([*(m.reshape(-1) for m in mesh), *[np.full(mesh[0].size, 0.5)] * (inputs - len(shape))], 1)
    own = network_of(trainer.objective, trainer.theta)(torch.from_numpy(x))[:, 0].detach().numpy()
    np.testing.assert_allclose(frame.prediction["u"].reshape(-1), own, rtol=1e-10, atol=1e-12)


def test_a_term_may_be_made_of_columns_alone(tmp_path: Path) -> None:
    """A quadratic given by its coefficients, its mean in the loss: a residual that is linear in the field, squared."""
    more = {"c0": np.linspace(1, 2, 7), "c1": np.linspace(-1, 0.5, 7), "c2": np.linspace(0.5, 3, 7)}
    saved(tmp_path, 4, **more)
    e = experiment({"domain": {name: [0.0, 1.0] for name in NAMES}, "residuals": [], "conditions": [], "observations": [
        {"name": "weak", "file": str(tmp_path / "r.npz"), "equation": "c0_data + 2*c1_data*u + c2_data*u**2",
         "columns": list(more), "term": "residual", "measure": "mean"}]})
    trainer = build_trainer(e)
    o = trainer.objective
    own = network_of(o, trainer.theta)(torch.from_numpy(points(4)))[:, 0].detach().numpy()
    assert o.terms == ("residual",)
    loss = o.losses(trainer.theta, torch.zeros(o.points, o.columns, dtype=o.dtype))[0]
    wanted = (more["c0"] + 2 * more["c1"] * own + more["c2"] * own**2).mean()
    assert float(loss.detach()) == pytest.approx(wanted, rel=1e-12)
