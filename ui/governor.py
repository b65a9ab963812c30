"""Who may draw, and how often: what the window burns, the training loses.

Training in a thread of the same process loses about 1.2 times what the GUI thread burns, so drawing gets a budget.
The governor takes what is new from the sessions, hands it to every panel, and lets at most one visible panel draw
per tick. It charges each panel with the processor time its drawing and the painting after it took, and stretches
all intervals so that the sum stays within the budget. What a person does (hover, pan) is not its business.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from PySide6.QtCore import QObject, QPoint, QRect, QTimer, Signal
from PySide6.QtWidgets import QWidget

from studio.messages import Update

TICK = 33  # ms
BUDGET = 0.08  # share of one core; what ticks and hands out beside it brings it to a tenth at most
TELL_EVERY = 1.0  # seconds between two signals of what drawing takes
MEMORY = 4.0  # seconds over which the share is averaged
NEW = 0.25  # weight of the newest cost in a panel's average
JUMP = 4.0  # a cost more than this many times the average is taken as a person's action in between
FIRST = 0.02  # s; the first drawing of a panel also loads and builds, which will not come again
IDLE = 3.0  # s without a drawing after which a panel no longer counts


class Drawable(Protocol):
    """What the governor needs of a panel; the status bar is one too."""

    pending: bool  # there is something new to draw

    @property
    def interval(self) -> float: ...  # seconds between two drawings, at least
    def receive(self, lane: int, update: Update) -> None: ...
    def draw(self) -> None: ...
    def isVisible(self) -> bool: ...  # noqa: N802 - Qt's name


class _Account:
    """What one panel costs."""

    def __init__(self, panel: Drawable) -> None:
        self.panel = panel
        self.last = -math.inf  # when it was drawn last
        self.cost = 0.0  # processor seconds of one drawing, averaged

    def charge(self, cost: float) -> None:
        if self.cost == 0.0:
            self.cost = min(cost, FIRST)
        else:
            self.cost += NEW * (min(cost, JUMP * self.cost) - self.cost)


class Governor(QObject):
    """One timer that feeds and draws. `take` gives what is new: pairs of lane and update."""

    measured = Signal(float)  # share of one core that drawing takes

    def __init__(self, take: Callable[[], Iterable[tuple[int, Update]]], parent: QObject | None = None, *,
                 budget: float = BUDGET, clock: Callable[[], float] = time.perf_counter,
                 cpu: Callable[[], float] = time.thread_time) -> None:
        super().__init__(parent)
        self._take = take
        self._budget = budget
        self._clock = clock
        self._cpu = cpu
        self._accounts: list[_Account] = []
        self._open: _Account | None = None  # drawn in the last tick, painting not charged yet
        self._opened = 0.0  # the processor clock when it began
        self._share = 0.0
        self._told = -math.inf
        self._overhead = 0.0  # share that taking and handing out costs
        self._last_tick: float | None = None
        self.longest_tick = 0.0  # seconds, of all since the start
        self._timer = QTimer(self)
        self._timer.setInterval(TICK)
        self._timer.timeout.connect(self.tick)

    @property
    def share(self) -> float:
        """Share of one core that drawing takes, averaged over some seconds."""
        return self._share

    @property
    def stretch(self) -> float:
        """By how much every interval is longer than the panels asked for; 1 when there is nothing to save."""
        since = (self._last_tick or 0.0) - IDLE
        wanted = sum(account.cost / account.panel.interval for account in self._accounts
                     if account.last > since and in_sight(account.panel))
        return max(1.0, wanted / max(self._budget - self._overhead, 0.2 * self._budget))

    @property
    def active(self) -> bool:
        return self._timer.isActive()

    def set_panels(self, panels: Sequence[Drawable]) -> None:
        """The panels to feed and draw, instead of those before."""
        self._accounts = [_Account(panel) for panel in panels]
        self._open = None

    def start(self) -> None:
        if not self._timer.isActive():
            self._last_tick = None
            self._open = None
            self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    def excuse(self) -> None:
        """A person has asked for a drawing outside the turns: no panel pays for it."""
        self._open = None

    def tick(self) -> None:
        """One turn: charge the last drawing, hand out what is new, draw the panel that has waited longest."""
        now, begun = self._clock(), self._cpu()
        used = self._settle(begun)
        for lane, update in self._take():
            for account in self._accounts:
                account.panel.receive(lane, update)
        handed = self._cpu()
        self._average(now, used, handed - begun)
        due = self._due(now)
        if due is not None:
            due.last = now
            self._open, self._opened = due, handed
            due.panel.draw()
        self.longest_tick = max(self.longest_tick, self._clock() - now)

    def _settle(self, now: float) -> float:
        """Charge the panel drawn last with everything the GUI thread has burnt since; painting comes after `draw`."""
        if self._open is None:
            return 0.0
        cost = max(0.0, now - self._opened)
        self._open.charge(cost)
        self._open = None
        return cost

    def _average(self, now: float, drawn: float, handed: float) -> None:
        if self._last_tick is not None and now > self._last_tick:
            seconds = now - self._last_tick
            weight = -math.expm1(-seconds / MEMORY)
            self._share += weight * ((drawn + handed) / seconds - self._share)
            self._overhead += weight * (handed / seconds - self._overhead)
            if now >= self._told + TELL_EVERY:
                self._told = now
                self.measured.emit(self._share)
        self._last_tick = now

    def _due(self, now: float) -> _Account | None:
        """The visible panel with news that is furthest past its interval; None where all have time."""
        stretch = self.stretch
        best, most = None, 1.0
        for account in self._accounts:
            if account.panel.pending and in_sight(account.panel):
                waited = (now - account.last) / (account.panel.interval * stretch)
                if waited >= most:
                    best, most = account, waited
        return best


def in_sight(panel: Drawable) -> bool:
    """Whether somebody can see the panel: not behind another tab, not in a minimized window."""
    if not panel.isVisible():
        return False
    if not isinstance(panel, QWidget):
        return True
    window = panel.window()
    # Qt calls a dock visible that is behind another tab; it is moved to where nothing of it is seen. Its visible region
    # does not tell: that is empty too where an opaque child covers the whole panel.
    place = QRect(panel.mapTo(window, QPoint(0, 0)), panel.size()) if window is not panel else panel.rect()
    return not window.isMinimized() and place.intersects(window.rect())
