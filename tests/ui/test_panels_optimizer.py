"""The optimizer's own numbers: plots by kind from the first step of the phase, borders of phases, and words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from core.frames import ScalarsFrame
from studio.messages import Event, RunState, Update
from tests.ui import samples
from tests.ui.test_panels import shown
from ui.panels.losses import LossesPanel
from ui.panels.optimizer import EMPTY, LATER, OptimizerPanel
from ui.panels.panel import Lane
from ui.panels.readings import ReadingsPanel

LM = SimpleNamespace(optimizer=SimpleNamespace(kind="levenberg-marquardt"))


def lane(index: int = 0, **changes: Any) -> Lane:
    return Lane(index, f"M{index + 1}", samples.experiment(f"M{index + 1}", phases=(LM,), **changes))


def make(qtbot: QtBot, *lanes: Lane, size: tuple[int, int] = (600, 800)) -> OptimizerPanel:
    return shown(qtbot, OptimizerPanel(), lanes, size)


def frames(values: Mapping[str, list[float]], first: int = 1000) -> tuple[ScalarsFrame, ...]:
    count = len(next(iter(values.values())))
    return tuple(ScalarsFrame(step=first + place, seconds=0, losses={}, weights={}, learning_rate=0, relative_l2={},
                              readings={name: own[place] for name, own in values.items()}) for place in range(count))


def give(panel: OptimizerPanel, values: Mapping[str, list[float]], *events: Event, at: int = 0) -> None:
    panel.receive(at, Update(status=samples.status(RunState.PAUSED), scalars=frames(values), events=events))
    panel.draw()


def test_damping_and_lengths_are_logarithmic_the_gain_ratio_is_linear(qtbot: QtBot) -> None:
    panel = make(qtbot, lane())
    assert panel.stack.empty.text() == LATER and panel.stack.empty.isVisible()
    give(panel, {"optimizer damping": [1e-2, 1e-4], "optimizer gain ratio": [0.5, 1.5],
                 "optimizer step length": [1.0, 0.1], "optimizer trials": [1.0, 2.0], "optimizer novelty": [7.0, 8.0],
                 "nu": [0.1, 0.2]})
    assert panel.filled() == ["damping", "gain ratio", "length", "effort", "others"] == panel.stack.shown()
    assert [panel.views[name].logarithmic for name in panel.filled()] == [True, False, True, False, False]
    drawn = {name: panel.views[name].names_drawn for name in panel.filled()}
    assert drawn == {"damping": ["damping"], "gain ratio": ["gain ratio"], "length": ["step length"],
                     "effort": ["trials"], "others": ["novelty"]}
    x, y = panel.views["damping"].curves[0, "damping"].line.getData()
    assert x.tolist() == [1000, 1001] and y == pytest.approx([-2, -4])
    x, y = panel.views["gain ratio"].curves[0, "gain ratio"].line.getData()
    assert y == pytest.approx([0.5, 1.5])
    assert [mark.value for mark in panel.views["gain ratio"].marks] == [1.0]


def test_the_steps_begin_with_the_phase_that_has_numbers(qtbot: QtBot) -> None:
    panel = make(qtbot, lane())
    give(panel, {"optimizer damping": [1e-2] * 40})
    left, right = panel.views["damping"].plot.visible_steps()
    assert left == pytest.approx(1000) and 1039 <= right <= 1060, "not a thousandth of a long run"


def test_phases_are_marked_in_every_plot_over_steps(qtbot: QtBot) -> None:
    panel = make(qtbot, lane())
    begun = Event(step=1000, kind="phase", text="phase 2 of 2: levenberg-marquardt")
    first = Event(step=0, kind="phase", text="phase 1 of 2: adam")
    give(panel, {"optimizer damping": [1e-2, 1e-3]}, first, begun)
    for view in panel.views.values():
        assert [line.value() for line in view.plot.borders] == [1000] and view.plot.borders[0].isVisible()
    losses = LossesPanel()
    qtbot.addWidget(losses)
    losses.begin(panel.lanes)
    losses.receive(0, Update(status=samples.status(), events=(first, begun)))
    assert [line.value() for line in losses.plot.borders] == [1000]
    for each in (panel, losses):
        each.begin(panel.lanes)
    assert losses.plot.borders == [] and panel.views["damping"].plot.borders == []


def test_numbers_that_cannot_be_drawn_leave_a_gap(qtbot: QtBot) -> None:
    panel = make(qtbot, lane())
    give(panel, {"optimizer gain ratio": [1.0, math.inf, 0.5], "optimizer damping": [1.0, 0.0, 1e-3]})
    _, y = panel.views["gain ratio"].curves[0, "gain ratio"].line.getData()
    assert math.isnan(y[1]) and y[0] == 1.0
    _, y = panel.views["damping"].curves[0, "damping"].line.getData()
    assert math.isnan(y[1])


def test_lanes_stand_beside_each_other_and_in_the_table(qtbot: QtBot) -> None:
    panel = make(qtbot, lane(), lane(1))
    give(panel, {"optimizer damping": [1e-2, 1e-3]})
    give(panel, {"optimizer damping": [1e-1, 1e-2]}, at=1)
    columns, rows = panel.table()
    assert columns == ["step", "M1 damping", "M2 damping"] and rows == [[1000, 1e-2, 1e-1], [1001, 1e-3, 1e-2]]


def test_first_order_runs_are_told_that_there_is_nothing(qtbot: QtBot) -> None:
    plain = Lane(0, "M1", samples.experiment())
    panel = make(qtbot, plain)
    assert panel.stack.empty.text() == EMPTY and not panel.wanted([plain]) and panel.wanted([lane()])
    assert panel.wanted([lane(optimizer=LM.optimizer)])


def test_the_panel_of_learned_numbers_has_none_of_them(qtbot: QtBot) -> None:
    panel = ReadingsPanel()
    qtbot.addWidget(panel)
    panel.begin([lane()])
    panel.receive(0, Update(status=samples.status(), scalars=frames({"optimizer damping": [1.0], "alpha": [0.5]})))
    assert panel.filled() == ["unknowns"] and panel.views["unknowns"].names_drawn == ["alpha"]


def test_a_small_panel_shows_what_there_is_room_for(qtbot: QtBot) -> None:
    panel = make(qtbot, lane(), size=(300, 220))
    give(panel, {"optimizer damping": [1e-2, 1e-3], "optimizer gain ratio": [1.0, 1.0]})
    assert panel.stack.shown() == ["damping"] and panel.stack.box.isVisible()
    panel.stack.choose("gain ratio")
    assert panel.stack.shown() == ["gain ratio"]


def after_lm(qtbot: QtBot, size: tuple[int, int] = (600, 800)) -> OptimizerPanel:
    """Two steps of levenberg-marquardt, one of adam, two of ssbroyden."""
    panel = make(qtbot, lane(), size=size)
    give(panel, {"optimizer damping": [1e-2, 1e-3], "optimizer gain ratio": [1.0, 1.0]})
    for first, values in ((1002, {"nu": [0.1]}), (1003, {"optimizer step length": [1.0, 0.5]})):
        panel.receive(0, Update(status=samples.status(RunState.PAUSED), scalars=frames(values, first)))
    panel.draw()
    return panel


def test_no_line_goes_through_a_phase_without_such_numbers(qtbot: QtBot) -> None:
    panel = after_lm(qtbot)
    panel.receive(0, Update(status=samples.status(RunState.PAUSED),
                            scalars=frames({"optimizer damping": [1e-4]}, 1005)))
    panel.draw()
    x, y = panel.views["damping"].curves[0, "damping"].line.getData()
    assert x.tolist() == list(range(1000, 1006))
    assert [math.isnan(value) for value in y] == [False, False, True, True, True, False]
    columns, rows = panel.table()
    assert columns == ["step", "damping", "gain ratio", "step length"]
    assert rows == [[1000, 1e-2, 1.0, ""], [1001, 1e-3, 1.0, ""], [1003, "", "", 1.0], [1004, "", "", 0.5],
                    [1005, 1e-4, "", ""]]


def test_the_same_number_of_another_method_is_another_line(qtbot: QtBot) -> None:
    panel = make(qtbot, lane())
    give(panel, {"optimizer step length": [1.0, 0.5, 0.2]},
         Event(step=1001, kind="phase", text="phase 3 of 3: ssbroyden"))
    _, y = panel.views["length"].curves[0, "step length"].line.getData()
    assert [math.isnan(value) for value in y] == [False, False, True, False]
    assert panel.table()[1] == [[1000, 1.0], [1001, 0.5], [1002, 0.2]]


def test_an_old_number_is_not_shown_as_the_present_one(qtbot: QtBot) -> None:
    panel = after_lm(qtbot)
    values = {name: panel.views[name].legend.entries[0].value for name in ("damping", "length")}
    assert values == {"damping": "\u2013", "length": "0.5"}
    assert panel.views["damping"].read(1004) == "" and "0.001" in panel.views["damping"].read(1001)


def test_a_plot_of_the_present_method_is_in_sight(qtbot: QtBot) -> None:
    panel = after_lm(qtbot, (300, 220))
    assert panel.stack.shown() == ["length"], "not the damping, which came first"
    panel = make(qtbot, lane(), size=(300, 220))
    both = {"optimizer damping": [1e-2, 1e-3], "optimizer step length": [1.0, 1.0]}
    give(panel, both)
    panel.stack.choose("length")
    panel.receive(0, Update(status=samples.status(), scalars=frames({"optimizer step length": [1.0]}, 1002)))
    panel.draw()
    assert panel.stack.box.currentText() == "length", "somebody has chosen it, and it goes on"
    panel.stack.choose("damping")
    panel.receive(0, Update(status=samples.status(), scalars=frames(both, 1003)))
    panel.draw()
    panel.receive(0, Update(status=samples.status(), scalars=frames({"optimizer step length": [1.0]}, 1005)))
    panel.draw()
    assert panel.stack.shown() == ["length"], "what was chosen gets no numbers any more"
    panel.stack.choose("damping")
    panel.draw()
    assert panel.stack.shown() == ["damping"], "but one may look back at it"
