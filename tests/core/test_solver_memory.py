"""What memory methods need, what the kernel's files say is free, and which method is chosen."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.solvers import memory
from core.solvers.memory import (
    HISTORY,
    Size,
    available,
    best,
    fits,
    free_bytes,
    largest,
    needed,
    sentence,
    size_text,
)
from core.solvers.self_scaled import PENDING

GB = 10**9
KINDS = ["levenberg-marquardt", "spring", "energy-natural-gradient", "gauss-newton-cg", "ssbfgs", "ssbroyden", "lbfgs",
         "soap", "muon"]


def test_a_million_parameters() -> None:
    size = Size(2_000_000, 1_000_000)
    text = sentence("levenberg-marquardt", size, 20 * GB)
    assert text.startswith("Levenberg-Marquardt with 1,000,000 parameters and 2,000,000 residuals needs 24 TB of "
                           "memory, this machine has 20 GB free; up to ")
    assert "gauss-newton-cg, which needs " in text and not text.endswith(".")
    most = largest("levenberg-marquardt", size, 20 * GB)
    assert f"up to {most:,} parameters would fit" in text
    assert fits("levenberg-marquardt", Size(2_000_000, most), 20 * GB)
    assert not fits("levenberg-marquardt", Size(2_000_000, int(1.2 * most)), 20 * GB)


def test_where_nothing_fits_nothing_is_promised() -> None:
    text = sentence("ssbroyden", Size(10, 10**4), 10**6)
    assert text.endswith("this machine has 1 MB free")
    assert sentence("spring", Size(10**5, 10**5), None).endswith("of memory")
    assert fits("spring", Size(10**6, 10**6), None), "what is not known is not refused"


@given(st.sampled_from(KINDS), st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from([4, 8]))
def test_what_is_needed_grows(kind: str, rows: int, parameters: int, itemsize: int) -> None:
    need = needed(kind, Size(rows, parameters, itemsize))
    assert 0 < need <= needed(kind, Size(rows, parameters + 1, itemsize))
    assert need <= needed(kind, Size(rows + 1, parameters, itemsize))
    assert needed(kind, Size(rows, parameters, 4)) <= needed(kind, Size(rows, parameters, 8))
    if kind in ("ssbfgs", "ssbroyden"):
        assert need >= 3 * parameters ** 2 * itemsize
    if kind in ("levenberg-marquardt", "spring"):
        assert need >= 2 * min(rows, parameters) ** 2 * itemsize


@pytest.mark.parametrize("rows, parameters, free, squares, kind, words", [
    (1_900, 400, 20 * GB, True, "levenberg-marquardt", "is a sum of squares, and .* its 400 parameters is solved"),
    (1_900, 400, None, True, "levenberg-marquardt", "solved quickly"),
    (1_900, 400, 20 * GB, False, "ssbroyden", "400 by 400 numbers.*is small enough"),
    (1_900, 1_981, 20 * GB, True, "ssbroyden", "1,981 by 1,981 numbers.*is small enough"),
    (10_000, 6_900, None, True, "ssbroyden", "6,900 by 6,900 numbers"),
    (1_900, 9_000, 100 * GB, True, "lbfgs", "9,000 by 9,000 numbers.*would take long at each step"),
    (1_900, 9_000, 100 * GB, False, "lbfgs", "9,000 by 9,000 numbers.*would take long at each step"),
    (1_000, 3_000_000, 8 * GB, True, "lbfgs", "would take long"),
    (1_900, 4_900, GB // 4, True, "lbfgs",
     "^self-scaled Broyden with 4,900 parameters .* needs .* of memory, this machine has 250 MB free$")])
def test_the_best_method(rows: int, parameters: int, free: int | None, squares: bool, kind: str, words: str) -> None:
    found, why = best(Size(rows, parameters), free, squares)
    assert found == kind
    assert re.search(words, why) and not why.endswith(".")


def test_what_is_asked_for_counts() -> None:
    assert needed("lbfgs", Size(100, 10**6, history=1000)) > 15 * needed("lbfgs", Size(100, 10**6, history=50))
    free, size = 8 * GB, Size(19, 81_201)
    of_parameters = replace(size, form="parameters")
    assert fits("levenberg-marquardt", size, free) and fits("levenberg-marquardt", replace(size, form="samples"), free)
    assert not fits("levenberg-marquardt", of_parameters, free)
    assert "159 GB" in sentence("levenberg-marquardt", of_parameters, free)
    assert needed("spring", of_parameters) == needed("spring", size), "which has no such choice"
    many = Size(5000, 100)
    assert needed("levenberg-marquardt", replace(many, form="samples")) > needed("levenberg-marquardt", many)


def test_a_matrix_that_is_never_kept_does_not_fit() -> None:
    for free in (None, 10**15):
        assert fits("ssbroyden", Size(100, 17_500), free) and not fits("ssbroyden", Size(100, 17_501), free)
    assert "at most" in sentence("ssbroyden", Size(100, 17_501), None)


def test_sizes_in_words() -> None:
    assert [size_text(x) for x in (3, 2.4e6, 999e6, 2.14e9, 160e9, 16e12, 2e15)] == [
        "1 MB", "2 MB", "999 MB", "2.1 GB", "160 GB", "16 TB", "2.0 PB"]


# ---------------------------------------------------------------------- what is free

def tree(root: Path, **files: str) -> tuple[Path, Path, Path]:
    """A copy of the kernel's files; '__' for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "meminfo", root / "groups", root / "own"


