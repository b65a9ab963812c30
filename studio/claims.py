"""Two claims of the papers about curvature and kernels, measured: what is trained, the rules, the tables, the files.

    python -m studio.claims hessian --seeds 3    the largest eigenvalue of the Hessian (Wang, Teng & Perdikaris 2021)
    python -m studio.claims ntk --seeds 3        the kernel's condition with reproducing activations (Liang et al. 2021)

What is there already is not trained again. results/claims-NAME.json has every number, results/claims.md the tables;
`python -m ui.claims` draws the figures from the former. This module does not load torch; studio.claims_runs trains.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from studio import claims_rules as rules
from studio.claims_data import CLAIMS, HESSIAN, NTK, Claim, Run, number
from studio.claims_rules import Both, Row, Seeds, Verdict
from studio.experiment import explain
from studio.runfile import machine
from studio.table_runs import RESULTS, digest

TOTAL, RESIDUAL, BOUNDARY = "total", "residual", "boundary"
BAD_INPUT = 2


class ClaimError(Exception):
    """Results that cannot be read or written; str() is a sentence."""


# ------------------------------------------------------------------ numbers of a run


def sigma(run: Run, row: str, step: int, *, weights: bool = False) -> float:
    """A row's largest eigenvalue at a step, of all parameters or of the weight matrices; NaN where there is none."""
    if weights:
        return number(run.weights_only.get(step, {}).get(row))
    found = run.frame(step)
    return math.nan if found is None or row not in found["rows"] else number(found["largest"][found["rows"].index(row)])


def last_sigma(run: Run, row: str, *, weights: bool = False) -> float:
    """The largest eigenvalue of a row after the last step; NaN for a run that broke off."""
    return sigma(run, row, run.steps, weights=weights)


def median_sigma(run: Run, *, weights: bool = False) -> float:
    """The median of the total's largest eigenvalue over the second half of the run; NaN for one that broke off."""
    late = [sigma(run, TOTAL, one["step"], weights=weights) for one in run.frames if 2 * one["step"] > run.steps]
    return math.nan if run.failed or not late or not all(map(math.isfinite, late)) else statistics.median(late)


def rough(run: Run) -> int:
    """Looks whose largest eigenvalue of the total has a relative residual above 10 %."""
    return sum(not number(one["accuracy"][one["rows"].index(TOTAL)]) <= 0.1 for one in run.frames)


def log_kappa(run: Run, step: int) -> float:
    """log10 of the condition number at a step; infinite where it is lost in rounding, NaN where there is none."""
    found = run.frame(step)
    if found is None or found["kappa"]["all"] is None:
        return math.nan
    return math.inf if found["floored"]["all"] else math.log10(found["kappa"]["all"])


def moments(steps: int) -> tuple[int, int, int]:
    """The steps at which conditions are compared: 0, 200 and 1,000 of a whole run."""
    return 0, steps // 5, steps


def late_error(run: Run) -> float:
    """The median of the last five errors, since one alone may be a spike."""
    last = [number(error) for _, error in sorted(run.errors.items())[-5:]]
    return statistics.median(last) if last and not run.failed else math.nan


# ------------------------------------------------------------------ verdicts and tables


def by_setting(runs: Iterable[Run], read: Callable[[Run], float]) -> dict[str, Seeds]:
    """A number of every run: by setting, by seed."""
    out: dict[str, Seeds] = {}
    for run in runs:
        out.setdefault(run.setting, {})[run.seed] = read(run)
    return out


def verdicts(claim: Claim, runs: Sequence[Run]) -> list[Verdict]:
    """What the runs say of the claim."""
    steps = max((run.steps for run in runs), default=claim.steps)
    if claim is NTK:
        conditions = [by_setting(runs, partial(log_kappa, step=at)) for at in moments(steps)]
        return [rules.conditioned(setting.label, setting.key, conditions)
                for setting in claim.settings if setting.key.startswith("raf")]

    def both(key: str, read: Callable[..., float]) -> Both:
        own = [run for run in runs if run.setting == key]
        return {run.seed: read(run, weights=True) for run in own}, {run.seed: read(run) for run in own}

    out: list[Verdict] = []
    for layers in (4, 3):
        m1, m3, smooth = (both(f"{name}-{layers}", median_sigma) for name in ("m1", "m3", "a2"))
        out += [rules.far_above(f"(a1, a2) = (1, 4) against (1, 1), M1, 50 x {layers}", m1, smooth),
                rules.three_times(f"M1 against M3, (1, 4), 50 x {layers}", m1, m3)]
    last = [both("m1-5", partial(last_sigma, row=row)) for row in (RESIDUAL, BOUNDARY)]
    return [*out, *rules.stiff_residual("M1, (1, 4), 50 x 5, last step", *last)]


