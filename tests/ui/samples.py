"""Made-up runs that look like real ones, for the tests of the panels and for the benchmark of their cost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from core.frames import FieldsFrame, GradientsFrame, ScalarsFrame, frozen
from studio.messages import RunState, Status, Update
from ui.panels.panel import Lane

TERMS = ("residual", "boundary")
LAYERS = ("layer 1", "layer 2", "layer 3", "layer 4")
SHAPES = ((2, 50), (50, 50), (50, 50), (50, 1))
EQUATIONS = [
    ("residual", r"u_{xx} + u_{yy} + k^{2} u - q"),
    (
        "definition of q",
        r"q = -\left(\pi^{2} + \left(4 \pi\right)^{2} - k^{2}\right) \sin\left(\pi x\right)"
        r" \sin\left(4 \pi y\right)",
    ),
    ("boundary", r"u - u_{\mathrm{exact}}"),
    ("exact solution", r"u = \sin\left(\pi x\right) \sin\left(4 \pi y\right)"),
]


class Problem(SimpleNamespace):
    """As much of a problem as panels read."""

    def build(self) -> Any:
        return SimpleNamespace(latex=lambda: EQUATIONS)


def experiment(label: str = "M1", rule: str = "fixed", **changes: Any) -> Any:
    """A stand-in for an experiment: what panels read of one."""
    problem = Problem(
        name="Helmholtz",
        fields=("u",),
        domain={"x": (-1.0, 1.0), "y": (-1.0, 1.0)},
        residuals=(SimpleNamespace(name="Helmholtz", term="residual", measure="square"),),
        conditions=(SimpleNamespace(name="edge", term="boundary"),),
        exact={"u": "sin(pi*x)*sin(4*pi*y)"},
        reference="",
        unknowns={"alpha": 0.0},
        truth={"alpha": 0.5},
        averages={},
        readings={},
        quantities={},
    )
    values: dict[str, Any] = {
        "name": "quick",
        "label": label,
        "title": "Helmholtz equation, k = 1, a1 = 1, a2 = 4",
        "look": "Look at the orange curve: in M1 the boundary's gradients pile up in a spike at zero, so training all "
        "but ignores the boundary; M2 mends it.",
        "source": "Wang, Teng & Perdikaris 2021, SIAM J. Sci. Comput. 43(5), section 3.1",
        "problem": problem,
        "terms": TERMS,
        "decomposition": SimpleNamespace(splits={}, local=()),
        "network": SimpleNamespace(slopes="layer"),
        "balancing": SimpleNamespace(rule=rule, weights={}, direction="sum", points="equal"),
        "training": SimpleNamespace(steps=40_000),
        "optimizer": SimpleNamespace(learning_rate=1e-3),
    }
    return SimpleNamespace(**{**values, **changes})


def flat(count: int = 1, **problem: Any) -> list[Lane]:
    """Lanes of a problem with the one input x."""
    found = lanes(count)
    for lane in found:
        vars(lane.experiment.problem).update({"domain": {"x": (0.0, 1.0)}, **problem})
    return found


def lanes(count: int = 2) -> list[Lane]:
    """M1 and M2."""
    return [Lane(0, "M1", experiment("M1")), Lane(1, "M2", experiment("M2", "annealing-siam"))][:count]


def edges(threshold: float = 1e-6, limit: float = 1e4, each: int = 120) -> np.ndarray:
    """A symlog grid of 2 * each + 1 bins."""
    side = threshold * (10.0 ** np.linspace(0, np.log10(limit / threshold), each + 1))
    return np.concatenate([-side[::-1], side])


def gradients_frame(lane: int, step: int = 1000, seed: int = 0) -> GradientsFrame:
    """Residual broad, 0.1 to 10; boundary 1e-4 to 1e-2 in lane 0, comparable after its weight in lane 1."""
    rng = np.random.default_rng(1000 * seed + 7 * step + lane)
    grid, weights = edges(), np.array([1.0, 1.0 if lane == 0 else 96.0])
    T, L, B, levels = len(TERMS), len(LAYERS), len(grid) - 1, (0.05, 0.25, 0.5, 0.75, 0.95)
    counts, weighted = np.zeros((T, L, B), np.uint32), np.zeros((T, L, B), np.uint32)
    maximum, mean, norm, zero = (np.zeros((T, L)) for _ in range(4))
    quantiles = np.zeros((T, L, len(levels)))
    for t in range(T):
        for layer, (rows, columns) in enumerate(SHAPES):
            scale = (1.5, 0.5, 0.6, 2.0)[layer] * (1.0, (2e-3, 8e-3)[lane])[t]
            spread = np.exp(rng.normal(0, 0.8, rows))[:, None] * np.exp(rng.normal(0, 0.5, columns))[None]
            values = (rng.normal(size=(rows, columns)) * spread * scale).ravel()
            for out, factor in ((counts, 1.0), (weighted, weights[t])):
                held = np.clip(values * factor, grid[0], grid[-1])
                out[t, layer] = np.histogram(held, grid)[0]
            maximum[t, layer], mean[t, layer] = np.abs(values).max(), np.abs(values).mean()
            norm[t, layer] = np.linalg.norm(values)
            quantiles[t, layer] = np.quantile(values, levels)
    return GradientsFrame(
        step=step,
        terms=TERMS,
        layers=LAYERS,
        edges=frozen(grid),
        linear_threshold=1e-6,
        counts=frozen(counts),
        weighted_counts=frozen(weighted),
        weights=frozen(weights),
        max_abs=frozen(maximum),
        mean_abs=frozen(mean),
        norm=frozen(norm),
        zero_share=frozen(zero),
        quantile_levels=levels,
        quantiles=frozen(quantiles),
    )


def fields_frame(lane: int, step: int = 1000, grid: int = 100) -> FieldsFrame:
    """Helmholtz (1, 4) with an error that is larger at the edge, and smaller in lane 1."""
    rng = np.random.default_rng(step + lane)
    axis = np.linspace(-1, 1, grid)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    exact = np.sin(np.pi * x) * np.sin(4 * np.pi * y)
    size = (0.4, 0.02)[lane] * np.exp(-step / 40_000)
    off = size * (x**4 * np.cos(3 * y) + y**4 * np.sin(2 * x + 1) + 0.15 * np.sin(7 * x) * np.cos(5 * y))
    residual = size * 30 * np.sin(5 * x + 2 * y) * np.cos(6 * y - 3 * x) + rng.normal(size=x.shape) * 0.05
    return FieldsFrame(
        step=step,
        inputs=("x", "y"),
        axes=(frozen(axis), frozen(axis)),
        prediction={"u": frozen(exact + off)},
        exact={"u": frozen(exact)},
        error={"u": frozen(np.abs(off))},
        residuals={"Helmholtz": frozen(residual)},
        fixed={},
    )


def scalars(lane: int, count: int = 4000, every: int = 10) -> tuple[ScalarsFrame, ...]:
    """Noisy losses that fall, weights that rise in lane 1, an error every tenth point."""
    rng = np.random.default_rng(lane)
    out = []
    for index in range(count):
        step = index * every
        noise = np.exp(rng.normal(0, 0.35, 2))
        residual = (2e4 * np.exp(-step / 900) + 30 * np.exp(-step / 9000) + 0.3) * noise[0]
        boundary = ((0.3, 0.02)[lane] * np.exp(-step / 12000) + 1e-5) * noise[1]
        weight = 1.0 if lane == 0 else 100 - 99 * np.exp(-step / 2500) + rng.normal(0, 3)
        error = {"u": float((0.9, 0.8)[lane] * np.exp(-step / (30000, 6000)[lane]) + (0.15, 0.012)[lane])}
        out.append(
            ScalarsFrame(
                step=step,
                seconds=step / 300,
                losses={"residual": float(residual), "boundary": float(boundary)},
                weights={"residual": 1.0, "boundary": float(max(weight, 0.1))},
                learning_rate=1e-3,
                relative_l2=error if index % 10 == 0 else {},
                readings={
                    "alpha": 0.5 - (0.5, 0.4)[lane] * float(np.exp(-step / 9000)),
                    **{f"slope hidden {k}": 1 + k * step / 40_000 for k in (1, 2, 3)},
                    "S(a)": 0.37 * float(np.exp(-step / 40_000)),
                },
            )
        )
    return tuple(out)


def status(state: RunState = RunState.RUNNING, step: int = 1000, rule: str = "fixed", **more: Any) -> Status:
    return Status(state=state, step=step, total_steps=40_000, balancing=rule, **more)


def update(
    lane: int, state: RunState = RunState.RUNNING, *, count: int = 0, frames: bool = True, step: int = 1000
) -> Update:
    """What a lane says: `count` scalars and, where wanted, one frame of each other kind."""
    kept = scalars(lane, count) if count else ()
    more = {"gradients": gradients_frame(lane, step), "fields": fields_frame(lane, step)} if frames else {}
    weights = kept[-1].weights if kept else {}
    return Update(
        status=status(state, step, ("fixed", "annealing-siam")[lane], weights=weights),
        scalars=kept,
        frames=more,
    )
