"""What is wrong with the solution although the loss may look well."""

from __future__ import annotations

import math
from collections.abc import Iterator

from studio.findings import Remedy, Severity
from studio.rules.rule import Sighting, rule
from studio.rules.seen import Seen, gain, level

SHARE = 0.3  # share of the exact solution's power that is fast
MISSING = 0.5
FAST_RESIDUAL = 0.8
FLAT = 0.1
FIXED = 25.0


@rule("spectral-bias", panel="fields", pace=True,
      source="Rahaman et al. 2019; Tancik et al. 2020; Wang, Wang & Perdikaris 2021",
      threshold=f"over {SHARE:.0%} of the exact solution's power is in waves of 3 and more periods over the domain, "
                f"and over {MISSING:.0%} of that is missing at the last 3 pictures, after a tenth of the run; without "
                f"a known solution: over {FAST_RESIDUAL:.0%} of the residual's power is so fast, and its loss stays "
                f"above a tenth of its start")
def spectral_bias(seen: Seen) -> Iterator[Sighting]:
    pictures = list(seen.pictures)[-3:]
    if len(pictures) < 3 or seen.step < 0.1 * seen.total or seen.experiment.network.fourier_features:
        return
    yield from _blind(seen)
    for name, waves in pictures[-1].waves.items():
        missing = [p.waves[name].missing if name in p.waves else 0.0 for p in pictures]
        if waves.share < SHARE or min(missing) < MISSING or _fell(missing) > 1.5:
            continue
        sigma = _sigma(seen, waves.axis, waves.periods)
        remedies = (
            Remedy(text="Give the first layer 64 random Fourier features of about this frequency",
                   changes={"network.fourier_features": 64, "network.fourier_sigma": sigma}),
            Remedy(text="Change to sine activations", changes={"network.activation": "sin"}))
        yield Sighting(
            subject=name, severity=Severity.SERIOUS if min(missing) > 0.8 else Severity.WARNING,
            title=f"the fast waves of '{name}' are missing",
            text=f"A plain network learns slow waves first and fast ones very late. Here the solution has about "
                 f"{waves.periods:.0f} periods along {waves.axis}, and the prediction does not. Random Fourier "
                 f"features "
                 f"let the first layer see waves of this frequency.",
            evidence=f"{waves.share:.0%} of the power of '{name}' is fast, {min(level(missing), 9.99):.0%} of that is "
                     f"missing",
            remedies=remedies)


def _blind(seen: Seen) -> Iterator[Sighting]:
    """Where no solution is known, a residual that stays and is made of fast waves tells the same."""
    pictures = list(seen.pictures)[-3:]
    if pictures[-1].waves or seen.step < 0.2 * seen.total or seen.first is None:
        return
    for name, equation in seen.equations.items():
        fast = min(p.fast_residual.get(name, 0.0) for p in pictures)
        late = seen.recent(seen.loss(equation.term), 0.25)
        if fast > FAST_RESIDUAL and level(late) > 0.1 * seen.first.losses.get(equation.term, math.inf) \
                and not gain(late) > 1.1:
            yield Sighting(
                subject=name, title=f"fast waves stay in '{name}'",
                text="What is left of the equation are waves of 3 and more periods over the domain, and they do not "
                     "become smaller: a plain network learns slow waves first and fast ones very late. Random Fourier "
                     "features let the first layer see them.",
                evidence=f"{fast:.0%} of the residual's power is fast; its loss is at "
                         f"{level(late) / seen.first.losses[equation.term]:.0%} of its start",
                remedies=(Remedy(text="Give the first layer 64 random Fourier features",
                                 changes={"network.fourier_features": 64, "network.fourier_sigma": 3.0}),))


def _fell(values: list[float]) -> float:
    """First over last."""
    return values[0] / values[-1] if values[-1] > 0 else math.inf


def _sigma(seen: Seen, axis: str, periods: float) -> float:
    """A third of the wave's angular frequency in the network's own input, so that the features reach up to it."""
    low, high = seen.experiment.problem.domain[axis]
    width = {"z-score": math.sqrt(12), "unit": 2.0, "none": high - low}[seen.experiment.network.normalize]
    if axis in seen.experiment.problem.periodic:
        width = 2.0
    return float(f"{min(max(2 * math.pi * periods / width / 3, 1.0), 50.0):.2g}")


@rule("trivial-solution", panel="fields", source="Krishnapriyan et al. 2021; Wong et al. 2022; limits: ours",
      threshold=f"the prediction varies by less than {FLAT:.0%} of the exact solution at the last 3 pictures, after a "
                f"tenth of the run, and the residual is small")
