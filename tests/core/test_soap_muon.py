"""SOAP and Muon against torch's own, an independent implementation and closed forms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.solvers.matrices import Matrix, hidden_matrices_of, join, matrices_of, packing
from core.solvers.muon import Muon, orthogonal
from core.solvers.soap import Soap
from core.solvers.solver import Memory, Watch
from core.trainer import NotFinite, Trainer
from studio.build import build_objective, build_trainer

from .samples import experiment, residual, same

F64 = torch.float64
# two of one shape, one tall, one that is a column, and numbers in between that are in no matrix
MATRICES = (Matrix(1, 3, 4), Matrix(15, 5, 2), Matrix(26, 3, 4), Matrix(38, 6, 1))
SIZE = 47
FREE = [0, 13, 14, 25, 44, 45, 46]


class Fixed:
    """A loss whose gradients are a given sequence, whatever the parameters are."""

    def __init__(self, gradients: Sequence[Tensor]) -> None:
        self.gradients = iter(gradients)

    def gradient(self, theta: Tensor) -> tuple[Tensor, float, Tensor]:
        return torch.ones(2, dtype=theta.dtype), 2.0, next(self.gradients)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = F64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64).to(dtype)


def path(solver: Soap | Muon, theta: Tensor, gradients: Sequence[Tensor], rate: float = 0.01) -> list[Tensor]:
    """The parameters after each step. On the way: nothing is changed in place, and the memory keeps its shapes."""
    loss: Any = Fixed(gradients)
    memory, out = solver.start(theta), []
    shapes = {name: (t.shape, t.dtype) for name, t in memory.items()}
    for _ in gradients:
        kept = {name: t.clone() for name, t in memory.items()}
        made = solver.step(loss, theta, memory, rate, Watch())
        assert all(torch.equal(memory[name], kept[name]) for name in kept), "a memory is never changed in place"
        theta, memory = made.theta, made.memory
        assert {name: (t.shape, t.dtype) for name, t in memory.items()} == shapes
        out.append(theta)
    return out


def cut(theta: Tensor, matrix: Matrix) -> Tensor:
    return theta[matrix.offset: matrix.offset + matrix.rows * matrix.columns].view(matrix.rows, matrix.columns)


# ---------------------------------------------------------------------- matrices

def test_packing_puts_matrices_of_one_shape_together() -> None:
    flat, plan = torch.arange(float(SIZE)), packing(MATRICES, SIZE)
    batches, rest = plan.split(plan.pack(flat))
    by_shape = {tuple(b.shape): b for b in batches}
    assert by_shape.keys() == {(2, 3, 4), (1, 5, 2), (1, 6, 1)}
    assert torch.equal(by_shape[2, 3, 4], torch.stack([cut(flat, MATRICES[0]), cut(flat, MATRICES[2])]))
    assert torch.equal(by_shape[1, 5, 2][0], cut(flat, MATRICES[1]))
    assert rest.tolist() == FREE
    assert torch.equal(plan.unpack(join(batches, rest)), flat)
    bare = packing((), 3)
    assert bare.split(bare.pack(torch.ones(3)))[0] == []


@pytest.mark.parametrize("bad", [Matrix(-1, 2, 2), Matrix(44, 2, 2), Matrix(12, 1, 2), Matrix(0, 0, 3)])
def test_matrices_that_cannot_be_are_refused(bad: Matrix) -> None:
    with pytest.raises(ValueError, match="within the 47 parameters and apart from each other"):
        packing((*MATRICES, bad), SIZE)


def test_the_matrices_of_an_objective() -> None:
    o = build_objective(experiment(
        {"unknowns": {"a": 1.0}, "residuals": residual("a*u_xx + u_yy = 1")},
        decomposition={"splits": {"x": [0.5]}, "flux": {"x": "u_x"}},
        network={"kind": "gated", "hidden": [5, 5], "slopes": "neuron"}))
    found = {p.name: p for p in o.parameters if p.offset in {m.offset for m in matrices_of(o)}}
    names = ["encoder U W", "encoder V W", "hidden 1 W", "hidden 2 W", "output W"]
    assert list(found) == [f"{k}: {name}" for k in (1, 2) for name in names]
    assert [tuple(m) for m in matrices_of(o)] == [(p.offset, *p.shape) for p in found.values()]
    hidden = [found["1: hidden 2 W"].offset, found["2: hidden 2 W"].offset]
    assert [m.offset for m in hidden_matrices_of(o)] == hidden
    assert hidden_matrices_of(build_objective(experiment(network__hidden=[9]))) == ()


# ---------------------------------------------------------------------- Muon

def torchs(theta: Tensor, gradients: Sequence[Tensor], *, muon: dict[str, Any], adamw: dict[str, Any]) -> Tensor:
    """torch.optim.Muon on the matrices, which torch has as [neurons, inputs], and torch.optim.AdamW on the rest."""
    weights = [cut(theta, m).T.clone() for m in MATRICES]
    free = theta[FREE].clone()
    first, second = torch.optim.Muon(weights, **muon), torch.optim.AdamW([free], **adamw)
    for gradient in gradients:
        free.grad = gradient[FREE].clone()
        for weight, m in zip(weights, MATRICES, strict=True):
            weight.grad = cut(gradient, m).T.clone()
        first.step()
        second.step()
    out = theta.clone()
    out[FREE] = free
    for weight, m in zip(weights, MATRICES, strict=True):
        cut(out, m).copy_(weight.T)
    return out


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize(("adjust", "nesterov", "decay", "steps"), [
    ("match_rms_adamw", True, 0.0, 5), ("original", True, 0.3, 5), ("original", False, 0.0, 3)])
def test_muon_is_torch_s(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, adjust: Any, nesterov: bool,
                         decay: float, steps: int) -> None:
    theta, gradients = normal(SIZE, dtype=dtype), [normal(SIZE, seed=k, dtype=dtype) for k in range(1, 16)]
    mine = path(Muon(MATRICES, momentum=0.9, nesterov=nesterov, steps=steps, weight_decay=decay, adjust=adjust),
                theta, gradients)[-1]
    settings: dict[str, Any] = {
        "muon": {"lr": 0.01, "momentum": 0.9, "nesterov": nesterov, "ns_steps": steps, "weight_decay": decay,
                 "adjust_lr_fn": adjust},
        "adamw": {"lr": 0.01, "weight_decay": decay}}
    rounded = torchs(theta, gradients, **settings)
    # torch's iterations are in bfloat16, with three digits: its steps differ by about a hundredth
    assert float((mine - rounded).norm()) < 0.02 * float((rounded - theta).norm())
    # without that rounding the same code must give the same numbers
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    exact = torchs(theta, gradients, **settings)
    assert float((exact - rounded).norm()) > 1e-5, "torch must have been kept from rounding"
    torch.testing.assert_close(mine, exact, **({"rtol": 1e-11, "atol": 1e-12} if dtype == F64 else
                                               {"rtol": 1e-5, "atol": 2e-6}))


@pytest.mark.parametrize("shape", [(2, 4, 9), (1, 9, 4), (3, 6, 6)])
def test_orthogonal_keeps_the_singular_vectors(shape: tuple[int, int, int]) -> None:
    batch = normal(*shape)
    u, s, vh = torch.linalg.svd(batch, full_matrices=False)
    inner = u.mT @ orthogonal(batch) @ vh.mT
    values = torch.diagonal(inner, dim1=1, dim2=2)
    torch.testing.assert_close(inner, torch.diag_embed(values), rtol=0, atol=1e-9)
    a, b, c = 3.4445, -4.7750, 2.0315  # each singular value by itself goes through the quintic
    expected = s / s.norm(dim=1, keepdim=True)
    for _ in range(5):
        expected = a * expected + b * expected**3 + c * expected**5
    torch.testing.assert_close(values, expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(orthogonal(torch.zeros(shape)), torch.zeros(shape))


# ---------------------------------------------------------------------- SOAP

SQUARE = (Matrix(2, 4, 4), Matrix(19, 3, 3), Matrix(30, 4, 4))


def after_one(solver: Soap, gradient: Tensor) -> Memory:
    loss: Any = Fixed([gradient])
    theta = torch.zeros_like(gradient)
    return solver.step(loss, theta, solver.start(theta), 0.01, Watch()).memory


def bases(memory: Memory, matrices: Sequence[Matrix], m: Matrix) -> tuple[Tensor, Tensor]:
    """(Q_L, Q_R) of one matrix."""
    shape = (m.rows, m.columns)
    batch = [n for n, (_, *own) in enumerate(packing(tuple(matrices), SIZE).shapes) if tuple(own) == shape][0]
    place = [k for k in matrices if (k.rows, k.columns) == shape].index(m)
    return memory[f"left basis {batch}"][place], memory[f"right basis {batch}"][place]


@pytest.mark.parametrize("matrices", [MATRICES, SQUARE])
def test_the_first_gradient_only_makes_the_bases(matrices: tuple[Matrix, ...]) -> None:
    solver, gradient = Soap(matrices), normal(SIZE, seed=5)
    assert torch.equal(path(solver, normal(SIZE), [gradient])[0], normal(SIZE)), "as in the released code"
    memory = after_one(solver, gradient)
    for m in matrices:
        g = cut(gradient, m)
        for q, square in zip(bases(memory, matrices, m), (g @ g.T, g.T @ g), strict=True):
            torch.testing.assert_close(q.T @ q, torch.eye(len(q), dtype=F64), rtol=0, atol=1e-12)
            values = torch.linalg.eigvalsh(square).flip(0)  # the largest first
            torch.testing.assert_close(q.T @ square @ q, torch.diag(values), rtol=0, atol=1e-11)


def plain_soap(w: np.ndarray, gradients: Sequence[np.ndarray], ql: np.ndarray, qr: np.ndarray, *, rate: float,
               beta1: float, beta2: float, decay: float, refresh: int) -> list[np.ndarray]:
    """Algorithm 3 for one matrix, its first moment kept unrotated, from the first bases on; numpy's qr."""
    left, right = (1 - beta2) * gradients[0] @ gradients[0].T, (1 - beta2) * gradients[0].T @ gradients[0]
    m, v, out = np.zeros_like(w), np.zeros_like(w), [w]
    for t, g in enumerate(gradients[1:], start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (ql.T @ g @ qr) ** 2
        step = (ql.T @ m @ qr) / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + 1e-8)
        w = (w - rate * ql @ step @ qr.T) * (1 - rate * decay)
        left, right = beta2 * left + (1 - beta2) * g @ g.T, beta2 * right + (1 - beta2) * g.T @ g
        if t % refresh == 0:
            rows = np.argsort(-np.diag(ql.T @ left @ ql), kind="stable")
            columns = np.argsort(-np.diag(qr.T @ right @ qr), kind="stable")
            ql, qr = np.linalg.qr(left @ ql[:, rows])[0], np.linalg.qr(right @ qr[:, columns])[0]
            v = v[rows][:, columns]
        out.append(w)
    return out


