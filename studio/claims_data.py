"""The claims of studio.claims: what is trained for each, and what is kept of a run. Does not load torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from core.frames import NtkFrame, StiffnessFrame, frozen
from studio import gallery
from studio.experiment import Experiment

DIGITS = 7  # significant ones of a number in a result file


@dataclass(frozen=True)
class Setting:
    """One thing that is trained: a lane of an experiment of the gallery, with changes by dotted path."""

    key: str
    label: str
    experiment: str
    lane: int = 0
    changes: Mapping[str, Any] = field(default_factory=dict)
    spectrum: bool = False  # all eigenvalues of the terms' Hessians after the last step, for seed 0

    def resolve(self, steps: int, seed: int = 0) -> Experiment:
        """The experiment. Raises ExperimentError."""
        lane = gallery.load(self.experiment).lanes()[self.lane]
        return lane.with_changes({**self.changes, "training.steps": steps, "training.seed": seed})


@dataclass(frozen=True)
class Claim:
    """What a paper says, and how it is measured."""

    name: str
    title: str
    source: str
    steps: int
    looks: int  # at a run, evenly spaced, beside the one before the first step
    settings: tuple[Setting, ...]
    notes: tuple[str, ...]  # where this differs from the paper, in sentences

    @property
    def kind(self) -> str:
        """Of the frames."""
        return "stiffness" if self.name == "hessian" else "ntk"


def _hessians() -> Iterator[Setting]:
    for layers in (4, 3):
        hidden = {"network.hidden": [50] * layers}
        yield Setting(f"m1-{layers}", f"M1, a2 = 4, 50 x {layers}", "stiffness-m1-m3", 0, hidden)
        yield Setting(f"m3-{layers}", f"M3, a2 = 4, 50 x {layers}", "stiffness-m1-m3", 1, hidden)
        yield Setting(f"a2-{layers}", f"M1, a2 = 1, 50 x {layers}", "stiffness-a2", 0, hidden)
    yield Setting("m1-5", "M1, a2 = 4, 50 x 5", "stiffness-m1-m3", 0, {"network.hidden": [50] * 5}, spectrum=True)


HESSIAN = Claim(
    "hessian", "The stiffness of the loss: largest eigenvalues of its Hessian",
    "Wang, Teng & Perdikaris, SIAM J. Sci. Comput. 43 (2021), Figs. 4, 5, 10 (arXiv 2001.04536, Figs. 5, 4, 11)",
    40_000, 40, tuple(_hessians()),
    ("'Weights' are eigenvalues of the Hessian over the weight matrices of the layers, without biases and encoders, as "
     "in the released code; the verdicts are of these. 'All' are over all parameters, as in the program's panels and "
     "in the figure. Both by Lanczos, at most 20 products a look, each from the eigenvectors of the look before.",
     "They are computed on the 128 points (and 128 on each edge) of the step just made, as in the released code, so "
     "they jump from look to look; the median over the second half of a run is compared.",
     "'4 layers' of the figures is read as four hidden layers; three are the released code's default. Both are here.",
     "The curves of the paper have no printed numbers; 'far above', 'about three times' and 'up to 1e5' are its words "
     "and marks on its axes.",
     "The rules were set before the runs, but that the weights decide after M1, 50 x 4, seed 0 had been seen with all "
     "parameters. The two readings differ for M1 / M3, whose encoders and biases are only in the second."))

NTK = Claim(
    "ntk", "The condition of the tangent kernel with reproducing activations",
    "Liang, Lyu, Wang & Yang 2021 (arXiv 2101.04844), abstract; its figures and settings of the kernel: not found",
    1_000, 20, (
        Setting("tanh", "tanh", "ntk-raf", 0),
        Setting("sin", "sin", "ntk-raf", 0, {"network.activation": "sin"}),
        Setting("relu3", "ReLU³", "ntk-relu3", 0),
        Setting("raf-wide", "RAF assigned, s = 0.5", "ntk-relu3", 1),
        Setting("raf-narrow", "RAF assigned, s = 0.05", "ntk-raf", 1),
        Setting("raf-learnable-wide", "RAF learnable, from s = 0.5", "ntk-relu3", 1, {"network.raf": "learnable"}),
        Setting("raf-learnable-narrow", "RAF learnable, from s = 0.05", "ntk-raf", 1, {"network.raf": "learnable"}),
    ),
    ("The kernel is that of the residual, K = J J^T on 24 scrambled Sobol' points, the same for all runs and steps, by "
     "the singular values of J in float64.",
     "Problem: the smooth Poisson problem with its boundary condition built in. Network (50 x 4, plain), batch (256) "
     "and rate (1e-3, constant, no weight decay) are ours, since the paper's were not found; the weights start as in "
     "its released PDE scripts.",
     "The start matters: a trial with Glorot's (seed 0, not kept) had log10 κ = 6.4, 5.0, 5.4 for assigned s = 0.05, "
     "and ReLU³ did not train at all.",
     "A smaller κ is no smaller error: they are in one row so that both are seen.",
     "Assigned: x, x^2, sin, Gaussian of width s in a quarter of the neurons each. Learnable: every neuron a "
     "combination of the four."))

CLAIMS = {claim.name: claim for claim in (HESSIAN, NTK)}


# ------------------------------------------------------------------ what is kept of a run


class Run(BaseModel):
    """A run in a result file. Frames as plain data: `frame_of` makes frames of them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    setting: str
    digest: str
    seed: int
    steps: int
    engine: str = ""
    seconds: float = 0.0  # of training, without the looks
    failed: str = ""  # why it broke off
    date: str = ""
    errors: dict[int, float | None] = {}  # relative L2 by step
    weights_only: dict[int, dict[str, float | None]] = {}  # largest eigenvalues over the weights, by step and row
    frames: list[dict[str, Any]] = []
    spectrum: dict[str, Any] = {}

    def frame(self, step: int) -> dict[str, Any] | None:
        return next((one for one in self.frames if one["step"] == step), None)


