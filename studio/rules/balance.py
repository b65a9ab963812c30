"""Whether one loss term is trained at the cost of another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.frames import Array
from studio.findings import Remedy, Severity
from studio.rules.rule import Sighting, rule
from studio.rules.seen import Seen, gain, level

WTP = "Wang, Teng & Perdikaris 2021, section 2"
STARVED = 10.0  # residual's weighted gradient / the term's
EARLY = 300  # steps in which every run looks ill
MISFIT = 0.1  # root of a term's loss / its scale
EXPLODED = 1e4
OPPOSED = -0.4
APART = 1e6

ANNEALING = Remedy(
    text="Anneal the weights: raise every condition's weight until its gradient keeps up with the residual's",
    changes={"balancing.rule": "annealing-siam"})
EQUAL_NORMS = Remedy(text="Weight all terms so that their gradients are equally large",
                     changes={"balancing.rule": "gradient-norm"})


@rule("starved-term", panel="gradients", source=WTP, pace=True,
      threshold=f"the residual's weighted gradient is over {STARVED:g} times the term's at every one of the last "
                f"5 looks, while the term misses by more than {MISFIT:.0%} of its size and does not fall, "
                f"after {EARLY} steps")
def starved_term(seen: Seen) -> Iterator[Sighting]:
    pulls = list(seen.pulls)[-5:]
    if seen.experiment.balancing.rule != "fixed" or len(pulls) < 5 or seen.made < EARLY or seen.first is None:
        return
    if seen.experiment.balancing.direction == "config":
        return  # every term has the same say in its direction, however large its gradient is
    for term in seen.terms:
        if term in seen.residual_terms:
            continue
        ratios = [_ratio(seen, pull.terms, pull.norms * pull.weights, term) for pull in pulls]
        losses = seen.recent(seen.loss(term), 0.2)
        scale = max(seen.first.losses[term], _size(seen))
        misfit = np.sqrt(level(losses) / scale) if scale > 0 else 0.0
        if min(ratios) > STARVED and misfit > MISFIT and not gain(losses) > 1.5:
            yield Sighting(
                subject=term, severity=Severity.SERIOUS if misfit > 0.5 else Severity.WARNING,
                title=f"'{term}' is starved",
                text=f"The residual's gradient is so much larger than that of '{term}' that each step serves the "
                     f"equation alone. '{term}' is hardly learned, and without it the equation has many wrong "
                     f"solutions. A larger weight, adapted while training, brings both to one pace.",
                evidence=f"gradient of the residual / gradient of '{term}', weighted: {level(ratios):.3g}; "
                         f"'{term}' misses by {misfit:.0%} of its size",
                remedies=(ANNEALING, EQUAL_NORMS))


def _ratio(seen: Seen, terms: tuple[str, ...], norms: Array, term: str) -> float:
    residual = sum(float(n) ** 2 for t, n in zip(terms, norms, strict=True) if t in seen.residual_terms) ** 0.5
    own = float(norms[terms.index(term)]) if term in terms else np.inf
    return residual / own if own > 0 else np.inf


def _size(seen: Seen) -> float:
    """Mean square of the solution, exact where known; 0 without a picture."""
    if not seen.pictures:
        return 0.0
    sizes = [e.exact_rms if np.isfinite(e.exact_rms) else 0.0 for e in seen.pictures[-1].fields.values()]
    return max(sizes, default=0.0) ** 2


@rule("exploding-weight", panel="weights", source="Wang, Teng & Perdikaris 2021, section 2.4; limit: ours",
      threshold=f"a weight that a rule moves has passed {EXPLODED:g} times its start and grows still")
def exploding_weight(seen: Seen) -> Iterator[Sighting]:
    chosen = seen.experiment.balancing.rule
    if chosen == "fixed" or seen.now is None or seen.first is None:
        return
    for term in seen.terms:
        start, weights = seen.experiment.balancing.weights.get(term, 1.0), seen.weight(term)
        grown = float(weights[-1]) / start
        if grown > EXPLODED and not gain(seen.recent(weights, 0.3)) > 1.2:
            other = "annealing-siam" if chosen == "annealing-arxiv" else "gradient-norm"
            # at rest one is max / mean, the other its root; and Adam must forget gradients that large
            back = {**seen.experiment.balancing.weights, term: float(f"{np.sqrt(weights[-1]):.2g}")}
            yield Sighting(
                subject=term, title=f"the weight of '{term}' runs away",
                text=f"The rule '{chosen}' has raised the weight of '{term}' so far that it drowns the other terms: "
                     f"'{term}' becomes perfect and the equation is no longer learned. A rule whose weights stay "
                     f"bounded goes on from here.",
                evidence=f"weight of '{term}': {weights[-1]:.3g}, {grown:.3g} times its start",
                remedies=(Remedy(text=f"Balance by '{other}', from a weight of {back[term]:g} on, and let Adam "
                                      f"forget the old scale (beta2 = 0.99)",
                                 changes={"balancing.rule": other, "balancing.weights": back,
                                          "optimizer.beta2": 0.99}),))


@rule("conflict", panel="alignment", pace=True,
      source="Liu, Chu & Thuerey 2024; cosines: Wang et al. 2025 (arXiv 2502.00604)",
      threshold=f"cosine of two terms' gradients below {OPPOSED:g} at the median of the last 8 looks, after a fifth "
                f"of the "
                f"run, while one of the two has not fallen by a fifth over the last quarter and the solution is wrong")
def conflict(seen: Seen) -> Iterator[Sighting]:
    looks = list(seen.alignments)
    if len(looks) < 8 or seen.made < 0.2 * seen.total or seen.experiment.balancing.direction != "sum":
        return
    terms = [t for t in looks[-1].terms if t in seen.terms]
    if any(t not in look.terms for t in terms for look in looks) or not wrong(seen):
        return
    pairs = {(a, b): level([float(f.cosines[f.terms.index(a), f.terms.index(b)]) for f in looks])
             for n, a in enumerate(terms) for b in terms[n + 1:]}
    opposed = {pair: c for pair, c in pairs.items() if c < OPPOSED}
    for (a, b), cosine in sorted(opposed.items(), key=lambda item: item[1])[:1]:
        stuck = [t for t in (a, b) if gain(seen.recent(seen.loss(t), 0.25)) < 1.25]
        if stuck:
            yield Sighting(
                title=f"'{a}' and '{b}' pull against each other",
                text="The gradients of the two terms point in opposite directions: what a step wins for one it takes "
                     "from the other. ConFIG makes steps that have the same angle with every term's gradient, so that "
                     "none pays for another.",
                evidence=f"cosine of '{a}' and '{b}': {cosine:.2f}; not falling: {', '.join(stuck)}",
                remedies=(Remedy(text="Step in a direction that serves every term (ConFIG)",
                                 changes={"balancing.direction": "config", "balancing.points": "equal"}),))


@rule("terms-far-apart", panel="losses", source="ours", certain=True,
      threshold=f"weighted losses at the first step differ by a factor of more than {APART:g} with fixed weights")
def terms_far_apart(seen: Seen) -> Iterator[Sighting]:
    first = seen.first
    if first is None or first.step > 50 or seen.experiment.balancing.rule != "fixed":
        return
    sizes = {t: first.weights[t] * first.losses[t] for t in seen.terms if first.losses[t] > 0}
    if len(sizes) < 2:
        return
    large, small = max(sizes, key=lambda t: sizes[t]), min(sizes, key=lambda t: sizes[t])
    if sizes[large] > APART * sizes[small] and sizes[small] > 1e-12:
        yield Sighting(
            title="the loss terms have very different sizes",
            text=f"At the start '{large}' is so much larger than '{small}' that the sum of both is '{large}' alone. "
                 f"Scale the equations, or let a rule weight them.",
            evidence=f"'{large}': {sizes[large]:.2g}, '{small}': {sizes[small]:.2g}, weighted, at step {first.step}",
            remedies=(EQUAL_NORMS, ANNEALING))


def good(seen: Seen) -> bool:
    """Whether the solution is right to a hundredth; without one to compare with, whether the loss has become small."""
    if np.isfinite(seen.error):
        return level([e for _, e in seen.errors[-5:]]) < 0.01
    whole = seen.whole()
    return len(whole) > 0 and level(whole[-10:]) < 1e-3 * whole[0]


def wrong(seen: Seen) -> bool:
    """Whether the solution is off by more than a tenth; without one to compare with, whether the loss is high."""
    if np.isfinite(seen.error):
        return seen.error > 0.1
    whole = seen.whole()
    return len(whole) > 0 and level(whole[-10:]) > 0.02 * whole[0]
