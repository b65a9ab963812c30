"""A run in a terminal, by a session that says what it is told to: words and exit codes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from studio.cli import main
from studio.messages import Event, RunState, Update
from tests.studio.samples import FINISHED, STATUS, FakeSession, finished_run

pytestmark = pytest.mark.usefixtures("at_home")


def run(session: FakeSession, poisson: Path, *arguments: str) -> int:
    return main(["run", str(poisson), *arguments], new_session=session)


def test_a_run_from_start_to_finish(poisson: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preparing = replace(STATUS, state=RunState.PREPARING, step=0, message="loading torch", losses={}, relative_l2={},
                        steps_per_second=0.0, seconds_left=None)
    begun = replace(preparing, state=RunState.PAUSED, message="")  # for a moment, before it runs
    engine = Event(step=30, kind="engine", text="changed over to the compiled step after step 30")
    session = FakeSession(Update(status=preparing), Update(status=begun), Update(status=STATUS, events=(engine,)),
                          Update(status=FINISHED))
    assert run(session, poisson, "--steps", "100", "--seed", "7", "--engine", "eager", "--isolate") == 0
    assert session.asked == [("new", True, {}), "start", "close"]
    assert session.experiment is not None
    assert session.experiment.training.model_dump() | {"steps": 100, "seed": 7, "engine": "eager"} \
        == session.experiment.training.model_dump()
    assert session.experiment.compare == ()
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "finished: 100 steps in 0:01 (125 steps/s, eager), seed 7",
        "losses: residual 2.00e+00, boundary 5.00e-01",
        "relative L2 error: u 3.40e-02",
        f"kept in {tmp_path / 'home' / 'PINNscope' / 'runs' / 'fake.pinnrun'}",
    ]
    assert "--variant annealed" in said.err
    assert "  0 %  step 0/100  loading torch" in said.err
    assert "step 30: changed over to the compiled step" in said.err
    assert " 40 %  step 40/100  512 steps/s  1:05 left  loss 4.00e+00  error 3.40e-02" in said.err
    assert "left" not in said.err.splitlines()[-1]


def test_json_is_the_last_line_and_strict(poisson: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = replace(FINISHED, losses={"residual": math.nan, "boundary": 0.5}, relative_l2={"u": math.inf})
    session = FakeSession(Update(status=ended))
    out = tmp_path / "out"
    assert run(session, poisson, "--steps", "100", "--json", "--out", str(out)) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line, parse_constant=pytest.fail) == {
        "experiment": "poisson", "label": "plain", "state": "finished", "engine": "eager", "seed": 0, "steps": 100,
        "seconds": 0.8, "steps_per_second": 125.0, "losses": {"residual": None, "boundary": 0.5},
        "relative_l2": {"u": None}, "readings": {}, "run_file": str(out / "fake.pinnrun"), "message": "",
    }
    assert session.experiment is not None and session.experiment.training.engine == "eager"


def test_the_variant_is_trained_where_it_is_asked_for(poisson: Path) -> None:
    session = FakeSession(Update(status=FINISHED))
    assert run(session, poisson, "--variant", "annealed") == 0
    assert session.experiment is not None and session.experiment.balancing.rule == "annealing-siam"


def kept_by(session: FakeSession, folder: Path) -> Path:
    """A real run file where the fake session says that its file is."""
    path = finished_run(folder / "home" / "PINNscope" / "runs", checkpoint=40)
    return path.rename(path.with_name("fake.pinnrun"))


def test_a_nan_names_the_term_and_says_where_the_last_good_state_is(
        poisson: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "the loss term 'boundary' became nan at step 41; the state before it is kept"
    paused = replace(STATUS, state=RunState.PAUSED, message=f"{text}. Lower the learning rate and go on, or stop")
    session = FakeSession(Update(status=paused, events=(Event(step=40, kind="nan", text=text),)),
                          after=Update(status=replace(STATUS, state=RunState.STOPPED)))
    path = kept_by(session, tmp_path)
    assert run(session, poisson, "--json") == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[-3:] == [
        f"the run ended at step 40: {text}",
        f"the last good state, of step 40, is kept in {path}",
        f"go on with: python main.py run --resume {path} --set optimizer.learning_rate=0.0001",
    ]
    assert text in json.loads(said.out)["message"]


def test_a_full_disk_is_bad_input_and_says_what_is_kept(poisson: Path, tmp_path: Path,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    text = "the run file x cannot be written: the disk is full. Everything up to step 40 is kept in it."
    session = FakeSession(Update(status=replace(STATUS, state=RunState.PAUSED, message=text),
                                 events=(Event(step=41, kind="disk", text=text),)))
    path = kept_by(session, tmp_path)
    assert run(session, poisson) == 2
    assert capsys.readouterr().err.splitlines()[-3:] == [
        f"error: {text}", f"the last good state, of step 40, is kept in {path}",
        f"go on with: python main.py run --resume {path}"]


def test_what_is_refused_is_bad_input(poisson: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "no C++ compiler was found, so the step stays eager"
    session = FakeSession(Update(status=replace(STATUS, state=RunState.FAILED, step=0, message=text),
                                 events=(Event(step=0, kind="refused", text=text),)))
    assert run(session, poisson, "--engine", "compiled") == 2
    assert capsys.readouterr().err.splitlines()[-2:] == [f"error: {text}", "--engine eager trains without compiling"]


def test_a_failure_of_the_training_is_told_without_its_traceback(poisson: Path,
                                                                capsys: pytest.CaptureFixture[str]) -> None:
    failed = replace(STATUS, state=RunState.FAILED, message="the training failed: out of paper")
    session = FakeSession(Update(status=failed, events=(Event(step=40, kind="error", text="Traceback ..."),)))
    assert run(session, poisson) == 1
    said = capsys.readouterr().err
    assert "the run ended at step 40: the training failed: out of paper" in said
    assert "Traceback" not in said


def test_a_run_that_is_finished_but_could_not_be_kept_is_told(poisson: Path,
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    session = FakeSession(Update(status=FINISHED), after=Update(status=replace(FINISHED, message="the disk is full.")))
    assert run(session, poisson) == 2
    said = capsys.readouterr()
    assert "error: the run is finished, but the disk is full." in said.err
    assert said.out == ""


def test_ctrl_c_keeps_the_run_and_says_where(poisson: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = FakeSession(Update(status=STATUS), KeyboardInterrupt(),
                          after=Update(status=replace(STATUS, state=RunState.STOPPED, step=55)))
    path = kept_by(session, tmp_path)
    assert run(session, poisson) == 130
    assert session.asked[1:] == ["start", "stop", "close"]
    assert capsys.readouterr().err.splitlines()[-3:] == [
        "stopped at step 55", f"the run is kept in {path}", f"go on with: python main.py run --resume {path}"]
