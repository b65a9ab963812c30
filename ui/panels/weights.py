"""The weights of the loss terms, and the controls that change them while a run goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QValidator
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QLabel,
    QSizePolicy,
    QStackedWidget,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from core.choices import RECOVERY
from core.frames import ScalarsFrame
from studio.messages import ENDED, RunState, Status, Update
from ui.panels.curves import CurvePanel
from ui.panels.panel import Explanation, Lane, loss_terms
from ui.panels.rules import RULES
from ui.plots.curves import table_of
from ui.plots.targets import SUFFIX, TargetCurves, put_in_place, target_of
from ui.theme import font

FEW = 2  # terms at most that all have their weights in sight
LONGEST_NAME = 140  # pixels
HOLD = 1.5  # seconds that a control keeps what a person chose, until the run has answered


@dataclass(slots=True)
class Controls:
    """The controls of one lane."""

    rule: QComboBox
    weights: dict[str, QDoubleSpinBox] = field(default_factory=dict)
    touched: float = 0.0


class WeightBox(QDoubleSpinBox):
    """A weight: zero or positive, in steps of its own size, without zeros that say nothing."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setDecimals(12)
        self.setRange(0.0, 1e9)
        self.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        self.setKeyboardTracking(False)
        self.setMinimumWidth(64)

    def textFromValue(self, value: float) -> str:  # noqa: N802 - Qt's name
        return f"{value:.4g}"

    def valueFromText(self, text: str) -> float:  # noqa: N802
        try:
            return float(text)
        except ValueError:
            return self.value()

    def validate(self, text: str, place: int) -> object:
        try:
            good = self.minimum() <= float(text) <= self.maximum()
        except ValueError:
            good = False
        if good:
            return QValidator.State.Acceptable, text, place
        # A comma may part decimals or thousands. It is left to be seen, and is no number: 3,5 must not become 35.
        possible = all(letter in "0123456789.,eE+-" for letter in text)
        return (QValidator.State.Intermediate if possible else QValidator.State.Invalid), text, place

    def fixup(self, text: str) -> str:
        """What was typed is no weight: the last one stays, and a sentence says what would be one."""
        low, high = f"{self.minimum():g}", f"{self.maximum():g}".replace("e+0", "e")
        QToolTip.showText(self.mapToGlobal(self.rect().bottomLeft()), f"'{text}' is no weight, so {self.text_now()} "
                          f"stays. A weight is a number from {low} to {high}, such as 0.5 or 1e-3.", self)
        return self.text_now()

    def text_now(self) -> str:
        """The weight that holds, as it is written."""
        return self.textFromValue(self.value())


