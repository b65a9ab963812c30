"""Remedies that several rules offer."""

from __future__ import annotations

from core.choices import SECOND_ORDER
from studio.findings import Remedy
from studio.rules.seen import Seen


def then_second_order(seen: Seen) -> tuple[Remedy, ...]:
    """What puts a second-order phase in float64 after this one; nothing where phases follow, or where this is one.

    First a method that follows the gradient, then one that divides by the curvature: Rathore et al. 2024 (arXiv
    2402.01868); in float64: Urban et al. 2025.
    """
    if seen.experiment.phases or seen.experiment.optimizer.kind in SECOND_ORDER:
        return ()
    return (Remedy(text="Then second order: when these steps are made, the best method that the memory allows goes on "
                        "in float64",
                   changes={"phases": [{"optimizer": {"kind": "auto"}, "precision": "float64"}]}),)