@pytest.mark.parametrize(("matrices", "refresh", "decay"), [
    (SQUARE, 1, 0.0), (SQUARE, 3, 0.5), (MATRICES, 8, 0.0)])  # from 8 gradients on L and R have full rank
def test_soap_is_its_algorithm(matrices: tuple[Matrix, ...], refresh: int, decay: float) -> None:
    theta, gradients = normal(SIZE), [normal(SIZE, seed=k) for k in range(1, 31)]
    solver = Soap(matrices, 0.9, 0.97, weight_decay=decay, refresh=refresh)
    mine, first = path(solver, theta, gradients), after_one(solver, gradients[0])
    for m in matrices:
        ql, qr = bases(first, matrices, m)
        theirs = plain_soap(cut(theta, m).numpy(), [cut(g, m).numpy() for g in gradients], ql.numpy(), qr.numpy(),
                            rate=0.01, beta1=0.9, beta2=0.97, decay=decay, refresh=refresh)
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(cut(a, m), torch.from_numpy(b), rtol=1e-9, atol=1e-10)


def adam_of_torch(theta: Tensor, gradients: Sequence[Tensor], epsilon: float = 1e-8) -> Tensor:
    leaf = theta.clone()
    optimizer = torch.optim.Adam([leaf], lr=0.01, betas=(0.9, 0.99), eps=epsilon)
    for leaf.grad in gradients:
        optimizer.step()
    return leaf


