"""Reference solutions and measured points from .npz files of numbers; nothing in them is ever executed."""

from __future__ import annotations

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from core.frames import Array
from core.problem import Problem, ProblemError

SLACK = 1e-6  # share of a range by which a point may lie outside it: files may hold single precision


def read_reference(path: Path, problem: Problem) -> tuple[tuple[Array, ...], dict[str, Array]]:
    """Axes and fields of a reference solution: one increasing 1-D array for each input, one array for each field.

    Arrays may be of fields or quantities. Raises ProblemError with a sentence that names the file and the array.
    """
    data = read_arrays(path, "reference")
    axes = _axes(path, data, problem, "reference")
    if axes is None:
        raise ProblemError(f"{path} holds single points; a reference needs values on a grid, an array over the axes "
                           f"{', '.join(problem.inputs)}", "reference")
    wanted = [name for name in (*problem.fields, *problem.quantities) if name in data]
    known = {name: _on_grid(path, name, data[name], axes, problem, "reference") for name in wanted}
    if not known:
        raise ProblemError(f"{path} holds none of the fields {', '.join((*problem.fields, *problem.quantities))}",
                           "reference")
    for name, axis in zip(problem.inputs, axes, strict=True):
        _inside(path, name, axis, problem, "reference")
    return axes, known


def read_scattered(path: Path, problem: Problem) -> tuple[Array, dict[str, Array]] | None:
    """Points [n, d] of a reference that is no grid, and its fields and quantities [n]; None where it is a grid.

    Raises ProblemError with a sentence that names the file and the array.
    """
    data = read_arrays(path, "reference")
    if _axes(path, data, problem, "reference") is not None:
        return None
    points, known = read_points(path, problem, (*problem.fields, *problem.quantities), "reference")
    if not known:
        raise ProblemError(f"{path} holds none of the fields {', '.join((*problem.fields, *problem.quantities))}",
                           "reference")
    return points, known


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
    for k, name in enumerate(problem.inputs):
        points[:, k] = _inside(path, name, points[:, k], problem, place)
    if problem.shape == "ball":
        bounds = np.array(list(problem.domain.values()))
        radius = (bounds[0, 1] - bounds[0, 0]) / 2
        away = np.linalg.norm(points - bounds.mean(1), axis=1)
        if away.max() > (1 + SLACK) * radius:
            raise ProblemError(f"{path}: points reach {away.max():g} away from the ball's centre, outside the domain "
                               f"(radius {radius:g})", place)
    return points, found


def read_arrays(path: Path, place: str) -> dict[str, Array]:
    """All arrays of an .npz file as float64; a single text, such as a title, is passed over. Raises ProblemError."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except FileNotFoundError:
        raise ProblemError(f"there is no {'reference ' if place == 'reference' else ''}file {path}", place) from None
    except (OSError, ValueError, TypeError, AttributeError, EOFError, RuntimeError, BadZipFile, zlib.error) as error:
        raise ProblemError(f"{path} is no readable .npz file of numbers: {error}", place) from None
    out = {}
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise ProblemError(f"{path} is no readable .npz file of numbers: '{key}' is no array", place)
        if array.dtype.kind in "US" and array.ndim == 0:
            continue
        if array.dtype.kind not in "fiub":
            raise ProblemError(f"{path}: '{key}' holds {array.dtype.name} values, not real numbers", place)
        out[key] = array.astype(np.float64)
    return out


def _axes(path: Path, data: dict[str, Array], problem: Problem, place: str) -> tuple[Array, ...] | None:
    """The axes of a grid; None where the inputs are columns of single points."""
    for name in problem.inputs:
        if name not in data or data[name].ndim != 1 or len(data[name]) == 0:
            have = f"has shape {data[name].shape}" if name in data else "is missing"
            raise ProblemError(f"{path}: '{name}' must be an increasing 1-D array, or one of single points; it {have}",
                               place)
        _finite(path, name, data[name], place)
    axes = tuple(data[name] for name in problem.inputs)
    others = [array.ndim for name, array in data.items() if name not in problem.inputs]
    if len(axes) > 1 and others and max(others) == 1 and len({len(axis) for axis in axes}) == 1:
        return None
    wrong = [name for name in problem.inputs if len(data[name]) < 2 or not np.all(np.diff(data[name]) > 0)]
    if wrong and len(axes) > 1:
        raise ProblemError(f"{path}: '{wrong[0]}' must be an increasing 1-D array", place)
    return None if wrong else axes


def _inside(path: Path, name: str, values: Array, problem: Problem, place: str) -> Array:
    """Values of an input, those just outside the domain by rounding put back on its bounds."""
    low, high = problem.domain[name]
    slack = SLACK * (high - low)
    if values.min() < low - slack or values.max() > high + slack:
        raise ProblemError(f"{path}: points reach from {name} = {values.min():g} to {values.max():g}, outside the "
                           f"domain ({low:g} to {high:g})", place)
    out: Array = values.clip(low, high)
    return out


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
