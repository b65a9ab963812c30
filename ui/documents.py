"""Which experiment is in the form: the gallery, files, drafts of what was typed over each, and kept runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDialog, QFileDialog, QMenu

from studio import gallery
from studio.experiment import Experiment, ExperimentError, load_experiment
from studio.messages import RunState
from ui.background import Background
from ui.banner import DANGER, HINT, WARNING, Notice
from ui.forms.browser import GalleryDialog
from ui.forms.form import Draft
from ui.replay import Replay, replay

if TYPE_CHECKING:
    from ui.main_window import MainWindow

EXPERIMENTS = "Experiments (*.toml)"
RUNS = "Runs (*.pinnrun)"


class Documents(QObject):
    """Loads and saves for one window. A key is a name of the gallery or the path of a file."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.current = ""
        self.experiment: Experiment | None = None  # as it was opened
        self.drafts: dict[str, Draft] = dict(window.settings.drafts)
        self._given: dict[str, Experiment] = {}  # by key: what is in no file
        self._reading: Background[Replay] = Background("reading a run", self)

    # -- opening -----------------------------------------------------------------------------------------------

    def fill_gallery(self) -> None:
        self._window.gallery.fill({chapter: [gallery.entry(name) for name in names]
                                   for chapter, names in gallery.groups().items()})

    def browse(self) -> QDialog:
        """The gallery as a window of its own, with a search and what each experiment does."""
        dialog = GalleryDialog(self._window, self.current)
        dialog.opened.connect(self.choose)
        dialog.show()
        return dialog

    def fill_gallery_menu(self, menu: QMenu) -> None:
        """A menu for each chapter, an entry for each experiment; the present one is checked."""
        if menu.isEmpty():
            menu.addAction(self._window.actions_by_id["gallery.browse"])
            menu.addSeparator()
            for chapter, names in gallery.groups().items():
                inside = menu.addMenu(chapter)
                inside.setToolTipsVisible(True)
                for name in names:
                    entry = gallery.entry(name)
                    action = QAction(entry.title.replace("&", "&&"), inside)
                    action.setData(name)
                    action.setToolTip(entry.look)
                    action.setCheckable(True)
                    action.triggered.connect(lambda _=False, key=name: self.choose(key))
                    inside.addAction(action)
        for action in menu.findChildren(QAction):
            if action.isCheckable():
                action.setChecked(action.data() == self.current)

    def choose(self, key: str) -> None:
        """Somebody chose a line of the gallery. During a run this asks first."""
        if key == self.current:
            return
        try:
            known = self._given.get(key) or (gallery.load(key) if key in gallery.names() else None)
            experiment = known or load_experiment(Path(key))
        except ExperimentError as error:
            self._cannot("This experiment cannot be opened", error)
            return
        if self._window.run.leave_run("choose another experiment"):
            self.show(key, experiment)

    def why_not_new(self) -> str:
        return "" if self.current != gallery.NEW else "It is in the form; Edit, Set all fields back clears it."

    def show(self, key: str, experiment: Experiment) -> None:
        """Put an experiment into the form, with what was typed over it before."""
        self.keep_draft()
        self.current, self.experiment = key, experiment
        window = self._window
        draft = self.drafts.get(key)
        try:
            window.form.show_experiment(experiment, draft)
        except (KeyError, TypeError, AttributeError):  # a draft of another version of the form
            self.drafts.pop(key, None)
            draft = None
            window.form.show_experiment(experiment)
        window.gallery.show_current(key)
        window.banner.take_back("draft")
        if draft is not None and window.form.is_changed():
            window.banner.say(Notice("draft", WARNING, "The form has the changes that you made here before.",
                                     (("Set back", self.set_back), ("Keep them", lambda: None))))
        window.experiment_opened()

    def open_given(self, key: str, experiment: Experiment) -> None:
        """Open an experiment that is in no file, such as that of a cell of a published table; `key` is shown."""
        if key != self.current and self._window.run.leave_run("open another experiment"):
            self._given[key] = experiment
            self._window.gallery.add_file(key, key)
            self.show(key, experiment)

    def ask_and_open(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self._window, "Open experiment", self._window.settings.folder,
                                              f"{EXPERIMENTS};;All files (*)")
        if name:
            self.open(Path(name))

    def open(self, path: Path) -> None:
        """Open an experiment or a run, by what the file is called."""
        if path.suffix == ".pinnrun":
            self.open_run(path)
            return
        try:
            experiment = load_experiment(path)
        except ExperimentError as error:
            self._cannot(f"{path.name} cannot be opened", error)
            return
        if self._window.run.leave_run("open another experiment"):
            self._window.gallery.add_file(str(path), experiment.title or path.stem)
            self._remember(path)
            self.show(str(path), experiment)

    # -- saving ------------------------------------------------------------------------------------------------

    def ask_and_save(self) -> None:
        experiment = self._window.form.experiment
        if experiment is None:
            return
        known = Path(self.current) if self.current.endswith(".toml") else Path(self._window.settings.folder,
                                                                               f"{experiment.name}.toml")
        name, _ = QFileDialog.getSaveFileName(self._window, "Save experiment", str(known), EXPERIMENTS)
        if name:
            self.save(Path(name) if Path(name).suffix else Path(f"{name}.toml"))

    def save(self, path: Path) -> bool:
        """Write the form's experiment, whole or not at all. False, with a message, where that fails."""
        experiment = self._window.form.experiment
        if experiment is None:
            return False
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_text(experiment.to_toml(), encoding="utf-8")
            os.replace(part, path)
        except OSError as error:
            if part.exists():
                part.unlink(missing_ok=True)
            self._window.banner.say(Notice("save", DANGER, f"{path} could not be written: {error.strerror}. The form "
                                           "still has everything; save it in another place.",
                                           (("Save in another place", self.ask_and_save),)))
            return False
        self._window.banner.take_back("save")
        self.drafts.pop(self.current, None)
        self.current, self.experiment = str(path), experiment
        self._window.gallery.add_file(str(path), experiment.title or path.stem)
        self._window.gallery.show_current(str(path))
        self._window.form.set_base(experiment)
        self._remember(path)
        self._window.runbar.say(f"Saved as {path}")
        return True

    # -- drafts ------------------------------------------------------------------------------------------------

    def keep_draft(self) -> None:
        """Remember what is typed over the present experiment."""
        if not self.current:
            return
        if self._window.form.is_changed():
            self.drafts[self.current] = self._window.form.draft()
        else:
            self.drafts.pop(self.current, None)

    def set_back(self) -> None:
        if self.experiment is not None:
            self._window.form.show_experiment(self.experiment)
            self._window.banner.take_back("draft")

    def why_not_set_back(self) -> str:
        return "" if self._window.form.is_changed() else "Nothing is changed."

    # -- runs --------------------------------------------------------------------------------------------------

    def ask_and_open_run(self) -> None:
        folder = self._window.settings.runs_folder or self._window.settings.folder
        name, _ = QFileDialog.getOpenFileName(self._window, "Open run", folder, f"{RUNS};;All files (*)")
        if name:
            self.open_run(Path(name))

    def open_run(self, path: Path) -> None:
        """Show a run that was kept. It is read in the background."""
        if self._reading.busy or not self._window.run.leave_run("open another run"):
            return
        self._window.runbar.say(f"Reading {path.name} ...")
        self._reading.start(lambda: replay(path), self._show_run, lambda error: self._no_run(path, error))

    def _show_run(self, run: Replay) -> None:
        self._remember(run.path)
        self._window.runbar.say("")
        self.show_kept(run)

    def show_kept(self, run: Replay) -> None:
        """Put a run into form and panels."""
        key = str(run.path)
        self._window.gallery.add_file(key, f"{run.experiment.title or run.experiment.name} (run)")
        self.show(key, run.experiment)
        self._window.run.show_replay(run)
        may = not self._window.run.why_not_go_on()
        self._window.banner.say(Notice("look", HINT, f"This is the run kept in {run.path.name}: {_standing(run)}. "
                                       "Start trains its experiment anew.",
                                       (("Go on with this run", self._window.run.go_on),) if may else ()))

    def _no_run(self, path: Path, error: Exception) -> None:
        self._window.runbar.say("")
        self._window.banner.say(Notice("open", DANGER, f"{path.name} cannot be shown. {error}"))

    def wait(self, timeout: float) -> bool:
        return self._reading.wait(timeout)

    # -- small things ------------------------------------------------------------------------------------------

    def ask_runs_folder(self) -> None:
        settings = self._window.settings
        name = QFileDialog.getExistingDirectory(self._window, "Folder of runs", settings.runs_folder)
        if name:
            settings.runs_folder = name
            self._window.save_settings()
            self._window.runbar.say(f"The next run is kept in {name}")

    def fill_recent(self, menu: QMenu) -> None:
        menu.clear()
        for text in self._window.settings.recent:
            path = Path(text)
            action = QAction(path.name, menu)
            action.setToolTip(text)
            action.triggered.connect(lambda _=False, where=path: self.open(where))
            menu.addAction(action)
        menu.setEnabled(bool(self._window.settings.recent))

    def _remember(self, path: Path) -> None:
        self._window.settings.remember(path)
        self._window.save_settings()

    def _cannot(self, head: str, error: ExperimentError) -> None:
        lines = [f"{path}: {text}" if path else text for path, text in error.problems]
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        self._window.banner.say(Notice("open", DANGER, f"{head}: {lines[0]}{more}.",
                                       details="\n".join(lines) if more else ""))


def _standing(run: Replay) -> str:
    """'stopped at step 647 of 5,373, in phase 4 of 4'."""
    status = run.update.status
    if status.state is RunState.FINISHED:
        return f"finished after {status.step:,} steps"
    phase = f", in phase {status.phase} of {status.phases}" if status.phases > 1 else ""
    return f"{status.state} at step {status.step:,} of {status.total_steps:,}{phase}"
