"""The flat parameter vector: named slices of it, and how they are cut out as tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Draws a parameter's start values, float64, from a generator.
Draw = Callable[[torch.Generator], Tensor]


@dataclass(frozen=True)
class Parameter:
    """A named slice of the flat parameter vector. `initial` draws its start values from a generator."""

    name: str
    shape: tuple[int, ...]
    offset: int
    initial: Draw

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def slice(self) -> slice:
        """Its place in the flat vector."""
        return slice(self.offset, self.offset + self.size)


class Layout:
    """Collects parameters one after the other into a flat vector.

    Those of one `group` are cut out of it as one tensor: fewer operations where they are used together.
    """

    def __init__(self) -> None:
        self.parameters: list[Parameter] = []
        self.sizes: list[int] = []  # of each group

    def add(self, name: str, shape: tuple[int, ...], initial: Draw, *, joined: bool = False) -> Parameter:
        """The next parameter; `joined` to the group of the one before it, else a group of its own."""
        parameter = Parameter(name, shape, sum(self.sizes), initial)
        self.parameters.append(parameter)
        if joined:
            self.sizes[-1] += parameter.size
        else:
            self.sizes.append(parameter.size)
        return parameter


def unflatten(theta: Tensor, parameters: Sequence[Parameter]) -> list[Tensor]:
    """The named tensors as views of the flat vector [P]."""
    pieces = torch.split(theta, [p.size for p in parameters])
    return [piece.view(p.shape) if len(p.shape) > 1 else piece for piece, p in zip(pieces, parameters, strict=True)]
