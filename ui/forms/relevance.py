"""Which fields matter under the present choices: a table of rules. What no rule names always matters.

A rule looks at what is typed, right or wrong. Where a variant is compared with the experiment, what it changes counts
beside what the experiment has, so that nothing is hidden that one of the two needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from core.choices import RATED

#: By dotted path the texts of a field: the experiment's, and the variant's where it has another one.
Typed = Mapping[str, tuple[str, ...]]
Rule = Callable[[Typed], bool]


def one_of(path: str, *choices: str) -> Rule:
    """Where a field has one of these texts."""
    return lambda typed: any(text.strip() in choices for text in typed.get(path, ()))


def not_only(path: str, *choices: str) -> Rule:
    """Where a field has some other text than these."""
    return lambda typed: any(text.strip() not in choices for text in typed.get(path, ()))


def filled(path: str) -> Rule:
    """Where there is something in a field."""
    return not_only(path, "")


def names(path: str, word: str) -> Rule:
    """Where a list has this word."""
    return lambda typed: any(word in text.replace(",", " ").split() for text in typed.get(path, ()))


def both(first: Rule, second: Rule) -> Rule:
    return lambda typed: first(typed) and second(typed)


def either(first: Rule, second: Rule) -> Rule:
    return lambda typed: first(typed) or second(typed)


_SLOPES = not_only("network.slopes", "none")
_RAF = one_of("network.raf", "learnable", "assigned")
_CUT = filled("decomposition.splits")
_DRAWN_BY_RESIDUAL = one_of("sampling.kind", "rad", "rar-d")

_MOMENTS = one_of("optimizer.kind", "adam", "adamw", "soap", "muon")
_DECAY = one_of("optimizer.kind", *RATED)

#: Path of a field: where it matters.
RULES: Mapping[str, Rule] = MappingProxyType({
    "problem.truth": either(filled("problem.unknowns"), filled("problem.readings")),
    "problem.readings": either(filled("problem.unknowns"), filled("problem.averages")),
    "decomposition.flux": _CUT,
    "decomposition.hidden": _CUT,
    "decomposition.points": _CUT,
    "decomposition.interface_points": _CUT,
    "decomposition.local": both(_CUT, filled("problem.unknowns")),
    "decomposition.starts": both(_CUT, filled("decomposition.local")),
    "network.hidden": either(one_of("decomposition.splits", ""), one_of("decomposition.hidden", "")),
    "network.activation": not_only("network.raf", "learnable", "assigned"),
    "network.slope_scale": either(_SLOPES, one_of("network.raf", "rowdy")),
    "network.slope_on_output": _SLOPES,
    "network.recovery": _SLOPES,
    "network.raf_basis": _RAF,
    "network.raf_blocks": one_of("network.raf", "assigned"),
    "network.raf_start": one_of("network.raf", "learnable"),
    "network.raf_width": both(_RAF, names("network.raf_basis", "gaussian")),
    "network.rowdy_terms": one_of("network.raf", "rowdy"),
    "network.initial_scale": one_of("network.initial", "normal"),
    "network.harmonics": filled("problem.periodic"),
    "network.fourier_sigma": not_only("network.fourier_features", "0"),
    "sampling.candidates": _DRAWN_BY_RESIDUAL,
    "sampling.exponent": _DRAWN_BY_RESIDUAL,
    "sampling.offset": _DRAWN_BY_RESIDUAL,
    "balancing.floor": not_only("balancing.rule", "fixed", "relobralo"),
    "balancing.temperature": one_of("balancing.rule", "relobralo"),
    "balancing.memory": one_of("balancing.rule", "relobralo"),
    "balancing.points_rate": one_of("balancing.points", "self-adaptive", "residual-attention"),
    "balancing.points_decay": one_of("balancing.points", "residual-attention"),
    "balancing.chunks": one_of("balancing.points", "causal"),
    "balancing.epsilon": one_of("balancing.points", "causal"),
    "optimizer.learning_rate": _DECAY,
    "optimizer.beta1": _MOMENTS,
    "optimizer.beta2": _MOMENTS,
    "optimizer.epsilon": _MOMENTS,
    "optimizer.weight_decay": one_of("optimizer.kind", "adam", "adamw", "gd", "soap", "muon"),
    "optimizer.clip": one_of("optimizer.kind", "adam", "adamw", "gd", "soap", "muon"),
    "optimizer.decay": _DECAY,
    "optimizer.decay_rate": both(_DECAY, not_only("optimizer.decay", "cosine")),
    "optimizer.decay_steps": both(_DECAY, not_only("optimizer.decay", "cosine")),
    "optimizer.damping": one_of("optimizer.kind", "levenberg-marquardt", "gauss-newton-cg", "spring"),
    "optimizer.momentum": one_of("optimizer.kind", "muon", "spring"),
    "optimizer.history": one_of("optimizer.kind", "lbfgs"),
    "optimizer.refresh": one_of("optimizer.kind", "soap"),
    "optimizer.cg_iterations": one_of("optimizer.kind", "gauss-newton-cg"),
    "optimizer.form": one_of("optimizer.kind", "levenberg-marquardt"),
})


def matters(path: str, typed: Typed) -> bool:
    """Whether the field with this dotted path matters where this is typed."""
    rule = RULES.get(path)
    return rule is None or rule(typed)
