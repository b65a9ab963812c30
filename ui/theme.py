"""The colors of the window, light and dark, and how they are put on.

One palette serves every plot: a loss term keeps its color (by index) in every panel, a lane keeps its line style.
The term colors follow Okabe and Ito (2008), which people with any common color blindness can tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication

FONTS = Path(__file__).resolve().parent.parent / "resources" / "fonts"
FAMILY = "Inter"
POINTS = 10  # size of the window's text

_STYLED = "pinnscope.styled"  # property of an application that has the style

#: Line style of each lane, in every panel.
LANE_STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine)


@dataclass(frozen=True, kw_only=True, slots=True)
class Theme:
    """Color tokens as '#rrggbb'."""

    name: str
    dark: bool
    window: str  # behind everything
    surface: str  # panels, forms, menus
    plot: str  # inside the axes
    text: str
    muted: str  # secondary text, ticks
    border: str
    grid: str
    accent: str
    on_accent: str
    hover: str
    good: str
    warning: str
    danger: str
    terms: tuple[str, ...]  # loss terms by index
    tints: tuple[str, ...]  # the same, faint and opaque, for areas
    sequential: str  # color maps by name
    error: str
    diverging: str

    def term(self, index: int) -> str:
        """Color of the loss term with this index; begins again when there are more terms than colors."""
        return self.terms[index % len(self.terms)]

    def field(self, index: int) -> str:
        """Color of the field with this index, where several are drawn as curves: not that of an early loss term."""
        return self.terms[_FIELDS[index % len(_FIELDS)]]

    def tint(self, index: int) -> str:
        """The faint, opaque color under the curve of a loss term."""
        return self.tints[index % len(self.tints)]


def lane_style(lane: int) -> Qt.PenStyle:
    """Solid for lane 0, dashed for lane 1."""
    return LANE_STYLES[lane % len(LANE_STYLES)]


def mix(first: str, second: str, share: float) -> str:
    """`share` of the first color on the second, as an opaque '#rrggbb'."""
    a, b = QColor(first), QColor(second)
    pairs = ((a.red(), b.red()), (a.green(), b.green()), (a.blue(), b.blue()))
    return QColor(*(round(share * x + (1 - share) * y) for x, y in pairs)).name()


# The first eight are far from each other, the last four, for numbers learned in many sub-domains, less far.
_LIGHT_TERMS = ("#0072b2", "#d55e00", "#009e73", "#b0549a", "#a67c00", "#6a3fd0", "#6b6b6b", "#8c1d40",
                "#00a0ae", "#4d5f00", "#ef5a8c", "#0d3b66")
_DARK_TERMS = ("#56a8ec", "#ff8b3d", "#2fcf9f", "#e08fc8", "#ecc94b", "#9a7bff", "#b8bec8", "#ff5d6c",
               "#a5e3ff", "#8fae2e", "#c94fe0", "#1f9cab")

_FIELDS = (8, 10, 9, 7, 5, 6)  # places of the terms' colors

LIGHT = Theme(
    name="light",
    dark=False,
    window="#f3f4f6",
    surface="#ffffff",
    plot="#ffffff",
    text="#1b2330",
    muted="#5b6675",
    border="#d3d8e0",
    grid="#e6e9ee",
    accent="#2166c0",
    on_accent="#ffffff",
    hover="#e8eef7",
    good="#15803d",
    warning="#a15c00",
    danger="#c02b2b",
    terms=_LIGHT_TERMS,
    tints=tuple(mix(color, "#ffffff", 0.22) for color in _LIGHT_TERMS),
    sequential="viridis",
    error="CET-L17",
    diverging="CET-D1",
)

DARK = Theme(
    name="dark",
    dark=True,
    window="#14181f",
    surface="#1b2029",
    plot="#161b23",
    text="#e7ebf1",
    muted="#9aa5b4",
    border="#343c49",
    grid="#272e39",
    accent="#5b9df0",
    on_accent="#0d1320",
    hover="#27303d",
    good="#4ade80",
    warning="#f5b04c",
    danger="#ff7b7b",
    terms=_DARK_TERMS,
    tints=tuple(mix(color, "#161b23", 0.28) for color in _DARK_TERMS),
    sequential="viridis",
    error="inferno",
    diverging="CET-D1",
)

THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


@cache
def load_fonts() -> str:
    """Register the bundled font; the name of the family to use (the system's own where that fails)."""
    if FAMILY in QFontDatabase.families():
        return FAMILY
    loaded = [QFontDatabase.addApplicationFont(str(path)) for path in sorted(FONTS.glob("*.otf"))]
    if any(number >= 0 for number in loaded) and FAMILY in QFontDatabase.families():
        return FAMILY
    return QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont).family()


