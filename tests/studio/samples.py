"""A small experiment, frames, run files and a session to test with."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.frames import FieldsFrame, GradientsFrame, ScalarsFrame
from studio.experiment import Experiment
from studio.messages import Event, RunState, Status, Update
from studio.runfile import RunFile

POISSON = """
name = "poisson"
label = "plain"
[problem]
name = "Poisson"
fields = ["u"]
domain = { x = [-1.0, 1.0] }
constants = { k = 2.0 }
residuals = [{ name = "poisson", equation = "u_xx + k", points = 16 }]
conditions = [{ name = "wall", equation = "u = u_exact", points = 4 }]
exact = { u = "k*(1 - x**2)/2" }
[network]
hidden = [8, 8]
[diagnostics]
grid = 20
error_every = 10
[[compare]]
label = "annealed"
set = { "balancing.rule" = "annealing-siam" }
"""

STATUS = Status(state=RunState.RUNNING, step=40, total_steps=100, steps_per_second=512.3, seconds=0.5,
                seconds_left=65.2, losses={"residual": 2.0, "boundary": 0.5},
                weights={"residual": 1.0, "boundary": 4.0}, relative_l2={"u": 0.034}, engine="eager")
FINISHED = replace(STATUS, state=RunState.FINISHED, step=100, seconds=0.8)


def scalars(step: int, loss: float = 0.5) -> ScalarsFrame:
    return ScalarsFrame(step=step, seconds=step / 7, losses={"residual": loss, "boundary": 0.1},
                        weights={"residual": 1.0, "boundary": 3.7}, learning_rate=1e-3, relative_l2={"u": 1 / 3})


def fields_frame(step: int = 0, seed: int = 0) -> FieldsFrame:
    rng = np.random.default_rng(seed)
    x, y = np.linspace(-1, 1, 7), np.linspace(0, 2, 5)
    u = rng.standard_normal((7, 5)).astype(np.float32)
    return FieldsFrame(step=step, inputs=("x", "y"), axes=(x, y), prediction={"u": u}, exact={"u": u + 1},
                       error={"u": np.abs(u)}, residuals={"helmholtz": u * np.float32(1e-30)}, fixed={"t": 0.1})


def gradients_frame(step: int = 0) -> GradientsFrame:
    counts = np.arange(2 * 3 * 4, dtype=np.uint32).reshape(2, 3, 4)
    table = np.linspace(0, 1, 6).reshape(2, 3) / 3
    return GradientsFrame(step=step, terms=("residual", "boundary"), layers=("W1", "W2", "W3"),
                          edges=np.array([-1, -0.1, 0, 0.1, 1]) / 3, linear_threshold=1e-9, counts=counts,
                          weighted_counts=counts[:, ::-1], weights=np.array([1.0, np.pi]), max_abs=table,
                          mean_abs=table / 2, norm=table * np.nan, zero_share=table * 0,
                          quantile_levels=(0.05, 0.5, 0.95), quantiles=np.arange(18.0).reshape(2, 3, 3))


def same(left: Any, right: Any) -> bool:
    """Equal in type, value and, for arrays, dtype; NaN equals NaN."""
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and math.isnan(left):
        return math.isnan(right)
    return type(left) is type(right) and left == right


def equal(left: Any, right: Any) -> bool:
    return type(left) is type(right) and all(same(getattr(left, n), getattr(right, n)) for n in left.__slots__)


def finished_run(folder: Path, *, checkpoint: int | None = 100) -> Path:
    writer = RunFile.create(folder / "old.pinnrun", Experiment.from_toml(POISSON).lanes()[0])
    writer.add_event(Event(step=0, kind="start", text="started on eager engine"))
    writer.add_scalars([ScalarsFrame(step=n, seconds=n / 50, losses={"residual": 2.0, "boundary": 1e-3}, weights={},
                                     learning_rate=1e-3, relative_l2={"u": 0.5} if n == 90 else {})
                        for n in (90, 100)])
    if checkpoint is not None:
        writer.save_checkpoint(checkpoint, {}, {})
    writer.set_state("stopped", 100, 2.0)
    writer.close()
    return writer.path


class FakeSession:
    """Says what it was told to say; remembers what it was asked."""

    def __init__(self, *updates: Update | BaseException, after: Update | None = None) -> None:
        self.updates, self.after = list(updates), after
        self.asked: list[Any] = []
        self.run_file: Path | None = None
        self.last = Update(status=replace(STATUS, state=RunState.READY, step=0))
        self.experiment: Experiment | None = None

    def __call__(self, experiment: Experiment, *, runs_folder: Path, isolate: bool, **more: Any) -> FakeSession:
        self.experiment = experiment
        self.run_file = runs_folder / "fake.pinnrun"
        self.asked.append(("new", isolate, more))
        return self

    def start(self) -> None:
        self.asked.append("start")

    def stop(self) -> None:
        self.asked.append("stop")

    def close(self, timeout: float = 10.0) -> bool:
        self.asked.append("close")
        self.updates = [self.after] if self.after else []
        return True

    def take(self) -> Update:
        if "start" in self.asked and self.updates:
            item = self.updates.pop(0)
            if isinstance(item, BaseException):
                raise item
            self.last = item
            return item
        return replace(self.last, events=())

    def set_weight(self, term: str, value: float) -> None:
        self.asked.append(("weight", term, value))

    def set_balancing(self, rule: str) -> None:
        self.asked.append(("balancing", rule))

    def set_learning_rate(self, value: float) -> None:
        self.asked.append(("learning_rate", value))
