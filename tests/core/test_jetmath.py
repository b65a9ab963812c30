"""Arithmetic with jets against nested reverse-mode autograd in float64."""

from __future__ import annotations

from itertools import combinations_with_replacement

import pytest
import torch
from torch import Tensor

from core.architecture import Architecture
from core.equation import FUNCTIONS
from core.expression import FUNCTIONS as NAMES
from core.expression import Derivative, Name, Program, evaluate, parse
from core.jetmath import SERIES, JetNumber, constrained, coordinate
from core.jets import DerivativeSet, Jet, Operator, derivative_set
from tests.core.literal import At
from tests.core.plain import Plain, close, named, start

FIELDS, INPUTS = ("u", "v"), ("x", "y")
POINTS, EXTRA = 4, 2  # with derivatives, with values only
INDICES = [index for order in range(1, 5) for index in combinations_with_replacement(range(2), order)]
LAPLACIAN = Operator((((0, 0), 1.0), ((1, 1), 1.0)))
MIXED = Operator((((0, 0), 2.0), ((0, 1), -3.0), ((1, 1), 0.5)))


class Raw:
    """A small network with two outputs over two inputs."""

    def __init__(self, carried: DerivativeSet, n: int = POINTS) -> None:
        architecture = Architecture(hidden=(5, 5))
        network, theta, generator = start(architecture, 2, 2, seed=3, shake=0.3)
        self.x = 0.2 + 0.6 * torch.rand(POINTS + EXTRA, 2, generator=generator, dtype=torch.float64)
        scale = torch.tensor([1.3, 0.8], dtype=torch.float64)
        self.jet = network.forward(theta, self.x * scale, scale.unsqueeze(1), n, carried, carried)
        self.plain = Plain(architecture, named(network, theta), scale)


def program(text: str) -> Program:
    return Program(parse(text, inputs=INPUTS, fields=FIELDS))


def literal(texts: dict[str, str], raw: Raw) -> At:
    """The constrained fields in plain torch."""
    def fields(x: Tensor) -> Tensor:
        out = raw.plain(x)

        def look(node: Name | Derivative) -> Tensor:
            assert isinstance(node, Name)
            return out[:, FIELDS.index(node.name)] if node.name in FIELDS else x[:, INPUTS.index(node.name)]

        columns = []
        for k, name in enumerate(FIELDS):
            value = out[:, k] if name not in texts else evaluate(
                parse(texts[name], inputs=INPUTS, fields=FIELDS), look, FUNCTIONS)
            columns.append(value if isinstance(value, Tensor) else torch.full((len(x),), value, dtype=x.dtype))
        return torch.stack(columns, 1)

    return At(fields, raw.x, INPUTS, FIELDS)


def check(texts: dict[str, str], tolerance: float = 1e-9) -> None:
    """Every derivative up to fourth order, a Laplacian and a mixed operator, of both fields."""
    carried = derivative_set(INDICES, [LAPLACIAN, MIXED])
    raw = Raw(carried)
    jet = constrained(raw.jet, raw.x, FIELDS, INPUTS, {name: program(text) for name, text in texts.items()})
    truth = literal(texts, raw)
    for k, name in enumerate(FIELDS):
        close(jet.value[:, k], truth(name).detach(), tolerance)
        own = {index: truth(name, "".join("xy"[i] for i in index)).detach()[:POINTS] for index in INDICES}
        for index in INDICES:
            channel = jet.get(index)
            close(None if channel is None else channel[:, k], own[index], tolerance)
        for operator in (LAPLACIAN, MIXED):
            channel = jet.operators[carried.operators.index(operator)]
            close(None if channel is None else channel[:, k], sum(
                (c * own[pair] for pair, c in operator.entries), torch.zeros(POINTS, dtype=torch.float64)), tolerance)


