"""Of the parts of an objective: what their names begin with, and points that are the same whenever one looks."""

from __future__ import annotations

import torch
from torch import Tensor

from core.objective import Objective
from core.sampling import Group, Sampler, Sampling
from core.trainer import Trainer


def prefix_of(objective: Objective, region: int) -> str:
    """What names of this sub-domain begin with, such as '3: '; nothing where there is only one."""
    return f"{region + 1}: " if len(objective.regions) > 1 else ""


def fixed_draws(objective: Objective, seed: int = 0) -> Tensor:
    """Low-discrepancy draws [N, c] for all points of an objective, the same for the same seed: scrambled Sobol'."""
    groups = [Group(p.start, p.stop, p.free, objective.columns, p.interior, p.name) for p in objective.places.patches]
    sampler = Sampler(Sampling("sobol"), groups, objective.dtype)
    return sampler.draw(torch.Generator().manual_seed(seed))


def start_of(trainer: Trainer) -> Tensor:
    """The parameters [P] that this run started from: drawn once more from its seed."""
    return trainer.objective.initial(torch.Generator().manual_seed(trainer.generator.initial_seed()))
