"""Steps: points weighted one by one against literal computations; what is traced is what runs eagerly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from core.engine import EagerEngine
from core.objective import Objective
from core.pointwise import PointWeights
from core.trainer import Trainer
from studio.build import build_objective, build_trainer
from tests.core.literal import At, network_of
from tests.core.samples import experiment, grid_file, residual, shaken

RATE, WEIGHTS = 0.01, {"residual": 2.0, "boundary": 3.0, "start": 0.5}


def waves(points: str, **changes: Any) -> Trainer:
    """A heat equation with plain gradient descent: 9 points inside, 2 faces with 4, one with 5."""
    e = experiment(
        {"domain": {"x": [-1.0, 1.0], "t": [2.0, 4.0]}, "residuals": residual("u_t = u_xx", points=9),
         "conditions": [{"name": "left", "on": "x = -1", "equation": "u", "points": 4},
                        {"name": "right", "on": "x = 1", "equation": "u_x", "points": 4},
                        {"name": "start", "on": "t = 2", "equation": "u = sin(pi*x)", "term": "start", "points": 5}]},
        balancing={"points": points, "weights": WEIGHTS, "points_rate": 0.3, "points_decay": 0.9, "chunks": 4},
        sampling__every=0, optimizer={"kind": "gd", "learning_rate": RATE, "decay_rate": 1.0}, **changes)
    return build_trainer(e)


def literal_rows(trainer: Trainer, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(residuals, terms, points of the statement) of the 22 rows: interior, right (a derivative), left, start."""
    assert trainer.draws is not None
    o = trainer.objective
    assert [b.stop - b.start for b in o.blocks] == [9, 4, 4, 5]
    x = o.places.physical(trainer.draws)
    assert (x[9:13, 0] == 1).all() and (x[13:17, 0] == -1).all() and (x[17:, 1] == 2).all()
    at = At(network_of(o, theta), x, ("x", "t"))
    inside = at("u", "t") - at("u", "xx")
    rows = torch.cat([inside[:9], at("u", "x")[9:13], at("u")[13:17], (at("u") - torch.sin(torch.pi * at["x"]))[17:]])
    return rows, torch.tensor([0] * 9 + [1] * 8 + [2] * 5), torch.tensor([9.0] * 9 + [4.0] * 8 + [5.0] * 5).double()


