"""Compiled functions called through their C interface: the numbers, the lock, what is no library."""

from __future__ import annotations

import gc
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.compiled import _compile, compiler
from core.native import Native, library_of

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")


def power(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    for _ in range(40):
        a = torch.tanh(a @ b)
    return a, a.sum()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("native")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _compile(power, (torch.zeros(400, 400, dtype=torch.float64), torch.zeros(400, 400, dtype=torch.float64)),
                 folder / "power.so")
    finally:
        torch.set_num_threads(before)
    assert [path.name for path in folder.iterdir()] == ["power.so"], "nothing but the library is kept"
    return folder / "power.so"


@pytest.fixture()
def given() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(400, 400, generator=generator, dtype=torch.float64) / 20 for _ in range(2)]


def test_the_numbers_are_the_functions_and_the_arguments_stay(library: Path, given: list[Tensor]) -> None:
    run = Native(library)
    kept = [tensor.clone() for tensor in given]
    found = run(given)
    for mine, theirs in zip(found, power(*given), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-13)
    assert all(torch.equal(a, b) for a, b in zip(given, kept, strict=True))
    again = run(given)
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
    del run
    gc.collect()
    assert torch.isfinite(found[0]).all(), "the results outlive the function"


def test_the_interpreter_goes_on_while_it_runs(library: Path, given: list[Tensor]) -> None:
    run = Native(library)
    done = threading.Event()

    def work() -> None:
        for _ in range(3):
            run(given)
        done.set()

    begun = time.perf_counter()
    run(given)
    once = time.perf_counter() - begun
    worker = threading.Thread(target=work)
    worker.start()
    rounds = 0
    while not done.wait(once / 10):
        rounds += 1
    worker.join()
    assert rounds >= 6, "with the lock held this thread would come at the end of every call only"


def test_several_threads_may_call_it_at_the_same_time(library: Path, given: list[Tensor]) -> None:
    run = Native(library, together=3)
    wanted = run(given)
    found: list[list[Tensor]] = []
    workers = [threading.Thread(target=lambda: found.extend(run(given) for _ in range(4))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 12
    for mine in found:
        for a, b in zip(mine, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


def test_its_memory_is_given_back(library: Path, given: list[Tensor]) -> None:
    resource = pytest.importorskip("resource")
    run = Native(library)

    def peak() -> int:
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    for _ in range(5):
        run(given)
    before = peak()
    for _ in range(60):
        run(given)  # 1.3 MB each, if it were kept
    assert peak() - before < 40_000


@pytest.mark.parametrize("content", [b"", b"no library at all"])
def test_what_is_no_library_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "step.so"
    path.write_bytes(content)
    with pytest.raises(OSError):
        Native(path)
    with pytest.raises(OSError):
        Native(tmp_path / "missing.so")


def test_another_library_is_refused() -> None:
    other = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    if not other.is_file():
        pytest.skip("torch's library has another name here")
    with pytest.raises(OSError, match="not a compiled function"):
        Native(other)


def test_a_package_without_one_library_is_refused(tmp_path: Path) -> None:
    package = tmp_path / "step.pt2"
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("model/readme.txt", "nothing")
    with pytest.raises(OSError, match="0 libraries"):
        library_of(package, tmp_path / "step.so")


def test_too_few_arguments_are_an_error(library: Path, given: list[Tensor]) -> None:
    run: Callable[[list[Tensor]], list[Tensor]] = Native(library)
    with pytest.raises(ValueError, match="takes 2 tensors, not 1"):
        run(given[:1])
