"""Arrangements of the panels by purpose, as data. A panel that does not exist is skipped, one not named is hidden."""

from __future__ import annotations

from dataclasses import dataclass

from studio.gallery import Entry

ROOMY = (1500, 900)  # from this size on everything is in sight; below, panels share tabs


@dataclass(frozen=True)
class Column:
    """Panels one above the other; those that share a place are tabs of it. `share` is of the width."""

    share: int
    places: tuple[tuple[tuple[str, ...], int], ...]  # (panel ids, share of the height)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One arrangement: on a large and on a small screen."""

    id: str
    title: str
    tip: str
    wide: tuple[Column, ...]
    narrow: tuple[Column, ...]
    chapters: frozenset[str] = frozenset()  # of the gallery, whose experiments want this one
    form: bool = True
    letters: float = 1.0  # times as large in the panels

    def columns(self, width: int, height: int) -> tuple[Column, ...]:
        """The columns for a window of this size."""
        return self.wide if width >= ROOMY[0] and height >= ROOMY[1] else self.narrow

    def panels(self) -> frozenset[str]:
        """Every panel that it shows, on a large screen."""
        return frozenset(key for column in self.wide for keys, _ in column.places for key in keys)


#: In the order of the menu and of the keys Alt+1, Alt+2 ... The first one is that of the first start.
LAYOUTS: tuple[Layout, ...] = (
    Layout(
        id="overview", title="Overview",
        tip="The gradient wall and the fields, with losses, error and weights: what to begin with.",
        # The curves in a column, the gradient wall large beside them, the fields below it.
        wide=(
            Column(35, ((("equation",), 20), (("losses",), 28), (("error",), 24),
                        (("weights", "readings", "optimizer"), 28))),
            Column(65, ((("gradients",), 58), (("fields",), 42))),
        ),
        narrow=(
            Column(36, ((("losses", "error", "equation"), 50), (("weights", "readings", "optimizer"), 50))),
            Column(64, ((("gradients", "fields"), 100),)),
        ),
    ),
    Layout(
        id="losses", title="Losses",
        tip="Losses, error and weights large, with what the doctor finds and where the time goes.",
        wide=(
            Column(50, ((("losses",), 55), (("weights", "readings", "optimizer"), 45))),
            Column(50, ((("error",), 40), (("step_check",), 30), (("doctor", "liveness", "timing"), 30))),
        ),
        narrow=(
            Column(50, ((("losses",), 50), (("weights", "readings", "optimizer"), 50))),
            Column(50, ((("error", "step_check"), 50), (("doctor", "liveness", "timing"), 50))),
        ),
    ),
    Layout(
        id="pathologies", title="Gradient pathologies",
        tip="How the loss terms pull at the network and against each other: gradients over layers and over time, "
            "alignment, weights.",
        chapters=frozenset({"Gradient pathologies"}),
        wide=(
            Column(62, ((("gradients",), 56), (("gradient_history",), 44))),
            Column(38, ((("alignment",), 26), (("weights",), 26), (("losses", "step_check"), 24),
                        (("error", "fields", "doctor"), 24))),
        ),
        narrow=(
            Column(60, ((("gradients", "gradient_history", "fields"), 100),)),
            Column(40, ((("alignment", "step_check", "doctor"), 50), (("losses", "weights", "error"), 50))),
        ),
    ),
    Layout(
        id="activations", title="Adaptive activations",
        tip="Slopes, the activations as they are now, and what both do to the convergence.",
        chapters=frozenset({"Adaptive activations", "Reproducing activations"}),
        wide=(
            Column(50, ((("activations",), 52), (("slopes",), 48))),
            Column(50, ((("conditioning",), 30), (("losses", "readings"), 22), (("error", "doctor"), 22),
                        (("fields", "gradients"), 26))),
        ),
        narrow=(
            Column(52, ((("activations", "slopes", "conditioning"), 100),)),
            Column(48, ((("losses", "error", "readings"), 46), (("fields", "gradients", "doctor"), 54))),
        ),
    ),
    Layout(
        id="stiffness", title="Stiffness",
        tip="The eigenvalues of the Hessian and of the tangent kernel, the loss around the parameters, and what a step "
            "really does.",
        wide=(
            Column(50, ((("stiffness",), 36), (("spectrum",), 34), (("step_check", "optimizer"), 30))),
            Column(50, ((("landscape",), 38), (("ntk",), 34), (("losses", "doctor", "conditioning"), 28))),
        ),
        narrow=(
            Column(50, ((("stiffness", "spectrum"), 52), (("step_check", "losses", "optimizer", "doctor"), 48))),
            Column(50, ((("landscape", "ntk", "conditioning"), 100),)),
        ),
    ),
    Layout(
        id="fields", title="Fields",
        tip="The solution, its error and its residuals as large as they go.",
        wide=(
            Column(72, ((("fields",), 100),)),
            Column(28, ((("error",), 36), (("losses",), 34), (("equation", "readings"), 30))),
        ),
        narrow=(
            Column(70, ((("fields",), 100),)),
            Column(30, ((("error", "losses"), 54), (("equation", "readings"), 46))),
        ),
    ),
    Layout(
        id="presentation", title="Presentation",
        tip="For a projector: no form, larger letters, and the three panels that tell the story.",
        form=False, letters=1.15,
        wide=(
            Column(54, ((("gradients",), 100),)),
            Column(46, ((("fields",), 54), (("error",), 46))),
        ),
        narrow=(
            Column(54, ((("gradients",), 100),)),
            Column(46, ((("fields",), 54), (("error",), 46))),
        ),
    ),
)

BY_ID = {layout.id: layout for layout in LAYOUTS}
DEFAULT = LAYOUTS[0].id


def wanted_by(entry: Entry | None) -> str:
    """The layout that an experiment of the gallery wants, by its chapter; the default for all others."""
    if entry is None:
        return DEFAULT
    return next((layout.id for layout in LAYOUTS if entry.group in layout.chapters), DEFAULT)
