"""Helmholtz, M1 to M4, 40,000 steps, several seeds: our relative L2 errors beside the two published tables.

    python tests/bench/truth.py [--seeds 3] [--jobs 2] [--steps 40000]

Every run is one `main.py run NAME --seed S --json` in a process of its own with one thread; a run that a result
already has is not made again, so that it can be stopped and started. Writes results/truth-helmholtz.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "results" / "truth-helmholtz.json"
TABLE = tomllib.loads((ROOT / "resources" / "tables" / "helmholtz.toml").read_text(encoding="utf-8"))
MODELS = tuple(TABLE["published"])


def run(name: str, seed: int, steps: int) -> dict[str, Any]:
    """One run from start to finish; what the command line prints of it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "main.py"), "run", name, "--seed", str(seed), "--steps", str(steps),
                   "--json", "--out", folder]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{name} with seed {seed} failed:\n{done.stderr}")
    out: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    out.pop("run_file", None)
    return out


def machine() -> dict[str, str]:
    """The machine and the versions that decide the numbers."""
    sys.path.insert(0, str(ROOT))
    from studio.runfile import machine as describe

    return describe()


def main() -> int:
    """Make what is missing, write the result after every run, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40_000)
    given = parser.parse_args()
    result: dict[str, Any] = {"title": TABLE["title"], "source": TABLE["source"], "steps": given.steps,
                              "machine": machine(), "runs": {}}
    if RESULT.exists():
        old = json.loads(RESULT.read_text(encoding="utf-8"))
        if old["steps"] == given.steps:
            result["runs"] = old["runs"]
    wanted = [(name, seed) for seed in range(given.seeds) for name in MODELS
              if str(seed) not in result["runs"].get(name, {})]
    with ThreadPoolExecutor(given.jobs) as pool:
        for (name, seed), out in zip(wanted, pool.map(lambda key: run(*key, given.steps), wanted), strict=True):
            result["runs"].setdefault(name, {})[str(seed)] = out
            result["date"] = datetime.now(UTC).isoformat(timespec="seconds")
            RESULT.parent.mkdir(exist_ok=True)
            RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print(f"{name} seed {seed}: {out['relative_l2']}, {out['steps_per_second']:.0f} steps/s", flush=True)
    report(result)
    return 0


def report(result: dict[str, Any]) -> None:
    """The table as Markdown."""
    print(f"\n{result['title']}, {result['steps']:,} steps; {result['source']}.\n")
    print("| model | ours: mean ± std | our seeds | SIAM Table 3 | arXiv Table 2 | verdict |")
    print("|---|---|---|---|---|---|")
    for name, published in TABLE["published"].items():
        errors = [run["relative_l2"]["u"] for run in result["runs"].get(name, {}).values()]
        if not errors:
            continue
        mean = statistics.mean(errors)
        spread = statistics.stdev(errors) if len(errors) > 1 else 0.0
        siam, deviation = published["siam"]
        high = max(siam + deviation, published["arxiv"])
        low = min(siam - deviation, published["arxiv"])
        verdict = "better" if mean < low else "within the spread" if mean <= high else "NOT reproduced"
        print(f"| {name.removeprefix('helmholtz-').upper()} | {mean:.2e} ± {spread:.1e} | "
              f"{', '.join(f'{e:.2e}' for e in sorted(errors))} | {siam:.2e} ± {deviation:.1e} | "
              f"{published['arxiv']:.2e} | {verdict} |")


if __name__ == "__main__":
    sys.exit(main())
