"""The sheet of everything that asks for values: the form, and the windows that ask for some of the same."""

from __future__ import annotations

from PySide6.QtGui import QColor

from ui.theme import Theme


def form_sheet(theme: Theme) -> str:
    """Colors and edges of editors, cards and section heads."""
    surface = QColor(theme.surface).name()
    return f"""
#formBody {{ background: {theme.window}; }}
#card {{ background: {surface}; border: 1px solid {theme.border}; border-radius: 5px; }}
#smallButton {{ padding: 0; }}
#sectionHead {{ text-align: left; font-weight: 600; padding: 5px 4px; border: 0;
               border-bottom: 1px solid {theme.border}; border-radius: 0; }}
#sectionHead:focus {{ border-bottom-color: {theme.accent}; }}
QLineEdit, QPlainTextEdit {{ background: {surface}; border: 1px solid {theme.border}; border-radius: 4px;
               padding: 2px 4px; selection-background-color: {theme.accent}; selection-color: {theme.on_accent}; }}
QPlainTextEdit {{ padding: 0; }}
QLineEdit:focus, QPlainTextEdit:focus {{ border-color: {theme.accent}; }}
QLineEdit[wrong="true"], QPlainTextEdit[wrong="true"] {{ border-color: {theme.danger}; }}
"""
