"""The button for what is computed once, when a person asks: whose, that it is being computed, and how to end it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QMenu, QToolButton, QWidget

from studio.messages import ENDED, RunState, Status
from ui.panels.panel import Lane, narrow
from ui.theme import Theme

#: States in which there is a network to look at.
ASKABLE = frozenset({RunState.RUNNING, RunState.PAUSED, RunState.STOPPED, RunState.FINISHED})
WORDS = 150  # pixels that the words of the progress have at most


class DemandBar(QWidget):
    """'Compute', or while it is computed words and 'Stop'; with two lanes a box that says whose.

    asked and stopped carry the index of a lane, asked also the options; they are sent once for each lane that was
    chosen. choices: (words, options) of a list that opens where there is more than one way to compute it.
    """

    asked = Signal(int, object)
    stopped = Signal(int)

    def __init__(self, tip: str, parent: QWidget | None = None,
                 choices: Sequence[tuple[str, Mapping[str, Any]]] = ()) -> None:
        super().__init__(parent)
        self._tip = tip
        self._lanes: tuple[Lane, ...] = ()
        self._states: dict[int, RunState] = {}
        self._kept: set[int] = set()  # lanes that were read from a file: there is no network to ask
        self._busy: dict[int, str] = {}
        self.box = QComboBox(self)
        self.box.setToolTip("The run that is looked at when you press Compute.")
        self.box.setAccessibleName("The run that is looked at")
        narrow(self.box, 4)
        self.box.currentIndexChanged.connect(lambda _: self._show())
        self.button = QToolButton(self)
        self.button.setText("Compute")
        self.button.setObjectName("panelDemand")
        if choices:
            self.button.setText("Compute ...")
            self.button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
            menu = QMenu(self.button)
            for words, options in choices:
                action = menu.addAction(words)
                action.setData(dict(options))
            menu.triggered.connect(lambda action: self._ask(action.data()))
            self.button.setMenu(menu)
        else:
            self.button.clicked.connect(lambda: self._ask({}))
        self.words = QLabel(self)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.stop = QToolButton(self)
        self.stop.setText("Stop")
        self.stop.setToolTip("Give up this computation; the training goes on as if it had not been asked for.")
        self.stop.clicked.connect(self._give_up)
        for one in (self.box, self.button, self.stop):
            one.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for part in (self.box, self.button, self.words, self.stop):
            row.addWidget(part)
        self.box.hide()
        self._show()

    def begin(self, lanes: Sequence[Lane]) -> None:
        """Other runs."""
        self._lanes, self._states, self._busy, self._kept = tuple(lanes), {}, {}, set()
        names = [lane.label or f"run {lane.index + 1}" for lane in lanes]
        with QSignalBlocker(self.box):
            self.box.clear()
            self.box.addItems(["both" if len(names) == 2 else "all", *names] if len(names) > 1 else names)
        self.box.setVisible(len(lanes) > 1)
        self._show()

    def chosen(self) -> list[int]:
        """Indices of the lanes that the button is for."""
        at = self.box.currentIndex()
        lanes = self._lanes if len(self._lanes) < 2 or at <= 0 else (self._lanes[at - 1],)
        return [lane.index for lane in lanes]

    def set_status(self, lane: int, status: Status) -> None:
        """What a lane says of itself."""
        if (self._states.get(lane), self._busy.get(lane, "")) != (status.state, status.busy):
            if lane not in self._states and status.state in ENDED:
                self._kept.add(lane)
            self._states[lane], self._busy[lane] = status.state, status.busy
            self._show()

    def _ask(self, options: Mapping[str, Any]) -> None:
        for lane in self.chosen():
            if self._able(lane):
                self.asked.emit(lane, dict(options))

    def _give_up(self) -> None:
        for lane in self.chosen():
            if self._busy.get(lane):
                self.stopped.emit(lane)

    def _show(self) -> None:
        said = [self._busy[lane] for lane in self.chosen() if self._busy.get(lane)]
        self.button.setVisible(not said)
        self.words.setVisible(bool(said))
        self.stop.setVisible(bool(said))
        if said:
            text = "; ".join(dict.fromkeys(said))
            fitted = QFontMetrics(self.words.font()).elidedText(text, Qt.TextElideMode.ElideRight, WORDS)
            self.words.setText(fitted)
            self.words.setToolTip(text)
        able = any(map(self._able, self.chosen()))
        why = ("This run was read from its file, so there is no network to look at; start it again."
               if self._kept.intersection(self.chosen()) else "It needs a run: press Start first.")
        self.button.setEnabled(able)
        self.button.setToolTip(self._tip if able else f"{self._tip} {why}")

    def _able(self, lane: int) -> bool:
        return lane not in self._kept and self._states.get(lane) in ASKABLE

    def restyle(self, theme: Theme) -> None:
        self.words.setStyleSheet(f"color: {theme.muted};")
