"""What a text means, and every error with its place and its remedy."""

from __future__ import annotations

import copy
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.expression import (
    FUNCTIONS,
    MAX_DEPTH,
    MAX_LENGTH,
    RESERVED,
    Binary,
    Call,
    Derivative,
    ExpressionError,
    Name,
    Negate,
    Node,
    Number,
    constant_value,
    evaluate,
    names,
    parse_sides,
    substitute,
    walk,
)
from tests.core.expressions import (
    FIELDS,
    INPUTS,
    NAMES,
    THREE,
    TREES,
    TWO,
    U_XX,
    U,
    V,
    X,
    Y,
    has_values,
    printed,
    read,
)


def failure(text: str, **scope: object) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        read(text, **scope)  # type: ignore[arg-type]
    return caught.value




# ---------------------------------------------------------------------- what a text means

@pytest.mark.parametrize(("text", "tree"), [
    ("u", U),
    (" 2 ", TWO),
    ("1e5", Number(1e5)),
    (".5", Number(0.5)),
    ("3.", THREE),
    ("2.5E-3", Number(2.5e-3)),
    ("u_xx", U_XX),
    ("u - v - x", Binary("-", Binary("-", U, V), X)),
    ("u / v * x", Binary("*", Binary("/", U, V), X)),
    ("u + v*x", Binary("+", U, Binary("*", V, X))),
    ("(u + v)*x", Binary("*", Binary("+", U, V), X)),
    ("x**2**3", Binary("^", X, Binary("^", TWO, THREE))),
    ("x^2", Binary("^", X, TWO)),
    ("-x**2", Negate(Binary("^", X, TWO))),
    ("(-x)**2", Binary("^", Negate(X), TWO)),
    ("2**-x**3", Binary("^", TWO, Negate(Binary("^", X, THREE)))),
    ("2**-x*y", Binary("*", Binary("^", TWO, Negate(X)), Y)),
    ("-x*y", Binary("*", Negate(X), Y)),
    ("x*-y", Binary("*", X, Negate(Y))),
    ("x - -y", Binary("-", X, Negate(Y))),
    ("+x", X),
    ("sin(pi*x)", Call("sin", Binary("*", Name("pi"), X))),
    ("sin(x)**2", Binary("^", Call("sin", X), TWO)),
    ("u = v", Binary("-", U, V)),
    ("u_xx = 2*u - v", Binary("-", U_XX, Binary("-", Binary("*", TWO, U), V))),
    ("u\n = \tv", Binary("-", U, V)),
])
def test_a_text_means(text: str, tree: Node) -> None:
    assert read(text) == tree


@pytest.mark.parametrize(("text", "field", "inputs"), [
    ("u_x", "u", ("x",)),
    ("v_xxxx", "v", ("x",) * 4),
    ("u_xy", "u", ("x", "y")),
    ("u_yx", "u", ("x", "y")),
    ("u_yxy", "u", ("x", "y", "y")),
    ("u_x1", "u", ("x1",)),
    ("u_x2x1", "u", ("x1", "x2")),
    ("u_xx1x", "u", ("x", "x", "x1")),
])
def test_a_derivative_has_its_inputs_in_the_order_of_the_problem(text: str, field: str,
                                                                 inputs: tuple[str, ...]) -> None:
    assert read(text) == Derivative(field, inputs)


def test_a_declared_name_wins_over_a_derivative() -> None:
    assert read("u_y") == Name("u_y")
    assert read("u_y", names=()) == Derivative("u", ("y",))


def test_fields_and_inputs_may_have_underscores() -> None:
    scope = {"inputs": ("x", "t_s"), "fields": ("u", "u_1"), "names": ()}
    assert read("u_1", **scope) == Name("u_1")
    assert read("u_1_xt_s", **scope) == Derivative("u_1", ("x", "t_s"))
    assert read("u_t_sx", **scope) == Derivative("u", ("x", "t_s"))


def test_a_derivative_that_reads_in_two_ways_is_refused() -> None:
    error = failure("1 + u_xy", inputs=("x", "y", "xy"))
    assert "more than one" in str(error) and error.position == 4


def test_the_two_sides_of_an_equation() -> None:
    scope = {"inputs": INPUTS, "fields": FIELDS}
    assert parse_sides("u_xx = v", **scope) == (U_XX, V)
    assert parse_sides("u_xx - v", **scope) == (Binary("-", U_XX, V), None)


