"""The program's own line icons, drawn in the color of the theme."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PySide6.QtCore import QByteArray, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QImage, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

FOLDER = Path(__file__).resolve().parent.parent / "resources" / "icons"
SIZES = (16, 24, 48)


def names() -> list[str]:
    """The icons there are."""
    return sorted(path.stem for path in FOLDER.glob("*.svg"))


def icon(name: str, color: QColor, disabled: QColor | None = None) -> QIcon:
    """The icon `name` with its lines in `color`, and in `disabled` where the control is. Sharp at every scale.

    Raises FileNotFoundError for a name that has no file.
    """
    faint = disabled if disabled is not None else QColor(color.red(), color.green(), color.blue(), 90)
    result = QIcon()
    for mode, shade in ((QIcon.Mode.Normal, color), (QIcon.Mode.Disabled, faint)):
        for size in SIZES:
            result.addPixmap(QPixmap.fromImage(_drawn(name, shade.rgba(), size)), mode)
    return result


@lru_cache(maxsize=512)
def _drawn(name: str, color: int, size: int) -> QImage:
    """One picture of an icon. An image may outlive the application, which a pixmap may not."""
    shade = QColor.fromRgba(color)
    text = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    renderer = QSvgRenderer(QByteArray(text.replace("currentColor", shade.name(QColor.NameFormat.HexRgb)).encode()))
    image = QImage(QSize(size, size), QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setOpacity(shade.alphaF())
    renderer.render(painter)
    painter.end()
    return image
