"""The measured claims: rules on made-up numbers, tables and files from made-up frames, and a tiny real run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.frames import NtkFrame, StiffnessFrame, frozen
from studio import claims, gallery
from studio import claims_rules as rules
from studio.build import build_trainer
from studio.claims import HESSIAN, NTK
from studio.claims_data import Run, Setting, frame_of, plain, rounded
from studio.claims_runs import measure, train
from studio.table_runs import digest

STEPS = 40


def stiffness(step: int, total: float, residual: float = 1e5, boundary: float = 1e2) -> StiffnessFrame:
    largest = np.array([total, residual, boundary])
    return StiffnessFrame(step=step, rows=("total", "residual", "boundary"), largest=frozen(largest),
                          lowest=frozen(-largest / 10), accuracy=frozen(np.array([1e-3, 0.2, math.nan])),
                          weights=frozen(np.ones(2)), learning_rate=1e-3, products=18)


def kernel(step: int, kappa: float, *, floored: bool = False) -> NtkFrame:
    values = np.array([kappa, 3.0, 1.0])
    return NtkFrame(step=step, terms=("residual",), points=frozen(np.array([3])),
                    eigenvalues={"residual": frozen(values), "all": frozen(values)},
                    kappa={"residual": kappa, "all": kappa}, floored={"residual": floored, "all": floored},
                    effective_rank={"residual": 1.5, "all": 1.5}, trace=frozen(values[:1]),
                    trace_activations=frozen(np.zeros(1)))


def run(setting: str, seed: int, frames: list[Any], **changes: Any) -> Run:
    values: dict[str, Any] = {"setting": setting, "digest": "d", "seed": seed, "steps": STEPS,
                              "frames": [plain(frame) for frame in frames],
                              "errors": {frame.step: 0.1 for frame in frames},
              "weights_only": {frame.step: {row: float(value) / 2 for row, value in zip(
                  frame.rows, frame.largest, strict=True)} for frame in frames if isinstance(frame, StiffnessFrame)}}
    return Run(**values | changes)


# ------------------------------------------------------------------ what is trained


def test_the_settings_are_those_of_the_papers() -> None:
    by_key = {s.key: s.resolve(1000, 3) for s in (*HESSIAN.settings, *NTK.settings)}
    for layers in (3, 4):
        m1, m3, smooth = (by_key[f"{name}-{layers}"] for name in ("m1", "m3", "a2"))
        assert m1.network.hidden == m3.network.hidden == smooth.network.hidden == (50,) * layers
        assert (m1.network.kind, m3.network.kind, smooth.network.kind) == ("mlp", "gated", "mlp")
        assert [one.problem.constants["a2"] for one in (m1, m3, smooth)] == [4.0, 4.0, 1.0]
        assert m1.balancing.rule == m3.balancing.rule == "fixed"
        whole = gallery.load("helmholtz-m1")
        assert m1.optimizer == whole.optimizer and m1.problem.residuals == whole.problem.residuals
    assert all(by_key[s.key].problem == by_key["tanh"].problem and by_key[s.key].training.seed == 3
               for s in NTK.settings)
    assert [by_key[key].network.activation for key in rules.FIXED] == list(rules.FIXED)
    assert all(by_key[key].network.raf == "none" for key in rules.FIXED)
    chosen = {key: (one.network.raf, one.network.raf_width) for key, one in by_key.items() if key.startswith("raf")}
    assert chosen == {"raf-wide": ("assigned", 0.5), "raf-narrow": ("assigned", 0.05),
                      "raf-learnable-wide": ("learnable", 0.5), "raf-learnable-narrow": ("learnable", 0.05)}
    marks = [digest(one) for one in by_key.values()]
    assert len(set(marks)) == len(marks), "all are different experiments"


# ------------------------------------------------------------------ rules


@pytest.mark.parametrize(("values", "verdict"), [
    ({0: 2.0, 1: 5.0}, rules.REPRODUCED), ({0: 3.0, 1: 5.01}, rules.NOT_REPRODUCED), ({0: 1.99}, rules.NOT_REPRODUCED),
    ({}, rules.OPEN), ({0: 3.0, 1: math.nan}, rules.OPEN)])
def test_every_seed_must_be_in_the_range(values: dict[int, float], verdict: str) -> None:
    assert rules.within(values, *rules.THREE) == verdict
    ones = dict.fromkeys(values, 1.0)
    found = rules.three_times("x", (values, dict.fromkeys(values, 99.0)), (ones, ones))
    assert found.verdict == verdict and found.rule == rules.THREE_RULE


def test_ratios_are_of_the_seeds_that_both_have() -> None:
    assert rules.ratios({0: 6.0, 1: 9.0, 2: 1.0}, {0: 2.0, 1: 3.0}) == {0: 3.0, 1: 3.0}
    assert math.isnan(rules.ratios({0: -1.0}, {0: 2.0})[0])


def test_a_kernel_is_better_conditioned_only_if_it_always_is() -> None:
    fixed = {"tanh": {0: 10.0, 1: 11.0}, "sin": {0: 12.0, 1: 12.0}, "relu3": {0: 7.0, 1: 8.0}}

    def verdict(*values: float) -> rules.Verdict:
        return rules.conditioned("x", "raf", [fixed | {"raf": dict(enumerate(values))}] * 3)

    assert verdict(3.0, 3.0).verdict == rules.REPRODUCED
    assert verdict(7.5, 7.5).verdict == rules.PARTLY
    assert verdict(7.5, 7.5).values == {"tanh": [6, 6], "sin": [6, 6], "relu3": [3, 6]}
    assert verdict(10.5, 12.5).verdict == rules.NOT_REPRODUCED
    assert verdict(math.nan, 3.0).verdict == rules.OPEN
    assert rules.conditioned("x", "raf", [fixed] * 3).verdict == rules.OPEN
    fixed["relu3"] = {0: math.inf, 1: math.inf}
    assert verdict(3.0, 3.0).verdict == rules.REPRODUCED, "lost in rounding is larger than what is known"
    assert verdict(3.0, math.inf).verdict == rules.OPEN, "two that are lost are not compared"


# ------------------------------------------------------------------ numbers, tables, verdicts


def test_frames_come_back_from_plain_data() -> None:
    for frame in (stiffness(7, 123.45678901), kernel(5, 1e12)):
        back = frame_of(json.loads(json.dumps(plain(frame), allow_nan=False)))
        assert type(back) is type(frame) and back.step == frame.step
        assert plain(back) == plain(frame)
    frame = frame_of(plain(stiffness(7, 123.45678901)))
    assert isinstance(frame, StiffnessFrame)
    assert frame.largest[0] == 123.4568 and math.isnan(frame.accuracy[2]) and not frame.largest.flags.writeable
    assert rounded(math.inf) is None


def test_the_median_is_that_of_the_second_half() -> None:
    looks = [stiffness(step, value) for step, value in ((0, 9e9), (10, 8e9), (20, 7e9), (30, 10.0), (40, 30.0))]
    assert claims.median_sigma(run("m1-4", 0, looks)) == 20.0
    assert claims.median_sigma(run("m1-4", 0, looks), weights=True) == 10.0
    assert math.isnan(claims.median_sigma(run("m1-4", 0, looks, failed="it broke off")))
    assert math.isnan(claims.median_sigma(run("m1-4", 0, looks[:3])))
    assert claims.last_sigma(run("m1-4", 0, looks), "boundary") == 1e2
    assert math.isnan(claims.last_sigma(run("m1-4", 0, looks[:4]), "boundary")), "it broke off before the last step"


def test_the_table_and_the_verdicts_of_hessians() -> None:
    runs = [run(key, seed, [stiffness(0, 1.0), stiffness(40, value * (1 + seed / 10))])
            for key, value in (("m1-4", 9e4), ("m3-4", 3e4), ("a2-4", 100.0), ("m1-5", 1e5)) for seed in (0, 1)]
    head, *rows = claims.table(HESSIAN, runs)
    assert [row[0] for row in rows] == [s.label for s in HESSIAN.settings if s.key in ("m1-4", "m3-4", "a2-4", "m1-5")]
    assert all(len(row) == len(head) for row in rows)
    assert rows[0][1:4] == ["2", "4.72e+04 ± 3.18e+03", "9.45e+04 ± 6.36e+03"]
    found = {verdict.claim: verdict for verdict in claims.verdicts(HESSIAN, runs)}
    decided = {text: v.verdict for text, v in found.items() if v.verdict != rules.OPEN}
    assert set(decided.values()) == {rules.REPRODUCED} and len(decided) == 4
    assert found["σ_max about three times lower: M1 against M3, (1, 4), 50 x 4"].values == {
        "weights": {"0": 3.0, "1": 3.0}, "all parameters": {"0": 3.0, "1": 3.0}}
    assert sum("50 x 3" in text for text in found) == 2, "what was not run is not decided"


def test_the_table_and_the_verdicts_of_kernels() -> None:
    decades = {"tanh": 11, "sin": 12, "relu3": 7, "raf-narrow": 3, "raf-wide": 9}
    runs = [run(key, 0, [kernel(step, 10.0**kappa) for step in (0, 8, 40)]) for key, kappa in decades.items()]
    _, *rows = claims.table(NTK, runs)
    assert {row[0]: row[2:5] for row in rows}["tanh"] == ["11.0"] * 3
    found = {verdict.claim.split(": ")[1]: verdict.verdict for verdict in claims.verdicts(NTK, runs)}
    assert found["RAF assigned, s = 0.05"] == rules.REPRODUCED
    assert found["RAF assigned, s = 0.5"] == rules.PARTLY
    assert found["RAF learnable, from s = 0.5"] == rules.OPEN
    lost = run("raf-narrow", 0, [kernel(step, 1e30, floored=True) for step in (0, 8, 40)])
    assert claims.table(NTK, [lost])[1][2] == "lost in rounding"
    assert claims.verdicts(NTK, [*runs[:3], lost])[1].verdict == rules.NOT_REPRODUCED


# ------------------------------------------------------------------ real runs and files


def test_a_tiny_run_looks_at_its_steps_and_is_kept(tmp_path: Path) -> None:
    runs = measure(NTK, 1, 10, ("raf-narrow",), "eager", tmp_path)
    (kept,) = claims.read(NTK, tmp_path, 10)
    assert kept == runs[0] and [one["step"] for one in kept.frames] == list(range(11))
    assert set(kept.errors) == set(range(11)) and kept.engine == "eager" and not kept.failed
    assert claims.log_kappa(kept, 0) < 8, "narrow Gaussians"
    assert measure(NTK, 1, 10, ("raf-narrow",), "eager", tmp_path) == [kept], "it is not trained again"
    assert claims.read(NTK, tmp_path) == [], "shorter runs are no others"
    page = (tmp_path / "claims.md").read_text(encoding="utf-8")
    assert "RAF assigned, s = 0.05" in page and rules.KAPPA_RULE in page
    again, _ = train(NTK, NTK.settings[4], 0, 10)
    assert (again.frames, again.errors) == (kept.frames, kept.errors), "the same seed gives the same bits"


def test_a_tiny_run_of_stiffness(tmp_path: Path) -> None:
    setting = Setting("m1-4", "", "stiffness-m1-m3", 0, {"network.hidden": [6, 6]})
    found, spectra = train(HESSIAN, setting, 0, 2)
    dense = _weight_hessian(setting)
    assert found.weights_only[0]["total"] == pytest.approx(float(np.linalg.eigvalsh(dense)[-1]), rel=1e-3)
    assert set(found.weights_only[2]) == {"total", "residual", "boundary"} and set(found.weights_only[1]) == {"total"}
    assert spectra == {} and [one["step"] for one in found.frames] == [0, 1, 2]
    assert claims.median_sigma(found) > 0 and found.frames[-1]["rows"][:3] == ["total", "residual", "boundary"]


def _weight_hessian(setting: Setting) -> Any:
    """The dense Hessian [W, W] of the whole loss over the weight matrices at the start, by torch's own."""
    trainer = build_trainer(setting.resolve(2))
    draws, objective = trainer.coming_draws(), trainer.objective
    own = torch.cat([torch.arange(p.slice.start, p.slice.stop) for p in objective.kernels])

    def loss(part: torch.Tensor) -> torch.Tensor:
        theta = trainer.theta.index_copy(0, own, part)
        return torch.dot(torch.stack(objective.losses(theta, draws)), trainer.weights)

    return torch.autograd.functional.hessian(loss, trainer.theta[own]).double().numpy()


def test_what_cannot_be_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claims.result_path("ntk", tmp_path).write_text("no JSON", encoding="utf-8")
    with pytest.raises(claims.ClaimError, match="cannot be read"):
        claims.read(NTK, tmp_path)
    assert claims.main(["ntk", "--only", "nothing"]) == claims.BAD_INPUT
    assert "there is no setting 'nothing'" in capsys.readouterr().err
    assert claims.main(["ntk", "--folder", str(tmp_path)]) == claims.BAD_INPUT
    assert "cannot be read" in capsys.readouterr().err
