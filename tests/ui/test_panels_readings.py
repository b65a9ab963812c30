"""Learned numbers: kinds, true values, sub-domains, lanes, and what is said while there is nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QMainWindow
from pytestqt.qtbot import QtBot

from core.frames import ScalarsFrame
from studio import gallery
from studio.messages import RunState, Update
from tests.ui import samples
from tests.ui.test_panels import shown
from ui.docks import Docks
from ui.panels.panel import Lane
from ui.panels.readings import EMPTY, LATER, ReadingsPanel
from ui.panels.weights import WeightsPanel
from ui.run_control import lanes_of
from ui.theme import LIGHT


def lane(index: int = 0, **changes: Any) -> Lane:
    """A lane whose problem and network have these parts; nothing is learned unless it is said."""
    found = samples.experiment(f"M{index + 1}")
    vars(found.problem).update({"unknowns": {}, "truth": {}} | changes.pop("problem", {}))
    vars(found).update({"network": SimpleNamespace(slopes="none")} | changes)
    return Lane(index, f"M{index + 1}", found)


def make(qtbot: QtBot, *lanes: Lane, size: tuple[int, int] = (700, 700)) -> ReadingsPanel:
    return shown(qtbot, ReadingsPanel(), lanes, size)


def give(panel: ReadingsPanel, *values: Mapping[str, float], at: int = 0, state: RunState = RunState.PAUSED) -> None:
    frames = tuple(ScalarsFrame(step=10 * place, seconds=0, losses={}, weights={}, learning_rate=0, relative_l2={},
                                readings=readings) for place, readings in enumerate(values))
    panel.receive(at, Update(status=samples.status(state), scalars=frames))
    panel.draw()


def test_every_kind_has_a_plot_of_its_own_and_they_share_the_steps(qtbot: QtBot) -> None:
    panel = make(qtbot, lane(problem={"unknowns": {"nu": 1.0}, "averages": {"energy": "u**2"},
                                      "readings": {"lam": "energy"}}))
    give(panel, {"nu": 1.0, "energy": 3.0, "lam": 2.0, "slope hidden 1": 1.0, "S(a)": 0.4, "odd": 7.0},
         {"nu": 0.5, "energy": 2.0, "lam": 2.5, "slope hidden 1": 1.2, "S(a)": 0.3, "odd": 8.0})
    assert panel.filled() == panel.shown() == ["unknowns", "slopes", "recovery", "averages", "others"]
    names = {kind: panel.views[kind].names_drawn for kind in panel.filled()}
    assert names == {"unknowns": ["nu", "lam"], "slopes": ["hidden 1"], "recovery": ["S(a)"], "averages": ["energy"],
                     "others": ["odd"]}
    ranges = {panel.views[kind].plot.visible_steps() for kind in panel.filled()}
    assert len(ranges) == 1
    lefts = {panel.views[kind].plot.getPlotItem().getAxis("left").width() for kind in panel.filled()}
    assert len(lefts) == 1, "the plots begin below each other"
    columns, rows = panel.table()
    assert columns[:3] == ["step", "M1 nu", "M1 lam"] and "M1 slope hidden 1" in columns and len(rows) == 2


def test_a_true_value_is_dashed_in_its_curves_color_and_in_sight(qtbot: QtBot) -> None:
    panel = make(qtbot, lane(problem={"unknowns": {"alpha": 0.0}, "truth": {"alpha": 5.0}}))
    give(panel, {"alpha": 0.0}, {"alpha": 0.1})
    view = panel.views["unknowns"]
    (mark,) = view.marks
    assert mark.value == 5.0 and mark.line.pen.color().name() == LIGHT.term(0) == view.color("alpha")
    assert mark.line.pen.style() == Qt.PenStyle.CustomDashLine
    _, (low, high) = view.plot.getViewBox().viewRange()
    assert low < 0 and high > 5
    assert [(entry.name, entry.value) for entry in view.legend.entries] == [("alpha", "0.1"), ("true alpha", "5")]
    assert "true alpha" in panel.views["unknowns"].read(0)


def test_the_unknowns_of_twelve_sub_domains_are_twelve_lines(qtbot: QtBot) -> None:
    """As in Fig. 6 of Jagtap et al. (2020)."""
    experiment = next(gallery.load(name) for name in gallery.names() if name.startswith("burgers-cpinn"))
    panel = make(qtbot, *lanes_of(experiment)[:1])
    view = panel.views["unknowns"]
    assert [entry.name for entry in view.legend.entries] == [*map(str, range(1, 13)), "true nu"]
    assert view.legend.heading == "nu" and len({view.color(name) for name in view.names_drawn}) == 12
    assert view.marks[0].line.pen.color().name() == LIGHT.text, "the true value of all of them"
    give(panel, {f"nu {k}": float(k) for k in range(1, 13)})
    assert view.legend.entries[11].value == "12" and len(view.names_drawn) == 12


def test_slopes_of_sub_domains_are_means_or_those_of_one(qtbot: QtBot) -> None:
    panel = make(qtbot, lane(network=SimpleNamespace(slopes="layer")))
    first = {"1: slope hidden 1": 1.0, "1: slope hidden 2": 2.0, "2: slope hidden 1": 5.0, "1: S(a)": 0.1,
             "2: S(a)": 0.2}
    give(panel, first, {name: 2 * value for name, value in first.items()})
    view = panel.views["slopes"]
    assert view.names_drawn == ["1", "2"] and view.curves[0, "1"].series.values.tolist() == [1.5, 3.0]
    assert panel.views["recovery"].names_drawn == ["1", "2"]
    panel.part_box.setCurrentIndex(1)
    panel.part_box.activated.emit(1)
    assert view.names_drawn == ["hidden 1", "hidden 2"]
    assert view.curves[0, "hidden 2"].series.values.tolist() == [2.0, 4.0], "from the start of the run"


def test_one_slope_for_all_layers_has_a_name(qtbot: QtBot) -> None:
    panel = make(qtbot, lane(network=SimpleNamespace(slopes="global")))
    give(panel, {"slope": 1.0})
    assert panel.views["slopes"].names_drawn == ["all layers"] and not panel.part_box.isVisible()


def test_two_lanes_are_solid_and_dashed_and_only_have_what_they_learn(qtbot: QtBot) -> None:
    with_slopes = {"network": SimpleNamespace(slopes="layer")}
    panel = make(qtbot, lane(problem={"unknowns": {"nu": 1.0}}),
                 lane(1, problem={"unknowns": {"nu": 1.0}}, **with_slopes))
    give(panel, {"nu": 1.0})
    give(panel, {"nu": 2.0, "slope hidden 1": 1.0}, at=1)
    view = panel.views["unknowns"]
    assert [entry.name for entry in view.legend.entries] == ["M1 nu", "M2 nu"]
    styles = [view.curves[index, "nu"].line.opts["pen"].style() for index in (0, 1)]
    assert styles == [Qt.PenStyle.SolidLine, Qt.PenStyle.CustomDashLine]
    assert list(panel.views["slopes"].curves) == [(1, "hidden 1")]


def test_little_room_shows_the_most_important_and_the_chooser_the_rest(qtbot: QtBot) -> None:
    panel = make(qtbot, lane(problem={"unknowns": {"nu": 1.0}}), size=(360, 190))
    give(panel, {"nu": 1.0, "slope hidden 1": 1.0, "S(a)": 0.4})
    assert panel.shown() == ["unknowns"] and panel.kind_box.currentText() == "unknowns …"
    panel.kind_box.setCurrentIndex(panel.kind_box.findText("recovery"))
    panel.kind_box.activated.emit(2)
    assert panel.shown() == ["recovery"] and panel.views["recovery"].isVisible()
    assert not panel.views["unknowns"].isVisible()
    panel.kind_box.setCurrentIndex(0)
    panel.kind_box.activated.emit(0)
    panel.resize(500, 700)
    panel.draw()
    assert panel.shown() == panel.filled() and panel.kind_box.currentText() == "everything"


def test_what_is_zoomed_in_one_plot_holds_in_all_until_a_double_click(qtbot: QtBot) -> None:
    panel = make(qtbot, lane(problem={"unknowns": {"nu": 1.0}}))
    give(panel, *({"nu": 1.0, "S(a)": 0.4} for _ in range(50)))
    source, other = panel.views["unknowns"].plot, panel.views["recovery"].plot
    source.getViewBox().setRange(xRange=(100, 200), padding=0)
    source.getViewBox().sigRangeChangedManually.emit([True, True])
    assert other.held and other.visible_steps() == pytest.approx((100, 200))
    source.release()
    panel.draw()
    assert not other.held and other.visible_steps()[1] > 400


def test_nothing_to_learn_is_said_and_slopes_are_announced(qtbot: QtBot) -> None:
    panel = make(qtbot, lane())
    assert panel.empty.isVisible() and panel.empty.text() == EMPTY and not panel.wanted(panel.lanes)
    panel.begin([lane(network=SimpleNamespace(slopes="layer"))])
    assert panel.empty.text() == LATER and panel.wanted(panel.lanes)
    give(panel, {"slope hidden 1": 1.0})
    assert not panel.empty.isVisible()


def test_it_comes_to_the_front_of_its_tabs_where_it_matters(qtbot: QtBot) -> None:
    window = QMainWindow()
    qtbot.addWidget(window)
    window.resize(900, 700)
    panels = [WeightsPanel(), ReadingsPanel()]
    docks = Docks(window, QLabel(), panels)
    docks.reset()
    window.show()
    qtbot.waitExposed(window)

    def in_front() -> list[str]:
        qtbot.wait(20)
        return [panel.id for panel in panels if not panel.visibleRegion().isEmpty()]

    assert in_front() == ["weights"]
    docks.bring_forward([lane(problem={"unknowns": {"nu": 1.0}})])
    assert in_front() == ["readings"]
    docks.docks["weights"].raise_()
    docks.bring_forward([lane(problem={"unknowns": {"nu": 2.0}})])
    assert in_front() == ["weights"], "a person has chosen the other one"
    docks.bring_forward([lane()])
    docks.bring_forward([lane(network=SimpleNamespace(slopes="layer"))])
    assert in_front() == ["readings"]
    docks.bring_forward([lane()])
    assert in_front() == ["weights"]