def test_positions_point_into_the_text_and_do_not_count_in_comparisons() -> None:
    tree = read("u +  sin( -x)")
    assert isinstance(tree, Binary) and isinstance(tree.right, Call)
    assert [part.position for part in walk(tree)] == [2, 0, 5, 10, 11]
    assert tree == read("u+sin(-x)") and hash(tree) == hash(read("u+sin(-x)"))
    assert Name("x", 1) == Name("x", 2) != Name("y", 1)
    assert tree != read("u+cos(-x)") and tree != read("u-sin(-x)") and tree != "u"


# ---------------------------------------------------------------------- wrong texts

@pytest.mark.parametrize(("text", "character", "message", "hint"), [
    ("1 + sinn(x)", 5, "unknown name 'sinn'", "did you mean 'sin'?"),
    ("u_exct", 1, "unknown name 'u_exct'", "did you mean 'u_exact'?"),
    ("2*Nu", 3, "unknown name 'Nu'", "did you mean 'nu'?"),
    ("PI", 1, "unknown name 'PI'", "did you mean 'pi'?"),
    ("uxx", 1, "unknown name 'uxx'", "did you mean 'u_xx'?"),
    ("ln(x)", 1, "unknown name 'ln'", "did you mean 'log'?"),
    ("arctan(x)", 1, "unknown name 'arctan'", "did you mean 'atan'?"),
    ("foo(x)", 1, "unknown name 'foo'", "the functions are sin, cos,"),
    ("zeta", 1, "unknown name 'zeta'", ""),
    ("u_t + u = 0", 1, "unknown name 'u_t'", "a derivative ends in inputs; the inputs are x, y"),
    ("u_xt", 1, "unknown name 'u_xt'", "a derivative ends in inputs"),
    ("u_t(x)", 1, "unknown name 'u_t'", "a derivative ends in inputs"),
    ("u'' + u", 2, 'unexpected "\'"', "derivatives are written u_x, u_xx"),
    ("u\N{PRIME}", 2, "unexpected '\N{PRIME}'", "derivatives are written u_x, u_xx"),
    ("x + 'u'", 5, 'unexpected "\'"', "English letters"),
    ("d2u/dx2 = 0", 1, "unknown name 'd2u'", "derivatives are written u_x, u_xx"),
    ("du/dx", 1, "unknown name 'du'", "derivatives are written"),
    ("2*d2u_dx2", 3, "unknown name 'd2u_dx2'", "derivatives are written"),
    ("v/dx2", 3, "unknown name 'dx2'", "derivatives are written"),
    ("d^2u/dx^2", 1, "unknown name 'd'", "derivatives are written"),
    ("d/dx(u)", 1, "unknown name 'd'", "derivatives are written"),
    ("\N{PARTIAL DIFFERENTIAL}\N{SUPERSCRIPT TWO}u", 1, "unexpected '\N{PARTIAL DIFFERENTIAL}'", "derivatives are"),
    ("u_{xx}", 3, "unexpected '{'", "derivatives are written"),
    ("u*{x}", 3, "unexpected '{'", "write '('"),
    ("u_", 1, "unknown name 'u_'", ""),
    ("u_xz", 1, "unknown name 'u_xz'", "the inputs are x, y, x1, x2"),
    ("1 + q_x", 5, "derivative of 'q', which is no field", "the fields are u, v"),
    ("U_xx", 1, "derivative of 'U', which is no field", "did you mean 'u_xx'?"),
    ("u_x_y", 1, "derivative of 'u_x', which is no field", "did you mean 'u_xy'?"),
    ("u + u_xxxxx", 5, "the order of 'u_xxxxx' is 5, which is too high", "at most 4"),
    ("(x", 1, "this '(' is never closed", ""),
    ("sin((x)", 4, "this '(' is never closed", ""),
    ("x) + 1", 2, "this ')' closes nothing", ""),
    ("", 1, "the text is empty", ""),
    (" \t", 1, "the text is empty", ""),
    ("x +", 4, "a value is missing after '+'", ""),
    ("x **", 5, "a value is missing after '**'", ""),
    ("x ** * y", 6, "a value is missing before '*'", ""),
    ("()", 2, "a value is missing before ')'", ""),
    ("= x", 1, "a value is missing before '='", ""),
    ("u = ", 5, "a value is missing after '='", ""),
    ("u = v = x", 7, "a second '='", "an equation has one '='"),
    ("u == v", 4, "a second '='", "an equation has one '='"),
    ("(u = v)", 4, "'=' stands inside brackets", "character 1"),
    ("2x", 2, "an operator is missing between '2' and 'x'", "write '*'"),
    ("2e", 2, "an operator is missing between '2' and 'e'", "write '*'"),
    ("3 sin(x)", 3, "an operator is missing between '3' and 'sin'", "write '*'"),
    ("(x)(y)", 4, "an operator is missing between ')' and '('", "write '*'"),
    ("(x y)", 4, "an operator is missing between 'x' and 'y'", "write '*'"),
    ("x(y)", 1, "'x' is not a function", "for a product write 'x*(...)'"),
    ("pi(y)", 1, "'pi' is not a function", "for a product write 'pi*(...)'"),
    ("u_xx(y)", 1, "'u_xx' is not a function", "for a product write 'u_xx*(...)'"),
    ("1 + sin", 5, "function 'sin' has no argument", "sin(...)"),
    ("sin^2(x)", 1, "function 'sin' has no argument", "sin(...)"),
    ("1.2.3", 1, "'1.2.3' is not a number", ""),
    ("1e5.5", 1, "'1e5.5' is not a number", ""),
    ("x + .", 5, "'.' is not a number", ""),
    ("1e999", 1, "this number is too large", ""),
    ("0,5", 2, "unexpected ','", "decimal point"),
    ("[x]", 1, "unexpected '['", "write '('"),
    ("x \N{MINUS SIGN} y", 3, "unexpected '\N{MINUS SIGN}'", "write '-'"),
    ("\N{GREEK SMALL LETTER LAMDA}", 1, "unexpected '\N{GREEK SMALL LETTER LAMDA}'", "lambda"),
    ("\N{GREEK CAPITAL LETTER OMEGA}", 1, "unexpected '\N{GREEK CAPITAL LETTER OMEGA}'", "Omega"),
    ("x < y", 3, "unexpected '<'", "'='"),
    ("u; v", 2, "unexpected ';'", "English letters"),
    ("u\0", 2, "unexpected character U+0000", ""),
    ("_u", 1, "unexpected '_'", "begin with a letter"),
    ("u + 1/0", 6, "division by zero", ""),
    ("u + 0**-1", 6, "division by zero", ""),
    ("log(-pi)*u", 1, "no real number", ""),
    ("u = (-8)**(1/3)", 9, "no real number", ""),
    ("exp(1000)", 1, "too large", ""),
    ("1e200*1e200*u", 6, "too large", ""),
    ("a" * 65, 1, "longer than 64 characters", ""),
    ("x" + " " * MAX_LENGTH, MAX_LENGTH + 1, "longer than 10,000 characters", ""),
])
def test_a_wrong_text_gets_a_sentence(text: str, character: int, message: str, hint: str) -> None:
    error = failure(text)
    assert (error.position, error.text) == (character - 1, text)
    assert message in error.message and hint in error.hint
    ending = f" ({error.hint})" if error.hint else ""
    assert str(error) == f"{error.message} at character {character}{ending}"


