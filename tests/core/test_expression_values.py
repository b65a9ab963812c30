"""What an expression is worth, against sympy and closed forms, and what is in it."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
import sympy
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sympy.parsing.sympy_parser import parse_expr

from core.expression import (
    FUNCTIONS,
    Binary,
    Call,
    Derivative,
    ExpressionError,
    Name,
    Negate,
    Node,
    Number,
    Program,
    constant_value,
    derivatives,
    evaluate,
    names,
    substitute,
    walk,
)
from tests.core.expressions import K, U, V, X, Y, has_values, printed, read

CONTINUOUS = tuple(sorted(FUNCTIONS.keys() - {"sign", "heaviside", "tan"}))  # rounding cannot make them jump
TAME = st.recursive(
    st.one_of(st.sampled_from(["x", "y", "k", "pi"]).map(Name), st.sampled_from([0.5, 2.0, 3.0]).map(Number)),
    lambda inner: st.one_of(
        st.builds(Negate, inner),
        st.builds(Binary, st.sampled_from("+-*/"), inner, inner),
        st.builds(Binary, st.just("^"), inner, st.sampled_from([1.0, 2.0, 3.0]).map(Number)),
        st.builds(Call, st.sampled_from(CONTINUOUS), inner),
    ), max_leaves=6)


@settings(max_examples=150, deadline=None)
@given(TAME.filter(has_values), st.randoms(use_true_random=False))
def test_values_are_those_that_sympy_finds_in_the_same_text(tree: Node, random: Random) -> None:
    text = " ".join(printed(tree, random)[0].replace("^", "**").split())
    point = {"x": 0.7, "y": 0.3, "k": 1.9}

    def value(part: Node) -> float:
        return evaluate(part, lambda node: point[node.name], FUNCTIONS)  # type: ignore[union-attr]

    try:
        largest = max(abs(value(part)) for part in walk(read(text)))
    except (ArithmeticError, ValueError):  # outside a function's domain, or too large
        largest = math.inf
    assume(largest < 1e6)
    symbols = {name: sympy.Float(repr(at), 40) for name, at in point.items()}
    expected = sympy.N(parse_expr(text, local_dict={**symbols, "abs": sympy.Abs, "pi": sympy.pi}), 40)
    assume(expected.is_real)  # where rounding alone brought the value into a function's domain
    assert value(read(text)) == pytest.approx(float(expected), rel=1e-6, abs=1e-6 + 1e-9 * largest)


def test_the_helmholtz_residual_of_the_exact_solution_is_zero_in_numpy_and_torch() -> None:
    tree = read("u_xx + u_yy + k**2*u - q", names=("k", "q"), inputs=("x", "y"))
    exact = "sin(pi*x)*sin(4*pi*y)"
    factor = "(k**2 - pi**2 - (4*pi)**2)"
    texts = {"u": exact, "q": f"{factor}*{exact}", "x": f"-pi**2*{exact}", "y": f"-(4*pi)^2*{exact}"}
    trees = {key: read(text) for key, text in texts.items()}
    grid = np.linspace(-1, 1, 7)
    for x, y, functions in [
        (grid, grid[::-1] * 0.3, {"sin": np.sin}),
        (torch.tensor(grid), torch.tensor(grid) * 0.3, {"sin": torch.sin}),
    ]:
        def inner(node: Name | Derivative, x: object = x, y: object = y) -> object:
            return {"x": x, "y": y, "k": 1.0}[node.name]  # type: ignore[union-attr]

        def outer(node: Name | Derivative, inner: object = inner, functions: object = functions) -> object:
            key = node.inputs[0] if isinstance(node, Derivative) else node.name
            return 1.0 if key == "k" else evaluate(trees[key], inner, functions)  # type: ignore[arg-type]

        residual = evaluate(tree, outer, functions)  # type: ignore[arg-type]
        assert type(residual) is type(x) and residual.shape == x.shape
        assert float(abs(residual).max()) < 1e-12


class Recorder:
    """A value that remembers which exponent it was raised to."""

    exponent: object = None

    def __pow__(self, exponent: object) -> Recorder:
        out = Recorder()
        out.exponent = exponent
        return out


@pytest.mark.parametrize(("text", "exponent"), [
    ("u**2", 2), ("u**-3", -3), ("u**(1+1)", 2), ("u**0.5", 0.5), ("u**k", 4), ("u**1e300", 1e300)])
def test_whole_powers_have_int_exponents(text: str, exponent: float) -> None:
    found = evaluate(read(text), lambda node: 4.0 if node == K else Recorder(), {})
    assert isinstance(found, Recorder)
    assert found.exponent == exponent and type(found.exponent) is type(exponent)


def test_numbers_are_worked_out_before_the_functions_are_called() -> None:
    def torch_only(value: torch.Tensor) -> torch.Tensor:
        assert isinstance(value, torch.Tensor)
        return torch.sin(value)

    tree = read("sin(2*pi/3)*u + sin(u)*e")
    found = evaluate(tree, lambda node: torch.tensor(0.5, dtype=torch.float64), {"sin": torch_only})
    assert float(found) == pytest.approx(math.sin(2 * math.pi / 3) * 0.5 + math.sin(0.5) * math.e, rel=1e-15)
    assert evaluate(read("sin(pi/2) + 1"), lambda node: 0.0, {}) == 2.0


def test_a_program_is_traced_whole_by_torch() -> None:
    program = Program(read("u*u_x - 0.01/pi*u_xx + sin(u)**2"))

    def residual(u: torch.Tensor, u_x: torch.Tensor, u_xx: torch.Tensor) -> torch.Tensor:
        def lookup(node: Name | Derivative) -> torch.Tensor:
            return (u, u_x, u_xx)[len(node.inputs) if isinstance(node, Derivative) else 0]

        return program(lookup, {"sin": torch.sin})

    tensors = [torch.linspace(0, 1, 5, dtype=torch.float64) + i for i in range(3)]
    traced = torch.compile(residual, fullgraph=True, backend="eager")(*tensors)
    u, u_x, u_xx = tensors
    torch.testing.assert_close(traced, u * u_x - 0.01 / math.pi * u_xx + torch.sin(u) ** 2)


@pytest.mark.parametrize(("function", "at", "value"), [
    ("sign", -2.0, -1.0), ("sign", 0.0, 0.0), ("sign", 3.0, 1.0),
    ("heaviside", -2.0, 0.0), ("heaviside", 0.0, 0.0), ("heaviside", 3.0, 1.0), ("abs", -2.0, 2.0)])
def test_functions_with_a_corner(function: str, at: float, value: float) -> None:
    assert FUNCTIONS[function](at) == value


# ---------------------------------------------------------------------- what is in a tree

def test_names_and_derivatives() -> None:
    tree = read("u_xx + u_xy*v + k**2*u - q*sin(pi*x)*e")
    assert names(tree) == {"v", "k", "u", "q", "x"}
    assert derivatives(tree) == {("u", ("x", "x")), ("u", ("x", "y"))}


@pytest.mark.parametrize(("text", "value"), [
    ("2*k", 6.0), ("-pi", -math.pi), ("sqrt(k+1)/4", 0.5), ("e", math.e), ("x", None), ("u_x", None),
    ("u", None), ("0*x", None), ("k**-k", 3.0 ** -3)])
def test_the_value_of_a_constant_expression(text: str, value: float | None) -> None:
    assert constant_value(read(text), {"k": 3.0, "nu": 1.0}) == value


def test_a_constant_without_a_value_is_an_error() -> None:
    with pytest.raises(ExpressionError, match="division by zero at character 2"):
        constant_value(read("1/k"), {"k": 0.0})
    assert constant_value(read("1/k + x"), {"k": 0.0}) is None


def test_substitution_is_done_once_and_leaves_the_rest_alone() -> None:
    tree = read("u_xx + q*sin(q) - u")
    found = substitute(tree, {"q": read("2*q"), "u": V, "k": Y})
    assert found == read("u_xx + (2*q)*sin(2*q) - v")
    assert substitute(tree, {"k": Y}) is tree


def test_definitions_in_definitions_do_not_explode() -> None:
    tree: Node = read("q + q")
    for _ in range(200):
        tree = substitute(read("q + q"), {"q": tree})
    assert names(tree) == {"q"}
    assert evaluate(tree, lambda node: 1.0, {}) == 2.0 ** 201
    assert evaluate(substitute(tree, {"q": K}), lambda node: 0.5, {}) == 2.0 ** 200


def test_walk_goes_from_the_root_and_from_the_left() -> None:
    assert list(walk(read("-u*sin(x)"))) == [
        read("-u*sin(x)"), Negate(U), U, Call("sin", X), X]