def font(points: float = POINTS, *, bold: bool = False) -> QFont:
    """The window's font in a size in points. Needs a running application."""
    out = QFont(load_fonts())
    out.setPointSizeF(points)
    if bold:
        out.setWeight(QFont.Weight.DemiBold)
    return out


def palette(theme: Theme) -> QPalette:
    """The theme as Qt's palette, for all three states of a widget."""
    out = QPalette()
    role = QPalette.ColorRole
    for where, color in (
        (role.Window, theme.window), (role.WindowText, theme.text), (role.Base, theme.surface),
        (role.AlternateBase, theme.window), (role.Text, theme.text), (role.Button, theme.surface),
        (role.ButtonText, theme.text), (role.BrightText, theme.danger), (role.ToolTipBase, theme.surface),
        (role.ToolTipText, theme.text), (role.PlaceholderText, theme.muted), (role.Highlight, theme.accent),
        (role.HighlightedText, theme.on_accent), (role.Accent, theme.accent), (role.Link, theme.accent),
        (role.LinkVisited, theme.accent), (role.Light, mix("#ffffff", theme.surface, 0.06 if theme.dark else 1.0)),
        (role.Midlight, theme.hover), (role.Mid, theme.border),
        (role.Dark, mix("#000000", theme.border, 0.35)), (role.Shadow, mix("#000000", theme.border, 0.6)),
    ):  # fmt: skip
        out.setColor(where, QColor(color))
    faded = QColor(mix(theme.muted, theme.surface, 0.7))
    for where in (role.WindowText, role.Text, role.ButtonText):
        out.setColor(QPalette.ColorGroup.Disabled, where, faded)
    out.setColor(QPalette.ColorGroup.Disabled, role.Highlight, QColor(theme.border))
    return out


def style_sheet(theme: Theme) -> str:
    """The little that a palette cannot say."""
    return f"""
QToolTip {{ color: {theme.text}; background: {theme.surface}; border: 1px solid {theme.border}; padding: 4px 6px; }}
QMainWindow::separator {{ background: {theme.window}; width: 5px; height: 5px; }}
QMainWindow::separator:hover {{ background: {theme.accent}; }}
QToolBar {{ background: {theme.window}; border: 0; border-bottom: 1px solid {theme.border}; }}
QToolBar {{ padding: 3px; spacing: 3px; }}
QStatusBar {{ background: {theme.window}; border-top: 1px solid {theme.border}; }}
QStatusBar::item {{ border: 0; }}
QDockWidget {{ font-weight: 600; }}
QDockWidget::title {{ background: {theme.window}; padding: 5px 8px; }}
QToolButton {{ border: 1px solid transparent; border-radius: 4px; padding: 3px 6px; }}
QToolButton:hover {{ background: {theme.hover}; border-color: {theme.border}; }}
QToolButton:checked {{ background: {theme.hover}; border-color: {theme.accent}; }}
QToolButton:focus {{ border-color: {theme.accent}; }}
QToolButton::menu-indicator {{ image: none; width: 0; }}
#panelTitle {{ font-weight: 600; }}
#panelHeader {{ background: {theme.surface}; }}
#panelHelp {{ color: {theme.muted}; padding: 0 4px; }}
Panel {{ background: {theme.surface}; }}
"""


def apply(app: QApplication, theme: Theme) -> None:
    """Put the theme on the application: style, font, palette and style sheet. Panels restyle their plots themselves."""
    # The style once: each time it is set, every widget of the window is polished anew, which takes a second. With a
    # style sheet the application's style is Qt's own proxy, which does not tell what is behind it.
    if app.property(_STYLED) is None:
        app.setProperty(_STYLED, True)
        app.setStyle("Fusion")
        app.setFont(font())
    app.setPalette(palette(theme))
    app.setStyleSheet(style_sheet(theme))
