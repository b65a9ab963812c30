"""Pictures one below the other: the one that was chosen, or as many as there is room for."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from ui.panels.panel import Panel
from ui.plots.curves import CurveView
from ui.plots.sentence import Sentence
from ui.theme import Theme

LEAST = 122  # pixels that a plot with its legend is high at least
AXIS = 58  # pixels left of every plot over steps, so that they begin at the same place
EVERYTHING = "everything"


class Stack(QWidget):
    """Named pictures; plots over steps among them share what is zoomed to, and the lowest has the steps.

    `offer` says which of them have something to show. With no choice made, the first ones are shown that fit.
    """

    pointed = Signal(object)  # the step under the mouse, None for none
    arranged = Signal()  # other pictures may be in sight

    def __init__(self, parent: QWidget, box: QComboBox) -> None:
        super().__init__(parent)
        self.box = box
        box.activated.connect(self._chosen)
        self.parts: dict[str, QWidget] = {}
        self._least: dict[str, int] = {}
        self.offered: list[str] = []
        self.preferred: frozenset[str] = frozenset()  # come first where there is no room for all
        self.sentence = Sentence(self)
        self._sentences: list[str] = []
        self.empty = QLabel(self)
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setContentsMargins(30, 12, 30, 12)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(0)
        self.column.addWidget(self.sentence)
        self.column.addWidget(self.empty, 1)
        self.column.addStretch(0)  # below pictures that have their height
        self.column.setSizeConstraint(QVBoxLayout.SizeConstraint.SetNoConstraint)
        self.setMinimumSize(120, 80)  # whatever is shown now: what does not fit any more is hidden

    def add(self, name: str, part: QWidget, *, least: int = LEAST, stretch: int = 1) -> None:
        """One more picture below the others, that is `least` pixels high at least."""
        self.parts[name], self._least[name] = part, least
        self.column.insertWidget(self.column.count() - 1, part, stretch)
        part.hide()
        if isinstance(part, CurveView):
            part.plot.set_left(AXIS)
            part.plot.zoomed.connect(lambda: self._zoomed(part))
            part.plot.pointed.connect(self.pointed)

    def set_least(self, name: str, least: int) -> None:
        """A picture needs another height."""
        self._least[name] = least

    def views(self) -> list[CurveView]:
        """The plots over steps."""
        return [part for part in self.parts.values() if isinstance(part, CurveView)]

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Not that of all pictures: it would push the panel's head together."""
        return QSize(260, 160)

    def hasHeightForWidth(self) -> bool:  # noqa: N802
        """Nor that of the words in it."""
        return False

    # -- what is in sight --------------------------------------------------------------------------

    def say(self, sentences: Sequence[str]) -> None:
        """Sentences above the pictures, the most important first: as many as there is room for."""
        if list(sentences) != self._sentences:
            self._sentences = list(sentences)
            self._say()

    def _say(self) -> None:
        count = max(1, self.height() // 130)
        self.sentence.set_text(" ".join(self._sentences[:count]))
        self.sentence.setToolTip("<br>".join(self._sentences))

    def offer(self, names: Sequence[str], why: str) -> None:
        """The pictures that have something to show; `why` there is none where there is none."""
        if list(names) != self.offered:
            self.offered = [name for name in self.parts if name in names]
            chosen = self.box.currentText() if self.box.currentIndex() > 0 else ""
            with QSignalBlocker(self.box):
                self.box.clear()
                self.box.addItems([EVERYTHING, *self.offered])
                self.box.setCurrentIndex(max(0, self.box.findText(chosen) if chosen else 0))
            self.box.setVisible(len(self.offered) > 1)
        self.empty.setText(why)
        self.arrange()

    def shown(self) -> list[str]:
        """The picture that was chosen, or as many as there is room for."""
        if self.box.currentIndex() > 0 and self.box.currentText() in self.offered:
            return [self.box.currentText()]
        out: list[str] = []
        room = self.height() - self.sentence.height()
        for name in sorted(self.offered, key=lambda name: name not in self.preferred):
            room -= self._least[name]
            if out and room < 0:
                break
            out.append(name)
        return [name for name in self.offered if name in out]

    def arrange(self) -> None:
        """Show what is to be shown; the lowest plot has the steps."""
        shown = self.shown()
        if self.offered:
            whole = len(shown) == len(self.offered) or self.box.currentIndex() > 0
            with QSignalBlocker(self.box):
                self.box.setItemText(0, EVERYTHING if whole else f"{', '.join(shown)} \u2026")
        over_steps = [name for name in shown if isinstance(self.parts[name], CurveView)]
        for name, part in self.parts.items():
            if part.isHidden() is (name in shown):
                part.setVisible(name in shown)
                if isinstance(part, CurveView):
                    part.draw_all()
            if isinstance(part, CurveView):
                part.plot.show_steps(bool(over_steps) and name == over_steps[-1])
        if self.empty.isHidden() is not bool(self.offered):
            self.empty.setVisible(not self.offered)
        self.arranged.emit()

    def prefer(self, names: Collection[str]) -> None:
        """Pictures to which data come now; one that was chosen and gets none any more gives way to them."""
        if frozenset(names) == self.preferred:
            return
        self.preferred = frozenset(names)
        if names and self.box.currentIndex() > 0 and self.box.currentText() not in names:
            with QSignalBlocker(self.box):
                self.box.setCurrentIndex(0)
        self.arrange()

    def choose(self, name: str) -> None:
        """Show one of the pictures, or everything."""
        self.box.setCurrentIndex(max(0, self.box.findText(name)))
        self._chosen()

    def _chosen(self) -> None:
        self.arrange()
        self.draw()

    def _zoomed(self, source: CurveView) -> None:
        for view in self.views():
            if view is not source:
                view.plot.follow(source.plot)
                view.draw_all()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self._say()
        self.arrange()

    # -- what the panel hands on -------------------------------------------------------------------

    def draw(self) -> bool:
        """Draw the plots over steps that are in sight. True where something is left for later."""
        left = False
        for name in self.shown():
            part = self.parts[name]
            if isinstance(part, CurveView):
                left |= part.draw()
        return left

    def set_now(self, step: float | None) -> None:
        for view in self.views():
            view.set_now(step)

    def set_cursor(self, step: float | None) -> None:
        for view in self.views():
            view.plot.set_cursor(step)

    def set_quality(self, *, fine: bool) -> None:
        for view in self.views():
            view.running = not fine
            view.dress()

    def restyle(self, theme: Theme) -> None:
        for view in self.views():
            view.restyle(theme)
        self.sentence.restyle(theme)
        self.empty.setStyleSheet(f"color: {theme.muted};")


class StackPanel(Panel):
    """A panel whose pictures are a stack: what holds for all of them is passed on."""

    stack: Stack

    def set_now(self, step: float | None) -> None:
        self.stack.set_now(step)

    def set_cursor(self, step: float | None) -> None:
        self.stack.set_cursor(step)

    def set_quality(self, *, fine: bool) -> None:
        self.stack.set_quality(fine=fine)

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self.stack.restyle(theme)
