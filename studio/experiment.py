"""A whole experiment as plain, frozen, validated data, to and from TOML.

Everything that decides the numbers is here. The form of the window is built from these models: a field's
`description` is its tip, `source` (in `json_schema_extra`) says where it comes from.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import tomli_w
from pydantic import ValidationError, model_validator

from core.architecture import Architecture
from core.choices import RECOVERY
from core.expression import ExpressionError
from core.problem import Problem, ProblemError
from studio.phases import MOST, PhaseSpec, Place, check_optimizers, in_phase
from studio.specs import (
    WTP,
    BalancingSpec,
    DecompositionSpec,
    Model,
    NetworkSpec,
    OptimizerSpec,
    ProblemSpec,
    SamplingSpec,
    TrainingSpec,
    tip,
)

#: Reference solutions that come with the program.
REFERENCES = Path(__file__).resolve().parent.parent / "resources" / "references"


class ExperimentError(ValueError):
    """An experiment that cannot be run. `problems` is a list of (dotted path of the field, sentence)."""

    def __init__(self, problems: list[tuple[str, str]], where: str = "") -> None:
        self.problems = problems
        head = f"{where}: " if where else ""
        super().__init__(head + "; ".join(f"{path}: {text}" if path else text for path, text in problems))


class DiagnosticsSpec(Model):
    scalars_every: int = tip("Steps between two points of the loss and weight curves.", 10, unit="steps", ge=1)
    error_every: int = tip("Steps between two evaluations of the relative L2 error.", 200, unit="steps", ge=1)
    gradients_every: int = tip("Steps between two sets of gradient histograms.", 200, unit="steps", ge=1)
    fields_every: int = tip("Steps between two pictures of the fields.", 1000, unit="steps", ge=1)
    alignment_every: int = tip("Steps between two looks at the conflict of the terms' gradients; 0 for never.", 200,
                               unit="steps", ge=0)
    step_check_every: int = tip("Steps between two checks of what a step did to each term; 0 for never.", 200,
                                unit="steps", ge=0)
    slopes_every: int = tip("Steps between two looks at adaptive slopes and learned activations; 0 for never.", 100,
                            unit="steps", ge=0)
    conditioning_every: int = tip("Steps between two looks at the slopes' implicit conditioning; 0 for never.", 200,
                                  unit="steps", ge=0)
    activations_every: int = tip("Steps between two histograms of pre-activations; 0 for never.", 500, unit="steps",
                                 ge=0)
    stiffness_every: int = tip("Steps between two estimates of the largest Hessian eigenvalues; 0 for never.", 1000,
                               unit="steps", ge=0)
    ntk_every: int = tip("Steps between two spectra of the neural tangent kernel; 0 for never.", 1000, unit="steps",
                         ge=0)
    ntk_points: int = tip("Points of each loss term in the tangent kernel.", 16, ge=2, le=128)
    liveness_every: int = tip("Steps between two checks that everything moves; 0 for never.", 500, unit="steps", ge=0)
    share: float = tip("Share of the training time that diagnostics may take, two fifths of it in a process of its "
                       "own; they come later than at their cadence where they would take more. With one engine from "
                       "first step to last, errors, gradients and fields come at their cadence all the same.", 0.08,
                       gt=0, le=1)
    keep_mb: float = tip("Megabytes of frames that a run file keeps; beyond, old frames are thinned evenly.", 50.0,
                         unit="MB", gt=0, le=100_000)
    checkpoint_every: int = tip("Steps between two checkpoints in the run file.", 5000, unit="steps", ge=1)
    grid: int = tip("Grid points along each input for errors and fields.", 100, source=WTP, ge=2, le=1000)
    interior_margin: float = tip("Distance from the boundary beyond which an error of its own is measured, as a share "
                                 "of each input's range; 0 for none.", 0.0, ge=0, lt=0.5)


class Variant(Model):
    label: str = tip("Short name of the variant, shown beside the experiment's own.", min_length=1)
    set: dict[str, Any] = tip("What differs, by dotted path: {'balancing.rule' = 'annealing-siam'}.", min_length=1)


class Experiment(Model):
    name: str = tip("Short name, used for files.", min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = tip("One line that says what this is.", "")
    label: str = tip("Name of this model where several are compared, such as M1.", "")
    look: str = tip("One sentence that says what to look at.", "")
    source: str = tip("Where the experiment was published.", "")
    group: str = tip("Chapter of the gallery.", "")
    problem: ProblemSpec
    decomposition: DecompositionSpec = DecompositionSpec()
    network: NetworkSpec = NetworkSpec()
    sampling: SamplingSpec = SamplingSpec()
    balancing: BalancingSpec = BalancingSpec()
    optimizer: OptimizerSpec = OptimizerSpec()
    training: TrainingSpec = TrainingSpec()
    diagnostics: DiagnosticsSpec = DiagnosticsSpec()
    phases: tuple[PhaseSpec, ...] = tip("What follows the first optimizer, one after the other.", (), max_length=MOST)
    compare: tuple[Variant, ...] = tip("Variants trained beside this one.", (), max_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        terms = self.terms  # builds the problem, so that a mistake in it is told
        unknown = [term for term in self.balancing.weights if term not in terms]
        if unknown:
            raise ProblemError(f"there is no loss term '{unknown[0]}'; the terms are {', '.join(terms)}",
                               "balancing.weights")
        self._check_parts()
        check_optimizers(self)
        self._check_weights(terms)
        try:
            self._variants()
        except ExperimentError as error:
            path, text = error.problems[0]
            raise ProblemError(f"in the variant, {path}: {text}", "compare.0") from None
        return self

    @property
    def total_steps(self) -> int:
        """Steps of the whole run at most, all phases included."""
        return Place().total(self)

    def in_phase(self, number: int) -> Experiment:
        """The experiment as it is in a phase, 0 being the first optimizer's. Raises IndexError."""
        return in_phase(self, number)

    def build_problem(self) -> Problem:
        """The problem, parsed and checked, with its sub-domains. Raises ProblemError. Does not load torch."""
        return self.problem.build(self.decomposition.build())

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of all loss terms: the problem's, then the slopes' recovery where there is one."""
        terms = self.build_problem().terms
        return (*terms, RECOVERY) if self.network.recovery != "none" else terms

    def _check_parts(self) -> None:
        """What one part asks of another. Raises ProblemError with the place."""
        network, balancing, sampling = self.network, self.balancing, self.sampling
        try:
            Architecture(**network.model_dump(exclude={"normalize"}))
        except ValueError as error:
            raise ProblemError(str(error), f"network.{_at_fault(network)}") from None
        if balancing.points in ("self-adaptive", "residual-attention") and sampling.every != 0:
            raise ProblemError(f"{balancing.points} weights belong to points that stay: set sampling.every = 0",
                               "balancing.points")
        if balancing.points != "equal" and balancing.direction != "sum":
            raise ProblemError("points are weighted only where the direction is the sum", "balancing.direction")
        if balancing.points == "causal" and "t" not in self.problem.domain:
            raise ProblemError("causal weights need an input named t", "balancing.points")
        if self.decomposition.splits:
            if balancing.points != "equal":
                raise ProblemError("points of sub-domains cannot be weighted one by one", "balancing.points")
            if balancing.rule == "ntk":
                raise ProblemError("the tangent kernel of sub-domains is not computed; take another rule",
                                   "balancing.rule")
            if sampling.kind in ("rad", "rar-d", "r3"):
                raise ProblemError("points of sub-domains cannot follow the residual; take another sampling",
                                   "sampling.kind")

    def _check_weights(self, terms: tuple[str, ...]) -> None:
        """The weights leave something to learn, at the start and in every phase. Raises ProblemError with the place."""
        own = [term for term in terms if term != RECOVERY]  # which belongs to the slopes, not to the problem
        weights = dict.fromkeys(own, 1.0)
        phases = ((f"phases.{number}", phase.weights) for number, phase in enumerate(self.phases))
        for place, given in (("balancing", self.balancing.weights), *phases):
            weights |= {term: given[term] for term in own if term in given}
            if not any(weights.values()):
                raise ProblemError(f"every loss term ({', '.join(own)}) has weight 0, so nothing would be learned; at "
                                   "least one needs a weight above zero", f"{place}.weights")

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
            own = error.path.startswith(("balancing", "compare", "network", "sampling", "decomposition", "optimizer",
                                         "phases"))
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


def _at_fault(network: NetworkSpec) -> str:
    """The switch that asks for what the architecture cannot have."""
    if network.raf == "assigned" and network.raf_blocks:
        return "raf_blocks"
    if network.raf != "none":
        return "raf"
    return "recovery" if network.recovery != "none" else "kind"


def override(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy of nested `data` with `changes` by dotted path, a number being a row of a list: 'phases.0.steps'.

    Raises ExperimentError for a path into nothing.
    """
    out: dict[str, Any] = _plain(dict(data))
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = out
        for part in parents:
            if isinstance(place, list):
                place = place[_row(place, part, path)]
            else:
                place = place.setdefault(part, {})
            if not isinstance(place, (dict, list)):
                raise ExperimentError([(path, f"'{part}' is not a table, so nothing below it can be set")])
        if isinstance(place, list):
            place[_row(place, last, path)] = value
        else:
            place[last] = value
    return out


