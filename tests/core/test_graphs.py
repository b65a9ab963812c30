"""Steps as one recording. On the CPU a traced graph stands for a CUDA graph: it too has every number of Python and
every address frozen at the recording, reads the buffers as they are at the replay, and writes into the same results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from core.engine import EagerEngine
from core.graphs import Function, GraphEngine
from core.trainer import Trainer
from studio.build import build_trainer
from tests.core.samples import experiment, residual, same

CUDA = torch.cuda.is_available()


class Tape:
    """What a CUDA graph does, done with a graph of operations."""

    made = 0

    def capture(self, function: Function, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        Tape.made += 1
        self.inputs, self.addresses = tuple(inputs), [t.data_ptr() for t in inputs]
        self.graph: Any = make_fx(lambda *tensors: function(*tensors))(*inputs)
        self.outputs = tuple(torch.full_like(t, torch.nan) for t in function(*inputs))
        return self.outputs

    def replay(self) -> None:
        assert [t.data_ptr() for t in self.inputs] == self.addresses
        for held, new in zip(self.outputs, self.graph(*self.inputs), strict=True):
            held.copy_(new)


def pair(**changes: Any) -> tuple[Trainer, Trainer]:
    """The same experiment with an eager engine and with a recorded one."""
    e = experiment({"domain": {"x": [0.0, 1.0], "t": [0.0, 2.0]}, "residuals": residual("u_t = u_xx")}, **changes)
    eager, recorded = build_trainer(e), build_trainer(e)
    assert isinstance(recorded.engine, EagerEngine)
    recorded.engine = GraphEngine(recorded.engine, Tape)
    return eager, recorded


@pytest.mark.parametrize("changes", [
    {"balancing": {"rule": "annealing-siam", "interval": 2}, "optimizer__decay_steps": 1},
    {"optimizer": {"kind": "gd", "learning_rate": 0.01, "decay": "cosine"}, "sampling__kind": "r3"},
    {"balancing": {"points": "self-adaptive"}, "sampling__every": 0},
    {"balancing": {"points": "residual-attention"}, "sampling__every": 0},
    {"balancing": {"points": "causal", "epsilon": 1e-6, "chunks": 4}},
    {"balancing": {"direction": "pcgrad"}},
    {"training__chunk": 4},
], ids=["annealed", "decayed", "self-adaptive", "attention", "causal", "directions", "portions"])
def test_a_recording_makes_the_eager_steps(changes: dict[str, Any]) -> None:
    eager, recorded = pair(**changes)
    for k in range(8):
        if k == 4:
            for trainer in (eager, recorded):
                trainer.set_learning_rate(3e-3)
                trainer.set_weight("boundary", 7.0)
        assert recorded.step() == pytest.approx(eager.step(), rel=1e-12)
    torch.testing.assert_close(recorded.theta, eager.theta, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(recorded.weights, eager.weights, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(recorded.multipliers, eager.multipliers, rtol=1e-11, atol=1e-13)
    for a, b in zip(eager.term_gradients(), recorded.term_gradients(), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-11, atol=1e-13)


def test_results_stay_when_the_next_step_is_made() -> None:
    _, trainer = pair()
    trainer.step()
    before, m, copies = trainer.theta, trainer.m, (trainer.theta.clone(), trainer.m.clone())
    trainer.step()
    assert torch.equal(before, copies[0]) and torch.equal(m, copies[1]) and not torch.equal(before, trainer.theta)
    last = trainer.last_step()
    assert last is not None and last[0] is before


def test_a_run_goes_on_from_a_recorded_engine_s_state() -> None:
    _, one = pair()
    _, other = pair()
    for _ in range(3):
        one.step()
    other.load(one.state())
    assert one.step() == other.step() and same(one, other)
    assert one.state().numbers["engine"] == "graph"


def test_each_function_is_recorded_once_and_only_when_asked_for() -> None:
    _, trainer = pair()
    before = Tape.made
    for _ in range(3):
        trainer.step()
    assert Tape.made == before + 1
    engine = trainer.engine
    draws = trainer.draws
    assert draws is not None
    for _ in range(2):
        losses, gradient, _ = engine.gradient(trainer.theta, draws, trainer.weights, trainer.multipliers)
        raw, rows = engine.term_gradients(trainer.theta, draws)
    torch.testing.assert_close(losses, raw)
    torch.testing.assert_close(gradient, trainer.weights @ rows)
    assert Tape.made == before + 3


def test_an_argument_of_another_shape_is_refused() -> None:
    _, trainer = pair()
    trainer.step()
    with pytest.raises(ValueError, match=r"recorded for a tensor of shape \(2,\), not \(1,\)"):
        trainer.engine.step(trainer.theta, trainer.m, trainer.v, torch.ones(1, dtype=torch.float64),
                            torch.ones(3, dtype=torch.float64), torch.zeros(0), trainer.multipliers)


def test_what_a_recording_freezes_is_frozen_here_too() -> None:
    """Without which the comparisons above would not find a number that is no argument."""
    rate = [2.0]

    def function(x: Tensor) -> tuple[Tensor, ...]:
        return (rate[0] * x,)

    x, tape = torch.ones(2), Tape()
    out, = tape.capture(function, [x])
    rate[0] = 3.0
    x.fill_(5.0)
    tape.replay()
    assert out.tolist() == [10.0, 10.0]


@pytest.mark.skipif(not CUDA, reason="there is no GPU here")
@pytest.mark.parametrize("changes", [{"balancing": {"rule": "annealing-siam", "interval": 2}},
                                     {"balancing": {"points": "causal"}}, {"training__chunk": 4}])
def test_a_cuda_graph_makes_the_eager_steps(changes: dict[str, Any]) -> None:
    e = experiment({"domain": {"x": [0.0, 1.0], "t": [0.0, 2.0]}, "residuals": residual("u_t = u_xx")}, **changes)
    eager, recorded = build_trainer(e), build_trainer(e.with_changes({"training.device": "cuda"}), engine="compiled")
    assert recorded.engine.name == "graph"
    for _ in range(8):
        assert recorded.step() == pytest.approx(eager.step(), rel=1e-9)
    torch.testing.assert_close(recorded.theta.cpu(), eager.theta, rtol=1e-8, atol=1e-10)
