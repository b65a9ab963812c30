"""The usual way in eager PyTorch: derivatives by reverse mode again and again, `torch.optim.Adam` in its fused form."""

from __future__ import annotations

import rounds
import torch
from peer_problems import PROBLEMS, columns, nested, periodic_features
from torch import nn

given = rounds.arguments()
torch.set_num_threads(given.threads)
torch.manual_seed(0)
peer = PROBLEMS[given.problem]

sizes = (3 if peer.periodic else len(peer.inputs), *peer.hidden, len(peer.fields))
layers: list[nn.Module] = []
for width_in, width_out in zip(sizes[:-1], sizes[1:], strict=True):
    linear = nn.Linear(width_in, width_out)
    nn.init.xavier_normal_(linear.weight)
    nn.init.zeros_(linear.bias)
    layers += [linear, nn.Tanh()]
network = nn.Sequential(*layers[:-1])
adam = torch.optim.Adam(network.parameters(), lr=rounds.LEARNING_RATE, fused=True)
low, high = torch.tensor(peer.low), torch.tensor(peer.high)


def predict(x: torch.Tensor) -> torch.Tensor:
    """The fields [N, fields] at points [N, d]."""
    return network(periodic_features(x) if peer.periodic else x)


def drawn(points: int) -> torch.Tensor:
    """Points inside the domain, [N, d]."""
    return low + (high - low) * torch.rand(points, len(peer.inputs))


def squares() -> torch.Tensor:
    """The sum of the mean squares of the conditions, on new points of each face."""
    total = torch.zeros(())
    for column, value, condition in peer.conditions:
        x = drawn(peer.faces)
        x[:, column] = value
        x.requires_grad_(condition.derivatives)
        y = predict(x)
        total = total + condition.residual(columns(x, peer), nested(x, y, peer)).square().mean()
    return total


def run(steps: int) -> float:
    """Make Adam steps; the last loss."""
    loss = torch.zeros(())
    for _ in range(steps):
        x = drawn(given.points).requires_grad_()
        residuals = peer.residual(columns(x, peer), nested(x, predict(x), peer))
        loss = squares()
        for residual in residuals:
            loss = loss + residual.square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return loss.item()


rounds.serve({"torch": torch.__version__}, run)