def columns(claim: Claim, steps: int) -> list[tuple[str, Callable[[Run], float], str]]:
    """(head, number of a run, format) of each column of the table."""
    if claim is HESSIAN:
        return [("σ_max of the loss, median of the second half: weights", partial(median_sigma, weights=True), ".3g"),
                ("all", median_sigma, ".3g"),
                ("L_r after the last step: weights", partial(last_sigma, row=RESIDUAL, weights=True), ".3g"),
                ("all", partial(last_sigma, row=RESIDUAL), ".3g"),
                ("L_ub after the last step: weights", partial(last_sigma, row=BOUNDARY, weights=True), ".3g"),
                ("all", partial(last_sigma, row=BOUNDARY), ".3g"),
                ("relative L2", lambda run: number(run.errors.get(run.steps)), ".2e"),
                ("rough looks", lambda run: float(rough(run)), ".0f")]
    start, early, end = moments(steps)

    def of(name: str, at: int) -> Callable[[Run], float]:
        def read(run: Run) -> float:
            found = run.frame(at)
            if found is None:
                return math.nan
            return number(found["eigenvalues"]["all"][0] if name == "largest" else found[name]["all"])
        return read

    return [*((f"log10 κ, step {at:,}", partial(log_kappa, step=at), ".1f") for at in (start, early, end)),
            (f"eff. rank, step {start}", of("effective_rank", start), ".1f"),
            (f"eff. rank, step {end:,}", of("effective_rank", end), ".1f"),
            (f"λ_max, step {start}", of("largest", start), ".2g"), (f"λ_max, step {end:,}", of("largest", end), ".2g"),
            (f"relative L2, step {end:,}", lambda run: number(run.errors.get(end)), ".1e"),
            ("its median over the last five looks", late_error, ".1e")]


def table(claim: Claim, runs: Sequence[Run]) -> list[Row]:
    """A head, and a row for each setting that has runs: mean ± sample standard deviation (n)."""
    steps = max((run.steps for run in runs), default=claim.steps)
    wanted = columns(claim, steps)
    rows: list[Row] = [["", "seeds", *(head for head, _, _ in wanted)]]
    for setting in claim.settings:
        own = [run for run in runs if run.setting == setting.key]
        if own:
            cells = [rules.mean_and_spread([read(run) for run in own], form) for _, read, form in wanted]
            broken = sum(bool(run.failed) for run in own)
            rows.append([setting.label, f"{len(own)}" + f", {broken} broke off" * bool(broken), *cells])
    return rows


# ------------------------------------------------------------------ files


def result_path(name: str, folder: Path = RESULTS) -> Path:
    return folder / f"claims-{name}.json"


def spectra_path(folder: Path = RESULTS) -> Path:
    """float32 eigenvalues, ascending, by 'SETTING/SEED/ROW'."""
    return folder / "claims-hessian-spectra.npz"


