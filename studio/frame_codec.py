"""Frames as bytes, and back: a JSON header and raw little-endian arrays, compressed.

Layout: `PSF1`, the length of the content (uint32), the content compressed with zlib. The content is the
length of the header (uint32), the header (UTF-8 JSON), then every array's bytes with those of equal
significance together (all first bytes, then all second bytes, ...), which takes a third off a smooth field
where plain bytes take a fifth. Nothing in it is ever executed.

The header is `{"kind", "values", "arrays"}`: in `values` an array is `{"array": index}`, a mapping is
`{"map": {...}}` and a tuple is a list. What a header does not have takes the frame's default, so that frames of
before it was added can be read.

An error |prediction - exact| is `{"correction": index}`: by how much its float32 differs from what the float32 of
the two give, in units of the last place, the sign in the lowest bit. That is lossless (the exact solution has more
digits than its float32, which is what makes the difference) and takes a tenth to a half of the room, as long as the
error is not as small as what float32 leaves out.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import fields
from math import prod
from typing import Any, cast

import numpy as np

from core.frames import FRAMES, Array, FieldsFrame, Frame

MAGIC = b"PSF1"

#: What can be written, by kind.
TYPES: Mapping[str, type[Any]] = {t.kind: t for t in FRAMES}

#: The precision that a frame's arrays are kept in, by kind and field. All others keep their own.
PRECISION: Mapping[tuple[str, str], str] = {
    ("gradients", "counts"): "<u4",
    ("gradients", "weighted_counts"): "<u4",
    ("fields", "prediction"): "<f4",
    ("fields", "exact"): "<f4",
    ("fields", "error"): "<f4",
    ("fields", "residuals"): "<f4",
    ("fields", "derivatives"): "<f4",
    ("fields", "points"): "<f4",
    ("activations", "counts"): "<u4",
}
LEVEL = 3  # of zlib: 6 gains two per cent and takes half as long again


class FrameCodecError(ValueError):
    """Bytes that are no frame, or a value that cannot be written."""


def encode(frame: Frame) -> bytes:
    """The frame as bytes; fields and points as float32, counts as uint32, everything else as exact as it came.

    Raises FrameCodecError for a kind that is not in `TYPES`, or an array of anything but numbers.
    """
    kind = frame.kind
    if TYPES.get(kind) is not type(frame):
        raise FrameCodecError(f"a frame of kind '{kind}' cannot be written")
    arrays: list[Array] = []
    values = {
        f.name: _flatten(getattr(frame, f.name), arrays, PRECISION.get((kind, f.name))) for f in fields(frame)
    }
    if isinstance(frame, FieldsFrame):
        _shorten(values, arrays)
    table = [[array.dtype.str, list(array.shape)] for array in arrays]
    header = json.dumps({"kind": kind, "values": values, "arrays": table}, separators=(",", ":")).encode()
    parts = [struct.pack("<I", len(header)), header]
    parts += [_grouped(array) for array in arrays]
    content = b"".join(parts)
    return MAGIC + struct.pack("<I", len(content)) + zlib.compress(content, LEVEL)


def decode(data: bytes) -> Frame:
    """The frame that `encode` wrote; its arrays are read-only. Raises FrameCodecError."""
    if data[:4] != MAGIC:
        raise FrameCodecError("these bytes are no frame")
    try:
        (size,) = struct.unpack_from("<I", data, 4)
        inflate = zlib.decompressobj()
        content = inflate.decompress(data[8:], size) if size else b""
        more = inflate.decompress(inflate.unconsumed_tail, 1)  # nothing, but it checks the sum at the end
        if len(content) != size or more or not inflate.eof:
            raise FrameCodecError("the frame has more or fewer bytes than it announces")
        (length,) = struct.unpack_from("<I", content)
        header = json.loads(content[4 : 4 + length].decode())
        frame_type = TYPES.get(header["kind"])
        if frame_type is None:
            raise FrameCodecError(f"a frame of kind '{header['kind']}' is not known to this version")
        arrays, offset = [], 4 + length
        for name, shape in header["arrays"]:
            array = _ungrouped(content, offset, _dtype(name), tuple(shape))
            arrays.append(array)
            offset += array.nbytes
        values = header["values"]
        if frame_type is FieldsFrame:
            _lengthen(values, arrays)
        values = {name: _restore(value, arrays) for name, value in values.items()}
        return cast(Frame, frame_type(**values))
    except FrameCodecError:
        raise
    except (
        zlib.error,
        struct.error,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RecursionError,
    ) as error:
        raise FrameCodecError(f"the frame is damaged ({error})") from None


def _flatten(value: Any, arrays: list[Array], precision: str | None) -> Any:
    """`value` as JSON, its arrays appended to `arrays`."""
    if isinstance(value, np.ndarray):
        arrays.append(_stored(value, precision))
        return {"array": len(arrays) - 1}
    if isinstance(value, Mapping):
        return {"map": {str(key): _flatten(item, arrays, precision) for key, item in value.items()}}
    if isinstance(value, (tuple, list)):
        return [_flatten(item, arrays, precision) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise FrameCodecError(f"a value of type {type(value).__name__} cannot be written")


def _shorten(values: Mapping[str, Any], arrays: list[Array]) -> None:
    """Write corrections in place of the errors of fields whose prediction and exact solution are beside them."""
    for name, place in values["error"]["map"].items():
        beside = [values[group]["map"].get(name) for group in ("prediction", "exact")]
        if all(beside) and len({arrays[p["array"]].shape for p in (place, *beside)}) == 1:
            number = place["array"]
            difference = arrays[number].view("<u4") - _bits_of_error(*(arrays[p["array"]] for p in beside))
            sign = np.where(difference >> 31, np.uint32(0xFFFFFFFF), np.uint32(0))
            arrays[number] = ((difference << np.uint32(1)) ^ sign).astype("<u4")
            values["error"]["map"][name] = {"correction": number}


def _lengthen(values: Mapping[str, Any], arrays: list[Array]) -> None:
    """The reverse."""
    for name, place in values["error"]["map"].items():
        if "correction" in place:
            number = place["correction"]
            prediction, exact = (arrays[values[group]["map"][name]["array"]] for group in ("prediction", "exact"))
            correction = arrays[number]
            if not prediction.shape == exact.shape == correction.shape or correction.dtype != np.dtype("<u4"):
                raise FrameCodecError(f"the error of '{name}' does not fit its prediction")
            sign = np.where(correction & 1, np.uint32(0xFFFFFFFF), np.uint32(0))
            bits = _bits_of_error(prediction, exact) + ((correction >> np.uint32(1)) ^ sign)
            arrays[number] = bits.astype("<u4").view("<f4")
            arrays[number].setflags(write=False)
            values["error"]["map"][name] = {"array": number}


def _bits_of_error(prediction: Array, exact: Array) -> Array:
    """Of |prediction - exact| in float32, zero for what machines may differ in: NaN and subnormal numbers."""
    with np.errstate(all="ignore"):
        error = np.abs(prediction - exact)
        return np.where(error >= np.finfo(np.float32).tiny, error, 0).astype("<f4").view("<u4")


def _stored(array: Array, precision: str | None) -> Array:
    dtype = _dtype(precision or array.dtype.newbyteorder("<").str)
    if dtype.kind == "u" and array.size and (array.min() < 0 or array.max() > np.iinfo(dtype).max):
        raise FrameCodecError(f"counts from {array.min()} to {array.max()} do not fit into {dtype.name}")
    with np.errstate(over="ignore"):  # beyond float32 a field becomes infinite, as it would be drawn
        return array.astype(dtype)


def _dtype(name: str) -> np.dtype[Any]:
    dtype = np.dtype(name)
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        raise FrameCodecError(f"an array of {name} is not possible in a frame")
    return dtype


def _grouped(array: Array) -> bytes:
    """The array's bytes in C order, those of equal significance together."""
    return np.frombuffer(array.tobytes(), np.uint8).reshape(-1, array.itemsize).T.tobytes()


def _ungrouped(content: bytes, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    size = prod(shape) * dtype.itemsize
    grouped = np.frombuffer(content, np.uint8, size, offset).reshape(dtype.itemsize, -1) if size else b""
    plain = grouped.T.tobytes() if isinstance(grouped, np.ndarray) else grouped
    return np.frombuffer(plain, dtype).reshape(shape)  # read-only, because bytes are


def _restore(value: Any, arrays: list[Array]) -> Any:
    if isinstance(value, list):
        return tuple(_restore(item, arrays) for item in value)
    if isinstance(value, dict):
        if "array" in value:
            return arrays[value["array"]]
        return {key: _restore(item, arrays) for key, item in value["map"].items()}
    return value
