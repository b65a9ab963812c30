"""A whole experiment as plain, frozen, validated data, to and from TOML.

Everything that decides the numbers is here. The form of the window is built from these models: a field's
`description` is its tip, `source` (in `json_schema_extra`) says where it comes from.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from core.choices import Activation, Rule
from core.expression import ExpressionError
from core.problem import Condition, Problem, ProblemError, Residual

WTP = "Wang, Teng & Perdikaris 2021"

#: Reference solutions that come with the program.
REFERENCES = Path(__file__).resolve().parent.parent / "resources" / "references"


class ExperimentError(ValueError):
    """An experiment that cannot be run. `problems` is a list of (dotted path of the field, sentence)."""

    def __init__(self, problems: list[tuple[str, str]], where: str = "") -> None:
        self.problems = problems
        head = f"{where}: " if where else ""
        super().__init__(head + "; ".join(f"{path}: {text}" if path else text for path, text in problems))


class Model(BaseModel):
    """Frozen, and a key that nobody knows is an error, not a silent nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def tip(text: str, default: Any = ..., *, source: str = "", unit: str = "", **bounds: Any) -> Any:
    """A field with its explanation, the source of the explanation, and its unit."""
    return Field(default, description=text, json_schema_extra={"source": source, "unit": unit}, **bounds)


class ResidualSpec(Model):
    name: str = tip("Name of the equation, as panels show it.", min_length=1)
    equation: str = tip("The equation as text, zero where it holds: u_xx + u_yy + k**2*u - q. "
                        "'left = right' works too.")
    term: str = tip("The loss term that this equation's mean square is added to.", "residual", min_length=1)
    points: int = tip("Collocation points in each step's minibatch.", 128, source=WTP, ge=1, le=1_000_000)


class ConditionSpec(Model):
    name: str = tip("Name of the condition.", min_length=1)
    on: str = tip("Where it holds: 'boundary' for every face, or one face such as 'x = -1' or 't = 0'.", "boundary")
    equation: str = tip("The condition as text: u = u_exact, or u_t = 0.")
    term: str = tip("The loss term that its mean square is added to.", "boundary", min_length=1)
    points: int = tip("Points on each face in each step's minibatch.", 128, source=WTP, ge=1, le=1_000_000)


class ProblemSpec(Model):
    name: str = tip("Name of the problem.", min_length=1)
    fields: tuple[str, ...] = tip("The unknown fields, in the order of the network's outputs.", min_length=1)
    domain: dict[str, tuple[float, float]] = tip("Lower and upper bound of every input.", min_length=1)
    constants: dict[str, float] = tip("Numbers that the equations may use by name.", default_factory=dict)
    definitions: dict[str, str] = tip("Names for expressions of inputs and constants: q = ...", default_factory=dict)
    residuals: tuple[ResidualSpec, ...] = tip("The equations that hold inside the domain.", min_length=1)
    conditions: tuple[ConditionSpec, ...] = tip("Boundary and initial conditions.", ())
    exact: dict[str, str] = tip("The exact solution by field; equations may use it as u_exact.", default_factory=dict)
    reference: str = tip("A .npz file with one array for each input and each field; for where no formula is known. "
                         "It lies beside the experiment's file, or the path is absolute.", "")

    def build(self) -> Problem:
        """The problem with its equations parsed and checked. Raises ProblemError. Does not load torch."""
        return Problem(
            name=self.name,
            fields=self.fields,
            domain=dict(self.domain),
            constants=dict(self.constants),
            definitions=dict(self.definitions),
            residuals=tuple(Residual(r.name, r.equation, r.term, r.points) for r in self.residuals),
            conditions=tuple(Condition(c.name, c.on, c.equation, c.term, c.points) for c in self.conditions),
            exact=dict(self.exact),
            reference=self.reference,
        )


class NetworkSpec(Model):
    kind: Literal["mlp", "gated"] = tip(
        "mlp: a plain fully connected network. gated: the 'improved architecture', two encoders mixed by every "
        "hidden layer's gate; about three times the work of a plain step.", "mlp", source=f"{WTP}, eqs. 2.33-2.38")
    hidden: tuple[int, ...] = tip("Width of every hidden layer, from the input on.", (50, 50, 50), source=WTP,
                                  min_length=1, max_length=64)
    activation: Activation = tip("The nonlinearity of the hidden layers.", "tanh", source=WTP)

    @field_validator("hidden")
    @classmethod
    def _widths(cls, value: tuple[int, ...], others: ValidationInfo) -> tuple[int, ...]:
        for width in value:
            if not 1 <= width <= 4096:
                raise ValueError(f"a layer of width {width} is not possible; a width is a whole number from 1 to 4096")
        if others.data.get("kind") == "gated" and len(set(value)) > 1:
            raise ValueError("the gated network mixes its encoders into every layer, "
                             "so all hidden widths must be equal")
        return value


