"""The doctor in a real session: it finds, one click changes the running training, and the error falls."""

from __future__ import annotations

import time
from pathlib import Path

from studio import gallery
from studio.doctor import examine
from studio.findings import Finding
from studio.run_reader import load_run
from studio.session import Session

PATIENCE = 60.0  # seconds


def test_a_click_on_the_remedy_mends_a_running_training(tmp_path: Path) -> None:
    """Heat in millimetres and seconds, whose inputs are not scaled: found at once, mended by one change."""
    experiment = gallery.load("ill-unscaled-inputs").with_changes({"training.engine": "eager", "training.steps": 2500,
                                                                   "diagnostics.grid": 20})
    session = Session(experiment, runs_folder=tmp_path)
    found: dict[str, Finding] = {}
    changed = False
    until = time.monotonic() + PATIENCE
    try:
        session.start()
        while not session.ended and time.monotonic() < until:
            update = session.take()
            found |= {f.rule: f for f in update.status.findings}
            if "unscaled-inputs" in found and not changed:
                session.change(found["unscaled-inputs"].remedies[0])
                changed = True
            time.sleep(0.02)
        status = session.take().status
    finally:
        assert session.close()
    assert changed, "it is found while the run goes on"
    assert status.relative_l2["u"] < 0.1, "without the remedy it stays above 0.6"
    assert "unscaled-inputs" not in {f.rule for f in status.findings}
    assert session.run_file is not None
    run = load_run(session.run_file)
    assert [e.kind for e in run.events if e.kind == "change"] == ["change"]
    assert "unscaled-inputs" not in {f.rule for f in examine(run)}, "the journal's changes are followed"
