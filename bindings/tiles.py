"""One tile out of a block of scene rows: cut, normalised or quantised, judged valid and measured in one pass."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from operator import index
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bindings.faults import BufferMismatch, GeometryRefused, WindowMismatch
from bindings.ffi import check, ffi, lib, view

_SAMPLES: Final[dict[np.dtype[Any], int]] = {
    np.dtype(np.uint8): lib.SW_SAMPLE_U8,
    np.dtype(np.uint16): lib.SW_SAMPLE_U16,
    np.dtype(np.int16): lib.SW_SAMPLE_I16,
    np.dtype(np.float32): lib.SW_SAMPLE_F32,
}
_OUTPUTS: Final[dict[np.dtype[Any], int]] = {
    np.dtype(np.float32): lib.SW_OUT_F32,
    np.dtype(np.uint8): lib.SW_OUT_U8,
    np.dtype(np.int8): lib.SW_OUT_S8,
}
_OCTET: Final = np.dtype(np.uint8)
# looked up once: by name it takes longer than the call
_OCTETS, _MEMORY, _ADDRESS = ffi.typeof("uint8_t[]"), ffi.typeof("void *"), ffi.typeof("uintptr_t")
_TILE_STATS, _BAND_STATS = ffi.typeof("sw_tile_stats *"), ffi.typeof("sw_band_stats[]")
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
_FLOAT32_MIN: Final = float(np.finfo(np.float32).tiny)
_BAND: Final = struct.Struct("=dddq")  # sw_band_stats

SIDE_MAX: Final = int(lib.SW_TILE_SIDE_MAX)
_FAR: Final = int(lib.SW_SCENE_SIDE_MAX)


class Layout(IntEnum):
    """The order of a window's axes."""

    HWC = 0  # (rows, cols, bands), interleaved by pixel
    BSQ = 1  # (bands, rows, cols), band sequential
    BIL = 2  # (rows, bands, cols), interleaved by line

    @property
    def axes(self) -> tuple[int, int, int]:
        """Of a window's axes, which are rows, columns and bands."""
        return ((0, 1, 2), (1, 2, 0), (0, 2, 1))[self]


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Samples to model input: clip(sample * scale + offset, low, high), one scale and offset per selected band.

    Computed in float32, rounded after the product and after the sum on every machine.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Quantisation:
    """Model input to octets, as ONNX QuantizeLinear: saturate(round_half_even(x / scale) + zero_point).

    x is the normalised number in float32, and so is the quotient; uint8 or int8 is the output's to say.
    """

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class BandStats:
    """One band over the valid pixels inside the scene, in units of the input; all zero if there is none."""

    minimum: float
    maximum: float
    total: float
    valid: int
    saturated: int  # at the largest number of an integer type


@dataclass(frozen=True, slots=True)
class TileStats:
    """What a tile holds. Pixels reflected at the scene's edge are not counted."""

    pixels: int  # pixels inside the scene
    nodata: int  # of those, not valid
    per_band: bytes  # as C left it; `bands` reads it

    @property
    def bands(self) -> tuple[BandStats, ...]:
        """One for each selected band, in their order."""
        valid = self.pixels - self.nodata
        return tuple(
            BandStats(minimum, maximum, total, valid, saturated)
            for minimum, maximum, total, saturated in _BAND.iter_unpack(self.per_band)
        )


