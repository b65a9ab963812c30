"""The theme: both palettes, the font, contrast."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from PySide6.QtGui import QColor, QFontMetricsF, QPalette
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from ui import theme as themes
from ui.plots.maps import lookup
from ui.theme import DARK, LIGHT, Theme


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2.1 defines it."""
    parts = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4
        for part in QColor(color).getRgbF()[:3]
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda t: t.name)
def test_text_and_curves_can_be_read(theme: Theme) -> None:
    for back in (theme.window, theme.surface, theme.plot):
        assert contrast(theme.text, back) > 7
        assert contrast(theme.muted, back) > 4.5
        for color in (theme.good, theme.warning, theme.danger):
            assert contrast(color, back) > 4.5
    assert contrast(theme.on_accent, theme.accent) > 4.5
    for color in theme.terms:
        assert contrast(color, theme.plot) > 3  # WCAG: graphical objects


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda t: t.name)
def test_every_color_is_opaque_and_the_palette_has_no_twins(theme: Theme) -> None:
    colors = [v for v in asdict(theme).values() if isinstance(v, str) and v.startswith("#")]
    assert all(QColor(color).isValid() and len(color) == 7 for color in [*colors, *theme.terms, *theme.tints])
    assert len(set(theme.terms)) == len(theme.terms) == len(theme.tints)
    assert theme.term(0) == theme.term(len(theme.terms))


def lab(color: str) -> np.ndarray:
    """CIE L*a*b* of an sRGB color under D65."""
    part = np.array(QColor(color).getRgbF()[:3])
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = matrix @ linear / (0.95047, 1.0, 1.08883)
    f = [np.cbrt(v) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda t: t.name)
def test_eight_terms_are_told_apart_and_twelve_do_not_repeat(theme: Theme) -> None:
    """CIE 1976 color differences; 2.3 is just noticeable."""
    colors = np.array([lab(theme.term(index)) for index in range(12)])
    apart = np.linalg.norm(colors[:, None] - colors[None], axis=-1) + 1000 * np.eye(12)
    assert apart[:8, :8].min() > 30 and apart.min() > 20


def test_apply_sets_the_palette_and_can_change_it(qapp: QApplication, qtbot: QtBot) -> None:
    label = QLabel("text")
    qtbot.addWidget(label)
    label.show()
    for theme in (DARK, LIGHT):
        themes.apply(qapp, theme)
        assert qapp.palette().color(QPalette.ColorRole.Window) == QColor(theme.window)
        assert label.palette().color(QPalette.ColorRole.WindowText) == QColor(theme.text)


def test_the_style_is_set_once_however_often_the_theme_changes(
        qapp: QApplication, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[str] = []
    themes.apply(qapp, LIGHT)
    monkeypatch.setattr(type(qapp), "setStyle", lambda _, style: set_to.append(style))
    for theme in (DARK, LIGHT):
        themes.apply(qapp, theme)
    assert set_to == [], "every widget is polished anew by it: the window stands still for a second"


def test_the_bundled_font_is_used_and_has_the_letters_of_the_axes(qapp: QApplication) -> None:
    used = themes.font()
    assert used.family() == "Inter"
    metrics = QFontMetricsF(used)
    for letter in "\u2212\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2079\u03bb\u2202\u00d7\u00b1\u00b7":
        assert metrics.inFontUcs4(ord(letter)), letter
    assert sum(path.stat().st_size for path in themes.FONTS.iterdir()) < 1_500_000
    assert "SIL Open Font License" in (themes.FONTS / "OFL.txt").read_text()


def test_lanes_differ_by_line_style() -> None:
    assert themes.lane_style(0) != themes.lane_style(1)
    assert themes.mix("#ffffff", "#000000", 0.5) in ("#808080", "#7f7f7f")


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda t: t.name)
def test_an_error_is_told_by_its_lightness_alone(theme: Theme) -> None:
    """Sequential for every eye: lightness goes one way, in steps of the same size; no error is the light theme's
    own surface."""
    colors = [QColor(int(pixel) & 0xFFFFFF) for pixel in lookup(theme.error)]
    part = np.array([luminance(color.name()) for color in colors])
    light = np.where(part > 0.008856, 116 * np.cbrt(part) - 16, 903.3 * part)  # CIE L*
    steps = np.diff(light[::16]) * (1 if theme.dark else -1)
    assert steps.min() > 0.35 * steps.max() and abs(light[-1] - light[0]) > 60
    if not theme.dark:
        assert colors[0] == QColor(theme.surface)
