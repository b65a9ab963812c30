"""Measurements of the steady oblique jump: the data of the inverse Burgers problem of Jagtap et al. 2020 (section 4c).

u u_x + u_y = 0 on [-0.1, 1] x [0, 1] with u = 2 on the left and 0 on the right of the jump, which moves with the mean
of the two (Rankine-Hugoniot), so u = 2 for x < y and 0 for x > y. The paper has 300 training points and does not say
where they lie; these are uniform over the domain.
"""

from __future__ import annotations

import numpy as np

from tools.references.store import Array, save

ROWS, SEED = 300, 0


def measurements() -> tuple[Array, Array, Array]:
    """x, y and u, each [ROWS]."""
    generator = np.random.RandomState(SEED)
    x, y = generator.uniform(-0.1, 1.0, ROWS), generator.uniform(0.0, 1.0, ROWS)
    return x, y, np.where(x < y, 2.0, 0.0)


def main() -> None:
    x, y, u = measurements()
    print(f"{len(u)} points, {np.count_nonzero(u)} of them before the jump")
    save("oblique", x=x, y=y, u=u)


if __name__ == "__main__":
    main()
