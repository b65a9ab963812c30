"""What annealing costs: steps per second of M2 against M1 and of M4 against M3, rounds interleaved, medians.

    python tests/bench/annealing_price.py [--rounds 7] [--steps 300] [--threads 1]

Both models of a pair are trained in one process, taking turns. Writes results/annealing-price.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from studio.build import build_trainer  # noqa: E402
from studio.gallery import load  # noqa: E402
from studio.runfile import machine  # noqa: E402

RESULT = ROOT / "results" / "annealing-price.json"
PAIRS = (("helmholtz-m1", "helmholtz-m2"), ("helmholtz-m3", "helmholtz-m4"))


def main() -> None:
    """Measure, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    rows = []
    print("| engine | fixed | annealed | steps/s fixed | steps/s annealed | share |\n|---|---|---|---|---|---|")
    for engine in ("eager", "compiled"):
        for pair in PAIRS:
            trainers = [build_trainer(load(name).with_changes({"training.threads": given.threads}), engine=engine)
                        for name in pair]
            rates: list[list[float]] = [[], []]
            for turn in range(given.rounds + 1):  # the first round warms up
                for trainer, rate in zip(trainers, rates, strict=True):
                    begun = time.perf_counter()
                    for _ in range(given.steps):
                        trainer.step()
                    if turn:
                        rate.append(given.steps / (time.perf_counter() - begun))
            fixed, annealed = (statistics.median(rate) for rate in rates)
            share = statistics.median(b / a for a, b in zip(*rates, strict=True))
            rows.append({"engine": engine, "pair": pair, "fixed": fixed, "annealed": annealed, "share": share})
            print(f"| {engine} | {pair[0][-2:].upper()} | {pair[1][-2:].upper()} | {fixed:.0f} | {annealed:.0f} | "
                  f"{share:.2f} |", flush=True)
    result = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(),
              "threads": given.threads, "rows": rows}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
