"""The few windows that ask or tell."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QLabel,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from studio import __version__
from ui.actions import shortcuts


def ask(parent: QWidget, title: str, text: str, answers: Sequence[tuple[str, str]], *, safe: str) -> str:
    """Ask with one button for each (key, label); the key that was chosen, `safe` where the window was closed."""
    box = QMessageBox(QMessageBox.Icon.Question, title, text, QMessageBox.StandardButton.NoButton, parent)
    box.setTextFormat(Qt.TextFormat.PlainText)
    buttons: dict[QPushButton, str] = {}
    for key, label in answers:
        role = QMessageBox.ButtonRole.RejectRole if key == safe else QMessageBox.ButtonRole.AcceptRole
        button = box.addButton(label, role)
        buttons[button] = key
        if key == safe:
            box.setEscapeButton(button)
            box.setDefaultButton(button)
    box.exec()
    clicked = box.clickedButton()
    answer = next((key for button, key in buttons.items() if button is clicked), safe)
    box.deleteLater()
    return answer


class BusyDialog(QDialog):
    """Something small that says what is waited for; cannot be closed by a person."""

    def __init__(self, parent: QWidget, text: str) -> None:
        flags = Qt.WindowType.Dialog | Qt.WindowType.CustomizeWindowHint | Qt.WindowType.WindowTitleHint
        super().__init__(parent, flags)
        self.setWindowTitle("PINNscope")
        self.setModal(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 18, 24, 18)
        layout.addWidget(QLabel(text, self))
        bar = QProgressBar(self)
        bar.setRange(0, 0)
        bar.setTextVisible(False)
        layout.addWidget(bar)

    def reject(self) -> None:
        """Escape does not end the waiting."""


def tell(parent: QWidget, title: str, rows: Sequence[tuple[str, str]], text: str = "") -> QDialog:
    """A window of its own with a text and pairs of words, which stops nothing."""
    dialog = QDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(title)
    grid = QGridLayout(dialog)
    grid.setContentsMargins(20, 16, 20, 14)
    grid.setHorizontalSpacing(20)
    line = 0
    if text:
        label = QLabel(text, dialog)
        label.setWordWrap(True)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        label.setMinimumWidth(420)
        grid.addWidget(label, 0, 0, 1, 2)
        line = 1
    for number, (left, right) in enumerate(rows, line):
        head = QLabel(left, dialog)
        font = head.font()
        font.setBold(True)
        head.setFont(font)
        grid.addWidget(head, number, 0)
        grid.addWidget(QLabel(right, dialog), number, 1)
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, dialog)
    buttons.rejected.connect(dialog.reject)
    grid.addWidget(buttons, line + len(rows), 0, 1, 2)
    dialog.show()
    return dialog


def show_keys(parent: QWidget, panels: Sequence[tuple[str, str]]) -> QDialog:
    """The list of shortcuts; `panels` are those that show and hide a panel."""
    fields = [("Up, Down", "In a field with a number: the next larger or smaller one.")]
    return tell(parent, "Keyboard shortcuts", [*shortcuts(), *panels, *fields])


def show_about(parent: QWidget) -> QDialog:
    text = (f"<h3>PINNscope {__version__}</h3>"
            "<p>An experiment studio for physics-informed neural networks: it shows why a network fails while it "
            "trains, and what mends it.</p>"
            "<p>The first benchmark and the diagnostics of the gradient wall follow S. Wang, Y. Teng, P. Perdikaris, "
            "<i>Understanding and mitigating gradient flow pathologies in physics-informed neural networks</i>, "
            "SIAM J. Sci. Comput. 43(5), 2021.</p>"
            "<p>MIT licence. Window: Qt with PySide6 (LGPL). Plots: pyqtgraph (MIT). Typeface: Inter (OFL).</p>")
    return tell(parent, "About PINNscope", [], text)
