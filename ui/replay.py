"""What a kept run looks like to a panel: the same update that a session would have given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.experiment import Experiment
from studio.messages import ENDED, Event, RunState, Status, Update
from studio.runfile import load_run


@dataclass(frozen=True)
class Replay:
    """A run that is over: its experiment, everything that was recorded, and the newest frame of each kind."""

    path: Path
    experiment: Experiment
    update: Update


def replay(path: Path) -> Replay:
    """Read a run file. Raises RunFileError with a sentence. Takes seconds for a long run: not on the GUI thread."""
    run = load_run(path)
    errors: dict[str, float] = {}
    readings: dict[str, float] = {}
    for frame in run.scalars:
        errors.update(frame.relative_l2)
        readings.update(frame.readings)
    last = run.scalars[-1] if run.scalars else None
    frames = {}
    for kind in ("gradients", "fields"):
        steps = run.frame_steps(kind)
        if steps:
            frames[kind] = run.frame(kind, steps[-1])
    # a run whose writer was killed still says 'running'; nothing runs here
    state = RunState(run.state) if run.state in {str(one) for one in ENDED} else RunState.STOPPED
    status = Status(
        state=state, step=run.step, total_steps=run.experiment.training.steps, seconds=run.seconds,
        steps_per_second=run.step / run.seconds if run.seconds > 0 else 0.0, relative_l2=errors, readings=readings,
        losses=last.losses if last else {}, weights=last.weights if last else {},
        learning_rate=last.learning_rate if last else run.experiment.optimizer.learning_rate,
        balancing=run.experiment.balancing.rule, engine=_engine(run.events),
    )
    return Replay(path, run.experiment, Update(status=status, scalars=run.scalars, frames=frames, events=run.events))


def _engine(events: Sequence[Event]) -> str:
    """The engine that made the last steps, as the journal tells it."""
    told = next((event.text for event in reversed(events) if event.kind in ("engine", "start")), "")
    return "compiled" if "compiled" in told else "eager"
