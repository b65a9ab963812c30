"""A picture and a tone to fit, both computed, so that they may be used for anything.

    image-rings   v over x, y in [-1, 1], 64 x 64: a zone plate (rings ever finer outwards), a square and a disc with
                  sharp edges, a soft bump; grey from -1 to 1
    tone          v over t in [-100, 100], 2000 samples of a plucked string (Karplus and Strong, Computer Music
                  Journal 7, 1983), as if at 8000 samples a second; divided by its largest absolute value
"""

from __future__ import annotations

import numpy as np

from tools.references.store import Array, save

SIZE = 64
SAMPLES, RATE, PITCH, LOSS, SEED = 2000, 8000, 220.0, 0.996, 7


def picture(x: Array, y: Array) -> Array:
    """Grey in [-1, 1] at points of any common shape."""
    r2 = x**2 + y**2
    grey = np.cos(12 * np.pi * r2) * np.exp(-r2)  # along each input at most 0.76 of the finest wave the grid holds
    grey = np.where(np.maximum(np.abs(x + 0.5), np.abs(y + 0.5)) < 0.25, 1.0, grey)
    grey = np.where(np.hypot(x - 0.5, y - 0.5) < 0.25, -1.0, grey)
    bump = 0.8 * np.exp(-((x - 0.5) ** 2 + (y + 0.5) ** 2) / 0.05)
    return np.asarray(np.clip(grey * (1 - bump) + bump, -1, 1))


def plucked() -> Array:
    """A burst of noise that runs around a delay line and loses high notes at each round; [SAMPLES] in [-1, 1]."""
    period = round(RATE / PITCH - 0.5)  # the mean of two neighbours delays by half a sample
    tone = np.empty(SAMPLES)
    burst = np.random.Generator(np.random.PCG64(SEED)).uniform(-1, 1, period + 1)
    tone[:period + 1] = burst - burst.mean()  # a mean would hardly fade
    for k in range(period + 1, SAMPLES):
        tone[k] = LOSS * (tone[k - period] + tone[k - period - 1]) / 2
    return np.asarray(tone / np.abs(tone).max())


def main() -> None:
    axis = np.linspace(-1, 1, SIZE)
    grey = picture(*np.meshgrid(axis, axis, indexing="ij"))
    print(f"image-rings: grey {grey.min():+.3f} .. {grey.max():+.3f}, mean {grey.mean():+.3f}, rms {grey.std():.3f}")
    save("image-rings", x=axis, y=axis, v=grey)
    tone = plucked()
    print(f"tone: mean square {np.mean(tone**2):.4f}")
    save("tone", t=np.linspace(-100, 100, SAMPLES), v=tone)


if __name__ == "__main__":
    main()
