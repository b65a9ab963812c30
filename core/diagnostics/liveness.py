"""Whether everything that can be learned moves: parameters, slopes, unknowns, and the weights that a rule balances."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from core.diagnostics.slopes import slope_entries
from core.frames import Array, LivenessFrame, frozen
from core.layers import slope_scale
from core.optimizers import Adam
from core.parameters import Parameter
from core.trainer import Trainer

STILL = 1e-7  # relative change between two frames
LARGEST = 1e3  # root mean square of weights, biases and learned activations
LARGEST_SLOPE = 100.0  # |n a|
LARGEST_GROWTH = 1e4  # of an unknown over its start value


@dataclass(frozen=True)
class _Snapshot:
    step: int
    theta: Array  # [P] float64
    weights: dict[str, float]  # by loss term
    rule: str  # that balances them


class LivenessDiagnostic:
    """Compares with the frame before, of an earlier step, and with the first one.

    gradient: of the weighted loss on the points of the last step, each point alike. States, the first that applies:
    'not finite'; 'not trained': the values are the same bit for bit although there is a gradient, steps were made, and
    such a step is more than their rounding; 'out of range': a root mean square above 1e3, |n a| above 100, an unknown
    above 1e4 times its start; 'no gradient': exactly zero; 'still': a relative change below 1e-7; 'moves'.
    The weight of a loss term is there where a rule other than 'fixed' should move it; 'still' if that rule did not
    over a whole interval, and it is not where the rule wants it.
    """

    kind = "liveness"

    def __init__(self) -> None:
        self._first: _Snapshot | None = None
        self._last: _Snapshot | None = None  # the newest frame
        self._before: _Snapshot | None = None  # the newest one of an earlier step than that
        self._interval: _Snapshot | None = None  # weights are compared with it once an interval has passed
        self._weights_still: set[str] = set()

    def observe(self, trainer: Trainer) -> LivenessFrame:
        now = _Snapshot(trainer.iteration, trainer.theta.detach().double().numpy().copy(),
                        dict(zip(trainer.terms, trainer.weights.tolist(), strict=True)), trainer.balancing.rule)
        self._remember(now, trainer)
        with np.errstate(all="ignore"):  # what overflows is a finding
            return self._frame(trainer, now)

    def _frame(self, trainer: Trainer, now: _Snapshot) -> LivenessFrame:
        assert self._first is not None
        _, gradients = trainer.term_gradients()
        gradient = (trainer.weights.double() @ gradients.double()).numpy()
        names, rows, states = [], [], []
        for p in trainer.objective.parameters:
            values, own = now.theta[p.slice], gradient[p.slice]
            old = None if self._before is None else self._before.theta[p.slice]
            moved = _moved(values, old)
            names.append(p.name)
            rows.append((float(p.size), float(np.sqrt(np.mean(values**2))), moved,
                         _moved(values, self._first.theta[p.slice]), float(np.linalg.norm(own))))
            states.append(_state(trainer, p, values, old, own, moved))
        for term in balanced(trainer):
            value = np.array([now.weights[term]])
            old = None if self._before is None else np.array([self._before.weights.get(term, math.nan)])
            start = np.array([self._first.weights.get(term, math.nan)])
            names.append(f"weight of {term}")
            rows.append((1.0, abs(float(value[0])), _moved(value, old), _moved(value, start), math.nan))
            states.append("not finite" if not math.isfinite(value[0]) else
                          "still" if term in self._weights_still else "moves")
        table = [frozen(np.array(column)) for column in zip(*rows, strict=True)]
        return LivenessFrame(step=trainer.iteration, names=tuple(names), sizes=frozen(table[0].astype(np.int64)),
                             size=table[1], moved=table[2], since_start=table[3], gradient=table[4],
                             state=tuple(states))

    def _remember(self, now: _Snapshot, trainer: Trainer) -> None:
        rule = trainer.balancing
        if self._first is None or self._last is None or now.step < self._last.step:  # new, or gone back
            self._first, self._last, self._before, self._interval = now, now, None, now
            self._weights_still = set()
            return
        if now.step > self._last.step:
            self._before = self._last
        self._last = now
        assert self._interval is not None
        if now.rule != self._interval.rule:
            self._interval, self._weights_still = now, set()
        elif now.step - self._interval.step >= rule.interval:
            before = self._interval.weights
            terms = [term for term in balanced(trainer) if term in before]
            still = {term for term in terms
                     if _moved(np.array([now.weights[term]]), np.array([before[term]])) < STILL}
            targets = dict(zip(trainer.terms, trainer.targets.tolist(), strict=True))
            # where others move, one may be where its rule wants it: that of inverse-dirichlet's largest term stays at 1
            arrived = {term for term in still if len(still) < len(terms) and
                       abs(targets[term] - now.weights[term]) < STILL * abs(now.weights[term])}
            self._weights_still, self._interval = still - arrived, now


def balanced(trainer: Trainer) -> list[str]:
    """The loss terms whose weight the rule in use should move: not those of weight zero, nor fixed ones."""
    rule = trainer.balancing.rule
    if rule == "fixed":
        return []
    able = [term for term, fixed, weight in zip(trainer.terms, trainer.fixed, trainer.weights.tolist(), strict=True)
            if not fixed and weight != 0]
    if rule.startswith("annealing"):  # which keeps the residuals' weights, and measures the others against these
        residual = {term for term, is_residual in zip(trainer.terms, trainer.residual, strict=True) if is_residual}
        return [term for term in able if term not in residual] if residual else []
    return able if len(able) > 1 else []  # the weight of one term alone is measured against itself


def _state(trainer: Trainer, p: Parameter, values: Array, old: Array | None, gradient: Array, moved: float) -> str:
    if not (np.isfinite(values).all() and np.isfinite(gradient).all()):
        return "not finite"
    if old is not None and bool((values == old).all()) and _could_move(trainer, values, gradient):
        return "not trained"
    if _out_of_range(trainer, p, values):
        return "out of range"
    if not gradient.any():
        return "no gradient"
    return "still" if old is not None and moved < STILL else "moves"


def _could_move(trainer: Trainer, values: Array, gradient: Array) -> bool:
    """Whether a step with this gradient exceeds the rounding of some value, with two decades to spare.

    Where it does not, as when the learning rate has decayed, standing still is no fault.
    """
    step = 0.01 * np.abs(gradient)
    if isinstance(trainer.optimizer, Adam):
        step = step / (np.abs(gradient) + trainer.optimizer.epsilon)
    return bool((trainer.current_learning_rate() * step > torch.finfo(trainer.theta.dtype).eps * np.abs(values)).any())


def _out_of_range(trainer: Trainer, p: Parameter, values: Array) -> bool:
    o = trainer.objective
    if p.offset >= o.regions[-1].theta.stop:  # an unknown
        start = abs(float(p.initial(torch.Generator())))
        return bool(np.abs(values).max() > LARGEST_GROWTH * (start or 1.0))
    if any(place.start <= p.offset < place.stop for place in slope_entries(o)):
        region = next(r for r in o.regions if r.theta.start <= p.offset < r.theta.stop)
        return bool(slope_scale(region.network) * np.abs(values).max() > LARGEST_SLOPE)
    return bool(np.sqrt(np.mean(values**2)) > LARGEST)


def _moved(values: Array, old: Array | None) -> float:
    """|change| / |values|; over the old values where the new ones are zero, 0 where both are. NaN without old ones."""
    if old is None:
        return math.nan
    change = float(np.linalg.norm(values - old))
    size = float(np.linalg.norm(values)) or float(np.linalg.norm(old))
    return change / size if size else 0.0
