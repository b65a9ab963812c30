"""The gallery as a window of its own: search, chapters, and what the chosen experiment does."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPalette
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSplitter,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from studio import gallery
from studio.experiment import ExperimentError
from studio.gallery import Entry
from ui.forms.gallery import ENTRY, GalleryList, SearchLine
from ui.forms.preview import preview_html
from ui.theme import font

SIZE = (940, 620)


class TwoLines(QStyledItemDelegate):
    """A title, and below it, muted, what there is to look at."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem,
              index: QModelIndex | QPersistentModelIndex) -> None:
        entry = index.data(ENTRY)
        if not isinstance(entry, Entry):
            super().paint(painter, option, index)
            return
        self.initStyleOption(option, index)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        palette: QPalette = option.palette
        rect: QRect = option.rect
        painter.save()
        if chosen:
            painter.fillRect(rect, palette.highlight())
        inner = rect.adjusted(10, 4, -10, -4)
        role = QPalette.ColorRole.HighlightedText if chosen else QPalette.ColorRole.Text
        color = palette.color(role)
        painter.setPen(color)
        painter.setFont(font(10))
        self._line(painter, inner, entry.title, Qt.TextElideMode.ElideMiddle)
        faint = QColor(color)
        faint.setAlpha(170)
        painter.setPen(faint)
        painter.setFont(font(8.5))
        below = inner.adjusted(0, painter.fontMetrics().height() + 3, 0, 0)
        self._line(painter, below, entry.look, Qt.TextElideMode.ElideRight)
        painter.restore()

    @staticmethod
    def _line(painter: QPainter, box: QRect, text: str, mode: Qt.TextElideMode) -> None:
        fitted = painter.fontMetrics().elidedText(text, mode, box.width())
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, fitted)


class LargeList(GalleryList):
    """The list of the dialog: two lines each, as high as the dialog, and nothing asks before it is opened."""

    keeps_current = False

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setItemDelegate(TwoLines(self))
        self.setAccessibleDescription("Choose an experiment to see what it does; Enter opens it.")

    def line_size(self) -> QSize:
        return QSize(0, 2 * self.fontMetrics().height() + 14)

    def _fit(self) -> None:
        """As high as there is room."""


class GalleryDialog(QDialog):
    """Lets a person look around. `opened` says which experiment is to be put into the form."""

    opened = Signal(str)

    def __init__(self, parent: QWidget | None, current: str) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Gallery")
        self.resize(*SIZE)
        self.list = LargeList(self)
        self.search = SearchLine(self.list, self)
        self.search.textChanged.connect(self._searched)
        self.count = QLabel(self)
        self.preview = QTextBrowser(self)
        self.preview.setOpenLinks(False)
        self.preview.setAccessibleName("What the chosen experiment does")
        self.preview.document().setDocumentMargin(14)
        left = QWidget(self)
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        top = QHBoxLayout()
        top.addWidget(self.search, 1)
        top.addWidget(self.count)
        column.addLayout(top)
        column.addWidget(self.list, 1)
        split = QSplitter(Qt.Orientation.Horizontal, self)
        split.addWidget(left)
        split.addWidget(self.preview)
        split.setSizes([SIZE[0] * 52 // 100, SIZE[0] * 48 // 100])
        split.setChildrenCollapsible(False)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.rejected.connect(self.reject)
        self.open_button = QPushButton("Open", self)
        self.open_button.setDefault(True)
        self.open_button.setToolTip("Put this experiment into the form.")
        self.open_button.clicked.connect(self._open)
        buttons.addButton(self.open_button, QDialogButtonBox.ButtonRole.AcceptRole)
        layout = QVBoxLayout(self)
        layout.addWidget(split, 1)
        layout.addWidget(buttons)
        self.list.chosen.connect(self._chosen)
        self.list.itemDoubleClicked.connect(self._open)
        self.list.fill({chapter: [gallery.entry(name) for name in names]
                        for chapter, names in gallery.groups().items()})
        self._searched("")
        self.list.select(current)
        self.list.select_first()
        self.search.setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._open()
            return
        super().keyPressEvent(event)

    def _searched(self, words: str) -> None:
        total, found = len(self.list.keys()), self.list.search(words)
        self.count.setText(f"{total} experiments" if not words else f"{found} of {total}")
        self.open_button.setEnabled(found > 0)
        if found:
            self.list.select_first()
        else:
            self.preview.setHtml("<p>No experiment of the gallery says all these words of itself.</p>")

    def _chosen(self, key: str) -> None:
        self.list.show_current(key)
        try:
            self.preview.setHtml(preview_html(gallery.load(key)))
        except ExperimentError as error:
            self.preview.setPlainText(f"This experiment cannot be opened: {error}")

    def _open(self) -> None:
        key = self.list.current_key()
        if key and key in self.list.in_sight():
            self.opened.emit(key)
            self.accept()
