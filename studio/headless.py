"""A session watched from a terminal: progress while it trains, words and an exit code when it ends."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from studio.experiment import Experiment
from studio.messages import ENDED, Event, RunState, Status, Update
from studio.progress import Progress, report, result
from studio.runfile import RunFileError, load_run

PROG = "python main.py"
POLL = 0.1  # seconds between two looks at the session
DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

#: Events that end a run where nobody is there to answer. A pause alone does too: a run starts as a paused one.
TROUBLE = ("nan", "disk", "refused", "error")
#: Events that the progress shows anyway, or the words at the end.
SILENT = ("start", "resume", "pause", "stop", "finish", *TROUBLE)


class Trains(Protocol):
    """What the command line needs of a session."""

    @property
    def run_file(self) -> Path | None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def take(self) -> Update: ...
    def close(self, timeout: float = ...) -> bool: ...
    def set_weight(self, term: str, value: float) -> None: ...
    def set_balancing(self, rule: str) -> None: ...
    def set_learning_rate(self, value: float) -> None: ...


def train(session: Trains, experiment: Experiment, *, as_json: bool = False) -> int:
    """Start, watch until it ends, close, and say how it went. Returns the exit code; Ctrl-C keeps the run."""
    progress = Progress(sys.stderr)
    events: list[Event] = []
    interrupted = False
    update = session.take()
    try:
        session.start()
        while not _over(update, events):
            time.sleep(POLL)
            update = session.take()
            _tell(progress, events, update)
    except KeyboardInterrupt:
        interrupted = True
        progress.say("stopping, and keeping the run ...")
        session.stop()
    finally:
        closed = session.close()
    told, update = update.status, session.take()
    _tell(progress, events, update)
    progress.close()
    status, path = update.status, session.run_file
    code, message = _outcome(told, status, events, interrupted)
    if code != DONE:
        print(message + _where(code, path, events, experiment), file=sys.stderr)
    if not closed:
        print("the training did not end in time; the program ends without it", file=sys.stderr)
    if as_json:
        print(json.dumps(result(experiment, status, path, "" if code == DONE else message), allow_nan=False))
    elif code == DONE:
        print(report(experiment, status, path))
    return code


def _over(update: Update, events: Sequence[Event]) -> bool:
    state = update.status.state
    return state in ENDED or (state is RunState.PAUSED and any(e.kind in (*TROUBLE, "pause") for e in events))


def _tell(progress: Progress, events: list[Event], update: Update) -> None:
    for event in update.events:
        events.append(event)
        if event.kind not in SILENT:
            progress.say(f"step {event.step:,}: {event.text}")
    progress.show(update.status)


def _outcome(told: Status, status: Status, events: Sequence[Event], interrupted: bool) -> tuple[int, str]:
    """(exit code, sentence). `told` is the status that ended the watching, `status` the one after closing."""
    if interrupted:
        return INTERRUPTED, f"stopped at step {status.step:,}"
    trouble = next((event for event in events if event.kind in TROUBLE), None)
    if told.state is RunState.FINISHED:  # what goes wrong then is the file's last commit
        return (
            (BAD_INPUT, f"error: the run is finished, but {status.message}") if status.message else (DONE, "")
        )
    text = (
        trouble.text
        if trouble and trouble.kind != "error"
        else told.message or status.message or str(told.state)
    )
    if trouble is not None and trouble.kind in ("disk", "refused"):
        return BAD_INPUT, f"error: {text}"
    return FAILED, f"error: {text}" if status.step == 0 else f"the run ended at step {status.step:,}: {text}"


def _where(code: int, path: Path | None, events: Sequence[Event], experiment: Experiment) -> str:
    """What is kept and how to go on, each on a line of its own."""
    kinds = {event.kind for event in events}
    lines = [""]
    if "refused" in kinds and experiment.training.engine == "compiled":
        lines.append("--engine eager trains without compiling")
    step = None
    if path is not None and path.exists():
        try:
            run = load_run(path)
            checkpoint = run.latest_checkpoint()
            step = checkpoint[0] if checkpoint is not None else None
        except RunFileError as error:
            lines.append(str(error))
        else:
            if step is None:
                lines.append(f"the journal is in {path}")
            elif code == INTERRUPTED:
                lines.append(f"the run is kept in {path}")
            else:
                lines.append(f"the last good state, of step {step:,}, is kept in {path}")
    if step is not None:
        slower = f" --set optimizer.learning_rate={experiment.optimizer.learning_rate / 10:.2g}"
        lines.append(f"go on with: {PROG} run --resume {shlex.quote(str(path))}{slower if 'nan' in kinds else ''}")
    return "\n".join(lines)
