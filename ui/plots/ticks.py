"""Where ticks stand and what they say, for linear, logarithmic and symmetric-logarithmic axes. No Qt here."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ticks = list[tuple[float, str]]

_SUPERSCRIPT = str.maketrans(
    "-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
)
_MINUS = "\u2212"


def power_of_ten(exponent: int) -> str:
    """1, 10, or ten with a raised exponent."""
    if exponent in (0, 1):
        return ("1", "10")[exponent]
    return "10" + str(exponent).translate(_SUPERSCRIPT)


def number(value: float, digits: int = 3) -> str:
    """A number as short as it can be read: 0.0123, 123, 1.2e-5, 1.2e6."""
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else f"{_MINUS}inf"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 10 ** max(digits, 4):
        return (
            f"{value:.{digits}g}".replace("-", _MINUS)
            if abs(value) < 10**digits
            else f"{value:.0f}".replace("-", _MINUS)
        )
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}".replace("-", _MINUS)


def times(ratio: float) -> str:
    """A ratio in words of two digits: '600x', '3.9x'."""
    if not math.isfinite(ratio):
        return "infinitely"
    if ratio >= 1e5:
        return f"{number(ratio, 1)}\u00d7"
    rounded = float(f"{ratio:.2g}")
    if rounded >= 10:
        return f"{rounded:,.0f}\u00d7"
    return f"{rounded:.1f}\u00d7" if rounded >= 0.1 else f"{number(rounded, 1)}\u00d7"


def nice_step(span: float, count: float) -> float:
    """1, 2 or 5 times a power of ten, so that about `count` of them fit into `span`."""
    if not span > 0 or not math.isfinite(span):
        return 1.0
    rough = span / max(count, 1.0)
    power = 10.0 ** math.floor(math.log10(rough))
    return float(next((m * power for m in (1, 2, 5) if m * power >= rough * 0.98), 10 * power))


def linear_ticks(low: float, high: float, count: float) -> Ticks:
    """About `count` round values in [low, high] with labels of equal precision."""
    step = nice_step(high - low, count)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if last - first > 200:
        return []
    biggest = max(abs(low), abs(high))
    out: Ticks = []
    for index in range(first, last + 1):
        value = index * step
        if biggest >= 1e5 or biggest < 1e-3:
            text = number(value, max(1, min(6, math.ceil(math.log10(max(biggest / step, 1.0))) + 1)))
        else:
            text = f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}".replace("-", _MINUS)
        out.append((value, "0" if index == 0 else text))
    return out


def step_ticks(low: float, high: float, count: float) -> Ticks:
    """Linear ticks for training steps: 500, 5k, 40k, 1.5M."""
    out: Ticks = []
    for value, text in linear_ticks(low, high, count):
        if value != int(value):
            continue
        if high >= 1e6:
            text = "0" if value == 0 else f"{value / 1e6:g}M"
        elif high >= 1e4:
            text = "0" if value == 0 else f"{value / 1e3:g}k"
        else:
            text = f"{value:.0f}"
        out.append((value, text))
    return out


def log_ticks(low: float, high: float, count: float) -> tuple[Ticks, list[float]]:
    """Ticks between the exponents `low` and `high`: (labelled, bare). At most about `count` labels.

    Labels are decades, every second, third ... decade when there are many; 1, 2, 5 within a decade when there are
    few; round values when the axis shows less than that.
    """
    span = high - low
    if not (span > 0 and math.isfinite(span)):
        return [], []
    count = max(1.0, count)
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    decades = list(range(first, last + 1)) if last - first < 400 else []
    if len(decades) >= 3 or (len(decades) == 2 and count < 5):
        stride = max(1, math.ceil(len(decades) / count))
        labelled = [(float(d), power_of_ten(d)) for d in decades if d % stride == 0]
        bare = (
            [float(d) for d in decades if d % stride]
            if stride > 1
            else [
                d + math.log10(m)
                for d in range(first - 1, last + 1)
                for m in range(2, 10)
                if low <= d + math.log10(m) <= high
            ]
        )
        return labelled, bare if len(bare) <= 120 else []
    digits = [
        (d + math.log10(m), m, d) for d in range(math.floor(low), math.ceil(high) + 1) for m in range(1, 10)
    ]
    inside = [(at, m, d) for at, m, d in digits if low - 1e-9 <= at <= high + 1e-9]
    for wanted in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3)):
        chosen = [(at, m, d) for at, m, d in inside if m in wanted]
        apart = min((b[0] - a[0] for a, b in zip(chosen, chosen[1:], strict=False)), default=0.0)
        if len(chosen) >= 2 and apart >= 0.8 * span / count:
            return (
                [(at, _within_decade(m, d)) for at, m, d in chosen],
                [at for at, m, _ in inside if m not in wanted],
            )
    values = linear_ticks(10.0**low, 10.0**high, min(count, 4)) if high < 300 else []
    return [(math.log10(v), number(v, 4)) for v, _ in values if v > 0], []


def _within_decade(mantissa: int, exponent: int) -> str:
    if mantissa == 1 and not -2 <= exponent <= 3:
        return power_of_ten(exponent)
    if -2 <= exponent <= 3:
        return f"{mantissa * 10.0**exponent:g}"
    return f"{mantissa}\u00b7{power_of_ten(exponent)}"


def symlog(value: npt.ArrayLike, threshold: float) -> Floats:
    """sign(g) * log10(1 + |g| / threshold): linear near zero, logarithmic far out."""
    array = np.asarray(value, dtype=np.float64)
    return np.asarray(np.sign(array) * np.log10(1.0 + np.abs(array) / threshold), dtype=np.float64)


def symlog_inverse(at: npt.ArrayLike, threshold: float) -> Floats:
    """The value that stands at the coordinate `at` of a symlog axis."""
    array = np.asarray(at, dtype=np.float64)
    return np.asarray(np.sign(array) * threshold * (10.0 ** np.abs(array) - 1.0), dtype=np.float64)


def symlog_ticks(
    limit: float, threshold: float, width: float, measure: Callable[[str], float]
) -> tuple[Ticks, list[float]]:
    """Symmetric ticks (value, label) and bare values on an axis from -limit to limit that is `width` pixels wide.

    Zero is always there; decades beyond the threshold are thinned until every label is inside and no two labels come
    closer than the width of a letter. `measure` gives the width of a label in pixels.
    """
    half = float(symlog(limit, threshold))
    scale = width / (2 * half)
    lowest = math.floor(math.log10(threshold) + 1e-9)
    highest = math.floor(math.log10(limit) + 1e-9)
    gap = measure("0")
    labelled: Ticks = [(0.0, "0")]
    edge = measure("0") / 2
    best: list[int] = []
    for stride in range(1, max(2, highest - lowest + 2)):
        decades = [d for d in range(highest, lowest - 1, -1) if d % stride == 0]
        sizes = {
            d: (float(symlog(10.0**d, threshold)) * scale, measure(_MINUS + power_of_ten(d)) / 2)
            for d in decades
        }
        decades = [d for d in decades if sum(sizes[d]) <= half * scale]  # no label hangs over the end
        places = [sizes[d] for d in decades]
        places = [*places, (0.0, edge)]
        while len(places) > 1 and places[-2][0] - places[-2][1] < places[-1][0] + places[-1][1] + gap:
            del places[-2]  # too near to the zero
        kept = decades[: len(places) - 1]
        if all(a[0] - a[1] >= b[0] + b[1] + gap for a, b in zip(places, places[1:], strict=False)):
            best = kept
            break
    for decade in best:
        text = power_of_ten(decade)
        labelled += [(10.0**decade, text), (-(10.0**decade), _MINUS + text)]
    bare = [sign * 10.0**d for d in range(lowest, highest + 1) if d not in best for sign in (-1.0, 1.0)]
    return sorted(labelled), bare
