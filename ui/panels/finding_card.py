"""The card of one finding: sign, words, what mends it, and the evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
)
from PySide6.QtWidgets import QToolButton, QWidget

from studio.findings import Severity
from ui.icons import icon
from ui.panels.finding_column import GAP, PAD, Part, Prose, WrapButton
from ui.panels.finding_words import CardLook, RemedyLook, capital, copied, sentence
from ui.theme import LIGHT, Theme

STRIPE, SIGN = 4, 17  # pixels of the color at the edge, and of the sign
WORDS = {Severity.NOTE: "Note", Severity.WARNING: "Warning", Severity.SERIOUS: "Serious"}


def color_of(severity: Severity, theme: Theme) -> str:
    """The color that says how grave it is, beside the word and the sign."""
    return {Severity.NOTE: theme.accent, Severity.WARNING: theme.warning, Severity.SERIOUS: theme.danger}[severity]


def paint_sign(painter: QPainter, box: QRectF, severity: Severity, color: str) -> None:
    """A circle for a note, a triangle for a warning, an octagon for what is serious."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(color), 1.6))
    middle, radius = box.center(), box.width() / 2 - 1
    if severity is Severity.NOTE:
        painter.drawEllipse(middle, radius, radius)
    elif severity is Severity.WARNING:
        painter.drawPolygon(QPolygonF([QPointF(middle.x(), box.top() + 1),
                                       QPointF(box.right() - 0.5, box.bottom() - 1.5),
                                       QPointF(box.left() + 0.5, box.bottom() - 1.5)]))
    else:
        painter.setBrush(QColor(color))
        turns = [math.pi * (k + 0.5) / 4 for k in range(8)]
        painter.drawPolygon(QPolygonF([QPointF(middle.x() + radius * math.cos(a), middle.y() + radius * math.sin(a))
                                       for a in turns]))
        painter.setPen(QPen(QColor("#ffffff" if QColor(color).lightness() < 150 else "#14181f"), 1.8))
    x, low, high = middle.x(), 1.5 if severity is Severity.WARNING else 0.0, radius * 0.45
    dot, stem = (-high, (-high * 0.25, high)) if severity is Severity.NOTE else (high, (-high, high * 0.3))
    painter.drawLine(QPointF(x, middle.y() + low + stem[0]), QPointF(x, middle.y() + low + stem[1]))
    painter.drawLine(QPointF(x, middle.y() + low + dot), QPointF(x, middle.y() + low + dot + 0.4))
    painter.restore()


