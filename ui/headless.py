"""Without a display: train, then let the same panels draw into files. Also makes the pictures of the README:

    python -m ui.headless window.png --size 1600x1000 --theme dark --layout losses --experiment quick --seconds 60
    python -m ui.headless --all docs/screens --experiment quick --seconds 20
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from studio import gallery
from studio.experiment import Experiment, ExperimentError, load_experiment
from studio.headless import train
from studio.messages import ENDED, RunState
from studio.runfile import RunFileError, default_runs_folder, writable_folder
from studio.session import Session
from ui.layouts import BY_ID, LAYOUTS, Layout
from ui.settings import Settings, SettingsFile

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from ui.main_window import MainWindow

BAD_INPUT = 2
PICTURE = (1200, 800)  # of a panel, in pixels
WINDOW = (1600, 1000)
THEME_NAMES = ("light", "dark")


def run_without_display(argv: Sequence[str] = ()) -> int:
    """Train the default experiment, or the one that is named, and save a picture of every panel and of the window.

    Returns the exit code: 0, 2 for bad input, that of the training where it failed.
    """
    parser = argparse.ArgumentParser(prog="python main.py", description="Train and save pictures, without a display.")
    parser.add_argument("experiment", nargs="?", default=gallery.DEFAULT, help="a name of the gallery, or a TOML file")
    parser.add_argument("--steps", type=int, help="train this many steps instead of those of the experiment")
    parser.add_argument("--out", type=Path, help="the folder for run files and pictures")
    parser.add_argument("--isolate", action="store_true", help="train in a process of its own")
    options = parser.parse_args(list(argv))
    print("There is no display, so this trains without a window and saves the pictures.", flush=True)
    try:
        experiment = find(options.experiment)
        if options.steps is not None:
            experiment = experiment.with_changes({"training.steps": options.steps})
        out = writable_folder(options.out or default_runs_folder())
    except (ExperimentError, RunFileError) as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    code, files = _train_lanes(experiment, out, options.isolate)
    if len(files) < len(experiment.lanes()):
        return code or 1
    folder = out / f"{files[0].stem}-pictures"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        saved = save_pictures(experiment, files, folder)
    except (OSError, RunFileError) as error:
        print(f"The pictures could not be saved: {error}", file=sys.stderr)
        return code or 1
    print(f"Pictures: {folder} ({', '.join(path.name for path in saved)})")
    return code


def find(name: str) -> Experiment:
    """An experiment by its name in the gallery or by its file. Raises ExperimentError."""
    return gallery.load(name) if name in gallery.names() or not name.endswith(".toml") else load_experiment(Path(name))


def _train_lanes(experiment: Experiment, out: Path, isolate: bool) -> tuple[int, list[Path]]:
    """Train one lane after the other; the first exit code that is not 0, and the run files."""
    files: list[Path] = []
    for lane in experiment.lanes():
        print(f"{lane.label or lane.name}: {lane.training.steps:,} steps", flush=True)
        session = Session(lane, runs_folder=out, isolate=isolate)
        code = train(session, lane)
        if session.run_file is not None and session.run_file.exists():
            files.append(session.run_file)
        if code:
            return code, files
    return 0, files


def save_pictures(experiment: Experiment, files: Sequence[Path], folder: Path, theme: str = "light") -> list[Path]:
    """Show the kept runs `files` in a window that nobody sees; save each panel and the window as PNG.

    Raises RunFileError, OSError.
    """
    with tempfile.TemporaryDirectory() as settings:
        app, window = open_unseen(Path(settings), theme, WINDOW)
        try:
            show_lanes(window, files, experiment)
            saved: list[Path] = []
            spin(app, lambda: not any(panel.pending and panel.isVisible() for panel in window.panels), 20.0)
            for panel in window.panels:
                path = folder / f"{panel.id}.png"
                panel.save_png(path, *PICTURE)
                saved.append(path)
            saved.append(_grab(window, folder / "window.png"))
        finally:
            _shut(app, window)
    return saved


def show_lanes(window: MainWindow, files: Sequence[Path], experiment: Experiment | None = None) -> None:
    """Put kept runs into a window, one for each lane of `experiment` (that of the first run where it is not given).

    Raises RunFileError.
    """
    from ui.replay import replay

    runs = [replay(path) for path in files]
    shown = experiment if experiment is not None else runs[0].experiment
    if len(shown.lanes()) < len(runs):
        raise RunFileError(f"{shown.name} has {len(shown.lanes())} lanes, not {len(runs)}.")
    window.documents.show(shown.name, shown)
    window.banner.take_back("look")
    window.run.show_replays(runs)


def screenshot(path: Path, size: tuple[int, int] = WINDOW, theme: str = "light", experiment: str = gallery.DEFAULT,
               seconds: float = 60.0, layout: str = "") -> Path:
    """Open the real window without a display, train for `seconds` (less where the run ends), save its picture.

    `layout`: a name of ui.layouts, the one that the experiment wants where it is ''.
    Raises ExperimentError, OSError, ValueError for an unknown layout, and RuntimeError where the training fails.
    """
    wanted = [_known(layout)] if layout else []
    with _trained(experiment, theme, size, seconds, wanted) as (app, window):
        spin(app, lambda: False, 1.0)
        _grab(window, path)
    return path


def all_screenshots(folder: Path, size: tuple[int, int] = WINDOW, experiment: str = gallery.DEFAULT,
                    seconds: float = 60.0) -> list[Path]:
    """Train once for `seconds`, then save each layout in both themes as LAYOUT-THEME.png. Raises as `screenshot`."""
    from ui.governor import in_sight
    from ui.theme import THEMES

    folder.mkdir(parents=True, exist_ok=True)
    saved = []
    with _trained(experiment, "light", size, seconds, LAYOUTS) as (app, window):
        for theme in (THEMES[name] for name in THEME_NAMES):
            window.set_theme(theme)
            for layout in LAYOUTS:
                window.layouts.choose(layout.id)
                spin(app, lambda: False, 0.3)  # tabs that come to the front are in sight only now
                spin(app, lambda: not any(panel.pending and in_sight(panel) for panel in window.panels), 5.0)
                spin(app, lambda: False, 0.7)
                saved.append(_grab(window, folder / f"{layout.id}-{theme.name}.png"))
    return saved


@contextmanager
def _trained(experiment: str, theme: str, size: tuple[int, int], seconds: float,
             layouts: Sequence[Layout]) -> Iterator[tuple[QApplication, MainWindow]]:
    """A window whose experiment has trained for `seconds` and is paused then; in the first of the layouts."""
    chosen = find(experiment)
    with tempfile.TemporaryDirectory() as scratch:
        app, window = open_unseen(Path(scratch), theme, size)
        window.settings.runs_folder = scratch
        try:
            window.documents.show(chosen.name, chosen)
            if layouts:
                window.layouts.choose(layouts[0].id)
            if seconds > 0:
                window.run.toggle()
                spin(app, lambda: window.control.state is not RunState.PREPARING, 300.0)
                spin(app, lambda: window.control.state in ENDED, seconds)
                if window.control.state is RunState.FAILED:
                    raise RuntimeError(next(iter(window.control.statuses.values())).message)
                if len(layouts) > 1:
                    window.control.pause()
            yield app, window
        finally:
            _shut(app, window)


def _known(layout: str) -> Layout:
    if layout not in BY_ID:
        raise ValueError(f"there is no layout '{layout}'; the layouts are {', '.join(BY_ID)}")
    return BY_ID[layout]


def open_unseen(settings: Path, theme: str, size: tuple[int, int]) -> tuple[QApplication, MainWindow]:
    """A window on Qt's offscreen platform, with settings of its own in the folder `settings`."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from PySide6.QtCore import qInstallMessageHandler

    from ui.app import make_application
    from ui.main_window import MainWindow

    qInstallMessageHandler(_message)
    app = make_application()
    store = SettingsFile(settings / "settings.json")
    store.save(Settings.model_validate({"theme": theme}))
    window = MainWindow(store)
    window.resize(*size)
    window.docks.reset()
    window.show()
    window.load_default()
    return app, window


