"""How fast a problem is solved how well: the problems with their targets, and the runs that were measured, as data.

resources/accuracy/NAME.toml is an experiment, which may build on one of the gallery with `base` and change it with
`set`, and beside it the table [measure]: which error counts, what was published, and what is aimed at.
results/accuracy.json has one record for each problem, method and seed. This module does not load torch;
studio.accuracy_run trains.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import statistics
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.problem import ProblemError
from studio import gallery
from studio.experiment import Experiment, ExperimentError, explain
from studio.specs import Model, tip
from studio.table_runs import RESULTS, digest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "resources" / "accuracy"
BENCH = ROOT / "tests" / "bench"

METHODS = ("ours", "m4", "deepxde", "deepxde-best")
TITLES = {"ours": "PINNscope, phases", "m4": "gated network, annealed weights (M4)",
          "deepxde": "DeepXDE, Adam then L-BFGS, float32", "deepxde-best": "DeepXDE, Adam, L-BFGS, NNCG, float64"}
#: What decides the numbers of a rival: its scripts, and the versions of what they use.
RIVAL_FILES = ("accuracy_deepxde.py", "peer_deepxde.py", "peer_problems.py", "requirements.txt")


class AccuracyError(Exception):
    """A problem or a result that cannot be used; str() is a sentence."""


# ------------------------------------------------------------------ problems


class Target(Model):
    error: float = tip("The relative L2 error that is to be reached.", gt=0)
    seconds: float = tip("The seconds of training that it may take; 0 for no limit.", 0.0, ge=0, unit="s")
    source: str = tip("Why this target.", "")


class Published(Model):
    method: str = tip("What was done.", min_length=1)
    error: float = tip("The relative L2 error that was published.", gt=0)
    seconds: float = tip("The seconds that were published; 0 where they were not.", 0.0, ge=0, unit="s")
    source: str = tip("Where.", min_length=1)


class Comparison(Model):
    experiment: str = tip("The experiment of the gallery that the comparison starts from.", min_length=1)
    set: dict[str, Any] = tip("What is changed in it, by dotted path.", default_factory=dict)


class Measure(Model):
    title: str = tip("One line that says what is solved.", min_length=1)
    quantity: str = tip("The error that counts, by the title that the fields' diagnostic gives it.", "u")
    minutes: float = tip("Minutes of training after which a run is ended, where nobody says how many.", 15.0, gt=0)
    note: str = tip("What there is to know.", "")
    m4: Comparison
    targets: tuple[Target, ...] = tip("What is to be reached, the easiest first.", min_length=1)
    published: tuple[Published, ...] = tip("What others have reached.", ())


class Problem(Model):
    """A problem of the measurement: what is trained, and what it is held against."""

    name: str
    measure: Measure
    ours: Experiment

    def experiment(self, method: str) -> Experiment:
        """What 'ours' or 'm4' trains. Raises ExperimentError."""
        if method == "ours":
            return self.ours
        if method == "m4":
            return gallery.load(self.measure.m4.experiment).with_changes(self.measure.m4.set)
        raise ValueError(f"'{method}' trains no experiment of ours")


def names() -> list[str]:
    """The problems that there are."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def load(name: str) -> Problem:
    """A problem by its name. Raises AccuracyError."""
    if name not in names():
        raise AccuracyError(f"there is no problem '{name}'; the problems are {', '.join(names())}")
    return read_problem(FOLDER / f"{name}.toml")


def read_problem(path: Path) -> Problem:
    """A problem from its file. Raises AccuracyError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        measure = data.pop("measure", {})
        base, changes = data.pop("base", None), data.pop("set", {})
        if base:
            data = gallery.merge(gallery.load(base).model_dump(mode="json"), data)
        ours = Experiment.from_data(data, path.name).with_changes(changes)
        problem = Problem(name=path.stem, measure=Measure.model_validate(measure), ours=ours)
        problem.experiment("m4")
    except ValidationError as error:
        place, text = explain(error)[0]
        raise AccuracyError(f"{path.name}: measure.{place}: {text}") from None
    except (OSError, tomllib.TOMLDecodeError, ExperimentError, ProblemError) as error:
        raise AccuracyError(f"{path.name} cannot be used: {error}") from None
    errors = [target.error for target in problem.measure.targets]
    if errors != sorted(errors, reverse=True):
        raise AccuracyError(f"{path.name}: measure.targets: the easiest target comes first, so the errors must fall")
    return problem


def mark(problem: Problem, method: str, limit: float) -> str:
    """A digest of what decides a run, its seed left out. limit: seconds, by which a rival's phases are shared out."""
    if method in ("ours", "m4"):
        return digest(problem.experiment(method))
    what = [problem.name, method, problem.measure.quantity, sorted(problem.ours.problem.constants.items())]
    whole = hashlib.sha256(json.dumps(what).encode())  # its network, points and weights are in its scripts
    for name in RIVAL_FILES:
        path = BENCH / name
        whole.update(path.read_bytes() if path.exists() else b"")
    if method == "deepxde-best":
        whole.update(f"{limit:g}".encode())
    return whole.hexdigest()[:20]


