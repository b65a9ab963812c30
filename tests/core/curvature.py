"""Small trainers to look at, and their dense Hessians by a way of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.trainer import Trainer
from studio.build import build_trainer
from tests.core.samples import experiment

#: A problem with three terms, of which each has its own kind of loss.
THREE = {"residuals": [{"name": "pde", "equation": "u_xx + u_yy + u^2 = sin(3*x)", "points": 9}],
         "conditions": [{"name": "edges", "equation": "u", "points": 3},
                        {"name": "slope", "term": "slope", "on": "x = 0", "equation": "u_x - 0.3*u", "points": 4}]}
#: Two sub-domains, with a flux and an average between them.
CUT = {"residuals": [{"name": "pde", "equation": "u_xx + u_yy = 1", "points": 8}],
       "conditions": [{"name": "edges", "equation": "u", "points": 6}],
       "decomposition": {"splits": {"x": [0.4]}, "flux": {"x": "u_x"}, "interface_points": 4}}
#: A coefficient to be found.
INVERSE = {"unknowns": {"k": 0.4}, "residuals": [{"name": "pde", "equation": "u_xx + k*u_yy = k^2", "points": 8}]}


def trained(steps: int = 4, problem: dict[str, Any] | None = None, **changes: Any) -> Trainer:
    """A trainer in float64 after some steps; networks and changes as `samples.experiment`."""
    own = dict(THREE if problem is None else problem)
    if "decomposition" in own:  # a part of the experiment
        changes["decomposition"] = own.pop("decomposition")
    trainer = build_trainer(experiment(own, **{"network__hidden": [5, 4], **changes}))
    for _ in range(steps):
        trainer.step()
    return trainer


def dense(trainer: Trainer, row: str, theta: Tensor | None = None, draws: Tensor | None = None) -> Tensor:
    """The Hessian [P, P] of a raw term or of the weighted total, by torch.autograd.functional.hessian."""
    at = trainer.points if draws is None else draws

    def loss(x: Tensor) -> Tensor:
        losses = trainer.objective.losses(x, at)
        if row == "total":
            return sum((w * part for w, part in zip(trainer.weights.tolist(), losses, strict=True)),
                       torch.zeros((), dtype=x.dtype))
        return losses[trainer.terms.index(row)]

    out = torch.autograd.functional.hessian(loss, trainer.theta if theta is None else theta)
    assert isinstance(out, Tensor)
    return out


def eigenvalues(matrix: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.linalg.eigvalsh((matrix + matrix.T).numpy() / 2)