class TileCutter:
    """Cuts tiles that differ in place alone: everything else is checked once, and a tile is one call of C.

    layout, columns, planes, dtype: of the windows it will see, their rows aside: u8, u16, i16 or f32.
    bands: which planes become input, in this order. nodata: a pixel is invalid where all selected
    bands have this value. side: of the square tile. out_dtype: float32, or uint8 or int8 with a
    quantisation. statistics: without them `cut` returns None; `valid`, `nodata_pixels` and `pixels`
    are right all the same.
    Raises GeometryRefused. Threads may share a cutter, but not its `nodata_pixels` and `pixels`.
    """

    __slots__ = (
        "_columns", "_count", "_dtype", "_keep", "_layout", "_out_dtype", "_out_octets", "_out_shape", "_setup",
        "_shape", "_statistics", "_valid_octets", "_valid_shape", "_window", "nodata_pixels", "pixels",
    )  # fmt: skip

    def __init__(
        self,
        *,
        layout: Layout,
        columns: int,
        planes: int,
        dtype: DTypeLike,
        bands: Sequence[int],
        norm: Normalisation,
        nodata: float | None,
        side: int,
        out_dtype: DTypeLike = np.float32,
        quantisation: Quantisation | None = None,
        statistics: bool = True,
    ) -> None:
        self._layout = Layout(layout)
        self._dtype, self._out_dtype = np.dtype(dtype), np.dtype(out_dtype)
        columns, planes, side, bands = index(columns), index(planes), index(side), tuple(index(b) for b in bands)
        count = len(bands)
        if self._dtype not in _SAMPLES:
            raise GeometryRefused(f"{self._dtype} is not {' or '.join(map(str, _SAMPLES))}")
        if self._out_dtype not in _OUTPUTS:
            raise GeometryRefused(f"{self._out_dtype} is not {' or '.join(map(str, _OUTPUTS))}")
        if not 1 <= side <= SIDE_MAX:
            raise GeometryRefused(f"a tile's side is 1 to {SIDE_MAX} pixels, got {side}")
        if not 1 <= columns <= _FAR:
            raise GeometryRefused(f"a window has 1 to {_FAR} columns, got {columns}")
        if not count or min(bands) < 0 or max(bands) >= planes:
            raise GeometryRefused(f"bands {bands} of a window with {planes}")
        if len(norm.scale) != count or len(norm.offset) != count:
            raise GeometryRefused(f"{len(norm.scale)} scales and {len(norm.offset)} offsets for {count} bands")
        if not all(abs(number) <= _FLOAT32_MAX for number in (*norm.scale, *norm.offset, norm.low, norm.high)):
            raise GeometryRefused("scale, offset, low and high must be finite in float32")
        _refuse_quantisation(self._out_dtype, quantisation)
        known = nodata is not None and (math.isinf(nodata) or abs(nodata) <= _FLOAT32_MAX)
        numbers = ffi.new("int32_t[]", bands)
        scale, offset = ffi.new("float[]", norm.scale), ffi.new("float[]", norm.offset)
        forms = ffi.new("sw_octet_form[]", count)
        self._keep = (numbers, scale, offset, forms)  # C does not
        self._setup = ffi.new(
            "sw_cutter *",
            {
                "sample": _SAMPLES[self._dtype], "out": _OUTPUTS[self._out_dtype], "side": side, "bands": count,
                "band": numbers, "scale": scale, "offset": offset, "low": norm.low, "high": norm.high,
                "has_nodata": known, "nodata": nodata if known else 0.0, "form": forms,
                "step": quantisation.scale if quantisation else 1.0,
                "zero_point": quantisation.zero_point if quantisation else 0,
            },
        )  # fmt: skip
        check(lib.sw_cutter_prove(self._setup))
        row_axis, column_axis, band_axis = self._layout.axes
        shape = [0, 0, 0]
        shape[row_axis], shape[column_axis], shape[band_axis] = -1, columns, planes
        self._shape = tuple(shape)
        self._columns, self._count, self._statistics = columns, count, statistics
        self._out_shape, self._valid_shape = (count, side, side), (side, side)
        self._out_octets, self._valid_octets = count * side * side * self._out_dtype.itemsize, side * side
        self._window: tuple[tuple[int, ...], tuple[int, ...], Any, int, int] = ((), (), None, 0, 0)
        self.nodata_pixels = 0  # of the last tile: inside the scene and not valid
        self.pixels = 0  # of the last tile: inside the scene

    def cut(
        self,
        window: NDArray[Any],
        *,
        first_row: int,
        scene_rows: int,
        row: int,
        col: int,
        out: NDArray[Any],
        valid: NDArray[np.uint8],
    ) -> TileStats | None:
        """Cut the tile whose first pixel is scene pixel (row, col), normalise it, and measure it.

        window: scene rows [first_row, first_row + rows), all columns; last axis contiguous, other
        strides free. row and col may lie outside the scene, which is reflected there as by
        numpy.pad(mode="reflect"). out: (bands, side, side) of out_dtype, overwritten, where not valid
        0.0 or what that is quantised to; valid: (side, side) uint8, 0 where a selected band is NaN or
        all of them are nodata.
        Raises BufferMismatch, GeometryRefused, or WindowMismatch (a row needed is not in the window),
        before anything is written. Releases the GIL.
        """
        # Nothing about an array is remembered but what its shape and strides, compared each time, imply.
        if type(window) is not np.ndarray:
            window = _plain("window", window)
        if window.dtype != self._dtype:
            view("window", window, self._dtype, 3, contiguous=False)
        seen = self._window
        if window.shape != seen[0] or window.strides != seen[1]:
            seen = self._look_at(window)
        _, _, block, rows, extent = seen
        if type(out) is not np.ndarray:
            out = _plain("out", out)
        if type(valid) is not np.ndarray:
            valid = _plain("valid", valid)
        window_flags, out_flags, valid_flags = window.flags, out.flags, valid.flags
        if not window_flags.aligned:
            view("window", window, self._dtype, 3, contiguous=False)
        if (
            out.dtype != self._out_dtype or out.shape != self._out_shape
            or not (out_flags.c_contiguous and out_flags.writeable and out_flags.aligned)
        ):  # fmt: skip
            view("out", out, self._out_dtype, 3, shape=self._out_shape, writable=True)
        if (
            valid.dtype != _OCTET or valid.shape != self._valid_shape
            or not (valid_flags.c_contiguous and valid_flags.writeable)
        ):  # fmt: skip
            view("valid", valid, _OCTET, 2, shape=self._valid_shape, writable=True)
        if first_row < 0 or first_row + rows > scene_rows:
            raise GeometryRefused(
                f"a window of {rows} x {self._columns} at row {first_row} of a scene of {scene_rows} rows"
            )
        if not (-_FAR <= row <= _FAR and -_FAR <= col <= _FAR and scene_rows <= _FAR):
            raise GeometryRefused(f"row {row}, col {col}, scene_rows {scene_rows}: beyond {_FAR}")
        if window_flags.c_contiguous:
            samples = ffi.from_buffer(window)  # quicker than asking for the address
        else:
            samples = ffi.cast(_MEMORY, window.__array_interface__["data"][0])
        to, ok, cast = ffi.from_buffer(out), ffi.from_buffer(_OCTETS, valid), ffi.cast
        source, target, mask = int(cast(_ADDRESS, samples)), int(cast(_ADDRESS, to)), int(cast(_ADDRESS, ok))
        source_end, target_end, mask_end = source + extent, target + self._out_octets, mask + self._valid_octets
        if (
            (target < mask_end and mask < target_end)
            or (target < source_end and source < target_end)
            or (mask < source_end and source < mask_end)
        ):  # fmt: skip
            raise GeometryRefused("window, out and valid must not overlap in memory")
        stats = ffi.new(_TILE_STATS)
        each = ffi.new(_BAND_STATS, self._count) if self._statistics else ffi.NULL
        code = lib.sw_cut(
            self._setup, block, samples, first_row, scene_rows, row, col, to, ok, each, stats
        )  # fmt: skip
        if code == lib.SW_E_WINDOW:
            raise WindowMismatch(stats.missing_row, first_row, rows)
        check(code)
        self.pixels, self.nodata_pixels = stats.pixels, stats.nodata
        return TileStats(stats.pixels, stats.nodata, ffi.buffer(each)[:]) if self._statistics else None

    def _look_at(self, window: NDArray[Any]) -> tuple[tuple[int, ...], tuple[int, ...], Any, int, int]:
        """What shape and strides imply, once they are found good: sw_window, rows, octets from first to last."""
        view("window", window, self._dtype, 3, contiguous=False)
        row_axis, column_axis, band_axis = self._layout.axes
        shape, strides, item = window.shape, window.strides, window.itemsize
        rows, columns, planes = shape[row_axis], shape[column_axis], shape[band_axis]
        if not rows or any(want not in (-1, have) for want, have in zip(self._shape, shape, strict=True)):
            _, want_columns, want_planes = (self._shape[axis] for axis in self._layout.axes)
            raise GeometryRefused(
                f"a window of {rows} x {columns} x {planes} where rows x {want_columns} x {want_planes} were announced"
            )
        extent = sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True) if length > 1) + item
        # of an axis of one element NumPy may keep any stride at all
        row_stride, column_stride, band_stride = (
            strides[axis] // item if shape[axis] > 1 else 1 for axis in self._layout.axes
        )
        block = ffi.new("sw_window *", (rows, columns, row_stride, column_stride, band_stride))
        self._window = shape, strides, block, rows, extent
        return self._window