def trivial_solution(seen: Seen) -> Iterator[Sighting]:
    pictures = list(seen.pictures)[-3:]
    if len(pictures) < 3 or seen.step < 0.1 * seen.total or seen.first is None or seen.now is None:
        return
    small = all(level(seen.loss(t)[-10:]) < 0.01 * max(float(seen.loss(t)[0]), 1e-30) or
                level(seen.loss(t)[-10:]) < 1e-3 for t in seen.residual_terms if t in seen.now.losses)
    fields = [n for n in pictures[-1].fields if n in seen.experiment.problem.fields]
    flat = []
    for name in fields:
        extents = [p.fields[name] for p in pictures if name in p.fields]
        if all(e.exact_deviation > 0 and e.deviation < FLAT * e.exact_deviation for e in extents):
            flat.append(name)
    if flat and small:
        e = pictures[-1].fields[flat[0]]
        met = [t for t in seen.terms if t not in seen.residual_terms]
        missed = max(met, key=lambda t: float(level(seen.loss(t)[-10:])), default="")
        share = level(seen.loss(missed)[-10:]) / max(e.exact_rms**2, 1e-30) if missed else 0.0
        remedies = []
        if missed and seen.experiment.balancing.rule == "fixed":
            weights = {**seen.experiment.balancing.weights, missed: 100.0 * max(
                seen.now.weights[t] for t in seen.residual_terms if t in seen.now.weights)}
            remedies.append(Remedy(text=f"Raise the weight of '{missed}' to {weights[missed]:g}",
                                   changes={"balancing.weights": weights}))
        if "t" in seen.experiment.problem.domain:
            remedies.append(Remedy(text="Let later times wait until earlier ones are learned (causal weights)",
                                   changes={"balancing.points": "causal"}))
        yield Sighting(
            subject=flat[0], severity=Severity.SERIOUS, title="the prediction is flat",
            text="A constant satisfies the equation and costs almost nothing, so the network has settled on it. "
                 "What tells the true solution from it, a start or a boundary value, has too little weight.",
            evidence=f"'{flat[0]}' varies by {e.deviation:.2g}, the exact solution by {e.exact_deviation:.2g}"
                     + (f"; '{missed}' misses by {math.sqrt(share):.0%} of the solution's size" if missed else ""),
            remedies=tuple(remedies))


@rule("overfitted-points", panel="fields", source="Wu et al. 2023; limit: ours",
      threshold=f"with points that stay, the equation's mean square over the domain is over {FIXED:g} times that at "
                f"the "
                f"points, at the last 3 pictures, and over 1 % of its start")
def overfitted_points(seen: Seen) -> Iterator[Sighting]:
    every = seen.experiment.sampling.every
    pictures = list(seen.pictures)[-3:]
    if (every != 0 and every < seen.total) or len(pictures) < 3 or seen.now is None or seen.first is None:
        return
    steps = seen.steps()
    for term in seen.residual_terms:
        names = [n for n, r in seen.equations.items() if r.term == term and r.measure == "square"]
        ratios = []
        for p in pictures:
            near = seen.loss(term)[abs(steps - p.step) <= max(50, 0.02 * seen.made)]
            own = level(near)
            over = sum(p.residual.get(n, math.nan) for n in names)
            ratios.append(over / own if p.whole and own > 0 else math.nan)
        over = sum(pictures[-1].residual.get(n, math.nan) for n in names)
        if names and min(ratios) > FIXED and over > 0.01 * seen.first.losses.get(term, math.inf):
            points = max(seen.equations[n].points for n in names)
            yield Sighting(
                subject=term, severity=Severity.SERIOUS, title="the equation holds at the training points only",
                text=f"The {points} points are always the same, and the network has learned them by heart: between "
                     f"them "
                     f"the equation is not satisfied. Points that are drawn anew in every step leave no gaps.",
                evidence=f"mean square of '{term}': {over:.2g} over the domain, {over / ratios[-1]:.2g} at the points",
                remedies=(Remedy(text="Draw new points in every step",
                                 changes={"sampling.every": 1, "sampling.kind": "uniform", "balancing.points": (
                                     "equal" if seen.experiment.balancing.points in
                                     ("self-adaptive", "residual-attention") else
                                     seen.experiment.balancing.points)}),))


@rule("loss-says-nothing", panel="error", source="Krishnapriyan et al. 2021; limits: ours",
      threshold="the weighted loss is below a thousandth of its start while the relative L2 error is above 30 %, and "
                "the "
                "error does not fall")
def loss_says_nothing(seen: Seen) -> Iterator[Sighting]:
    whole = seen.whole()
    if len(whole) < 40 or seen.step < 0.2 * seen.total or not whole[0] > 0:
        return
    share = level(whole[-10:]) / float(whole[0])
    errors = [e for step, e in seen.errors if step > seen.step - seen.made / 3]
    if share < 1e-3 and seen.error > 0.3 and len(errors) >= 4 and errors[0] < 1.2 * errors[-1]:
        remedies = []
        if seen.experiment.balancing.rule == "fixed" and len(seen.terms) > 1:
            remedies.append(Remedy(text="Anneal the weights of the conditions",
                                   changes={"balancing.rule": "annealing-siam"}))
        if "t" in seen.experiment.problem.domain:
            remedies.append(Remedy(text="Let later times wait until earlier ones are learned (causal weights)",
                                   changes={"balancing.points": "causal"}))
        yield Sighting(
            severity=Severity.SERIOUS, title="the loss is small, the solution is wrong",
            text="The loss has fallen by more than a thousand and the solution is still far from the known one: the "
                 "loss does not tell what is missing. Look at which condition is not met, and where the error sits.",
            evidence=f"weighted loss at {share:.1e} of its start; relative L2 error {seen.error:.2g}",
            remedies=tuple(remedies))

