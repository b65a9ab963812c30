"""Compiled steps: made in a process of their own, kept in a cache that survives restarts."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from filelock import FileLock, Timeout

from core.choices import FIRST_ORDER
from studio.experiment import REFERENCES, Experiment, load_experiment

if TYPE_CHECKING:
    from core.compiled import CompiledEngine
    from core.engine import EagerEngine
    from core.graphs import GraphEngine

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 900.0  # seconds after which a package that is still being made is given up
MAKING = ".making"  # ends the name of a folder in which a package is being made
LOCK = ".lock"  # of the file that whoever makes a package holds; a program that ends lets go of it
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
    Of optimizers that ask for gradients only these are compiled, so that all of them share one package.
    """
    import torch

    parts = {
        "problem": experiment.problem.model_dump(mode="json"),
        "network": experiment.network.model_dump(mode="json"),
        "decomposition": experiment.decomposition.model_dump(mode="json"),
        "points": [experiment.balancing.points, experiment.balancing.points_rate, experiment.balancing.points_decay,
                   experiment.balancing.chunks],
        "data": [_file_digest(REFERENCES / (o.file or experiment.problem.reference))
                 for o in experiment.problem.observations],
        "precision": experiment.training.precision,
        "threads": experiment.training.threads,
        "chunk": experiment.training.chunk,
        "optimizer": "gradient" if _asks_for_gradients(experiment) else [
            experiment.optimizer.kind, experiment.optimizer.beta1, experiment.optimizer.beta2,
            experiment.optimizer.weight_decay, experiment.optimizer.clip],
        "torch": torch.__version__,
        "machine": [platform.system(), platform.machine(), torch.backends.cpu.get_cpu_capability(), _processor()],
        "source": _source_digest(),
    }
    # tables keep their order: that of the domain is the network's inputs', that of the unknown numbers is theta's
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return cache_folder() / digest[:32]


def _asks_for_gradients(experiment: Experiment) -> bool:
    """Whether the optimizer itself is no part of what is compiled; one that needs no large matrix stands for all."""
    return experiment.optimizer.kind not in FIRST_ORDER


def ready(experiment: Experiment) -> bool:
    """Whether the compiled step is in the cache."""
    return _complete(package_folder(experiment))


def _complete(folder: Path) -> bool:
    from core.compiled import MANIFEST

    return (folder / MANIFEST).is_file()


def compiled_engine(experiment: Experiment, eager: EagerEngine) -> CompiledEngine | GraphEngine:
    """The compiled version of an eager engine, compiled now if it is not in the cache; on a GPU its CUDA graph.

    Raises CompileError.
    """
    from core.tiles import refused

    if eager.objective.device.type != "cpu":
        return recorded_engine(eager)
    if why := refused(eager):
        raise CompileError(f"{why}; take the engine eager or auto, or fewer points")
    if not ready(experiment):
        compilation = Compilation(experiment)
        compilation.wait()
    return load_engine(experiment, eager)


def recorded_engine(eager: EagerEngine) -> GraphEngine:
    """The step of an engine on a GPU as one CUDA graph. Raises CompileError where it cannot be recorded."""
    from core.graphs import GraphEngine

    engine = GraphEngine(eager)
    try:
        engine.prepare()
    except RuntimeError as error:
        raise CompileError(f"the step could not be recorded as a CUDA graph: {error}") from None
    return engine


def load_engine(experiment: Experiment, eager: EagerEngine) -> CompiledEngine:
    """The compiled engine from the cache. Raises CompileError; a damaged package is removed."""
    from core.compiled import load_packages

    folder = package_folder(experiment)
    try:
        engine = load_packages(folder, eager)
    except (OSError, RuntimeError) as error:
        _remove(folder)
        raise CompileError(f"the compiled step could not be loaded: {error}") from None
    with suppress(OSError):  # a cache that may only be read serves as well
        os.utime(folder)  # used now, so it goes last
    return engine