def _plain(name: str, array: Any) -> NDArray[Any]:
    """A subclass as what it is in memory: its own attributes might say otherwise."""
    if not isinstance(array, np.ndarray):
        raise BufferMismatch(name, f"a NumPy array is needed, got {type(array).__name__}")
    return np.asarray(array)


def _refuse_quantisation(out_dtype: np.dtype[Any], quantisation: Quantisation | None) -> None:
    if (quantisation is None) != (out_dtype == np.float32):
        raise GeometryRefused(f"{out_dtype} output {'needs a' if quantisation is None else 'takes no'} quantisation")
    if quantisation is None:
        return
    if not _FLOAT32_MIN <= quantisation.scale <= _FLOAT32_MAX:
        raise GeometryRefused(f"a quantisation's scale is a positive normal float32, got {quantisation.scale}")
    span = np.iinfo(out_dtype)
    if not span.min <= index(quantisation.zero_point) <= span.max:
        raise GeometryRefused(f"zero point {quantisation.zero_point} is not a number of {out_dtype}")


@lru_cache(maxsize=8)
def _cutter(
    layout: Layout, columns: int, planes: int, dtype: np.dtype[Any], bands: tuple[int, ...], norm: Normalisation,
    nodata: float | None, side: int,
) -> TileCutter:  # fmt: skip
    return TileCutter(
        layout=layout, columns=columns, planes=planes, dtype=dtype, bands=bands, norm=norm, nodata=nodata, side=side
    )  # fmt: skip


