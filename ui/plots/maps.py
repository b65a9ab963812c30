"""Numbers to colors."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6.QtGui import QImage

from core.frames import Array

MISSING = 0  # NaN: nothing is drawn


@cache
def lookup(name: str) -> npt.NDArray[np.uint32]:
    """256 colors of a perceptually uniform map by name, as opaque ARGB."""
    rgb = pg.colormap.get(name).getLookupTable(0.0, 1.0, 256, alpha=False).astype(np.uint32)
    return np.asarray(0xFF000000 | rgb[:, 0] << 16 | rgb[:, 1] << 8 | rgb[:, 2], dtype=np.uint32)


def field_image(values: Array, low: float, high: float, name: str) -> QImage:
    """A field [axis 0, axis 1] as an image with axis 0 to the right and axis 1 upwards.

    Values outside [low, high] take the end's color, NaN is transparent.
    """
    upright = np.asarray(values, dtype=np.float64).T[::-1]
    missing = ~np.isfinite(upright)
    span = high - low if high > low else 1.0
    with np.errstate(invalid="ignore"):
        index = np.clip((upright - low) * (255.999 / span), 0, 255)
    pixels = lookup(name)[np.where(missing, 0, index).astype(np.intp)]
    pixels[missing] = MISSING
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape
    kind = QImage.Format.Format_ARGB32_Premultiplied if missing.any() else QImage.Format.Format_RGB32
    return QImage(pixels.data, width, height, 4 * width, kind).copy()


@cache
def bar_image(name: str) -> QImage:
    """A map as an upright bar, its highest color on top."""
    pixels = np.ascontiguousarray(lookup(name)[::-1, None])
    return QImage(pixels.data, 1, 256, 4, QImage.Format.Format_RGB32).copy()
