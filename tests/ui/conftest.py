"""No test of the window leaves a widget, a timer or a thread behind, and a warning of Qt fails it."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QCoreApplication, QEvent, QThread, QTimer  # noqa: E402
from PySide6.QtWidgets import QApplication, QWidget  # noqa: E402
from shiboken6 import isValid  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
HARMLESS = (r"This plugin does not support (propagateSizeHints|raise|grabbing)",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.qt_log_level_fail("WARNING"))
            item.add_marker(pytest.mark.qt_log_ignore(*HARMLESS))
            # ziamath loads its font in a way that Python 3.11 would like to see changed
            item.add_marker(pytest.mark.filterwarnings("ignore:path is deprecated:DeprecationWarning"))


def _widgets() -> set[QWidget]:
    return {widget for widget in QApplication.topLevelWidgets() if isValid(widget)}


def _timers() -> list[QTimer]:
    return [
        thing for thing in gc.get_objects() if type(thing) is QTimer and isValid(thing) and thing.isActive()
    ]


def _settle() -> None:
    for _ in range(3):
        QApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Top-level widgets, running timers and threads are the same after a test as before it."""
    threads = set(threading.enumerate())
    if not {"qtbot", "qapp"} & set(request.fixturenames):
        yield
        left = [t for t in threading.enumerate() if t not in threads and t.is_alive()]
        assert not left, f"the test left threads running: {left}"
        return
    request.getfixturevalue("qapp")
    widgets, timers = _widgets(), {id(timer) for timer in _timers()}
    yield
    _settle()
    for thread in set(threading.enumerate()) - threads:
        thread.join(2.0)
    left = [t for t in threading.enumerate() if t not in threads and t.is_alive()]
    assert not left, f"the test left threads running: {left}"
    # by type, because isinstance() asks every object for its class, and some warn when they are asked
    found = [thing for thing in gc.get_objects() if issubclass(type(thing), QThread) and isValid(thing)]
    running = [thread for thread in found if thread.isRunning() and thread is not QThread.currentThread()]
    assert not running, f"the test left Qt threads running: {running}"
    dangling = [widget for widget in _widgets() - widgets if isValid(widget)]
    assert not dangling, f"the test left windows behind: {dangling}; give them to qtbot.addWidget"
    ticking = [timer for timer in _timers() if id(timer) not in timers]
    assert not ticking, f"the test left timers running: {[(t.interval(), t.parent()) for t in ticking]}"
