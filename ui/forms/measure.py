"""Which device is the fastest for an experiment, measured in a process of its own: the window must not stutter for it,
and neither torch nor its threads come into this process. Knows no Qt, which the process does not need."""

from __future__ import annotations

import multiprocessing
import signal
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

from studio.experiment import Experiment

if TYPE_CHECKING:
    from studio.device_advice import Advice


class Measurement:
    """One measurement. `run` blocks until it is there, and is called in a thread; `stop` ends it from another."""

    def __init__(self, experiment: Experiment) -> None:
        self._text = experiment.to_toml()
        self._process: SpawnProcess | None = None
        self._stopped = False

    def run(self) -> Advice:
        """What is faster. Raises RuntimeError with a sentence where it cannot be measured."""
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe(duplex=False)
        try:
            self._process = context.Process(target=_measure, args=(theirs, self._text), name="device", daemon=True)
            self._process.start()
            theirs.close()
            if self._stopped:
                self._process.kill()
            found = mine.recv()
        except EOFError:
            raise RuntimeError("the measurement ended before it had a result") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise RuntimeError(f"a process for the measurement could not be started: {reason}") from None
        finally:
            mine.close()
            if self._process is not None and self._process.pid is not None:
                self._process.join(5)
        if isinstance(found, str):
            raise RuntimeError(found)
        return found  # type: ignore[no-any-return]

    def stop(self) -> None:
        """Nobody waits for it any more."""
        self._stopped = True
        if self._process is not None and self._process.pid is not None:
            self._process.kill()


def _measure(pipe: Connection, text: str) -> None:
    """The process. Sends the advice, or a sentence why there is none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the window says what to do
    try:
        from studio.device_advice import advise

        pipe.send(advise(Experiment.from_toml(text)))
    except Exception as error:  # whatever it is, the person who asked must hear of it
        pipe.send(f"it could not be measured: {error}")
    finally:
        pipe.close()
