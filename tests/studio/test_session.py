"""Sessions: commands, states, what is recorded, in a thread and in a process of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from studio.experiment import Experiment, ExperimentError
from studio.findings import Remedy
from studio.gallery import load
from studio.messages import RunState, Status, Update
from studio.phases import PhaseSpec
from studio.runfile import load_run
from studio.session import Session

MakeSession = Callable[..., Session]


def small(**changes: object) -> Experiment:
    e = load("helmholtz-m2")
    residuals = [{**r.model_dump(), "points": 16} for r in e.problem.residuals]
    conditions = [{**c.model_dump(), "points": 8} for c in e.problem.conditions]
    base = {"problem.residuals": residuals, "problem.conditions": conditions, "network.hidden": [8, 8],
            "training.steps": 200, "training.engine": "eager", "diagnostics.grid": 12, "diagnostics.error_every": 20,
            "diagnostics.gradients_every": 50, "diagnostics.fields_every": 100}
    return e.with_changes({**base, **{k.replace("__", "."): v for k, v in changes.items()}})


@pytest.fixture
def session(tmp_path: Path) -> Iterator[MakeSession]:
    made: list[Session] = []

    def make(experiment: Experiment, **more: object) -> Session:
        made.append(Session(experiment, runs_folder=tmp_path, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for s in made:
        assert s.close(20), "a session left its thread behind"


class Collected:
    """Everything a session said until it reached one of the wanted states."""

    def __init__(self, session: Session, *wanted: RunState, timeout: float = 60) -> None:
        self.updates: list[Update] = []
        until = time.monotonic() + timeout
        while True:
            self.updates.append(session.take())
            if self.updates[-1].status.state in wanted:
                break
            assert time.monotonic() < until, f"still {self.updates[-1].status}"
            time.sleep(0.01)
        self.status = self.updates[-1].status
        self.scalars = [s for u in self.updates for s in u.scalars]
        self.events = [e for u in self.updates for e in u.events]
        self.kinds = {k for u in self.updates for k in u.frames}


@pytest.mark.parametrize("isolate", [False, True], ids=["thread", "process"])
def test_a_run_from_start_to_finish(session: MakeSession, isolate: bool) -> None:
    s = session(small(), isolate=isolate)
    assert s.take().status.state is RunState.READY
    s.start()
    got = Collected(s, RunState.FINISHED)
    assert got.status.step == 200
    assert [f.step for f in got.scalars] == [1, *range(10, 201, 10)]
    assert [f.step for f in got.scalars if f.relative_l2] == [1, *range(20, 201, 20)], "each error is computed once"
    assert got.kinds >= {"gradients", "fields", "liveness", "timing"}
    assert [e.kind for e in got.events] == ["start", "finish"]
    assert s.close()
    assert s.run_file is not None
    run = load_run(s.run_file)
    assert run.experiment == s.experiment
    assert [f.step for f in run.scalars] == [f.step for f in got.scalars]
    assert run.frame_steps("gradients") == (0, 50, 100, 150, 200)
    assert run.frame_steps("fields") == (0, 100, 200)
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    assert checkpoint[0] == 200


def test_thread_and_process_give_the_same_numbers(session: MakeSession) -> None:
    losses = []
    for isolate in (False, True):
        s = session(small(), isolate=isolate)
        s.start()
        losses.append([dict(f.losses) for f in Collected(s, RunState.FINISHED).scalars])
    assert losses[0] == losses[1]


def test_pause_step_resume_stop(session: MakeSession) -> None:
    s = session(small(training__steps=10_000_000))
    s.start()
    Collected(s, RunState.RUNNING)
    s.pause()
    first = Collected(s, RunState.PAUSED).status
    time.sleep(0.1)
    assert s.take().status.step == first.step, "nothing trains while paused"
    s.step_once()
    deadline = time.monotonic() + 20
    while s.take().status.step == first.step and time.monotonic() < deadline:
        time.sleep(0.01)
    assert Collected(s, RunState.PAUSED).status.step == first.step + 1
    s.resume()
    Collected(s, RunState.RUNNING)
    s.stop()
    got = Collected(s, RunState.STOPPED)
    assert "kept" in got.status.message
    s.resume()  # too late: harmless
    s.start()
    time.sleep(0.05)
    assert s.take().status.state is RunState.STOPPED


def test_one_step_from_the_start(session: MakeSession) -> None:
    s = session(small())
    s.step_once()
    assert Collected(s, RunState.PAUSED).status.step == 1


def test_live_changes_are_applied_and_journalled(session: MakeSession) -> None:
    s = session(small(training__steps=10_000_000))
    s.step_once()
    assert Collected(s, RunState.PAUSED).status.step == 1
    s.set_balancing("fixed")
    s.set_weight("boundary", 12.5)
    s.set_learning_rate(5e-4)
    s.step_once()
    status = Collected(s, RunState.PAUSED).status
    while status.step == 1:
        status = Collected(s, RunState.PAUSED).status
    assert (status.balancing, status.weights["boundary"]) == ("fixed", 12.5)
    assert status.learning_rate == pytest.approx(5e-4, rel=1e-3)
    s.stop()
    Collected(s, RunState.STOPPED)
    s.close()
    assert s.run_file is not None
    journal = {e.kind: (e.step, json.loads(e.value)) for e in load_run(s.run_file).events if e.value}
    assert journal == {"balancing": (1, "fixed"), "weight": (1, ["boundary", 12.5]), "learning_rate": (1, 5e-4)}


@pytest.mark.parametrize(("command", "value", "sentence"), [
    ("set_weight", ("edge", 1.0), "no loss term 'edge'"),
    ("set_weight", ("boundary", -1.0), "zero or a positive"),
    ("set_balancing", ("anneal",), "no balancing rule"),
    ("set_learning_rate", (float("nan"),), "positive number"),
])
def test_bad_commands_are_refused_where_they_are_given(session: MakeSession, command: str, value: tuple[object, ...],
                                                       sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        getattr(session(small()), command)(*value)


def test_nan_pauses_names_the_term_and_can_go_on(session: MakeSession) -> None:
    s = session(small(optimizer__learning_rate=10.0, training__steps=3000,
                      problem__definitions={"q": "0"}, problem__exact={},
                      problem__residuals=[{"name": "stiff", "equation": "exp(u_xx*100) - 1", "points": 16}],
                      problem__conditions=[{"name": "edges", "equation": "u", "points": 8}]))
    s.start()
    got = Collected(s, RunState.PAUSED)
    event = next(e for e in got.events if e.kind == "nan")
    assert json.loads(event.value) == "residual"
    assert "'residual'" in got.status.message
    step = got.status.step
    s.set_learning_rate(1e-5)
    s.step_once()  # it is allowed to fail again, but not to break
    assert Collected(s, RunState.PAUSED).status.step >= step


def test_closing_in_mid_run_keeps_the_run(session: MakeSession) -> None:
    s = session(small(training__steps=10_000_000))
    s.start()
    Collected(s, RunState.RUNNING)
    time.sleep(0.3)
    assert s.close()
    assert s.run_file is not None
    run = load_run(s.run_file)
    checkpoint = run.latest_checkpoint()
    assert run.state == "stopped"
    assert checkpoint is not None
    assert checkpoint[0] == run.step > 0


def test_an_exact_solution_that_does_not_fit_is_told_before_training(session: MakeSession) -> None:
    s = session(small(problem__exact={"u": "sin(pi*x)*sin(3*pi*y)"}, training__steps=20))
    s.start()
    events = Collected(s, RunState.FINISHED).events
    assert [e.kind for e in events if e.kind != "finding"] == ["check", "start", "finish"]
    assert "DOES NOT satisfy 'Helmholtz'" in events[0].text


def test_a_killed_run_loses_seconds_not_thousands_of_steps(session: MakeSession, monkeypatch: pytest.MonkeyPatch
                                                           ) -> None:
    from studio import records

    monkeypatch.setattr(records, "CHECKPOINT_EVERY", 0.2)
    s = session(small(training__steps=10_000_000, diagnostics__checkpoint_every=10_000_000))
    s.start()
    Collected(s, RunState.RUNNING)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:  # what the file holds while the run goes on is what a kill would leave
        assert s.run_file is not None
        checkpoint = load_run(s.run_file).latest_checkpoint()
        if checkpoint is not None and checkpoint[0] > 0:
            break
        time.sleep(0.1)
    assert checkpoint is not None
    assert checkpoint[0] > 0


@pytest.mark.parametrize("isolate", [False, True], ids=["thread", "process"])
def test_closing_while_preparing_leaves_nothing(session: MakeSession, isolate: bool) -> None:
    s = session(small(training__steps=10_000_000), isolate=isolate)
    s.start()
    assert s.close(30)


def test_closing_what_never_started(session: MakeSession) -> None:
    assert session(small()).close()


def test_resuming_from_a_run_file_is_never_having_stopped(session: MakeSession) -> None:
    through = session(small())
    through.start()
    whole = Collected(through, RunState.FINISHED).scalars
    first = session(small())
    for _ in range(3):
        first.step_once()
    assert Collected(first, RunState.PAUSED).status.step == 3, "three times one step are three steps"
    first.stop()
    Collected(first, RunState.STOPPED)
    first.close()
    second = session(small(), resume_from=first.run_file)
    second.start()
    rest = Collected(second, RunState.FINISHED).scalars
    key = {f.step: dict(f.losses) for f in whole}
    assert {f.step: dict(f.losses) for f in rest if f.step >= 10} == {k: v for k, v in key.items() if k >= 10}
    assert second.run_file != first.run_file


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    s = Session(small(), runs_folder=tmp_path / "file" / "below")
    s.start()
    got = Collected(s, RunState.FAILED)
    assert [e.kind for e in got.events] == ["refused"]
    assert "below" in got.status.message
    assert s.close()


def test_what_cannot_be_built_is_refused_with_its_sentence(session: MakeSession, tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_bytes(b"PK, but no archive")
    s = session(small(problem__reference=str(tmp_path / "mine.npz")))
    s.start()
    got = Collected(s, RunState.FAILED)
    assert "mine.npz is no readable .npz file" in got.status.message
    assert [e.kind for e in got.events] == ["refused"]


def test_a_killed_training_process_is_noticed(session: MakeSession) -> None:
    import multiprocessing

    s = session(small(training__steps=10_000_000), isolate=True)
    s.start()
    Collected(s, RunState.RUNNING)
    for child in multiprocessing.active_children():
        child.kill()
    status = Collected(s, RunState.FAILED).status
    assert "ended unexpectedly" in status.message
    assert str(s.run_file) in status.message


@pytest.mark.parametrize("isolate", [False, True])
def test_phases_are_gone_through_and_switched_to(session: MakeSession, isolate: bool) -> None:
    many = {"training.steps": 1_000_000, "phases": [{"optimizer": {"kind": "adam"}, "steps": 1_000_000}]}
    s = session(small(**many), isolate=isolate)
    assert (s.take().status.total_steps, s.take().status.phases) == (2_000_000, 2)
    with pytest.raises(ExperimentError, match="there is no loss term 'wall'"):
        s.switch(PhaseSpec(weights={"wall": 1.0}))
    s.start()
    until(s, lambda status: status.step > 5)
    s.next_phase()
    until(s, lambda status: status.phase == 2)
    s.switch(PhaseSpec.model_validate({"optimizer": {"kind": "lbfgs"}, "steps": 100_000}))
    status = until(s, lambda status: status.phase_name == "lbfgs")
    assert (status.phase, status.phases) == (3, 3)
    s.undo()
    until(s, lambda status: status.phase == 2)
    s.change(Remedy(text="", changes={"optimizer.learning_rate": 1e-3}))  # what phase 1 had; the journal judges
    with pytest.raises(ExperimentError, match="cannot be changed while the run goes on"):
        s.change(Remedy(text="", changes={"training.seed": 3}))
    s.stop()
    until(s, lambda status: status.state is RunState.STOPPED)


def until(session: Session, done: Callable[[Status], bool]) -> Status:
    end = time.monotonic() + 60
    while not done(status := session.take().status):
        assert time.monotonic() < end, status
        time.sleep(0.005)
    return status
