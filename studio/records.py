"""What of a run goes into its file, and when. Without a file everything here does nothing."""

from __future__ import annotations

import time
from pathlib import Path

from core.frames import Frame
from core.trainer import Trainer
from studio.experiment import Experiment
from studio.messages import Event
from studio.phases import Place
from studio.run_reader import Run
from studio.runfile import RunFile
from studio.timing import Clock

COMMIT_EVERY = 1.0  # seconds
CHECKPOINT_EVERY = 10.0  # at the latest, for a small network; what a killed program loses
WRITTEN = 2e6  # bytes of checkpoints for each second of a run
LARGEST = 400e6  # bytes of a checkpoint; a run file keeps two, and holds them in memory until they are written
SOLVER = "solver."  # begins the names of a method's own tensors


class Records:
    """The records of one run. `clock` is charged with the time that writing takes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._file: RunFile | None = None
        self.unwritten = ""  # why the last commit failed; '' where everything is in the file
        self.next_commit = self.next_checkpoint = 0.0

    def create(self, path: Path, experiment: Experiment) -> Path:
        """Begin the file; the path that it got. Raises RunFileError."""
        self._file = RunFile.create(path, experiment)
        return self._file.path

    @property
    def kept(self) -> bool:
        """Whether there is a file."""
        return self._file is not None

    def copy(self, run: Run, step: int) -> None:
        """Begin with what another run recorded up to a step."""
        if self._file is not None:
            self._file.copy_records(run, step)

    def frame(self, frame: Frame) -> None:
        if self._file is not None:
            self._file.add_frame(frame)

    def event(self, event: Event) -> None:
        if self._file is not None:
            self._file.add_event(event)

    def checkpoint(self, trainer: Trainer, seconds: float, place: Place) -> None:
        """The trainer's whole state; the next commit writes it. seconds: of training so far; place: the phase.

        A method's memory that is too large for the file is left out: the method begins anew where it is gone on.
        """
        self.next_checkpoint = time.perf_counter() + CHECKPOINT_EVERY
        if self._file is not None:
            with self._clock.spent_on("recording"):
                state = trainer.state()
                tensors = {name: tensor.numpy(force=True) for name, tensor in state.tensors.items()}
                meta = {**state.numbers, "seconds": seconds, **place.to_meta()}
                if sum(array.nbytes for array in tensors.values()) > LARGEST:
                    tensors = {name: array for name, array in tensors.items() if not name.startswith(SOLVER)}
                    meta["left_out"] = SOLVER
                size = sum(array.nbytes for array in tensors.values())
                self.next_checkpoint += size / WRITTEN  # a large one is written less often
                self._file.save_checkpoint(trainer.iteration, tensors, meta)

    def commit(self, state: str, step: int, seconds: float, megabytes: float) -> str:
        """Write what waits, and thin old frames down to so many megabytes; a sentence that says which, or ''.

        Raises RunFileError, for example where the disk is full; nothing is lost, the next commit tries again.
        """
        self.next_commit = time.perf_counter() + COMMIT_EVERY
        if self._file is None:
            return ""
        self._file.set_state(state, step, seconds)
        with self._clock.spent_on("recording"):
            self._file.commit()
            return self._file.thin(megabytes * 1e6)

    def close(self) -> None:
        """Raises RunFileError; the file is closed all the same."""
        if self._file is not None:
            self._file.close()
