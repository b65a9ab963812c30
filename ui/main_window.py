"""The one window: form, panels, toolbar, status bar, and the run that they are about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QColor, QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QDialog,
    QLabel,
    QMainWindow,
    QMenu,
    QPushButton,
    QToolBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from studio import gallery
from studio.experiment import Experiment
from studio.messages import RunState
from studio.session import Session
from ui import dialogs
from ui.actions import MENUS, TOOLBAR, WITH_TEXT, Actions
from ui.banner import Banner
from ui.conductor import Conductor
from ui.docks import Docks
from ui.documents import Documents
from ui.forms.form import ExperimentForm
from ui.forms.gallery import GalleryList, SearchLine
from ui.governor import Drawable, Governor
from ui.icons import icon
from ui.panels import PANELS
from ui.panels.panel import Panel
from ui.reports import Reports
from ui.run_control import RunControl, SessionLike
from ui.settings import Settings, SettingsFile, unpack
from ui.statusbar import RunBar
from ui.theme import THEMES, Theme, apply

SIZE = (1600, 1000)



class MainWindow(QMainWindow):
    """`make` builds a session for an experiment; by default studio's own."""

    control: RunControl
    run: Conductor
    reports: Reports
    documents: Documents
    docks: Docks
    form: ExperimentForm

    def __init__(self, settings_file: SettingsFile | None = None,
                 make: Callable[[Experiment], SessionLike] | None = None) -> None:
        super().__init__()
        self.setObjectName("main")
        self.setWindowTitle("PINNscope")
        self.setDockNestingEnabled(True)
        self.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, self.tabPosition(Qt.DockWidgetArea.TopDockWidgetArea))
        self.settings_file = settings_file if settings_file is not None else SettingsFile()
        self.settings: Settings = self.settings_file.load()
        self.isolate = self.settings.isolate
        self.theme: Theme = self._wanted_theme()
        self._apply_theme()  # before there are widgets, so that all of them get the font
        self._leaving = self._close_at_end = False
        self.before_close: list[Callable[[], bool]] = []  # may ask; False keeps the window open
        self.control = RunControl(make if make is not None else self._make_session, self)
        self.governor = Governor(self.control.take, self)
        self.run = Conductor(self)
        self.reports = Reports(self)
        self.documents = Documents(self)
        self._build()
        self._connect()
        self.restyle()
        self.resize(*SIZE)
        if self.settings.geometry:
            self.restoreGeometry(QByteArray(unpack(self.settings.geometry)))
        self.docks.reset()
        self.docks.restore(self.settings)
        self.documents.fill_gallery()
        self.reports.settings_problems()

    def _make_session(self, experiment: Experiment) -> SessionLike:
        folder = Path(self.settings.runs_folder) if self.settings.runs_folder else None
        return Session(experiment, runs_folder=folder, isolate=self.isolate)

    # -- building ----------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.banner = Banner(self)
        self.gallery = GalleryList()
        self.form = ExperimentForm()
        self.runbar = RunBar()
        self.panels: list[Panel] = [panel() for panel in PANELS]
        self.docks = Docks(self, self._form_side(), self.panels)
        self.actions_by_id = Actions(self)
        self._build_toolbar()
        self._build_menus()
        status = self.statusBar()
        status.setSizeGripEnabled(False)
        status.addWidget(self.runbar, 1)
        drawn: list[Drawable] = [*self.panels, self.runbar]
        self.governor.set_panels(drawn)
        space = QShortcut(QKeySequence(Qt.Key.Key_Space), self)
        space.activated.connect(self._space)

    def _form_side(self) -> QWidget:
        side = QWidget()
        layout = QVBoxLayout(side)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self.start_button = QPushButton("Start")
        self.start_button.setObjectName("startButton")
        self.start_button.clicked.connect(lambda: self.run.toggle())
        self.reason = QLabel()
        self.reason.setWordWrap(True)
        self.reason.setObjectName("startReason")
        self.reason.setOpenExternalLinks(False)
        self.reason.linkActivated.connect(lambda _: self.go_to_problem())
        foot = QWidget()
        below = QVBoxLayout(foot)
        below.setContentsMargins(10, 6, 10, 8)
        below.addWidget(self.reason)
        below.addWidget(self.start_button)
        layout.addWidget(SearchLine(self.gallery))
        layout.addWidget(self.gallery)
        layout.addSpacing(4)
        layout.addWidget(self.form, 1)
        layout.addWidget(foot)
        side.setMinimumWidth(290)
        return side

    def _build_toolbar(self) -> None:
        bar = QToolBar("Tools", self)
        bar.setObjectName("toolbar")
        bar.setMovable(False)
        bar.toggleViewAction().setEnabled(False)
        for key in TOOLBAR:
            if key == "-":
                bar.addSeparator()
            elif key == "*space":
                space = QWidget(bar)
                space.setSizePolicy(space.sizePolicy().Policy.Expanding, space.sizePolicy().Policy.Preferred)
                bar.addWidget(space)
            elif key == "*panels":
                self.panels_button = QToolButton(bar)
                self.panels_button.setToolTip("Show and hide panels.")
                self.panels_button.setAccessibleName("Show and hide panels")
                self.panels_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
                bar.addWidget(self.panels_button)
            else:
                action = self.actions_by_id[key]
                bar.addAction(action)
                button = bar.widgetForAction(action)
                if isinstance(button, QToolButton):
                    button.setAccessibleName(action.iconText().rstrip("."))
                    if key in WITH_TEXT:
                        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, bar)
        self.addToolBarBreak(Qt.ToolBarArea.TopToolBarArea)
        strip = QToolBar("Messages", self)
        strip.setObjectName("messages")
        strip.setMovable(False)
        strip.setStyleSheet("QToolBar { padding: 0; border: 0; }")
        strip.toggleViewAction().setVisible(False)
        self.banner.setSizePolicy(self.banner.sizePolicy().Policy.Expanding, self.banner.sizePolicy().Policy.Preferred)
        place = strip.addWidget(self.banner)
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, strip)
        self.banner.shown.connect(place.setVisible)
        self.banner.shown.connect(strip.setVisible)

    def _build_menus(self) -> None:
        panels = QMenu("Panels", self)
        self.docks.actions(panels.addAction)
        panels.addSeparator()
        panels.addAction(self.actions_by_id["view.reset"])
        self.panels_button.setMenu(panels)
        for title, keys in MENUS.items():
            menu = self.menuBar().addMenu(title)
            menu.setToolTipsVisible(True)
            for key in keys:
                if key == "-":
                    menu.addSeparator()
                elif key == "*panels":
                    self.docks.actions(menu.addAction)
                elif key == "*gallery":
                    menu.aboutToShow.connect(lambda menu=menu: self.documents.fill_gallery_menu(menu))
                elif key == "*recent":
                    recent = menu.addMenu("Open recent")
                    recent.setToolTipsVisible(True)
                    menu.aboutToShow.connect(lambda menu=recent: self.documents.fill_recent(menu))
                else:
                    menu.addAction(self.actions_by_id[key])
        self.actions_by_id["file.isolate"].setChecked(self.isolate)

    def _connect(self) -> None:
        self.control.changed.connect(self.refresh)
        self.control.happened.connect(self.reports.happened)
        self.control.refused.connect(self.reports.refused)
        self.form.checked.connect(self._form_checked)
        self.gallery.chosen.connect(self.documents.choose)
        # Queued: while a dock is being hidden, its panel still says that it is visible.
        self.docks.visibility_changed.connect(self.run.watch, Qt.ConnectionType.QueuedConnection)
        for panel in self.panels:
            panel.command.connect(self.control.steer)

    # -- experiment --------------------------------------------------------------------------------------------

    def load_default(self) -> None:
        """The experiment that a newcomer finds."""
        self.documents.choose(gallery.DEFAULT)
        self.gallery.setFocus()

    def experiment_opened(self) -> None:
        """Another experiment is in the form: show its empty plots, and say what comes next."""
        self.run.experiment_opened()
        self.docks.bring_forward(self.control.lanes)
        self.reports.welcome()
        self.refresh()

    def _form_checked(self) -> None:
        self.gallery.mark(self.documents.current, self.form.is_changed())
        self.run.form_changed()

    # -- state -------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Buttons, texts and colors that depend on the state."""
        state = self.control.state
        text, picture = {
            RunState.READY: ("Start", "play"), RunState.PREPARING: ("Pause", "pause"),
            RunState.RUNNING: ("Pause", "pause"), RunState.PAUSED: ("Resume", "play"),
        }.get(state, ("Start again", "play"))
        self.actions_by_id.rename("run.toggle", text, picture)
        self.actions_by_id.refresh()
        reason = self.run.why_not_toggle()
        self.start_button.setText(text)
        self.start_button.setEnabled(not reason)
        self.start_button.setToolTip(reason or self.actions_by_id["run.toggle"].toolTip())
        if reason and self.form.problems:
            self.reason.setText(f"{reason} <a href='#'>Show it</a>")
        else:
            self.reason.setText(reason)
        if not reason and self.run.form_differs():
            self.reason.setText("The form has changed; this run goes on as it was started. Reset takes the changes.")
        self.reason.setVisible(bool(self.reason.text()))
        self.runbar.set_state(state)
        self.reports.state_changed(state)
        self.governor.start()
        if self._close_at_end and not self.control.unfinished and not self._leaving:
            self.close()

    def go_to_problem(self) -> None:
        self.docks.docks["form"].show()
        self.form.show_first_problem()

    def _space(self) -> None:
        """The space bar presses the button that has the focus; anywhere else it starts and pauses."""
        focus = QApplication.focusWidget()
        if isinstance(focus, QAbstractButton):
            focus.animateClick()
        elif isinstance(focus, QComboBox):
            focus.showPopup()
        else:
            self.run.toggle()

    # -- looks -------------------------------------------------------------------------------------------------

    def _wanted_theme(self) -> Theme:
        name = self.settings.theme
        if name == "system":
            dark = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
            name = "dark" if dark else "light"
        return THEMES[name]

    def switch_theme(self) -> None:
        """From light to dark, or back; remembered."""
        self.set_theme(THEMES["light" if self.theme.dark else "dark"])
        self.settings.theme = "dark" if self.theme.dark else "light"
        self.save_settings()

    def set_theme(self, theme: Theme) -> None:
        """Put a theme on everything."""
        self.theme = theme
        self._apply_theme()
        self.restyle()

    def _apply_theme(self) -> None:
        app = QApplication.instance()
        if isinstance(app, QApplication):
            apply(app, self.theme)

    def restyle(self) -> None:
        """Colors that each part sets itself."""
        theme = self.theme
        self.actions_by_id.restyle(theme)
        self.panels_button.setIcon(icon("panels", QColor(theme.text)))
        for panel in self.panels:
            panel.restyle(theme)
        self.banner.restyle(theme)
        self.form.restyle(theme)
        self.runbar.restyle(theme)
        self.start_button.setStyleSheet(
            f"QPushButton {{ background: {theme.accent}; color: {theme.on_accent}; border: 0; border-radius: 5px;"
            f" padding: 7px; font-weight: 600; }} QPushButton:disabled {{ background: {theme.border};"
            f" color: {theme.muted}; }} QPushButton:focus {{ border: 2px solid {theme.text}; }}")

    def toggle_isolate(self) -> None:
        """Where the next run trains."""
        self.isolate = self.settings.isolate = self.actions_by_id["file.isolate"].isChecked()
        self.save_settings()
        self.runbar.say("The next run trains in a process of its own" if self.isolate
                        else "The next run trains in a thread of this program")

    def show_keys(self) -> QDialog:
        rows = [(dock.toggleViewAction().shortcut().toString(QKeySequence.SequenceFormat.NativeText),
                 dock.toggleViewAction().toolTip()) for dock in self.docks.docks.values()]
        return dialogs.show_keys(self, [row for row in rows if row[0]])

    def show_about(self) -> None:
        dialogs.show_about(self)

    # -- the end -----------------------------------------------------------------------------------------------

    def save_settings(self) -> None:
        if not self.settings_file.save(self.settings):
            self.runbar.say(self.settings_file.problems[-1])

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """In mid-run this asks. Sessions are closed off the GUI thread; the window goes when they are gone."""
        if not self._leaving:
            if (self.control.unfinished and not self._may_close()) or not all(ask() for ask in self.before_close):
                event.ignore()
                return
            self._leaving = True
            self.documents.keep_draft()
            self.settings.drafts = self.documents.drafts
            self.docks.save(self.settings)
            self.save_settings()
            self.run.release(self._close_finally)
            event.setAccepted(not self.isVisible())
            return
        if self.control.closing:
            event.ignore()
            return
        self.governor.stop()
        self.form.stop()
        event.accept()

    def _close_finally(self) -> None:
        self.documents.wait(2.0)
        QTimer.singleShot(0, self, self.close)

    def _may_close(self) -> bool:
        running = self.control.state is RunState.RUNNING
        later = [("later", "Keep running, close at the end")] if running else []
        answer = dialogs.ask(
            self, "A run is going on", f"The run is at {self.run.steps()}. Closing stops it; it is kept in its run "
            "file with everything that was recorded.",
            [("stop", "Stop and keep the run"), *later, ("cancel", "Cancel")], safe="cancel")
        if answer == "later":
            self._close_at_end = True
            self.showMinimized()
        return answer == "stop"
