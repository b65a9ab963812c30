"""The built-in experiments, one TOML file each. A file may build on another with `base = "name"`."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from studio.experiment import Experiment, ExperimentError

FOLDER = Path(__file__).resolve().parent.parent / "resources" / "gallery"
DEFAULT = "quick"

#: The chapters in their order; those of a file that are not here follow by name.
GROUPS = ("Start here", "Gradient pathologies", "Adaptive activations", "Reproducing activations", "Standard problems",
          "Methods")
OTHERS = "Others"  # what names no chapter


def names() -> list[str]:
    """Names of the built-in experiments, the default first."""
    found = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return sorted(found, key=lambda name: name != DEFAULT)


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


def look(name: str) -> str:
    """One sentence that says what to look at; '' where the file has none."""
    return str(_data(name).get("look", ""))


@cache
def _data(name: str) -> dict[str, Any]:
    if name not in names():
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
    """`base` with `changes` laid over it, table by table; lists are replaced whole."""
    out = dict(base)
    for key, value in changes.items():
        old = out.get(key)
        out[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return out
