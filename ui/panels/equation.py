"""The equations of the problem, typeset, with what the experiment is and where it comes from."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QByteArray, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from core.latex import MAX_NESTING, nesting
from studio.messages import Update
from ui.panels.panel import Lane, Panel
from ui.plots.ticks import number
from ui.theme import LIGHT, Theme, font

SIZE = 17.0  # of the formulas' letters, in pixels
MARGIN = 12.0


def typeset(latex: str, color: str) -> QSvgRenderer | None:
    """A formula as a drawing in one color; None where it cannot be typeset, or is nested so deep that it takes long."""
    if nesting(latex) > MAX_NESTING:
        return None
    import ziamath.zmath  # here, for it costs a tenth of a second that the start of the window need not pay
    from ziafont.config import config

    config.svg2 = False  # symbols that are referred to are lost on QtSvg
    try:
        drawing: str = ziamath.zmath.Latex(latex, size=SIZE, color=color).svg()
    except Exception:  # noqa: BLE001 - a parser that raises whatever it meets; the text is shown instead
        return None
    renderer = QSvgRenderer(QByteArray(drawing.encode()))
    return renderer if renderer.isValid() and not renderer.defaultSize().isEmpty() else None


def _load_typesetter() -> None:
    import ziamath.zmath  # noqa: F401


@dataclass(slots=True)
class Block:
    """Text, or a formula under its name."""

    text: str
    fount: QFont
    muted: bool = False
    latex: str = ""
    drawing: QSvgRenderer | None = None
    done: bool = True
    before: float = 0.0  # pixels of room above


class Sheet(QWidget):
    """Blocks below each other; a formula that is too wide is made smaller."""

    def __init__(self) -> None:
        super().__init__()
        self.theme: Theme = LIGHT
        self.blocks: list[Block] = []
        self.setMinimumWidth(120)

    def fit(self) -> None:
        """The height that all blocks need in this width."""
        self.setMinimumHeight(round(self._walk(None)))
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        self.fit()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._walk(painter)
        painter.end()

    def _walk(self, painter: QPainter | None) -> float:
        y, width = 8.0, max(40.0, self.width() - 2 * MARGIN)
        for block in self.blocks:
            y += block.before
            flags = Qt.TextFlag.TextWordWrap
            text = (
                block.text
                if block.drawing or not block.latex or not block.done
                else f"{block.text}: {block.latex}"
            )
            need = QFontMetricsF(block.fount).boundingRect(QRectF(0, 0, width, 1e5), int(flags), text)
            if painter:
                painter.setFont(block.fount)
                painter.setPen(QColor(self.theme.muted if block.muted else self.theme.text))
                painter.drawText(QRectF(MARGIN, y, width, need.height() + 2), int(flags), text)
            y += need.height() + 2
            if block.drawing:
                size = QSizeF(block.drawing.viewBoxF().size())
                scale = min(1.0, (width - 10) / size.width())
                if painter:
                    block.drawing.render(
                        painter, QRectF(MARGIN + 10, y + 2, size.width() * scale, size.height() * scale)
                    )
                y += size.height() * scale + 6
        return y + 8


class EquationPanel(Panel):
    """The problem as one would write it."""

    id = "equation"
    title = "Equation"
    tip = "The equations, definitions and conditions of the problem as the program has read them, and their source."
    area = "left"
    interval = 0.05

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sheet = Sheet()
        self._loading = threading.Thread(target=_load_typesetter)
        scroll = QScrollArea(self.figure)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self.sheet)
        scroll.viewport().setAutoFillBackground(False)
        self.sheet.setAutoFillBackground(False)
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll)

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self.sheet.blocks = blocks = []
        if lanes:
            experiment = lanes[0].experiment
            if experiment.title:
                blocks.append(Block(experiment.title, font(11, bold=True)))
            for label, latex in experiment.problem.build().latex():
                blocks.append(Block(label, font(8.5), muted=True, latex=latex, done=False, before=7))
            for name, start in experiment.problem.unknowns.items():
                truth = experiment.problem.truth.get(name)
                blocks.append(Block(f"To be found: {name}, from {number(start)} on"
                                    + (f"; it is {number(truth)}" if truth is not None else ""), font(9.5), before=7))
            if experiment.look:
                blocks.append(Block(experiment.look, font(9.5), before=8))
            if experiment.source:
                blocks.append(Block(f"Source: {experiment.source}", font(8.5), muted=True, before=8))
        self.sheet.fit()

    def draw(self) -> None:
        """Typeset one more formula; the next one in the next drawing, so that none keeps the window waiting."""
        super().draw()
        if not self._typesetter_ready():
            self.pending = True
            return
        waiting = [block for block in self.sheet.blocks if not block.done]
        if waiting:
            waiting[0].drawing = typeset(waiting[0].latex, self.theme.text)
            waiting[0].done = True
            self.sheet.fit()
        self.pending = len(waiting) > 1

    def receive(self, lane: int, update: Update) -> None:
        """The equations do not change while training."""

    def _typesetter_ready(self) -> bool:
        """Whether ziamath is there; it is loaded in a thread, since that takes longer than a frame may."""
        if "ziamath.zmath" in sys.modules and not self._loading.is_alive():
            return True
        if not self._loading.is_alive():
            self._loading = threading.Thread(target=_load_typesetter, name="typesetter", daemon=True)
            self._loading.start()
        return False

    def _before_saving(self) -> None:
        while self.pending:
            self.draw()
            if self._loading.is_alive():
                self._loading.join()

    def picture(self) -> QWidget:
        self.sheet.fit()
        self.sheet.resize(self.sheet.width(), max(self.sheet.height(), self.sheet.minimumHeight()))
        return self.sheet

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        self.sheet.theme = theme
        for block in self.sheet.blocks:
            if block.latex:
                block.done = False
        self.pending = True
        self.sheet.update()

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """The equations as LaTeX."""
        return ["equation", "latex"], [
            [block.text, block.latex] for block in self.sheet.blocks if block.latex
        ]
