"""What a panel costs: milliseconds for each drawing, painting included, in the sizes of a 1280x720 window.

    python tests/bench/panels_cost.py

Medians. Two lanes that run, 4,000 points of each curve, four layers, fields of 100 x 100. `receive` is the time for one
update with one new point and new frames.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PySide6.QtWidgets import QApplication  # noqa: E402

from core.frames import ScalarsFrame  # noqa: E402
from studio.messages import HISTORIES, Update  # noqa: E402
from tests.ui import samples, samples_learned  # noqa: E402
from ui import theme  # noqa: E402
from ui.panels import PANELS, Panel  # noqa: E402

SIZES = {
    "gradients": (660, 330),
    "fields": (660, 330),
    "doctor": (420, 260),
    "losses": (320, 230),
    "error": (320, 230),
    "weights": (330, 250),
    "readings": (330, 250),
    "equation": (320, 230),
    "stiffness": (420, 260),
    "spectrum": (660, 330),
    "landscape": (660, 330),
    "ntk": (660, 330),
    "slopes": (660, 330),
    "activations": (660, 330),
    "conditioning": (660, 330),
    "liveness": (420, 260),
    "timing": (420, 260),
    "gradient_history": (660, 400),
    "alignment": (660, 330),
    "step_check": (660, 330),
}
REPEATS = 60


def updates(lane: int) -> list[Update]:
    """New data for every repeat, made before the clock starts."""
    last = samples.scalars(lane, 4000)[-1]
    out = []
    for index in range(REPEATS):
        step = 40_000 + 10 * index
        scalar = ScalarsFrame(
            step=step,
            seconds=0.0,
            losses=last.losses,
            weights=last.weights,
            learning_rate=1e-3,
            relative_l2={"u": 0.1},
            readings=last.readings,
        )
        frames = {
            "gradients": samples.gradients_frame(lane, 1000 + index % 5),
            "fields": samples.fields_frame(lane, 1000 + index % 5),
            "stiffness": samples.stiffness_frame(lane, step),
            "spectrum": samples.spectrum_frame(lane, step, 10_000),
            "landscape": samples.landscape_frame(lane, step, 31),
            "ntk": samples.ntk_frame(lane, step),
            "alignment": samples.alignment_frame(lane, step),
            "step_check": samples.step_check_frame(lane, step),
        }
        frames |= {frame.kind: frame for frame in (make(lane, step) for make in samples_learned.EVERY)}
        out.append(
            Update(
                status=samples.status(step=step, rule=("fixed", "annealing-siam")[lane]),
                scalars=(scalar,),
                frames=frames,
                past=tuple(frame for kind, frame in frames.items() if kind in HISTORIES),
            )
        )
    return out


def measure(app: QApplication, kind: type[Panel], data: list[list[Update]]) -> tuple[float, float, float]:
    """Median ms of draw() alone, of draw() with the painting that follows, and of receive()."""
    panel = kind()
    panel.begin(samples.lanes(2))
    panel.restyle(theme.LIGHT)
    panel.resize(*SIZES[kind.id])
    panel.show()
    for lane in (0, 1):
        panel.receive(lane, samples.update(lane, count=4000))
    for _ in range(10):
        panel.draw()
        app.processEvents()
    alone, whole, given = [], [], []
    for index in range(REPEATS):
        t0 = time.perf_counter()
        for lane in (0, 1):
            panel.receive(lane, data[lane][index])
        t1 = time.perf_counter()
        panel.draw()
        t2 = time.perf_counter()
        app.processEvents()
        t3 = time.perf_counter()
        given.append((t1 - t0) / 2)
        alone.append(t2 - t1)
        whole.append(t3 - t1)
    panel.close()
    panel.deleteLater()
    app.processEvents()
    draw, total, receive = (1e3 * statistics.median(times) for times in (alone, whole, given))
    return draw, total, receive


def main() -> None:
    app = QApplication([])
    theme.apply(app, theme.LIGHT)
    data = [updates(0), updates(1)]
    print(
        f"{'panel':12} {'size':>10} {'draw ms':>9} {'with painting ms':>17} {'share of a core':>16} {'receive us':>11}"
    )
    for kind in PANELS:
        draw, total, receive = measure(app, kind, data)
        share = 0.1 * total / kind.interval if kind.kinds else 0.0
        width, height = SIZES[kind.id]
        print(
            f"{kind.id:12} {f'{width}x{height}':>10} {draw:9.2f} {total:17.2f} {share:14.1f} % {1e3 * receive:11.1f}"
        )


if __name__ == "__main__":
    main()
