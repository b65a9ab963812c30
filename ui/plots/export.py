"""A widget as a picture file: PNG in any size, SVG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import QPoint, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QWidget

from ui.plots.canvas import Canvas, Readout
from ui.plots.plot import Plot


@contextmanager
def _painted_anew(widget: QWidget) -> Iterator[None]:
    """Canvases paint everything, instead of the pixels that they keep for the screen; nothing of the mouse is seen."""
    children = [widget, *widget.findChildren(QWidget)]
    canvases = [child for child in children if isinstance(child, Canvas)]
    for child in children:
        if isinstance(child, Readout):
            child.hide()
        elif isinstance(child, Plot):
            child.cursor.setVisible(False)
    for canvas in canvases:
        canvas.exporting = True
    try:
        yield
    finally:
        for canvas in canvases:
            canvas.exporting = False


def render_image(widget: QWidget, size: QSize, background: str) -> QImage:
    """The widget in exactly `size` pixels.

    The widget is laid out anew in the picture's shape, and painted with a device-pixel ratio, so that lines and
    letters grow with the picture instead of being stretched.
    """
    before = widget.size()
    width, height = max(1, before.width()), max(1, before.height())
    ratio = max(0.25, min(size.width() / width, size.height() / height))
    shape = QSize(max(1, round(size.width() / ratio)), max(1, round(size.height() / ratio)))
    image = QImage(size, QImage.Format.Format_RGB32)
    image.fill(QColor(background))
    if shape != before:
        widget.resize(shape)
    painter = QPainter(image)
    try:
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
        painter.scale(size.width() / shape.width(), size.height() / shape.height())
        with _painted_anew(widget):
            widget.render(painter, QPoint(0, 0), renderFlags=QWidget.RenderFlag.DrawChildren)
    finally:
        painter.end()
        if shape != before:
            widget.resize(before)
    return image


def render_png(widget: QWidget, path: Path, size: QSize, background: str) -> None:
    """Save the widget as PNG in `size` pixels. Raises OSError with a sentence."""
    with path.open("wb"):  # an unwritable path raises here, with the system's own reason
        pass
    image = render_image(widget, size, background)
    if not image.save(str(path), "PNG"):  # type: ignore[call-overload]  # a text is what it takes, not bytes
        raise OSError(f"the picture could not be written to {path}")


def render_svg(widget: QWidget, path: Path, background: str, title: str) -> None:
    """Save the widget as SVG in its own size. Raises OSError with a sentence."""
    with path.open("wb"):
        pass
    generator = QSvgGenerator()
    generator.setFileName(str(path))
    generator.setResolution(
        widget.logicalDpiX()
    )  # so that letters in points come out as large as on the screen
    generator.setSize(widget.size())
    generator.setViewBox(widget.rect())
    generator.setTitle(title)
    painter = QPainter()
    if not painter.begin(generator):
        raise OSError(f"the drawing could not be written to {path}")
    try:
        painter.fillRect(widget.rect(), QColor(background))
        painter.setPen(Qt.PenStyle.NoPen)
        with _painted_anew(widget):
            widget.render(painter, QPoint(0, 0), renderFlags=QWidget.RenderFlag.DrawChildren)
    finally:
        painter.end()
