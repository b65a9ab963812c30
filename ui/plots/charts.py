"""Charts beside each other on the same axes, each under a table that names its curves and says their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pyqtgraph.functions import arrayToQPolygonF
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen

from core.frames import Array
from ui.plots.canvas import Align, Canvas, rows_html, whole
from ui.plots.scales import Scale
from ui.plots.ticks import number
from ui.theme import Theme, font

DRAWN = 1500  # points of a curve at most
ENDS = 64  # of them at each end, where an ascending curve bends
LEAST = 70.0  # pixels of height that a plot keeps; the table gives way
SAMPLE = 16.0  # pixels of a line beside its name
DOT = 2.5  # radius


@dataclass(slots=True)
class Trace:
    """A curve: y over x, or, with one x more than y, steps. `dots`: its points are drawn too."""

    name: str
    x: Array  # increasing
    y: Array
    color: str
    style: Qt.PenStyle = Qt.PenStyle.SolidLine
    faint: bool = False  # behind the others, without a place in the readout
    dots: bool = False
    open: Array | None = None  # which of its dots are hollow
    numbers: tuple[str, ...] = ()  # its row of the table

    @property
    def stepped(self) -> bool:
        return len(self.x) == len(self.y) + 1


@dataclass(slots=True)
class Chart:
    """A heading and curves; `note` stands beside the heading, `empty` in the middle where there are no curves."""

    label: str = ""
    note: str = ""
    empty: str = ""
    traces: list[Trace] = field(default_factory=list)


class Charts(Canvas):
    """Paints charts side by side on common scales. The first one has the numbers of the upright axis."""

    def __init__(self) -> None:
        super().__init__()
        self.charts: list[Chart] = []
        self.over_x = Scale("linear", 0.0, 1.0)
        self.over_y = Scale("linear", 0.0, 1.0)
        self.columns: tuple[str, ...] = ()
        self.across: tuple[str, ...] = ()
        self.upwards: tuple[str, ...] = ()
        self.boxes: list[QRectF] = []
        self.head = 0.0
        self.setMinimumSize(150, 110)

    def set_charts(self, charts: Sequence[Chart], x: Scale, y: Scale, columns: Sequence[str] = (),
                   across: Sequence[str] = (), upwards: Sequence[str] = ()) -> None:
        """New curves on these scales. columns: of the table. across, upwards: names of the axes, the longest first."""
        before = (len(self.charts), self._rows(), self.over_x, self.over_y, self.columns, self.across, self.upwards)
        self.charts, self.over_x, self.over_y = list(charts), x, y
        self.columns, self.across, self.upwards = tuple(columns), tuple(across), tuple(upwards)
        if before != (len(self.charts), self._rows(), x, y, self.columns, self.across, self.upwards):
            self.renew()
        else:
            self.update()

    def _rows(self) -> int:
        """Lines of the longest table."""
        return max((sum(not trace.faint for trace in chart.traces) for chart in self.charts), default=0)

    # -- where everything stands -------------------------------------------------------------------

    def arrange(self) -> None:
        line = self.metrics().height()
        titled = any(chart.label or chart.note for chart in self.charts)
        self.bottom = 2 * line + 7
        room = self.height() - LEAST - self.bottom - (1.5 * line if titled else 2)
        rows = self._rows()
        self.said = rows if rows and (rows + 1) * line <= room else 0  # rows of the table; 0: names in one line
        self.head = (1.5 * line if titled else 2) + ((self.said + 1) * line if self.said else line if rows else 0) + 5
        labels = [text for _, text in self.over_y.ticks(max(20.0, self.height() - self.head - self.bottom),
                                                   lambda _: line)[0]]
        self.side = line + 6
        self.left = self.side + max((self.text_width(text) for text in labels), default=10.0) + 8
        count = max(1, len(self.charts))
        gap = 22.0  # between the last label of one and the first of the next
        width = max(20.0, (self.width() - self.left - 12 - gap * (count - 1)) / count)
        height = max(20.0, self.height() - self.head - self.bottom)
        self.boxes = [whole(self.left + i * (width + gap), self.head, width, height) for i in range(count)]

    # -- painting ----------------------------------------------------------------------------------

    def paint_still(self, painter: QPainter) -> None:
        theme, line = self.theme, self.metrics().height()
        for index, box in enumerate(self.boxes):
            painter.fillRect(box, QColor(theme.plot))
            below, bare_below = self.over_x.ticks(box.width(), self.text_width)
            up, bare_up = self.over_y.ticks(box.height(), lambda _: line)
            across = [(box.left() + share * box.width(), text) for share, text in below if -0.001 <= share <= 1.001]
            heights = [(box.bottom() - share * box.height(), text) for share, text in up if -0.001 <= share <= 1.001]
            painter.setPen(QPen(QColor(theme.grid), 1))
            for x, _ in across:
                painter.drawLine(QPointF(round(x) + 0.5, box.top()), QPointF(round(x) + 0.5, box.bottom()))
            for y, _ in heights:
                painter.drawLine(QPointF(box.left(), round(y) + 0.5), QPointF(box.right(), round(y) + 0.5))
            self._zero(painter, box)
            self.ticks_below(painter, box, across)
            self.ticks_below(painter, box, [(box.left() + s * box.width(), "") for s in bare_below], labels=False)
            self.ticks_left(painter, box, heights, labels=index == 0)
            self.ticks_left(painter, box, [(box.bottom() - s * box.height(), "") for s in bare_up], labels=False)
            foot = QRectF(box.left() - 30, box.bottom() + line + 4, box.width() + 36, line)
            self.write_first(painter, foot, self.across, Align.AlignHCenter | Align.AlignVCenter, theme.muted)
            self.frame(painter, box)
        if self.boxes:
            box = self.boxes[0]
            fitting = [text for text in self.upwards if self.text_width(text) <= box.height() + 20]
            if fitting:
                self.write_up(painter, QRectF(2, box.top() - 10, line, box.height() + 20), fitting[0], theme.muted)

    def _zero(self, painter: QPainter, box: QRectF) -> None:
        """Zero on a symmetric-logarithmic axis: what is below it is of another kind."""
        painter.setPen(QPen(QColor(self.theme.muted), 1))
        if self.over_y.kind == "symlog" and self.over_y.low < 0 < self.over_y.high:
            y = round(box.bottom() - float(self.over_y.share(0.0)) * box.height()) + 0.5
            painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))
        if self.over_x.kind == "symlog" and self.over_x.low < 0 < self.over_x.high:
            x = round(box.left() + float(self.over_x.share(0.0)) * box.width()) + 0.5
            painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))

    def paint_live(self, painter: QPainter) -> None:
        line = self.metrics().height()
        left = Align.AlignLeft | Align.AlignVCenter
        for chart, box in zip(self.charts, self.boxes, strict=False):
            top = 0.0
            start = box.left() if len(self.charts) > 1 else 8.0
            if any(c.label or c.note for c in self.charts):
                bold = font(9, bold=True)
                used = QFontMetricsF(bold).horizontalAdvance(chart.label) + (10 if chart.label else 0)
                row = QRectF(start, 2, box.right() - start, 1.4 * line)
                self.write(painter, row, chart.label, left, self.theme.text, bold)
                self.write(painter, row.adjusted(used, 0, 0, 0), chart.note, left, self.theme.muted)
                top = 1.5 * line
            self._table(painter, QRectF(start, top + 2, box.right() - start, self.head - top - 4), chart)
            for trace in sorted(chart.traces, key=lambda trace: not trace.faint):
                self._draw(painter, box, trace)
            if not chart.traces and chart.empty:
                write_wrapped(painter, box, chart.empty, self.small, self.theme)

    def _pen(self, trace: Trace) -> QPen:
        pen = QPen(QColor(trace.color), 2 if self.fine and not trace.faint else 1)
        if trace.style is Qt.PenStyle.DashLine:
            pen.setDashPattern([7.0 / pen.widthF(), 4.0 / pen.widthF()])
        return pen

    def _table(self, painter: QPainter, area: QRectF, chart: Chart) -> None:
        """Names and numbers of the curves; only the names, in one line, where it is too low for more."""
        line, middle = self.metrics().height(), Align.AlignVCenter
        traces = [trace for trace in chart.traces if not trace.faint]
        if not traces:
            return
        names = [SAMPLE + 5 + self.text_width(trace.name) + 12 for trace in traces]
        if not self.said:
            x = area.left()
            for trace, width in zip(traces, names, strict=True):
                if x + width > area.right() + 12:
                    break
                self._name(painter, QRectF(x, area.top(), width, line), trace)
                x += width
            return
        widths = [max(self.text_width(text) for text in (title, *(t.numbers[at] for t in traces))) + 12
                  for at, title in enumerate(self.columns)]
        first = min(max(names), area.width())
        while widths and first + sum(widths) > area.width() + 12:
            widths.pop()
        for place in range(len(traces) + 1):
            y, x = area.top() + place * line, area.left() + first
            if place:
                self._name(painter, QRectF(area.left(), y, first, line), traces[place - 1])
            for at, width in enumerate(widths):
                text = traces[place - 1].numbers[at] if place else self.columns[at]
                color = self.theme.text if place else self.theme.muted
                self.write(painter, QRectF(x, y, width - 12, line), text, Align.AlignRight | middle, color)
                x += width

    def _name(self, painter: QPainter, row: QRectF, trace: Trace) -> None:
        painter.setPen(self._pen(trace))
        y = round(row.center().y()) + 0.5
        painter.drawLine(QPointF(row.left(), y), QPointF(row.left() + SAMPLE, y))
        self.write(painter, row.adjusted(SAMPLE + 5, 0, 0, 0), trace.name, Align.AlignLeft | Align.AlignVCenter,
                   self.theme.muted)

    def _draw(self, painter: QPainter, box: QRectF, trace: Trace) -> None:
        if trace.stepped:
            xs, ys = np.repeat(trace.x, 2), np.concatenate([[np.nan], np.repeat(trace.y, 2), [np.nan]])
        else:
            pick = few(len(trace.y))
            xs, ys = trace.x[pick], trace.y[pick]
        x = box.left() + self.over_x.share(xs) * box.width()
        y = box.bottom() - self.over_y.share(ys) * box.height()
        if trace.stepped:
            y[0] = y[-1] = box.bottom()
        good = np.isfinite(x) & np.isfinite(y)
        painter.save()
        painter.setClipRect(box)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(self._pen(trace))
        y = np.clip(y, box.top() - 1e4, box.bottom() + 1e4)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            if stop - start > 1:
                painter.drawPolyline(arrayToQPolygonF(x[start:stop], y[start:stop]))
        if trace.dots and not trace.faint:
            hollow = np.zeros(len(x), bool) if trace.open is None or len(trace.open) != len(x) else trace.open
            for which, color, width in ((good, trace.color, 2 * DOT), (good & hollow, trace.color, 2 * DOT + 2),
                                        (good & hollow, self.theme.plot, 2 * DOT - 0.5)):
                if which.any():
                    painter.setPen(QPen(QColor(color), width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
                    painter.drawPoints(arrayToQPolygonF(x[which], y[which]))
        painter.restore()

    # -- the mouse ---------------------------------------------------------------------------------

    def text_at(self, place: QPointF) -> str:
        for chart, box in zip(self.charts, self.boxes, strict=False):
            if box.contains(place):
                at = self.over_x.value((place.x() - box.left()) / box.width())
                rows = []
                for trace in chart.traces:
                    if trace.faint or not len(trace.y):
                        continue
                    if trace.stepped:
                        index = int(np.clip(np.searchsorted(trace.x, at, side="right") - 1, 0, len(trace.y) - 1))
                    else:
                        index = int(np.abs(trace.x - at).argmin())
                        at = float(trace.x[index])  # the place whose numbers these are
                    rows.append((trace.color, trace.name, number(float(trace.y[index]), 4)))
                head = f"{chart.label} {self.across[-1] if self.across else 'x'} = {number(at, 4)}".strip()
                return rows_html(head, rows) if rows else ""
        return ""


def write_wrapped(painter: QPainter, box: QRectF, text: str, fount: QFont, theme: Theme) -> None:
    """Why there is nothing yet, in as many lines as it takes in the middle of a box, on a ground of its own."""
    room, how = box.adjusted(8, 3, -8, -3), int(Align.AlignCenter | Qt.TextFlag.TextWordWrap)
    used = QFontMetricsF(fount).boundingRect(room, how, text).intersected(room)
    painter.fillRect(used.adjusted(-4, -2, 4, 2), QColor(theme.plot))
    painter.setFont(fount)
    painter.setPen(QColor(theme.muted))
    painter.drawText(room, how, text)


def few(count: int) -> Array:
    """Places of at most about DRAWN points of a curve of so many: all near its ends, evenly spread between them."""
    if count <= DRAWN:
        return np.arange(count)
    inner = np.linspace(ENDS, count - ENDS - 1, DRAWN - 2 * ENDS).round().astype(np.intp)
    return np.concatenate([np.arange(ENDS), inner, np.arange(count - ENDS, count)])
