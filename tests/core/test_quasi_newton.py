"""L-BFGS and the self-scaled methods: against scipy, dense formulas, and on small networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import BFGS as ScipyUpdate
from scipy.optimize import minimize, rosen, rosen_der
from torch import Tensor

from core.balancing import Balancing
from core.diagnostics.stopping import Stopped
from core.optimizers import Adam, Decay
from core.sampling import Sampling
from core.solvers.lbfgs import LBFGS
from core.solvers.quasi_newton import Pair
from core.solvers.self_scaled import LARGEST, PENDING, SelfScaled, inverse_hessian, scaling
from core.solvers.solver import Advance, Memory, Solver, Watch
from core.trainer import Trainer
from studio.build import build_objective
from tests.core.samples import experiment, same

SOLVERS = [LBFGS(), LBFGS(4), SelfScaled(), SelfScaled("ssbfgs")]
NAMES = ["lbfgs", "lbfgs of 4", "ssbroyden", "ssbfgs"]
each_solver = pytest.mark.parametrize("solver", SOLVERS, ids=NAMES)


@dataclass
class Function:
    """A function in the place of a loss."""

    f: Callable[[Tensor], Tensor]
    weights: Tensor = field(default_factory=lambda: torch.ones(1).double())
    draws: Tensor = field(default_factory=lambda: torch.zeros(1, 1).double())
    lam: Tensor = field(default_factory=lambda: torch.zeros(1).double())
    count: int = 0

    def gradient(self, theta: Tensor) -> tuple[Tensor, float, Tensor]:
        self.count += 1
        leaf = theta.detach().requires_grad_()
        with torch.enable_grad():
            value = self.f(leaf)
            gradient = torch.autograd.grad(value, leaf)[0]
        total = float(value.detach())
        return value.detach().reshape(1), total, gradient


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def run(solver: Solver, loss: Function, theta: Tensor, steps: int, memory: Memory | None = None) -> Advance:
    """Steps until it is done."""
    memory = solver.start(theta) if memory is None else memory
    for _ in range(steps):
        made = solver.step(loss, theta, memory, 1.0, Watch())  # type: ignore[arg-type]
        theta, memory = made.theta, made.memory
        if made.done:
            break
    return made


# ---------------------------------------------------------------------- minima

@each_solver
@pytest.mark.parametrize("size", [2, 30])
def test_rosenbrock_s_minimum_is_scipy_s(solver: Solver, size: int) -> None:
    start = torch.tensor([-1.2, 1.0]).double().repeat(size // 2)
    loss = Function(rosenbrock)
    made = run(solver, loss, start, 1000)
    theirs = minimize(rosen, start.numpy(), jac=rosen_der, method="BFGS", options={"gtol": 1e-10})
    assert float(rosenbrock(made.theta)) <= 1e-20
    if theirs.fun < 1e-10:  # else scipy is in the other minimum, which there is from four variables on
        np.testing.assert_allclose(made.theta.numpy(), theirs.x, atol=1e-6)
    assert loss.count < 4 * theirs.nfev
    assert made.done


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([LBFGS(), SelfScaled(), SelfScaled("ssbfgs")]), st.integers(1, 12), st.integers(0, 10_000),
       st.floats(0, 4))
def test_a_quadratic_s_minimum_is_the_linear_solve(solver: Solver, size: int, seed: int, spread: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(size, size, generator=generator).double())[0]
    a = q @ torch.diag(10 ** torch.linspace(0, spread, size).double()) @ q.T
    b = torch.randn(size, generator=generator).double()
    made = run(solver, Function(lambda x: 0.5 * x @ a @ x - b @ x), torch.zeros(size).double(), 1000)
    exact = torch.linalg.solve(a, b)
    assert float(torch.linalg.vector_norm(a @ made.theta - b)) <= 1e-6 * float(torch.linalg.vector_norm(b))
    torch.testing.assert_close(made.theta, exact, rtol=1e-4, atol=1e-5)


@each_solver
def test_the_loss_never_rises_far_from_the_limit(solver: Solver) -> None:
    theta, loss = torch.tensor([-1.2, 1.0, -1.2, 1.0]).double(), Function(rosenbrock)
    memory, before = solver.start(theta), float("inf")
    for _ in range(25):
        made = solver.step(loss, theta, memory, 1.0, Watch())  # type: ignore[arg-type]
        assert float(made.losses) == float(rosenbrock(theta)), "the losses are those before the step"
        assert float(made.losses) < before
        gradient = Function(rosenbrock).gradient(theta)[2]
        assert made.readings["gradient norm"] == pytest.approx(float(gradient.norm()))
        before, theta, memory = float(made.losses), made.theta, made.memory
        assert made.readings["step length"] > 0 and made.readings["evaluations"] >= 1


# ---------------------------------------------------------------------- the inverse Hessian

def pairs_of(count: int, size: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Pairs of a quadratic, so all have positive curvature."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(size, size, generator=generator).double()
    a = root @ root.T + torch.eye(size)
    steps = [torch.randn(size, generator=generator).double() for _ in range(count)]
    return [(s, a @ s) for s in steps]


@pytest.mark.parametrize("count", [1, 3, 9])
def test_two_loops_are_scipy_s_dense_updates(count: int) -> None:
    solver, size = LBFGS(5), 8
    memory = dict(solver.start(torch.zeros(size).double()))
    pairs = pairs_of(count, size, 3)
    for s, y in pairs:
        memory |= solver.learnt(memory, Pair(s, y, s, s + y, -s, 1.0, float(y @ s)))
    kept = pairs[-5:]
    s, y = kept[-1]
    dense = ScipyUpdate(init_scale=float(s @ y / (y @ y)))
    dense.initialize(size, "inv_hess")
    for s, y in kept:
        dense.update(s.numpy(), y.numpy())
    g = torch.randn(size, generator=torch.Generator().manual_seed(8)).double()
    np.testing.assert_allclose(solver.direction(memory, g).numpy(), -dense.dot(g.numpy()), rtol=1e-9)


def dense_broyden(h: Tensor, s: Tensor, y: Tensor, tau: float, phi: float) -> Tensor:
    hy = h @ y
    q, r = y @ hy, y @ s
    v = q.sqrt() * (s / r - hy / q)
    return (h - torch.outer(hy, hy) / q + phi * torch.outer(v, v)) / tau + torch.outer(s, s) / r


@pytest.mark.parametrize("kind", ["ssbfgs", "ssbroyden"])
def test_the_update_is_the_formula(kind: str) -> None:
    """With B as the inverse of H, not from the step: s^T B s then comes from a solve."""
    size, generator = 7, torch.Generator().manual_seed(1)
    solver = SelfScaled(kind)  # type: ignore[arg-type]
    memory = dict(solver.start(torch.zeros(size).double()))
    root = torch.randn(size, size, generator=generator).double()
    a = root @ root.T + torch.eye(size)
    for k in range(2 * PENDING + 3):
        g = torch.randn(size, generator=generator).double()
        h, length = inverse_hessian(memory), 0.3 + 0.2 * (k % 12)
        direction = solver.direction(memory, g)
        torch.testing.assert_close(direction, -h @ g, rtol=1e-8, atol=1e-10)
        s = length * direction
        y = a @ s
        memory |= solver.learnt(memory, Pair(s, y, g, g + y, direction, length, float(y @ s)))
        b = float(s @ torch.linalg.solve(h, s) / (y @ s))
        tau, phi = scaling(kind, b, float(y @ h @ y / (y @ s)), size, first=k == 0)
        new = inverse_hessian(memory)
        torch.testing.assert_close(new, dense_broyden(h, s, y, tau, phi), rtol=1e-7, atol=1e-10)
        torch.testing.assert_close(new @ y, s, rtol=1e-7, atol=1e-9)  # the secant equation
        torch.testing.assert_close(solver.direction(memory, g + y), -new @ (g + y), rtol=1e-7, atol=1e-10)
        assert torch.linalg.eigvalsh(new)[0] > 0
        assert torch.equal(new, new.T)


def test_scaling_by_hand() -> None:
    """h = 2, b = 4: a = 7, c = sqrt(7/8), rho- = 2 (1 - c), theta- = (rho- - 1) / 7, theta = max(theta-, -3/4)."""
    c = (7 / 8) ** 0.5
    theta = (2 * (1 - c) - 1) / 7
    sigma = 1 + 7 * theta
    tau, phi = scaling("ssbroyden", 4.0, 2.0, 5, first=False)
    assert phi == pytest.approx((1 - theta) / sigma)
    assert tau == pytest.approx(min(0.25 * sigma ** (1 / (1 - 5)), sigma))
    assert scaling("ssbroyden", 4.0, 2.0, 5, first=True) == pytest.approx((2 / sigma, phi))
    # b = 1/2, h = 4: a = 1, rho- = min(1, 4 (1 - sqrt(1/2))) = 1, theta = min(1, 1) = 1: DFP, phi = 0
    tau, phi = scaling("ssbroyden", 0.5, 4.0, 5, first=False)
    assert (tau, phi) == (pytest.approx(min(2 ** -0.25, 1.0)), 0.0)
    assert scaling("ssbfgs", 4.0, 2.0, 5, first=False) == (0.25, 1.0)
    assert scaling("ssbfgs", 0.5, 4.0, 5, first=False) == (1.0, 1.0)
    assert scaling("ssbroyden", 0.5, 2.0, 1, first=False) == (1.0, 1.0), "one parameter: s and H y are parallel"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1, 33, 300])
def test_pairs_that_wait_are_put_in_symmetric_bit_for_bit(size: int, dtype: torch.dtype) -> None:
    """H as a run leaves it, with pairs that wait: put in they give the same products, and change nothing else."""
    generator = torch.Generator().manual_seed(4)
    root = torch.randn(size, size, generator=generator, dtype=dtype)
    a = root @ root.T / size + torch.eye(size, dtype=dtype)
    solver = SelfScaled()
    memory = dict(solver.start(torch.zeros(size, dtype=dtype)))
    g = torch.randn(size, generator=generator, dtype=dtype)
    for _ in range(7):
        direction = solver.direction(memory, g)
        s = 0.5 * direction
        y = a @ s
        memory |= solver.learnt(memory, Pair(s, y, g, g + y, direction, 0.5, float(y @ s)))
        g = g + y
    copy = {name: tensor.clone() for name, tensor in memory.items()}
    made = inverse_hessian(memory)
    assert torch.equal(made, made.T)
    assert all(torch.equal(memory[name], copy[name]) for name in copy)
    x = torch.randn(size, generator=generator, dtype=dtype)
    exact = made.double() @ x.double()
    rounding = 200 * torch.finfo(dtype).eps * float(exact.abs().max())
    torch.testing.assert_close(-solver.direction(memory, x).double(), exact, rtol=0, atol=rounding)


# ---------------------------------------------------------------------- what is trusted, and where it ends

@each_solver
def test_a_gradient_is_computed_once_while_the_function_stays(solver: Solver) -> None:
    loss, theta = Function(rosenbrock), torch.tensor([-1.2, 1.0, 0.5]).double()
    memory, counted = solver.start(theta), 0.0
    for k in range(6):
        made = solver.step(loss, theta, memory, 1.0, Watch())  # type: ignore[arg-type]
        theta, memory = made.theta, made.memory
        counted += made.readings["evaluations"]
        assert loss.count == counted
        assert k == 0 or made.readings["evaluations"] >= 1


@each_solver
@pytest.mark.parametrize("what", ["weights", "draws", "lam", "theta"])
def test_other_points_or_weights_never_mix_two_functions(solver: Solver, what: str) -> None:
    """After the change the pair is that of the new function: the last one learnt fulfils y = A s of it."""
    old, new = torch.diag(torch.tensor([1.0, 5, 9]).double()), torch.diag(torch.tensor([300.0, 1, 40]).double())
    made = run(solver, Function(lambda x: 0.5 * x @ old @ x), torch.tensor([1.0, 2, 3]).double(), 2)
    changed = Function(lambda x: 0.5 * x @ new @ x)
    theta = made.theta
    if what == "theta":
        theta = theta + 1
    else:
        setattr(changed, what, getattr(changed, what) + 1)
    after = run(solver, changed, theta, 1, made.memory)
    assert float(after.losses) == pytest.approx(float(0.5 * theta @ new @ theta))
    s = after.theta - theta
    assert int(after.memory["count"]) == 3, "what was learnt before is kept"
    if isinstance(solver, LBFGS):
        torch.testing.assert_close(after.memory["y"][-1], new @ s)
    else:
        torch.testing.assert_close(inverse_hessian(after.memory) @ (new @ s), s)


@each_solver
def test_memory_is_replaced_never_changed(solver: Solver) -> None:
    loss, theta = Function(rosenbrock), torch.tensor([-1.2, 1.0, 0.5]).double()
    memory = solver.start(theta)
    for _ in range(4):
        copy = {name: tensor.clone() for name, tensor in memory.items()}
        made = solver.step(loss, theta, memory, 1.0, Watch())  # type: ignore[arg-type]
        assert all(torch.equal(memory[name], copy[name]) for name in copy)
        assert made.memory.keys() == memory.keys()
        theta, memory = made.theta, made.memory


@each_solver
def test_a_bad_inverse_hessian_is_forgotten_with_a_note(solver: Solver) -> None:
    loss, theta = Function(rosenbrock), torch.tensor([-1.2, 1.0, 0.5]).double()
    made = run(solver, loss, theta, 5)
    spoilt = dict(made.memory)
    for name in ("factor", "c", "ahead", "y"):  # an inverse Hessian that is negative
        if name in spoilt:
            spoilt[name] = -spoilt[name]
    after = run(solver, loss, made.theta, 1, spoilt)
    assert "restarted from steepest descent, since the direction is not one of descent" in after.note
    assert not after.done
    assert float(rosenbrock(after.theta)) < float(rosenbrock(made.theta))
    assert int(after.memory["count"]) == 1


@each_solver
def test_why_it_is_done(solver: Solver) -> None:
    at_rest = run(solver, Function(lambda x: (x**2).sum()), torch.zeros(3).double(), 1)
    assert at_rest.done.startswith("The gradient is zero")
    spoilt = run(solver, Function(lambda x: (x / 0).sum()), torch.ones(3).double(), 1)
    assert "not finite" in spoilt.done
    assert torch.equal(spoilt.theta, torch.ones(3).double())
    # 1e9 hides all that is below 60 in float32, while the gradient sees it
    coarse = run(solver, Function(lambda x: 1e9 + (x**4).sum()), torch.ones(3), 200)
    assert "as far as float32 goes: float64 goes further" in coarse.done


class _Wrong(Function):
    """A gradient of the wrong sign: nothing is lower along it."""

    def gradient(self, theta: Tensor) -> tuple[Tensor, float, Tensor]:
        losses, value, gradient = super().gradient(theta)
        return losses, value, -gradient


@each_solver
def test_no_decrease_changes_nothing(solver: Solver) -> None:
    start = torch.tensor([1.0, 2, 3]).double()
    made = run(solver, _Wrong(lambda x: (x**2).sum()), start, 1)
    assert "found no loss below 14" in made.done
    assert torch.equal(made.theta, start)


def test_scaling_far_from_parallel() -> None:
    """a = h b - 1 so large that c = sqrt(a / (1 + a)) rounds to 1."""
    tau, phi = scaling("ssbroyden", 1.0, 1e16, 100, first=False)
    assert 0 < tau < math.inf and math.isfinite(phi)


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="at least one pair, 0 is too few"):
        LBFGS(0)
    with pytest.raises(ValueError, match="too many, at most"):
        SelfScaled().start(torch.zeros(LARGEST + 1))


# ---------------------------------------------------------------------- a small network

def trainer(solver: Solver | None, precision: str = "float64", every: int = 0, seed: int = 0,
            width: int = 8) -> Trainer:
    e = experiment(network__hidden=[width, width], training__precision=precision)
    e = e.with_changes({"problem.residuals": [{**e.problem.residuals[0].model_dump(), "points": 60}]})
    return Trainer(build_objective(e), optimizer=Adam(), decay=Decay(1.0, 1), balancing=Balancing(),
                   learning_rate=1e-3, weights={}, seed=seed, sampling=Sampling(every=every), solver=solver)


@each_solver
def test_far_below_adam_in_as_many_steps(solver: Solver) -> None:
    adam, mine = trainer(None), trainer(solver)
    for _ in range(300):
        theirs, own = adam.step(), mine.step()
    assert not mine.done
    assert sum(own) < 1e-2 * sum(theirs)


@each_solver
@pytest.mark.parametrize("every", [0, 1, 3])
def test_resumed_in_the_middle_it_is_the_same_bit_for_bit(solver: Solver, every: int) -> None:
    through, first = trainer(solver, every=every), trainer(solver, every=every)
    for _ in range(14):
        through.step()
    for _ in range(6):
        first.step()
    second = trainer(solver, every=every, seed=9)
    second.load(first.state())
    for _ in range(8):
        second.step()
    assert same(through, second)
    assert through.solver_readings == second.solver_readings


@each_solver
def test_in_float32_it_says_that_float64_goes_further(solver: Solver) -> None:
    t = trainer(solver, "float32", width=3)
    for _ in range(3000):
        t.step()
        if t.done:
            break
    assert "float64 goes further" in t.done
    now = t.theta
    t.step()
    assert torch.isfinite(t.theta).all() and float((t.theta - now).abs().max()) < 1e-2


@each_solver
def test_an_abandoned_step_leaves_the_trainer_as_it_was(solver: Solver) -> None:
    t, other = trainer(solver, every=1), trainer(solver, every=1)
    for _ in range(3):
        t.step()
        other.step()
    asked: list[int] = []
    told: list[float] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 1
    t.watch = Watch(stop, lambda share, what: told.append(share))
    with pytest.raises(Stopped):
        t.step()
    assert len(told) == 1 and 0 < told[0] <= 1
    assert same(t, other)
    t.watch = Watch()
    assert t.step() == other.step()
    assert same(t, other)