MEMINFO = "MemTotal:  16000000 kB\nMemFree: 100 kB\nMemAvailable:    8000000 kB\n"


def test_without_a_control_group(tmp_path: Path) -> None:
    assert free_bytes(*tree(tmp_path, meminfo=MEMINFO)) == 8_000_000 * 1024


def test_no_such_files_as_on_macos_and_windows(tmp_path: Path) -> None:
    assert free_bytes(*tree(tmp_path)) is None
    assert free_bytes(*tree(tmp_path, meminfo="nothing of the kind")) is None


def test_control_groups_of_version_2(tmp_path: Path) -> None:
    files = tree(tmp_path, meminfo=MEMINFO, own="0::/a/b\n", groups__a__memory_max="x")
    (tmp_path / "groups/a/b").mkdir()
    for name, text in {"a/memory.max": "5000000000\n", "a/memory.current": "1000000000\n",
                       "a/memory.stat": "anon 5\ninactive_file 300000000\n",
                       "a/b/memory.max": "max\n", "a/b/memory.current": "900000000\n"}.items():
        (tmp_path / "groups" / name).write_text(text)
    assert free_bytes(*files) == 4_300_000_000, "the limit of the group above holds too"
    (tmp_path / "groups/a/b/memory.max").write_text("1000000000")
    assert free_bytes(*files) == 100_000_000
    (tmp_path / "groups/a/b/memory.max").write_text("800000000")
    assert free_bytes(*files) == 0


def test_control_groups_of_version_1(tmp_path: Path) -> None:
    files = tree(tmp_path, meminfo=MEMINFO, own="4:memory:/job\n3:cpu,cpuacct:/job\n",
                 groups__memory__job__x="")
    for name, text in {"memory/job/memory.limit_in_bytes": "2000000000", "memory/memory.limit_in_bytes": str(2**63 - 1),
                       "memory/job/memory.usage_in_bytes": "500000000", "memory/memory.usage_in_bytes": "9",
                       "memory/job/memory.stat": "total_inactive_file 100000000"}.items():
        (tmp_path / "groups" / name).write_text(text)
    assert free_bytes(*files) == 1_600_000_000


def test_in_a_container_the_root_is_the_group(tmp_path: Path) -> None:
    """There the process sees its group as '/', or as one beside it, and the limit is in the root of the files."""
    files = tree(tmp_path, meminfo=MEMINFO, own="0::/../other\n", groups__x="")
    (tmp_path / "groups/memory.max").write_text("3000000000")
    (tmp_path / "groups/memory.current").write_text("1000000000")
    assert free_bytes(*files) == 2_000_000_000


def test_this_machine() -> None:
    found = available()
    assert found is None or 0 <= found < 10**15
    if Path("/proc/meminfo").exists():
        assert found is not None
    assert available(torch.device("cpu")) is None or found is not None


# ---------------------------------------------------------------------- against what a step takes

PEAK = """
import torch
from core.solvers.{module} import {solver}
from core.solvers.solver import Watch
from core.solvers.loss import Loss
from studio.build import build_trainer
from tests.core.samples import experiment
own = {{"residuals": [{{"name": "pde", "equation": "u_xx + u_yy = 1", "points": {points}}}]}}
t = build_trainer(experiment(own, network__hidden=[{width}, {width}], training__threads=1))
s = {solver}()
loss = Loss(t.objective, t.engine, t.coming_draws(), t.weights, t.multipliers)
loss.gradient(t.theta)
torch.linalg.eigh(torch.eye(4))
def kilobytes(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak begins anew
before = kilobytes("VmRSS")
theta, memory, older = t.theta, s.start(t.theta), None
for _ in range({steps}):
    made = s.step(loss, theta, memory, 1.0, Watch())
    theta, memory, older = made.theta, made.memory, memory  # the memory before a step is kept beside the one after it
print(len(t.theta), len(loss.scales()), (kilobytes("VmHWM") - before) * 1024)
"""


def peak(module: str, solver: str, width: int, points: int, steps: int) -> tuple[int, int, int]:
    """(parameters, rows, bytes taken), in a process of its own."""
    code = PEAK.format(module=module, solver=solver, width=width, points=points, steps=steps)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=Path(memory.__file__).parents[2])
    parameters, rows, taken = map(int, done.stdout.split())
    return parameters, rows, taken


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process measure a peak anew")
@pytest.mark.parametrize("kind, module, solver, widths, points, steps", [
    ("levenberg-marquardt", "levenberg", "LevenbergMarquardt", (36, 68), 4000, 1),
    ("levenberg-marquardt", "levenberg", "LevenbergMarquardt", (160, 240), 1000, 1),
    ("energy-natural-gradient", "natural", "EnergyNaturalGradient", (20, 34), 1500, 1),
    ("ssbroyden", "self_scaled", "SelfScaled", (40, 64), 200, PENDING + 2),
    ("lbfgs", "lbfgs", "LBFGS", (80, 320), 60, HISTORY + 3)])
def test_a_step_takes_no_more_than_is_said(kind: str, module: str, solver: str, widths: tuple[int, int], points: int,
                                           steps: int) -> None:
    """Of two sizes, so that what is there at every size, which is said generously, cancels."""
    small, large = (peak(module, solver, width, points, steps) for width in widths)
    few, many = (needed(kind, Size(rows, parameters)) for parameters, rows, _ in (small, large))
    said, taken = many - few, large[2] - small[2]
    assert large[2] <= many
    assert 0.25 * said <= taken <= 1.15 * said, f"{taken / 1e6:.0f} of {said / 1e6:.0f} MB"
