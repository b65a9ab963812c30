"""What a kept run looks like to a panel: the same update that a session would have given."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.frames import FRAMES, Frame
from studio.experiment import Experiment
from studio.messages import ENDED, HISTORIES, Event, RunState, Status, Update
from studio.progress import standing
from studio.runfile import Run, RunFileError, load_run

MOST_PAST = 400  # frames of each kind that are drawn over time; as many as a panel keeps

#: Every kind of frame that a run file has frames of, in the order of their definition.
KINDS = tuple(frame.kind for frame in FRAMES if frame.kind != "scalars")


@dataclass(frozen=True)
class Replay:
    """A run that is over: its experiment, everything that was recorded, and the newest frame of each kind."""

    path: Path
    experiment: Experiment
    update: Update
    run: Run


def replay(path: Path) -> Replay:
    """Read a run file. Raises RunFileError with a sentence. Takes seconds for a long run: not on the GUI thread."""
    run = load_run(path)
    errors: dict[str, float] = {}
    readings: dict[str, float] = {}
    for scalars in run.scalars:
        errors.update(scalars.relative_l2)
        readings.update(scalars.readings)
    last = run.scalars[-1] if run.scalars else None
    frames: dict[str, Frame] = {}
    past: list[Frame] = []
    for kind in KINDS:
        steps = run.frame_steps(kind)
        if kind in HISTORIES:
            kept = [run.frame(kind, step) for step in thinned(steps, MOST_PAST)]
            past += kept
            if kept:
                frames[kind] = kept[-1]
        elif steps:
            frames[kind] = run.frame(kind, steps[-1])
    past.sort(key=lambda frame: frame.step)  # stable: frames of one step stay in the order of their kinds
    # a run whose writer was killed still says 'running'; nothing runs here
    state = RunState(run.state) if run.state in {str(one) for one in ENDED} else RunState.STOPPED
    where, now = standing(run), run.experiment
    with suppress(RunFileError, IndexError):  # of a damaged journal the experiment as it began is shown
        now = run.current.in_phase(where["phase"] - 1)
    status = Status(
        state=state, step=run.step, **where, seconds=run.seconds,
        steps_per_second=run.step / run.seconds if run.seconds > 0 else 0.0, relative_l2=errors, readings=readings,
        losses=last.losses if last else {}, weights=last.weights if last else {},
        learning_rate=last.learning_rate if last else now.optimizer.learning_rate,
        balancing=now.balancing.rule, engine=_engine(run.events), run_file=str(path),
    )
    update = Update(status=status, scalars=run.scalars, frames=frames, past=tuple(past), events=run.events)
    return Replay(path, run.experiment, update, run)


def thinned(steps: Sequence[int], most: int) -> list[int]:
    """At most so many of the steps, evenly spaced in their order, the first and the last among them."""
    if len(steps) <= most:
        return list(steps)
    return [steps[round(place * (len(steps) - 1) / (most - 1))] for place in range(most)]


def _engine(events: Sequence[Event]) -> str:
    """The engine that made the last steps, as the journal tells it."""
    told = next((event.text for event in reversed(events) if event.kind in ("engine", "start")), "")
    return "compiled" if "compiled" in told else "eager"
