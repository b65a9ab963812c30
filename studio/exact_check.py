"""Does the exact solution satisfy the equations? Checked before training, independent of what trains."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from core.decomposition import whole
from core.diagnostics.fields import evaluate_exact
from core.diagnostics.points import spread_points
from core.equation import FUNCTIONS, simplified
from core.expression import Binary, Derivative, Name, Negate, Node, evaluate, names
from core.places import Places
from core.problem import Problem, Statement
from studio.experiment import Experiment

ROUNDING = 1e-13  # of a solution's own size, that its values on the boundary may have


def check_exact(experiment: Experiment, points: int = 1000) -> list[str]:
    """How far the exact solution is from satisfying every equation and condition, as one sentence for each.

    Derivatives by nested reverse-mode autograd in float64, independent of the jets that train. The largest residual
    is given relative to the largest single term of the equation.
    """
    problem = experiment.build_problem()
    missing = [name for name in problem.fields if name not in problem.solution]
    if missing:
        return [f"There is no exact solution for {', '.join(missing)}, so nothing can be checked before training."]
    return [sentence for _, sentence in _verdicts(problem, points)]


def contradictions(experiment: Experiment, points: int = 1000) -> list[str]:
    """The sentences of `check_exact` about what the exact solution does not satisfy; empty where all is well."""
    problem = experiment.build_problem()
    if any(name not in problem.solution for name in problem.fields):
        return []
    return [sentence for satisfied, sentence in _verdicts(problem, points) if not satisfied]


def _verdicts(problem: Problem, points: int) -> list[tuple[bool, str]]:
    """For every equation and condition: whether the exact solution satisfies it, and the sentence that says so."""
    generator = torch.Generator().manual_seed(0)
    scale = _scale(problem, points)
    rows = []
    for statement in (*problem.statements, *_quantities(problem)):
        if not _checkable(problem, statement):
            continue
        worst, largest = _discrepancy(problem, statement, points, generator)
        if not math.isfinite(worst):
            rows.append((False, f"The exact solution DOES NOT satisfy '{statement.name}': it has no finite value at "
                                f"some points."))
            continue
        relative = worst / largest if largest > 0 else worst
        # 'u = 0' where the solution is sin(pi): its only term is itself the rounding
        rounding = worst < ROUNDING * scale
        satisfied = relative < 1e-9 or rounding
        size = ("rounding only" if rounding and relative >= 1e-9  # '100 %' of it would read as a failure
                else f"{_share(relative)} of the equation's largest term")
        rows.append((satisfied, f"The exact solution {'satisfies' if satisfied else 'DOES NOT satisfy'} "
                                f"'{statement.name}': largest residual {_amount(worst)}, {size}."))
    return rows


def _amount(value: float) -> str:
    """Two digits as a person writes them, with an exponent only where zeros would have to be counted."""
    if 99 <= value < 1e6:
        return f"{value:,.0f}"
    return f"{value:.2g}" if value == 0 or 1e-3 <= value < 99 else f"{value:.1e}"


def _share(value: float) -> str:
    """In percent; what is next to nothing, such as rounding, stays as it is: 2.9e-16."""
    if value < 1e-3:
        return _amount(value)
    return f"{100 * value:.3g} %" if value < 9.99 else f"{100 * value:,.0f} %"


def _scale(problem: Problem, points: int) -> float:
    """The largest value of a solution inside the domain."""
    x = spread_points(problem, points)
    sizes = [evaluate_exact(problem.solution[name], problem, x).abs().nan_to_num(0.0, 0.0).max()
             for name in problem.fields]
    return float(max(sizes))


def _quantities(problem: Problem) -> list[Statement]:
    """That the quantities' exact values are those of the fields' exact solution."""
    return [Statement(name, "", 0, Binary("-", node, problem.solution[name]))
            for name, node in problem.quantity_nodes.items() if name in problem.solution]


def _checkable(problem: Problem, statement: Statement) -> bool:
    """Observations, energies and what contains an average or an unknown of no known value cannot be checked so."""
    free = names(statement.expression) & ({*problem.averages} | ({*problem.unknowns} - {*problem.truth}))
    return not (statement.observation or statement.measure == "mean" or free)


def _discrepancy(problem: Problem, statement: Statement, points: int,
                 generator: torch.Generator) -> tuple[float, float]:
    worst, largest = 0.0, 0.0
    for face in statement.faces or (None,):
        places = Places(problem, torch.float64)
        places.add(whole(problem), (face,) if face is not None else (), points)
        places.close()
        draws = torch.rand(points, places.columns, generator=generator, dtype=torch.float64)
        x = places.physical(draws).requires_grad_()

        def look(leaf: Name | Derivative, x: Tensor = x) -> Tensor:
            if isinstance(leaf, Name) and leaf.name in problem.inputs:
                return x[:, problem.inputs.index(leaf.name)]
            name = leaf.field if isinstance(leaf, Derivative) else leaf.name
            if name in problem.unknowns:
                return torch.tensor(problem.truth[name], dtype=torch.float64)
            value = evaluate_exact(problem.solution[name], problem, x)
            for name in leaf.inputs if isinstance(leaf, Derivative) else ():
                if not value.requires_grad:
                    return torch.zeros_like(value)
                gradient = torch.autograd.grad(value.sum(), x, create_graph=True, allow_unused=True)[0]
                value = torch.zeros_like(value) if gradient is None else gradient[:, problem.inputs.index(name)]
            return value

        def size(node: Node, look: object = look) -> float:
            value = evaluate(node, look, FUNCTIONS)  # type: ignore[arg-type]
            return float(torch.as_tensor(value).detach().abs().max())

        expression = simplified(statement.expression, problem.constants)
        found = size(expression)
        if not math.isfinite(found):
            return found, largest
        worst = max(worst, found)
        largest = max(largest, *(size(term) for term in _summands(expression)))
    return worst, largest


def _summands(node: Node) -> list[Node]:
    match node:
        case Negate():
            return _summands(node.operand)
        case Binary() if node.operator in "+-":
            return _summands(node.left) + _summands(node.right)
    return [node]
