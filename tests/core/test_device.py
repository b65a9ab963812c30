"""Devices. torch's device 'meta', where tensors have no values, stands for a GPU: what mixes it with the CPU fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from core.device import missing, on_cpu, resolve
from core.diagnostics.fields import FieldsDiagnostic
from core.diagnostics.gradients import GradientsDiagnostic
from core.engine import EagerEngine
from core.objective import Objective
from core.optimizers import Adam
from core.pointwise import PointWeights
from core.problem import ProblemError
from core.tangent_kernel import traces
from core.trainer import Trainer
from studio.build import build_objective, build_trainer, check_files
from tests.core.samples import experiment, grid_file, residual

CUDA = torch.cuda.is_available()


class NoNumbers(TorchFunctionMode):
    """Fails where a tensor is made of numbers of Python, which are copied to its device; so are lists as indices."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in (torch.tensor, torch.as_tensor, torch.from_numpy, Tensor.new_tensor), func
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            assert not any(isinstance(part, list) for part in index), index
        return func(*args, **(kwargs or {}))


class OnOneDevice(TorchDispatchMode):
    """Fails where an operation sees a tensor of another device, or copies between devices, or returns to Python with
    a number: each waits for the GPU, and none can be recorded in a CUDA graph."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_flatten((args, kwargs, out))[0] if isinstance(t, Tensor)]
        places = {t.device.type for t in tensors}
        assert places <= {"meta"}, f"{func} sees {places}"
        assert func.name() not in ("aten::_local_scalar_dense", "aten::nonzero"), func.name()
        self.operations += 1
        return out


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gated, several first derivatives": {"problem": {"residuals": residual("u_x + u_y**2 = x")},
                                         "network__kind": "gated"},
    "fourth order": {"problem": {"residuals": residual("u_xxxx + u_y = 3")}},
    "one derivative of two": {"problem": {"residuals": residual("u_xxx = u*y")}, "network__kind": "residual"},
    "averages": {"problem": {"averages": {"a": "u_x**2", "b": "heaviside(u)"}, "conditions": [],
                             "residuals": residual("a/b", measure="mean")}},
    "hard and periodic": {"problem": {"periodic": ["x"], "hard": {"u": "sin(pi*y)*u + y**3"}, "conditions": []}},
    "hard of two fields": {"problem": {"fields": ["u", "v"], "hard": {"u": "x*u + exp(y)", "v": "0*v + 2"},
                                       "residuals": residual("u_xx + v_y = 2**x"), "conditions": []}},
    "ball": {"problem": {"shape": "ball"}},
    "fourier": {"network__fourier_features": 5},
    "learnable": {"network": {"hidden": [6, 6], "raf": "learnable", "raf_basis": ["x", "x2", "sin", "gaussian"]}},
    "rowdy": {"network": {"hidden": [6, 6], "raf": "rowdy", "rowdy_terms": 2}},
    "assigned": {"network": {"hidden": [6, 6], "raf": "assigned", "raf_basis": ["x", "x2", "sin"]}},
    "slopes": {"network": {"hidden": [6, 6], "slopes": "neuron", "recovery": "paper"}},
    "no dependence": {"problem": {"residuals": residual("heaviside(u) = 1")}},
}


def on_meta(settings: dict[str, Any]) -> Objective:
    return build_objective(experiment(**settings)).on("meta")


def check_step(o: Objective, points: PointWeights | None = None, chunk: int = 0) -> None:
    engine = EagerEngine(o, Adam(clip=1.0, weight_decay=0.1), points, chunk)
    step, gradient, gradients = engine.examples()
    with OnOneDevice() as mode, NoNumbers():
        out = engine.step(*step)
        assert [t.shape for t in out[:3]] == [(o.size,)] * 3
        engine.gradient(*gradient)
        engine.term_gradients(*gradients)
    assert mode.operations > 50


@pytest.mark.parametrize("kind", list(SETTINGS))
def test_a_step_stays_where_the_objective_is(kind: str) -> None:
    check_step(on_meta(SETTINGS[kind]))


def test_observations_and_sub_domains_too(tmp_path: Path) -> None:
    observed = [{"name": "o", "equation": "u = u_data*a", "file": grid_file(tmp_path / "d.npz")}]
    problem = {"unknowns": {"a": 1.0}, "observations": observed}
    check_step(on_meta({"problem": problem}))
    check_step(on_meta({"problem": problem}), chunk=5)
    check_step(on_meta({"problem": problem, "decomposition": {
        "splits": {"x": [0.4]}, "flux": {"x": "u_x"}, "local": ["a"], "interface_points": 3}}))


@pytest.mark.parametrize("points", ["self-adaptive", "residual-attention", "causal"])
def test_points_with_weights_of_their_own_too(points: str) -> None:
    check_step(on_meta({"problem": {"domain": {"x": [0.0, 1.0], "t": [0.0, 2.0]}, "residuals": residual("u_t = u_xx")},
                        "network__slopes": "layer", "network__recovery": "code"}), PointWeights(points))


def test_residuals_for_samplers_and_kernels_too() -> None:
    o = on_meta({})
    theta, draws = torch.zeros(o.size, dtype=o.dtype, device="meta"), torch.zeros(5, 2, dtype=o.dtype, device="meta")
    assert o.residual_size(theta, draws).device.type == "meta"
    every = torch.zeros(o.points, 2, dtype=o.dtype, device="meta")
    assert traces(o, theta, every).device.type == "meta"


def test_a_tensor_of_the_host_is_caught() -> None:
    """Without which the tests above would say nothing."""
    x = torch.zeros(3, device="meta")
    mistakes: list[Callable[[], Tensor]] = [
        lambda: x[[0, 2]], lambda: x.new_tensor([1.0, 2.0]), lambda: x * torch.zeros(()),
        lambda: torch.zeros(3).to("meta")]
    for wrong in mistakes:
        with pytest.raises(AssertionError), OnOneDevice(), NoNumbers():
            wrong()


# ---------------------------------------------------------------------- a trainer on a device, seen from the CPU

class Remote:
    """Makes a trainer believe that it is somewhere else; its tensors stay on the CPU, with their values."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moved = 0
        real = Tensor.cpu

        def counted(tensor: Tensor) -> Tensor:
            self.moved += 1
            return real(tensor).clone()

        monkeypatch.setattr(Tensor, "cpu", counted)


