"""Looking does not change a run: two trainers side by side, one of which is observed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from core.diagnostics import spectrum
from core.diagnostics.alignment import AlignmentDiagnostic
from core.diagnostics.hessian import StiffnessDiagnostic
from core.diagnostics.landscape import LandscapeDiagnostic
from core.diagnostics.spectrum import SpectrumDiagnostic
from core.diagnostics.step_check import StepCheckDiagnostic
from tests.core.curvature import CUT, THREE, trained
from tests.core.samples import same


@pytest.mark.parametrize("problem, changes", [
    (THREE, {}),
    (THREE, {"training__precision": "float32", "sampling__every": 3, "sampling__kind": "sobol"}),
    (THREE, {"sampling__kind": "rad", "sampling__candidates": 40, "balancing__rule": "relobralo"}),
    (THREE, {"sampling__kind": "rar-d", "sampling__candidates": 40}), (THREE, {"sampling__kind": "r3"}),
    (THREE, {"balancing__direction": "pcgrad", "optimizer__kind": "gd", "optimizer__learning_rate": 1e-4}),
    (THREE, {"balancing__points": "residual-attention", "sampling__every": 0, "balancing__rule": "annealing-siam",
             "balancing__interval": 2}),
    (CUT, {"network__slopes": "layer", "network__recovery": "paper"})])
def test_the_steps_to_come_are_the_same(problem: dict[str, Any], changes: dict[str, Any],
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrum, "PROBES", 2)
    monkeypatch.setattr(spectrum, "STEPS", 10)
    watched, alone = (trained(0, problem, **changes) for _ in range(2))
    everyday = AlignmentDiagnostic(), StepCheckDiagnostic(), StiffnessDiagnostic(6)
    dice = torch.random.get_rng_state()
    for step in range(5):
        before = watched.state()
        for diagnostic in everyday:
            frame = diagnostic.observe(watched)
            assert frame is None or (frame.kind, frame.step) == (diagnostic.kind, step)
        if step in (0, 3):
            assert SpectrumDiagnostic().observe(watched, most=20).step == step
            assert SpectrumDiagnostic().observe(watched, rows=["total"]).kind == "spectrum"
            LandscapeDiagnostic().observe(watched, size=3)
            assert LandscapeDiagnostic().observe(watched, size=3, directions="hessian").kind == "landscape"
        after = watched.state()
        assert before.numbers == after.numbers
        assert all(torch.equal(before.tensors[k], after.tensors[k]) for k in before.tensors)
        assert watched.step() == alone.step()
    assert same(watched, alone)
    assert torch.equal(dice, torch.random.get_rng_state())  # nor is the global generator touched
