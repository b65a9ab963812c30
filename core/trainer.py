"""Training, one step at a time, its whole state in and out. Knows nothing of threads, files or windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from core.balancing import Balancing
from core.engine import EagerEngine, Engine
from core.networks import initial_parameters
from core.objective import Objective
from core.optimizers import Adam, Decay


@dataclass(frozen=True)
class State:
    """Everything that decides the steps to come: restoring it is the same as never having stopped."""

    tensors: Mapping[str, Tensor]  # theta, m, v [P]; weights, targets [T]; generator, uint8
    numbers: Mapping[str, Any]  # iteration, learning_rate, rule; engine, which made the last steps


_STATE = ("theta", "m", "v", "weights", "targets")  # the tensors that a step replaces


class NotFinite(ArithmeticError):
    """A loss became NaN or infinite. The trainer has gone back to the last good state."""

    def __init__(self, term: str, iteration: int, value: float) -> None:
        self.term, self.iteration, self.value = term, iteration, value
        super().__init__(f"the loss term '{term}' became {value} at step {iteration}; "
                         f"the state before it is kept")


class Trainer:
    """Adam on the weighted sum of the loss terms, with minibatches redrawn at every step.

    One `torch.Generator` draws the start values and all points. All tensors are replaced, never changed in place,
    so a reference to one is a snapshot.
    """

    def __init__(self, objective: Objective, *, optimizer: Adam, decay: Decay, balancing: Balancing,
                 learning_rate: float, weights: Mapping[str, float], seed: int) -> None:
        self.objective, self.optimizer, self.decay, self.balancing = objective, optimizer, decay, balancing
        self.learning_rate = learning_rate
        self.engine: Engine = EagerEngine(objective, optimizer)
        self.generator = torch.Generator().manual_seed(seed)
        self.terms = objective.problem.terms
        self.residual = [term in objective.problem.residual_terms for term in self.terms]
        self.kernels = [p.slice for p in objective.network.kernels]
        self.iteration = 0
        dtype = objective.dtype
        self.theta = initial_parameters(objective.network, self.generator, dtype)
        self.m = torch.zeros_like(self.theta)
        self.v = torch.zeros_like(self.theta)
        self.weights = torch.tensor([weights.get(term, 1.0) for term in self.terms], dtype=dtype)
        self.targets = self.weights.clone()
        self.draws: Tensor | None = None  # the points of the last step
        self._before: tuple[Tensor, ...] | None = None  # what the last good step started from

    def step(self) -> list[float]:
        """One step. Returns the raw losses before it, in the order of `terms`.

        Raises NotFinite where a loss is NaN or infinite; parameters, moments and weights are then those of the last
        step whose losses were finite.
        """
        before = (self.theta, self.m, self.v, self.weights, self.targets)
        draws = self._draw()
        hyper = torch.tensor(self.optimizer.hyper(self.current_learning_rate(), self.iteration),
                             dtype=self.objective.dtype)
        theta, m, v, tensor = self.engine.step(self.theta, self.m, self.v, self.weights, hyper, draws)
        losses: list[float] = tensor.tolist()
        if not all(map(math.isfinite, losses)):
            self._go_back(losses)
        self.theta, self.m, self.v, self.draws, self._before = theta, m, v, draws, before
        if self.balancing.due(self.iteration):
            _, gradients = self.engine.term_gradients(theta, draws)
            self.weights, self.targets = self.balancing.update(self.weights, gradients, self.kernels, self.residual)
        self.iteration += 1
        return losses

    def current_learning_rate(self) -> float:
        """The learning rate of the next step, decay included."""
        return self.learning_rate * self.decay.factor(self.iteration)

    def term_gradients(self) -> tuple[Tensor, Tensor]:
        """(raw losses [T], raw gradients [T, P]) at the present parameters.

        On the points of the last step; before the first one, on those that it is going to use.
        """
        draws = self.draws
        if draws is None:
            now = self.generator.get_state()
            draws = self._draw()
            self.generator.set_state(now)  # looking must not change the run
        return self.engine.term_gradients(self.theta, draws)

    # ------------------------------------------------------------------ live changes

    def set_weight(self, term: str, value: float) -> None:
        """Set one loss term's weight. Raises ValueError with a sentence."""
        if term not in self.terms:
            raise ValueError(f"there is no loss term '{term}'; the terms are {', '.join(self.terms)}")
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"a weight is zero or positive, {value:g} is not")
        weights = self.weights.clone()
        weights[self.terms.index(term)] = value
        self.weights = weights

    def set_balancing(self, rule: str) -> None:
        """Change the rule; the weights go on from where they are. Raises ValueError."""
        self.balancing = replace(self.balancing, rule=rule)

    def set_learning_rate(self, value: float) -> None:
        """Set the start value of the learning rate; the decay goes on. Raises ValueError."""
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"a learning rate is positive, {value:g} is not")
        self.learning_rate = value

    # ------------------------------------------------------------------ state

    def state(self) -> State:
        """A complete snapshot; cheap, since tensors are never changed in place.

        Where the last step has spoilt the parameters, which only the next one's losses would show, it is the state
        before that step: a snapshot that is kept must be one to go on from.
        """
        now = (self.theta, self.m, self.v, self.weights, self.targets)
        good = now if self._before is None or bool(torch.isfinite(self.theta).all()) else self._before
        tensors = dict(zip(_STATE, good, strict=True)) | {"generator": self.generator.get_state()}
        return State(tensors, {"iteration": self.iteration, "learning_rate": self.learning_rate,
                               "rule": self.balancing.rule, "engine": self.engine.name})

    def load(self, state: State) -> None:
        """Go on from a snapshot. Raises ValueError where it is not complete, or another experiment's.

        The engine stays as it is: only on the one that made the state are the steps to come the same bit for bit.
        """
        for name in (*_STATE, "generator", "iteration", "learning_rate", "rule"):
            if name not in state.tensors and name not in state.numbers:
                raise ValueError(f"this state is not complete: it has no {name}")
        for name in _STATE:
            mine, theirs = getattr(self, name), state.tensors[name]
            if theirs.shape != mine.shape or theirs.dtype != mine.dtype:
                raise ValueError(f"this state has {name} of shape {tuple(theirs.shape)} in {theirs.dtype}, this "
                                 f"experiment {tuple(mine.shape)} in {mine.dtype}: it belongs to another experiment")
        self.theta, self.m, self.v, self.weights, self.targets = (state.tensors[name].clone() for name in _STATE)
        self.generator.set_state(state.tensors["generator"].clone())
        self.iteration = int(state.numbers["iteration"])
        self.learning_rate = float(state.numbers["learning_rate"])
        self.set_balancing(str(state.numbers["rule"]))
        self.draws = self._before = None

    # ------------------------------------------------------------------

    def _draw(self) -> Tensor:
        o = self.objective
        return torch.rand(o.points, o.dimension, generator=self.generator, dtype=o.dtype)

    def _go_back(self, losses: Sequence[float]) -> None:
        """Undo the step that made the losses bad: it was made from finite losses, its result has none."""
        if self._before is not None:
            self.theta, self.m, self.v, self.weights, self.targets = self._before
        term, value = next((t, x) for t, x in zip(self.terms, losses, strict=True) if not math.isfinite(x))
        raise NotFinite(term, self.iteration, value)
