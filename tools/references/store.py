"""Where the references are kept, and how they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FOLDER = Path(__file__).resolve().parents[2] / "resources" / "references"
LARGEST = 400_000  # bytes of one file


def save(name: str, **arrays: Array) -> None:
    """Write resources/references/NAME.npz, all float64, and say what is in it.

    Raises ValueError where a number is not finite or the file would be larger than `LARGEST`.
    """
    for key, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: '{key}' has values that are NaN or infinite")
    doubles = {key: np.asarray(array, np.float64) for key, array in arrays.items()}
    path = FOLDER / f"{name}.npz"
    np.savez_compressed(path, allow_pickle=False, **doubles)
    size = path.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{path} has {size} bytes, more than the {LARGEST} a reference may have")
    shapes = ", ".join(f"{key} {'x'.join(map(str, array.shape))}" for key, array in arrays.items())
    print(f"{name}.npz: {shapes}; {size:,} bytes\n")


def difference(a: Array, b: Array) -> float:
    """The largest absolute difference, relative to the largest absolute value of `b`."""
    return float(np.abs(a - b).max() / np.abs(b).max())
