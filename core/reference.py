"""Reference solutions and measured points from .npz files of numbers; nothing in them is ever executed."""

from __future__ import annotations

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from core.frames import Array
from core.problem import Problem, ProblemError


def read_reference(path: Path, problem: Problem) -> tuple[tuple[Array, ...], dict[str, Array]]:
    """Axes and fields of a reference solution: one increasing 1-D array for each input, one array for each field.

    Arrays may be of fields or quantities. Raises ProblemError with a sentence that names the file and the array.
    """
    data = read_arrays(path, "reference")
    if len(problem.inputs) > 2:
        raise ProblemError("a reference is read for one or two inputs", "reference")
    axes = _axes(path, data, problem, "reference")
    if axes is None:
        raise ProblemError(f"{path} holds single points; a reference needs values on a grid, an array over the axes "
                           f"{', '.join(problem.inputs)}", "reference")
    wanted = [name for name in (*problem.fields, *problem.quantities) if name in data]
    known = {name: _on_grid(path, name, data[name], axes, problem, "reference") for name in wanted}
    if not known:
        raise ProblemError(f"{path} holds none of the fields {', '.join((*problem.fields, *problem.quantities))}",
                           "reference")
    return axes, known


def read_points(path: Path, problem: Problem, columns: tuple[str, ...], place: str) -> tuple[Array, dict[str, Array]]:
    """Measured points [n, d] and the named columns [n] of a file, those that it holds.

    The file has axes and arrays over their grid, or 1-D arrays of one length: one for each input and each column.
    Raises ProblemError with a sentence that names the file and the array.
    """
    data = read_arrays(path, place)
    axes = _axes(path, data, problem, place)
    if axes is not None:
        mesh = np.meshgrid(*axes, indexing="ij")
        points = np.stack([m.reshape(-1) for m in mesh], 1)
        found = {name: _on_grid(path, name, data[name], axes, problem, place).reshape(-1)
                 for name in columns if name in data}
    else:
        points = np.stack([data[name] for name in problem.inputs], 1)
        found = {}
        for name in columns:
            if name in data:
                if data[name].shape != (len(points),):
                    raise ProblemError(f"{path}: '{name}' has shape {data[name].shape}, the {len(points)} points ask "
                                       f"for ({len(points)},)", place)
                found[name] = _finite(path, name, data[name], place)
    for k, (name, (low, high)) in enumerate(problem.domain.items()):
        slack = 1e-9 * (high - low)
        if points[:, k].min() < low - slack or points[:, k].max() > high + slack:
            raise ProblemError(f"{path}: points reach from {name} = {points[:, k].min():g} to {points[:, k].max():g}, "
                               f"outside the domain ({low:g} to {high:g})", place)
    return points, found


def read_arrays(path: Path, place: str) -> dict[str, Array]:
    """All arrays of an .npz file as float64. Raises ProblemError."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: np.asarray(archive[key], dtype=np.float64) for key in archive.files}
    except FileNotFoundError:
        raise ProblemError(f"there is no reference file {path}", place) from None
    except (OSError, ValueError, TypeError, AttributeError, EOFError, BadZipFile, zlib.error) as error:
        raise ProblemError(f"{path} is no readable .npz file of numbers: {error}", place) from None


def _axes(path: Path, data: dict[str, Array], problem: Problem, place: str) -> tuple[Array, ...] | None:
    """The axes of a grid; None where the inputs are columns of single points."""
    for name in problem.inputs:
        if name not in data or data[name].ndim != 1 or len(data[name]) < 2:
            raise ProblemError(f"{path}: '{name}' must be an increasing 1-D array", place)
        _finite(path, name, data[name], place)
    axes = tuple(data[name] for name in problem.inputs)
    increasing = all(np.all(np.diff(axis) > 0) for axis in axes)
    others = [array.ndim for name, array in data.items() if name not in problem.inputs]
    if len(axes) > 1 and others and max(others) == 1 and len({len(axis) for axis in axes}) == 1:
        return None
    if not increasing:
        if len(axes) == 1:
            return None
        name = next(n for n, a in zip(problem.inputs, axes, strict=True) if not np.all(np.diff(a) > 0))
        raise ProblemError(f"{path}: '{name}' must be an increasing 1-D array", place)
    return axes


def _on_grid(path: Path, name: str, array: Array, axes: tuple[Array, ...], problem: Problem, place: str) -> Array:
    shape = tuple(len(a) for a in axes)
    if array.shape != shape:
        raise ProblemError(f"{path}: '{name}' has shape {array.shape}, the axes {', '.join(problem.inputs)} ask for "
                           f"{shape}", place)
    return _finite(path, name, array, place)


def _finite(path: Path, name: str, array: Array, place: str) -> Array:
    if not np.isfinite(array).all():
        raise ProblemError(f"{path}: '{name}' has values that are NaN or infinite", place)
    return array