@cache
def source() -> str:
    """A digest of the source of `core`, which makes the steps."""
    whole = hashlib.sha256()
    for path in sorted((ROOT / "core").rglob("*.py")):
        whole.update(path.read_bytes())
    return whole.hexdigest()[:20]


# ------------------------------------------------------------------ runs


class Record(BaseModel):
    """One measured run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    problem: str
    method: str
    seed: int
    digest: str
    state: Literal["finished", "stopped", "diverged", "failed"]  # stopped: by the limit
    limit: float  # seconds of training after which it was to be ended
    threads: int
    pairs: list[tuple[float, float]] = []  # (seconds of training, relative L2); NaN is null in the file
    errors: dict[str, float] = {}  # all of them at the end, by title
    steps: int = 0
    seconds: float = 0.0  # of training
    evaluation: float = 0.0  # seconds that the errors took, which are not in `seconds`
    peak_mb: float = 0.0  # of resident memory, of the process that trained
    message: str = ""
    journal: list[str] = []  # changes of engine and phase, with the second at which they came
    warm: bool = False  # the compiled step was there before the run
    source: str = ""  # of `core`
    versions: dict[str, str] = {}
    machine: dict[str, str] = Field(default_factory=dict)
    date: str = ""  # UTC, ISO 8601

    @property
    def key(self) -> tuple[str, str, int]:
        return self.problem, self.method, self.seed

    def covers(self, mark: str, limit: float, threads: int, core: str = "") -> bool:
        """Whether it is what such a run would measure. core: the source that must have made it; any where empty."""
        ended = self.state in ("finished", "diverged") or (self.state == "stopped" and self.limit >= limit)
        return ended and self.digest == mark and self.threads == threads and (not core or self.source == core)

    def time_to(self, error: float) -> float:
        """Seconds at which the error was first measured at or below a value; infinite where it never was."""
        return next((seconds for seconds, value in self.pairs if value <= error), math.inf)

    @property
    def last(self) -> float:
        """The error at the end; NaN where none was measured or the run diverged."""
        return self.pairs[-1][1] if self.pairs and self.state != "diverged" else math.nan


def result_path(folder: Path = RESULTS, *, fast: bool = False) -> Path:
    return folder / f"accuracy{'-fast' if fast else ''}.json"


def read(path: Path) -> dict[tuple[str, str, int], Record]:
    """The runs of a file, by problem, method and seed; none where there is no file. Raises AccuracyError."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["runs"]
        for row in rows:
            row["pairs"] = [(s, math.nan if e is None else e) for s, e in row.get("pairs", [])]
            row["errors"] = {k: math.nan if e is None else e for k, e in row.get("errors", {}).items()}
        records = [Record.model_validate(row) for row in rows]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = explain(error)[0] if isinstance(error, ValidationError) else error
        raise AccuracyError(f"the results in {path} cannot be read: {what}; move the file away to begin anew") from None
    return {record.key: record for record in records}


def add(path: Path, record: Record) -> None:
    """Write one more run into a file, in the place of an older one; whole or not at all. Raises AccuracyError."""
    records = read(path) | {record.key: record}
    order = sorted(records.values(), key=lambda r: (r.problem, METHODS.index(r.method), r.seed))
    head = {"what": "Relative L2 error over wall-clock seconds of training, evaluation left out; one row for each "
                    "problem, method and seed. pairs: [seconds, error]."}
    rows = ",\n".join("  " + json.dumps(_plain(r), ensure_ascii=False, allow_nan=False) for r in order)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(f'{{"what": {json.dumps(head["what"])},\n "runs": [\n{rows}\n ]}}\n', encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise AccuracyError(f"the results cannot be written to {path}: {error.strerror or error}") from None


def _plain(record: Record) -> dict[str, Any]:
    row = record.model_dump(mode="python", exclude_defaults=True)
    row["pairs"] = [[round(s, 4), _short(e)] for s, e in record.pairs]
    row["errors"] = {name: _short(e) for name, e in record.errors.items()}
    return row


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


# ------------------------------------------------------------------ several seeds


def median_curve(records: Sequence[Record], points: int = 120) -> list[tuple[float, float]]:
    """(seconds, median over the seeds of the error last measured by then), at times that are even in the logarithm.

    From the time at which every seed has an error to the time at which the first of them ended.
    """
    curves = [[(s, e) for s, e in record.pairs if s > 0 and math.isfinite(e)] for record in records]
    if not curves or not all(curves):
        return []
    first, last = max(curve[0][0] for curve in curves), min(curve[-1][0] for curve in curves)
    if last <= first:
        return []
    times = [first * (last / first) ** (k / (points - 1)) for k in range(points)]
    times[-1] = last
    return [(t, statistics.median(next(e for s, e in reversed(curve) if s <= t) for curve in curves)) for t in times]


def median_time(records: Iterable[Record], error: float) -> tuple[float, int, int]:
    """(median seconds to an error, infinite where most seeds never had it; how many had it; of how many)."""
    times = [record.time_to(error) for record in records]
    reached = sum(map(math.isfinite, times))
    middle = statistics.median(times) if times else math.inf
    return middle, reached, len(times)
