"""DeepXDE's side of the accuracy measurement: `main.py reproduce accuracy --method deepxde` calls it.

    deepxde        Adam at 1e-3, then L-BFGS, float32: network, points, steps and conditions of its documented example
                   of the problem (of the nearest one where there is none), with its default options
    deepxde-best   float64, with the network, the points, the weights and the built-in conditions of ours: Adam for a
                   tenth of the time, L-BFGS to its end or for half of it, then NysNewton-CG (NNCG) to the end

Its argument is JSON; each line of its output is JSON as of studio.accuracy_run. The clock is the wall's. It begins
before the points are drawn, and stands still only while the error is measured. L-BFGS is called for 100 iterations at a
time and not for 1,000, so that its error is seen; it keeps its memory in between.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

_answers = os.fdopen(os.dup(1), "w", encoding="utf-8")  # libraries print what they like
os.dup2(2, 1)
os.environ["DDE_BACKEND"] = "pytorch"

import deepxde as dde  # noqa: E402 - the backend is chosen when it is imported
import numpy as np  # noqa: E402
import peer_deepxde as own  # noqa: E402
import torch  # noqa: E402
from peer_problems import PROBLEMS, Peer, cavity, periodic_features  # noqa: E402

sys.path.append(str(Path(__file__).resolve().parents[2]))

from studio.peak import peak_mb  # noqa: E402

GROWTH, FIRST = 1.12, 0.05  # as in studio.accuracy_run
LBFGS_AT_ONCE = 100
MOST = 100_000_000  # iterations: the clock ends them
Transform = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Recipe:
    """How one problem is trained."""

    peer: Peer
    conditions: str = ""  # those of peer_deepxde.conditions; none where they are built in
    hidden: tuple[int, ...] = (20, 20, 20)
    activation: str = "tanh"
    domain: int = 2540
    boundary: int = 80
    initial: int = 160
    adam: int = 15_000
    decay: tuple[Any, ...] | None = None
    weights: float = 1.0  # of every condition
    features: Transform | Callable[[torch.Tensor], torch.Tensor] | None = None
    output: Transform | None = None
    quantity: Callable[[Any], Any] = field(default=lambda y: y[:, 0])


def _allen_cahn_output(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x[:, 0:1] ** 2 * torch.cos(math.pi * x[:, 0:1]) + x[:, 1:2] * y


def _allen_cahn_rounded(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The same with the rounded kink of resources/gallery/accurate-allen-cahn.toml."""
    place, t = x[:, 0:1], x[:, 1:2]
    s, w = 1 - place.abs(), torch.sqrt(4e-4 * t + 1e-14)
    rounded = 2 * (s * torch.erf(s / w) + w / math.sqrt(math.pi) * torch.exp(-((s / w) ** 2)) - s)
    gone = torch.exp(-10 * t)
    return (place**2 * torch.cos(math.pi * place) - 4 / math.pi * torch.cos(math.pi * place / 2) * (1 - gone)
            + gone * rounded + t * y)


