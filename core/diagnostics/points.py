"""Where errors are measured when a grid over two inputs does not do."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from core.decomposition import whole
from core.frames import Array
from core.places import Places
from core.problem import Problem

SPREAD = 10_000  # points, as the released code of Liang et al. uses for its errors
SEED = 20_210_111


def spread_points(problem: Problem, count: int = SPREAD) -> Tensor:
    """Uniform points [count, d] over the whole domain, float64, the same ones for every run."""
    places = Places(problem, torch.float64)
    places.add(whole(problem), (), count)
    places.close()
    generator = torch.Generator().manual_seed(SEED)
    return places.physical(torch.rand(count, places.columns, generator=generator, dtype=torch.float64))


def interior_points(problem: Problem, points: Array, margin: float) -> Array:
    """Which of the points [G, d] lie farther than `margin` times each range from the boundary; bool [G]."""
    bounds = np.array(list(problem.domain.values()))
    distance = margin * (bounds[:, 1] - bounds[:, 0])
    out: Array = ((points > bounds[:, 0] + distance) & (points < bounds[:, 1] - distance)).all(1)
    return out
