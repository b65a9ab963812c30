"""The gallery and the tables: everything that is shipped loads, agrees with itself and with what it refers to."""

from __future__ import annotations

from typing import Any

import pytest

from core.reference import read_points, read_reference, read_scattered
from studio import gallery, tables
from studio.exact_check import contradictions
from studio.experiment import REFERENCES, Experiment
from studio.table_runs import Plan

NAMES = gallery.names()
KEYS = ("name", "title", "look", "source", "group")


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_says_what_it_is_and_where_it_belongs(name: str) -> None:
    experiment = gallery.load(name)
    assert experiment.name == name
    assert all(getattr(experiment, key) for key in KEYS)
    assert experiment.group in gallery.GROUPS
    assert experiment.look.endswith(".") and "\n" not in experiment.look
    labels = [lane.label for lane in experiment.lanes()]
    assert len(set(labels)) == len(labels) and (all(labels) or len(labels) == 1), "lanes need labels that differ"


def test_every_chapter_has_experiments() -> None:
    assert {gallery.load(name).group for name in NAMES} == set(gallery.GROUPS)


def test_titles_differ() -> None:
    titles = [gallery.describe(name) for name in NAMES]
    assert len(set(titles)) == len(titles)


CONTRADICTORY = "ill-inconsistent-condition"  # shows what happens then


@pytest.mark.parametrize("name", [name for name in NAMES if name != CONTRADICTORY])
def test_an_exact_solution_satisfies_its_equations(name: str) -> None:
    for lane in gallery.load(name).lanes():
        assert contradictions(lane, points=50) == []


def test_one_experiment_contradicts_its_exact_solution_on_purpose() -> None:
    sentence, = contradictions(gallery.load(CONTRADICTORY), points=50)
    assert "'left'" in sentence


@pytest.mark.parametrize("name", [name for name in NAMES if gallery.load(name).problem.unknowns])
def test_what_is_to_be_found_is_known(name: str) -> None:
    experiment = gallery.load(name)
    problem = experiment.problem
    shown = problem.unknowns if not problem.readings else problem.readings
    assert set(shown) <= set(problem.truth), "without the true value nothing can be compared"


# ------------------------------------------------------------------ eigenvalues

EIGEN = [name for name in NAMES if name.startswith("eigenvalue-")]


@pytest.mark.parametrize("name", [name for name in EIGEN if name.endswith("-residual")])
def test_an_eigenfunction_satisfies_its_equation_without_the_normalisation(name: str) -> None:
    """The check leaves out what contains an average, so it is taken out here: the equation times the norm's root."""
    experiment = gallery.load(name)
    equation = experiment.problem.residuals[0]
    assert equation.equation.endswith("/sqrt(norm)")
    (lam,), problem = experiment.problem.truth.values(), experiment.problem
    (unknown,) = problem.unknowns
    dimensions = len(problem.domain) if problem.readings else 1
    plain = experiment.with_changes({
        "problem.residuals": [equation.model_dump() | {"equation": equation.equation.removesuffix("/sqrt(norm)")}],
        "problem.averages": {}, "problem.readings": {}, "problem.truth": {unknown: lam / dimensions},
        "balancing.weights": {}, "compare": []})
    assert contradictions(plain, points=50) == []


@pytest.mark.parametrize("name", EIGEN)
def test_both_forms_of_an_eigenvalue_problem_agree(name: str) -> None:
    experiment, other = gallery.load(name), gallery.load(name.removesuffix("-residual"))
    assert experiment.problem.exact == other.problem.exact
    assert experiment.problem.domain == other.problem.domain
    assert experiment.problem.truth == other.problem.truth


# ------------------------------------------------------------------ references and observations


def _references() -> list[tuple[str, Experiment]]:
    found: dict[tuple[str, tuple[str, ...]], tuple[str, Experiment]] = {}
    for name in NAMES:
        experiment = gallery.load(name)
        problem = experiment.problem
        files = [problem.reference, *(o.file or problem.reference for o in problem.observations)]
        for file in filter(None, files):
            found.setdefault((file, problem.fields), (file, experiment))
    return list(found.values())


@pytest.mark.parametrize(("file", "experiment"), _references(), ids=lambda value: getattr(value, "name", value))
def test_a_reference_is_there_and_fits_the_problem(file: str, experiment: Experiment) -> None:
    assert (REFERENCES / file).is_file()
    problem = experiment.build_problem()
    if experiment.problem.reference == file:
        scattered = read_scattered(REFERENCES / file, problem)  # which checks that its points lie in the domain
        if scattered is None:
            axes, known = read_reference(REFERENCES / file, problem)
            assert known
            for axis, (low, high) in zip(axes, problem.domain.values(), strict=True):
                assert (axis[0], axis[-1]) == pytest.approx((low, high)), "it covers the domain"
    for observation in problem.observations:
        if (observation.file or problem.reference) == file:
            columns = (*problem.fields, *observation.columns)
            points, _ = read_points(REFERENCES / file, problem, columns, "observations")
            assert len(points) >= observation.points


# ------------------------------------------------------------------ tables


@pytest.mark.parametrize("name", tables.names())
def test_a_table_names_what_the_gallery_has(name: str) -> None:
    table = tables.load(name)  # raises where an experiment, a setting or a quantity is none
    assert table.fast is not None and table.fast.note and table.larger is not None
    for fast in (False, True):
        plan = Plan(table, fast=fast)
        assert set(plan.of) == {cell.name for cell in table.cells}
    assert _work(Plan(table, fast=True)) <= 0.51 * _work(Plan(table)), "a shortened version is shorter"


def _work(plan: Plan) -> int:
    """Steps of the longest run."""
    return max(task.steps for task in plan.tasks.values())


def _published(table: str) -> dict[str, Any]:
    return {cell.name: cell.published for cell in tables.load(table).cells if cell.published is not None}


def test_published_values_are_where_they_belong() -> None:
    """A sample of the papers' tables, so that no row slips."""
    growth = {"C = 1": 1.34e-4, "C = 2": 4.65e-4, "C = 4": 3.82e-3, "C = 8": 1.30e-2, "C = 16": 9.44}
    assert {name.split(" / ")[0]: value for name, value in _published("poisson-c").items()} == growth
    assert _published("klein-gordon") == {"M1": 1.79e-1, "M2": 1.06e-2, "M3": 1.97e-2, "M4": 2.81e-3}
    k = _published("helmholtz-k")
    assert (k["k = 2 / M1"], k["k = 3 / M4"], k["k = 4 / M2"], k["k = 4 / M3"]) == (5.20e-1, 3.57e-3, 3.61e-1, 5.15e-2)
    assert list(_published("cavity-psi").values()) == [2.71e-1, 2.49e-1, 1.21e-1, 3.42e-2]
    assert list(_published("cavity-vp").values()) == [7.84e-1, 7.48e-1, 7.48e-1, 7.53e-1]
    assert list(_published("burgers-cpinn").values()) == [14750, 13600, 11090, 11170]
    assert _published("raf-smooth")["x, x², sin, Gaussian / 100,000 steps"] == pytest.approx(6.8725e-5, rel=1e-4)
    for table in ("laaf-function", "raf-oscillatory", "raf-low-regularity", "eigenvalues"):
        assert _published(table) == {}
