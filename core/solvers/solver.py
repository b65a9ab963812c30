"""What an optimizer that works on the loss as a whole gives and takes. First-order ones that are one pure function of
the gradient are in core.optimizers; these evaluate the loss as often as they need to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from torch import Tensor

from core.diagnostics.stopping import Stop, never

if TYPE_CHECKING:
    from core.solvers.loss import Loss

#: Why a method is done where there is no direction to take.
NOT_FINITE = "The loss or its gradient is not finite, so there is no direction to take."
#: Why a method is done that came to where a root, a logarithm or a quotient of an equation ends.
WALL = "longer steps lead to where the loss is not finite: these parameters are at the edge of where it is defined"
#: A solver's own state between two steps: never changed in place, and all that the next step depends on.
Memory = Mapping[str, Tensor]


def nobody(share: float, what: str) -> None:
    """Where nobody listens."""


@dataclass(frozen=True)
class Watch:
    """How a long step is followed and abandoned.

    stop: asked between the parts of a step; where it says True, the step raises `core.diagnostics.stopping.Stopped`
    and nothing has changed. tell: told the share of the step that is done, from 0 to 1, and what is being done.
    """

    stop: Stop = never
    tell: Callable[[float, str], None] = nobody


@dataclass(frozen=True)
class Advance:
    """What a step made."""

    theta: Tensor  # [P]
    memory: Memory
    losses: Tensor  # raw losses [T] before the step
    readings: Mapping[str, float] = field(default_factory=dict)  # of the step: 'damping', 'step length', ...
    note: str = ""  # what is worth a line in the journal, such as a restart
    done: str = ""  # a sentence that says why the method can go no further; '' where it can


def nowhere(theta: Tensor, memory: Memory, losses: Tensor) -> Advance:
    """No step, from where the loss is not finite. Where a term is not, the trainer goes back; where only their
    weighted sum is not, this is the end."""
    return Advance(theta, memory, losses, done=NOT_FINITE if bool(losses.isfinite().all()) else "")


class Solver(Protocol):
    """An optimizer of the loss. Frozen: all that changes is in the memory.

    One whose memory is of past gradients, and not of one function's curvature, is `lasting`: other settings of it,
    other points and another precision leave its memory what it is.
    """

    @property
    def needs(self) -> Literal["gradient", "rows"]:
        """gradient: losses and gradients. rows: the residuals and their Jacobian, so the loss is a sum of squares."""
        ...

    def start(self, theta: Tensor) -> Memory:
        """The memory before the first step."""
        ...

    def step(self, loss: Loss, theta: Tensor, memory: Memory, learning_rate: float, watch: Watch) -> Advance:
        """One step from theta [P]. Never returns parameters at which the loss is not finite where theta's is, but for
        methods without a line search. Raises Stopped, and ValueError with a sentence where it cannot work on this
        loss."""
        ...