def test_self_adaptive_steps() -> None:
    """Descent in theta and ascent in lambda of the same loss, both from the same point."""
    trainer = waves("self-adaptive")
    weights = torch.tensor(list(WEIGHTS.values()), dtype=torch.float64)
    theta, lam = trainer.theta, torch.ones(22, dtype=torch.float64)
    for _ in range(4):
        losses = trainer.step()
        leaf, own = theta.clone().requires_grad_(), lam.clone().requires_grad_()
        rows, terms, points = literal_rows(trainer, leaf)
        loss = (weights[terms] / points * own**2 * rows**2).sum()
        descent, ascent = torch.autograd.grad(loss, (leaf, own))
        raw = torch.zeros(3, dtype=torch.float64).index_add(0, terms, rows.detach() ** 2 / points)
        assert losses == pytest.approx(raw.tolist(), rel=1e-10), "shown are the unweighted losses"
        theta, lam = theta - RATE * descent, lam + 0.3 * ascent
        torch.testing.assert_close(trainer.theta, theta, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(trainer.multipliers, lam, rtol=1e-10, atol=1e-12)
    assert lam.min() > 1


def test_residual_attention_steps() -> None:
    trainer = waves("residual-attention")
    weights = torch.tensor(list(WEIGHTS.values()), dtype=torch.float64)
    theta, lam = trainer.theta, torch.zeros(22, dtype=torch.float64)
    for _ in range(4):
        trainer.step()
        leaf = theta.clone().requires_grad_()
        rows, terms, points = literal_rows(trainer, leaf)
        for k in range(3):
            size = rows[terms == k].detach().abs()
            lam[terms == k] = 0.9 * lam[terms == k] + 0.3 * size / size.max()
        loss = (weights[terms] / points * (lam * rows) ** 2).sum()
        theta = theta - RATE * torch.autograd.grad(loss, leaf)[0]
        torch.testing.assert_close(trainer.theta, theta, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(trainer.multipliers, lam, rtol=1e-10, atol=1e-12)


def test_causal_steps() -> None:
    """w_k = exp(-epsilon sum_{j<k} L_j) over four chunks of time; conditions keep the weight 1."""
    trainer = waves("causal", balancing__epsilon=0.7)
    weights = torch.tensor(list(WEIGHTS.values()), dtype=torch.float64)
    theta = trainer.theta
    for _ in range(3):
        trainer.step()
        leaf = theta.clone().requires_grad_()
        rows, terms, points = literal_rows(trainer, leaf)
        assert trainer.draws is not None
        time = trainer.objective.places.physical(trainer.draws)[:9, 1]
        factor, before = torch.ones(22, dtype=torch.float64), 0.0
        for k in range(4):
            here = torch.cat([(time >= 2 + k / 2) & (time < 2.5 + k / 2), torch.zeros(13, dtype=torch.bool)])
            factor[here] = torch.exp(torch.tensor(-0.7 * before, dtype=torch.float64))
            before += float((rows.detach()[here] ** 2).mean()) if here.any() else 0.0
        assert factor.min() < 0.99
        loss = (weights[terms] / points * factor * rows**2).sum()
        theta = theta - RATE * torch.autograd.grad(loss, leaf)[0]
        torch.testing.assert_close(trainer.theta, theta, rtol=1e-10, atol=1e-12)
    assert trainer.multipliers.tolist() == [0.7]


def test_epsilon_grows_tenfold_while_all_causal_weights_are_near_one() -> None:
    trainer = waves("causal", balancing__epsilon=1e-6)
    seen = []
    for _ in range(10):
        trainer.step()
        seen.append(float(trainer.multipliers))
    steps = [b / a for a, b in zip(seen[:-1], seen[1:], strict=True)]
    assert seen[0] == pytest.approx(1e-5), "the first step's weights were all above 0.99"
    assert all(r == pytest.approx(10) or r == 1 for r in steps) and steps[-1] == 1
    assert seen[-1] == pytest.approx(1), "there the weights are no longer near one"


@pytest.mark.parametrize("points", ["self-adaptive", "residual-attention"])
def test_an_energy_s_points_are_not_weighted(points: str) -> None:
    """Where the loss is a mean, another weight for each point would be another integral."""
    e = experiment({"residuals": residual("u_x**2/2 - u", measure="mean"), "conditions": []},
                   balancing__points=points, sampling__every=0, optimizer={"kind": "gd", "learning_rate": 0.01})
    mine, plain = build_trainer(e), build_trainer(e.with_changes({"balancing.points": "equal"}))
    for _ in range(3):
        assert mine.step() == pytest.approx(plain.step(), rel=1e-12)
    torch.testing.assert_close(mine.theta, plain.theta, rtol=1e-12, atol=0)


def test_slope_recovery_is_part_of_a_pointwise_loss() -> None:
    trainer = waves("self-adaptive", network__slopes="layer", network__recovery="paper")
    trainer.set_weight("recovery", 7.0)
    before = trainer.theta
    losses = trainer.step()
    network = trainer.objective.network
    assert losses[-1] == pytest.approx(float(network.recovery(before)))
    leaf = before.clone().requires_grad_()
    weights = torch.tensor(list(WEIGHTS.values()), dtype=torch.float64)
    rows, terms, points = literal_rows(trainer, leaf)
    loss = (weights[terms] / points * rows**2).sum() + 7 * network.recovery(leaf)
    torch.testing.assert_close(trainer.theta, before - RATE * torch.autograd.grad(loss, leaf)[0])


def test_causal_weights_need_time_as_a_side_of_a_box() -> None:
    causal = PointWeights("causal")
    for problem in ({}, {"shape": "ball", "domain": {"x": [0.0, 1.0], "t": [0.0, 1.0]}, "residuals": residual("u_t")}):
        with pytest.raises(ValueError, match="an input named t, with a beginning and an end"):
            EagerEngine(build_objective(experiment(problem)), build_trainer(experiment()).optimizer, causal)


# ---------------------------------------------------------------------- tracing

def objectives(tmp_path: Path) -> dict[str, dict[str, Any]]:
    file = grid_file(tmp_path / "d.npz")
    observed = [{"name": "o", "equation": "u = u_data*a", "file": file}]
    return {
        "unknowns and observations": {"problem": {"unknowns": {"a": 1.0}, "observations": observed}},
        "averages": {"problem": {"averages": {"a": "u_x**2", "b": "u**2"}, "conditions": [],
                                 "residuals": residual("a/b", measure="mean")}},
        "hard and periodic": {"problem": {"periodic": ["x"], "hard": {"u": "sin(pi*y)*u + y**3"}, "conditions": []}},
        "ball": {"problem": {"shape": "ball"}},
        "sub-domains": {
            "problem": {"unknowns": {"a": 1.0}, "observations": observed}, "network__slopes": "neuron",
            "network__recovery": "paper", "decomposition": {
                "splits": {"x": [0.4]}, "flux": {"x": "u_x"}, "local": ["a"], "interface_points": 3}},
    }


def traced(engine: EagerEngine) -> Any:
    return make_fx(lambda *tensors: engine.step(*tensors))(*engine.examples()[0])


def arguments(engine: EagerEngine, o: Objective) -> list[Tensor]:
    """Other numbers than those that the graph was made with."""
    generator = torch.Generator().manual_seed(3)
    theta = shaken(o)
    step = list(engine.examples()[0])
    step[0], step[1], step[2] = theta, 0.1 * theta, 0.1 * theta**2
    step[3] = 1 + torch.rand(len(o.terms), generator=generator, dtype=torch.float64)
    step[4] = torch.tensor([900.0, 1e-4, 0.99], dtype=torch.float64)
    step[5] = torch.rand(step[5].shape, generator=generator, dtype=torch.float64)
    step[6] = step[6] + 0.1
    return step


def same_step(engine: EagerEngine, o: Objective) -> None:
    graph, step = traced(engine), arguments(engine, o)
    kept = [tensor.clone() for tensor in step]
    mine, theirs = engine.step(*step), graph(*step)
    assert len(mine) == len(theirs) == 5
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-12, atol=1e-14)
    assert all(torch.equal(a, b) for a, b in zip(kept, step, strict=True)), "nothing is changed in place"
    inputs = {tensor.data_ptr() for tensor in step}
    assert not any(tensor.data_ptr() in inputs for tensor in mine), "a compiled step may not return its arguments"
    theta, _, _, weights, _, draws, lam = step
    graph = make_fx(lambda *tensors: engine.gradient(*tensors))(*engine.examples()[1])
    mine, theirs = engine.gradient(theta, draws, weights, lam), graph(theta, draws, weights, lam)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-12, atol=1e-14)
    assert not any(tensor.data_ptr() in inputs for tensor in mine), "nor may a compiled gradient"


