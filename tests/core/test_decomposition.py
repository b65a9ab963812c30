"""Sub-domains: their numbering, and their losses against a literal computation with nested autograd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from core.decomposition import Box, Interface, boxes, interfaces, statements_in
from core.objective import Objective
from core.problem import Condition, Decomposition, Problem, Residual
from studio.build import build_fields, build_objective, build_trainer
from tests.core.literal import At, agree, network_of
from tests.core.samples import draws_of, experiment, residual, shaken


def problem(splits: dict[str, tuple[float, ...]], **more: object) -> Problem:
    return Problem("p", ("u",), {"x": (0.0, 1.0), "y": (0.0, 2.0)}, (Residual("r", "u_xx", points=9),),
                   (Condition("edges", "boundary", "u", points=10), Condition("left", "x = 0", "u_y", "flux", 4)),
                   decomposition=Decomposition(splits, {"x": "u_x", "y": "u_y"}, **more))  # type: ignore[arg-type]


def test_numbers_run_along_the_first_input_first() -> None:
    parts = boxes(problem({"x": (0.25, 0.5), "y": (1.5,)}))
    assert parts == (
        Box((0.0, 0.0), (0.25, 1.5)), Box((0.25, 0.0), (0.5, 1.5)), Box((0.5, 0.0), (1.0, 1.5)),
        Box((0.0, 1.5), (0.25, 2.0)), Box((0.25, 1.5), (0.5, 2.0)), Box((0.5, 1.5), (1.0, 2.0)))
    assert boxes(Problem("p", ("u",), {"x": (0.0, 1.0)}, (Residual("r", "u_x"),))) == (Box((0.0,), (1.0,)),)


def test_interfaces_are_common_faces_not_corners() -> None:
    found = interfaces(boxes(problem({"x": (0.25, 0.5), "y": (1.5,)})))
    assert set(found) == {
        Interface(0, 1, 0, 0.25), Interface(1, 2, 0, 0.5), Interface(3, 4, 0, 0.25), Interface(4, 5, 0, 0.5),
        Interface(0, 3, 1, 1.5), Interface(1, 4, 1, 1.5), Interface(2, 5, 1, 1.5)}
    assert len(interfaces(boxes(problem({"x": (0.2, 0.6), "y": (0.25, 0.5, 0.75)})))) == 2 * 4 + 3 * 3


def test_a_condition_s_points_are_shared_by_length() -> None:
    p = problem({"x": (0.25,), "y": (0.5,)}, points=(1, 2, 3, 4))
    parts = boxes(p)
    shares = []
    for number in range(4):
        own = statements_in(p, parts, number)
        assert own[0].points == number + 1 and own[0].interior
        shares.append({(s.term, s.faces[0].axis, s.faces[0].at): s.points for s in own[1:]})
    assert shares == [
        {("boundary", 0, 0.0): 2, ("boundary", 1, 0.0): 2, ("flux", 0, 0.0): 1},  # 10 * 0.25 = 2.5
        {("boundary", 0, 1.0): 2, ("boundary", 1, 0.0): 8},
        {("boundary", 0, 0.0): 8, ("boundary", 1, 2.0): 2, ("flux", 0, 0.0): 3},
        {("boundary", 0, 1.0): 8, ("boundary", 1, 2.0): 8}]
    few = statements_in(problem({"x": (1e-3,)}), boxes(problem({"x": (1e-3,)})), 0)
    assert all(s.points >= 1 for s in few)


Flux = Callable[[At, Tensor], Tensor]

FLUXES: dict[str, tuple[dict[str, str], tuple[Flux, Flux]]] = {
    "first order": ({"x": "u**2/2 - nu*u_x", "y": "u - nu*u_y"},
                    (lambda at, nu: at("u") ** 2 / 2 - nu * at("u", "x"), lambda at, nu: at("u") - nu * at("u", "y"))),
    "values only": ({"x": "nu*u**2", "y": "x*u"}, (lambda at, nu: nu * at("u") ** 2, lambda at, nu: at["x"] * at("u"))),
    "second order": ({"x": "nu*u_xx", "y": "u_xxy + u_y"},
                     (lambda at, nu: nu * at("u", "xx"), lambda at, nu: at("u", "xxy") + at("u", "y"))),
    "one of each": ({"x": "u", "y": "u_y"}, (lambda at, nu: at("u"), lambda at, nu: at("u", "y"))),
}


def cut(tmp_path: Path, flux: dict[str, str], **changes: object) -> Objective:
    """Four sub-domains with networks of their own size, a local and a common unknown, slopes and observations."""
    np.savez(tmp_path / "data.npz", x=[0.1, 0.3, 0.3, 0.8, 0.9], y=[0.2, 0.4, 0.9, 0.4, 0.1], u=[1.0, 2, 3, 4, 5])
    e = experiment(
        {"residuals": residual("u*u_x + u_y = nu*(u_xx + u_yy) + a*u"), "unknowns": {"nu": 1.0, "a": 0.5},
         "conditions": [{"name": "edges", "equation": "u = x*y", "points": 5},
                        {"name": "slope", "on": "y = 1", "equation": "u_y = a", "term": "slope", "points": 4}],
         "observations": [{"name": "probe", "equation": "u = u_data", "file": str(tmp_path / "data.npz")}]},
        decomposition={"splits": {"x": [0.3], "y": [0.4]}, "flux": flux, "hidden": [[4], [5, 5], [3, 4], [6]],
                       "points": [4, 5, 6, 7], "interface_points": 3, "local": ["nu"], "starts": [1, 2, 3, 4]},
        network__slopes="layer", network__recovery="code", **changes)
    return build_objective(e)


def literal(o: Objective, theta: Tensor, draws: Tensor, flux: tuple[Flux, Flux]) -> dict[str, Tensor]:
    """Every loss term, and the number of points that each observation is counted with, from the definitions."""
    x = o.places.physical(draws)
    first = sum(n.size for network in o.networks for n in network.parameters)
    nus, a = theta[first: first + 4], theta[first + 4]
    fields = [network_of(o, theta, k) for k in range(4)]
    terms = dict.fromkeys(o.terms, torch.zeros((), dtype=torch.float64))

    def add(term: str, value: Tensor) -> None:
        terms[term] = terms[term] + value

    sides: dict[tuple[float, ...], list[tuple[At, Tensor, int]]] = {}
    for block in o.blocks:
        k = block.region
        at, nu, points = At(fields[k], x[block.start: block.stop]), nus[k], x[block.start: block.stop]
        low, high = torch.tensor([o.regions[k].box.low, o.regions[k].box.high], dtype=torch.float64)
        assert ((points >= low) & (points <= high)).all()
        if block.interior:
            assert len(points) == [4, 5, 6, 7][k]
            add("residual", (at("u") * at("u", "x") + at("u", "y") - nu * (at("u", "xx") + at("u", "yy"))
                             - a * at("u")).square().mean())
        elif block.data:
            add("data", (at("u") - block.data["u_data"]).square().mean())
        elif not block.terms:
            axis = int((points == points[0]).all(0).nonzero()[0])
            sides.setdefault(tuple(points.reshape(-1).tolist()), []).append((at, nu, axis))
        elif o.terms[block.terms[0]] == "slope":
            assert (points[:, 1] == 1).all()
            add("slope", (at("u", "y") - a).square().mean())
        else:
            assert any(((points[:, i] == end).all()) for i in range(2) for end in (0.0, 1.0))
            add("boundary", (at("u") - at["x"] * at["y"]).square().mean())
    assert len(sides) == 4
    for (one, nu_one, axis), (other, nu_other, _) in sides.values():
        add("interface flux", (flux[axis](one, nu_one) - flux[axis](other, nu_other)).square().mean())
        average = (one("u") + other("u")) / 2
        add("interface average", (one("u") - average).square().mean() + (other("u") - average).square().mean())
    for k, region in enumerate(o.regions):  # 1 / sum over the layers of exp of their mean slope
        own = [theta[region.theta][p.slice].mean() for p in o.networks[k].parameters if p.name.endswith("slope")]
        assert len(own) == [1, 2, 2, 1][k]
        add("recovery", 1 / torch.stack(own).exp().sum())
    return terms


@pytest.mark.parametrize("kind", sorted(FLUXES))
def test_losses_and_their_gradients_are_literally_those_of_the_paper(kind: str, tmp_path: Path) -> None:
    text, flux = FLUXES[kind]
    o = cut(tmp_path, text)
    theta, draws = shaken(o).requires_grad_(), draws_of(o)
    truth = literal(o, theta, draws, flux)
    assert all(value.item() > 0 for value in truth.values())
    for mine in (o.losses(theta, draws), o.losses_apart(theta, draws)):
        agree(mine, list(truth.values()), 1e-9)
    mine, theirs = (torch.autograd.grad(torch.stack(list(terms)).sum(), theta)[0]
                    for terms in (o.losses(theta, draws), truth.values()))
    agree(mine, theirs, 1e-9)


def test_parameters_and_unknowns_by_name(tmp_path: Path) -> None:
    o = cut(tmp_path, FLUXES["first order"][0])
    assert o.terms == ("residual", "boundary", "slope", "data", "interface flux", "interface average", "recovery")
    names = [p.name for p in o.parameters]
    assert names[:2] == ["1: hidden 1 W", "1: hidden 1 b"] and names[-5:] == ["nu 1", "nu 2", "nu 3", "nu 4", "a"]
    assert [k.name for k in o.kernels][:3] == ["1: hidden 1 W", "1: output W", "2: hidden 1 W"]
    ends = [p.slice.stop for p in o.parameters]
    assert [p.offset for p in o.parameters] == [0, *ends[:-1]] and ends[-1] == o.size
    theta = o.initial(torch.Generator().manual_seed(0))
    assert o.unknowns(theta) == {"nu 1": 1, "nu 2": 2, "nu 3": 3, "nu 4": 4, "a": 0.5}
    for kernel in o.kernels:
        assert kernel.shape[0] * kernel.shape[1] == kernel.slice.stop - kernel.slice.start


def test_a_point_on_an_interface_is_observed_once(tmp_path: Path) -> None:
    """It belongs to the sub-domain before the cut, whose prediction is also the one that is shown there."""
    o = cut(tmp_path, FLUXES["first order"][0])
    own = {block.region: block.data["u_data"].tolist() for block in o.blocks if block.data}
    assert own == {0: [1, 2], 1: [4, 5], 2: [3]}


def test_which_sub_domain_a_point_belongs_to(tmp_path: Path) -> None:
    o = cut(tmp_path, FLUXES["first order"][0])
    x = torch.tensor([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9], [0.3, 0.1], [0.1, 0.4], [0.3, 0.4], [0.9, 0.4],
                      [0.3, 0.9], [0, 0], [1, 1], [1.0000001, 1.0000001], [-1e-7, 0.7], [1.0000001, 0.1]],
                     dtype=torch.float64)
    expected = [0, 1, 2, 3, 0, 0, 0, 1, 2, 0, 3, 3, 2, 1]
    assert o.region_of(x).tolist() == o.region_of(x.float()).tolist() == expected


def test_each_point_is_evaluated_by_its_own_network(tmp_path: Path) -> None:
    o = cut(tmp_path, FLUXES["first order"][0])
    theta = shaken(o)
    x = torch.rand(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    home = o.region_of(x)
    values = o.values(theta, x, o.blocks[0].equations, fields=True)[0]
    residuals = o.values(theta, x, o.blocks[0].equations)[0]
    known = o.unknowns(theta)
    for k in range(4):
        at, nu = At(network_of(o, theta, k), x[home == k]), known[f"nu {k + 1}"]
        agree(values[home == k], at("u"))
        agree(residuals[home == k], at("u") * at("u", "x") + at("u", "y") - nu * (at("u", "xx") + at("u", "yy"))
              - known["a"] * at("u"))
    only_last = x[home == 3]
    agree(o.values(theta, only_last, o.blocks[0].equations, fields=True)[0], values[home == 3])


@pytest.mark.parametrize("normalize", ["unit", "none"])
def test_inputs_are_normalized_over_each_sub_domain(normalize: str, tmp_path: Path) -> None:
    o = cut(tmp_path, FLUXES["first order"][0], network__normalize=normalize)
    theta = shaken(o)
    x = torch.tensor([[0.7, 0.2]], dtype=torch.float64)
    agree(o.values(theta, x, o.blocks[0].equations, fields=True)[0], network_of(o, theta, 1, normalize)(x)[:, 0])


@pytest.mark.parametrize("inputs", [1, 3])
def test_other_numbers_of_inputs(inputs: int) -> None:
    names = "xyz"[:inputs]
    equation = " + ".join(f"u_{n}{n}" for n in names)
    e = experiment({"domain": dict.fromkeys(names, [0.0, 1.0]), "residuals": residual(equation),
                    "exact": {"u": "x"}, "conditions": [{"name": "edges", "equation": "u = x", "points": 2}]},
                   decomposition={"splits": {"x": [0.4, 0.7]}, "flux": {"x": "u_x"}, "interface_points": 2})
    trainer = build_trainer(e)
    losses = trainer.step()
    assert all(np.isfinite(losses)) and min(losses) > 0
    fields = build_fields(e, trainer)
    assert 0 < fields.relative_l2(trainer)["u"] < 100
    assert fields.observe(trainer).prediction["u"].shape == (9,) * min(inputs, 2)


def test_an_observation_outside_every_other_sub_domain_is_of_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=[0.1, 0.2], y=[0.1, 0.2], u=[1.0, 2.0])
    e = experiment({"residuals": [], "conditions": [],
                    "observations": [{"name": "o", "equation": "u = u_data", "file": str(tmp_path / "d.npz")}]},
                   decomposition={"splits": {"x": [0.5]}, "flux": {"x": "u_x"}, "interface_points": 2})
    o = build_objective(e)
    assert [block.region for block in o.blocks if block.data] == [0]
    assert o.terms == ("data", "interface flux", "interface average")
    assert all(float(loss) > 0 for loss in o.losses(shaken(o), draws_of(o)))
