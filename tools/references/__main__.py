"""Make every reference, or the scripts named: `python -m tools.references [NAME ...]`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from importlib import import_module

#: Scripts in the order of the files in the README, and what they took on two shared cores.
SCRIPTS = {
    "cavity": "some minutes; cavity-re100, cavity-re1000",
    "cavity_differences": "a minute, the check of cavity; writes nothing",
    "burgers": "5 s",
    "evolution": "15 s; allen-cahn, kdv, kuramoto-sivashinsky",
    "orbits": "1 s; lorenz, lotka-volterra",
    "poisson_inverse": "3 s; ten files",
    "poisson_family": "3 s; four files",
    "circles": "at once",
    "oblique": "at once",
    "signals": "at once; image-rings, tone",
}


def main(names: Sequence[str]) -> int:
    unknown = [name for name in names if name not in SCRIPTS]
    if unknown:
        print(f"there is no script {', '.join(unknown)}; there are {', '.join(SCRIPTS)}", file=sys.stderr)
        return 2
    for name in names or SCRIPTS:
        print(f"== {name} ({SCRIPTS[name]})", flush=True)
        started = time.monotonic()
        import_module(f"tools.references.{name}").main()
        print(f"== {name}: {time.monotonic() - started:.1f} s\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