def spin(app: QApplication, done: Callable[[], bool], seconds: float) -> bool:
    """Let the window live until `done`, for `seconds` at most. Whether it was done."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app.processEvents()
        if done():
            return True
        time.sleep(0.005)
    return done()


def _message(kind: object, context: object, text: str) -> None:
    """Qt's messages, but for what the offscreen platform says of itself each time a window is sized."""
    if not text.startswith("This plugin does not support"):
        print(text, file=sys.stderr)


def _grab(window: MainWindow, path: Path) -> Path:
    if not window.grab().save(str(path)):
        raise OSError(f"{path} could not be written")
    return path


def _shut(app: QApplication, window: MainWindow) -> None:
    """Close without asking."""
    from PySide6.QtCore import QCoreApplication, QEvent, qInstallMessageHandler

    window.control.stop()
    window.run.release(lambda: None)
    spin(app, lambda: not window.control.closing, 20.0)
    window.close()
    spin(app, lambda: not window.isVisible(), 5.0)
    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    qInstallMessageHandler(None)


def main(argv: Sequence[str] | None = None) -> int:
    """The command that makes pictures of the window."""
    parser = argparse.ArgumentParser(prog="python -m ui.headless", description="Save a picture of the window.")
    parser.add_argument("path", type=Path, nargs="?", help="the PNG file")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="save every layout in both themes into this folder")
    parser.add_argument("--size", default="1600x1000", help="width and height in pixels, such as 1600x1000")
    parser.add_argument("--theme", choices=THEME_NAMES, default="light")
    parser.add_argument("--layout", default="", help=f"the arrangement of the panels: {', '.join(BY_ID)}")
    parser.add_argument("--experiment", default=gallery.DEFAULT, help="a name of the gallery, or a TOML file")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to train before the picture")
    options = parser.parse_args(argv)
    if (options.path is None) is (options.all is None):
        print("Name the PNG file, or --all and a folder.", file=sys.stderr)
        return BAD_INPUT
    try:
        width, height = (int(part) for part in options.size.split("x"))
        if options.all is not None:
            saved = all_screenshots(options.all, (width, height), options.experiment, options.seconds)
        else:
            saved = [screenshot(options.path, (width, height), options.theme, options.experiment, options.seconds,
                                options.layout)]
    except (ValueError, OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    print(*saved, sep="\n")
    return 0


if __name__ == "__main__":
    exit_code = main()
    from ui.app import leave_behind

    leave_behind(exit_code)
    sys.exit(exit_code)
