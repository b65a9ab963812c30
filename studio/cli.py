"""The command line: everything that the window does with an experiment, without the window.

Exit codes: 0 done; 1 the training failed; 2 what was asked for cannot be done (one sentence on stderr says why);
130 interrupted with Ctrl-C.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from core.problem import ProblemError
from studio import __version__, accuracy, reproduce_command
from studio.accuracy_data import AccuracyError
from studio.experiment import Experiment, ExperimentError, load_experiment
from studio.headless import BAD_INPUT, DONE, INTERRUPTED, PROG, Trains, train
from studio.overrides import did_you_mean, with_settings
from studio.phases import Place
from studio.progress import summary
from studio.runfile import SUFFIX, Run, RunFileError, default_runs_folder, load_run, writable_folder
from studio.table_runs import ResultError
from studio.tables import TableError

LONG_ENOUGH_TO_COMPILE = 5000  # steps; a shorter run is over before a compiled step has paid for itself

EXAMPLES = f"""\
without a command, a window opens.

examples:
  {PROG} gallery                          the built-in experiments
  {PROG} gallery quick > mine.toml        one of them as a file, to be changed
  {PROG} check mine.toml                  is it well posed, does the exact solution satisfy it?
  {PROG} run quick                        train it, with a progress bar
  {PROG} run mine.toml --steps 2000 --seed 3 --set balancing.rule=annealing-siam
  {PROG} run quick --json                 the same seed gives the same bits; the last line is JSON
  {PROG} run --resume RUN{SUFFIX}         go on where that run stopped
  {PROG} open RUN{SUFFIX}                 look at a run again
  {PROG} reproduce                        the published tables, and how much of each is done
  {PROG} reproduce helmholtz --fast       one of them, shortened; without --fast as published
  {PROG} reproduce accuracy --help        how soon how accurate, beside DeepXDE
"""


class CommandError(Exception):
    """A command that makes no sense; str() is a sentence."""


NewSession = Callable[..., Trains]  # (experiment, *, runs_folder, isolate, resume_from)
OpenWindow = Callable[[Path], int]


def main(
    argv: Sequence[str], open_window: OpenWindow | None = None, *, new_session: NewSession | None = None
) -> int:
    """Run one command; returns the exit code and never raises for what a person typed.

    `open_window` shows a run file in the window and returns an exit code; None where there is no display.
    `new_session` makes the session; the default is studio.session.Session.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a title in Greek must not stop a run on an old console
    try:
        if argv[:2] == ["reproduce", "accuracy"]:  # which has options of its own
            return accuracy.main(argv[2:])
        arguments = _parser().parse_args(argv or ["--help"])
        match arguments.command:
            case "gallery":
                return _gallery(arguments.name)
            case "check":
                return _check(arguments)
            case "open":
                return _open(arguments, open_window)
            case "reproduce":
                return reproduce_command.reproduce(arguments)
            case _:
                return _run(arguments, new_session)
    except SystemExit as end:  # argparse: --help, --version
        return end.code if isinstance(end.code, int) else DONE
    except (CommandError, AccuracyError, ExperimentError, ProblemError, RunFileError, TableError, ResultError) as error:
        _complain(error)
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # '... | head': nobody reads on, and Python must not complain of it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


# ------------------------------------------------------------------ commands


def _gallery(name: str | None) -> int:
    from studio import gallery

    if name is None:
        width = max(map(len, gallery.names()), default=0)
        for known in gallery.names():
            print(f"{known:{width}}  {gallery.describe(known)}")
    else:
        print(gallery.load(name).to_toml(), end="")
    return DONE


def _check(arguments: argparse.Namespace) -> int:
    experiment = with_settings(_find(arguments.experiment), arguments.set)
    from studio import course  # these import torch, which a wrong experiment need not wait for
    from studio.build import check_files
    from studio.exact_check import check_exact

    check_files(experiment)
    lanes, instead = experiment.lanes(), []
    for lane in lanes:
        whose = f"{lane.label or lane.name}, " if len(lanes) > 1 else ""
        instead += [f"{whose}phase {number + 1}: {why}." for number, why in course.check(lane).items()]
    problem = experiment.problem
    print(
        f"'{experiment.name}' is a valid experiment: {problem.name}, field {', '.join(problem.fields)}, "
        f"loss terms {', '.join(experiment.terms)}."
    )
    for line in (*instead, *check_exact(experiment)):
        print(line)
    return DONE