def _kdv_output(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.cos(math.pi * x[:, 0:1]) + x[:, 1:2] * y


def _box_output(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (1 - x[:, 0:1] ** 2) * (1 - x[:, 1:2] ** 2) * y


def _sine_output(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.sin(math.pi * x[:, 0:1]) * torch.sin(math.pi * x[:, 1:2]) * y


def _periodic_square(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([f(math.pi * x[:, k:k + 1]) for k in (0, 1) for f in (torch.cos, torch.sin)], 1)


def _speed(y: Any) -> Any:
    return np.hypot(y[:, 0], y[:, 1])


def _cavity(reynolds: float) -> Peer:
    return replace(PROBLEMS["cavity"], fields=("u", "v", "p"), residual=cavity(reynolds))


def recipe(problem: str, method: str, constants: dict[str, float]) -> Recipe:
    """The recipe of a problem. Raises KeyError where there is none.

    Examples: Helmholtz_Dirichlet_2d, Klein_Gordon, Burgers, Allen_Cahn, Kovasznay_flow of DeepXDE 1.15. The Helmholtz
    example's ten points for a wavelength are 40 for each input here. Korteweg-de Vries has no example and takes that of
    Allen-Cahn, which is not periodic there: here it is by PeriodicBC, and for three derivatives by features.
    """
    best = method == "deepxde-best"
    flow = _cavity(constants.get("Re", 100.0))
    helmholtz = Recipe(PROBLEMS["helmholtz"], "helmholtz", (150, 150, 150), "sin", 1600, 160, 0, 5000, None, 100.0)
    documented = {
        "helmholtz": helmholtz,
        "helmholtz-hard": replace(helmholtz, conditions="", output=_box_output),
        "klein-gordon": Recipe(PROBLEMS["klein-gordon"], "klein-gordon", (40, 40), "tanh", 30_000, 1500, 1500, 20_000,
                               ("inverse time", 3000, 0.9)),
        "burgers": Recipe(PROBLEMS["burgers"], "burgers"),
        "allen-cahn": Recipe(PROBLEMS["allen-cahn"], "allen-cahn", (20, 20, 20), "tanh", 8000, 400, 800, 40_000,
                             output=_allen_cahn_output),
        "kdv": Recipe(PROBLEMS["kdv"], "", (20, 20, 20), "tanh", 8000, 400, 800, 40_000, output=_kdv_output,
                      features=periodic_features),
        "cavity": Recipe(flow, "cavity-velocities", (50,) * 4, "tanh", 2601, 400, 0, 30_000, quantity=_speed),
    }
    ours = {
        "helmholtz": {"hidden": (30, 30, 30), "domain": 1500, "boundary": 400, "weights": 1000.0},
        "helmholtz-hard": {"hidden": (30,) * 4, "domain": 2000, "features": _periodic_square, "output": _sine_output},
        "klein-gordon": {"hidden": (30, 30, 30), "domain": 2000, "boundary": 200, "initial": 100,
                         "weights": 100.0, "decay": None},
        "burgers": {"hidden": (20,) * 4, "domain": 3500, "boundary": 400, "initial": 200, "weights": 10.0},
        "allen-cahn": {"hidden": (30,) * 4, "domain": 4000, "boundary": 0, "initial": 0, "conditions": "",
                       "features": periodic_features, "output": _allen_cahn_rounded},
        "kdv": {"hidden": (36,) * 3, "domain": 5000, "boundary": 0, "initial": 0},
        "cavity": {"hidden": (30,) * 4, "domain": 2500, "boundary": 600, "weights": 20.0},
    }
    key = "cavity" if problem.startswith("cavity") else problem
    return replace(documented[key], **ours[key], activation="tanh") if best else documented[key]  # type: ignore[arg-type]


class Clock(dde.callbacks.Callback):  # type: ignore[misc]
    """Measures the error at times even in the logarithm, and ends the training when the time is over."""

    def __init__(self, points: Any, truth: Any, quantity: Callable[[Any], Any], limit: float) -> None:
        super().__init__()
        self._begun, self.away = time.perf_counter(), 0.0
        self._truth, self._quantity = truth, quantity
        self._points = torch.as_tensor(points, dtype=torch.get_default_dtype())
        self.limit, self.until = limit, limit
        self._next, self.step, self.error = FIRST, 0, math.nan

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._begun - self.away

    @property
    def over(self) -> bool:
        return self.seconds >= self.limit

    def on_batch_end(self) -> None:
        now = self.seconds
        if now >= self._next:
            self.measure()
        if now >= self.until or self.diverged():
            self.model.stop_training = True

    def diverged(self) -> bool:
        return not math.isfinite(self.error) and self.step > 0

    def measure(self) -> None:
        seconds, begun = self.seconds, time.perf_counter()
        with torch.no_grad():
            net = self.model.net
            training = net.training
            net.eval()
            prediction = self._quantity(net(self._points).double().numpy())
            net.train(training)
        self.step = self.model.train_state.step
        self.error = float(np.linalg.norm(prediction - self._truth) / np.linalg.norm(self._truth))
        say({"seconds": seconds, "error": self.error if math.isfinite(self.error) else None, "step": self.step})
        self._next = max(seconds * GROWTH, seconds + FIRST)
        self.away += time.perf_counter() - begun


def say(line: dict[str, Any]) -> None:
    _answers.write(json.dumps(line) + "\n")
    _answers.flush()


def build(r: Recipe) -> Any:
    """DeepXDE's model of a recipe."""
    place = own.geometry(r.peer)
    soft = own.conditions(r.conditions, r.peer, place)
    counts = {"num_domain": r.domain, "num_boundary": r.boundary if soft else 0}
    if r.peer.time:
        data = dde.data.TimePDE(place, own.pde(r.peer), soft, num_initial=r.initial if soft else 0, **counts)
    else:
        data = dde.data.PDE(place, own.pde(r.peer), soft, **counts)
    inputs = {periodic_features: 3, _periodic_square: 4}.get(r.features, len(r.peer.inputs))  # type: ignore[call-overload]
    initial = "Glorot uniform" if r.activation == "sin" else "Glorot normal"
    net = dde.nn.FNN([inputs, *r.hidden, len(r.peer.fields)], r.activation, initial)
    if r.features is not None:
        net.apply_feature_transform(r.features)
    if r.output is not None:
        net.apply_output_transform(r.output)
    return dde.Model(data, net)


def train(model: Any, r: Recipe, method: str, clock: Clock) -> None:
    """All phases; each ends by itself or by the clock."""
    weights = None
    if r.weights != 1.0:
        weights = [1.0] * _equations(model) + [r.weights] * len(model.data.bcs)
    quiet = {"display_every": MOST, "verbose": 0, "callbacks": [clock]}

    def phase(name: str, until: float, compiled: dict[str, Any], **more: Any) -> None:
        clock.until = min(until, clock.limit)
        if clock.seconds >= clock.until or clock.diverged():
            return
        say({"note": name, "seconds": clock.seconds})
        model.compile(loss_weights=weights, verbose=0, **compiled)
        model.train(**more, **quiet)
        clock.measure()

    adam = {"optimizer": "adam", "lr": 1e-3, "decay": r.decay}
    options = dde.optimizers.LBFGS_options
    if method == "deepxde":
        options |= {"iter_per_step": LBFGS_AT_ONCE, "fun_per_step": LBFGS_AT_ONCE * 5 // 4}
        phase("Adam, float32", clock.limit, adam, iterations=r.adam)
        phase("L-BFGS, float32", clock.limit, {"optimizer": "L-BFGS"})
        return
    dde.optimizers.set_LBFGS_options(maxiter=MOST)
    options |= {"iter_per_step": LBFGS_AT_ONCE, "fun_per_step": LBFGS_AT_ONCE * 5 // 4}
    dde.optimizers.set_NNCG_options(rank=50, mu=1e-1)  # as in its Burgers example
    phase("Adam, float64", 0.1 * clock.limit, adam, iterations=r.adam)
    phase("L-BFGS, float64", 0.6 * clock.limit, {"optimizer": "L-BFGS"})
    phase("NNCG, float64", clock.limit, {"optimizer": "NNCG"}, iterations=MOST)


def _equations(model: Any) -> int:
    """How many residuals the problem has."""
    x = torch.as_tensor(model.data.train_x_all[:2], dtype=torch.get_default_dtype()).requires_grad_()
    count = len(model.data.pde(x, model.net(x)))
    dde.grad.clear()
    return count


def end_with_input() -> None:
    """End this process when whoever started it has ended, however that came about."""
    while os.read(0, 4096):
        pass
    os._exit(130)


def main(arguments: list[str]) -> int:
    given = json.loads(arguments[0])
    threading.Thread(target=end_with_input, daemon=True).start()
    torch.set_num_threads(given["threads"])
    dde.config.set_random_seed(given["seed"])
    if given["method"] == "deepxde-best":
        dde.config.set_default_float("float64")
    grid = np.load(given["grid"])
    r = recipe(given["problem"], given["method"], given["constants"])
    order = (1, 0) if r.peer.time else (0, 1)  # ours has the time first
    clock = Clock(grid["points"][:, order], grid["truth"], r.quantity, given["limit"])
    model = build(r)
    clock.model = model
    train(model, r, given["method"], clock)
    state = "diverged" if clock.diverged() else "stopped" if clock.over else "finished"
    say({"state": state, "message": "the error is not finite" if state == "diverged" else "", "steps": clock.step,
         "clock": clock.seconds, "evaluation": clock.away, "errors": {},
         "peak_mb": peak_mb(), "warm": False,
         "versions": {"torch": torch.__version__, "deepxde": dde.__version__}})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
