"""Where points lie: statistics of the ball against closed forms; faces, interfaces and fixed points exactly."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.decomposition import Box, boxes
from core.diagnostics.points import interior_points, spread_points
from core.places import Data, Places
from core.problem import Problem, Residual
from core.statements import Face

N = 20_000


def problem(d: int, shape: str = "ball", low: float = 1.0, high: float = 4.0) -> Problem:
    names = [f"x{k}" for k in range(1, d + 1)]
    return Problem("p", ("u",), dict.fromkeys(names, (low, high)), (Residual("r", "u"),), shape=shape)


def uniform(rows: int, columns: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(4), dtype=dtype)


def ball(d: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Distances from the centre relative to the radius [N], and directions [N, d]."""
    p = problem(d)
    places = Places(p, dtype)
    assert places.add(boxes(p)[0], (), N) == (0, N)
    places.close()
    assert places.columns == d + 1
    x = places.physical(uniform(N, d + 1, dtype)).double() - 2.5
    distance = torch.linalg.vector_norm(x, dim=1)
    return distance / 1.5, x / distance.unsqueeze(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 2, 3, 10])
def test_points_of_a_ball_are_uniform(d: int, dtype: torch.dtype) -> None:
    """Then r^d is uniform on [0, 1] (Kolmogorov and Smirnov), directions have no preference, and both are
    independent."""
    radius, direction = ball(d, dtype)
    assert radius.max() <= 1 + 1e-6
    volume = (radius**d).sort().values
    steps = torch.arange(1, N + 1, dtype=torch.float64) / N
    assert (volume - steps).abs().max() < 1.63 / math.sqrt(N)
    sigma = 1 / math.sqrt(N * d)
    assert (direction.mean(0).abs() < 4.5 * sigma).all()
    assert (((direction * (volume.mean() - radius**d).unsqueeze(1)).mean(0)).abs() < 4.5 * sigma).all()
    second = direction.T @ direction / N
    assert (second - torch.eye(d, dtype=torch.float64) / d).abs().max() < 4.5 / math.sqrt(N * d)
    inner = (radius[:, None] * direction).square()  # of a uniform ball E x_i^2 = 1 / (d + 2)
    assert (inner.mean(0) - 1 / (d + 2)).abs().max() < 4.5 * math.sqrt(float(inner.var(0).max()) / N)


def test_directions_in_the_plane_by_angle() -> None:
    _, direction = ball(2)
    angle = (torch.atan2(direction[:, 1], direction[:, 0]) / (2 * math.pi) + 0.5).sort().values
    assert (angle - torch.arange(1, N + 1, dtype=torch.float64) / N).abs().max() < 1.63 / math.sqrt(N)


@pytest.mark.parametrize("d", [1, 2, 3, 10])
def test_points_of_the_sphere_lie_on_it(d: int) -> None:
    p = problem(d)
    places = Places(p, torch.float64)
    places.add(boxes(p)[0], (Face(-1, 1.5),), N)
    places.close()
    draws = uniform(N, d + 1)
    x = places.physical(draws) - 2.5
    torch.testing.assert_close(torch.linalg.vector_norm(x, dim=1), torch.full((N,), 1.5).double(), rtol=1e-12, atol=0)
    assert (x.mean(0).abs() < 4.5 * 1.5 / math.sqrt(N * d)).all()
    draws[:, d] = 0.1  # the column of the radius has no say
    assert torch.equal(places.physical(draws) - 2.5, x)
    assert places.patches[0].free == tuple(range(d)) and not places.patches[0].interior


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_of_the_draws_give_points_of_the_ball(dtype: torch.dtype) -> None:
    """A sequence of low discrepancy may draw 0 or 1 itself, and a trace is made with 0.5 throughout."""
    p = problem(3)
    places = Places(p, dtype)
    places.add(boxes(p)[0], (), 27 * 2)
    places.add(boxes(p)[0], (Face(-1, 1.5),), 27)
    places.close()
    ends = torch.tensor([0.0, 0.5, 1.0], dtype=dtype)
    corners = torch.cartesian_prod(ends, ends, ends, ends)
    x = places.physical(corners)
    assert torch.isfinite(x).all()
    assert (torch.linalg.vector_norm(x.double() - 2.5, dim=1) <= 1.5 * (1 + 1e-6)).all()


