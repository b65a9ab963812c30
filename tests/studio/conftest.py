"""Fixtures of the tests without a window."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio import headless, runfile
from tests.studio.samples import POISSON


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written into the person's own folder, and nothing waits."""
    monkeypatch.setattr(runfile.platformdirs, "user_data_path", lambda name, **_: tmp_path / "home" / name)
    monkeypatch.setattr(headless, "POLL", 0.0)


@pytest.fixture
def poisson(tmp_path: Path) -> Path:
    path = tmp_path / "poisson.toml"
    path.write_text(POISSON, encoding="utf-8")
    return path
