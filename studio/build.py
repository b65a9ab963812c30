"""From an experiment as data to a trainer and its diagnostics. The only place where torch meets the experiment."""

from __future__ import annotations

import torch
from torch import Tensor

from core.balancing import Balancing
from core.diagnostics.fields import FieldsDiagnostic, evaluate_exact
from core.engine import EagerEngine
from core.equation import FUNCTIONS, simplified
from core.expression import Binary, Derivative, Name, Negate, Node, evaluate
from core.networks import build_network
from core.objective import Objective
from core.optimizers import Adam, Decay
from core.problem import Problem, Statement
from core.trainer import Trainer
from studio.compiling import compiled_engine
from studio.experiment import REFERENCES, Experiment

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def build_trainer(experiment: Experiment, *, engine: str = "eager") -> Trainer:
    """A trainer at step 0. engine 'compiled' compiles first, or takes what was compiled before.

    Sets torch's thread count for the calling thread. Raises ProblemError, ValueError, and CompileError.
    """
    torch.set_num_threads(experiment.training.threads)
    problem = experiment.problem.build()
    network = build_network(experiment.network.kind, len(problem.inputs), experiment.network.hidden,
                            len(problem.fields), experiment.network.activation)
    o, b = experiment.optimizer, experiment.balancing
    trainer = Trainer(
        Objective(problem, network, DTYPES[experiment.training.precision]),
        optimizer=Adam(o.beta1, o.beta2, o.epsilon),
        decay=Decay(o.decay_rate, o.decay_steps),
        balancing=Balancing(b.rule, b.interval, b.rate, b.floor),
        learning_rate=o.learning_rate,
        weights=b.weights,
        seed=experiment.training.seed,
    )
    if engine == "compiled":
        assert isinstance(trainer.engine, EagerEngine)
        trainer.engine = compiled_engine(experiment)
    return trainer


def build_fields(experiment: Experiment, trainer: Trainer) -> FieldsDiagnostic:
    """The fields' diagnostic. Raises ProblemError where a reference cannot be read."""
    reference = experiment.problem.reference
    path = REFERENCES / reference if reference else None  # an absolute one stays as it is
    return FieldsDiagnostic(trainer.objective, experiment.diagnostics.grid, path)


def check_exact(experiment: Experiment, points: int = 1000) -> list[str]:
    """How far the exact solution is from satisfying every equation and condition, as one sentence for each.

    Derivatives by nested reverse-mode autograd in float64, independent of the jets that train. The largest residual
    is given relative to the largest single term of the equation.
    """
    problem = experiment.problem.build()
    missing = [name for name in problem.fields if name not in problem.solution]
    if missing:
        return [f"There is no exact solution for {', '.join(missing)}, so nothing can be checked before training."]
    return [sentence for _, sentence in _verdicts(problem, points)]


def contradictions(experiment: Experiment, points: int = 1000) -> list[str]:
    """The sentences of `check_exact` about what the exact solution does not satisfy; empty where all is well."""
    problem = experiment.problem.build()
    if any(name not in problem.solution for name in problem.fields):
        return []
    return [sentence for satisfied, sentence in _verdicts(problem, points) if not satisfied]


def _verdicts(problem: Problem, points: int) -> list[tuple[bool, str]]:
    """For every equation and condition: whether the exact solution satisfies it, and the sentence that says so."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for statement in problem.statements:
        worst, largest = _discrepancy(problem, statement, points, generator)
        relative = worst / largest if largest > 0 else worst
        satisfied = relative < 1e-9
        rows.append((satisfied, f"The exact solution {'satisfies' if satisfied else 'DOES NOT satisfy'} "
                                f"'{statement.name}': largest residual {worst:.1e}, "
                                f"{relative:.1e} of the equation's largest term."))
    return rows


def _discrepancy(problem: Problem, statement: Statement, points: int,
                 generator: torch.Generator) -> tuple[float, float]:
    low, high = torch.tensor(list(problem.domain.values()), dtype=torch.float64).T
    worst, largest = 0.0, 0.0
    for face in statement.faces or (None,):
        x = low + torch.rand(points, len(low), generator=generator, dtype=torch.float64) * (high - low)
        if face is not None:
            x[:, face.axis] = face.at
        x.requires_grad_()

        def look(leaf: Name | Derivative, x: Tensor = x) -> Tensor:
            if isinstance(leaf, Name) and leaf.name in problem.inputs:
                return x[:, problem.inputs.index(leaf.name)]
            name = leaf.field if isinstance(leaf, Derivative) else leaf.name
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
        worst = max(worst, size(expression))
        largest = max(largest, *(size(term) for term in _summands(expression)))
    return worst, largest


def _summands(node: Node) -> list[Node]:
    match node:
        case Negate():
            return _summands(node.operand)
        case Binary() if node.operator in "+-":
            return _summands(node.left) + _summands(node.right)
    return [node]
