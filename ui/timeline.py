"""The strip under the panels: the steps of a run, what happened at them, and the handle that goes back to one."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFontMetricsF,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QToolButton, QToolTip, QWidget

from studio.messages import ENDED, RunState, Update
from ui.icons import icon
from ui.panels.panel import Lane, steps_of
from ui.plots.canvas import SMALL
from ui.plots.ticks import step_ticks
from ui.theme import LIGHT, Theme, font, mix
from ui.timeline_marks import Mark, draw_shape, mark_of, tip_of, with_room

HEIGHT = 38
SIDE = 14  # pixels left of the first and right of the last step
AXIS = 17.5  # from the top
SPEEDS = (1, 2, 5)
CLOSE = 17.0  # pixels within which marks are one: room for a shape and a digit beside it
COUNT = 6.5  # pixels from the middle of a shape to the number beside it


class Track(QWidget):
    """The axis with its marks and the handle."""

    moved = Signal(float)  # the handle was put at this step
    stepped = Signal(int)  # one recorded step on or back
    home = Signal()
    live = Signal()
    pointed = Signal(object)  # the step under the mouse; None where it is elsewhere

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.theme = LIGHT
        self.total = 0.0
        self.newest = 0
        self.recorded: tuple[int, int] | None = None  # first and last step that one can go back to
        self.at: int | None = None
        self.cursor_step: float | None = None
        self.marks: list[Mark] = []
        self._clusters: list[tuple[float, list[Mark]]] = []
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(160, HEIGHT)
        self.setAccessibleName("Timeline")
        self.setAccessibleDescription("Left and Right: the recorded step before and after. Home: the first. "
                                      "End or Escape: what is newest.")

    # -- places ------------------------------------------------------------------------------------------------

    def x_of(self, step: float) -> float:
        """Where a step is, in pixels."""
        last = max(self.total, self.newest, 1.0)
        return SIDE + step / last * max(self.width() - 2 * SIDE, 1)

    def step_of(self, x: float) -> float:
        """The step at a place in pixels, within the run."""
        last = max(self.total, self.newest, 1.0)
        return min(max((x - SIDE) / max(self.width() - 2 * SIDE, 1), 0.0), 1.0) * last

    def arrange(self) -> None:
        """Work out which marks stand too close to be told apart."""
        metrics = QFontMetricsF(font(SMALL))

        def room(count: int) -> float:
            return max(CLOSE, COUNT + metrics.horizontalAdvance(str(count)) + COUNT) if count > 1 else CLOSE

        self._clusters = with_room([(self.x_of(mark.step), mark) for mark in self.marks], room)
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        self.arrange()

    # -- painting ----------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setFont(font(SMALL))
            self._paint_axis(painter)
            for x, marks in self._clusters:
                self._paint_marks(painter, x, marks)
            if self.cursor_step is not None:
                x = round(self.x_of(self.cursor_step)) + 0.5
                painter.setPen(QPen(QColor(self.theme.muted), 1))
                painter.drawLine(QPointF(x, 2), QPointF(x, 23))
            self._paint_handle(painter)
        finally:
            painter.end()

    def _paint_axis(self, painter: QPainter) -> None:
        theme, last = self.theme, max(self.total, self.newest)
        left, right = self.x_of(0), self.x_of(max(last, 1.0))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.border))
        painter.drawRoundedRect(QRectF(left, AXIS - 1.5, right - left, 3), 1.5, 1.5)
        if self.recorded is not None:
            a, b = (self.x_of(step) for step in self.recorded)
            painter.setBrush(QColor(mix(theme.accent, theme.window, 0.55)))
            painter.drawRoundedRect(QRectF(a, AXIS - 2.5, max(b - a, 2), 5), 2, 2)
        if not last:
            return
        metrics = QFontMetricsF(painter.font())
        for step, text in step_ticks(0.0, float(last), max(2.0, (right - left) / 90)):
            x, wide = self.x_of(step), metrics.horizontalAdvance(text)
            painter.setPen(QPen(QColor(theme.muted), 1))
            painter.drawLine(QPointF(x, AXIS + 4), QPointF(x, AXIS + 7))
            where = min(max(x - wide / 2, 1.0), self.width() - wide - 1)
            painter.drawText(QPointF(where, HEIGHT - 3.5), text)

    def _paint_marks(self, painter: QPainter, x: float, marks: Sequence[Mark]) -> None:
        gravest = max(marks, key=lambda mark: mark.rank)
        draw_shape(painter, gravest.shape, QPointF(x, 7.0), QColor(getattr(self.theme, gravest.color)),
                   QColor(self.theme.window))
        if len(marks) > 1:
            painter.setPen(QColor(self.theme.text))
            painter.drawText(QPointF(x + COUNT, 11.0), str(len(marks)))

    def _paint_handle(self, painter: QPainter) -> None:
        if self.recorded is None:
            return
        theme, past = self.theme, self.at is not None
        x = self.x_of(self.at if self.at is not None else self.newest)
        painter.setPen(QPen(QColor(theme.text if self.hasFocus() else theme.accent), 2))
        painter.setBrush(QColor(theme.accent if past else theme.window))
        if past:
            painter.drawLine(QPointF(x, 1), QPointF(x, AXIS + 6))
        painter.drawEllipse(QPointF(x, AXIS), 5.5, 5.5)

    # -- the mouse and the keys --------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        if event.button() == Qt.MouseButton.LeftButton:
            self._move_to(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        x = event.position().x()
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._move_to(x)
        step = self.step_of(x)
        self.set_cursor(step)
        self.pointed.emit(step)
        text = self.tip_at(x)
        if text:
            QToolTip.showText(event.globalPosition().toPoint(), text, self)
        else:
            QToolTip.hideText()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Let go at the right end: live again."""
        if event.button() == Qt.MouseButton.LeftButton and event.position().x() > self.x_of(self.newest) + 4:
            self.live.emit()

    def _move_to(self, x: float) -> None:
        if self.recorded is not None:
            self.moved.emit(self.step_of(x))

    def tip_at(self, x: float) -> str:
        """What happened near a place; '' for nothing."""
        near = [marks for where, marks in self._clusters if abs(where - x) <= CLOSE / 2]
        return tip_of([mark for marks in near for mark in marks])

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802
        self.set_cursor(None)
        self.pointed.emit(None)

    def set_cursor(self, step: float | None) -> None:
        """The step under the mouse, here or in a panel."""
        if step != self.cursor_step:
            self.cursor_step = step
            self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        match event.key():
            case Qt.Key.Key_Left:
                self.stepped.emit(-1)
            case Qt.Key.Key_Right:
                self.stepped.emit(1)
            case Qt.Key.Key_Home:
                self.home.emit()
            case Qt.Key.Key_End | Qt.Key.Key_Escape:
                self.live.emit()
            case _:
                super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        self.update()


