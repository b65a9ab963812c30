"""How a run shows itself in a terminal: a bar that moves, or a line now and then, and numbers in words."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from studio.experiment import Experiment
from studio.messages import ENDED, METHOD, RunState, Status
from studio.phases import Place, kind_of, steps_of
from studio.run_layout import RunFileError
from studio.run_reader import Run

BAR = 20  # characters


def duration(seconds: float) -> str:
    """0:07, 12:30, 1:02:03."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def rate(steps_per_second: float) -> str:
    """512 steps/s, 4.3 steps/s."""
    return f"{steps_per_second:,.{0 if steps_per_second >= 10 else 1}f} steps/s"


def numbers(values: Mapping[str, float]) -> str:
    """residual 1.2e-01, boundary 3.4e-04."""
    return ", ".join(f"{name} {value:.2e}" for name, value in values.items())


def total_loss(status: Status) -> float | None:
    """What is minimised: the sum of weight times loss. None where nothing is known yet."""
    if not status.losses:
        return None
    return math.fsum(status.weights.get(term, 1.0) * loss for term, loss in status.losses.items())


def share(status: Status) -> float:
    """How much of a run is done, 0 to 1: of its steps or, where phases may end by their seconds, of its seconds."""
    if status.state is RunState.FINISHED:
        return 1.0
    of_steps = status.step / max(1, status.total_steps)
    known = status.phases > 1 and status.seconds_left is not None and status.seconds > 0
    of_seconds = status.seconds / (status.seconds + (status.seconds_left or 0.0)) if known else 0.0
    return min(1.0, max(of_steps, of_seconds))


def share_of_phase(status: Status, limit: float) -> float:
    """How much of the present phase is done, 0 to 1. limit: the seconds that it may take; 0 for no limit."""
    if status.state is RunState.FINISHED:
        return 1.0
    rest, rate, left = status.phase_steps - status.phase_step, status.steps_per_second, status.phase_seconds_left
    # what is left is the less of two; where it is that of the steps, it says nothing about the limit
    limited = limit > 0 and left is not None and (rate <= 0 or left < 0.999 * rest / rate)
    of_seconds = 1.0 - (left or 0.0) / limit if limited else 0.0
    return min(1.0, max(status.phase_step / max(1, status.phase_steps), of_seconds))


def standing(run: Run) -> dict[str, Any]:
    """Where a kept run is among its phases, as the fields of a Status, with the changes made while it trained.

    What of that is damaged is taken from the experiment: the rest of the run can be shown all the same.
    """
    experiment, place = run.experiment, Place()
    with suppress(RunFileError, ValueError):
        experiment = run.current
        checkpoint = run.latest_checkpoint()
        place = Place.from_meta(checkpoint[2]) if checkpoint is not None else place
    if place.phase > len(experiment.phases):
        place = Place()
    total = run.step if run.state == RunState.FINISHED else max(run.step, place.total(experiment))
    return {"total_steps": total, "phase": place.phase + 1, "phases": len(experiment.phases) + 1,
            "phase_name": place.kind or kind_of(experiment, place.phase), "phase_step": run.step - place.began,
            "phase_steps": steps_of(experiment, place.phase)}


def parts(status: Status) -> list[str]:
    """What there is to say about a status, the most important first."""
    said = [f"step {status.step:,}/{status.total_steps:,}"]
    if status.phases > 1:
        said.append(f"phase {status.phase}/{status.phases}")
    if status.state is RunState.PREPARING:
        said.append(status.message or "preparing")
    if status.doing:
        said.append(status.doing)
    if status.steps_per_second > 0:
        said.append(rate(status.steps_per_second))
    if status.state is RunState.RUNNING:
        if status.seconds_left is not None:
            said.append(f"{duration(status.seconds_left)} left")
        elif status.phase_seconds_left is not None:
            said.append(f"{duration(status.phase_seconds_left)} left of this phase")
    loss = total_loss(status)
    if loss is not None:
        said.append(f"loss {loss:.2e}")
    if status.relative_l2:
        several = len(status.relative_l2) > 1
        said.append(
            "error "
            + " ".join(f"{f} {e:.2e}" if several else f"{e:.2e}" for f, e in status.relative_l2.items())
        )
    return said


