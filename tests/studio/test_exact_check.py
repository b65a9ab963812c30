"""Whether an exact solution fits its equations: on balls, with unknowns and averages, and where it has no value."""

from __future__ import annotations

from typing import Any

import pytest

from studio.exact_check import check_exact, contradictions
from studio.gallery import load
from tests.core.samples import experiment, residual


def verdicts(problem: dict[str, Any], **changes: Any) -> dict[str, bool]:
    """For each thing that was checked, whether it is satisfied."""
    e = experiment(problem, **changes)
    out = {}
    for sentence in check_exact(e, points=50):
        out[sentence.split("'")[1]] = "DOES NOT" not in sentence
    assert contradictions(e, points=50) == [s for s in check_exact(e, points=50) if "DOES NOT" in s]
    return out


@pytest.mark.parametrize("d", [1, 2, 5])
def test_on_a_ball(d: int) -> None:
    names = [f"x{k}" for k in range(1, d + 1)]
    square = " + ".join(f"(x{k} - 1)**2" for k in range(1, d + 1))
    problem = {"shape": "ball", "domain": dict.fromkeys(names, [-1.0, 3.0]),
               "residuals": residual(" + ".join(f"u_{n}{n}" for n in names) + f" = {2 * d}"),
               "conditions": [{"name": "sphere", "equation": "u = 4"}]}
    assert verdicts({**problem, "exact": {"u": square}}) == {"pde": True, "sphere": True}
    assert verdicts({**problem, "exact": {"u": f"{square} + 1"}}) == {"pde": True, "sphere": False}
    assert verdicts({**problem, "exact": {"u": f"2*({square}) - 4"}}) == {"pde": False, "sphere": True}


def test_an_unknown_takes_its_true_value() -> None:
    problem = {"unknowns": {"a": 1.0}, "residuals": residual("u_xx + a*u_yy = 6"), "exact": {"u": "x**2 + y**2"},
               "conditions": []}
    assert verdicts({**problem, "truth": {"a": 2.0}}) == {"pde": True}
    assert verdicts({**problem, "truth": {"a": 3.0}}) == {"pde": False}
    assert verdicts(problem) == {}, "without one the equation says nothing of the solution"


def test_what_cannot_be_checked_is_left_out() -> None:
    assert verdicts({
        "averages": {"m": "u**2"}, "exact": {"u": "x"}, "conditions": [{"name": "c", "on": "x = 0", "equation": "u"}],
        "residuals": [{"name": "normal", "equation": "u_xx = m"}, {"name": "checked", "equation": "u_xx"},
                      {"name": "energy", "equation": "u_x**2", "measure": "mean"}],
        "observations": [{"name": "o", "equation": "u = u_data", "file": "none.npz"}]}) == {"c": True, "checked": True}


def test_sub_domains_periods_and_constraints_change_nothing() -> None:
    problem = {"exact": {"u": "x**2/2"}, "conditions": [{"name": "c", "on": "y = 0", "equation": "u = x**2/2"}]}
    right = {"pde": True, "c": True}
    assert verdicts(problem) == verdicts({**problem, "hard": {"u": "x*u"}}) == right
    assert verdicts(problem, decomposition={"splits": {"x": [0.5]}, "flux": {"x": "u_x"}}) == right
    assert verdicts({**problem, "periodic": ["x"]}) == right


def test_exact_values_of_quantities_are_those_of_the_fields() -> None:
    problem = {"exact": {"u": "x**2/2 + x*y", "s": "x + y"}, "conditions": [], "quantities": {"s": "u_x", "t": "u_y"}}
    assert verdicts(problem) == {"pde": True, "s": True}
    assert verdicts({**problem, "quantities": {"s": "u_y"}}) == {"pde": True, "s": False}


def test_a_solution_without_a_value_satisfies_nothing() -> None:
    rows = check_exact(experiment({"exact": {"u": "sqrt(x - 2)"}, "residuals": residual("u - u_exact")}), points=50)
    assert rows == [f"The exact solution DOES NOT satisfy '{name}': it has no finite value at some points."
                    for name in ("pde", "edges")]


def test_how_far_it_is_off_is_said_in_percent() -> None:
    def ends(constant: str, equation: str = "u_xx = 1", exact: str = "x**2/2") -> list[str]:
        problem = {"exact": {"u": exact}, "residuals": residual(equation), "conditions": [
            {"name": "c", "on": "x = 1", "equation": f"u = {constant}"}]}
        return [row.partition("largest residual ")[2] for row in check_exact(experiment(problem), points=50)]

    share = "of the equation's largest term."
    assert ends("0.5") == [f"0, 0 {share}", f"0, 0 {share}"]
    assert ends("0")[1] == f"0.5, 100 % {share}"
    assert ends("0.49")[1] == f"0.01, 2 % {share}"
    assert ends("0.499")[1] == f"0.001, 0.2 % {share}"
    assert ends("0.49999")[1] == f"1.0e-05, 2.0e-05 {share}"
    assert ends("500", "u_xx = 1001")[0] == f"1,000, 99.9 % {share}"
    assert ends("0", " + ".join(["u_xx"] * 12))[0] == f"12, 1,200 % {share}"
    small = ends("sin(1)", "u_xx = -u", "sin(x + y)")[0]
    assert float(small.split(", ")[1].split()[0]) < 1e-12 and "e-1" in small or small.startswith("0, 0 "), small


def test_a_constant_solution() -> None:
    problem = {"exact": {"u": "3"}, "residuals": residual("u_xx + u_yyy + u**2 = 9"),
               "conditions": [{"name": "c", "equation": "u_x"}]}
    assert verdicts(problem) == {"pde": True, "c": True}


def test_a_solution_that_vanishes_up_to_rounding_satisfies_u_is_0() -> None:
    """sin(pi*x) is 1.2e-16 at x = 1, and the equation u = 0 has no other term to measure that by."""
    experiment = load("heat").with_changes({"problem.conditions": [
        {"name": "ends", "on": "x = 1", "equation": "u = 0"}]})
    rows = check_exact(experiment)
    assert all("DOES NOT" not in row for row in rows), rows
    assert rows[-1].endswith(", rounding only.") and "100 %" not in rows[-1], rows
