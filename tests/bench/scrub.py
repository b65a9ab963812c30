"""How long a move of the timeline's handle takes until every panel in sight is redrawn, on real runs.

    python tests/bench/scrub.py RUN.pinnrun [RUN.pinnrun]

One run, or two as two lanes. For each layout, in a window of 1600x1000 without a display: milliseconds from the move
to the end of all painting, over up to 60 recorded steps that have not been looked at before (frames are read and
decoded), and over the same steps again with what the cache has kept. 'thread' is the processor time of the window's
thread for the same: what it takes on a machine with nothing else to do.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

from studio import gallery  # noqa: E402
from ui.governor import in_sight  # noqa: E402
from ui.headless import _shut, open_unseen, show_lanes, spin  # noqa: E402
from ui.layouts import LAYOUTS  # noqa: E402

MOST = 60


def main(paths: list[Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        app, window = open_unseen(Path(folder), "light", (1600, 1000))
        show_lanes(window, paths, gallery.load(gallery.DEFAULT) if len(paths) > 1 else None)
        spin(app, lambda: len(window.travel.steps()) > 2, 30.0)
        print(f"{'layout':14} {'steps':>6} {'median ms':>10} {'95 % ms':>8} {'again ms':>9} {'thread ms':>10}   "
              "panels in sight")
        for layout in LAYOUTS:
            window.layouts.choose(layout.id)
            spin(app, lambda: False, 1.5)
            steps = window.travel.steps()
            chosen = [steps[round(i)] for i in np.linspace(0, len(steps) - 1, min(MOST, len(steps)))]
            rng = np.random.default_rng(0)
            found: list[list[float]] = []
            burnt: list[float] = []
            for again in (False, True):
                times = []
                for one in window.travel.recordings.values():
                    if not again:
                        one.forget()
                for step in rng.permutation(chosen).tolist():
                    begun, before = time.perf_counter(), time.thread_time()
                    window.travel.go(step)
                    app.processEvents()
                    times.append(1e3 * (time.perf_counter() - begun))
                    if not again:
                        burnt.append(1e3 * (time.thread_time() - before))
                found.append(times)
                window.travel.live()
                app.processEvents()
            seen = " ".join(panel.id for panel in window.panels if in_sight(panel))
            print(f"{layout.id:14} {len(chosen):6} {statistics.median(found[0]):10.1f} "
                  f"{np.quantile(found[0], 0.95):8.1f} {statistics.median(found[1]):9.1f} "
                  f"{statistics.median(burnt):10.1f}   {seen}", flush=True)
        _shut(app, window)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
