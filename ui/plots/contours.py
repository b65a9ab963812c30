"""Contour lines of a field on a grid, by marching squares. No Qt here."""

from __future__ import annotations

import numpy as np

from core.frames import Array

# Which edges of a cell a line joins, by which corners lie above: bit 0 (i, j), 1 (i+1, j), 2 (i+1, j+1), 3 (i, j+1).
# Edges: 0 from corner 0 to 1, 1 from 1 to 2, 2 from 2 to 3, 3 from 3 to 0. Saddles (5, 10) are told apart by the mean.
_LINES: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((3, 0),), 2: ((0, 1),), 3: ((3, 1),), 4: ((1, 2),), 6: ((0, 2),), 7: ((3, 2),),
    8: ((2, 3),), 9: ((2, 0),), 11: ((2, 1),), 12: ((1, 3),), 13: ((1, 0),), 14: ((0, 3),),
}
_CORNERS = ((0, 0), (1, 0), (1, 1), (0, 1))


def contour(values: Array, level: float) -> Array:
    """Pieces of the line where values [A, B] cross `level`, as [n, 2, 2]: both ends in units of the grid's indices.

    Cells with a corner that is not finite have no line.
    """
    field = np.asarray(values, dtype=np.float64)
    nothing = np.empty((0, 2, 2))
    if min(field.shape) < 2:
        return nothing
    corners = np.stack([field[:-1, :-1], field[1:, :-1], field[1:, 1:], field[:-1, 1:]])
    whole = np.isfinite(corners).all(0)
    corners = np.where(whole, corners, level - 1)
    case = ((corners >= level) * np.array([1, 2, 4, 8])[:, None, None]).sum(0)
    middle = corners.mean(0) >= level
    pieces = []
    for number, lines in _LINES.items():
        cells = np.argwhere(whole & (case == number))
        pieces += [_piece(corners, cells, line, level) for line in lines if len(cells)]
    for number, high, low in ((5, ((0, 1), (2, 3)), ((3, 0), (1, 2))), (10, ((3, 0), (1, 2)), ((0, 1), (2, 3)))):
        for cells, lines in ((np.argwhere(whole & (case == number) & middle), high),
                             (np.argwhere(whole & (case == number) & ~middle), low)):
            pieces += [_piece(corners, cells, line, level) for line in lines if len(cells)]
    return np.concatenate([nothing, *pieces])


def _piece(corners: Array, cells: Array, line: tuple[int, int], level: float) -> Array:
    """[cells, 2, 2] of the line that joins two edges of these cells."""
    return np.stack([_crossing(corners, cells, edge, level) for edge in line], axis=1)


def _crossing(corners: Array, cells: Array, edge: int, level: float) -> Array:
    """[cells, 2] where `level` lies on an edge, between its two corners in proportion to their values."""
    start, stop = edge, (edge + 1) % 4
    first, second = (corners[k, cells[:, 0], cells[:, 1]] for k in (start, stop))
    share = ((level - first) / (second - first))[:, None]
    return np.asarray(cells + np.array(_CORNERS[start]) * (1 - share) + np.array(_CORNERS[stop]) * share)
