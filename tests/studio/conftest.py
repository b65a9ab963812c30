"""Fixtures of the tests without a window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from studio import headless, runfile
from tests.studio.samples import POISSON
from tests.studio.table_samples import forget, small_gallery


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


@pytest.fixture
def small_tables(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The gallery is that of `table_samples`, and nothing of it is remembered afterwards."""
    small_gallery(monkeypatch, tmp_path_factory.mktemp("tables"))
    yield
    forget()
