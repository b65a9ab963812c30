"""What the doctor keeps of a picture of the fields: a few numbers instead of the arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.frames import Array, FieldsFrame

LINES = 32  # of a picture along each axis, from which spectra are made
FAST = 3  # periods over the domain, from which on a wave counts as fast
NAN = math.nan


@dataclass(frozen=True)
class Extent:
    """How large a field is over the picture, and how large its exact solution; NaN where that is not known."""

    rms: float
    deviation: float
    largest: float  # absolute value
    exact_rms: float
    exact_deviation: float
    exact_largest: float


@dataclass(frozen=True)
class Waves:
    """The part of a field that is fast, by the mean power spectrum of lines along the input where it is largest."""

    axis: str
    share: float  # fast power of the exact solution / its whole power
    missing: float  # fast power of the error / fast power of the exact solution: 0 learned, 1 not at all
    periods: float  # over the domain, the exact solution's strongest fast wave


@dataclass(frozen=True)
class Picture:
    """One FieldsFrame, summed up. Values that are not finite are left out."""

    step: int
    whole: bool  # the picture is the whole domain, not a slice of it
    fields: Mapping[str, Extent]
    waves: Mapping[str, Waves]  # by field with a known solution on an even grid
    residual: Mapping[str, float]  # mean square by equation
    fast_residual: Mapping[str, float]  # share of the residual's power that is fast
    grain: Mapping[str, float]  # median |second difference| / (2.45 median |residual|): about 1 for white noise

    @classmethod
    def of(cls, frame: FieldsFrame) -> Picture:
        even = [np.allclose(np.diff(a), np.diff(a).mean(), rtol=1e-3) if len(a) > 4 * FAST else False
                for a in frame.axes]
        residuals = {name: np.asarray(a, dtype=np.float64) for name, a in frame.residuals.items()}
        waves = {}
        for name, exact in frame.exact.items():
            found = _waves(frame, np.asarray(exact), np.asarray(frame.prediction[name]), even)
            if found is not None:
                waves[name] = found
        return cls(
            step=frame.step, whole=not frame.fixed,
            fields={name: _extent(a, frame.exact.get(name)) for name, a in frame.prediction.items()},
            waves=waves,
            residual={name: _mean(a * a) for name, a in residuals.items()},
            fast_residual={name: max((_fast(_power(a, axis)) for axis, ok in enumerate(even) if ok), default=NAN)
                           for name, a in residuals.items()},
            grain={name: _grain(a) for name, a in residuals.items()},
        )


def _extent(values: Array, exact: Array | None) -> Extent:
    own = _sizes(values)
    return Extent(*own, *(_sizes(exact) if exact is not None else (NAN, NAN, NAN)))


def _sizes(values: Array) -> tuple[float, float, float]:
    """(root mean square, standard deviation, largest absolute value) of the finite values."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return NAN, NAN, NAN
    return float(np.sqrt(np.mean(finite**2))), float(finite.std()), float(np.abs(finite).max())


def _mean(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else NAN


def _waves(frame: FieldsFrame, exact: Array, prediction: Array, even: list[bool]) -> Waves | None:
    found: Waves | None = None
    for axis, ok in enumerate(even):
        if not ok:
            continue
        known = _power(exact, axis)
        total, fast = float(known.sum()), float(known[FAST:].sum())
        if not total > 0 or not fast > 0:
            continue
        missing = float(_power(prediction - exact, axis)[FAST:].sum()) / fast
        one = Waves(frame.inputs[axis], fast / total, missing, float(FAST + known[FAST:].argmax()))
        if found is None or one.share > found.share:
            found = one
    return found


def _fast(power: Array) -> float:
    total = float(power.sum())
    return float(power[FAST:].sum()) / total if total > 0 else NAN


def _power(values: Array, axis: int) -> Array:
    """Mean power spectrum [n // 2 + 1] of at most LINES lines along an axis, by periods over the domain.

    A line's mean is taken off; Hann's window keeps its ends, which do not meet, from looking fast.
    """
    lines = np.moveaxis(np.asarray(values, dtype=np.float64), axis, -1)
    lines = lines.reshape(-1, lines.shape[-1])
    lines = lines[:: max(1, -(-len(lines) // LINES))]
    lines = np.nan_to_num(lines, nan=0.0, posinf=0.0, neginf=0.0)
    window = np.hanning(lines.shape[1])
    level = (lines @ window)[:, None] / window.sum()
    out: Array = (np.abs(np.fft.rfft((lines - level) * window, axis=1)) ** 2).mean(0)
    return out


def _grain(values: Array) -> float:
    line = values.reshape(-1, values.shape[-1])
    line = line[:: max(1, -(-len(line) // LINES))]
    size = float(np.nanmedian(np.abs(line))) if np.isfinite(line).any() else 0.0
    if line.shape[1] < 3 or not size > 0:
        return NAN
    return float(np.nanmedian(np.abs(np.diff(line, 2, axis=1)))) / (math.sqrt(6) * size)
