"""Each rule speaks on frames that show what it is for, and is silent on near misses and on a healthy run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from core.frames import Frame
from studio.findings import Finding, Severity
from studio.messages import Event
from studio.rules import RULES
from tests.studio.doctor_samples import (
    HEALTHY,
    activations,
    alignment,
    course,
    experiment,
    falling,
    fields,
    gradients,
    liveness,
    mesh,
    scalars,
    stiffness,
)

Make = Callable[[int], Frame]
_, TIME, X = mesh()
FAST = np.sin(10 * np.pi * X)


def stuck(start: float, seed: int = 5, noise: float = 0.02) -> Callable[[int], float]:
    return falling(start, seed, noise, end=1.0)


def losses(**made: Callable[[int], float]) -> Make:
    return lambda step: scalars(step, {**HEALTHY, **made})


def wrong(step: int) -> float:
    return 0.7


def wrong_scalars(**others: Any) -> Make:
    return lambda step: scalars(step, {**HEALTHY, **others}, error=wrong)


def jumping(step: int) -> float:
    return float(10 ** (0.8 * np.random.default_rng([9, step]).standard_normal()))


def decayed(step: int) -> float:
    return float(1e-3 * 0.1 ** (step / 250))


def both(*, noise: float) -> Make:
    def make(step: int) -> Frame:
        return scalars(step, {t: stuck(0.3, n, noise) for n, t in enumerate(HEALTHY)}, error=wrong)

    return make


def nan(step: int = 100) -> Event:
    return Event(step=step, kind="nan", text="the loss term 'residual' became nan at step 100")


def done(precision: str = "float32", phase: int = 1, phases: int = 1) -> Event:
    value = {"phase": phase, "phases": phases, "kind": "lbfgs", "precision": precision}
    return Event(step=100, kind="done", text="lbfgs has ended by itself, after 90 of 300 steps in float32: why",
                 value=json.dumps(value))


def check(name: str) -> Event:
    return Event(step=0, kind="check", text=f"The exact solution DOES NOT satisfy '{name}': largest residual 3.0e-01.")


FIXED = experiment(sampling__every=0)
ANNEALED = experiment(balancing__rule="annealing-arxiv")
CONFIG = experiment(balancing__direction="config")
TINY = 1.0 + 1e-5 * np.sin(np.pi * X)
NOISE = np.random.default_rng(0).standard_normal(X.shape)


def weights(growth: float) -> Make:
    return lambda step: scalars(step, weights={"boundary": growth ** (step / 1000)})


#: rule -> how a run shows it
HITS: dict[str, dict[str, Any]] = {
    "starved-term": {"gradients": lambda s: gradients(s, {"residual": 40.0}), "scalars": losses(boundary=stuck(0.3))},
    "exploding-weight": {"of": ANNEALED, "scalars": weights(60.0)},
    "conflict": {"alignment": lambda s: alignment(s, -0.9), "scalars": both(noise=0.02)},
    "terms-far-apart": {"scalars": losses(residual=falling(1e7, 1))},
    "not-finite": {"events": (nan(),)},
    "ended-by-itself": {"of": experiment(optimizer__kind="lbfgs"), "events": (done(),)},
    "diverging": {"scalars": losses(residual=lambda s: 2.0 * (0.01 if s < 1500 else 500.0))},
    "learning-rate-too-high": {"scalars": losses(residual=jumping, boundary=jumping, initial=jumping)},
    "stiff": {"stiffness": lambda s: stiffness(s, 3.0), "scalars": losses(residual=stuck(2.0, noise=0.4))},
    "learning-rate-gone": {"scalars": lambda s: scalars(s, {t: stuck(0.3) for t in HEALTHY}, error=wrong,
                                                        rate=decayed(s))},
    "plateau": {"scalars": both(noise=0.02)},
    "saturated-layer": {"activations": lambda s: activations(s, saturated=0.8), "scalars": wrong_scalars()},
    "dead-layer": {"activations": lambda s: activations(s, dead=0.7), "scalars": wrong_scalars()},
    "vanishing-signal": {"activations": lambda s: activations(s, spread=1e-4), "scalars": wrong_scalars()},
    "lost-derivative": {"of": experiment(network__activation="relu"),
                        "gradients": lambda s: gradients(s, zero=("residual",))},
    "not-trained": {"of": experiment(network__slopes="layer"), "liveness": lambda s: liveness(s, state="still")},
    "inconsistent-condition": {"events": (check("start"),)},
    "unscaled-inputs": {"of": experiment(problem__domain={"t": [0.0, 1000.0], "x": [0.0, 1.0]},
                                         network__normalize="none")},
    "float32-floor": {"fields": lambda s: fields(s, TINY, TINY)},
    "spectral-bias": {"fields": lambda s: fields(s, 0.1 * FAST, FAST)},
    "trivial-solution": {"fields": lambda s: fields(s, np.full_like(X, 0.01))},
    "overfitted-points": {"of": FIXED, "fields": lambda s: fields(s, residual=1.5 * np.cos(9 * X))},
    "loss-says-nothing": {"scalars": lambda s: scalars(s, {t: falling(1.0, 4, end=1e-6) for t in HEALTHY},
                                                       error=wrong)},
}

#: what comes near, and must not make the rule speak
NEAR: list[tuple[str, dict[str, Any]]] = [
    ("starved-term", {"gradients": lambda s: gradients(s, {"residual": 7.0}), "scalars": losses(boundary=stuck(0.3))}),
    ("starved-term", {"gradients": lambda s: gradients(s, {"residual": 40.0})}),  # the term is learned all the same
    ("starved-term", {"of": CONFIG, "gradients": lambda s: gradients(s, {"residual": 40.0}),
                      "scalars": losses(boundary=stuck(0.3))}),
    ("starved-term", {"of": ANNEALED, "gradients": lambda s: gradients(s, {"residual": 40.0}),
                      "scalars": losses(boundary=stuck(0.3))}),  # somebody sees to it
    ("exploding-weight", {"of": ANNEALED, "scalars": weights(10.0)}),
    ("exploding-weight", {"scalars": weights(60.0)}),  # a person set it
    ("conflict", {"alignment": lambda s: alignment(s, -0.3), "scalars": both(noise=0.02)}),
    ("conflict", {"alignment": lambda s: alignment(s, -0.9)}),  # what cancels at a minimum is no conflict
    ("terms-far-apart", {"scalars": losses(residual=falling(1e4, 1))}),
    ("ended-by-itself", {"events": (Event(step=9, kind="phase", text="phase 2 of 2", value="{}"),)}),
    ("ended-by-itself", {"events": (Event(step=9, kind="done", text="damaged", value='{"phase": 1}'),)}),
    ("diverging", {"scalars": losses(residual=lambda s: 2.0 * (0.01 if s < 1500 else 0.5))}),
    ("learning-rate-too-high", {"scalars": lambda s: scalars(s, {t: falling(2.0, 1, noise=0.6) for t in HEALTHY})}),
    ("stiff", {"stiffness": lambda s: stiffness(s, 3.0)}),  # Adam lives well beyond, as long as the loss falls
    ("stiff", {"stiffness": lambda s: stiffness(s, 0.4), "scalars": losses(residual=stuck(2.0, noise=0.4))}),
    ("learning-rate-gone", {"scalars": lambda s: scalars(s, rate=decayed(s))}),
    ("plateau", {"scalars": both(noise=0.02), "until": 900}),
    ("saturated-layer", {"activations": lambda s: activations(s, saturated=0.8)}),  # the solution is good: a steep one
    ("saturated-layer", {"activations": lambda s: activations(s, saturated=0.65), "scalars": wrong_scalars()}),
    ("dead-layer", {"activations": lambda s: activations(s, dead=0.3)}),
    ("vanishing-signal", {"activations": lambda s: activations(s, spread=0.1), "scalars": wrong_scalars()}),
    ("lost-derivative", {"gradients": lambda s: gradients(s, zero=("residual",) if s % 200 else ())}),
    ("not-trained", {"liveness": lambda s: liveness(s, "weight of boundary", "still")}),
    ("inconsistent-condition", {"events": (Event(step=0, kind="start", text="starts"),)}),
    ("unscaled-inputs", {"of": experiment(problem__domain={"t": [0.0, 1000.0], "x": [0.0, 1.0]})}),
    ("float32-floor", {"of": experiment(training__precision="float64"), "fields": lambda s: fields(s, TINY, TINY)}),
    ("float32-floor", {"fields": lambda s: fields(s, residual=1e-3 * NOISE)}),  # the loss falls all the same
    ("spectral-bias", {"fields": lambda s: fields(s, 0.9 * FAST, FAST)}),
    ("spectral-bias", {"fields": lambda s: fields(s, 0 * FAST, np.sin(np.pi * X))}),  # wrong, but not for its waves
    ("trivial-solution", {"fields": lambda s: fields(s, 0.5 * np.sin(np.pi * X))}),
    ("trivial-solution", {"fields": lambda s: fields(s, np.full_like(X, 0.01)),
                          "scalars": losses(residual=stuck(2.0))}),  # flat so far, and the equation is not satisfied
    ("overfitted-points", {"fields": lambda s: fields(s, residual=1.5 * np.cos(9 * X))}),  # the points are new
    ("overfitted-points", {"of": FIXED}),
    ("loss-says-nothing", {"scalars": lambda s: scalars(s, {t: falling(1.0, 4, end=1e-6) for t in HEALTHY})}),
]


def rules(found: tuple[Finding, ...]) -> set[str]:
    return {f.rule for f in found}


def test_every_rule_is_provoked() -> None:
    assert set(HITS) == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_speaks(name: str) -> None:
    found = course(**HITS[name])
    assert name in rules(found), f"found {rules(found) or 'nothing'} instead"
    finding = next(f for f in found if f.rule == name)
    assert finding.title and finding.text.endswith(".") and finding.threshold and finding.source
    assert any(c.isdigit() for c in finding.evidence), "evidence is what was measured"
    assert finding.remedies, "one click mends it, or tries to; what the experiment cannot have is not offered"


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.pace])
def test_a_matter_of_pace_is_a_note_while_a_second_order_phase_is_to_come(name: str) -> None:
    def severity(number: int, *kinds: str) -> Severity:
        hit = dict(HITS[name])
        of = hit.pop("of", experiment()).with_changes({"phases": [{"optimizer": {"kind": kind}} for kind in kinds]})
        begun = Event(step=0, kind="phase", text="phase", value=json.dumps({"phase": number}))
        finding = next(f for f in course(of, events=(begun,), **hit) if f.rule == name)
        assert ("A second-order phase follows." in finding.text) == (finding.severity is Severity.NOTE)
        return finding.severity

    assert severity(1, "auto") is severity(1, "adam", "lbfgs") is Severity.NOTE
    assert Severity.NOTE not in (severity(1), severity(1, "adam"), severity(2, "lbfgs")), "none is to come"


@pytest.mark.parametrize(("name", "near"), NEAR, ids=[f"{name}-{n}" for n, (name, _) in enumerate(NEAR)])
def test_a_rule_is_silent_on_what_comes_near(name: str, near: dict[str, Any]) -> None:
    assert name not in rules(course(**near))


@pytest.mark.parametrize("until", [200, 1000, 2000, 3000, 4000])
def test_a_healthy_run_has_no_finding(until: int) -> None:
    assert course(until=until) == ()


def test_a_run_that_has_converged_is_only_worth_a_note() -> None:
    found = course(until=4000, scalars=lambda s: scalars(s, {t: stuck(1e-7) for t in HEALTHY}, error=lambda s: 1e-4))
    assert rules(found) == {"plateau"}
    assert all(f.severity is Severity.NOTE for f in found)


def test_unknown_solutions_are_judged_by_what_is_there() -> None:
    """Without an exact solution the rules that compare with it are silent, and none fails."""
    blind = experiment(problem__exact={}, problem__conditions=[{"name": "walls", "equation": "u = 0"}])
    found = course(blind, scalars=lambda s: scalars(s, error=None),
                   fields=lambda s: fields(s, known=False))
    assert found == ()


def test_spectral_bias_is_seen_in_the_residual_where_no_solution_is_known() -> None:
    blind = experiment(problem__exact={}, problem__conditions=[{"name": "walls", "equation": "u = 0"}])

    def found(wave: float, left: Callable[[int], float]) -> set[str]:
        return rules(course(blind, scalars=lambda s: scalars(s, {**HEALTHY, "residual": left}, error=None),
                            fields=lambda s: fields(s, residual=np.sin(wave * np.pi * X), known=False)))

    assert "spectral-bias" in found(10, stuck(2.0))
    assert "spectral-bias" not in found(1, stuck(2.0)), "what is left is slow"
    assert "spectral-bias" not in found(10, HEALTHY["residual"]), "it falls"


def test_the_inconsistent_condition_is_named_and_mended() -> None:
    finding, = course(experiment(balancing__weights={"boundary": 3.0}), events=(check("start"),))
    assert finding.subject == "start" and finding.severity is Severity.SERIOUS
    remedy, = finding.remedies
    assert remedy.changes == {"balancing.weights": {"boundary": 3.0, "initial": 0.0}}


def test_a_term_of_several_conditions_is_not_left_out_for_one_of_them() -> None:
    shared = experiment(problem__conditions=[{"name": name, "on": f"x = {at}", "equation": "u = 0"}
                                             for name, at in (("left", 0), ("right", 1))])
    finding, = course(shared, events=(check("left"),))
    assert finding.subject == "left" and finding.remedies == ()


def test_the_frequency_of_the_features_fits_the_wave() -> None:
    finding = next(f for f in course(**HITS["spectral-bias"]) if f.rule == "spectral-bias")
    # 5 periods over a range of 1, which the z-score maps to sqrt(12): 9.07 radians for each unit, a third of it is 3.0
    assert finding.remedies[0].changes["network.fourier_sigma"] == pytest.approx(3.0, abs=0.05)
