"""The one window: form, panels, toolbar, status bar, and the run that they are about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QGuiApplication, QKeySequence, QShortcut, QTextDocument
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QDialog,
    QLabel,
    QMainWindow,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from studio import gallery
from studio.experiment import Experiment
from studio.messages import RunState
from studio.session import Session
from ui import dialogs
from ui.actions import Actions, native
from ui.banner import Banner
from ui.bars import build_menus, build_messages, build_timeline, build_toolbar
from ui.conductor import Conductor
from ui.docks import Docks
from ui.documents import Documents
from ui.explain import close_explanation
from ui.findings import Findings
from ui.forms.form import ExperimentForm
from ui.forms.gallery import GalleryList, SearchLine
from ui.governor import Drawable, Governor
from ui.journal import Journal
from ui.layout_choice import LayoutChoice
from ui.panel_picker import PanelPicker
from ui.panels import PANELS
from ui.panels.panel import Panel
from ui.plots.canvas import Readout
from ui.reports import Reports
from ui.run_control import RunControl, SessionLike
from ui.settings import Settings, SettingsFile, unpack
from ui.statusbar import RunBar
from ui.switch_dialog import SwitchDialog
from ui.theme import THEMES, Theme, apply
from ui.timeline import Timeline
from ui.travel import Travel

SIZE = (1600, 1000)


class MainWindow(QMainWindow):
    """`make` builds a session for an experiment; by default studio's own."""

    control: RunControl
    run: Conductor
    reports: Reports
    documents: Documents
    docks: Docks
    layouts: LayoutChoice
    travel: Travel
    timeline: Timeline
    findings: Findings
    journal: Journal
    form: ExperimentForm

    def __init__(self, settings_file: SettingsFile | None = None,
                 make: Callable[..., SessionLike] | None = None) -> None:
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
        if not self.docks.restore(self.settings):
            self.docks.reset()
        self.documents.fill_gallery()
        self.reports.settings_problems()

    def _make_session(self, experiment: Experiment, resume_from: Path | None = None) -> SessionLike:
        folder = Path(self.settings.runs_folder) if self.settings.runs_folder else None
        return Session(experiment, runs_folder=folder, isolate=self.isolate, resume_from=resume_from)

    # -- building ----------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.banner = Banner(self)
        self.gallery = GalleryList()
        self.form = ExperimentForm()
        self.runbar = RunBar()
        self.panels: list[Panel] = [panel() for panel in PANELS]
        self.docks = Docks(self, self._form_side(), self.panels)
        self.timeline = Timeline()
        self.travel = Travel(self)
        self.findings = Findings(self)
        self.journal = Journal(self)
        self.layouts = LayoutChoice(self)
        self.actions_by_id = Actions(self)
        for build in (build_toolbar, build_messages, build_timeline, build_menus):
            build(self)
        self.actions_by_id["file.isolate"].setChecked(self.isolate)
        status = self.statusBar()
        status.setSizeGripEnabled(False)
        status.addWidget(self.runbar, 1)
        drawn: list[Drawable] = [*self.panels, self.runbar, self.timeline, self.journal]
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

    def _connect(self) -> None:
        self.control.changed.connect(self.refresh)
        self.control.happened.connect(self.reports.happened)
        self.control.refused.connect(self.reports.refused)
        self.form.checked.connect(self._form_checked)
        self.gallery.chosen.connect(self.documents.choose)
        # Queued: while a dock is being hidden, its panel still says that it is visible.
        self.docks.visibility_changed.connect(self.run.watch, Qt.ConnectionType.QueuedConnection)
        self.docks.visibility_changed.connect(self.travel.refresh, Qt.ConnectionType.QueuedConnection)
        for panel in self.panels:
            panel.command.connect(self.control.steer)
            panel.pointed.connect(lambda step, source=panel: self._point(step, source))
        track = self.timeline.track
        track.pointed.connect(lambda step: self._point(step, self.timeline))
        track.moved.connect(self.travel.wish)
        track.stepped.connect(self.travel.go_by)
        track.home.connect(lambda: self.travel.go(0))
        track.live.connect(self.travel.live)
        self.timeline.play.connect(self.travel.play)
        self.timeline.speed.connect(self.travel.set_speed)
        self.travel.moved.connect(lambda: self.timeline.show_at(self.travel.at, self.travel.playing))
        self.travel.seen.connect(self._recorded)

    # -- time --------------------------------------------------------------------------------------------------

    def _point(self, step: float | None, source: QWidget) -> None:
        """The step under the mouse, shown wherever steps are an axis."""
        parts: list[Panel | Timeline] = [*self.panels, self.timeline]
        for part in parts:
            if part is not source and part.isVisible():
                part.set_cursor(step)

    def _recorded(self) -> None:
        self.timeline.show_recorded(self.travel.steps(), self.travel.problem)
        self.actions_by_id.refresh()

    def escape(self) -> None:
        """Empty a search; close an explanation; back to live; all panels instead of the one that fills the room."""
        focus = QApplication.focusWidget()
        if isinstance(focus, SearchLine) and focus.text():
            focus.clear()
        elif not close_explanation():
            if self.travel.at is not None or self.travel.playing:
                self.travel.live()
            else:
                self.docks.unzoom()

    def copy_readout(self) -> None:
        """The text of the small box beside the mouse, to the clipboard."""
        shown = [box for panel in self.panels for box in panel.findChildren(Readout) if box.isVisible()]
        if shown:
            document = QTextDocument()
            document.setHtml(shown[0].text())
            QGuiApplication.clipboard().setText(document.toPlainText())
        self.runbar.say("Copied." if shown else "Point at a plot; Ctrl+C copies the numbers that are shown there.")

    # -- experiment --------------------------------------------------------------------------------------------

    def load_default(self) -> None:
        """The experiment that a newcomer finds."""
        self.documents.choose(gallery.DEFAULT)
        self.gallery.setFocus()

    def experiment_opened(self) -> None:
        """Another experiment is in the form: show its empty plots, and say what comes next."""
        self.run.experiment_opened()
        self.layouts.for_experiment(self.documents.current)
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
        self.timeline.set_state(self.runbar.shown_state())
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
        close_explanation()  # it has the colors of before
        for panel in self.panels:
            panel.restyle(theme)
        self.docks.set_letters(self.docks.letters)
        self.timeline.restyle(theme)
        self.journal.restyle(theme)
        for picker in self.findChildren(PanelPicker):
            picker.restyle(theme)
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

    def show_panels(self) -> QDialog:
        """All panels with a picture of each; a click shows or hides one."""
        for picker in self.findChildren(PanelPicker):
            picker.raise_()
            return picker
        picker = PanelPicker(self, self.docks, self.theme)
        picker.chosen.connect(lambda key, on: self.docks.show_panel(key) if on else self.docks.hide_panel(key))
        picker.show()
        return picker

    def show_switch(self) -> QDialog:
        """Ask for another optimizer, which the run takes while it goes on."""
        dialog = SwitchDialog(self, self.theme, self.run.switch)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        return dialog

    def show_keys(self) -> QDialog:
        rows = [(dock.toggleViewAction().shortcut().toString(QKeySequence.SequenceFormat.NativeText),
                 dock.toggleViewAction().toolTip()) for dock in self.docks.docks.values()]
        rows += [(f"{native('Alt+1')}, {native('Alt+2')} ...", "The layouts, in the order of the View menu."),
                 ("Left, Right, Home, End", "On the timeline: the recorded step before and after, the first, live.")]
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
            close_explanation()
            self.travel.stop()
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
        self.travel.stop()
        self.governor.stop()
        self.form.stop()
        event.accept()

    def _close_finally(self) -> None:
        self.documents.wait(2.0)
        self.run.wait(2.0)
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
