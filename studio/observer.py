"""What is seen of a run while it trains: frames for whoever looks, for the file and for the doctor."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterable, Sequence, Set
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from core.device import on_cpu
from core.diagnostics.fields import FieldsDiagnostic
from core.diagnostics.gradients import GradientsDiagnostic, SymlogGrid
from core.diagnostics.stopping import Stop, never
from core.frames import Frame, ScalarsFrame
from core.trainer import Trainer
from studio.build import build_fields
from studio.doctor import Doctor
from studio.engines import Tell
from studio.experiment import Experiment
from studio.findings import Finding
from studio.instruments import PUNCTUAL, Instruments
from studio.messages import METHOD, Event
from studio.timing import Clock

DOCTOR_EVERY = 1.0  # seconds
ONCE = 2.0  # seconds that looks may take which no step follows
UNDISTURBED = 0.4  # of their share is what diagnostics take in a process of its own
T = TypeVar("T")


class Observer:
    """Diagnostics, clock and doctor of one run. `put` takes every frame, `tell` writes events into the journal.

    undisturbed: the run has a process of its own, so that nothing holds it up; diagnostics take less then.
    stop: whether a look that takes long is to be given up, because the run is to pause or to end.
    """

    def __init__(self, put: Callable[[Frame], None], tell: Tell, *, undisturbed: bool = False,
                 stop: Stop = never) -> None:
        self._put, self._tell, self._undisturbed, self._stop = put, tell, undisturbed, stop
        self.clock = Clock()
        self.findings: tuple[Finding, ...] = ()
        self.losses: dict[str, float] = {}  # last known, as the next two
        self.relative_l2: dict[str, float] = {}
        self.readings: dict[str, float] = {}
        self.instruments: Instruments | None = None
        self.doctor: Doctor | None = None
        self._points: Tensor | None = None  # the draws of the last step, where new ones are worth a word
        self._rarely_drawn = False
        self._error_due = False  # the next numbers are to have the error
        self.show = put  # takes a frame that is seen now, and is not to be kept
        self._next_look, self._next_time = 0, 0.0  # the step, and the seconds of training, at which one may be due
        self._next_doctor = 0.0

    def begin(self, experiment: Experiment, trainer: Trainer) -> None:
        """Diagnostics for a trainer; of another one of the same run where there was one. Raises ProblemError."""
        old = self.instruments
        gradients = GradientsDiagnostic() if old is None else old.gradients  # histograms of a run share their bins
        share = experiment.diagnostics.share * (UNDISTURBED if self._undisturbed else 1.0)
        self.instruments = Instruments(experiment, build_fields(experiment, trainer), gradients, share,
                                       self._stop)
        if old is not None:
            self.instruments.continue_from(old)
        if self.doctor is None:
            self.doctor = Doctor(experiment)
        else:
            self.doctor.change(experiment)
        self.findings, self._next_look = (), 0
        self.readings = self._without_method()
        every = experiment.sampling.every
        self._rarely_drawn = every >= 100 and every * 100 >= experiment.training.steps
        self._points = trainer.draws

    def watch(self, value: object) -> frozenset[str]:
        """The kinds that somebody looks at: they come more often than others. Raises ValueError for what are none."""
        if not isinstance(value, Iterable):
            raise ValueError(f"{value!r} are no kinds of frames")
        kinds = frozenset(map(str, value))
        self._next_look = 0
        if self.instruments is not None:
            self.instruments.in_sight = kinds
        return kinds

    @property
    def error_costs(self) -> float:
        """Seconds that the errors cost the last time; infinite where that is not known."""
        return math.inf if self.instruments is None else self.instruments.cost("error")

    @property
    def fields(self) -> FieldsDiagnostic:
        """Of the run; `begin` comes first."""
        assert self.instruments is not None
        return self.instruments.fields

    def show_fields(self, trainer: Trainer) -> None:
        """The fields now. Raises ProblemError and ValueError."""
        self.keep(self.fields.observe(on_cpu(trainer)))

    def look(self, trainer: Trainer, seconds: float, wanted: Set[str] | None, *, end: bool = False,
             single: bool = False) -> None:
        """Let those diagnostics look that are due; seconds: of training so far.

        wanted: the kinds that somebody looks at; None where everything is recorded. end: all of them, because no step
        will follow. single: those in sight, because somebody waits for the step.
        """
        instruments, step = self.instruments, trainer.iteration
        assert instruments is not None
        kinds = set(instruments.kinds) if wanted is None else {"error", *wanted}
        if single:
            kinds &= {*(wanted or ()), *PUNCTUAL}
        for kind in instruments.due(step, seconds, kinds, everything=end or single):
            if kind == "error":
                self._error_due = True
            else:
                self._observe(kind, trainer)
        for kind in instruments.glances(step, kinds):
            self._observe(kind, trainer, kept=False)
        self._next_look, self._next_time = instruments.next_look(step, kinds), instruments.next_time(kinds)

    def may_look(self, step: int, seconds: float) -> bool:
        """Whether something may be due; seconds: of training so far."""
        return step >= self._next_look or seconds >= self._next_time

    def look_once(self, trainer: Trainer, seconds: float, wanted: Set[str] | None, *, kept: bool = True) -> None:
        """Let those look that have not seen this step, because none follows for now. That takes a few seconds at most.

        wanted: as in `look`. kept: False where those that come at their cadence are only shown.
        """
        instruments, step = self.instruments, trainer.iteration
        if instruments is None or not step or not bool(torch.isfinite(trainer.theta).all()):
            return  # nothing was trained, or there is nothing to see
        kinds = set(instruments.kinds) if wanted is None else wanted
        for kind in instruments.once(step, seconds, kinds, ONCE):
            self._observe(kind, trainer, kept=kept or kind not in instruments.punctual)

    def _observe(self, kind: str, trainer: Trainer, *, kept: bool = True) -> None:
        """Let one look, and hand on what it has seen."""
        assert self.instruments is not None
        try:
            frame = self.instruments.observe(kind, on_cpu(trainer), kept=kept)
        except Exception as error:  # whoever looks must not end the run
            self.instruments.give_up(kind)
            self._tell("diagnostic", f"the diagnostic '{kind}' fails on this run and is left out from here on: {error}",
                       traceback.format_exc())
            return
        if frame is not None and kept:
            self.keep(frame)
        elif frame is not None:
            self.show(frame)

    def measure(self, trainer: Trainer, seconds: float, losses: Sequence[float], weights: Sequence[float],
                rate: float, *, evaluate: bool) -> None:
        """The numbers of the step just made; losses, weights and learning rate are those that made it.

        evaluate: whether errors and averages are computed whatever they cost.
        """
        terms, step = trainer.terms, trainer.iteration
        errors: dict[str, float] = {}
        assert self.instruments is not None
        if evaluate or self._error_due:
            self._error_due = False
            begun = time.perf_counter()
            seen = on_cpu(trainer)
            errors = self.fields.relative_l2(seen)
            self.readings |= self.fields.readings(seen)
            self.instruments.charge("error", time.perf_counter() - begun, step)
        own = {f"{METHOD}{name}": value for name, value in trainer.solver_readings.items()}
        targets = zip(terms, trainer.targets.tolist(), strict=True) if trainer.balancing.needs else ()
        frame = ScalarsFrame(step=step, seconds=seconds, losses=dict(zip(terms, losses, strict=True)),
                             weights=dict(zip(terms, weights, strict=True)), learning_rate=rate,
                             relative_l2=errors, targets=dict(targets),
                             readings={**self._without_method(), **trainer.readings(), **own})
        self.remember(frame)
        self.keep(frame)

    def remember(self, frame: ScalarsFrame) -> None:
        """The numbers that the status shows from now on; of a method only those of this frame's."""
        self.losses = dict(frame.losses)
        self.relative_l2 = dict(frame.relative_l2) or self.relative_l2
        self.readings = self._without_method() | dict(frame.readings)

    def _without_method(self) -> dict[str, float]:
        """The readings that are of no optimizer: those belong to one step of one method."""
        return {name: value for name, value in self.readings.items() if not name.startswith(METHOD)}

    def keep_bins(self, frame: Frame) -> None:
        """Histograms of one run share their bins, also after it was stopped; frame: one with histograms."""
        assert self.instruments is not None
        self.instruments.gradients.grid = SymlogGrid.of(frame)

    def keep(self, frame: Frame) -> None:
        """Hand on a frame, whoever made it."""
        self._consult(lambda doctor: doctor.see(frame))
        with self.clock.spent_on("recording"):
            self._put(frame)

    def event(self, event: Event) -> None:
        """The doctor reads the journal."""
        if event.kind not in ("finding", "doctor"):
            self._consult(lambda doctor: doctor.event(event))

    def from_time_to_time(self, trainer: Trainer, seconds: float, rate: float) -> None:
        """The doctor and the clock, about once a second; rate: steps per second."""
        if self._rarely_drawn and trainer.points is not self._points:
            if self._points is not None:
                self._tell("resampled", "drew its points anew")
            self._points = trainer.points
        now = time.perf_counter()
        if now >= self._next_doctor:
            self.examine(trainer.iteration)
        if now >= self.clock.next_frame and self.instruments is not None:
            self.keep(self.clock.frame(trainer, seconds, self.instruments.seconds, self.instruments.counts, rate))

    def examine(self, step: int) -> None:
        """What the doctor finds now. News go into the journal."""
        self._next_doctor = time.perf_counter() + DOCTOR_EVERY
        before = {finding.key for finding in self.findings}
        self.findings = self._consult(lambda doctor: doctor.findings(step)) or ()
        for finding in self.findings:
            if finding.key not in before:
                self._tell("finding", f"{finding.title}: {finding.text}", finding.to_json())

    def _consult(self, ask: Callable[[Doctor], T]) -> T | None:
        """Ask the doctor; where that fails, the run goes on without one, and the journal says why."""
        if self.doctor is None:
            return None
        try:
            with np.errstate(all="ignore"):  # frames may hold NaN and infinity
                return ask(self.doctor)
        except Exception as error:
            self.doctor = None
            self._tell("doctor", f"the doctor fails on this run and is left out from here on: {error}",
                       traceback.format_exc())
            return None
