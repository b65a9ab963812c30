"""Frames as bytes: exact to the stated precision, and never misread."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.frames import FieldsFrame, GradientsFrame
from studio.frame_codec import FrameCodecError, decode, encode
from tests.studio.samples import equal, fields_frame, gradients_frame, same, scalars


@pytest.mark.parametrize("frame", [scalars(3, math.inf), fields_frame(), gradients_frame()])
def test_a_frame_comes_back_as_it_was(frame: Any) -> None:
    back = decode(encode(frame))
    assert equal(frame, back)
    for name in back.__slots__:
        value = getattr(back, name)
        for array in value.values() if isinstance(value, dict) else [value]:
            assert not isinstance(array, np.ndarray) or not array.flags.writeable


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
    with pytest.raises(FrameCodecError):
        decode(bytes(data))


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(FrameCodecError):
        decode(data)
    content = struct.pack("<I", len(data)) + data
    with pytest.raises(FrameCodecError):
        decode(b"PSF1" + struct.pack("<I", len(content)) + zlib.compress(content))
