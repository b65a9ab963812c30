"""What a diagnostic saw at one step: frozen records of names and read-only arrays.

A frame is all that crosses from the training to whoever looks. This module imports numpy only,
so that a window can read frames before torch is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def frozen(array: Array) -> Array:
    """A read-only copy of `array`, safe to hand to another thread."""
    copy = np.array(array, copy=True)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, kw_only=True, slots=True)
class ScalarsFrame:
    """The numbers of one step."""

    kind = "scalars"
    step: int
    seconds: float  # training time so far, pauses excluded
    losses: Mapping[str, float]  # raw mean square of each loss term, before its weight
    weights: Mapping[str, float]  # the weight that multiplied each term in this step
    learning_rate: float
    relative_l2: Mapping[str, float]  # by field, ||pred - ref|| / ||ref||; empty where not evaluated at this step
    readings: Mapping[str, float] = field(default_factory=dict)  # learned numbers: unknowns, averages, slopes, S(a)


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientsFrame:
    """The distribution of d(loss term)/d(W_l) for each term and weight matrix (Wang et al. 2021, Fig. 2).

    Histograms are counts on a symmetric-logarithmic grid: `edges` has B + 1 increasing values, symmetric about
    zero, linear within +-`linear_threshold` and logarithmic beyond. The outermost bins also hold what lies outside.
    `counts` are of the raw gradient, `weighted_counts` of weight * gradient. The statistics are of the raw
    gradient; multiply by `weights` for the weighted one.
    """

    kind = "gradients"
    step: int
    terms: tuple[str, ...]  # T
    layers: tuple[str, ...]  # L, names of the weight matrices from input to output
    edges: Array  # [B + 1] float64
    linear_threshold: float
    counts: Array  # [T, L, B] uint32
    weighted_counts: Array  # [T, L, B] uint32
    weights: Array  # [T] float64
    max_abs: Array  # [T, L] float64
    mean_abs: Array  # [T, L]
    norm: Array  # [T, L]
    zero_share: Array  # [T, L] share of entries that are exactly 0
    quantile_levels: tuple[float, ...]  # Q
    quantiles: Array  # [T, L, Q]


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldsFrame:
    """Fields on a regular grid over one or two inputs.

    Arrays are indexed as [axis 0, axis 1] in the order of `inputs` (one axis where there is one input).
    `exact` and `error` have the fields for which an exact or reference solution is known. `residuals` are those
    of the equations by name, in the units of the equation.
    """

    kind = "fields"
    step: int
    inputs: tuple[str, ...]
    axes: tuple[Array, ...]
    prediction: Mapping[str, Array]
    exact: Mapping[str, Array]
    error: Mapping[str, Array]  # absolute error |prediction - exact|
    residuals: Mapping[str, Array]
    fixed: Mapping[str, float]  # the inputs that are held, and at what value


Frame = ScalarsFrame | GradientsFrame | FieldsFrame
