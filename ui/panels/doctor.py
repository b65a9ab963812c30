"""What the doctor finds, in words, with what mends it a click away."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import SIGNAL, Qt, Signal
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from studio.findings import Remedy, Severity
from studio.messages import Update
from ui.panels.finding_card import Card
from ui.panels.finding_column import ChangeRow, Column, Part, Words
from ui.panels.finding_words import OVER, changed, headline, look, sentence
from ui.panels.findings_seen import Case, LaneFindings
from ui.panels.panel import Explanation, Lane, Panel
from ui.theme import Theme

GRAVEST = (Severity.SERIOUS, Severity.WARNING, Severity.NOTE)


class DoctorPanel(Panel):
    """A card for each finding of each lane; below them, folded, those that are gone."""

    id = "doctor"
    title = "Doctor"
    tip = "What is wrong with the run, in words, with the measured evidence and the change that mends it."
    area = "right"
    kinds = frozenset({"status"})
    interval = 0.5
    explanation = Explanation(
        sentences=(
            "About once a second the doctor holds what was measured against rules and says what they find; a card "
            "has the finding, the numbers, the threshold and the source of its rule.",
            "A finding appears when its rule has spoken at three looks in a row, at once where it is certain, such as "
            "a loss that is no longer a number, and it goes when the rule has been silent for three looks.",
            "Healthy is no finding; a note is worth knowing, with a warning the answer is worse than it need be, and "
            "with a serious finding it is wrong, or the run is lost.",
            "'Show' brings the picture behind a finding to the front: look at it before you believe a rule.",
            "A remedy changes settings between two steps while the run goes on and stands in the journal; Undo takes "
            "it back, and then all that is still true is found anew.",
        ),
        formulas=(
            r"\frac{\lVert w_r \nabla_\theta L_r \rVert}{\lVert w_k \nabla_\theta L_k \rVert} > 10, \quad "
            r"\sqrt{\frac{L_k}{s_k}} > 0.1",
            r"\lambda_{\max}(H) > \frac{2}{\eta}",
        ),
        source="Examples: a starved term k (s_k is its size; the limits are this program's) and unstable gradient "
               "descent, after Wang, Teng & Perdikaris 2021, section 2; every card names the source of its rule",
    )

    wanted_panel = Signal(str)  # the identifier of a panel that is to come to the front
    into_form = Signal(object)  # a Remedy whose settings are to be put into the form

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._seen: dict[int, LaneFindings] = {}
        self._cards: dict[tuple[int, int], Card] = {}
        self._order: list[QWidget] = []
        self.column = Column()
        self.sentence = Words(self.column)
        self.heading = Words(self.column)
        self.changes: dict[int, ChangeRow] = {}  # by lane
        for part in (self.sentence, self.heading):
            part.resized.connect(self.column.needs)
        self.scroller = QScrollArea(self.figure)
        self.scroller.setWidgetResizable(True)
        self.scroller.setFrameShape(QScrollArea.Shape.NoFrame)
        self.scroller.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroller.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.scroller.setWidget(self.column)
        self.scroller.viewport().setAutoFillBackground(False)
        self.column.setAutoFillBackground(False)
        layout = QVBoxLayout(self.figure)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.scroller)

    # -- what comes --------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._seen = {lane.index: LaneFindings() for lane in lanes}
        for card in self._cards.values():
            card.hide()
            card.deleteLater()
        self._cards, self._order = {}, []
        for part in (self.heading, *self.changes.values()):
            part.hide()
        self.column.set_parts([self.sentence])

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        seen = self._seen.get(lane)
        if seen is None:
            return
        step = seen.step
        moved = seen.receive(update)
        # while something is found, the sentence above has no step in it
        if moved or (seen.step != step and not any(one.now for one in self._seen.values())):
            self.pending = True

    # -- what is drawn -----------------------------------------------------------------------------

    def draw(self) -> None:
        super().draw()
        theme = self.theme
        self.sentence.set(headline(list(self._seen.values()), self.at), f"color:{theme.text}; font-weight:600")
        parts: list[Part] = [self.sentence]
        for lane in self.lanes:
            if row := self._change_row(lane):
                parts.append(row)
        now, earlier = self._cases()
        parts += [self._card(lane, case) for lane, case in now]
        if earlier:
            more = sum(seen.dropped for seen in self._seen.values())
            self.heading.set(f"Earlier ({len(earlier)})" + (f", and {more} older that are not listed" if more else ""),
                             f"color:{theme.muted}; font-weight:600")
            parts += [self.heading, *(self._card(lane, case) for lane, case in earlier)]
        self._drop({(lane.index, case.number) for lane, case in (*now, *earlier)})
        for part in (self.heading, *self.changes.values()):
            if part not in parts:
                part.hide()
        self.column.set_parts(parts)
        self._set_tab_order(parts)

    def _cases(self) -> tuple[list[tuple[Lane, Case]], list[tuple[Lane, Case]]]:
        """What is found now, the gravest first, then the oldest; and what was, the last to go first."""
        now = [(lane, case) for lane in self.lanes for case in self._seen[lane.index].now.values()]
        earlier = [(lane, case) for lane in self.lanes for case in self._seen[lane.index].earlier]
        now.sort(key=lambda one: (GRAVEST.index(one[1].finding.severity), one[1].finding.step, one[0].index))
        earlier.sort(key=lambda one: (-(one[1].gone or 0), not one[1].answers, -one[1].number, one[0].index))
        return now, earlier

    def _card(self, lane: Lane, case: Case) -> Card:
        key = (lane.index, case.number)
        card = self._cards.get(key)
        if card is None:
            card = self._cards[key] = Card(self.column)
            card.theme = self.theme
            card.resized.connect(self.column.needs)
            card.folded.connect(self.column.arrange)
            card.shown.connect(self.wanted_panel)
            card.remedied.connect(lambda remedy, lane=lane, case=case: self._remedy(lane, case, remedy))
        panel = _titles().get(case.finding.panel, "") if self._heard("wanted_panel(QString)") else ""
        card.set_look(look(case, lane, self._seen[lane.index], several=len(self.lanes) > 1, at=self.at,
                           panel="" if case.finding.panel == self.id else panel,
                           form=self._heard("into_form(PyObject)")))
        return card

    def _change_row(self, lane: Lane) -> ChangeRow | None:
        seen = self._seen[lane.index]
        changes = seen.changes()
        if not changes and not seen.refused_undo:
            return None
        row = self.changes.get(lane.index)
        if row is None:
            row = self.changes[lane.index] = ChangeRow(self.column)
            row.undo.connect(lambda lane=lane.index: self._undo(lane))
            row.resized.connect(self.column.needs)
        why_not = (f"{OVER}: nothing can be undone." if seen.over else "It is being undone." if seen.undoing else
                   "" if changes else "Nothing was changed while this run trains.")
        label = f"{lane.label}: " if len(self.lanes) > 1 else ""
        row.set(label + (changed(changes) if changes else ""), seen.refused_undo,
                "Undo" if len(changes) < 2 else "Undo the last", why_not, self.theme)
        return row

    def _drop(self, keep: set[tuple[int, int]]) -> None:
        for key in self._cards.keys() - keep:
            card = self._cards.pop(key)
            card.hide()
            card.deleteLater()

    def _set_tab_order(self, parts: Sequence[Part]) -> None:
        """Down the column, each card with its buttons."""
        order: list[QWidget] = []
        for part in parts:
            order += part.controls() if isinstance(part, Card) else [part.button] if isinstance(part, ChangeRow) else []
        if order != self._order:
            for before, after in zip(order, order[1:], strict=False):
                QWidget.setTabOrder(before, after)
            self._order = order

    def _heard(self, signal: str) -> bool:
        """Whether somebody listens: a button that would do nothing is not shown."""
        return self.receivers(SIGNAL(signal)) > 0

    # -- what a person does ------------------------------------------------------------------------

    def _remedy(self, lane: Lane, case: Case, remedy: Remedy) -> None:
        seen = self._seen[lane.index]
        if seen.over:
            self.into_form.emit(remedy)
            return
        seen.ask(case, remedy)
        self.draw()
        self.command.emit(lane.index, "change", remedy)

    def _undo(self, lane: int) -> None:
        self._seen[lane].ask_undo()
        self.draw()
        self.command.emit(lane, "undo", None)

    # -- looks, steps and numbers ------------------------------------------------------------------

    def set_now(self, step: float | None) -> None:
        """What was found first after that step is dimmed when the cards are drawn next."""
        self.pending = True

    def restyle(self, theme: Theme) -> None:
        super().restyle(theme)
        for card in self._cards.values():
            card.restyle(theme)
        self.draw()

    def picture(self) -> QWidget:
        self.column.arrange()
        self.column.resize(self.column.width(), max(self.column.height(), self.column.minimumHeight()))
        return self.column

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """One row for each finding, those of now first; 'to step' is empty for what is true now."""
        rows: list[list[float | str]] = []
        now, earlier = self._cases()
        for lane, case in (*now, *earlier):
            finding = case.finding
            done = "; ".join(f"{key[0]} ({answer.kind} at step {answer.step})" if answer.step else f"{key[0]} "
                             f"({answer.kind})" for key, answer in case.answers.items())
            rows.append([lane.label, finding.severity.value, finding.rule, finding.subject, finding.title,
                         finding.step, "" if case.gone is None else case.gone, sentence(finding.text),
                         finding.evidence, finding.threshold, finding.source, done])
        return ["lane", "severity", "rule", "subject", "title", "from step", "to step", "text", "evidence",
                "threshold", "source", "remedies"], rows


def _titles() -> dict[str, str]:
    """The title of every panel, by identifier."""
    from ui.panels import PANELS  # which imports this

    return {kind.id: kind.title for kind in PANELS}
