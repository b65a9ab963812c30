"""What each optimizer is, in a sentence: under the choice of one, where a phase is added and where it is switched."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: By kind of optimizer. What every one of them needs to be told stands in the tips of its settings.
MEANINGS: Mapping[str, str] = MappingProxyType({
    "auto": "The best second-order method for the size of the network that the memory allows. It is chosen when the "
            "phase begins, and the journal says which one it is and why.",
    "adam": "One step for each gradient, scaled by its running moments. Robust, and at home with points that are drawn "
            "anew at every step.",
    "adamw": "Adam, with the weight decay taken from the parameters themselves and not through the gradient.",
    "gd": "Plain gradient descent: the setting of theory, slow in practice.",
    "soap": "Adam in the eigenbases of Shampoo's curvature. A first-order price, and often a far better direction.",
    "muon": "Every matrix's step is made orthogonal, so that no direction in it is starved.",
    "lbfgs": "Quasi-Newton from the last steps alone, with a line search: cheap steps, little memory.",
    "ssbfgs": "Self-scaled BFGS with the whole inverse Hessian: memory grows with the square of the parameters.",
    "ssbroyden": "Self-scaled Broyden with the whole inverse Hessian; often the most accurate of the quasi-Newton "
                 "methods, at the same price in memory.",
    "levenberg-marquardt": "A damped least-squares step from the Jacobian of all residuals: few, long steps that reach "
                           "errors which gradients alone do not.",
    "energy-natural-gradient": "The step that descends fastest in the space of functions, with a line search.",
    "spring": "Natural gradient by samples that keeps a share of its last step; it bears minibatches.",
    "gauss-newton-cg": "A damped Gauss-Newton step found by conjugate gradients, without any matrix: for networks that "
                       "are too large for the others.",
})


def meaning(kind: str) -> str:
    """The sentence for a kind; '' for one that has none."""
    return MEANINGS.get(kind, "")
