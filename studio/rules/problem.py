"""What is wrong with the experiment itself, before or while it trains."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from studio.findings import Remedy, Severity
from studio.rules.remedies import then_second_order
from studio.rules.rule import Sighting, rule
from studio.rules.seen import Seen, gain, level

LARGE = 20.0  # of an input
PERIODIC = ("sin", "siren")  # do not saturate; with them the inputs' size is the choice of a frequency
SPANS = 100.0
ROUNDING = float(np.finfo(np.float32).eps)
ULPS = 3000.0
GRAIN = 0.6

#: Adam's second moments are of gradients by the unscaled inputs, too large by the square of the scale: with 0.999 they
#: would hold the first layer still for thousands of steps.
SCALED = Remedy(text="Map every input to mean 0 and deviation 1, and let Adam forget the old scale (beta2 = 0.99)",
                changes={"network.normalize": "z-score", "optimizer.beta2": 0.99})
DOUBLE = Remedy(text="Go on in float64", changes={"training.precision": "float64"})


@rule("inconsistent-condition", panel="fields", source="the exact solution put into the equations, by nested "
                                                       "autograd in "
      "float64", threshold="the exact solution does not satisfy an equation or a condition", certain=True)
def inconsistent_condition(seen: Seen) -> Iterator[Sighting]:
    problem = seen.experiment.problem
    for event in seen.events:
        if event.kind != "check":
            continue
        condition = next((c for c in problem.conditions if f"'{c.name}'" in event.text), None)
        remedies: tuple[Remedy, ...] = ()
        subject = ""
        if condition is not None:
            subject = condition.name
            if sum(c.term == condition.term for c in problem.conditions) == 1:
                weights = {**seen.experiment.balancing.weights, condition.term: 0.0}
                remedies = (Remedy(text=f"Leave '{condition.term}' out until it is corrected: weight 0",
                                   changes={"balancing.weights": weights}),)
        yield Sighting(
            subject=subject or event.text, severity=Severity.SERIOUS,
            title=f"'{subject}' contradicts the exact solution" if subject else "the exact solution contradicts it",
            text="The solution that the error is measured against does not satisfy what is trained, so the error "
                 "cannot "
                 "become small however well the training goes. One of the two has a mistake in it: correct it in the "
                 "form "
                 "and start again.",
            evidence=event.text, remedies=remedies)


@rule("unscaled-inputs", panel="activations", source="LeCun et al. 1998, section 4.3; limits: ours", certain=True,
      threshold=f"inputs go to the network as they are and one reaches beyond {LARGE:g}, or one's range is over "
                f"{SPANS:g} times another's")
def unscaled_inputs(seen: Seen) -> Iterator[Sighting]:
    network = seen.experiment.network
    if network.normalize != "none" or seen.now is None or network.raf != "none" or network.activation in PERIODIC:
        return
    domain = {name: bounds for name, bounds in seen.experiment.problem.domain.items()
              if name not in seen.experiment.problem.periodic}
    spans = [high - low for low, high in domain.values()]
    top = max((max(abs(low), abs(high)) for low, high in domain.values()), default=0.0)
    if top > LARGE or (spans and max(spans) > SPANS * min(spans)):
        yield Sighting(
            title="the inputs are not scaled",
            text="The network sees the inputs in their physical units. Large ones drive the activations into "
                 "saturation, and a short range beside a long one is hardly seen. Mapped to mean 0 and deviation 1, "
                 "all "
                 "inputs count alike; derivatives stay in physical units.",
            evidence="; ".join(f"{name} from {low:g} to {high:g}" for name, (low, high) in domain.items()),
            remedies=(SCALED,))


@rule("float32-floor", panel="fields", source="IEEE 754: a float32 has 24 binary digits; limits: ours",
      threshold=f"a known solution varies by less than {ULPS:g} rounding steps of its largest value; or the residual "
                f"on "
                f"the grid is noise from point to point (over {GRAIN:g} of white noise) while the loss is below 1e-4 "
                f"of its start and does not fall")
def float32_floor(seen: Seen) -> Iterator[Sighting]:
    if seen.experiment.training.precision != "float32" or len(seen.pictures) < 2:
        return
    picture = seen.pictures[-1]
    known = [e for e in picture.fields.values() if math.isfinite(e.exact_deviation) and e.exact_deviation > 0]
    largest = max((e.largest for e in picture.fields.values()), default=0.0)
    if known and largest > 0:  # of quantities made from a large field what counts is that field's rounding
        steps = {name: e.exact_deviation / (ROUNDING * _source(seen, name, e.largest)) for name, e in
                 picture.fields.items() if e.exact_deviation > 0}
        name = min(steps, key=lambda n: steps[n])
        if steps[name] < ULPS:
            yield Sighting(
                subject=name, title="float32 is too coarse for this solution",
                text=f"'{name}' varies by so few steps of float32's rounding that a part of the error is rounding, "
                     f"which "
                     f"no training removes. float64 has 500 million times finer steps, and is somewhat slower.",
                evidence=f"'{name}' varies by {steps[name]:.3g} rounding steps of float32",
                remedies=(DOUBLE, *then_second_order(seen)))
            return
    noisy = [name for name in picture.grain if all(p.grain.get(name, 0.0) > GRAIN for p in seen.pictures)]
    fallen = gain(seen.recent(seen.whole(), 0.25))
    whole = seen.whole()
    low = len(whole) > 20 and level(whole[-10:]) < 1e-4 * whole[0]
    if noisy and len(seen.pictures) >= 4 and seen.made > 500 and low and fallen < 1.1:
        grain = level([picture.grain[name] for name in noisy])
        yield Sighting(
            title="the residual has reached float32's rounding",
            text="From one point of the picture to the next the residual changes at random: what is left of it is "
                 "rounding. float64 goes on from here.",
            evidence=f"{', '.join(noisy)}: {grain:.0%} of white noise",
            remedies=(DOUBLE, *then_second_order(seen)))


def _source(seen: Seen, name: str, own: float) -> float:
    """The largest absolute value of what a field or quantity is computed from."""
    text = seen.experiment.problem.quantities.get(name)
    if text is None:
        return own
    words = set(re.findall(r"[A-Za-z_]\w*", text))
    return max([own, *(e.largest for f, e in seen.pictures[-1].fields.items()
                       if f in words and f in seen.experiment.problem.fields)])

