"""PINNscope. Without arguments it opens the window; with arguments it is the command line (`main.py --help`)."""

from __future__ import annotations

import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Run the window or a command; returns the exit code.

    What either needs is imported where it is used: the window must be there before torch is loaded, and a process
    of its own for the training imports this module again.
    """
    if arguments in ([], ["--isolate"]):
        return window(arguments)
    from studio.cli import main as command

    return command(arguments, open_in_window if arguments[0] == "open" and has_display() else None)


def window(arguments: list[str]) -> int:
    """Open the window; `arguments` may name a run file. Returns when it is closed."""
    if sys.platform == "win32":
        import torch  # noqa: F401 - on Windows its libraries do not load once Qt's have
    from ui.app import main as application

    return application(arguments)


def open_in_window(path: Path) -> int:
    """Open a run file in the window."""
    return window([str(path)])


def has_display() -> bool:
    """Whether a window can be shown."""
    from ui.app import has_display as found

    return found()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
