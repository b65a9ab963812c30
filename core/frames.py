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
    targets: Mapping[str, float] = field(default_factory=dict)  # what the balancing rule last aimed at, by term


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
    """Fields on a regular grid over one or two inputs, a slice of the domain.

    Arrays are indexed as [axis 0, axis 1] in the order of `inputs` (one axis where there is one input).
    `exact` and `error` have the fields for which an exact or reference solution is known. `residuals` are those
    of the equations by name, in the units of the equation; `derivatives` those that the equations use, such as 'u_xx'.
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
    derivatives: Mapping[str, Array] = field(default_factory=dict)
    #: collocation points of the last step by loss term, [n, d] in the order of all inputs, float32; 2,000 at most each
    points: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignmentFrame:
    """Whether the loss terms pull in the same direction, over all parameters.

    The score of gradients g_1 ... g_n is 2 |mean of g_i / |g_i||^2 - 1: 1 where all agree, 2/n - 1 where they are
    orthogonal, -1 where they cancel; of two it is their cosine (Wang, Bhartari, Li & Perdikaris, arXiv 2502.00604,
    eq. 3.1). Terms of weight zero and of gradient zero take no part.
    """

    kind = "alignment"
    step: int
    terms: tuple[str, ...]  # T
    weights: Array  # [T] float64
    norms: Array  # [T] of the raw gradients
    cosines: Array  # [T, T], symmetric; NaN where a gradient is zero
    within: float  # the score of the terms of this step; NaN where fewer than two take part
    between: float  # cosine of the weighted gradients of the step just made and of the coming one; NaN before step 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SlopesFrame:
    """Adaptive slopes and learned activations (Jagtap et al. 2020; Liang et al. 2021)."""

    kind = "slopes"
    step: int
    slopes: Mapping[str, Array]  # n a by layer, [1] or [width]; the name '' where the whole network shares one
    gains: Mapping[str, Array]  # n a |(w, b)| of every neuron, [width], by hidden layer: what the scaling leaves alone
    learned: Mapping[str, Array]  # parameters of reproducing and rowdy activations by name, such as 'hidden 1 RAF sin'
    recovery: float  # S(a); NaN without
    recovery_share: float  # weight |dS/da| / |dJ/da|, J the weighted loss without recovery; NaN without


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditioningFrame:
    """The implicit conditioning matrix G of adaptive slopes (Jagtap et al. 2020, eqs. 3.2-3.4), by its closed form."""

    kind = "conditioning"
    step: int
    blocks: tuple[str, ...]  # B, of each slope: a layer, or 'hidden 1 [3]' of a neuron
    kappa: float  # condition number of G without its term in the step size
    low: Array  # [B] smallest eigenvalue of each block
    high: Array  # [B] largest
    multiplier: float  # g^T G g / g^T g: the learning rate is effectively multiplied by this
    angle: float  # degrees between G g and g; 0 for what is no more than another learning rate
    smallest: float  # smallest eigenvalue of G across W, with the step size's term: below 0, descent may climb
    loss: float  # the whole loss J, recovery included
    bound: float  # that of the best constant network, plus S(0); NaN where it is not known
    held_since: int  # first step at which loss < bound, as Theorem 3.1 asks; -1: not yet
    identity: Array  # [B] a dJ/da - <W, dJ/dW> - a dS/da, relative; zero but for rounding


@dataclass(frozen=True, kw_only=True, slots=True)
class ActivationsFrame:
    """What each layer's activation is now, over what arrives at it. Pre-activations are W x + b, without any slope."""

    kind = "activations"
    step: int
    layers: tuple[str, ...]  # L
    edges: Array  # [L, B + 1]
    counts: Array  # [L, B] uint32 pre-activations of all neurons at the points; the outermost bins hold what is beyond
    z: Array  # [L, M] where the curves are evaluated
    curve: Array  # [L, M] the activation as it is, the mean over the neurons
    low: Array  # [L, M] 10 % and 90 % of the neurons
    high: Array  # [L, M]
    fixed: Array  # [L, M] the same activation as it started
    saturated: Array  # [L] share of (point, neuron) where |derivative| < 0.05 of its largest on the curve
    dead: Array  # [L] share of neurons whose output is the same at all points
    spread: Array  # [L] standard deviation of the outputs over the points, mean over the neurons


