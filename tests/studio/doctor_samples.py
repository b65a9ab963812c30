"""Made frames for the doctor: a healthy run by default, each part of which a test may spoil."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from core.frames import (
    ActivationsFrame,
    AlignmentFrame,
    Array,
    FieldsFrame,
    Frame,
    GradientsFrame,
    LivenessFrame,
    ScalarsFrame,
    StiffnessFrame,
)
from studio.doctor import Doctor
from studio.experiment import Experiment
from studio.findings import Finding
from studio.messages import Event

EXPERIMENT = """
name = "bar"
[problem]
name = "Bar"
fields = ["u"]
domain = { t = [0.0, 1.0], x = [0.0, 1.0] }
residuals = [{ name = "heat", equation = "u_t = 0.1*u_xx", points = 100 }]
conditions = [
  { name = "walls", on = "x = 0", equation = "u = 0" },
  { name = "start", on = "t = 0", equation = "u = u_exact", term = "initial" }]
exact = { u = "sin(pi*x)*exp(-0.1*pi**2*t)" }
[training]
steps = 4000
"""

Numbers = Callable[[int], float]
T = ("residual", "boundary", "initial")


def experiment(**changes: Any) -> Experiment:
    """Changes by dotted path, with __ for the dot."""
    plain = Experiment.from_toml(EXPERIMENT)
    return plain.with_changes({k.replace("__", "."): v for k, v in changes.items()}) if changes else plain


def falling(start: float, seed: int, noise: float = 0.05, end: float = 1e-3) -> Numbers:
    """A loss that falls from `start` to `end` times that over 4,000 steps, with some noise."""
    return lambda step: start * end ** (step / 4000) * 10 ** (
        noise * float(np.random.default_rng([seed, step]).standard_normal()))


HEALTHY: Mapping[str, Numbers] = {"residual": falling(2.0, 1), "boundary": falling(0.3, 2), "initial": falling(0.5, 3)}


def error_of(step: int) -> float:
    return float(0.8 * 0.01 ** (step / 4000))


def scalars(step: int, losses: Mapping[str, Numbers] = HEALTHY, *, error: Numbers | None = error_of, rate: float = 1e-3,
            weights: Mapping[str, float] | None = None) -> ScalarsFrame:
    now = {term: f(step) for term, f in losses.items()}
    return ScalarsFrame(step=step, seconds=step / 500, losses=now, learning_rate=rate,
                        weights={**dict.fromkeys(now, 1.0), **(weights or {})},
                        relative_l2={"u": error(step)} if error is not None and step % 50 == 0 else {})


def gradients(step: int, norms: Mapping[str, float] | None = None, zero: tuple[str, ...] = ()) -> GradientsFrame:
    sizes = {**dict.fromkeys(T, 1.0), **(norms or {})}
    norm = np.array([[sizes[t] / np.sqrt(2)] * 2 for t in T])
    shape = (3, 2, 4)
    return GradientsFrame(
        step=step, terms=T, layers=("hidden 1", "output"), edges=np.linspace(-1, 1, 5), linear_threshold=1e-7,
        counts=np.ones(shape, np.uint32), weighted_counts=np.ones(shape, np.uint32), weights=np.ones(3), max_abs=norm,
        mean_abs=norm / 10, norm=norm, zero_share=np.array([[1.0 if t in zero else 0.01] * 2 for t in T]),
        quantile_levels=(0.5,), quantiles=np.zeros((3, 2, 1)))


def mesh(n: int = 40) -> tuple[Array, Array, Array]:
    axis = np.linspace(0, 1, n)
    t, x = np.meshgrid(axis, axis, indexing="ij")
    return axis, t, x


def fields(step: int, prediction: Array | None = None, exact: Array | None = None, residual: Array | None = None,
           *, known: bool = True) -> FieldsFrame:
    axis, t, x = mesh()
    truth = np.sin(np.pi * x) * np.exp(-0.1 * np.pi**2 * t) if exact is None else exact
    own = truth * (1 + error_of(step)) if prediction is None else prediction
    left = 0.03 * np.cos(3 * x) * np.cos(2 * t) if residual is None else residual
    return FieldsFrame(step=step, inputs=("t", "x"), axes=(axis, axis), prediction={"u": own},
                       exact={"u": truth} if known else {}, error={"u": np.abs(own - truth)} if known else {},
                       residuals={"heat": left}, fixed={})


def alignment(step: int, within: float = 0.1) -> AlignmentFrame:
    cosines = np.full((3, 3), within) + (1 - within) * np.eye(3)
    return AlignmentFrame(step=step, terms=T, weights=np.ones(3), norms=np.ones(3), cosines=cosines, within=within,
                          between=0.9)


def activations(step: int, saturated: float = 0.05, dead: float = 0.0, spread: float = 0.4) -> ActivationsFrame:
    z = np.tile(np.linspace(-3, 3, 9), (2, 1))
    return ActivationsFrame(
        step=step, layers=("hidden 1", "hidden 2"), edges=np.tile(np.linspace(-3, 3, 5), (2, 1)),
        counts=np.ones((2, 4), np.uint32), z=z, curve=np.tanh(z), low=np.tanh(z), high=np.tanh(z), fixed=np.tanh(z),
        saturated=np.array([0.02, saturated]), dead=np.array([0.0, dead]), spread=np.array([0.4, spread]))


def stiffness(step: int, ratio: float = 0.3, rate: float = 1e-3) -> StiffnessFrame:
    """ratio: the preconditioned curvature over Adam's limit (2 + 2 beta1) / ((1 - beta1) rate), 38 / rate."""
    largest = np.array([10.0, 5.0, 5.0, 5.0, ratio * 38 / rate])
    return StiffnessFrame(step=step, rows=("total", *T, "preconditioned"), largest=largest, lowest=-largest / 10,
                          accuracy=np.full(5, 1e-3), weights=np.ones(3), learning_rate=rate, products=60)


def liveness(step: int, name: str = "hidden 1 slope", state: str = "moves") -> LivenessFrame:
    return LivenessFrame(step=step, names=("hidden 1 W", name), sizes=np.array([20, 1]), size=np.ones(2),
                         moved=np.full(2, 0.01), since_start=np.full(2, 0.3), gradient=np.ones(2),
                         state=("moves", state))


Make = Callable[[int], Frame]
MAKERS: Mapping[str, Make] = {"scalars": scalars, "gradients": gradients, "fields": fields, "alignment": alignment,
                              "activations": activations, "stiffness": stiffness, "liveness": liveness}


def course(of: Experiment | None = None, until: int = 3000, *, events: tuple[Event, ...] = (),
           doctor: Doctor | None = None, start: int = 0, **makers: Make) -> tuple[Finding, ...]:
    """What the doctor finds in a run of made frames; every kind that is not given is a healthy one."""
    doctor = doctor or Doctor(of or experiment())
    for event in events:
        doctor.event(event)
    found: tuple[Finding, ...] = ()
    make = {**MAKERS, **makers}
    for step in range(start, until + 1, 10):
        doctor.see(make["scalars"](max(step, 1) if step == 0 else step))
        if step % 100 == 0:
            for kind, maker in make.items():
                if kind != "scalars":
                    doctor.see(maker(step))
            found = doctor.findings(step)
    return found
