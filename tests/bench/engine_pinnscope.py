"""PINNscope's own trainer on an experiment of the gallery, with a plain network: `eager` or `compiled`."""

from __future__ import annotations

import sys
from pathlib import Path

import rounds

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import studio  # noqa: E402 - before torch, whose threads it sets

given = rounds.arguments("eager", "compiled")

import torch  # noqa: E402
from peer_problems import PROBLEMS  # noqa: E402

from studio.build import build_trainer  # noqa: E402
from studio.gallery import load  # noqa: E402

peer = PROBLEMS[given.problem]
experiment = load(peer.experiment)
if given.problem == rounds.FIRST and (2, *experiment.network.hidden, 1) != rounds.SIZES:
    raise ValueError("the gallery's helmholtz-m1 is no longer the problem that the other engines solve")
problem = experiment.problem.model_dump(mode="json")
for residual in problem["residuals"]:
    residual["points"] = given.points
for condition in problem["conditions"]:
    condition["points"] = peer.faces
trainer = build_trainer(experiment.with_changes({
    "problem": problem, "network.kind": "mlp", "network.hidden": list(peer.hidden), "balancing.points": "equal",
    "balancing.weights": dict.fromkeys(experiment.terms, 1.0), "training.threads": given.threads,
}), engine=given.variant)


def run(steps: int) -> float:
    """Make steps; the sum of the last losses."""
    losses = [0.0]
    for _ in range(steps):
        losses = trainer.step()
    return sum(losses)


rounds.serve({"pinnscope": studio.__version__, "torch": torch.__version__}, run)