class Timeline(QWidget):
    """The track between the buttons that play and the words that say where the window is. Drawn by the governor."""

    interval = 0.5
    play = Signal()
    speed = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("timelineStrip")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground, True)
        self.pending = False
        self.theme: Theme = LIGHT
        self.playing = False
        self._labels: dict[int, str] = {}
        self._steps: dict[int, int] = {}
        self._totals: dict[int, int] = {}
        self._ended = False
        self._problem = ""
        self.track = Track(self)
        self.play_button = self._button("Run through the recorded steps.", "Play the recorded steps")
        self.play_button.clicked.connect(self.play)
        self.speed_box = QComboBox(self)
        self.speed_box.setToolTip("How fast the recorded steps are run through.")
        self.speed_box.setAccessibleName("Speed of playing")
        self.speed_box.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        for one in SPEEDS:
            self.speed_box.addItem(f"{one}\u00d7", float(one))
        self.speed_box.activated.connect(lambda place: self.speed.emit(self.speed_box.itemData(place)))
        self.words = QLabel(self)
        self.words.setAccessibleName("Where the window is in the run")
        self.live_button = self._button("Show what is newest (Esc).", "Live")
        self.live_button.setText("Live")
        self.live_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.live_button.setFixedWidth(round(QFontMetricsF(font(bold=True)).horizontalAdvance("Live")) + 42)
        self.live_button.clicked.connect(self.track.live)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 0, 8, 0)
        row.setSpacing(6)
        row.addWidget(self.play_button)
        row.addWidget(self.speed_box)
        row.addWidget(self.track, 1)
        row.addWidget(self.words)
        row.addWidget(self.live_button)
        self._say()

    @property
    def newest(self) -> int:
        """The newest step of the longest lane."""
        return self.track.newest

    def _button(self, tip: str, name: str) -> QToolButton:
        button = QToolButton(self)
        button.setToolTip(tip)
        button.setAccessibleName(name)
        button.setIconSize(QSize(15, 15))
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        return button

    # -- what the window tells ---------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        """Another run: nothing has happened in it."""
        self._labels = {lane.index: lane.label for lane in lanes}
        self._steps, self._ended = {}, False
        self._totals = {lane.index: lane.experiment.total_steps for lane in lanes}
        self.track.total = steps_of(lanes)
        self.track.newest, self.track.marks = 0, []
        self.track.arrange()
        self._say()

    def receive(self, lane: int, update: Update) -> None:
        """Remember how far it is and what has happened. Draws nothing."""
        self._steps[lane] = update.status.step
        self._ended = update.status.state in ENDED
        self._totals[lane] = update.status.total_steps  # another phase may have come, or one ended early
        self.track.total = float(max(self._totals.values()))
        self.track.newest = max(self._steps.values())
        label = self._labels.get(lane, "") if len(self._labels) > 1 else ""
        self.track.marks += [mark for event in update.events if (mark := mark_of(event, label)) is not None]
        self.pending = True

    def draw(self) -> None:
        self.pending = False
        self.track.arrange()
        self._say()

    def show_recorded(self, steps: Sequence[int], problem: str) -> None:
        """The steps that one can go back to, or why there are none."""
        self.track.recorded = (steps[0], steps[-1]) if steps else None
        self._problem = problem
        self.track.update()
        self._say()

    def show_at(self, at: int | None, playing: bool) -> None:
        """Where the window is; None: at what is newest."""
        changed = (at is None) is not (self.track.at is None) or playing is not self.playing
        self.track.at, self.playing = at, playing
        if changed:
            self._dress()
        self.track.update()
        self._say()

    def set_cursor(self, step: float | None) -> None:
        self.track.set_cursor(step)

    def set_state(self, state: RunState) -> None:
        """The state of the window as a whole."""
        self._ended = state in ENDED
        self._say()

    # -- words -------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """Where the window is, in words."""
        at, newest, total = self.track.at, self.track.newest, int(max(self.track.total, self.track.newest))
        if at is not None:
            end = f"the end is at {newest:,}" if self._ended else f"live is at {newest:,}"
            return f"Step {at:,} of {total:,} \u2014 {end}. Esc goes back."
        if self._problem:
            return self._problem
        if not newest:
            return "The recorded steps appear here."
        if self.track.recorded is None:
            return "No step is recorded yet."
        return f"{'The end' if self._ended else 'Live'}: step {newest:,} of {total:,}"

    def _say(self) -> None:
        text, past = self.text(), self.track.at is not None
        # Room for the longest words at all times: the track must not move under the hand that moves the handle.
        total = f"{int(max(self.track.total, self.track.newest)):,}"
        longest = f"Step {total} of {total} \u2014 the end is at {total}. Esc goes back."
        bold = font(bold=True)
        self.words.setFont(bold if past else font())
        room = round(QFontMetricsF(bold).horizontalAdvance(longest)) + 8
        self.words.setFixedWidth(min(room, max(120, self.width() // 3)))
        fitted = QFontMetricsF(self.words.font()).elidedText(text, Qt.TextElideMode.ElideRight, self.words.width() - 2)
        if self.words.text() != fitted:
            self.words.setText(fitted)
            self.words.setToolTip(text)
        has = self.track.recorded is not None
        self.play_button.setEnabled(has)
        self.live_button.setEnabled(past)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        self._say()

    # -- looks -------------------------------------------------------------------------------------------------

    def restyle(self, theme: Theme) -> None:
        self.theme = self.track.theme = theme
        self._dress()
        self.track.update()

    def _dress(self) -> None:
        theme, past = self.theme, self.track.at is not None
        ground = mix(theme.accent, theme.window, 0.16) if past else theme.window
        edge = f"2px solid {theme.accent}" if past else f"1px solid {theme.border}"
        self.setStyleSheet(
            f"#timelineStrip {{ background: {ground}; border: 0; border-top: {edge}; }}"
            f"QLabel {{ color: {theme.text if past else theme.muted}; }}")
        live = QColor(theme.on_accent if past else theme.muted)
        self.live_button.setStyleSheet(
            f"QToolButton {{ background: {theme.accent}; color: {theme.on_accent}; font-weight: 600; }}" if past
            else f"QToolButton {{ color: {theme.muted}; }}")
        self.live_button.setIcon(icon("live", live, live))
        self.play_button.setIcon(icon("pause" if self.playing else "play", QColor(theme.text)))
        self.play_button.setAccessibleName("Pause playing" if self.playing else "Play the recorded steps")
