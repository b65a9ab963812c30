"""PINNscope's own trainer on the gallery's M1: `eager` or `compiled`."""

from __future__ import annotations

import sys
from pathlib import Path

import rounds

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
given = rounds.arguments("eager", "compiled")

import torch  # noqa: E402

from studio import __version__  # noqa: E402
from studio.build import build_trainer  # noqa: E402
from studio.gallery import load  # noqa: E402

experiment = load("helmholtz-m1")
problem = experiment.problem.model_dump(mode="json")
if len(problem["residuals"]) != 1 or (2, *experiment.network.hidden, 1) != rounds.SIZES:
    raise ValueError("the gallery's helmholtz-m1 is no longer the problem that the other engines solve")
problem["residuals"][0]["points"] = given.points
for condition in problem["conditions"]:
    condition["points"] = rounds.EDGE_POINTS
trainer = build_trainer(
    experiment.with_changes({"problem": problem, "training.threads": given.threads}), engine=given.variant
)


def run(steps: int) -> float:
    """Make steps; the sum of the last losses."""
    losses = [0.0]
    for _ in range(steps):
        losses = trainer.step()
    return sum(losses)


rounds.serve({"pinnscope": __version__, "torch": torch.__version__}, run)
