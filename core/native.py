"""A compiled function of tensors, called without the interpreter's lock.

torch compiles a graph ahead of time (AOTInductor) into a shared library with a C interface, in
torch/csrc/inductor/aoti_runtime/interface.h. torch's own loader holds Python's lock while the code runs: the window
would wait for every step, and two threads could not compute at the same time. ctypes lets it go.
"""

from __future__ import annotations

import ctypes
import shutil
import weakref
import zipfile
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

LIBRARIES = (".so", ".dylib", ".pyd", ".dll")

_Pointers = ctypes.POINTER(ctypes.c_void_p)
_address = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi))
_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi))


def library_of(package: Path, library: Path) -> None:
    """Take the shared library out of a package that AOTInductor made. Raises OSError where there is not one, or where
    it wants operations that only torch's own loader can call."""
    with zipfile.ZipFile(package) as archive:
        paths = [PurePosixPath(name) for name in archive.namelist()]
        names = [str(path) for path in paths if path.suffix in LIBRARIES]
        if len(names) != 1:
            raise OSError(f"{package.name} has {len(names)} libraries in the place of one")
        if any(path.suffix == ".json" and not path.stem.endswith("_metadata") for path in paths):
            raise OSError(f"{package.name} holds an operation that has no compiled form")
        with archive.open(names[0]) as source, library.open("wb") as target:
            shutil.copyfileobj(source, target)


class Native:
    """The function of a library: a list of tensors in, a list of new tensors out.

    together: how many threads may call it at the same time. Loops run with as many threads as torch had when it was
    compiled, products of matrices with as many as it has for the thread that calls. Raises OSError where the file is
    missing or no such library. One that is cut short may end the program, so whoever keeps them checks them first.
    """

    def __init__(self, path: Path, together: int = 1) -> None:
        library = ctypes.CDLL(str(path))
        try:
            create, run = library.AOTInductorModelContainerCreateWithDevice, library.AOTInductorModelContainerRun
            counts = library.AOTInductorModelContainerGetNumInputs, library.AOTInductorModelContainerGetNumOutputs
            delete = library.AOTInductorModelContainerDelete
        except AttributeError as error:
            raise OSError(f"{path.name} is not a compiled function: {error}") from None
        create.argtypes = (_Pointers, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_char_p)
        delete.argtypes = (ctypes.c_void_p,)
        self._handle = ctypes.c_void_p()
        if create(ctypes.byref(self._handle), together, b"cpu", None):
            raise OSError(f"{path.name} could not be loaded")
        weakref.finalize(self, delete, self._handle).atexit = False
        sizes = ctypes.c_size_t(), ctypes.c_size_t()
        if any(count(self._handle, ctypes.byref(size)) for count, size in zip(counts, sizes, strict=True)):
            raise OSError(f"{path.name} does not say how many tensors it takes and gives")
        self._inputs, self._outputs = (size.value for size in sizes)
        run.argtypes = (ctypes.c_void_p, _Pointers, ctypes.c_size_t, _Pointers, ctypes.c_size_t, ctypes.c_void_p,
                        ctypes.c_void_p)
        self._run = run
        self._last_error = library.AOTInductorGetLastError

    def __call__(self, given: list[Tensor]) -> list[Tensor]:
        """Raises ValueError for another number of arguments than it was compiled for, and RuntimeError where the code
        fails. Shapes, strides and types must be those it was compiled for."""
        if len(given) != self._inputs:
            raise ValueError(f"the compiled function takes {self._inputs} tensors, not {len(given)}")
        inputs = (ctypes.c_void_p * len(given))(
            *[_address(capsule, None) for capsule in torch._C._aoti.unsafe_alloc_void_ptrs_from_tensors(given)])
        outputs = (ctypes.c_void_p * self._outputs)()
        if self._run(self._handle, inputs, len(given), outputs, self._outputs, None, None):  # it takes the inputs over
            why = ctypes.c_char_p()
            self._last_error(ctypes.byref(why))
            raise RuntimeError(f"the compiled code failed: {(why.value or b'').decode(errors='replace').strip()}")
        return torch._C._aoti.alloc_tensors_by_stealing_from_void_ptrs(
            [_capsule(output, None, None) for output in outputs])
