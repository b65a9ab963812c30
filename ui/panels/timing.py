"""Where the time goes: training, looking, recording, waiting; and the price of each diagnostic."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from core.frames import TimingFrame
from studio.messages import Update
from ui.panels.panel import Explanation, Lane, steps_of
from ui.panels.stack import Stack, StackPanel
from ui.plots.curves import CurveView, table_of
from ui.plots.share_bars import Bar, Part, ShareBars, percent
from ui.plots.table import Column, Item, Table
from ui.plots.ticks import number
from ui.theme import Theme

BARS, TABLE, CURVES = "now", "each diagnostic", "over time"
PARTS = ("training", "diagnostics", "recording", "waiting")
STEP = ("forward", "backward", "optimizer", "balancing")
COLUMNS = (
    Column("diagnostic", "What is computed to be looked at.", numeric=False),
    Column("ms each", "Milliseconds of one observation, the mean over the run so far."),
    Column("count", "Observations so far."),
    Column("seconds", "Seconds so far."),
    Column("share", "Of the run's time, in percent."),
)
WORTH = 1e-3  # a share that has a curve
LATER = "Appears here with the first frame."
NAMES = {"ntk": "NTK", "step_check": "step check"}


class TimingPanel(StackPanel):
    """Bars of shares, a table of the diagnostics, and their shares over time."""

    id = "timing"
    title = "Where the time goes"
    tip = ("How the run's time is shared between training, diagnostics, recording and waiting, what a step consists "
           "of, what each diagnostic costs, and how much of a core the drawing takes.")
    explanation = Explanation(
        sentences=(
            "The upper bar shares the time since the start, pauses excluded; below it the parts of one training step, "
            "the diagnostics by kind, and what this window's drawing takes of a core.",
            "A compiled step is one piece: what it consists of cannot be told apart without making it slower.",
            "Healthy is training above 85 % and drawing below 10 % of a core.",
            "Ill is a diagnostic that takes more than a few percent: hide its panel, or let it be computed less often.",
            "Over time each diagnostic's share is that of the stretch between two frames, not of the whole run.",
        ),
        formulas=(r"\mathrm{share}_k = \frac{\Delta t_k}{\Delta t_{\mathrm{training}} + "
                  r"\Delta t_{\mathrm{diagnostics}} + \Delta t_{\mathrm{recording}} + \Delta t_{\mathrm{waiting}}}",),
        source="Measured by the session, with the clock that does not go back.",
    )
    kinds = frozenset({"timing"})
    over_time = frozenset({"timing"})
    area = "bottom"
    interval = 1.0

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._before: dict[int, TimingFrame] = {}
        self._drawing = math.nan
        self.stack = Stack(self.figure, self.chooser("What of the time is shown.", letters=9))
        self.stack.pointed.connect(self.pointed)
        self.stack.arranged.connect(self._arranged)
        self.lane_box = self.chooser("The run whose diagnostics are listed.", letters=3)
        self.lane_box.activated.connect(self.draw)
        self.bars = ShareBars()
        self.grid = Table(COLUMNS, self.stack, name="Time of each diagnostic")
        self.grid.sortByColumn(4, Qt.SortOrder.DescendingOrder)
        self.view = CurveView(self.stack, logarithmic=False, quantity="% of the time")
        self.view.begin({}, {}, (), 0.0)
        self.view.legend.set_heading("share, %")
        self.view.short = lambda name: NAMES.get(name, name)
        self.frame_of_bars = QScrollArea(self.stack)
        self.frame_of_bars.setWidgetResizable(True)
        self.frame_of_bars.setFrameShape(QScrollArea.Shape.NoFrame)
        self.frame_of_bars.setWidget(self.bars)
        self.stack.add(BARS, self.frame_of_bars, least=130, stretch=20)  # up to its height
        self.stack.add(TABLE, self.grid, least=120)
        self.stack.add(CURVES, self.view)
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._before = {}
        self.view.begin({lane.index: lane.label for lane in lanes}, {}, (), steps_of(lanes))
        self.lane_box.clear()
        self.lane_box.addItems([lane.label for lane in lanes])
        self.lane_box.hide()
        self.bars.set_groups([])
        self.grid.set_rows([])
        self.stack.say([])
        self.stack.offer([], LATER)

    def set_drawing_share(self, value: float) -> None:
        """The share of one core that the window's drawing takes, from 0 to 1 (NaN: not known)."""
        if value != self._drawing:
            self._drawing, self.pending = value, True

    # -- data --------------------------------------------------------------------------------------

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        for frame in update.past:
            if isinstance(frame, TimingFrame):
                shares = shares_since(self._before.get(lane), frame)
                known = self.view.names_drawn
                seen = {kind: 100 * share for kind, share in shares.items() if kind in known or share >= WORTH}
                if seen:
                    self.view.append(lane, frame.step, seen)
                self._before[lane] = frame

    def _frames(self) -> dict[int, TimingFrame]:
        found = {lane.index: self.frame(lane.index, "timing") for lane in self.lanes}
        return {lane: frame for lane, frame in found.items() if isinstance(frame, TimingFrame)}

    # -- drawing -----------------------------------------------------------------------------------

    def draw(self) -> None:
        super().draw()
        frames = self._frames()
        self.stack.say(self.sentences())
        self._draw_bars(frames)
        self._list(frames)
        has = any(frame.diagnostics for frame in frames.values())
        self.stack.offer([name for name, there in ((BARS, bool(frames)), (TABLE, has), (CURVES, bool(self.view.curves)))
                          if there], LATER)
        self.pending = self.stack.draw()

    def _arranged(self) -> None:
        self.lane_box.setVisible(len(self.lanes) > 1 and TABLE in self.stack.shown())

    def _draw_bars(self, frames: Mapping[int, TimingFrame]) -> None:
        groups = [(self._label(lane), self._bars(frame)) for lane, frame in frames.items()]
        if groups and math.isfinite(self._drawing):
            share = min(1.0, max(0.0, self._drawing))
            color = self.theme.warning if share > 0.15 else self.theme.accent
            groups.append(("", [Bar("drawing", (Part("this window", share, "of one core", color),), "of a core")]))
        self.bars.set_groups(groups)
        self.stack.set_least(BARS, self.bars.height_wanted())
        self.frame_of_bars.setMaximumHeight(self.bars.height_wanted() + 2)

    def _label(self, lane: int) -> str:
        return next((one.label for one in self.lanes if one.index == lane), "") if len(self.lanes) > 1 else ""

    def _bars(self, frame: TimingFrame) -> list[Bar]:
        whole = total(frame)
        names = [*PARTS, *(name for name in frame.parts if name not in PARTS)]
        parts = tuple(Part(name, frame.parts.get(name, 0.0) / whole, f"{number(frame.parts.get(name, 0.0))} s",
                           self._color(place)) for place, name in enumerate(names) if whole)
        bars = [Bar("run", parts, f"{number(whole)} s")]
        step = sum(frame.step_parts.values())
        if step > 0:
            order = [name for name in (*STEP, *frame.step_parts) if name in frame.step_parts]
            pieces = tuple(Part("compiled, one piece" if name == "whole" else name, frame.step_parts[name] / step,
                                f"{number(1e3 * frame.step_parts[name])} ms", self._shade(place))
                           for place, name in enumerate(dict.fromkeys(order)))
            bars.append(Bar("one step", pieces, f"{number(1e3 * step)} ms"))
        looked = sum(frame.diagnostics.values())
        if looked > 0:
            ordered = sorted(frame.diagnostics.items(), key=lambda pair: -pair[1])
            pieces = tuple(Part(NAMES.get(kind, kind), seconds / looked, f"{number(seconds)} s", self._kind(kind))
                           for kind, seconds in ordered if seconds > 0)
            bars.append(Bar("diagnostics", pieces, f"{number(looked)} s"))
        return bars

    def _color(self, place: int) -> str:
        order = (self.theme.accent, self.theme.term(1), self.theme.term(3), self.theme.border)
        return order[place] if place < len(order) else self.theme.term(place)

    def _shade(self, place: int) -> str:
        return (self.theme.accent, self.theme.term(8), self.theme.term(2), self.theme.term(5))[place % 4]

    def _kind(self, kind: str) -> str:
        names = self.view.names_drawn
        return self.theme.term(names.index(kind)) if kind in names else self.theme.muted

    def _list(self, frames: Mapping[int, TimingFrame]) -> None:
        place = max(0, self.lane_box.currentIndex())
        frame = frames.get(self.lanes[place].index) if place < len(self.lanes) else None
        rows = []
        for kind, seconds in sorted(frame.diagnostics.items(), key=lambda pair: -pair[1]) if frame else ():
            count = frame.observations.get(kind, 0) if frame else 0
            each = 1e3 * seconds / count if count else math.nan
            share = seconds / total(frame) if frame and total(frame) else math.nan
            rows.append([Item(NAMES.get(kind, kind), kind), Item(number(each), each), Item(f"{count:,}", float(count)),
                         Item(number(seconds), seconds), Item(percent(share), share)])
        self.grid.set_rows(rows)

    # -- words -------------------------------------------------------------------------------------

    def sentences(self) -> list[str]:
        """What the diagnostics cost, of each lane; what the drawing does."""
        out = []
        for lane, frame in self._frames().items():
            whole = total(frame)
            if not whole:
                continue
            most = sorted(frame.diagnostics.items(), key=lambda pair: -pair[1])[:2]
            named = ", ".join(f"{html.escape(NAMES.get(kind, kind))} {percent(seconds / whole)}"
                              for kind, seconds in most if seconds / whole >= 0.001)
            share = frame.parts.get("diagnostics", sum(frame.diagnostics.values())) / whole
            who = f"{html.escape(self._label(lane))}: d" if self._label(lane) else "D"
            out.append(f"{who}iagnostics take <b>{percent(share)}</b> of the run's time"
                       f"{f', of which {named}' if named else ''} ({html.escape(frame.engine)}).")
        if out and math.isfinite(self._drawing):
            out.append(f"Drawing takes {percent(self._drawing)} of a core.")
        return out

    # -- looks and numbers -------------------------------------------------------------------------

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self.bars.restyle(theme)
        self.grid.restyle(theme)
        self._draw_bars(self._frames())

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """A row for each part and each diagnostic; where only the curves are shown, a row for each step."""
        if self.stack.shown() == [CURVES]:
            return table_of(self.view.in_order(), {lane.index: lane.label for lane in self.lanes})
        rows: list[list[float | str]] = []
        for lane, frame in self._frames().items():
            label, whole = self.lanes[[one.index for one in self.lanes].index(lane)].label, total(frame) or math.nan
            rows += [[label, frame.step, "run", name, seconds, seconds / whole, ""]
                     for name, seconds in frame.parts.items()]
            rows += [[label, frame.step, "one step", name, seconds, "", ""]
                     for name, seconds in frame.step_parts.items()]
            rows += [[label, frame.step, "diagnostic", kind, seconds, seconds / whole, frame.observations.get(kind, 0)]
                     for kind, seconds in frame.diagnostics.items()]
        return ["run", "step", "of", "part", "seconds", "share of the run's time", "observations"], rows


def total(frame: TimingFrame) -> float:
    """Seconds of all parts; 0 where they are not known."""
    whole = float(sum(frame.parts.values()))
    return whole if math.isfinite(whole) and whole > 0 else 0.0


def shares_since(before: TimingFrame | None, frame: TimingFrame) -> dict[str, float]:
    """Each diagnostic's share of the time between two frames; empty where no time has passed.

    Where the clock began anew in between, as in a run that was opened again, the time is that since then.
    """
    old = before if before is not None and total(before) <= total(frame) and before.step <= frame.step else None
    passed = total(frame) - (total(old) if old else 0.0)
    if not passed > 0:
        return {}
    return {kind: max(0.0, seconds - (old.diagnostics.get(kind, 0.0) if old else 0.0)) / passed
            for kind, seconds in frame.diagnostics.items()}