def test_the_sentence_and_the_pointer() -> None:
    error = failure("1 + sinn(x)")
    assert str(error) == "unknown name 'sinn' at character 5 (did you mean 'sin'?)"
    assert error.pointer == "1 + sinn(x)\n    ^"
    assert failure("u =\n\tv +* 2").pointer == " v +* 2\n    ^"
    assert ExpressionError("division by zero", 0).pointer == "\n^"


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_the_pointer_of_a_long_line_is_short_and_points_at_the_place(before: int, after: int) -> None:
    shown, caret = failure(" " * before + "?" + " " * after + "x").pointer.split("\n")
    assert len(shown) <= 100 and shown[caret.index("^")] == "?"


def test_the_remedy_is_spelled_as_it_was_declared() -> None:
    assert failure("u/re", names=("Re",)).hint == "did you mean 'Re'?"
    assert failure("T_MAX", names=("T_max",)).hint == "did you mean 'T_max'?"


def test_a_derivative_by_what_is_no_input_is_not_taken_for_a_declared_name() -> None:
    """Of 'velocity_t' nearly all letters are those of 'velocity_exact', and of 'velocity'."""
    error = failure("velocity_t", fields=("velocity",), names=("velocity_exact",))
    assert error.hint == "a derivative ends in inputs; the inputs are x, y, x1, x2"
    assert failure("velocity_exct", fields=("velocity",), names=("velocity_exact",)).hint == (
        "did you mean 'velocity_exact'?")
    assert failure("u/d^2", names=()).hint == "", "a power of a name that is not declared, and no derivative"


