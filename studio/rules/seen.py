"""What the doctor keeps of a run: bounded, and small enough to look through once a second."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from core.choices import FIRST_ORDER, RECOVERY
from core.frames import (
    ActivationsFrame,
    AlignmentFrame,
    Array,
    FieldsFrame,
    Frame,
    GradientsFrame,
    LivenessFrame,
    ScalarsFrame,
    SlopesFrame,
    StiffnessFrame,
)
from studio.experiment import Experiment
from studio.messages import Event
from studio.rules.picture import Picture

MOST = 1024  # scalars and errors kept; of the older half every other one goes when there are more
LOOKS = 8  # frames of each other kind
EVENTS = 64


@dataclass(frozen=True)
class Pull:
    """What the doctor keeps of a GradientsFrame."""

    step: int
    terms: tuple[str, ...]
    norms: Array  # [T] of the raw gradient over all weight matrices
    weights: Array  # [T]
    silent: Array  # [T] bool: every entry of every matrix is exactly zero

    @classmethod
    def of(cls, frame: GradientsFrame) -> Pull:
        return cls(frame.step, frame.terms, np.sqrt((frame.norm**2).sum(1)), frame.weights,
                   (frame.zero_share == 1).all(1))


class Seen:
    """The history of one run under one experiment. Arrays are over the kept steps, oldest first."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.residual_terms = frozenset(r.term for r in experiment.problem.residuals)
        self.equations = {r.name: r for r in experiment.problem.residuals}
        self.total = experiment.training.steps
        self.began = -1  # the first step that was seen
        self.step = 0
        self.number = 0  # how many frames were seen
        self.events: deque[Event] = deque(maxlen=EVENTS)
        self.first: ScalarsFrame | None = None
        self.scalars: list[ScalarsFrame] = []
        self.errors: list[tuple[int, float]] = []  # (step, the largest relative L2 error of all fields)
        self.pictures: deque[Picture] = deque(maxlen=LOOKS)
        self.pulls: deque[Pull] = deque(maxlen=LOOKS)
        self.alignments: deque[AlignmentFrame] = deque(maxlen=LOOKS)
        self.activations: deque[ActivationsFrame] = deque(maxlen=LOOKS)
        self.slopes: deque[SlopesFrame] = deque(maxlen=LOOKS)
        self.stiffness: deque[StiffnessFrame] = deque(maxlen=LOOKS)
        self.liveness: deque[LivenessFrame] = deque(maxlen=LOOKS)
        self._arrays: dict[str, Array] = {}

    def add(self, frame: Frame) -> None:
        """Take in a frame of any kind; those that no rule asks for are only counted."""
        self.number += 1
        self.step = max(self.step, frame.step)
        self.began = frame.step if self.began < 0 else self.began
        match frame:
            case ScalarsFrame():
                self._add_scalars(frame)
            case FieldsFrame():
                self.pictures.append(Picture.of(frame))
            case GradientsFrame():
                self.pulls.append(Pull.of(frame))
            case AlignmentFrame():
                self.alignments.append(frame)
            case ActivationsFrame():
                self.activations.append(frame)
            case SlopesFrame():
                self.slopes.append(frame)
            case StiffnessFrame():
                self.stiffness.append(frame)
            case LivenessFrame():
                self.liveness.append(frame)
            case _:
                pass

    def _add_scalars(self, frame: ScalarsFrame) -> None:
        self.first = self.first or frame
        self._arrays.clear()
        self.scalars.append(frame)
        known = [value for name, value in frame.relative_l2.items() if not name.endswith("(interior)")]
        if known:
            self.errors.append((frame.step, max(known)))
        if len(self.scalars) > MOST:
            self.scalars[: MOST // 2] = self.scalars[: MOST // 2 : 2]
        if len(self.errors) > MOST:
            self.errors[: MOST // 2] = self.errors[: MOST // 2 : 2]

    # ------------------------------------------------------------------ what rules ask

    @property
    def now(self) -> ScalarsFrame | None:
        """The newest scalars."""
        return self.scalars[-1] if self.scalars else None

    @property
    def made(self) -> int:
        """Steps since the doctor began to look, or since the experiment was changed."""
        return self.step - max(self.began, 0)

    @property
    def second_order_follows(self) -> bool:
        """Whether this phase is of first order and a later one is not. The journal says which one it is."""
        number = 1
        for event in self.events:
            with suppress(ValueError, KeyError, TypeError):  # of a file that anybody may have written
                number = int(json.loads(event.value)["phase"]) if event.kind == "phase" else number
        later = self.experiment.phases[max(0, number - 1):]
        return self.experiment.optimizer.kind in FIRST_ORDER and any(
            phase.optimizer.kind not in FIRST_ORDER for phase in later)

    @property
    def error(self) -> float:
        """The last known relative L2 error, the largest of all fields; NaN where none is known."""
        return self.errors[-1][1] if self.errors else math.nan

    @property
    def terms(self) -> tuple[str, ...]:
        """The loss terms that are trained: without recovery, and without what has no weight."""
        now = self.now
        return tuple(t for t in now.losses if t != RECOVERY and now.weights.get(t, 0.0) > 0) if now else ()

    def steps(self) -> Array:
        """[n] of the kept scalars."""
        return self._cached("steps", lambda: [f.step for f in self.scalars])

    def loss(self, term: str) -> Array:
        """[n] raw losses of a term; NaN where one is missing."""
        return self._cached(f"loss {term}", lambda: [f.losses.get(term, math.nan) for f in self.scalars])

    def weight(self, term: str) -> Array:
        """[n] weights of a term."""
        return self._cached(f"weight {term}", lambda: [f.weights.get(term, math.nan) for f in self.scalars])

    def whole(self) -> Array:
        """[n] the weighted loss of all terms, every one with the weights of now, so that steps can be compared."""
        now = self.now
        if now is None:
            return np.zeros(0)
        if "whole" not in self._arrays:  # all zeros, one for each of the scalars, where no term has a weight
            nothing = np.zeros(len(self.scalars))
            self._arrays["whole"] = sum((now.weights[t] * self.loss(t) for t in self.terms), nothing)
        return self._arrays["whole"]

    def recent(self, values: Array, share: float) -> Array:
        """The part of an array over the scalars that is of the last `share` of the steps made."""
        return values[self.steps() > self.step - share * self.made]

    def _cached(self, key: str, make: object) -> Array:
        if key not in self._arrays:
            self._arrays[key] = np.array(make(), dtype=np.float64)  # type: ignore[operator]
        return self._arrays[key]


def level(values: Array | Sequence[float]) -> float:
    """The median of the finite values; NaN without any."""
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    return float(np.median(array)) if len(array) else math.nan


def gain(values: Array) -> float:
    """By what factor positive values fell from their first quarter to their last, by medians; NaN for fewer than 8."""
    quarter = len(values) // 4
    if quarter < 2:
        return math.nan
    late = level(values[-quarter:])
    return level(values[:quarter]) / late if late > 0 else math.nan


def jump(values: Array) -> float:
    """How far positive values jump from one record to the next: the median |change| in decades."""
    fine = values[np.isfinite(values) & (values > 0)]
    return float(np.median(np.abs(np.diff(np.log10(fine))))) if len(fine) > 8 else math.nan
