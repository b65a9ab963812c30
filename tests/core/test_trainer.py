"""The trainer: against torch's own Adam, bit-for-bit resume, going back on NaN, the compiled engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from core import tiles
from core.choices import PointWeighting
from core.compiled import MANIFEST, compile_packages, compiler, load_packages
from core.crew import with_threads
from core.engine import EagerEngine, StepResult
from core.optimizers import Adam, Decay
from core.pointwise import PointWeights
from core.solvers.lbfgs import LBFGS
from core.solvers.levenberg import LevenbergMarquardt
from core.solvers.solver import Solver
from core.trainer import NotFinite, State, Trainer
from studio.build import build_trainer
from studio.compiling import Compilation, CompileError
from studio.experiment import Experiment
from studio.gallery import load


def small(name: str = "helmholtz-m2", **changes: object) -> Experiment:
    e = load(name)
    residuals = [{**r.model_dump(), "points": 16} for r in e.problem.residuals]
    conditions = [{**c.model_dump(), "points": 8} for c in e.problem.conditions]
    return e.with_changes({"problem.residuals": residuals, "problem.conditions": conditions,
                           "network.hidden": [8, 8], **{k.replace("__", "."): v for k, v in changes.items()}})


def same(a: Trainer, b: Trainer) -> bool:
    x, y = a.state(), b.state()
    return x.numbers == y.numbers and all(torch.equal(x.tensors[k], y.tensors[k]) for k in x.tensors)


def test_adam_agrees_with_torch_s() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(20, generator=generator, dtype=torch.float64)
    target = torch.randn(20, generator=generator, dtype=torch.float64)
    leaf = start.clone().requires_grad_()
    theirs = torch.optim.Adam([leaf], lr=1e-2, betas=(0.9, 0.999), eps=1e-8)
    schedule = torch.optim.lr_scheduler.LambdaLR(theirs, lambda k: 0.9 ** (k / 50))
    mine, decay = Adam(), Decay(0.9, 50)
    theta, m, v = start.clone(), torch.zeros(20).double(), torch.zeros(20).double()
    for k in range(200):
        theirs.zero_grad()
        ((leaf - target) ** 4).sum().backward()
        theirs.step()
        schedule.step()
        gradient = 4 * (theta - target) ** 3
        hyper = torch.tensor(mine.hyper(1e-2 * decay.factor(k), k), dtype=torch.float64)
        theta, m, v = mine.update(theta, m, v, gradient, hyper)
    torch.testing.assert_close(theta, leaf.detach(), rtol=1e-10, atol=1e-12)


def test_per_term_gradients_agree_with_separate_backward_passes() -> None:
    trainer = build_trainer(small(training__precision="float64"))
    trainer.step()
    losses, rows = trainer.term_gradients()
    assert trainer.draws is not None
    for k in range(2):
        leaf = trainer.theta.clone().requires_grad_()
        loss = trainer.objective.losses(leaf, trainer.draws)[k]
        torch.testing.assert_close(loss.detach(), losses[k])
        torch.testing.assert_close(torch.autograd.grad(loss, leaf)[0], rows[k], rtol=1e-9, atol=1e-12)


def test_losses_are_the_paper_s() -> None:
    """Mean square of the residual, sum over the four edges of their mean squares; by hand with autograd."""
    trainer = build_trainer(small(training__precision="float64"))
    o = trainer.objective
    draws = torch.rand(o.points, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    x = o.places.physical(draws)
    assert [len({float(v) for v in x[16 + 8 * k: 24 + 8 * k, k // 2]}) for k in range(4)] == [1, 1, 1, 1]

    def u(points: torch.Tensor) -> torch.Tensor:
        h = (points - 0) / (2 / 12**0.5)
        w = [trainer.theta[p.slice].view(p.shape) for p in o.network.parameters]
        return (torch.tanh(torch.tanh(h @ w[0] + w[1]) @ w[2] + w[3]) @ w[4] + w[5])[:, 0]

    xi = x[:16].clone().requires_grad_()
    g = torch.autograd.grad(u(xi).sum(), xi, create_graph=True)[0]
    lap = sum(torch.autograd.grad(g[:, i].sum(), xi, create_graph=True)[0][:, i] for i in range(2))
    exact = torch.sin(torch.pi * xi[:, 0]) * torch.sin(4 * torch.pi * xi[:, 1])
    residual = ((lap + u(xi) - (1 - 17 * torch.pi**2) * exact) ** 2).mean()
    edge = torch.sin(torch.pi * x[16:, 0]) * torch.sin(4 * torch.pi * x[16:, 1])
    boundary = ((u(x[16:]) - edge) ** 2).view(4, 8).mean(1).sum()
    losses = o.losses(trainer.theta, draws)
    torch.testing.assert_close(torch.stack(losses), torch.stack([residual, boundary]).detach(), rtol=1e-10, atol=0)


@pytest.mark.parametrize("stop", [1, 7, 20, 33])
@pytest.mark.parametrize("name", ["helmholtz-m2", "helmholtz-m3"])
def test_stopping_and_resuming_is_never_having_stopped(name: str, stop: int) -> None:
    through = build_trainer(small(name))
    for _ in range(40):
        through.step()
    first = build_trainer(small(name))
    for _ in range(stop):
        first.step()
    first.term_gradients()  # looking must not change the numbers
    second = build_trainer(small(name, training__seed=99))
    second.load(first.state())
    for _ in range(40 - stop):
        second.step()
    assert same(through, second)


def test_the_same_seed_gives_the_same_numbers_whatever_else_draws() -> None:
    a, b = build_trainer(small()), build_trainer(small())
    for _ in range(10):
        a.step()
        b.step()
        torch.rand(3)  # somebody else uses torch's global generator
        b.term_gradients()
    assert same(a, b)
    c = build_trainer(small(training__seed=1))
    c.step()
    assert not torch.equal(a.theta, c.theta)


def test_looking_before_the_first_step_does_not_change_the_run() -> None:
    a, b = build_trainer(small()), build_trainer(small())
    b.term_gradients()
    assert a.step() == b.step()


def test_a_loss_that_turns_nan_keeps_the_last_good_state() -> None:
    trainer = build_trainer(small(optimizer__learning_rate=1e-3))
    for _ in range(5):
        trainer.step()
    good = trainer.theta
    trainer.theta = torch.full_like(good, torch.nan)
    with pytest.raises(NotFinite, match="'residual' became nan at step 5") as caught:
        trainer.step()
    assert caught.value.term == "residual"
    assert torch.isfinite(trainer.theta).all()
    trainer.set_learning_rate(1e-4)
    trainer.step()


def test_a_snapshot_is_one_to_go_on_from() -> None:
    """Losses of a step can be finite and its gradient not; only the next step's losses show it."""
    trainer = build_trainer(small())
    for _ in range(3):
        trainer.step()
    trainer.theta = torch.full_like(trainer.theta, torch.nan)
    state = trainer.state()
    assert all(torch.isfinite(state.tensors[name]).all() for name in ("theta", "m", "v", "weights"))
    again = build_trainer(small())
    again.load(state)
    again.step()


