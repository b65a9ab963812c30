"""How steps per second and memory grow with points, width, depth, order of the derivatives and number of loss terms.

    python tests/bench/growth.py                          all of it, one thread: about twenty minutes
    python tests/bench/growth.py --axes order --seconds 1 --engines eager

Every size is measured in a process of its own, since the peak of resident memory is that of a whole process; the peak
of one that only starts is in the result beside them. One thing grows at a time from Helmholtz M1 (2-50-50-50-1,
1,000 interior points, 4 x 128 boundary points). Many points are evaluated in portions, compiled ones in tiles. Writes
results/growth.json and docs/growth.png.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from studio.experiment import Experiment  # noqa: E402
from studio.gallery import load  # noqa: E402
from studio.runfile import machine  # noqa: E402

RESULT = ROOT / "results" / "growth.json"
POINTS = 1000
AXES: dict[str, tuple[int, ...]] = {
    "points": (100, 1000, 10_000, 100_000, 1_000_000),
    "width": (16, 32, 64, 128, 256, 512),
    "depth": (1, 2, 4, 8, 16),
    "order": (1, 2, 3, 4),
    "terms": (1, 2, 4, 8, 16, 32),
}
FEWEST = 2  # steps, however long they take
PATIENCE = 900.0  # seconds that one size may take


def sized(axis: str, value: int) -> Experiment:
    """Helmholtz M1 with one thing of another size. Raises KeyError for an unknown axis."""
    experiment = load("helmholtz-m1")
    residual = experiment.problem.residuals[0].model_dump() | {"points": POINTS}
    changes: dict[str, Any] = {"problem.residuals": [residual]}
    match axis:
        case "points":
            residual["points"] = value
        case "width":
            changes["network.hidden"] = [value] * 3
        case "depth":
            changes["network.hidden"] = [50] * value
        case "order":
            residual["equation"] = f"u_{'x' * value} + u_{'y' * value} + k**2*u - q"
        case "terms":
            faces = ("x = -1", "x = 1", "y = -1", "y = 1")
            changes["problem.conditions"] = [
                {"name": f"condition {k}", "on": faces[k % 4], "equation": "u = u_exact", "term": f"term {k}"}
                for k in range(value - 1)]  # the residual is one of them
        case _:
            raise KeyError(axis)
    return experiment.with_changes(changes)


def one(given: dict[str, Any]) -> dict[str, Any]:
    """Measure one size in this process; only start where there is no axis."""
    from core.engine import EagerEngine
    from studio.build import build_trainer
    from studio.peak import peak_mb

    if not given["axis"]:
        return {"peak_mb": peak_mb()}
    experiment = sized(given["axis"], given["value"]).with_changes({"training.threads": given["threads"]})
    trainer = build_trainer(experiment)
    assert isinstance(trainer.engine, EagerEngine)
    portions = bool(trainer.engine.portions)
    if given["engine"] == "compiled":
        trainer = build_trainer(experiment, engine="compiled")
    trainer.step()
    begun, steps = time.perf_counter(), 0
    while steps < FEWEST or time.perf_counter() - begun < given["seconds"]:
        trainer.step()
        steps += 1
    return {"steps_per_second": steps / (time.perf_counter() - begun), "steps": steps, "peak_mb": peak_mb(),
            "parameters": trainer.objective.size, "points": trainer.objective.points, "portions": portions}


def measured(given: dict[str, Any]) -> dict[str, Any]:
    """One size in a process of its own; what went wrong as 'error'."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(given["threads"]))
    command = [sys.executable, __file__, "--one", json.dumps(given)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **threads},
                              timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return {"error": f"it took more than {PATIENCE:.0f} seconds"}
    try:
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return found
    except (ValueError, IndexError):
        said = done.stderr.strip().splitlines() or ["nothing"]
        return {"error": f"it ended with code {done.returncode} and said: {said[-1]}"}


def main() -> int:
    """Measure, print the table, write the result, draw the figure; 1 where a size could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axes", nargs="+", choices=[*AXES], default=[*AXES])
    parser.add_argument("--engines", nargs="+", choices=["eager", "compiled"], default=["eager", "compiled"])
    parser.add_argument("--seconds", type=float, default=5.0, help="of steps for each size (default 5)")
    parser.add_argument("--most", type=int, default=1_000_000_000, help="the largest value of an axis that is measured")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULT,
                        help="the file to write; the figure goes to docs, or beside another file")
    parser.add_argument("--one", help="one measurement, as JSON; what the command calls")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(json.loads(given.one))))
        return 0
    about = {"seconds": given.seconds, "threads": given.threads}
    start = measured({"axis": "", **about})
    rows: list[dict[str, Any]] = []
    print("| what | value | engine | steps/s | peak MB |\n|---|---|---|---|---|")
    for axis in given.axes:
        for value in (value for value in AXES[axis] if value <= given.most):
            for engine in given.engines:
                row = {"axis": axis, "value": value, "engine": engine}
                row |= measured({**row, **about})
                rows.append(row)
                said = f"{row['steps_per_second']:.3g} | {row['peak_mb']:.0f}" if "error" not in row else row["error"]
                print(f"| {axis} | {value:,} | {engine} | {said} |", flush=True)
    result = {"what": "steps per second and peak resident memory as one thing grows from Helmholtz M1 "
                      "with 1,000 points",
              "date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "threads": given.threads,
              "peak_mb_at_start": start.get("peak_mb"), "rows": rows}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    folder = ROOT / "docs" if given.out == RESULT else given.out.parent
    drawn = subprocess.run([sys.executable, "-m", "ui.accuracy", str(given.out.absolute()), "--to",
                            str(folder.absolute())], cwd=ROOT, check=False)
    return int(drawn.returncode != 0 or any("error" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
