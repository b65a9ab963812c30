"""Methods that keep a memory, on points that change: what ends a step there ends no phase."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from core.solvers.lbfgs import LBFGS
from core.solvers.solver import Solver
from core.trainer import NotFinite
from tests.core.test_quasi_newton import each_solver, trainer


@each_solver
def test_what_is_not_finite_on_some_points_ends_nothing(solver: Solver) -> None:
    one = trainer(solver, every=1)
    one.step()
    good = one.theta
    one.theta = good * math.nan
    with pytest.raises(NotFinite):
        one.step()
    assert not one.done
    one.theta = good
    one.step()
    assert not one.done


def test_where_points_are_drawn_anew_a_method_that_is_done_is_given_others(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trainer(LBFGS(), every=1000)
    real, ended = LBFGS.step, [True, False, True, True]
    monkeypatch.setattr(LBFGS, "step", lambda *given: replace(real(*given), done="It is done." if ended.pop(0) else ""))
    points = []
    for done in ("", "", "", "It is done."):
        one.step()
        points.append(one.points)
        assert one.done == done
        other = trainer(LBFGS(), every=1000)
        other.load(one.state())
        assert other.stuck == one.stuck and torch.equal(other.coming_draws(), one.coming_draws())
        assert ("goes on with points drawn anew" in one.note) == (one.stuck == 1)
    assert not torch.equal(points[0], points[1]) and torch.equal(points[1], points[2])
    assert not torch.equal(points[2], points[3])
    fixed = trainer(LBFGS())
    ended.append(True)
    fixed.step()
    assert fixed.done == "It is done."
