"""Prediction, exact solution, error, residual and derivatives on a slice of the domain, and the relative L2 error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from core.diagnostics.points import interior_points, spread_points
from core.diagnostics.slices import GridReference, Slice, chosen, cut
from core.equation import FUNCTIONS, NOTHING, Equations, prepare, simplified
from core.expression import Derivative, Name, Node, derivatives, evaluate
from core.frames import Array, FieldsFrame, frozen
from core.objective import Objective
from core.problem import AVERAGE, FLUX, Problem, ProblemError
from core.reference import read_reference, read_scattered
from core.trainer import Trainer

CHUNK = 2_000  # points evaluated at a time, so that what the layers pass on stays in the cache
MOST_POINTS = 2_000  # collocation points of a loss term in a frame
NO_VALUES: Mapping[str, float] = MappingProxyType({})


class FieldsDiagnostic:
    """The fields on a slice: over the first two inputs, the others held at the middle, unless `view` says otherwise.

    grid: points along each input, the bounds included (Wang et al. 2021 use 100 x 100). Where the problem has a
    reference instead of a formula, its own points are those of the error, on a grid or scattered. On a ball and with
    more than two inputs the error is measured at 10,000 points spread over the whole domain. margin: a second error is
    measured farther than this share of each range from the boundary. Neither errors nor averages depend on the view.
    `derivatives`: whether frames have them; they come from the same pass through the network as the residuals.
    """

    kind = "fields"

    def __init__(self, objective: Objective, grid: int, reference: Path | None = None, margin: float = 0.0) -> None:
        self.objective, self.derivatives = objective, True
        problem = objective.problem
        scattered = None
        self.reference: GridReference | None = None
        if reference is not None:
            if problem.shape == "ball":
                raise ProblemError("a reference is read for a box; a ball is compared with an exact solution",
                                   "reference")
            scattered = read_scattered(reference, problem)
            if scattered is None:
                axes, values = read_reference(reference, problem)
                self.reference = GridReference(dict(zip(problem.inputs, axes, strict=True)), values)
        self.grids = {name: np.linspace(*bounds, grid) for name, bounds in problem.domain.items()}
        if self.reference is not None:
            self.grids = dict(self.reference.axes)
        interior = [s for s in problem.statements if s.interior and s.measure == "square"]
        self.equation_names = [s.name for s in interior]
        self.derivative_nodes = derivatives_of(problem)
        shown = [*map(problem.field_node, problem.fields), *problem.quantity_nodes.values(),
                 *(s.expression for s in interior)]
        self.pictures = self._prepare(shown)
        self.pictures_derived = self._prepare([*shown, *self.derivative_nodes.values()])
        self.quantities = self._prepare(list(problem.quantity_nodes.values()))
        self.averages = self._prepare(list(problem.average_nodes.values()))
        self._last_averages: tuple[Tensor, dict[str, float]] | None = None
        self.view()
        self._measure(scattered, margin)

    def view(self, axes: tuple[str, ...] = (), fixed: Mapping[str, float] = NO_VALUES) -> None:
        """Choose the slice of the coming frames: the one or two inputs it runs over, and where the others are held.

        Without `axes` the first two inputs that are not in `fixed`; what is in neither is held at the middle of its
        range. Where a reference on a grid is known, the grid is its own, and between its values of a held input it is
        interpolated linearly. Raises ProblemError with a sentence, and leaves the view as it was, for an unknown
        input, one that is named twice, and a value outside of the domain.
        """
        over, held = chosen(self.objective.problem, axes, fixed)
        self.slice = cut(self.objective.problem, {name: self.grids[name] for name in over}, held)
        self.known = self._known_on(self.slice)

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis of the view."""
        return self.slice.shape

    def observe(self, trainer: Trainer) -> FieldsFrame:
        """The frame of the present parameters on the view.

        Of a homogeneous problem the prediction, with its derivatives, is scaled to fit what is known over the domain.
        """
        problem, s = self.objective.problem, self.slice
        averages = {name: torch.tensor(value, dtype=self.objective.dtype)
                    for name, value in self._averages(trainer.theta).items()}
        equations = self.pictures_derived if self.derivatives else self.pictures
        values = iter(array.reshape(s.shape) for array in self._values(trainer.theta, s.points, equations, averages))
        prediction = {name: next(values) for name in (*problem.fields, *problem.quantities)}
        residuals = {name: next(values) for name in self.equation_names}
        derived = dict(zip(self.derivative_nodes, values, strict=True)) if self.derivatives else {}
        factors = self._factors(trainer.theta, prediction)
        for name, factor in factors.items():
            prediction[name] = factor * prediction[name]
        for name, node in self.derivative_nodes.items():
            if name in derived and node.field in factors:
                derived[name] = factors[node.field] * derived[name]
        with np.errstate(invalid="ignore"):  # where neither has a value
            error = {name: np.abs(prediction[name] - known) for name, known in self.known.items()}
        return FieldsFrame(
            step=trainer.iteration, inputs=s.inputs, axes=tuple(frozen(a) for a in s.axes),
            prediction=self._shown(prediction), exact=self._shown(self.known), error=self._shown(error),
            residuals=self._shown(residuals), fixed=s.fixed, derivatives=self._shown(derived),
            points=drawn_points(self.objective, trainer.draws),
        )

    def relative_l2(self, trainer: Trainer) -> dict[str, float]:
        """||prediction - known||_2 / ||known||_2 over all points, for each field or quantity known not to be zero.

        Of a homogeneous problem after the best scaling; the known solution's sign and size are not defined there.
        """
        if not self.truth:
            return {}
        prediction = self._predict(trainer.theta, self.measured, wanted=self.truth)
        out = {}
        for name, truth in self.truth.items():
            own = self._factor(prediction[name], truth.reshape(-1)) * prediction[name]
            for title, rows, known, size in self._compared[name]:
                out[title] = float(np.linalg.norm(own[rows] - known)) / size
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

    def _measure(self, scattered: tuple[Array, dict[str, Array]] | None, margin: float) -> None:
        """Settle where the errors and the averages are measured, whatever is looked at."""
        problem = self.objective.problem
        self.measured_axes: tuple[Array, ...] | None = None  # of a grid over the whole domain
        self.inside: Array | None = None
        if scattered is not None:
            self.measured, self.truth = torch.from_numpy(scattered[0]), scattered[1]
        elif self.reference is not None or (len(problem.inputs) <= 2 and problem.shape == "box"):
            whole = cut(problem, self.grids, {})
            self.measured, self.measured_axes = whole.points, whole.axes
            self.truth = self._known_on(whole)
            if margin > 0:
                self.inside = interior_points(problem, whole.points.numpy(), margin)
        else:
            self.measured = spread_points(problem)
            self.truth = {name: evaluate_exact(node, problem, self.measured).numpy()
                          for name, node in problem.solution.items()}
        #: for each field that is compared: the errors' titles, their points, what is known there, and its norm
        self._compared: dict[str, list[tuple[str, Array, Array, float]]] = {name: [] for name in self.truth}
        for name, truth in self.truth.items():
            flat = truth.reshape(-1)
            there = np.isfinite(flat)  # a formula may have no value at some points, such as 1/x at 0
            for title, among in ((name, there), (f"{name} (interior)", self.inside)):
                if among is not None and (size := float(np.linalg.norm(flat[there & among]))) > 0:
                    self._compared[name].append((title, there & among, flat[there & among], size))

    def _known_on(self, s: Slice) -> dict[str, Array]:
        """The reference and the exact solution, which goes before it, on a slice."""
        problem = self.objective.problem
        known = self.reference.on(s.inputs, s.fixed) if self.reference is not None else {}
        for name, node in problem.solution.items():
            known[name] = evaluate_exact(node, problem, s.points).numpy().reshape(s.shape)
        return known

    def _averages(self, theta: Tensor) -> dict[str, float]:
        """Each average over the whole domain."""
        if self._last_averages is None or self._last_averages[0] is not theta:  # a step replaces it
            values = self._values(theta, self.measured, self.averages)
            named = dict(zip(self.objective.problem.averages, (self._mean(v) for v in values), strict=True))
            self._last_averages = theta, named
        return dict(self._last_averages[1])

    def _mean(self, values: Array) -> float:
        """The mean over the domain: of spread points as it is, on a grid by the trapezoidal rule."""
        if self.measured_axes is None:
            return float(values.mean())
        array = values.reshape([len(axis) for axis in self.measured_axes])
        for axis in reversed(self.measured_axes):
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
            cuts = list(range(CHUNK, len(points) - CHUNK // 2, CHUNK))  # a few last rows would take another kernel
            for x in torch.tensor_split(points.to(o.dtype), cuts):
                values = o.values(theta, x, equations or self.pictures, fields=equations is None,
                                  known=averages)
                parts.append(torch.stack(values))
        return list(torch.cat(parts, 1).double().numpy())

    def _factors(self, theta: Tensor, prediction: Mapping[str, Array]) -> dict[str, float]:
        """For what is known of a homogeneous problem, the best scaling.

        Over the domain, not the slice: on a nodal line every solution would be scaled to zero.
        """
        problem, s = self.objective.problem, self.slice
        if not problem.homogeneous or not self.known:
            return {}
        if not s.fixed:
            inside: Array | slice = slice(None) if s.outside is None else ~s.outside
            return {name: self._factor(prediction[name][inside], known[inside]) for name, known in self.known.items()}
        wanted = {name: known.reshape(-1) for name, known in self.truth.items() if name in self.known}
        own = self._predict(theta, self.measured, wanted=wanted)
        return {name: self._factor(own[name], known) for name, known in wanted.items()}

    def _factor(self, own: Array, known: Array) -> float:
        if not self.objective.problem.homogeneous:
            return 1.0
        there = np.isfinite(own) & np.isfinite(known)
        own, known = own[there], known[there]
        product = float((own * own).sum())
        return float((own * known).sum()) / product if product > 0 else 0.0

    def _shown(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Read-only copies; NaN outside a ball, where nothing is."""
        outside = self.slice.outside
        if outside is None:
            return {name: frozen(array) for name, array in arrays.items()}
        return {name: frozen(np.where(outside, np.nan, array)) for name, array in arrays.items()}


def derivatives_of(problem: Problem) -> dict[str, Derivative]:
    """Every derivative that an equation, condition, observation, flux, average or quantity uses, by its name.

    A name has the inputs in the problem's order, such as 'u_tx' for u_xt; first those of the first field, of low order.
    """
    inputs, fields = problem.inputs, problem.fields
    splits = problem.decomposition.splits if problem.decomposition else {}
    used = [s.expression for s in problem.statements]
    used += [node for axis, node in problem.flux_nodes.items() if splits.get(inputs[axis])]
    used += [*problem.average_nodes.values(), *problem.quantity_nodes.values()]
    found = {pair for node in used for pair in derivatives(node)}
    ordered = sorted(found, key=lambda pair: (fields.index(pair[0]), len(pair[1]), [inputs.index(i) for i in pair[1]]))
    return {f"{name}_{''.join(by)}": Derivative(name, by, position=0) for name, by in ordered}


def drawn_points(objective: Objective, draws: Tensor | None) -> dict[str, Array]:
    """The points of a step by loss term, float32 [n, d] in physical units; nothing where none are drawn yet.

    Those of a term one statement after the other, thinned evenly to at most 2,000; observations' points are among them.
    """
    if draws is None:
        return {}
    x = objective.places.physical(draws).numpy()
    rows: dict[str, list[Array]] = {}
    for block in objective.blocks:
        terms = [objective.terms[number] for number in dict.fromkeys(block.terms)]
        for term in terms or (FLUX, AVERAGE):  # a side of an interface
            rows.setdefault(term, []).append(np.arange(block.start, block.stop))
    out = {}
    for term in (term for term in objective.terms if term in rows):
        every = np.concatenate(rows[term])
        count = min(len(every), MOST_POINTS)
        out[term] = frozen(x[every[np.arange(count) * len(every) // count]].astype(np.float32))
    return out


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