def test_soap_is_adam_where_the_bases_are_the_axes() -> None:
    """The first gradient is diagonal, and so are the first L and R: their eigenvectors are the axes in some order."""
    theta, gradients = normal(SIZE), [normal(SIZE, seed=k) for k in range(30)]
    for m in SQUARE:
        cut(gradients[0], m).copy_(torch.diag(torch.arange(1.0, m.rows + 1, dtype=F64)))
    mine = path(Soap(SQUARE, 0.9, 0.99, refresh=1000), theta, gradients)[-1]
    torch.testing.assert_close(mine, adam_of_torch(theta, gradients[1:]), rtol=1e-10, atol=1e-12)
    # what is in no matrix is Adam's with any bases
    free = [k for k in range(SIZE) if k not in packing(MATRICES, SIZE).order[: SIZE - len(FREE)]]
    assert free == FREE
    other = path(Soap(MATRICES, 0.9, 0.99), theta, gradients)[-1]
    torch.testing.assert_close(other[FREE], mine[FREE], rtol=1e-10, atol=1e-12)
    assert not torch.allclose(other, mine, rtol=1e-3)


@pytest.mark.parametrize("refresh", [1, 4, 1000])
def test_soap_is_adam_in_the_exact_eigenbasis(refresh: int) -> None:
    """Gradients U diag(s) V^T with the same U and V: Adam on s, in closed form, rotated back."""
    size, steps = 4, 40
    u, v = (torch.linalg.qr(normal(size, size, seed=k)).Q for k in (1, 2))
    order = torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=F64)  # apart, so that the order of the eigenvalues stays
    values = [order * (1 + 0.2 * normal(size, seed=k).clamp(-1, 1)) for k in range(steps)]
    gradients = [(u @ torch.diag(s) @ v.T).reshape(-1) for s in values]
    epsilon = 1e-4  # so large that what rounding leaves beside the diagonal stays small when it is divided by it
    mine = path(Soap((Matrix(0, size, size),), 0.9, 0.99, epsilon, refresh=refresh), torch.zeros(size**2, dtype=F64),
                gradients)[-1]
    inner = adam_of_torch(torch.zeros(size, dtype=F64), values[1:], epsilon)
    torch.testing.assert_close(mine.view(size, size), u @ torch.diag(inner) @ v.T, rtol=0, atol=1e-9)


