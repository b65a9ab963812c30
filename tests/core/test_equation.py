"""Residuals on jets against the same equations evaluated with nested autograd."""

from __future__ import annotations

import math
import sys

import pytest
import torch

from core.architecture import Architecture
from core.equation import FUNCTIONS, prepare, simplified
from core.expression import Derivative, Name, Node, Number, evaluate, parse
from core.jets import DerivativeSet
from core.networks import build_network, initial_parameters

CONSTANTS = {"k": 3.0, "nu": 0.01, "c": 2.0}

EQUATIONS = [
    (("x", "y"), ("u",), ["u_xx + u_yy + k**2*u - sin(pi*x)*exp(y)"], 1),
    (("t", "x"), ("u",), ["u_tt - c**2*u_xx + u^3"], 1),
    (("t", "x"), ("u",), ["u_t + u*u_x - nu*u_xx"], 1),
    (("x", "y"), ("u", "v"), ["u*u_x + v*u_y - nu*(u_xx + u_yy)", "u*v_x + v*v_y - nu*v_xx - nu*v_yy", "u_x + v_y"], 1),
    (("t", "x"), ("u",), ["u_t + u*u_x + u_xx + u_xxxx"], None),
    (("x", "y"), ("u",), ["u_xy - x*(u_xx + 2*u_yy)/k + (u_xx - u_yy)"], None),
    (("x", "y"), ("u",), ["u_xx*u_yy - u_xy**2"], None),
    (("x",), ("u",), ["-(u_xx)/2 - sin(u)*x"], 1),
    (("x", "y", "z"), ("u",), ["u_xx + u_yy + u_zz"], 1),
    (("x", "y"), ("psi",), ["psi_y*psi_xxy - psi_x*psi_xxx + sqrt(abs(psi_yyy)) + heaviside(x) + u0", ], None),
]


def by_autograd(node: Node, inputs: tuple[str, ...], fields: tuple[str, ...], network: object, theta: torch.Tensor,
                x: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    ones = torch.ones(x.shape[1], dtype=x.dtype)
    value = network.forward(theta, x, ones.unsqueeze(1), len(x), DerivativeSet(), DerivativeSet()).value  # type: ignore[attr-defined]

    def look(leaf: Name | Derivative) -> torch.Tensor:
        if isinstance(leaf, Name):
            if leaf.name in fields:
                return value[:, fields.index(leaf.name)]
            return x[:, inputs.index(leaf.name)] if leaf.name in inputs else torch.tensor(
                CONSTANTS.get(leaf.name, 1.5), dtype=x.dtype)
        out = value[:, fields.index(leaf.field)]
        for name in leaf.inputs:
            out = torch.autograd.grad(out.sum(), x, create_graph=True)[0][:, inputs.index(name)]
        return out

    return evaluate(node, look, FUNCTIONS).detach()


@pytest.mark.parametrize(("inputs", "fields", "texts", "channels"), EQUATIONS)
@pytest.mark.parametrize("kind", ["mlp", "gated"])
def test_residuals_agree_with_autograd(inputs: tuple[str, ...], fields: tuple[str, ...], texts: list[str],
                                       channels: int | None, kind: str) -> None:
    constants = {**CONSTANTS, "u0": 1.5}
    nodes = [parse(text, inputs=inputs, fields=fields, names=constants) for text in texts]
    equations = prepare(nodes, inputs, fields, constants)
    if channels is not None:
        assert len(equations.carried.operators) == channels, "the second derivatives collapse into one channel"
    generator = torch.Generator().manual_seed(1)
    network = build_network(Architecture(kind, (7, 7)), len(inputs), len(fields))
    theta = initial_parameters(network, generator, torch.float64)
    x = torch.randn(11, len(inputs), generator=generator, dtype=torch.float64)
    ones = torch.ones(len(inputs), 1, dtype=torch.float64)
    jet = network.forward(theta, x, ones, len(x), equations.carried, equations.outputs)
    for mine, node in zip(equations.residuals(jet, x), nodes, strict=True):
        truth = by_autograd(node, inputs, fields, network, theta, x)
        assert (mine - truth).abs().max() <= 1e-10 * max(1.0, float(truth.abs().max()))


def test_a_laplacian_is_one_channel_and_nothing_else_is_read() -> None:
    node = parse("u_xx + u_yy + k**2*u", inputs=("x", "y"), fields=("u",), names=CONSTANTS)
    equations = prepare([node], ("x", "y"), ("u",), CONSTANTS)
    assert equations.carried.first == (0, 1)
    assert len(equations.carried.operators) == len(equations.outputs.operators) == 1
    assert equations.outputs.first == ()


def test_collapsing_is_left_where_it_would_make_more_channels() -> None:
    texts = ["u_xx + u_yy", "u_xx - u_yy", "u_xx + 2*u_yy"]
    nodes = [parse(t, inputs=("x", "y"), fields=("u",)) for t in texts]
    assert len(prepare(nodes, ("x", "y"), ("u",), {}).carried.operators) == 2


def test_an_endless_sum_gets_a_sentence() -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)  # the default, which tracing raises
    node = parse("+".join(["u_x*u"] * 1500), inputs=("x",), fields=("u",))
    with pytest.raises(ValueError, match="split it"):
        prepare([node], ("x",), ("u",), {})
    sys.setrecursionlimit(limit)


def test_constants_are_folded() -> None:
    node = parse("(k**2 - 1)*pi*u*1 + 0", inputs=("x",), fields=("u",), names=CONSTANTS)
    folded = simplified(node, CONSTANTS)
    values = [n.value for n in [folded.left] if isinstance(n, Number)]  # type: ignore[union-attr]
    assert values == [pytest.approx(8 * math.pi)]
