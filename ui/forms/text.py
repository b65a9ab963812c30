"""Values of an experiment as the text that a person edits, and back.

`write(kind, value)` and `read(kind, text)` are inverse. `read` raises ValueError with a sentence for what is no value
of that kind; bounds are the experiment's business.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:[ ,_']\d{3})+\Z")  # not 0,125, whose comma is a decimal one
_WHOLE = re.compile(r"[+-]?\d+\Z")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_LARGEST = 10**15  # of whole numbers, which are then exact as floats too


class BeyondLimit(ValueError):
    """A whole number that no field takes; a field that has bounds of its own can name those."""


def write_real(value: float) -> str:
    """The shortest text that reads back as the same number, in scientific notation where that is shorter to read."""
    number = Decimal(repr(float(value)))
    if number == 0:
        return "-0" if number.is_signed() else "0"
    number = number.normalize()
    exponent = number.adjusted()
    if -3 < exponent < 5:
        return f"{number:f}"
    mantissa = number.scaleb(-exponent)
    return f"{mantissa:f}e{exponent}"


def read_real(text: str) -> float:
    text = text.strip()
    if not text:
        raise ValueError("a number is missing here")
    try:
        value = float(text.replace("_", ""))
    except ValueError:
        if re.fullmatch(r"[+-]?\d+,\d+", text):
            raise ValueError(_of_comma(text)) from None
        if _GROUPED.match(text):
            raise ValueError(f"'{text}' has its digits in groups; write {_ungrouped(text)}") from None
        raise ValueError(f"'{text}' is no number, such as 1e-3 or 0.9") from None
    if not math.isfinite(value):
        raise ValueError(f"'{text}' is not a finite number")
    return value


def _of_comma(text: str) -> str:
    """What to write for digits, one comma and digits; both readings where the comma may stand between thousands."""
    decimal = text.replace(",", ".")
    if not _GROUPED.match(text):
        return f"'{text}' has a decimal comma; write {decimal}"
    return (f"'{text}' has a comma that can mean two things; write {_ungrouped(text)} if it stands between thousands, "
            f"or {write_real(float(decimal))} if it is a decimal comma")


def _ungrouped(text: str) -> str:
    return re.sub(r"[ ,_']", "", text)


def read_whole(text: str) -> int:
    text = text.strip()
    if not text:
        raise ValueError("a whole number is missing here")
    plain = _ungrouped(text) if _GROUPED.match(text) else text
    if _WHOLE.match(plain) and len(plain) < 16:
        return int(plain)
    try:
        value = float(plain)
    except ValueError:
        value = math.nan
    if math.isnan(value) or "inf" in plain.lower() or math.isfinite(value) and value != int(value):
        raise ValueError(f"'{text}' is no whole number, such as 128")
    if abs(value) > _LARGEST:  # 1e400 too, which is infinite only as a float
        large, most = ("large", "most") if value > 0 else ("small", "least")
        raise BeyondLimit(f"'{text}' is too {large}; a whole number is at {most} {math.copysign(_LARGEST, value):,.0f}")
    return int(value)


def read_wholes(text: str) -> list[int]:
    return [read_whole(part) for part in _parts(text)]


def read_reals(text: str) -> list[float]:
    return [read_real(part) for part in _parts(text)]


def read_lines(text: str) -> list[list[int]]:
    """A list of whole numbers on each line; an empty line is nothing."""
    out = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            out.append(read_wholes(line))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return out


def read_yes(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"'{text}' is neither true nor false")
    return text == "true"


def _parts(text: str) -> list[str]:
    return [part for part in re.split(r"[,;\s]+", text.strip().strip("[]()")) if part]


def read_names(text: str) -> list[str]:
    return [part for part in re.split(r"[,;\s]+", text.strip()) if part]


def read_pairs(text: str, read: Callable[[str], Any], example: str, *, words: bool = False) -> dict[str, Any]:
    """Lines 'name = value'; an empty line is nothing. 'name: value' is understood too where a value is a list.

    `words`: a name may be any text, such as a loss term's.
    """
    out: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        sign = ":" if read in (read_range, read_reals) and "=" not in line else "="
        name, equals, value = (part.strip() for part in line.partition(sign))
        if not equals:
            raise ValueError(f"line {number}: '{line.strip()}' has no '='; write it as {example}")
        if not (name if words else _NAME.match(name)):
            raise ValueError(f"line {number}: '{name}' cannot be a name; a name is letters, digits and '_'")
        if name in out:
            raise ValueError(f"line {number}: '{name}' is given twice")
        try:
            out[name] = read(value)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return out


def read_range(text: str) -> list[float]:
    parts = [part for piece in re.split(r"\.\.+", text) for part in _parts(piece)]
    if len(parts) != 2:
        raise ValueError(f"'{text}' is no range; write the lower and the upper bound, such as -1, 1")
    return [read_real(part) for part in parts]


def read_expression(text: str) -> str:
    if not text:
        raise ValueError("an expression is missing after '='")
    return text


def write_changes(changes: Mapping[str, Any]) -> str:
    """Changes by dotted path, one a line, values as in TOML."""
    return "\n".join(f"{path} = {_toml(value)}" for path, value in changes.items())


def read_changes(text: str) -> dict[str, Any]:
    """Lines such as balancing.rule = "annealing-siam"."""
    out: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        path, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not path:
            raise ValueError(f"line {number}: write it as network.kind = \"gated\"")
        try:
            out[path.strip("'\"")] = tomllib.loads(f"value = {value}")["value"]
        except (tomllib.TOMLDecodeError, KeyError):
            raise ValueError(f"line {number}: '{value}' is no value; text stands in quotes, as in \"gated\"") from None
    return out


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, (str, bool)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def write(kind: str, value: Any) -> str:
    """`value` as text of the kind of field: see `forms.schema` for the kinds."""
    match kind:
        case "whole" | "text" | "choice":
            return str(value)
        case "real":
            return write_real(value)
        case "wholes" | "names" | "choices":
            return ", ".join(str(item) for item in value)
        case "reals":
            return ", ".join(map(write_real, value))
        case "yes or no":
            return "true" if value else "false"
        case "wholes by line":
            return "\n".join(write("wholes", line) for line in value)
        case "lists by name":
            return "\n".join(f"{name} = {write('reals', items)}".rstrip() for name, items in value.items())
        case "reals by name" | "reals by term":
            return "\n".join(f"{name} = {write_real(item)}" for name, item in value.items())
        case "ranges by name":
            return "\n".join(f"{name} = {write_real(low)}, {write_real(high)}" for name, (low, high) in value.items())
        case "texts by name":
            return "\n".join(f"{name} = {item}" for name, item in value.items())
        case "changes":
            return write_changes(value)
    raise KeyError(kind)


_READERS: dict[str, Callable[[str], Any]] = {
    "whole": read_whole,
    "real": read_real,
    "text": str.strip,
    "choice": str,
    "wholes": read_wholes,
    "reals": read_reals,
    "names": read_names,
    "choices": read_names,
    "yes or no": read_yes,
    "wholes by line": read_lines,
    "reals by name": lambda text: read_pairs(text, read_real, "k = 1"),
    "reals by term": lambda text: read_pairs(text, read_real, "boundary = 10", words=True),
    "ranges by name": lambda text: read_pairs(text, read_range, "x = -1, 1"),
    "lists by name": lambda text: read_pairs(text, read_reals, "x = 0.2, 0.6"),
    "texts by name": lambda text: read_pairs(text, read_expression, "q = sin(pi*x)"),
    "changes": read_changes,
}


def read(kind: str, text: str) -> Any:
    """The value that `text` says. Raises ValueError with a sentence."""
    return _READERS[kind](text)


def label_of(name: str) -> str:
    """'learning_rate' as 'Learning rate'."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def bounds_of(limits: Mapping[str, float]) -> str:
    """'at least 1, at most 64' of {'ge': 1, 'le': 64}."""
    words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
    return ", ".join(f"{words[key]} {_grouped(limits[key])}" for key in words if key in limits)


def _grouped(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < 1e12 else write_real(value)


def kinds() -> Sequence[str]:
    return tuple(_READERS)
