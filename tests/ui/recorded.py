"""A run file with made-up frames, for the tests of what goes back in time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from studio import gallery
from studio.messages import Event
from studio.runfile import RunFile
from tests.ui import samples


def record(path: Path, steps: Iterable[int], lane: int = 0, fields_every: int = 200, close: bool = True) -> RunFile:
    """Gradients at each of the steps, fields at every one that `fields_every` divides, scalars, and a journal."""
    experiment = gallery.load("quick").lanes()[lane]
    file = RunFile.create(path, experiment)
    add(file, steps, lane, fields_every)
    file.add_event(Event(step=0, kind="start", text="starts on the eager engine, seed 0"))
    file.add_event(Event(step=300, kind="balancing", text="balancing set to fixed"))
    file.set_state("finished", max(steps), 12.0)
    file.commit()
    if close:
        file.close()
    return file


def add(file: RunFile, steps: Iterable[int], lane: int = 0, fields_every: int = 200) -> None:
    """More frames; `commit` writes them."""
    for step in steps:
        file.add_frame(samples.gradients_frame(lane, step))
        if step % fields_every == 0:
            file.add_frame(samples.fields_frame(lane, step, grid=20))
    file.add_scalars(samples.scalars(lane, 20, 100))
