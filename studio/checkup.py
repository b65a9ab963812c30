"""The doctor examined: runs that are ill, without and with the remedy, and runs that are well.

    python -m studio.checkup [--steps N] [--only NAME]

Writes results/doctor.json and results/doctor.md. Every run is made step by step in this process, with all that the
doctor looks at observed at fixed steps, so that the same seed gives the same findings at the same steps.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from core.device import on_cpu
from core.diagnostics.activations import ActivationsDiagnostic
from core.diagnostics.alignment import AlignmentDiagnostic
from core.diagnostics.gradients import GradientsDiagnostic
from core.diagnostics.hessian import StiffnessDiagnostic
from core.diagnostics.liveness import LivenessDiagnostic
from core.diagnostics.slopes import SlopesDiagnostic
from core.frames import Frame, ScalarsFrame
from core.trainer import NotFinite, Trainer
from core.transplant import transplant
from studio import gallery
from studio.alterations import altered
from studio.build import build_fields
from studio.course import Course as Route
from studio.doctor import Doctor
from studio.exact_check import contradictions
from studio.experiment import Experiment
from studio.findings import Finding, Remedy, Severity
from studio.messages import Event

RESULTS = Path(__file__).resolve().parent.parent / "results"
LOOKS = 30  # at a run, evenly spaced
STIFFNESS_LOOKS = 10
SCALARS_EVERY = 10
ERRORS_EVERY = 50
KINDS = ("ill", "well", "held out", "second order")  # of runs, in the order of the tables
WELL_BELOW = 0.05  # a held-out run whose error ends below this is taken to be well
BETTER = 0.9  # a remedy counts from this share of the error on


@dataclass(frozen=True)
class Ill:
    """A run that is ill: the gallery's entry, and the rule that is to find what it has."""

    name: str
    rule: str


ILL = (
    Ill("ill-starved-boundary", "starved-term"), Ill("ill-exploding-weights", "exploding-weight"),
    Ill("ill-stiff-residual", "stiff"), Ill("ill-conflict", "conflict"), Ill("ill-saturated", "saturated-layer"),
    Ill("ill-dead", "dead-layer"), Ill("ill-spectral-bias", "spectral-bias"), Ill("ill-trivial", "trivial-solution"),
    Ill("ill-overfit-points", "overfitted-points"), Ill("ill-inconsistent-condition", "inconsistent-condition"),
    Ill("ill-unscaled-inputs", "unscaled-inputs"), Ill("ill-float32-floor", "float32-floor"),
    Ill("ill-learning-rate", "learning-rate-too-high"), Ill("ill-frozen", "learning-rate-gone"),
    Ill("ill-lost-derivative", "lost-derivative"),
)

#: Runs that are well: the gallery's entry, what is changed so that it is short and trains well, and its steps.
WELL: tuple[tuple[str, Mapping[str, Any], int], ...] = (
    ("heat", {}, 6000),
    ("method-periodic", {"problem.periodic": ["x"], "problem.conditions": [
        {"name": "start", "on": "t = 0", "equation": "u = u_exact", "term": "initial", "points": 64}]}, 5000),
    ("poisson-c", {"balancing.rule": "annealing-siam"}, 5000),
    ("helmholtz-m2", {"problem.constants": {"a1": 1.0, "a2": 2.0, "k": 1.0}}, 6000),
    ("method-hard", {"problem.hard": {"u": "(1 - x**2)*(1 - y**2)*u"}, "problem.conditions": []}, 4000),
    ("laaf-function-laaf", {}, 15000),
    ("poisson-inverse-laaf", {}, 4000),
    ("lotka-volterra", {}, 8000),
    ("advection-diffusion", {"balancing.weights": {"initial": 10.0}}, 6000),
    ("eigenvalue-box-d1", {}, 3000),
    ("poisson-inverse-nlaaf", {}, 4000),
    ("kovasznay", {"network.hidden": [30, 30, 30]}, 5000),
    ("eigenvalue-oscillator-d1", {"network.hidden": [20, 20, 20, 20]}, 4000),
    ("raf-smooth-poly-sin", {"problem.residuals": [
        {"name": "Poisson", "equation": "-(u_xx + u_yy) = f", "points": 500}],
        "optimizer.decay_steps": 500}, 4000),
)

