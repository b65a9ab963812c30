"""The command line: what it does, what it says, and with which code it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import compiled
from studio import gallery, runfile
from studio.cli import main, reproducible_engine
from studio.experiment import Experiment, load_experiment
from studio.messages import Update
from studio.runfile import RunFileError, load_run
from tests.studio.samples import FINISHED, POISSON, FakeSession, finished_run

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("at_home")

# ------------------------------------------------------------------ gallery, help, version


def test_the_gallery_is_listed_with_titles(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gallery"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == gallery.names()
    assert all(gallery.describe(name) in line for name, line in zip(gallery.names(), lines, strict=True))


def test_an_experiment_of_the_gallery_is_printed_as_toml_that_can_be_run(
        capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["gallery", "quick"]) == 0
    path = tmp_path / "mine.toml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    assert load_experiment(path) == gallery.load("quick")


def test_help_shows_every_command_and_examples_that_can_be_parsed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert main([]) == 0
    assert capsys.readouterr().out == text
    for command in ("gallery", "run", "open", "check", "reproduce"):
        assert f"python main.py {command}" in text
        assert main([command, "--help"]) == 0
        assert f"usage: python main.py {command}" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("PINNscope 0.")


# ------------------------------------------------------------------ bad input

BAD: list[tuple[str, list[str], str]] = [
    ("no command", ["rum", "quick"], "invalid choice: 'rum'"),
    ("no option", ["run", "quick", "--step", "5"], "unrecognized arguments: --step 5"),
    ("no name", ["run"], "name an experiment"),
    ("typed wrong", ["run", "quikc"], "did you mean 'quick'?"),
    ("not in the gallery", ["gallery", "quikc"], "did you mean 'quick'?"),
    ("no file", ["run", "gone.toml"], "there is no file gone.toml"),
    ("no file in a folder", ["run", "a/b"], "there is no file a/b"),
    ("folder", ["run", "{tmp}"], "is a folder"),
    ("broken", ["run", "{broken}"], "this is not TOML"),
    ("bytes", ["check", "{bytes}"], "not UTF-8"),
    ("unknown key", ["run", "{unknown}"], "optimiser: this key is not known"),
    ("steps", ["run", "{poisson}", "--steps", "0"], "training.steps: 0 is not possible; it must be at least 1"),
    ("no number", ["run", "{poisson}", "--steps", "many"], "'many' is not a whole number"),
    ("seed", ["run", "{poisson}", "--seed", "-1"], "training.seed: -1 is not possible"),
    ("width", ["run", "{poisson}", "--set", "network.hidden=[0]"], "network.hidden: a layer of width 0"),
    ("rate", ["run", "{poisson}", "--set", "optimizer.learning_rate=-1e-3"], "optimizer.learning_rate: -0.001"),
    ("path", ["run", "{poisson}", "--set", "optimizer.lerning_rate=1"], "did you mean 'optimizer.learning_rate'?"),
    ("half a path", ["run", "{poisson}", "--set", "learning_rate=1"], "did you mean 'optimizer.learning_rate'?"),
    ("constant", ["run", "{poisson}", "--set", "problem.constants.kk=1"], "did you mean 'problem.constants.k'?"),
    ("index", ["run", "{poisson}", "--set", "problem.residuals.1.points=1"], "has no 'problem.residuals.1.points'"),
    ("below", ["run", "{poisson}", "--set", "training.steps.x=1"], "has no 'training.steps.x'"),
    ("no value", ["run", "{poisson}", "--set", "steps"], "'steps' sets nothing"),
    ("word", ["run", "{poisson}", "--set", "balancing.rule=anneal"], "'anneal' is not one of"),
    ("term", ["run", "{poisson}", "--set", "balancing.weights.wall=2"], "there is no loss term 'wall'"),
    ("variant", ["run", "{poisson}", "--variant", "M2"], "there is no variant 'M2'; there is plain, annealed"),
    ("engine", ["run", "{poisson}", "--engine", "fast"], "invalid choice: 'fast'"),
    ("out", ["run", "{poisson}", "--out", "{poisson}"], "a part of this path is a file"),
    ("out below", ["run", "{poisson}", "--out", "{poisson}/x"], "a part of this path is a file"),
    ("no run file", ["open", "{poisson}"], "is no run file of PINNscope"),
    ("no run", ["open", "gone.pinnrun"], "there is no file gone.pinnrun"),
    ("run no run", ["run", "{tmp}/gone.pinnrun"], "there is no file"),
    ("resume no run", ["run", "--resume", "{poisson}"], "is no run file of PINNscope"),
    ("resume and name", ["run", "quick", "--resume", "{run}"], "so a name cannot be given with it"),
    ("resume and seed", ["run", "--resume", "{run}", "--seed", "1"], "so --seed cannot be given with it"),
    ("resume finished", ["run", "--resume", "{run}", "--steps", "100"], "has made all of its 100 steps"),
    ("resume nothing", ["run", "--resume", "{bare}"], "has no checkpoint to go on from"),
    ("no table", ["reproduce", "helmhotz"], "there is no table 'helmhotz' (did you mean 'helmholtz'?)"),
    ("no seeds", ["reproduce", "helmholtz", "--seeds", "0"], "--seeds 0 is not possible; it must be at least 1"),
    ("no jobs", ["reproduce", "helmholtz", "--jobs", "-1"], "--jobs -1 is not possible; it must be at least 1"),
    ("no cell", ["reproduce", "helmholtz", "--only", "M5"], "no cell of the table 'helmholtz' is called 'M5'"),
    ("results", ["reproduce", "helmholtz", "--out", "{poisson}"], "a part of this path is a file"),
    ("two shapes", ["reproduce", "helmholtz", "--json", "--json-lines"], "not allowed with argument"),
]


@pytest.mark.parametrize(("arguments", "words"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_input_is_one_sentence_and_code_2(arguments: list[str], words: str, tmp_path: Path, poisson: Path,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    places = {"tmp": tmp_path, "poisson": poisson, "broken": tmp_path / "broken.toml",
              "bytes": tmp_path / "bytes.toml", "unknown": tmp_path / "unknown.toml"}
    places["broken"].write_text("[problem\nname = 3")
    places["bytes"].write_bytes(b"\xff\xfe\x00")
    places["unknown"].write_text(POISSON + "\n[optimiser]\nlearning_rate = 1e-3\n")
    places["run"] = finished_run(tmp_path / "a")
    places["bare"] = finished_run(tmp_path / "b", checkpoint=None)
    session = FakeSession()
    assert main([a.format(**places) for a in arguments], new_session=session) == 2
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if not line.startswith("training ")]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert words in lines[0]
    assert said.out == ""
    assert session.asked == []  # nothing was begun


def test_a_typing_error_in_an_equation_is_shown_with_a_caret(poisson: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(poisson), "--set", "problem.residuals.0.equation=u_xx + sinn(k*x)"]) == 2
    sentence, text, caret = capsys.readouterr().err.splitlines()
    assert "problem.residuals.0.equation: unknown name 'sinn' at character 8 (did you mean 'sin'?)" in sentence
    assert text[caret.index("^"):].startswith("sinn(k*x)")


def test_an_equation_that_is_wrong_in_the_file_names_the_file(poisson: Path,
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    poisson.write_text(POISSON.replace("u_xx + k", "u_xx + (k"), encoding="utf-8")
    assert main(["check", str(poisson)]) == 2
    assert f"error: {poisson}: problem.residuals.0.equation: " in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(poisson: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(runfile.tempfile, "TemporaryFile", refused)
    assert main(["run", str(poisson), "--out", str(tmp_path)], new_session=FakeSession()) == 2
    assert "read-only" in capsys.readouterr().err


def test_nobody_reads_on() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from studio.cli import main; sys.exit(main(['gallery']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-u", "-c", code], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


# ------------------------------------------------------------------ run


def test_resuming_sets_anew_what_the_checkpoint_carries(tmp_path: Path) -> None:
    path = finished_run(tmp_path)
    session = FakeSession(Update(status=FINISHED))
    changes = ["--set", "optimizer.learning_rate=1e-4", "--set", "balancing.rule=annealing-siam",
               "--set", "balancing.weights.boundary=10"]
    assert main(["run", "--resume", str(path), "--steps", "300", *changes], new_session=session) == 0
    assert session.asked == [("new", False, {"resume_from": path}), ("learning_rate", 1e-4),
                             ("balancing", "annealing-siam"), ("weight", "boundary", 10.0), "start", "close"]
    plain = FakeSession(Update(status=FINISHED))
    assert main(["run", "--resume", str(path)], new_session=plain) == 0
    assert plain.asked == [("new", False, {"resume_from": path}), "start", "close"]
    again = FakeSession(Update(status=FINISHED))  # the experiment of a run, from the beginning
    assert main(["run", str(path)], new_session=again) == 0
    assert again.asked[0] == ("new", False, {})


@pytest.mark.parametrize(("wanted", "steps", "found", "engine"), [
    ("auto", 4999, "g++", "eager"), ("auto", 5000, "g++", "compiled"), ("auto", 5000, None, "eager"),
    ("eager", 5000, "g++", "eager"), ("compiled", 10, None, "compiled")])
def test_the_engine_of_a_reproducible_run(wanted: str, steps: int, found: str | None, engine: str,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "compiler", lambda: found)
    experiment = Experiment.from_toml(POISSON).with_changes({"training.engine": wanted, "training.steps": steps})
    assert reproducible_engine(experiment) == engine


# ------------------------------------------------------------------ run, for real


@pytest.fixture
def two_runs(poisson: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[list[dict[str, Any]]]:
    results = []
    out = str(tmp_path / "out")
    for _ in range(2):
        assert main(["run", str(poisson), "--steps", "40", "--seed", "5", "--json", "--out", out]) == 0
        results.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    yield results


def test_the_same_seed_gives_the_same_bits_and_files_of_their_own(two_runs: list[dict[str, Any]]) -> None:
    one, two = two_runs
    assert one["losses"] == two["losses"]
    assert one["relative_l2"] == two["relative_l2"]
    assert (one["steps"], one["state"], one["engine"], one["seed"]) == (40, "finished", "eager", 5)
    assert one["run_file"] != two["run_file"]
    runs = [load_run(Path(result["run_file"])) for result in two_runs]
    for run in runs:
        assert run.closed and run.state == "finished" and run.step == 40
        assert run.scalars[-1].losses == one["losses"]
        assert run.scalars[-1].relative_l2 == one["relative_l2"]
        assert run.frame_steps("fields")
        assert run.experiment.training.seed == 5
    checkpoints = [run.latest_checkpoint() for run in runs]
    assert checkpoints[0] is not None and checkpoints[1] is not None
    assert (checkpoints[0][1]["theta"] == checkpoints[1][1]["theta"]).all()


def test_a_run_that_is_gone_on_with_equals_one_that_was_never_stopped(
        two_runs: list[dict[str, Any]], poisson: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert main(["run", "--resume", two_runs[0]["run_file"], "--steps", "70", "--json", "--out", out]) == 0
    resumed = json.loads(capsys.readouterr().out)
    assert main(["run", str(poisson), "--steps", "70", "--seed", "5", "--json", "--out", out]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert resumed["losses"] == whole["losses"]
    assert resumed["relative_l2"] == whole["relative_l2"]
    assert load_run(Path(two_runs[0]["run_file"])).step == 40  # the old file was not touched


# ------------------------------------------------------------------ open, check


def test_open_prints_a_summary_where_there_is_no_display(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = finished_run(tmp_path)
    assert main(["open", str(path)]) == 0
    text = capsys.readouterr().out
    for words in ("poisson plain", "stopped, step 100 of 40,000, seed 0", "0:02, 50 steps/s",
                  "residual 2.00e+00, boundary 1.00e-03", "u 5.00e-01 at step 90", "step 0: started on eager engine"):
        assert words in text


def test_open_gives_the_run_to_the_window(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = finished_run(tmp_path)
    opened: list[Path] = []

    def window(path: Path) -> int:
        opened.append(path)
        return 5

    assert main(["open", str(path)], window) == 5
    assert opened == [path]
    assert main(["open", str(path), "--summary"], window) == 0
    assert main(["open", str(tmp_path / "none.pinnrun")], window) == 2  # told here, not in a window
    assert opened == [path]


def test_check_says_how_far_the_exact_solution_is_from_the_equations(poisson: Path,
                                                                    capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(poisson)]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert "'poisson' is a valid experiment: Poisson, field u, loss terms residual, boundary" in first
    assert len(lines) == 2 and all("satisfies" in line for line in lines)
    assert main(["check", str(poisson), "--set", "problem.exact.u=k*(1 - x**2)/3"]) == 0
    assert "DOES NOT satisfy 'poisson'" in capsys.readouterr().out


# ------------------------------------------------------------------ and


def test_a_folder_made_by_nobody_is_an_error_of_the_run_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(RunFileError, match="a part of this path is a file"):
        runfile.default_runs_folder()


def test_what_gallery_prints_is_toml(capsys: pytest.CaptureFixture[str]) -> None:
    for name in gallery.names():
        assert main(["gallery", name]) == 0
        assert tomllib.loads(capsys.readouterr().out)["name"] == name


def test_phases_are_told_as_they_come_and_gone_on_with(
        poisson: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> dict[str, Any]:
        assert main(["run", *arguments, "--json", "--out", str(tmp_path / "out")]) == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])  # type: ignore[no-any-return]

    def phases(steps: int) -> list[str]:
        return ["--set", f"phases=[{{steps={steps}, points=16, optimizer={{kind='levenberg-marquardt'}}}}]"]

    assert main(["run", str(poisson), "--steps", "20", *phases(4), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr()
    assert "step 20: phase 2 of 2: levenberg-marquardt in float64 on 24 fixed points" in told.err
    assert "finished: 24 steps" in told.out and "optimizer damping" not in told.out
    short, whole = run(str(poisson), "--steps", "20", *phases(4)), run(str(poisson), "--steps", "20", *phases(9))
    assert (short["steps"], whole["steps"]) == (24, 29)
    assert main(["run", "--resume", short["run_file"]]) == 2
    assert "has made all of its 24 steps; to go on, say how many it shall have with --set phases.0.steps=N" in (
        capsys.readouterr().err)
    assert main(["run", "--resume", short["run_file"], "--set", "phases=[]"]) == 2
    assert "that run is in phase 2, and there would be only 1" in capsys.readouterr().err
    again = run("--resume", short["run_file"], "--set", "phases.0.steps=9", "--set", "optimizer.learning_rate=0.1")
    assert again["losses"] == whole["losses"] and again["relative_l2"] == whole["relative_l2"]


def test_a_phase_that_cannot_be_is_found_by_the_check(poisson: Path, capsys: pytest.CaptureFixture[str]) -> None:
    energy = "problem.residuals=[{name='e', equation='u_x**2', measure='mean'}]"
    phase = "phases=[{optimizer={kind='spring'}}]"
    assert main(["check", str(poisson), "--set", phase]) == 0
    capsys.readouterr()
    assert main(["check", str(poisson), "--set", energy, "--set", phase]) == 2
    assert "spring needs a loss that is a sum of squares at single points" in capsys.readouterr().err


def test_a_phase_whose_method_does_not_fit_is_told_by_the_check(
        poisson: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("core.solvers.memory.available", lambda device: 1000)
    phases = "phases=[{optimizer={kind='levenberg-marquardt'}}, {}]"
    assert main(["check", str(poisson), "--set", phases, "--set", "compare=[]"]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("phase")]
    assert len(told) == 1 and told[0].startswith("phase 2: Levenberg-Marquardt with ")
    assert told[0].endswith("gauss-newton-cg takes its place.")
