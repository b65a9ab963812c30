"""What the panel of gradients over time takes from its frames: snapshots of one layer, and numbers of each term."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from core.choices import RECOVERY
from core.frames import Array, GradientsFrame
from ui.plots.heatmap import MapCell

MEAN, BIGGEST, NORM, ZEROS, QUANTILES, RATIO = (
    "mean |g|", "max |g|", "norm", "exact zeros", "quantiles", "ratio")
STATISTICS = {  # name: what the axis says of g, the gradient, and g\u1d63, that of the residual
    MEAN: "mean |g|", BIGGEST: "max |g|", NORM: "norm of g", ZEROS: "g = 0, in %", QUANTILES: "quantiles of g",
    RATIO: "max |g\u1d63| / mean |g|",
}


class Snapshots:
    """The histograms of one term in one layer of one lane, kept in arrays that grow with the run.

    Frames without the term or the layer are passed over, and those of a grid other than the newest's.
    """

    def __init__(self, term: str, layer: str, *, weighted: bool) -> None:
        self.term, self.layer, self.weighted = term, layer, weighted
        self._forget()

    def _forget(self) -> None:
        self._taken: list[GradientsFrame] = []  # in order, also those passed over
        self._size = 0
        self._steps, self._counts = np.empty(0), np.empty((0, 1))
        self.edges: Array = np.array([-1.0, 1.0])
        self.together = np.zeros(1)  # [B] entries of all snapshots

    def take(self, frames: Sequence[GradientsFrame]) -> None:
        """All frames of the lane, oldest first. What was taken before is not read again."""
        have = len(self._taken)
        if have and not (have <= len(frames) and frames[0] is self._taken[0] and frames[have - 1] is self._taken[-1]):
            self._forget()  # the run was read anew, or frames between were left out
        if self._taken and not np.array_equal(frames[-1].edges, self.edges):
            self._forget()
        for frame in frames[len(self._taken):]:
            self._add(frame, frames[-1])
            self._taken.append(frame)

    def _add(self, frame: GradientsFrame, newest: GradientsFrame) -> None:
        if self.term not in frame.terms or self.layer not in frame.layers:
            return
        if frame.edges is not newest.edges and not np.array_equal(frame.edges, newest.edges):
            return
        table = frame.weighted_counts if self.weighted else frame.counts
        row = table[frame.terms.index(self.term), frame.layers.index(self.layer)]
        if not self._size:
            self.edges = newest.edges
            self.together = np.zeros(len(row))
            self._steps, self._counts = np.empty(64), np.empty((64, len(row)), dtype=row.dtype)
        elif self._size == len(self._steps):
            self._steps = np.concatenate([self._steps, np.empty_like(self._steps)])
            self._counts = np.concatenate([self._counts, np.empty_like(self._counts)])
        self._steps[self._size], self._counts[self._size] = frame.step, row
        self._size += 1
        self.together += row

    def cell(self, title: str, color: str | None) -> MapCell:
        """The snapshots as a cell; views of arrays whose beginning is not written again."""
        return MapCell(title, color, self._steps[:self._size], self.edges, self._counts[:self._size])

    def extent(self) -> tuple[float, float]:
        """The mean of |entry| over all snapshots (to the width of a bin) and the largest; NaN without entries."""
        filled = np.flatnonzero(self.together)
        if not len(filled):
            return math.nan, math.nan
        middle = np.abs(self.edges[1:] + self.edges[:-1]) / 2
        mean = float(self.together @ middle) / float(self.together.sum())
        return mean, float(np.abs(self.edges[[filled[0], filled[-1] + 1]]).max())


def of_terms(frame: GradientsFrame, statistic: str, layers: Sequence[str], *, weighted: bool) -> dict[str, float]:
    """MEAN, BIGGEST, NORM or ZEROS (in %) of every term over the entries of these layers together."""
    places = [frame.layers.index(layer) for layer in layers if layer in frame.layers]
    out: dict[str, float] = {}
    for t, term in enumerate(frame.terms):
        if term == RECOVERY or not places:
            continue
        factor = float(frame.weights[t]) if weighted else 1.0
        entries = frame.counts[t, places].sum(axis=1).astype(np.float64)
        share = entries / max(float(entries.sum()), 1.0)
        with np.errstate(invalid="ignore"):
            if statistic == BIGGEST:
                out[term] = factor * float(np.max(frame.max_abs[t, places]))
            elif statistic == NORM:
                out[term] = factor * math.sqrt(float((np.asarray(frame.norm[t, places]) ** 2).sum()))
            elif statistic == ZEROS:
                out[term] = 100 * float(frame.zero_share[t, places] @ share)
            else:
                out[term] = factor * float(frame.mean_abs[t, places] @ share)
    return out


def ratios(frame: GradientsFrame, residual: Collection[str], *, weighted: bool) -> dict[str, float]:
    """max |gradient of the residual| over the plain mean over the layers of mean |gradient of a term|, all layers.

    The target of the weight in Wang et al. 2021: weighted, Algorithm 2.1 of the SIAM paper and its code; raw,
    Algorithm 1 of the arXiv version.
    """
    first = [t for t, term in enumerate(frame.terms) if term in residual]
    if not first:
        return {}
    top, out = float(np.max(frame.max_abs[first])), {}
    for t, term in enumerate(frame.terms):
        if t not in first and term != RECOVERY:
            below = float(np.mean(frame.mean_abs[t])) * (float(frame.weights[t]) if weighted else 1.0)
            out[term] = top / below if below > 0 else math.nan
    return out


def quantiles(frame: GradientsFrame, term: str, layers: Sequence[str], *, weighted: bool) -> dict[str, float]:
    """Of one layer the frame's own; of several those of their histograms together, to the width of a bin."""
    places = [frame.layers.index(layer) for layer in layers if layer in frame.layers]
    if term not in frame.terms or not places:
        return {}
    t = frame.terms.index(term)
    if len(places) == 1:
        values: Array = frame.quantiles[t, places[0]] * (float(frame.weights[t]) if weighted else 1.0)
    else:
        counts = (frame.weighted_counts if weighted else frame.counts)[t, places].sum(axis=0)
        below = np.concatenate([[0.0], np.cumsum(counts, dtype=np.float64)])
        if not below[-1] > 0:
            return {}
        values = np.interp(np.array(frame.quantile_levels) * below[-1], below, frame.edges)
    return {level_name(level): float(v) for level, v in zip(frame.quantile_levels, values, strict=True)}


def level_name(level: float) -> str:
    """What the quantile of a level is called."""
    return "median" if level == 0.5 else f"{100 * level:g} %"
