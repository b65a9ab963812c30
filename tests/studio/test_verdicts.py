"""What was measured beside what was published: verdicts and the table as Markdown."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from studio.table_runs import (
    Job,
    Results,
)
from studio.tables import Cell
from studio.verdicts import markdown, measure, rules, verdict
from tests.studio.table_samples import (
    cell,
    data,
    plan_for,
    record,
)

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.usefixtures("small_tables")


# ------------------------------------------------------------------ verdicts and words


def judged(values: list[float], **more: Any) -> str:
    given = {"row": "a", "experiment": "poisson", "quantity": "relative_l2.u", "published": 0.1, **more}
    return verdict(Cell.model_validate({key: value for key, value in given.items() if value is not None}), values)


NAN = math.nan


@pytest.mark.parametrize(("values", "more", "word"), [
    ([], {}, "not run yet"),
    ([], {"published": None, "ours": True}, "not run yet"),
    ([3.0], {"published": None, "ours": True}, "ours"),
    ([3.0], {"published": None, "found": False}, "no published value (not found)"),
    ([0.09, 0.12], {"spread": 0.01}, "within the spread"),
    ([0.09], {"spread": 0.01}, "within the spread"),
    ([0.0899], {"spread": 0.01}, "better"),
    ([0.1101], {"spread": 0.01}, "NOT reproduced"),
    ([0.14], {"spread": 0.01, "more": {"b": 0.15}}, "within the spread"),
    ([0.16], {"spread": 0.01, "more": {"b": 0.15}}, "NOT reproduced"),
    ([0.05], {"spread": 0.01, "more": {"b": 0.04}}, "within the spread"),
    ([0.149], {}, "within the spread"), ([0.151], {}, "NOT reproduced"),
    ([0.067], {}, "within the spread"), ([0.066], {}, "better"),
    ([0.19], {"more": {"b": 0.2}}, "within the spread"), ([0.21], {"more": {"b": 0.2}}, "NOT reproduced"),
    ([0.1, NAN], {"spread": 0.01}, "NOT reproduced"), ([NAN], {}, "NOT reproduced"),
    ([0.05], {"quantity": "readings.a"}, "NOT reproduced"), ([0.1], {"quantity": "readings.a"}, "within the spread"),
    ([-0.1], {"quantity": "readings.a", "published": -0.11}, "within the spread"),
    ([5.0], {"quantity": "readings.a", "below": 0.1, "published": 100.0}, "better"),
])
def test_verdicts(values: list[float], more: dict[str, Any], word: str) -> None:
    assert judged(values, **more) == word


def test_the_rules_name_only_what_the_table_needs() -> None:
    assert rules(plan_for(data(cell("a", spread=0.1))).table) == (
        "Within the spread: our mean lies between the published mean minus and plus its standard deviation; better: "
        "below that range; a cell of which a run diverged is not reproduced; mean and spread are those of the other "
        "runs.")
    assert "published value / 1.5 and × 1.5" in rules(plan_for(data(cell("a", more={"b": 1.0}))).table)
    assert rules(plan_for(data({"row": "a", "experiment": "poisson", "ours": True})).table) == ""


def test_a_table_of_rows_and_columns_as_markdown() -> None:
    plan, results = plan_for(), Results(Path("nowhere"))
    plain, wide = plan.jobs(plan.table.cells, 1)
    results.add(record(plain, 0.11))
    results.add(record(Job(plain.task, 1), 0.09))
    results.add(record(wide, 0.5))
    lines = markdown(plan, measure(plan, results)).splitlines()
    assert lines[0] == "**A small table** (small)"
    assert lines[2] == ("Published: Nobody 1900, Table 1. Shown: relative_l2.u after 100 to 40,000 steps; ours is mean "
                        "± standard deviation (number of seeds).")
    assert lines[4:13] == [
        "|       |           | 100 steps              | end                    |",
        "| ----- | --------- | ---------------------- | ---------------------- |",
        "| plain | published | 1.00e-01 ± 2.0e-02     | 1.00e-01 ± 2.0e-02     |",
        "|       | ours      | 1.00e-01 ± 1.4e-02 (2) | 1.00e-01 ± 1.4e-02 (2) |",
        "|       | steps     | 100                    | 40,000                 |",
        "|       | verdict   | within the spread      | within the spread      |",
        "| wide  | published | 1.00e-01               | 1.00e-01               |",
        "|       | ours      | 5.00e-01 (1)           | 5.00e-01 (1)           |",
        "|       | steps     | 100                    | 40,000                 |"]
    assert lines[13] == "|       | verdict   | **NOT reproduced**     | **NOT reproduced**     |"
    assert "wide / end: Wider than that was not tried." in lines
    assert "another source: plain / 100 steps 2.00e-01." in lines
    some = markdown(plan, measure(plan, results), plan.table.chosen(["end"]))
    assert "| plain | published | 1.00e-01 ± 2.0e-02     |" in some and "100 steps" not in some


def test_a_list_as_markdown_and_numbers_of_each_kind() -> None:
    plan = plan_for(data(
        cell("error", experiment="inverse", quantity="error.a"),
        cell("reading", experiment="inverse", quantity="readings.a", published=2.0, spread=0.5),
        cell("steps", experiment="inverse", quantity="readings.a", below=0.5, published=14_750.0),
        {"row": "nobody|knows", "experiment": "inverse", "found": False},
        {"row": "own", "experiment": "inverse", "ours": True}, larger={"note": "take a larger one"}))
    results = Results(Path("nowhere"))
    (job,) = plan.jobs(plan.table.cells, 1)
    results.add(record(job, 2.25))
    assert markdown(plan, measure(plan, results)).splitlines()[4:11] == [
        "|               | published | ours         | steps | verdict                        |",
        "| ------------- | --------- | ------------ | ----- | ------------------------------ |",
        "| error         | 1.00e-01  | 2.25e+00 (1) | 1,000 | **NOT reproduced**             |",
        "| reading       | 2 ± 0.5   | 2.25 (1)     | 1,000 | within the spread              |",
        "| steps         | 14,750    | 2 (1)        | 1,000 | better                         |",
        "| nobody\\|knows | not found | 2.25e+00 (1) | 1,000 | no published value (not found) |",
        "| own           | –         | 2.25e+00 (1) | 1,000 | ours                           |"]
