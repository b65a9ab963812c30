"""What tiles bring: milliseconds of a compiled gradient with all points at once, and in tiles of several sizes.

    python tests/bench/tiles.py                    Korteweg-de Vries' second phase, one and two threads: some minutes

Everything is compiled first, then the variants take turns; medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core import tiles  # noqa: E402
from core.compiled import compile_packages, load_packages  # noqa: E402
from core.crew import set_threads  # noqa: E402
from core.engine import EagerEngine  # noqa: E402
from studio.build import build_trainer  # noqa: E402
from studio.gallery import load  # noqa: E402

WHOLE = 10**12  # bytes: more than any loss has


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--experiment", default="accurate-kdv")
    parser.add_argument("--phase", type=int, default=1, help="counted from 0")
    parser.add_argument("--near", type=int, nargs="+", default=[WHOLE, 720_000, tiles.NEAR, 180_000])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    experiment = load(given.experiment).in_phase(given.phase)
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (threads, near) in enumerate(product(given.threads, given.near)):
            tiles.NEAR = near
            trainer = build_trainer(experiment.with_changes({"training.threads": threads}))
            assert isinstance(trainer.engine, EagerEngine)
            place = Path(folder) / str(number)
            place.mkdir()
            compile_packages(trainer.engine, place, solver=True)
            cut = tiles.tiles_of(trainer.engine, threads)
            runs.append((threads, cut, load_packages(place, trainer.engine), trainer, list[float]()))
        for _ in range(given.rounds):
            for threads, _, engine, trainer, seconds in runs:
                set_threads(threads)
                draws = trainer.coming_draws()
                engine.gradient(trainer.theta, draws, trainer.weights, trainer.multipliers)
                begun = time.perf_counter()
                for _ in range(3):
                    engine.gradient(trainer.theta, draws, trainer.weights, trainer.multipliers)
                seconds.append((time.perf_counter() - begun) / 3)
    for threads, cut, _, _, seconds in runs:
        how = ", ".join(f"{tile.count} x {tile.rows}" for tile in cut) or "all at once"
        median, least, most = (1e3 * of(seconds) for of in (statistics.median, min, max))
        print(f"{threads} thread{'s' if threads > 1 else ' '} {how:20} {median:6.1f} ms ({least:.1f} to {most:.1f})")


if __name__ == "__main__":
    main()