ARGUMENT = {"asin": "0.5*sin(u)", "acos": "0.6*cos(u + x)", "log": "2 + u**2 + x", "sqrt": "1 + x + u**2",
            "tan": "0.4*u*x", "atan": "u - 2*y"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_function(name: str) -> None:
    check({"u": f"{name}({ARGUMENT.get(name, 'x*u + y')})", "v": f"{name}({ARGUMENT.get(name, 'x*u + y')})*v*y"})
    assert name in SERIES


@pytest.mark.parametrize("text", [
    "u**2", "u**3", "u**4", "u**5*x", "u**0 + u", "u**1", "(u + 5)**(-1)", "(u + 5)**(-2)", "(u + 5)**2.5",
    "(u + 5)**0.5", "(u + 5)**(-1.5)", "x**2*u", "x**0.5*u", "x**6*u", "(x + 1)**u", "2**u", "0.5**(u*x)",
    "(2 + x*y)**(u*v)", "u**2.0 - u**3",
])
def test_powers(text: str) -> None:
    check({"u": text})


@pytest.mark.parametrize("text", [
    "u/x", "u/(5 + v)", "3/(u + 5)", "x/(1 + u*u)", "u/4", "(x*u)/(y + 2)/(x + 1)", "3 - u", "-u", "u - x", "x - u",
    "2 + u", "u + 2", "u*3", "3*u", "x*(1 - x)*y*(1 - y)*u", "x + y*u", "u*v", "u - 7", "-(x*u - y)*(-2)",
])
def test_sums_products_and_quotients(text: str) -> None:
    check({"u": text})


def test_fields_of_one_constraint_in_another() -> None:
    """Names are raw outputs: v's constraint does not see that of u."""
    check({"u": "x*u + v**2", "v": "y*v*u + sin(u)"})
    check({"v": "u"})


@pytest.mark.parametrize("text", ["3.0", "x", "x*y", "sin(x)*y**3", "0*u", "u - u"])
def test_fields_that_do_not_depend_on_the_network(text: str) -> None:
    check({"u": text})


@pytest.mark.parametrize("indices", [[], [(0,)], [(1,)], [(0, 1)], [(1, 1, 1)], [(0, 0, 1, 1)]])
def test_only_what_is_carried(indices: list[tuple[int, ...]]) -> None:
    """Sets without some of the first derivatives, and none at all."""
    carried = derivative_set(indices)
    raw = Raw(carried, n=POINTS if indices else POINTS + EXTRA)
    texts = {"u": "x*(1 - x)*u + exp(-y*v)", "v": "v/(1 + x)"}
    jet = constrained(raw.jet, raw.x, FIELDS, INPUTS, {name: program(text) for name, text in texts.items()})
    assert jet.derivatives == carried
    truth = literal(texts, raw)
    for k, name in enumerate(FIELDS):
        close(jet.value[:, k], truth(name).detach())
        for index in indices:
            channel = jet.get(index)
            assert channel is not None
            close(channel[:, k], truth(name, "".join("xy"[i] for i in index)).detach()[:POINTS])


def test_operators_on_numbers_and_jets() -> None:
    x = torch.tensor([[0.3], [0.8], [2.0]], dtype=torch.float64)
    t = coordinate(x, 0, 3, derivative_set([(0, 0, 0, 0)]))
    cases: list[tuple[JetNumber, list[Tensor]]] = [
        (1 - t, [1 - x, -torch.ones_like(x), 0 * x, 0 * x, 0 * x]),
        (2 / t, [2 / x, -2 / x**2, 4 / x**3, -12 / x**4, 48 / x**5]),
        (t / t, [torch.ones_like(x), 0 * x, 0 * x, 0 * x, 0 * x]),
        (3**t, [3**x * torch.log(torch.tensor(3.0, dtype=torch.float64)) ** k for k in range(5)]),
        (t * t * t * t, [x**4, 4 * x**3, 12 * x**2, 24 * x, 24 + 0 * x]),
        (t**4, [x**4, 4 * x**3, 12 * x**2, 24 * x, 24 + 0 * x]),
        (5 + t - (-2 * t), [5 + 3 * x, 3 + 0 * x, 0 * x, 0 * x, 0 * x]),
        (t + 0.0, [x, 1 + 0 * x, 0 * x, 0 * x, 0 * x]),
    ]
    for number, truth in cases:
        for order in range(5):
            channel = number.jet.get((0,) * order)
            close(channel, truth[order])


def test_zero_is_a_regular_point_of_whole_powers() -> None:
    """x**2 at 0 has the derivatives 0, 2, 0, 0; by logarithms they would be NaN."""
    x = torch.zeros(1, 1, dtype=torch.float64)
    jet: Jet = (coordinate(x, 0, 1, derivative_set([(0,) * 4])) ** 2).jet
    values = [jet.get((0,) * order) for order in range(5)]
    assert [0.0 if v is None else float(v.reshape(-1)[0]) for v in values] == [0, 0, 2, 0, 0]
