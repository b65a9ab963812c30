"""One engine of the benchmark: its side of the conversation with compare.py.

An engine is a script called as `engine_NAME.py POINTS THREADS [VARIANT [PROBLEM]]`. It warms up, prints one JSON line
that says it is ready, then answers each line on its standard input (a number of steps) with one JSON line about those
steps, until the input ends. So the rounds of several engines can alternate, and only one engine ever works.

Standard library only: each engine runs in the environment that has its packages.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from studio.peak import peak_mb  # noqa: E402

# The first problem, which every engine solves: Helmholtz (1, 4) on (-1, 1)^2 with k = 1, Wang, Teng & Perdikaris 2021.
WAVES = (1, 4)
SIZES = (2, 50, 50, 50, 1)
EDGE_POINTS = 128  # on each of the four edges, in each step
LEARNING_RATE = 1e-3
WARM_UP_STEPS = 40
FIRST = "helmholtz"
NONE = "-"  # the variant of an engine that has one only

# Libraries print what they like; the answers have a channel of their own.
_answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)


@dataclass(frozen=True)
class Arguments:
    """What the command line says: interior points, threads, the engine's variant ('' where it has one), the problem."""

    points: int
    threads: int
    variant: str
    problem: str = FIRST


def arguments(*variants: str) -> Arguments:
    """Read the command line. Exits with a sentence where it is wrong."""
    given = sys.argv[1:]
    variant = given[2] if len(given) > 2 and given[2] != NONE else (variants[0] if variants else "")
    if len(given) < 2 or not all(text.isdigit() for text in given[:2]) or variant not in (variants or ("",)):
        sys.exit(f"usage: {sys.argv[0]} POINTS THREADS {'|'.join(variants) or NONE} [PROBLEM]")
    return Arguments(int(given[0]), int(given[1]), variant, given[3] if len(given) > 3 else FIRST)


def serve(versions: Mapping[str, str], run: Callable[[int], float]) -> None:
    """Warm up, say so, and answer requests. `run(n)` makes n steps and returns the last loss, when all is computed."""
    started = time.perf_counter()
    run(WARM_UP_STEPS)
    python = {"python": platform.python_version()}
    _answer({"ready": time.perf_counter() - started, "versions": {**python, **versions}})
    for line in sys.stdin:
        steps = int(line)
        cpu, begin = time.process_time(), time.perf_counter()
        loss = run(steps)
        seconds = time.perf_counter() - begin
        _answer({"steps": steps, "seconds": seconds, "cpu_seconds": time.process_time() - cpu, "loss": loss,
                 "peak_mb": peak_mb()})


def _answer(data: Mapping[str, object]) -> None:
    _answers.write(json.dumps(data) + "\n")
    _answers.flush()