class Progress:
    """Writes to `stream`: one line that is redrawn where it is a terminal, else a line every `interval` seconds."""

    def __init__(
        self, stream: TextIO, *, interval: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._interval = interval
        self._clock = clock
        self._live = stream.isatty()
        self._shown = ""
        self._next = -math.inf
        self._state: RunState | None = None
        self._full, self._empty = ("█", "░") if _can_write(stream, "█░") else ("#", "-")

    def show(self, status: Status) -> None:
        """Draw the status, or nothing where it is not yet time for a line."""
        if self._live:
            self._draw(self._line(status, shutil.get_terminal_size().columns - 1))
            return
        now = self._clock()
        if now < self._next and status.state is self._state:
            return
        self._next, self._state = now + self._interval, status.state
        self._write(f"{100 * share(status):3.0f} %  " + "  ".join(parts(status)) + "\n")

    def say(self, text: str) -> None:
        """A line that stays."""
        self._draw("")
        self._write(f"{text}\n")

    def close(self) -> None:
        """Leave what was drawn last, and go to a line of its own."""
        if self._shown:
            self._write("\n")
        self._shown = ""

    def _line(self, status: Status, width: int) -> str:
        done = share(status)
        filled = round(BAR * done)
        bar = f"{self._full * filled}{self._empty * (BAR - filled)} {100 * done:3.0f} %"
        line = bar
        for part in parts(status):
            if len(line) + 2 + len(part) > width:
                break
            line += f"  {part}"
        return line[: max(0, width)]

    def _draw(self, line: str) -> None:
        if line != self._shown:
            self._write("\r" + line.ljust(len(self._shown)) + ("" if line else "\r"))
            self._shown = line

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _can_write(stream: TextIO, characters: str) -> bool:
    try:
        characters.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def result(experiment: Experiment, status: Status, path: Path | None, message: str = "") -> dict[str, Any]:
    """The JSON object of a run; a number that is not finite is null, which is what JSON has for it."""

    def finite(values: Mapping[str, float]) -> dict[str, float | None]:
        return {name: value if math.isfinite(value) else None for name, value in values.items()}

    return {
        "experiment": experiment.name,
        "label": experiment.label,
        "state": str(status.state),
        "engine": status.engine,
        "seed": experiment.training.seed,
        "steps": status.step,
        "seconds": status.seconds,
        "steps_per_second": status.step / status.seconds if status.seconds > 0 else 0.0,
        "losses": finite(status.losses),
        "relative_l2": finite(status.relative_l2),
        "readings": finite(status.readings),
        "run_file": str(path) if path is not None else None,
        "message": message,  # why it did not finish
    }


def report(experiment: Experiment, status: Status, path: Path | None) -> str:
    speed = rate(status.step / status.seconds) if status.seconds > 0 else "no time"
    lines = [
        f"{status.state}: {status.step:,} steps in {duration(status.seconds)} ({speed}, {status.engine}), "
        f"seed {experiment.training.seed}"
    ]
    if status.losses:
        lines.append(f"losses: {numbers(status.losses)}")
    if status.relative_l2:
        lines.append(f"relative L2 error: {numbers(status.relative_l2)}")
    learned = {name: value for name, value in status.readings.items() if not name.startswith(METHOD)}
    if learned:
        lines.append(f"learned: {numbers(learned)}")
    return "\n".join([*lines, f"kept in {path}"])


def summary(run: Run) -> str:
    """A run in words, for where there is no window."""
    made = run.created[:16].replace("T", " ")
    ended = run.state in {str(state) for state in ENDED}
    state = run.state if run.closed or ended else f"{run.state} when it was last written"
    experiment, where = run.experiment, standing(run)
    phase = f", phase {where['phase']} of {where['phases']} ({where['phase_name']})" if where["phases"] > 1 else ""
    rows = [
        ("experiment", " ".join(part for part in (experiment.name, experiment.label) if part)),
        ("title", experiment.title),
        ("run file", f"{run.path}, made {made} UTC"),
        (
            "state",
            f"{state}, step {run.step:,} of {where['total_steps']:,}{phase}, seed {experiment.training.seed}",
        ),
        (
            "training",
            duration(run.seconds) + (f", {rate(run.step / run.seconds)}" if run.seconds > 0 else ""),
        ),
    ]
    if run.scalars:
        rows += [("losses", numbers(run.scalars[-1].losses)), ("weights", numbers(run.scalars[-1].weights))]
        errors = next((s for s in reversed(run.scalars) if s.relative_l2), None)
        if errors is not None:
            rows.append(("relative L2", f"{numbers(errors.relative_l2)} at step {errors.step:,}"))
    kept = [f"{len(run.frame_steps(kind)):,} {kind}" for kind in ("gradients", "fields")]
    rows.append(("frames", ", ".join([f"{len(run.scalars):,} scalars", *kept])))
    rows.append(("machine", ", ".join(f"{name} {value}" for name, value in run.machine.items() if value)))
    lines = [f"{name:12}{text}" for name, text in rows if text]
    lines += [
        "journal",
        *(
            f"  {at[11:19]}  step {event.step:,}: {event.text}"
            for at, event in zip(run.event_times, run.events, strict=True)
        ),
    ]
    return "\n".join(lines)
