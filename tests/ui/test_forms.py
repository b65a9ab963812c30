"""The form asks for everything in the schema, keeps what is typed, and says what is wrong where it is wrong."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from studio import gallery
from studio.experiment import Experiment
from ui.forms.compare import NONE, presets
from ui.forms.editors import LineEditor, _neighbor
from ui.forms.form import ExperimentForm
from ui.forms.schema import sections
from ui.forms.text import read, read_real, read_whole, write, write_real

NAMES = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_]{0,5}\Z")
REALS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture
def form(qtbot: QtBot) -> ExperimentForm:
    made = ExperimentForm()
    qtbot.addWidget(made)
    made.resize(350, 800)
    made.show_experiment(gallery.load("quick"))
    return made


# -- text ------------------------------------------------------------------------------------------------------


@given(REALS)
def test_a_real_number_reads_back_as_itself(value: float) -> None:
    back = read_real(write_real(value))
    assert back == value and math.copysign(1, back) == math.copysign(1, value)


@pytest.mark.parametrize(("value", "text"), [
    (1e-3, "1e-3"), (0.9, "0.9"), (1e-12, "1e-12"), (4.0, "4"), (2.5e7, "2.5e7"), (0.999, "0.999"), (100.0, "100"),
    (-0.05, "-0.05"),
])
def test_reals_are_written_as_a_person_would(value: float, text: str) -> None:
    assert write_real(value) == text


@given(st.dictionaries(NAMES, REALS, max_size=4))
def test_numbers_by_name_read_back(value: dict[str, float]) -> None:
    assert read("reals by name", write("reals by name", value)) == value


@given(st.lists(st.integers(1, 4096), min_size=1, max_size=8))
def test_widths_read_back(value: list[int]) -> None:
    assert read("wholes", write("wholes", value)) == value


@pytest.mark.parametrize("text", ["40000", "40,000", "40 000", "4e4"])
def test_whole_numbers_may_be_written_in_several_ways(text: str) -> None:
    assert read_whole(text) == 40_000


@pytest.mark.parametrize(("kind", "text", "says"), [
    ("whole", "12.5", "no whole number"), ("whole", "", "missing"), ("whole", "ten", "'ten' is no whole number"),
    ("whole", "1e400", "'1e400' is too large; a whole number is at most 1,000,000,000,000,000"),
    ("whole", "1e99", "too large"), ("whole", "-1e99", "too small; a whole number is at least -1,000,000"),
    ("whole", "9" * 30, "too large"), ("whole", "-inf", "no whole number"), ("whole", "0,125", "no whole number"),
    ("wholes", "50, 1e99", "'1e99' is too large"),
    ("real", "10,000", "write 10000 if it stands between thousands, or 10 if it is a decimal comma"),
    ("real", "-12,345", "write -12345 if it stands between thousands, or -12.345 if"),
    ("real", "0,125", "has a decimal comma; write 0.125"), ("real", "1,000,000", "in groups; write 1000000"),
    ("real", "10 000", "in groups; write 10000"), ("reals by name", "k = 10,000", "line 1: '10,000' has a comma that"),
    ("real", "0,5", "write 0.5"), ("real", "inf", "not a finite number"),
    ("real", "1e-", "no number"), ("wholes", "50, x", "'x' is no whole number"),
    ("reals", "0.1, x", "'x' is no number"), ("yes or no", "maybe", "neither true nor false"),
    ("wholes by line", "20, 20\n20, x", "line 2: 'x' is no whole number"),
    ("lists by name", "x 0.2", "write it as x = 0.2, 0.6"), ("lists by name", "x = 0.2, a", "line 1: 'a' is no number"),
    ("reals by name", "k", "has no '='"), ("reals by name", "k = 1\nk = 2", "line 2: 'k' is given twice"),
    ("reals by name", "2k = 1", "cannot be a name"), ("ranges by name", "x = 1", "no range"),
    ("texts by name", "q =", "expression is missing"), ("changes", "network.kind = gated", "stands in quotes"),
    ("changes", "nothing", "write it as"),
])
def test_what_is_no_value_gets_a_sentence(kind: str, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        read(kind, text)


def test_up_and_down_walk_along_one_two_five() -> None:
    assert [_neighbor(value, 1) for value in (1e-3, 2e-3, 5e-3, 3e-3)] == [2e-3, 5e-3, 1e-2, 5e-3]
    assert [_neighbor(value, -1) for value in (1e-3, 2e-3, 0.9)] == [5e-4, 1e-3, 0.5]


# -- schema ----------------------------------------------------------------------------------------------------


def test_every_field_of_the_experiment_has_an_editor_with_a_tip(form: ExperimentForm) -> None:
    def leaves(model: Any, head: str = "") -> set[str]:
        out: set[str] = set()
        for name, info in model.model_fields.items():
            nested = getattr(info.annotation, "model_fields", None)
            out |= leaves(info.annotation, f"{head}{name}.") if nested else {f"{head}{name}"}
        return out

    shown = {field.path for field in form.fields()}
    tables = {"problem.residuals", "problem.conditions", "problem.observations", "phases"}
    assert leaves(Experiment) - tables - {"compare"} <= shown
    for field in form.fields():
        assert field.editor.accessibleName() and field.label.buddy() is field.editor
        assert field.row.description.split(":")[0][:20] in field.editor.toolTip().replace("&#x27;", "'")
        assert not field.row.source or "Source" in field.editor.toolTip()
        assert field.path in field.editor.toolTip()
    assert "at least 1" in form.field("training.steps").editor.toolTip()
    assert "steps" in form.field("training.steps").editor.toolTip()


def test_sections_are_those_of_the_schema() -> None:
    names = ["problem", "problem", "decomposition", "network", "sampling", "balancing", "optimizer", "training", "",
             "diagnostics", ""]
    assert [row.name for row in sections()] == names
    paths = [path for row in sections() for path in row.paths()]
    assert len(paths) == len(set(paths))


# -- the form --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", gallery.names())
def test_what_goes_into_the_form_comes_out_unchanged(qtbot: QtBot, name: str) -> None:
    made = ExperimentForm()
    qtbot.addWidget(made)
    made.show_experiment(gallery.load(name))
    assert made.problems == []
    assert made.experiment == gallery.load(name)
    assert not made.is_changed()


def test_a_change_is_marked_and_can_be_set_back(form: ExperimentForm, qtbot: QtBot) -> None:
    field = form.field("optimizer.learning_rate")
    assert field.back.isHidden() and not field.label.font().bold()
    with qtbot.waitSignal(form.checked):
        field.set_raw("5e-3")
    assert form.experiment is not None and form.experiment.optimizer.learning_rate == 5e-3
    assert field.is_changed() and not field.back.isHidden() and field.label.font().bold()
    field.back.click()
    form.check()
    assert form.experiment == gallery.load("quick") and not form.is_changed()


@pytest.mark.parametrize(("path", "text", "says"), [
    ("optimizer.learning_rate", "-1e-3", "must be more than 0"), ("network.hidden", "50, 0, 50", "width 0"),
    ("network.hidden", "fifty", "no whole number"), ("training.steps", "", "missing"), ("name", "a b", "is no name"),
    ("problem.domain", "x = 1, -1\ny = -1, 1", "x"), ("balancing.weights", "edge = 10", "no loss term"),
    ("problem.residuals.0.points", "0", "at least 1"),
    ("problem.residuals.0.points", "1e99", "'1e99' is not possible; it must be at least 1, at most 1,000,000."),
    ("diagnostics.scalars_every", "1e99", "'1e99' is too large; a whole number is at most 1,000,000,000,000,000."),
    ("optimizer.clip", "-1", "-1 is not possible; it must be at least 0."),
    ("problem.conditions.0.on", "x = 0 and x = 1", "another face is another condition"),
    ("problem.fields", "", "at least 1"),
    ("problem.definitions", "q = sinn(x)", "sinn"),
])
def test_a_wrong_value_gets_its_sentence_under_its_field(form: ExperimentForm, path: str, text: str, says: str) -> None:
    field = form.field(path)
    field.set_raw(text)
    form.check()
    assert form.experiment is None and form.problems
    assert says in field.problem and not field.message.isHidden()
    assert field.raw() == text, "what was typed stays"
    others = [other.path for other in form.fields() if other.problem and other.path != path]
    assert others == []
    field.set_back()
    form.check()
    assert field.problem == "" and form.experiment is not None


def test_several_wrong_fields_are_all_told_at_once(form: ExperimentForm) -> None:
    wrong = {"optimizer.learning_rate": "0,1", "network.hidden": "0", "problem.residuals.0.equation": "u_xx + vv",
             "training.seed": "x"}
    for path, text in wrong.items():
        form.field(path).set_raw(text)
    form.check()
    assert {path for path, _ in form.problems} == set(wrong)
    assert all(form.field(path).problem for path in wrong)


def test_a_wrong_equation_shows_the_place_with_a_caret(form: ExperimentForm) -> None:
    field = form.field("problem.residuals.0.equation")
    field.set_raw("u_xx + u_yy + sinn(x)")
    form.check()
    text, caret = field.pointer.text().split("\n")
    assert text[caret.index("^"):].startswith("sinn")
    assert "sin" in field.problem
    assert not field.pointer.isHidden() and field.editor.extraSelections()  # type: ignore[union-attr]


def test_a_caret_far_out_is_still_below_its_place(form: ExperimentForm) -> None:
    field = form.field("problem.residuals.0.equation")
    field.set_raw("u_xx + " + "0*u + " * 30 + "nonsense + u_yy")
    form.check()
    text, caret = field.pointer.text().split("\n")
    assert text[caret.index("^"):].startswith("nonsense") and len(text) <= 40


def test_rows_come_go_and_come_back(form: ExperimentForm) -> None:
    table = form.table("problem.conditions")
    table.add_button.click()
    assert len(table.cards) == 2 and table.is_changed()
    form.field("problem.conditions.1.equation").set_raw("u_x = 0")
    form.field("problem.conditions.1.on").set_raw("x = -1")
    form.check()
    assert form.experiment is not None
    assert form.experiment.problem.conditions[1].equation == "u_x = 0"
    table.cards[0].remove.click()
    form.check()
    assert form.experiment is not None and len(form.experiment.problem.conditions) == 1
    assert form.field("problem.conditions.0.equation").raw() == "u_x = 0"
    table.return_button.click()
    assert [card.raw()["equation"] for card in table.cards] == ["u = u_exact", "u_x = 0"]
    form.table("problem.residuals").cards[0].remove.click()
    form.check()
    assert form.experiment is None and "at least one is needed" in form.table("problem.residuals").message.text()


def test_what_was_typed_survives_another_experiment(form: ExperimentForm) -> None:
    quick = gallery.load("quick")
    form.field("training.steps").set_raw("many")
    form.field("problem.definitions").set_raw("q = (")
    form.table("problem.conditions").add_button.click()
    form.compare.choice.set_raw(NONE)
    draft = form.draft()
    form.show_experiment(gallery.load("helmholtz-m3"))
    assert form.experiment == gallery.load("helmholtz-m3")
    form.show_experiment(quick, draft)
    assert form.field("training.steps").raw() == "many"
    assert form.field("problem.definitions").raw() == "q = ("
    assert len(form.table("problem.conditions").cards) == 2
    assert form.compare.choice.raw() == NONE
    form.show_experiment(quick)
    assert form.experiment == quick


def test_compare_offers_what_differs_and_edits_the_experiment(form: ExperimentForm) -> None:
    assert form.compare.choice.raw() == "M2: annealing"
    form.compare.choice.set_raw("M3: gated network")
    form.check()
    assert form.experiment is not None
    assert [lane.network.kind for lane in form.experiment.lanes()] == ["mlp", "gated"]
    form.compare.choice.set_raw(NONE)
    form.check()
    assert form.experiment is not None and form.experiment.compare == ()
    form.compare.choice.set_raw("another seed")
    form.check()
    assert form.experiment is not None and form.experiment.lanes()[1].training.seed == 1
    form.compare.changes.set_raw('network.kid = "gated"')
    form.check()
    assert form.experiment is None and "not known" in form.compare.message.text()
    assert not any(name.startswith("M1") for name in presets({"network": {"kind": "mlp"}}))


def test_up_and_down_change_a_number_and_leave_nonsense_alone(qtbot: QtBot) -> None:
    for kind, before, after in (("whole", "128", "129"), ("real", "1e-3", "2e-3"), ("whole", "x", "x")):
        editor = LineEditor(kind)
        qtbot.addWidget(editor)
        editor.set_raw(before)
        qtbot.keyClick(editor, Qt.Key.Key_Up)
        assert editor.raw() == after


def test_the_first_problem_is_shown_even_in_a_closed_section(form: ExperimentForm, qtbot: QtBot) -> None:
    form.show()
    qtbot.waitExposed(form)
    field = form.field("diagnostics.grid")
    assert not field.isVisible()
    field.set_raw("1")
    form.check()
    form.show_first_problem()
    assert field.isVisible()
    qtbot.waitUntil(lambda: not field.visibleRegion().isEmpty())