class Card(Part):
    """One finding."""

    side = 8
    remedied = Signal(object)  # the Remedy whose button was pressed
    shown = Signal(str)  # the panel that is to come to the front
    folded = Signal()  # a person has folded or unfolded a part of it

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.look: CardLook | None = None
        self.theme: Theme = LIGHT
        self.open = True  # an earlier one is folded to its title
        self.told = False  # whether the evidence is shown
        self.remedies: list[WrapButton] = []
        self._head, self._refusal, self._evidence = Prose(), Prose(), Prose()
        self._arrows: tuple[object, ...] = ()
        self._places = [0, 0]  # of the refusals and of the evidence
        self.fold = self._tool("", self._toggle_open, "")
        self.evidence = self._tool("Evidence", self._toggle_evidence,
                                   "The measured numbers, the threshold, and where the rule comes from.")
        self.show_button = self._tool("Show", self._show, "")
        self.copy_button = self._tool("Copy", self.copy, "Copy this finding as text (Ctrl+C).")

    def _tool(self, text: str, slot: object, tip: str) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setToolTip(tip)
        button.setIconSize(QSize(12, 12))
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon if text else
                                  Qt.ToolButtonStyle.ToolButtonIconOnly)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        button.clicked.connect(slot)
        return button

    # -- what it shows -----------------------------------------------------------------------------

    def set_look(self, look: CardLook) -> None:
        """Show this; nothing where it shows it already."""
        if look == self.look:
            return
        if look.gone and (self.look is None or not self.look.gone):
            self.open = look.treated  # what was just treated is not folded under the hand
        before, self.look = self.look, look
        if before is None or before.remedies != look.remedies:
            self._set_remedies(look.remedies)
        if before is None or before.panel != look.panel:
            self.show_button.setToolTip(f"Bring the panel '{look.panel}', which shows it, to the front.")
        said = (look.finding.severity, look.finding.title, look.finding.text)
        if before is None or said != (before.finding.severity, before.finding.title, before.finding.text):
            self.setAccessibleName(f"{WORDS[look.finding.severity]}: {capital(look.finding.title)}")
            self.setAccessibleDescription(look.finding.text)
        self._renew()

    def _set_remedies(self, remedies: Sequence[RemedyLook]) -> None:
        for place in range(len(self.remedies), len(remedies)):
            self.remedies.append(WrapButton(self))
            self.remedies[-1].clicked.connect(lambda _=False, place=place: self._remedy(place))
        for button, remedy in zip(self.remedies, remedies, strict=False):
            button.set_words(remedy.words)
            button.setToolTip(remedy.tip)
            button.setAccessibleDescription(remedy.tip)
            button.setEnabled(remedy.enabled)

    def restyle(self, theme: Theme) -> None:
        self.theme = theme
        self._renew()
        self.update()

    def _renew(self) -> None:
        """The words anew. The column is told only where they need another height."""
        look = self.look
        if look is None:
            return
        finding, theme = look.finding, self.theme
        text = theme.muted if look.faded else theme.text
        mark = theme.muted if look.faded else color_of(finding.severity, theme)
        where = ", ".join(part for part in (look.lane, look.when) if part)
        word = f"{'Earlier: ' if look.gone else ''}{WORDS[finding.severity]}"
        head = (f"<span style='color:{mark}; font-weight:600'>{word}</span>"
                f"<span style='color:{theme.muted}'>, {escape(where)}</span><br>"
                f"<span style='color:{text}; font-weight:600'>{escape(capital(finding.title))}</span>")
        if self.open:
            head += f"<br><span style='color:{text}'>{escape(finding.text)}</span>"
        refusals = [sentence(one.refusal) for one in look.remedies if one.refusal]
        evidence = "<br>".join(f"<span style='color:{theme.muted}'>{name}:</span> "
                               f"<span style='color:{text}'>{escape(words)}</span>" for name, words in
                               (("Measured", finding.evidence), ("Threshold", finding.threshold),
                                ("Source", finding.source)))
        new = self._head.set(head, self)
        new |= self._refusal.set(f"<span style='color:{theme.danger}'>Not changed: {escape(' '.join(refusals))}</span>"
                          if refusals and self.open else "", self)
        new |= self._evidence.set(evidence if self.told and self.open else "", self)
        arrows = (self.open, self.told, theme.name)
        if arrows != self._arrows:
            self._arrows = arrows
            self.fold.setToolTip("Fold this finding." if self.open else "Unfold this finding.")
            self.fold.setAccessibleName(self.fold.toolTip())
            for button, on in ((self.fold, self.open), (self.evidence, self.told)):
                button.setIcon(icon("expanded" if on else "collapsed", QColor(theme.muted)))
        if self.fit(self.width()) != self.height():
            self.resized.emit()
        if new:
            self.update()

    def text(self) -> str:
        """All that stands on it, for whoever reads and not looks."""
        return "\n".join(one.plain() for one in (self._head, self._refusal, self._evidence) if one.html)

    # -- layout ------------------------------------------------------------------------------------

    def fit(self, width: int) -> int:
        look = self.look
        if look is None:
            return 0
        left = STRIPE + PAD + SIGN + GAP
        room = width - left - PAD
        self.fold.setVisible(look.gone)
        size = self.fold.sizeHint()
        if look.gone:
            self.fold.setGeometry(width - PAD - size.width(), PAD - 4, size.width(), size.height())
        y = PAD + self._head.fit(room - (size.width() + GAP if look.gone else 0))
        for place, button in enumerate(self.remedies):
            shown = self.open and place < len(look.remedies)
            button.setVisible(shown)
            if shown:
                need = button.fit(room)
                button.setGeometry(left, y + GAP, need.width(), need.height())
                y += GAP + need.height()
        if height := self._refusal.fit(room):
            self._places[0] = y + GAP
            y += GAP + height
        y = self._place_tools(left, y, room)
        if height := self._evidence.fit(room):
            self._places[1] = y + GAP
            y += GAP + height
        return y + PAD

    def _place_tools(self, left: int, y: int, room: int) -> int:
        """In a row, or in several where it is narrow; the height below them."""
        look, x, row = self.look, 0, 0
        for button in (self.evidence, self.show_button, self.copy_button):
            shown = self.open and (button is not self.show_button or bool(look and look.panel))
            button.setVisible(shown)
            if not shown:
                continue
            size = button.sizeHint()
            if x and x + size.width() > room:
                x, y = 0, y + row
            row = size.height()
            button.setGeometry(left - 6 + x, y + GAP - 2, size.width(), row)
            x += size.width() + 2
        return y + row + (GAP - 2 if row else 0)

    def controls(self) -> list[QWidget]:
        """In the order of the Tab key."""
        count = len(self.look.remedies) if self.look else 0
        return [self, self.fold, *self.remedies[:count], self.evidence, self.show_button, self.copy_button]

    # -- what a person does ------------------------------------------------------------------------

    def _toggle_open(self) -> None:
        self.open = not self.open
        self._renew()
        self.folded.emit()

    def _toggle_evidence(self) -> None:
        self.told = not self.told
        self._renew()
        self.folded.emit()

    def _remedy(self, place: int) -> None:
        if self.look is not None:  # what the button says, whatever the run has said since it was drawn
            self.remedied.emit(self.look.remedies[place].remedy)

    def _show(self) -> None:
        if self.look is not None:
            self.shown.emit(self.look.finding.panel)

    def copy(self) -> None:
        """The finding to the clipboard, as plain text."""
        if self.look is not None:
            QGuiApplication.clipboard().setText(copied(self.look))

    def event(self, event: QEvent) -> bool:
        # the window's own Ctrl+C, for the numbers under the mouse, gives way to that of the card in focus
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and event.matches(
                QKeySequence.StandardKey.Copy):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif self.hasFocus() and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._toggle_open() if self.look is not None and self.look.gone else self._toggle_evidence()
        else:
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._renew()

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        if self.look is None:
            return
        theme, severity = self.theme, self.look.finding.severity
        mark = theme.muted if self.look.faded else color_of(severity, theme)
        painter = QPainter(self)
        painter.setPen(QPen(QColor(theme.accent if self.hasFocus() else theme.border), 1))
        painter.setBrush(QColor(theme.window))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.fillRect(QRect(0, 0, STRIPE, self.height()), QColor(mark))
        left = STRIPE + PAD
        paint_sign(painter, QRectF(left - 2, PAD, SIGN, SIGN), severity, mark)
        left += SIGN + GAP
        self._head.paint(painter, left, PAD)
        self._refusal.paint(painter, left, self._places[0])
        self._evidence.paint(painter, left, self._places[1])
        painter.end()
