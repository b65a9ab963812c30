"""A pytest plugin, `-p tests.without_qt`: tests run as they would where Qt is not installed.

Give it together with `-p no:pytest-qt`, whose settings it takes over so that pytest still knows their names.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

QT = ("PySide6", "shiboken6", "pyqtgraph")


class Blocker:
    """A finder on `sys.meta_path` that refuses some packages, as if they were not installed."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = frozenset(packages)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in self.packages:
            raise ModuleNotFoundError(f"No module named {name!r} (blocked by the test)", name=name)
        return None


def block(*packages: str) -> None:
    """From now on an import of one of `packages` fails. They must not have been imported yet."""
    loaded = sorted(set(packages) & sys.modules.keys())
    if loaded:
        raise RuntimeError(f"too late to block {', '.join(loaded)}: already imported")
    sys.meta_path.insert(0, Blocker(packages))


def pytest_addoption(parser: pytest.Parser) -> None:
    for name in ("qt_api", "qt_log_level_fail"):
        parser.addini(name, "a setting of pytest-qt, unused without it")


def pytest_configure() -> None:
    block(*QT)
