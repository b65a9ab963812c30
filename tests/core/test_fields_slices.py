"""Any slice of the domain against closed forms and nested autograd; derivatives; a reference between its points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import core.diagnostics.fields as module
from core.diagnostics.fields import FieldsDiagnostic, derivatives_of
from core.diagnostics.slices import GridReference
from core.frames import Array, FieldsFrame
from core.problem import Problem, ProblemError, Residual
from core.trainer import Trainer
from studio.build import build_fields, build_trainer
from tests.core.literal import At, network_of
from tests.core.samples import experiment, residual, shaken

NAMES = ("x", "y", "z", "w")
RANGES = {"x": [-1.0, 2.0], "y": [0.0, 1.0], "z": [3.0, 7.0], "w": [-2.0, -1.0]}
#: The first terms of a polynomial in which no two inputs play the same part, as text and as a function.
TERMS = ("x", "10*y**2", "100*z*x", "7*w*y")
ON_NUMPY: tuple[Callable[..., Any], ...] = (
    lambda x, **_: x, lambda y, **_: 10 * y**2, lambda z, x, **_: 100 * z * x, lambda w, y, **_: 7 * w * y)
EQUATION = ("u_xx - u", "u_xx + 2*u_xy - u_y*u", "u_xx + 2*u_yz - u_y*u", "u_xx + 2*u_yz - u_w*u")


def made(problem: dict[str, Any], **changes: Any) -> tuple[FieldsDiagnostic, Trainer]:
    e = experiment(problem, **changes)
    trainer = build_trainer(e)
    trainer.theta = shaken(trainer.objective)
    return build_fields(e, trainer), trainer


def of_dimension(d: int, **more: Any) -> tuple[FieldsDiagnostic, Trainer]:
    return made({"domain": {name: RANGES[name] for name in NAMES[:d]}, "residuals": residual(EQUATION[d - 1]),
                 "conditions": [], "exact": {"u": " + ".join(TERMS[:d])}, **more})


def points_of(frame: FieldsFrame, inputs: tuple[str, ...]) -> Array:
    """The points of a frame, one by one, in the order in which its arrays are flattened."""
    rows = []
    for place in np.ndindex(*(len(axis) for axis in frame.axes)):
        at = {**frame.fixed, **{n: axis[k] for n, axis, k in zip(frame.inputs, frame.axes, place, strict=True)}}
        rows.append([at[name] for name in inputs])
    return np.array(rows)


VIEWS: list[tuple[int, tuple[str, ...], dict[str, float]]] = [
    (1, (), {}), (2, (), {}), (2, ("y", "x"), {}), (2, ("y",), {}), (2, (), {"x": -0.3}), (3, (), {}),
    (3, ("z", "x"), {}), (3, ("y", "z"), {"x": 1.7}), (3, ("z",), {"y": 0.0}), (3, (), {"x": 2.0}), (4, (), {}),
    (4, ("w", "y"), {"z": 3.0}), (4, ("x", "w"), {"y": 0.25, "z": 6.5}), (4, ("w",), {"x": 0.1}),
]


@pytest.mark.parametrize(("d", "axes", "fixed"), VIEWS)
def test_a_slice_is_the_fields_at_its_points(d: int, axes: tuple[str, ...], fixed: dict[str, float]) -> None:
    fields, trainer = of_dimension(d)
    fields.view(axes, fixed)
    frame = fields.observe(trainer)
    inputs = NAMES[:d]
    over = axes or tuple(name for name in inputs if name not in fixed)[:2]
    middle = {name: sum(RANGES[name]) / 2 for name in inputs if name not in over}
    assert frame.inputs == over and dict(frame.fixed) == middle | fixed
    for name, axis in zip(over, frame.axes, strict=True):
        np.testing.assert_array_equal(axis, np.linspace(*RANGES[name], 9))
    x = points_of(frame, inputs)
    columns = dict(zip(inputs, x.T, strict=True))
    shape = tuple(len(axis) for axis in frame.axes)
    truth = sum(part(**columns) for part in ON_NUMPY[:d]).reshape(shape)
    np.testing.assert_allclose(frame.exact["u"], truth, rtol=1e-13, atol=1e-12)
    at = At(network_of(trainer.objective, trainer.theta), torch.from_numpy(x), inputs)
    own = at("u").detach().numpy().reshape(shape)
    np.testing.assert_allclose(frame.prediction["u"], own, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(frame.error["u"], np.abs(own - truth), rtol=1e-11, atol=1e-11)
    wanted = {"u_y": at("u", "y") if d > 1 else None, "u_w": at("u", "w") if d > 3 else None, "u_xx": at("u", "xx"),
              "u_xy": at("u", "xy") if d > 1 else None, "u_yz": at("u", "yz") if d > 2 else None}
    present = {1: ["u_xx"], 2: ["u_y", "u_xx", "u_xy"], 3: ["u_y", "u_xx", "u_yz"], 4: ["u_w", "u_xx", "u_yz"]}[d]
    assert list(frame.derivatives) == present
    for name in present:
        value = wanted[name]
        assert value is not None
        agree(frame.derivatives[name], value, shape)
    a, b = frame.derivatives, frame.prediction["u"]
    built = {1: lambda: a["u_xx"] - b, 2: lambda: a["u_xx"] + 2 * a["u_xy"] - a["u_y"] * b,
             3: lambda: a["u_xx"] + 2 * a["u_yz"] - a["u_y"] * b, 4: lambda: a["u_xx"] + 2 * a["u_yz"] - a["u_w"] * b}
    np.testing.assert_allclose(frame.residuals["pde"], built[d](), rtol=1e-11, atol=1e-11)


def agree(mine: Array, truth: torch.Tensor, shape: tuple[int, ...]) -> None:
    expected = truth.detach().numpy().reshape(shape)
    assert np.abs(expected).max() > 0, "otherwise nothing is compared"
    np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())
    assert not mine.flags.writeable


@pytest.mark.parametrize("d", [2, 3])
def test_errors_and_averages_do_not_depend_on_the_view(d: int) -> None:
    more: dict[str, Any] = {"averages": {"m": "u**2"}, "readings": {"r": "m + 1"}, "residuals": residual("u_x - m"),
                            "quantities": {"s": "2*u"}}
    fields, trainer = of_dimension(d, **more)
    errors, readings, first = fields.relative_l2(trainer), fields.readings(trainer), fields.observe(trainer)
    for axes, fixed in ((("y",), {"x": 1.9}), (("y", "x"), {})):
        fields.view(axes, fixed)
        trainer.theta = trainer.theta.clone()  # what was measured before is not taken again
        frame = fields.observe(trainer)
        assert fields.relative_l2(trainer) == errors and fields.readings(trainer) == readings
        x = torch.from_numpy(points_of(frame, NAMES[:d]))
        u_x = At(network_of(trainer.objective, trainer.theta), x, NAMES[:d])("u", "x").detach().numpy()
        np.testing.assert_allclose(frame.residuals["pde"].reshape(-1), u_x - readings["m"], rtol=1e-9)
    fields.view()
    again = fields.observe(trainer)
    assert again.inputs == first.inputs == ("x", "y")
    np.testing.assert_array_equal(again.prediction["s"], first.prediction["s"])


def test_averages_are_those_of_the_present_parameters() -> None:
    fields, trainer = made({"averages": {"m": "u"}, "residuals": residual("u_x - m")})
    before = fields.readings(trainer)["m"]
    trainer.step()
    after = fields.readings(trainer)["m"]
    mesh = np.stack([m.reshape(-1) for m in np.meshgrid(*[np.linspace(0, 1, 9)] * 2, indexing="ij")], 1)
    own = network_of(trainer.objective, trainer.theta)(torch.from_numpy(mesh))[:, 0].detach().numpy()
    weights = np.outer(*[np.array([0.5, *[1.0] * 7, 0.5]) / 8] * 2).reshape(-1)
    assert after != before and after == pytest.approx(float(weights @ own), rel=1e-10)


@pytest.mark.parametrize(("axes", "fixed", "sentence"), [
    (("q",), {}, "'q' is no input; the inputs are x, y, z"),
    ((), {"u": 1.0}, "'u' is no input; the inputs are x, y, z"),
    (("y", "y"), {}, "a slice cannot run over 'y' twice; take two different inputs"),
    (("x", "y", "z"), {}, "a slice runs over one input or two, not over 3"),
    (("x",), {"x": 0.5}, "the slice runs over 'x', which cannot be held at 0.5 as well"),
    ((), {"x": 0.0, "y": 0.0, "z": 3.0}, "every input is held; leave one or two for the slice to run over"),
    ((), {"z": 2.9}, "z = 2.9 is outside of the domain: z runs from 3 to 7"),
    (("x",), {"y": 1.01}, "y = 1.01 is outside of the domain: y runs from 0 to 1"),
    (("x",), {"y": float("nan")}, "y = nan is outside of the domain"),
    (("x",), {"y": float("inf")}, "y = inf is outside of the domain"),
])
def test_a_wrong_view_gets_a_sentence_and_changes_nothing(axes: tuple[str, ...], fixed: dict[str, float],
                                                          sentence: str) -> None:
    fields, trainer = of_dimension(3)
    fields.view(("z", "y"), {"x": 1.5})
    with pytest.raises(ProblemError, match=sentence):
        fields.view(axes, fixed)
    frame = fields.observe(trainer)
    assert frame.inputs == ("z", "y") and dict(frame.fixed) == {"x": 1.5}


BALL = {"shape": "ball", "domain": {"x": [-1.0, 3.0], "y": [0.0, 4.0], "z": [-2.0, 2.0]}}


def test_a_slice_of_a_ball_is_a_smaller_disc() -> None:
    fields, trainer = made({**BALL, "exact": {"u": "x + 10*y + 100*z"}, "residuals": residual("u_xx + u_yy + u_zz")})
    fields.view(("z", "x"), {"y": 3.0})
    frame = fields.observe(trainer)
    z, x = np.meshgrid(*frame.axes, indexing="ij")
    outside = (x - 1) ** 2 + z**2 > 3 + 1e-9
    assert 0 < outside.sum() < outside.size
    for array in (frame.prediction["u"], frame.exact["u"], frame.residuals["pde"], frame.derivatives["u_zz"]):
        np.testing.assert_array_equal(np.isnan(array), outside)
    np.testing.assert_allclose(frame.exact["u"][~outside], (x + 30 + 100 * z)[~outside])
    with pytest.raises(ProblemError, match=r"y = 3.9, z = -1 is outside of the domain: it lies 2.14709 from the ball's "
                                           r"centre, whose radius is 2"):
        fields.view(("x",), {"y": 3.9, "z": -1.0})


def test_eigenfunctions_are_scaled_over_the_domain_also_on_a_nodal_line() -> None:
    """On y = 1/2 the known one is zero; scaled to fit that line alone, every prediction would be."""
    fields, trainer = made({"homogeneous": True, "exact": {"u": "sin(pi*x)*sin(2*pi*y)"}})
    whole = fields.observe(trainer)
    own = network_of(trainer.objective, trainer.theta)
    x = torch.from_numpy(points_of(whole, ("x", "y")))
    raw, truth = own(x)[:, 0].detach().numpy(), whole.exact["u"].reshape(-1)
    factor = raw @ truth / (raw @ raw)
    fields.view(("x",), {"y": 0.5})
    line = fields.observe(trainer)
    at = At(own, torch.from_numpy(points_of(line, ("x", "y"))))
    assert np.abs(line.exact["u"]).max() < 1e-12 and abs(factor) > 1e-3
    np.testing.assert_allclose(line.prediction["u"], factor * at("u").detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(line.derivatives["u_yy"], factor * at("u", "yy").detach().numpy(), rtol=1e-8)
    np.testing.assert_allclose(line.residuals["pde"], (at("u", "xx") + at("u", "yy")).detach().numpy() - 1, rtol=1e-9)


# ---------------------------------------------------------------------- references

T, X = np.array([0.0, 0.1, 0.5, 1.0]), np.array([-2.0, -1.0, 0.5, 0.75, 2.0])


def bilinear(t: Any, x: Any) -> Any:
    return 1 + 2 * t - 3 * x + 5 * t * x


def referenced(path: Path, **more: Any) -> tuple[FieldsDiagnostic, Trainer]:
    np.savez(path / "r.npz", t=T, x=X, u=bilinear(T[:, None], X[None, :]))
    return made({"domain": {"t": [0.0, 1.0], "x": [-2.0, 2.0]}, "residuals": residual("u_t - u_xx"), "conditions": [],
                 "reference": str(path / "r.npz"), **more})


@pytest.mark.parametrize(("axes", "fixed", "truth"), [
    ((), {}, bilinear(T[:, None], X[None, :])),
    (("x", "t"), {}, bilinear(T[None, :], X[:, None])),
    (("x",), {"t": 0.1}, bilinear(0.1, X)), (("x",), {"t": 0.37}, bilinear(0.37, X)),
    (("x",), {"t": 1.0}, bilinear(1.0, X)), (("t",), {"x": -2.0}, bilinear(T, -2.0)),
    (("t",), {"x": 0.6}, bilinear(T, 0.6)), (("t",), {}, bilinear(T, 0.0)),
])
def test_a_reference_on_a_slice(tmp_path: Path, axes: tuple[str, ...], fixed: dict[str, float], truth: Array) -> None:
    fields, trainer = referenced(tmp_path)
    error = fields.relative_l2(trainer)
    fields.view(axes, fixed)
    frame = fields.observe(trainer)
    np.testing.assert_allclose(frame.exact["u"], truth, rtol=1e-13, atol=1e-13)
    own = network_of(trainer.objective, trainer.theta)(torch.from_numpy(points_of(frame, ("t", "x"))))[:, 0]
    np.testing.assert_allclose(frame.error["u"].reshape(-1), np.abs(own.detach().numpy() - truth.reshape(-1)),
                               rtol=1e-10, atol=1e-12)
    assert fields.relative_l2(trainer) == error


def test_a_value_of_the_grid_is_taken_as_it_is() -> None:
    """Also where the neighbour would spoil an interpolation by rounding."""
    grid = GridReference({"t": T, "x": X}, {"u": np.array([[1e300], [3.0], [-1e300], [7.0]]) * np.ones(5)})
    for k, t in enumerate(T):
        np.testing.assert_array_equal(grid.on(("x",), {"t": t})["u"], grid.values["u"][k])


def test_where_a_reference_does_not_reach_nothing_is_known(tmp_path: Path) -> None:
    fields, trainer = referenced(tmp_path, domain={"t": [0.0, 1.5], "x": [-2.0, 2.0]})
    fields.view(("x",), {"t": 1.2})
    frame = fields.observe(trainer)
    assert not frame.exact and not frame.error and np.isfinite(frame.prediction["u"]).all()
    fields.view(("x",), {"t": 1.0})
    assert set(fields.observe(trainer).exact) == {"u"}


def trilinear(t: Any, x: Any, y: Any) -> Any:
    return 1 + 2 * t - 3 * x + 5 * y + 7 * t * x - 11 * x * y + 13 * t * y + 17 * t * x * y


Y = np.array([10.0, 11.0, 11.5, 13.0])


@pytest.mark.parametrize(("inputs", "fixed"), [
    (("t", "x"), {"y": 10.7}), (("y", "t"), {"x": 0.6}), (("x", "y"), {"t": 0.5}), (("y", "x"), {"t": 0.93}),
    (("x",), {"t": 0.31, "y": 12.9}), (("y",), {"t": 0.0, "x": 1.9}), (("t", "x", "y"), {}), (("y", "t", "x"), {}),
])
def test_interpolation_is_exact_for_a_trilinear_function(inputs: tuple[str, ...], fixed: dict[str, float]) -> None:
    axes = {"t": T, "x": X, "y": Y}
    grid = GridReference(axes, {"u": trilinear(T[:, None, None], X[:, None], Y)})
    mesh = dict(zip(inputs, np.meshgrid(*(axes[name] for name in inputs), indexing="ij"), strict=True))
    np.testing.assert_allclose(grid.on(inputs, fixed)["u"], trilinear(**mesh, **fixed), rtol=1e-13, atol=1e-11)


def test_a_reference_over_three_inputs_is_measured_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    truth = trilinear(T[:, None, None], X[:, None], Y)
    monkeypatch.setattr(module, "read_scattered", lambda path, problem: None)
    monkeypatch.setattr(module, "read_reference", lambda path, problem: ((T, X, Y), {"u": truth}))
    fields, trainer = made({"domain": {"t": [0.0, 1.0], "x": [-2.0, 2.0], "y": [10.0, 13.0]}, "reference": "r.npz",
                            "residuals": residual("u_t - u_xx"), "conditions": [], "averages": {"m": "u"},
                            "readings": {"r": "m"}, "hard": {"u": "0*u + t"}})
    own = np.broadcast_to(T[:, None, None], truth.shape)
    assert fields.relative_l2(trainer)["u"] == pytest.approx(
        np.linalg.norm(own - truth) / np.linalg.norm(truth), rel=1e-12)
    assert fields.readings(trainer)["m"] == pytest.approx(0.5, rel=1e-12), "by the trapezoidal rule, exact for t"
    fields.view(("y", "t"), {"x": 0.6})
    frame = fields.observe(trainer)
    np.testing.assert_allclose(frame.exact["u"], trilinear(T[None, :], 0.6, Y[:, None]), rtol=1e-13)
    np.testing.assert_allclose(frame.prediction["u"], np.broadcast_to(T, (4, 4)), atol=1e-14)


def test_single_points_give_no_exact_solution_on_a_slice(tmp_path: Path) -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    x = rng.uniform(0, 1, (7, 3))
    np.savez(tmp_path / "r.npz", x=x[:, 0], y=x[:, 1], z=x[:, 2], u=x.sum(1))
    fields, trainer = made({"domain": dict.fromkeys("xyz", [0.0, 1.0]), "residuals": residual("u_x"), "conditions": [],
                            "reference": str(tmp_path / "r.npz")})
    error = fields.relative_l2(trainer)
    fields.view(("z", "y"), {"x": 0.9})
    frame = fields.observe(trainer)
    assert not frame.exact and not frame.error and frame.prediction["u"].shape == (9, 9)
    assert fields.relative_l2(trainer) == error and set(error) == {"u"}


# ---------------------------------------------------------------------- derivatives

def test_every_derivative_in_use_has_its_name() -> None:
    """Each once, the inputs in the problem's order, whoever uses it; also in definitions."""
    p = Problem("p", ("v", "u"), {"t": (0.0, 1.0), "x": (0.0, 1.0)},
                (Residual("r", "f + u_xt + u_tx - v_xx*v_x"), Residual("s", "v_xxxx")),
                definitions={"f": "u_t + 1"}, quantities={"q": "u_xxt"}, averages={"m": "v_t**2"},
                readings={"k": "2*m"}, exact={"u": "t*x"})
    assert list(derivatives_of(p)) == ["v_t", "v_x", "v_xx", "v_xxxx", "u_t", "u_tx", "u_txx"]