class BalancingSpec(Model):
    rule: Rule = tip(
        "How the loss terms are weighted against each other. fixed: as given. annealing: the ratio of the residual "
        "gradient's maximum to the mean of the other term's, averaged over time. siam: as in the SIAM paper and the "
        "released code (weighted mean in the denominator; made the published tables). arxiv: unweighted mean. "
        "cavity: the ratio layer by layer, then the largest.", "fixed", source=f"{WTP}, Algorithm 2.1")
    weights: dict[str, float] = tip("Weight of each loss term by name; 1 where not given. With annealing: the start.",
                                    default_factory=dict)
    interval: int = tip("Steps between two updates of the weights.", 10, source=WTP, unit="steps", ge=1, le=1_000_000)
    rate: float = tip("Share of the new value in the moving average (the paper's alpha).", 0.1, source=WTP, gt=0, le=1)
    floor: float = tip("Smallest denominator of the ratio, so that a gradient of zero gives a finite weight.", 1e-12,
                       source="not in the paper, whose code divides by zero", gt=0, le=1)

    @field_validator("weights")
    @classmethod
    def _weights(cls, value: dict[str, float]) -> dict[str, float]:
        for term, weight in value.items():
            if weight < 0:
                raise ValueError(f"the weight of '{term}' is {weight:g}; a weight is zero or positive")
        return value


class OptimizerSpec(Model):
    learning_rate: float = tip("Adam's step size at the start.", 1e-3, source=WTP, gt=0, le=10)
    beta1: float = tip("Decay of Adam's first moment.", 0.9, source="Kingma & Ba 2015", ge=0, lt=1)
    beta2: float = tip("Decay of Adam's second moment.", 0.999, source="Kingma & Ba 2015", ge=0, lt=1)
    epsilon: float = tip("Added to the root of the second moment.", 1e-8, source="Kingma & Ba 2015", gt=0, le=1)
    decay_rate: float = tip("The learning rate is multiplied by this every 'decay steps', continuously.", 0.9,
                            source=WTP, gt=0, le=1)
    decay_steps: int = tip("Steps for one factor of the decay rate.", 1000, source=WTP, unit="steps", ge=1)


class TrainingSpec(Model):
    steps: int = tip("Optimizer steps of the whole run.", 40_000, source=WTP, unit="steps", ge=1, le=100_000_000)
    seed: int = tip("Seed of the initial weights and of every random point. The same seed gives the same numbers.", 0,
                    ge=0, le=2**31 - 1)
    precision: Literal["float32", "float64"] = tip("Arithmetic of network and training.", "float32", source=WTP)
    threads: int = tip("Threads that torch computes with. One leaves the other cores to the window.", 1, ge=1, le=256)
    engine: Literal["auto", "eager", "compiled"] = tip(
        "auto: starts eager at once and changes over when the compiled step is ready. eager, compiled: one engine "
        "from first step to last, so that the same seed gives the same bits.", "auto")


class DiagnosticsSpec(Model):
    scalars_every: int = tip("Steps between two points of the loss and weight curves.", 10, unit="steps", ge=1)
    error_every: int = tip("Steps between two evaluations of the relative L2 error.", 200, unit="steps", ge=1)
    gradients_every: int = tip("Steps between two sets of gradient histograms.", 200, unit="steps", ge=1)
    fields_every: int = tip("Steps between two pictures of the fields.", 1000, unit="steps", ge=1)
    checkpoint_every: int = tip("Steps between two checkpoints in the run file.", 5000, unit="steps", ge=1)
    grid: int = tip("Grid points along each input for errors and fields.", 100, source=WTP, ge=2, le=1000)


class Variant(Model):
    label: str = tip("Short name of the variant, shown beside the experiment's own.", min_length=1)
    set: dict[str, Any] = tip("What differs, by dotted path: {'balancing.rule' = 'annealing-siam'}.", min_length=1)


