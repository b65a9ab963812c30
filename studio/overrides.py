"""An experiment changed by settings as they are typed: optimizer.learning_rate=1e-4."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from studio.experiment import Experiment, ExperimentError


def with_settings(experiment: Experiment, settings: Sequence[str]) -> Experiment:
    """`experiment` changed by settings such as 'optimizer.learning_rate=1e-4' or 'problem.residuals.0.points=256'."""
    if not settings:
        return experiment
    data = experiment.model_dump(mode="json")
    for setting in settings:
        path, sign, text = setting.partition("=")
        if not sign or not path.strip():
            raise ExperimentError(
                [("", f"'{setting}' sets nothing; write --set optimizer.learning_rate=1e-4")]
            )
        _put(data, path.strip(), text.strip())
    changed = Experiment.from_data(data)
    for path in (setting.partition("=")[0].strip() for setting in settings):
        _require_used(experiment, changed, path)
    return changed


def _require_used(before: Experiment, after: Experiment, path: str) -> None:
    """A constant that is new is meant for an equation; one that none of them has is an old one mistyped."""
    head, _, name = path.rpartition(".")
    if head == "problem.constants" and name not in before.problem.constants:
        text = json.dumps(after.problem.model_dump(mode="json", exclude={"constants"}))
        if not re.search(rf"\b{re.escape(name)}\b", text):
            known = [f"{head}.{one}" for one in before.problem.constants]
            raise ExperimentError([("", f"no equation has the constant '{name}'{did_you_mean(path, known)}")])


def _put(data: dict[str, Any], path: str, text: str) -> None:
    place: Any = data
    list(_open_tables(data))  # a typed phase gets its tables, which its path may lead into
    *parents, last = path.split(".")
    for part in parents:
        place = place[_key(data, place, part, path)]
    key = _key(data, place, last, path)
    value = _value(text)
    known = place.get(key) if isinstance(place, dict) else place[key]
    place[key] = text if isinstance(known, str) and not isinstance(value, str) else value


def _key(data: dict[str, Any], place: Any, part: str, path: str) -> str | int:
    """The key or index that `part` of `path` means in `place`."""
    if isinstance(place, dict) and (part in place or any(place is table for table in _open_tables(data))):
        return part
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return int(part)
    raise ExperimentError([("", f"an experiment has no '{path}'{did_you_mean(path, list(_paths(data)))}")])


def _open_tables(data: dict[str, Any]) -> Iterator[Any]:
    """The tables that take names which they do not have yet: every loss term may be given a weight, in every phase,
    and every constant another value in a phase. Whether there is such a term or constant, the experiment checks."""
    yield data["balancing"]["weights"]
    yield data["problem"]["constants"]
    phases = data["phases"]
    for phase in phases if isinstance(phases, list) else ():
        if isinstance(phase, dict):  # one that was typed has what was typed only
            yield phase.setdefault("weights", {})
            yield phase.setdefault("constants", {})


def _paths(value: Any, head: str = "") -> Iterator[str]:
    """The dotted path of every value that can be set."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        path = f"{head}.{key}" if head else str(key)
        yield path
        yield from _paths(item, path)


def _value(text: str) -> Any:
    """What TOML makes of `text`; the text itself where that is nothing, so that words need no quotes."""
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return found["value"] if found.keys() == {"value"} else text


def did_you_mean(word: str, known: Collection[str]) -> str:
    """' (did you mean ...?)', or nothing where nothing is close."""
    close = difflib.get_close_matches(word, known, 1)
    if not close:  # only the last part of a path was given, or is right
        last = {path.rpartition(".")[2]: path for path in reversed(list(known))}
        close = [last[name] for name in difflib.get_close_matches(word.rpartition(".")[2], last, 1, 0.75)]
    return f" (did you mean '{close[0]}'?)" if close else ""
