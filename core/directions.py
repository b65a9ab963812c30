"""How the gradients of the loss terms become one direction: the sum, or one that hurts no term.

Every function takes gradients [T, P] of the loss terms, already weighted, and the run's generator, and returns a
direction [P] in the gradients' dtype, to be used where the plain sum would be. Nothing is changed in place. A term
whose gradient is zero has no say. With a single term, and with terms that all point the same way, each returns the
plain sum. Otherwise the length is the papers': config and dual-cone have the sum's projection on their direction, so
they are never longer than the sum. Where gradients exclude each other, as two opposite ones do, the direction is zero:
no step serves them all. Non-finite gradients give the (non-finite) sum, so that a trainer sees them as it does without
this.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def total(gradients: Tensor, generator: torch.Generator) -> Tensor:
    """The plain sum over the terms."""
    return gradients.sum(0)


def config(gradients: Tensor, generator: torch.Generator) -> Tensor:
    """ConFIG (Liu, Chu & Thuerey, arXiv 2408.11104): the same positive cosine with every term's gradient.

    g_u = U(pinv(rows g_i / |g_i|) 1), U: made a unit vector; the direction is (sum_i g_i . g_u) g_u, so its length is
    the sum's projection on it. Where no vector has equal cosines (gradients linearly dependent) the pseudo-inverse
    takes the nearest in least squares.
    """
    gram, norms = _gram(gradients)
    if not bool(torch.isfinite(gram).all()):
        return gradients.sum(0)
    live = (norms > 0).to(gram)
    # dependence below the gradients' own rounding is dependence
    inverse = torch.linalg.pinv(gram, rtol=len(gram) * torch.finfo(gradients.dtype).eps, hermitian=True)
    return _projected(inverse @ live, gram, norms, gradients)


def pcgrad(gradients: Tensor, generator: torch.Generator) -> Tensor:
    """PCGrad (Yu et al., NeurIPS 2020, Algorithm 1): each gradient loses what opposes the others; then the sum.

    For each term, the others in random order: where the inner product of what is left with g_j is negative, its
    component along g_j is taken off. Without conflicts this is the plain sum.
    """
    gram, norms = _gram(gradients)
    terms = len(gram)
    orders = [torch.randperm(terms, generator=generator).tolist() for _ in range(terms)]
    if not bool(torch.isfinite(gram).all()):
        return gradients.sum(0)
    parts = torch.diag(norms)  # row i: what is left of g_i, in units of the g_j / |g_j|
    for i, order in enumerate(orders):
        for j in order:
            if j != i:
                parts[i, j] -= (parts[i] @ gram[:, j]).clamp(max=0)
    return _combined(parts.sum(0), norms, gradients)


def dual_cone(gradients: Tensor, generator: torch.Generator) -> Tensor:
    """DCGD, centre variant (Hwang & Lim, NeurIPS 2024): the bisector of the gradients, no term's loss grows along it.

    g_c = sum_i g_i / |g_i|; the direction is (g_c . g / |g_c|^2) g_c with g the sum, so its length is the sum's
    projection on it. The paper has two gradients, residual and conditions, for which g_c always lies in the dual cone
    {v: v . g_i >= 0}. Here every term counts by itself; with three or more g_c may leave the cone, and is then
    replaced by the nearest point of it, which is ours and not in the paper.
    """
    gram, norms = _gram(gradients)
    if not bool(torch.isfinite(gram).all()):
        return gradients.sum(0)
    centre = (norms > 0).to(gram)
    return _projected(centre + _into_cone(gram, centre), gram, norms, gradients)


#: By the names of core.choices.Direction.
DIRECTIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "sum": total, "config": config, "pcgrad": pcgrad, "dual-cone": dual_cone}


# All that the methods decide, they decide in the span of T unit gradients: on their T x T Gram matrix in float64, whose
# cost beside the gradients themselves is nothing.


def _gram(gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines [T, T] of the gradients, zero rows for zero gradients; their norms [T]. Both float64."""
    exact = gradients.double()
    norms = torch.linalg.vector_norm(exact, dim=1)
    unit = exact / torch.where(norms == 0, torch.ones_like(norms), norms).unsqueeze(1)
    return unit @ unit.mT, norms


def _combined(parts: Tensor, norms: Tensor, gradients: Tensor) -> Tensor:
    """The vector [P] with components `parts` [T] along the unit gradients."""
    return (parts / torch.where(norms == 0, torch.ones_like(norms), norms)).to(gradients.dtype) @ gradients


def _projected(parts: Tensor, gram: Tensor, norms: Tensor, gradients: Tensor) -> Tensor:
    """The plain sum's projection on the vector with components `parts`; zero where that vector is."""
    square = float(parts @ gram @ parts)
    # too short beside the unit gradients it is made of, it is their rounding errors, or the Gram matrix's
    if square <= max(torch.finfo(gradients.dtype).eps, 1e-13 * float(parts @ parts)):
        return torch.zeros_like(gradients[0])
    return _combined(parts * (float(norms @ gram @ parts) / square), norms, gradients)


def _into_cone(gram: Tensor, parts: Tensor) -> Tensor:
    """What to add to `parts` so that the vector v becomes the nearest with v . g_i >= 0 for all i; both [T].

    The correction is sum_i mu_i g_i / |g_i|, mu >= 0 (Moreau), with mu the minimum of |v + correction|^2: non-negative
    least squares, by the active set of Lawson & Hanson 1974. Adds nothing where v is in the cone already.
    """
    g = gram.cpu().numpy()
    slope = g @ parts.cpu().numpy()  # the inner products of v, which must not be negative
    mu = np.zeros(len(g))
    used = np.zeros(len(g), dtype=bool)
    for _ in range(3 * len(g)):
        lacking = np.where(used, 0.0, -(g @ mu + slope))
        if lacking.max() <= 1e-12:
            break
        used[lacking.argmax()] = True
        while used.any():
            best = np.zeros(len(g))
            best[used] = np.linalg.lstsq(g[np.ix_(used, used)], -slope[used], rcond=None)[0]
            if (best[used] > 0).all():
                mu = best
                break
            # as far towards the best as none turns negative; the one that stops it leaves
            reach = np.array([m / (m - b) if m > 0 >= b else 0.0 if u and b <= 0 else np.inf
                              for m, b, u in zip(mu, best, used, strict=True)])
            stop = reach.argmin()
            mu = np.maximum(mu + reach[stop] * (best - mu), 0.0)
            mu[stop] = 0.0
            used &= mu > 0
    return torch.from_numpy(mu).to(gram)