def tile_f32(
    window: NDArray[Any],
    layout: Layout,
    *,
    first_row: int,
    scene_rows: int,
    row: int,
    col: int,
    bands: Sequence[int],
    norm: Normalisation,
    nodata: float | None,
    out: NDArray[np.float32],
    valid: NDArray[np.uint8],
) -> TileStats:
    """One tile without a cutter of one's own, in float32 and measured: as `TileCutter.cut`, which is quicker.

    window: of any shape that the layout has; out: (len(bands), side, side) float32; valid:
    (side, side) uint8. Raises BufferMismatch, GeometryRefused, WindowMismatch.
    """
    view("window", window, tuple(_SAMPLES), 3, contiguous=False)
    side = out.shape[-1] if isinstance(out, np.ndarray) and out.ndim else 0
    bands = tuple(bands)
    view("out", out, np.float32, 3, shape=(len(bands), side, side), writable=True)
    view("valid", valid, np.uint8, 2, shape=(side, side), writable=True)
    _, columns, planes = (window.shape[axis] for axis in Layout(layout).axes)
    cutter = _cutter(layout, columns, planes, window.dtype, bands, norm, nodata, side)
    stats = cutter.cut(
        window, first_row=first_row, scene_rows=scene_rows, row=row, col=col, out=out, valid=valid
    )  # fmt: skip
    assert stats is not None  # a cutter measures unless told otherwise
    return stats