def _open(arguments: argparse.Namespace, open_window: OpenWindow | None) -> int:
    path = Path(arguments.file).expanduser()
    run = load_run(path)
    if open_window is not None and not arguments.summary:
        return open_window(path)
    print(summary(run))
    return DONE


def _run(arguments: argparse.Namespace, new_session: NewSession | None) -> int:
    resumed = _to_resume(arguments)
    experiment = _chosen(arguments, resumed)
    folder = writable_folder(Path(arguments.out).expanduser()) if arguments.out else default_runs_folder()
    if arguments.json:
        experiment = experiment.with_changes({"training.engine": reproducible_engine(experiment)})
    if new_session is None:
        from studio.session import Session

        new_session = Session
    if resumed is None:
        session = new_session(experiment, runs_folder=folder, isolate=arguments.isolate)
    else:
        session = new_session(
            experiment, runs_folder=folder, isolate=arguments.isolate, resume_from=resumed.path
        )
        phase = _place(resumed).phase
        _steer(session, resumed.current.in_phase(phase), experiment.in_phase(phase))
    return train(session, experiment, as_json=arguments.json)


def _steer(session: Trains, before: Experiment, now: Experiment) -> None:
    """What a checkpoint carries and a person has set anew is set as a command, which the journal shows."""
    if now.optimizer.learning_rate != before.optimizer.learning_rate:
        session.set_learning_rate(now.optimizer.learning_rate)
    if now.balancing.rule != before.balancing.rule:
        session.set_balancing(now.balancing.rule)
    for term, weight in now.balancing.weights.items():
        if weight != before.balancing.weights.get(term):
            session.set_weight(term, weight)


# ------------------------------------------------------------------ which experiment


def reproducible_engine(experiment: Experiment) -> str:
    """The one engine, 'eager' or 'compiled', that serves a run from its first step to its last."""
    wanted = experiment.training.engine
    if wanted != "auto":
        return wanted
    if experiment.total_steps < LONG_ENOUGH_TO_COMPILE:
        return "eager"
    from core.compiled import compiler

    return "compiled" if compiler() else "eager"


def _to_resume(arguments: argparse.Namespace) -> Run | None:
    """The run that is gone on with, if one is."""
    if arguments.resume is None:
        return None
    for given, name in (
        (arguments.experiment, "a name"),
        (arguments.seed, "--seed"),
        (arguments.variant, "--variant"),
    ):
        if given is not None:
            raise CommandError(
                f"--resume goes on with the experiment and the seed of that run, so {name} cannot be "
                "given with it; --steps and --set can"
            )
    return load_run(Path(arguments.resume).expanduser())


def _chosen(arguments: argparse.Namespace, resumed: Run | None) -> Experiment:
    """The experiment that the arguments of 'run' mean, changed as they say."""
    if resumed is not None:
        experiment = resumed.current
    elif arguments.experiment is None:
        raise CommandError(f"name an experiment, such as '{PROG} run quick', or a TOML file")
    else:
        experiment = _find(arguments.experiment)
    given = {"steps": arguments.steps, "seed": arguments.seed, "engine": arguments.engine}
    settings = [f"training.{name}={value}" for name, value in given.items() if value is not None]
    lanes = with_settings(experiment, [*arguments.set, *settings]).lanes()
    if resumed is not None:
        _require_steps_left(resumed, lanes[0])
    if arguments.variant is None:
        if len(lanes) > 1:
            others = ", ".join(f"--variant {lane.label}" for lane in lanes[1:])
            print(f"training {lanes[0].label or lanes[0].name}; beside it there is {others}", file=sys.stderr)
        return lanes[0]
    for lane in lanes:
        if lane.label == arguments.variant:
            return lane
    labels = [lane.label for lane in lanes if lane.label]
    raise CommandError(f"there is no variant '{arguments.variant}'; there is {', '.join(labels) or 'none'}")


def _place(run: Run) -> Place:
    """Where a run that is gone on with stands among its phases."""
    checkpoint = run.latest_checkpoint()
    if checkpoint is None:
        raise CommandError(f"{run.path} has no checkpoint to go on from")
    try:
        return Place.from_meta(checkpoint[2])
    except ValueError as error:
        raise CommandError(f"{run.path} cannot be gone on with: {error}") from None