@pytest.mark.parametrize("more", [{}, {"hard": {"u": "x*(1 - x)*u + y**3"}}, {"periodic": ["x"]}])
def test_derivatives_up_to_fourth_order_against_nested_autograd(more: Mapping[str, Any]) -> None:
    fields, trainer = made({
        "domain": {"x": [0.0, 1.0], "y": [-1.0, 0.5]}, "fields": ["u", "v"], **more,
        "residuals": [{"name": "a", "equation": "u_xx + u_yy + v_x", "points": 7},
                      {"name": "b", "equation": "v_xxyy*u - v_y", "points": 7}],
        "conditions": [{"name": "edge", "on": "y = 0.5", "equation": "u_xy + u", "points": 3}],
        "quantities": {"q": "v_yyy"}})
    fields.view(("y", "x"))
    frame = fields.observe(trainer)
    assert list(frame.derivatives) == ["u_xx", "u_xy", "u_yy", "v_x", "v_y", "v_yyy", "v_xxyy"]
    network = network_of(trainer.objective, trainer.theta)

    def shown(x: torch.Tensor) -> torch.Tensor:
        raw = network(x)
        if "hard" not in more:
            return raw
        return torch.stack([x[:, 0] * (1 - x[:, 0]) * raw[:, 0] + x[:, 1] ** 3, raw[:, 1]], 1)

    at = At(shown, torch.from_numpy(points_of(frame, ("x", "y"))), names=("u", "v"))
    for name, array in frame.derivatives.items():
        agree(array, at(*name.split("_")), (9, 9))
    agree(frame.prediction["q"], at("v", "yyy"), (9, 9))
    agree(frame.residuals["a"], at("u", "xx") + at("u", "yy") + at("v", "x"), (9, 9))
    agree(frame.residuals["b"], at("v", "xxyy") * at("u") - at("v", "y"), (9, 9))


