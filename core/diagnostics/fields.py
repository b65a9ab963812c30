"""Prediction, exact solution, error and residual on a grid, and the relative L2 error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.diagnostics.points import interior_points, spread_points
from core.equation import FUNCTIONS, NOTHING, Equations, prepare, simplified
from core.expression import Derivative, Name, Node, evaluate
from core.frames import Array, FieldsFrame, frozen
from core.objective import Objective
from core.problem import Problem, ProblemError
from core.reference import read_reference, read_scattered
from core.trainer import Trainer

CHUNK = 20_000  # points evaluated at a time, so that memory stays bounded


class FieldsDiagnostic:
    """The fields over the first two inputs, the others held at the middle of their range.

    grid: points along each input, the bounds included (Wang et al. 2021 use 100 x 100). Where the problem has a
    reference instead of a formula, its own points are those of the error, on a grid or scattered. On a ball and with
    more than two inputs the error is measured at 10,000 points spread over the whole domain. margin: a second error is
    measured farther than this share of each range from the boundary.
    """

    kind = "fields"

    def __init__(self, objective: Objective, grid: int, reference: Path | None = None, margin: float = 0.0) -> None:
        self.objective = objective
        problem = objective.problem
        names = problem.inputs
        self.inputs = names[:2]
        self.axes = tuple(np.linspace(*problem.domain[name], grid) for name in self.inputs)
        self.fixed = {name: sum(problem.domain[name]) / 2 for name in names[2:]}
        self.known: dict[str, Array] = {}
        scattered = None
        if reference is not None:
            if problem.shape == "ball":
                raise ProblemError("a reference is read for a box; a ball is compared with an exact solution",
                                   "reference")
            scattered = read_scattered(reference, problem)
            if scattered is None:
                self.axes, self.known = read_reference(reference, problem)
        self.shape = tuple(len(a) for a in self.axes)
        mesh = [m.reshape(-1) for m in np.meshgrid(*self.axes, indexing="ij")]
        points = np.stack([*mesh, *(np.full(mesh[0].shape, value) for value in self.fixed.values())], 1)
        self.points = torch.from_numpy(points)  # float64 [G, d]
        self.outside = None
        if problem.shape == "ball":
            bounds = np.array(list(problem.domain.values()))
            radius = (bounds[0, 1] - bounds[0, 0]) / 2
            self.outside = (np.linalg.norm(points - bounds.mean(1), axis=1) > radius * (1 + 1e-12)).reshape(self.shape)
        for name, node in problem.solution.items():
            self.known[name] = evaluate_exact(node, problem, self.points).numpy().reshape(self.shape)
        interior = [s for s in problem.statements if s.interior and s.measure == "square"]
        self.equation_names = [s.name for s in interior]
        self.residuals = self._prepare([s.expression for s in interior])
        self.quantities = self._prepare(list(problem.quantity_nodes.values()))
        self.averages = self._prepare(list(problem.average_nodes.values()))
        self.spread = spread_points(problem) if len(names) > 2 or problem.shape == "ball" else None
        self.spread_known = {} if self.spread is None else {
            name: evaluate_exact(node, problem, self.spread).numpy() for name, node in problem.solution.items()}
        if scattered is not None:
            self.spread, self.spread_known = torch.from_numpy(scattered[0]), scattered[1]
        self.inside = interior_points(problem, points, margin) if margin > 0 and self.spread is None else None

    def observe(self, trainer: Trainer) -> FieldsFrame:
        prediction = self._grid(self._predict(trainer.theta, self.points))
        inside: Array | slice = slice(None) if self.outside is None else ~self.outside
        scaled = {name: self._factor(prediction[name][inside], known[inside]) * prediction[name]
                  for name, known in self.known.items()}
        with np.errstate(invalid="ignore"):  # where neither has a value
            error = {name: np.abs(scaled[name] - known) for name, known in self.known.items()}
        averages = {name: torch.tensor(value, dtype=self.objective.dtype)
                    for name, value in self._averages(trainer.theta).items()}
        residuals = self._grid(dict(zip(self.equation_names, self._values(trainer.theta, self.points, self.residuals,
                                                                          averages), strict=True)))
        return FieldsFrame(
            step=trainer.iteration, inputs=self.inputs, axes=tuple(frozen(a) for a in self.axes),
            prediction=self._shown(prediction | scaled), exact=self._shown(self.known), error=self._shown(error),
            residuals=self._shown(residuals), fixed=self.fixed,
        )

    def relative_l2(self, trainer: Trainer) -> dict[str, float]:
        """||prediction - known||_2 / ||known||_2 over all points, for each field or quantity known not to be zero.

        Of a homogeneous problem after the best scaling; the known solution's sign and size are not defined there.
        """
        points, known = (self.points, self.known) if self.spread is None else (self.spread, self.spread_known)
        if not known:
            return {}
        prediction = self._predict(trainer.theta, points, wanted=known)
        out = {}
        for name, truth in known.items():
            flat, own = truth.reshape(-1), prediction[name]
            there = np.isfinite(flat)  # a formula may have no value at some points, such as 1/x at 0
            own = self._factor(own, flat) * own
            for title, rows in ((name, there), (f"{name} (interior)", None if self.inside is None else
                                                there & self.inside)):
                if rows is not None and (size := float(np.linalg.norm(flat[rows]))) > 0:
                    out[title] = float(np.linalg.norm(own[rows] - flat[rows])) / size
        return out

    def readings(self, trainer: Trainer) -> dict[str, float]:
        """The averages over the domain, by the mean over the error's points, and what is made of them."""
        problem = self.objective.problem
        if not problem.averages and not problem.readings:
            return {}
        named = self._averages(trainer.theta)
        known: Mapping[str, float] = {**problem.constants, **self.objective.unknowns(trainer.theta), **named}
        functions = {name: _on_numbers(f) for name, f in FUNCTIONS.items()}
        for name, node in problem.reading_nodes.items():
            try:
                named[name] = float(evaluate(simplified(node, problem.constants), lambda leaf: known[_name(leaf)],
                                             functions))
            except (ArithmeticError, ValueError, TypeError):
                named[name] = float("nan")
        return named

    # ------------------------------------------------------------------

    def _averages(self, theta: Tensor) -> dict[str, float]:
        """Each average over the whole domain, whatever is drawn."""
        points = self.points if self.spread is None else self.spread
        values = self._values(theta, points, self.averages)
        return dict(zip(self.objective.problem.averages, (self._mean(v) for v in values), strict=True))

    def _mean(self, values: Array) -> float:
        """The mean over the domain: of spread points as it is, on a grid by the trapezoidal rule."""
        if self.spread is not None:
            return float(values.mean())
        array = values.reshape(self.shape)
        for axis in reversed(self.axes):
            array = np.trapezoid(array, axis, axis=-1) / (axis[-1] - axis[0])
        return float(array)

    def _prepare(self, nodes: list[Node]) -> Equations:
        """For `_values`; averages in the expressions are known numbers there."""
        p = self.objective.problem
        return prepare(nodes, p.inputs, p.fields, p.constants)

    def _predict(self, theta: Tensor, points: Tensor, wanted: Mapping[str, object] | None = None) -> dict[str, Array]:
        """Fields and quantities at points; quantities only where one is wanted."""
        problem = self.objective.problem
        out = dict(zip(problem.fields, self._values(theta, points, None), strict=True))
        if problem.quantities and (wanted is None or any(name in wanted for name in problem.quantities)):
            out |= zip(problem.quantities, self._values(theta, points, self.quantities), strict=True)
        return out

    def _values(self, theta: Tensor, points: Tensor, equations: Equations | None,
                averages: Mapping[str, Tensor] = NOTHING) -> list[Array]:
        """Expressions, or the fields, at points [M, d]; float64 [M] each."""
        if equations is not None and not equations.programs:
            return []
        o, parts = self.objective, []
        with torch.no_grad():
            for x in torch.split(points.to(o.dtype), CHUNK):
                values = o.values(theta, x, equations or self.residuals, fields=equations is None,
                                  known=averages)
                parts.append(torch.stack(values))
        return list(torch.cat(parts, 1).double().numpy())

    def _factor(self, own: Array, known: Array) -> float:
        if not self.objective.problem.homogeneous:
            return 1.0
        there = np.isfinite(own) & np.isfinite(known)
        own, known = own[there], known[there]
        product = float((own * own).sum())
        return float((own * known).sum()) / product if product > 0 else 0.0

    def _grid(self, values: Mapping[str, Array]) -> dict[str, Array]:
        return {name: array.reshape(self.shape) for name, array in values.items()}

    def _shown(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Read-only copies; NaN outside a ball, where nothing is."""
        if self.outside is None:
            return {name: frozen(array) for name, array in arrays.items()}
        return {name: frozen(np.where(self.outside, np.nan, array)) for name, array in arrays.items()}


def evaluate_exact(node: Node, problem: Problem, x: Tensor) -> Tensor:
    """An expression of inputs and constants at points x [N, d]; a tensor [N]."""
    def look(leaf: Name | Derivative) -> Tensor:
        return x[:, problem.inputs.index(_name(leaf))]

    value = evaluate(simplified(node, problem.constants), look, FUNCTIONS)
    return value if isinstance(value, Tensor) else torch.full((len(x),), float(value), dtype=x.dtype)


def _name(leaf: Name | Derivative) -> str:
    assert isinstance(leaf, Name)
    return leaf.name


def _on_numbers(function: Callable[[Tensor], Tensor]) -> Callable[[float], float]:
    return lambda value: float(function(torch.tensor(value, dtype=torch.float64)))
