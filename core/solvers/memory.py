"""What memory the optimizers of the whole loss need, what there is, and which of them is best for a loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from core.solvers.damped import Form, samples_fit_better
from core.solvers.jacobian import FEWEST, PIECE
from core.solvers.products import HELD
from core.solvers.self_scaled import LARGEST, PENDING

#: Parameters up to which Levenberg-Marquardt is taken. Relative L2 after 16 s of one core, some 900 residuals, float64,
#: against self-scaled Broyden: Klein-Gordon, 261 parameters 2.0e-4 : 4.2e-3, 609 4.5e-4 : 7.1e-4; Helmholtz (1, 4), 501
#: 4.8e-5 : 2.8e-4, 921 1.8e-4 : 1.9e-4.
FEW = 600
#: Parameters up to which self-scaled Broyden is taken. The same Helmholtz problem, 1,900 residuals; 1,981 parameters:
#: it is at 5.6e-6 after 150 s, where Levenberg-Marquardt is at 1.0e-4 after 188 s. With 7,077, where its matrix takes
#: 1.5 times as long as the gradient: 1.3e-3 after 64 s, L-BFGS 9.1e-3; with 11,701 8.1e-4 and 1.3e-3. Up to this
#: many, in float64, a checkpoint keeps the matrix.
SELF_SCALED = 7_000
#: Of the memory that is free, the share that a method may take.
SHARE = 0.8
#: Bytes of a pass of the network, and of torch's own workspaces.
PASS = 64_000_000
#: Pairs that L-BFGS keeps where nobody says how many.
HISTORY = 50

#: What works without a large matrix in the place of a method.
WITHOUT_MATRIX = {"levenberg-marquardt": "gauss-newton-cg", "energy-natural-gradient": "gauss-newton-cg",
                  "spring": "gauss-newton-cg", "ssbfgs": "lbfgs", "ssbroyden": "lbfgs"}
#: Methods as they are called in a sentence.
TITLES = {"levenberg-marquardt": "Levenberg-Marquardt", "energy-natural-gradient": "energy natural gradient descent",
          "spring": "SPRING", "gauss-newton-cg": "gauss-newton-cg", "ssbfgs": "self-scaled BFGS",
          "ssbroyden": "self-scaled Broyden", "lbfgs": "L-BFGS"}
#: The most parameters that a method takes, whatever memory there is.
MOST = {"ssbfgs": LARGEST, "ssbroyden": LARGEST}


@dataclass(frozen=True)
class Size:
    """A loss and what its methods were asked for, as far as memory goes.

    rows: residuals. itemsize: bytes of a number. history: pairs of L-BFGS. form: of Levenberg-Marquardt, whose smaller
    one 'auto' is.
    """

    rows: int
    parameters: int
    itemsize: int = 8
    history: int = HISTORY
    form: Form = "auto"


def needed(kind: str, size: Size) -> int:
    """Bytes that a step of a method takes at most, beside what is held anyway; of other kinds a few vectors."""
    p, r = size.parameters, size.rows
    vectors = 12 * p
    pieces = 3 * max(PIECE, FEWEST * p)  # a piece, its parts before they are joined, one to come
    match kind:
        case "levenberg-marquardt" | "spring" | "energy-natural-gradient":
            # the matrix, its factor and a copy of that; or its eigenvectors, those that are kept, LAPACK's workspaces
            copies = 6 if kind == "energy-natural-gradient" else 3
            form = size.form if kind == "levenberg-marquardt" else "auto"
            held = copies * r * r + r * p if samples_fit_better(form, r, p) else copies * p * p
            return (held + pieces + vectors) * size.itemsize + PASS
        case "gauss-newton-cg":
            return HELD + (pieces + vectors) * size.itemsize + PASS
        case "ssbfgs" | "ssbroyden":
            # the matrix before the last step, the one after it, and an identity where the method begins anew; and as
            # many times the pairs that wait, which are copied at each step
            return (3 * p * p + 4 * 2 * PENDING * p + vectors) * size.itemsize + PASS
        case "lbfgs":
            # the pairs before the last step, those after it, and those to come; what each is put together from
            return (7 * size.history * p + vectors) * size.itemsize + PASS
    return vectors * size.itemsize + PASS


def fits(kind: str, size: Size, available: int | None) -> bool:
    """Whether a method's memory is there; True where what is free is not known, but for a matrix that is never kept."""
    if size.parameters > MOST.get(kind, size.parameters):
        return False
    return available is None or needed(kind, size) <= SHARE * available


