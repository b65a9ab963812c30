"""What a problem is made of: equations, conditions, observations, and the places where they hold."""

from __future__ import annotations

from dataclasses import dataclass

from core.choices import Measure
from core.expression import Node

#: The loss terms of interfaces between sub-domains.
FLUX, AVERAGE = "interface flux", "interface average"


class ProblemError(Exception):
    """A problem that makes no sense. `path` is the place, such as 'residuals.0.equation'; str() is a sentence."""

    def __init__(self, message: str, path: str = "") -> None:
        self.path = path
        super().__init__(message)

    def __reduce__(self) -> tuple[type[ProblemError], tuple[str, str]]:
        return type(self), (str(self), self.path)


@dataclass(frozen=True)
class Residual:
    """An equation that holds inside the domain; zero where it holds."""

    name: str
    equation: str
    term: str = "residual"
    points: int = 128
    measure: Measure = "square"


@dataclass(frozen=True)
class Condition:
    """An equation that holds on one face of the domain, or on all of them."""

    name: str
    on: str
    equation: str
    term: str = "boundary"
    points: int = 128


@dataclass(frozen=True)
class Observation:
    """An equation that holds at the points of a file, whose columns it uses as NAME_data.

    columns: names of the file's columns beside the fields and quantities. points: how many of the file's points are
    used, 0 for all. noise: standard deviation of normal noise added to each column, relative to its root mean square.
    """

    name: str
    equation: str
    file: str = ""
    columns: tuple[str, ...] = ()
    term: str = "data"
    points: int = 0
    noise: float = 0.0
    seed: int = 0
    measure: Measure = "square"


@dataclass(frozen=True)
class Decomposition:
    """Sub-domains with a network each, matched on their interfaces (conservative PINN, Jagtap et al. 2020).

    splits: where each input is cut. Sub-domains are numbered with the first input running fastest. hidden and points:
    one entry for each sub-domain, or none for the network's and the equations' own. flux: the flux normal to an
    interface across each input. local: unknowns that each sub-domain has its own of; starts: their start values.
    """

    splits: dict[str, tuple[float, ...]]
    flux: dict[str, str]
    hidden: tuple[tuple[int, ...], ...] = ()
    points: tuple[int, ...] = ()
    interface_points: int = 100
    local: tuple[str, ...] = ()
    starts: tuple[float, ...] = ()


@dataclass(frozen=True)
class Face:
    """The part of the boundary where input number `axis` has the value `at`; axis -1 is the sphere of radius `at`."""

    axis: int
    at: float


@dataclass(frozen=True)
class Statement:
    """A parsed equation: the loss term it belongs to, the points it is sampled on, and the expression that is zero.

    `faces` is empty for an equation of the interior, `observation` is the name of the points of a file. In
    `expression` all definitions, constants that are definitions and exact solutions are already written out.
    """

    name: str
    term: str
    points: int
    expression: Node
    faces: tuple[Face, ...] = ()
    measure: Measure = "square"
    observation: str = ""

    @property
    def interior(self) -> bool:
        """Whether it holds inside the domain, at points that are drawn."""
        return not self.faces and not self.observation
