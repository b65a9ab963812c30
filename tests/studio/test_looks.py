"""Pictures of a run are those of its present step: in slow phases, at their beginning, at a pause and at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from studio import instruments
from studio.messages import RunState
from studio.runfile import load_run
from tests.studio.test_course import LONG, Live, phase, phases
from tests.studio.test_course_status import Slow
from tests.studio.test_runner import Desk, small

RARELY = {"diagnostics__fields_every": 100_000, "diagnostics__gradients_every": 100_000}


def trained(path: Path | None, *watched: str, **changes: Any) -> Desk:
    """A run between two steps, some steps after its beginning."""
    desk = Desk(small(**RARELY, **{**LONG, **changes}), path)
    desk.runner._prepare()
    desk.runner._apply("watch", watched)
    desk.runner._apply("resume", None)
    while desk.runner.trainer.iteration < 3:
        desk.runner._chunk()
    desk.mailbox.take()
    return desk


def test_a_pause_shows_the_step_at_which_the_run_rests(tmp_path: Path) -> None:
    desk = trained(tmp_path / "a.pinnrun", "fields")
    desk.runner._apply("pause", None)
    update, step = desk.mailbox.take(), desk.runner.trainer.iteration
    assert update.status.state is RunState.PAUSED and step > 0
    assert update.frames["fields"].step == step and "gradients" not in update.frames, "which nobody looks at"
    assert load_run(tmp_path / "a.pinnrun").frame_steps("fields") == (0,), "of one engine: at its cadence"
    desk.runner._apply("stop", None)
    assert load_run(tmp_path / "a.pinnrun").frame_steps("fields") == (0, step)
    desk.runner._finish()


def test_a_pause_that_nobody_looks_at_takes_no_look() -> None:
    desk = trained(None)
    desk.runner._apply("pause", None)
    assert not desk.mailbox.take().frames


def test_a_stopped_run_has_its_last_step_in_its_file(tmp_path: Path) -> None:
    desk = trained(tmp_path / "a.pinnrun")
    before = desk.runner.trainer.state()
    desk.runner._apply("stop", None)
    step = desk.runner.trainer.iteration
    run = load_run(tmp_path / "a.pinnrun")
    assert run.state == "stopped" and run.frame_steps("fields") == run.frame_steps("gradients") == (0, step)
    assert run.events[-1].kind == "stop"
    after = desk.runner.trainer.state()
    assert all(torch.equal(before.tensors[name], after.tensors[name]) for name in before.tensors)
    desk.runner._finish()


def test_without_a_file_it_is_what_somebody_looks_at() -> None:
    desk = trained(None, "gradients")
    desk.runner._apply("stop", None)
    frames = desk.mailbox.take().frames
    assert frames["gradients"].step == desk.runner.trainer.iteration and "fields" not in frames


def test_what_is_not_finite_is_not_looked_at(tmp_path: Path) -> None:
    desk = trained(tmp_path / "a.pinnrun", "fields")
    desk.runner.trainer.theta = desk.runner.trainer.theta * float("nan")
    desk.runner._apply("stop", None)
    assert "fields" not in desk.mailbox.take().frames
    desk.runner._finish()


def test_the_next_phase_is_seen_from_its_beginning(tmp_path: Path) -> None:
    desk = trained(tmp_path / "a.pinnrun", phases=[phase("lbfgs", 50)])
    step = desk.runner.trainer.iteration
    desk.runner._apply("next_phase", None)
    assert desk.runner.trainer.iteration == step
    desk.runner._commit()
    run = load_run(tmp_path / "a.pinnrun")
    assert run.frame_steps("fields") == run.frame_steps("gradients") == (0, step)
    desk.runner._finish()


def test_a_slow_phase_is_seen_live_and_recorded_by_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "LATER", 0.25)
    monkeypatch.setattr(instruments, "AGAIN", 0.01)
    monkeypatch.setattr("studio.build.solver_of", lambda spec, kind, objective: Slow() if kind == "lbfgs" else None)
    live = Live(phases(phase("lbfgs", 25), **RARELY, diagnostics__share=1.0), tmp_path / "a.pinnrun")
    live.send("watch", ["fields"])
    seen: set[int] = set()

    def over(update: Any) -> bool:
        if "fields" in update.frames:
            seen.add(update.frames["fields"].step)
        return bool(update.status.state is RunState.FINISHED)

    live.until(over)
    live.close()
    assert len([step for step in seen if 20 < step < 45]) >= 3, seen
    assert load_run(tmp_path / "a.pinnrun").frame_steps("fields") == (0, 20, 45)
