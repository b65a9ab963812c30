"""The built-in experiments, one TOML file each. A file may build on another with `base = "name"`."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from studio.experiment import Experiment, ExperimentError

FOLDER = Path(__file__).resolve().parent.parent / "resources" / "gallery"
DEFAULT = "quick"
NEW = "new"  # to type one's own equation over

#: The chapters in their order; those of a file that are not here follow by name.
GROUPS = ("Start here", "Gradient pathologies", "Adaptive activations", "Reproducing activations", "Standard problems",
          "Methods", "Second order", "Pathologies")
OTHERS = "Others"  # what names no chapter


@dataclass(frozen=True)
class Entry:
    """A line of the gallery: what an experiment is, and in one sentence what to look at."""

    name: str
    title: str
    look: str
    source: str
    label: str
    group: str

    def matches(self, words: str) -> bool:
        """Whether every word is somewhere in what the experiment says of itself, whatever the case of letters."""
        text = " ".join((self.name, self.title, self.look, self.source, self.label, self.group)).lower()
        return all(word in text for word in words.lower().split())


def names() -> list[str]:
    """Names of the built-in experiments, the default first."""
    return list(_names())


@cache
def _names() -> tuple[str, ...]:
    found = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return tuple(sorted(found, key=lambda name: name != DEFAULT))


def groups() -> dict[str, list[str]]:
    """Names of the built-in experiments by chapter: the chapters in their order, the default first, c2 before c16."""
    found: dict[str, list[str]] = {}
    for name in sorted(names(), key=lambda name: (name != DEFAULT, _natural(name))):
        found.setdefault(str(_data(name).get("group") or OTHERS), []).append(name)
    known = [*GROUPS, *sorted(found.keys() - {*GROUPS, OTHERS}), OTHERS]
    return {group: found[group] for group in known if group in found}


@cache
def load(name: str) -> Experiment:
    """A built-in experiment. Raises ExperimentError where there is none of this name."""
    return Experiment.from_data(_data(name), f"gallery {name}")


def describe(name: str) -> str:
    """One line that says what it is."""
    return str(_data(name)["title"])


def entry(name: str) -> Entry:
    """What a built-in experiment says of itself. Raises ExperimentError where there is none of this name."""
    data = _data(name)
    words = {key: str(data.get(key, "")) for key in ("title", "look", "source", "label")}
    return Entry(name=name, group=str(data.get("group") or OTHERS), **words)


@cache
def _data(name: str) -> dict[str, Any]:
    if name not in _names():
        close = difflib.get_close_matches(name, names(), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else f"; there are {', '.join(names())}"
        raise ExperimentError([("", f"there is no experiment '{name}' in the gallery{hint}")])
    data = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    base = data.pop("base", None)
    return merge(_data(base), data) if base else data


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts the numbers in a name by their size."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, table by table; lists, and tables by an empty one, are replaced whole."""
    out = dict(base)
    for key, value in changes.items():
        old = out.get(key)
        out[key] = merge(old, value) if value and isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return out
