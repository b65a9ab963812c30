"""What a layer's three products of matrices take at several widths: some widths are cheaper than narrower ones.

    python tests/bench/widths.py                    one thread, 4,000 rows (points times channels)

Forward x W, backward g W^T and x^T g of a square layer [width, width]; the least of many times each, since anything
else that the machine does only adds to them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

WIDTHS = (20, 24, 28, 30, 32, 36, 40, 48, 50, 60, 64)
TIMES = 60


def least(work: Callable[[], Tensor], again: int = 6) -> float:
    """Seconds of one call, the least of the means of `again`."""
    found = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        for _ in range(again):
            work()
        found.append((time.perf_counter() - begun) / again)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"| width | float64, µs | GFlop/s | float32, µs | GFlop/s |  {given.rows:,} rows, {given.threads} thread(s)")
    for width in WIDTHS:
        cells = []
        for dtype in (torch.float64, torch.float32):
            generator = torch.Generator().manual_seed(0)
            x, g = (torch.randn(given.rows, width, dtype=dtype, generator=generator) for _ in range(2))
            w = torch.randn(width, width, dtype=dtype, generator=generator)
            seconds = sum(map(least, (lambda x=x, w=w: x @ w, lambda g=g, w=w: g @ w.T, lambda x=x, g=g: x.T @ g)))
            cells += [f"{1e6 * seconds:.0f}", f"{6 * given.rows * width ** 2 / seconds / 1e9:.0f}"]
        print(f"| {width} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
