"""What a session says: plain, frozen data that can cross a thread's or a process's border."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from core.frames import Frame, ScalarsFrame
from studio.findings import Finding


class RunState(StrEnum):
    """Where a session stands."""

    READY = "ready"  # built from an experiment, nothing started
    PREPARING = "preparing"  # torch is loading, the trainer is being built
    RUNNING = "running"
    PAUSED = "paused"  # by a person, after one step, or by the trainer on a NaN
    STOPPED = "stopped"  # ended early by a person; the run is kept
    FINISHED = "finished"
    FAILED = "failed"


#: The kinds of frames that panels draw over time; of all others only the newest is handed on.
HISTORIES = frozenset({"gradients", "alignment", "slopes", "conditioning", "activations", "stiffness", "ntk",
                       "step_check", "timing"})

#: Begins the names of the readings in which an optimizer says something of its last step, such as its damping.
METHOD = "optimizer "

#: States from which a session does not move again.
ENDED = frozenset({RunState.STOPPED, RunState.FINISHED, RunState.FAILED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """The state of a session, cheap enough to send thirty times a second."""

    state: RunState
    step: int
    total_steps: int  # of all phases
    steps_per_second: float = 0.0
    seconds: float = 0.0  # training time so far, pauses excluded
    seconds_left: float | None = None  # of the whole run; None where the pace of a phase to come is not known
    relative_l2: Mapping[str, float] = field(default_factory=dict)  # last known, by field
    readings: Mapping[str, float] = field(default_factory=dict)  # last known learned numbers
    losses: Mapping[str, float] = field(default_factory=dict)  # last known
    weights: Mapping[str, float] = field(default_factory=dict)
    learning_rate: float = 0.0
    balancing: str = "fixed"
    engine: str = "eager"  # 'eager' or 'compiled'
    findings: tuple[Finding, ...] = ()  # what the doctor finds now, the gravest first
    changes: tuple[str, ...] = ()  # what was changed while it trains and can be undone, in words, oldest first
    phase: int = 1  # of `phases`; the first is the experiment's own optimizer
    phases: int = 1
    phase_name: str = ""  # the optimizer that makes the steps, as its kind is called
    phase_step: int = 0  # steps made of this phase, of `phase_steps` at most
    phase_steps: int = 0
    phase_seconds_left: float | None = None
    doing: str = ""  # what a long step is about, and how much of that is done; '' for nothing
    busy: str = ""  # what is being computed on demand; '' for nothing
    run_file: str = ""  # where the run is recorded, once it is
    message: str = ""  # one sentence for the status bar; '' where there is nothing to say


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened to a run: one row of its journal."""

    step: int
    kind: str  # 'start', 'resumed' (from a file), 'stop', 'phase', 'done' (it ended by itself), 'engine', 'nan' ...
    text: str  # a sentence
    value: str = ""  # the argument as JSON, so that the journal can be replayed


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """What has happened since the last time somebody asked."""

    status: Status
    scalars: tuple[ScalarsFrame, ...] = ()  # every one since the last take, oldest first
    frames: Mapping[str, Frame] = field(default_factory=dict)  # the newest of each other kind that is new, by kind
    past: tuple[Frame, ...] = ()  # every new frame of the kinds in HISTORIES, oldest first, the newest included
    events: tuple[Event, ...] = ()