def test_diagnostics_see_a_trainer_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = build_trainer(experiment(balancing={"rule": "annealing-siam", "interval": 2}))
    assert on_cpu(trainer) is trainer
    for _ in range(3):
        trainer.step()
    expected = GradientsDiagnostic().observe(trainer)
    o = trainer.objective
    elsewhere = o.on("meta")
    trainer.objective = elsewhere
    remote = Remote(monkeypatch)
    view = on_cpu(trainer)
    assert view is not trainer and trainer.objective is elsewhere and remote.moved > 8
    assert view.objective.device.type == "cpu" and view.objective is on_cpu(trainer).objective, "made once"
    last = view.last_step()
    assert last is not None and last[1] is view.theta and torch.equal(last[0], trainer.last_step()[0])  # type: ignore[index]
    assert view.theta is not trainer.theta and torch.equal(view.theta, trainer.theta)
    frame = GradientsDiagnostic().observe(view)
    assert np.array_equal(frame.counts, expected.counts)
    fields = FieldsDiagnostic(view.objective, 9, None, 0.0).observe(view)
    assert fields.step == 3
    state = trainer.generator.get_state()
    view.coming_draws()
    assert torch.equal(trainer.generator.get_state(), state)


def test_a_state_is_on_the_cpu_and_goes_on_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (build_trainer(experiment(sampling__kind="rad", sampling__every=2)) for _ in range(2))
    for _ in range(3):
        one.step()
    remote = Remote(monkeypatch)
    state = one.state()
    assert remote.moved >= len(state.tensors)
    other.load(state)
    assert other.step() == one.step() and torch.equal(other.theta, one.theta)


# ---------------------------------------------------------------------- which there are

@pytest.mark.skipif(CUDA, reason="there is a GPU here")
def test_a_missing_device_is_a_sentence_at_its_place() -> None:
    assert missing("cpu") == "" and resolve("cpu").type == "cpu"
    with pytest.raises(ValueError, match="no CUDA device that torch can use: .*; take the device cpu"):
        resolve("cuda")
    e = experiment(training__device="cuda")
    for use in (build_trainer, build_objective, check_files):
        with pytest.raises(ProblemError, match="no CUDA device") as caught:
            use(e)
        assert caught.value.path == "training.device"


@pytest.mark.skipif(not CUDA, reason="there is no GPU here")
def test_a_gpu_makes_the_same_steps() -> None:
    here, there = (build_trainer(experiment(training__device=device)) for device in ("cpu", "cuda"))
    assert isinstance(there, Trainer) and there.theta.device.type == "cuda"
    for _ in range(5):
        assert there.step() == pytest.approx(here.step(), rel=1e-9)
    torch.testing.assert_close(there.theta.cpu(), here.theta, rtol=1e-8, atol=1e-10)
