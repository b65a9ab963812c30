"""The distribution of every loss term's gradient in every layer (Wang et al. 2021, Figs. 2, 7, 11, 12)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.frames import Array, Frame, GradientsFrame, frozen
from core.trainer import Trainer

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True)
class SymlogGrid:
    """Bins equally wide in sign(g) log10(1 + |g| / threshold): linear within the threshold, then logarithmic."""

    threshold: float
    decades: float  # beyond the threshold, on either side
    bins: int = 240

    @classmethod
    def of(cls, frame: Frame) -> SymlogGrid:
        """The grid of a frame's histograms. Raises ValueError for a frame of another kind."""
        if not isinstance(frame, GradientsFrame):
            raise ValueError(f"a frame of kind '{frame.kind}' has no histograms of gradients")
        top = float(frame.edges[-1]) / frame.linear_threshold
        return cls(frame.linear_threshold, round(math.log10(1 + top), 9), len(frame.edges) - 1)

    def coordinate(self, values: Array) -> Array:
        """Where a value lies on the axis, in decades."""
        out: Array = np.sign(values) * np.log10(1 + np.abs(values) / self.threshold)
        return out

    @property
    def edges(self) -> Array:
        """[bins + 1] in the units of the gradient."""
        u: Array = np.linspace(-self.decades, self.decades, self.bins + 1)
        out: Array = np.sign(u) * self.threshold * (10 ** np.abs(u) - 1)
        return out

    def counts(self, values: Array) -> Array:
        """[bins] uint32; what lies outside is counted in the outermost bins. NaN and infinity are not counted."""
        finite = values[np.isfinite(values)]
        place = (self.coordinate(finite) + self.decades) * (self.bins / (2 * self.decades))
        index = np.clip(place.astype(np.int64), 0, self.bins - 1)
        out: Array = np.bincount(index, minlength=self.bins).astype(np.uint32)
        return out


def grid_for(gradients: Array) -> SymlogGrid:
    """A grid that fits a run, from the gradients at its start: from 1e-7 of the largest entry to 100 times it."""
    top = float(np.max(np.abs(gradients), initial=0.0))
    top = 10.0 ** math.ceil(math.log10(top)) if math.isfinite(top) and top > 0 else 1.0
    return SymlogGrid(threshold=top * 1e-7, decades=9.0)


class GradientsDiagnostic:
    """Observes a trainer's per-term gradients on the points of its last step.

    Entries are those of the weight matrices (no biases, no encoders), as in the paper's figures.
    """

    kind = "gradients"

    def __init__(self, grid: SymlogGrid | None = None) -> None:
        self.grid = grid

    def observe(self, trainer: Trainer) -> GradientsFrame:
        with np.errstate(all="ignore"):  # a gradient that overflows is shown as such, it does not end the run
            return self._observe(trainer)

    def _observe(self, trainer: Trainer) -> GradientsFrame:
        _, tensor = trainer.term_gradients()
        gradients = tensor.numpy().astype(np.float64)
        if self.grid is None:
            self.grid = grid_for(gradients)
        grid = self.grid
        weights = trainer.weights.numpy().astype(np.float64)
        rows = [[row[k] for k in trainer.kernels] for row in gradients]

        def table(function: object) -> Array:
            return frozen(np.array([[function(g) for g in row] for row in rows]))  # type: ignore[operator]

        return GradientsFrame(
            step=trainer.iteration,
            terms=trainer.terms,
            layers=tuple(p.name.removesuffix(" W") for p in trainer.objective.kernels),
            edges=frozen(grid.edges),
            linear_threshold=grid.threshold,
            counts=table(grid.counts),
            weighted_counts=frozen(np.array([[grid.counts(w * g) for g in row]
                                             for w, row in zip(weights, rows, strict=True)])),
            weights=frozen(weights),
            max_abs=table(lambda g: np.abs(g).max()),
            mean_abs=table(lambda g: np.abs(g).mean()),
            norm=table(lambda g: np.sqrt((g * g).sum())),
            zero_share=table(lambda g: np.mean(g == 0)),
            quantile_levels=QUANTILES,
            quantiles=table(lambda g: np.quantile(g, QUANTILES)),
        )
