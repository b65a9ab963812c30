"""The collocation points of the last step, beside the fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.core.samples import residual, same
from tests.core.test_fields_slices import BALL, made


def test_points_are_those_of_the_last_step_by_loss_term(tmp_path: Path) -> None:
    np.savez(tmp_path / "o.npz", x=[0.25, 1.5], y=[0.5, 0.125], u=[1.0, 2.0])
    fields, trainer = made({
        "domain": {"x": [-1.0, 2.0], "y": [0.0, 1.0]}, "residuals": [
            {"name": "a", "equation": "u_xx", "points": 11}, {"name": "b", "equation": "u_y", "points": 5,
                                                              "term": "second"}],
        "conditions": [{"name": "left", "on": "x = -1", "equation": "u", "points": 4},
                       {"name": "top", "on": "y = 1", "equation": "u", "points": 6},
                       {"name": "start", "on": "y = 0", "equation": "u", "points": 3, "term": "initial"}],
        "observations": [{"name": "seen", "file": str(tmp_path / "o.npz"), "equation": "u = u_data"}]})
    assert fields.observe(trainer).points == {}, "nothing is drawn before the first step"
    trainer.step()
    points = fields.observe(trainer).points
    assert {name: array.shape for name, array in points.items()} == {
        "residual": (11, 2), "second": (5, 2), "boundary": (10, 2), "initial": (3, 2), "data": (2, 2)}
    assert all(array.dtype == np.float32 and not array.flags.writeable for array in points.values())
    for array in points.values():
        assert (array >= [-1, 0]).all() and (array <= [2, 1]).all()
        assert len(np.unique(array, axis=0)) == len(array)
    assert ((points["residual"] > [-1, 0]) & (points["residual"] < [2, 1])).all()
    assert (points["boundary"][:4, 0] == -1).all() and (points["boundary"][4:, 1] == 1).all()
    assert len(np.unique(points["boundary"][:4, 1])) == 4 and (points["initial"][:, 1] == 0).all()
    np.testing.assert_array_equal(points["data"], [[0.25, 0.5], [1.5, 0.125]])
    fields.view(("y",), {"x": 0.0})
    np.testing.assert_array_equal(fields.observe(trainer).points["residual"], points["residual"])
    trainer.step()
    assert not np.array_equal(fields.observe(trainer).points["residual"], points["residual"])


def test_looking_does_not_change_a_run() -> None:
    _, alone = made({})
    fields, watched = made({})
    for k in range(3):
        alone.step()
        watched.step()
        fields.view((("x", "y")[k % 2],))
        fields.observe(watched)
    assert same(alone, watched)


def test_the_terms_of_one_statement_each_have_its_points() -> None:
    """Two equations of the interior share points; in one term they count once."""
    rows = [{"name": name, "equation": text, "points": 7, "term": term}
            for name, text, term in (("a", "u_x", "one"), ("b", "u_y", "one"), ("c", "u_xx", "two"))]
    fields, trainer = made({"residuals": rows, "conditions": []})
    trainer.step()
    points = fields.observe(trainer).points
    assert list(points) == ["one", "two"] and points["one"].shape == (7, 2)
    np.testing.assert_array_equal(points["one"], points["two"])


def test_many_points_are_thinned_evenly() -> None:
    fields, trainer = made({"residuals": residual("u_xx", 5001),
                            "conditions": [{"name": "edges", "equation": "u", "points": 1000}]})
    trainer.step()
    every = trainer.objective.places.physical(trainer.points).numpy()
    points = fields.observe(trainer).points
    assert points["residual"].shape == points["boundary"].shape == (2000, 2)
    place = {tuple(row): k for k, row in enumerate(every.astype(np.float32))}
    for term, count in (("residual", 5001), ("boundary", 4000)):
        numbers = np.array([place[tuple(row)] for row in points[term]])
        steps = np.diff(numbers)
        assert set(steps) <= {count // 2000, -(-count // 2000)} and steps.sum() > count - 5
    edges = points["boundary"]
    for axis, at in ((0, 0), (0, 1), (1, 0), (1, 1)):
        assert (edges[:, axis] == at).sum() == 500, "every face keeps its share"


def test_points_of_interfaces_and_balls() -> None:
    fields, trainer = made({"residuals": residual("u_xx + u_y")},
                           decomposition={"splits": {"x": [0.25]}, "flux": {"x": "u_x"}, "interface_points": 6})
    trainer.step()
    points = fields.observe(trainer).points
    assert set(points) == set(trainer.terms)
    for term in ("interface flux", "interface average"):
        assert len(np.unique(points[term], axis=0)) == 6 and (points[term][:, 0] == 0.25).all()
    assert len(points["residual"]) == 14 and (points["residual"][:7, 0] < 0.25).all()
    assert (points["residual"][7:, 0] > 0.25).all()
    fields, trainer = made({**BALL, "residuals": residual("u_xx")})
    trainer.step()
    points = fields.observe(trainer).points
    away = {name: np.linalg.norm(array - [1, 2, 0], axis=1) for name, array in points.items()}
    assert (away["residual"] < 2).all() and len(away["residual"]) == 7
    np.testing.assert_allclose(away["boundary"], 2, rtol=1e-6)
