"""Every panel: begins, receives, draws, is restyled, saved and read, in every state a run can be in."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from PySide6.QtCore import QByteArray
from PySide6.QtGui import QColor, QImage
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QMessageBox,
)
from pytestqt.qtbot import QtBot

from core.frames import FRAMES
from studio.messages import HISTORIES, RunState, Update
from tests.ui import samples
from ui import theme as themes
from ui.panels import PANELS, Panel
from ui.panels.equation import EquationPanel
from ui.panels.panel import Lane
from ui.theme import DARK, LIGHT

every_panel = pytest.mark.parametrize("kind", PANELS, ids=lambda kind: kind.id)


def make(kind: type[Panel], qtbot: QtBot, count: int = 2, size: tuple[int, int] = (700, 420)) -> Panel:
    panel = kind()
    qtbot.addWidget(panel)
    panel.begin(samples.lanes(count))
    panel.restyle(LIGHT)
    panel.resize(*size)
    panel.show()
    return panel


def feed(panel: Panel, state: RunState = RunState.RUNNING, step: int = 1990) -> None:
    for lane in panel.lanes:
        panel.receive(lane.index, samples.update(lane.index, state, count=200, step=step))
    draw(panel)


P = TypeVar("P", bound=Panel)


def shown(qtbot: QtBot, panel: P, lanes: Sequence[Lane], size: tuple[int, int]) -> P:
    """The panel with these lanes, on the screen and drawn."""
    qtbot.addWidget(panel)
    panel.begin(lanes)
    panel.restyle(LIGHT)
    panel.resize(*size)
    panel.show()
    draw(panel)
    return panel


def draw(panel: Panel) -> None:
    for _ in range(500):  # the equation's typesetter is loaded in a thread
        panel.draw()
        QApplication.processEvents()
        if not panel.pending:
            return
        time.sleep(0.01)


def picture(panel: Panel) -> np.ndarray:
    image = panel.figure.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    return np.frombuffer(image.constBits(), np.uint32).reshape(image.height(), image.width()) & 0xFFFFFF


def test_the_registry_has_every_panel_once_with_its_words() -> None:
    assert [kind.id for kind in PANELS] == ["gradients", "fields", "doctor", "losses", "error", "weights", "readings",
                                                "equation", "stiffness", "spectrum", "landscape", "ntk",
                                                "slopes", "activations", "conditioning", "liveness", "timing",
                                                "gradient_history", "alignment", "step_check", "optimizer"]
    for kind in PANELS:
        assert kind.title and kind.tip.endswith(".") and kind.interval > 0
        assert kind.kinds <= {frame.kind for frame in FRAMES} | {"status"} and kind.over_time <= HISTORIES


@every_panel
@pytest.mark.parametrize("count", [1, 2])
def test_draws_empty_then_full_then_begins_anew(kind: type[Panel], count: int, qtbot: QtBot) -> None:
    panel = make(kind, qtbot, count)
    draw(panel)
    empty = picture(panel)
    feed(panel)
    full = picture(panel)
    if panel.kinds:
        assert (empty != full).mean() > 0.002
    panel.begin(samples.lanes(3 - count))
    feed(panel)
    panel.begin([])
    draw(panel)
    assert panel.table()[0]


@every_panel
def test_receive_draws_nothing_and_says_that_there_is_something(kind: type[Panel], qtbot: QtBot) -> None:
    panel = make(kind, qtbot)
    draw(panel)
    before = picture(panel)
    panel.receive(0, samples.update(0, count=50))
    assert panel.pending is not isinstance(panel, EquationPanel), "the equations do not change while training"
    assert np.array_equal(picture(panel), before)


@every_panel
def test_a_change_of_theme_recolors_everything(kind: type[Panel], qtbot: QtBot, qapp: QApplication) -> None:
    themes.apply(qapp, LIGHT)
    panel = make(kind, qtbot)
    feed(panel, RunState.PAUSED)
    themes.apply(qapp, DARK)
    panel.restyle(DARK)
    draw(panel)
    dark = picture(panel)
    other = make(kind, qtbot)
    other.restyle(DARK)
    feed(other, RunState.PAUSED)
    assert np.mean(dark == int(QColor(LIGHT.surface).rgb() & 0xFFFFFF)) < 0.02
    assert np.mean(dark != picture(other)) < 0.01
    themes.apply(qapp, LIGHT)


@every_panel
def test_saves_png_svg_and_csv(kind: type[Panel], qtbot: QtBot, tmp_path: Path) -> None:
    panel = make(kind, qtbot)
    for lane in (0, 1):
        panel.receive(lane, samples.update(lane, RunState.FINISHED, count=30))
    panel.save_png(tmp_path / "a.png", 1000, 700)  # not drawn before
    before = panel.figure.size()
    image = QImage(str(tmp_path / "a.png"))
    assert (image.width(), image.height()) == (1000, 700) and panel.figure.size() == before
    pixels = image.convertToFormat(QImage.Format.Format_RGB32)
    assert len({pixels.pixel(x, y) for x in range(0, 1000, 3) for y in range(0, 700, 3)}) > 5
    panel.save_svg(tmp_path / "a.svg")
    data = (tmp_path / "a.svg").read_bytes()
    assert QSvgRenderer(QByteArray(data)).isValid() and panel.title.encode() in data
    assert data.count(b"<text") + data.count(b"<path") > 10
    panel.save_csv(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) > 3 and len({len(row) for row in rows}) == 1


@every_panel
def test_saving_where_one_cannot_write_is_told(
    kind: type[Panel], qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = make(kind, qtbot)
    feed(panel)
    told: list[str] = []
    monkeypatch.setattr(QMessageBox, "warning", lambda *args: told.append(args[2]))
    for ending in ("png", "svg", "csv"):
        target = tmp_path / "missing" / f"a.{ending}"
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, name=str(target): (name, ""))
        panel.ask_and_save(ending)
    assert len(told) == 3 and all("could not be written: No such file or directory." in text for text in told)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "plain"), ""))
    panel.ask_and_save("csv")
    assert (tmp_path / "plain.csv").exists()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    panel.ask_and_save("csv")


@every_panel
@pytest.mark.parametrize("size", [(180, 120), (300, 200), (1600, 1000)])
def test_any_size_can_be_painted(kind: type[Panel], size: tuple[int, int], qtbot: QtBot) -> None:
    panel = make(kind, qtbot, size=size)
    feed(panel)
    feed(panel, RunState.FINISHED)
    panel.resize(size[0] + 60, size[1] + 40)
    QApplication.processEvents()


@every_panel
def test_an_update_with_nothing_new_is_nothing_to_draw(kind: type[Panel], qtbot: QtBot) -> None:
    panel = make(kind, qtbot)
    feed(panel)
    quiet = Update(status=samples.status(rule="fixed"))
    panel.receive(0, quiet)
    draw(panel)
    panel.receive(0, quiet)
    assert not panel.pending


@every_panel
def test_every_control_has_a_name_and_a_tip(kind: type[Panel], qtbot: QtBot) -> None:
    panel = make(kind, qtbot)
    assert panel.accessibleName() == kind.title and panel.accessibleDescription() == kind.tip
    for sort in (QAbstractButton, QComboBox, QDoubleSpinBox):
        for widget in panel.findChildren(sort):
            if not widget.objectName().startswith("qt_"):
                text = widget.text() if isinstance(widget, QAbstractButton) else ""
                assert (text or widget.accessibleName()) and widget.toolTip(), widget


def test_a_picture_of_the_equations_has_all_of_them_and_no_scroll_bar(qtbot: QtBot, tmp_path: Path) -> None:
    panel = make(EquationPanel, qtbot)
    panel.resize(400, 150)
    panel.save_png(tmp_path / "a.png")
    image = QImage(str(tmp_path / "a.png"))
    assert isinstance(panel, EquationPanel)
    assert panel.sheet.minimumHeight() > panel.figure.height(), "there is more than is in sight"
    assert image.height() >= 2 * panel.sheet.minimumHeight()
