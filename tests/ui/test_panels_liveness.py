"""Whether everything moves, and where the time goes: words, order, copying, shares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage
from pytestqt.qtbot import QtBot

from core.frames import LivenessFrame
from studio.messages import RunState
from tests.ui import samples
from tests.ui.samples_learned import floats, liveness_frame, timing_frame
from tests.ui.test_panels import draw, make
from tests.ui.test_panels_slopes import STEPS, tell, told
from ui.panels.liveness import STATES, LivenessPanel
from ui.panels.timing import BARS, CURVES, TABLE, TimingPanel, shares_since, total
from ui.plots.share_bars import percent
from ui.theme import DARK, LIGHT

ILL = {"hidden 2 slope": "not trained", "alpha": "out of range", "hidden 2 W": "still"}


def live(qtbot: QtBot, states: dict[str, str] | None = None, count: int = 1) -> LivenessPanel:
    panel = make(LivenessPanel, qtbot, count)
    tell(panel, 0, [liveness_frame(0, 1000, states)])
    draw(panel)
    return panel


def test_all_is_well_is_one_sentence(qtbot: QtBot) -> None:
    panel = live(qtbot)
    assert "All 14 groups move." in panel.sentence.text() and LIGHT.good in panel.sentence.text()


def test_trouble_stands_on_top_with_a_sign_a_color_and_its_meaning(qtbot: QtBot) -> None:
    panel = live(qtbot, ILL)
    rows = panel.grid.shown()
    assert [row[0] for row in rows[:3]] == ["hidden 2 slope", "alpha", "hidden 2 W"]
    assert [row[1] for row in rows[:4]] == ["\u2715 not trained", "\u25b2 out of range", "\u2013 still", "\u2713 moves"]
    text = panel.finding()
    assert "<b>hidden 2 slope</b> is" in text and "not trained" in text and LIGHT.danger in text
    assert "leave it exactly as it is" in text and text.index("not trained") < text.index("out of range")
    panel.restyle(DARK)
    assert DARK.danger in panel.finding()


def test_many_groups_are_said_in_the_plural(qtbot: QtBot) -> None:
    names = liveness_frame(0).names
    panel = live(qtbot, dict.fromkeys(names[:5], "no gradient"))
    assert " and 2 more have " in panel.finding() and "their gradients are exactly zero" in panel.finding()
    assert "depends on them" in panel.finding()


def test_every_state_of_the_frames_is_known() -> None:
    assert set(STATES) == {"moves", "still", "no gradient", "not trained", "out of range", "not finite"}
    assert all(hasattr(LIGHT, color) and sign and meaning for sign, color, meaning in STATES.values())


def test_a_click_sorts_by_numbers_and_what_has_none_is_last(qtbot: QtBot) -> None:
    panel = live(qtbot)
    frame = liveness_frame(0, 1000)
    for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
        panel.grid.sortByColumn(6, order)
        values = [float(row[6]) for row in panel.grid.values()]
        good = [value for value in values if value == value]
        assert good == sorted(good, reverse=order is Qt.SortOrder.DescendingOrder)
        assert len(good) == 12 and all(np.isnan(values[12:]))
    panel.grid.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    tell(panel, 0, [liveness_frame(0, 1400)])
    draw(panel)
    assert [row[2] for row in panel.grid.values()] == sorted(frame.sizes.tolist(), reverse=True), "the order stays"


def test_copy_takes_the_selected_rows_with_the_names_of_the_columns(qtbot: QtBot) -> None:
    panel = live(qtbot, ILL)
    panel.grid.selectRow(0)
    qtbot.keyClick(panel.grid, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert len(lines) == 2 and lines[0].startswith("group\tstate\tvalues") and lines[1].startswith("hidden 2 slope\t")
    panel.grid.clearSelection()
    panel.grid.copy()
    assert len(QGuiApplication.clipboard().text().splitlines()) == 15


def test_a_lane_is_chosen(qtbot: QtBot) -> None:
    panel = live(qtbot, ILL, count=2)
    tell(panel, 1, [liveness_frame(1, 1000)])
    draw(panel)
    assert panel.lane_box.isVisible() and "not trained" in panel.finding()
    panel.lane_box.setCurrentIndex(1)
    panel.lane_box.activated.emit(1)
    assert "All 14 groups move." in panel.sentence.text()
    panel.begin(samples.lanes(1))
    assert not panel.lane_box.isVisible() and panel.finding() == "" and panel.table()[1] == []


def test_groups_that_come_and_go_and_nan(qtbot: QtBot) -> None:
    panel = live(qtbot)
    frame = liveness_frame(0, 1400)
    few = LivenessFrame(step=1400, names=frame.names[:1], sizes=frame.sizes[:1], size=floats([np.nan]),
                        moved=floats([np.nan]), since_start=floats([np.nan]), gradient=floats([np.inf]),
                        state=("not finite",))
    tell(panel, 0, [few])
    draw(panel)
    assert panel.grid.shown() == [["hidden 1 W", "\u2715 not finite", "100", "NaN", "NaN", "NaN", "inf"]]
    assert panel.table()[1][0][:2] == ["hidden 1 W", "not finite"]
    tell(panel, 0, [replace(few, step=1800, state=("something new",))])
    draw(panel)
    assert panel.grid.shown()[0][1] == "? something new"


def test_a_saved_picture_has_every_row(qtbot: QtBot, tmp_path: Path) -> None:
    panel = live(qtbot)
    panel.resize(300, 140)
    panel.save_png(tmp_path / "a.png")
    image = QImage(str(tmp_path / "a.png"))
    assert image.height() >= 2 * panel.grid.verticalHeader().length() > 2 * panel.figure.height()


# -- time ------------------------------------------------------------------------------------------


def test_shares_are_of_the_time_between_two_frames() -> None:
    first = timing_frame(0, 300, diagnostics={"ntk": 0.1}, parts={"training": 1.0})
    second = timing_frame(0, 600, diagnostics={"ntk": 0.4, "new": 0.2}, parts={"training": 3.0})
    assert shares_since(None, first) == {"ntk": pytest.approx(0.1)}
    assert shares_since(first, second) == {"ntk": pytest.approx(0.15), "new": pytest.approx(0.1)}
    assert shares_since(second, first) == {"ntk": pytest.approx(0.1)}, "the clock began anew"
    assert shares_since(first, first) == {} and total(timing_frame(0, 0, parts={})) == 0


def test_the_price_is_said_in_words(qtbot: QtBot) -> None:
    panel = make(TimingPanel, qtbot, 1, size=(800, 620))
    told(panel, timing_frame)
    assert panel.sentences() == ["Diagnostics take <b>7.1 %</b> of the run's time, of which NTK 3.0 %, gradients 2.0 % "
                                 "(eager)."]
    panel.set_drawing_share(0.073)
    assert panel.pending
    draw(panel)
    assert panel.sentences()[1] == "Drawing takes 7.3 % of a core."
    assert panel.bars.groups[-1][1][0].parts[0].share == 0.073
    panel.set_drawing_share(float("nan"))
    assert len(panel.sentences()) == 1


def test_the_bars_are_whole_and_a_compiled_step_is_one_piece(qtbot: QtBot) -> None:
    panel = make(TimingPanel, qtbot, 2, size=(800, 900))
    told(panel, timing_frame)
    (head, eager), (_, compiled) = panel.bars.groups
    assert head == "M1" and [bar.label for bar in eager] == ["run", "one step", "diagnostics"]
    for bar in (*eager, *compiled):
        assert sum(part.share for part in bar.parts) == pytest.approx(1)
    assert [part.name for part in eager[1].parts] == ["forward", "backward", "optimizer", "balancing"]
    assert [part.name for part in compiled[1].parts] == ["compiled, one piece"]
    bar, box = panel.bars.boxes[0]
    text = panel.bars.text_at(box.center())
    assert "<b>training</b>" in text and "waiting" in text and bar is eager[0]


def test_the_table_lists_ms_for_each_observation(qtbot: QtBot) -> None:
    panel = make(TimingPanel, qtbot, 1, size=(800, 700))
    told(panel, timing_frame)
    frame = timing_frame(0, STEPS[-1])
    kind, each, count, seconds, share = panel.grid.values()[0]
    assert kind == "ntk" and count == frame.observations["ntk"], "the dearest stands first"
    assert each == pytest.approx(1e3 * frame.diagnostics["ntk"] / frame.observations["ntk"])
    assert seconds == frame.diagnostics["ntk"] and share == pytest.approx(0.03)
    columns, rows = panel.table()
    assert len(rows) == 4 + 4 + 6 and columns[-1] == "observations"
    panel.stack.choose(CURVES)
    columns, rows = panel.table()
    assert len(rows) == len(STEPS) - 1 and rows[-1][columns.index("M1 ntk")] == pytest.approx(3.0)


def test_a_frame_without_diagnostics_has_bars_only(qtbot: QtBot) -> None:
    panel = make(TimingPanel, qtbot, 1)
    tell(panel, 0, [timing_frame(0, 400, diagnostics={}, observations={}, step_parts={},
                                 parts={"training": 1.0, "diagnostics": 0.0})], RunState.PAUSED)
    draw(panel)
    assert panel.stack.offered == [BARS] and TABLE not in panel.stack.shown()
    tell(panel, 0, [timing_frame(0, 800, parts={"training": float("nan")})])
    draw(panel)
    assert panel.sentences() == []


@pytest.mark.parametrize("share, text", [(0.0, "0 %"), (0.0004, "< 0.1 %"), (0.041, "4.1 %"), (0.0996, "10 %"),
                                         (0.853, "85 %"), (float("nan"), "NaN")])
def test_shares_in_words(share: float, text: str) -> None:
    assert percent(share) == text
