"""Opens the window, or does without where there is no display."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from ui.main_window import MainWindow

log = logging.getLogger("pinnscope")

TITLE_BAR = 40  # pixels that a title bar takes at most
PATIENCE = 30.0  # seconds that a session may take to close its run file when the window is gone

_crash_file: IO[str] | None = None  # faulthandler writes into it; it must stay open


def has_display() -> bool:
    """Whether a window can be shown: on Linux a display is named in the environment."""
    if not sys.platform.startswith("linux"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))


def main(argv: Sequence[str] | None = None) -> int:
    """Open the window and return when it is closed. `argv`: an experiment or run to open, `--isolate`.

    Returns the exit code; 2 for an argument that is not understood.
    """
    arguments = list(argv if argv is not None else ())
    if not has_display():
        from ui.headless import run_without_display

        return run_without_display(arguments)
    isolate = "--isolate" in arguments
    names = [one for one in arguments if one != "--isolate"]
    if len(names) > 1 or any(name.startswith("-") for name in names):
        print(f"The window does not understand {' '.join(names)}; give one experiment or run file, or --isolate.",
              file=sys.stderr)
        return 2
    keep_log()
    app = make_application()
    from ui.main_window import MainWindow

    window = MainWindow()
    if isolate:
        window.isolate = True
    catch_exceptions(window)
    app.aboutToQuit.connect(window.control.close_now)
    signal.signal(signal.SIGINT, lambda *_: window.close())
    fit_to_screen(window)
    window.show()
    _open(window, names[0] if names else "")
    code = app.exec()
    sys.excepthook = sys.__excepthook__
    leave_behind(code)
    return code


def leave_behind(code: int, wait: float = PATIENCE) -> None:
    """End the process here, with this exit code, where a session is still computing after `wait` more seconds.

    A long computation, of the Hessian of a large problem for one, hears of the closing only when it is over. Python
    would end while that thread is in the middle of torch, and the process would be aborted.
    """
    end = time.monotonic() + wait
    left = [thread for thread in threading.enumerate() if thread.name.startswith("session")]
    for thread in left:
        thread.join(max(0.0, end - time.monotonic()))
    if any(thread.is_alive() for thread in left):
        log.warning("a session was still computing %g s after the window had been closed; it is given up", wait)
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(code)


def make_application() -> QApplication:
    """The QApplication, with the program's names."""
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QGuiApplication
    from PySide6.QtWidgets import QApplication

    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication(["pinnscope"])
    app.setApplicationName("pinnscope")
    app.setApplicationDisplayName("PINNscope")
    return app


def fit_to_screen(window: MainWindow) -> None:
    """A window that opens for the first time is no larger than its screen has room for, title bar included."""
    room = window.screen().availableSize()
    width, height = min(window.width(), room.width()), min(window.height(), room.height() - TITLE_BAR)
    if not window.settings.geometry and (width, height) != (window.width(), window.height()):
        window.resize(width, height)
        window.docks.reset()  # what can be shown side by side depends on the size


def _open(window: MainWindow, name: str) -> None:
    from studio import gallery

    window.load_default()
    if name in gallery.names():
        window.documents.choose(name)
    elif name:
        window.documents.open(Path(name))


def log_folder() -> Path:
    return platformdirs.user_log_path("pinnscope", appauthor=False)


def keep_log() -> None:
    """A log file for what goes wrong, and Python's stacks where the process dies. Does without where it cannot."""
    global _crash_file
    folder = log_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(folder / "pinnscope.log", maxBytes=1_000_000, backupCount=2, encoding="utf-8",
                                      delay=True)
        _crash_file = (folder / "crash.log").open("a", encoding="utf-8")
    except OSError:
        if sys.stderr is not None:
            faulthandler.enable()
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    faulthandler.enable(_crash_file)


def catch_exceptions(window: MainWindow) -> None:
    """Log every error that nobody caught, and show it in the window, which goes on."""
    from PySide6.QtCore import QObject, Qt, Signal

    class Relay(QObject):
        """Brings an error of another thread to the GUI thread."""

        caught = Signal(object, object, object)

    relay = Relay(window)
    relay.caught.connect(window.reports.exception, Qt.ConnectionType.QueuedConnection)

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            window.close()
            return
        log.error("not caught", exc_info=(kind, error, trace))
        relay.caught.emit(kind, error, trace)

    def thread_hook(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None:
            hook(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)

    sys.excepthook = hook
    threading.excepthook = thread_hook
