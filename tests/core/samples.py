"""Small experiments in double precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.objective import Objective
from core.trainer import Trainer
from studio.experiment import Experiment


def experiment(problem: dict[str, Any] | None = None, **changes: Any) -> Experiment:
    """A Poisson problem on the unit square; `problem`: keys that differ; changes: dotted paths, '__' for the dot."""
    base: dict[str, Any] = {
        "name": "sample",
        "problem": {
            "name": "Poisson", "fields": ["u"], "domain": {"x": [0.0, 1.0], "y": [0.0, 1.0]},
            "residuals": [{"name": "pde", "equation": "u_xx + u_yy = 1", "points": 7}],
            "conditions": [{"name": "edges", "equation": "u", "points": 3}],
            **(problem or {}),
        },
        "network": {"hidden": [6, 6]},
        "training": {"precision": "float64", "steps": 50},
        "diagnostics": {"grid": 9},
    }
    return Experiment.from_data(base).with_changes({k.replace("__", "."): v for k, v in changes.items()})


def residual(equation: str, points: int = 7, **more: Any) -> list[dict[str, Any]]:
    return [{"name": "pde", "equation": equation, "points": points, **more}]


def draws_of(objective: Objective, seed: int = 1) -> Tensor:
    """Random draws for all its points."""
    return torch.rand(objective.points, objective.columns, generator=torch.Generator().manual_seed(seed),
                      dtype=objective.dtype)


def shaken(objective: Objective, seed: int = 2) -> Tensor:
    """Start values, shaken so that no bias is zero."""
    generator = torch.Generator().manual_seed(seed)
    theta = objective.initial(generator)
    return theta + 0.1 * torch.randn(theta.shape, generator=generator, dtype=theta.dtype)


def same(a: Trainer, b: Trainer) -> bool:
    """Whether two trainers are in the same state, bit for bit."""
    x, y = a.state(), b.state()
    return x.numbers == y.numbers and all(torch.equal(x.tensors[k], y.tensors[k]) for k in x.tensors)


def grid_file(path: Path, **arrays: Any) -> str:
    """A .npz file with axes x, y of the unit square and u = x + 2 y over their grid, and what else is given."""
    x, y = np.linspace(0, 1, 5), np.linspace(0, 1, 4)
    np.savez(path, **{"x": x, "y": y, "u": np.add.outer(x, 2 * y), **arrays})
    return str(path)
