"""Where the tensors of a step are: which devices there are, and a trainer as it looks from the CPU."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from core.engine import EagerEngine
from core.trainer import Trainer


def missing(name: str) -> str:
    """A sentence that says why torch cannot compute on 'cpu' or 'cuda' here; '' where it can."""
    if name == "cpu" or torch.cuda.is_available():
        return ""
    reason = ("it finds no such device, or no driver for one" if torch.backends.cuda.is_built() else
              f"this build of torch ({torch.__version__}) is for the CPU only")
    return f"this machine has no CUDA device that torch can use: {reason}"


def resolve(name: str) -> torch.device:
    """The device of a name, 'cpu' or 'cuda' (the first one). Raises ValueError with a sentence where there is none."""
    sentence = missing(name)
    if sentence:
        raise ValueError(f"{sentence}; take the device cpu")
    return torch.device(name, 0) if name == "cuda" else torch.device(name)


def wait_for(device: torch.device) -> None:
    """Return when all that was asked of a device is done, so that a clock tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def on_cpu(trainer: Trainer) -> Trainer:
    """What diagnostics look at: the trainer where it is on the CPU, else a view of it there.

    The view has copies of all tensors, the same loss on the CPU with an eager engine, and shares the generator. It is
    for looking only: its steps would not be the trainer's.
    """
    objective = trainer.objective.on_cpu
    if objective is trainer.objective:
        return trainer
    view = copy.copy(trainer)
    moved: dict[int, Tensor] = {}  # what is the same tensor there is one here: `last_step` asks for that
    vars(view).update({name: _moved(value, moved) for name, value in vars(trainer).items()})
    view.objective = objective
    view.engine = EagerEngine(objective, trainer.optimizer, trainer.point_weights, trainer.chunk)
    return view


def _moved(value: Any, moved: dict[int, Tensor]) -> Any:
    if isinstance(value, Tensor):
        return moved.setdefault(id(value), value.cpu())
    if type(value) is tuple:
        return tuple(_moved(part, moved) for part in value)
    if isinstance(value, Mapping):
        return {key: _moved(part, moved) for key, part in value.items()}
    return value