def test_how_derivatives_are_written_is_said_with_the_names_of_the_problem() -> None:
    assert failure("T''", inputs=("s",), fields=("T",)).hint == "derivatives are written T_s, T_ss"
    assert failure("T'", inputs=("s",), fields=("T",), max_order=1).hint == "derivatives are written T_s"
    assert failure("\N{PARTIAL DIFFERENTIAL}x", fields=(), names=()).hint == "there are no derivatives here"
    assert "English letters" in failure("x'", fields=(), names=()).hint


def test_no_field_and_no_derivative_where_there_are_none() -> None:
    assert "there is no field here" in str(failure("u_x", fields=(), names=()))
    assert "no derivatives are possible here" in str(failure("u_x", max_order=0))


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_reserved_name_that_is_declared_is_refused_where_it_is_used(name: str) -> None:
    text = f"x + {name}(x)" if name in FUNCTIONS else f"x + {name}"
    for scope in ({"names": (name,)}, {"inputs": ("x", name)}, {"fields": (name,)}):
        error = failure(text, **scope)
        assert error.position == 4 and "choose another name" in error.hint


def test_an_error_survives_the_way_to_another_process() -> None:
    error = copy.copy(failure("1 + sinn(x)"))
    assert str(error) == str(failure("1 + sinn(x)")) and error.pointer == "1 + sinn(x)\n    ^"


NESTINGS = [("(", "x", ")"), ("sin(", "x", ")"), ("-", "x", ""), ("x^", "x", ""), ("+", "x", ""),
            ("1 + 2*(", "x", ")"), ("x - x/sin(", "x", ")")]


@pytest.mark.parametrize(("before", "inside", "after"), NESTINGS)
def test_the_depth_has_a_limit(before: str, inside: str, after: str) -> None:
    tree = read(before * MAX_DEPTH + inside + after * MAX_DEPTH)
    assert X in walk(tree)
    deeper = before * (MAX_DEPTH + 1) + inside + after * (MAX_DEPTH + 1)
    assert "nested deeper than 100 levels" in str(failure(deeper))
    much = MAX_LENGTH // len(before) - 1
    assert "nested deeper than 100 levels" in str(failure(before * much))


def test_brackets_side_by_side_are_not_deep() -> None:
    assert read("+".join(["sin(-x^2)"] * 500)) == read("+".join(["sin((-(x**2)))"] * 500))


def test_a_sum_of_thousands_of_terms_works_everywhere() -> None:
    text = "+".join(["x"] * 4999)
    tree = read(text)
    assert evaluate(tree, lambda node: 1.0, {}) == 4999.0
    assert tree == read(text) and tree != read(text.replace("x", "y", 1)) and hash(tree) == hash(read(text))
    assert substitute(tree, {"x": Y}) == read(text.replace("x", "y"))
    assert names(tree) == {"x"} and constant_value(tree, {"x": 2.0}) == 9998.0


# ---------------------------------------------------------------------- random texts and trees

GRAMMAR = st.sampled_from(
    [*"+-*/^()=.,_0123456789 euxyk", "**", "sin", "exp", "u_xx", "u_exact", "pi", "1e5", "\n"])


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(), st.lists(GRAMMAR, max_size=30).map("".join)))
@example("\ud800")
@example("x^" * 101 + "x")
def test_a_random_text_is_an_expression_or_an_expression_error(text: str) -> None:
    try:
        tree = read(text)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)
        assert f"at character {error.position + 1}" in str(error)
        assert error.pointer.count("\n") == 1
    else:
        assert names(tree) <= {*INPUTS, *FIELDS, *NAMES}


@settings(max_examples=300, deadline=None)
@given(TREES.filter(has_values), st.randoms(use_true_random=False))
def test_a_printed_tree_reads_as_the_tree(tree: Node, random: Random) -> None:
    text, _ = printed(tree, random)
    found = read(text)
    assert found == tree and hash(found) == hash(tree)
    for part in walk(found):
        match part:
            case Name(word) | Call(word):
                assert text.startswith(word, part.position)
            case Derivative(field):
                assert text.startswith(f"{field}_", part.position)
            case Binary(operator):
                assert text[part.position] in {"^": "^*"}.get(operator, operator)
            case Negate():
                assert text[part.position] == "-"
