"""The doctor's panel for a run that is over, and for a window that has gone back to an earlier step."""

from __future__ import annotations

from dataclasses import replace

from pytestqt.qtbot import QtBot

from studio.messages import Event, RunState
from tests.ui import samples
from tests.ui.test_panels_doctor import (
    ANNEAL,
    FAST,
    ROUNDED,
    STARVED,
    assert_whole,
    card,
    cards,
    change,
    journal,
    make,
    sent,
    tell,
)


def test_a_kept_run_has_its_journals_findings_and_its_remedies_go_into_the_form(qtbot: QtBot) -> None:
    panel = make(qtbot, size=(420, 900))
    again = replace(FAST, step=7000)
    tell(panel, 9000, state=RunState.FINISHED, events=(
        journal(STARVED), journal(ROUNDED), Event(step=5, kind="finding", text="of another version", value="{}"),
        change(3210, ANNEAL), journal(replace(FAST, step=4400)), journal(again)))
    assert panel.sentence.text() == "1 finding in the journal, none serious."
    now = cards(panel)[0]
    assert "Warning, found at step 7,000" in now.text()
    assert not now.remedies[0].isEnabled() and "This run is over" in now.remedies[0].toolTip()
    olds = "\n".join(one.text() for one in cards(panel, gone=True))
    assert "from step 4,400, gone before step 7,000" in olds and "from step 950 to 3,210" in olds
    assert "applied at step 3,210" in card(panel, STARVED, gone=True).remedies[0].words
    row = panel.changes[0]
    assert row.text().endswith("(step 3,210)") and not row.button.isEnabled() and "over" in row.button.toolTip()
    taken: list[object] = []
    panel.into_form.connect(taken.append)
    panel.pending = True
    tell(panel, 9000, state=RunState.FINISHED)
    assert now.remedies[0].words.startswith("Into the form: ") and now.remedies[0].isEnabled()
    calls = sent(panel)
    now.remedies[0].click()
    assert taken == [again.remedies[0]] and calls == []
    assert_whole(panel)


def test_a_kept_run_without_findings(qtbot: QtBot) -> None:
    panel = make(qtbot)
    tell(panel, 9000, FAST, state=RunState.STOPPED, events=(journal(STARVED),))
    assert len(cards(panel)) == 2, "what ended before it was first looked at has both a journal and a status"
    panel.begin(samples.lanes(1))
    tell(panel, 9000, state=RunState.STOPPED)
    assert panel.sentence.text() == "The journal of this run has no finding (9,000 steps)."


def test_a_run_that_ends_while_a_remedy_waits(qtbot: QtBot) -> None:
    panel = make(qtbot)
    tell(panel, 2000, STARVED)
    card(panel, STARVED).remedies[0].click()
    tell(panel, 2500, STARVED, state=RunState.STOPPED)
    button = card(panel, STARVED).remedies[0]
    assert button.words == ANNEAL.text and not button.isEnabled() and "since step 400" in cards(panel)[0].text()


def test_what_was_found_after_the_step_that_is_shown_is_dimmed(qtbot: QtBot) -> None:
    panel = make(qtbot)
    tell(panel, 2000, STARVED, FAST)
    tell(panel, 2500, FAST)
    panel.travel({}, 600.0)
    assert panel.pending
    panel.draw()
    late, old = card(panel, FAST), card(panel, STARVED, gone=True)
    assert late.look is not None and late.look.faded and "after the step that is shown" in late.text()
    assert old.look is not None and not old.look.faded, "it was true at that step"
    assert panel.sentence.text() == "1 finding, none serious. At the step that is shown: 1 finding."
    panel.travel(None, None)
    panel.draw()
    assert not late.look.faded and old.look.faded
    assert "shown" not in panel.sentence.text()
