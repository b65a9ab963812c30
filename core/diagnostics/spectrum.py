"""The whole spectrum of the Hessians of the loss terms (Wang et al. 2021, Fig. 5), on demand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from core.diagnostics.hessian import PRECONDITIONED, TOTAL, Hessians, lanczos, operator
from core.diagnostics.stopping import Progress, Stop, Tell, never, nobody
from core.frames import Array, SpectrumFrame, frozen
from core.trainer import Trainer

CHUNK = 16  # unit vectors at a time, so that memory stays bounded
PROBES, STEPS = 8, 80  # random starts of the quadrature, and products for each
SEED = 20_010_454


class SpectrumDiagnostic:
    """Observes all eigenvalues of a trainer's Hessians on the points of its last step, over all parameters.

    Up to `most` parameters P the matrices are built by products with all unit vectors in the run's precision, and
    their eigenvalues computed in float64, by LAPACK; this takes up to 24 P^2 bytes of memory. Above, a density by
    stochastic Lanczos quadrature (Ubaru, Chen & Saad 2017; for networks Ghorbani, Krishnan & Xiao 2019): PROBES random
    vectors of signs, STEPS products each, from fixed seeds. P sum(weights f(nodes)) then estimates trace f(H).
    """

    kind = "spectrum"

    def observe(self, trainer: Trainer, *, most: int = 12_000, rows: Sequence[str] = (), stop: Stop = never,
                tell: Tell = nobody) -> SpectrumFrame:
        """rows: of StiffnessFrame's names; () for the total and each term.

        stop is asked and tell told between the chunks. Raises Stopped, and ValueError for a row that there is not.
        Where a Hessian is not finite, its eigenvalues are NaN.
        """
        hessians = Hessians.of(trainer)
        for row in rows:
            if row not in hessians.rows:
                raise ValueError(f"there is no Hessian '{row}' now; there are {', '.join(hessians.rows)}")
        wanted = [r for r in hessians.rows if r in (rows or (TOTAL, *hessians.terms))]
        full = hessians.size <= most
        found = (_full if full else _quadrature)(hessians, wanted, stop, tell)
        return SpectrumFrame(
            step=trainer.iteration, parameters=hessians.size, full=full,
            eigenvalues={row: frozen(found[row][0]) for row in wanted},
            weights={row: frozen(found[row][1]) for row in wanted},
        )


Nodes = tuple[Array, Array]  # eigenvalues or nodes, ascending, and their weights


def _full(hessians: Hessians, rows: Sequence[str], stop: Stop, tell: Tell) -> dict[str, Nodes]:
    size = hessians.size
    chunks = math.ceil(size / CHUNK)
    terms = [row for row in rows if row in hessians.terms]
    both = [row for row in rows if row in (TOTAL, PRECONDITIONED)]
    summed = bool(both) and len(terms) == len(hessians.terms)  # H = sum_i w_i H_i, with no more products
    matrices = len(terms) + (1 if both and not summed else 0)
    solving = 0.8 * chunks  # about what the eigenvalues of one take, beside its products
    progress = Progress(matrices * chunks + len(rows) * solving, stop, tell)
    found: dict[str, Nodes] = {}

    def solve(row: str, matrix: Tensor) -> None:
        found[row] = _eigenvalues(matrix), np.full(size, 1 / size)
        progress.advance(solving)

    whole: Tensor | None = None
    for row in terms:
        matrix = _dense(hessians, row, progress)
        if summed:
            weight = float(hessians.weights[hessians.terms.index(row)])
            whole = matrix * weight if whole is None else whole.add_(matrix, alpha=weight)
        solve(row, matrix)
        del matrix
    if both:
        whole = _dense(hessians, TOTAL, progress) if whole is None else whole
        if TOTAL in both:
            solve(TOTAL, whole)
        if PRECONDITIONED in both:
            assert hessians.scale is not None
            solve(PRECONDITIONED, whole.mul_(hessians.scale).mul_(hessians.scale.unsqueeze(1)))
    return found


def _dense(hessians: Hessians, row: str, progress: Progress) -> Tensor:
    """The Hessian [P, P] of one row."""
    out = torch.zeros(hessians.size, hessians.size, dtype=hessians.dtype)
    for begin in range(0, hessians.size, CHUNK):
        count = min(CHUNK, hessians.size - begin)
        units = torch.zeros(count, hessians.size, dtype=hessians.dtype)
        units[torch.arange(count), torch.arange(begin, begin + count)] = 1
        out[begin: begin + count] = hessians.product(row, units)
        progress.advance()
    return out


def _eigenvalues(matrix: Tensor) -> Array:
    """Ascending, [P], float64; of the lower triangle, which equals the upper but for rounding."""
    if not math.isfinite(float(matrix.sum())) and not bool(torch.isfinite(matrix).all()):
        return np.full(len(matrix), math.nan)
    out: Array = torch.linalg.eigvalsh(matrix.double()).numpy()
    return out


def _quadrature(hessians: Hessians, rows: Sequence[str], stop: Stop, tell: Tell) -> dict[str, Nodes]:
    steps = min(STEPS, hessians.size)
    progress = Progress(len(rows) * PROBES * steps, stop, tell)
    found: dict[str, Nodes] = {}
    for row in rows:
        generator = torch.Generator().manual_seed(SEED)  # a row's answer does not depend on what else is wanted
        nodes, weights = [], []
        for _ in range(PROBES):
            signs = torch.randint(2, (hessians.size,), generator=generator).double() * 2 - 1
            space = lanczos(operator(hessians, row), signs, steps, progress.advance)
            if space is None:
                nodes, weights = [np.full(1, math.nan)], [np.ones(1)]
                break
            values, components = space.ritz()
            nodes.append(values)
            weights.append(components[0] ** 2 / PROBES)
        together = np.concatenate(nodes)
        order = np.argsort(together)
        found[row] = together[order], np.concatenate(weights)[order]
    tell(1.0)  # a space that was exhausted early took fewer products
    return found
