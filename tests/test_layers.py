"""The rules of the house that a machine can check: who imports whom, and how long a file may be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 400  # lines

IMPORT_ALL = """
import importlib, pkgutil, sys
from tests.without_qt import block
block(*{blocked!r})
names = []
for package in {packages!r}:
    names.append(package)
    path = importlib.import_module(package).__path__
    names += [module.name for module in pkgutil.walk_packages(path, package + ".")]
for name in names:
    importlib.import_module(name)
print(*names)
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own, in the project's folder."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def import_all(packages: tuple[str, ...], blocked: tuple[str, ...]) -> set[str]:
    """Import every module of `packages` where `blocked` cannot be imported; the names of the modules."""
    done = python(IMPORT_ALL.format(packages=packages, blocked=blocked))
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_imports_point_one_way() -> None:
    done = python("import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kept, 0 broken" in done.stdout


def test_core_and_studio_import_where_qt_is_missing() -> None:
    modules = import_all(("core", "studio"), ("PySide6", "shiboken6", "pyqtgraph", "ui"))
    assert {"core.frames", "core.jets", "core.trainer", "studio.session", "studio.cli"} <= modules


def test_ui_imports_where_torch_is_missing() -> None:
    modules = import_all(("ui",), ("torch",))
    assert {"ui.app", "ui.main_window", "ui.panels"} <= modules


def test_opening_the_application_loads_no_torch() -> None:
    done = python("import sys, main, ui.app; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr or "torch was loaded"


def test_a_blocked_package_does_not_import() -> None:
    done = python("from tests.without_qt import block; block('PySide6'); import PySide6.QtCore")
    assert done.returncode != 0
    assert "blocked by the test" in done.stderr


def test_files_are_short_enough_to_read() -> None:
    files = [ROOT / "main.py"]
    for folder in ("core", "studio", "ui", "tools", "tests"):
        files += sorted((ROOT / folder).rglob("*.py"))
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}
