"""The window that asks for another optimizer while a run goes on."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from studio.experiment import explain
from studio.phases import PhaseSpec
from ui.forms.field import MessageLabel
from ui.forms.looks import form_sheet
from ui.forms.phases import PhaseFields
from ui.forms.schema import flat
from ui.theme import Theme

TEXT = ("The run goes on from where it is with another optimizer, as a phase of its own; what was planned after the "
        "present one comes after it. Run > Undo the last change takes it back.")


class SwitchDialog(QDialog):
    """Asks for a phase. `apply` is given it and says why it cannot be: (path of the setting or '', sentence)."""

    def __init__(self, parent: QWidget, theme: Theme, apply: Callable[[PhaseSpec], list[tuple[str, str]]]) -> None:
        super().__init__(parent)
        self._apply = apply
        self.setWindowTitle("Switch optimizer")
        self.setModal(True)
        text = QLabel(TEXT, self)
        text.setWordWrap(True)
        self.settings = PhaseFields(flat(PhaseSpec), str, self)
        for field in self.settings.fields:
            field.set_raw(field.row.default or "")
        self.settings.show_relevant()
        self.settings.setObjectName("formBody")
        for field in self.settings.fields:
            field.edited.connect(self.check)
        self.area = QScrollArea(self)
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        inside = QWidget(self.area)
        inside.setObjectName("formBody")
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 8, 0)
        column.addWidget(self.settings)
        column.addStretch(1)
        self.area.setWidget(inside)
        self.message = MessageLabel(self)
        self.message.set_color(theme.danger)
        self.switch_button = QPushButton("Switch", self)
        self.switch_button.setDefault(True)
        self.switch_button.clicked.connect(self.switch)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel, self)
        buttons.addButton(self.switch_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(18, 14, 18, 12)
        layout.setSpacing(10)
        layout.addWidget(text)
        layout.addWidget(self.area, 1)
        layout.addWidget(self.message)
        layout.addWidget(buttons)
        self.setStyleSheet(form_sheet(theme))
        self.settings.restyle(theme)
        self.resize(430, 430)

    def check(self) -> PhaseSpec | None:
        """The phase that is typed; None where something is wrong, with a message at its field."""
        self.settings.show_relevant()
        wrong: dict[str, str] = {}
        for field in self.settings.fields:
            try:
                field.value()
            except ValueError as error:
                wrong[field.row.name] = str(error)
        phase = None
        if not wrong:
            try:
                phase = PhaseSpec.model_validate(self.settings.nested())
            except ValidationError as error:
                wrong = dict(explain(error))
        self._show(wrong)
        self.switch_button.setEnabled(phase is not None)
        return phase

    def _show(self, wrong: dict[str, str]) -> None:
        """Every sentence at its field; what has none below all of them."""
        left = dict(wrong)
        for field in self.settings.fields:
            name = field.row.name
            own = next((key for key in left if key == name or key.startswith(f"{name}.")), "")
            field.show_problem(left.pop(own) if own else "")
        self.message.say(" ".join(f"{path}: {text}" if path else text for path, text in left.items()))
        self.settings.show_relevant()  # what is wrong is never hidden

    def switch(self) -> None:
        """Tell the run; stay open where it refuses, with its reason."""
        phase = self.check()
        if phase is None:
            return
        refused = self._apply(phase)
        if refused:
            self._show(dict(refused))
        else:
            self.accept()
