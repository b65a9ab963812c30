"""`reproduce` on the command line: what it lists, makes and says, and with which code it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio import reproduce_command
from studio.cli import _parser, main
from studio.reproduce import Progress, Report, Trains
from studio.reproduce_command import _Words, reproduce
from studio.run_layout import RunFileError
from studio.table_runs import Job, Plan, Record, ResultError, Results
from studio.tables import TableError
from tests.studio.table_samples import (
    TOML,
    FakeRuns,
    diverged,
    failed,
    forget,
    plan_for,
    record,
    small_gallery,
    write_table,
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    small_gallery(monkeypatch, tmp_path)
    write_table(tmp_path)
    # Standard input is whatever runs the tests; that it ends is no reason to end them.
    monkeypatch.setattr(reproduce_command, "end_with_input", lambda: None)
    yield
    forget()


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., int]:
    def made(*arguments: str, run: Trains | None = None) -> int:
        given = _parser().parse_args(["reproduce", *arguments, "--out", str(tmp_path / "out")])
        return reproduce(given, run if run is not None else FakeRuns())

    return made


def results(tmp_path: Path, name: str = "reproduce-small") -> Results:
    return Results.read(tmp_path / "out" / f"{name}.json")


def test_the_tables_are_listed_with_what_is_done(call: Callable[..., int], capsys: pytest.CaptureFixture[str],
                                                 tmp_path: Path) -> None:
    assert call() == 0
    assert capsys.readouterr().out == "small  A small table  0 of 2 cells done, 0 of 2 cells shortened\n"
    assert call("small", "--only", "wide") == 0
    assert call("small", "--fast") == 0
    capsys.readouterr()
    assert call() == 0
    assert capsys.readouterr().out == "small  A small table  1 of 2 cells done, 2 of 2 cells shortened\n"
    (tmp_path / "broken.toml").write_text("cells = 3")
    assert call() == 2
    said = capsys.readouterr()
    assert said.out.startswith("small  A small table  1 of 2")
    assert "broken.toml: " in said.err and "cells: 3 is not a list" in said.err


def test_a_table_is_made_told_of_and_kept(call: Callable[..., int], capsys: pytest.CaptureFixture[str],
                                          tmp_path: Path) -> None:
    run = FakeRuns()
    assert call("small", "--jobs", "1", run=run) == 0
    assert run.asked == [("plain", 0), ("wide", 0), ("plain", 1), ("wide", 1)]
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert lines[0] == "4 of 4 runs are to be made"
    assert lines[1].endswith("plain, seed 0: relative_l2.u 0.1 (40,000 steps, 0:02)")
    assert lines[4].startswith("4 of 4 runs  wide, seed 1:")
    assert lines[-1] == f"kept in {tmp_path / 'out' / 'reproduce-small.json'}"
    assert "**A small table** (small)" in said.out and "| plain | 1.00e-01  | 1.00e-01 ± 0.0e+00 (2) |" in said.out
    assert len(results(tmp_path).records) == 4
    again = FakeRuns()
    assert call("small", run=again) == 0
    assert again.asked == []
    assert capsys.readouterr().out == said.out


def test_seeds_and_cells_are_chosen(call: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    run = FakeRuns()
    assert call("small", "--seeds", "3", "--only", "w*", "--jobs", "1", run=run) == 0
    assert run.asked == [("wide", 0), ("wide", 1), ("wide", 2)]
    assert "| plain" not in capsys.readouterr().out


def test_a_shortened_version_says_so_and_has_its_own_file(call: Callable[..., int], tmp_path: Path,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    run = FakeRuns()
    assert call("small", "--fast", run=run) == 0
    said = capsys.readouterr()
    assert len(run.asked) == 2  # one seed
    words = "Shortened version: its numbers are NOT comparable with the published ones. 400 steps."
    assert said.err.splitlines()[0] == words
    assert f"**{words}**" in said.out and "shortened, not comparable" in said.out
    assert len(results(tmp_path, "reproduce-small-fast").records) == 2
    assert results(tmp_path).records == {}


def test_a_table_without_a_shortened_version_says_so(call: Callable[..., int], tmp_path: Path) -> None:
    write_table(tmp_path, TOML.replace("fast =", "larger = { note = 'a big one' } #"))
    with pytest.raises(TableError, match="'small' has no shortened version; without --fast it is made as published"):
        call("small", "--fast")
    assert call("small") == 0


def test_what_a_larger_machine_would_do_is_said(call: Callable[..., int], tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    write_table(tmp_path, TOML.replace("fast =", "larger = { note = 'a big one' } #"))
    assert call("small") == 0
    assert "\nOn a larger machine: a big one\n" in capsys.readouterr().out


def test_failures_end_with_code_1_and_are_tried_again(call: Callable[..., int],
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    assert call("small", "--seeds", "1", run=FakeRuns(failed)) == 1
    said = capsys.readouterr()
    assert "plain, seed 0: failed: the abacus is broken" in said.err
    assert said.err.splitlines()[-1] == "2 runs failed; the same command tries them again"
    assert "**failed**" in said.out
    assert call("small", "--seeds", "1", run=FakeRuns(diverged)) == 0
    said = capsys.readouterr()
    assert "plain, seed 0: diverged at step 40,000: the loss became nan" in said.err
    assert "1 of 1 diverged" in said.out and "**NOT reproduced**" in said.out


def test_the_result_as_json_is_the_last_line(call: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert call("small", "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line, parse_constant=pytest.fail)
    assert [(one["row"], one["ours"], one["verdict"]) for one in found["cells"]] == [
        ("plain", 0.1, "within the spread"), ("wide", 0.1, "within the spread")]


def test_progress_for_a_program(call: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call("small", "--seeds", "1", "--jobs", "1", "--json-lines", run=FakeRuns()) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    events = [line["event"] for line in lines]
    assert (events[0], events[-1], events.count("run")) == ("start", "end", 2)
    assert lines[0]["file"] == str(tmp_path / "out" / "reproduce-small.json")
    run = next(line for line in lines if line["event"] == "run")
    assert (run["done"], run["runs"], run["state"], run["seed"]) == (1, 2, "finished", 0)
    assert {line["words"] for line in lines} >= {"0 of 2 runs", "2 of 2 runs"}


@pytest.mark.skipif(os.name != "posix", reason="signals as a shell sends them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_says_how_to_go_on(number: int, call: Callable[..., int], tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    def run(job: Job, report: Report, stop: threading.Event) -> Record | None:
        if job.seed == 0:
            return record(job)
        os.kill(os.getpid(), number)
        stop.wait(5)
        return None

    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    found = signal.signal(number, usual)  # a shell's background job ignores some of them
    try:
        assert call("small", "--jobs", "1", run=run) == 130
        assert signal.getsignal(number) is usual, "the handler is as it was before"
    finally:
        signal.signal(number, found)
    assert "stopped with 2 of 4 runs done; the same command goes on from there" in capsys.readouterr().err
    assert len(results(tmp_path).records) == 2


def test_a_damaged_result_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "reproduce-small.json").write_text("{")
    assert main(["reproduce", "small", "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the results in ") and "move the file away" in line


def test_results_that_cannot_be_kept_end_it(call: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(plan: Plan, results: Results) -> None:
        raise ResultError("the results cannot be written to x: No space left on device")

    monkeypatch.setattr(reproduce_command, "write", full)
    with pytest.raises(ResultError, match="No space left"):
        call("small")
    monkeypatch.setattr(reproduce_command, "writable_folder", _refuse)
    with pytest.raises(RunFileError):
        call("small")


def _refuse(*_: Any) -> Path:
    raise RunFileError("no")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_is_redrawn(tmp_path: Path) -> None:
    stream = Terminal()
    words = _Words(stream)
    progress = Progress(1, 4, (), 61.0)
    words.begin(progress)
    words.show(progress)
    words.show(progress)
    words.end(progress)
    assert stream.getvalue() == "3 of 4 runs are to be made\n\r1 of 4 runs, 1:01 left\r" + " " * 22 + "\r"


def test_where_there_is_no_terminal_there_is_a_line_now_and_then(tmp_path: Path) -> None:
    time = [0.0]
    stream = io.StringIO()
    words = _Words(stream, lambda: time[0])
    (job, *_) = plan_for().jobs(plan_for().table.cells, 1)
    progress = Progress(1, 4, ((job, 20_000),), None)
    words.begin(progress)
    for time[0] in (0.0, 59.0, 60.0, 61.0):
        words.show(progress)
    assert stream.getvalue().splitlines()[1:] == ["1 of 4 runs  plain / 100 steps (+1) seed 0 50 %"]
