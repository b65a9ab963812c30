"""A density from counts on a grid that is much finer than the counts allow in places. No Qt here."""

from __future__ import annotations

import numpy as np

from core.frames import Array
from ui.plots.ticks import Floats

SHARE = 0.02  # of the entries, at least, in each step of an outline
ENTRIES = 8  # at least, in each step: a layer of 50 weights gives no finer picture


def outline(edges: Array, counts: Array, share: float = SHARE) -> tuple[Floats, Floats]:
    """The density of the entries as a step curve whose steps each hold at least `share` of the entries (and ENTRIES).

    `edges` [B + 1] and `counts` [B] are a histogram. A symmetric-logarithmic grid has bins near zero that are so
    narrow that a broad distribution leaves most of them empty; merged until each holds its share, they give a
    density without holes and without any smoothing that would blunt a spike. Returns the edges of the steps [S + 1],
    from the first to the last occupied bin, and the density per unit of gradient [S], whose integral is 1. Two
    empty arrays where there are no counts.
    """
    counts = np.asarray(counts, dtype=np.float64)
    total = counts.sum()
    if not total > 0:
        return np.empty(0), np.empty(0)
    share = min(max(share, ENTRIES / total), 0.5)
    occupied = np.flatnonzero(counts)
    first, last = int(occupied[0]), int(occupied[-1]) + 1
    below = np.concatenate([[0.0], np.cumsum(counts[first:last])]) / total
    wanted = np.arange(1, int(1 / share)) * share
    # the first grid line at which the share is reached, and both sides of every bin that holds it alone
    full = np.flatnonzero(np.diff(below) >= share)
    reached = np.searchsorted(below, wanted - 1e-12)
    cut = np.unique(np.concatenate([[0], reached, full, full + 1, [last - first]]))
    steps = np.asarray(edges, dtype=np.float64)[first + cut]
    return steps, np.diff(below[cut]) / np.diff(steps)
