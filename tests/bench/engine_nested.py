"""The usual way in eager PyTorch: second derivatives by reverse mode twice, `torch.optim.Adam` in its fused form."""

from __future__ import annotations

import math

import rounds
import torch
from torch import nn

given = rounds.arguments()
torch.set_num_threads(given.threads)
torch.manual_seed(0)

layers: list[nn.Module] = []
for width_in, width_out in zip(rounds.SIZES[:-1], rounds.SIZES[1:], strict=True):
    linear = nn.Linear(width_in, width_out)
    nn.init.xavier_normal_(linear.weight)
    nn.init.zeros_(linear.bias)
    layers += [linear, nn.Tanh()]
network = nn.Sequential(*layers[:-1])
adam = torch.optim.Adam(network.parameters(), lr=rounds.LEARNING_RATE, fused=True)


def interior() -> torch.Tensor:
    """Points inside the square, [N, 2]."""
    return torch.rand(given.points, 2) * 2 - 1


def boundary() -> torch.Tensor:
    """Points on the four edges, [4 * EDGE_POINTS, 2]."""
    points = torch.rand(4, rounds.EDGE_POINTS, 2) * 2 - 1
    points[0, :, 0], points[1, :, 0] = -1, 1
    points[2, :, 1], points[3, :, 1] = -1, 1
    return points.view(-1, 2)


def residual(x: torch.Tensor) -> torch.Tensor:
    """u_xx + u_yy + u - q at points [N, 2]."""
    x.requires_grad_(True)
    u = network(x)
    (gradient,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    u_xx = torch.autograd.grad(gradient[:, 0].sum(), x, create_graph=True)[0][:, 0]
    u_yy = torch.autograd.grad(gradient[:, 1].sum(), x, create_graph=True)[0][:, 1]
    a, b = (math.pi * wave for wave in rounds.WAVES)
    source = (1 - a**2 - b**2) * torch.sin(a * x[:, 0]) * torch.sin(b * x[:, 1])
    return u_xx + u_yy + u[:, 0] - source


def run(steps: int) -> float:
    """Make Adam steps; the last loss."""
    loss = torch.zeros(())
    for _ in range(steps):
        loss = residual(interior()).square().mean() + network(boundary()).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return loss.item()


rounds.serve({"torch": torch.__version__}, run)
