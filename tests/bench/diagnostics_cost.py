"""What looking costs: each diagnostic by itself, and all at their default cadence, as a share of the training.

    python tests/bench/diagnostics_cost.py                    helmholtz-m2 and quick's network, compiled where possible
    python tests/bench/diagnostics_cost.py --experiment klein-gordon-m4 --seconds 30

First table: milliseconds of one look (median of several, on a trained network), the steps between two looks by
default, and the share of the training time that these would take at the measured speed; the kinds that wait for a
price do so when the shares add up to more than `diagnostics.share`. Second table: a whole session, recorded, as the
window would run it, in a thread and in a process of its own: what its own clock says, and steps per second beside the
same session without any diagnostics, rounds interleaved, medians. Writes results/diagnostics-cost.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.frames import TimingFrame
from studio.build import build_fields, build_trainer
from studio.engines import Engines
from studio.experiment import Experiment
from studio.gallery import load
from studio.instruments import Instruments
from studio.messages import ENDED, RunState
from studio.runfile import machine
from studio.session import Session

NEVER = 0
RESULT = Path(__file__).resolve().parents[2] / "results" / "diagnostics-cost.json"
LOOKS = 9


def without(experiment: Experiment) -> Experiment:
    """The same training, with nothing looked at: scalars at their cadence, one error at the end."""
    off = {f"diagnostics.{kind}_every": NEVER for kind in (
        "alignment", "step_check", "slopes", "conditioning", "activations", "stiffness", "ntk", "liveness")}
    rare = {f"diagnostics.{name}_every": 100_000_000 for name in ("gradients", "fields", "error")}
    return experiment.with_changes({**off, **rare})


def looks(experiment: Experiment, steps: int) -> tuple[list[tuple[str, float, int, float]], float, str]:
    """(kind, milliseconds, cadence, share in percent) of each diagnostic, steps per second, and the engine."""
    trainer = build_trainer(experiment)
    Engines(experiment, lambda *_, **__: None, lambda _: None).take_cached(trainer)
    for _ in range(steps):
        trainer.step()
    begun = time.perf_counter()
    for _ in range(steps):
        trainer.step()
    rate = steps / (time.perf_counter() - begun)
    fields = build_fields(experiment, trainer)
    instruments = Instruments(experiment, fields)
    rows: list[tuple[str, float, int, float]] = []
    calls: dict[str, Any] = {kind: d.observe for kind, d in instruments.diagnostics.items()}
    calls["error"] = fields.relative_l2
    for kind, look in calls.items():
        if look(trainer) is None:
            continue
        times = []
        for _ in range(LOOKS):
            for _ in range(5):
                trainer.step()
            begun = time.perf_counter()
            look(trainer)
            times.append(time.perf_counter() - begun)
        every = instruments.every.get(kind, experiment.diagnostics.error_every)
        seconds = statistics.median(times)
        rows.append((kind, 1000 * seconds, every, 100 * seconds / (every / rate)))
    return rows, rate, trainer.engine.name


def session(experiment: Experiment, seconds: float, *, isolate: bool) -> tuple[float, TimingFrame | None]:
    """Steps per second between a fifth of the time and its end, and the last timing frame."""
    with tempfile.TemporaryDirectory() as folder:
        one = Session(experiment, runs_folder=Path(folder), isolate=isolate)
        one.start()
        frame: TimingFrame | None = None
        first: tuple[float, int] | None = None
        begun = 0.0
        while True:
            time.sleep(0.05)
            update = one.take()
            now = time.perf_counter()
            found = update.frames.get("timing")
            frame = found if isinstance(found, TimingFrame) else frame
            if update.status.state is RunState.RUNNING and not begun:
                begun = now
            if begun and first is None and now - begun > seconds / 5:
                first = now, update.status.step
            if update.status.state in ENDED:
                raise SystemExit(f"the run ended too soon: {update.status}")
            if begun and now - begun > seconds and first is not None:
                rate = (update.status.step - first[1]) / (now - first[0])
                one.close(30)
                return rate, frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", nargs="*", default=["helmholtz-m2", "helmholtz-m4", "laaf-function-laaf"])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3, help="0: no sessions")
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for name in options.experiment:
        experiment = load(name).with_changes({"training.steps": 100_000_000, "compare": ()})
        rows, rate, engine = looks(experiment, options.steps)
        print(f"\n{name}, {engine}, {rate:.0f} steps/s")
        print("| look | ms | every (steps) | share of training |\n|---|---|---|---|")
        for kind, ms, every, share in rows:
            print(f"| {kind} | {ms:.1f} | {every} | {share:.1f} % |")
        print(f"| all, if none waited | | | {sum(row[3] for row in rows):.1f} % |")
        results[name] = {"engine": engine, "rate": rate, "looks": rows, "sessions": []}
        for isolate in (False, True) if options.rounds else ():
            pairs = []
            clock: TimingFrame | None = None
            for _ in range(options.rounds):
                bare, _ = session(without(experiment), options.seconds, isolate=isolate)
                full, clock = session(experiment, options.seconds, isolate=isolate)
                pairs.append((bare, full))
            share = statistics.median(full / bare for bare, full in pairs)
            where = "its own process" if isolate else "a thread"
            assert clock is not None
            own = clock.parts["diagnostics"] / max(clock.parts["training"] + clock.parts["diagnostics"], 1e-9)
            print(f"in {where}: {statistics.median(b for b, _ in pairs):.0f} steps/s bare, "
                  f"{statistics.median(f for _, f in pairs):.0f} with all: overhead {100 * (1 - share):.1f} %; by its "
                  f"own clock diagnostics took {100 * own:.1f} % of training and diagnostics")
            print("  " + ", ".join(f"{k} {v:.2f} s ({clock.observations.get(k, 0)})"
                                   for k, v in clock.diagnostics.items() if v))
            results[name]["sessions"].append({"isolate": isolate, "pairs": pairs, "own": own,
                                              "seconds": dict(clock.diagnostics)})
    old = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    for name, result in results.items():
        if not result["sessions"]:  # looks alone; what was measured of sessions stays
            result["sessions"] = old.get(name, {}).get("sessions", [])
    stamp = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
    RESULT.write_text(json.dumps({**old, **{name: {**stamp, **r} for name, r in results.items()}}, indent=1) + "\n",
                      encoding="utf-8")


if __name__ == "__main__":
    main()
