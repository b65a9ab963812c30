"""Settings survive every kind of bad file and lose only what is bad."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ui.settings import RECENT, Settings, SettingsFile, pack, unpack


def test_a_missing_file_gives_defaults_and_no_complaint(tmp_path: Path) -> None:
    store = SettingsFile(tmp_path / "settings.json")
    assert store.load() == Settings()
    assert store.problems == []


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    store = SettingsFile(tmp_path / "deep" / "settings.json")
    settings = Settings(theme="dark", isolate=True, layout=pack(bytes(range(256))), recent=("/a/b.toml",))
    assert store.save(settings)
    loaded = store.load()
    assert loaded == settings
    assert unpack(loaded.layout) == bytes(range(256))
    assert [path.name for path in store.path.parent.iterdir()] == ["settings.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe\x00", b"null", b'"text"', b"[" * 100_000])
def test_a_bad_file_is_backed_up_and_defaults_are_used(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    store = SettingsFile(path)
    assert store.load() == Settings()
    assert len(store.problems) == 1
    assert (tmp_path / "settings.json.bad-1").read_bytes() == content


def test_only_bad_keys_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"theme": "dark", "isolate": "perhaps", "layout": "no base 64!", "color": 3,
                                "runs_folder": "/data", "version": 7}), encoding="utf-8")
    store = SettingsFile(path)
    settings = store.load()
    assert settings == Settings(theme="dark", runs_folder="/data")
    assert "color, isolate, layout, version" in store.problems[0]
    assert "settings.json.bad-1" in store.problems[0]


def test_every_bad_file_gets_its_own_backup(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    for number in (1, 2):
        path.write_text("{" * number, encoding="utf-8")
        SettingsFile(path).load()
    assert (tmp_path / "settings.json.bad-2").read_text(encoding="utf-8") == "{{"


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("", encoding="utf-8")
    store = SettingsFile(blocker / "settings.json")
    assert store.save(Settings()) is False
    assert "cannot be saved" in store.problems[0]


def test_recent_files_are_few_and_without_doubles(tmp_path: Path) -> None:
    settings = Settings()
    for number in range(RECENT + 5):
        settings.remember(tmp_path / f"{number}.toml")
    settings.remember(tmp_path / "9.toml")
    assert len(settings.recent) == RECENT
    assert settings.recent[0].endswith(f"{os.sep}9.toml")
    assert len(set(settings.recent)) == RECENT
    assert settings.folder == str(tmp_path)


def test_the_folder_can_be_named_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINNSCOPE_SETTINGS", str(tmp_path))
    assert SettingsFile().path == tmp_path / "settings.json"