class Compilation:
    """One compilation in a process of its own, at low priority so that window and training keep the cores.

    Where somebody is making the same package already (the other lane of a comparison), it waits for that one.
    """

    def __init__(self, experiment: Experiment) -> None:
        from core.compiled import compiler

        if compiler() is None:
            raise CompileError("no C++ compiler was found that could compile the step (on Debian, "
                               "'apt install g++' installs one)")
        self._experiment = experiment.model_copy(update={"compare": (), "phases": ()})
        if _asks_for_gradients(experiment):
            plain = experiment.optimizer.model_copy(update={"kind": "lbfgs"})
            self._experiment = self._experiment.model_copy(update={"optimizer": plain})
        self.folder = package_folder(experiment)
        self._lock = FileLock(self.folder.with_suffix(LOCK), thread_local=False)
        self._work = self.folder.with_suffix(MAKING)  # its name is another one once it is there
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = time.monotonic()
        self._claim()

    def _claim(self) -> None:
        """Begin, unless somebody is at it."""
        work = None
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            if not _locked(self._lock):
                return
            if self._lock.is_locked:
                _remove_leftovers(self.folder)
            self._work = work = Path(tempfile.mkdtemp(MAKING, f"{self.folder.name}.", self.folder.parent))
            text, scratch = work / "experiment.toml", work / "tmp"
            text.write_text(self._experiment.to_toml(), encoding="utf-8")
            scratch.mkdir()
            environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(work / "inductor"),
                           "OMP_NUM_THREADS": str(self._experiment.training.threads),
                           **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(scratch))}  # of the C++ compiler
            self._begun = time.monotonic()
            with (work / "log").open("wb") as log:
                self._process = subprocess.Popen(  # a group of its own, to be ended together with its compiler
                    [sys.executable, "-m", "studio.compiling", str(text), str(work), self.folder.name],
                    cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=os.name == "posix")
        except OSError as error:
            if work is not None:
                shutil.rmtree(work, ignore_errors=True)
            _unlock(self._lock)
            raise CompileError(f"the step cannot be compiled, since nothing can be written into {self.folder.parent}: "
                               f"{error.strerror or error}") from None

    def poll(self) -> bool:
        """True when the package is ready, False while it is being made. Raises CompileError when it failed."""
        if _complete(self.folder):
            self.cancel()  # somebody else was faster, or nothing is left to end
            return True
        late = time.monotonic() - self._begun > LONGEST
        if self._process is None:
            self._claim()
            if self._process is None and late:
                raise CompileError(f"another program has been compiling the step for {LONGEST / 60:.0f} minutes")
            return False
        code = self._process.poll()
        if code is None:
            if late:
                self.cancel()
                raise CompileError(f"compiling the step took longer than {LONGEST / 60:.0f} minutes and was given up")
            return False
        if code != 0:
            last = self._last_words()
            self.cancel()
            raise CompileError(f"the step could not be compiled: {last or f'exit code {code}'}")
        try:
            if not _complete(self.folder):  # what is left of a damaged one
                shutil.rmtree(self.folder, ignore_errors=True)
            (self._work / "package").rename(self.folder)
        except OSError as error:
            if not _complete(self.folder):
                self.cancel()
                raise CompileError(f"the compiled step could not be kept in {self.folder.parent}: "
                                   f"{error.strerror or error}") from None
        self.cancel()
        _thin(self.folder.parent)
        return True

    def wait(self) -> None:
        """Block until it is ready. Raises CompileError."""
        try:
            while not self.poll():
                time.sleep(0.1)
        except BaseException:  # Ctrl-C too
            self.cancel()
            raise

    def cancel(self) -> None:
        """End it, if it is ours, and leave nothing behind."""
        if self._process is None:
            return
        if self._process.poll() != 0:  # a compiler may outlive one that has failed
            _kill(self._process)
            self._process.wait()
        self._process = None
        shutil.rmtree(self._work, ignore_errors=True)
        _unlock(self._lock)

    def _last_words(self) -> str:
        try:
            lines = (self._work / "log").read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The process, and where it is possible the C++ compiler that it started."""
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):  # all of them have ended
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()


def _locked(lock: FileLock) -> bool:
    """Whether this package is now ours to make."""
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    except NotImplementedError:  # a file system without locks: several may make it, and the first one's is taken
        pass
    return True


def _unlock(lock: FileLock) -> None:
    """Leave no file of it; who has it open already will lock that one, and at worst make the package too."""
    if lock.is_locked:
        with suppress(OSError):  # on Windows it goes with the lock
            Path(lock.lock_file).unlink()
        lock.release()


def _remove_leftovers(package: Path) -> None:
    """What somebody left who was ended while making it. Its lock is held, so nobody is at it."""
    for work in package.parent.glob(f"{package.name}*{MAKING}"):
        shutil.rmtree(work, ignore_errors=True)


def _thin(folder: Path) -> None:
    """Remove the oldest packages, and what somebody left who was ended while compiling."""
    for package in {work.with_name(work.name.partition(".")[0]) for work in folder.glob(f"*{MAKING}")}:
        with suppress(OSError):
            lock = FileLock(package.with_suffix(LOCK), thread_local=False)
            if _locked(lock) and lock.is_locked:
                _remove_leftovers(package)
            _unlock(lock)
    packages = sorted((p for p in folder.iterdir() if len(p.name) == 32), key=_last_used)
    for old in packages[:-KEPT]:
        _remove(old)


def _remove(package: Path) -> None:
    """What says that it is complete goes first: on Windows a library that is in use cannot be removed."""
    from core.compiled import MANIFEST

    with suppress(OSError):
        (package / MANIFEST).unlink()
    shutil.rmtree(package, ignore_errors=True)


def _last_used(package: Path) -> float:
    try:
        return package.stat().st_mtime
    except OSError:  # another program has removed it
        return 0.0


#: What of `core` decides which steps are made, but is no part of the step itself.
AROUND_THE_STEP = frozenset({"trainer", "balancing", "directions", "sampling", "tangent_kernel", "frames", "transplant",
                             "latex", "graphs", "device"})


@cache
def _source_digest() -> str:
    """Of what this program's steps are made by. Read once: what is changed later is not what is running."""
    digest = hashlib.sha256((ROOT / "studio" / "build.py").read_bytes())  # which points and measurements there are
    for path in sorted((ROOT / "core").glob("*.py")):
        if path.stem not in AROUND_THE_STEP:
            digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def _processor() -> str:
    """The instructions that there are, all of which native code may be made of."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("flags", "Features")):
                return hashlib.sha256(line.encode()).hexdigest()
    return platform.processor()


def _file_digest(path: Path) -> str:
    """Of a file of observations, whose points and values are part of the step; '' where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _end_with_parent() -> None:
    """End this process when its parent has ended without saying so, killed say."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)
    if os.name == "posix":
        os.killpg(os.getpgrp(), signal.SIGKILL)  # it leads a group of its own, which its C++ compiler is in
    os._exit(1)


def _main(text: Path, work: Path, name: str) -> None:
    """Make the package of this name. Where the program's files were changed meanwhile it would be another one."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(10)
    from core.compiled import compile_packages
    from core.engine import EagerEngine
    from studio.build import build_trainer

    experiment = load_experiment(text)
    trainer = build_trainer(experiment)
    assert isinstance(trainer.engine, EagerEngine)
    folder = work / "package"
    folder.mkdir()
    compile_packages(trainer.engine, folder, solver=trainer.solver is not None)
    now = package_folder(experiment).name
    _source_digest.cache_clear()
    if not name == now == package_folder(experiment).name:
        raise SystemExit("the program's own files were changed meanwhile; start it anew")


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
