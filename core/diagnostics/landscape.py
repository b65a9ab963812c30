"""The loss on a plane through the present parameters (Li, Xu, Taylor, Studer & Goldstein 2018), on demand."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from core.diagnostics.hessian import SEED, TOTAL, Hessians, lanczos, operator
from core.diagnostics.stopping import Progress, Stop, Tell, never, nobody
from core.frames import Array, LandscapeFrame, frozen
from core.objective import Objective
from core.trainer import Trainer

Directions = Literal["gradient-random", "hessian"]
PRODUCTS = 60  # for the two largest eigenvalues' vectors


class LandscapeDiagnostic:
    """Observes a trainer's losses at theta + a d1 + b d2 on the points of its last step.

    Both directions are as long as theta, so that a and b are in units of |theta|.
    gradient-random: the gradient of the weighted total (the loss climbs with a), and a random direction in which every
        neuron's incoming weights, and every other group of parameters, is as long as in theta: Li et al.'s filter
        normalisation. What is zero in theta stays zero in it.
    hessian: eigenvectors of the two largest eigenvalues of the weighted total's Hessian, by Lanczos, turned so that the
        loss climbs with a and b at the centre.
    """

    kind = "landscape"

    def observe(self, trainer: Trainer, *, size: int = 31, reach: float = 0.5,
                directions: Directions = "gradient-random", seed: int = 0, stop: Stop = never,
                tell: Tell = nobody) -> LandscapeFrame:
        """size: points along each axis, an odd number, the middle one the present; reach: the largest |a| and |b|.

        seed: of the random direction. stop is asked and tell told between the rows. Raises Stopped and ValueError.
        Where losses are not finite they are NaN or infinite.
        """
        if size < 3 or size % 2 == 0:
            raise ValueError(f"a landscape has an odd number of points along each axis, at least 3, so that the "
                             f"present parameters are its centre; {size} is not")
        if not (math.isfinite(reach) and reach > 0):
            raise ValueError(f"a landscape reaches a positive multiple of |theta|, {reach:g} is not")
        if directions not in get_args(Directions):
            raise ValueError(f"there are no directions '{directions}'; there are {', '.join(get_args(Directions))}")
        progress = Progress(size + (size / 4 if directions == "hessian" else 0), stop, tell)
        hessians = Hessians.of(trainer)
        if directions == "hessian":
            names, (d1, d2) = ("eigenvector 1", "eigenvector 2"), _eigenvectors(hessians, progress)
            progress.advance(size / 4)
        else:
            names = ("gradient", "random")
            d1, d2 = hessians.gradient(TOTAL).double(), _random(trainer.objective, trainer.theta, seed)
        length = torch.linalg.vector_norm(trainer.theta.double())
        plane = [(_unit(d) * length).to(hessians.dtype) for d in (d1, d2)]
        half = size // 2
        axis = np.arange(-half, half + 1) / half * reach  # exactly 0 in the middle
        losses = _losses(trainer, hessians.draws, plane, axis, progress)
        with np.errstate(all="ignore"):
            total = losses @ trainer.weights.double().numpy()
        return LandscapeFrame(
            step=trainer.iteration, directions=names, axes=(frozen(axis), frozen(axis)),
            losses={term: frozen(losses[..., k]) for k, term in enumerate(trainer.terms)} | {TOTAL: frozen(total)},
        )


def _losses(trainer: Trainer, draws: Tensor, plane: list[Tensor], axis: Array, progress: Progress) -> Array:
    """Raw losses [A, B, T]."""
    out = np.empty((len(axis), len(axis), len(trainer.terms)))
    theta, (d1, d2) = trainer.theta, plane
    with torch.no_grad():
        for i, a in enumerate(axis.tolist()):
            for j, b in enumerate(axis.tolist()):
                out[i, j] = torch.stack(trainer.objective.losses(theta + a * d1 + b * d2, draws)).double().numpy()
            progress.advance()
    return out


def _random(objective: Objective, theta: Tensor, seed: int) -> Tensor:
    """A Gaussian direction [P], float64, scaled to theta: columns of matrices [in, out], all else as one group each."""
    generator = torch.Generator().manual_seed(seed)
    theta = theta.double()
    out = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    for p in objective.parameters:
        own, values = out[p.slice].view(p.shape), theta[p.slice].view(p.shape)
        if len(p.shape) > 1:
            own *= torch.linalg.vector_norm(values, dim=0) / torch.linalg.vector_norm(own, dim=0)
        else:
            own *= torch.linalg.vector_norm(values) / torch.linalg.vector_norm(own)
    return out


def _eigenvectors(hessians: Hessians, progress: Progress) -> tuple[Tensor, Tensor]:
    """Of the two largest eigenvalues, [P] float64; NaN where the Hessian is not finite, zero where it has no second."""
    generator = torch.Generator().manual_seed(SEED)
    start = torch.randn(hessians.size, generator=generator, dtype=torch.float64)
    space = lanczos(operator(hessians, TOTAL), start, PRODUCTS, progress.check)
    if space is None:
        nothing = torch.full_like(start, math.nan)
        return nothing, nothing
    _, components = space.ritz()
    gradient = hessians.gradient(TOTAL).double()
    found = [space.vector(components[:, -k]) if k <= len(components) else torch.zeros_like(start) for k in (1, 2)]
    first, second = [-v if float(v @ gradient) < 0 else v for v in found]
    return first, second


def _unit(d: Tensor) -> Tensor:
    """d / |d|; zero stays zero."""
    size = torch.linalg.vector_norm(d)
    return d if float(size) == 0 else d / size
