"""Curves of the fields over one input: what stands in the boxes, and on which axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from core.frames import Array, FieldsFrame
from ui.panels.panel import Lane
from ui.plots.fields import finite_ends
from ui.plots.levels import SlowLimit, SlowRange
from ui.plots.profiles import Box, Line, Profile, error_range
from ui.plots.ticks import nice_step
from ui.theme import Theme, mix

EARLIER = 3  # states of before that stay, faint
FAINT = (0.5, 0.34, 0.22)  # the latest of them first


class Snapshots:
    """The frames of a lane at round steps (1, 2, 5 times a power of ten), the newest few of them."""

    def __init__(self) -> None:
        self._kept: list[FieldsFrame] = []
        self._last = 0

    def add(self, frame: FieldsFrame) -> None:
        """Keep the first frame at or after each round step."""
        if frame.step > self._last and round_step(frame.step) > self._last:
            self._kept = [*self._kept, frame][-EARLIER - 1:]
        self._last = frame.step

    def before(self, step: int) -> list[FieldsFrame]:
        """At most three, the latest first."""
        return [frame for frame in reversed(self._kept) if frame.step < step][:EARLIER]


def round_step(step: int) -> int:
    """The last of 1, 2, 5, 10, 20, 50, ... that is not above `step` >= 1."""
    power: int = 10 ** (len(str(step)) - 1)
    return power * (5 if step >= 5 * power else 2 if step >= 2 * power else 1)


class ProfileMaker:
    """Makes the boxes of every lane; its axes hold still while the curves move."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget the axes; the next curves set them anew."""
        self._values = SlowRange(0.1, patience=5)
        self._errors: dict[int, SlowRange] = {}
        self._residuals: dict[int, SlowLimit] = {}

    def make(self, lanes: Sequence[Lane], frames: dict[int, FieldsFrame], earlier: dict[int, Snapshots],
             names: Sequence[str], equation: str, theme: Theme, *, shared: bool) -> list[Profile]:
        """A profile for each lane: the fields `names` in one box, their errors, and the residual of `equation`."""
        out = []
        color = field_colors(theme, len(names))
        for lane in lanes:
            problem = lane.experiment.problem
            (name, ends), *_ = problem.domain.items()
            profile = Profile(lane.label, input=name, ends=(float(ends[0]), float(ends[1])))
            frame = frames.get(lane.index)
            values = Box(", ".join(names), share=1.6, legend=True)
            profile.boxes = [values]
            known = [n for n in names if (n in frame.exact if frame else n in problem.exact)]
            error = Box("|error|", low=-3, high=0, logarithmic=True)
            residual = Box(f"residual {equation}".strip())
            profile.boxes += [error] if known else []
            profile.boxes += [residual] if equation else []
            if frame is not None:
                profile.note, profile.grid = f"step {frame.step:,}", frame.axes[0]
                old = earlier[lane.index].before(frame.step) if len(names) == 1 else []
                for share, state in zip(FAINT, old, strict=False):
                    if names[0] in state.prediction:
                        faint = mix(color(0), theme.plot, share)
                        values.lines.append(Line(f"step {state.step:,}", state.prediction[names[0]], faint, thin=True))
                        if names[0] in state.error:
                            error.lines.append(Line(f"step {state.step:,}", state.error[names[0]], faint, thin=True))
                for place, field in enumerate(names):
                    word = "prediction" if len(names) == 1 else field
                    if field in frame.prediction:
                        values.lines.insert(place, Line(word, frame.prediction[field], color(place), front=True))
                    if field in frame.error:
                        error.lines.insert(place, Line(word, frame.error[field], color(place), front=True))
                values.lines[len(names):len(names)] = [
                    Line(f"exact {field}" if place else "exact", frame.exact[field], theme.text, thin=True, front=True)
                    for place, field in enumerate(known)]
                if equation in frame.residuals:
                    residual.lines = [Line("residual", frame.residuals[equation], color(0))]
            out.append(profile)
        self._set_axes(lanes, out, shared)
        return out

    def _set_axes(self, lanes: Sequence[Lane], profiles: Sequence[Profile], shared: bool) -> None:
        every = [line.values for profile in profiles for line in profile.boxes[0].lines]
        low, high = finite_ends(every)
        if high - low < 1e-12 * max(abs(low), abs(high), 1e-300):  # a constant
            low, high = low - 0.5 * max(abs(low), 1e-6), high + 0.5 * max(abs(high), 1e-6)
        self._values.grain = nice_step(high - low, 20)
        margin = 0.03 * (high - low)
        self._values.update(low - margin, high + margin)
        keys = [-1 if shared else lane.index for lane in lanes]
        for key, group in _grouped(keys, profiles).items():
            errors = [line.values for p in group for b in p.boxes if b.logarithmic for line in b.lines]
            residuals = [line.values for p in group for b in p.boxes[1:] if not b.logarithmic for line in b.lines]
            error = self._errors.setdefault(key, SlowRange(0.5, patience=5))
            error.update(*error_range(errors))
            top = max(map(abs, finite_ends(residuals)))
            limit = self._residuals.setdefault(key, SlowLimit(patience=3))
            if residuals:
                limit.update(top)
            for profile in group:
                for place, box in enumerate(profile.boxes):
                    if place == 0:
                        box.low, box.high = _known(self._values.low, self._values.high, -1.0, 1.0)
                    elif box.logarithmic:
                        box.low, box.high = _known(error.low, error.high, -3.0, 0.0)
                    else:
                        span = 1.0 if math.isnan(limit.value) else limit.value
                        box.low, box.high = -span, span


def field_colors(theme: Theme, count: int) -> Callable[[int], str]:
    """The color of each of so many fields."""
    return (lambda index: theme.accent) if count == 1 else theme.field


def _grouped(keys: Sequence[int], profiles: Sequence[Profile]) -> dict[int, list[Profile]]:
    out: dict[int, list[Profile]] = {}
    for key, profile in zip(keys, profiles, strict=True):
        out.setdefault(key, []).append(profile)
    return out


def _known(low: float, high: float, *instead: float) -> tuple[float, float]:
    return (low, high) if math.isfinite(low) and math.isfinite(high) else (instead[0], instead[1])


def upright(frame: FieldsFrame, array: Array | None) -> Array | None:
    """An array [across, upwards] of a frame over two inputs: time runs across, as papers draw it."""
    return None if array is None else np.asarray(array).T if turned(frame.inputs) else array


def turned(inputs: Sequence[str]) -> bool:
    """Whether the second input is drawn across."""
    return len(inputs) == 2 and inputs[1] == "t" and inputs[0] != "t"
