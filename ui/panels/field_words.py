"""What the panel of fields says about itself, and its numbers as a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.frames import FieldsFrame
from ui.panels.panel import Explanation

POINTS_TIP = (
    "The collocation points of the last step over the maps, in the colors of their loss terms; 2,000 of them at most. "
    "Where inputs are held, those that lie within 5 % of the range of each of them."
)

EXPLANATION = Explanation(
    sentences=(
        "The maps show the network's field u, the exact or reference solution on the same colors, their absolute "
        "difference from zero on, and the residual: what is left over when the network is put into the equation.",
        "Read error and residual together: the residual says where the equation is violated, the error how far away "
        "the solution is; the derivatives in the list of fields show which part of the equation does it.",
        "Healthy: the error has no pattern and shrinks everywhere, the residual is noise of the same size all over "
        "the domain, and the relative L2 error falls with the loss.",
        "Ill: a small residual beside a large error, which is a solution of the equation that a boundary or initial "
        "condition was never imposed on; or a residual that is large in a narrow front or along an edge only.",
        "Weight the starved condition, sample where the residual is large, or take a network that can bend as fast "
        "as the front; with 'points' you see whether the collocation points reach it, with a cut how sharp it is.",
    ),
    formulas=(
        r"\frac{\lVert u_\theta - u \rVert_2}{\lVert u \rVert_2} "
        r"= \sqrt{\frac{\sum_i (u_\theta(x_i) - u(x_i))^2}{\sum_i u(x_i)^2}}",
        r"r_\theta(x) = \mathcal{N}[u_\theta](x) - f(x)",
    ),
    source="Raissi, Perdikaris & Karniadakis 2019, eqs. 2-3; relative L2 error as in Wang, Teng & Perdikaris 2021, "
           "section 3",
)


def fields_table(frames: Sequence[tuple[str, FieldsFrame]]) -> tuple[list[str], list[list[float | str]]]:
    """One row for each lane and grid point: all inputs, then everything that is known of every field there."""
    inputs = list(dict.fromkeys(name for _, frame in frames for name in (*frame.inputs, *frame.fixed)))
    columns: dict[str, None] = {}
    parts = []
    for label, frame in frames:
        groups = (("prediction", frame.prediction), ("exact", frame.exact), ("absolute error", frame.error),
                  ("residual", frame.residuals), ("prediction", frame.derivatives))
        own = {f"{word} {name}": array for word, group in groups for name, array in group.items()}
        columns |= dict.fromkeys(own)
        parts.append((label, frame, own))
    rows: list[list[float | str]] = []
    for label, frame, own in parts:
        mesh = dict(zip(frame.inputs, np.meshgrid(*frame.axes, indexing="ij"), strict=True))
        count = mesh[frame.inputs[0]].size
        places = [mesh[name].ravel().tolist() if name in mesh else [frame.fixed.get(name, "")] * count
                  for name in inputs]
        values = [own[name].ravel().tolist() if name in own else [""] * count for name in columns]
        rows += [[label, frame.step, *cells] for cells in zip(*places, *values, strict=True)]
    return ["lane", "step", *inputs, *columns], rows