class WeightsPanel(CurvePanel):
    """The weight that multiplies every loss term, with live controls for each lane."""

    id = "weights"
    title = "Weights"
    tip = (
        "The weight that multiplies each loss term in the total, on a logarithmic axis. Change the balancing or a "
        "weight here while it trains: it holds from the next step."
    )
    explanation = Explanation(
        sentences=(
            "The weight that multiplies each loss term, on a logarithmic axis, and dotted in the same color the target "
            "that the balancing rule last computed for it.",
            "A rule moves the weight a part of the way to its target at a time, so the weight is the smooth curve and "
            "the target the restless one behind it.",
            "Healthy are weights that settle, with targets that scatter evenly around them.",
            "Ill are weights that run away by decades, or targets far above the weight for the whole run: the average "
            "is too slow, or the term's gradient is nearly zero.",
            "Choose another rule or set the weight by hand here while it trains; the change holds from the next step "
            "and stands in the run's journal.",
        ),
        formulas=(
            r"\lambda_i \leftarrow (1 - \alpha) \lambda_i + \alpha \hat\lambda_i",
            r"\mathrm{SIAM}: \ \hat\lambda_i = \frac{\max_\theta |\nabla_\theta L_r|}"
            r"{\overline{|\nabla_\theta \lambda_i L_i|}}, \quad "
            r"\mathrm{arXiv}: \ \hat\lambda_i = \frac{\max_\theta |\nabla_\theta L_r|}{\overline{|\nabla_\theta L_i|}}",
        ),
        source="Wang, Teng & Perdikaris 2021, SIAM J. Sci. Comput. 43(5), Algorithm 2.1; arXiv 2001.04536, Algorithm "
               "1; the other rules are explained in the list",
    )
    kinds = frozenset({"scalars", "status"})
    quantity = "weight"
    view: TargetCurves

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        targets = TargetCurves(self.figure, logarithmic=True, quantity=self.quantity, grain=self.grain)
        put_in_place(self.view, targets, self.figure, self.color)
        self.view = targets
        self.view.plot.pointed.connect(self.pointed)
        self.controls: dict[int, Controls] = {}
        self._status: dict[int, Status] = {}
        self._box = QWidget(self)
        layout = self.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.insertWidget(1, self._box)

    def names(self, lanes: Sequence[Lane]) -> Sequence[str]:
        return loss_terms(lanes)[0]

    def numbers(self, frame: ScalarsFrame) -> Mapping[str, float]:
        return {**frame.weights, **{target_of(term): value for term, value in frame.targets.items()}}

    def color(self, name: str) -> str:
        """A target has the color of its term."""
        terms = [known for known in self.view.names_drawn if not known.endswith(SUFFIX)]
        return self.theme.term(terms.index(name.removesuffix(SUFFIX)))

    def table(self) -> tuple[list[str], list[list[float | str]]]:
        """All weights and targets, one row for each step."""
        return table_of([*self.view.in_order(), *self.view.targets()],
                        {lane.index: lane.label for lane in self.lanes})

    # -- controls ----------------------------------------------------------------------------------

    def begin(self, lanes: Sequence[Lane]) -> None:
        super().begin(lanes)
        self._status = {}
        self._build_controls()

    def _build_controls(self) -> None:
        old = self._box
        self._box = QWidget(self)
        layout = self.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.replaceWidget(old, self._box)
        old.hide()
        old.deleteLater()
        grid = QGridLayout(self._box)
        grid.setContentsMargins(10, 2, 10, 4)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(3)
        self.controls = {}
        terms, residual = loss_terms(self.lanes)
        free = [term for term in terms if term not in residual]
        row = 0
        for lane in self.lanes:
            grid.addWidget(_name(lane.label, self._box), row, 0)
            controls = Controls(self._rule_box(lane))
            grid.addWidget(controls.rule, row, 1)
            own = [term for term in free if term in lane.experiment.terms]
            controls.weights = {term: self._weight_box(lane, term) for term in own}
            if len(own) > FEW:
                row += self._chosen_one(grid, row, controls)
            else:
                row += self._side_by_side(grid, row, controls)
            self.controls[lane.index] = controls
            self._allow(controls, lane.experiment.balancing.rule, ended=False)
        grid.setColumnStretch(6, 1)

    def _side_by_side(self, grid: QGridLayout, row: int, controls: Controls) -> int:
        """Two weights with their names in each row; how many rows that are."""
        for index, (term, box) in enumerate(controls.weights.items()):
            name = _name(term, self._box)
            name.setBuddy(box)
            grid.addWidget(name, row + index // 2, 2 + 2 * (index % 2))
            grid.addWidget(box, row + index // 2, 3 + 2 * (index % 2))
        return max(1, -(-len(controls.weights) // 2))

    def _chosen_one(self, grid: QGridLayout, row: int, controls: Controls) -> int:
        """One weight, of the term that is chosen beside it: many terms would leave the curves no room."""
        terms = QComboBox(self._box)
        terms.setFont(font(9))
        terms.addItems(list(controls.weights))
        terms.setToolTip("The loss term whose weight stands beside this.")
        terms.setAccessibleName("Loss term")
        terms.setMinimumContentsLength(8)
        terms.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        boxes = QStackedWidget(self._box)
        for box in controls.weights.values():
            boxes.addWidget(box)
        boxes.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        terms.currentIndexChanged.connect(boxes.setCurrentIndex)
        grid.addWidget(terms, row, 2)
        grid.addWidget(boxes, row, 3)
        return 1

    def _rule_box(self, lane: Lane) -> QComboBox:
        box = QComboBox(self._box)
        box.setFont(font(9))
        for place, (rule, words) in enumerate(RULES.items()):
            box.addItem(words.name, rule)
            box.setItemData(place, words.tip, Qt.ItemDataRole.ToolTipRole)
        box.setCurrentIndex(max(0, box.findData(lane.experiment.balancing.rule)))
        box.setToolTip("How the loss terms are weighted against each other, from the next step on.")
        box.setAccessibleName(f"Balancing of {lane.label or 'the run'}")
        box.setMinimumContentsLength(13)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setProperty("lane", lane.index)
        box.activated.connect(self._rule_chosen)
        return box

    def _weight_box(self, lane: Lane, term: str) -> QDoubleSpinBox:
        box = WeightBox(self._box)
        box.setFont(font(9))
        box.setValue(lane.experiment.balancing.weights.get(term, 1.0))
        box.setAccessibleName(f"Weight of {term} in {lane.label or 'the run'}")
        box.setProperty("lane", lane.index)
        box.setProperty("term", term)
        box.valueChanged.connect(self._weight_chosen)
        return box

    def _rule_chosen(self) -> None:
        box = self.sender()
        assert isinstance(box, QComboBox)
        lane, rule = int(box.property("lane")), str(box.currentData())
        controls = self.controls[lane]
        controls.touched = time.monotonic()
        self._allow(controls, rule, ended=False)
        self.command.emit(lane, "balancing", rule)

    def _weight_chosen(self, value: float) -> None:
        box = self.sender()
        assert isinstance(box, QDoubleSpinBox)
        lane = int(box.property("lane"))
        self.controls[lane].touched = time.monotonic()
        self.command.emit(lane, "weight", (str(box.property("term")), float(value)))

    @staticmethod
    def _allow(controls: Controls, rule: str, *, ended: bool) -> None:
        """By hand only where the rule leaves the weight alone, and only while there is a run to change."""
        controls.rule.setEnabled(not ended)
        for term, box in controls.weights.items():
            by_hand = rule == "fixed" or term == RECOVERY  # which no rule touches
            box.setEnabled(by_hand and not ended)
            box.setToolTip(
                "The weight of this term from the next step on."
                if by_hand
                else "The balancing moves this weight; choose 'fixed' to set it by hand."
            )

    # -- data --------------------------------------------------------------------------------------

    def receive(self, lane: int, update: Update) -> None:
        super().receive(lane, update)
        old = self._status.get(lane)
        now = update.status
        if old is None or (old.state, old.balancing, old.weights) != (now.state, now.balancing, now.weights):
            self.pending = True
        self._status[lane] = now

    def draw(self) -> None:
        super().draw()
        now = time.monotonic()
        for lane, controls in self.controls.items():
            status = self._status.get(lane)
            if status is None or status.state in (RunState.READY, RunState.PREPARING):
                continue  # what it says of balancing and weights is not from a trainer yet
            if now - controls.touched < HOLD:
                self.pending = True
                continue
            self._follow(controls, status)

    def _follow(self, controls: Controls, status: Status) -> None:
        """Show what the run says, without saying it back."""
        place = controls.rule.findData(status.balancing)
        if place >= 0 and place != controls.rule.currentIndex() and not controls.rule.view().isVisible():
            controls.rule.setCurrentIndex(place)
        self._allow(controls, status.balancing, ended=status.state in ENDED)
        for term, box in controls.weights.items():
            value = status.weights.get(term)
            if (
                value is not None
                and value == value
                and abs(value - box.value()) > 1e-6 * abs(value) + 1e-6
                and not box.hasFocus()
            ):
                with QSignalBlocker(box):
                    box.setValue(value)


def _name(text: str, parent: QWidget) -> QLabel:
    """A label that does not make the window wider than its screen, however long the name is; all of it in its tip."""
    label = QLabel(parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    short = label.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, LONGEST_NAME)
    label.setText(short)
    if short != text:
        label.setToolTip(text)
    return label
