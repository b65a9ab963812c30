"""Unknowns, averages, observations, hard constraints, balls, sub-domains: what is refused, where, in which words."""

from __future__ import annotations

from copy import copy
from typing import Any

import pytest

from core.problem import (
    Condition,
    Decomposition,
    Face,
    Observation,
    Problem,
    ProblemError,
    Residual,
)


def poisson(**changes: Any) -> Problem:
    base: dict[str, Any] = {
        "name": "Poisson", "fields": ("u",), "domain": {"x": (0.0, 1.0), "y": (0.0, 1.0)},
        "residuals": (Residual("pde", "u_xx + u_yy"),), "conditions": (Condition("edges", "boundary", "u"),)}
    return Problem(**{**base, **changes})


def equation(text: str, **more: Any) -> dict[str, Any]:
    return {"residuals": (Residual("pde", text, **more),)}


def observe(**more: Any) -> dict[str, Any]:
    return {"observations": (Observation("o", **{"equation": "u = u_data", "file": "d.npz", **more}),)}


def cut(splits: dict[str, tuple[float, ...]], flux: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return {"decomposition": Decomposition(splits, {"x": "u_x", "y": "u_y"} if flux is None else flux, **more)}


HALF: dict[str, tuple[float, ...]] = {"x": (0.5,)}
A = {"unknowns": {"a": 1.0}}
M = {"averages": {"m": "u**2"}, **equation("u_xx - m")}

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    # names
    "a field's name twice": ({"unknowns": {"u": 1.0}}, "unknowns.u", "'u' is in fields already"),
    "an average and a reading": ({**M, "readings": {"m": "2"}}, "readings.m", "'m' is in averages already"),
    "no name": ({"quantities": {"a b": "u"}}, "quantities.a b", "'a b' is no name"),
    "a fixed meaning": ({"unknowns": {"pi": 3.0}}, "unknowns.pi", "'pi' has a fixed meaning"),
    "two observations of a name": ({"observations": observe()["observations"] * 2}, "observations.1.name",
                                   "there is an observation 'o' already"),
    "nothing to solve": ({"residuals": ()}, "residuals", "at least one is needed, or an observation"),
    "an unknown like a column": ({"unknowns": {"u_data": 1.0}, **equation("u - u_data"), **observe()}, "observations.0",
                                 "'u_data' is the name of this observation's column, and also in unknowns"),
    "a constant like an exact solution": ({"constants": {"u_exact": 1.0}, "exact": {"u": "x"}}, "exact.u",
                                          "'u_exact' is how equations call the exact solution, and also in constants"),
    "the program's own terms": (equation("u_xx", term="recovery"), "residuals.0.term",
                                "'recovery' is the name of a loss term that the program makes itself"),
    "a condition's term": ({"conditions": (Condition("c", "boundary", "u", "interface flux"),)}, "conditions.0.term",
                           "that the program makes itself"),
    "an observation's term": (observe(term="interface average"), "observations.0.term", "the program makes itself"),
    # domain
    "bounds too close": ({"domain": {"x": (1.0, 1.0 + 1e-12), "y": (0.0, 1.0)}}, "domain.x", "cannot be told apart"),
    "bounds too far": ({"domain": {"x": (-1e308, 1e308), "y": (0.0, 1.0)}}, "domain.x", "cannot be told apart"),
    "a shape": ({"shape": "star"}, "shape", "there is no shape 'star'; the shapes are box and ball"),
    "an uneven ball": ({"shape": "ball", "domain": {"x": (0.0, 1.0), "y": (0.0, 2.0)}}, "domain", "same diameter"),
    "a ball's face": ({"shape": "ball", "conditions": (Condition("c", "x = 0", "u"),)}, "conditions.0.on",
                      "'x = 0' is no place of a ball; write 'boundary', its sphere"),
    "a periodic ball": ({"shape": "ball", "periodic": ("x",)}, "periodic", "a ball cannot be periodic"),
    "periodic in nothing": ({"periodic": ("y", "z")}, "periodic.1", "'z' is to be periodic, but is no input"),
    "periodic twice": ({"periodic": ("y", "y")}, "periodic.1", "'y' is named twice"),
    "periodic with an edge": ({"periodic": ("x",), "conditions": (Condition("a", "y = 0", "u"),
                                                                  Condition("b", "x = 1", "u_x"))},
                              "conditions.1.on", "'b' holds where x = 1, but the problem is periodic in x"),
    "periodic with all edges": ({"periodic": ("y",)}, "conditions.0.on", "holds where y = 0"),
    "no boundary": ({"conditions": (Condition("c", "x = 0.5", "u"),)}, "conditions.0.on",
                    "'x = 0.5' is no face of the domain: x runs from 0 to 1"),
    # unknowns
    "an unknown in no equation": (A, "unknowns.a", "the unknown 'a' appears in no equation, so nothing can be learned"),
    "an unknown that is only read": ({**A, "readings": {"r": "2*a"}}, "unknowns.a", "appears in no equation"),
    "an unknown that is only looked at": ({**A, "quantities": {"q": "a*u"}}, "unknowns.a", "appears in no equation"),
    "an unknown of an average that is only read": (
        {**A, "averages": {"m": "a*u"}, "readings": {"r": "m"}}, "unknowns.a", "appears in no equation"),
    "an endless start": ({"unknowns": {"a": float("inf")}, **equation("u_xx - a")}, "unknowns.a",
                         "inf is no start value"),
    "an endless truth": ({**A, **equation("u_xx - a"), "truth": {"a": float("nan")}}, "truth.a",
                         "nan is no true value"),
    "truth of nothing": ({"truth": {"b": 1.0}}, "truth.b", "'b', which is no unknown and no reading"),
    # averages, readings, quantities
    "an average of no use": ({"averages": {"m": "u"}}, "averages.m", "is used by no equation and no reading"),
    "an average of no field": ({"averages": {"m": "x"}, **equation("u_xx - m")}, "averages.m",
                               "this average contains none of the fields (u)"),
    "an average of an average": ({"averages": {"m": "u", "k": "m*u"}, **equation("u_xx - k")}, "averages.k",
                                 "'m' is an average over the equations' points"),
    "an average in a condition": ({**M, "conditions": (Condition("c", "boundary", "u = m"),)}, "conditions.0.equation",
                                  "only the equations of the interior and readings may use it"),
    "an average in an observation": ({**M, **observe(equation="u = m*u_data")}, "observations.0.equation",
                                     "'m' is an average"),
    "an average in a quantity": ({**M, "quantities": {"q": "u/m"}}, "quantities.q", "'m' is an average"),
    "an average in a constraint": ({**M, "hard": {"u": "m*u"}}, "hard.u", "'m' is an average"),
    "an average in an exact solution": ({**M, "exact": {"u": "q"}, "definitions": {"q": "m"}}, "exact.u",
                                        "'m' is neither"),
    "a field seen only by an average that is only read": (
        {"fields": ("u", "v"), "averages": {"m": "v"}, "readings": {"r": "m"}}, "fields.1", "appears in no equation"),
    "a reading of a place": ({"readings": {"r": "x"}}, "readings.r", "it cannot depend on the input 'x'"),
    "a reading of a field": ({"readings": {"r": "u"}}, "readings.r", "unknown name 'u'"),
    "a reading without value": ({"readings": {"r": "1/k"}, "constants": {"k": 0.0}}, "readings.r", "division by zero"),
    "a quantity of no field": ({"quantities": {"q": "x"}}, "quantities.q", "this quantity contains none of the fields"),
    "a quantity's typing error": ({"quantities": {"q": "u_z"}}, "quantities.q", "u_z"),
    # exact solutions
    "exact with a field": ({"exact": {"u": "x*u"}}, "exact.u", "unknown name 'u'"),
    "exact with a defined field": ({"exact": {"u": "q"}, "definitions": {"q": "2*u"}}, "exact.u",
                                   "an expression of inputs and constants; 'u' is neither"),
    "exact with a defined derivative": ({"exact": {"u": "q"}, "definitions": {"q": "u_x"}}, "exact.u", "is neither"),
    "exact with an unknown": ({**A, **equation("u - a"), "exact": {"u": "a*x"}}, "exact.u", "'a' is neither"),
    "exact without value": ({"exact": {"u": "x/k"}, "constants": {"k": 0.0}}, "exact.u", "division by zero"),
    "exact of nothing": ({"exact": {"w": "x"}}, "exact.w", "'w', which is no field and no quantity"),
    # hard constraints
    "a constraint on nothing": ({"hard": {"v": "x*u"}}, "hard.v", "'v', which is no field"),
    "a constraint with derivatives": ({"hard": {"u": "x*u_x + u"}}, "hard.u", "without derivatives"),
    "a constraint without the field": ({"hard": {"u": "x*(1 - x)"}}, "hard.u", "this constraint contains none of"),
    "a constraint with an unknown": ({**A, **equation("u - a"), "hard": {"u": "a*u"}}, "hard.u",
                                     "the unknown 'a' cannot be part of a hard constraint"),
    "a constraint divided by zero": ({"hard": {"u": "u/0"}}, "hard.u", "a division by zero in this constraint"),
    "an equation divided by zero": ({**equation("u_xx/(k - 1)"), "constants": {"k": 1.0}}, "residuals.0.equation",
                                    "a division by zero in this equation"),
    # observations
    "no file": (observe(file=""), "observations.0.file", "this observation has no file, and the problem has no refer"),
    "a column that is none": (observe(equation="u = w_data"), "observations.0.equation", "unknown name 'w_data'"),
    "no field in an observation": (observe(equation="u_data"), "observations.0.equation", "none of the fields"),
    "a column's name": (observe(columns=("w", "2a")), "observations.0.columns.1", "'2a' is no name"),
    "a column twice": (observe(columns=("w", "w")), "observations.0.columns.1", "'w' is a column already"),
    "a field's column": (observe(columns=("u",)), "observations.0.columns.0", "'u' is a column already"),
    "an input's column": (observe(columns=("x",)), "observations.0.columns.0", "'x' is an input"),
    # sub-domains
    "no cut": (cut({}), "decomposition.splits", "there is no cut"),
    "an empty cut": (cut({"x": ()}), "decomposition.splits", "there is no cut"),
    "a cut of nothing": (cut({"z": (0.5,)}, {"z": "u"}), "decomposition.splits.z", "'z' is no input"),
    "a cut outside": (cut({"x": (0.5, 1.5)}), "decomposition.splits.x", "must increase and lie between 0 and 1"),
    "a cut on the boundary": (cut({"x": (0.0,)}), "decomposition.splits.x", "lie between 0 and 1"),
    "cuts in disorder": (cut({"x": (0.6, 0.4)}), "decomposition.splits.x", "must increase"),
    "a cut twice": (cut({"x": (0.4, 0.4)}), "decomposition.splits.x", "must increase"),
    "no flux": (cut(HALF, {"y": "u"}), "decomposition.flux", "cut across x, so a flux across it is needed"),
    "a flux of nothing": (cut(HALF, {"x": "u_x", "z": "u"}), "decomposition.flux.z", "'z' is no input"),
    "a flux without a field": (cut(HALF, {"x": "x"}), "decomposition.flux.x", "this flux contains none of the fields"),
    "a flux's typing error": (cut(HALF, {"x": "v_x"}), "decomposition.flux.x", "'v', which is no field"),
    "networks for others": (cut(HALF, hidden=((5,),)), "decomposition.hidden", "give an entry for each, not 1"),
    "points for others": (cut(HALF, points=(1, 2, 3)), "decomposition.points", "an entry for each, not 3"),
    "starts for others": ({**A, **equation("u - a"), **cut(HALF, local=("a",), starts=(1.0,))},
                          "decomposition.starts", "give an entry for each, not 1"),
    "a network without layers": (cut(HALF, hidden=((5,), ())), "decomposition.hidden.1", "one hidden layer or more"),
    "a layer without neurons": (cut(HALF, hidden=((5, 0), (5,))), "decomposition.hidden.0", "each of width 1 or more"),
    "a sub-domain without points": (cut(HALF, points=(5, 0)), "decomposition.points.1", "one point or more, not 0"),
    "a local unknown of nothing": (cut(HALF, local=("b",)), "decomposition.local.0", "'b' is no unknown"),
    "starts of nothing": (cut(HALF, starts=(1.0, 2.0)), "decomposition.starts", "of which there are none"),
    "one reading of many unknowns": ({**A, **equation("u - a"), "readings": {"r": "a"}, **cut(HALF, local=("a",))},
                                     "readings.r", "every sub-domain has its own 'a'"),
    "an unknown of an unused flux": ({**A, **cut(HALF, {"x": "u_x", "y": "a*u"})}, "unknowns.a", "in no equation"),
    "an energy of sub-domains": ({**equation("u_x**2", measure="mean"), **cut(HALF)}, "residuals.0.measure",
                                 "the mean over a domain is not the sum of those over its sub-domains"),
    "too many sub-domains": (cut({n: tuple(k / 17 for k in range(1, 17)) for n in "xy"}), "decomposition.splits",
                             "these cuts make 289 sub-domains with a network each; at most 256"),
    "sub-domains of a ball": ({"shape": "ball", **cut(HALF)}, "decomposition.splits", "sub-domains are for a box"),
    "periodic sub-domains": ({"periodic": ("y",), "conditions": (), **cut(HALF)}, "decomposition.splits", "periodic"),
    "constrained sub-domains": ({"hard": {"u": "x*u"}, **cut(HALF)}, "decomposition.splits", "hard constraints"),
    "averages of sub-domains": ({**M, **cut(HALF)}, "decomposition.splits", "averages"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_with_its_place(case: str) -> None:
    changes, path, sentence = REFUSED[case]
    with pytest.raises(ProblemError) as caught:
        poisson(**changes)
    assert (caught.value.path, sentence in str(caught.value)) == (path, True), str(caught.value)


@pytest.mark.parametrize("changes", [
    {**A, "conditions": (Condition("c", "x = 0", "u_x = a"),)},
    {**A, **cut(HALF, {"x": "a*u_x"})},
    {**A, "averages": {"m": "a*u"}, **equation("u_xx - m")},
    {**A, "residuals": (), **observe(equation="a*u = u_data")},
    {"fields": ("u", "v"), "averages": {"m": "v**2"}, **equation("u_xx - m")},
    {"fields": ("u", "v"), **observe(equation="u - v = u_data")},
    {"averages": {"m": "u"}, "readings": {"r": "m/2"}, "truth": {"r": 1.0}},
    {"definitions": {"q": "m + 1"}, "averages": {"m": "u"}, **equation("u_xx - q")},
    {**observe(file="", equation="u = u_data"), "reference": "r.npz"},
    {"conditions": ()}, {"conditions": (), "residuals": (), **observe()},
    {"periodic": ("x",), "conditions": (Condition("c", "y = 0", "u"),)},
    {"domain": {"x": (0.0, 1.0), "y": (5.0, 6.0)}, "shape": "ball"},
    {"hard": {"u": "x*(1 - x)*u + u_exact"}, "exact": {"u": "x"}},
    {"quantities": {"s": "u_x"}, "exact": {"s": "x", "u": "x**2/2"}},
    cut(HALF), cut({"x": (0.5,), "y": ()}),
])
def test_what_makes_sense_is_taken(changes: dict[str, Any]) -> None:
    assert isinstance(poisson(**changes).latex(), list)


def test_terms_in_order() -> None:
    p = poisson(**observe(term="probe"), **cut(HALF))
    assert p.terms == ("residual", "boundary", "probe", "interface flux", "interface average")
    assert p.residual_terms == {"residual"}
    assert poisson(residuals=(), **observe()).terms == ("boundary", "data")


def test_the_boundary_of_a_ball_is_its_sphere() -> None:
    p = poisson(shape="ball", domain={"x": (1.0, 4.0), "y": (-1.5, 1.5)})
    assert p.statements[1].faces == (Face(-1, 1.5),)


def test_columns_of_an_observation() -> None:
    p = poisson(quantities={"s": "u_x"}, **observe(columns=("w",), equation="u_x = s_data + w_data*u"))
    assert p.columns(p.observations[0]) == ("u_data", "s_data", "w_data")
    assert p.statements[-1].observation == "o" and not p.statements[-1].interior
    assert p.expression_of(p.observations[0]) == p.statements[-1].expression


def test_everything_is_typeset() -> None:
    p = poisson(
        **observe(columns=("w",), equation="u = w_data"), unknowns={"nu": 1.0}, hard={"u": "x*u"},
        residuals=(Residual("pde", "nu*u_xx = m"), Residual("energy", "u_x**2", measure="mean")),
        averages={"m": "u**2"}, readings={"lam": "m/2"}, quantities={"speed": "sqrt(u_x**2 + u_y**2)"},
        conditions=(Condition("edges", " boundary ", "u"),), exact={"u": "x"})
    rows = dict(p.latex())
    assert set(rows) == {"pde", "energy", "m", "edges", "o", "hard u", "lam", "speed", "exact"}
    assert rows["m"] == r"m = \langle u^{2} \rangle"
    assert rows["energy"] == "u_{x}^{2}", "an energy is not set to zero"
    assert rows["edges"].endswith(r"\text{ on the boundary}")


def test_an_error_survives_the_way_to_another_process() -> None:
    with pytest.raises(ProblemError) as caught:
        poisson(**A)
    again = copy(caught.value)  # by what is handed over to make it there
    assert (str(again), again.path) == (str(caught.value), "unknowns.a")
