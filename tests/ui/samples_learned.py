"""Made-up frames of what is learned beside the weights, of activations, of liveness and of time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from core.frames import (
    ActivationsFrame,
    Array,
    ConditioningFrame,
    LivenessFrame,
    SlopesFrame,
    TimingFrame,
    frozen,
)

HIDDEN = ("hidden 1", "hidden 2", "hidden 3")


def floats(values: npt.ArrayLike) -> Array:
    return frozen(np.asarray(values, dtype=np.float64))


def slopes_frame(lane: int, step: int = 1000, kind: str = "neuron", **changes: Any) -> SlopesFrame:
    """Slopes that leave 1, in lane 1 faster; kind 'neuron', 'layer', 'global' or 'raf'."""
    rng = np.random.default_rng(lane)
    slopes, gains, learned = {}, {}, {}
    for place, name in enumerate(HIDDEN):
        mean = 1 + (place + 1) * 0.8 * (1 - np.exp(-step / 8000)) * (1 + 0.5 * lane)
        own = mean + 0.25 * rng.normal(size=50) * (1 - np.exp(-step / 4000))
        if kind in ("neuron", "layer"):
            slopes[name] = floats(own if kind == "neuron" else [mean])
        gains[name] = floats(np.abs(own * (1 + 0.3 * rng.normal(size=50))) + 0.1)
        if kind == "raf":
            learned |= {f"{name} RAF {part}": floats(rng.normal(size=50) * 0.1 + step / 1e4) for part in ("x", "sin")}
    if kind == "global":
        slopes = {"": floats([1 + step / 9000])}
    values: dict[str, Any] = {"slopes": slopes, "gains": gains, "learned": learned,
                              "recovery": float("nan") if kind == "raf" else 0.37 * float(np.exp(-step / 20_000)),
                              "recovery_share": float("nan") if kind == "raf" else 10.0 ** (-3 + step / 15_000)}
    return SlopesFrame(step=step, **(values | changes))


def conditioning_frame(lane: int, step: int = 1000, **changes: Any) -> ConditioningFrame:
    """J falls below the bound at step 1,400; in lane 1 G loses its positivity at last."""
    rng = np.random.default_rng(step + lane)
    low = 1 + rng.random(3) * step / 9000
    high = low + (60 + step / 200) * (1 + rng.random(3))
    loss = 1.6 * float(np.exp(-step / 6000))
    values: dict[str, Any] = {
        "blocks": HIDDEN, "kappa": float(high.max()), "low": floats(low), "high": floats(high),
        "multiplier": 2 + step / 3000, "angle": 20 + 30 * float(rng.random()),
        "smallest": 1 - lane * step / 15_000, "loss": loss, "bound": 1.267, "held_since": 1400 if step >= 1400 else -1,
        "identity": floats(1e-15 * rng.normal(size=3)),
    }
    return ConditioningFrame(step=step, **(values | changes))


def activations_frame(lane: int, step: int = 1000, layers: tuple[str, ...] = HIDDEN,
                      **changes: Any) -> ActivationsFrame:
    """tanh that grows steeper; the second layer is saturated, the third all but dead."""
    rng = np.random.default_rng(step + lane)
    edges, counts, z, curves = [], [], [], []
    for place in range(len(layers)):
        limit = (3.0, 5.0, 10.0)[place % 3]
        edges.append(np.linspace(-limit, limit, 61))
        reached = np.clip(rng.normal(0.5 * lane, limit / 3, 20_000), -limit, limit)
        counts.append(np.histogram(reached, edges[-1])[0].astype(np.uint32))
        z.append(np.linspace(-limit, limit, 81))
        steep = 1 + (place + 1) * 0.4 * step / 1000
        curves.append([np.tanh(k * z[-1]) for k in (steep, 0.7 * steep, 1.6 * steep, 1.0)])
    curve, first, second, fixed = np.array(curves).transpose(1, 0, 2)
    values: dict[str, Any] = {
        "layers": layers, "edges": floats(edges), "counts": frozen(np.array(counts)), "z": floats(z),
        "curve": floats(curve), "low": floats(np.minimum(first, second)), "high": floats(np.maximum(first, second)),
        "fixed": floats(fixed), "saturated": floats(np.resize([0.12, 0.63, 0.8], len(layers))),
        "dead": floats(np.resize([0.0, 0.02, 0.3], len(layers))),
        "spread": floats(np.resize([0.6, 0.3, 2e-4], len(layers))),
    }
    return ActivationsFrame(step=step, **(values | changes))


def liveness_frame(lane: int, step: int = 1000, states: dict[str, str] | None = None) -> LivenessFrame:
    """Fourteen groups; all move, but for those of `states`, by name."""
    names = [f"{layer} {part}" for layer in HIDDEN for part in ("W", "b", "slope")]
    names += ["output W", "output b", "alpha", "weight of boundary", "weight of data"]
    rng = np.random.default_rng(step + lane)
    moved, gradient = 10 ** rng.uniform(-5, -2, len(names)), 10 ** rng.uniform(-4, 1, len(names))
    gradient[-2:] = np.nan
    sizes = [100, 50, 1, 2500, 50, 1, 2500, 50, 1, 50, 1, 1, 1, 1]
    state = tuple((states or {}).get(name, "moves") for name in names)
    return LivenessFrame(step=step, names=tuple(names), sizes=frozen(np.array(sizes)),
                         size=floats(10 ** rng.uniform(-2, 1, len(names))), moved=floats(moved),
                         since_start=floats(30 * moved), gradient=floats(gradient), state=state)


def timing_frame(lane: int, step: int = 1000, **changes: Any) -> TimingFrame:
    """85 % training, 2 % recording, 7.1 % diagnostics; compiled in lane 1."""
    wall = step / 300
    shares = {"gradients": 0.02, "fields": 0.01, "ntk": 0.03, "slopes": 0.001, "conditioning": 0.004,
              "alignment": 0.006}
    looked = {kind: share * wall for kind, share in shares.items()}
    values: dict[str, Any] = {
        "engine": ("eager", "compiled")[lane], "wall": wall,
        "parts": {"training": 0.85 * wall, "diagnostics": sum(looked.values()), "recording": 0.02 * wall,
                  "waiting": 0.13 * wall - sum(looked.values())},
        "step_parts": ({"whole": 1.3e-3} if lane else
                       {"forward": 1.1e-3, "backward": 1.3e-3, "optimizer": 2e-4, "balancing": 5e-5}),
        "diagnostics": looked, "observations": dict.fromkeys(looked, 1 + step // 50),
    }
    return TimingFrame(step=step, **(values | changes))


OVER_TIME = (slopes_frame, conditioning_frame, activations_frame, timing_frame)
EVERY = (*OVER_TIME, liveness_frame)
