"""Compilations of a run: that of the next phase, of one that is paused, changed, stopped. A script is the compiler."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.build import build_trainer
from studio.compiling import package_folder, ready
from studio.course import Course
from studio.engines import AHEAD, WORTH_BEFORE_ANOTHER, WORTH_COMPILING, Engines
from studio.experiment import Experiment
from studio.messages import RunState
from tests.studio.test_compiling import MAKES, SLOW, Script, experiment, left, script
from tests.studio.test_runner import Desk

__all__ = ["experiment", "script"]  # fixtures


def phased(experiment: Experiment, kind: str) -> Experiment:
    return Experiment.from_data({**experiment.model_dump(mode="json"), "phases": [{"optimizer": {"kind": kind}}]})


def engines_of(experiment: Experiment, before: Engines | None = None) -> Engines:
    return Engines(experiment, lambda kind, text, value="": None, lambda text: None, before)


@pytest.mark.parametrize(("kind", "method"), [("ssbroyden", "ssbroyden"), ("auto", "levenberg-marquardt"),
                                              ("lbfgs", "lbfgs"), ("gauss-newton-cg", "")])
def test_what_comes_is_known_with_its_method_and_nothing_where_no_step_is_compiled(
        experiment: Experiment, kind: str, method: str) -> None:
    course = Course(phased(experiment, kind), lambda *_: None)
    coming = course.coming()
    if method in ("", "levenberg-marquardt"):
        assert coming is None, "made from the Jacobian"
    else:
        assert coming is not None and coming.optimizer.kind == method and coming.training.precision == "float64"
    assert Course(experiment, lambda *_: None).coming() is None


def test_towards_its_end_a_phase_compiles_for_the_next_one_which_takes_that_over(
        experiment: Experiment, script: Script) -> None:
    course = Course(phased(experiment, "ssbroyden"), lambda *_: None)
    trainer, asked = build_trainer(course.now), []

    def coming() -> Experiment | None:
        asked.append(1)
        return course.coming()

    script(SLOW)
    engines = engines_of(course.now)
    engines.poll(trainer, AHEAD + 1, coming)
    next_one = course.coming()
    assert next_one is not None and not asked and engines._compilation is not None, "its own is worth it"
    engines.cancel()
    engines = engines_of(course.now)
    for _ in range(3):
        engines.poll(trainer, WORTH_BEFORE_ANOTHER - 1, coming)
    assert len(asked) == 1 and engines._compilation is None, "the next one's serves longer"
    under_way = engines._ahead
    assert under_way is not None and under_way.folder == package_folder(next_one)
    later = engines_of(next_one, before=engines)
    assert later._compilation is under_way and under_way._process is not None and under_way._process.poll() is None
    same = engines_of(next_one.with_changes({"training.seed": 5}), before=later)
    assert same._compilation is under_way, "a change that needs no other step lets it go on"
    engines_of(experiment, before=same)
    assert under_way._process is None, "nobody needs it"
    script(MAKES)
    engines = engines_of(course.now)
    while not ready(next_one):
        engines.poll(trainer, WORTH_COMPILING, coming)
        time.sleep(0.02)
    engines.poll(trainer, WORTH_COMPILING, coming)
    assert left(next_one) == [] and engines._ahead is None


@pytest.mark.parametrize("ending", ["stop", "close"])
def test_a_run_that_ends_lets_go_of_what_it_compiles(experiment: Experiment, script: Script, ending: str,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    """Else another run that waits for the same step would wait in vain."""
    monkeypatch.setattr("studio.engines.WORTH_COMPILING", 0.0)
    script(SLOW)
    desk = Desk(experiment.with_changes({"training.steps": 1_000_000}))
    thread = threading.Thread(target=desk.play, args=("resume",))
    thread.start()
    try:
        wait_until(lambda: desk.runner._engines is not None and desk.runner._engines._compilation is not None)
        assert left(experiment)
        desk.commands.put((ending, None))
        wait_until(lambda: not left(experiment))
    finally:
        desk.commands.put(("close", None))
        thread.join()


def test_what_was_compiled_for_a_paused_run_is_there(experiment: Experiment, script: Script, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.engines.WORTH_COMPILING", 0.0)
    monkeypatch.setattr("studio.engines.load_engine", lambda experiment, eager: eager)  # there is nothing to load
    go = tmp_path / "go"
    script(f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)\n{MAKES}")
    desk = Desk(experiment.with_changes({"training.steps": 1_000_000}))
    thread = threading.Thread(target=desk.play, args=("resume",))
    thread.start()
    try:
        wait_until(lambda: desk.runner._engines is not None and desk.runner._engines._compilation is not None)
        desk.commands.put(("pause", None))
        wait_until(lambda: desk.mailbox.status.state is RunState.PAUSED)
        go.touch()
        wait_until(lambda: ready(experiment))
    finally:
        desk.commands.put(("close", None))
        thread.join()


def wait_until(done: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_steps_that_must_be_compiled_are_so_again_after_a_change(experiment: Experiment, script: Script) -> None:
    now = experiment.with_changes({"training.engine": "compiled"})
    engines = engines_of(now)
    engines.poll(build_trainer(now), None)
    assert engines._compilation is not None, "however little is left"
    rows = now.with_changes({"optimizer.kind": "levenberg-marquardt", "sampling.every": 0})
    gradient = engines_of(now.with_changes({"optimizer.kind": "lbfgs", "sampling.every": 0}), engines)
    gradient.poll(build_trainer(gradient.experiment), None)
    later = engines_of(rows, gradient)
    assert later._compilation is not None, "the same folder"
    later.poll(build_trainer(rows), None)
    assert later._compilation is None, "which nobody needs"
    assert left(now) == []
