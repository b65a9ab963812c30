"""Making a published table: what is run, that nothing is lost, and what a run says."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.frames import ScalarsFrame
from studio import gallery, reproduce, tables
from studio.messages import Event
from studio.reproduce import UNSEEN, Progress, Reproduction, command_of, outcome, train
from studio.runfile import RunFile
from studio.table_runs import (
    Job,
    Record,
    Results,
)
from studio.verdicts import done_cells, markdown, measure, measured_text, write
from tests.studio.samples import POISSON
from tests.studio.table_samples import (
    INVERSE,
    FakeRuns,
    cell,
    data,
    diverged,
    failed,
    forget,
    make,
    plan_for,
    record,
    small_gallery,
)

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.usefixtures("small_tables")


# ------------------------------------------------------------------ what is run


def test_cells_that_differ_only_in_what_is_read_share_a_run(tmp_path: Path) -> None:
    plan = plan_for()
    assert len(plan.tasks) == 2
    jobs = plan.jobs(plan.table.cells, 2)
    assert [(job.task.cells, job.seed) for job in jobs] == [
        (("plain / 100 steps", "plain / end"), 0), (("wide / 100 steps", "wide / end"), 0),
        (("plain / 100 steps", "plain / end"), 1), (("wide / 100 steps", "wide / end"), 1)]
    assert jobs[0].task.keys == ("relative_l2.u at 100", "relative_l2.u")
    assert len(plan.jobs(plan.table.chosen(["wide"]), 3)) == 3
    run = FakeRuns()
    make(plan, tmp_path / "r.json", run)
    assert run.asked == [("plain / 100 steps", 0), ("wide / 100 steps", 0), ("plain / 100 steps", 1),
                         ("wide / 100 steps", 1)]


def test_the_command_of_a_run_is_what_a_person_would_type() -> None:
    job = plan_for().jobs(plan_for().table.cells, 1)[1]
    command = command_of(job, "out")
    assert command[:8] == ["run", "poisson", "--seed", "0", "--set", "network.hidden=[16, 16]", "--set",
                           "training.threads=1"]
    assert command[8:-3] == [part for kind in UNSEEN for part in ("--set", f"diagnostics.{kind}_every=0")]
    assert command[-3:] == ["--json", "--out", "out"]


def test_only_what_is_missing_is_made(tmp_path: Path) -> None:
    path, plan = tmp_path / "r.json", plan_for()
    make(plan, path, FakeRuns(), seeds=1)
    more = FakeRuns()
    make(plan, path, more, seeds=3)
    assert [seed for _, seed in more.asked] == [1, 1, 2, 2]
    again = FakeRuns()
    results = make(plan, path, again, seeds=3)
    assert again.asked == []
    assert done_cells(plan, results) == 4
    cells = plan_for(data(*({**cell("plain", "end"), "at": at} for at in (100,)), cell("plain", "new", at=200)))
    newer = FakeRuns()
    make(cells, path, newer, seeds=1)  # a number that was not read before needs the run again
    assert newer.asked == [("plain / end", 0)]
    mark = cells.of["plain / new"].marks[0]
    assert {"relative_l2.u", "relative_l2.u at 100", "relative_l2.u at 200"} \
        <= Results.read(path).records[mark, 0].values.keys()


def test_a_failure_is_kept_with_its_sentence_and_tried_again(tmp_path: Path) -> None:
    path, plan = tmp_path / "r.json", plan_for(data())
    work = Reproduction(plan.jobs(plan.table.cells, 1), Results.read(path), save=lambda: None, run=FakeRuns(failed))
    assert (work.run(), work.missing) == (1, 1)
    results = make(plan, path, FakeRuns(failed), seeds=1)
    one = measure(plan, results)["plain"]
    assert (one.verdict, one.failed, measured_text(one)) == ("failed", {0: "the abacus is broken"}, "1 failed")
    assert "plain, seed 0: the abacus is broken" in markdown(plan, measure(plan, results))
    again = FakeRuns()
    one = measure(plan, make(plan, path, again, seeds=1))["plain"]
    assert again.asked == [("plain", 0)]
    assert (one.verdict, one.failed) == ("within the spread", {})


def test_a_run_that_diverges_is_a_result(tmp_path: Path) -> None:
    path, plan = tmp_path / "r.json", plan_for(data())
    run = FakeRuns(lambda job: diverged(job) if job.seed == 1 else record(job))
    make(plan, path, run, seeds=3)
    text = path.read_text(encoding="utf-8")
    assert "NaN" not in text and json.loads(text)["runs"][1]["values"] == {"relative_l2.u": None}
    one = measure(plan, Results.read(path))["plain"]
    assert (one.n, one.diverged, one.mean, one.verdict) == (2, 1, 0.1, "NOT reproduced")
    assert measured_text(one) == "1.00e-01 ± 0.0e+00 (2), 1 of 3 diverged"
    again = FakeRuns()
    make(plan, path, again, seeds=3)
    assert again.asked == []


def test_an_error_of_the_runner_ends_no_other_run(tmp_path: Path) -> None:
    def run(job: Job) -> Record:
        if job.seed == 0:
            raise OSError("no more processes")
        return record(job)

    results = make(plan_for(data()), tmp_path / "r.json", FakeRuns(run))
    assert [(one.state, one.message) for one in results.records.values()] == [
        ("failed", "OSError: no more processes"), ("finished", "")]


def test_several_at_a_time(tmp_path: Path) -> None:
    met = threading.Barrier(2, timeout=5)
    most: list[int] = []

    def run(job: Job) -> Record:
        met.wait()
        return record(job)

    make(plan_for(), tmp_path / "r.json", FakeRuns(run), at_once=2,
         show=lambda progress: most.append(len(progress.running)))
    assert max(most) == 2


def test_how_long_it_takes_is_told_from_what_is_known() -> None:
    plan = plan_for(data(cell("plain"), cell("wide", set={"network.hidden": [16, 16]}),
                         cell("short", set={"training.steps": 4000})))
    jobs = plan.jobs(plan.table.cells, 2)
    results = Results(Path("nowhere"))
    work = Reproduction(jobs, results, save=lambda: None, at_once=2)
    assert work.progress() == Progress(0, 6, (), None)
    assert work.progress().words == "0 of 6 runs"
    results.add(record(jobs[0], seconds=40.0))  # 1 ms for a step of 'plain', and as long as nothing else is known
    results.add(record(jobs[1], seconds=120.0))
    left = (40 + 120 + 4 * 2 * 2) / 2  # the third has the average of the two
    assert work.progress().seconds_left == pytest.approx(left)
    assert work.progress().words == "2 of 6 runs, 1:28 left"


# ------------------------------------------------------------------ stopped and killed


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
import pytest
from tests.studio.table_samples import FakeRuns, plan_for, record, small_gallery
from studio.table_runs import Results
from studio.reproduce import Reproduction
from studio.verdicts import write
small_gallery(pytest.MonkeyPatch(), Path({gallery!r}))
plan, path = plan_for(), Path({path!r})
results = Results.read(path)
def make(job):
    if job.seed == 1:
        print("now", flush=True)
        time.sleep(60)
    return record(job)
Reproduction(plan.jobs(plan.table.cells, 2), results, save=lambda: write(plan, results), run=FakeRuns(make)).run()
"""


