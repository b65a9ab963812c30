"""Losses, error and weights: what is drawn, what is read, what the controls say."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QComboBox, QLabel
from pytestqt.qtbot import QtBot

from core.choices import RULES, Direction, PointWeighting
from core.frames import ScalarsFrame
from studio.messages import RunState, Update
from studio.specs import BalancingSpec
from tests.ui import samples
from tests.ui.test_panels import draw, feed, make
from ui.panels.losses import ErrorPanel, LossesPanel
from ui.panels.panel import loss_terms
from ui.panels.rules import DIRECTIONS, POINTS, balancing_words
from ui.panels.rules import RULES as WORDS
from ui.panels.weights import WeightsPanel
from ui.theme import LIGHT


def frame(step: int, residual: float, boundary: float = 1.0) -> ScalarsFrame:
    losses = {"residual": residual, "boundary": boundary}
    return ScalarsFrame(
        step=step, seconds=0.0, losses=losses, weights=losses, learning_rate=1e-3, relative_l2={}
    )


def give(panel: LossesPanel, *frames: ScalarsFrame, state: RunState = RunState.RUNNING) -> None:
    panel.receive(0, Update(status=samples.status(state), scalars=frames))


def test_curves_are_the_logarithm_of_the_values_and_the_axis_holds_them(qtbot: QtBot) -> None:
    panel = make(LossesPanel, qtbot, 1)
    give(panel, frame(0, 100.0), frame(10, 1.0), frame(20, 0.01))
    draw(panel)
    x, y = panel.curves[0, "residual"].line.getData()
    assert np.array_equal(x, [0, 10, 20]) and y == pytest.approx([2, 0, -2])
    (left, right), (low, high) = panel.plot.getViewBox().viewRange()
    assert left == 0 and right >= 20 and low < -2 and high > 2


def test_zero_and_nan_leave_a_gap_and_nothing_breaks(qtbot: QtBot) -> None:
    panel = make(LossesPanel, qtbot, 1)
    give(panel, frame(0, 1.0), frame(10, 0.0), frame(20, math.nan), frame(30, math.inf), frame(40, 2.0))
    draw(panel)
    _, y = panel.curves[0, "residual"].line.getData()
    assert np.array_equal(np.isfinite(y), [True, False, False, False, True])
    assert "NaN" in panel.read(20)


def test_lanes_are_solid_and_dashed_and_terms_keep_their_color(qtbot: QtBot) -> None:
    panel = make(LossesPanel, qtbot)
    feed(panel)
    pens = {key: curve.line.opts["pen"] for key, curve in panel.curves.items()}
    assert pens[0, "residual"].style() == Qt.PenStyle.SolidLine
    assert pens[1, "residual"].style() == Qt.PenStyle.CustomDashLine
    for lane in (0, 1):
        assert pens[lane, "residual"].color().name() == LIGHT.term(0)
        assert pens[lane, "boundary"].color().name() == LIGHT.term(1)
        assert pens[lane, "boundary"].color().alpha() == 255 and pens[lane, "boundary"].width() == 1
    feed(panel, RunState.PAUSED)
    assert panel.curves[0, "residual"].line.opts["pen"].width() == 2
    assert panel.curves[0, "residual"].line.opts["antialias"]


def test_no_more_than_two_thousand_points_are_drawn_and_all_are_kept(qtbot: QtBot) -> None:
    panel = make(LossesPanel, qtbot, 1, size=(1500, 300))
    give(panel, *(frame(step, 1.0 + (step == 7777) * 1e6) for step in range(20_000)))
    panel.set_smoothed(False)
    x, y = panel.curves[0, "residual"].line.getData()
    assert len(x) <= 2100 and y.max() == pytest.approx(6, abs=1e-3)
    columns, rows = panel.table()
    assert columns == ["step", "M1 residual", "M1 boundary"] and len(rows) == 20_000


def test_a_person_who_zooms_keeps_the_view_until_a_double_click(qtbot: QtBot) -> None:
    panel = make(LossesPanel, qtbot, 1)
    give(panel, *(frame(10 * step, 1.0) for step in range(100)))
    draw(panel)
    box = panel.plot.getViewBox()
    box.setRange(xRange=(200, 400), padding=0)
    box.sigRangeChangedManually.emit([True, True])
    give(panel, frame(5000, 100.0))
    draw(panel)
    assert panel.plot.visible_steps() == pytest.approx((200, 400))
    x, _ = panel.curves[0, "residual"].raw.getData()
    assert x.min() >= 190 and x.max() <= 410
    qtbot.mouseDClick(panel.plot.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(200, 100))
    draw(panel)
    assert panel.plot.visible_steps()[1] >= 5000


def test_hovering_reads_the_nearest_values(qtbot: QtBot) -> None:
    panel = make(LossesPanel, qtbot)
    feed(panel)
    text = panel.read(503)
    assert "step 500" in text and "M1 residual" in text and "M2 boundary" in text
    value = panel.curves[0, "boundary"].series.at(500)[1]
    assert f"{value:.4g}" in text or f"{value:.3e}"[:5] in text
    centre = panel.plot.rect().center()
    panel.plot.point_at(centre)
    assert panel.plot.readout.isVisible() and panel.plot.cursor.isVisible()
    panel.plot.point_at(QPoint(1, 1))
    assert not panel.plot.readout.isVisible()


def test_an_unannounced_term_gets_a_curve(qtbot: QtBot) -> None:
    panel = make(LossesPanel, qtbot, 1)
    extra = ScalarsFrame(
        step=0, seconds=0, losses={"initial": 2.0}, weights={}, learning_rate=0, relative_l2={}
    )
    give(panel, extra)
    draw(panel)
    assert [entry.name for entry in panel.legend.entries] == ["residual", "boundary", "initial"]


def test_one_may_go_back_in_time_before_an_unannounced_term_was_drawn(qtbot: QtBot) -> None:
    panel = make(LossesPanel, qtbot, 1)
    give(panel, frame(0, 1.0), frame(10, 2.0))
    draw(panel)
    give(panel, ScalarsFrame(step=20, seconds=0, losses={"initial": 2.0}, weights={}, learning_rate=0, relative_l2={}))
    panel.set_now(10.0)
    assert [entry.value for entry in panel.legend.entries][0] == "2"
    panel.set_now(None)


def test_back_in_time_the_legend_knows_no_later_value(qtbot: QtBot) -> None:
    panel = make(LossesPanel, qtbot, 1)
    give(panel, frame(10, 1.0), frame(20, 2.0))
    draw(panel)
    said = []
    for step in (9.0, 10.0, 19.0, 20.0, 25.0):
        panel.set_now(step)
        said.append(panel.legend.entries[0].value)
    assert said == ["\u2013", "1", "1", "2", "2"]
    panel.set_now(None)


def test_a_run_that_goes_back_is_cut_back(qtbot: QtBot) -> None:
    panel = make(LossesPanel, qtbot, 1)
    give(panel, frame(0, 1.0), frame(10, 2.0), frame(20, 3.0))
    give(panel, frame(10, 5.0))
    assert panel.curves[0, "residual"].series.values.tolist() == [1.0, 5.0]


def test_the_error_is_drawn_where_it_was_evaluated(qtbot: QtBot) -> None:
    panel = make(ErrorPanel, qtbot)
    feed(panel)
    assert len(panel.curves[0, "u"].series) == 20
    assert [entry.name for entry in panel.legend.entries] == ["M1 u", "M2 u"]


def test_a_lane_has_curves_of_its_own_terms_and_a_term_one_color_everywhere(qtbot: QtBot) -> None:
    lanes = samples.lanes(2)
    lanes[1].experiment.terms = ("residual", "boundary", "data", "recovery")
    losses, weights = make(LossesPanel, qtbot), make(WeightsPanel, qtbot)
    for panel in (losses, weights):
        panel.begin(lanes)
    assert list(losses.curves) == [(0, "residual"), (1, "residual"), (0, "boundary"), (1, "boundary"), (1, "data"),
                                   (1, "recovery")]
    assert loss_terms(lanes) == (("residual", "boundary", "data", "recovery"), frozenset({"residual"}))
    for place, term in enumerate(("residual", "boundary", "data", "recovery")):
        assert losses.color(term) == weights.color(term) == LIGHT.term(place)


def test_the_error_of_several_fields_has_colors_of_its_own(qtbot: QtBot) -> None:
    panel = make(ErrorPanel, qtbot, 1)
    assert panel.color("u") == LIGHT.text
    errors = {"u": 0.1, "v": 0.2, "speed (interior)": 0.3}
    panel.receive(0, Update(status=samples.status(), scalars=(
        ScalarsFrame(step=0, seconds=0, losses={}, weights={}, learning_rate=0, relative_l2=errors),)))
    draw(panel)
    assert [entry.name for entry in panel.legend.entries] == list(errors)
    assert len({panel.color(name) for name in errors}) == 3


def test_where_nothing_is_known_the_error_says_so(qtbot: QtBot) -> None:
    panel = make(ErrorPanel, qtbot, 1)
    assert not panel.view.note.isVisible()
    lane = samples.lanes(1)[0]
    lane.experiment.problem.exact = {}
    panel.begin([lane])
    assert panel.view.note.isVisible() and panel.legend.entries == []
    lane.experiment.problem.reference = "a.npz"
    panel.begin([lane])
    assert not panel.view.note.isVisible()


# -- the controls of the weights -------------------------------------------------------------------


def test_a_weight_set_by_hand_is_a_command(qtbot: QtBot) -> None:
    panel = make(WeightsPanel, qtbot)
    box = panel.controls[0].weights["boundary"]
    assert list(panel.controls[0].weights) == ["boundary"]
    with qtbot.waitSignal(panel.command) as caught:
        box.setValue(25.0)
    assert caught.args == [0, "weight", ("boundary", 25.0)]


def test_numbers_are_typed_as_people_type_them(qtbot: QtBot) -> None:
    panel = make(WeightsPanel, qtbot)
    box = panel.controls[0].weights["boundary"]
    with qtbot.waitSignal(panel.command) as caught:
        box.lineEdit().selectAll()
        qtbot.keyClicks(box.lineEdit(), "2.5e-3")
        qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)
    assert caught.args == [0, "weight", ("boundary", 0.0025)]
    box.lineEdit().selectAll()
    qtbot.keyClicks(box.lineEdit(), "-x")
    assert box.value() == 0.0025


@pytest.mark.parametrize("typed", ["3,5", "-5", "1e99", "e", "1,000"])
def test_what_is_no_weight_leaves_the_last_one_and_is_told(qtbot: QtBot, typed: str,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("ui.panels.weights.QToolTip.showText", lambda place, text, widget: said.append(text))
    panel = make(WeightsPanel, qtbot)
    box = panel.controls[0].weights["boundary"]
    box.setValue(2.0)
    box.lineEdit().selectAll()
    qtbot.keyClicks(box.lineEdit(), typed)
    qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)
    assert box.value() == 2.0 and box.text() == "2"
    assert said and f"'{typed}' is no weight, so 2 stays" in said[0] and "from 0 to 1e9" in said[0]


def test_a_rule_is_a_command_and_locks_the_weights(qtbot: QtBot) -> None:
    panel = make(WeightsPanel, qtbot)
    rule = panel.controls[0].rule
    assert tuple(rule.itemData(i) for i in range(rule.count())) == RULES
    with qtbot.waitSignal(panel.command) as caught:
        rule.setCurrentIndex(3)
        rule.activated.emit(3)
    assert caught.args == [0, "balancing", "annealing-cavity"]
    assert not panel.controls[0].weights["boundary"].isEnabled()


def test_controls_follow_the_run_without_an_echo(qtbot: QtBot) -> None:
    panel = make(WeightsPanel, qtbot)
    said: list[object] = []
    panel.command.connect(lambda *args: said.append(args))
    status = samples.status(rule="annealing-arxiv", weights={"residual": 1.0, "boundary": 42.0})
    panel.receive(0, Update(status=status))
    assert panel.pending
    draw(panel)
    controls = panel.controls[0]
    assert controls.rule.currentData() == "annealing-arxiv" and controls.weights["boundary"].value() == 42.0
    assert not controls.weights["boundary"].isEnabled() and said == []
    panel.receive(0, Update(status=samples.status(RunState.FINISHED)))
    draw(panel)
    assert not controls.rule.isEnabled()


def test_before_the_trainer_is_there_the_controls_show_the_experiment(qtbot: QtBot) -> None:
    panel = make(WeightsPanel, qtbot)
    panel.begin([samples.lanes(2)[1]])
    (controls,) = panel.controls.values()
    assert controls.rule.currentData() == "annealing-siam"
    panel.receive(1, Update(status=samples.status(RunState.PREPARING, step=0)))
    draw(panel)
    assert controls.rule.currentData() == "annealing-siam"


def test_a_long_name_does_not_widen_the_window(qtbot: QtBot) -> None:
    panel = make(WeightsPanel, qtbot)
    wide = panel.minimumSizeHint().width()
    panel.begin([samples.Lane(0, "M" * 300, samples.experiment("M" * 300))])
    assert panel.minimumSizeHint().width() < wide + 200
    (label, *_) = [one for one in panel.findChildren(QLabel) if one.toolTip() == "M" * 300]
    assert label.text().endswith("…")


def test_a_box_in_a_header_has_room_for_its_longest_name_and_can_do_without(qtbot: QtBot) -> None:
    panel = LossesPanel()
    qtbot.addWidget(panel)
    box = panel.chooser("A choice.", letters=5)
    box.addItem("raw")
    short, least = box.sizeHint().width(), box.minimumSizeHint().width()
    box.addItem("slopes, gain, recovery")
    words = box.fontMetrics().horizontalAdvance("slopes, gain, recovery")
    assert short < words < box.sizeHint().width() and box.minimumSizeHint().width() == least < words
    box.addItem("a name " * 30)
    assert box.sizeHint().width() < 2 * words, "but no longer one than the head can bear"


def test_what_a_person_just_set_does_not_jump_back(qtbot: QtBot) -> None:
    panel = make(WeightsPanel, qtbot)
    box = panel.controls[0].weights["boundary"]
    box.setValue(7.0)
    panel.receive(0, Update(status=samples.status(weights={"boundary": 1.0})))
    panel.draw()
    assert box.value() == 7.0 and panel.pending
    panel.controls[0].touched = -1e9
    panel.draw()
    assert box.value() == 1.0


def test_a_new_experiment_replaces_the_controls(qtbot: QtBot) -> None:
    panel = make(WeightsPanel, qtbot)
    for count in (1, 2, 1):
        panel.begin(samples.lanes(count))
        QApplication.processEvents()
    assert list(panel.controls) == [0]


def test_the_words_of_the_rules_are_one_table() -> None:
    assert tuple(WORDS) == RULES
    assert len({words.name for words in WORDS.values()}) == len(RULES) == len({w.said for w in WORDS.values()})
    assert all(words.tip.endswith(".") for words in WORDS.values())
    assert {"sum", *DIRECTIONS} == set(get_args(Direction)) and {"equal", *POINTS} == set(get_args(PointWeighting))
    balancing = BalancingSpec(rule="ntk", direction="pcgrad")
    assert balancing_words(balancing, "fixed") == "fixed weights, PCGrad", "the rule is the one that it has now"


def test_many_terms_share_one_box_and_recovery_is_always_free(qtbot: QtBot) -> None:
    lane = samples.lanes(1)[0]
    lane.experiment.terms = ("residual", "boundary", "data", "interface flux", "recovery")
    panel = make(WeightsPanel, qtbot, 1)
    panel.begin([lane])
    boxes = panel.controls[0].weights
    assert list(boxes) == ["boundary", "data", "interface flux", "recovery"]
    QApplication.processEvents()
    assert [term for term, box in boxes.items() if box.isVisible()] == ["boundary"]
    (terms,) = [box for box in panel.findChildren(QComboBox) if box.accessibleName() == "Loss term"]
    terms.setCurrentText("recovery")
    assert [term for term, box in boxes.items() if box.isVisible()] == ["recovery"]
    panel.receive(0, Update(status=samples.status(rule="relobralo")))
    draw(panel)
    assert panel.controls[0].rule.currentData() == "relobralo"
    assert [term for term, box in boxes.items() if box.isEnabled()] == ["recovery"], "no rule touches it"