def plain(frame: StiffnessFrame | NtkFrame) -> dict[str, Any]:
    """A frame as JSON has it, with DIGITS digits; NaN and infinity are null."""
    names = (("step", "rows", "largest", "lowest", "accuracy", "weights", "learning_rate", "products")
             if isinstance(frame, StiffnessFrame) else
             ("step", "terms", "points", "eigenvalues", "kappa", "floored", "effective_rank", "trace",
              "trace_activations"))
    return {name: _plain(getattr(frame, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value.tolist()]
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return rounded(value) if isinstance(value, float) else value


def rounded(value: float) -> float | None:
    """With DIGITS digits; null for what JSON has no number for."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def frame_of(data: Mapping[str, Any]) -> StiffnessFrame | NtkFrame:
    """The frame that `plain` made the data of, to DIGITS digits."""
    if "rows" in data:
        return StiffnessFrame(step=data["step"], rows=tuple(data["rows"]), learning_rate=data["learning_rate"],
                              products=data["products"],
                              **{name: _array(data[name]) for name in ("largest", "lowest", "accuracy", "weights")})
    return NtkFrame(step=data["step"], terms=tuple(data["terms"]), points=frozen(np.array(data["points"])),
                    eigenvalues={name: _array(one) for name, one in data["eigenvalues"].items()},
                    kappa={name: number(one) for name, one in data["kappa"].items()}, floored=data["floored"],
                    effective_rank={name: number(one) for name, one in data["effective_rank"].items()},
                    trace=_array(data["trace"]), trace_activations=_array(data["trace_activations"]))


def _array(values: Sequence[float | None]) -> Any:
    return frozen(np.array([number(one) for one in values], dtype=np.float64))


def number(value: float | None) -> float:
    """NaN for null."""
    return math.nan if value is None else float(value)
