"""The released code's training loop, written out once more with nested autograd: an independent M1 or M2.

    python tests/bench/replica.py [--model M2] [--seed 0] [--steps 40001]

Nothing of PINNscope is used: points from numpy, derivatives by reverse mode twice, torch's own Adam, inputs z-scored
with the moments of 1e5 random points, the annealing rule term by term as Wang et al. (2021) released it. It shows
whether a difference from the published table is ours or the algorithm's. Prints error, weight and steps per second.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch
from torch import Tensor

LAYERS = (2, 50, 50, 50, 1)
EDGES = (((-1, -1), (1, -1)), ((1, -1), (1, 1)), ((1, 1), (-1, 1)), ((-1, 1), (-1, -1)))
BATCH, INTERVAL, RATE = 128, 10, 0.1


def exact(p: Tensor) -> Tensor:
    """sin(pi x) sin(4 pi y)."""
    return torch.sin(math.pi * p[:, :1]) * torch.sin(4 * math.pi * p[:, 1:])


class Replica:
    """Network, normalization and losses."""

    def __init__(self, seed: int) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        self.random = np.random.RandomState(seed)
        self.weights = [(torch.randn(i, o) / math.sqrt((i + o) / 2)).requires_grad_()
                        for i, o in zip(LAYERS[:-1], LAYERS[1:], strict=True)]
        self.biases = [torch.zeros(1, o).requires_grad_() for o in LAYERS[1:]]
        sample = self.random.rand(100_000, 2) * 2 - 1
        self.mean = torch.tensor(sample.mean(0), dtype=torch.float32)
        self.std = torch.tensor(sample.std(0), dtype=torch.float32)

    def net(self, x: Tensor, y: Tensor) -> Tensor:
        """The network on normalized coordinates."""
        h = torch.cat([x, y], 1)
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = torch.tanh(h @ w + b)
        return h @ self.weights[-1] + self.biases[-1]

    def batch(self, low: tuple[int, int], high: tuple[int, int]) -> Tensor:
        """Uniform points between two corners."""
        a, b = np.array(low), np.array(high)
        return torch.tensor(a + (b - a) * self.random.rand(BATCH, 2), dtype=torch.float32)

    def losses(self, inside: Tensor, edges: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Mean square of the residual, sum of the edges' mean squares."""
        z = (inside - self.mean) / self.std
        x, y = z[:, :1].clone().requires_grad_(), z[:, 1:].clone().requires_grad_()
        u = self.net(x, y)
        u_x, u_y = torch.autograd.grad(u.sum(), (x, y), create_graph=True)
        u_xx = torch.autograd.grad(u_x.sum(), x, create_graph=True)[0] / self.std[0] ** 2
        u_yy = torch.autograd.grad(u_y.sum(), y, create_graph=True)[0] / self.std[1] ** 2
        residual = u_xx + u_yy + u - (1 - 17 * math.pi**2) * exact(inside)
        boundary = torch.zeros(())
        for p in edges:
            z = (p - self.mean) / self.std
            boundary = boundary + ((self.net(z[:, :1], z[:, 1:]) - exact(p)) ** 2).mean()
        return (residual**2).mean(), boundary

    def error(self) -> float:
        """Relative L2 on the 100 x 100 grid."""
        g = torch.linspace(-1, 1, 100)
        grid = torch.stack(torch.meshgrid(g, g, indexing="ij"), -1).view(-1, 2)
        z = (grid - self.mean) / self.std
        with torch.no_grad():
            return float((self.net(z[:, :1], z[:, 1:]) - exact(grid)).norm() / exact(grid).norm())


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="M2", choices=("M1", "M2"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=40_001)
    given = parser.parse_args()
    r = Replica(given.seed)
    adam = torch.optim.Adam([*r.weights, *r.biases], lr=1e-3)
    weight, begun = 1.0, time.perf_counter()
    for it in range(given.steps):
        adam.param_groups[0]["lr"] = 1e-3 * 0.9 ** (it / 1000)
        inside, edges = r.batch((-1, -1), (1, 1)), [r.batch(*edge) for edge in EDGES]
        residual, boundary = r.losses(inside, edges)
        adam.zero_grad()
        (residual + weight * boundary).backward()
        adam.step()
        if it % INTERVAL == 0 and given.model == "M2":
            residual, boundary = r.losses(inside, edges)
            top = max(float(g.abs().max()) for g in torch.autograd.grad(residual, r.weights))
            means = [float(g.abs().mean()) for g in torch.autograd.grad(weight * boundary, r.weights)]
            weight = (1 - RATE) * weight + RATE * top / float(np.mean(means))
        if it % 10_000 == 0:
            print(f"{given.model} seed {given.seed} step {it}: relative L2 {r.error():.2e}, weight {weight:.0f}, "
                  f"{it / (time.perf_counter() - begun):.0f} steps/s", flush=True)


if __name__ == "__main__":
    main()
