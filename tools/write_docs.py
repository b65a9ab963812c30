"""Writes docs/experiment-file.md from the models that read experiment files, so that it cannot say anything else.

    python -m tools.write_docs            write it
    python -m tools.write_docs --check    say whether it is current
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from core.expression import CONSTANTS, FUNCTIONS
from studio.experiment import Experiment

FILE = Path(__file__).resolve().parent.parent / "docs" / "experiment-file.md"

_FUNCTIONS = ", ".join(f"`{name}`" for name in sorted(FUNCTIONS))
_CONSTANTS = ", ".join(f"`{name}`" for name in CONSTANTS)

HEAD = f"""# The experiment file

An experiment is a TOML file; everything that decides the numbers is in it. `python main.py gallery quick >
mine.toml` writes one to start from, `python main.py check mine.toml` says what is wrong with it and where, `python
main.py run mine.toml` trains it, and the window opens it. This page is written by `python -m tools.write_docs`
from the models that read the file.

## Equations

An equation is text: `u_xx + u_yy + k**2*u = q`, or an expression that is zero where it holds. A derivative is a
field's name, `_` and inputs one after another (`u_xy`), up to fourth order. Powers are `**` or `^`, and no product
is left out: `2*x`, never `2x`. Functions: {_FUNCTIONS};
`heaviside(0)` is 0. Numbers: {_CONSTANTS}. Names may be inputs, fields,
constants, definitions, unknowns, averages (in equations), in equations and conditions `u_exact`, in observations
`u_data`.

## Places

A condition holds on `boundary` (every face, or the sphere of a ball) or on one face, such as `t = 0` or `x = -1`.
Points are drawn as `[sampling]` says; those of an observation are the file's.

## Files

A reference is an `.npz` file of numbers: one increasing 1-D array for each input, and for each known field or
quantity an array over the grid of these axes, in the order of the inputs. Points of an observation may also be
scattered: 1-D arrays of one length, one for each input and each column. Nothing in such a file is ever executed.

## Phases

A run begins with `[optimizer]` for `training.steps` steps. Each `[[phases]]` is what follows: another optimizer with a
budget, a precision and points of its own. `[[phases]]` alone, with nothing in it, goes on with the best second-order
method that the memory allows, in float64, on points that stay. The network goes on as it is, and so do the weights of
the loss terms; moments and what a method knows of the curvature begin anew. A phase ends when its steps are made, when
its seconds are over, or when its method can go no further. Where a problem is too hard to begin with, phases with other
values of its constants come before it (continuation). A phase of another method than adam, adamw and gd gives all
points of a term the same weight and takes the plain sum of the terms, whatever was before. At most 12 phases follow,
and `[[compare]]` is one variant; networks have at most 64 hidden layers of at most 4,096 neurons.
"""


def main() -> int:
    """Write the page, or check it."""
    text = page()
    if "--check" in sys.argv[1:]:
        current = FILE.is_file() and FILE.read_text(encoding="utf-8") == text
        print(f"{FILE.name} is {'current' if current else 'out of date: python -m tools.write_docs'}")
        return 0 if current else 1
    FILE.write_text(text, encoding="utf-8")
    print(f"wrote {FILE.name}")
    return 0


def page() -> str:
    """The whole page."""
    own = {name: info for name, info in Experiment.model_fields.items() if _model(info.annotation) is None}
    parts = [HEAD, _table("The file itself", own)]
    for name, info in Experiment.model_fields.items():
        model = _model(info.annotation)
        if model is None:
            continue
        many = get_origin(info.annotation) is tuple
        parts.append(_table(f"[[{name}]]" if many else f"[{name}]", model.model_fields))
        for key, inner in model.model_fields.items():
            if (row := _model(inner.annotation)) is not None:
                place = f"{name}.{key}"
                rows = get_origin(inner.annotation) is tuple
                parts.append(_table(f"[[{place}]]" if rows else f"[{place}]", row.model_fields))
    return "\n".join(parts)


def _table(title: str, fields: dict[str, FieldInfo]) -> str:
    rows = [f"\n## `{title}`\n" if title.startswith("[") else f"\n## {title}\n", "| key | what it is | default | |",
            "|---|---|---|---|"]
    for name, info in fields.items():
        if _model(info.annotation) is not None:
            continue
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        notes = [_bounds(info), str(extra.get("source") or "")]
        rows.append(f"| `{name}` | {_cell(info.description or '')} {_choices(info)}| {_default(info)} | "
                    f"{'; '.join(n for n in notes if n)} |")
    return "\n".join(rows) + "\n"


def _model(annotation: Any) -> type[BaseModel] | None:
    inner = get_args(annotation)[0] if get_origin(annotation) is tuple else annotation
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _choices(info: FieldInfo) -> str:
    annotation = info.annotation
    if get_origin(annotation) is tuple:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType) or get_origin(annotation) is not Literal:
        return ""
    return "Choices: " + ", ".join(f"`{choice}`" for choice in get_args(annotation)) + ". "


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "needed"
    if value == "" or value in ((), {}):
        return "none"
    shown = str(list(value) if isinstance(value, tuple) else value)
    return f"`{shown.lower() if isinstance(value, bool) else shown}`"


def _bounds(info: FieldInfo) -> str:
    words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
    found = [f"{words[key]} {getattr(item, key):,}" for item in info.metadata for key in words
             if getattr(item, key, None) is not None]
    return ", ".join(found)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
