"""Phases in the form: a list that is edited, with the settings that matter and every error at its field."""

from __future__ import annotations

from typing import get_args

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from core.choices import OptimizerKind
from studio import gallery
from studio.experiment import Experiment
from studio.phases import MOST, PhaseSpec
from ui.forms.form import ExperimentForm
from ui.forms.phase_words import MEANINGS
from ui.forms.phases import ALONE, FIRST, NOTHING, THEN, PhaseCard
from ui.forms.preview import summary
from ui.forms.schema import flat, sections
from ui.theme import DARK

KINDS = get_args(OptimizerKind)
TWO = [{"optimizer": {"kind": "soap"}, "steps": 40},
       {"optimizer": {"kind": "levenberg-marquardt", "damping": 0.5}, "steps": 7, "points": 500}]


@pytest.fixture
def form(qtbot: QtBot) -> ExperimentForm:
    made = ExperimentForm()
    qtbot.addWidget(made)
    made.resize(350, 900)
    made.show_experiment(gallery.load("quick"))
    made.show()
    return made


def with_phases(form: ExperimentForm) -> Experiment:
    experiment = gallery.load("quick").with_changes({"phases": TWO})
    form.show_experiment(experiment)
    return experiment


def kinds(form: ExperimentForm) -> list[str]:
    assert form.experiment is not None
    return [phase.optimizer.kind for phase in form.experiment.phases]


def card(form: ExperimentForm, number: int) -> PhaseCard:
    found = form.phases.cards[number]
    assert isinstance(found, PhaseCard)
    return found


def seen(form: ExperimentForm, number: int) -> set[str]:
    return {field.row.name for field in card(form, number).fields if not field.isHidden()}


def test_every_setting_of_a_phase_has_an_editor_with_its_tip_and_source() -> None:
    rows = {row.name: row for row in flat(PhaseSpec)}
    for name, info in PhaseSpec.model_fields.items():
        inner = getattr(info.annotation, "model_fields", None)
        for path in [f"{name}.{key}" for key in inner] if inner else [name]:
            assert rows[path].description and rows[path].description.split()[0] in rows[path].tip(path)
    assert "Urban et al. 2025" in rows["precision"].tip("phases.0.precision")
    assert {*FIRST, *THEN, *NOTHING} <= rows.keys()
    assert [row.title for row in sections() if row.title in ("Training", "Phases", "Diagnostics")] == [
        "Training", "Phases", "Diagnostics"]


def test_every_optimizer_is_told_in_words() -> None:
    assert MEANINGS.keys() == set(KINDS)
    assert all(text.endswith(".") and text[0].isupper() for text in MEANINGS.values())


def test_one_click_makes_second_order_follow(form: ExperimentForm, qtbot: QtBot) -> None:
    table = form.phases
    assert table.then_button is not None
    assert table.then_button.text() == "Then second order" and table.alone.text() == ALONE and table.alone.isVisible()
    assert table.first.text().startswith("Phase 1: adam, 10,000 steps, float32")
    qtbot.mouseClick(table.then_button, Qt.MouseButton.LeftButton)
    form.check()
    assert form.experiment is not None and form.experiment.phases == (PhaseSpec(),)
    assert kinds(form) == ["auto"] and card(form, 0).title.text() == "Phase 2"
    assert card(form, 0).settings.words.text() == MEANINGS["auto"]
    assert table.then_button.text() == "Add a phase" and table.alone.isHidden()
    assert table.is_changed() and form.is_changed()


def test_what_is_in_the_experiment_is_shown_and_comes_back_as_it_was(form: ExperimentForm) -> None:
    experiment = with_phases(form)
    assert form.experiment == experiment and not form.is_changed()
    assert form.field("phases.1.optimizer.damping").raw() == "0.5" and form.field("phases.0.steps").raw() == "40"
    form.restyle(DARK)
    assert form.experiment == experiment


