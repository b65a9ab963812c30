"""DeepXDE on PyTorch, written as its own Helmholtz example is.

    fixed     the points are drawn once, which is what it does unless told otherwise
    redrawn   a PDEPointResampler draws new ones in every step, as every other engine here does
"""

from __future__ import annotations

import os

import rounds

given = rounds.arguments("fixed", "redrawn")
os.environ["DDE_BACKEND"] = "pytorch"

import deepxde as dde  # noqa: E402 - the backend is chosen when it is imported
import numpy as np  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(given.threads)
dde.config.set_random_seed(0)
a, b = (np.pi * wave for wave in rounds.WAVES)


def pde(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """u_xx + u_yy + u - q."""
    dy_xx = dde.grad.hessian(y, x, i=0, j=0)
    dy_yy = dde.grad.hessian(y, x, i=1, j=1)
    source = (1 - a**2 - b**2) * torch.sin(a * x[:, 0:1]) * torch.sin(b * x[:, 1:2])
    return dy_xx + dy_yy + y - source


geometry = dde.geometry.Rectangle([-1, -1], [1, 1])
zero = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda _, on_boundary: on_boundary)
distribution = "pseudo" if given.variant == "redrawn" else "Hammersley"  # its default gives the same points again
data = dde.data.PDE(
    geometry, pde, zero, num_domain=given.points, num_boundary=4 * rounds.EDGE_POINTS, train_distribution=distribution
)
model = dde.Model(data, dde.nn.FNN(list(rounds.SIZES), "tanh", "Glorot normal"))
model.compile("adam", lr=rounds.LEARNING_RATE)
callbacks = [dde.callbacks.PDEPointResampler(period=1)] if given.variant == "redrawn" else []


def run(steps: int) -> float:
    """Make Adam steps; the last loss."""
    history, _ = model.train(iterations=steps, display_every=1_000_000, verbose=0, callbacks=callbacks)
    return float(np.sum(history.loss_train[-1]))


rounds.serve({"deepxde": dde.__version__, "torch": torch.__version__}, run)
