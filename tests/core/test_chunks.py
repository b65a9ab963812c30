"""Steps in portions: the same numbers as all points at once, and memory that does not grow with the points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from core.compiled import compile_packages
from core.engine import EagerEngine
from core.objective import PORTION
from core.optimizers import Adam
from core.passes import Pass
from core.pointwise import PointWeights
from studio.build import build_objective, build_trainer
from studio.compiling import CompileError
from studio.engines import Engines
from tests.core.samples import draws_of, experiment, grid_file, residual, shaken


def kinds(tmp_path: Path) -> dict[str, dict[str, Any]]:
    file = grid_file(tmp_path / "d.npz")
    observed = [{"name": "o", "equation": "u = u_data*a", "file": file}]
    many = residual("u_xx + u_yy = 1", 50)
    return {
        "plain": {"problem": {"residuals": many, "conditions": [{"name": "edges", "equation": "u", "points": 9}]}},
        "unknowns and observations": {"problem": {"unknowns": {"a": 1.0}, "observations": observed}},
        "energy": {"problem": {"residuals": residual("u_x**2/2 - u", 40, measure="mean")}},
        "hard and periodic": {"problem": {"periodic": ["x"], "hard": {"u": "sin(pi*y)*u + y**3"}, "conditions": [],
                                          "residuals": many}},
        "ball": {"problem": {"shape": "ball", "residuals": many}},
        "recovery": {"problem": {"residuals": many}, "network__slopes": "layer", "network__recovery": "paper"},
        "sub-domains": {
            "problem": {"unknowns": {"a": 1.0}, "observations": observed, "residuals": many},
            "network__slopes": "neuron", "network__recovery": "paper", "decomposition": {
                "splits": {"x": [0.4], "y": [0.5]}, "flux": {"x": "u_x", "y": "u_y"}, "local": ["a"],
                "interface_points": 9}},
    }


@pytest.mark.parametrize("kind", ["plain", "unknowns and observations", "energy", "hard and periodic", "ball",
                                  "recovery", "sub-domains"])
@pytest.mark.parametrize("chunk", [3, 16])
def test_portions_give_the_same_numbers(kind: str, chunk: int, tmp_path: Path) -> None:
    o = build_objective(experiment(**kinds(tmp_path)[kind]))
    whole, cut = EagerEngine(o, Adam()), EagerEngine(o, Adam(), chunk=chunk)
    assert not whole.portions and len(cut.portions) > 1
    theta, draws = shaken(o), draws_of(o)
    weights = 1 + torch.rand(len(o.terms), generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    lam = whole.multipliers()
    pairs = [*zip(whole.gradient(theta, draws, weights, lam), cut.gradient(theta, draws, weights, lam), strict=True),
             *zip(whole.term_gradients(theta, draws), cut.term_gradients(theta, draws), strict=True)]
    for a, b in pairs:
        assert float(a.abs().max()) >= 0 and a.shape == b.shape
        torch.testing.assert_close(b, a, rtol=1e-11, atol=1e-12 * float(a.abs().max()))


def test_every_point_is_in_one_portion_of_the_size_asked_for(tmp_path: Path) -> None:
    for settings in kinds(tmp_path).values():
        o = build_objective(experiment(**settings))
        for limit in (2, 7, 16, 1000):
            portions = o.portions(limit)
            rows = [row for portion in portions for p in portion for row in range(p.start, p.stop)]
            assert sorted(rows) == list(range(o.points))
            assert all(size(portion) <= limit for portion in portions)
            assert len(portions) <= 2 * -(-o.points // limit) + len(o.blocks), "small ones go together"


def size(portion: tuple[Pass, ...]) -> int:
    return sum(p.stop - p.start for p in portion)


def test_averages_stay_whole() -> None:
    o = build_objective(experiment({"averages": {"m": "u**2"}, "residuals": residual("u_x - m*u", 40)}))
    engine, whole = EagerEngine(o, Adam(), chunk=5), EagerEngine(o, Adam())
    assert max(map(size, engine.portions)) >= 40
    theta, draws = shaken(o), draws_of(o)
    for a, b in zip(whole.term_gradients(theta, draws), engine.term_gradients(theta, draws), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-11, atol=1e-13)


def test_points_with_weights_of_their_own_are_not_cut() -> None:
    o = build_objective(experiment())
    with pytest.raises(ValueError, match="weights of their own .self-adaptive. are evaluated all together"):
        EagerEngine(o, Adam(), PointWeights("self-adaptive"), chunk=5)


def test_training_in_portions_is_training() -> None:
    """Annealed weights, new points at every step: 15 steps of both ways."""
    changes: dict[str, Any] = {"balancing": {"rule": "annealing-siam", "interval": 2}, "optimizer__learning_rate": 1e-2}
    whole, cut = (build_trainer(experiment(**changes, training__chunk=chunk)) for chunk in (0, 4))
    assert isinstance(cut.engine, EagerEngine) and cut.engine.portions
    for _ in range(15):
        assert cut.step() == pytest.approx(whole.step(), rel=1e-9)
    torch.testing.assert_close(cut.theta, whole.theta, rtol=1e-8, atol=1e-10)


class Largest(TorchDispatchMode):
    """The rows of the largest matrix that any operation makes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and out.dim() == 2 and out.shape[1] >= 6:  # the hidden layers'
            self.rows = max(self.rows, out.shape[0])
        return out


def test_above_65536_points_it_happens_by_itself() -> None:
    o = build_objective(experiment({"residuals": residual("u_xx + u_yy = 1", 70_000)}, training__precision="float32"))
    engine = EagerEngine(o, Adam())
    theta, draws = shaken(o), draws_of(o)
    with Largest() as seen:
        losses, _, _ = engine.gradient(theta, draws, torch.ones(2), engine.multipliers())
    assert seen.rows <= 4 * PORTION, "the value, two first derivatives and the Laplacian in one product"
    with Largest() as seen, torch.no_grad():
        torch.testing.assert_close(torch.stack(o.losses(theta, draws)), losses, rtol=1e-4, atol=1e-6)
    assert seen.rows <= 4 * PORTION
    with torch.enable_grad():
        torch.testing.assert_close(torch.stack(o.losses(theta, draws)), losses, rtol=1e-4, atol=1e-6)


def test_a_step_in_portions_that_are_no_tiles_is_not_compiled(tmp_path: Path) -> None:
    e = experiment(training__chunk=4)
    trainer = build_trainer(e)
    assert isinstance(trainer.engine, EagerEngine)
    with pytest.raises(ValueError, match="19 points are evaluated in portions"):
        compile_packages(trainer.engine, tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(CompileError, match="19 points are evaluated in portions.*take the engine eager or auto"):
        build_trainer(e, engine="compiled")
    said: list[str] = []
    engines = Engines(e, lambda kind, text, value="": said.append(text), said.append)
    engines.take_cached(trainer)
    engines.poll(trainer, 1e9)
    assert trainer.engine.name == "eager" and not said, "auto stays eager"