#: Runs that no threshold was tuned on, chosen before the doctor had seen them; Burgers was once among the others.
#: Whether they end well is not known beforehand: the table says how well.
HELD_OUT: tuple[tuple[str, Mapping[str, Any], int], ...] = (
    ("burgers", {"balancing.weights": {"initial": 20.0, "boundary": 20.0}}, 8000),
    ("klein-gordon-m4", {"network.hidden": [30, 30, 30]}, 6000),
    ("helmholtz-m4", {"problem.constants": {"a1": 1.0, "a2": 2.0, "k": 1.0}}, 6000),
    ("method-fourier", {}, 4000),
    ("method-relobralo", {"problem.constants": {"a1": 1.0, "a2": 2.0, "k": 1.0}}, 6000),
    ("method-config", {"problem.constants": {"a1": 1.0, "a2": 2.0, "k": 1.0}}, 6000),
    ("laaf-function-nlaaf", {}, 8000),
    ("wave", {}, 8000),
    ("poisson-inverse-gaaf", {}, 4000),
    ("laaf-function-gaaf", {}, 15000),
    ("helmholtz-m3", {"problem.constants": {"a1": 1.0, "a2": 2.0, "k": 1.0}}, 6000),
    ("klein-gordon-m2", {"network.hidden": [30, 30, 30]}, 8000),
    ("raf-smooth-relu3", {"problem.residuals": [
        {"name": "Poisson", "equation": "-(u_xx + u_yy) = f", "points": 500}]}, 3000),
    ("eigenvalue-box-d2", {"network.hidden": [20, 20, 20, 20]}, 1500),
)

#: Runs that end in a second-order phase: the gallery's entry as it is, and the steps after which it is left. Chosen
#: before the doctor had seen them; that matters of pace are notes there (`Rule.pace`) was decided after.
SECOND_ORDER: tuple[tuple[str, Mapping[str, Any], int], ...] = (
    ("new", {}, 3000), ("helmholtz-lm", {}, 1150), ("helmholtz-ssbroyden", {}, 3000), ("accurate-helmholtz", {}, 3000),
    ("accurate-helmholtz-hard", {}, 2500), ("accurate-klein-gordon", {}, 3000), ("accurate-burgers", {}, 3000),
    ("accurate-allen-cahn", {}, 3000), ("accurate-cavity", {}, 2000), ("accurate-kdv", {}, 2500),
)


