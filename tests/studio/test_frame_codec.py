"""Frames as bytes: exact to the stated precision, and never misread."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import frames as f
from core.frames import FRAMES, FieldsFrame, Frame, GradientsFrame
from studio.frame_codec import TYPES, FrameCodecError, decode, encode
from tests.studio.samples import equal, fields_frame, gradients_frame, same, scalars


def table(*shape: int, dtype: Any = np.float64) -> Any:
    """Numbers that are all different, with every value that is no number among them where there is room."""
    values = np.random.default_rng(3).standard_normal(shape) * 1e3
    special = [np.nan, np.inf, -np.inf, -0.0, 5e-324]
    values.flat[: len(special)] = special[: values.size]
    return values if dtype is np.float64 else np.arange(values.size, dtype=dtype).reshape(shape)


def counts(*shape: int) -> Any:
    return table(*shape, dtype=np.uint32)


NAN, INF = math.nan, math.inf
T, L, LAYERS = ("residual", "boundary"), 3, ("hidden 1", "hidden 2", "output")
EVERY: tuple[Frame, ...] = (
    replace(scalars(3, INF), readings={"nu 1": NAN}, targets={"boundary": -INF}),
    gradients_frame(),
    replace(fields_frame(), derivatives={"u_xx": table(7, 5).astype(np.float32), "u_y": np.zeros((7, 5), np.float32)},
            points={"residual": table(9, 2).astype(np.float32), "data": np.zeros((0, 2), np.float32)}),
    f.AlignmentFrame(step=1, terms=T, weights=table(2), norms=table(2), cosines=table(2, 2), within=NAN, between=-0.5),
    f.SlopesFrame(step=2, slopes={"": table(1), "hidden 2": table(6)}, gains={"hidden 1": table(6)},
                  learned={"hidden 1 RAF sin": table(6)}, recovery=NAN, recovery_share=INF),
    f.ConditioningFrame(step=3, blocks=("hidden 1", "hidden 2 [3]"), kappa=1e300, low=table(2), high=table(2),
                        multiplier=1.5, angle=0.0, smallest=-INF, loss=2.0, bound=NAN, held_since=-1,
                        identity=table(2)),
    f.ActivationsFrame(step=4, layers=LAYERS, edges=table(L, 9), counts=counts(L, 8), z=table(L, 5), curve=table(L, 5),
                       low=table(L, 5), high=table(L, 5), fixed=table(L, 5), saturated=table(L), dead=table(L),
                       spread=table(L)),
    f.StiffnessFrame(step=5, rows=("total", *T, "preconditioned"), largest=table(4), lowest=table(4),
                     accuracy=table(4), weights=table(2), learning_rate=1e-3, products=77),
    f.SpectrumFrame(step=6, parameters=5, full=False, eigenvalues={"total": table(5)}, weights={"total": table(5)}),
    f.LandscapeFrame(step=7, directions=("gradient", "random"), axes=(table(4), table(6)),
                     losses={"total": table(4, 6), "residual": table(4, 6).T.copy().T}),
    f.NtkFrame(step=8, terms=T, points=table(2, dtype=np.int64), eigenvalues={"all": table(7)}, kappa={"all": INF},
               floored={"all": True, "residual": False}, effective_rank={"all": 1.25}, trace=table(2),
               trace_activations=table(2)),
    f.StepCheckFrame(step=9, terms=T, weights=table(2), before=table(2), first=table(2), second=table(2),
                     actual=table(2)),
    f.LivenessFrame(step=10, names=("W1", "nu"), sizes=table(2, dtype=np.int64), size=table(2), moved=table(2),
                    since_start=table(2), gradient=table(2), state=("moves", "not finite")),
    f.TimingFrame(step=11, engine="eager", wall=NAN, parts={"training": 1.0}, step_parts={}, diagnostics={"ntk": 0.1},
                  observations={"ntk": 3}),
)


def test_every_type_of_frame_is_tried() -> None:
    assert [type(frame) for frame in sorted(EVERY, key=lambda frame: FRAMES.index(type(frame)))] == list(FRAMES)
    assert dict(TYPES) == {t.kind: t for t in FRAMES} and len(TYPES) == len(FRAMES)


@pytest.mark.parametrize("frame", [*EVERY, fields_frame(), scalars(0)], ids=lambda frame: str(frame.kind))
def test_a_frame_comes_back_as_it_was(frame: Any) -> None:
    back = decode(encode(frame))
    assert equal(frame, back)
    for name in back.__slots__:
        value = getattr(back, name)
        for array in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]:
            assert not isinstance(array, np.ndarray) or not array.flags.writeable


def test_precisions_are_as_stated() -> None:
    """What is drawn is kept in single precision, counts in 32 bits, and everything else as exact as it came."""
    fields = FieldsFrame(step=1, inputs=("x",), axes=(table(6),), fixed={},
                         **{name: {"u": table(6)} for name in ("prediction", "exact", "error", "residuals",
                                                                "derivatives", "points")})
    back: Any = decode(encode(fields))
    for name in ("prediction", "exact", "error", "residuals", "derivatives", "points"):
        assert same(getattr(back, name)["u"], table(6).astype(np.float32))
    assert same(back.axes[0], table(6))
    activations = next(frame for frame in EVERY if isinstance(frame, f.ActivationsFrame))
    wide: Any = decode(encode(replace(activations, counts=np.array([[0, 2**32 - 1]]))))
    assert wide.counts.dtype == np.uint32 and wide.counts.tolist() == [[0, 2**32 - 1]]
    with pytest.raises(FrameCodecError, match="do not fit into uint32"):
        encode(replace(activations, counts=np.array([[2**32]])))


# ---------------------------------------------------------------------- errors, as corrections

FLOATS = st.floats(width=32) | st.sampled_from([NAN, -NAN, INF, -INF, 0.0, -0.0, 1e-45, -1e-40, 3e38])


@given(st.lists(st.tuples(FLOATS, FLOATS, FLOATS), min_size=1, max_size=20))
def test_whatever_an_error_is_it_comes_back_bit_for_bit(rows: list[tuple[float, float, float]]) -> None:
    """It need not be the difference of the other two."""
    p, e, error = (np.array(column, np.float32) for column in zip(*rows, strict=True))
    frame = FieldsFrame(step=1, inputs=("x",), axes=(np.zeros(len(p)),), prediction={"u": p}, exact={"u": e},
                        error={"u": error}, residuals={}, fixed={})
    back: Any = decode(encode(frame))
    for mine, theirs in ((back.error, error), (back.prediction, p), (back.exact, e)):
        assert mine["u"].dtype == np.float32 and not mine["u"].flags.writeable
        np.testing.assert_array_equal(mine["u"].view(np.uint32), theirs.view(np.uint32))


def smooth(scale: float) -> FieldsFrame:
    x, y = np.meshgrid(np.linspace(-1, 1, 100), np.linspace(-1, 1, 100), indexing="ij")
    exact = np.sin(np.pi * x) * np.sin(4 * np.pi * y)
    prediction = exact + scale * np.cos(3 * x + y**2 + x * y)  # float64, as a solution in double precision is
    return FieldsFrame(step=1, inputs=("x", "y"), axes=(x[:, 0], y[0]), prediction={"u": prediction},
                       exact={"u": exact}, error={"u": np.abs(prediction - exact)}, residuals={}, fixed={})


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-9])
def test_a_small_error_keeps_its_digits(scale: float) -> None:
    """In single precision prediction - exact would have none left where the error is 1e-9."""
    frame = smooth(scale)
    back: Any = decode(encode(frame))
    np.testing.assert_array_equal(back.error["u"], frame.error["u"].astype(np.float32))


def test_an_error_takes_little_room() -> None:
    """Against the same bytes kept as a residual, which is what they would take."""
    with_error, without = smooth(0.1), replace(smooth(0.1), error={})
    plain = replace(without, residuals={"error": with_error.error["u"]})
    base = len(encode(without))
    taken, otherwise = len(encode(with_error)) - base, len(encode(plain)) - base
    assert taken < 0.4 * otherwise


def test_an_error_without_its_prediction_or_of_another_shape_is_kept_plainly() -> None:
    frame = fields_frame()
    for changes in ({"exact": {}}, {"exact": {"u": np.zeros((7, 4), np.float32)}}, {"prediction": {"v": np.zeros(2)}}):
        changed = replace(frame, **changes)  # type: ignore[arg-type]
        back: Any = decode(encode(changed))
        np.testing.assert_array_equal(back.error["u"], frame.error["u"])


# ---------------------------------------------------------------------- headers, written by hand from the layout

def by_hand(kind: str, values: Mapping[str, Any], *arrays: Any) -> bytes:
    header = json.dumps({"kind": kind, "values": values,
                         "arrays": [[a.dtype.str, list(a.shape)] for a in arrays]}).encode()
    content = struct.pack("<I", len(header)) + header
    for array in arrays:
        raw = array.tobytes()
        content += b"".join(raw[k:: array.itemsize] for k in range(array.itemsize))
    return b"PSF1" + struct.pack("<I", len(content)) + zlib.compress(content)


U = np.array([[1.5, np.nan, -2.0]], "<f4")
OLD_FIELDS = {"step": 40, "inputs": ["x", "y"], "axes": [{"array": 1}, {"array": 2}],
              "prediction": {"map": {"u": {"array": 0}}}, "exact": {"map": {"u": {"array": 3}}},
              "error": {"map": {"u": {"array": 4}}}, "residuals": {"map": {}}, "fixed": {"map": {"t": 0.5}}}
OLD_ARRAYS = (U, np.array([0.25]), np.array([1.0, 2.0, 3.0]), U + np.float32(1), np.array([[9, 8, 7]], "<f4"))


def test_frames_of_version_0_2_are_read_as_they_were_written() -> None:
    """Without derivatives, points and targets; the error plain, and believed as it is."""
    back: Any = decode(by_hand("fields", OLD_FIELDS, *OLD_ARRAYS))
    assert back == replace(back, derivatives={}, points={}) and back.step == 40 and dict(back.fixed) == {"t": 0.5}
    assert same(back.prediction["u"], U) and same(back.exact["u"], U + np.float32(1))
    assert back.error["u"].tolist() == [[9, 8, 7]] and back.axes[1].tolist() == [1, 2, 3]
    old: Any = decode(by_hand("scalars", {
        "step": 1, "seconds": 0.5, "losses": {"map": {"residual": NAN}}, "weights": {"map": {}},
        "learning_rate": 1e-3, "relative_l2": {"map": {}}}))
    assert old.targets == {} and old.readings == {} and math.isnan(old.losses["residual"])


@pytest.mark.parametrize("changes", [
    {"more": 1}, {"derivative": {"map": {}}}, {"error": {"map": {"u": {"correction": 4}}}},
    {"error": {"map": {"u": {"correction": 9}}}}, {"error": {"map": {"w": {"correction": 4}}}},
    {"prediction": {"map": {"u": {"correction": 4}}}}, {"error": 3}, {"error": {"map": {"u": 3}}},
])
def test_a_header_that_says_something_else_is_refused(changes: Mapping[str, Any]) -> None:
    with pytest.raises(FrameCodecError):
        decode(by_hand("fields", {**OLD_FIELDS, **changes}, *OLD_ARRAYS))


@pytest.mark.parametrize("name", sorted(OLD_FIELDS))
def test_what_has_no_default_must_be_there(name: str) -> None:
    with pytest.raises(FrameCodecError):
        decode(by_hand("fields", {key: value for key, value in OLD_FIELDS.items() if key != name}, *OLD_ARRAYS))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=2), st.integers(0, 2**32 - 1))
def test_fields_of_any_shape_are_kept_to_float32(shape: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(shape) * 1e20  # float64
    values.flat[:1] = np.nan
    axes = tuple(np.linspace(0, 1, n) for n in shape)
    frame = FieldsFrame(step=1, inputs=("x", "y")[: len(shape)], axes=axes, prediction={"ü": values.T}, exact={},
                        error={}, residuals={}, fixed={})
    back = decode(encode(frame))
    assert isinstance(back, FieldsFrame)
    assert same(back.prediction["ü"], values.T.astype(np.float32))
    assert same(back.axes, axes)  # the axes stay float64


def test_a_field_beyond_float32_is_infinite_and_counts_beyond_uint32_are_refused() -> None:
    frame = fields_frame()
    big = FieldsFrame(**{n: getattr(frame, n) for n in frame.__slots__} | {"exact": {"u": np.array([1e300])}})
    assert decode(encode(big)).exact["u"][0] == math.inf  # type: ignore[union-attr]
    table = gradients_frame()
    for counts in ([-1], [2**32]):
        wrong = GradientsFrame(**{n: getattr(table, n) for n in table.__slots__} | {"counts": np.array(counts)})
        with pytest.raises(FrameCodecError, match="do not fit into uint32"):
            encode(wrong)


def test_an_array_of_objects_is_refused() -> None:
    frame = fields_frame()
    wrong = FieldsFrame(**{n: getattr(frame, n) for n in frame.__slots__} | {"axes": (np.array([{}]),)})
    with pytest.raises(FrameCodecError, match="not possible in a frame"):
        encode(wrong)


@given(st.integers(0, 400), st.integers(1, 255))
def test_damaged_bytes_are_told_never_misread(position: int, change: int) -> None:
    data = bytearray(encode(gradients_frame()))
    data[position % len(data)] ^= change
    try:
        frame = decode(bytes(data))
    except FrameCodecError:
        return
    assert encode(frame) == encode(gradients_frame())  # a bit that zlib does not read


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(FrameCodecError):
        decode(data)
    content = struct.pack("<I", len(data)) + data
    with pytest.raises(FrameCodecError):
        decode(b"PSF1" + struct.pack("<I", len(content)) + zlib.compress(content))
