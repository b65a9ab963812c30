"""What the window costs the training, and what the training costs the window.

    python tests/bench/window_price.py [--rounds 3] [--seconds 10] [--experiment helmholtz-m2] [--layout pathologies]

Steps per wall-clock second without a window, with it and the training in a thread, and with the training in its own
process; each measurement is a process of its own, the three follow each other round by round. The window is
1600 x 1000 with every panel of the layout visible, offscreen where there is no display. The latency of the GUI's loop
is how much later than asked a timer of 10 ms fires. Compile the step first with
`main.py run NAME --engine compiled`, or the first round does it. Writes results/window-price.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "results" / "window-price.json"
MODES = ("none", "thread", "process")
sys.path.insert(0, str(ROOT))


def without_window(name: str, engine: str, seconds: float) -> dict[str, Any]:
    """The session alone, read ten times a second."""
    from studio.gallery import load
    from studio.session import Session

    with tempfile.TemporaryDirectory() as folder:
        sessions = [Session(lane.with_changes({"training.engine": engine, "training.steps": 10_000_000}),
                            runs_folder=Path(folder)) for lane in load(name).lanes()]
        for session in sessions:
            session.start()

        def steps() -> int:
            return sum(session.take().status.step for session in sessions)

        while min(session.take().status.step for session in sessions) < 500:
            time.sleep(0.1)
        first, begun = steps(), time.perf_counter()
        while time.perf_counter() - begun < seconds:
            time.sleep(0.1)
            last = steps()
        rate = (last - first) / (time.perf_counter() - begun)
        for session in sessions:
            session.close(30)
    return {"steps_per_second": rate}


def with_window(name: str, engine: str, seconds: float, isolate: bool, layout: str) -> dict[str, Any]:
    """The real window, every panel of the layout visible."""
    from PySide6.QtCore import QEventLoop, Qt, QTimer

    from studio.gallery import load
    from ui.governor import in_sight
    from ui.headless import _shut, open_unseen, spin
    from ui.layouts import LAYOUTS

    with tempfile.TemporaryDirectory() as folder:
        app, window = open_unseen(Path(folder), "light", (1600, 1000))
        window.settings.runs_folder = folder
        window.isolate = isolate
        changes = {"training.engine": engine, "training.steps": 10_000_000}
        window.documents.show(name, load(name).with_changes(changes))
        window.docks.apply(next(one for one in LAYOUTS if one.id == layout))
        window.run.toggle()

        def steps() -> list[int]:
            return [status.step for status in window.control.statuses.values()]

        spin(app, lambda: bool(steps()) and min(steps()) >= 500, 300)
        late: list[float] = []
        last = [time.perf_counter()]

        def tick() -> None:
            now = time.perf_counter()
            late.append(max(0.0, now - last[0] - 0.010))
            last[0] = time.perf_counter()

        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.timeout.connect(tick)
        first, begun, busy = sum(steps()), time.perf_counter(), time.thread_time()
        timer.start(10)
        loop = QEventLoop()  # not app.quit, which would ask the window whether it may close
        QTimer.singleShot(int(1000 * seconds), loop.quit)
        loop.exec()
        timer.stop()
        wall = time.perf_counter() - begun
        out = {"steps_per_second": (sum(steps()) - first) / wall,
               "gui_share": (time.thread_time() - busy) / wall,
               "latency_ms": {"p50": 1e3 * quantile(late, 0.5), "p99": 1e3 * quantile(late, 0.99),
                              "max": 1e3 * max(late)},
               "visible_panels": [panel.id for panel in window.panels if in_sight(panel)]}
        _shut(app, window)
    return out


def quantile(values: list[float], share: float) -> float:
    """The value below which that share of all lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def start_time() -> float:
    """Seconds from starting `python main.py` until its window has been painted, at the best of five tries."""
    code = ("import sys, time; sys.argv = ['main.py']\n"
            "from PySide6.QtCore import QTimer\n"
            "import ui.main_window as m\n"
            "def painted(self, event, old=m.MainWindow.showEvent):\n"
            "    old(self, event); QTimer.singleShot(0, done)\n"
            "def done(): print(time.time(), flush=True); __import__('os')._exit(0)\n"
            "m.MainWindow.showEvent = painted\n"
            "import main; main.main([])\n")
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "QT_QPA_PLATFORM": os.environ.get("QT_QPA_PLATFORM", "offscreen"),
                       **dict.fromkeys(("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"), home)}
        tries = []
        for _ in range(5):
            begun = time.time()
            done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True,
                                  text=True, check=True)
            tries.append(float(done.stdout.split()[0]) - begun)
    return statistics.median(tries)


def main() -> int:
    """Measure, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--experiment", default="helmholtz-m2")
    parser.add_argument("--engine", default="compiled", choices=("eager", "compiled", "auto"))
    parser.add_argument("--layout", default="overview")
    parser.add_argument("--mode", choices=MODES, help="one measurement, as JSON; what the rounds call")
    given = parser.parse_args()
    if given.mode:
        out = (without_window(given.experiment, given.engine, given.seconds) if given.mode == "none" else
               with_window(given.experiment, given.engine, given.seconds, given.mode == "process", given.layout))
        print(json.dumps(out))
        return 0
    key = f"{given.experiment} {given.engine}" + (f" {given.layout}" if given.layout != "overview" else "")
    rows: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
    for _ in range(given.rounds):
        for mode in MODES:
            command = [sys.executable, __file__, "--mode", mode, "--experiment", given.experiment, "--engine",
                       given.engine, "--seconds", str(given.seconds), "--layout", given.layout]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows[mode].append(json.loads(done.stdout.strip().splitlines()[-1]))
    summary: dict[str, Any] = {"visible_after_s": start_time()}
    bare = statistics.median(row["steps_per_second"] for row in rows["none"])
    print(f"{key}: window visible {summary['visible_after_s']:.2f} s after the start\n"
          "| window | steps/s | share | GUI's share of a core | loop latency p50 / p99 / max, ms |\n"
          "|---|---|---|---|---|")
    for mode in MODES:
        rate = statistics.median(row["steps_per_second"] for row in rows[mode])
        summary[mode] = {"steps_per_second": rate, "share": rate / bare}
        line = f"| {mode} | {rate:.0f} | {rate / bare:.2f} |"
        if mode != "none":
            share = statistics.median(row["gui_share"] for row in rows[mode])
            latency = {name: statistics.median(row["latency_ms"][name] for row in rows[mode])
                       for name in ("p50", "p99", "max")}
            summary[mode] |= {"gui_share": share, "latency_ms": latency}
            line += f" {share:.2f} | {latency['p50']:.1f} / {latency['p99']:.1f} / {latency['max']:.1f} |"
        print(line)
    from studio.runfile import machine

    result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    result[key] = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **summary,
                   "rounds": rows}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
