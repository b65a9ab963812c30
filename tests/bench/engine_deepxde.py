"""DeepXDE on PyTorch, written as its own examples are.

    fixed       the points are drawn once, which is what it does unless told otherwise
    redrawn     a PDEPointResampler draws new ones in every step, as every other engine here does
    compiled    fixed points, and the residual compiled by torch: DeepXDE has no switch for it on this backend, and
                `torch.compile` fails on its network and on its own derivatives, so the residual leaves `dde.grad` for
                nested `autograd.grad` inside one compiled function
"""

from __future__ import annotations

import os

import rounds

given = rounds.arguments("fixed", "redrawn", "compiled")
os.environ["DDE_BACKEND"] = "pytorch"

import deepxde as dde  # noqa: E402 - the backend is chosen when it is imported
import numpy as np  # noqa: E402
import peer_deepxde as own  # noqa: E402
import torch  # noqa: E402
from peer_problems import PROBLEMS, columns, nested, periodic_features  # noqa: E402

torch.set_num_threads(given.threads)
dde.config.set_random_seed(0)
peer = PROBLEMS[given.problem]
net = dde.nn.FNN([3 if peer.periodic else 2, *peer.hidden, len(peer.fields)], "tanh", "Glorot normal")
if peer.periodic:
    net.apply_feature_transform(periodic_features)
pde = own.pde(peer)
if given.variant == "compiled":
    import torch._dynamo

    torch._dynamo.config.trace_autograd_ops = True  # nested autograd.grad inside a compiled function

    def residual(x: torch.Tensor) -> list[torch.Tensor]:
        """All residuals [N, 1]."""
        return peer.residual(columns(x, peer), nested(x, net(x), peer))

    whole = torch.compile(residual, fullgraph=True)

    def pde(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
        """The same for DeepXDE, whose own output is not used."""
        return whole(x)


place = own.geometry(peer)
distribution = "pseudo" if given.variant == "redrawn" else "Hammersley"  # its default gives the same points again
counts = {"num_domain": given.points, "train_distribution": distribution}
conditions = own.conditions(given.problem, peer, place)
if peer.time:
    counts |= {"num_boundary": 0 if peer.periodic else 2 * peer.faces, "num_initial": peer.faces}
    data = dde.data.TimePDE(place, pde, conditions, **counts)
else:
    data = dde.data.PDE(place, pde, conditions, num_boundary=4 * peer.faces, **counts)
model = dde.Model(data, net)
model.compile("adam", lr=rounds.LEARNING_RATE)
callbacks = [dde.callbacks.PDEPointResampler(period=1)] if given.variant == "redrawn" else []


def run(steps: int) -> float:
    """Make Adam steps; the last loss."""
    history, _ = model.train(iterations=steps, display_every=1_000_000, verbose=0, callbacks=callbacks)
    return float(np.sum(history.loss_train[-1]))


rounds.serve({"deepxde": dde.__version__, "torch": torch.__version__}, run)
