"""The peak of a process's memory. Standard library only: benchmarks of other programs use it in their own Python."""

from __future__ import annotations

import sys


def peak_mb() -> float:
    """The most resident memory that this process has had since it began, in MB; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0.0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e6 / 1024)
