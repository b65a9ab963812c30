"""Compilations: who makes a package, who waits, and that nothing is left behind. A script stands for the compiler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from core.compiled import GRADIENTS, MANIFEST, STEP, compile_packages, compiler, load_packages
from core.engine import EagerEngine
from studio import compiling
from studio.build import build_trainer
from studio.compiling import Compilation, CompileError, load_engine, package_folder, ready
from studio.experiment import Experiment
from tests.studio.samples import POISSON

MAKES = ("import pathlib, sys; package = pathlib.Path(sys.argv[2], 'package'); package.mkdir(); "
         "(package / 'package.json').touch()")
SLOW = "import time; time.sleep(60)"
Script = Callable[[str], None]


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    monkeypatch.setenv("PINNSCOPE_CACHE", str(tmp_path))
    monkeypatch.setattr("core.compiled.compiler", lambda: "c++")
    return Experiment.from_toml(POISSON).lanes()[0]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Sets what is run instead of the compilation, with its two arguments."""
    chosen = [MAKES]

    def begin(command: list[str], **more: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", chosen[0], *command[3:]], **more)

    monkeypatch.setattr(compiling, "subprocess", SimpleNamespace(Popen=begin, DEVNULL=subprocess.DEVNULL))

    def choose(text: str) -> None:
        chosen[0] = text

    return choose


def left(experiment: Experiment) -> list[str]:
    """What is in the cache besides this experiment's package."""
    folder = package_folder(experiment)
    return [path.name for path in folder.parent.iterdir() if path != folder] if folder.parent.exists() else []


def test_a_package_is_made_and_nothing_else_stays(experiment: Experiment, script: Script) -> None:
    Compilation(experiment).wait()
    assert ready(experiment)
    assert left(experiment) == []


def test_the_second_waits_and_takes_over_when_the_first_is_cancelled(experiment: Experiment, script: Script) -> None:
    script(SLOW)
    first, second = Compilation(experiment), Compilation(experiment)
    assert not second.poll()
    assert second._process is None, "the first one is at it"
    second.cancel()  # its window is closed; the first must not notice
    assert first._process is not None and first._process.poll() is None
    first.cancel()
    script(MAKES)
    second.wait()
    assert ready(experiment)
    assert left(experiment) == []


def test_who_waits_gets_what_the_other_made(experiment: Experiment, script: Script) -> None:
    first, second = Compilation(experiment), Compilation(experiment)
    first.wait()
    assert second.poll()


@pytest.mark.parametrize(("text", "sentence"), [
    ("raise SystemExit('no space left')", "the step could not be compiled: no space left"),
    ("raise SystemExit(3)", "the step could not be compiled: exit code 3"),
    ("pass", "could not be kept in .*: No such file"),
])
def test_a_failure_is_one_sentence_and_leaves_nothing(experiment: Experiment, script: Script, text: str,
                                                     sentence: str) -> None:
    script(text)
    with pytest.raises(CompileError, match=sentence):
        Compilation(experiment).wait()
    assert left(experiment) == []


def test_a_full_disk_leaves_no_claim(experiment: Experiment, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(CompileError, match=r"nothing can be written into .*compiled: No space left on device"):
            Compilation(experiment)
    assert left(experiment) == []
    Compilation(experiment).wait()


def test_one_that_takes_too_long_is_given_up(experiment: Experiment, script: Script,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    script(SLOW)
    compilation = Compilation(experiment)
    monkeypatch.setattr(compiling, "LONGEST", 0.0)
    with pytest.raises(CompileError, match="given up"):
        compilation.wait()
    assert left(experiment) == []


def test_what_a_killed_program_left_is_removed_and_what_is_being_made_is_not(experiment: Experiment,
                                                                            script: Script) -> None:
    cache = package_folder(experiment).parent
    for name in ("dead", "alive"):
        (cache / f"{name}.x{compiling.MAKING}").mkdir(parents=True)
        os.utime(cache / f"{name}.x{compiling.MAKING}", (0, 0))  # an age says nothing: the machine may have slept
    with FileLock(cache / f"alive{compiling.LOCK}"):
        Compilation(experiment).wait()
        assert set(left(experiment)) == {f"alive.x{compiling.MAKING}", f"alive{compiling.LOCK}"}
    (package_folder(experiment) / MANIFEST).unlink()
    Compilation(experiment).wait()
    assert left(experiment) == []


def test_who_waits_for_one_that_never_ends_is_told(experiment: Experiment, script: Script,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    script(SLOW)
    first, second = Compilation(experiment), Compilation(experiment)
    monkeypatch.setattr(compiling, "LONGEST", 0.0)
    with pytest.raises(CompileError, match="another program"):
        second.poll()
    assert first._process is not None and first._process.poll() is None
    first.cancel()
    assert left(experiment) == []


def test_the_compiler_leaves_its_files_where_they_are_removed(experiment: Experiment, script: Script) -> None:
    script("import tempfile, pathlib, sys; made = pathlib.Path(tempfile.mkstemp()[1]); "
           f"assert pathlib.Path(sys.argv[2]) in made.parents; {MAKES}")
    Compilation(experiment).wait()
    assert left(experiment) == []


def test_the_order_of_inputs_and_of_unknown_numbers_is_another_step(experiment: Experiment) -> None:
    """It is that of the network's inputs and of theta; in a table of JSON it could be lost."""
    def folder(**tables: dict[str, object]) -> Path:
        data = experiment.model_dump(mode="json")
        data["problem"] |= tables
        if "unknowns" in tables:
            data["problem"]["residuals"][0]["equation"] += " + a*u + b*u^2"
        return package_folder(Experiment.from_data(data))

    domain: dict[str, object] = {"x": [0.0, 1.0], "t": [0.0, 1.0]}
    unknowns: dict[str, object] = {"a": 1.0, "b": 1.0}
    assert folder(domain=domain) != folder(domain=dict(reversed(domain.items())))
    assert folder(unknowns=unknowns) != folder(unknowns=dict(reversed(unknowns.items())))


@pytest.mark.skipif(os.name != "posix", reason="there are no process groups")
def test_cancelling_ends_the_compiler_too(experiment: Experiment, script: Script, tmp_path: Path) -> None:
    script(f"import pathlib, subprocess, sys\np = subprocess.Popen([sys.executable, '-c', {SLOW!r}])\n"
           f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(p.pid))\np.wait()")
    compilation = Compilation(experiment)
    compiler = written(tmp_path / "pid")
    compilation.cancel()
    assert gone(compiler)


@pytest.mark.skipif(os.name != "posix", reason="a process keeps its dead parent's number there")
def test_a_compilation_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    child = ("import os, pathlib, threading, time\nfrom studio.compiling import _end_with_parent\nos.setpgrp()\n"
             f"threading.Thread(target=_end_with_parent, daemon=True).start()\ntime.sleep(0.5)\n"
             f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\ntime.sleep(60)")
    parent = subprocess.Popen([sys.executable, "-c", f"import subprocess, sys\n"
                               f"subprocess.run([sys.executable, '-c', {child!r}])"], cwd=compiling.ROOT)
    compilation = written(tmp_path / "pid")
    parent.kill()
    parent.wait()
    assert gone(compilation)


def test_methods_that_ask_for_gradients_share_one_package_which_is_no_step(experiment: Experiment) -> None:
    def folder(**changes: object) -> Path:
        return package_folder(experiment.with_changes({k.replace("__", "."): v for k, v in changes.items()}))

    lbfgs = folder(optimizer__kind="lbfgs")
    assert lbfgs == folder(optimizer__kind="ssbroyden") == folder(optimizer__kind="soap", optimizer__beta1=0.5)
    assert lbfgs == folder(optimizer__kind="lbfgs", optimizer__history=3, phases=[{}])
    assert len({lbfgs, folder(), folder(optimizer__kind="adamw"), folder(optimizer__beta1=0.5)}) == 4


def test_of_a_method_that_asks_for_gradients_the_gradient_is_compiled(
        experiment: Experiment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr("core.compiled.compile_packages", lambda engine, folder, *, solver: asked.append((
        folder.name, solver)))
    for kind in ("adam", "ssbroyden"):
        work = tmp_path / kind
        work.mkdir()
        changed = experiment.with_changes({"optimizer.kind": kind, "phases": [{}]})
        script = monkeypatch.context()
        with script as patch:
            patch.setattr(compiling, "_end_with_parent", lambda: None)
            patch.setattr(compiling.subprocess, "Popen", lambda *_, **more: SimpleNamespace(poll=lambda: 0))
            Compilation(changed)
            folder = package_folder(changed)
            text = next(folder.parent.glob(f"{folder.name}.*{compiling.MAKING}")) / "experiment.toml"
            written_down = Experiment.from_toml(text.read_text(encoding="utf-8"))
            assert written_down.phases == () and written_down.optimizer.kind == ("adam" if kind == "adam" else "lbfgs")
            assert package_folder(written_down) == package_folder(changed)
            compiling._main(text, work, folder.name)
            with pytest.raises(SystemExit, match="changed meanwhile"):
                compiling._main(text, Path(tempfile.mkdtemp(dir=tmp_path)), "0" * 32)
    assert asked == [("package", False)] * 2 + [("package", True)] * 2


def test_a_damaged_package_is_one_sentence_and_removed(experiment: Experiment) -> None:
    folder = package_folder(experiment)
    folder.mkdir(parents=True)
    for name in (STEP, GRADIENTS):
        (folder / name).write_bytes(b"no archive")
    with pytest.raises(CompileError, match="the compiled step could not be loaded"):
        load_engine(experiment, build_trainer(experiment).engine)  # type: ignore[arg-type]
    assert not folder.exists()


def test_a_library_that_was_cut_short_is_refused_before_it_is_loaded(experiment: Experiment, tmp_path: Path) -> None:
    """Loading it would end the program: the file is mapped into memory, and the end of it is not there."""
    if compiler() is None:
        pytest.skip("there is no C++ compiler")
    eager = build_trainer(experiment).engine
    assert isinstance(eager, EagerEngine)
    whole = tmp_path / "whole"
    whole.mkdir()
    compile_packages(eager, whole)

    def damaged(name: str, content: bytes | None) -> Path:
        """A copy, since a file that is loaded must not be written to."""
        copy = tmp_path / f"copy {len(list(tmp_path.iterdir()))}"
        shutil.copytree(whole, copy)
        (copy / name).unlink() if content is None else (copy / name).write_bytes(content)
        return copy

    step = (whole / STEP).read_bytes()
    for content in (step[:4096], step[:-1], step[:-1] + bytes([step[-1] ^ 1])):
        with pytest.raises(OSError, match=r"step\.so is damaged"):
            load_packages(damaged(STEP, content), eager)
    for name in (STEP, GRADIENTS, MANIFEST):
        with pytest.raises(OSError):
            load_packages(damaged(name, None), eager)
    about = json.loads((whole / MANIFEST).read_text())
    for change, why in (({"solver": True}, "of another step"), ({"tiles": [{"start": 0}]}, "is damaged"),
                        ({"files": {}}, "of another step"), ({"files": 3}, "is damaged")):
        with pytest.raises(OSError, match=why):
            load_packages(damaged(MANIFEST, json.dumps(about | change).encode()), eager)
    assert load_packages(whole, eager).run_step is not None


def test_what_another_program_left_is_no_package(experiment: Experiment, script: Script) -> None:
    folder = package_folder(experiment)
    folder.mkdir(parents=True)
    (folder / STEP).write_bytes(b"in use, so it could not be removed")
    assert not ready(experiment)
    Compilation(experiment).wait()
    assert ready(experiment) and not (folder / STEP).exists()


def test_looking_for_the_compiler_loads_no_compiler_of_torch_s(tmp_path: Path) -> None:
    """It is asked for between two steps, where seconds of importing would be seen."""
    mine = tmp_path / "mycc"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    code = ("import sys\nfrom core.compiled import compiler\nprint(compiler())\n"
            "assert 'torch._inductor.cpp_builder' not in sys.modules")
    found = subprocess.run([sys.executable, "-c", code], cwd=compiling.ROOT, env={**os.environ, "CXX": str(mine)},
                           capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(mine)
    found = subprocess.run([sys.executable, "-c", code], cwd=compiling.ROOT, env={**os.environ, "CXX": "no-such-c++"},
                           capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "None"


def written(path: Path) -> int:
    deadline = time.monotonic() + 30
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(path.read_text())


def gone(process: int) -> bool:
    """Whether it ends within some seconds; one that nobody has waited for yet has ended too."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(process, 0)
            stat = Path(f"/proc/{process}/stat")
            if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False
