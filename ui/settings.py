"""What the program remembers between two starts: one JSON file, read so that it can never stop the start."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

RECENT = 10

#: Whoever wants another folder (a test, a portable installation) names it in this environment variable.
FOLDER_VARIABLE = "PINNSCOPE_SETTINGS"


def pack(data: bytes) -> str:
    """Bytes (a window's layout) as text that JSON can hold."""
    return base64.b64encode(data).decode("ascii")


def unpack(text: str) -> bytes:
    """The bytes that `pack` was given."""
    return base64.b64decode(text, validate=True)


def _is_base64(value: str) -> str:
    try:
        unpack(value)
    except (binascii.Error, ValueError):
        raise ValueError("this is not base64 text") from None
    return value


class SavedLayout(BaseModel):
    """An arrangement of the panels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: str  # of docks and toolbars, base64
    of: str  # the docks that `state` arranges, parted by commas; others are hidden
    base: str = "overview"  # the built-in arrangement that it was made from

    _check = field_validator("state")(_is_base64)


class Settings(BaseModel):
    """Choices of a person that decide nothing about the numbers of a run."""

    model_config = ConfigDict(validate_assignment=True, extra="forbid")

    version: Literal[1] = 1
    theme: Literal["system", "light", "dark"] = "system"
    geometry: str = ""  # place and size of the window, base64
    layout: str = ""  # arrangement of docks and toolbars, base64
    layout_of: str = ""  # the docks that `layout` arranges; panels added since stay hidden until they are shown
    layout_id: str = "overview"  # the built-in arrangement that it was made from
    layout_chosen: bool = False  # by a person; otherwise an experiment's chapter may choose
    layouts: dict[str, SavedLayout] = Field(default_factory=dict)  # of one's own, by name, in the order of the menu
    # On Windows torch does not load after Qt in one process, so the training gets a process of its own there.
    isolate: bool = sys.platform == "win32"
    runs_folder: str = ""  # '' is the program's own folder
    folder: str = ""  # where a file was opened or saved last
    drafts: dict[str, dict[str, Any]] = Field(default_factory=dict)  # what was typed over each experiment
    recent: tuple[str, ...] = Field(default=(), max_length=RECENT)  # run files and experiments, the newest first

    _check = field_validator("geometry", "layout")(_is_base64)

    def remember(self, path: Path) -> None:
        """Put `path` at the head of the recent files."""
        text = str(path)
        self.recent = (text, *(item for item in self.recent if item != text))[:RECENT]
        self.folder = str(path.parent)


class SettingsFile:
    """Settings on disk. Reading and writing never raise; `problems` has a sentence for whatever went wrong."""

    def __init__(self, path: Path | None = None) -> None:
        folder = os.environ.get(FOLDER_VARIABLE)
        default = Path(folder) if folder else platformdirs.user_config_path("pinnscope", appauthor=False)
        self.path = path if path is not None else default / "settings.json"
        self.problems: list[str] = []

    def load(self) -> Settings:
        """The settings of the file, without what is wrong in it; defaults where there is no file."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Settings()
        except UnicodeDecodeError:
            return self._give_up("is not text")
        except OSError as error:
            self.problems.append(f"The settings in {self.path} cannot be read ({error.strerror}); defaults are used.")
            return Settings()
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            return self._give_up("is not valid JSON")
        if not isinstance(data, dict):
            return self._give_up("does not hold settings")
        return self._without_bad_keys(data)

    def save(self, settings: Settings) -> bool:
        """Write the settings whole or not at all. False, with a sentence in `problems`, where that fails."""
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(settings.model_dump_json(indent=2) + "\n", encoding="utf-8")
            os.replace(part, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()
            self.problems.append(f"The settings cannot be saved in {self.path} ({error.strerror}).")
            return False
        return True

    def _without_bad_keys(self, data: dict[str, Any]) -> Settings:
        dropped: list[str] = []
        while True:
            try:
                settings = Settings.model_validate(data)
            except ValidationError as error:
                bad = {str(item["loc"][0]) for item in error.errors() if item["loc"]} & data.keys()
                if not bad:
                    return self._give_up("does not hold settings")
                dropped.extend(sorted(bad))
                data = {key: value for key, value in data.items() if key not in bad}
                continue
            if dropped:
                backup = self._back_up()
                self.problems.append(f"In the settings {', '.join(dropped)} could not be used and went back to the "
                                     f"default{backup}.")
            return settings

    def _give_up(self, reason: str) -> Settings:
        backup = self._back_up()
        self.problems.append(f"The settings file {self.path} {reason}; defaults are used{backup}.")
        return Settings()

    def _back_up(self) -> str:
        """Keep the file as it is under another name; say where."""
        for number in range(1, 100):
            copy = self.path.with_name(f"{self.path.name}.bad-{number}")
            if not copy.exists():
                try:
                    copy.write_bytes(self.path.read_bytes())
                except OSError:
                    return ""
                return f" (the old file is kept as {copy.name})"
        return ""
