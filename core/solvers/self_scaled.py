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
#: Rows of the matrix that are changed at a time: few enough to stay near the processor.
ROWS = 64


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
    to the curvature. Memory: h [P, P]. A strong Wolfe line search finds the length of each step, the full one first;
    the learning rate is not used. Where it fails H is forgotten once, with a note; where it fails again, `done` says
    why. Raises ValueError where there are too many parameters for a matrix.
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
        return {"h": torch.eye(len(theta), dtype=theta.dtype, device=theta.device), "count": torch.tensor(0)}

    def direction(self, memory: Memory, gradient: Tensor) -> Tensor:
        """-H g [P]."""
        return -(memory["h"] @ gradient)

    def learnt(self, memory: Memory, pair: Pair) -> dict[str, Tensor]:
        """H+ by one pass over H."""
        matrix, s = memory["h"], pair.s
        hy = matrix @ pair.y
        q, first = float(torch.dot(pair.y, hy)), int(memory["count"]) == 0
        sbs = -pair.step * float(torch.dot(s, pair.g))
        if not (q > 0 and sbs > 0 and math.isfinite(q)):
            return dict(memory)  # H has lost its positive curvature along y to rounding: nothing can be learnt from it
        tau, phi = scaling(self.kind, sbs / pair.ys, q / pair.ys, len(s), first=first)
        # what is added to H / tau is (s, H y) C (s, H y)^T with a C [2, 2]: of rank two
        cross = -phi / (tau * pair.ys)
        new = rank_two(matrix, 1 / tau, s, hy, (phi * q / (tau * pair.ys) + 1) / pair.ys, cross, (phi - 1) / (tau * q))
        return {"h": new, "count": memory["count"] + 1}


def scaling(kind: str, b: float, h: float, size: int, *, first: bool) -> tuple[float, float]:
    """(tau, phi) from b = s^T B s / y^T s and h = y^T H y / y^T s; size: P; first: H is the identity."""
    a = max(h * b - 1, 0.0)  # Cauchy and Schwarz; rounding may say otherwise
    theta = 0.0
    if kind == "ssbroyden" and a > PARALLEL:
        c = math.sqrt(a / (1 + a))
        rho = min(1.0, h * (1 - c))
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


def rank_two(matrix: Tensor, factor: float, u: Tensor, v: Tensor, uu: float, uv: float, vv: float) -> Tensor:
    """factor * matrix + uu u u^T + uv (u v^T + v u^T) + vv v v^T, with one new matrix, symmetric bit for bit.

    What is not symmetric in H is never corrected, only multiplied by 1 / tau. So the sum is written as one of two
    squares, +-z z^T each, whose elements do not depend on their order. Rows are done a few at a time, product and sum
    apart: torch's `addr` and `addmm` round by the place in the matrix, and a whole product would be one matrix more.
    """
    pair = torch.stack([u, v])
    scale = torch.linalg.vector_norm(pair, dim=1).double().cpu()  # s is small and H y is large, or the reverse
    small = torch.tensor([[uu, uv], [uv, vv]], dtype=torch.float64) * scale.outer(scale)
    values, vectors = torch.linalg.eigh(small)
    z = ((vectors * values.abs().sqrt()).T / scale).to(matrix) @ pair
    signs = values.sign().tolist()
    out, product = torch.empty_like(matrix), matrix.new_empty(min(ROWS, len(matrix)), len(matrix))
    for begin in range(0, len(matrix), ROWS):
        rows = torch.mul(matrix[begin: begin + ROWS], factor, out=out[begin: begin + ROWS])
        for sign, own in zip(signs, z, strict=True):
            part = torch.mul(own[begin: begin + ROWS].unsqueeze(1), own, out=product[: len(rows)])
            rows.add_(part, alpha=sign)
    return out
