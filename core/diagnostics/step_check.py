"""What a step was to do to each loss term by its Taylor expansion, and what it did."""

from __future__ import annotations

import numpy as np
import torch

from core.diagnostics.hessian import Hessians
from core.frames import StepCheckFrame, frozen
from core.trainer import Trainer


class StepCheckDiagnostic:
    """Observes the step just made, whatever the optimizer: d = theta after - theta before, on that step's points.

    first = g_i . d and second = d . H_i d / 2, with the raw gradient and Hessian of each term before the step. For
    gradient descent d = -eta sum_j w_j g_j, and this is Wang et al. 2021, eqs. 2.20-2.22, in the form that is exact
    for each term. `actual` is the difference of two losses in the run's precision: below about 1e-7 of the loss in
    float32 it is rounding.
    """

    kind = "step_check"

    def observe(self, trainer: Trainer) -> StepCheckFrame | None:
        """None where no step was made since the start, or since a state was loaded."""
        last = trainer.last_step()
        if last is None:
            return None
        before, after, draws, weights = last
        d = after - before
        hessians = Hessians(trainer.objective, before, draws, weights)
        wide = d.double()
        first = [float(hessians.gradient(term).double() @ wide) for term in trainer.terms]
        second = [float(hessians.product(term, d).double() @ wide) / 2 for term in trainer.terms]
        with torch.no_grad():
            end = torch.stack(trainer.objective.losses_apart(after, draws)).double().numpy()
        start = hessians.losses.double().numpy()
        with np.errstate(invalid="ignore"):  # infinite at both ends
            actual = end - start
        return StepCheckFrame(
            step=trainer.iteration, terms=trainer.terms, weights=frozen(weights.double().numpy()),
            before=frozen(start), first=frozen(np.array(first)), second=frozen(np.array(second)),
            actual=frozen(actual),
        )
