"""Everything that can be done, one row each: menus, toolbar and the list of shortcuts are made from these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction, QColor, QIcon, QKeySequence

from studio import gallery
from ui.icons import icon
from ui.theme import Theme

if TYPE_CHECKING:
    from ui.main_window import MainWindow


def _always(window: MainWindow) -> str:
    return ""


def _show_tables(window: MainWindow) -> object:
    from ui.reproduce import show_tables  # imports the dialogs, which import this

    return show_tables(window)


@dataclass(frozen=True, kw_only=True)
class ActionRow:
    """`why_not` says in a sentence why it cannot be done now; '' where it can."""

    id: str
    text: str
    tip: str
    icon: str = ""
    shortcut: str = ""
    call: Callable[[MainWindow], object]
    why_not: Callable[[MainWindow], str] = _always
    checkable: bool = False


ACTIONS: tuple[ActionRow, ...] = (
    ActionRow(id="run.toggle", text="Start", tip="Start the training; pause it while it runs.", icon="play",
              shortcut="Space", call=lambda w: w.run.toggle(), why_not=lambda w: w.run.why_not_toggle()),
    ActionRow(id="run.step", text="One step", tip="Make one optimizer step, then pause.", icon="step", shortcut=".",
              call=lambda w: w.run.step_once(), why_not=lambda w: w.run.why_not_step()),
    ActionRow(id="run.stop", text="Stop", tip="End the run. Its file is kept.", icon="stop", shortcut="Ctrl+.",
              call=lambda w: w.run.stop(), why_not=lambda w: w.run.why_not_stop()),
    ActionRow(id="run.reset", text="Reset", tip="Back to the start, with what the form says now. Runs are kept.",
              icon="reset", shortcut="Ctrl+R", call=lambda w: w.run.reset(), why_not=lambda w: w.run.why_not_reset()),
    ActionRow(id="run.go-on", text="Go on with this run", icon="play",
              tip="Go on from the last checkpoint of the run that is shown, in its phase and with its changes. Its "
                  "file is kept; what follows goes into a new one.",
              call=lambda w: w.run.go_on(), why_not=lambda w: w.run.why_not_go_on()),
    ActionRow(id="run.undo", text="Undo the last change", icon="undo", shortcut="Ctrl+Z",
              tip="Take back the last change that was made to the run while it trains.",
              call=lambda w: w.run.undo(), why_not=lambda w: w.run.why_not_undo()),
    ActionRow(id="run.next-phase", text="Next phase", icon="next-phase", shortcut="Ctrl+Shift+N",
              tip="End this phase now and begin the next one.", call=lambda w: w.run.next_phase(),
              why_not=lambda w: w.run.why_not_next_phase()),
    ActionRow(id="run.switch", text="Switch optimizer...", icon="switch",
              tip="Go on with another optimizer, precision or number of points while the run goes on.",
              call=lambda w: w.show_switch(), why_not=lambda w: w.run.why_not_switch()),
    ActionRow(id="time.play", text="Play the recorded steps", icon="play", shortcut="Ctrl+P",
              tip="Run through the recorded steps of the run.", call=lambda w: w.travel.play(),
              why_not=lambda w: w.travel.why_not()),
    ActionRow(id="time.back", text="Step back in time", shortcut="Alt+Left",
              tip="Show the recorded step before this one.", call=lambda w: w.travel.go_by(-1),
              why_not=lambda w: w.travel.why_not()),
    ActionRow(id="time.forward", text="Step forward in time", shortcut="Alt+Right",
              tip="Show the recorded step after this one.", call=lambda w: w.travel.go_by(1),
              why_not=lambda w: w.travel.why_not()),
    ActionRow(id="time.live", text="Back to live", icon="live", shortcut="Esc",
              tip="Show what is newest; close an explanation; give back the room that one panel fills.",
              call=lambda w: w.escape()),
    ActionRow(id="run.journal", text="Journal...", icon="journal", shortcut="Ctrl+J",
              tip="Read everything that has happened to the run, with every reason.", call=lambda w: w.journal.open()),
    ActionRow(id="run.tables", text="Published tables...", icon="table",
              tip="Published results beside this program's own; make what is missing of them.", call=_show_tables),
    ActionRow(id="gallery.browse", text="Browse the gallery...", icon="gallery", shortcut="Ctrl+G",
              tip="Search the built-in experiments and see what each of them does.",
              call=lambda w: w.documents.browse()),
    ActionRow(id="file.new", text="New experiment", icon="new", shortcut="Ctrl+N",
              tip="Put a small problem into the form, to type your own equation over it.",
              call=lambda w: w.documents.choose(gallery.NEW), why_not=lambda w: w.documents.why_not_new()),
    ActionRow(id="file.open", text="Open experiment...", tip="Put an experiment from a TOML file into the form.",
              icon="open", shortcut="Ctrl+O", call=lambda w: w.documents.ask_and_open()),
    ActionRow(id="file.open-run", text="Open run...", tip="Show a run that was kept in a file.", icon="open-run",
              shortcut="Ctrl+Shift+O", call=lambda w: w.documents.ask_and_open_run(),
              why_not=lambda w: w.run.why_not_open_run()),
    ActionRow(id="file.save", text="Save experiment...", tip="Save the form as an experiment in a TOML file.",
              icon="save", shortcut="Ctrl+S", call=lambda w: w.documents.ask_and_save(),
              why_not=lambda w: w.run.why_not_save()),
    ActionRow(id="file.runs", text="Folder of runs...", tip="Choose the folder that run files are kept in.",
              icon="folder", call=lambda w: w.documents.ask_runs_folder()),
    ActionRow(id="file.isolate", text="Train in an own process", checkable=True, icon="process",
              tip="Train in a process of its own: drawing costs the training nothing. From the next start on.",
              call=lambda w: w.toggle_isolate()),
    ActionRow(id="file.quit", text="Quit", tip="Close the window. A run is kept.", icon="quit", shortcut="Ctrl+Q",
              call=lambda w: w.close()),
    ActionRow(id="edit.back", text="Set all fields back", icon="undo",
              tip="Set every field back to the experiment as it was opened.",
              call=lambda w: w.documents.set_back(), why_not=lambda w: w.documents.why_not_set_back()),
    ActionRow(id="edit.copy", text="Copy the numbers under the mouse", icon="copy", shortcut="Ctrl+C",
              tip="Copy the numbers that the small box beside the mouse shows.", call=lambda w: w.copy_readout()),
    ActionRow(id="edit.problem", text="Go to what is wrong", shortcut="F8",
              tip="Go to the first field whose value cannot be used.", icon="warning",
              call=lambda w: w.go_to_problem(), why_not=lambda w: "" if w.form.problems else "Nothing is wrong."),
    ActionRow(id="view.theme", text="Light or dark", tip="Change between light and dark.", icon="theme",
              shortcut="Ctrl+T", call=lambda w: w.switch_theme()),
    ActionRow(id="view.panels", text="Add or remove panels...", icon="panels", shortcut="Ctrl+Shift+P",
              tip="See all panels with a picture of each; show and hide them.", call=lambda w: w.show_panels()),
    ActionRow(id="view.zoom", text="Enlarge the panel under the mouse", icon="zoom", shortcut="Z",
              tip="Fill the room of all panels with the one under the mouse; again: give it back.",
              call=lambda w: w.docks.zoom_in_hand()),
    ActionRow(id="view.reset", text="Reset layout", tip="Put the panels of this layout back to where they were.",
              icon="layout", call=lambda w: w.layouts.reset()),
    ActionRow(id="layout.save", text="Save layout as...", icon="save",
              tip="Keep the present arrangement of the panels under a name.", call=lambda w: w.layouts.ask_and_save()),
    ActionRow(id="layout.rename", text="Rename this layout...", tip="Give this layout of your own another name.",
              call=lambda w: w.layouts.ask_and_rename(), why_not=lambda w: w.layouts.why_not_own()),
    ActionRow(id="layout.delete", text="Delete this layout", tip="Forget this layout of your own.", icon="remove",
              call=lambda w: w.layouts.delete(), why_not=lambda w: w.layouts.why_not_own()),
    ActionRow(id="help.keys", text="Keyboard shortcuts", tip="List the keyboard shortcuts.", icon="keyboard",
              shortcut="F1", call=lambda w: w.show_keys()),
    ActionRow(id="help.about", text="About PINNscope", tip="Version, licence, and what this is.", icon="about",
              call=lambda w: w.show_about()),
)

#: Menus by title: ids of actions, '-' for a line, '*...' for what the window puts there.
MENUS: dict[str, tuple[str, ...]] = {
    "&File": ("file.new", "file.open", "file.open-run", "*recent", "-", "file.save", "-", "file.runs", "file.isolate",
              "-", "file.quit"),
    "&Gallery": ("*gallery",),
    "&Edit": ("edit.back", "edit.problem", "-", "edit.copy"),
    "&Run": ("run.toggle", "run.step", "run.stop", "run.go-on", "run.reset", "-", "run.next-phase",
             "run.switch", "run.undo", "-", "time.back", "time.forward",
             "time.play", "time.live", "-", "run.journal", "run.tables"),
    "&View": ("*layouts", "*panels", "view.panels", "-", "view.zoom", "view.reset", "view.theme"),
    "&Help": ("help.keys", "help.about"),
}

TOOLBAR: tuple[str, ...] = ("run.toggle", "run.step", "run.stop", "run.reset", "-", "run.next-phase", "run.switch", "-",
                            "gallery.browse", "file.open", "file.save", "file.open-run", "*space", "view.panels",
                            "view.theme", "help.keys", "help.about")

#: Shown with their text beside the icon.
WITH_TEXT = frozenset({"run.toggle", "run.step", "run.stop", "run.reset"})


class Actions:
    """The QActions of a window, by id."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._icons: dict[str, str] = {row.id: row.icon for row in ACTIONS}
        self._theme: Theme | None = None
        self.by_id: dict[str, QAction] = {}
        for row in ACTIONS:
            action = QAction(row.text, window)
            action.setObjectName(row.id)
            action.setCheckable(row.checkable)
            action.setData(row.id)
            action.triggered.connect(lambda _=False, call=row.call: call(window))
            # The space bar also presses buttons and opens lists; the window shares it out.
            if row.shortcut and row.shortcut != "Space":
                action.setShortcut(QKeySequence(row.shortcut))
            self.by_id[row.id] = action
        self.refresh()

    def __getitem__(self, key: str) -> QAction:
        return self.by_id[key]

    def refresh(self) -> None:
        """Enable what can be done; the tip of the rest says why not."""
        for row in ACTIONS:
            action, reason = self.by_id[row.id], row.why_not(self._window)
            if action.isEnabled() is bool(reason):
                action.setEnabled(not reason)
            keys = f" ({native(row.shortcut)})" if row.shortcut else ""
            tip = f"{row.tip}{keys}" + (f"\n{reason}" if reason else "")
            if action.toolTip() != tip:
                action.setToolTip(tip)
                action.setStatusTip("")
                action.setWhatsThis(tip)

    def rename(self, key: str, text: str, picture: str) -> None:
        """Another text and icon, for an action that means something else now."""
        action = self.by_id[key]
        if action.iconText() != text:
            action.setText(f"{text}\tSpace" if key == "run.toggle" else text)
            action.setIconText(text)
        if self._icons[key] != picture:
            self._icons[key] = picture
            if self._theme is not None:
                action.setIcon(self._icon(key, self._theme))

    def restyle(self, theme: Theme) -> None:
        self._theme = theme
        for key, action in self.by_id.items():
            if self._icons[key]:
                action.setIcon(self._icon(key, theme))

    def _icon(self, key: str, theme: Theme) -> QIcon:
        color = theme.accent if key == "run.toggle" else theme.text
        return icon(self._icons[key], QColor(color))


def native(shortcut: str) -> str:
    """A shortcut as this system writes it."""
    return QKeySequence(shortcut).toString(QKeySequence.SequenceFormat.NativeText)


def shortcuts() -> list[tuple[str, str]]:
    """(keys, what they do) of every action that has keys."""
    return [(native(row.shortcut), row.tip) for row in ACTIONS if row.shortcut]
