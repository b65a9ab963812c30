"""From an experiment as data to a trainer and its diagnostics. The only place where torch meets the experiment."""

from __future__ import annotations

import torch

from core.architecture import Architecture
from core.balancing import Balancing
from core.crew import set_threads
from core.decomposition import boxes
from core.device import resolve
from core.diagnostics.fields import FieldsDiagnostic
from core.engine import EagerEngine
from core.expression import names
from core.networks import build_network
from core.objective import Objective
from core.optimizers import Decay
from core.places import Data
from core.pointwise import PointWeights
from core.problem import Observation, Problem, ProblemError
from core.reference import read_points, read_reference, read_scattered
from core.sampling import Sampling
from core.trainer import Trainer
from studio.compiling import compiled_engine
from studio.experiment import REFERENCES, Experiment
from studio.methods import method_of, optimizer_of, solver_of

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def build_trainer(experiment: Experiment, *, engine: str = "eager", objective: Objective | None = None) -> Trainer:
    """A trainer at step 0, with the experiment's own optimizer. `studio.course` makes those of its phases.

    engine 'compiled' compiles first, or takes what was compiled before. objective: the loss, where it is there already.

    Sets torch's thread count for the calling thread. Raises ProblemError, ValueError, and CompileError.
    """
    set_threads(experiment.training.threads)
    o, b, s = experiment.optimizer, experiment.balancing, experiment.sampling
    objective = objective or build_objective(experiment)
    kind = o.kind if o.kind != "auto" else method_of(o, objective).kind
    trainer = Trainer(
        objective,
        optimizer=optimizer_of(o, kind),
        decay=Decay(o.decay_rate, o.decay_steps, o.decay, experiment.training.steps),
        balancing=Balancing(b.rule, b.interval, b.rate, b.floor, b.temperature, b.memory),
        learning_rate=o.learning_rate,
        weights=b.weights,
        seed=experiment.training.seed,
        sampling=Sampling(s.kind, s.every, s.candidates, s.exponent, s.offset),
        direction=b.direction,
        points=PointWeights(b.points, b.points_rate, b.points_decay, b.chunks, b.epsilon),
        chunk=experiment.training.chunk,
        solver=solver_of(o, kind, objective),
    )
    if engine == "compiled":
        assert isinstance(trainer.engine, EagerEngine)
        trainer.engine = compiled_engine(experiment, trainer.engine)
    return trainer


def build_objective(experiment: Experiment) -> Objective:
    """The loss of an experiment. Raises ProblemError and ValueError."""
    problem = experiment.build_problem()
    n = experiment.network
    periods = {problem.inputs.index(name): problem.domain[name][1] - problem.domain[name][0]
               for name in problem.periodic}
    d = problem.decomposition
    parts = len(boxes(problem))
    networks = []
    for number in range(parts):
        hidden = d.hidden[number] if d is not None and d.hidden else n.hidden
        architecture = Architecture(hidden=hidden, **n.model_dump(exclude={"hidden", "normalize"}))
        networks.append(build_network(architecture, len(problem.inputs), len(problem.fields), periods))
    data = {o.name: observed(problem, o, f"observations.{k}") for k, o in enumerate(problem.observations)}
    return Objective(problem, networks, DTYPES[experiment.training.precision], normalize=n.normalize, data=data,
                     device=device_of(experiment))


def device_of(experiment: Experiment) -> torch.device:
    """Where an experiment is to be trained. Raises ProblemError where this machine has no such device."""
    try:
        return resolve(experiment.training.device)
    except ValueError as error:
        raise ProblemError(str(error), "training.device") from None


def observed(problem: Problem, observation: Observation, path: str) -> Data:
    """The points of an observation: chosen from its file once, with noise. Raises ProblemError."""
    name = observation.file or problem.reference
    if not name:
        raise ProblemError("this observation has no file, and the problem has no reference", f"{path}.file")
    columns = (*problem.fields, *problem.quantities, *observation.columns)
    points, values = read_points(REFERENCES / name, problem, columns, f"{path}.file")
    used = names(problem.expression_of(observation)) & set(problem.columns(observation))
    for part in sorted(used):
        if part.removesuffix("_data") not in values:
            raise ProblemError(f"the equation uses {part}, but {name} has no '{part.removesuffix('_data')}'",
                               f"{path}.equation")
    generator = torch.Generator().manual_seed(observation.seed)
    rows = torch.arange(len(points))
    if observation.points:
        if observation.points > len(points):
            raise ProblemError(f"{name} holds {len(points)} points; {observation.points} are too many",
                               f"{path}.points")
        rows = torch.randperm(len(points), generator=generator)[: observation.points].sort().values
    chosen = {}
    for key, array in values.items():
        column = torch.from_numpy(array)
        if observation.noise:
            size = column.square().mean().sqrt() * observation.noise
            column = column + size * torch.randn(len(column), generator=generator, dtype=torch.float64)
        chosen[key] = column[rows]
    return Data(torch.from_numpy(points)[rows], chosen)


def check_files(experiment: Experiment) -> None:
    """Read the reference and the observations' files. Raises ProblemError where one of them cannot be used, or the
    device is not there."""
    device_of(experiment)
    problem = experiment.build_problem()
    for number, observation in enumerate(problem.observations):
        observed(problem, observation, f"observations.{number}")
    path = REFERENCES / problem.reference
    if problem.reference and read_scattered(path, problem) is None:
        read_reference(path, problem)


def build_fields(experiment: Experiment, trainer: Trainer) -> FieldsDiagnostic:
    """The fields' diagnostic. Raises ProblemError where a reference cannot be read."""
    reference = experiment.problem.reference
    path = REFERENCES / reference if reference else None  # an absolute one stays as it is
    d = experiment.diagnostics
    return FieldsDiagnostic(trainer.objective.on_cpu, d.grid, path, d.interior_margin)