def test_phases_are_moved_copied_removed_and_brought_back(form: ExperimentForm, qtbot: QtBot) -> None:
    experiment = with_phases(form)
    assert not card(form, 0).up.isEnabled() and card(form, 0).down.isEnabled()
    assert card(form, 1).up.isEnabled() and not card(form, 1).down.isEnabled()
    qtbot.mouseClick(card(form, 1).up, Qt.MouseButton.LeftButton)
    form.check()
    assert kinds(form) == ["levenberg-marquardt", "soap"]
    assert form.experiment is not None and form.experiment.phases[0] == experiment.phases[1]
    qtbot.mouseClick(card(form, 0).copy, Qt.MouseButton.LeftButton)
    form.check()
    assert kinds(form) == ["levenberg-marquardt"] * 2 + ["soap"]
    assert form.experiment.phases[0] == form.experiment.phases[1]
    qtbot.mouseClick(card(form, 0).remove, Qt.MouseButton.LeftButton)
    form.check()
    assert kinds(form) == ["levenberg-marquardt", "soap"]
    qtbot.mouseClick(form.phases.return_button, Qt.MouseButton.LeftButton)
    form.check()
    assert kinds(form) == ["levenberg-marquardt"] * 2 + ["soap"]
    qtbot.mouseClick(card(form, 2).down, Qt.MouseButton.LeftButton)
    form.check()
    assert kinds(form)[-1] == "soap", "the last one has no place below it"


def test_more_settings_that_were_opened_move_with_their_phase(form: ExperimentForm) -> None:
    with_phases(form)
    card(form, 1).more.setChecked(True)
    form.phases.move_card(card(form, 1), -1)
    assert card(form, 0).more.isChecked() and not card(form, 1).more.isChecked()


@pytest.mark.parametrize(("kind", "has", "has_not"), [
    ("levenberg-marquardt", "optimizer.damping", "optimizer.learning_rate"),
    ("spring", "optimizer.momentum", "optimizer.history"), ("lbfgs", "optimizer.history", "optimizer.damping"),
    ("soap", "optimizer.refresh", "optimizer.damping"), ("muon", "optimizer.momentum", "optimizer.refresh"),
    ("gauss-newton-cg", "optimizer.cg_iterations", "optimizer.momentum"),
    ("adam", "optimizer.learning_rate", "optimizer.damping"), ("auto", "points", "optimizer.damping"),
    ("ssbroyden", "precision", "optimizer.learning_rate"),
])
def test_settings_are_shown_where_they_matter(form: ExperimentForm, kind: str, has: str, has_not: str) -> None:
    form.phases._add_empty()
    form.field("phases.0.optimizer.kind").set_raw(kind)
    form.check()
    assert {"optimizer.kind", "steps", "points", "precision", has} <= seen(form, 0) and has_not not in seen(form, 0)
    assert "sampling.kind" not in seen(form, 0)
    card(form, 0).more.setChecked(True)
    assert {"sampling.kind", "seconds", "weights", "balancing"} <= seen(form, 0)


def test_the_same_holds_for_the_first_optimizer(form: ExperimentForm) -> None:
    assert form.field("optimizer.damping").isHidden() and not form.field("optimizer.learning_rate").isHidden()
    form.field("optimizer.kind").set_raw("levenberg-marquardt")
    form.check()
    assert not form.field("optimizer.damping").isHidden() and form.field("optimizer.learning_rate").isHidden()


def test_a_setting_that_somebody_has_set_is_never_hidden(form: ExperimentForm) -> None:
    form.phases._add_empty()
    form.field("phases.0.optimizer.damping").set_raw("3")
    form.check()
    assert "optimizer.damping" in seen(form, 0)


