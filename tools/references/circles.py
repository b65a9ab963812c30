"""Two noisy concentric circles: the data of the conditioning experiment of Jagtap et al. 2020 (section 3, Fig. 2).

The same numbers as scikit-learn's make_circles(n_samples=1000, noise=0.01, random_state=0, factor=0.7), whose order
of draws is kept: shuffle, then noise. The outer circle has label -1, the inner one +1.
"""

from __future__ import annotations

import numpy as np

from tools.references.store import Array, save

ROWS, FACTOR, NOISE, SEED = 1000, 0.7, 0.01, 0


def circles() -> tuple[Array, Array, Array]:
    """x, y and label, each [ROWS]."""
    angle = np.linspace(0, 2 * np.pi, ROWS // 2, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    points, label = np.concatenate([ring, FACTOR * ring]), np.repeat([-1.0, 1.0], ROWS // 2)
    generator = np.random.RandomState(SEED)
    order = np.arange(ROWS)
    generator.shuffle(order)
    points = points[order] + generator.normal(scale=NOISE, size=points.shape)
    return points[:, 0], points[:, 1], label[order]


def main() -> None:
    x, y, label = circles()
    radius = np.hypot(x, y)
    for value in (-1, 1):
        ours = radius[label == value]
        print(f"label {value:+d}: {len(ours)} points, radius {ours.mean():.4f} +- {ours.std():.4f}")
    save("circles", x=x, y=y, label=label)


if __name__ == "__main__":
    main()