@dataclass
class Course:
    """One run, observed: what was found when, and the error on the way."""

    found: dict[tuple[str, str], Finding] = field(default_factory=dict)  # the first sighting of each
    errors: dict[int, float] = field(default_factory=dict)  # the largest relative L2 error by step
    losses: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    failed: str = ""

    @property
    def error(self) -> float:
        """Median of the last five, since one alone may be a spike; infinite where the run broke off."""
        last = sorted(list(self.errors.values())[-5:])
        return math.inf if self.failed or not last else last[len(last) // 2]


class Ward:
    """A trainer, everything that the doctor looks at, and the doctor."""

    def __init__(self, experiment: Experiment, steps: int = 0) -> None:
        """steps: of the whole run, over which the looks are spread; the experiment's own where not given."""
        self.course = Course()
        self.steps = steps or experiment.training.steps
        self.route = Route(experiment, self._tell)
        self.doctor = Doctor(self.route.watched)
        self._admit(self.route.watched, self.route.begin())
        for sentence in contradictions(experiment):
            self.doctor.event(Event(step=0, kind="check", text=sentence))

    def _tell(self, kind: str, text: str, value: str = "") -> None:
        self.doctor.event(Event(step=self.route.place.began if kind == "phase" else self.trainer.iteration, kind=kind,
                                text=text, value=value))

    def _next_phase(self, seconds: float) -> None:
        """As a run does it: what came before says nothing of the new phase."""
        self.route.tell_end(self.trainer)
        place, trainer, why = self.route.advance(self.trainer, seconds)
        self.route.enter(place, trainer, why)
        self._admit(self.route.watched, trainer)
        self.doctor.change(self.experiment)

    def _admit(self, experiment: Experiment, trainer: Trainer) -> None:
        self.experiment, self.trainer = experiment, trainer
        self.fields = build_fields(experiment, trainer)
        self.often: list[Any] = [GradientsDiagnostic(), self.fields, AlignmentDiagnostic(), ActivationsDiagnostic(),
                                 SlopesDiagnostic(), LivenessDiagnostic()]
        self.stiffness = StiffnessDiagnostic(products=8)

    def train(self, until: int, each: Callable[[tuple[Finding, ...]], bool], keep: list[Frame] | None = None) -> None:
        """Step until `until`, or until `each`, which is given the findings of every look, says True."""
        look = max(1, self.steps // LOOKS)
        stiff = max(1, self.steps // STIFFNESS_LOOKS)
        begun = time.thread_time()
        while self.trainer.iteration < until:
            weights, rate = self.trainer.weights.tolist(), self.trainer.current_learning_rate()
            try:
                losses = dict(zip(self.trainer.terms, self.trainer.step(), strict=True))
            except NotFinite as error:
                self.doctor.event(Event(step=self.trainer.iteration, kind="nan", text=str(error)))
                if not each(self.doctor.findings(self.trainer.iteration)):
                    self.course.failed = str(error)
                break
            step = self.trainer.iteration
            if step % SCALARS_EVERY == 0 or step == 1:
                errors = {}
                if step % ERRORS_EVERY == 0 or step == 1:
                    errors = self.fields.relative_l2(on_cpu(self.trainer))
                    known = [e for n, e in errors.items() if not n.endswith("(interior)")]
                    self.course.errors[step] = max(known, default=math.nan)
                self._see(ScalarsFrame(step=step, seconds=time.thread_time() - begun, losses=losses,
                                       weights=dict(zip(self.trainer.terms, weights, strict=True)),
                                       learning_rate=rate, relative_l2=errors,
                                       targets=dict(zip(self.trainer.terms, self.trainer.targets.tolist(),
                                                        strict=True))), keep)
            if step % look == 0:
                for diagnostic in (*self.often, *([self.stiffness] if step % stiff == 0 else [])):
                    self._see(diagnostic.observe(on_cpu(self.trainer)), keep)
                found = self.doctor.findings(step)
                for finding in found:
                    self.course.found.setdefault(finding.key, finding)
                if each(found):
                    break
            self.course.losses = losses
            if self.route.over(step, 0.0, self.trainer.done):
                if self.route.last:
                    break
                self._next_phase(time.thread_time() - begun)
        self.course.seconds += time.thread_time() - begun

    def _see(self, frame: Frame | None, keep: list[Frame] | None) -> None:
        if frame is not None:
            self.doctor.see(frame)
            if keep is not None:
                keep.append(frame)

    def treated(self, remedy: Remedy) -> Ward:
        """Another run that goes on from here under the remedy's settings, as one click would have it."""
        experiment = altered(self.experiment, remedy)
        other = Ward(experiment, self.steps)
        transplant(self.trainer, other.trainer)
        for term, weight in experiment.balancing.weights.items():
            if self.experiment.balancing.weights.get(term, 1.0) != weight:
                other.trainer.set_weight(term, weight)
        return other


def run_ill(case: Ill, steps: int = 0) -> dict[str, Any]:
    """The run without the remedy, and with the remedy of its finding from the step at which that was found."""
    experiment = gallery.load(case.name).lanes()[0]
    if steps:
        experiment = experiment.with_changes({"training.steps": steps})
    total = experiment.training.steps
    plain = Ward(experiment)
    hits: list[tuple[Finding, Ward | None]] = []

    def look(found: tuple[Finding, ...]) -> bool:
        for finding in found:
            if finding.rule == case.rule and not hits:
                hits.append((finding, plain.treated(finding.remedies[0]) if finding.remedies else None))
        return False

    plain.train(total, look)
    row: dict[str, Any] = {"name": case.name, "rule": case.rule, "steps": total, "found": bool(hits),
           "error without": plain.course.error, "seconds": round(plain.course.seconds, 1),
           "also": sorted({f"{f.rule} ({f.severity})" for f in plain.course.found.values() if f.rule != case.rule})}
    if not hits:
        return row
    finding, treated = hits[0]
    row |= {"step": finding.step, "severity": str(finding.severity), "evidence": finding.evidence}
    if treated is not None:
        treated.train(total, lambda found: False)
        remedy, error = finding.remedies[0], treated.course.error
        row |= {"remedy": remedy.text, "changes": dict(remedy.changes), "error with": error,
                "better": error < BETTER * plain.course.error,
                "seconds": round(row["seconds"] + treated.course.seconds, 1),
                "after": sorted({f"{f.rule} ({f.severity})" for f in treated.course.found.values()})}
    return row


def run_well(name: str, changes: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """A run that is well, and what the doctor says of it at any of its looks."""
    lanes = gallery.load(name).lanes()
    own = lanes[-1] if name.startswith("method-") else lanes[0]  # of a method that is compared with doing without it
    experiment = own.with_changes(dict(changes) if own.phases else {**changes, "training.steps": steps})
    ward = Ward(experiment, steps)
    ward.train(steps, lambda found: False)
    found = ward.course.found.values()
    return {
        "name": name, "steps": steps, "changed": sorted(changes), "error": ward.course.error,
        "alarms": [f"{f.rule} {f.subject}: {f.evidence} (step {f.step})".replace(" :", ":") for f in found
                   if f.severity is not Severity.NOTE],
        "notes": sorted({f.rule for f in found if f.severity is Severity.NOTE}),
        "seconds": round(ward.course.seconds, 1),
    }


def write(results: Mapping[str, Any], folder: Path = RESULTS) -> tuple[Path, Path]:
    """results/doctor.json and the same as tables, results/doctor.md."""
    data, text = folder / "doctor.json", folder / "doctor.md"
    data.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    text.write_text("\n".join(_page(results)) + "\n", encoding="utf-8")
    return data, text


def _page(results: Mapping[str, Any]) -> Iterator[str]:
    ill, well, held_out, second = (results.get(kind, []) for kind in KINDS)
    treated = [r for r in ill if r.get("error with") is not None]
    better = [r for r in treated if r["better"]]
    alarms = [r for r in well if r["alarms"]]
    yield "# The doctor, examined\n"
    yield (f"Measured on {results['date']} with `python -m studio.checkup`, torch {results['torch']}, one thread, the "
           f"eager engine, the seeds of the experiments. Errors are relative L2 errors, the largest of all fields, the "
           f"median of the last five measurements.\n")
    yield (f"- {sum(r['found'] for r in ill)} of {len(ill)} provoked pathologies are found.\n"
           f"- The finding's first remedy, applied at the step of the finding, lowers the error by over a tenth "
           f"in {len(better)} of {len(treated)}.\n"
           f"- {len(alarms)} of {len(well)} healthy runs have a finding of the level 'warning' or above. Thresholds "
           f"were tuned on these runs and on the ill ones.\n"
           f"- Of {len(held_out)} runs that nothing was tuned on, {sum(_is_well(r) for r in held_out)} end below "
           f"{WELL_BELOW:.0%}; of these {sum(_is_well(r) and bool(r['alarms']) for r in held_out)} have such a "
           f"finding, of the others {sum(not _is_well(r) and bool(r['alarms']) for r in held_out)}.\n"
           f"- Of {len(second)} runs that end in a second-order phase, after which matters of pace were made notes, "
           f"{sum(_is_well(r) for r in second)} end below {WELL_BELOW:.0%}; of these "
           f"{sum(_is_well(r) and bool(r['alarms']) for r in second)} have such a finding.\n")
    yield "## Ill: without and with the remedy\n"
    yield "| run | steps | found | at step | error without | error with | remedy | measured |"
    yield "|---|---:|---|---:|---:|---:|---|---|"
    for r in ill:
        if r["found"]:
            error = "-" if r.get("error with") is None else _number(r["error with"])
            yield (f"| {r['name']} | {r['steps']:,} | {r['rule']} ({r['severity']}) | {r['step']:,} | "
                   f"{_number(r['error without'])} | {error} | {r.get('remedy', 'none')} | {r['evidence']} |")
        else:
            yield f"| {r['name']} | {r['steps']:,} | **not found** | - | {_number(r['error without'])} | - | - | - |"
    yield "\nWhat else was found in the same runs:\n"
    for r in ill:
        yield f"- {r['name']}: without the remedy {_list(r['also'])}; with it {_list(r.get('after', []))}"
    for title, rows in (("Well: false alarms", well), ("Held out", held_out), ("Second order", second)):
        yield f"\n## {title}\n"
        yield "| run | steps | changed | error at the end | warnings | notes |"
        yield "|---|---:|---|---:|---|---|"
        yield from map(_line, rows)


def _is_well(row: Mapping[str, Any]) -> bool:
    return row["error"] is not None and row["error"] < WELL_BELOW


def _line(r: Mapping[str, Any]) -> str:
    return (f"| {r['name']} | {r['steps']:,} | {', '.join(r['changed']) or '-'} | {_number(r['error'])} | "
            f"{_list(r['alarms'])} | {_list(r['notes'])} |")


def _number(value: float | None) -> str:
    return "broke off" if value is None else f"{value:.2e}"


def _list(items: list[str]) -> str:
    return ", ".join(items) or "none"


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers that JSON has no word for become null: the run broke off."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}


def main(arguments: list[str] | None = None) -> int:
    """Examine, print, and write after every run, unless it was shortened.

    1 where something is not found or a healthy run is accused.
    """
    parser = argparse.ArgumentParser(prog="python -m studio.checkup", description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=0, help="steps of every ill run; its own where not given")
    parser.add_argument("--only", default="", help="the one run to examine; the others keep their rows")
    options = parser.parse_args(arguments)
    known = {name for _, name, _ in _runs()}
    if options.only and options.only not in known:
        parser.error(f"there is no run '{options.only}'; there are {', '.join(sorted(known))}")
    torch.set_num_threads(1)
    rows: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for kind, name, run in _runs(options.steps):
        if options.only in ("", name):
            rows[kind].append(_plain(run()))
            print(json.dumps(rows[kind][-1]), flush=True)
            if not options.steps:
                write(merged(rows))
    return int(any(not r["found"] for r in rows["ill"]) or any(r["alarms"] for r in rows["well"]))


def _runs(steps: int = 0) -> Iterator[tuple[str, str, Callable[[], dict[str, Any]]]]:
    """(one of KINDS, name, what makes the row) of every run, in the order of the tables."""
    for case in ILL:
        yield "ill", case.name, partial(run_ill, case, steps)
    for kind, runs in zip(KINDS[1:], (WELL, HELD_OUT, SECOND_ORDER), strict=True):
        for name, changes, count in runs:
            yield kind, name, partial(run_well, name, changes, count)


def merged(rows: Mapping[str, list[dict[str, Any]]], folder: Path = RESULTS) -> dict[str, Any]:
    """The new rows with those of the file that were not made again, in the order of the tables."""
    path = folder / "doctor.json"
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    order = [name for _, name, _ in _runs()]
    out: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "torch": str(torch.__version__)}
    for kind in KINDS:
        found = {r["name"]: r for r in (*old.get(kind, ()), *rows.get(kind, ())) if r["name"] in order}
        out[kind] = sorted(found.values(), key=lambda r: order.index(r["name"]))
    return out


if __name__ == "__main__":
    raise SystemExit(main())
