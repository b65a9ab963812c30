"""Tables of published results: what their files say, and a sentence for every mistake in one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio import tables
from studio.tables import Cell, Table, TableError, from_data, mistakes, resolve, settings, step_of
from tests.studio.table_samples import MATRIX, TOML, cell, data, forget, small_gallery, write_table


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    small_gallery(monkeypatch, tmp_path)
    yield
    forget()


# ------------------------------------------------------------------ what is right


def test_a_table_is_read_and_its_cells_are_resolved(tmp_path: Path) -> None:
    write_table(tmp_path)
    assert tables.names() == ["small"]
    table = tables.load("small")
    assert (table.rows, table.columns, table.seeds) == (["plain", "wide"], [], 2)
    plain, wide = table.cells
    assert (plain.quantity, plain.published, plain.spread, plain.found, plain.ours) \
        == ("relative_l2.u", 0.1, None, True, False)
    assert resolve(table, wide).network.hidden == (16, 16)
    assert resolve(table, wide).compare == ()
    assert resolve(table, wide).training.steps == 40_000
    assert resolve(table, wide, fast=True).training.steps == 400
    assert (table.default_seeds(fast=False), table.default_seeds(fast=True)) == (2, 1)


def test_every_table_that_comes_with_the_program_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real gallery and the real tables
    forget()
    assert "helmholtz" in tables.names()
    for name in tables.names():
        assert tables.load(name).name == name


def test_reading_tables_loads_no_torch() -> None:
    code = "import sys, studio.tables, studio.verdicts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False,
                          cwd=Path(__file__).resolve().parents[2]).returncode == 0


def test_the_helmholtz_table_has_the_published_numbers() -> None:
    table = from_data(tables.tomllib.loads(
        (Path(tables.__file__).resolve().parents[1] / "resources" / "tables" / "helmholtz.toml").read_text("utf-8")))
    assert len(table.cells) == 36 and len(table.rows) == 9 and table.columns == ["M1", "M2", "M3", "M4"]
    by_place = {(one.row, one.column): one for one in table.cells}
    first, last = by_place["30 x 3", "M1"], by_place["100 x 7", "M4"]
    assert (first.published, first.spread, first.more) == (4.36e-1, 1.57e-1, {"arXiv Table 2": 2.44e-1})
    assert (last.published, last.spread, last.more) == (2.10e-3, 3.23e-4, {"arXiv Table 2": 1.49e-3})
    for (row, column), one in by_place.items():
        width, depth = (int(part) for part in row.split(" x "))
        assert one.set == {"network.hidden": [width] * depth}
        assert one.experiment == f"helmholtz-{column.lower()}"


@pytest.mark.parametrize(("value", "text"), [
    ([30, 20], "[30, 20]"), (1e-4, "0.0001"), (True, "true"), ("annealing-siam", '"annealing-siam"'),
    ('a "word"', '"a \\"word\\""'), ({"boundary": 2.0, "residual": 1}, '{"boundary" = 2.0, "residual" = 1}')])
def test_changes_as_they_are_typed(value: Any, text: str) -> None:
    assert settings({"a.b": value}) == [f"a.b={text}"]
    assert tables.tomllib.loads(f"value = {text}") == {"value": value}


def test_cells_are_chosen_by_row_column_experiment_or_pattern() -> None:
    table = from_data(MATRIX)
    names = [one.name for one in table.cells]
    assert [one.name for one in table.chosen([])] == names
    assert [one.name for one in table.chosen(["WIDE"])] == names[2:]
    assert [one.name for one in table.chosen(["end"])] == [names[1], names[3]]
    assert [one.name for one in table.chosen(["plain / end", "wide / e*"])] == [names[1], names[3]]
    assert [one.name for one in table.chosen(["poisson"])] == names
    with pytest.raises(TableError, match=r"no cell .* is called 'wied' \(did you mean 'wide'\?\); there are plain, "):
        table.chosen(["plain", "wied"])


def test_where_a_cell_is_read_in_a_shortened_version() -> None:
    table = from_data(data(cell("a", at=10_000), cell("b", at=40_000), cell("c"), cell("d", at=10),
                           fast={"set": {"training.steps": 400}}))
    steps = [step_of(table, one, resolve(table, one, fast=True), fast=True) for one in table.cells]
    assert steps == [100, None, None, 10]
    assert [step_of(table, one, resolve(table, one)) for one in table.cells] == [10_000, 40_000, None, 10]


def test_several_runs_make_one_number() -> None:
    runs = [{"problem.truth.a": 1.0}, {"problem.truth.a": 3.0}]
    table = from_data(data(cell("all", experiment="inverse", quantity="unknown.a", runs=runs)))
    assert [resolve(table, table.cells[0], run=run).problem.truth["a"] for run in (0, 1)] == [1.0, 3.0]
    assert mistakes(table) == []


# ------------------------------------------------------------------ what is wrong


def only(**more: Any) -> dict[str, Any]:
    return data(cell("plain", **more))


WITHOUT_VALUE = {"row": "plain", "experiment": "poisson"}

FORMAT: list[tuple[str, dict[str, Any], str]] = [
    ("unknown key", data(sedes=3), "sedes: this key is not known"),
    ("unknown key in a cell", only(publsihed=1.0), "cells.0.publsihed: in 'plain', this key is not known"),
    ("no title", {key: value for key, value in data().items() if key != "title"}, "title: this is missing"),
    ("no name", data(name="A table"), "name: 'A table' is no name"),
    ("no cells", {**data(), "cells": []}, "cells: there is nothing here"),
    ("cells is no list", {**data(), "cells": 3}, "cells: 3 is not a list"),
    ("a cell is no table", {**data(), "cells": [3]}, "cells.0: 3 is not a table"),
    ("no row", data({"experiment": "poisson", "published": 1.0}), "cells.0.row: this is missing"),
    ("text", only(published="1.9e-1 +- 4e-2"), "cells.0.published: in 'plain', '1.9e-1 +- 4e-2' is not a number"),
    ("nan", only(published=float("nan")), "cells.0.published: in 'plain', nan is not a finite number"),
    ("seeds", data(seeds=0), "seeds: 0 is not possible; it must be at least 1"),
    ("spread", only(spread=-1.0), "cells.0.spread: in 'plain', -1 is not possible"),
    ("at", only(at=0), "cells.0.at: in 'plain', 0 is not possible"),
    ("no value", data(WITHOUT_VALUE), "it has no published value: give `published`, or say `found = false`"),
    ("not found, yet there", only(found=False), "it has a published value, so `found = false` cannot hold"),
    ("ours, yet published", only(ours=True), "it has a published value, so `ours = true` cannot hold"),
    ("ours and not found", data({**WITHOUT_VALUE, "ours": True, "found": False}), "only one of them holds"),
    ("spread of nothing", data({**WITHOUT_VALUE, "found": False, "spread": 1.0}), "`spread` goes with a published"),
    ("more of nothing", data({**WITHOUT_VALUE, "ours": True, "more": {"a": 1.0}}), "`more` goes with a published"),
    ("quantity", only(quantity="error"), "'error' is no quantity; a quantity names a field: relative_l2.u, or"),
    ("quantity of the table", data(quantity="l2.u"), "'l2.u' is no quantity"),
    ("runs", only(runs=[{"a": 1}]), "`runs` makes one number of several runs, which is unknown.NAME"),
    ("below and at", only(below=0.1, at=10), "`below` asks for a step and `at` gives one"),
    ("below of several", only(below=0.1, quantity="unknown.a"), "`below` is for a number of one run"),
    ("place", data(cell("plain"), cell("plain")), "cells.1: 'plain' is the place of cells.0 already"),
    ("a column for some", data(cell("a", "x"), cell("b")), "cells.1: either every cell has a column or none; 'a / x' "
                                                            "has one, 'b' has none"),
    ("fast sets nothing", data(fast={"set": {}}), "fast.set: there is nothing here"),
    ("larger", data(larger={}), "larger.note: this is missing"),
]


@pytest.mark.parametrize(("values", "words"), [row[1:] for row in FORMAT], ids=[row[0] for row in FORMAT])
def test_a_mistake_in_the_format_is_a_sentence_with_its_place(values: dict[str, Any], words: str) -> None:
    with pytest.raises(TableError) as caught:
        from_data(values, "small.toml")
    assert str(caught.value).startswith("small.toml: ")
    assert words in str(caught.value)


GALLERY: list[tuple[str, dict[str, Any], str, str]] = [
    ("experiment", only(experiment="poison"), "cells.0.experiment",
     "there is no experiment 'poison' in the gallery (did you mean 'poisson'?)"),
    ("path", only(set={"network.hiden": [3]}), "cells.0.set", "(did you mean 'network.hidden'?)"),
    ("value", only(set={"network.hidden": [0]}), "cells.0.set", "network.hidden: a layer of width 0 is not possible"),
    ("seed", only(set={"training.seed": 3}), "cells.0.set", "training.seed cannot be set: every run gets its own"),
    ("fast", data(fast={"set": {"training.step": 3}}), "fast.set", "(did you mean 'training.steps'?)"),
    ("field", only(quantity="relative_l2.v"), "cells.0.quantity", "'poisson' has no field 'v'; there is u"),
    ("term", only(quantity="losses.wall"), "cells.0.quantity", "no loss term 'wall'; there is residual, boundary"),
    ("unknown", only(quantity="error.a"), "cells.0.quantity", "no unknown with a true value 'a'; there is none"),
    ("true zero", only(experiment="inverse", quantity="error.a", set={"problem.truth.a": 0.0}), "cells.0.quantity",
     "the true value of 'a' is zero, so there is no relative error; use readings.a"),
    ("after the end", only(at=50_000), "cells.0.at", "step 50,000 is after the last one; 'poisson' has 40,000"),
    ("not recorded", only(at=105), "cells.0.at", "nothing is recorded at step 105, since diagnostics.error_every"),
    ("not recorded", only(at=105, quantity="losses.residual"), "cells.0.at", "diagnostics.scalars_every is 10"),
    ("runs", data(cell("all", experiment="inverse", quantity="unknown.a", runs=[{}, {"problem.trut.a": 1.0}])),
     "cells.0.runs.1", "(did you mean 'problem.truth.a'?)"),
]


@pytest.mark.parametrize(("values", "place", "words"), [row[1:] for row in GALLERY],
                         ids=[f"{row[0]} {index}" for index, row in enumerate(GALLERY)])
def test_a_mistake_that_the_gallery_shows_is_a_sentence_with_its_place(values: dict[str, Any], place: str,
                                                                       words: str) -> None:
    ((path, text),) = mistakes(from_data(values))
    assert path == place
    assert words in text and text.startswith("in '")


def test_what_the_interior_and_readings_are_called_is_known() -> None:
    for quantity in ("relative_l2.u (interior)", "readings.whatever", "readings.nu *", "losses.boundary"):
        assert mistakes(from_data(only(quantity=quantity))) == []
    assert mistakes(from_data(only(experiment="inverse", quantity="error.a"))) == []


@pytest.mark.parametrize(("make", "words"), [
    (lambda path: path.write_text("name = 'small"), "this is not TOML"),
    (lambda path: path.write_bytes(b"\xff\xfe"), "cannot be read: it is not UTF-8 text"),
    (lambda path: path.unlink(), "there is no file"),
    (lambda path: path.write_text(TOML.replace('"small"', '"large"')),
     "name: 'large' is not the name of the file, 'small'"),
    (lambda path: path.write_text(TOML.replace('"poisson"', '"poisso"')), "cells.0.experiment: in 'plain', there "),
])
def test_a_file_that_cannot_be_used_is_named(make: Callable[[Path], object], words: str, tmp_path: Path) -> None:
    path = write_table(tmp_path)
    make(path)
    with pytest.raises(TableError) as caught:
        tables.load_table(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_a_table_that_is_not_there_has_a_neighbour(tmp_path: Path) -> None:
    write_table(tmp_path)
    with pytest.raises(TableError, match=r"there is no table 'smal' \(did you mean 'small'\?\); there are small"):
        tables.load("smal")


def test_the_models_are_frozen() -> None:
    assert isinstance(Table.model_validate(data()).cells[0], Cell)
    with pytest.raises(ValueError, match="frozen"):
        Table.model_validate(data()).cells[0].row = "other"  # type: ignore[misc]
