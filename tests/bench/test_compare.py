"""The benchmark's own machinery, with engines that do nothing but answer."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent

ANSWERS = f"""
import sys, time
sys.path.insert(0, {str(HERE)!r})
import rounds
given = rounds.arguments("quick", "slow", "broken")
print("a library that talks")
def run(steps):
    if given.variant == "broken" and steps > rounds.WARM_UP_STEPS:
        raise RuntimeError("out of order")
    time.sleep(steps * (1e-4 if given.variant == "quick" else 1e-3))
    return 0.5
rounds.serve({{"fake": "1"}}, run)
"""


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """compare.py as a module, with three engines of ours."""
    spec = importlib.util.spec_from_file_location("bench_compare", HERE / "compare.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_compare", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    script = tmp_path / "engine.py"
    script.write_text(ANSWERS)
    names = {"quick": "quick", "deepxde": "slow", "broken": "broken"}
    engines = tuple(module.Engine(n, n, str(script), v, Path(sys.executable)) for n, v in names.items())
    monkeypatch.setattr(module, "ENGINES", engines)
    return module


def test_engines_take_turns_and_are_compared(
    compare: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "hold_to_cores", lambda threads: [])  # the other tests keep their processors
    out = tmp_path / "new" / "speed.json"
    code = compare.main(["--problems", "helmholtz", "--points", "8", "--rounds", "3", "--steps", "60",
                         "--out", str(out)])
    assert code == 1  # one of them is broken, and the others were measured all the same
    results = json.loads(out.read_text())["interior_points"]["8"]
    quick, slow = (results[name]["steps_per_second"] for name in ("quick", "deepxde"))
    assert quick["min"] <= quick["median"] <= quick["max"] <= 10_000
    assert slow["max"] <= 1_000 < quick["median"]
    assert len(results["quick"]["rounds"]) == 3
    assert results["quick"]["versions"]["fake"] == "1"
    assert results["quick"]["peak_mb"] > 1.0
    assert results["broken"]["error"].endswith("RuntimeError: out of order")
    table = capsys.readouterr().out
    assert "1.00" in table and "failed: it ended with code 1" in table


def test_other_problems_have_their_own_size_and_target(
    compare: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "hold_to_cores", lambda threads: [])
    monkeypatch.setattr(compare, "OURS_FASTEST", "quick")
    out = tmp_path / "speed.json"
    compare.main(["--problems", "burgers", "--rounds", "1", "--steps", "60", "--only", "quick", "deepxde", "--out",
                  str(out)])
    report = json.loads(out.read_text())
    found = report["problems"]["burgers"]
    rates = {name: one["steps_per_second"]["median"] for name, one in found["engines"].items()}
    assert not report["interior_points"] and found["interior_points"] == 1000
    assert found["against_deepxde"] == pytest.approx(rates["quick"] / rates["deepxde"])
    assert "the target is 4: met" in capsys.readouterr().out


def test_an_engine_that_says_nothing_is_given_up(compare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "PATIENCE", 0.0)
    process = compare.Process(compare.ENGINES[0], "helmholtz", 8, 1)
    try:
        with pytest.raises(compare.EngineError, match="said nothing"):
            process.answer()
    finally:
        process.close()


def test_an_impossible_number_of_threads_is_refused(compare: ModuleType) -> None:
    with pytest.raises(ValueError, match="want 100000 processors"):
        compare.hold_to_cores(100_000)
