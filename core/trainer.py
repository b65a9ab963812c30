"""Training, one step at a time, its whole state in and out. Knows nothing of threads, files or windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from core.balancing import Balancing, Seen
from core.choices import RECOVERY
from core.directions import DIRECTIONS
from core.engine import EagerEngine, Engine
from core.objective import Objective
from core.optimizers import Decay, Optimizer
from core.pointwise import PointWeights, next_epsilon
from core.sampling import ADAPTIVE, Group, Sampler, Sampling
from core.solvers.loss import Loss
from core.solvers.solver import Memory, Solver, Watch
from core.tangent_kernel import traces


@dataclass(frozen=True)
class State:
    """Everything that decides the steps to come: restoring it is the same as never having stopped."""

    tensors: Mapping[str, Tensor]  # those of _STATE; generator, uint8
    numbers: Mapping[str, Any]  # iteration, begun, learning_rate, rule; engine, which made the last steps


#: The tensors that a step replaces: theta, m, v [P]; weights, targets [T]; memory, of the balancing; multipliers, of
#: the points; points, the draws of the last step [N, c].
_STATE = ("theta", "m", "v", "weights", "targets", "memory", "multipliers", "points")
_NEWER = ("memory", "multipliers", "points")  # which runs of version 0.1 do not have, nor need
_SOLVER = "solver."  # begins the names of a solver's own tensors


class NotFinite(ArithmeticError):
    """A loss became NaN or infinite. The trainer has gone back to the last good state."""

    def __init__(self, term: str, iteration: int, value: float) -> None:
        self.term, self.iteration, self.value = term, iteration, value
        super().__init__(f"the loss term '{term}' became {value} at step {iteration}; "
                         f"the state before it is kept")


class Trainer:
    """An optimizer on the weighted loss terms, with points drawn by a sampler.

    One `torch.Generator` draws the start values and all points. All tensors are replaced, never changed in place,
    so a reference to one is a snapshot. solver: makes the steps in the place of `optimizer`, where there is one.
    `watch`: how a solver's long step is followed and abandoned; `step` then raises Stopped, and nothing has changed.
    Raises ValueError where points cannot be drawn in that way, and where a solver is to weight them or to take
    another direction than that of the sum.
    """

    def __init__(self, objective: Objective, *, optimizer: Optimizer, decay: Decay, balancing: Balancing,
                 learning_rate: float, weights: Mapping[str, float], seed: int, sampling: Sampling | None = None,
                 direction: str = "sum", points: PointWeights | None = None, solver: Solver | None = None,
                 chunk: int = 0) -> None:
        self.objective, self.optimizer, self.decay, self.balancing = objective, optimizer, decay, balancing
        self.learning_rate, self.direction = learning_rate, direction
        self.point_weights = points or PointWeights()
        if solver is not None:
            _check_solver(self.point_weights.kind, direction)
        self.solver, self.watch, self.chunk = solver, Watch(), chunk
        self.done = ""  # why the solver can go no further; '' while it can
        self.stuck = 0  # steps in a row after which it could not, on points that are drawn anew for that
        self.note = ""  # what it had to say of its last step
        self.solver_readings: Mapping[str, float] = {}  # of its last step
        eager = EagerEngine(objective, optimizer, self.point_weights, chunk)
        self.engine: Engine = eager
        self.generator = torch.Generator().manual_seed(seed)
        self.terms = objective.terms
        self.residual = [term in objective.problem.residual_terms for term in self.terms]
        self.fixed = [term == RECOVERY for term in self.terms]
        self.kernels = [p.slice for p in objective.kernels]
        groups = [Group(p.start, p.stop, p.free, objective.columns, p.interior, p.name)
                  for p in objective.places.patches]
        dtype = objective.dtype
        sampling = sampling or Sampling()
        _check_sampling(objective, sampling.kind)
        self.sampler = Sampler(sampling, groups, dtype)
        self.iteration = 0
        self.begun = 0  # the iteration at which this optimizer began: its decay and moments count from there
        self.theta = objective.initial(self.generator)
        self.m = torch.zeros_like(self.theta)
        self.v = torch.zeros_like(self.theta)
        self.weights = self.theta.new_tensor([weights.get(term, 1.0) for term in self.terms])
        self.targets = self.weights.clone()
        self.memory = balancing.start(len(self.terms), dtype).to(objective.device)
        self.multipliers = eager.multipliers()
        self.points = self.theta.new_zeros(0)  # none drawn yet
        self.solver_memory: Memory = {} if solver is None else solver.start(self.theta)
        self._before: tuple[Tensor, ...] | None = None  # what the last good step started from
        self._memory_before: Memory = {}

    @property
    def draws(self) -> Tensor | None:
        """The draws [N, c] of the last step's points; None before the first."""
        return self.points if len(self.points) else None

    def step(self) -> list[float]:
        """One step. Returns the raw losses before it, in the order of `terms`.

        Raises NotFinite where a loss is NaN or infinite; parameters, moments and weights are then those of the last
        step whose losses were finite.
        """
        before, memory = self._tensors(), self.solver_memory
        generator = self.generator.get_state() if self.solver is not None else None
        draws = self._draw()
        hyper = torch.tensor(self.optimizer.hyper(self.current_learning_rate(), self.iteration - self.begun),
                             dtype=self.objective.dtype, device=self.objective.device)
        lam = self.multipliers
        if self.solver is not None:
            try:
                theta, tensor, memory = self._solve(self.solver, draws)
            except BaseException:
                assert generator is not None
                self.generator.set_state(generator)  # a step that was abandoned has drawn nothing
                raise
            m, v = self.m, self.v
        elif self.direction == "sum":
            theta, m, v, tensor, lam = self.engine.step(self.theta, self.m, self.v, self.weights, hyper, draws, lam)
        else:
            tensor, gradients = self.engine.term_gradients(self.theta, draws)
            gradient = DIRECTIONS[self.direction](self.weights.unsqueeze(1) * gradients, self.generator)
            theta, m, v = self.optimizer.update(self.theta, self.m, self.v, gradient, hyper)
        losses: list[float] = tensor.tolist()
        if not all(map(math.isfinite, losses)):
            self._go_back(losses)
        self.theta, self.m, self.v, self.points, self._before = theta, m, v, draws, before
        self._memory_before, self.solver_memory = self.solver_memory, memory
        if self.point_weights.kind == "causal":
            epsilon = next_epsilon(lam[1:], float(lam[0]))
            lam = lam[:1] if epsilon == float(lam[0]) else torch.full_like(lam[:1], epsilon)
        self.multipliers = lam
        if self.balancing.due(self.iteration):
            self._balance(theta, draws, tensor)
        self.iteration += 1
        self._settle()
        return losses

    def _settle(self) -> None:
        """A solver is done on these points only, where others come: it is given them, once, before it is believed."""
        if not self.done or not self.sampler.spec.every:
            self.stuck = 0
            return
        self.stuck += 1
        if self.stuck == 1:
            self.note = f"{self.done.rstrip('.')}; it goes on with points drawn anew"
            self.done = ""

    def current_learning_rate(self) -> float:
        """The learning rate of the next step, decay included."""
        return self.learning_rate * self.decay.factor(self.iteration - self.begun)

    def term_gradients(self) -> tuple[Tensor, Tensor]:
        """(raw losses [T], raw gradients [T, P]) at the present parameters.

        On the points of the last step; before the first one, on those that it is going to use.
        """
        draws = self.draws
        return self.engine.term_gradients(self.theta, self.coming_draws() if draws is None else draws)

    def coming_draws(self) -> Tensor:
        """The draws [N, c] of the points that the next step is going to use."""
        now = self.generator.get_state()
        draws = self._draw()
        self.generator.set_state(now)  # looking must not change the run
        return draws

    def last_step(self) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """(theta before [P], theta after [P], draws [N, c], weights [T]) of the step just made.

        None where there is none to look at: before the first, after `load`, and after going back from NotFinite.
        """
        if self._before is None or self._before[0] is self.theta:
            return None
        before = dict(zip(_STATE, self._before, strict=True))
        return before["theta"], self.theta, self.points, before["weights"]

    def readings(self) -> dict[str, float]:
        """The learned numbers beside the networks' weights: unknowns, slopes, S(a)."""
        problem = self.objective.problem
        out = self.objective.unknowns(self.theta)
        taken = {*out, *problem.averages, *problem.readings}  # an unknown may well be called 'slope'
        for number, region in enumerate(self.objective.regions, start=1):
            prefix = f"{number}: " if len(self.objective.regions) > 1 else ""
            own = region.network.readings(self.theta[region.theta])
            out |= {f"network {name}" if name in taken else prefix + name: value for name, value in own.items()}
        return out

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
        if rule == "ntk" and len(self.objective.regions) > 1:
            raise ValueError("the tangent kernel of sub-domains is not computed; take another rule")
        if rule != self.balancing.rule:
            self.balancing = replace(self.balancing, rule=rule)
            self.memory = self.balancing.start(len(self.terms), self.objective.dtype).to(self.objective.device)

    def set_learning_rate(self, value: float) -> None:
        """Set the start value of the learning rate; the decay goes on. Raises ValueError."""
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"a learning rate is positive, {value:g} is not")
        self.learning_rate = value

    # ------------------------------------------------------------------ state

    def state(self) -> State:
        """A complete snapshot on the CPU, to go on from on any device; cheap, since tensors are never changed in place.

        Where the last step has spoilt the parameters, which only the next one's losses would show, it is the state
        before that step: a snapshot that is kept must be one to go on from.
        """
        sound = self._before is None or bool(torch.isfinite(self.theta).all())
        good = self._tensors() if sound or self._before is None else self._before
        tensors = dict(zip(_STATE, good, strict=True)) | {"generator": self.generator.get_state()}
        own = self.solver_memory if sound else self._memory_before
        tensors |= {_SOLVER + name: tensor for name, tensor in own.items()}
        if (self.stuck or self.sampler.due(self.iteration)) and not self.sampler.adaptive:
            tensors["points"] = torch.zeros(0, dtype=self.objective.dtype)  # the next step draws its own
        numbers = {"iteration": self.iteration, "begun": self.begun, "learning_rate": self.learning_rate,
                   "rule": self.balancing.rule, "engine": self.engine.name}
        if self.stuck:
            numbers["stuck"] = self.stuck
        return State({name: t.cpu() for name, t in tensors.items()}, numbers)

    def load(self, state: State) -> None:
        """Go on from a snapshot. Raises ValueError where it is not complete, or another experiment's.

        The engine stays as it is: only on the one that made the state are the steps to come the same bit for bit.
        """
        for name in (*_STATE, "generator", "iteration", "learning_rate", "rule"):
            if name not in state.tensors and name not in state.numbers and name not in _NEWER:
                raise ValueError(f"this state is not complete: it has no {name}")
        self.set_balancing(str(state.numbers["rule"]))
        tensors = {name: state.tensors.get(name, getattr(self, name)) for name in _STATE}
        for name, theirs in tensors.items():
            mine = getattr(self, name)
            fits = theirs.shape == mine.shape
            if name == "points":
                fits = theirs.numel() == 0 or theirs.shape == (self.objective.points, self.objective.columns)
            if not fits or theirs.dtype != mine.dtype:
                raise ValueError(f"this state has {name} of shape {tuple(theirs.shape)} in {theirs.dtype}, this "
                                 f"experiment {tuple(mine.shape)} in {mine.dtype}: it belongs to another experiment")
        self._load_solver(state)
        self._set([self._own(tensor) for tensor in tensors.values()])
        self.generator.set_state(state.tensors["generator"].cpu().clone())
        self.iteration = int(state.numbers["iteration"])
        self.begun = int(state.numbers.get("begun", 0))
        self.learning_rate = float(state.numbers["learning_rate"])
        self._before, self.done, self.stuck = None, "", int(state.numbers.get("stuck", 0))

    # ------------------------------------------------------------------

    def _load_solver(self, state: State) -> None:
        """The solver's own tensors; as at its start where the state has none. Raises ValueError."""
        theirs = {name.removeprefix(_SOLVER): t for name, t in state.tensors.items() if name.startswith(_SOLVER)}
        if self.solver is None or not theirs:
            self.solver_memory = {} if self.solver is None else self.solver.start(self._own(state.tensors["theta"]))
            return
        missing = self.solver.start(self.theta).keys() - theirs.keys()
        if missing:
            raise ValueError(f"this state is not complete: it has no {_SOLVER}{min(missing)}")
        self.solver_memory = {name: self._own(tensor) for name, tensor in theirs.items()}

    def _own(self, tensor: Tensor) -> Tensor:
        """A copy where this trainer computes."""
        return tensor.clone().to(self.objective.device)

    def _tensors(self) -> tuple[Tensor, ...]:
        return tuple(getattr(self, name) for name in _STATE)

    def _set(self, tensors: Sequence[Tensor]) -> None:
        for name, tensor in zip(_STATE, tensors, strict=True):
            setattr(self, name, tensor)

    def _draw(self) -> Tensor:
        if len(self.points) and not self.stuck and not self.sampler.due(self.iteration):
            return self.points
        theta, o, before = self.theta, self.objective, self.draws
        # drawn on the CPU, so that a seed gives the same points on every device
        return self.sampler.draw(self.generator, None if before is None else before.cpu(),
                                 lambda draws: o.residual_size(theta, draws.to(o.device)).cpu()).to(o.device)

    def _solve(self, solver: Solver, draws: Tensor) -> tuple[Tensor, Tensor, Memory]:
        """(theta, raw losses before the step, the solver's memory) after one step of it."""
        loss = Loss(self.objective, self.engine, draws, self.weights, self.multipliers)
        made = solver.step(loss, self.theta, self.solver_memory, self.current_learning_rate(), self.watch)
        self.done, self.note, self.solver_readings = made.done, made.note, made.readings
        # a saved state has lost its strides, on which the rounding of products depends
        return made.theta, made.losses, {name: tensor.contiguous() for name, tensor in made.memory.items()}

    def _balance(self, theta: Tensor, draws: Tensor, losses: Tensor) -> None:
        needs, o = self.balancing.needs, self.objective
        gradients = self.engine.term_gradients(theta, draws)[1] if "gradients" in needs else None
        kernel = traces(o, theta, draws) if "traces" in needs else None
        self.weights, self.targets, self.memory = self.balancing.update(Seen(
            weights=self.weights, kernels=self.kernels, residual=self.residual, fixed=self.fixed, memory=self.memory,
            generator=self.generator, losses=losses, gradients=gradients, traces=kernel))

    def _go_back(self, losses: Sequence[float]) -> None:
        """Undo the step that made the losses bad: it was made from finite losses, its result has none.

        On other points, or by other settings, the solver may well go on.
        """
        self.done = ""
        if self._before is not None:
            self._set(self._before)
            self.solver_memory = self._memory_before
        term, value = next((t, x) for t, x in zip(self.terms, losses, strict=True) if not math.isfinite(x))
        raise NotFinite(term, self.iteration, value)


def _check_solver(points: str, direction: str) -> None:
    """Raises ValueError where a solver would make its steps without what it was asked to do."""
    if points != "equal":
        raise ValueError(f"a solver works on the plain mean of every term's squares, in which all points are equal; "
                         f"points weighted by '{points}' need adam, adamw or gd")
    if direction != "sum":
        raise ValueError(f"a solver works on the weighted sum of the terms; the direction '{direction}' needs adam, "
                         f"adamw or gd")


def _check_sampling(objective: Objective, kind: str) -> None:
    """Raises ValueError where points so drawn would not be what the loss means."""
    if kind == "grid" and objective.places.ball:
        raise ValueError("a grid fits a box; a ball's points may be uniform, or sobol, halton or latin-hypercube")
    if kind in ADAPTIVE and any(b.interior and (b.equations.averages or not all(b.square)) for b in objective.blocks):
        raise ValueError(f"{kind} draws more points where the residual is large, and an average over them is not the "
                         f"average over the domain; take another sampling")
