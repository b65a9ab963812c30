"""The entry: which arguments open the window, which are a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import main
import studio

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments of every window that would have been opened."""
    import ui.app

    calls: list[list[str]] = []

    def window(arguments: list[str]) -> int:
        calls.append(arguments)
        return 7

    monkeypatch.setattr(ui.app, "main", window)
    return calls


@pytest.mark.parametrize("arguments", [[], ["--isolate"]])
def test_no_command_opens_the_window(arguments: list[str], opened: list[list[str]]) -> None:
    assert main.main(arguments) == 7
    assert opened == [arguments]


def test_a_command_opens_none(opened: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["gallery"]) == 0
    assert "quick" in capsys.readouterr().out
    assert opened == []


@pytest.mark.parametrize("display", [True, False])
def test_a_run_opens_in_the_window_where_there_is_a_display(
    display: bool, opened: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    monkeypatch.setattr("studio.cli.main", lambda arguments, open_window: given.append(open_window) or 0)
    monkeypatch.setattr("ui.app.has_display", lambda: display)
    assert main.main(["open", "a.pinnrun"]) == 0
    assert (given[0] is not None) == display
    if callable(given[0]):
        assert given[0](Path("a.pinnrun")) == 7
        assert opened == [["a.pinnrun"]]


def test_the_version() -> None:
    command = [sys.executable, "main.py", "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"PINNscope {studio.__version__}")
