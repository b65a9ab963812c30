"""What looks at a training run, how often, and at what price."""

from __future__ import annotations

import time
from collections.abc import Mapping, Set
from typing import Any, Protocol

import numpy as np

from core.diagnostics.activations import ActivationsDiagnostic
from core.diagnostics.alignment import AlignmentDiagnostic
from core.diagnostics.conditioning import ConditioningDiagnostic
from core.diagnostics.fields import FieldsDiagnostic
from core.diagnostics.gradients import GradientsDiagnostic
from core.diagnostics.hessian import StiffnessDiagnostic
from core.diagnostics.liveness import LivenessDiagnostic
from core.diagnostics.ntk import NtkDiagnostic
from core.diagnostics.slopes import SlopesDiagnostic
from core.diagnostics.step_check import StepCheckDiagnostic
from core.frames import Frame
from core.trainer import Trainer
from studio.experiment import DiagnosticsSpec, Experiment

#: These come at their cadence, whatever they cost; the experiment says how often.
PUNCTUAL = ("gradients", "fields")
START = 0.4  # seconds that the others may take before the training has earned them any
MOST = 1.5  # seconds that can be saved up
LEAST = 1 / 3  # of the share: what is left to the others where the punctual ones use all of it
UNKNOWN = 0.05  # seconds that a first look is taken to cost
FIRST = 0.1  # seconds that it is charged at most: what it loads and builds will not come again
OLD = 0.3  # weight of the newest cost in the average


class Diagnostic(Protocol):
    """Looks at a trainer without changing it."""

    kind: str

    def observe(self, trainer: Trainer) -> Frame | None:
        """What there is to see now; None where this trainer has nothing of the kind."""
        ...


class Instruments:
    """The diagnostics of a run. `due` says which are to look after a step, `observe` lets one look.

    The punctual ones look at every multiple of their cadence. The others look when their cadence has passed and their
    price has been earned: diagnostics as a whole may take `share` of the time that the training takes. Of those that
    wait, the one that has taken least so far is next, so none starves: the dear ones look less often.
    """

    def __init__(self, experiment: Experiment, fields: FieldsDiagnostic,
                 gradients: GradientsDiagnostic | None = None) -> None:
        spec = experiment.diagnostics
        self.fields = fields
        self.gradients = gradients or GradientsDiagnostic()
        self.diagnostics: dict[str, Diagnostic] = {d.kind: d for d in (
            self.gradients, fields, AlignmentDiagnostic(), StepCheckDiagnostic(), SlopesDiagnostic(),
            ConditioningDiagnostic(), ActivationsDiagnostic(), LivenessDiagnostic(), StiffnessDiagnostic(),
            NtkDiagnostic(points=spec.ntk_points))}
        self.every = {kind: cadence_of(spec, kind) for kind in self.diagnostics}
        self.share = spec.share
        self.seconds = dict.fromkeys(self.diagnostics, 0.0)  # spent, by kind
        self.counts = dict.fromkeys(self.diagnostics, 0)
        self._cost: dict[str, float] = {}  # of one observation, averaged
        self._last = dict.fromkeys(self.diagnostics, -1)  # step of the last look
        self._absent: set[str] = set()  # kinds of which this trainer has nothing
        self._purse = START
        self._debt = 0.0  # what the punctual ones have cost and the training has not earned yet
        self._earned = 0.0  # training seconds that are already in the purse

    def continue_from(self, other: Instruments) -> None:
        """Go on with another trainer of the same run: what was spent and looked at stays known."""
        self.seconds, self.counts, self._cost, self._last = other.seconds, other.counts, other._cost, other._last
        self._purse, self._debt, self._earned = other._purse, other._debt, other._earned

    def due(self, step: int, training_seconds: float, wanted: Set[str], *, everything: bool = False) -> list[str]:
        """The kinds of `wanted` that are to look now. everything: all of them, whatever it costs."""
        self._earn(training_seconds)
        kinds = [kind for kind in self.diagnostics if kind in wanted and self.every[kind] and kind not in self._absent]
        if everything:
            return [kind for kind in kinds if self._last[kind] != step]
        out = [kind for kind in kinds if kind in PUNCTUAL and step % self.every[kind] == 0]
        waiting = [kind for kind in kinds if kind not in PUNCTUAL
                   and (self._last[kind] < 0 or step - self._last[kind] >= self.every[kind])]
        purse = self._purse
        for kind in sorted(waiting, key=self.seconds.__getitem__):
            cost = self._cost.get(kind, UNKNOWN)
            if cost > purse:
                break  # it is next; what has had more already must not get ahead of it for ever
            purse -= cost
            out.append(kind)
        return out

    def next_look(self, step: int, wanted: Set[str]) -> int:
        """The first step after this one at which something may be due, so that others need not ask."""
        kinds = [k for k in self.diagnostics if k in wanted and self.every[k] and k not in self._absent]
        nearest = step + 1_000_000
        for kind in kinds:
            every = self.every[kind]
            if kind in PUNCTUAL:
                nearest = min(nearest, (step // every + 1) * every)
            else:
                nearest = min(nearest, max(self._last[kind] + every, step + 10))
        return nearest

    def observe(self, kind: str, trainer: Trainer) -> Frame | None:
        """Let one look, and charge it."""
        begun = time.perf_counter()
        with np.errstate(all="ignore"):  # what overflows is shown as such
            frame = self.diagnostics[kind].observe(trainer)
        cost = time.perf_counter() - begun
        if frame is None and trainer.iteration > 1:
            self._absent.add(kind)
        self.seconds[kind] += cost
        self.counts[kind] += frame is not None
        old = self._cost.get(kind)
        # the first time also loads and builds what will not be built again
        self._cost[kind] = min(cost, MOST) if old is None else old + OLD * (min(cost, MOST) - old)
        self._last[kind] = trainer.iteration
        if old is None:
            cost = min(cost, FIRST)
        if kind in PUNCTUAL:
            self._debt += cost
        else:
            self._purse -= cost
        return frame

    def give_up(self, kind: str) -> None:
        """A kind that fails on this trainer does not look again."""
        self._absent.add(kind)

    def _earn(self, training_seconds: float) -> None:
        gain = max(0.0, training_seconds - self._earned)
        self._earned = max(self._earned, training_seconds)
        paid = min(self._debt, (1 - LEAST) * self.share * gain)
        self._debt -= paid
        self._purse = min(MOST, self._purse + self.share * gain - paid)


def cadence_of(spec: DiagnosticsSpec, kind: str) -> int:
    """Steps between two frames of a kind; 0 for never."""
    return int(getattr(spec, f"{kind}_every"))


def options_of(value: object) -> tuple[str, Mapping[str, Any]]:
    """(kind, options) of a command. Raises ValueError."""
    if (isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)
            and isinstance(value[1], Mapping)):
        return value[0], value[1]
    raise ValueError(f"{value!r} is no kind of frame with options")
