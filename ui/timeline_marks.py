"""What happened to a run, as marks on its timeline: a shape and a color for each kind of event."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from studio.messages import Event

TOLD = 8  # events at most that one tip tells
WIDE = 460  # pixels of a tip; what is longer is wrapped

#: By kind of event: its shape, its color (a token of the theme), and how grave it is. What a person did is blue, what
#: the doctor says is orange, trouble is red, what the program did by itself is gray or green.
STYLES: dict[str, tuple[str, str, int]] = {
    "pause": ("bars", "muted", 0),
    "resume": ("right", "muted", 0),
    "resumed": ("right", "accent", 1),
    "resampled": ("ring", "muted", 0),
    "thinned": ("dash", "muted", 0),
    "finish": ("square", "good", 1),
    "done": ("square", "accent", 2),
    "phase-end": ("flag", "muted", 0),
    "stop": ("square", "muted", 1),
    "engine": ("circle", "good", 1),
    "weight": ("diamond", "accent", 2),
    "balancing": ("plus", "accent", 2),
    "learning_rate": ("down", "accent", 2),
    "change": ("star", "accent", 2),
    "change-refused": ("dash", "warning", 3),
    "undo": ("left", "accent", 2),
    "phase": ("flag", "accent", 2),
    "optimizer": ("ring", "good", 1),
    "check": ("up", "warning", 3),
    "finding": ("up", "warning", 3),
    "disk": ("cross", "warning", 3),
    "nan": ("cross", "danger", 4),
    "error": ("cross", "danger", 4),
    "refused": ("cross", "danger", 4),
}
OTHER = ("circle", "muted", 0)
UNMARKED = frozenset({"start", "watch"})


@dataclass(frozen=True, slots=True)
class Mark:
    """One event on the axis."""

    step: int
    text: str
    shape: str
    color: str  # a token of the theme
    rank: int  # of several in one place the gravest is drawn


def mark_of(event: Event, lane: str) -> Mark | None:
    """The mark of an event; None for what needs none. `lane` is its name where there are several."""
    if event.kind in UNMARKED or (event.kind == "phase" and event.step == 0):  # the first phase is the start
        return None
    shape, color, rank = STYLES.get(event.kind, OTHER)
    text = event.text.strip().splitlines()[-1] if event.text.strip() else event.kind
    return Mark(event.step, f"{lane}: {text}" if lane else text, shape, color, rank)


def cluster(marks: Sequence[tuple[float, Mark]], close: float) -> list[tuple[float, list[Mark]]]:
    """Marks by place in pixels; those within `close` of the first of a group share its place, the middle of them."""
    groups: list[list[tuple[float, Mark]]] = []
    for x, mark in sorted(marks, key=lambda pair: pair[0]):
        if groups and x - groups[-1][0][0] <= close:
            groups[-1].append((x, mark))
        else:
            groups.append([(x, mark)])
    return [(sum(x for x, _ in group) / len(group), [mark for _, mark in group]) for group in groups]


def with_room(marks: Sequence[tuple[float, Mark]], room: Callable[[int], float]) -> list[tuple[float, list[Mark]]]:
    """As `cluster`, so that nothing is painted over: `room` is what a shape needs up to the next one, by its count."""
    close = room(1)
    groups = cluster(marks, close)
    while (need := max((room(len(group)) for _, group in groups), default=0.0)) > close:
        close = need  # fewer groups, some of them with more marks
        groups = cluster(marks, close)
    first = [x for x, _ in groups]
    # The middle of a group may be close to that of the next one, but its first mark never is: room is made to the left.
    for place in range(len(groups) - 2, -1, -1):
        first[place] = min(first[place], first[place + 1] - room(len(groups[place][1])))
    return [(x, group) for x, (_, group) in zip(first, groups, strict=True)]


def tip_of(marks: Sequence[Mark]) -> str:
    """What these marks tell, every sentence whole and wrapped, as rich text; '' for none."""
    if not marks:
        return ""
    lines = [f"<b>step {mark.step:,}</b>&nbsp; {html.escape(mark.text)}" for mark in marks[:TOLD]]
    if len(marks) > TOLD:
        lines.append(f"and {len(marks) - TOLD} more")
    text = "<br>".join(lines)
    # Qt wraps rich text to a shape of its own choosing, unless a table has a width
    long = any(len(mark.text) > WIDE // 8 for mark in marks[:TOLD])
    return f"<table width='{WIDE}'><tr><td>{text}</td></tr></table>" if long else text


def draw_shape(painter: QPainter, shape: str, at: QPointF, color: QColor, ground: QColor) -> None:
    """A shape of ten pixels around a place; filled, or open on its ground."""
    x, y, r = at.x(), at.y(), 4.6
    painter.setPen(QPen(color, 1.6))
    painter.setBrush(color)
    match shape:
        case "bars":
            painter.drawLine(QPointF(x - 2, y - r + 1), QPointF(x - 2, y + r - 1))
            painter.drawLine(QPointF(x + 2, y - r + 1), QPointF(x + 2, y + r - 1))
        case "dash":
            painter.drawLine(QPointF(x - r, y), QPointF(x + r, y))
        case "cross":
            painter.setPen(QPen(color, 2.4))
            painter.drawLine(QPointF(x - r + 1, y - r + 1), QPointF(x + r - 1, y + r - 1))
            painter.drawLine(QPointF(x - r + 1, y + r - 1), QPointF(x + r - 1, y - r + 1))
        case "plus":
            painter.setPen(QPen(color, 2.4))
            painter.drawLine(QPointF(x - r, y), QPointF(x + r, y))
            painter.drawLine(QPointF(x, y - r), QPointF(x, y + r))
        case "ring":
            painter.setBrush(ground)
            painter.drawEllipse(at, r - 1, r - 1)
        case "circle":
            painter.drawEllipse(at, r - 1, r - 1)
        case "flag":
            painter.drawLine(QPointF(x - 2.5, y - r), QPointF(x - 2.5, y + r))
            painter.drawPolygon(QPolygonF([QPointF(x - 2.5, y - r), QPointF(x + r, y - r + 2.6),
                                           QPointF(x - 2.5, y + 1)]))
        case "square":
            painter.drawRect(QRectF(x - r + 1, y - r + 1, 2 * r - 2, 2 * r - 2))
        case _:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawPolygon(QPolygonF([QPointF(x + dx * r, y + dy * r) for dx, dy in _CORNERS[shape]]))


_CORNERS: dict[str, tuple[tuple[float, float], ...]] = {
    "right": ((-0.8, -1.0), (1.0, 0.0), (-0.8, 1.0)),
    "left": ((0.8, -1.0), (-1.0, 0.0), (0.8, 1.0)),
    "up": ((-1.1, 0.9), (0.0, -1.0), (1.1, 0.9)),
    "down": ((-1.1, -0.9), (0.0, 1.0), (1.1, -0.9)),
    "diamond": ((0.0, -1.1), (1.1, 0.0), (0.0, 1.1), (-1.1, 0.0)),
    "star": ((0.0, -1.2), (0.35, -0.35), (1.2, 0.0), (0.35, 0.35), (0.0, 1.2), (-0.35, 0.35), (-1.2, 0.0),
             (-0.35, -0.35)),
}
