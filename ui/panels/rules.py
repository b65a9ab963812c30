"""How the window speaks of the ways to balance: one table for every panel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from studio.specs import BalancingSpec


@dataclass(frozen=True)
class Words:
    """A choice in a list, what is said of a run that has it, and one sentence that explains it."""

    name: str
    said: str
    tip: str


#: By rule, in the order of core.choices.RULES.
RULES: Mapping[str, Words] = MappingProxyType({
    "fixed": Words("fixed", "fixed weights", "The weights stay as they are set."),
    "annealing-siam": Words("annealing (SIAM)", "annealed weights (SIAM)",
                            "As in the SIAM paper and its code: weighted mean in the denominator."),
    "annealing-arxiv": Words("annealing (arXiv)", "annealed weights (arXiv)",
                             "As in the first version of the paper: unweighted mean."),
    "annealing-cavity": Words("annealing (cavity)", "annealed weights (cavity)",
                              "The ratio layer by layer, then the largest."),
    "gradient-norm": Words("gradient norm", "equal gradient norms",
                           "Every term's gradient gets the same norm (Wang et al. 2023)."),
    "ntk": Words("tangent kernel", "tangent-kernel weights",
                 "Every term gets the same trace of its block of the tangent kernel (Wang, Yu & Perdikaris 2022)."),
    "relobralo": Words("ReLoBRaLo", "relative loss balancing",
                       "Terms that progress less get more weight, with random lookback (Bischof & Kraus 2021)."),
    "inverse-dirichlet": Words("inverse Dirichlet", "inverse Dirichlet weights",
                               "The entries of every term's gradient get the same spread (Maddu et al. 2022)."),
})

#: What is said beside the rule of a direction that is not the plain sum, and of points that are not equal.
DIRECTIONS: Mapping[str, str] = MappingProxyType({"config": "ConFIG", "pcgrad": "PCGrad", "dual-cone": "dual cone"})
POINTS: Mapping[str, str] = MappingProxyType({
    "self-adaptive": "self-adaptive points", "residual-attention": "residual attention", "causal": "causal weights",
})


def balancing_words(balancing: BalancingSpec, rule: str) -> str:
    """What a run does about balance, with the rule that it has now: 'fixed weights, ConFIG'."""
    said = RULES[rule].said if rule in RULES else rule
    more = (DIRECTIONS.get(balancing.direction, ""), POINTS.get(balancing.points, ""))
    return ", ".join(part for part in (said, *more) if part)
