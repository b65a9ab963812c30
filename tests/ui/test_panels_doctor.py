"""The doctor's panel: findings come and go, are mended with a click and taken back, in one lane or two, live or not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from studio import doctor
from studio.findings import Finding, Remedy, Severity
from studio.messages import Event, RunState, Update
from studio.rules import balance
from tests.ui import samples
from ui.letters import enlarge
from ui.panels import PANELS
from ui.panels.doctor import DoctorPanel
from ui.panels.finding_card import Card
from ui.panels.finding_words import BEFORE
from ui.panels.findings_seen import BY_HAND, MOST_EARLIER
from ui.theme import DARK, LIGHT

STARVED, FAST, ROUNDED = samples.findings()
ANNEAL, NORMS = STARVED.remedies


def make(qtbot: QtBot, count: int = 1, size: tuple[int, int] = (420, 300)) -> DoctorPanel:
    panel = DoctorPanel()
    qtbot.addWidget(panel)
    panel.wanted_panel.connect(lambda _: None)
    panel.begin(samples.lanes(count))
    panel.restyle(LIGHT)
    panel.resize(*size)
    panel.show()
    return panel


def tell(panel: DoctorPanel, step: int, *findings: Finding, lane: int = 0, state: RunState = RunState.RUNNING,
         events: tuple[Event, ...] = (), changes: tuple[str, ...] = ()) -> None:
    """What a run says now, and the picture of it."""
    status = samples.status(state, step, findings=findings, changes=changes)
    panel.receive(lane, Update(status=status, events=events))
    if panel.pending:
        panel.draw()
    QApplication.processEvents()


def change(step: int, remedy: Remedy) -> Event:
    return Event(step=step, kind="change", text="as told",
                 value=json.dumps({"text": remedy.text, "changes": dict(remedy.changes)}))


def undo(step: int, remedy: Remedy) -> Event:
    return Event(step=step, kind="undo", text="undone", value=json.dumps(dict(remedy.changes)))


def journal(finding: Finding) -> Event:
    return Event(step=finding.step, kind="finding", text=finding.title, value=finding.to_json())


def cards(panel: DoctorPanel, *, gone: bool = False) -> list[Card]:
    return [part for part in panel.column.parts if isinstance(part, Card) and part.look is not None
            and part.look.gone is gone]


def card(panel: DoctorPanel, finding: Finding, *, gone: bool = False) -> Card:
    return next(one for one in cards(panel, gone=gone) if one.look and one.look.finding.rule == finding.rule)


def sent(panel: DoctorPanel) -> list[tuple[int, str, Any]]:
    out: list[tuple[int, str, Any]] = []
    panel.command.connect(lambda *call: out.append(call))
    return out


def assert_whole(panel: DoctorPanel) -> None:
    """Nothing overlaps, nothing is wider or lower than its card."""
    below = 0
    for part in panel.column.parts:
        assert part.isVisible() and part.y() >= below and part.geometry().right() < panel.column.width()
        below = part.geometry().bottom()
        if isinstance(part, Card):
            assert part.height() == part.fit(part.width())
            shown = [child for child in part.controls()[1:] if child.isVisible()]
            for child in shown:
                assert part.rect().contains(child.geometry()), child
            for place, first in enumerate(shown):
                assert not any(first.geometry().intersects(other.geometry()) for other in shown[place + 1:])
    assert panel.column.height() >= below


def test_before_a_run_and_without_findings(qtbot: QtBot) -> None:
    panel = make(qtbot)
    panel.draw()
    assert panel.sentence.text() == BEFORE
    tell(panel, 0, state=RunState.PREPARING)
    tell(panel, 0)
    assert panel.sentence.text() == BEFORE
    tell(panel, 12_400)
    assert panel.sentence.text() == "Nothing is wrong so far (looked at 12,400 steps)."
    panel.receive(0, Update(status=samples.status(step=12_400)))
    assert not panel.pending and panel.table()[1] == []
    tell(panel, 12_500, state=RunState.FAILED)
    assert panel.sentence.text() == "The run has failed; the doctor found nothing before (looked at 12,500 steps)."
    panel.begin(samples.lanes(2))
    tell(panel, 10, lane=0, events=(Event(step=4, kind="resumed", text="goes on"),))
    tell(panel, 8, lane=1)
    assert panel.sentence.text() == "Nothing is wrong so far (looked at 6 / 8 steps)."
    tell(panel, 9, lane=1, events=(Event(step=9, kind="doctor", text="the doctor fails on this run: it fell"),))
    assert panel.sentence.text() == "The doctor fails on this run: it fell.", "that is no clean bill of health"


def test_findings_appear_the_gravest_first_with_sign_word_and_evidence(qtbot: QtBot) -> None:
    panel = make(qtbot, size=(420, 700))
    tell(panel, 2000, ROUNDED, FAST, STARVED)
    assert panel.sentence.text() == "3 findings, 1 serious."
    assert [one.look.finding.severity for one in cards(panel) if one.look] == [
        Severity.SERIOUS, Severity.WARNING, Severity.NOTE]
    first = cards(panel)[0]
    text = first.text()
    assert text.startswith("Serious, since step 400\n'boundary' is starved\n")
    assert STARVED.text in text and STARVED.evidence not in text and "M1" not in text
    first.evidence.click()
    for words in (STARVED.evidence, STARVED.threshold, STARVED.source):
        assert words in first.text()
    assert_whole(panel)
    heard: list[str] = []
    panel.wanted_panel.connect(heard.append)
    first.show_button.click()
    assert heard == ["gradients"]
    assert next(kind.title for kind in PANELS if kind.id == "gradients") in first.show_button.toolTip()
    _, rows = panel.table()
    assert [row[1] for row in rows] == ["serious", "warning", "note"] and rows[0][5:7] == [400, ""]


def test_a_show_button_is_there_only_where_somebody_listens(qtbot: QtBot) -> None:
    panel = DoctorPanel()
    qtbot.addWidget(panel)
    panel.begin(samples.lanes(1))
    panel.show()
    tell(panel, 2000, STARVED, samples.finding("plateau", panel="nowhere"))
    assert not any(one.show_button.isVisible() for one in cards(panel))
    panel.wanted_panel.connect(lambda _: None)
    panel.pending = True
    tell(panel, 2001, STARVED, samples.finding("plateau", panel="nowhere"))
    assert [one.show_button.isVisible() for one in cards(panel)] == [True, False]


def test_what_is_gone_is_folded_below_and_bounded(qtbot: QtBot) -> None:
    panel = make(qtbot)
    tell(panel, 1000, FAST, STARVED)
    tell(panel, 1300, FAST)
    assert panel.sentence.text() == "1 finding, none serious." and panel.heading.text() == "Earlier (1)"
    old = cards(panel, gone=True)[0]
    assert "Earlier: Serious, from step 400 to 1,300" in old.text() and STARVED.text not in old.text()
    assert old.look is not None and old.look.faded and not any(b.isVisible() for b in old.remedies)
    old.fold.click()
    assert STARVED.text in old.text() and not old.remedies[0].isEnabled()
    assert "no longer found" in old.remedies[0].toolTip()
    assert_whole(panel)
    tell(panel, 1400)
    assert panel.sentence.text() == "Nothing is wrong now (looked at 1,400 steps)."
    for step in range(2000, 2000 + 10 * MOST_EARLIER, 10):
        tell(panel, step, replace(FAST, step=step))
        tell(panel, step + 5)
    assert len(cards(panel, gone=True)) == MOST_EARLIER and "2 older" in panel.heading.text()
    assert len(panel.column.findChildren(Card)) <= MOST_EARLIER + 2


def test_a_remedy_is_applied_and_taken_back(qtbot: QtBot) -> None:
    panel = make(qtbot, size=(420, 700))
    calls = sent(panel)
    tell(panel, 2000, STARVED, FAST)
    button = card(panel, STARVED).remedies[0]
    assert "balancing.rule: fixed -> annealing-siam" in button.toolTip() and "can be undone" in button.toolTip()
    button.click()
    assert calls == [(0, "change", ANNEAL)] and not button.isEnabled() and button.words.endswith("asked for")
    tell(panel, 3210, STARVED, FAST, events=(change(3210, ANNEAL),), changes=(ANNEAL.text,))
    assert button.words == f"{ANNEAL.text}: applied at step 3,210" and not button.isEnabled()
    row = panel.changes[0]
    assert row.text() == f"Changed: {ANNEAL.text} (step 3,210)" and row.button.words == "Undo"
    other = card(panel, STARVED).remedies[1]
    assert "balancing.rule: annealing-siam -> gradient-norm" in other.toolTip(), "what holds now, not at the start"
    tell(panel, 3300, changes=(ANNEAL.text,))
    assert panel.sentence.text() == "Nothing is wrong now (looked at 90 steps under these settings)."
    old = card(panel, STARVED, gone=True)
    assert old.open and "from step 400 to 3,300" in old.text(), "what was treated is not folded under the hand"
    assert not card(panel, FAST, gone=True).open
    assert_whole(panel)
    row.button.click()
    assert calls[1:] == [(0, "undo", None)] and not row.button.isEnabled()
    tell(panel, 3500, events=(undo(3500, ANNEAL),))
    assert not row.isVisible()
    assert old.remedies[0].words.endswith("applied at step 3,210, undone at step 3,500")
    tell(panel, 3600, replace(STARVED, step=3600))
    again = card(panel, STARVED)
    assert again.remedies[0].isEnabled() and "fixed -> annealing-siam" in again.remedies[0].toolTip()


def test_several_changes_and_those_of_others(qtbot: QtBot) -> None:
    panel = make(qtbot)
    tell(panel, 100, FAST, changes=("something from before",))
    assert panel.changes[0].text() == "Changed: something from before", "no step is made up"
    tell(panel, 300, FAST, events=(change(200, ANNEAL), change(300, NORMS)), changes=(ANNEAL.text, NORMS.text))
    assert panel.changes[0].text() == f"Changed: {ANNEAL.text} (step 200); {NORMS.text} (step 300)"
    assert panel.changes[0].button.words == "Undo the last"
    tell(panel, 400, FAST, events=(Event(step=390, kind="learning_rate", text="set", value="0.01"),),
         changes=(ANNEAL.text, NORMS.text))
    assert "optimizer.learning_rate: 0.01 -> 0.0001\n" in card(panel, FAST).remedies[0].toolTip()


def test_a_refusal_stands_on_the_card_that_asked(qtbot: QtBot) -> None:
    panel = make(qtbot, size=(420, 700))
    tell(panel, 2000, STARVED, FAST)
    card(panel, STARVED).remedies[1].click()
    card(panel, FAST).remedies[0].click()
    refusal = Event(step=2001, kind="change-refused", text="this cannot be changed now: balancing.rule: no")
    tell(panel, 2001, STARVED, FAST, events=(refusal,))
    asked = card(panel, STARVED)
    assert "Not changed: This cannot be changed now: balancing.rule: no." in asked.text()
    assert asked.remedies[1].isEnabled() and "Not changed" not in card(panel, FAST).text()
    assert_whole(panel)
    tell(panel, 2002, STARVED, FAST, events=(change(2002, FAST.remedies[0]),), changes=(FAST.remedies[0].text,))
    assert "applied at step 2,002" in card(panel, FAST).remedies[0].words
    panel.changes[0].button.click()
    tell(panel, 2003, STARVED, FAST, events=(replace(refusal, text="there is no change that could be undone"),))
    assert "There is no change that could be undone." in panel.changes[0].text()
    tell(panel, 2004, STARVED, FAST, events=(refusal,))
    assert card(panel, FAST).remedies[0].words.endswith("applied at step 2,002"), "somebody else's refusal"


def test_two_lanes_have_cards_and_commands_of_their_own(qtbot: QtBot) -> None:
    panel = make(qtbot, 2, size=(420, 900))
    calls = sent(panel)
    tell(panel, 2000, STARVED, lane=0)
    tell(panel, 2000, replace(STARVED, step=300), FAST, lane=1)
    assert panel.sentence.text() == "3 findings, 2 serious."
    assert [one.look.lane for one in cards(panel) if one.look] == ["M2", "M1", "M2"]
    rules = [one.remedies[1].toolTip().split("\n")[0] for one in cards(panel)[:2]]
    assert rules == ["balancing.rule: annealing-siam -> gradient-norm", "balancing.rule: fixed -> gradient-norm"]
    cards(panel)[0].remedies[1].click()
    assert calls == [(1, "change", NORMS)]
    tell(panel, 2001, replace(STARVED, step=300), FAST, lane=1, events=(change(2001, NORMS),), changes=(NORMS.text,))
    words = {one.look.lane: one.remedies[1].words for one in cards(panel)[:2] if one.look}
    assert words["M2"].endswith("applied at step 2,001") and words["M1"] == NORMS.text
    assert panel.changes[1].text().startswith("M2: Changed: ") and 0 not in panel.changes
    panel.changes[1].button.click()
    assert calls[1:] == [(1, "undo", None)]
    assert_whole(panel)


@pytest.mark.parametrize("width", [220, 320, 420, 900])
def test_thirty_findings_are_whole_at_any_width(qtbot: QtBot, width: int) -> None:
    panel = make(qtbot, 2, size=(width, 260))
    many = [replace(STARVED, subject=f"condition {k}", title=f"'condition {k}' is starved") for k in range(15)]
    for lane in (0, 1):
        tell(panel, 2000, *many, lane=lane)
    assert panel.sentence.text() == "30 findings, 30 serious." and len(cards(panel)) == 30
    cards(panel)[3].evidence.click()
    assert_whole(panel)
    assert panel.scroller.verticalScrollBar().maximum() > 0
    panel.resize(width + 90, 400)
    QApplication.processEvents()
    assert_whole(panel)
    enlarge(panel, 1.5)
    QApplication.processEvents()
    assert_whole(panel)


def test_a_button_does_what_it_says_also_where_the_run_has_said_more_since(qtbot: QtBot) -> None:
    panel = make(qtbot)
    calls = sent(panel)
    tell(panel, 2000, STARVED)
    fewer = replace(STARVED, remedies=(NORMS,), severity=Severity.WARNING)
    panel.receive(0, Update(status=samples.status(step=2010, findings=(fewer,))))
    card(panel, STARVED).remedies[0].click()
    assert calls == [(0, "change", ANNEAL)]
    assert [one.isVisible() for one in card(panel, STARVED).remedies] == [True, False], "drawn anew with the click"
    assert cards(panel)[0].accessibleName() == "Warning: 'boundary' is starved"
    assert_whole(panel)


def test_only_what_changed_is_drawn_anew(qtbot: QtBot) -> None:
    panel = make(qtbot, size=(420, 700))
    tell(panel, 2000, STARVED, FAST)
    first, second = cards(panel)
    renewed: list[Card] = []
    for one in (first, second):
        one._renew = lambda one=one: renewed.append(one)  # type: ignore[method-assign]
    tell(panel, 2010, replace(STARVED), replace(FAST, evidence="median jump 0.5 decades"))
    assert renewed == [second] and cards(panel) == [first, second]
    panel.receive(0, Update(status=samples.status(step=2020, findings=panel._seen[0]._found)))
    assert not panel.pending, "with findings the sentence has no step in it"


def test_it_is_read_and_used_with_the_keyboard(qtbot: QtBot) -> None:
    panel = make(qtbot, size=(420, 300))
    tell(panel, 2000, STARVED, FAST)
    panel.activateWindow()
    first, second = cards(panel)
    first.setFocus()
    order = [first]
    for _ in range(8):
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        order.append(QApplication.focusWidget())
    assert order[:6] == [first, *first.remedies, first.evidence, first.show_button, first.copy_button]
    assert order[6] is second, "down the column"
    port = panel.scroller.viewport()
    assert port.rect().intersects(second.rect().translated(second.mapTo(port, second.rect().topLeft())))
    second.setFocus()
    QTest.keyClick(second, Qt.Key.Key_Return)
    assert FAST.evidence in second.text()
    others: list[bool] = []
    QShortcut(QKeySequence("Ctrl+C"), panel).activated.connect(lambda: others.append(True))
    second.evidence.setFocus()
    QTest.keySequence(second.evidence, "Ctrl+C")
    assert not others, "the window's own, for the numbers under the mouse, gives way"
    copied = QGuiApplication.clipboard().text()
    assert copied.startswith("The learning rate is too high (warning, since step 900)\n")
    assert "(optimizer.learning_rate = 0.0001)" in copied and FAST.threshold in copied
    first.copy_button.click()
    assert QGuiApplication.clipboard().text().startswith("'boundary' is starved (serious, ")


def test_severities_differ_by_more_than_color_in_both_themes(qtbot: QtBot) -> None:
    for theme in (LIGHT, DARK):
        panel = make(qtbot, size=(420, 700))
        panel.restyle(theme)
        tell(panel, 2000, *(replace(ROUNDED, severity=one, subject=one) for one in Severity))
        signs = []
        for one in cards(panel):
            image = one.grab().toImage()
            box = [[image.pixelColor(x, y).lightness() for x in range(12, 30)] for y in range(10, 27)]
            paper = image.pixelColor(200, 3).lightness()
            signs.append([[abs(value - paper) > 40 for value in line] for line in box])
        assert len(signs) == 3
        for place in range(3):
            other = signs[(place + 1) % 3]
            differ = sum(a != b for x, y in zip(signs[place], other, strict=True) for a, b in zip(x, y, strict=True))
            assert differ > 20, "a shape of its own"


def test_what_the_panel_says_of_the_doctor_is_so() -> None:
    assert dict(BY_HAND) == doctor.SETTINGS
    assert doctor.APPEARS == doctor.GOES == 3 and (balance.STARVED, balance.MISFIT) == (10, 0.1)
