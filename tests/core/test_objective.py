"""The loss of every ability against literal computations: nested autograd, finite differences, closed forms."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from core.objective import Objective
from core.problem import ProblemError
from studio.build import build_fields, build_objective, build_trainer
from tests.core.literal import At, FieldsAt, agree, network_of
from tests.core.samples import draws_of, experiment, grid_file, residual, shaken


def both_ways(o: Objective, theta: Tensor, truth: list[Tensor], tolerance: float = 1e-9) -> None:
    """Losses in joint passes and in passes of their own."""
    agree(o.losses(theta, draws_of(o)), truth, tolerance)
    agree(o.losses_apart(theta, draws_of(o)), truth, tolerance)


def at_points(o: Objective, fields: FieldsAt, start: int, stop: int, names: str = "u") -> At:
    x = o.places.physical(draws_of(o))[start:stop]
    return At(fields, x, o.problem.inputs, list(names))


# ---------------------------------------------------------------------- unknowns

def test_unknowns_are_parameters_with_the_right_gradient() -> None:
    """Central differences of every loss term, through an equation, a condition and a coefficient of an operator."""
    o = build_objective(experiment({
        "residuals": residual("nu*u_xx + u_yy + a*u**2 = 1"), "unknowns": {"nu": 0.7, "a": -0.4},
        "conditions": [{"name": "edges", "equation": "u = a*nu*x", "points": 3}]}))
    theta, draws = shaken(o), draws_of(o)
    assert [p.name for p in o.parameters[-2:]] == ["nu", "a"]
    assert o.unknowns(o.initial(torch.Generator())) == {"nu": 0.7, "a": -0.4}
    leaf = theta.clone().requires_grad_()
    for k, loss in enumerate(o.losses(leaf, draws)):
        gradient = torch.autograd.grad(loss, leaf, retain_graph=True)[0]
        for place in (0, o.size - 2, o.size - 1):
            ends = []
            for sign in (1, -1):
                moved = theta.clone()
                moved[place] += sign * 1e-5
                ends.append(float(o.losses(moved, draws)[k]))
            assert float(gradient[place]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-8)
        assert gradient[-1] != 0 and gradient[-2] != 0


def test_an_unknown_may_be_learned_from_a_condition_alone() -> None:
    e = experiment({"unknowns": {"a": 2.0}, "conditions": [{"name": "edges", "equation": "u = a"}]})
    trainer = build_trainer(e)
    for _ in range(5):
        trainer.step()
    assert trainer.readings()["a"] != 2.0


# ---------------------------------------------------------------------- averages and means

def test_a_rayleigh_quotient() -> None:
    """The loss is the quotient of two means over the same points, by the quotient rule also in its gradient."""
    o = build_objective(experiment({
        "averages": {"energy": "u_x**2 + u_y**2 + V*u**2", "norm": "u**2"}, "definitions": {"V": "x**2 + y**2"},
        "residuals": residual("energy/norm", points=11, measure="mean"), "conditions": [],
        "hard": {"u": "x*(1 - x)*y*(1 - y)*u"}}))
    theta = shaken(o).requires_grad_()
    raw = network_of(o, theta)
    at = at_points(o, lambda x: (x * (1 - x)).prod(1, keepdim=True) * raw(x), 0, 11)
    energy = at("u", "x") ** 2 + at("u", "y") ** 2 + (at["x"] ** 2 + at["y"] ** 2) * at("u") ** 2
    truth = energy.mean() / (at("u") ** 2).mean()
    both_ways(o, theta, [truth])
    mine, theirs = (torch.autograd.grad(loss, theta)[0] for loss in (o.losses(theta, draws_of(o))[0], truth))
    agree(mine, theirs, 1e-9)


def test_averages_belong_to_the_points_of_their_equation() -> None:
    o = build_objective(experiment({
        "averages": {"m": "u**2", "slope": "u_x", "unused": "u"}, "readings": {"r": "unused"},
        "definitions": {"q": "m + 1"},
        "residuals": [{"name": "a", "equation": "u_xx + m*u = slope", "points": 5},
                      {"name": "b", "equation": "m = 1", "term": "norm", "points": 8},
                      {"name": "c", "equation": "u_y - q", "term": "norm", "points": 5}]}))
    theta = shaken(o)
    fields = network_of(o, theta)
    first, second = at_points(o, fields, 0, 5), at_points(o, fields, o.blocks[-2].start, o.blocks[-2].stop)
    assert len(second.x) == 8
    m = first("u").square().mean()
    a = (first("u", "xx") + m * first("u") - first("u", "x").mean()).square().mean()
    c = (first("u", "y") - (m + 1)).square().mean()
    b = (second("u").square().mean() - 1) ** 2
    edges = at_points(o, fields, o.blocks[-1].start, o.blocks[-1].stop)
    both_ways(o, theta, [a, b + c, edges("u").square().view(4, 3).mean(1).sum()])


def test_a_mean_is_not_squared_and_may_be_negative() -> None:
    o = build_objective(experiment({"residuals": residual("u_x**2/2 - 20*u", measure="mean"), "conditions": []}))
    theta = shaken(o)
    theta[-1] += 5
    at = at_points(o, network_of(o, theta), 0, 7)
    truth = (at("u", "x") ** 2 / 2 - 20 * at("u")).mean()
    assert truth < 0
    both_ways(o, theta, [truth])


def test_readings_are_averages_over_the_domain() -> None:
    """By quadrature: the mean of x^2 on [0, 1] for u = x; and what is made of it."""
    e = experiment({"averages": {"m": "u**2", "k": "u"}, "readings": {"r": "sqrt(m) + k/a", "bad": "log(-m)"},
                    "constants": {"a": 2.0}, "residuals": residual("u - m*0 + k*0"), "hard": {"u": "0*u + x"}},
                   diagnostics__grid=1000)
    trainer = build_trainer(e)
    found = build_fields(e, trainer).readings(trainer)
    assert found["m"] == pytest.approx(1 / 3, rel=1e-5) and found["k"] == pytest.approx(0.5, rel=1e-9)
    assert found["r"] == pytest.approx(math.sqrt(1 / 3) + 0.25, rel=1e-5)
    assert math.isnan(found["bad"]), "a number that does not exist is none, not an error"


def test_pictures_of_residuals_take_averages_over_the_whole_domain() -> None:
    """In three dimensions the picture is a slice, z = 1/2, of which the mean of u = z would be 1/2 too: u = z^2."""
    e = experiment({"domain": dict.fromkeys("xyz", [0.0, 1.0]), "averages": {"m": "u"}, "conditions": [],
                    "residuals": residual("u - m"), "hard": {"u": "0*u + z**2"}})
    trainer = build_trainer(e)
    picture = build_fields(e, trainer).observe(trainer).residuals["pde"]
    np.testing.assert_allclose(picture, 1 / 4 - 1 / 3, atol=0.02)


# ---------------------------------------------------------------------- observations

def test_observations_on_a_grid_and_at_single_points(tmp_path: Path) -> None:
    np.savez(tmp_path / "single.npz", x=[0.9, 0.1, 0.4], y=[0.2, 0.2, 0.7], flux=[1.0, -2.0, 3.0])
    o = build_objective(experiment({"observations": [
        {"name": "grid", "equation": "u = u_data + x", "file": grid_file(tmp_path / "grid.npz")},
        {"name": "probe", "equation": "u_x = flux_data", "file": str(tmp_path / "single.npz"), "columns": ["flux"],
         "term": "probe"}]}))
    theta = shaken(o)
    fields = network_of(o, theta)
    x, y = np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, 1, 4), indexing="ij")
    grid = At(fields, torch.from_numpy(np.stack([x.reshape(-1), y.reshape(-1)], 1)))
    single = At(fields, torch.tensor([[0.9, 0.2], [0.1, 0.2], [0.4, 0.7]], dtype=torch.float64))
    data = (grid("u") - (grid["x"] + 2 * grid["y"]) - grid["x"]).square().mean()
    probe = (single("u", "x") - torch.tensor([1.0, -2.0, 3.0])).square().mean()
    for losses in (o.losses(theta, draws_of(o)), o.losses_apart(theta, draws_of(o))):
        assert o.terms == ("residual", "boundary", "data", "probe")
        agree(losses[2:], [data, probe], 1e-9)


def test_a_cross_entropy_is_a_mean(tmp_path: Path) -> None:
    file = grid_file(tmp_path / "grid.npz", label=np.where(np.arange(20).reshape(5, 4) % 3, 1.0, -1.0))
    o = build_objective(experiment({"residuals": [], "conditions": [], "observations": [
        {"name": "c", "equation": "log(1 + exp(-label_data*u))", "file": file, "columns": ["label"],
         "measure": "mean"}]}))
    theta = shaken(o)
    label = torch.where(torch.arange(20) % 3 > 0, 1.0, -1.0)
    truth = torch.nn.functional.softplus(-label * network_of(o, theta)(o.places.physical(draws_of(o)))[:, 0]).mean()
    both_ways(o, theta, [truth])


def test_noise_and_the_choice_of_points(tmp_path: Path) -> None:
    n = 4000
    generator = np.random.default_rng(0)
    x, y = generator.random(n), generator.random(n)
    np.savez(tmp_path / "d.npz", x=x, y=y, u=3 * np.cos(7 * x), w=np.ones(n))

    def columns(**more: object) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        o = build_objective(experiment({"observations": [{
            "name": "o", "equation": "u = u_data*w_data", "columns": ["w"], "file": str(tmp_path / "d.npz"), **more}]}))
        block = next(b for b in o.blocks if b.data)
        points = o.places.physical(draws_of(o))[block.start: block.stop].numpy()
        return points, {key: value.numpy() for key, value in block.data.items()}

    points, clean = columns()
    np.testing.assert_array_equal(points, np.stack([x, y], 1))
    np.testing.assert_array_equal(clean["u_data"], 3 * np.cos(7 * x))
    same_points, noisy = columns(noise=0.2)
    np.testing.assert_array_equal(points, same_points)
    added = {key: noisy[key] - clean[key] for key in clean}
    for key, rms in (("u_data", np.sqrt(np.mean(clean["u_data"] ** 2))), ("w_data", 1.0)):
        assert added[key].std() == pytest.approx(0.2 * rms, rel=0.05)
        assert abs(added[key].mean()) < 0.2 * rms * 4 / np.sqrt(n)
    assert abs(np.corrcoef(added["u_data"], added["w_data"])[0, 1]) < 4 / np.sqrt(n)
    np.testing.assert_array_equal(columns(noise=0.2)[1]["u_data"], noisy["u_data"])
    assert not np.array_equal(columns(noise=0.2, seed=1)[1]["u_data"], noisy["u_data"])

    chosen, some = columns(points=50)
    rows = [int(np.flatnonzero((x == a) & (y == b))[0]) for a, b in chosen]
    assert len(set(rows)) == 50 and rows == sorted(rows)
    np.testing.assert_array_equal(some["u_data"], clean["u_data"][rows])
    assert np.std(rows) > n / 5, "chosen from the whole file"
    np.testing.assert_array_equal(columns(points=50)[0], chosen)
    assert not np.array_equal(columns(points=50, seed=1)[0], chosen)
    with pytest.raises(ProblemError, match=r"holds 4000 points; 4001 are too many") as caught:
        columns(points=4001)
    assert caught.value.path == "observations.0.points"


# ---------------------------------------------------------------------- constraints

def test_a_hard_constraint_holds_exactly_and_its_laplacian_is_right() -> None:
    o = build_objective(experiment({
        "exact": {"u": "x*exp(y)"}, "hard": {"u": "u_exact + x*(1 - x)*y*(1 - y)*u"},
        "conditions": [{"name": "edges", "equation": "u = u_exact", "points": 3}]}))
    theta = shaken(o)
    raw = network_of(o, theta)

    def fields(x: Tensor) -> Tensor:
        return (x[:, 0] * torch.exp(x[:, 1]))[:, None] + (x * (1 - x)).prod(1, keepdim=True) * raw(x)

    inside = at_points(o, fields, 0, 7)
    residuals = (inside("u", "xx") + inside("u", "yy") - 1).square().mean()
    losses = o.losses(theta, draws_of(o))
    agree(losses[0], residuals, 1e-9)
    assert float(losses[1]) < 1e-30
    edge = torch.tensor([[0.0, 0.3], [1.0, 0.3], [0.4, 0.0], [0.4, 1.0]], dtype=torch.float64)
    value = o.values(theta, edge, o.blocks[0].equations, fields=True)[0]
    torch.testing.assert_close(value, edge[:, 0] * torch.exp(edge[:, 1]), rtol=1e-15, atol=1e-16)


def test_hard_constraints_of_coupled_fields() -> None:
    o = build_objective(experiment({
        "fields": ["u", "v"], "hard": {"u": "x*u + v**2", "v": "1 + y*v"},
        "residuals": residual("u_xy + v_x*u = v_yy"), "conditions": []}))
    theta = shaken(o)
    raw = network_of(o, theta)

    def fields(x: Tensor) -> Tensor:
        u, v = raw(x).unbind(1)
        return torch.stack([x[:, 0] * u + v**2, 1 + x[:, 1] * v], 1)

    at = at_points(o, fields, 0, 7, "uv")
    both_ways(o, theta, [(at("u", "xy") + at("v", "x") * at("u") - at("v", "yy")).square().mean()])


@pytest.mark.parametrize("kind", ["mlp", "gated"])
def test_periodic_fields_agree_at_both_ends_with_their_derivatives(kind: str) -> None:
    o = build_objective(experiment(
        {"domain": {"x": [-1.0, 2.0], "t": [0.0, 1.0]}, "periodic": ["x"], "conditions": [],
         "residuals": [{"name": k, "equation": k, "points": 5}
                       for k in ("u", "u_x", "u_xx", "u_xxx", "u_xxxx", "u_t")]},
        network__kind=kind))
    theta = shaken(o)
    t = torch.linspace(0, 1, 6, dtype=torch.float64)
    left, middle, right = (torch.stack([torch.full_like(t, end), t], 1) for end in (-1.0, 0.3, 2.0))
    equations = o.blocks[0].equations
    here, elsewhere, there = (o.values(theta, x, equations) for x in (left, middle, right))
    assert len(here) == 6
    for a, b, c in zip(here, there, elsewhere, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
        assert (a - c).abs().max() > 1e-3
    if kind == "mlp":
        at = at_points(o, network_of(o, theta), 0, 5)
        agree(o.losses(theta, draws_of(o))[0], sum(
            (at("u", by).square().mean() for by in ("", "x", "xx", "xxx", "xxxx", "t")), torch.tensor(0.0)), 1e-9)


# ---------------------------------------------------------------------- domains and normalization

def test_a_ball_in_three_dimensions() -> None:
    """The exact solution's own values on the sphere; the Laplacian at the interior's points."""
    o = build_objective(experiment({
        "shape": "ball", "domain": dict.fromkeys("xyz", [-2.0, 2.0]), "exact": {"u": "x**2 + y**2 + z**2"},
        "residuals": residual("u_xx + u_yy + u_zz = 6", points=6),
        "conditions": [{"name": "sphere", "equation": "u = u_exact", "points": 5}]}))
    theta = shaken(o)
    fields = network_of(o, theta)
    inside, sphere = at_points(o, fields, 0, 6), at_points(o, fields, 6, 11)
    assert o.points == 11 and o.columns == 4
    torch.testing.assert_close(sphere.x.square().sum(1), torch.full((5,), 4.0).double())
    assert (inside.x.square().sum(1) < 4).all()
    both_ways(o, theta, [(sum((inside("u", n + n) for n in "xyz"), -6 + 0 * inside("u"))).square().mean(),
                         (sphere("u") - 4).square().mean()])
    assert (o.residual_size(theta, draws_of(o)[:6]) > 0).all()


@pytest.mark.parametrize("normalize", ["z-score", "unit", "none"])
def test_kinds_of_normalization(normalize: str) -> None:
    o = build_objective(experiment({"domain": {"x": [3.0, 4.0], "y": [-10.0, 30.0]}}, network__normalize=normalize))
    theta = shaken(o)
    fields = network_of(o, theta, normalize=normalize)
    inside, edges = at_points(o, fields, 0, 7), at_points(o, fields, 7, 19)
    both_ways(o, theta, [(inside("u", "xx") + inside("u", "yy") - 1).square().mean(),
                         edges("u").square().view(4, 3).mean(1).sum()])


def test_the_residual_s_size_is_that_of_all_equations() -> None:
    o = build_objective(experiment({"residuals": [
        {"name": "a", "equation": "u_xx", "points": 5}, {"name": "b", "equation": "u_y = x", "points": 4}]}))
    theta = shaken(o)
    draws = torch.rand(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    at = At(network_of(o, theta), draws)  # the unit square
    agree(o.residual_size(theta, draws), (at("u", "xx") ** 2 + (at("u", "y") - at["x"]) ** 2).sqrt(), 1e-9)
    assert not o.residual_size(theta.requires_grad_(), draws).requires_grad


def test_rows_are_what_the_losses_are_made_of(tmp_path: Path) -> None:
    o = build_objective(experiment({
        "residuals": [{"name": "a", "equation": "u_xx", "points": 5},
                      {"name": "e", "equation": "u_x", "points": 5, "measure": "mean", "term": "energy"}],
        "observations": [{"name": "o", "equation": "u = u_data", "file": grid_file(tmp_path / "g.npz")}]},
        network__slopes="layer", network__recovery="paper"))
    theta, draws = shaken(o), draws_of(o)
    rows = o.rows(theta, draws)
    terms, scales, square, points = o.row_table()
    assert len(rows) == len(terms) == 5 + 5 + 12 + 20
    values = torch.where(square, rows * rows, rows) * scales
    sums = torch.zeros(len(o.terms), dtype=torch.float64).index_add(0, terms, values)
    sums[-1] = o.networks[0].recovery(theta)
    agree(sums, o.losses(theta, draws))
    assert points.tolist() == [*range(5), *range(5), *range(5, 37)]
