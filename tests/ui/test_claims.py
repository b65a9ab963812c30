"""The figures of the measured claims, from made-up results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from core.frames import NtkFrame, StiffnessFrame, frozen
from studio import claims
from studio.claims import HESSIAN, NTK
from studio.claims_data import Claim, Run, plain
from studio.table_runs import digest
from ui import claims as drawn
from ui.theme import DARK, LIGHT


def results(claim: Claim, folder: Path, keys: tuple[str, ...]) -> None:
    """Runs of every look, with curves that are known."""
    runs = []
    for place, key in enumerate(keys):
        setting = next(s for s in claim.settings if s.key == key)
        frames: list[StiffnessFrame | NtkFrame] = []
        for step in range(0, claim.steps + 1, claim.steps // claim.looks):
            if claim is HESSIAN:
                largest = np.array([10.0 ** (2 + place + step / claim.steps), 90.0, 9.0])
                frames.append(StiffnessFrame(
                    step=step, rows=("total", "residual", "boundary"), largest=frozen(largest),
                    lowest=frozen(-largest / 9), accuracy=frozen(largest * 0 + 1e-3), weights=frozen(np.ones(2)),
                    learning_rate=1e-3 * 0.9 ** (step / 1000), products=60))
            else:
                values = 10.0 ** np.linspace(4, 4 - 1.5 * (place + 2), 24)
                names = ("residual", "all")
                frames.append(NtkFrame(
                    step=step, terms=("residual",), points=frozen(np.array([24])),
                    eigenvalues={name: frozen(values) for name in names}, floored=dict.fromkeys(names, False),
                    kappa={name: float(values[0] / values[-1]) for name in names},
                    effective_rank=dict.fromkeys(names, 2.0), trace=frozen(values[:1]),
                    trace_activations=frozen(np.zeros(1))))
        spectrum = {"step": claim.steps, "parameters": 1000, "full": True} if setting.spectrum else {}
        if spectrum:
            values = np.linspace(-1, 1, 1000) ** 3
            np.savez(claims.spectra_path(folder), **{f"{key}/0/residual": 1e5 * values, f"{key}/0/boundary": values})
        runs.append(Run(setting=key, digest=digest(setting.resolve(claim.steps)), seed=0, steps=claim.steps,
                        frames=[plain(frame) for frame in frames], errors={claim.steps: 0.1}, spectrum=spectrum))
    claims.write(claim, runs, folder)


def test_the_figures_are_drawn_from_the_results(qtbot: QtBot, tmp_path: Path) -> None:
    results(HESSIAN, tmp_path, ("m1-4", "m3-4", "a2-4", "m1-5"))
    results(NTK, tmp_path, ("tanh", "sin", "relu3", "raf-wide", "raf-narrow", "raf-learnable-narrow"))
    for claim, kinds in ((HESSIAN, ["stiffness", "stiffness", "spectrum"]), (NTK, ["ntk"] * 3)):
        tiles = drawn.tiles(claim, tmp_path)
        assert [tile.kind for tile in tiles] == kinds
        for theme in (LIGHT, DARK):
            path = drawn.figure(tiles, tmp_path / f"{claim.name}-{theme.surface[1:]}.png", theme)
            image = QImage(str(path))
            assert image.width() > 1500 and image.height() > 900
    stiff = drawn.tiles(HESSIAN, tmp_path)[0]
    assert [frames[0].largest.tolist() for frames in stiff.frames] == [[1e4], [100.0]]  # type: ignore[union-attr]


def test_what_is_missing_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    results(NTK, tmp_path, ("tanh",))
    with pytest.raises(claims.ClaimError, match="raf-narrow.*--seeds 1"):
        drawn.tiles(NTK, tmp_path)
    with pytest.raises(claims.ClaimError, match="m1-4"):
        drawn.tiles(HESSIAN, tmp_path)
