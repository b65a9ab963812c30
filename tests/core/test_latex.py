r"""LaTeX as it should look, what it means to a reader of its own, and that the typesetter digests it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.expression import FUNCTIONS, Binary, Call, Derivative, Name, Negate, Node, Number, parse
from core.latex import FUNCTION_NAMES, GREEK, MAX_NESTING, nesting, to_latex
from tests.core.expressions import INPUTS

with warnings.catch_warnings():  # its import uses a function that Python 3.11 and 3.12 call deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    import ziamath

CONSTANTS = ("k", "q", "nu", "Re", "Pr", "lambda1", "omega_0", "T_max", "u_exact", "c_p_1", "rho_alpha")


def read(text: str) -> Node:
    return parse(text, inputs=("x", "y", "t", "x1", "x2", "theta"), fields=("u", "v", "p", "u1", "psi"),
                 names=CONSTANTS)


# ---------------------------------------------------------------------- how it looks

@pytest.mark.parametrize(("text", "latex"), [
    ("u_xx + u_yy + k**2*u - q", r"u_{xx} + u_{yy} + k^{2} u - q"),
    ("u_t + u*u_x - 0.01/pi*u_xx", r"u_{t} + u u_{x} - \frac{0.01}{\pi} u_{xx}"),
    ("sin(pi*x)*sin(4*pi*y)", r"\sin\left(\pi x\right) \sin\left(4 \pi y\right)"),
    ("-(pi)**2*u", r"-\pi^{2} u"),
    # names and numbers
    ("nu + lambda1 + omega_0 + psi", r"\nu + \lambda_{1} + \omega_{0} + \psi"),
    ("x1 - u_exact", r"x_{1} - u_{\mathrm{exact}}"),
    ("T_max**2 + c_p_1 + rho_alpha", r"T_{\mathrm{max}}^{2} + c_{p,1} + \rho_{\alpha}"),
    ("u*Re*Pr*u/Re", r"\frac{u \, \mathrm{Re} \, \mathrm{Pr} \, u}{\mathrm{Re}}"),
    ("0.5*u + 1e-5*u_x - 2.5e-7*v", r"0.5 u + 10^{-5} u_{x} - 2.5 \cdot 10^{-7} v"),
    ("100000*u + 1e20*v", r"100000 u + 10^{20} v"),
    ("(1e-5)**2 + (2e-5)**2", r"\left(10^{-5}\right)^{2} + \left(2 \cdot 10^{-5}\right)^{2}"),
    # derivatives
    ("u_xxxx + u_xy", r"u_{xxxx} + u_{xy}"),
    ("u_x1x2 + u_thetax", r"u_{x_{1} x_{2}} + u_{x \theta}"),
    ("u1_xx*psi_t**2", r"u_{1,xx} \psi_{t}^{2}"),
    # signs and sums
    ("x + (-y)", r"x + \left(-y\right)"),
    ("x - (y - k)", r"x - \left(y - k\right)"),
    ("x + (y - k)", r"x + y - k"),
    ("x + (-y + k)", r"x + \left(-y + k\right)"),
    ("-(x + y)", r"-\left(x + y\right)"),
    ("-(-x)", r"-\left(-x\right)"),
    ("-x*y", r"-x y"),
    ("x*(-y)", r"x \left(-y\right)"),
    # products
    ("(x + y)*(x - y)", r"\left(x + y\right) \left(x - y\right)"),
    ("2*3*x*4", r"2 \cdot 3 x \cdot 4"),
    ("2*(1/3)", r"2 \cdot \frac{1}{3}"),
    ("x*sign(y)", r"x \, \operatorname{sign}\left(y\right)"),
    # quotients
    ("x/y*k", r"\frac{x}{y} k"),
    ("x/(y*k)", r"\frac{x}{y k}"),
    ("-(x + y)/k", r"-\frac{x + y}{k}"),
    ("-x*y/k", r"-\frac{x y}{k}"),
    ("-x/y/k", r"-\frac{\frac{x}{y}}{k}"),
    # powers
    ("x**2**k", r"x^{2^{k}}"),
    ("(x**2)**k", r"\left(x^{2}\right)^{k}"),
    ("(-x)**2", r"\left(-x\right)^{2}"),
    ("(x*y)**-1", r"\left(x y\right)^{-1}"),
    ("(x/y)**(k + 1)", r"\left(\frac{x}{y}\right)^{k + 1}"),
    # functions
    ("sin(x)**2", r"\sin^{2}\left(x\right)"),
    ("sin(x)**-1", r"\left(\sin\left(x\right)\right)^{-1}"),
    ("exp(-x**2/2)", r"e^{-\frac{x^{2}}{2}}"),
    ("exp(x)**2", r"\left(e^{x}\right)^{2}"),
    ("sqrt(abs(x - y))**3", r"\sqrt{\left|x - y\right|}^{3}"),
    ("log(x) + atan(y)", r"\ln\left(x\right) + \arctan\left(y\right)"),
    ("heaviside((x))", r"\operatorname{H}\left(x\right)"),
    ("erf(x/2)", r"\operatorname{erf}\left(\frac{x}{2}\right)"),
])
def test_it_looks(text: str, latex: str) -> None:
    assert to_latex(read(text)) == latex


@pytest.mark.parametrize(("text", "latex"), [
    ("u_x", r"\frac{\partial u}{\partial x}"),
    ("u_xx", r"\frac{\partial^{2} u}{\partial x^{2}}"),
    ("u_xxy", r"\frac{\partial^{3} u}{\partial x^{2} \partial y}"),
    ("psi_x1theta", r"\frac{\partial^{2} \psi}{\partial x_{1} \partial \theta}"),
    ("u_x**2", r"\left(\frac{\partial u}{\partial x}\right)^{2}"),
    ("-u_x*u1_t", r"-\frac{\partial u}{\partial x} \frac{\partial u_{1}}{\partial t}"),
])
def test_derivatives_as_fractions(text: str, latex: str) -> None:
    assert to_latex(read(text), style="partial") == latex


def test_names_may_be_given() -> None:
    given_names = {"u": r"\hat{u}", "k": r"k_{0}", "x": r"\xi"}
    assert (to_latex(read("u_xx + k**2*u"), names=given_names)
            == r"{\hat{u}}_{{\xi} {\xi}} + {k_{0}}^{2} {\hat{u}}")
    assert (to_latex(read("u_x"), names=given_names, style="partial")
            == r"\frac{\partial {\hat{u}}}{\partial {\xi}}")


def test_negative_numbers_of_trees_made_by_hand() -> None:
    tree = Binary("+", Binary("^", Number(-2.0), Number(-3.0)), Number(-2e-5))
    assert to_latex(tree) == r"\left(-2\right)^{-3} + \left(-2 \cdot 10^{-5}\right)"


def test_a_sum_of_thousands_of_terms() -> None:
    assert to_latex(read("+".join(["x"] * 4999))) == " + ".join(["x"] * 4999)


@pytest.mark.parametrize(("latex", "levels"), [
    ("x", 0), ("x^{2} + x^{3}", 1), (r"\left(x\right) x^{2}", 1), (r"e^{-\frac{x^{2}}{2}}", 3),
    (r"\left|\left(x^{2}\right)\right|", 3), (r"\leftarrow \rightarrow", 0)])
def test_levels_are_counted(latex: str, levels: int) -> None:
    assert nesting(latex) == levels


@pytest.mark.parametrize("around", ["x^", "sin", "1/", "sqrt"])
def test_more_nesting_than_a_typesetter_can_take_is_found(around: str) -> None:
    def nested(levels: int) -> str:
        return to_latex(read(f"{around}(" * levels + "x" + ")" * levels))

    assert nesting(nested(MAX_NESTING)) == MAX_NESTING < nesting(nested(MAX_NESTING + 1))


# ---------------------------------------------------------------------- what it means

def power(base: Fraction, exponent: Fraction) -> Fraction:
    """Stands for the power: exact, and not associative, so that no bracket can be lost."""
    return base * base - 3 * exponent + base * exponent / 7


def function(name: str) -> Callable[[Fraction], Fraction]:
    """Stands for the function of that name."""
    number = sum(map(ord, name))
    return lambda a: number - a / 3 + a * a / 11


VALUES = {name: Fraction(p, 23) for name, p in {
    "x": 5, "y": 7, "x_{1}": 11, "x_{2}": 13, "u": 17, "v": 19, "k": 29, r"\nu": 31, r"\mathrm{Re}": 37,
    "e": 41, r"\pi": 43, r"u_{\mathrm{exact}}": 47}.items()}
SPELLING = {"x1": "x_{1}", "x2": "x_{2}", "nu": r"\nu", "Re": r"\mathrm{Re}", "pi": r"\pi",
            "u_exact": r"u_{\mathrm{exact}}"}


def derivative_value(latex: str) -> Fraction:
    return Fraction(sum(i * ord(c) for i, c in enumerate(latex, 1)), 29)


def meant(node: Node) -> Fraction:
    """The value of a tree with the stand-ins above."""
    match node:
        case Number(value):
            return Fraction(repr(value))
        case Name(name):
            return VALUES[SPELLING.get(name, name)]
        case Derivative(field, inputs):
            separator = " " if any(name in SPELLING for name in inputs) else ""
            return derivative_value(f"{field}_{{{separator.join(SPELLING.get(i, i) for i in inputs)}}}")
        case Negate(operand):
            return -meant(operand)
        case Call("exp", argument):
            return power(VALUES["e"], meant(argument))
        case Call(name, argument):
            return function(name)(meant(argument))
        case Binary(operator, left, right):
            a, b = meant(left), meant(right)
            match operator:
                case "+":
                    return a + b
                case "-":
                    return a - b
                case "*":
                    return a * b
                case "/":
                    return a / b
                case _:
                    return power(a, b)


class Reader:
    """Reads the LaTeX as a mathematician would: side by side is a product, and it ends at + and -."""

    TOKEN = re.compile(r"[a-z]_\{(?:[^{}]|\{[^{}]*\})+\}|\\left[(|]|\\right[)|]"
                       r"|\\(?:mathrm|operatorname)\{\w+\}|\\[a-zA-Z]+|\\,|[0-9.]+|[a-zA-Z]|[-+{}^]| +")
    BY_LATEX = {latex: name for name, latex in FUNCTION_NAMES.items()}

    def __init__(self, latex: str) -> None:
        self.tokens = [t for t in self.TOKEN.findall(latex) if t.strip()] + [""]
        assert "".join(self.TOKEN.findall(latex)) == latex
        self.latex = latex

    def read(self) -> Fraction:
        value = self.sum()
        assert self.tokens == [""], self.tokens
        return value

    def take(self, *expected: str) -> str:
        token = self.tokens.pop(0)
        assert not expected or token in expected, (token, expected, self.latex)
        return token

    def braced(self) -> Fraction:
        self.take("{")
        value = self.sum()
        self.take("}")
        return value

    def sum(self) -> Fraction:
        sign = -1 if self.tokens[0] == "-" and self.take() else 1
        total = sign * self.product()
        while self.tokens[0] in ("+", "-"):
            total += self.product() if self.take() == "+" else -self.product()
        return total

    def product(self) -> Fraction:
        value = self.power()
        while self.tokens[0] not in ("", "+", "-", "}", r"\right)", r"\right|"):
            dot = self.tokens[0] in (r"\cdot", r"\,") and self.take()
            if self.tokens[0][0].isdigit():  # would read as part of the number before it
                assert dot == r"\cdot", self.latex
            value *= self.power()
        return value

    def power(self) -> Fraction:
        ten = self.tokens[0] == "10"  # stands only in numbers such as 2.5 \cdot 10^{-7}
        base = self.atom()
        if self.tokens[0] != "^":
            return base
        self.take()
        return base ** int(self.braced()) if ten else power(base, self.braced())

    def atom(self) -> Fraction:
        token = self.take()
        if token[0].isdigit():
            return Fraction(token)
        if token == r"\frac":
            return self.braced() / self.braced()
        if token == r"\sqrt":
            return function("sqrt")(self.braced())
        if token == r"\left|":
            value = function("abs")(self.sum())
            self.take(r"\right|")
            return value
        if token == r"\left(":
            value = self.sum()
            self.take(r"\right)")
            return value
        if token in self.BY_LATEX:
            exponent = self.braced() if self.tokens[0] == "^" and self.take() else None
            self.take(r"\left(")
            value = function(self.BY_LATEX[token])(self.sum())
            self.take(r"\right)")
            return value if exponent is None else power(value, exponent)
        return VALUES[token] if token in VALUES else derivative_value(token)


LEAVES = st.one_of(
    st.sampled_from([2.0, 3.0, 0.5, 12.0, 1e-5, 2.5e-7, 1e20]).map(Number),
    st.sampled_from([*INPUTS, "u", "v", "k", "nu", "Re", "pi", "e", "u_exact"]).map(Name),
    st.sampled_from([Derivative("u", ("x", "y")), Derivative("v", ("x1",)), Derivative("u", ("x1", "x2"))]),
)
TREES = st.recursive(LEAVES, lambda inner: st.one_of(
    st.builds(Negate, inner),
    st.builds(Binary, st.sampled_from("+-*/^"), inner, inner),
    st.builds(Binary, st.just("^"), inner, st.just(Number(2.0))),
    st.builds(Call, st.sampled_from(sorted(FUNCTIONS)), inner),
), max_leaves=12)


@settings(max_examples=500, deadline=None)
@given(TREES)
def test_it_means_the_tree(tree: Node) -> None:
    try:
        value = meant(tree)
    except ZeroDivisionError:
        assume(False)
    assert Reader(to_latex(tree)).read() == value


# ---------------------------------------------------------------------- the typesetter

EQUATIONS = {
    "Helmholtz": "u_xx + u_yy + k**2*u - q",
    "Helmholtz source": "(k**2 - pi**2 - (4*pi)**2)*sin(pi*x)*sin(4*pi*y)",
    "Klein-Gordon": "u_tt - u_xx + u**3 - q",
    "Klein-Gordon solution": "x*cos(5*pi*t) + (x*t)**3",
    "Burgers": "u_t + u*u_x - 0.01/pi*u_xx",
    "Navier-Stokes": "u*u_x + v*u_y + p_x - (u_xx + u_yy)/Re",
    "stream function": "psi_y*psi_xxy - psi_x*psi_yyy + nu*(psi_xxxx + 2*psi_xxyy + psi_yyyy)",
    "Kuramoto-Sivashinsky": "u_t + u*u_x + u_xx + u_xxxx",
    "Allen-Cahn": "u_t - 1e-4*u_xx + 5*u**3 - 5*u",
    "definition": "lambda1*exp(-x**2/(2*nu**2))*sqrt(abs(omega_0*t)) + log(T_max)**2/heaviside(x1)",
    "elasticity": "u_x1x1 + u_x1x2*rho_alpha/c_p_1 + u1_thetatheta",
    "functions": "+".join(f"{name}(x)**2 - {name}(y)**k" for name in FUNCTIONS),
}


@pytest.mark.parametrize("style", ["subscript", "partial"])
@pytest.mark.parametrize("name", EQUATIONS)
def test_the_typesetter_digests_equations(name: str, style: str) -> None:
    latex = to_latex(read(EQUATIONS[name]), style=style)  # type: ignore[arg-type]
    svg = ziamath.Latex(latex).svg()
    assert nesting(latex) < MAX_NESTING
    assert svg.startswith("<svg") and len(svg) > 1000


@pytest.mark.parametrize("name", sorted(GREEK))
def test_the_typesetter_knows_every_greek_letter(name: str) -> None:
    def glyphs(latex: str) -> str:
        return ziamath.Latex(latex).svg()

    letter = to_latex(Name(name))
    assert letter == f"\\{name}"
    # An unknown command is set as its letters, which is wider.
    assert len(re.findall("<use", glyphs(f"x{letter}"))) == len(re.findall("<use", glyphs("xy")))


@settings(max_examples=40, deadline=None)
@given(TREES, st.sampled_from(["subscript", "partial"]))
def test_the_typesetter_digests_random_expressions(tree: Node, style: str) -> None:
    latex = to_latex(tree, style=style)  # type: ignore[arg-type]
    assume(nesting(latex) <= MAX_NESTING)
    assert ziamath.Latex(latex).svg().startswith("<svg")
