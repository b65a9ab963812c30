"""Prepares an environment of pinned packages, the first time, and runs a command in it.

    python3 tools/bootstrap.py run main.py             the program
    python3 tools/bootstrap.py test tools/check.py     its checks
    python3 tools/bootstrap.py bench                   the benchmark's peers; prepares and runs nothing

Standard library only, Python 3.11 or later (the Makefile looks for one). An environment is complete when its stamp
holds the fingerprint of its requirements; the stamp goes before an installation begins and comes back after it has
succeeded, so that one which was interrupted is taken up again.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

#: What Qt loads when it draws into memory, and the Debian package of each.
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libgthread-2.0.so.0": "libglib2.0-0",
}
#: What it loads besides for a window on an X screen.
SCREEN_LIBRARIES = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libX11-xcb.so.1": "libx11-xcb1",
}
COMPILERS = ("g++", "clang++", "c++")


class SetupError(Exception):
    """The environment could not be prepared; the text is a sentence for the person at the keyboard."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment's folder and the files that say what belongs into it, the outermost last."""

    name: str
    folder: Path
    requirements: tuple[str, ...]
    draws: bool = False  # whether Qt is loaded in it
    compiles: bool = False  # whether what runs in it cannot do without a C++ compiler; the program can

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        return self.folder / f".installed-{self.name}"

    def fingerprint(self) -> str:
        """A digest of the requirements and of this Python's version."""
        digest = hashlib.sha256(VERSION.encode())
        for name in self.requirements:
            digest.update((ROOT / name).read_bytes())
        return digest.hexdigest()

    def complete(self) -> bool:
        """Whether the requirements as they are now have been installed by a Python of this version."""
        try:
            return self.stamp.read_text() == self.fingerprint() and self.python.exists()
        except OSError:
            return False


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment("run", ROOT / ".venv", ("requirements.txt",), draws=True),
        Environment("test", ROOT / ".venv", ("requirements.txt", "requirements-dev.txt"), draws=True, compiles=True),
        Environment("bench", ROOT / ".bench-venv", ("tests/bench/requirements.txt",), compiles=True),
    )
}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def missing(environment: Environment) -> dict[str, str]:
    """What the system lacks: what is needed, and the Debian package that has it. Loads libraries for a try."""
    found = {}
    if not environment.complete() and importlib.util.find_spec("ensurepip") is None:
        found["Python's module for virtual environments"] = f"python{VERSION}-venv"
    if environment.draws and sys.platform == "linux":
        libraries = QT_LIBRARIES | (SCREEN_LIBRARIES if os.environ.get("DISPLAY") else {})
        found |= {library: package for library, package in libraries.items() if not loads(library)}
    if environment.compiles and not any(shutil.which(name) for name in (os.environ.get("CXX", ""), *COMPILERS)):
        found["a C++ compiler"] = "g++"
    return found


def complete_system(environment: Environment) -> None:
    """Install what the system lacks where that is possible, otherwise say how. Never stops the start."""
    lacks = missing(environment)
    if not lacks:
        return
    packages = sorted(set(lacks.values()))
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    say(f"Missing on this system: {', '.join(lacks)}.")
    if shutil.which("apt-get") is None:
        say(f"Install what your system calls these packages of Debian: {' '.join(packages)}.")
    elif os.geteuid() != 0:
        say(f"This command installs all of it:\n    sudo {' '.join(command)}")
    else:
        say(f"Installing {' '.join(packages)} ...")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for step in (["apt-get", "update", "-qq"], [*command, "-qq"]):
            # apt's progress goes to stderr: the program's own output stays alone on stdout.
            if subprocess.run(step, env=quiet, stdout=sys.stderr, check=False).returncode != 0:
                say(f"apt-get did not succeed. This is the command to repeat:\n    {' '.join(command)}")
                return


def loads(library: str) -> bool:
    """Whether the dynamic linker finds and loads a shared library."""
    try:
        ctypes.CDLL(library, mode=os.RTLD_LAZY)
    except OSError:
        return False
    return True


def usable(environment: Environment) -> bool:
    """Whether the environment's Python starts, is of this version and has pip."""
    probe = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
    try:
        found = subprocess.run([environment.python, "-I", "-c", probe], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return found.returncode == 0 and found.stdout.strip() == VERSION


def create(environment: Environment) -> None:
    """Make the environment's folder anew. Raises SetupError."""
    importlib.invalidate_caches()  # it may have been installed a moment ago
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError("Python cannot make an environment without its module; install it and try again.")
    # Asked from inside an old environment, the Python below it has to do it.
    base = getattr(sys, "_base_executable", None) or sys.executable
    if subprocess.run([base, "-m", "venv", "--clear", environment.folder], check=False).returncode != 0:
        raise SetupError(f"The environment {environment.folder} could not be made; the message is above.")


def install(environment: Environment) -> None:
    """Bring the environment to what its requirements say. Raises SetupError."""
    same_folder = [other for other in ENVIRONMENTS.values() if other.folder == environment.folder]
    for other in same_folder:
        other.stamp.unlink(missing_ok=True)
    if not usable(environment):
        create(environment)
    say(f"Installing into {environment.folder.name}: once, a few minutes ...")
    command = [str(environment.python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    pip = subprocess.run([*command, "-r", str(ROOT / environment.requirements[-1])], stdout=sys.stderr, check=False)
    if pip.returncode != 0:
        raise SetupError("The packages could not be installed; pip's message is above. The same command tries again.")
    for other in same_folder:
        if set(other.requirements) <= set(environment.requirements):
            part = other.stamp.with_suffix(".part")
            part.write_text(other.fingerprint())
            part.replace(other.stamp)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Holds off a second call that would install into the same folder at the same time."""
    with (ROOT / "requirements.txt").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(arguments: Sequence[str]) -> int:
    """Prepare the environment that the first argument names, then become the command that follows it."""
    if not arguments or arguments[0] not in ENVIRONMENTS:
        say(f"usage: bootstrap.py {'|'.join(ENVIRONMENTS)} [COMMAND ...]")
        return 2
    environment, command = ENVIRONMENTS[arguments[0]], arguments[1:]
    os.chdir(ROOT)
    try:
        complete_system(environment)
        if not environment.complete():
            with alone():
                if not environment.complete():  # another call may have done it meanwhile
                    install(environment)
    except SetupError as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"The environment could not be prepared: {error.strerror} ({error.filename}).")
        return 1
    except KeyboardInterrupt:
        say("Interrupted. The same command takes it up again.")
        return 130
    if not command:
        return 0
    sys.stdout.flush()
    os.execv(environment.python, [str(environment.python), *command])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
