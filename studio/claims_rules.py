"""When a claim counts as reproduced: rules on the numbers of the seeds, each stated in a sentence."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

REPRODUCED, PARTLY, NOT_REPRODUCED, OPEN = "reproduced", "partly reproduced", "NOT reproduced", "not decided"

FAR = 10.0  # what 'far above' means at least
THREE = (2.0, 5.0)  # what 'about three times' may be
SIZE = (10**4.5, 10**5.5)  # what 'about 1e5' may be
APART = 100.0  # by how much a small one lies below a large one, at least
FIXED = {"tanh": "tanh", "sin": "sin", "relu3": "ReLU³"}  # what reproducing activations are compared with, and names

FAR_RULE = (f"Far above: the ratio of the medians of σ_max over the second half of the run is at least {FAR:g} on "
            f"every seed.")
THREE_RULE = (f"About three times lower: the ratio of the medians of σ_max over the second half of the run lies "
              f"between {THREE[0]:g} and {THREE[1]:g} on every seed.")
SIZE_RULE = "L_r reaches about 1e5: its σ_max after the last step lies between 10^4.5 and 10^5.5 on every seed."
APART_RULE = f"L_ub stays small: its σ_max after the last step is at most a {APART:g}th of L_r's on every seed."
KAPPA_RULE = ("Better conditioned: κ is smaller than that of tanh, of sin and of ReLU³ of the same seed at all three "
              "steps on every seed. Partly: than one of them at all three steps on every seed. A κ that is lost in "
              "rounding (above about 1e28) is larger than any that is known; two of them are not compared, which "
              "leaves the verdict open.")

Seeds = dict[int, float]  # a number by seed; NaN where a run broke off or it is not known
Both = tuple[Mapping[int, float], Mapping[int, float]]  # of the weight matrices, and of all parameters; by seed
Row = list[str]


@dataclass(frozen=True)
class Verdict:
    """A claim, what was measured, and what follows by the rule."""

    claim: str
    rule: str
    text: str  # what was measured, in words
    values: Mapping[str, Any]
    verdict: str

    def plain(self) -> dict[str, Any]:
        return {"claim": self.claim, "rule": self.rule, "text": self.text, "values": dict(self.values),
                "verdict": self.verdict}


def ratios(above: Mapping[int, float], below: Mapping[int, float]) -> Seeds:
    """above / below of every seed that both have; NaN where one of them is not a positive number."""
    return {seed: above[seed] / below[seed] if above[seed] > 0 and below[seed] > 0 else math.nan
            for seed in sorted(above.keys() & below.keys())}


def within(values: Mapping[int, float], low: float, high: float) -> str:
    """Whether all seeds lie in a range; open where there is none, or one of them is not known."""
    if not values or not all(math.isfinite(value) for value in values.values()):
        return OPEN
    return REPRODUCED if all(low <= value <= high for value in values.values()) else NOT_REPRODUCED


def far_above(what: str, above: Both, below: Both) -> Verdict:
    """Whether one is far above the other."""
    return _judged(f"σ_max far above: {what}", FAR_RULE, "ratio", _ratios(above, below), FAR, math.inf)


def three_times(what: str, above: Both, below: Both) -> Verdict:
    """Whether one is about three times the other."""
    return _judged(f"σ_max about three times lower: {what}", THREE_RULE, "ratio", _ratios(above, below), *THREE)


def stiff_residual(what: str, residual: Both, boundary: Both) -> list[Verdict]:
    """Whether L_r reaches 1e5, and L_ub stays small."""
    return [_judged(f"∇²L_r reaches about 1e5: {what}", SIZE_RULE, "σ_max", residual, *SIZE),
            _judged(f"∇²L_ub stays small: {what}", APART_RULE, "L_r / L_ub", _ratios(residual, boundary),
                    APART, math.inf)]


def _ratios(above: Both, below: Both) -> Both:
    return ratios(above[0], below[0]), ratios(above[1], below[1])


def _judged(claim: str, rule: str, name: str, values: Both, low: float, high: float) -> Verdict:
    """By the first of the two, the weight matrices'; the second, of all parameters, is told beside it."""
    weights, every = values
    text = "not run yet"
    if weights:
        text = f"{name} {_listed(weights)}" + f" (all parameters: {_listed(every)})" * bool(every)
        text += "; one seed" * (len(weights) == 1)
    plain = {kind: {str(seed): _known(value) for seed, value in own.items()}
             for kind, own in (("weights", weights), ("all parameters", every))}
    return Verdict(claim, rule, text, plain, within(weights, low, high))


def _listed(values: Mapping[int, float]) -> str:
    return ", ".join(f"{value:.3g}" for _, value in sorted(values.items()))


def conditioned(label: str, key: str, conditions: Sequence[Mapping[str, Mapping[int, float]]]) -> Verdict:
    """Whether the kernel of one activation is better conditioned than those of FIXED.

    conditions: log10 kappa by setting and seed, at each of the steps; infinite where it is lost in rounding.
    """
    wins: dict[str, tuple[int, int]] = {}  # compared with, at (step, seed): better in, of
    unknown = False
    for other in FIXED:
        pairs = [(at[key].get(seed, math.nan), value) for at in conditions if key in at
                 for seed, value in at.get(other, {}).items() if seed in at[key]]
        unknown |= not pairs or any(math.isnan(a) or math.isnan(b) or a == b == math.inf for a, b in pairs)
        wins[other] = sum(a < b for a, b in pairs), len(pairs)
    always = [count > 0 and better == count for better, count in wins.values()]
    verdict = REPRODUCED if all(always) else PARTLY if any(always) else NOT_REPRODUCED
    text = "smaller κ than " + ", ".join(
        f"{FIXED[other]} in {better} of {count}" for other, (better, count) in wins.items())
    return Verdict(f"kernel better conditioned: {label}", KAPPA_RULE, text,
                   {other: list(pair) for other, pair in wins.items()}, OPEN if unknown else verdict)


def _known(value: float) -> float | None:
    return float(f"{value:.7g}") if math.isfinite(value) else None


def mean_and_spread(values: Sequence[float], form: str) -> str:
    """'mean ± sample standard deviation'; '-' where nothing is known, and how many of the values are where not all."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "lost in rounding" if math.inf in values else "-"
    text = f"{statistics.fmean(finite):{form}}"
    if len(finite) > 1 and form != ".0f":
        text += f" ± {statistics.stdev(finite):{form}}"
    return text if len(finite) == len(values) else f"{text} ({len(finite)})"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table; its first row is the head."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)
