"""The timeline: places and steps, marks that are one where they are close, words, the mouse and the keys."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QMouseEvent, QPainter
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from studio.messages import Event, RunState, Update
from tests.ui import samples
from ui.plots.canvas import SMALL
from ui.theme import DARK, LIGHT, Theme, font
from ui.timeline import CLOSE, COUNT, HEIGHT, Timeline
from ui.timeline_marks import STYLES, Mark, cluster, draw_shape, mark_of, tip_of


@pytest.fixture
def timeline(qtbot: QtBot) -> Timeline:
    made = Timeline()
    qtbot.addWidget(made)
    made.restyle(LIGHT)
    made.begin(samples.lanes(2))
    made.resize(1200, HEIGHT)
    made.show()
    QApplication.processEvents()
    return made


def told(timeline: Timeline, lane: int, step: int, *events: Event, state: RunState = RunState.RUNNING) -> None:
    timeline.receive(lane, Update(status=samples.status(state, step), events=events))
    timeline.draw()


def mark(step: int, rank: int = 0) -> Mark:
    return Mark(step, f"event of {step}", "circle", "muted", rank)


def picture(timeline: Timeline) -> np.ndarray:
    image = timeline.track.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    return np.frombuffer(image.constBits(), np.uint32).reshape(image.height(), image.width()).copy()


# -- marks -----------------------------------------------------------------------------------------------------


def test_every_kind_of_event_has_a_mark_and_no_two_look_the_same() -> None:
    looks = {}
    for kind in STYLES:
        image = QImage(24, 24, QImage.Format.Format_RGB32)
        image.fill(QColor("white"))
        painter = QPainter(image)
        shape, color, _ = STYLES[kind]
        draw_shape(painter, shape, QPointF(12, 12), QColor(getattr(LIGHT, color)), QColor("white"))
        painter.end()
        looks.setdefault(bytes(image.constBits()), []).append(kind)
    same = [sorted(kinds) for kinds in looks.values() if len(kinds) > 1]
    assert same == [["check", "finding"], ["error", "nan", "refused"]], "what means the same looks the same"
    assert all(hasattr(LIGHT, color) for _, color, _ in STYLES.values())


def test_marks_tell_the_lane_and_the_last_line_of_a_long_text() -> None:
    assert mark_of(Event(step=0, kind="start", text="starts"), "M1") is None
    found = mark_of(Event(step=7, kind="error", text="Traceback\n  line\nValueError: no"), "M2")
    assert found is not None and found.text == "M2: ValueError: no" and found.color == "danger"
    other = mark_of(Event(step=1, kind="of tomorrow", text="x" * 500), "")
    assert other is not None and other.text == "x" * 500, "the reason is often at its end"
    assert tip_of([other]).startswith("<table width=") and "x" * 500 in tip_of([other])
    assert tip_of([]) == "" and "&lt;b&gt;" in tip_of([Mark(1, "<b>", "circle", "muted", 0)])
    assert tip_of([mark(i) for i in range(30)]).endswith("and 22 more")


def test_close_marks_are_one_with_a_count() -> None:
    groups = cluster([(100.0, mark(1)), (105.0, mark(2)), (109.0, mark(3)), (110.5, mark(4)), (300.0, mark(5))], 10.0)
    assert [[one.step for one in marks] for _, marks in groups] == [[1, 2, 3], [4], [5]]
    assert groups[0][0] == pytest.approx((100 + 105 + 109) / 3)
    assert cluster([], 10.0) == []


@pytest.mark.parametrize("many", [3, 12, 150])
def test_no_count_is_painted_over_by_the_next_mark(timeline: Timeline, many: int) -> None:
    track, metrics = timeline.track, QFontMetricsF(font(SMALL))
    crowd = [mark(10_000 + step) for step in range(many)]
    pixel = 40_000 / (track.width() - 28)
    track.marks = [*crowd, *(mark(round(10_000 + place * pixel)) for place in range(9, 90, 9))]
    track.arrange()
    assert sum(len(marks) for _, marks in track._clusters) == many + 9
    for (x, marks), (following, _) in pairwise(track._clusters):
        end = x + COUNT + metrics.horizontalAdvance(str(len(marks))) if len(marks) > 1 else x + 5
        assert end < following - 4.6, f"{len(marks)} at {x:.0f} runs into the mark at {following:.0f}"


# -- the track -------------------------------------------------------------------------------------------------


def test_places_and_steps_are_each_others_inverse(timeline: Timeline) -> None:
    track = timeline.track
    for step in (0, 1, 12_345, 40_000):
        assert track.step_of(track.x_of(step)) == pytest.approx(step)
    assert track.step_of(-50) == 0 and track.step_of(99_999) == 40_000
    assert track.x_of(0) < 20 and track.width() - track.x_of(40_000) < 20


def test_what_happened_is_marked_and_told(timeline: Timeline) -> None:
    before = picture(timeline)
    told(timeline, 0, 5000, Event(step=2000, kind="balancing", text="balancing set to fixed"),
         Event(step=2010, kind="nan", text="the loss became NaN"))
    told(timeline, 1, 6000, Event(step=30_000, kind="pause", text="paused"))
    track = timeline.track
    assert track.newest == 6000 and (picture(timeline) != before).any()
    tip = track.tip_at(track.x_of(2000))
    assert "M1: balancing set to fixed" in tip and "became NaN" in tip
    assert track.tip_at(track.x_of(30_000) + CLOSE) == "" and "M2: paused" in track.tip_at(track.x_of(30_000))


def test_the_mouse_moves_the_handle_only_where_something_is_recorded(timeline: Timeline, qtbot: QtBot) -> None:
    track, moves = timeline.track, []
    track.moved.connect(moves.append)
    told(timeline, 0, 20_000)
    place = QPoint(round(track.x_of(10_000)), 17)
    qtbot.mouseClick(track, Qt.MouseButton.LeftButton, pos=place)
    assert moves == []
    timeline.show_recorded([0, 100, 20_000], "")
    qtbot.mousePress(track, Qt.MouseButton.LeftButton, pos=place)
    where = QPointF(track.x_of(5000), 17)
    QApplication.sendEvent(track, QMouseEvent(QEvent.Type.MouseMove, where, where, Qt.MouseButton.NoButton,
                                              Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier))
    assert [round(step, -2) for step in moves] == [10_000, 5000]
    with qtbot.waitSignal(track.live):
        qtbot.mouseRelease(track, Qt.MouseButton.LeftButton, pos=QPoint(round(track.x_of(35_000)), 17))


def test_the_step_under_the_mouse_is_told_and_taken_back(timeline: Timeline) -> None:
    track, steps = timeline.track, []
    track.pointed.connect(steps.append)
    where = QPointF(track.x_of(8000), 5)
    QApplication.sendEvent(track, QMouseEvent(QEvent.Type.MouseMove, where, where, Qt.MouseButton.NoButton,
                                              Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier))
    track.leaveEvent(QEvent(QEvent.Type.Leave))
    assert steps[0] == pytest.approx(8000, abs=1) and steps[-1] is None and track.cursor_step is None


def test_keys(timeline: Timeline, qtbot: QtBot) -> None:
    track, pressed = timeline.track, []
    track.stepped.connect(pressed.append)
    track.home.connect(lambda: pressed.append("home"))
    track.live.connect(lambda: pressed.append("live"))
    for key in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_Escape):
        qtbot.keyClick(track, key)
    assert pressed == [-1, 1, "home", "live", "live"]


# -- words and looks -------------------------------------------------------------------------------------------


def test_words_in_every_state(timeline: Timeline) -> None:
    assert timeline.text() == "The recorded steps appear here." and not timeline.play_button.isEnabled()
    told(timeline, 0, 12_400)
    assert timeline.text() == "No step is recorded yet."
    timeline.show_recorded([0, 3000, 12_000], "")
    assert timeline.text() == "Live: step 12,400 of 40,000" and not timeline.live_button.isEnabled()
    timeline.show_at(3000, False)
    assert timeline.text() == "Step 3,000 of 40,000 \u2014 live is at 12,400. Esc goes back."
    assert timeline.live_button.isEnabled() and timeline.play_button.isEnabled()
    timeline.set_state(RunState.FINISHED)
    assert "the end is at 12,400" in timeline.text()
    timeline.show_at(None, False)
    assert timeline.text() == "The end: step 12,400 of 40,000"
    timeline.show_recorded([], "This run is not recorded.")
    assert timeline.text() == "This run is not recorded."


def test_the_track_does_not_move_under_the_hand(timeline: Timeline) -> None:
    told(timeline, 0, 12_400)
    timeline.show_recorded([0, 12_000], "")
    QApplication.processEvents()
    before = timeline.track.geometry()
    timeline.show_at(3000, False)
    QApplication.processEvents()
    assert timeline.track.geometry() == before


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("width", [500, 900, 1600])
def test_any_width_in_both_themes(timeline: Timeline, theme: Theme, width: int) -> None:
    timeline.restyle(theme)
    timeline.resize(width, HEIGHT)
    told(timeline, 0, 12_400, *(Event(step=200 * i, kind=kind, text=kind) for i, kind in enumerate(STYLES)))
    timeline.show_recorded([0, 3000, 12_000], "")
    timeline.show_at(3000, True)
    timeline.set_cursor(9000.0)
    QApplication.processEvents()
    assert len(np.unique(picture(timeline))) > 10
    assert timeline.words.geometry().right() < timeline.live_button.geometry().left()
    assert timeline.words.fontMetrics().horizontalAdvance(timeline.words.text()) <= timeline.words.width()
