"""Compiled steps: made in a process of their own, kept in a cache that survives restarts."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import platformdirs

from studio.experiment import Experiment, load_experiment

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 900.0  # seconds after which a package that is still being made is given up
KEPT = 40  # packages in the cache; the oldest go first


class CompileError(RuntimeError):
    """The step could not be compiled; str() is a sentence."""


def cache_folder() -> Path:
    """Where compiled steps are kept."""
    return Path(os.environ.get("PINNSCOPE_CACHE") or platformdirs.user_cache_dir("PINNscope")) / "compiled"


def package_folder(experiment: Experiment) -> Path:
    """Where the compiled step of this experiment is or will be.

    The name is a digest of everything that the native code depends on: problem, network, precision, threads, Adam's
    constants, torch, the machine, and the source of `core`. Seed, learning rate and weights are arguments of the step.
    """
    import torch

    parts = {
        "problem": experiment.problem.model_dump(mode="json"),
        "network": experiment.network.model_dump(mode="json"),
        "precision": experiment.training.precision,
        "threads": experiment.training.threads,
        "adam": [experiment.optimizer.beta1, experiment.optimizer.beta2],
        "torch": torch.__version__,
        "machine": [platform.system(), platform.machine(), torch.backends.cpu.get_cpu_capability()],
        "source": _source_digest(),
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return cache_folder() / digest[:32]


def ready(experiment: Experiment) -> bool:
    """Whether the compiled step is in the cache."""
    return package_folder(experiment).is_dir()


def compiled_engine(experiment: Experiment):  # type: ignore[no-untyped-def]  # a core.compiled.CompiledEngine
    """The compiled engine, compiled now if it is not in the cache. Raises CompileError."""
    if not ready(experiment):
        compilation = Compilation(experiment)
        compilation.wait()
    return load_engine(experiment)


def load_engine(experiment: Experiment):  # type: ignore[no-untyped-def]
    """The compiled engine from the cache. Raises CompileError; a damaged package is removed."""
    from core.compiled import load_packages

    folder = package_folder(experiment)
    try:
        engine = load_packages(folder)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise CompileError(f"the compiled step could not be loaded: {error}") from None
    os.utime(folder)
    return engine


class Compilation:
    """One compilation in a process of its own, at low priority so that window and training keep the cores.

    Where somebody is making the same package already (the other lane of a comparison), it waits for that one.
    """

    def __init__(self, experiment: Experiment) -> None:
        from core.compiled import compiler

        if compiler() is None:
            raise CompileError("no C++ compiler was found, so the step stays eager; "
                               "install one (on Debian: apt install g++) and it will be compiled")
        self._experiment = experiment.model_copy(update={"compare": ()})
        self.folder = package_folder(experiment)
        self._work = self.folder.with_suffix(".making")
        self._process: subprocess.Popen[bytes] | None = None
        self._claim()

    def _claim(self) -> None:
        """Begin, unless a living process is at it."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._work.mkdir()
            except FileExistsError:
                if not _abandoned(self._work):
                    return
                shutil.rmtree(self._work, ignore_errors=True)
                self._work.mkdir()
            (self._work / "owner").write_text(str(os.getpid()))
            text = self._work / "experiment.toml"
            text.write_text(self._experiment.to_toml(), encoding="utf-8")
            environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(self._work / "inductor"),
                           "OMP_NUM_THREADS": str(self._experiment.training.threads)}
            with (self._work / "log").open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "studio.compiling", str(text), str(self._work)],
                    cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        except OSError as error:
            raise CompileError(f"the step stays eager, since nothing can be written into {self.folder.parent}: "
                               f"{error.strerror}") from None

    def poll(self) -> bool:
        """True when the package is ready, False while it is being made. Raises CompileError when it failed."""
        if self.folder.is_dir():
            return True
        if self._process is None:
            if _abandoned(self._work):
                self._claim()
            return False
        code = self._process.poll()
        if code is None:
            return False
        if code != 0:
            lines = (self._work / "log").read_text(errors="replace").strip().splitlines()
            self.cancel()
            raise CompileError(f"the step could not be compiled and stays eager: {lines[-1] if lines else code}")
        (self._work / "package").rename(self.folder)
        shutil.rmtree(self._work, ignore_errors=True)
        _thin(self.folder.parent)
        return True

    def wait(self) -> None:
        """Block until it is ready. Raises CompileError."""
        while not self.poll():
            time.sleep(0.1)

    def cancel(self) -> None:
        """End it, if it is ours, and leave nothing behind."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._work, ignore_errors=True)


def _abandoned(work: Path) -> bool:
    """Whether nobody is at a package any more: the process that began it has ended."""
    try:
        owner = int((work / "owner").read_text())
    except FileNotFoundError:
        return not work.is_dir() or time.time() - work.stat().st_mtime > 10
    except (OSError, ValueError):
        return True
    return not _alive(owner) or time.time() - work.stat().st_mtime > LONGEST


def _alive(process: int) -> bool:
    if os.name == "nt":  # signal 0 would end the process there; a stale claim is given up after LONGEST
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _thin(folder: Path) -> None:
    packages = sorted((p for p in folder.iterdir() if len(p.name) == 32), key=lambda p: p.stat().st_mtime)
    for old in packages[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _source_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted((ROOT / "core").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _main(text: Path, work: Path) -> None:
    if hasattr(os, "nice"):
        os.nice(10)
    from core.compiled import compile_packages
    from core.engine import EagerEngine
    from studio.build import build_trainer

    trainer = build_trainer(load_experiment(text))
    assert isinstance(trainer.engine, EagerEngine)
    folder = work / "package"
    folder.mkdir()
    compile_packages(trainer.engine, folder)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
