"""From an optimizer as data to one that makes steps: which method 'auto' becomes, and whether its memory is there."""

from __future__ import annotations

from dataclasses import dataclass

from core.choices import GAUSS_NEWTON, SECOND_ORDER
from core.objective import Objective
from core.optimizers import Adam, GradientDescent, Optimizer
from core.problem import ProblemError
from core.solvers import memory
from core.solvers.jacobian import why_not
from core.solvers.solver import Solver
from studio.specs import OptimizerSpec


@dataclass(frozen=True)
class Method:
    """An optimizer that was decided on. why: where 'auto' was asked, or another one was taken; '' otherwise."""

    kind: str
    why: str = ""


def method_of(spec: OptimizerSpec, objective: Objective, *, path: str = "optimizer.kind",
              fall_back: bool = False) -> Method:
    """The method for a loss. fall_back: take one without the large matrix where there is no memory for it.

    Raises ProblemError with a sentence, and `path`, where the method cannot work on this loss, or does not fit.
    """
    kind: str = spec.kind
    if kind not in SECOND_ORDER:
        return Method(kind)
    reason = why_not(objective)
    if kind in GAUSS_NEWTON and reason:
        raise ProblemError(f"{kind} needs a loss that is a sum of squares at single points: {reason}; lbfgs and "
                           "ssbroyden work on any loss", path)
    free = memory.available(objective.device)
    size = memory.Size(len(objective.row_table()[0]), objective.size, objective.dtype.itemsize, spec.history, spec.form)
    if kind == "auto":
        kind, why = memory.best(size, free, not reason)
        if size.itemsize < 8:
            why += "; in float32 its accuracy ends early, float64 serves it better"
        return Method(kind, why)
    if not memory.fits(kind, size, free):
        sentence, other = memory.sentence(kind, size, free), memory.WITHOUT_MATRIX.get(kind)
        if not fall_back or other is None:
            raise ProblemError(sentence, path)
        return Method(other, f"{sentence.partition(';')[0]}; {other} takes its place")
    return Method(kind)


def optimizer_of(spec: OptimizerSpec, kind: str) -> Optimizer:
    """The first-order optimizer; of a kind that is none, one that makes no steps but has moments and a decay."""
    if kind == "gd":
        return GradientDescent(spec.weight_decay, spec.clip)
    return Adam(spec.beta1, spec.beta2, spec.epsilon, spec.weight_decay, spec.clip, decoupled=kind == "adamw")


def solver_of(spec: OptimizerSpec, kind: str, objective: Objective) -> Solver | None:
    """What makes the steps in the place of a first-order optimizer; None for those. Loaded when it is asked for."""
    match kind:
        case "lbfgs":
            from core.solvers.lbfgs import LBFGS
            return LBFGS(spec.history)
        case "ssbfgs" | "ssbroyden":
            from core.solvers.self_scaled import SelfScaled
            return SelfScaled("ssbfgs" if kind == "ssbfgs" else "ssbroyden")
        case "levenberg-marquardt":
            from core.solvers.levenberg import LevenbergMarquardt
            return LevenbergMarquardt(spec.damping, spec.form)
        case "energy-natural-gradient":
            from core.solvers.natural import EnergyNaturalGradient
            return EnergyNaturalGradient()
        case "spring":
            from core.solvers.natural import Spring
            return Spring(spec.damping, spec.momentum)
        case "gauss-newton-cg":
            from core.solvers.matrix_free import GaussNewtonCG
            return GaussNewtonCG(spec.damping, spec.cg_iterations)
        case "soap":
            from core.solvers.matrices import matrices_of
            from core.solvers.soap import Soap
            return Soap(matrices_of(objective), spec.beta1, spec.beta2, spec.epsilon, spec.weight_decay, spec.refresh,
                        spec.clip)
        case "muon":
            from core.solvers.matrices import hidden_matrices_of
            from core.solvers.muon import Muon
            return Muon(hidden_matrices_of(objective), spec.momentum, weight_decay=spec.weight_decay, beta1=spec.beta1,
                        beta2=spec.beta2, epsilon=spec.epsilon, clip=spec.clip)
    return None
