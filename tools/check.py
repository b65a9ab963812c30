"""Every check of the project, in the order of the time they take; `make test` runs it.

    python tools/check.py                 all
    python tools/check.py -k jets         only pytest, with these arguments

All are run even where an early one fails, so that one call shows everything that is wrong.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: The lower two floors are tested as if Qt were not installed, everything else with it.
WITHOUT_QT = ("tests/core", "tests/studio")

CHECKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ruff", ("ruff", "check", ".")),
    ("mypy", ("mypy",)),
    ("tests of core and studio, without Qt", ("pytest", "-p", "no:pytest-qt", "-p", "tests.without_qt", *WITHOUT_QT)),
    ("tests of the window and of the whole", ("pytest", *(f"--ignore={folder}" for folder in WITHOUT_QT))),
)


def main(arguments: Sequence[str]) -> int:
    """Run the checks; 0 where all succeeded, otherwise 1."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    checks = (("pytest", ("pytest", *arguments)),) if arguments else CHECKS
    failed = []
    begin = time.monotonic()
    for name, command in checks:
        print(f"== {name}", flush=True)
        started = time.monotonic()
        if subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=environment, check=False).returncode != 0:
            failed.append(name)
        print(f"== {name}: {time.monotonic() - started:.1f} s\n", flush=True)
    verdict = f"failed: {', '.join(failed)}" if failed else "all checks passed"
    print(f"{verdict} ({time.monotonic() - begin:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
