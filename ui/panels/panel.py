"""What every panel has: a lane's data in, a picture out, and the ways to save it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QMessageBox,
    QToolButton,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from studio.messages import RunState, Update
from ui.plots.export import render_png, render_svg
from ui.theme import LIGHT, Theme

if TYPE_CHECKING:
    from studio.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Lane:
    """One of the experiments that the window shows side by side."""

    index: int
    label: str
    experiment: Experiment


def loss_terms(lanes: Sequence[Lane]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The loss terms of the lanes in order of first appearance, residuals first, and which of them are residuals.

    A term's place in this order is its color in every panel.
    """
    residual = [r.term for lane in lanes for r in lane.experiment.problem.residuals]
    every = [term for lane in lanes for term in lane.experiment.terms]
    return tuple(dict.fromkeys([*residual, *every])), frozenset(residual)


def steps_of(lanes: Sequence[Lane]) -> float:
    """The steps of the longest lane."""
    return float(max((lane.experiment.training.steps for lane in lanes), default=0))


def narrow(box: QComboBox, letters: int) -> None:
    """Let a long name in a header's box not widen the window beyond a small screen."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setIconSize(QSize(1, 1))  # there is none; room for one would make the head taller
    box.setMinimumContentsLength(letters)


class Panel(QWidget):
    """One kind of picture of a run.

    `begin` for a new experiment, `receive` for every update (cheap, draws nothing), `draw` when the window can
    afford it. `pending` says that there is something new to draw, `interval` how often drawing makes sense.
    """

    id: ClassVar[str] = ""
    title: ClassVar[str] = ""
    tip: ClassVar[str] = ""  # one sentence
    kinds: ClassVar[frozenset[str]] = frozenset()  # of 'scalars', 'gradients', 'fields', 'status'
    area: ClassVar[str] = (
        "right"  # where the window puts it first: 'left', 'right', 'top', 'bottom', 'center'
    )
    interval: ClassVar[float] = 0.1  # seconds between two drawings, at least

    #: lane (-1: all), 'weight' | 'balancing' | 'learning_rate', value ((term, float) for a weight)
    command = Signal(int, str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground, True)
        self.setObjectName(f"panel-{self.id}")
        self.setAccessibleName(self.title)
        self.setAccessibleDescription(self.tip)
        self.theme: Theme = LIGHT
        self.lanes: tuple[Lane, ...] = ()
        self.pending = False
        self.running = False
        self._states: dict[int, RunState] = {}
        #: What is saved as a picture: everything but the header.
        self.figure = QWidget(self)
        #: Switches of the panel stand here, in the header.
        self.tools = QHBoxLayout()
        self.header = self._header()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.header)
        layout.addWidget(self.figure, 1)

    def chooser(self, tip: str, *, letters: int) -> QComboBox:
        """A hidden box in the header for what the panel shows, as wide as that many letters at least."""
        box = QComboBox(self.header)
        box.setToolTip(tip)
        box.setAccessibleName(tip)
        narrow(box, letters)
        box.hide()
        self.tools.addWidget(box)
        return box

    def wanted(self, lanes: Sequence[Lane]) -> bool:
        """Whether these lanes have what only this panel shows, so that it comes to the front of its tabs."""
        return False

    # -- what the window calls ---------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        """A new experiment: forget everything, build the plots for it. Called again for every new one."""
        self.lanes = tuple(lanes)
        self._states = {}
        self.running = False
        self.pending = True

    def receive(self, lane: int, update: Update) -> None:
        """Remember what is new. Called for every update of every lane; draws nothing."""
        self._states[lane] = update.status.state
        if update.scalars or update.frames:
            self.pending = True

    def draw(self) -> None:
        """Draw what is new on the items that exist."""
        self.pending = False
        running = any(state is RunState.RUNNING for state in self._states.values())
        if running is not self.running:
            self.running = running
            self.set_quality(fine=not running)

    def restyle(self, theme: Theme) -> None:
        """The colors have changed."""
        self.theme = theme

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """What is drawn now: the names of the columns, and the rows."""
        raise NotImplementedError

    def set_quality(self, *, fine: bool) -> None:
        """Fine: smooth, wider lines, for a picture that stands still. Otherwise: what is cheapest to repaint."""

    # -- saving ------------------------------------------------------------------------------------

    def save_png(self, path: Path | str, width: int = 0, height: int = 0) -> None:
        """Save the picture in `width` x `height` pixels (0: twice its size on the screen). Raises OSError."""
        self._before_saving()
        picture = self.picture()
        size = QSize(width or 2 * picture.width(), height or 2 * picture.height())
        render_png(picture, Path(path), size, self.theme.surface)

    def save_svg(self, path: Path | str) -> None:
        """Save the picture as SVG, in its size on the screen. Raises OSError."""
        self._before_saving()
        render_svg(self.picture(), Path(path), self.theme.surface, self.title)

    def save_csv(self, path: Path | str) -> None:
        """Save the numbers of the picture, one header line first. Raises OSError."""
        columns, rows = self.table()
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)

    def picture(self) -> QWidget:
        """What a saved picture shows: all that there is, also what has to be scrolled to on the screen."""
        return self.figure

    def _before_saving(self) -> None:
        """A panel that was never visible has not been drawn yet."""
        if self.pending:
            self.draw()

    def ask_and_save(self, kind: str) -> None:
        """Ask for a file name and save as 'png', 'svg' or 'csv'; a failure is told in a message."""
        name, _ = QFileDialog.getSaveFileName(
            self, f"Save {self.title.lower()}", f"{self.id}.{kind}", f"{kind.upper()} (*.{kind})"
        )
        if not name:
            return
        path = Path(name) if Path(name).suffix else Path(f"{name}.{kind}")
        try:
            {"png": self.save_png, "svg": self.save_svg, "csv": self.save_csv}[kind](path)
        except OSError as error:
            reason = error.strerror or str(error)
            QMessageBox.warning(self, "Not saved", f"{path} could not be written: {reason}.")

    # -- the header --------------------------------------------------------------------------------

    def _header(self) -> QWidget:
        header = QWidget(self)
        header.setObjectName("panelHeader")
        header.setAttribute(Qt.WidgetAttribute.WA_StyledBackground, True)
        header.setMinimumHeight(header.fontMetrics().height() + 14)  # a list that comes and goes moves nothing
        row = QHBoxLayout(header)
        row.setContentsMargins(10, 3, 6, 3)
        row.setSpacing(6)
        title = QLabel(self.title, header)
        title.setObjectName("panelTitle")
        title.setToolTip(self.tip)
        help_mark = QToolButton(header)
        help_mark.setText("?")
        help_mark.setObjectName("panelHelp")
        help_mark.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        help_mark.setToolTip(self.tip)
        help_mark.setAccessibleName(f"About {self.title.lower()}")
        help_mark.setAccessibleDescription(self.tip)
        help_mark.clicked.connect(self._show_tip)
        self._help_mark = help_mark
        save = QToolButton(header)
        save.setText("Save")
        save.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        save.setToolTip("Save this panel as a picture or as numbers.")
        save.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(save)
        for kind, text in (
            ("png", "Picture (PNG)..."),
            ("svg", "Drawing (SVG)..."),
            ("csv", "Numbers (CSV)..."),
        ):
            action = menu.addAction(text)
            action.setData(kind)
        menu.triggered.connect(self._save_chosen)
        save.setMenu(menu)
        row.addWidget(title)
        row.addWidget(help_mark)
        row.addStretch(1)
        row.addLayout(self.tools)
        row.addWidget(save)
        return header

    def _show_tip(self) -> None:
        mark = self._help_mark
        QToolTip.showText(mark.mapToGlobal(mark.rect().bottomLeft()), self.tip, mark)

    def _save_chosen(self, action: object) -> None:
        self.ask_and_save(action.data())  # type: ignore[attr-defined]