@pytest.mark.parametrize("kind", ["unknowns and observations", "averages", "hard and periodic", "ball", "sub-domains"])
def test_a_traced_step_is_the_eager_one(kind: str, tmp_path: Path) -> None:
    trainer = build_trainer(experiment(**objectives(tmp_path)[kind], network__hidden=[4]))
    assert isinstance(trainer.engine, EagerEngine)
    same_step(trainer.engine, trainer.objective)
    if kind == "sub-domains":
        return  # whose gradients are never compiled
    _, _, (theta, draws) = trainer.engine.examples()
    graph = make_fx(lambda *tensors: trainer.engine.term_gradients(*tensors))(theta, draws)
    theta, draws = shaken(trainer.objective), torch.rand(draws.shape, dtype=torch.float64)
    for a, b in zip(trainer.engine.term_gradients(theta, draws), graph(theta, draws), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("points", "optimizer"), [("self-adaptive", "gd"), ("residual-attention", "adam"),
                                                   ("causal", "gd")])
def test_a_traced_pointwise_step_is_the_eager_one(points: str, optimizer: str) -> None:
    trainer = waves(points, optimizer__kind=optimizer, network={"hidden": [4], "slopes": "layer", "recovery": "code"})
    assert isinstance(trainer.engine, EagerEngine)
    same_step(trainer.engine, trainer.objective)


def test_a_traced_step_can_be_exported() -> None:
    """Which is how it is compiled ahead of time."""
    trainer = waves("causal", network__hidden=[4])
    assert isinstance(trainer.engine, EagerEngine)
    program = torch.export.export(traced(trainer.engine), trainer.engine.examples()[0])
    step = arguments(trainer.engine, trainer.objective)
    for a, b in zip(trainer.engine.step(*step), program.module()(*step), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-12, atol=1e-14)
