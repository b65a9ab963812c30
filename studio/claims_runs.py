"""The runs of studio.claims: trained directly, so that the looks come at fixed steps whatever they cost."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.diagnostics.hessian import SEED, Hessians, StiffnessDiagnostic, extremes
from core.diagnostics.ntk import NtkDiagnostic
from core.diagnostics.spectrum import SpectrumDiagnostic
from core.engine import EagerEngine
from core.frames import NtkFrame, StiffnessFrame
from core.trainer import NotFinite, Trainer
from studio import claims
from studio.build import build_fields, build_trainer
from studio.claims import BOUNDARY, RESIDUAL, TOTAL, ClaimError
from studio.claims_data import Claim, Run, Setting, plain, rounded
from studio.compiling import CompileError, compiled_engine
from studio.experiment import Experiment
from studio.table_runs import digest

PRODUCTS = 20  # with the Hessian for each row of a look, at most
WORTH = 10_000  # steps from which on compiling pays


def measure(claim: Claim, seeds: int, steps: int, only: Sequence[str], engine: str, folder: Path | None) -> list[Run]:
    """All runs of the claim: those in the folder, and what is missing of so many seeds. Writes after every run.

    Seed 0 of all settings comes first, so that the whole table fills soon. folder: None to keep nothing.
    Raises ClaimError.
    """
    runs = claims.read(claim, folder, steps) if folder is not None else []
    for seed in range(seeds):
        for setting in claim.settings:
            known = any(run.setting == setting.key and run.seed == seed for run in runs)
            if known or (only and setting.key not in only):
                continue
            begun = time.perf_counter()
            run, spectra = train(claim, setting, seed, steps, engine)
            print(f"{setting.label}, seed {seed}: {run.failed or 'done'}, {run.engine}, "
                  f"{time.perf_counter() - begun:.0f} s, of it {run.seconds:.0f} s of training", file=sys.stderr,
                  flush=True)
            runs.append(run)
            if folder is not None:
                if spectra:
                    keep_spectra(spectra, folder)
                claims.write(claim, runs, folder)
    return runs


def train(claim: Claim, setting: Setting, seed: int, steps: int, engine: str = "eager") -> tuple[Run, dict[str, Any]]:
    """One run with its looks, and its spectra [P] by their names in the file."""
    experiment = setting.resolve(steps, seed)
    trainer = build_trainer(experiment)
    _hurry(experiment, trainer, engine)
    fields = build_fields(experiment, trainer)
    diagnostic = (StiffnessDiagnostic(PRODUCTS) if claim.kind == "stiffness"
                  else NtkDiagnostic(experiment.diagnostics.ntk_points))
    every = max(1, steps // claim.looks)
    weight_stiffness = WeightStiffness()
    frames: list[dict[str, Any]] = []
    weights_only: dict[int, dict[str, float | None]] = {}
    errors: dict[int, float | None] = {}
    seconds, failed = 0.0, ""
    for look in sorted({*range(0, steps, every), *claims.moments(steps)}):
        begun = time.thread_time()
        try:
            while trainer.iteration < look:
                trainer.step()
        except NotFinite as error:
            failed = str(error)
            break
        seconds += time.thread_time() - begun
        with np.errstate(all="ignore"):
            frame = diagnostic.observe(trainer)
        assert isinstance(frame, (StiffnessFrame, NtkFrame))  # neither problem has sub-domains
        frames.append(plain(frame))
        if isinstance(frame, StiffnessFrame):
            rows = (TOTAL, RESIDUAL, BOUNDARY) if look == steps else (TOTAL,)
            weights_only[look] = weight_stiffness.observe(trainer, rows)
        errors[look] = rounded(max(fields.relative_l2(trainer).values()))
    about, spectra = _spectra(setting, seed, trainer) if setting.spectrum and seed == 0 and not failed else ({}, {})
    return Run(setting=setting.key, digest=digest(experiment), seed=seed, steps=steps, engine=trainer.engine.name,
               seconds=round(seconds, 1), failed=failed, date=datetime.now(UTC).isoformat(timespec="seconds"),
               errors=errors, weights_only=weights_only, frames=frames, spectrum=about), spectra


class WeightHessians(Hessians):
    """Hessians over the weight matrices of the layers alone, without biases and encoders, as the paper has them."""

    def product(self, row: str, v: Tensor) -> Tensor:
        own = torch.zeros(self.size, dtype=self.dtype)
        for kernel in self.objective.kernels:
            own[kernel.slice] = 1
        return own * super().product(row, own * v)


class WeightStiffness:
    """The largest eigenvalues of these, each look from the eigenvectors of the last one."""

    def __init__(self) -> None:
        self._warm: dict[str, Sequence[Tensor]] = {}

    def observe(self, trainer: Trainer, rows: Sequence[str]) -> dict[str, float | None]:
        """By row; null where a product is not finite."""
        hessians, generator = WeightHessians.of(trainer), torch.Generator().manual_seed(SEED)
        out: dict[str, float | None] = {}
        for row in rows:
            found = extremes(hessians, row, PRODUCTS, self._warm.get(row, ()), generator)
            self._warm[row] = () if found is None else found.vectors
            out[row] = None if found is None else rounded(found.largest)
        return out


def _hurry(experiment: Experiment, trainer: Trainer, engine: str) -> None:
    """The compiled step from the first step to the last, so that a seed gives the same bits again."""
    if engine == "eager" or (engine == "auto" and experiment.training.steps < WORTH):
        return
    assert isinstance(trainer.engine, EagerEngine)
    try:
        trainer.engine = compiled_engine(experiment, trainer.engine)
    except CompileError as error:
        if engine == "compiled":
            raise ClaimError(str(error)) from None
        print(f"{error}; the step stays eager", file=sys.stderr)


def _spectra(setting: Setting, seed: int, trainer: Trainer) -> tuple[dict[str, Any], dict[str, Any]]:
    """Numbers of the spectra of both terms, and all eigenvalues by their names in the file."""
    found = SpectrumDiagnostic().observe(trainer, rows=(RESIDUAL, BOUNDARY))
    about: dict[str, Any] = {"step": found.step, "parameters": found.parameters, "full": found.full}
    for row, values in found.eigenvalues.items():
        about[row] = {"largest": rounded(values[-1]), "lowest": rounded(values[0]),
                      "above a hundredth of the largest": int((values > values[-1] / 100).sum())}
    kept = {f"{setting.key}/{seed}/{row}": values.astype(np.float32) for row, values in found.eigenvalues.items()}
    return about, kept


def keep_spectra(spectra: Mapping[str, Any], folder: Path) -> None:
    """Add to the file of spectra. Raises ClaimError."""
    path = claims.spectra_path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        old: dict[str, Any] = {}
        if path.exists():
            with np.load(path, allow_pickle=False) as file:
                old = {name: file[name] for name in file.files}
        np.savez_compressed(path, **{**old, **spectra})
    except (OSError, ValueError) as error:
        raise ClaimError(f"the spectra cannot be written to {path}: {error}") from None
