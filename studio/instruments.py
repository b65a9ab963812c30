"""What looks at a training run, how often, and at what price."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence, Set
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
from core.diagnostics.stopping import Stop, Stopped, never
from core.frames import Frame
from core.trainer import Trainer
from studio.experiment import DiagnosticsSpec, Experiment

#: Where a run keeps one engine from first step to last, so that it can be repeated bit for bit, these come at every
#: multiple of their cadence, whatever they cost. Elsewhere they wait for their price like all others.
PUNCTUAL = ("error", "gradients", "fields")
#: How much of the diagnostics' time a kind may have beside the others; one that somebody looks at three times as much.
WEIGHTS = {"error": 5.0, "fields": 4.0, "gradients": 3.0, "stiffness": 3.0}
IN_SIGHT = 3.0
START = 5.0  # seconds of training whose share may be taken before the training has earned any
SAVED = 1.5  # looks that a kind can save up for; what it would earn beyond goes to the others
LEAST = 1 / 4  # of the share: what is left to the others where the punctual ones use all of it
#: How much more than a look at the gradients a first look is taken to cost; 3 times where nothing is said.
GUESSES = {"stiffness": 60.0, "fields": 8.0, "ntk": 4.0, "gradients": 1.0}
MOST_GUESSED = 0.3  # seconds; a guess must not keep a kind from ever looking
GRADIENTS = 0.01  # seconds that the first look at the gradients is taken to cost
FIRST = 0.1  # seconds that a first look is charged at most: what it loads and builds will not come again
OLD = 0.3  # weight of the newest cost in the average
#: Seconds of training after which a kind may look again though its cadence has not passed: steps may be long ones.
LATER = 3.0
AGAIN = 0.3  # seconds of training between two askings whether one may
AT_ONCE = 1.0  # a first look at another method that costs more, in seconds, waits until it is earned


class Diagnostic(Protocol):
    """Looks at a trainer without changing it."""

    kind: str

    def observe(self, trainer: Trainer) -> Frame | None:
        """What there is to see now; None where this trainer has nothing of the kind."""
        ...


class Instruments:
    """The diagnostics of a run. `due` says which are to look after a step, `observe` lets one look.

    A kind looks when its cadence has passed and its price has been earned: diagnostics as a whole may take `share` of
    the time that the training takes, and each kind saves its part of that in an account of its own, so that none
    starves and none waits for another: the dear ones look less often. One that somebody looks at looks for the first
    time without waiting. Where steps are long, `LATER` seconds are enough in the place of a cadence; of one engine
    from first to last only for what is in sight, so that what is recorded depends on the steps alone. 'error', the
    relative L2 error, is one of them, though it makes no frame. stop: asked while a look takes long.
    """

    def __init__(self, experiment: Experiment, fields: FieldsDiagnostic,
                 gradients: GradientsDiagnostic | None = None, share: float | None = None, stop: Stop = never) -> None:
        spec = experiment.diagnostics
        self.fields = fields
        self.gradients = gradients or GradientsDiagnostic()
        self.diagnostics: dict[str, Diagnostic] = {d.kind: d for d in (
            self.gradients, fields, AlignmentDiagnostic(), StepCheckDiagnostic(), SlopesDiagnostic(),
            ConditioningDiagnostic(), ActivationsDiagnostic(), LivenessDiagnostic(), StiffnessDiagnostic(stop=stop),
            NtkDiagnostic(points=spec.ntk_points))}
        self.kinds = ("error", *self.diagnostics)
        self.every = {kind: cadence_of(spec, kind) for kind in self.kinds}
        self.share = spec.share if share is None else share
        self.punctual = PUNCTUAL if experiment.training.engine != "auto" else ()
        self.in_sight: frozenset[str] = frozenset()  # kinds that somebody looks at
        self.seconds = dict.fromkeys(self.kinds, 0.0)  # spent, by kind
        self.counts = dict.fromkeys(self.kinds, 0)
        self._cost: dict[str, float] = {}  # of one look, averaged
        self._last = dict.fromkeys(self.kinds, -1)  # step of the last look
        self._glanced = dict.fromkeys(self.kinds, -1)  # of the last one that is not kept
        self._when = dict.fromkeys(self.kinds, -math.inf)  # seconds of training before the last one of either
        self._anew: set[str] = set()  # kinds that have not seen this trainer, but one before it
        self._absent: set[str] = set()  # kinds of which this trainer has nothing
        self._saved = dict.fromkeys(self.kinds, 0.0)
        self._share_out(START * self.share, self.kinds)
        self._debt = 0.0  # what the punctual ones have cost and the training has not earned yet
        self._earned = 0.0  # training seconds that are shared out already

    def continue_from(self, other: Instruments) -> None:
        """Go on with another trainer of the same run: what was spent stays known, and all look anew soon."""
        self.seconds, self.counts, self._cost, self._last = other.seconds, other.counts, other._cost, other._last
        self._saved, self._debt, self._earned = other._saved, other._debt, other._earned
        self.in_sight, self._glanced, self._when = other.in_sight, other._glanced, other._when
        self._anew = {kind for kind in self.diagnostics if self._last[kind] >= 0}

    def due(self, step: int, training_seconds: float, wanted: Set[str], *, everything: bool = False) -> list[str]:
        """The kinds of `wanted` that are to look now. everything: all of them, whatever it costs."""
        kinds = self._possible(wanted)
        self._earn(training_seconds, kinds)
        if everything:
            return [kind for kind in kinds if self._last[kind] != step]
        out = [kind for kind in kinds if kind in self.punctual and (kind in self._anew or (
            step % self.every[kind] == 0 and self._last[kind] != step))]
        waiting = [kind for kind in kinds if kind not in self.punctual and (
            self._last[kind] < 0 or kind in self._anew or step - self._last[kind] >= self.every[kind]
            or (self._by_time(kind) and self._stale(kind, step)))]
        first = [kind for kind in waiting if kind in self.in_sight and (
            self._last[kind] < 0 or (kind in self._anew and self._price(kind) <= AT_ONCE))]
        out += first[:1]  # one at a time: a person waits for it, but not for all of them together
        return out + [kind for kind in waiting if kind not in out and self._saved[kind] >= self._price(kind)]

    def glances(self, step: int, wanted: Set[str]) -> list[str]:
        """After `due`: the kinds in sight that may look to be shown only, because what is kept comes at a cadence."""
        return [kind for kind in self._possible(wanted) if kind in self.punctual and kind in self.in_sight
                and kind in self.diagnostics and self._stale(kind, step) and self._debt <= 0]

    def once(self, step: int, training_seconds: float, wanted: Set[str], most: float) -> Iterator[str]:
        """Those of `wanted` that have not seen this step, the most asked for first, as long as `most` seconds last.

        Each is to be observed before the next one is asked for; what is dear, or of unknown price, is left out.
        """
        kinds = self._possible(wanted)
        self._earn(training_seconds, kinds)
        spent = sum(self.seconds.values())
        waiting = [kind for kind in kinds if kind in self.diagnostics and self._last[kind] != step
                   and (kind in self._cost or kind in PUNCTUAL)]
        for kind in sorted(waiting, key=lambda kind: (kind not in PUNCTUAL, self._price(kind))):
            if sum(self.seconds.values()) - spent + self._price(kind) <= most:
                yield kind

    def next_time(self, wanted: Set[str]) -> float:
        """Seconds of training at which something may be due, however few steps are made until then."""
        nearest = min((-math.inf if kind in self._anew else self._when[kind] + LATER
                       for kind in self._possible(wanted) if self._by_time(kind)), default=math.inf)
        return max(nearest, self._earned + AGAIN)

    def next_look(self, step: int, wanted: Set[str]) -> int:
        """The first step after this one at which something may be due, so that others need not ask."""
        nearest = step + 1_000_000
        for kind in self._possible(wanted):
            every = self.every[kind]
            if kind in self.punctual:
                nearest = min(nearest, (step // every + 1) * every)
            else:
                nearest = min(nearest, max(self._last[kind] + every, step + 10))
        return nearest

    def observe(self, kind: str, trainer: Trainer, *, kept: bool = True) -> Frame | None:
        """Let one look, and charge it. kept: not only shown."""
        begun = time.perf_counter()
        try:
            with np.errstate(all="ignore"):  # what overflows is shown as such
                frame = self.diagnostics[kind].observe(trainer)
        except Stopped:
            self.charge(kind, time.perf_counter() - begun, trainer.iteration, seen=False, kept=kept)
            return None
        if frame is None and trainer.iteration > 1:
            self._absent.add(kind)
        self.charge(kind, time.perf_counter() - begun, trainer.iteration, seen=frame is not None, kept=kept)
        return frame

    def charge(self, kind: str, cost: float, step: int, *, seen: bool = True, kept: bool = True) -> None:
        """A look at this step has cost so many seconds."""
        self.seconds[kind] += cost
        self.counts[kind] += seen
        old = self._cost.get(kind)
        self._cost[kind] = cost if old is None else old + OLD * (cost - old)
        (self._last if kept else self._glanced)[kind] = step
        self._when[kind] = self._earned
        self._anew.discard(kind)
        if old is None:
            cost = min(cost, FIRST)
        if kind in self.punctual:
            self._debt += cost
        else:
            self._saved[kind] -= cost

    def cost(self, kind: str) -> float:
        """Seconds that a look of this kind costs; infinite where that is not known."""
        return self._cost.get(kind, math.inf)

    def give_up(self, kind: str) -> None:
        """A kind that fails on this trainer does not look again."""
        self._absent.add(kind)

    def _possible(self, wanted: Set[str]) -> list[str]:
        return [k for k in self.kinds if k in wanted and self.every[k] and k not in self._absent]

    def _by_time(self, kind: str) -> bool:
        """Whether seconds count too, and not only the cadence."""
        return kind in self.in_sight or not self.punctual

    def _stale(self, kind: str, step: int) -> bool:
        return (step > max(self._last[kind], self._glanced[kind])
                and self._earned - self._when[kind] >= LATER)

    def _price(self, kind: str) -> float:
        """Seconds that the next look of a kind will probably cost."""
        known = self._cost.get(kind)
        guess = min(MOST_GUESSED, self._cost.get("gradients", GRADIENTS) * GUESSES.get(kind, 3.0))
        return guess if known is None else known

    def _weight(self, kind: str) -> float:
        return WEIGHTS.get(kind, 1.0) * (IN_SIGHT if kind in self.in_sight else 1.0)

    def _earn(self, training_seconds: float, kinds: Sequence[str]) -> None:
        gain = max(0.0, training_seconds - self._earned)
        self._earned = max(self._earned, training_seconds)
        paid = min(self._debt, (1 - LEAST) * self.share * gain)
        self._debt -= paid
        self._share_out(self.share * gain - paid, kinds)

    def _share_out(self, seconds: float, kinds: Sequence[str]) -> None:
        """To the kinds that still have to save, by their weights."""
        poor = [k for k in kinds if k not in self.punctual and self._saved[k] < SAVED * self._price(k)]
        whole = sum(map(self._weight, poor))
        for kind in poor:
            self._saved[kind] += seconds * self._weight(kind) / whole


def cadence_of(spec: DiagnosticsSpec, kind: str) -> int:
    """Steps between two frames of a kind; 0 for never."""
    return int(getattr(spec, f"{kind}_every"))


def options_of(value: object) -> tuple[str, Mapping[str, Any]]:
    """(kind, options) of a command. Raises ValueError."""
    if (isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)
            and isinstance(value[1], Mapping)):
        return value[0], value[1]
    raise ValueError(f"{value!r} is no kind of frame with options")