def test_refreshed_bases_come_to_be_the_eigenvectors() -> None:
    """Gradients of one distribution: the running averages settle, and power iterations diagonalise them."""
    m, steps = Matrix(0, 4, 3), 600
    rows, columns = normal(4, 4, seed=1), normal(3, 3, seed=2)
    gradients = [(rows @ normal(4, 3, seed=k) @ columns).reshape(-1) for k in range(steps)]
    solver = Soap((m,), 0.9, 0.999, refresh=5)
    loss: Any = Fixed(gradients)
    theta = torch.zeros(12, dtype=F64)
    memory = solver.start(theta)
    for _ in gradients:
        memory = solver.step(loss, theta, memory, 0.01, Watch()).memory
    for side in ("left", "right"):
        inside = memory[f"{side} basis 0"].mT @ memory[f"{side} 0"] @ memory[f"{side} basis 0"]
        diagonal = torch.diagonal(inside[0])
        assert float((inside[0] - torch.diag(diagonal)).norm()) < 0.02 * float(diagonal.norm())
        torch.testing.assert_close(diagonal, torch.linalg.eigvalsh(memory[f"{side} 0"][0]).flip(0), rtol=0.02, atol=0)


# ---------------------------------------------------------------------- in training

def training(kind: str, **changes: Any) -> Trainer:
    e = experiment(**{"optimizer__learning_rate": 0.01, "optimizer__decay_rate": 1.0, "network__hidden": [8, 8],
                      **changes})
    trainer = build_trainer(e)
    o = trainer.objective
    solver = Soap(matrices_of(o), refresh=3) if kind == "soap" else Muon(hidden_matrices_of(o))
    trainer.solver, trainer.solver_memory = solver, solver.start(trainer.theta)
    return trainer


KINDS = ["soap", "muon"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_small_network_learns(kind: str, precision: str) -> None:
    trainer = training(kind, sampling__every=0, training__precision=precision)
    first = sum(trainer.step())
    for _ in range(150):
        last = sum(trainer.step())
    assert last < 0.1 * first


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_s_norm_is_read(kind: str) -> None:
    trainer = training(kind, sampling__every=0)
    trainer.step()
    weights, expected = trainer.weights, trainer.term_gradients()[1]
    trainer.step()
    assert trainer.solver_readings["gradient norm"] == pytest.approx(float((weights @ expected).norm()), rel=1e-12)


@pytest.mark.parametrize("stop", [1, 2, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_resuming_is_never_having_stopped(kind: str, stop: int) -> None:
    through, first, second = training(kind), training(kind), training(kind, training__seed=8)
    for _ in range(stop):
        first.step()
    second.load(first.state())
    for _ in range(stop):
        through.step()
    for _ in range(13):
        through.step()
        second.step()
    assert same(through, second)


@pytest.mark.parametrize("kind", KINDS)
def test_a_spoilt_step_is_undone(kind: str) -> None:
    trainer = training(kind, sampling__every=0)
    for _ in range(4):
        trainer.step()
    good, memory = trainer.theta, trainer.solver_memory
    trainer.step()
    trainer.theta = torch.full_like(good, math.nan)
    with pytest.raises(NotFinite):
        trainer.step()
    assert torch.equal(trainer.theta, good) and all(torch.equal(trainer.solver_memory[k], memory[k]) for k in memory)
    loss: Any = Fixed([torch.full_like(good, math.inf)])
    assert trainer.solver is not None
    made = trainer.solver.step(loss, good, memory, 0.01, Watch())
    assert bool(made.theta.isnan().all()) and made.memory is memory, "as Adam's would be; eigh would have raised"
