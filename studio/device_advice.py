"""Which device, and how many threads of the CPU, make an experiment's steps fastest here: measured, not guessed.

Imports torch only where it measures, so that a process without it can show what another one has found.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.experiment import Experiment

if TYPE_CHECKING:
    import torch

    from core.trainer import Trainer

AS_FAST = 1.05  # a rate that is less than this times another one is no reason to take more threads, or another device
ROUNDS = 2  # in turn over all that is measured, so that what else the machine does meets all alike
TILED = " Once it is compiled, each thread takes points of its own, and a second thread brings more than this."


@dataclass(frozen=True)
class Measured:
    """Steps per second on a device, with so many threads of the CPU. Of a GPU: threads is 1."""

    device: str
    threads: int
    rate: float


@dataclass(frozen=True)
class Advice:
    """What was measured, and what follows from it.

    devices: (name, words) of every device, of one that is not there the reason. device and threads: the fastest;
    fewer threads, and the CPU, where that is as fast to 5 %. sentence: for a person.
    """

    devices: tuple[tuple[str, str], ...]
    measured: tuple[Measured, ...]
    device: str
    threads: int
    sentence: str


def advise(experiment: Experiment, seconds: float = 1.0) -> Advice:
    """Train for about so many seconds, on each device that there is and with 1, 2, 4 ... threads, and compare.

    Measured are eager steps as the experiment makes them, with drawing and balancing. Compiled steps and CUDA graphs
    are faster, by how much depends on the experiment. torch's number of threads is as before afterwards. Raises
    ProblemError and ValueError where the experiment cannot be built, or its first step is not finite.
    """
    import torch

    from core.crew import set_threads
    from core.device import missing, wait_for
    from core.trainer import NotFinite
    from studio.build import build_trainer

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpu = missing("cuda") or str(torch.cuda.get_device_name(0))
    choices = [("cpu", threads) for threads in _threads(cores)]
    if not missing("cuda"):
        choices.append(("cuda", 1))
    before = torch.get_num_threads()
    best = dict.fromkeys(choices, 0.0)
    try:
        trainers: dict[str, Trainer] = {}
        longest = 0.0
        for device in dict.fromkeys(device for device, _ in choices):
            trainers[device] = build_trainer(experiment.with_changes({"training.device": device}))
            longest = max(longest, 1 / _rate(trainers[device], 0.0, wait_for))  # the first step is slower than others
        share = seconds / (ROUNDS * len(choices))
        for _ in range(ROUNDS if longest < share else 1):
            for device, threads in choices:
                set_threads(threads)
                rate = _rate(trainers[device], share, wait_for)
                best[device, threads] = max(best[device, threads], rate)
    except NotFinite as error:
        raise ValueError(f"the steps cannot be measured: {error}") from None
    finally:
        set_threads(before)
    measured = tuple(Measured(device, threads, rate) for (device, threads), rate in best.items())
    words = (("cpu", f"{cores} core{'s' if cores > 1 else ''}"), ("cuda", gpu))
    chosen = choose(measured)
    text = sentence(measured, gpu)
    if chosen.device == "cpu" and cores > 1 and experiment.training.engine != "eager" and _tiled(trainers["cpu"]):
        text += TILED
    return Advice(words, measured, chosen.device, chosen.threads, text)


def choose(measured: Sequence[Measured]) -> Measured:
    """The fastest; of those that are as fast to 5 %, the first: the CPU before the GPU, few threads before many."""
    top = max(m.rate for m in measured)
    return next(m for m in measured if m.rate * AS_FAST >= top)


def sentence(measured: Sequence[Measured], gpu: str) -> str:
    """What was found, for a person; gpu: its name, or a sentence that says why there is none."""
    chosen = choose(measured)
    cpu = [m for m in measured if m.device == "cpu"]
    others = [m for m in measured if m.device != "cpu"]
    host = choose(cpu)
    if others and chosen.device == "cpu":
        return (f"A step of this size is faster on the CPU: {_rated(host)} with {_counted(host.threads)}, against "
                f"{_rated(others[0])} on the {gpu}. These are eager steps.")
    if others:
        return (f"This step is faster on the {gpu}: {_rated(chosen)}, against {_rated(host)} on the CPU with "
                f"{_counted(host.threads)}. These are eager steps.")
    end = f" Nothing else could be measured: {gpu}."
    rest = [m for m in cpu if m is not host]
    if not rest:
        return f"One thread makes {_rated(host)}, and this machine has one core.{end}"
    other = max(rest, key=lambda m: m.rate)
    if other.rate > host.rate / AS_FAST and other.threads > host.threads:
        return (f"{_counted(other.threads).capitalize()} are no faster than {_counted(host.threads)}: {_rated(other)} "
                f"and {_rated(host)}.{end}")
    return (f"On the CPU {_counted(host.threads)} {'is' if host.threads == 1 else 'are'} fastest: {_rated(host)}, "
            f"against {_rated(other)} with {_counted(other.threads)}.{end}")


def _tiled(trainer: Trainer) -> bool:
    """Whether several threads would compute tiles of the compiled step, if there is one."""
    from core.compiled import compiler
    from core.engine import EagerEngine
    from core.tiles import tiles_of
    from studio.engines import by_rows

    return (compiler() is not None and not by_rows(trainer) and isinstance(trainer.engine, EagerEngine)
            and bool(tiles_of(trainer.engine, 2)))


def _rate(trainer: Trainer, seconds: float, wait_for: Callable[[torch.device], None]) -> float:
    """Steps per second, of at least one step."""
    device = trainer.objective.device
    wait_for(device)
    begun, steps, spent = time.perf_counter(), 0, 0.0
    while steps == 0 or spent < seconds:
        trainer.step()
        steps += 1
        spent = time.perf_counter() - begun
    wait_for(device)
    return steps / (time.perf_counter() - begun)


def _threads(cores: int) -> list[int]:
    """1, 2, 4 ... up to the number of cores."""
    return [2**k for k in range(cores.bit_length())]


def _counted(threads: int) -> str:
    return "one thread" if threads == 1 else f"{threads} threads"


def _rated(m: Measured) -> str:
    return f"{m.rate:.0f} steps/s" if m.rate >= 10 else f"{m.rate:.2g} steps/s"
