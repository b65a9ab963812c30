"""Where the time goes: how the seconds of a run are shared out, and what one step is made of."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from core.engine import EagerEngine
from core.frames import TimingFrame
from core.trainer import Trainer

PROBES = 5  # repetitions, of which the median counts
PROBE_EVERY = 20.0  # seconds between two looks at the parts of a step
EVERY = 1.0  # seconds between two frames


class Clock:
    """Adds up seconds by part of the work, and those in which the run went on."""

    def __init__(self) -> None:
        self.parts = {"recording": 0.0}
        self.wall = 0.0
        self.next_frame = 0.0
        self._since: float | None = None
        self._step_parts: Mapping[str, float] = {}
        self._probe_at = 0.0

    @contextmanager
    def spent_on(self, part: str) -> Iterator[None]:
        """Charge what happens inside to a part."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.parts[part] += time.perf_counter() - begun

    def run(self, running: bool) -> None:
        """Count the time since the last call, if the run went on then."""
        now = time.perf_counter()
        if self._since is not None:
            self.wall += now - self._since
        self._since = now if running else None

    def frame(self, trainer: Trainer, training: float, seconds: Mapping[str, float], counts: Mapping[str, int],
              rate: float) -> TimingFrame:
        """seconds, counts: of the diagnostics by kind; training: seconds; rate: steps per second, 0 if unknown."""
        now = time.perf_counter()
        self.next_frame = now + EVERY
        if now >= self._probe_at:
            self._probe_at = now + PROBE_EVERY
            self._step_parts = step_parts(trainer)
        whole = {"whole": 1 / rate} if rate > 0 else {}
        watched = sum(seconds.values())
        used = training + watched + self.parts["recording"]
        return TimingFrame(
            step=trainer.iteration, engine=trainer.engine.name, wall=self.wall,
            parts={"training": training, "diagnostics": watched, "recording": self.parts["recording"],
                   "waiting": max(0.0, self.wall - used)},
            step_parts={**self._step_parts, **whole}, diagnostics=dict(seconds), observations=dict(counts),
        )


def step_parts(trainer: Trainer) -> dict[str, float]:
    """Seconds of the parts of one eager step, medians of a few that change nothing; none of a compiled step,
    of one in portions, or of one on a GPU.

    'balancing' is the price of an update of the weights, spread over the steps between two.
    """
    draws = trainer.draws
    if not isinstance(trainer.engine, EagerEngine) or trainer.engine.portions or draws is None:
        return {}
    if trainer.solver is not None:  # whose step has other parts
        return {}
    o, rows = trainer.objective, []
    if o.device.type != "cpu":  # which works on while the clock is read
        return {}
    hyper = torch.tensor(trainer.optimizer.hyper(trainer.current_learning_rate(), trainer.iteration - trainer.begun),
                         dtype=o.dtype)
    for _ in range(PROBES):
        leaf = trainer.theta.detach().requires_grad_()
        t0 = time.perf_counter()
        total = torch.dot(torch.stack(o.losses(leaf, draws)), trainer.weights)
        t1 = time.perf_counter()
        gradient = torch.autograd.grad(total, leaf)[0] if total.requires_grad else torch.zeros_like(leaf)
        t2 = time.perf_counter()
        trainer.optimizer.update(trainer.theta, trainer.m, trainer.v, gradient, hyper)
        rows.append((t1 - t0, t2 - t1, time.perf_counter() - t2))
    parts = dict(zip(("forward", "backward", "optimizer"), map(statistics.median, zip(*rows, strict=True)),
                     strict=True))
    if "gradients" in trainer.balancing.needs:
        begun = time.perf_counter()
        trainer.engine.term_gradients(trainer.theta, draws)
        parts["balancing"] = (time.perf_counter() - begun) / trainer.balancing.interval
    return parts