def sentence(kind: str, size: Size, available: int | None) -> str:
    """What a method would need, what there is, and what would fit; no full stop, so that it can go on."""
    p, title = size.parameters, TITLES.get(kind, kind)
    if p > MOST.get(kind, p):
        return (f"{title} keeps a matrix of parameters by parameters, of {MOST[kind]:,} at most, and there are {p:,}; "
                f"{WITHOUT_MATRIX[kind]} has no such limit")
    text = f"{title} with {p:,} parameters and {size.rows:,} residuals needs {size_text(needed(kind, size))} of memory"
    if available is None:
        return text
    text += f", this machine has {size_text(available)} free"
    most = largest(kind, size, available)
    parts = [f"up to {most:,} parameters would fit"] if most else []
    other = WITHOUT_MATRIX.get(kind)
    if other is not None and fits(other, size, available):
        parts.append(f"{other}, which needs {size_text(needed(other, size))}, would do")
    return "; ".join([text, ", or ".join(parts)]) if parts else text


def largest(kind: str, size: Size, available: int) -> int:
    """The most parameters that fit, to two digits; 0 for none. It never falls as the memory grows."""
    low, high = 0, MOST.get(kind, 10**12)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(kind, replace(size, parameters=middle), available):
            low = middle
        else:
            high = middle - 1
    unit: int = 10 ** max(0, len(str(low)) - 2)
    return low // unit * unit


def best(size: Size, available: int | None, least_squares: bool) -> tuple[str, str]:
    """(kind, why in words) of the method for a loss. least_squares: whether it is a sum of squares at single points.

    Levenberg-Marquardt for the smallest networks, then self-scaled Broyden, and L-BFGS where its matrix is too large.
    """
    count = f"{size.parameters:,}"
    if least_squares and size.parameters <= FEW and fits("levenberg-marquardt", size, available):
        return "levenberg-marquardt", (f"the loss is a sum of squares, and a linear system of its {count} parameters "
                                       "is solved quickly")
    matrix = f"a matrix of {count} by {count} numbers, one row for each parameter,"
    if size.parameters > SELF_SCALED:
        return "lbfgs", f"{matrix} would take long at each step"
    if not fits("ssbroyden", size, available):
        return "lbfgs", sentence("ssbroyden", size, available).partition(";")[0]
    return "ssbroyden", f"{matrix} is small enough to be kept"


def available(device: torch.device | str = "cpu") -> int | None:
    """Bytes that are free: of a CUDA device its own, else of this machine and of the control group that this process
    is in, whichever is less. None where the system does not say, as on macOS and Windows."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_bytes(Path("/proc/meminfo"), Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))


def free_bytes(meminfo: Path, groups: Path, own: Path) -> int | None:
    """The less of the two, from the kernel's files."""
    found = [value for value in (_meminfo(meminfo), _group(groups, own)) if value is not None]
    return min(found) if found else None


def _meminfo(path: Path) -> int | None:
    for line in _read(path).splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable" and rest.split():
            return int(rest.split()[0]) * 1024
    return None


def _group(groups: Path, own: Path) -> int | None:
    """The limit less what is used, of the process's control group and those above it; version 2, then version 1."""
    found: list[int] = []
    for line in _read(own).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, place = rest.partition(":")
        if controllers == "":
            root, names = groups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root, names = groups / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        parts = [part for part in place.split("/") if part not in ("", "..")]
        for depth in range(len(parts) + 1):
            value = _left(root.joinpath(*parts[:depth]), *names)
            if value is not None:
                found.append(value)
    return min(found) if found else None


def _left(folder: Path, limit: str, usage: str, cache: str) -> int | None:
    """Files that are cached count as free: the kernel gives them up."""
    most, used = _read(folder / limit).strip(), _read(folder / usage).strip()
    if not (most.isdigit() and used.isdigit()):
        return None  # 'max', or no such file
    statistics = dict(line.split() for line in _read(folder / "memory.stat").splitlines() if len(line.split()) == 2)
    return max(0, int(most) - int(used) + int(statistics.get(cache, "0")))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def size_text(count: float) -> str:
    """Bytes in words: '16 TB', '2.1 GB', '340 MB'."""
    for unit, factor in (("EB", 1e18), ("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if count >= factor:
            value = count / factor
            return f"{value:,.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
    return f"{max(1, count / 1e6):,.0f} MB"