def test_a_state_with_something_missing_is_refused() -> None:
    trainer = build_trainer(small())
    state = trainer.state()
    for name in ("targets", "generator"):
        tensors = {key: tensor for key, tensor in state.tensors.items() if key != name}
        with pytest.raises(ValueError, match=f"not complete: it has no {name}"):
            trainer.load(State(tensors, state.numbers))


def test_losses_too_large_to_add_up_are_no_nan() -> None:
    """Each is finite, their plain sum is not."""
    trainer = build_trainer(small(training__precision="float64"))

    class Huge:
        name = "eager"

        def step(self, theta: torch.Tensor, m: torch.Tensor, v: torch.Tensor, *_: object) -> StepResult:
            return theta, m, v, torch.full((2,), 1.5e308, dtype=torch.float64), trainer.multipliers

        term_gradients = trainer.engine.term_gradients

    trainer.engine = Huge()
    assert trainer.step() == [1.5e308, 1.5e308]


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_learning_rate_that_decays_to_nothing_ends_in_no_step(precision: str) -> None:
    """0.1^(k / 1) is 0 in float32 after 46 steps, in float64 after 324; parameters without gradient stay too."""
    trainer = build_trainer(small("helmholtz-m1", training__precision=precision, optimizer__decay_rate=0.1,
                                  optimizer__decay_steps=1))
    for _ in range(40):
        trainer.step()
    at_rest = trainer.theta
    trainer.v = trainer.v.clone()
    trainer.v[:5], trainer.m = 0, trainer.m.clone()
    trainer.m[:5] = 0
    for trainer.iteration in (60, 400):
        trainer.step()
    torch.testing.assert_close(trainer.theta, at_rest, rtol=0, atol=1e-20)


def test_a_term_that_does_not_depend_on_the_network_has_no_gradient() -> None:
    trainer = build_trainer(small(problem__conditions=[
        {"name": "positive", "equation": "heaviside(u) = 1", "on": "x = -1", "term": "sign", "points": 8},
        {"name": "edges", "equation": "u", "points": 8}]))
    trainer.step()
    _, gradients = trainer.term_gradients()
    norms = dict(zip(trainer.terms, gradients.norm(dim=1).tolist(), strict=True))
    assert norms["sign"] == 0
    assert norms["residual"] > 0 and norms["boundary"] > 0


