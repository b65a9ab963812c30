"""Advice on devices: what was measured decides, and torch stays out of who only shows it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from multiprocessing import Pipe
from types import SimpleNamespace

import pytest
import torch

from core import tiles
from core.compiled import compiler
from core.trainer import NotFinite
from studio import build
from studio.device_advice import TILED, Measured, advise, choose, sentence
from studio.experiment import Experiment
from tests.studio.samples import POISSON


class Slow:
    """A trainer whose steps take longer with one number of threads than with the others."""

    def __init__(self, slow: int) -> None:
        self.slow, self.objective = slow, SimpleNamespace(device=torch.device("cpu"))
        self.engine = self.solver = None
        self.seen: list[int] = []

    def step(self) -> None:
        self.seen.append(torch.get_num_threads())
        time.sleep(0.02 if torch.get_num_threads() == self.slow else 0.005)


@pytest.fixture
def experiment() -> Experiment:
    return Experiment.from_toml(POISSON).lanes()[0]


@pytest.mark.parametrize(("slow", "fast"), [(1, 2), (2, 1)])
def test_the_faster_number_of_threads_is_found(slow: int, fast: int, experiment: Experiment,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, before = Slow(slow), torch.get_num_threads()
    monkeypatch.setattr(build, "build_trainer", lambda _: trainer)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    found = advise(experiment, 0.3)
    rates = {m.threads: m.rate for m in found.measured if m.device == "cpu"}
    assert (found.device, found.threads) == ("cpu", fast)
    assert 0 < rates[slow] <= 50 and rates[slow] < rates[fast] <= 200
    assert torch.get_num_threads() == before


def test_an_experiment_s_own_steps_are_measured(experiment: Experiment) -> None:
    begun = time.perf_counter()
    found = advise(experiment.with_changes({"training.device": "cuda"}), 0.2)
    assert time.perf_counter() - begun < 20
    assert all(m.rate > 0 for m in found.measured) and found.measured[0].threads == 1
    assert [name for name, _ in found.devices] == ["cpu", "cuda"]
    if not torch.cuda.is_available():
        assert "no CUDA device that torch can use" in found.devices[1][1] and found.devices[1][1] in found.sentence
    mine, theirs = Pipe()
    theirs.send(found)
    assert mine.recv() == found, "it comes from another process"


def test_what_eager_steps_do_not_show_is_said(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert TILED not in advise(experiment, 0.1).sentence
    monkeypatch.setattr(tiles, "NEAR", 2000)
    found = advise(experiment, 0.1)
    assert found.sentence.endswith(TILED) == (found.device == "cpu" and compiler() is not None)
    assert TILED not in advise(experiment.with_changes({"training.engine": "eager"}), 0.1).sentence
    monkeypatch.setattr("core.compiled.compiler", lambda: None)
    assert TILED not in advise(experiment, 0.1).sentence


def test_steps_that_are_not_finite_are_a_sentence(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Slow(0)

    def step() -> None:
        raise NotFinite("residual", 0, float("nan"))

    monkeypatch.setattr(trainer, "step", step)
    monkeypatch.setattr(build, "build_trainer", lambda _: trainer)
    with pytest.raises(ValueError, match="cannot be measured: the loss term 'residual' became nan"):
        advise(experiment)


@pytest.mark.parametrize(("rates", "device", "threads", "words"), [
    ((410.0, 405.0, 300.0), "cpu", 1, "faster on the CPU: 410 steps/s with one thread, against 300 steps/s on the GPU"),
    ((2.5, 4.0, 90.0), "cuda", 1, "faster on the GPU X: 90 steps/s, against 4 steps/s on the CPU with 2 threads"),
    ((410.0, 300.0), "cpu", 1, "one thread is fastest: 410 steps/s, against 300 steps/s with 2 threads"),
    ((300.0, 410.0), "cpu", 2, "2 threads are fastest: 410 steps/s, against 300 steps/s with one thread"),
    ((400.0, 410.0), "cpu", 1, "2 threads are no faster than one thread: 410 steps/s and 400 steps/s"),
    ((400.0,), "cpu", 1, "One thread makes 400 steps/s, and this machine has one core"),
])
def test_the_sentence_says_what_was_measured(rates: tuple[float, ...], device: str, threads: int, words: str) -> None:
    kinds = [("cpu", 1), ("cpu", 2), ("cuda", 1)]
    measured = [Measured(*kind, rate) for kind, rate in zip(kinds, rates, strict=False)]
    gpu = "GPU X" if len(rates) == 3 else "there is none"
    text = sentence(measured, gpu)
    assert words in text
    assert (choose(measured).device, choose(measured).threads) == (device, threads)
    assert ("could be measured: there is none." in text) == (len(rates) < 3)


def test_who_only_shows_it_needs_no_torch() -> None:
    code = "import sys, studio.device_advice; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
