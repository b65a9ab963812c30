"""The residuals that the peers solve, against closed forms of fields that are none of their solutions."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from peer_problems import PROBLEMS, cavity, columns, klein_gordon, nested  # noqa: E402

PI = math.pi


def residuals(name: str, field: torch.Tensor, x: torch.Tensor) -> list[torch.Tensor]:
    peer = PROBLEMS[name]
    return peer.residual(columns(x, peer), nested(x, field, peer))


def points(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    peer = PROBLEMS[name]
    low, high = (torch.tensor(v, dtype=torch.float64) for v in (peer.low, peer.high))
    generator = torch.Generator().manual_seed(0)
    x = (low + (high - low) * torch.rand(50, 2, generator=generator, dtype=torch.float64)).requires_grad_()
    return x, x[:, 0:1], x[:, 1:2]


def test_exact_solutions_leave_nothing() -> None:
    x, a, b = points("helmholtz")
    (left,) = residuals("helmholtz", torch.sin(PI * a) * torch.sin(4 * PI * b), x)
    assert float(left.detach().abs().max()) < 1e-11
    x, a, b = points("klein-gordon")
    peer = PROBLEMS["klein-gordon"]
    (left,) = residuals("klein-gordon", klein_gordon(columns(x, peer)), x)
    assert float(left.detach().abs().max()) < 1e-11
    for column, value, condition in peer.conditions:
        x, *_ = points("klein-gordon")
        x = x.detach().clone()
        x[:, column] = value
        x.requires_grad_()
        left = condition.residual(columns(x, peer), nested(x, klein_gordon(columns(x, peer)), peer))
        assert float(left.detach().abs().max()) < 1e-12


@pytest.mark.parametrize("name", ["burgers", "allen-cahn", "kdv", "kuramoto-sivashinsky"])
def test_one_field_in_every_evolution_equation(name: str) -> None:
    x, a, b = points(name)  # u = exp(t) sin(2 x)
    (found,) = residuals(name, torch.exp(b) * torch.sin(2 * a), x)
    with torch.no_grad():
        e, s, c = torch.exp(b), torch.sin(2 * a), torch.cos(2 * a)
        u, u_x, u_xx, u_xxx, u_xxxx = e * s, 2 * e * c, -4 * e * s, -8 * e * c, 16 * e * s
        expected = {"burgers": u + u * u_x - 0.01 / PI * u_xx, "allen-cahn": u - 1e-4 * u_xx + 5 * u**3 - 5 * u,
                    "kdv": u + u * u_x + 0.022**2 * u_xxx,
                    "kuramoto-sivashinsky": u + 5 * u * u_x + 0.5 * u_xx + 0.005 * u_xxxx}[name]
    torch.testing.assert_close(found.detach(), expected)


def test_both_forms_of_the_cavity_agree() -> None:
    x, a, b = points("cavity")  # u = s_y, v = -s_x of s = sin(2 x) exp(y)
    s, p = torch.sin(2 * a) * torch.exp(b), a * b**2
    by_psi = residuals("cavity", torch.cat([s, p], 1), x)
    u, v = torch.sin(2 * a) * torch.exp(b), -2 * torch.cos(2 * a) * torch.exp(b)
    peer = PROBLEMS["cavity"]
    flow = type(peer)(peer.inputs, peer.low, peer.high, ("u", "v", "p"), cavity(100.0), time=False)
    along, across, continuity = flow.residual(columns(x, flow), nested(x, torch.cat([u, v, p], 1), flow))
    torch.testing.assert_close(by_psi[0], along)
    torch.testing.assert_close(by_psi[1], across)
    assert float(continuity.detach().abs().max()) < 1e-12
