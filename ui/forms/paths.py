"""Dotted paths of an experiment's fields, and the place that an error is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.expression import ExpressionError


def expression_error(error: BaseException) -> ExpressionError | None:
    """The wrong expression behind an error, where that is what it is about."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ExpressionError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def head(path: str) -> str:
    """The path of the field or table that a longer path leads into."""
    parts = path.split(".")
    row = next((place for place, part in enumerate(parts) if part.isdecimal()), 2)
    return ".".join(parts[:min(row, 2)])


def inside(rest: str) -> str:
    """The place within a field in words: 'entry 2' of '1', a name as it is."""
    return ", ".join(f"entry {int(part) + 1}" if part.isdecimal() else part for part in rest.split("."))


def at(data: Mapping[str, Any], path: str) -> Any:
    """What is at a path in nested data. Raises KeyError."""
    place: Any = data
    for part in path.split("."):
        place = place[part]
    return place


def put(data: dict[str, Any], path: str, value: Any) -> None:
    """Put a value at a path, with the tables that lead to it."""
    *parents, last = path.split(".")
    for part in parents:
        data = data.setdefault(part, {})
    data[last] = value
