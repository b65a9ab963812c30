"""Curves of the fields over one input: what stands in the boxes, and on which axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from core.frames import Array, FieldsFrame
from ui.panels.panel import Lane
from ui.plots.cuts import Cut
from ui.plots.cuts import section as cut_through
from ui.plots.field_rows import Column, Row
from ui.plots.fields import finite_ends
from ui.plots.levels import SlowLimit, SlowRange
from ui.plots.profiles import Box, Line, Profile, error_range
from ui.plots.ticks import nice_step, number
from ui.theme import Theme, lane_style, mix

EARLIER = 3  # states of before that stay, faint
FAINT = (0.5, 0.34, 0.22)  # the latest of them first


class Snapshots:
    """The frames of a lane at round steps (1, 2, 5 times a power of ten), the newest few of them."""

    def __init__(self) -> None:
        self._kept: list[FieldsFrame] = []
        self._last = 0

    def add(self, frame: FieldsFrame) -> None:
        """Keep the first frame at or after each round step. Those of another slice are forgotten."""
        if self._kept and (self._kept[-1].inputs, self._kept[-1].fixed) != (frame.inputs, frame.fixed):
            self._kept = []
        if frame.step > self._last and round_step(frame.step) > self._last:
            self._kept = [*self._kept, frame][-EARLIER - 1:]
        self._last = frame.step

    def before(self, step: int) -> list[FieldsFrame]:
        """At most three, the latest first."""
        return [frame for frame in reversed(self._kept) if frame.step < step][:EARLIER]

    def behind(self, frame: FieldsFrame) -> list[FieldsFrame]:
        """At most three states before a frame, of the same slice."""
        return [one for one in self.before(frame.step) if (one.inputs, one.fixed) == (frame.inputs, frame.fixed)]


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

    def make(self, lanes: Sequence[Lane], frames: Mapping[int, FieldsFrame], earlier: Mapping[int, Snapshots],
             names: Sequence[str], equation: str, theme: Theme, *, shared: bool) -> list[Profile]:
        """A profile for each lane: the fields `names` in one box, their errors, and the residual of `equation`."""
        out = []
        color = field_colors(theme, len(names))
        for lane in lanes:
            problem = lane.experiment.problem
            frame = frames.get(lane.index)
            name = frame.inputs[0] if frame else next(iter(frames.values())).inputs[0] if frames else [
                *problem.domain][0]
            ends = problem.domain[name]
            profile = Profile(lane.label, input=name, ends=(float(ends[0]), float(ends[1])))
            values = Box(", ".join(names), share=1.6, legend=True)
            profile.boxes = [values]
            known = [n for n in names if (n in frame.exact if frame else n in problem.exact)]
            error = Box("|error|", low=-3, high=0, logarithmic=True)
            residual = Box(f"residual {equation}".strip())
            profile.boxes += [error] if known else []
            profile.boxes += [residual] if equation else []
            if frame is not None:
                profile.note, profile.grid = f"step {frame.step:,}", frame.axes[0]
                profile.where = held_words(frame.fixed)
                old = earlier[lane.index].behind(frame) if len(names) == 1 else []
                for share, state in zip(FAINT, old, strict=False):
                    earlier_values = predicted(state, names[0])
                    if earlier_values is not None:
                        faint = mix(color(0), theme.plot, share)
                        values.lines.append(Line(f"step {state.step:,}", earlier_values, faint, thin=True))
                        if names[0] in state.error:
                            error.lines.append(Line(f"step {state.step:,}", state.error[names[0]], faint, thin=True))
                for place, field in enumerate(names):
                    word = "prediction" if len(names) == 1 else field
                    now = predicted(frame, field)
                    if now is not None:
                        values.lines.insert(place, Line(word, now, color(place), front=True))
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


def predicted(frame: FieldsFrame, name: str) -> Array | None:
    """What the network says of a field, a quantity or a derivative; None where the frame has it not."""
    return frame.prediction.get(name, frame.derivatives.get(name))


def held_words(fixed: Mapping[str, float]) -> str:
    """'at z = 0.5' for the inputs that are held; shorter where many have the same value; '' for none."""
    values = {name: number(value, 4) for name, value in fixed.items()}
    if len(values) > 3 and len(set(values.values())) == 1:
        first, *_, last = values
        stems = {name.rstrip("0123456789") for name in values}
        counts = [name.removeprefix(next(iter(stems))) for name in values] if len(stems) == 1 else [""]
        row = all(counts) and [int(count) for count in counts] == [int(counts[0]) + k for k in range(len(counts))]
        names = f"{first}, ..., {last}" if row else ", ".join(values) if len(values) < 7 else f"{len(values)} others"
        return f"at {names} = {values[first]}"
    return f"at {', '.join(f'{name} = {value}' for name, value in values.items())}" if values else ""


def cut_profile(cut: Cut, lanes: Sequence[Lane], rows: Sequence[Row], columns: Sequence[Column], name: str,
                theme: Theme) -> tuple[Profile, Cut]:
    """What stands along a cut through the maps, on the maps' own scales: values, error and residual; and the cut,
    where it lies on the grid.

    The lanes are in the same boxes, the first solid, the second dashed; the exact solution is that of the first.
    """
    first = next(row for row in rows if row.values)
    section = cut_through(cut, first.inputs, first.axes)
    axis = section.coordinate
    profile = Profile("", input=section.name, ends=(float(axis[0]), float(axis[-1])), grid=axis, where=section.where)
    profile.foot = f"{section.name} {'along' if section.cut.kind == 'free' else 'at'} {section.where}"
    boxes: dict[str, Box] = {}
    several = len(rows) > 1
    for place, column in enumerate(columns):
        kind = "value" if column.kind == "signed" else column.kind
        if kind not in boxes:
            title = name if kind == "value" else "|error|" if kind == "error" else column.name
            low, high = min(low for low, _ in column.levels), max(high for _, high in column.levels)
            margin = 0.03 * (high - low) if kind == "value" else 0.0
            boxes[kind] = Box(title, low=low - margin, high=high + margin, logarithmic=column.logarithmic,
                              share=1.6 if kind == "value" else 1.0, legend=kind == "value" or several)
        exact = kind == "value" and bool(boxes[kind].lines)
        for lane, row in zip(lanes, rows, strict=True):
            values = row.values[place] if place < len(row.values) else None
            if values is None:
                continue
            own = cut_through(cut, row.inputs, row.axes)
            curve = own.take(values)
            if len(curve) != len(axis):  # a lane with a grid of its own
                curve = np.interp(axis, own.coordinate, curve)
            if exact:
                boxes[kind].lines.append(Line(column.name.split()[0], curve, theme.text, thin=True, front=True))
                break
            word = lane.label if several else {"value": "prediction"}.get(kind, kind)
            boxes[kind].lines.append(Line(word, curve, theme.accent, front=True, style=lane_style(lane.index)))
    profile.boxes = list(boxes.values())
    return profile, section.cut


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
