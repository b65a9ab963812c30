"""What the doctor finds is told once and calmly; what a panel asks of a run reaches it; what is computed is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from studio.findings import Finding, Remedy, Severity
from studio.messages import Event
from tests.ui.fake_studio import Studio, opened_studio
from ui.banner import HINT, Notice
from ui.findings import KEY
from ui.headless import main
from ui.layouts import BY_ID


@pytest.fixture
def studio(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    yield from opened_studio(qtbot, tmp_path, monkeypatch)


def finding(rule: str, severity: Severity = Severity.WARNING, panel: str = "gradients") -> Finding:
    return Finding(rule=rule, severity=severity, step=30, title=f"The {rule} is starved", text="It is ignored",
                   evidence="32 times", threshold="30 times", source="a paper", panel=panel)


def finds(studio: Studio, lane: int, *findings: Finding) -> None:
    """A session finds these, and says so in its journal."""
    session = studio.sessions[lane]
    before = {one.key for one in session.status.findings}
    session.events += [Event(step=30, kind="finding", text=one.title, value=one.to_json()) for one in findings
                       if one.key not in before]
    session.status = replace(session.status, findings=findings)
    studio.tick()


def test_a_finding_is_told_with_its_lane_and_the_panel_is_a_click_away(studio: Studio) -> None:
    studio.run()
    finds(studio, 0, finding("boundary"))
    assert studio.said == "M1: The boundary is starved. It is ignored."
    notice = studio.window.banner.notice
    assert notice is not None and notice.key == KEY
    docks = studio.window.docks
    shown = "doctor" if "doctor" in docks.docks else "gradients"
    docks.hide_panel(shown)
    studio.press(notice.actions[0][0])
    assert docks.is_shown(shown) and not studio.window.banner.has(KEY)


def test_there_is_one_banner_with_the_gravest_and_each_is_told_once(studio: Studio) -> None:
    studio.run()
    first, note = finding("boundary"), finding("noise", Severity.NOTE)
    finds(studio, 0, note)
    assert not studio.window.banner.has(KEY), "a note is no reason to disturb"
    finds(studio, 0, note, first)
    grave = finding("answer", Severity.SERIOUS)
    finds(studio, 0, note, first, grave)
    assert studio.said.startswith("M1: The answer is starved.") and studio.said.endswith("(1 more finding.)")
    studio.window.banner.dismiss()
    studio.sessions[0].events.append(Event(step=60, kind="finding", text="again", value=first.to_json()))
    studio.tick()
    assert not studio.window.banner.has(KEY), "it was told before"
    finds(studio, 0)
    assert not studio.window.banner.has(KEY)


def test_what_is_no_longer_true_is_not_said(studio: Studio, qtbot: QtBot) -> None:
    studio.run()
    finds(studio, 1, finding("boundary"))
    assert "M2: The boundary" in studio.said
    finds(studio, 1)
    assert not studio.window.banner.has(KEY)
    studio.window.banner.say(Notice("look", HINT, "something else"))
    studio.sessions[0].events.append(Event(step=9, kind="finding", text="of another version", value="{}"))
    studio.tick()
    assert studio.said == "something else"


def test_what_panels_ask_reaches_the_lane_that_is_meant(studio: Studio) -> None:
    studio.run()
    panel = studio.window.panels[0]
    first, second = studio.sessions
    panel.command.emit(1, "demand", ("spectrum", {"full": True}))
    panel.command.emit(0, "view", ("fields", {"fixed": {"t": 0.5}}))
    panel.command.emit(-1, "change", Remedy(text="Anneal the weights", changes={"balancing.rule": "annealing-siam"}))
    panel.command.emit(0, "undo", None)
    told = [[call for call in one.calls if not call.startswith(("watch", "start"))] for one in (first, second)]
    assert told == [["view fields {'fixed': {'t': 0.5}}", "change Anneal the weights", "undo"],
                    ["demand spectrum {'full': True}", "change Anneal the weights"]]
    panel.command.emit(0, "demand", ("nonsense", {}))
    assert "nothing called 'nonsense'" in studio.said
    for value in ("spectrum", ("spectrum",), (1, {}), None):
        panel.command.emit(0, "demand", value)
        assert "nothing that a run can be told" in studio.said


def test_the_last_change_can_be_undone_from_the_menu(studio: Studio) -> None:
    assert studio.why_not("run.undo") == "Nothing is running."
    studio.run()
    assert studio.why_not("run.undo") == "Nothing was changed while this run trains."
    studio.sessions[1].status = replace(studio.sessions[1].status, changes=("balancing set to annealing",))
    studio.tick()
    assert studio.why_not("run.undo") == ""
    studio.window.actions_by_id["run.undo"].trigger()
    assert studio.sessions[1].calls[-1] == "undo"


def test_what_is_being_computed_is_said_while_it_is(studio: Studio) -> None:
    studio.run()
    bar, session = studio.window.runbar, studio.sessions[1]
    session.status = replace(session.status, busy="the spectrum")
    studio.tick()
    bar.draw()
    assert bar.message.text() == "Computing M2: the spectrum ..."
    session.status = replace(session.status, busy="")
    studio.tick()
    bar.draw()
    assert bar.message.text() == ""


def test_pictures_of_every_layout_in_both_themes(qtbot: QtBot, tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--all", str(tmp_path / "all"), "--size", "1280x720", "--seconds", "0"]) == 0
    names = {path.stem for path in (tmp_path / "all").glob("*.png")}
    assert names == {f"{key}-{theme}" for key in BY_ID for theme in ("light", "dark")}
    assert len({path.read_bytes() for path in (tmp_path / "all").glob("*.png")}) == len(names)


def test_bad_input_for_pictures_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main([str(tmp_path / "a.png"), "--layout", "nonsense"]) == 2
    assert "there is no layout 'nonsense'" in capsys.readouterr().err