def _require_steps_left(run: Run, experiment: Experiment) -> None:
    place, made = _place(run), run.latest_checkpoint()
    if place.phase > len(experiment.phases):
        raise CommandError(
            f"that run is in phase {place.phase + 1}, and there would be only {len(experiment.phases) + 1}"
        )
    steps = place.total(experiment)
    if made is not None and made[0] >= steps:
        way = f"--set phases.{place.phase - 1}.steps=N" if place.phase else "--steps"
        raise CommandError(
            f"that run has made all of its {steps:,} steps; to go on, say how many it shall have with {way}"
        )


def _find(target: str) -> Experiment:
    """An experiment by its name in the gallery, from a TOML file, or that of a run file."""
    from studio import gallery

    if target in gallery.names():
        return gallery.load(target)
    path = Path(target).expanduser()
    if path.is_dir():
        raise CommandError(f"{path} is a folder; name an experiment of the gallery or a TOML file")
    if path.suffix == SUFFIX:
        return load_run(path).experiment
    if path.exists() or path.suffix == ".toml" or path.name != target:
        return load_experiment(path)
    raise CommandError(
        f"'{target}' is no experiment of the gallery and no file{did_you_mean(target, gallery.names())}; "
        f"'{PROG} gallery' lists what there is"
    )


# ------------------------------------------------------------------ words


def _complain(error: BaseException) -> None:
    """One sentence, and the caret where it is about a place in an equation."""
    print(f"error: {error}", file=sys.stderr)
    cause: BaseException | None = error
    while cause is not None:
        pointer = getattr(cause, "pointer", None)
        if isinstance(pointer, str):
            print("\n".join(f"    {line}" for line in pointer.splitlines()), file=sys.stderr)
            return
        cause = cause.__cause__ or cause.__context__


class _Parser(argparse.ArgumentParser):
    """Complains in one sentence instead of printing the usage."""

    def __init__(self, **more: Any) -> None:
        super().__init__(
            **{"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **more}
        )

    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{message}; '{self.prog} --help' shows how")


def _whole(text: str) -> int:
    try:
        return int(text.replace("_", "").replace(",", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None


def _version() -> str:
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = "not installed"
    return f"PINNscope {__version__} (Python {sys.version.split()[0]}, torch {torch})"


def _parser() -> _Parser:
    parser = _Parser(
        prog=PROG,
        epilog=EXAMPLES,
        description="PINNscope: train a physics-informed neural network and see why it fails.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    gallery = commands.add_parser("gallery", help="list the built-in experiments, or print one as TOML")
    gallery.add_argument("name", nargs="?", metavar="NAME", help="print this experiment's TOML")

    settings = _Parser(add_help=False)
    settings.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change a value of the experiment, such as network.hidden=[30,30] or "
        "optimizer.learning_rate=1e-4; can be given several times",
    )

    run = commands.add_parser("run", parents=[settings], help="train an experiment without a window")
    run.add_argument(
        "experiment",
        nargs="?",
        metavar="NAME-OR-FILE",
        help="an experiment of the gallery, a TOML file, or a run file to repeat",
    )
    run.add_argument("--steps", type=_whole, metavar="N", help="steps of the first optimizer")
    run.add_argument("--seed", type=_whole, metavar="S", help="seed of weights and points")
    run.add_argument("--variant", metavar="LABEL", help="train the compared variant with this label instead")
    run.add_argument(
        "--engine", choices=("auto", "eager", "compiled"), help="auto changes over while it runs"
    )
    run.add_argument("--out", metavar="DIR", help="folder for the run file (default: your data folder)")
    run.add_argument("--resume", metavar="RUNFILE", help="go on from the last checkpoint of this run")
    run.add_argument("--isolate", action="store_true", help="train in a process of its own")
    run.add_argument(
        "--json",
        action="store_true",
        help="one engine from first to last step, and the result as JSON in the last line",
    )

    opened = commands.add_parser("open", help="open a run file in the window, or print its summary")
    opened.add_argument("file", metavar="RUNFILE")
    opened.add_argument(
        "--summary", action="store_true", help="print the summary even where there is a display"
    )

    check = commands.add_parser(
        "check", parents=[settings], help="validate an experiment and its exact solution"
    )
    check.add_argument("experiment", metavar="NAME-OR-FILE")

    reproduce_command.add_parser(commands, _whole)
    return parser
