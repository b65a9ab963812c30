"""Settings that are changed while a run goes on: applied, journalled, undone, resumed; frames on demand; thinning."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.frames import FieldsFrame, LandscapeFrame, SpectrumFrame
from studio.alterations import altered
from studio.experiment import ExperimentError
from studio.findings import Remedy
from studio.messages import RunState, Status
from studio.runfile import RunFile, load_run
from studio.session import Session
from tests.studio.samples import fields_frame
from tests.studio.test_session import small

SLOPES = Remedy(text="Give every layer a slope", changes={"network.slopes": "layer", "network.slope_scale": 5.0,
                                                          "network.recovery": "paper"})


class Run:
    """A session whose updates are collected while something is waited for."""

    def __init__(self, tmp_path: Path, **changes: object) -> None:
        self.session = Session(small(training__steps=1_000_000, **changes), runs_folder=tmp_path)
        self.status: Status = self.session.take().status
        self.events: list[str] = []
        self.frames: dict[str, object] = {}
        self.texts: list[str] = []

    def until(self, done: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, f"{self.status}, {self.texts}"
            update = self.session.take()
            self.status = update.status
            self.events += [e.kind for e in update.events]
            self.texts += [e.text for e in update.events]
            self.frames |= update.frames
            time.sleep(0.005)


@pytest.fixture
def run(tmp_path: Path) -> object:
    one = Run(tmp_path)
    one.session.start()
    one.until(lambda: one.status.step > 20)
    yield one
    assert one.session.close(20)


def test_a_change_is_applied_journalled_and_undone(run: Run) -> None:
    run.session.change(SLOPES)
    run.until(lambda: "change" in run.events and "recovery" in run.status.losses)
    assert run.status.changes == ("Give every layer a slope",)
    at = run.status.step
    run.until(lambda: run.status.step > at + 20 and "slopes" in run.frames)
    run.session.set_weight("recovery", 0.5)  # a term that the experiment did not have at the start
    run.until(lambda: run.status.weights.get("recovery") == 0.5)
    run.session.undo()
    run.until(lambda: "undo" in run.events and "recovery" not in run.status.weights)
    assert run.status.changes == () and run.status.step >= at
    run.session.undo()
    run.until(lambda: "change-refused" in run.events)
    run.session.stop()
    run.until(lambda: run.status.state is RunState.STOPPED)
    kept = load_run(run.session.run_file or Path())
    assert kept.current == kept.experiment
    kinds = [e.kind for e in kept.events]
    assert kinds.index("change") < kinds.index("weight") < kinds.index("undo")


def test_the_weight_of_a_term_comes_back(run: Run) -> None:
    run.session.change(Remedy(text="Raise the weight", changes={"balancing.weights": {"boundary": 100.0}}))
    run.until(lambda: run.status.weights.get("boundary") == 100.0)
    run.session.undo()
    run.until(lambda: run.status.weights.get("boundary") == 1.0)


def test_a_part_that_started_anew_comes_back(run: Run) -> None:
    run.session.pause()
    run.until(lambda: run.status.state is RunState.PAUSED)
    before = load_run(run.session.run_file or Path()).latest_checkpoint()
    run.session.change(Remedy(text="Fourier features", changes={"network.fourier_features": 4}))
    run.until(lambda: "change" in run.events)
    assert "new parameters: hidden 1 W" in run.texts[-1]
    between = load_run(run.session.run_file or Path()).latest_checkpoint()
    run.session.undo()
    run.until(lambda: "undo" in run.events)
    after = load_run(run.session.run_file or Path()).latest_checkpoint()
    assert before is not None and between is not None and after is not None
    assert before[0] == between[0] == after[0]
    assert between[1]["theta"].shape != before[1]["theta"].shape
    assert np.array_equal(before[1]["theta"], after[1]["theta"])


def test_a_changed_run_can_be_gone_on_with(run: Run, tmp_path: Path) -> None:
    run.session.change(SLOPES)
    run.until(lambda: "change" in run.events)
    run.session.stop()
    run.until(lambda: run.status.state is RunState.STOPPED)
    kept = load_run(run.session.run_file or Path())
    assert kept.current == altered(kept.experiment, SLOPES)
    resumed = Session(kept.current, runs_folder=tmp_path, resume_from=kept.path)
    resumed.start()
    end = time.monotonic() + 60
    while resumed.take().status.step <= kept.step and time.monotonic() < end:
        time.sleep(0.01)
    assert resumed.close(20)
    again = load_run(resumed.run_file or Path())
    assert again.step > kept.step and again.current == kept.current


def test_what_cannot_be_changed_is_told() -> None:
    experiment = small()
    for changes, words in (({"problem.name": "x"}, "cannot be changed while the run goes on"),
                           ({}, "nothing to change"),
                           ({"optimizer.learning_rate": -1.0}, "more than 0"),
                           ({"balancing.rule": experiment.balancing.rule}, "these settings already")):
        with pytest.raises(ExperimentError, match=words):
            altered(experiment, Remedy(text="t", changes=changes))


def test_frames_on_demand_also_after_the_end(run: Run) -> None:
    run.session.demand("spectrum")
    run.until(lambda: "spectrum" in run.frames)
    frame = run.frames["spectrum"]
    assert isinstance(frame, SpectrumFrame) and len(frame.eigenvalues["total"]) == frame.parameters
    run.session.stop()
    run.until(lambda: run.status.state is RunState.STOPPED)
    run.session.demand("landscape", {"size": 5})
    run.until(lambda: "landscape" in run.frames)
    assert isinstance(run.frames["landscape"], LandscapeFrame)
    assert run.status.busy == ""
    run.session.demand("nonsense")
    run.until(lambda: any("no 'nonsense'" in text for text in run.texts))


def test_a_demand_can_be_called_off(run: Run) -> None:
    run.session.demand("landscape", {"size": 501})
    run.until(lambda: bool(run.status.busy))
    run.session.demand("stop")
    run.until(lambda: any("was stopped" in text for text in run.texts))
    at = run.status.step
    run.until(lambda: run.status.step > at)


def test_another_slice_of_the_fields(run: Run) -> None:
    run.session.view("fields", {"axes": ("y",), "fixed": {"x": 0.25}})
    run.until(lambda: getattr(run.frames.get("fields"), "inputs", ()) == ("y",))
    frame = run.frames["fields"]
    assert isinstance(frame, FieldsFrame) and frame.fixed == {"x": 0.25}
    run.session.view("fields", {"axes": ("z",)})
    run.until(lambda: "view" in run.events)
    assert "z" in run.texts[-1]


def test_old_frames_are_thinned_evenly_and_it_is_said(tmp_path: Path) -> None:
    file = RunFile.create(tmp_path / "thin.pinnrun", small())
    for step in range(200):
        file.add_frame(fields_frame(step, seed=step))
    file.commit()
    whole = sum(len(data) for _, _, data in load_run(file.path).encoded_frames(10_000))
    assert file.thin(whole * 1.01) == ""
    said = file.thin(whole * 0.3)
    assert "fields: 200 to" in said and "MB" in said
    file.close()
    run = load_run(tmp_path / "thin.pinnrun")
    steps = run.frame_steps("fields")
    assert sum(len(data) for _, _, data in run.encoded_frames(10_000)) <= whole * 0.3
    assert steps[0] == 0 and steps[-8:] == tuple(range(192, 200))
    gaps = set(np.diff(steps[:-8]).tolist())
    assert max(gaps) <= 2 * min(gaps) + 2, f"thinned unevenly: {steps}"
    assert [f.step for f in run.frames("fields")] == list(steps)


def test_the_timing_adds_up(run: Run) -> None:
    run.until(lambda: "timing" in run.frames and run.status.step > 200)
    frame = run.frames["timing"]
    parts = frame.parts  # type: ignore[attr-defined]
    assert set(parts) == {"training", "diagnostics", "recording", "waiting"}
    assert sum(parts.values()) == pytest.approx(frame.wall, rel=0.2, abs=0.5)  # type: ignore[attr-defined]
    assert json.dumps(dict(parts))


def test_points_that_are_drawn_anew_now_and_then_are_told(tmp_path: Path) -> None:
    session = Session(small(training__steps=1000, sampling__every=400), runs_folder=tmp_path)
    session.start()
    end = time.monotonic() + 60
    while not session.ended and time.monotonic() < end:
        session.take()
        time.sleep(0.02)
    assert session.close(20)
    steps = [e.step for e in load_run(session.run_file or Path()).events if e.kind == "resampled"]
    assert [step // 400 for step in steps] == [1, 2], steps