@dataclass(frozen=True, kw_only=True, slots=True)
class StiffnessFrame:
    """Extreme eigenvalues of Hessians by Lanczos, over all parameters (Wang et al. 2021, section 2.3).

    Rows: 'total', the weighted loss; each loss term by itself, raw; 'preconditioned', D^(-1/2) H D^(-1/2) of the total
    with Adam's D = sqrt(v_hat) + epsilon (absent for gradient descent).
    """

    kind = "stiffness"
    step: int
    rows: tuple[str, ...]  # R
    largest: Array  # [R] largest eigenvalue
    lowest: Array  # [R] smallest (most negative) eigenvalue, as far as the same products show it
    accuracy: Array  # [R] |H v - sigma v| / |sigma| of the largest
    weights: Array  # [T] of the terms, in the order of the rows
    learning_rate: float  # gradient descent is stable below 2 / largest
    products: int  # Hessian-vector products that this took


@dataclass(frozen=True, kw_only=True, slots=True)
class SpectrumFrame:
    """The whole spectrum of the Hessians, on demand."""

    kind = "spectrum"
    step: int
    parameters: int
    full: bool  # all eigenvalues; else a density by stochastic Lanczos quadrature
    eigenvalues: Mapping[str, Array]  # by row as in StiffnessFrame; ascending, [P] or the quadrature's nodes
    weights: Mapping[str, Array]  # of the nodes, with sum 1; 1/P each where all are there


@dataclass(frozen=True, kw_only=True, slots=True)
class LandscapeFrame:
    """The loss on a plane through the present parameters, on demand: theta + a d1 + b d2."""

    kind = "landscape"
    step: int
    directions: tuple[str, str]  # what they are, such as 'gradient' and 'random'
    axes: tuple[Array, Array]  # a [A], b [B], in units of |theta|
    losses: Mapping[str, Array]  # [A, B] of each term, raw, and 'total', weighted


@dataclass(frozen=True, kw_only=True, slots=True)
class NtkFrame:
    """The neural tangent kernel K = J J^T on a few fixed points, in float64 (Wang, Yu & Perdikaris 2022)."""

    kind = "ntk"
    step: int
    terms: tuple[str, ...]  # T, those that have residuals
    points: Array  # [T] rows of each term
    eigenvalues: Mapping[str, Array]  # descending, by term; 'all' for the whole kernel
    kappa: Mapping[str, float]  # largest over smallest eigenvalue, by the same names
    floored: Mapping[str, bool]  # the smallest is lost in rounding: kappa is at least this
    effective_rank: Mapping[str, float]  # exp(entropy of the eigenvalues' shares)
    trace: Array  # [T] mean diagonal entry of each term's block
    trace_activations: Array  # [T] the part of it that slopes and learned activations make; the rest are weights


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCheckFrame:
    """What the step just made did to each loss term, on its own points: predicted and actual.

    first = g_i . d and second = d . H_i d / 2 for the step d that was made (Wang et al. 2021, eqs. 2.20-2.22, in the
    form that is exact for each term).
    """

    kind = "step_check"
    step: int
    terms: tuple[str, ...]  # T
    weights: Array  # [T] of the step
    before: Array  # [T] raw losses
    first: Array  # [T]
    second: Array  # [T]
    actual: Array  # [T] the raw losses after the step minus before


@dataclass(frozen=True, kw_only=True, slots=True)
class LivenessFrame:
    """Whether everything that can be learned moves."""

    kind = "liveness"
    step: int
    names: tuple[str, ...]  # G: parameters, unknowns, and 'weight of TERM' where a rule balances
    sizes: Array  # [G] int64
    size: Array  # [G] root mean square of the values
    moved: Array  # [G] norm of the change since the last frame over the norm of the values; NaN at the first
    since_start: Array  # [G] the same since the first frame
    gradient: Array  # [G] norm of the weighted loss's gradient; NaN for what has none
    state: tuple[str, ...]  # G: 'moves', 'still', 'no gradient', 'not trained', 'out of range', 'not finite'


@dataclass(frozen=True, kw_only=True, slots=True)
class TimingFrame:
    """Where the time goes: seconds since the start, by part."""

    kind = "timing"
    step: int
    engine: str
    wall: float  # seconds since the run went on last, pauses excluded
    parts: Mapping[str, float]  # 'training', 'diagnostics', 'recording', 'waiting'
    step_parts: Mapping[str, float]  # seconds of one step: 'forward', 'backward', 'optimizer', 'balancing'; 'whole'
    diagnostics: Mapping[str, float]  # seconds by kind of frame
    observations: Mapping[str, int]  # how many of each


Frame = (ScalarsFrame | GradientsFrame | FieldsFrame | AlignmentFrame | SlopesFrame | ConditioningFrame
         | ActivationsFrame | StiffnessFrame | SpectrumFrame | LandscapeFrame | NtkFrame | StepCheckFrame
         | LivenessFrame | TimingFrame)
FRAMES: tuple[type[Frame], ...] = Frame.__args__
