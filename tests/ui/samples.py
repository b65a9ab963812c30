"""Made-up runs that look like real ones, for the tests of the panels and for the benchmark of their cost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from core.frames import (
    AlignmentFrame,
    FieldsFrame,
    Frame,
    GradientsFrame,
    LandscapeFrame,
    NtkFrame,
    ScalarsFrame,
    SpectrumFrame,
    StepCheckFrame,
    StiffnessFrame,
    frozen,
)
from studio.findings import Finding, Remedy, Severity
from studio.messages import HISTORIES, RunState, Status, Update
from tests.ui import samples_learned
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
        "network": SimpleNamespace(slopes="layer", raf="none"),
        "balancing": SimpleNamespace(rule=rule, weights={}, direction="sum", points="equal"),
        "training": SimpleNamespace(steps=40_000),
        "total_steps": 40_000,
        "phases": (),
        "optimizer": SimpleNamespace(kind="adam", learning_rate=1e-3),
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
                    "optimizer damping": 1e-2 * float(np.exp(-step / 5000)),
                    "optimizer gain ratio": 0.9 - 0.1 * lane,
                    "optimizer step length": 0.3 * float(np.exp(-step / 9000)),
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
    more: dict[str, Frame] = {}
    if frames:
        more = {"gradients": gradients_frame(lane, step), "fields": fields_frame(lane, step)}
        for make in (stiffness_frame, spectrum_frame, landscape_frame, ntk_frame, alignment_frame, step_check_frame,
                     *samples_learned.EVERY):
            frame = make(lane, step)
            more[frame.kind] = frame
    weights = kept[-1].weights if kept else {}
    return Update(
        status=status(state, step, ("fixed", "annealing-siam")[lane], weights=weights, findings=findings(lane)),
        scalars=kept,
        frames=more,
        past=(*past_of(lane, step), *(frame for kind, frame in more.items() if kind in HISTORIES)) if frames else (),
    )


def past_of(lane: int, step: int) -> list[Frame]:
    """What came before the frames of a step."""
    makers = (stiffness_frame, ntk_frame, *samples_learned.OVER_TIME)
    return [make(lane, step * part // 4) for part in (1, 2, 3) for make in makers]


def stiffness_frame(lane: int, step: int = 1000, **changes: Any) -> StiffnessFrame:
    """A residual that is 500 times stiffer than the boundary, stiffer than 2 / rate from about step 800 on."""
    growth = 1 - float(np.exp(-step / 2000))
    residual, boundary = 100 + 8e3 * growth, 5 + 10 * growth
    weights = np.array([1.0, 1.0 if lane == 0 else 96.0])
    largest = np.array([residual + weights[1] * boundary * 0.1, residual, boundary, 60 + 90 * growth])
    values: dict[str, Any] = {
        "rows": ("total", *TERMS, "preconditioned"), "largest": frozen(largest),
        "lowest": frozen(-0.3 * largest), "accuracy": frozen(np.array([1e-3, 2e-3, 0.01, 0.3])),
        "weights": frozen(weights), "learning_rate": 1e-3 * 0.9 ** (step / 1000), "products": 80,
    }
    return StiffnessFrame(step=step, **(values | changes))


def spectrum_frame(lane: int, step: int = 1000, size: int = 500, *, full: bool = True) -> SpectrumFrame:
    """A few large eigenvalues, a third negative ones, and a cluster at zero."""
    rng = np.random.default_rng(step + lane)
    found, weights = {}, {}
    for row, scale in (("residual", 1e4), ("boundary", 30.0), ("total", 1.01e4)):
        body = rng.choice([-0.3, 1.0], size) * scale * 10.0 ** rng.uniform(-9, -1.5, size)
        body[:3] = scale * np.array([1.0, 0.4, 0.2]) * (1 + step / 1e5)
        found[row] = frozen(np.sort(body))
        weights[row] = frozen(np.full(size, 1 / size))
    return SpectrumFrame(step=step, parameters=size if full else 40 * size, full=full, eigenvalues=found,
                         weights=weights)


def landscape_frame(lane: int, step: int = 1000, size: int = 21) -> LandscapeFrame:
    """A gorge along b for the residual, a slope along b for the boundary."""
    axis = np.arange(-(size // 2), size // 2 + 1) / (size // 2) * 0.5
    a, b = np.meshgrid(axis, axis, indexing="ij")
    residual = (1 + lane) * (0.3 + 4e3 * (a - 0.2 * b) ** 2 + 5 * b**2)
    boundary = 0.01 + 0.2 * (b - 0.4) ** 2
    losses = {"residual": residual, "boundary": boundary, "total": residual + boundary}
    return LandscapeFrame(step=step, directions=("gradient", "random"), axes=(frozen(axis), frozen(axis)),
                          losses={name: frozen(values) for name, values in losses.items()})


def ntk_frame(lane: int, step: int = 1000, rows: int = 16, **changes: Any) -> NtkFrame:
    """A residual's kernel over six decades, a boundary's that falls to the numerical floor."""
    index = np.arange(rows)
    residual = 1e4 * 10.0 ** (-index * (0.42 - 0.1 * lane) * np.exp(-step / 2e4))
    boundary = 3e2 * 10.0 ** (-index * 2.4)
    spectra = {"residual": residual, "boundary": boundary,
               "all": np.sort(np.concatenate([1.01 * residual, boundary]))[::-1]}
    ranks = {}
    for name, spectrum in spectra.items():
        share = spectrum / spectrum.sum()
        ranks[name] = float(np.exp(-(share * np.log(share)).sum()))
    values: dict[str, Any] = {
        "terms": TERMS, "points": frozen(np.array([rows, rows])),
        "eigenvalues": {name: frozen(spectrum) for name, spectrum in spectra.items()},
        "kappa": {name: float(spectrum[0] / spectrum[-1]) for name, spectrum in spectra.items()},
        "floored": {"residual": False, "boundary": True, "all": True}, "effective_rank": ranks,
        "trace": frozen(np.array([residual.mean(), boundary.mean()])),
        "trace_activations": frozen(np.array([0.2 * residual.mean(), 0.01 * boundary.mean()])),
    }
    return NtkFrame(step=step, **(values | changes))


def alignment_frame(lane: int, step: int = 1000, terms: tuple[str, ...] = TERMS, **changes: Any) -> AlignmentFrame:
    """In lane 0 the boundary turns against the residual; in lane 1 it stays about at a right angle."""
    rng = np.random.default_rng(step + lane)
    base = np.eye(len(terms)) + (-0.5 if lane == 0 else 0.1) * (1 - np.exp(-step / 4000))
    units = base + rng.normal(0, 0.1, base.shape)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    mean = units.mean(axis=0)
    values: dict[str, Any] = {
        "terms": terms, "weights": frozen(np.ones(len(terms))), "norms": frozen(10.0 ** -np.arange(len(terms))),
        "cosines": frozen(np.clip(units @ units.T, -1, 1)), "within": float(2 * mean @ mean - 1),
        "between": float("nan") if step == 0 else float(np.tanh(rng.normal(0.6, 0.4))),
    }
    return AlignmentFrame(step=step, **(values | changes))


def step_check_frame(lane: int, step: int = 1000, terms: tuple[str, ...] = TERMS, **changes: Any) -> StepCheckFrame:
    """The residual is helped less than first order promises, the boundary is hurt in lane 0."""
    rng = np.random.default_rng(step + lane)
    before = 10.0 ** -np.arange(len(terms)) * np.exp(-step / 9000)
    first = -before * 1e-2 * np.array([1.0, -0.3 if lane == 0 else 0.5, 0.01, -1e-4, 3.0, 0.1, 0.2, 1.0])[:len(terms)]
    second = np.abs(first) * rng.uniform(0.1, 0.6, len(terms))
    values: dict[str, Any] = {
        "terms": terms, "weights": frozen(np.ones(len(terms))), "before": frozen(before), "first": frozen(first),
        "second": frozen(second), "actual": frozen((first + second) * rng.uniform(0.9, 1.1, len(terms))),
    }
    return StepCheckFrame(step=step, **(values | changes))


def findings(lane: int = 0) -> tuple[Finding, ...]:
    """What the doctor finds: a starved boundary in lane 0, and in both lanes two things that are less grave."""
    starved = finding(
        "starved-term", Severity.SERIOUS, 400, subject="boundary", title="'boundary' is starved", panel="gradients",
        remedies=(Remedy(text="Anneal the weights: raise every condition's weight until its gradient keeps up with "
                              "the residual's", changes={"balancing.rule": "annealing-siam"}),
                  Remedy(text="Weight all terms so that their gradients are equally large",
                         changes={"balancing.rule": "gradient-norm"})))
    fast = finding("learning-rate-too-high", step=900, title="the learning rate is too high", panel="losses",
                   remedies=(Remedy(text="Go on with a tenth of the learning rate",
                                    changes={"optimizer.learning_rate": 1e-4}),))
    rounded = finding("float32-floor", Severity.NOTE, 950, title="the residual has reached float32's rounding",
                      panel="fields")
    return (starved, fast, rounded) if lane == 0 else (fast, rounded)


def finding(rule: str = "starved-term", severity: Severity = Severity.WARNING, step: int = 400,
            **changes: Any) -> Finding:
    """A finding with made-up words."""
    values: dict[str, Any] = {
        "title": "something is wrong", "panel": "losses",
        "text": "The residual's gradient is so much larger than the boundary's that each step serves the equation "
                "alone, and without its boundary the equation has many wrong solutions.",
        "evidence": "gradient of the residual / gradient of 'boundary', weighted: 87.3; 'boundary' misses by 64% of "
                    "its size",
        "threshold": "the residual's weighted gradient is over 10 times the term's at every one of the last 5 looks",
        "source": "Wang, Teng & Perdikaris 2021, section 2",
    }
    return Finding(rule=rule, severity=severity, step=step, **(values | changes))
