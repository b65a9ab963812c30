"""Self-scaled quasi-Newton methods with the whole inverse Hessian."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from core.solvers.loss import Loss
from core.solvers.quasi_newton import Pair, start, step
from core.solvers.solver import Advance, Memory, Watch

#: More parameters than this are refused: three matrices [P, P] live at a time, 2.4 GB each in float64 here.
LARGEST = 17_500
#: Where a = h b - 1 is below this, s and H y are parallel to rounding and all members of the family are the same.
PARALLEL = 1e-12
EPSILON = 2.0**-53  # what 1 - c is at least, where it is not zero
#: Pairs that wait beside the matrix before one product of matrices puts them in. A pair that is put in at once costs
#: the memory's speed, a read and a write of the whole matrix; a product of matrices costs the processor's.
PENDING = 32
#: Rows and columns whose two halves are averaged at a time: few enough to stay near the processor.
TILE = 256


@dataclass(frozen=True)
class SelfScaled:
    """The self-scaled Broyden family of Urban, Stefanou & Pons (arXiv 2405.04230, J. Comput. Phys. 2024, 113656).

        H+ = [H - H y y^T H / (y^T H y) + phi v v^T] / tau + s s^T / (y^T s)
        v = sqrt(y^T H y) (s / (y^T s) - H y / (y^T H y))

    kind 'ssbfgs': phi = 1 and tau = min(1, y^T s / (s^T B s)) (Al-Baali's; their eq. 11, 'SSBFGS_AB' in their code).
    kind 'ssbroyden': tau and phi of their eqs. 13-23 ('SSBroyden2' in their code). With
    b = s^T B s / y^T s, h = y^T H y / y^T s and a = h b - 1 >= 0:

        c = sqrt(a / (1 + a)), rho- = min(1, h (1 - c)), theta- = (rho- - 1) / a, theta+ = 1 / rho-
        theta = max(theta-, min(theta+, (1 - b) / b)), sigma = 1 + theta a, rho = min(1, 1 / b)
        tau = min(rho sigma^(1/(1-P)), sigma) where theta <= 0, else rho min(sigma^(1/(1-P)), 1 / theta)
        phi = (1 - theta) / (1 + theta a)

    B s = -step g, so b needs no product with B. In the first update, of H = I, tau = h / (1 + theta a), which scales H
    to the curvature. A strong Wolfe line search finds the length of each step, the full one first; the learning rate
    is not used. Where it fails H is forgotten once, with a note; where it fails again, `done` says why.

    Memory: H = factor h + u^T c u, with h [P, P], and in u [2 PENDING, P] and c [2 PENDING, 2 PENDING] the pairs that
    are not in h yet, `pending` of them; count: of all pairs; ahead [P]: -H times the gradient `of` [P]. Raises
    ValueError where there are too many parameters for a matrix.
    """

    kind: Literal["ssbfgs", "ssbroyden"] = "ssbroyden"
    needs: Literal["gradient", "rows"] = "gradient"

    def start(self, theta: Tensor) -> Memory:
        if len(theta) > LARGEST:
            raise ValueError(f"self-scaled methods keep a matrix of parameters by parameters; {len(theta)} of them are "
                             f"too many, at most {LARGEST} are allowed. L-BFGS has no such limit")
        return start(self, theta)

    def step(self, loss: Loss, theta: Tensor, memory: Memory, learning_rate: float, watch: Watch) -> Advance:
        return step(self, loss, theta, memory, watch)

    # ------------------------------------------------------------------ the inverse Hessian

    def fresh(self, theta: Tensor) -> dict[str, Tensor]:
        """The identity."""
        size = len(theta)
        return {"h": torch.eye(size, dtype=theta.dtype, device=theta.device),
                "factor": torch.ones((), dtype=theta.dtype), "u": theta.new_zeros(2 * PENDING, size),
                "c": theta.new_zeros(2 * PENDING, 2 * PENDING), "pending": torch.tensor(0), "count": torch.tensor(0),
                "ahead": theta.new_zeros(size), "of": theta.new_full((size,), math.inf)}

    def direction(self, memory: Memory, gradient: Tensor) -> Tensor:
        """-H g [P]; of the gradient that the last pair ended with it is known already."""
        if torch.equal(memory["of"], gradient):
            return memory["ahead"]
        return -_times(memory, gradient)

    def learnt(self, memory: Memory, pair: Pair) -> dict[str, Tensor]:
        """H+, and its product with the gradient to come, by one product with H: H y = H g+ - H g, and -H g is known."""
        new, s, after = dict(memory), pair.s, pair.after
        hg = _times(memory, after)
        hy = hg + pair.direction
        q, first = float(torch.dot(pair.y, hy)), int(memory["count"]) == 0
        sbs = -pair.step * float(torch.dot(s, pair.g))
        if not (q > 0 and sbs > 0 and math.isfinite(q)):
            return new  # H has lost its positive curvature along y to rounding: nothing can be learnt from it
        tau, phi = scaling(self.kind, sbs / pair.ys, q / pair.ys, len(s), first=first)
        # what is added to H / tau is (s, H y) C (s, H y)^T with a C [2, 2]: of rank two
        ss, sh, hh = (phi * q / (tau * pair.ys) + 1) / pair.ys, -phi / (tau * pair.ys), (phi - 1) / (tau * q)
        along_s, along_h = float(torch.dot(s, after)), float(torch.dot(hy, after))
        new["ahead"] = -(hg / tau + s * (ss * along_s + sh * along_h) + hy * (sh * along_s + hh * along_h))
        new["of"] = after
        _append(new, tau, s, hy, (ss, sh, hh))
        new["count"] = memory["count"] + 1
        return new


def inverse_hessian(memory: Memory) -> Tensor:
    """H [P, P], symmetric bit for bit, with the pairs that wait put in."""
    return _folded(memory)["h"]


def _times(memory: Memory, x: Tensor) -> Tensor:
    """H x [P]."""
    out = (memory["h"] @ x) * memory["factor"].to(x.device)
    used = 2 * int(memory["pending"])
    if used:
        u = memory["u"][:used]
        out += (memory["c"][:used, :used] @ (u @ x)) @ u
    return out


def _append(memory: dict[str, Tensor], tau: float, s: Tensor, hy: Tensor, block: tuple[float, float, float]) -> None:
    """H / tau + (s, H y) block (s, H y)^T, as one more pair that waits; where there is no room all are put in."""
    k = 2 * int(memory["pending"])
    u, c = memory["u"].clone(), memory["c"] / tau
    ls, lh = float(torch.linalg.vector_norm(s)), float(torch.linalg.vector_norm(hy))
    u[k], u[k + 1] = s / ls, hy / lh  # s is small and H y is large, or the reverse
    c[k, k], c[k + 1, k + 1] = block[0] * ls * ls, block[2] * lh * lh
    c[k, k + 1] = c[k + 1, k] = block[1] * ls * lh
    memory |= {"u": u, "c": c, "factor": memory["factor"] / tau, "pending": memory["pending"] + 1}
    if k + 2 == len(u):
        memory |= _folded(memory)


def _folded(memory: Memory) -> dict[str, Tensor]:
    """The tensors with no pair waiting, by one product of matrices; a new matrix, symmetric bit for bit.

    What is not symmetric in H is never corrected, only multiplied by 1 / tau, and torch's products round by the place
    in the matrix; so both halves are set to their mean.
    """
    used = 2 * int(memory["pending"])
    u = memory["u"][:used]
    matrix = memory["h"] * memory["factor"].to(u.device)
    if used:
        matrix.addmm_((memory["c"][:used, :used] @ u).T, u)
        for i in range(0, len(matrix), TILE):
            for j in range(0, i + 1, TILE):
                tile = matrix[i: i + TILE, j: j + TILE]
                other = matrix[j: j + TILE, i: i + TILE]
                mean = (tile + other.T) / 2
                tile.copy_(mean)
                other.copy_(mean.T)
    return {"h": matrix, "factor": torch.ones_like(memory["factor"]), "u": torch.zeros_like(memory["u"]),
            "c": torch.zeros_like(memory["c"]), "pending": torch.zeros_like(memory["pending"])}


def scaling(kind: str, b: float, h: float, size: int, *, first: bool) -> tuple[float, float]:
    """(tau, phi) from b = s^T B s / y^T s and h = y^T H y / y^T s; size: P; first: H is the identity."""
    a = max(h * b - 1, 0.0)  # Cauchy and Schwarz; rounding may say otherwise
    theta = 0.0
    if kind == "ssbroyden" and a > PARALLEL:
        c = math.sqrt(a / (1 + a))
        rho = min(1.0, h * max(1 - c, EPSILON))
        theta = max((rho - 1) / a, min(1 / rho, (1 - b) / b))
    sigma = 1 + theta * a
    shrunk = min(1.0, 1 / b)
    if first:
        tau = h / sigma
    elif kind == "ssbfgs":
        tau = shrunk
    else:
        power = sigma ** (1 / (1 - size)) if size > 1 else 1.0
        tau = min(shrunk * power, sigma) if theta <= 0 else shrunk * min(power, 1 / theta)
    return tau, (1 - theta) / sigma
