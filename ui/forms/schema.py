"""What the form has to ask for, read from the experiment's models: sections, fields, bounds, tips."""

from __future__ import annotations

import html
import types
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from studio.experiment import Experiment
from ui.forms.text import bounds_of, label_of, read, write

#: Fields that are mathematics: shown in a fixed-width font, with a caret where they are wrong.
FORMULAS = frozenset({"equation", "definitions", "exact", "averages", "readings", "quantities", "hard", "flux"})

#: What of a problem a section of its own asks for: most problems have none of it.
MORE = ("Data, unknowns, constraints", ("observations", "unknowns", "truth", "averages", "readings", "quantities",
                                        "hard", "periodic", "homogeneous"))

#: Titles that say more than the field's name.
TITLES = {
    "residuals": "Equations", "decomposition": "Sub-domains", "splits": "Cuts", "initial": "Start of weights",
    "raf": "RAF activation", "raf_basis": "RAF basis", "raf_blocks": "RAF blocks", "raf_start": "RAF start",
    "raf_width": "RAF width", "cg_iterations": "CG iterations", "hard": "Hard constraints", "exact": "Exact solution",
    "every": "Drawn anew every", "optimizer.kind": "Optimizer", "sampling.kind": "Points from",
}

LONGEST = 18  # letters of a choice that fit beside its label

#: Where a section of the table of phases stands: after what the first phase is made of.
PHASES = "phases"


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
        last = self.name.rpartition(".")[2]
        return TITLES.get(self.name) or TITLES.get(last) or label_of(last)

    @property
    def formula(self) -> bool:
        return self.name in FORMULAS

    @property
    def wide(self) -> bool:
        """Whether its editor needs the form's whole width."""
        return (self.formula or self.kind == "wholes by line"
                or self.kind == "choice" and max(map(len, self.choices)) > LONGEST)

    def read(self, text: str) -> Any:
        """The value that `text` says. Raises ValueError with a sentence."""
        value = read(self.kind, text)
        if self.kind == "choices":
            wrong = next((item for item in value if item not in self.choices), None)
            if wrong is not None:
                raise ValueError(f"there is no '{wrong}'; possible are {', '.join(self.choices)}")
        return value

    def tip(self, path: str) -> str:
        """Rich text: what the field means, its unit, bounds, default and where it comes from."""
        lines = [f"<b>{html.escape(self.label)}</b>", html.escape(self.description)]
        for word, text in (("Possible", ", ".join(self.choices) if self.kind == "choices" else ""),
                           ("Unit", self.unit), ("Bounds", self.bounds), ("Default", self.default or ""),
                           ("Source", self.source), ("In the file", path)):
            if text:
                lines.append(f"<i>{word}:</i> {html.escape(text)}")
        return f"<qt><div style='max-width:30em'>{'<br>'.join(lines)}</div></qt>"


@dataclass(frozen=True, kw_only=True)
class SectionRow:
    """A group of the form. `name` is the part of the experiment, '' for the fields of the experiment itself."""

    name: str
    title: str
    fields: tuple[FieldRow, ...] = field(default=())

    def paths(self) -> tuple[str, ...]:
        """The dotted path of every field."""
        return tuple(f"{self.name}.{item.name}".lstrip(".") for item in self.fields)


def sections(model: type[BaseModel] = Experiment, *, without: frozenset[str] = frozenset({"compare"}),
             ) -> tuple[SectionRow, ...]:
    """One section for every model in `model`, two for a problem, one for phases, one for its own plain fields."""
    own: list[FieldRow] = []
    out: list[SectionRow] = []
    for name, info in model.model_fields.items():
        if name in without:
            continue
        if name == PHASES:
            place = next((i for i, row in enumerate(out, 1) if row.name == "training"), len(out))
            out.insert(place, SectionRow(name="", title="Phases", fields=(phases_row(info),)))
            continue
        if _is_model(info.annotation):
            fields = tuple(field_row(key, sub) for key, sub in info.annotation.model_fields.items())  # type: ignore[union-attr]
            title = TITLES.get(name) or label_of(name)
            rare = tuple(row for row in fields if name == "problem" and row.name in MORE[1])
            out.append(SectionRow(name=name, title=title, fields=tuple(row for row in fields if row not in rare)))
            if rare:
                out.append(SectionRow(name=name, title=MORE[0], fields=rare))
        else:
            own.append(field_row(name, info))
    return (*out, SectionRow(name="", title="About", fields=tuple(own)))


def phases_row(info: FieldInfo) -> FieldRow:
    """The table of phases: each a row with the fields of a model, those of its parts with dotted names."""
    record = get_args(info.annotation)[0]
    return FieldRow(name=PHASES, kind="records", description=info.description or "", columns=flat(record), model=record)


def flat(model: type[BaseModel]) -> tuple[FieldRow, ...]:
    """A row for every field of a model; those of the models in it are called 'optimizer.kind'."""
    out: list[FieldRow] = []
    for name, info in model.model_fields.items():
        if _is_model(info.annotation):
            inner = info.annotation.model_fields.items()  # type: ignore[union-attr]
            out += [replace(field_row(key, sub), name=f"{name}.{key}") for key, sub in inner]
        else:
            out.append(field_row(name, info))
    return tuple(out)


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
    if origin is tuple and get_origin(arguments[0]) is Literal:
        return "choices", tuple(str(item) for item in get_args(arguments[0])), None
    simple = {
        "<class 'int'>": "whole", "<class 'float'>": "real", "<class 'str'>": "text", "<class 'bool'>": "yes or no",
        "tuple[int, ...]": "wholes", "tuple[float, ...]": "reals", "tuple[str, ...]": "names",
        "tuple[tuple[int, ...], ...]": "wholes by line", "dict[str, float]": "reals by name",
        "dict[str, str]": "texts by name", "dict[str, tuple[float, float]]": "ranges by name",
        "dict[str, tuple[float, ...]]": "lists by name",
    }
    if name == "weights":  # of loss terms, which are called what a person likes
        return "reals by term", (), None
    if (kind := simple.get(str(annotation))) is not None:
        return kind, (), None
    raise TypeError(f"the form has no field for '{name}' of type {annotation}")
