"""Files of numbers: what is read, and the sentence with its place for every mistake."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.problem import Observation, Problem, ProblemError, Residual
from core.reference import read_arrays, read_points, read_reference

T, X = np.linspace(0, 1, 4), np.linspace(-2, 2, 5)
U = np.add.outer(T, X)


def problem(**changes: Any) -> Problem:
    base: dict[str, Any] = {
        "name": "p", "fields": ("u",), "domain": {"t": (0.0, 1.0), "x": (-2.0, 2.0)}, "quantities": {"s": "u_x"},
        "residuals": (Residual("r", "u_t - u_xx"),), "reference": "r.npz",
        "observations": (Observation("o", "u - u_data", columns=("w",)),)}
    return Problem(**{**base, **changes})


def save(path: Path, **changes: Any) -> Path:
    arrays = {"t": T, "x": X, "u": U, **changes}
    np.savez(path / "r.npz", **{key: value for key, value in arrays.items() if value is not None})
    return path / "r.npz"


def test_a_reference_of_fields_and_quantities(tmp_path: Path) -> None:
    axes, known = read_reference(save(tmp_path, s=2 * U, other=np.zeros(3)), problem())
    assert [a.tolist() for a in axes] == [T.tolist(), X.tolist()]
    assert set(known) == {"u", "s"}
    np.testing.assert_array_equal(known["s"], 2 * U)
    assert set(read_reference(save(tmp_path, u=None, s=U), problem())[1]) == {"s"}


def test_whole_numbers_single_precision_and_a_title_are_fine(tmp_path: Path) -> None:
    path = save(tmp_path, u=np.arange(20).reshape(4, 5), x=X.astype(np.float32) * np.float32(1 + 1e-7),
                title="Burgers, spectral", year=1948)
    axes, known = read_reference(path, problem())
    assert known["u"].dtype == axes[1].dtype == np.float64 and known["u"][3, 4] == 19
    points, _ = read_points(path, problem(), ("u",), "observations.0.file")
    assert points[:, 1].min() == -2 and points[:, 1].max() == 2, "rounding does not lead out of the domain"


HOLE = np.where(U < 3, U, np.nan)
ENDLESS = np.where(U < 3, U, np.inf)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"u": U.T}, r"r\.npz: 'u' has shape \(5, 4\), the axes t, x ask for \(4, 5\)"),
    ({"u": U.reshape(-1)}, r"'u' has shape \(20,\), the axes t, x ask for \(4, 5\)"),
    ({"u": U[None]}, r"'u' has shape \(1, 4, 5\)"),
    ({"u": HOLE}, r"r\.npz: 'u' has values that are NaN or infinite"),
    ({"u": ENDLESS}, "'u' has values that are NaN or infinite"),
    ({"t": np.array([0, 0.5, np.nan, 1])}, "'t' has values that are NaN or infinite"),
    ({"u": None}, r"r\.npz holds none of the fields u, s"),
    ({"t": None}, "'t' must be an increasing 1-D array, or one of single points; it is missing"),
    ({"t": T[::-1]}, "'t' must be an increasing 1-D array"),
    ({"t": np.array([0, 0.5, 0.5, 1])}, "'t' must be an increasing 1-D array"),
    ({"x": X.reshape(1, 5)}, r"'x' must be an increasing 1-D array, or one of single points; it has shape \(1, 5\)"),
    ({"x": np.float64(0)}, "'x' must be an increasing 1-D array"),
    ({"t": np.array([0.5]), "u": U[:1]}, "'t' must be an increasing 1-D array"),
    ({"x": np.zeros(0)}, "'x' must be an increasing 1-D array"),
    ({"x": X * 2}, r"points reach from x = -4 to 4, outside the domain \(-2 to 2\)"),
    ({"t": T + 0.1}, r"points reach from t = 0.1 to 1.1, outside the domain \(0 to 1\)"),
    ({"x": T, "u": T}, "holds single points; a reference needs values on a grid, an array over the axes t, x"),
    ({"u": U * 1j}, r"r\.npz: 'u' holds complex128 values, not real numbers"),
    ({"u": np.full((4, 5), "a")}, r"'u' holds str\d+ values, not real numbers"),
    ({"t": T.astype("datetime64[s]")}, r"'t' holds datetime64"),
])
def test_each_mistake_in_a_reference_gets_its_sentence(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match=sentence) as caught:
        read_reference(save(tmp_path, **changes), problem())
    assert caught.value.path == "reference"


def test_a_reference_may_be_over_three_inputs(tmp_path: Path) -> None:
    three = problem(domain={"t": (0.0, 1.0), "x": (-2.0, 2.0), "y": (0.0, 1.0)})
    y = np.linspace(0, 1, 3)
    u = np.add.outer(np.add.outer(T, 10 * X), 100 * y)
    axes, known = read_reference(save(tmp_path, y=y, u=u, v=u), three)
    assert [len(a) for a in axes] == [len(T), len(X), 3]
    np.testing.assert_array_equal(known["u"], u)


def test_objects_are_never_loaded(tmp_path: Path) -> None:
    """They would be unpickled, which runs whatever code the file holds."""
    np.savez(tmp_path / "r.npz", t=T, x=X, u=np.array([print, {}], dtype=object), allow_pickle=True)
    with pytest.raises(ProblemError, match=r"r\.npz is no readable \.npz file of numbers: Object arrays cannot"):
        read_reference(tmp_path / "r.npz", problem())


@pytest.mark.parametrize("kind", ["missing", "text", "array", "folder", "empty", "cut", "foreign"])
def test_files_that_cannot_be_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    match kind:
        case "text":
            path.write_text("x, u\n0, 1\n")
        case "array":
            with path.open("wb") as file:
                np.save(file, U)
        case "folder":
            path.mkdir()
        case "empty":
            path.write_bytes(b"")
        case "cut":
            save(tmp_path)
            path.write_bytes(path.read_bytes()[:-100])
        case "foreign":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("u.npy", b"no array")
    sentence = f"there is no file {path}" if kind == "missing" else f"{path} is no readable .npz file of numbers"
    with pytest.raises(ProblemError) as caught:
        read_arrays(path, "observations.2.file")
    assert str(caught.value).startswith(sentence) and caught.value.path == "observations.2.file"


# ---------------------------------------------------------------------- measured points

def test_points_of_a_grid(tmp_path: Path) -> None:
    points, columns = read_points(save(tmp_path, w=U**2), problem(), ("u", "s", "w"), "observations.0.file")
    assert points.shape == (20, 2) and set(columns) == {"u", "w"}
    np.testing.assert_allclose(columns["u"], points.sum(1))
    np.testing.assert_allclose(columns["w"], points.sum(1) ** 2)


@pytest.mark.parametrize("n", [1, 2, 6])
def test_single_points_in_any_order(n: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(n)
    t, x = generator.random(n), generator.random(n) * 4 - 2
    points, columns = read_points(save(tmp_path, t=t, x=x, u=t - x), problem(), ("u", "w"), "o")
    np.testing.assert_array_equal(points, np.stack([t, x], 1))
    np.testing.assert_array_equal(columns["u"], t - x)


@pytest.mark.parametrize("x", [[0.3], [0.9, 0.1, 0.5], [0.1, 0.1, 0.2], [0.1, 0.5, 0.9]])
def test_points_along_a_line(x: list[float], tmp_path: Path) -> None:
    line = problem(domain={"x": (0.0, 1.0)}, residuals=(Residual("r", "u_xx"),))
    points, columns = read_points(save(tmp_path, x=x, u=np.array(x) ** 2), line, ("u",), "o")
    np.testing.assert_array_equal(points[:, 0], x)
    np.testing.assert_array_equal(columns["u"], np.array(x) ** 2)


SINGLE = {"t": np.array([0.9, 0.1, 0.4]), "x": np.array([1.0, -1.0, 0.0]), "u": np.zeros(3)}


@pytest.mark.parametrize(("changes", "sentence"), [
    ({**SINGLE, "u": np.zeros(4)}, r"'u' has shape \(4,\), the 3 points ask for \(3,\)"),
    ({**SINGLE, "u": np.array([0, 1, np.nan])}, "'u' has values that are NaN or infinite"),
    ({**SINGLE, "x": np.array([1.0, -1.0, 2.5])}, r"points reach from x = -1 to 2.5, outside the domain \(-2 to 2\)"),
    ({**SINGLE, "x": np.array([1.0, -1.0])}, "'t' must be an increasing 1-D array"),
    ({**SINGLE, "x": None}, "'x' must be an increasing 1-D array, or one of single points; it is missing"),
    ({"u": U.T}, r"'u' has shape \(5, 4\), the axes t, x ask for \(4, 5\)"),
    ({"u": HOLE}, "'u' has values that are NaN or infinite"),
])
def test_each_mistake_in_measured_points_gets_its_sentence(changes: dict[str, Any], sentence: str,
                                                           tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match=sentence) as caught:
        read_points(save(tmp_path, **changes), problem(), ("u",), "observations.0.file")
    assert caught.value.path == "observations.0.file"


def test_points_outside_a_ball_are_refused_though_they_lie_in_its_box(tmp_path: Path) -> None:
    disc = problem(shape="ball", domain={"t": (-1.0, 1.0), "x": (0.0, 2.0)}, residuals=(Residual("r", "u_t"),))
    inside = save(tmp_path, t=np.array([-0.5, 0.6]), x=np.array([0.5, 1.8]), u=np.zeros(2))
    assert len(read_points(inside, disc, ("u",), "o")[0]) == 2
    with pytest.raises(ProblemError, match=r"points reach 1\.27279 away from the ball's centre, outside the domain"):
        read_points(save(tmp_path, t=np.array([-0.9, 0.6]), x=np.array([0.1, 1.8]), u=np.zeros(2)), disc, ("u",), "o")
