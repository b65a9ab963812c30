"""The step as one CUDA graph: recorded once, launched as a whole, without Python and without a wait between kernels.

A step of a small network is hundreds of kernels of microseconds, so what a GPU spends eagerly is the time to launch
them. A graph launches all of them at once. It reads and writes the same memory every time: arguments are copied into
buffers, results are copied out. All that changes from step to step is an argument (points, weights, learning rate,
multipliers), so annealing, resampling and live changes go on working.

This module was written without a GPU at hand and has not been run on one. What is tested, on the CPU, is that a
recording with frozen Python values and fixed buffers makes the eager engine's steps, and that an eager step does
nothing that a recording forbids: no tensor of the host, no copy from it, no waiting for a value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from core.engine import EagerEngine, StepResult

#: A pure function of tensors.
Function = Callable[..., tuple[Tensor, ...]]

WARM_UP = 3  # calls before recording: workspaces of cuBLAS and the autograd threads come into being then


class Recorder(Protocol):
    """Records what a function does with its arguments' memory, once, and does it again."""

    def capture(self, function: Function, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Record function(*inputs). Returns the tensors that hold the results after every `replay`.

        Raises RuntimeError where it cannot be recorded.
        """
        ...

    def replay(self) -> None:
        """Do again what was recorded, with what is now in the memory of the inputs."""
        ...


class CudaRecorder:
    """A `torch.cuda.CUDAGraph`."""

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()

    def capture(self, function: Function, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        with torch.cuda.device(inputs[0].device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):  # not the default one, on which nothing can be recorded
                for _ in range(WARM_UP):
                    function(*inputs)
            torch.cuda.current_stream().wait_stream(side)
            # other threads, such as those of a comparison's other lanes, may use the device meanwhile
            with torch.cuda.graph(self._graph, stream=side, capture_error_mode="thread_local"):
                return function(*inputs)

    def replay(self) -> None:
        self._graph.replay()


class GraphEngine:
    """An eager engine's functions, each recorded the first time that it is asked for.

    recorder: makes what records. Results are copies, so they stay what they are when the next step is made.
    """

    name = "graph"

    def __init__(self, eager: EagerEngine, recorder: Callable[[], Recorder] = CudaRecorder) -> None:
        self.eager, self._recorder = eager, recorder
        self._recorded: dict[str, _Recorded] = {}

    def prepare(self) -> None:
        """Record the step now. Raises RuntimeError where it cannot be recorded."""
        self._of("step", self.eager.step, 0)

    def step(self, theta: Tensor, m: Tensor, v: Tensor, weights: Tensor, hyper: Tensor, draws: Tensor,
             lam: Tensor) -> StepResult:
        run = self._of("step", self.eager.step, 0)
        theta, m, v, losses, lam = run(theta, m, v, weights, hyper, draws, lam)
        return theta, m, v, losses, lam

    def gradient(self, theta: Tensor, draws: Tensor, weights: Tensor, lam: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        losses, gradient, lam = self._of("gradient", self.eager.gradient, 1)(theta, draws, weights, lam)
        return losses, gradient, lam

    def term_gradients(self, theta: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        losses, gradients = self._of("term_gradients", self.eager.term_gradients, 2)(theta, draws)
        return losses, gradients

    def _of(self, name: str, function: Function, number: int) -> _Recorded:
        if name not in self._recorded:
            self._recorded[name] = _Recorded(function, self.eager.examples()[number], self._recorder())
        return self._recorded[name]


class _Recorded:
    """One recorded function with its buffers."""

    def __init__(self, function: Function, examples: Sequence[Tensor], recorder: Recorder) -> None:
        self._inputs = [tensor.clone() for tensor in examples]
        self._recorder = recorder
        self._outputs = recorder.capture(function, self._inputs)

    def __call__(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        for buffer, argument in zip(self._inputs, arguments, strict=True):
            if buffer.shape != argument.shape:  # copying would broadcast it in silence
                raise ValueError(f"the step was recorded for a tensor of shape {tuple(buffer.shape)}, not "
                                 f"{tuple(argument.shape)}")
            buffer.copy_(argument)
        self._recorder.replay()
        return tuple(tensor.clone() for tensor in self._outputs)
