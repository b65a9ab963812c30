"""What holds for every test: no screen, no folder of the person who runs it, no thread left behind."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

# Settings, run files and caches go where platformdirs and Qt look for them; not into the home of whoever tests.
_home = tempfile.TemporaryDirectory(prefix="pinnscope-test-")
os.environ["PINNSCOPE_CACHE"] = str(Path(_home.name, "cache"))
for _variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
    _folder = Path(_home.name, _variable.lower())
    _folder.mkdir()
    os.environ[_variable] = str(_folder)

# A loaded machine is slow now and then; that is no fault of the code under test.
hypothesis.settings.register_profile("pinnscope", deadline=None)
hypothesis.settings.load_profile("pinnscope")

PACKAGES = ("core", "studio", "ui")
PATIENCE = 5.0  # seconds for a thread that has been told to end


def our_threads() -> set[threading.Thread]:
    """The living threads that run code of the project; libraries keep some of their own."""
    found = set()
    for thread in threading.enumerate():
        target = getattr(thread, "_target", None)
        modules = {type(thread).__module__, getattr(target, "__module__", None) or ""}
        if any(module.partition(".")[0] in PACKAGES for module in modules):
            found.add(thread)
    return found


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fails the test that leaves a thread of the project running."""
    before = our_threads()
    yield
    until = time.monotonic() + PATIENCE
    while (left := our_threads() - before) and time.monotonic() < until:
        time.sleep(0.01)
    assert not left, f"threads left running: {', '.join(sorted(thread.name for thread in left))}"
