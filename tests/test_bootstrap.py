"""The preparation of the environment: nothing is installed here, what would be done is looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tools import bootstrap

ROOT = Path(__file__).resolve().parent.parent


class Machine:
    """A machine without network: commands are noted, pip answers as it is told to."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.pip_code = 0

    def run(self, command: list[Any], **_: Any) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        self.commands.append(words)
        if "venv" in words:
            python = Path(words[-1], "bin", "python")
            python.parent.mkdir(parents=True, exist_ok=True)
            python.write_text("")
        code = self.pip_code if "pip" in words else 0
        made = any("venv" in earlier for earlier in self.commands)
        return subprocess.CompletedProcess(words, code, bootstrap.VERSION if "-c" in words and made else "")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    fake = Machine()
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(subprocess, "run", fake.run)
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).write_text("numpy==2.4.6\n")
    moved = {name: replace(bootstrap.ENVIRONMENTS[name], folder=tmp_path / ".venv") for name in ("run", "test")}
    monkeypatch.setattr(bootstrap, "ENVIRONMENTS", moved)
    yield fake


def test_an_installation_is_done_once(machine: Machine) -> None:
    run, test = bootstrap.ENVIRONMENTS["run"], bootstrap.ENVIRONMENTS["test"]
    assert not run.complete()
    bootstrap.install(test)
    assert test.complete() and run.complete()  # what is enough for the tests is enough for the program
    pip = machine.commands[-1]
    assert pip[1:4] == ["-m", "pip", "install"] and pip[-1].endswith("requirements-dev.txt")


def test_the_program_alone_is_not_enough_for_the_tests(machine: Machine) -> None:
    bootstrap.install(bootstrap.ENVIRONMENTS["run"])
    assert bootstrap.ENVIRONMENTS["run"].complete()
    assert not bootstrap.ENVIRONMENTS["test"].complete()


def test_a_changed_requirement_is_installed(machine: Machine, tmp_path: Path) -> None:
    run = bootstrap.ENVIRONMENTS["run"]
    bootstrap.install(run)
    (tmp_path / "requirements.txt").write_text("numpy==2.4.7\n")
    assert not run.complete()


def test_a_failed_installation_leaves_no_stamp(machine: Machine) -> None:
    run = bootstrap.ENVIRONMENTS["run"]
    bootstrap.install(run)
    machine.pip_code = 1
    with pytest.raises(bootstrap.SetupError, match="pip's message is above"):
        bootstrap.install(run)
    assert not run.complete()


def test_an_interrupted_installation_leaves_no_stamp(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bootstrap.ENVIRONMENTS["run"]
    bootstrap.install(run)

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bootstrap.install(run)
    assert not run.complete()


def test_what_is_missing_is_named_with_one_command(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "loads", lambda library: library != "libEGL.so.1")
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    bootstrap.complete_system(bootstrap.ENVIRONMENTS["test"])
    said = capsys.readouterr().err
    assert "Missing on this system: libEGL.so.1, a C++ compiler." in said
    assert "sudo apt-get install -y --no-install-recommends g++ libegl1\n" in said
    assert machine.commands == []  # nothing is installed behind a person's back

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    bootstrap.complete_system(bootstrap.ENVIRONMENTS["run"])
    assert [words[1] for words in machine.commands] == ["update", "install"]
    assert "libegl1" in machine.commands[-1] and "g++" not in machine.commands[-1]


def test_a_screen_needs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "loads", lambda _: False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    assert "libxcb-cursor.so.0" not in bootstrap.missing(bootstrap.ENVIRONMENTS["run"])
    monkeypatch.setenv("DISPLAY", ":0")
    assert bootstrap.missing(bootstrap.ENVIRONMENTS["run"])["libxcb-cursor.so.0"] == "libxcb-cursor0"


def test_every_requirement_is_pinned() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "tests/bench/requirements.txt"):
        for line in (ROOT / name).read_text().splitlines():
            words = line.partition("#")[0].strip()
            assert not words or words.startswith("-r ") or words.count("==") == 1, f"{name}: {line}"


def test_too_old_a_python_gets_a_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    make = bootstrap.shutil.which("make")
    assert make is not None, "the Makefile is tested with make"
    done = subprocess.run([make, "-n", "-f", ROOT / "Makefile", "run"], cwd=tmp_path, capture_output=True, text=True,
                          env={"PATH": str(tmp_path), "SHELL": "/bin/sh"}, check=False)
    assert done.returncode != 0
    assert "PINNscope needs Python 3.11 or later" in done.stderr