def read(claim: Claim, folder: Path = RESULTS, steps: int = 0) -> list[Run]:
    """The runs that are there, of what is trained now, with so many steps. Raises ClaimError."""
    path = result_path(claim.name, folder)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        runs = [Run.model_validate(one) for one in data["runs"]]
    except FileNotFoundError:
        return []
    except ValidationError as error:
        place, text = explain(error)[0]
        raise ClaimError(f"the results in {path} are damaged: {place}: {text}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClaimError(f"the results in {path} cannot be read: {error}; move the file away to begin anew") from None
    marks = {s.key: digest(s.resolve(steps or claim.steps)) for s in claim.settings}
    return [run for run in runs if marks.get(run.setting) == run.digest]


def write(claim: Claim, runs: Sequence[Run], folder: Path = RESULTS) -> Path:
    """Write the claim's results, whole or not at all, and the page of tables. Raises ClaimError."""
    order = [setting.key for setting in claim.settings]
    rows = [run.model_dump(mode="json", exclude_defaults=True)
            for run in sorted(runs, key=lambda run: (order.index(run.setting), run.seed))]
    head = {"claim": claim.title, "source": claim.source, "notes": claim.notes, "machine": machine(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"), "table": table(claim, runs),
            "verdicts": [verdict.plain() for verdict in verdicts(claim, runs)]}
    lines = ",\n".join(f"  {json.dumps(row, ensure_ascii=False, allow_nan=False)}" for row in rows)
    text = "".join(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False, allow_nan=False)},\n"
                   for key, value in head.items())
    path = result_path(claim.name, folder)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.write_text(f"{{\n{text} \"runs\": [\n{lines}\n ]\n}}\n", encoding="utf-8")
        os.replace(part, path)
        (folder / "claims.md").write_text(page(folder), encoding="utf-8")
    except OSError as error:
        raise ClaimError(f"the results cannot be written to {path}: {error.strerror or error}") from None
    return path


def page(folder: Path = RESULTS) -> str:
    """results/claims.md: both claims as tables, as far as they are measured."""
    out = ["# Two claims, measured\n",
           "Numbers are mean ± sample standard deviation over the seeds, of one run where there is no ±.\n"]
    for claim in CLAIMS.values():
        try:
            data = json.loads(result_path(claim.name, folder).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        about = data["machine"]
        steps = max((run["steps"] for run in data["runs"]), default=claim.steps)
        seeds = len({run["seed"] for run in data["runs"]})
        out += [f"## {data['claim']}\n", f"{data['source']}.\n",
                f"`python -m studio.claims {claim.name} --seeds {seeds}`, {steps:,} steps, {data['date'][:10]}, torch "
                f"{about.get('torch')}, one thread, {about.get('processor')}.\n", rules.markdown(data["table"]), "",
                "| claim | measured, by seed | verdict |", "|---|---|---|",
                *(f"| {one['claim']} | {one['text']} | **{one['verdict']}** |" for one in data["verdicts"]), ""]
        out += ["Rules:\n", *(f"- {rule}" for rule in
                                                      dict.fromkeys(one["rule"] for one in data["verdicts"])), ""]
        out += ["How it is measured:\n", *(f"- {note}" for note in data["notes"]), ""]
    return "\n".join(out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is missing, print the table and the verdicts. The exit code: 0, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m studio.claims", description="Two claims of the papers, measured.")
    parser.add_argument("claim", choices=[*CLAIMS], help="which claim")
    parser.add_argument("--seeds", type=int, default=1, help="how many runs of each setting")
    parser.add_argument("--steps", type=int, default=0, help="shorter runs; kept only where --folder is given")
    parser.add_argument("--only", nargs="*", default=[], help="the settings to be trained: their keys")
    parser.add_argument("--folder", type=Path, help="where the results are")
    parser.add_argument("--engine", choices=["auto", "eager", "compiled"], default="auto",
                        help="auto: compiled where it is worth it and there is a C++ compiler")
    options = parser.parse_args(arguments)
    claim = CLAIMS[options.claim]
    unknown = set(options.only) - {setting.key for setting in claim.settings}
    if unknown or options.seeds < 1 or options.steps < 0:
        wrong = f"there is no setting '{min(unknown)}'" if unknown else "seeds and steps are positive numbers"
        print(f"{wrong}; the settings are {', '.join(s.key for s in claim.settings)}", file=sys.stderr)
        return BAD_INPUT
    from studio.claims_runs import measure  # loads torch

    try:
        runs = measure(claim, options.seeds, options.steps or claim.steps, options.only, options.engine,
                       options.folder or (RESULTS if options.steps in (0, claim.steps) else None))
    except ClaimError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    print(rules.markdown(table(claim, runs)))
    for verdict in verdicts(claim, runs):
        print(f"{verdict.claim}: {verdict.text}: {verdict.verdict}\n  ({verdict.rule})")
    return 0


if __name__ == "__main__":
    from studio.claims import main as same  # this module once, not once more as __main__

    raise SystemExit(same())