def _row(rows: list[Any], part: str, path: str) -> int:
    """The number of a row of a list that is there. Raises ExperimentError."""
    if part.isdecimal() and int(part) < len(rows):
        return int(part)
    have = f"the rows are 0 to {len(rows) - 1}" if rows else "there are none"
    raise ExperimentError([(path, f"there is no row '{part}'; {have}")])


def load_experiment(path: Path) -> Experiment:
    """Read an experiment from a TOML file; a reference solution beside that file becomes an absolute path.

    Raises ExperimentError with a sentence that names the file.
    """
    try:
        data = path.read_bytes()
        # what PowerShell writes of a command's output is UTF-16 with a mark, and editors put one before UTF-8
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except FileNotFoundError:
        raise ExperimentError([("", f"there is no file {path}")]) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ExperimentError([("", f"{path} cannot be read: {reason}")]) from None
    experiment = Experiment.from_toml(text, str(path))
    changes: dict[str, Any] = {}
    if experiment.problem.reference:
        changes["problem.reference"] = _located(experiment.problem.reference, path, "problem.reference")
    rows = [o.model_dump() for o in experiment.problem.observations]
    for number, row in enumerate(rows):
        if row["file"]:
            row["file"] = _located(row["file"], path, f"problem.observations.{number}.file")
    if rows:
        changes["problem.observations"] = rows
    return experiment.with_changes(changes) if changes else experiment


def _located(name: str, path: Path, place: str) -> str:
    """An absolute path for a file beside the experiment's; one that comes with the program keeps its name."""
    beside, shipped = path.absolute().parent / name, REFERENCES / name
    if beside.is_file():
        return str(beside)
    if shipped.is_file():
        return name
    raise ExperimentError([(place, f"there is no file {beside}")], str(path))


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
        return f"{_number(got)} is not possible; it must be {words[key]} {_number(context[key])}"
    message = item["msg"]
    return f"{message[0].lower()}{message[1:]} (got {got!r})" if not isinstance(got, (dict, list)) else message


def _number(value: Any) -> str:
    """A number as a person writes it: 0 and 1,000,000,000, not 0.0 and 1000000000.0."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float) and abs(value) < 1e16 and value.is_integer():
        return f"{int(value):,}"
    return str(value).replace("e+", "e")


def _plain(value: Any) -> Any:
    """Tuples to lists and None away: what TOML can hold."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
