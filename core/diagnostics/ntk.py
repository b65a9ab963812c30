"""The neural tangent kernel of the loss terms on a few fixed points, by the singular values of its Jacobian."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from core.choices import RECOVERY
from core.diagnostics.layers import fixed_draws
from core.diagnostics.slopes import LEARNED, slope_entries
from core.frames import Array, NtkFrame, frozen
from core.objective import Objective
from core.tangent_kernel import CHUNK
from core.trainer import Trainer

ALL = "all"  # the whole kernel


class NtkDiagnostic:
    """K = J J^T, J = d(residuals)/d(parameters), activations' and unknowns included (Wang, Yu & Perdikaris 2022).

    About `points` rows for each loss term, at points that are the same at all steps and of all runs: a scrambled
    Sobol' sequence from `seed`; of observations evenly spread rows. In float64 whatever the training's precision, and
    by the singular values of J: the eigenvalues of smooth activations span more decades than K's rounding leaves. Rows
    are the residuals as they are, without weights and without 1/N. Terms that are no sum of squares, such as an energy
    or slope recovery, have none.
    """

    kind = "ntk"

    def __init__(self, points: int = 16, seed: int = 0) -> None:
        if points < 1:
            raise ValueError(f"the kernel needs at least one point for each loss term, {points} is none")
        self.points, self.seed = points, seed
        self._twin: Objective | None = None
        self._draws = torch.zeros(0)

    def observe(self, trainer: Trainer) -> NtkFrame | None:
        """None for sub-domains, and where no loss term is a sum of squares."""
        with np.errstate(all="ignore"):  # what overflows is shown as such, it does not end the run
            return self._observe(trainer)

    def _observe(self, trainer: Trainer) -> NtkFrame | None:
        o = trainer.objective
        if len(o.regions) > 1:
            return None
        if self._twin is None:
            self._twin = o.twin(torch.float64, self.points)
            self._draws = fixed_draws(self._twin, self.seed)
        number, _, square, _ = self._twin.row_table()
        kept = square.nonzero().squeeze(1)
        if len(kept) == 0:
            return None
        j = jacobian(self._twin, trainer.theta.detach().double(), self._draws, kept)
        term_of = number[kept]
        terms = [k for k, term in enumerate(self._twin.terms) if term != RECOVERY and bool((term_of == k).any())]
        parts = {self._twin.terms[k]: j[term_of == k] for k in terms}
        blocks = parts | {ALL: j}
        spectra = {name: singular_values(block) for name, block in blocks.items()}
        own = _activation_columns(o)
        return NtkFrame(
            step=trainer.iteration, terms=tuple(parts), points=frozen(np.array([len(p) for p in parts.values()])),
            eigenvalues={name: frozen(s**2) for name, s in spectra.items()},
            kappa={name: _kappa(s) for name, s in spectra.items()},
            floored={name: _floored(s) for name, s in spectra.items()},
            effective_rank={name: _effective_rank(s) for name, s in spectra.items()},
            trace=frozen(np.array([float(p.square().sum(1).mean()) for p in parts.values()])),
            trace_activations=frozen(np.array([float(p[:, own].square().sum(1).mean()) for p in parts.values()])))


def jacobian(objective: Objective, theta: Tensor, draws: Tensor, kept: Tensor) -> Tensor:
    """d(rows)/d(theta) [R, P] for some of the rows; zero rows where a residual does not depend on the parameters.

    Reverse mode on all rows at once: 3 to 6 times as fast as row by row.
    """
    with torch.enable_grad():
        leaf = theta.detach().clone().requires_grad_()
        rows = objective.rows(leaf, draws)[kept]
        if not rows.requires_grad:
            return torch.zeros(len(rows), len(leaf), dtype=leaf.dtype)
        picks = torch.split(torch.eye(len(rows), dtype=rows.dtype), CHUNK)
        return torch.cat([torch.autograd.grad(rows, leaf, pick, retain_graph=True, is_grads_batched=True)[0]
                          for pick in picks])


def singular_values(j: Tensor) -> Array:
    """Of J [R, P], descending: by QR of J^T and then of its small triangle. NaN where J is not finite."""
    if not bool(torch.isfinite(j).all()):
        return np.full(min(j.shape), np.nan)
    triangle = torch.linalg.qr(j.T, mode="r")[1]
    out: Array = torch.linalg.svdvals(triangle).numpy()
    return out


def _floored(s: Array) -> bool:
    """Whether rounding decides the smallest singular value."""
    return bool(s[0] == 0 or s[-1] < len(s) * np.finfo(np.float64).eps * s[0])


def _kappa(s: Array) -> float:
    """Largest over smallest eigenvalue of K; one that is lost in rounding counts as the rounding, squared."""
    if not np.isfinite(s).all() or s[0] == 0:
        return math.nan
    return float(s[0] / max(s[-1], len(s) * np.finfo(np.float64).eps * s[0])) ** 2


def _effective_rank(s: Array) -> float:
    """exp of the entropy of the eigenvalues' shares (Roy & Vetterli 2007)."""
    if not np.isfinite(s).all() or s[0] == 0:
        return math.nan
    share = (s / s[0]) ** 2
    share = share[share > 0] / share.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def _activation_columns(objective: Objective) -> Tensor:
    """Which parameters are slopes, or those of learned activations, bool [P]."""
    own = torch.zeros(objective.size, dtype=torch.bool)
    for place in slope_entries(objective):
        own[place] = True
    for p in objective.parameters:
        if any(part in p.name for part in LEARNED):
            own[p.slice] = True
    return own