def test_faces_of_a_box_one_after_the_other() -> None:
    p = Problem("p", ("u",), {"x": (-1.0, 2.0), "y": (0.0, 0.5)}, (Residual("r", "u"),))
    places = Places(p, torch.float64)
    assert places.add(boxes(p)[0], (), 4) == (0, 4)
    assert places.add(boxes(p)[0], (Face(0, -1.0), Face(0, 2.0), Face(1, 0.5)), 3) == (4, 13)
    places.close()
    draws = uniform(13, 2)
    x = places.physical(draws)
    low, span = torch.tensor([-1.0, 0.0]).double(), torch.tensor([3.0, 0.5]).double()
    torch.testing.assert_close(x[:4], low + draws[:4] * span)
    assert (x[4:7, 0] == -1).all() and (x[7:10, 0] == 2).all() and (x[10:, 1] == 0.5).all()
    torch.testing.assert_close(x[4:10, 1], draws[4:10, 1] * 0.5)
    torch.testing.assert_close(x[10:, 0], draws[10:, 0] * 3 - 1)
    assert [(q.start, q.stop, q.free, q.interior) for q in places.patches] == [
        (0, 4, (0, 1), True), (4, 7, (1,), False), (7, 10, (1,), False), (10, 13, (0,), False)]
    assert torch.equal(places.physical_of(0, draws[:4]), x[:4])


def test_both_sides_of_an_interface_see_the_same_points() -> None:
    p = Problem("p", ("u",), {"x": (0.0, 1.0), "y": (0.0, 1.0)}, (Residual("r", "u"),))
    left, right = Box((0.0, 0.0), (0.3, 1.0)), Box((0.3, 0.0), (1.0, 1.0))
    places = Places(p, torch.float64)
    places.add(left, (), 2)
    first = places.add_face(left, 0, 0.3, 5, same_as=None)
    places.add(right, (), 2)
    second = places.add_face(right, 0, 0.3, 5, same_as=first[0])
    places.close()
    x = places.physical(uniform(places.rows, 2))
    assert (first, second) == ((2, 7), (9, 14))
    assert torch.equal(x[2:7], x[9:14]) and (x[2:7, 0] == 0.3).all()
    assert len(x[2:7, 1].unique()) == 5
    assert (x[:2, 0] <= 0.3).all() and (x[7:9, 0] >= 0.3).all()
    assert [q.free for q in places.patches] == [(0, 1), (1,), (0, 1), ()], "copies are not drawn a second time"


@pytest.mark.parametrize("shape", ["box", "ball"])
def test_points_of_a_file_stay_where_they_are(shape: str) -> None:
    p = problem(2, shape)
    own = 2.5 + uniform(3, 2)
    places = Places(p, torch.float64)
    places.add(boxes(p)[0], (), 2)
    assert places.add_points(own) == (2, 5)
    places.add(boxes(p)[0], (Face(-1, 1.5) if shape == "ball" else Face(0, 1.0),), 2)
    places.close()
    for seed in (1, 2):
        draws = torch.rand(7, places.columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        x = places.physical(draws)
        assert x.shape == (7, 2) and torch.equal(x[2:5], own)
        assert torch.equal(places.physical_of(0, draws[:2]), x[:2])
    assert places.patches[1].free == () and not places.patches[1].interior


def test_some_points_of_a_file() -> None:
    data = Data(uniform(4, 2), {"u": torch.arange(4.0)})
    part = data.at(torch.tensor([True, False, False, True]))
    assert torch.equal(part.points, data.points[[0, 3]]) and part.columns["u"].tolist() == [0, 3]


def test_where_errors_are_measured() -> None:
    points = spread_points(problem(4), 500)
    assert points.shape == (500, 4) and points.dtype == torch.float64
    assert torch.equal(points, spread_points(problem(4), 500)), "the same ones for every run"
    assert (torch.linalg.vector_norm(points - 2.5, dim=1) <= 1.5).all()
    box = spread_points(problem(3, "box"), 500)
    assert (box >= 1).all() and (box <= 4).all() and (box.std(0) - 3 / math.sqrt(12)).abs().max() < 0.1
    cross = torch.tensor([[1.2, 2.0], [1.4, 1.4], [3.69, 3.69], [3.8, 2.0]]).double()
    assert interior_points(problem(2, "box"), cross.numpy(), 0.1).tolist() == [False, True, True, False]