class Experiment(Model):
    name: str = tip("Short name, used for files.", min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = tip("One line that says what this is.", "")
    label: str = tip("Name of this model where several are compared, such as M1.", "")
    look: str = tip("One sentence that says what to look at.", "")
    source: str = tip("Where the experiment was published.", "")
    problem: ProblemSpec
    network: NetworkSpec = NetworkSpec()
    balancing: BalancingSpec = BalancingSpec()
    optimizer: OptimizerSpec = OptimizerSpec()
    training: TrainingSpec = TrainingSpec()
    diagnostics: DiagnosticsSpec = DiagnosticsSpec()
    compare: tuple[Variant, ...] = tip("Variants trained beside this one.", (), max_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problem = self.problem.build()
        unknown = [term for term in self.balancing.weights if term not in problem.terms]
        if unknown:
            raise ProblemError(f"there is no loss term '{unknown[0]}'; the terms are {', '.join(problem.terms)}",
                               "balancing.weights")
        try:
            self._variants()
        except ExperimentError as error:
            path, text = error.problems[0]
            raise ProblemError(f"in the variant, {path}: {text}", "compare.0") from None
        return self

    def _variants(self) -> list[Experiment]:
        base = self.model_dump(mode="python")
        base["compare"] = ()
        out = []
        for variant in self.compare:
            data = override(base, variant.set)
            data["label"] = variant.label
            out.append(Experiment.from_data(data))
        return out

    def lanes(self) -> list[Experiment]:
        """The experiment itself, without its variants, then each variant as an experiment of its own."""
        return [self.model_copy(update={"compare": ()}), *self._variants()]

    @classmethod
    def from_data(cls, data: Mapping[str, Any], where: str = "") -> Experiment:
        """From nested plain data. Raises ExperimentError with a sentence for every field that is wrong."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ExperimentError(explain(error), where) from None
        except ProblemError as error:
            own = error.path.startswith(("balancing", "compare"))
            path = error.path if own else f"problem.{error.path}".rstrip(".")
            raise ExperimentError([(path, str(error))], where) from None
        except ExpressionError as error:  # pragma: no cover - Problem wraps these
            raise ExperimentError([("problem", str(error))], where) from None

    @classmethod
    def from_toml(cls, text: str, where: str = "") -> Experiment:
        """From TOML text. Raises ExperimentError."""
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ExperimentError([("", f"this is not TOML: {error}")], where) from None
        return cls.from_data(data, where)

    def to_toml(self) -> str:
        """The whole experiment as TOML, defaults included, so that a later version reads the same numbers."""
        return tomli_w.dumps(_plain(self.model_dump(mode="json")))

    def with_changes(self, changes: Mapping[str, Any]) -> Experiment:
        """A copy with values changed by dotted path, validated. Raises ExperimentError."""
        return Experiment.from_data(override(self.model_dump(mode="python"), changes))


def override(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy of nested `data` with `changes` by dotted path. Raises ExperimentError for a path into nothing."""
    out: dict[str, Any] = _plain(dict(data))
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = out
        for part in parents:
            place = place.setdefault(part, {}) if isinstance(place, dict) else None
            if not isinstance(place, dict):
                raise ExperimentError([(path, f"'{part}' is not a table, so nothing below it can be set")])
        place[last] = value
    return out


def load_experiment(path: Path) -> Experiment:
    """Read an experiment from a TOML file; a reference solution beside that file becomes an absolute path.

    Raises ExperimentError with a sentence that names the file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ExperimentError([("", f"there is no file {path}")]) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ExperimentError([("", f"{path} cannot be read: {reason}")]) from None
    experiment = Experiment.from_toml(text, str(path))
    reference = experiment.problem.reference
    if not reference:
        return experiment
    places = (path.absolute().parent / reference, REFERENCES / reference)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ExperimentError([("problem.reference", f"there is no file {places[0]}")], str(path))
    return experiment if found == places[1] else experiment.with_changes({"problem.reference": str(found)})


def explain(error: ValidationError) -> list[tuple[str, str]]:
    """(dotted path, sentence) for each thing that pydantic found, without what only follows from another one."""
    found = error.errors()
    return [(".".join(str(part) for part in item["loc"]), _sentence(item)) for item in found
            if not (item["type"] == "too_short" and any(_is_inside(other["loc"], item["loc"]) for other in found))]


def _is_inside(place: tuple[Any, ...], outer: tuple[Any, ...]) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


#: What each of pydantic's complaints about a type would rather have.
_WANTED = {
    "int_type": "a whole number", "int_from_float": "a whole number", "int_parsing": "a whole number",
    "float_type": "a number", "float_parsing": "a number", "string_type": "a text", "bool_type": "true or false",
    "bool_parsing": "true or false", "tuple_type": "a list", "list_type": "a list", "dict_type": "a table",
    "mapping_type": "a table", "model_type": "a table", "model_attributes_type": "a table",
}


def _sentence(item: Any) -> str:
    context, kind, got = item.get("ctx", {}), item["type"], item.get("input")
    if kind in _WANTED:
        return f"{got!r} is not {_WANTED[kind]}"
    match kind:
        case "extra_forbidden":
            return "this key is not known; look for a typing error"
        case "missing":
            return "this is missing and has no default"
        case "value_error":
            return str(context.get("error", item["msg"]))
        case "literal_error":
            return f"{got!r} is not one of {context.get('expected')}"
        case "finite_number":
            return f"{got} is not a finite number"
        case "string_too_short":
            return "this is empty; write something here"
        case "string_too_long":
            return f"this is longer than {context['max_length']} characters"
        case "string_pattern_mismatch":
            return f"{got!r} is no name; a name is letters, digits, '.', '_' and '-', and begins with a letter or digit"
        case "too_short":
            return f"there is nothing here; at least {context['min_length']} is needed"
        case "too_long":
            return f"these are {context['actual_length']}; at most {context['max_length']} are possible"
    limits = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
    words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
    if kind in limits:
        key = limits[kind]
        return f"{got} is not possible; it must be {words[key]} {context[key]}"
    message = item["msg"]
    return f"{message[0].lower()}{message[1:]} (got {got!r})" if not isinstance(got, (dict, list)) else message


def _plain(value: Any) -> Any:
    """Tuples to lists and None away: what TOML can hold."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
