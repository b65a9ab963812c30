"""What the form has to ask for, read from the experiment's models: sections, fields, bounds, tips."""

from __future__ import annotations

import html
import types
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from studio.experiment import Experiment
from ui.forms.text import bounds_of, label_of, write

#: Fields that are mathematics: shown in a fixed-width font, with a caret where they are wrong.
FORMULAS = frozenset({"equation", "definitions", "exact"})


@dataclass(frozen=True, kw_only=True)
class FieldRow:
    """One thing that the form asks for.

    `kind` is one of those that `forms.text` reads, or 'records' for a table, whose rows have `columns`.
    """

    name: str  # last part of the dotted path
    kind: str
    description: str
    source: str = ""
    unit: str = ""
    bounds: str = ""
    default: str | None = None
    choices: tuple[str, ...] = ()
    columns: tuple[FieldRow, ...] = ()
    model: type[BaseModel] | None = None

    @property
    def label(self) -> str:
        return label_of(self.name)

    @property
    def formula(self) -> bool:
        return self.name in FORMULAS

    def tip(self, path: str) -> str:
        """Rich text: what the field means, its unit, bounds, default and where it comes from."""
        lines = [f"<b>{html.escape(self.label)}</b>", html.escape(self.description)]
        for word, text in (("Unit", self.unit), ("Bounds", self.bounds), ("Default", self.default or ""),
                           ("Source", self.source), ("In the file", path)):
            if text:
                lines.append(f"<i>{word}:</i> {html.escape(text)}")
        return f"<qt><div style='max-width:30em'>{'<br>'.join(lines)}</div></qt>"


@dataclass(frozen=True, kw_only=True)
class SectionRow:
    """A group of the form. `name` is '' for the fields of the experiment itself."""

    name: str
    title: str
    fields: tuple[FieldRow, ...] = field(default=())


def sections(model: type[BaseModel] = Experiment, *, without: frozenset[str] = frozenset({"compare"}),
             ) -> tuple[SectionRow, ...]:
    """One section for every model in `model`, and a last one for its own plain fields."""
    own: list[FieldRow] = []
    out: list[SectionRow] = []
    for name, info in model.model_fields.items():
        if name in without:
            continue
        if _is_model(info.annotation):
            fields = tuple(field_row(key, sub) for key, sub in info.annotation.model_fields.items())  # type: ignore[union-attr]
            out.append(SectionRow(name=name, title=label_of(name), fields=fields))
        else:
            own.append(field_row(name, info))
    return (*out, SectionRow(name="", title="About", fields=tuple(own)))


def field_row(name: str, info: FieldInfo) -> FieldRow:
    """The row for one field of a model. Raises TypeError for a type that the form cannot ask for."""
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    kind, choices, record = _kind(name, info.annotation)
    limits = {key: getattr(item, key) for item in info.metadata for key in ("gt", "ge", "lt", "le")
              if getattr(item, key, None) is not None}
    default = info.get_default(call_default_factory=True, validated_data={})
    shown = None
    if default is not PydanticUndefined and default is not None and kind != "records":
        shown = write(kind, default).replace("\n", "; ")
    return FieldRow(
        name=name, kind=kind, description=info.description or "", source=str(extra.get("source", "")),
        unit=str(extra.get("unit", "")), bounds=bounds_of(limits), default=shown, choices=choices,
        columns=tuple(field_row(key, sub) for key, sub in record.model_fields.items()) if record else (), model=record,
    )


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _kind(name: str, annotation: Any) -> tuple[str, tuple[str, ...], type[BaseModel] | None]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "choice", tuple(str(item) for item in arguments), None
    if origin in (Union, types.UnionType):
        raise TypeError(f"the form cannot ask for '{name}', which may be one of several types")
    if origin is tuple and _is_model(arguments[0]):
        return "records", (), arguments[0]
    simple = {
        "<class 'int'>": "whole", "<class 'float'>": "real", "<class 'str'>": "text",
        "tuple[int, ...]": "wholes", "tuple[str, ...]": "names", "dict[str, float]": "reals by name",
        "dict[str, tuple[float, float]]": "ranges by name", "dict[str, str]": "texts by name",
    }
    if (kind := simple.get(str(annotation))) is not None:
        return kind, (), None
    raise TypeError(f"the form has no field for '{name}' of type {annotation}")
