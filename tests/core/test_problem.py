"""Problems: what is accepted, and the sentence with its place for everything that is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.problem import Condition, Face, Problem, ProblemError, Residual


def helmholtz(**changes: Any) -> Problem:
    base: dict[str, Any] = {
        "name": "Helmholtz", "fields": ("u",), "domain": {"x": (-1.0, 1.0), "y": (0.0, 2.0)},
        "constants": {"k": 1.0},
        "definitions": {"q": "k**2*w", "w": "sin(pi*x)"},
        "residuals": (Residual("pde", "u_xx + u_yy + k**2*u - q"),),
        "conditions": (Condition("edges", "boundary", "u = u_exact"), Condition("left", "x = -1", "u_x", "flux")),
        "exact": {"u": "sin(pi*x)*y"},
    }
    return Problem(**{**base, **changes})


def test_terms_and_faces() -> None:
    p = helmholtz()
    assert p.terms == ("residual", "boundary", "flux")
    assert p.residual_terms == {"residual"}
    assert p.statements[1].faces == (Face(0, -1.0), Face(0, 1.0), Face(1, 0.0), Face(1, 2.0))
    assert p.statements[2].faces == (Face(0, -1.0),)


def test_a_face_may_be_written_with_constants() -> None:
    p = helmholtz(conditions=(Condition("right", "x = 2*k - 1", "u"),))
    assert p.statements[1].faces == (Face(0, 1.0),)


def test_latex_of_everything() -> None:
    rows = dict(helmholtz().latex())
    assert rows["pde"].endswith("= 0")
    assert rows["edges"].count("=") == 1
    assert set(rows) == {"pde", "q", "w", "edges", "left", "exact"}


@pytest.mark.parametrize(("changes", "path", "sentence"), [
    ({"residuals": (Residual("pde", "u_xx + v_yy"),)}, "residuals.0.equation", "'v', which is no field"),
    ({"residuals": (Residual("pde", "u_xx + u_yy + kk*u"),)}, "residuals.0.equation", "did you mean 'k'"),
    ({"residuals": (Residual("pde", "(u_xx + u_yy"),)}, "residuals.0.equation", "character"),
    ({"residuals": (Residual("pde", "u_xxxxx"),)}, "residuals.0.equation", "order"),
    ({"residuals": (Residual("pde", "x + 1"),)}, "residuals.0.equation", "none of the fields"),
    ({"residuals": ()}, "residuals", "no equation"),
    ({"fields": ("u", "v")}, "fields.1", "'v' appears in no equation"),
    ({"fields": ("x",)}, "fields", "in domain already"),
    ({"fields": ("2u",)}, "fields", "no name"),
    ({"domain": {"x": (1.0, -1.0), "y": (0.0, 1.0)}}, "domain.x", "below the upper"),
    ({"constants": {"k": 0.0}, "definitions": {"q": "1/k", "w": "1"}}, "residuals.0.equation", "division by zero"),
    ({"constants": {"sin": 3.0}}, "constants.sin", "fixed meaning"),
    ({"constants": {"pi": 3.0}}, "constants.pi", "fixed meaning"),
    ({"definitions": {"q": "w", "w": "q"}}, "definitions.q", "circle"),
    ({"definitions": {"q": "sinn(x)", "w": "1"}}, "definitions.q", "sinn"),
    ({"conditions": (Condition("c", "x = 0.5", "u"),)}, "conditions.0.on", "no face of the domain: x runs from -1"),
    ({"conditions": (Condition("c", "everywhere", "u"),)}, "conditions.0.on", "boundary"),
    ({"conditions": (Condition("c", "x - 1", "u"),)}, "conditions.0.on", "is no place"),
    ({"exact": {"v": "x"}}, "exact.v", "no field"),
    ({"exact": {"u": "u + x"}}, "exact.u", "unknown"),
])
def test_what_makes_no_sense_gets_a_sentence_and_a_place(changes: dict[str, Any], path: str, sentence: str) -> None:
    with pytest.raises(ProblemError) as caught:
        helmholtz(**changes)
    assert caught.value.path == path
    assert sentence in str(caught.value)


def test_it_is_frozen() -> None:
    assert replace(helmholtz(), name="other").name == "other"
    with pytest.raises(AttributeError):
        helmholtz().name = "other"  # type: ignore[misc]
