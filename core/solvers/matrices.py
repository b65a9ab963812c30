"""The weight matrices in the flat parameters, and how those of one shape are worked on together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from core.objective import Objective


class Matrix(NamedTuple):
    """Where a matrix W [rows, columns] = [inputs, neurons] is in the flat vector, row by row."""

    offset: int
    rows: int
    columns: int


def matrices_of(objective: Objective) -> tuple[Matrix, ...]:
    """Every weight matrix of every network; biases, slopes, activations' parameters and unknowns are none."""
    return tuple(Matrix(p.offset, *p.shape) for p in objective.parameters if p.name.endswith(" W"))


def hidden_matrices_of(objective: Objective) -> tuple[Matrix, ...]:
    """The weight matrices that neither see the inputs, or their features, nor make the fields.

    So without encoders, 'hidden 1' and 'output'; empty where a network has one hidden layer only.
    """
    names = {p.offset: p.name.rpartition(": ")[2] for p in objective.parameters}
    return tuple(matrix for matrix in matrices_of(objective)
                 if names[matrix.offset].startswith("hidden ") and names[matrix.offset] != "hidden 1 W")


@dataclass(frozen=True)
class Packing:
    """The flat vector [P] in another order: matrices of one shape side by side, then the rest."""

    shapes: tuple[tuple[int, int, int], ...]  # (count, rows, columns) of each batch
    order: Tensor  # int64 [P]: packed = flat[order]
    back: Tensor  # int64 [P]: flat = packed[back]

    @cached_property
    def sizes(self) -> list[int]:
        """Numbers of each batch, and of the rest at the end."""
        own = [count * rows * columns for count, rows, columns in self.shapes]
        return [*own, len(self.order) - sum(own)]

    def pack(self, flat: Tensor) -> Tensor:
        """Flat [P] -> packed [P]."""
        return flat.index_select(0, self.order.to(flat.device))

    def unpack(self, packed: Tensor) -> Tensor:
        """Packed [P] -> flat [P]."""
        return packed.index_select(0, self.back.to(packed.device))

    def split(self, packed: Tensor) -> tuple[list[Tensor], Tensor]:
        """(batches [count, rows, columns], the rest), all of them views."""
        *batches, rest = torch.split(packed, self.sizes)
        return [batch.view(shape) for batch, shape in zip(batches, self.shapes, strict=True)], rest


def join(batches: Sequence[Tensor], rest: Tensor) -> Tensor:
    """The packed vector [P] again."""
    return torch.cat([*(batch.reshape(-1) for batch in batches), rest])


@lru_cache(maxsize=16)
def packing(matrices: tuple[Matrix, ...], size: int) -> Packing:
    """The packing of a vector of `size` numbers. Raises ValueError where the matrices are not within it, or overlap."""
    places = torch.arange(size)
    free = torch.ones(size, dtype=torch.bool)
    shapes, order = [], []
    for shape, group in groupby(sorted(matrices, key=lambda m: (m.rows, m.columns)), lambda m: (m.rows, m.columns)):
        members = list(group)
        for offset, rows, columns in members:
            place = slice(offset, offset + rows * columns)
            if not (offset >= 0 and rows > 0 and columns > 0 and place.stop <= size and bool(free[place].all())):
                raise ValueError(f"matrices must be within the {size} parameters and apart from each other; the one of "
                                 f"{rows} x {columns} at {offset} is not")
            free[place] = False
            order.append(places[place])
        shapes.append((len(members), *shape))
    found = torch.cat([*order, places[free]])
    return Packing(tuple(shapes), found, torch.argsort(found))
