"""How a run shows itself in a terminal."""

from __future__ import annotations

import io
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from studio.experiment import Experiment
from studio.messages import Event, RunState
from studio.progress import Progress, duration, numbers, rate, share, share_of_phase, standing, summary
from studio.runfile import RunFile, load_run
from tests.studio.samples import FINISHED, POISSON, STATUS


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((100, 24)))
    stream = Terminal()
    progress = Progress(stream)
    progress.show(STATUS)
    progress.show(STATUS)  # nothing new, nothing written
    progress.say("step 30: something")
    progress.show(FINISHED)
    progress.close()
    bar, rest = stream.getvalue().split("step 30: something\n")
    drawn = "█" * 8 + "░" * 12 + "  40 %  step 40/100  512 steps/s  1:05 left  loss 4.00e+00  error 3.40e-02"
    assert bar.count(drawn) == 1
    assert bar.endswith("\r")
    assert rest.startswith("\r" + "█" * 20 + " 100 %") and rest.endswith("\n")
    assert all(len(line.strip("\r")) < 100 for line in stream.getvalue().replace("\r", "\n").splitlines())


def test_a_narrow_terminal_or_one_without_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in (5, 20, 40, 60):
        monkeypatch.setattr("shutil.get_terminal_size", lambda columns=columns: os.terminal_size((columns, 24)))
        stream = Terminal()
        stream.encoding = "ascii"  # type: ignore[assignment]
        Progress(stream).show(STATUS)
        assert len(stream.getvalue().strip("\r")) < columns
        assert stream.getvalue().isascii()


def test_elsewhere_a_line_now_and_then() -> None:
    now = [0.0]
    stream = io.StringIO()
    progress = Progress(stream, interval=10, clock=lambda: now[0])
    for tenth in range(300):
        now[0] = tenth / 10
        progress.show(replace(STATUS, step=tenth))
    progress.show(FINISHED)
    progress.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert "\r" not in stream.getvalue()
    assert lines[-1].startswith("100 %  step 100/100")


def test_several_fields_are_named() -> None:
    stream = io.StringIO()
    Progress(stream).show(replace(STATUS, relative_l2={"u": 0.1, "v": 0.02}))
    assert "error u 1.00e-01 v 2.00e-02" in stream.getvalue()


def test_the_phase_s_time_is_told_where_that_of_the_run_is_not_known() -> None:
    for left, of_phase, said in (
            (None, 65.2, "1:05 left of this phase"), (99.0, 65.2, "1:39 left  "), (None, None, "")):
        stream = io.StringIO()
        Progress(stream).show(replace(STATUS, phases=2, seconds_left=left, phase_seconds_left=of_phase))
        assert said in stream.getvalue() and ("left" in stream.getvalue()) == bool(said)


def test_a_phase_that_ends_by_its_seconds_counts_by_them() -> None:
    """'6 % step 337/5,200 ... 0:00 left' is nearly done."""
    near = replace(STATUS, step=337, total_steps=5200, phase=2, phases=2, phase_step=137, phase_steps=5000,
                   seconds=9.0, seconds_left=1.0, phase_seconds_left=1.0, steps_per_second=20.0)
    assert share(near) == pytest.approx(0.9)
    assert share(replace(near, seconds_left=None)) == pytest.approx(337 / 5200)
    assert share(replace(near, phases=1)) == pytest.approx(337 / 5200), "one phase has no seconds"
    assert share(replace(near, state=RunState.FINISHED)) == 1.0
    assert share_of_phase(near, 10.0) == pytest.approx(0.9)
    assert share_of_phase(near, 0.0) == pytest.approx(137 / 5000)
    soon = replace(near, phase_step=4980, phase_seconds_left=1.0)
    assert share_of_phase(soon, 1e6) == pytest.approx(4980 / 5000), "its steps end it, not its seconds"


def kept(folder: Path, state: str, step: int, began: int) -> Path:
    """Of a run with a second phase, to which a third one was added while it trained; it is in that."""
    phases = [{"steps": 1000, "optimizer": {"kind": "lbfgs"}}]
    experiment = Experiment.from_toml(POISSON).with_changes({"training.steps": 50, "phases": phases, "compare": []})
    file = RunFile.create(folder / f"{state}.pinnrun", experiment)
    added = json.dumps({"text": "", "changes": {"phases": [*phases, {"steps": 5000}]}})
    file.add_event(Event(step=step, kind="change", text="Switch to auto", value=added))
    file.save_checkpoint(step, {}, {"place": [2, began, 0.5, "ssbroyden"]})
    file.set_state(state, step, 2.0)
    file.close()
    return file.path


def test_a_kept_run_is_told_with_its_phase_and_its_changes(tmp_path: Path) -> None:
    run = load_run(kept(tmp_path, "stopped", 647, 300))
    assert standing(run) == {"total_steps": 5300, "phase": 3, "phases": 3, "phase_name": "ssbroyden",
                             "phase_step": 347, "phase_steps": 5000}
    assert "stopped, step 647 of 5,300, phase 3 of 3 (ssbroyden), seed 0" in summary(run)
    assert "finished, step 338 of 338, phase 3 of 3" in summary(load_run(kept(tmp_path, "finished", 338, 300)))


def test_numbers_in_words() -> None:
    assert [duration(s) for s in (0.4, 7, 750, 3723.4, -1)] == ["0:00", "0:07", "12:30", "1:02:03", "0:00"]
    assert [rate(r) for r in (1234.5, 10, 4.34)] == ["1,234 steps/s", "10 steps/s", "4.3 steps/s"]
    assert numbers({"a": 0.012345, "b": math.nan}) == "a 1.23e-02, b nan"
