"""The neural tangent kernel of the loss terms: K = J J^T, J the derivatives of the residuals by the parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from core.objective import Objective
from core.pointwise import grouped

CHUNK = 64  # rows of J at a time, so that memory stays bounded


def traces(objective: Objective, theta: Tensor, draws: Tensor) -> Tensor:
    """Tr(K_ii) [T] of every loss term's block (Wang, Yu & Perdikaris 2022): the sum of |d r_j / d theta|^2 over its
    rows. A term without rows of its own, such as slope recovery, has zero. Not for sub-domains.
    """
    terms = objective.row_table()[0]
    with torch.enable_grad():
        leaf = theta.detach().requires_grad_()
        rows = objective.rows(leaf, draws)
        squares = []
        for begin in range(0, len(rows), CHUNK):
            count = min(CHUNK, len(rows) - begin)
            picks = theta.new_zeros(count, len(rows))
            picks[:, begin: begin + count].fill_diagonal_(1)
            gradients = torch.autograd.grad(rows, leaf, picks, retain_graph=True, is_grads_batched=True)[0]
            squares.append(gradients.square().sum(1))
    return grouped(torch.cat(squares), terms, len(objective.terms))
