"""What adaptive activations cost: steps per second beside the fixed tanh, rounds interleaved, medians of ratios.

    python tests/bench/activation_price.py [--points 128 2048] [--rounds 7] [--seconds 0.5] [--threads 1]

Helmholtz M1 (2-50-50-50-1, 4 x 128 boundary points) with nothing changed but the activation, all in one process,
taking turns. A price is seconds per step over those of the fixed tanh in the same round. Writes
results/activation-price.json; ends with 1 where a compiled price is over its limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from core.trainer import Trainer  # noqa: E402
from studio.build import build_trainer  # noqa: E402
from studio.gallery import load  # noqa: E402
from studio.runfile import machine  # noqa: E402

RESULT = ROOT / "results" / "activation-price.json"
#: what differs from the fixed tanh, and what it may cost
PRICED: dict[str, tuple[dict[str, Any], float | None]] = {
    "fixed tanh": ({}, None),
    "GAAF": ({"network.slopes": "global", "network.slope_scale": 5.0}, 1.3),
    "L-LAAF": ({"network.slopes": "layer", "network.slope_scale": 5.0}, 1.3),
    "N-LAAF": ({"network.slopes": "neuron", "network.slope_scale": 5.0}, 1.5),
    "RAF learnable": ({"network.raf": "learnable"}, 3.0),
    "RAF assigned": ({"network.raf": "assigned"}, 3.0),
    "rowdy": ({"network.raf": "rowdy"}, None),
}


def trainer(changes: dict[str, Any], points: int, threads: int, engine: str) -> Trainer:
    """Helmholtz M1 with another activation and number of interior points."""
    experiment = load("helmholtz-m1")
    residuals = [{**r.model_dump(), "points": points} for r in experiment.problem.residuals]
    everything = {**changes, "problem.residuals": residuals, "training.threads": threads}
    return build_trainer(experiment.with_changes(everything), engine=engine)


def seconds_per_step(runner: Trainer, seconds: float) -> float:
    """Make steps for about so many seconds."""
    begun, steps = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        for _ in range(10):
            runner.step()
        steps += 10
    return (time.perf_counter() - begun) / steps


def measure(names: list[str], points: int, engine: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each activation."""
    runners = {name: trainer(PRICED[name][0], points, given.threads, engine) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(given.rounds + 1):  # the first round warms up
        for name, runner in runners.items():
            spent = seconds_per_step(runner, given.seconds)
            if turn:
                times[name].append(spent)
    base = times["fixed tanh"]
    return [{"engine": engine, "points": points, "activation": name,
             "steps_per_second": 1 / statistics.median(times[name]), "limit": PRICED[name][1],
             "price": statistics.median(mine / fixed for mine, fixed in zip(times[name], base, strict=True))}
            for name in names]


def main() -> int:
    """Measure, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[128, 2048])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each activation in each round")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engines", nargs="+", choices=["eager", "compiled"], default=["eager", "compiled"])
    parser.add_argument("--only", nargs="+", choices=list(PRICED)[1:], default=list(PRICED)[1:])
    given = parser.parse_args()
    rows = []
    print("| engine | points | activation | steps/s | price | limit |\n|---|---|---|---|---|---|")
    for engine in given.engines:
        for points in given.points:
            for row in measure(["fixed tanh", *given.only], points, engine, given):
                rows.append(row)
                limit = "-" if row["limit"] is None else f"{row['limit']:.1f}"
                print(f"| {engine} | {points} | {row['activation']} | {row['steps_per_second']:.0f} | "
                      f"{row['price']:.2f} | {limit} |", flush=True)
    result = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "threads": given.threads,
              "rounds": given.rounds, "rows": rows}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return int(any(row["engine"] == "compiled" and row["limit"] and row["price"] > row["limit"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