@pytest.mark.parametrize(("path", "text", "says"), [
    ("phases.0.steps", "ten", "no whole number"), ("phases.0.steps", "0", "at least 1"),
    ("phases.0.optimizer.damping", "-1", "more than 0"), ("phases.0.weights", "edge = 1", "no loss term 'edge'"),
    ("phases.0.points", "x", "no whole number"), ("phases.0.seconds", "-2", "at least 0"),
])
def test_what_is_wrong_is_told_at_its_field(form: ExperimentForm, path: str, text: str, says: str) -> None:
    form.phases._add_empty()
    form.field(path).set_raw(text)
    form.check()
    assert form.experiment is None and [where for where, _ in form.problems] == [path]
    field = form.field(path)
    assert says in field.problem and not field.isHidden()
    section = next(section for row, section in form._sections if row.title == "Phases")
    assert "1 to mend" in section.head.text()
    form.show_first_problem()
    assert not form.message.text()


def test_no_more_phases_are_added_than_a_run_can_have(form: ExperimentForm) -> None:
    form.change({"phases": [{"steps": 5}] * (MOST - 1)})
    button = form.phases.then_button
    assert button is not None and button.isEnabled()
    form.phases.duplicate(card(form, 0))
    assert not button.isEnabled() and f"at most {MOST} phases" in button.toolTip()
    assert not card(form, 3).copy.isEnabled() and f"at most {MOST} phases" in card(form, 3).copy.toolTip()
    form.phases.remove(card(form, 0))
    assert button.isEnabled() and card(form, 3).copy.isEnabled() and not form.phases.return_button.isHidden()


def test_what_is_wrong_of_the_whole_table_is_a_sentence_that_is_gone_to(form: ExperimentForm, qtbot: QtBot) -> None:
    form.change({"phases": [{"steps": 5}] * MOST})
    form.phases._replace([*form.phases.raw(), form.phases.raw()[0]])
    form.check()
    message = form.phases.message
    assert [path for path, _ in form.problems] == ["phases"]
    assert message.text()[0].isupper() and message.text().endswith(".")
    form.verticalScrollBar().setValue(0)
    section = next(section for row, section in form._sections if row.title == "Phases")
    section.open(False)
    form.show_first_problem()
    qtbot.waitUntil(lambda: not message.visibleRegion().isEmpty())
    assert section.opened and form._wanted is None and form.focusWidget() is message


def test_what_is_wrong_of_the_whole_experiment_is_gone_to(form: ExperimentForm, qtbot: QtBot) -> None:
    form.message.say("Something.")
    form.verticalScrollBar().setValue(form.verticalScrollBar().maximum())
    assert form.message.visibleRegion().isEmpty()
    form.show_first_problem()
    qtbot.waitUntil(lambda: not form.message.visibleRegion().isEmpty())


def test_numbers_that_mean_nothing_say_so(form: ExperimentForm) -> None:
    form.phases._add_empty()
    assert form.field("phases.0.points").label.text() == "Points (as before, or more)"
    form.field("phases.0.points").set_raw("500")
    form.check()
    assert form.field("phases.0.points").label.text() == "Points"


def test_a_draft_keeps_phases_right_or_wrong(form: ExperimentForm) -> None:
    experiment = with_phases(form)
    form.field("phases.1.steps").set_raw("many")
    form.phases._add_empty()
    draft = form.draft()
    form.show_experiment(gallery.load("quick"))
    assert form.phases.cards == []
    form.show_experiment(experiment, draft)
    assert form.field("phases.1.steps").raw() == "many" and len(form.phases.cards) == 3


def test_a_remedy_puts_phases_into_the_form(form: ExperimentForm) -> None:
    form.change({"phases": [{"steps": 5}]})
    assert form.experiment is not None and form.experiment.phases[0].steps == 5 and form.phases.is_changed()


def test_the_gallery_tells_the_phases() -> None:
    told = dict(summary(gallery.load("quick").with_changes({"phases": TWO})))
    assert told["Then"].splitlines() == ["soap, at most 40 steps, float64",
                                         "levenberg-marquardt, at most 7 steps, float64"]