def test_live_changes_are_checked() -> None:
    trainer = build_trainer(small("helmholtz-m1"))
    trainer.set_weight("boundary", 50)
    assert trainer.weights.tolist() == [1, 50]
    for bad in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="zero or positive"):
            trainer.set_weight("boundary", bad)
    with pytest.raises(ValueError, match="no loss term 'edge'; the terms are residual, boundary"):
        trainer.set_weight("edge", 1)
    with pytest.raises(ValueError, match="positive"):
        trainer.set_learning_rate(0)


@pytest.mark.parametrize(("points", "direction", "said"), [
    ("causal", "sum", "all points are equal; points weighted by 'causal' need adam"),
    ("self-adaptive", "sum", "points weighted by 'self-adaptive' need adam"),
    ("residual-attention", "sum", "points weighted by 'residual-attention' need adam"),
    ("equal", "config", "the direction 'config' needs adam"), ("equal", "sum", "")])
def test_a_solver_is_not_given_what_it_would_ignore(points: PointWeighting, direction: str, said: str) -> None:
    plain = build_trainer(small("klein-gordon-m1" if points == "causal" else "helmholtz-m2", sampling__every=0))

    def made(solver: Solver | None) -> Trainer:
        return Trainer(plain.objective, optimizer=Adam(), decay=Decay(), balancing=plain.balancing, learning_rate=1e-3,
                       weights={}, seed=0, sampling=plain.sampler.spec, direction=direction,
                       points=PointWeights(points), solver=solver)

    for solver in (LevenbergMarquardt(), LBFGS()):
        if said:
            with pytest.raises(ValueError, match=said):
                made(solver)
        else:
            assert made(solver).solver is solver
    assert made(None).point_weights.kind == points, "a first-order optimizer bears it"


def test_a_state_of_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match="another experiment"):
        build_trainer(small()).load(build_trainer(small(network__hidden=[9, 9])).state())


@pytest.mark.parametrize("name", ["helmholtz-m2", "helmholtz-m4"])
def test_the_compiled_step_agrees_to_rounding(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if compiler() is None:  # then the person is told so, and that is what can be tested here
        with pytest.raises(CompileError, match=r"no C\+\+ compiler was found"):
            Compilation(small(name))
        return
    eager = build_trainer(small(name, training__precision="float64"))
    compiled = build_trainer(small(name, training__precision="float64"))
    assert isinstance(compiled.engine, EagerEngine)
    if name == "helmholtz-m4":
        monkeypatch.setattr(tiles, "NEAR", 8 * 8 * 4 * 8)  # tiles of eight points
    compile_packages(compiled.engine, tmp_path)
    tiled = json.loads((tmp_path / MANIFEST).read_text())["tiles"]
    assert tiled == ([{"start": 0, "rows": 8, "count": 2}] if name == "helmholtz-m4" else [])
    compiled.engine = load_packages(tmp_path, compiled.engine)
    for _ in range(30):
        mine, theirs = eager.step(), compiled.step()
        assert theirs == pytest.approx(mine, rel=1e-9)
    torch.testing.assert_close(compiled.theta, eager.theta, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(compiled.weights, eager.weights, rtol=1e-9, atol=0)
    again = build_trainer(small(name, training__precision="float64"))
    again.engine = compiled.engine
    for _ in range(30):
        again.step()
    assert torch.equal(again.theta, compiled.theta), "the compiled engine gives the same bits every time"
    if name == "helmholtz-m4":
        shared = build_trainer(small(name, training__precision="float64"))
        assert isinstance(shared.engine, EagerEngine)
        with with_threads(2):
            shared.engine = load_packages(tmp_path, shared.engine)
        for _ in range(30):
            shared.step()
        assert torch.equal(shared.theta, compiled.theta), "whoever computes the tiles"


def test_causal_weights_are_compiled_for_two_threads(tmp_path: Path) -> None:
    """Sums by index are refused there, and would be made in whichever order the threads come."""
    if compiler() is None:
        pytest.skip("there is no C++ compiler")
    changes = {"training__precision": "float64", "network__kind": "mlp", "balancing__points": "causal",
               "compare": []}
    eager, compiled = build_trainer(small("burgers", **changes)), build_trainer(small("burgers", **changes))
    assert isinstance(compiled.engine, EagerEngine)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        compile_packages(compiled.engine, tmp_path)
        compiled.engine = load_packages(tmp_path, compiled.engine)
        for _ in range(10):
            mine, theirs = eager.step(), compiled.step()
            assert theirs == pytest.approx(mine, rel=1e-9)
    finally:
        torch.set_num_threads(before)
