"""Prediction, exact solution, error and residual on a grid, and the relative L2 error."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from core.equation import FUNCTIONS, prepare, simplified
from core.expression import Derivative, Name, Node, evaluate
from core.frames import Array, FieldsFrame, frozen
from core.jets import DerivativeSet
from core.objective import Objective
from core.problem import Problem, ProblemError
from core.trainer import Trainer

CHUNK = 20_000  # points evaluated at a time, so that memory stays bounded


class FieldsDiagnostic:
    """The fields over the first two inputs, the others held at the middle of their range.

    grid: points along each input, the bounds included (Wang et al. 2021 use 100 x 100). Where the problem has a
    reference instead of a formula, its own points are the grid of the error.
    """

    kind = "fields"

    def __init__(self, objective: Objective, grid: int, reference: Path | None = None) -> None:
        self.objective = objective
        problem = objective.problem
        names = problem.inputs
        self.inputs = names[:2]
        self.axes = tuple(np.linspace(*problem.domain[name], grid) for name in self.inputs)
        self.fixed = {name: sum(problem.domain[name]) / 2 for name in names[2:]}
        self.known: dict[str, Array] = {}
        if reference is not None:
            self.axes, self.known = read_reference(reference, problem)
        self.shape = tuple(len(a) for a in self.axes)
        mesh = [m.reshape(-1) for m in np.meshgrid(*self.axes, indexing="ij")]
        points = np.stack([*mesh, *(np.full(mesh[0].shape, value) for value in self.fixed.values())], 1)
        self.points = torch.from_numpy(points)  # float64 [G, d]
        for name, node in problem.solution.items():
            self.known[name] = evaluate_exact(node, problem, self.points).numpy().reshape(self.shape)
        interior = [s for s in problem.statements if not s.faces]
        self.equation_names = [s.name for s in interior]
        self.equations = prepare([s.expression for s in interior], names, problem.fields, problem.constants)

    def observe(self, trainer: Trainer) -> FieldsFrame:
        prediction, residuals = self._evaluate(trainer.theta, with_residuals=True)
        error = {name: np.abs(prediction[name] - known) for name, known in self.known.items()}
        return FieldsFrame(
            step=trainer.iteration, inputs=self.inputs, axes=tuple(frozen(a) for a in self.axes),
            prediction=_freeze(prediction), exact=_freeze(self.known), error=_freeze(error),
            residuals=_freeze(residuals), fixed=self.fixed,
        )

    def relative_l2(self, trainer: Trainer) -> dict[str, float]:
        """||prediction - known||_2 / ||known||_2 over the flattened grid, for each field known not to be zero."""
        if not self.known:
            return {}
        prediction, _ = self._evaluate(trainer.theta, with_residuals=False)
        sizes = {name: float(np.linalg.norm(known)) for name, known in self.known.items()}
        return {name: float(np.linalg.norm(prediction[name] - self.known[name])) / size
                for name, size in sizes.items() if size > 0}

    def _evaluate(self, theta: Tensor, *, with_residuals: bool) -> tuple[dict[str, Array], dict[str, Array]]:
        o = self.objective
        carried = self.equations.carried if with_residuals else DerivativeSet()
        outputs = self.equations.outputs if with_residuals else DerivativeSet()
        values, residuals = [], []
        with torch.no_grad():
            for x in torch.split(self.points.to(o.dtype), CHUNK):
                jet = o.network.forward(theta, o.normalized(x), o.scale.unsqueeze(1), len(x), carried, outputs)
                values.append(jet.value)
                if with_residuals:
                    residuals.append(torch.stack(self.equations.residuals(jet, x), 1))
        fields = o.problem.fields
        out = torch.cat(values).double().numpy()
        prediction = {name: out[:, k].reshape(self.shape) for k, name in enumerate(fields)}
        if not with_residuals:
            return prediction, {}
        res = torch.cat(residuals).double().numpy()
        return prediction, {name: res[:, k].reshape(self.shape) for k, name in enumerate(self.equation_names)}


def evaluate_exact(node: Node, problem: Problem, x: Tensor) -> Tensor:
    """An expression of inputs and constants at points x [N, d]; a tensor [N]."""
    def look(leaf: Name | Derivative) -> Tensor:
        assert isinstance(leaf, Name)
        return x[:, problem.inputs.index(leaf.name)]

    value = evaluate(simplified(node, problem.constants), look, FUNCTIONS)
    return value if isinstance(value, Tensor) else torch.full((len(x),), float(value), dtype=x.dtype)


def read_reference(path: Path, problem: Problem) -> tuple[tuple[Array, ...], dict[str, Array]]:
    """Axes and fields of a reference solution: one increasing 1-D array for each input, one array for each field.

    Raises ProblemError with a sentence that names the file and the array.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            data = {key: np.asarray(archive[key], dtype=np.float64) for key in archive.files}
    except FileNotFoundError:
        raise ProblemError(f"there is no reference file {path}", "reference") from None
    except (OSError, ValueError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise ProblemError(f"{path} is no readable .npz file of numbers: {error}", "reference") from None
    if len(problem.inputs) > 2:
        raise ProblemError("a reference is read for one or two inputs", "reference")
    for name in problem.inputs:
        axis = data.get(name)
        if axis is None or axis.ndim != 1 or len(axis) < 2 or not np.all(np.diff(axis) > 0):
            raise ProblemError(f"{path}: '{name}' must be an increasing 1-D array", "reference")
    axes = tuple(data[name] for name in problem.inputs)
    shape = tuple(len(a) for a in axes)
    known = {}
    for name in problem.fields:
        if name not in data:
            continue
        if data[name].shape != shape:
            raise ProblemError(f"{path}: '{name}' has shape {data[name].shape}, the axes "
                               f"{', '.join(problem.inputs)} ask for {shape}", "reference")
        if not np.isfinite(data[name]).all():
            raise ProblemError(f"{path}: '{name}' has values that are NaN or infinite", "reference")
        known[name] = data[name]
    if not known:
        raise ProblemError(f"{path} holds none of the fields {', '.join(problem.fields)}", "reference")
    return axes, known


def _freeze(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: frozen(array) for name, array in arrays.items()}
