"""A runner in a process of its own: the window loses no time to it, and survives its crash."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from studio.experiment import Experiment
from studio.mailbox import Mailbox
from studio.messages import ENDED, RunState, Status

SEND_EVERY = 0.05  # seconds between two updates


class RemoteRunner:
    """The parent's end: forwards commands, collects updates. Plain data only crosses the pipe."""

    def __init__(self, experiment: Experiment, path: Path | None, resume_from: Path | None,
                 commands: queue.SimpleQueue[tuple[str, object]], mailbox: Mailbox) -> None:
        self._arguments = (experiment.to_toml(), path, resume_from)
        self._commands, self._mailbox = commands, mailbox

    def run(self) -> None:
        """Start the process and serve it until it ends. Called in a thread of its own."""
        context = multiprocessing.get_context("spawn")
        try:
            mine, theirs = context.Pipe()
            process = context.Process(target=_child, args=(theirs, *self._arguments), name="session", daemon=True)
            process.start()
        except OSError as error:
            message = f"a process for the training could not be started: {error.strerror or error}"
            self._mailbox.put_status(state=RunState.FAILED, message=message)
            return
        theirs.close()
        try:
            self._serve(mine)
        except (EOFError, OSError):
            process.join(5)
            if self._mailbox.status.state not in ENDED:
                file = self._mailbox.status.run_file
                kept = f"; everything up to the last checkpoint is in {file}" if file else ""
                self._mailbox.put_status(state=RunState.FAILED, message=(
                    f"the training process ended unexpectedly (exit code {process.exitcode}){kept}"))
        finally:
            mine.close()
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()

    def _serve(self, pipe: Connection) -> None:
        closing = False
        while True:
            if pipe.poll(0.02):
                update = pipe.recv()
                if update is None:
                    return
                self._mailbox.put_update(update)
            while not closing:
                try:
                    command = self._commands.get_nowait()
                except queue.Empty:
                    break
                closing = command[0] == "close"
                pipe.send(command)


def _child(pipe: Connection, text: str, path: Path | None, resume_from: Path | None) -> None:
    """The process: one thread reads commands, one sends updates, the main thread trains."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says what to do
    from studio.runner import Runner

    experiment = Experiment.from_toml(text)
    commands: queue.SimpleQueue[tuple[str, object]] = queue.SimpleQueue()
    mailbox = Mailbox(Status(state=RunState.PREPARING, step=0, total_steps=experiment.total_steps))
    done = threading.Event()

    def read() -> None:
        try:
            while True:
                commands.put(pipe.recv())
        except (EOFError, OSError):  # the window is gone: keep the run and end
            commands.put(("close", None))

    def send() -> None:
        try:
            while not done.wait(SEND_EVERY):
                pipe.send(mailbox.take())
            pipe.send(mailbox.take())
            pipe.send(None)
        except OSError:
            return

    threading.Thread(target=read, daemon=True).start()
    sender = threading.Thread(target=send)
    sender.start()
    try:
        Runner(experiment, path, resume_from, commands, mailbox, undisturbed=True).run()
    finally:
        done.set()
        sender.join()
