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
    """Take the shared library out of a package that AOTInductor made. Raises OSError where there is not one."""
    with zipfile.ZipFile(package) as archive:
        names = [name for name in archive.namelist() if PurePosixPath(name).suffix in LIBRARIES]
        if len(names) != 1:
            raise OSError(f"{package.name} has {len(names)} libraries in the place of one")
        with archive.open(names[0]) as source, library.open("wb") as target:
            shutil.copyfileobj(source, target)


class Native:
    """The function of a library: a list of tensors in, a list of new tensors out.

    together: how many threads may call it at the same time; its operations use as many threads as torch does for the
    one that calls. Raises OSError where the file is missing or no such library.
    """

    def __init__(self, path: Path, together: int = 1) -> None:
        library = ctypes.CDLL(str(path))
        try:
            create, run = library.AOTInductorModelContainerCreateWithDevice, library.AOTInductorModelContainerRun
            counts = library.AOTInductorModelContainerGetNumInputs, library.AOTInductorModelContainerGetNumOutputs
        except AttributeError as error:
            raise OSError(f"{path.name} is not a compiled function: {error}") from None
        self._handle = ctypes.c_void_p()
        delete = library.AOTInductorModelContainerDelete
        delete.argtypes = (ctypes.c_void_p,)
        create.argtypes = (_Pointers, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_char_p)
        sizes = ctypes.c_size_t(), ctypes.c_size_t()
        if create(ctypes.byref(self._handle), together, b"cpu", None) or any(
                count(self._handle, ctypes.byref(size)) for count, size in zip(counts, sizes, strict=True)):
            raise OSError(f"{path.name} could not be loaded")
        weakref.finalize(self, delete, self._handle).atexit = False
        self._inputs, self._outputs = (size.value for size in sizes)
        run.argtypes = (ctypes.c_void_p, _Pointers, ctypes.c_size_t, _Pointers, ctypes.c_size_t, ctypes.c_void_p,
                        ctypes.c_void_p)
        self._run = run

    def __call__(self, given: list[Tensor]) -> list[Tensor]:
        """Raises ValueError for another number of arguments than it was compiled for, and RuntimeError where the code
        fails; torch writes on the standard error why. Shapes and types must be those it was compiled for."""
        if len(given) != self._inputs:
            raise ValueError(f"the compiled function takes {self._inputs} tensors, not {len(given)}")
        inputs = (ctypes.c_void_p * len(given))(
            *[_address(capsule, None) for capsule in torch._C._aoti.unsafe_alloc_void_ptrs_from_tensors(given)])
        outputs = (ctypes.c_void_p * self._outputs)()
        if self._run(self._handle, inputs, len(given), outputs, self._outputs, None, None):  # it takes the inputs over
            raise RuntimeError("the compiled code failed")
        return torch._C._aoti.alloc_tensors_by_stealing_from_void_ptrs(
            [_capsule(output, None, None) for output in outputs])
