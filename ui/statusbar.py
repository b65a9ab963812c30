"""The line at the foot of the window: state, step, speed, time left, error. Drawn by the governor like a panel."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QWidget

from studio.alterations import in_effect
from studio.experiment import Experiment
from studio.messages import ENDED, Event, RunState, Status, Update
from studio.progress import share, share_of_phase
from ui.panels.panel import Lane
from ui.theme import LIGHT, Theme

LONG = 1.0  # seconds of one step after which it is said what it is doing
HOLD = 8.0  # seconds that a sentence stays, so that it can be read, unless a newer one comes
ROOMY = 1500  # pixels of the line from which on a phase is told in full

#: Events that say that a change which somebody asked for is made, or cannot be: a next phase that cannot begin pauses.
ANSWERS = frozenset({"change", "undo", "phase", "change-refused", "pause"})

WORDS = {
    RunState.READY: "Ready", RunState.PREPARING: "Preparing", RunState.RUNNING: "Running", RunState.PAUSED: "Paused",
    RunState.STOPPED: "Stopped", RunState.FINISHED: "Finished", RunState.FAILED: "Failed",
}


def duration(seconds: float | None) -> str:
    """'0:42', '12:05' or '3:07:00'."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def rate(value: float) -> str:
    """Steps per second with three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def error_text(value: float) -> str:
    """A relative error with three digits: 0.123, 1.23e-4."""
    if value != value or value == 0 or 1e-2 <= value < 1e4:
        return f"{value:.3g}"
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


class Sentence(QLabel):
    """A sentence in one line. What does not fit ends in an ellipsis; the tip has the whole."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def show_sentence(self, text: str) -> None:
        if text != self.text():
            self.setText(text)
            # rich text, because Qt does not wrap a tip that is plain
            self.setToolTip(f"<p>{html.escape(text)}</p>" if text else "")

    def fitted(self) -> str:
        """What of it is seen."""
        return self.fontMetrics().elidedText(" ".join(self.text().split()), Qt.TextElideMode.ElideRight, self.width())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        try:
            painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self.fitted())
        finally:
            painter.end()


