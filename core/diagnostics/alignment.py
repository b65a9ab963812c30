"""Whether the loss terms pull in one direction, within a step and from one step to the next."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from core.frames import AlignmentFrame, Array, frozen
from core.trainer import Trainer


class AlignmentDiagnostic:
    """Observes the cosines of a trainer's per-term gradients on the points of its last step, over all parameters.

    Source of the score: Wang, Bhartari, Li & Perdikaris, arXiv 2502.00604, eq. 3.1. `between` is that score of two
    gradients, their cosine: of the weighted total at the parameters, points and weights of the step just made, and of
    that which the next step will start from. Points of one term count equally, whatever the run's point weights.
    """

    kind = "alignment"

    def observe(self, trainer: Trainer) -> AlignmentFrame:
        _, rows = trainer.term_gradients()
        gradients = _numpy(rows)
        weights = _numpy(trainer.weights)
        with np.errstate(all="ignore"):  # a gradient that overflows is shown as such, it does not end the run
            norms = np.sqrt((gradients * gradients).sum(1))
            units = gradients / norms[:, None]  # NaN where a gradient is zero
            return AlignmentFrame(
                step=trainer.iteration,
                terms=trainer.terms,
                weights=frozen(weights),
                norms=frozen(norms),
                cosines=frozen(_cosines(units)),
                within=score(units[(weights > 0) & (norms != 0)]),
                between=self._between(trainer, rows),
            )

    def _between(self, trainer: Trainer, present: Tensor) -> float:
        """`present` [T, P]: the raw gradients at theta on the points of the last step."""
        last = trainer.last_step()
        if last is None:
            return math.nan
        before, _, draws, weights = last
        coming = trainer.coming_draws()
        if coming is not draws:
            present = trainer.engine.term_gradients(trainer.theta, coming)[1]
        made = weights @ trainer.engine.term_gradients(before, draws)[1]
        pair = _numpy(torch.stack((made, trainer.weights @ present)))
        norms = np.sqrt((pair * pair).sum(1))
        return float(_cosines(pair / norms[:, None])[0, 1])


def score(units: Array) -> float:
    """2 |mean of the unit vectors|^2 - 1 of vectors [n, P]; NaN where n < 2."""
    if len(units) < 2:
        return math.nan
    mean = units.mean(0)
    return float(2 * (mean @ mean) - 1)


def _cosines(units: Array) -> Array:
    gram = units @ units.T
    out: Array = np.clip((gram + gram.T) / 2, -1.0, 1.0)  # rounding may leave [-1, 1]
    return out


def _numpy(tensor: Tensor) -> Array:
    out: Array = tensor.detach().double().numpy()
    return out
