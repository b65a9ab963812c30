"""What every panel has: a lane's data in, a picture out, and the ways to save it."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QMessageBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.frames import Frame
from studio.messages import RunState, Update
from ui.icons import icon
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


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the '?' of a panel says: five sentences at most on what is shown, how it is read and what is healthy."""

    sentences: tuple[str, ...]
    formulas: tuple[str, ...] = ()  # LaTeX
    source: str = ""  # paper and equation


def loss_terms(lanes: Sequence[Lane]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The loss terms of the lanes in order of first appearance, residuals first, and which of them are residuals.

    A term's place in this order is its color in every panel.
    """
    residual = [r.term for lane in lanes for r in lane.experiment.problem.residuals]
    every = [term for lane in lanes for term in lane.experiment.terms]
    return tuple(dict.fromkeys([*residual, *every])), frozenset(residual)


def steps_of(lanes: Sequence[Lane]) -> float:
    """The steps of the longest lane, all its phases included."""
    return float(max((lane.experiment.total_steps for lane in lanes), default=0))


def narrow(box: QComboBox, letters: int) -> None:
    """Let a long name in a header's box not widen the window beyond a small screen."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setIconSize(QSize(1, 1))  # there is none; room for one would make the head taller
    box.setMinimumContentsLength(letters)


class HeadBox(QComboBox):
    """In a header: as wide as its longest name where there is room, and no wider than `letters` where there is none."""

    MOST = 24  # letters of a name that it asks for room for

    def __init__(self, parent: QWidget, letters: int) -> None:
        super().__init__(parent)
        narrow(self, letters)
        model = self.model()
        for changed in (model.dataChanged, model.rowsInserted, model.rowsRemoved, model.modelReset):
            changed.connect(self.updateGeometry)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        hint, metrics = super().sizeHint(), self.fontMetrics()
        longest = max((metrics.horizontalAdvance(self.itemText(i)[:self.MOST]) for i in range(self.count())), default=0)
        more = longest - self.minimumContentsLength() * metrics.horizontalAdvance("X")
        return QSize(hint.width() + max(0, more), hint.height())


F = TypeVar("F", bound=Frame)

MOST_PAST = 400  # frames of one kind that a panel keeps to draw them over time; beyond, every second older one goes


class Panel(QWidget):
    """One kind of picture of a run.

    `begin` for a new experiment, `receive` for every update (cheap, draws nothing), `draw` when the window can
    afford it. `pending` says that there is something new to draw, `interval` how often drawing makes sense.

    What is drawn comes from `frame`: the newest one of a kind, or the one of the step that the window has gone back
    to (`travel`). `past` has all frames of a kind in `over_time`.
    """

    id: ClassVar[str] = ""
    title: ClassVar[str] = ""
    tip: ClassVar[str] = ""  # one sentence
    explanation: ClassVar[Explanation | None] = None
    kinds: ClassVar[frozenset[str]] = frozenset()  # of frames; 'status' for what comes with every update
    over_time: ClassVar[frozenset[str]] = frozenset()  # those of the kinds in studio.messages.HISTORIES that it keeps
    area: ClassVar[str] = (
        "right"  # where the window puts it first: 'left', 'right', 'top', 'bottom', 'center'
    )
    interval: ClassVar[float] = 0.1  # seconds between two drawings, at least

    #: lane (-1: all), then 'weight' with (term, float), 'balancing' with a rule, 'learning_rate' with a number,
    #: 'demand' with (kind, options) for a frame that is computed once, 'view' with (kind, options) for what a
    #: diagnostic looks at from now on, 'change' with a Remedy, 'undo' with None
    command = Signal(int, str, object)
    pointed = Signal(object)  # the step under the mouse, None for none: other panels show it too
    enlarged = Signal()  # its button was pressed: fill the room of all panels with it, or give it back

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
        self._latest: dict[tuple[int, str], Frame] = {}
        self._past: dict[tuple[int, str], list[Frame]] = {}
        self._travel: Mapping[int, Mapping[str, Frame]] | None = None
        self.at: float | None = None  # the step that the window has gone back to
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
        box = HeadBox(self.header, letters)
        box.setToolTip(tip)
        box.setAccessibleName(tip)
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
        self._states, self._latest, self._past = {}, {}, {}
        self._travel, self.at = None, None
        self.running = False
        self.pending = True

    def receive(self, lane: int, update: Update) -> None:
        """Remember what is new. Called for every update of every lane; draws nothing."""
        self._states[lane] = update.status.state
        for kind in self.kinds & update.frames.keys():
            self._latest[lane, kind] = update.frames[kind]
        for frame in update.past:
            if frame.kind in self.over_time:
                self._keep(lane, frame)
        news = self.kinds & update.frames.keys() if self._travel is None else self.over_time & update.frames.keys()
        if (update.scalars and "scalars" in self.kinds) or news:
            self.pending = True  # in the past, only what is drawn over time grows

    def _keep(self, lane: int, frame: Frame) -> None:
        kept = self._past.setdefault((lane, frame.kind), [])
        while kept and kept[-1].step >= frame.step:  # a run that was read anew, or a step back
            kept.pop()
        kept.append(frame)
        if len(kept) > MOST_PAST:
            del kept[1: MOST_PAST // 2: 2]

    # -- what there is to draw ---------------------------------------------------------------------

    def frame(self, lane: int, kind: str) -> Frame | None:
        """The frame to draw: the newest, or that of the step the window has gone back to; None where there is none."""
        if self._travel is not None:
            return self._travel.get(lane, {}).get(kind)
        return self._latest.get((lane, kind))

    def past(self, lane: int, kind: str) -> Sequence[Frame]:
        """All kept frames of a kind in `over_time`, oldest first."""
        return self._past.get((lane, kind), ())

    def kept(self, lane: int, kind: type[F], after: float = -math.inf) -> list[F]:
        """The kept frames of one type in `over_time` beyond a step, oldest first."""
        out: list[F] = []
        for frame in reversed(self.past(lane, kind.kind)):
            if frame.step <= after:
                break
            if isinstance(frame, kind):
                out.append(frame)
        return out[::-1]

    def travel(self, frames: Mapping[int, Mapping[str, Frame]] | None, at: float | None) -> None:
        """Show the frames of a step (by lane and kind) and not the newest; None, None: the newest again."""
        self._travel, self.at = frames, at
        self.pending = True
        self.set_now(at)

    def set_now(self, step: float | None) -> None:
        """Mark the step that the window has gone back to, where steps are drawn along an axis."""

    def set_cursor(self, step: float | None) -> None:
        """Mark the step that the mouse points at in another panel, where steps are drawn along an axis."""

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
        self._zoom_button.setIcon(icon("zoom", QColor(theme.muted)))

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

    def copy_table(self) -> None:
        """The numbers of the picture to the clipboard, as a spreadsheet takes them: columns parted by tabs."""
        self._before_saving()
        columns, rows = self.table()
        lines = ["\t".join(columns), *("\t".join(str(cell) for cell in row) for row in rows)]
        QGuiApplication.clipboard().setText("\n".join(lines) + "\n")

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
        help_mark.clicked.connect(self.explain)
        self._help_mark = help_mark
        save = QToolButton(header)
        save.setText("Save")
        save.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        save.setToolTip("Save this panel as a picture or as numbers, or copy its numbers.")
        save.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(save)
        for kind, text in (
            ("png", "Picture (PNG)..."),
            ("svg", "Drawing (SVG)..."),
            ("csv", "Numbers (CSV)..."),
            ("copy", "Copy numbers"),
        ):
            action = menu.addAction(text)
            action.setData(kind)
        menu.triggered.connect(self._save_chosen)
        save.setMenu(menu)
        zoom = QToolButton(header)
        zoom.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        zoom.setIconSize(QSize(13, 13))
        zoom.setToolTip("Fill the room of all panels with this one; again: give it back (Z).")
        zoom.setAccessibleName(f"Enlarge {self.title.lower()}")
        zoom.clicked.connect(self.enlarged)
        self._zoom_button = zoom
        row.addWidget(title)
        row.addWidget(help_mark)
        row.addStretch(1)
        row.addLayout(self.tools)
        row.addWidget(save)
        row.addWidget(zoom)
        return header

    def explain(self) -> QWidget:
        """Open what the panel says about itself, beside its question mark."""
        from ui.explain import show_explanation  # typesets, as the equation's panel does, which imports this

        return show_explanation(self, self._help_mark)

    def _save_chosen(self, action: object) -> None:
        kind = action.data()  # type: ignore[attr-defined]
        if kind == "copy":
            self.copy_table()
        else:
            self.ask_and_save(kind)