def test_killed_in_the_middle_it_goes_on_from_there(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path / "r.json"
    code = KILLED.format(root=str(ROOT), path=str(path), gallery=str(tmp_path_factory.mktemp("gallery")))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "now\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert len(Results.read(path).records) == 2
    rest = FakeRuns()
    make(plan_for(), path, rest)
    assert [seed for _, seed in rest.asked] == [1, 1]
    assert len(Results.read(path).records) == 4
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.json"]


def test_ctrl_c_ends_the_runs_that_go_on_and_keeps_what_has_ended(tmp_path: Path) -> None:
    path, plan = tmp_path / "r.json", plan_for()
    begun: list[int] = []
    ended: list[int] = []

    def run(job: Job, report: Callable[[int], None], stop: threading.Event) -> Record | None:
        if job.seed == 0:
            return record(job)
        begun.append(job.seed)
        assert stop.wait(10)
        ended.append(job.seed)
        return None

    def show(progress: Progress) -> None:
        if progress.done == 2 and len(begun) == 2:
            raise KeyboardInterrupt

    results = Results.read(path)
    work = Reproduction(plan.jobs(plan.table.cells, 2), results, save=lambda: write(plan, results), run=run, at_once=2,
                        show=show)
    with pytest.raises(KeyboardInterrupt):
        work.run()
    assert ended == [1, 1]
    assert len(Results.read(path).records) == work.progress().done == 2


def test_a_process_on_a_leash_ends_with_the_one_that_holds_it() -> None:
    code = "from studio.leash import end_with_input; end_with_input(); import time; print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    assert process.stdin and process.stdout and process.stderr
    process.stdout.readline()
    begun = time.monotonic()
    process.stdin.close()
    code_ = process.wait(10)
    assert code_ in (1, 130, -signal.SIGINT) and time.monotonic() - begun < 4
    assert b"KeyboardInterrupt" in process.stderr.read()
    process.stdout.close()
    process.stderr.close()


# ------------------------------------------------------------------ one run


def job_of(toml: str = POISSON, **more: Any) -> Job:
    plan = plan_for(data(cell("plain", experiment="inverse" if toml is INVERSE else "poisson", **more)))
    return plan.jobs(plan.table.cells, 1)[0]


def ended_run(folder: Path, job: Job, *, state: str = "finished", nan: bool = False, steps: int = 100) -> str:
    """What a process prints of a run; its file is in `folder`."""
    experiment = tables.with_settings(gallery.load(job.task.experiment), tables.settings(job.task.set)).lanes()[0]
    writer = RunFile.create(folder / "run.pinnrun", experiment)
    writer.add_scalars([ScalarsFrame(step=step, seconds=step / 50, losses={"residual": 2.0 / (step + 1)}, weights={},
                                     learning_rate=1e-3, relative_l2={"u": 1 / (step + 1)}, readings={"a": 1.5})
                        for step in range(0, steps + 1, 10)])
    if nan:
        writer.add_event(Event(step=steps, kind="nan", text="the loss term 'residual' became nan at step 101"))
    writer.set_state(state, steps, 4.0)
    writer.close()
    return json.dumps({"run_file": str(writer.path), "message": "the run ended" if nan else "", "state": state})


def test_the_numbers_of_a_run_come_from_its_file(tmp_path: Path) -> None:
    job = job_of(at=50)
    one = outcome(job, 0, "some words\n" + ended_run(tmp_path, job) + "\n", "")
    assert (one.state, one.steps, one.seconds, one.steps_per_second, one.seed) == ("finished", 100, 4.0, 25.0, 0)
    assert one.values == {"relative_l2.u": 1 / 101, "losses.residual": 2 / 101, "readings.a": 1.5,
                          "relative_l2.u at 50": 1 / 51}
    assert one.machine["Python"] and one.date and one.digest == job.task.digest


def test_a_nan_is_a_result_and_other_ends_are_not(tmp_path: Path) -> None:
    job = job_of(at=500)
    nan = outcome(job, 1, ended_run(tmp_path, job, state="paused", nan=True), "the run ended at step 100: ...")
    assert (nan.state, nan.steps) == ("diverged", 100)
    assert nan.values.keys() == {"relative_l2.u at 500"} and math.isnan(nan.values["relative_l2.u at 500"])
    assert nan.message == "the loss term 'residual' became nan at step 101"
    last = outcome(job_of(), 1, ended_run(tmp_path, job_of(), state="paused", nan=True), "")
    assert math.isnan(last.values["relative_l2.u"])  # the last one before is no result
    for code, out, err, words in (
            (2, "", "training plain; ...\nerror: the disk is full\n", "the disk is full"),
            (1, "", "Traceback ...\nMemoryError\n", "MemoryError"),
            (-9, "", "", "the process ended unexpectedly (signal 9)"),
            (1, json.dumps({"run_file": None, "message": "error: no compiler"}), "", "no compiler"),
            (0, json.dumps({"run_file": str(tmp_path / "gone.pinnrun")}), "", "there is no file"),
            (0, "[3]", "", "the process ended unexpectedly (exit code 0)")):
        one = outcome(job, code, out, err)
        assert one.state == "failed" and words in one.message and one.values == {}


def test_a_number_that_the_run_does_not_have_is_a_failure_that_says_what_there_is(tmp_path: Path) -> None:
    job = job_of(quantity="readings.b")
    assert outcome(job, 0, ended_run(tmp_path, job), "").message \
        == "the run has no readings.b; it has relative_l2.u, readings.a, losses.residual"


def test_an_experiment_that_changed_meanwhile_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of()
    small_gallery(monkeypatch, tmp_path, poisson=POISSON.replace("k = 2.0", "k = 3.0"))
    one = outcome(job, 0, ended_run(tmp_path, job), "")
    assert one.state == "failed" and "was changed before the run began" in one.message


def test_a_real_run_from_a_cell_to_its_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real gallery, the real process, 20 steps: about two seconds, most of them loading torch."""
    monkeypatch.undo()
    forget()
    monkeypatch.setattr(reproduce.tempfile, "tempdir", str(tmp_path))
    small_run = {"network.hidden": [8], "training.steps": 20, "diagnostics.grid": 20, "diagnostics.error_every": 10}
    plan = plan_for(data(cell("end", experiment="quick", set=small_run), cell("half", experiment="quick",
                                                                             set=small_run, at=10)))
    (job,) = plan.jobs(plan.table.cells, 1)
    steps: list[int] = []
    one = train(job, steps.append, threading.Event())
    assert one is not None and (one.state, one.steps, one.message) == ("finished", 20, "")
    assert one.has(job.task.keys) and one.values["relative_l2.u at 10"] != one.values["relative_l2.u"] > 0
    assert one.machine["torch"] and steps == sorted(steps)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_cannot_do_it_says_why() -> None:
    """The real process, which ends before it loads torch."""
    job = job_of()  # the real gallery has no 'poisson'
    one = train(job, lambda step: None, threading.Event())
    assert one is not None and one.state == "failed"
    assert one.message.startswith("'poisson' is no experiment of the gallery and no file")


def test_a_run_that_is_told_to_stop_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def remember(*arguments: Any, **more: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(reproduce.subprocess, "Popen", remember)
    stop = threading.Event()
    stop.set()
    assert train(job_of(), lambda step: None, stop) is None
    assert started[0].returncode is not None


def test_what_a_killed_reproduction_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduce.tempfile, "gettempdir", lambda: str(tmp_path))
    for name, age in (("pinnscope-reproduce-old", 7200), ("pinnscope-reproduce-new", 0), ("another", 7200)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "err").write_text("")
        for path in (tmp_path / name / "err", tmp_path / name):
            reproduce.os.utime(path, (time.time() - age,) * 2)
    reproduce.sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["another", "pinnscope-reproduce-new"]
