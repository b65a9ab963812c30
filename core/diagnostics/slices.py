"""Which part of the domain is drawn: a grid over one or two inputs, the others held; and a reference on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.frames import Array
from core.problem import Problem, ProblemError
from core.reference import SLACK


@dataclass(frozen=True)
class Slice:
    """A grid over some of the inputs, the first of `inputs` slowest.

    points: float64 [G, d] in the order of all inputs. outside: bool, of the grid's shape, where there is no domain.
    """

    inputs: tuple[str, ...]
    axes: tuple[Array, ...]
    fixed: Mapping[str, float]
    points: Tensor
    outside: Array | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis."""
        return tuple(len(axis) for axis in self.axes)


def cut(problem: Problem, axes: Mapping[str, Array], fixed: Mapping[str, float]) -> Slice:
    """The slice over `axes`, by input, in their order; every other input is in `fixed`."""
    mesh = dict(zip(axes, (m.reshape(-1) for m in np.meshgrid(*axes.values(), indexing="ij")), strict=True))
    count = math.prod(len(axis) for axis in axes.values())
    points = np.stack([mesh[name] if name in mesh else np.full(count, fixed[name]) for name in problem.inputs], 1)
    outside = None
    if problem.shape == "ball":
        center, radius = _ball(problem)
        away = np.linalg.norm(points - center, axis=1)
        outside = (away > radius * (1 + 1e-12)).reshape([len(axis) for axis in axes.values()])
    held = {name: float(fixed[name]) for name in problem.inputs if name not in axes}
    return Slice(tuple(axes), tuple(axes.values()), held, torch.from_numpy(points), outside)


def chosen(problem: Problem, axes: Sequence[str], fixed: Mapping[str, float]) -> tuple[tuple[str, ...],
                                                                                     dict[str, float]]:
    """The inputs that a slice runs over and the values at which the others are held, defaults filled in.

    Without `axes` the first two inputs that are not held; what is not in `fixed` is held at the middle of its range.
    Raises ProblemError with a sentence.
    """
    inputs = problem.inputs
    for name in (*axes, *fixed):
        if name not in inputs:
            raise ProblemError(f"'{name}' is no input; the inputs are {', '.join(inputs)}")
    if len(set(axes)) < len(axes):
        twice = next(name for name in axes if list(axes).count(name) > 1)
        raise ProblemError(f"a slice cannot run over '{twice}' twice; take two different inputs")
    if len(axes) > 2:
        raise ProblemError(f"a slice runs over one input or two, not over {len(axes)}")
    for name in axes:
        if name in fixed:
            raise ProblemError(f"the slice runs over '{name}', which cannot be held at {fixed[name]:g} as well")
    over = tuple(axes) or tuple(name for name in inputs if name not in fixed)[:2]
    if not over:
        raise ProblemError("every input is held; leave one or two for the slice to run over")
    held = {}
    for name in inputs:
        if name not in over:
            low, high = problem.domain[name]
            held[name] = float(fixed.get(name, (low + high) / 2))
            if not low <= held[name] <= high:  # nor is NaN
                raise ProblemError(f"{name} = {held[name]:g} is outside of the domain: {name} runs from {low:g} to "
                                   f"{high:g}")
    if problem.shape == "ball" and held:
        center, radius = _ball(problem)
        away = math.dist(list(held.values()), [center[inputs.index(name)] for name in held])
        if away > radius * (1 + 1e-12):
            place = ", ".join(f"{name} = {value:g}" for name, value in held.items())
            raise ProblemError(f"{place} is outside of the domain: it lies {away:g} from the ball's centre, whose "
                               f"radius is {radius:g}")
    return over, held


@dataclass(frozen=True)
class GridReference:
    """A reference over a grid of all inputs. axes: by input, increasing; values: arrays over them, by field."""

    axes: Mapping[str, Array]
    values: Mapping[str, Array]

    def on(self, inputs: Sequence[str], fixed: Mapping[str, float]) -> dict[str, Array]:
        """The fields over the grid's own axes of `inputs`, in that order; nothing where the grid does not reach.

        The other inputs are held: at a value of the grid exactly, between two by linear interpolation.
        """
        names = list(self.axes)
        out = dict(self.values)
        for name in reversed(names):  # the last axis first, so that the numbers of the others stay
            if name in inputs:
                continue
            axis, value = self.axes[name], fixed[name]
            slack = SLACK * (axis[-1] - axis[0])
            if not axis[0] - slack <= value <= axis[-1] + slack:
                return {}
            right = int(np.clip(np.searchsorted(axis, value), 1, len(axis) - 1))
            share = float(np.clip((value - axis[right - 1]) / (axis[right] - axis[right - 1]), 0, 1))
            for key, array in out.items():
                before, after = (array.take(k, axis=names.index(name)) for k in (right - 1, right))
                out[key] = before if share == 0 else after if share == 1 else (1 - share) * before + share * after
        kept = [name for name in names if name in inputs]
        order = [kept.index(name) for name in inputs]
        return {key: array.transpose(order) for key, array in out.items()}


def _ball(problem: Problem) -> tuple[Array, float]:
    bounds = np.array(list(problem.domain.values()))
    center: Array = bounds.mean(1)
    return center, float(bounds[0, 1] - bounds[0, 0]) / 2