def test_derivatives_of_sub_domains_are_those_of_each_network() -> None:
    fields, trainer = made({"residuals": residual("u_xx + u_y")},
                           decomposition={"splits": {"x": [0.5]}, "flux": {"x": "u_x"}})
    fields.view(("y", "x"))
    frame = fields.observe(trainer)
    assert list(frame.derivatives) == ["u_x", "u_y", "u_xx"], "the flux's is among them"
    x = points_of(frame, ("x", "y"))
    left = x[:, 0] <= 0.5  # on the cut the one before it
    for name, array in frame.derivatives.items():
        for number, rows in enumerate((left, ~left)):
            at = At(network_of(trainer.objective, trainer.theta, number), torch.from_numpy(x[rows]))
            np.testing.assert_allclose(array.reshape(-1)[rows], at("u", name[2:]).detach().numpy(), rtol=1e-8,
                                       atol=1e-11)


def test_derivatives_can_be_left_out() -> None:
    fields, trainer = made({"residuals": residual("u_xx + u_yy - u"), "quantities": {"q": "u_x"}})
    full = fields.observe(trainer)
    fields.derivatives = False
    frame = fields.observe(trainer)
    assert not frame.derivatives and list(full.derivatives) == ["u_x", "u_xx", "u_yy"]
    for group in ("prediction", "residuals"):
        for name, array in getattr(full, group).items():
            np.testing.assert_allclose(getattr(frame, group)[name], array, rtol=1e-10, atol=1e-12)


def test_fields_of_data_alone_have_no_derivatives(tmp_path: Path) -> None:
    fields, trainer = referenced(tmp_path, residuals=[], observations=[{"name": "o", "equation": "u = u_data"}])
    frame = fields.observe(trainer)
    assert not frame.derivatives and not frame.residuals and frame.prediction["u"].shape == (4, 5)


# ---------------------------------------------------------------------- points