class RunBar(QWidget):
    """What the run is doing. `receive` remembers, `draw` writes."""

    interval = 0.25

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("State of the run")
        self.pending = False
        self._theme = LIGHT
        self._lanes: tuple[Lane, ...] = ()
        self._statuses: dict[int, Status] = {}
        self._state = RunState.READY
        self._asked = ""  # of the run, and not done yet
        self._waits: set[int] = set()  # the lanes whose answer to that is awaited; none where a state is
        self._changes: dict[int, list[Event]] = {}  # by lane, what was changed while it trains
        self._now: dict[int, Experiment] = {}  # by lane, the experiment with these changes
        self._since: dict[int, tuple[int, float]] = {}  # by lane the step that is being made, and since when
        self._said, self._said_at = "", 0.0  # what the sessions say, and since when
        self._told, self._told_at = "", 0.0  # the last sentence of an event or of the window
        self._later = QTimer(self)  # a sentence that has been there long enough gives way, also while nothing comes
        self._later.setSingleShot(True)
        self._later.setInterval(round(1000 * HOLD))
        self._later.timeout.connect(self.draw)
        self.state = self._cell("State of the run.", "Stopping ...")
        self.steps = self._cell("Steps done, of all.", "100,000 of 100,000 steps")
        self.progress = QProgressBar(self)
        self.progress.setTextVisible(False)
        self.progress.setFixedSize(110, 5)
        self.progress.setAccessibleName("Progress of the run")
        self.left = self._cell("Time left at the present speed.", "00:00 left")
        self.engine = self._cell("How the steps are computed: eager starts at once, compiled is faster.", "compiled")
        self.message = Sentence(self)
        self.message.setAccessibleName("Message")
        self._lane_cells: list[QLabel] = []
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(10, 2, 10, 2)
        self._row.setSpacing(10)
        for widget in (self.state, self.steps, self.progress, self.left, _line(self)):
            self._row.addWidget(widget)
        self._before_lanes = self._row.count()
        self._row.addWidget(self.engine)
        self._row.addWidget(self.message, 1)
        self.draw()

    def begin(self, lanes: Sequence[Lane]) -> None:
        """A new experiment: nothing is said of the last run any more."""
        self._lanes = tuple(lanes)
        self._statuses, self._since = {}, {}
        self._said = self._told = self._asked = ""
        self._waits = set()
        self._changes, self._now = {}, {lane.index: lane.experiment for lane in self._lanes}
        self._later.stop()
        for cell in self._lane_cells:
            self._row.removeWidget(cell)
            cell.hide()
            cell.deleteLater()
        self._lane_cells = []
        for lane in self._lanes:
            cell = self._cell(f"{lane.label}: steps per second, and relative L2 error.",
                              f"{lane.label}  0,000 steps/s   L2 0.00e-00")
            self._row.insertWidget(self._before_lanes + lane.index, cell)
            self._lane_cells.append(cell)
        self.draw()

    def receive(self, lane: int, update: Update) -> None:
        before = self._statuses.get(lane)
        moved = before is not None and before.phase != update.status.phase
        if lane in self._waits and (moved or any(event.kind in ANSWERS for event in update.events)):
            self._waits.discard(lane)
            self._asked = self._asked if self._waits else ""
        self._remember_changes(lane, update.events)
        self._statuses[lane] = update.status
        if self._since.get(lane, (-1, 0.0))[0] != update.status.step:
            self._since[lane] = update.status.step, time.monotonic()
        self.pending = True

    def set_state(self, state: RunState) -> None:
        """The state of the window as a whole."""
        if state is not self._state:
            self._state, self._asked, self._waits = state, "", set()
        self.draw()

    def wait_for(self, word: str, lanes: Iterable[int] = ()) -> None:
        """'Pausing ...' is the state from now on, until it is another one: what is being computed may take long.

        lanes: those that are to make a change, such as the next phase; until all of them have, or have refused.
        """
        self._asked, self._waits = word, set(lanes)
        self.draw()

    def _remember_changes(self, lane: int, events: Sequence[Event]) -> None:
        """A change may put another phase into the run, which has a limit of its own."""
        new = [event for event in events if event.kind in ("change", "undo")]
        if new and lane < len(self._lanes):
            changes = self._changes.setdefault(lane, [])
            changes += new
            with suppress(ValueError, KeyError, TypeError):  # of another version
                self._now[lane] = in_effect(self._lanes[lane].experiment, changes)

    def _limit(self, lane: int, status: Status) -> float:
        """The seconds that the present phase of a lane may take; 0 for no limit."""
        phases = self._now[lane].phases if lane in self._now else ()
        return phases[status.phase - 2].seconds if 2 <= status.phase <= len(phases) + 1 else 0.0

    def shown_state(self) -> RunState:
        """The state of the window; of a run that is shown from its file, how that one ended."""
        ended = {status.state for status in self._statuses.values() if status.state in ENDED}
        if self._state is not RunState.READY or not ended:
            return self._state
        return next(state for state in (RunState.FAILED, RunState.STOPPED, RunState.FINISHED) if state in ended)

    def say(self, text: str, *, passing: bool = False) -> None:
        """One sentence at the right end, for `HOLD` seconds unless another comes; a `passing` one waits for that."""
        if passing and self._told and time.monotonic() - self._told_at < HOLD:
            return
        self._told, self._told_at = text, time.monotonic()
        self._later.start()
        self._show_sentence()

    def draw(self) -> None:
        self.pending = False
        statuses = list(self._statuses.values())
        self.state.setText(self._asked or WORDS[self.shown_state()])
        total = max((s.total_steps for s in statuses), default=0)
        step = min((s.step for s in statuses), default=0)
        of_lane = min(((s.phase, s.phase_step, index) for index, s in self._statuses.items() if s.phases > 1),
                      default=(0, 0, -1))[2]
        phase = self._statuses.get(of_lane)
        self.steps.setToolTip("Steps done, of all." if phase is None
                              else f"Step {step:,} of {total:,} of the whole run, all phases included.")
        if phase is not None:
            self.steps.setText(self._phase_text(phase))
            self.progress.setValue(round(1000 * share_of_phase(phase, self._limit(of_lane, phase))))
        elif total:
            self.steps.setText(f"{step:,} of {total:,} steps")
            self.progress.setValue(round(1000 * min(share(s) for s in statuses)))
        else:
            planned = max((lane.experiment.total_steps for lane in self._lanes), default=0)
            self.steps.setText(f"{planned:,} steps" if planned else "")
            self.progress.setValue(0)
        self.progress.setMaximum(1000)
        left = max((s.seconds_left for s in statuses if s.seconds_left is not None), default=None)
        of_phase = max((s.phase_seconds_left for s in statuses if s.phase_seconds_left is not None), default=None)
        shown = "" if left is None and of_phase is None else (
            f"{duration(left)} left" if left is not None else f"{duration(of_phase or 0.0)} left of phase")
        self.left.setText(shown if self._state is RunState.RUNNING else "")
        self.left.setToolTip("Time left at the present speed." if left is not None else
                             "Time left of this phase at the present speed; that of the phases to come is not known.")
        for lane, cell in zip(self._lanes, self._lane_cells, strict=True):
            cell.setText(self._lane_text(lane, self._statuses.get(lane.index)))
        engines = sorted({s.engine for s in statuses if s.step})
        self.engine.setText(" / ".join(engines))
        self._show_sentence()

    def _show_sentence(self) -> None:
        """The newest of what the sessions say and what was told; what a long step does waits for both."""
        now = time.monotonic()
        fresh = bool(self._told) and now - self._told_at < HOLD
        said = next((s.message for s in self._statuses.values() if s.message), "") or self._busy()
        if said != self._said:
            self._said, self._said_at = said, now
            self._told = self._told if fresh else ""
        newer = fresh and self._told_at >= self._said_at
        doing = "" if newer or said else self._doing()
        if doing and not fresh:
            self._told = ""
        self.message.show_sentence(self._told if newer else said or (self._told if fresh else doing or self._told))

    def _busy(self) -> str:
        """What the lanes are computing because somebody asked for it; '' for nothing."""
        several = len(self._lanes) > 1
        parts = [f"{lane.label}: {busy}" if several else busy for lane in self._lanes
                 if lane.index in self._statuses and (busy := self._statuses[lane.index].busy)]
        return f"Computing {', '.join(parts)} ..." if parts else ""

    def _phase_text(self, status: Status) -> str:
        """'phase 2 of 3: levenberg-marquardt, step 12 of 300'; shorter where the line is short."""
        if status.state is RunState.FINISHED:  # its last phase may have had more steps than it made
            return f"{status.step:,} steps in {status.phases} phases"
        if self.width() < ROOMY:
            return f"phase {status.phase}/{status.phases}: {status.phase_name}, {status.phase_step:,}/" \
                   f"{status.phase_steps:,}"
        return (f"phase {status.phase} of {status.phases}: {status.phase_name}, step {status.phase_step:,} of "
                f"{status.phase_steps:,}")

    def _doing(self) -> str:
        """What a step is doing that has taken long already; '' for steps that are over before one could read it."""
        now, several = time.monotonic(), len(self._lanes) > 1
        for lane in self._lanes:
            status = self._statuses.get(lane.index)
            if status is None or not status.doing.strip(": ") or status.state is not RunState.RUNNING:
                continue
            if now - self._since[lane.index][1] >= LONG:
                return f"{lane.label}: {status.doing}" if several else f"{status.doing[:1].upper()}{status.doing[1:]}"
        return ""

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self.draw()

    def restyle(self, theme: Theme) -> None:
        self._theme = theme
        palette = self.message.palette()
        palette.setColor(QPalette.ColorRole.WindowText, QColor(theme.muted))
        self.message.setPalette(palette)
        self.progress.setStyleSheet(
            f"QProgressBar {{ background: {theme.border}; border: 0; border-radius: 2px; }}"
            f"QProgressBar::chunk {{ background: {theme.accent}; border-radius: 2px; }}")

    def _lane_text(self, lane: Lane, status: Status | None) -> str:
        if status is None:
            return lane.label
        parts = [lane.label]
        if status.state is not self.shown_state():
            parts.append(WORDS[status.state].lower())
        if status.steps_per_second:
            parts.append(f"{rate(status.steps_per_second)} steps/s")
        if len(status.relative_l2) == 1:
            parts.append(f"L2 {error_text(next(iter(status.relative_l2.values())))}")
        elif status.relative_l2:
            # an error of the interior stands beside that of the whole domain, not in its place
            whole = [name for name in status.relative_l2 if not name.endswith("(interior)")] or [*status.relative_l2]
            worst = max(whole, key=lambda name: status.relative_l2[name])
            parts.append(f"L2 of {worst}: {error_text(status.relative_l2[worst])}")
        return "   ".join(parts)

    def _cell(self, tip: str, widest: str) -> QLabel:
        """A label as wide as its widest text, so that the line does not twitch."""
        cell = QLabel(self)
        cell.setToolTip(tip)
        cell.setMinimumWidth(round(QFontMetricsF(self.font()).horizontalAdvance(widest)) + 2)
        cell.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        return cell


def _line(parent: QWidget) -> QFrame:
    line = QFrame(parent)
    line.setFrameShape(QFrame.Shape.VLine)
    line.setFrameShadow(QFrame.Shadow.Plain)
    line.setFixedHeight(14)
    palette = line.palette()
    palette.setColor(QPalette.ColorRole.WindowText, palette.color(QPalette.ColorRole.Mid))
    line.setPalette(palette)
    return line
